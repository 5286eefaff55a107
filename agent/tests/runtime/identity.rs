//! Who this chassis is: its row deleted by somebody, another system-id and another integration bridge while the agent runs.

use crate::common::topology::{A1, B1, Topology};
use crate::common::{Agent, wait_until};

#[test]
fn a_row_that_is_deleted_and_another_name() {
    let topology = Topology::start(&[Agent::Ours, Agent::Ours]);
    topology.check_traffic("first");
    let (cloud, first, second) = (&topology.cloud, &topology.cloud.hypervisors[0], &topology.cloud.hypervisors[1]);
    let row = |table: &str, name: &str| cloud.sb_find("_uuid", table, &format!("name={name}"));
    let holds = |name: &str| {
        let chassis = row("Chassis", name);
        !chassis.is_empty()
            && cloud.sb_find("chassis", "Port_Binding", "logical_port=a1") == chassis
            && cloud.nbctl("lsp-get-up a1") == "up"
    };
    let rows = || first.vsctl("--bare --columns=_uuid,ofport list Interface");
    let before = (row("Chassis", "hv1"), rows());

    cloud.sbctl("chassis-del hv1");
    wait_until("another row, with the port", || holds("hv1"));
    assert_ne!(row("Chassis", "hv1"), before.0);
    cloud.sync();
    wait_until("the way there", || second.tunnels().len() == 1);
    topology.wait_path(B1, A1);
    topology.check_traffic("after the row was deleted");
    assert_eq!(rows(), before.1, "nothing is made anew here");

    let kept = second.vsctl("get Interface ovn-hv1-0 _uuid ofport");
    first.vsctl("set Open_vSwitch . external_ids:system-id=renamed");
    wait_until("the port under the new name", || holds("renamed"));
    for table in ["Chassis", "Chassis_Private"] {
        assert_eq!(row(table, "hv1"), "", "{table} of the former name");
    }
    let indexes = first.vsctl("get Open_vSwitch . other_config");
    assert!(indexes.contains("ovn-chassis-idx-renamed=\"\"") && !indexes.contains("idx-hv1"), "{indexes}");
    cloud.sync();
    wait_until("the label of the tunnel", || {
        second.vsctl("--if-exists get Port ovn-hv1-0 external_ids:ovn-chassis-id").contains("renamed@192.168.0.1")
    });
    assert_eq!(second.vsctl("get Interface ovn-hv1-0 _uuid ofport"), kept, "the tunnel stays and is labelled again");
    topology.wait_path(B1, A1);
    topology.check_traffic("under the new name");
    assert_eq!(rows(), before.1, "nothing is made anew here");
    for hypervisor in [first, second] {
        hypervisor.wait_translated(&cloud.sb);
        assert_eq!(hypervisor.logged(&["|WARN|", "transaction failed"]), Vec::<String>::new());
    }
}

#[test]
fn another_integration_bridge() {
    let topology = Topology::start(&[Agent::Ours, Agent::Ours]);
    topology.check_traffic("on br-int");
    let hypervisor = &topology.cloud.hypervisors[0];
    let ports = |bridge: &str| -> Vec<String> {
        let mut ports: Vec<_> = hypervisor.vsctl(&format!("list-ports {bridge}")).lines().map(str::to_owned).collect();
        ports.sort();
        ports
    };
    let capture = hypervisor.folder.join("a1.pcap");
    for (former, bridge) in [("br-int", "br-new"), ("br-new", "br-int")] {
        hypervisor.vsctl(&format!("set Open_vSwitch . external_ids:ovn-bridge={bridge}"));
        wait_until("the bridge", || hypervisor.find("name", "Bridge", &format!("name={bridge}")) == bridge);
        wait_until("the tunnel to move", || ports(bridge) == ["ovn-hv2-0"] && ports(former) == ["a1"]);
        wait_until("a1 released", || topology.cloud.nbctl("lsp-get-up a1") == "down");
        hypervisor.vsctl(&format!(
            "del-port a1 -- add-port {bridge} a1 -- set Interface a1 external_ids:iface-id=a1 options:tx_pcap={}",
            capture.display()
        ));
        topology.cloud.wait_up("a1");
        topology.cloud.sync();
        topology.wait_path(B1, A1);
        topology.check_traffic(&format!("on {bridge} after {former}"));
    }
    assert_eq!(hypervisor.vsctl("get Interface ovn-hv2-0 error"), "[]");
    assert_eq!(hypervisor.logged(&["|WARN|", "transaction failed"]), Vec::<String>::new());
}
