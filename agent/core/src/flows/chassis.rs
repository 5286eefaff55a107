//! Flows that follow from a Chassis row: chassis MACs and interconnection.

use ovsdb::RowId;

use crate::reader::Reader;
use crate::units::Output;

/// Flows of one row.
pub fn chassis(_r: &Reader<'_>, _row: RowId, _out: &mut Output) {}
