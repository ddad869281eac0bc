//! What the opcodes of a [`Machine`] are made of: reading the pickle, the stack, the memo. Each refuses what is not there.

use std::ops::Range;

use super::graph::{Id, Node, Object};
use super::pickle::Machine;

/// More values than any checkpoint holds beside its tensors; about 1 GB of them at worst.
pub const MOST_VALUES: usize = 1 << 23;
/// Longest module or class name.
const LONGEST_NAME: usize = 1024;

/// A part of a step, or why it makes no sense.
pub type Step<T> = Result<T, String>;

impl Machine<'_> {
    pub(super) fn take(&mut self, length: usize) -> Step<Range<usize>> {
        let end = self.at.checked_add(length);
        let end = end.filter(|&end| end <= self.code.len());
        let place = self.at..end.ok_or("the pickle is cut off")?;
        self.at = place.end;
        Ok(place)
    }

    pub(super) fn skip(&mut self, length: usize) -> Step<()> {
        self.take(length).map(|_| ())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let place = self.take(N)?;
        self.code[place].try_into().map_err(|_| "cut off".into())
    }

    /// An unsigned number of so many bytes.
    pub(super) fn unsigned(&mut self, width: usize) -> Step<u64> {
        let mut raw = [0; 8];
        let place = self.take(width)?;
        raw[..width].copy_from_slice(&self.code[place]);
        Ok(u64::from_le_bytes(raw))
    }

    /// What a length of so many bytes announces.
    pub(super) fn announced(&mut self, width: usize) -> Step<Range<usize>> {
        let length = self.unsigned(width)?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    pub(super) fn line(&mut self) -> Step<Range<usize>> {
        let rest = &self.code[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n');
        let place = self.take(length.ok_or("a line without an end")?)?;
        self.at += 1;
        Ok(place)
    }

    pub(super) fn memo_line(&mut self) -> Step<u64> {
        let line = self.line()?;
        let place = std::str::from_utf8(&self.code[line]).ok();
        let place = place.and_then(|text| text.parse().ok());
        place.ok_or_else(|| "no number of a memo".into())
    }

    pub(super) fn push(&mut self, node: Node) -> Step<()> {
        if self.nodes.len() >= MOST_VALUES {
            return Err(format!("more than {MOST_VALUES} values"));
        }
        let id = Id::try_from(self.nodes.len()).map_err(|_| "too many values")?;
        self.nodes.push(node);
        self.stack.push(id);
        Ok(())
    }

    /// The lowest height that may be popped to: what is below the last mark is another value's.
    pub(super) fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    pub(super) fn pop_many(&mut self, count: usize) -> Step<Vec<Id>> {
        let from = self.stack.len().checked_sub(count);
        let from = from.filter(|&from| from >= self.floor());
        Ok(self.stack.split_off(from.ok_or("nothing on the stack")?))
    }

    pub(super) fn pop(&mut self) -> Step<Id> {
        let id = self.top()?;
        self.stack.pop();
        Ok(id)
    }

    pub(super) fn pop_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or("no mark on the stack")?;
        Ok(self.stack.split_off(mark))
    }

    pub(super) fn top(&self) -> Step<Id> {
        let top = self.stack[self.floor()..].last();
        top.copied().ok_or_else(|| "nothing on the stack".into())
    }

    pub(super) fn top_node(&mut self) -> Step<&mut Node> {
        let top = self.top()?;
        Ok(&mut self.nodes[top as usize])
    }

    pub(super) fn number(&mut self, width: usize) -> Step<()> {
        let value = self.unsigned(width)?;
        self.push(Node::Int(value.cast_signed()))
    }

    pub(super) fn long(&mut self, width: usize) -> Step<()> {
        let place = self.announced(width)?;
        let raw = &self.code[place.clone()];
        let fill = if raw.last().is_some_and(|top| top & 0x80 != 0) {
            0xff
        } else {
            0
        };
        let mut wide = [fill; 8];
        if raw.len() > wide.len() {
            return self.push(Node::Long(place));
        }
        wide[..raw.len()].copy_from_slice(raw);
        self.push(Node::Int(i64::from_le_bytes(wide)))
    }

    pub(super) fn decimal(&mut self, line: Range<usize>) -> Step<()> {
        let digits = &self.code[line.clone()];
        let unsigned = digits.strip_prefix(b"-").unwrap_or(digits);
        if unsigned.is_empty() || !unsigned.iter().all(u8::is_ascii_digit) {
            return Err("no integer".into());
        }
        let small = std::str::from_utf8(digits).ok();
        let small = small.and_then(|text| text.parse().ok());
        self.push(small.map_or(Node::Digits(line), Node::Int))
    }

    pub(super) fn text(&mut self, width: usize) -> Step<()> {
        let place = self.announced(width)?;
        // Python writes lone surrogates too, which are no UTF-8. They are text all the same, just not Latin-1.
        let latin = std::str::from_utf8(&self.code[place.clone()]).ok();
        let latin = latin.and_then(|text| {
            let mut count = 0;
            text.chars()
                .all(|c| {
                    count += 1;
                    c <= '\u{ff}'
                })
                .then_some(count)
        });
        self.push(Node::Str(place, latin))
    }

    pub(super) fn bytes(&mut self, width: usize) -> Step<()> {
        let place = self.announced(width)?;
        self.push(Node::Bytes(place))
    }

    pub(super) fn outside(&mut self, width: usize) -> Step<()> {
        self.unsigned(width)?;
        self.push(Node::Outside("a copyreg extension"))
    }

    pub(super) fn extend(&mut self, values: Vec<Id>) -> Step<()> {
        match self.top_node()? {
            Node::List(list) | Node::Set(list) => list.extend(values),
            Node::Object(object) => object.items.extend(values),
            _ => return Err("appends to something that is no list".into()),
        }
        Ok(())
    }

    pub(super) fn set(&mut self, values: &[Id]) -> Step<()> {
        let pairs = pairs(values)?;
        match self.top_node()? {
            Node::Dict(entries) => entries.extend(pairs),
            Node::Object(object) => object.entries.extend(pairs),
            _ => return Err("sets an entry of something that is no dict".into()),
        }
        Ok(())
    }

    pub(super) fn put(&mut self, width: usize) -> Step<()> {
        let place = self.unsigned(width)?;
        self.remember(place)
    }

    pub(super) fn remember(&mut self, place: u64) -> Step<()> {
        if self.memo.len() >= MOST_VALUES {
            return Err(format!("more than {MOST_VALUES} memos"));
        }
        let id = self.top()?;
        self.memo.insert(place, id);
        Ok(())
    }

    pub(super) fn get(&mut self, width: usize) -> Step<()> {
        let place = self.unsigned(width)?;
        self.recall(place)
    }

    pub(super) fn recall(&mut self, place: u64) -> Step<()> {
        let id = self.memo.get(&place);
        self.stack
            .push(*id.ok_or_else(|| format!("memo {place} is empty"))?);
        Ok(())
    }

    pub(super) fn global_lines(&mut self) -> Step<()> {
        let (module, name) = (self.line()?, self.line()?);
        self.global(module, name)
    }

    pub(super) fn name(&self, id: Id) -> Step<Range<usize>> {
        match &self.nodes[id as usize] {
            Node::Str(place, _) => Ok(place.clone()),
            _ => Err("a global without a name".into()),
        }
    }

    pub(super) fn global(&mut self, module: Range<usize>, name: Range<usize>) -> Step<()> {
        for place in [&module, &name] {
            if place.len() > LONGEST_NAME || std::str::from_utf8(&self.code[place.clone()]).is_err()
            {
                return Err("a global whose name is no name".into());
            }
        }
        self.push(Node::Global(module, name))
    }

    pub(super) fn object(&mut self, call: Id, args: Id, keywords: Option<Id>) -> Step<()> {
        self.push(Node::Object(Box::new(Object {
            call,
            args,
            keywords,
            states: Vec::new(),
            items: Vec::new(),
            entries: Vec::new(),
        })))
    }
}

/// Keys and values that stand one after the other.
///
/// # Errors
/// When the last key has no value.
pub fn pairs(values: &[Id]) -> Step<Vec<(Id, Id)>> {
    let (pairs, rest) = values.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("a key without a value".into());
    }
    Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
}

/// Resolves the escapes of protocol 0; what is no escape stays as it is.
#[must_use]
pub fn unescape(raw: &[u8]) -> String {
    let mut text = String::new();
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        let width = match (byte, raw.get(at + 1)) {
            (b'\\', Some(b'x')) => 2,
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            _ => 0,
        };
        let digits = raw.get(at + 2..at + 2 + width).filter(|_| width > 0);
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        if let Some(c) = escaped.and_then(char::from_u32) {
            text.push(c);
            at += 2 + width;
        } else {
            text.push(char::from(byte));
            at += 1;
        }
    }
    text
}
