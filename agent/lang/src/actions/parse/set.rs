//! Assignments: constants, fields, and the functions that are called as `field = name(...)`.

use super::{Parsed, Parser};
use crate::actions::LogicalAction;
use crate::actions::types::{Family, Immediate, PutOptionsOp, ResultOp};
use crate::{Constant, FieldRef, SymbolKind, Token, parse_constant};

impl Parser<'_, '_> {
    /// An action that begins with a field.
    pub(super) fn set(&mut self) -> Parsed {
        let lhs = self.any_field()?;
        if self.lexer.match_token(&Token::Exchange) {
            return self.assignment(lhs, true);
        }
        if !self.lexer.match_token(&Token::Equals) {
            return Err(self.lexer.syntax_error("expecting `=' or `<->'"));
        }
        let Token::Id(name) = *self.lexer.token() else {
            return self.load(lhs);
        };
        if self.lexer.lookahead() != Token::LParen {
            return match name {
                // These two are recognised without looking for the parenthesis.
                "dhcp_relay_req_chk" => self.dhcp_relay_check(lhs, false),
                "dhcp_relay_resp_chk" => self.dhcp_relay_check(lhs, true),
                _ => self.assignment(lhs, false),
            };
        }
        let function = match name {
            "select" => Parser::select,
            "put_dhcp_opts" => |p: &mut Self, lhs| p.put_options(lhs, PutOptionsOp::Dhcpv4),
            "put_dhcpv6_opts" => |p: &mut Self, lhs| p.put_options(lhs, PutOptionsOp::Dhcpv6),
            "put_nd_ra_opts" => |p: &mut Self, lhs| p.put_options(lhs, PutOptionsOp::NdRa),
            "check_pkt_larger" => Parser::check_pkt_larger,
            "lookup_arp" => |p: &mut Self, lhs| p.lookup_mac(lhs, Family::V4),
            "lookup_nd" => |p: &mut Self, lhs| p.lookup_mac(lhs, Family::V6),
            "lookup_arp_ip" => |p: &mut Self, lhs| p.lookup_mac_ip(lhs, Family::V4),
            "lookup_nd_ip" => |p: &mut Self, lhs| p.lookup_mac_ip(lhs, Family::V6),
            "get_fdb" => |p: &mut Self, lhs| p.get_fdb(lhs, false),
            "get_remote_fdb" => |p: &mut Self, lhs| p.get_fdb(lhs, true),
            "lookup_fdb" => Parser::lookup_fdb,
            "dhcp_relay_req_chk" => |p: &mut Self, lhs| p.dhcp_relay_check(lhs, false),
            "dhcp_relay_resp_chk" => |p: &mut Self, lhs| p.dhcp_relay_check(lhs, true),
            _ => match ResultOp::ALL.into_iter().find(|op| op.name() == name) {
                Some(op) => return self.real_lhs(lhs).and_then(|lhs| self.result(lhs, op)),
                None => return self.assignment(lhs, false),
            },
        };
        let lhs = self.real_lhs(lhs)?;
        function(self, lhs)
    }

    /// OVN's pseudo fields take constants only. OVN itself would crash on everything else.
    fn real_lhs(&self, lhs: FieldRef) -> Result<FieldRef, crate::Error> {
        match lhs.symbol.kind {
            SymbolKind::Ovn(_) => Err(self.lexer.error(format!("Field {} is not modifiable.", lhs.symbol.name))),
            _ => Ok(lhs),
        }
    }

    /// `lhs = constant`
    fn load(&mut self, dst: FieldRef) -> Parsed {
        self.check_type(&dst, dst.n_bits, true)?;
        let constant = parse_constant(&mut self.lexer, &dst)?;
        Ok(match (&dst.symbol.kind, constant) {
            (SymbolKind::Ovn(field), Constant::Integer(value, _)) => {
                LogicalAction::OvnFieldLoad { field: *field, value: value.value as u32 }
            }
            (_, Constant::Integer(value, _)) => LogicalAction::Load { dst, value: Immediate::Integer(value) },
            (_, Constant::String(name)) => LogicalAction::Load { dst, value: Immediate::Port(name) },
        })
    }

    /// `lhs = rhs` or `lhs <-> rhs`
    fn assignment(&mut self, lhs: FieldRef, exchange: bool) -> Parsed {
        let lhs = self.real_lhs(lhs)?;
        let rhs = self.field()?;
        let kind = |field: &FieldRef| if field.symbol.width > 0 { "integer" } else { "string" };
        let (ls, rs) = (lhs.symbol.name, rhs.symbol.name);
        if kind(&lhs) != kind(&rhs) {
            let (lk, rk) = (kind(&lhs), kind(&rhs));
            return Err(self.lexer.error(if exchange {
                format!("Can't exchange {lk} field ({ls}) with {rk} field ({rs}).")
            } else {
                format!("Can't assign {rk} field ({rs}) to {lk} field ({ls}).")
            }));
        }
        if lhs.n_bits != rhs.n_bits {
            let (lb, rb) = (lhs.n_bits, rhs.n_bits);
            return Err(self.lexer.error(if exchange {
                format!("Can't exchange {lb}-bit field with {rb}-bit field.")
            } else {
                format!("Can't assign {rb}-bit value to {lb}-bit destination.")
            }));
        }
        self.check_type(&lhs, lhs.n_bits, true)?;
        self.check_type(&rhs, rhs.n_bits, exchange)?;
        Ok(match exchange {
            true => LogicalAction::Exchange { a: lhs, b: rhs },
            false => LogicalAction::Move { dst: lhs, src: rhs },
        })
    }

    /// `push(field)`, `pop(field)`
    pub(super) fn push_pop(&mut self, push: bool) -> Parsed {
        self.lexer.force_match(&Token::LParen)?;
        let field = self.field()?;
        self.check_type(&field, field.n_bits, !push)?;
        self.lexer.force_match(&Token::RParen)?;
        Ok(if push { LogicalAction::Push(field) } else { LogicalAction::Pop(field) })
    }

    /// `ip.ttl--`
    pub(super) fn dec_ttl(&mut self) -> Parsed {
        self.lexer.force_match(&Token::Decrement)?;
        self.require("ip")?;
        Ok(LogicalAction::DecTtl)
    }

    /// `name()`, on which the lexer stands.
    fn result(&mut self, dst: FieldRef, op: ResultOp) -> Parsed {
        self.lexer.advance();
        self.lexer.advance();
        if !self.lexer.match_token(&Token::RParen) {
            return Err(self.lexer.error(format!("{} doesn't take any parameters", op.name())));
        }
        self.check_type(&dst, op.n_bits(), true)?;
        if op == ResultOp::DnsLookup {
            self.require("udp")?;
        }
        Ok(LogicalAction::Result { op, dst })
    }

    /// `check_pkt_larger(len)`, on which the lexer stands. Of `len` the low 16 bits count, as in OVN.
    fn check_pkt_larger(&mut self, dst: FieldRef) -> Parsed {
        self.check_type(&dst, 1, true)?;
        self.lexer.advance();
        self.lexer.advance();
        let Some(len) = self.lexer.match_int() else {
            // OVN notices only that the action does not end here.
            return Err(self.lexer.syntax_error("expecting `;'"));
        };
        self.lexer.force_match(&Token::RParen)?;
        Ok(LogicalAction::CheckPktLarger { dst, len: len as u16 })
    }
}
