//! The switch side: what the switch should hold and what it holds, one table for both, and the session that reads the second
//! back and brings it to the first. Entry types: [`FlowTable`], [`Session`].

mod audit;
mod batch;
mod discovery;
mod flow_table;
mod packets;
mod push;
mod quarantine;
mod refusal;
mod session;
#[cfg(test)]
pub(crate) mod tests;

pub use audit::AuditCounters;
pub use flow_table::{Change, Finding, FlowId, FlowTable, Installed, Resolved};
pub use push::group_of;
pub use quarantine::Culprit;
pub use session::{Notice, Session, Target};
