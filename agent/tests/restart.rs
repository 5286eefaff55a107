//! What restarts: the agent, the databases' servers, the switch. Afterwards the switch has what it should have, and
//! nothing was sent that did not have to be.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failed unwrap is a failed test; figures are printed")]

mod common;

use common::topology::{A1, B1, Port, Topology};
use common::{Agent, wait_until};

const A2: Port = Port { switch: 'a', number: 2, host: 1 };
const INSERT: &str = "\"op\":\"insert\"";
const OURS: [Agent; 2] = [Agent::Ours, Agent::Ours];

/// The topology with a select group and a meter on hv1.
fn with_groups_and_meters() -> Topology {
    let topology = Topology::start(&OURS);
    let cloud = &topology.cloud;
    cloud.nbctl("lb-add lb 10.0.1.100:80 10.0.2.1:80,10.0.2.2:80 -- ls-lb-add sa lb");
    cloud.nbctl("meter-add slow drop 10 pktps");
    cloud.nbctl_words(&[
        "--log",
        "--meter=slow",
        "--severity=info",
        "--name=bad",
        "acl-add",
        "sa",
        "from-lport",
        "1000",
        "ip4.src == {10.9.9.9, 10.9.9.10} && udp.dst == {1, 2, 3}",
        "drop",
    ]);
    cloud.sync();
    let state = cloud.hypervisors[0].state();
    assert!(!state.groups.is_empty() && !state.meters.is_empty(), "{state:#?}");
    topology
}

#[test]
fn an_agent_restarts_and_nothing_changed() {
    let mut topology = with_groups_and_meters();
    let before = topology.cloud.hv(1).state();
    let (openflow, sb) = (topology.cloud.hv(1).watch_openflow(), topology.cloud.sb.mark());
    let other = topology.cloud.hv(2).watch_openflow();
    let local = topology.cloud.hv(1).database.mark();

    topology.cloud.hv(1).kill_agent();
    topology.send(A1, B1, "without an agent");
    topology.cloud.hv(1).start_agent();
    topology.cloud.hv(1).wait_ready();
    let check = |topology: &mut Topology, when: &str| {
        let hypervisor = topology.cloud.hv(1);
        assert!(!hypervisor.openflow_since(&openflow, &["OFPT_HELLO"]).is_empty(), "the switch logged no connection");
        assert!(!hypervisor.openflow_since(&openflow, &["OFPST_FLOW"]).is_empty(), "the agent did not read back");
        assert_eq!(hypervisor.modifications_since(&openflow), Vec::<String>::new(), "{when}: sent to the switch");
        assert_eq!(hypervisor.state(), before, "{when}: state of the switch");
    };
    check(&mut topology, "ready");
    let count = topology.cloud.sb.transactions_of_new_clients(&sb);
    assert_eq!(count, Vec::<String>::new(), "Southbound transactions until ready");

    let round_trip = topology.cloud.sync();
    check(&mut topology, "acknowledged");
    assert_eq!(topology.cloud.hv(2).modifications_since(&other), Vec::<String>::new(), "sent to the other switch");
    // The acknowledgement itself is all that was written.
    let count = topology.cloud.sb.transactions_of_new_clients(&sb);
    assert!(count.len() == 1 && count[0].contains("nb_cfg") && !count[0].contains(INSERT), "{count:#?}");
    let count = topology.cloud.hv(1).database.transactions_of_new_clients(&local);
    for transaction in &count {
        let allowed = transaction.contains("ovn-startup-ts") || transaction.contains("ovn-nb-cfg");
        assert!(allowed && !transaction.contains(INSERT), "{count:#?}");
    }
    assert!(count.len() <= 2, "{count:#?}");
    topology.check_traffic("after the restart");
    println!("0 messages changed the switch ({} flows); acknowledgement in {round_trip} ms", before.flows.len());
}

#[test]
fn an_agent_restarts_and_sends_what_changed_meanwhile() {
    let mut topology = with_groups_and_meters();
    let before = topology.cloud.hv(1).flows().len();
    topology.cloud.hv(1).kill_agent();
    let openflow = topology.cloud.hv(1).watch_openflow();
    topology.cloud.nbctl_words(&["acl-add", "sa", "to-lport", "900", "ip4.src == 10.8.8.8", "drop"]);
    topology.cloud.hv(1).start_agent();
    topology.cloud.sync();
    let hypervisor = topology.cloud.hv(1);
    let sent = hypervisor.modifications_since(&openflow);
    assert!((1..=10).contains(&sent.len()), "of {before} flows, for one ACL: {sent:#?}");
    let sent = sent.len();
    topology.cloud.hypervisors[0].wait_translated(&topology.cloud.sb);
    topology.check_traffic("after the restart");
    println!("{sent} flow modifications for one ACL added while the agent was away");
}

#[test]
fn servers_and_switch_restart() {
    let mut topology = with_groups_and_meters();
    let before = topology.cloud.hv(1).state();
    let openflow = topology.cloud.hv(1).watch_openflow();

    // The Southbound server: without history, everything is fetched again, and compared.
    let mark = topology.cloud.sb.mark();
    topology.cloud.sb.restart();
    let sb = topology.cloud.sync();
    assert_eq!(topology.cloud.hv(1).modifications_since(&openflow), Vec::<String>::new(), "after the Southbound's");
    assert_eq!(topology.cloud.hv(1).state(), before);
    let written = topology.cloud.sb.transactions_of_new_clients(&mark);
    let agents: Vec<_> = written.iter().filter(|line| !line.contains("ovn-northd")).collect();
    let acknowledges = |line: &&String| line.contains("nb_cfg") && line.contains("Chassis_Private");
    assert!(agents.len() == 2 && agents.iter().all(acknowledges), "{agents:#?}");

    // The local server.
    let mark = topology.cloud.hv(1).database.mark();
    topology.cloud.hv(1).database.restart();
    let start = std::time::Instant::now();
    // The agent's acknowledgement comes to the database when it is back.
    topology.cloud.sync();
    let nb_cfg = topology.cloud.nbctl("get NB_Global . nb_cfg");
    wait_until("the agent back at the local database", || {
        topology.cloud.hv(1).vsctl("get Bridge br-int external_ids:ovn-nb-cfg") == format!("\"{nb_cfg}\"")
    });
    let local = start.elapsed().as_millis();
    assert_eq!(topology.cloud.hv(1).modifications_since(&openflow), Vec::<String>::new(), "after the local server's");
    assert_eq!(topology.cloud.hv(1).state(), before);
    // The switch writes there too, but never rows and external_ids.
    let written = topology.cloud.hv(1).database.transactions_of_new_clients(&mark);
    let agents: Vec<_> = written.iter().filter(|line| line.contains(INSERT) || line.contains("external_ids")).collect();
    assert!(
        matches!(agents.as_slice(), [line] if line.contains("ovn-nb-cfg") && !line.contains(INSERT)),
        "{agents:#?}"
    );
    topology.add_port(A2);
    topology.cloud.sync();
    topology.cloud.hypervisors[0].wait_translated(&topology.cloud.sb);
    topology.send(A2, B1, "after the servers");

    // The switch, which forgets everything.
    let start = std::time::Instant::now();
    topology.cloud.restart_switch(1);
    topology.cloud.hypervisors[0].wait_translated(&topology.cloud.sb);
    let switch = start.elapsed().as_millis();
    topology.check_traffic("after the switch");
    topology.send(B1, A2, "after the switch");
    assert!(!topology.cloud.hv(1).groups().is_empty() && !topology.cloud.hv(1).meters().is_empty());
    println!("back after restarts: Southbound {sb} ms, local {local} ms; switch complete after {switch} ms");
}
