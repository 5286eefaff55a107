//! What the databases' servers do not let us do: each is named with its reason, and keeps us from nothing else.

use serde_json::{Value, json};

use crate::common::process::wait_within;
use crate::common::topology::{A1, B1, Topology};
use crate::common::{Agent, Cloud, wait_until};
use std::time::{Duration, Instant};

const OURS: [Agent; 2] = [Agent::Ours, Agent::Ours];

/// A server that cannot take the time of an acknowledgement: it refuses the operation.
fn without_timestamps(schema: &mut Value) {
    schema["tables"]["Chassis_Private"]["columns"]["nb_cfg_timestamp"] =
        json!({"type": {"key": {"type": "integer", "maxInteger": 5}}});
}

/// A server that has no room for mirrors and queues: it carries all operations out, and refuses the whole at the end.
fn without_mirrors(schema: &mut Value) {
    schema["tables"]["Mirror"]["maxRows"] = json!(1);
}

#[test]
fn a_refused_write_is_named_and_keeps_nothing_back() {
    let mut topology = Topology::configured(Cloud::start_with_schemas(&OURS, without_timestamps, without_mirrors));
    topology.cloud.hv(1).vsctl("add-br other -- --id=@m create Mirror name=theirs -- add Bridge other mirrors @m");
    for name in ["one", "two", "three"] {
        topology.cloud.nbctl(&format!("mirror-add {name} gre 5 to-lport 192.168.0.9 -- lsp-attach-mirror a1 {name}"));
    }
    for hypervisor in &mut topology.cloud.hypervisors {
        hypervisor.start_agent();
    }
    topology.plug(A1);
    topology.plug(B1);
    let cloud = &topology.cloud;
    cloud.wait_up("a1");
    cloud.wait_up("b1");
    topology.check_traffic("beside refusals");
    cloud.nbctl("--wait=sb sync");
    let hypervisor = &cloud.hypervisors[0];
    let refused = |parts: &[&str]| {
        wait_until(&format!("a word about {parts:?}"), || !hypervisor.logged(parts).is_empty());
        let lines = hypervisor.logged(parts);
        assert!(lines.len() == 1, "said once: {lines:#?}");
        println!("{}", lines[0]);
    };
    refused(&[
        "|WARN|",
        "OVN_Southbound: transaction failed: what NbCfg needs is refused",
        "constraint violation",
        "nb_cfg_timestamp",
    ]);
    refused(&[
        "|WARN|",
        "Open_vSwitch: transaction failed: what Mirrors needs is refused",
        "constraint violation",
        "Mirror",
        "limit",
    ]);
    // The port's interface was marked by a transaction that the mirrors would have spoiled.
    wait_until("ovn-installed", || {
        hypervisor.vsctl("--if-exists get Interface a1 external_ids:ovn-installed").contains("true")
    });
    let (southbound, local) = (cloud.sb.mark(), hypervisor.database.mark());
    let start = Instant::now();
    wait_within(Duration::from_secs(10), "time to pass", || start.elapsed() > Duration::from_secs(4));
    let again = cloud.sb.transactions_since(&southbound);
    let again: Vec<&String> = again.iter().filter(|line| line.contains("nb_cfg_timestamp")).collect();
    let mirrors = hypervisor.database.transactions_since(&local);
    println!("tried again within 4 s: nb_cfg {} times by 2 agents, mirrors {} times", again.len(), mirrors.len());
    assert!(again.len() <= 6 && mirrors.len() <= 4, "{again:#?} {mirrors:#?}");
}

#[test]
fn a_role_that_may_do_nothing() {
    let mut topology = Topology::start_idle(&OURS);
    let socket = topology.cloud.hv(1).folder.join("roles.sock").display().to_string();
    // Without a certificate a client has no identity, so that the role allows it nothing.
    topology.cloud.sb.appctl(&["ovsdb-server/add-remote", "db:OVN_Southbound,SB_Global,connections"]);
    topology.cloud.sbctl(&format!("set-connection role=ovn-controller punix:{socket}"));
    topology.cloud.hv(1).vsctl(&format!("set Open_vSwitch . external_ids:ovn-remote=unix:{socket}"));
    for hypervisor in &mut topology.cloud.hypervisors {
        hypervisor.start_agent();
    }
    topology.plug(A1);
    topology.plug(B1);
    let about =
        ["|WARN|", "OVN_Southbound: transaction failed: what Chassis needs is refused", "permission error", "hv1"];
    let said = |topology: &Topology| topology.cloud.hypervisors[0].logged(&about);
    wait_until("a word about the role", || !said(&topology).is_empty());
    println!("{}", said(&topology)[0]);
    topology.cloud.wait_up("b1");
    let mark = topology.cloud.sb.mark();
    let cpu = topology.cloud.hv(1).agent_daemon().cpu_time();
    let start = Instant::now();
    wait_within(Duration::from_secs(10), "time to pass", || start.elapsed() > Duration::from_secs(5));
    let cpu = topology.cloud.hv(1).agent_daemon().cpu_time() - cpu;
    let count = topology.cloud.sb.transactions_since(&mark).len();
    println!("{count} transactions and {cpu:?} CPU in 5 s");
    assert!(count <= 4 && cpu < Duration::from_millis(50), "{count} transactions, {cpu:?}");
    assert_eq!(said(&topology).len(), 1, "said once");
    // On a connection without the role everything is tried at once.
    let remote = topology.cloud.sb.remote();
    topology.cloud.hv(1).vsctl(&format!("set Open_vSwitch . external_ids:ovn-remote={remote}"));
    topology.converge();
    topology.check_traffic("without the role");
}
