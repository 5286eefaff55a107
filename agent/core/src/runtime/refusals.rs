//! Lines for the log about what the switch refused, with the rows behind it, and about what the audit found.

use std::collections::BTreeSet;

use super::Level;
use crate::agent::Agent;
use crate::switch::{AuditCounters, Culprit, FlowId};

/// So many rows are named; a group may be that of hundreds of logical flows.
const NAMED: usize = 3;

/// What the switch refused, whose it is, and why.
pub fn describe(agent: &Agent, culprit: Culprit, why: &str) -> String {
    let flows = agent.flows();
    let needed = |test: &dyn Fn(FlowId) -> bool| {
        let needing: Vec<FlowId> = flows.iter_desired().filter(|id| test(*id)).collect();
        let rows: BTreeSet<String> = needing.iter().take(1000).flat_map(|id| agent.owners(*id)).collect();
        (needing.len(), list(rows))
    };
    let actions = |id: FlowId| flows.desired(id).map(|desired| desired.actions);
    match culprit {
        Culprit::Flow(id) => {
            let owners = list(agent.owners(id).into_iter().collect());
            format!("flow of {owners} refused by the switch: {why}: {}", flow(agent, id))
        }
        Culprit::Group(group) => {
            let (count, rows) = needed(&|id| actions(id).is_some_and(|actions| actions.refers_to_group(group)));
            let text = agent.desired_groups().into_iter().find(|(id, _)| *id == group).map(|(_, text)| text);
            let text = text.as_deref().unwrap_or_default().to_owned();
            format!("group {group} of {rows} refused by the switch, {count} flows wait for it: {why}: {text}")
        }
        Culprit::Meter(meter) => {
            let (count, rows) = needed(&|id| actions(id).is_some_and(|actions| actions.refers_to_meter(meter)));
            let name = agent.desired_meter_names().into_iter().find(|(id, _)| *id == meter).map(|(_, name)| name);
            let name = name.as_deref().unwrap_or_default().to_owned();
            format!("meter {meter} \"{name}\" of {rows} refused by the switch, {count} flows wait for it: {why}")
        }
        Culprit::Table(table) => format!("table {table} of the switch is full: {why}"),
    }
}

/// What a pass of the audit found.
pub fn audited(found: &AuditCounters) -> (Level, String) {
    let AuditCounters { flows, flows_missing, flows_changed, flows_foreign, groups, meters, .. } = found;
    if found.drift() == 0 {
        return (Level::Debug, format!("audit: {flows} flows of the switch are as they should be"));
    }
    let text = format!(
        "audit: somebody else changed the switch: {flows_missing} flows missing, {flows_changed} changed, {flows_foreign} \
         foreign, {groups} groups and {meters} meters different; repaired"
    );
    (Level::Warn, text)
}

fn list(rows: BTreeSet<String>) -> String {
    let more = rows.len().saturating_sub(NAMED);
    let named: Vec<String> = rows.into_iter().take(NAMED).collect();
    match (named.is_empty(), more) {
        (true, _) => "nobody".to_owned(),
        (false, 0) => named.join(", "),
        (false, more) => format!("{} and {more} more", named.join(", ")),
    }
}

fn flow(agent: &Agent, id: FlowId) -> String {
    let flows = agent.flows();
    match (flows.flow_key(id), flows.desired(id)) {
        (Some((table, priority, match_)), Some(desired)) => ofproto_client::Flow {
            table,
            priority,
            cookie: desired.cookie,
            match_: match_.clone(),
            actions: desired.actions,
        }
        .to_string(),
        (Some((table, priority, match_)), None) => format!("deletion of table={table}, priority={priority},{match_}"),
        _ => "a flow that is not wanted any more".to_owned(),
    }
}
