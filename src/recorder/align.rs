//! Two sequences of ops beside each other. Where they part, they are brought together again at the nearest place where
//! several ops in a row are the same; never is everything compared with everything.

use super::cursor::chain;

/// Ops in a row that must be the same for two sequences to count as together again.
const TOGETHER: usize = 8;
/// How far ahead is looked, first near and then farther.
const WINDOWS: &[usize] = &[32, 256, 2_048, 16_384, 65_536];
/// Cells of the table that pairs the ops of one gap; a larger gap stays a gap.
const CELLS: usize = 1 << 18;
/// Work allowed for each op, so that sequences with nothing in common end too.
const WORK: usize = 200;

/// As many ops of both sides, the same one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// The first of them in the reference.
    pub reference: usize,
    /// The first of them in the candidate.
    pub candidate: usize,
    /// How many.
    pub length: usize,
}

/// What belongs together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Alignment {
    /// In the order of both sides, never empty ones.
    pub blocks: Vec<Block>,
    /// Whether it was given up after the last block, because the sides have too little in common.
    pub given_up: bool,
}

/// Ops between two blocks: those of one side have no partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Of the reference.
    pub reference: std::ops::Range<usize>,
    /// Of the candidate.
    pub candidate: std::ops::Range<usize>,
}

impl Alignment {
    /// The first place where the sides are not the same, sides being so long.
    #[must_use]
    pub fn first_gap(&self, reference: usize, candidate: usize) -> Option<Gap> {
        self.gaps(reference, candidate).next()
    }

    /// Every place where the sides are not the same.
    pub fn gaps(&self, reference: usize, candidate: usize) -> impl Iterator<Item = Gap> {
        let ends = self.blocks.iter().map(|block| {
            let Block { length, .. } = *block;
            (block.reference, block.candidate, length)
        });
        let mut last = (0, 0);
        ends.chain([(reference, candidate, 0)])
            .map(move |(ours, theirs, length)| {
                let gap = Gap {
                    reference: last.0..ours,
                    candidate: last.1..theirs,
                };
                last = (ours + length, theirs + length);
                gap
            })
            .filter(|gap| !gap.reference.is_empty() || !gap.candidate.is_empty())
    }
}

/// Aligns two sequences, in time that grows with their length.
#[must_use]
pub fn align(reference: &[u64], candidate: &[u64]) -> Alignment {
    let mut found = Alignment::default();
    let mut work = WORK * (reference.len() + candidate.len()) + CELLS;
    let (mut at, mut other) = (0, 0);
    loop {
        let (ours, theirs) = (&reference[at..], &candidate[other..]);
        let length = common(ours.iter().zip(theirs));
        push(&mut found.blocks, at, other, length);
        (at, other) = (at + length, other + length);
        let (ours, theirs) = (&ours[length..], &theirs[length..]);
        if ours.is_empty() || theirs.is_empty() {
            return found;
        }
        let Some((skip, skip_other)) = together(ours, theirs, &mut work) else {
            found.given_up = true;
            return found;
        };
        let gap = (&ours[..skip], &theirs[..skip_other]);
        for block in inside(gap.0, gap.1, &mut work) {
            let Block {
                reference: ours,
                candidate: theirs,
                length,
            } = block;
            push(&mut found.blocks, at + ours, other + theirs, length);
        }
        (at, other) = (at + skip, other + skip_other);
    }
}

fn common<'a>(pairs: impl Iterator<Item = (&'a u64, &'a u64)>) -> usize {
    pairs.take_while(|(ours, theirs)| ours == theirs).count()
}

/// Adds a block; one that goes on where the last ends makes that longer.
fn push(blocks: &mut Vec<Block>, reference: usize, candidate: usize, length: usize) {
    if length == 0 {
        return;
    }
    if let Some(last) = blocks.last_mut()
        && last.reference + last.length == reference
        && last.candidate + last.length == candidate
    {
        last.length += length;
        return;
    }
    blocks.push(Block {
        reference,
        candidate,
        length,
    });
}

/// What stands for the next few ops, the end of the sequence being one.
fn ahead(sequence: &[u64], at: usize) -> u64 {
    let end = (at + TOGETHER).min(sequence.len());
    let hash = sequence[at..end]
        .iter()
        .fold(0, |hash, &op| chain(hash, op));
    chain(hash, (end - at) as u64)
}

/// How many ops to leave out on each side, as few as possible, until the next few are the same.
fn together(ours: &[u64], theirs: &[u64], work: &mut usize) -> Option<(usize, usize)> {
    for &window in WINDOWS {
        let far = window.min(ours.len());
        let far_other = window.min(theirs.len());
        *work = work.checked_sub(far + far_other)?;
        let mut places: Vec<(u64, usize)> = (0..=far).map(|at| (ahead(ours, at), at)).collect();
        places.sort_unstable();
        let mut best: Option<(usize, usize)> = None;
        for other in 0..=far_other {
            if best.is_some_and(|(skip, skip_other)| other > skip + skip_other) {
                break;
            }
            let hash = ahead(theirs, other);
            let first = places.partition_point(|&(place, _)| place < hash);
            if let Some(&(place, at)) = places.get(first)
                && place == hash
                && best.is_none_or(|(skip, skip_other)| at + other < skip + skip_other)
            {
                best = Some((at, other));
            }
        }
        if best.is_some() {
            return best;
        }
        if far == ours.len() && far_other == theirs.len() {
            // The ends are the same in any case.
            return Some((far, far_other));
        }
    }
    None
}

/// The longest common subsequence of what lies in a gap, where it is small enough.
fn inside(ours: &[u64], theirs: &[u64], work: &mut usize) -> Vec<Block> {
    let mut blocks = Vec::new();
    let width = theirs.len() + 1;
    let cells = (ours.len() + 1).saturating_mul(width);
    if ours.is_empty() || theirs.is_empty() || cells > CELLS || cells > *work {
        return blocks;
    }
    *work -= cells;
    // Row by row from the end: how long the best is that begins here.
    let mut best = vec![0u32; cells];
    for at in (0..ours.len()).rev() {
        for other in (0..theirs.len()).rev() {
            let cell = at * width + other;
            best[cell] = if ours[at] == theirs[other] {
                best[cell + width + 1] + 1
            } else {
                best[cell + width].max(best[cell + 1])
            };
        }
    }
    let (mut at, mut other) = (0, 0);
    while at < ours.len() && other < theirs.len() {
        let cell = at * width + other;
        if ours[at] == theirs[other] {
            push(&mut blocks, at, other, 1);
            (at, other) = (at + 1, other + 1);
        } else if best[cell + width] >= best[cell + 1] {
            at += 1;
        } else {
            other += 1;
        }
    }
    blocks
}
