//! [`Tally`]: what ran for a change and what made it run, by kind. Where [`WorkCounters`](super::WorkCounters) says how much, this says of what.

use ovsdb::tables::{Database as _, TableId};
use ovsdb::{Local, Southbound};
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

/// Numbers by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(FxHashMap<&'static str, u64>);

/// What ran and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows that changed, by table.
    pub rows: Counts,
    /// Nodes that were made dirty, by what they had read and was changed: a table, a fact, ...
    pub causes: Counts,
    /// Units run, by kind.
    pub units: Counts,
    /// Facts derived, by kind.
    pub facts: Counts,
    /// How often everything was run again on request.
    pub recomputes: u64,
}

impl Counts {
    /// More of a kind.
    pub fn add(&mut self, kind: &'static str, count: u64) {
        if count > 0 {
            *self.0.entry(kind).or_default() += count;
        }
    }

    /// How many of a kind.
    pub fn of(&self, kind: &str) -> u64 {
        self.0.get(kind).copied().unwrap_or_default()
    }

    /// All that is not zero, by name.
    pub fn sorted(&self) -> Vec<(&'static str, u64)> {
        let mut all: Vec<_> = self.0.iter().map(|(kind, count)| (*kind, *count)).collect();
        all.sort_unstable();
        all
    }

    /// All kinds together.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    fn include(&mut self, more: &Counts) {
        for (kind, count) in &more.0 {
            self.add(kind, *count);
        }
    }
}

impl Tally {
    /// Adds what another one has.
    pub fn include(&mut self, more: &Tally) {
        self.rows.include(&more.rows);
        self.causes.include(&more.causes);
        self.units.include(&more.units);
        self.facts.include(&more.facts);
        self.recomputes += more.recomputes;
    }
}

/// The name of a table of either database.
pub fn table_name(table: TableId) -> &'static str {
    static NAMES: LazyLock<[&'static str; 256]> = LazyLock::new(|| {
        let mut names = ["table"; 256];
        for info in Southbound::TABLES.iter().chain(Local::TABLES) {
            names[usize::from(info.id.0)] = info.name;
        }
        names
    });
    NAMES[usize::from(table.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_and_more() {
        let (mut tally, mut more) = (Tally { recomputes: 1, ..Tally::default() }, Tally::default());
        tally.units.add("Fdb", 2);
        more.units.add("Fdb", 1);
        more.rows.add("FDB", 1);
        more.rows.add("Chassis", 0);
        tally.include(&more);
        assert_eq!((tally.units.of("Fdb"), tally.units.total(), tally.recomputes), (3, 3, 1));
        assert_eq!((tally.rows.sorted(), tally.causes.sorted()), (vec![("FDB", 1)], vec![]));
        assert_eq!(table_name(<ovsdb::tables::southbound::PortBinding as ovsdb::tables::Row>::TABLE), "Port_Binding");
    }
}
