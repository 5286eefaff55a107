//! From a changed row to the keys that changed with it, and to the units that exist because the row does.

use ovsdb::tables::{ColumnSet, IndexKey, RowId, TableId, local, southbound};
use ovsdb::{Uuid, tables::Delta as RowDelta};

use crate::engine::{ALL, Graph, Key};
use crate::membership::{Delta, Membership};
use crate::model::Model;
use crate::reader::absent;
use crate::units::UnitKey;
use crate::writeback::WriteKey;

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
    let mut lflows = Delta::default();
    let mut units = UnitChanges::default();
    for change in changes {
        wake(graph, change.table(), change.row(), change.uuid(), change.columns(), |graph| {
            change.visit_index_keys(&model.sb, &mut |key: IndexKey| graph.changed(Key::Index(key.index, key.hash), ALL));
        });
        match change {
            southbound::Change::PortBinding(delta) => {
                come_and_go(delta, model.sb.port_binding.row(delta.row).is_some(), &mut units, |row| {
                    vec![UnitKey::PortBinding(row), UnitKey::PortSecurity(row), UnitKey::Write(WriteKey::Port(row))]
                });
            }
            southbound::Change::MulticastGroup(delta) => {
                let exists = model.sb.multicast_group.row(delta.row).is_some();
                come_and_go(delta, exists, &mut units, |row| vec![UnitKey::MulticastGroup(row)]);
            }
            southbound::Change::MacBinding(delta) => {
                let exists = model.sb.mac_binding.row(delta.row).is_some();
                come_and_go(delta, exists, &mut units, |row| vec![UnitKey::MacBinding(row)]);
            }
            southbound::Change::StaticMacBinding(delta) => {
                let exists = model.sb.static_mac_binding.row(delta.row).is_some();
                come_and_go(delta, exists, &mut units, |row| vec![UnitKey::StaticMacBinding(row)]);
            }
            southbound::Change::Fdb(delta) => {
                let exists = model.sb.fdb.row(delta.row).is_some();
                come_and_go(delta, exists, &mut units, |row| vec![UnitKey::Fdb(row)]);
            }
            southbound::Change::LoadBalancer(delta) => {
                let exists = model.sb.load_balancer.row(delta.row).is_some();
                come_and_go(delta, exists, &mut units, |row| vec![UnitKey::LoadBalancer(row)]);
            }
            southbound::Change::Chassis(delta) => {
                let exists = model.sb.chassis.row(delta.row).is_some();
                come_and_go(delta, exists, &mut units, |row| vec![UnitKey::Chassis(row)]);
            }
            southbound::Change::LogicalFlow(delta) => {
                let targets = ColumnSet::EXISTS
                    .with(southbound::logical_flow::logical_datapath)
                    .with(southbound::logical_flow::logical_dp_group);
                if delta.columns.intersects(targets) {
                    membership.lflow_changed(&model.sb, delta.row, &mut lflows);
                }
            }
            southbound::Change::LogicalDpGroup(delta) => group_changed(delta, model, membership, &mut lflows),
            southbound::Change::DatapathBinding(delta) if model.sb.datapath_binding.row(delta.row).is_none() => {
                membership.datapath_deleted(delta.row, &mut lflows);
            }
            _ => {}
        }
    }
    units.remove.extend(lflows.remove.into_iter().map(|(lflow, datapath)| UnitKey::LogicalFlow { lflow, datapath }));
    units.add.extend(lflows.add.into_iter().map(|(lflow, datapath)| UnitKey::LogicalFlow { lflow, datapath }));
    units
}

/// Wakes what read the changed rows of the local database.
pub fn local(changes: &[local::Change], model: &Model, graph: &mut Graph) {
    for change in changes {
        wake(graph, change.table(), change.row(), change.uuid(), change.columns(), |graph| {
            change.visit_index_keys(&model.local, &mut |key: IndexKey| {
                graph.changed(Key::Index(key.index, key.hash), ALL);
            });
        });
    }
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

fn come_and_go<R>(delta: &RowDelta<R>, exists: bool, units: &mut UnitChanges, of: impl Fn(RowId) -> Vec<UnitKey>) {
    if !exists {
        units.remove.extend(of(delta.row));
    } else if delta.old.is_none() {
        units.add.extend(of(delta.row));
    }
}

/// A Logical_DP_Group came, went or has other members. Only the datapaths that differ cost anything.
fn group_changed(
    delta: &RowDelta<southbound::LogicalDpGroup>,
    model: &Model,
    membership: &mut Membership,
    lflows: &mut Delta,
) {
    let sb = &model.sb;
    let rows = |datapaths: &[Uuid]| -> Vec<RowId> {
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
