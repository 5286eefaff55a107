//! Prerequisites, predicates and subfields. Entry: [`Expr::annotate`].

use super::{Cmp, Expr, Operand, Relop};
use crate::symbols::SymbolKind;

impl Expr {
    /// Makes an expression over whole fields only: each comparison gets the prerequisites of its symbol, predicates are replaced
    /// by their expansions, subfields by masked comparisons of their parents.
    ///
    /// If all of an AND or OR is over one symbol, the prerequisites are added once around it. It cannot fail, since the symbol
    /// table holds prerequisites and expansions in annotated form already.
    pub fn annotate(self) -> Expr {
        annotate(self, true)
    }
}

fn annotate(expr: Expr, mut with_prereqs: bool) -> Expr {
    let mut prereqs = None;
    if with_prereqs
        && matches!(expr, Expr::And(_) | Expr::Or(_))
        && let Some(symbol) = expr.unique_symbol()
    {
        with_prereqs = false;
        prereqs = symbol.prereqs.clone();
    }
    let annotated = match expr {
        Expr::Cmp(cmp) => annotate_cmp(cmp, with_prereqs),
        Expr::And(members) => Expr::And(flat_map(members, |m| match annotate(m, with_prereqs) {
            Expr::And(inner) => Ok(inner),
            other => Err(other),
        })),
        Expr::Or(members) => Expr::Or(flat_map(members, |m| match annotate(m, with_prereqs) {
            Expr::Or(inner) => Ok(inner),
            other => Err(other),
        })),
        other => other,
    };
    match prereqs {
        Some(prereqs) => annotated.and(prereqs),
        None => annotated,
    }
}

/// Maps each member to one expression (`Err`) or to several (`Ok`).
pub(super) fn flat_map(members: Vec<Expr>, mut f: impl FnMut(Expr) -> Result<Vec<Expr>, Expr>) -> Vec<Expr> {
    let mut out = Vec::with_capacity(members.len());
    for member in members {
        match f(member) {
            Ok(mut several) => out.append(&mut several),
            Err(one) => out.push(one),
        }
    }
    out
}

fn annotate_cmp(mut cmp: Cmp, with_prereqs: bool) -> Expr {
    let symbol = cmp.symbol;
    let expr = match &symbol.kind {
        SymbolKind::Subfield { .. } => {
            while let Some((parent, ofs)) = cmp.symbol.parent() {
                cmp.symbol = parent;
                if let Operand::Numeric { value, mask, .. } = &mut cmp.operand {
                    *value <<= ofs;
                    *mask <<= ofs;
                }
            }
            Expr::Cmp(cmp)
        }
        SymbolKind::Predicate(expansion) => {
            let one = matches!(cmp.operand, Operand::Numeric { value, .. } if value & 1 == 1);
            let positive = one ^ (cmp.relop == Relop::Ne);
            if positive { expansion.clone() } else { expansion.clone().negate() }
        }
        _ => Expr::Cmp(cmp),
    };
    match &symbol.prereqs {
        Some(prereqs) if with_prereqs => expr.and(prereqs.clone()),
        _ => expr,
    }
}
