//! The incremental engine: dependencies are recorded by the code that reads, never listed by hand.
//!
//! * A **node** is either a *fact* (a memoised derived value: "this datapath is local", "the ct zone of this port") or a
//!   *unit* (the smallest piece of output worth redoing alone: a logical flow on a datapath, a port's physical flows).
//! * A node is a pure function of what it asks its [`Reader`](crate::reader::Reader) for. Everything asked for, absences
//!   included, is a [`Key`]; the [`Graph`] keeps, for every key, the nodes that read it.
//! * A changed key makes its readers dirty. Dirty nodes run again, lowest [`Stratum`] first; when a fact comes out equal to
//!   what it was, nothing above it runs (early cut-off).
//!
//! There are no change handlers and no fall-back recompute. Entry types: [`Graph`], [`Key`], [`NodeId`].

mod graph;
mod key;
mod readers;
mod tally;

pub use graph::{Graph, NodeId, NodeKey, Read, Stratum, WorkCounters};
pub use key::{Key, KeyId};
pub use tally::{Counts, Tally};

/// Every column, and the row's existence: for keys that have no columns, and for readers of everything.
pub const ALL: ovsdb::ColumnSet = ovsdb::ColumnSet(u64::MAX);
