//! Groups of operations that several write units need: a port on a bridge ([`NewPort`]), entries of maps ([`set_entries`],
//! [`exchange_entries`]).

use ovsdb::datum::{Datum, Value};
use ovsdb::transaction::{Mutator, Transaction};
use ovsdb::{Str, Uuid};

/// A port with one interface of the same name, to be made on a bridge.
pub(super) struct NewPort<'n> {
    pub bridge: Uuid,
    pub name: &'n Str,
    /// Interface.type.
    pub kind: &'n str,
    /// Interface.options.
    pub options: Datum,
    /// Port.external_ids.
    pub external_ids: Datum,
}

impl NewPort<'_> {
    /// Makes the rows, which are called `interface` and `port` inside the transaction.
    pub fn create(self, interface: &str, port: &str, local: &mut Transaction) {
        self.create_numbered(interface, port, None, local);
    }

    /// The same, for a port that had better get this OpenFlow port.
    pub fn create_numbered(self, interface: &str, port: &str, ofport: Option<i64>, local: &mut Transaction) {
        let Self { bridge, name, kind, options, external_ids } = self;
        let mut row = vec![("name", name.clone().into()), ("type", kind.into()), ("options", options)];
        row.extend(ofport.map(|ofport| ("ofport", ofport.into())));
        local.insert_named("Interface", interface, row);
        let interfaces = Datum::named(interface);
        let row = vec![("name", name.clone().into()), ("interfaces", interfaces), ("external_ids", external_ids)];
        local.insert_named("Port", port, row);
        local.mutate("Bridge", bridge, vec![("ports", Mutator::Insert, Datum::named(port))]);
    }
}

/// The mutations that give the keys of a map these values, whether they had others or none.
pub(super) fn set_entries<K: Clone + Into<Value>, V: Into<Value>>(
    column: &'static str,
    entries: Vec<(K, V)>,
) -> Vec<(&'static str, Mutator, Datum)> {
    let keys: Datum = entries.iter().map(|(key, _)| key.clone()).collect();
    let entries: Datum = entries.into_iter().collect();
    vec![(column, Mutator::Delete, keys), (column, Mutator::Insert, entries)]
}

/// Takes numbers out of a map from numbers to rows, and puts rows in that the same transaction makes (number, name in there).
pub(super) fn exchange_entries(
    (table, row, column): (&'static str, Uuid, &'static str),
    gone: Vec<i64>,
    new: Vec<(i64, String)>,
    local: &mut Transaction,
) {
    let mut mutations = Vec::new();
    if !gone.is_empty() {
        mutations.push((column, Mutator::Delete, gone.into_iter().collect::<Datum>()));
    }
    if !new.is_empty() {
        let new = new.into_iter().map(|(number, name)| (number, Value::NamedUuid(name.into())));
        mutations.push((column, Mutator::Insert, new.collect()));
    }
    if !mutations.is_empty() {
        local.mutate(table, row, mutations);
    }
}
