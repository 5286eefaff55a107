//! BFD on one tunnel port: on where an HA_Chassis_Group needs to know whether its chassis is there, off elsewhere. `bfd_run` of
//! controller/bfd.c, OVN 26.03; sheet 01 section 7.4.

use ovsdb::RowId;
use ovsdb::datum::Datum;
use ovsdb::tables::column::tunnel_chassis;

use crate::facts::{BfdSettings, BfdWanted, FlowBasedTunnels, ThisChassis};
use crate::reader::Reader;
use crate::rows::{Interface, Port};
use crate::units::Output;
use crate::view::bfd::is_bfd_needed;
use crate::view::interfaces::is_on_bridge;

/// See [`super::WriteKey::Bfd`].
pub fn bfd(r: &Reader<'_>, row: RowId, out: &mut Output) {
    if r.fact(ThisChassis).is_none() {
        return;
    }
    let Some(port) = r.row::<Port>(row).filter(|port| is_on_bridge(r, port.uuid())) else { return };
    let id = port.external_ids().get("ovn-chassis-id");
    if id.is_some_and(|id| id == "flow") && r.fact(FlowBasedTunnels).is_some() && is_bfd_needed(r) {
        out.diagnostics.push(
            "Flow-based tunnels are enabled but BFD is required for HA chassis groups. BFD will not function correctly \
             with flow-based tunnels."
                .to_owned(),
        );
    }
    let wanted = tunnel_chassis(id).is_some_and(|chassis| r.fact(BfdWanted(chassis)));
    for interface in port.interfaces().iter().filter_map(|uuid| r.find::<Interface>(uuid)) {
        let have = interface.bfd();
        let settings: Datum = if wanted {
            let settings = r.fact(BfdSettings);
            if have.iter().eq(settings.iter()) {
                continue;
            }
            settings.iter().collect()
        } else if have.is_empty() {
            continue;
        } else {
            Datum::Map(Vec::new())
        };
        let done = if wanted { "Enabled" } else { "Disabled" };
        out.local.comment(format!("{done} BFD on interface {}", interface.name()));
        out.local.update("Interface", interface.uuid(), vec![("bfd", settings)]);
    }
}
