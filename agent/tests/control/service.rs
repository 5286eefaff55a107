//! What systemd is told and tells, with a socket of the test's in place of systemd's; and metrics.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::common::{Agent, Cloud, wait_until};

/// READY, WATCHDOG, RELOADING, STOPPING (sd_notify(3)).
#[test]
fn a_life_under_systemd() {
    let mut cloud = Cloud::start_idle(&[Agent::Ours]);
    cloud.nbctl("ls-add s -- lsp-add s p1 -- lsp-set-addresses p1 50:54:00:00:00:01");
    let hypervisor = cloud.hv(1);
    let metrics = hypervisor.folder.join("metrics.sock");
    hypervisor.agent_arguments.push(format!("--metrics=unix:{}", metrics.display()));
    hypervisor.start_agent_by(&["env", "WATCHDOG_USEC=400000"]);
    let ready = hypervisor.wait_notified("READY=1");
    assert!(ready.contains("STATUS=ready: "), "{ready}");
    for _ in 0..3 {
        hypervisor.wait_notified("WATCHDOG=1");
    }

    // Reloading opens the log anew.
    let [log, moved] = ["agent.log", "agent.log.1"].map(|name| hypervisor.folder.join(name));
    std::fs::rename(&log, &moved).unwrap();
    hypervisor.agent_daemon().signal("USR1");
    let reloading = hypervisor.wait_notified("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    hypervisor.wait_notified("READY=1");
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("|vlog|INFO|opened log file ") && text.contains("|main|INFO|reloaded"), "{text}");
    assert!(std::fs::read_to_string(&moved).unwrap().ends_with("|vlog|INFO|closing log file\n"));

    // A stalled engine is not what tells systemd that all is well.
    cloud.hv(1).add_vif("p1", "p1");
    cloud.wait_up("p1");
    measured(&metrics);
    let hypervisor = cloud.hv(1);
    hypervisor.agent_daemon().signal("TERM");
    hypervisor.wait_notified("STOPPING=1");
    assert!(!hypervisor.agent_daemon().wait_for_end());
    assert!(!metrics.exists(), "the socket for metrics goes");
}

fn get(socket: &Path, target: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    write!(stream, "{target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn measured(socket: &Path) {
    let sample = |name: &str| {
        let answer = get(socket, "GET /metrics");
        let line = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse::<f64>().ok()).unwrap_or(-1.0)
    };
    let one = [
        "ovn_agent_connected{peer=\"OVN_Southbound\"}",
        "ovn_agent_connected{peer=\"switch\"}",
        "ovn_agent_connections_total{peer=\"Open_vSwitch\"}",
        "ovn_agent_bound_ports",
        "ovn_agent_local_datapaths",
    ];
    for name in one {
        wait_until(name, || sample(name) == 1.0);
    }
    let some = [
        "ovn_agent_change_installed_seconds_count",
        "ovn_agent_change_busy_seconds_count",
        "ovn_agent_turn_seconds_sum",
        "ovn_agent_transactions_total{database=\"OVN_Southbound\",outcome=\"committed\"}",
        "ovn_agent_flow_mods_total",
        "ovn_agent_desired{kind=\"flow\"}",
        "ovn_agent_rows_changed_total{kind=\"Port_Binding\"}",
        "ovn_agent_units_run_total{kind=\"LogicalFlow\"}",
        "ovn_agent_resident_memory_bytes",
    ];
    for name in some {
        wait_until(name, || sample(name) > 0.0);
    }
    assert!(
        get(socket, "GET /metrics")
            .starts_with("HTTP/1.1 200 OK\r\ncontent-type: application/openmetrics-text; version=1.0.0")
    );
    assert!(get(socket, "GET /").starts_with("HTTP/1.1 404 "));
    assert!(get(socket, "POST /metrics").starts_with("HTTP/1.1 405 "));
}
