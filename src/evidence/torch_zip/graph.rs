//! The values of a pickle, and questions to them. No value is trusted to be of the type that honest pickles have there.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::error::Result;
use crate::evidence::Content;
use crate::ffi::map::Map;

/// Where names of keys that are no plain text are cut.
const LONGEST_TEXT: usize = 1024;
/// Integers of more bytes are written in base 16: base 10 takes time that grows with the square of their length.
const LONGEST_DECIMAL: usize = 128;

/// Text that means something to this reader (module names, keys of storages, types) is shorter. It is looked at again each
/// time its value is met, which may be very often.
const LONGEST_WORD: usize = 4096;

/// A value's number in its graph.
pub type Id = u32;

/// A value.
#[derive(Debug)]
pub enum Node {
    /// `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer of up to 64 bits.
    Int(i64),
    /// A larger integer: where its two's complement little-endian bytes are.
    Long(Range<usize>),
    /// A larger integer of protocol 0: where its decimal digits are.
    Digits(Range<usize>),
    /// A float.
    Float(f64),
    /// Text: where its UTF-8 is, and how many bytes it has in Latin-1 if it can be written so.
    Str(Range<usize>, Option<usize>),
    /// Text of protocol 0, its escapes resolved.
    Text(String),
    /// Where bytes are.
    Bytes(Range<usize>),
    /// A tuple.
    Tuple(Vec<Id>),
    /// A list.
    List(Vec<Id>),
    /// A dict in order of insertion; of equal keys, the last counts.
    Dict(Vec<(Id, Id)>),
    /// A set or frozenset.
    Set(Vec<Id>),
    /// Something named by module and name.
    Global(Range<usize>, Range<usize>),
    /// What calling something would have given.
    Object(Box<Object>),
    /// What a persistent id stands for.
    Persistent(Id),
    /// Something outside the pickle: an extension code or an out-of-band buffer.
    Outside(&'static str),
}

/// The result of a call that was not made, and what was done to it afterwards.
#[derive(Debug)]
pub struct Object {
    /// What would have been called.
    pub call: Id,
    /// With these arguments: a tuple in all honest pickles.
    pub args: Id,
    /// Keyword arguments of `NEWOBJ_EX`.
    pub keywords: Option<Id>,
    /// States handed to it.
    pub states: Vec<Id>,
    /// Values appended to it.
    pub items: Vec<Id>,
    /// Entries set in it.
    pub entries: Vec<(Id, Id)>,
}

/// All values of a pickle.
#[derive(Debug)]
pub struct Graph {
    /// By [`Id`].
    pub nodes: Vec<Node>,
    /// The value of the whole pickle.
    pub root: Id,
    /// How many bytes it took.
    pub end: usize,
}

/// The bytes of a pickle: where they are mapped, or unpacked.
#[derive(Debug, Clone)]
pub enum Source {
    /// In the file.
    Mapped(Arc<Map>, Range<usize>),
    /// Unpacked.
    Owned(Arc<[u8]>),
}

/// Bytes in a pickle.
#[derive(Debug, Clone)]
pub enum Blob {
    /// As they are.
    Plain(Range<usize>),
    /// As text whose characters are the bytes, so many of them: what protocol 2 makes of bytes.
    Latin(Range<usize>, usize),
}

impl Source {
    /// All bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(map, place) => map.get(place.clone()).unwrap_or_default(),
            Self::Owned(bytes) => bytes,
        }
    }

    /// Whether the file still has them.
    ///
    /// # Errors
    /// When it became shorter.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Mapped(map, _) => map.check(),
            Self::Owned(_) => Ok(()),
        }
    }

    /// The bytes of a blob.
    #[must_use]
    pub fn blob(&self, blob: &Blob) -> Cow<'_, [u8]> {
        let at = |place: &Range<usize>| self.bytes().get(place.clone()).unwrap_or_default();
        match blob {
            Blob::Plain(place) => at(place).into(),
            Blob::Latin(place, _) => {
                let text = std::str::from_utf8(at(place)).unwrap_or_default();
                let bytes = text.chars().map(|c| u8::try_from(c).unwrap_or(0));
                bytes.collect::<Vec<_>>().into()
            }
        }
    }

    /// The bytes of a blob, when asked for.
    #[must_use]
    pub fn content(&self, blob: &Blob) -> Content {
        if let (Self::Mapped(map, all), Blob::Plain(place)) = (self, blob) {
            let place = all.start + place.start..all.start + place.end;
            return Content::Mapped(Arc::clone(map), place);
        }
        let (source, blob) = (self.clone(), blob.clone());
        Content::Lazy(Box::new(move || {
            let bytes = source.blob(&blob).into_owned();
            source.check()?;
            Ok(bytes)
        }))
    }
}

impl Blob {
    /// How many bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        match self {
            Self::Plain(place) => place.len(),
            Self::Latin(_, length) => *length,
        }
    }
}

/// A pickle that was run.
#[derive(Debug)]
pub struct Pickle {
    /// Its values.
    pub graph: Graph,
    /// Its bytes, which strings are ranges of.
    pub source: Source,
}

impl Pickle {
    /// A value.
    #[must_use]
    pub fn node(&self, id: Id) -> &Node {
        &self.graph.nodes[id as usize]
    }

    fn raw(&self, place: &Range<usize>) -> &[u8] {
        self.source.bytes().get(place.clone()).unwrap_or_default()
    }

    /// The elements of a tuple or list.
    #[must_use]
    pub fn seq(&self, id: Id) -> Option<&[Id]> {
        match self.node(id) {
            Node::Tuple(ids) | Node::List(ids) => Some(ids),
            _ => None,
        }
    }

    /// The arguments of a call to something of this name.
    #[must_use]
    pub fn call(&self, id: Id, module: &str, name: &str) -> Option<&[Id]> {
        let Node::Object(object) = self.node(id) else {
            return None;
        };
        let called = self.global(object.call) == Some((module, name));
        self.seq(object.args).filter(|_| called)
    }

    /// An integer.
    #[must_use]
    pub fn int(&self, id: Id) -> Option<i64> {
        match self.node(id) {
            Node::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// Sizes: a tuple, list or `torch.Size` of integers that are not negative.
    #[must_use]
    pub fn sizes(&self, id: Id) -> Option<Vec<u64>> {
        let ids = match self.call(id, "torch", "Size") {
            Some(args) => self.seq(*args.first()?)?,
            None => self.seq(id)?,
        };
        let sizes = ids.iter().map(|&id| u64::try_from(self.int(id)?).ok());
        // No tensor has more dimensions; a longer list is a trap.
        sizes
            .take(65)
            .collect::<Option<Vec<_>>>()
            .filter(|sizes| sizes.len() <= 64)
    }

    /// Text at an index of a sequence.
    #[must_use]
    pub fn str_at(&self, ids: &[Id], index: usize) -> Option<&str> {
        self.str(*ids.get(index)?)
    }

    /// Text that is UTF-8, if it is short enough to be a word.
    #[must_use]
    pub fn str(&self, id: Id) -> Option<&str> {
        match self.node(id) {
            Node::Str(place, _) if place.len() <= LONGEST_WORD => {
                std::str::from_utf8(self.raw(place)).ok()
            }
            Node::Text(text) if text.len() <= LONGEST_WORD => Some(text),
            _ => None,
        }
    }

    /// Module and name. Files without an archive keep the source code beside a module's class.
    #[must_use]
    pub fn global(&self, id: Id) -> Option<(&str, &str)> {
        let class = match self.node(id) {
            Node::Persistent(of) => match self.seq(*of)? {
                &[kind, class, ..] if self.str(kind) == Some("module") => class,
                _ => return None,
            },
            _ => id,
        };
        match self.node(class) {
            Node::Global(module, name) => Some((
                std::str::from_utf8(self.raw(module)).ok()?,
                std::str::from_utf8(self.raw(name)).ok()?,
            )),
            _ => None,
        }
    }

    /// Bytes, in any of the ways in which pickles write them.
    #[must_use]
    pub fn blob(&self, id: Id) -> Option<Blob> {
        let plain = |id| match self.node(id) {
            Node::Bytes(place) => Some(Blob::Plain(place.clone())),
            Node::Str(place, Some(length)) => Some(Blob::Latin(place.clone(), *length)),
            _ => None,
        };
        let Node::Object(object) = self.node(id) else {
            return plain(id).filter(|_| matches!(self.node(id), Node::Bytes(_)));
        };
        let args = self.seq(object.args)?;
        match (self.global(object.call)?, args) {
            (("builtins" | "__builtin__", "bytes" | "bytearray"), []) => Some(Blob::Plain(0..0)),
            (
                ("builtins" | "__builtin__", "bytes" | "bytearray") | ("_codecs", "encode"),
                [inner, ..],
            ) => plain(*inner),
            _ => None,
        }
    }

    /// A value as a person would write it: names of keys, and what sets are ordered by.
    #[must_use]
    pub fn text(&self, id: Id) -> String {
        let mut text = String::new();
        self.write(id, 0, &mut text);
        text
    }

    /// Values in a list, as many as a person would read.
    fn list<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a Id>,
        [open, close]: [&str; 2],
        depth: usize,
        text: &mut String,
    ) {
        text.push_str(open);
        for (index, &id) in ids.into_iter().enumerate() {
            text.push_str(if index > 0 { ", " } else { "" });
            self.write(id, depth + 1, text);
            if text.len() > LONGEST_TEXT {
                break;
            }
        }
        text.push_str(close);
    }

    fn write<'a>(&'a self, id: Id, depth: usize, text: &mut String) {
        if text.len() > LONGEST_TEXT || depth > 8 {
            text.push('\u{2026}');
            return;
        }
        let flat = |pairs: &'a [(Id, Id)]| pairs.iter().flat_map(|(key, value)| [key, value]);
        match self.node(id) {
            Node::None => text.push_str("None"),
            Node::Bool(value) => text.push_str(if *value { "True" } else { "False" }),
            Node::Int(value) => text.push_str(&value.to_string()),
            Node::Float(value) => text.extend([format!("{value:?}")]),
            Node::Long(place) => text.push_str(&decimal(self.raw(place))),
            Node::Digits(place) | Node::Str(place, _) => {
                text.push_str(&String::from_utf8_lossy(self.raw(place)));
            }
            Node::Text(value) => text.push_str(value),
            Node::Bytes(place) => {
                text.extend(["b\"", &self.raw(place).escape_ascii().to_string(), "\""]);
            }
            Node::Tuple(ids) => self.list(ids, ["(", ")"], depth, text),
            Node::List(ids) => self.list(ids, ["[", "]"], depth, text),
            Node::Set(ids) => self.list(ids, ["{", "}"], depth, text),
            Node::Dict(pairs) => self.list(flat(pairs), ["{", "}"], depth, text),
            Node::Global(..) => text.push_str(&self.dotted(id)),
            Node::Object(object) => {
                self.write(object.call, depth + 1, text);
                self.write(object.args, depth + 1, text);
                self.list(flat(&object.entries), ["{", "}"], depth, text);
            }
            Node::Persistent(id) => self.write(*id, depth + 1, text),
            Node::Outside(what) => text.push_str(what),
        }
    }

    /// A global as `module.name`, or what stands in its place.
    #[must_use]
    pub fn dotted(&self, id: Id) -> String {
        match self.global(id) {
            Some((module, name)) => format!("{module}.{name}"),
            None => "something that is no class".into(),
        }
    }
}

/// The decimal digits of a two's complement little-endian integer; in base 16 where that would take long.
#[must_use]
pub fn decimal(raw: &[u8]) -> String {
    let negative = raw.last().is_some_and(|top| top & 0x80 != 0);
    let sign = if negative { "-" } else { "" };
    let mut digits = raw.to_vec();
    let mut carry = negative;
    for byte in digits.iter_mut().filter(|_| negative) {
        (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
    }
    if digits.len() > LONGEST_DECIMAL {
        let hex: Vec<String> = digits
            .iter()
            .rev()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        return format!("{sign}0x{}", hex.concat());
    }
    // Nine digits at a time: there may be very many such integers.
    let mut words: Vec<u32> = Vec::new();
    for four in digits.chunks(4) {
        let word = four
            .iter()
            .rev()
            .fold(0, |word, &byte| word << 8 | u32::from(byte));
        words.push(word);
    }
    let mut groups = Vec::new();
    while words.last().is_some_and(|&word| word == 0) {
        words.pop();
    }
    while !words.is_empty() {
        let mut rest = 0u64;
        for word in words.iter_mut().rev() {
            rest = rest << 32 | u64::from(*word);
            *word = u32::try_from(rest / 1_000_000_000).unwrap_or(0);
            rest %= 1_000_000_000;
        }
        groups.push(rest);
        while words.last().is_some_and(|&word| word == 0) {
            words.pop();
        }
    }
    let first = groups.pop().unwrap_or(0);
    let mut text = format!("{sign}{first}");
    for group in groups.iter().rev() {
        text.extend([format!("{group:09}")]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_any_length_have_the_digits_that_python_shows() {
        let mut number = 1i128;
        for power in 0..127 {
            for one in [number, number - 1, -number, number ^ 0x5555, i128::MIN, 0] {
                assert_eq!(decimal(&one.to_le_bytes()), one.to_string(), "2^{power}");
            }
            number = number.wrapping_shl(1);
        }
        assert_eq!(decimal(&[]), "0");
        assert_eq!(decimal(&[0x80]), "-128");
        assert_eq!(decimal(&[0, 0xCA, 0x9A, 0x3B, 0]), "1000000000");
        let ten_to_the_30 = 10i128.pow(30).to_le_bytes();
        assert_eq!(decimal(&ten_to_the_30), format!("1{}", "0".repeat(30)));
        assert_eq!(decimal(&[1; 200]), format!("0x{}", "01".repeat(200)));
    }
}
