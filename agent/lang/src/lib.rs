//! OVN's match and action languages: texts of Logical_Flow rows become values, values become OpenFlow matches and actions.
#![forbid(unsafe_code)]

mod error;
pub mod lexer;
mod template;

pub use error::{Error, quote};
pub use lexer::{Integer, IntegerFormat, Lexer, Token};
pub use template::{MissingVariable, expand_templates};
