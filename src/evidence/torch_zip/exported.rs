//! What `torch.export.save` writes: graph and signature as JSON, each weight as a record of its bytes, and tables that say
//! of which type and shape those are. Weights have their names in the model; everything else is compared as files.
//!
//! Format: torch 2.11's `torch/export/pt2_archive` and `torch/_export/serde/schema.py`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::names::Named;
use super::storages::Shared;
use super::tensor::{Flips, Storage, View, view};
use super::zip::{Archive, Record};
use crate::dtype::Dtype;

/// Longest table or graph that is read as more than a file.
const LONGEST_JSON: usize = 1 << 26;

/// A table of weights or constants.
#[derive(Deserialize)]
struct Table {
    config: BTreeMap<String, Weight>,
}

#[derive(Deserialize)]
struct Weight {
    path_name: String,
    #[serde(default)]
    use_pickle: bool,
    tensor_meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    dtype: u64,
    sizes: Vec<Size>,
    strides: Vec<Size>,
    storage_offset: Size,
}

/// A size that is a number and no symbol.
#[derive(Deserialize)]
struct Size {
    as_int: u64,
}

/// The first record before 2.7, when the archive had no top folder and kept its weights in checkpoints of their own.
pub const OLD: &str = "serialized_exported_program.json";

/// The top folder of an archive of torch.export's; empty before 2.7. `None`: it is none of those.
pub fn top_folder(archive: &Archive) -> Option<&str> {
    let names = || archive.records.keys();
    let mut new = names().filter_map(|name| name.strip_suffix("/archive_format"));
    new.next()
        .filter(|top| !top.contains('/') && new.next().is_none())
        .or_else(|| names().any(|name| name == OLD).then_some(""))
}

/// Adds the tensors that the tables name. Their records are then no files of their own.
///
/// # Errors
/// When a tensor is not in its record, or there are too many.
pub fn weights(
    archive: &Archive,
    top: &str,
    big: bool,
    shared: &mut Shared,
    found: &mut Named,
) -> Result<(), String> {
    for (name, table) in &archive.records {
        let kind = ["weights", "constants"]
            .into_iter()
            .find(|kind| name.starts_with(&format!("{top}/data/{kind}/")));
        let Some(kind) = kind.filter(|_| name.ends_with("_config.json")) else {
            continue;
        };
        // A table of another form leaves its records to be compared as files, and so does one that packs them.
        let Some(table) = read::<Table>(table) else {
            continue;
        };
        for (key, weight) in table.config {
            let path = format!("{top}/data/{kind}/{}", weight.path_name);
            let record = archive.records.get(&path);
            let meta = weight.tensor_meta.filter(|_| !weight.use_pickle);
            let (Some(record), Some(meta)) = (record, meta) else {
                continue;
            };
            let Some(dtype) = dtype(meta.dtype) else {
                continue;
            };
            tensor(record, dtype, big, &meta, &key, found)
                .map_err(|what| format!("{key}: {what}"))?;
            let users = shared.users.entry(path).or_default();
            users.push(key);
        }
    }
    Ok(())
}

/// Adds the graphs, without the lines of code that they came from: those hold paths of the machine that exported them.
///
/// # Errors
/// When there are too many.
pub fn graphs(
    archive: &Archive,
    top: &str,
    shared: &mut Shared,
    found: &mut Named,
) -> Result<(), String> {
    for (path, record) in &archive.records {
        let name = path
            .strip_prefix(top)
            .unwrap_or(path)
            .trim_start_matches('/');
        let graph = name
            .strip_prefix("models/")
            .and_then(|model| model.strip_suffix(".json"));
        let is_graph = name == OLD || graph.is_some();
        let Some(mut value) = is_graph.then(|| read::<Value>(record)).flatten() else {
            continue;
        };
        forget_lines(&mut value);
        found.text(name, "json", &value.to_string())?;
        shared.users.insert(path.clone(), vec![name.to_owned()]);
    }
    Ok(())
}

fn forget_lines(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.remove("stack_trace");
            entries.values_mut().for_each(forget_lines);
        }
        Value::Array(values) => values.iter_mut().for_each(forget_lines),
        _ => {}
    }
}

fn read<T: DeserializeOwned>(record: &Record) -> Option<T> {
    let small = record.size() <= LONGEST_JSON;
    serde_json::from_slice(&small.then(|| record.bytes().ok()).flatten()?).ok()
}

fn tensor(
    record: &Record,
    dtype: Dtype,
    big: bool,
    meta: &Meta,
    name: &str,
    found: &mut Named,
) -> Result<(), String> {
    let numbers = |sizes: &[Size]| sizes.iter().map(|size| size.as_int).collect();
    let storage = Storage {
        numel: (record.size() / dtype.size()) as u64,
        record: Some(record.clone()),
        dtype: Some(dtype),
        declared: dtype.to_string(),
        big,
        untyped: false,
    };
    let strided = View {
        offset: meta.storage_offset.as_int,
        shape: numbers(&meta.sizes),
        strides: numbers(&meta.strides),
    };
    let made = view(
        &storage,
        Some(dtype),
        dtype.name(),
        &strided,
        Flips::default(),
    )?;
    found.spend(made.cost)?;
    found.item(name, made.dtype, made.declared, made.shape, made.content)
}

/// The numbers of `ScalarType` in torch.export's schema, which are not those of libtorch.
fn dtype(code: u64) -> Option<Dtype> {
    Some(match code {
        1 => Dtype::Uint8,
        2 => Dtype::Int8,
        3 => Dtype::Int16,
        4 => Dtype::Int32,
        5 => Dtype::Int64,
        6 => Dtype::Float16,
        7 => Dtype::Float32,
        8 => Dtype::Float64,
        9 => Dtype::Complex32,
        10 => Dtype::Complex64,
        11 => Dtype::Complex128,
        12 => Dtype::Bool,
        13 => Dtype::Bfloat16,
        28 => Dtype::Uint16,
        29 => Dtype::Float8E4m3fn,
        30 => Dtype::Float8E5m2,
        31 => Dtype::Float8E4m3fnuz,
        32 => Dtype::Float8E5m2fnuz,
        _ => return None,
    })
}
