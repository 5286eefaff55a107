//! [`Side`]: the transactions of one database. One in flight; the same one again only after a pause that doubles, whether it
//! failed or was committed and undone by somebody: never a hot loop.

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
    last_id: u64,
    /// The transaction sent last, and when it was answered.
    last: Option<Transaction>,
    pause_ms: u64,
    not_before: Time,
    /// Something is wanted that has to wait until `not_before`.
    waiting: bool,
    reported: BTreeSet<String>,
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

    /// The transaction to send now, given what is wanted.
    pub fn next(&mut self, now: Time, wanted: Transaction) -> Option<(u64, Transaction)> {
        self.waiting = false;
        if wanted.is_empty() || self.is_busy() || !self.connected {
            return None;
        }
        if self.last.as_ref() == Some(&wanted) {
            if now < self.not_before {
                self.waiting = true;
                return None;
            }
        } else {
            self.pause_ms = 0;
        }
        self.last_id += 1;
        self.in_flight = Some(self.last_id);
        self.last = Some(wanted.clone());
        Some((self.last_id, wanted))
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
            Outcome::Failed(error) => format!("transaction failed: {error}"),
        };
        if self.reported.len() >= MAX_REPORTED {
            self.reported.clear();
        }
        self.reported.insert(text.clone()).then_some(text)
    }

    /// When something that waits may be sent.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.waiting.then_some(self.not_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ovsdb::Uuid;

    fn transaction(host: &str) -> Transaction {
        let mut transaction = Transaction::new();
        transaction.update("Chassis", Uuid::NIL, vec![("hostname", host.into())]);
        transaction
    }

    #[test]
    fn the_same_again_waits_longer_each_time() {
        let mut side = Side::default();
        assert!(side.next(Time(0), transaction("a")).is_none(), "not connected");
        side.data(true);
        let (mut now, mut delays) = (0, Vec::new());
        for _ in 0..8 {
            let started = now;
            let (id, _) = loop {
                match side.next(Time(now), transaction("a")) {
                    Some(sent) => break sent,
                    None => now = side.poll_timeout().unwrap().0,
                }
            };
            delays.push((now - started) / 1000);
            assert!(side.next(Time(now), transaction("b")).is_none(), "one in flight");
            side.done(Time(now), id, Outcome::Committed(Vec::new()));
        }
        assert_eq!(delays, [0, 1, 2, 4, 8, 16, 30, 30]);
        assert!(side.next(Time(now), transaction("b")).is_some(), "another is sent at once");
    }

    #[test]
    fn a_lost_transaction_is_wanted_again_and_an_old_answer_means_nothing() {
        let mut side = Side::default();
        side.data(true);
        let (id, _) = side.next(Time(0), transaction("a")).unwrap();
        assert_eq!(side.done(Time(0), id + 1, Outcome::Lost { sent: true }), None);
        assert!(side.is_busy());
        side.connected = false;
        side.done(Time(0), id, Outcome::Lost { sent: true });
        assert!(side.next(Time(5000), transaction("a")).is_none());
        side.data(true);
        assert!(side.next(Time(5000), transaction("a")).is_some());
    }
}
