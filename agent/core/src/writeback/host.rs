//! The Open_vSwitch row: vlan-limit, what OVN 26.03.1 left there, our index among several chassis on one host, and the row of our bridge's datapath, through
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
use crate::view::flag;
use crate::view::peers::INDEX;

/// Key of other_config that keeps the switch from using its flows, and OVN's mark in external_ids that it was OVN that set it.
const WAIT: &str = "flow-restore-wait";
const MANAGED_WAIT: &str = "ovn-managed-flow-restore-wait";
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
    release_flows(&ovs, out);
    missing.extend(r.fact(ChassisName).and_then(|name| index(r, &ovs, &name, out)));
    if !missing.is_empty() {
        out.local.mutate("Open_vSwitch", ovs.uuid(), set_entries("other_config", missing));
    }
    datapath(r, &ovs, out);
}

/// OVN 26.03.1 had the switch wait with its flows, which could be for ever; what it left behind goes, as with 26.03.2. Somebody else's
/// `flow-restore-wait` (the scripts of Open vSwitch set it while they restore flows) has no mark of OVN.
fn release_flows(ovs: &Tracked<'_, OpenVSwitch, Reader<'_>>, out: &mut Output) {
    if flag(ovs.external_ids(), MANAGED_WAIT) && ovs.other_config().contains_key(WAIT) {
        let key = |key: &str| [key].into_iter().collect::<Datum>();
        let mutations =
            vec![("other_config", Mutator::Delete, key(WAIT)), ("external_ids", Mutator::Delete, key(MANAGED_WAIT))];
        out.local.mutate("Open_vSwitch", ovs.uuid(), mutations);
    }
}

/// The index to give to chassis `name`, if it has none.
fn index(
    r: &Reader<'_>,
    ovs: &Tracked<'_, OpenVSwitch, Reader<'_>>,
    name: &Str,
    out: &mut Output,
) -> Option<(Str, Str)> {
    let key = format!("{INDEX}{name}");
    let config = ovs.other_config();
    if config.get(key.as_str()).is_some() {
        return None;
    }
    // Under another name it is the same chassis, whose ports are called by the index.
    let former = r.former_name().filter(|former| *former != name).map(|former| format!("{INDEX}{former}"));
    if let Some((former, index)) = former.as_ref().and_then(|former| Some((former, config.get(former.as_str())?))) {
        let keys: Datum = [former.as_str()].into_iter().collect();
        out.local.mutate("Open_vSwitch", ovs.uuid(), vec![("other_config", Mutator::Delete, keys)]);
        return Some((key.as_str().into(), index.clone()));
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
