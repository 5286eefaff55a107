//! Hairpin flows of load balancers. Sheet 02 section 5.1.

use ovsdb::RowId;

use crate::reader::Reader;
use crate::units::Output;

/// Flows of one row.
pub fn load_balancer(_r: &Reader<'_>, _row: RowId, _out: &mut Output) {}
