//! Tunnel ports: what comes in from them, and flooding to other availability zones. Sheet 02 sections 4.2 and 4.8.
//!
//! Each port has its unit, so that one more tunnel costs the same on a big deployment as on a small one. What a tunnel to another
//! availability zone has besides belongs to the chassis' unit ([`super::chassis`]).

use ofproto_client::{Field, Match};
use ovsdb::RowId;

use super::encap::{Encap, VXLAN_MULTICAST_BIT};
use super::layout::{self, flag};
use super::words::{self, Actions, ETH_ARP};
use crate::facts::{ChassisName, FlowBasedTunnels, RemoteChassis, TunnelAt};
use crate::reader::Reader;
use crate::units::Output;
use crate::view::tunnels::{TunnelKind, any_tunnel};

/// ARP reply.
const ARP_REPLY: u16 = 2;
/// ICMPv6 type of neighbour advertisements.
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

/// Flows of a port that leads to one chassis.
pub fn tunnel(r: &Reader<'_>, port: RowId, out: &mut Output) {
    let Some(tunnel) = r.fact(TunnelAt(port)) else { return };
    if r.fact(ChassisName).is_none_or(|own| own == tunnel.chassis) {
        return;
    }
    if let Some(encap) = Encap::of(tunnel.kind, r.geneve_option()) {
        from_tunnel(encap, tunnel.ofport, out);
        from_vxlan_multicast(encap, tunnel.ofport, out);
    }
}

/// Flows of no single tunnel.
pub fn tunnels(r: &Reader<'_>, out: &mut Output) {
    let geneve_option = r.geneve_option();
    if let Some(shared) = r.fact(FlowBasedTunnels) {
        for (kind, ofport) in [(TunnelKind::Geneve, shared.geneve), (TunnelKind::Vxlan, shared.vxlan)] {
            if let (Some(encap), Some(ofport)) = (Encap::of(kind, geneve_option), ofport) {
                from_tunnel(encap, ofport, out);
            }
        }
    }
    flood_remote_chassis(r, out);
}

/// What comes in from any tunnel: read the header and deliver.
fn from_tunnel(encap: Encap, ofport: u16, out: &mut Output) {
    let mut actions = Actions::new();
    encap.take(&mut actions, ofport);
    actions.resubmit(layout::LOCAL_OUTPUT);
    out.flow(layout::PHY_TO_LOG, 100, 0, words::in_port(ofport), &actions.0);

    // "Packet too big" of the tunnel itself: OVN 26.03 delivers it as well as looking up whose packet it was.
    actions.set_flag(flag::RX_FROM_TUNNEL).resubmit(layout::CT_ZONE_LOOKUP);
    out.flow(layout::PHY_TO_LOG, 120, 0, words::with_icmp4(words::in_port(ofport), 3, 4), &actions.0);
    out.flow(layout::PHY_TO_LOG, 120, 0, words::with_icmp6(words::in_port(ofport), 2, 0), &actions.0);
}

/// Multicast keys have 12 bits in VXLAN and 16 elsewhere.
fn from_vxlan_multicast(encap: Encap, ofport: u16, out: &mut Output) {
    if encap == Encap::Vxlan {
        let mut actions = Actions::new();
        Encap::take_vxlan_multicast(&mut actions);
        actions.resubmit(layout::LOCAL_OUTPUT);
        let match_ = words::with_bits(words::in_port(ofport), VXLAN_MULTICAST_BIT, 1u8);
        out.flow(layout::PHY_TO_LOG, 105, 0, match_, &actions.0);
    }
}

/// ARP and ND answers from another availability zone, which come without an outport: into the ingress pipeline.
pub(super) fn from_remote_zone(encap: Encap, ofport: u16, cookie: u64, out: &mut Output) {
    let mut actions = Actions::new();
    actions.set_flag(flag::RX_FROM_TUNNEL);
    encap.take(&mut actions, ofport);
    actions.resubmit(layout::LOG_INGRESS);
    let mut match_ = words::in_port(ofport);
    match encap {
        Encap::Geneve(n) => match_ = words::with(match_, Field::tun_metadata(n), 0u8),
        // VXLAN cannot say that there is no outport, so it is tried as well.
        Encap::Vxlan => {
            actions.resubmit(layout::LOCAL_OUTPUT);
        }
    }
    let arp = words::with(words::with(match_.clone(), Field::ETH_TYPE, ETH_ARP), Field::ARP_OP, ARP_REPLY);
    out.flow(layout::PHY_TO_LOG, 120, cookie, arp, &actions.0);
    let advertisement = words::with_icmp6(match_, NEIGHBOUR_ADVERTISEMENT, 0);
    out.flow(layout::PHY_TO_LOG, 120, cookie, advertisement, &actions.0);
}

/// A copy to every chassis of other availability zones, unless the packet came from a tunnel itself.
fn flood_remote_chassis(r: &Reader<'_>, out: &mut Output) {
    let mut actions = Actions::new();
    let mut written = None;
    for chassis in r.fact(RemoteChassis).iter() {
        let Some(tunnel) = any_tunnel(r, chassis) else { continue };
        let Some(encap) = Encap::of(tunnel.kind, r.geneve_option()) else { continue };
        if written != Some(encap) {
            encap.put_flood(&mut actions);
            written = Some(encap);
        }
        actions.output(tunnel.ofport);
    }
    if !actions.is_empty() {
        let match_ = words::with_flag(Match::new(), flag::RX_FROM_TUNNEL, false);
        out.flow(layout::FLOOD_REMOTE_CHASSIS, 100, 0, match_, &actions.0);
    }
}
