//! Multicast groups: one copy for each member here, one for each chassis with members elsewhere. Sheet 02 section 4.6.

use ofproto_client::Match;
use ovsdb::tables::Table;
use ovsdb::{RowId, Str};
use rustc_hash::FxHashSet;

use super::encap::{Encap, put_tunnel_ends};
use super::layout::{self, CT_ZONE, flag};
use super::ovs_order::hmap_order;
use super::physical::FlowBasedEnd;
use super::words::{self, Actions};
use crate::facts::{Datapath, EncapIps, FlowBasedTunnels, GroupMember, IsLocal, LocalnetPort};
use crate::reader::Reader;
use crate::rows::{Chassis, DatapathBinding, MulticastGroup, PortBinding};
use crate::units::Output;
use crate::view::multicast::{Away, Reach};
use crate::view::tunnels::FlowBased;

/// A group on a local datapath.
struct Group<'r> {
    r: &'r Reader<'r>,
    dp_key: u32,
    key: u32,
    transit_switch: bool,
}

/// The copies of a packet to a group, by where they are made.
#[derive(Default)]
struct Copies {
    /// On every chassis.
    local: Actions,
    /// On the chassis where the packet starts.
    remote: Actions,
    /// Here, for a packet from a VTEP gateway that may go back.
    ramp: Actions,
    /// Chassis with members, in the order of the members.
    chassis: Vec<Away>,
    /// VTEP gateways with members, likewise.
    vteps: Vec<Away>,
    /// Both, for looking up.
    seen: FxHashSet<Str>,
}

/// Flows of one row.
pub fn multicast_group(r: &Reader<'_>, row: RowId, out: &mut Output) {
    let Some(group) = r.row::<MulticastGroup>(row) else { return };
    let datapath_uuid = group.datapath();
    let Some(datapath) = r.find_id::<DatapathBinding>(&datapath_uuid) else { return };
    if !r.fact(IsLocal(datapath)) {
        return;
    }
    let (Some(dp), Ok(key)) = (r.fact(Datapath(datapath)), u32::try_from(group.tunnel_key())) else { return };
    let cookie = u64::from(group.uuid().short());
    let tunnelled = r.fact(LocalnetPort(datapath)).is_none();
    let group_ = Group { r, dp_key: dp.key, key, transit_switch: dp.is_transit_switch };
    let mut copies = Copies::default();
    for uuid in group.ports() {
        let Some(port) = r.find_id::<PortBinding>(uuid) else { continue };
        let member = r.fact(GroupMember(port));
        if member.datapath != datapath_uuid {
            let (name, id) = (group.name(), group.uuid());
            out.diagnostics.push(format!("Multicast_Group {id} ({name}): port {uuid} is on another datapath"));
            continue;
        }
        group_.add(&member, tunnelled, &mut copies);
    }
    group_.flows(copies, cookie, out);
}

impl Group<'_> {
    /// Adds the copy for one member.
    fn add(&self, member: &crate::view::multicast::GroupMember, tunnelled: bool, copies: &mut Copies) {
        let r = self.r;
        match &member.reach {
            Reach::Nothing => {}
            Reach::Local => deliver_in_zone(&mut copies.local, member.zone, member.key),
            Reach::Patch if self.transit_switch => deliver_in_zone(&mut copies.local, member.zone, member.key),
            Reach::Patch => {
                deliver(&mut copies.remote, member.key);
                deliver(&mut copies.ramp, member.key);
            }
            Reach::Localport => deliver(&mut copies.remote, member.key),
            Reach::Remote(away) => {
                copies.remote.load_outport(member.key);
                if let Some((kind, ofport)) = away.tunnel
                    && let Some(encap) = Encap::of(kind, r.geneve_option())
                {
                    encap.put(&mut copies.remote, self.dp_key, member.key, false);
                    copies.remote.output(ofport);
                }
            }
            Reach::Elsewhere(chassis) if tunnelled => {
                for away in chassis.iter() {
                    if copies.seen.insert(away.chassis.clone()) {
                        let to = if away.is_vtep { &mut copies.vteps } else { &mut copies.chassis };
                        to.push(away.clone());
                    }
                }
            }
            Reach::Elsewhere(_) => {}
        }
    }

    /// The up to three flows of the group.
    fn flows(&self, mut copies: Copies, cookie: u64, out: &mut Output) {
        let match_ = || -> Match { words::outport(self.dp_key, self.key) };
        if !copies.local.is_empty() {
            copies.local.load_outport(self.key);
            out.flow(layout::LOCAL_OUTPUT, 100, cookie, match_(), &copies.local.0);
        }
        if !copies.remote.is_empty() {
            copies.remote.load_outport(self.key);
        }
        for (chassis, ramp) in [(copies.chassis, false), (copies.vteps, true)] {
            let chassis = hmap_order(chassis, |away| &away.chassis);
            match self.r.fact(FlowBasedTunnels) {
                Some(shared) => self.fan_out_flow_based(&chassis, ramp, &shared, &mut copies.remote),
                None => self.fan_out(&chassis, ramp, &mut copies.remote),
            }
        }
        if !copies.remote.is_empty() {
            copies.remote.resubmit(layout::REMOTE_VTEP_OUTPUT);
            let match_ = words::with_flag(match_(), flag::RCV_FROM_RAMP, false);
            out.flow(layout::REMOTE_OUTPUT, 100, cookie, match_, &copies.remote.0);
        }
        if !copies.ramp.is_empty() {
            copies.ramp.load_outport(self.key).resubmit(layout::REMOTE_VTEP_OUTPUT);
            let match_ =
                words::with_flag(words::with_flag(match_(), flag::RCV_FROM_RAMP, true), flag::ALLOW_LOOPBACK, true);
            out.flow(layout::REMOTE_OUTPUT, 120, cookie, match_, &copies.ramp.0);
        }
    }

    /// One copy per chassis; the header is written again only when the kind of tunnel changes.
    fn fan_out(&self, chassis: &[Away], ramp: bool, actions: &mut Actions) {
        let mut written = None;
        for (kind, ofport) in chassis.iter().filter_map(|away| away.tunnel) {
            let Some(encap) = Encap::of(kind, self.r.geneve_option()) else { continue };
            if written != Some(encap) {
                encap.put(actions, self.dp_key, self.key, ramp);
                written = Some(encap);
            }
            actions.output(ofport);
        }
    }

    /// The same through shared tunnel ports, from our first encap IP.
    fn fan_out_flow_based(&self, chassis: &[Away], ramp: bool, shared: &FlowBased, actions: &mut Actions) {
        let r = self.r;
        let ips = r.fact(EncapIps);
        let Some(local_ip) = ips.first() else { return };
        let mut written = None;
        for away in chassis {
            let row = r.lookup_one(|table: &Table<Chassis>| table.by_name(&away.chassis));
            let Some(uuid) = row.and_then(|row| r.row::<Chassis>(row)).map(|chassis| chassis.uuid()) else { continue };
            let Some(end) = FlowBasedEnd::of(r, uuid, None, shared) else { continue };
            if written != Some(end.encap) {
                end.encap.put(actions, self.dp_key, self.key, ramp);
                written = Some(end.encap);
            }
            if put_tunnel_ends(actions, local_ip, &end.remote_ip) {
                actions.output(end.ofport);
            }
        }
    }
}

/// Delivers a copy to a port here.
fn deliver(actions: &mut Actions, key: u32) {
    actions.load_outport(key).resubmit(layout::CHECK_LOOPBACK);
}

/// Delivers a copy to a port here, in its zone if it has one.
fn deliver_in_zone(actions: &mut Actions, zone: u16, key: u32) {
    if zone != 0 {
        actions.load(CT_ZONE, zone);
    }
    deliver(actions, key);
}
