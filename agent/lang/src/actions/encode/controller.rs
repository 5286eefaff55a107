//! Actions that send the packet to ovn-controller: what the userdata says, and what pinctrl makes of it (sheet 02
//! section 3.3).
//!
//! Entry type: [`Opcode`].

use bytes::BytesMut;
use ofproto_client::action::{Controller, PORT_NONE, Sample, SampleId};
use ofproto_client::{Action, Field, Subfield};

use super::{Args, Encoder, Out, dhcp, lookup, nd_ra, reg};
use crate::OvnField;
use crate::actions::LogicalAction;
use crate::actions::types::{self, *};

/// First 32 bits of the userdata: what ovn-controller is asked to do (OVN 26.03: `enum action_opcode`).
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
#[repr(u32)]
#[expect(missing_docs, reason = "the names are OVN's")]
pub enum Opcode {
    Arp = 0,
    PutArp = 1,
    PutDhcpOpts = 2,
    NdNa = 3,
    PutNd = 4,
    PutDhcpv6Opts = 5,
    DnsLookup = 6,
    Log = 7,
    PutNdRaOpts = 8,
    NdNs = 9,
    Icmp = 10,
    TcpReset = 11,
    NdNaRouter = 12,
    PutIcmp4FragMtu = 13,
    Icmp4Error = 14,
    Event = 15,
    Igmp = 16,
    BindVport = 17,
    HandleSvcCheck = 18,
    Dhcp6Server = 19,
    Icmp6Error = 20,
    PutIcmp6FragMtu = 21,
    Reject = 22,
    BfdMsg = 23,
    SctpAbort = 24,
    PutFdb = 25,
    ActivationStrategy = 26,
    SplitBuf = 27,
    DhcpRelayReqChk = 28,
    DhcpRelayRespChk = 29,
}

impl Opcode {
    /// The opcode with number `n`.
    pub fn from_number(n: u32) -> Option<Opcode> {
        use Opcode::*;
        const ALL: [Opcode; 30] = [
            Arp,
            PutArp,
            PutDhcpOpts,
            NdNa,
            PutNd,
            PutDhcpv6Opts,
            DnsLookup,
            Log,
            PutNdRaOpts,
            NdNs,
            Icmp,
            TcpReset,
            NdNaRouter,
            PutIcmp4FragMtu,
            Icmp4Error,
            Event,
            Igmp,
            BindVport,
            HandleSvcCheck,
            Dhcp6Server,
            Icmp6Error,
            PutIcmp6FragMtu,
            Reject,
            BfdMsg,
            SctpAbort,
            PutFdb,
            ActivationStrategy,
            SplitBuf,
            DhcpRelayReqChk,
            DhcpRelayRespChk,
        ];
        ALL.get(usize::try_from(n).ok()?).copied()
    }
}

/// Userdata of a controller action, growing.
pub(super) struct Userdata(Vec<u8>);

impl Userdata {
    /// Header: opcode and four zero octets.
    pub(super) fn new(opcode: Opcode) -> Userdata {
        let mut data = Vec::with_capacity(64);
        data.extend_from_slice(&(opcode as u32).to_be_bytes());
        data.extend_from_slice(&[0; 4]);
        Userdata(data)
    }

    /// Header, then where ovn-controller is to put the one-bit result: OXM header and first bit.
    fn with_result(opcode: Opcode, dst: Subfield) -> Userdata {
        let mut data = Userdata::new(opcode);
        data.put(&dst.field.oxm_header(false).to_be_bytes());
        data.put(&u32::from(dst.ofs).to_be_bytes());
        data
    }

    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(self, pause: bool, meter_id: u32) -> Action {
        Action::Controller(Box::new(Controller { pause, meter_id, ..Controller::new(self.0) }))
    }
}

impl Encoder<'_> {
    /// A controller action with the flow's meter.
    fn controller(&self, data: Userdata, pause: bool) -> Action {
        let meter = if self.params.meters_supported { self.params.controller_meter } else { 0 };
        data.finish(pause, meter)
    }

    /// An action with a nested list, most of which ovn-controller applies to a packet it makes up.
    pub(super) fn nest(&mut self, op: NestOp, actions: &[LogicalAction], out: &mut Out) {
        let opcode = match op {
            NestOp::CtCommit => return self.ct_commit(actions, out),
            NestOp::Clone => {
                let mut inner = Vec::with_capacity(actions.len());
                self.list(actions, &mut inner);
                out.push(Action::Clone(inner));
                return;
            }
            NestOp::Arp => Opcode::Arp,
            NestOp::NdNs => Opcode::NdNs,
            NestOp::NdNa => Opcode::NdNa,
            NestOp::NdNaRouter => Opcode::NdNaRouter,
            NestOp::Icmp4 | NestOp::Icmp6 => Opcode::Icmp,
            NestOp::Icmp4Error => Opcode::Icmp4Error,
            NestOp::Icmp6Error => Opcode::Icmp6Error,
            NestOp::TcpReset => Opcode::TcpReset,
            NestOp::SctpAbort => Opcode::SctpAbort,
            NestOp::Reject => Opcode::Reject,
        };
        let mut inner = Vec::with_capacity(actions.len());
        self.list(actions, &mut inner);
        let mut wire = BytesMut::new();
        ofproto_client::encode_actions(&inner, &mut wire);
        let mut data = Userdata::new(opcode);
        data.put(&wire);
        // A packet that waits for a MAC binding is buffered and then goes on where it stopped.
        let waits = matches!(op, NestOp::Arp | NestOp::NdNs);
        out.push(self.controller(data, waits));
        if waits && !self.params.explicit_arp_ns_output {
            out.push(self.output());
        }
    }

    /// Actions without a nested list that ovn-controller serves; `None` for any other action.
    pub(super) fn punt(&mut self, action: &LogicalAction, out: &mut Out) -> Option<()> {
        match action {
            LogicalAction::Punt(op) => {
                let opcode = match op {
                    PuntOp::Igmp => Opcode::Igmp,
                    PuntOp::Dhcpv6Reply => Opcode::Dhcp6Server,
                    PuntOp::BfdMsg => Opcode::BfdMsg,
                };
                out.push(self.controller(Userdata::new(opcode), false));
            }
            LogicalAction::PutMac { family, port, ip, mac } => {
                let opcode = match family {
                    Family::V4 => Opcode::PutArp,
                    Family::V6 => Opcode::PutNd,
                };
                let args = Args([
                    (port.resolve()?, reg::INPORT),
                    (ip.resolve()?, lookup::learn_address(*family)),
                    (mac.resolve()?, Field::ETH_SRC),
                ]);
                self.punt_with(args, Userdata::new(opcode), out);
            }
            LogicalAction::PutFdb { port, mac } => {
                let args = Args([(port.resolve()?, reg::INPORT), (mac.resolve()?, Field::ETH_SRC)]);
                self.punt_with(args, Userdata::new(Opcode::PutFdb), out);
            }
            LogicalAction::HandleSvcCheck(port) => {
                let args = Args([(port.resolve()?, reg::INPORT)]);
                self.punt_with(args, Userdata::new(Opcode::HandleSvcCheck), out);
            }
            LogicalAction::BindVport { vport, parent } => {
                let args = Args([(parent.resolve()?, reg::INPORT)]);
                let mut data = Userdata::new(Opcode::BindVport);
                data.put(&self.port_key(vport)?.to_be_bytes());
                self.punt_with(args, data, out);
            }
            LogicalAction::PutOptions(put) => self.put_options(put, out)?,
            LogicalAction::DhcpRelayCheck(check) => {
                let opcode = if check.response { Opcode::DhcpRelayRespChk } else { Opcode::DhcpRelayReqChk };
                let mut data = Userdata::with_result(opcode, check.dst.resolve()?);
                data.put(&check.relay.octets());
                data.put(&check.server.octets());
                out.push(self.controller(data, true));
            }
            LogicalAction::Log(log) => self.log(log, out)?,
            LogicalAction::TriggerEvent(options) => self.trigger_event(options, out),
            _ => return None,
        }
        Some(())
    }

    fn punt_with<const N: usize>(&self, args: Args<N>, data: Userdata, out: &mut Out) {
        args.set_up(out);
        out.push(self.controller(data, false));
        args.restore(out);
    }

    pub(super) fn dns_lookup(&self, dst: Subfield, out: &mut Out) {
        out.push(self.controller(Userdata::with_result(Opcode::DnsLookup, dst), true));
    }

    fn put_options(&self, put: &PutOptions, out: &mut Out) -> Option<()> {
        let dst = put.dst.resolve()?;
        let data = match put.op {
            PutOptionsOp::Dhcpv4 => {
                let mut data = Userdata::with_result(Opcode::PutDhcpOpts, dst);
                dhcp::put_v4(&put.options, &mut data.0);
                data
            }
            PutOptionsOp::Dhcpv6 => {
                let mut data = Userdata::with_result(Opcode::PutDhcpv6Opts, dst);
                dhcp::put_v6(&put.options, &mut data.0);
                data
            }
            PutOptionsOp::NdRa => {
                let mut data = Userdata::with_result(Opcode::PutNdRaOpts, dst);
                nd_ra::put(&put.options, &mut data.0);
                data
            }
        };
        out.push(self.controller(data, true));
        Some(())
    }

    /// `log`, with a meter of its own.
    fn log(&mut self, log: &Log, out: &mut Out) -> Option<()> {
        let meter = match &log.meter {
            Some(name) => self.cx.meter_id(name)?,
            None => 0,
        };
        let mut data = Userdata::new(Opcode::Log);
        data.put(&[log.verdict as u8, log.severity as u8]);
        data.put(log.name.as_deref().unwrap_or_default().as_bytes());
        out.push(data.finish(false, if self.params.meters_supported { meter } else { 0 }));
        Some(())
    }

    /// `trigger_event`: event type 0, then code, length and text of each option.
    fn trigger_event(&self, options: &[OptionValue], out: &mut Out) {
        let mut data = Userdata::new(Opcode::Event);
        data.put(&0u32.to_be_bytes());
        for option in options {
            let text = option.string().unwrap_or_default();
            let text = &text.as_bytes()[..text.len().min(usize::from(u16::MAX))];
            data.put(&option.def.code.to_be_bytes());
            data.put(&(text.len() as u16).to_be_bytes());
            data.put(text);
        }
        out.push(self.controller(data, false));
    }

    /// `set_meter`: a meter described by text, one for each logical flow.
    pub(super) fn set_meter(&mut self, rate: u64, burst: u64, out: &mut Out) -> Option<()> {
        let [a, b, c, d, e] = uuid_parts(&self.params.lflow_uuid);
        let uuid = format!("{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}");
        let name = match burst {
            0 => format!("__string: uuid {uuid} kbps stats bands=type=drop rate={rate}"),
            _ => format!("__string: uuid {uuid} kbps burst stats bands=type=drop rate={rate} burst_size={burst}"),
        };
        out.push(Action::Meter(self.cx.meter_id(&name)?));
        Some(())
    }

    /// `sample`, for which the switch needs a collector set.
    pub(super) fn sample(&mut self, sample: &types::Sample, out: &mut Out) -> Option<()> {
        if !self.cx.collector_set_exists(sample.collector_set) {
            return None;
        }
        let obs_point = match &sample.obs_point {
            ObsPoint::Number(number) => SampleId::Imm(*number),
            ObsPoint::Cookie => SampleId::Imm(self.params.lflow_cookie()),
            ObsPoint::Field(field) => SampleId::Field(field.resolve()?),
        };
        out.push(Action::Sample(Box::new(Sample {
            probability: sample.probability,
            collector_set_id: sample.collector_set,
            obs_domain: SampleId::Imm(u32::from(sample.obs_domain) << 24 | self.params.datapath_key & 0xff_ffff),
            obs_point,
            sampling_port: PORT_NONE,
            direction: 0,
        })));
        Some(())
    }
}

/// The value of a pseudo field, as a note that pinctrl reads before it sends the generated packet: "ovn", the field's
/// number, the value.
pub(super) fn ovn_field_note(field: OvnField, value: u32) -> Action {
    /// Octets of OpenFlow header in front of the note.
    const HEADER: usize = 10;
    let mut note = Vec::with_capacity(14);
    note.extend_from_slice(b"ovn\0");
    match field {
        OvnField::Icmp4FragMtu => {
            note.extend_from_slice(&[0, 0, 0, 0]);
            note.extend_from_slice(&(value as u16).to_be_bytes());
        }
        OvnField::Icmp6FragMtu => {
            note.extend_from_slice(&[0, 1, 0, 0]);
            note.extend_from_slice(&value.to_be_bytes());
        }
    }
    // What the switch reports back includes the padding.
    note.resize((HEADER + note.len()).next_multiple_of(8) - HEADER, 0);
    Action::Note(note.into())
}

/// The numbers between the hyphens of a UUID's text.
fn uuid_parts(uuid: &[u8; 16]) -> [u64; 5] {
    let number = |range: std::ops::Range<usize>| uuid[range].iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
    [number(0..4), number(4..6), number(6..8), number(8..10), number(10..16)]
}
