//! What one element of a numpy array is made of.

use crate::dtype::Dtype;
use crate::evidence::npy::literal::Value;

/// Structured types of more fields are compared as the bytes of whole records: unpacking each field of a compressed array
/// unpacks the array again.
const MOST_FIELDS: usize = 64;

/// Names of fields with those of the fields they are in. Each field has its own, so long ones would make a small header large.
const LONGEST_PATH: usize = 4096;

/// A part of each element that becomes a tensor: all of it, or a field of a structured type.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// Empty for all of it, `.field` or `.field.inner` otherwise.
    pub name: String,
    pub dtype: Dtype,
    /// Without byte order, so that big- and little-endian files agree.
    pub declared: Option<String>,
    /// Its own shape within an element.
    pub shape: Vec<u64>,
    /// Where it begins in an element, in bytes.
    pub offset: u64,
    /// Its length in an element, in bytes.
    pub bytes: u64,
    /// Groups of that many bytes are to be reversed; 1 where they already are little-endian.
    pub swap: usize,
}

/// An element.
#[derive(Debug)]
pub struct Layout {
    /// Bytes of an element.
    pub size: u64,
    pub leaves: Vec<Leaf>,
}

/// The layout that a header's `descr` describes.
pub fn layout(descr: &Value) -> Result<Layout, String> {
    if let Value::Text(text) = descr {
        let leaf = simple(text)?;
        return Ok(Layout {
            size: leaf.bytes,
            leaves: vec![leaf],
        });
    }
    let mut leaves = Vec::new();
    let (size, plain) = record(descr, "", 0, &mut leaves)?;
    if !plain || leaves.len() > MOST_FIELDS {
        leaves = vec![Leaf {
            name: String::new(),
            dtype: Dtype::Uint8,
            declared: Some(descr.to_string()),
            shape: vec![size],
            offset: 0,
            bytes: size,
            swap: 1,
        }];
    }
    Ok(Layout { size, leaves })
}

/// Appends the fields of a structured type and returns its size, and whether each field stands in one piece.
fn record(
    descr: &Value,
    path: &str,
    start: u64,
    leaves: &mut Vec<Leaf>,
) -> Result<(u64, bool), String> {
    let Value::List(fields) = descr else {
        return Err(format!("{descr} is no element type"));
    };
    let mut size = 0u64;
    let mut all_plain = true;
    for field in fields {
        let wrong = || format!("{field} is no field");
        let Value::Tuple(parts) = field else {
            return Err(wrong());
        };
        let (name, kind, repeat) = match parts.as_slice() {
            [name, kind] => (name, kind, Vec::new()),
            [name, kind, Value::Whole(count)] => (name, kind, vec![*count]),
            [name, kind, Value::Tuple(sizes)] => {
                (name, kind, whole_numbers(sizes).ok_or_else(wrong)?)
            }
            _ => return Err(wrong()),
        };
        let name = match name {
            Value::Text(name) => name,
            // A title, then the name.
            Value::Tuple(names) => match names.as_slice() {
                [_, Value::Text(name)] => name,
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        };
        if path.len() + name.len() > LONGEST_PATH {
            return Err(format!(
                "a field's name is longer than {LONGEST_PATH} bytes"
            ));
        }
        let large = || format!("{field} is larger than any memory");
        let count = repeat
            .iter()
            .try_fold(1u64, |n, &size| n.checked_mul(size))
            .ok_or_else(large)?;
        let offset = start.checked_add(size).ok_or_else(large)?;
        let (each, plain) = match kind {
            Value::Text(text) => {
                let leaf = simple(text)?;
                let each = leaf.bytes;
                // Bytes between the fields, which nobody wrote.
                let padding = name.is_empty()
                    && leaf
                        .declared
                        .as_ref()
                        .is_some_and(|word| word.starts_with('V'));
                // One more than are kept: enough to know that they are too many.
                if !padding && leaves.len() <= MOST_FIELDS {
                    leaves.push(Leaf {
                        name: format!("{path}.{name}"),
                        shape: repeat.iter().chain(&leaf.shape).copied().collect(),
                        offset,
                        bytes: each.checked_mul(count).ok_or_else(large)?,
                        ..leaf
                    });
                }
                (each, true)
            }
            _ => record(kind, &format!("{path}.{name}"), offset, leaves)
                .map(|(each, plain)| (each, plain && repeat.is_empty()))?,
        };
        all_plain &= plain;
        size = each
            .checked_mul(count)
            .and_then(|bytes| size.checked_add(bytes))
            .ok_or_else(large)?;
    }
    Ok((size, all_plain))
}

/// The numbers of a shape.
pub fn whole_numbers(values: &[Value]) -> Option<Vec<u64>> {
    values
        .iter()
        .map(|value| match value {
            Value::Whole(number) => Some(*number),
            _ => None,
        })
        .collect()
}

/// A type written as one word: `<f4`, `|S10`, `>M8[ns]`.
fn simple(text: &str) -> Result<Leaf, String> {
    let unknown = || format!("{} is no element type", text.escape_debug());
    let word = text.strip_prefix(['<', '>', '|', '=']).unwrap_or(text);
    let big = text.starts_with('>');
    let kind = word.chars().next().ok_or_else(unknown)?;
    if kind == 'O' {
        return Err(
            "it holds Python objects, which are a pickle: save numbers or strings instead".into(),
        );
    }
    let rest = &word[kind.len_utf8()..];
    let (digits, unit) = rest.split_at(rest.find('[').unwrap_or(rest.len()));
    if !digits.bytes().all(|byte| byte.is_ascii_digit())
        || !(unit.is_empty() || "mM".contains(kind))
    {
        return Err(unknown());
    }
    let size: u64 = digits.parse().map_err(|_| unknown())?;
    let known = match (kind, size) {
        ('b', 1) => Some(Dtype::Bool),
        ('i', 1) => Some(Dtype::Int8),
        ('i', 2) => Some(Dtype::Int16),
        ('i', 4) => Some(Dtype::Int32),
        ('i' | 'm' | 'M', 8) => Some(Dtype::Int64),
        ('u', 1) => Some(Dtype::Uint8),
        ('u', 2) => Some(Dtype::Uint16),
        ('u', 4) => Some(Dtype::Uint32),
        ('u', 8) => Some(Dtype::Uint64),
        ('f', 2) => Some(Dtype::Float16),
        ('f', 4) => Some(Dtype::Float32),
        ('f', 8) => Some(Dtype::Float64),
        ('c', 8) => Some(Dtype::Complex64),
        ('c', 16) => Some(Dtype::Complex128),
        // Long doubles, one-byte floats and bytes: equal bits are equal, and more is not known.
        ('f' | 'c' | 'V' | 'S' | 'a' | 'U', _) => None,
        _ => return Err(unknown()),
    };
    let bytes = size
        .checked_mul(if kind == 'U' { 4 } else { 1 })
        .ok_or_else(unknown)?;
    let number = match kind {
        'U' => 4,
        'V' | 'S' | 'a' => 1,
        'c' => usize::try_from(bytes / 2).map_err(|_| unknown())?,
        _ => usize::try_from(bytes).map_err(|_| unknown())?,
    };
    Ok(Leaf {
        name: String::new(),
        dtype: known.unwrap_or(Dtype::Uint8),
        declared: (known.is_none() || "mM".contains(kind)).then(|| word.to_owned()),
        shape: if known.is_none() {
            vec![bytes]
        } else {
            Vec::new()
        },
        offset: 0,
        bytes,
        swap: if big { number.max(1) } else { 1 },
    })
}
