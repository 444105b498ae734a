//! How each speaker is configured for the same peers and services.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::support::daemon::socket_in;
use crate::support::{Lab, Namespace};
use crate::{ROUTER_AS, SPEAKER, SPEAKER_AS};

/// Where Herald's files are; what an earlier daemon has kept there is gone.
pub fn herald_directory(lab: &Lab) -> PathBuf {
    let directory = lab.directory("herald");
    let _ = std::fs::remove_dir_all(directory.join("state"));
    directory
}

/// Herald with these peers, and a service for each address.
pub fn herald(directory: &Path, peers: &[Ipv4Addr], services: &[Ipv4Addr]) -> String {
    let mut config = format!(
        "[speaker]\nlocal-as = {SPEAKER_AS}\nrouter-id = \"{SPEAKER}\"\nstate-dir = {:?}\n\n[api]\nsocket = {:?}\n\n",
        directory.join("state"),
        socket_in(directory),
    );
    for peer in peers {
        let _ = writeln!(
            config,
            "[[peer]]\naddress = \"{peer}\"\nremote-as = {ROUTER_AS}\n"
        );
    }
    for (index, address) in services.iter().enumerate() {
        let _ = writeln!(
            config,
            "[[service]]\nname = \"service-{index}\"\naddresses = [\"{address}\"]\n"
        );
    }
    config
}

/// BIRD with these peers, and a static route for each service with `via` behind it.
pub fn bird(peers: &[Ipv4Addr], services: &[Ipv4Addr], via: &str) -> String {
    let mut config =
        format!("router id {SPEAKER};\nprotocol device {{}}\nprotocol static {{\n    ipv4;\n");
    for service in services {
        let _ = writeln!(config, "    route {service}/32 {via};");
    }
    config.push_str("}\n");
    for peer in peers {
        let _ = writeln!(
            config,
            "protocol bgp {{ local {SPEAKER} as {SPEAKER_AS}; neighbor {peer} as {ROUTER_AS}; ipv4 {{ import none; export all; next hop self; }}; }}",
        );
    }
    config
}

/// FRR with these peers, and `network` for each service.
pub fn frr(peers: &[Ipv4Addr], services: &[Ipv4Addr]) -> String {
    let mut config = format!(
        "frr defaults traditional\nhostname frr\n!\nrouter bgp {SPEAKER_AS}\n bgp router-id {SPEAKER}\n no bgp ebgp-requires-policy\n no bgp network import-check\n"
    );
    for peer in peers {
        let _ = writeln!(config, " neighbor {peer} remote-as {ROUTER_AS}");
    }
    config.push_str(" !\n address-family ipv4 unicast\n");
    for service in services {
        let _ = writeln!(config, "  network {service}/32");
    }
    config.push_str(" exit-address-family\nexit\n!\n");
    config
}

/// GoBGP with these peers; routes come by its command.
pub fn gobgp(peers: &[Ipv4Addr]) -> String {
    let mut config = format!("[global.config]\nas = {SPEAKER_AS}\nrouter-id = \"{SPEAKER}\"\n\n");
    for peer in peers {
        let _ = writeln!(
            config,
            "[[neighbors]]\n[neighbors.config]\nneighbor-address = \"{peer}\"\npeer-as = {ROUTER_AS}\n"
        );
    }
    config
}

/// A daemon that is started with a configuration, and ends when it is dropped.
pub type Running = Box<dyn std::any::Any>;

/// Starts something for measuring: its name is that of a row.
pub type Start<'a> = (&'a str, &'a dyn Fn(&Lab, &Namespace) -> Running);
