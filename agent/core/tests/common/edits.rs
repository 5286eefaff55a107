//! Random changes of rows: deleted, added again, and columns set to values of other rows, to parts of them, or to anything of
//! the column's type.

use ovsdb::json::Json;
use ovsdb::tables::decode::Strings;
use ovsdb::tables::{
    AtomType, ColumnSet, ColumnType, Database, Row, RowUpdate, Table, TableVisitor, Updates, UpdatesVisitor, local,
    southbound,
};
use ovsdb::{Local, Southbound, Str, Uuid};
use std::any::Any;
use std::collections::BTreeSet;

use super::{Random, Start};

/// One change, of either database.
#[derive(Clone)]
pub enum Edit {
    /// Of the Southbound.
    Southbound(Box<southbound::Updates>),
    /// Of the local database.
    Local(Box<local::Updates>),
}

/// Where changes come from.
pub struct Editor {
    start: Start,
    strings: Vec<Str>,
    keys: Vec<Str>,
    uuids: Vec<Uuid>,
    /// Positions of the tables, each as often as it should be chosen.
    sb_tables: Vec<usize>,
    local_tables: Vec<usize>,
}

/// Strings that mean something in some column, and some that never do.
const STRINGS: &[&str] = &[
    "",
    "patch",
    "localnet",
    "l2gateway",
    "l3gateway",
    "chassisredirect",
    "virtual",
    "external",
    "localport",
    "remote",
    "vtep",
    "mirror",
    "nonsense(",
    "ingress",
    "egress",
    "true",
    "false",
    "1",
    "7",
    "65536",
    "10.0.0.1",
    "192.168.1.0/24",
    "fd00::1",
    "0a:00:00:00:00:01",
    "0a:00:00:00:00:01 10.0.0.1",
    "unknown",
    "dynamic",
    "geneve",
    "vxlan",
    "pktps",
    "kbps",
    "ip4",
    "ip4 && tcp.dst == {80, 443} && ip4.src == {10.0.0.1, 10.0.0.2, 10.0.0.9}",
    "inport == \"no such port\"",
    "ip4.src == $as1",
    "ip4.src == $as1 && tcp.dst == {1, 2}",
    "outport == @pg1 && ip4.src == $as1",
    "is_chassis_resident(\"lp1\")",
    "drop;",
    "next;",
    "output;",
    "ct_next;",
    "ct_lb_mark(backends=10.0.0.2,10.0.0.3);",
    "log(meter=\"m1\", verdict=drop); drop;",
    "controller_event(event = \"empty_lb_backends\", vip = \"10.0.0.1\", protocol = \"tcp\", load_balancer = \"x\");",
    "reg0 = 1; select(reg1, 1=20, 2=30);",
    "set_meter(100); next;",
    "as1",
    "pg1",
    "m1",
    "tcp",
    "udp",
    "uuid",
    "10.0.0.1:80",
    "10.0.0.2:80,10.0.0.3:80",
    "phys:br-phys",
    "br-phys",
    "dummy",
    "physnet1",
    "3",
    "0",
    "vx0",
    "vx1,vx0",
    "br0",
    "4790",
    "192.0.2.9,3-192.0.2.3",
];

/// Keys of map columns that something reads.
const KEYS: &[&str] = &[
    "peer",
    "requested-chassis",
    "chassis-redirect-port",
    "distributed-port",
    "network_name",
    "l3gateway-chassis",
    "l2gateway-chassis",
    "iface-id",
    "iface-id-ver",
    "ovn-chassis-id",
    "ovn-localnet-port",
    "ovn-l2gateway-port",
    "in_out_port",
    "acl_id",
    "logical-switch",
    "logical-router",
    "snat-ct-zone",
    "name",
    "always-redirect",
    "only_default",
    "dynamic-routing-vni",
    "dynamic-routing-vxlan-ifname",
    "dynamic-routing-bridge-ifname",
    "dynamic-routing-arp-prefer-local",
    "fdb_age_threshold",
    "ovn-evpn-tunnel",
    "ovn-evpn-local-ip",
    "ovn-evpn-vxlan-ports",
    "dst_port",
    "redirect-type",
    "vlan-passthru",
    "qdisc_queue_id",
    "nf-linked-port",
    "enable_router_port_acl",
    "register_consolidation",
    "arp_ns_explicit_output",
    "ovn-encap-ip",
    "ovn-encap-type",
    "ovn-bridge-mappings",
    "ovn-chassis-mac-mappings",
    "ovn-enable-flow-based-tunnels",
    "system-id",
    "is-interconn",
    "ovn-chassis-mac-mappings",
    "hairpin_snat_ip",
    "hairpin_orig_tuple",
    "ct_flush",
    "skip_snat",
    "remote_ip",
    "is-remote",
    "ct_zero_snat",
    "max_hash_alg",
    "csum",
    "default-encap-ip",
    "ip",
    "state",
    "enable",
    "ct-zone-lp1",
    "use_ct_inv_match",
    "mac_binding_timestamp",
    "localnet_learn_fdb",
    "additional-chassis-activated",
    "activation-strategy",
    "virtual-parents",
    "disable_garp_rarp",
    "vif-plug-type",
    "vif-plug-mtu-request",
    "ovn-plugged",
    "bfd-mult",
];

impl Editor {
    /// Changes around `start`: what it holds is what rows are made of.
    pub fn new(start: &Start) -> Editor {
        let (mut strings, mut uuids) = (BTreeSet::new(), BTreeSet::new());
        strings.extend(STRINGS.iter().map(|text| Str::from(*text)));
        let sb = &start.sb;
        for (_, row) in sb.port_binding.iter() {
            strings.insert(row.logical_port.clone());
        }
        for (_, row) in sb.chassis.iter() {
            strings.extend([row.name.clone(), row.hostname.clone()]);
        }
        strings.extend(sb.encap.iter().map(|(_, row)| row.ip.clone()));
        strings.extend(sb.address_set.iter().map(|(_, row)| row.name.clone()));
        strings.extend(sb.port_group.iter().map(|(_, row)| row.name.clone()));
        for position in 0..Southbound::TABLES.len() {
            uuids.extend(sb.visit_table(position, Uuids).unwrap());
        }
        for position in 0..Local::TABLES.len() {
            uuids.extend(start.local.visit_table(position, Uuids).unwrap());
        }
        uuids.insert(Uuid([0xee; 16]));
        let mut keys: BTreeSet<Str> = KEYS.iter().map(|text| Str::from(*text)).collect();
        keys.extend(strings.iter().filter(|text| text.starts_with("as")).cloned());
        Editor {
            strings: strings.into_iter().collect(),
            keys: keys.into_iter().collect(),
            uuids: uuids.into_iter().collect(),
            sb_tables: weighted::<Southbound>(&[
                ("Port_Binding", 14),
                ("Datapath_Binding", 4),
                ("Logical_Flow", 12),
                ("Logical_DP_Group", 4),
                ("Multicast_Group", 5),
                ("Chassis", 5),
                ("Encap", 3),
                ("MAC_Binding", 3),
                ("Static_MAC_Binding", 3),
                ("FDB", 3),
                ("Load_Balancer", 5),
                ("Address_Set", 5),
                ("Port_Group", 5),
                ("Meter", 3),
                ("Meter_Band", 3),
                ("HA_Chassis", 3),
                ("HA_Chassis_Group", 3),
                ("DHCP_Options", 2),
                ("DHCPv6_Options", 1),
                ("Chassis_Template_Var", 3),
                ("SB_Global", 3),
                ("Chassis_Private", 2),
                ("Gateway_Chassis", 1),
            ]),
            local_tables: weighted::<Local>(&[
                ("Open_vSwitch", 4),
                ("Bridge", 2),
                ("Port", 3),
                ("Interface", 8),
                ("Flow_Sample_Collector_Set", 1),
                ("Datapath", 1),
            ]),
            start: start.clone(),
        }
    }

    /// A change, and what it is.
    pub fn edit(&self, random: &mut Random, sb: &Southbound, local: &Local) -> (Edit, String) {
        loop {
            let edit = if random.once_in(5) {
                let position = *random.pick(&self.local_tables).unwrap();
                let updates = self.table(random, local, &self.start.local, position);
                updates.map(|(updates, text)| (Edit::Local(Box::new(updates)), text))
            } else {
                let position = *random.pick(&self.sb_tables).unwrap();
                let updates = self.table(random, sb, &self.start.sb, position);
                updates.map(|(updates, text)| (Edit::Southbound(Box::new(updates)), text))
            };
            if let Some(edit) = edit {
                return edit;
            }
        }
    }

    fn table<D: Database>(
        &self,
        random: &mut Random,
        now: &D,
        start: &D,
        position: usize,
    ) -> Option<(D::Updates, String)> {
        let donors = start.visit_table(position, AllRows)?;
        let (update, text) = now.visit_table(position, Change { editor: self, random, donors })??;
        let mut updates = D::Updates::default();
        updates.visit_table(position, Push(update))?;
        Some((updates, text))
    }

    fn string(&self, random: &mut Random) -> &Str {
        random.pick(&self.strings).unwrap()
    }

    /// A random value of a type, in OVSDB's notation.
    fn json(&self, random: &mut Random, column: ColumnType) -> String {
        let atoms = |random: &mut Random, most: usize, one: &dyn Fn(&mut Random) -> String| {
            (0..random.below(most + 1)).map(|_| one(random)).collect::<Vec<_>>().join(",")
        };
        match column {
            ColumnType::Scalar(atom) => self.atom(random, atom),
            ColumnType::Optional(atom) => {
                format!("[\"set\",[{}]]", atoms(random, 1, &|random| self.atom(random, atom)))
            }
            ColumnType::Set(atom) => format!("[\"set\",[{}]]", atoms(random, 3, &|random| self.atom(random, atom))),
            ColumnType::Map(key, value) => {
                let pair = |random: &mut Random| {
                    let key = match key {
                        AtomType::String => quoted(random.pick(&self.keys).unwrap()),
                        _ => self.atom(random, key),
                    };
                    format!("[{key},{}]", self.atom(random, value))
                };
                format!("[\"map\",[{}]]", atoms(random, 2, &pair))
            }
        }
    }

    fn atom(&self, random: &mut Random, atom: AtomType) -> String {
        const INTEGERS: &[i64] = &[-1, 0, 1, 2, 3, 4, 5, 17, 80, 100, 32768, 65535, 65536, 1 << 24, 1 << 32, i64::MAX];
        match atom {
            AtomType::Integer => random.pick(INTEGERS).unwrap().to_string(),
            AtomType::Real => "1.5".to_owned(),
            AtomType::Boolean => random.once_in(2).to_string(),
            AtomType::String => quoted(self.string(random)),
            AtomType::Uuid => format!("[\"uuid\",\"{}\"]", random.pick(&self.uuids).unwrap()),
        }
    }
}

fn weighted<D: Database>(weights: &[(&str, usize)]) -> Vec<usize> {
    let position = |name: &str| ovsdb::tables::table_position::<D>(name).unwrap_or_else(|| panic!("no table {name}"));
    weights.iter().flat_map(|&(name, weight)| std::iter::repeat_n(position(name), weight)).collect()
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

struct Uuids;

impl TableVisitor for Uuids {
    type Output = Vec<Uuid>;
    fn visit<R: Row>(self, table: &Table<R>) -> Vec<Uuid> {
        table.iter().map(|(row, _)| table.uuid(row)).collect()
    }
}

/// Rows with their UUIDs, sorted by UUID, so that the places of rows do not decide what is chosen.
fn sorted_rows<R: Row>(table: &Table<R>) -> Vec<(Uuid, R)> {
    let mut rows: Vec<(Uuid, R)> = table.iter().map(|(id, row)| (table.uuid(id), row.clone())).collect();
    rows.sort_by_key(|(uuid, _)| *uuid);
    rows
}

/// All rows, as a `Vec<(Uuid, R)>`.
struct AllRows;

impl TableVisitor for AllRows {
    type Output = Box<dyn Any>;
    fn visit<R: Row>(self, table: &Table<R>) -> Box<dyn Any> {
        Box::new(sorted_rows(table))
    }
}

/// Makes up a change of one row, as a `(Uuid, RowUpdate<R>)`, and describes it.
struct Change<'a> {
    editor: &'a Editor,
    random: &'a mut Random,
    donors: Box<dyn Any>,
}

impl TableVisitor for Change<'_> {
    type Output = Option<(Box<dyn Any>, String)>;

    fn visit<R: Row>(mut self, table: &Table<R>) -> Self::Output {
        let donors = *std::mem::replace(&mut self.donors, Box::new(())).downcast::<Vec<(Uuid, R)>>().unwrap();
        let live = sorted_rows(table);
        let (uuid, update, text) = match self.random.below(10) {
            0 | 1 => {
                let (uuid, row) = self.random.pick(&live)?.clone();
                (uuid, RowUpdate::Delete, format!("delete {row:?}"))
            }
            2..=4 => {
                let missing: Vec<(Uuid, R)> =
                    donors.iter().filter(|(uuid, _)| table.by_uuid(uuid).is_none()).cloned().collect();
                let (mut uuid, mut row) =
                    self.random.pick(if missing.is_empty() { &donors } else { &missing })?.clone();
                if missing.is_empty() || self.random.once_in(4) {
                    uuid = Uuid(u128::from(self.random.next()).wrapping_mul(0x1_0000_0001_0000_0001).to_be_bytes());
                    row = self.mutated(row, &donors);
                }
                let text = format!("insert {row:?}");
                (uuid, RowUpdate::Insert(row), text)
            }
            _ => {
                let (uuid, old) = self.random.pick(&live)?.clone();
                let mut row = self.mutated(old.clone(), &donors);
                if self.random.once_in(4) {
                    row = self.mutated(row, &donors);
                }
                let columns = old.differing(&row);
                if columns.is_empty() {
                    return None;
                }
                let names: Vec<_> = columns.iter().map(|column| R::COLUMNS[usize::from(column)].name).collect();
                let text = format!("modify {names:?}: {old:?} becomes {row:?}");
                (uuid, RowUpdate::Modify { row, columns, differences: ColumnSet::EMPTY }, text)
            }
        };
        let text = format!("{} {uuid}: {text}", R::NAME);
        Some((Box::new((uuid, update)), text))
    }
}

impl Change<'_> {
    /// The row with another value in one column.
    fn mutated<R: Row>(&mut self, mut row: R, donors: &[(Uuid, R)]) -> R {
        let column = self.random.below(R::COLUMNS.len()) as u8;
        let columns = ColumnSet::EMPTY.with(column);
        let composite = ColumnSet(R::COMPOSITE.0 & columns.0);
        match self.random.below(6) {
            0 => row.with_changes(R::default(), columns, ColumnSet::EMPTY),
            1 | 2 if !donors.is_empty() => {
                let donor = self.random.pick(donors).unwrap().1.clone();
                // Of a set or map: the difference, so that much stays.
                let differences = if self.random.once_in(2) { composite } else { ColumnSet::EMPTY };
                row.with_changes(donor, columns, differences)
            }
            choice => {
                let text = self.editor.json(self.random, R::COLUMNS[usize::from(column)].column_type);
                let mut random = R::default();
                random.read_cell(column, &mut Json::new(&text), &mut Strings::unshared()).unwrap();
                let differences = if choice > 3 { composite } else { ColumnSet::EMPTY };
                row = row.with_changes(random, columns, differences);
                row
            }
        }
    }
}

/// Adds a `(Uuid, RowUpdate<R>)`.
struct Push(Box<dyn Any>);

impl UpdatesVisitor for Push {
    type Output = ();
    fn visit<R: Row>(self, updates: &mut Vec<(Uuid, RowUpdate<R>)>) {
        updates.push(*self.0.downcast().unwrap());
    }
}

/// All rows of `database` as insertions, in the order that `random` likes.
pub fn insertions<D: Database>(database: &D, random: &mut Random) -> D::Updates {
    let mut updates = D::Updates::default();
    for position in 0..D::TABLES.len() {
        let rows = database.visit_table(position, AllRows).unwrap();
        updates.visit_table(position, PushAll { rows, random });
    }
    updates
}

/// Deletions of all rows of `database`, table by table.
pub fn deletions<D: Database>(database: &D) -> Vec<D::Updates> {
    (0..D::TABLES.len())
        .map(|position| {
            let rows = database.visit_table(position, Uuids).unwrap();
            let mut updates = D::Updates::default();
            updates.visit_table(position, DeleteAll(rows));
            updates
        })
        .collect()
}

struct PushAll<'a> {
    rows: Box<dyn Any>,
    random: &'a mut Random,
}

impl UpdatesVisitor for PushAll<'_> {
    type Output = ();
    fn visit<R: Row>(self, updates: &mut Vec<(Uuid, RowUpdate<R>)>) {
        let mut rows = *self.rows.downcast::<Vec<(Uuid, R)>>().unwrap();
        for at in (1..rows.len()).rev() {
            rows.swap(at, self.random.below(at + 1));
        }
        updates.extend(rows.into_iter().map(|(uuid, row)| (uuid, RowUpdate::Insert(row))));
    }
}

struct DeleteAll(Vec<Uuid>);

impl UpdatesVisitor for DeleteAll {
    type Output = ();
    fn visit<R: Row>(self, updates: &mut Vec<(Uuid, RowUpdate<R>)>) {
        updates.extend(self.0.into_iter().map(|uuid| (uuid, RowUpdate::Delete)));
    }
}
