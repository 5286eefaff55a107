//! OVSDB for ovn-agent: the typed replica of the Southbound and the local database ([`tables`]) with its values ([`value`]).
#![forbid(unsafe_code)]

pub mod tables;
pub mod value;

pub use tables::{
    ColumnReads, ColumnSet, Database, IndexId, Row, RowId, Table, TableId, Tracked, local::Local,
    southbound::Southbound,
};
pub use value::{Map, Set, Str, Uuid};
