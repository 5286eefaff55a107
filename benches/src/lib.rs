//! Databases for the benches, made from a few numbers: [`Deployment`]. They have the shape of a Kubernetes deployment: a switch and a
//! gateway router for each node, one cluster router, ports with security, ACLs over address sets, load balancers.
#![forbid(unsafe_code)]

use ovn_core::Agent;
use ovn_core::model::{Config, External, SwitchFeatures};
use std::fmt::Write as _;

/// An agent that has the databases of a deployment and has derived nothing from them yet.
///
/// # Panics
/// When the generated databases are not valid: a bug of this crate.
#[allow(clippy::expect_used, reason = "a bench has nobody to tell")]
pub fn unsettled(deployment: &Deployment) -> Agent {
    let sb = ovsdb::file::load("sb", deployment.southbound().as_bytes()).expect("a valid dump").database;
    let local = ovsdb::file::load("local", deployment.local().as_bytes()).expect("a valid dump").database;
    let mut agent = bare();
    agent.adopt_replicas(sb, local);
    agent
}

/// An agent as `translate` has it, without databases.
pub fn bare() -> Agent {
    let features = SwitchFeatures { known: true, max_meters: 1000, max_groups: 1000, ..SwitchFeatures::default() };
    let config = Config { read_only: true, ..Config::default() };
    Agent::new(External { config, features, geneve_option: Some(0), ..External::default() })
}

/// What to generate.
#[derive(Copy, Clone, Debug)]
pub struct Deployment {
    /// Nodes, each with a switch; the first is this hypervisor.
    pub nodes: u32,
    /// Ports on each switch.
    pub ports: u32,
    /// Members of the address set that the ACLs use.
    pub addresses: u32,
}

/// A UUID whose first 32 bits, the cookie, are different for every kind and number.
fn uuid(kind: u32, n: u32) -> String {
    format!("{:08x}-0000-4000-8000-{n:012x}", (kind << 24) ^ n.wrapping_mul(0x9e37_79b1))
}

fn reference(kind: u32, n: u32) -> String {
    format!(r#"["uuid","{}"]"#, uuid(kind, n))
}

const CHASSIS: u32 = 1;
const ENCAP: u32 = 2;
const DATAPATH: u32 = 3;
const PORT: u32 = 4;
const LFLOW: u32 = 5;
const GROUP: u32 = 6;
const SET: u32 = 7;
const MCAST: u32 = 8;

fn table(out: &mut String, name: &str, columns: &[&str], rows: &[String]) {
    let headings: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
    let _ = writeln!(
        out,
        r#"{{"caption":"{name} table","data":[{}],"headings":[{}]}}"#,
        rows.join(","),
        headings.join(",")
    );
}

impl Deployment {
    /// The Southbound, as `ovsdb-client -f json dump` prints it.
    pub fn southbound(&self) -> String {
        let mut out = String::new();
        let nodes = 0..self.nodes;
        let chassis: Vec<String> =
            nodes.clone().map(|n| format!(r#"[{},"hv{n}",{}]"#, reference(CHASSIS, n), reference(ENCAP, n))).collect();
        table(&mut out, "Chassis", &["_uuid", "name", "encaps"], &chassis);
        let encaps: Vec<String> = nodes
            .clone()
            .map(|n| format!(r#"[{},"hv{n}","10.{}.{}.1","geneve"]"#, reference(ENCAP, n), n >> 8, n & 255))
            .collect();
        table(&mut out, "Encap", &["_uuid", "chassis_name", "ip", "type"], &encaps);
        let datapaths: Vec<String> = nodes
            .clone()
            .map(|n| format!(r#"[{},{},"logical-switch",["map",[["name","sw{n}"]]]]"#, reference(DATAPATH, n), n + 1))
            .collect();
        table(&mut out, "Datapath_Binding", &["_uuid", "tunnel_key", "type", "external_ids"], &datapaths);
        self.ports(&mut out);
        self.lflows(&mut out);
        let members: Vec<String> = (0..self.addresses).map(|n| format!("\"10.200.{}.{}\"", n >> 8, n & 255)).collect();
        let set = format!(r#"[{},"as1",["set",[{}]]]"#, reference(SET, 0), members.join(","));
        table(&mut out, "Address_Set", &["_uuid", "name", "addresses"], &[set]);
        out
    }

    fn ports(&self, out: &mut String) {
        let (mut ports, mut groups) = (Vec::new(), Vec::new());
        for n in 0..self.nodes {
            let mut members = Vec::new();
            for p in 0..self.ports {
                let id = n * self.ports + p;
                let mac = format!("0a:00:{:02x}:{:02x}:{:02x}:{:02x}", n >> 8, n & 255, p >> 8, p & 255);
                ports.push(format!(
                    r#"[{},"p{n}-{p}",{},{},"{mac} 10.{}.{}.{p}",{},"{mac} 10.{}.{}.{p}"]"#,
                    reference(PORT, id),
                    reference(DATAPATH, n),
                    p + 1,
                    n >> 8,
                    n & 255,
                    reference(CHASSIS, n),
                    n >> 8,
                    n & 255,
                ));
                members.push(reference(PORT, id));
            }
            let ports = members.join(",");
            groups.push(format!(
                r#"[{},{},"_MC_flood",32768,["set",[{ports}]]]"#,
                reference(MCAST, n),
                reference(DATAPATH, n)
            ));
        }
        let columns = ["_uuid", "logical_port", "datapath", "tunnel_key", "mac", "chassis", "port_security"];
        table(out, "Port_Binding", &columns, &ports);
        table(out, "Multicast_Group", &["_uuid", "datapath", "name", "tunnel_key", "ports"], &groups);
    }

    fn lflows(&self, out: &mut String) {
        let all: Vec<String> = (0..self.nodes).map(|n| reference(DATAPATH, n)).collect();
        let group = format!(r#"[{},["set",[{}]]]"#, reference(GROUP, 0), all.join(","));
        table(out, "Logical_DP_Group", &["_uuid", "datapaths"], &[group]);
        let mut rows = Vec::new();
        let mut add =
            |datapath: &str, group: &str, pipeline, table: u32, priority: u32, match_: &str, actions: &str| {
                let id = rows.len() as u32;
                rows.push(format!(
                    r#"[{},{datapath},{group},"{pipeline}",{table},{priority},"{match_}","{actions}"]"#,
                    reference(LFLOW, id)
                ));
            };
        let none = r#"["set",[]]"#;
        for stage in 0..30 {
            add(none, &reference(GROUP, 0), "ingress", stage, 0, "1", "next;");
            let match_ = format!("reg0[{}] == 1 && ip4 && tcp.dst == {{80, 443, {stage}}}", stage % 30);
            add(none, &reference(GROUP, 0), "ingress", stage, 100, &match_, "reg0[7] = 1; next;");
        }
        for n in 0..self.nodes {
            let datapath = reference(DATAPATH, n);
            for p in 0..self.ports {
                let (a, b) = (n >> 8, n & 255);
                let match_ = format!(r#"arp.tpa == 10.{a}.{b}.{p} && arp.op == 1"#);
                let actions = "eth.dst = eth.src; arp.op = 2; outport = inport; flags.loopback = 1; output;";
                add(&datapath, none, "ingress", 26, 50, &match_, actions);
                let match_ = format!(r#"eth.dst == 0a:00:{a:02x}:{b:02x}:{:02x}:{:02x}"#, p >> 8, p & 255);
                let actions = format!(r#"outport = \"p{n}-{p}\"; output;"#);
                add(&datapath, none, "ingress", 29, 50, &match_, &actions);
                let match_ = format!(r#"outport == \"p{n}-{p}\" && ip4.src == $as1 && tcp.dst == {{22, 80, 443}}"#);
                add(&datapath, none, "egress", 4, 1001, &match_, "next;");
            }
        }
        let columns =
            ["_uuid", "logical_datapath", "logical_dp_group", "pipeline", "table_id", "priority", "match", "actions"];
        table(out, "Logical_Flow", &columns, &rows);
    }

    /// The local database of the first node, in the same form.
    pub fn local(&self) -> String {
        let mut out = String::new();
        let bridge = uuid(20, 0);
        let row = format!(
            r#"[["uuid","{}"],["uuid","{bridge}"],["map",[["system-id","hv0"],["ovn-encap-type","geneve"],["ovn-encap-ip","10.0.0.1"]]]]"#,
            uuid(21, 0)
        );
        table(&mut out, "Open_vSwitch", &["_uuid", "bridges", "external_ids"], &[row]);
        let (mut ports, mut interfaces, mut refs) = (Vec::new(), Vec::new(), Vec::new());
        let mut add = |name: String, kind: &str, port_ids: String, ids: String, options: String| {
            let id = ports.len() as u32;
            let (port, interface) = (reference(22, id), reference(23, id));
            ports.push(format!(r#"[{port},"{name}",{interface},["map",[{port_ids}]]]"#));
            interfaces
                .push(format!(r#"[{interface},"{name}","{kind}",{},["map",[{ids}]],["map",[{options}]]]"#, id + 1));
            refs.push(port);
        };
        for p in 0..self.ports {
            add(format!("vif{p}"), "", String::new(), format!(r#"["iface-id","p0-{p}"]"#), String::new());
        }
        for n in 1..self.nodes {
            let ip = format!("10.{}.{}.1", n >> 8, n & 255);
            let options = format!(r#"["remote_ip","{ip}"],["local_ip","10.0.0.1"],["key","flow"]"#);
            let ids = format!(r#"["ovn-chassis-id","hv{n}@{ip}%10.0.0.1"]"#);
            add(format!("ovn-hv{n}-0"), "geneve", ids, String::new(), options);
        }
        table(&mut out, "Port", &["_uuid", "name", "interfaces", "external_ids"], &ports);
        let columns = ["_uuid", "name", "type", "ofport", "external_ids", "options"];
        table(&mut out, "Interface", &columns, &interfaces);
        let row = format!(r#"[["uuid","{bridge}"],"br-int",["set",[{}]]]"#, refs.join(","));
        table(&mut out, "Bridge", &["_uuid", "name", "ports"], &[row]);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_databases_load_whole() {
        let deployment = Deployment { nodes: 3, ports: 4, addresses: 5 };
        let sb = ovsdb::file::load::<ovsdb::Southbound>("sb", deployment.southbound().as_bytes()).unwrap();
        let local = ovsdb::file::load::<ovsdb::Local>("local", deployment.local().as_bytes()).unwrap();
        assert!(sb.rejected.is_empty() && local.rejected.is_empty(), "{:?} {:?}", sb.rejected, local.rejected);
        assert_eq!(sb.database.port_binding.len(), 12);
        assert_eq!(sb.database.logical_flow.len(), 60 + 36);
        assert_eq!(local.database.interface.len(), 4 + 2);
    }
}
