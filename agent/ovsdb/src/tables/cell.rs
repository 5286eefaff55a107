//! OVSDB's JSON values (RFC 7047 section 5.1) straight into column types ([`Cell`]), with equal strings shared ([`Strings`]).
//!
//! A server whose schema is older or newer may hold a column in another shape, so a single atom and a set of it are accepted for each other
//! wherever the count allows.

use std::hash::{Hash, Hasher};

use hashbrown::{HashTable, hash_table};
use rustc_hash::FxHasher;

use super::{Atom, AtomType};
use crate::json::{Elements, Json, JsonError};
use crate::value::{Map, Set, Str, Uuid};

/// Shares equal strings while much is decoded. It grows with the number of different strings and is meant to live for one payload.
#[derive(Debug, Default)]
pub struct Strings {
    /// With their hashes, so that a table that grows need not look at the texts again.
    table: HashTable<(u64, Str)>,
    shared: bool,
}

impl Strings {
    /// Every string gets its own allocation: right for small updates.
    pub fn unshared() -> Self {
        Self::default()
    }

    /// Equal strings share one allocation: right for whole databases.
    pub fn shared() -> Self {
        Self { table: HashTable::new(), shared: true }
    }

    /// A [`Str`] with this text.
    pub fn intern(&mut self, text: &str) -> Str {
        if !self.shared || text.is_empty() {
            return Str::from(text);
        }
        let hash = text_hash(text);
        match self.table.entry(hash, |(held, str)| *held == hash && str.as_str() == text, |(held, _)| *held) {
            hash_table::Entry::Occupied(entry) => entry.get().1.clone(),
            hash_table::Entry::Vacant(entry) => entry.insert((hash, Str::from(text))).get().1.clone(),
        }
    }
}

fn text_hash(text: &str) -> u64 {
    let mut hasher = FxHasher::default();
    text.hash(&mut hasher);
    hasher.finish()
}

/// A value of a column, from `<value>` of RFC 7047 section 5.1.
pub trait Cell: Sized {
    /// Decodes it.
    ///
    /// # Errors
    /// When the value is of another type, or not one at all.
    fn read(json: &mut Json<'_>, strings: &mut Strings) -> Result<Self, JsonError>;
}

/// A scalar column: an empty set, which an older schema may allow, reads as the default.
macro_rules! scalar_cell {
    ($($type:ty),*) => { $(
        impl Cell for $type {
            #[inline]
            fn read(json: &mut Json<'_>, strings: &mut Strings) -> Result<Self, JsonError> {
                single::<$type>(json, strings).map(Option::unwrap_or_default)
            }
        }
    )* };
}
scalar_cell!(Str, i64, bool, Uuid);

impl<T: Atom> Cell for Option<T> {
    #[inline]
    fn read(json: &mut Json<'_>, strings: &mut Strings) -> Result<Self, JsonError> {
        single::<T>(json, strings)
    }
}

impl<T: Atom> Cell for Set<T> {
    fn read(json: &mut Json<'_>, strings: &mut Strings) -> Result<Self, JsonError> {
        if json.take(EMPTY_SET) {
            return Ok(Self::default());
        }
        let mut members = Vec::new();
        atoms::<T>(json, strings, |_, atom| {
            members.push(atom);
            Ok(())
        })?;
        Ok(Self::from(members))
    }
}

impl<K: Atom, V: Atom> Cell for Map<K, V> {
    fn read(json: &mut Json<'_>, strings: &mut Strings) -> Result<Self, JsonError> {
        if json.take("[\"map\",[]]") {
            return Ok(Self::default());
        }
        if json.peek() != Some(b'[') {
            return Err(json.unexpected(&expected_map::<K, V>()));
        }
        let mut value = json.array("a map")?;
        if tag(json, &mut value)? != Tag::Map {
            return Err(json.error(format!("invalid type: sequence, expected {}", expected_map::<K, V>())));
        }
        let mut pairs = Vec::new();
        if !json.more(&mut value)? {
            return Err(missing(json));
        }
        let mut elements = json.array("an array of pairs")?;
        while json.more(&mut elements)? {
            let mut pair = json.array("a pair of key and value")?;
            if !json.more(&mut pair)? {
                return Err(missing(json));
            }
            let key = atom::<K>(json, strings)?;
            if !json.more(&mut pair)? {
                return Err(missing(json));
            }
            let held = atom::<V>(json, strings)?;
            end(json, &mut pair)?;
            pairs.push((key, held));
        }
        end(json, &mut value)?;
        Ok(Self::from(pairs))
    }
}

/// How Open vSwitch's servers write that a column has no value.
const EMPTY_SET: &str = "[\"set\",[]]";

/// Zero or one atom.
#[inline]
fn single<T: Atom>(json: &mut Json<'_>, strings: &mut Strings) -> Result<Option<T>, JsonError> {
    match json.peek() {
        Some(b'[') => {}
        _ => return atom::<T>(json, strings).map(Some),
    }
    if json.take(EMPTY_SET) {
        return Ok(None);
    }
    let mut one = None;
    atoms::<T>(json, strings, |json, atom| match one.replace(atom) {
        None => Ok(()),
        Some(_) => Err(json.error("several values for a column of at most one")),
    })?;
    Ok(one)
}

/// An atom, or `["set", [atom, ...]]`.
fn atoms<T: Atom>(
    json: &mut Json<'_>,
    strings: &mut Strings,
    mut add: impl FnMut(&Json<'_>, T) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    if json.peek() != Some(b'[') {
        let one = atom::<T>(json, strings)?;
        return add(json, one);
    }
    if let Some(uuid) = json.plain_uuid() {
        let one = T::from_uuid(uuid).ok_or_else(|| not_a_uuid::<T>(json))?;
        return add(json, one);
    }
    let mut value = json.array(expected_atom(T::TYPE))?;
    match tag(json, &mut value)? {
        Tag::Uuid => {
            let one = uuid_text::<T>(json, &mut value)?;
            add(json, one)?;
        }
        Tag::Set => {
            if !json.more(&mut value)? {
                return Err(missing(json));
            }
            let mut members = json.array("an array of atoms")?;
            while json.more(&mut members)? {
                let member = atom::<T>(json, strings)?;
                add(json, member)?;
            }
        }
        Tag::Map => return Err(json.error(format!("invalid type: map, expected {}", expected_atom(T::TYPE)))),
    }
    end(json, &mut value)
}

/// One atom: a plain value or `["uuid", text]`.
#[inline]
fn atom<T: Atom>(json: &mut Json<'_>, strings: &mut Strings) -> Result<T, JsonError> {
    let before = json.at();
    let found = match json.peek() {
        Some(b'"') => T::from_str(&json.string()?, strings),
        Some(b'-' | b'0'..=b'9') if T::TYPE == AtomType::Integer => T::from_i64(json.integer()?),
        Some(b't' | b'f') if T::TYPE == AtomType::Boolean => T::from_bool(json.boolean()?),
        Some(b'[') if T::TYPE == AtomType::Uuid => match json.plain_uuid() {
            Some(uuid) => T::from_uuid(uuid),
            None => {
                let mut value = json.array(expected_atom(T::TYPE))?;
                if tag(json, &mut value)? != Tag::Uuid {
                    json.go_back(before);
                    return Err(json.unexpected(expected_atom(T::TYPE)));
                }
                let found = uuid_text::<T>(json, &mut value)?;
                end(json, &mut value)?;
                Some(found)
            }
        },
        _ => None,
    };
    found.ok_or_else(|| {
        json.go_back(before);
        json.unexpected(expected_atom(T::TYPE))
    })
}

/// The first element of an array that stands for a value.
#[derive(PartialEq, Eq)]
enum Tag {
    Uuid,
    Set,
    Map,
}

fn tag(json: &mut Json<'_>, value: &mut Elements) -> Result<Tag, JsonError> {
    let expected = "\"uuid\", \"set\" or \"map\"";
    if !json.more(value)? {
        return Err(missing(json));
    }
    if json.peek() != Some(b'"') {
        return Err(json.unexpected(expected));
    }
    let tag = json.string()?;
    match &*tag {
        "uuid" => Ok(Tag::Uuid),
        "set" => Ok(Tag::Set),
        "map" => Ok(Tag::Map),
        _ => Err(json.error(format!("invalid value: string {tag:?}, expected {expected}"))),
    }
}

/// The text behind the tag of a uuid.
fn uuid_text<T: Atom>(json: &mut Json<'_>, value: &mut Elements) -> Result<T, JsonError> {
    if !json.more(value)? {
        return Err(missing(json));
    }
    let text = json.string()?;
    let invalid =
        |json: &Json<'_>| json.error(format!("invalid value: string {text:?}, expected {}", expected_atom(T::TYPE)));
    let uuid = Uuid::parse(&text).ok_or_else(|| invalid(json))?;
    T::from_uuid(uuid).ok_or_else(|| not_a_uuid::<T>(json))
}

fn not_a_uuid<T: Atom>(json: &Json<'_>) -> JsonError {
    json.error(format!("invalid type: uuid, expected {}", expected_atom(T::TYPE)))
}

/// Nothing else may follow.
#[inline]
fn end(json: &mut Json<'_>, value: &mut Elements) -> Result<(), JsonError> {
    match json.more(value)? {
        false => Ok(()),
        true => Err(json.error("an element too many")),
    }
}

#[cold]
fn missing(json: &Json<'_>) -> JsonError {
    json.error("an element is missing")
}

#[cold]
fn expected_map<K: Atom, V: Atom>() -> String {
    format!("a map of {} to {}", expected_atom(K::TYPE), expected_atom(V::TYPE))
}

fn expected_atom(atom: AtomType) -> &'static str {
    match atom {
        AtomType::Integer => "an integer",
        AtomType::Real => "a number",
        AtomType::Boolean => "true or false",
        AtomType::String => "a string",
        AtomType::Uuid => "a uuid",
    }
}
