//! The sets, groups and ports that test vectors refer to, and the steps that are run on them.

use ovn_lang::{AddressSet, ConstantSets, Expr, Limits, Microflow, MicroflowError, SymbolTable};
use std::sync::Arc;

struct Sets;

impl ConstantSets for Sets {
    fn address_set(&self, name: &str) -> Option<Arc<AddressSet>> {
        let addresses: &[&str] = match name {
            "set1" => &["10.0.0.1", "10.0.0.2", "10.0.0.3"],
            "set2" => &["::1", "::2", "::3"],
            "set3" => &["00:00:00:00:00:01", "00:00:00:00:00:02", "00:00:00:00:00:03"],
            "set4" => &[],
            "cidr" => &["10.0.0.0/8", "10.1.0.0/16", "192.168.0.1"],
            _ => return None,
        };
        Some(Arc::new(AddressSet::parse(addresses.iter().copied()).0))
    }

    fn port_group(&self, name: &str) -> Option<Arc<[Arc<str>]>> {
        match name {
            "pg1" => Some(["lsp1", "lsp2", "lsp3"].map(Arc::from).into()),
            "pg_empty" => Some(Arc::new([])),
            _ => None,
        }
    }
}

fn port_key(name: &str) -> Option<u32> {
    Some(match name {
        "none" => 0,
        "eth0" => 5,
        "eth1" => 6,
        "LOCAL" => 0xfffe,
        "lsp1" => 0x11,
        "lsp2" => 0x12,
        "lsp3" => 0x13,
        _ => return None,
    })
}

/// The result of bringing `text` to `step`: one line, or for `flows` one per match. A step `acl-X` uses the ACL CT symbols;
/// `offset` gives the place of the error,
/// `microflow` takes the text for the description of a packet.
pub fn run(step: &str, text: &str) -> Vec<String> {
    let (symbols, step) = match step.strip_prefix("acl-") {
        Some(step) => (SymbolTable::acl_ct(), step),
        None => (SymbolTable::main(), step),
    };
    if step == "microflow" {
        return vec![microflow(text, symbols)];
    }
    let expr = match Expr::parse(text, symbols, &Sets) {
        Ok(expr) => expr,
        Err(error) if step == "offset" => return vec![error.offset.to_string()],
        Err(error) => return vec![error.to_string()],
    };
    if step == "parse" {
        return vec![expr.to_string()];
    }
    let expr = expr.annotate();
    if step == "annotate" {
        return vec![expr.to_string()];
    }
    let expr = expr.simplify().evaluate(&mut |port| port_key(port).is_some());
    if step == "simplify" {
        return vec![expr.to_string()];
    }
    let normalized = match expr.normalize(Limits::default()) {
        Ok(normalized) => normalized,
        Err(error) => return vec![error.to_string()],
    };
    if step == "normalize" {
        return vec![normalized.to_string()];
    }
    match normalized.to_matches(&mut port_key) {
        Ok(matches) if matches.flows.is_empty() => vec!["(no flows)".to_string()],
        Ok(matches) => matches.flows.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    }
}

/// A microflow: its ingress port and its fields, or the error with its column.
fn microflow(text: &str, symbols: &SymbolTable) -> String {
    match Microflow::parse(text, symbols, &Sets) {
        Ok(microflow) => format!("{}: {}", microflow.inport.as_deref().unwrap_or("-"), microflow.fields),
        Err(MicroflowError::Syntax(error)) => format!("{error} (at column {})", error.column(text)),
        Err(error) => error.to_string(),
    }
}
