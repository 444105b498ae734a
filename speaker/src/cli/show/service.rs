//! `herald show service NAME`: everything about one service.

use super::page::{Page, seconds};
use super::{age, where_it_is};
use crate::status::{CheckStatus, EventStatus, HealthStatus, ServiceStatus};

/// The whole page.
pub(super) fn page(service: &ServiceStatus, events: &[EventStatus]) -> String {
    let mut page = Page::default();
    let addresses = match service.addresses.as_slice() {
        [] => "no address".to_owned(),
        addresses => addresses.join(", "),
    };
    page.line(0, format_args!("Service {}: {addresses}", service.name));
    page.announced(service);
    page.line(2, format_args!("From          {}", service.source));
    if let Some(pool) = &service.pool {
        page.line(2, format_args!("Pool          {pool}"));
    }
    if let Some(lack) = &service.lack {
        page.line(2, format_args!("Lacks         an address: {lack}"));
    }
    for (index, hosted) in service.hosted.iter().enumerate() {
        let label = if index == 0 { "On host" } else { "" };
        let place = where_it_is(hosted);
        page.line(2, format_args!("{label:<14}{}: {place}", hosted.address));
    }
    match &service.health {
        Some(health) => page.health(&service.state, health),
        None => page.line(
            2,
            format_args!("Health        not checked: it is taken to work"),
        ),
    }
    page.events(events);
    page.text()
}

fn peers(number: usize) -> String {
    match number {
        1 => "1 peer".to_owned(),
        _ => format!("{number} peers"),
    }
}

impl Page {
    /// To whom, and why not to whom.
    fn announced(&mut self, service: &ServiceStatus) {
        if let Some(reason) = &service.unannounced {
            self.line(2, format_args!("Announced     to nobody: {reason}"));
            if service.peers > 0 {
                let for_whom = peers(service.peers);
                self.line(2, format_args!("              it is for {for_whom}"));
            }
            return;
        }
        let (to, of) = (service.announced_to, peers(service.peers));
        self.line(2, format_args!("Announced     to {to} of {of}"));
        for lacking in &service.lacking {
            let (peer, reason) = (&lacking.peer, &lacking.reason);
            self.line(2, format_args!("              not to {peer}: {reason}"));
        }
    }

    fn health(&mut self, state: &str, health: &HealthStatus) {
        let turns = match health.transitions {
            1 => "turned once".to_owned(),
            number => format!("turned {number} times"),
        };
        let for_long = age(health.in_state_ms);
        self.line(
            2,
            format_args!("Health        {state} for {for_long}: {}", health.cause),
        );
        self.line(
            2,
            format_args!("              since {}, {turns}", health.since),
        );
        if let Some(check) = &health.check {
            self.check(check);
        }
        if let Some(path) = &health.bfd {
            let (name, state, cause) = (&path.bfd_session, &path.state, &path.cause);
            self.line(
                2,
                format_args!("Depends on    bfd-session {name}: {state}, {cause}"),
            );
        }
    }

    fn check(&mut self, check: &CheckStatus) {
        self.line(2, format_args!("Check         {}", check.probe));
        self.line(
            2,
            format_args!(
                "              every {}, within {}; fall {}, rise {}",
                seconds(check.interval_ms),
                seconds(check.timeout_ms),
                check.fall,
                check.rise
            ),
        );
        match &check.last {
            Some(last) => self.line(
                2,
                format_args!(
                    "Last check    {} ago, took {:.1} ms: {}",
                    age(last.ago_ms),
                    std::time::Duration::from_micros(last.took_us).as_secs_f64() * 1e3,
                    last.text
                ),
            ),
            None => self.line(2, format_args!("Last check    none has ended yet")),
        }
        let in_a_row = match (check.successes_in_a_row, check.failures_in_a_row) {
            (0, 0) => "none in a row".to_owned(),
            (successes, 0) => format!("the last {successes} good"),
            (_, failures) => format!("the last {failures} bad"),
        };
        self.line(
            2,
            format_args!(
                "Checks        {} good, {} bad, {} too slow; {in_a_row}",
                check.successes, check.failures, check.timeouts
            ),
        );
        if check.late > 0 {
            self.line(
                2,
                format_args!(
                    "              {} began late, for too many were under way or this host was busy",
                    check.late
                ),
            );
        }
    }
}
