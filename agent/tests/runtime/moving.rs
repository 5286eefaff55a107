//! A port that moves: for a while it is on two chassis (requested-chassis=hv1,hv2). The new one is blocked until the workload shows that it
//! has arrived (activation-strategy), the two sides use tunnels although there is a physical network, and packets
//! that do not fit into a tunnel are answered.

use crate::common::packets::{Udp, arp_request, captured};
use crate::common::{Agent, Cloud, Hypervisor, wait_until};

/// VLAN of the physical network.
const TAG: u16 = 33;
/// What fits into a Geneve tunnel over IPv4 below a port with an MTU of 1500, as OVN counts: octets of a frame.
const FITS: usize = 1442;

/// A port by its number: `a1` on hv1, `a2` on hv2, and `m`, which moves.
#[derive(Clone, Copy)]
struct End(u8);

const A1: End = End(1);
const A2: End = End(2);
const M: End = End(9);

impl End {
    fn mac(self) -> [u8; 6] {
        [0x50, 0x54, 0, 0, 0, self.0]
    }

    fn address(self) -> [u8; 4] {
        [10, 0, 0, self.0]
    }

    fn text(self) -> String {
        format!("50:54:00:00:00:{:02x} 10.0.0.{}", self.0, self.0)
    }

    fn to(self, to: End, payload: &str) -> Vec<u8> {
        let (from_mac, to_mac, from, to) = (self.mac(), to.mac(), self.address(), to.address());
        Udp { from_mac, to_mac, from, to, from_port: 1, to_port: 2, ttl: 64, payload: payload.to_owned() }.frame()
    }
}

/// What a machine sends that has just been resumed.
fn rarp(mac: [u8; 6]) -> Vec<u8> {
    let arp = [0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3];
    [&[0xff; 6][..], &mac, &arp, &mac, &[0; 4], &mac, &[0; 4]].concat()
}

/// Two hypervisors on one physical network, and a switch with ports on both that it connects.
fn start() -> Cloud {
    let mut cloud = Cloud::start_idle(&[Agent::Ours, Agent::Ours]);
    cloud.nbctl(&format!(
        "ls-add net -- lsp-add net ln -- lsp-set-type ln localnet -- lsp-set-options ln network_name=phys \
         -- set Logical_Switch_Port ln tag={TAG}"
    ));
    for (name, end, options) in
        [("a1", A1, ""), ("a2", A2, ""), ("m", M, "requested-chassis=hv1,hv2 activation-strategy=rarp")]
    {
        cloud.nbctl_words(&["lsp-add", "net", name, "--", "lsp-set-addresses", name, &end.text()]);
        cloud.nbctl(&format!("lsp-set-options {name} {options}"));
    }
    cloud.nbctl_words(&["lsp-set-addresses", "ln", "unknown"]);
    for hypervisor in &mut cloud.hypervisors {
        hypervisor.vsctl(
            "set Open_vSwitch . external_ids:ovn-bridge-mappings=phys:br-phys -- add-br br-int \
             -- set Bridge br-int fail_mode=secure",
        );
        hypervisor.start_agent();
    }
    for (number, own) in [(1, "a1"), (2, "a2")] {
        let hypervisor = cloud.hv(number);
        let wire = hypervisor.folder.join("wire.pcap").display().to_string();
        let uplink = if number == 1 { "to-hv2" } else { "up" };
        hypervisor.vsctl(&format!("set Interface {uplink} options:tx_pcap={wire}"));
        hypervisor.add_vif(own, own);
        hypervisor.add_vif("m", "m");
    }
    cloud.sync();
    for name in ["a1", "a2", "m"] {
        cloud.wait_up(name);
    }
    cloud
}

/// Packets that the flows of a table with this priority have seen.
fn counted(hypervisor: &Hypervisor, table: u8, priority: u16) -> u64 {
    let parts = [format!(" table={table},"), format!(" priority={priority},")];
    let flows = hypervisor.ofctl(&["--no-names", "dump-flows"]);
    let lines = flows.lines().filter(|line| parts.iter().all(|part| line.contains(part)));
    lines.filter_map(|line| line.split("n_packets=").nth(1)?.split(',').next()?.parse::<u64>().ok()).sum()
}

/// The names of the chassis of `m`: the main one, and the additional ones.
fn chassis(cloud: &Cloud) -> (String, String) {
    let name = |uuid: &str| cloud.sbctl(&format!("get Chassis {uuid} name"));
    let of = |column: &str| {
        let uuids = cloud.sb_find(column, "Port_Binding", "logical_port=m");
        uuids.split_whitespace().map(name).collect::<Vec<_>>().join(" ")
    };
    (of("chassis"), of("additional_chassis"))
}

fn wait_chassis(cloud: &Cloud, main: &str, additional: &str) {
    wait_until(&format!("m on {main} and {additional}"), || chassis(cloud) == (main.to_owned(), additional.to_owned()));
    cloud.sync();
}

/// Sends a frame and waits until it has come out of a port, once.
fn check(cloud: &Cloud, from: (usize, &str), to: (usize, &str), frame: &[u8]) {
    cloud.hypervisors[from.0 - 1].send(from.1, frame);
    cloud.hypervisors[to.0 - 1].wait_received(to.1, frame);
    assert_eq!(cloud.hypervisors[to.0 - 1].received(to.1, frame), 1, "{from:?} to {to:?}");
}

/// Nothing goes into or comes out of `m` on this hypervisor, where it is an additional port; others reach it where it is the main one.
fn blocked(cloud: &Cloud, number: usize) {
    let (here, there) = (&cloud.hypervisors[number - 1], 3 - number);
    let own = [("a1", A1), ("a2", A2)];
    let ((name, end), (other, far)) = (own[number - 1], own[2 - number]);
    let lost = M.to(end, "too early");
    here.send("m", &lost);
    let frame = end.to(M, "not here yet");
    check(cloud, (number, name), (there, "m"), &frame);
    let second = far.to(M, "not there yet");
    check(cloud, (there, other), (there, "m"), &second);
    let last = far.to(end, "behind them");
    check(cloud, (there, other), (number, name), &last);
    for frame in [frame, second] {
        assert_eq!(here.received("m", &frame), 0, "m on hv{number} gets nothing yet");
    }
    assert_eq!(here.received(name, &lost), 0, "m on hv{number} sends nothing yet");
}

/// The workload shows that it has arrived; `frame` is what it sends.
fn activate(cloud: &Cloud, number: usize, frame: &[u8]) {
    let hypervisor = &cloud.hypervisors[number - 1];
    let before = counted(hypervisor, 0, 1010);
    hypervisor.send("m", frame);
    // Whoever gets it from the switch writes that; here that is the test, unless somebody has.
    wait_until("the activating packet", || counted(hypervisor, 0, 1010) > before || counted(hypervisor, 0, 1000) == 0);
    let name = &hypervisor.name;
    let row = cloud.sb_find("_uuid", "Port_Binding", "logical_port=m");
    let activated = cloud.sbctl(&format!("--if-exists get Port_Binding {row} options:additional-chassis-activated"));
    if !activated.contains(name.as_str()) {
        cloud.sbctl(&format!("set Port_Binding {row} options:additional-chassis-activated={name}"));
    }
    wait_until("the way to be free", || !hypervisor.flows().iter().any(|flow| flow.contains("priority=1000,")));
}

/// Between the chassis of a port that moves and others there are only tunnels, and what does not fit goes to the controller.
fn tunnels_only(cloud: &Cloud) {
    let hypervisor = &cloud.hypervisors[0];
    check(cloud, (1, "m"), (2, "a2"), &M.to(A2, "in a tunnel"));
    let is_plain = |frame: &Vec<u8>| frame.get(12..14) == Some(&[0x81, 0]) && frame.get(6..12) == Some(&M.mac());
    assert!(!captured(&hypervisor.folder.join("wire.pcap")).iter().any(is_plain), "m is reached through tunnels only");

    let of_length = |length: usize, payload: char| M.to(A2, &payload.to_string().repeat(length - M.to(A2, "").len()));
    let (small, large) = (of_length(FITS, 's'), of_length(FITS + 1, 'l'));
    hypervisor.send("m", &large);
    check(cloud, (1, "m"), (2, "a2"), &small);
    assert_eq!(cloud.hypervisors[1].received("a2", &large), 0, "it would not fit");
}

#[test]
fn a_port_moves_to_another_hypervisor_and_back() {
    let cloud = start();
    wait_chassis(&cloud, "hv1", "hv2");
    for hypervisor in &cloud.hypervisors {
        hypervisor.wait_translated(&cloud.sb);
    }
    blocked(&cloud, 2);
    tunnels_only(&cloud);
    activate(&cloud, 2, &rarp(M.mac()));
    // Both have it: what is sent to it is delivered twice.
    let frame = A1.to(M, "on both");
    check(&cloud, (1, "a1"), (2, "m"), &frame);
    assert_eq!(cloud.hypervisors[0].received("m", &frame), 1);
    check(&cloud, (2, "m"), (1, "a1"), &M.to(A1, "from where it is going"));

    let installed = |number: usize| {
        cloud.hypervisors[number - 1].vsctl("--if-exists get Interface m external_ids:ovn-installed").contains("true")
    };
    wait_until("ovn-installed on both", || installed(1) && installed(2));
    cloud.nbctl("lsp-set-options m requested-chassis=hv2");
    wait_chassis(&cloud, "hv2", "");
    wait_until("ovn-installed on hv2 only", || !installed(1) && installed(2));
    cloud.wait_up("m");
    let frame = A1.to(M, "moved");
    check(&cloud, (1, "a1"), (2, "m"), &frame);
    assert_eq!(cloud.hypervisors[0].received("m", &frame), 0);

    // Back; this time it announces itself by ARP.
    cloud.nbctl("lsp-set-options m requested-chassis=hv2,hv1 activation-strategy=garp,na");
    wait_chassis(&cloud, "hv2", "hv1");
    blocked(&cloud, 1);
    activate(&cloud, 1, &arp_request(M.mac(), M.address(), M.address()));
    check(&cloud, (2, "a2"), (1, "m"), &A2.to(M, "back on hv1"));
    // The host that it leaves takes the interface away itself.
    cloud.hypervisors[1].remove_vif("m");
    cloud.nbctl("lsp-set-options m requested-chassis=hv1");
    wait_chassis(&cloud, "hv1", "");
    cloud.wait_up("m");
    check(&cloud, (2, "a2"), (1, "m"), &A2.to(M, "settled"));
    for hypervisor in &cloud.hypervisors {
        hypervisor.wait_translated(&cloud.sb);
        assert_eq!(hypervisor.logged(&["|WARN|", "transaction failed"]), Vec::<String>::new());
    }
}
