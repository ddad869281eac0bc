//! Pickles, protocols 0 to 5, to a [`Graph`] of values. Nothing named in a pickle is ever imported or called: a call is
//! kept as an [`Object`](super::graph::Object) that says what would have been called with what. Not: what those calls mean.
//!
//! Every value costs at least one byte of pickle and strings stay ranges of it, so memory grows with the file, and
//! [`MOST_VALUES`](super::stack::MOST_VALUES) bounds it.

use std::collections::BTreeMap;

use super::graph::{Graph, Id, Node};
use super::stack::{Step, pairs, unescape};

/// Opcodes that only move values count too: this many take seconds.
pub const MOST_OPCODES: usize = 1 << 26;

/// The state of a pickle being run.
pub struct Machine<'a> {
    pub(super) code: &'a [u8],
    pub(super) at: usize,
    pub(super) nodes: Vec<Node>,
    pub(super) stack: Vec<Id>,
    /// Heights of the stack.
    pub(super) marks: Vec<usize>,
    pub(super) memo: BTreeMap<u64, Id>,
}

/// Runs a pickle.
///
/// # Errors
/// Says where it stops making sense, and why.
pub fn run(code: &[u8]) -> Result<Graph, String> {
    let mut machine = Machine {
        code,
        at: 0,
        nodes: vec![Node::None, Node::Bool(false), Node::Bool(true)],
        stack: Vec::new(),
        marks: Vec::new(),
        memo: BTreeMap::new(),
    };
    for _ in 0..MOST_OPCODES {
        let at = machine.at;
        match machine.step() {
            Ok(None) => {}
            Ok(Some(root)) => {
                return Ok(Graph {
                    nodes: machine.nodes,
                    root,
                    end: machine.at,
                });
            }
            Err(what) => return Err(format!("offset {at}: {what}")),
        }
    }
    Err(format!("more than {MOST_OPCODES} opcodes"))
}

impl Machine<'_> {
    /// Runs one opcode; the root when it was the last.
    #[expect(clippy::too_many_lines, reason = "the table of opcodes, one line each")]
    fn step(&mut self) -> Step<Option<Id>> {
        let [code] = self.array()?;
        match code {
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => {
                // Pops a mark where one is on top.
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            b'1' => drop(self.pop_mark()?),
            b'2' => self.stack.push(self.top()?),
            // Protocol numbers and frames only help readers of streams.
            0x80 => self.skip(1)?,
            0x95 => self.skip(8)?,
            b'N' => self.stack.push(0),
            0x89 => self.stack.push(1),
            0x88 => self.stack.push(2),
            b'K' => self.number(1)?,
            b'M' => self.number(2)?,
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Node::Int(value.into()))?;
            }
            0x8a => self.long(1)?,
            0x8b => self.long(4)?,
            b'I' => {
                let line = self.line()?;
                match &self.code[line.clone()] {
                    b"00" => self.stack.push(1),
                    b"01" => self.stack.push(2),
                    _ => self.decimal(line)?,
                }
            }
            b'L' => {
                let mut line = self.line()?;
                if self.code[line.clone()].ends_with(b"L") {
                    line.end -= 1;
                }
                self.decimal(line)?;
            }
            b'G' => {
                let value = f64::from_be_bytes(self.array()?);
                self.push(Node::Float(value))?;
            }
            b'F' => {
                let line = self.line()?;
                let value = std::str::from_utf8(&self.code[line]).ok();
                let value = value.and_then(|text| text.parse().ok());
                self.push(Node::Float(value.ok_or("no float")?))?;
            }
            0x8c => self.text(1)?,
            b'X' => self.text(4)?,
            0x8d => self.text(8)?,
            b'V' => {
                let line = self.line()?;
                let text = unescape(&self.code[line]);
                self.push(Node::Text(text))?;
            }
            b'S' => {
                let line = self.line()?;
                let quoted = &self.code[line];
                let inner = quoted
                    .len()
                    .checked_sub(1)
                    .and_then(|end| quoted.get(1..end));
                let text = unescape(inner.ok_or("no quoted string")?);
                self.push(Node::Text(text))?;
            }
            b'U' | b'C' => self.bytes(1)?,
            b'T' | b'B' => self.bytes(4)?,
            0x8e | 0x96 => self.bytes(8)?,
            b')' => self.push(Node::Tuple(Vec::new()))?,
            b't' => {
                let values = self.pop_mark()?;
                self.push(Node::Tuple(values))?;
            }
            0x85..=0x87 => {
                let values = self.pop_many(usize::from(code) - 0x84)?;
                self.push(Node::Tuple(values))?;
            }
            b']' => self.push(Node::List(Vec::new()))?,
            b'l' => {
                let values = self.pop_mark()?;
                self.push(Node::List(values))?;
            }
            b'}' => self.push(Node::Dict(Vec::new()))?,
            b'd' => {
                let values = self.pop_mark()?;
                self.push(Node::Dict(pairs(&values)?))?;
            }
            0x8f => self.push(Node::Set(Vec::new()))?,
            0x91 => {
                let values = self.pop_mark()?;
                self.push(Node::Set(values))?;
            }
            b'a' => {
                let values = self.pop_many(1)?;
                self.extend(values)?;
            }
            b'e' | 0x90 => {
                let values = self.pop_mark()?;
                self.extend(values)?;
            }
            b's' => {
                let values = self.pop_many(2)?;
                self.set(&values)?;
            }
            b'u' => {
                let values = self.pop_mark()?;
                self.set(&values)?;
            }
            b'q' => self.put(1)?,
            b'r' => self.put(4)?,
            b'h' => self.get(1)?,
            b'j' => self.get(4)?,
            0x94 => {
                let place = self.memo.len() as u64;
                self.remember(place)?;
            }
            b'p' => {
                let place = self.memo_line()?;
                self.remember(place)?;
            }
            b'g' => {
                let place = self.memo_line()?;
                self.recall(place)?;
            }
            b'c' => self.global_lines()?,
            0x93 => {
                let names = self.pop_many(2)?;
                let (module, name) = (self.name(names[0])?, self.name(names[1])?);
                self.global(module, name)?;
            }
            b'i' => {
                self.global_lines()?;
                let call = self.pop()?;
                let values = self.pop_mark()?;
                self.push(Node::Tuple(values))?;
                let args = self.pop()?;
                self.object(call, args, None)?;
            }
            b'o' => {
                let mut values = self.pop_mark()?;
                if values.is_empty() {
                    return Err("a call of nothing".into());
                }
                let call = values.remove(0);
                self.push(Node::Tuple(values))?;
                let args = self.pop()?;
                self.object(call, args, None)?;
            }
            b'R' | 0x81 => {
                let parts = self.pop_many(2)?;
                self.object(parts[0], parts[1], None)?;
            }
            0x92 => {
                let parts = self.pop_many(3)?;
                self.object(parts[0], parts[1], Some(parts[2]))?;
            }
            b'b' => {
                let state = self.pop()?;
                match self.top_node()? {
                    Node::Object(object) => object.states.push(state),
                    _ => return Err("a state for something that has none".into()),
                }
            }
            b'P' => {
                let line = self.line()?;
                let text = String::from_utf8_lossy(&self.code[line]).into_owned();
                self.push(Node::Text(text))?;
                let id = self.pop()?;
                self.push(Node::Persistent(id))?;
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Node::Persistent(id))?;
            }
            0x82 => self.outside(1)?,
            0x83 => self.outside(2)?,
            0x84 => self.outside(4)?,
            0x97 => self.push(Node::Outside("a buffer outside the pickle"))?,
            0x98 => {}
            _ => return Err(format!("{code:#04x} is no opcode")),
        }
        Ok(None)
    }
}
