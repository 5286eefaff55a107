//! Tunnels under churn: chassis come, go, share addresses, swap them, change their encapsulation; whatever the order, there are never two
//! tunnel ports with one (type, remote address, local address), the right ones are there once everything has settled, those that
//! stay needed keep their OpenFlow port, and the switch does not run out of numbers.

use ovsdb::tables::RowUpdate;
use ovsdb::tables::column::canonical_address;
use ovsdb::tables::local::OpenVSwitch;
use ovsdb::tables::southbound::{self, Chassis, Encap};
use ovsdb::{Str, Uuid};
use std::collections::{BTreeMap, BTreeSet};

use super::numbers::TunnelNumbers;
use super::vswitchd::{Switch, Tuple, tuple};
use crate::pools::uuid_of;
use crate::view::testbed::{BRIDGE, HV1, HV2, HV3, Testbed, map};

const CHASSIS: usize = 1000;
/// Chassis beyond those to which nothing happens.
const QUIET: usize = 50;
const EVENTS: usize = 10_000;
const OWN: [&str; 2] = ["192.0.2.1", "fd00:ffff::1"];

/// A chassis as the test has it.
#[derive(Clone, Default, PartialEq)]
struct Far {
    encaps: BTreeSet<(&'static str, Str)>,
    zone: bool,
    remote: bool,
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// The chassis there should be, and those that the Southbound has.
struct Deployment {
    bed: Testbed,
    switch: Switch,
    far: BTreeMap<usize, Far>,
    /// Encap rows: by type and address, as the Southbound's unique index wants it.
    encaps: BTreeSet<(&'static str, Str)>,
    random: Random,
}

fn encap_uuid(kind: &str, ip: &str) -> Uuid {
    uuid_of(&format!("{kind} {ip}"))
}

fn chassis_uuid(number: usize) -> Uuid {
    uuid_of(&format!("chassis {number}"))
}

impl Deployment {
    fn new(seed: u64) -> Self {
        let mut bed = Testbed::new();
        bed.agent.set_external(|external| external.features.known = true);
        bed.setting("ovn-encap-type", "geneve,vxlan");
        bed.setting("ovn-encap-ip", &OWN.join(","));
        for uuid in [HV2, HV3] {
            bed.delete(|u| &mut u.chassis, uuid);
        }
        let all = ["geneve", "vxlan"].into_iter().flat_map(|kind| OWN.map(|ip| (kind, ip)));
        let own: Vec<Uuid> = all
            .map(|(kind, ip)| {
                let row =
                    Encap { r#type: kind.into(), ip: ip.into(), chassis_name: "hv1".into(), ..Default::default() };
                bed.put(|u| &mut u.encap, encap_uuid(kind, ip), row)
            })
            .collect();
        let row = Chassis { name: "hv1".into(), encaps: own.into_iter().collect(), ..Default::default() };
        bed.put(|u| &mut u.chassis, HV1, row);
        Self { bed, switch: Switch::default(), far: BTreeMap::new(), encaps: BTreeSet::new(), random: Random(seed) }
    }

    /// An address: few enough that many have the same, some in several spellings, our own among them.
    fn address(&mut self) -> Str {
        match self.random.below(1400) {
            n @ 0..5 => OWN[n % 2].into(),
            n @ 5..40 => ["fd00::{}", "FD00::{}", "fd00:0:0::{}"][self.random.below(3)]
                .replace("{}", &(n / 2).to_string())
                .as_str()
                .into(),
            n => format!("10.0.{}.{}", n / 200, n % 200 + 1).as_str().into(),
        }
    }

    fn kind(&mut self) -> &'static str {
        ["geneve", "geneve", "geneve", "vxlan"][self.random.below(4)]
    }

    fn someone(&mut self) -> usize {
        self.random.below(CHASSIS)
    }

    /// One thing happens to the Chassis table.
    fn event(&mut self) {
        let (one, other, any) = (self.someone(), self.someone(), self.random.below(CHASSIS + QUIET));
        let (kind, address) = (self.kind(), self.address());
        let known = self.far.contains_key(&one);
        match self.random.below(12) {
            0 | 1 if known => drop(self.far.remove(&one)),
            _ if !known => drop(self.far.insert(one, Far { encaps: [(kind, address)].into(), ..Far::default() })),
            // It moves, somewhere or to another's place.
            2 | 3 => self.far.get_mut(&one).unwrap().encaps = [(kind, address)].into(),
            4 => {
                if let Some(theirs) = self.far.get(&any).map(|far| far.encaps.clone()) {
                    self.far.get_mut(&one).unwrap().encaps = theirs;
                }
            }
            5 | 6 => {
                if let Some(theirs) = self.far.get(&other).map(|far| far.encaps.clone()) {
                    let ours = std::mem::replace(&mut self.far.get_mut(&one).unwrap().encaps, theirs);
                    self.far.get_mut(&other).unwrap().encaps = ours;
                }
            }
            7 => {
                let encaps = std::mem::take(&mut self.far.get_mut(&one).unwrap().encaps);
                let turn = |kind| if kind == "geneve" { "vxlan" } else { "geneve" };
                self.far.get_mut(&one).unwrap().encaps = encaps.into_iter().map(|(k, ip)| (turn(k), ip)).collect();
            }
            8 | 9 => drop(self.far.get_mut(&one).unwrap().encaps.insert((kind, address))),
            10 => self.far.get_mut(&one).unwrap().zone ^= true,
            _ => self.far.get_mut(&one).unwrap().remote ^= true,
        }
    }

    /// Tells the agent what differs between `before` and now.
    fn tell(&mut self, before: &BTreeMap<usize, Far>) {
        let mut updates = southbound::Updates::default();
        let used: BTreeSet<(&'static str, Str)> =
            self.far.values().flat_map(|far| far.encaps.iter().cloned()).collect();
        for (kind, ip) in used.difference(&self.encaps).filter(|(_, ip)| !is_own(ip)) {
            let row = Encap { r#type: (*kind).into(), ip: ip.clone(), ..Default::default() };
            updates.encap.push((encap_uuid(kind, ip), RowUpdate::Insert(row)));
        }
        for (kind, ip) in self.encaps.difference(&used).filter(|(_, ip)| !is_own(ip)) {
            updates.encap.push((encap_uuid(kind, ip), RowUpdate::Delete));
        }
        for number in before.keys().chain(self.far.keys()).copied().collect::<BTreeSet<_>>() {
            let (was, is) = (before.get(&number), self.far.get(&number));
            if was == is {
                continue;
            }
            let update = is.map_or(RowUpdate::Delete, |far| {
                let yes_no = if far.remote { "true" } else { "false" };
                RowUpdate::Insert(Chassis {
                    name: name(number),
                    encaps: far.encaps.iter().map(|(kind, ip)| encap_uuid(kind, ip)).collect(),
                    transport_zones: far.zone.then(|| Str::from("far")).into_iter().collect(),
                    other_config: map(&[("is-remote", yes_no)]),
                    ..Default::default()
                })
            });
            updates.chassis.push((chassis_uuid(number), update));
        }
        self.encaps = used;
        self.bed.agent.southbound(updates);
        self.bed.agent.settle();
    }

    /// The tunnels there should be, each with the chassis that may be at its other end.
    fn needed(&self) -> BTreeMap<Tuple, BTreeSet<Str>> {
        let mut needed: BTreeMap<Tuple, BTreeSet<Str>> = BTreeMap::new();
        for (number, far) in self.far.iter().filter(|(_, far)| !far.zone && !far.remote) {
            let Some(kind) = ["geneve", "vxlan"].into_iter().find(|kind| far.encaps.iter().any(|(of, _)| of == kind))
            else {
                continue;
            };
            for (_, ip) in far.encaps.iter().filter(|(of, ip)| *of == kind && !is_own(ip)) {
                let tuple = (kind.into(), canonical_address(ip), OWN[usize::from(ip.contains(':'))].into());
                needed.entry(tuple).or_default().insert(name(*number));
            }
        }
        needed
    }

    /// The tunnels there are, with label and OpenFlow port.
    fn have(&self) -> BTreeMap<Tuple, (Str, i64)> {
        let local = &self.bed.agent.model().local;
        let ports = &local.bridge.row_by_uuid(&BRIDGE).unwrap().ports;
        let ports = ports.iter().filter_map(|uuid| local.port.row_by_uuid(uuid));
        ports
            .map(|port| {
                let interface = local.interface.row_by_uuid(port.interfaces.only().unwrap()).unwrap();
                assert_eq!(interface.error, None, "{}", port.name);
                let label = port.external_ids.get("ovn-chassis-id").unwrap().clone();
                (tuple(interface).unwrap(), (label, interface.ofport.unwrap()))
            })
            .collect()
    }

    /// Exactly the tunnels that are needed, labelled with a chassis that has the address.
    fn check(&self, what: &str) -> BTreeMap<Tuple, (Str, i64)> {
        let agent = &self.bed.agent;
        assert_eq!(*agent.tunnel_numbers(), TunnelNumbers::of(&agent.model().local), "{what}");
        let (needed, have) = (self.needed(), self.have());
        let (needed_keys, have_keys): (BTreeSet<_>, BTreeSet<_>) = (needed.keys().collect(), have.keys().collect());
        assert_eq!(needed_keys, have_keys, "{what}");
        for (tuple, (label, _)) in &have {
            let chassis = label.split('@').next().unwrap();
            assert!(needed[tuple].iter().any(|name| name == chassis), "{what}: {label} for {tuple:?}");
        }
        have
    }
}

fn name(number: usize) -> Str {
    // Several share the six characters that names of ports have room for.
    format!("{:04}-chassis", number * 7 % (CHASSIS + QUIET)).as_str().into()
}

fn is_own(ip: &str) -> bool {
    OWN.contains(&ip)
}

fn quiet_address(number: usize) -> String {
    format!("10.99.0.{number}")
}

#[test]
fn churn_makes_no_duplicates_and_keeps_numbers() {
    let mut net = Deployment::new(20_261_128);
    for number in 0..CHASSIS + QUIET {
        let kind = net.kind();
        let address = if number < CHASSIS { net.address() } else { quiet_address(number - CHASSIS).as_str().into() };
        net.far.insert(number, Far { encaps: [(kind, address)].into(), ..Far::default() });
    }
    net.tell(&BTreeMap::new());
    net.switch.settle(&mut net.bed);
    let mut have = net.check("start");
    let quiet = have.iter().filter(|((_, remote, _), _)| remote.starts_with("10.99."));
    let numbers: Vec<(Tuple, i64)> = quiet.map(|(tuple, (_, number))| (tuple.clone(), *number)).collect();
    assert_eq!(numbers.len(), QUIET);
    let stay = |have: &BTreeMap<Tuple, (Str, i64)>, what: &str| {
        for (tuple, number) in &numbers {
            assert_eq!(have[tuple].1, *number, "{what}: nothing happened to {tuple:?}");
        }
    };
    let mut ever: BTreeSet<Tuple> = have.keys().cloned().collect();
    let (mut events, mut most, mut step) = (0, have.len(), 0);
    while events < EVENTS {
        let before = net.far.clone();
        let batch = [1, 1, 2, 5, 20, 50][net.random.below(6)];
        (0..batch).for_each(|_| net.event());
        events += batch;
        step += 1;
        net.tell(&before);
        // The switch may be slow: then the next events come before it has looked.
        if net.random.below(4) == 0 {
            net.switch.carry_out(&mut net.bed);
            continue;
        }
        net.switch.settle(&mut net.bed);
        if step % 10 == 0 {
            let what = format!("after {events} events");
            have = net.check(&what);
            stay(&have, &what);
            ever.extend(have.keys().cloned());
            most = most.max(have.len());
        }
    }
    net.switch.settle(&mut net.bed);
    have = net.check("at the end");
    stay(&have, "at the end");
    let switch = &net.switch;
    println!(
        "{events} events, {} tunnels at the end, at most {most}, {} different ones; {} transactions, {} ports made, \
         {} refused, highest OpenFlow port {}",
        have.len(),
        ever.len(),
        switch.transactions,
        switch.made,
        switch.refused,
        switch.highest
    );
    // A tunnel that goes and comes back before the switch has looked stands in its own way once.
    assert!(switch.refused <= 8, "{} tunnels refused by the switch", switch.refused);
    assert!(switch.highest <= ever.len() as i64 + 8, "{} numbers for {} ports", switch.highest, ever.len());
}

#[test]
fn changes_that_do_not_concern_tunnels_write_nothing() {
    let mut net = Deployment::new(1);
    for number in 0..20 {
        let address = format!("10.0.0.{}", number / 2 + 1).as_str().into();
        net.far.insert(number, Far { encaps: [("geneve", address)].into(), ..Far::default() });
    }
    net.tell(&BTreeMap::new());
    net.switch.settle(&mut net.bed);
    let (have, transactions) = (net.check("start"), net.switch.transactions);
    assert_eq!(have.len(), 10);
    let own = OWN.join(",");
    for at in 0..EVENTS {
        let ids = [("system-id", "hv1"), ("ovn-encap-type", "geneve,vxlan"), ("ovn-encap-ip", own.as_str())];
        let text = at.to_string();
        let external_ids = ids.into_iter().chain([("foreign", text.as_str())]);
        let external_ids = external_ids.map(|(key, value)| (Str::from(key), Str::from(value))).collect();
        net.bed.open_vswitch = OpenVSwitch { external_ids, ..Default::default() };
        net.bed.setting("another", &text);
        assert!(!net.switch.carry_out(&mut net.bed), "change {at}");
    }
    assert_eq!((net.check("end"), net.switch.transactions), (have, transactions));
    assert_eq!(net.switch.refused, 0);
}
