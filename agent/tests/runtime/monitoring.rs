//! Conditional monitoring: of a Southbound with a thousand datapaths a hypervisor gets what its own few need, counted on the
//! wire; and nothing in its switch depends on how much of the rest it sees.

use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::common::watch::Client;
use super::common::{Agent, Cloud, wait_until};

/// Tenants, each with two switches and a router between them: 3 datapaths each.
const TENANTS: usize = 333;
/// Ports on each switch.
const PORTS: usize = 5;
/// A member of a set of UUIDs on the wire: `["uuid","..."],`.
const MEMBER_BYTES: u64 = 47;

/// Stands between an agent and the Southbound's server, and counts.
struct Wire {
    path: String,
    counts: Arc<Counts>,
    connections: Arc<Mutex<Vec<UnixStream>>>,
    ended: Arc<AtomicBool>,
}

#[derive(Default)]
struct Counts {
    /// Bytes to the agent.
    received: AtomicU64,
    /// Changes of conditions that the agent asked for.
    changes: AtomicU64,
}

impl Wire {
    fn start(folder: &Path, server: String) -> Wire {
        let path = folder.join("wire.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let wire = Wire {
            path: path.display().to_string(),
            counts: Arc::default(),
            connections: Arc::default(),
            ended: Arc::default(),
        };
        let (counts, connections, ended) = (wire.counts.clone(), wire.connections.clone(), wire.ended.clone());
        std::thread::spawn(move || {
            for agent in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(server) = UnixStream::connect(server.trim_start_matches("unix:")) else { continue };
                let ends = [agent.try_clone().unwrap(), server.try_clone().unwrap()];
                connections.lock().unwrap().extend(ends);
                let (up, down) = (counts.clone(), counts.clone());
                let ends = [agent.try_clone().unwrap(), server.try_clone().unwrap()];
                std::thread::spawn(move || up.requests(agent, server));
                let [agent, server] = ends;
                std::thread::spawn(move || down.data(server, agent));
            }
        });
        wire
    }

    fn remote(&self) -> String {
        format!("unix:{}", self.path)
    }

    /// Bytes received, and changes of conditions asked for, so far.
    fn counted(&self) -> (u64, u64) {
        (self.counts.received.load(Ordering::SeqCst), self.counts.changes.load(Ordering::SeqCst))
    }

    /// Breaks all connections.
    fn interrupt(&self) {
        for end in self.connections.lock().unwrap().drain(..) {
            let _ = end.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        self.interrupt();
        let _ = UnixStream::connect(&self.path);
    }
}

impl Counts {
    fn requests(&self, mut from: UnixStream, mut to: UnixStream) {
        const REQUEST: &[u8] = b"\"monitor_cond_change\"";
        let (mut buffer, mut tail) = (vec![0; 65536], Vec::new());
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            // A request may come in pieces.
            tail.extend_from_slice(&buffer[..length]);
            let found = tail.windows(REQUEST.len()).filter(|window| *window == REQUEST).count();
            self.changes.fetch_add(found as u64, Ordering::SeqCst);
            tail.drain(..tail.len().saturating_sub(REQUEST.len() - 1));
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    }

    fn data(&self, mut from: UnixStream, mut to: UnixStream) {
        let mut buffer = vec![0; 65536];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            self.received.fetch_add(length as u64, Ordering::SeqCst);
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    }
}

fn name(kind: &str, tenant: usize, switch: usize, number: usize) -> String {
    format!("{kind}{tenant}-{switch}-{number}")
}

fn map(pairs: &[(&str, &str)]) -> Value {
    json!(["map", pairs.iter().map(|(key, value)| json!([key, value])).collect::<Vec<_>>()])
}

/// The Northbound rows of a tenant.
fn tenant(tenant: usize) -> Vec<Value> {
    let mut operations = Vec::new();
    let insert = |operations: &mut Vec<Value>, table: &str, row: Value| {
        let id = format!("row{}", operations.len());
        operations.push(json!({"op": "insert", "table": table, "row": row, "uuid-name": id}));
        json!(["named-uuid", id])
    };
    let mut router_ports = Vec::new();
    for switch in 0..2 {
        let (net, router_port) = (tenant * 2 + switch, name("rp", tenant, switch, 0));
        let (a, b) = (net / 200, net % 200);
        let port = json!({
            "name": router_port,
            "mac": format!("0a:00:00:{a:02x}:{b:02x}:01"),
            "networks": format!("10.{a}.{b}.1/24"),
        });
        router_ports.push(insert(&mut operations, "Logical_Router_Port", port));
        let to_router = json!({
            "name": name("sp", tenant, switch, 0),
            "type": "router",
            "addresses": "router",
            "options": map(&[("router-port", &router_port)]),
        });
        let mut ports = vec![insert(&mut operations, "Logical_Switch_Port", to_router)];
        for number in 1..=PORTS {
            let address = format!("0a:00:01:{a:02x}:{b:02x}:{number:02x} 10.{a}.{b}.{}", number + 1);
            let port = json!({
                "name": name("lp", tenant, switch, number),
                "addresses": address,
                "port_security": address,
            });
            ports.push(insert(&mut operations, "Logical_Switch_Port", port));
        }
        let row = json!({"name": name("sw", tenant, switch, 0), "ports": ["set", ports]});
        insert(&mut operations, "Logical_Switch", row);
    }
    let row = json!({"name": name("lr", tenant, 0, 0), "ports": ["set", router_ports]});
    insert(&mut operations, "Logical_Router", row);
    operations
}

/// A hypervisor with a port on either switch of tenant 0, of so many, and the wire that its agent sees the Southbound through.
fn deployment(tenants: usize) -> (Cloud, Wire) {
    let mut cloud = Cloud::start_idle(&[Agent::Ours]);
    // The server would spend its time with its log.
    cloud.sb.appctl(&["vlog/set", "jsonrpc:file:info"]);
    cloud.nb.appctl(&["vlog/set", "jsonrpc:file:info"]);
    let mut client = Client::connect(&cloud.nb);
    let mut operations: Vec<Vec<Value>> = (0..tenants).map(tenant).collect();
    for operations in &mut operations {
        client.transact("OVN_Northbound", std::mem::take(operations));
    }
    cloud.nbctl("--timeout=120 --wait=sb sync");
    let wire = Wire::start(&cloud.hv(1).folder.clone(), cloud.sb.remote());
    let remote = wire.remote();
    cloud.hv(1).vsctl(&format!(
        "add-br br-int -- set Bridge br-int fail_mode=secure -- set Open_vSwitch . external_ids:ovn-remote={remote}"
    ));
    for switch in 0..2 {
        cloud.hv(1).add_vif(&format!("vif{switch}"), &name("lp", 0, switch, 1));
    }
    cloud.hv(1).start_agent();
    cloud.hv(1).wait_ready();
    for switch in 0..2 {
        cloud.wait_up(&name("lp", 0, switch, 1));
    }
    cloud.sync();
    (cloud, wire)
}

/// How many members the datapath groups have that a datapath of tenant 0 is in.
fn members_of_our_groups(cloud: &Cloud) -> u64 {
    let name = |number: usize| if number < 2 { name("sw", 0, number, 0) } else { name("lr", 0, 0, 0) };
    let local: Vec<String> = (0..3)
        .map(|it| cloud.sb_find("_uuid", "Datapath_Binding", &format!("external_ids:name={}", name(it))))
        .collect();
    let groups = cloud.sbctl("--bare --columns=datapaths list Logical_DP_Group");
    let ours = groups.lines().filter(|group| local.iter().any(|datapath| group.contains(datapath)));
    ours.map(|group| group.split_whitespace().count() as u64).sum()
}

#[test]
fn a_hypervisor_gets_what_its_datapaths_need() {
    let needed = {
        let (_cloud, wire) = deployment(1);
        wire.counted()
    };
    let (mut cloud, wire) = deployment(TENANTS);
    let datapaths = cloud.sbctl("--bare --columns=_uuid list Datapath_Binding").split_whitespace().count();
    assert_eq!(datapaths, 3 * TENANTS);
    let counted = wire.counted();
    // A row of a Logical_DP_Group comes with all its members, and ours are with everybody else's in few large groups.
    let members = members_of_our_groups(&cloud) * MEMBER_BYTES;
    println!(
        "{} bytes with {datapaths} datapaths of which 3 are local, {members} of them for members of their groups; {} with \
         these 3 alone; {} and {} changes of conditions; {}",
        counted.0,
        needed.0,
        counted.1,
        needed.1,
        cloud.hv(1).agent_appctl(&["memory/show"]).unwrap(),
    );
    assert!(counted.0 * 10 <= (needed.0 + members) * 11, "{counted:?} against {needed:?} and {members}");
    cloud.hypervisors[0].wait_translated(&cloud.sb);
    let before = cloud.hv(1).state();
    let openflow = cloud.hv(1).watch_openflow();

    // What happens elsewhere is not even heard of.
    let mark = wire.counted();
    cloud.nbctl("lsp-add sw7-0-0 elsewhere -- lsp-set-addresses elsewhere 0a:00:02:00:00:01");
    wait_until("the other tenant's port", || {
        cloud.sb_find("_uuid", "Port_Binding", "logical_port=elsewhere").len() == 36
    });
    cloud.sync();
    let heard = wire.counted().0 - mark.0;
    println!("{heard} bytes for a port of another tenant and for nb_cfg");
    assert!(heard < 2000, "{heard} bytes");
    assert_eq!(cloud.hv(1).modifications_since(&openflow), Vec::<String>::new());

    a_new_datapath(&mut cloud, &wire);
    assert_eq!(cloud.hv(1).state().by_contents(), before.by_contents(), "the datapath is no longer here");

    // All of it, and back.
    let openflow = cloud.hv(1).watch_openflow();
    for all in [true, false] {
        let mark = wire.counted();
        cloud.hv(1).vsctl(&format!("set Open_vSwitch . external_ids:ovn-monitor-all={all}"));
        wait_until("other conditions", || wire.counted().1 > mark.1);
        cloud.sync();
        let counted = wire.counted();
        println!("ovn-monitor-all={all}: {} bytes, {} changes of conditions", counted.0 - mark.0, counted.1 - mark.1);
        assert_eq!(counted.1 - mark.1, 1);
        assert_eq!(cloud.hv(1).modifications_since(&openflow), Vec::<String>::new(), "ovn-monitor-all={all}");
        cloud.hypervisors[0].wait_translated(&cloud.sb);
    }

    // The connection breaks; the agent starts again.
    let mark = wire.counted();
    wire.interrupt();
    cloud.sync();
    let again = wire.counted().0 - mark.0;
    // By now there are more groups.
    let members = members_of_our_groups(&cloud) * MEMBER_BYTES;
    println!("{again} bytes after the connection broke, {members} of them for members of groups");
    assert!(again * 10 < (needed.0 + members) * 11, "{again} bytes after the connection broke");
    cloud.hv(1).kill_agent();
    cloud.hv(1).start_agent();
    cloud.hv(1).wait_ready();
    cloud.sync();
    assert_eq!(cloud.hv(1).modifications_since(&openflow), Vec::<String>::new(), "after a restart of the agent");
    assert_eq!(cloud.hv(1).state().by_contents(), before.by_contents());
}

/// A port is made for an interface that waits for it, on a new switch; then the interface goes.
fn a_new_datapath(cloud: &mut Cloud, wire: &Wire) {
    let mark = wire.counted();
    cloud.hv(1).add_vif("new", "new1");
    wait_until("the port to be asked for", || wire.counted().1 > mark.1);
    let asked = wire.counted();
    cloud.nbctl("ls-add new -- lsp-add new new1 -- lsp-set-addresses new1 unknown");
    cloud.wait_up("new1");
    cloud.sync();
    let found = wire.counted();
    learned(cloud);
    let learned = wire.counted();
    cloud.hypervisors[0].wait_translated(&cloud.sb);
    unplug(cloud, wire, "new", "new1");
    let gone = wire.counted();
    println!(
        "changes of conditions: {} to ask for a port, {} for its datapath ({} bytes), {} when it is gone",
        asked.1 - mark.1,
        found.1 - asked.1,
        found.0 - asked.0,
        gone.1 - found.1
    );
    assert_eq!((asked.1 - mark.1, found.1 - asked.1, learned.1 - found.1, gone.1 - found.1), (1, 1, 0, 1));
}

/// A MAC that was learned on the new switch is heard of: what came with its one change was FDB too.
fn learned(cloud: &mut Cloud) {
    let datapath = cloud.sb_find("tunnel_key", "Datapath_Binding", "external_ids:name=new");
    let port = cloud.sb_find("tunnel_key", "Port_Binding", "logical_port=new1");
    let mac = "0a:00:03:00:00:01";
    cloud.sb.transact(&format!(
        r#"["OVN_Southbound",{{"op":"insert","table":"FDB","row":{{"mac":"{mac}","dp_key":{datapath},"port_key":{port}}}}}]"#
    ));
    wait_until("flows for the learned MAC", || cloud.hypervisors[0].flows().iter().any(|flow| flow.contains(mac)));
}

/// Until a change of conditions has followed.
fn unplug(cloud: &mut Cloud, wire: &Wire, interface: &str, port: &str) {
    let mark = wire.counted();
    cloud.hv(1).remove_vif(interface);
    wait_until("the port to be released", || {
        cloud.sb_find("chassis", "Port_Binding", &format!("logical_port={port}")).is_empty()
    });
    wait_until("other conditions", || wire.counted().1 > mark.1);
    cloud.sync();
}

/// One change for each step to further datapaths, and one when they go.
#[test]
fn switches_behind_routers() {
    let (mut cloud, wire) = deployment(2);
    cloud.hypervisors[0].wait_translated(&cloud.sb);
    let before = cloud.hv(1).state();
    // A new switch behind a router that is local.
    let mark = wire.counted();
    cloud.hv(1).add_vif("routed", "routed1");
    wait_until("the port to be asked for", || wire.counted().1 > mark.1);
    let mark = wire.counted();
    cloud.nbctl(
        "ls-add routed -- lsp-add routed routed1 -- lsp-set-addresses routed1 unknown \
         -- lrp-add lr0-0-0 to-routed 0a:00:04:00:00:01 10.77.0.1/24 -- lsp-add routed from-routed \
         -- lsp-set-type from-routed router -- lsp-set-addresses from-routed router \
         -- lsp-set-options from-routed router-port=to-routed",
    );
    cloud.wait_up("routed1");
    cloud.sync();
    let behind = wire.counted();
    cloud.hypervisors[0].wait_translated(&cloud.sb);
    cloud.hv(1).remove_vif("routed");
    cloud.nbctl("ls-del routed -- lrp-del to-routed");
    wait_until("other conditions", || wire.counted().1 > behind.1);
    cloud.sync();
    let deleted = wire.counted();
    // A port of another tenant: its switch, the router behind it, the switch behind that.
    cloud.hv(1).add_vif("tenant", &name("lp", 1, 0, 1));
    cloud.wait_up(&name("lp", 1, 0, 1));
    cloud.sync();
    let chain = wire.counted();
    cloud.hypervisors[0].wait_translated(&cloud.sb);
    unplug(&mut cloud, &wire, "tenant", &name("lp", 1, 0, 1));
    let gone = wire.counted();
    println!(
        "changes of conditions: {} for a switch behind a local router ({} bytes), {} when it is gone; {} \
         for switch, router and switch ({} bytes), {} when they are gone",
        behind.1 - mark.1,
        behind.0 - mark.0,
        deleted.1 - behind.1,
        chain.1 - deleted.1,
        chain.0 - deleted.0,
        gone.1 - chain.1
    );
    assert_eq!((behind.1 - mark.1, deleted.1 - behind.1), (1, 1));
    // The port by its name, and each of the three.
    assert_eq!((chain.1 - deleted.1, gone.1 - chain.1), (4, 1));
    assert_eq!(cloud.hv(1).state().by_contents(), before.by_contents(), "the datapaths are no longer here");
}
