//! Matches in one canonical form, so that comparing two of them is comparing bytes. Entry type: [`Match`].
//!
//! Layout: entries sorted by [`Field`]; an entry is `id`, `masked` (0 or 1), value, and the mask if masked; value and mask are
//! [`Field::n_bytes`] long, big-endian. Invariants: registers appear only as `regN`, the ingress port only as
//! [`Field::IN_PORT_OXM`], the VLAN as [`Field::VLAN_VID`] and [`Field::VLAN_PCP`]; no mask is all zeros or all ones;
//! a value has no bit outside its mask.

use smallvec::SmallVec;

use crate::field::{Field, Subfield, ones};

mod text;
mod wire;

pub(crate) use text::MatchReader;

/// Bytes held without a heap block. Of OVN's distinct flows 4 of 5 fit; their mean is 32 bytes.
const INLINE: usize = 40;
/// Bit of a VLAN id or TCI that says the packet is tagged; a match on the priority implies it (`match_set_dl_vlan_pcp`).
const VLAN_TAGGED: u128 = 0x1000;
/// First 16-bit reserved port number.
const RESERVED_16: u128 = 0xff00;
/// What turns a reserved 16-bit port number into the 32-bit one.
const RESERVED_OFFSET: u128 = 0xffff_0000;

/// A flow match. 48 bytes; no heap block up to 40 bytes of entries.
#[derive(Clone, Default, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Match(SmallVec<[u8; INLINE]>);

/// One entry as it is stored.
struct Entry<'a> {
    field: Field,
    /// Big-endian, [`Field::n_bytes`] long.
    value: &'a [u8],
    /// The same; `None` if it is all of [`Field::match_bits`].
    mask: Option<&'a [u8]>,
}

impl Entry<'_> {
    /// Value and mask.
    fn bits(&self) -> (u128, u128) {
        (number(self.value), self.mask.map_or_else(|| self.field.match_bits(), number))
    }
}

impl Match {
    /// The match of every packet.
    pub fn new() -> Match {
        Match::default()
    }

    /// Makes `field` exactly `value`, replacing what the match said about it.
    pub fn set(&mut self, field: Field, value: u128) -> &mut Match {
        self.set_masked(field, value, u128::MAX)
    }

    /// Makes the bits of `field` in `mask` those of `value`, replacing what the match said about it. A zero mask forgets it.
    pub fn set_masked(&mut self, field: Field, value: u128, mask: u128) -> &mut Match {
        if let Some(n) = field.xreg_index() {
            self.set_masked(Field::reg(2 * n), value >> 32, mask >> 32 & ones(32));
            self.put(Field::reg(2 * n + 1), value, mask);
        } else if let Some(n) = field.xxreg_index() {
            for i in 0..4 {
                let shift = 32 * u32::from(3 - i);
                self.put(Field::reg(4 * n + i), value >> shift, mask >> shift);
            }
        } else if field == Field::IN_PORT {
            self.put(Field::IN_PORT_OXM, port_to_32(value & 0xffff), if mask == 0 { 0 } else { u128::MAX });
        } else if field == Field::VLAN_TCI {
            self.set_vlan_tci(value, mask & 0xffff);
        } else if (field == Field::VLAN_VID || field == Field::VLAN_PCP) && self.find(Field::VLAN_TCI).is_ok() {
            // An odd mask is held as one field; the new bits take the place of some of its.
            let (old, old_mask) = self.get(Field::VLAN_TCI).unwrap_or((0, 0));
            let (shift, bits) = if field == Field::VLAN_VID { (0, 0x1fff) } else { (13, 0xe000) };
            let (value, mask) = (value << shift & bits, mask << shift & bits);
            self.set_vlan_tci(old & !bits | value, old_mask & !bits | mask);
        } else {
            self.put(field, value, mask);
            let is_vlan = field == Field::VLAN_PCP || field == Field::VLAN_VID;
            if is_vlan && self.find(Field::VLAN_PCP).is_ok() {
                let (vid, vid_mask) = self.get(Field::VLAN_VID).unwrap_or((0, 0));
                self.put(Field::VLAN_VID, vid | VLAN_TAGGED, vid_mask | VLAN_TAGGED);
            }
        }
        self
    }

    /// Adds the bits of `subfield` being `value` to what the match says about the field.
    pub fn set_subfield(&mut self, subfield: Subfield, value: u128) -> &mut Match {
        let bits = subfield.mask();
        let (old, old_mask) = self.get(subfield.field).unwrap_or((0, 0));
        let value = (old & !bits) | (value.checked_shl(u32::from(subfield.ofs)).unwrap_or(0) & bits);
        self.set_masked(subfield.field, value, old_mask | bits)
    }

    /// Value and mask of `field`, if the match looks at it. An exact match has the mask [`Field::match_bits`]. Wider views of
    /// the registers, `in_port` and `vlan_tci` are put together from what is stored.
    pub fn get(&self, field: Field) -> Option<(u128, u128)> {
        if let Some(n) = field.xreg_index() {
            return self.gather(&[Field::reg(2 * n), Field::reg(2 * n + 1)]);
        }
        if let Some(n) = field.xxreg_index() {
            return self.gather(&[0, 1, 2, 3].map(|i| Field::reg(4 * n + i)));
        }
        if field == Field::IN_PORT {
            let (port, _) = self.get(Field::IN_PORT_OXM)?;
            return Some((port & 0xffff, 0xffff));
        }
        if field == Field::VLAN_TCI && self.find(field).is_err() {
            let (vid, vid_mask) = self.get(Field::VLAN_VID)?;
            let (pcp, pcp_mask) = self.get(Field::VLAN_PCP).unwrap_or((0, 0));
            return Some((vid | pcp << 13, vid_mask | pcp_mask << 13));
        }
        let at = self.find(field).ok()?;
        self.entry(at).map(|(entry, _)| entry.bits())
    }

    /// Forgets what the match says about `field`.
    pub fn remove(&mut self, field: Field) {
        self.set_masked(field, 0, 0);
        if field == Field::VLAN_TCI {
            self.put(Field::VLAN_PCP, 0, 0);
        }
    }

    /// The stored entries in order: field, value, mask.
    pub fn iter(&self) -> impl Iterator<Item = (Field, u128, u128)> + '_ {
        self.entries().map(|entry| {
            let (value, mask) = entry.bits();
            (entry.field, value, mask)
        })
    }

    /// Whether every packet matches.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The canonical bytes (see the module).
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// 802.1Q: Open vSwitch reports tag and priority as two fields.
    fn set_vlan_tci(&mut self, value: u128, mask: u128) {
        let pcp_mask = mask >> 13;
        if pcp_mask == 0 || pcp_mask == 7 {
            self.put(Field::VLAN_TCI, 0, 0);
            self.put(Field::VLAN_VID, value & 0x1fff, mask & 0x1fff);
            self.set_masked(Field::VLAN_PCP, value >> 13 & 7, pcp_mask);
        } else {
            self.put(Field::VLAN_VID, 0, 0);
            self.put(Field::VLAN_PCP, 0, 0);
            self.put(Field::VLAN_TCI, value, mask);
        }
    }

    /// Stores one entry in canonical form, or drops it if the mask is zero.
    fn put(&mut self, field: Field, value: u128, mask: u128) {
        let bits = field.match_bits();
        let mask = mask & bits;
        let value = value & mask;
        let implied = field == Field::PACKET_TYPE && value == 0;
        let found = self.find(field);
        if mask == 0 || implied {
            if let Ok(at) = found {
                let end = self.entry(at).map_or(self.0.len(), |(_, next)| next);
                self.0.drain(at..end);
            }
            return;
        }
        let (at, end) = match found {
            Ok(at) => (at, self.entry(at).map_or(self.0.len(), |(_, next)| next)),
            Err(at) => (at, at),
        };
        let masked = mask != bits;
        let n = field.n_bytes();
        let mut entry: SmallVec<[u8; 34]> = SmallVec::new();
        entry.extend_from_slice(&[field.id(), u8::from(masked)]);
        entry.extend_from_slice(&value.to_be_bytes()[16 - n..]);
        if masked {
            entry.extend_from_slice(&mask.to_be_bytes()[16 - n..]);
        }
        if end == at {
            self.0.insert_from_slice(at, &entry);
        } else {
            self.0.drain(at..end);
            self.0.insert_from_slice(at, &entry);
        }
    }

    /// Where the entry of `field` starts, or where it would have to.
    fn find(&self, field: Field) -> Result<usize, usize> {
        let mut at = 0;
        while let (Some(&id), Some(&masked)) = (self.0.get(at), self.0.get(at + 1)) {
            if id >= field.id() {
                return if id == field.id() { Ok(at) } else { Err(at) };
            }
            let n = Field::from_id(id).map_or(0, Field::n_bytes);
            at += 2 + n * (1 + usize::from(masked));
        }
        Err(at)
    }

    /// The entry at `at`, and where the next one starts.
    fn entry(&self, at: usize) -> Option<(Entry<'_>, usize)> {
        let (&id, rest) = self.0.get(at..)?.split_first()?;
        let (&masked, rest) = rest.split_first()?;
        let field = Field::from_id(id)?;
        let n = field.n_bytes();
        let (value, rest) = rest.split_at_checked(n)?;
        let mask = if masked == 0 { None } else { Some(rest.get(..n)?) };
        Some((Entry { field, value, mask }, at + 2 + n * (1 + usize::from(mask.is_some()))))
    }

    /// All entries in order.
    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let (entry, next) = self.entry(at)?;
            at = next;
            Some(entry)
        })
    }

    fn gather(&self, regs: &[Field]) -> Option<(u128, u128)> {
        let mut out = (0, 0);
        for reg in regs {
            let (value, mask) = self.get(*reg).unwrap_or((0, 0));
            out = (out.0 << 32 | value, out.1 << 32 | mask);
        }
        (out.1 != 0).then_some(out)
    }
}

impl std::fmt::Debug for Match {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut map = f.debug_map();
        for (field, value, mask) in self.iter() {
            map.entry(&field, &format_args!("{value:#x}/{mask:#x}"));
        }
        map.finish()
    }
}

/// A big-endian number of at most 16 bytes.
pub(crate) fn number(bytes: &[u8]) -> u128 {
    if let Ok(bytes) = bytes.try_into() {
        return u128::from(u32::from_be_bytes(bytes));
    }
    bytes.iter().fold(0, |out, byte| out << 8 | u128::from(*byte))
}

/// The 32-bit form of a 16-bit port number (`ofputil_port_to_ofp11`).
pub(crate) fn port_to_32(port: u128) -> u128 {
    if port >= RESERVED_16 { port + RESERVED_OFFSET } else { port }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_split_and_join() {
        let mut a = Match::new();
        a.set_masked(Field::xreg(7), 0x1_0000_0002, u128::MAX);
        let mut b = Match::new();
        b.set(Field::reg(15), 2).set(Field::reg(14), 1);
        assert_eq!(a, b);
        assert_eq!(a.get(Field::xreg(7)), Some((0x1_0000_0002, u128::from(u64::MAX))));
        a.set_masked(Field::xxreg(3), 5, 0xff);
        assert_eq!(a.iter().collect::<Vec<_>>(), [(Field::reg(15), 5, 0xff)]);
        assert_eq!(a.get(Field::xxreg(3)), Some((5, 0xff)));
    }

    #[test]
    fn canonical_values_and_masks() {
        let mut m = Match::new();
        m.set_masked(Field::reg(0), 0xff, 0x0f);
        assert_eq!(m.get(Field::reg(0)), Some((0x0f, 0x0f)));
        m.set_masked(Field::reg(0), 7, 0);
        assert!(m.is_empty());
        m.set_masked(Field::reg(0), 7, 0xffff_ffff);
        assert_eq!(m.as_bytes(), [Field::REG0.id(), 0, 0, 0, 0, 7]);
        m.set(Field::PACKET_TYPE, 0);
        assert_eq!(m.iter().count(), 1);
        m.set_subfield(Subfield::new(Field::METADATA, 4, 4), 0x5).set_subfield(Subfield::new(Field::METADATA, 0, 4), 1);
        assert_eq!(m.get(Field::METADATA), Some((0x51, 0xff)));
        m.remove(Field::reg(0));
        assert_eq!(m.iter().count(), 1);
    }

    #[test]
    fn ports_and_tags() {
        let mut m = Match::new();
        m.set(Field::IN_PORT, 0xfffe);
        assert_eq!(m.get(Field::IN_PORT_OXM), Some((0xffff_fffe, 0xffff_ffff)));
        assert_eq!(m.get(Field::IN_PORT), Some((0xfffe, 0xffff)));
        let mut m = Match::new();
        m.set_masked(Field::VLAN_TCI, 0, 0x1000);
        assert_eq!(m.iter().collect::<Vec<_>>(), [(Field::VLAN_VID, 0, 0x1000)]);
        m.set_masked(Field::VLAN_TCI, 0x3005, 0xffff);
        assert_eq!(m.iter().collect::<Vec<_>>(), [(Field::VLAN_VID, 0x1005, 0x1fff), (Field::VLAN_PCP, 1, 7)]);
        m.remove(Field::VLAN_TCI);
        assert!(m.is_empty());
        m.set_masked(Field::VLAN_TCI, 0xa019, 0xdad9);
        m.set(Field::VLAN_VID, 0x1005);
        assert_eq!(m.iter().collect::<Vec<_>>(), [(Field::VLAN_TCI, 0x9005, 0xdfff)]);
        m.set(Field::VLAN_PCP, 1);
        assert_eq!(m.iter().collect::<Vec<_>>(), [(Field::VLAN_VID, 0x1005, 0x1fff), (Field::VLAN_PCP, 1, 7)]);
        m.remove(Field::VLAN_TCI);
        m.set(Field::VLAN_PCP, 3);
        assert_eq!(m.iter().collect::<Vec<_>>(), [(Field::VLAN_VID, 0x1000, 0x1000), (Field::VLAN_PCP, 3, 7)]);
        assert_eq!(m.to_string(), "dl_vlan_pcp=3");
        assert_eq!("dl_vlan_pcp=3".parse::<Match>().unwrap(), m);
    }

    #[test]
    fn size() {
        assert_eq!(size_of::<Match>(), 48);
    }
}
