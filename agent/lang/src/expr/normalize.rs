//! Normalisation to a disjunction of conjunctions whose factors are about one symbol each, which is what OpenFlow with
//! conjunctive matches can express. Entries: [`Expr::normalize`], [`Normalized`].

use super::crush::{Budget, Part, crush, crush_and};
use super::{Cmp, Expr, Operand, Relop};
use crate::symbols::Symbol;
use std::fmt;
use std::sync::Arc;

/// Bounds on the work that one expression may cause.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How many terms may be produced, intermediate ones included.
    pub max_terms: usize,
}

impl Default for Limits {
    /// A million terms: far more than an address set of ten thousand members needs, and still done in a second.
    fn default() -> Self {
        Limits { max_terms: 1 << 20 }
    }
}

/// An expression has no normal form of reasonable size.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expression is too complex: it expands to more than {max_terms} terms")]
pub struct TooComplex {
    /// The bound that was hit.
    pub max_terms: usize,
}

/// A disjunction of comparisons that are all about one symbol, without duplicates.
#[derive(Clone, Debug, PartialEq)]
pub struct Disjunction {
    /// The symbol.
    pub symbol: &'static Symbol,
    /// What it may be equal to; at least two.
    pub terms: Vec<Operand>,
}

/// One factor of an [`Alternative`].
#[derive(Clone, Debug, PartialEq)]
pub enum Factor {
    /// The symbol equals the operand.
    Cmp(&'static Symbol, Operand),
    /// The symbol equals one of several operands.
    Any(Arc<Disjunction>),
}

/// A conjunction of factors. Without factors it is true.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alternative {
    /// The factors, each over another symbol.
    pub factors: Vec<Factor>,
}

/// A disjunction of alternatives. Without alternatives it is false.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Normalized {
    /// The alternatives.
    pub alternatives: Vec<Alternative>,
}

impl Expr {
    /// Normalises a simplified expression whose conditions have been evaluated; a condition that is left counts as
    /// "not resident". Produces what `expr_normalize` (OVN v26.03.1) does.
    pub fn normalize(&self, limits: Limits) -> Result<Normalized, TooComplex> {
        let mut normalizer = Normalizer { budget: Budget::new(limits), out: Vec::new() };
        let members = match self {
            Expr::Or(members) => members.as_slice(),
            other => std::slice::from_ref(other),
        };
        for member in members {
            if normalizer.alternative(member)? {
                // One alternative is true, hence all of it.
                return Ok(Normalized { alternatives: vec![Alternative::default()] });
            }
        }
        Ok(Normalized { alternatives: normalizer.out })
    }
}

/// A factor in the making.
#[derive(Clone)]
struct Item<'e> {
    /// The symbol that the item is about, if it is only one.
    symbol: Option<&'static Symbol>,
    kind: Kind<'e>,
}

#[derive(Clone)]
enum Kind<'e> {
    /// Part of the input.
    Raw(&'e Expr),
    /// A crushed comparison.
    Cmp(Operand),
    /// A crushed disjunction.
    Any(Arc<Disjunction>),
}

impl<'e> Item<'e> {
    fn raw(expr: &'e Expr) -> Item<'e> {
        Item { symbol: expr.unique_symbol(), kind: Kind::Raw(expr) }
    }

    fn cmp(symbol: &'static Symbol, operand: Operand) -> Item<'e> {
        Item { symbol: Some(symbol), kind: Kind::Cmp(operand) }
    }

    /// Whether the item is a disjunction that cannot become a clause of an OpenFlow conjunction.
    fn must_distribute(&self) -> bool {
        match (self.symbol, &self.kind) {
            (Some(symbol), Kind::Any(_)) => symbol.must_crossproduct,
            (Some(_), _) => false,
            (None, _) => true,
        }
    }

    /// Items about one symbol come first, by name of the symbol, then disjunctions with few members before those with many.
    fn sort_key(&self) -> (bool, &'static str, usize) {
        match (self.symbol, &self.kind) {
            (Some(symbol), _) => (false, symbol.name, 0),
            (None, Kind::Raw(Expr::Or(members) | Expr::And(members))) => (true, "", members.len()),
            (None, _) => (true, "", 0),
        }
    }
}

struct Normalizer {
    budget: Budget,
    out: Vec<Alternative>,
}

impl Normalizer {
    /// Adds the alternatives that a member of the top-level disjunction amounts to. Returns whether one of them is true.
    fn alternative(&mut self, expr: &Expr) -> Result<bool, TooComplex> {
        match expr {
            Expr::Boolean(value) => Ok(*value),
            Expr::Condition { negated, .. } => Ok(*negated),
            Expr::And(members) => self.and(members.iter().map(Item::raw).collect()),
            other => self.and(vec![Item::raw(other)]),
        }
    }

    /// Adds the conjunction of crushed `items` as an alternative; a single disjunction becomes one alternative per term.
    fn emit(&mut self, mut items: Vec<Item<'_>>) -> Result<(), TooComplex> {
        self.budget.spend(1)?;
        if items.len() == 1
            && let Some(Item { kind: Kind::Any(any), .. }) = items.pop_if(|item| matches!(item.kind, Kind::Any(_)))
        {
            let one = |term: &Operand| Alternative { factors: vec![Factor::Cmp(any.symbol, term.clone())] };
            self.out.extend(any.terms.iter().map(one));
            return Ok(());
        }
        let factors = items.into_iter().filter_map(|item| match (item.kind, item.symbol) {
            (Kind::Cmp(operand), Some(symbol)) => Some(Factor::Cmp(symbol, operand)),
            (Kind::Any(any), _) => Some(Factor::Any(any)),
            _ => None,
        });
        self.out.push(Alternative { factors: factors.collect() });
        Ok(())
    }

    /// Adds the alternatives of the conjunction of `items`. Returns whether it is true.
    fn and<'e>(&mut self, mut items: Vec<Item<'e>>) -> Result<bool, TooComplex> {
        // The sort is stable, as the order among items of one symbol decides nothing that may differ from run to run.
        items.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
        let Some(items) = self.crush_groups(items)? else {
            return Ok(false);
        };
        if items.is_empty() {
            return Ok(true);
        }
        // What is about one symbol altogether needs no product.
        let single = items.len() == 1 && items.iter().all(|item| item.symbol.is_some());
        let index = items.iter().position(Item::must_distribute).filter(|_| !single);
        let Some((before, chosen, after)) =
            index.and_then(|i| Some((items.get(..i)?, items.get(i)?, items.get(i + 1..)?)))
        else {
            self.emit(items)?;
            return Ok(false);
        };
        // Multiply out: one conjunction for each member of the chosen disjunction.
        let mut product = |members: &mut dyn Iterator<Item = Item<'e>>| {
            let members = before.iter().cloned().chain(members).chain(after.iter().cloned()).collect::<Vec<_>>();
            self.budget.spend(members.len())?;
            self.and(members)
        };
        match &chosen.kind {
            Kind::Any(any) => {
                for term in &any.terms {
                    if product(&mut std::iter::once(Item::cmp(any.symbol, term.clone())))? {
                        return Ok(true);
                    }
                }
            }
            Kind::Raw(Expr::Or(members)) => {
                for member in members {
                    let factors = match member {
                        Expr::And(factors) => factors.as_slice(),
                        other => std::slice::from_ref(other),
                    };
                    if product(&mut factors.iter().map(Item::raw))? {
                        return Ok(true);
                    }
                }
            }
            _ => {}
        }
        Ok(false)
    }

    /// Makes one crushed item of all items about the same symbol. `None` if they contradict each other.
    fn crush_groups<'e>(&mut self, items: Vec<Item<'e>>) -> Result<Option<Vec<Item<'e>>>, TooComplex> {
        let mut out: Vec<Item<'e>> = Vec::with_capacity(items.len());
        let mut rest = items.into_iter().peekable();
        while let Some(item) = rest.next() {
            let Some(symbol) = item.symbol else {
                match item.kind {
                    Kind::Raw(Expr::Boolean(true)) | Kind::Raw(Expr::Condition { negated: true, .. }) => {}
                    Kind::Raw(Expr::Boolean(false) | Expr::Condition { .. }) => return Ok(None),
                    _ => out.push(item),
                }
                continue;
            };
            let same = |next: &Item<'_>| next.symbol.is_some_and(|s| std::ptr::eq(s, symbol));
            let crushed = if rest.peek().is_some_and(same) {
                let mut group = vec![self.part(item, symbol)?];
                while let Some(next) = rest.next_if(same) {
                    group.push(self.part(next, symbol)?);
                }
                crush_and(group, symbol, &mut self.budget)?
            } else if let Kind::Raw(Expr::Cmp(Cmp { relop: Relop::Eq, operand, .. })) = item.kind
                && !matches!(operand, Operand::Numeric { mask: 0, .. })
            {
                // Most factors are like this.
                out.push(Item::cmp(symbol, operand.clone()));
                continue;
            } else if let Kind::Raw(expr) = item.kind {
                crush(expr, symbol, &mut self.budget)?
            } else {
                out.push(item);
                continue;
            };
            let Some(mut terms) = crushed else { continue };
            match terms.len() {
                0 => return Ok(None),
                1 => out.extend(terms.pop().map(|term| Item::cmp(symbol, term))),
                _ => {
                    let any = Arc::new(Disjunction { symbol, terms });
                    out.push(Item { symbol: Some(symbol), kind: Kind::Any(any) });
                }
            }
        }
        Ok(Some(out))
    }

    fn part(&mut self, item: Item<'_>, symbol: &'static Symbol) -> Result<Part, TooComplex> {
        match item.kind {
            Kind::Raw(expr) => Part::of(expr, symbol, &mut self.budget),
            Kind::Cmp(operand) => Ok(Part::Any(vec![operand])),
            Kind::Any(any) => {
                self.budget.spend(any.terms.len())?;
                Ok(Part::Any(any.terms.clone()))
            }
        }
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cmp =
            |symbol: &&'static Symbol, operand: &Operand| Cmp { symbol, relop: Relop::Eq, operand: operand.clone() };
        match self {
            Factor::Cmp(symbol, operand) => write!(f, "{}", cmp(symbol, operand)),
            Factor::Any(any) => {
                for (i, term) in any.terms.iter().enumerate() {
                    write!(f, "{}{}", if i > 0 { " || " } else { "(" }, cmp(&any.symbol, term))?;
                }
                f.write_str(")")
            }
        }
    }
}

/// Prints what `expr_format` prints for the same normalised expression.
impl fmt::Display for Normalized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.alternatives.is_empty() {
            return f.write_str("0");
        }
        for (i, alternative) in self.alternatives.iter().enumerate() {
            let parentheses = self.alternatives.len() > 1 && alternative.factors.len() > 1;
            write!(f, "{}{}", if i > 0 { " || " } else { "" }, if parentheses { "(" } else { "" })?;
            if alternative.factors.is_empty() {
                f.write_str("1")?;
            }
            for (j, factor) in alternative.factors.iter().enumerate() {
                write!(f, "{}{factor}", if j > 0 { " && " } else { "" })?;
            }
            f.write_str(if parentheses { ")" } else { "" })?;
        }
        Ok(())
    }
}
