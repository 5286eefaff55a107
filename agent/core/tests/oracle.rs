//! The oracle: after any change of any row, an agent that followed all changes wants what an agent wants that sees the same
//! databases for the first time. Flow by flow, byte by byte; groups, meters, database operations and diagnostics likewise.
//!
//! Nor does it matter whether an agent sees the whole Southbound or only the rows that it asks for.
//!
//! The kernel's neighbour tables change with the rows where switches have VNIs.
//!
//! `OVN_AGENT_SEED=n` is added to the seed, `OVN_AGENT_CHANGES=n` makes another number of changes per database,
//! `OVN_AGENT_EVERY_GOLDEN=n` makes n changes from each of the goldens, or from those whose folder and hypervisor `OVN_AGENT_GOLDEN` is
//! a part of.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test that names its line")]
#![allow(clippy::print_stdout, reason = "figures and notices of a test")]

mod common;

use common::edits::{Edit, Editor, deletions, insertions};
use common::kernel::{Tables, with_evpn};
use common::monitoring::{Conditional, is_consistent};
use common::state::{State, Switch};
use common::{Random, Start, external};
use ovn_core::kernel::{Neighbour, NeighbourTable};
use ovn_core::view::multicast::LARGE;
use ovn_core::{Agent, Progress, Threads};
use ovsdb::tables::southbound::PortBinding;
use ovsdb::tables::{Database, RowUpdate, southbound};
use ovsdb::{Str, Uuid};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The seed of most sequences.
const SEED: u64 = 20_261_122;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// Applies a change of a database, or lets the agent look at the kernel's tables again.
fn apply(agent: &mut Agent, edit: Option<Edit>, tables: &Tables) {
    match edit {
        Some(Edit::Southbound(updates)) => agent.southbound(*updates),
        Some(Edit::Local(updates)) => agent.local(*updates),
        None => tables.show(agent),
    }
}

/// An agent that sees the databases of `agent` for the first time: either the same replicas, or their rows one after the other
/// in a random order, so that rows have other places.
fn afresh(agent: &Agent, tables: &Tables, random: &mut Random) -> Agent {
    let mut fresh = Agent::new(external());
    let model = agent.model();
    let kernel_first = random.once_in(2);
    if kernel_first {
        tables.show(&mut fresh);
    }
    if random.once_in(2) {
        fresh.adopt_replicas(model.sb.clone(), model.local.clone());
    } else {
        fresh.local(insertions(&model.local, random));
        fresh.southbound(insertions(&model.sb, random));
    }
    if !kernel_first {
        tables.show(&mut fresh);
    }
    fresh.settle();
    fresh
}

fn compare(agent: &Agent, fresh: &Agent, context: impl Fn() -> String) -> State {
    let (have, want) = (State::of(agent), State::of(fresh));
    if have != want {
        panic!("{}\nfollowed (-) and afresh (+) differ:\n{}", context(), have.differences(agent, &want, fresh));
    }
    have
}

/// An agent that follows with conditions, or one that starts with them, wants what one wants that sees everything.
fn compare_conditional(conditional: &mut Conditional, fresh: &Agent, tables: &Tables, context: impl Fn() -> String) {
    conditional.follow(&fresh.model().sb);
    tables.show(&mut conditional.agent);
    conditional.agent.settle();
    let (have, want) = (State::of(&conditional.agent), State::of(fresh));
    let (have, want) = (have.without_diagnostics(), want.without_diagnostics());
    if have != want {
        let differences = have.differences(&conditional.agent, &want, fresh);
        panic!("{}\nwith conditions (-) and afresh (+) differ:\n{differences}", context());
    }
}

/// Makes random changes one by one and compares after each. A second agent gets the same changes in random batches and works
/// in random slices.
fn follow(start: &Start, seed: u64, changes: usize) {
    let seed = setting("OVN_AGENT_SEED").unwrap_or(0).wrapping_add(seed);
    let changes = setting("OVN_AGENT_CHANGES").map_or(changes, |n| n as usize);
    let mut random =
        Random(seed ^ start.name.bytes().fold(0, |hash: u64, byte| hash.wrapping_mul(31) + u64::from(byte)));
    let editor = Editor::new(start);
    let evpn = start.sb.datapath_binding.iter().any(|(_, row)| row.external_ids.contains_key("dynamic-routing-vni"));
    let mut tables = Tables::default();
    let (mut agent, mut sliced) = (start.agent(), start.agent());
    let mut conditional = Conditional::start(&start.local, &mut random);
    let mut switch = Switch::default();
    switch.update(&mut agent);
    let begin = State::of(&agent).flows();
    let mut flows = begin;
    let (mut total, mut most, mut compared) = (0, (0, 0, 0), 0);
    let mut history: Vec<String> = Vec::new();
    for step in 0..changes {
        // Back to the beginning now and then, soon when little is left: without a system-id nothing much can happen.
        if random.once_in(if flows < begin / 2 { 6 } else { 100 }) {
            let (sb, local) = (insertions(&start.sb, &mut random), insertions(&start.local, &mut random));
            for agent in [&mut agent, &mut sliced] {
                agent.southbound_replaced(sb.clone());
                agent.local_replaced(local.clone());
            }
            conditional.agent.local_replaced(local);
            agent.settle();
        }
        let (edit, text) = if evpn && random.once_in(2) {
            (None, tables.edit(&mut random))
        } else {
            let (edit, text) = editor.edit(&mut random, &agent.model().sb, &agent.model().local);
            (Some(edit), text)
        };
        history.push(text);
        let before = &history[history.len().saturating_sub(4)..];
        let context = || format!("{}: seed {seed}, change {step}, after\n{}", start.name, before.join("\n"));
        apply(&mut agent, edit.clone(), &tables);
        agent.settle();
        let fresh = afresh(&agent, &tables, &mut random);
        let state = compare(&agent, &fresh, context);
        switch.update(&mut agent);
        assert!(switch.agrees(&state), "{}: the switch was not told everything", context());
        assert_eq!(agent.take_work().cycles, 0, "{}", context());
        flows = state.flows();
        total += flows;
        most.0 = most.0.max(flows);
        most.1 = most.1.max(state.operations());
        most.2 = most.2.max(state.diagnostics());

        if let Some(Edit::Local(updates)) = &edit {
            conditional.agent.local((**updates).clone());
        }
        let consistent = is_consistent(&fresh.model().sb);
        compared += usize::from(consistent);
        if consistent && random.once_in(4) {
            compare_conditional(&mut conditional, &fresh, &tables, || format!("{} (followed)", context()));
        }
        if consistent && random.once_in(20) {
            let mut started = Conditional::start(&fresh.model().local, &mut random);
            compare_conditional(&mut started, &fresh, &tables, || format!("{} (started)", context()));
        }
        apply(&mut sliced, edit, &tables);
        for _ in 0..random.below(4) {
            let _: Progress = sliced.work(random.below(50));
        }
        if random.once_in(10) {
            while sliced.work(1 + random.below(20)) == Progress::More {}
            compare(&sliced, &fresh, || format!("{} (in batches and slices)", context()));
        }
        if random.once_in(50) {
            agent.recompute();
            agent.settle();
            compare(&agent, &fresh, || format!("{} (after a recompute)", context()));
            assert_eq!(switch.update(&mut agent), 0, "{}: a recompute sent something", context());
        }
    }
    println!(
        "{}: {changes} changes from seed {seed}; {} flows at a time, at most {}, {} operations, {} diagnostics; {} flow mods",
        start.name,
        total / changes.max(1),
        most.0,
        most.1,
        most.2,
        switch.flow_mods
    );
    assert!(changes < 400 || compared * 16 > changes, "too few states that OVN makes: {compared}");
    tables.clear();
    tables.show(&mut agent);
    delete_everything(agent, switch);
}

/// Nothing may be left of what was.
fn delete_everything(mut agent: Agent, mut switch: Switch) {
    let mut empty = Agent::new(external());
    empty.settle();
    for updates in deletions(&agent.model().sb) {
        agent.southbound(updates);
        agent.settle();
    }
    for updates in deletions(&agent.model().local) {
        agent.local(updates);
        agent.settle();
    }
    let state = compare(&agent, &empty, || "after deleting everything".to_owned());
    switch.update(&mut agent);
    assert!(switch.agrees(&state));
    assert_eq!(agent.sizes(), empty.sizes(), "nodes, keys and edges that nothing needs any more");
    let (flows, pools, _) = agent.switch_side();
    let ids = (pools.groups.len(), pools.meters.len(), pools.conjunctions.len());
    assert_eq!(ids, (0, 0, 0), "ids of groups, meters and conjunctions that nothing needs any more");
    let (other_flows, ..) = empty.switch_side();
    assert_eq!(
        flows.iter().count(),
        other_flows.iter().count(),
        "entries of the flow table that nothing needs any more"
    );
}

#[test]
fn everything_first_seed() {
    follow(&Start::own("everything", "hv1"), SEED, 500);
}

#[test]
fn everything_second_seed() {
    follow(&Start::own("everything", "hv1"), SEED + 1, 500);
}

#[test]
fn switch_router_switch() {
    follow(&Start::own("switch-router-switch", "hv1"), SEED, 100);
}

/// The case "everything", the flood group of sw1 being so large that it is in parts.
fn with_a_large_group() -> Start {
    let mut start = Start::own("everything", "hv1");
    let sb = &mut start.sb;
    let (group, mut row) = {
        let groups = sb.multicast_group.iter().filter(|(_, row)| row.name == "_MC_flood");
        let (id, row) = groups.max_by_key(|(_, row)| row.ports.len()).unwrap();
        (sb.multicast_group.uuid(id), row.clone())
    };
    let chassis: Vec<_> = sb.chassis.iter().map(|(id, _)| sb.chassis.uuid(id)).collect();
    let (mut members, mut updates) = (row.ports.iter().copied().collect::<Vec<_>>(), southbound::Updates::default());
    for number in 0..100u8 {
        let uuid = Uuid([number.wrapping_mul(37); 16]);
        let port = PortBinding {
            logical_port: Str::from(format!("far{number}")),
            datapath: row.datapath,
            tunnel_key: 1000 + i64::from(number),
            chassis: chassis.get(usize::from(number) % chassis.len()).copied(),
            ..Default::default()
        };
        updates.port_binding.push((uuid, RowUpdate::Insert(port)));
        members.push(uuid);
    }
    row.ports = members.into();
    assert!(row.ports.len() > LARGE, "otherwise this tests nothing");
    updates.multicast_group.push((group, RowUpdate::Insert(row)));
    sb.apply(updates);
    start
}

#[test]
fn a_large_multicast_group() {
    follow(&with_a_large_group(), SEED, 200);
}

#[test]
fn evpn() {
    let start = with_evpn(Start::own("switch-router-switch", "hv1"));
    let mut agent = start.agent();
    let before = State::of(&agent).flows();
    let endpoint = Neighbour { mac: 7, ip: "198.51.100.1".parse().ok(), extern_learned: true, ..Neighbour::default() };
    agent.neighbours(&Str::from("vx0"), NeighbourTable::Fdb, &[endpoint]);
    agent.settle();
    // 3 flows to all, 4 of the endpoint and 2 of the address behind it.
    assert_eq!(State::of(&agent).flows(), before + 9, "otherwise this tests nothing");
    follow(&start, SEED, 200);
}

/// The number of threads and the slices are nobody's business but the clock's.
#[test]
fn any_number_of_threads_comes_to_the_same() {
    let start = Start::own("everything", "hv1");
    let alone = start.agent();
    for (threads, slice) in [(2, 64), (2, 100), (3, 40), (8, 50)] {
        let mut agent = Agent::new(external());
        agent.set_threads(Threads(threads));
        agent.adopt_replicas(start.sb.clone(), start.local.clone());
        while agent.work(slice) == Progress::More {}
        assert!(agent.work_counters().ahead > 0, "otherwise this tests nothing: {:?}", agent.work_counters());
        compare(&agent, &alone, || format!("{threads} threads in slices of {slice}"));
    }
}

/// Rows have places, and a place is used again. A unit that asks only for a place must hear of it all the same.
#[test]
fn another_row_takes_the_place_of_a_deleted_one() {
    let start = Start::own("switch-router-switch", "hv1");
    let mut agent = start.agent();
    let before = State::of(&agent).flows();
    let (row, datapath) =
        start.sb.datapath_binding.iter().find(|(_, dp)| dp.external_ids.get("name").is_some()).unwrap();
    let uuid = start.sb.datapath_binding.uuid(row);
    for update in [RowUpdate::Delete, RowUpdate::Insert(datapath.clone())] {
        agent.southbound(southbound::Updates { datapath_binding: vec![(uuid, update)], ..Default::default() });
    }
    assert_eq!(agent.model().sb.datapath_binding.by_uuid(&uuid), Some(row), "otherwise this tests nothing");
    agent.settle();
    let state = compare(&agent, &afresh(&agent, &Tables::default(), &mut Random(1)), || {
        "a datapath came back at once".to_owned()
    });
    assert_eq!(state.flows(), before);
}

/// Follows random changes from goldens of different kinds; which of them does not matter, only that all tables occur.
fn goldens(cases: &[(&str, &str)]) {
    for (case, hv) in cases {
        if let Some(start) = Start::golden(case, hv) {
            follow(&start, SEED, 40);
        }
    }
}

#[test]
fn goldens_with_routers_and_gateways() {
    goldens(&[
        ("0097-3-hvs-3-ls-3-lports-ls-1-lr", "hv1"),
        ("northd-23.03-0577-changing-tunnel-key", "hv1"),
        ("northd-23.03-0437-multiple-encap-ips-selection-for-localnet-packets", "hv1"),
        ("0617-2-hvs-2-ls-1-lport-ls-lrs-connected-via-ls-ipv4-over-ipv6-st", "hv1"),
        ("0187-4-hv-3-ls-2-lr-packet-test-with-ha-distributed-router-gatewa", "gw1"),
        ("0306-ip-packet-buffering", "hv1"),
    ]);
}

#[test]
fn goldens_with_sets_load_balancers_and_meters() {
    goldens(&[
        ("1026-ovn-controller-i-p-for-address-set-update-with-conjunction", "hv1"),
        ("northd-23.03-0288-l2-drop-and-allow-acl-w-stateful-acl", "hv1"),
        ("0352-load-balancer-health-checks-ipv4", "hv1"),
        ("0322-controller-event", "hv1"),
        ("0530-load-balancers-with-chassis-template-var-references", "hv1"),
        ("northd-23.03-0484-ovn-controller-check-meters-update", "hv1"),
        ("0492-ovn-fdb-mac-learning-localnet", "hv1"),
    ]);
}

/// From each golden there is, in parallel; in an ordinary run from one in twenty, others with another seed.
#[test]
fn every_golden() {
    let all = Start::every_golden();
    let (changes, every) = setting("OVN_AGENT_EVERY_GOLDEN").map_or((5, 20), |n| (n as usize, 1));
    let first = setting("OVN_AGENT_SEED").unwrap_or(0) as usize % every;
    let named = std::env::var("OVN_AGENT_GOLDEN").unwrap_or_default();
    let chosen: Vec<_> =
        all.iter().skip(first).step_by(every).filter(|(case, hv)| format!("{case}/{hv}").contains(&named)).collect();
    let (next, made) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some((case, hv)) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let start = Start::golden(case, hv).unwrap();
                    // A look at a big deployment takes as long as one at a hundred others.
                    let changes = if start.sb.logical_flow.len() < 20_000 { changes } else { changes / 20 };
                    follow(&start, SEED, changes);
                    made.fetch_add(changes, Ordering::Relaxed);
                }
            });
        }
    });
    println!("{} changes from {} hypervisors", made.into_inner(), chosen.len());
}
