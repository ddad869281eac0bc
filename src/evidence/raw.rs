//! Any file at all: its bytes, as one tensor. And where in a text an offset is.

use std::path::Path;
use std::sync::Arc;

use crate::dtype::Dtype;
use crate::error::Result;
use crate::evidence::{Content, Evidence, Item};
use crate::ffi::map::Map;

/// How much is looked at to tell text from bytes: the answer is a word in a report, not worth a pass over a huge file.
const LOOKED_AT: usize = 16 << 20;

/// Reads any file as bytes.
///
/// # Errors
/// Never; the signature is that of all readers.
#[allow(clippy::unnecessary_wraps)]
pub fn read(_path: &Path, map: &Arc<Map>) -> Result<Evidence> {
    let text = is_text(map);
    Ok(Evidence {
        format: if text { "text" } else { "bytes" },
        items: vec![Item {
            name: "bytes".into(),
            dtype: Dtype::Uint8,
            declared: Some(if text { "text" } else { "bytes" }.into()),
            shape: vec![map.len() as u64],
            content: Content::Mapped(Arc::clone(map), 0..map.len()),
        }],
        ..Evidence::default()
    })
}

/// Whether the beginning of these bytes is UTF-8 without NUL.
#[must_use]
pub fn is_text(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(LOOKED_AT)];
    let whole = start.len() == bytes.len();
    let utf8 = match std::str::from_utf8(start) {
        Ok(_) => true,
        // A character may straddle the place where looking stopped.
        Err(e) => !whole && e.error_len().is_none(),
    };
    utf8 && !start.contains(&0)
}

/// Line and column, both from 1, of the byte at `offset`. Columns count characters where the text is UTF-8.
#[must_use]
pub fn line_of(bytes: &[u8], offset: usize) -> (u64, u64) {
    let before = &bytes[..offset.min(bytes.len())];
    let start = before
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |newline| newline + 1);
    let line = before.split(|&byte| byte == b'\n').count() as u64;
    let begins_character = |byte: &&u8| **byte & 0xC0 != 0x80;
    let column = before[start..].iter().filter(begins_character).count() as u64 + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_text_is_counted_from_one_and_in_characters() {
        let text = "ab\nüx\n\nend".as_bytes();
        for (offset, place) in [
            (0, (1, 1)),
            (2, (1, 3)),
            (3, (2, 1)),
            (5, (2, 2)),
            (7, (3, 1)),
            (8, (4, 1)),
            (11, (4, 4)),
            (99, (4, 4)),
        ] {
            assert_eq!(line_of(text, offset), place, "offset {offset}");
        }
    }

    #[test]
    fn text_is_utf8_without_nul_and_a_character_may_straddle_the_end_of_the_look() {
        assert!(is_text(b"") && is_text("ü".as_bytes()));
        assert!(!is_text(b"a\0b") && !is_text(b"\xC3") && !is_text(b"\xFFa"));
        let mut long = vec![b'a'; LOOKED_AT - 1];
        long.extend("ü".as_bytes());
        assert!(is_text(&long));
        long[0] = 0xFF;
        assert!(!is_text(&long));
    }
}
