//! Learned MAC addresses: `consider_fdb_flows` of controller/lflow.c, OVN 26.03; sheet 02 section 5.4.

use ofproto_client::Field;
use ovsdb::RowId;
use ovsdb::tables::Table;

use super::addresses::parse_mac;
use super::layout::{self, flag};
use super::words::{self, Actions, with, with_flag};
use crate::facts::{IsLocal, LearnsFdbOnLocalnet, PortKind};
use crate::reader::Reader;
use crate::rows::{DatapathBinding, Fdb, PortBinding};
use crate::units::Output;
use crate::view::ports;

/// Priority of FDB flows.
const PRIORITY: u16 = 100;

/// Flows of an FDB row.
pub fn fdb(r: &Reader<'_>, row: RowId, out: &mut Output) {
    let Some(fdb) = r.row::<Fdb>(row) else { return };
    let key = fdb.dp_key();
    let Some(datapath) = r.lookup_one(|t: &Table<DatapathBinding>| t.by_tunnel_key(key)) else { return };
    if !r.fact(IsLocal(datapath)) {
        return;
    }
    let (Some(mac), Ok(dp_key), Ok(port_key)) =
        (parse_mac(fdb.mac()), u32::try_from(key), u32::try_from(fdb.port_key()))
    else {
        out.diagnostics.push(format!("FDB {}: bad mac \"{}\" or key", fdb.uuid(), fdb.mac()));
        return;
    };
    let cookie = u64::from(fdb.uuid().short());
    let on_datapath = with(words::any(), Field::METADATA, dp_key);
    let mut actions = Actions::new();
    actions.load_outport(port_key);
    out.flow(layout::GET_FDB, PRIORITY, cookie, with(on_datapath.clone(), Field::ETH_DST, mac), &actions.0);
    let mut known = Actions::new();
    known.set_flag(flag::LOOKUP_FDB);
    let from = with(with(on_datapath.clone(), Field::ETH_SRC, mac), layout::INPORT, port_key);
    out.flow(layout::LOOKUP_FDB, PRIORITY, cookie, from, &known.0);
    if is_vif(r, datapath, port_key) && r.fact(LearnsFdbOnLocalnet) {
        let from = with_flag(with(on_datapath, Field::ETH_SRC, mac), flag::LOCALNET, true);
        out.flow(layout::LOOKUP_FDB, PRIORITY, cookie, from, &known.0);
    }
}

/// Whether the port with this key is a plain VIF.
fn is_vif(r: &Reader<'_>, datapath: RowId, port_key: u32) -> bool {
    let Some(uuid) = r.row::<DatapathBinding>(datapath).map(|dp| dp.uuid()) else { return false };
    let port = r.lookup_one(|t: &Table<PortBinding>| t.by_dp_key(uuid, i64::from(port_key)));
    port.is_some_and(|port| matches!(r.fact(PortKind(port)), ports::PortKind::Vif | ports::PortKind::Container))
}
