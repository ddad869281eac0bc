//! What stands at the beginning of a stream: who wrote it, and how much of it is whole.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::cursor::Cursor;
use crate::error::{Error, Result, plain};

/// The first bytes of every stream.
pub(super) const MAGIC: &[u8; 8] = b"SBOPS\0\0\x01";
/// Bytes of the header, padding included.
pub(super) const LENGTH: usize = 4096;
/// The only format there is.
const FORMAT: u64 = 1;

/// Characters of a text.
const LONGEST: usize = 400;

/// Who wrote a stream.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Header {
    format: u64,
    #[serde(default)]
    pub(super) torch: String,
    pub(super) pid: u64,
    #[serde(default)]
    pub(super) ppid: u64,
    pub(super) role: String,
    pub(super) thread: u64,
    #[serde(default)]
    pub(super) thread_role: String,
    #[serde(default)]
    pub(super) argv: Vec<String>,
    #[serde(default)]
    pub(super) rank: BTreeMap<String, String>,
}

impl Header {
    /// With texts that people may be shown.
    fn tidied(mut self) -> Self {
        let tidy = |text: &String| plain(text, LONGEST).into_owned();
        let rank = self.rank.iter();
        self.rank = rank
            .map(|(name, value)| (tidy(name), tidy(value)))
            .collect();
        self.argv = self.argv.iter().map(tidy).collect();
        for text in [&mut self.torch, &mut self.role, &mut self.thread_role] {
            *text = tidy(text);
        }
        self
    }
}

/// Reads the header: who wrote the stream, and its committed length. None where the file ends before the header does.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Option<(Header, u64)>> {
    let start = &bytes[..bytes.len().min(MAGIC.len())];
    if *start != MAGIC[..start.len()] {
        return Err(Error::damaged(path, "it is no stream of the op recorder"));
    }
    if bytes.len() < LENGTH {
        return Ok(None);
    }
    let committed = Cursor::new(bytes, MAGIC.len()).word().unwrap_or(0);
    let text = &bytes[MAGIC.len() + 8..LENGTH];
    let header: Header = serde_json::from_slice(text.trim_ascii_end())
        .map_err(|e| Error::damaged(path, format!("its header cannot be read: {e}")))?;
    if header.format != FORMAT {
        let what = format!(
            "it is of format {}; this samebits reads format {FORMAT}",
            header.format
        );
        return Err(Error::damaged(path, what));
    }
    if committed < LENGTH as u64 {
        let what = format!("its header says that {committed} bytes of it are whole");
        return Err(Error::damaged(path, what));
    }
    Ok(Some((header.tidied(), committed)))
}
