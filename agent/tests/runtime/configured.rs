//! What the Northbound asks the switch's database for: queues, mirrors and interfaces.

use crate::common::topology::{A1, Topology};
use crate::common::{Agent, wait_until};

const OURS: [Agent; 2] = [Agent::Ours, Agent::Ours];

#[test]
fn rates_become_queues() {
    let topology = Topology::start(&OURS);
    let (cloud, hypervisor) = (&topology.cloud, &topology.cloud.hypervisors[0]);
    hypervisor.vsctl("set Open_vSwitch . external_ids:ovn-bridge-mappings=phys:br-phys");
    // Somebody's own queues on another port stay as they are.
    hypervisor.vsctl(
        "add-port br-phys other -- set Interface other type=internal \
         -- set Port other qos=@q -- --id=@q create QoS type=linux-htb queues:1=@u -- --id=@u create Queue other_config:max-rate=5",
    );
    let theirs = hypervisor.vsctl("get Port other qos");
    let ours = || hypervisor.find("_uuid", "QoS", "external_ids:ovn_qos=true");
    cloud.nbctl("lsp-set-options a1 qos_max_rate=800000 qos_burst=9000 qos_physical_network=phys");
    wait_until("a queue for a1", || !hypervisor.find("other_config", "Queue", "external_ids:ovn_port=a1").is_empty());
    let config = hypervisor.find("other_config", "Queue", "external_ids:ovn_port=a1");
    assert_eq!(config, "burst=9000 max-rate=800000 min-rate=0");
    let id = cloud.sb_find("options", "Port_Binding", "logical_port=a1");
    let id = id.split(' ').find_map(|option| option.strip_prefix("qdisc_queue_id=")).unwrap().to_owned();
    assert!(hypervisor.find("queues", "QoS", "external_ids:ovn_qos=true").starts_with(&format!("{id}=")));
    assert_eq!(hypervisor.vsctl("get Port to-hv2 qos"), ours(), "the interface to the other machines");

    cloud.nbctl("lsp-set-options a1 qos_max_rate=900000 qos_physical_network=phys");
    wait_until("the new rate", || {
        hypervisor.find("other_config", "Queue", "external_ids:ovn_port=a1") == "burst=0 max-rate=900000 min-rate=0"
    });
    topology.unplug(A1);
    wait_until("the queue to go with the port", || {
        ours().is_empty() && hypervisor.find("_uuid", "Queue", "external_ids:ovn_port=a1").is_empty()
    });
    assert_eq!(hypervisor.vsctl("get Port to-hv2 qos"), "[]");
    assert_eq!(hypervisor.vsctl("get Port other qos"), theirs);
    topology.plug(A1);
    wait_until("a queue for a1", || !hypervisor.find("_uuid", "Queue", "external_ids:ovn_port=a1").is_empty());
    cloud.nbctl("lsp-set-options a1");
    wait_until("no queue without rates", || ours().is_empty());
    assert_eq!(hypervisor.logged(&["|WARN|", "transaction failed"]), Vec::<String>::new());
}

#[test]
fn mirrors_follow_their_ports() {
    let topology = Topology::start(&OURS);
    let cloud = &topology.cloud;
    let (first, second) = (&cloud.hypervisors[0], &cloud.hypervisors[1]);
    first.vsctl("-- --id=@m create Mirror name=theirs -- add Bridge br-int mirrors @m");
    cloud.nbctl("mirror-add m gre 5 to-lport 192.168.0.9 -- lsp-attach-mirror a1 m");
    let options = || first.vsctl("--if-exists get Interface ovn-m options");
    wait_until("the mirror", || options() == r#"{key="5", remote_ip="192.168.0.9"}"#);
    let port = |name: &str| first.find("_uuid", "Port", &format!("name={name}"));
    assert_eq!(first.find("output_port", "Mirror", "name=m"), port("ovn-m"));
    assert_eq!(first.find("select_dst_port", "Mirror", "name=m"), port("a1"));
    assert_eq!(first.find("select_src_port", "Mirror", "name=m"), "");
    wait_until("the switch to have the port", || {
        first.vsctl("get Interface ovn-m ofport").parse::<u16>().is_ok()
            && first.vsctl("get Interface ovn-m error") == "[]"
    });
    assert_eq!(second.find("_uuid", "Mirror", ""), "", "a1 is not there");

    let row = cloud.nbctl("--bare --columns=_uuid find Mirror name=m");
    cloud.nbctl(&format!("set Mirror {row} sink=192.168.0.8 type=erspan filter=from-lport"));
    wait_until("the mirror to change", || options().contains("erspan_idx=\"5\"") && options().contains("192.168.0.8"));
    assert_eq!(first.vsctl("get Interface ovn-m type"), "erspan");
    wait_until("the other direction", || first.find("select_src_port", "Mirror", "name=m") == port("a1"));
    let only_theirs = || first.find("name", "Mirror", "") == "theirs" && port("ovn-m").is_empty();
    topology.unplug(A1);
    wait_until("the mirror to go with the port", only_theirs);
    topology.plug(A1);
    wait_until("the mirror to come with the port", || !port("ovn-m").is_empty());
    cloud.nbctl("mirror-del m");
    wait_until("the mirror to go", only_theirs);
    assert_eq!(first.logged(&["|WARN|", "transaction failed"]), Vec::<String>::new());
}

#[test]
fn an_interface_is_plugged_in_where_it_is_asked_for() {
    let mut topology = Topology::start_idle(&OURS);
    for hypervisor in &mut topology.cloud.hypervisors {
        hypervisor.agent_arguments = vec!["--enable-dummy-vif-plug".to_owned()];
        hypervisor.start_agent();
    }
    let cloud = &topology.cloud;
    let interface = |number: usize, column: &str| {
        let name = "plugged-in-by-the-cms".get(..15).unwrap();
        cloud.hypervisors[number - 1].vsctl(&format!("--if-exists get Interface {name} {column}"))
    };
    cloud.nbctl(
        "lsp-add sa plugged-in-by-the-cms -- lsp-set-addresses plugged-in-by-the-cms 02:00:00:00:00:07 \
         -- lsp-set-options plugged-in-by-the-cms requested-chassis=hv1 vif-plug-type=dummy vif-plug-mtu-request=1400",
    );
    cloud.wait_up("plugged-in-by-the-cms");
    let ids = interface(1, "external_ids");
    for id in ["iface-id=plugged-in-by-the-cms", "ovn-plugged=dummy", "ovn-installed=\"true\""] {
        wait_until(id, || interface(1, "external_ids").contains(id));
    }
    assert_eq!(interface(1, "type"), "internal", "{ids}");
    assert_eq!(interface(1, "mtu_request"), "1400");
    assert_eq!(interface(1, "options"), "{vif-plug-dummy-option=value}");
    assert_eq!(interface(2, "name"), "");
    // What somebody changes by hand is put right, and only that.
    cloud.hypervisors[0].vsctl("set Interface plugged-in-by-t options:vif-plug-dummy-option=x options:other=y");
    wait_until("the option to be as it was", || interface(1, "options") == "{other=y, vif-plug-dummy-option=value}");
    cloud.nbctl("lsp-set-options plugged-in-by-the-cms requested-chassis=hv2 vif-plug-type=dummy");
    wait_until("the interface to move", || interface(1, "name").is_empty() && !interface(2, "name").is_empty());
    cloud.wait_up("plugged-in-by-the-cms");
    assert_eq!(interface(2, "mtu_request"), "[]");
    cloud.nbctl("lsp-del plugged-in-by-the-cms");
    wait_until("the interface to go with its port", || interface(2, "name").is_empty());
    cloud.sync();
    let plugging = |number: usize, what: &str| {
        let log = cloud.hypervisors[number - 1].database.log();
        log.lines().filter(|line| line.contains("received request") && line.contains(what)).count()
    };
    for number in [1, 2] {
        assert_eq!((plugging(number, "Plugging port"), plugging(number, "Unplugging port")), (1, 1), "on hv{number}");
    }
}
