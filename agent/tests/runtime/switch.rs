//! A switch that others change, that refuses something, that is taken away, and an agent that is killed while it writes: what it
//! should have it has afterwards, and nothing was sent that did not have to be.

use crate::common::process::{Mark, run, wait_within};
use crate::common::topology::{A1, Topology};
use crate::common::{Agent, Hypervisor, wait_until};
use std::time::Duration;

const OURS: [Agent; 2] = [Agent::Ours, Agent::Ours];

/// `ovs-ofctl COMMAND br-int FILE` with these lines.
fn ofctl_file(hypervisor: &Hypervisor, command: &[&str], lines: &[String]) {
    let file = hypervisor.folder.join("flows.txt");
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    let bridge = format!("unix:{}", hypervisor.folder.join("br-int.mgmt").display());
    let file = file.display().to_string();
    let arguments = [&["-O", "OpenFlow15"], command, &[bridge.as_str(), file.as_str()]].concat();
    run("ovs-ofctl", &hypervisor.folder, &arguments);
}

/// An ACL on `sa` over an address set of so many addresses: as many flows, and a few more.
pub fn many_flows(topology: &Topology, count: usize, third: u8) {
    let cloud = &topology.cloud;
    let addresses = addresses(count, third);
    if cloud.nbctl("--bare --columns=name find Address_Set name=many").is_empty() {
        cloud.nbctl(&format!("create Address_Set name=many addresses={addresses}"));
        cloud.nbctl_words(&["acl-add", "sa", "from-lport", "900", "ip4.src == $many && udp.dst == 9", "drop"]);
    } else {
        cloud.nbctl(&format!("set Address_Set many addresses={addresses}"));
    }
}

/// Addresses that no range covers.
fn addresses(count: usize, third: u8) -> String {
    let all: Vec<String> = (0..count).map(|n| format!("10.{}.{third}.{}", n / 100, n % 100 * 2 + 1)).collect();
    all.join(",")
}

fn counter(hypervisor: &Hypervisor, name: &str) -> u64 {
    hypervisor.agent_appctl(&["coverage/read-counter", name]).unwrap().trim().parse().unwrap()
}

#[test]
fn what_others_do_to_the_switch_is_found_and_repaired() {
    let topology = Topology::start(&OURS);
    let cloud = &topology.cloud;
    cloud.nbctl("lb-add lb 10.0.1.100:80 10.0.2.1:80,10.0.2.2:80 -- ls-lb-add sa lb");
    cloud.nbctl("meter-add slow drop 10 pktps");
    cloud.nbctl_words(&["--log", "--meter=slow", "acl-add", "sa", "from-lport", "1000", "udp.dst == 7", "drop"]);
    many_flows(&topology, 1_200, 1);
    cloud.sync();
    let hypervisor = &cloud.hypervisors[0];
    hypervisor.wait_translated(&cloud.sb);
    let before = hypervisor.state();

    // Without cookie and actions.
    let deletion = |line: &String| {
        let start = line.find("table=").unwrap();
        format!("delete_strict {}", line[start..].split(" actions=").next().unwrap())
    };
    let of_the_set = before.flows.iter().filter(|line| line.contains("nw_src=10.") && line.contains("tp_dst=9"));
    let gone: Vec<String> = of_the_set.take(1_000).map(deletion).collect();
    assert_eq!(gone.len(), 1_000);
    ofctl_file(hypervisor, &["add-flows"], &gone);
    let foreign = || -> Vec<String> {
        (0..1_000).map(|n| format!("cookie={n:#x},table={},priority=77,in_port={n},actions=drop", n % 60)).collect()
    };
    ofctl_file(hypervisor, &["add-flows"], &foreign());
    // Such as the switch learns: it stays.
    let learned = "table=69,priority=5,tcp,actions=drop".to_owned();
    ofctl_file(hypervisor, &["add-flows"], &[learned]);
    hypervisor.ofctl(&["del-meters"]);
    let group = before.groups[0].split(',').next().unwrap().trim().to_owned();
    let bridge = format!("unix:{}", hypervisor.folder.join("br-int.mgmt").display());
    run("ovs-ofctl", &hypervisor.folder, &["-O", "OpenFlow15", "del-groups", &bridge, &group]);
    let drifted = hypervisor.flows().len();
    assert!(drifted < before.flows.len() + 1, "the flows of the meters and of the group went with them");
    let missing = before.flows.len() + 1_001 - drifted;

    let openflow = hypervisor.watch_openflow();
    let start = std::time::Instant::now();
    hypervisor.agent_appctl(&["audit/run"]).unwrap();
    wait_until("the repair", || hypervisor.state().flows.len() == before.flows.len() + 1);
    let took = start.elapsed().as_millis();
    let mut after = hypervisor.state();
    let with_learned = after.flows.clone();
    after.flows.retain(|line| !line.contains("table=69, priority=5"));
    assert_eq!(after, before);
    wait_until("the end of the pass", || counter(hypervisor, "switch_audit_pass") > 0);
    let found = ["flow_missing", "flow_changed", "flow_foreign", "group", "meter"]
        .map(|name| counter(hypervisor, &format!("switch_audit_{name}")));
    assert_eq!(found, [missing as u64, 0, 1_000, 1, before.meters.len() as u64]);
    let sent = hypervisor.modifications_since(&openflow);
    let flow_mods = sent.iter().filter(|line| line.contains("FLOW_MOD")).count();
    assert_eq!(flow_mods, missing + 1_000, "nothing else was touched");
    assert_eq!(hypervisor.logged(&["audit: somebody else changed the switch", "1000 foreign"]).len(), 1);

    let openflow = hypervisor.watch_openflow();
    let passes = counter(hypervisor, "switch_audit_pass");
    hypervisor.agent_appctl(&["audit/run"]).unwrap();
    wait_until("another pass", || counter(hypervisor, "switch_audit_pass") > passes);
    assert_eq!(hypervisor.modifications_since(&openflow), Vec::<String>::new());
    assert!(hypervisor.agent_appctl(&["audit/show"]).unwrap().starts_with("audit: idle\n"));
    println!("{missing} flows missing and 1000 foreign: repaired in {took} ms, {} messages", sent.len());

    // And nobody asks for it.
    hypervisor.vsctl("set Open_vSwitch . external_ids:ovn-agent-audit-interval=4000");
    ofctl_file(hypervisor, &["add-flows"], &gone);
    ofctl_file(hypervisor, &["add-flows"], &foreign());
    let start = std::time::Instant::now();
    wait_until("the repair", || hypervisor.flows() == with_learned);
    println!("the same within an interval of 4000 ms: repaired after {} ms", start.elapsed().as_millis());
}

#[test]
fn what_the_switch_refuses_costs_itself_alone() {
    let topology = Topology::start(&OURS);
    let cloud = &topology.cloud;
    many_flows(&topology, 3_000, 1);
    cloud.sync();
    let hypervisor = &cloud.hypervisors[0];
    hypervisor.wait_translated(&cloud.sb);
    let before = hypervisor.flows();
    let connections = hypervisor.logged(&["br-int.mgmt: connected"]).len();

    // Ids of samples out of registers came with Open vSwitch 3.4; one older refuses the flow.
    let openflow = hypervisor.watch_openflow();
    cloud.northd_appctl("pause");
    hypervisor.vsctl("-- --id=@b get Bridge br-int -- create Flow_Sample_Collector_Set id=1 bridge=@b");
    let datapath = cloud.sb_find("_uuid", "Datapath_Binding", "external_ids:name=sa");
    let row = |priority: u32, action: &str| {
        let answer = cloud.sb.transact(&format!(
            r#"["OVN_Southbound",{{"op":"insert","table":"Logical_Flow","row":{{"logical_datapath":["uuid","{datapath}"],
            "pipeline":"ingress","table_id":3,"priority":{priority},"match":"ip4","actions":"{action}"}}}}]"#
        ));
        answer.split('"').find(|word| word.len() == 36).unwrap().to_owned()
    };
    let bad = row(7, "sample(probability=9,collector_set=1,obs_domain=0,obs_point=reg3); next;");
    wait_until("a refusal", || !hypervisor.logged(&["refused by the switch"]).is_empty());
    row(8, "next;");
    wait_until("another flow", || hypervisor.flows().len() == before.len() + 1);
    let lines = hypervisor.logged(&["refused by the switch"]);
    assert!(
        matches!(&lines[..], [line] if line.contains(&format!("Logical_Flow {bad}")) && line.contains("OFPB")),
        "{lines:#?}"
    );
    println!("{}", lines[0]);
    let sent = hypervisor.modifications_since(&openflow);
    assert_eq!(sent.len(), 2, "the others are not sent again: {sent:#?}");
    assert!(
        hypervisor.agent_appctl(&["audit/show"]).unwrap().contains(&format!("quarantined: flow of Logical_Flow {bad}"))
    );
    cloud.resume_northd();
    wait_until("northd to remove what is not its", || hypervisor.flows() == before);

    // A table that has no room for all.
    let table = before.iter().find(|line| line.contains("tp_dst=9")).unwrap();
    let table = table.split("table=").nth(1).unwrap().split(',').next().unwrap();
    let there = before.iter().filter(|line| line.contains(&format!("table={table},"))).count();
    hypervisor.vsctl(&format!(
        "set Bridge br-int flow_tables:{table}=@t -- --id=@t create Flow_Table flow_limit={} overflow_policy=refuse",
        there + 50
    ));
    many_flows(&topology, 3_200, 1);
    cloud.sync();
    let full = format!("table {table} of the switch is full");
    wait_until("a word about the table", || !hypervisor.logged(&[&full]).is_empty());
    println!("{}", hypervisor.logged(&[&full])[0]);
    let count = || hypervisor.flows().iter().filter(|line| line.contains(&format!("table={table},"))).count();
    assert_eq!(count(), there + 50, "as many as there is room for");
    topology.check_traffic("beside flows that are missing");
    many_flows(&topology, 3_000, 1);
    cloud.sync();
    wait_until("the flows that are still wanted", || hypervisor.flows() == before);
    assert_eq!(hypervisor.logged(&["br-int.mgmt: connected"]).len(), connections, "the connection stays");
    assert_eq!(hypervisor.logged(&["connection to the switch lost"]), Vec::<String>::new());
}

/// How much the switch has logged about messages of bundles since the mark.
pub fn bundled(hypervisor: &Hypervisor, mark: &Mark) -> usize {
    hypervisor.openflow_since(mark, &["OFPT_BUNDLE_ADD_MESSAGE"]).len()
}

/// `OVN_TEST_KILLS`: how often; the tests of a change do it a few times.
#[test]
fn an_agent_that_is_killed_while_it_writes() {
    let kills: usize = std::env::var("OVN_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    let mut topology = Topology::start(&OURS);
    many_flows(&topology, 2_000, 0);
    topology.cloud.sync();
    topology.cloud.hypervisors[0].wait_translated(&topology.cloud.sb);
    let mut sent_in_all = 0;
    for kill in 0..kills {
        topology.cloud.hv(1).kill_agent();
        // Every address is another: as many flows to add as to delete.
        many_flows(&topology, 2_000, kill as u8 + 1);
        topology.cloud.nbctl("--wait=sb sync");
        let openflow = topology.cloud.hv(1).watch_openflow();
        topology.cloud.hv(1).start_agent();
        // A different point each time, from before the first message to after the last.
        let point = (kill * 2_654_435_761) % 4_300;
        let hypervisor = &topology.cloud.hypervisors[0];
        let ended = || !hypervisor.openflow_since(&openflow, &["COMMIT_REQUEST"]).is_empty();
        wait_within(Duration::from_secs(60), "the point to kill at", || {
            bundled(hypervisor, &openflow) >= point || ended()
        });
        let hypervisor = topology.cloud.hv(1);
        hypervisor.kill_agent();
        hypervisor.start_agent();
        hypervisor.wait_ready();
        let sent = hypervisor.modifications_since(&openflow).len();
        assert_eq!(sent, 4_000, "killed after {point} messages: what differs was sent once");
        sent_in_all += sent;
        let openflow = hypervisor.watch_openflow();
        hypervisor.kill_agent();
        hypervisor.start_agent();
        hypervisor.wait_ready();
        assert_eq!(hypervisor.modifications_since(&openflow), Vec::<String>::new(), "nothing is left to send");
    }
    topology.cloud.sync();
    topology.cloud.hypervisors[0].wait_translated(&topology.cloud.sb);
    topology.check_traffic("after all");
    println!("killed {kills} times in the middle of a bundle: {sent_in_all} flow mods for as many differences");
}

#[test]
fn the_bridge_is_deleted_and_its_settings_are_changed() {
    let topology = Topology::start(&OURS);
    let hypervisor = &topology.cloud.hypervisors[0];
    let start = std::time::Instant::now();
    hypervisor.vsctl("del-br br-int");
    topology.plug(A1);
    topology.cloud.sync();
    topology.wait_tunnel(1, 2);
    hypervisor.wait_translated(&topology.cloud.sb);
    println!("another bridge works after {} ms", start.elapsed().as_millis());
    topology.check_traffic("through another bridge");

    // Open vSwitch drops all flows of a bridge that is to work without a controller.
    hypervisor.vsctl("set-fail-mode br-int standalone");
    wait_until("fail_mode as it was", || hypervisor.vsctl("get-fail-mode br-int") == "secure");
    hypervisor.wait_translated(&topology.cloud.sb);

    let openflow = hypervisor.watch_openflow();
    for protocols in ["OpenFlow10", "OpenFlow13,OpenFlow14", "OpenFlow10,OpenFlow13,OpenFlow15"] {
        hypervisor.vsctl(&format!("set Bridge br-int protocols={protocols}"));
    }
    topology.cloud.sync();
    hypervisor.wait_translated(&topology.cloud.sb);
    topology.check_traffic("after other protocols");
    assert_eq!(hypervisor.modifications_since(&openflow), Vec::<String>::new(), "the flows were there");
}
