//! Two agents that want the same: one system-id on two hypervisors, one logical port on two. Neither keeps the machine busy.

use std::time::{Duration, Instant};

use crate::common::process::{Mark, wait_within};
use crate::common::topology::{A1, B1, Topology};
use crate::common::{Agent, Cloud, wait_until};

/// How long the two may quarrel before it is looked at, and how long that is.
const BEFORE: Duration = Duration::from_secs(10);
const WINDOW: Duration = Duration::from_secs(10);
/// CPU that an agent may use then: 1 %.
const ALLOWED: Duration = Duration::from_millis(100);
/// Southbound transactions of both in the window: about one in 8 s for each thing that they differ about, and what follows from it.
const TRANSACTIONS: usize = 24;

/// Lets the time pass that the measurement is about.
fn pass(time: Duration) {
    let start = Instant::now();
    wait_within(time * 2, "time to pass", || start.elapsed() >= time);
}

/// Transactions of agents since the mark: northd's and those of the command-line tools are told by what they write.
fn agents_transactions(cloud: &Cloud, mark: &Mark) -> Vec<String> {
    let of_others = ["ovn-northd", "ovn-sbctl", "northd_internal_version"];
    let all = cloud.sb.transactions_since(mark).into_iter();
    all.filter(|line| !of_others.iter().any(|name| line.contains(name))).collect()
}

/// Checks what the two do while they quarrel: CPU, writes; prints the figures.
fn check_quarrel(cloud: &mut Cloud, what: &str) {
    let start = cloud.sb.mark();
    pass(BEFORE);
    let first = agents_transactions(cloud, &start).len();
    let mark = cloud.sb.mark();
    let cpu = |cloud: &mut Cloud| [1, 2].map(|number| cloud.hv(number).agent_daemon().cpu_time());
    let before = cpu(cloud);
    pass(WINDOW);
    let used: Vec<Duration> = cpu(cloud).into_iter().zip(before).map(|(after, before)| after - before).collect();
    let transactions = agents_transactions(cloud, &mark);
    println!(
        "{what}: {first} Southbound transactions in the first {BEFORE:?}, {} in the next {WINDOW:?}; CPU then {used:?}",
        transactions.len()
    );
    assert!(used.iter().all(|used| *used < ALLOWED), "{what}: CPU {used:?} in {WINDOW:?}");
    assert!(transactions.len() <= TRANSACTIONS, "{what}: {transactions:#?}");
}

#[test]
fn two_agents_with_one_system_id() {
    let mut topology = Topology::start_idle(&[Agent::Ours, Agent::Ours]);
    topology.cloud.hv(2).vsctl("set Open_vSwitch . external_ids:system-id=hv1");
    for hypervisor in &mut topology.cloud.hypervisors {
        hypervisor.start_agent();
    }
    topology.plug(A1);
    topology.plug(B1);
    check_quarrel(&mut topology.cloud, "one system-id");
    for hypervisor in &topology.cloud.hypervisors {
        let said = hypervisor.logged(&["|WARN|", "system-id hv1"]);
        assert!(matches!(said.as_slice(), [_]), "{}: one message: {said:#?}", hypervisor.name);
        println!("{}", said[0]);
    }
    // The second gets its own name: all is well.
    topology.cloud.hv(2).vsctl("set Open_vSwitch . external_ids:system-id=hv2");
    topology.converge();
    topology.check_traffic("two names");
}

#[test]
fn two_agents_with_an_interface_for_one_logical_port() {
    let mut topology = Topology::start(&[Agent::Ours, Agent::Ours]);
    topology.check_traffic("before");
    topology.cloud.hv(2).add_vif("twin", "a1");
    check_quarrel(&mut topology.cloud, "one logical port");
    let [first, second] = [0, 1].map(|at| &topology.cloud.hypervisors[at]);
    for (hypervisor, other) in [(first, second), (second, first)] {
        let said = hypervisor.logged(&["|WARN|", "logical port a1"]);
        assert!(matches!(said.as_slice(), [one] if one.contains(&other.name)), "one message: {said:#?}");
        println!("{}", said[0]);
        let claims = hypervisor.logged(&["lport a1 "]).len();
        assert!(claims <= 6, "{}: {claims} lines about claims", hypervisor.name);
    }
    let is_on = |topology: &Topology, name: &str| {
        let chassis = topology.cloud.sb_find("_uuid", "Chassis", &format!("name={name}"));
        topology.cloud.sb_find("chassis", "Port_Binding", "logical_port=a1") == chassis
            && topology.cloud.nbctl("lsp-get-up a1") == "up"
    };
    // When the second dies with it there is nobody to give it back: it is taken after the pause, which is the longest by now.
    wait_until("a1 on hv2", || is_on(&topology, "hv2"));
    topology.cloud.hv(2).kill_agent();
    let took = wait_within(Duration::from_secs(15), "a1 on hv1", || is_on(&topology, "hv1"));
    println!("back from a dead one after {took:?}");
    topology.cloud.hv(2).start_agent();
    topology.cloud.hv(2).wait_ready();
    wait_until("a1 on hv2", || is_on(&topology, "hv2"));
    // The port is the first one's again as soon as the second gives it up.
    topology.cloud.hv(2).remove_vif("twin");
    let took = wait_until("a1 on hv1", || is_on(&topology, "hv1"));
    println!("given back after {took:?}");
    topology.cloud.sync();
    topology.check_traffic("after");
}
