//! Physical flows of port bindings. Sheet 02 sections 4.3 to 4.5.

use ovsdb::RowId;

use crate::reader::Reader;
use crate::units::Output;

/// Flows of one row.
pub fn port_binding(_r: &Reader<'_>, _row: RowId, _out: &mut Output) {}
