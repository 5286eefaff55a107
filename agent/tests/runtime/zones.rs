//! Conntrack zones: who gets one that was somebody else's gets it without his connections.

use crate::common::topology::{A1, Port, Topology};
use crate::common::{Agent, Hypervisor, wait_until};

const A2: Port = Port { switch: 'a', number: 2, host: 1 };

/// The zone that is persisted for a user.
fn persisted(hypervisor: &Hypervisor, user: &str) -> Option<u16> {
    let text = hypervisor.vsctl(&format!("--if-exists get Bridge br-int external_ids:ct-zone-{user}"));
    text.trim_matches('"').parse().ok()
}

/// Tracked connections in a zone.
fn connections(hypervisor: &Hypervisor, zone: u16) -> usize {
    hypervisor.switch_appctl(&["dpctl/dump-conntrack", &format!("zone={zone}")]).lines().count()
}

#[test]
fn a_zone_is_flushed_when_it_is_given_and_when_it_is_taken() {
    let mut topology = Topology::start(&[Agent::Ours, Agent::Ours]);
    let cloud = &topology.cloud;
    cloud.nbctl_words(&["acl-add", "sa", "from-lport", "1000", "ip4", "allow-related"]);
    let hypervisor = &cloud.hypervisors[0];
    let openflow = hypervisor.watch_openflow();
    let flushes = |zone: u16| -> (usize, usize) {
        let sent = hypervisor.openflow_since(&openflow, &["CT_FLUSH_ZONE", "FLOW_MOD"]);
        let last = sent.iter().rposition(|line| line.contains(&format!("zone_id={zone}")));
        let count = sent.iter().filter(|line| line.contains(&format!("zone_id={zone}"))).count();
        (count, last.map_or(0, |at| sent[at..].iter().filter(|line| line.contains("FLOW_MOD")).count()))
    };
    topology.add_port(A2);
    wait_until("a zone for a2", || persisted(hypervisor, "a2").is_some());
    let zone = persisted(hypervisor, "a2").unwrap();
    assert!(matches!(flushes(zone), (1, 1..)), "once, in front of the port's flows: {:?}", flushes(zone));
    topology.send(A2, A1, "tracked");
    wait_until("a tracked connection in a2's zone", || connections(hypervisor, zone) > 0);

    topology.unplug(A2);
    wait_until("a2's zone to be nobody's", || persisted(hypervisor, "a2").is_none());
    assert_eq!(flushes(zone), (2, 0), "again, behind the last change of flows");
    assert_eq!(connections(hypervisor, zone), 0, "nothing is left for the next user of the zone");

    // Taken off while the agent is away: what it left is flushed when it is back, and nothing else is.
    topology.plug(A2);
    cloud.wait_up("a2");
    wait_until("a zone for a2", || persisted(hypervisor, "a2").is_some());
    let zone = persisted(hypervisor, "a2").unwrap();
    topology.cloud.hv(1).kill_agent();
    topology.unplug(A2);
    let openflow = topology.cloud.hv(1).watch_openflow();
    topology.cloud.hv(1).start_agent();
    let hypervisor = &topology.cloud.hypervisors[0];
    wait_until("a2's zone to be nobody's", || persisted(hypervisor, "a2").is_none());
    let sent = hypervisor.openflow_since(&openflow, &["CT_FLUSH_ZONE"]);
    assert!(matches!(sent.as_slice(), [line] if line.contains(&format!("zone_id={zone}"))), "{sent:#?}");
    topology.check_traffic("with zones as they were");
}

/// Zones that the configuration asks for: one by number, and all of a range.
#[test]
fn zones_that_are_asked_for() {
    let topology = Topology::start(&[Agent::Ours, Agent::Ours]);
    let (cloud, hypervisor) = (&topology.cloud, &topology.cloud.hypervisors[0]);
    let openflow = hypervisor.watch_openflow();
    cloud.nbctl("set Logical_Router r options:snat-ct-zone=777");
    wait_until("the zone that the router asks for", || persisted(hypervisor, "r_snat") == Some(777));
    let flushed = hypervisor.openflow_since(&openflow, &["CT_FLUSH_ZONE"]);
    assert!(flushed.iter().any(|line| line.contains("zone_id=777")), "{flushed:#?}");
    cloud.sync();
    assert!(hypervisor.flows().iter().any(|flow| flow.contains("set_field:0x309->reg12")), "in its flows");
    hypervisor.vsctl("set Open_vSwitch . external_ids:ct-zone-range=100-120");
    let users = ["a1", "r_dnat", "sa_dnat", "sa_snat", "sb_dnat", "sb_snat"];
    wait_until("all others in the range", || {
        users.iter().all(|user| persisted(hypervisor, user).is_some_and(|zone| (100..=120).contains(&zone)))
    });
    assert_eq!(persisted(hypervisor, "r_snat"), Some(777), "what is asked for may be outside");
    cloud.sync();
    hypervisor.wait_translated(&cloud.sb);
    topology.check_traffic("with other zones");
}
