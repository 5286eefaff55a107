//! Column types: what an atom is ([`Atom`]), what a column is ([`Column`]), how a column takes part in an index ([`KeyColumn`]), and the
//! description of each that is compared with a server's schema ([`ColumnInfo`]).

use std::cmp::Ordering;
use std::fmt;
use std::hash::Hash;

use crate::differences::differing;
use crate::value::{Map, Set, Str, Uuid};

/// The base type of an atom (RFC 7047 section 3.2, `<atomic-type>`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AtomType {
    /// A signed 64-bit integer.
    Integer,
    /// A floating-point number; no column of ours has it.
    Real,
    /// True or false.
    Boolean,
    /// UTF-8 text.
    String,
    /// A UUID, usually a reference to a row.
    Uuid,
}

/// The shape and base types of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// Exactly one atom.
    Scalar(AtomType),
    /// Zero or one atom.
    Optional(AtomType),
    /// Any number of atoms.
    Set(AtomType),
    /// Pairs of key and value.
    Map(AtomType, AtomType),
}

impl ColumnType {
    /// Whether `update2` describes a change of such a column by the difference and not by the new value (the schema's maximum is above one).
    pub const fn is_composite(self) -> bool {
        matches!(self, Self::Set(_) | Self::Map(..))
    }
}

/// A declared column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnInfo {
    /// The name in the database schema.
    pub name: &'static str,
    /// The type we hold it as.
    pub column_type: ColumnType,
}

/// A set of columns of one table, one bit per column index, and [`ColumnSet::EXISTS`] for the existence of the row itself.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ColumnSet(pub u64);

impl ColumnSet {
    /// The pseudo column that stands for "the row exists".
    pub const EXISTS_COLUMN: u8 = 63;
    /// No column.
    pub const EMPTY: Self = Self(0);
    /// Only the existence of the row.
    pub const EXISTS: Self = Self(1 << Self::EXISTS_COLUMN);

    /// The first `count` columns.
    pub const fn first(count: usize) -> Self {
        Self((1 << count) - 1)
    }

    /// Whether the column with this index is in.
    pub const fn contains(self, column: u8) -> bool {
        column < 64 && self.0 & (1 << column) != 0
    }

    /// Adds a column by index; an index of 64 or more is ignored.
    pub fn insert(&mut self, column: u8) {
        self.0 |= 1u64.checked_shl(column.into()).unwrap_or(0);
    }

    /// This set and one more column.
    pub const fn with(self, column: u8) -> Self {
        Self(self.0 | 1 << column)
    }

    /// The columns of either.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether both have a column in common.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether no column is in.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The column indices in ascending order, [`ColumnSet::EXISTS_COLUMN`] last when it is in.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..64).filter(move |&column| self.contains(column))
    }
}

impl fmt::Debug for ColumnSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// A type of single values.
pub trait Atom: Clone + Default + Ord + Hash + fmt::Debug + 'static {
    /// The schema's base type.
    const TYPE: AtomType;
    /// What a reader of a column of this type gets.
    type Read<'a>: Copy;
    /// What an index is asked with.
    type Key<'k>: Copy + Hash;

    /// For a reader.
    fn read(&self) -> Self::Read<'_>;
    /// As a lookup value.
    fn key(&self) -> Self::Key<'_>;
    /// Where this stands against a looked-up value, in the order of the type.
    fn compare(&self, key: Self::Key<'_>) -> Ordering;

    /// From a JSON string, `None` if the type has no such form.
    fn from_str(_text: &str, _strings: &mut super::decode::Strings) -> Option<Self> {
        None
    }
    /// From a JSON integer.
    fn from_i64(_number: i64) -> Option<Self> {
        None
    }
    /// From a JSON boolean.
    fn from_bool(_flag: bool) -> Option<Self> {
        None
    }
    /// From what is inside `["uuid", ...]`.
    fn from_uuid(_uuid: Uuid) -> Option<Self> {
        None
    }
}

impl Atom for Str {
    const TYPE: AtomType = AtomType::String;
    type Read<'a> = &'a Str;
    type Key<'k> = &'k str;

    fn read(&self) -> &Str {
        self
    }
    fn key(&self) -> &str {
        self
    }
    fn compare(&self, key: &str) -> Ordering {
        self.as_str().cmp(key)
    }
    fn from_str(text: &str, strings: &mut super::decode::Strings) -> Option<Self> {
        Some(strings.intern(text))
    }
}

/// The parts of [`Atom`] that are the same for every `Copy` type.
macro_rules! copied {
    () => {
        type Read<'a> = Self;
        type Key<'k> = Self;

        fn read(&self) -> Self {
            *self
        }
        fn key(&self) -> Self {
            *self
        }
        fn compare(&self, key: Self) -> Ordering {
            self.cmp(&key)
        }
    };
}

impl Atom for i64 {
    const TYPE: AtomType = AtomType::Integer;
    copied!();
    fn from_i64(number: i64) -> Option<Self> {
        Some(number)
    }
}

impl Atom for bool {
    const TYPE: AtomType = AtomType::Boolean;
    copied!();
    fn from_bool(flag: bool) -> Option<Self> {
        Some(flag)
    }
}

impl Atom for Uuid {
    const TYPE: AtomType = AtomType::Uuid;
    copied!();
    fn from_uuid(uuid: Uuid) -> Option<Self> {
        Some(uuid)
    }
}

/// A type of columns.
pub trait Column: Clone + Default + PartialEq + fmt::Debug + super::decode::Cell {
    /// The shape and base types.
    const TYPE: ColumnType;
    /// What a reader gets: values that are `Copy` themselves, `&Str`, an `Option` of either, `&Set`, `&Map`.
    type Read<'a>
    where
        Self: 'a;

    /// For a reader.
    fn read(&self) -> Self::Read<'_>;
    /// This column after a change described as `update2` does for its type. `difference` is whether the server's own type is composite, so
    /// that `change` is the difference to a set or map; otherwise it is the new value.
    fn with_change(&self, change: Self, difference: bool) -> Self;
}

impl<T: Atom> Column for T
where
    T: super::decode::Cell,
{
    const TYPE: ColumnType = ColumnType::Scalar(T::TYPE);
    type Read<'a> = T::Read<'a>;

    fn read(&self) -> T::Read<'_> {
        Atom::read(self)
    }
    fn with_change(&self, change: Self, _difference: bool) -> Self {
        change
    }
}

impl<T: Atom> Column for Option<T> {
    const TYPE: ColumnType = ColumnType::Optional(T::TYPE);
    type Read<'a> = Option<T::Read<'a>>;

    fn read(&self) -> Option<T::Read<'_>> {
        self.as_ref().map(Atom::read)
    }
    fn with_change(&self, change: Self, _difference: bool) -> Self {
        change
    }
}

impl<T: Atom> Column for Set<T> {
    const TYPE: ColumnType = ColumnType::Set(T::TYPE);
    type Read<'a> = &'a Self;

    fn read(&self) -> &Self {
        self
    }
    fn with_change(&self, change: Self, difference: bool) -> Self {
        if difference { self.symmetric_difference(&change) } else { change }
    }
}

impl<K: Atom, V: Atom> Column for Map<K, V> {
    const TYPE: ColumnType = ColumnType::Map(K::TYPE, V::TYPE);
    type Read<'a> = &'a Self;

    fn read(&self) -> &Self {
        self
    }
    fn with_change(&self, change: Self, difference: bool) -> Self {
        if difference { self.with_diff(&change) } else { change }
    }
}

/// A column, or one key of a map column, as a component of an index: it gives a row zero, one or (for a set) several keys.
pub trait KeyColumn {
    /// The type of one key.
    type Atom: Atom;

    /// Calls `visit` with each key of the row.
    fn for_each_key<'a>(&'a self, visit: impl FnMut(<Self::Atom as Atom>::Key<'a>));
    /// Calls `gone` with the keys of the row and `come` with those of the row that replaces it, but may leave out what both have: of a set
    /// with a thousand members one differs as a rule.
    fn for_each_changed_key<'a>(
        &'a self,
        new: &'a Self,
        gone: impl FnMut(<Self::Atom as Atom>::Key<'a>),
        come: impl FnMut(<Self::Atom as Atom>::Key<'a>),
    ) {
        self.for_each_key(gone);
        new.for_each_key(come);
    }
    /// Whether the row has this key.
    fn has_key(&self, key: <Self::Atom as Atom>::Key<'_>) -> bool;
}

impl<T: Atom> KeyColumn for T {
    type Atom = T;
    fn for_each_key<'a>(&'a self, mut visit: impl FnMut(T::Key<'a>)) {
        visit(self.key());
    }
    fn has_key(&self, key: T::Key<'_>) -> bool {
        self.compare(key).is_eq()
    }
}

impl<T: Atom> KeyColumn for Option<T> {
    type Atom = T;
    fn for_each_key<'a>(&'a self, visit: impl FnMut(T::Key<'a>)) {
        self.iter().map(T::key).for_each(visit);
    }
    fn has_key(&self, key: T::Key<'_>) -> bool {
        self.as_ref().is_some_and(|value| value.compare(key).is_eq())
    }
}

/// The value of one key of a map column, if the row has it.
#[derive(Clone, Copy, Debug)]
pub struct MapEntry<'r, T>(pub Option<&'r T>);

impl<T: Atom> KeyColumn for MapEntry<'_, T> {
    type Atom = T;
    fn for_each_key<'a>(&'a self, visit: impl FnMut(T::Key<'a>)) {
        self.0.iter().map(|value| value.key()).for_each(visit);
    }
    fn has_key(&self, key: T::Key<'_>) -> bool {
        self.0.is_some_and(|value| value.compare(key).is_eq())
    }
}

impl<T: Atom> KeyColumn for Set<T> {
    type Atom = T;
    fn for_each_key<'a>(&'a self, visit: impl FnMut(T::Key<'a>)) {
        self.iter().map(T::key).for_each(visit);
    }
    fn for_each_changed_key<'a>(
        &'a self,
        new: &'a Self,
        mut gone: impl FnMut(T::Key<'a>),
        mut come: impl FnMut(T::Key<'a>),
    ) {
        let [before, now] = new.beside(self).map(|members| members.map(|member| (member, &())));
        differing(before, now, |member, was, _| if was { gone(member.key()) } else { come(member.key()) });
    }
    fn has_key(&self, key: T::Key<'_>) -> bool {
        self.contains_by(|member| member.compare(key))
    }
}

/// The chassis that a tunnel id names, as in `chassis@remote%local` or the older `chassis@remote` (encaps.c `encaps_tunnel_id_parse`,
/// OVN 26.03). Ids of another form, such as the `flow` of flow-based tunnels, name none.
pub fn tunnel_chassis(id: Option<&Str>) -> Option<Str> {
    let (chassis, remote) = id?.split_once('@')?;
    (!chassis.is_empty() && !remote.is_empty()).then(|| Str::from(chassis))
}

/// An IP address in its usual spelling, so that two spellings of one address are one key; another text as it is.
pub fn canonical_address(text: &Str) -> Str {
    match text.parse::<std::net::IpAddr>() {
        Ok(address) => {
            let usual = address.to_string();
            if usual == text.as_str() { text.clone() } else { Str::from(usual) }
        }
        Err(_) => text.clone(),
    }
}
