//! What is wrong outside is named in the log, once; the rest goes on; and when it is repaired, it goes on by itself.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failed unwrap is a failed test; figures are printed")]

mod common;

use common::topology::{A1, B1, Port, Topology};
use common::{Agent, wait_until};

const A2: Port = Port { switch: 'a', number: 2, host: 2 };
const OURS: [Agent; 2] = [Agent::Ours, Agent::Ours];

#[test]
fn logical_flows_that_cannot_be_translated() {
    let topology = Topology::start(&OURS);
    let cloud = &topology.cloud;
    // northd passes an ACL's match on as it is.
    cloud.nbctl_words(&["acl-add", "sa", "from-lport", "1000", "ip4.src == 10.0.0.1 && (tcp", "drop"]);
    cloud.sync();
    let malformed = cloud.sb_find("_uuid", "Logical_Flow", "external_ids:stage-name=ls_in_acl priority=2000");
    assert_eq!(malformed.len(), 36, "one row: {malformed}");
    // Rows that northd would not make; it would remove them.
    cloud.northd_appctl("pause");
    let datapath = cloud.sb_find("_uuid", "Datapath_Binding", "external_ids:name=sa");
    let answer = cloud.sb.transact(&format!(
        r#"["OVN_Southbound",{{"op":"insert","table":"Logical_Flow","row":{{"logical_datapath":["uuid","{datapath}"],
        "pipeline":"ingress","table_id":3,"priority":7,"match":"ip4","actions":"no_such_action(1); next;"}}}}]"#
    ));
    let unknown = answer.split('"').find(|word| word.len() == 36).unwrap().to_owned();
    for (row, word) in [(&malformed, "10.0.0.1"), (&unknown, "no_such_action")] {
        for hypervisor in &cloud.hypervisors {
            wait_until(&format!("{}: a word about {row}", hypervisor.name), || !hypervisor.logged(&[row]).is_empty());
            let lines = hypervisor.logged(&[row]);
            assert!(matches!(lines.as_slice(), [line] if line.contains(word)), "{lines:#?}");
            println!("{}", lines[0]);
        }
    }
    topology.check_traffic("beside bad rows");
    cloud.resume_northd();
    topology.add_port(A2);
    cloud.sync();
    topology.send(A1, A2, "beside bad rows");
    for hypervisor in &cloud.hypervisors {
        hypervisor.wait_translated(&cloud.sb);
        assert_eq!(hypervisor.logged(&[&malformed]).len(), 1, "named once");
    }
}

#[test]
fn an_unreachable_southbound() {
    let mut topology = Topology::start_idle(&OURS);
    let right = topology.cloud.sb.remote();
    let wrong = right.replace("sb.sock", "missing.sock");
    topology.cloud.hv(1).vsctl(&format!("set Open_vSwitch . external_ids:ovn-remote={wrong}"));
    for hypervisor in &mut topology.cloud.hypervisors {
        hypervisor.start_agent();
    }
    wait_until("a word about the missing socket", || {
        !topology.cloud.hypervisors[0].logged(&["missing.sock", "No such file"]).is_empty()
    });
    println!("{}", topology.cloud.hypervisors[0].logged(&["missing.sock", "No such file"])[0]);
    // The bridge does not depend on the Southbound, so the port can be there before it.
    topology.plug(A1);
    topology.plug(B1);
    assert_eq!(topology.cloud.hv(1).agent_appctl(&["connection-status"]).unwrap(), "not connected\n");
    topology.cloud.hv(1).vsctl(&format!("set Open_vSwitch . external_ids:ovn-remote={right}"));
    topology.converge();
    assert_eq!(topology.cloud.hv(1).agent_appctl(&["connection-status"]).unwrap(), "connected\n");
    topology.check_traffic("after the repair");
}

#[test]
fn a_switch_without_openflow_15() {
    let mut topology = Topology::start_idle(&OURS);
    topology.cloud.hv(1).vsctl("add-br br-int -- set Bridge br-int protocols=OpenFlow10");
    for hypervisor in &mut topology.cloud.hypervisors {
        hypervisor.start_agent();
    }
    topology.plug(A1);
    topology.plug(B1);
    let about = ["OpenFlow 1.0", "protocols=OpenFlow15", "br-int"];
    wait_until("a word about the versions", || !topology.cloud.hypervisors[0].logged(&about).is_empty());
    println!("{}", topology.cloud.hypervisors[0].logged(&about)[0]);
    topology.cloud.hv(1).vsctl("set Bridge br-int protocols=OpenFlow10,OpenFlow15");
    topology.converge();
    topology.check_traffic("after the repair");
    assert_eq!(topology.cloud.hv(1).logged(&about).len(), 1, "said once");
}
