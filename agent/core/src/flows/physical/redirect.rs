//! Chassisredirect ports: stand-ins for a distributed router port on the chassis that is its gateway. Sheet 02 section 4.4.

use ofproto_client::Field;

use super::{DELIVER, Kind, Lport};
use crate::facts::{HaRole, LocalnetPort, PeerPorts};
use crate::flows::addresses::parse_mac;
use crate::flows::layout;
use crate::flows::words::Actions;
use crate::rows::HaChassisGroup;
use crate::units::Output;
use crate::view::ports::HaRole as Role;

/// Whether this chassis is the gateway: bound here, or the active member of the port's HA group.
pub(super) fn is_here(lport: &Lport<'_>) -> bool {
    if lport.pb.chassis().is_some() && lport.pb.chassis() == lport.this_chassis() {
        return true;
    }
    let group = lport.pb.ha_chassis_group().and_then(|uuid| lport.r.find_id::<HaChassisGroup>(&uuid));
    group.is_some_and(|group| lport.r.fact(HaRole(group)) == Role::Active)
}

/// On the gateway: goes on as the distributed port.
pub(super) fn chassis_redirect(lport: &Lport<'_>, out: &mut Output) {
    let name = lport.option("distributed-port").unwrap_or_default();
    let mut actions = Actions::new();
    match Lport::by_name(lport.r, name) {
        None => lport.complain(out, format_args!("its distributed port {name} does not exist")),
        Some(port) if port.datapath != lport.datapath => {
            lport.complain(out, format_args!("its distributed port {name} is on another datapath"));
        }
        Some(port) => {
            // The packet may have to leave through the tunnel it came from.
            actions.load_outport(port.key).load_zones(port.zones()).clear_in_port().resubmit(DELIVER);
        }
    }
    lport.flow(out, layout::LOCAL_OUTPUT, 100, lport.outport(), &actions);
}

/// Whether option redirect-type has the port reached through the physical network.
pub(super) fn is_bridged(lport: &Lport<'_>) -> bool {
    lport.option("redirect-type").is_some_and(|kind| kind.eq_ignore_ascii_case("bridged"))
}

/// Elsewhere, with redirect-type=bridged: out of the localnet port of the switch behind the distributed port.
pub(super) fn bridged(lport: &Lport<'_>, out: &mut Output) {
    let r = lport.r;
    if lport.kind != Kind::ChassisRedirect {
        return;
    }
    let Some(mac) = lport.pb.mac().iter().next().and_then(|mac| parse_mac(mac)) else { return };
    let Some(distributed) = lport.option("distributed-port") else { return };
    let switch_port = r
        .fact(PeerPorts(lport.datapath))
        .iter()
        .filter_map(|&(_, remote)| Lport::new(r, remote))
        .find(|port| port.option("peer") == Some(distributed));
    let Some(switch_port) = switch_port else { return };
    let Some(localnet) = r.fact(LocalnetPort(switch_port.datapath)).and_then(|row| Lport::new(r, row)) else { return };
    let mut actions = Actions::new();
    actions
        .set(Field::ETH_SRC, mac)
        .set(Field::METADATA, switch_port.dp_key)
        .load_outport(localnet.key)
        .resubmit(layout::LOG_TO_PHY);
    lport.flow(out, layout::LOCAL_OUTPUT, 100, lport.outport(), &actions);
}
