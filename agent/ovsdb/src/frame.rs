//! Cuts a byte stream into JSON-RPC messages without parsing them. Entry types: [`Framer`], [`Frame`].
//!
//! OVSDB sends JSON objects one after the other with nothing between them, so the end of a message has to be found by
//! counting brackets outside strings. The framer keeps that count, and whether it stands inside a string or behind a
//! backslash, between reads: every byte is looked at once, however the stream is cut. While it passes, it notes the
//! separators of the two outermost levels, so that [`crate::rpc`] finds `id`, `method`, `params` and the elements of an
//! array of parameters without a second scan of what may be a message of many megabytes.
//!
//! Bytes are read straight into the buffer that becomes the message ([`Framer::buffer`]): a large message is handed
//! over with its buffer, only small ones are copied out of it.

use thiserror::Error;

/// Messages up to this many bytes are copied out of the receive buffer, so that the buffer can be used again; larger
/// ones take the buffer along.
const COPY_LIMIT: usize = 64 * 1024;

/// The limit of [`Framer::default`] on one message, in bytes. The largest known Southbound databases dump to less.
pub const DEFAULT_MESSAGE_LIMIT: usize = 2 << 30;

/// How many separators of each of the two outermost levels are noted. Nothing in the protocol that is split by them has
/// more than a handful; the bound keeps a long array (the results of a large transaction) from growing the notes.
const MAX_CUTS: usize = 64;

/// Why a byte stream holds no JSON-RPC messages.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// A message has to begin with `{`, after optional white space.
    #[error("byte {offset} of the stream: expected a JSON object, found {found}")]
    NotAnObject {
        /// Offset from the start of the connection's stream.
        offset: u64,
        /// The offending byte, printable.
        found: String,
    },
    /// The message does not end within the limit.
    #[error("byte {offset} of the stream: message is longer than {limit} bytes")]
    TooLong {
        /// Offset of the message's first byte from the start of the stream.
        offset: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// The message is not UTF-8.
    #[error("byte {offset} of the stream: message is not valid UTF-8")]
    NotUtf8 {
        /// Offset of the first offending byte from the start of the stream.
        offset: u64,
    },
}

/// One whole JSON object as text, with the places of the separators in its two outermost levels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The text, from `{` to the `}` that belongs to it.
    pub text: String,
    /// Offset of the text's first byte from the start of the connection's stream; for error messages.
    pub offset: u64,
    pub(crate) cuts: Cuts,
}

/// Where the separators of a message's two outermost levels are, in ascending order of place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cuts {
    /// `:` and `,` directly inside the message's object.
    pub outer: Vec<usize>,
    /// `,` directly inside a member of the object (an array's or an object's).
    pub inner: Vec<usize>,
}

/// Finds the ends of messages in a stream of bytes.
#[derive(Debug)]
pub struct Framer {
    /// Received and not yet handed out.
    buffer: Vec<u8>,
    /// Where the message being scanned begins in `buffer`.
    start: usize,
    /// The first byte of `buffer` that has not been looked at.
    scanned: usize,
    /// Offset in the stream of `buffer[0]`.
    base: u64,
    depth: usize,
    state: State,
    cuts: Cuts,
    limit: usize,
    failed: Option<FrameError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between messages, or inside one but outside its strings.
    Plain,
    /// Inside a string.
    String,
    /// Inside a string, directly behind a backslash.
    Escape,
}

impl Default for Framer {
    fn default() -> Framer {
        Framer::new(DEFAULT_MESSAGE_LIMIT)
    }
}

impl Framer {
    /// A framer that refuses messages of more than `limit` bytes.
    pub fn new(limit: usize) -> Framer {
        Framer {
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            base: 0,
            depth: 0,
            state: State::Plain,
            cuts: Cuts::default(),
            limit,
            failed: None,
        }
    }

    /// The buffer to append received bytes to. Only append: what is in it belongs to the framer.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Appends received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// How many bytes of a message that is not complete are held.
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// The next whole message, or `None` when more bytes are needed. After an error the stream is lost: the same error is
    /// returned from then on.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let frame = self.scan();
        if let Err(error) = &frame {
            self.failed = Some(error.clone());
        }
        frame
    }

    fn scan(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.depth == 0 && !self.begin()? {
            return Ok(None);
        }
        let end = self.find_end();
        let length = end.unwrap_or(self.buffer.len()) - self.start;
        if length > self.limit {
            return Err(FrameError::TooLong { offset: self.base + self.start as u64, limit: self.limit });
        }
        match end {
            Some(end) => self.take(end).map(Some),
            None => {
                self.compact();
                Ok(None)
            }
        }
    }

    /// Skips the white space between messages and steps inside the next one; false when there is none yet.
    fn begin(&mut self) -> Result<bool, FrameError> {
        let rest = self.buffer.get(self.scanned..).unwrap_or_default();
        let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
        let first = rest.get(blank).copied();
        self.scanned += blank;
        self.start = self.scanned;
        match first {
            None => {
                self.compact();
                Ok(false)
            }
            Some(b'{') => {
                self.depth = 1;
                self.scanned += 1;
                self.cuts = Cuts::default();
                Ok(true)
            }
            Some(byte) => Err(FrameError::NotAnObject {
                offset: self.base + self.start as u64,
                found: format!("'{}'", byte.escape_ascii()),
            }),
        }
    }

    /// Looks on from where the last read ended; returns the index behind the message's last byte.
    fn find_end(&mut self) -> Option<usize> {
        let bytes = self.buffer.as_slice();
        let mut at = self.scanned;
        let mut depth = self.depth;
        let mut state = self.state;
        let end = loop {
            match state {
                State::Escape => {
                    if at >= bytes.len() {
                        break None;
                    }
                    at += 1;
                    state = State::String;
                }
                State::String => match string_break(bytes, at) {
                    None => {
                        at = bytes.len();
                        break None;
                    }
                    Some(hit) => {
                        state = if bytes.get(hit) == Some(&b'"') { State::Plain } else { State::Escape };
                        at = hit + 1;
                    }
                },
                State::Plain => {
                    let classes = if depth <= 2 { &SHALLOW } else { &DEEP };
                    let rest = bytes.get(at..).unwrap_or_default();
                    let Some(skip) = rest.iter().position(|&byte| classes[usize::from(byte)] != Class::Other) else {
                        at = bytes.len();
                        break None;
                    };
                    let hit = at + skip;
                    at = hit + 1;
                    match classes[usize::from(rest[skip])] {
                        Class::Quote => state = State::String,
                        Class::Open => depth += 1,
                        Class::Close => {
                            depth -= 1;
                            if depth == 0 {
                                break Some(at);
                            }
                        }
                        Class::Separator => self.cuts.note(depth, hit - self.start, rest[skip]),
                        Class::Other => {}
                    }
                }
            }
        };
        self.scanned = at;
        self.depth = depth;
        self.state = state;
        end
    }

    /// Hands out the message that ends before `end`.
    fn take(&mut self, end: usize) -> Result<Frame, FrameError> {
        let offset = self.base + self.start as u64;
        let bytes = if end - self.start <= COPY_LIMIT {
            let bytes = self.buffer[self.start..end].to_vec();
            self.start = end;
            bytes
        } else {
            // What follows the message is at most one read long: it moves to a new buffer, the message keeps the old.
            let tail = self.buffer.split_off(end);
            let mut bytes = std::mem::replace(&mut self.buffer, tail);
            if self.start > 0 {
                bytes.drain(..self.start);
            }
            self.base += end as u64;
            self.start = 0;
            bytes
        };
        self.scanned = self.start;
        let text = String::from_utf8(bytes)
            .map_err(|error| FrameError::NotUtf8 { offset: offset + error.utf8_error().valid_up_to() as u64 })?;
        Ok(Frame { text, offset, cuts: std::mem::take(&mut self.cuts) })
    }

    /// Drops what has been handed out, once per read and not once per message.
    fn compact(&mut self) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.base += self.start as u64;
            self.scanned -= self.start;
            self.start = 0;
        }
    }
}

impl Cuts {
    fn note(&mut self, depth: usize, at: usize, byte: u8) {
        let level = match (depth, byte) {
            (1, _) => &mut self.outer,
            (2, b',') => &mut self.inner,
            _ => return,
        };
        if level.len() < MAX_CUTS {
            level.push(at);
        }
    }
}

/// What a byte outside strings means to the framer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Other,
    Quote,
    Open,
    Close,
    Separator,
}

/// In the two outermost levels separators count; further in, where nearly all bytes are, they are passed over.
const SHALLOW: [Class; 256] = classes(true);
const DEEP: [Class; 256] = classes(false);

const fn classes(separators: bool) -> [Class; 256] {
    let mut table = [Class::Other; 256];
    table[b'"' as usize] = Class::Quote;
    table[b'{' as usize] = Class::Open;
    table[b'[' as usize] = Class::Open;
    table[b'}' as usize] = Class::Close;
    table[b']' as usize] = Class::Close;
    if separators {
        table[b':' as usize] = Class::Separator;
        table[b',' as usize] = Class::Separator;
    }
    table
}

/// The next quote or backslash from `at` on. Most strings of a database are shorter than the set-up of a vector search
/// is worth, so the first bytes are looked at eight at a time in a register.
fn string_break(bytes: &[u8], at: usize) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = LOW << 7;
    /// The top bit of each byte that is zero; above the first such byte there may be false ones.
    fn zeros(word: u64) -> u64 {
        word.wrapping_sub(LOW) & !word & HIGH
    }
    let rest = bytes.get(at..)?;
    let (words, _) = rest.as_chunks::<8>();
    let mut passed = 0;
    for word in words.iter().take(6) {
        let word = u64::from_le_bytes(*word);
        let hits = zeros(word ^ (LOW * b'"' as u64)) | zeros(word ^ (LOW * b'\\' as u64));
        if hits != 0 {
            return Some(at + passed + hits.trailing_zeros() as usize / 8);
        }
        passed += 8;
    }
    memchr::memchr2(b'"', b'\\', rest.get(passed..)?).map(|index| at + passed + index)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that can confuse a bracket counter: escapes, brackets and quotes in strings, unicode, white space.
    const STREAM: &str = concat!(
        r#"{"id":1,"result":[],"error":null}"#,
        r#"{"a":"}{][\"","b":"\\","c":"\\\"","d":"\u005d\n"}"#,
        " \r\n\t",
        r#"{"method":"update3","params":[["m",1],"0",{"T":{"u":{"insert":{"x":["set",[1,2]]}}}}],"id":null}"#,
        r#"{"ü":"日本語 🦀 \"","":{}}"#,
        "{}",
    );

    fn all(framer: &mut Framer) -> Vec<String> {
        let mut frames = Vec::new();
        while let Some(frame) = framer.next_frame().unwrap() {
            assert!(serde_json::from_str::<serde_json::Value>(&frame.text).is_ok(), "{}", frame.text);
            frames.push(frame.text);
        }
        frames
    }

    fn whole() -> Vec<String> {
        let mut framer = Framer::default();
        framer.push(STREAM.as_bytes());
        all(&mut framer)
    }

    #[test]
    fn one_read() {
        let frames = whole();
        assert_eq!(frames.len(), 5);
        assert_eq!(frames.concat(), STREAM.replace(" \r\n\t", ""));
    }

    #[test]
    fn split_at_every_position() {
        let expected = whole();
        for cut in 0..=STREAM.len() {
            let mut framer = Framer::default();
            framer.push(&STREAM.as_bytes()[..cut]);
            let mut frames = all(&mut framer);
            framer.push(&STREAM.as_bytes()[cut..]);
            frames.extend(all(&mut framer));
            assert_eq!(frames, expected, "cut at {cut}");
            assert_eq!(framer.pending(), 0);
        }
    }

    #[test]
    fn in_pieces_of_every_size() {
        let expected = whole();
        for size in 1..40 {
            let mut framer = Framer::default();
            let mut frames = Vec::new();
            let mut cuts = Vec::new();
            for piece in STREAM.as_bytes().chunks(size) {
                framer.push(piece);
                while let Some(frame) = framer.next_frame().unwrap() {
                    cuts.push(frame.cuts);
                    frames.push(frame.text);
                }
            }
            assert_eq!(frames, expected, "pieces of {size}");
            for (cuts, text) in cuts.iter().zip(&frames) {
                assert!(cuts.outer.iter().all(|&at| matches!(text.as_bytes()[at], b':' | b',')), "{text}");
                assert!(cuts.inner.iter().all(|&at| text.as_bytes()[at] == b','), "{text}");
            }
        }
    }

    #[test]
    fn offsets_and_separators() {
        let mut framer = Framer::default();
        framer.push(b"  {\"id\":1,\"params\":[[1,2],\"a,b\",{\"x\":1,\"y\":2}]}{}");
        let frame = framer.next_frame().unwrap().unwrap();
        assert_eq!(frame.offset, 2);
        assert_eq!(frame.cuts, Cuts { outer: vec![5, 7, 16], inner: vec![23, 29] });
        let frame = framer.next_frame().unwrap().unwrap();
        assert_eq!((frame.offset, frame.text.as_str()), (47, "{}"));
    }

    #[test]
    fn a_large_message_takes_the_buffer_along() {
        let large = format!("{{\"x\":\"{}\"}}", "é\\\"".repeat(200_000));
        let mut framer = Framer::default();
        framer.push(b"{}");
        framer.push(large.as_bytes());
        framer.push(b"{\"z\":0");
        assert_eq!(framer.next_frame().unwrap().unwrap().text, "{}");
        let frame = framer.next_frame().unwrap().unwrap();
        assert_eq!((frame.offset, frame.text), (2, large.clone()));
        assert_eq!(framer.next_frame(), Ok(None));
        framer.push(b"}");
        let frame = framer.next_frame().unwrap().unwrap();
        assert_eq!((frame.offset, frame.text.as_str()), (2 + large.len() as u64, "{\"z\":0}"));
    }

    #[test]
    fn no_byte_of_an_unfinished_message_is_looked_at_twice() {
        let mut framer = Framer::default();
        framer.push(b"{\"x\":\"");
        assert_eq!(framer.next_frame(), Ok(None));
        for _ in 0..1000 {
            framer.push(&[b'a'; 100]);
            assert_eq!(framer.next_frame(), Ok(None));
            assert_eq!(framer.scanned, framer.buffer.len());
        }
    }

    #[test]
    fn errors_name_the_place_and_stay() {
        for (stream, limit, expected) in [
            (&b"{}GET / HTTP/1.1"[..], 100, "byte 2 of the stream: expected a JSON object, found 'G'"),
            (b"{} [1]", 100, "byte 3 of the stream: expected a JSON object, found '['"),
            (b"\x16\x03\x01", 100, "byte 0 of the stream: expected a JSON object, found '\\x16'"),
            (b"{}{\"x\":\"\xff\"}", 100, "byte 8 of the stream: message is not valid UTF-8"),
            (b"{}{\"x\":\"0123456789", 10, "byte 2 of the stream: message is longer than 10 bytes"),
            (b"{}{\"x\":\"0123456789\"}", 10, "byte 2 of the stream: message is longer than 10 bytes"),
        ] {
            let mut framer = Framer::new(limit);
            framer.push(stream);
            let mut result = framer.next_frame();
            while let Ok(Some(_)) = result {
                result = framer.next_frame();
            }
            for _ in 0..2 {
                assert_eq!(result.unwrap_err().to_string(), expected, "{}", stream.escape_ascii());
                result = framer.next_frame();
            }
        }
    }
}
