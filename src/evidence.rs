//! [`Evidence`]: files to keyed tensors, lazily. What a file holds, not how it is packed: header order, timestamps and
//! folder names inside archives are no evidence. Not: comparing.
//!
//! Every reader takes bytes that may be damaged or hostile: lengths that lie, overlapping tensors, zip bombs. It checks
//! before it believes, and says file, place and reason.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::digest::Digest;
use crate::dtype::Dtype;
use crate::error::{Error, Result, plain};
use crate::ffi::map::Map;

pub mod folder;
pub mod glob;
pub mod npy;
pub mod npz;
pub mod open;
pub mod raw;
pub mod safetensors;
pub mod table;
pub mod tfevents;
pub mod torch_zip;
pub mod traces;

/// The largest single tensor that is unpacked into memory, in bytes; those that are only mapped may be larger.
pub const LARGEST_UNPACKED: u64 = 64 << 30;

/// Names are shown so far, in characters; they are compared in full.
pub const LONGEST_NAME: usize = 500;

/// Everything comparable in one file or folder.
#[derive(Debug, Default)]
pub struct Evidence {
    /// What kind of file it is, for people.
    pub format: &'static str,
    /// In the order of the file where that means something, by name otherwise.
    pub items: Vec<Item>,
    /// What is true of a value beside its bytes. Compared like items: a difference is one of structure.
    pub properties: Vec<Property>,
    /// What a person should know: a part that could not be read as more than bytes.
    pub notes: Vec<String>,
    /// What differs without mattering: header order, alignment, names inside archives. Compared only to say so.
    pub container: Vec<(String, String)>,
}

/// Something that is true of a value and that its bytes do not tell: that it is a set and not a list, that its keys are
/// numbers, that it asks for a gradient. Properties are compared by name and kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Property {
    /// The name of the value, as an item of it would be called; empty for the whole.
    pub name: String,
    /// Which property: `container`, `key type`, `requires_grad`.
    pub kind: &'static str,
    /// What it is, in the words of the file's own world: `list`, `int`, `true`.
    pub value: String,
}

/// One tensor. A number in a metrics file is a tensor too: of one element, or of one element a row.
#[derive(Debug)]
pub struct Item {
    /// Its name, unique in the evidence.
    pub name: String,
    /// Type of its elements. Types that samebits has no arithmetic for are bytes, with `declared` set.
    pub dtype: Dtype,
    /// The file's own word for the type, where `dtype` does not say it all: `F6_E2M3`, a structured numpy type.
    pub declared: Option<String>,
    /// Sizes, outermost first.
    pub shape: Vec<u64>,
    /// Where its bytes are.
    pub content: Content,
}

/// Where the logical row-major little-endian bytes of a tensor are.
pub enum Content {
    /// In a mapped file.
    Mapped(Arc<Map>, Range<usize>),
    /// In memory.
    Owned(Vec<u8>),
    /// Nowhere: a trace kept only its digest.
    Digest(Digest),
    /// To be unpacked, byte-swapped or gathered from strides when asked for.
    Lazy(Box<dyn Fn() -> Result<Vec<u8>> + Send + Sync>),
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mapped(_, range) => write!(f, "Mapped({range:?})"),
            Self::Owned(bytes) => write!(f, "Owned({} bytes)", bytes.len()),
            Self::Digest(digest) => write!(f, "Digest({digest})"),
            Self::Lazy(_) => f.write_str("Lazy"),
        }
    }
}

impl Item {
    /// A tensor whose bytes are in memory.
    #[must_use]
    pub fn owned(
        name: String,
        dtype: Dtype,
        declared: Option<String>,
        shape: Vec<u64>,
        bytes: Vec<u8>,
    ) -> Self {
        Self {
            name,
            dtype,
            declared,
            shape,
            content: Content::Owned(bytes),
        }
    }

    /// Its bytes: dtype size times the product of the shape, in number.
    ///
    /// # Errors
    /// When they cannot be unpacked, or only their digest was kept.
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>> {
        match &self.content {
            Content::Mapped(map, range) => Ok(map.get(range.clone()).unwrap_or_default().into()),
            Content::Owned(bytes) => Ok(bytes.as_slice().into()),
            Content::Digest(_) => Err(Error::Usage(format!(
                "of {} only the digest was kept",
                plain(&self.name, LONGEST_NAME)
            ))),
            Content::Lazy(unpack) => unpack().map(Cow::Owned),
        }
    }

    /// Its digest, computed where it was not kept.
    ///
    /// # Errors
    /// When its bytes cannot be unpacked.
    pub fn digest(&self) -> Result<Digest> {
        match &self.content {
            Content::Digest(digest) => Ok(*digest),
            _ => Ok(Digest::of(self.dtype, &self.shape, &self.bytes()?)),
        }
    }

    /// Whether everything read of it so far was really there.
    ///
    /// # Errors
    /// When its file became shorter meanwhile.
    pub fn check(&self) -> Result<()> {
        match &self.content {
            Content::Mapped(map, _) => map.check(),
            _ => Ok(()),
        }
    }

    /// Number of elements.
    #[must_use]
    pub fn numel(&self) -> u64 {
        // An empty tensor's other sizes may be beyond counting.
        if self.shape.contains(&0) {
            0
        } else {
            self.shape.iter().product()
        }
    }
}

/// The number of bytes of a tensor, or why there can be no such tensor.
///
/// # Errors
/// When the product does not fit 63 bits.
pub fn length(path: &Path, name: &str, dtype: Dtype, shape: &[u64]) -> Result<u64> {
    let numel = if shape.contains(&0) {
        Some(0)
    } else {
        shape.iter().try_fold(1u64, |n, &size| n.checked_mul(size))
    };
    numel
        .and_then(|numel| numel.checked_mul(dtype.size() as u64))
        .filter(|&bytes| i64::try_from(bytes).is_ok())
        .ok_or_else(|| {
            Error::damaged(
                path,
                format!("{name}: a {dtype} tensor of shape {shape:?} is larger than any memory"),
            )
        })
}
