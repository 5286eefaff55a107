//! Text to [`LogicalAction`]s (`ovnacts_parse` of OVN 26.03), with OVN's words for every error.
//!
//! Entry point: [`parse_actions`]. The submodules parse one family of actions each, all as methods of [`Parser`].

mod controller;
mod ct;
mod groups;
mod learn;
mod lookup;
mod opts;
mod set;

use super::LogicalAction;
use super::options::OptionTable;
use super::types::{Family, NestOp, Next, Pipeline, PuntOp, VisitOp};
use crate::{Error, Expr, FieldRef, Lexer, NoSets, SymbolKind, SymbolTable, Token, WriteScope};

/// Nested lists may be this deep, the outermost list included (OVN: `MAX_NESTED_ACTION_DEPTH`).
const MAX_DEPTH: usize = 32;

/// What parsing needs to know besides the text.
#[derive(Clone, Copy)]
pub struct ActionParse<'a> {
    /// Field names: always the main table, also for flows with acl_ct_translation.
    pub symbols: &'a SymbolTable,
    /// DHCPv4 options of SB DHCP_Options.
    pub dhcp_v4: &'a OptionTable,
    /// DHCPv6 options of SB DHCPv6_Options.
    pub dhcp_v6: &'a OptionTable,
    /// Pipeline of the logical flow.
    pub pipeline: Pipeline,
    /// Logical table of the logical flow.
    pub table: u8,
    /// Tables of the pipeline ([`Pipeline::n_tables`]); 0 where `next` makes no sense.
    pub n_tables: u8,
}

/// Parses a whole Logical_Flow.actions text.
///
/// The second value is what the actions demand of the match (already annotated or in predicates of the main table), to be
/// ANDed to it.
pub fn parse_actions(text: &str, params: &ActionParse<'_>) -> Result<(Vec<LogicalAction>, Option<Expr>), Error> {
    let mut parser = Parser { params, lexer: Lexer::new(text), prereqs: None, depth: 0, scope: WriteScope::DEFAULT };
    let actions = parser.list(&Token::End)?;
    Ok((actions, parser.prereqs))
}

/// The state while parsing one text.
struct Parser<'a, 't> {
    params: &'a ActionParse<'a>,
    lexer: Lexer<'t>,
    prereqs: Option<Expr>,
    depth: usize,
    scope: WriteScope,
}

type Parsed = Result<LogicalAction, Error>;

impl Parser<'_, '_> {
    /// Actions up to and including `end`; `drop;` only stands alone.
    fn list(&mut self, end: &Token<'_>) -> Result<Vec<LogicalAction>, Error> {
        let mut actions = Vec::new();
        if *self.lexer.token() == Token::Id("drop") && self.lexer.lookahead() == Token::Semicolon {
            self.lexer.advance();
            self.lexer.advance();
            self.lexer.force_match(end)?;
            return Ok(actions);
        }
        while !self.lexer.match_token(end) {
            actions.push(self.action()?);
            self.lexer.force_match(&Token::Semicolon)?;
        }
        Ok(actions)
    }

    /// One action, without its semicolon.
    fn action(&mut self) -> Parsed {
        let keyword = match *self.lexer.token() {
            Token::Id(keyword) => keyword,
            Token::Template(_) => return Err(self.lexer.error("Unexpanded template.")),
            _ => return Err(self.lexer.syntax_error("")),
        };
        if matches!(self.lexer.lookahead(), Token::Equals | Token::Exchange | Token::LSquare) {
            return self.set();
        }
        // Unknown keywords are reported at their own place, so look before stepping over them.
        if !KEYWORDS.contains(&keyword) {
            return Err(self.lexer.syntax_error("expecting action"));
        }
        self.lexer.advance();
        self.keyword_action(keyword)
    }

    /// The action called `keyword`, which has been stepped over.
    fn keyword_action(&mut self, keyword: &str) -> Parsed {
        match keyword {
            "output" => Ok(LogicalAction::Output),
            "next" => self.next(),
            "push" | "pop" => self.push_pop(keyword == "push"),
            "ip.ttl" => self.dec_ttl(),
            "ct_clear" => Ok(LogicalAction::CtClear),
            "ct_commit" => self.ct_commit(),
            "clone" => self.nest(NestOp::Clone),
            "arp" => self.nest(NestOp::Arp),
            "nd_ns" => self.nest(NestOp::NdNs),
            "nd_na" => self.nest(NestOp::NdNa),
            "nd_na_router" => self.nest(NestOp::NdNaRouter),
            "icmp4" => self.nest(NestOp::Icmp4),
            "icmp4_error" => self.nest(NestOp::Icmp4Error),
            "icmp6" => self.nest(NestOp::Icmp6),
            "icmp6_error" => self.nest(NestOp::Icmp6Error),
            "tcp_reset" => self.nest(NestOp::TcpReset),
            "sctp_abort" => self.nest(NestOp::SctpAbort),
            "reject" => self.nest(NestOp::Reject),
            "igmp" => Ok(LogicalAction::Punt(PuntOp::Igmp)),
            "handle_dhcpv6_reply" => Ok(LogicalAction::Punt(PuntOp::Dhcpv6Reply)),
            "handle_bfd_msg" => self.handle_bfd_msg(),
            "ct_snat_to_vip" => Ok(LogicalAction::Visit(VisitOp::CtSnatToVip)),
            "mac_cache_use" => Ok(LogicalAction::Visit(VisitOp::MacCacheUse)),
            "flood_remote" => Ok(LogicalAction::Visit(VisitOp::FloodRemote)),
            "get_arp" => self.get_mac(Family::V4),
            "get_nd" => self.get_mac(Family::V6),
            "put_arp" => self.put_mac(Family::V4),
            "put_nd" => self.put_mac(Family::V6),
            "put_fdb" => self.put_fdb(),
            "set_queue" => self.set_queue(),
            "set_meter" => self.set_meter(),
            "log" => self.log(),
            "sample" => self.sample(),
            "trigger_event" => self.trigger_event(),
            "bind_vport" => self.bind_vport(),
            "handle_svc_check" => self.handle_svc_check(),
            "mirror" => self.mirror(),
            "fwd_group" => self.fwd_group(),
            "commit_ecmp_nh" => self.commit_ecmp_nh(),
            "commit_lb_aff" => self.commit_lb_aff(),
            _ => self.ct_action(keyword),
        }
    }

    /// `next;`, `next(table);`, `next(pipeline=ingress, table=table);`
    fn next(&mut self) -> Parsed {
        let ActionParse { pipeline: source_pipeline, table: source_table, n_tables, .. } = *self.params;
        if n_tables == 0 {
            return Err(self.lexer.error("\"next\" action not allowed here."));
        }
        let (mut pipeline, mut table) = (source_pipeline, i32::from(source_table) + 1);
        if self.lexer.match_token(&Token::LParen) {
            match self.lexer.match_int() {
                Some(number) => table = number,
                None => loop {
                    self.next_argument(&mut pipeline, &mut table)?;
                    if !self.lexer.match_token(&Token::Comma) {
                        break;
                    }
                },
            }
            self.lexer.force_match(&Token::RParen)?;
        }
        match u8::try_from(table) {
            Ok(table) if table < pipeline.n_tables() => {
                Ok(LogicalAction::Next(Next { pipeline, table, source_pipeline, source_table }))
            }
            _ => {
                let limit = pipeline.n_tables();
                Err(self.lexer.error(format!("\"next\" action cannot advance beyond table {limit}.")))
            }
        }
    }

    fn next_argument(&mut self, pipeline: &mut Pipeline, table: &mut i32) -> Result<(), Error> {
        if self.lexer.match_id("pipeline") {
            self.lexer.force_match(&Token::Equals)?;
            *pipeline = if self.lexer.match_id("ingress") {
                Pipeline::Ingress
            } else if self.lexer.match_id("egress") {
                Pipeline::Egress
            } else {
                return Err(self.lexer.syntax_error("expecting \"ingress\" or \"egress\""));
            };
            Ok(())
        } else if self.lexer.match_id("table") {
            self.lexer.force_match(&Token::Equals)?;
            *table = self.lexer.force_int()?;
            Ok(())
        } else {
            Err(self.lexer.syntax_error("expecting \"pipeline\" or \"table\""))
        }
    }

    /// `{ ... }` after the keyword of `op`.
    fn nest(&mut self, op: NestOp) -> Parsed {
        let scope = match op {
            NestOp::CtCommit => WriteScope::CT_COMMIT,
            NestOp::Clone => WriteScope::DEFAULT,
            _ => self.scope,
        };
        self.lexer.force_match(&Token::LCurly)?;
        if self.depth + 1 == MAX_DEPTH {
            return Err(self.lexer.error("maximum depth of nested actions reached"));
        }
        let outer_scope = std::mem::replace(&mut self.scope, scope);
        let outer_prereqs = self.prereqs.take();
        self.depth += 1;
        let actions = self.list(&Token::RCurly)?;
        self.depth -= 1;
        self.scope = outer_scope;
        let inner_prereqs = std::mem::replace(&mut self.prereqs, outer_prereqs);
        match op.prerequisite() {
            Some(text) => self.require(text)?,
            None => self.prereqs = and(inner_prereqs, self.prereqs.take()),
        }
        Ok(LogicalAction::Nest { op, actions })
    }

    /// Adds a prerequisite, given as match text.
    fn require(&mut self, text: &str) -> Result<(), Error> {
        let expr = Expr::parse(text, self.params.symbols, &NoSets)?;
        self.prereqs = and(self.prereqs.take(), Some(expr));
        Ok(())
    }

    /// The logical table after this flow's.
    fn next_table(&self) -> u8 {
        self.params.table.saturating_add(1)
    }

    /// Fails if the flow stands in a pipeline's last table: `action` needs one more. OVN compares with the number of
    /// tables rather than the last table, so that this never happens to flows of a valid table.
    fn check_not_last(&self, action: &str) -> Result<(), Error> {
        if self.params.table >= self.params.n_tables {
            return Err(self.lexer.error(format!("\"{action}\" action not allowed in last table.")));
        }
        Ok(())
    }

    /// A field or subfield; what it demands of the match is recorded.
    fn field(&mut self) -> Result<FieldRef, Error> {
        let field = self.any_field()?;
        match field.symbol.kind {
            // OVN 26.03 accepts its pseudo fields here and crashes when it encodes them.
            SymbolKind::Ovn(_) => Err(self.lexer.error(format!("Field {} is not readable.", field.symbol.name))),
            _ => Ok(field),
        }
    }

    /// Like `field`, but also OVN's pseudo fields.
    fn any_field(&mut self) -> Result<FieldRef, Error> {
        FieldRef::parse_operand(&mut self.lexer, self.params.symbols, &mut self.prereqs)
    }

    /// A field that is read, of `n_bits` bits; 0 stands for a string field.
    fn argument(&mut self, n_bits: u16) -> Result<FieldRef, Error> {
        let field = self.field()?;
        self.check_type(&field, n_bits, false)?;
        Ok(field)
    }

    /// Checks that `field` has `n_bits` bits (0: is a string field) and, if `writable`, may be changed here (OVN:
    /// `expr_type_check`).
    fn check_type(&self, field: &FieldRef, n_bits: u16, writable: bool) -> Result<(), Error> {
        field.check(n_bits, writable.then_some(self.scope)).map_err(|message| self.lexer.error(message))
    }

    /// Steps over a decimal number up to 65535; `what` names it in the error.
    fn uint16(&mut self, what: &str) -> Result<u16, Error> {
        match self.lexer.int().map(u16::try_from) {
            Some(Ok(value)) => {
                self.lexer.advance();
                Ok(value)
            }
            _ => Err(self.lexer.syntax_error(&format!("expecting {what}"))),
        }
    }

    /// The current token's value if it is a decimal integer without a mask.
    fn decimal(&self) -> Option<u64> {
        match *self.lexer.token() {
            Token::Integer(i) if i.format == crate::IntegerFormat::Decimal => Some(i.value as u64),
            _ => None,
        }
    }

    /// `id`, or "Syntax error ... `message`."
    fn force_id(&mut self, id: &str, message: &str) -> Result<(), Error> {
        if self.lexer.match_id(id) { Ok(()) } else { Err(self.lexer.syntax_error(message)) }
    }

    /// Steps over a string, or fails with "Syntax error ... `message`."
    fn force_string(&mut self, message: &str) -> Result<Box<str>, Error> {
        match self.lexer.token() {
            Token::String(text) => {
                let text = text.as_ref().into();
                self.lexer.advance();
                Ok(text)
            }
            _ => Err(self.lexer.syntax_error(message)),
        }
    }

    /// `true` or `false`, quoted or not.
    fn force_bool(&mut self) -> Result<bool, Error> {
        for (text, value) in [("true", true), ("false", false)] {
            if self.lexer.match_string(text) || self.lexer.match_id(text) {
                return Ok(value);
            }
        }
        Err(self.lexer.syntax_error("expecting true or false"))
    }
}

/// The AND of two optional expressions, in this order.
fn and(a: Option<Expr>, b: Option<Expr>) -> Option<Expr> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.and(b)),
        (a, b) => a.or(b),
    }
}

/// All words that begin an action which is not an assignment.
const KEYWORDS: &[&str] = &[
    "arp",
    "bind_vport",
    "clone",
    "commit_ecmp_nh",
    "commit_lb_aff",
    "ct_clear",
    "ct_commit",
    "ct_commit_nat",
    "ct_commit_to_zone",
    "ct_dnat",
    "ct_dnat_in_czone",
    "ct_lb",
    "ct_lb_mark",
    "ct_lb_mark_local",
    "ct_next",
    "ct_snat",
    "ct_snat_in_czone",
    "ct_snat_to_vip",
    "flood_remote",
    "fwd_group",
    "get_arp",
    "get_nd",
    "handle_bfd_msg",
    "handle_dhcpv6_reply",
    "handle_svc_check",
    "icmp4",
    "icmp4_error",
    "icmp6",
    "icmp6_error",
    "igmp",
    "ip.ttl",
    "log",
    "mac_cache_use",
    "mirror",
    "nd_na",
    "nd_na_router",
    "nd_ns",
    "next",
    "output",
    "pop",
    "push",
    "put_arp",
    "put_fdb",
    "put_nd",
    "reject",
    "sample",
    "sctp_abort",
    "set_meter",
    "set_queue",
    "tcp_reset",
    "trigger_event",
];
