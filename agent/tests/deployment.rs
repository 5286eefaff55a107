//! Two hypervisors, a router and two switches: ports come up, packets cross in both directions, ports come and go. With
//! our agent on both, and with ours beside the packaged `ovn-controller`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failed unwrap is a failed test; figures are printed")]

mod common;

use common::topology::{A1, B1, Port, Topology};
use common::{Agent, wait_until};

const A2: Port = Port { switch: 'a', number: 2, host: 2 };

/// Everything works, a third port works, and without it everything works as before.
fn deployment(agents: [Agent; 2]) -> Topology {
    let topology = Topology::start(&agents);
    let cloud = &topology.cloud;
    topology.check_traffic("two ports");
    let before: Vec<_> = cloud.hypervisors.iter().map(|hypervisor| hypervisor.flows()).collect();

    topology.add_port(A2);
    topology.send(A1, A2, "one switch, two hypervisors");
    topology.send(A2, A1, "one switch, two hypervisors");
    topology.send(A2, B1, "one hypervisor, routed");
    topology.send(B1, A2, "one hypervisor, routed");
    let installed = || cloud.hypervisors[1].vsctl("--if-exists get Interface a2 external_ids:ovn-installed");
    wait_until("ovn-installed on a2", || installed().contains("true"));

    topology.unplug(A2);
    wait_until("a2 released", || {
        cloud.sb_find("chassis", "Port_Binding", "logical_port=a2").is_empty() && cloud.nbctl("lsp-get-up a2") == "down"
    });
    cloud.nbctl("lsp-del a2");
    cloud.sync();
    topology.check_traffic("after the third port");
    for (hypervisor, before) in cloud.hypervisors.iter().zip(before) {
        assert_eq!(hypervisor.flows(), before, "{}: flows as before the third port", hypervisor.name);
    }
    println!("{agents:?}: converged in {} ms", topology.converged_in);
    topology
}

#[test]
fn two_agents() {
    let topology = deployment([Agent::Ours, Agent::Ours]);
    for hypervisor in &topology.cloud.hypervisors {
        hypervisor.wait_translated(&topology.cloud.sb);
        println!("{}: {} flows", hypervisor.name, hypervisor.flows().len());
    }
}

/// Proves the sandbox itself.
#[test]
fn two_packaged_agents() {
    deployment([Agent::Packaged, Agent::Packaged]);
}

#[test]
fn beside_a_packaged_agent() {
    deployment([Agent::Packaged, Agent::Ours]);
}
