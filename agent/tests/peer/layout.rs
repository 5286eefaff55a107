//! Releases of OVN number the OpenFlow tables differently: [`Layout`] brings flows of another release into our numbers.

use std::fmt;
use std::str::FromStr;

use ofproto_client::{Action, ActionList, Flow, Group};

use crate::common::process::run;

/// The release whose flows are ours: tables, registers, words.
pub const OURS: Release = Release(26, 3);

/// First table of our logical ingress pipeline, of `output` and of the logical egress pipeline, and the first behind it.
const INGRESS: u8 = 8;
pub const OUTPUT: u8 = 42;
const EGRESS: u8 = 48;
const BEHIND: u8 = 64;

/// A release of OVN: year and month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(pub u16, pub u16);

impl FromStr for Release {
    type Err = String;

    fn from_str(text: &str) -> Result<Release, String> {
        let number = |part: Option<&str>| part.and_then(|part| part.parse().ok());
        let mut parts = text.split('.');
        match (number(parts.next()), number(parts.next())) {
            (Some(year), Some(month)) => Ok(Release(year, month)),
            _ => Err(format!("`{text}` is no release of OVN")),
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0, self.1)
    }
}

/// The release of the packaged ovn-controller.
pub fn packaged() -> Release {
    let text = run("ovn-controller", std::path::Path::new("/"), &["--version"]);
    let word = text.lines().next().and_then(|line| line.split_whitespace().last());
    word.unwrap_or_default().parse().unwrap_or_else(|error| panic!("ovn-controller --version: {error}: {text}"))
}

/// Where a release has its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// First table of the egress pipeline.
    egress: u8,
    /// Our numbers of the tables between the two pipelines, in order.
    between: &'static [u8],
}

/// The layouts that are known. Another one is to be added here, from `controller/lflow.h` of the release.
const LAYOUTS: &[Layout] = &[
    // 23.03: without the step to remote VTEPs.
    Layout { egress: 42, between: &[42, 43, 44, 46, 47] },
    Layout { egress: 48, between: &[42, 43, 44, 45, 46, 47] },
];

impl Layout {
    /// The layout of flows: the egress pipeline begins where the check for loopback, which clears the registers, goes on.
    pub fn of(flows: &[Flow]) -> Layout {
        let clears = |flow: &&Flow| {
            let is = |action: &Action| matches!(action, Action::SetField { field, .. } if field.name() == "reg9");
            flow.priority == 0 && flow.actions.decode().unwrap().iter().any(is)
        };
        let last = |flow: &Flow| flow.actions.decode().unwrap().pop();
        let Some(Some(Action::Resubmit { table, .. })) = flows.iter().find(clears).map(last) else {
            panic!("no check for loopback in {} flows", flows.len());
        };
        let known = LAYOUTS.iter().find(|layout| layout.egress == table);
        *known.unwrap_or_else(|| panic!("an egress pipeline from table {table} on is not in LAYOUTS"))
    }

    /// Our number of a table.
    fn ours(&self, table: u8) -> u8 {
        let output = self.egress - u8::try_from(self.between.len()).unwrap();
        match table {
            table if table >= BEHIND || table < output => table,
            table if table < self.egress => self.between[usize::from(table - output)],
            table => table - self.egress + EGRESS,
        }
    }

    /// The flow with our numbers.
    pub fn apply(&self, flow: &Flow) -> Flow {
        let actions = flow.actions.decode().unwrap_or_else(|error| panic!("{flow}: {error}"));
        Flow { table: self.ours(flow.table), actions: self.list(&actions), ..flow.clone() }
    }

    /// The group with our numbers.
    pub fn group(&self, group: &Group) -> Group {
        let mut group = group.clone();
        for bucket in &mut group.buckets {
            bucket.actions = self.list(&bucket.actions.decode().unwrap());
        }
        group
    }

    fn list(&self, actions: &[Action]) -> ActionList {
        let actions: Vec<Action> = actions.iter().map(|action| self.action(action)).collect();
        ActionList::from(&actions[..])
    }

    fn action(&self, action: &Action) -> Action {
        let mut action = action.clone();
        let all = |actions: &mut Vec<Action>| actions.iter_mut().for_each(|action| *action = self.action(action));
        match &mut action {
            Action::Resubmit { table, .. } => *table = self.ours(*table),
            Action::Ct(ct) => {
                ct.recirc_table = ct.recirc_table.map(|table| self.ours(table));
                all(&mut ct.actions);
            }
            Action::Learn(learn) => learn.table = self.ours(learn.table),
            Action::Clone(actions) => all(actions),
            Action::Controller(controller) => {
                if let Some(actions) = inner(&controller.userdata) {
                    let list = self.list(&actions);
                    controller.userdata = [&controller.userdata[..HEADER], list.as_bytes()].concat().into();
                }
            }
            _ => {}
        }
        action
    }
}

/// Bytes in front of the actions in userdata: opcode and padding.
pub const HEADER: usize = 8;

/// The actions in userdata: those of `icmp4 { ... }`, `reject { ... }` and their like.
pub fn inner(userdata: &[u8]) -> Option<Vec<Action>> {
    let actions = ActionList::from_bytes(userdata.get(HEADER..)?).decode().ok()?;
    (!actions.is_empty()).then_some(actions)
}

/// Whether a table of ours belongs to a logical pipeline.
pub fn is_logical(table: u8) -> bool {
    (INGRESS..OUTPUT).contains(&table) || (EGRESS..BEHIND).contains(&table)
}

/// Tables that actions look things up in and that are alike in all releases: known neighbours, load balancers, FDB, port
/// security.
pub fn is_lookup(table: u8) -> bool {
    [67, 68, 70, 72, 73, 75].contains(&table)
}
