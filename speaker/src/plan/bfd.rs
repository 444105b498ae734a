//! What new BFD keys of a peer or of a profile cost, and what they ask of the neighbor.

use super::{Difference, Differences, Effect};
use crate::config::{BfdAuth, BfdHops, BfdProfile, PeerBfd, PeerHops};

/// Said where a BFD session ends and BGP does not.
const END_ADVICE: &str =
    "a router may end BGP when BFD goes, and wait for BFD to come back; FRR 10.3 does";
const TYPE_ADVICE: &str = "BFD goes down unless the peer does the same within the detection time";
const SENT_KEY_ADVICE: &str = "BFD goes down unless the peer accepts the key that we send with";
const LOST_KEY_ADVICE: &str =
    "BFD goes down if the peer still sends with a key that we accept no longer";
const BOTH_KEYS_ADVICE: &str = "BFD goes down unless the peer accepts the key that we send with, \
    and sends with one that we still accept";

/// Whether a BFD session ends by it, and perhaps another begins.
pub(super) fn ends_session(difference: &Difference) -> bool {
    difference.advice == Some(END_ADVICE)
}

/// A BFD session that goes, goes as AdminDown, which is no failure (RFC 5882 §4.2). BGP stays in either case.
pub(super) fn compare_peer(
    found: &mut Differences,
    running: Option<&PeerBfd>,
    wanted: Option<&PeerBfd>,
) {
    use Effect::InPlace;
    // It is in the OPEN.
    let is_strict = |bfd: Option<&PeerBfd>| bfd.is_some_and(|bfd| bfd.strict.is_some());
    let (strict_before, strict) = (is_strict(running), is_strict(wanted));
    found.compare(Effect::Restart, "bfd-strict", &strict_before, &strict);
    let name = |bfd: &PeerBfd| bfd.profile.name.clone();
    let none = BfdProfile::NONE.to_owned();
    let (running, wanted) = match (running, wanted) {
        (Some(running), Some(wanted)) => (running, wanted),
        (Some(running), None) => {
            let running = name(running);
            return found.compare_advising(InPlace, "bfd-profile", &running, &none, END_ADVICE);
        }
        (None, Some(wanted)) => {
            return found.compare(InPlace, "bfd-profile", &none, &name(wanted));
        }
        (None, None) => return,
    };
    let PeerBfd {
        profile,
        hops,
        port,
        strict,
    } = wanted;
    if let (Some(running), Some(wanted)) = (running.strict, *strict) {
        found.compare(InPlace, "bfd-strict-hold-time", &running, &wanted);
    }
    // A session is named by its ends: one goes, and another begins. The least TTL follows from the profile's,
    // or from what restarts BGP.
    let multihop = |hops: PeerHops| match hops {
        PeerHops::Fixed(hops) => (hops != BfdHops::Single).to_string(),
        PeerHops::ByRoute { .. } => "as the route says".to_owned(),
    };
    let (multihop_before, multihop) = (multihop(running.hops), multihop(*hops));
    found.compare_advising(
        InPlace,
        "bfd-multihop",
        &multihop_before,
        &multihop,
        END_ADVICE,
    );
    found.compare_advising(InPlace, "bfd-port", &running.port, port, END_ADVICE);
    compare_profile(found, &running.profile, profile);
}

/// New timers are agreed upon by a Poll Sequence (RFC 5880 §6.8.3).
pub(super) fn compare_profile(found: &mut Differences, old: &BfdProfile, wanted: &BfdProfile) {
    use Effect::InPlace;
    let BfdProfile {
        name,
        transmit_interval,
        receive_interval,
        detect_multiplier,
        passive_mode,
        demand_mode,
        demand_poll_interval,
        echo_mode,
        echo_interval,
        echo_receive_interval,
        minimum_ttl,
        auth,
    } = wanted;
    found.compare(InPlace, "bfd-profile", &old.name, name);
    found.compare(
        InPlace,
        "transmit-interval",
        &old.transmit_interval,
        transmit_interval,
    );
    found.compare(
        InPlace,
        "receive-interval",
        &old.receive_interval,
        receive_interval,
    );
    found.compare(
        InPlace,
        "detect-multiplier",
        &old.detect_multiplier.get(),
        &detect_multiplier.get(),
    );
    found.compare(InPlace, "passive-mode", &old.passive_mode, passive_mode);
    found.compare(InPlace, "demand-mode", &old.demand_mode, demand_mode);
    found.compare(
        InPlace,
        "demand-poll-interval",
        &old.demand_poll_interval,
        demand_poll_interval,
    );
    found.compare(InPlace, "echo-mode", &old.echo_mode, echo_mode);
    found.compare(InPlace, "echo-interval", &old.echo_interval, echo_interval);
    found.compare(
        InPlace,
        "echo-receive-interval",
        &old.echo_receive_interval,
        echo_receive_interval,
    );
    let [old_ttl, minimum_ttl] =
        [&old.minimum_ttl, minimum_ttl].map(|ttl| ttl.map(|ttl| ttl.get()));
    found.compare(InPlace, "minimum-ttl", &old_ttl, &minimum_ttl);
    compare_auth(found, old.auth.as_ref(), auth.as_ref());
}

/// A roll-over needs no reset: the engine sends with the first key and accepts each. What the keys are, is not said.
fn compare_auth(found: &mut Differences, running: Option<&BfdAuth>, wanted: Option<&BfdAuth>) {
    if running == wanted {
        return;
    }
    let text = |auth: Option<&BfdAuth>| auth.map_or_else(|| "none".to_owned(), ToString::to_string);
    let (from, mut to) = (text(running), text(wanted));
    let pair = running.zip(wanted);
    if pair.is_some_and(|(running, wanted)| wanted.sends_what_is_new_to(running)) {
        to.push_str(", the first another key than before");
    } else if from == to {
        to.push_str(", of which one that we accept is another");
    }
    found.compare(Effect::InPlace, "auth", &from, &to);
    if let Some(difference) = found.found.last_mut() {
        difference.advice = auth_advice(pair);
    }
}

/// What the neighbor has to do.
fn auth_advice(pair: Option<(&BfdAuth, &BfdAuth)>) -> Option<&'static str> {
    let Some((running, wanted)) = pair.filter(|(running, wanted)| running.has_type_of(wanted))
    else {
        return Some(TYPE_ADVICE);
    };
    let sends_new = wanted.sends_what_is_new_to(running);
    match (sends_new, wanted.lacks_what_is_in(running)) {
        (true, true) => Some(BOTH_KEYS_ADVICE),
        (true, false) => Some(SENT_KEY_ADVICE),
        (false, true) => Some(LOST_KEY_ADVICE),
        (false, false) => None,
    }
}
