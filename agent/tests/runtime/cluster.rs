//! A Southbound served by a raft cluster and by relays, whose servers are killed again and again.
//!
//! `OVN_TEST_RAFT_KILLS=50` kills the leader 50 times, once in 10 s, instead of a few times as fast as all have followed.

use std::time::{Duration, Instant};

use crate::common::cluster::Relay;
use crate::common::process::wait_within;
use crate::common::topology::Topology;
use crate::common::{Agent, Cloud, Hypervisor, wait_until};

/// Connections of an agent to the Southbound, and attempts that came to nothing.
fn attempts(hypervisor: &Hypervisor) -> (usize, usize) {
    let count = |what: &str| hypervisor.logged(&["|reconnect|", "/central/", what]).len();
    (count(": connected"), count("connection attempt failed"))
}

#[test]
fn leaders_and_relays_that_are_killed_cost_no_flow() {
    let wanted: Option<usize> = std::env::var("OVN_TEST_RAFT_KILLS").ok().map(|text| text.parse().unwrap());
    let (kills, pace) = wanted.map_or((3, Duration::ZERO), |kills| (kills, Duration::from_secs(10)));
    let mut topology = Topology::configured(Cloud::start_clustered(&[Agent::Ours, Agent::Ours]));
    let central = topology.cloud.hv(1).folder.parent().unwrap().join("central");
    let members = topology.cloud.cluster.as_ref().unwrap().remotes();
    let mut relays = [1, 2].map(|number| Relay::start(&central, number, &members));
    // One is served by relays, the other by the members themselves.
    let remotes = relays.each_ref().map(Relay::remote).join(",");
    topology.cloud.hv(1).vsctl(&format!("set Open_vSwitch . external_ids:ovn-remote={remotes}"));
    topology.begin();
    topology.check_traffic("before");
    // Its own back-off is longer than all else here.
    topology.cloud.kill_northd();
    let router = topology.cloud.sb_find("datapath", "Port_Binding", "logical_port=r-a");
    let before = [0, 1].map(|at| attempts(&topology.cloud.hypervisors[at]));
    let marks = [0, 1].map(|at| topology.cloud.hypervisors[at].watch_openflow());
    let (mut slowest, all) = (Duration::ZERO, Instant::now());
    for kill in 0..kills {
        let start = Instant::now();
        let cluster = topology.cloud.cluster.as_mut().unwrap();
        let leader = cluster.leader();
        cluster.kill(leader);
        relays[kill % 2].kill();
        // What is configured now gets to all: by way of the next leader, and of the other relay.
        let number = 1000 + kill;
        topology.cloud.sbctl(&format!(
            "set SB_Global . nb_cfg={number} -- create Static_MAC_Binding datapath={router} logical_port=r-a ip=10.0.1.{} \
             mac=50\\:54\\:00\\:00\\:09\\:01",
            100 + kill
        ));
        wait_until("all to acknowledge", || {
            topology
                .cloud
                .sb_find("nb_cfg", "Chassis_Private", "")
                .split_whitespace()
                .all(|it| it == number.to_string())
        });
        slowest = slowest.max(start.elapsed());
        topology.cloud.cluster.as_mut().unwrap().restart(leader);
        relays[kill % 2].restart();
        let rest = pace.saturating_sub(start.elapsed());
        let waited = Instant::now();
        wait_within(pace + Duration::from_secs(1), "time to pass", || waited.elapsed() >= rest);
    }
    println!("{kills} leaders and relays killed in {:?}; slowest to be acknowledged: {slowest:?}", all.elapsed());
    for (at, hypervisor) in topology.cloud.hypervisors.iter().enumerate() {
        let ((connected, failed), (already, failed_already)) = (attempts(hypervisor), before[at]);
        let (connected, failed) = (connected - already, failed - failed_already);
        println!("{}: {connected} reconnects, {failed} attempts failed", hypervisor.name);
        println!("{:#?}", hypervisor.logged(&["|ovsdb_cs|"]));
        assert!(connected <= 3 * kills && failed <= 6 * kills, "a storm");
        let deleted = |line: &&String| line.contains(" DEL") || line.contains("CT_FLUSH");
        let modifications = hypervisor.modifications_since(&marks[at]);
        let deletions: Vec<&String> = modifications.iter().filter(deleted).collect();
        assert!(deletions.is_empty(), "{}: flows were lost: {deletions:#?}", hypervisor.name);
        // And it is right.
        let sb = topology.cloud.cluster.as_ref().unwrap().dump();
        wait_until(&format!("{} to have what it should", hypervisor.name), || {
            hypervisor.translated_from(&sb).by_contents() == hypervisor.state().by_contents()
        });
        assert!(hypervisor.logged(&["transaction failed"]).is_empty());
    }
    topology.check_traffic("after");

    // A relay that hangs, with its connections: probes are asked for while the agent runs.
    let hv1 = &topology.cloud.hypervisors[0];
    hv1.vsctl("set Open_vSwitch . external_ids:ovn-remote-probe-interval=1000");
    let last = hv1.logged(&["/central/relay", ": connected"]).pop().unwrap();
    let used = relays.iter().find(|relay| last.contains(&relay.remote())).unwrap();
    let mark = hv1.log_mark();
    used.signal("STOP");
    let start = Instant::now();
    wait_until("the other relay", || {
        let log = hv1.agent_log_since(&mark);
        log.contains("no response to inactivity probe after 1 seconds") && log.contains(": connected")
    });
    println!("left a relay that hangs after {:?}", start.elapsed());
    topology.cloud.sbctl("set SB_Global . nb_cfg=7777");
    wait_until("all to acknowledge", || topology.cloud.sb_find("nb_cfg", "Chassis_Private", "name=hv1") == "7777");
    used.signal("CONT");
}
