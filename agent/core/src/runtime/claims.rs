//! [`Claims`]: who takes what from us, and what is said about it. When two chassis have an interface for one logical port, each takes
//! it from the other as soon as it sees that it was taken; when two agents have one system-id, each undoes what the other wrote.
//! [`super::contest`] makes that slow; here is who need not wait (binding.c `lport_maybe_postpone`, OVN 26.03; sheet 01 section
//! 6.3), and one message for each rival. [`Claims::announcements`] are the lines that ovn-controller logs for claims.

use ofproto_client::connection::Time;
use ovsdb::datum::{Datum, Value};
use ovsdb::tables::southbound::PortBinding;
use ovsdb::transaction::{Mutator, Operation};
use ovsdb::{Str, Uuid};
use std::collections::{BTreeMap, BTreeSet};

use super::contest::{claimed, row_of};
use super::database::{Part, Sent, Side};
use crate::agent::Agent;
use crate::engine::{NodeId, NodeKey};
use crate::facts::{ChassisName, HaOrder};

/// How often the first chassis of an HA group takes a port back without waiting.
const HURRIED: u32 = 5;
/// A rival who has not shown up for this long is one no more.
const RIVALRY_MS: u64 = 120_000;

/// Who takes what from us.
#[derive(Debug, Default)]
pub struct Claims {
    /// Ports that another chassis took from us: which, and when that was seen last.
    rivals: BTreeMap<Uuid, (Uuid, Time)>,
    /// Rivals that were reported.
    reported: BTreeSet<Uuid>,
    /// When somebody undid something under our own name.
    double: Option<Time>,
}

impl Claims {
    /// Looks at what is wanted of the Southbound: lets go what need not wait, and returns what there is to say.
    pub fn consider(&mut self, now: Time, agent: &Agent, side: &mut Side, wanted: &[Part]) -> Vec<String> {
        if side.is_busy() {
            return Vec::new();
        }
        self.rivals.retain(|_, (_, seen)| now.0 < seen.0 + RIVALRY_MS);
        self.reported.retain(|chassis| self.rivals.values().any(|(rival, _)| rival == chassis));
        self.double = self.double.filter(|seen| now.0 < seen.0 + RIVALRY_MS);
        let (mut lines, mut hurried) = (Vec::new(), BTreeSet::new());
        for part in wanted {
            let standing = side.standing(now, part);
            if !standing.undone {
                continue;
            }
            let sb = &agent.model().sb;
            let port = part.transaction.operations.iter().find_map(claimed);
            let Some((port, row)) = port.and_then(|port| Some((port, sb.port_binding.row_by_uuid(&port)?))) else {
                if standing.repeats > 0 && !self.is_contested(part) {
                    lines.extend(self.undone(now, agent, part));
                }
                continue;
            };
            match row.chassis {
                _ if standing.repeats < HURRIED && leads(agent, row) => {
                    hurried.insert(part.unit);
                }
                Some(rival) => {
                    self.rivals.insert(port, (rival, now));
                    if standing.repeats > 0 && self.reported.insert(rival) {
                        let name = sb.chassis.row_by_uuid(&rival).map(|chassis| chassis.name.clone());
                        lines.push(rivalry(&name.unwrap_or_default(), &row.logical_port));
                    }
                }
                // Whoever had it gave it back.
                None if self.rivals.remove(&port).is_some() => side.forget_contest(part),
                None if standing.repeats > 0 => lines.extend(self.undone(now, agent, part)),
                None => {}
            }
        }
        side.hurry(hurried);
        lines
    }

    /// Whether another agent seems to run with our system-id.
    pub fn is_double(&self) -> bool {
        self.double.is_some()
    }

    /// Somebody undid something, but not by taking a port for another chassis.
    fn undone(&mut self, now: Time, agent: &Agent, part: &Part) -> Option<String> {
        let known = self.double.replace(now).is_some();
        let us = agent.ask(ChassisName).unwrap_or_default();
        let what = describe(agent, part);
        (!known).then(|| {
            format!(
                "{what}: what we write to the Southbound does not stay: does another agent run with system-id {us}? \
                 Written again after up to 30 s"
            )
        })
    }

    /// Whether a part is about a port that another chassis takes from us.
    fn is_contested(&self, part: &Part) -> bool {
        part.transaction.operations.iter().any(|operation| match operation {
            Operation::Update { clauses, .. } | Operation::Mutate { clauses, .. } => {
                row_of(clauses).is_some_and(|row| self.rivals.contains_key(&row))
            }
            _ => false,
        })
    }

    /// Whether another chassis takes this logical port from us.
    fn is_contested_port(&self, agent: &Agent, lport: &Str) -> bool {
        let ports = &agent.model().sb.port_binding;
        !self.rivals.is_empty() && ports.by_logical_port(lport).any(|port| self.rivals.contains_key(&ports.uuid(port)))
    }

    /// What ovn-controller logs when it writes what was sent. Nothing of ports that go back and forth, and of what is only tried
    /// again: that was said once.
    pub fn announcements(&self, agent: &Agent, sent: &Sent) -> Vec<String> {
        if sent.standing.undone || sent.refused || self.is_contested(&sent.part) {
            return Vec::new();
        }
        sent.part.transaction.operations.iter().flat_map(|operation| self.announcement(agent, operation)).collect()
    }

    fn announcement(&self, agent: &Agent, operation: &Operation) -> Vec<String> {
        match operation {
            Operation::Update { table: "Port_Binding", clauses, row } => {
                let port = row_of(clauses).and_then(|uuid| agent.model().sb.port_binding.row_by_uuid(&uuid));
                port.map(|port| row.iter().flat_map(|value| of_column(agent, port, value)).collect())
            }
            Operation::Mutate { table: "Port_Binding", clauses, mutations } => {
                let port = row_of(clauses).and_then(|uuid| agent.model().sb.port_binding.row_by_uuid(&uuid));
                port.map(|port| mutations.iter().flat_map(|mutation| of_mutation(port, mutation)).collect())
            }
            Operation::Mutate { table: "Interface", clauses, mutations } => {
                let interfaces = &agent.model().local.interface;
                let interface = row_of(clauses).and_then(|uuid| interfaces.row_by_uuid(&uuid));
                let lport = interface.and_then(|row| row.external_ids.get("iface-id"));
                let told = lport.is_none_or(|lport| !self.is_contested_port(agent, lport));
                interface.filter(|_| told).map(|row| of_interface(&row.name, lport, mutations))
            }
            _ => None,
        }
        .unwrap_or_default()
    }
}

fn rivalry(rival: &str, lport: &str) -> String {
    format!(
        "{rival} has an interface for logical port {lport} too: both chassis take it from each other. It is taken back after 2 \
         to 8 s, as are other ports that {rival} has"
    )
}

/// Whether this chassis is the first of the port's HA group by priority: it need not wait.
fn leads(agent: &Agent, port: &PortBinding) -> bool {
    let group = port.ha_chassis_group.and_then(|group| agent.model().sb.ha_chassis_group.by_uuid(&group));
    group.is_some_and(|group| agent.ask(HaOrder(group)).first() == agent.ask(ChassisName).as_ref())
}

/// Whose part it is, in an operator's words.
pub fn describe(agent: &Agent, part: &Part) -> String {
    match agent.node(NodeId(part.unit)) {
        Some(NodeKey::Unit(unit)) => unit.describe(agent.model()),
        _ if part.unit >= super::CLEAN_UP => "the clean-up".to_owned(),
        _ => "a unit that is gone".to_owned(),
    }
}

/// binding.c `set_pb_chassis_in_sbrec`, `release_lport_main_chassis`, `binding_lport_set_up`, OVN 26.03.
fn of_column(agent: &Agent, port: &PortBinding, (column, value): &(&str, Datum)) -> Vec<String> {
    let lport = &port.logical_port;
    let is_true = *value == Datum::from(Some(true));
    match *column {
        "chassis" if *value == Datum::EMPTY => {
            vec![format!("Releasing lport {lport} from this chassis (sb_readonly=0)")]
        }
        "chassis" => {
            let former = port.chassis.map(|uuid| agent.model().sb.chassis.row_by_uuid(&uuid).map(|row| &row.name));
            let first = match former {
                Some(name) => format!(
                    "Changing chassis for lport {lport} from {} to {}.",
                    name.map_or("", Str::as_str),
                    agent.ask(ChassisName).unwrap_or_default()
                ),
                None => format!("Claiming lport {lport} for this chassis."),
            };
            std::iter::once(first).chain(addresses(port)).collect()
        }
        "up" if is_true => vec![format!("Setting lport {lport} up in Southbound")],
        "up" => vec![format!("Setting lport {lport} down in Southbound")],
        _ => Vec::new(),
    }
}

fn addresses(port: &PortBinding) -> impl Iterator<Item = String> + '_ {
    port.mac.iter().map(|mac| format!("{}: Claiming {mac}", port.logical_port))
}

/// binding.c `set_pb_additional_chassis_in_sbrec`, `release_lport_additional_chassis`, OVN 26.03.
fn of_mutation(port: &PortBinding, (column, mutator, _): &(&str, Mutator, Datum)) -> Vec<String> {
    let lport = &port.logical_port;
    match (*column, mutator) {
        ("additional_chassis", Mutator::Insert) => {
            let first = format!("Claiming lport {lport} for this additional chassis.");
            std::iter::once(first).chain(addresses(port)).collect()
        }
        ("additional_chassis", Mutator::Delete) => {
            vec![format!("Releasing lport {lport} from this additional chassis.")]
        }
        _ => Vec::new(),
    }
}

/// binding.c `local_binding_set_up`, `remove_ovn_installed_for_uuid`, OVN 26.03.
fn of_interface(name: &str, lport: Option<&Str>, mutations: &[(&str, Mutator, Datum)]) -> Vec<String> {
    let has_mark = |datum: &Datum| match datum {
        Datum::Map(pairs) => pairs.iter().any(|(key, _)| *key == Value::String("ovn-installed".into())),
        Datum::Set(keys) => keys.contains(&Value::String("ovn-installed".into())),
        Datum::Scalar(key) => *key == Value::String("ovn-installed".into()),
    };
    let mut about = mutations.iter().filter(|(column, _, datum)| *column == "external_ids" && has_mark(datum));
    match about.next_back() {
        Some((_, Mutator::Insert, _)) => {
            vec![format!("Setting lport {} ovn-installed in OVS", lport.map_or("", Str::as_str))]
        }
        Some(_) => vec![format!("Removing iface {name} ovn-installed in OVS")],
        None => Vec::new(),
    }
}
