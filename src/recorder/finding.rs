//! What a comparison of two recordings amounts to, as values to report.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::difference::Value;
use crate::trace::Phase;

/// Why two runs part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A number or text handed to an op differs: it comes from outside torch.
    Argument,
    /// A tensor that no recorded op made differs: data, files, `NumPy`, a clock.
    Outside,
    /// A tensor differs already where recording begins.
    Before,
    /// A generator stands elsewhere in its sequence.
    Rng,
    /// Another number of threads computes.
    Threads,
    /// A tensor changed though no recorded op changed it.
    UnrecordedWrite,
    /// The op gave other bits for the same inputs.
    Op,
    /// The same, and it read memory that nothing had written.
    Uninitialised,
    /// The same, and elements of what it writes share memory.
    Overlap,
    /// The op works on memory that another thread writes meanwhile.
    Race,
    /// Other ops ran.
    Structure,
    /// A dtype or shape differs.
    Shape,
}

/// The same thing on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sides<T> {
    /// In the reference.
    pub reference: T,
    /// In the candidate.
    pub candidate: T,
}

/// Everything known about why two runs part, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Why.
    pub kind: Kind,
    /// Why, in one sentence.
    pub what: String,
    /// The op, of the reference where both have one.
    pub place: Place,
    /// The node of autograd's graph it ran in, and the forward op that made the node.
    pub backward: Option<Backward>,
    /// The process.
    pub process: Process,
    /// The thread's number in its process, and what it is for.
    pub thread: Thread,
    /// What the recorder said of the op, in words; both sides' together.
    pub flags: Vec<String>,
    /// What torch said when it called the op nondeterministic.
    pub alert: Option<String>,
    /// Arguments that are no tensors.
    pub scalars: Sides<String>,
    /// Threads of one op.
    pub threads: Sides<u64>,
    /// The generator, where the op draws from one.
    pub draws: Option<Draws>,
    /// Tensors that went in.
    pub inputs: Vec<Pairing>,
    /// Tensors that came out.
    pub outputs: Vec<Pairing>,
    /// The first element that differs, where values were kept.
    pub first: Option<First>,
    /// Other ops, where that is the reason or happened later.
    pub structure: Option<Structure>,
    /// The collective that brought what differs.
    #[serde(default)]
    pub collective: Option<Place>,
    /// How the difference went on.
    pub wake: Wake,
    /// Later ops that part the runs by themselves: more causes than this one.
    #[serde(default)]
    pub besides: Vec<Besides>,
    /// What is known about the op.
    pub known: Option<Known>,
    /// What to do, best first.
    pub advice: Vec<String>,
}

/// An op's place.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Place {
    /// Its name, as `aten::index_put_`.
    pub op: String,
    /// Which of its forms, as `default` or `Tensor_out`; may be empty.
    pub overload: String,
    /// The ops around it, outermost first.
    pub parents: Vec<String>,
    /// The step, from 0.
    pub step: u64,
    /// How many calls of this op came before in this step and thread.
    pub occurrence: u64,
    /// Its number among all ops of its thread.
    pub index: u64,
    /// Where in the step.
    pub phase: Option<Phase>,
    /// The innermost named range or module around it; may be empty.
    pub range: String,
}

/// Where an op of the backward pass comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backward {
    /// The node, as `IndexBackward0`.
    pub node: String,
    /// The op of the forward pass that made it.
    pub forward: Option<Place>,
}

/// A process of a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Process {
    /// `0`, or for a forked child its parent's role and the number of the fork, as `0/f1`.
    pub role: String,
    /// Variables that tell ranks apart.
    pub rank: BTreeMap<String, String>,
    /// Its command line.
    pub argv: Vec<String>,
}

/// A thread of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// 0 for the first.
    pub number: u64,
    /// `main`, `autograd` or `worker`.
    pub role: String,
}

/// What an op drew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draws {
    /// Whether the generator stood at the same place before.
    pub before: bool,
    /// Whether it stands at the same place after.
    pub after: bool,
    /// Whether this is the first op of its process that draws.
    pub first: bool,
    /// Seed and offset on a GPU, before and after.
    pub philox: Option<Sides<[u64; 3]>>,
}

/// A tensor on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pairing {
    /// Which argument or result, from 0, and which place in it where it is a list.
    pub arg: u64,
    /// The place in a list.
    pub item: Option<u64>,
    /// Whether the bytes are equal; none where they were not hashed on both sides.
    pub equal: Option<bool>,
    /// The tensors.
    pub sides: Sides<Option<Outside>>,
}

/// A tensor's outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// torch's name of its type.
    pub dtype: String,
    /// Sizes, outermost first.
    pub shape: Vec<u64>,
    /// Elements from one to the next, in each dimension.
    pub strides: Vec<i64>,
    /// Where it lives.
    pub device: String,
    /// Its digest, where there is one.
    pub digest: Option<String>,
    /// What else is known: `from outside`, `written`, `overlaps itself`, or why it was not hashed.
    pub remarks: Vec<String>,
}

/// The first element that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct First {
    /// Whether the tensor came out of the op or went in.
    pub output: bool,
    /// Which argument or result.
    pub arg: u64,
    /// Flat index of the element.
    pub index: u64,
    /// Its position in each dimension.
    pub position: Vec<u64>,
    /// The two values.
    pub values: Sides<Value>,
    /// Floats from one to the other.
    pub ulp: Option<u64>,
    /// Elements that differ.
    pub differing: u64,
    /// Elements in all.
    pub numel: u64,
}

/// How the ops themselves differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Structure {
    /// In which way.
    pub what: Change,
    /// Ops of each side that the other does not have, here.
    pub without_partner: Sides<u64>,
    /// Steps of each side.
    pub steps: Sides<u64>,
    /// The last ops that are the same.
    pub before: Vec<String>,
    /// The next ops of each side.
    pub next: Sides<Vec<String>>,
}

/// A way in which two sequences of ops differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Other ops in the same place.
    Other,
    /// The candidate has more.
    Extra,
    /// The candidate has fewer.
    Missing,
    /// One of them goes on for more steps.
    Steps,
    /// A thread or process is on one side only.
    Alone,
}

/// How a difference went on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wake {
    /// Later ops whose results differ too.
    pub ops: u64,
    /// Later ops that were compared.
    pub of: u64,
    /// The steps in which there are any.
    pub steps: Vec<InStep>,
    /// The first few.
    pub first: Vec<Place>,
    /// The last one.
    pub last: Option<Place>,
}

/// An op that parts the runs too, whatever did so first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Besides {
    /// Why.
    pub kind: Kind,
    /// Why, in one sentence.
    pub what: String,
    /// The first call that does.
    pub place: Place,
    /// Calls of this op that do.
    pub ops: u64,
    /// The knob or change that ends it, where one is known.
    pub fix: Option<String>,
}

/// How many ops of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InStep {
    /// The step.
    pub step: u64,
    /// Its ops whose results differ.
    pub ops: u64,
}

/// What is known about a nondeterministic op.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// On which device.
    pub device: String,
    /// Why it varies.
    pub reason: String,
    /// The knob or change that ends it.
    pub fix: String,
    /// What else may be done; may be empty.
    pub alternative: String,
    /// Where this is known from.
    pub source: String,
}

/// How much was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Compared {
    /// Pairs of processes.
    pub processes: u64,
    /// Pairs of threads.
    pub threads: u64,
    /// Steps of the reference that were recorded.
    pub steps: u64,
    /// Steps of the reference that ended.
    #[serde(default)]
    pub announced: u64,
    /// Pairs of ops.
    pub ops: u64,
    /// Results whose bytes were hashed on both sides.
    pub hashed: u64,
    /// Ops that gave a result of which nothing was hashed, views left out: nothing is known of them.
    pub unhashed: u64,
}

/// All that two recordings tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// How much was compared.
    pub compared: Compared,
    /// What announces that a step is over; none where nothing does, and everything is step 0.
    pub steps_by: Option<String>,
    /// Where the runs part first, unless nothing differs.
    pub finding: Option<Finding>,
    /// First differences of other processes, in one line each.
    pub others: Vec<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}
