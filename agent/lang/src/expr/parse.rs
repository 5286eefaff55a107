//! The grammar of matches. Entry: [`Expr::parse`].

use super::{Cmp, Expr, Operand, Relop, low_bits};
use crate::lexer::{Integer, IntegerFormat, Lexer, Token};
use crate::symbols::{Level, SymbolTable};
use crate::{Constant, ConstantSet, ConstantSets, Error, FieldRef};
use std::sync::Arc;

/// How deep parentheses may nest (OVN's MAX_PAREN_DEPTH).
const MAX_PAREN_DEPTH: u32 = 100;

impl Expr {
    /// Parses a whole match. `sets` provides `$address_sets` and `@port_groups`.
    pub fn parse(text: &str, symbols: &SymbolTable, sets: &dyn ConstantSets) -> Result<Expr, Error> {
        let mut parser = Parser { lexer: Lexer::new(text), symbols, sets, negated: false, depth: 0 };
        let expr = parser.expr()?;
        parser.lexer.force_end()?;
        Ok(expr)
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    symbols: &'a SymbolTable,
    sets: &'a dyn ConstantSets,
    /// Whether the place is under an odd number of `!`.
    negated: bool,
    /// Open parentheses.
    depth: u32,
}

impl Parser<'_> {
    /// An error about what was parsed from byte `offset` on, unless the current token is a lexical error.
    fn error_at(&self, offset: usize, message: impl Into<String>) -> Error {
        match self.lexer.token() {
            Token::Error(_) => self.lexer.error(""),
            _ => Error::new(offset, message),
        }
    }

    fn relop(&self) -> Option<Relop> {
        Some(match self.lexer.token() {
            Token::Eq => Relop::Eq,
            Token::Ne => Relop::Ne,
            Token::Lt => Relop::Lt,
            Token::Le => Relop::Le,
            Token::Gt => Relop::Gt,
            Token::Ge => Relop::Ge,
            _ => return None,
        })
    }

    fn force_relop(&mut self) -> Result<Relop, Error> {
        let relop = self.relop().ok_or_else(|| self.lexer.syntax_error("expecting relational operator"))?;
        self.lexer.advance();
        Ok(relop)
    }

    /// Terms joined by `&&`, or by `||`, but not by both.
    fn expr(&mut self) -> Result<Expr, Error> {
        let first = self.not()?;
        let (operator, join): (_, fn(Expr, Expr) -> Expr) = match self.lexer.token() {
            Token::LogAnd => (Token::LogAnd, Expr::and),
            Token::LogOr => (Token::LogOr, Expr::or),
            _ => return Ok(first),
        };
        let mut expr = first;
        while self.lexer.match_token(&operator) {
            expr = join(expr, self.not()?);
        }
        if matches!(self.lexer.token(), Token::LogAnd | Token::LogOr) {
            return Err(self.lexer.error("&& and || must be parenthesized when used together."));
        }
        Ok(expr)
    }

    fn not(&mut self) -> Result<Expr, Error> {
        if !self.lexer.match_token(&Token::LogNot) {
            return Ok(self.primary()?.0);
        }
        let offset = self.lexer.offset();
        self.negated = !self.negated;
        let (expr, atomic) = self.primary()?;
        self.negated = !self.negated;
        if !atomic {
            return Err(self.error_at(offset, "Missing parentheses around operand of !."));
        }
        Ok(expr.negate())
    }

    /// A primary expression, and whether `!` may stand directly before it.
    fn primary(&mut self) -> Result<(Expr, bool), Error> {
        match self.lexer.token() {
            Token::LParen => {
                self.lexer.advance();
                if self.depth >= MAX_PAREN_DEPTH {
                    return Err(self.lexer.error("Parentheses nested too deeply."));
                }
                self.depth += 1;
                let expr = self.expr()?;
                self.depth -= 1;
                self.lexer.force_match(&Token::RParen)?;
                Ok((expr, true))
            }
            Token::Template(_) => Err(self.lexer.error("Unexpanded template.")),
            Token::Id(_) if self.lexer.lookahead() == Token::LParen => Ok((self.function()?, true)),
            Token::Id(_) => self.field_first(),
            _ => self.constant_first(),
        }
    }

    fn function(&mut self) -> Result<Expr, Error> {
        if !self.lexer.match_id("is_chassis_resident") {
            return Err(self.lexer.error("parsing function name"));
        }
        self.lexer.force_match(&Token::LParen)?;
        let Token::String(port) = self.lexer.token() else {
            return Err(self.lexer.syntax_error("expecting string"));
        };
        let port = Arc::from(port.as_ref());
        self.lexer.advance();
        self.lexer.force_match(&Token::RParen)?;
        Ok(Expr::Condition { port, negated: false })
    }

    /// `field`, or `field relop constants`.
    fn field_first(&mut self) -> Result<(Expr, bool), Error> {
        let offset = self.lexer.offset();
        let field = FieldRef::parse(&mut self.lexer, self.symbols)?;
        if self.relop().is_some() {
            let relop = self.force_relop()?;
            let constants = ConstantSet::parse(&mut self.lexer, self.sets)?;
            return Ok((self.comparison(offset, &field, relop, &constants)?, false));
        }
        if field.n_bits == 0 || *self.lexer.token() == Token::Equals {
            return Err(self.lexer.syntax_error("expecting relational operator"));
        }
        if field.n_bits > 1 && !self.negated {
            let message = "Explicit `!= 0' is required for inequality test of multibit field against 0.";
            return Err(self.error_at(offset, message));
        }
        let zero = Constant::Integer(Integer::new(0, IntegerFormat::Hexadecimal), false);
        let constants = ConstantSet { values: vec![zero], ..ConstantSet::default() };
        Ok((self.comparison(offset, &field, Relop::Ne, &constants)?, true))
    }

    /// A Boolean constant, `constants relop field`, or a range `constant relop field relop constant`.
    fn constant_first(&mut self) -> Result<(Expr, bool), Error> {
        let offset = self.lexer.offset();
        let left = ConstantSet::parse(&mut self.lexer, self.sets)?;
        if self.relop().is_none()
            && !left.in_curlies
            && let [
                Constant::Integer(
                    Integer { value: value @ (0 | 1), mask: None, format: IntegerFormat::Decimal, .. },
                    _,
                ),
            ] = left.values[..]
        {
            return Ok((Expr::Boolean(value == 1), true));
        }
        let relop1 = self.force_relop()?;
        let field = FieldRef::parse(&mut self.lexer, self.symbols)?;
        if self.relop().is_none() {
            return Ok((self.comparison(offset, &field, relop1.turned(), &left)?, false));
        }
        let relop2 = self.force_relop()?;
        let right = ConstantSet::parse(&mut self.lexer, self.sets)?;
        let less = |r| matches!(r, Relop::Lt | Relop::Le);
        let greater = |r| matches!(r, Relop::Gt | Relop::Ge);
        if !(less(relop1) && less(relop2) || greater(relop1) && greater(relop2)) {
            let message = "Range expressions must have the form `x < field < y' or `x > field > y', with each `<' \
                           optionally replaced by `<=' or `>' by `>=').";
            return Err(self.error_at(offset, message));
        }
        let lower = self.comparison(offset, &field, relop1.turned(), &left)?;
        Ok((lower.and(self.comparison(offset, &field, relop2, &right)?), false))
    }

    /// Checks types and levels, and makes one comparison per constant.
    fn comparison(
        &self,
        offset: usize,
        field: &FieldRef,
        relop: Relop,
        constants: &ConstantSet,
    ) -> Result<Expr, Error> {
        if matches!(self.lexer.token(), Token::Error(_)) {
            return Err(self.lexer.error(""));
        }
        constants.type_check(field, offset)?;
        if !matches!(relop, Relop::Eq | Relop::Ne) {
            check_ordering(field, constants).map_err(|message| Error::new(offset, message))?;
        }
        if field.symbol.level == Level::Nominal {
            self.check_nominal(field, relop, constants).map_err(|message| Error::new(offset, message))?;
        }
        let mut members = constants.values.iter().map(|constant| Expr::Cmp(make_cmp(field, relop, constant)));
        Ok(match (members.len(), relop) {
            (0, _) => Expr::Boolean(relop == Relop::Ne),
            (1, _) => members.next().unwrap_or(Expr::Boolean(false)),
            (_, Relop::Eq) => Expr::Or(members.collect()),
            (_, _) => Expr::And(members.collect()),
        })
    }

    /// A nominal thing may only be tested for being something, all negations considered.
    fn check_nominal(&self, field: &FieldRef, relop: Relop, constants: &ConstantSet) -> Result<(), String> {
        let name = field.symbol.name;
        if !field.symbol.is_predicate() {
            if relop == (if self.negated { Relop::Ne } else { Relop::Eq }) {
                return Ok(());
            }
            return Err(format!(
                "Nominal field {name} may only be tested for equality (taking enclosing `!' operators into account)."
            ));
        }
        for constant in &constants.values {
            let one = matches!(constant, Constant::Integer(i, _) if i.value & 1 == 1);
            if !(one ^ (relop == Relop::Ne) ^ self.negated) {
                return Err(format!(
                    "Nominal predicate {name} may only be tested positively, e.g. `{name}' or `{name} == 1' but not \
                     `!{name}' or `{name} == 0'."
                ));
            }
        }
        Ok(())
    }
}

/// Whether `field` may be compared with `constants` by `<` and the like.
fn check_ordering(field: &FieldRef, constants: &ConstantSet) -> Result<(), String> {
    let (name, level) = (field.symbol.name, field.symbol.level);
    if constants.in_curlies {
        return Err("Only == and != operators may be used with value sets.".to_string());
    }
    if level != Level::Ordinal {
        return Err(format!("Only == and != operators may be used with {level} field {name}."));
    }
    if constants.values.is_empty() {
        return Err("Only == and != operators may be used to compare a field against an empty value set.".to_string());
    }
    if constants.values.iter().any(|c| matches!(c, Constant::Integer(i, _) if i.mask.is_some())) {
        return Err("Only == and != operators may be used with masked constants.  Consider using subfields instead \
                    (e.g. eth.src[0..15] > 0x1111 in place of eth.src > 00:00:00:00:11:11/00:00:00:00:ff:ff)."
            .to_string());
    }
    Ok(())
}

fn make_cmp(field: &FieldRef, relop: Relop, constant: &Constant) -> Cmp {
    let operand = match constant {
        Constant::String(s) => Operand::String(s.clone()),
        Constant::Integer(i, from_set) => {
            let bits = low_bits(u32::from(field.n_bits));
            let value = (i.value & bits) << field.ofs;
            let mask = (i.mask.unwrap_or(bits) & bits) << field.ofs;
            Operand::Numeric { value, mask, from_set: *from_set }
        }
    };
    Cmp { symbol: field.symbol, relop, operand }
}
