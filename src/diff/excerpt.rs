//! Where two texts part, for people: an offset into a log says little.

use crate::evidence::Item;
use crate::evidence::raw::line_of;
use crate::report::tensors::Excerpt;

/// Characters shown on each side of the place.
const AROUND: usize = 50;

/// Whether an item's bytes are words for people.
pub(super) fn is_text(item: &Item) -> bool {
    matches!(
        item.declared.as_deref(),
        Some("text" | "str" | "json" | "int")
    )
}

/// The first place where two texts differ; none where they do not.
pub(super) fn excerpt(reference: &[u8], candidate: &[u8]) -> Option<Excerpt> {
    let shorter = reference.len().min(candidate.len());
    let at = reference
        .iter()
        .zip(candidate)
        .position(|(ours, theirs)| ours != theirs)
        .or_else(|| (reference.len() != candidate.len()).then_some(shorter))?;
    let (line, column) = line_of(reference, at);
    Some(Excerpt {
        line,
        column,
        reference: around(reference, at),
        candidate: around(candidate, at),
    })
}

/// The line around an offset, shortened.
fn around(bytes: &[u8], at: usize) -> String {
    let newline = |byte: &u8| *byte == b'\n';
    let start = bytes[..at]
        .iter()
        .rposition(newline)
        .map_or(0, |newline| newline + 1);
    let end = bytes[at..]
        .iter()
        .position(newline)
        .map_or(bytes.len(), |length| at + length);
    // Four bytes are the longest character.
    let (from, to) = (
        start.max(at.saturating_sub(4 * AROUND)),
        end.min(at + 4 * AROUND),
    );
    let before = String::from_utf8_lossy(&bytes[from..at]);
    let after = String::from_utf8_lossy(&bytes[at..to]);
    let skipped = before.chars().count().saturating_sub(AROUND);
    let mut text: String = before.chars().skip(skipped).collect();
    if from > start || skipped > 0 {
        text.insert(0, '…');
    }
    text.extend(after.chars().take(AROUND));
    if to < end || after.chars().count() > AROUND {
        text.push('…');
    }
    // A control character must not reach a terminal.
    text.chars()
        .map(|c| if c.is_control() { '\u{FFFD}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_shown_around_the_place_where_it_parts_from_the_other() {
        let found = excerpt(b"a\nloss 0.25\nb", b"a\nloss 0.35\nb").unwrap();
        assert_eq!((found.line, found.column), (2, 8));
        assert_eq!(
            (found.reference.as_str(), found.candidate.as_str()),
            ("loss 0.25", "loss 0.35")
        );
        let found = excerpt(b"a\n", b"a\nmore").unwrap();
        assert_eq!(
            (
                found.line,
                found.reference.as_str(),
                found.candidate.as_str()
            ),
            (2, "", "more")
        );
        assert_eq!(excerpt(b"same", b"same"), None);
        let long = "ü".repeat(1000);
        let found = excerpt(long.as_bytes(), format!("{}x", &long[..1000]).as_bytes()).unwrap();
        assert!(found.reference.starts_with('…') && found.reference.ends_with('…'));
        assert!(found.reference.chars().count() <= 2 * AROUND + 2);
        assert!(
            !excerpt(b"\x1b[31mred", b"\x1b[32mred")
                .unwrap()
                .reference
                .contains('\x1b')
        );
    }
}
