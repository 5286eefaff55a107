//! Groups. Entry types: [`Group`], [`GroupMod`].

use crate::action::ActionList;
use crate::field::Field;

mod text;

/// How a group chooses among its buckets.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum GroupType {
    /// All buckets.
    All,
    /// One of them.
    Select,
    /// The only one.
    Indirect,
    /// The first live one.
    FastFailover,
}

/// One bucket.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct Bucket {
    /// Unique in its group.
    pub id: u32,
    /// Relative share, for [`GroupType::Select`]; 1 unless said otherwise, 0 for the other types.
    pub weight: u16,
    /// Live only if this port is; [`crate::flow::PORT_ANY`] is none.
    pub watch_port: u32,
    /// Live only if this group is; [`crate::flow::GROUP_ANY`] is none.
    pub watch_group: u32,
    /// What it does.
    pub actions: ActionList,
}

/// `selection_method=`: how Open vSwitch selects.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct SelectionMethod {
    /// `hash`, `dp_hash`.
    pub name: String,
    /// `selection_method_param=`.
    pub param: u64,
    /// `fields(...)`: what to hash, with masks.
    pub fields: Vec<(Field, u128)>,
}

/// A group.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct Group {
    /// Number.
    pub id: u32,
    /// Kind.
    pub group_type: GroupType,
    /// Buckets, in order.
    pub buckets: Vec<Bucket>,
    /// Selection, if not the switch's own.
    pub selection_method: Option<SelectionMethod>,
}

/// What a [`GroupMod`] does.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum GroupModCommand {
    /// Add.
    Add,
    /// Replace.
    Modify,
    /// Delete.
    Delete,
    /// Add the buckets after the last one that the group has.
    InsertBuckets,
}

/// `OFPG_ALL`.
pub const GROUP_ALL: u32 = 0xffff_fffc;

/// Body of a GROUP_MOD message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupMod {
    /// What to do.
    pub command: GroupModCommand,
    /// The group; only its id matters for deletion.
    pub group: Group,
}
