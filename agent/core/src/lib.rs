//! The OVN hypervisor agent without its I/O: observations in, flows and database operations out.
//!
//! Data flows one way: [`model`] (what was observed) -> [`view`] (facts about this hypervisor) -> [`flows`] and [`writeback`]
//! (what the targets should hold) -> [`switch`] and the databases. What derives what is decided by the [`engine`] from what was
//! read. Entry type: [`Agent`].
#![forbid(unsafe_code)]

pub mod agent;
pub mod ahead;
mod asked;
pub mod caches;
pub mod changes;
pub mod engine;
pub mod facts;
pub mod flows;
pub mod injection;
pub mod kernel;
pub mod list;
pub mod membership;
pub mod model;
pub mod plug;
pub mod pools;
pub mod reader;
pub mod rows;
pub mod runtime;
pub mod switch;
pub mod units;
pub mod view;
pub mod writeback;
pub mod zones;

pub use agent::{Agent, Progress};
pub use ahead::Threads;
pub use runtime::Runtime;
