//! MAC bindings and forwarding database: `get_arp`, `put_arp`, `lookup_arp`, `put_fdb` and the like.

use super::{Parsed, Parser};
use crate::actions::LogicalAction;
use crate::actions::types::Family;
use crate::{FieldRef, Token};

impl Parser<'_, '_> {
    /// `get_arp(port, ip)`
    pub(super) fn get_mac(&mut self, family: Family) -> Parsed {
        self.lexer.force_match(&Token::LParen)?;
        let port = self.argument(0)?;
        self.lexer.force_match(&Token::Comma)?;
        let ip = self.argument(family.n_bits())?;
        self.lexer.force_match(&Token::RParen)?;
        Ok(LogicalAction::GetMac { family, port, ip })
    }

    /// `put_arp(port, ip, mac)`
    pub(super) fn put_mac(&mut self, family: Family) -> Parsed {
        self.lexer.force_match(&Token::LParen)?;
        let (port, ip, mac) = self.port_ip_mac(family)?;
        Ok(LogicalAction::PutMac { family, port, ip, mac })
    }

    /// `lookup_arp(port, ip, mac)`, on which the lexer stands.
    pub(super) fn lookup_mac(&mut self, dst: FieldRef, family: Family) -> Parsed {
        self.check_type(&dst, 1, true)?;
        self.lexer.advance();
        self.lexer.advance();
        let (port, ip, mac) = self.port_ip_mac(family)?;
        Ok(LogicalAction::LookupMac { family, dst, port, ip, mac })
    }

    /// `lookup_arp_ip(port, ip)`, on which the lexer stands.
    pub(super) fn lookup_mac_ip(&mut self, dst: FieldRef, family: Family) -> Parsed {
        self.check_type(&dst, 1, true)?;
        self.lexer.advance();
        self.lexer.advance();
        let port = self.argument(0)?;
        self.lexer.force_match(&Token::Comma)?;
        let ip = self.argument(family.n_bits())?;
        self.lexer.force_match(&Token::RParen)?;
        Ok(LogicalAction::LookupMacIp { family, dst, port, ip })
    }

    fn port_ip_mac(&mut self, family: Family) -> Result<(FieldRef, FieldRef, FieldRef), crate::Error> {
        let port = self.argument(0)?;
        self.lexer.force_match(&Token::Comma)?;
        let ip = self.argument(family.n_bits())?;
        self.lexer.force_match(&Token::Comma)?;
        let mac = self.argument(48)?;
        self.lexer.force_match(&Token::RParen)?;
        Ok((port, ip, mac))
    }

    /// `put_fdb(port, mac)`
    pub(super) fn put_fdb(&mut self) -> Parsed {
        self.lexer.force_match(&Token::LParen)?;
        let port = self.argument(0)?;
        self.lexer.force_match(&Token::Comma)?;
        let mac = self.argument(48)?;
        self.lexer.force_match(&Token::RParen)?;
        Ok(LogicalAction::PutFdb { port, mac })
    }

    /// `get_fdb(mac)` or `get_remote_fdb(mac)`, on which the lexer stands. The destination is a port field, or 32 bits.
    pub(super) fn get_fdb(&mut self, dst: FieldRef, remote: bool) -> Parsed {
        self.lexer.advance();
        self.lexer.advance();
        if dst.n_bits > 0 {
            self.check_type(&dst, 32, true)?;
        }
        let mac = self.argument(48)?;
        self.lexer.force_match(&Token::RParen)?;
        Ok(LogicalAction::GetFdb { remote, dst, mac })
    }

    /// `lookup_fdb(port, mac)`, on which the lexer stands.
    pub(super) fn lookup_fdb(&mut self, dst: FieldRef) -> Parsed {
        self.lexer.advance();
        self.lexer.advance();
        self.check_type(&dst, 1, true)?;
        let port = self.argument(0)?;
        self.lexer.force_match(&Token::Comma)?;
        let mac = self.argument(48)?;
        self.lexer.force_match(&Token::RParen)?;
        Ok(LogicalAction::LookupFdb { dst, port, mac })
    }
}
