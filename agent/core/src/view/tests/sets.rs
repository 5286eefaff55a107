//! What the languages take from other tables: sheet 02 sections 2.5 and 2.9.

use ovsdb::Str;
use ovsdb::tables::southbound::ChassisTemplateVar;

use crate::facts::{PortGroup, TemplateVariable};
use crate::view::testbed::{Testbed, map};

#[test]
fn a_port_group_is_reduced_to_the_related_ports() {
    let mut bed = Testbed::new();
    let ls = bed.datapath("ls", 7);
    for name in ["here", "there", "other"] {
        bed.port(ls, name, "", |_| {});
    }
    bed.port(ls, "router", "patch", |_| {});
    bed.vif("here");
    bed.port_group("7_pg", &["there", "here", "router", "unknown"]);
    let group = |bed: &Testbed, key, name: &str| {
        bed.ask(PortGroup(key, Str::from(name))).map(|ports| ports.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(group(&bed, 7, "pg"), Some(vec!["here".to_owned(), "router".to_owned()]));
    assert_eq!(group(&bed, 8, "pg"), None);
    bed.vif("there");
    assert_eq!(group(&bed, 7, "pg").map(|ports| ports.len()), Some(3));
}

#[test]
fn template_variables_are_those_of_this_chassis() {
    let mut bed = Testbed::new();
    for (chassis, value) in [("hv1", "one"), ("hv2", "two")] {
        let uuid = bed.uuid();
        let row = ChassisTemplateVar { chassis: Str::from(chassis), variables: map(&[("V", value)]) };
        bed.put(|u| &mut u.chassis_template_var, uuid, row);
    }
    assert_eq!(bed.ask(TemplateVariable(Str::from("V"))).as_deref(), Some("one"));
    assert_eq!(bed.ask(TemplateVariable(Str::from("W"))), None);
}
