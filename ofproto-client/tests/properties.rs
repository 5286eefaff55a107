//! Whatever is encoded decodes to itself, as bytes and as text; nothing from outside panics; errors say where.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test that names its line")]

use bytes::BytesMut;
use ofproto_client::action::{
    Bundle, Controller, Ct, CtZone, Learn, LearnDst, LearnSpec, LearnSrc, Nat, NatAddr, NatRange, Sample, SampleId,
};
use ofproto_client::message::Message;
use ofproto_client::{
    Action, ActionList, Error, Field, Flow, Group, Match, Meter, Subfield, decode_actions, encode_actions,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

const SAMPLE: &str = include_str!("../../testdata/wire/sample.flows");
const GROUPS: &str = include_str!("../../testdata/wire/sample.groups");
const METERS: &str = include_str!("../../testdata/wire/sample.meters");

fn low(n_bits: u16) -> u128 {
    if n_bits >= 128 { u128::MAX } else { (1 << n_bits) - 1 }
}

fn any_field() -> impl Strategy<Value = Field> {
    select(Field::all().collect::<Vec<_>>())
}

fn plain_field() -> impl Strategy<Value = Field> {
    any_field().prop_filter("of fixed width", |field| !field.is_tun_metadata())
}

/// Bits of some field, at most `most`.
fn subfield(most: u16) -> impl Strategy<Value = Subfield> {
    (plain_field(), any::<u16>(), any::<u16>()).prop_map(move |(field, ofs, n_bits)| {
        let ofs = ofs % field.n_bits();
        Subfield::new(field, ofs, 1 + n_bits % (field.n_bits() - ofs).min(most))
    })
}

/// Bits that could hold `n_bits` of another field.
fn pair() -> impl Strategy<Value = (Subfield, Subfield)> {
    (subfield(128), subfield(128)).prop_map(|(a, b)| {
        let n_bits = a.n_bits.min(b.n_bits);
        (Subfield { n_bits, ..a }, Subfield { n_bits, ..b })
    })
}

fn set_field() -> impl Strategy<Value = Action> {
    (any_field(), any::<u128>(), any::<u128>(), any::<bool>()).prop_map(|(field, value, mask, exact)| {
        // An empty mask has no text, and no meaning.
        let mask = if exact { field.all_ones() } else { mask & field.all_ones() | 1 };
        Action::SetField { field, value: value & mask, mask }
    })
}

fn nat() -> impl Strategy<Value = Action> {
    let port = || 1..u16::MAX;
    let proto = proptest::option::of((port(), proptest::option::of(port())));
    let v4 = (1..u32::MAX, proptest::option::of(1..u32::MAX)).prop_map(|(min, max)| NatAddr::V4(min, max));
    let v6 = (1..u128::MAX, proptest::option::of(1..u128::MAX)).prop_map(|(min, max)| NatAddr::V6(min, max));
    let range = (prop_oneof![v4, v6], proto).prop_map(|(addr, proto)| NatRange { addr, proto });
    (0..32_u16, prop_oneof![Just(NatRange::NONE), range])
        .prop_map(|(flags, range)| Action::Nat(Box::new(Nat { flags, range })))
}

fn learn_spec() -> impl Strategy<Value = LearnSpec> {
    (pair(), any::<u128>(), 0..5_u8).prop_map(|((a, b), value, kind)| {
        let n_bits = a.n_bits;
        let imm = LearnSrc::Imm(value & low(n_bits));
        let (src, dst) = match kind {
            0 => (imm, LearnDst::Match(b)),
            1 => (imm, LearnDst::Load(b)),
            2 => (LearnSrc::Field(a), LearnDst::Match(b)),
            3 => (LearnSrc::Field(a), LearnDst::Load(b)),
            _ => (LearnSrc::Field(a), LearnDst::Output),
        };
        LearnSpec { src, dst, n_bits }
    })
}

fn learn() -> impl Strategy<Value = Action> {
    (any::<[u16; 5]>(), any::<u64>(), 0..4_u16, any::<u8>(), any::<u32>(), vec(learn_spec(), 0..6)).prop_map(
        |([idle_timeout, hard_timeout, priority, fin_idle, fin_hard], cookie, flags, table, limit, specs)| {
            Action::Learn(Box::new(Learn {
                idle_timeout,
                hard_timeout,
                priority,
                cookie,
                flags,
                table,
                fin_idle,
                fin_hard,
                limit,
                specs,
            }))
        },
    )
}

fn controller() -> impl Strategy<Value = Action> {
    (any::<[u16; 2]>(), any::<u8>(), vec(any::<u8>(), 0..40), any::<bool>(), any::<u32>()).prop_map(
        |([max_len, controller_id], reason, userdata, pause, meter_id)| {
            let userdata = userdata.into();
            Action::Controller(Box::new(Controller { max_len, controller_id, reason, userdata, pause, meter_id }))
        },
    )
}

fn sample() -> impl Strategy<Value = Action> {
    let id = || prop_oneof![any::<u32>().prop_map(SampleId::Imm), subfield(32).prop_map(SampleId::Field)];
    (1..u16::MAX, any::<u32>(), id(), id(), any::<u16>(), 0..3_u8).prop_map(
        |(probability, collector_set_id, obs_domain, obs_point, sampling_port, direction)| {
            let sample = Sample { probability, collector_set_id, obs_domain, obs_point, sampling_port, direction };
            Action::Sample(Box::new(sample))
        },
    )
}

fn leaf() -> impl Strategy<Value = Action> {
    prop_oneof![
        (any::<u32>(), any::<u16>()).prop_map(|(port, max_len)| Action::Output { port, max_len }),
        subfield(64).prop_map(|src| Action::OutputReg { src, max_len: 0xffff }),
        any::<u32>().prop_map(Action::Group),
        any::<u16>().prop_map(Action::PushVlan),
        Just(Action::PopVlan),
        Just(Action::CtClear),
        any::<u32>().prop_map(Action::SetQueue),
        any::<u8>().prop_map(Action::SetTtl),
        vec(any::<u16>(), 0..5).prop_map(Action::DecTtl),
        set_field(),
        pair().prop_map(|(src, dst)| Action::Move { src, dst }),
        any::<u32>().prop_map(Action::Meter),
        (any::<[u8; 14]>(), any::<bool>()).prop_map(|(b, long)| Action::Note(b[..if long { 14 } else { 6 }].into())),
        (0..7_u16, any::<u16>(), 0..2_u16, vec(any::<u16>(), 0..9), proptest::option::of(subfield(64))).prop_map(
            |(fields, basis, algorithm, members, dst)| {
                Action::Bundle(Box::new(Bundle { algorithm, fields, basis, members, dst }))
            }
        ),
        (any::<u16>(), any::<u8>(), any::<bool>()).prop_map(|(in_port, table, with_ct)| Action::Resubmit {
            in_port,
            table,
            with_ct
        }),
        learn(),
        subfield(128).prop_map(Action::StackPush),
        subfield(128).prop_map(Action::StackPop),
        sample(),
        (0..9_u8, 9..64_u8, any::<u32>()).prop_map(|(clause, n_clauses, id)| Action::Conjunction {
            clause,
            n_clauses,
            id
        }),
        nat(),
        controller(),
        (any::<u16>(), subfield(1)).prop_map(|(pkt_len, dst)| Action::CheckPktLarger { pkt_len, dst }),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    leaf().prop_recursive(3, 24, 4, |inner| {
        let zone = prop_oneof![any::<u16>().prop_map(CtZone::Imm), subfield(16).prop_map(CtZone::Field)];
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Action::Clone),
            (any::<[bool; 2]>(), zone, proptest::option::of(0..0xff_u8), any::<u16>(), vec(inner, 0..4)).prop_map(
                |([commit, force], zone, recirc_table, alg, actions)| {
                    Action::Ct(Box::new(Ct { commit, force, zone, recirc_table, alg, actions }))
                }
            ),
        ]
    })
}

fn match_() -> impl Strategy<Value = Match> {
    vec((any_field(), any::<u128>(), any::<u128>(), any::<bool>()), 0..12).prop_map(|entries| {
        let mut out = Match::new();
        for (field, value, mask, exact) in entries {
            let value = if field.is_tun_metadata() { value >> 64 } else { value };
            out.set_masked(field, value, if exact || !field.is_maskable() { u128::MAX } else { mask });
        }
        out
    })
}

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
