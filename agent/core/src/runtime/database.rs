//! [`Side`]: the transactions of one database. One in flight; the same one again only after a pause that doubles, whether it
//! failed or was committed and undone by somebody: never a hot loop.
//!
//! What the units want goes out together. When the server refuses that, the part that it objects to is held back by itself,
//! so that one thing that it does not let us do (RBAC, a rule of the schema) does not keep us from everything else.

use ofproto_client::connection::Time;
use ovsdb::transaction::{Outcome, Transaction};
use std::collections::BTreeSet;

/// First and longest pause, milliseconds.
const PAUSE_FIRST_MS: u64 = 1_000;
const PAUSE_MAX_MS: u64 = 30_000;
/// Distinct failures that are remembered so that each is reported once.
const MAX_REPORTED: usize = 1_000;

/// The state of one database.
#[derive(Debug, Default)]
pub struct Side {
    /// Its data has been here.
    pub synced: bool,
    /// It is connected and its data is current.
    pub connected: bool,
    in_flight: Option<u64>,
    /// The parts of the transaction in flight.
    parts: Vec<Transaction>,
    /// Parts that were refused.
    held: Vec<HeldBack>,
    /// The server refused a transaction without naming an operation: parts go one by one until the bad one is found.
    single: bool,
    last_id: u64,
    /// The transaction sent last, and when it was answered.
    last: Option<Transaction>,
    pause_ms: u64,
    not_before: Time,
    /// Something is wanted that has to wait until then.
    waiting: Option<Time>,
    reported: BTreeSet<String>,
}

/// A part that was refused.
#[derive(Debug)]
struct HeldBack {
    part: Transaction,
    until: Time,
    pause_ms: u64,
}

impl Side {
    /// Data came.
    pub fn data(&mut self, initial: bool) {
        if initial {
            self.synced = true;
            self.connected = true;
        }
    }

    /// Whether a transaction is in flight.
    pub fn is_busy(&self) -> bool {
        self.in_flight.is_some()
    }

    /// The transaction to send now, given what is wanted, part by part.
    pub fn next(&mut self, now: Time, wanted: &[Transaction]) -> Option<(u64, Transaction)> {
        self.waiting = None;
        if self.is_busy() || !self.connected {
            return None;
        }
        self.held.retain(|held| wanted.contains(&held.part));
        let mut parts: Vec<Transaction> = Vec::new();
        for part in wanted.iter().filter(|part| !part.is_empty()) {
            match self.held.iter().find(|held| held.part == *part && now < held.until) {
                Some(held) => self.wait_until(held.until),
                None => parts.push(part.clone()),
            }
        }
        if self.single {
            parts.truncate(1);
        }
        if parts.is_empty() {
            self.single = false;
            return None;
        }
        let mut together = Transaction::new();
        together.operations.extend(parts.iter().flat_map(|part| part.operations.iter().cloned()));
        if self.last.as_ref() == Some(&together) {
            if now < self.not_before {
                self.wait_until(self.not_before);
                return None;
            }
        } else {
            self.pause_ms = 0;
        }
        self.last_id += 1;
        self.in_flight = Some(self.last_id);
        self.parts = parts;
        self.last = Some(together.clone());
        Some((self.last_id, together))
    }

    fn wait_until(&mut self, at: Time) {
        self.waiting = Some(self.waiting.map_or(at, |earlier| earlier.min(at)));
    }

    /// What became of transaction `id`. Returns what is worth reporting, each text once.
    pub fn done(&mut self, now: Time, id: u64, outcome: Outcome) -> Option<String> {
        if self.in_flight != Some(id) {
            return None;
        }
        self.in_flight = None;
        self.pause_ms = (self.pause_ms * 2).clamp(PAUSE_FIRST_MS, PAUSE_MAX_MS);
        self.not_before = Time(now.0 + self.pause_ms);
        let text = match outcome {
            Outcome::Committed(_) | Outcome::Lost { .. } => return None,
            Outcome::Failed(error) => {
                self.refused(now, error.operation);
                format!("transaction failed: {error}")
            }
        };
        if self.reported.len() >= MAX_REPORTED {
            self.reported.clear();
        }
        self.reported.insert(text.clone()).then_some(text)
    }

    /// When something that waits may be sent.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.waiting
    }

    /// Holds back the part with the operation that the server objects to.
    fn refused(&mut self, now: Time, operation: Option<usize>) {
        let parts = std::mem::take(&mut self.parts);
        if parts.len() > 1 && operation.is_none() {
            self.single = true;
            return;
        }
        let mut rest = operation.unwrap_or(0);
        let guilty = parts.into_iter().find(|part| {
            let its = rest < part.operations.len();
            rest = rest.saturating_sub(part.operations.len());
            its
        });
        let Some(part) = guilty else { return };
        let known = self.held.iter().position(|held| held.part == part).map(|at| self.held.swap_remove(at));
        let pause_ms = known.map_or(PAUSE_FIRST_MS, |held| (held.pause_ms * 2).min(PAUSE_MAX_MS));
        self.held.push(HeldBack { part, until: Time(now.0 + pause_ms), pause_ms });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ovsdb::Uuid;
    use ovsdb::rpc::RemoteError;
    use ovsdb::transaction::{ErrorKind, TransactionError};

    fn transaction(host: &str) -> Transaction {
        let mut transaction = Transaction::new();
        transaction.update("Chassis", Uuid::NIL, vec![("hostname", host.into())]);
        transaction
    }

    #[test]
    fn the_same_again_waits_longer_each_time() {
        let mut side = Side::default();
        assert!(side.next(Time(0), &[transaction("a")]).is_none(), "not connected");
        side.data(true);
        let (mut now, mut delays) = (0, Vec::new());
        for _ in 0..8 {
            let started = now;
            let (id, _) = loop {
                match side.next(Time(now), &[transaction("a")]) {
                    Some(sent) => break sent,
                    None => now = side.poll_timeout().unwrap().0,
                }
            };
            delays.push((now - started) / 1000);
            assert!(side.next(Time(now), &[transaction("b")]).is_none(), "one in flight");
            side.done(Time(now), id, Outcome::Committed(Vec::new()));
        }
        assert_eq!(delays, [0, 1, 2, 4, 8, 16, 30, 30]);
        assert!(side.next(Time(now), &[transaction("b")]).is_some(), "another is sent at once");
    }

    #[test]
    fn a_lost_transaction_is_wanted_again_and_an_old_answer_means_nothing() {
        let mut side = Side::default();
        side.data(true);
        let (id, _) = side.next(Time(0), &[transaction("a")]).unwrap();
        assert_eq!(side.done(Time(0), id + 1, Outcome::Lost { sent: true }), None);
        assert!(side.is_busy());
        side.connected = false;
        side.done(Time(0), id, Outcome::Lost { sent: true });
        assert!(side.next(Time(5000), &[transaction("a")]).is_none());
        side.data(true);
        assert!(side.next(Time(5000), &[transaction("a")]).is_some());
    }

    fn refusal(operation: Option<usize>) -> Outcome {
        let error = RemoteError { error: "permission error".to_owned(), ..RemoteError::default() };
        Outcome::Failed(TransactionError { kind: ErrorKind::PermissionError, operation, error })
    }

    #[test]
    fn what_is_refused_does_not_keep_the_rest_back() {
        for names_it in [true, false] {
            let (mut side, mut committed) = (Side::default(), Vec::new());
            side.data(true);
            let wanted = [transaction("a"), transaction("bad"), transaction("c")];
            for _ in 0..6 {
                let left: Vec<Transaction> = wanted.iter().filter(|part| !committed.contains(*part)).cloned().collect();
                let Some((id, together)) = side.next(Time(0), &left) else { break };
                let bad = together.operations.iter().position(|operation| wanted[1].operations.contains(operation));
                match bad {
                    Some(at) => drop(side.done(Time(0), id, refusal(names_it.then_some(at)))),
                    None => {
                        committed.extend(
                            left.iter().filter(|part| together.operations.contains(&part.operations[0])).cloned(),
                        );
                        side.done(Time(0), id, Outcome::Committed(Vec::new()));
                    }
                }
            }
            assert_eq!(committed, [wanted[0].clone(), wanted[2].clone()], "{names_it}");
            assert_eq!(side.poll_timeout(), Some(Time(1000)), "{names_it}");
            assert!(side.next(Time(1000), &wanted[1..2]).is_some(), "{names_it}: tried again");
        }
    }
}
