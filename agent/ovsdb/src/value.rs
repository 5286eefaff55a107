//! Values of OVSDB columns as the replica holds them: [`Str`], [`Uuid`], [`Set`] and [`Map`]; integers are `i64`, booleans `bool`, and a column
//! of zero or one value is an `Option`.
//!
//! All of them are cheap to clone (a reference count at most), so that the old version of a row can be kept beside the new one. They are
//! immutable; a change makes a new value. An empty string, set or map owns no heap block.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::str::FromStr;

use triomphe::Arc;

pub use crate::map::Map;
pub use crate::set::Set;

/// A shared immutable string.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Str(Option<Arc<str>>);

impl Str {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or("")
    }

    /// Whether both share one allocation (or are both empty). Equal texts need not.
    pub fn shares_with(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        }
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Self((!text.is_empty()).then(|| Arc::from(text)))
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl Deref for Str {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Str {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Str {
    fn borrow(&self) -> &str {
        self
    }
}

impl Hash for Str {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Ord for Str {
    fn cmp(&self, other: &Self) -> Ordering {
        // Names are mostly shared, and then need not be looked at.
        if self.shares_with(other) { Ordering::Equal } else { self.as_str().cmp(other.as_str()) }
    }
}

impl PartialOrd for Str {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq<str> for Str {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Str {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl serde::Serialize for Str {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

/// A row's identity: 128 bits, in the order in which they are written.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// All zero: the default of a mandatory uuid column, no row's identity.
    pub const NIL: Self = Self([0; 16]);

    /// The first 32 bits, from which OVN cuts OpenFlow cookies.
    pub fn short(&self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }

    /// Strictly the form `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, in either case, nothing before or after.
    pub fn parse(text: &str) -> Option<Self> {
        Self::parse_bytes(text.as_bytes().try_into().ok()?)
    }

    /// The same of its characters.
    #[inline]
    pub(crate) fn parse_bytes(text: &[u8; 36]) -> Option<Self> {
        if (text[8], text[13], text[18], text[23]) != (b'-', b'-', b'-', b'-') {
            return None;
        }
        let mut bytes = [0; 16];
        let mut bad = 0;
        for (byte, at) in bytes.iter_mut().zip(DIGIT_PAIRS) {
            let (high, low) = (HEX[usize::from(text[at])], HEX[usize::from(text[at + 1])]);
            bad |= high | low;
            *byte = high << 4 | low & 15;
        }
        if bad > 15 {
            return None;
        }
        Some(Self(bytes))
    }
}

/// Where the bytes of a UUID start in its text.
const DIGIT_PAIRS: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// Values of hexadecimal digits; 255 for other characters. A table because a database is mostly UUIDs.
const HEX: [u8; 256] = {
    let mut values = [255; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value] as usize] = value as u8;
        values[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// The text was not a hyphenated UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID of the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")]
pub struct InvalidUuid;

impl FromStr for Uuid {
    type Err = InvalidUuid;
    fn from_str(text: &str) -> Result<Self, InvalidUuid> {
        Self::parse(text).ok_or(InvalidUuid)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; 36];
        let mut at = 0;
        for byte in self.0 {
            if matches!(at, 8 | 13 | 18 | 23) {
                at += 1;
            }
            text[at] = DIGITS[usize::from(byte >> 4)];
            text[at + 1] = DIGITS[usize::from(byte & 15)];
            at += 2;
        }
        f.pad(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Uuid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Sorted items after a difference, sorted in the same way: an item that is there as it is goes, one with an equal key takes its place, another one comes.
pub(crate) fn with_difference<'a, T: Clone + PartialEq + 'a>(
    sorted: &[T],
    difference: impl IntoIterator<Item = &'a T>,
    order: impl Fn(&T, &T) -> Ordering,
) -> Vec<T> {
    let difference = difference.into_iter();
    let mut items = Vec::with_capacity(sorted.len() + difference.size_hint().0.max(1));
    // The difference is small as a rule, and what lies between its items stays.
    let mut rest = sorted;
    for item in difference {
        let found = rest.binary_search_by(|probe| order(probe, item));
        let (before, from) = rest.split_at_checked(found.unwrap_or_else(|at| at)).unwrap_or((rest, &[]));
        let (held, after) = match from.split_first().filter(|_| found.is_ok()) {
            Some((held, after)) => (Some(held), after),
            None => (None, from),
        };
        items.extend_from_slice(before);
        items.extend((held != Some(item)).then(|| item.clone()));
        rest = after;
    }
    items.extend_from_slice(rest);
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_is_parsed_strictly_and_written_back() {
        let text = "f47ac10b-58cc-4372-a567-0e02b2c3d479";
        let uuid = Uuid::parse(text).unwrap();
        assert_eq!(uuid.to_string(), text);
        assert_eq!(uuid.short(), 0xf47a_c10b);
        assert_eq!(Uuid::parse(&text.to_uppercase()), Some(uuid));
        for bad in [
            "",
            "f47ac10b58cc4372a5670e02b2c3d479",
            "f47ac10b-58cc-4372-a567-0e02b2c3d47",
            "+47ac10b-58cc-4372-a567-0e02b2c3d479",
        ] {
            assert_eq!(Uuid::parse(bad), None, "{bad}");
        }
        assert_eq!(Uuid::parse(" 47ac10b-58cc-4372-a567-0e02b2c3d479"), None);
        assert_eq!(Uuid::parse("f47ac10b-58cc-4372-a567-0e02b2c3d4-9"), None);
    }

    #[test]
    fn empty_strings_own_nothing_and_equal_the_default() {
        assert_eq!(Str::from(""), Str::default());
        assert!(Str::from("").shares_with(&Str::default()));
        let text = Str::from("x");
        assert!(text.shares_with(&text.clone()));
        assert_eq!(text, "x");
    }
}
