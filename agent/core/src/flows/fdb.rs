//! Learned MAC addresses (FDB rows).

use ovsdb::RowId;

use crate::reader::Reader;
use crate::units::Output;

/// Flows of one row.
pub fn fdb(_r: &Reader<'_>, _row: RowId, _out: &mut Output) {}
