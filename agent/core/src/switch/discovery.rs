//! What has to be learnt on every new connection before anything is sent: the switch's features, the Geneve option's field,
//! and what is installed. Sheet 02 sections 6.2 and 6.8; unlike ofctrl.c nothing is cleared. [`Discovery`] does it once for a
//! connection; [`GroupReader`], which reads groups, is the audit's too.

use ofproto_client::connection::Connection;
use ofproto_client::message::{
    CtFlush, CtTuple, FlowStats, FlowStatsRequest, GroupStats, Message, MultipartReply, MultipartReplyBody,
    MultipartRequest, TlvMap, TlvTable, TlvTableCommand, TlvTableMod, Xid,
};
use ofproto_client::{Flow, FlowMod, FlowModCommand, Group, Meter, group::GROUP_ALL, meter::METER_ALL};
use std::collections::{BTreeMap, BTreeSet};

use super::flow_table::{FlowTable, Installed};
use crate::model::SwitchFeatures;

/// OVN's Geneve option: class, type and length (lib/ovn-util.h, OVN 26.03).
const GENEVE_OPTION: TlvMap = TlvMap { option_class: 0x0102, option_type: 0x80, option_len: 4, index: 0 };
/// Fields there are for Geneve options.
const TUN_METADATA_FIELDS: u16 = 64;
/// Tables whose flows the switch makes by itself, from learn actions: hairpin replies, ECMP, affinity.
pub const LEARNED_TABLES: [u8; 4] = [69, 76, 77, 78];
/// The table whose flows are made by the switch, with a timeout unless fdb_age_threshold is 0, and by us.
pub const REMOTE_FDB: u8 = 87;
/// With more buckets than that the description of a group may not fit in a reply. Open vSwitch 3.1 and 4.0 send it all the same,
/// and nobody can tell where the next message begins. Buckets of load balancers have 100 to 200 bytes.
const READABLE_BUCKETS: u16 = 256;

/// What is learnt, as far as it has arrived.
#[derive(Debug, Default)]
pub struct Discovery {
    /// Replies still to come.
    awaited: Vec<Xid>,
    /// The barrier after a request to add the Geneve option, and the field that was asked for.
    adding: Option<(Xid, Xid, u8)>,
    /// Requests that the switch refuses unless it has a feature.
    sample_probe: Option<Xid>,
    ct_flush_probe: Option<Xid>,
    /// What the switch can do.
    pub features: SwitchFeatures,
    /// n of tun_metadata, when known.
    pub geneve_option: Option<u8>,
    groups: GroupReader,
    /// Number of flows that are installed.
    pub adopted: usize,
    /// Meters that are installed.
    pub meters: Vec<Meter>,
    /// Flows that are installed and cannot be expressed here: somebody else's. Table and reason.
    pub foreign: Vec<String>,
}

impl Discovery {
    /// Asks for everything.
    pub fn start(connection: &mut Connection) -> Self {
        let requests = [
            MultipartRequest::MeterFeatures,
            MultipartRequest::GroupFeatures,
            MultipartRequest::MeterConfig(METER_ALL),
            MultipartRequest::Flows(FlowStatsRequest::default()),
        ];
        let groups = GroupReader::start(connection);
        let mut awaited: Vec<Xid> = requests
            .into_iter()
            .filter_map(|request| connection.send(&Message::MultipartRequest(Box::new(request))).ok())
            .collect();
        awaited.extend(connection.send(&Message::TlvTableRequest));
        let sample_probe = sample_probe(connection);
        let ct_flush_probe = connection.send(&Message::CtFlush(Box::new(ct_flush_by_label()))).ok();
        // Behind them, so that refusals come before its reply.
        awaited.push(connection.send_barrier());
        let features = SwitchFeatures {
            known: true,
            sample_with_registers: sample_probe.is_some(),
            ct_label_flush: ct_flush_probe.is_some(),
            ..SwitchFeatures::default()
        };
        Self { awaited, sample_probe, ct_flush_probe, features, groups, ..Self::default() }
    }

    /// Whether everything has arrived.
    pub fn is_complete(&self) -> bool {
        self.awaited.is_empty() && self.adding.is_none() && self.groups.is_complete()
    }

    /// The groups that are installed, and those of which only the size is known.
    pub fn take_groups(&mut self) -> (BTreeMap<u32, Group>, Vec<GroupStats>) {
        self.foreign.extend(std::mem::take(&mut self.groups.rejected));
        std::mem::take(&mut self.groups).finish()
    }

    /// Takes a message, if it is one of the replies. Flows go right into the flow table.
    pub fn message(&mut self, connection: &mut Connection, xid: Xid, message: Message, flows: &mut FlowTable) {
        match message {
            Message::MultipartReply(reply) if self.awaited.contains(&xid) => {
                let MultipartReply { more, body } = *reply;
                self.part(body, flows);
                if !more {
                    self.arrived(xid);
                }
            }
            Message::MultipartReply(reply) => self.groups.part(connection, xid, reply.body, reply.more),
            Message::TlvTableReply(table) if self.awaited.contains(&xid) => {
                self.arrived(xid);
                self.option_table(connection, &table);
            }
            Message::BarrierReply => {
                self.arrived(xid);
                if let Some((_, barrier, index)) = self.adding
                    && barrier == xid
                {
                    self.adding = None;
                    self.geneve_option = Some(index);
                }
            }
            _ => {}
        }
    }

    /// The switch refused a request. What it cannot do it does not have; only a lost race for the option is tried again.
    pub fn refused(&mut self, connection: &mut Connection, xid: Xid) {
        self.arrived(xid);
        self.groups.refused(xid);
        if self.sample_probe == Some(xid) {
            self.features.sample_with_registers = false;
        }
        if self.ct_flush_probe == Some(xid) {
            self.features.ct_label_flush = false;
        }
        if self.adding.is_some_and(|(request, _, _)| request == xid) {
            self.adding = None;
            self.awaited.extend(connection.send(&Message::TlvTableRequest));
        }
    }

    fn arrived(&mut self, xid: Xid) {
        self.awaited.retain(|awaited| *awaited != xid);
    }

    fn part(&mut self, body: MultipartReplyBody, flows: &mut FlowTable) {
        match body {
            MultipartReplyBody::MeterFeatures(meters) => self.features.max_meters = meters.max_meters,
            // Index 1 is the type select.
            MultipartReplyBody::GroupFeatures(groups) => self.features.max_groups = groups.max_groups[1],
            MultipartReplyBody::Meters { meters, rejected } => {
                self.meters.extend(meters);
                self.foreign.extend(rejected.iter().map(|meter| format!("{meter:?}")));
            }
            MultipartReplyBody::Flows { flows: installed, rejected } => {
                self.foreign.extend(rejected.iter().map(|flow| format!("{flow:?}")));
                for stats in installed {
                    if !is_learned(&stats) {
                        self.adopted += 1;
                        let flow = stats.flow;
                        let installed = Installed { cookie: flow.cookie, actions: flow.actions };
                        flows.adopt(flow.table, flow.priority, flow.match_, installed);
                    }
                }
            }
            _ => {}
        }
    }

    /// Uses the mapping for OVN's option that is there, or adds one at the lowest free field.
    fn option_table(&mut self, connection: &mut Connection, table: &TlvTable) {
        if let Some(index) = geneve_option(table) {
            self.geneve_option = Some(index);
            return;
        }
        let free = (0..TUN_METADATA_FIELDS).find(|index| table.maps.iter().all(|map| map.index != *index));
        let Some(index) = free else { return };
        let add = TlvTableMod { command: TlvTableCommand::Add, maps: vec![TlvMap { index, ..GENEVE_OPTION }] };
        if let Ok(request) = connection.send(&Message::TlvTableMod(add)) {
            let barrier = connection.send_barrier();
            self.adding = Some((request, barrier, index as u8));
        }
    }
}

/// The field that the table has for OVN's option.
pub fn geneve_option(table: &TlvTable) -> Option<u8> {
    let ours = |map: &&TlvMap| TlvMap { index: 0, ..**map } == GENEVE_OPTION && map.index < TUN_METADATA_FIELDS;
    table.maps.iter().find(ours).map(|map| map.index as u8)
}

/// Whether the switch made the flow by itself.
pub fn is_learned(stats: &FlowStats) -> bool {
    LEARNED_TABLES.contains(&stats.flow.table) || stats.idle_timeout != 0 || stats.hard_timeout != 0
}

/// Reads the groups of a switch: their sizes first, since one that is too large must not be asked for.
#[derive(Debug, Default)]
pub struct GroupReader {
    /// Replies still to come.
    awaited: Vec<Xid>,
    sizes: Vec<GroupStats>,
    groups: BTreeMap<u32, Group>,
    /// Groups that cannot be expressed here.
    rejected: Vec<String>,
}

impl GroupReader {
    /// Asks for the sizes.
    pub fn start(connection: &mut Connection) -> Self {
        let mut reader = Self::default();
        reader.ask(connection, MultipartRequest::GroupStats(GROUP_ALL));
        reader
    }

    /// Whether everything has arrived that was asked for.
    pub fn is_complete(&self) -> bool {
        self.awaited.is_empty()
    }

    /// Whether this is one of its requests.
    pub fn awaits(&self, xid: Xid) -> bool {
        self.awaited.contains(&xid)
    }

    /// Takes a part of a reply, if it is one of its.
    pub fn part(&mut self, connection: &mut Connection, xid: Xid, body: MultipartReplyBody, more: bool) {
        if !self.awaits(xid) {
            return;
        }
        let sizes = matches!(body, MultipartReplyBody::GroupStats(_));
        match body {
            MultipartReplyBody::GroupStats(sizes) => self.sizes.extend(sizes),
            MultipartReplyBody::Groups { groups, rejected } => {
                self.groups.extend(groups.into_iter().map(|group| (group.id, group)));
                self.rejected.extend(rejected.iter().map(|group| format!("{group:?}")));
            }
            _ => {}
        }
        if !more {
            self.refused(xid);
            if sizes {
                self.ask_for_descriptions(connection);
            }
        }
    }

    /// A request has no reply, or had all of it.
    pub fn refused(&mut self, xid: Xid) {
        self.awaited.retain(|awaited| *awaited != xid);
    }

    /// The groups, and those of which only the size is known.
    pub fn finish(self) -> (BTreeMap<u32, Group>, Vec<GroupStats>) {
        let unseen = self.sizes.into_iter().filter(|size| size.n_buckets > READABLE_BUCKETS).collect();
        (self.groups, unseen)
    }

    fn ask_for_descriptions(&mut self, connection: &mut Connection) {
        if self.sizes.is_empty() {
            return;
        }
        if self.sizes.iter().all(|size| size.n_buckets <= READABLE_BUCKETS) {
            return self.ask(connection, MultipartRequest::GroupDesc(GROUP_ALL));
        }
        let readable: Vec<u32> =
            self.sizes.iter().filter(|size| size.n_buckets <= READABLE_BUCKETS).map(|size| size.id).collect();
        for id in readable {
            self.ask(connection, MultipartRequest::GroupDesc(id));
        }
    }

    fn ask(&mut self, connection: &mut Connection, request: MultipartRequest) {
        self.awaited.extend(connection.send(&Message::MultipartRequest(Box::new(request))).ok());
    }
}

/// Of the groups whose content cannot be read, those that are as large as they are `believed` to be. Ids are hashes of contents, so
/// these are what they should be.
pub fn unseen_groups(unseen: &[GroupStats], believed: &BTreeMap<u32, Group>) -> BTreeSet<u32> {
    let same = |size: &&GroupStats| {
        believed.get(&size.id).is_some_and(|group| group.buckets.len() == usize::from(size.n_buckets))
    };
    unseen.iter().filter(same).map(|size| size.id).collect()
}

/// A flow that samples with ids out of registers, in a bundle that is discarded. (lib/features.c, OVN 26.03)
fn sample_probe(connection: &mut Connection) -> Option<Xid> {
    const FLOW: &str = "table=0,priority=0 actions=sample(probability=1,collector_set_id=1,\
        obs_domain_id=NXM_NX_REG0[],obs_point_id=NXM_NX_REG0[])";
    let flow: Flow = FLOW.parse().ok()?;
    // Dropped without a commit it is discarded.
    connection.bundle().add_flow_mod(&FlowMod::new(FlowModCommand::Add, flow)).ok()
}

/// Forgets ICMP connections of a kind that there is not: type 1, and a bit of the label that OVN does not use.
fn ct_flush_by_label() -> CtFlush {
    const BIT: u128 = 1 << 124;
    let original = Some(CtTuple { icmp_type: Some(1), ..CtTuple::default() });
    CtFlush { ip_proto: 1, original, label: Some((BIT, Some(BIT))), ..CtFlush::default() }
}
