//! What a translation allocates and keeps: blocks and bytes, counted exactly, so the figures are the same on every machine.
//!
//! `cargo bench -p ovn-benches --bench memory`

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "../shared/counting.rs"]
mod counting;

use ovn_benches::{Deployment, bare};

/// Blocks allocated since the program's start, and bytes held now.
fn counts() -> (u64, u64) {
    (counting::blocks(), counting::held())
}

/// What `phase` allocates and keeps, for each of `per` things.
fn report(phase: &str, before: (u64, u64), per: &[(&str, usize)]) {
    let after = counts();
    for (what, n) in per {
        let each = |total: u64| total as f64 / (*n).max(1) as f64;
        println!(
            "  {phase}: for each of {n} {what}: {:.1} blocks allocated, {:.0} bytes kept",
            each(after.0 - before.0),
            each(after.1.saturating_sub(before.1)),
        );
    }
}

fn main() {
    for (nodes, ports) in [(10, 12), (100, 12), (1000, 12), (100, 250)] {
        let deployment = Deployment { nodes, ports, addresses: 50 };
        let (sb, local) = (deployment.southbound(), deployment.local());
        println!("{nodes} nodes of {ports} ports, {} KB of Southbound", sb.len() / 1024);
        let before = counts();
        let sb = ovsdb::file::load::<ovsdb::Southbound>("sb", sb.as_bytes()).expect("a valid dump").database;
        let local = ovsdb::file::load("local", local.as_bytes()).expect("a valid dump").database;
        let rows = sb.logical_flow.len();
        report("read", before, &[("Logical_Flow rows", rows)]);
        let mut agent = bare();
        let before = counts();
        let start = std::time::Instant::now();
        agent.adopt_replicas(sb, local);
        agent.settle();
        let seconds = start.elapsed().as_secs_f64();
        let flows = agent.flows().desired_len();
        let lflows = agent.unit_counts().0;
        report("translate", before, &[("logical flows on local datapaths", lflows), ("flows", flows)]);
        let (nodes, keys, edges) = agent.sizes();
        let (node_bytes, key_bytes, edge_bytes) = agent.graph_bytes();
        let each = |bytes: usize, count: usize| bytes / count.max(1);
        println!(
            "  graph: {nodes} nodes of {} bytes, {keys} keys of {}, {edges} edges of {}",
            each(node_bytes, nodes),
            each(key_bytes, keys),
            each(edge_bytes, edges),
        );
        println!("  {:.0} flows per second", flows as f64 / seconds);
    }
}
