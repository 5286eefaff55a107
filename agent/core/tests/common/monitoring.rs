//! A Southbound server that delivers the rows that conditions ask for ([`select`]), and an agent that sees no others
//! ([`Conditional`]).

use ovn_core::Agent;
use ovn_core::facts::Interest;
use ovn_core::runtime::Time;
use ovn_core::runtime::conditions::Monitoring;
use ovn_core::runtime::survey::Surveyed;
use ovsdb::condition::{Clause, Conditions, Function, Rows};
use ovsdb::datum::{Datum, Value};
use ovsdb::json::Json;
use ovsdb::tables::decode::Strings;
use ovsdb::tables::southbound::{Dns, LogicalDpGroup, PortBinding};
use ovsdb::tables::{ColumnSet, Database, Row, RowUpdate, Table, TableVisitor, Updates, UpdatesVisitor, southbound};
use ovsdb::{Local, Southbound, Uuid};
use std::any::Any;

use super::edits::insertions;
use super::{Random, external};

/// More changes of conditions in a row than there is any reason for.
const TOO_MANY: usize = 100;

/// An agent that sees of a Southbound what it asks for.
pub struct Conditional {
    /// The agent.
    pub agent: Agent,
    monitoring: Monitoring,
    conditions: Conditions,
    now: Time,
    /// Whether it waits until what is no longer needed has gone; `None`: mostly.
    pub waits: Option<bool>,
    follows: u32,
}

impl Conditional {
    /// Starts with a local database, and with nothing of the Southbound.
    pub fn start(local: &Local, random: &mut Random) -> Conditional {
        let mut agent = Agent::new(external());
        agent.local(insertions(local, random));
        Conditional {
            agent,
            monitoring: Monitoring::default(),
            conditions: Conditions::default(),
            now: Time(0),
            waits: None,
            follows: 0,
        }
    }

    /// The Southbound is this now: takes what is asked for, asks for more, and so on. Says how often the conditions changed.
    pub fn follow(&mut self, sb: &Southbound) -> usize {
        self.follows += 1;
        let waits = self.waits.unwrap_or(!self.follows.is_multiple_of(3));
        if self.monitoring.changes() > 0 {
            self.agent.southbound_replaced(select(sb, &self.conditions));
        }
        let before = self.monitoring.changes();
        for _ in 0..TOO_MANY {
            self.agent.work_facts(usize::MAX);
            let interest = self.agent.ask(Interest);
            let Some((sequence, conditions)) = self.monitoring.follow(self.now, interest, true) else {
                if let Some((number, datapaths)) = self.monitoring.poll_survey() {
                    // Now and then there is no answer, or one too few.
                    let answered = datapaths.iter().skip(usize::from(number.is_multiple_of(3)));
                    let find = |name: &str| datapath_of(&self.agent.model().sb, name);
                    let said = answered.filter_map(|&datapath| survey(sb, datapath, find)).collect();
                    self.monitoring.surveyed(number, |_| said);
                    continue;
                }
                if let Some(at) = self.monitoring.poll_timeout().filter(|_| waits) {
                    self.now = at;
                    continue;
                }
                self.agent.settle();
                assert!(self.monitoring.is_settled());
                return (self.monitoring.changes() - before) as usize;
            };
            self.conditions = conditions;
            self.agent.southbound_replaced(select(sb, &self.conditions));
            self.monitoring.acknowledged(sequence);
        }
        panic!("the conditions do not settle: {:#?}", self.agent.ask(Interest));
    }

    /// Rows of the Southbound that it holds.
    pub fn rows(&self) -> usize {
        insertions(&self.agent.model().sb, &mut Random(1)).len()
    }
}

fn datapath_of(sb: &Southbound, name: &str) -> Option<Uuid> {
    sb.port_binding.by_logical_port(name).find_map(|port| Some(sb.port_binding.row(port)?.datapath))
}

/// What a server says of a datapath; `find` gives the datapath of a port that is known.
fn survey(sb: &Southbound, datapath: Uuid, find: impl Fn(&str) -> Option<Uuid>) -> Option<Surveyed> {
    let key = sb.datapath_binding.row_by_uuid(&datapath)?.tunnel_key;
    let ports = || sb.port_binding.iter().map(|(_, port)| port);
    let ports = || ports().filter(|port| port.datapath == datapath && port.r#type == "patch");
    let peers = ports().filter_map(|port| port.options.get("peer")).map(|peer| (peer.clone(), find(peer)));
    Some(Surveyed {
        datapath,
        key,
        ports: ports().map(|port| port.logical_port.clone()).collect(),
        peers: peers.collect(),
    })
}

/// Whether names lead where OVN's do: rows say of a port's datapath what the port itself says, and what is unique by the schema (names of
/// ports, tunnel keys) is. Only then it is the same to ask by one or by the other.
pub fn is_consistent(sb: &Southbound) -> bool {
    let datapath_of = |uuid: &Uuid| sb.port_binding.row_by_uuid(uuid).map(|port| port.datapath);
    let of_name = |name: &str| sb.port_binding.by_logical_port(name).filter_map(|row| sb.port_binding.row(row)).next();
    let on = |name: &str, datapath: Uuid| of_name(name).is_none_or(|port| port.datapath == datapath);
    // A port that hangs on another one by packets that were seen has been claimed where these were seen.
    let virtual_port = |port: &PortBinding| {
        let parent = port.virtual_parent.as_ref().and_then(|name| of_name(name));
        parent.is_none_or(|parent| parent.datapath == port.datapath)
    };
    let has_own_key = |port: &PortBinding| sb.port_binding.by_dp_key(port.datapath, port.tunnel_key).count() == 1;
    sb.datapath_binding.iter().all(|(_, row)| sb.datapath_binding.by_tunnel_key(row.tunnel_key).count() == 1)
        && sb.port_binding.iter().all(|(_, port)| has_own_key(port))
        && sb.port_binding.iter().all(|(_, port)| sb.port_binding.by_logical_port(&port.logical_port).count() == 1)
        && sb.port_binding.iter().all(|(_, port)| virtual_port(port))
        && sb.mac_binding.iter().all(|(_, row)| on(&row.logical_port, row.datapath))
        && sb.static_mac_binding.iter().all(|(_, row)| on(&row.logical_port, row.datapath))
        && sb.multicast_group.iter().all(|(_, group)| {
            group.ports.iter().all(|port| datapath_of(port).is_none_or(|datapath| datapath == group.datapath))
        })
}

/// The rows that a server delivers under these conditions.
pub fn select(sb: &Southbound, conditions: &Conditions) -> southbound::Updates {
    let mut updates = southbound::Updates::default();
    for position in 0..Southbound::TABLES.len() {
        let rows = sb.visit_table(position, Selected(conditions)).unwrap();
        updates.visit_table(position, Push(rows));
    }
    updates
}

/// The rows of a table that pass, as a `Vec<(Uuid, R)>`.
struct Selected<'a>(&'a Conditions);

impl TableVisitor for Selected<'_> {
    type Output = Box<dyn Any>;
    fn visit<R: Row>(self, table: &Table<R>) -> Box<dyn Any> {
        let passes = |uuid: Uuid, row: &R| match self.0.of(R::NAME) {
            Rows::All => true,
            Rows::Any(clauses) => clauses.iter().any(|clause| holds(clause, uuid, row)),
        };
        let rows = table.iter().map(|(id, row)| (table.uuid(id), row)).filter(|(uuid, row)| passes(*uuid, row));
        Box::new(rows.map(|(uuid, row)| (uuid, row.clone())).collect::<Vec<(Uuid, R)>>())
    }
}

struct Push(Box<dyn Any>);

impl UpdatesVisitor for Push {
    type Output = ();
    fn visit<R: Row>(self, updates: &mut Vec<(Uuid, RowUpdate<R>)>) {
        let rows = *self.0.downcast::<Vec<(Uuid, R)>>().unwrap();
        updates.extend(rows.into_iter().map(|(uuid, row)| (uuid, RowUpdate::Insert(row))));
    }
}

fn holds<R: Row>(clause: &Clause, uuid: Uuid, row: &R) -> bool {
    if clause.column == "_uuid" {
        assert_eq!(clause.function, Function::Equal);
        return clause.value == Datum::from(uuid);
    }
    let column = R::COLUMNS.iter().position(|column| column.name == clause.column).unwrap() as u8;
    let equals = || {
        let mut other = R::default();
        other.read_cell(column, &mut Json::new(&json(&clause.value)), &mut Strings::unshared()).unwrap();
        !row.differing(&other).intersects(ColumnSet::EMPTY.with(column))
    };
    match clause.function {
        Function::Equal => equals(),
        Function::NotEqual => !equals(),
        Function::Includes => includes(row, clause),
        other => panic!("{other:?} is not used"),
    }
}

fn includes(row: &dyn Any, clause: &Clause) -> bool {
    let uuid = |value: &Datum| match value {
        Datum::Scalar(Value::Uuid(uuid)) => *uuid,
        other => panic!("{other:?} is no UUID"),
    };
    if let Some(group) = row.downcast_ref::<LogicalDpGroup>() {
        return group.datapaths.contains(&uuid(&clause.value));
    }
    if let Some(dns) = row.downcast_ref::<Dns>() {
        return dns.datapaths.contains(&uuid(&clause.value));
    }
    let port = row.downcast_ref::<PortBinding>().expect("no other table has such conditions");
    match (clause.column, &clause.value) {
        ("additional_chassis", value) => port.additional_chassis.contains(&uuid(value)),
        ("options", Datum::Map(pairs)) => pairs.iter().all(|pair| match pair {
            (Value::String(key), Value::String(value)) => port.options.get(key.as_str()) == Some(value),
            _ => false,
        }),
        other => panic!("{other:?} is not used"),
    }
}

fn json(value: &Datum) -> String {
    match value {
        Datum::Scalar(Value::Uuid(uuid)) => format!("[\"uuid\",\"{uuid}\"]"),
        Datum::Scalar(Value::Integer(number)) => number.to_string(),
        Datum::Scalar(Value::String(text)) => serde_json::to_string(text.as_str()).unwrap(),
        Datum::Set(values) if values.is_empty() => "[\"set\",[]]".to_owned(),
        other => panic!("{other:?} is not used"),
    }
}
