//! OVSDB's JSON straight into typed rows: cells ([`Cell`]), row updates and whole `<table-updates>` ([`decode`]), by serde visitors, without a
//! JSON tree in between.
//!
//! A server whose schema is older or newer may hold a column in another shape, so a single atom and a set of it are accepted for each other
//! wherever the count allows.

use std::fmt;
use std::marker::PhantomData;

use hashbrown::HashTable;
use rustc_hash::FxHasher;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::value::RawValue;
use std::hash::{Hash, Hasher};

use super::{
    Atom, AtomType, ColumnInfo, ColumnSet, Database, Row, RowError, RowUpdate, TableInfo, Updates, UpdatesVisitor,
    table_position,
};
use crate::schema::Schema;
use crate::value::{Map, Set, Str, Uuid};

/// Which notation row updates are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateFormat {
    /// `<table-updates>`: `update` notifications and the reply to `monitor` (RFC 7047 sections 4.1.5, 4.1.6).
    V1,
    /// `<table-updates2>`: `update2` and `update3` notifications and the replies to `monitor_cond` and `monitor_cond_since` (ovsdb-server(7)).
    V2,
}

/// The text was not a JSON object of tables.
#[derive(Debug, thiserror::Error)]
#[error("table updates of {database}: {source}")]
pub struct DecodeError {
    /// The database's name.
    pub database: &'static str,
    /// Where and why.
    pub source: serde_json::Error,
}

/// Which columns a server describes changes of as differences (ovsdb-server(7), "Update2 Notification"): those whose maximum in its own schema is
/// above one. That matters for a set that an older schema has as a single or optional value.
#[derive(Clone, Debug)]
pub struct Differences(Box<[ColumnSet]>);

impl Differences {
    /// As our own types have it.
    pub fn declared<D: Database>() -> Self {
        let composite = |table: &TableInfo| columns_where(table, |column| column.column_type.is_composite());
        Self(D::TABLES.iter().map(composite).collect())
    }

    /// As the server's schema has it.
    pub fn of_server<D: Database>(schema: &Schema) -> Self {
        let composite = |table: &TableInfo| {
            columns_where(table, |column| match schema.column(table.name, column.name) {
                Some(served) => served.kind.max != Some(1),
                None => column.column_type.is_composite(),
            })
        };
        Self(D::TABLES.iter().map(composite).collect())
    }
}

fn columns_where(table: &TableInfo, test: impl Fn(&ColumnInfo) -> bool) -> ColumnSet {
    let mut columns = ColumnSet::EMPTY;
    for (number, column) in (0..).zip(table.columns) {
        if test(column) {
            columns.insert(number);
        }
    }
    columns
}

/// Decodes a `<table-updates>` or `<table-updates2>` object. Unknown tables and columns are skipped. A row with a bad value is left out, noted in
/// `rejected`, and deleted from the replica if it was there.
///
/// # Errors
/// When `text` is not JSON of that structure.
pub fn decode<D: Database>(text: &str, format: UpdateFormat, strings: &mut Strings) -> Result<D::Updates, DecodeError> {
    decode_from::<D>(text, format, &Differences::declared::<D>(), strings)
}

/// Like [`decode`], from a server whose schema may give columns another number of values.
///
/// # Errors
/// When `text` is not JSON of that structure.
pub fn decode_from<D: Database>(
    text: &str,
    format: UpdateFormat,
    differences: &Differences,
    strings: &mut Strings,
) -> Result<D::Updates, DecodeError> {
    let mut pass = |tolerant| decode_pass::<D>(text, strings, Notation { format, differences, tolerant });
    // Nearly always every row is good and one pass is enough. If not, a second one looks at each row by itself.
    pass(false).or_else(|_| pass(true)).map_err(|source| DecodeError { database: D::NAME, source })
}

/// How to read what comes.
#[derive(Clone, Copy)]
struct Notation<'d> {
    format: UpdateFormat,
    differences: &'d Differences,
    /// Look at each row by itself, so that a bad one costs no other.
    tolerant: bool,
}

fn decode_pass<D: Database>(
    text: &str,
    strings: &mut Strings,
    notation: Notation<'_>,
) -> Result<D::Updates, serde_json::Error> {
    let mut updates = D::Updates::default();
    let mut context = Context::new(strings);
    let mut json = serde_json::Deserializer::from_str(text);
    let tables = TablesVisitor::<D> { updates: &mut updates, context: &mut context, notation };
    (&mut json).deserialize_map(tables)?;
    json.end()?;
    Ok(updates)
}

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

/// Where the decoder is, for the text of an error, and what it needs on the way.
#[derive(Debug)]
pub(crate) struct Context<'s> {
    pub(crate) strings: &'s mut Strings,
    /// The column being read.
    pub(crate) column: Option<&'static str>,
    /// The column numbers of the row before in the order in which they came: the next row of the table usually has them in the same order.
    order: Vec<u8>,
}

impl<'s> Context<'s> {
    pub(crate) fn new(strings: &'s mut Strings) -> Self {
        Self { strings, column: None, order: Vec::new() }
    }

    /// The number of the column called `name`, which came as the `nth` of its row.
    fn column_number<R: Row>(&mut self, nth: usize, name: &str) -> Option<u8> {
        if let Some(&guess) = self.order.get(nth)
            && R::COLUMNS.get(usize::from(guess)).is_some_and(|column| column.name == name)
        {
            return Some(guess);
        }
        let number = R::COLUMNS.iter().position(|column| column.name == name)? as u8;
        self.order.truncate(nth);
        self.order.push(number);
        Some(number)
    }
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

// ===== cells =====

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

/// What serde_json has to say, without the line and column, which count from the start of the row.
pub(crate) fn complaint(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    if let Some(at) = text.rfind(" at line ") {
        text.truncate(at);
    }
    text
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

// ===== rows =====

/// A JSON object of columns, and which of them it gave.
pub(crate) struct RowSeed<'c, 's, R> {
    pub(crate) context: &'c mut Context<'s>,
    pub(crate) row: PhantomData<R>,
}

impl<'de, R: Row> DeserializeSeed<'de> for RowSeed<'_, '_, R> {
    type Value = (R, ColumnSet);
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de, R: Row> Visitor<'de> for RowSeed<'_, '_, R> {
    type Value = (R, ColumnSet);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of columns")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut row, mut columns) = (R::default(), ColumnSet::EMPTY);
        let context = self.context;
        let mut nth = 0;
        while let Some(column) = map.next_key_seed(Name(|name: &str| context.column_number::<R>(nth, name)))? {
            match column {
                Some(column) => {
                    context.column = R::COLUMNS.get(usize::from(column)).map(|column| column.name);
                    row.read_cell(column, &mut MapCells(&mut map), context.strings)?;
                    context.column = None;
                    columns.insert(column);
                    nth += 1;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok((row, columns))
    }
}

/// A JSON string looked at in place.
pub(crate) struct Name<F>(pub(crate) F);

impl<'de, T, F: FnOnce(&str) -> T> DeserializeSeed<'de> for Name<F> {
    type Value = T;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<T, D::Error> {
        json.deserialize_str(self)
    }
}

impl<T, F: FnOnce(&str) -> T> Visitor<'_> for Name<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }
    fn visit_str<E: Error>(self, name: &str) -> Result<T, E> {
        Ok((self.0)(name))
    }
}

/// A `<row-update>` or `<row-update2>`.
struct RowUpdateSeed<'c, 's, R> {
    context: &'c mut Context<'s>,
    format: UpdateFormat,
    /// See [`Differences`].
    differences: ColumnSet,
    row: PhantomData<R>,
}

impl<'de, R: Row> DeserializeSeed<'de> for RowUpdateSeed<'_, '_, R> {
    type Value = RowUpdate<R>;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<RowUpdate<R>, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de, R: Row> Visitor<'de> for RowUpdateSeed<'_, '_, R> {
    type Value = RowUpdate<R>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row update")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RowUpdate<R>, A::Error> {
        let Self { context, format, differences, .. } = self;
        // In version 1 a deletion is known by the absence of "new", which holds the whole row also after a modification.
        let mut update = RowUpdate::Delete;
        while let Some(kind) = map.next_key_seed(Name(|name: &str| match (format, name) {
            (UpdateFormat::V1, "new") | (UpdateFormat::V2, "initial" | "insert") => Some(true),
            (UpdateFormat::V2, "modify") => Some(false),
            _ => None,
        }))? {
            match kind {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(whole) => {
                    let (row, columns) = map.next_value_seed(RowSeed { context: &mut *context, row: PhantomData })?;
                    update =
                        if whole { RowUpdate::Insert(row) } else { RowUpdate::Modify { row, columns, differences } };
                }
            }
        }
        Ok(update)
    }
}

// ===== tables =====

/// An object of tables by name.
struct TablesVisitor<'c, 's, D: Database> {
    updates: &'c mut D::Updates,
    context: &'c mut Context<'s>,
    notation: Notation<'c>,
}

impl<'de, D: Database> Visitor<'de> for TablesVisitor<'_, '_, D> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tables")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(position) = map.next_key_seed(Name(table_position::<D>))? {
            let Some(position) = position else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let mut rejected = Vec::new();
            let value = TableValue {
                map: &mut map,
                context: &mut *self.context,
                notation: self.notation,
                position,
                rejected: &mut rejected,
                de: PhantomData,
            };
            self.updates.visit_table(position, value).transpose()?;
            self.updates.rejected_mut().append(&mut rejected);
        }
        Ok(())
    }
}

/// The value of the table whose name was just read.
struct TableValue<'m, 's, 'de, A> {
    map: &'m mut A,
    context: &'m mut Context<'s>,
    notation: Notation<'m>,
    position: usize,
    rejected: &'m mut Vec<RowError>,
    de: PhantomData<&'de ()>,
}

impl<'de, A: MapAccess<'de>> UpdatesVisitor for TableValue<'_, '_, 'de, A> {
    type Output = Result<(), A::Error>;

    fn visit<R: Row>(self, updates: &mut Vec<(Uuid, RowUpdate<R>)>) -> Self::Output {
        self.context.order.clear();
        let Self { map, context, notation, position, rejected, .. } = self;
        let Notation { format, differences, tolerant } = notation;
        let differences = differences.0.get(position).copied().unwrap_or(R::COMPOSITE);
        map.next_value_seed(TableSeed { updates, context, format, differences, tolerant, rejected })
    }
}

/// An object of row updates by uuid.
struct TableSeed<'c, 's, R> {
    updates: &'c mut Vec<(Uuid, RowUpdate<R>)>,
    context: &'c mut Context<'s>,
    format: UpdateFormat,
    differences: ColumnSet,
    tolerant: bool,
    rejected: &'c mut Vec<RowError>,
}

impl<'de, R: Row> DeserializeSeed<'de> for TableSeed<'_, '_, R> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de, R: Row> Visitor<'de> for TableSeed<'_, '_, R> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of row updates")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { updates, context, format, differences, tolerant, rejected } = self;
        while let Some(uuid) = map.next_key_seed(Name(|text: &str| Uuid::parse(text).ok_or_else(|| text.to_owned())))? {
            if !tolerant {
                let uuid = uuid.map_err(|text| A::Error::invalid_value(Unexpected::Str(&text), &"a uuid"))?;
                let update = map.next_value_seed(RowUpdateSeed {
                    context: &mut *context,
                    format,
                    differences,
                    row: PhantomData,
                })?;
                updates.push((uuid, update));
                continue;
            }
            let text: &'de RawValue = map.next_value()?;
            let uuid = match uuid {
                Ok(uuid) => uuid,
                Err(text) => {
                    let message = format!("{text:?} is not a row's uuid");
                    rejected.push(RowError { table: R::NAME, uuid: Uuid::NIL, column: None, message });
                    continue;
                }
            };
            context.column = None;
            let mut json = serde_json::Deserializer::from_str(text.get());
            let update =
                RowUpdateSeed { context: &mut *context, format, differences, row: PhantomData }.deserialize(&mut json);
            updates.push((
                uuid,
                update.unwrap_or_else(|error| {
                    rejected.push(RowError {
                        table: R::NAME,
                        uuid,
                        column: context.column,
                        message: complaint(&error),
                    });
                    RowUpdate::Delete
                }),
            ));
        }
        Ok(())
    }
}
