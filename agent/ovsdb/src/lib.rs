//! OVSDB for ovn-agent: the typed replica of the Southbound and the local database ([`tables`]) with its values ([`value`]).
#![forbid(unsafe_code)]

pub mod tables;
pub mod value;
