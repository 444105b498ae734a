//! Single values: from TOML to a type that cannot hold a wrong one. Each function says in its error
//! what would be right.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::time::Duration;

use bfd::AuthType;
use bgp::wire::AddPathDirection;
use bgp::{
    AggregatedBy, Asn, BgpIdentifier, Family, HoldTime, LinkLocalNextHop, LongLivedStaleTime,
    RemoteAs, RestartConfig, RestartTime, Role, UnknownName,
};
use ipnet::IpNet;
use toml::de::DeValue;

use super::attributes::{AnyCommunity, parse_aggregator, parse_community, parse_next_hop};
use super::document::Expected;
use super::{
    CaptureSize, IpFamilies, IpFamily, LogFormat, LogLevel, Name, OnExit, Password, PeerAddress,
};

pub(super) type Parsed<T> = Result<T, Expected>;

/// The types of BFD authentication, the strongest first.
pub(super) const AUTH_TYPES: &str = "\"meticulous-keyed-sha1\", \"keyed-sha1\", \"meticulous-keyed-md5\", \"keyed-md5\" or \"simple\"";

/// An integer of this type, 0 included.
pub(super) fn number<T: TryFrom<i64> + Bounds>(value: &DeValue<'_>) -> Parsed<T> {
    number_between(T::LOWEST, T::HIGHEST)(value)
}

/// An integer from `low` to `high`.
pub(super) fn number_between<T: TryFrom<i64>>(
    low: i64,
    high: i64,
) -> impl Fn(&DeValue<'_>) -> Parsed<T> {
    move |value| {
        integer(value)
            .filter(|number| (low..=high).contains(number))
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| format!("a number from {low} to {high}").into())
    }
}

/// The range that is named when a number is out of it.
pub(super) trait Bounds {
    const LOWEST: i64;
    const HIGHEST: i64;
}

impl Bounds for u8 {
    const LOWEST: i64 = 0;
    const HIGHEST: i64 = Self::MAX as i64;
}

impl Bounds for u32 {
    const LOWEST: i64 = 0;
    const HIGHEST: i64 = Self::MAX as i64;
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
}

pub(super) fn boolean(value: &DeValue<'_>) -> Parsed<bool> {
    value.as_bool().ok_or_else(|| "true or false".into())
}

pub(super) fn capture_size(value: &DeValue<'_>) -> Parsed<CaptureSize> {
    let size = match integer(value) {
        Some(number) => u32::try_from(number).ok().and_then(CaptureSize::new),
        None => value.as_str().and_then(CaptureSize::parse),
    };
    size.ok_or_else(|| "\"off\", or a size from \"4KiB\" to \"16MiB\"".into())
}

pub(super) fn text(value: &DeValue<'_>) -> Parsed<String> {
    value
        .as_str()
        .filter(|text| text.chars().count() <= 255 && !text.chars().any(char::is_control))
        .map(str::to_owned)
        .ok_or_else(|| "a text of at most 255 characters on one line".into())
}

pub(super) fn path(value: &DeValue<'_>) -> Parsed<PathBuf> {
    value
        .as_str()
        .filter(|text| !text.is_empty() && !text.contains('\0'))
        .map(PathBuf::from)
        .ok_or_else(|| "a path, such as \"/var/lib/herald\"".into())
}

/// The path of a file with a key, which is `expected`.
pub(super) fn key_file(expected: &'static str) -> impl Fn(&DeValue<'_>) -> Parsed<PathBuf> {
    move |value| {
        path(value)
            .ok()
            .filter(|file| file.is_absolute())
            .ok_or_else(|| expected.into())
    }
}

/// The key in a file.
pub(super) fn password_file(value: &DeValue<'_>) -> Parsed<Password> {
    let expected = "the absolute path of a file with a key, such as \"/etc/herald/tor.key\"";
    let file = key_file(expected)(value)?;
    Password::load(&file).map_err(|wrong| format!("the path of a file with a key: {wrong}").into())
}

pub(super) fn name<N: From<Name>>(value: &DeValue<'_>) -> Parsed<N> {
    value
        .as_str()
        .and_then(Name::new)
        .map(N::from)
        .ok_or_else(|| Name::EXPECTED.into())
}

/// A name that leaves room for what is appended to it.
pub(super) fn name_up_to<N: From<Name>>(longest: usize) -> impl Fn(&DeValue<'_>) -> Parsed<N> {
    move |value| {
        let name: Name = name(value)?;
        let fits = name.as_str().chars().count() <= longest;
        fits.then(|| N::from(name))
            .ok_or_else(|| format!("a name of at most {longest} characters").into())
    }
}

/// The name of a network interface: what Linux accepts, at most 15 octets.
pub(super) fn interface(value: &DeValue<'_>) -> Parsed<String> {
    value
        .as_str()
        .filter(|text| is_interface(text))
        .map(str::to_owned)
        .ok_or_else(|| "the name of an interface, such as \"eth0\"".into())
}

fn is_interface(text: &str) -> bool {
    (1..=15).contains(&text.len())
        && !matches!(text, "." | "..")
        && !text
            .chars()
            .any(|c| "/:%\\\"'`".contains(c) || c.is_whitespace() || c.is_control())
}

/// A number that is written as a text.
fn is_quoted_number(value: &DeValue<'_>) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.parse::<u32>().is_ok())
}

pub(super) fn asn(value: &DeValue<'_>) -> Parsed<Asn> {
    if is_quoted_number(value) {
        return Err("an AS number without quotes, such as 64520".into());
    }
    integer(value)
        .and_then(|number| u32::try_from(number).ok())
        .and_then(Asn::new)
        .ok_or_else(|| "an AS number from 1 to 4294967295, other than 23456 (AS_TRANS)".into())
}

pub(super) fn remote_as(value: &DeValue<'_>) -> Parsed<RemoteAs> {
    match value.as_str() {
        _ if is_quoted_number(value) => Err(
            "an AS number without quotes, such as 64520, or \"internal\" or \"external\"".into(),
        ),
        Some("internal") => Ok(RemoteAs::Internal),
        Some("external") => Ok(RemoteAs::External),
        Some(_) => Err("an AS number, \"internal\" or \"external\"".into()),
        None => asn(value).map(RemoteAs::Is).map_err(|_| {
            "an AS number from 1 to 4294967295, other than 23456 (AS_TRANS), or \"internal\", or \"external\"".into()
        }),
    }
}

pub(super) fn router_id(value: &DeValue<'_>) -> Parsed<BgpIdentifier> {
    value
        .as_str()
        .and_then(|text| text.parse::<Ipv4Addr>().ok())
        .and_then(BgpIdentifier::new)
        .ok_or_else(|| {
            "four octets written as an IPv4 address, other than \"0.0.0.0\", such as \"192.0.2.1\""
                .into()
        })
}

pub(super) fn socket_address(value: &DeValue<'_>) -> Parsed<SocketAddr> {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| "an address and a port, such as \"0.0.0.0:179\" or \"[::]:179\"".into())
}

pub(super) fn port(value: &DeValue<'_>) -> Parsed<u16> {
    number_between(1, 65535)(value)
}

pub(super) fn peer_address(value: &DeValue<'_>) -> Parsed<PeerAddress> {
    let text = value
        .as_str()
        .ok_or("an address, such as \"192.0.2.1\", \"2001:db8::1\" or \"fe80::1%eth0\"")?;
    let (address, scope) = match text.split_once('%') {
        Some((address, scope)) => (address, Some(scope)),
        None => (text, None),
    };
    let ip = address.parse::<IpAddr>().map_err(|_| {
        "an address, such as \"192.0.2.1\", \"2001:db8::1\" or \"fe80::1%eth0\" (names are not looked up)"
    })?;
    if !is_unicast(ip) {
        return Err("the unicast address of one router".into());
    }
    match scope {
        Some(_) if !is_link_local(ip) => {
            Err(format!("\"{ip}\", for only link-local addresses have a scope").into())
        }
        Some(scope) if !is_interface(scope) => {
            Err("followed by the name of an interface, such as \"fe80::1%eth0\"".into())
        }
        scope => Ok(PeerAddress {
            ip: Some(ip),
            scope: scope.map(str::to_owned),
        }),
    }
}

pub(super) fn ip(value: &DeValue<'_>) -> Parsed<IpAddr> {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| "an address, such as \"192.0.2.1\" or \"2001:db8::1\"".into())
}

/// An address that can be announced.
pub(super) fn service_address(value: &DeValue<'_>) -> Parsed<IpAddr> {
    value.as_str().map_or_else(
        || Err("an address, such as \"192.0.2.1\" or \"2001:db8::1\"".into()),
        |text| parse_service_address(text).map_err(Expected),
    )
}

/// An address that can be announced: unicast, and of more than local meaning. The error completes
/// "must be …".
///
/// # Errors
/// In words, when it is something else.
pub fn parse_service_address(text: &str) -> Result<IpAddr, String> {
    let Ok(ip) = text.parse::<IpAddr>() else {
        return Err(match text.parse::<IpNet>() {
            Ok(_) => "a single address without a length; prefixes belong into [[route]]".to_owned(),
            Err(_) => "an address, such as \"192.0.2.1\" or \"2001:db8::1\"".to_owned(),
        });
    };
    if is_unicast(ip) && !ip.is_loopback() && !is_link_local(ip) {
        Ok(ip)
    } else {
        Err("a unicast address that means the same everywhere: no loopback, link-local or multicast address".to_owned())
    }
}

fn is_unicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast() && ip.octets()[0] < 240
        }
        IpAddr::V6(ip) => {
            !ip.is_unspecified() && !ip.is_multicast() && ip.to_ipv4_mapped().is_none()
        }
    }
}

/// Whether an address means something on one link only.
pub(crate) fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// Where neighbors connect from.
pub(super) fn peer_prefix(value: &DeValue<'_>) -> Parsed<IpNet> {
    let net = neighbor_prefix(value)?;
    if is_link_local(net.network()) {
        return Err("a prefix that means the same everywhere; the neighbor on a link is a [[peer]] with interface".into());
    }
    Ok(net)
}

/// Where neighbors are, on a link or elsewhere.
pub(super) fn neighbor_prefix(value: &DeValue<'_>) -> Parsed<IpNet> {
    let expected = "a prefix, such as \"10.0.0.0/24\" or \"2001:db8::/64\"";
    let net = value.as_str().and_then(|text| text.parse::<IpNet>().ok());
    let net = net.ok_or(expected)?;
    if net.trunc() != net {
        return Err(format!("\"{}\", for a prefix has no host bits", net.trunc()).into());
    }
    if net.network().is_multicast() {
        return Err("a unicast prefix".into());
    }
    Ok(net)
}

pub(super) fn prefix(value: &DeValue<'_>) -> Parsed<IpNet> {
    value.as_str().map_or_else(
        || Err("a prefix, such as \"198.51.100.0/24\" or \"2001:db8::/32\"".into()),
        |text| parse_prefix(text).map_err(Expected),
    )
}

/// A prefix that can be announced, without host bits. The error completes "must be …".
///
/// # Errors
/// In words, when it is something else.
pub fn parse_prefix(text: &str) -> Result<IpNet, String> {
    let Ok(net) = text.parse::<IpNet>() else {
        return Err(match text.parse::<IpAddr>() {
            Ok(ip) => format!("a prefix with its length, such as \"{}\"", IpNet::from(ip)),
            Err(_) => "a prefix, such as \"198.51.100.0/24\" or \"2001:db8::/32\"".to_owned(),
        });
    };
    if net.trunc() != net {
        return Err(format!(
            "\"{}\", for a prefix has no host bits",
            net.trunc()
        ));
    }
    let first = net.network();
    let useless = first.is_multicast()
        || first.is_loopback()
        || (is_link_local(first) && net.prefix_len() >= 10);
    if useless {
        return Err("a unicast prefix that means the same everywhere".to_owned());
    }
    Ok(net)
}

pub(super) fn family(value: &DeValue<'_>) -> Parsed<Family> {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| "\"ipv4-unicast\" or \"ipv6-unicast\"".into())
}

/// One or both of the families that addresses are of.
pub(super) fn ip_families(value: &DeValue<'_>) -> Parsed<IpFamilies> {
    let named = |element: &toml::Spanned<DeValue<'_>>| {
        let name = element.get_ref().as_str();
        name.and_then(IpFamily::named)
    };
    let families = value
        .as_array()
        .and_then(|elements| elements.iter().map(named).collect::<Option<Vec<_>>>());
    families
        .and_then(IpFamilies::of)
        .ok_or_else(|| "[\"ipv4\"], [\"ipv6\"] or [\"ipv4\", \"ipv6\"]".into())
}

/// A duration from `low` to `high`, written with its unit.
pub(super) fn duration_between(
    low: Duration,
    high: Duration,
) -> impl Fn(&DeValue<'_>) -> Parsed<Duration> {
    move |value| {
        duration(value)
            .filter(|duration| (low..=high).contains(duration))
            .ok_or_else(|| {
                format!(
                    "a duration from {} to {}, with its unit",
                    humantime::format_duration(low),
                    humantime::format_duration(high)
                )
                .into()
            })
    }
}

fn duration(value: &DeValue<'_>) -> Option<Duration> {
    humantime::parse_duration(value.as_str()?).ok()
}

pub(super) fn hold_time(value: &DeValue<'_>) -> Parsed<HoldTime> {
    duration(value)
        .filter(|duration| duration.subsec_nanos() == 0)
        .and_then(|duration| u16::try_from(duration.as_secs()).ok())
        .and_then(HoldTime::from_secs)
        .ok_or_else(|| "0s or 3s to 65535s".into())
}

/// What becomes of the routes of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Received {
    #[default]
    Counted,
    Kept,
}

pub(super) fn received_routes(value: &DeValue<'_>) -> Parsed<Received> {
    match value.as_str() {
        Some("counted") => Ok(Received::Counted),
        Some("kept") => Ok(Received::Kept),
        _ => Err("\"counted\" or \"kept\"".into()),
    }
}

/// How many prefixes a peer may announce; 0 for any number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MaxPrefixes {
    /// Of each family that it has.
    Each(u32),
    /// Of those that are named.
    ByFamily(BTreeMap<Family, u32>),
}

pub(super) fn max_prefixes(value: &DeValue<'_>) -> Parsed<MaxPrefixes> {
    let expected = || {
        Expected::from(
            "a number from 0, for any number, to 4294967295, or one by family: { ipv4-unicast = 1000, ipv6-unicast = 500 }",
        )
    };
    let Some(table) = value.as_table() else {
        return number(value).map(MaxPrefixes::Each).map_err(|_| expected());
    };
    let mut limits = BTreeMap::new();
    for (name, limit) in table {
        let family = name.get_ref().parse().map_err(|_| expected())?;
        limits.insert(family, number(limit.get_ref()).map_err(|_| expected())?);
    }
    Ok(MaxPrefixes::ByFamily(limits))
}

/// `"never"`, or something else.
pub(super) fn never_or<T>(
    parse: impl Fn(&DeValue<'_>) -> Parsed<T>,
) -> impl Fn(&DeValue<'_>) -> Parsed<Option<T>> {
    move |value| match value.as_str() {
        Some("never") => Ok(None),
        _ => parse(value)
            .map(Some)
            .map_err(|Expected(expected)| format!("\"never\", or {expected}").into()),
    }
}

pub(super) fn auth_type(value: &DeValue<'_>) -> Parsed<AuthType> {
    let mut types = AuthType::ALL.into_iter();
    types
        .find(|auth_type| value.as_str() == Some(auth_type.to_string().as_str()))
        .ok_or_else(|| AUTH_TYPES.into())
}

pub(super) fn nonzero_octet(value: &DeValue<'_>) -> Parsed<NonZeroU8> {
    number_between::<u8>(1, 255)(value)
        .and_then(|number| NonZeroU8::new(number).ok_or_else(|| "a number from 1 to 255".into()))
}

pub(super) fn community(value: &DeValue<'_>) -> Parsed<AnyCommunity> {
    parse_community(value.as_str().unwrap_or_default()).map_err(Expected)
}

pub(super) fn on_exit(value: &DeValue<'_>) -> Parsed<OnExit> {
    match value.as_str() {
        Some("withdraw") => Ok(OnExit::Withdraw),
        Some("restart") => Ok(OnExit::Restart),
        _ => Err("\"withdraw\" or \"restart\"".into()),
    }
}

/// A table of times, or `false`.
pub(super) fn graceful_restart(value: &DeValue<'_>) -> Parsed<Option<RestartConfig>> {
    let expected = || {
        Expected::from(
            "false, or a table { restart-time = \"120s\", long-lived-stale-time = \"0s\" } with up to 4095s and up to 16777215s, in whole seconds",
        )
    };
    let seconds = |value: Option<&DeValue<'_>>, default: u64| match value {
        Some(value) => duration(value)
            .filter(|duration| duration.subsec_nanos() == 0)
            .map(|duration| duration.as_secs())
            .ok_or_else(expected),
        None => Ok(default),
    };
    if value.as_bool() == Some(false) {
        return Ok(None);
    }
    let table = value.as_table().ok_or_else(expected)?;
    let known = ["restart-time", "long-lived-stale-time"];
    if table
        .keys()
        .any(|key| !known.contains(&key.get_ref().as_ref()))
    {
        return Err(expected());
    }
    let of = |key: &str| table.get(key).map(|value| value.get_ref());
    let restart_time = seconds(of("restart-time"), 120)?;
    let stale_time = seconds(of("long-lived-stale-time"), 0)?;
    Ok(Some(RestartConfig {
        restart_time: u16::try_from(restart_time)
            .ok()
            .filter(|seconds| *seconds > 0)
            .and_then(RestartTime::from_secs)
            .ok_or_else(expected)?,
        long_lived_stale_time: u32::try_from(stale_time)
            .ok()
            .and_then(LongLivedStaleTime::from_secs)
            .ok_or_else(expected)?,
    }))
}

/// `"self"`, an address, or an array of them; none for `"self"`.
pub(super) fn next_hops(value: &DeValue<'_>) -> Parsed<Vec<IpAddr>> {
    let parse =
        |value: &DeValue<'_>| parse_next_hop(value.as_str().unwrap_or_default()).map_err(Expected);
    match value {
        DeValue::Array(elements) if !elements.is_empty() => elements
            .iter()
            .map(|element| parse(element.get_ref()))
            .collect(),
        _ if value.as_str() == Some("self") => Ok(Vec::new()),
        _ => parse(value).map(|address| vec![address]),
    }
}

/// BIRD's words for the same.
pub(super) fn link_local_next_hop(value: &DeValue<'_>) -> Parsed<LinkLocalNextHop> {
    match value.as_str() {
        Some("double") => Ok(LinkLocalNextHop::Double),
        Some("single") => Ok(LinkLocalNextHop::Single),
        Some("native") => Ok(LinkLocalNextHop::Native),
        _ => Err(
            "\"double\" (the address twice), \"single\" (once) or \"native\" (behind ::)".into(),
        ),
    }
}

pub(super) fn add_path(value: &DeValue<'_>) -> Parsed<AddPathDirection> {
    match value.as_str() {
        Some("send") => Ok(AddPathDirection::Send),
        Some("receive") => Ok(AddPathDirection::Receive),
        Some("both") => Ok(AddPathDirection::Both),
        _ => Err("\"send\", \"receive\" or \"both\"".into()),
    }
}

pub(super) fn role(value: &DeValue<'_>) -> Parsed<Role> {
    let text = value.as_str().unwrap_or_default();
    text.parse()
        .map_err(|error: UnknownName| error.expected.into())
}

pub(super) fn aggregator(value: &DeValue<'_>) -> Parsed<AggregatedBy> {
    parse_aggregator(value.as_str().unwrap_or_default()).map_err(Expected)
}

pub(super) fn log_level(value: &DeValue<'_>) -> Parsed<LogLevel> {
    match value.as_str() {
        Some("error") => Ok(LogLevel::Error),
        Some("warn") => Ok(LogLevel::Warn),
        Some("info") => Ok(LogLevel::Info),
        Some("debug") => Ok(LogLevel::Debug),
        Some("trace") => Ok(LogLevel::Trace),
        _ => Err("\"error\", \"warn\", \"info\", \"debug\" or \"trace\"".into()),
    }
}

pub(super) fn log_format(value: &DeValue<'_>) -> Parsed<LogFormat> {
    match value.as_str() {
        Some("text") => Ok(LogFormat::Text),
        Some("json") => Ok(LogFormat::Json),
        _ => Err("\"text\" or \"json\"".into()),
    }
}
