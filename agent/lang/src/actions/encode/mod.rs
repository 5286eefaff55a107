//! [`LogicalAction`]s to OpenFlow actions (`ovnacts_encode` of OVN 26.03).
//!
//! Entry points: [`encode_actions`], [`EncodeParams`] (facts about the flow and its datapath), [`EncodeContext`]
//! (everything else, asked for while encoding so that the caller can record what a flow depends on). The submodules
//! encode one family of actions each, all as methods of [`Encoder`].

mod controller;
mod ct;
mod dhcp;
mod domain;
mod groups;
mod learn;
mod lookup;
mod nd_ra;

use ofproto_client::{Action, Field, Subfield};

use super::LogicalAction;
use super::types::*;
use crate::FieldRef;

pub use controller::Opcode;

/// What encoding asks the agent. Each call is a dependency of the logical flow on what is named in it.
pub trait EncodeContext {
    /// Key of the port or multicast group `name` in the flow's datapath. Never asked for `none`, which is 0.
    fn port_key(&mut self, name: &str) -> Option<u32>;
    /// Is the logical port bound to this chassis?
    fn is_local_backend(&mut self, lport: &str) -> bool;
    /// OpenFlow port of the tunnel to the chassis of a port of the flow's datapath.
    fn tunnel_ofport(&mut self, lport: &str) -> Option<u16>;
    /// Id of the group described by `key`, in `ovs-ofctl add-group` syntax without `group_id`; `None` if ids ran out.
    fn group_id(&mut self, key: &str) -> Option<u32>;
    /// Id of an SB meter or, after `__string: `, of a meter in `ovs-ofctl add-meter` syntax; `None` if ids ran out.
    fn meter_id(&mut self, name: &str) -> Option<u32>;
    /// Is there a Flow_Sample_Collector_Set of this id for the integration bridge?
    fn collector_set_exists(&mut self, id: u32) -> bool;
}

/// What encoding needs to know about the logical flow, its datapath, and the features of ovn-northd and OVS.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EncodeParams {
    /// Logical switch or logical router?
    pub is_switch: bool,
    /// Datapath_Binding.tunnel_key.
    pub datapath_key: u32,
    /// UUID of the Logical_Flow row, in text order.
    pub lflow_uuid: [u8; 16],
    /// Pipeline of the logical flow.
    pub pipeline: Pipeline,
    /// Zone of `ct_dnat_in_czone` and `ct_snat_in_czone`: [`NatZone::Snat`] if Datapath_Binding.external_ids has
    /// `snat-ct-zone`, else [`NatZone::Dnat`].
    pub common_nat_zone: NatZone,
    /// OVS Datapath capability `ct_zero_snat`.
    pub ct_zero_snat: bool,
    /// SB_Global.options `arp_ns_explicit_output`: `arp` and `nd_ns` do not output by themselves.
    pub explicit_arp_ns_output: bool,
    /// SB_Global.options `register_consolidation`: new registers for load-balancer affinity.
    pub register_consolidation: bool,
    /// OVS Datapath capability `max_hash_alg` is 1: dp_hash can hash symmetrically over L4.
    pub dp_hash_l4_symmetric: bool,
    /// OVS has meters; without them no meter is referred to.
    pub meters_supported: bool,
    /// Id of the meter for what the flow sends to ovn-controller (Logical_Flow.controller_meter), 0 for none.
    pub controller_meter: u32,
}

impl EncodeParams {
    /// First 32 bits of the logical flow's UUID: its OpenFlow cookie.
    pub fn lflow_cookie(&self) -> u32 {
        let [a, b, c, d, ..] = self.lflow_uuid;
        u32::from_be_bytes([a, b, c, d])
    }
}

/// The OpenFlow tables that actions refer to (OVN 26.03: `enum` of `OFTABLE_*` in controller/lflow.h).
pub struct Tables;

impl Tables {
    /// First table of the logical ingress pipeline.
    pub const LOG_INGRESS_PIPELINE: u8 = 8;
    /// Where `output` goes from the ingress pipeline.
    pub const OUTPUT_INIT: u8 = 42;
    /// Tunnels to other chassis.
    pub const REMOTE_OUTPUT: u8 = 44;
    /// First table of the logical egress pipeline.
    pub const LOG_EGRESS_PIPELINE: u8 = 48;
    /// Where `output` goes from the egress pipeline.
    pub const SAVE_INPORT: u8 = 64;
    /// Address to MAC.
    pub const MAC_BINDING: u8 = 66;
    /// Is (address, MAC, port) known?
    pub const MAC_LOOKUP: u8 = 67;
    /// Load-balancer hairpin detection.
    pub const CHK_LB_HAIRPIN: u8 = 68;
    /// Replies of hairpinned connections.
    pub const CHK_LB_HAIRPIN_REPLY: u8 = 69;
    /// SNAT of hairpinned connections.
    pub const CT_SNAT_HAIRPIN: u8 = 70;
    /// MAC to port.
    pub const GET_FDB: u8 = 71;
    /// Is (MAC, port) known?
    pub const LOOKUP_FDB: u8 = 72;
    /// Port security, ingress.
    pub const CHK_IN_PORT_SEC: u8 = 73;
    /// Port security, egress.
    pub const CHK_OUT_PORT_SEC: u8 = 75;
    /// ECMP symmetric reply, by MAC.
    pub const ECMP_NH_MAC: u8 = 76;
    /// ECMP symmetric reply, reverse direction.
    pub const ECMP_NH: u8 = 77;
    /// Load-balancer session affinity.
    pub const CHK_LB_AFFINITY: u8 = 78;
    /// Counts use of MAC bindings.
    pub const MAC_CACHE_USE: u8 = 79;
    /// Original IPv4 destination.
    pub const CT_ORIG_NW_DST_LOAD: u8 = 81;
    /// Original IPv6 destination.
    pub const CT_ORIG_IP6_DST_LOAD: u8 = 82;
    /// Original L4 destination.
    pub const CT_ORIG_TP_DST_LOAD: u8 = 83;
    /// All chassis of other availability zones.
    pub const FLOOD_REMOTE_CHASSIS: u8 = 84;
    /// Bits of ct_state.
    pub const CT_STATE_SAVE: u8 = 85;
    /// Original protocol.
    pub const CT_ORIG_PROTO_LOAD: u8 = 86;
    /// MAC to remote EVPN port.
    pub const GET_REMOTE_FDB: u8 = 87;

    /// First table of `pipeline`.
    pub const fn pipeline_start(pipeline: Pipeline) -> u8 {
        match pipeline {
            Pipeline::Ingress => Tables::LOG_INGRESS_PIPELINE,
            Pipeline::Egress => Tables::LOG_EGRESS_PIPELINE,
        }
    }

    /// Where `output` goes from `pipeline`.
    pub const fn output(pipeline: Pipeline) -> u8 {
        match pipeline {
            Pipeline::Ingress => Tables::OUTPUT_INIT,
            Pipeline::Egress => Tables::SAVE_INPORT,
        }
    }
}

/// Appends to `out` what `actions` mean in one datapath.
pub fn encode_actions(
    actions: &[LogicalAction],
    params: &EncodeParams,
    cx: &mut dyn EncodeContext,
    out: &mut Vec<Action>,
) {
    Encoder { params, cx }.list(actions, out);
}

/// Registers with a fixed meaning (OVN 26.03: `include/ovn/logical-fields.h`).
mod reg {
    use super::{Field, Subfield};

    /// Logical flags.
    pub(super) const FLAGS: Field = Field::reg(10);
    /// DNAT zone of a router.
    pub(super) const DNAT_ZONE: Field = Field::reg(11);
    /// SNAT zone of a router.
    pub(super) const SNAT_ZONE: Field = Field::reg(12);
    /// Zone of a switch's port, in the lower half.
    pub(super) const PORT_ZONE: Field = Field::reg(13);
    /// Logical inport.
    pub(super) const INPORT: Field = Field::reg(14);
    /// Logical outport.
    pub(super) const OUTPORT: Field = Field::reg(15);
    /// Remote EVPN port.
    pub(super) const REMOTE_OUTPORT: Field = Field::reg(1);
    /// Saved ct_state in bits 0..7.
    pub(super) const CT_SAVED_STATE: Field = Field::reg(4);
    /// Scratch for results of up to 128 bits.
    pub(super) const RESULT: Field = Field::xxreg(1);

    /// One bit of the logical flags.
    pub(super) const fn flag(bit: u16) -> Subfield {
        Subfield { field: FLAGS, ofs: bit, n_bits: 1 }
    }

    /// MAC binding found.
    pub(super) const LOOKUP_MAC: Subfield = flag(6);
    /// Hairpin found.
    pub(super) const LOOKUP_LB_HAIRPIN: Subfield = flag(7);
    /// FDB entry found.
    pub(super) const LOOKUP_FDB: Subfield = flag(8);
    /// Port security failed.
    pub(super) const CHECK_PORT_SEC: Subfield = flag(12);
    /// ECMP nexthop found.
    pub(super) const LOOKUP_COMMIT_ECMP_NH: Subfield = flag(13);
    /// Affinity found.
    pub(super) const USE_LB_AFF_SESSION: Subfield = flag(14);
}

/// One flow's encoding under way.
struct Encoder<'a> {
    params: &'a EncodeParams,
    cx: &'a mut dyn EncodeContext,
}

type Out = Vec<Action>;

impl Encoder<'_> {
    fn list(&mut self, actions: &[LogicalAction], out: &mut Out) {
        for action in actions {
            // `None` means that the action has no meaning here, e.g. because of an unknown port; OVN leaves it out.
            let _ = self.action(action, out);
        }
    }

    fn action(&mut self, action: &LogicalAction, out: &mut Out) -> Option<()> {
        match action {
            LogicalAction::Output => out.push(self.output()),
            LogicalAction::Next(next) => out.push(Action::resubmit(Tables::pipeline_start(next.pipeline) + next.table)),
            LogicalAction::Load { dst, value } => self.load_action(dst, value, out)?,
            LogicalAction::Move { dst, src } => out.push(copy(src.resolve()?, dst.resolve()?)),
            LogicalAction::Exchange { a, b } => {
                let (a, b) = (a.resolve()?, b.resolve()?);
                out.extend([Action::StackPush(b), Action::StackPush(a), Action::StackPop(b), Action::StackPop(a)]);
            }
            LogicalAction::Push(field) => out.push(Action::StackPush(field.resolve()?)),
            LogicalAction::Pop(field) => out.push(Action::StackPop(field.resolve()?)),
            LogicalAction::DecTtl => out.push(Action::DecTtl(Vec::new())),
            LogicalAction::OvnFieldLoad { field, value } => out.push(controller::ovn_field_note(*field, *value)),
            LogicalAction::CtZone { op, zone, table } => self.ct_zone(*op, *zone, *table, out),
            LogicalAction::CtNat(nat) => self.ct_nat(nat, out),
            LogicalAction::CtLb(lb) => self.ct_lb(lb, out)?,
            LogicalAction::Select(select) => self.select(select, out)?,
            LogicalAction::FwdGroup(group) => self.fwd_group(group, out)?,
            LogicalAction::CtClear => out.push(Action::CtClear),
            LogicalAction::Nest { op, actions } => self.nest(*op, actions, out),
            LogicalAction::Visit(op) => out.push(Action::resubmit(match op {
                VisitOp::CtSnatToVip => Tables::CT_SNAT_HAIRPIN,
                VisitOp::MacCacheUse => Tables::MAC_CACHE_USE,
                VisitOp::FloodRemote => Tables::FLOOD_REMOTE_CHASSIS,
            })),
            LogicalAction::SetQueue(id) => out.push(Action::SetQueue(*id)),
            LogicalAction::SetMeter { rate, burst } => self.set_meter(*rate, *burst, out)?,
            LogicalAction::CheckPktLarger { dst, len } => {
                out.push(Action::CheckPktLarger { pkt_len: *len, dst: dst.resolve()? });
            }
            LogicalAction::Result { op, dst } => self.result(*op, dst, out)?,
            LogicalAction::CommitEcmpNh { family, proto } => learn::commit_ecmp_nh(*family, *proto, out),
            LogicalAction::CommitLbAff(affinity) => self.commit_lb_aff(affinity, out),
            LogicalAction::Sample(sample) => self.sample(sample, out)?,
            LogicalAction::Mirror(port) => self.mirror(port, out)?,
            LogicalAction::GetMac { .. }
            | LogicalAction::LookupMac { .. }
            | LogicalAction::LookupMacIp { .. }
            | LogicalAction::GetFdb { .. }
            | LogicalAction::LookupFdb { .. } => lookup::lookup(action, out)?,
            LogicalAction::Punt(_)
            | LogicalAction::PutMac { .. }
            | LogicalAction::PutFdb { .. }
            | LogicalAction::PutOptions(_)
            | LogicalAction::DhcpRelayCheck(_)
            | LogicalAction::Log(_)
            | LogicalAction::TriggerEvent(_)
            | LogicalAction::BindVport { .. }
            | LogicalAction::HandleSvcCheck(_) => self.punt(action, out)?,
        }
        Some(())
    }

    fn output(&self) -> Action {
        Action::resubmit(Tables::output(self.params.pipeline))
    }

    /// The OpenFlow table of a logical table in the flow's pipeline.
    fn table(&self, logical: u8) -> u8 {
        Tables::pipeline_start(self.params.pipeline).saturating_add(logical)
    }

    /// Key of the port or multicast group called `name`.
    fn port_key(&mut self, name: &str) -> Option<u32> {
        if name == "none" { Some(0) } else { self.cx.port_key(name) }
    }

    fn load_action(&mut self, dst: &FieldRef, value: &Immediate, out: &mut Out) -> Option<()> {
        let dst = dst.resolve()?;
        out.push(match value {
            Immediate::Port(name) => Action::load(dst, self.port_key(name).unwrap_or(0).into()),
            Immediate::Integer(value) => match value.mask {
                None => Action::load(dst, value.value),
                Some(mask) => Action::SetField {
                    field: dst.field,
                    value: (value.value << dst.ofs) & dst.mask(),
                    mask: (mask << dst.ofs) & dst.mask(),
                },
            },
        });
        Some(())
    }

    /// `field = name()`
    fn result(&mut self, op: ResultOp, dst: &FieldRef, out: &mut Out) -> Option<()> {
        let dst = dst.resolve()?;
        let (table, temporary) = match op {
            ResultOp::DnsLookup => {
                self.dns_lookup(dst, out);
                return Some(());
            }
            ResultOp::ChkLbHairpin => (Tables::CHK_LB_HAIRPIN, reg::LOOKUP_LB_HAIRPIN),
            ResultOp::ChkLbHairpinReply => (Tables::CHK_LB_HAIRPIN_REPLY, reg::LOOKUP_LB_HAIRPIN),
            ResultOp::CheckInPortSec => (Tables::CHK_IN_PORT_SEC, reg::CHECK_PORT_SEC),
            ResultOp::CheckOutPortSec => (Tables::CHK_OUT_PORT_SEC, reg::CHECK_PORT_SEC),
            ResultOp::ChkEcmpNhMac => (Tables::ECMP_NH_MAC, reg::LOOKUP_COMMIT_ECMP_NH),
            ResultOp::ChkEcmpNh => (Tables::ECMP_NH, reg::LOOKUP_COMMIT_ECMP_NH),
            ResultOp::ChkLbAff => (Tables::CHK_LB_AFFINITY, reg::USE_LB_AFF_SESSION),
            ResultOp::CtStateSave => (Tables::CT_STATE_SAVE, Subfield::new(reg::CT_SAVED_STATE, 0, op.n_bits())),
            ResultOp::CtNwDst => (Tables::CT_ORIG_NW_DST_LOAD, Subfield::new(reg::RESULT, 0, op.n_bits())),
            ResultOp::CtIp6Dst => (Tables::CT_ORIG_IP6_DST_LOAD, Subfield::new(reg::RESULT, 0, op.n_bits())),
            ResultOp::CtTpDst => (Tables::CT_ORIG_TP_DST_LOAD, Subfield::new(reg::RESULT, 0, op.n_bits())),
            ResultOp::CtProto => (Tables::CT_ORIG_PROTO_LOAD, Subfield::new(reg::RESULT, 0, op.n_bits())),
        };
        // The scratch register belongs to the logical flows, so it is saved around its use, unless the result is to
        // stay there. (If the two overlap without being equal, OVN aborts; here the scratch bits are lost.)
        let save =
            temporary.field == reg::RESULT && (dst.field != temporary.field || dst.mask() & temporary.mask() == 0);
        if save {
            out.push(Action::StackPush(temporary));
        }
        self.visit(table, temporary, dst, out);
        if save {
            out.push(Action::StackPop(temporary));
        }
        Some(())
    }

    /// Clears `temporary`, visits `table`, and copies what it left in `temporary` to `dst`.
    fn visit(&self, table: u8, temporary: Subfield, dst: Subfield, out: &mut Out) {
        let Subfield { field, ofs, n_bits } = temporary;
        // OVN clears at most 64 bits at a time.
        out.push(Action::load(Subfield::new(field, ofs, n_bits.min(64)), 0));
        if n_bits > 64 {
            out.push(Action::load(Subfield::new(field, ofs + 64, n_bits - 64), 0));
        }
        out.push(Action::resubmit(table));
        out.push(copy(temporary, dst));
    }

    /// A copy of the packet to `port` on another chassis. The packet's in_port becomes NONE so that it may go back out
    /// where it came from.
    fn mirror(&mut self, port: &str, out: &mut Out) -> Option<()> {
        let key = self.port_key(port)?;
        out.push(Action::Clone(vec![
            Action::load(Field::IN_PORT.whole(), 0xffff),
            Action::load(reg::OUTPORT.whole(), key.into()),
            Action::resubmit(Tables::REMOTE_OUTPUT),
        ]));
        Some(())
    }
}

fn copy(src: Subfield, dst: Subfield) -> Action {
    Action::Move { src, dst }
}

/// Brings arguments into the fields where a table or ovn-controller expects them, and back (OVN: `encode_setup_args`,
/// `encode_restore_args`). An argument that already is there costs nothing.
struct Args<const N: usize>([(Subfield, Field); N]);

impl<const N: usize> Args<N> {
    fn set_up(&self, out: &mut Out) {
        out.extend(self.misplaced().map(|(_, dst)| Action::StackPush(dst.whole())));
        out.extend(self.misplaced().rev().map(|(src, _)| Action::StackPush(src)));
        out.extend(self.misplaced().map(|(_, dst)| Action::StackPop(dst.whole())));
    }

    fn restore(&self, out: &mut Out) {
        out.extend(self.misplaced().rev().map(|(_, dst)| Action::StackPop(dst.whole())));
    }

    fn misplaced(&self) -> impl DoubleEndedIterator<Item = (Subfield, Field)> + '_ {
        self.0.iter().copied().filter(|(src, dst)| src.field != *dst)
    }
}
