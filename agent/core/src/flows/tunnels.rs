//! Ingress flows of the tunnel ports. Sheet 02 section 4.2.

use crate::reader::Reader;
use crate::units::Output;

/// The flows.
pub fn tunnels(_r: &Reader<'_>, _out: &mut Output) {}
