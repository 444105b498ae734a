//! `[[peer]]`: its keys, those it inherits, and what must fit together.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use bgp::{Asn, Family, HoldTime, RemoteAs, RestartConfig};

use super::export::{self, ExportKeys};
use super::import::{self, ImportKeys};
use super::{MILLISECOND, SECOND, one_of, unique};
use crate::config::document::{Located, Section};
use crate::config::password::exposure;
use crate::config::{
    BFD_MULTIHOP_PORT, BFD_PORT, BGP_PORT, BfdConfig, BfdHops, BfdProfile, CaptureSize,
    DEFAULT_DSCP, Name, Password, PeerAddress, PeerBfd, PeerConfig, PeerHops, PeerName,
    RangeConfig, SpeakerConfig, minimum_ttl, value,
};

/// The keys of a peer that `[peer-defaults]` may have too, as far as they are there.
pub(super) struct PeerKeys {
    port: Option<Located<u16>>,
    remote_as: Option<Located<RemoteAs>>,
    local_as: Option<Located<Asn>>,
    hold_time: Option<Located<HoldTime>>,
    keepalive_time: Option<Located<Duration>>,
    connect_retry_time: Option<Located<Duration>>,
    delay_open_time: Option<Located<Duration>>,
    send_hold_time: Option<Located<Duration>>,
    graceful_restart: Option<Located<Option<RestartConfig>>>,
    source_address: Option<Located<IpAddr>>,
    source_interface: Option<Located<String>>,
    passive: Option<Located<bool>>,
    ebgp_multihop: Option<Located<NonZeroU8>>,
    ttl_security: Option<Located<NonZeroU8>>,
    password: Option<Located<Password>>,
    dscp: Option<Located<u8>>,
    families: Option<Vec<Located<Family>>>,
    bfd_profile: Option<Located<Name>>,
    bfd_multihop: Option<Located<bool>>,
    bfd_port: Option<Located<u16>>,
    bfd_strict: Option<Located<bool>>,
    bfd_strict_hold_time: Option<Located<Duration>>,
    enabled: Option<Located<bool>>,
    description: Option<Located<String>>,
    hostname: Option<Located<bool>>,
    capture: Option<Located<CaptureSize>>,
    import: ImportKeys,
    export: ExportKeys,
}

pub(super) const PEER_PLANS: &[&str] = &["vrf"];

impl PeerKeys {
    /// Reads all of them, and reports what else is there.
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let keys = Self {
            port: section.take("port", value::port),
            remote_as: section.take("remote-as", value::remote_as),
            local_as: section.take("local-as", value::asn),
            hold_time: section.take("hold-time", value::hold_time),
            keepalive_time: section.take(
                "keepalive-time",
                value::duration_between(SECOND, 21845 * SECOND),
            ),
            connect_retry_time: section.take(
                "connect-retry-time",
                value::duration_between(100 * MILLISECOND, 3600 * SECOND),
            ),
            delay_open_time: section.take(
                "delay-open-time",
                value::duration_between(Duration::ZERO, 240 * SECOND),
            ),
            graceful_restart: section.take("graceful-restart", value::graceful_restart),
            send_hold_time: section.take(
                "send-hold-time",
                value::duration_between(SECOND, 24 * 3600 * SECOND),
            ),
            source_address: section.take("source-address", value::ip),
            source_interface: section.take("source-interface", value::interface),
            passive: section.take("passive", value::boolean),
            ebgp_multihop: section.take("ebgp-multihop", value::nonzero_octet),
            ttl_security: section.take("ttl-security", value::nonzero_octet),
            password: read_password(section),
            dscp: section.take("dscp", value::number_between(0, 63)),
            families: section.take_list("families", value::family),
            bfd_profile: section.take("bfd-profile", value::name),
            bfd_multihop: section.take("bfd-multihop", value::boolean),
            bfd_port: section.take("bfd-port", value::port),
            bfd_strict: section.take("bfd-strict", value::boolean),
            bfd_strict_hold_time: section.take(
                "bfd-strict-hold-time",
                value::duration_between(SECOND, 3600 * SECOND),
            ),
            enabled: section.take("enabled", value::boolean),
            description: section.take("description", value::text),
            hostname: section.take("hostname", value::boolean),
            capture: section.take("capture", value::capture_size),
            import: ImportKeys::read(section),
            export: ExportKeys::read(section),
        };
        section.finish();
        keys
    }

    /// How far the neighbor may be, where that is said.
    fn hops(&self) -> Option<NonZeroU8> {
        let hops = self.ttl_security.as_ref().or(self.ebgp_multihop.as_ref());
        hops.map(|hops| hops.value)
    }

    pub(super) fn or(mut self, defaults: &Self) -> Self {
        // The one excludes the other: a peer that has its own takes neither of the defaults.
        let distance = (self.ebgp_multihop.take(), self.ttl_security.take());
        let distance = match distance {
            (None, None) => (
                defaults.ebgp_multihop.clone(),
                defaults.ttl_security.clone(),
            ),
            own => own,
        };
        (self.ebgp_multihop, self.ttl_security) = distance;
        macro_rules! merged {
            ($($field:ident)*; $($settled:ident)*) => {
                Self {
                    $($field: self.$field.or_else(|| defaults.$field.clone()),)*
                    $($settled: self.$settled,)*
                    import: self.import.or(&defaults.import),
                    export: self.export.or(&defaults.export),
                }
            };
        }
        merged! {
            port remote_as local_as hold_time keepalive_time connect_retry_time send_hold_time
            source_address source_interface passive password dscp families bfd_profile bfd_multihop
            bfd_port enabled description delay_open_time hostname capture graceful_restart bfd_strict bfd_strict_hold_time; ebgp_multihop ttl_security
        }
    }
}

fn read_password(section: &mut Section<'_>) -> Option<Located<Password>> {
    const KEY: &str = "password-file";
    let password = section.take_path_of_secret(KEY, value::password_file)?;
    if let Some(warning) = exposure(password.value.file()) {
        section.warning(password.line, KEY, warning);
    }
    Some(password)
}

/// The peers that could be read, and the names of all, so that a reference to a broken one is not a
/// second error.
#[derive(Default)]
pub(super) struct Peers {
    pub(super) configs: BTreeMap<PeerName, PeerConfig>,
    pub(super) ranges: BTreeMap<PeerName, RangeConfig>,
    pub(super) names: BTreeMap<String, usize>,
}

pub(super) fn read_peers(
    sections: Vec<Section<'_>>,
    defaults: &PeerKeys,
    speaker: Option<&SpeakerConfig>,
    bfd: &BfdConfig,
    profiles: &BTreeMap<String, BfdProfile>,
) -> Peers {
    let mut peers = Peers::default();
    let mut addresses = BTreeMap::new();
    for section in sections {
        let mut section = section.plans(PEER_PLANS);
        let name = section.take("name", value::name::<PeerName>);
        let address = read_address(&mut section);
        let keys = PeerKeys::read(&mut section).or(defaults);
        let (Some(address), named) = (address, name) else {
            continue;
        };
        let name = named.unwrap_or_else(|| Located {
            value: PeerName::new(&address.value.to_string())
                .unwrap_or_else(|| unreachable!("an address is a name")),
            line: address.line,
            found: address.found.clone(),
        });
        let new = unique(
            &section,
            "name",
            &name,
            name.value.to_string(),
            &mut peers.names,
        ) & unique(
            &section,
            "address",
            &address,
            address.value.to_string(),
            &mut addresses,
        );
        let local_as = speaker.and_then(|speaker| speaker.local_as);
        let listens = speaker.is_none_or(|speaker| !speaker.listen.is_empty());
        let config = PeerSection {
            section: &section,
            address,
        }
        .check(keys, local_as, listens, bfd, profiles);
        if let Some(config) = config
            && new
        {
            peers.configs.insert(name.value, config);
        }
    }
    peers
}

/// Where the neighbor is: an address, or an interface on which it says so itself.
fn read_address(section: &mut Section<'_>) -> Option<Located<PeerAddress>> {
    let address = section.take("address", value::peer_address);
    let interface = section.take("interface", |value| {
        value::interface(value).map(|interface| PeerAddress {
            ip: None,
            scope: Some(interface),
        })
    });
    match (address, interface) {
        (Some(address), Some(interface)) => {
            section.refuse(
                "interface",
                &interface,
                "absent beside address; a link-local address has its interface behind it, such as \"fe80::1%eth0\"",
            );
            Some(address)
        }
        (None, None) if !section.has_error("address") && !section.has_error("interface") => {
            section.error(
                section.line,
                "address",
                "is missing; must be the address of the neighbor, such as \"192.0.2.1\", or there must be an interface that it is on, such as interface = \"eth1\"".to_owned(),
            );
            None
        }
        (address, interface) => address.or(interface),
    }
}

/// A `[[peer]]` whose keys are read and must fit together.
pub(super) struct PeerSection<'p> {
    pub(super) section: &'p Section<'p>,
    pub(super) address: Located<PeerAddress>,
}

impl PeerSection<'_> {
    pub(super) fn check(
        self,
        keys: PeerKeys,
        speaker_as: Option<Asn>,
        listens: bool,
        bfd: &BfdConfig,
        profiles: &BTreeMap<String, BfdProfile>,
    ) -> Option<PeerConfig> {
        if keys.remote_as.is_none() && !self.reported("remote-as") {
            self.section.error(
                self.section.line,
                "remote-as",
                "is missing; must be the neighbor's AS number, \"internal\" or \"external\""
                    .to_owned(),
            );
        }
        self.check_source(&keys);
        let hold_time = keys
            .hold_time
            .as_ref()
            .map_or(HoldTime::DEFAULT, |time| time.value);
        self.check_timers(&keys, hold_time);
        let families = self.check_families(keys.families.as_deref());
        self.check_passive(&keys, listens);
        let import = import::check(&keys.import, self.section, &families);
        let local_as = keys.local_as.as_ref().map(|asn| asn.value).or(speaker_as);
        let remote_as = keys.remote_as.as_ref().map(|remote_as| remote_as.value);
        let internal = local_as
            .zip(remote_as)
            .is_some_and(|(local_as, remote_as)| is_internal(local_as, remote_as));
        let bfd = self.check_bfd(&keys, internal, bfd, profiles);
        let (local_as, remote_as) = (local_as?, remote_as?);
        self.check_multihop(&keys, local_as, remote_as);
        let address = &self.address.value;
        let export = export::check(&keys.export, self.section, address, local_as, remote_as);
        Some(PeerConfig {
            range: None,
            address: self.address.value,
            port: keys.port.map_or(BGP_PORT, |port| port.value),
            remote_as,
            local_as,
            hold_time,
            keepalive_time: keys.keepalive_time.map(|time| time.value),
            connect_retry_time: keys
                .connect_retry_time
                .map_or(5 * SECOND, |time| time.value),
            delay_open_time: keys
                .delay_open_time
                .map_or(Duration::ZERO, |time| time.value),
            send_hold_time: keys.send_hold_time.map(|time| time.value),
            graceful_restart: keys.graceful_restart.and_then(|restart| restart.value),
            source_address: keys.source_address.map(|address| address.value),
            source_interface: keys.source_interface.map(|interface| interface.value),
            passive: keys.passive.is_some_and(|passive| passive.value),
            ebgp_multihop: keys.ebgp_multihop.map(|hops| hops.value),
            ttl_security: keys.ttl_security.map(|hops| hops.value),
            password: keys.password.map(|password| password.value),
            dscp: keys.dscp.map_or(DEFAULT_DSCP, |dscp| dscp.value),
            families,
            bfd,
            enabled: keys.enabled.is_none_or(|enabled| enabled.value),
            description: keys.description.map(|description| description.value),
            hostname: keys.hostname.is_none_or(|hostname| hostname.value),
            capture: keys
                .capture
                .map_or_else(CaptureSize::default, |size| size.value),
            import,
            export,
        })
    }

    /// Whether a wrong value of this key was reported in this section.
    fn reported(&self, key: &str) -> bool {
        self.section.has_error(key)
    }

    fn check_source(&self, keys: &PeerKeys) {
        let PeerAddress { ip, scope } = &self.address.value;
        let Some(ip) = ip else {
            return self.check_unnumbered(keys);
        };
        if let Some(source) = &keys.source_address
            && source.value.is_ipv4() != ip.is_ipv4()
        {
            let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
            self.section.refuse(
                "source-address",
                source,
                &format!("an {family} address, as the peer's {ip} is"),
            );
        }
        let needs_scope = ip.is_ipv6() && value::is_link_local(*ip);
        match (&keys.source_interface, scope) {
            (Some(interface), Some(scope)) if interface.value != *scope => self.section.refuse(
                "source-interface",
                interface,
                &format!("{scope:?}, the scope of the address, or absent"),
            ),
            (None, None) if needs_scope => self.section.refuse(
                "address",
                &self.address,
                &format!("followed by its interface, such as \"{ip}%eth0\", for it is link-local"),
            ),
            _ => {}
        }
    }

    /// An unnumbered peer is spoken to from the link-local address of its interface, and on its link.
    fn check_unnumbered(&self, keys: &PeerKeys) {
        let section = self.section;
        if let Some(source) = &keys.source_address {
            let expected = "absent: the interface's link-local address is used";
            section.refuse("source-address", source, expected);
        }
        let scope = self.address.value.scope.as_ref();
        if let Some(source) = &keys.source_interface
            && Some(&source.value) != scope
        {
            section.refuse("source-interface", source, "absent beside interface");
        }
        for (key, hops) in [
            ("ebgp-multihop", &keys.ebgp_multihop),
            ("ttl-security", &keys.ttl_security),
        ] {
            if let Some(hops) = hops
                && hops.value.get() > 1
            {
                section.refuse(key, hops, "1 or absent: the neighbor is on the link");
            }
        }
    }

    fn check_timers(&self, keys: &PeerKeys, hold_time: HoldTime) {
        let Some(hold) = hold_time.duration() else {
            return;
        };
        if let Some(keepalive) = &keys.keepalive_time {
            if keepalive.value >= hold {
                self.section.refuse(
                    "keepalive-time",
                    keepalive,
                    &format!("less than the hold-time of {hold:?}, and best a third of it"),
                );
            } else if keepalive.value > hold / 3 {
                self.section.warning(
                    keepalive.line,
                    "keepalive-time",
                    format!(
                        "{} is more than a third of the hold-time of {hold:?}; a third of what is negotiated will be used",
                        keepalive.found
                    ),
                );
            }
        }
        if let Some(send_hold) = &keys.send_hold_time
            && send_hold.value <= hold
        {
            // RFC 9687 §4
            self.section.refuse(
                "send-hold-time",
                send_hold,
                &format!("more than the hold-time of {hold:?}"),
            );
        }
    }

    fn check_families(&self, families: Option<&[Located<Family>]>) -> Vec<Family> {
        let Some(families) = families else {
            return vec![Family::IPV4_UNICAST, Family::IPV6_UNICAST];
        };
        if families.is_empty() && !self.reported("families") {
            self.section.error(
                self.section.line,
                "families",
                "found an empty array; must be \"ipv4-unicast\", \"ipv6-unicast\" or both"
                    .to_owned(),
            );
        }
        let mut known = BTreeSet::new();
        for family in families {
            if !known.insert(family.value) {
                self.section.refuse("families", family, "named once");
            }
        }
        known.into_iter().collect()
    }

    fn check_bfd(
        &self,
        keys: &PeerKeys,
        internal: bool,
        bfd: &BfdConfig,
        profiles: &BTreeMap<String, BfdProfile>,
    ) -> Option<PeerBfd> {
        let profile = keys.bfd_profile.as_ref();
        let profile = profile.filter(|wanted| wanted.value.as_str() != BfdProfile::NONE);
        if let Some(strict) = keys.bfd_strict.as_ref().filter(|strict| strict.value)
            && profile.is_none()
        {
            self.section.refuse(
                "bfd-strict",
                strict,
                "false as long as bfd-profile is not set, for without BFD there would never be a session",
            );
        }
        let wanted = profile?;
        let profile = find_profile(self.section, wanted, profiles)?;
        let hops = self.peer_hops(keys, internal, profile);
        let port = keys.bfd_port.as_ref().map(|port| port.value);
        let port = match hops {
            PeerHops::Fixed(BfdHops::Single) => port.or(Some(BFD_PORT)),
            PeerHops::Fixed(BfdHops::Multi { .. }) => {
                require_multihop_listen(self.section, "bfd-profile", wanted.line, bfd);
                let (key, remedy) = ("bfd-profile", "bfd-multihop = false");
                warn_of_multihop_echo(self.section, key, wanted.line, profile, remedy);
                port.or(Some(BFD_MULTIHOP_PORT))
            }
            PeerHops::ByRoute { .. } => port,
        };
        let strict = keys.bfd_strict.as_ref().filter(|strict| strict.value);
        let strict_hold_time = keys.bfd_strict_hold_time.as_ref();
        Some(PeerBfd {
            profile: profile.clone(),
            strict: strict.map(|_| strict_hold_time.map_or(30 * SECOND, |time| time.value)),
            hops,
            port,
        })
    }

    /// An internal peer may be any number of hops away; an external one is on-link unless it is said
    /// to be elsewhere, and so is one that is known by its interface.
    fn peer_hops(&self, keys: &PeerKeys, internal: bool, profile: &BfdProfile) -> PeerHops {
        // What has no meaning for an internal peer says nothing of it here either.
        let allowed = match internal {
            true => keys.ttl_security.as_ref().map(|hops| hops.value),
            false => keys.hops(),
        };
        // As many routers as the BGP session may cross; one at least, or it would not be multihop.
        const TWO: NonZeroU8 = NonZeroU8::MIN.saturating_add(1);
        let routers = match allowed {
            None if internal => NonZeroU8::MAX,
            allowed => allowed.map_or(TWO, |hops| hops.max(TWO)),
        };
        let minimum_ttl = NonZeroU8::new(minimum_ttl(routers)).unwrap_or(NonZeroU8::MIN);
        let minimum_ttl = profile.minimum_ttl.unwrap_or(minimum_ttl);
        let multihop = keys.bfd_multihop.as_ref().map(|multihop| multihop.value);
        let multihop = multihop.or(allowed.map(|hops| hops.get() > 1));
        let is_anywhere = internal && !self.address.value.is_link_local();
        match multihop {
            Some(true) => PeerHops::Fixed(BfdHops::Multi { minimum_ttl }),
            None if is_anywhere => PeerHops::ByRoute { minimum_ttl },
            Some(false) | None => PeerHops::Fixed(BfdHops::Single),
        }
    }

    fn check_passive(&self, keys: &PeerKeys, listens: bool) {
        if let Some(passive) = &keys.passive
            && passive.value
            && !listens
        {
            let expected =
                "false as long as [speaker] listen is not set, for then neither side would connect";
            self.section.refuse("passive", passive, expected);
        }
    }

    fn check_multihop(&self, keys: &PeerKeys, local_as: Asn, remote_as: RemoteAs) {
        if let (Some(_), Some(hops)) = (&keys.ebgp_multihop, &keys.ttl_security) {
            self.section.refuse(
                "ttl-security",
                hops,
                "absent beside ebgp-multihop: either says how far the neighbor may be",
            );
        }
        if let Some(multihop) = &keys.ebgp_multihop
            && is_internal(local_as, remote_as)
        {
            self.section.warning(
                multihop.line,
                "ebgp-multihop",
                "has no meaning for a peer of our own AS, which may be any number of hops away"
                    .to_owned(),
            );
        }
    }
}

/// Multihop BFD needs to hear as well.
fn is_internal(local_as: Asn, remote_as: RemoteAs) -> bool {
    [RemoteAs::Internal, RemoteAs::Is(local_as)].contains(&remote_as)
}

pub(super) fn require_multihop_listen(
    section: &Section<'_>,
    key: &str,
    line: usize,
    bfd: &BfdConfig,
) {
    if bfd.multihop_listen.as_ref().is_some_and(Vec::is_empty) {
        section.error(
            line,
            key,
            "multihop BFD needs an address to receive on; [bfd] listen is set, so multihop-listen must be set too"
                .to_owned(),
        );
    }
}

/// RFC 5883 §4: echo packets of multihop sessions would not find their way back.
pub(super) fn warn_of_multihop_echo(
    section: &Section<'_>,
    key: &str,
    line: usize,
    profile: &BfdProfile,
    remedy: &str,
) {
    if profile.has_echo() {
        section.warning(
            line,
            key,
            format!(
                "profile {:?} asks for echo, which a multihop session cannot have: it runs without; {remedy} makes it single hop",
                profile.name
            ),
        );
    }
}

/// The profile that `bfd-profile` names.
pub(super) fn find_profile<'p>(
    section: &Section<'_>,
    wanted: &Located<Name>,
    profiles: &'p BTreeMap<String, BfdProfile>,
) -> Option<&'p BfdProfile> {
    let found = profiles.get(wanted.value.as_str());
    if found.is_none() {
        let known = profiles.keys().map(String::as_str);
        let expected = one_of(
            "the name of a [[bfd-profile]]",
            wanted.value.as_str(),
            known,
        );
        section.refuse("bfd-profile", wanted, &expected);
    }
    found
}
