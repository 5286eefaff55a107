//! Who this chassis is: its row deleted by somebody, another system-id and another integration bridge while the agent runs, two
//! chassis on one host.

use crate::common::process::{Daemon, run};
use crate::common::topology::{A1, B1, Port, Topology};
use crate::common::{Agent, Hypervisor, ovn_agent, wait_until};

/// The ports of a bridge, sorted.
fn ports(hypervisor: &Hypervisor, bridge: &str) -> Vec<String> {
    let mut ports: Vec<_> = hypervisor.vsctl(&format!("list-ports {bridge}")).lines().map(str::to_owned).collect();
    ports.sort();
    ports
}

#[test]
fn a_row_that_is_deleted_and_another_name() {
    let mut topology = Topology::start(&[Agent::Ours, Agent::Ours]);
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

    // `exit` takes nothing away if it is told not to.
    first.vsctl("set Open_vSwitch . external_ids:ovn-cleanup-on-exit=false");
    cloud.sync();
    let before = (row("Chassis", "renamed"), rows());
    let cloud = &mut topology.cloud;
    assert_eq!(cloud.hv(1).agent_appctl(&["exit"]).unwrap(), "");
    assert!(cloud.hv(1).agent_daemon().wait_for_end());
    let left = cloud.sb_find("_uuid", "Chassis", "name=renamed");
    assert_eq!((left, cloud.hv(1).vsctl("--bare --columns=_uuid,ofport list Interface")), before);
}

#[test]
fn another_integration_bridge() {
    let topology = Topology::start(&[Agent::Ours, Agent::Ours]);
    topology.check_traffic("on br-int");
    let hypervisor = &topology.cloud.hypervisors[0];
    let capture = hypervisor.folder.join("a1.pcap");
    for (former, bridge) in [("br-int", "br-new"), ("br-new", "br-int")] {
        hypervisor.vsctl(&format!("set Open_vSwitch . external_ids:ovn-bridge={bridge}"));
        wait_until("the bridge", || hypervisor.find("name", "Bridge", &format!("name={bridge}")) == bridge);
        wait_until("the tunnel to move", || {
            ports(hypervisor, bridge) == ["ovn-hv2-0"] && ports(hypervisor, former) == ["a1"]
        });
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

/// Settings by name of chassis, a bridge for each, and nothing of the other one's touched.
#[test]
fn two_chassis_on_one_host() {
    let topology = Topology::start(&[Agent::Ours, Agent::Ours]);
    let (cloud, hypervisor) = (&topology.cloud, &topology.cloud.hypervisors[0]);
    let address = [192, 168, 0, 129];
    hypervisor.add_tunnel_address(address);
    cloud.hypervisors[1].neighbour(address, hypervisor);
    cloud.nbctl(
        "lsp-add sa ln -- lsp-set-type ln localnet -- lsp-set-addresses ln unknown -- lsp-set-options ln network_name=phys",
    );
    hypervisor.vsctl(
        "set Open_vSwitch . external_ids:ovn-bridge-second=br-second external_ids:ovn-encap-ip-second=192.168.0.129 \
         external_ids:ovn-bridge-mappings=phys:br-phys external_ids:hostname-second=other-host",
    );
    let file = |name: &str| hypervisor.folder.join(name).display().to_string();
    let arguments = [
        "run",
        &hypervisor.database.remote(),
        "-n",
        "second",
        "-vconsole:off",
        &format!("--pidfile={}", file("second.pid")),
        &format!("--log-file={}", file("second.log")),
        &format!("--unixctl={}", file("second.ctl")),
    ];
    let _agent = Daemon::start("second", &ovn_agent(), &hypervisor.folder, &arguments.map(str::to_owned));
    wait_until("the second chassis", || {
        cloud.sb_find("hostname", "Chassis", "name=second") == "other-host"
            && hypervisor.find("name", "Bridge", "name=br-second") == "br-second"
    });
    let second = Port { number: 2, ..A1 };
    topology.configure(second);
    let capture = file("a2.pcap");
    hypervisor.vsctl(&format!(
        "add-port br-second a2 -- set Interface a2 external_ids:iface-id=a2 options:tx_pcap={capture}"
    ));
    cloud.wait_up("a2");
    let chassis = cloud.sb_find("_uuid", "Chassis", "name=second");
    assert_eq!(cloud.sb_find("chassis", "Port_Binding", "logical_port=a2"), chassis);
    let expected = [
        ("br-int", vec!["a1", "ovn-hv2-0", "ovn-second-0", "patch-br-int-to-ln"]),
        ("br-second", vec!["a2", "ovn0-hv1-0", "ovn0-hv2-0", "patch-br-second-to-ln"]),
    ];
    for (bridge, names) in &expected {
        wait_until(&format!("the ports of {bridge}"), || ports(hypervisor, bridge) == *names);
    }
    topology.wait_path(B1, second);
    topology.send(second, B1, "from the second chassis");
    topology.check_traffic("of the first chassis");
    let rows = || hypervisor.vsctl("--columns=_uuid,name,ofport list Interface");
    let before = rows();
    cloud.sync();
    assert_eq!(rows(), before, "neither touches what is the other's");
    for (bridge, names) in &expected {
        assert_eq!(ports(hypervisor, bridge), *names);
    }
    run("ovs-appctl", &hypervisor.folder, &["-t", &file("second.ctl"), "exit"]);
    assert_eq!(cloud.sb_find("_uuid", "Chassis", "name=second"), "");
    wait_until("the tunnel to the second to go", || {
        ports(hypervisor, "br-int") == ["a1", "ovn-hv2-0", "patch-br-int-to-ln"]
    });
    assert_eq!(ports(hypervisor, "br-second"), ["a2", "patch-br-second-to-ln"]);
    topology.check_traffic("without the second chassis");
    assert_eq!(hypervisor.logged(&["|WARN|", "transaction failed"]), Vec::<String>::new());
}
