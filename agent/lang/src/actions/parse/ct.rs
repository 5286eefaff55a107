//! Conntrack actions: `ct_next`, `ct_commit`, NAT and load balancing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Parsed, Parser};
use crate::actions::LogicalAction;
use crate::actions::types::*;
use crate::{Error, IntegerFormat, Token};

impl Parser<'_, '_> {
    /// The conntrack action called `keyword`, which has been stepped over.
    pub(super) fn ct_action(&mut self, keyword: &str) -> Parsed {
        match keyword {
            "ct_next" => self.ct_next(),
            "ct_commit_nat" => self.ct_zone(CtZoneOp::CommitNat, false),
            "ct_commit_to_zone" => self.ct_zone(CtZoneOp::CommitToZone, true),
            "ct_dnat" => self.ct_nat(CtNatOp::Dnat),
            "ct_snat" => self.ct_nat(CtNatOp::Snat),
            "ct_dnat_in_czone" => self.ct_nat(CtNatOp::DnatInCzone),
            "ct_snat_in_czone" => self.ct_nat(CtNatOp::SnatInCzone),
            "ct_lb" => self.ct_lb(CtLbOp::Label),
            "ct_lb_mark" => self.ct_lb(CtLbOp::Mark),
            "ct_lb_mark_local" => self.ct_lb(CtLbOp::MarkLocal),
            _ => Err(self.lexer.syntax_error("expecting action")),
        }
    }

    fn ct_next(&mut self) -> Parsed {
        self.check_not_last("ct_next")?;
        self.require("ip")?;
        let mut zone = NatZone::Dnat;
        if self.lexer.match_token(&Token::LParen) {
            zone = self.nat_zone("\"ct_next\" action accepts only \"dnat\" or \"snat\" parameter.")?;
            self.lexer.force_match(&Token::RParen)?;
        }
        Ok(LogicalAction::CtZone { op: CtZoneOp::Next, zone, table: self.next_table() })
    }

    /// `(dnat)` or `(snat)`, which `parameter_required` makes mandatory.
    fn ct_zone(&mut self, op: CtZoneOp, parameter_required: bool) -> Parsed {
        self.require("ip")?;
        self.check_not_last(op.name())?;
        let mut zone = NatZone::Dnat;
        if parameter_required || *self.lexer.token() == Token::LParen {
            self.lexer.force_match(&Token::LParen)?;
            zone = self.nat_zone(&format!("\"{}\" action accepts only \"dnat\" or \"snat\" parameter.", op.name()))?;
            self.lexer.force_match(&Token::RParen)?;
        }
        Ok(LogicalAction::CtZone { op, zone, table: self.next_table() })
    }

    fn nat_zone(&mut self, message: &str) -> Result<NatZone, Error> {
        if self.lexer.match_id("dnat") {
            Ok(NatZone::Dnat)
        } else if self.lexer.match_id("snat") {
            Ok(NatZone::Snat)
        } else {
            Err(self.lexer.error(message))
        }
    }

    /// `ct_commit` alone or with a nested list that sets ct_mark and ct_label.
    pub(super) fn ct_commit(&mut self) -> Parsed {
        if *self.lexer.token() == Token::LCurly {
            return self.nest(NestOp::CtCommit);
        }
        self.require("ip")?;
        Ok(LogicalAction::Nest { op: NestOp::CtCommit, actions: Vec::new() })
    }

    fn ct_nat(&mut self, op: CtNatOp) -> Parsed {
        self.require("ip")?;
        self.check_not_last(op.name())?;
        let mut nat = CtNat { op, addr: None, ports: None, table: self.next_table() };
        if self.lexer.match_token(&Token::LParen) {
            nat.addr = Some(self.ip_address("expecting IPv4 or IPv6 address")?);
            if self.lexer.match_token(&Token::Comma) {
                nat.ports = Some(self.port_range()?);
            }
            self.lexer.force_match(&Token::RParen)?;
        }
        Ok(LogicalAction::CtNat(nat))
    }

    /// `low` or `low-high`. OVN keeps the low 16 bits of what is written.
    fn port_range(&mut self) -> Result<(u16, Option<u16>), Error> {
        let low = match self.decimal() {
            Some(low) => low as u16,
            None => return Err(self.lexer.syntax_error("expecting Integer for port range")),
        };
        if low == 0 {
            return Err(self.lexer.syntax_error("range can't be 0"));
        }
        self.lexer.advance();
        if !self.lexer.match_token(&Token::Hyphen) {
            return Ok((low, None));
        }
        let high = match *self.lexer.token() {
            Token::Integer(high) => high.value as u16,
            _ => return Err(self.lexer.syntax_error("expecting Integer for port range")),
        };
        if high <= low {
            return Err(self.lexer.syntax_error("range high should be greater than range low"));
        }
        self.lexer.advance();
        Ok((low, Some(high)))
    }

    /// Steps over an IPv4 or IPv6 address without a mask.
    fn ip_address(&mut self, message: &str) -> Result<IpAddr, Error> {
        let ip = match *self.lexer.token() {
            Token::Integer(i) if i.format == IntegerFormat::Ipv4 => IpAddr::from(Ipv4Addr::from_bits(i.value as u32)),
            Token::Integer(i) if i.format == IntegerFormat::Ipv6 => IpAddr::from(Ipv6Addr::from_bits(i.value)),
            _ => return Err(self.lexer.syntax_error(message)),
        };
        self.lexer.advance();
        Ok(ip)
    }

    /// `(backends=a:p,b:p[; hash_fields="f"][; skip_snat|force_snat])`.
    ///
    /// OVN looks for the later parts even if the closing parenthesis is already behind it, and takes whatever stands in
    /// place of that parenthesis after `hash_fields`, `skip_snat` and `force_snat`; so does this.
    fn ct_lb(&mut self, op: CtLbOp) -> Parsed {
        self.check_not_last("ct_lb")?;
        self.require("ip")?;
        let mut lb =
            CtLb { op, table: self.next_table(), backends: Vec::new(), hash_fields: None, flag: CtLbFlag::None };
        if self.lexer.match_token(&Token::LParen) && !self.lexer.match_token(&Token::RParen) {
            if !self.lexer.match_id("backends") {
                return Err(self.lexer.syntax_error("expecting backends"));
            }
            self.lexer.force_match(&Token::Equals)?;
            while !self.lexer.match_token(&Token::Semicolon) && !self.lexer.match_token(&Token::RParen) {
                lb.backends.push(self.backend(op)?);
                self.lexer.match_token(&Token::Comma);
            }
            if self.lexer.match_id("hash_fields") {
                if !self.lexer.match_token(&Token::Equals) {
                    return Err(self.lexer.syntax_error("invalid hash_fields"));
                }
                lb.hash_fields = Some(self.force_string("invalid hash_fields")?);
                if !self.lexer.match_token(&Token::Semicolon) {
                    self.lexer.advance();
                }
            }
            if self.lexer.match_id("skip_snat") {
                lb.flag = CtLbFlag::SkipSnat;
                self.lexer.advance();
            } else if self.lexer.match_id("force_snat") {
                lb.flag = CtLbFlag::ForceSnat;
                self.lexer.advance();
            }
        }
        Ok(LogicalAction::CtLb(Box::new(lb)))
    }

    /// `ip`, `ip4:port`, `[ip6]` or `[ip6]:port`, preceded by `"lport":` for `ct_lb_mark_local`.
    fn backend(&mut self, op: CtLbOp) -> Result<Backend, Error> {
        let mut lport = None;
        if op == CtLbOp::MarkLocal {
            lport = Some(self.force_string("expecting logical port name for distributed load balancer")?);
            self.lexer.force_match(&Token::Colon)?;
        }
        let mut port = 0;
        let ip = if self.lexer.match_token(&Token::LSquare) {
            if !matches!(*self.lexer.token(), Token::Integer(i) if i.format == IntegerFormat::Ipv6) {
                return Err(self.lexer.syntax_error("expecting IPv6 address"));
            }
            let ip = self.ip_address("expecting IPv6 address")?;
            if !self.lexer.match_token(&Token::RSquare) {
                return Err(self.lexer.syntax_error("no closing square bracket"));
            }
            if self.lexer.match_token(&Token::Colon) {
                port = self.uint16("port number")?;
            }
            ip
        } else {
            let ip = self.ip_address("expecting IP address")?;
            if self.lexer.match_token(&Token::Colon) {
                if ip.is_ipv6() {
                    return Err(self.lexer.syntax_error("IPv6 address needs square brackets if port is included"));
                }
                port = self.uint16("port number")?;
            }
            ip
        };
        Ok(Backend { lport, ip, port })
    }
}
