//! Multiplying out: the conjunctions that a tree of AND and OR amounts to. Entry: [`Product::of`].
//!
//! The work of `expr_normalize_and` (OVN v26.03.1) with its results in its order. OVN copies, sorts and reduces the whole
//! conjunction for every combination of members of its disjunctions. Here everything that is about one symbol is an [`Atom`],
//! made once and known by a number; a conjunction is a short list of numbers, one for each symbol and in the order of the
//! symbols' names, so adding a member to it is merging two sorted lists. What several atoms over one symbol come to is computed
//! once for each combination. A contradiction ends the combination on the spot.

use super::budget::{Budget, Limits, TooComplex};
use super::crush::{Part, crush_and, lone};
use super::normalize::{End, Factor, Normalized, Test};
use super::{Expr, Operand, Relop};
use crate::symbols::Symbol;
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

/// Steps that a flow costs later on: its match is built, looked up and installed.
const STEPS_PER_FLOW: usize = 8;

/// Number of an [`Atom`].
type AtomId = u32;

/// Number of a [`Choice`].
type ChoiceId = u32;

/// A test of one symbol, or part of one that is not reduced yet.
struct Atom {
    symbol: &'static Symbol,
    part: Part,
    /// For a disjunction that had to be multiplied out: the atoms of its terms.
    terms: Option<Box<[AtomId]>>,
    /// OpenFlow cannot express the test, and Open vSwitch ignores it then.
    ignored: bool,
}

/// An atom in a conjunction. Conjunctions are sorted by `rank`, which follows the names of the symbols.
#[derive(Clone, Copy)]
struct Slot {
    rank: u32,
    atom: AtomId,
}

type Slots = SmallVec<[Slot; 16]>;
type Choices = SmallVec<[ChoiceId; 8]>;

/// A disjunction over several symbols.
struct Choice {
    /// Number of members as written, which decides what is multiplied out first.
    n: usize,
    members: Vec<Member>,
}

/// A conjunction of parts that are not reduced yet. Those that contain a contradiction in themselves are left out.
struct Member {
    slots: Slots,
    choices: Choices,
}

/// What several atoms over one symbol come to.
#[derive(Clone, Copy)]
enum Outcome {
    True,
    False,
    Atom(AtomId),
}

/// The state of multiplying one expression out.
pub(super) struct Product {
    budget: Budget,
    /// Symbols in the order of their names.
    symbols: Vec<&'static Symbol>,
    atoms: Vec<Atom>,
    choices: Vec<Choice>,
    /// Conjunctions of atoms that have been computed.
    pairs: FxHashMap<(AtomId, AtomId), Outcome>,
    groups: FxHashMap<SmallVec<[AtomId; 4]>, Outcome>,
    /// Atoms of comparisons with a number, which products arrive at in many ways.
    numbers: FxHashMap<(u32, u128, u128), AtomId>,
    indices: Vec<u32>,
    ends: Vec<End>,
    /// The alternatives that have at most one disjunction, less the tests that are ignored.
    plain: FxHashSet<SmallVec<[AtomId; 16]>>,
}

impl Product {
    /// Normalises `expr`.
    pub(super) fn of(expr: &Expr, limits: Limits) -> Result<Normalized, TooComplex> {
        let mut symbols = Vec::new();
        let justified = collect_symbols(expr, &mut symbols);
        symbols.sort_by_key(|symbol| symbol.name);
        let mut product = Product {
            budget: Budget::new(limits, justified),
            symbols,
            atoms: Vec::new(),
            choices: Vec::new(),
            pairs: FxHashMap::default(),
            groups: FxHashMap::default(),
            numbers: FxHashMap::default(),
            indices: Vec::new(),
            ends: Vec::new(),
            plain: FxHashSet::default(),
        };
        let members = match expr {
            Expr::Or(members) => members.as_slice(),
            other => std::slice::from_ref(other),
        };
        for member in members {
            if product.alternative(member)? {
                // One alternative is true, hence all of it.
                return Ok(Normalized::always(product.budget.used()));
            }
        }
        Ok(product.finish())
    }

    fn finish(self) -> Normalized {
        let Product { mut atoms, indices, ends, budget, .. } = self;
        let factor = |id: AtomId| {
            let atom = atoms.get_mut(id as usize)?;
            let Part::Any(mut terms) = std::mem::replace(&mut atom.part, Part::True) else { return None };
            let test = if terms.len() == 1 { Test::Is(terms.pop()?) } else { Test::Any(terms.into_boxed_slice()) };
            Some(Factor { symbol: atom.symbol, test })
        };
        Normalized::assemble(factor, indices, ends, budget.used())
    }

    /// Adds the alternatives that a member of the top-level disjunction amounts to. Returns whether one of them is true.
    fn alternative(&mut self, expr: &Expr) -> Result<bool, TooComplex> {
        let Some(member) = self.member(expr)? else { return Ok(false) };
        match self.merge(&[], &member.slots)? {
            Some(slots) => self.multiply(&slots, &member.choices),
            None => Ok(false),
        }
    }

    /// The parts of a conjunction; `None` if it is false.
    fn member(&mut self, expr: &Expr) -> Result<Option<Member>, TooComplex> {
        let mut member = Member { slots: Slots::new(), choices: Choices::new() };
        let factors = match expr {
            Expr::And(factors) => factors.as_slice(),
            other => std::slice::from_ref(other),
        };
        for factor in factors {
            if !self.factor(factor, &mut member)? {
                return Ok(None);
            }
        }
        // Stable, as the order among parts of one symbol decides what tags a result has.
        member.slots.sort_by_key(|slot| slot.rank);
        let n = |choice: &ChoiceId| self.choices.get(*choice as usize).map_or(0, |choice| choice.n);
        member.choices.sort_by_key(n);
        Ok(Some(member))
    }

    /// Adds `factor` to `member`. Returns whether the result can be true.
    fn factor(&mut self, factor: &Expr, member: &mut Member) -> Result<bool, TooComplex> {
        match (factor, factor.unique_symbol()) {
            (Expr::Boolean(value), _) => return Ok(*value),
            (Expr::Condition { negated, .. }, _) => return Ok(*negated),
            (_, Some(symbol)) => match Part::of(factor, symbol, &mut self.budget)? {
                Part::True => {}
                Part::Any(terms) if terms.is_empty() => return Ok(false),
                part => {
                    let rank = self.rank(symbol);
                    member.slots.push(Slot { rank, atom: self.atom(rank, symbol, part) });
                }
            },
            (Expr::Or(members), None) => {
                let mut choice = Choice { n: members.len(), members: Vec::with_capacity(members.len()) };
                for member in members {
                    choice.members.extend(self.member(member)?);
                }
                member.choices.push(self.choices.len() as u32);
                self.choices.push(choice);
            }
            (_, None) => {
                // Not in an expression that has been put together properly, but it means the same.
                let Expr::And(factors) = factor else { return Ok(true) };
                for factor in factors {
                    if !self.factor(factor, member)? {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    fn rank(&self, symbol: &'static Symbol) -> u32 {
        self.symbols.iter().position(|s| std::ptr::eq(*s, symbol)).unwrap_or(self.symbols.len()) as u32
    }

    fn atom(&mut self, rank: u32, symbol: &'static Symbol, part: Part) -> AtomId {
        let next = self.atoms.len() as u32;
        let id = match part.terms() {
            Some(&[Operand::Numeric { value, mask, from_set: false }]) => {
                *self.numbers.entry((rank, value, mask)).or_insert(next)
            }
            _ => next,
        };
        if id == next {
            let ignored = match (part.terms(), symbol.field()) {
                (Some(&[Operand::Numeric { mask, .. }]), Some(field)) => {
                    !field.is_maskable() && mask != field.all_ones()
                }
                _ => false,
            };
            self.atoms.push(Atom { symbol, part, terms: None, ignored });
        }
        id
    }

    /// The conjunction of `slots`, which are reduced, and `more`, which are not. `None` if they contradict each other.
    fn merge(&mut self, slots: &[Slot], more: &[Slot]) -> Result<Option<Slots>, TooComplex> {
        self.budget.spend(2 + slots.len() / 4 + more.len())?;
        let mut out = Slots::new();
        let (mut slots, mut more) = (slots.iter().copied().peekable(), more.iter().copied().peekable());
        loop {
            let Some(new) = more.peek().copied() else {
                out.extend(slots);
                return Ok(Some(out));
            };
            while let Some(slot) = slots.next_if(|slot| slot.rank < new.rank) {
                out.push(slot);
            }
            let mut group: SmallVec<[AtomId; 4]> = SmallVec::new();
            group.extend(slots.next_if(|slot| slot.rank == new.rank).map(|slot| slot.atom));
            while let Some(slot) = more.next_if(|slot| slot.rank == new.rank) {
                group.push(slot.atom);
            }
            match self.conjunction(new.rank, group)? {
                Outcome::True => {}
                Outcome::False => return Ok(None),
                Outcome::Atom(atom) => out.push(Slot { rank: new.rank, atom }),
            }
        }
    }

    /// What `group`, atoms over the symbol of `rank`, comes to.
    fn conjunction(&mut self, rank: u32, group: SmallVec<[AtomId; 4]>) -> Result<Outcome, TooComplex> {
        let known = match *group.as_slice() {
            [one] if !matches!(self.part(one), Some(Part::Not { .. })) => return Ok(Outcome::Atom(one)),
            [a, b] => self.pairs.get(&(a, b)),
            _ => self.groups.get(&group),
        };
        if let Some(outcome) = known {
            return Ok(*outcome);
        }
        let Some(symbol) = self.symbols.get(rank as usize).copied() else { return Ok(Outcome::True) };
        let mut parts: Vec<Part> = group.iter().filter_map(|id| self.part(*id)).cloned().collect();
        self.budget.spend(8)?;
        let terms = match parts.len() {
            1 => lone(parts.remove(0), symbol, &mut self.budget)?,
            _ => crush_and(parts, symbol, &mut self.budget)?,
        };
        let outcome = match terms {
            None => Outcome::True,
            Some(terms) if terms.is_empty() => Outcome::False,
            Some(terms) => Outcome::Atom(self.atom(rank, symbol, Part::Any(terms))),
        };
        match *group.as_slice() {
            [a, b] => self.pairs.insert((a, b), outcome),
            _ => self.groups.insert(group, outcome),
        };
        Ok(outcome)
    }

    fn part(&self, id: AtomId) -> Option<&Part> {
        self.atoms.get(id as usize).map(|atom| &atom.part)
    }

    fn n_terms(&self, id: AtomId) -> usize {
        self.part(id).and_then(Part::terms).map_or(0, <[_]>::len)
    }

    /// Adds the alternatives of the conjunction of `slots` and `choices`. Returns whether it is true.
    fn multiply(&mut self, slots: &[Slot], choices: &[ChoiceId]) -> Result<bool, TooComplex> {
        if slots.is_empty() && choices.is_empty() {
            return Ok(true);
        }
        // What is about one symbol altogether needs no product.
        let single = slots.len() == 1 && choices.is_empty();
        let must = |slot: &Slot| {
            let symbol = self.symbols.get(slot.rank as usize);
            symbol.is_some_and(|symbol| symbol.must_crossproduct) && self.n_terms(slot.atom) > 1
        };
        if let Some(at) = slots.iter().position(must).filter(|_| !single) {
            return self.distribute(slots, at, choices);
        }
        let Some((&choice, rest)) = choices.split_first() else {
            self.emit(slots)?;
            return Ok(false);
        };
        // A member's own disjunctions come before others with as many members.
        let n = |product: &Product, id: ChoiceId| {
            product.choices.get(id as usize).map_or((0, 0), |c| (c.n, c.members.len()))
        };
        for i in 0..n(self, choice).1 {
            let Some(member) = self.choices.get(choice as usize).and_then(|choice| choice.members.get(i)) else {
                break;
            };
            let (more, own) = (member.slots.clone(), member.choices.clone());
            let Some(slots) = self.merge(slots, &more)? else { continue };
            let mut all = Choices::from_slice(rest);
            for id in own.iter().rev() {
                let at = all.iter().position(|other| n(self, *other).0 >= n(self, *id).0).unwrap_or(all.len());
                all.insert(at, *id);
            }
            if self.multiply(&slots, &all)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// One conjunction for each term of the disjunction at `at`, which cannot become a clause of an OpenFlow conjunction.
    fn distribute(&mut self, slots: &[Slot], at: usize, choices: &[ChoiceId]) -> Result<bool, TooComplex> {
        let Some(&Slot { rank, atom }) = slots.get(at) else { return Ok(false) };
        for term in self.term_atoms(rank, atom) {
            self.budget.spend(1 + slots.len() / 4)?;
            let mut slots = Slots::from_slice(slots);
            if let Some(slot) = slots.get_mut(at) {
                slot.atom = term;
            }
            if self.multiply(&slots, choices)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn term_atoms(&mut self, rank: u32, id: AtomId) -> Box<[AtomId]> {
        let Some(atom) = self.atoms.get(id as usize) else { return Box::default() };
        if let Some(terms) = &atom.terms {
            return terms.clone();
        }
        let symbol = atom.symbol;
        let terms = atom.part.terms().unwrap_or_default().to_vec();
        let ids: Box<[AtomId]> = terms.into_iter().map(|term| self.atom(rank, symbol, Part::Any(vec![term]))).collect();
        if let Some(atom) = self.atoms.get_mut(id as usize) {
            atom.terms = Some(ids.clone());
        }
        ids
    }

    /// Adds the conjunction of `slots` as an alternative.
    fn emit(&mut self, slots: &[Slot]) -> Result<(), TooComplex> {
        self.budget.spend(2 + slots.len())?;
        let clauses = slots.iter().map(|slot| self.n_terms(slot.atom)).filter(|n| *n > 1);
        let (n_clauses, terms) = clauses.fold((0, 0), |(n, terms), clause| (n + 1, terms + clause));
        let mut again = false;
        if n_clauses < 2 {
            // Conjunctions get an id each, but of flows with one match there is only one.
            let counts = |slot: &&Slot| self.atoms.get(slot.atom as usize).is_some_and(|atom| !atom.ignored);
            let key = slots.iter().filter(counts).map(|slot| slot.atom).collect();
            again = !self.plain.insert(key);
        }
        if !again {
            self.budget.spend((1 + terms).saturating_mul(STEPS_PER_FLOW))?;
        }
        self.indices.extend(slots.iter().map(|slot| slot.atom));
        self.ends.push(End { end: self.indices.len() as u32, again });
        Ok(())
    }
}

/// Steps that a comparison justifies, and that each bit of an inequality justifies in addition, as it takes a term for each.
const STEPS_PER_COMPARISON: usize = 32;
const STEPS_PER_BIT: usize = 10;

/// Collects the symbols that occur, and returns how many steps the expression's size justifies.
fn collect_symbols(expr: &Expr, symbols: &mut Vec<&'static Symbol>) -> usize {
    match expr {
        Expr::And(members) | Expr::Or(members) => members.iter().map(|m| collect_symbols(m, symbols)).sum(),
        Expr::Cmp(cmp) => {
            // Long lists are about one symbol.
            if !symbols.iter().rev().any(|symbol| std::ptr::eq(*symbol, cmp.symbol)) {
                symbols.push(cmp.symbol);
            }
            match (cmp.relop, &cmp.operand) {
                (Relop::Ne, Operand::Numeric { mask, .. }) => {
                    STEPS_PER_COMPARISON + STEPS_PER_BIT * mask.count_ones() as usize
                }
                _ => STEPS_PER_COMPARISON,
            }
        }
        Expr::Boolean(_) | Expr::Condition { .. } => 0,
    }
}
