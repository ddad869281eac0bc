//! One JSON value: each leaf by its path, `a.b[3].c`. Lists of numbers are one tensor, lists of other leaves one column.
//!
//! Keys that are empty or hold one of `.[]"#$` or a control character are written as in `["a.b"]`, so that no two paths look alike.
//! The whole value is called `$`.

use std::path::Path;
use std::sync::Arc;

use super::parse::{Value, parse};
use super::{Cell, Column, LONGEST_NAMES, finish, numbers, text, wrong_at};
use crate::error::{Error, Result};
use crate::evidence::{Evidence, Item};
use crate::ffi::map::Map;

/// Whether these bytes, of a whole file, begin and end as a JSON object or list does.
#[must_use]
pub fn recognises(bytes: &[u8]) -> bool {
    let bytes = bytes
        .strip_prefix(b"\xEF\xBB\xBF")
        .unwrap_or(bytes)
        .trim_ascii();
    matches!(
        (bytes.first(), bytes.last()),
        (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']'))
    )
}

/// Reads a mapped JSON file.
///
/// # Errors
/// When it is no JSON, with line and column; a key occurs twice; or it is nested too deeply.
pub fn read(path: &Path, map: &Arc<Map>) -> Result<Evidence> {
    let text = text(path, map)?;
    let mark = map.len() - text.len();
    let value = parse(text).map_err(|(offset, what)| wrong_at(path, map, mark + offset, &what))?;
    let mut items = Vec::new();
    let mut walk = Walk::new(text.len());
    walk.whole(value, &mut |name, found| match found {
        Found::Cell(cell) => items.push(cell.item(name.to_owned())),
        Found::Column(column) => {
            let rows = column.cells.len();
            column.items(name, rows, &mut items);
        }
        Found::Tensor(item) => items.push(item),
    })
    .map_err(|what| Error::damaged(path, what))?;
    finish(path, "json", items)
}

/// What stands at a path.
pub(super) enum Found {
    Cell(Cell),
    Column(Column),
    Tensor(Item),
}

/// A walk over all leaves of one or more values.
pub(super) struct Walk {
    name: String,
    /// How many bytes of names may still be made.
    left: usize,
}

impl Walk {
    /// A walk over values that were written in `length` bytes.
    pub(super) fn new(length: usize) -> Self {
        Self {
            name: String::new(),
            left: length.saturating_mul(LONGEST_NAMES).saturating_add(1 << 20),
        }
    }

    /// Hands each tensor, column and leaf to `found`, with its path.
    pub(super) fn whole(&mut self, value: Value, found: &mut impl FnMut(&str, Found)) -> Named {
        self.step(value, true, found)
    }

    /// Hands each leaf to `found`, with its path.
    pub(super) fn leaves(&mut self, value: Value, found: &mut impl FnMut(&str, Cell)) -> Named {
        self.step(value, false, &mut |name, leaf| {
            if let Found::Cell(cell) = leaf {
                found(name, cell);
            }
        })
    }

    fn step(&mut self, value: Value, gather: bool, found: &mut impl FnMut(&str, Found)) -> Named {
        let before = self.name.len();
        match value {
            Value::Cell(cell) => self.give(Found::Cell(cell), found)?,
            Value::List(values)
                if gather && values.iter().all(|value| matches!(value, Value::Cell(_))) =>
            {
                let cells = values.into_iter().filter_map(|value| match value {
                    Value::Cell(cell) => Some(cell),
                    _ => None,
                });
                let cells = (0..).zip(cells).collect();
                self.give(Found::Column(Column { cells }), found)?;
            }
            Value::List(values) => {
                if let Some(item) = gather.then(|| tensor(&values)).flatten() {
                    return self.give(Found::Tensor(item), found);
                }
                for (index, value) in values.into_iter().enumerate() {
                    self.name.extend(["[", &index.to_string(), "]"]);
                    self.step(value, gather, found)?;
                    self.name.truncate(before);
                }
            }
            Value::Object(entries) => {
                for (key, value) in entries {
                    self.key(&key);
                    self.step(value, gather, found)?;
                    self.name.truncate(before);
                }
            }
        }
        Ok(())
    }

    fn key(&mut self, key: &str) {
        let odd = |c: char| ".[]\"#$".contains(c) || c.is_control();
        if key.is_empty() || key.contains(odd) {
            let quoted = serde_json::Value::from(key).to_string();
            self.name.extend(["[", &quoted, "]"]);
        } else {
            self.name
                .push_str(if self.name.is_empty() { "" } else { "." });
            self.name.push_str(key);
        }
    }

    fn give(&mut self, what: Found, found: &mut impl FnMut(&str, Found)) -> Named {
        self.left = self
            .left
            .checked_sub(self.name.len())
            .ok_or("the paths of its values are far longer than the file")?;
        let name = if self.name.is_empty() {
            "$"
        } else {
            &self.name
        };
        let what = match what {
            Found::Tensor(item) => Found::Tensor(Item {
                name: name.to_owned(),
                ..item
            }),
            other => other,
        };
        found(name, what);
        Ok(())
    }
}

type Named = std::result::Result<(), &'static str>;

/// Lists of lists of numbers, all of the same lengths, as a tensor without a name.
fn tensor(values: &[Value]) -> Option<Item> {
    let mut shape = vec![values.len() as u64];
    let mut first = values.first()?;
    while let Value::List(inner) = first {
        shape.push(inner.len() as u64);
        first = inner.first()?;
    }
    let mut cells = Vec::new();
    for value in values {
        cells_of(value, &shape[1..], &mut cells)?;
    }
    let (dtype, bytes) = numbers(&cells.iter().copied())?;
    Some(Item::owned(String::new(), dtype, None, shape, bytes))
}

fn cells_of<'a>(value: &'a Value, shape: &[u64], cells: &mut Vec<&'a Cell>) -> Option<()> {
    match (value, shape) {
        (Value::Cell(cell), []) => {
            cells.push(cell);
            Some(())
        }
        (Value::List(values), [size, inner @ ..]) if values.len() as u64 == *size => values
            .iter()
            .try_for_each(|value| cells_of(value, inner, cells)),
        _ => None,
    }
}
