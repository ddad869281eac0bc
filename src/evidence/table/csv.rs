//! Tables with a separator between the cells: comma, tab or semicolon, whichever the first line has most of.
//!
//! The first row names the columns if none of its cells is a number; otherwise they are called `0`, `1` and so on. A
//! further column of the same name is `name (2)`, one without a name is its number. An empty cell is null. Whole numbers
//! are those that are written as Rust would write them: `007` is text.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ::csv::{ErrorKind, ReaderBuilder, StringRecord};

use super::{Cell, Column, TableOptions, table, text, wrong_at};
use crate::error::{Error, Result};
use crate::evidence::{Evidence, raw};
use crate::ffi::map::Map;

/// How much of a file is looked at to tell whether it is a table.
const LOOKED_AT: usize = 64 << 10;

/// Whether these bytes, of a whole file, begin with two rows or more of the same number of cells, two or more, and one of the
/// cells is a number.
#[must_use]
pub fn recognises(bytes: &[u8]) -> bool {
    if !raw::is_text(bytes) {
        return false;
    }
    let start = &bytes[..bytes.len().min(LOOKED_AT)];
    // A row that was cut off by looking no further is no witness.
    let whole = if start.len() == bytes.len() {
        start.len()
    } else {
        start.iter().rposition(|&byte| byte == b'\n').unwrap_or(0)
    };
    let Ok(text) = std::str::from_utf8(&start[..whole]) else {
        return false;
    };
    let Ok(rows) = reader(text)
        .into_records()
        .collect::<std::result::Result<Vec<_>, _>>()
    else {
        return false;
    };
    rows.len() >= 2
        && rows[0].len() >= 2
        && rows.iter().flatten().any(|text| is_number(&cell(text)))
}

/// Reads a mapped CSV or TSV file.
///
/// # Errors
/// When it is no UTF-8 or a row has more or fewer cells than the first, with the line.
pub fn read(path: &Path, map: &Arc<Map>, options: &TableOptions) -> Result<Evidence> {
    let text = text(path, map)?;
    let mut reader = reader(text);
    let mut record = StringRecord::new();
    let mut columns: Vec<(String, Column)> = Vec::new();
    let mut rows = 0;
    let mut first = true;
    loop {
        let place = reader.position().byte();
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(wrong(path, map, place, &error)),
        }
        if std::mem::take(&mut first) {
            let header = !record.iter().any(|text| is_number(&cell(text)));
            columns = names(&record, header)
                .map(|name| (name, Column::default()))
                .collect();
            if header {
                continue;
            }
        }
        for ((_, column), text) in columns.iter_mut().zip(&record) {
            column.cells.push((rows, cell(text)));
        }
        rows += 1;
    }
    let rows = usize::try_from(rows).unwrap_or(usize::MAX);
    table(path, "csv", columns, (rows, text.len()), options)
}

fn reader(text: &str) -> ::csv::Reader<&[u8]> {
    let line = text.lines().next().unwrap_or_default();
    let count = |separator: u8| line.bytes().filter(|&byte| byte == separator).count();
    let separator = [b';', b'\t', b','].into_iter().max_by_key(|&s| count(s));
    ReaderBuilder::new()
        .has_headers(false)
        .delimiter(separator.unwrap_or(b','))
        .from_reader(text.as_bytes())
}

fn wrong(path: &Path, map: &[u8], place: u64, error: &::csv::Error) -> Error {
    let (at, what) = match error.kind() {
        ErrorKind::UnequalLengths {
            pos,
            expected_len,
            len,
        } => (
            pos.as_ref().map_or(place, ::csv::Position::byte),
            format!("{len} cells where the first row has {expected_len}"),
        ),
        _ => (place, error.to_string()),
    };
    let mark = if map.starts_with(b"\xEF\xBB\xBF") {
        3
    } else {
        0
    };
    let mut at = usize::try_from(at)
        .unwrap_or(usize::MAX)
        .saturating_add(mark);
    // The reader's place may still be the end of the line before.
    while matches!(map.get(at), Some(b'\n' | b'\r')) {
        at += 1;
    }
    wrong_at(path, map, at, &what)
}

fn names(record: &StringRecord, header: bool) -> impl Iterator<Item = String> {
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    record.iter().enumerate().map(move |(index, text)| {
        if !header || text.is_empty() {
            return index.to_string();
        }
        let count = seen.entry(text).or_default();
        *count += 1;
        match count {
            1 => text.to_owned(),
            more => format!("{text} ({more})"),
        }
    })
}

fn is_number(cell: &Cell) -> bool {
    matches!(cell, Cell::Whole(_) | Cell::Large(_) | Cell::Float(_))
}

fn cell(text: &str) -> Cell {
    let word = text.trim_ascii();
    if text.is_empty() {
        return Cell::Null;
    }
    let digits = word.strip_prefix('-').unwrap_or(word);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let plain = digits == "0" || !digits.starts_with('0');
        return match word.parse() {
            Ok(number) if plain && word != "-0" => Cell::Whole(number),
            Err(_) if plain => Cell::Large(word.into()),
            _ => Cell::Text(text.into()),
        };
    }
    match word.parse() {
        Ok(number) => Cell::Float(number),
        Err(_) => Cell::Text(text.into()),
    }
}
