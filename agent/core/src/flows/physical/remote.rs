//! Ports on other chassis: reached through tunnels, or through the physical network. Sheet 02 section 4.5.

use ofproto_client::{Action, Field, Match, action::Bundle};
use ovsdb::{Str, Uuid};

use super::{Kind, Lport};
use crate::facts::{EncapIps, FlowBasedTunnels, ThisChassis, TunnelsTo};
use crate::flows::encap::{Encap, put_tunnel_ends};
use crate::flows::layout::{self, ENCAP_ID, flag};
use crate::flows::words::{self, Actions};
use crate::rows::{Chassis, Encap as EncapRow};
use crate::units::Output;
use crate::view::tunnels::{FlowBased, Tunnel, TunnelKind, any_tunnel, flow_based_end};

/// Most members that a bundle action takes (OVS's BUNDLE_MAX_MEMBERS).
const BUNDLE_MAX_MEMBERS: usize = 2048;

/// A port of another chassis on a datapath with a localnet port.
pub(super) fn through_localnet(lport: &Lport<'_>, localnet: &Lport<'_>, out: &mut Output) {
    let mut actions = Actions::new();
    actions.load_outport(localnet.key).resubmit(layout::LOCAL_OUTPUT);
    lport.flow(out, layout::LOCAL_OUTPUT, 100, lport.outport(), &actions);
}

/// To the main and the additional chassis of the port, as far as we are not one of them.
pub(super) fn to_chassis(lport: &Lport<'_>, out: &mut Output) {
    match lport.r.fact(FlowBasedTunnels) {
        Some(shared) => to_chassis_flow_based(lport, &shared, out),
        None => to_chassis_by_ports(lport, out),
    }
}

/// One flow per encap IP of ours, since each has its own tunnels.
fn to_chassis_by_ports(lport: &Lport<'_>, out: &mut Output) {
    let ends = remote_ends(lport);
    if ends.is_empty() {
        return;
    }
    let is_nf = lport.flag("is-nf");
    for (id, local_ip) in lport.r.fact(EncapIps).iter().enumerate() {
        let tunnels = remote_tunnels(lport, &ends, Some(local_ip));
        if tunnels.is_empty() {
            continue;
        }
        let mut send = Actions::new();
        if !put_tunnels(lport, &tunnels, &mut send) {
            return;
        }
        send.resubmit(layout::REMOTE_VTEP_OUTPUT);
        let mut actions = Actions::new();
        before_tunnel(lport, &mut actions);
        if is_nf {
            actions.without_in_port(|actions| actions.0.append(&mut send.0));
        } else {
            actions.0.append(&mut send.0);
        }
        lport.flow(out, layout::REMOTE_OUTPUT, 100, with_encap_id(lport, id), &actions);
    }
}

/// Outport, and the encap IP that the packet is to be sent with.
fn with_encap_id(lport: &Lport<'_>, id: usize) -> Match {
    words::with_bits(lport.outport(), ENCAP_ID, id as u128)
}

/// A VTEP gateway's answers may have to go back where the question came from.
pub(super) fn before_tunnel(lport: &Lport<'_>, actions: &mut Actions) {
    if lport.kind == Kind::Vtep {
        actions.clear_in_port();
    }
}

/// Header and output for each tunnel. `false`: the Geneve option is not negotiated yet, so nothing can be sent.
pub(super) fn put_tunnels(lport: &Lport<'_>, tunnels: &[Tunnel], actions: &mut Actions) -> bool {
    for tunnel in tunnels {
        let Some(encap) = lport.encap(tunnel.kind) else { return false };
        encap.put(actions, lport.dp_key, lport.key, lport.kind == Kind::Vtep);
        actions.output(tunnel.ofport);
    }
    true
}

/// A chassis that has the port, and the IP it wants to be sent to for it.
pub(super) struct RemoteEnd {
    chassis: Str,
    ip: Option<Str>,
}

/// The chassis other than this one that have the port: the main one first.
pub(super) fn remote_ends(lport: &Lport<'_>) -> Vec<RemoteEnd> {
    let r = lport.r;
    let ours = lport.this_chassis();
    let mut ends = Vec::new();
    let name = |uuid: Uuid| r.find::<Chassis>(&uuid).map(|chassis| chassis.name().clone());
    if let Some(main) = lport.pb.chassis().filter(|&main| Some(main) != ours)
        && let Some(chassis) = name(main)
    {
        let ip = lport.pb.encap().and_then(|uuid| r.find::<EncapRow>(&uuid)).map(|encap| encap.ip().clone());
        ends.push(RemoteEnd { chassis, ip });
    }
    let additional = lport.pb.additional_chassis();
    if additional.is_empty() {
        return ends;
    }
    // OVN 26.03 looks for the additional encap of *this* chassis here, whose IP no tunnel leads to: any tunnel is used then.
    let ip = additional_encap_of_this_chassis(lport);
    for chassis in additional.iter().filter(|&&uuid| Some(uuid) != ours).filter_map(|&uuid| name(uuid)) {
        ends.push(RemoteEnd { chassis, ip: ip.clone() });
    }
    ends
}

/// IP of the row in additional_encap that belongs to this chassis.
fn additional_encap_of_this_chassis(lport: &Lport<'_>) -> Option<Str> {
    let r = lport.r;
    let ours = r.fact(ThisChassis).and_then(|row| r.row::<Chassis>(row))?;
    let encaps = lport.pb.additional_encap().iter().filter_map(|uuid| r.find::<EncapRow>(uuid));
    encaps.into_iter().find(|encap| encap.chassis_name() == ours.name()).map(|encap| encap.ip().clone())
}

/// The tunnels to these ends, one each, from `local_ip` if there is one from there.
pub(super) fn remote_tunnels(lport: &Lport<'_>, ends: &[RemoteEnd], local_ip: Option<&Str>) -> Vec<Tunnel> {
    let tunnel = |end: &RemoteEnd| pick(&lport.r.fact(TunnelsTo(end.chassis.clone())), end.ip.as_ref(), local_ip);
    ends.iter().filter_map(tunnel).collect()
}

/// The tunnel between two IPs; any, if there is none.
fn pick(tunnels: &[Tunnel], remote_ip: Option<&Str>, local_ip: Option<&Str>) -> Option<Tunnel> {
    let fits = |tunnel: &&Tunnel| {
        remote_ip.is_none_or(|ip| tunnel.remote_ip == *ip)
            && local_ip.is_none_or(|ip| tunnel.local_ip.is_empty() || tunnel.local_ip == *ip)
    };
    tunnels.iter().find(fits).or_else(|| tunnels.first()).cloned()
}

/// To the best chassis of an HA group that a BFD session says is alive: the switch decides.
pub(super) fn to_ha_chassis(lport: &Lport<'_>, order: &[Str], out: &mut Output) {
    let tunnels: Vec<Tunnel> = order.iter().filter_map(|chassis| any_tunnel(lport.r, chassis)).collect();
    let Some(first) = tunnels.first() else {
        return lport.complain(out, format_args!("no tunnel to any chassis of its HA chassis group"));
    };
    if tunnels.iter().any(|tunnel| tunnel.kind != first.kind) {
        return lport.complain(out, format_args!("the tunnels to its HA chassis group have different encapsulations"));
    }
    let Some(encap) = lport.encap(first.kind) else { return };
    let mut actions = Actions::new();
    encap.put(&mut actions, lport.dp_key, lport.key, lport.kind == Kind::Vtep);
    actions.push(Action::Bundle(Box::new(Bundle {
        algorithm: 0,
        fields: 0,
        basis: 0,
        members: tunnels.iter().map(|tunnel| tunnel.ofport).take(BUNDLE_MAX_MEMBERS).collect(),
        dst: None,
    })));
    lport.flow(out, layout::REMOTE_OUTPUT, 100, lport.outport(), &actions);
}

/// Through the shared tunnel port: both ends are set per packet. The main chassis only.
fn to_chassis_flow_based(lport: &Lport<'_>, shared: &FlowBased, out: &mut Output) {
    let r = lport.r;
    let ours = lport.this_chassis();
    let Some(main) = lport.pb.chassis().filter(|&main| Some(main) != ours) else { return };
    let Some(end) = flow_based_end(r, main, lport.pb.encap(), shared) else { return };
    let Some(encap) = lport.encap(end.kind) else { return };
    for (id, local_ip) in r.fact(EncapIps).iter().enumerate() {
        let mut actions = Actions::new();
        before_tunnel(lport, &mut actions);
        encap.put(&mut actions, lport.dp_key, lport.key, lport.kind == Kind::Vtep);
        if !put_tunnel_ends(&mut actions, local_ip, &end.remote_ip) {
            let remote_ip = &end.remote_ip;
            lport.complain(out, format_args!("bad tunnel address {local_ip} or {remote_ip}"));
            continue;
        }
        actions.output(end.ofport).resubmit(layout::LOCAL_OUTPUT);
        lport.flow(out, layout::REMOTE_OUTPUT, 100, with_encap_id(lport, id), &actions);
    }
}

/// What a VTEP gateway sends: the tunnel id is the datapath, and the gateway's logical port is the inport.
pub(super) fn from_ramp(lport: &Lport<'_>, out: &mut Output) {
    let r = lport.r;
    let Some(chassis) = lport.pb.chassis().and_then(|uuid| r.find::<Chassis>(&uuid)) else { return };
    for tunnel in r.fact(TunnelsTo(chassis.name().clone())).iter().filter(|tunnel| tunnel.kind == TunnelKind::Vxlan) {
        let mut actions = Actions::new();
        Encap::take_ramp(&mut actions);
        actions
            .load(ofproto_client::Subfield::new(layout::INPORT, 0, 15), lport.key)
            .set_flag(flag::RCV_FROM_RAMP)
            .resubmit(layout::LOG_INGRESS);
        let match_ = words::with(words::in_port(tunnel.ofport), Field::TUN_ID, lport.dp_key);
        lport.flow(out, layout::PHY_TO_LOG, 110, match_, &actions);
    }
}
