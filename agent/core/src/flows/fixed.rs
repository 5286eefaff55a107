//! Flows that depend on no row. Sheet 02 sections 4.5 and 4.10.

use ofproto_client::{Field, Match, Subfield};

use super::layout::{self, flag};
use super::physical::drop_actions;
use super::words::{self, Actions, ETH_IP, ETH_IPV6, any};
use crate::reader::Reader;
use crate::units::Output;

/// Bits of ct_state.
mod ct_state {
    pub const NEW: u128 = 1;
    pub const ESTABLISHED: u128 = 2;
    pub const TRACKED: u128 = 0x20;
}

/// The flows.
pub fn fixed(r: &Reader<'_>, out: &mut Output) {
    for table in [layout::PHY_TO_LOG, layout::LOCAL_OUTPUT, layout::LOG_TO_PHY] {
        out.flow(table, 0, 0, any(), &drop_actions(r, table).0);
    }
    pass_on(out);
    let mut enter = Actions::new();
    enter.clear_log_regs().resubmit(layout::LOG_EGRESS);
    out.flow(layout::CHECK_LOOPBACK, 0, 0, any(), &enter.0);
    original_tuple(out);
    state_save(out);
    let mut unknown = Actions::new();
    unknown.load_outport(0);
    out.flow(layout::GET_FDB, 0, 0, any(), &unknown.0);
    let mut unknown = Actions::new();
    unknown.set(REMOTE_OUTPORT, 0u8);
    out.flow(layout::GET_REMOTE_FDB, 0, 0, any(), &unknown.0);
}

/// Result of get_remote_fdb.
const REMOTE_OUTPORT: Field = Field::REG1;
/// Where readers of the original tuple find it.
const RESULT: Field = Field::xxreg(1);
/// Where ct_state_save leaves the state.
const SAVED_STATE: Subfield = Subfield { field: Field::REG4, ofs: 0, n_bits: 8 };

/// What goes on elsewhere unless a row says otherwise.
fn pass_on(out: &mut Output) {
    let loopback = words::with_flag(any(), flag::ALLOW_LOOPBACK, true);
    let from_ramp = words::with_flag(words::with_flag(any(), flag::RCV_FROM_RAMP, true), flag::ALLOW_LOOPBACK, false);
    let local_only = words::with_flag(any(), flag::LOCAL_ONLY, true);
    for (table, priority, match_, next) in [
        (layout::OUTPUT_LARGE_PKT_DETECT, 0, any(), layout::REMOTE_OUTPUT),
        // An error that we made ourselves goes back to its cause on this chassis.
        (layout::OUTPUT_LARGE_PKT_PROCESS, 10, loopback, layout::LOCAL_OUTPUT),
        (layout::OUTPUT_LARGE_PKT_PROCESS, 0, any(), layout::REMOTE_OUTPUT),
        // A VTEP gateway has sent its own copies.
        (layout::REMOTE_OUTPUT, 150, from_ramp, layout::LOCAL_OUTPUT),
        (layout::REMOTE_OUTPUT, 150, local_only, layout::LOCAL_OUTPUT),
        (layout::REMOTE_OUTPUT, 0, any(), layout::REMOTE_VTEP_OUTPUT),
        (layout::REMOTE_VTEP_OUTPUT, 0, any(), layout::LOCAL_OUTPUT),
        (layout::SAVE_INPORT, 0, any(), layout::LOG_TO_PHY),
        (layout::CT_ZONE_LOOKUP, 0, any(), layout::LOG_INGRESS),
    ] {
        let mut actions = Actions::new();
        actions.resubmit(next);
        out.flow(table, priority, 0, match_, &actions.0);
    }
}

/// The original tuple of a connection, for `ct_nw_dst()` and the like.
fn original_tuple(out: &mut Output) {
    for (table, ethertype, source) in [
        (layout::CT_ORIG_NW_DST_LOAD, Some(ETH_IP), Field::CT_NW_DST),
        (layout::CT_ORIG_IP6_DST_LOAD, Some(ETH_IPV6), Field::CT_IPV6_DST),
        (layout::CT_ORIG_TP_DST_LOAD, None, Field::CT_TP_DST),
        (layout::CT_ORIG_PROTO_LOAD, None, Field::CT_NW_PROTO),
    ] {
        // OVN 26.03 copies twice for new connections; so do we, because the flows are compared with its own.
        for (state, copies) in [(ct_state::ESTABLISHED, 1), (ct_state::NEW, 2)] {
            let mut match_ = Match::new();
            match_.set_masked(Field::CT_STATE, state | ct_state::TRACKED, state | ct_state::TRACKED);
            if let Some(ethertype) = ethertype {
                match_ = words::with(match_, Field::ETH_TYPE, ethertype);
            }
            let mut actions = Actions::new();
            for _ in 0..copies {
                actions.copy(source.whole(), Subfield::new(RESULT, 0, source.n_bits()));
            }
            out.flow(table, 100, 0, match_, &actions.0);
        }
    }
}

/// `ct_state_save()`: zero for what is not tracked.
fn state_save(out: &mut Output) {
    let mut save = Actions::new();
    save.copy(Subfield::new(Field::CT_STATE, 0, 8), SAVED_STATE);
    out.flow(layout::CT_STATE_SAVE, 65534, 0, any(), &save.0);
    let mut untracked = Match::new();
    untracked.set_masked(Field::CT_STATE, 0, ct_state::TRACKED);
    let mut zero = Actions::new();
    zero.load(SAVED_STATE, 0u8);
    out.flow(layout::CT_STATE_SAVE, 65535, 0, untracked, &zero.0);
}
