//! Port security. Sheet 02 section 5.5.

use ovsdb::RowId;

use crate::reader::Reader;
use crate::units::Output;

/// Flows of one row.
pub fn port_security(_r: &Reader<'_>, _row: RowId, _out: &mut Output) {}
