//! Actions with arguments that ovn-controller or the switch's own machinery serves: `log`, `sample`, `set_meter`,
//! `set_queue`, `bind_vport`, `handle_svc_check`, `handle_bfd_msg`, `dhcp_relay_*_chk`, `mirror`.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::{Parsed, Parser};
use crate::actions::LogicalAction;
use crate::actions::types::*;
use crate::{Error, FieldRef, IntegerFormat, Token};

/// Highest queue id (OVN: `QDISC_MAX_QUEUE_ID`).
const MAX_QUEUE_ID: i32 = 0xf000;
/// ACL names have to be shorter than this.
const MAX_LOG_NAME: usize = 64;

impl Parser<'_, '_> {
    /// `handle_bfd_msg()`
    pub(super) fn handle_bfd_msg(&mut self) -> Parsed {
        self.lexer.force_match(&Token::LParen)?;
        self.lexer.force_match(&Token::RParen)?;
        Ok(LogicalAction::Punt(PuntOp::BfdMsg))
    }

    /// `set_queue(id)`
    pub(super) fn set_queue(&mut self) -> Parsed {
        self.lexer.force_match(&Token::LParen)?;
        let Some(id) = self.lexer.match_int() else {
            // OVN notices only that the action does not end here.
            return Err(self.lexer.syntax_error("expecting `;'"));
        };
        self.lexer.force_match(&Token::RParen)?;
        match u32::try_from(id) {
            Ok(queue) if id <= MAX_QUEUE_ID => Ok(LogicalAction::SetQueue(queue)),
            _ => {
                Err(self.lexer.error(format!("Queue ID {id} for set_queue is not in valid range 0 to {MAX_QUEUE_ID}.")))
            }
        }
    }

    /// `set_meter(rate)`, `set_meter(rate, burst)`. What is not a decimal number counts as 0.
    pub(super) fn set_meter(&mut self) -> Parsed {
        self.lexer.force_match(&Token::LParen)?;
        let rate = self.decimal().unwrap_or(0);
        self.lexer.advance();
        let mut burst = 0;
        if self.lexer.match_token(&Token::Comma) {
            burst = self.decimal().unwrap_or(0);
            self.lexer.advance();
        }
        self.lexer.force_match(&Token::RParen)?;
        if rate == 0 {
            return Err(self.lexer.error("Rate 0 for set_meter is not in valid."));
        }
        Ok(LogicalAction::SetMeter { rate, burst })
    }

    /// `log(name="n", verdict=drop, severity=alert, meter="m")`; of repeated arguments the last one counts.
    pub(super) fn log(&mut self) -> Parsed {
        let (mut name, mut verdict, mut severity, mut meter) = (None, None, Severity::Info, None);
        if self.lexer.match_token(&Token::LParen) {
            while !self.lexer.match_token(&Token::RParen) {
                if self.lexer.match_id("verdict") {
                    self.lexer.force_match(&Token::Equals)?;
                    verdict = Some(self.log_verdict()?);
                } else if self.lexer.match_id("name") {
                    self.lexer.force_match(&Token::Equals)?;
                    if matches!(self.lexer.token(), Token::String(name) if name.len() >= MAX_LOG_NAME) {
                        return Err(self.lexer.syntax_error("name must be shorter than 64 characters"));
                    }
                    name = Some(self.force_string("expecting string")?);
                } else if self.lexer.match_id("severity") {
                    self.lexer.force_match(&Token::Equals)?;
                    severity = self.log_severity()?;
                } else if self.lexer.match_id("meter") {
                    self.lexer.force_match(&Token::Equals)?;
                    meter = Some(self.force_string("expecting string")?);
                } else {
                    return Err(self.lexer.syntax_error(""));
                }
                self.lexer.match_token(&Token::Comma);
            }
        }
        let verdict = verdict.ok_or_else(|| self.lexer.syntax_error("expecting verdict"))?;
        Ok(LogicalAction::Log(Box::new(Log { name, verdict, severity, meter })))
    }

    fn log_verdict(&mut self) -> Result<Verdict, Error> {
        let verdict = Verdict::ALL.into_iter().find(|verdict| *self.lexer.token() == Token::Id(verdict.name()));
        let verdict = verdict.ok_or_else(|| self.lexer.syntax_error("unknown verdict"))?;
        self.lexer.advance();
        Ok(verdict)
    }

    fn log_severity(&mut self) -> Result<Severity, Error> {
        let Token::Id(name) = *self.lexer.token() else {
            return Err(self.lexer.syntax_error("expecting severity"));
        };
        let severity = Severity::ALL.into_iter().find(|severity| severity.name() == name);
        let severity = severity.ok_or_else(|| self.lexer.syntax_error("unknown severity"))?;
        self.lexer.advance();
        Ok(severity)
    }

    /// `sample(probability=65535, collector_set=1, obs_domain=2, obs_point=$cookie)`
    ///
    /// As in OVN, `$cookie` counts more than a field and that more than a number if several points are given, and what is
    /// not a decimal number counts as 0 for `collector_set` and `obs_domain`.
    pub(super) fn sample(&mut self) -> Parsed {
        let mut sample = Sample { probability: 0, collector_set: 0, obs_domain: 0, obs_point: ObsPoint::Number(0) };
        if self.lexer.match_token(&Token::LParen) {
            while !self.lexer.match_token(&Token::RParen) {
                self.sample_argument(&mut sample)?;
                self.lexer.match_token(&Token::Comma);
            }
        }
        if sample.probability == 0 {
            return Err(self.lexer.error("probability must be greater than zero"));
        }
        Ok(LogicalAction::Sample(Box::new(sample)))
    }

    fn sample_argument(&mut self, sample: &mut Sample) -> Result<(), Error> {
        if self.lexer.match_id("probability") {
            self.lexer.force_match(&Token::Equals)?;
            if self.decimal().is_some() {
                sample.probability = self.uint16("probability")?;
            }
        } else if self.lexer.match_id("obs_point") {
            self.lexer.force_match(&Token::Equals)?;
            let point = self.obs_point()?;
            match (&sample.obs_point, &point) {
                (ObsPoint::Cookie, _) | (ObsPoint::Field(_), ObsPoint::Number(_)) => {}
                _ => sample.obs_point = point,
            }
        } else if self.lexer.match_id("obs_domain") {
            self.lexer.force_match(&Token::Equals)?;
            if let Some(domain) = self.decimal() {
                // OVN looks at the low 32 bits.
                sample.obs_domain = u8::try_from(domain as u32)
                    .map_err(|_| self.lexer.syntax_error("obs_domain must be 8-bit long"))?;
            }
            self.lexer.advance();
        } else if self.lexer.match_id("collector_set") {
            self.lexer.force_match(&Token::Equals)?;
            if let Some(id) = self.decimal() {
                sample.collector_set = id as u32;
            }
            self.lexer.advance();
        } else {
            return Err(self.lexer.syntax_error("unknown argument"));
        }
        Ok(())
    }

    fn obs_point(&mut self) -> Result<ObsPoint, Error> {
        if *self.lexer.token() == Token::AddressSet("cookie") {
            self.lexer.advance();
            Ok(ObsPoint::Cookie)
        } else if let Some(number) = self.decimal() {
            self.lexer.advance();
            Ok(ObsPoint::Number(number as u32))
        } else {
            Ok(ObsPoint::Field(self.argument(32)?))
        }
    }

    /// `bind_vport("vport", inport)`
    pub(super) fn bind_vport(&mut self) -> Parsed {
        self.lexer.force_match(&Token::LParen)?;
        let vport = self.force_string("expecting port name string")?;
        self.lexer.force_match(&Token::Comma)?;
        let parent = self.argument(0)?;
        self.lexer.force_match(&Token::RParen)?;
        Ok(LogicalAction::BindVport { vport: Arc::from(vport), parent })
    }

    /// `handle_svc_check(inport)`
    pub(super) fn handle_svc_check(&mut self) -> Parsed {
        self.lexer.force_match(&Token::LParen)?;
        let port = self.argument(0)?;
        self.lexer.force_match(&Token::RParen)?;
        Ok(LogicalAction::HandleSvcCheck(port))
    }

    /// `mirror("port")`
    pub(super) fn mirror(&mut self) -> Parsed {
        self.lexer.force_match(&Token::LParen)?;
        let port = self.force_string("expecting port name string")?;
        self.lexer.force_match(&Token::RParen)?;
        Ok(LogicalAction::Mirror(Arc::from(port)))
    }

    /// `dhcp_relay_req_chk(relay, server)`, on which the lexer stands.
    pub(super) fn dhcp_relay_check(&mut self, dst: FieldRef, response: bool) -> Parsed {
        self.lexer.advance();
        self.lexer.force_match(&Token::LParen)?;
        self.check_type(&dst, 1, true)?;
        let relay = self.ipv4().ok_or_else(|| self.lexer.syntax_error("expecting IPv4 dhcp relay and server ips"))?;
        self.lexer.match_token(&Token::Comma);
        let server = self.ipv4().ok_or_else(|| self.lexer.syntax_error("expecting IPv4 dhcp server ip"))?;
        self.lexer.force_match(&Token::RParen)?;
        Ok(LogicalAction::DhcpRelayCheck(Box::new(DhcpRelayCheck { response, dst, relay, server })))
    }

    /// Steps over an IPv4 address; a mask is ignored, as in OVN.
    fn ipv4(&mut self) -> Option<Ipv4Addr> {
        match *self.lexer.token() {
            Token::Integer(i) | Token::MaskedInteger(i) if i.format == IntegerFormat::Ipv4 => {
                self.lexer.advance();
                Some(Ipv4Addr::from_bits(i.value as u32))
            }
            _ => None,
        }
    }
}
