//! `inject-pkt`: packets that nobody sent go through the pipeline and come out of ports.

use crate::common::packets::{Udp, arp_reply, captured};
use crate::common::topology::{A1, B1, Port, Topology, mac_text};
use crate::common::{Agent, Hypervisor, wait_until};

/// Between the ports on two hypervisors, and to the router.
pub fn packets(topology: &Topology) {
    let hypervisor = &topology.cloud.hypervisors[0];
    let inject = |microflow: &str| hypervisor.agent_appctl(&["inject-pkt", microflow]);

    // A datagram is routed, and crosses the tunnel.
    let expected = routed(A1, B1).composed();
    let (mac, gateway) = (mac_text(A1.mac()), mac_text(A1.gateway().0));
    let datagram = format!(
        "inport == \"a1\" && eth.src == {mac} && eth.dst == {gateway} && ip4.src == 10.0.1.1 && ip4.dst == 10.0.2.1 \
         && ip.ttl == 64 && udp.src == 1000 && udp.dst == 2000"
    );
    assert_eq!(inject(&datagram).unwrap(), "");
    topology.cloud.hypervisors[1].wait_received("b1", &expected);
    assert_eq!(topology.cloud.hypervisors[1].received("b1", &expected), 1);

    // The router answers an ARP request.
    let (router_mac, router) = A1.gateway();
    let reply = arp_reply(router_mac, router, A1.mac(), A1.address());
    let before = hypervisor.received("a1", &reply);
    let request = format!(
        "inport == \"a1\" && eth.src == {mac} && eth.bcast && arp.op == 1 && arp.sha == {mac} && arp.spa == 10.0.1.1 \
         && arp.tpa == 10.0.1.254"
    );
    assert_eq!(inject(&request).unwrap(), "");
    wait_until("the router's ARP reply", || hypervisor.received("a1", &reply) > before);

    // No switch, no packet.
    hypervisor.vsctl("set Open_vSwitch . external_ids:ovn-bridge-remote=unix:nowhere");
    wait_until("the connection to the switch to end", || {
        inject(&datagram).is_err_and(|error| error.contains("OpenFlow channel not ready."))
    });
    hypervisor.vsctl("remove Open_vSwitch . external_ids ovn-bridge-remote");
    wait_until("the switch to be back", || inject(&request).is_ok());
}

/// What arrives of a datagram with the payload of injected packets.
fn routed(from: Port, to: Port) -> Udp {
    Udp {
        from_mac: to.gateway().0,
        to_mac: to.mac(),
        from: from.address(),
        to: to.address(),
        from_port: 1000,
        to_port: 2000,
        ttl: 63,
        payload: (0..64).map(char::from).collect(),
    }
}

/// Microflows that every release of ovn-controller makes the right packets of; all are flooded.
const SAME: &[&str] = &[
    "eth.type == 0x88cc",
    "arp.op == 1 && arp.sha == 50:54:00:00:00:01 && arp.spa == 10.0.9.1 && arp.tpa == 10.0.9.9",
    "ip4.src == 10.0.9.1 && ip4.dst == 10.0.9.2 && ip.ttl == 64 && udp.src == 1000 && udp.dst == 2000",
    "ip4.src == 10.0.9.1 && ip4.dst == 10.0.9.2 && ip.ttl == 64 && tcp.src == 1000 && tcp.dst == 80 && tcp.flags == 2",
    "ip4.src == 10.0.9.1 && ip4.dst == 10.0.9.2 && ip.ttl == 64 && tcp.src > 79 && tcp.src < 82",
    "ip4.src == 10.0.9.1 && ip4.dst == 10.0.9.2 && icmp4.type == 8 && icmp4.code == 0",
    "ip4.src == 10.0.9.0/24 && ip4.src[0..7] == 7 && icmp4.type == 3 && icmp4.code == 1",
    "ip6.src == fd00::1 && ip6.dst == fd00::2 && ip.ttl == 64 && ip6.label == 5 && udp.dst == 53",
    "ip6.src == fd00::1 && ip6.dst == fd00::2 && icmp6.type == 128 && icmp6.code == 0",
    "ip6.src == fd00::1 && ip6.dst == ff02::1:ff00:2 && nd_ns && nd.target == fd00::2 && nd.sll == 50:54:00:00:00:01",
];

/// Microflows that are wrong.
const WRONG: &[&str] = &[
    "tcp.dst == 80",
    "ip4 && tcp.src > 1024",
    "ip4 && ip6",
    "ip4.src == 10.0.9.1 &&",
    "ip4 && nonsense",
    "ip4.src == {10.0.9.1, 10.0.9.2}",
    "inport == \"nowhere\"",
    "ip4 || ip6",
];

/// Sends the packet into the first port of the hypervisor's switch, and waits until it leaves by the second. Its source tells it from others.
fn injected(hypervisor: &Hypervisor, switch: char, number: usize, microflow: &str) -> Vec<u8> {
    let source = [0x50, 0x54, 0, 0, 0x77, u8::try_from(number).unwrap()];
    let text = format!("inport == \"{switch}1\" && eth.src == {} && eth.bcast && {microflow}", mac_text(source));
    assert_eq!(hypervisor.agent_appctl(&["inject-pkt", &text]).unwrap_or_else(|error| panic!("{error}")), "");
    let capture = hypervisor.folder.join(format!("{switch}2.pcap"));
    let mut found = None;
    wait_until(&format!("{}: {text}", hypervisor.name), || {
        found = captured(&capture).into_iter().find(|frame| frame[6..12] == source);
        found.is_some()
    });
    found.unwrap()
}

/// The packaged ovn-controller makes the same packets, and says the same of what is wrong.
#[test]
fn packets_are_those_of_ovn_controller() {
    let topology = Topology::start(&[Agent::Packaged, Agent::Ours]);
    topology.add_port(Port { number: 2, ..A1 });
    topology.add_port(Port { number: 2, ..B1 });
    let [theirs, ours] = &topology.cloud.hypervisors[..] else { panic!("two hypervisors") };
    for (number, microflow) in SAME.iter().enumerate() {
        let [theirs, ours] = [(theirs, 'a'), (ours, 'b')].map(|(at, switch)| injected(at, switch, number, microflow));
        assert_eq!(ours, theirs, "{microflow}");
    }
    for microflow in WRONG {
        let [theirs, ours] = [theirs, ours].map(|hypervisor| {
            let error = hypervisor.agent_appctl(&["inject-pkt", microflow]).unwrap_err();
            error.lines().find(|line| !line.starts_with("ovs-appctl")).unwrap_or_default().to_owned()
        });
        assert!(!theirs.is_empty() && ours.starts_with(&theirs), "{microflow}: {ours}, not {theirs}");
    }
}
