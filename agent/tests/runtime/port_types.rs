//! Every type of port on two hypervisors, with packets: VIFs across a tunnel, a VLAN child, localnet and l2gateway ports on
//! bridges of physical networks, gateway routers, a distributed gateway port, localports, external and virtual ports, a VTEP
//! gateway, a port of another availability zone, a port on two chassis.
//!
//! | hypervisor | VIFs | others |
//! |---|---|---|
//! | hv1 | `a1` and its child `c1`, `l1`, `g1`, `s1`, `t1`, `both` | `ext` is external here, gateway router `gr`, localports `meta` and `net-meta` |
//! | hv2 | `a2`, `l2`, `s2`, `both` | gateway of `lr`, l2gateway `lg`, localports `meta` and `net-meta` |

use serde_json::{Value, json};

use crate::common::packets::{Udp, captured};
use crate::common::process::{Mark, Server};
use crate::common::watch::Client;
use crate::common::{Agent, Cloud, Hypervisor, wait_until};

/// An end of a conversation: its Ethernet and IPv4 address.
#[derive(Clone, Copy)]
struct End([u8; 6], [u8; 4]);

const fn end(subnet: u8, number: u8) -> End {
    End([0x50, 0x54, 0, 0, subnet, number], [10, 0, subnet, number])
}

/// Subnet 0 is switch `ls`, 1 the physical network, 2 behind the l2gateway, 3 behind the gateway router, 4 another switch of
/// `lr`, 5 the transit switch.
const A1: End = end(0, 1);
const A2: End = end(0, 2);
const C1: End = end(0, 11);
const META: End = end(0, 4);
const VTEP: End = end(0, 77);
const BOTH: End = end(0, 9);
const L1: End = end(1, 1);
const L2: End = end(1, 2);
const HOST: End = end(1, 99);
const EXT: End = end(1, 5);
const NET_META: End = end(1, 4);
const W1: End = end(2, 1);
const BEYOND: End = end(2, 99);
const G1: End = end(3, 1);
const S1: End = end(4, 1);
const S2: End = end(4, 2);
const VIP: End = end(4, 50);
const T1: End = end(5, 1);
const FAR: End = end(5, 99);

/// VLAN of `ls`'s child port, and of the physical network.
const CHILD_TAG: u16 = 11;
const NETWORK_TAG: u16 = 33;

impl End {
    fn text(self) -> String {
        let mac = self.0.map(|byte| format!("{byte:02x}")).join(":");
        format!("{mac} {}", self.1.map(|byte| byte.to_string()).join("."))
    }

    /// Port 254 of the same subnet: the router's.
    fn router(self) -> End {
        end(self.1[2], 254)
    }
}

/// A datagram from one end to another on one switch.
fn datagram(from: End, to: End, payload: &str) -> Udp {
    Udp {
        from_mac: from.0,
        to_mac: to.0,
        from: from.1,
        to: to.1,
        from_port: 1000,
        to_port: 2000,
        ttl: 64,
        payload: payload.to_owned(),
    }
}

/// What a router makes of it.
fn routed(sent: &Udp, out: [u8; 6], to: [u8; 6]) -> Udp {
    Udp { from_mac: out, to_mac: to, ttl: sent.ttl - 1, ..sent.clone() }
}

/// The frame with a VLAN header.
fn tagged(frame: &[u8], vlan: u16) -> Vec<u8> {
    [&frame[..12], &[0x81, 0x00], &vlan.to_be_bytes(), &frame[12..]].concat()
}

/// The deployment.
struct Ports {
    cloud: Cloud,
}

impl Ports {
    fn start() -> Ports {
        let cloud = Cloud::start_idle(&[Agent::Ours, Agent::Ours]);
        let mut ports = Ports { cloud };
        ports.configure_hypervisors();
        ports.configure_switch();
        ports.configure_networks();
        ports.configure_routers();
        for hypervisor in &mut ports.cloud.hypervisors {
            hypervisor.start_agent();
        }
        ports.plug();
        ports
    }

    fn configure_hypervisors(&self) {
        let cloud = &self.cloud;
        for hypervisor in &cloud.hypervisors {
            let wire = |name: &str| hypervisor.folder.join(format!("{name}.pcap")).display().to_string();
            hypervisor.vsctl(&format!(
                "set Open_vSwitch . external_ids:ovn-bridge-mappings=phys:br-phys,other:br-other \
                 external_ids:ovn-encap-type=geneve,vxlan external_ids:ovn-is-interconn=true \
                 -- add-br br-other -- add-br br-int -- set Bridge br-int fail_mode=secure \
                 -- add-port br-phys wire -- set Interface wire options:tx_pcap={} \
                 -- add-port br-other wire2 -- set Interface wire2 options:tx_pcap={}",
                wire("wire"),
                wire("wire2")
            ));
        }
        // Patch ports that are none of ours.
        self.hv(1).vsctl(
            "add-port br-int theirs -- set Interface theirs type=patch options:peer=theirs2 \
             -- add-port br-phys theirs2 -- set Interface theirs2 type=patch options:peer=theirs",
        );
        // A VTEP gateway and a chassis of another availability zone, which others write.
        let features = ["port-up-notif", "ct-no-masked-label", "ovn-ct-lb-related", "mac-binding-timestamp"];
        let features = features.map(|feature| format!("other_config:{feature}=true")).join(" ");
        for (name, mark, kind, ip) in [("gateway", "vtep", "vxlan", 9), ("zone2", "remote", "geneve", 8)] {
            cloud.sbctl(&format!(
                "chassis-add {name} {kind} 192.168.0.{ip} -- set Chassis {name} other_config:is-{mark}=true {features}"
            ));
        }
    }

    /// A port of a switch, with its addresses.
    fn lsp(&self, switch: &str, name: &str, more: &str, addresses: &str) {
        self.cloud.nbctl_words(
            &["lsp-add", switch, name]
                .into_iter()
                .chain(more.split_whitespace())
                .chain(["--", "lsp-set-addresses", name, addresses])
                .collect::<Vec<_>>(),
        );
    }

    fn configure_switch(&self) {
        let cloud = &self.cloud;
        cloud.nbctl("ls-add ls");
        self.lsp("ls", "a1", "", &A1.text());
        self.lsp("ls", "a2", "", &A2.text());
        self.lsp("ls", "c1", &format!("a1 {CHILD_TAG}"), &C1.text());
        self.lsp("ls", "meta", "-- lsp-set-type meta localport", &META.text());
        let options = "-- lsp-set-type vtep vtep -- lsp-set-options vtep vtep-physical-switch=p vtep-logical-switch=l";
        self.lsp("ls", "vtep", options, &VTEP.text());
        self.lsp("ls", "both", "-- lsp-set-options both requested-chassis=hv1,hv2", &BOTH.text());
    }

    fn configure_networks(&self) {
        let cloud = &self.cloud;
        cloud.nbctl("ls-add net -- ls-add l2 -- ls-add ts -- set Logical_Switch ts other_config:interconn-ts=ts");
        let options = "-- lsp-set-type ln localnet -- lsp-set-options ln network_name=phys";
        self.lsp("net", "ln", options, "unknown");
        cloud.nbctl(&format!("set Logical_Switch_Port ln tag={NETWORK_TAG}"));
        self.lsp("net", "l1", "", &L1.text());
        self.lsp("net", "l2", "", &L2.text());
        self.lsp("net", "ext", "-- lsp-set-type ext external", &EXT.text());
        self.lsp("net", "net-meta", "-- lsp-set-type net-meta localport", &NET_META.text());
        cloud.nbctl(
            "--id=@h create HA_Chassis chassis_name=hv1 priority=20 -- --id=@g create HA_Chassis_Group name=ext \
             ha_chassis=@h -- set Logical_Switch_Port ext ha_chassis_group=@g",
        );
        self.lsp("l2", "w1", "", &W1.text());
        let options = "-- lsp-set-type lg l2gateway -- lsp-set-options lg network_name=other l2gateway-chassis=hv2";
        self.lsp("l2", "lg", options, "unknown");
        self.lsp("ts", "t1", "", &T1.text());
        self.lsp("ts", "far", "-- lsp-set-type far remote", &FAR.text());
    }

    fn configure_routers(&self) {
        let cloud = &self.cloud;
        cloud.nbctl("ls-add gs -- ls-add ls4 -- lr-add lr -- lr-add gr -- set Logical_Router gr options:chassis=hv1");
        self.lsp("gs", "g1", "", &G1.text());
        self.lsp("ls4", "s1", "", &S1.text());
        self.lsp("ls4", "s2", "", &S2.text());
        let options = "-- lsp-set-type vip virtual -- lsp-set-options vip virtual-ip=10.0.4.50 virtual-parents=s1,s2";
        self.lsp("ls4", "vip", options, &VIP.text());
        // The gateway router is 10.0.0.253 on `ls`.
        let links = [("lr", "ls", A1.router()), ("lr", "net", L1.router()), ("lr", "ls4", S1.router())];
        let links = links.into_iter().chain([("gr", "gs", G1.router()), ("gr", "ls", end(0, 253))]);
        for (router, switch, End(mac, ip)) in links {
            let text = End(mac, ip).text();
            cloud.nbctl(&format!(
                "lrp-add {router} {router}-{switch} {text}/24 -- lsp-add {switch} {switch}-{router} \
                 -- lsp-set-type {switch}-{router} router -- lsp-set-addresses {switch}-{router} router \
                 -- lsp-set-options {switch}-{router} router-port={router}-{switch}"
            ));
        }
        cloud.nbctl("lrp-set-gateway-chassis lr-net hv2 20");
        let host = HOST.text();
        let (mac, ip) = host.split_once(' ').unwrap();
        cloud.nbctl(&format!("static-mac-binding-add lr-net {ip} {mac}"));
    }

    fn plug(&self) {
        let interfaces: [&[(&str, &str)]; 2] = [
            &[("a1", "a1"), ("meta", "meta"), ("l1", "l1"), ("w1", "w1"), ("g1", "g1"), ("s1", "s1"), ("t1", "t1")],
            &[("a2", "a2"), ("meta", "meta"), ("l2", "l2"), ("s2", "s2")],
        ];
        for (hypervisor, interfaces) in self.cloud.hypervisors.iter().zip(interfaces) {
            interfaces
                .iter()
                .chain([&("both", "both"), &("net-meta", "net-meta")])
                .for_each(|(name, lport)| hypervisor.add_vif(name, lport));
        }
    }

    fn hv(&self, number: usize) -> &Hypervisor {
        &self.cloud.hypervisors[number - 1]
    }

    /// One column of a Port_Binding.
    fn port(&self, column: &str, name: &str) -> String {
        self.cloud.sb_find(column, "Port_Binding", &format!("logical_port={name}"))
    }

    /// Name of the chassis that has a port; empty: none.
    fn chassis(&self, port: &str) -> String {
        let uuid = self.port("chassis", port);
        if uuid.is_empty() { uuid } else { self.cloud.sbctl(&format!("get Chassis {uuid} name")) }
    }

    fn wait_chassis(&self, port: &str, chassis: &str) {
        wait_until(&format!("{port} on {chassis}"), || self.chassis(port) == chassis);
    }

    /// A frame into an interface of one hypervisor comes out of another one as `expected`, once.
    fn check(&self, from: (usize, &str), sent: &[u8], to: (usize, &str), expected: &[u8]) {
        self.hv(from.0).send(from.1, sent);
        self.hv(to.0).wait_received(to.1, expected);
        assert_eq!(self.hv(to.0).received(to.1, expected), 1, "{from:?} to {to:?}");
    }
}

/// Waits for a frame that leaves through a physical interface inside a tunnel to this address.
fn wait_tunnelled(hypervisor: &Hypervisor, remote: [u8; 4], udp_port: u16, inner: &[u8]) {
    let path = hypervisor.folder.join("wire.pcap");
    let is_it = |frame: &Vec<u8>| {
        frame.ends_with(inner)
            && frame.get(30..34) == Some(&remote)
            && frame.get(36..38) == Some(&udp_port.to_be_bytes())
    };
    wait_until(&format!("a packet in a tunnel to {remote:?}"), || captured(&path).iter().any(is_it));
}

#[test]
fn every_type_of_port() {
    let mut ports = Ports::start();
    let cloud = &ports.cloud;
    cloud.sync();
    for name in ["a1", "a2", "c1", "l1", "l2", "w1", "g1", "s1", "s2", "t1", "both"] {
        cloud.wait_up(name);
    }
    cloud.sbctl("lsp-bind vtep gateway -- lsp-bind far zone2");
    bindings(&ports);
    cloud.sync();
    for number in [1, 2] {
        ports.hv(number).wait_translated(&cloud.sb);
    }
    switched(&ports);
    physical(&ports);
    gateways(&ports);
    elsewhere(&ports);
    virtual_port(&ports);
    children_follow(&ports);
    external_port(&ports);
    within_role(&ports);
    restart(&mut ports);
    for number in [1, 2] {
        ports.hv(number).wait_translated(&ports.cloud.sb);
        let refused = ports.hv(number).logged(&["|WARN|", "transaction failed"]);
        assert_eq!(refused, Vec::<String>::new());
    }
}

/// Who has which port.
fn bindings(ports: &Ports) {
    let here = [
        ("a1", "hv1"),
        ("c1", "hv1"),
        ("a2", "hv2"),
        ("lg", "hv2"),
        ("gr-ls", "hv1"),
        ("ls-gr", "hv1"),
        ("cr-lr-net", "hv2"),
        ("ext", "hv1"),
        ("both", "hv1"),
        ("vtep", "gateway"),
        ("far", "zone2"),
    ];
    for (port, chassis) in here {
        ports.wait_chassis(port, chassis);
    }
    for nobodys in ["meta", "ln", "vip", "lr-ls", "ls-lr"] {
        assert_eq!(ports.chassis(nobodys), "", "{nobodys}");
    }
    let second = ports.cloud.sb_find("_uuid", "Chassis", "name=hv2");
    wait_until("hv2 as an additional chassis", || ports.port("additional_chassis", "both") == second);
    for port in ["lg", "gr-ls", "cr-lr-net", "ext"] {
        wait_until(&format!("{port} up"), || ports.port("up", port) == "true");
    }
    for number in [1, 2] {
        let installed = || ports.hv(number).vsctl("--if-exists get Interface both external_ids:ovn-installed");
        wait_until("ovn-installed on both", || installed().contains("true"));
    }
}

/// VIFs, a child, localports, a port on two chassis.
fn switched(ports: &Ports) {
    let frame = datagram(A1, A2, "tunnel").frame();
    ports.check((1, "a1"), &frame, (2, "a2"), &frame);
    let frame = datagram(C1, A2, "from a child").frame();
    ports.check((1, "a1"), &tagged(&frame, CHILD_TAG), (2, "a2"), &frame);
    let frame = datagram(A2, C1, "to a child").frame();
    ports.check((2, "a2"), &frame, (1, "a1"), &tagged(&frame, CHILD_TAG));
    for (number, interface, from) in [(1, "a1", A1), (2, "a2", A2)] {
        let frame = datagram(from, META, "localport").frame();
        ports.check((number, interface), &frame, (number, "meta"), &frame);
        assert_eq!(ports.hv(3 - number).received("meta", &frame), 0, "a localport is not reached from elsewhere");
    }
    for (number, interface, from) in [(1, "a1", A1), (2, "a2", A2)] {
        let frame = datagram(from, BOTH, "two chassis").frame();
        ports.check((number, interface), &frame, (1, "both"), &frame);
        ports.hv(2).wait_received("both", &frame);
    }
}

/// localnet and l2gateway ports.
fn physical(ports: &Ports) {
    let frame = datagram(L1, HOST, "to the network").frame();
    ports.check((1, "l1"), &frame, (1, "wire"), &tagged(&frame, NETWORK_TAG));
    let frame = datagram(HOST, L1, "from the network").frame();
    ports.check((1, "wire"), &tagged(&frame, NETWORK_TAG), (1, "l1"), &frame);
    // Not through a tunnel.
    let frame = datagram(L1, L2, "across the network").frame();
    ports.check((1, "l1"), &frame, (2, "l2"), &frame);
    let path = ports.hv(1).folder.join("wire.pcap");
    let inside = |outer: &Vec<u8>| outer.len() > frame.len() + 30 && outer.ends_with(&frame);
    assert!(!captured(&path).iter().any(inside), "a localnet switch needs no tunnel");

    let frame = datagram(W1, BEYOND, "to the l2gateway").frame();
    ports.check((1, "w1"), &frame, (2, "wire2"), &frame);
    let frame = datagram(BEYOND, W1, "from the l2gateway").frame();
    ports.check((2, "wire2"), &frame, (1, "w1"), &frame);
}

/// A gateway router on hv1 and a distributed gateway port on hv2.
fn gateways(ports: &Ports) {
    let gateway = end(0, 253);
    let sent = Udp { to: G1.1, ..datagram(A2, gateway, "gateway router") };
    ports.check((2, "a2"), &sent.frame(), (1, "g1"), &routed(&sent, G1.router().0, G1.0).frame());
    let sent = Udp { to: HOST.1, ..datagram(A1, A1.router(), "distributed gateway port") };
    let expected = routed(&sent, L1.router().0, HOST.0).frame();
    ports.check((1, "a1"), &sent.frame(), (2, "wire"), &tagged(&expected, NETWORK_TAG));
    let sent = Udp { to: S1.1, ..datagram(A2, A2.router(), "distributed router") };
    ports.check((2, "a2"), &sent.frame(), (1, "s1"), &routed(&sent, S1.router().0, S1.0).frame());
}

/// A VTEP gateway and another availability zone.
fn elsewhere(ports: &Ports) {
    let frame = datagram(A1, VTEP, "to the VTEP gateway").frame();
    ports.hv(1).send("a1", &frame);
    wait_tunnelled(ports.hv(1), [192, 168, 0, 9], 4789, &frame);
    let frame = datagram(T1, FAR, "to another zone").frame();
    ports.hv(1).send("t1", &frame);
    wait_tunnelled(ports.hv(1), [192, 168, 0, 8], 6081, &frame);
}

/// A virtual port is where the VIF is that answers for it. (Somebody who sees it answer writes that.)
fn virtual_port(ports: &Ports) {
    let cloud = &ports.cloud;
    let second = cloud.sb_find("_uuid", "Chassis", "name=hv2");
    let row = ports.port("_uuid", "vip");
    cloud.sbctl(&format!("set Port_Binding {row} virtual_parent=s2 chassis={second}"));
    wait_until("vip up", || ports.port("up", "vip") == "true");
    cloud.sync();
    let sent = Udp { to: VIP.1, ..datagram(A1, A1.router(), "virtual") };
    ports.check((1, "a1"), &sent.frame(), (2, "s2"), &routed(&sent, S1.router().0, S2.0).frame());
    ports.hv(2).remove_vif("s2");
    let released = || ["chassis", "virtual_parent"].iter().all(|column| ports.port(column, "vip").is_empty());
    wait_until("vip released", || released() && ports.port("up", "vip") == "false");
    wait_until("s2 released", || ports.chassis("s2").is_empty() && cloud.nbctl("lsp-get-up s2") == "down");
}

/// The chassis that has an external port answers for it: there, and nowhere else, a localport reaches it.
fn external_port(ports: &Ports) {
    let frame = datagram(NET_META, EXT, "to the external port").frame();
    ports.check((1, "net-meta"), &frame, (1, "wire"), &tagged(&frame, NETWORK_TAG));
    let elsewhere = datagram(NET_META, EXT, "from the wrong chassis").frame();
    ports.hv(2).send("net-meta", &elsewhere);
    let frame = datagram(L2, HOST, "behind it").frame();
    ports.check((2, "l2"), &frame, (2, "wire"), &tagged(&frame, NETWORK_TAG));
    assert_eq!(ports.hv(2).received("wire", &tagged(&elsewhere, NETWORK_TAG)), 0);
    let frame = datagram(EXT, NET_META, "from the external port").frame();
    ports.check((1, "wire"), &tagged(&frame, NETWORK_TAG), (1, "net-meta"), &frame);
}

/// Everything that the agents have written so far, the role `ovn-controller` allows: northd says what that is.
fn within_role(ports: &Ports) {
    let sb = &ports.cloud.sb;
    let select = json!({"op": "select", "table": "RBAC_Permission", "where": []});
    let rows = Client::connect(sb).transact("OVN_Southbound", vec![select]);
    let permissions = rows[0]["rows"].as_array().unwrap();
    let mut count = 0;
    for line in sb.transactions_of("ovn-agent: registering chassis", &Mark(0)) {
        let params = line.split_once(", params=").unwrap().1.rsplit_once(", id=").unwrap().0;
        let operations: Vec<Value> = serde_json::from_str(params).unwrap();
        // What is read, no role says.
        let writes = |operation: &&Value| operation["table"].is_string() && operation["op"] != "select";
        for operation in operations.iter().filter(writes) {
            let Some(permission) = permissions.iter().find(|row| row["table"] == operation["table"]) else {
                panic!("nothing of this table may be written: {operation}");
            };
            // A set of one is that one by itself.
            let may_update = |column: &str| match permission["update"][1].as_array() {
                Some(columns) => columns.iter().any(|it| it == column),
                None => permission["update"] == column,
            };
            let columns: Vec<String> = match operation["op"].as_str().unwrap() {
                "insert" | "delete" => {
                    assert_eq!(permission["insert_delete"], true, "{operation}");
                    Vec::new()
                }
                "update" => operation["row"].as_object().unwrap().keys().cloned().collect(),
                "mutate" => {
                    let mutations = operation["mutations"].as_array().unwrap().iter();
                    mutations.map(|mutation| mutation[0].as_str().unwrap().to_owned()).collect()
                }
                other => panic!("{other}: {operation}"),
            };
            assert!(columns.iter().all(|column| may_update(column)), "{operation}");
            count += 1;
        }
    }
    println!("{count} operations of the agents, all within the role");
    assert!(count > 20);
}

/// A child goes down with its parent, moves to another parent, and comes back.
fn children_follow(ports: &Ports) {
    let cloud = &ports.cloud;
    ports.hv(1).remove_vif("a1");
    wait_until("c1 released", || ports.chassis("c1").is_empty() && ports.port("up", "c1") == "false");
    ports.hv(2).add_vif("a1", "a1");
    ports.wait_chassis("a1", "hv2");
    ports.wait_chassis("c1", "hv2");
    cloud.wait_up("c1");
    cloud.nbctl("set Logical_Switch_Port c1 parent_name=s1 tag_request=44");
    ports.wait_chassis("c1", "hv1");
    cloud.wait_up("c1");
    cloud.sync();
    let frame = datagram(C1, A1, "from another parent").frame();
    ports.check((1, "s1"), &tagged(&frame, 44), (2, "a1"), &frame);
}

/// A restart makes nothing anew: neither patch ports nor tunnels, zones, flows or bindings.
fn restart(ports: &mut Ports) {
    let state = |ports: &Ports| {
        let hypervisor = ports.hv(1);
        let zones = hypervisor.vsctl("get Bridge br-int external_ids");
        let zones: Vec<String> = zones.split(", ").filter(|id| id.contains("ct-zone")).map(str::to_owned).collect();
        let bindings =
            ports.cloud.sbctl("--columns=_uuid,logical_port,chassis,additional_chassis,up list Port_Binding");
        (hypervisor.vsctl("--columns=_uuid,name,external_ids list Port"), zones, bindings, hypervisor.state())
    };
    ports.cloud.sync();
    ports.hv(1).wait_translated(&ports.cloud.sb);
    let before = state(ports);
    assert!(
        before.0.contains("theirs2") && before.0.contains("patch-br-int-to-ln") && before.1.len() > 8,
        "{before:#?}"
    );
    ports.cloud.hv(1).kill_agent();
    let (local, southbound) = (ports.hv(1).database.mark(), ports.cloud.sb.mark());
    let openflow = ports.hv(1).watch_openflow();
    ports.cloud.hv(1).start_agent();
    ports.cloud.hv(1).wait_ready();
    ports.cloud.sync();
    assert!(state(ports) == before, "before: {before:#?}\nafter: {:#?}", state(ports));
    assert_eq!(ports.hv(1).modifications_since(&openflow), Vec::<String>::new(), "sent to the switch");
    let written = |server: &Server, mark: &Mark, allowed: &[&str]| {
        let transactions = server.transactions_of_new_clients(mark);
        let odd = transactions.iter().filter(|line| !allowed.iter().any(|word| line.contains(word)));
        assert_eq!(odd.collect::<Vec<_>>(), Vec::<&String>::new());
    };
    written(&ports.hv(1).database, &local, &["ovn-startup-ts", "ovn-nb-cfg"]);
    written(&ports.cloud.sb, &southbound, &["nb_cfg"]);
}
