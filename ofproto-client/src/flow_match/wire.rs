//! Matches as OXM: Open vSwitch's order and widths, registers packed in pairs. Entries: [`Match::encode`],
//! [`Match::decode_oxm`].

use bytes::{BufMut, BytesMut};

use super::{Entry, Match, number, port_to_32};
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
        let mut waiting: Option<FirstOfPair> = None;
        for entry in self.entries() {
            let n = entry.field.reg_index();
            if let Some(first) = waiting.take() {
                let second = n == Some(first.n + 1);
                first.put(second.then_some(&entry), out);
                if second {
                    continue;
                }
            }
            match n {
                Some(n) if n % 2 == 0 => waiting = Some(FirstOfPair { n, bits: entry.register() }),
                Some(n) => FirstOfPair { n: n - 1, bits: (0, 0) }.put(Some(&entry), out),
                None => entry.put(out),
            }
        }
        if let Some(first) = waiting {
            first.put(None, out);
        }
    }

    /// The match that `bytes`, nothing but OXMs, say.
    pub fn decode_oxm(bytes: &[u8]) -> Result<Match, Error> {
        finish(bytes, oxms(bytes)).map(|(_, out)| out)
    }
}

/// The first register of a pair (value, mask), which waits for the second.
struct FirstOfPair {
    n: u8,
    bits: (u32, u32),
}

impl FirstOfPair {
    fn put(self, second: Option<&Entry<'_>>, out: &mut BytesMut) {
        let ((high, high_mask), (low, low_mask)) = (self.bits, second.map_or((0, 0), Entry::register));
        let join = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        let (value, mask) = (join(high, low), join(high_mask, low_mask));
        let exact = mask == u64::MAX;
        out.put_u32(Field::xreg(self.n / 2).oxm_header(!exact));
        out.put_u64(value);
        if !exact {
            out.put_u64(mask);
        }
    }
}

impl Entry<'_> {
    /// Value and mask of an entry of a register.
    fn register(&self) -> (u32, u32) {
        let (value, mask) = self.bits();
        (value as u32, mask as u32)
    }

    fn put(&self, out: &mut BytesMut) {
        if self.field.is_tun_metadata() {
            // Its length on the wire follows from the value.
            return put_oxm(out, self.field, number(self.value), self.mask.map_or(u128::MAX, number));
        }
        out.put_u32(self.field.oxm_header(self.mask.is_some()));
        out.put_slice(self.value);
        out.put_slice(self.mask.unwrap_or_default());
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
