//! Localnet ports: MAC addresses of routers towards the physical network, and what must not get there. Sheet 02 sections 4.2
//! and 4.3.

use ofproto_client::{Action, Field, Match};
use ovsdb::Str;

use super::{Attachment, Lport, drop_actions, local};
use crate::facts::{ChassisMac, ExternalPorts, PeerPorts};
use crate::flows::addresses::parse_mac;
use crate::flows::layout::{self, flag};
use crate::flows::words::{self, Actions};
use crate::rows::PortBinding;
use crate::units::Output;

/// Conjunction that joins "source MAC of another chassis" with "localnet port", OVN's CHASSIS_MAC_TO_ROUTER_MAC_CONJID.
pub const CHASSIS_MAC_CONJUNCTION: u32 = 100;
/// EtherType of 802.1Q tags.
const VLAN_8021Q: u16 = 0x8100;
/// EtherType of 802.1ad tags.
const VLAN_8021AD: u16 = 0x88a8;

/// EtherType of the tags that the physical network wants, from the localnet port's option ethtype.
pub(super) fn vlan_ethertype(localnet: Option<&Lport<'_>>) -> u16 {
    let option = localnet.and_then(|localnet| localnet.option("ethtype"));
    // 802.11ad is a misspelling that deployments have used for years.
    match option {
        Some(ethtype) if ethtype.eq_ignore_ascii_case("802.1ad") => VLAN_8021AD,
        Some(ethtype) if ethtype.eq_ignore_ascii_case("802.11ad") => VLAN_8021AD,
        _ => VLAN_8021Q,
    }
}

/// A clause of the chassis MAC conjunction.
pub(in crate::flows) fn chassis_mac_clause(clause: u8) -> Actions {
    let mut actions = Actions::new();
    actions.push(Action::Conjunction { clause, n_clauses: 2, id: CHASSIS_MAC_CONJUNCTION });
    actions
}

/// The flows that only localnet ports have.
pub(super) fn localnet(lport: &Lport<'_>, attachment: Attachment, out: &mut Output) {
    let routers = router_ports(lport, out);
    restore_router_macs(lport, attachment, &routers, out);
    use_chassis_mac(lport, attachment, &routers, out);
    keep_local(lport, out);
    external(lport, out);
}

/// A router port on the other side of a peering of the switch.
struct RouterPort {
    name: Str,
    cookie: u64,
    mac: u64,
}

/// The router ports that the localnet port's switch is connected to; up to the first whose MAC cannot be read.
fn router_ports(lport: &Lport<'_>, out: &mut Output) -> Vec<RouterPort> {
    let r = lport.r;
    let mut routers = Vec::new();
    for &(_, peer) in r.fact(PeerPorts(lport.datapath)).iter() {
        let Some(peer) = r.row::<PortBinding>(peer) else { continue };
        let name = peer.logical_port().clone();
        let Some(mac) = peer.mac().iter().next().and_then(|mac| parse_mac(mac)) else {
            lport.complain(out, format_args!("router port {name} has no usable MAC address"));
            break;
        };
        routers.push(RouterPort { name, cookie: u64::from(peer.uuid().short()), mac });
    }
    routers
}

/// Frames that another chassis routed bear its own MAC; they get the router port's back.
fn restore_router_macs(lport: &Lport<'_>, attachment: Attachment, routers: &[RouterPort], out: &mut Output) {
    let Attachment { ofport, tag, .. } = attachment;
    let from_network = || -> Match {
        let match_ = words::in_port(ofport);
        if tag != 0 { words::with_vlan(match_, tag) } else { words::without_vlan(match_) }
    };
    // Only one of several router ports can be restored, because the matches are the same: the first one's is.
    let Some(router) = routers.first() else { return };
    let mut actions = Actions::new();
    if tag != 0 {
        actions.strip_vlan();
    }
    local::load_ingress_metadata(lport, 0, &mut actions);
    actions.set(Field::ETH_SRC, router.mac).resubmit(layout::LOG_INGRESS);
    let joined = words::with(from_network(), Field::CONJ_ID, CHASSIS_MAC_CONJUNCTION);
    out.flow(layout::PHY_TO_LOG, 180, router.cookie, joined, &actions.0);
    out.flow(layout::PHY_TO_LOG, 180, router.cookie, from_network(), &chassis_mac_clause(1).0);
}

/// Frames from a distributed router port leave with this chassis' own MAC, lest the physical switches see one MAC in many
/// places.
fn use_chassis_mac(lport: &Lport<'_>, attachment: Attachment, routers: &[RouterPort], out: &mut Output) {
    let Attachment { ofport, tag, .. } = attachment;
    let r = lport.r;
    if routers.is_empty() {
        return;
    }
    let Some(network) = lport.option("network_name") else {
        return lport.complain(out, format_args!("a localnet port without network_name"));
    };
    let Some(chassis_mac) = r.fact(ChassisMac(network.into())) else { return };
    for router in routers {
        // On the gateway of a router port its own MAC is where it belongs.
        let gateway = Lport::by_name(r, &format!("cr-{}", router.name)).and_then(|redirect| redirect.pb.chassis());
        if gateway.is_some() && gateway == lport.this_chassis() {
            continue;
        }
        let mut actions = Actions::new();
        actions.set(Field::ETH_SRC, chassis_mac);
        if tag != 0 {
            actions.push_vlan(vlan_ethertype(Some(lport)), tag);
        }
        // When flooding, the next port gets the frame as it was.
        actions.output(ofport).set(Field::ETH_SRC, router.mac);
        if tag != 0 {
            actions.strip_vlan();
        }
        lport.flow(out, layout::LOG_TO_PHY, 150, words::with(lport.outport(), Field::ETH_SRC, router.mac), &actions);
    }
}

/// What comes from a localport, and what is marked so, does not leave through the physical network.
fn keep_local(lport: &Lport<'_>, out: &mut Output) {
    let drop = drop_actions(lport.r, layout::CHECK_LOOPBACK);
    let localport = words::with_flag(lport.outport(), flag::LOCALPORT, true);
    lport.flow(out, layout::CHECK_LOOPBACK, 160, localport, &drop);
    let local_only = words::with_flag(lport.outport(), flag::LOCAL_ONLY, true);
    let local_only = words::with_flag(local_only, flag::OVERRIDE_LOCAL_ONLY, false);
    lport.flow(out, layout::CHECK_LOOPBACK, 160, local_only, &drop);
}

/// ... but a localport may talk to the external ports that this chassis answers for.
fn external(lport: &Lport<'_>, out: &mut Output) {
    let r = lport.r;
    let mut actions = Actions::new();
    actions.clear_log_regs().resubmit(layout::LOG_EGRESS);
    for &port in r.fact(ExternalPorts(lport.datapath)).iter() {
        let Some(port) = r.row::<PortBinding>(port) else { continue };
        if port.chassis().is_none() || port.chassis() != lport.this_chassis() {
            continue;
        }
        for text in port.mac() {
            let Some(mac) = parse_mac(text) else {
                lport.complain(out, format_args!("external port {}: no MAC address in {text}", port.logical_port()));
                continue;
            };
            let match_ = words::with_flag(lport.outport(), flag::LOCALPORT, true);
            lport.flow(out, layout::CHECK_LOOPBACK, 170, words::with(match_, Field::ETH_DST, mac), &actions);
        }
    }
}
