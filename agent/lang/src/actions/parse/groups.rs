//! Actions that become OpenFlow groups: `select` and `fwd_group`.

use super::{Parsed, Parser};
use crate::actions::LogicalAction;
use crate::actions::types::{FwdGroup, Select};
use crate::{FieldRef, Token};

/// Weight of a member written without one.
const DEFAULT_WEIGHT: u16 = 100;

impl Parser<'_, '_> {
    /// `select(...)`, on which the lexer stands.
    pub(super) fn select(&mut self, dst: FieldRef) -> Parsed {
        self.check_type(&dst, dst.n_bits, true)?;
        if dst.n_bits < 16 {
            let (n, name, low) = (dst.n_bits, dst.symbol.name, dst.ofs);
            // The bit range of a string field, whose width is 0, ends at -1 in OVN.
            let high = i32::from(low) + i32::from(n) - 1;
            return Err(self.lexer.error(format!(
                "cannot use {n}-bit field {name}[{low}..{high}] for \"select\", which requires at least 16 bits."
            )));
        }
        self.check_not_last("select")?;
        self.lexer.advance();
        self.lexer.advance();

        let with_fields = self.lexer.match_id("values");
        if with_fields {
            self.lexer.force_match(&Token::Equals)?;
            self.lexer.force_match(&Token::LParen)?;
        }
        let mut members = Vec::new();
        while !self.lexer.match_token(&Token::RParen) {
            let id = self.uint16("id")?;
            let mut weight = DEFAULT_WEIGHT;
            if self.lexer.match_token(&Token::Equals) {
                weight = self.uint16("weight")?;
                if weight == 0 {
                    return Err(self.lexer.syntax_error("weight can't be 0"));
                }
            }
            self.lexer.match_token(&Token::Comma);
            members.push((id, weight));
        }
        if members.len() <= 1 {
            return Err(self.lexer.syntax_error("expecting at least 2 group members"));
        }

        let mut hash_fields = None;
        if with_fields {
            self.lexer.force_match(&Token::Semicolon)?;
            self.force_id("hash_fields", "expecting hash_fields")?;
            if !self.lexer.match_token(&Token::Equals) || self.lexer.lookahead() != Token::RParen {
                return Err(self.lexer.syntax_error("invalid hash_fields"));
            }
            hash_fields = Some(self.force_string("invalid hash_fields")?);
            self.lexer.force_match(&Token::RParen)?;
        }
        Ok(LogicalAction::Select(Box::new(Select { dst, table: self.next_table(), members, hash_fields })))
    }

    /// `fwd_group([liveness=true,] childports="a", "b")`
    pub(super) fn fwd_group(&mut self) -> Parsed {
        let mut group = FwdGroup { liveness: false, children: Vec::new() };
        if self.lexer.match_token(&Token::LParen) {
            if self.lexer.match_id("liveness") {
                self.lexer.force_match(&Token::Equals)?;
                group.liveness = self.force_bool()?;
                self.lexer.force_match(&Token::Comma)?;
            }
            if self.lexer.match_id("childports") {
                self.lexer.force_match(&Token::Equals)?;
                while !self.lexer.match_token(&Token::RParen) {
                    group.children.push(self.force_string("expecting logical switch port")?);
                    self.lexer.match_token(&Token::Comma);
                }
            }
        }
        Ok(LogicalAction::FwdGroup(Box::new(group)))
    }
}
