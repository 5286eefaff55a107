//! Actions that become OpenFlow learn actions: `commit_ecmp_nh` and `commit_lb_aff`.

use std::net::IpAddr;

use super::{Parsed, Parser};
use crate::actions::LogicalAction;
use crate::actions::types::{CommitLbAff, Family, L4Proto};
use crate::{Error, Token};

const INVALID: &str = "invalid parameter";

impl Parser<'_, '_> {
    /// `commit_ecmp_nh(ipv6 = true, proto = tcp)`
    pub(super) fn commit_ecmp_nh(&mut self) -> Parsed {
        self.lexer.force_match(&Token::LParen)?;
        self.force_id("ipv6", INVALID)?;
        self.lexer.force_match(&Token::Equals)?;
        let family = if self.force_bool()? { Family::V6 } else { Family::V4 };
        self.lexer.force_match(&Token::Comma)?;
        self.force_id("proto", INVALID)?;
        self.lexer.force_match(&Token::Equals)?;
        let proto = self.l4_proto()?;
        self.lexer.force_match(&Token::RParen)?;
        Ok(LogicalAction::CommitEcmpNh { family, proto })
    }

    /// `commit_lb_aff(vip = "ip:port", backend = "ip:port", proto = tcp, timeout = 30)`
    pub(super) fn commit_lb_aff(&mut self) -> Parsed {
        self.lexer.force_match(&Token::LParen)?;
        let (vip, vip_port) = self.lb_endpoint("vip")?;
        self.lexer.advance();
        self.lexer.force_match(&Token::Comma)?;
        let (backend, backend_port) = self.lb_endpoint("backend")?;
        if backend.is_ipv4() != vip.is_ipv4() {
            return Err(self.lexer.syntax_error("invalid protocol family"));
        }
        self.lexer.advance();
        self.lexer.force_match(&Token::Comma)?;
        let mut proto = None;
        if vip_port != 0 {
            self.force_id("proto", INVALID)?;
            self.lexer.force_match(&Token::Equals)?;
            proto = Some(self.l4_proto()?);
            self.lexer.force_match(&Token::Comma)?;
        }
        self.force_id("timeout", INVALID)?;
        self.lexer.force_match(&Token::Equals)?;
        let timeout = self.uint16("affinity timeout")?;
        self.lexer.force_match(&Token::RParen)?;
        Ok(LogicalAction::CommitLbAff(Box::new(CommitLbAff { vip, vip_port, backend, backend_port, proto, timeout })))
    }

    /// `name = "ip:port"`, leaving the lexer on the string so that errors name it.
    fn lb_endpoint(&mut self, name: &str) -> Result<(IpAddr, u16), Error> {
        self.force_id(name, INVALID)?;
        self.lexer.force_match(&Token::Equals)?;
        let endpoint = match self.lexer.token() {
            Token::String(text) => parse_endpoint(text),
            _ => None,
        };
        endpoint.ok_or_else(|| self.lexer.syntax_error(INVALID))
    }

    fn l4_proto(&mut self) -> Result<L4Proto, Error> {
        for proto in L4Proto::ALL {
            if self.lexer.match_id(proto.name()) {
                return Ok(proto);
            }
        }
        Err(self.lexer.syntax_error("invalid protocol"))
    }
}

/// `ip`, `ip4:port`, `[ip6]` or `[ip6]:port` with port 0 for none (OVS's `inet_parse_active` with default port 0).
pub(super) fn parse_endpoint(text: &str) -> Option<(IpAddr, u16)> {
    let text = text.trim_start_matches([' ', '\t']);
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        let port = match rest {
            "" => None,
            _ => Some(rest.strip_prefix(':')?),
        };
        (IpAddr::V6(host.parse().ok()?), port)
    } else {
        match text.split_once(':') {
            // Two colons and no brackets: an IPv6 address without a port.
            Some((_, rest)) if rest.contains(':') => (IpAddr::V6(text.parse().ok()?), None),
            Some((host, port)) => (IpAddr::V4(host.parse().ok()?), Some(port)),
            None => (IpAddr::V4(text.parse().ok()?), None),
        }
    };
    let port = match port {
        None | Some("") => 0,
        Some(port) => port.parse().ok()?,
    };
    Some((host, port))
}

#[cfg(test)]
mod tests {
    use super::parse_endpoint;

    #[test]
    fn endpoints() {
        let v4 = "10.0.0.1".parse().unwrap();
        let v6 = "fd00::1".parse().unwrap();
        for (text, expected) in [
            ("10.0.0.1", Some((v4, 0))),
            ("10.0.0.1:80", Some((v4, 80))),
            ("10.0.0.1:65536", None),
            ("fd00::1", Some((v6, 0))),
            ("[fd00::1]", Some((v6, 0))),
            ("[fd00::1]:80", Some((v6, 80))),
            ("[fd00::1]80", None),
            ("[10.0.0.1]", None),
            ("", None),
            ("foo", None),
        ] {
            assert_eq!(parse_endpoint(text), expected, "{text}");
        }
    }
}
