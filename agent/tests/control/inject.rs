//! `inject-pkt`: packets that nobody sent go through the pipeline and come out of ports.

use crate::common::packets::{Udp, arp_reply};
use crate::common::topology::{A1, B1, Port, Topology, mac_text};
use crate::common::wait_until;

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
