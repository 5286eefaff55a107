//! [`Side`]: the transactions of one database. One in flight; what is undone by somebody is written again only after a pause
//! that doubles ([`Contests`]), and so is what the server refuses: never a hot loop.
//!
//! What the units want goes out together, as [`Part`]s. When the server refuses that, the part that it objects to is found and
//! held back by itself, so that one thing that it does not let us do (RBAC, a rule of the schema) does not keep us from everything
//! else.

use ofproto_client::connection::Time;
use ovsdb::transaction::{Outcome, Transaction, TransactionError};
use std::collections::BTreeSet;

use super::contest::{Contests, Standing};

/// First and longest pause after a refusal, milliseconds.
const PAUSE_FIRST_MS: u64 = 1_000;
const PAUSE_MAX_MS: u64 = 30_000;
/// Distinct refusals that are remembered so that each is reported once.
const MAX_REPORTED: usize = 1_000;

/// What one unit wants done. What one unit wants must not fail because of what another wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The unit's number, the same as long as the unit exists.
    pub unit: u32,
    /// What it wants.
    pub transaction: Transaction,
}

/// A part that was refused.
#[derive(Debug, PartialEq)]
pub struct Refusal {
    /// Whose it is; `None`: it is not about a part.
    pub part: Option<Part>,
    /// The server's reason.
    pub error: TransactionError,
}

/// A part that is on its way.
#[derive(Debug)]
pub struct Sent {
    /// What.
    pub part: Part,
    /// What was known of it: whether somebody undid it before.
    pub standing: Standing,
    /// The server refused it before.
    pub refused: bool,
}

/// The state of one database.
#[derive(Debug, Default)]
pub struct Side {
    /// Its data has been here.
    pub synced: bool,
    /// It is connected and its data is current.
    pub connected: bool,
    in_flight: Option<u64>,
    /// The parts of the transaction in flight.
    parts: Vec<Sent>,
    /// Parts that were refused.
    held: Vec<HeldBack>,
    /// The server refused a transaction without naming an operation: groups of parts, one of which is guilty, that go by
    /// themselves until it is found. The last one first.
    suspects: Vec<Vec<Part>>,
    contests: Contests,
    /// Units whose parts go out although somebody undid them a moment ago.
    hurried: BTreeSet<u32>,
    last_id: u64,
    /// The server cannot commit anything now.
    not_before: Time,
    pause_ms: u64,
    /// Something is wanted that has to wait until then.
    waiting: Option<Time>,
    reported: BTreeSet<String>,
}

#[derive(Debug)]
struct HeldBack {
    part: Part,
    until: Time,
    pause_ms: u64,
}

impl Side {
    /// Data came.
    pub fn data(&mut self, initial: bool) {
        if initial {
            self.synced = true;
            self.connected = true;
            // Another server, or the same one with other rules: it may allow what was refused.
            self.held.clear();
            self.suspects.clear();
            self.not_before = Time::default();
        }
    }

    /// Whether a transaction is in flight.
    pub fn is_busy(&self) -> bool {
        self.in_flight.is_some()
    }

    /// The parts of the transaction in flight.
    pub fn sent(&self) -> &[Sent] {
        &self.parts
    }

    /// What is known of a part that is wanted.
    pub fn standing(&self, now: Time, part: &Part) -> Standing {
        self.contests.standing(now, part.unit, &part.transaction)
    }

    /// Whoever undid what the part writes is gone: it need not wait.
    pub fn forget_contest(&mut self, part: &Part) {
        self.contests.forget(part.unit, &part.transaction);
    }

    /// From now on the parts of these units alone need not wait because they were undone.
    pub fn hurry(&mut self, units: BTreeSet<u32>) {
        self.hurried = units;
    }

    /// The transaction to send now, given what is wanted, part by part.
    pub fn next(&mut self, now: Time, wanted: Vec<Part>) -> Option<(u64, Transaction)> {
        self.waiting = None;
        if self.is_busy() || !self.connected {
            return None;
        }
        self.held.retain(|held| wanted.iter().any(|part| part.unit == held.part.unit));
        let mut parts: Vec<Sent> = Vec::new();
        for part in wanted.into_iter().filter(|part| !part.transaction.is_empty()) {
            let standing = self.standing(now, &part);
            let held = self.held.iter().find(|held| held.part == part).map(|held| held.until);
            let undone = standing.until.filter(|_| !self.hurried.contains(&part.unit));
            match held.max(undone).filter(|until| now < *until) {
                Some(until) => self.wait_until(until),
                None => parts.push(Sent { part, standing, refused: held.is_some() }),
            }
        }
        if !parts.is_empty() && now < self.not_before {
            self.wait_until(self.not_before);
            return None;
        }
        self.narrow_down(&mut parts);
        if parts.is_empty() {
            return None;
        }
        let mut together = Transaction::new();
        together.operations.extend(parts.iter().flat_map(|sent| sent.part.transaction.operations.iter().cloned()));
        self.last_id += 1;
        self.in_flight = Some(self.last_id);
        self.parts = parts;
        Some((self.last_id, together))
    }

    /// While a guilty part is looked for: only those of one group.
    fn narrow_down(&mut self, parts: &mut Vec<Sent>) {
        while let Some(group) = self.suspects.last() {
            if parts.iter().any(|sent| group.contains(&sent.part)) {
                parts.retain(|sent| group.contains(&sent.part));
                return;
            }
            self.suspects.pop();
        }
    }

    fn wait_until(&mut self, at: Time) {
        self.waiting = Some(self.waiting.map_or(at, |earlier| earlier.min(at)));
    }

    /// Whether the server has refused all of this.
    pub fn has_refused(&self, wanted: &[Part]) -> bool {
        !self.is_busy() && wanted.iter().all(|part| self.held.iter().any(|held| held.part == *part))
    }

    /// What became of transaction `id`. Returns what is worth reporting, each refusal once.
    pub fn done(&mut self, now: Time, id: u64, outcome: Outcome) -> Option<Refusal> {
        if self.in_flight != Some(id) {
            return None;
        }
        self.in_flight = None;
        let parts = std::mem::take(&mut self.parts);
        let error = match outcome {
            Outcome::Committed(_) => {
                self.pause_ms = 0;
                self.suspects.pop();
                for Sent { part, .. } in parts {
                    self.contests.committed(now, part.unit, &part.transaction);
                }
                return None;
            }
            // What became of it shows in the data of the next connection.
            Outcome::Lost { .. } => return None,
            Outcome::Failed(error) => error,
        };
        let part = self.refused(now, parts, &error);
        if part.is_none() && !self.suspects.is_empty() {
            return None;
        }
        if self.reported.len() >= MAX_REPORTED {
            self.reported.clear();
        }
        let name = part.as_ref().map(|part: &Part| part.unit);
        let reason = without_numbers(&error.error.to_string());
        self.reported.insert(format!("{name:?} {reason}")).then_some(Refusal { part, error })
    }

    /// When something that waits may be sent.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.waiting
    }

    /// Holds back the part that the server objects to, if that is known, and returns it.
    fn refused(&mut self, now: Time, parts: Vec<Sent>, error: &TransactionError) -> Option<Part> {
        let mut parts: Vec<Part> = parts.into_iter().map(|sent| sent.part).collect();
        let guilty = match error.operation {
            Some(operation) => owner(&parts, operation)?,
            None if error.kind.is_transient() => {
                self.pause_ms = (self.pause_ms * 2).clamp(PAUSE_FIRST_MS, PAUSE_MAX_MS);
                self.not_before = Time(now.0 + self.pause_ms);
                return None;
            }
            None if parts.len() > 1 => {
                self.suspects.pop();
                let second = parts.split_off(parts.len() / 2);
                self.suspects.extend([second, parts]);
                return None;
            }
            None => 0,
        };
        if error.operation.is_none() {
            self.suspects.pop();
        }
        let part = parts.swap_remove(guilty);
        // What a unit wants may differ each time, as a timestamp does.
        let known = self.held.iter().position(|held| held.part.unit == part.unit).map(|at| self.held.swap_remove(at));
        let pause_ms = known.map_or(PAUSE_FIRST_MS, |held| (held.pause_ms * 2).min(PAUSE_MAX_MS));
        self.held.push(HeldBack { part: part.clone(), until: Time(now.0 + pause_ms), pause_ms });
        Some(part)
    }
}

/// A reason without what differs from one time to the next: words with digits in them.
fn without_numbers(text: &str) -> String {
    let words = text.split(' ').map(|word| if word.contains(|c: char| c.is_ascii_digit()) { "#" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// The part that has the operation of this number among all.
fn owner(parts: &[Part], operation: usize) -> Option<usize> {
    let mut before = 0;
    parts.iter().position(|part| {
        before += part.transaction.operations.len();
        operation < before
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ovsdb::Uuid;
    use ovsdb::rpc::RemoteError;
    use ovsdb::transaction::ErrorKind;

    fn part(unit: u32, host: &str) -> Part {
        let mut transaction = Transaction::new();
        transaction.update("Chassis", Uuid([unit as u8; 16]), vec![("hostname", host.into())]);
        Part { unit, transaction }
    }

    fn connected() -> Side {
        let mut side = Side::default();
        side.data(true);
        side
    }

    #[test]
    fn the_same_again_waits_longer_each_time() {
        let mut side = Side::default();
        assert!(side.next(Time(0), vec![part(1, "a")]).is_none(), "not connected");
        side.data(true);
        let (mut now, mut delays) = (0, Vec::new());
        for round in 0..8 {
            let started = now;
            let wanted = [part(1, "a")];
            let (id, _) = loop {
                match side.next(Time(now), wanted.to_vec()) {
                    Some(sent) => break sent,
                    None => now = side.poll_timeout().unwrap().0,
                }
            };
            assert_eq!((side.sent()[0].standing.undone, side.sent().len()), (round > 0, 1));
            delays.push((now - started) / 1000);
            assert!(side.next(Time(now), vec![part(2, "b")]).is_none(), "one in flight");
            side.done(Time(now), id, Outcome::Committed(Vec::new()));
            // What another unit wants in between does not make it new.
            let (id, _) = side.next(Time(now), vec![part(2, &round.to_string())]).expect("others go on");
            side.done(Time(now), id, Outcome::Committed(Vec::new()));
        }
        assert_eq!(delays, [0, 1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn a_lost_transaction_is_wanted_again_and_an_old_answer_means_nothing() {
        let mut side = connected();
        let (id, _) = side.next(Time(0), vec![part(1, "a")]).unwrap();
        assert_eq!(side.done(Time(0), id + 1, Outcome::Lost { sent: true }), None);
        assert!(side.is_busy());
        side.connected = false;
        side.done(Time(0), id, Outcome::Lost { sent: true });
        assert!(side.next(Time(1), vec![part(1, "a")]).is_none());
        side.data(true);
        assert!(side.next(Time(1), vec![part(1, "a")]).is_some());
    }

    fn refusal(kind: ErrorKind, operation: Option<usize>) -> Outcome {
        let error = RemoteError { error: format!("{kind:?}"), ..RemoteError::default() };
        Outcome::Failed(TransactionError { kind, operation, error })
    }

    /// Runs until nothing more is sent at time 0. Returns the units whose parts were committed, those that were reported, and the
    /// number of transactions.
    fn run(side: &mut Side, units: u32, bad: &[u32], names_it: bool) -> (Vec<u32>, Vec<u32>, usize) {
        let (mut committed, mut reported, mut count) = (Vec::new(), Vec::new(), 0);
        loop {
            let left: Vec<Part> =
                (0..units).filter(|unit| !committed.contains(unit)).map(|unit| part(unit, "h")).collect();
            let Some((id, together)) = side.next(Time(0), left.clone()) else { break };
            count += 1;
            let sent: Vec<u32> = side.sent().iter().map(|sent| sent.part.unit).collect();
            assert_eq!(sent.len(), together.operations.len());
            let outcome = match sent.iter().position(|unit| bad.contains(unit)) {
                Some(at) => refusal(ErrorKind::ConstraintViolation, names_it.then_some(at)),
                None => {
                    committed.extend(sent);
                    Outcome::Committed(Vec::new())
                }
            };
            reported.extend(side.done(Time(0), id, outcome).map(|refusal| refusal.part.unwrap().unit));
        }
        committed.sort_unstable();
        (committed, reported, count)
    }

    #[test]
    fn what_is_refused_does_not_keep_the_rest_back() {
        for names_it in [true, false] {
            for bad in [&[1][..], &[0, 99], &[], &[7, 8, 9]] {
                let mut side = connected();
                let (committed, mut reported, count) = run(&mut side, 100, bad, names_it);
                let good: Vec<u32> = (0..100).filter(|unit| !bad.contains(unit)).collect();
                reported.sort_unstable();
                assert_eq!((committed, reported.as_slice()), (good, bad), "{names_it}");
                let enough = if names_it { 1 + bad.len() } else { 1 + bad.len() * 16 };
                assert!(count <= enough, "{count} transactions to find {bad:?}");
                assert_eq!(side.poll_timeout(), (!bad.is_empty()).then_some(Time(1000)), "{names_it}");
                // It is tried again, alone, and reported only once.
                for &unit in bad.iter().take(1) {
                    let (id, _) = side.next(Time(1000), vec![part(unit, "h")]).expect("tried again");
                    let outcome = refusal(ErrorKind::ConstraintViolation, names_it.then_some(0));
                    assert_eq!(side.done(Time(1000), id, outcome), None);
                    assert!(side.next(Time(2999), vec![part(unit, "h")]).is_none());
                    assert!(side.next(Time(3000), vec![part(unit, "h")]).is_some());
                }
            }
        }
    }

    #[test]
    fn a_server_that_cannot_commit_anything_is_not_asked_again_at_once() {
        let mut side = connected();
        let (mut now, mut reports, mut pauses) = (0, 0, Vec::new());
        for _ in 0..4 {
            let (id, _) = side.next(Time(now), vec![part(1, "a"), part(2, "b")]).unwrap();
            reports += usize::from(side.done(Time(now), id, refusal(ErrorKind::ClusterUnavailable, None)).is_some());
            assert!(side.next(Time(now), vec![part(1, "a")]).is_none());
            pauses.push((side.poll_timeout().unwrap().0 - now) / 1000);
            now = side.poll_timeout().unwrap().0;
        }
        assert_eq!((reports, pauses), (1, vec![1, 2, 4, 8]));
    }
}
