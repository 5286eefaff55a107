//! [`Membership`]: which logical flow units there are: every Logical_Flow on every local datapath that it names, directly or
//! through its Logical_DP_Group. Kept by differences, because a group of a thousand datapaths is shared by hundreds of lflows.

use hashbrown::HashMap;
use ovsdb::{RowId, Southbound, Uuid};
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;
use std::collections::BTreeSet;

/// The units to make and to remove, as (Logical_Flow row, Datapath_Binding row).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Units that do not exist yet.
    pub add: Vec<(RowId, RowId)>,
    /// Units that exist and should not.
    pub remove: Vec<(RowId, RowId)>,
}

/// Which logical flow units exist.
#[derive(Default)]
pub struct Membership {
    local: BTreeSet<RowId>,
    /// Local datapaths of each lflow that has any, sorted.
    members: HashMap<RowId, SmallVec<[RowId; 1]>, FxBuildHasher>,
}

impl Membership {
    /// The set of local datapaths is now `local` (sorted).
    pub fn local_datapaths(&mut self, sb: &Southbound, local: &[RowId]) -> Delta {
        let new: BTreeSet<RowId> = local.iter().copied().collect();
        let mut delta = Delta::default();
        let gone: Vec<RowId> = self.local.difference(&new).copied().collect();
        let come: Vec<RowId> = new.difference(&self.local).copied().collect();
        self.local = new;
        if !gone.is_empty() {
            for (&lflow, members) in &mut self.members {
                members.retain(|dp| {
                    let stays = gone.binary_search(dp).is_err();
                    if !stays {
                        delta.remove.push((lflow, *dp));
                    }
                    stays
                });
            }
            self.members.retain(|_, members| !members.is_empty());
        }
        for datapath in come {
            for lflow in lflows_of(sb, sb.datapath_binding.uuid(datapath)) {
                let members = self.members.entry(lflow).or_default();
                if let Err(at) = members.binary_search(&datapath) {
                    members.insert(at, datapath);
                    delta.add.push((lflow, datapath));
                }
            }
        }
        delta.add.sort_unstable();
        delta.remove.sort_unstable();
        delta
    }

    /// The lflow was inserted, deleted, or names other datapaths; or its group has other members.
    pub fn lflow_changed(&mut self, sb: &Southbound, lflow: RowId, delta: &mut Delta) {
        let new = self.targets(sb, lflow);
        let old = self.members.remove(&lflow).unwrap_or_default();
        delta.remove.extend(old.iter().filter(|dp| new.binary_search(dp).is_err()).map(|&dp| (lflow, dp)));
        delta.add.extend(new.iter().filter(|dp| old.binary_search(dp).is_err()).map(|&dp| (lflow, dp)));
        if !new.is_empty() {
            self.members.insert(lflow, new);
        }
    }

    /// Whether any of these datapaths is local.
    pub fn any_local(&self, datapaths: &[RowId]) -> bool {
        datapaths.iter().any(|dp| self.local.contains(dp))
    }

    /// The lflow may have gained or lost these datapaths, and no others.
    pub fn lflow_differs(&mut self, sb: &Southbound, lflow: RowId, datapaths: &[RowId], delta: &mut Delta) {
        for &datapath in datapaths.iter().filter(|dp| self.local.contains(dp)) {
            let wanted = names(sb, lflow, datapath);
            let members = self.members.entry(lflow).or_default();
            match members.binary_search(&datapath) {
                Ok(at) if !wanted => {
                    members.remove(at);
                    delta.remove.push((lflow, datapath));
                }
                Err(at) if wanted => {
                    members.insert(at, datapath);
                    delta.add.push((lflow, datapath));
                }
                _ => {}
            }
        }
        if self.members.get(&lflow).is_some_and(|m| m.is_empty()) {
            self.members.remove(&lflow);
        }
    }

    /// A Datapath_Binding row was deleted: none of its units may stay, whatever still names it. Says whether it was local.
    pub fn datapath_deleted(&mut self, datapath: RowId, delta: &mut Delta) -> bool {
        if !self.local.remove(&datapath) {
            return false;
        }
        for (&lflow, members) in &mut self.members {
            if let Ok(at) = members.binary_search(&datapath) {
                members.remove(at);
                delta.remove.push((lflow, datapath));
            }
        }
        self.members.retain(|_, members| !members.is_empty());
        delta.remove.sort_unstable();
        true
    }

    fn targets(&self, sb: &Southbound, lflow: RowId) -> SmallVec<[RowId; 1]> {
        let Some(row) = sb.logical_flow.row(lflow) else { return SmallVec::new() };
        let group = row.logical_dp_group.and_then(|uuid| sb.logical_dp_group.by_uuid(&uuid));
        let members = group.and_then(|group| sb.logical_dp_group.row(group)).map(|g| g.datapaths.as_slice());
        let mut targets: SmallVec<[RowId; 1]> = row
            .logical_datapath
            .iter()
            .chain(members.unwrap_or_default())
            .filter_map(|uuid| sb.datapath_binding.by_uuid(uuid))
            .filter(|dp| self.local.contains(dp))
            .collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }
}

/// The lflows that name a datapath, directly or through a group.
fn lflows_of(sb: &Southbound, datapath: Uuid) -> Vec<RowId> {
    let mut lflows: Vec<RowId> = sb.logical_flow.by_logical_datapath(datapath).collect();
    for group in sb.logical_dp_group.by_datapath(datapath) {
        lflows.extend(sb.logical_flow.by_logical_dp_group(sb.logical_dp_group.uuid(group)));
    }
    lflows
}

/// Whether the lflow names the datapath, directly or through its group.
fn names(sb: &Southbound, lflow: RowId, datapath: RowId) -> bool {
    let Some(row) = sb.logical_flow.row(lflow) else { return false };
    let uuid = sb.datapath_binding.uuid(datapath);
    let group = row.logical_dp_group.and_then(|group| sb.logical_dp_group.row_by_uuid(&group));
    row.logical_datapath == Some(uuid) || group.is_some_and(|g| g.datapaths.contains(&uuid))
}
