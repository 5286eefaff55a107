//! The control socket, through `ovs-appctl`, and the ways in which the daemon ends.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failed unwrap is a failed test; figures are printed")]

mod common;

use common::topology::Topology;
use common::{Agent, wait_until};

#[test]
fn commands_and_exits() {
    let mut topology = Topology::start(&[Agent::Ours, Agent::Ours]);
    commands(&topology);
    let cloud = &mut topology.cloud;
    let state = cloud.hv(1).state();
    let sb_before = cloud.sbctl("--columns=name,_uuid list Chassis");

    // SIGTERM and `exit --restart` leave everything as it is.
    cloud.hv(1).agent_daemon().signal("TERM");
    cloud.hv(1).agent_daemon().wait_for_end();
    assert!(!cloud.hv(1).folder.join("agent.ctl").exists(), "control socket removed");
    assert!(!cloud.hv(1).folder.join("agent.pid").exists(), "pidfile removed");
    cloud.hv(1).start_agent();
    cloud.hv(1).wait_ready();
    assert_eq!(cloud.hv(1).agent_appctl(&["exit", "--restart"]).unwrap(), "");
    assert!(cloud.hv(1).agent_daemon().wait_for_end());
    assert_eq!(cloud.hv(1).state(), state);
    assert_eq!(cloud.hv(1).tunnels().len(), 1);
    assert_eq!(cloud.sbctl("--columns=name,_uuid list Chassis"), sb_before);

    // `exit` takes the hypervisor out of the deployment; the flows stay.
    cloud.hv(1).start_agent();
    cloud.hv(1).wait_ready();
    assert_eq!(cloud.hv(1).agent_appctl(&["exit"]).unwrap(), "");
    assert!(cloud.hv(1).agent_daemon().wait_for_end());
    for table in ["Chassis", "Chassis_Private"] {
        assert_eq!(cloud.sb_find("name", table, "name=hv1"), "", "{table}");
    }
    assert_eq!(cloud.sb_find("_uuid", "Encap", "ip=192.168.0.1"), "");
    assert_eq!(cloud.sb_find("chassis", "Port_Binding", "logical_port=a1"), "");
    assert_eq!(cloud.hv(1).tunnels(), []);
    assert_eq!(cloud.hv(1).find("name", "Port", "name=a1"), "a1", "the port itself stays");
    assert_eq!(cloud.hv(1).flows(), state.flows, "flows stay");
    wait_until("the other hypervisor's tunnel to go", || cloud.hypervisors[1].tunnels().is_empty());

    // And back.
    cloud.hv(1).start_agent();
    topology.converge();
    topology.check_traffic("after exit and start");
}

fn commands(topology: &Topology) {
    let hypervisor = &topology.cloud.hypervisors[0];
    let ask = |arguments: &[&str]| hypervisor.agent_appctl(arguments).unwrap();
    let list = ask(&["list-commands"]);
    let mut lines = list.lines();
    assert_eq!(lines.next(), Some("The available commands are:"));
    let names: Vec<&str> = lines.filter_map(|line| line.split_whitespace().next()).collect();
    for name in ["connection-status", "debug/dump-local-bindings", "exit", "list-commands", "version", "vlog/set"] {
        assert!(names.contains(&name), "{list}");
    }
    assert!(names.is_sorted(), "{list}");
    // ovn-ctl asks for a graceful exit only if the last word of the first line is at least 2.5.90.
    let version = ask(&["version"]);
    let last = version.lines().next().unwrap().split_whitespace().last().unwrap();
    assert!(last.split('.').next().unwrap().parse::<u32>().is_ok_and(|major| major > 2), "{version}");
    assert_eq!(ask(&["connection-status"]), "connected\n");
    assert_eq!(
        ask(&["debug/dump-local-bindings"]),
        "Local bindings:\nname: [a1], OVS interface name : [a1], num binding lports : [1]\nprimary lport : [a1]\n\
         ----------------------------------------\n"
    );
    let before = hypervisor.log_mark();
    assert_eq!(ask(&["vlog/set", "file:dbg"]), "");
    topology.cloud.sync();
    assert!(hypervisor.agent_log_since(&before).contains("|DBG|"), "debugging messages after vlog/set");
    assert_eq!(ask(&["vlog/set", "file:info"]), "");
    for (arguments, answer) in [
        (
            &["no-such"][..],
            "\"no-such\" is not a valid command (use \"list-commands\" to see a list of valid commands)",
        ),
        (&["vlog/set", "nonsense:nonsense"], "nonsense"),
        (&["connection-status", "x"], "\"connection-status\" command takes at most 0 arguments"),
    ] {
        let error = hypervisor.agent_appctl(arguments).unwrap_err();
        assert!(error.contains(answer), "{error}");
    }
}
