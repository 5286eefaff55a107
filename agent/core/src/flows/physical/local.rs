//! Ports plugged into the switch: VIFs, children, mirrors, localports, localnet and l2gateway ports. Sheet 02 section 4.3.

use ofproto_client::{Field, Match};
use ovsdb::RowId;

use super::{Attachment, DELIVER, Lport, activation, drop_actions, localnet, network_function};
use crate::facts::EncapIps;
use crate::flows::layout::{self, OUTPORT, flag};
use crate::flows::words::{self, Actions};
use crate::rows::{Encap, PortBinding};
use crate::units::Output;
use crate::view::ports::PortKind as Kind;

/// All flows of a port that is plugged in here.
pub(super) fn local(lport: &Lport<'_>, attachment: Attachment, localnet: Option<&Lport<'_>>, out: &mut Output) {
    common(lport, attachment.nested, out);
    activation::blocked_until_active(lport, attachment.ofport, out);
    // A mirror port only gets copies: what comes from its interface is the interface's own port's. (ovn-controller 26.03 has the same
    // flow for both, and one of them wins.)
    if lport.kind != Kind::Mirror {
        from_switch(lport, attachment, out);
    }
    to_switch(lport, attachment, localnet, out);
    match lport.kind {
        Kind::Localnet => localnet::localnet(lport, attachment, out),
        Kind::Localport => {
            // What a localport sends stays on this chassis: there is one like it on every other.
            let mut actions = Actions::new();
            actions.resubmit(layout::LOCAL_OUTPUT);
            lport.flow(out, layout::REMOTE_OUTPUT, 150, lport.inport(), &actions);
        }
        _ => {}
    }
    if localnet.is_some() && lport.flag("is-nf") {
        network_function::redirect_back(lport, out);
    }
}

/// For ICMP errors that the kernel makes itself: the zones of the port that the packet in error came from.
pub(super) fn zones_of_errors(lport: &Lport<'_>, out: &mut Output) {
    let mut actions = Actions::new();
    actions.load_zones(lport.zones()).resubmit(layout::LOG_INGRESS);
    lport.flow(out, layout::CT_ZONE_LOOKUP, 100, lport.inport(), &actions);
}

/// What every port has that is delivered to here: physical.c `put_local_common_flows`.
pub(super) fn common(lport: &Lport<'_>, parent: Option<RowId>, out: &mut Output) {
    let mut deliver = Actions::new();
    deliver.load_zones(lport.zones()).resubmit(DELIVER);
    lport.flow(out, layout::LOCAL_OUTPUT, 100, lport.outport(), &deliver);

    let looped = words::with(lport.inport(), OUTPORT, lport.key);
    let looped = words::with_flag(looped, flag::ALLOW_LOOPBACK, false);
    let drop = drop_actions(lport.r, layout::CHECK_LOOPBACK);
    lport.flow(out, layout::CHECK_LOOPBACK, 100, looped, &drop);

    if lport.flag("is-nf") {
        let mut actions = Actions::new();
        actions.clear_log_regs_but_tunnel().resubmit(layout::LOG_EGRESS);
        let match_ = words::with(Match::new(), Field::METADATA, lport.dp_key);
        out.flow(layout::CHECK_LOOPBACK, 1, lport.datapath_cookie, match_, &actions.0);
    }

    let mut hairpin = Actions::new();
    hairpin.without_in_port(|actions| {
        actions.resubmit(layout::LOG_TO_PHY);
    });
    // Siblings behind one port of the switch may always talk to each other.
    let parent = parent.and_then(|row| lport.r.row::<PortBinding>(row));
    let to_port = match parent {
        None => words::with_flag(lport.outport(), flag::ALLOW_LOOPBACK, true),
        Some(_) => lport.outport(),
    };
    lport.flow(out, layout::SAVE_INPORT, 100, to_port, &hairpin);
    if let Some(parent) = parent
        && let Ok(key) = u32::try_from(parent.tunnel_key())
    {
        let to_parent = words::with_flag(words::outport(lport.dp_key, key), flag::NESTED_CONTAINER, true);
        let cookie = u64::from(parent.uuid().short());
        out.flow(layout::SAVE_INPORT, 100, cookie, to_parent, &hairpin.0);
    }
}

/// Zones, datapath, inport and encap id of a packet that came in on this port.
pub(super) fn load_ingress_metadata(lport: &Lport<'_>, encap_id: u16, actions: &mut Actions) {
    actions.load_zones(lport.zones()).load_inport(lport.dp_key, lport.key).load_encap_id(encap_id);
}

/// Index of the encap IP that the port asks for.
fn encap_id(lport: &Lport<'_>) -> u16 {
    let r = lport.r;
    let Some(encap) = lport.pb.encap().and_then(|uuid| r.find::<Encap>(&uuid)) else { return 0 };
    let at = r.fact(EncapIps).iter().position(|ip| ip == encap.ip());
    at.and_then(|at| u16::try_from(at).ok()).unwrap_or(0)
}

/// Table 0: from the switch into the logical network.
fn from_switch(lport: &Lport<'_>, attachment: Attachment, out: &mut Output) {
    let Attachment { ofport, tag, nested } = attachment;
    let physical = matches!(lport.kind, Kind::Localnet | Kind::L2Gateway);
    let mut match_ = words::in_port(ofport);
    let mut actions = Actions::new();
    if tag != 0 || physical {
        if nested.is_some() {
            actions.set_flag(flag::NESTED_CONTAINER);
        }
        // Without a tag of its own, a physical network may still have frames with a priority tag (VLAN 0).
        if tag != 0 || !lport.flag("vlan-passthru") {
            match_ = words::with_vlan(match_, tag);
            actions.strip_vlan();
        }
    }
    let mut enter = Actions::new();
    load_ingress_metadata(lport, encap_id(lport), &mut enter);
    if lport.kind == Kind::Localport {
        enter.set_flag(flag::LOCALPORT);
    }
    enter.resubmit(layout::LOG_INGRESS);

    actions.0.extend(enter.0.iter().cloned());
    let priority = if tag != 0 { 150 } else { 100 };
    lport.flow(out, layout::PHY_TO_LOG, priority, match_, &actions);
    if tag == 0 && physical {
        lport.flow(out, layout::PHY_TO_LOG, 100, words::without_vlan(words::in_port(ofport)), &enter);
    }
}

/// Table 65: from the logical network to the switch.
fn to_switch(lport: &Lport<'_>, attachment: Attachment, localnet: Option<&Lport<'_>>, out: &mut Output) {
    let Attachment { ofport, tag, .. } = attachment;
    let mut actions = Actions::new();
    if tag != 0 {
        actions.push_vlan(localnet::vlan_ethertype(localnet), tag).output(ofport).strip_vlan();
    } else {
        actions.output(ofport);
    }
    lport.flow(out, layout::LOG_TO_PHY, 100, lport.outport(), &actions);
}
