//! Actions with named options: `put_dhcp_opts`, `put_dhcpv6_opts`, `put_nd_ra_opts`, `trigger_event`.

use super::learn::parse_endpoint;
use super::{Parsed, Parser};
use crate::actions::LogicalAction;
use crate::actions::options::{OptionTable, OptionType, code};
use crate::actions::types::{L4Proto, OptionValue, PutOptions, PutOptionsOp};
use crate::{Constant, Error, FieldRef, IntegerFormat, Token, parse_constant_set};

/// The one event there is.
const EMPTY_LB_BACKENDS: &str = "empty_lb_backends";

impl Parser<'_, '_> {
    /// `put_dhcp_opts(...)` or a relative, on which the lexer stands.
    pub(super) fn put_options(&mut self, dst: FieldRef, op: PutOptionsOp) -> Parsed {
        self.lexer.advance();
        self.lexer.advance();
        self.check_type(&dst, 1, true)?;
        let (table, family) = match op {
            PutOptionsOp::Dhcpv4 => (self.params.dhcp_v4, "DHCPv4"),
            PutOptionsOp::Dhcpv6 => (self.params.dhcp_v6, "DHCPv6"),
            PutOptionsOp::NdRa => (OptionTable::nd_ra(), "IPv6 ND RA"),
        };
        let options = self.option_list(table, family)?;
        match op {
            PutOptionsOp::Dhcpv4 if options.iter().all(|option| option.def.code != code::OFFERIP) => {
                return Err(self.lexer.error("put_dhcp_opts requires offerip to be specified."));
            }
            PutOptionsOp::NdRa => {
                self.check_ra_options(&options)?;
                self.require("ip6")?;
            }
            _ => {}
        }
        Ok(LogicalAction::PutOptions(Box::new(PutOptions { op, dst, options })))
    }

    /// `name = value, ...)`
    fn option_list(&mut self, table: &OptionTable, family: &str) -> Result<Vec<OptionValue>, Error> {
        let mut options = Vec::new();
        while !self.lexer.match_token(&Token::RParen) {
            options.push(self.option(table, family)?);
            self.lexer.match_token(&Token::Comma);
        }
        Ok(options)
    }

    fn option(&mut self, table: &OptionTable, family: &str) -> Result<OptionValue, Error> {
        let Token::Id(name) = *self.lexer.token() else {
            return Err(self.lexer.syntax_error(""));
        };
        let Some(def) = table.find(name) else {
            return Err(self.lexer.syntax_error(&format!("expecting {family} option name")));
        };
        self.lexer.advance();
        self.lexer.force_match(&Token::Equals)?;
        let value = parse_constant_set(&mut self.lexer)?;
        if def.kind != OptionType::HostId && value.strings != def.kind.needs_string() {
            let kind = if def.kind.needs_string() { "string" } else { "numeric" };
            return Err(self.lexer.error(format!("{family} option {name} requires {kind} value.")));
        }
        Ok(OptionValue { def: def.clone(), value })
    }

    /// The rules a router advertisement's options follow among themselves.
    fn check_ra_options(&self, options: &[OptionValue]) -> Result<(), Error> {
        let (mut stateful, mut prefix, mut slla) = (false, false, false);
        for option in options {
            let text = option.string();
            let format = option.integer().map(|i| i.format);
            let ok = option.value.values.len() == 1
                && match option.def.code {
                    code::RA_ADDR_MODE => {
                        stateful |= text == Some("dhcpv6_stateful");
                        matches!(text, Some("slaac" | "dhcpv6_stateful" | "dhcpv6_stateless"))
                    }
                    code::RA_PREFERENCE => matches!(text, Some("MEDIUM" | "HIGH" | "LOW")),
                    code::RA_SLLA => {
                        slla = true;
                        format == Some(IntegerFormat::Ethernet)
                    }
                    code::RA_PREFIX => {
                        prefix = true;
                        format == Some(IntegerFormat::Ipv6) && option.integer().is_some_and(|i| i.mask.is_some())
                    }
                    code::RA_MTU => format == Some(IntegerFormat::Decimal),
                    code::RA_RDNSS => format == Some(IntegerFormat::Ipv6),
                    _ => true,
                };
            if !ok {
                return Err(self.invalid_option(option));
            }
        }
        if !slla {
            return Err(self.lexer.error("slla option not present"));
        }
        if !stateful && !prefix {
            return Err(self.lexer.error("prefix option needs to be set when address mode is slaac/dhcpv6_stateless."));
        }
        Ok(())
    }

    fn invalid_option(&self, option: &OptionValue) -> Error {
        self.lexer.error(format!("Invalid value for \"{}\" option", option.def.name))
    }

    /// `trigger_event(event = "empty_lb_backends", vip = "...", protocol = "...", load_balancer = "...")`
    pub(super) fn trigger_event(&mut self) -> Parsed {
        self.lexer.force_match(&Token::LParen)?;
        self.force_id("event", "Expecting 'event' option")?;
        self.lexer.force_match(&Token::Equals)?;
        match self.lexer.token() {
            Token::String(event) if event.len() >= 64 => return Err(self.lexer.syntax_error("Expecting string")),
            Token::String(event) if event == EMPTY_LB_BACKENDS => {}
            Token::String(_) => return Err(self.lexer.syntax_error("Unknown event '-1'")),
            _ => return Err(self.lexer.syntax_error("Expecting string")),
        }
        self.lexer.advance();
        self.lexer.match_token(&Token::Comma);
        let options = self.option_list(OptionTable::empty_lb_backends(), EMPTY_LB_BACKENDS)?;
        for option in &options {
            self.check_event_option(option)?;
        }
        Ok(LogicalAction::TriggerEvent(options))
    }

    fn check_event_option(&self, option: &OptionValue) -> Result<(), Error> {
        let text = match option.string() {
            Some(text) if option.value.values.len() == 1 => text,
            _ => return Err(self.invalid_option(option)),
        };
        let problem = match option.def.code {
            code::EVENT_VIP if parse_endpoint(text).is_none() => format!("Invalid load balancer VIP '{text}'"),
            code::EVENT_PROTOCOL if L4Proto::ALL.iter().all(|proto| proto.name() != text) => {
                format!("Load balancer protocol '{text}' is not 'tcp', 'udp', or 'sctp'")
            }
            code::EVENT_LOAD_BALANCER if !is_uuid(text) => format!("Load balancer '{text}' is not a UUID"),
            _ => return Ok(()),
        };
        Err(self.lexer.error(problem))
    }
}

impl OptionValue {
    /// The first constant if it is a string.
    pub(crate) fn string(&self) -> Option<&str> {
        match self.value.values.first() {
            Some(Constant::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The first constant if it is a number.
    pub(crate) fn integer(&self) -> Option<&crate::Integer> {
        self.integers().next()
    }

    /// All constants that are numbers.
    pub(crate) fn integers(&self) -> impl Iterator<Item = &crate::Integer> {
        self.value.values.iter().filter_map(|constant| match constant {
            Constant::Integer(value, _) => Some(value),
            Constant::String(_) => None,
        })
    }
}

/// 8-4-4-4-12 hex digits.
fn is_uuid(text: &str) -> bool {
    let mut parts = text.split('-');
    [8, 4, 4, 4, 12].into_iter().all(|len| {
        parts.next().is_some_and(|part| part.len() == len && part.bytes().all(|digit| digit.is_ascii_hexdigit()))
    }) && parts.next().is_none()
}
