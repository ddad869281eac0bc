//! numpy's arrays and scalars inside pickles.

use super::graph::{Blob, Id, Node, Pickle};
use super::tensor::{Made, View, swap};
use crate::dtype::{Dtype, Kind};
use crate::evidence::Content;

/// What numpy says about its elements.
struct Elements {
    code: String,
    dtype: Option<Dtype>,
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
        "i8" => Some(Dtype::Int64),
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
    Some(Elements {
        big: order == Some(">"),
        code,
        dtype,
    })
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
        return Ok(Made {
            dtype: Dtype::Uint8,
            declared: Some(format!("numpy {} {shape:?}{order}", elements.code)),
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
        declared: None,
        shape,
        content,
        cost: held,
    })
}
