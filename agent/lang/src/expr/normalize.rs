//! Normalisation to a disjunction of conjunctions whose factors are about one symbol each, which is what OpenFlow with
//! conjunctive matches can express. Entries: [`Expr::normalize`], [`Normalized`].

use super::budget::{Limits, TooComplex};
use super::product::Product;
use super::{Cmp, Expr, Operand, Relop};
use crate::symbols::Symbol;
use std::fmt;

/// What a factor demands of its symbol.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// It equals the operand.
    Is(Operand),
    /// It equals one of several operands, at least two and all different.
    Any(Box<[Operand]>),
}

/// One factor of an alternative.
#[derive(Clone, Debug, PartialEq)]
pub struct Factor {
    /// The symbol.
    pub symbol: &'static Symbol,
    /// What is demanded of it.
    pub test: Test,
}

/// The end of an alternative in the list of factors.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct End {
    pub(super) end: u32,
    /// An earlier alternative gives the same matches.
    pub(super) again: bool,
}

/// A disjunction of alternatives, which are conjunctions of factors over one symbol each. Without alternatives it is false.
///
/// Every factor is kept once, since products repeat the same few factors over and over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Normalized {
    /// The factors that occur.
    factors: Vec<Factor>,
    /// The factors of all alternatives, one after the other, as indices into `factors`.
    indices: Vec<u32>,
    /// Where each alternative ends in `indices`.
    ends: Vec<End>,
    /// How many steps it took to get here.
    steps: usize,
}

impl Expr {
    /// Normalises a simplified expression whose conditions have been evaluated; a condition that is left counts as
    /// "not resident". Produces what `expr_normalize` (OVN v26.03.1) does, in the same order.
    pub fn normalize(&self, limits: Limits) -> Result<Normalized, TooComplex> {
        Product::of(self, limits)
    }
}

impl Normalized {
    /// The one that is true.
    pub(super) fn always(steps: usize) -> Normalized {
        Normalized { ends: vec![End { end: 0, again: false }], steps, ..Normalized::default() }
    }

    /// Puts `indices`, cut at `ends`, together with those of `factors` that occur in it.
    pub(super) fn assemble(
        mut factor: impl FnMut(u32) -> Option<Factor>,
        mut indices: Vec<u32>,
        ends: Vec<End>,
        steps: usize,
    ) -> Normalized {
        let mut known = rustc_hash::FxHashMap::default();
        let mut factors = Vec::new();
        for index in &mut indices {
            *index = *known.entry(*index).or_insert_with(|| {
                factors.extend(factor(*index));
                factors.len().saturating_sub(1) as u32
            });
        }
        Normalized { factors, indices, ends, steps }
    }

    /// The distinct factors.
    pub fn factors(&self) -> &[Factor] {
        &self.factors
    }

    /// The alternatives, each a list of indices of its factors. Without factors it is true. An alternative that consists of one
    /// [`Test::Any`] stands for one alternative for each of its operands.
    pub fn alternatives(&self) -> impl Iterator<Item = &[u32]> {
        self.marked_alternatives().map(|(alternative, _)| alternative)
    }

    /// The alternatives, and whether an earlier one gives the same matches.
    pub(super) fn marked_alternatives(&self) -> impl Iterator<Item = (&[u32], bool)> {
        let mut start = 0;
        self.ends.iter().map(move |&End { end, again }| {
            let alternative = self.indices.get(start..end as usize).unwrap_or_default();
            start = end as usize;
            (alternative, again)
        })
    }

    /// How much work normalisation was; see [`Limits`].
    pub fn steps(&self) -> usize {
        self.steps
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cmp = |operand: &Operand| Cmp { symbol: self.symbol, relop: Relop::Eq, operand: operand.clone() };
        match &self.test {
            Test::Is(operand) => write!(f, "{}", cmp(operand)),
            Test::Any(operands) => {
                for (i, operand) in operands.iter().enumerate() {
                    write!(f, "{}{}", if i > 0 { " || " } else { "" }, cmp(operand))?;
                }
                Ok(())
            }
        }
    }
}

/// Prints what `expr_format` prints for the same normalised expression.
impl fmt::Display for Normalized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ends.is_empty() {
            return f.write_str("0");
        }
        for (i, alternative) in self.alternatives().enumerate() {
            let parentheses = self.ends.len() > 1 && alternative.len() > 1;
            write!(f, "{}{}", if i > 0 { " || " } else { "" }, if parentheses { "(" } else { "" })?;
            if alternative.is_empty() {
                f.write_str("1")?;
            }
            for (j, factor) in alternative.iter().filter_map(|&i| self.factors.get(i as usize)).enumerate() {
                f.write_str(if j > 0 { " && " } else { "" })?;
                match factor.test {
                    Test::Any(_) if alternative.len() > 1 => write!(f, "({factor})")?,
                    _ => write!(f, "{factor}")?,
                }
            }
            f.write_str(if parentheses { ")" } else { "" })?;
        }
        Ok(())
    }
}
