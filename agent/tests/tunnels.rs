//! Chassis rows that share an endpoint: one tunnel port an endpoint, none to ourselves, and a line in the log for each.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failed unwrap is a failed test; figures are printed")]

mod common;

use common::process::wait_within;
use common::topology::Topology;
use common::watch::{Client, Tuple, Watch, canonical};
use common::{Agent, Cloud, wait_until};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Inserts Chassis rows that share one new Encap row (the schema allows one a type and address).
fn insert_chassis(cloud: &Cloud, names: &[&str], address: &str) {
    let encap = format!(
        r#"{{"op":"insert","table":"Encap","uuid-name":"e","row":{{"type":"geneve","ip":"{address}","chassis_name":"{}"}}}}"#,
        names[0]
    );
    let rows = names.iter().map(|name| chassis(name, r#"["named-uuid","e"]"#));
    let operations: Vec<String> = std::iter::once(encap).chain(rows).collect();
    cloud.sb.transact(&format!(r#"["OVN_Southbound",{}]"#, operations.join(",")));
}

fn chassis(name: &str, encap: &str) -> String {
    format!(r#"{{"op":"insert","table":"Chassis","row":{{"name":"{name}","hostname":"{name}","encaps":{encap}}}}}"#)
}

fn delete_chassis(cloud: &Cloud, name: &str) {
    cloud.sb.transact(&format!(
        r#"["OVN_Southbound",{{"op":"delete","table":"Chassis","where":[["name","==","{name}"]]}}]"#
    ));
}

#[test]
fn one_tunnel_an_endpoint() {
    let mut topology = Topology::start(&[Agent::Ours, Agent::Ours]);
    topology.check_traffic("first");
    let cloud = &mut topology.cloud;
    let to = |cloud: &Cloud, address: &str| -> Vec<(String, String)> {
        let tunnels = cloud.hypervisors[0].tunnels();
        tunnels.into_iter().filter(|(_, remote, _)| remote == address).map(|(name, _, ofport)| (name, ofport)).collect()
    };
    let address = "192.168.0.77";
    for (first_to_go, last) in [("twin-a", "twin-b"), ("twin-b", "twin-a")] {
        let mark = cloud.hv(1).log_mark();
        insert_chassis(cloud, &["twin-a", "twin-b"], address);
        wait_until("tunnel to the twins", || matches!(to(cloud, address).as_slice(), [(_, port)] if port != "[]"));
        let tunnel = to(cloud, address);
        cloud.sync();
        assert_eq!(to(cloud, address), tunnel, "one tunnel");
        delete_chassis(cloud, first_to_go);
        cloud.sync();
        assert_eq!(to(cloud, address), tunnel, "{first_to_go} deleted: the same port leads to {last}");
        let lines: Vec<_> = cloud
            .hv(1)
            .agent_log_since(&mark)
            .lines()
            .filter(|line| line.contains(address))
            .map(str::to_owned)
            .collect();
        assert!(matches!(lines.as_slice(), [line] if line.contains("twin-a") && line.contains("twin-b")), "{lines:#?}");
        delete_chassis(cloud, last);
        wait_until("no tunnel to the twins", || to(cloud, address).is_empty());
    }

    // Our own address on another's row.
    let before = cloud.hv(1).tunnels();
    let encap = cloud.sb_find("_uuid", "Encap", "ip=192.168.0.1");
    cloud.sb.transact(&format!(r#"["OVN_Southbound",{}]"#, chassis("impostor", &format!(r#"["uuid","{encap}"]"#))));
    wait_until("a word about the impostor", || !cloud.hv(1).logged(&["impostor"]).is_empty());
    cloud.sync();
    assert_eq!(cloud.hv(1).tunnels(), before, "no tunnel to ourselves");
    let lines = cloud.hv(1).logged(&["impostor"]);
    assert!(matches!(lines.as_slice(), [line] if line.contains("192.168.0.1")), "{lines:#?}");
    assert_eq!(cloud.hv(2).tunnels().len(), 1, "the other hypervisor keeps its tunnel");
    topology.check_traffic("beside an impostor");
}

/// A tunnel that stands in its own way because the switch was slow, and one that somebody else's port stands in the way of.
#[test]
fn what_the_switch_refuses_is_named_and_made_good() {
    let mut cloud = Cloud::start_idle(&[Agent::Ours]);
    cloud.hv(1).start_agent();
    cloud.hv(1).wait_ready();
    let watch = Watch::start(&cloud.hv(1).database);
    let works = |address: &str| watch.look(|seen| seen.tunnels.values().any(|it| it.tuple.1 == address && it.works()));
    let exists = |address: &str| watch.look(|seen| seen.tunnels.values().any(|it| it.tuple.1 == address));

    let address = "192.168.0.77";
    insert_chassis(&cloud, &["hasty"], address);
    // The row has a number from the first: that is the one that is wished for.
    wait_until("the switch to have the tunnel", || {
        works(address) && cloud.hypervisors[0].switch_appctl(&["dpif/show"]).contains("ovn-hasty-0")
    });
    cloud.hv(1).signal_switch("STOP");
    delete_chassis(&cloud, "hasty");
    wait_until("the port to be gone", || !exists(address));
    // The switch knows ports by their names: one of the same name would be the old one to it.
    insert_chassis(&cloud, &["other"], address);
    wait_until("the port to be back", || exists(address));
    cloud.hv(1).signal_switch("CONT");
    wait_until("the tunnel to be tried again", || {
        works(address) && watch.look(|seen| seen.refused.iter().any(|port| port.contains("File exists")))
    });
    let lines = cloud.hv(1).logged(&["tunnel port ovn-other-0 to chassis other", "File exists"]);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let highest = watch.look(|seen| seen.highest);
    assert!(highest <= 4, "attempts that fail use up a number each, so there are few: {highest}");

    let address = "192.168.0.78";
    cloud.hv(1).vsctl(&format!(
        "add-port br-int by-hand -- set Interface by-hand type=geneve options:remote_ip={address} options:key=flow \
         options:local_ip=192.168.0.1"
    ));
    // Who watches may hear of it later than who made it.
    let by_hand = || watch.look(|seen| seen.tunnels.values().any(|it| it.name == "by-hand" && it.works()));
    wait_until("the port made by hand", by_hand);
    let (changes, highest) = watch.look(|seen| (seen.changes, seen.highest));
    let mark = cloud.hv(1).log_mark();
    insert_chassis(&cloud, &["late"], address);
    cloud.sync();
    let log = cloud.hv(1).agent_log_since(&mark);
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("late")).collect();
    assert!(matches!(lines.as_slice(), [line] if line.contains("port by-hand of bridge br-int")), "{lines:#?}");
    assert_eq!(watch.look(|seen| (seen.changes, seen.highest)), (changes, highest), "it is not even tried");
    cloud.hv(1).vsctl("del-port by-hand");
    wait_until("the tunnel, once its place is free", || !by_hand() && works(address));
    let report = cloud.hv(1).agent_appctl(&["work/show"]).unwrap();
    assert!(report.contains("tunnel ports refused: 0\n"), "{report}");
    assert!(watch.look(|seen| seen.duplicates.is_empty()));
}

// ===== churn =====

/// Chassis besides ours, and what happens to them; `OVN_TEST_CHURN=1000,10000` makes it that many.
const CHASSIS: usize = 500;
const EVENTS: usize = 1500;
/// Chassis to which nothing happens.
const QUIET: usize = 50;
/// Chassis that are added one by one for the measurement.
const ADDED: usize = 30;
/// The addresses of the hypervisor under test.
const OWN: [&str; 2] = ["192.168.0.1", "fd00:ffff::1"];

type Encap = (&'static str, String);

/// The Chassis rows of others, in the test and in the Southbound.
struct Deployment {
    client: Client,
    chassis: usize,
    random: u64,
    far: BTreeMap<usize, BTreeSet<Encap>>,
    /// Encap rows: one each for a type and address, which several Chassis rows may share.
    encaps: BTreeMap<Encap, String>,
}

impl Deployment {
    fn below(&mut self, limit: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % limit
    }

    /// An encap, not always one that nobody has; our own address among them.
    fn encap(&mut self) -> Encap {
        let kind = ["geneve", "geneve", "vxlan"][self.below(3)];
        let address = match self.below(self.chassis * 7 / 5) {
            n @ 0..5 => OWN[n % 2].to_owned(),
            n @ 5..30 => ["fd00::{}", "FD00::{}", "fd00:0:0::{}"][self.below(3)].replace("{}", &(n / 2).to_string()),
            n => format!("10.0.{}.{}", n / 200, n % 200 + 1),
        };
        (kind, address)
    }

    fn event(&mut self) {
        let (one, other, any) =
            (self.below(self.chassis - QUIET), self.below(self.chassis - QUIET), self.below(self.chassis));
        let (encap, known) = (self.encap(), self.far.contains_key(&one));
        match self.below(10) {
            0 | 1 if known => drop(self.far.remove(&one)),
            _ if !known => drop(self.far.insert(one, [encap].into())),
            2 | 3 => drop(self.far.insert(one, [encap].into())),
            4 => drop(self.far.get(&any).cloned().and_then(|theirs| self.far.insert(one, theirs))),
            5 | 6 => {
                if let Some(theirs) = self.far.get(&other).cloned() {
                    let ours = self.far.insert(one, theirs).unwrap_or_default();
                    self.far.insert(other, ours);
                }
            }
            7 => {
                let turned = self.far.remove(&one).unwrap_or_default().into_iter();
                let turned = turned.map(|(kind, ip)| (if kind == "geneve" { "vxlan" } else { "geneve" }, ip));
                self.far.insert(one, turned.collect());
            }
            _ => drop(self.far.entry(one).or_default().insert(encap)),
        }
    }

    /// Writes what differs from `before` in one transaction.
    fn write(&mut self, before: &BTreeMap<usize, BTreeSet<Encap>>) {
        let (mut operations, mut new) = (Vec::new(), Vec::new());
        let used: BTreeSet<Encap> = self.far.values().flatten().cloned().collect();
        for (kind, ip) in used.iter().filter(|encap| !self.encaps.contains_key(encap)) {
            let row = json!({"type": kind, "ip": ip, "chassis_name": "x"});
            operations
                .push(json!({"op": "insert", "table": "Encap", "uuid-name": format!("e{}", new.len()), "row": row}));
            new.push((*kind, ip.clone()));
        }
        let reference = |encap: &Encap| match self.encaps.get(encap) {
            Some(uuid) => json!(["uuid", uuid]),
            None => json!(["named-uuid", format!("e{}", new.iter().position(|one| one == encap).unwrap())]),
        };
        for number in before.keys().chain(self.far.keys()).collect::<BTreeSet<_>>() {
            let (was, is) = (before.get(number), self.far.get(number));
            let which = json!([["name", "==", name(*number)]]);
            let encaps = is.map(|encaps| json!(["set", encaps.iter().map(reference).collect::<Vec<_>>()]));
            operations.extend(match (was, encaps) {
                (was, _) if was == is => None,
                (_, None) => Some(json!({"op": "delete", "table": "Chassis", "where": which})),
                (None, Some(encaps)) => {
                    let row = json!({"name": name(*number), "hostname": "x", "encaps": encaps});
                    Some(json!({"op": "insert", "table": "Chassis", "row": row}))
                }
                (Some(_), Some(encaps)) => {
                    Some(json!({"op": "update", "table": "Chassis", "where": which, "row": {"encaps": encaps}}))
                }
            });
        }
        if operations.is_empty() {
            return;
        }
        let results = self.client.transact("OVN_Southbound", operations);
        // What nobody refers to any more, the server has removed.
        self.encaps.retain(|encap, _| used.contains(encap) || OWN.contains(&encap.1.as_str()));
        for (encap, result) in new.into_iter().zip(&results) {
            self.encaps.insert(encap, result["uuid"][1].as_str().unwrap().to_owned());
        }
    }

    /// The tunnels there should be.
    fn needed(&self) -> BTreeSet<Tuple> {
        let best = |encaps: &BTreeSet<Encap>| encaps.iter().map(|(kind, _)| *kind).min();
        let wanted =
            self.far.values().flat_map(|encaps| encaps.iter().filter(move |(kind, _)| Some(*kind) == best(encaps)));
        let wanted = wanted.filter(|(_, ip)| !OWN.contains(&ip.as_str()));
        let own = |ip: &str| OWN[usize::from(ip.contains(':'))].to_owned();
        wanted.map(|(kind, ip)| ((*kind).to_owned(), canonical(ip), own(ip))).collect()
    }
}

fn name(number: usize) -> String {
    format!("far-{number}")
}

/// Waits until the switch has exactly these tunnels. Returns their OpenFlow ports.
fn wait_tunnels(watch: &Watch, needed: &BTreeSet<Tuple>, what: &str) -> BTreeMap<Tuple, i64> {
    let mut have = BTreeMap::new();
    wait_within(Duration::from_secs(60), what, || {
        have = watch.look(|seen| {
            let works = seen.tunnels.values().filter(|tunnel| tunnel.works());
            works.map(|tunnel| (tunnel.tuple.clone(), tunnel.ofport.unwrap())).collect()
        });
        have.len() == watch.look(|seen| seen.tunnels.len()) && have.keys().eq(needed.iter())
    });
    have
}

#[test]
fn churn_makes_no_duplicates_and_keeps_numbers() {
    let mut cloud = Cloud::start_idle(&[Agent::Ours]);
    cloud.sb.appctl(&["vlog/set", "jsonrpc:file:info"]);
    let hv = cloud.hv(1);
    hv.vsctl(&format!(
        "set Open_vSwitch . external_ids:ovn-encap-type=geneve,vxlan external_ids:ovn-encap-ip=\"{}\"",
        OWN.join(",")
    ));
    hv.start_agent();
    hv.wait_ready();
    hv.database.appctl(&["vlog/set", "jsonrpc:file:info"]);
    let watch = Watch::start(&hv.database);
    let own = |kind: &str, ip: &str| cloud.sb_find("_uuid", "Encap", &format!("ip=\"{ip}\" type={kind}"));
    let all = ["geneve", "vxlan"].into_iter().flat_map(|kind| OWN.map(|ip| (kind, ip)));
    let encaps = all.map(|(kind, ip)| ((kind, ip.to_owned()), own(kind, ip)));
    let size = std::env::var("OVN_TEST_CHURN").ok();
    let size = size.as_deref().and_then(|size| size.split_once(','));
    let (chassis, to_happen) =
        size.map_or((CHASSIS, EVENTS), |(chassis, events)| (chassis.parse().unwrap(), events.parse().unwrap()));
    let mut net = Deployment {
        chassis,
        client: Client::connect(&cloud.sb),
        random: 20_261_128,
        far: BTreeMap::new(),
        encaps: encaps.collect(),
    };
    for number in 0..chassis {
        let encap = net.encap();
        let quiet = || ("geneve", format!("10.99.{}.{}", number / 200, number % 200 + 1));
        net.far.insert(number, [if number < chassis - QUIET { encap } else { quiet() }].into());
    }
    let start = Instant::now();
    net.write(&BTreeMap::new());
    let first = wait_tunnels(&watch, &net.needed(), "the first tunnels");
    println!("{chassis} chassis, {} tunnels after {:?}", first.len(), start.elapsed());

    add_one_by_one(&mut cloud, &mut net, &watch);
    let mut events = 0;
    let mut ever: BTreeSet<Tuple> = net.needed();
    let mut most = ever.len();
    let start = Instant::now();
    while events < to_happen {
        let before = net.far.clone();
        let batch = [1, 1, 2, 5, 20, 50][net.below(6)];
        (0..batch).for_each(|_| net.event());
        events += batch;
        net.write(&before);
        let needed = net.needed();
        ever.extend(needed.iter().cloned());
        most = most.max(needed.len());
        // Sometimes everything comes to rest, sometimes the next events come at once.
        if net.below(4) == 0 {
            wait_tunnels(&watch, &needed, &format!("the tunnels after {events} events"));
        }
    }
    let last = wait_tunnels(&watch, &net.needed(), "the last tunnels");
    let (duplicates, refused, highest) =
        watch.look(|seen| (seen.duplicates.clone(), seen.refused.clone(), seen.highest));
    let changes = watch.look(|seen| seen.changes);
    println!(
        "{events} events in {:?}, {changes} changes of tunnel rows, {} refusals that were made good",
        start.elapsed(),
        refused.len()
    );
    println!("tunnel ports alike at one time: {}", duplicates.len());
    assert!(duplicates.is_empty(), "{duplicates:#?}");
    println!("tunnels at the end: {}, exactly those that are needed", last.len());
    let quiet = first.iter().filter(|((_, remote, _), _)| remote.starts_with("10.99."));
    let kept = quiet.clone().filter(|(tuple, number)| last.get(*tuple) == Some(*number)).count();
    println!(
        "peers that nothing happened to: {}, {kept} of them with the OpenFlow port that they had",
        quiet.clone().count()
    );
    assert_eq!(kept, quiet.count());
    println!("highest OpenFlow port {highest}: {} tunnels were ever needed, {most} at one time", ever.len());
    assert!(highest <= ever.len() as i64 + 8, "{highest} numbers for {} ports: {refused:#?}", ever.len());
    idle_churn(&mut cloud, &watch);
}

/// What one more chassis costs: its row, its tunnel port, its flows.
fn add_one_by_one(cloud: &mut Cloud, net: &mut Deployment, watch: &Watch) {
    let pid = cloud.hv(1).agent_daemon().pid();
    let start = cpu_time(pid);
    for number in net.chassis..net.chassis + ADDED {
        let before = net.far.clone();
        let address = format!("10.98.0.{}", number - net.chassis + 1);
        net.far.insert(number, [("geneve", address.clone())].into());
        net.write(&before);
        wait_until("the tunnel to the new chassis", || {
            watch.look(|seen| seen.tunnels.values().any(|tunnel| tunnel.tuple.1 == address && tunnel.works()))
        });
    }
    cloud.sync();
    let each = (cpu_time(pid) - start).as_secs_f64() * 1000.0 / ADDED as f64;
    println!("CPU of one added chassis beside {}: {each:.2} ms", net.chassis);
}

/// CPU time of all threads of a process.
fn cpu_time(pid: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let nanoseconds = tasks.filter_map(|task| {
        std::fs::read_to_string(task.path().join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// Ten thousand changes that do not concern us, with Chassis rows that share addresses: nothing of ours changes, and the switch gives no
/// number away.
fn idle_churn(cloud: &mut Cloud, watch: &Watch) {
    let probe = |cloud: &mut Cloud, name: &str| -> i64 {
        let hv = cloud.hv(1);
        hv.vsctl(&format!("add-port br-int {name} -- set Interface {name} type=dummy"));
        hv.vsctl(&format!("get Interface {name} ofport")).parse().unwrap()
    };
    let number = probe(cloud, "before");
    let database = &cloud.hv(1).database;
    let changes = watch.look(|seen| seen.changes);
    let mut client = Client::connect(database);
    let start = Instant::now();
    let log = database.mark();
    database.appctl(&["vlog/set", "jsonrpc:file:dbg"]);
    for at in 0..10_000 {
        let ids: Value = json!([
            ["external_ids", "delete", ["set", ["foreign"]]],
            ["external_ids", "insert", ["map", [["foreign", at.to_string()]]]]
        ]);
        client.send(
            "transact",
            json!(["Open_vSwitch", {"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": ids}]),
        );
        if at % 100 == 99 {
            (0..100).for_each(|_| assert!(client.receive().unwrap()["error"].is_null()));
        }
    }
    // The switch and the agent have seen all of it once they have seen what comes after.
    let next = probe(cloud, "after");
    cloud.sync();
    let database = &cloud.hv(1).database;
    database.appctl(&["vlog/set", "jsonrpc:file:info"]);
    let mut ours = database.transactions_of("ovn-agent: creating integration bridge", &log);
    ours.retain(|line| !line.contains("ovn-nb-cfg"));
    println!("10000 unrelated changes in {:?}: {} transactions of ours", start.elapsed(), ours.len());
    assert_eq!(ours, Vec::<String>::new());
    assert_eq!(watch.look(|seen| seen.changes), changes, "rows of tunnels changed");
    assert_eq!(next, number + 1, "the switch gave numbers away");
}
