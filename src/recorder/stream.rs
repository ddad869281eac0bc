//! One file of the op recorder: what one thread of one process did. Read once from the memory map into a short row per
//! op; everything else stays in the file until somebody asks for it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::cursor::{Cursor, Parsed};
use super::header::Header;
use super::op::{self, Head, Tensor, TextId, Texts};
use super::texts::Table;
use crate::error::{Result, plain};
use crate::ffi::map::Map;

/// Characters of a text for people.
const LONGEST: usize = 400;

/// A row for one op.
#[derive(Debug, Clone, Copy)]
pub(super) struct Op {
    /// Where its record's payload begins.
    pub(super) at: usize,
    pub(super) index: u64,
    /// When it ended, as far as the counter of starts tells: that of the last op of this thread to start before.
    pub(super) time: u64,
    pub(super) step: u64,
    /// Stands for all that is compared. Where two differ, one has to look.
    pub(super) content: u64,
    /// The same for the results alone.
    pub(super) results: u64,
    /// Outputs with a digest.
    pub(super) hashed: u32,
    /// It has outputs, and none of them could be hashed.
    pub(super) skipped: bool,
    pub(super) scope: u8,
    pub(super) flags: u16,
}

/// An op with its tensors.
pub(super) struct Whole<'a> {
    pub(super) head: Head,
    pub(super) inputs: Vec<Tensor<'a>>,
    pub(super) outputs: Vec<Tensor<'a>>,
}

/// Values of a tensor that were kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept<'a> {
    pub(super) op: u64,
    /// Of an output, not an input.
    pub(super) output: bool,
    pub(super) arg: u64,
    pub(super) item: Option<u64>,
    pub(super) dtype: TextId,
    sizes: Cursor<'a>,
    dimensions: usize,
    pub(super) bytes: &'a [u8],
}

impl Kept<'_> {
    pub(super) fn sizes(&self) -> Vec<u64> {
        let mut cursor = self.sizes;
        (0..self.dimensions)
            .map_while(|_| cursor.number().ok())
            .collect()
    }
}

/// The stream of one thread.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) path: PathBuf,
    pub(super) map: Arc<Map>,
    pub(super) texts: Table,
    pub(super) header: Header,
    /// In the order in which they ended.
    pub(super) ops: Vec<Op>,
    /// What stands for name, overload, scope and depth of each op.
    pub(super) keys: Vec<u64>,
    /// What announced the end of the first step.
    pub(super) stepped: Option<TextId>,
    /// The last step that was announced: as many ended before it.
    pub(super) steps: u64,
    /// Where the records of kept values begin and end.
    pub(super) kept: Vec<(usize, usize)>,
    /// It has an end mark.
    pub(super) ended: bool,
    /// What the first ops were called with: numbers and texts, and no tensors.
    pub(super) asked: u64,
    /// The least number of an op: those before it were not recorded.
    pub(super) least: u64,
    /// Bytes there are, where more should be.
    pub(super) torn: Option<usize>,
    /// The limit that was reached.
    pub(super) limit: Option<String>,
    /// Tensors that were not hashed, by reason.
    pub(super) skipped: BTreeMap<TextId, u64>,
    pub(super) notes: Vec<TextId>,
}

impl Stream {
    /// Why there is nothing after the last op, where there may have been more.
    pub(super) fn cut(&self) -> Option<String> {
        let torn = self
            .torn
            .map(|at| format!("the file is cut off at byte {at}"));
        let unended = "it has no end mark: the process was ended by a signal or by os._exit";
        torn.or_else(|| self.limit.clone())
            .or_else(|| (!self.ended).then(|| unended.into()))
    }

    /// Leaves out what ran in earlier steps.
    pub(super) fn leave_out_before(&mut self, step: u64) {
        self.least = self.least.max(u64::from(step > 0));
        let mut keep = self.ops.iter().map(|op| op.step >= step);
        self.keys.retain(|_| keep.next().unwrap_or(false));
        self.ops.retain(|op| op.step >= step);
    }

    /// Whether everything read so far was really there.
    pub(super) fn check(&self) -> Result<()> {
        self.map.check()
    }

    /// A text.
    pub(super) fn words(&self, text: TextId) -> String {
        let bytes = self.texts.bytes(text, &self.map);
        plain(&String::from_utf8_lossy(bytes), LONGEST).into_owned()
    }

    /// Equal for equal texts, in any stream.
    pub(super) fn hash(&self, text: TextId) -> u64 {
        self.texts.hash(text)
    }

    /// What announces that a step is over.
    pub(super) fn stepped(&self) -> Option<String> {
        self.stepped.map(|source| self.words(source))
    }

    /// What the recorder wanted people to know.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        self.notes.iter().map(|&text| self.words(text))
    }

    /// How many tensors were not hashed, and why.
    pub(super) fn skipped(&self) -> impl Iterator<Item = (String, u64)> {
        let each = self.skipped.iter();
        each.map(|(&reason, &count)| (self.words(reason), count))
    }

    /// An op without its tensors.
    pub(super) fn head(&self, op: usize) -> Head {
        self.read(op).0
    }

    /// An op with its inputs and outputs.
    pub(super) fn whole(&self, op: usize) -> Whole<'_> {
        let (head, mut cursor) = self.read(op);
        let mut tensors = || {
            let count = op::count(&mut cursor).unwrap_or(0);
            (0..count)
                .map_while(|_| op::tensor(&mut cursor, &self.texts).ok())
                .collect()
        };
        Whole {
            head,
            inputs: tensors(),
            outputs: tensors(),
        }
    }

    fn read(&self, op: usize) -> (Head, Cursor<'_>) {
        let mut cursor = Cursor::new(&self.map, self.ops[op].at);
        // It was read once before. Where the file has changed since, `Map::check` says so.
        let head = op::head(&mut cursor, &self.texts).unwrap_or(Head::NONE);
        (head, cursor)
    }

    /// The values that were kept.
    pub(super) fn kept(&self) -> impl Iterator<Item = Kept<'_>> {
        let each = self.kept.iter();
        each.filter_map(|&(at, end)| kept(&mut Cursor::new(&self.map[..end], at), &self.texts).ok())
    }
}

/// Reads a record of values.
pub(super) fn kept<'a>(cursor: &mut Cursor<'a>, texts: &Table) -> Parsed<Kept<'a>> {
    let op = cursor.number()?;
    let output = match cursor.byte()? {
        0 => false,
        1 => true,
        _ => return Err("values that are neither an input's nor an output's"),
    };
    let (arg, item) = (cursor.number()?, cursor.optional()?);
    let dtype = texts.place(cursor.number()?)?;
    let dimensions = cursor.length()?;
    if dimensions > cursor.left() {
        return Err("values have more dimensions than their record has room for");
    }
    let sizes = *cursor;
    for _ in 0..dimensions {
        cursor.number()?;
    }
    let bytes = cursor.rest();
    Ok(Kept {
        op,
        output,
        arg,
        item,
        dtype,
        sizes,
        dimensions,
        bytes,
    })
}
