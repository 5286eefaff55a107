//! [`ZoneFlushes`]: tracked connections of a conntrack zone are forgotten when the zone gets a user and when it loses one, so that
//! nobody inherits the connections of another. ct-zone.c, OVN 26.03 (`CT_ZONE_OF_QUEUED` to `CT_ZONE_DB_SENT`); sheet 01
//! section 7.5.
//!
//! A zone that nobody had is flushed in front of the flows that use it; one that is taken from somebody, once the switch
//! has acknowledged that his flows are gone. Only then is the change persisted ([`crate::writeback`]), so that an agent that
//! ends in between flushes again. What is persisted needs no flush: a restart with nothing changed flushes nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::list::List;
use crate::zones::{UserZone, UserZones, ZoneKind};

/// What is to be flushed, and how far that is.
#[derive(Debug, Default)]
pub struct ZoneFlushes {
    stages: BTreeMap<UserZone, Stage>,
    /// What the flows that were pushed last were made with.
    in_use: UserZones,
    /// Of these the lists say the same, and need not be compared again.
    agreed: Seen,
    /// For these there is nothing to do but to wait.
    quiet: Option<Seen>,
}

/// Users and zones.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// As they should be.
    pub zones: UserZones,
    /// As Bridge.external_ids has them.
    pub persisted: UserZones,
}

impl Seen {
    fn is(&self, other: &Seen) -> bool {
        self.zones.is(&other.zones) && self.persisted.is(&other.persisted)
    }
}

/// How far a pair is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// The push with this number removes the flows of the former user.
    AwaitsFlows(u64),
    /// To be sent with the next push.
    Ready,
    /// Sent with the push of this number.
    Sent(u64),
    /// The switch has carried it out; the database is to follow.
    Flushed,
}

/// The pairs that `others` does not have. Both are sorted, and walked side by side: there are thousands.
fn beyond<'a>(
    some: impl Iterator<Item = &'a UserZone>,
    others: impl Iterator<Item = &'a UserZone>,
) -> impl Iterator<Item = &'a UserZone> {
    let mut others = others.peekable();
    some.filter(move |pair| {
        while others.next_if(|other| other < pair).is_some() {}
        others.peek() != Some(pair)
    })
}

impl ZoneFlushes {
    /// Takes notice of what is wanted and persisted now. Returns whether there is a reason to push.
    pub fn observe(&mut self, now: &Seen) -> bool {
        if self.is_quiet(now) {
            return false;
        }
        // Done when the database says what is wanted.
        self.stages
            .retain(|pair, stage| *stage != Stage::Flushed || now.zones.holds(pair) != now.persisted.holds(pair));
        // Ports are few.
        if !self.agree(ZoneKind::Nat, now) && now.zones.nat == now.persisted.nat {
            self.agreed.zones.nat.clone_from(&now.zones.nat);
            self.agreed.persisted.nat.clone_from(&now.persisted.nat);
        }
        let due = self.stages.values().any(|stage| *stage == Stage::Ready)
            || self.given(now).next().is_some()
            || self.taken(now).next().is_some();
        self.quiet = (!due).then(|| now.clone());
        due
    }

    fn is_quiet(&self, now: &Seen) -> bool {
        self.quiet.as_ref().is_some_and(|quiet| quiet.is(now))
    }

    /// Whether the list of one kind says the same in the database as it should.
    fn agree(&self, kind: ZoneKind, now: &Seen) -> bool {
        let same = |seen: fn(&Seen) -> &UserZones| seen(&self.agreed).of(kind).is(seen(now).of(kind));
        same(|seen| &seen.zones) && same(|seen| &seen.persisted)
    }

    /// Pairs that are wanted and not persisted, and of which nothing has been done.
    fn given<'a>(&'a self, now: &'a Seen) -> impl Iterator<Item = &'a UserZone> {
        self.lists(now).flat_map(|(zones, persisted)| self.unnoticed(beyond(zones.iter(), persisted.iter())))
    }

    /// Pairs that are persisted or in use and not wanted, and of which nothing has been done since they are not.
    fn taken<'a>(&'a self, now: &'a Seen) -> impl Iterator<Item = UserZone> + 'a {
        let persisted =
            self.lists(now).flat_map(|(zones, persisted)| self.unnoticed(beyond(persisted.iter(), zones.iter())));
        let lists = ZoneKind::ALL.into_iter().map(|kind| (self.in_use.of(kind), now.zones.of(kind)));
        let changed = lists.filter(|(in_use, zones)| !in_use.is(zones));
        persisted.chain(changed.flat_map(|(in_use, zones)| beyond(in_use.iter(), zones.iter()))).cloned()
    }

    /// The lists as they should be and as the database has them, without those that are known to agree.
    fn lists<'a>(&'a self, now: &'a Seen) -> impl Iterator<Item = (&'a List<UserZone>, &'a List<UserZone>)> {
        let kinds = ZoneKind::ALL.into_iter().filter(|kind| !self.agree(*kind, now));
        kinds.map(|kind| (now.zones.of(kind), now.persisted.of(kind)))
    }

    /// Those of some pairs, which are sorted, of which nothing has been done.
    fn unnoticed<'a>(&'a self, pairs: impl Iterator<Item = &'a UserZone>) -> impl Iterator<Item = &'a UserZone> {
        beyond(pairs, self.stages.keys())
    }

    /// The zones to flush in front of the flows of the next push, sorted.
    pub fn due(&self, now: &Seen) -> Vec<u16> {
        let due: BTreeSet<u16> = self.due_pairs(now).into_iter().map(|(_, zone)| zone).collect();
        due.into_iter().collect()
    }

    fn due_pairs(&self, now: &Seen) -> Vec<UserZone> {
        if self.is_quiet(now) {
            return Vec::new();
        }
        let ready = self.stages.iter().filter(|(_, stage)| **stage == Stage::Ready).map(|(pair, _)| pair);
        let mut busy: BTreeSet<u16> = self.taken(now).map(|(_, zone)| zone).collect();
        busy.extend(self.stages.iter().filter(|(_, s)| matches!(s, Stage::AwaitsFlows(_))).map(|(pair, _)| pair.1));
        let fresh = self.given(now).filter(|(_, zone)| !busy.contains(zone));
        ready.chain(fresh).cloned().collect()
    }

    /// The push with this number was made, with [`ZoneFlushes::due`] in front of it. Returns what its flows were made with.
    pub fn pushed(&mut self, sequence: u64, now: &Seen) -> UserZones {
        if !self.is_quiet(now) {
            let due = self.due_pairs(now);
            let waits: Vec<UserZone> = self.given(now).cloned().chain(self.taken(now)).collect();
            self.stages.extend(waits.into_iter().map(|pair| (pair, Stage::AwaitsFlows(sequence))));
            self.stages.extend(due.into_iter().map(|pair| (pair, Stage::Sent(sequence))));
            self.quiet = None;
        }
        self.in_use = now.zones.clone();
        self.in_use.clone()
    }

    /// The switch has carried out everything up to the push of this number.
    pub fn acknowledged(&mut self, sequence: u64) {
        for stage in self.stages.values_mut() {
            *stage = match *stage {
                Stage::AwaitsFlows(pushed) if pushed <= sequence => Stage::Ready,
                Stage::Sent(pushed) if pushed <= sequence => Stage::Flushed,
                _ => continue,
            };
            self.quiet = None;
        }
    }

    /// The connection is gone, and with it what it had not acknowledged.
    pub fn forget(&mut self) {
        self.quiet = None;
        for stage in self.stages.values_mut().filter(|stage| matches!(stage, Stage::Sent(_))) {
            *stage = Stage::Ready;
        }
    }

    /// The pairs whose flush is done and that the database does not reflect yet.
    pub fn flushed(&self) -> BTreeSet<UserZone> {
        self.stages.iter().filter(|(_, stage)| **stage == Stage::Flushed).map(|(pair, _)| pair.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> UserZones {
        text.split_whitespace()
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(user, zone)| (user.into(), zone.parse().unwrap()))
            .collect()
    }

    fn seen(zones: &str, persisted: &str) -> Seen {
        Seen { zones: pairs(zones), persisted: pairs(persisted) }
    }

    /// What is flushed with each push until there is nothing to do, and what may be persisted then.
    fn run(flushes: &mut ZoneFlushes, sequence: &mut u64, now: &Seen) -> (Vec<Vec<u16>>, String) {
        let mut sent = Vec::new();
        while flushes.observe(now) {
            *sequence += 1;
            sent.push(flushes.due(now));
            flushes.pushed(*sequence, now);
            flushes.acknowledged(*sequence);
        }
        let flushed: Vec<String> = flushes.flushed().iter().map(|(user, zone)| format!("{user}={zone}")).collect();
        (sent, flushed.join(" "))
    }

    #[test]
    fn a_zone_is_flushed_before_the_flows_of_its_first_user_and_after_those_of_its_last() {
        let (mut flushes, mut sequence) = (ZoneFlushes::default(), 0);
        let mut check = |zones: &str, persisted: &str, sent: &[&[u16]], flushed: &str| {
            let outcome = run(&mut flushes, &mut sequence, &seen(zones, persisted));
            assert_eq!(outcome, (sent.iter().map(|s| s.to_vec()).collect(), flushed.to_owned()), "{zones}|{persisted}");
        };
        check("a=1 b=2", "a=1 b=2", &[], "");
        check("a=1 b=2 c=3", "a=1 b=2", &[&[3]], "c=3");
        check("a=1 b=2 c=3", "a=1 b=2 c=3", &[], "");
        // The push that takes the flows away, then the flush.
        check("b=2 c=3", "a=1 b=2 c=3", &[&[], &[1]], "a=1");
        check("b=2 c=3", "b=2 c=3", &[], "");
        // One takes the zone of another: after the other's flows are gone, for both at once.
        check("b=4 c=3 d=2", "b=2 c=3", &[&[4], &[2]], "b=2 b=4 d=2");
        check("b=4 c=3 d=2", "b=4 c=3 d=2", &[], "");
        // Persisted by somebody else, or left by an agent that ended: not wanted.
        check("b=4 c=3 d=2", "b=4 c=3 d=2 old=9", &[&[], &[9]], "old=9");
    }

    #[test]
    fn a_user_that_goes_before_it_was_persisted_leaves_nothing_behind() {
        let (mut flushes, mut sequence) = (ZoneFlushes::default(), 0);
        assert_eq!(run(&mut flushes, &mut sequence, &seen("a=1", "")), (vec![vec![1]], "a=1".to_owned()));
        assert_eq!(run(&mut flushes, &mut sequence, &seen("", "")), (vec![vec![], vec![1]], String::new()));
        assert_eq!(run(&mut flushes, &mut sequence, &seen("a=1", "")), (vec![vec![1]], "a=1".to_owned()), "again");
    }

    #[test]
    fn what_a_lost_connection_did_not_acknowledge_is_sent_again() {
        let (mut flushes, now) = (ZoneFlushes::default(), seen("a=1", "b=2"));
        assert!(flushes.observe(&now));
        assert_eq!(flushes.due(&now), [1]);
        flushes.pushed(1, &now);
        assert!(!flushes.observe(&now) && flushes.flushed().is_empty(), "all is on the way");
        flushes.forget();
        assert!(flushes.observe(&now));
        assert_eq!(flushes.due(&now), [1], "b's flows may still be there");
        flushes.pushed(2, &now);
        flushes.acknowledged(2);
        assert_eq!(flushes.due(&now), [2]);
    }
}
