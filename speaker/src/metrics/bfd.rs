//! What Prometheus is told of BFD.

use std::fmt;

use bfd::engine::{EngineStatus, Grant};
use bfd::{ReceiveGaps, State};
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::{Counters, Gauges, Seconds};
use crate::bfd_thread::BfdReport;
use crate::config::Party;
use crate::control::Snapshot;

/// Each BFD session has a name. That of the `[[bfd-session]]` stays the same when a peer joins it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Session {
    session: String,
    peer: Option<String>,
    bfd_session: Option<String>,
}

impl Session {
    fn of(report: &BfdReport) -> Self {
        let peer = report.users.iter().find_map(Party::peer);
        let bfd_session = report.users.iter().find_map(Party::bfd_session);
        Self {
            session: report.users.first().map_or("", Party::name).to_owned(),
            peer: peer.map(ToString::to_string),
            bfd_session: bfd_session.map(ToString::to_string),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Packets {
    #[prometheus(flatten)]
    session: Session,
    direction: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Privilege {
    privilege: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SessionReason {
    #[prometheus(flatten)]
    session: Session,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Range {
    range: String,
}

pub(super) fn add(registry: &mut Registry, snapshot: &Snapshot) {
    let up = Gauges::<Session>::default();
    let ups = Counters::<Session>::default();
    let downs = Counters::<Session>::default();
    let packets = Counters::<Packets>::default();
    let late = Counters::<Session>::default();
    let transmit_errors = Counters::<Session>::default();
    let discards = Counters::<SessionReason>::default();
    let strays = Counters::<Reason>::default();
    let detection = Seconds::<Session>::default();
    let margin = Seconds::<Session>::default();
    let echo_packets = Counters::<Packets>::default();
    let echo_lost = Counters::<Session>::default();
    let echo_round_trip = Seconds::<Session>::default();
    let mut gaps = Gaps::default();
    for report in &snapshot.bfd.sessions {
        let label = Session::of(report);
        let session = report.session.as_ref().ok();
        let is_up = session.is_some_and(|session| session.session_state == State::Up);
        up.get_or_create(&label).set(i64::from(is_up));
        let Some(session) = session else { continue };
        let counters = &session.counters;
        ups.get_or_create(&label).inc_by(counters.ups);
        downs.get_or_create(&label).inc_by(counters.downs);
        late.get_or_create(&label).inc_by(counters.late_timers);
        transmit_errors
            .get_or_create(&label)
            .inc_by(counters.transmit_errors);
        for (direction, number) in [
            ("sent", counters.packets_out),
            ("received", counters.packets_in),
        ] {
            let label = Packets {
                session: label.clone(),
                direction,
            };
            packets.get_or_create(&label).inc_by(number);
        }
        for (reason, number) in counters.discarded.iter() {
            let label = SessionReason {
                session: label.clone(),
                reason,
            };
            discards.get_or_create(&label).inc_by(number);
        }
        if let Some(time) = session.detection_time {
            detection.get_or_create(&label).set(time.as_secs_f64());
        }
        if let Some(echo) = &session.echo {
            for (direction, number) in [("sent", echo.packets_out), ("received", echo.packets_in)] {
                let label = Packets {
                    session: label.clone(),
                    direction,
                };
                echo_packets.get_or_create(&label).inc_by(number);
            }
            echo_lost.get_or_create(&label).inc_by(echo.packets_lost);
            if let Some(time) = echo.last_round_trip {
                let time = time.as_secs_f64();
                echo_round_trip.get_or_create(&label).set(time);
            }
        }
        if let Some(least) = counters.detection_margin {
            let left = least.left().as_secs_f64();
            margin.get_or_create(&label).set(left);
        }
        gaps.0.push((label.clone(), counters.receive_gaps.clone()));
    }
    for (reason, number) in snapshot.bfd_engine.discards.iter() {
        let label = Reason { reason };
        strays.get_or_create(&label).inc_by(number);
    }
    registry.register("bfd_up", "1 while the BFD session is Up", up);
    registry.register("bfd_ups", "How often the BFD session came Up", ups);
    registry.register(
        "bfd_downs",
        "How often the BFD session ceased to be Up",
        downs,
    );
    registry.register("bfd_packets", "BFD control packets by direction", packets);
    registry.register(
        "bfd_late_timers",
        "BFD transmissions that this host was late for",
        late,
    );
    registry.register(
        "bfd_transmit_errors",
        "BFD control packets that the system refused to send",
        transmit_errors,
    );
    registry.register(
        "bfd_session_discards",
        "BFD packets of a session that were discarded, by reason",
        discards,
    );
    registry.register(
        "bfd_discards",
        "BFD packets of no session that were discarded, by reason",
        strays,
    );
    registry.register_with_unit(
        "bfd_detection_time",
        "After how long silence the BFD session is down",
        Unit::Seconds,
        detection,
    );
    registry.register(
        "bfd_echo_packets",
        "BFD echo packets of ours, sent and come back",
        echo_packets,
    );
    registry.register(
        "bfd_echo_lost",
        "BFD echo packets of ours that did not come back in time",
        echo_lost,
    );
    registry.register_with_unit(
        "bfd_echo_round_trip",
        "How long the latest BFD echo packet was on its way there and back",
        Unit::Seconds,
        echo_round_trip,
    );
    registry.register_with_unit(
        "bfd_worst_detection_margin",
        "The least time that was left to detection when a packet came",
        Unit::Seconds,
        margin,
    );
    registry.register(
        "bfd_receive_gap_ratio",
        "The time between packets while Up, as a share of the interval that both ends agreed upon",
        gaps,
    );
    add_engine(registry, &snapshot.bfd_engine);
    add_ranges(registry, &snapshot.bfd_engine);
}

fn add_ranges(registry: &mut Registry, engine: &EngineStatus) {
    let sessions = Gauges::<Range>::default();
    let limit = Gauges::<Range>::default();
    let refused = Counters::<Range>::default();
    let failed = Counters::<Range>::default();
    for status in &engine.ranges {
        let label = Range {
            range: status.name.to_string(),
        };
        let gauge = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        sessions.get_or_create(&label).set(gauge(status.sessions));
        limit.get_or_create(&label).set(gauge(status.max_sessions));
        refused.get_or_create(&label).inc_by(status.refused);
        failed.get_or_create(&label).inc_by(status.failed);
    }
    registry.register(
        "bfd_range_sessions",
        "BFD sessions that neighbors have begun from a range",
        sessions,
    );
    registry.register(
        "bfd_range_limit",
        "How many BFD sessions a range accepts at a time",
        limit,
    );
    registry.register(
        "bfd_range_refused",
        "BFD packets that began no session because their range was full",
        refused,
    );
    registry.register(
        "bfd_range_failures",
        "BFD sessions of a range that could not be opened",
        failed,
    );
}

fn add_engine(registry: &mut Registry, engine: &EngineStatus) {
    let kernel_drops = Counters::<Reason>::default();
    for (reason, number) in [
        ("late", engine.kernel_drops.late),
        ("rejected", engine.kernel_drops.rejected),
        ("echo", engine.kernel_drops.echo),
    ] {
        kernel_drops
            .get_or_create(&Reason { reason })
            .inc_by(number);
    }
    registry.register(
        "bfd_kernel_drops",
        "Datagrams at the BFD ports that the kernel dropped, by reason",
        kernel_drops,
    );
    let granted = Gauges::<Privilege>::default();
    let refused = Gauges::<Privilege>::default();
    for (privilege, grant) in [
        ("realtime", &engine.realtime),
        ("lock-memory", &engine.lock_memory),
    ] {
        let label = Privilege { privilege };
        let is_granted = *grant == Grant::Granted;
        let is_refused = grant.refusal().is_some();
        granted.get_or_create(&label).set(i64::from(is_granted));
        refused.get_or_create(&label).set(i64::from(is_refused));
    }
    registry.register(
        "bfd_privilege_granted",
        "1 while the BFD thread has a privilege that it was configured to ask for",
        granted,
    );
    registry.register(
        "bfd_privilege_refused",
        "1 while the system refuses the BFD thread a privilege that it was configured to ask for",
        refused,
    );
}

/// The receive interval histogram of each session, as the engine counts it.
#[derive(Debug, Default)]
struct Gaps(Vec<(Session, ReceiveGaps)>);

impl EncodeMetric for Gaps {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let share = |thousandths: u64| thousandths as f64 / 1000.0;
        for (session, gaps) in &self.0 {
            let buckets: Vec<(f64, u64)> = gaps
                .buckets()
                .map(|(bound, count)| {
                    let bound = bound.map_or(f64::INFINITY, |bound| share(bound.into()));
                    (bound, count)
                })
                .collect();
            let mut of_session = encoder.encode_family(session)?;
            of_session.encode_histogram::<Session>(
                share(gaps.sum()),
                gaps.total(),
                &buckets,
                None,
            )?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
