//! Constants, sets of them, and where named sets come from. Entry types: [`ConstantSets`], [`AddressSet`], [`ConstantSet`].

use crate::lexer::{Integer, IntegerFormat, Lexer, Token};
use crate::{Error, FieldRef, quote};
use std::fmt;
use std::sync::Arc;

/// The SB Address_Set and Port_Group rows that a match may refer to.
///
/// Names are given bare, without `$` and `@`. Each call is one reference in the text, also when the answer is `None`, so the
/// implementation can record dependencies and count references.
pub trait ConstantSets {
    /// The members of `$name`.
    fn address_set(&self, name: &str) -> Option<Arc<AddressSet>>;
    /// The ports of `@name` that the caller considers relevant.
    fn port_group(&self, name: &str) -> Option<Arc<[Arc<str>]>>;
}

/// There are no named sets.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSets;

impl ConstantSets for NoSets {
    fn address_set(&self, _name: &str) -> Option<Arc<AddressSet>> {
        None
    }

    fn port_group(&self, _name: &str) -> Option<Arc<[Arc<str>]>> {
        None
    }
}

/// The members of an address set, in OVN's order ([`Integer::set_order`]).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AddressSet {
    members: Vec<Integer>,
}

impl AddressSet {
    /// Reads the `addresses` of an SB Address_Set row (`expr_constant_set_create_integers`, OVN v26.03.1).
    /// Those that are no address are skipped and returned in the second place, for a warning.
    pub fn parse<'a>(addresses: impl IntoIterator<Item = &'a str>) -> (AddressSet, Vec<&'a str>) {
        let mut members = Vec::new();
        let mut bad = Vec::new();
        for address in addresses {
            match Lexer::new(address).token() {
                Token::Integer(i) | Token::MaskedInteger(i) => members.push(*i),
                _ => bad.push(address),
            }
        }
        members.sort_by(Integer::set_order);
        (AddressSet { members }, bad)
    }

    /// One member that fits any field, in the place of those that are not known.
    pub fn placeholder() -> AddressSet {
        AddressSet { members: vec![Integer::new(0, IntegerFormat::Hexadecimal)] }
    }

    /// The members.
    pub fn members(&self) -> &[Integer] {
        &self.members
    }
}

/// One constant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Constant {
    /// A number or address, and whether it comes from an address set.
    Integer(Integer, bool),
    /// A string.
    String(Arc<str>),
}

impl fmt::Display for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Constant::Integer(i, _) => write!(f, "{i}"),
            Constant::String(s) => f.write_str(&quote(s)),
        }
    }
}

/// A constant, or a `{}` set of constants that are all of one type.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ConstantSet {
    /// The constants. None is left when all came from empty address sets or port groups.
    pub values: Vec<Constant>,
    /// Whether the type is string. It matters when `values` is empty.
    pub strings: bool,
    /// Whether braces were written.
    pub in_curlies: bool,
}

impl ConstantSet {
    /// Declares the type of the constants that follow; they must be of the type of those already there.
    fn assign_type(&mut self, lexer: &Lexer<'_>, strings: bool) -> Result<(), Error> {
        if !self.values.is_empty() && self.strings != strings {
            let expected = if self.strings { "expecting string" } else { "expecting integer" };
            return Err(lexer.syntax_error(expected));
        }
        self.strings = strings;
        Ok(())
    }

    /// Fails unless the constants can be compared with `field`. `offset` is reported as the error's place.
    pub(crate) fn type_check(&self, field: &FieldRef, offset: usize) -> Result<(), Error> {
        let symbol = field.symbol;
        if self.strings == (symbol.width > 0) {
            let (kind, constant) =
                (if symbol.width > 0 { "Integer" } else { "String" }, if self.strings { "string" } else { "integer" });
            let message = format!("{kind} field {} is not compatible with {constant} constant.", symbol.name);
            return Err(Error::new(offset, message));
        }
        for value in &self.values {
            if let Constant::Integer(i, _) = value
                && i.width() > symbol.width
            {
                let (bits, width, name) = (i.width(), symbol.width, symbol.name);
                let message = format!("{bits}-bit constant is not compatible with {width}-bit field {name}.");
                return Err(Error::new(offset, message));
            }
        }
        Ok(())
    }

    fn parse_member(&mut self, lexer: &mut Lexer<'_>, sets: &dyn ConstantSets) -> Result<(), Error> {
        match lexer.token() {
            Token::Template(_) => return Err(lexer.error("Unexpanded template.")),
            Token::String(s) => {
                let s = Arc::from(s.as_ref());
                self.assign_type(lexer, true)?;
                self.values.push(Constant::String(s));
            }
            Token::Integer(i) | Token::MaskedInteger(i) => {
                let i = *i;
                self.assign_type(lexer, false)?;
                self.values.push(Constant::Integer(i, false));
            }
            Token::AddressSet(name) => {
                let set = sets.address_set(name).ok_or_else(|| lexer.syntax_error("expecting address set name"))?;
                self.assign_type(lexer, false)?;
                self.values.extend(set.members().iter().map(|&i| Constant::Integer(i, true)));
            }
            Token::PortGroup(name) => {
                let ports = sets.port_group(name).ok_or_else(|| lexer.syntax_error("expecting port group name"))?;
                self.assign_type(lexer, true)?;
                self.values.extend(ports.iter().map(|port| Constant::String(port.clone())));
            }
            _ => return Err(lexer.syntax_error("expecting constant")),
        }
        lexer.advance();
        Ok(())
    }

    pub(crate) fn parse(lexer: &mut Lexer<'_>, sets: &dyn ConstantSets) -> Result<ConstantSet, Error> {
        let mut set = ConstantSet { in_curlies: lexer.match_token(&Token::LCurly), ..ConstantSet::default() };
        set.parse_member(lexer, sets)?;
        if set.in_curlies {
            loop {
                lexer.match_token(&Token::Comma);
                if lexer.match_token(&Token::RCurly) {
                    break;
                }
                set.parse_member(lexer, sets)?;
            }
        }
        Ok(set)
    }
}

impl fmt::Display for ConstantSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let curlies = self.in_curlies || self.values.len() != 1;
        if curlies {
            f.write_str("{")?;
        }
        for (i, value) in self.values.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{value}")?;
        }
        if curlies { f.write_str("}") } else { Ok(()) }
    }
}

/// Parses one constant that is compatible with `field` (`expr_constant_parse`, OVN v26.03.1). Named sets do not exist here.
pub fn parse_constant(lexer: &mut Lexer<'_>, field: &FieldRef) -> Result<Constant, Error> {
    let offset = lexer.offset();
    let mut set = ConstantSet::default();
    set.parse_member(lexer, &NoSets)?;
    if !matches!(lexer.token(), Token::Error(_)) {
        set.type_check(field, offset)?;
    }
    set.values.pop().ok_or_else(|| lexer.syntax_error("expecting constant"))
}

/// Parses a constant or a `{}` set of constants (`expr_constant_set_parse`, OVN v26.03.1). Named sets do not exist here.
pub fn parse_constant_set(lexer: &mut Lexer<'_>) -> Result<ConstantSet, Error> {
    ConstantSet::parse(lexer, &NoSets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_an_address_set_are_in_order() {
        let (set, bad) = AddressSet::parse(["10.0.0.2", "x", "10.0.0.0/24", "10.0.0.0", "::1", "00:00:00:00:00:01"]);
        assert_eq!(bad, ["x"]);
        let text = set.members().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(text, "::1 00:00:00:00:00:01 10.0.0.0 10.0.0.0/24 10.0.0.2");
    }

    #[test]
    fn constant_sets() {
        for (text, want) in [
            ("{1, 2 3,}", "{1, 2, 3}"),
            ("{\"a\"}", "{\"a\"}"),
            ("10.0.0.1", "10.0.0.1"),
            ("{1, \"a\"}", "Syntax error at `\"a\"' expecting integer."),
            ("{\"a\", 1}", "Syntax error at `1' expecting string."),
            ("{}", "Syntax error at `}' expecting constant."),
            ("{$as}", "Syntax error at `$as' expecting address set name."),
            ("^x", "Unexpanded template."),
        ] {
            let got = parse_constant_set(&mut Lexer::new(text)).map_or_else(|e| e.to_string(), |set| set.to_string());
            assert_eq!(got, want);
        }
    }
}
