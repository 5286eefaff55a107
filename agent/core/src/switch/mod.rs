//! The switch side: what the switch should hold and what it holds, one table for both, and the messages that bring the
//! second to the first. Entry types: [`FlowTable`], [`FlowId`].

mod flow_table;

pub use flow_table::{Change, FlowId, FlowTable, Installed, Resolved};
