//! Conntrack actions other than those with backends.

use std::net::IpAddr;

use ofproto_client::action::{Ct, CtZone, Nat, NatAddr, NatRange};
use ofproto_client::{Action, Field, Subfield};

use super::{Encoder, Out, reg};
use crate::actions::LogicalAction;
use crate::actions::types::*;

impl Encoder<'_> {
    /// The zone of a switch's port, or that of a router for `zone`.
    pub(super) fn zone(&self, zone: NatZone) -> Field {
        match (self.params.is_switch, zone) {
            (true, _) => reg::PORT_ZONE,
            (false, NatZone::Dnat) => reg::DNAT_ZONE,
            (false, NatZone::Snat) => reg::SNAT_ZONE,
        }
    }

    /// `ct_next`, `ct_commit_to_zone`, `ct_commit_nat`
    pub(super) fn ct_zone(&self, op: CtZoneOp, zone: NatZone, table: u8, out: &mut Out) {
        let mut ct = ct(self.zone(zone), Some(self.table(table)));
        ct.commit = op != CtZoneOp::Next;
        if op == CtZoneOp::CommitNat {
            ct.actions.push(nat(0));
        }
        out.push(Action::Ct(Box::new(ct)));
    }

    /// `ct_commit`. With zero SNAT the datapath finds another source port if the tuple is taken by a NATed connection.
    pub(super) fn ct_commit(&mut self, actions: &[LogicalAction], out: &mut Out) {
        let mut ct = ct(self.zone(NatZone::Dnat), None);
        ct.commit = true;
        if self.params.ct_zero_snat {
            ct.actions.push(nat(Nat::SRC));
        }
        self.list(actions, &mut ct.actions);
        out.push(Action::Ct(Box::new(ct)));
    }

    /// `ct_dnat` and its relatives. The zones are those of a router, also if they stand in a switch's pipeline.
    pub(super) fn ct_nat(&self, action: &CtNat, out: &mut Out) {
        let (zone, direction) = match action.op {
            CtNatOp::Dnat => (NatZone::Dnat, Nat::DST),
            CtNatOp::Snat => (NatZone::Snat, Nat::SRC),
            CtNatOp::DnatInCzone => (self.params.common_nat_zone, Nat::DST),
            CtNatOp::SnatInCzone => (self.params.common_nat_zone, Nat::SRC),
        };
        let zone = match zone {
            NatZone::Dnat => reg::DNAT_ZONE,
            NatZone::Snat => reg::SNAT_ZONE,
        };
        let mut ct = ct(zone, Some(self.table(action.table)));
        let mut nat = Nat { flags: 0, range: NatRange::NONE };
        if let Some(addr) = action.addr {
            ct.commit = true;
            nat.flags = direction;
            nat.range.addr = match addr {
                IpAddr::V4(ip) => NatAddr::V4(ip.to_bits(), None),
                IpAddr::V6(ip) => NatAddr::V6(ip.to_bits(), None),
            };
            nat.range.proto = action.ports;
            if matches!(action.ports, Some((_, Some(_)))) {
                // Said expressly because datapaths differ in their default.
                nat.flags |= Nat::RANDOM;
            }
        }
        ct.actions.push(Action::Nat(Box::new(nat)));
        out.push(Action::Ct(Box::new(ct)));
    }

    /// `ct_lb` and its relatives without backends: apply the connection's translation.
    pub(super) fn ct_lb_established(&self, table: u8, out: &mut Out) {
        let mut ct = ct(self.zone(NatZone::Dnat), Some(self.table(table)));
        ct.actions.push(nat(0));
        out.push(Action::Ct(Box::new(ct)));
    }
}

fn ct(zone: Field, recirc_table: Option<u8>) -> Ct {
    Ct {
        commit: false,
        force: false,
        zone: CtZone::Field(Subfield::new(zone, 0, 16)),
        recirc_table,
        alg: 0,
        actions: Vec::new(),
    }
}

/// A nat action without a range.
fn nat(flags: u16) -> Action {
    Action::Nat(Box::new(Nat { flags, range: NatRange::NONE }))
}
