//! From a changed row to the keys that changed with it, and to the units that exist because the row does.

use ovsdb::tables::{ColumnSet, IndexKey, Row, RowId, Table, TableId, local, southbound};
use ovsdb::{Set, Uuid, tables::Delta as RowDelta};
use smallvec::{SmallVec, smallvec};

use crate::engine::{ALL, Graph, Key, NodeKey};
use crate::membership::{Delta, Membership, Resident};
use crate::model::Model;
use crate::reader::absent;
use crate::units::{EvpnUnit, UnitKey};
use crate::view::peers::MARK;
use crate::writeback::WriteKey;
use crate::writeback::vif_plug::is_plugged;

/// The units to make and to remove because rows came and went.
#[derive(Debug, Default)]
pub struct UnitChanges {
    /// Units to make.
    pub add: Vec<UnitKey>,
    /// Units to remove.
    pub remove: Vec<UnitKey>,
}

/// Wakes what read the changed rows of the Southbound, and says which units come and go.
pub fn southbound(
    changes: &[southbound::Change],
    model: &Model,
    graph: &mut Graph,
    membership: &mut Membership,
) -> UnitChanges {
    let mut members = Delta::default();
    let mut units = UnitChanges::default();
    for change in changes {
        graph.row_changed(change.table());
        wake(graph, change.table(), change.row(), change.uuid(), change.columns(), |graph| {
            change
                .visit_index_keys(&model.sb, &mut |key: IndexKey| graph.changed(Key::Index(key.index, key.hash), ALL));
        });
        match change {
            southbound::Change::PortBinding(d)
                if d.columns.intersects(ColumnSet::EXISTS.with(southbound::port_binding::datapath)) =>
            {
                membership.resident_changed(&model.sb, Resident::Port(d.row), &mut members);
            }
            southbound::Change::MulticastGroup(d)
                if d.columns.intersects(ColumnSet::EXISTS.with(southbound::multicast_group::datapath)) =>
            {
                membership.resident_changed(&model.sb, Resident::MulticastGroup(d.row), &mut members);
            }
            southbound::Change::MacBinding(d) => come_and_go(d, &model.sb.mac_binding, &mut units, mac_units),
            southbound::Change::StaticMacBinding(d) => {
                come_and_go(d, &model.sb.static_mac_binding, &mut units, static_mac_units);
            }
            southbound::Change::Fdb(d) => come_and_go(d, &model.sb.fdb, &mut units, fdb_units),
            southbound::Change::LoadBalancer(d) => come_and_go(d, &model.sb.load_balancer, &mut units, lb_units),
            southbound::Change::Chassis(d) => come_and_go(d, &model.sb.chassis, &mut units, chassis_units),
            southbound::Change::LogicalFlow(delta) => {
                let targets = ColumnSet::EXISTS
                    .with(southbound::logical_flow::logical_datapath)
                    .with(southbound::logical_flow::logical_dp_group);
                if delta.columns.intersects(targets) {
                    membership.lflow_changed(&model.sb, delta.row, &mut members);
                }
            }
            southbound::Change::LogicalDpGroup(delta) => group_changed(delta, model, membership, &mut members),
            southbound::Change::DatapathBinding(delta) if model.sb.datapath_binding.row(delta.row).is_none() => {
                // Another datapath may get the place of this one before the facts look: then the set of local datapaths, which
                // is one of places, comes out as it was, and only this makes the new one's units.
                if membership.datapath_deleted(&model.sb, delta.row, &mut members)
                    && let Some(members) = graph.find(&NodeKey::Unit(UnitKey::LocalDatapathMembers))
                {
                    graph.mark_dirty(members);
                }
            }
            _ => {}
        }
    }
    let of_members = UnitChanges::from(members);
    units.remove.extend(of_members.remove);
    units.add.extend(of_members.add);
    units
}

impl UnitChanges {
    /// Units of EVPN to make and to remove.
    pub fn evpn(add: impl IntoIterator<Item = EvpnUnit>, remove: impl IntoIterator<Item = EvpnUnit>) -> Self {
        let key = |unit| UnitKey::Evpn(Box::new(unit));
        Self { add: add.into_iter().map(key).collect(), remove: remove.into_iter().map(key).collect() }
    }
}

impl From<Delta> for UnitChanges {
    fn from(delta: Delta) -> Self {
        let lflow = |(lflow, datapath)| UnitKey::LogicalFlow { lflow, datapath };
        let units = |residents: Vec<Resident>| residents.into_iter().flat_map(resident_units);
        Self {
            add: delta.add.into_iter().map(lflow).chain(units(delta.come)).collect(),
            remove: delta.remove.into_iter().map(lflow).chain(units(delta.go)).collect(),
        }
    }
}

fn resident_units(resident: Resident) -> UnitsOfRow {
    match resident {
        Resident::Port(row) => {
            smallvec![UnitKey::PortBinding(row), UnitKey::PortSecurity(row), UnitKey::Write(WriteKey::Port(row))]
        }
        Resident::MulticastGroup(row) => smallvec![UnitKey::MulticastGroup(row)],
    }
}

/// Wakes what read the changed rows of the local database, and says which units come and go.
pub fn local(changes: &[local::Change], model: &Model, graph: &mut Graph) -> UnitChanges {
    let mut units = UnitChanges::default();
    for change in changes {
        graph.row_changed(change.table());
        wake(graph, change.table(), change.row(), change.uuid(), change.columns(), |graph| {
            change.visit_index_keys(&model.local, &mut |key: IndexKey| {
                graph.changed(Key::Index(key.index, key.hash), ALL);
            });
        });
        match change {
            local::Change::Port(d) => marked(d, &model.local.port, is_tunnel, &mut units, tunnel_units),
            local::Change::Interface(d) => marked(d, &model.local.interface, is_plugged, &mut units, plug_units),
            _ => {}
        }
    }
    units
}

/// Whether a port says that it is a tunnel of ours, or of flow-based tunnelling.
pub(crate) fn is_tunnel(port: &local::Port) -> bool {
    port.external_ids.contains_key(MARK)
}

fn wake(
    graph: &mut Graph,
    table: TableId,
    row: RowId,
    uuid: Uuid,
    columns: ColumnSet,
    indexes: impl FnOnce(&mut Graph),
) {
    if columns.intersects(ColumnSet::EXISTS) {
        graph.changed(absent(table, &uuid), ALL);
        graph.changed(Key::Table(table), ALL);
    }
    graph.changed(Key::Row(table, row), columns);
    indexes(graph);
}

fn come_and_go<R: Row>(delta: &RowDelta<R>, table: &Table<R>, units: &mut UnitChanges, of: fn(RowId) -> UnitsOfRow) {
    if table.row(delta.row).is_none() {
        units.remove.extend(of(delta.row));
    } else if delta.old.is_none() {
        units.add.extend(of(delta.row));
    }
}

/// Units that exist because a row carries a mark.
fn marked<R: Row>(
    delta: &RowDelta<R>,
    table: &Table<R>,
    is_marked: fn(&R) -> bool,
    units: &mut UnitChanges,
    of: fn(RowId) -> UnitsOfRow,
) {
    match (delta.old.as_deref().is_some_and(is_marked), table.row(delta.row).is_some_and(is_marked)) {
        (false, true) => units.add.extend(of(delta.row)),
        (true, false) => units.remove.extend(of(delta.row)),
        _ => {}
    }
}

/// The units that exist because a row does.
type UnitsOfRow = SmallVec<[UnitKey; 3]>;

fn mac_units(row: RowId) -> UnitsOfRow {
    smallvec![UnitKey::MacBinding(row)]
}

fn static_mac_units(row: RowId) -> UnitsOfRow {
    smallvec![UnitKey::StaticMacBinding(row)]
}

fn fdb_units(row: RowId) -> UnitsOfRow {
    smallvec![UnitKey::Fdb(row)]
}

fn lb_units(row: RowId) -> UnitsOfRow {
    smallvec![UnitKey::LoadBalancer(row)]
}

fn chassis_units(row: RowId) -> UnitsOfRow {
    smallvec![UnitKey::Chassis(row), UnitKey::Write(WriteKey::PeerTunnels(row))]
}

fn tunnel_units(row: RowId) -> UnitsOfRow {
    smallvec![UnitKey::Tunnel(row), UnitKey::Write(WriteKey::TunnelPort(row)), UnitKey::Write(WriteKey::Bfd(row))]
}

fn plug_units(row: RowId) -> UnitsOfRow {
    smallvec![UnitKey::Write(WriteKey::Unplug(row))]
}

/// The units of all rows of a replica that was filled elsewhere. (Those of lflows, ports and multicast groups
/// follow from the local datapaths.)
pub fn all_units(model: &Model) -> Vec<UnitKey> {
    fn of<R: Row>(table: &Table<R>, of: fn(RowId) -> UnitsOfRow, all: &mut Vec<UnitKey>) {
        all.extend(table.iter().flat_map(|(row, _)| of(row)));
    }
    let (sb, mut all) = (&model.sb, Vec::new());
    of(&sb.mac_binding, mac_units, &mut all);
    of(&sb.static_mac_binding, static_mac_units, &mut all);
    of(&sb.fdb, fdb_units, &mut all);
    of(&sb.load_balancer, lb_units, &mut all);
    of(&sb.chassis, chassis_units, &mut all);
    all.extend(model.local.port.by_tunnel(true).flat_map(tunnel_units));
    let plugged = model.local.interface.iter().filter(|(_, interface)| is_plugged(interface));
    all.extend(plugged.flat_map(|(row, _)| plug_units(row)));
    all
}

/// A Logical_DP_Group came, went or has other members. Only the datapaths that differ cost anything.
fn group_changed(
    delta: &RowDelta<southbound::LogicalDpGroup>,
    model: &Model,
    membership: &mut Membership,
    lflows: &mut Delta,
) {
    let sb = &model.sb;
    let rows = |datapaths: &Set<Uuid>| -> Vec<RowId> {
        let mut rows: Vec<RowId> = datapaths.iter().filter_map(|uuid| sb.datapath_binding.by_uuid(uuid)).collect();
        rows.sort_unstable();
        rows
    };
    let before = delta.old.as_ref().map(|g| rows(&g.datapaths)).unwrap_or_default();
    let after = sb.logical_dp_group.row(delta.row).map(|g| rows(&g.datapaths)).unwrap_or_default();
    let differ: Vec<RowId> = before
        .iter()
        .filter(|dp| after.binary_search(dp).is_err())
        .chain(after.iter().filter(|dp| before.binary_search(dp).is_err()))
        .copied()
        .collect();
    if membership.any_local(&differ) {
        for lflow in sb.logical_flow.by_logical_dp_group(delta.uuid) {
            membership.lflow_differs(sb, lflow, &differ, lflows);
        }
    }
}
