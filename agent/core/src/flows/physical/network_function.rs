//! Network functions (option is-nf) on a datapath with a localnet port: what comes out of one goes back through the tunnel that
//! it came in by. Sheet 02 section 4.7.

use ofproto_client::action::{Ct, CtZone};
use ofproto_client::{Action, Field, Match, Subfield};

use super::Lport;
use crate::facts::{PortZones, Tunnels};
use crate::flows::encap::Encap;
use crate::flows::layout::{self, CT_ZONE, FLAGS, flag};
use crate::flows::words::{self, Actions, ETH_IP, TUN_OFPORT};
use crate::units::Output;

/// Bits of ct_label with the tunnel that a connection came in by (tun_if_id).
const TUN_IF_ID: Subfield = Subfield { field: Field::CT_LABEL, ofs: 80, n_bits: 16 };
/// The invalid bit of ct_state.
const CT_STATE_INV: Subfield = Subfield { field: Field::CT_STATE, ofs: 4, n_bits: 1 };

/// Flows of a network function's port and of its partner, the other port of the same function.
pub(super) fn redirect_back(lport: &Lport<'_>, out: &mut Output) {
    let Some(partner) = partner(lport) else { return };
    let r = lport.r;
    let (zone, partner_zone) = (r.fact(PortZones(lport.row())).ct, r.fact(PortZones(partner.row())).ct);
    if zone == 0 || partner_zone == 0 {
        return;
    }
    redirect_port(lport, partner_zone, out);
    redirect_port(&partner, zone, out);
}

/// The port that nf-linked-port names, if that one names this one.
fn partner<'r>(lport: &Lport<'r>) -> Option<Lport<'r>> {
    let partner = Lport::by_name(lport.r, lport.option("nf-linked-port")?)?;
    let same_type = partner.pb.r#type() == lport.pb.r#type();
    let mutual = partner.option("nf-linked-port") == Some(lport.pb.logical_port().as_str());
    (same_type && mutual).then_some(partner)
}

/// First pass: through the zone of the port on the other side, where the tunnel was committed. Second pass: into that tunnel.
fn redirect_port(lport: &Lport<'_>, zone: u16, out: &mut Output) {
    let first = words::with_flag(words::with(lport.inport(), Field::ETH_TYPE, ETH_IP), flag::RECIRC, false);
    let mut actions = Actions::new();
    actions.load(Subfield::new(FLAGS, flag::RECIRC, 1), 1u8).load(CT_ZONE, zone).push(Action::Ct(Box::new(Ct {
        commit: false,
        force: false,
        zone: CtZone::Field(CT_ZONE),
        recirc_table: Some(layout::LOCAL_OUTPUT),
        alg: 0,
        actions: Vec::new(),
    })));
    lport.flow(out, layout::LOCAL_OUTPUT, 110, first, &actions);

    let second = || -> Match { words::with_flag(lport.inport(), flag::RECIRC, true) };
    let Some(option) = lport.r.geneve_option() else { return };
    for tunnel in lport.r.fact(Tunnels).iter() {
        let mut actions = Actions::new();
        Encap::put_back(&mut actions, option, lport.dp_key, lport.key);
        actions.output(tunnel.ofport);
        // A packet that belongs to no connection over there has kept its tunnel in a register.
        let invalid = words::with_bits(words::with_bits(second(), CT_STATE_INV, 1u8), TUN_OFPORT, tunnel.ofport);
        lport.flow(out, layout::LOCAL_OUTPUT, 110, invalid, &actions);
        lport.flow(out, layout::LOCAL_OUTPUT, 109, words::with_bits(second(), TUN_IF_ID, tunnel.ofport), &actions);
    }
}
