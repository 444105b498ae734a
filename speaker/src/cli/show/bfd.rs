//! `herald show bfd`: every BFD session, or one with all that RFC 5880 §6.8.1 names.

use comfy_table::Cell;

use super::page::{Page, seconds};
use super::{age, bfd_state, ms, or_dash};
use crate::status::{
    BfdAuthenticationStatus, BfdEchoStatus, BfdSessionStatus, BfdStatus, EventStatus,
};

/// Each session, one line.
pub(super) fn table(sessions: &[BfdStatus], wide: bool) -> String {
    let mut heads = vec!["NAME", "STATE", "FOR", "HOPS", "TX/RX", "DETECT", "WHY"];
    if wide {
        heads.extend(["REMOTE", "PROFILE", "ALSO", "DISCR", "REMOTE DISCR"]);
        heads.extend(["REMOTE DIAG", "IN", "OUT", "DISCARDED", "LATE", "UP/DOWN"]);
    }
    let rows = sessions.iter().map(|bfd| {
        let session = bfd.session.as_ref();
        let mut row = vec![
            Cell::new(&bfd.name),
            bfd_state(bfd),
            or_dash(bfd.in_state_ms.map(age)),
            Cell::new(format!(
                "{}: {}",
                if bfd.multihop { "multi" } else { "single" },
                bfd.hops_because
            )),
            or_dash(session.map(intervals)),
            or_dash(
                session
                    .and_then(|session| session.detection_time_ms)
                    .map(ms),
            ),
            or_dash(why(bfd)),
        ];
        if wide {
            let also = bfd.bfd_session.clone().filter(|name| *name != bfd.name);
            row.extend([
                Cell::new(&bfd.remote),
                Cell::new(&bfd.profile),
                or_dash(also),
            ]);
            row.extend(session.into_iter().flat_map(wide_columns));
        }
        row
    });
    let empty = "no BFD sessions; give a peer a bfd-profile, or add a [[bfd-session]]";
    super::table(&heads, rows, wide, empty)
}

fn wide_columns(session: &BfdSessionStatus) -> [Cell; 8] {
    let discarded: u64 = session.discarded.values().sum();
    [
        Cell::new(session.local_discr),
        Cell::new(session.remote_discr),
        Cell::new(&session.remote_diag),
        Cell::new(session.packets_in),
        Cell::new(session.packets_out),
        Cell::new(discarded),
        Cell::new(session.late_timers),
        Cell::new(format!("{}/{}", session.up_count, session.down_count)),
    ]
}

/// How often we send, and how often the other end does.
fn intervals(session: &BfdSessionStatus) -> String {
    let or_none = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), ms);
    let receive = session.remote_detect_mult.map(|_| {
        session
            .required_min_rx_interval_ms
            .max(session.remote_desired_min_tx_interval_ms)
    });
    format!(
        "{}/{}",
        or_none(session.transmit_interval_ms),
        or_none(receive)
    )
}

/// What there is to say beside the state: what is wrong, or else both diagnostics.
fn why(bfd: &BfdStatus) -> Option<String> {
    let said = bfd.error.as_ref().or(bfd.warning.as_ref());
    if said.is_some() {
        return said.cloned();
    }
    let session = bfd.session.as_ref()?;
    let (local, remote) = (&session.local_diag, &session.remote_diag);
    Some(match local == remote {
        true => local.clone(),
        false => format!("{local}; remote: {remote}"),
    })
}

/// Everything about one.
pub(super) fn page(bfd: &BfdStatus, events: &[EventStatus]) -> String {
    let mut page = Page::default();
    page.line(0, format_args!("BFD session {}: {}", bfd.name, bfd.remote));
    if let Some(description) = &bfd.description {
        page.line(2, format_args!("{description}"));
    }
    page.story(&bfd.story);
    let users = [
        bfd.peer.as_ref().map(|name| format!("peer {name}")),
        bfd.bfd_session
            .as_ref()
            .map(|name| format!("bfd-session {name}")),
    ];
    let users: Vec<String> = users.into_iter().flatten().collect();
    match &bfd.bfd_range {
        Some(range) => page.line(2, format_args!("Dynamic       of bfd-range {range}")),
        None => page.line(2, format_args!("Runs for      {}", users.join(" and "))),
    }
    let ends = [
        bfd.local.as_ref().map(|local| format!("from {local}")),
        bfd.interface
            .as_ref()
            .map(|interface| format!("at {interface}")),
    ];
    let ends: Vec<String> = ends.into_iter().flatten().collect();
    if !ends.is_empty() {
        page.line(2, format_args!("Bound         {}", ends.join(" ")));
    }
    page.bfd(Some(bfd));
    if let Some(session) = &bfd.session {
        page.variables(session);
        page.discards(session);
    }
    page.events(events);
    page.text()
}

impl Page {
    /// What a peer's page says of it, too.
    pub(super) fn bfd(&mut self, bfd: Option<&BfdStatus>) {
        let Some(bfd) = bfd else {
            self.line(2, format_args!("BFD           not configured"));
            return;
        };
        let since = bfd
            .in_state_ms
            .map_or_else(String::new, |ms| format!(", for {}", age(ms)));
        let enabled = match bfd.enabled {
            true => "",
            false => " (disabled in the configuration)",
        };
        self.line(
            2,
            format_args!(
                "BFD           {}{enabled}{since}, profile {}",
                bfd.state, bfd.profile
            ),
        );
        if let Some(error) = &bfd.error {
            self.line(4, format_args!("{error}"));
        }
        if let Some(warning) = &bfd.warning {
            self.line(4, format_args!("warning: {warning}"));
        }
        let hops = if bfd.multihop {
            "multihop"
        } else {
            "single hop"
        };
        self.line(
            4,
            format_args!(
                "{hops} ({}) to {}, minimum TTL {}",
                bfd.hops_because, bfd.remote, bfd.minimum_ttl
            ),
        );
        if let Some(ms) = bfd.strict_hold_time_ms {
            self.line(
                4,
                format_args!("strict: BGP waits for it, up to {}", seconds(ms)),
            );
        }
        if let Some(session) = &bfd.session {
            self.bfd_session(session);
        }
    }

    fn bfd_session(&mut self, session: &BfdSessionStatus) {
        self.line(
            4,
            format_args!(
                "discriminators: local {}, remote {}",
                session.local_discr, session.remote_discr
            ),
        );
        self.line(
            4,
            format_args!(
                "local:  transmit {}, receive {}, multiplier {}; {}",
                ms(session.desired_min_tx_interval_ms),
                ms(session.required_min_rx_interval_ms),
                session.detect_mult,
                session.local_diag,
            ),
        );
        self.line(
            4,
            format_args!(
                "remote: transmit {}, receive {}, multiplier {}; {}, {}",
                ms(session.remote_desired_min_tx_interval_ms),
                ms(session.remote_min_rx_interval_ms),
                session
                    .remote_detect_mult
                    .map_or_else(|| "-".to_owned(), |mult| mult.to_string()),
                session.remote_state,
                session.remote_diag,
            ),
        );
        let or_none = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), ms);
        self.line(
            4,
            format_args!(
                "in force: transmit every {}, detection time {}, least margin {}",
                or_none(session.transmit_interval_ms),
                or_none(session.detection_time_ms),
                margin(session),
            ),
        );
        self.gaps(session);
        if session.remote_control_plane_independent {
            self.line(
                4,
                format_args!("the neighbor's BFD survives its control plane (C bit)"),
            );
        }
        if session.demand_mode || session.remote_demand_mode {
            let who = match (session.demand_mode, session.remote_demand_mode) {
                (true, true) => "both sides",
                (true, false) => "ours: the neighbor sends nothing unasked",
                _ => "the neighbor's: we send nothing unasked",
            };
            self.line(4, format_args!("demand mode: {who}"));
        }
        if let Some(echo) = &session.echo {
            self.bfd_echo(echo);
        }
        if let Some(authentication) = &session.authentication {
            self.bfd_authentication(authentication);
        }
        let discarded: u64 = session.discarded.values().sum();
        self.line(4, format_args!(
            "packets: {} in, {} out, {discarded} discarded, {} late, {} not sent; up {}, down {} times",
            session.packets_in,
            session.packets_out,
            session.late_timers,
            session.transmit_errors,
            session.up_count,
            session.down_count,
        ));
    }

    fn bfd_echo(&mut self, echo: &BfdEchoStatus) {
        let or_none = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), ms);
        let allowed = |interval: f64| or_none((interval != 0.0).then_some(interval));
        self.line(
            4,
            format_args!(
                "echo: sent every {}, detection time {}, round trip {}; the neighbor takes {}, we take {}",
                or_none(echo.transmit_interval_ms),
                or_none(echo.detection_time_ms),
                or_none(echo.round_trip_ms),
                allowed(echo.remote_receive_interval_ms),
                allowed(echo.receive_interval_ms),
            ),
        );
        self.line(
            4,
            format_args!(
                "echo packets: {} out, {} came back, {} lost; {} of the neighbor's returned",
                echo.packets_out, echo.packets_in, echo.packets_lost, echo.packets_returned,
            ),
        );
        let obstacles = [&echo.transmit_obstacle, &echo.receive_obstacle];
        for obstacle in obstacles.into_iter().flatten() {
            self.line(4, format_args!("echo: {obstacle}"));
        }
    }

    fn bfd_authentication(&mut self, authentication: &BfdAuthenticationStatus) {
        let ids = authentication.accepted_key_ids.iter();
        let accepted: Vec<String> = ids.map(u8::to_string).collect();
        let received = authentication.received_key_id;
        self.line(
            4,
            format_args!(
                "authentication: {}, sent with key {}, accepted with {}, received with {}",
                authentication.auth_type,
                authentication.sent_key_id,
                accepted.join(" and "),
                received.map_or_else(|| "none yet".to_owned(), |id| id.to_string()),
            ),
        );
    }

    fn variables(&mut self, session: &BfdSessionStatus) {
        self.line(
            2,
            format_args!("Variables     of RFC 5880 §6.8.1, in force"),
        );
        let flags = [
            ("passive", session.passive),
            ("a Poll Sequence runs", session.polling),
        ];
        let flags: Vec<&str> = flags
            .iter()
            .filter(|(_, on)| *on)
            .map(|(it, _)| *it)
            .collect();
        for (name, value) in [
            ("SessionState", session.state.clone()),
            ("RemoteSessionState", session.remote_state.clone()),
            ("LocalDiscr", discriminator(session.local_discr)),
            ("RemoteDiscr", discriminator(session.remote_discr)),
            ("LocalDiag", session.local_diag.clone()),
            ("remote diagnostic", session.remote_diag.clone()),
            (
                "DesiredMinTxInterval",
                ms(session.desired_min_tx_interval_ms),
            ),
            (
                "RequiredMinRxInterval",
                ms(session.required_min_rx_interval_ms),
            ),
            ("RemoteMinRxInterval", ms(session.remote_min_rx_interval_ms)),
            (
                "remote Desired Min TX",
                ms(session.remote_desired_min_tx_interval_ms),
            ),
            ("DemandMode", session.demand_mode.to_string()),
            ("RemoteDemandMode", session.remote_demand_mode.to_string()),
            ("DetectMult", session.detect_mult.to_string()),
        ] {
            self.line(4, format_args!("{name:<22} {value}"));
        }
        self.authentication_variables(session.authentication.as_ref());
        if !flags.is_empty() {
            self.line(4, format_args!("{:<22} {}", "also", flags.join(", ")));
        }
    }

    /// How long it was between packets while Up.
    /// What a type without sequence numbers has none of is a dash.
    fn authentication_variables(&mut self, authentication: Option<&BfdAuthenticationStatus>) {
        let of_type = authentication.map_or("none", |it| it.auth_type.as_str());
        let [received, sent] = [
            authentication.and_then(|it| it.rcv_auth_seq),
            authentication.and_then(|it| it.xmit_auth_seq),
        ];
        let or_dash =
            |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |it| it.to_string());
        for (name, value) in [
            ("AuthType", of_type.to_owned()),
            ("RcvAuthSeq", or_dash(received)),
            ("XmitAuthSeq", or_dash(sent)),
            ("AuthSeqKnown", u8::from(received.is_some()).to_string()),
        ] {
            self.line(4, format_args!("{name:<22} {value}"));
        }
    }

    fn gaps(&mut self, session: &BfdSessionStatus) {
        let gaps = session.receive_gaps.iter().filter(|gaps| gaps.count > 0);
        let gaps: Vec<String> = gaps
            .map(|gaps| match gaps.up_to_percent {
                Some(percent) => format!("{} up to {percent} %", gaps.count),
                None => format!("{} longer", gaps.count),
            })
            .collect();
        if !gaps.is_empty() {
            self.line(
                4,
                format_args!("received, in % of the agreed interval: {}", gaps.join(", ")),
            );
        }
    }

    fn discards(&mut self, session: &BfdSessionStatus) {
        if session.discarded.is_empty() {
            return;
        }
        self.line(2, format_args!("Discarded     by reason"));
        for (reason, count) in &session.discarded {
            self.line(4, format_args!("{reason:<22} {count}"));
        }
    }
}

/// How close to detection it came, and when.
fn margin(session: &BfdSessionStatus) -> String {
    let Some(left) = session.worst_detection_margin_ms else {
        return "none".to_owned();
    };
    let details = [
        session
            .worst_detection_margin_percent
            .map(|percent| format!("{percent} %")),
        session
            .worst_detection_margin_ago_ms
            .map(|ago| format!("{} ago", age(ago))),
        session
            .detection_margin_measured_ms
            .map(|measured| format!("measured for {}", age(measured))),
    ];
    let details: Vec<String> = details.into_iter().flatten().collect();
    match details.is_empty() {
        true => ms(left),
        false => format!("{} ({})", ms(left), details.join(", ")),
    }
}

fn discriminator(number: u32) -> String {
    format!("{number} ({number:#010x})")
}
