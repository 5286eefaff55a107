//! OVN's match and action languages: texts of Logical_Flow rows become values, values become OpenFlow matches and actions.
//!
//! Pure functions, no I/O. The match half: [`Expr::parse`] reads a match with a [`SymbolTable`] and the caller's
//! [`ConstantSets`]; [`Expr::annotate`], [`Expr::simplify`], [`Expr::evaluate`] and [`Expr::normalize`] rewrite it;
//! [`Normalized::to_matches`] yields the OpenFlow [`Matches`]. [`expand_templates`] replaces `^variables` beforehand.
//! The action half: [`parse_actions`] reads an action list with its [`ActionParse`] parameters into [`LogicalAction`]s;
//! [`encode_actions`] turns them into OpenFlow actions, asking its [`EncodeContext`] for ports, groups and meters.
//! A match may also describe a single packet: [`Microflow`].
#![forbid(unsafe_code)]

pub mod actions;
mod error;
mod expr;
pub mod lexer;
mod microflow;
pub mod symbols;
mod template;

pub use actions::{
    ActionParse, ActionsDisplay, EncodeContext, EncodeParams, LogicalAction, OptionTable, Pipeline, encode_actions,
    parse_actions,
};
pub use error::{Error, quote};
pub use expr::budget::{Limits, TooComplex};
pub use expr::constants::{
    AddressSet, Constant, ConstantSet, ConstantSets, NoSets, parse_constant, parse_constant_set,
};
pub use expr::field::FieldRef;
pub use expr::matches::{Conjunction, MatchFlow, Matches, TooManyClauses};
pub use expr::normalize::{Factor, Normalized, Test};
pub use expr::{Cmp, Expr, Operand, Relop};
pub use lexer::{Integer, IntegerFormat, Lexer, Token};
pub use microflow::{Microflow, MicroflowError};
pub use symbols::{Level, OvnField, Symbol, SymbolKind, SymbolTable, WriteScope};
pub use template::{MissingVariable, expand_templates};
