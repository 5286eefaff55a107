//! Packets: what they look like on the wire, and those that the agent makes. No I/O, no clock.
//!
//! [`compose()`] makes the packet that has given values of OpenFlow fields; `ovn-appctl inject-pkt` sends such packets. [`wire`] has the headers as
//! views of bytes, for making packets and for editing received ones in place; [`checksum`] what they are protected with.
#![forbid(unsafe_code)]

pub mod checksum;
mod compose;
pub mod wire;

pub use compose::{PAYLOAD, compose};
