//! [`Contests`]: what we wrote and somebody else undid is written again only after a pause that doubles. Two agents with one
//! system-id, two hypervisors with an interface for one logical port, an operator's script: whoever it is, each of us gets slower
//! and slower, and nobody is kept from anything else.
//!
//! What counts is the value in its place (a column of a row, an entry of a map): the same value again, without another one of ours
//! in between, means that it did not stay. Rows that are inserted have no place that they could be known by; for them the
//! unit's inserts, and the rows that they are put into, are compared with its former ones.

use ofproto_client::connection::Time;
use ovsdb::Uuid;
use ovsdb::condition::Clause;
use ovsdb::datum::{Datum, Value};
use ovsdb::transaction::{Mutator, Operation, Transaction};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};

/// First pause before a value that did not stay is written again, milliseconds.
pub const FIRST_MS: u64 = 1_000;
/// The same for Port_Binding.chassis: what ovn-controller waits between two claims (binding.c, `CLAIM_TIME_THRESHOLD_MS`,
/// OVN 26.03), and there always.
pub const FIRST_CLAIM_MS: u64 = 2_000;
/// Longest pause.
const LONGEST_MS: u64 = 30_000;
/// The same for Port_Binding.chassis. A rival who dies gives nothing back, and nothing but his silence tells: his ports are without a home
/// for so long.
const LONGEST_CLAIM_MS: u64 = 8_000;
/// A value that stayed for this long, or for three pauses, stayed.
const STAYED_MS: u64 = 10_000;
/// How often marks of what stayed are looked for, to be forgotten.
const SWEEP_MS: u64 = 60_000;

/// Values that were written, each with its place.
#[derive(Debug, Default)]
pub struct Contests {
    marks: BTreeMap<u64, Mark>,
    swept: Time,
}

#[derive(Debug)]
struct Mark {
    value: u64,
    at: Time,
    /// Before the same may be written again.
    pause_ms: u64,
    /// How often it has been.
    repeats: u32,
}

impl Mark {
    fn is_recent(&self, now: Time) -> bool {
        now.0 < self.at.0 + (3 * self.pause_ms).max(STAYED_MS)
    }
}

/// How often a part has been undone, and until when it waits for that.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Not to be sent before this.
    pub until: Option<Time>,
    /// How often what it writes was written again already.
    pub repeats: u32,
    /// Something in it was written before, and is wanted again.
    pub undone: bool,
}

impl Contests {
    /// What is known of the transaction of `unit`.
    pub fn standing(&self, now: Time, unit: u32, transaction: &Transaction) -> Standing {
        let mut standing = Standing::default();
        if self.marks.is_empty() {
            return standing;
        }
        for (place, value) in effects(unit, transaction) {
            let Some(mark) = self.marks.get(&place).filter(|mark| mark.value == value && mark.is_recent(now)) else {
                continue;
            };
            let due = Time(mark.at.0 + mark.pause_ms);
            standing.undone = true;
            standing.repeats = standing.repeats.max(mark.repeats);
            if due > now {
                standing.until = Some(standing.until.map_or(due, |until| until.max(due)));
            }
        }
        standing
    }

    /// The transaction of `unit` was committed.
    pub fn committed(&mut self, now: Time, unit: u32, transaction: &Transaction) {
        let (first_ms, longest_ms) =
            if claims(transaction) { (FIRST_CLAIM_MS, LONGEST_CLAIM_MS) } else { (FIRST_MS, LONGEST_MS) };
        for (place, value) in effects(unit, transaction) {
            let former = self.marks.get(&place).filter(|mark| mark.value == value && mark.is_recent(now));
            let (pause_ms, repeats) = former
                .map_or((first_ms, 0), |mark| ((mark.pause_ms * 2).min(longest_ms), mark.repeats.saturating_add(1)));
            self.marks.insert(place, Mark { value, at: now, pause_ms, repeats });
        }
        if now.0 >= self.swept.0 + SWEEP_MS {
            self.swept = now;
            self.marks.retain(|_, mark| mark.is_recent(now));
        }
    }

    /// Whoever undid what the transaction of `unit` writes is gone: it need not wait.
    pub fn forget(&mut self, unit: u32, transaction: &Transaction) {
        for (place, _) in effects(unit, transaction) {
            self.marks.remove(&place);
        }
    }
}

/// Whether a transaction takes a port.
fn claims(transaction: &Transaction) -> bool {
    transaction.operations.iter().any(|operation| claimed(operation).is_some())
}

/// The Port_Binding that an operation claims for a chassis.
pub fn claimed(operation: &Operation) -> Option<Uuid> {
    let Operation::Update { table: "Port_Binding", clauses, row } = operation else { return None };
    let (_, chassis) = row.iter().find(|(column, _)| *column == "chassis")?;
    row_of(clauses).filter(|_| *chassis != Datum::EMPTY)
}

/// The row that clauses name by its UUID.
pub fn row_of(clauses: &[Clause]) -> Option<Uuid> {
    clauses.iter().filter(|clause| clause.column == "_uuid").find_map(|clause| match &clause.value {
        Datum::Scalar(Value::Uuid(uuid)) => Some(*uuid),
        _ => None,
    })
}

/// What a transaction leaves in which places, by hashes. A value is that of the last operation that writes it.
fn effects(unit: u32, transaction: &Transaction) -> BTreeMap<u64, u64> {
    let mut effects = BTreeMap::new();
    let mut rest = DefaultHasher::new();
    let mut has_rest = false;
    for operation in &transaction.operations {
        match operation {
            Operation::Update { table, clauses, row } => {
                for (column, value) in row {
                    let place = hash(&(table, row_of(clauses), column));
                    effects.insert(place, datum_hash(value, transaction));
                }
            }
            Operation::Mutate { table, clauses, mutations } => {
                for (column, mutator, argument) in mutations {
                    let row = row_of(clauses);
                    for (entry, value) in entries(argument) {
                        if let Value::NamedUuid(_) = entry {
                            // It is another row each time; in another one than before (a bridge that was made anew) it did not stay
                            // because that did not.
                            (table, row, column).hash(&mut rest);
                            has_rest = true;
                            continue;
                        }
                        let what = matches!(mutator, Mutator::Insert)
                            .then(|| value.map(|value| atom_hash(value, transaction)));
                        effects.insert(hash(&(table, row, column, entry)), hash(&what));
                    }
                }
            }
            Operation::Insert { .. } | Operation::Delete { .. } => {
                operation.hash(&mut rest);
                has_rest = true;
            }
            Operation::Wait { .. } | Operation::Select { .. } | Operation::Comment(_) => {}
        }
    }
    if has_rest {
        effects.insert(hash(&("unit", unit)), rest.finish());
    } else if !effects.is_empty() {
        // Another transaction of the unit comes between two inserts that look the same.
        effects.insert(hash(&("unit", unit)), hash(&effects));
    }
    effects
}

/// The members of a set, or the entries of a map with their values, that a mutation concerns.
fn entries(argument: &Datum) -> Vec<(&Value, Option<&Value>)> {
    match argument {
        Datum::Scalar(value) => vec![(value, None)],
        Datum::Set(values) => values.iter().map(|value| (value, None)).collect(),
        Datum::Map(pairs) => pairs.iter().map(|(key, value)| (key, Some(value))).collect(),
    }
}

/// The hash of a value.
fn datum_hash(value: &Datum, transaction: &Transaction) -> u64 {
    match value {
        Datum::Scalar(value) => atom_hash(value, transaction),
        Datum::Set(values) => hash(&values.iter().map(|value| atom_hash(value, transaction)).collect::<Vec<_>>()),
        Datum::Map(pairs) => {
            let pair = |(key, value): &(Value, Value)| [atom_hash(key, transaction), atom_hash(value, transaction)];
            hash(&pairs.iter().map(pair).collect::<Vec<_>>())
        }
    }
}

/// The hash of an atom; of a row that the same transaction inserts by what it is and not by its name in there.
fn atom_hash(value: &Value, transaction: &Transaction) -> u64 {
    let Value::NamedUuid(name) = value else { return hash(value) };
    let is_row =
        |operation: &&Operation| matches!(operation, Operation::Insert { uuid_name: Some(known), .. } if known == name);
    hash(&transaction.operations.iter().find(is_row))
}

/// The same in every process.
fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Uuid = Uuid([7; 16]);

    fn set(column: &'static str, value: &str) -> Transaction {
        let mut transaction = Transaction::new();
        transaction.update("Chassis", ROW, vec![(column, value.into())]);
        transaction
    }

    fn mutate(mutator: Mutator, key: &str, value: &str) -> Transaction {
        let mut transaction = Transaction::new();
        let argument: Datum = match mutator {
            Mutator::Insert => [(key, value.to_owned())].into_iter().collect(),
            _ => [key].into_iter().collect(),
        };
        transaction.mutate("Bridge", ROW, vec![("external_ids", mutator, argument)]);
        transaction
    }

    fn insert(name: &str) -> Transaction {
        insert_into(ROW, name)
    }

    fn insert_into(bridge: Uuid, name: &str) -> Transaction {
        let mut transaction = Transaction::new();
        transaction.insert_named("Port", "port0", vec![("name", name.into())]);
        transaction.mutate("Bridge", bridge, vec![("ports", Mutator::Insert, Datum::named("port0"))]);
        transaction
    }

    /// What a sequence of commits, each at its time, makes of the last transaction at that time.
    fn after(steps: &[(u64, Transaction)], last: (u64, Transaction)) -> (Option<u64>, bool) {
        let mut contests = Contests::default();
        for (at, transaction) in steps {
            contests.committed(Time(*at), 1, transaction);
        }
        let standing = contests.standing(Time(last.0), 1, &last.1);
        (standing.until.map(|time| time.0), standing.undone)
    }

    #[test]
    fn only_what_did_not_stay_waits() {
        let (a, b) = (set("hostname", "a"), set("hostname", "b"));
        let other = set("name", "a");
        let cases = [
            ("new", vec![], (0, a.clone()), (None, false)),
            ("undone", vec![(0, a.clone())], (5, a.clone()), (Some(1000), true)),
            ("undone twice", vec![(0, a.clone()), (1000, a.clone())], (1005, a.clone()), (Some(3000), true)),
            ("due", vec![(0, a.clone())], (1000, a.clone()), (None, true)),
            ("stayed", vec![(0, a.clone())], (10_000, a.clone()), (None, false)),
            ("ours in between", vec![(0, a.clone()), (1, b.clone())], (2, a.clone()), (None, false)),
            ("another place in between", vec![(0, a.clone()), (1, other)], (2, a), (Some(1000), true)),
            (
                "an entry",
                vec![(0, mutate(Mutator::Insert, "k", "v"))],
                (1, mutate(Mutator::Insert, "k", "v")),
                (Some(1000), true),
            ),
            (
                "an entry that we took out ourselves",
                vec![(0, mutate(Mutator::Insert, "k", "v")), (1, mutate(Mutator::Delete, "k", ""))],
                (2, mutate(Mutator::Insert, "k", "v")),
                (None, false),
            ),
            (
                "another entry",
                vec![(0, mutate(Mutator::Insert, "k", "v"))],
                (1, mutate(Mutator::Insert, "l", "v")),
                (None, false),
            ),
            ("a row", vec![(0, insert("p"))], (1, insert("p")), (Some(1000), true)),
            ("another row of the same name", vec![(0, insert("p"))], (1, insert("q")), (None, false)),
            ("the same on another bridge", vec![(0, insert("p"))], (1, insert_into(Uuid([8; 16]), "p")), (None, false)),
            (
                "a row that we took out",
                vec![(0, insert("p")), (1, set("ports", "none"))],
                (2, insert("p")),
                (None, false),
            ),
        ];
        for (what, steps, last, expected) in cases {
            assert_eq!(after(&steps, last), expected, "{what}");
        }
    }

    #[test]
    fn a_claim_waits_as_long_as_in_ovn_controller_and_then_longer() {
        let mut claim = Transaction::new();
        claim.update("Port_Binding", ROW, vec![("chassis", Datum::from(Some(Uuid([1; 16]))))]);
        let (mut contests, mut now, mut pauses) = (Contests::default(), 0, Vec::new());
        for _ in 0..7 {
            contests.committed(Time(now), 1, &claim);
            let until = contests.standing(Time(now), 1, &claim).until.unwrap().0;
            pauses.push((until - now) / 1000);
            now = until;
        }
        assert_eq!(pauses, [2, 4, 8, 8, 8, 8, 8]);
        assert_eq!(contests.standing(Time(now), 1, &claim).repeats, 6);
        contests.forget(1, &claim);
        assert_eq!(contests.standing(Time(now), 1, &claim), Standing::default());
    }

    #[test]
    fn what_stayed_is_forgotten() {
        let mut contests = Contests::default();
        for at in 0..100 {
            contests.committed(Time(at * 1000), 1, &set("hostname", &at.to_string()));
            contests.committed(Time(at * 1000), at as u32, &mutate(Mutator::Insert, &at.to_string(), ""));
        }
        assert!(contests.marks.len() < 150, "{}", contests.marks.len());
    }
}
