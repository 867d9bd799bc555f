//! [`Network`]: hosts of their own, in network namespaces of Linux, whose links can be taken down.
//!
//! Who talks to a host that is cut off gets neither a reset nor the end of its connection, as if its cable were pulled. It needs root and
//! the program `ip`.

use std::process::Command;

use crate::programs::text;

/// A network whose hosts reach each other, and are reached by this process. Drop it after its hosts.
#[derive(Debug)]
pub struct Network {
    bridge: String,
    /// The first three bytes of its addresses.
    prefix: String,
    hosts: u8,
}

impl Network {
    /// Makes a network without hosts.
    ///
    /// # Panics
    /// Without root, or without `ip`.
    #[must_use]
    pub fn new() -> Self {
        let [a, b, c, d, ..] = *uuid::Uuid::new_v4().as_bytes();
        let network = Self { bridge: format!("an{a:02x}{b:02x}"), prefix: format!("10.{}.{d}", 128 | c), hosts: 1 };
        let Self { bridge, prefix, .. } = &network;
        ip(&["link", "add", bridge, "type", "bridge"]);
        ip(&["addr", "add", &format!("{prefix}.1/24"), "dev", bridge]);
        ip(&["link", "set", bridge, "up"]);
        network
    }

    /// Adds a host.
    ///
    /// # Panics
    /// As [`Network::new`].
    pub fn host(&mut self) -> Host {
        self.hosts += 1;
        let (namespace, address) =
            (format!("{}n{}", self.bridge, self.hosts), format!("{}.{}", self.prefix, self.hosts));
        let link = format!("{}v{}", self.bridge, self.hosts);
        ip(&["netns", "add", &namespace]);
        ip(&["link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &namespace]);
        ip(&["link", "set", &link, "master", &self.bridge, "up"]);
        ip(&["-n", &namespace, "addr", "add", &format!("{address}/24"), "dev", "eth0"]);
        ip(&["-n", &namespace, "link", "set", "eth0", "up"]);
        ip(&["-n", &namespace, "link", "set", "lo", "up"]);
        Host { namespace, link, address }
    }

    /// Returns an address that no host has: one host after another may take it.
    #[must_use]
    pub fn floating(&self) -> String {
        format!("{}.200", self.prefix)
    }

    /// Gives an address to a host, and takes it from another one.
    ///
    /// # Panics
    /// When the host has it already.
    pub fn give(&self, address: &str, to: &Host, from: Option<&Host>) {
        let address = format!("{address}/24");
        if let Some(from) = from {
            ip(&["-n", &from.namespace, "addr", "del", &address, "dev", "eth0"]);
        }
        ip(&["-n", &to.namespace, "addr", "add", &address, "dev", "eth0"]);
        // As a router that is notified of it.
        ip(&["neigh", "flush", "dev", &self.bridge]);
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "del", &self.bridge]).status();
    }
}

/// A host of a [`Network`]. Drop it after the servers that run on it.
#[derive(Debug)]
pub struct Host {
    namespace: String,
    link: String,
    address: String,
}

impl Host {
    /// Returns its address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the name of its network namespace, for `ip netns exec`.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Takes its link down, or up again.
    ///
    /// # Panics
    /// When that fails.
    pub fn cut_off(&self, cut: bool) {
        ip(&["link", "set", &self.link, if cut { "down" } else { "up" }]);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "del", &self.link]).status();
        let _ = Command::new("ip").args(["netns", "del", &self.namespace]).status();
    }
}

fn ip(arguments: &[&str]) {
    text(Command::new("ip").args(arguments).output().expect("the program `ip` is installed"));
}
