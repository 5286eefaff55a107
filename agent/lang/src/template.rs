//! Replaces `^variable` references in match and action texts before they are parsed. Entry: [`expand_templates`].

use crate::lexer::{Lexer, Token};
use std::borrow::Cow;

/// A template variable has no value on this chassis, so the logical flow that mentions it is skipped.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("template variable {name} has no value")]
pub struct MissingVariable {
    /// The first such variable, without `^`.
    pub name: String,
    /// Byte offset in the text of where it is mentioned.
    pub offset: usize,
}

/// Returns `text` with each `^name` token replaced by `vars(name)`.
///
/// `vars` is called once for each occurrence, also after one was missing, so that the caller can record every variable as a
/// dependency. A `^` inside a quoted string or a comment is not a reference. Unlike `lexer_parse_template_string` (OVN
/// v26.03.1) everything else is copied as written instead of printed anew from tokens; it parses to the same.
pub fn expand_templates<'t, V: AsRef<str>>(
    text: &'t str,
    mut vars: impl FnMut(&str) -> Option<V>,
) -> Result<Cow<'t, str>, MissingVariable> {
    if !text.contains('^') {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len() + 32);
    let mut copied = 0;
    let mut missing = None;
    let mut lexer = Lexer::new(text);
    while *lexer.token() != Token::End {
        if let Token::Template(name) = *lexer.token() {
            out.push_str(&text[copied..lexer.offset()]);
            copied = lexer.end_offset();
            match vars(name) {
                Some(value) => out.push_str(value.as_ref()),
                None if missing.is_none() => {
                    missing = Some(MissingVariable { name: name.to_string(), offset: lexer.offset() });
                }
                None => {}
            }
        }
        lexer.advance();
    }
    out.push_str(&text[copied..]);
    match missing {
        Some(missing) => Err(missing),
        None => Ok(Cow::Owned(out)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expansion() {
        let vars = |name: &str| match name {
            "vip" => Some("192.0.2.1"),
            "port" => Some("80"),
            "list" => Some("10.0.0.1:1,10.0.0.2:2"),
            _ => None,
        };
        let cases = [
            ("ip4 && tcp", Ok("ip4 && tcp")),
            ("ip4.dst == ^vip && tcp.dst == ^port", Ok("ip4.dst == 192.0.2.1 && tcp.dst == 80")),
            ("ct_lb_mark(backends=^list);", Ok("ct_lb_mark(backends=10.0.0.1:1,10.0.0.2:2);")),
            ("ct_lb_mark(backends=^vip:^port);", Ok("ct_lb_mark(backends=192.0.2.1:80);")),
            ("inport == \"^vip\" // ^port", Ok("inport == \"^vip\" // ^port")),
            ("ip4.dst == ^nope && tcp.dst == ^none", Err(("nope", 11))),
            ("ip4.dst == ^1", Ok("ip4.dst == ^1")),
        ];
        for (text, want) in cases {
            let got = expand_templates(text, vars);
            match want {
                Ok(want) => assert_eq!(got.as_deref(), Ok(want)),
                Err((name, offset)) => assert_eq!(got, Err(MissingVariable { name: name.to_string(), offset })),
            }
        }
    }

    #[test]
    fn every_variable_is_asked_for() {
        let mut asked = Vec::new();
        let result = expand_templates("^a ^b ^a", |name| {
            asked.push(name.to_string());
            None::<&str>
        });
        assert!(result.is_err());
        assert_eq!(asked, ["a", "b", "a"]);
    }
}
