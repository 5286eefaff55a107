//! Reduction to tests for equality, and evaluation of conditions. Entries: [`Expr::simplify`], [`Expr::evaluate`].

use super::annotate::flat_map;
use super::{Cmp, Expr, Operand, Relop, bit_run};
use crate::symbols::Symbol;

/// How many `!=` of one conjunction are spelt out.
const MAX_EXPANDED_INEQUALITIES: usize = 16;

impl Expr {
    /// Replaces every numeric comparison by tests for (masked) equality, as OVN v26.03 does: `!=` and the ordering operators
    /// become disjoint prefix-style terms. Long conjunctions of `!=` are left to normalisation, which deals with them as a whole;
    /// spelt out they would take as many terms as the field has bits, each.
    pub fn simplify(self) -> Expr {
        match self {
            Expr::Cmp(cmp) => simplify_cmp(cmp),
            Expr::And(members) => {
                let keep = members.iter().filter(|m| is_inequality(m)).count() > MAX_EXPANDED_INEQUALITIES;
                fold(members, true, |m| if keep && is_inequality(&m) { m } else { m.simplify() })
            }
            Expr::Or(members) => fold(members, false, Expr::simplify),
            other => other,
        }
    }

    /// Replaces each `is_chassis_resident()` by its value.
    pub fn evaluate(self, is_chassis_resident: &mut dyn FnMut(&str) -> bool) -> Expr {
        match self {
            Expr::Condition { port, negated } => Expr::Boolean(is_chassis_resident(&port) != negated),
            Expr::And(members) => fold(members, true, |m| m.evaluate(is_chassis_resident)),
            Expr::Or(members) => fold(members, false, |m| m.evaluate(is_chassis_resident)),
            other => other,
        }
    }

    /// Whether a condition occurs, so that the expression means different things at different times.
    pub fn has_conditions(&self) -> bool {
        match self {
            Expr::Condition { .. } => true,
            Expr::And(members) | Expr::Or(members) => members.iter().any(Expr::has_conditions),
            Expr::Boolean(_) | Expr::Cmp(_) => false,
        }
    }
}

/// Maps the members of an AND (`and`) or an OR, flattens, and removes Boolean constants. Every member is mapped even if an earlier
/// one decides the result, so that the caller's callback sees every condition.
fn fold(members: Vec<Expr>, and: bool, mut f: impl FnMut(Expr) -> Expr) -> Expr {
    let mut decided = false;
    let mut members = flat_map(members, |member| match (f(member), and) {
        (Expr::And(inner), true) | (Expr::Or(inner), false) => Ok(inner),
        (Expr::Boolean(b), _) => {
            decided |= b != and;
            Ok(Vec::new())
        }
        (other, _) => Err(other),
    });
    if decided {
        return Expr::Boolean(!and);
    }
    match members.len() {
        0 => Expr::Boolean(and),
        1 => members.pop().unwrap_or(Expr::Boolean(and)),
        _ if and => Expr::And(members),
        _ => Expr::Or(members),
    }
}

fn is_inequality(expr: &Expr) -> bool {
    matches!(expr, Expr::Cmp(Cmp { relop: Relop::Ne, operand: Operand::Numeric { .. }, .. }))
}

fn simplify_cmp(cmp: Cmp) -> Expr {
    let Operand::Numeric { value, mask, .. } = cmp.operand else {
        return Expr::Cmp(cmp);
    };
    match cmp.relop {
        Relop::Eq if mask == 0 => Expr::Boolean(true),
        Relop::Eq => Expr::Cmp(cmp),
        Relop::Ne => simplify_ne(cmp.symbol, value, mask),
        relop => simplify_ordering(cmp, relop, value, mask),
    }
}

fn equal(symbol: &'static Symbol, value: u128, mask: u128) -> Expr {
    let operand = Operand::Numeric { value: value & mask, mask, from_set: false };
    Expr::Cmp(Cmp { symbol, relop: Relop::Eq, operand })
}

fn any(mut terms: Vec<Expr>) -> Expr {
    match terms.len() {
        1 => terms.pop().unwrap_or(Expr::Boolean(false)),
        0 => Expr::Boolean(false),
        _ => Expr::Or(terms),
    }
}

/// `!= value`: for each bit of the mask, the values that agree in the higher bits and differ in this one.
fn simplify_ne(symbol: &'static Symbol, value: u128, mask: u128) -> Expr {
    let mut terms = Vec::with_capacity(mask.count_ones() as usize);
    let mut rest = mask;
    while rest != 0 {
        let bit = rest & rest.wrapping_neg();
        terms.push(equal(symbol, value ^ bit, rest));
        rest ^= bit;
    }
    any(terms)
}

fn simplify_ordering(cmp: Cmp, relop: Relop, value: u128, mask: u128) -> Expr {
    // The parser only lets unmasked constants through, so the mask is one run; were it not, no order would be defined.
    let Some(_) = bit_run(mask) else {
        return Expr::Boolean(matches!(relop, Relop::Le | Relop::Ge));
    };
    let symbol = cmp.symbol;
    let less = matches!(relop, Relop::Lt | Relop::Le);
    let inclusive = matches!(relop, Relop::Le | Relop::Ge);
    // Bits where a smaller (or greater) value can differ.
    let candidates = if less { value } else { !value & mask };
    if (if less { !value & mask } else { value }) == 0 {
        // Compared with the greatest (least) value there is.
        return if inclusive { Expr::Boolean(true) } else { simplify_ne(symbol, value, mask) };
    }
    let mut terms = Vec::with_capacity(candidates.count_ones() as usize + 1);
    if inclusive {
        terms.push(Expr::Cmp(Cmp { relop: Relop::Eq, ..cmp }));
    }
    let mut rest = candidates;
    while rest != 0 {
        let bit = rest & rest.wrapping_neg();
        terms.push(equal(symbol, value ^ bit, mask & !(bit - 1)));
        rest ^= bit;
    }
    any(terms)
}
