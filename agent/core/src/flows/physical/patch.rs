//! Patch and l3gateway ports: from one logical datapath into the next. Sheet 02 section 4.4.

use ofproto_client::Action;

use super::{Kind, Lport, local};
use crate::flows::layout::{self, CT_ZONE, DNAT_ZONE, FLAGS, SNAT_ZONE};
use crate::flows::words::Actions;
use crate::units::Output;

/// A patch port, or an l3gateway port bound here.
pub(super) fn patch(lport: &Lport<'_>, out: &mut Output) {
    let Some(peer) = peer(lport) else { return };
    local::common(lport, None, out);

    let mut inside = Actions::new();
    inside
        .push(Action::CtClear)
        .set(DNAT_ZONE, 0u8)
        .set(SNAT_ZONE, 0u8)
        .load(CT_ZONE, 0u8)
        .load_zones(peer.zones())
        // The encap id stays: the port that the packet first came in on decides about tunnels.
        .load_inport(peer.dp_key, peer.key)
        .set(FLAGS, 0u8)
        .load_outport(0)
        .clear_log_regs()
        .resubmit(layout::LOG_INGRESS);
    let mut actions = Actions::new();
    actions.push(Action::Clone(inside.0));
    lport.flow(out, layout::LOG_TO_PHY, 100, lport.outport(), &actions);
}

/// The port at the other end, if both name each other.
fn peer<'r>(lport: &Lport<'r>) -> Option<Lport<'r>> {
    let peer = Lport::by_name(lport.r, lport.option("peer")?)?;
    let fits = matches!(peer.kind, Kind::Patch | Kind::L3Gateway);
    (fits && peer.option("peer") == Some(lport.pb.logical_port().as_str())).then_some(peer)
}
