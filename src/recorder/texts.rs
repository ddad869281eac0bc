//! The texts of a stream, each of which stands in the file once and is named by number from then on.

use super::cursor::{Cursor, Parsed};
use super::op::{TextId, Texts};

/// Bytes of a text.
const LONGEST: usize = 4096;
/// Texts of one stream: names, places and scalars, most of which come again and again.
const MOST: u64 = 1 << 22;

/// A text's place in the file, and a hash of it.
#[derive(Debug, Clone, Copy)]
struct Span {
    at: usize,
    long: u32,
    hash: u64,
}

/// The texts defined so far.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// By id: one more than the place in `spans`, 0 where none is defined.
    places: Vec<u32>,
    spans: Vec<Span>,
}

impl Table {
    pub(super) fn define(&mut self, cursor: &mut Cursor) -> Parsed<()> {
        let id = cursor.number()?;
        if id >= MOST {
            return Err("a text has a number that is too large");
        }
        let at = cursor.at();
        let bytes = cursor.rest();
        if bytes.len() > LONGEST {
            return Err("a text is too long");
        }
        let id = usize::try_from(id).unwrap_or_default();
        if id >= self.places.len() {
            self.places.resize(id + 1, 0);
        }
        let hash = match bytes {
            [] => 0,
            _ => Cursor::new(blake3::hash(bytes).as_bytes(), 0).word()?,
        };
        let span = Span {
            at,
            long: u32::try_from(bytes.len()).unwrap_or(0),
            hash,
        };
        if let Some(before) = self.places[id].checked_sub(1) {
            let before = self.spans[before as usize];
            if before.hash != hash {
                return Err("two texts have one number");
            }
            return Ok(());
        }
        self.spans.push(span);
        self.places[id] = u32::try_from(self.spans.len()).unwrap_or(0);
        Ok(())
    }

    fn span(&self, text: TextId) -> Option<&Span> {
        self.spans.get(text.checked_sub(1)? as usize)
    }

    /// Equal for equal texts, in any stream.
    pub(super) fn hash(&self, text: TextId) -> u64 {
        self.span(text).map_or(0, |span| span.hash)
    }

    /// The text itself, out of the file's bytes.
    pub(super) fn bytes<'a>(&self, text: TextId, file: &'a [u8]) -> &'a [u8] {
        let span = self.span(text);
        span.map_or(&[], |span| &file[span.at..span.at + span.long as usize])
    }
}

impl Texts for Table {
    fn place(&self, id: u64) -> Parsed<TextId> {
        let place = usize::try_from(id)
            .ok()
            .and_then(|id| self.places.get(id))
            .copied()
            .unwrap_or(0);
        match (place.checked_sub(1), id) {
            // Spans count from 1, so that 0 is the empty text.
            (Some(_), _) | (None, 0) => Ok(place),
            (None, _) => Err("a text is used before it is defined"),
        }
    }
}
