//! Match expressions: the tree, how it is combined and printed. Entry type: [`Expr`].
//!
//! `parse` reads the text, `annotate` adds prerequisites and resolves symbols, `simplify` leaves only `==`, `normalize` brings
//! the tree into the form that OpenFlow can express, `matches` makes OpenFlow matches of that.

mod annotate;
pub(crate) mod budget;
pub(crate) mod constants;
mod crush;
pub(crate) mod field;
pub(crate) mod matches;
pub(crate) mod normalize;
mod parse;
mod product;
mod sent;
mod simplify;

use crate::lexer::Hex;
use crate::quote;
use crate::symbols::{Level, Symbol};
use std::fmt;
use std::sync::Arc;

/// A relational operator.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum Relop {
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

impl Relop {
    /// The operator that says the same with the operands exchanged.
    pub(crate) fn turned(self) -> Relop {
        match self {
            Relop::Eq | Relop::Ne => self,
            Relop::Lt => Relop::Gt,
            Relop::Le => Relop::Ge,
            Relop::Gt => Relop::Lt,
            Relop::Ge => Relop::Le,
        }
    }

    /// The operator that is true exactly when this one is false.
    pub(crate) fn inverted(self) -> Relop {
        match self {
            Relop::Eq => Relop::Ne,
            Relop::Ne => Relop::Eq,
            Relop::Lt => Relop::Ge,
            Relop::Le => Relop::Gt,
            Relop::Gt => Relop::Le,
            Relop::Ge => Relop::Lt,
        }
    }
}

impl fmt::Display for Relop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Relop::Eq => "==",
            Relop::Ne => "!=",
            Relop::Lt => "<",
            Relop::Le => "<=",
            Relop::Gt => ">",
            Relop::Ge => ">=",
        })
    }
}

/// What a symbol is compared with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Operand {
    /// For numeric fields: only the bits in `mask` are compared. No 1-bit of `value` is outside `mask`.
    Numeric {
        /// The value, in place in the field.
        value: u128,
        /// The bits that count.
        mask: u128,
        /// Whether the constant is a member of an address set: such are kept though others imply them.
        from_set: bool,
    },
    /// For string fields.
    String(Arc<str>),
}

/// A comparison of a symbol with a constant.
#[derive(Clone, Debug, PartialEq)]
pub struct Cmp {
    /// The symbol on the left.
    pub symbol: &'static Symbol,
    /// The operator.
    pub relop: Relop,
    /// The constant on the right.
    pub operand: Operand,
}

/// A match expression.
///
/// `And` and `Or` have at least two members and no direct member of their own kind once they are complete; the functions here
/// keep it that way.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// True or false.
    Boolean(bool),
    /// A comparison.
    Cmp(Cmp),
    /// `is_chassis_resident("port")`, or that it is not.
    Condition {
        /// Name of the logical port.
        port: Arc<str>,
        /// Whether the condition is negated.
        negated: bool,
    },
    /// All members hold.
    And(Vec<Expr>),
    /// At least one member holds.
    Or(Vec<Expr>),
}

impl Expr {
    /// Both expressions hold. Members of nested conjunctions become members of the result.
    pub fn and(self, other: Expr) -> Expr {
        match (self, other) {
            (Expr::And(mut a), Expr::And(mut b)) => {
                a.append(&mut b);
                Expr::And(a)
            }
            (Expr::And(mut a), b) => {
                a.push(b);
                Expr::And(a)
            }
            (a, Expr::And(mut b)) => {
                b.insert(0, a);
                Expr::And(b)
            }
            (a, b) => Expr::And(vec![a, b]),
        }
    }

    /// At least one of the expressions holds. Members of nested disjunctions become members of the result.
    pub fn or(self, other: Expr) -> Expr {
        match (self, other) {
            (Expr::Or(mut a), Expr::Or(mut b)) => {
                a.append(&mut b);
                Expr::Or(a)
            }
            (Expr::Or(mut a), b) => {
                a.push(b);
                Expr::Or(a)
            }
            (a, Expr::Or(mut b)) => {
                b.insert(0, a);
                Expr::Or(b)
            }
            (a, b) => Expr::Or(vec![a, b]),
        }
    }

    /// The opposite expression, with the negation pushed down to comparisons, constants and conditions.
    pub fn negate(self) -> Expr {
        match self {
            Expr::Boolean(b) => Expr::Boolean(!b),
            Expr::Cmp(cmp) => Expr::Cmp(Cmp { relop: cmp.relop.inverted(), ..cmp }),
            Expr::Condition { port, negated } => Expr::Condition { port, negated: !negated },
            Expr::And(members) => Expr::Or(members.into_iter().map(Expr::negate).collect()),
            Expr::Or(members) => Expr::And(members.into_iter().map(Expr::negate).collect()),
        }
    }

    /// The level of measurement of a predicate that expands to this expression.
    pub(crate) fn level(&self) -> Level {
        match self {
            Expr::Cmp(cmp) if cmp.symbol.level == Level::Nominal => Level::Nominal,
            Expr::Cmp(_) | Expr::Boolean(_) | Expr::Condition { .. } => Level::Boolean,
            Expr::And(members) | Expr::Or(members) => members.iter().map(Expr::level).min().unwrap_or(Level::Ordinal),
        }
    }

    /// The one symbol that every comparison of the expression is about, if there is exactly one and nothing else occurs.
    pub(crate) fn unique_symbol(&self) -> Option<&'static Symbol> {
        match self {
            Expr::Cmp(cmp) => Some(cmp.symbol),
            Expr::And(members) | Expr::Or(members) => {
                let mut members = members.iter();
                let first = members.next()?.unique_symbol()?;
                members.all(|m| m.unique_symbol().is_some_and(|s| std::ptr::eq(s, first))).then_some(first)
            }
            Expr::Boolean(_) | Expr::Condition { .. } => None,
        }
    }

    /// What it comes to for every packet, if its constants alone decide: an empty set of ports equals no port.
    pub fn known(&self) -> Option<bool> {
        // A member that says `decisive` decides; the others must all be known.
        let joined = |members: &[Expr], decisive: bool| {
            let mut all_known = true;
            for member in members {
                match member.known() {
                    Some(known) if known == decisive => return Some(decisive),
                    Some(_) => {}
                    None => all_known = false,
                }
            }
            all_known.then_some(!decisive)
        };
        match self {
            Expr::Boolean(known) => Some(*known),
            Expr::Cmp(_) | Expr::Condition { .. } => None,
            Expr::And(members) => joined(members, false),
            Expr::Or(members) => joined(members, true),
        }
    }

    /// Bytes of memory that the expression takes, about.
    pub fn size(&self) -> usize {
        let own = size_of::<Expr>();
        match self {
            Expr::And(members) | Expr::Or(members) => own + members.iter().map(Expr::size).sum::<usize>(),
            Expr::Cmp(Cmp { operand: Operand::String(s), .. }) => own + s.len(),
            Expr::Condition { port, .. } => own + port.len(),
            Expr::Cmp(_) | Expr::Boolean(_) => own,
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Boolean(b) => f.write_str(if *b { "1" } else { "0" }),
            Expr::Cmp(cmp) => write!(f, "{cmp}"),
            Expr::Condition { port, negated } => {
                write!(f, "{}is_chassis_resident({})", if *negated { "!" } else { "" }, quote(port))
            }
            Expr::And(members) => fmt_members(f, members, " && "),
            Expr::Or(members) => fmt_members(f, members, " || "),
        }
    }
}

fn fmt_members(f: &mut fmt::Formatter<'_>, members: &[Expr], separator: &str) -> fmt::Result {
    for (i, member) in members.iter().enumerate() {
        if i > 0 {
            f.write_str(separator)?;
        }
        match member {
            Expr::And(_) | Expr::Or(_) => write!(f, "({member})")?,
            _ => write!(f, "{member}")?,
        }
    }
    Ok(())
}

/// The lowest bit and the length of the run of 1-bits in `mask`, if there is exactly one run.
pub(crate) fn bit_run(mask: u128) -> Option<(u32, u32)> {
    if mask == 0 {
        return None;
    }
    let start = mask.trailing_zeros();
    let n = (mask >> start).trailing_ones();
    (mask.count_ones() == n).then_some((start, n))
}

/// The mask of the low `n` bits.
pub(crate) fn low_bits(n: u32) -> u128 {
    if n >= 128 { u128::MAX } else { (1u128 << n) - 1 }
}

impl fmt::Display for Cmp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.symbol.name;
        let (value, mask) = match &self.operand {
            Operand::String(s) => return write!(f, "{name} {} {}", self.relop, quote(s)),
            Operand::Numeric { value, mask, .. } => (*value, *mask),
        };
        let width = u32::from(self.symbol.width);
        let equality = matches!(self.relop, Relop::Eq | Relop::Ne);
        match bit_run(mask) {
            Some((start, 1)) if equality => {
                let positive = (value >> start & 1 == 1) == (self.relop == Relop::Eq);
                write!(f, "{}{name}", if positive { "" } else { "!" })?;
                if width > 1 { write!(f, "[{start}]") } else { Ok(()) }
            }
            Some((start, n)) => {
                f.write_str(name)?;
                if n < width {
                    if n > 1 {
                        write!(f, "[{start}..{}]", start + n - 1)?;
                    } else {
                        write!(f, "[{start}]")?;
                    }
                }
                write!(f, " {} {}", self.relop, Hex(value >> start))
            }
            None => write!(f, "{name} {} {}/{}", self.relop, Hex(value), Hex(mask)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AddressSet, ConstantSets, SymbolTable};

    /// `@one` has a port, `@none` has not; the members of address sets are not known.
    struct Ports;

    impl ConstantSets for Ports {
        fn address_set(&self, _name: &str) -> Option<Arc<AddressSet>> {
            Some(Arc::new(AddressSet::placeholder()))
        }

        fn port_group(&self, name: &str) -> Option<Arc<[Arc<str>]>> {
            Some(if name == "one" { Arc::new([Arc::from("p")]) } else { Arc::default() })
        }
    }

    #[test]
    fn what_constants_alone_decide() {
        for (text, known) in [
            ("1", Some(true)),
            ("!1", Some(false)),
            ("outport == @none", Some(false)),
            ("!(outport != @none)", Some(false)),
            ("outport == @one", None),
            ("outport == {@none, @one}", None),
            ("outport == @none && ip4.src == $a", Some(false)),
            ("outport == @none && ip4.src == {$a, $b} && tcp.dst == {80, 443}", Some(false)),
            ("ip && (inport == @none || outport == @none)", Some(false)),
            ("outport == @none || ip4.dst == $a", None),
            ("outport == @none || 1", Some(true)),
            ("(outport == @none || ip) && eth.src == $a", None),
            ("outport == @none && is_chassis_resident(\"p\")", Some(false)),
            ("ip6.src == $a", None),
        ] {
            let expr =
                Expr::parse(text, SymbolTable::main(), &Ports).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            assert_eq!(expr.known(), known, "{text}");
        }
    }
}
