//! Interfaces that stay while what they are changes, and what else of the switch's configuration is ours.

use crate::common::topology::{A1, Port, Topology};
use crate::common::{Agent, wait_until};

const A2: Port = Port { switch: 'a', number: 2, host: 1 };

#[test]
fn an_iface_id_that_is_taken_off() {
    let topology = Topology::start(&[Agent::Ours, Agent::Ours]);
    topology.add_port(A2);
    let (cloud, hypervisor) = (&topology.cloud, &topology.cloud.hypervisors[0]);
    let ids = || hypervisor.vsctl("get Interface a2 external_ids");
    let chassis = |port: &str| cloud.sb_find("chassis", "Port_Binding", &format!("logical_port={port}"));
    wait_until("ovn-installed on a2", || ids().contains("ovn-installed=\"true\""));
    hypervisor.vsctl("remove Interface a2 external_ids iface-id");
    wait_until("the mark to go", || !ids().contains("ovn-installed="));
    assert!(ids().contains("ovn-installed-ts="), "{}", ids());
    wait_until("a2 released", || chassis("a2").is_empty() && cloud.nbctl("lsp-get-up a2") == "down");
    // Another port is plugged into the same interface.
    let a3 = Port { number: 3, ..A2 };
    topology.configure(a3);
    hypervisor.vsctl("set Interface a2 external_ids:iface-id=a3");
    cloud.wait_up("a3");
    wait_until("ovn-installed on a2", || ids().contains("ovn-installed=\"true\""));
    // And deleted in the Northbound, while the interface stays.
    cloud.nbctl("lsp-del a3");
    wait_until("the mark to go", || !ids().contains("ovn-installed="));
    hypervisor.vsctl("set Interface a2 external_ids:iface-id=a2");
    cloud.wait_up("a2");
    topology.send(A1, A2, "plugged in again");
    assert_eq!(hypervisor.logged(&["|WARN|", "transaction failed"]), Vec::<String>::new());
}

#[test]
fn what_the_bridge_is_set_to() {
    let topology = Topology::start(&[Agent::Ours, Agent::Ours]);
    let hypervisor = &topology.cloud.hypervisors[0];
    let get = |column: &str| hypervisor.vsctl(&format!("--if-exists get Bridge br-int {column}"));
    let started: u64 = get("external_ids:ovn-startup-ts").trim_matches('"').parse().unwrap();
    assert!(started > 1_600_000_000_000, "{started}");
    assert_eq!(get("fail_mode"), "secure");
    assert_eq!(get("other_config:disable-in-band"), "\"true\"");
    wait_until("prefixes of all tables", || get("flow_tables").split(',').count() == 255);
    let prefixes = hypervisor.vsctl("--bare --columns=prefixes list Flow_Table");
    assert!(prefixes.starts_with("ip_dst ip_src ipv6_"), "{prefixes}");
    assert_eq!(hypervisor.vsctl("get Open_vSwitch . other_config:vlan-limit"), "\"0\"");
    hypervisor.vsctl("set Bridge br-int fail_mode=standalone -- clear Bridge br-int flow_tables");
    wait_until("what was changed to be put right", || {
        get("fail_mode") == "secure" && get("flow_tables").split(',').count() == 255
    });
    wait_until("a word about it", || !hypervisor.logged(&["fail-mode changed to 'secure'"]).is_empty());
    assert_eq!(hypervisor.find("_uuid", "Flow_Table", "").split_whitespace().count(), 1, "one row for all tables");
}

/// Samples of dropped packets need a collector set of our bridge: flows change with its row.
#[test]
fn a_collector_set_comes_and_goes() {
    let topology = Topology::start(&[Agent::Ours, Agent::Ours]);
    let (cloud, hypervisor) = (&topology.cloud, &topology.cloud.hypervisors[0]);
    // Where the switch itself, not the logical network, has nothing for a packet.
    let sampled = || {
        let flows = hypervisor.flows();
        flows.iter().filter(|flow| flow.contains("table=65,") && flow.contains("collector_set_id=77")).count()
    };
    cloud.nbctl("set NB_Global . options:debug_drop_domain_id=5 options:debug_drop_collector_set=77");
    cloud.sync();
    assert_eq!(sampled(), 0, "there is no such set here");
    hypervisor
        .vsctl("add-br br-other -- --id=@b get Bridge br-other -- create Flow_Sample_Collector_Set id=77 bridge=@b");
    cloud.sync();
    assert_eq!(sampled(), 0, "it is another bridge's");
    hypervisor.vsctl("--id=@b get Bridge br-int -- create Flow_Sample_Collector_Set id=77 bridge=@b");
    wait_until("samples of drops", || sampled() == 1);
    hypervisor.wait_translated(&cloud.sb);
    hypervisor.vsctl("--all destroy Flow_Sample_Collector_Set");
    wait_until("no samples", || sampled() == 0);
    hypervisor.wait_translated(&cloud.sb);
}
