//! Whatever is encoded decodes to itself, as bytes and as text; nothing from outside panics; errors say where.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test that names its line")]

mod random;

use bytes::BytesMut;
use ofproto_client::message::Message;
use ofproto_client::{ActionList, Error, Flow, Group, Match, Meter, decode_actions, encode_actions};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use random::{action, match_};

const SAMPLE: &str = include_str!("../../testdata/wire/sample.flows");
const GROUPS: &str = include_str!("../../testdata/wire/sample.groups");
const METERS: &str = include_str!("../../testdata/wire/sample.meters");

/// A line of the samples with some of its bytes replaced, dropped or doubled.
fn damaged(text: &'static str) -> impl Strategy<Value = String> {
    let lines: Vec<&str> = text.lines().collect();
    let bytes = select(b",=:/()[].>-+| 0xz1a".to_vec());
    (select(lines), vec((any::<Index>(), bytes, 0..3_u8), 1..4)).prop_map(|(line, changes)| {
        let mut out = line.trim().as_bytes().to_vec();
        for (at, byte, kind) in changes {
            if out.is_empty() {
                break;
            }
            let at = at.index(out.len());
            match kind {
                0 => out[at] = byte,
                1 => drop(out.remove(at)),
                _ => out.insert(at, byte),
            }
        }
        String::from_utf8(out).unwrap()
    })
}

/// An error has to quote the text at the position it names.
fn points_into(text: &str, error: &Error) {
    let Error::Text { position, token, .. } = error else { panic!("{error}") };
    let quoted = text.get(*position..).unwrap_or_default();
    assert!(quoted.starts_with(token.as_str()), "{error} in {text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn actions_over_the_wire(actions in vec(action(), 0..5)) {
        let mut out = BytesMut::new();
        encode_actions(&actions, &mut out);
        prop_assume!(out.len() < 60_000);
        prop_assert_eq!(out.len() % 8, 0);
        prop_assert_eq!(decode_actions(&out).unwrap(), actions);
    }

    #[test]
    fn text_of_actions_is_stable(action in action()) {
        let list = ActionList::from([action].as_slice());
        let text = list.to_string();
        // Some lists have no text that `ovs-ofctl` would read back (reserved ports, an all-default controller, nat flags).
        if let Ok(read) = text.parse::<ActionList>() {
            let again = read.to_string().parse::<ActionList>().unwrap();
            prop_assert_eq!(again.as_bytes(), read.as_bytes());
        }
    }

    #[test]
    fn matches_over_the_wire(m in match_()) {
        let mut out = BytesMut::new();
        m.encode_oxm(&mut out);
        let read = Match::decode_oxm(&out).unwrap();
        prop_assert_eq!(&read, &m);
        let mut copy = Match::new();
        for (field, value, mask) in m.iter() {
            copy.set_masked(field, value, mask);
        }
        prop_assert_eq!(copy.as_bytes(), m.as_bytes());
    }

    #[test]
    fn bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = decode_actions(&bytes);
        let _ = Match::decode_oxm(&bytes);
        let _ = Message::decode(&bytes);
    }

    #[test]
    fn damaged_actions_never_panic(actions in vec(action(), 1..4), at in any::<Index>(), byte in any::<u8>()) {
        let mut out = BytesMut::new();
        encode_actions(&actions, &mut out);
        let at = at.index(out.len());
        out[at] = byte;
        // What is still read has one encoding.
        if let Ok(read) = decode_actions(&out) {
            let mut first = BytesMut::new();
            encode_actions(&read, &mut first);
            let mut second = BytesMut::new();
            encode_actions(&decode_actions(&first).unwrap(), &mut second);
            prop_assert_eq!(first, second);
        }
        let _ = ActionList::from_bytes(&out).to_string();
        let _ = decode_actions(out.get(..at).unwrap());
    }

    #[test]
    fn text_never_panics(text in "\\PC{0,60}") {
        for error in [text.parse::<Flow>().err(), text.parse::<Group>().err(), text.parse::<Meter>().err()] {
            error.iter().for_each(|error| points_into(&text, error));
        }
        if let Err(error) = text.parse::<ActionList>() {
            points_into(&text, &error);
        }
    }

    #[test]
    fn damaged_flows_say_where(text in damaged(SAMPLE)) {
        match text.parse::<Flow>() {
            Ok(flow) => drop(flow.to_string()),
            Err(error) => points_into(&text, &error),
        }
    }

    #[test]
    fn damaged_groups_and_meters_say_where(group in damaged(GROUPS), meter in damaged(METERS)) {
        if let Err(error) = group.parse::<Group>() {
            points_into(&group, &error);
        }
        if let Err(error) = meter.parse::<Meter>() {
            points_into(&meter, &error);
        }
    }
}

#[test]
fn errors_name_position_and_token() {
    for (text, token) in [
        ("table=0, priority=x actions=drop", "x"),
        ("table=300, actions=drop", "300"),
        ("priority=1,foo=3 actions=drop", "foo"),
        ("priority=1,tcp,reg16=3 actions=drop", "reg16"),
        ("priority=1,tp_src=3 actions=drop", "3"),
        ("priority=1,nw_src=1.2.3 actions=drop", "1.2.3"),
        ("priority=1,ct_state=+trk+foo actions=drop", "foo"),
        ("priority=1,nw_proto=6/7 actions=drop", "6/7"),
        ("priority=1,dl_vlan_pcp=8 actions=drop", "8"),
        ("priority=1 actions=outpt:1", "outpt:1"),
        ("priority=1 actions=resubmit(,300)", "300"),
        ("priority=1 actions=set_field:1->reg99", "reg99"),
        ("priority=1 actions=set_field:0x1ffffffff->reg0", "0x1ffffffff"),
        ("priority=1 actions=load:5->NXM_NX_REG0[30..33]", "NXM_NX_REG0[30..33]"),
        ("priority=1 actions=move:NXM_NX_REG0[]->NXM_NX_XXREG0[]", "NXM_NX_REG0[]->NXM_NX_XXREG0[]"),
        ("priority=1 actions=ct(commit,zone=70000)", "70000"),
        ("priority=1 actions=ct(commit,nat(src=1.2.3.4:x))", "x"),
        ("priority=1 actions=ct(commit,exec(set_field:q->ct_mark))", "q"),
        ("priority=1 actions=learn(table=1,load:4->NXM_NX_REG0[0..1])", "4"),
        ("priority=1 actions=conjunction(1,3/2)", "3"),
        ("priority=1 actions=controller(userdata=0)", "0"),
        ("priority=1 actions=clone(clone(drp))", "drp"),
        ("no actions at all", "no actions at all"),
    ] {
        let error = text.parse::<Flow>().unwrap_err();
        points_into(text, &error);
        let Error::Text { token: at, .. } = &error else { panic!("{error}") };
        assert_eq!(at, token, "{error} in {text}");
    }
}

#[test]
fn nesting_has_a_limit() {
    let deep = |n: usize| "clone(".repeat(n) + "drop" + &")".repeat(n);
    assert!(deep(60).parse::<ActionList>().unwrap().decode().is_ok());
    assert!(deep(5_000).parse::<ActionList>().is_err());
    let mut bytes = BytesMut::new();
    for n in (0..3_000_u16).rev() {
        bytes.extend_from_slice(&[0xff, 0xff]);
        bytes.extend_from_slice(&(16 * (n + 1)).to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 0x23, 0x20, 0, 42, 0, 0, 0, 0, 0, 0]);
    }
    let error = decode_actions(&bytes).unwrap_err();
    assert_eq!(error.to_string(), "action at offset 1024: nested too deeply");
}
