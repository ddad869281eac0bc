//! JSON lines: each line a row, each path in it a column. Empty lines are no rows.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::json::{self, Walk};
use super::parse::parse;
use super::{Column, TableOptions, table, text, wrong_at};
use crate::error::Result;
use crate::evidence::Evidence;
use crate::ffi::map::Map;

/// Whether these bytes, of a whole file, are two lines or more of which the first two are JSON objects or lists.
#[must_use]
pub fn recognises(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut lines = bytes
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty());
    let mut row = || {
        lines.next().is_some_and(|line| {
            json::recognises(line)
                && std::str::from_utf8(line).is_ok_and(|line| parse(line).is_ok())
        })
    };
    row() && row()
}

/// Reads a mapped file of JSON lines. Rows are numbered from 0, without the empty lines.
///
/// # Errors
/// When a line is no JSON value, with line and column; a key occurs twice; or it is nested too deeply.
pub fn read(path: &Path, map: &Arc<Map>, options: &TableOptions) -> Result<Evidence> {
    let text = text(path, map)?;
    let mut offset = map.len() - text.len();
    let mut columns: BTreeMap<String, Column> = BTreeMap::new();
    let mut walk = Walk::new(text.len());
    let mut row = 0;
    for line in text.split_inclusive('\n') {
        if !line.trim_ascii().is_empty() {
            // A line cut off in the middle ends too early at its last character, not on the next line.
            let line = line.trim_ascii_end();
            let value =
                parse(line).map_err(|(at, what)| wrong_at(path, map, offset + at, &what))?;
            walk.leaves(value, &mut |name, cell| {
                let cell = (row, cell);
                if let Some(column) = columns.get_mut(name) {
                    column.cells.push(cell);
                } else {
                    let cells = vec![cell];
                    columns.insert(name.to_owned(), Column { cells });
                }
            })
            .map_err(|what| wrong_at(path, map, offset, what))?;
            row += 1;
        }
        offset += line.len();
    }
    let rows = usize::try_from(row).unwrap_or(usize::MAX);
    table(
        path,
        "json lines",
        columns.into_iter().collect(),
        (rows, text.len()),
        options,
    )
}
