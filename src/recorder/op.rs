//! One record of an op, read out of a stream's bytes without copying anything.

use super::cursor::{Cursor, Parsed, chain};

/// Where a stream's text is, by its place in the stream's table; 0 is the empty one.
pub(super) type TextId = u32;

/// No op inside it.
pub(super) const LEAF: u16 = 1;
/// It threw.
pub(super) const THREW: u16 = 2;
/// It draws from a generator.
pub(super) const RANDOM: u16 = 4;
/// torch called it nondeterministic.
pub(super) const ALERT: u16 = 8;
/// It reads memory that nothing wrote.
pub(super) const UNINITIALISED: u16 = 16;
/// A storage that it writes was written by another thread since.
pub(super) const RACE: u16 = 32;
/// It writes its arguments.
pub(super) const IN_PLACE: u16 = 64;
/// It only looks at memory in another way.
pub(super) const VIEW: u16 = 128;
/// It runs inside a captured graph or compiled region.
pub(super) const CAPTURED: u16 = 256;
/// Its tensors are no plain ones.
pub(super) const WRAPPED: u16 = 512;
/// It runs while autograd's engine is at a node: the node's own ops, and hooks.
pub(super) const ENGINE: u16 = 1024;

/// What each flag means, in words for people.
pub(super) const FLAGS: &[(u16, &str)] = &[
    (LEAF, "leaf"),
    (THREW, "threw"),
    (RANDOM, "random"),
    (ALERT, "called nondeterministic by torch"),
    (UNINITIALISED, "reads uninitialised memory"),
    (RACE, "writes what another thread wrote since"),
    (IN_PLACE, "in-place"),
    (VIEW, "view"),
    (CAPTURED, "inside a captured graph or compiled region"),
    (WRAPPED, "wrapped tensors, not hashed"),
    (ENGINE, "in the backward pass"),
];

/// Scope of an ordinary op.
pub(super) const FUNCTION: u8 = 0;
/// Scope of a node of autograd's graph.
pub(super) const BACKWARD: u8 = 1;
/// Scope of a named range.
pub(super) const USER: u8 = 2;

/// This tensor was written by the op.
pub(super) const WRITTEN: u8 = 1;
/// Its storage was never an output of a recorded op.
pub(super) const EXTERNAL: u8 = 2;
/// Several of its elements share memory.
pub(super) const OVERLAP: u8 = 4;
/// A number of the program's that an op was called with, made a tensor just now.
pub(super) const NUMBER: u8 = 16;

/// It is a view of an input and was not hashed.
pub(super) const STATE_VIEW: u8 = 1;
/// Nothing has written it.
pub(super) const STATE_UNINITIALISED: u8 = 2;
/// It was not hashed, for the reason that follows.
pub(super) const STATE_SKIPPED: u8 = 3;
/// The bytes are those that a recorded op left there.
pub(super) const STATE_KNOWN: u8 = 4;

/// Tensors of one op; a fused optimiser step over a very large model has some ten thousand.
const MOST_TENSORS: usize = 1 << 20;

/// A generator's state around an op.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rng {
    /// None was seen.
    None,
    /// Digests of the CPU generator's state.
    Cpu { before: u64, after: u64 },
    /// Philox: a seed, and how much of its sequence was used.
    Cuda { seed: u64, before: u64, after: u64 },
}

/// An op without its tensors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) index: u64,
    pub(super) order: u64,
    pub(super) depth: u64,
    pub(super) parent: Option<u64>,
    pub(super) scope: u8,
    pub(super) name: TextId,
    pub(super) overload: TextId,
    pub(super) step: u64,
    pub(super) flags: u16,
    pub(super) seq: i64,
    pub(super) forward_thread: Option<u64>,
    pub(super) range: TextId,
    pub(super) alert: TextId,
    pub(super) scalars: TextId,
    pub(super) threads: u64,
    pub(super) rng: Rng,
}

impl Head {
    /// What stands in for an op that cannot be read any more.
    pub(super) const NONE: Self = Self {
        index: 0,
        order: 0,
        depth: 0,
        parent: None,
        scope: FUNCTION,
        name: 0,
        overload: 0,
        step: 0,
        flags: 0,
        seq: -1,
        forward_thread: None,
        range: 0,
        alert: 0,
        scalars: 0,
        threads: 0,
        rng: Rng::None,
    };
}

/// A tensor; sizes and strides stay varints.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tensor<'a> {
    pub(super) arg: u64,
    pub(super) item: Option<u64>,
    pub(super) dtype: TextId,
    pub(super) device: TextId,
    sizes: Cursor<'a>,
    dimensions: usize,
    /// Its number in the process.
    pub(super) storage: u64,
    pub(super) state: u8,
    pub(super) reason: TextId,
    pub(super) digest: Option<(u64, u64)>,
    pub(super) flags: u8,
}

impl Tensor<'_> {
    fn numbers(&self, from: usize) -> impl Iterator<Item = u64> {
        let mut cursor = self.sizes;
        // All of them were read once before.
        (0..2 * self.dimensions)
            .map_while(move |_| cursor.number().ok())
            .skip(from)
            .take(self.dimensions)
    }

    /// Extents, outermost first.
    pub(super) fn sizes(&self) -> impl Iterator<Item = u64> {
        self.numbers(0)
    }

    /// Elements from one to the next in each dimension.
    pub(super) fn strides(&self) -> impl Iterator<Item = i64> {
        self.numbers(self.dimensions)
            .map(|z| (z >> 1).cast_signed() ^ -(z & 1).cast_signed())
    }
}

/// What turns a text's id into its place in the table.
pub(super) trait Texts {
    /// The text's place.
    fn place(&self, id: u64) -> Parsed<TextId>;
}

fn text(cursor: &mut Cursor, texts: &impl Texts) -> Parsed<TextId> {
    texts.place(cursor.number()?)
}

/// The beginning of an op's record, up to its tensors.
pub(super) fn head(cursor: &mut Cursor, texts: &impl Texts) -> Parsed<Head> {
    Ok(Head {
        index: cursor.number()?,
        order: cursor.number()?,
        depth: cursor.number()?,
        parent: cursor.optional()?,
        scope: cursor.byte()?,
        name: text(cursor, texts)?,
        overload: text(cursor, texts)?,
        step: cursor.number()?,
        flags: cursor.short()?,
        seq: cursor.signed()?,
        forward_thread: cursor.optional()?,
        range: text(cursor, texts)?,
        alert: text(cursor, texts)?,
        scalars: text(cursor, texts)?,
        threads: cursor.number()?,
        rng: match cursor.byte()? {
            0 => Rng::None,
            1 => Rng::Cpu {
                before: cursor.word()?,
                after: cursor.word()?,
            },
            2 => Rng::Cuda {
                seed: cursor.number()?,
                before: cursor.number()?,
                after: cursor.number()?,
            },
            _ => return Err("a generator of an unknown kind"),
        },
    })
}

/// How many tensors follow.
pub(super) fn count(cursor: &mut Cursor) -> Parsed<usize> {
    let count = cursor.length()?;
    if count > MOST_TENSORS.min(cursor.left()) {
        return Err("an op has more tensors than its record has room for");
    }
    Ok(count)
}

/// One tensor.
pub(super) fn tensor<'a>(cursor: &mut Cursor<'a>, texts: &impl Texts) -> Parsed<Tensor<'a>> {
    let (arg, item) = (cursor.number()?, cursor.optional()?);
    let (dtype, device) = (text(cursor, texts)?, text(cursor, texts)?);
    let dimensions = cursor.length()?;
    if dimensions > cursor.left() {
        return Err("a tensor has more dimensions than its record has room for");
    }
    let sizes = *cursor;
    for _ in 0..2 * dimensions {
        cursor.number()?;
    }
    // Where it begins in its storage is memory, not content.
    let _ = cursor.number()?;
    let storage = cursor.number()?;
    let state = cursor.byte()?;
    let reason = match state {
        0..=2 | STATE_KNOWN => 0,
        STATE_SKIPPED => text(cursor, texts)?,
        _ => return Err("a tensor in an unknown state"),
    };
    let digest = match cursor.byte()? {
        0 => None,
        1 => Some((cursor.word()?, cursor.word()?)),
        _ => return Err("a tensor that neither has nor lacks a digest"),
    };
    Ok(Tensor {
        arg,
        item,
        dtype,
        device,
        sizes,
        dimensions,
        storage,
        state,
        reason,
        digest,
        flags: cursor.byte()?,
    })
}

/// Adds to a hash everything of a tensor that is compared: not its strides and storage, which are memory and not content.
pub(super) fn content(hash: u64, tensor: &Tensor, hash_of: impl Fn(TextId) -> u64) -> u64 {
    let mut hash = chain(hash, tensor.arg);
    hash = chain(hash, tensor.item.map_or(0, |item| item.wrapping_add(1)));
    hash = chain(hash, hash_of(tensor.dtype));
    hash = chain(hash, tensor.dimensions as u64);
    hash = tensor.sizes().fold(hash, chain);
    match tensor.digest {
        Some((sum, weighted)) => chain(chain(chain(hash, 1), sum), weighted),
        None => chain(hash, 0),
    }
}
