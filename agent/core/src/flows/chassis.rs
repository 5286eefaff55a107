//! Flows that follow from a Chassis row: its MAC addresses, interconnection. Sheet 02 sections 4.2 and 4.8.

use ofproto_client::{Field, Match};
use ovsdb::RowId;

use super::addresses::mac_mappings;
use super::encap::Encap;
use super::physical::chassis_mac_clause;
use super::{layout, tunnels, words};
use crate::facts::{ThisChassis, TunnelsTo};
use crate::reader::Reader;
use crate::rows::Chassis;
use crate::units::Output;
use crate::view::flag;
use crate::view::placement::chassis_mac_mappings;

/// Flows of one row.
pub fn chassis(r: &Reader<'_>, row: RowId, out: &mut Output) {
    if r.fact(ThisChassis) == Some(row) {
        return;
    }
    let Some(chassis) = r.row::<Chassis>(row) else { return };
    let cookie = u64::from(chassis.uuid().short());
    let name = chassis.name();
    if flag(chassis.other_config(), "is-remote") {
        for tunnel in r.fact(TunnelsTo(name.clone())).iter() {
            if let Some(encap) = Encap::of(tunnel.kind, r.geneve_option()) {
                tunnels::from_remote_zone(encap, tunnel.ofport, cookie, out);
            }
        }
    }
    // Frames that this chassis has routed bear one of these; see `physical::localnet` for the other half.
    for (network, mac) in chassis_mac_mappings(&chassis).into_iter().flat_map(|text| mac_mappings(text)) {
        match mac {
            Some(mac) => {
                let match_ = words::with(Match::new(), Field::ETH_SRC, mac);
                out.flow(layout::PHY_TO_LOG, 180, cookie, match_, &chassis_mac_clause(0).0);
            }
            None => out.diagnostics.push(format!(
                "Chassis {} ({name}): ovn-chassis-mac-mappings has no MAC address for network {network}",
                chassis.uuid()
            )),
        }
    }
}
