//! Random actions and matches for tests, in canonical form.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use ofproto_client::action::{
    Bundle, Controller, Ct, CtZone, Learn, LearnDst, LearnSpec, LearnSrc, Nat, NatAddr, NatRange, Sample, SampleId,
};
use ofproto_client::{Action, Field, Match, Subfield};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

pub fn low(n_bits: u16) -> u128 {
    if n_bits >= 128 { u128::MAX } else { (1 << n_bits) - 1 }
}

pub fn any_field() -> impl Strategy<Value = Field> {
    select(Field::all().collect::<Vec<_>>())
}

pub fn plain_field() -> impl Strategy<Value = Field> {
    any_field().prop_filter("of fixed width", |field| !field.is_tun_metadata())
}

/// Bits of some field, at most `most`.
pub fn subfield(most: u16) -> impl Strategy<Value = Subfield> {
    (plain_field(), any::<u16>(), any::<u16>()).prop_map(move |(field, ofs, n_bits)| {
        let ofs = ofs % field.n_bits();
        Subfield::new(field, ofs, 1 + n_bits % (field.n_bits() - ofs).min(most))
    })
}

/// Bits that could hold `n_bits` of another field.
pub fn pair() -> impl Strategy<Value = (Subfield, Subfield)> {
    (subfield(128), subfield(128)).prop_map(|(a, b)| {
        let n_bits = a.n_bits.min(b.n_bits);
        (Subfield { n_bits, ..a }, Subfield { n_bits, ..b })
    })
}

pub fn set_field() -> impl Strategy<Value = Action> {
    (any_field(), any::<u128>(), any::<u128>(), any::<bool>()).prop_map(|(field, value, mask, exact)| {
        // An empty mask has no text, and no meaning.
        let mask = if exact { field.all_ones() } else { mask & field.all_ones() | 1 };
        Action::SetField { field, value: value & mask, mask }
    })
}

pub fn nat() -> impl Strategy<Value = Action> {
    let port = || 1..u16::MAX;
    let proto = proptest::option::of((port(), proptest::option::of(port())));
    let v4 = (1..u32::MAX, proptest::option::of(1..u32::MAX)).prop_map(|(min, max)| NatAddr::V4(min, max));
    let v6 = (1..u128::MAX, proptest::option::of(1..u128::MAX)).prop_map(|(min, max)| NatAddr::V6(min, max));
    let range = (prop_oneof![v4, v6], proto).prop_map(|(addr, proto)| NatRange { addr, proto });
    (0..32_u16, prop_oneof![Just(NatRange::NONE), range])
        .prop_map(|(flags, range)| Action::Nat(Box::new(Nat { flags, range })))
}

pub fn learn_spec() -> impl Strategy<Value = LearnSpec> {
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

pub fn learn() -> impl Strategy<Value = Action> {
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

pub fn controller() -> impl Strategy<Value = Action> {
    (any::<[u16; 2]>(), any::<u8>(), vec(any::<u8>(), 0..40), any::<bool>(), any::<u32>()).prop_map(
        |([max_len, controller_id], reason, userdata, pause, meter_id)| {
            let userdata = userdata.into();
            Action::Controller(Box::new(Controller { max_len, controller_id, reason, userdata, pause, meter_id }))
        },
    )
}

pub fn sample() -> impl Strategy<Value = Action> {
    let id = || prop_oneof![any::<u32>().prop_map(SampleId::Imm), subfield(32).prop_map(SampleId::Field)];
    (1..u16::MAX, any::<u32>(), id(), id(), any::<u16>(), 0..3_u8).prop_map(
        |(probability, collector_set_id, obs_domain, obs_point, sampling_port, direction)| {
            let sample = Sample { probability, collector_set_id, obs_domain, obs_point, sampling_port, direction };
            Action::Sample(Box::new(sample))
        },
    )
}

pub fn leaf() -> impl Strategy<Value = Action> {
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

pub fn action() -> impl Strategy<Value = Action> {
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

pub fn match_() -> impl Strategy<Value = Match> {
    vec((any_field(), any::<u128>(), any::<u128>(), any::<bool>()), 0..12).prop_map(|entries| {
        let mut out = Match::new();
        for (field, value, mask, exact) in entries {
            let value = if field.is_tun_metadata() { value >> 64 } else { value };
            out.set_masked(field, value, if exact || !field.is_maskable() { u128::MAX } else { mask });
        }
        out
    })
}

/// A match with `base` and a few more fields, whose prerequisites may be missing.
pub fn match_on(base: Match) -> impl Strategy<Value = Match> {
    vec((any_field(), any::<u128>(), any::<u128>(), any::<bool>()), 0..6).prop_map(move |entries| {
        let mut out = base.clone();
        for (field, value, mask, exact) in entries {
            if out.get(field).is_none() && !(field.is_tun_metadata() && field != Field::tun_metadata(0)) {
                out.set_masked(field, value, if exact || !field.is_maskable() { u128::MAX } else { mask });
            }
        }
        out
    })
}
