//! OpenFlow matches of a normalised expression. Entries: [`Normalized::to_matches`], [`Matches`].

use super::Operand;
use super::normalize::{Alternative, Disjunction, Factor, Limits, Normalized, TooComplex};
use super::sent::sent;
use crate::symbols::Symbol;
use ofproto_client::{Field, Match};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;

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

/// The member of an address set that a match stands for.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct AddressSetTag {
    /// Name of the set.
    pub name: Arc<str>,
    /// The value that the match has.
    pub value: u128,
    /// The mask that the match has.
    pub mask: u128,
}

/// One OpenFlow match.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchFlow {
    /// The match. It includes `conj_id` when this is the flow that a conjunction's completion triggers.
    pub match_: Match,
    /// The clauses that the match belongs to. When empty, the flow carries the logical flow's actions.
    pub conjunctions: SmallVec<[Conjunction; 1]>,
    /// Where the match comes from, for following changes of an address set.
    pub address_set: Option<AddressSetTag>,
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
        let is_string = |factor: &Factor| match factor {
            Factor::Cmp(symbol, _) => symbol.is_string(),
            Factor::Any(any) => any.symbol.is_string(),
        };
        self.alternatives.iter().any(|alternative| alternative.factors.iter().any(is_string))
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
    pub fn to_matches(
        &self,
        port_key: &mut dyn FnMut(&str) -> Option<u32>,
        limits: Limits,
    ) -> Result<Matches, TooComplex> {
        let mut builder =
            Builder { port_key, max: limits.max_terms, index: FxHashMap::default(), matches: Matches::default() };
        for alternative in &self.alternatives {
            builder.alternative(alternative)?;
        }
        Ok(builder.matches)
    }
}

/// From so many flows on, equal matches are looked up in a hash table.
const MIN_INDEXED: usize = 12;

struct Builder<'a> {
    port_key: &'a mut dyn FnMut(&str) -> Option<u32>,
    max: usize,
    /// Where each match is in `matches.flows`, once they are more than a few.
    index: FxHashMap<Match, u32>,
    matches: Matches,
}

impl Builder<'_> {
    fn alternative(&mut self, alternative: &Alternative) -> Result<(), TooComplex> {
        let mut base = Match::new();
        let mut clauses: SmallVec<[&Disjunction; 4]> = SmallVec::new();
        for factor in &alternative.factors {
            match factor {
                Factor::Cmp(symbol, operand) => {
                    if !self.constrain(&mut base, symbol, operand) {
                        return Ok(());
                    }
                }
                Factor::Any(any) => clauses.push(any),
            }
        }
        if clauses.len() < 2 {
            match clauses.first() {
                None => self.add(base, None, None)?,
                Some(any) => {
                    self.disjunction(&base, any, None)?;
                }
            }
            return Ok(());
        }
        let Ok(n_clauses) = u8::try_from(clauses.len()) else {
            return Err(TooComplex { max_terms: self.max });
        };
        self.matches.n_conjunctions += 1;
        let id = self.matches.n_conjunctions;
        for (clause, any) in (0..n_clauses).zip(&clauses) {
            if !self.disjunction(&base, any, Some(Conjunction { id, clause, n_clauses }))? {
                return Ok(());
            }
        }
        base.set(Field::CONJ_ID, u128::from(id));
        self.add(base, None, None)
    }

    /// Adds a match for each term. Returns whether there was any.
    fn disjunction(
        &mut self,
        base: &Match,
        any: &Disjunction,
        clause: Option<Conjunction>,
    ) -> Result<bool, TooComplex> {
        let mut found = false;
        for term in &any.terms {
            let mut match_ = base.clone();
            if !self.constrain(&mut match_, any.symbol, term) {
                continue;
            }
            let tag = match term {
                Operand::Numeric { value, mask, set: Some(name) } => {
                    Some(AddressSetTag { name: name.clone(), value: *value, mask: *mask })
                }
                _ => None,
            };
            self.add(match_, clause, tag)?;
            found = true;
        }
        Ok(found)
    }

    /// Narrows `match_` down. Returns whether it can still match anything.
    fn constrain(&mut self, match_: &mut Match, symbol: &Symbol, operand: &Operand) -> bool {
        let Some(field) = symbol.field() else { return false };
        let (value, mask) = match operand {
            Operand::String(name) => match (self.port_key)(name) {
                Some(key) => (u128::from(key), field.all_ones()),
                None => return false,
            },
            Operand::Numeric { value, mask, .. } => (*value, *mask),
        };
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

    /// The flow with an equal match.
    fn find(&mut self, match_: &Match) -> Option<&mut MatchFlow> {
        let flows = &mut self.matches.flows;
        if flows.len() < MIN_INDEXED {
            return flows.iter_mut().find(|flow| flow.match_ == *match_);
        }
        if self.index.is_empty() {
            self.index.extend(flows.iter().zip(0..).map(|(flow, i)| (flow.match_.clone(), i)));
        }
        flows.get_mut(*self.index.get(match_)? as usize)
    }

    /// Adds a match, or merges it with an equal one: plain prevails over conjunctive, and clauses add up.
    fn add(
        &mut self,
        match_: Match,
        clause: Option<Conjunction>,
        tag: Option<AddressSetTag>,
    ) -> Result<(), TooComplex> {
        let match_ = sent(match_);
        if let Some(existing) = self.find(&match_) {
            match clause {
                Some(clause) if !existing.conjunctions.is_empty() => existing.conjunctions.push(clause),
                _ => existing.conjunctions.clear(),
            }
            existing.address_set = None;
            return Ok(());
        }
        if self.matches.flows.len() >= self.max {
            return Err(TooComplex { max_terms: self.max });
        }
        if !self.index.is_empty() {
            self.index.insert(match_.clone(), self.matches.flows.len() as u32);
        }
        let conjunctions = clause.into_iter().collect();
        self.matches.flows.push(MatchFlow { match_, conjunctions, address_set: tag });
        Ok(())
    }
}
