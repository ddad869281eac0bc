//! `TensorBoard`'s event files: what was logged under which tag at which step. When it was logged is no evidence.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::evidence::{Evidence, Item};
use crate::ffi::map::Map;

mod protobuf;
mod record;

use protobuf::{Field, fields};

/// Whether these bytes begin with a record that says it begins an event file.
#[must_use]
pub fn recognises(bytes: &[u8]) -> bool {
    record::next(bytes, 0).is_ok_and(|record| {
        fields(record.data).any(|field| {
            matches!(field, Ok((3, Field::Bytes(version))) if version.starts_with(b"brain.Event:"))
        })
    })
}

/// Reads a mapped event file. Scalars of a tag are two tensors, `tag` and `tag#step`, in the order in which they were
/// logged; each histogram, image, text or other tensor is an item of its own, `tag#12` for step 12.
///
/// # Errors
/// When a record is cut off or its checksum is not that of its bytes, or an event is no such message.
pub fn read(path: &Path, map: &Arc<Map>) -> Result<Evidence> {
    let mut log = Log::default();
    let mut at = 0;
    while at < map.len() {
        let wrong = |what: String| Error::damaged(path, format!("offset {at}: {what}"));
        let record = record::next(map, at).map_err(wrong)?;
        log.event(record.data).map_err(wrong)?;
        at = record.end;
    }
    let evidence = log.finish();
    let mut names = BTreeSet::new();
    if let Some(twice) = evidence.items.iter().find(|item| !names.insert(&item.name)) {
        return Err(Error::damaged(
            path,
            format!("two series are called {}", twice.name),
        ));
    }
    Ok(evidence)
}

#[derive(Default)]
struct Log {
    scalars: BTreeMap<String, Series>,
    /// By tag, then step, in the order in which they were logged.
    others: BTreeMap<String, BTreeMap<i64, Vec<Value>>>,
    version: String,
    times: Option<(f64, f64)>,
    /// Parts of events that are not compared, counted.
    skipped: BTreeMap<&'static str, u64>,
}

#[derive(Default)]
struct Series {
    steps: Vec<u8>,
    values: Vec<u8>,
}

enum Value {
    Scalar(f32),
    Tensor(Dtype, Vec<u64>, Vec<u8>),
    Other(&'static str, Vec<u8>),
    Nothing,
}

type Parsed<T> = std::result::Result<T, String>;

impl Log {
    fn event(&mut self, event: &[u8]) -> Parsed<()> {
        let mut step = 0;
        let mut summaries = Vec::new();
        for field in fields(event) {
            match field? {
                (1, Field::Eight(bits)) => {
                    let time = f64::from_bits(bits);
                    let (first, last) = self.times.unwrap_or((time, time));
                    self.times = Some((first.min(time), last.max(time)));
                }
                (2, Field::Number(number)) => step = number.cast_signed(),
                (3, Field::Bytes(version)) => {
                    self.version = String::from_utf8_lossy(version).into_owned();
                }
                (5, Field::Bytes(summary)) => summaries.push(summary),
                (4 | 9, _) => *self.skipped.entry("graph").or_default() += 1,
                (6 | 7, _) => *self.skipped.entry("log message").or_default() += 1,
                (8, _) => *self.skipped.entry("record of run metadata").or_default() += 1,
                _ => {}
            }
        }
        for summary in summaries {
            for field in fields(summary) {
                if let (1, Field::Bytes(value)) = field? {
                    self.value(step, value)?;
                }
            }
        }
        Ok(())
    }

    fn value(&mut self, step: i64, message: &[u8]) -> Parsed<()> {
        let mut tag = "";
        let mut value = Value::Nothing;
        for field in fields(message) {
            match field? {
                (1, Field::Bytes(text)) => {
                    tag = std::str::from_utf8(text).map_err(|_| "a tag is no UTF-8".to_owned())?;
                }
                (2, Field::Four(bits)) => value = Value::Scalar(f32::from_bits(bits)),
                (3, Field::Bytes(bytes)) => value = Value::Other("old histogram", bytes.to_vec()),
                (4, Field::Bytes(bytes)) => value = Value::Other("image", bytes.to_vec()),
                (5, Field::Bytes(bytes)) => value = Value::Other("histogram", bytes.to_vec()),
                (6, Field::Bytes(bytes)) => value = Value::Other("audio", bytes.to_vec()),
                (8, Field::Bytes(bytes)) => value = tensor(bytes)?,
                _ => {}
            }
        }
        match value {
            Value::Scalar(number) => {
                let series = self.scalars.entry(tag.to_owned()).or_default();
                series.steps.extend(step.to_le_bytes());
                series.values.extend(number.to_le_bytes());
            }
            Value::Nothing => *self.skipped.entry("tag with metadata alone").or_default() += 1,
            other => {
                let steps = self.others.entry(tag.to_owned()).or_default();
                steps.entry(step).or_default().push(other);
            }
        }
        Ok(())
    }

    fn finish(self) -> Evidence {
        let mut evidence = Evidence {
            format: "tensorboard",
            ..Evidence::default()
        };
        evidence
            .container
            .push(("file_version".into(), self.version));
        if let Some((first, last)) = self.times {
            evidence
                .container
                .push(("wall_time".into(), format!("{first} to {last}")));
            evidence
                .notes
                .push("the times at which it was logged are not compared".into());
        }
        for (what, count) in self.skipped {
            evidence
                .notes
                .push(format!("not compared: {count} × {what}"));
        }
        for (tag, series) in self.scalars {
            let count = (series.steps.len() / 8) as u64;
            evidence.items.extend([
                Item::owned(
                    tag.clone(),
                    Dtype::Float32,
                    None,
                    vec![count],
                    series.values,
                ),
                Item::owned(
                    format!("{tag}#step"),
                    Dtype::Int64,
                    None,
                    vec![count],
                    series.steps,
                ),
            ]);
        }
        for (tag, steps) in self.others {
            for (step, values) in steps {
                for (index, value) in values.into_iter().enumerate() {
                    let name = match index {
                        0 => format!("{tag}#{step}"),
                        _ => format!("{tag}#{step}#{index}"),
                    };
                    evidence.items.push(match value {
                        Value::Tensor(dtype, shape, bytes) => {
                            Item::owned(name, dtype, None, shape, bytes)
                        }
                        Value::Other(what, bytes) => {
                            let count = bytes.len() as u64;
                            Item::owned(name, Dtype::Uint8, Some(what.into()), vec![count], bytes)
                        }
                        Value::Scalar(_) | Value::Nothing => continue,
                    });
                }
            }
        }
        evidence
    }
}

/// A tensor message: as a tensor where its numbers stand in it one by one, as its bytes otherwise.
fn tensor(message: &[u8]) -> Parsed<Value> {
    let mut dtype = 0;
    let mut shape = Vec::new();
    let mut content = Vec::new();
    for field in fields(message) {
        match field? {
            (1, Field::Number(code)) => dtype = code,
            (2, Field::Bytes(sizes)) => shape = tensor_shape(sizes)?,
            // The content, or floats, or doubles; the latter packed or one at a time.
            (4..=6, Field::Bytes(bytes)) => content.extend_from_slice(bytes),
            (5, Field::Four(bits)) => content.extend(bits.to_le_bytes()),
            (6, Field::Eight(bits)) => content.extend(bits.to_le_bytes()),
            _ => {}
        }
    }
    let dtype = match dtype {
        1 => Dtype::Float32,
        2 => Dtype::Float64,
        _ => return Ok(Value::Other("tensor", message.to_vec())),
    };
    let length = shape
        .iter()
        .filter(|&&size| size != 0)
        .try_fold(dtype.size() as u64, |n, &size| n.checked_mul(size))
        .map(|length| if shape.contains(&0) { 0 } else { length });
    if length != Some(content.len() as u64) {
        // Left out numbers repeat the last one; nobody writes that here.
        return Ok(Value::Other("tensor", message.to_vec()));
    }
    match (dtype, <[u8; 4]>::try_from(content.as_slice())) {
        (Dtype::Float32, Ok(bits)) => Ok(Value::Scalar(f32::from_le_bytes(bits))),
        _ => Ok(Value::Tensor(dtype, shape, content)),
    }
}

fn tensor_shape(message: &[u8]) -> Parsed<Vec<u64>> {
    let mut shape = Vec::new();
    for field in fields(message) {
        if let (2, Field::Bytes(axis)) = field? {
            let mut size = 0;
            for field in fields(axis) {
                if let (1, Field::Number(number)) = field? {
                    size = number;
                }
            }
            shape.push(size);
        }
    }
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A field that holds bytes.
    fn wrap(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut field = vec![number << 3 | 2];
        let length = bytes.len();
        field.extend([
            u8::try_from(length & 127).unwrap() | 128,
            u8::try_from(length >> 7).unwrap(),
        ]);
        field.extend(bytes);
        field
    }

    fn items(tensor: &[u8]) -> Parsed<Vec<Item>> {
        let value = [wrap(1, b"t"), wrap(8, tensor)].concat();
        let mut log = Log::default();
        log.event(&wrap(5, &wrap(1, &value)))?;
        Ok(log.finish().items)
    }

    #[test]
    fn a_tensor_is_numbers_only_if_each_of_them_stands_in_the_message() {
        let axis = |size: &[u8]| wrap(2, &wrap(2, &[&[8], size].concat()));
        let two = items(&[&[8, 1][..], &axis(&[2]), &wrap(4, &[0; 8])].concat()).unwrap();
        assert_eq!(
            (two[0].name.as_str(), two[0].dtype),
            ("t#0", Dtype::Float32)
        );
        for size in [
            &[3][..],
            &[1],
            &[255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
        ] {
            let other = items(&[&[8, 1][..], &axis(size), &wrap(4, &[0; 8])].concat()).unwrap();
            assert_eq!(other[0].declared.as_deref(), Some("tensor"), "{size:?}");
        }
    }

    proptest! {
        /// Behind the checksums, which stop most of what is done to a file.
        #[test]
        fn any_event_and_any_tensor_end_well(bytes in prop::collection::vec(0u8..64, 0..60)) {
            let _ = Log::default().event(&bytes);
            let _ = Log::default().event(&wrap(5, &wrap(1, &bytes)));
            for item in items(&bytes).unwrap_or_default() {
                prop_assert_eq!(item.bytes().unwrap().len() as u64, item.numel() * item.dtype.size() as u64);
            }
        }
    }
}
