//! numpy's arrays and scalars inside pickles.

use super::graph::{Blob, Id, Node, Pickle};
use super::tensor::{Made, View, swap};
use crate::dtype::{Dtype, Kind};
use crate::evidence::Content;

/// Types inside types and characters in a type's word: beyond them an array is compared by all that is saved.
const DEEPEST: usize = 8;
const LONGEST_WORD: usize = 4096;

/// What numpy says about its elements.
struct Elements {
    code: String,
    dtype: Option<Dtype>,
    /// Its word, where the dtype does not say it all: `M8[ns]`.
    declared: Option<String>,
    big: bool,
}

/// An array or scalar, from the call that would have made it: `None` when it is neither, or one of objects.
///
/// # Errors
/// When its bytes are not as many as its shape says.
pub fn made(pickle: &Pickle, id: Id) -> Option<Result<Made, String>> {
    let Node::Object(object) = pickle.node(id) else {
        return None;
    };
    let (module, name) = pickle.global(object.call)?;
    let args = pickle.seq(object.args)?;
    if !module.starts_with("numpy") {
        return None;
    }
    let (blob, elements, shape, fortran) = match (name, args) {
        ("scalar", &[dtype, blob]) => (
            pickle.blob(blob)?,
            elements(pickle, dtype)?,
            Vec::new(),
            false,
        ),
        ("_frombuffer", &[blob, dtype, shape, order]) => (
            pickle.blob(blob)?,
            elements(pickle, dtype)?,
            pickle.sizes(shape)?,
            pickle.str(order) == Some("F"),
        ),
        ("_reconstruct", _) => match pickle.seq(*object.states.last()?)? {
            &[_, shape, dtype, fortran, blob] => (
                pickle.blob(blob)?,
                elements(pickle, dtype)?,
                pickle.sizes(shape)?,
                matches!(pickle.node(fortran), Node::Bool(true)),
            ),
            _ => return None,
        },
        _ => return None,
    };
    Some(array(pickle, &blob, &elements, shape, fortran))
}

fn elements(pickle: &Pickle, id: Id) -> Option<Elements> {
    let Node::Object(object) = pickle.node(id) else {
        return None;
    };
    if pickle.global(object.call) != Some(("numpy", "dtype")) {
        return None;
    }
    let code = pickle.str(*pickle.seq(object.args)?.first()?)?.to_owned();
    let state = object.states.last().and_then(|&state| pickle.seq(state));
    let order = state.and_then(|state| pickle.str(*state.get(1)?));
    let dtype = match code.as_str() {
        "b1" => Some(Dtype::Bool),
        "i1" => Some(Dtype::Int8),
        "i2" => Some(Dtype::Int16),
        "i4" => Some(Dtype::Int32),
        "i8" | "M8" | "m8" => Some(Dtype::Int64),
        "u1" => Some(Dtype::Uint8),
        "u2" => Some(Dtype::Uint16),
        "u4" => Some(Dtype::Uint32),
        "u8" => Some(Dtype::Uint64),
        "f2" => Some(Dtype::Float16),
        "f4" => Some(Dtype::Float32),
        "f8" => Some(Dtype::Float64),
        "c8" => Some(Dtype::Complex64),
        "c16" => Some(Dtype::Complex128),
        _ => None,
    };
    // What is a number by its code alone needs no other word.
    let plain = dtype.is_some() && !matches!(code.as_str(), "M8" | "m8");
    let declared = if plain {
        None
    } else {
        Some(word(pickle, id, 0)?)
    };
    Some(Elements {
        // Their word has no byte order, as their bytes have none.
        declared: declared.map(|word| match dtype {
            Some(_) => word.trim_start_matches('>').to_owned(),
            None => word,
        }),
        big: order == Some(">"),
        code,
        dtype,
    })
}

/// All that a type says: `>U3`, `M8[ns]`, `V12{"a": i4 at 0, "b": >f8 at 4}`. `None` where it says more than can be told
/// here: the array is then compared by everything that is saved of it.
fn word(pickle: &Pickle, id: Id, depth: usize) -> Option<String> {
    let code = pickle.str(*pickle.call(id, "numpy", "dtype")?.first()?)?;
    let Node::Object(object) = pickle.node(id) else {
        return None;
    };
    let state = pickle.seq(*object.states.last()?)?;
    let &[_, order, within, names, fields, ..] = state else {
        return None;
    };
    let none = |id: Id| matches!(pickle.node(id), Node::None);
    let big = if pickle.str(order) == Some(">") {
        ">"
    } else {
        ""
    };
    let mut text = format!("{big}{code}");
    if matches!(code, "M8" | "m8") {
        text += &unit(pickle, *state.get(8)?)?;
    }
    if depth > DEEPEST {
        return None;
    }
    if let Some(&[each, shape]) = pickle.seq(within) {
        let shape = pickle.sizes(shape)?;
        let each = word(pickle, each, depth + 1)?;
        text.extend(["(", &each, &format!(" {shape:?})")]);
    }
    match pickle.node(fields) {
        Node::None if none(names) => {}
        Node::Dict(entries) => {
            let mut fields = Vec::new();
            let mut length = 0;
            for &(name, field) in entries {
                let &[kind, offset, ..] = pickle.seq(field)? else {
                    return None;
                };
                let kind = word(pickle, kind, depth + 1)?;
                let (name, offset) = (pickle.str(name)?, pickle.int(offset)?);
                fields.push(format!("{name:?}: {kind} at {offset}"));
                // Types may be shared and grow with each level, so this must not wait for the end.
                length += kind.len() + name.len();
                if length > LONGEST_WORD {
                    return None;
                }
            }
            fields.sort();
            text.extend(["{", &fields.join(", "), "}"]);
        }
        _ => return None,
    }
    (text.len() <= LONGEST_WORD).then_some(text)
}

/// The unit of a time as numpy's files write it, from `(metadata, (b"ns", 1, 1, 1))`.
fn unit(pickle: &Pickle, id: Id) -> Option<String> {
    let &[name, count, divisor, event] = pickle.seq(*pickle.seq(id)?.get(1)?)? else {
        return None;
    };
    if [divisor, event].map(|id| pickle.int(id)) != [Some(1), Some(1)] {
        return None;
    }
    let name = pickle.source.blob(&pickle.blob(name)?).into_owned();
    let name = String::from_utf8(name).ok()?;
    match (name.as_str(), pickle.int(count)?) {
        ("generic", _) => Some(String::new()),
        (name, 1) => Some(format!("[{name}]")),
        (name, count) => Some(format!("[{count}{name}]")),
    }
}

fn array(
    pickle: &Pickle,
    blob: &Blob,
    elements: &Elements,
    shape: Vec<u64>,
    fortran: bool,
) -> Result<Made, String> {
    let held = blob.length() as u64;
    let Some(dtype) = elements.dtype else {
        let order = if fortran { " in Fortran order" } else { "" };
        let word = elements.declared.as_ref().unwrap_or(&elements.code);
        return Ok(Made {
            dtype: Dtype::Uint8,
            declared: Some(format!("numpy {word} {shape:?}{order}")),
            shape: vec![held],
            content: pickle.source.content(blob),
            cost: held,
        });
    };
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1u64;
    for &size in &shape {
        strides.push(stride);
        stride = stride
            .checked_mul(size)
            .ok_or("a shape larger than any memory")?;
    }
    if stride.checked_mul(dtype.size() as u64) != Some(held) {
        return Err(format!(
            "an array {} {shape:?} has {held} bytes",
            elements.code
        ));
    }
    let swapped = elements.big && (dtype.size() > 1 || dtype.kind() == Kind::Complex);
    let content = if swapped || (fortran && shape.len() > 1) {
        let (source, blob) = (pickle.source.clone(), blob.clone());
        let view = View {
            offset: 0,
            shape: shape.clone(),
            strides,
        };
        Content::Lazy(Box::new(move || {
            let mut bytes = source.blob(&blob).into_owned();
            if fortran {
                bytes = view.gather(&bytes, dtype.size());
            }
            if swapped {
                swap(&mut bytes, dtype);
            }
            source.check()?;
            Ok(bytes)
        }))
    } else {
        pickle.source.content(blob)
    };
    Ok(Made {
        dtype,
        declared: elements.declared.clone(),
        shape,
        content,
        cost: held,
    })
}
