//! EVPN flows of a small hypervisor, as `ovs-ofctl` prints them, and what an entry of the kernel's tables costs. What is expected
//! follows "dynamic-routing - EVPN" of OVN's tests/system-ovn.at; keys differ, being hashes.

use ofproto_client::Flow;
use ovsdb::{Str, Uuid};

use super::object_uuid;
use crate::facts::{EvpnKey, EvpnTunnelPort};
use crate::kernel::{Neighbour, NeighbourTable, preferred_key};
use crate::rows::{Chassis, DatapathBinding, LogicalFlow};
use crate::view::testbed::{HV1, Testbed, map};

/// The switch of VNI 10 has datapath key 1 and a port here, so that it is local; its port for UDP 4789 is OpenFlow port 77.
struct Network {
    bed: Testbed,
    switch: Uuid,
}

impl Network {
    fn new() -> Self {
        let mut bed = Testbed::new();
        let switch = bed.datapath("ls", 1);
        bed.port(switch, "vm1", "", |pb| pb.chassis = Some(HV1));
        bed.vif("vm1");
        bed.bridge_port("ovn-evpn-4789", |port, interface| {
            port.external_ids = map(&[("ovn-evpn-tunnel", "true")]);
            interface.r#type = Str::from("vxlan");
            interface.options = map(&[("dst_port", "4789")]);
            interface.ofport = Some(77);
        });
        let mut network = Self { bed, switch };
        network.local_ip("192.0.2.1");
        network.options(&[]);
        network
    }

    fn local_ip(&mut self, text: &str) {
        let other_config = map(&[("ovn-evpn-local-ip", text)]);
        self.bed.put(|u| &mut u.chassis, HV1, Chassis { name: Str::from("hv1"), other_config, ..Default::default() });
    }

    /// The switch's external_ids, besides its VNI and devices.
    fn options(&mut self, more: &[(&str, &str)]) {
        let mut ids = vec![
            ("name", "ls"),
            ("dynamic-routing-vni", "10"),
            ("dynamic-routing-vxlan-ifname", "vxlan-10"),
            ("dynamic-routing-bridge-ifname", "br-10"),
        ];
        ids.extend(more);
        let table = &self.bed.agent.model().sb.datapath_binding;
        let row = DatapathBinding {
            external_ids: map(&ids),
            ..table.row_by_uuid(&self.switch).expect("the switch exists").clone()
        };
        self.bed.put(|u| &mut u.datapath_binding, self.switch, row);
    }

    /// What the VXLAN device says: endpoints, and MAC addresses behind endpoints.
    fn fdb(&mut self, vteps: &[&str], macs: &[(u64, &str)]) {
        let flood = |ip: &&str| Neighbour { ip: ip.parse().ok(), noarp: true, permanent: true, ..Default::default() };
        let learned = |(mac, ip): &(u64, &str)| Neighbour {
            mac: *mac,
            ip: ip.parse().ok(),
            noarp: true,
            extern_learned: true,
            ..Default::default()
        };
        let entries: Vec<Neighbour> = vteps.iter().map(flood).chain(macs.iter().map(learned)).collect();
        self.bed.agent.neighbours(&Str::from("vxlan-10"), NeighbourTable::Fdb, &entries);
        self.bed.agent.settle();
    }

    /// What the bridge says.
    fn addresses(&mut self, addresses: &[(&str, u64)]) {
        let entry = |(ip, mac): &(&str, u64)| Neighbour {
            mac: *mac,
            ip: ip.parse().ok(),
            noarp: true,
            extern_learned: true,
            ..Default::default()
        };
        let entries: Vec<Neighbour> = addresses.iter().map(entry).collect();
        self.bed.agent.neighbours(&Str::from("br-10"), NeighbourTable::Ip, &entries);
        self.bed.agent.settle();
    }

    /// Flows of priority `above` and more, without cookies, keys of endpoints as `KEY(IP)`.
    fn flows(&self, tables: &[u8], above: u16, endpoints: &[&str]) -> Vec<String> {
        let table = self.bed.agent.flows();
        let flow = |id| {
            let (table_id, priority, match_) = table.flow_key(id)?;
            let actions = table.desired(id)?.actions;
            let flow = Flow { table: table_id, priority, cookie: 0, match_: match_.clone(), actions };
            (tables.contains(&table_id) && priority >= above).then(|| flow.to_string())
        };
        let mut flows: Vec<String> = table.iter_desired().filter_map(flow).collect();
        for flow in &mut flows {
            *flow = flow.trim().trim_start_matches("cookie=0x0, ").to_owned();
            for ip in endpoints {
                let key = 0x8000_0000 | u32::from(preferred_key(ip.parse().unwrap()));
                *flow = flow.replace(&format!("{key:#x}"), &format!("KEY({ip})"));
            }
            if let Some(at) = flow.find(",cookie=") {
                let end = flow[at + 1..].find(',').unwrap();
                flow.replace_range(at..=at + end, "");
            }
        }
        flows.sort();
        flows
    }

    fn evpn_flows(&self, endpoints: &[&str]) -> Vec<String> {
        self.flows(&[0, 45, 87, 88], 1, endpoints)
            .into_iter()
            .filter(|flow| !flow.contains("table=0, ") || flow.contains("priority=1050"))
            .collect()
    }

    fn diagnostics(&self) -> Vec<String> {
        self.bed.agent.diagnostics().into_iter().map(|(_, text)| text).filter(|text| text.contains("VNI")).collect()
    }
}

#[test]
fn nothing_is_there_when_nothing_is_observed() {
    let network = Network::new();
    assert!(network.evpn_flows(&[]).is_empty());
    assert!(network.diagnostics().is_empty());
}

#[test]
fn an_endpoint_and_an_address_behind_it() {
    let mut network = Network::new();
    network.fdb(&["192.0.2.10"], &[]);
    let endpoint = [
        "table=0, priority=1050,tun_id=0xa,tun_src=192.0.2.10,tun_dst=192.0.2.1,in_port=77 \
         actions=set_field:0x1/0xffffffff->metadata,set_field:KEY(192.0.2.10)->reg14,resubmit(,88),resubmit(,8)",
        "table=45, priority=50,reg15=0x8000,metadata=0x1 actions=set_field:0xa/0xffffff->tun_id,\
         set_field:192.0.2.1->tun_src,set_field:192.0.2.10->tun_dst,output:77,resubmit(,46)",
        "table=45, priority=50,reg15=0x8001,metadata=0x1 actions=set_field:0xa/0xffffff->tun_id,\
         set_field:192.0.2.1->tun_src,set_field:192.0.2.10->tun_dst,output:77,resubmit(,46)",
        "table=45, priority=50,reg15=0x8004,metadata=0x1 actions=set_field:0xa/0xffffff->tun_id,\
         set_field:192.0.2.1->tun_src,set_field:192.0.2.10->tun_dst,output:77,resubmit(,46)",
        "table=45, priority=50,reg15=KEY(192.0.2.10),metadata=0x1 actions=set_field:192.0.2.1->tun_src,\
         set_field:192.0.2.10->tun_dst,set_field:0xa/0xffffff->tun_id,output:77",
        "table=45, priority=55,reg10=0x1/0x1,reg15=KEY(192.0.2.10),metadata=0x1 actions=set_field:192.0.2.1->tun_src,\
         set_field:192.0.2.10->tun_dst,set_field:0xa/0xffffff->tun_id,set_field:ANY->in_port,output:77",
        "table=88, priority=100,reg14=KEY(192.0.2.10),metadata=0x1 actions=learn(table=87,priority=150,delete_learned,\
         OXM_OF_METADATA[],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:NXM_NX_REG14[]->NXM_NX_REG1[])",
    ];
    assert_eq!(network.evpn_flows(&["192.0.2.10"]), endpoint);

    network.fdb(&["192.0.2.10"], &[(0xf000_0f16_1050, "192.0.2.10")]);
    let flows = network.evpn_flows(&["192.0.2.10"]);
    let new: Vec<&String> = flows.iter().filter(|flow| !endpoint.contains(&flow.as_str())).collect();
    assert_eq!(
        new,
        [
            "table=87, priority=150,metadata=0x1,dl_dst=f0:00:0f:16:10:50 actions=set_field:KEY(192.0.2.10)->reg1",
            "table=88, priority=150,reg14=KEY(192.0.2.10),metadata=0x1,dl_src=f0:00:0f:16:10:50 actions=drop",
        ]
    );
    network.options(&[("fdb_age_threshold", "300")]);
    assert!(network.evpn_flows(&[]).iter().any(|flow| flow.contains("hard_timeout=300")));
    network.options(&[("fdb_age_threshold", "70000")]);
    assert!(network.evpn_flows(&[]).iter().any(|flow| flow.contains("hard_timeout=65535")));

    network.fdb(&[], &[]);
    assert!(network.evpn_flows(&[]).is_empty());
}

#[test]
fn copies_go_to_the_endpoints_of_both_families() {
    let mut network = Network::new();
    network.local_ip("192.0.2.1,fd00::1");
    let flood = |network: &Network| {
        let flows = network.flows(&[45], 1, &[]);
        flows
            .into_iter()
            .find(|flow| flow.contains("reg15=0x8000,"))
            .map(|flow| flow.split_once("actions=").map(|(_, actions)| actions.to_owned()).unwrap_or_default())
    };
    network.fdb(&["192.0.2.20", "192.0.2.10", "fd00::10"], &[]);
    assert_eq!(
        flood(&network).as_deref(),
        Some(
            "set_field:0xa/0xffffff->tun_id,set_field:192.0.2.1->tun_src,set_field:192.0.2.10->tun_dst,output:77,\
             set_field:192.0.2.20->tun_dst,output:77,resubmit(,46),set_field:0.0.0.0->tun_src,set_field:0.0.0.0->tun_dst,\
             set_field:fd00::1->tun_ipv6_src,set_field:fd00::10->tun_ipv6_dst,output:77,resubmit(,46)"
        )
    );
    network.fdb(&["fd00::10"], &[]);
    assert_eq!(
        flood(&network).as_deref(),
        Some(
            "set_field:0xa/0xffffff->tun_id,set_field:192.0.2.1->tun_src,resubmit(,46),set_field:0.0.0.0->tun_src,\
             set_field:0.0.0.0->tun_dst,set_field:fd00::1->tun_ipv6_src,set_field:fd00::10->tun_ipv6_dst,output:77,resubmit(,46)"
        )
    );
    let from = network.flows(&[0], 1050, &["fd00::10"]);
    assert_eq!(
        from,
        ["table=0, priority=1050,tun_id=0xa,tun_ipv6_src=fd00::10,tun_ipv6_dst=fd00::1,in_port=77 \
          actions=set_field:0x1/0xffffffff->metadata,set_field:KEY(fd00::10)->reg14,resubmit(,88),resubmit(,8)"]
    );
    network.local_ip("10-fd00::9");
    assert_eq!(
        flood(&network).as_deref(),
        Some(
            "set_field:0xa/0xffffff->tun_id,set_field:fd00::9->tun_ipv6_src,set_field:fd00::10->tun_ipv6_dst,output:77,\
             resubmit(,46)"
        )
    );
}

#[test]
fn routers_know_the_addresses_of_the_network() {
    let mut network = Network::new();
    let router = network.bed.datapath("lr", 2);
    let mac = 0xf000_0f16_1050;
    network.addresses(&[("172.16.1.50", mac), ("fd00::50", mac)]);
    assert!(network.flows(&[66, 67], 1, &[]).is_empty(), "no router is attached yet");
    let [_, (peer, _)] = network.bed.patch((network.switch, "ls"), (router, "lr"), [&[], &[]]);
    network.bed.change_port(peer, |pb| pb.tunnel_key = 3);
    let expected = |priority: u16| {
        [
            format!(
                "table=66, priority={priority},reg0=0xac100132,reg15=0x3,metadata=0x2 \
                 actions=set_field:f0:00:0f:16:10:50->eth_dst,set_field:0x40/0x40->reg10"
            ),
            format!(
                "table=66, priority={priority},reg4=0xfd000000,reg5=0,reg6=0,reg7=0x50,reg15=0x3,metadata=0x2 \
                 actions=set_field:f0:00:0f:16:10:50->eth_dst,set_field:0x40/0x40->reg10"
            ),
            format!(
                "table=67, priority={priority},arp,reg0=0xac100132,reg14=0x3,metadata=0x2,dl_src=f0:00:0f:16:10:50 \
                 actions=set_field:0x40/0x40->reg10"
            ),
            format!(
                "table=67, priority={priority},icmp6,reg0=0xfd000000,reg1=0,reg2=0,reg3=0x50,reg14=0x3,metadata=0x2,\
                 dl_src=f0:00:0f:16:10:50,icmp_code=0 actions=set_field:0x40/0x40->reg10"
            ),
        ]
    };
    assert_eq!(network.flows(&[66, 67, 79], 1, &[]), expected(200));
    network.options(&[("dynamic-routing-arp-prefer-local", "true")]);
    assert_eq!(network.flows(&[66, 67, 79], 1, &[]), expected(20));
    network.addresses(&[]);
    assert!(network.flows(&[66, 67], 1, &[]).is_empty());
}

#[test]
fn what_cannot_be_used_is_named_and_costs_itself_only() {
    let mut network = Network::new();
    network.fdb(&["192.0.2.10", "fd00::10"], &[(7, "192.0.2.10"), (8, "192.0.2.99")]);
    let port = Neighbour { ip: "192.0.2.30".parse().ok(), noarp: true, permanent: true, port: 9, ..Default::default() };
    let diagnostics = |network: &Network| {
        let mut all = network.diagnostics();
        all.sort();
        all
    };
    // MAC 8 makes an endpoint of 192.0.2.99 by itself.
    assert_eq!(
        diagnostics(&network),
        ["EVPN endpoint fd00::10: failed to get local tunnel ip for VNI 10: ovn-evpn-local-ip has no IPv6 address",]
    );
    network.bed.agent.neighbours(
        &Str::from("vxlan-10"),
        NeighbourTable::Fdb,
        &[port, Neighbour { mac: 9, noarp: false, permanent: false, extern_learned: true, ..port }],
    );
    network.bed.agent.settle();
    assert_eq!(
        diagnostics(&network),
        [
            "EVPN MAC 00:00:00:00:00:09 of VNI 10: no tunnel to 192.0.2.30",
            "EVPN endpoint 192.0.2.30 of VNI 10: no VXLAN port with destination port 9 (ovn-evpn-vxlan-ports)",
        ]
    );
    assert!(network.evpn_flows(&[]).is_empty());
    network.bed.bridge_port("ovn-evpn-9", |port, interface| {
        port.external_ids = map(&[("ovn-evpn-tunnel", "true")]);
        interface.options = map(&[("dst_port", "9")]);
        interface.ofport = Some(78);
    });
    assert!(diagnostics(&network).is_empty());
    assert_eq!(network.flows(&[0], 1050, &[]).len(), 1);
}

#[test]
fn of_two_switches_with_one_vni_one_has_it() {
    let mut network = Network::new();
    network.fdb(&["192.0.2.10"], &[]);
    let other = network.bed.datapath("ls2", 5);
    network.bed.port(other, "vm2", "", |pb| pb.chassis = Some(HV1));
    network.bed.vif("vm2");
    let row = network.bed.agent.model().sb.datapath_binding.row_by_uuid(&other).unwrap().clone();
    let external_ids = map(&[("name", "ls2"), ("dynamic-routing-vni", "10")]);
    network.bed.put(|u| &mut u.datapath_binding, other, DatapathBinding { external_ids, ..row });
    assert_eq!(network.diagnostics(), [format!("Datapath_Binding {other} with duplicate VNI 10")]);
    assert!(network.evpn_flows(&[]).iter().all(|flow| flow.contains("metadata=0x1") || flow.contains("0x1/")));
    // The first loses it: the other has no devices, so nothing is left.
    let row = network.bed.agent.model().sb.datapath_binding.row_by_uuid(&network.switch).unwrap().clone();
    let external_ids = map(&[("name", "ls")]);
    network.bed.put(|u| &mut u.datapath_binding, network.switch, DatapathBinding { external_ids, ..row });
    assert!(network.evpn_flows(&[]).is_empty());
    let missing: Vec<String> = network
        .bed
        .agent
        .diagnostics()
        .into_iter()
        .map(|(_, text)| text)
        .filter(|text| text.contains("misses"))
        .collect();
    assert_eq!(missing.len(), 2, "{missing:?}");
}

/// ovn-controller 26.03.1 leaves them out always, 26.03.2 never.
#[test]
fn flows_about_endpoints_are_there_when_endpoints_are() {
    let mut network = Network::new();
    for (number, (pipeline, match_)) in
        [("ingress", "from_evpn_vtep"), ("egress", "to_evpn_vtep"), ("ingress", "to_evpn_vtep")].into_iter().enumerate()
    {
        let row = LogicalFlow {
            logical_datapath: Some(network.switch),
            pipeline: Str::from(pipeline),
            table_id: number as i64,
            priority: 110,
            r#match: Str::from(match_),
            actions: Str::from("next;"),
            ..Default::default()
        };
        let uuid = network.bed.uuid();
        network.bed.put(|u| &mut u.logical_flow, uuid, row);
    }
    // The third one matches no port of its pipeline, so it is always there.
    assert_eq!(network.flows(&[8, 10, 49], 110, &[]).len(), 1);
    network.fdb(&["192.0.2.10"], &[]);
    assert_eq!(
        network.flows(&[8, 49], 110, &[]),
        [
            "table=49, priority=110,reg15=0x80000000/0x80000000,metadata=0x1 actions=resubmit(,50)",
            "table=8, priority=110,reg14=0x80000000/0x80000000,metadata=0x1 actions=resubmit(,9)",
        ]
    );
    network.fdb(&[], &[]);
    assert_eq!(network.flows(&[8, 10, 49], 110, &[]).len(), 1);
}

/// The units that ran and the facts that were derived, for one entry more among `n` others.
fn cost(n: u32, change: impl Fn(&mut Vec<String>, &mut Vec<(u64, String)>)) -> [u64; 2] {
    let mut network = Network::new();
    let ip = |n: u32| format!("198.18.{}.{}", n >> 8, n & 0xff);
    let mut vteps: Vec<String> = (1..=n).map(ip).collect();
    let mut macs: Vec<(u64, String)> = (1..=n).map(|n| (0x0200_0000_0000 + u64::from(n), ip(n))).collect();
    let tell = |network: &mut Network, vteps: &[String], macs: &[(u64, String)]| {
        let vteps: Vec<&str> = vteps.iter().map(String::as_str).collect();
        let macs: Vec<(u64, &str)> = macs.iter().map(|(mac, ip)| (*mac, ip.as_str())).collect();
        network.fdb(&vteps, &macs);
    };
    tell(&mut network, &vteps, &macs);
    network.bed.agent.take_work();
    change(&mut vteps, &mut macs);
    tell(&mut network, &vteps, &macs);
    let work = network.bed.agent.take_work();
    [work.units, work.facts]
}

#[test]
fn an_entry_costs_its_own_flows() {
    let mac = |_: &mut Vec<String>, macs: &mut Vec<(u64, String)>| macs.push((9, "198.18.0.1".to_owned()));
    let vtep = |vteps: &mut Vec<String>, _: &mut Vec<(u64, String)>| vteps.push("203.0.113.9".to_owned());
    for n in [10, 1000] {
        assert_eq!(cost(n, mac), [1, 0], "a MAC address among {n}");
        // The endpoint itself, and the copies to all; the list of endpoints, its binding, its key. Among 1000 some prefer the
        // same key, and what they share out depends on who else is there.
        assert_eq!(cost(n, vtep), [2, if n == 10 { 3 } else { 4 }], "an endpoint among {n}");
    }
}

/// Two addresses whose preferred keys are equal.
#[test]
fn endpoints_with_equal_hashes_have_different_keys() {
    let mut by_key = std::collections::HashMap::new();
    let (a, b) = (0..u32::MAX)
        .find_map(|n| {
            let ip = std::net::IpAddr::from(n.to_be_bytes());
            by_key.insert(preferred_key(ip), ip).map(|other| (other, ip))
        })
        .unwrap();
    let mut network = Network::new();
    network.fdb(&[&a.to_string(), &b.to_string()], &[]);
    let key = |network: &Network, ip: std::net::IpAddr| network.bed.ask(EvpnKey(10, ip.into())).unwrap();
    let preferred = 0x8000_0000 | u32::from(preferred_key(a));
    assert_eq!((key(&network, a), key(&network, b)), (preferred, 0x8000_0000 | (preferred + 1) & 0xffff));
    assert_eq!(network.flows(&[0], 1050, &[]).len(), 2);
    network.fdb(&[&b.to_string()], &[]);
    assert_eq!(key(&network, b), preferred, "what it prefers is free now, as it would be after a restart");
}

#[test]
fn the_port_for_a_udp_port_is_found_by_its_options() {
    let mut network = Network::new();
    assert_eq!(network.bed.ask(EvpnTunnelPort(4789)), Some(77));
    assert_eq!(network.bed.ask(EvpnTunnelPort(4790)), None);
    network.bed.bridge_port("mine", |_, interface| interface.options = map(&[("dst_port", "4790")]));
    assert_eq!(network.bed.ask(EvpnTunnelPort(4790)), None, "it is not marked as ours");
}

#[test]
fn object_uuids_follow_what_they_are_of() {
    let (a, b) = (object_uuid("fdb", "10 x"), object_uuid("arp", "10 x"));
    assert_ne!(a, b);
    assert_eq!(a, object_uuid("fdb", "10 x"));
    assert_eq!(a.to_string().as_bytes()[14], b'8');
}
