//! Flows that depend on no row. Sheet 02 sections 4.5 and 4.10.

use crate::reader::Reader;
use crate::units::Output;

/// The flows.
pub fn fixed(_r: &Reader<'_>, _out: &mut Output) {}
