//! A model of the local database with ovs-vswitchd behind it, for tests of what we make of bridges: [`Switch`] carries out our
//! transactions, gives ports their numbers as ofproto.c does (`alloc_ofp_port`, OVS 3.1), and refuses a tunnel of which it has one.

use ovsdb::datum::{Datum, Value};
use ovsdb::tables::column::canonical_address;
use ovsdb::tables::local::{self, Interface, Port};
use ovsdb::tables::{ColumnSet, RowUpdate};
use ovsdb::transaction::{Mutator, Operation, Transaction};
use ovsdb::{Str, Uuid};
use std::collections::{BTreeMap, BTreeSet};

use crate::view::testbed::{BRIDGE, Testbed};

/// Type, remote address, local address: the key is `flow` always here.
pub type Tuple = (Str, Str, Str);

/// What the switch knows of an interface.
struct Device {
    kind: Str,
    number: i64,
    tuple: Option<Tuple>,
}

/// The bridge `br-int` as the database and the switch have it.
#[derive(Default)]
pub struct Switch {
    next_uuid: u32,
    /// Tunnel ports of the database, by what they are.
    tunnels: BTreeMap<Tuple, Uuid>,
    /// Interfaces that the switch has not looked at yet.
    changed: BTreeSet<Uuid>,
    devices: BTreeMap<Uuid, Device>,
    /// The tunnels that the switch has.
    installed: BTreeSet<Tuple>,
    taken: BTreeSet<i64>,
    /// Given to somebody within the last hour: not given again unless asked for.
    used: BTreeSet<i64>,
    cursor: i64,
    /// The highest number ever given.
    pub highest: i64,
    /// Tunnels refused because there was one like it.
    pub refused: u64,
    /// Transactions of ours.
    pub transactions: u64,
    /// Tunnel ports made.
    pub made: u64,
}

/// The tuple of a tunnel.
pub fn tuple(interface: &Interface) -> Option<Tuple> {
    let option = |key| interface.options.get(key).map(canonical_address).unwrap_or_default();
    let is_tunnel = ["geneve", "vxlan"].contains(&interface.r#type.as_str());
    is_tunnel.then(|| (interface.r#type.clone(), option("remote_ip"), option("local_ip")))
}

impl Switch {
    /// Lets the agent and the switch act on one another until neither has anything to do.
    pub fn settle(&mut self, bed: &mut Testbed) {
        for _ in 0..10 {
            self.reconfigure(bed);
            // What was refused is tried again with the next change.
            if !self.carry_out(bed) && self.changed.is_empty() {
                return;
            }
        }
        panic!("the agent and the switch never agree");
    }

    /// Carries out what the agent wants done to ports. `false`: nothing.
    pub fn carry_out(&mut self, bed: &mut Testbed) -> bool {
        let (_, transaction) = bed.agent.transactions();
        let operations: Vec<Operation> = transaction.operations.into_iter().filter(is_of_ports).collect();
        if operations.is_empty() {
            return false;
        }
        self.transactions += 1;
        let updates = self.updates(bed, &Transaction { operations });
        self.check(bed, &updates);
        bed.agent.local(updates);
        bed.agent.settle();
        true
    }

    /// At no time may two tunnel ports of the bridge be the same.
    fn check(&mut self, bed: &Testbed, updates: &local::Updates) {
        let before = &bed.agent.model().local.interface;
        for (uuid, update) in &updates.interface {
            self.changed.insert(*uuid);
            if let (Some(had), RowUpdate::Insert(_) | RowUpdate::Delete) =
                (before.row_by_uuid(uuid).and_then(tuple), update)
            {
                self.tunnels.remove(&had);
            }
        }
        for (uuid, update) in &updates.interface {
            if let RowUpdate::Insert(row) = update
                && let Some(tuple) = tuple(row)
            {
                assert_eq!(self.tunnels.insert(tuple.clone(), *uuid), None, "two tunnel ports with {tuple:?}");
            }
        }
    }

    fn updates(&mut self, bed: &Testbed, transaction: &Transaction) -> local::Updates {
        let mut names: BTreeMap<Str, Uuid> = BTreeMap::new();
        for operation in &transaction.operations {
            if let Operation::Insert { uuid_name: Some(name), .. } = operation {
                self.next_uuid += 1;
                let uuid = crate::pools::uuid_of(&format!("{name} {}", self.next_uuid));
                assert!(names.insert(name.clone(), uuid).is_none(), "{name} stands for two rows");
            }
        }
        let mut updates = local::Updates::default();
        let model = &bed.agent.model().local;
        let mut ports: BTreeSet<Uuid> = model.bridge.row_by_uuid(&BRIDGE).unwrap().ports.iter().copied().collect();
        let before = ports.clone();
        for operation in &transaction.operations {
            match operation {
                Operation::Insert { table: "Interface", uuid_name: Some(name), row } => {
                    let row = interface(Interface::default(), row);
                    assert_eq!(model.interface.by_name(&row.name).count(), 0, "{} exists", row.name);
                    self.made += 1;
                    updates.interface.push((names[name], RowUpdate::Insert(row)));
                }
                Operation::Insert { uuid_name: Some(name), row, .. } => {
                    updates.port.push((names[name], RowUpdate::Insert(port(Port::default(), row, &names))));
                }
                Operation::Update { table: "Interface", clauses, row } => {
                    let uuid = uuids(&clauses[0].value, &names)[0];
                    let new = interface(model.interface.row_by_uuid(&uuid).unwrap().clone(), row);
                    updates.interface.push((uuid, RowUpdate::Insert(new)));
                }
                Operation::Update { clauses, row, .. } => {
                    let uuid = uuids(&clauses[0].value, &names)[0];
                    let new = port(model.port.row_by_uuid(&uuid).unwrap().clone(), row, &names);
                    updates.port.push((uuid, RowUpdate::Insert(new)));
                }
                Operation::Mutate { mutations, .. } => {
                    let (_, mutator, members) = &mutations[0];
                    for member in uuids(members, &names) {
                        let changed =
                            if *mutator == Mutator::Insert { ports.insert(member) } else { ports.remove(&member) };
                        assert!(changed, "{member} is not made or removed twice");
                    }
                }
                _ => unreachable!(),
            }
        }
        // What no bridge has is no more.
        for uuid in before.difference(&ports) {
            updates.port.retain(|(of, _)| of != uuid);
            updates.port.push((*uuid, RowUpdate::Delete));
            for interface in model.port.row_by_uuid(uuid).unwrap().interfaces.iter() {
                updates.interface.retain(|(of, _)| of != interface);
                updates.interface.push((*interface, RowUpdate::Delete));
            }
        }
        if before != ports {
            let difference = before.symmetric_difference(&ports).copied().collect();
            let row = local::Bridge { ports: difference, ..Default::default() };
            let columns = ColumnSet::EMPTY.with(local::bridge::ports);
            updates.bridge.push((BRIDGE, RowUpdate::Modify { row, columns, differences: columns }));
        }
        updates
    }

    /// As `bridge_reconfigure`: ports that are gone or have another type are deleted, and new ones added. A deleted tunnel still stands in
    /// the way of a new one like it until the next time.
    fn reconfigure(&mut self, bed: &mut Testbed) {
        let rows = &bed.agent.model().local.interface;
        let (mut lingering, mut missing) = (BTreeSet::new(), Vec::new());
        let mut moved: Vec<(Uuid, Option<Tuple>)> = Vec::new();
        for uuid in std::mem::take(&mut self.changed) {
            let row = rows.row_by_uuid(&uuid);
            match (self.devices.remove(&uuid), row) {
                (Some(device), Some(row)) if row.r#type == device.kind => {
                    if device.tuple != tuple(row) {
                        device.tuple.iter().for_each(|had| assert!(self.installed.remove(had)));
                        moved.push((uuid, tuple(row)));
                    }
                    self.devices.insert(uuid, Device { tuple: tuple(row), ..device });
                    continue;
                }
                (Some(device), _) => {
                    device.tuple.iter().for_each(|had| assert!(self.installed.remove(had)));
                    lingering.extend(device.tuple);
                    self.taken.remove(&device.number);
                }
                (None, _) => {}
            }
            missing.extend(row.map(|row| (uuid, row)));
        }
        for (_, new) in moved {
            let fits = new.is_none_or(|new| self.installed.insert(new));
            assert!(fits, "a tunnel becomes one that another was a moment ago: it would be lost");
        }
        let mut changes = Vec::new();
        for (uuid, row) in missing {
            let (number, new, mut now) = (self.number(row.ofport), tuple(row), row.clone());
            if new.as_ref().is_some_and(|new| lingering.contains(new) || !self.installed.insert(new.clone())) {
                self.refused += 1;
                self.changed.insert(uuid);
                (now.ofport, now.error) = (Some(-1), Some("could not add network device (File exists)".into()));
            } else {
                self.taken.insert(number);
                self.devices.insert(uuid, Device { kind: row.r#type.clone(), number, tuple: new });
                (now.ofport, now.error) = (Some(number), None);
            }
            if now != *row {
                changes.push((uuid, RowUpdate::Insert(now)));
            }
        }
        if !changes.is_empty() {
            bed.agent.local(local::Updates { interface: changes, ..Default::default() });
            bed.agent.settle();
        }
    }

    /// `alloc_ofp_port`: the number asked for if nobody has it, else the next that nobody had.
    fn number(&mut self, wish: Option<i64>) -> i64 {
        let wish = wish.filter(|number| (1..0xff00).contains(number) && !self.taken.contains(number));
        let number = wish.unwrap_or_else(|| {
            self.cursor += 1;
            while self.used.contains(&self.cursor) {
                self.cursor += 1;
            }
            self.cursor
        });
        self.used.insert(number);
        self.highest = self.highest.max(number);
        number
    }
}

fn is_of_ports(operation: &Operation) -> bool {
    match operation {
        Operation::Insert { table, .. } | Operation::Update { table, .. } => ["Port", "Interface"].contains(table),
        Operation::Mutate { table, mutations, .. } => *table == "Bridge" && mutations[0].0 == "ports",
        _ => false,
    }
}

fn uuids(datum: &Datum, names: &BTreeMap<Str, Uuid>) -> Vec<Uuid> {
    let one = |value: &Value| match value {
        Value::Uuid(uuid) => *uuid,
        Value::NamedUuid(name) => names[name],
        other => panic!("{other:?} is no row"),
    };
    match datum {
        Datum::Scalar(value) => vec![one(value)],
        Datum::Set(values) => values.iter().map(one).collect(),
        Datum::Map(_) => panic!("a map is no set of rows"),
    }
}

fn text(datum: &Datum) -> Str {
    match datum {
        Datum::Scalar(Value::String(text)) => text.clone(),
        other => panic!("{other:?} is no text"),
    }
}

fn pairs(datum: &Datum) -> ovsdb::Map<Str, Str> {
    let Datum::Map(pairs) = datum else { panic!("{datum:?} is no map") };
    pairs.iter().map(|(key, value)| (text(&Datum::Scalar(key.clone())), text(&Datum::Scalar(value.clone())))).collect()
}

fn interface(mut row: Interface, columns: &[(&'static str, Datum)]) -> Interface {
    for (column, datum) in columns {
        match (*column, datum) {
            ("name", _) => row.name = text(datum),
            ("type", _) => row.r#type = text(datum),
            ("options", _) => row.options = pairs(datum),
            ("ofport", Datum::Scalar(Value::Integer(number))) => row.ofport = Some(*number),
            _ => panic!("Interface.{column}: {datum:?}"),
        }
    }
    row
}

fn port(mut row: Port, columns: &[(&'static str, Datum)], names: &BTreeMap<Str, Uuid>) -> Port {
    for (column, datum) in columns {
        match *column {
            "name" => row.name = text(datum),
            "external_ids" => row.external_ids = pairs(datum),
            "interfaces" => row.interfaces = uuids(datum, names).into_iter().collect(),
            _ => panic!("Port.{column}: {datum:?}"),
        }
    }
    row
}
