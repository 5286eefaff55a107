//! Multicast groups. Sheet 02 section 4.6.

use ovsdb::RowId;

use crate::reader::Reader;
use crate::units::Output;

/// Flows of one row.
pub fn multicast_group(_r: &Reader<'_>, _row: RowId, _out: &mut Output) {}
