//! The switch side: what the switch should hold and what it holds, one table for both, and the session that reads the second
//! back and brings it to the first. Entry types: [`FlowTable`], [`Session`].

mod discovery;
mod flow_table;
mod session;
mod update;

pub use flow_table::{Change, FlowId, FlowTable, Installed, Resolved};
pub use session::{Notice, Session, Target};
pub use update::group_of;
