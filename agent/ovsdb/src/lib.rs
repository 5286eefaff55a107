//! OVSDB for ovn-agent, in two halves.
//!
//! Protocol: [`frame`] cuts a stream into messages, [`rpc`] tells them apart, [`session::Session`] is the sans-IO client of
//! one database, [`transaction`] builds transactions and reads their results, [`remote`] and [`reconnect`] say where and
//! when to connect, and `transport` (feature `tokio`, with `tls` for `ssl:`) is the only part with sockets and a clock.
//!
//! Data: the typed replica of the Southbound and the local database ([`tables`]) with its values ([`value`]), filled
//! by a session or from a file ([`mod@file`]), by way of [`json`]. Rows, and what else there may be many of, are kept in [`segments`] and [`shards`].
#![forbid(unsafe_code)]

pub mod condition;
pub mod datum;
pub mod differences;
pub mod file;
pub mod frame;
pub mod json;
mod map;
pub mod reconnect;
pub mod rehearsal;
pub mod remote;
pub mod rpc;
pub mod schema;
pub mod segments;
pub mod session;
mod set;
pub mod shards;
pub mod tables;
pub mod time;
#[cfg(feature = "tokio")]
pub mod tls;
pub mod transaction;
#[cfg(feature = "tokio")]
pub mod transport;
pub mod value;

pub use tables::{
    ColumnReads, ColumnSet, Database, IndexId, Row, RowId, Table, TableId, Tracked, local::Local,
    southbound::Southbound,
};
pub use time::Time;
pub use value::{Map, Set, Str, Uuid};
