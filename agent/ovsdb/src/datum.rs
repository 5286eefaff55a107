//! Values on their way to a server: [`Datum`], in the notation of RFC 7047 section 5.1.

use std::fmt::Write as _;
use std::hash::{Hash, Hasher};

use crate::value::{Map, Set, Str, Uuid};

/// One atom.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A signed 64-bit integer.
    Integer(i64),
    /// A floating-point number; one that is not finite is written as 0, for JSON has no notation for it.
    Real(f64),
    /// True or false.
    Boolean(bool),
    /// UTF-8 text.
    String(Str),
    /// A row's id.
    Uuid(Uuid),
    /// A row inserted by the same transaction under this name.
    NamedUuid(Str),
}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Value::Integer(value) => value.hash(state),
            // Zeros are equal whatever their sign.
            Value::Real(value) => (value + 0.0).to_bits().hash(state),
            Value::Boolean(value) => value.hash(state),
            Value::String(text) | Value::NamedUuid(text) => text.hash(state),
            Value::Uuid(uuid) => uuid.hash(state),
        }
    }
}

/// The value of a column.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Datum {
    /// Exactly one atom.
    Scalar(Value),
    /// Any number of atoms; also how an optional column is written.
    Set(Vec<Value>),
    /// Pairs of key and value.
    Map(Vec<(Value, Value)>),
}

impl Datum {
    /// The empty set: an optional column without a value.
    pub const EMPTY: Datum = Datum::Set(Vec::new());

    /// A reference to the row that the same transaction inserts under `name`.
    pub fn named(name: &str) -> Datum {
        Datum::Scalar(Value::NamedUuid(Str::from(name)))
    }

    /// Appends the JSON notation.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Datum::Scalar(value) => value.write(out),
            Datum::Set(values) => {
                out.push_str("[\"set\",[");
                separated(out, values, |out, value| value.write(out));
                out.push_str("]]");
            }
            Datum::Map(pairs) => {
                out.push_str("[\"map\",[");
                separated(out, pairs, |out, (key, value)| {
                    out.push('[');
                    key.write(out);
                    out.push(',');
                    value.write(out);
                    out.push(']');
                });
                out.push_str("]]");
            }
        }
    }
}

impl Value {
    fn write(&self, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = match self {
            Value::Integer(value) => write!(out, "{value}"),
            Value::Real(value) if value.is_finite() => write!(out, "{value:?}"),
            Value::Real(_) => write!(out, "0.0"),
            Value::Boolean(value) => write!(out, "{value}"),
            Value::String(value) => {
                string(out, value);
                Ok(())
            }
            Value::Uuid(value) => write!(out, "[\"uuid\",\"{value}\"]"),
            Value::NamedUuid(name) => {
                out.push_str("[\"named-uuid\",");
                string(out, name);
                out.push(']');
                Ok(())
            }
        };
    }
}

/// Appends `text` as a JSON string.
pub(crate) fn string(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        // Only ASCII bytes stop here, so both ends are at character boundaries.
        out.push_str(text.get(plain..at).unwrap_or_default());
        plain = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            other => {
                let _ = write!(out, "\\u{other:04x}");
            }
        }
    }
    out.push_str(text.get(plain..).unwrap_or_default());
    out.push('"');
}

/// Appends the items with commas between them.
pub(crate) fn separated<T>(out: &mut String, items: impl IntoIterator<Item = T>, mut one: impl FnMut(&mut String, T)) {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        one(out, item);
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Integer(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Value {
        Value::Real(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Boolean(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::String(Str::from(value))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::String(Str::from(value))
    }
}

impl From<Str> for Value {
    fn from(value: Str) -> Value {
        Value::String(value)
    }
}

impl From<&Str> for Value {
    fn from(value: &Str) -> Value {
        Value::String(value.clone())
    }
}

impl From<Uuid> for Value {
    fn from(value: Uuid) -> Value {
        Value::Uuid(value)
    }
}

impl<T: Into<Value>> From<T> for Datum {
    fn from(value: T) -> Datum {
        Datum::Scalar(value.into())
    }
}

impl<T: Into<Value>> From<Option<T>> for Datum {
    fn from(value: Option<T>) -> Datum {
        Datum::Set(value.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> FromIterator<T> for Datum {
    /// A set.
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Datum {
        Datum::Set(values.into_iter().map(Into::into).collect())
    }
}

impl<K: Into<Value>, V: Into<Value>> FromIterator<(K, V)> for Datum {
    /// A map.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Datum {
        Datum::Map(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl<T: Into<Value> + Clone> From<&Set<T>> for Datum {
    fn from(values: &Set<T>) -> Datum {
        Datum::Set(values.iter().cloned().map(Into::into).collect())
    }
}

impl<K: Into<Value> + Clone, V: Into<Value> + Clone> From<&Map<K, V>> for Datum {
    fn from(pairs: &Map<K, V>) -> Datum {
        Datum::Map(pairs.iter().map(|(key, value)| (key.clone().into(), value.clone().into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(datum: impl Into<Datum>) -> String {
        let mut out = String::new();
        datum.into().write(&mut out);
        out
    }

    #[test]
    fn notation() {
        let uuid = Uuid::parse("f47ac10b-58cc-4372-a567-0e02b2c3d479").unwrap();
        let set: Set<Str> = ["b", "a"].into_iter().map(Str::from).collect();
        let map: Map<Str, Uuid> = [(Str::from("k"), uuid)].into_iter().collect();
        for (datum, expected) in [
            (Datum::from(-3), "-3"),
            (Datum::from(1.5), "1.5"),
            (Datum::from(2.0), "2.0"),
            (Datum::from(f64::NAN), "0.0"),
            (Datum::from(true), "true"),
            (Datum::from("x"), r#""x""#),
            (Datum::from(uuid), r#"["uuid","f47ac10b-58cc-4372-a567-0e02b2c3d479"]"#),
            (Datum::named("row1"), r#"["named-uuid","row1"]"#),
            (Datum::EMPTY, r#"["set",[]]"#),
            (Datum::from(Some("x")), r#"["set",["x"]]"#),
            (Datum::from(None::<i64>), r#"["set",[]]"#),
            (Datum::from(&set), r#"["set",["a","b"]]"#),
            (Datum::from(&map), r#"["map",[["k",["uuid","f47ac10b-58cc-4372-a567-0e02b2c3d479"]]]]"#),
            ([("a", 1), ("b", 2)].into_iter().collect(), r#"["map",[["a",1],["b",2]]]"#),
        ] {
            assert_eq!(text(datum), expected);
        }
    }

    #[test]
    fn every_string_survives() {
        for original in ["", "a\"b\\c", "\n\t\r\0\u{1f}", "日本\"語🦀\\", "\u{7f}\u{2028}", "\\u0041"] {
            let read: String = serde_json::from_str(&text(original)).unwrap();
            assert_eq!(read, original);
        }
    }
}
