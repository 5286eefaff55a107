//! The replica on small examples: decoding of each notation, what changes are reported, what indexes and tracked rows say.

use std::cell::RefCell;

use super::decode::{Differences, Strings, UpdateFormat, decode, decode_from};
use super::southbound::{self, Change, DatapathBinding, PortBinding, Southbound, port_binding};
use super::{ColumnReads, ColumnSet, Database, Row, RowId, Table, TableId, Tracked};
use crate::schema::Schema;
use crate::value::{Str, Uuid};

const A: &str = "aaaaaaaa-0000-4000-8000-000000000001";
const DP: &str = "dddddddd-0000-4000-8000-000000000001";

fn uuid(text: &str) -> Uuid {
    Uuid::parse(text).unwrap()
}

fn updates(text: &str, format: UpdateFormat) -> southbound::Updates {
    decode::<Southbound>(text, format, &mut Strings::shared()).unwrap()
}

fn one_port() -> (Southbound, RowId) {
    let mut sb = Southbound::default();
    let text = format!(
        r#"{{"Port_Binding": {{"{A}": {{"initial": {{"logical_port": "lp1", "datapath": ["uuid","{DP}"], "tunnel_key": 3, "type": "",
            "options": ["map",[["l2gateway-chassis","lp2"],["x","\"y\""]]], "mac": ["set",["b","a"]], "parent_port": ["set",[]], "up": true,
            "unknown": ["set",[]]}}}}}}, "Not_A_Table": {{}}}}"#
    );
    let changes = sb.apply(updates(&text, UpdateFormat::V2));
    assert_eq!(changes.len(), 1);
    (sb, changes[0].row())
}

#[test]
fn an_insertion_fills_columns_and_indexes() {
    let (sb, id) = one_port();
    let row = sb.port_binding.row(id).unwrap();
    assert_eq!(row.logical_port, "lp1");
    assert_eq!(row.datapath, uuid(DP));
    assert_eq!(row.options.get("x").unwrap(), "\"y\"");
    assert_eq!(row.mac.iter().map(Str::as_str).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((row.up, row.parent_port.clone(), row.tag), (Some(true), None, None));
    assert_eq!(sb.port_binding.by_logical_port("lp1").collect::<Vec<_>>(), [id]);
    assert_eq!(sb.port_binding.by_l2gateway_chassis("lp2").next(), Some(id));
    assert_eq!(sb.port_binding.by_dp_key(uuid(DP), 3).next(), Some(id));
    assert_eq!(sb.port_binding.by_dp_key(uuid(DP), 4).next(), None);
    assert_eq!(sb.port_binding.by_datapath_and_type(uuid(DP), "").next(), Some(id));
    assert_eq!(sb.port_binding.by_uuid(&uuid(A)), Some(id));
    assert_eq!(sb.port_binding.by_logical_port("lp1").key(), port_binding::key::by_logical_port("lp1"));
}

#[test]
fn a_modification_reports_changed_columns_and_index_keys() {
    let (mut sb, id) = one_port();
    let text = format!(
        r#"{{"Port_Binding": {{"{A}": {{"modify": {{"tunnel_key": 4, "mac": "a", "up": ["set",[]], "type": "",
            "options": ["map",[["x","\"y\""],["l2gateway-chassis","lp3"],["new","1"]]]}}}}}}}}"#
    );
    let changes = sb.apply(updates(&text, UpdateFormat::V2));
    let [change @ Change::PortBinding(delta)] = changes.as_slice() else { panic!("{changes:?}") };
    let names: Vec<_> = delta.columns.iter().map(|column| PortBinding::COLUMNS[usize::from(column)].name).collect();
    assert_eq!(names, ["options", "tunnel_key", "mac", "up"]);
    assert_eq!(delta.old.as_ref().unwrap().tunnel_key, 3);
    let row = sb.port_binding.row(id).unwrap();
    assert_eq!(row.mac.iter().map(Str::as_str).collect::<Vec<_>>(), ["b"]);
    assert_eq!(row.up, None);
    assert_eq!(
        row.options.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(),
        ["l2gateway-chassis=lp3", "new=1"]
    );
    let dp = uuid(DP);
    let mut keys = change.index_keys(&sb).to_vec();
    keys.sort();
    let mut expected = [
        port_binding::key::by_dp_key(dp, 3),
        port_binding::key::by_dp_key(dp, 4),
        port_binding::key::by_l2gateway_chassis("lp2"),
        port_binding::key::by_l2gateway_chassis("lp3"),
    ];
    expected.sort();
    assert_eq!(keys, expected);
    assert_eq!(sb.port_binding.by_l2gateway_chassis("lp2").next(), None);
    assert_eq!(
        sb.apply(updates(
            &format!(r#"{{"Port_Binding": {{"{A}": {{"modify": {{"tunnel_key": 4}}}}}}}}"#),
            UpdateFormat::V2
        )),
        []
    );
}

#[test]
fn a_deletion_frees_the_id_only_for_the_next_batch() {
    let (mut sb, id) = one_port();
    let other = A.replace('a', "b");
    let text =
        format!(r#"{{"Port_Binding": {{"{A}": {{"old": {{}}}}, "{other}": {{"new": {{"logical_port": "lp9"}}}}}}}}"#);
    let changes = sb.apply(updates(&text, UpdateFormat::V1));
    assert_eq!(changes.len(), 2);
    assert_eq!(
        (changes[0].row(), changes[0].columns()),
        (id, ColumnSet::first(PortBinding::COLUMNS.len()).union(ColumnSet::EXISTS))
    );
    assert_ne!(changes[1].row(), id);
    assert_eq!(sb.port_binding.uuid(id), uuid(A));
    assert_eq!(sb.port_binding.len(), 1);
    let third = A.replace('a', "c");
    let changes =
        sb.apply(updates(&format!(r#"{{"Port_Binding": {{"{third}": {{"new": {{}}}}}}}}"#), UpdateFormat::V1));
    assert_eq!(changes[0].row(), id);
}

#[test]
fn a_bad_cell_loses_its_row_and_no_other() {
    let (mut sb, _) = one_port();
    let other = A.replace('a', "b");
    let text = format!(
        r#"{{"Port_Binding": {{"{A}": {{"modify": {{"tunnel_key": "four"}}}}, "{other}": {{"insert": {{"logical_port": "lp9"}}}}, "x": {{"delete": null}}}}}}"#
    );
    let updates = updates(&text, UpdateFormat::V2);
    let rejected: Vec<_> = updates.rejected.iter().map(ToString::to_string).collect();
    assert_eq!(
        rejected,
        [
            format!(
                "table Port_Binding, row {A}, column tunnel_key: invalid type: string \"four\", expected an integer"
            ),
            "table Port_Binding, row 00000000-0000-0000-0000-000000000000: \"x\" is not a row's uuid".to_owned(),
        ]
    );
    assert_eq!(sb.apply(updates).len(), 2);
    assert_eq!(sb.port_binding.by_logical_port("lp9").count(), 1);
    assert_eq!(sb.port_binding.len(), 1);
}

#[test]
fn a_server_may_allow_another_number_of_values() {
    let schema = r#"{"name":"OVN_Southbound","tables":{"Port_Binding":{"columns":{
        "mac":{"type":{"key":"string","min":0,"max":1}}}}}}"#;
    let differences = Differences::of_server::<Southbound>(&Schema::parse(schema).unwrap());
    let (mut sb, id) = one_port();
    for (update, mac) in [
        (r#"{"mac":"c","nat_addresses":"n"}"#, &["c"][..]),
        (r#"{"mac":"d","nat_addresses":["set",["n"]]}"#, &["d"]),
        (r#"{"mac":["set",[]]}"#, &[]),
    ] {
        let text = format!(r#"{{"Port_Binding":{{"{A}":{{"modify":{update}}}}}}}"#);
        let updates =
            decode_from::<Southbound>(&text, UpdateFormat::V2, &differences, &mut Strings::unshared()).unwrap();
        assert_eq!(sb.apply(updates).len(), 1);
        let row = sb.port_binding.row(id).unwrap();
        assert_eq!(row.mac.iter().map(Str::as_str).collect::<Vec<_>>(), mac);
    }
    assert!(sb.port_binding.row(id).unwrap().nat_addresses.is_empty());
}

#[test]
fn a_tracked_row_tells_what_was_read() {
    #[derive(Default)]
    struct Log(RefCell<Vec<(TableId, RowId, u8)>>);
    impl ColumnReads for Log {
        fn column_read(&self, table: TableId, row: RowId, column: u8) {
            self.0.borrow_mut().push((table, row, column));
        }
    }
    let (sb, id) = one_port();
    let log = Log::default();
    let port = Tracked::new(&sb.port_binding, id, &log).unwrap();
    assert_eq!((port.r#type().as_str(), port.tunnel_key(), port.parent_port(), port.up()), ("", 3, None, Some(true)));
    assert_eq!(port.mac().len(), 2);
    assert!(Tracked::new(&sb.port_binding, RowId(99), &log).is_none());
    let columns = [
        63,
        port_binding::r#type,
        port_binding::tunnel_key,
        port_binding::parent_port,
        port_binding::up,
        port_binding::mac,
    ];
    let table = PortBinding::TABLE;
    let mut expected: Vec<_> = columns.into_iter().map(|column| (table, id, column)).collect();
    expected.push((table, RowId(99), 63));
    assert_eq!(*log.0.borrow(), expected);
    assert_eq!(DatapathBinding::NAME, "Datapath_Binding");
    assert_eq!(Southbound::NAME, "OVN_Southbound");
}

/// A hundred thousand rows that move in one go take tens of milliseconds.
#[test]
fn rows_stay_where_they_are_when_others_come() {
    let mut table = Table::<PortBinding>::default();
    let number = |number: u128| Uuid(number.to_be_bytes());
    let port = |name: u128| PortBinding { logical_port: Str::from(name.to_string().as_str()), ..Default::default() };
    (0..5000).for_each(|name| table.load(number(name), port(name)));
    let last = table.by_uuid(&number(4999)).unwrap();
    let place = std::ptr::from_ref(table.row(last).unwrap());
    (5000..50_000).for_each(|name| table.load(number(name), port(name)));
    assert_eq!(std::ptr::from_ref(table.row(last).unwrap()), place);
    assert_eq!((table.len(), table.capacity()), (50_000, 50_000));
    for name in [0, 4095, 4096, 49_999] {
        let id = table.by_uuid(&number(name)).unwrap();
        assert_eq!(table.by_logical_port(&name.to_string()).collect::<Vec<_>>(), [id]);
    }
}
