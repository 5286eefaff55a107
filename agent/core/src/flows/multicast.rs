//! Multicast groups: one copy for each member here, one for each chassis with members elsewhere. Sheet 02 section 4.6.

use ofproto_client::{Action, ActionWriter, Match};
use ovsdb::{RowId, Str};
use std::sync::Arc;

use super::encap::{Encap, put_tunnel_ends};
use super::layout::{self, CT_ZONE, flag};
use super::ovs_order::Hmap;
use super::words::{self, Actions};
use crate::facts::{Datapath, EncapIps, FlowBasedTunnels, GroupPart as GroupPartFact, IsLocal, LocalnetPort};
use crate::reader::Reader;
use crate::rows::{DatapathBinding, MulticastGroup};
use crate::units::Output;
use crate::view::multicast::{Away, GroupMember, GroupPart, LARGE, PARTS, Reach};
use crate::view::tunnels::TunnelKind;

/// Room for headers, in outputs.
const HEADERS: usize = 16;

/// A group on a local datapath.
struct Group {
    dp_key: u32,
    key: u32,
    transit_switch: bool,
    geneve_option: Option<u8>,
    /// Tunnels are flow-based, from our first encap IP if there is one.
    flow_based: Option<Option<Str>>,
}

/// The copies of a packet to a group, by where they are made.
struct Copies<'p> {
    /// On every chassis.
    local: Actions,
    /// On the chassis where the packet starts.
    remote: Actions,
    /// Here, for a packet from a VTEP gateway that may go back.
    ramp: Actions,
    /// Chassis with members, once each.
    chassis: Hmap<&'p Away>,
    /// VTEP gateways with members, likewise.
    vteps: Hmap<&'p Away>,
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
    let ports = group.ports();
    let parts: Vec<Arc<GroupPart>> = if ports.len() < LARGE {
        vec![Arc::new(GroupPart::of(r, ports.iter(), &datapath_uuid))]
    } else {
        (0..PARTS).map(|part| r.fact(GroupPartFact(row, part))).collect()
    };
    for uuid in parts.iter().flat_map(|part| &part.strangers) {
        let (name, id) = (group.name(), group.uuid());
        out.diagnostics.push(format!("Multicast_Group {id} ({name}): port {uuid} is on another datapath"));
    }
    let group = Group {
        dp_key: dp.key,
        key,
        transit_switch: dp.is_transit_switch,
        geneve_option: r.geneve_option(),
        flow_based: r.fact(FlowBasedTunnels).map(|_| r.fact(EncapIps).first().cloned()),
    };
    let mut copies = Copies::for_chassis(parts.iter().map(|part| part.away.len()).sum());
    for member in parts.iter().flat_map(|part| &part.members) {
        group.add(member, &mut copies);
    }
    // With a localnet port the others get theirs from the physical network.
    if r.fact(LocalnetPort(datapath)).is_none() {
        parts.iter().flat_map(|part| &part.away).for_each(|away| copies.add_away(away));
    }
    group.flows(copies, cookie, out);
}

impl<'p> Copies<'p> {
    /// None yet, with room for those to so many chassis.
    fn for_chassis(n: usize) -> Self {
        Self {
            local: Actions::new(),
            remote: Actions::new(),
            ramp: Actions::new(),
            chassis: Hmap::with_capacity(n),
            vteps: Hmap::with_capacity(0),
        }
    }

    /// Adds the copy for a chassis, unless it has one.
    fn add_away(&mut self, away: &'p Away) {
        let to = if away.is_vtep { &mut self.vteps } else { &mut self.chassis };
        to.insert_new(away.hash, away, |known, new| known.chassis == new.chassis);
    }
}

impl Group {
    /// Adds the copy for one member.
    fn add(&self, member: &GroupMember, copies: &mut Copies<'_>) {
        match &member.reach {
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
                    && let Some(encap) = Encap::of(kind, self.geneve_option)
                {
                    encap.put(&mut copies.remote, self.dp_key, member.key, false);
                    copies.remote.output(ofport);
                }
            }
            Reach::Nothing | Reach::Elsewhere(_) => {}
        }
    }

    /// The up to three flows of the group.
    fn flows(&self, mut copies: Copies<'_>, cookie: u64, out: &mut Output) {
        let match_ = || -> Match { words::outport(self.dp_key, self.key) };
        if !copies.local.is_empty() {
            copies.local.load_outport(self.key);
            out.flow(layout::LOCAL_OUTPUT, 100, cookie, match_(), &copies.local.0);
        }
        if !copies.remote.is_empty() {
            copies.remote.load_outport(self.key);
        }
        let count = copies.remote.0.len() + copies.chassis.count() + copies.vteps.count();
        let mut remote = ActionWriter::with_capacity(count + HEADERS);
        remote.extend(&copies.remote.0);
        for (chassis, ramp) in [(copies.chassis, false), (copies.vteps, true)] {
            match &self.flow_based {
                Some(Some(local_ip)) => self.fan_out_flow_based(&chassis, ramp, local_ip, &mut remote),
                Some(None) => {}
                None => self.fan_out(&chassis, ramp, &mut remote),
            }
        }
        if !remote.is_empty() {
            remote.push(&Action::resubmit(layout::REMOTE_VTEP_OUTPUT));
            let match_ = words::with_flag(match_(), flag::RCV_FROM_RAMP, false);
            out.encoded_flow(layout::REMOTE_OUTPUT, 100, cookie, match_, remote.finish());
        }
        if !copies.ramp.is_empty() {
            copies.ramp.load_outport(self.key).resubmit(layout::REMOTE_VTEP_OUTPUT);
            let match_ =
                words::with_flag(words::with_flag(match_(), flag::RCV_FROM_RAMP, true), flag::ALLOW_LOOPBACK, true);
            out.flow(layout::REMOTE_OUTPUT, 120, cookie, match_, &copies.ramp.0);
        }
    }

    /// One copy per chassis; the header is written again only when the kind of tunnel changes.
    fn fan_out(&self, chassis: &Hmap<&Away>, ramp: bool, to: &mut ActionWriter) {
        let mut written = None;
        for (kind, ofport) in chassis.iter().filter_map(|away| away.tunnel) {
            if self.put_header(kind, ramp, &mut written, to) {
                to.output(u32::from(ofport));
            }
        }
    }

    /// The same through shared tunnel ports.
    fn fan_out_flow_based(&self, chassis: &Hmap<&Away>, ramp: bool, local_ip: &Str, to: &mut ActionWriter) {
        let mut written = None;
        for end in chassis.iter().filter_map(|away| away.end.as_ref()) {
            let mut copy = Actions::new();
            if self.put_header(end.kind, ramp, &mut written, to) && put_tunnel_ends(&mut copy, local_ip, &end.remote_ip)
            {
                to.extend(&copy.output(end.ofport).0);
            }
        }
    }

    /// Writes the header for this kind of tunnel unless it is the one `written` last. `false` while it cannot be.
    fn put_header(
        &self,
        kind: TunnelKind,
        ramp: bool,
        written: &mut Option<TunnelKind>,
        to: &mut ActionWriter,
    ) -> bool {
        if *written != Some(kind) {
            let Some(encap) = Encap::of(kind, self.geneve_option) else { return false };
            let mut header = Actions::new();
            encap.put(&mut header, self.dp_key, self.key, ramp);
            to.extend(&header.0);
            *written = Some(kind);
        }
        true
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
