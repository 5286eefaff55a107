//! OpenFlow 1.5 with the extensions that Open vSwitch speaks.
//!
//! Values: [`Field`], [`Match`], [`Action`], [`ActionList`], [`Flow`], [`Group`], [`Meter`]. `Display` and `FromStr` of them are
//! the text of `ovs-ofctl -O OpenFlow15 --no-names`. Matches and action lists have one form per meaning, whatever form they came
//! in, so flows wanted and flows read back compare as bytes. A [`Match`] takes 48 bytes (no heap block for 4 of 5), an
//! [`ActionList`] 8 (shared), a [`Flow`] 72.
//! Messages: [`message`]. A connection without I/O: [`connection`]; with the feature `tokio`, a socket for it: `transport`.
#![forbid(unsafe_code)]

pub mod action;
pub mod connection;
mod digits;
pub mod error;
pub mod field;
pub mod flow;
pub mod flow_match;
pub mod group;
pub mod message;
pub mod meter;
mod text;
#[cfg(feature = "tokio")]
pub mod transport;
mod wire;

pub use action::{Action, ActionList, ActionWriter, decode_actions, encode_actions};
pub use error::Error;
pub use field::{Field, Subfield};
pub use flow::{Flow, FlowHead, FlowMod, FlowModCommand, FlowModRef};
pub use flow_match::Match;
pub use group::{Bucket, Group, GroupMod, GroupModCommand, GroupType, SelectionMethod};
pub use meter::{Meter, MeterBand, MeterMod, MeterModCommand};
