//! [`Membership`]: which units there are because their datapath is local: every Logical_Flow on every local datapath that it
//! names, directly or through its Logical_DP_Group; the ports and multicast groups of local datapaths. Kept by differences,
//! because a group of a thousand datapaths is shared by hundreds of lflows, and a chassis sees few of all ports.

use hashbrown::{HashMap, HashSet};
use ovsdb::{RowId, Southbound, Uuid};
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use crate::list::List;
use ovsdb::differences::differing;

/// Datapaths that become local in one go: a datapath has some hundred logical flows, or some thousand.
const COME_AT_ONCE: usize = 32;

/// The units to make and to remove.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Logical flow units that do not exist yet, as (Logical_Flow row, Datapath_Binding row).
    pub add: Vec<(RowId, RowId)>,
    /// Those that exist and should not.
    pub remove: Vec<(RowId, RowId)>,
    /// Rows whose units do not exist yet.
    pub come: Vec<Resident>,
    /// Those whose units exist and should not.
    pub go: Vec<Resident>,
}

/// A row that lies on one datapath.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resident {
    /// Of Port_Binding.
    Port(RowId),
    /// Of Multicast_Group.
    MulticastGroup(RowId),
}

impl Resident {
    fn datapath(self, sb: &Southbound) -> Option<RowId> {
        let uuid = match self {
            Resident::Port(row) => sb.port_binding.row(row)?.datapath,
            Resident::MulticastGroup(row) => sb.multicast_group.row(row)?.datapath,
        };
        sb.datapath_binding.by_uuid(&uuid)
    }
}

/// Which logical flow, port and multicast group units exist.
#[derive(Default)]
pub struct Membership {
    /// Sorted.
    local: Vec<RowId>,
    /// Ports that have units wherever they lie ([`crate::facts::PortsHere`]).
    here: List<RowId>,
    /// Local datapaths of each lflow that has any, sorted.
    members: HashMap<RowId, SmallVec<[RowId; 1]>, FxBuildHasher>,
    residents: HashSet<Resident, FxBuildHasher>,
}

impl Membership {
    /// The set of local datapaths is now `local`, that of the ports which are of interest in any case `here` (both sorted). To be called
    /// again while not [`Membership::has_all`]: of many new ones only some are taken in at a time.
    pub fn local_datapaths(&mut self, sb: &Southbound, local: &[RowId], here: List<RowId>) -> Delta {
        let mut delta = Delta::default();
        let (mut come, mut gone) = (Vec::new(), Vec::new());
        if !self.has_all(local) {
            let (before, after) = (self.local.iter().map(|row| (row, &())), local.iter().map(|row| (row, &())));
            differing(before, after, |row, was_there, _| if was_there { gone.push(*row) } else { come.push(*row) });
            let later = come.split_off(come.len().min(COME_AT_ONCE));
            self.local.clear();
            self.local.extend(local.iter().filter(|row| later.binary_search(row).is_err()));
        }
        self.residents_changed(sb, &come, &gone, here, &mut delta);
        for datapath in gone {
            // It is there: a row that is deleted is no member any more ([`Membership::datapath_deleted`]).
            for lflow in lflows_of(sb, sb.datapath_binding.uuid(datapath)) {
                self.leave(lflow, datapath, &mut delta);
            }
        }
        for datapath in come {
            for lflow in lflows_of(sb, sb.datapath_binding.uuid(datapath)) {
                self.join(lflow, datapath, &mut delta);
            }
        }
        delta.add.sort_unstable();
        delta.remove.sort_unstable();
        delta
    }

    /// Whether all of these datapaths (sorted) are taken in.
    pub fn has_all(&self, local: &[RowId]) -> bool {
        *self.local == *local
    }

    fn is_local(&self, datapath: RowId) -> bool {
        self.local.binary_search(&datapath).is_ok()
    }

    fn join(&mut self, lflow: RowId, datapath: RowId, delta: &mut Delta) {
        let members = self.members.entry(lflow).or_default();
        if let Err(at) = members.binary_search(&datapath) {
            members.insert(at, datapath);
            delta.add.push((lflow, datapath));
        }
    }

    fn leave(&mut self, lflow: RowId, datapath: RowId, delta: &mut Delta) {
        let Some(members) = self.members.get_mut(&lflow) else { return };
        let Ok(at) = members.binary_search(&datapath) else { return };
        members.remove(at);
        if members.is_empty() {
            self.members.remove(&lflow);
        }
        delta.remove.push((lflow, datapath));
    }

    fn residents_changed(
        &mut self,
        sb: &Southbound,
        come: &[RowId],
        gone: &[RowId],
        here: List<RowId>,
        delta: &mut Delta,
    ) {
        let before = std::mem::replace(&mut self.here, here);
        let after = self.here.clone();
        for &datapath in come.iter().chain(gone) {
            residents_of(sb, datapath).for_each(|resident| self.resident_changed(sb, resident, delta));
        }
        if before != after {
            before.iter().chain(after.iter()).for_each(|&port| self.resident_changed(sb, Resident::Port(port), delta));
        }
    }

    /// The row was inserted, deleted, or names another datapath.
    pub fn resident_changed(&mut self, sb: &Southbound, resident: Resident, delta: &mut Delta) {
        let local = resident.datapath(sb).is_some_and(|datapath| self.is_local(datapath));
        let wanted = local || self.is_here(sb, resident);
        if wanted && self.residents.insert(resident) {
            delta.come.push(resident);
        } else if !wanted && self.residents.remove(&resident) {
            delta.go.push(resident);
        }
    }

    fn is_here(&self, sb: &Southbound, resident: Resident) -> bool {
        match resident {
            Resident::Port(row) => self.here.binary_search(&row).is_ok() && sb.port_binding.row(row).is_some(),
            Resident::MulticastGroup(_) => false,
        }
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
        datapaths.iter().any(|dp| self.is_local(*dp))
    }

    /// The lflow may have gained or lost these datapaths, and no others.
    pub fn lflow_differs(&mut self, sb: &Southbound, lflow: RowId, datapaths: &[RowId], delta: &mut Delta) {
        for &datapath in datapaths {
            if !self.is_local(datapath) {
                continue;
            }
            if names(sb, lflow, datapath) {
                self.join(lflow, datapath, delta);
            } else {
                self.leave(lflow, datapath, delta);
            }
        }
    }

    /// A Datapath_Binding row was deleted: none of its units may stay, whatever still names it. Says whether it was local.
    pub fn datapath_deleted(&mut self, sb: &Southbound, datapath: RowId, delta: &mut Delta) -> bool {
        let Ok(at) = self.local.binary_search(&datapath) else { return false };
        self.local.remove(at);
        residents_of(sb, datapath).for_each(|resident| self.resident_changed(sb, resident, delta));
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
        let members = group.and_then(|group| sb.logical_dp_group.row(group)).map(|group| &group.datapaths);
        let mut targets: SmallVec<[RowId; 1]> = row
            .logical_datapath
            .iter()
            .chain(members.into_iter().flatten())
            .filter_map(|uuid| sb.datapath_binding.by_uuid(uuid))
            .filter(|dp| self.is_local(*dp))
            .collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }
}

/// The rows that name a datapath. (A deleted one keeps its UUID until its place is used again.)
fn residents_of(sb: &Southbound, datapath: RowId) -> impl Iterator<Item = Resident> {
    let uuid = sb.datapath_binding.uuid(datapath);
    let ports = sb.port_binding.by_datapath(uuid).map(Resident::Port);
    ports.chain(sb.multicast_group.by_datapath(uuid).map(Resident::MulticastGroup))
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
