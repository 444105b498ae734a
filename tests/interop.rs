//! Interop: real routers in containers, real links that are really cut.
//!
//! These tests need root and what `scripts/test` installs. Where that is missing they say so and are skipped.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is a test's verdict"
)]

#[path = "interop/acceptance.rs"]
mod acceptance;
#[path = "interop/add_path.rs"]
mod add_path;
#[path = "interop/advertisements.rs"]
mod advertisements;
#[path = "interop/attributes.rs"]
mod attributes;
#[path = "interop/bfd_and_bgp.rs"]
mod bfd_and_bgp;
#[path = "interop/bfd_authentication.rs"]
mod bfd_authentication;
#[path = "interop/bfd_by_route.rs"]
mod bfd_by_route;
#[path = "interop/bfd_echo.rs"]
mod bfd_echo;
#[path = "interop/bfd_hooks.rs"]
mod bfd_hooks;
#[path = "interop/bfd_network.rs"]
mod bfd_network;
#[path = "interop/bfd_sessions.rs"]
mod bfd_sessions;
#[path = "interop/collision.rs"]
mod collision;
#[path = "interop/drain.rs"]
mod drain;
#[path = "interop/failover.rs"]
mod failover;
#[path = "interop/frr_hosts.rs"]
mod frr_hosts;
#[path = "interop/gtsm.rs"]
mod gtsm;
#[path = "interop/health.rs"]
mod health;
#[path = "interop/inbound.rs"]
mod inbound;
#[path = "interop/md5.rs"]
mod md5;
#[path = "interop/neighborhood.rs"]
mod neighborhood;
#[path = "interop/next_hops.rs"]
mod next_hops;
#[path = "interop/pair.rs"]
mod pair;
#[path = "interop/pools.rs"]
mod pools;
#[path = "interop/ranges.rs"]
mod ranges;
#[path = "interop/reload.rs"]
mod reload;
#[path = "interop/restart.rs"]
mod restart;
#[path = "interop/roles.rs"]
mod roles;
#[path = "interop/routers.rs"]
mod routers;
#[path = "interop/sessions.rs"]
mod sessions;
#[path = "interop/story.rs"]
mod story;
#[path = "interop/topology.rs"]
mod topology;
#[path = "interop/unnumbered.rs"]
mod unnumbered;
#[path = "interop/upstream.rs"]
mod upstream;

mod support;
