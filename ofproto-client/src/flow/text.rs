//! Flows as `ovs-ofctl -O OpenFlow15 --no-names dump-flows` prints them, without statistics.

use std::fmt;
use std::str::FromStr;

use super::Flow;
use crate::action::{ActionList, parse_actions};
use crate::error::Error;
use crate::flow_match::{Match, MatchReader};
use crate::text::Span;

/// `OFP_DEFAULT_PRIORITY`, which is not printed.
const DEFAULT_PRIORITY: u16 = 32768;
/// Statistics that are skipped when reading.
const STATISTICS: [&str; 5] = ["duration", "n_packets", "n_bytes", "idle_age", "hard_age"];

/// The text of a flow up to its actions: `cookie=0x1, table=0, priority=100,in_port=1 actions=`. For whoever prints many flows with few different
/// action lists, of which the texts are the longer part.
#[derive(Copy, Clone, Debug)]
pub struct FlowHead<'a> {
    /// OpenFlow table.
    pub table: u8,
    /// Higher wins.
    pub priority: u16,
    /// Opaque.
    pub cookie: u64,
    /// Which packets.
    pub match_: &'a Match,
}

impl fmt::Display for FlowHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cookie={:#x}, table={}, ", self.cookie, self.table)?;
        if self.priority != DEFAULT_PRIORITY {
            write!(f, "priority={}", self.priority)?;
            f.write_str(if self.match_.is_empty() { " " } else { "," })?;
        }
        if !self.match_.is_empty() {
            fmt::Display::fmt(self.match_, f)?;
            f.write_str(" ")?;
        }
        f.write_str("actions=")
    }
}

/// ` cookie=0x1, table=0, priority=100,in_port=1 actions=drop`, without the leading blank.
impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Flow { table, priority, cookie, match_, actions } = self;
        FlowHead { table: *table, priority: *priority, cookie: *cookie, match_ }.fmt(f)?;
        actions.fmt(f)
    }
}

/// Also reads statistics (and forgets them). A missing table is 0, a missing priority 32768.
impl FromStr for Flow {
    type Err = Error;

    fn from_str(text: &str) -> Result<Flow, Error> {
        let whole = Span::new(text);
        let Some((head, actions)) = whole.split_once("actions=") else {
            return whole.error("flow", "missing \"actions=\"");
        };
        let mut flow = Flow { priority: DEFAULT_PRIORITY, ..Flow::default() };
        let mut reader = MatchReader::default();
        for item in head.items() {
            let (key, value) = item.split_once("=").map_or((item.text, None), |(key, value)| (key.text, Some(value)));
            match (key, value) {
                ("cookie", Some(value)) => flow.cookie = value.u64("cookie")?,
                ("table", Some(value)) => flow.table = value.u8("table")?,
                ("priority", Some(value)) => flow.priority = value.u16("priority")?,
                (key, Some(_)) if STATISTICS.contains(&key) => (),
                _ => reader.item(item)?,
            }
        }
        flow.match_ = reader.finish()?;
        flow.actions = ActionList::from(parse_actions(actions)?.as_slice());
        Ok(flow)
    }
}
