//! No text makes the action parser or encoder panic, and canonical text is a fixed point.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use ofproto_client::{Action, ActionList};
use ovn_lang::actions::NatZone;
use ovn_lang::{
    ActionParse, ActionsDisplay, EncodeContext, EncodeParams, OptionTable, Pipeline, SymbolTable, encode_actions,
    parse_actions,
};
use proptest::prelude::*;

/// Knows some of what it is asked for, depending on the question's length.
struct Half;

impl EncodeContext for Half {
    fn port_key(&mut self, name: &str) -> Option<u32> {
        (name.len() % 2 == 1).then_some(u32::MAX)
    }

    fn is_local_backend(&mut self, lport: &str) -> bool {
        lport.len() % 2 == 1
    }

    fn tunnel_ofport(&mut self, lport: &str) -> Option<u16> {
        (lport.len() % 2 == 1).then_some(u16::MAX)
    }

    fn group_id(&mut self, key: &str) -> Option<u32> {
        (key.len() % 2 == 1).then_some(1)
    }

    fn meter_id(&mut self, name: &str) -> Option<u32> {
        (name.len() % 2 == 1).then_some(1)
    }

    fn collector_set_exists(&mut self, id: u32) -> bool {
        id % 2 == 1
    }
}

fn exercise(text: &str, pipeline: Pipeline, table: u8) {
    let (dhcp_v4, dhcp_v6) = (OptionTable::default_dhcp_v4(), OptionTable::default_dhcp_v6());
    let params = ActionParse {
        symbols: SymbolTable::main(),
        dhcp_v4: &dhcp_v4,
        dhcp_v6: &dhcp_v6,
        pipeline,
        table,
        n_tables: pipeline.n_tables(),
    };
    let actions = match parse_actions(text, &params) {
        Ok((actions, _)) => actions,
        Err(error) => {
            assert!(error.offset <= text.len() && text.is_char_boundary(error.offset), "{text}: {error:?}");
            return;
        }
    };
    let canonical = ActionsDisplay(&actions).to_string();
    if let Ok((again, _)) = parse_actions(&canonical, &params) {
        assert_eq!(ActionsDisplay(&again).to_string(), canonical);
    }
    let params = EncodeParams {
        is_switch: table.is_multiple_of(2),
        datapath_key: u32::MAX,
        lflow_uuid: [0xff; 16],
        pipeline,
        common_nat_zone: NatZone::Snat,
        ct_zero_snat: table.is_multiple_of(3),
        explicit_arp_ns_output: table % 2 == 1,
        register_consolidation: table % 3 == 1,
        dp_hash_l4_symmetric: table % 3 == 2,
        meters_supported: true,
        controller_meter: u32::MAX,
    };
    let mut out: Vec<Action> = Vec::new();
    encode_actions(&actions, &params, &mut Half, &mut out);
    let _ = ActionList::from(&out[..]);
}

/// Inputs of the vectors, to be cut up and put together again.
fn samples() -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/lang");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = files
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("actions")))
        .map(|path| std::fs::read_to_string(path).unwrap());
    let lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    lines.filter(|line| !line.is_empty() && !line.starts_with([' ', '%', '#'])).collect()
}

fn pieces() -> Vec<String> {
    let mut pieces: Vec<String> = samples()
        .iter()
        .flat_map(|line| line.split_inclusive([' ', ',', '(', ')', ';', '=', '{', '}', '"', '[', ']', ':', '/', '.']))
        .map(str::to_owned)
        .collect();
    pieces.sort();
    pieces.dedup();
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text(text in any::<String>(), table in any::<u8>()) {
        exercise(&text, Pipeline::Ingress, table);
    }

    #[test]
    fn pieces_of_actions(text in prop::collection::vec(prop::sample::select(pieces()), 0..12), table in 0u8..40) {
        exercise(&text.concat(), Pipeline::Egress, table);
    }

    #[test]
    fn damaged_actions(
        text in prop::sample::select(samples()),
        other in prop::sample::select(pieces()),
        at in any::<prop::sample::Index>(),
        len in 0usize..6,
        table in 0u8..34,
    ) {
        let chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len() + 1);
        let rest = chars.iter().skip(at + len);
        let damaged: String = chars.iter().take(at).copied().chain(other.chars()).chain(rest.copied()).collect();
        exercise(&damaged, Pipeline::Ingress, table);
    }
}
