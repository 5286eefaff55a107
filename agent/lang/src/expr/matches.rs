//! OpenFlow matches of a normalised expression. Entries: [`Normalized::to_matches`], [`Matches`].

use super::Operand;
use super::normalize::{Factor, Normalized, Test};
use super::sent::{Context, sent};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use ofproto_client::{Field, Match};
use smallvec::SmallVec;
use std::fmt;
use std::hash::BuildHasher as _;
use std::rc::Rc;

/// Membership of a match in a clause of an OpenFlow conjunction.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub struct Conjunction {
    /// The conjunction's id; counts from 1 within an expression until [`Matches::rebase`].
    pub id: u32,
    /// The clause, from 0.
    pub clause: u8,
    /// Number of clauses of the conjunction.
    pub n_clauses: u8,
}

/// One OpenFlow match.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchFlow {
    /// The match. It includes `conj_id` when this is the flow that a conjunction's completion triggers.
    pub match_: Match,
    /// The clauses that the match belongs to. When empty, the flow carries the logical flow's actions.
    pub conjunctions: SmallVec<[Conjunction; 1]>,
}

/// All matches of an expression.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matches {
    /// The matches, no two equal.
    pub flows: Vec<MatchFlow>,
    /// How many conjunction ids are used.
    pub n_conjunctions: u32,
}

impl Matches {
    /// Moves the conjunction ids, which count from 1, to count from `start_id`.
    pub fn rebase(&mut self, start_id: u32) {
        let add = start_id.wrapping_sub(1);
        if add == 0 || self.n_conjunctions == 0 {
            return;
        }
        for flow in &mut self.flows {
            if let Some((id, _)) = flow.match_.get(Field::CONJ_ID) {
                flow.match_.set(Field::CONJ_ID, u128::from((id as u32).wrapping_add(add)));
            }
            for conjunction in &mut flow.conjunctions {
                conjunction.id = conjunction.id.wrapping_add(add);
            }
        }
    }
}

/// Prints the fields in hexadecimal, then the conjunctions; for tests and debugging.
impl fmt::Display for MatchFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (field, value, mask)) in self.match_.iter().enumerate() {
            write!(f, "{}{}=0x{value:x}", if i > 0 { "," } else { "" }, field.name())?;
            if mask != field.match_bits() {
                write!(f, "/0x{mask:x}")?;
            }
        }
        for (i, c) in self.conjunctions.iter().enumerate() {
            let separator = if i > 0 { "," } else { ":" };
            write!(f, "{separator} conjunction({}, {}/{})", c.id, c.clause, c.n_clauses)?;
        }
        Ok(())
    }
}

impl Normalized {
    /// Whether a string field occurs, so that the matches depend on where port names lead.
    pub fn has_ports(&self) -> bool {
        self.factors().iter().any(|factor| factor.symbol.is_string())
    }

    /// Makes OpenFlow matches (`expr_to_matches`, OVN v26.03.1). `port_key` maps port names to the values of the string fields;
    /// comparisons with names that it does not know are false.
    ///
    /// OVN's peculiarities are kept, because the flows have to be the same:
    /// - A conjunction with a clause that turns out empty leaves the matches of the clauses before it behind, without the flow that
    ///   would complete it.
    /// - Parts of a match that lack their OpenFlow prerequisites are left out, as Open vSwitch's encoder does.
    /// - Open vSwitch's `mf_set` ignores a comparison of a field that it cannot mask unless every bit of every byte counts. Such
    ///   comparisons arise when predicates with prerequisites are negated (`!ip.is_frag`), and they are all that there can be for
    ///   `ip.dscp` and `ip.ecn`, which do not fill a byte: OVN v26.03.1 never matches on these two.
    ///
    /// Fails if a conjunction has more clauses than OpenFlow can number.
    pub fn to_matches(&self, port_key: &mut dyn FnMut(&str) -> Option<u32>) -> Result<Matches, TooManyClauses> {
        let resolved = self.factors().iter().map(|_| None).collect();
        let mut builder = Builder {
            port_key,
            factors: self.factors(),
            resolved,
            index: HashTable::new(),
            matches: Matches::default(),
        };
        for (alternative, _) in self.marked_alternatives().filter(|(_, again)| !again) {
            builder.alternative(alternative)?;
        }
        Ok(builder.matches)
    }
}

/// A conjunction has more clauses than can be numbered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expression is too complex: a conjunction of more than 255 disjunctions")]
pub struct TooManyClauses;

/// From so many flows on, equal matches are looked up in a hash table.
const MIN_INDEXED: usize = 12;

/// One operand of a factor in terms of the field: value and mask.
type Term = (u128, u128);

/// A factor with port names looked up.
#[derive(Clone)]
struct Resolved {
    field: Field,
    /// The factor is a disjunction.
    any: bool,
    /// What the field may be. Names that are not known are left out.
    terms: Rc<[Term]>,
}

/// What all matches of an alternative have in common.
struct Base {
    match_: Match,
    /// Decides which fields are sent.
    context: Context,
    /// Nothing in it would be left out or renamed.
    settled: bool,
}

struct Builder<'a> {
    port_key: &'a mut dyn FnMut(&str) -> Option<u32>,
    factors: &'a [Factor],
    /// The factors as far as they have been needed.
    resolved: Vec<Option<Resolved>>,
    /// Where each match is in `matches.flows`, once they are more than a few.
    index: HashTable<u32>,
    matches: Matches,
}

impl Builder<'_> {
    fn alternative(&mut self, factors: &[u32]) -> Result<(), TooManyClauses> {
        let mut match_ = Match::new();
        let mut clauses: SmallVec<[u32; 8]> = SmallVec::new();
        for &index in factors {
            let Some(Resolved { field, any, terms }) = self.resolve(index) else { return Ok(()) };
            if any {
                clauses.push(index);
                continue;
            }
            match *terms {
                [(value, mask)] if constrain(&mut match_, field, value, mask) => {}
                _ => return Ok(()),
            }
        }
        let context = Context::of(&match_);
        let settled = match_.iter().all(|(field, ..)| context.allows(field));
        let mut base = Base { match_, context, settled };
        if clauses.len() < 2 {
            match clauses.first() {
                None => self.add(sent(base.match_), None),
                Some(&any) => {
                    self.disjunction(&base, any, None);
                }
            }
            return Ok(());
        }
        let n_clauses = u8::try_from(clauses.len()).map_err(|_| TooManyClauses)?;
        self.matches.n_conjunctions += 1;
        let id = self.matches.n_conjunctions;
        for (clause, any) in (0..n_clauses).zip(&clauses) {
            if !self.disjunction(&base, *any, Some(Conjunction { id, clause, n_clauses })) {
                return Ok(());
            }
        }
        base.match_.set(Field::CONJ_ID, u128::from(id));
        self.add(sent(base.match_), None);
        Ok(())
    }

    /// A factor's field and what it may be; `None` if no field is behind the symbol.
    fn resolve(&mut self, index: u32) -> Option<Resolved> {
        if let Some(Some(resolved)) = self.resolved.get(index as usize) {
            return Some(resolved.clone());
        }
        let factor = self.factors.get(index as usize)?;
        let field = factor.symbol.field()?;
        let (any, operands) = match &factor.test {
            Test::Is(operand) => (false, std::slice::from_ref(operand)),
            Test::Any(operands) => (true, &operands[..]),
        };
        let terms = operands.iter().filter_map(|operand| match operand {
            Operand::String(name) => (self.port_key)(name).map(|key| (u128::from(key), field.all_ones())),
            Operand::Numeric { value, mask, .. } => Some((*value, *mask)),
        });
        let resolved = Resolved { field, any, terms: terms.collect() };
        if let Some(place) = self.resolved.get_mut(index as usize) {
            *place = Some(resolved.clone());
        }
        Some(resolved)
    }

    /// Adds a match for each term. Returns whether there was any.
    fn disjunction(&mut self, base: &Base, index: u32, clause: Option<Conjunction>) -> bool {
        let Some(Resolved { field, terms, .. }) = self.resolve(index) else { return false };
        // Most often the term is simply one more field, and nothing that the others depend on.
        let simple = base.settled
            && !Context::depends_on(field)
            && base.context.allows(field)
            && base.match_.get(field).is_none();
        self.matches.flows.reserve(terms.len());
        let mut found = false;
        for &(value, mask) in &*terms {
            let mut match_ = base.match_.clone();
            if simple && (mask == field.all_ones() || field.is_maskable()) {
                match_.set_masked(field, value, mask);
            } else if constrain(&mut match_, field, value, mask) {
                match_ = sent(match_);
            } else {
                continue;
            }
            self.add(match_, clause);
            found = true;
        }
        found
    }

    /// Where the flow with an equal match is. If there is none, the next one pushed has to be one with this match.
    fn find(&mut self, match_: &Match) -> Option<usize> {
        let flows = &self.matches.flows;
        if flows.len() < MIN_INDEXED {
            return flows.iter().position(|flow| flow.match_ == *match_);
        }
        let rehash = |i: &u32| flows.get(*i as usize).map_or(0, |flow| hash(&flow.match_));
        if self.index.is_empty() {
            self.index.reserve(flows.capacity(), rehash);
            for i in 0..flows.len() as u32 {
                self.index.insert_unique(rehash(&i), i, rehash);
            }
        }
        let same = |i: &u32| flows.get(*i as usize).is_some_and(|flow| flow.match_ == *match_);
        match self.index.entry(hash(match_), same, rehash) {
            Entry::Occupied(entry) => Some(*entry.get() as usize),
            Entry::Vacant(entry) => {
                entry.insert(flows.len() as u32);
                None
            }
        }
    }

    /// Adds a match, or merges it with an equal one: plain prevails over conjunctive, and clauses add up.
    fn add(&mut self, match_: Match, clause: Option<Conjunction>) {
        if let Some(at) = self.find(&match_) {
            let Some(existing) = self.matches.flows.get_mut(at) else { return };
            match clause {
                Some(clause) if !existing.conjunctions.is_empty() => existing.conjunctions.push(clause),
                _ => existing.conjunctions.clear(),
            }
            return;
        }
        let conjunctions = clause.into_iter().collect();
        self.matches.flows.push(MatchFlow { match_, conjunctions });
    }
}

fn hash(match_: &Match) -> u64 {
    rustc_hash::FxBuildHasher.hash_one(match_.as_bytes())
}

/// Narrows `match_` down. Returns whether it can still match anything.
fn constrain(match_: &mut Match, field: Field, value: u128, mask: u128) -> bool {
    if !field.is_maskable() && mask != field.all_ones() {
        return true;
    }
    // Two symbols may be about the same field, such as `inport` and `__inport`, or `arp.op` and `rarp.op`.
    match match_.get(field) {
        Some((old, old_mask)) if (old ^ value) & old_mask & mask != 0 => false,
        Some((old, old_mask)) => {
            match_.set_masked(field, old | value, old_mask | mask);
            true
        }
        None => {
            match_.set_masked(field, value, mask);
            true
        }
    }
}
