//! [`FlowTable`]: every flow, desired or installed or both, stored once with the units that want it.
//!
//! Several units may want a flow with the same table, priority and match. Which of them the switch gets is settled as in
//! ofctrl.c (`flow_compare` order, OVN 26.03): real actions before drop, drop before conjunctions, and the conjunctions of
//! all owners joined (of two with one id the lower clause stays). Among equals the highest cookie, then the lowest action bytes
//! win, so the result does not depend on the order in which units ran. See [`FlowTable::follow_hash_order`].

use hashbrown::HashSet;
use ofproto_client::{ActionList, Match};
use ovsdb::segments::Segments;
use ovsdb::shards::Shards;
use smallvec::SmallVec;
use std::cmp::Reverse;
use std::hash::BuildHasher;

use crate::engine::NodeId;
use crate::units::DesiredFlow;

/// Dense number of an entry of the flow table.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub u32);

/// What the switch holds, or should hold, for one table, priority and match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Cookie.
    pub cookie: u64,
    /// Actions.
    pub actions: ActionList,
}

/// What the switch should hold: the same shape.
pub type Resolved = Installed;

/// What has to be done at the switch about one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The switch lacks the flow.
    Add(Resolved),
    /// The switch has it with other actions or another cookie.
    Modify(Resolved),
    /// The switch has it and nobody wants it.
    Delete,
}

/// Rank of a claim: real actions win over drop, drop over conjunctions.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Actions,
    Drop,
    Conjunction,
}

struct Claim {
    owner: NodeId,
    /// Number of the run of the owner that made the claim, to see a second claim of the same run.
    run: u64,
    rank: Rank,
    cookie: u64,
    actions: ActionList,
}

struct Slot {
    table: u8,
    priority: u16,
    queued: bool,
    /// The pass of the audit in which the switch was last known to have it. In the padding.
    seen: u8,
    match_: Match,
    claims: SmallVec<[Claim; 1]>,
    installed: Option<Installed>,
}

impl Slot {
    fn is(&self, table: u8, priority: u16, match_: &Match) -> bool {
        self.table == table && self.priority == priority && self.match_ == *match_
    }
}

/// So many of an owner's former entries are compared with a new flow.
const LOOK_AHEAD: usize = 2;
/// So many action lists may be held that no flow uses.
const MANY_LISTS: usize = 1024;

/// Desired and installed flows.
#[derive(Default)]
pub struct FlowTable {
    slots: Segments<Option<Slot>>,
    free: Vec<u32>,
    index: Shards<u32>,
    hasher: rustc_hash::FxBuildHasher,
    /// Action lists by content: "resubmit to the next table" is held once, not once a flow.
    lists: Shards<ActionList>,
    /// How many of them there were after they were last looked through for those that are not used any more.
    lists_kept: usize,
    changed: Vec<FlowId>,
    runs: u64,
    claims_made: usize,
    desired: usize,
    hash_mask: Option<u64>,
    /// Entries by table.
    sizes: Sizes,
    /// The current pass of the audit.
    pass: u8,
    /// While a slice of the switch is being read for the audit: what was changed since it was asked for, by hash.
    changed_since: Option<HashSet<u64, rustc_hash::FxBuildHasher>>,
}

struct Sizes([u32; 256]);

impl Default for Sizes {
    fn default() -> Self {
        Self([0; 256])
    }
}

/// What the audit found about one flow of the switch.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is what it is believed to be, or was changed after the switch was asked.
    Right,
    /// Its actions or cookie are not those that were sent.
    Changed,
    /// It was not sent.
    Foreign,
}

impl FlowTable {
    /// Among equal claims of logical flows, prefers the one that ovn-controller 26.03 keeps after a recompute: it walks the
    /// Logical_Flow rows by the bucket of their UUID (its first 32 bits, which are the cookie), and the last one wins. The
    /// number of buckets follows from the number of rows. For the translator, whose rows do not change: with rows that come
    /// and go the choice would have to be made again for all.
    pub fn follow_hash_order(&mut self, rows: usize) {
        // Two rows to a bucket before OVS's hmap grows.
        let buckets = (rows + 1).div_ceil(2).next_power_of_two();
        self.hash_mask = Some(buckets as u64 - 1);
    }

    /// Replaces the claims of `owner` (`old`: the entries it had a claim on) by those of its new `flows`.
    pub fn replace(&mut self, owner: NodeId, old: &[FlowId], flows: Vec<DesiredFlow>) -> SmallVec<[FlowId; 2]> {
        self.runs += 1;
        self.claims_made += flows.len();
        let run = self.runs;
        let mut new: SmallVec<[FlowId; 2]> = SmallVec::with_capacity(flows.len());
        // Many flows in a row have one list of actions: what was given, and what is held in its place.
        let mut last = (ActionList::DROP, ActionList::DROP);
        let mut former = old;
        for flow in flows {
            let DesiredFlow { table, priority, cookie, match_, actions } = flow;
            let rank = rank(&actions);
            if !actions.ptr_eq(&last.0) {
                last = (actions.clone(), self.intern(actions));
            }
            let actions = last.1.clone();
            let id = match self.among_next(&mut former, table, priority, &match_) {
                Some(id) => id,
                None => self.entry(table, priority, match_),
            };
            let Some(Some(slot)) = self.slots.get_mut(id.0 as usize) else { continue };
            let claim = Claim { owner, run, rank, cookie, actions };
            match slot.claims.iter_mut().find(|c| c.owner == owner) {
                None => {
                    self.desired += usize::from(slot.claims.is_empty());
                    slot.claims.push(claim);
                }
                // The same unit wants the same match twice: joined if both are conjunctions, else the first stays.
                Some(held) if held.run == run => {
                    if held.rank == Rank::Conjunction && rank == Rank::Conjunction {
                        held.actions = ActionList::join_conjunctions([&held.actions, &claim.actions].into_iter());
                        self.touch(id);
                    }
                    continue;
                }
                Some(held) => {
                    let same = held.rank == rank && held.cookie == claim.cookie && held.actions == claim.actions;
                    *held = claim;
                    if same {
                        new.push(id);
                        continue;
                    }
                }
            }
            new.push(id);
            self.touch(id);
        }
        for &id in old {
            let Some(Some(slot)) = self.slots.get_mut(id.0 as usize) else { continue };
            if let Some(at) = slot.claims.iter().position(|c| c.owner == owner && c.run != run) {
                slot.claims.swap_remove(at);
                self.desired -= usize::from(slot.claims.is_empty());
                self.touch(id);
            }
        }
        new
    }

    /// Number of claims made since the start: a measure of the work.
    pub fn claims_made(&self) -> usize {
        self.claims_made
    }

    /// Number of flows that somebody wants.
    pub fn desired_len(&self) -> usize {
        self.desired
    }

    /// Number of flows that the switch is believed to hold. Looks at every entry.
    pub fn installed_len(&self) -> usize {
        self.slots.iter().flatten().filter(|slot| slot.installed.is_some()).count()
    }

    /// What the switch should hold for entry `id`.
    pub fn desired(&self, id: FlowId) -> Option<Resolved> {
        let slot = self.slot(id)?;
        let best = slot.claims.iter().min_by(|a, b| self.preference(a).cmp(&self.preference(b)))?;
        if best.rank == Rank::Conjunction && slot.claims.len() > 1 {
            let actions = ActionList::join_conjunctions(slot.claims.iter().map(|c| &c.actions));
            return Some(Installed { cookie: 0, actions });
        }
        Some(Installed { cookie: best.cookie, actions: best.actions.clone() })
    }

    /// What the switch is believed to hold for entry `id`.
    pub fn installed(&self, id: FlowId) -> Option<&Installed> {
        self.slot(id).and_then(|s| s.installed.as_ref())
    }

    /// Table, priority and match of entry `id`.
    pub fn flow_key(&self, id: FlowId) -> Option<(u8, u16, &Match)> {
        self.slot(id).map(|s| (s.table, s.priority, &s.match_))
    }

    /// The units that want entry `id`.
    pub fn owners(&self, id: FlowId) -> impl Iterator<Item = NodeId> + '_ {
        self.slot(id).into_iter().flat_map(|s| s.claims.iter().map(|c| c.owner))
    }

    /// All entries that somebody wants, in no particular order.
    pub fn iter_desired(&self) -> impl Iterator<Item = FlowId> + '_ {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.as_ref().is_some_and(|s| !s.claims.is_empty()))
            .map(|(id, _)| FlowId(id as u32))
    }

    /// All entries, desired or installed.
    pub fn iter(&self) -> impl Iterator<Item = FlowId> + '_ {
        self.slots.iter().enumerate().filter(|(_, slot)| slot.is_some()).map(|(id, _)| FlowId(id as u32))
    }

    // ===== the audit =====

    /// A pass of the audit begins: nothing has been seen in it.
    pub fn begin_pass(&mut self) {
        // 0 is the mark of an entry that was in no pass.
        self.pass = self.pass.checked_add(1).unwrap_or(1);
        let stale = self.pass;
        for slot in self.slots.iter_mut().flatten().filter(|slot| slot.seen == stale) {
            slot.seen = 0;
        }
    }

    /// A slice of the switch is asked for: what changes from now on may or may not be in the answer.
    pub fn begin_slice(&mut self) {
        self.changed_since = Some(HashSet::default());
    }

    /// The answer is complete.
    pub fn end_slice(&mut self) {
        self.changed_since = None;
    }

    /// The switch has this flow. What differs from what it is believed to hold is taken over and touched.
    pub fn observe(&mut self, table: u8, priority: u16, match_: Match, actual: Installed) -> Finding {
        let hash = self.hasher.hash_one((table, priority, match_.as_bytes()));
        if self.changed_since.as_ref().is_some_and(|changed| changed.contains(&hash)) {
            return Finding::Right;
        }
        let pass = self.pass;
        let found = self.find(hash, table, priority, &match_).and_then(|id| self.slots.get_mut(id as usize)?.as_mut());
        let finding = match found.map(|slot| (slot.installed.as_ref(), &mut slot.seen)) {
            Some((Some(installed), seen)) if *installed == actual => {
                *seen = pass;
                return Finding::Right;
            }
            Some((Some(_), _)) => Finding::Changed,
            _ => Finding::Foreign,
        };
        self.adopt(table, priority, match_, actual);
        finding
    }

    /// Looks at up to `count` entries from number `from` on for flows of tables in `tables` that the switch was believed to hold and
    /// that were not seen in this pass: they are not there. Returns how many, and where to go on if that was not the end.
    pub fn sweep_unseen(
        &mut self,
        from: usize,
        count: usize,
        tables: impl Fn(u8) -> bool,
    ) -> (Vec<FlowId>, Option<usize>) {
        let end = self.slots.len().min(from.saturating_add(count));
        let mut missing = Vec::new();
        for id in from..end {
            let Some(Some(slot)) = self.slots.get_mut(id) else { continue };
            if slot.installed.is_some() && slot.seen != self.pass && tables(slot.table) {
                slot.installed = None;
                missing.push(FlowId(id as u32));
            }
        }
        missing.iter().for_each(|&id| self.touch(id));
        (missing, (end < self.slots.len()).then_some(end))
    }

    /// Whether there is an entry of this table, priority and match.
    pub fn knows(&self, table: u8, priority: u16, match_: &Match) -> bool {
        let hash = self.hasher.hash_one((table, priority, match_.as_bytes()));
        self.find(hash, table, priority, match_).is_some()
    }

    /// Number of entries of each table.
    pub fn sizes(&self) -> &[u32; 256] {
        &self.sizes.0
    }

    // ===== what the switch holds =====

    /// A flow that was read back from the switch.
    pub fn adopt(&mut self, table: u8, priority: u16, match_: Match, installed: Installed) -> FlowId {
        let actions = self.intern(installed.actions);
        let id = self.entry(table, priority, match_);
        let pass = self.pass;
        if let Some(Some(slot)) = self.slots.get_mut(id.0 as usize) {
            slot.installed = Some(Installed { cookie: installed.cookie, actions });
            slot.seen = pass;
        }
        self.touch(id);
        id
    }

    /// The switch now holds this for entry `id` (`None`: nothing).
    pub fn set_installed(&mut self, id: FlowId, installed: Option<Installed>) {
        let pass = self.pass;
        if let Some(Some(slot)) = self.slots.get_mut(id.0 as usize) {
            // That a flow was changed in place does not show that it was there.
            let in_place = slot.installed.is_some() && installed.is_some();
            if !in_place || self.changed_since.is_some() {
                slot.seen = pass;
            }
            slot.installed = installed;
            if let Some(changed) = &mut self.changed_since {
                changed.insert(self.hasher.hash_one((slot.table, slot.priority, slot.match_.as_bytes())));
            }
        }
        self.release(id);
    }

    /// Nothing is known of the switch any more: a new connection. Every entry is touched, those too that were taken to be examined
    /// and have not been.
    pub fn forget_installed(&mut self) {
        self.changed.clear();
        for (id, slot) in self.slots.iter_mut().enumerate() {
            let Some(slot) = slot else { continue };
            slot.installed = None;
            slot.queued = true;
            self.changed.push(FlowId(id as u32));
        }
    }

    /// What has to be done about entry `id`; `None` when the switch has what is wanted.
    pub fn change(&self, id: FlowId) -> Option<Change> {
        let slot = self.slot(id)?;
        match (self.desired(id), &slot.installed) {
            (None, None) => None,
            (None, Some(_)) => Some(Change::Delete),
            (Some(want), None) => Some(Change::Add(want)),
            (Some(want), Some(have)) if want == *have => None,
            (Some(want), Some(_)) => Some(Change::Modify(want)),
        }
    }

    /// Takes the entries that were touched since the last call and differ from what the switch has, each once, sorted.
    pub fn take_changed(&mut self) -> Vec<FlowId> {
        let mut changed = self.take_touched();
        changed.retain(|&id| self.examine(id).is_some());
        changed.sort_unstable();
        changed
    }

    /// Takes the entries that were touched since the last call, however many, in no time. Each has to be
    /// [examined](FlowTable::examine); until then it stays, and touching it again does nothing.
    pub fn take_touched(&mut self) -> Vec<FlowId> {
        std::mem::take(&mut self.changed)
    }

    /// What has to be done about a touched entry. If nothing, and nobody wants it, it is freed.
    pub fn examine(&mut self, id: FlowId) -> Option<Change> {
        if let Some(Some(slot)) = self.slots.get_mut(id.0 as usize) {
            slot.queued = false;
        }
        let change = self.change(id);
        if change.is_none() {
            self.release(id);
        }
        change
    }

    /// Puts entry `id` back among the changed ones, for a later attempt.
    pub fn touch(&mut self, id: FlowId) {
        if let Some(Some(slot)) = self.slots.get_mut(id.0 as usize)
            && !slot.queued
        {
            slot.queued = true;
            self.changed.push(id);
        }
    }

    /// Whether anything was touched since [`FlowTable::take_changed`].
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Drops action lists that no flow uses any more, when there may be so many that it is worth looking at all: a single change
    /// must not cost what the number of flows is.
    pub fn tidy_action_lists(&mut self) {
        if self.lists.len() >= self.lists_kept + (self.lists_kept / 4).max(MANY_LISTS) {
            self.sweep_action_lists();
        }
    }

    fn sweep_action_lists(&mut self) {
        self.lists.retain(|list| !list.is_unique());
        self.lists_kept = self.lists.len();
    }

    fn preference<'c>(&self, claim: &'c Claim) -> impl Ord + use<'c> {
        let hashed = claim.cookie & self.hash_mask.unwrap_or(u64::MAX);
        (claim.rank, Reverse(hashed), Reverse(claim.cookie), claim.actions.as_bytes())
    }

    fn slot(&self, id: FlowId) -> Option<&Slot> {
        self.slots.get(id.0 as usize).and_then(Option::as_ref)
    }

    fn intern(&mut self, actions: ActionList) -> ActionList {
        let hasher = &self.hasher;
        let hash = hasher.hash_one(actions.as_bytes());
        self.lists
            .entry(hash, |list| *list == actions, |list| hasher.hash_one(list.as_bytes()))
            .or_insert(actions)
            .get()
            .clone()
    }

    /// The entry for this table, priority and match, if it is among the next few `former` ones of an owner, which then go on behind it. Mostly
    /// its flows are the former ones in the same order, or almost, and no hash is needed to find them.
    fn among_next(&self, former: &mut &[FlowId], table: u8, priority: u16, match_: &Match) -> Option<FlowId> {
        let is_it = |id: &FlowId| self.slot(*id).is_some_and(|slot| slot.is(table, priority, match_));
        let at = former.iter().take(LOOK_AHEAD).position(is_it)?;
        let (before, after) = former.split_at_checked(at + 1)?;
        *former = after;
        before.last().copied()
    }

    fn find(&self, hash: u64, table: u8, priority: u16, match_: &Match) -> Option<u32> {
        let is_it = |slot: &Slot| slot.is(table, priority, match_);
        self.index.find(hash, |&id| self.slots[id as usize].as_ref().is_some_and(is_it)).copied()
    }

    /// The entry for this table, priority and match, made if it does not exist.
    fn entry(&mut self, table: u8, priority: u16, match_: Match) -> FlowId {
        let hasher = &self.hasher;
        let hash_of = |table: u8, priority: u16, m: &Match| hasher.hash_one((table, priority, m.as_bytes()));
        let hash = hash_of(table, priority, &match_);
        if let Some(id) = self.find(hash, table, priority, &match_) {
            return FlowId(id);
        }
        self.sizes.0[usize::from(table)] += 1;
        let slot = Slot { table, priority, queued: false, seen: 0, match_, claims: SmallVec::new(), installed: None };
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = Some(slot);
                id
            }
            None => {
                self.slots.push(Some(slot));
                (self.slots.len() - 1) as u32
            }
        };
        let slots = &self.slots;
        self.index.insert(hash, id, |&id| match &slots[id as usize] {
            Some(s) => hash_of(s.table, s.priority, &s.match_),
            None => 0,
        });
        FlowId(id)
    }

    /// Frees the entry if nobody wants it, the switch does not have it and nothing refers to it. Says whether it did.
    fn release(&mut self, id: FlowId) -> bool {
        let Some(Some(slot)) = self.slots.get(id.0 as usize) else { return true };
        if !slot.claims.is_empty() || slot.installed.is_some() {
            return false;
        }
        if slot.queued {
            return false;
        }
        let hash = self.hasher.hash_one((slot.table, slot.priority, slot.match_.as_bytes()));
        self.index.remove(hash, |&other| other == id.0);
        self.sizes.0[usize::from(slot.table)] -= 1;
        self.slots[id.0 as usize] = None;
        self.free.push(id.0);
        true
    }
}

fn rank(actions: &ActionList) -> Rank {
    if actions.as_bytes().is_empty() {
        Rank::Drop
    } else if actions.is_conjunction() {
        Rank::Conjunction
    } else {
        Rank::Actions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);
    const C: NodeId = NodeId(3);

    fn actions(text: &str) -> ActionList {
        format!("table=1 actions={text}").parse::<ofproto_client::Flow>().unwrap().actions
    }

    fn flow(cookie: u64, text: &str) -> DesiredFlow {
        DesiredFlow { table: 1, priority: 7, cookie, match_: Match::default(), actions: actions(text) }
    }

    /// What the switch should hold for the only flow that [`flow`] makes, as (cookie, actions).
    fn wanted(table: &FlowTable) -> Option<(u64, String)> {
        let id = table.iter_desired().next()?;
        let (number, priority, match_) = table.flow_key(id)?;
        let Resolved { cookie, actions } = table.desired(id)?;
        let text =
            ofproto_client::Flow { table: number, priority, cookie, match_: match_.clone(), actions }.to_string();
        Some((cookie, text.split("actions=").nth(1)?.to_owned()))
    }

    fn installed(cookie: u64, text: &str) -> Installed {
        Installed { cookie, actions: actions(text) }
    }

    #[test]
    fn of_several_claims_one_is_chosen_whatever_their_order() {
        for (claims, expected) in [
            (vec![flow(5, "drop"), flow(9, "resubmit(,3)")], (9, "resubmit(,3)")),
            (vec![flow(0, "conjunction(4,1/2)"), flow(9, "drop")], (9, "drop")),
            (vec![flow(0, "conjunction(4,1/2)"), flow(9, "resubmit(,3)")], (9, "resubmit(,3)")),
            (vec![flow(9, "resubmit(,4)"), flow(5, "resubmit(,3)")], (9, "resubmit(,4)")),
            (vec![flow(5, "resubmit(,4)"), flow(5, "resubmit(,3)")], (5, "resubmit(,3)")),
            (
                vec![flow(0, "conjunction(4,1/2)"), flow(0, "conjunction(2,2/3)")],
                (0, "conjunction(2,2/3),conjunction(4,1/2)"),
            ),
            // Of two clauses with one id the lower stays.
            (vec![flow(0, "conjunction(4,2/2)"), flow(0, "conjunction(4,1/2)")], (0, "conjunction(4,1/2)")),
        ] {
            for order in [[0, 1], [1, 0]] {
                let mut table = FlowTable::default();
                for (owner, at) in [(A, order[0]), (B, order[1])] {
                    table.replace(owner, &[], vec![claims[at].clone()]);
                }
                assert_eq!(table.desired_len(), 1);
                assert_eq!(wanted(&table), Some((expected.0, expected.1.to_owned())), "{claims:?} in order {order:?}");
            }
        }
    }

    #[test]
    fn the_next_best_claim_takes_over() {
        let mut table = FlowTable::default();
        let a = table.replace(A, &[], vec![flow(1, "resubmit(,3)")]);
        let b = table.replace(B, &[], vec![flow(2, "resubmit(,4)")]);
        let c = table.replace(C, &[], vec![flow(3, "drop")]);
        assert_eq!((&a, &b), (&b, &c));
        assert_eq!(table.owners(a[0]).collect::<Vec<_>>(), [A, B, C]);
        table.replace(A, &a, Vec::new());
        assert_eq!(wanted(&table).unwrap().0, 2);
        table.replace(B, &b, Vec::new());
        assert_eq!(wanted(&table).unwrap().0, 3);
        table.replace(C, &c, Vec::new());
        assert_eq!((wanted(&table), table.desired_len()), (None, 0));
    }

    #[test]
    fn one_unit_may_want_a_match_twice() {
        let mut table = FlowTable::default();
        let twice = vec![flow(1, "resubmit(,3)"), flow(1, "resubmit(,2)")];
        let held = table.replace(A, &[], twice.clone());
        assert_eq!((held.len(), wanted(&table).unwrap().1.as_str()), (1, "resubmit(,3)"), "the first stays");
        assert_eq!(table.replace(A, &held, twice), held);
        let clauses = vec![flow(0, "conjunction(4,1/2)"), flow(0, "conjunction(2,2/3)")];
        let held = table.replace(A, &held, clauses.clone());
        for _ in 0..2 {
            assert_eq!(wanted(&table).unwrap().1, "conjunction(2,2/3),conjunction(4,1/2)");
            table.replace(A, &held, clauses.clone());
        }
        table.replace(A, &held, Vec::new());
        assert_eq!((table.desired_len(), table.iter_desired().count()), (0, 0));
    }

    #[test]
    fn an_owners_flows_keep_their_entries_in_whatever_order_they_come() {
        let mut table = FlowTable::default();
        let flows = |priorities: &[u16]| -> Vec<DesiredFlow> {
            priorities.iter().map(|&priority| DesiredFlow { priority, ..flow(1, "resubmit(,3)") }).collect()
        };
        let mut held = table.replace(A, &[], flows(&[1, 2, 3, 4, 5]));
        let entries: Vec<FlowId> = held.to_vec();
        for id in table.take_touched() {
            assert!(table.examine(id).is_some());
        }
        for priorities in [&[1, 2, 3, 4, 5][..], &[5, 4, 3, 2, 1], &[3, 5, 1, 2, 4], &[1, 2, 3, 4, 5]] {
            held = table.replace(A, &held, flows(priorities));
            let expected: Vec<FlowId> = priorities.iter().map(|at| entries[usize::from(*at) - 1]).collect();
            assert_eq!((held.as_slice(), table.take_touched().len()), (expected.as_slice(), 0));
        }
        // Some go, some come, one is another's as well.
        table.replace(B, &[], flows(&[4]));
        held = table.replace(A, &held, flows(&[2, 9, 4, 3]));
        assert_eq!(held.iter().filter(|id| entries.contains(id)).count(), 3);
        assert_eq!((table.desired_len(), table.owners(entries[3]).collect::<Vec<_>>()), (4, vec![A, B]));
    }

    #[test]
    fn what_is_read_back_and_wanted_needs_nothing() {
        let mut table = FlowTable::default();
        let adopted = table.adopt(1, 7, Match::default(), installed(1, "resubmit(,3)"));
        let stale = table.adopt(2, 7, Match::default(), installed(1, "drop"));
        let held = table.replace(A, &[], vec![flow(1, "resubmit(,3)")]);
        assert_eq!(held.as_slice(), [adopted]);
        assert_eq!((table.change(adopted), table.change(stale)), (None, Some(Change::Delete)));
        assert_eq!(table.take_changed(), [stale]);
        table.set_installed(stale, None);
        assert_eq!(table.iter().collect::<Vec<_>>(), [adopted]);
        assert!(!table.has_changed());

        table.replace(A, &held, vec![flow(1, "resubmit(,4)")]);
        assert_eq!(table.take_changed(), [adopted]);
        assert_eq!(table.change(adopted), Some(Change::Modify(installed(1, "resubmit(,4)"))));
        table.forget_installed();
        assert_eq!(table.take_changed(), [adopted]);
        assert_eq!(table.change(adopted), Some(Change::Add(installed(1, "resubmit(,4)"))));
    }

    #[test]
    fn a_flow_that_came_and_went_is_never_sent() {
        let mut table = FlowTable::default();
        let held = table.replace(A, &[], vec![flow(1, "drop")]);
        table.replace(A, &held, Vec::new());
        assert_eq!(table.iter().count(), 1, "it is kept until somebody has looked at the changes");
        assert_eq!(table.take_changed(), []);
        assert_eq!(table.iter().count(), 0);
        assert_eq!((table.slots.len(), table.free.len(), table.index.len()), (1, 1, 0));
    }

    #[test]
    fn nothing_is_left_of_what_is_neither_wanted_nor_installed() {
        let mut table = FlowTable::default();
        let many = |from: u16| -> Vec<DesiredFlow> {
            (from..from + 50).map(|priority| DesiredFlow { priority, ..flow(1, "resubmit(,3)") }).collect()
        };
        let mut held = SmallVec::new();
        for round in 0..10 {
            held = table.replace(A, &held, many(round * 25));
            for id in table.take_changed() {
                let after = match table.change(id) {
                    Some(Change::Add(flow) | Change::Modify(flow)) => Some(flow),
                    Some(Change::Delete) => None,
                    None => continue,
                };
                table.set_installed(id, after);
            }
            assert_eq!((table.desired_len(), table.index.len(), table.iter().count()), (50, 50, 50));
            assert!(table.slots.len() <= 100, "entries are used again");
        }
        table.replace(A, &held, Vec::new());
        for id in table.take_changed() {
            assert_eq!(table.change(id), Some(Change::Delete));
            table.set_installed(id, None);
        }
        assert_eq!((table.desired_len(), table.index.len(), table.free.len()), (0, 0, table.slots.len()));
        assert_eq!(table.lists.len(), 1);
        table.sweep_action_lists();
        assert_eq!(table.lists.len(), 0);
    }
}
