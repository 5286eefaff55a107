//! Logical flows on local datapaths. Sheet 02 sections 2 and 3.

use ovsdb::RowId;

use crate::reader::Reader;
use crate::units::Output;

/// Flows of one Logical_Flow on one datapath.
pub fn lflow(_r: &Reader<'_>, _lflow: RowId, _datapath: RowId, _out: &mut Output) {}
