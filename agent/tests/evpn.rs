//! EVPN with a real kernel: a bridge and a VXLAN device in the network namespace of a hypervisor, entries in their tables as a
//! routing daemon makes them, and what becomes of those in the switch. After "dynamic-routing - EVPN" of OVN's tests/system-ovn.at.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failed unwrap is a failed test; figures are printed")]

mod common;

use common::topology::{A1, Topology};
use common::{Agent, Hypervisor, wait_until};
use std::time::Instant;

/// The remote endpoint.
const VTEP: &str = "192.168.0.9";
/// Entries of the burst.
const BURST: usize = 2_000;

/// One hypervisor with a1 on switch sa; devices vxlan-10 and br-10, which sa names; its VNI is 10.
fn start() -> Topology {
    let mut topology = Topology::start_idle(&[Agent::Ours]);
    let hypervisor = topology.cloud.hv(1);
    hypervisor.in_namespace("ip link add br-10 type bridge");
    // A bridge takes the lowest address of its ports, and forgets its neighbours when that changes.
    hypervisor.in_namespace("ip link set br-10 address 02:00:00:00:00:10 addrgenmode none up");
    // With a port that stays the bridge keeps its carrier, and with that its neighbours.
    hypervisor.in_namespace("ip link add lo-10 type veth peer name lo-10-peer");
    hypervisor.in_namespace("ip link set lo-10-peer up");
    hypervisor.in_namespace("ip link set lo-10 master br-10 up");
    // The kernel's own device is not what packets go through, so its port must differ from the switch's.
    hypervisor.in_namespace("ip link add vxlan-10 type vxlan id 10 dstport 60010 local 192.168.0.1 nolearning");
    hypervisor.in_namespace("ip link set vxlan-10 addrgenmode none master br-10 up");
    hypervisor
        .vsctl("set Open_vSwitch . external_ids:ovn-evpn-vxlan-ports=4789 external_ids:ovn-evpn-local-ip=192.168.0.1");
    hypervisor.start_agent_in_namespace();
    topology.plug(A1);
    topology.cloud.wait_up("a1");
    // ovn-northd of this machine does not know EVPN: it would take the keys away again.
    topology.cloud.northd_appctl("pause");
    topology
}

fn set_vni(topology: &Topology, command: &str) {
    let datapath = topology.cloud.sb_find("_uuid", "Datapath_Binding", "external_ids:name=sa");
    let keys = match command {
        "set" => {
            "external_ids:dynamic-routing-vni=10 external_ids:dynamic-routing-vxlan-ifname=vxlan-10 \
             external_ids:dynamic-routing-bridge-ifname=br-10"
        }
        _ => "external_ids dynamic-routing-vni",
    };
    topology.cloud.sbctl(&format!("{command} Datapath_Binding {datapath} {keys}"));
}

/// `evpn/LIST`, without UUIDs.
fn list(hypervisor: &Hypervisor, name: &str) -> Vec<String> {
    let text = hypervisor.agent_appctl(&[&format!("evpn/{name}")]).unwrap();
    let without_uuid = |line: &str| match line.strip_prefix("UUID: ") {
        Some(rest) => rest.split_once(", ").unwrap().1.to_owned(),
        None => line.to_owned(),
    };
    text.lines().map(without_uuid).collect()
}

fn wait_list(hypervisor: &Hypervisor, name: &str, expected: &[String]) {
    wait_until(&format!("{name} {expected:?}"), || list(hypervisor, name) == expected);
}

/// Flows that have all of `parts`, without cookies, sorted.
fn flows(hypervisor: &Hypervisor, parts: &[&str]) -> Vec<String> {
    let flows = hypervisor.flows().into_iter().filter(|flow| parts.iter().all(|part| flow.contains(part)));
    sorted(flows.map(|flow| flow.split_once(", ").map(|(_, rest)| rest.to_owned()).unwrap()))
}

fn wait_flows(hypervisor: &Hypervisor, parts: &[&str], expected: &[String]) {
    wait_until(&format!("flows {parts:?} to be {expected:#?}"), || flows(hypervisor, parts) == expected);
}

/// The only port for EVPN, by name, with its OpenFlow port.
fn evpn_port(hypervisor: &Hypervisor) -> String {
    let mut ofport = String::new();
    wait_until("the VXLAN port", || {
        ofport = hypervisor.find("ofport", "Interface", "name=ovn-evpn-4789");
        ofport.parse::<u16>().is_ok()
    });
    ofport
}

#[test]
fn what_a_routing_daemon_says_is_in_the_switch() {
    let mut topology = start();
    let hypervisor = topology.cloud.hv(1);
    let ofport = evpn_port(hypervisor);
    let options = hypervisor.vsctl("get Interface ovn-evpn-4789 type options");
    assert_eq!(options, "vxlan\n{dst_port=\"4789\", key=flow, local_ip=flow, remote_ip=flow}");
    assert!(hypervisor.logged(&["neighbor table watchers"]).is_empty(), "nothing is watched without a VNI");

    set_vni(&topology, "set");
    let dp_key = topology.cloud.sb_find("tunnel_key", "Datapath_Binding", "external_ids:name=sa");
    let router_key = topology.cloud.sb_find("tunnel_key", "Datapath_Binding", "external_ids:name=r");
    let router_port = topology.cloud.sb_find("tunnel_key", "Port_Binding", "logical_port=r-a");
    let hypervisor = topology.cloud.hv(1);
    wait_until("the tables to be watched", || !hypervisor.logged(&["Adding neighbor table watchers."]).is_empty());

    hypervisor.in_namespace(&format!("bridge fdb append 00:00:00:00:00:00 dev vxlan-10 dst {VTEP} static permanent"));
    wait_list(hypervisor, "remote-vtep-list", &[format!("IP: {VTEP}, port: 4789, vni: 10")]);
    wait_list(hypervisor, "vtep-multicast-group-list", &[format!("Remote IPs: {VTEP}, vni: 10")]);
    let bindings = list(hypervisor, "vtep-binding-list");
    let [binding] = bindings.as_slice() else { panic!("{bindings:?}") };
    let key = binding.split_once("binding_key: ").unwrap().1.split_once(',').unwrap().0.to_owned();
    assert_eq!(
        *binding,
        format!("Remote IP: {VTEP}, vni: 10, binding_key: {key}, tunnel_ofport: {ofport}, dp_key: {dp_key}")
    );
    wait_flows(
        hypervisor,
        &["priority=1050"],
        &[format!(
            "priority=1050,tun_id=0xa,tun_src={VTEP},tun_dst=192.168.0.1,in_port={ofport} \
             actions=set_field:{dp_key}/0xffffffff->metadata,set_field:{key}->reg14,resubmit(,88),resubmit(,8)",
            dp_key = format_args!("0x{dp_key}")
        )],
    );
    let header = format!("set_field:192.168.0.1->tun_src,set_field:{VTEP}->tun_dst");
    let flood = |group: &str| {
        format!(
            "table=45, priority=50,reg15={group},metadata=0x{dp_key} actions=set_field:0xa/0xffffff->tun_id,{header},\
             output:{ofport},resubmit(,46)"
        )
    };
    assert_eq!(
        flows(hypervisor, &["table=45, ", "output:"]),
        sorted([
            flood("0x8000"),
            flood("0x8001"),
            flood("0x8004"),
            format!(
                "table=45, priority=50,reg15={key},metadata=0x{dp_key} actions={header},set_field:0xa/0xffffff->tun_id,\
                 output:{ofport}"
            ),
            format!(
                "table=45, priority=55,reg10=0x1/0x1,reg15={key},metadata=0x{dp_key} actions={header},\
                 set_field:0xa/0xffffff->tun_id,set_field:ANY->in_port,output:{ofport}"
            ),
        ])
    );
    assert_eq!(flows(hypervisor, &["table=88, ", "actions=learn(table=87,priority=150,delete_learned"]).len(), 1);
    let a1 = hypervisor.find("ofport", "Interface", "name=a1");
    let broadcast = format!("in_port={a1},arp,dl_src=50:54:00:00:01:01,dl_dst=ff:ff:ff:ff:ff:ff,arp_op=1");
    let trace = hypervisor.switch_appctl(&["ofproto/trace", "br-int", &broadcast]);
    assert!(trace.contains(&format!("dst={VTEP}")), "a broadcast goes to the endpoint:\n{trace}");
    let from = format!("in_port={ofport},tun_id=10,tun_src={VTEP},tun_dst=192.168.0.1,ip,dl_src=f0:00:0f:16:10:50");
    let trace = hypervisor.switch_appctl(&["ofproto/trace", "br-int", &format!("{from},dl_dst=50:54:00:00:01:01")]);
    assert!(trace.contains(&format!("output:{a1}")), "what comes from the endpoint reaches a1:\n{trace}");

    hypervisor.in_namespace(&format!("bridge fdb add f0:00:0f:16:10:50 dev vxlan-10 dst {VTEP} static extern_learn"));
    let fdb = format!("MAC: f0:00:0f:16:10:50, vni: 10, binding_key: {key}, dp_key: {dp_key}");
    wait_list(hypervisor, "vtep-fdb-list", &[fdb]);
    wait_flows(
        hypervisor,
        &["priority=150", "f0:00:0f:16:10:50"],
        &sorted([
            format!(
                "table=87, priority=150,metadata=0x{dp_key},dl_dst=f0:00:0f:16:10:50 actions=set_field:{key}->reg1"
            ),
            format!("table=88, priority=150,reg14={key},metadata=0x{dp_key},dl_src=f0:00:0f:16:10:50 actions=drop"),
        ]),
    );
    for address in ["10.0.1.50", "fd00::50"] {
        let entry = format!("ip neigh add dev br-10 {address} lladdr f0:00:0f:16:10:50 nud noarp extern_learn");
        hypervisor.in_namespace(&entry);
    }
    let arp = |ip: &str| format!("VNI: 10, MAC: f0:00:0f:16:10:50, IP: {ip}, dp_key: {dp_key}");
    wait_list(hypervisor, "vtep-arp-list", &[arp("10.0.1.50"), arp("fd00::50")]);
    wait_until("neighbour flows", || flows(hypervisor, &["priority=200", "f0:00:0f:16:10:50"]).len() == 4);
    let known = format!(
        "table=66, priority=200,reg0=0xa000132,reg15=0x{router_port},metadata=0x{router_key} \
         actions=set_field:f0:00:0f:16:10:50->eth_dst,set_field:0x40/0x40->reg10"
    );
    assert!(flows(hypervisor, &["table=66, ", "priority=200"]).contains(&known), "{known}");

    // A successor changes nothing, and knows the same.
    let lists =
        ["remote-vtep-list", "vtep-binding-list", "vtep-fdb-list", "vtep-arp-list", "vtep-multicast-group-list"];
    let all = |hypervisor: &Hypervisor| {
        lists.map(|name| hypervisor.agent_appctl(&[&format!("evpn/{name}")]).unwrap_or_default())
    };
    let before = all(hypervisor);
    let mark = hypervisor.watch_openflow();
    hypervisor.kill_agent();
    hypervisor.start_agent_in_namespace();
    hypervisor.wait_ready();
    assert_eq!(hypervisor.modifications_since(&mark), Vec::<String>::new());
    assert_eq!(all(hypervisor), before);

    hypervisor.in_namespace("ip link del vxlan-10");
    wait_list(hypervisor, "remote-vtep-list", &[]);
    wait_until("no flows of the endpoint", || {
        flows(hypervisor, &["priority=1050"]).is_empty() && flows(hypervisor, &["table=45, ", "output:"]).is_empty()
    });
    assert_eq!(flows(hypervisor, &["priority=200", "f0:00:0f:16:10:50"]).len(), 4, "the bridge is still there");
    set_vni(&topology, "remove");
    let hypervisor = topology.cloud.hv(1);
    wait_until("no neighbour flows", || flows(hypervisor, &["priority=200"]).is_empty());
    wait_until("watching to end", || !hypervisor.logged(&["Removing neighbor table watchers."]).is_empty());
    assert!(hypervisor.logged(&["WARN", "neighbour tables"]).is_empty());
}

#[test]
fn many_entries_at_once() {
    let mut topology = start();
    set_vni(&topology, "set");
    let hypervisor = topology.cloud.hv(1);
    evpn_port(hypervisor);
    hypervisor.in_namespace(&format!("bridge fdb append 00:00:00:00:00:00 dev vxlan-10 dst {VTEP} static permanent"));
    wait_until("the endpoint's flows", || flows(hypervisor, &["priority=1050"]).len() == 1);
    let batch = |verb: &str| -> String {
        let lines = (0..BURST).map(|n| {
            let mac = format!("f0:00:0f:17:{:02x}:{:02x}", n >> 8, n & 0xff);
            format!("fdb {verb} {mac} dev vxlan-10 dst {VTEP} static extern_learn\n")
        });
        lines.collect()
    };
    let known = |hypervisor: &Hypervisor| flows(hypervisor, &["table=87, ", "f0:00:0f:17"]).len();
    let file = hypervisor.folder.join("fdb.batch");
    for (verb, wanted) in [("add", BURST), ("del", 0)] {
        std::fs::write(&file, batch(verb)).unwrap();
        let begin = Instant::now();
        hypervisor.in_namespace(&format!("bridge -batch {}", file.display()));
        let written = begin.elapsed();
        wait_until(&format!("{wanted} MAC addresses"), || known(hypervisor) == wanted);
        println!("fdb {verb}: {BURST} entries written in {written:?}, in the switch after {:?}", begin.elapsed());
    }
    // One more costs its own flows.
    let mark = hypervisor.watch_openflow();
    hypervisor.in_namespace(&format!("bridge fdb add f0:00:0f:18:00:01 dev vxlan-10 dst {VTEP} static extern_learn"));
    wait_until("one more MAC address", || flows(hypervisor, &["f0:00:0f:18:00:01"]).len() == 2);
    let sent = hypervisor.modifications_since(&mark);
    assert_eq!(sent.len(), 2, "{sent:#?}");
    println!("one more entry: {} flow mods", sent.len());
}

#[test]
fn vxlan_ports_are_kept_as_they_should_be() {
    let mut topology = start();
    let hypervisor = topology.cloud.hv(1);
    let ofport = evpn_port(hypervisor);
    let ports = |hypervisor: &Hypervisor| hypervisor.find("name", "Port", "external_ids:ovn-evpn-tunnel=true");
    hypervisor.vsctl("set Interface ovn-evpn-4789 options:dst_port=4790 options:key=7");
    let options = |hypervisor: &Hypervisor| hypervisor.vsctl("get Interface ovn-evpn-4789 options");
    wait_until("the options to be right again", || {
        options(hypervisor) == "{dst_port=\"4789\", key=flow, local_ip=flow, remote_ip=flow}"
    });
    assert_eq!(evpn_port(hypervisor), ofport, "the port kept its number");
    hypervisor.vsctl("del-port ovn-evpn-4789");
    wait_until("the port to be back", || ports(hypervisor) == "ovn-evpn-4789");
    hypervisor.vsctl("set Open_vSwitch . external_ids:ovn-evpn-vxlan-ports=4789,4790,nonsense");
    wait_until("a second port", || {
        let ports = ports(hypervisor);
        sorted(ports.split_whitespace().map(str::to_owned)) == ["ovn-evpn-4789", "ovn-evpn-4790"]
    });
    wait_until("a word about nonsense", || hypervisor.logged(&["Invalid VXLAN port number 'nonsense'"]).len() == 1);
    hypervisor.vsctl("remove Open_vSwitch . external_ids ovn-evpn-vxlan-ports");
    wait_until("no ports", || ports(hypervisor).is_empty());
}

fn sorted(lines: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.into_iter().collect();
    lines.sort();
    lines
}
