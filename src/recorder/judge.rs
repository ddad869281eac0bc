//! Two ops that belong together: whether anything differs between them, and which kind of reason that is.

use super::finding::Kind;
use super::op::{self, Rng, Tensor};
use super::stream::{Stream, Whole};

/// What can be said of two tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Same {
    /// The bytes are equal.
    Equal,
    /// Not hashed on both sides.
    Unknown,
    /// The bytes differ.
    Differs,
    /// dtype or shape differs, or one is missing.
    Outside,
}

impl Same {
    fn differs(self) -> bool {
        matches!(self, Self::Differs | Self::Outside)
    }
}

/// Compares a tensor of one stream with one of another.
pub(super) fn same(ours: &Stream, one: &Tensor, theirs: &Stream, other: &Tensor) -> Same {
    let outside = ours.hash(one.dtype) == theirs.hash(other.dtype)
        && (one.arg, one.item) == (other.arg, other.item)
        && one.sizes().eq(other.sizes());
    match (outside, one.digest, other.digest) {
        (false, ..) => Same::Outside,
        (true, Some(digest), Some(other)) if digest == other => Same::Equal,
        (true, Some(_), Some(_)) => Same::Differs,
        (true, ..) => Same::Unknown,
    }
}

/// Ops with tensors of bytes that are their kernel's own memory, parts of which nothing ever writes or reads.
const SCRATCH: &[&str] = &[
    "aten::mkldnn_rnn_layer",
    "aten::mkldnn_rnn_layer_backward",
    "aten::_cudnn_rnn",
    "aten::_cudnn_rnn_backward",
    "aten::cudnn_batch_norm",
    "aten::cudnn_batch_norm_backward",
    "aten::_batch_norm_with_update",
    "aten::_batch_norm_impl_index",
    "aten::_batch_norm_impl_index_backward",
    "aten::batch_norm_backward",
];

/// Forgets what is known of a kernel's own memory.
fn without_scratch<'a, 'b>(ours: &Stream, op: &Whole, mut pairs: Beside<'a, 'b>) -> Beside<'a, 'b> {
    let differs = pairs.iter().any(|(_, _, same)| *same == Same::Differs);
    if differs && SCRATCH.contains(&ours.words(op.head.name).as_str()) {
        for (one, _, same) in &mut pairs {
            let bytes = one.is_some_and(|tensor| ours.words(tensor.dtype) == "uint8");
            if bytes && *same == Same::Differs {
                *same = Same::Unknown;
            }
        }
    }
    pairs
}

/// Tensors of both sides by their places, with what can be said of them.
type Beside<'a, 'b> = Vec<(Option<&'b Tensor<'a>>, Option<&'b Tensor<'a>>, Same)>;

/// The tensors of both sides by their places, with what can be said of them.
pub(super) fn side_by_side<'a, 'b>(
    ours: &Stream,
    ones: &'b [Tensor<'a>],
    theirs: &Stream,
    others: &'b [Tensor<'a>],
) -> Beside<'a, 'b> {
    (0..ones.len().max(others.len()))
        .map(|at| match (ones.get(at), others.get(at)) {
            (Some(one), Some(other)) => (Some(one), Some(other), same(ours, one, theirs, other)),
            (one, other) => (one, other, Same::Outside),
        })
        .collect()
}

/// Whether the results differ.
pub(super) fn results_differ(ours: &Stream, at: usize, theirs: &Stream, other: usize) -> bool {
    let (one, other) = (ours.whole(at), theirs.whole(other));
    let pairs = side_by_side(ours, &one.outputs, theirs, &other.outputs);
    let pairs = without_scratch(ours, &one, pairs);
    pairs.iter().any(|(_, _, same)| same.differs())
}

/// Where the generator stood before an op, and after it.
fn stands(rng: Rng) -> (Option<[u64; 2]>, Option<[u64; 2]>) {
    match rng {
        Rng::None => (None, None),
        Rng::Cpu { before, after } => (Some([0, before]), Some([0, after])),
        Rng::Cuda {
            seed,
            before,
            after,
        } => (Some([seed, before]), Some([seed, after])),
    }
}

/// Whether generators stood at the same place before and after; true where that is not known on both sides.
pub(super) fn drew_alike(one: Rng, other: Rng) -> (bool, bool) {
    let alike = |one: Option<[u64; 2]>, other: Option<[u64; 2]>| {
        one.is_none() || other.is_none() || one == other
    };
    let (one, other) = (stands(one), stands(other));
    (alike(one.0, other.0), alike(one.1, other.1))
}

/// Ops that give every element of their first argument a new value and read none of the old ones.
const OVERWRITING: &[&str] = &[
    "aten::copy_",
    "aten::fill_",
    "aten::zero_",
    "aten::set_",
    "aten::resize_",
    "aten::uniform_",
    "aten::normal_",
    "aten::random_",
    "aten::bernoulli_",
    "aten::exponential_",
    "aten::geometric_",
    "aten::log_normal_",
    "aten::cauchy_",
];

/// The kind of reason, in the order in which reasons count; none where nothing differs.
///
/// What went in counts only where it may have made a difference. Memory that a kernel took for its result is seen as a
/// tensor from outside, with whatever was left there, before anything writes it.
pub(super) fn judge(ours: &Stream, at: usize, theirs: &Stream, other: usize) -> Option<Kind> {
    let (one, two) = (ours.whole(at), theirs.whole(other));
    let outputs = side_by_side(ours, &one.outputs, theirs, &two.outputs);
    let outputs = without_scratch(ours, &one, outputs);
    let results = |same: Same| outputs.iter().any(|(_, _, found)| *found == same);
    let agree = !outputs.is_empty() && outputs.iter().all(|(_, _, found)| *found == Same::Equal);
    let read = reads(ours, &one) && !agree;
    let overwriting = overwrites(ours, &one);
    let inputs = side_by_side(ours, &one.inputs, theirs, &two.inputs);
    let inputs = without_scratch(ours, &one, inputs);
    let input = |flag: u8, wanted: &[Same]| {
        read && inputs.iter().any(|(one, other, found)| {
            let flags = one
                .iter()
                .chain(other)
                .fold(0, |flags, tensor| flags | tensor.flags);
            let overwritten = overwriting && flags & op::WRITTEN != 0;
            !overwritten && flags & flag == flag && wanted.contains(found)
        })
    };
    let (before, after) = drew_alike(one.head.rng, two.head.rng);
    if !agree && ours.hash(one.head.scalars) != theirs.hash(two.head.scalars) {
        return Some(Kind::Argument);
    }
    if input(op::EXTERNAL, &[Same::Differs, Same::Outside]) {
        let begun = ours.ops[at].step == ours.ops[0].step && late(ours);
        let number = number(ours, &inputs);
        // A tensor without dimensions may be state that is older; torch says of some that they were numbers just now.
        let just_now = |(one, _, same): &(Option<&Tensor>, Option<&Tensor>, Same)| {
            *same != Same::Differs || one.is_some_and(|one| one.flags & op::NUMBER != 0)
        };
        return Some(match begun && !(number && inputs.iter().all(just_now)) {
            true => Kind::Before,
            false if number => Kind::Argument,
            false => Kind::Outside,
        });
    }
    if !before {
        return Some(Kind::Rng);
    }
    if input(0, &[Same::Outside]) || results(Same::Outside) {
        return Some(Kind::Shape);
    }
    if input(0, &[Same::Differs]) {
        // Storages are numbered as they come up, which was the same so far: it is another tensor.
        let other = inputs.iter().any(|(one, other, same)| {
            let storages = one
                .zip(*other)
                .map(|(one, other)| (one.storage, other.storage));
            *same == Same::Differs && storages.is_some_and(|(one, other)| one != other)
        });
        let older = late(ours)
            && inputs.iter().any(|(one, _, same)| {
                *same == Same::Differs && one.is_some_and(|one| !written(ours, at, one.storage))
            });
        return Some(match (older, other) {
            (true, _) => Kind::Before,
            (false, true) => Kind::Structure,
            (false, false) => Kind::UnrecordedWrite,
        });
    }
    if results(Same::Differs) {
        return Some(varied(&one, &two));
    }
    let threw = (one.head.flags ^ two.head.flags) & op::THREW != 0;
    match (after, threw) {
        (false, _) => Some(Kind::Rng),
        (true, true) => Some(Kind::Op),
        (true, false) => None,
    }
}

/// Why results differ that nothing explains which went in; none where anything may.
pub(super) fn by_itself(ours: &Stream, at: usize, theirs: &Stream, other: usize) -> Option<Kind> {
    let (one, two) = (ours.whole(at), theirs.whole(other));
    let inputs = side_by_side(ours, &one.inputs, theirs, &two.inputs);
    let equal = inputs.iter().all(|(_, _, same)| *same == Same::Equal);
    if !equal && drew_alike(one.head.rng, two.head.rng).0 {
        return None;
    }
    let kind = judge(ours, at, theirs, other)?;
    let own = match kind {
        Kind::Rng => true,
        Kind::Op | Kind::Uninitialised | Kind::Overlap | Kind::Race | Kind::Threads => equal,
        _ => false,
    };
    own.then_some(kind)
}

/// The kind of difference in what an op was called with; none where it was called alike.
pub(super) fn handed(ours: &Stream, at: usize, theirs: &Stream, other: usize) -> Option<Kind> {
    let (one, two) = (ours.whole(at), theirs.whole(other));
    let inputs = side_by_side(ours, &one.inputs, theirs, &two.inputs);
    let external = |(one, other, same): &(Option<&Tensor>, Option<&Tensor>, Same)| {
        let flags = one
            .iter()
            .chain(other)
            .fold(0, |flags, tensor| flags | tensor.flags);
        flags & op::EXTERNAL != 0 && *same == Same::Differs
    };
    if ours.hash(one.head.scalars) != theirs.hash(two.head.scalars) {
        Some(Kind::Argument)
    } else if inputs.iter().any(external) {
        let number = number(ours, &inputs);
        Some(if number {
            Kind::Argument
        } else {
            Kind::Outside
        })
    } else if inputs.iter().any(|(_, _, same)| *same == Same::Outside) {
        Some(Kind::Shape)
    } else {
        None
    }
}

/// Whether an op looks at the bytes of what it is given. `lift_fresh` is how data come in, though it is a view.
fn reads(stream: &Stream, op: &Whole) -> bool {
    let name = stream.words(op.head.name);
    let view = op.head.flags & op::VIEW != 0 && name != "aten::lift_fresh";
    !view && !["detach_", "aten::detach_"].contains(&name.as_str())
}

/// Whether an op reads nothing of what it writes.
fn overwrites(stream: &Stream, op: &Whole) -> bool {
    let name = stream.words(op.head.name);
    OVERWRITING.contains(&name.as_str()) || stream.words(op.head.overload).ends_with("out")
}

/// Whether all that differs and comes from outside are numbers of the program's own, as in `x * 0.5`: torch makes a tensor
/// without dimensions of them, of the widest type.
fn number(stream: &Stream, inputs: &[(Option<&Tensor>, Option<&Tensor>, Same)]) -> bool {
    let mut different = inputs
        .iter()
        .filter(|(_, _, same)| *same == Same::Differs)
        .filter_map(|(one, ..)| *one)
        .filter(|tensor| tensor.flags & op::EXTERNAL != 0 && tensor.flags & op::WRITTEN == 0)
        .peekable();
    different.peek().is_some()
        && different.all(|tensor| {
            let wide = ["float64", "int64", "bool", "complex128"];
            tensor.sizes().next().is_none() && wide.contains(&stream.words(tensor.dtype).as_str())
        })
}

/// Whether a recorded op before this one wrote to a piece of memory.
fn written(stream: &Stream, at: usize, storage: u64) -> bool {
    (0..at).rev().any(|earlier| {
        let whole = stream.whole(earlier);
        let made = whole.outputs.iter();
        let mut made = made.filter(|tensor| tensor.state != op::STATE_VIEW);
        let mut given = whole.inputs.iter();
        made.any(|tensor| tensor.storage == storage)
            || given.any(|tensor| tensor.storage == storage && tensor.flags & op::WRITTEN != 0)
    })
}

/// Whether recording began after the program did.
fn late(stream: &Stream) -> bool {
    stream.least > 0
}

/// Why an op gave other bits for the same inputs.
fn varied(one: &Whole, other: &Whole) -> Kind {
    let flags = one.head.flags | other.head.flags;
    let overlaps = |whole: &Whole| {
        let tensors = whole.inputs.iter().chain(&whole.outputs);
        let both = op::WRITTEN | op::OVERLAP;
        tensors
            .into_iter()
            .any(|tensor| tensor.flags & both == both)
    };
    // A generator of the program's own is not among those that are recorded.
    let unseen = one.head.rng == Rng::None || other.head.rng == Rng::None;
    if flags & op::RANDOM != 0 && unseen {
        Kind::Rng
    } else if flags & op::UNINITIALISED != 0 {
        Kind::Uninitialised
    } else if overlaps(one) || overlaps(other) {
        Kind::Overlap
    } else if flags & op::RACE != 0 {
        Kind::Race
    } else if one.head.threads != other.head.threads {
        Kind::Threads
    } else {
        Kind::Op
    }
}
