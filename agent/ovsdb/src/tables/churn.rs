//! Random churn of rows (property tests). A model keeps the rows; every step is sent to one replica in version 1 notation and to another in
//! version 2, and after every step both equal the model, all indexes equal those computed anew, and the reported changes are exactly the real ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::decode::{Strings, UpdateFormat, decode};
use super::southbound::{Change, PortBinding, Southbound};
use super::{Atom, ColumnSet, Database, IndexKey, Row, RowId, Table};
use crate::value::{Map, Set, Str, Uuid};

type Model = BTreeMap<Uuid, PortBinding>;

/// A set of rows in one index.
type Membership = BTreeSet<(IndexKey, RowId)>;

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn both_notations_and_all_indexes_agree_with_the_model(steps in vec(step(), 1..12)) {
        let (mut v1, mut v2, mut model) = (Southbound::default(), Southbound::default(), Model::new());
        for step in steps {
            let mut next = model.clone();
            for (uuid, row) in step {
                match row {
                    Some(row) => next.insert(uuid, row),
                    None => next.remove(&uuid),
                };
            }
            check(&mut v1, &model, &next, &update_v1(&model, &next), UpdateFormat::V1)?;
            check(&mut v2, &model, &next, &update_v2(&model, &next), UpdateFormat::V2)?;
            model = next;
        }
        let ids: Vec<_> = v1.port_binding.iter().map(|(id, _)| (id, v1.port_binding.uuid(id))).collect();
        prop_assert_eq!(ids, v2.port_binding.iter().map(|(id, _)| (id, v2.port_binding.uuid(id))).collect::<Vec<_>>());
    }

    #[test]
    fn replace_reports_only_differences(before in step(), after in step()) {
        let rows = |step: Vec<(Uuid, Option<PortBinding>)>| -> Model {
            step.into_iter().filter_map(|(uuid, row)| Some((uuid, row?))).collect()
        };
        let (before, after) = (rows(before), rows(after));
        let mut sb = Southbound::default();
        sb.apply(decode::<Southbound>(&update_v2(&Model::new(), &before), UpdateFormat::V2, &mut Strings::shared()).unwrap());
        let kept: Vec<_> = after.keys().filter(|uuid| before.contains_key(uuid)).map(|uuid| sb.port_binding.by_uuid(uuid)).collect();
        let fetched = update_v2(&Model::new(), &after);
        let updates = decode::<Southbound>(&fetched, UpdateFormat::V2, &mut Strings::shared()).unwrap();
        let held = membership(&sb.port_binding);
        let changes = sb.replace(updates);
        check_changes(&sb, &before, &after, &held, &changes)?;
        check_table(&sb.port_binding, &after)?;
        let now: Vec<_> = after.keys().filter(|uuid| before.contains_key(uuid)).map(|uuid| sb.port_binding.by_uuid(uuid)).collect();
        prop_assert_eq!(kept, now, "a row that stays keeps its id");
    }
}

/// Applies `text` and checks everything.
fn check(
    sb: &mut Southbound,
    before: &Model,
    after: &Model,
    text: &str,
    format: UpdateFormat,
) -> Result<(), TestCaseError> {
    let updates = decode::<Southbound>(text, format, &mut Strings::unshared()).unwrap();
    prop_assert!(updates.rejected.is_empty(), "{:?}", updates.rejected);
    let held = membership(&sb.port_binding);
    let changes = sb.apply(updates);
    check_changes(sb, before, after, &held, &changes)?;
    check_table(&sb.port_binding, after)
}

/// The changes are those between the two models, one per row, with the right columns, old rows and index keys.
fn check_changes(
    sb: &Southbound,
    before: &Model,
    after: &Model,
    held: &Membership,
    changes: &[Change],
) -> Result<(), TestCaseError> {
    let mut expected = BTreeMap::new();
    for uuid in before.keys().chain(after.keys()) {
        let columns = match (before.get(uuid), after.get(uuid)) {
            (Some(old), Some(new)) => old.differing(new),
            _ => ColumnSet::first(PortBinding::COLUMNS.len()).union(ColumnSet::EXISTS),
        };
        if !columns.is_empty() {
            expected.insert(*uuid, (columns.0, before.get(uuid).cloned()));
        }
    }
    let mut found = BTreeMap::new();
    let mut moved = Membership::new();
    for change in changes {
        let Change::PortBinding(delta) = change else { panic!("{change:?}") };
        prop_assert!(found.insert(delta.uuid, (delta.columns.0, delta.old.as_deref().cloned())).is_none());
        let keys = change.index_keys(sb);
        for key in &keys {
            prop_assert!(moved.insert((*key, delta.row)), "{key:?} twice");
        }
    }
    prop_assert_eq!(found, expected);
    let now = membership(&sb.port_binding);
    prop_assert_eq!(moved, held.symmetric_difference(&now).copied().collect::<Membership>());
    Ok(())
}

/// The table holds the model's rows, and every index lists what a scan finds.
fn check_table(table: &Table<PortBinding>, model: &Model) -> Result<(), TestCaseError> {
    let rows: Model = table.iter().map(|(id, row)| (table.uuid(id), row.clone())).collect();
    prop_assert_eq!(&rows, model);
    prop_assert_eq!(table.len(), model.len());
    for (key, _) in membership(table) {
        let scanned: Vec<_> = table.iter().filter(|(_, row)| keys(row).contains(&key)).map(|(id, _)| id).collect();
        prop_assert_eq!(table.lookup(key, |_| true).collect::<Vec<_>>(), scanned);
    }
    for n in 0..8 {
        let scan = |test: &dyn Fn(&PortBinding) -> bool| -> Vec<RowId> {
            table.iter().filter(|(_, row)| test(row)).map(|(id, _)| id).collect()
        };
        let (name, uuid) = (name(n), uuid(n));
        prop_assert_eq!(table.by_logical_port(&name).collect::<Vec<_>>(), scan(&|row| row.logical_port == name));
        prop_assert_eq!(
            table.by_parent_port(&name).collect::<Vec<_>>(),
            scan(&|row| row.parent_port == Some(name.clone()))
        );
        prop_assert_eq!(table.by_chassis(uuid).collect::<Vec<_>>(), scan(&|row| row.chassis == Some(uuid)));
        prop_assert_eq!(
            table.by_additional_chassis(uuid).collect::<Vec<_>>(),
            scan(&|row| row.additional_chassis.contains(&uuid))
        );
        prop_assert_eq!(
            table.by_l2gateway_chassis(&name).collect::<Vec<_>>(),
            scan(&|row| row.options.get("l2gateway-chassis") == Some(&name))
        );
        for key in 0..3 {
            prop_assert_eq!(
                table.by_dp_key(uuid, key).collect::<Vec<_>>(),
                scan(&|row| row.datapath == uuid && row.tunnel_key == key)
            );
        }
    }
    Ok(())
}

/// Every index membership, computed from the rows.
fn membership(table: &Table<PortBinding>) -> Membership {
    table.iter().flat_map(|(id, row)| keys(row).into_iter().map(move |key| (key, id))).collect()
}

fn keys(row: &PortBinding) -> BTreeSet<IndexKey> {
    let mut keys = BTreeSet::new();
    for (position, index) in PortBinding::INDEXES.iter().enumerate() {
        row.visit_keys(position, &mut |hash| {
            keys.insert(IndexKey { index: index.id, hash });
        });
    }
    keys
}

// ===== random rows =====

fn uuid(n: u8) -> Uuid {
    Uuid([n + 1; 16])
}

fn name(n: u8) -> Str {
    Str::from(["", "l2gateway-chassis", "lp1", "lp2", "lp\"3", "lp\\4", "lp\u{e9}5", "lp\n6"][usize::from(n)])
}

/// Rows to set and rows to remove.
fn step() -> impl Strategy<Value = Vec<(Uuid, Option<PortBinding>)>> {
    btree_map((0u8..8).prop_map(uuid), option::weighted(0.75, row()), 0..6).prop_map(|rows| rows.into_iter().collect())
}

fn row() -> impl Strategy<Value = PortBinding> {
    let names = || (0u8..8).prop_map(name);
    let uuids = || (0u8..8).prop_map(uuid);
    let scalars = (names(), uuids(), 0i64..3, option::of(names()), option::of(uuids()), option::of(any::<bool>()));
    let composites = (btree_map(names(), names(), 0..5), btree_set(uuids(), 0..4), btree_set(names(), 0..4));
    (scalars, composites).prop_map(
        |((logical_port, datapath, tunnel_key, parent_port, chassis, up), (options, additional, mac))| PortBinding {
            logical_port,
            datapath,
            tunnel_key,
            parent_port,
            chassis,
            up,
            options: options.into_iter().collect(),
            additional_chassis: additional.into_iter().collect(),
            mac: mac.into_iter().collect(),
            ..PortBinding::default()
        },
    )
}

// ===== what a server would send =====

fn update_v1(before: &Model, after: &Model) -> String {
    updates(before, after, |old, new| match (old, new) {
        (None, Some(new)) => format!("{{\"new\":{{{}}}}}", columns(&PortBinding::default(), new, false, true)),
        (Some(old), None) => format!("{{\"old\":{{{}}}}}", columns(&PortBinding::default(), old, false, true)),
        (old, new) => {
            let (old, new) = (old.unwrap(), new.unwrap());
            let (was, is) = (columns(new, old, false, false), columns(old, new, false, true));
            format!("{{\"old\":{{{was}}},\"new\":{{{is}}}}}")
        }
    })
}

fn update_v2(before: &Model, after: &Model) -> String {
    updates(before, after, |old, new| match (old, new) {
        (None, Some(new)) => format!("{{\"insert\":{{{}}}}}", columns(&PortBinding::default(), new, false, false)),
        (_, None) => "{\"delete\":null}".to_owned(),
        (Some(old), Some(new)) => format!("{{\"modify\":{{{}}}}}", columns(old, new, true, false)),
    })
}

fn updates(
    before: &Model,
    after: &Model,
    row: impl Fn(Option<&PortBinding>, Option<&PortBinding>) -> String,
) -> String {
    let uuids: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let changed = uuids.into_iter().filter(|uuid| before.get(uuid) != after.get(uuid));
    let rows: Vec<_> = changed.map(|uuid| format!("\"{uuid}\":{}", row(before.get(uuid), after.get(uuid)))).collect();
    format!("{{\"Port_Binding\":{{{}}}}}", rows.join(","))
}

/// The columns of `new`, all or those that differ from `old`, sets and maps as differences if asked for.
fn columns(old: &PortBinding, new: &PortBinding, differences: bool, all: bool) -> String {
    let mut out = Vec::new();
    macro_rules! column {
        ($name:ident) => {
            if all || old.$name != new.$name {
                out.push(format!("\"{}\":{}", stringify!($name), new.$name.json(differences.then_some(&old.$name))));
            }
        };
    }
    column!(logical_port);
    column!(datapath);
    column!(tunnel_key);
    column!(parent_port);
    column!(chassis);
    column!(up);
    column!(options);
    column!(additional_chassis);
    column!(mac);
    out.join(",")
}

/// OVSDB's notation of a value, or of its difference to `old`. Written apart from the library's idea of a difference.
trait Json {
    fn json(&self, old: Option<&Self>) -> String;
}

impl Json for Str {
    fn json(&self, _old: Option<&Self>) -> String {
        serde_json::to_string(self.as_str()).unwrap()
    }
}
impl Json for i64 {
    fn json(&self, _old: Option<&Self>) -> String {
        self.to_string()
    }
}
impl Json for bool {
    fn json(&self, _old: Option<&Self>) -> String {
        self.to_string()
    }
}
impl Json for Uuid {
    fn json(&self, _old: Option<&Self>) -> String {
        format!("[\"uuid\",\"{self}\"]")
    }
}
impl<T: Json> Json for Option<T> {
    fn json(&self, _old: Option<&Self>) -> String {
        self.as_ref().map_or_else(|| "[\"set\",[]]".to_owned(), |value| value.json(None))
    }
}
impl<T: Json + Atom> Json for Set<T> {
    fn json(&self, old: Option<&Self>) -> String {
        let none = Set::default();
        let old = old.unwrap_or(&none);
        let lost = old.iter().filter(|member| !self.iter().any(|held| held == *member));
        let gained = self.iter().filter(|member| !old.iter().any(|held| held == *member));
        let members: Vec<_> = lost.chain(gained).map(|member| member.json(None)).collect();
        // The server writes a set of one as the bare atom.
        if let [one] = members.as_slice() { one.clone() } else { format!("[\"set\",[{}]]", members.join(",")) }
    }
}
impl<K: Json + Atom, V: Json + Atom> Json for Map<K, V> {
    fn json(&self, old: Option<&Self>) -> String {
        let mut pairs = Vec::new();
        let mut pair = |key: &K, value: &V| {
            let mut text = String::new();
            write!(text, "[{},{}]", key.json(None), value.json(None)).unwrap();
            pairs.push(text);
        };
        for (key, value) in self.iter() {
            if !old.is_some_and(|old| old.iter().any(|held| held == (key, value))) {
                pair(key, value);
            }
        }
        for (key, value) in old.into_iter().flat_map(Map::iter) {
            if !self.iter().any(|(held, _)| held == key) {
                pair(key, value);
            }
        }
        format!("[\"map\",[{}]]", pairs.join(","))
    }
}
