//! OVSDB's JSON values (RFC 7047 section 5.1) straight into column types ([`Cell`]), by serde visitors, with equal strings shared ([`Strings`]).
//!
//! A server whose schema is older or newer may hold a column in another shape, so a single atom and a set of it are accepted for each other
//! wherever the count allows.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use hashbrown::HashTable;
use rustc_hash::FxHasher;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};

use super::{Atom, AtomType};
use crate::value::{Map, Set, Str, Uuid};

/// Shares equal strings while much is decoded. It grows with the number of different strings and is meant to live for one payload.
#[derive(Debug, Default)]
pub struct Strings {
    table: HashTable<Str>,
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
        match self.table.find(hash, |held| held.as_str() == text) {
            Some(held) => held.clone(),
            None => {
                let held = Str::from(text);
                self.table.insert_unique(hash, held.clone(), |held| text_hash(held));
                held
            }
        }
    }
}

fn text_hash(text: &str) -> u64 {
    let mut hasher = FxHasher::default();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Where a column's value comes from: the next value of a JSON object or array.
pub trait CellSource<'de> {
    /// The format's error.
    type Error: Error;
    /// Reads it.
    fn cell<T: Cell>(&mut self, strings: &mut Strings) -> Result<T, Self::Error>;
}

/// The value of the entry of an object whose key was just read.
pub(crate) struct MapCells<'m, A>(pub(crate) &'m mut A);

impl<'de, A: MapAccess<'de>> CellSource<'de> for MapCells<'_, A> {
    type Error = A::Error;
    fn cell<T: Cell>(&mut self, strings: &mut Strings) -> Result<T, A::Error> {
        self.0.next_value_seed(CellSeed { strings, cell: PhantomData })
    }
}

/// The next element of an array.
pub(crate) struct SeqCells<'m, A>(pub(crate) &'m mut A);

impl<'de, A: SeqAccess<'de>> CellSource<'de> for SeqCells<'_, A> {
    type Error = A::Error;
    fn cell<T: Cell>(&mut self, strings: &mut Strings) -> Result<T, A::Error> {
        let cell = self.0.next_element_seed(CellSeed { strings, cell: PhantomData })?;
        cell.ok_or_else(|| A::Error::custom("the row ends before this column"))
    }
}

/// A value of a column, from `<value>` of RFC 7047 section 5.1.
pub trait Cell: Sized {
    /// Decodes it.
    fn decode<'de, D: Deserializer<'de>>(json: D, strings: &mut Strings) -> Result<Self, D::Error>;
}

struct CellSeed<'s, T> {
    strings: &'s mut Strings,
    cell: PhantomData<T>,
}

impl<'de, T: Cell> DeserializeSeed<'de> for CellSeed<'_, T> {
    type Value = T;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<T, D::Error> {
        T::decode(json, self.strings)
    }
}

/// A scalar column: an empty set, which an older schema may allow, reads as the default.
macro_rules! scalar_cell {
    ($($type:ty),*) => { $(
        impl Cell for $type {
            fn decode<'de, D: Deserializer<'de>>(json: D, strings: &mut Strings) -> Result<Self, D::Error> {
                json.deserialize_any(AtomsVisitor::<$type, Option<$type>>::new(strings)).map(Option::unwrap_or_default)
            }
        }
    )* };
}
scalar_cell!(Str, i64, bool, Uuid);

impl<T: Atom> Cell for Option<T> {
    fn decode<'de, D: Deserializer<'de>>(json: D, strings: &mut Strings) -> Result<Self, D::Error> {
        json.deserialize_any(AtomsVisitor::<T, Option<T>>::new(strings))
    }
}

impl<T: Atom> Cell for Set<T> {
    fn decode<'de, D: Deserializer<'de>>(json: D, strings: &mut Strings) -> Result<Self, D::Error> {
        json.deserialize_any(AtomsVisitor::<T, Vec<T>>::new(strings)).map(Set::from)
    }
}

impl<K: Atom, V: Atom> Cell for Map<K, V> {
    fn decode<'de, D: Deserializer<'de>>(json: D, strings: &mut Strings) -> Result<Self, D::Error> {
        json.deserialize_seq(MapVisitor::<K, V> { strings, types: PhantomData }).map(Map::from)
    }
}

/// Where atoms of a set or single value are gathered.
trait Atoms<T>: Default {
    /// False if there is no room for another.
    fn add(&mut self, atom: T) -> bool;
}

impl<T> Atoms<T> for Option<T> {
    fn add(&mut self, atom: T) -> bool {
        self.replace(atom).is_none()
    }
}

impl<T> Atoms<T> for Vec<T> {
    fn add(&mut self, atom: T) -> bool {
        self.push(atom);
        true
    }
}

/// An atom, or `["set", [atom, ...]]`.
struct AtomsVisitor<'s, T, C> {
    strings: &'s mut Strings,
    types: PhantomData<(T, C)>,
}

impl<'s, T: Atom, C: Atoms<T>> AtomsVisitor<'s, T, C> {
    fn new(strings: &'s mut Strings) -> Self {
        Self { strings, types: PhantomData }
    }

    fn one<E: Error>(atom: Option<T>, unexpected: Unexpected<'_>) -> Result<C, E> {
        let mut atoms = C::default();
        atoms.add(atom.ok_or_else(|| E::invalid_type(unexpected, &expected_atom(T::TYPE)))?);
        Ok(atoms)
    }
}

impl<'de, T: Atom, C: Atoms<T>> Visitor<'de> for AtomsVisitor<'_, T, C> {
    type Value = C;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(expected_atom(T::TYPE))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<C, E> {
        Self::one(T::from_str(text, self.strings), Unexpected::Str(text))
    }
    fn visit_i64<E: Error>(self, number: i64) -> Result<C, E> {
        Self::one(T::from_i64(number), Unexpected::Signed(number))
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<C, E> {
        Self::one(i64::try_from(number).ok().and_then(T::from_i64), Unexpected::Unsigned(number))
    }
    fn visit_bool<E: Error>(self, flag: bool) -> Result<C, E> {
        Self::one(T::from_bool(flag), Unexpected::Bool(flag))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<C, A::Error> {
        let atoms = match next_tag(&mut seq)? {
            Tag::Uuid => Self::one(Some(next_uuid(&mut seq)?), Unexpected::Other("uuid"))?,
            Tag::Set => seq
                .next_element_seed(Members::<T, C> { strings: self.strings, types: PhantomData })?
                .ok_or_else(missing)?,
            Tag::Map => return Err(A::Error::invalid_type(Unexpected::Map, &self)),
        };
        end(&mut seq)?;
        Ok(atoms)
    }
}

/// The members of a set.
struct Members<'s, T, C> {
    strings: &'s mut Strings,
    types: PhantomData<(T, C)>,
}

impl<'de, T: Atom, C: Atoms<T>> DeserializeSeed<'de> for Members<'_, T, C> {
    type Value = C;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<C, D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de, T: Atom, C: Atoms<T>> Visitor<'de> for Members<'_, T, C> {
    type Value = C;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of atoms")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<C, A::Error> {
        let mut atoms = C::default();
        while let Some(atom) = seq.next_element_seed(AtomSeed { strings: &mut *self.strings, atom: PhantomData })? {
            if !atoms.add(atom) {
                return Err(A::Error::custom("several values for a column of at most one"));
            }
        }
        Ok(atoms)
    }
}

/// One atom: a plain value or `["uuid", text]`.
struct AtomSeed<'s, T> {
    strings: &'s mut Strings,
    atom: PhantomData<T>,
}

impl<'de, T: Atom> DeserializeSeed<'de> for AtomSeed<'_, T> {
    type Value = T;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<T, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, T: Atom> Visitor<'de> for AtomSeed<'_, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(expected_atom(T::TYPE))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::from_str(text, self.strings).ok_or_else(|| E::invalid_type(Unexpected::Str(text), &expected_atom(T::TYPE)))
    }
    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        T::from_i64(number).ok_or_else(|| E::invalid_type(Unexpected::Signed(number), &self))
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        let atom = i64::try_from(number).ok().and_then(T::from_i64);
        atom.ok_or_else(|| E::invalid_type(Unexpected::Unsigned(number), &self))
    }
    fn visit_bool<E: Error>(self, flag: bool) -> Result<T, E> {
        T::from_bool(flag).ok_or_else(|| E::invalid_type(Unexpected::Bool(flag), &self))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        match next_tag(&mut seq)? {
            Tag::Uuid => {
                let atom = next_uuid(&mut seq)?;
                end(&mut seq)?;
                Ok(atom)
            }
            Tag::Set | Tag::Map => Err(A::Error::invalid_type(Unexpected::Seq, &self)),
        }
    }
}

/// `["map", [[key, value], ...]]`.
struct MapVisitor<'s, K, V> {
    strings: &'s mut Strings,
    types: PhantomData<(K, V)>,
}

impl<'de, K: Atom, V: Atom> Visitor<'de> for MapVisitor<'_, K, V> {
    type Value = Vec<(K, V)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a map of {} to {}", expected_atom(K::TYPE), expected_atom(V::TYPE))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<(K, V)>, A::Error> {
        let pairs = match next_tag(&mut seq)? {
            Tag::Map => {
                let pairs = Pairs::<K, V> { strings: self.strings, types: PhantomData };
                seq.next_element_seed(pairs)?.ok_or_else(missing)?
            }
            Tag::Set | Tag::Uuid => return Err(A::Error::invalid_type(Unexpected::Seq, &self)),
        };
        end(&mut seq)?;
        Ok(pairs)
    }
}

/// The pairs of a map.
struct Pairs<'s, K, V> {
    strings: &'s mut Strings,
    types: PhantomData<(K, V)>,
}

impl<'de, K: Atom, V: Atom> DeserializeSeed<'de> for Pairs<'_, K, V> {
    type Value = Vec<(K, V)>;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de, K: Atom, V: Atom> Visitor<'de> for Pairs<'_, K, V> {
    type Value = Vec<(K, V)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of pairs")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = seq.next_element_seed(PairSeed { strings: &mut *self.strings, types: PhantomData })? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

/// `[key, value]`.
struct PairSeed<'s, K, V> {
    strings: &'s mut Strings,
    types: PhantomData<(K, V)>,
}

impl<'de, K: Atom, V: Atom> DeserializeSeed<'de> for PairSeed<'_, K, V> {
    type Value = (K, V);
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(K, V), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de, K: Atom, V: Atom> Visitor<'de> for PairSeed<'_, K, V> {
    type Value = (K, V);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pair of key and value")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(K, V), A::Error> {
        let key = AtomSeed::<K> { strings: &mut *self.strings, atom: PhantomData };
        let key = seq.next_element_seed(key)?.ok_or_else(missing)?;
        let value = AtomSeed::<V> { strings: self.strings, atom: PhantomData };
        let value = seq.next_element_seed(value)?.ok_or_else(missing)?;
        end(&mut seq)?;
        Ok((key, value))
    }
}

/// The first element of an array that stands for a value.
enum Tag {
    Uuid,
    Set,
    Map,
}

fn next_tag<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<Tag, A::Error> {
    struct TagSeed;
    impl<'de> DeserializeSeed<'de> for TagSeed {
        type Value = Tag;
        fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Tag, D::Error> {
            json.deserialize_str(self)
        }
    }
    impl Visitor<'_> for TagSeed {
        type Value = Tag;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("\"uuid\", \"set\" or \"map\"")
        }
        fn visit_str<E: Error>(self, tag: &str) -> Result<Tag, E> {
            match tag {
                "uuid" => Ok(Tag::Uuid),
                "set" => Ok(Tag::Set),
                "map" => Ok(Tag::Map),
                _ => Err(E::invalid_value(Unexpected::Str(tag), &self)),
            }
        }
    }
    seq.next_element_seed(TagSeed)?.ok_or_else(missing)
}

fn next_uuid<'de, A: SeqAccess<'de>, T: Atom>(seq: &mut A) -> Result<T, A::Error> {
    struct UuidSeed<T>(PhantomData<T>);
    impl<'de, T: Atom> DeserializeSeed<'de> for UuidSeed<T> {
        type Value = T;
        fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<T, D::Error> {
            json.deserialize_str(self)
        }
    }
    impl<T: Atom> Visitor<'_> for UuidSeed<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(expected_atom(T::TYPE))
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            T::from_uuid(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
        }
    }
    seq.next_element_seed(UuidSeed(PhantomData))?.ok_or_else(missing)
}

fn end<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<(), A::Error> {
    match seq.next_element::<IgnoredAny>()? {
        None => Ok(()),
        Some(_) => Err(A::Error::custom("an element too many")),
    }
}

fn missing<E: Error>() -> E {
    E::custom("an element is missing")
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
