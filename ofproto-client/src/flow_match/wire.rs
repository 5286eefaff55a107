//! Matches as OXM: Open vSwitch's order and widths, registers packed in pairs. Entries: [`Match::encode`],
//! [`Match::decode_oxm`].

use bytes::{BufMut, BytesMut};

use super::{Match, port_to_32};
use crate::action::put_oxm;
use crate::error::Error;
use crate::field::Field;
use crate::message::wire::{pad8, patch_u16};
use crate::wire::{Read, finish, oxm};

/// `OFPMT_OXM`.
const MATCH_TYPE_OXM: u16 = 1;

impl Match {
    /// Appends the `ofp_match` structure: type, length, OXMs, padding to 8 bytes.
    pub fn encode(&self, out: &mut BytesMut) {
        let start = out.len();
        out.put_u16(MATCH_TYPE_OXM);
        out.put_u16(0);
        self.encode_oxm(out);
        let length = out.len() - start;
        patch_u16(out, start + 2, length);
        out.put_bytes(0, pad8(length));
    }

    /// Appends the OXMs alone.
    pub fn encode_oxm(&self, out: &mut BytesMut) {
        // The first register of a pair waits for the second.
        let mut waiting: Option<(u8, u128, u128)> = None;
        for (field, value, mask) in self.iter() {
            let n = field.reg_index();
            if let Some((first, high, high_mask)) = waiting.take() {
                let xreg = Field::xreg(first / 2);
                if n == Some(first + 1) {
                    put_oxm(out, xreg, high << 32 | value, high_mask << 32 | mask);
                    continue;
                }
                put_oxm(out, xreg, high << 32, high_mask << 32);
            }
            match n {
                Some(n) if n % 2 == 0 => waiting = Some((n, value, mask)),
                Some(n) => put_oxm(out, Field::xreg(n / 2), value, mask),
                None if mask == field.match_bits() => put_oxm(out, field, value, u128::MAX),
                None => put_oxm(out, field, value, mask),
            }
        }
        if let Some((first, high, high_mask)) = waiting {
            put_oxm(out, Field::xreg(first / 2), high << 32, high_mask << 32);
        }
    }

    /// The match that `bytes`, nothing but OXMs, say.
    pub fn decode_oxm(bytes: &[u8]) -> Result<Match, Error> {
        finish(bytes, oxms(bytes)).map(|(_, out)| out)
    }
}

fn oxms(mut input: &[u8]) -> Read<'_, Match> {
    let mut out = Match::new();
    while !input.is_empty() {
        let (rest, (field, value, mask)) = oxm(input)?;
        let exact = mask == field.all_ones();
        match field {
            Field::IN_PORT => out.set(Field::IN_PORT_OXM, port_to_32(value)),
            _ if exact => out.set(field, value),
            _ => out.set_masked(field, value, mask),
        };
        input = rest;
    }
    Ok((input, out))
}
