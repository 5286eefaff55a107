//! JSON-RPC 1.0 messages as OVSDB uses them (RFC 7047 section 4), told apart without parsing what they carry. Entry
//! types: [`Message`], [`Payload`].
//!
//! [`parse`] works on the separators that the framer noted, so a message of many megabytes costs no second scan. What a
//! message carries stays text: it is a [`Span`] of the frame, and [`Payload`] is a span that owns the frame.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;
use smallvec::SmallVec;
use thiserror::Error;

use crate::frame::Frame;

/// A message that breaks the rules of JSON-RPC 1.0 or of RFC 7047.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("message at byte {offset} of the stream: {what}")]
pub struct RpcError {
    /// Offset of the message from the start of the connection's stream.
    pub offset: u64,
    /// What is wrong, naming the member.
    pub what: String,
}

/// A piece of a frame's text, in bytes from the frame's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: usize,
    end: usize,
}

/// One JSON-RPC message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The peer wants an answer.
    Request {
        /// The peer's id, any JSON value but null, to be repeated in the answer.
        id: Span,
        /// What is asked.
        method: Method,
        /// A JSON array.
        params: Span,
    },
    /// The peer tells something; no answer is expected (`id` is null).
    Notification {
        /// What is told.
        method: Method,
        /// A JSON array.
        params: Span,
    },
    /// The answer to a request of ours.
    Reply {
        /// The id of our request.
        id: u64,
        /// The result, or the error the server gave instead.
        result: Result<Span, RemoteError>,
    },
}

/// The methods that a server calls on a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// RFC 7047 section 4.1.11.
    Echo,
    /// RFC 7047 section 4.1.6: rows with `old` and `new`.
    Update,
    /// ovsdb-server(7) "Update2": differences.
    Update2,
    /// ovsdb-server(7) "Update3": differences and the id of the last transaction.
    Update3,
    /// ovsdb-server(7) "Monitor Canceled": the database went away or was converted.
    MonitorCanceled,
    /// Anything else.
    Other(String),
}

/// An error that the server gave as the answer to a whole request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Error)]
pub struct RemoteError {
    /// The short word of RFC 7047 section 3.1 or ovsdb-server(7), such as `unknown database`.
    pub error: String,
    /// The server's explanation.
    pub details: Option<String>,
    /// The piece of the request that the server objects to, as JSON text.
    pub syntax: Option<String>,
}

/// JSON text out of a message, together with the buffer it was received in: nothing is copied.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    text: String,
    span: Span,
}

impl Payload {
    /// The JSON text.
    pub fn as_str(&self) -> &str {
        self.text.get(self.span.start..self.span.end).unwrap_or_default()
    }

    pub(crate) fn new(frame: Frame, span: Span) -> Payload {
        Payload { text: frame.text, span }
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Payload {
        let end = text.len();
        Payload { text, span: Span { start: 0, end } }
    }
}

impl fmt::Debug for Payload {
    /// The beginning only: the initial contents of a database do not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.as_str();
        let cut = text.char_indices().nth(200).map_or(text.len(), |(at, _)| at);
        let dots = if cut < text.len() { "..." } else { "" };
        write!(f, "Payload({} bytes: {}{dots})", text.len(), &text[..cut])
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)?;
        if let Some(details) = &self.details {
            write!(f, ": {details}")?;
        }
        match &self.syntax {
            Some(syntax) => write!(f, " (at {syntax})"),
            None => Ok(()),
        }
    }
}

impl RemoteError {
    /// The server does not know the method: an older server, or one that is not `ovsdb-server`.
    pub fn is_unknown_method(&self) -> bool {
        self.error == "unknown method"
    }

    /// From JSON: a string or an object with `error` and perhaps `details` and `syntax`.
    pub(crate) fn from_json(text: &str) -> RemoteError {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Short(String),
            Long { error: String, details: Option<String>, syntax: Option<String> },
        }
        match serde_json::from_str(text) {
            Ok(Form::Short(error)) => RemoteError { error, ..RemoteError::default() },
            Ok(Form::Long { error, details, syntax }) => RemoteError { error, details, syntax },
            Err(_) => RemoteError { error: text.to_owned(), ..RemoteError::default() },
        }
    }
}

impl Span {
    /// The text.
    pub fn text(self, frame: &Frame) -> &str {
        frame.text.get(self.start..self.end).unwrap_or_default()
    }

    /// The elements of an array directly inside the message's object; `None` when this is no array. Arrays of more than
    /// 64 elements are not split to the end.
    pub fn elements(self, frame: &Frame) -> Option<SmallVec<[Span; 4]>> {
        let text = self.text(frame);
        if !text.starts_with('[') || !text.ends_with(']') || text.len() < 2 {
            return None;
        }
        let inside = Span { start: self.start + 1, end: self.end - 1 };
        let mut elements = SmallVec::new();
        let mut start = inside.start;
        for &cut in frame.cuts.inner.iter().filter(|&&cut| inside.start <= cut && cut < inside.end) {
            elements.push(Span { start, end: cut }.trim(frame));
            start = cut + 1;
        }
        let last = Span { start, end: inside.end }.trim(frame);
        if !elements.is_empty() || last.start < last.end {
            elements.push(last);
        }
        Some(elements)
    }

    fn trim(self, frame: &Frame) -> Span {
        let text = self.text(frame);
        let start = self.start + (text.len() - text.trim_ascii_start().len());
        Span { start, end: start + text.trim_ascii().len() }
    }
}

/// Tells what kind of message a frame is.
pub fn parse(frame: &Frame) -> Result<Message, RpcError> {
    let fail = |what: String| RpcError { offset: frame.offset, what };
    let members = Members::of(frame).map_err(fail)?;
    let id = members.id.ok_or_else(|| fail("no member \"id\"".to_owned()))?;
    if let Some(method) = members.method {
        let method = serde_json::from_str::<Cow<'_, str>>(method.text(frame))
            .map_err(|error| fail(format!("\"method\" is no string: {error}")))?;
        let method = Method::named(&method);
        let params = members.params.ok_or_else(|| fail(format!("{method} without \"params\"")))?;
        if !params.text(frame).starts_with('[') {
            return Err(fail(format!("\"params\" of {method} is no array")));
        }
        return Ok(match id.text(frame) {
            "null" => Message::Notification { method, params },
            _ => Message::Request { id: check(frame, id, "id")?, method, params },
        });
    }
    let present = |span: Option<Span>| span.filter(|span| span.text(frame) != "null");
    let result = match (present(members.error), members.result) {
        (Some(error), _) => Err(RemoteError::from_json(error.text(frame))),
        (None, Some(result)) => Ok(result),
        (None, None) => return Err(fail("neither \"method\" nor \"result\" nor \"error\"".to_owned())),
    };
    match (id.text(frame).parse(), result) {
        (Ok(id), result) => Ok(Message::Reply { id, result }),
        // An error with id null answers a request that the server could not read.
        (Err(_), Err(error)) => Err(fail(format!("the server reports an error without a request: {error}"))),
        (Err(_), Ok(_)) => Err(fail(format!("reply with an id that no request had: {}", id.text(frame)))),
    }
}

/// `span`, if it holds one JSON value.
pub(crate) fn check(frame: &Frame, span: Span, name: &str) -> Result<Span, RpcError> {
    match serde_json::from_str::<&RawValue>(span.text(frame)) {
        Ok(_) => Ok(span),
        Err(error) => Err(RpcError { offset: frame.offset, what: format!("\"{name}\" is not JSON: {error}") }),
    }
}

impl Method {
    fn named(name: &str) -> Method {
        match name {
            "echo" => Method::Echo,
            "update" => Method::Update,
            "update2" => Method::Update2,
            "update3" => Method::Update3,
            "monitor_canceled" => Method::MonitorCanceled,
            other => Method::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Echo => "echo",
            Method::Update => "update",
            Method::Update2 => "update2",
            Method::Update3 => "update3",
            Method::MonitorCanceled => "monitor_canceled",
            Method::Other(name) => name,
        })
    }
}

/// The members of a message's object that JSON-RPC 1.0 knows.
#[derive(Default)]
struct Members {
    id: Option<Span>,
    method: Option<Span>,
    params: Option<Span>,
    result: Option<Span>,
    error: Option<Span>,
}

impl Members {
    fn of(frame: &Frame) -> Result<Members, String> {
        let mut members = Members::default();
        let bytes = frame.text.as_bytes();
        let close = bytes.len().saturating_sub(1);
        if bytes.last() != Some(&b'}') {
            return Err("the object is closed by another bracket".to_owned());
        }
        let mut key_start = 1;
        let mut cuts = frame.cuts.outer.iter().copied();
        while let Some(colon) = cuts.next() {
            let comma = cuts.next().unwrap_or(close);
            let key = Span { start: key_start, end: colon }.trim(frame);
            if bytes.get(colon) != Some(&b':') || !matches!(bytes.get(comma), Some(b',' | b'}')) {
                return Err(format!("separators out of order after {}", key.text(frame)));
            }
            let value = Span { start: colon + 1, end: comma }.trim(frame);
            key_start = comma + 1;
            let name = serde_json::from_str::<Cow<'_, str>>(key.text(frame))
                .map_err(|error| format!("member name is no string: {error}"))?;
            let slot = match &*name {
                "id" => &mut members.id,
                "method" => &mut members.method,
                "params" => &mut members.params,
                "result" => &mut members.result,
                "error" => &mut members.error,
                _ => continue,
            };
            if value.start == value.end {
                return Err(format!("member {name:?} has no value"));
            }
            if slot.replace(value).is_some() {
                return Err(format!("member {name:?} occurs twice"));
            }
        }
        if key_start <= close && close > 1 {
            return Err("a member is expected before the closing bracket".to_owned());
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Framer;

    fn frame(text: &str) -> Frame {
        let mut framer = Framer::default();
        framer.push(text.as_bytes());
        framer.next_frame().unwrap().unwrap()
    }

    fn describe(text: &str) -> String {
        let frame = frame(text);
        let params = |params: Span| match params.elements(&frame) {
            None => params.text(&frame).to_owned(),
            Some(elements) => elements.iter().map(|span| span.text(&frame)).collect::<Vec<_>>().join(" ; "),
        };
        match parse(&frame) {
            Ok(Message::Request { id, method, params: p }) => format!("? {} {method} {}", id.text(&frame), params(p)),
            Ok(Message::Notification { method, params: p }) => format!("! {method} {}", params(p)),
            Ok(Message::Reply { id, result: Ok(result) }) => format!("{id} = {}", params(result)),
            Ok(Message::Reply { id, result: Err(error) }) => format!("{id} failed: {error}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn kinds_of_messages() {
        for (text, expected) in [
            (r#"{"id":"echo","method":"echo","params":[]}"#, r#"? "echo" echo "#),
            (
                r#"{ "method" : "echo" , "params" : [ 1 , "a,b" , {"x":[1,2],"y":0} ] , "id" : [1] }"#,
                r#"? [1] echo 1 ; "a,b" ; {"x":[1,2],"y":0}"#,
            ),
            (
                r#"{"id":null,"method":"update3","params":[["m",1],"00",{"T":{"u":{"delete":null}}}]}"#,
                r#"! update3 ["m",1] ; "00" ; {"T":{"u":{"delete":null}}}"#,
            ),
            (r#"{"id":null,"\u006dethod":"up\u0064ate2","params":["m",{}]}"#, r#"! update2 "m" ; {}"#),
            (r#"{"id":null,"method":"locked","params":["l"]}"#, r#"! locked "l""#),
            (r#"{"id":7,"result":[false,"0",{}],"error":null}"#, r#"7 = false ; "0" ; {}"#),
            (r#"{"error":null,"result":{"a":1,"b":2},"id":7}"#, r#"7 = {"a":1,"b":2}"#),
            (r#"{"id":7,"result":null,"error":null}"#, r#"7 = null"#),
            (r#"{"id":7,"error":"unknown method"}"#, "7 failed: unknown method"),
            (
                r#"{"id":7,"result":null,"error":{"error":"unknown database","details":"no \"x\"","syntax":"[\"x\"]"}}"#,
                r#"7 failed: unknown database: no "x" (at ["x"])"#,
            ),
            (r#"{"id":7,"error":17}"#, "7 failed: 17"),
        ] {
            assert_eq!(describe(text), expected, "{text}");
        }
    }

    #[test]
    fn broken_messages_name_the_member() {
        for (text, expected) in [
            ("{}", "no member \"id\""),
            (r#"{"id":1}"#, "neither \"method\" nor \"result\" nor \"error\""),
            (r#"{"id":,"result":1}"#, "member \"id\" has no value"),
            (r#"{"id":1,"id":2,"result":1}"#, "member \"id\" occurs twice"),
            (r#"{"id":1,"result":1, }"#, "a member is expected before the closing bracket"),
            (r#"{"id":1 "result":1}"#, "separators out of order after \"id\""),
            (r#"{"id","result":1}"#, "separators out of order after \"id\""),
            (r#"{id:1,"result":1}"#, "member name is no string: expected value at line 1 column 1"),
            (r#"{"id":1,"result":1]"#, "the object is closed by another bracket"),
            (r#"{"id":"x","result":1}"#, "reply with an id that no request had: \"x\""),
            (r#"{"id":null,"error":"bad"}"#, "the server reports an error without a request: bad"),
            (
                r#"{"id":null,"method":7,"params":[]}"#,
                "\"method\" is no string: invalid type: integer `7`, expected a string at line 1 column 1",
            ),
            (r#"{"id":null,"method":"echo"}"#, "echo without \"params\""),
            (r#"{"id":null,"method":"echo","params":{}}"#, "\"params\" of echo is no array"),
            (r#"{"id":x,"method":"echo","params":[]}"#, "\"id\" is not JSON: expected value at line 1 column 1"),
        ] {
            assert_eq!(describe(text), format!("message at byte 0 of the stream: {expected}"), "{text}");
        }
    }

    #[test]
    fn a_payload_is_a_piece_of_the_receive_buffer() {
        let text = format!(r#"{{"id":1,"result":[true,"x",{{"T":"{}"}}]}}"#, "é".repeat(100_000));
        let frame = frame(&text);
        let place = frame.text.as_ptr();
        let Ok(Message::Reply { result: Ok(result), .. }) = parse(&frame) else { panic!("no reply") };
        let last = result.elements(&frame).unwrap()[2];
        let payload = Payload::new(frame, last);
        assert_eq!(payload.as_str().as_ptr() as usize - place as usize, 27);
        assert_eq!(payload.as_str().len(), 200_008);
        assert!(format!("{payload:?}").len() < 500);
    }
}
