//! Sinks of local mirrors: sheet 01 section 7.2.

use ovsdb::tables::southbound;

use super::local;
use crate::view::testbed::{Testbed, map, set};
use crate::writeback::WriteKey;

#[test]
fn of_two_interfaces_with_one_mirror_id_the_first_has_it() {
    let mut bed = Testbed::new();
    let ls = bed.datapath("ls", 1);
    let mirror = bed.uuid();
    let row = southbound::Mirror {
        name: "m".into(),
        r#type: "local".into(),
        filter: "both".into(),
        sink: "tap".into(),
        ..Default::default()
    };
    bed.put(|u| &mut u.mirror, mirror, row);
    bed.port(ls, "p", "", |pb| pb.mirror_rules = set(&[mirror]));
    bed.vif("p");
    let mut sink =
        |name: &str| bed.bridge_port(name, |_, interface| interface.external_ids = map(&[("mirror-id", "tap")])).0;
    let (first, second) = (sink("tap0"), sink("tap1"));
    assert!(first < second, "otherwise this tests something else");
    let wanted = local(&bed, WriteKey::Mirrors);
    assert!(wanted.contains(&format!("output_port set uuid {first}")), "{wanted}");
    let said = bed.agent.write(&WriteKey::Mirrors).diagnostics;
    let expected = "Invalid configuration: same mirror-id [tap] is configured on interfaces of ports: [tap1] and [tap0]. \
                    Ignoring the configuration on interface [tap1]";
    assert_eq!(said, [expected]);
}
