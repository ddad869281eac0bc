//! Metrics: JSON, JSON lines, CSV and TSV as typed tensors. What a number means counts, not how it is spelled: `0.10` and
//! `1e-1` are the same float64.
//!
//! A column `c` becomes
//! - `c`: int64, float64 or bool, one element a row. Whole and other numbers together are float64 if each whole number
//!   fits one exactly;
//! - or, for any other mixture, `c` as the bytes of all cells (`declared` `str`; `json` if they are not all text) and
//!   `c#end`, where each cell ends;
//! - `c#rows`, the numbers of the rows that have a value, from 0, where not all have one;
//! - `c#null`, the rows that hold null (in CSV: nothing), where there are any.
//!
//! unless some columns are keys, see [`TableOptions`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::evidence::{Evidence, Item};

pub mod csv;
pub mod json;
pub mod lines;
mod parse;

/// Names may be this many times as long as the text, all in all. One long key with many values below it would make a small
/// file large.
const LONGEST_NAMES: usize = 64;

/// How the rows of tables are paired.
#[derive(Debug, Clone, Default)]
pub struct TableOptions {
    /// Columns that say which row is which: each other cell is then a tensor of its own, `loss[step=3]`, wherever its row
    /// stands. A further row of the same key is `[step=3 (2)]`. None: the rows' order counts.
    pub keys: Vec<String>,
}

/// A value without parts.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Null,
    Flag(bool),
    Whole(i64),
    /// A whole number beyond 64 bits, by its digits: as a float64 it would equal its neighbours.
    Large(Box<str>),
    Float(f64),
    Text(Box<str>),
    /// `[]` or `{}`.
    Empty(&'static str),
}

impl Cell {
    /// As JSON writes it.
    fn json(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Flag(flag) => flag.to_string(),
            Self::Whole(number) => number.to_string(),
            Self::Large(digits) => digits.to_string(),
            Self::Float(number) => format!("{number:?}"),
            Self::Text(text) => serde_json::Value::from(&**text).to_string(),
            Self::Empty(brackets) => (*brackets).into(),
        }
    }

    /// The bits of the float64 that it is exactly, if it is a number.
    fn float(&self) -> Option<[u8; 8]> {
        match self {
            Self::Float(number) => Some(number.to_le_bytes()),
            Self::Whole(number) => {
                let size = number.unsigned_abs();
                let exact = size == 0 || 64 - size.leading_zeros() - size.trailing_zeros() <= 53;
                #[expect(clippy::cast_precision_loss, reason = "none is lost: 53 bits suffice")]
                exact.then(|| (*number as f64).to_le_bytes())
            }
            _ => None,
        }
    }

    /// As an item of its own.
    fn item(self, name: String) -> Item {
        let text = |word: &str, bytes: Vec<u8>| {
            (
                Dtype::Uint8,
                Some(word.to_owned()),
                vec![bytes.len() as u64],
                bytes,
            )
        };
        let (dtype, declared, shape, bytes) = match self {
            Self::Flag(flag) => (Dtype::Bool, None, Vec::new(), vec![flag.into()]),
            Self::Whole(number) => (Dtype::Int64, None, Vec::new(), number.to_le_bytes().into()),
            Self::Float(number) => (
                Dtype::Float64,
                None,
                Vec::new(),
                number.to_le_bytes().into(),
            ),
            Self::Large(digits) => text("int", digits.as_bytes().into()),
            Self::Text(words) => text("str", words.as_bytes().into()),
            Self::Null => text("null", b"null".into()),
            Self::Empty(brackets) => text(brackets, Vec::new()),
        };
        Item::owned(name, dtype, declared, shape, bytes)
    }
}

/// The cells of one name, each with the number of its row.
#[derive(Debug, Default)]
struct Column {
    cells: Vec<(i64, Cell)>,
}

impl Column {
    /// Appends its tensors. The table has `rows` rows.
    fn items(self, name: &str, rows: usize, items: &mut Vec<Item>) {
        let (nulls, cells): (Vec<_>, Vec<_>) = self
            .cells
            .into_iter()
            .partition(|(_, cell)| *cell == Cell::Null);
        let numbers = |cells: &[(i64, Cell)]| cells.iter().map(|(row, _)| *row).collect::<Vec<_>>();
        if !cells.is_empty() {
            values(name, &cells, items);
            if cells.len() < rows {
                items.push(whole(format!("{name}#rows"), &numbers(&cells)));
            }
        }
        if !nulls.is_empty() {
            items.push(whole(format!("{name}#null"), &numbers(&nulls)));
        }
    }
}

fn values(name: &str, cells: &[(i64, Cell)], items: &mut Vec<Item>) {
    let shape = vec![cells.len() as u64];
    if let Some((dtype, bytes)) = numbers(&cells.iter().map(|(_, cell)| cell)) {
        items.push(Item::owned(name.into(), dtype, None, shape, bytes));
        return;
    }
    let plain = cells.iter().all(|(_, cell)| matches!(cell, Cell::Text(_)));
    let mut bytes = Vec::new();
    let mut ends = Vec::with_capacity(cells.len());
    for (_, cell) in cells {
        match cell {
            Cell::Text(text) if plain => bytes.extend_from_slice(text.as_bytes()),
            other => bytes.extend_from_slice(other.json().as_bytes()),
        }
        ends.push(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
    }
    let declared = if plain { "str" } else { "json" };
    let count = bytes.len() as u64;
    items.push(Item::owned(
        name.into(),
        Dtype::Uint8,
        Some(declared.into()),
        vec![count],
        bytes,
    ));
    items.push(whole(format!("{name}#end"), &ends));
}

/// Cells that are all of one kind of number, as elements.
fn numbers<'a>(cells: &(impl Iterator<Item = &'a Cell> + Clone)) -> Option<(Dtype, Vec<u8>)> {
    let all = |read: fn(&Cell) -> Option<[u8; 8]>| -> Option<Vec<u8>> {
        cells.clone().try_fold(Vec::new(), |mut bytes, cell| {
            bytes.extend(read(cell)?);
            Some(bytes)
        })
    };
    let whole = |cell: &Cell| match cell {
        Cell::Whole(number) => Some(number.to_le_bytes()),
        _ => None,
    };
    let flag = |bytes: Option<Vec<u8>>, cell: &Cell| match cell {
        Cell::Flag(flag) => bytes.map(|mut bytes| {
            bytes.push((*flag).into());
            bytes
        }),
        _ => None,
    };
    all(whole)
        .map(|bytes| (Dtype::Int64, bytes))
        .or_else(|| Some((Dtype::Float64, all(Cell::float)?)))
        .or_else(|| Some((Dtype::Bool, cells.clone().fold(Some(Vec::new()), flag)?)))
}

fn whole(name: String, numbers: &[i64]) -> Item {
    let bytes = numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    Item::owned(name, Dtype::Int64, None, vec![numbers.len() as u64], bytes)
}

/// A finished table of `length` bytes: of whole columns, or of single cells where its rows have keys.
fn table(
    path: &Path,
    format: &'static str,
    columns: Vec<(String, Column)>,
    (rows, length): (usize, usize),
    options: &TableOptions,
) -> Result<Evidence> {
    let lacking: Vec<&str> = options
        .keys
        .iter()
        .filter(|key| columns.iter().all(|(name, _)| name != *key))
        .map(String::as_str)
        .collect();
    let mut items = Vec::new();
    if options.keys.is_empty() || !lacking.is_empty() {
        for (name, column) in columns {
            if column.cells.is_empty() {
                // A header alone: its names are all there is to compare.
                items.push(whole(name, &[]));
            } else {
                column.items(&name, rows, &mut items);
            }
        }
        let mut evidence = finish(path, format, items)?;
        if !lacking.is_empty() {
            evidence.notes.push(format!(
                "it has no column {}: its rows are paired in their order",
                lacking.join(", ")
            ));
        }
        return Ok(evidence);
    }
    let labels = labels(&columns, &options.keys, rows);
    // A row with nothing but its key has no cell that could be missing.
    let mut filled = vec![false; rows];
    let others = columns
        .iter()
        .filter(|(name, _)| !options.keys.contains(name));
    for (row, _) in others.flat_map(|(_, column)| &column.cells) {
        if let Some(filled) = usize::try_from(*row)
            .ok()
            .and_then(|row| filled.get_mut(row))
        {
            *filled = true;
        }
    }
    if filled.contains(&false) {
        let mut sorted: Vec<&str> = labels.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        let listed = sorted.join("\n").into_bytes();
        let (declared, shape) = (Some("str".into()), vec![listed.len() as u64]);
        items.push(Item::owned(
            "#rows".into(),
            Dtype::Uint8,
            declared,
            shape,
            listed,
        ));
    }
    let mut left = length.saturating_mul(LONGEST_NAMES).saturating_add(1 << 20);
    for (name, column) in columns {
        if options.keys.contains(&name) {
            continue;
        }
        for (row, cell) in column.cells {
            let label = usize::try_from(row).ok().and_then(|row| labels.get(row));
            let name = format!("{name}[{}]", label.map_or("", |label| label));
            left = left.checked_sub(name.len()).ok_or_else(|| {
                let what =
                    "the names of its cells, each with its row's key, are far longer than the file";
                Error::damaged(path, what)
            })?;
            items.push(cell.item(name));
        }
    }
    finish(path, format, items)
}

/// A name for each row, from the cells of its key columns.
fn labels(columns: &[(String, Column)], keys: &[String], rows: usize) -> Vec<String> {
    let mut labels = vec![String::new(); rows];
    for key in keys {
        let cells = columns.iter().find(|(name, _)| name == key);
        let mut cells = cells.map_or(&[][..], |(_, column)| &column.cells).iter();
        let mut next = cells.next();
        for (row, label) in labels.iter_mut().enumerate() {
            let here = next.filter(|(place, _)| usize::try_from(*place) == Ok(row));
            let comma = if label.is_empty() { "" } else { "," };
            let text = here.map_or("null".to_owned(), |(_, cell)| cell.json());
            label.extend([comma, key, "=", &text]);
            if here.is_some() {
                next = cells.next();
            }
        }
    }
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for label in &mut labels {
        let count = seen.entry(label.clone()).or_default();
        *count += 1;
        if *count > 1 {
            label.extend([" (", &count.to_string(), ")"]);
        }
    }
    labels
}

/// The finished evidence, unless two of its names are the same.
fn finish(path: &Path, format: &'static str, items: Vec<Item>) -> Result<Evidence> {
    let mut names = BTreeSet::new();
    for item in &items {
        if !names.insert(item.name.as_str()) {
            return Err(Error::damaged(
                path,
                format!("two columns are called {}", item.name),
            ));
        }
    }
    Ok(Evidence {
        format,
        items,
        ..Evidence::default()
    })
}

/// The text without a byte order mark, or the place where it is no UTF-8.
fn text<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| wrong_at(path, bytes, e.valid_up_to(), "no UTF-8"))?;
    Ok(text.strip_prefix('\u{FEFF}').unwrap_or(text))
}

fn wrong_at(path: &Path, bytes: &[u8], offset: usize, what: &str) -> Error {
    let (line, column) = crate::evidence::raw::line_of(bytes, offset);
    Error::damaged(path, format!("line {line}, column {column}: {what}"))
}
