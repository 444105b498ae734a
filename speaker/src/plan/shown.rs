//! How the values of a plan are written.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use bgp::wire::AddPathDirection;
use bgp::{
    Asn, BgpIdentifier, Family, HoldTime, LinkLocalNextHop, ReceivedRoutes, RemoteAs,
    RestartConfig, Role,
};
use ipnet::IpNet;

use crate::config::{OnExit, PeerAddress, link_local_next_hop_name};

/// How a value is written in a plan: as it is in the file.
pub(super) trait Shown {
    fn shown(&self) -> String;
}

macro_rules! shown_as_displayed {
    ($($type:ty)*) => {$(
        impl Shown for $type {
            fn shown(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

shown_as_displayed! { AddPathDirection Ipv4Addr Ipv6Addr Role
    u8 u16 bool String Asn BgpIdentifier Family PeerAddress SocketAddr std::net::IpAddr
    std::num::NonZeroU8 std::num::NonZeroU16 IpNet crate::config::AddressRange crate::config::LogLevel crate::config::LogFormat
    crate::config::Account crate::config::CaptureSize crate::config::SocketMode
}

impl<T: Shown> Shown for Option<T> {
    fn shown(&self) -> String {
        self.as_ref()
            .map_or_else(|| "default".to_owned(), Shown::shown)
    }
}

impl<T: Shown> Shown for Vec<T> {
    fn shown(&self) -> String {
        let parts: Vec<String> = self.iter().map(Shown::shown).collect();
        format!("[{}]", parts.join(", "))
    }
}

impl Shown for std::path::PathBuf {
    fn shown(&self) -> String {
        self.display().to_string()
    }
}

impl Shown for Duration {
    fn shown(&self) -> String {
        humantime::format_duration(*self).to_string()
    }
}

impl Shown for HoldTime {
    fn shown(&self) -> String {
        format!("{}s", self.as_secs())
    }
}

impl Shown for RemoteAs {
    fn shown(&self) -> String {
        match self {
            Self::Is(asn) => asn.to_string(),
            Self::Internal => "internal".to_owned(),
            Self::External => "external".to_owned(),
        }
    }
}

impl Shown for LinkLocalNextHop {
    fn shown(&self) -> String {
        link_local_next_hop_name(*self).to_owned()
    }
}

impl Shown for OnExit {
    fn shown(&self) -> String {
        match self {
            Self::Withdraw => "withdraw".to_owned(),
            Self::Restart => "restart".to_owned(),
        }
    }
}

impl Shown for Option<RestartConfig> {
    fn shown(&self) -> String {
        let Some(restart) = self else {
            return "false".to_owned();
        };
        let restart_time = restart.restart_time.as_secs();
        match restart.long_lived_stale_time.as_secs() {
            0 => format!("{restart_time}s"),
            stale_time => format!("{restart_time}s and {stale_time}s"),
        }
    }
}

impl Shown for ReceivedRoutes {
    fn shown(&self) -> String {
        match self {
            Self::Counted | Self::Reported => "counted".to_owned(),
            Self::Kept(limit) => format!(
                "kept (at most {}, and {} octets of attributes)",
                limit.routes, limit.attribute_octets
            ),
        }
    }
}

impl Shown for BTreeMap<Family, NonZeroU32> {
    fn shown(&self) -> String {
        let limits = self
            .iter()
            .map(|(family, limit)| format!("{family} {limit}"));
        match limits.collect::<Vec<_>>() {
            limits if limits.is_empty() => "0".to_owned(),
            limits => limits.join(" and "),
        }
    }
}

/// A time that may never come.
#[derive(PartialEq)]
pub(super) struct Never(pub(super) Option<Duration>);

impl Shown for Never {
    fn shown(&self) -> String {
        self.0
            .as_ref()
            .map_or_else(|| "never".to_owned(), Shown::shown)
    }
}

/// A value that may not be there.
#[derive(PartialEq)]
pub(super) struct Named<'n, N>(pub(super) &'n Option<N>);

impl<N: std::fmt::Display> Shown for Named<'_, N> {
    fn shown(&self) -> String {
        let name = self.0.as_ref().map(ToString::to_string);
        name.unwrap_or_else(|| "none".to_owned())
    }
}

/// How many values of one key are written out.
const WRITTEN: usize = 8;

/// Values of which there may be none.
#[derive(PartialEq)]
pub(super) struct Texts(pub(super) Vec<String>);

impl Shown for Texts {
    fn shown(&self) -> String {
        match self.0.as_slice() {
            [] => "none".to_owned(),
            [one] => one.clone(),
            all => {
                let mut parts: Vec<String> = all.iter().take(WRITTEN).cloned().collect();
                if let more @ 1.. = all.len().saturating_sub(WRITTEN) {
                    parts.push(format!("and {more} more"));
                }
                format!("[{}]", parts.join(", "))
            }
        }
    }
}
