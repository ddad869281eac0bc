//! [`Trace`]: the entries of one run in order, with what decided them; a versioned folder on disk.
//!
//! ```text
//! manifest.json        what was run, settings, fingerprint, counts, and the BLAKE3 of the two files below
//! entries.jsonl        one entry a line, in order
//! values.safetensors   the values that were kept
//! ```
//!
//! A trace is written beside its place and renamed into it, so that it is there whole or not at all. One that was cut off
//! or edited afterwards is named as damaged when opened, never compared. Not: comparing.

mod reader;
mod writer;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, to_hex};
use crate::dtype::Dtype;
use crate::fingerprint::Fingerprint;
use crate::knob::Setting;
use crate::number::Number;
use crate::spec::Spec;
use crate::summary::Summary;

pub use reader::Trace;
pub use writer::{Ending, Writer};

/// The version of the format. Older ones stay readable; a newer one is refused.
pub const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";
const ENTRIES: &str = "entries.jsonl";
const VALUES: &str = "values.safetensors";
/// Tensors up to this many bytes carry their content in the entry itself: losses, counters, learning rates. On a GPU such a
/// tensor is fetched rather than digested there.
pub const INLINE: u64 = 64;

/// Where in a step an entry was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// After initialisation, before step 0.
    Init,
    /// The batch, and everything up to the loss.
    Forward,
    /// Gradients.
    Backward,
    /// Parameters, buffers, optimiser state and generators after the optimiser has acted.
    Update,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Init => "init",
            Self::Forward => "forward",
            Self::Backward => "backward",
            Self::Update => "update",
        })
    }
}

/// The identity by which entries of two traces are paired.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Optimiser iteration, from 0.
    pub step: u64,
    /// Where in the step.
    pub phase: Phase,
    /// The tensor's name.
    pub name: String,
    /// How many entries of this step, phase and name came before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub occurrence: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.phase {
            Phase::Init => write!(f, "init, {}", self.name)?,
            phase => write!(f, "step {}, {phase}, {}", self.step, self.name)?,
        }
        if self.occurrence > 0 {
            write!(f, " (occurrence {})", self.occurrence)?;
        }
        Ok(())
    }
}

/// One recorded tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its identity.
    #[serde(flatten)]
    pub key: Key,
    /// Type of its elements.
    pub dtype: Dtype,
    /// Sizes, outermost first.
    pub shape: Vec<u64>,
    /// Hash of dtype, shape and logical bytes.
    pub digest: Digest,
    /// For people; where values are kept, and for small tensors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// The content in hexadecimal, for small tensors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<String>,
}

impl Entry {
    /// The entry of a tensor whose content is at hand.
    #[must_use]
    pub fn of(key: Key, dtype: Dtype, shape: &[u64], bytes: &[u8]) -> Self {
        Self {
            key,
            dtype,
            shape: shape.to_vec(),
            digest: Digest::of(dtype, shape, bytes),
            summary: Some(Summary::of(dtype, bytes)),
            inline: (bytes.len() as u64 <= INLINE).then(|| to_hex(bytes)),
        }
    }

    /// The entry of a tensor of which only the digest is known, because its content stayed on a GPU.
    #[must_use]
    pub fn of_digest(key: Key, dtype: Dtype, shape: &[u64], digest: Digest) -> Self {
        Self {
            key,
            dtype,
            shape: shape.to_vec(),
            digest,
            summary: None,
            inline: None,
        }
    }

    /// Length of its logical content, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shape.iter().product::<u64>() * self.dtype.size() as u64
    }
}

/// What a trace says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// samebits' version.
    pub samebits: String,
    /// What was run.
    pub spec: Spec,
    /// Knobs as read back.
    pub settings: Vec<Setting>,
    /// The stack it ran on.
    pub fingerprint: Fingerprint,
    /// Numbers for people: last loss, accuracy.
    pub metrics: BTreeMap<String, Number>,
    /// libtorch's warnings, each once.
    pub warnings: Vec<String>,
    /// Number of entries.
    pub entries: u64,
    /// BLAKE3 of the entries' file.
    pub entries_blake3: String,
    /// BLAKE3 of the values' file.
    pub values_blake3: String,
    /// BLAKE3 of this manifest with this field empty.
    pub manifest_blake3: String,
}

impl Manifest {
    fn seal(&self) -> String {
        let unsealed = Self {
            manifest_blake3: String::new(),
            ..self.clone()
        };
        blake3::hash(&serde_json::to_vec(&unsealed).unwrap_or_default()).to_string()
    }
}

fn stored_name(key: &Key) -> String {
    format!("{}/{}/{}/{}", key.step, key.phase, key.name, key.occurrence)
}

fn stored_as(dtype: Dtype) -> Option<safetensors::Dtype> {
    use safetensors::Dtype as S;
    Some(match dtype {
        Dtype::Bool => S::BOOL,
        Dtype::Uint8 => S::U8,
        Dtype::Int8 => S::I8,
        Dtype::Int16 => S::I16,
        Dtype::Uint16 => S::U16,
        Dtype::Float16 => S::F16,
        Dtype::Bfloat16 => S::BF16,
        Dtype::Int32 => S::I32,
        Dtype::Uint32 => S::U32,
        Dtype::Float32 => S::F32,
        Dtype::Float64 => S::F64,
        Dtype::Int64 => S::I64,
        Dtype::Uint64 => S::U64,
        Dtype::Float8E4m3fn => S::F8_E4M3,
        Dtype::Float8E5m2 => S::F8_E5M2,
        Dtype::Complex64 => S::C64,
        _ => return None,
    })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}
