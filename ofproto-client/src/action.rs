//! OpenFlow actions: values, and the shared encoded list that flows hold. Entry types: [`Action`], [`ActionList`].
//!
//! [`encode_actions`] writes what Open vSwitch itself would send for OpenFlow 1.5, one form per meaning, so lists of the same
//! meaning are equal bytes; [`decode_actions`] also reads the other forms Open vSwitch knows.

use bytes::BytesMut;
use triomphe::ThinArc;

use crate::error::Error;
use crate::field::{Field, Subfield};

mod decode;
mod encode;
mod parse;
mod print;

pub use decode::decode_actions;
pub use encode::encode_actions;
pub(crate) use encode::put_oxm;
pub(crate) use parse::parse_actions;

/// One action. The names are those of OpenFlow 1.5 and of Open vSwitch's `ofpact` kinds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// `output:PORT`.
    Output {
        /// 32-bit port number.
        port: u32,
        /// Bytes to send to the controller, for that port; 0 otherwise.
        max_len: u16,
    },
    /// `output:NXM_NX_REG15[]`.
    OutputReg {
        /// Where the port number is.
        src: Subfield,
        /// Bytes to send to the controller; 0xffff usually.
        max_len: u16,
    },
    /// `group:ID`.
    Group(u32),
    /// `push_vlan:TPID`.
    PushVlan(u16),
    /// `pop_vlan`.
    PopVlan,
    /// `set_queue:N`.
    SetQueue(u32),
    /// `mod_nw_ttl:N`, the OpenFlow action (OVN sets the field instead).
    SetTtl(u8),
    /// `dec_ttl`, with the ids of the controllers that hear of an expired packet. `[0]` is the plain OpenFlow action
    /// `dec_ttl`; anything else is Nicira's, and OVN's `ip.ttl--` has none: `dec_ttl()`.
    DecTtl(Vec<u16>),
    /// `set_field:VALUE[/MASK]->FIELD`.
    SetField {
        /// The field to write.
        field: Field,
        /// Value; bits outside the mask are ignored.
        value: u128,
        /// Bits to write. Only [`Field::all_ones`] or more is sent unmasked: six ones on the 8-bit `ip_dscp` stay a mask.
        mask: u128,
    },
    /// `move:SRC->DST`, OpenFlow's copy-field. Both have the same width.
    Move {
        /// Read.
        src: Subfield,
        /// Written.
        dst: Subfield,
    },
    /// `meter:ID`.
    Meter(u32),
    /// `note:XX.XX`; zero-padded on the wire to 6 bytes, 14, 22, ...
    Note(Box<[u8]>),
    /// `bundle(...)`.
    Bundle(Box<Bundle>),
    /// `resubmit(PORT,TABLE[,ct])`.
    Resubmit {
        /// 16-bit port number; 0xfff8 leaves the ingress port.
        in_port: u16,
        /// Table; 255 is the current one.
        table: u8,
        /// Search with the conntrack original tuple.
        with_ct: bool,
    },
    /// `learn(...)`.
    Learn(Box<Learn>),
    /// `push:FIELD`.
    StackPush(Subfield),
    /// `pop:FIELD`.
    StackPop(Subfield),
    /// `sample(...)`.
    Sample(Box<Sample>),
    /// `conjunction(ID,CLAUSE/N)`.
    Conjunction {
        /// From 0; text counts from 1.
        clause: u8,
        /// Number of clauses, at least 2.
        n_clauses: u8,
        /// The `conj_id` that matches when all clauses do.
        id: u32,
    },
    /// `ct(...)`.
    Ct(Box<Ct>),
    /// `nat(...)`, only inside [`Ct::actions`].
    Nat(Box<Nat>),
    /// `controller(...)`.
    Controller(Box<Controller>),
    /// `clone(...)`.
    Clone(Vec<Action>),
    /// `ct_clear`.
    CtClear,
    /// `check_pkt_larger(LEN)->DST`.
    CheckPktLarger {
        /// Greatest length that is not larger.
        pkt_len: u16,
        /// One bit.
        dst: Subfield,
    },
}

impl Action {
    /// `set_field` of the bits of `dst`.
    pub fn load(dst: Subfield, value: u128) -> Action {
        let whole = dst.ofs == 0 && usize::from(dst.n_bits) == 8 * dst.field.n_bytes();
        let mask = if whole { u128::MAX } else { dst.mask() };
        let value = value.checked_shl(u32::from(dst.ofs)).unwrap_or(0);
        Action::SetField { field: dst.field, value, mask }
    }

    /// `resubmit(,TABLE)`.
    pub fn resubmit(table: u8) -> Action {
        Action::Resubmit { in_port: PORT_IN_PORT, table, with_ct: false }
    }

    /// `output:PORT`, not to the controller.
    pub fn output(port: u32) -> Action {
        Action::Output { port, max_len: 0 }
    }
}

/// `OFPP_IN_PORT`, 16 bits.
pub const PORT_IN_PORT: u16 = 0xfff8;
/// `OFPP_NONE`, 16 bits.
pub const PORT_NONE: u16 = 0xffff;
/// [`Ct::alg`] of FTP.
pub const ALG_FTP: u16 = 21;
/// [`Ct::alg`] of TFTP.
pub const ALG_TFTP: u16 = 69;
/// [`Controller::reason`] that goes without saying: `OFPR_ACTION`.
pub const REASON_ACTION: u8 = 1;
/// [`Learn::flags`]: `send_flow_rem`.
pub const LEARN_SEND_FLOW_REM: u16 = 1;
/// [`Learn::flags`]: `delete_learned`.
pub const LEARN_DELETE_LEARNED: u16 = 2;

/// `bundle(eth_src,BASIS,active_backup,ofport,members:...)`: output to one of the ports, or put its number in `dst`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bundle {
    /// 0 `active_backup`, 1 `hrw`.
    pub algorithm: u16,
    /// What to hash: 0 `eth_src`, 1 `symmetric_l4`, ...
    pub fields: u16,
    /// Hash parameter.
    pub basis: u16,
    /// 16-bit port numbers.
    pub members: Vec<u16>,
    /// `bundle_load`: where to put the port number instead of sending.
    pub dst: Option<Subfield>,
}

/// Zone of a [`Ct`].
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum CtZone {
    /// A number.
    Imm(u16),
    /// 16 bits of a field.
    Field(Subfield),
}

/// `ct(...)`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ct {
    /// `commit`.
    pub commit: bool,
    /// `force`, only with `commit`.
    pub force: bool,
    /// `zone=`.
    pub zone: CtZone,
    /// `table=`: where a copy of the packet continues.
    pub recirc_table: Option<u8>,
    /// `alg=`: [`ALG_FTP`], [`ALG_TFTP`] or 0.
    pub alg: u16,
    /// [`Action::Nat`] and what is in `exec(...)`.
    pub actions: Vec<Action>,
}

/// Addresses of a [`NatRange`], lowest and highest; a single one is given as `(a, None)`.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum NatAddr {
    /// No address.
    None,
    /// IPv4.
    V4(u32, Option<u32>),
    /// IPv6.
    V6(u128, Option<u128>),
}

/// What to translate to.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct NatRange {
    /// Addresses.
    pub addr: NatAddr,
    /// Ports, lowest and highest.
    pub proto: Option<(u16, Option<u16>)>,
}

impl NatRange {
    /// No range.
    pub const NONE: NatRange = NatRange { addr: NatAddr::None, proto: None };

    /// Without what Open vSwitch does not send: an address or port 0, and ports without an address.
    pub(crate) fn canonical(self) -> NatRange {
        let addr = match self.addr {
            NatAddr::V4(min, max) if min != 0 => NatAddr::V4(min, max.filter(|max| *max != 0)),
            NatAddr::V6(min, max) if min != 0 => NatAddr::V6(min, max.filter(|max| *max != 0)),
            _ => return NatRange::NONE,
        };
        let proto = self.proto.filter(|proto| proto.0 != 0);
        NatRange { addr, proto: proto.map(|(min, max)| (min, max.filter(|max| *max != 0))) }
    }
}

/// `nat(...)`.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Nat {
    /// [`Nat::SRC`], [`Nat::DST`], ...
    pub flags: u16,
    /// Range, if any.
    pub range: NatRange,
}

impl Nat {
    /// Source.
    pub const SRC: u16 = 1;
    /// Destination.
    pub const DST: u16 = 2;
    /// `persistent`.
    pub const PERSISTENT: u16 = 4;
    /// `hash`.
    pub const HASH: u16 = 8;
    /// `random`.
    pub const RANDOM: u16 = 16;
}

/// `learn(...)`. Times in seconds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Learn {
    /// 0 is none.
    pub idle_timeout: u16,
    /// 0 is none.
    pub hard_timeout: u16,
    /// Of the learned flow; 32768 by default.
    pub priority: u16,
    /// Of the learned flow.
    pub cookie: u64,
    /// [`LEARN_SEND_FLOW_REM`], [`LEARN_DELETE_LEARNED`].
    pub flags: u16,
    /// Of the learned flow.
    pub table: u8,
    /// Idle timeout after FIN or RST.
    pub fin_idle: u16,
    /// Hard timeout after FIN or RST.
    pub fin_hard: u16,
    /// Greatest number of learned flows, 0 is none.
    pub limit: u32,
    /// Matches and actions of the learned flow.
    pub specs: Vec<LearnSpec>,
}

impl Learn {
    /// The attributes that `learn` text has by default.
    pub fn new(table: u8) -> Learn {
        Learn {
            idle_timeout: 0,
            hard_timeout: 0,
            priority: 32768,
            cookie: 0,
            flags: 0,
            table,
            fin_idle: 0,
            fin_hard: 0,
            limit: 0,
            specs: Vec::new(),
        }
    }
}

/// Where a [`LearnSpec`] takes its bits from.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum LearnSrc {
    /// The packet that makes the switch learn.
    Field(Subfield),
    /// A number.
    Imm(u128),
}

/// What a [`LearnSpec`] does with them.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum LearnDst {
    /// The learned flow matches them.
    Match(Subfield),
    /// The learned flow loads them.
    Load(Subfield),
    /// The learned flow outputs to the port.
    Output,
}

/// One match or action of a learned flow.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct LearnSpec {
    /// Source.
    pub src: LearnSrc,
    /// Destination.
    pub dst: LearnDst,
    /// Width, at most 128.
    pub n_bits: u16,
}

/// `controller(...)`: send the packet to a controller.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Controller {
    /// Bytes of the packet, 0xffff is all.
    pub max_len: u16,
    /// Which controllers.
    pub controller_id: u16,
    /// [`REASON_ACTION`] by default.
    pub reason: u8,
    /// Opaque bytes for the controller.
    pub userdata: Box<[u8]>,
    /// Wait for the controller's resume.
    pub pause: bool,
    /// Meter, 0 is none.
    pub meter_id: u32,
}

impl Controller {
    /// All of the packet, for the usual reason, with `userdata`.
    pub fn new(userdata: impl Into<Box<[u8]>>) -> Controller {
        Controller {
            max_len: 0xffff,
            controller_id: 0,
            reason: REASON_ACTION,
            userdata: userdata.into(),
            pause: false,
            meter_id: 0,
        }
    }
}

/// An observation domain or point id.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum SampleId {
    /// A number.
    Imm(u32),
    /// Read from the packet.
    Field(Subfield),
}

/// `sample(...)`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sample {
    /// Of 65535.
    pub probability: u16,
    /// Row in Flow_Sample_Collector_Set.
    pub collector_set_id: u32,
    /// Observation domain.
    pub obs_domain: SampleId,
    /// Observation point.
    pub obs_point: SampleId,
    /// 16-bit port number, [`PORT_NONE`] is none.
    pub sampling_port: u16,
    /// 0 default, 1 ingress, 2 egress.
    pub direction: u8,
}

/// An encoded list of actions (OpenFlow 1.5), shared. 8 bytes; the empty list (`drop`) needs no heap block. Equal lists are
/// equal bytes.
#[derive(Clone, Default, Eq, PartialEq, Hash)]
pub struct ActionList(Option<ThinArc<(), u8>>);

impl ActionList {
    /// The empty list.
    pub const DROP: ActionList = ActionList(None);

    /// Takes bytes as they are: they have to come from [`encode_actions`] to be comparable.
    pub fn from_bytes(bytes: &[u8]) -> ActionList {
        ActionList((!bytes.is_empty()).then(|| ThinArc::from_header_and_slice((), bytes)))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |arc| &arc.slice)
    }

    /// The actions.
    pub fn decode(&self) -> Result<Vec<Action>, Error> {
        decode_actions(self.as_bytes())
    }

    /// Whether it is `drop`.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether nobody else holds the block.
    pub fn is_unique(&self) -> bool {
        self.0.as_ref().is_none_or(|arc| ThinArc::strong_count(arc) == 1)
    }

    /// Whether packets that match go to group `id`, be it in a `clone()` or the like.
    pub fn refers_to_group(&self, id: u32) -> bool {
        self.refers(id, &|action| *action == Action::Group(id))
    }

    /// Whether packets that match pass meter `id`, or do so on their way to the controller.
    pub fn refers_to_meter(&self, id: u32) -> bool {
        self.refers(id, &|action| match action {
            Action::Meter(meter) => *meter == id,
            Action::Controller(controller) => controller.meter_id == id,
            _ => false,
        })
    }

    fn refers(&self, id: u32, is_reference: &dyn Fn(&Action) -> bool) -> bool {
        fn search(actions: &[Action], is_reference: &dyn Fn(&Action) -> bool) -> bool {
            actions.iter().any(|action| match action {
                Action::Clone(inner) => search(inner, is_reference),
                Action::Ct(ct) => search(&ct.actions, is_reference),
                action => is_reference(action),
            })
        }
        // The number is in the bytes as it is, which is a cheap test that nearly always fails.
        self.as_bytes().windows(4).any(|bytes| bytes == id.to_be_bytes())
            && self.decode().is_ok_and(|actions| search(&actions, is_reference))
    }

    /// Whether the list begins with a `conjunction()`. Open vSwitch allows nothing but further ones (and notes) beside it.
    pub fn is_conjunction(&self) -> bool {
        // OFPAT_EXPERIMENTER, length, vendor 0x2320 (Nicira), NXAST_CONJUNCTION 34.
        matches!(self.as_bytes(), [0xff, 0xff, _, _, 0, 0, 0x23, 0x20, 0, 34, ..])
    }

    /// The conjunctions of all lists in one, sorted by id. Of two with one id the one with the lower clause stays. Actions
    /// that are no conjunctions are left out.
    pub fn join_conjunctions<'a>(lists: impl Iterator<Item = &'a ActionList>) -> ActionList {
        const SIZE: usize = 16;
        let mut all: Vec<&[u8]> = Vec::new();
        for list in lists {
            let conjunctions = list.as_bytes().chunks_exact(SIZE);
            all.extend(conjunctions.filter(|action| action.starts_with(&[0xff, 0xff, 0, 16, 0, 0, 0x23, 0x20, 0, 34])));
        }
        let id = |action: &[u8]| <[u8; 4]>::try_from(action.get(12..).unwrap_or_default()).unwrap_or_default();
        all.sort_unstable_by_key(|action| (id(action), *action));
        all.dedup_by_key(|action| id(action));
        ActionList::from_bytes(&all.concat())
    }

    /// Whether both share one block, or are both empty.
    pub fn ptr_eq(&self, other: &ActionList) -> bool {
        self.as_bytes().as_ptr() == other.as_bytes().as_ptr()
    }
}

impl From<&[Action]> for ActionList {
    fn from(actions: &[Action]) -> ActionList {
        let mut writer = ActionWriter::with_capacity(actions.len());
        writer.extend(actions);
        writer.finish()
    }
}

/// An [`ActionList`] that is written action by action: a list of a thousand outputs is not held as values first.
#[derive(Debug, Default)]
pub struct ActionWriter(BytesMut);

impl ActionWriter {
    /// With room for so many outputs, which most actions of a long list are.
    pub fn with_capacity(outputs: usize) -> Self {
        Self(BytesMut::with_capacity(outputs * encode::OUTPUT_LEN))
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds an action.
    pub fn push(&mut self, action: &Action) {
        self.extend(std::slice::from_ref(action));
    }

    /// Adds an output to a port, as [`Action::output`] does.
    pub fn output(&mut self, port: u32) {
        encode::encode_output(port, 0, &mut self.0);
    }

    /// Adds some actions.
    pub fn extend(&mut self, actions: &[Action]) {
        encode_actions(actions, &mut self.0);
    }

    /// The list.
    pub fn finish(self) -> ActionList {
        ActionList::from_bytes(&self.0)
    }
}
