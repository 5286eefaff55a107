//! The Open_vSwitch row: vlan-limit, our index among several chassis on one host, and the row of our bridge's datapath, through
//! which Open vSwitch says what it can do. Sheet 01 section 2.5.

use ovsdb::Str;
use ovsdb::datum::{Datum, Value};
use ovsdb::tables::Tracked;
use ovsdb::transaction::Mutator;

use super::operations::set_entries;
use crate::facts::ChassisName;
use crate::reader::Reader;
use crate::rows::OpenVSwitch;
use crate::units::Output;
use crate::view::chassis::datapath_type;

/// What the keys of indexes begin with.
const INDEX: &str = "ovn-chassis-idx-";
/// Indexes in the order in which they are given out, behind the empty one.
const INDEXES: &str = "0123456789abcdefghijklmnopqrstuvwxyz";

/// See [`super::WriteKey::Host`].
pub fn host(r: &Reader<'_>, out: &mut Output) {
    let Some(ovs) = r.only::<OpenVSwitch>() else { return };
    let mut missing: Vec<(Str, Str)> = Vec::new();
    // Frames with several VLAN tags have to be matched by their outer ones only, as OVN expects.
    if ovs.other_config().get("vlan-limit").map(|limit| limit.as_str()) != Some("0") {
        missing.push(("vlan-limit".into(), "0".into()));
    }
    missing.extend(r.fact(ChassisName).and_then(|name| index(&ovs, &name, out)));
    if !missing.is_empty() {
        out.local.mutate("Open_vSwitch", ovs.uuid(), set_entries("other_config", missing));
    }
    datapath(r, &ovs, out);
}

/// The index to give to chassis `name`, if it has none.
fn index(ovs: &Tracked<'_, OpenVSwitch, Reader<'_>>, name: &Str, out: &mut Output) -> Option<(Str, Str)> {
    let key = format!("{INDEX}{name}");
    let config = ovs.other_config();
    if config.get(key.as_str()).is_some() {
        return None;
    }
    let taken = |index: &str| config.iter().any(|(key, value)| key.starts_with(INDEX) && value.as_str() == index);
    let single = (0..INDEXES.len()).filter_map(|at| INDEXES.get(at..=at));
    let free = std::iter::once("").chain(single).find(|index| !taken(index));
    if free.is_none() {
        out.diagnostics.push(format!("all {} chassis indexes of this host are taken", INDEXES.len() + 1));
    }
    free.map(|index| (key.as_str().into(), index.into()))
}

/// The Datapath row of the integration bridge's type.
fn datapath(r: &Reader<'_>, ovs: &Tracked<'_, OpenVSwitch, Reader<'_>>, out: &mut Output) {
    let Some(kind) = datapath_type(r) else { return };
    if ovs.datapaths().get(&kind).is_none() {
        out.local.insert_named("Datapath", "datapath", Vec::new());
        let pair = (Value::String(kind), Value::NamedUuid("datapath".into()));
        out.local.mutate("Open_vSwitch", ovs.uuid(), vec![("datapaths", Mutator::Insert, Datum::Map(vec![pair]))]);
    }
}
