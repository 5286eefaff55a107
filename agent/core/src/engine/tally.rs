//! [`Tally`]: what ran since the start and what made it run, by kind. Where [`WorkCounters`](super::WorkCounters) says how much, this says of what.

use ovsdb::tables::{Database as _, TableId};
use ovsdb::{Local, Southbound};
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

/// Numbers by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(FxHashMap<&'static str, u64>);

/// What ran and why. All numbers only grow.
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

    fn since(&self, earlier: &Counts) -> Counts {
        let differences = self.0.iter().map(|(kind, count)| (*kind, count - earlier.of(kind).min(*count)));
        Counts(differences.filter(|(_, count)| *count > 0).collect())
    }
}

impl Tally {
    /// What came on top of an earlier one.
    pub fn since(&self, earlier: &Tally) -> Tally {
        Tally {
            rows: self.rows.since(&earlier.rows),
            causes: self.causes.since(&earlier.causes),
            units: self.units.since(&earlier.units),
            facts: self.facts.since(&earlier.facts),
            recomputes: self.recomputes.saturating_sub(earlier.recomputes),
        }
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
    fn what_came_on_top() {
        let mut tally = Tally::default();
        tally.units.add("Fdb", 2);
        let before = tally.clone();
        tally.units.add("Fdb", 1);
        tally.rows.add("FDB", 1);
        tally.rows.add("Chassis", 0);
        let since = tally.since(&before);
        assert_eq!((since.units.sorted(), since.rows.sorted()), (vec![("Fdb", 1)], vec![("FDB", 1)]));
        assert_eq!((tally.units.of("Fdb"), tally.units.total()), (3, 3));
        assert_eq!(table_name(<ovsdb::tables::southbound::PortBinding as ovsdb::tables::Row>::TABLE), "Port_Binding");
    }
}
