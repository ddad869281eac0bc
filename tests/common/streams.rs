//! Streams of the op recorder, made by hand: the same format, written down a second time.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// No op inside.
pub const LEAF: u16 = 1;
pub const THREW: u16 = 2;
pub const RANDOM: u16 = 4;
pub const ALERT: u16 = 8;
pub const UNINITIALISED: u16 = 16;
pub const RACE: u16 = 32;
pub const VIEW: u16 = 128;
pub const ENGINE: u16 = 1024;
pub const WRITTEN: u8 = 1;
pub const EXTERNAL: u8 = 2;
pub const OVERLAP: u8 = 4;
pub const NUMBER: u8 = 16;

/// A generator around an op.
#[derive(Debug, Clone, Copy, Default)]
pub enum Rng {
    #[default]
    None,
    Cpu(u64, u64),
    Cuda(u64, u64, u64),
}

/// A tensor; the digest stands for its values.
#[derive(Debug, Clone)]
pub struct Tensor {
    pub arg: u64,
    pub item: Option<u64>,
    pub dtype: &'static str,
    pub device: &'static str,
    pub sizes: Vec<u64>,
    pub storage: u64,
    pub state: u8,
    pub reason: &'static str,
    pub digest: Option<u64>,
    pub flags: u8,
}

pub fn tensor(arg: u64, digest: u64) -> Tensor {
    Tensor {
        arg,
        item: None,
        dtype: "float32",
        device: "cpu",
        sizes: vec![2, 3],
        storage: 7,
        state: 0,
        reason: "",
        digest: Some(digest),
        flags: 0,
    }
}

/// An op.
#[derive(Debug, Clone)]
pub struct Op {
    pub index: u64,
    pub order: u64,
    pub depth: u64,
    pub parent: Option<u64>,
    pub scope: u8,
    pub name: String,
    pub overload: &'static str,
    pub step: u64,
    pub flags: u16,
    pub seq: i64,
    pub forward_thread: Option<u64>,
    pub range: String,
    pub alert: String,
    pub scalars: String,
    pub threads: u64,
    pub rng: Rng,
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<Tensor>,
}

pub fn op(index: u64, name: &str) -> Op {
    Op {
        index,
        order: index,
        depth: 0,
        parent: None,
        scope: 0,
        name: name.into(),
        overload: "",
        step: 0,
        flags: LEAF,
        seq: -1,
        forward_thread: None,
        range: String::new(),
        alert: String::new(),
        scalars: "alpha=1".into(),
        threads: 2,
        rng: Rng::None,
        inputs: Vec::new(),
        outputs: Vec::new(),
    }
}

pub fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

fn signed(out: &mut Vec<u8>, value: i64) {
    number(out, (value << 1 ^ value >> 63).cast_unsigned());
}

fn optional(out: &mut Vec<u8>, value: Option<u64>) {
    number(out, value.map_or(0, |value| value + 1));
}

/// A stream being written.
#[derive(Debug, Clone)]
pub struct Stream {
    pub role: String,
    pub thread: u64,
    pub thread_role: &'static str,
    pub pid: u64,
    pub parent: u64,
    pub rank: Vec<(&'static str, &'static str)>,
    pub argv: Vec<String>,
    texts: BTreeMap<String, u64>,
    records: Vec<u8>,
}

impl Stream {
    pub fn new(pid: u64) -> Self {
        Self {
            role: "0".into(),
            thread: 0,
            thread_role: "main",
            pid,
            parent: 1_000,
            rank: Vec::new(),
            argv: vec!["python".into(), "train.py".into()],
            texts: BTreeMap::new(),
            records: Vec::new(),
        }
    }

    pub fn record(&mut self, kind: u8, payload: &[u8]) {
        let long = u32::try_from(payload.len() + 1).unwrap();
        self.records.extend(long.to_le_bytes());
        self.records.push(kind);
        self.records.extend(payload);
    }

    fn text(&mut self, text: &str) -> u64 {
        if let Some(&id) = self.texts.get(text) {
            return id;
        }
        let id = self.texts.len() as u64;
        self.texts.insert(text.into(), id);
        let mut payload = Vec::new();
        number(&mut payload, id);
        payload.extend(text.as_bytes());
        self.record(1, &payload);
        id
    }

    fn tensors(&mut self, out: &mut Vec<u8>, tensors: &[Tensor]) {
        number(out, tensors.len() as u64);
        for tensor in tensors {
            number(out, tensor.arg);
            optional(out, tensor.item);
            for text in [tensor.dtype, tensor.device] {
                let id = self.text(text);
                number(out, id);
            }
            number(out, tensor.sizes.len() as u64);
            for &size in &tensor.sizes {
                number(out, size);
            }
            for _ in &tensor.sizes {
                signed(out, 1);
            }
            number(out, 0);
            number(out, tensor.storage);
            out.push(tensor.state);
            if tensor.state == 3 {
                let id = self.text(tensor.reason);
                number(out, id);
            }
            out.push(u8::from(tensor.digest.is_some()));
            if let Some(digest) = tensor.digest {
                out.extend(digest.to_le_bytes());
                out.extend((!digest).to_le_bytes());
            }
            out.push(tensor.flags);
        }
    }

    pub fn op(&mut self, op: &Op) {
        let mut out = Vec::new();
        for value in [op.index, op.order, op.depth] {
            number(&mut out, value);
        }
        optional(&mut out, op.parent);
        out.push(op.scope);
        for text in [op.name.as_str(), op.overload] {
            let id = self.text(text);
            number(&mut out, id);
        }
        number(&mut out, op.step);
        out.extend(op.flags.to_le_bytes());
        signed(&mut out, op.seq);
        optional(&mut out, op.forward_thread);
        for text in [&op.range, &op.alert, &op.scalars] {
            let id = self.text(text);
            number(&mut out, id);
        }
        number(&mut out, op.threads);
        match op.rng {
            Rng::None => out.push(0),
            Rng::Cpu(before, after) => {
                out.push(1);
                out.extend(before.to_le_bytes());
                out.extend(after.to_le_bytes());
            }
            Rng::Cuda(seed, before, after) => {
                out.push(2);
                for value in [seed, before, after] {
                    number(&mut out, value);
                }
            }
        }
        self.tensors(&mut out, &op.inputs);
        self.tensors(&mut out, &op.outputs);
        self.record(2, &out);
    }

    pub fn step(&mut self, step: u64, next: u64) {
        let source = self.text("Optimizer.step#SGD.step");
        let mut out = Vec::new();
        for value in [step, source, next] {
            number(&mut out, value);
        }
        self.record(3, &out);
    }

    /// Values of a tensor of float32.
    pub fn values(&mut self, op: u64, output: bool, arg: u64, sizes: &[u64], values: &[f32]) {
        let dtype = self.text("float32");
        let mut out = Vec::new();
        number(&mut out, op);
        out.push(u8::from(output));
        number(&mut out, arg);
        number(&mut out, 0);
        number(&mut out, dtype);
        number(&mut out, sizes.len() as u64);
        for &size in sizes {
            number(&mut out, size);
        }
        out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        self.record(4, &out);
    }

    pub fn limit(&mut self, op: u64) {
        let what = self.text("bytes");
        let mut out = Vec::new();
        number(&mut out, what);
        number(&mut out, op);
        self.record(5, &out);
    }

    pub fn fork(&mut self, role: &str, next: u64) {
        let role = self.text(role);
        let mut out = Vec::new();
        number(&mut out, role);
        number(&mut out, next);
        self.record(6, &out);
    }

    pub fn note(&mut self, text: &str) {
        let text = self.text(text);
        let mut out = Vec::new();
        number(&mut out, text);
        self.record(8, &out);
    }

    pub fn end(&mut self) {
        let mut out = vec![0, 1, 1, 1, 1, 1, 1];
        let reason = self.text("meta");
        number(&mut out, reason);
        number(&mut out, 3);
        self.record(7, &out);
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let rank: BTreeMap<_, _> = self.rank.iter().copied().collect();
        let header = serde_json::json!({
            "format": 1, "torch": "2.11.0", "pid": self.pid, "ppid": self.parent, "role": self.role, "thread": self.thread,
            "thread_role": self.thread_role, "argv": self.argv, "rank": rank, "threads": 2,
        });
        let mut bytes = b"SBOPS\0\0\x01".to_vec();
        bytes.extend((4096 + self.records.len() as u64).to_le_bytes());
        bytes.extend(header.to_string().as_bytes());
        bytes.resize(4096, b' ');
        bytes.extend(&self.records);
        bytes
    }

    /// Writes the file where the recorder would.
    pub fn write(&self, folder: &Path) -> PathBuf {
        std::fs::create_dir_all(folder).unwrap();
        let path = folder.join(format!("p{}-t{}.ops", self.pid, self.thread));
        std::fs::write(&path, self.bytes()).unwrap();
        path
    }
}

/// A stream of these ops, from beginning to end.
pub fn stream(pid: u64, ops: &[Op]) -> Stream {
    let mut stream = Stream::new(pid);
    let mut step = 0;
    for op in ops {
        if op.step != step {
            step = op.step;
            stream.step(step, op.index);
        }
        stream.op(op);
    }
    if let Some(last) = ops.last() {
        stream.step(step + 1, last.index + 1);
    }
    stream.end();
    stream
}

/// A small training: in each step a batch from outside, a linear layer, dropout, a loss, their backward and an update.
pub fn training(steps: u64) -> Vec<Op> {
    let mut ops = Vec::new();
    let mut index = 0;
    for step in 0..steps {
        let begin = index;
        let value = |at: u64| 1_000 * (step + 1) + at;
        let mut add = |name: &str, parent: Option<u64>, change: &dyn Fn(&mut Op)| {
            let mut one = op(index, name);
            one.step = step;
            one.parent = parent.map(|at| begin + at);
            one.depth = u64::from(parent.is_some());
            one.seq = (begin + index).cast_signed();
            one.outputs = vec![tensor(0, value(index - begin))];
            one.inputs = vec![tensor(0, value((index - begin).saturating_sub(1)))];
            change(&mut one);
            index += 1;
            ops.push(one);
        };
        add("aten::to", None, &|op| op.inputs[0].flags = EXTERNAL);
        add("aten::linear", None, &|op| {
            op.flags = 0;
            op.range = "model.fc".into();
        });
        add("aten::addmm", Some(1), &|op| {
            op.range = "model.fc".into();
            op.seq = 50 + step.cast_signed();
        });
        add("aten::dropout", None, &|op| {
            op.flags = 0;
            op.scalars = "p=0.5".into();
        });
        add("aten::bernoulli_", Some(3), &|op| {
            op.flags |= RANDOM;
            op.rng = Rng::Cpu(77 + step, 78 + step);
        });
        add("aten::mse_loss", None, &|_| {});
        add("AddmmBackward0", None, &|op| {
            op.scope = 1;
            op.flags = 0;
            op.outputs.clear();
            op.seq = 50 + step.cast_signed();
            op.forward_thread = Some(0);
        });
        add("aten::mm", Some(6), &|op| op.seq = -1);
        add("Optimizer.step#SGD.step", None, &|op| {
            op.scope = 2;
            op.flags = 0;
            op.inputs.clear();
            op.outputs.clear();
        });
        add("aten::add_", Some(8), &|op| op.outputs[0].flags = WRITTEN);
    }
    // An op is written down when it ends: what is around it comes after it.
    for at in (1..ops.len()).rev() {
        if ops[at].parent == Some(ops[at - 1].index) {
            ops.swap(at, at - 1);
        }
    }
    ops
}

/// Gives other digests to the results of ops from this place on, as a difference that nothing stops.
pub fn spoil(ops: &mut [Op], from: usize) {
    let first = ops[from].index;
    for op in &mut ops[from..] {
        let later = op.index > first;
        let inputs = op
            .inputs
            .iter_mut()
            .filter(|tensor| later && tensor.flags & EXTERNAL == 0);
        for tensor in inputs.chain(&mut op.outputs) {
            tensor.digest = tensor.digest.map(|digest| digest ^ 0xDEAD);
        }
    }
}

/// Where an op of this name is in a step.
pub fn find(ops: &[Op], name: &str, step: u64) -> usize {
    ops.iter()
        .position(|op| op.name == name && op.step == step)
        .unwrap()
}
