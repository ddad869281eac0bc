//! The tensors of two ops that belong together, as values to report.

use super::finding::{First, Outside, Pairing, Sides};
use super::judge::{self, Same};
use super::op::{self, Tensor};
use super::stream::{Kept, Stream, Whole};
use crate::difference::{View, difference, unravel};
use crate::dtype::Dtype;
use crate::tolerance::Tolerance;

/// Tensors shown of one op; a fused optimiser step has thousands.
const TENSORS: usize = 64;
/// Dimensions shown of one tensor.
pub(super) const DIMENSIONS: usize = 64;

/// The tensors side by side: all of them, or as many as are shown.
pub(super) fn pairings(
    ours: &Stream,
    ones: &[Tensor],
    theirs: &Stream,
    others: &[Tensor],
) -> Vec<Pairing> {
    let mut pairings: Vec<Pairing> = judge::side_by_side(ours, ones, theirs, others)
        .into_iter()
        .filter_map(|(one, other, same)| {
            let any = one.or(other)?;
            Some(Pairing {
                arg: any.arg,
                item: any.item,
                equal: match same {
                    Same::Equal => Some(true),
                    Same::Unknown => None,
                    Same::Differs | Same::Outside => Some(false),
                },
                sides: Sides {
                    reference: one.map(|tensor| outside(ours, tensor)),
                    candidate: other.map(|tensor| outside(theirs, tensor)),
                },
            })
        })
        .collect();
    if pairings.len() > TENSORS {
        // Those that matter come first; each says which it is.
        pairings.sort_by_key(|pairing| pairing.equal != Some(false));
        pairings.truncate(TENSORS);
    }
    pairings
}

fn outside(stream: &Stream, tensor: &Tensor) -> Outside {
    let mut remarks = Vec::new();
    let mut remark = |holds: bool, what: &str| {
        if holds {
            remarks.push(what.to_owned());
        }
    };
    remark(tensor.flags & op::EXTERNAL != 0, "from outside");
    remark(tensor.flags & op::WRITTEN != 0, "written");
    remark(tensor.flags & op::OVERLAP != 0, "overlaps itself");
    remark(tensor.state == op::STATE_VIEW, "a view of an input");
    remark(
        tensor.state == op::STATE_UNINITIALISED,
        "nothing has written it",
    );
    remark(
        tensor.state == op::STATE_KNOWN && tensor.digest.is_none(),
        "as an op before left it",
    );
    if tensor.state == op::STATE_SKIPPED {
        remarks.push(format!("not hashed: {}", stream.words(tensor.reason)));
    }
    Outside {
        dtype: stream.words(tensor.dtype),
        shape: tensor.sizes().take(DIMENSIONS).collect(),
        strides: tensor.strides().take(DIMENSIONS).collect(),
        device: stream.words(tensor.device),
        digest: tensor
            .digest
            .map(|(sum, weighted)| format!("{sum:016x}{weighted:016x}")),
        remarks,
    }
}

/// The first element that differs of the first tensor whose values both sides kept.
pub(super) fn first(ours: &Stream, one: &Whole, theirs: &Stream, two: &Whole) -> Option<First> {
    let mine: Vec<Kept> = ours
        .kept()
        .filter(|kept| kept.op == one.head.index)
        .collect();
    let others: Vec<Kept> = theirs
        .kept()
        .filter(|kept| kept.op == two.head.index)
        .collect();
    mine.iter().find_map(|kept| {
        let place = |kept: &Kept| (kept.output, kept.arg, kept.item);
        let other = others.iter().find(|other| place(other) == place(kept))?;
        let dtype: Dtype = ours.words(kept.dtype).parse().ok()?;
        let other_dtype: Dtype = theirs.words(other.dtype).parse().ok()?;
        let (shape, other_shape) = (kept.sizes(), other.sizes());
        if dtype != other_dtype || shape != other_shape {
            return None;
        }
        let view = |bytes| View {
            dtype,
            shape: &shape,
            bytes,
        };
        let found = difference(view(kept.bytes), view(other.bytes), &Tolerance::Bitwise).ok()?;
        let pair = found.first?;
        Some(First {
            output: kept.output,
            arg: kept.arg,
            index: pair.index,
            position: unravel(pair.index, &shape),
            values: Sides {
                reference: pair.reference,
                candidate: pair.candidate,
            },
            ulp: pair.ulp,
            differing: found.bits_differing,
            numel: found.numel,
        })
    })
}
