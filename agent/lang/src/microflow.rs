//! Microflows: matches that describe one packet instead of selecting many. Entry: [`Microflow::parse`].
//!
//! `ovn-appctl inject-pkt` takes one. It is written as a match; prerequisites follow from the fields, as in every match.

use crate::expr::normalize::Test;
use crate::{ConstantSets, Error, Expr, Limits, Operand, SymbolTable, TooComplex};
use ofproto_client::{Field, Match};
use std::sync::Arc;

/// The fields of one packet and where it enters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Microflow {
    /// The logical port that `inport` names.
    pub inport: Option<Arc<str>>,
    /// What is said of the numeric fields. Bits that nothing is said of are 0 in the packet.
    pub fields: Match,
}

/// Why a text is not a microflow, in ovn-controller's words.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MicroflowError {
    /// It is not a match.
    #[error(transparent)]
    Syntax(#[from] Error),
    /// No packet is like that.
    #[error("Constraints are contradictory.")]
    Contradictory,
    /// Packets that differ are like that: it holds a disjunction.
    #[error("Constraints are ambiguous: {0}.")]
    Ambiguous(
        /// The text with prerequisites and predicates spelt out, which shows what it is that is open.
        String,
    ),
    /// Multiplying it out takes too much work.
    #[error(transparent)]
    TooComplex(#[from] TooComplex),
}

impl Microflow {
    /// Parses a text (`expr_parse_microflow`, OVN v26.03.1). `is_chassis_resident()` holds for every port.
    ///
    /// Like there it is not clever: what is written as a disjunction is refused, even if only one packet fits. Unlike there
    /// `ip.dscp` and `ip.ecn` count, which `mf_set` of Open vSwitch leaves out.
    pub fn parse(text: &str, symbols: &SymbolTable, sets: &dyn ConstantSets) -> Result<Microflow, MicroflowError> {
        let expr = Expr::parse(text, symbols, sets)?.annotate();
        let ambiguous = MicroflowError::Ambiguous(expr.to_string());
        let normalized = expr.simplify().evaluate(&mut |_| true).normalize(Limits::default())?;
        let mut alternatives = normalized.alternatives();
        let only = match (alternatives.next(), alternatives.next()) {
            (None, _) => return Err(MicroflowError::Contradictory),
            (Some(only), None) => only,
            (Some(_), Some(_)) => return Err(ambiguous),
        };
        let mut microflow = Microflow::default();
        for factor in only.iter().filter_map(|&index| normalized.factors().get(index as usize)) {
            let Test::Is(operand) = &factor.test else { return Err(ambiguous) };
            let Some(field) = factor.symbol.field() else { continue };
            match operand {
                Operand::Numeric { value, mask, .. } => microflow.constrain(field, *value, *mask)?,
                Operand::String(name) if factor.symbol.name == "inport" => microflow.inport = Some(name.clone()),
                Operand::String(_) => {}
            }
        }
        Ok(microflow)
    }

    /// Adds to what is said of `field`. Two symbols may be about one field, such as `arp.op` and `rarp.op`.
    fn constrain(&mut self, field: Field, value: u128, mask: u128) -> Result<(), MicroflowError> {
        let (old, old_mask) = self.fields.get(field).unwrap_or((0, 0));
        if (old ^ value) & old_mask & mask != 0 {
            return Err(MicroflowError::Contradictory);
        }
        self.fields.set_masked(field, old | value, old_mask | mask);
        Ok(())
    }
}
