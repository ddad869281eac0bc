//! The one pass over a stream's bytes: every record is checked, and each op leaves a short row.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::cursor::{Cursor, Parsed, chain};
use super::header;
use super::op::{self, Rng, Texts};
use super::stream::{Op, Stream, kept};
use super::texts::Table;
use crate::error::{Error, Result};
use crate::ffi::map::Map;

/// Ops by which threads are told apart.
pub(super) const BEGINNING: usize = 32;
/// Notes kept of one stream.
const MOST_NOTES: usize = 8;
impl Stream {
    /// Reads a stream; none where it was cut off before anything was written.
    pub(super) fn open(path: &Path) -> Result<Option<Self>> {
        let map = Arc::new(Map::open(path)?);
        let Some((header, committed)) = header::read(path, &map)? else {
            map.check()?;
            return Ok(None);
        };
        let there = map.len();
        let whole = usize::try_from(committed).unwrap_or(usize::MAX);
        let mut stream = Self {
            path: path.to_path_buf(),
            map: Arc::clone(&map),
            texts: Table::default(),
            header,
            ops: Vec::new(),
            keys: Vec::new(),
            stepped: None,
            steps: 0,
            kept: Vec::new(),
            ended: false,
            least: u64::MAX,
            asked: 0,
            torn: (whole > there).then_some(there),
            limit: None,
            skipped: BTreeMap::new(),
            notes: Vec::new(),
        };
        let outcome = stream.index(&map[..whole.min(there)]);
        map.check()?;
        let damaged = |(at, what)| Error::damaged(path, format!("at byte {at}: {what}"));
        outcome.map_err(damaged).map(|()| Some(stream))
    }

    fn index(&mut self, bytes: &[u8]) -> std::result::Result<(), (usize, &'static str)> {
        let mut at = header::LENGTH;
        while at < bytes.len() {
            let long = Cursor::new(bytes, at).take(4);
            let long = long.map(|long| u32::from_le_bytes(long.try_into().unwrap_or_default()));
            let next = long.map_or(usize::MAX, |long| at + 4 + long as usize);
            if next > bytes.len() {
                return match self.torn {
                    Some(_) => Ok(()),
                    None => Err((at, "a record goes past the end")),
                };
            }
            let mut record = Cursor::new(&bytes[..next], at + 4);
            self.record(&mut record)
                .map_err(|what| (record.at(), what))?;
            at = next;
        }
        Ok(())
    }

    fn record(&mut self, cursor: &mut Cursor) -> Parsed<()> {
        match cursor.byte()? {
            1 => self.texts.define(cursor)?,
            2 => self.op(cursor)?,
            3 => {
                let step = cursor.number()?;
                let source = self.texts.place(cursor.number()?)?;
                cursor.number()?;
                self.stepped.get_or_insert(source);
                self.steps = self.steps.max(step);
            }
            4 => {
                self.kept.push((cursor.at(), cursor.at() + cursor.left()));
                kept(cursor, &self.texts)?;
            }
            5 => {
                let what = self.texts.place(cursor.number()?)?;
                let (what, op) = (self.words(what), cursor.number()?);
                self.limit = Some(format!("the limit on {what} was reached at op {op}"));
            }
            6 => {
                self.texts.place(cursor.number()?)?;
                cursor.number()?;
            }
            7 => self.end(cursor)?,
            8 => {
                let text = self.texts.place(cursor.number()?)?;
                if self.notes.len() < MOST_NOTES && !self.notes.contains(&text) {
                    self.notes.push(text);
                }
            }
            _ => return Err("a record of an unknown kind"),
        }
        if cursor.left() > 0 {
            return Err("a record is longer than what it says");
        }
        Ok(())
    }

    fn op(&mut self, cursor: &mut Cursor) -> Parsed<()> {
        let at = cursor.at();
        let head = op::head(cursor, &self.texts)?;
        let texts = &self.texts;
        let mut content = chain(texts.hash(head.scalars), u64::from(head.flags & op::THREW));
        content = match head.rng {
            Rng::None => chain(content, 0),
            Rng::Cpu { before, after } => [1, before, after].into_iter().fold(content, chain),
            Rng::Cuda {
                seed,
                before,
                after,
            } => [2, seed, before, after].into_iter().fold(content, chain),
        };
        let mut asked = texts.hash(head.scalars);
        let (mut hashed, mut skipped, mut results) = (0, 0, 0);
        for outputs in [false, true] {
            let count = op::count(cursor)?;
            let mut hash = count as u64;
            for _ in 0..count {
                let tensor = op::tensor(cursor, texts)?;
                hash = op::content(hash, &tensor, |text| texts.hash(text));
                if let (false, true, Some(digest)) =
                    (outputs, tensor.flags & op::NUMBER != 0, tensor.digest)
                {
                    asked = chain(asked, digest.0);
                }
                hashed += u32::from(outputs && tensor.digest.is_some());
                if tensor.state == op::STATE_SKIPPED {
                    skipped += usize::from(outputs);
                    *self.skipped.entry(tensor.reason).or_default() += 1;
                }
            }
            skipped = if skipped == count { skipped } else { 0 };
            content = chain(content, hash);
            results = hash;
        }
        let name = chain(texts.hash(head.name), texts.hash(head.overload));
        self.keys
            .push(chain(chain(name, head.scope.into()), head.depth));
        if self.ops.len() < BEGINNING {
            self.asked = chain(self.asked, asked);
        }
        let before = self.ops.last().map_or(0, |op| op.time);
        self.least = self.least.min(head.index);
        self.ops.push(Op {
            at,
            index: head.index,
            time: before.max(head.order),
            step: head.step,
            content,
            results,
            hashed,
            skipped: skipped > 0,
            scope: head.scope,
            flags: head.flags,
        });
        Ok(())
    }

    fn end(&mut self, cursor: &mut Cursor) -> Parsed<()> {
        cursor.byte()?;
        for _ in 0..5 {
            cursor.number()?;
        }
        for _ in 0..op::count(cursor)? {
            self.texts.place(cursor.number()?)?;
            cursor.number()?;
        }
        self.ended = true;
        Ok(())
    }
}
