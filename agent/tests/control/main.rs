//! The control socket, through `ovs-appctl` and `ovn-appctl`, and the ways in which the daemon starts and ends.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failed unwrap is a failed test; figures are printed")]

#[path = "../common/mod.rs"]
mod common;
mod inject;
mod process;
mod service;

use common::topology::Topology;
use common::{Agent, wait_until};

#[test]
fn commands_and_exits() {
    let mut topology = Topology::start(&[Agent::Ours, Agent::Ours]);
    commands(&topology);
    inject::packets(&topology);
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
    let before = hypervisor.log_mark();
    assert_eq!(ask(&["vlog/set", "file:dbg"]), "");
    topology.cloud.sync();
    assert!(hypervisor.agent_log_since(&before).contains("|DBG|"), "debugging messages after vlog/set");
    assert_eq!(ask(&["vlog/set", "file:info"]), "");
    outputs(topology);
    // Tests of OVN look at these numbers before and after a change.
    let number = |arguments: &[&str]| ask(arguments).trim().parse::<u64>().unwrap();
    let lflow_run = number(&["coverage/read-counter", "lflow_run"]);
    let [lflows, ports] =
        ["lflow_output", "SB_port_binding"].map(|node| number(&["inc-engine/show-stats", node, "compute"]));
    topology.cloud.nbctl("lsp-add sa a9");
    topology.cloud.sync();
    assert!(number(&["inc-engine/show-stats", "SB_port_binding", "compute"]) > ports);
    assert!(number(&["inc-engine/show-stats", "lflow_output", "compute"]) > lflows);
    let recompute = number(&["inc-engine/show-stats", "lflow_output", "recompute"]);
    assert_eq!(number(&["coverage/read-counter", "lflow_run"]), lflow_run);
    let changes = ask(&["work/changes", "50"]);
    let parts = [
        "OVN_Southbound",
        "rows changed: ",
        "Port_Binding 1",
        "made run: ",
        "units run: ",
        "busy ",
        "installed after ",
    ];
    let told = |change: &str| parts.iter().all(|part| change.contains(part));
    assert!(changes.split("\n#").any(told), "{changes}");
    assert_eq!(ask(&["inc-engine/recompute"]), "");
    wait_until("a recomputation", || {
        number(&["coverage/read-counter", "lflow_run"]) == lflow_run + 1
            && number(&["inc-engine/show-stats", "lflow_output", "recompute"]) == recompute + 1
    });
    pause_and_delay(topology);
}

/// `debug/pause` and `debug/delay-nb-cfg-report`.
fn pause_and_delay(topology: &Topology) {
    let hypervisor = &topology.cloud.hypervisors[0];
    let ask = |arguments: &[&str]| hypervisor.agent_appctl(arguments).unwrap();
    let reported = || topology.cloud.sb_find("nb_cfg", "Chassis_Private", "name=hv1");
    let wanted = || topology.cloud.sbctl("get SB_Global . nb_cfg");
    for (start, stop) in [
        (&["debug/pause"][..], &["debug/resume"][..]),
        (&["debug/delay-nb-cfg-report", "3600"], &["time/warp", "3600000"]),
    ] {
        topology.cloud.sync();
        ask(start);
        let before = reported();
        topology.cloud.nbctl("--wait=sb set NB_Global . nb_cfg=0 -- sync");
        wait_until("the other hypervisor", || {
            topology.cloud.sb_find("nb_cfg", "Chassis_Private", "name=hv2") == wanted()
        });
        assert_eq!(reported(), before, "{start:?}");
        ask(&["debug/enable-timewarp"]);
        ask(stop);
        wait_until("its acknowledgement", || reported() == wanted());
    }
    assert_eq!(ask(&["debug/delay-nb-cfg-report", "0"]), "no delay for nb_cfg report.\n");
}

/// What every command says, with everything that differs between runs replaced: `outputs.txt`, made anew with `UPDATE_GOLDENS=1`.
fn outputs(topology: &Topology) {
    let hypervisor = &topology.cloud.hypervisors[0];
    let list = hypervisor.agent_appctl(&["list-commands"]).unwrap();
    let mut names: Vec<&str> = list.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.is_sorted(), "{list}");
    // These end the agent, hold it up, or are asked elsewhere.
    names.retain(|name| {
        !["exit", "debug/pause", "debug/resume", "debug/enable-timewarp", "audit/run", "sb-cluster-state-reset"]
            .contains(name)
    });
    let more = [
        "coverage/read-counter lflow_run",
        "coverage/read-counter nonsense",
        "debug/delay-nb-cfg-report 0",
        "debug/delay-nb-cfg-report nonsense",
        "inc-engine/compute-log-timeout 500",
        "inc-engine/compute-log-timeout nonsense",
        "inc-engine/show-stats lflow_output",
        "inc-engine/show-stats lflow_output compute",
        "inc-engine/show-stats lflow_output nonsense",
        "inc-engine/show-stats nonsense",
        "inject-pkt nonsense",
        "inject-pkt inport==\"a1\"&&ip4&&",
        "inject-pkt inport==\"a1\"&&tcp",
        "inject-pkt inport==\"a1\"&&ip4&&ip6",
        "inject-pkt inport==\"b1\"&&ip4",
        "inject-pkt ip4",
        "inject-pkt inport==^port",
        "set-options --format text",
        "set-options --format nonsense",
        "stopwatch/show flow-generation",
        "stopwatch/show nonsense",
        "stopwatch/reset nonsense",
        "vlog/set nonsense:nonsense",
        "vlog/enable-rate-limit nonsense",
        "connection-status x",
        "nonsense",
    ];
    let mut text = String::new();
    for command in names.into_iter().chain(more) {
        let words: Vec<&str> = command.split(' ').collect();
        let answer = match hypervisor.agent_appctl(&words) {
            Ok(answer) => answer,
            // The program's own words are first and last.
            Err(error) => error
                .lines()
                .filter(|line| !line.starts_with("ovs-appctl"))
                .map(|line| format!("error: {line}\n"))
                .collect(),
        };
        text.push_str(&format!("### {command}\n{}", normal(command, &answer)));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/control/outputs.txt");
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap();
    let differing = text.lines().zip(expected.lines()).find(|(is, should)| is != should);
    assert!(text == expected, "UPDATE_GOLDENS=1 makes it anew; first difference: {differing:?}");
}

/// An answer without what differs from run to run.
fn normal(command: &str, answer: &str) -> String {
    // Numbers, and what is counted at all, depend on how changes came together.
    let counted = [
        "coverage/show",
        "work/show",
        "work/changes",
        "memory/show",
        "inc-engine/show-stats",
        "stopwatch/show",
        "audit/show",
        "lflow-cache/show-stats",
    ];
    let name = command.split(' ').next().unwrap_or_default();
    if ["coverage/show", "work/show", "work/changes"].contains(&name) {
        // The heading, up to what is different every time.
        let line = digits(answer.lines().next().unwrap_or_default(), "N");
        return line.split(['=', '-']).next().unwrap_or_default().to_owned() + "\n";
    }
    let lines = answer.lines().map(|line| match () {
        () if name == "vlog/list" && !line.starts_with(' ') => line.to_owned(),
        () if name == "inc-engine/show-stats" && command.contains("compute") => digits(line, "N"),
        () if counted.contains(&name) => digits(line, "N"),
        () if ["group-table-list", "debug/dump-lflow-conj-ids"].contains(&name) => digits(line, "N"),
        () => line.to_owned(),
    });
    let mut lines: Vec<String> = lines.collect();
    if name == "memory/show" {
        // Whether there is more depends on the moment.
        return lines
            .iter()
            .filter_map(|line| line.split_once(" lflow-").map(|(most, _)| most).or(Some(line)))
            .map(|line| line.to_owned() + "\n")
            .collect();
    }
    if name == "inc-engine/list-stopwatches" {
        lines.retain(|line| !line.starts_with("SB_") && !line.starts_with("OVS_"));
    }
    if name == "inc-engine/show-stats" && command == name {
        // Which kinds have run is not for here.
        let end = lines.iter().position(|line| line.starts_with("Node: unit_")).unwrap_or(lines.len());
        lines.truncate(end);
        // Tables come and go with releases: three lines behind the name.
        let table = |at: usize| {
            lines.get(at).is_some_and(|line| line.starts_with("Node: SB_") || line.starts_with("Node: OVS_"))
        };
        let kept: Vec<String> = (0..lines.len()).filter(|at| !table(at / 4 * 4)).map(|at| lines[at].clone()).collect();
        lines = kept;
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// A text with something in place of its numbers.
fn digits(text: &str, instead: &str) -> String {
    let mut out = String::new();
    let mut number = false;
    for letter in text.chars() {
        let is = letter.is_ascii_digit() || number && letter == '.';
        if is && !number {
            out.push_str(instead);
        }
        if !is {
            out.push(letter);
        }
        number = is;
    }
    // A number's width is not of interest.
    let mut words: Vec<&str> = out.split(' ').collect();
    words.retain(|word| !word.is_empty());
    words.join(" ")
}
