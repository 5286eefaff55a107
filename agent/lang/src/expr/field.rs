//! References to fields and subfields. Entry type: [`FieldRef`].

use crate::lexer::{Lexer, Token};
use crate::symbols::{Symbol, SymbolKind, SymbolTable, WriteScope};
use crate::{Error, Expr, Level};
use ofproto_client::{Field, Subfield};
use std::fmt;

/// A symbol or some bits of it. For string fields `ofs` and `n_bits` are 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FieldRef {
    /// The symbol.
    pub symbol: &'static Symbol,
    /// Lowest bit, 0 being the least significant.
    pub ofs: u16,
    /// Number of bits.
    pub n_bits: u16,
}

impl FieldRef {
    /// All of `symbol`.
    pub fn whole(symbol: &'static Symbol) -> FieldRef {
        FieldRef { symbol, ofs: 0, n_bits: symbol.width }
    }

    /// Parses `name`, `name[bit]` or `name[low..high]`, predicates included.
    pub fn parse(lexer: &mut Lexer<'_>, symbols: &SymbolTable) -> Result<FieldRef, Error> {
        let symbol = match lexer.token() {
            Token::Id(name) => symbols.find(name),
            _ => None,
        };
        let symbol = symbol.ok_or_else(|| lexer.syntax_error("expecting field name"))?;
        let offset = lexer.offset();
        lexer.advance();
        if !lexer.match_token(&Token::LSquare) {
            return Ok(FieldRef::whole(symbol));
        }
        let name = symbol.name;
        if symbol.width == 0 {
            return Err(lexer.error(format!("Cannot select subfield of string field {name}.")));
        }
        let low = lexer.force_int()?;
        let high = if lexer.match_token(&Token::Ellipsis) { lexer.force_int()? } else { low };
        lexer.force_match(&Token::RSquare)?;
        let error = |message| {
            if matches!(lexer.token(), Token::Error(_)) { lexer.error("") } else { Error::new(offset, message) }
        };
        if low > high {
            return Err(error(format!("Invalid bit range {low} to {high}.")));
        }
        let (low16, high16) = match (u16::try_from(low), u16::try_from(high)) {
            (Ok(low), Ok(high)) if high < symbol.width => (low, high),
            _ => {
                let width = symbol.width;
                return Err(error(format!("Cannot select bits {low} to {high} of {width}-bit field {name}.")));
            }
        };
        if symbol.level == Level::Nominal && (low16 != 0 || high16 != symbol.width - 1) {
            return Err(error(format!("Cannot select subfield of nominal field {name}.")));
        }
        Ok(FieldRef { symbol, ofs: low16, n_bits: high16 - low16 + 1 })
    }

    /// Parses a field or subfield that an action uses, no predicate, and ANDs the (annotated) prerequisites of the symbol and of
    /// its parent to `prereqs` (`expr_field_parse`, OVN v26.03.1).
    pub fn parse_operand(
        lexer: &mut Lexer<'_>,
        symbols: &SymbolTable,
        prereqs: &mut Option<Expr>,
    ) -> Result<FieldRef, Error> {
        let offset = lexer.offset();
        let field = FieldRef::parse(lexer, symbols)?;
        if matches!(field.symbol.kind, SymbolKind::Predicate { .. }) {
            let message = format!("Predicate symbol {} used where lvalue required.", field.symbol.name);
            return Err(match lexer.token() {
                Token::Error(_) => lexer.error(""),
                _ => Error::new(offset, message),
            });
        }
        let mut symbol = Some(field.symbol);
        while let Some(s) = symbol {
            if let Some(more) = &s.prereqs {
                *prereqs = Some(match prereqs.take() {
                    Some(p) => p.and(more.clone()),
                    None => more.clone(),
                });
            }
            symbol = s.parent().map(|(parent, _)| parent);
        }
        Ok(field)
    }

    /// Checks that the field is `n_bits` wide (0: a string field) and, with a `scope`, that it may be written there.
    /// The error is the message that OVN's `expr_type_check` (v26.03.1) gives.
    pub fn check(&self, n_bits: u16, scope: Option<WriteScope>) -> Result<(), String> {
        let name = self.symbol.name;
        if n_bits != self.n_bits {
            return Err(if n_bits != 0 && self.n_bits != 0 {
                let (have, low) = (self.n_bits, self.ofs);
                let high = low + have - 1;
                format!("Cannot use {have}-bit field {name}[{low}..{high}] where {n_bits}-bit field is required.")
            } else if n_bits != 0 {
                format!("Cannot use string field {name} where numeric field is required.")
            } else {
                format!("Cannot use numeric field {name} where string field is required.")
            });
        }
        match scope {
            Some(scope) if !self.symbol.write.intersects(scope) => Err(format!("Field {name} is not modifiable.")),
            _ => Ok(()),
        }
    }

    /// The bits of an OpenFlow field that this refers to; `None` for predicates and for OVN's pseudo fields.
    pub fn resolve(&self) -> Option<Subfield> {
        let mut ofs = self.ofs;
        let mut symbol = self.symbol;
        while let Some((parent, parent_ofs)) = symbol.parent() {
            ofs += parent_ofs;
            symbol = parent;
        }
        match symbol.kind {
            SymbolKind::Field(field) => Some(Subfield { field, ofs, n_bits: self.n_bits }),
            SymbolKind::String(field) => Some(Subfield { field, ofs: 0, n_bits: Field::n_bits(field) }),
            _ => None,
        }
    }
}

impl fmt::Display for FieldRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol.name)?;
        if self.ofs == 0 && self.n_bits == self.symbol.width {
            return Ok(());
        }
        if self.n_bits == 1 {
            write!(f, "[{}]", self.ofs)
        } else {
            write!(f, "[{}..{}]", self.ofs, (self.ofs + self.n_bits).saturating_sub(1))
        }
    }
}
