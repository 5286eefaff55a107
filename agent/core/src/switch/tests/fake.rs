//! [`Fake`]: a switch in memory that answers as Open vSwitch 3.1 does, and [`Rig`]: a session between it and a desired state.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use bytes::{Buf, Bytes, BytesMut};
use ofproto_client::connection::{Config, Time};
use ofproto_client::message::{
    BundleCommand, BundleControl, ErrorCode, FlowStats, GroupStats, Hello, Message, MultipartReply, MultipartReplyBody,
    MultipartRequest, PacketOut, SwitchError, TlvMap, TlvTable, Versions, Xid,
};
use ofproto_client::{Action, Flow, FlowMod, FlowModCommand, Group, GroupModCommand, Match, Meter, MeterModCommand};
use smallvec::SmallVec;
use std::collections::{BTreeMap, VecDeque};

use super::super::{FlowId, FlowTable, Notice, Session, Target};
use crate::engine::NodeId;
use crate::pools::Pools;
use crate::units::DesiredFlow;

type Key = (u8, u16, Vec<u8>);

/// What a switch has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tables {
    pub flows: BTreeMap<Key, (Flow, u16)>,
    pub groups: BTreeMap<u32, Group>,
    pub meters: BTreeMap<u32, Meter>,
}

impl Tables {
    /// Puts a flow there, as somebody else would.
    pub fn put(&mut self, text: &str) {
        let flow: Flow = text.parse().unwrap();
        self.flows.insert(key(&flow), (flow, 0));
    }

    pub fn texts(&self) -> Vec<String> {
        self.flows.values().map(|(flow, _)| flow.to_string()).collect()
    }
}

fn key(flow: &Flow) -> Key {
    (flow.table, flow.priority, flow.match_.as_bytes().to_vec())
}

/// The switch.
#[derive(Default)]
pub struct Fake {
    pub tables: Tables,
    /// Geneve options.
    pub options: Vec<TlvMap>,
    bundle: Vec<(Xid, Message)>,
    rx: BytesMut,
    tx: VecDeque<(Xid, Message)>,
    /// Refuses flows with this cookie when they are added to a bundle.
    pub bad_cookie: Option<u64>,
    /// Refuses groups and meters with this number.
    pub bad_id: Option<u32>,
    /// Flows that a table may have.
    pub limit: Option<(u8, usize)>,
    /// Refuses commits with this error.
    pub commit_error: Option<ErrorCode>,
    /// Refuses packets.
    pub refuses_packets: bool,
    /// The packets that came, each with the number of messages of the bundle that was open.
    pub packets: Vec<(PacketOut, usize)>,
    /// Flow, group and meter mods that had an effect, by the text of the command.
    pub done: Vec<String>,
    pub commits: usize,
    pub requests: usize,
    /// Requests that had a large answer.
    pub largest_answer: usize,
}

impl Fake {
    /// Bytes from the agent.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.rx.extend_from_slice(bytes);
        while self.rx.len() >= 8 {
            let length = usize::from(u16::from_be_bytes([self.rx[2], self.rx[3]]));
            if self.rx.len() < length {
                break;
            }
            let bytes = self.rx.split_to(length);
            let (xid, message) = Message::decode(&bytes).unwrap();
            self.handle(xid, message);
        }
    }

    /// Bytes for the agent.
    pub fn answer(&mut self) -> BytesMut {
        let mut answer = BytesMut::new();
        while let Some((xid, message)) = self.tx.pop_front() {
            message.encode(xid, &mut answer).unwrap();
        }
        answer
    }

    /// The connection is lost, and what was on it.
    pub fn disconnect(&mut self) {
        self.rx.clear();
        self.tx.clear();
        self.bundle.clear();
    }

    fn handle(&mut self, xid: Xid, message: Message) {
        match message {
            Message::Hello(_) => self.reply(xid, Message::Hello(Hello { versions: Some(Versions::OFP15) })),
            Message::BarrierRequest => self.reply(xid, Message::BarrierReply),
            Message::TlvTableRequest => {
                self.requests += 1;
                let maps = self.options.clone();
                self.reply(xid, Message::TlvTableReply(TlvTable { maps, ..TlvTable::default() }));
            }
            Message::TlvTableMod(change) => self.options.extend(change.maps),
            Message::MultipartRequest(request) => self.multipart(xid, *request),
            Message::BundleControl(control) => self.control(xid, control),
            Message::BundleAdd { message, .. } => {
                let message = *message;
                let refused = match &message {
                    Message::FlowMod(flow) => self.bad_cookie.is_some_and(|cookie| flow.cookie == cookie),
                    Message::GroupMod(group) => {
                        group.command != GroupModCommand::Delete && self.bad_id == Some(group.group.id)
                    }
                    _ => false,
                };
                match refused {
                    true => self.refuse(xid, ErrorCode::Standard { error_type: 2, code: 4 }),
                    false => self.bundle.push((xid, message)),
                }
            }
            Message::PacketOut(_) if self.refuses_packets => {
                self.refuse(xid, ErrorCode::Standard { error_type: 1, code: 11 })
            }
            Message::PacketOut(packet) => self.packets.push((*packet, self.bundle.len())),
            Message::MeterMod(_) | Message::FlowMod(_) | Message::GroupMod(_) => {
                let mut tables = self.tables.clone();
                match self.apply(&mut tables, &message) {
                    Ok(()) => {
                        self.tables = tables;
                        self.note(&message);
                    }
                    Err(code) => self.refuse(xid, code),
                }
            }
            _ => {}
        }
    }

    fn control(&mut self, xid: Xid, control: BundleControl) {
        match control.command {
            BundleCommand::OpenRequest => self.bundle.clear(),
            BundleCommand::DiscardRequest => self.bundle.clear(),
            BundleCommand::CommitRequest => {
                let bundle = std::mem::take(&mut self.bundle);
                if let Some(code) = self.commit_error {
                    return self.refuse(xid, code);
                }
                let mut tables = self.tables.clone();
                for (of, message) in &bundle {
                    if let Err(code) = self.apply(&mut tables, message) {
                        self.refuse(*of, code);
                        return self.refuse(xid, ErrorCode::BUNDLE_MESSAGE_FAILED);
                    }
                }
                self.tables = tables;
                self.commits += 1;
                bundle.iter().for_each(|(_, message)| self.note(message));
                let reply = BundleControl { command: BundleCommand::CommitReply, ..control };
                self.reply(xid, Message::BundleControl(reply));
            }
            _ => {}
        }
    }

    fn note(&mut self, message: &Message) {
        self.done.push(match message {
            Message::FlowMod(flow) => format!("{:?} table={} priority={}", flow.command, flow.table, flow.priority),
            Message::GroupMod(group) => format!("{:?} group {}", group.command, group.group.id),
            Message::MeterMod(meter) => format!("{:?} meter {}", meter.command, meter.meter.id),
            other => other.name().to_owned(),
        });
    }

    fn apply(&self, tables: &mut Tables, message: &Message) -> Result<(), ErrorCode> {
        match message {
            Message::FlowMod(flow) => self.flow_mod(tables, flow),
            Message::GroupMod(group) => {
                let id = group.group.id;
                match (group.command, tables.groups.contains_key(&id)) {
                    (GroupModCommand::Add, true) => return Err(ErrorCode::GROUP_EXISTS),
                    (GroupModCommand::Modify | GroupModCommand::InsertBuckets, false) => {
                        return Err(ErrorCode::UNKNOWN_GROUP);
                    }
                    (GroupModCommand::Delete, _) => {
                        tables.groups.remove(&id);
                        tables.flows.retain(|_, (flow, _)| !flow.actions.refers_to_group(id));
                    }
                    (GroupModCommand::InsertBuckets, true) => {
                        let buckets = group.group.buckets.iter().cloned();
                        tables.groups.get_mut(&id).unwrap().buckets.extend(buckets);
                    }
                    _ => drop(tables.groups.insert(id, group.group.clone())),
                }
                Ok(())
            }
            Message::MeterMod(meter) => {
                let id = meter.meter.id;
                match (meter.command, tables.meters.contains_key(&id)) {
                    (MeterModCommand::Add, true) => return Err(ErrorCode::METER_EXISTS),
                    (MeterModCommand::Modify, false) => return Err(ErrorCode::UNKNOWN_METER),
                    (MeterModCommand::Delete, _) => {
                        tables.meters.remove(&id);
                        tables.flows.retain(|_, (flow, _)| !flow.actions.refers_to_meter(id));
                    }
                    _ if self.bad_id == Some(id) => return Err(ErrorCode::Standard { error_type: 12, code: 6 }),
                    _ => drop(tables.meters.insert(id, meter.meter.clone())),
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn flow_mod(&self, tables: &mut Tables, flow_mod: &FlowMod) -> Result<(), ErrorCode> {
        let FlowMod { table, priority, cookie, match_, actions, .. } = flow_mod.clone();
        let flow = Flow { table, priority, cookie, match_, actions };
        let key = key(&flow);
        if flow_mod.command != FlowModCommand::DeleteStrict {
            for action in flow.actions.decode().unwrap() {
                match action {
                    Action::Group(id) if !tables.groups.contains_key(&id) => {
                        return Err(ErrorCode::Standard { error_type: 2, code: 9 });
                    }
                    Action::Controller(to) if to.meter_id > 0 && !tables.meters.contains_key(&to.meter_id) => {
                        return Err(ErrorCode::Standard { error_type: 12, code: 2 });
                    }
                    _ => {}
                }
            }
        }
        match flow_mod.command {
            FlowModCommand::Add => {
                let full = self.limit.is_some_and(|(of, limit)| {
                    of == table
                        && !tables.flows.contains_key(&key)
                        && tables.flows.keys().filter(|key| key.0 == table).count() >= limit
                });
                if full {
                    return Err(ErrorCode::TABLE_FULL);
                }
                tables.flows.insert(key, (flow, 0));
            }
            FlowModCommand::ModifyStrict => {
                if let Some((there, _)) = tables.flows.get_mut(&key) {
                    there.actions = flow.actions;
                }
            }
            FlowModCommand::DeleteStrict => drop(tables.flows.remove(&key)),
            other => panic!("{other:?}"),
        }
        Ok(())
    }

    fn multipart(&mut self, xid: Xid, request: MultipartRequest) {
        self.requests += 1;
        let body = match request {
            MultipartRequest::Flows(request) => {
                let wanted = |flow: &Flow| {
                    (request.table == 0xff || request.table == flow.table)
                        && flow.cookie & request.cookie_mask == request.cookie & request.cookie_mask
                };
                let flows = self.tables.flows.values().filter(|(flow, _)| wanted(flow));
                let flows: Vec<FlowStats> = flows
                    .map(|(flow, timeout)| FlowStats {
                        flow: flow.clone(),
                        hard_timeout: *timeout,
                        ..FlowStats::default()
                    })
                    .collect();
                self.largest_answer = self.largest_answer.max(flows.len());
                for part in flows.chunks(100) {
                    let body = MultipartReplyBody::Flows { flows: part.to_vec(), rejected: Vec::new() };
                    self.reply(xid, Message::MultipartReply(Box::new(MultipartReply { more: true, body })));
                }
                MultipartReplyBody::Flows { flows: Vec::new(), rejected: Vec::new() }
            }
            MultipartRequest::GroupStats(_) => {
                let stats =
                    |group: &Group| GroupStats { id: group.id, references: 0, n_buckets: group.buckets.len() as u16 };
                MultipartReplyBody::GroupStats(self.tables.groups.values().map(stats).collect())
            }
            MultipartRequest::GroupDesc(id) => {
                let groups = self.tables.groups.values().filter(|group| id == 0xffff_fffc || group.id == id);
                let groups: Vec<Group> = groups.cloned().collect();
                assert!(groups.iter().all(|group| group.buckets.len() <= 500), "Open vSwitch would send nonsense");
                MultipartReplyBody::Groups { groups, rejected: Vec::new() }
            }
            MultipartRequest::MeterConfig(_) => MultipartReplyBody::Meters {
                meters: self.tables.meters.values().cloned().collect(),
                rejected: Vec::new(),
            },
            MultipartRequest::GroupFeatures => MultipartReplyBody::GroupFeatures(Default::default()),
            MultipartRequest::MeterFeatures => MultipartReplyBody::MeterFeatures(Default::default()),
            other => panic!("{other:?}"),
        };
        self.reply(xid, Message::MultipartReply(Box::new(MultipartReply { more: false, body })));
    }

    fn reply(&mut self, xid: Xid, message: Message) {
        self.tx.push_back((xid, message));
    }

    fn refuse(&mut self, xid: Xid, code: ErrorCode) {
        self.reply(xid, Message::Error(SwitchError { code, data: Bytes::new() }));
    }
}

/// A session, a switch and a desired state.
pub struct Rig {
    pub session: Session,
    pub switch: Fake,
    pub flows: FlowTable,
    pub pools: Pools,
    pub meters: Vec<Meter>,
    pub now: u64,
    pub notices: Vec<Notice>,
    held: SmallVec<[FlowId; 2]>,
    sequence: u64,
    /// What the session has sent and the switch has not received.
    wire: BytesMut,
}

impl Rig {
    /// Connected to an empty switch and read back.
    pub fn new() -> Rig {
        Rig::with(Fake::default())
    }

    /// Connected to this switch and read back.
    pub fn with(switch: Fake) -> Rig {
        let mut rig = Rig {
            session: Session::default(),
            switch,
            flows: FlowTable::default(),
            pools: Pools::default(),
            meters: Vec::new(),
            now: 1_000,
            notices: Vec::new(),
            held: SmallVec::new(),
            sequence: 0,
            wire: BytesMut::new(),
        };
        rig.connect();
        rig
    }

    /// A new connection, through which everything is read back.
    pub fn connect(&mut self) {
        self.wire.clear();
        self.switch.disconnect();
        self.with_session(|session, now, target| session.connected(now, Config::default(), target));
        self.run();
        assert!(self.notices.iter().any(|notice| matches!(notice, Notice::Ready { .. })), "{:?}", self.notices);
    }

    /// The connection is lost, after the switch has received `bytes` more, or all.
    pub fn cut(&mut self, bytes: usize) {
        let rest = self.wire.len().min(bytes);
        let bytes = self.wire.split_to(rest);
        self.switch.receive(&bytes);
        self.with_session(|session, now, target| session.closed(now, None, target));
    }

    pub fn with_session<T>(&mut self, act: impl FnOnce(&mut Session, Time, &mut Target<'_>) -> T) -> T {
        let Rig { flows, pools, meters, .. } = self;
        let result = act(&mut self.session, Time(self.now), &mut Target { flows, pools, meters });
        while let Some(notice) = self.session.poll_notice() {
            self.notices.push(notice);
        }
        self.session.transmit(&mut self.wire);
        result
    }

    /// What is wanted from now on, a flow a line.
    pub fn want(&mut self, flows: &str) {
        let flows: Vec<Flow> =
            flows.lines().filter(|line| !line.trim().is_empty()).map(|l| l.trim().parse().unwrap()).collect();
        self.want_flows(flows);
    }

    pub fn want_flows(&mut self, flows: Vec<Flow>) {
        let desired = flows.into_iter().map(|flow| DesiredFlow {
            table: flow.table,
            priority: flow.priority,
            cookie: flow.cookie,
            match_: flow.match_,
            actions: flow.actions,
        });
        self.held = self.flows.replace(NodeId(1), &self.held, desired.collect());
    }

    /// A group that is wanted: its number.
    pub fn group(&mut self, text: &str) -> u32 {
        self.pools.groups.set_limit(90);
        let id = self.pools.groups.id(text).unwrap();
        self.pools.groups.retain(id);
        id
    }

    /// Starts a push. Returns its number.
    pub fn push(&mut self) -> u64 {
        self.sequence += 1;
        let sequence = self.sequence;
        assert!(self.with_session(|session, now, target| session.push(now, sequence, &[], target)));
        sequence
    }

    /// Goes on until nothing moves any more, with further pushes for what is left to do.
    pub fn settle(&mut self) {
        for _ in 0..1000 {
            self.run();
            let differs = self.flows.has_changed() || self.pools.groups.has_changed() || self.session.is_touched();
            if !differs {
                return;
            }
            self.push();
        }
        panic!("goes on for ever: {:?}", self.notices);
    }

    /// Goes on until nothing moves any more.
    pub fn run(&mut self) {
        while self.step() {}
    }

    /// One step of both sides. Says whether anything moved.
    pub fn step(&mut self) -> bool {
        let due = self.session.poll_timeout().is_some_and(|at| at.0 <= self.now);
        if due {
            self.with_session(|session, now, target| session.timeout(now, target));
        }
        let mut moved = self.with_session(|session, now, target| session.proceed(now, target));
        if !self.wire.is_empty() {
            let bytes = self.wire.split();
            self.switch.receive(&bytes);
            moved = true;
        }
        let mut answer = self.switch.answer();
        if !answer.is_empty() {
            moved = true;
            // In pieces, as sockets deliver it.
            while !answer.is_empty() {
                let piece = answer.split_to(answer.len().min(50_000));
                self.with_session(|session, now, target| session.received(now, piece.chunk(), target));
            }
        }
        moved
    }

    /// Bytes on their way.
    pub fn on_the_wire(&self) -> usize {
        self.wire.len()
    }

    pub fn acknowledged(&self) -> Option<u64> {
        self.notices.iter().rev().find_map(|notice| match notice {
            Notice::Acknowledged(sequence) => Some(*sequence),
            _ => None,
        })
    }

    /// The switch has exactly what is wanted, or what of it is not `missing`.
    pub fn check(&self, missing: usize) {
        let wanted: BTreeMap<Key, Flow> = self
            .flows
            .iter_desired()
            .map(|id| {
                let (table, priority, match_) = self.flows.flow_key(id).unwrap();
                let desired = self.flows.desired(id).unwrap();
                let flow = Flow {
                    table,
                    priority,
                    match_: Match::clone(match_),
                    cookie: desired.cookie,
                    actions: desired.actions,
                };
                (key(&flow), flow)
            })
            .collect();
        let there = self.switch.tables.flows.iter().filter(|(_, (_, timeout))| *timeout == 0);
        let there: BTreeMap<Key, Flow> = there.map(|(key, (flow, _))| (key.clone(), flow.clone())).collect();
        assert!(
            there.iter().all(|(key, flow)| wanted.get(key) == Some(flow)),
            "foreign: {:#?}",
            self.switch.tables.texts()
        );
        assert_eq!(wanted.len(), there.len() + missing);
        let believed = self.flows.installed_len();
        assert_eq!(believed, there.len(), "believed");
        let groups: Vec<u32> = self.pools.groups.desired().map(|(id, _)| id).collect();
        let bad: Vec<u32> = self.switch.bad_id.into_iter().collect();
        let groups: Vec<u32> = groups.into_iter().filter(|id| !bad.contains(id)).collect();
        assert_eq!(self.switch.tables.groups.keys().copied().collect::<Vec<_>>(), groups);
    }
}
