//! What this hypervisor needs of the Southbound: [`Interest`], from which the conditions follow under which it is monitored
//! (`ovn-monitor-all=false`). Of a Southbound that has only that, everything else comes out as of the whole.
//!
//! A datapath is found before it is here: the ports plugged in here are asked for by name, and name the datapath whose ports are
//! asked for next, whose patch ports name their peers, and so on. Each answer lets the facts see one step further, until an
//! answer changes nothing. The chain starts at what the local database says and at what is looked for in any case (ports that
//! name us, our gateway groups), never at a row that is only known because it was known before, so it shrinks as it grows.

use ovsdb::tables::Table;
use ovsdb::{RowId, Str, Uuid};
use std::collections::BTreeSet;
use std::sync::Arc;

use super::datapaths::routed_ports;
use super::is_true;
use super::ports::{PortKind, our_uuid};
use crate::facts::{
    BoundThrough, ChassisName, DatapathInterest as DatapathInterestOf, GatewayPorts, HaGroups, HaPorts, IfaceId,
    LocalDatapaths, LocalInterest as LocalInterestFact, PeerPort, PeerTarget, PortByName, PortDatapath,
    PortKind as PortKindFact, PortsHere, Setting,
};
use crate::list::List;
use crate::reader::Reader;
use crate::rows::{DatapathBinding, HaChassisGroup, Interface, PortBinding};

/// What is needed. All lists are sorted, without duplicates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interest {
    /// All of it: `ovn-monitor-all`. Then the rest is empty.
    pub everything: bool,
    /// Our name.
    pub name: Option<Str>,
    /// The name that we had before, while its rows are still to go.
    pub former_name: Option<Str>,
    /// Our Chassis row.
    pub chassis: Option<Uuid>,
    /// The HA_Chassis_Group rows of which we are a member.
    pub gateway_groups: List<Uuid>,
    /// Something is plugged in that other ports may hang on.
    pub has_interfaces: bool,
    /// Ports by name that are not on one of `datapaths`, as far as is known.
    pub ports: List<Str>,
    /// The datapaths whose ports are needed: those that are local, or will be with their row or when Open vSwitch has made an interface.
    pub datapaths: List<Uuid>,
    /// The datapaths whose own row is needed: also those that only have a port of interest.
    pub rows: List<Uuid>,
    /// The local datapaths, with their tunnel keys: everything that lies on them is needed.
    pub local: List<(Uuid, i64)>,
}

/// What is needed because of all local datapaths, apart from [`Interest`], so that an interface that comes does not cost a look at each of
/// them. All lists are sorted, without duplicates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LocalInterest {
    /// As [`Interest::local`].
    pub local: List<(Uuid, i64)>,
    /// They, and what is local because they are.
    pub datapaths: List<Uuid>,
    /// As [`Interest::rows`].
    pub rows: List<Uuid>,
    /// Ports by name, with the datapath of those that are found, that are not on one of `datapaths`.
    pub ports: List<(Str, Option<Uuid>)>,
    /// Their names.
    pub names: List<Str>,
}

/// What is needed because a datapath is local.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DatapathInterest {
    /// The datapath.
    pub datapath: Uuid,
    /// tunnel_key.
    pub key: i64,
    /// The datapaths that are local because it is.
    pub targets: Vec<Uuid>,
    /// The ports that its ports name, with the datapath of those that are found.
    pub ports: Vec<(Str, Option<Uuid>)>,
}

impl Interest {
    /// Whether this names something to be found that `other` does not, apart from what lies on local datapaths. Everything is found
    /// without being named.
    pub fn finds_more_than(&self, other: &Interest) -> bool {
        if other.everything {
            return false;
        }
        (self.name != other.name && self.name.is_some())
            || (self.former_name != other.former_name && self.former_name.is_some())
            || (self.chassis != other.chassis && self.chassis.is_some())
            || (self.has_interfaces && !other.has_interfaces)
            || !is_subset(&self.gateway_groups, &other.gateway_groups)
            || !is_subset(&self.ports, &other.ports)
            || !is_subset(&self.datapaths, &other.datapaths)
            || !is_subset(&self.rows, &other.rows)
    }

    /// Whether who asks for this gets all that `other` needs.
    pub fn covers(&self, other: &Interest) -> bool {
        self.everything || (!other.everything && !other.finds_more_than(self) && is_subset(&other.local, &self.local))
    }

    /// The datapaths whose ports this needs and `other` does not.
    pub fn datapaths_beyond(&self, other: &Interest) -> Vec<Uuid> {
        let is_new = |datapath: &&Uuid| other.datapaths.binary_search(datapath).is_err();
        self.datapaths.iter().filter(is_new).copied().collect()
    }
}

/// Whether all of `few` are among `many`; both are sorted.
fn is_subset<T: Ord>(few: &[T], many: &[T]) -> bool {
    let mut many = many.iter();
    few.iter().all(|one| many.by_ref().find(|other| *other >= one) == Some(one))
}

/// See [`crate::facts::Interest`]. What ovn-controller asks for is in `update_sb_monitors` of controller/ovn-controller.c (OVN
/// 26.03): every patch, chassisredirect and external port, and every Datapath_Binding and Logical_DP_Group.
pub fn interest(r: &Reader<'_>) -> Arc<Interest> {
    if is_true(r.fact(Setting("ovn-monitor-all")).as_ref()) {
        return Arc::new(Interest { everything: true, ..Interest::default() });
    }
    let known = r.fact(LocalInterestFact);
    let (plugged, coming) = plugged(r);
    let mut rows = seeds(r, &plugged);
    rows.extend(coming);
    let datapaths = with(&known.datapaths, rows.clone());
    rows.extend(plugged.iter().filter_map(|(_, datapath)| *datapath));
    rows.extend(r.fact(PortsHere).iter().filter_map(|&port| r.fact(PortDatapath(port))));
    let ports = if datapaths.is(&known.datapaths) && !plugged.iter().any(|port| is_beyond(port, &datapaths)) {
        known.names.clone()
    } else {
        let ports = known.ports.iter().chain(&plugged).filter(|port| is_beyond(port, &datapaths));
        let names: BTreeSet<&Str> = ports.map(|(name, _)| name).collect();
        names.into_iter().cloned().collect()
    };
    Arc::new(Interest {
        everything: false,
        name: r.fact(ChassisName),
        former_name: r.former_name().cloned(),
        chassis: our_uuid(r),
        gateway_groups: gateway_groups(r),
        has_interfaces: !plugged.is_empty(),
        ports,
        datapaths,
        rows: with(&known.rows, rows),
        local: known.local.clone(),
    })
}

/// Some that are sorted, and more; the same list if it has them all, for there are thousands and mostly nothing comes to them.
fn with(some: &List<Uuid>, mut more: Vec<Uuid>) -> List<Uuid> {
    more.retain(|one| some.binary_search(one).is_err());
    if more.is_empty() {
        return some.clone();
    }
    more.extend(some.iter());
    sorted(more)
}

/// Whether a port is not on one of these datapaths, as far as is known.
fn is_beyond((_, at): &(Str, Option<Uuid>), datapaths: &[Uuid]) -> bool {
    at.is_none_or(|at| datapaths.binary_search(&at).is_err())
}

fn sorted(mut all: Vec<Uuid>) -> List<Uuid> {
    all.sort_unstable();
    all.dedup();
    all.into()
}

/// See [`crate::facts::LocalInterest`].
pub fn local_interest(r: &Reader<'_>) -> Arc<LocalInterest> {
    let datapaths = r.fact(LocalDatapaths);
    let all = datapaths.iter().take_while(|_| !r.interrupt()).map(|&datapath| r.fact(DatapathInterestOf(datapath)));
    let all: Vec<_> = all.collect();
    let mut local: Vec<(Uuid, i64)> = all.iter().map(|known| (known.datapath, known.key)).collect();
    local.sort_unstable();
    let datapaths =
        sorted(all.iter().flat_map(|known| known.targets.iter().copied().chain([known.datapath])).collect());
    let ports = || all.iter().flat_map(|known| &known.ports);
    let rows = with(&datapaths, ports().filter_map(|(_, datapath)| *datapath).collect());
    let beyond: BTreeSet<(Str, Option<Uuid>)> = ports().filter(|port| is_beyond(port, &datapaths)).cloned().collect();
    let names = beyond.iter().map(|(name, _)| name.clone()).collect();
    Arc::new(LocalInterest { local: local.into(), datapaths, rows, ports: beyond.into_iter().collect(), names })
}

/// The names that interfaces give, on any bridge and whether they work or not, with the datapath of those that are found; and the datapaths
/// that will be local when Open vSwitch has made an interface that it has not looked at yet: a matter of milliseconds.
fn plugged(r: &Reader<'_>) -> (BTreeSet<(Str, Option<Uuid>)>, Vec<Uuid>) {
    let interfaces = r.lookup(|table: &Table<Interface>| table.by_vif(true));
    let (mut names, mut coming) = (BTreeSet::new(), Vec::new());
    for (name, is_new) in interfaces.into_iter().filter_map(|interface| r.fact(IfaceId(interface))) {
        let port = r.fact(PortByName(name.clone()));
        let datapath = port.and_then(|port| r.fact(PortDatapath(port)));
        if is_new && port.is_some_and(|port| r.fact(PortKindFact(port)) == PortKind::Vif) {
            coming.extend(datapath);
        }
        names.insert((name, datapath));
    }
    (names, coming)
}

/// The datapaths that are local by themselves. As [`crate::facts::SeedDatapaths`], also while their row is not there.
fn seeds(r: &Reader<'_>, plugged: &BTreeSet<(Str, Option<Uuid>)>) -> Vec<Uuid> {
    let bound = plugged.iter().flat_map(|(name, _)| r.fact(BoundThrough(name.clone())).to_vec());
    let mut ports: Vec<RowId> = bound.collect();
    ports.extend(r.fact(GatewayPorts).iter());
    for &group in r.fact(HaGroups).iter() {
        ports.extend(r.fact(HaPorts(group)).iter());
    }
    ports.into_iter().filter_map(|port| r.fact(PortDatapath(port))).collect()
}

fn gateway_groups(r: &Reader<'_>) -> List<Uuid> {
    let groups = r.fact(HaGroups);
    let mut uuids: Vec<Uuid> =
        groups.iter().filter_map(|&group| Some(r.row::<HaChassisGroup>(group)?.uuid())).collect();
    uuids.sort_unstable();
    uuids.into()
}

/// See [`crate::facts::DatapathInterest`].
pub fn datapath_interest(r: &Reader<'_>, datapath: RowId) -> Arc<DatapathInterest> {
    let Some(row) = r.row::<DatapathBinding>(datapath) else { return Arc::default() };
    let mut interest = DatapathInterest { datapath: row.uuid(), key: row.tunnel_key(), ..DatapathInterest::default() };
    let mut ask = |name: &Str| {
        let port = r.fact(PortByName(name.clone()));
        interest.ports.push((name.clone(), port.and_then(|port| r.fact(PortDatapath(port)))));
    };
    for port in routed_ports(r, datapath).into_iter().take_while(|_| !r.interrupt()) {
        let Some(pb) = r.row::<PortBinding>(port) else { continue };
        pb.options().get("peer").into_iter().for_each(&mut ask);
        // Which gateway group a router port is for decides whether what is behind it is local.
        pb.options().get("chassis-redirect-port").into_iter().for_each(&mut ask);
        let peer = r.fact(PeerPort(port)).and_then(|peer| r.row::<PortBinding>(peer));
        let beyond = peer.and_then(|peer| peer.options().get("chassis-redirect-port").cloned());
        beyond.iter().for_each(&mut ask);
        interest.targets.extend(r.fact(PeerTarget(port)));
    }
    Arc::new(interest)
}

/// See [`crate::facts::PortDatapath`].
pub fn port_datapath(r: &Reader<'_>, port: RowId) -> Option<Uuid> {
    Some(r.row::<PortBinding>(port)?.datapath())
}

/// See [`crate::facts::IfaceId`].
pub fn iface_id(r: &Reader<'_>, interface: RowId) -> Option<(Str, bool)> {
    let row = r.row::<Interface>(interface)?;
    let name = row.external_ids().get("iface-id").filter(|id| !id.is_empty())?.clone();
    Some((name, row.ofport().is_none() && row.error().is_none()))
}
