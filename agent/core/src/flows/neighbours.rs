//! MAC bindings, learned and static. Sheet 02 section 5.3.

use ovsdb::RowId;

use crate::reader::Reader;
use crate::units::Output;

/// Flows of a MAC_Binding row.
pub fn mac_binding(_r: &Reader<'_>, _row: RowId, _out: &mut Output) {}

/// Flows of a Static_MAC_Binding row.
pub fn static_mac_binding(_r: &Reader<'_>, _row: RowId, _out: &mut Output) {}
