//! The physical flows of small hypervisors, as `ovs-ofctl` prints them.

use ofproto_client::Flow;
use ovsdb::{Str, Uuid};

use crate::rows::{Bridge, Chassis, Encap, FlowSampleCollectorSet, MulticastGroup, PortBinding};
use crate::view::testbed::{BRIDGE, HV1, HV2, HV3, Testbed, map, set};

/// A hypervisor whose switch has agreed on the Geneve option, and which has one encap IP.
fn bed() -> Testbed {
    let mut bed = Testbed::new();
    bed.agent.set_external(|external| external.geneve_option = Some(0));
    bed.setting("ovn-encap-ip", "192.0.2.1");
    bed
}

/// What the flow table holds in these tables, cookies left out. Sorted by table, priority, match.
fn flows(bed: &Testbed, tables: &[u8]) -> Vec<String> {
    let table = bed.agent.flows();
    let mut flows: Vec<Flow> = table
        .iter_desired()
        .filter_map(|id| {
            let (number, priority, match_) = table.flow_key(id)?;
            let desired = table.desired(id)?;
            let match_ = match_.clone();
            tables.contains(&number).then_some(Flow {
                table: number,
                priority,
                cookie: 0,
                match_,
                actions: desired.actions,
            })
        })
        .collect();
    flows.sort_by(|a, b| (a.table, b.priority, a.match_.as_bytes()).cmp(&(b.table, a.priority, b.match_.as_bytes())));
    flows.iter().map(|flow| flow.to_string().trim().trim_start_matches("cookie=0x0, ").to_owned()).collect()
}

/// The same without what is there on an empty hypervisor.
fn new_flows(bed: &Testbed, tables: &[u8]) -> Vec<String> {
    let fixed = flows(&self::bed(), tables);
    flows(bed, tables).into_iter().filter(|flow| !fixed.contains(flow)).collect()
}

/// Sets the bridge mapping of network `phys`.
fn map_network(bed: &mut Testbed) {
    let uuid = bed.uuid();
    bed.put_local(|u| &mut u.bridge, uuid, Bridge { name: Str::from("br-phys"), ..Default::default() });
    bed.setting("ovn-bridge-mappings", "phys:br-phys");
}

/// A localnet port of network `phys` with its patch port to br-phys.
fn localnet(bed: &mut Testbed, datapath: Uuid, change: impl FnOnce(&mut PortBinding)) {
    map_network(bed);
    bed.port(datapath, "ln", "localnet", |pb| {
        pb.options = map(&[("network_name", "phys")]);
        change(pb);
    });
    bed.bridge_port("patch-br-int-to-ln", |port, interface| {
        port.external_ids = map(&[("ovn-localnet-port", "ln")]);
        interface.r#type = Str::from("patch");
    });
}

/// Asserts that the flows are these, and names the first that is not.
fn assert_flows(flows: &[String], expected: &[&str]) {
    for (at, expected) in expected.iter().enumerate() {
        assert_eq!(flows.get(at).map(String::as_str), Some(*expected), "flow {at}");
    }
    assert_eq!(flows.get(expected.len()), None, "one more flow");
}

#[test]
fn a_vif_here_and_one_elsewhere() {
    let mut bed = bed();
    let ls = bed.datapath("ls", 1);
    bed.port(ls, "vm1", "", |pb| pb.chassis = Some(HV1));
    bed.vif("vm1");
    bed.tunnel("hv2", "");
    bed.tunnel("hv3", "");
    bed.port(ls, "vm2", "", |pb| pb.chassis = Some(HV2));
    let ingress: Vec<String> = new_flows(&bed, &[0]).into_iter().filter(|flow| flow.contains("in_port=4 ")).collect();
    assert_flows(
        &ingress,
        &["table=0, priority=100,in_port=4 actions=set_field:0x3/0xffff->reg13,set_field:0x1->reg11,\
             set_field:0x2->reg12,set_field:0x1->metadata,set_field:0x2->reg14,set_field:0/0xffff0000->reg13,resubmit(,8)"],
    );
    assert_flows(
        &new_flows(&bed, &[44, 46, 47, 64, 65, 80]),
        &[
            "table=44, priority=100,reg13=0/0xffff0000,reg15=0x9,metadata=0x1 actions=set_field:0x1/0xffffff->tun_id,\
             set_field:0x9->tun_metadata0,move:NXM_NX_REG14[0..14]->NXM_NX_TUN_METADATA0[16..30],output:6,resubmit(,45)",
            "table=46, priority=100,reg15=0x2,metadata=0x1 actions=set_field:0x3/0xffff->reg13,set_field:0x1->reg11,\
             set_field:0x2->reg12,resubmit(,47)",
            "table=47, priority=100,reg10=0/0x1,reg14=0x2,reg15=0x2,metadata=0x1 actions=drop",
            "table=64, priority=100,reg10=0x1/0x1,reg15=0x2,metadata=0x1 actions=push:NXM_OF_IN_PORT[],\
             set_field:ANY->in_port,resubmit(,65),pop:NXM_OF_IN_PORT[]",
            "table=65, priority=100,reg15=0x2,metadata=0x1 actions=output:4",
            "table=80, priority=100,reg14=0x2,metadata=0x1 actions=set_field:0x3/0xffff->reg13,set_field:0x1->reg11,\
             set_field:0x2->reg12,resubmit(,8)",
            "table=80, priority=100,reg14=0x9,metadata=0x1 actions=set_field:0x1->reg11,set_field:0x2->reg12,resubmit(,8)",
        ],
    );
}

#[test]
fn a_port_elsewhere_costs_the_same_with_more_chassis() {
    let work = |others: usize| {
        let mut bed = bed();
        let ls = bed.datapath("ls", 1);
        bed.port(ls, "vm1", "", |pb| pb.chassis = Some(HV1));
        bed.vif("vm1");
        bed.tunnel("hv2", "");
        bed.tunnel("hv3", "");
        for n in 0..others {
            let uuid = bed.uuid();
            let name = format!("other{n}");
            let row = Chassis { name: Str::from(name.as_str()), ..Default::default() };
            bed.put(|u| &mut u.chassis, uuid, row);
            bed.tunnel(&name, "");
        }
        let (port, _) = bed.port(ls, "vm2", "", |pb| pb.chassis = Some(HV2));
        bed.agent.take_work();
        bed.change_port(port, |pb| pb.chassis = Some(HV3));
        let work = bed.agent.take_work();
        (work.facts, work.units)
    };
    assert_eq!(work(1), work(30));
}

#[test]
fn a_tunnel_costs_the_same_with_more_chassis() {
    let work = |others: usize| {
        let mut bed = bed();
        for n in 0..others {
            let uuid = bed.uuid();
            let name = format!("other{n}");
            let row = Chassis { name: Str::from(name.as_str()), ..Default::default() };
            bed.put(|u| &mut u.chassis, uuid, row);
            bed.tunnel(&name, "");
        }
        bed.agent.take_work();
        bed.tunnel("hv2", "");
        bed.agent.take_work().units
    };
    assert_eq!(work(1), work(30));
}

#[test]
fn children_of_a_vif() {
    let mut bed = bed();
    let ls = bed.datapath("ls", 1);
    bed.port(ls, "vm1", "", |pb| pb.chassis = Some(HV1));
    bed.vif("vm1");
    bed.port(ls, "c1", "", |pb| (pb.parent_port, pb.tag) = (Some(Str::from("vm1")), Some(5)));
    bed.port(ls, "no-tag", "", |pb| pb.parent_port = Some(Str::from("vm1")));
    bed.port(ls, "no-parent", "", |pb| (pb.parent_port, pb.tag) = (Some(Str::from("vm2")), Some(5)));
    let of_child =
        |flow: &String| flow.contains("reg15=0x5") || flow.contains("dl_vlan") || flow.contains("=0x20/0x20");
    let flows: Vec<String> = new_flows(&bed, &[0, 46, 47, 64, 65]).into_iter().filter(of_child).collect();
    assert_flows(
        &flows,
        &[
            "table=0, priority=150,in_port=4,dl_vlan=5 actions=set_field:0x20/0x20->reg10,pop_vlan,\
             set_field:0x1/0xffff->reg13,set_field:0x2->reg11,set_field:0x3->reg12,set_field:0x1->metadata,\
             set_field:0x5->reg14,set_field:0/0xffff0000->reg13,resubmit(,8)",
            "table=46, priority=100,reg15=0x5,metadata=0x1 actions=set_field:0x1/0xffff->reg13,set_field:0x2->reg11,\
             set_field:0x3->reg12,resubmit(,47)",
            "table=47, priority=100,reg10=0/0x1,reg14=0x5,reg15=0x5,metadata=0x1 actions=drop",
            "table=64, priority=100,reg10=0x20/0x20,reg15=0x2,metadata=0x1 actions=push:NXM_OF_IN_PORT[],\
             set_field:ANY->in_port,resubmit(,65),pop:NXM_OF_IN_PORT[]",
            "table=64, priority=100,reg15=0x5,metadata=0x1 actions=push:NXM_OF_IN_PORT[],set_field:ANY->in_port,\
             resubmit(,65),pop:NXM_OF_IN_PORT[]",
            "table=65, priority=100,reg15=0x5,metadata=0x1 actions=push_vlan:0x8100,set_field:4101->vlan_vid,output:4,\
             pop_vlan",
        ],
    );
}

#[test]
fn what_comes_from_an_interface_with_a_mirror_port_is_the_interfaces_own() {
    let mut bed = bed();
    let ls = bed.datapath("ls", 1);
    bed.port(ls, "vm1", "", |pb| pb.chassis = Some(HV1));
    bed.vif("vm1");
    let before = new_flows(&bed, &[0]);
    bed.port(ls, "mp", "mirror", |pb| pb.mirror_port = Some(Str::from("vm1")));
    assert_eq!(new_flows(&bed, &[0]).len(), before.len());
    let out: Vec<String> = new_flows(&bed, &[65]).into_iter().filter(|flow| flow.contains("reg15=0x5")).collect();
    assert_flows(&out, &["table=65, priority=100,reg15=0x5,metadata=0x1 actions=output:4"]);
}

#[test]
fn a_pair_of_patch_ports() {
    let mut bed = bed();
    let (ls, lr) = (bed.datapath("ls", 1), bed.datapath("lr", 2));
    bed.patch((ls, "ls"), (lr, "lr"), [&[], &[]]);
    bed.port(ls, "vm1", "", |pb| pb.chassis = Some(HV1));
    bed.vif("vm1");
    bed.port(lr, "lonely", "patch", |pb| pb.options = map(&[("peer", "ls-lr")]));
    let flows: Vec<String> =
        new_flows(&bed, &[46, 47, 64, 65]).into_iter().filter(|flow| flow.contains("metadata=0x2 ")).collect();
    assert_flows(
        &flows,
        &[
            "table=46, priority=100,reg15=0x4,metadata=0x2 actions=set_field:0x1->reg11,set_field:0x2->reg12,resubmit(,\
             47)",
            "table=47, priority=100,reg10=0/0x1,reg14=0x4,reg15=0x4,metadata=0x2 actions=drop",
            "table=64, priority=100,reg10=0x1/0x1,reg15=0x4,metadata=0x2 actions=push:NXM_OF_IN_PORT[],\
             set_field:ANY->in_port,resubmit(,65),pop:NXM_OF_IN_PORT[]",
            "table=65, priority=100,reg15=0x4,metadata=0x2 actions=clone(ct_clear,set_field:0->reg11,set_field:0->reg12,\
             set_field:0/0xffff->reg13,set_field:0x3->reg11,set_field:0x4->reg12,set_field:0x1->metadata,\
             set_field:0x3->reg14,set_field:0->reg10,set_field:0->reg15,set_field:0->reg0,set_field:0->reg1,\
             set_field:0->reg2,set_field:0->reg3,set_field:0->reg4,set_field:0->reg5,set_field:0->reg6,set_field:0->reg7,\
             set_field:0->reg8,set_field:0->reg9,resubmit(,8))",
        ],
    );
}

#[test]
fn localports_and_localnet_ports() {
    let mut bed = bed();
    let ls = bed.datapath("ls", 1);
    bed.port(ls, "vm1", "", |pb| pb.chassis = Some(HV1));
    bed.vif("vm1");
    bed.port(ls, "md", "localport", |_| ());
    bed.vif("md");
    localnet(&mut bed, ls, |pb| pb.tag = Some(7));
    let key = format!("reg15={:#x}", key_of(&bed, "ln"));
    let md = format!("={:#x}", key_of(&bed, "md"));
    let of_these = |flow: &String| {
        flow.contains(&key)
            || flow.contains("dl_vlan")
            || flow.contains("=0x400")
            || (flow.starts_with("table=44") && flow.contains(&md))
    };
    let flows: Vec<String> = new_flows(&bed, &[0, 44, 46, 47, 64, 65]).into_iter().filter(of_these).collect();
    assert_flows(
        &flows,
        &[
            "table=0, priority=150,in_port=11,dl_vlan=7 actions=pop_vlan,set_field:0x1/0xffff->reg13,\
             set_field:0x2->reg11,set_field:0x3->reg12,set_field:0x1->metadata,set_field:0x9->reg14,\
             set_field:0/0xffff0000->reg13,resubmit(,8)",
            "table=44, priority=150,reg14=0x5,metadata=0x1 actions=resubmit(,46)",
            "table=46, priority=100,reg15=0x9,metadata=0x1 actions=set_field:0x1/0xffff->reg13,set_field:0x2->reg11,\
             set_field:0x3->reg12,resubmit(,47)",
            "table=47, priority=160,reg10=0x10/0x40010,reg15=0x9,metadata=0x1 actions=drop",
            "table=47, priority=160,reg10=0x400/0x400,reg15=0x9,metadata=0x1 actions=drop",
            "table=47, priority=100,reg10=0/0x1,reg14=0x9,reg15=0x9,metadata=0x1 actions=drop",
            "table=64, priority=100,reg10=0x1/0x1,reg15=0x9,metadata=0x1 actions=push:NXM_OF_IN_PORT[],\
             set_field:ANY->in_port,resubmit(,65),pop:NXM_OF_IN_PORT[]",
            "table=65, priority=100,reg15=0x9,metadata=0x1 actions=push_vlan:0x8100,set_field:4103->vlan_vid,output:11,\
             pop_vlan",
        ],
    );
}

#[test]
fn other_tags_and_no_tags() {
    let ingress = |tag: Option<i64>, options: &[(&str, &str)]| {
        let mut bed = bed();
        let ls = bed.datapath("ls", 1);
        bed.port(ls, "vm1", "", |pb| pb.chassis = Some(HV1));
        bed.vif("vm1");
        let mut all = vec![("network_name", "phys")];
        all.extend_from_slice(options);
        localnet(&mut bed, ls, |pb| (pb.tag, pb.options) = (tag, map(&all)));
        let of_localnet = |flow: &String| flow.contains("pop_vlan") || flow.contains("vlan_tci");
        let short = |flow: String| {
            let (match_, actions) = flow.split_once(" actions=").unwrap();
            let vlan: Vec<&str> = actions.split(',').filter(|action| action.contains("vlan")).collect();
            format!("{match_}: {}", vlan.join(","))
        };
        new_flows(&bed, &[0, 65]).into_iter().filter(of_localnet).map(short).collect::<Vec<_>>()
    };
    assert_flows(
        &ingress(None, &[]),
        &[
            "table=0, priority=100,in_port=8,dl_vlan=0: pop_vlan",
            "table=0, priority=100,in_port=8,vlan_tci=0x0000/0x1000: ",
        ],
    );
    assert_flows(
        &ingress(None, &[("vlan-passthru", "true")]),
        &["table=0, priority=100,in_port=8,vlan_tci=0x0000/0x1000: "],
    );
    assert_flows(
        &ingress(Some(7), &[("ethtype", "802.1ad")]),
        &[
            "table=0, priority=150,in_port=8,dl_vlan=7: pop_vlan",
            "table=65, priority=100,reg15=0x6,metadata=0x1: push_vlan:0x88a8,set_field:4103->vlan_vid,pop_vlan",
        ],
    );
}

#[test]
fn routed_frames_bear_the_chassis_mac() {
    let mut bed = bed();
    let (ls, lr) = (bed.datapath("ls", 1), bed.datapath("lr", 2));
    bed.port(ls, "vm1", "", |pb| pb.chassis = Some(HV1));
    bed.vif("vm1");
    let [_, (router, _)] = bed.patch((ls, "ls"), (lr, "lr"), [&[], &[]]);
    bed.change_port(router, |pb| pb.mac = set(&[Str::from("00:00:00:00:00:01 10.0.0.1/24")]));
    localnet(&mut bed, ls, |_| ());
    for (uuid, name, mac) in [(HV1, "hv1", "aa:aa:aa:aa:aa:01"), (HV2, "hv2", "aa:aa:aa:aa:aa:02")] {
        let other_config = map(&[("ovn-chassis-mac-mappings", &format!("phys:{mac},other:junk"))]);
        bed.put(|u| &mut u.chassis, uuid, Chassis { name: Str::from(name), other_config, ..Default::default() });
    }
    let flows: Vec<String> = new_flows(&bed, &[0, 65])
        .into_iter()
        .filter(|flow| flow.contains("priority=180") || flow.contains("priority=150"))
        .collect();
    assert_flows(
        &flows,
        &[
            "table=0, priority=180,conj_id=100,in_port=11,vlan_tci=0x0000/0x1000 actions=set_field:0x1/0xffff->reg13,\
             set_field:0x4->reg11,set_field:0x5->reg12,set_field:0x1->metadata,set_field:0x9->reg14,\
             set_field:0/0xffff0000->reg13,set_field:00:00:00:00:00:01->eth_src,resubmit(,8)",
            "table=0, priority=180,in_port=11,vlan_tci=0x0000/0x1000 actions=conjunction(100,2/2)",
            "table=0, priority=180,dl_src=aa:aa:aa:aa:aa:02 actions=conjunction(100,1/2)",
            "table=65, priority=150,reg15=0x9,metadata=0x1,\
             dl_src=00:00:00:00:00:01 actions=set_field:aa:aa:aa:aa:aa:01->eth_src,output:11,\
             set_field:00:00:00:00:00:01->eth_src",
        ],
    );
    assert!(bed.agent.diagnostics().iter().any(|(_, line)| line.contains("no MAC address for network other")));
}

#[test]
fn gateways() {
    let mut bed = bed();
    let (ls, lr) = (bed.datapath("ls", 1), bed.datapath("lr", 2));
    bed.port(ls, "vm1", "", |pb| pb.chassis = Some(HV1));
    bed.vif("vm1");
    bed.patch((ls, "ls"), (lr, "lr"), [&[], &[]]);
    bed.tunnel("hv2", "up");
    bed.tunnel("hv3", "up");
    let (here, _) = bed.ha_group(&[(Some(HV1), 1)], &[]);
    let (elsewhere, _) = bed.ha_group(&[(Some(HV2), 1), (Some(HV3), 2)], &[]);
    let distributed = [("distributed-port", "lr-ls")];
    bed.port(lr, "cr-here", "chassisredirect", |pb| {
        (pb.options, pb.ha_chassis_group, pb.tunnel_key) = (map(&distributed), Some(here), 100);
    });
    bed.port(lr, "cr-elsewhere", "chassisredirect", |pb| {
        (pb.options, pb.ha_chassis_group, pb.tunnel_key) = (map(&distributed), Some(elsewhere), 101);
    });
    bed.port(lr, "cr-broken", "chassisredirect", |pb| {
        (pb.options, pb.ha_chassis_group, pb.tunnel_key) = (map(&[("distributed-port", "x")]), Some(here), 102);
    });
    let of_these = |flow: &String| (100..103).any(|key| flow.contains(&format!("reg15={key:#x},")));
    let flows: Vec<String> = new_flows(&bed, &[44, 46]).into_iter().filter(of_these).collect();
    assert_flows(
        &flows,
        &[
            "table=44, priority=100,reg15=0x65,metadata=0x2 actions=set_field:0x2/0xffffff->tun_id,\
             set_field:0x65->tun_metadata0,move:NXM_NX_REG14[0..14]->NXM_NX_TUN_METADATA0[16..30],bundle(eth_src,0,\
             active_backup,ofport,members:11,9)",
            "table=46, priority=100,reg15=0x64,metadata=0x2 actions=set_field:0x7->reg15,set_field:0x3->reg11,\
             set_field:0x4->reg12,set_field:ANY->in_port,resubmit(,47)",
            "table=46, priority=100,reg15=0x66,metadata=0x2 actions=drop",
        ],
    );
    assert!(bed.agent.diagnostics().iter().any(|(_, line)| line.contains("distributed port x does not exist")));
}

#[test]
fn bridged_redirect() {
    let mut bed = bed();
    let (ls, lr) = (bed.datapath("ls", 1), bed.datapath("lr", 2));
    bed.port(ls, "vm1", "", |pb| pb.chassis = Some(HV1));
    bed.vif("vm1");
    bed.patch((ls, "ls"), (lr, "lr"), [&[], &[]]);
    localnet(&mut bed, ls, |pb| pb.tunnel_key = 50);
    bed.port(lr, "cr-lr-ls", "chassisredirect", |pb| {
        (pb.chassis, pb.tunnel_key, pb.mac) = (Some(HV2), 100, set(&[Str::from("00:00:00:00:00:01 10.0.0.1/24")]));
        pb.options = map(&[("distributed-port", "lr-ls"), ("redirect-type", "bridged")]);
    });
    let flows: Vec<String> =
        new_flows(&bed, &[44, 46]).into_iter().filter(|flow| flow.contains("reg15=0x64,")).collect();
    assert_flows(
        &flows,
        &["table=46, priority=100,reg15=0x64,metadata=0x2 actions=set_field:00:00:00:00:00:01->eth_src,\
             set_field:0x1->metadata,set_field:0x32->reg15,resubmit(,65)"],
    );
}

#[test]
fn a_port_that_moves_here_is_blocked_until_it_has_arrived() {
    let mut bed = bed();
    let ls = bed.datapath("ls", 1);
    let (port, _) = bed.port(ls, "vm1", "", |pb| {
        (pb.chassis, pb.additional_chassis) = (Some(HV2), set(&[HV1]));
        (pb.requested_chassis, pb.requested_additional_chassis) = (Some(HV2), set(&[HV1]));
        pb.mac = set(&[Str::from("f0:00:00:00:00:01 10.0.0.1 fd00::1")]);
        pb.options = map(&[("activation-strategy", "rarp,garp,na,x"), ("requested-chassis", "hv2,hv1")]);
    });
    bed.vif("vm1");
    let blocking = |bed: &Testbed| -> Vec<String> {
        let blocks = |flow: &String| ["=1000,", "=1010,"].iter().any(|priority| flow.contains(priority));
        new_flows(bed, &[0, 65]).into_iter().filter(blocks).collect()
    };
    assert_flows(
        &blocking(&bed),
        &[
            "table=0, priority=1010,arp,in_port=4,dl_src=f0:00:00:00:00:01,arp_spa=10.0.0.1,arp_tpa=10.0.0.1,\
             arp_sha=f0:00:00:00:00:01 actions=set_field:0x3/0xffff->reg13,set_field:0x1->reg11,set_field:0x2->reg12,\
             set_field:0x1->metadata,set_field:0x2->reg14,set_field:0/0xffff0000->reg13,\
             controller(userdata=00.00.00.1a.00.00.00.00),resubmit(,8)",
            "table=0, priority=1010,rarp,in_port=4 actions=set_field:0x3/0xffff->reg13,set_field:0x1->reg11,\
             set_field:0x2->reg12,set_field:0x1->metadata,set_field:0x2->reg14,set_field:0/0xffff0000->reg13,\
             controller(userdata=00.00.00.1a.00.00.00.00),resubmit(,8)",
            "table=0, priority=1010,icmp6,in_port=4,ipv6_src=fd00::1,icmp_type=136,icmp_code=0,nd_target=fd00::1,\
             nd_tll=f0:00:00:00:00:01 actions=set_field:0x3/0xffff->reg13,set_field:0x1->reg11,set_field:0x2->reg12,\
             set_field:0x1->metadata,set_field:0x2->reg14,set_field:0/0xffff0000->reg13,\
             controller(userdata=00.00.00.1a.00.00.00.00),resubmit(,8)",
            "table=0, priority=1010,icmp6,in_port=4,ipv6_src=fe80::f200:ff:fe00:1,icmp_type=136,icmp_code=0,\
             nd_target=fe80::f200:ff:fe00:1,nd_tll=f0:00:00:00:00:01 actions=set_field:0x3/0xffff->reg13,\
             set_field:0x1->reg11,set_field:0x2->reg12,set_field:0x1->metadata,set_field:0x2->reg14,\
             set_field:0/0xffff0000->reg13,controller(userdata=00.00.00.1a.00.00.00.00),resubmit(,8)",
            "table=0, priority=1000,in_port=4 actions=drop",
            "table=65, priority=1000,reg15=0x2,metadata=0x1 actions=drop",
        ],
    );
    assert!(bed.agent.diagnostics().iter().any(|(_, line)| line.contains("unknown activation strategy x")));
    bed.change_port(port, |pb| {
        pb.options = map(&[("activation-strategy", "rarp"), ("additional-chassis-activated", "hv3,hv1")]);
    });
    assert_flows(&blocking(&bed), &[]);
}

#[test]
fn ports_on_two_chassis_use_tunnels_and_answer_what_does_not_fit() {
    let mut bed = bed();
    let ls = bed.datapath("ls", 1);
    bed.port(ls, "vm1", "", |pb| {
        (pb.chassis, pb.additional_chassis, pb.requested_chassis) = (Some(HV1), set(&[HV2]), Some(HV1));
    });
    let vif = bed.vif("vm1");
    bed.change_interface(vif, |interface| interface.mtu = Some(1500));
    bed.tunnel("hv2", "");
    localnet(&mut bed, ls, |_| ());
    bed.port(ls, "vm2", "", |pb| (pb.chassis, pb.tunnel_key) = (Some(HV2), 100));
    let short = |flow: String| flow.split("userdata=").next().unwrap_or_default().to_owned();
    let of_these = |flow: &String| ["100,ip", "100,ipv6", "reg15=0x64,"].iter().any(|part| flow.contains(part));
    let flows: Vec<String> = new_flows(&bed, &[42, 43, 44, 46]).into_iter().filter(of_these).map(short).collect();
    assert_flows(
        &flows,
        &[
            "table=42, priority=100,ip,reg14=0x2,metadata=0x1 actions=check_pkt_larger(1442)->NXM_NX_REG9[1],resubmit(,\
             43)",
            "table=42, priority=100,ip,reg15=0x2,metadata=0x1 actions=check_pkt_larger(1442)->NXM_NX_REG9[1],resubmit(,\
             43)",
            "table=42, priority=100,ipv6,reg14=0x2,metadata=0x1 actions=check_pkt_larger(1442)->NXM_NX_REG9[1],resubmit(,\
             43)",
            "table=42, priority=100,ipv6,reg15=0x2,metadata=0x1 actions=check_pkt_larger(1442)->NXM_NX_REG9[1],resubmit(,\
             43)",
            "table=43, priority=100,ip,reg9=0x2/0x2,reg14=0x2,metadata=0x1 actions=controller(",
            "table=43, priority=100,ip,reg9=0x2/0x2,reg15=0x2,metadata=0x1 actions=controller(",
            "table=43, priority=100,ipv6,reg9=0x2/0x2,reg14=0x2,metadata=0x1 actions=controller(",
            "table=43, priority=100,ipv6,reg9=0x2/0x2,reg15=0x2,metadata=0x1 actions=controller(",
            "table=44, priority=110,reg14=0x2,reg15=0x64,metadata=0x1 actions=set_field:0x1/0xffffff->tun_id,\
             set_field:0x64->tun_metadata0,move:NXM_NX_REG14[0..14]->NXM_NX_TUN_METADATA0[16..30],output:6",
            "table=46, priority=100,reg15=0x64,metadata=0x1 actions=set_field:0x8->reg15,resubmit(,46)",
        ],
    );
}

#[test]
fn network_functions_send_back_where_it_came_from() {
    let mut bed = bed();
    let ls = bed.datapath("ls", 1);
    for (name, partner) in [("nf1", "nf2"), ("nf2", "nf1")] {
        bed.port(ls, name, "", |pb| {
            pb.chassis = Some(HV1);
            pb.options = map(&[("is-nf", "true"), ("nf-linked-port", partner)]);
        });
        bed.vif(name);
    }
    bed.tunnel("hv2", "");
    localnet(&mut bed, ls, |_| ());
    let of_these =
        |flow: &String| ["priority=110", "priority=109", "priority=1,"].iter().any(|part| flow.contains(part));
    let flows: Vec<String> = new_flows(&bed, &[46, 47]).into_iter().filter(of_these).collect();
    assert_flows(
        &flows,
        &[
            "table=46, priority=110,ip,reg10=0/0x1000000,reg14=0x2,\
             metadata=0x1 actions=set_field:0x1000000/0x1000000->reg10,set_field:0x5/0xffff->reg13,ct(table=46,\
             zone=NXM_NX_REG13[0..15])",
            "table=46, priority=110,ip,reg10=0/0x1000000,reg14=0x5,\
             metadata=0x1 actions=set_field:0x1000000/0x1000000->reg10,set_field:0x4/0xffff->reg13,ct(table=46,\
             zone=NXM_NX_REG13[0..15])",
            "table=46, priority=110,ct_state=+inv,reg5=0x90000/0xffff0000,reg10=0x1000000/0x1000000,reg14=0x2,\
             metadata=0x1 actions=set_field:0x1/0xffffff->tun_id,move:NXM_NX_REG15[]->NXM_NX_TUN_METADATA0[0..31],\
             set_field:0x20000/0x7fff0000->tun_metadata0,output:9",
            "table=46, priority=110,ct_state=+inv,reg5=0x90000/0xffff0000,reg10=0x1000000/0x1000000,reg14=0x5,\
             metadata=0x1 actions=set_field:0x1/0xffffff->tun_id,move:NXM_NX_REG15[]->NXM_NX_TUN_METADATA0[0..31],\
             set_field:0x50000/0x7fff0000->tun_metadata0,output:9",
            "table=46, priority=109,ct_label=0x900000000000000000000/0xffff00000000000000000000,\
             reg10=0x1000000/0x1000000,reg14=0x2,metadata=0x1 actions=set_field:0x1/0xffffff->tun_id,\
             move:NXM_NX_REG15[]->NXM_NX_TUN_METADATA0[0..31],set_field:0x20000/0x7fff0000->tun_metadata0,output:9",
            "table=46, priority=109,ct_label=0x900000000000000000000/0xffff00000000000000000000,\
             reg10=0x1000000/0x1000000,reg14=0x5,metadata=0x1 actions=set_field:0x1/0xffffff->tun_id,\
             move:NXM_NX_REG15[]->NXM_NX_TUN_METADATA0[0..31],set_field:0x50000/0x7fff0000->tun_metadata0,output:9",
            "table=47, priority=1,metadata=0x1 actions=set_field:0->reg0,set_field:0->reg1,set_field:0->reg2,\
             set_field:0->reg3,set_field:0->reg4,set_field:0->reg6,set_field:0->reg7,set_field:0->reg8,set_field:0->reg9,\
             set_field:0/0xffff->reg5,resubmit(,48)",
        ],
    );
}

#[test]
fn flow_based_tunnels() {
    let mut bed = bed();
    bed.setting("ovn-enable-flow-based-tunnels", "true");
    bed.bridge_port("ovn-geneve", |port, interface| {
        port.external_ids = map(&[("ovn-chassis-id", "flow"), ("ovn-tunnel-type", "geneve")]);
        interface.r#type = Str::from("geneve");
    });
    for (uuid, name, ips) in [(HV1, "hv1", ["192.0.2.1", "192.0.2.11"]), (HV2, "hv2", ["192.0.2.2", "192.0.2.22"])] {
        let mut encaps = Vec::new();
        for ip in ips {
            let options = if ip.len() > 9 { map(&[("default-encap-ip", "true")]) } else { map(&[]) };
            let encap = Encap { r#type: Str::from("geneve"), ip: Str::from(ip), options, ..Default::default() };
            let uuid = bed.uuid();
            encaps.push(bed.put(|u| &mut u.encap, uuid, encap));
        }
        bed.put(
            |u| &mut u.chassis,
            uuid,
            Chassis { name: Str::from(name), encaps: set(&encaps), ..Default::default() },
        );
    }
    let ls = bed.datapath("ls", 1);
    bed.port(ls, "vm1", "", |pb| pb.chassis = Some(HV1));
    bed.vif("vm1");
    let (vm2, _) = bed.port(ls, "vm2", "", |pb| (pb.chassis, pb.tunnel_key) = (Some(HV2), 100));
    group(&mut bed, ls, &[vm2]);
    let flows: Vec<String> = new_flows(&bed, &[44]);
    assert_flows(
        &flows,
        &[
            "table=44, priority=100,reg10=0/0x2,reg15=0x8000,metadata=0x1 actions=set_field:0x1/0xffffff->tun_id,\
             set_field:0x8000->tun_metadata0,move:NXM_NX_REG14[0..14]->NXM_NX_TUN_METADATA0[16..30],\
             set_field:192.0.2.1->tun_src,set_field:192.0.2.22->tun_dst,output:2,resubmit(,45)",
            "table=44, priority=100,reg13=0/0xffff0000,reg15=0x64,metadata=0x1 actions=set_field:0x1/0xffffff->tun_id,\
             set_field:0x64->tun_metadata0,move:NXM_NX_REG14[0..14]->NXM_NX_TUN_METADATA0[16..30],\
             set_field:192.0.2.1->tun_src,set_field:192.0.2.22->tun_dst,output:2,resubmit(,46)",
        ],
    );
}

#[test]
fn a_vtep_gateway() {
    let mut bed = bed();
    let ls = bed.datapath("ls", 1);
    bed.port(ls, "vm1", "", |pb| pb.chassis = Some(HV1));
    bed.vif("vm1");
    bed.put(
        |u| &mut u.chassis,
        HV2,
        Chassis { name: Str::from("hv2"), other_config: map(&[("is-vtep", "true")]), ..Default::default() },
    );
    bed.bridge_port("ovn-hv2-0", |port, interface| {
        port.external_ids = map(&[("ovn-chassis-id", "hv2@192.0.2.2%192.0.2.1")]);
        interface.r#type = Str::from("vxlan");
    });
    let (vtep, _) = bed.port(ls, "gw", "vtep", |pb| (pb.chassis, pb.tunnel_key) = (Some(HV2), 100));
    let (elsewhere, _) = bed.port(ls, "vm3", "", |pb| pb.chassis = Some(HV3));
    group(&mut bed, ls, &[vtep, elsewhere]);
    let flows: Vec<String> = new_flows(&bed, &[0, 44])
        .into_iter()
        .filter(|flow| !flow.contains("icmp") && !flow.contains("in_port=4 "))
        .collect();
    assert_flows(
        &flows,
        &[
            "table=0, priority=110,tun_id=0x1,in_port=6 actions=move:NXM_NX_TUN_ID[0..23]->OXM_OF_METADATA[0..23],\
             set_field:0x64/0x7fff->reg14,set_field:0x2/0x2->reg10,resubmit(,8)",
            "table=0, priority=105,tun_id=0x800000/0x800000,in_port=6 actions=set_field:0x8000/0x8000->reg15,\
             move:NXM_NX_TUN_ID[12..22]->NXM_NX_REG15[0..10],move:NXM_NX_TUN_ID[0..11]->OXM_OF_METADATA[0..11],resubmit(,\
             46)",
            "table=0, priority=100,in_port=6 actions=move:NXM_NX_TUN_ID[12..23]->NXM_NX_REG15[0..11],\
             move:NXM_NX_TUN_ID[0..11]->OXM_OF_METADATA[0..11],resubmit(,46)",
            "table=44, priority=100,reg10=0/0x2,reg15=0x8000,metadata=0x1 actions=set_field:0x1/0xffffff->tun_id,\
             output:6,resubmit(,45)",
            "table=44, priority=100,reg13=0/0xffff0000,reg15=0x64,metadata=0x1 actions=set_field:ANY->in_port,\
             set_field:0x1/0xffffff->tun_id,output:6,resubmit(,45)",
        ],
    );
}

#[test]
fn other_availability_zones() {
    let mut bed = bed();
    bed.put(
        |u| &mut u.chassis,
        HV2,
        Chassis { name: Str::from("hv2"), other_config: map(&[("is-remote", "true")]), ..Default::default() },
    );
    bed.tunnel("hv2", "");
    let flows: Vec<String> = new_flows(&bed, &[0, 84])
        .into_iter()
        .filter(|flow| flow.contains("136") || flow.contains("arp") || flow.contains("table=84"))
        .collect();
    assert_flows(
        &flows,
        &[
            "table=0, priority=120,arp,tun_metadata0=0,in_port=2,arp_op=2 actions=set_field:0x10000/0x10000->reg10,\
             move:NXM_NX_TUN_ID[0..23]->OXM_OF_METADATA[0..23],move:NXM_NX_TUN_METADATA0[16..30]->NXM_NX_REG14[0..14],\
             move:NXM_NX_TUN_METADATA0[0..15]->NXM_NX_REG15[0..15],set_field:0x20000/0xffff0000->reg5,resubmit(,8)",
            "table=0, priority=120,icmp6,tun_metadata0=0,in_port=2,icmp_type=136,\
             icmp_code=0 actions=set_field:0x10000/0x10000->reg10,move:NXM_NX_TUN_ID[0..23]->OXM_OF_METADATA[0..23],\
             move:NXM_NX_TUN_METADATA0[16..30]->NXM_NX_REG14[0..14],\
             move:NXM_NX_TUN_METADATA0[0..15]->NXM_NX_REG15[0..15],set_field:0x20000/0xffff0000->reg5,resubmit(,8)",
            "table=84, priority=100,reg10=0/0x10000 actions=move:OXM_OF_METADATA[0..23]->NXM_NX_TUN_ID[0..23],\
             set_field:0->tun_metadata0,move:NXM_NX_REG14[0..14]->NXM_NX_TUN_METADATA0[16..30],output:2",
        ],
    );
}

#[test]
fn drops_may_be_sampled() {
    let mut bed = bed();
    let uuid = bed.uuid();
    bed.put_local(
        |u| &mut u.flow_sample_collector_set,
        uuid,
        FlowSampleCollectorSet { id: 3, bridge: BRIDGE, ..Default::default() },
    );
    bed.northd(&[("debug_drop_collector_set", "3"), ("debug_drop_domain_id", "2")]);
    assert_flows(
        &new_flows(&bed, &[0, 46, 47, 65]),
        &[
            "table=0, priority=0 actions=sample(probability=65535,collector_set_id=3,obs_domain_id=33554432,\
             obs_point_id=0)",
            "table=46, priority=0 actions=sample(probability=65535,collector_set_id=3,obs_domain_id=33554432,\
             obs_point_id=46)",
            "table=65, priority=0 actions=sample(probability=65535,collector_set_id=3,obs_domain_id=33554432,\
             obs_point_id=65)",
        ],
    );
}

/// Key of the port of that name.
fn key_of(bed: &Testbed, name: &str) -> i64 {
    let row = bed.ask(crate::facts::PortByName(Str::from(name))).unwrap();
    bed.agent.model().sb.port_binding.row(row).unwrap().tunnel_key
}

/// A multicast group of these ports.
fn group(bed: &mut Testbed, datapath: Uuid, ports: &[Uuid]) {
    let uuid = bed.uuid();
    let row = MulticastGroup { datapath, name: Str::from("_MC_flood"), tunnel_key: 0x8000, ports: set(ports) };
    bed.put(|u| &mut u.multicast_group, uuid, row);
}

#[test]
fn members_of_a_multicast_group() {
    let mut bed = bed();
    let (ls, lr) = (bed.datapath("ls", 1), bed.datapath("lr", 2));
    let [(patch, _), (foreign, _)] = bed.patch((ls, "ls"), (lr, "lr"), [&[], &[]]);
    let (vm1, _) = bed.port(ls, "vm1", "", |pb| pb.chassis = Some(HV1));
    bed.vif("vm1");
    bed.tunnel("hv2", "");
    bed.tunnel("hv3", "");
    let (md, _) = bed.port(ls, "md", "localport", |_| ());
    let (vm2, _) = bed.port(ls, "vm2", "", |pb| pb.chassis = Some(HV2));
    let (vm3, _) = bed.port(ls, "vm3", "", |pb| pb.chassis = Some(HV3));
    let (vm4, _) = bed.port(ls, "vm4", "", |pb| pb.chassis = Some(HV3));
    let (other, _) = bed.port(ls, "other", "remote", |pb| pb.chassis = Some(HV2));
    let (unbound, _) = bed.port(ls, "unbound", "", |_| ());
    group(&mut bed, ls, &[patch, vm1, md, vm2, vm3, vm4, other, unbound, foreign]);
    let flows = |bed: &Testbed| -> Vec<String> {
        new_flows(bed, &[44, 46]).into_iter().filter(|flow| flow.contains("reg15=0x8000,")).collect()
    };
    assert_flows(
        &flows(&bed),
        &[
            "table=44, priority=120,reg10=0x3/0x3,reg15=0x8000,metadata=0x1 actions=set_field:0x3->reg15,resubmit(,47),\
             set_field:0x8000->reg15,resubmit(,45)",
            "table=44, priority=100,reg10=0/0x2,reg15=0x8000,metadata=0x1 actions=set_field:0x3->reg15,resubmit(,47),\
             set_field:0xc->reg15,resubmit(,47),set_field:0x10->reg15,set_field:0x1/0xffffff->tun_id,\
             set_field:0x10->tun_metadata0,move:NXM_NX_REG14[0..14]->NXM_NX_TUN_METADATA0[16..30],output:9,\
             set_field:0x8000->reg15,set_field:0x1/0xffffff->tun_id,set_field:0x8000->tun_metadata0,\
             move:NXM_NX_REG14[0..14]->NXM_NX_TUN_METADATA0[16..30],output:11,output:9,resubmit(,45)",
            "table=46, priority=100,reg15=0x8000,metadata=0x1 actions=set_field:0x5/0xffff->reg13,set_field:0x5->reg15,\
             resubmit(,47),set_field:0x8000->reg15",
        ],
    );
    assert!(bed.agent.diagnostics().iter().any(|(_, line)| line.contains("on another datapath")));
    localnet(&mut bed, ls, |_| ());
    assert!(flows(&bed).iter().all(|flow| !flow.contains("output:") || flow.matches("output:").count() == 1));
}

/// Numbers that are the same in every run (the constants are Knuth's MMIX ones).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// All kinds of ports on two switches and a router, in one multicast group per switch, with two tunnels.
fn crowd() -> (Testbed, Vec<Uuid>, Vec<Uuid>) {
    let mut bed = bed();
    let (ls0, ls1, lr) = (bed.datapath("ls0", 1), bed.datapath("ls1", 2), bed.datapath("lr", 3));
    let mut ports: Vec<Uuid> = bed.patch((ls0, "ls0"), (lr, "lr"), [&[], &[]]).map(|(port, _)| port).to_vec();
    ports.extend(bed.patch((ls1, "ls1"), (lr, "lr"), [&[], &[]]).map(|(port, _)| port));
    for port in &ports {
        bed.change_port(*port, |pb| pb.mac = set(&[Str::from("00:00:00:00:00:01 10.0.0.1/24")]));
    }
    let mut interfaces = Vec::new();
    for (number, kind) in ["", "", "", "localport", "vtep", "external", "remote", "virtual"].into_iter().enumerate() {
        let datapath = [ls0, ls1][number % 2];
        let name = format!("p{number}");
        ports.push(bed.port(datapath, &name, kind, |_| ()).0);
        interfaces.push(bed.vif(&name));
    }
    ports.push(bed.port(ls0, "c1", "", |pb| (pb.parent_port, pb.tag) = (Some(Str::from("p0")), Some(5))).0);
    let (group, _) = bed.ha_group(&[(Some(HV1), 1), (Some(HV2), 2), (Some(HV3), 3)], &[]);
    let options = map(&[("distributed-port", "lr-ls0")]);
    ports.push(
        bed.port(lr, "cr-lr-ls0", "chassisredirect", |pb| (pb.options, pb.ha_chassis_group) = (options, Some(group))).0,
    );
    interfaces.extend([bed.tunnel("hv2", "up"), bed.tunnel("hv3", "up")]);
    localnet(&mut bed, ls1, |_| ());
    for datapath in [ls0, ls1] {
        let members: Vec<Uuid> = ports.clone();
        self::group(&mut bed, datapath, &members);
    }
    (bed, ports, interfaces)
}

/// What each unit reads is all that its flows depend on: computing everything again changes nothing, whatever happened before.
#[test]
fn changes_reach_all_flows_that_depend_on_them() {
    let chassis = [None, Some(HV1), Some(HV2), Some(HV3)];
    let options = [
        [("requested-chassis", "hv1")],
        [("requested-chassis", "hv2,hv1")],
        [("activation-strategy", "rarp")],
        [("is-nf", "true")],
        [("peer", "lr-ls0")],
        [("distributed-port", "lr-ls1")],
    ];
    let other_configs =
        [[("is-remote", "true")], [("is-vtep", "true")], [("ovn-chassis-mac-mappings", "phys:aa:aa:aa:aa:aa:01")]];
    for seed in 0..3 {
        let (mut bed, ports, interfaces) = crowd();
        let mut numbers = Numbers(seed);
        for step in 0..50 {
            let port = numbers.one_of(&ports);
            match numbers.below(9) {
                0 | 1 => {
                    let chassis = numbers.one_of(&chassis);
                    bed.change_port(port, |pb| pb.chassis = chassis);
                }
                2 => {
                    let additional = [set(&[]), set(&[HV1]), set(&[HV2, HV3])][numbers.below(3)].clone();
                    bed.change_port(port, |pb| pb.additional_chassis = additional);
                }
                3 => {
                    let options = map(&numbers.one_of(&options));
                    bed.change_port(port, |pb| pb.options = options);
                }
                4 => {
                    let (mtu, ofport) = (numbers.one_of(&[0, 1500]), numbers.one_of(&[-1, 40, 41]));
                    let interface = numbers.one_of(&interfaces);
                    bed.change_interface(interface, |row| (row.mtu, row.ofport) = (Some(mtu), Some(ofport)));
                }
                5 => bed.northd(&[("always_tunnel", numbers.one_of(&["true", "false"]))]),
                6 => {
                    let (uuid, name) = numbers.one_of(&[(HV1, "hv1"), (HV2, "hv2"), (HV3, "hv3")]);
                    let other_config = map(&numbers.one_of(&other_configs));
                    bed.put(
                        |u| &mut u.chassis,
                        uuid,
                        Chassis { name: Str::from(name), other_config, ..Default::default() },
                    );
                }
                7 => bed.setting("ovn-encap-ip", numbers.one_of(&["192.0.2.1", "192.0.2.1,192.0.2.9"])),
                _ => {
                    let key = numbers.below(40) as i64 + 100;
                    bed.change_port(port, |pb| pb.tunnel_key = key);
                }
            }
            let incremental = flows(&bed, &PHYSICAL);
            bed.agent.recompute();
            bed.agent.settle();
            assert_eq!(incremental, flows(&bed, &PHYSICAL), "seed {seed}, step {step}");
        }
    }
}

/// The tables with physical flows.
const PHYSICAL: [u8; 12] = [0, 42, 43, 44, 45, 46, 47, 64, 65, 80, 84, 85];
