//! The packaged ovn-controller and our agent on the same Southbound and on equal local databases: they claim the same rows, they
//! make the same of the local database, and per logical datapath they install the same flows.
//!
//! One after the other, under one name, so that they claim the same: the packaged agent settles, is observed and exits, which
//! releases what it had; then ours starts on a second hypervisor whose database was made by the same commands. What is compared is
//! everything where both are of one release, 26.03: flows, groups and meters of all tables, up to numbers that are given out in the
//! order of events. An older ovn-controller is compared in the logical pipelines and in the tables of look-ups, by the numbers of
//! its tables ([`layout`]) and after the differences between the releases, each of which is a rule ([`rules`]) that counts what it
//! makes equal. Any other difference fails the test and is shown by datapath, with the logical flow.
//!
//! The packaged agent is that of the machine, or, with `OVN_TEST_ROOT`, that of another installation's root folder:
//!
//! ```text
//! debootstrap --include=ovn-central,ovn-host,openvswitch-switch sid ROOT
//! OVN_TEST_ROOT=ROOT cargo test -p ovn-agent --test peer -- --nocapture
//! ```
//!
//! `OVN_AGENT_BIN` names another program of ours, `OVN_TEST_KEEP` keeps the sandbox. With `--nocapture` each topology prints how many
//! flows were compared and how often each rule was needed.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failed unwrap is a failed test; figures are printed")]

#[path = "../common/mod.rs"]
mod common;
mod comparison;
mod coverage;
mod layout;
mod numbers;
mod observation;
mod rules;
mod topology;

use common::{Agent, Cloud};
use comparison::compare;
use observation::{release, settled};

/// Flows shown for each datapath that differs.
const SHOWN: usize = 10;

/// Runs both agents on a topology, and compares.
fn peer(name: &str, text: &str) {
    let packaged_release = layout::packaged();
    let mut cloud = Cloud::start_idle(&[Agent::Packaged, Agent::Ours]);
    // Two of the same: by name, addresses and ports.
    cloud.hypervisors[0].vsctl("del-port br-phys to-hv2");
    cloud.hypervisors[1].vsctl("del-port br-phys up");
    cloud.hypervisors[1].vsctl(
        "set Open_vSwitch . external_ids:system-id=hv1 external_ids:ovn-encap-ip=192.168.0.1 \
         -- set Bridge br-phys other_config:hwaddr=aa:55:00:00:00:01",
    );
    topology::build(&cloud, text, packaged_release);
    for hypervisor in &cloud.hypervisors {
        topology::plug(hypervisor, text, packaged_release);
    }
    let packaged = settled(&mut cloud, 1);
    release(&mut cloud, 1);
    let ours = settled(&mut cloud, 2);
    let result = compare(&packaged, &ours, packaged_release);
    println!("{name}: beside OVN {packaged_release}, {} flows; {:#?}", result.flows, result.normalised);
    assert!(result.is_equal(), "{name}: beside OVN {packaged_release}:\n{}", result.show(SHOWN, &ours.lflows));
    assert!(result.flows > 100 && result.datapaths > 0, "{name}: nothing was compared");
}

macro_rules! topologies {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            peer(stringify!($name), include_str!(concat!("topologies/", stringify!($name), ".txt")));
        })*
    };
}

topologies! { switch router load_balancers services ports qos routes gateways encaps interconnect }
