//! Switch - router - switch on two hypervisors, the topology of most live tests:
//!
//! | port | switch | hypervisor | address |
//! |---|---|---|---|
//! | `a1` | `sa` | hv1 | 10.0.1.1 |
//! | `b1` | `sb` | hv2 | 10.0.2.1 |
//!
//! Router `r` has 10.0.1.254 and 10.0.2.254. Tests may [`Topology::add_port`] `a2` (10.0.1.2), and so on.

use super::packets::{Udp, arp_reply, arp_request};
use super::{Agent, Cloud};

/// The deployment with the topology configured and its ports up.
pub struct Topology {
    pub cloud: Cloud,
    /// Time from the configuration to the acknowledgement by all agents, milliseconds.
    pub converged_in: u128,
}

/// A logical switch port of the topology, known by its name: the switch's letter and a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    pub switch: char,
    pub number: u8,
    /// Number of the hypervisor.
    pub host: usize,
}

/// `a1` on hv1.
pub const A1: Port = Port { switch: 'a', number: 1, host: 1 };
/// `b1` on hv2.
pub const B1: Port = Port { switch: 'b', number: 1, host: 2 };

impl Port {
    /// Also the name of its interface.
    pub fn name(self) -> String {
        format!("{}{}", self.switch, self.number)
    }

    fn subnet(self) -> u8 {
        self.switch as u8 - b'a' + 1
    }

    /// IPv4 address.
    pub fn address(self) -> [u8; 4] {
        [10, 0, self.subnet(), self.number]
    }

    /// Ethernet address.
    pub fn mac(self) -> [u8; 6] {
        [0x50, 0x54, 0, 0, self.subnet(), self.number]
    }

    /// The router's address on this port's switch.
    pub fn gateway(self) -> ([u8; 6], [u8; 4]) {
        ([0x50, 0x54, 0, 0xff, 0, self.subnet()], [10, 0, self.subnet(), 254])
    }
}

impl Topology {
    /// Starts the deployment and waits until all of it works.
    pub fn start(agents: &[Agent]) -> Topology {
        let mut topology = Topology::start_idle(agents);
        topology.begin();
        topology
    }

    /// Starts the agents, plugs the first ports in and waits until all of it works.
    pub fn begin(&mut self) {
        for hypervisor in &mut self.cloud.hypervisors {
            hypervisor.start_agent();
        }
        self.plug(A1);
        self.plug(B1);
        self.converge();
    }

    /// Starts the deployment and configures the topology, without agents and interfaces.
    pub fn start_idle(agents: &[Agent]) -> Topology {
        Topology::configured(Cloud::start_idle(agents))
    }

    /// Configures the topology, without agents and interfaces.
    pub fn configured(cloud: Cloud) -> Topology {
        cloud.nbctl("lr-add r");
        for switch in ['a', 'b'] {
            let (mac, address) = Port { switch, number: 0, host: 0 }.gateway();
            let (mac, address) = (mac_text(mac), address_text(address));
            cloud.nbctl(&format!(
                "ls-add s{switch} -- lrp-add r r-{switch} {mac} {address}/24 -- lsp-add s{switch} {switch}-r \
                 -- lsp-set-type {switch}-r router -- lsp-set-addresses {switch}-r router \
                 -- lsp-set-options {switch}-r router-port=r-{switch}"
            ));
        }
        let topology = Topology { cloud, converged_in: 0 };
        topology.configure(A1);
        topology.configure(B1);
        topology
    }

    /// Waits until every agent has acknowledged and the first ports are up.
    pub fn converge(&mut self) {
        self.converged_in = self.cloud.sync();
        self.cloud.wait_up("a1");
        self.cloud.wait_up("b1");
    }

    /// Configures a port in the Northbound database.
    pub fn configure(&self, port: Port) {
        let (name, address) = (port.name(), format!("{} {}", mac_text(port.mac()), address_text(port.address())));
        self.cloud.nbctl_words(&[
            "lsp-add",
            &format!("s{}", port.switch),
            &name,
            "--",
            "lsp-set-addresses",
            &name,
            &address,
        ]);
    }

    /// Plugs its interface into the hypervisor's bridge, as soon as the agent has made the bridge.
    pub fn plug(&self, port: Port) {
        let hypervisor = &self.cloud.hypervisors[port.host - 1];
        super::wait_until("br-int", || hypervisor.find("name", "Bridge", "name=br-int") == "br-int");
        hypervisor.add_vif(&port.name(), &port.name());
    }

    /// Takes its interface out of the bridge.
    pub fn unplug(&self, port: Port) {
        self.cloud.hypervisors[port.host - 1].remove_vif(&port.name());
    }

    /// Adds a port and waits until it is up.
    pub fn add_port(&self, port: Port) {
        self.configure(port);
        self.plug(port);
        self.cloud.wait_up(&port.name());
    }

    /// Sends a datagram from one port to another and waits until it arrives as it should: through the router when
    /// the ports are on different switches.
    pub fn send(&self, from: Port, to: Port, payload: &str) {
        let [sent, expected] = datagram(from, to, payload);
        let (source, target) = (&self.cloud.hypervisors[from.host - 1], &self.cloud.hypervisors[to.host - 1]);
        source.send(&from.name(), &sent);
        target.wait_received(&to.name(), &expected);
        assert_eq!(target.received(&to.name(), &expected), 1, "{payload}: arrived more than once");
    }

    /// Sends datagrams from one port to another until one arrives: for changes on the other hypervisor, of which an acknowledged
    /// configuration says nothing.
    pub fn wait_path(&self, from: Port, to: Port) {
        let (source, target) = (&self.cloud.hypervisors[from.host - 1], &self.cloud.hypervisors[to.host - 1]);
        let [sent, expected] = datagram(from, to, "is there a way");
        super::wait_until(&format!("a way from {} to {}", from.name(), to.name()), || {
            source.send(&from.name(), &sent);
            target.received(&to.name(), &expected) > 0
        });
    }

    /// Waits until the switch of one hypervisor has the tunnel to another. An acknowledged configuration does not say that: it is about
    /// flows, and those through the tunnel follow when it is there.
    pub fn wait_tunnel(&self, from: usize, to: usize) {
        let hypervisor = &self.cloud.hypervisors[from - 1];
        let name = format!("ovn-hv{to}-0");
        super::wait_until(&format!("{name} on {}", hypervisor.name), || {
            let ofport = hypervisor.find("ofport", "Interface", &format!("name={name}"));
            ofport.parse::<u16>().is_ok_and(|ofport| ofport > 0)
        });
    }

    /// The router answers for its address, and datagrams cross in both directions.
    pub fn check_traffic(&self, what: &str) {
        for port in [A1, B1] {
            let (mac, address) = port.gateway();
            let hypervisor = &self.cloud.hypervisors[port.host - 1];
            let reply = arp_reply(mac, address, port.mac(), port.address());
            let before = hypervisor.received(&port.name(), &reply);
            hypervisor.send(&port.name(), &arp_request(port.mac(), port.address(), address));
            super::wait_until(&format!("{what}: ARP reply to {}", port.name()), || {
                hypervisor.received(&port.name(), &reply) > before
            });
        }
        self.send(A1, B1, what);
        self.send(B1, A1, what);
    }
}

/// A datagram as it is sent, and as it is to arrive.
fn datagram(from: Port, to: Port, payload: &str) -> [Vec<u8>; 2] {
    let routed = from.switch != to.switch;
    let sent = Udp {
        from_mac: from.mac(),
        to_mac: if routed { from.gateway().0 } else { to.mac() },
        from: from.address(),
        to: to.address(),
        from_port: 1000,
        to_port: 2000,
        ttl: 64,
        payload: format!("{} to {}: {payload}", from.name(), to.name()),
    };
    let expected = match routed {
        true => Udp { from_mac: to.gateway().0, to_mac: to.mac(), ttl: 63, ..sent.clone() },
        false => sent.clone(),
    };
    [sent.frame(), expected.frame()]
}

/// In OVN's notation.
pub fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

fn address_text(address: [u8; 4]) -> String {
    address.map(|byte| byte.to_string()).join(".")
}
