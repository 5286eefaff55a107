//! Mirrors that the packaged northd does not know: to another logical port wherever that is (type lport), and to an interface
//! of the same switch (type local).

use serde_json::{Value, json};

use crate::common::packets::Udp;
use crate::common::topology::{A1, Port, Topology};
use crate::common::watch::Client;
use crate::common::{Agent, Cloud, wait_until};

/// `a2` beside `a1`, and the port that gets copies, first on the other hypervisor.
const A2: Port = Port { switch: 'a', number: 2, host: 1 };
const SINK: Port = Port { switch: 'a', number: 3, host: 2 };

/// OVN 25.09 has ports of type `mirror`; an older Southbound has no column for what they hang on, and two types of mirrors.
fn with_mirror_ports(schema: &mut Value) {
    let columns = &mut schema["tables"]["Mirror"]["columns"];
    for (column, values) in
        [("type", ["gre", "erspan", "local", "lport"].as_slice()), ("filter", &["from-lport", "to-lport", "both"])]
    {
        columns[column]["type"]["key"]["enum"] = json!(["set", values]);
    }
    let columns = &mut schema["tables"]["Port_Binding"]["columns"];
    if columns["mirror_port"].is_null() {
        columns["mirror_port"] = json!({"type": {"key": "string", "min": 0, "max": 1}});
    }
}

/// What ovn-northd 26.03 makes of a mirror of type `lport` from `a1` to `a3`, in the tables that the packaged northd has.
fn mirror(cloud: &Cloud) {
    // The packaged one would take it away again.
    cloud.northd_appctl("pause");
    let datapath = cloud.sb_find("_uuid", "Datapath_Binding", "external_ids:name=sa");
    let first = cloud.sb_find("actions", "Logical_Flow", "pipeline=ingress table_id=0 priority=50 match=\"1\"");
    let flow = |pipeline: &str, match_: &str, actions: &str| {
        let row = json!({
            "logical_datapath": ["uuid", datapath], "pipeline": pipeline, "table_id": 0, "priority": 32_000,
            "match": match_, "actions": format!("mirror(\"mp-sa-a3\"); {actions}"),
        });
        json!({"op": "insert", "table": "Logical_Flow", "row": row})
    };
    let port = json!({
        "logical_port": "mp-sa-a3", "type": "mirror", "mirror_port": "a3", "datapath": ["uuid", datapath],
        "tunnel_key": 77, "up": false,
    });
    let operations = vec![
        json!({"op": "insert", "table": "Port_Binding", "row": port}),
        flow("ingress", "inport == \"a1\"", first.lines().next().unwrap_or("next;")),
        flow("egress", "outport == \"a1\"", "next;"),
    ];
    Client::connect(&cloud.sb).transact("OVN_Southbound", operations);
}

fn datagram(from: Port, to: Port, payload: &str) -> Vec<u8> {
    let frame = Udp {
        from_mac: from.mac(),
        to_mac: to.mac(),
        from: from.address(),
        to: to.address(),
        from_port: 1,
        to_port: 2,
        ttl: 64,
        payload: payload.to_owned(),
    };
    frame.frame()
}

#[test]
fn a_mirror_port_gets_copies_wherever_its_target_is() {
    let cloud = Cloud::start_with_schemas(&[Agent::Ours, Agent::Ours], with_mirror_ports, |_| {});
    let mut topology = Topology::configured(cloud);
    topology.begin();
    topology.add_port(A2);
    topology.add_port(SINK);
    topology.cloud.sync();
    let cloud = &topology.cloud;
    mirror(cloud);
    let of = |column: &str| cloud.sb_find(column, "Port_Binding", "logical_port=mp-sa-a3");
    let chassis = |name: &str| cloud.sb_find("_uuid", "Chassis", &format!("name={name}"));
    let send = |from: Port, to: Port, payload: &str| {
        let frame = datagram(from, to, payload);
        cloud.hypervisors[from.host - 1].send(&from.name(), &frame);
        cloud.hypervisors[to.host - 1].wait_received(&to.name(), &frame);
        frame
    };
    let copies = |host: usize, frame: &[u8]| cloud.hypervisors[host - 1].received("a3", frame);
    let check = |host: usize, what: &str| {
        wait_until("the mirror port where its target is", || {
            of("chassis") == chassis(&format!("hv{host}")) && of("up") == "true"
        });
        let mut tries = 0;
        wait_until(&format!("{what}: a copy"), || {
            tries += 1;
            let frame = send(A1, A2, &format!("{what}, sent, {tries}"));
            copies(host, &frame) == 1
        });
        let frame = send(A2, A1, &format!("{what}, got"));
        wait_until(&format!("{what}: a copy of what a1 gets"), || copies(host, &frame) == 1);
        let frame = send(SINK_ON[host - 1], A2, &format!("{what}, of the target itself"));
        assert_eq!(cloud.hypervisors[0].received("a2", &frame), 1, "it is an ordinary port beside that");
    };
    check(2, "on the other hypervisor");
    // The target moves, and the mirror port with it.
    topology.unplug(SINK);
    wait_until("released with its target", || of("chassis").is_empty() && of("up") == "false");
    topology.plug(SINK_ON[0]);
    check(1, "beside it");
    local_mirror(&topology);
    assert_eq!(cloud.hypervisors[0].logged(&["|WARN|", "transaction failed"]), Vec::<String>::new());
}

/// What `a1` sends and gets, the switch itself copies to the interface that says it is the sink.
fn local_mirror(topology: &Topology) {
    let (cloud, hypervisor) = (&topology.cloud, &topology.cloud.hypervisors[0]);
    hypervisor.add_vif("tap", "none");
    hypervisor.vsctl("remove Interface tap external_ids iface-id -- set Interface tap external_ids:mirror-id=tapped");
    let mirror = json!({"name": "m", "type": "local", "filter": "both", "sink": "tapped", "index": 0});
    let rules = json!([["mirror_rules", "insert", ["named-uuid", "mirror"]]]);
    let operations = vec![
        json!({"op": "insert", "table": "Mirror", "uuid-name": "mirror", "row": mirror}),
        json!({"op": "mutate", "table": "Port_Binding", "where": [["logical_port", "==", "a1"]], "mutations": rules}),
    ];
    Client::connect(&cloud.sb).transact("OVN_Southbound", operations);
    let sources = || ["select_src_port", "select_dst_port"].map(|column| hypervisor.find(column, "Mirror", "name=m"));
    let a1 = hypervisor.find("_uuid", "Port", "name=a1");
    wait_until("the mirror", || sources() == [a1.clone(), a1.clone()]);
    let tap = hypervisor.find("_uuid", "Port", "name=tap");
    assert_eq!(hypervisor.find("output_port", "Mirror", "name=m"), tap);
    // What Open vSwitch 3.1 has in its cache it goes on without the mirror.
    hypervisor.switch_appctl(&["revalidator/purge"]);
    for (from, to) in [(A1, A2), (A2, A1)] {
        let mut tries = 0;
        wait_until("a copy of the switch", || {
            tries += 1;
            let frame = datagram(from, to, &format!("to the tap {tries}"));
            hypervisor.send(&from.name(), &frame);
            hypervisor.wait_received(&to.name(), &frame);
            hypervisor.received("tap", &frame) > 0
        });
    }
    hypervisor.remove_vif("tap");
    wait_until("no mirror without a sink", || hypervisor.find("_uuid", "Mirror", "").is_empty());
}

/// The target on either hypervisor.
const SINK_ON: [Port; 2] = [Port { host: 1, ..SINK }, SINK];
