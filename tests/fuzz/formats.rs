//! Changes that know a format: they keep its frame whole, so that what is inside is read at all.

use super::bytes::{NUMBERS, Rng, below, chance, changed, mostly, number, pick};
use super::{pickle, zip};

/// A safetensors file: the length of the header, the header, the data.
pub fn safetensors(rng: &mut Rng, bytes: &[u8], other: &[u8], words: &[&[u8]]) -> Option<Vec<u8>> {
    let header = |bytes: &[u8]| {
        let long = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
        let end = usize::try_from(long).ok()?.checked_add(8)?;
        Some((bytes.get(8..end)?.to_vec(), bytes[end..].to_vec()))
    };
    let (mut text, mut data) = header(bytes)?;
    match rng.below(4) {
        0 => (text, data) = tensors(rng),
        1 => data = changed(rng, &data, other, words),
        _ => {
            let (others, _) = header(other).unwrap_or_default();
            text = changed(rng, &text, &others, words);
        }
    }
    Some([&(text.len() as u64).to_le_bytes()[..], &text, &data].concat())
}

/// Tensors one after the other, most of them as they should be.
fn tensors(rng: &mut Rng) -> (Vec<u8>, Vec<u8>) {
    const DTYPES: &[(&str, usize)] = &[
        ("F32", 4),
        ("F64", 8),
        ("I64", 8),
        ("U8", 1),
        ("BOOL", 1),
        ("BF16", 2),
        ("C64", 8),
        ("F8_E8M0", 1),
        ("F6_E2M3", 1),
        ("\\u001b[2J", 1),
    ];
    let mut rows = Vec::new();
    let mut end = 0;
    for index in 0..below(rng, 6) {
        let (dtype, width) = DTYPES[below(rng, DTYPES.len())];
        let sizes = below(rng, 4);
        let shape: Vec<usize> = (0..sizes).map(|_| below(rng, 4)).collect();
        let start = end;
        end += shape.iter().product::<usize>() * width;
        let mut from = start as u64;
        if chance(rng, 5) {
            from = number(rng, from);
        }
        let name = if chance(rng, 10) {
            "t\\u0007".to_owned()
        } else {
            format!("t{index}")
        };
        rows.push(format!(
            "\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape:?},\"data_offsets\":[{from},{end}]}}"
        ));
    }
    let data = (0..end)
        .map(|_| u8::try_from(rng.below(256)).unwrap())
        .collect();
    (format!("{{{}}}", rows.join(",")).into_bytes(), data)
}

/// An npy file: another header of the right length, or another array altogether.
pub fn npy(rng: &mut Rng, bytes: &[u8], other: &[u8], words: &[&[u8]]) -> Option<Vec<u8>> {
    let start = npy_start(bytes)?;
    let from = if bytes[6] == 1 { 10 } else { 12 };
    let data = &bytes[start..];
    Some(match rng.below(4) {
        0 => array(rng),
        1 => [&bytes[..start], &changed(rng, data, other, words)].concat(),
        _ => {
            let text = changed(
                rng,
                &bytes[from..start],
                b"[('a','<f4'),('b','>i2',(2,)),('','|V3')]",
                words,
            );
            framed(bytes[6], &text, data)
        }
    })
}

/// Where an array's data begins.
fn npy_start(bytes: &[u8]) -> Option<usize> {
    let wide = *bytes.get(6)? != 1;
    let mut long = [0; 4];
    let width = if wide { 4 } else { 2 };
    long[..width].copy_from_slice(bytes.get(8..8 + width)?);
    let start = 8 + width + u32::from_le_bytes(long) as usize;
    (start <= bytes.len()).then_some(start)
}

fn framed(version: u8, text: &[u8], data: &[u8]) -> Vec<u8> {
    let long = u32::try_from(text.len()).unwrap().to_le_bytes();
    let width = if version == 1 { 2 } else { 4 };
    [&b"\x93NUMPY"[..], &[version, 0], &long[..width], text, data].concat()
}

/// An array of a random type, with as much data as it says.
fn array(rng: &mut Rng) -> Vec<u8> {
    let sizes = below(rng, 4);
    let shape: Vec<usize> = (0..sizes).map(|_| below(rng, 4)).collect();
    let (descr, width) = element(rng, 3);
    let large = if chance(rng, 10) {
        number(rng, 3).to_string() + ","
    } else {
        String::new()
    };
    let shape_text = shape.iter().map(|size| format!("{size},"));
    let shape_text = shape_text.collect::<Vec<_>>().concat();
    let order = if chance(rng, 50) { "True" } else { "False" };
    let text =
        format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': ({shape_text}{large})}}");
    let long = shape
        .iter()
        .product::<usize>()
        .saturating_mul(width)
        .min(1 << 16);
    let data: Vec<u8> = (0..long)
        .map(|_| u8::try_from(rng.below(256)).unwrap())
        .collect();
    framed(
        1 + u8::try_from(rng.below(3)).unwrap(),
        text.as_bytes(),
        &data,
    )
}

/// A type of elements as a literal, and the bytes of one.
fn element(rng: &mut Rng, depth: usize) -> (String, usize) {
    const SIMPLE: &[(&str, usize)] = &[
        ("<f4", 4),
        (">f8", 8),
        ("|b1", 1),
        ("<c16", 16),
        (">c8", 8),
        ("<M8[ns]", 8),
        ("|S3", 3),
        ("|S0", 0),
        ("<U2", 8),
        (">U1", 4),
        ("|V5", 5),
        ("<f16", 16),
        ("|O", 8),
    ];
    if depth == 0 || chance(rng, 60) {
        let (descr, width) = SIMPLE[below(rng, SIMPLE.len())];
        return (format!("'{descr}'"), width);
    }
    let mut fields = Vec::new();
    let mut total = 0;
    for index in 0..mostly(rng, 4, 10, 80) {
        let (descr, width) = element(rng, depth - 1);
        let repeat = below(rng, 3);
        let name = pick(rng, &["", "a", "b\\x1b", "c.d"]);
        let name = if chance(rng, 80) {
            format!("{name}{index}")
        } else {
            name.to_owned()
        };
        if repeat == 1 {
            fields.push(format!("('{name}', {descr})"));
            total += width;
        } else {
            fields.push(format!("('{name}', {descr}, ({repeat},))"));
            total += width * repeat;
        }
    }
    (format!("[{}]", fields.join(", ")), total)
}

/// An npz file: arrays inside of a zip.
pub fn npz(rng: &mut Rng, bytes: &[u8], other: &[u8], words: &[&[u8]]) -> Option<Vec<u8>> {
    zip::change(rng, bytes, other, words, |rng, member, _| {
        npy(rng, &member.data, other, words)
    })
}

/// A checkpoint: pickles inside of a zip.
pub fn torch(rng: &mut Rng, bytes: &[u8], other: &[u8], words: &[&[u8]]) -> Option<Vec<u8>> {
    zip::change(rng, bytes, other, words, |rng, member, others| {
        let is_pickle = member.name.ends_with(b".pkl");
        let donor = others
            .iter()
            .find(|other| other.name.ends_with(b"/data.pkl"));
        let donor = donor.map_or(&[][..], |donor| &donor.data);
        is_pickle.then(|| pickle::change(rng, &member.data, donor))
    })
}

/// A checkpoint without an archive: pickles one after the other, then the storages.
pub fn legacy(rng: &mut Rng, bytes: &[u8], other: &[u8], words: &[&[u8]]) -> Option<Vec<u8>> {
    let pickles = |bytes: &[u8]| {
        let mut pickles: Vec<Vec<u8>> = Vec::new();
        let mut last = Vec::new();
        for opcode in pickle::split(bytes) {
            last.extend_from_slice(&opcode);
            if opcode == b"." && pickles.len() < 5 {
                pickles.push(std::mem::take(&mut last));
            }
        }
        let long = pickles.concat().len();
        (pickles, bytes[long..].to_vec())
    };
    let (mut own, mut tail) = pickles(bytes);
    let (others, _) = pickles(other);
    if own.len() < 5 {
        return None;
    }
    let donor = others.get(3).map_or(&[][..], Vec::as_slice);
    match rng.below(6) {
        0 => tail = changed(rng, &tail, other, words),
        1 => own[4] = pickle::change(rng, &own[4], donor),
        2 => own[below(rng, 3)] = b"\x80\x02K\x01.".to_vec(),
        _ => own[3] = pickle::change(rng, &own[3], donor),
    }
    Some([own.concat(), tail].concat())
}

/// An event file: records with the checksums that belong to them.
pub fn tfevents(rng: &mut Rng, bytes: &[u8], other: &[u8], words: &[&[u8]]) -> Option<Vec<u8>> {
    let mut events = records(bytes);
    let others = records(other);
    if events.is_empty() {
        return None;
    }
    let at = below(rng, events.len());
    match rng.below(7) {
        0 => drop(events.remove(at)),
        1 => events.insert(at, events[below(rng, events.len())].clone()),
        2 if !others.is_empty() => events.insert(at, others[below(rng, others.len())].clone()),
        3 | 4 => events.insert(at, event(rng)),
        _ => events[at] = changed(rng, &events[at], other, words),
    }
    Some(events.iter().flat_map(|event| record(event)).collect())
}

fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while let Some(head) = bytes.first_chunk::<8>() {
        let Some(data) = usize::try_from(u64::from_le_bytes(*head))
            .ok()
            .and_then(|long| bytes.get(12..long.checked_add(12)?))
        else {
            break;
        };
        records.push(data.to_vec());
        bytes = bytes.get(16 + data.len()..).unwrap_or_default();
    }
    records
}

pub fn record(data: &[u8]) -> Vec<u8> {
    let long = (data.len() as u64).to_le_bytes();
    [&long[..], &masked(&long), data, &masked(data)].concat()
}

fn masked(bytes: &[u8]) -> [u8; 4] {
    let mut crc = !0u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0x82F6_3B78
            } else {
                crc >> 1
            };
        }
    }
    (!crc)
        .rotate_right(15)
        .wrapping_add(0xA282_EAD8)
        .to_le_bytes()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 127 {
        bytes.push(u8::try_from(number & 127).unwrap() | 128);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

fn field(number: u64, content: &[u8]) -> Vec<u8> {
    [
        varint(number << 3 | 2),
        varint(content.len() as u64),
        content.to_vec(),
    ]
    .concat()
}

/// An event with values of random kinds.
fn event(rng: &mut Rng) -> Vec<u8> {
    let mut event = Vec::new();
    if chance(rng, 80) {
        event.extend([vec![2 << 3], varint(number(rng, 3))].concat());
    }
    if chance(rng, 50) {
        event.extend([&[1 << 3 | 1][..], &rng.bits().to_le_bytes()].concat());
    }
    let mut summary = Vec::new();
    for _ in 0..below(rng, 4) {
        let tag = pick(rng, &["loss", "", "a#step", "\x1b[2J", "a#0", "a"]);
        let mut value = field(1, tag.as_bytes());
        match rng.below(4) {
            0 => value.extend([&[2 << 3 | 5][..], &[1, 2, 3, 4]].concat()),
            1 => value.extend(field(8, &tensor(rng))),
            2 => value.extend(field(rng.below(12) + 1, &tensor(rng))),
            _ => value.extend([varint(rng.bits()), varint(rng.bits())].concat()),
        }
        summary.extend(field(1, &value));
    }
    event.extend(field(5, &summary));
    event
}

fn tensor(rng: &mut Rng) -> Vec<u8> {
    let mut shape = Vec::new();
    let mut numel = 1;
    for _ in 0..below(rng, 4) {
        let size = if chance(rng, 10) {
            number(rng, 2)
        } else {
            rng.below(4)
        };
        numel = size.saturating_mul(numel).min(1 << 10);
        shape.extend(field(2, &[vec![8], varint(size)].concat()));
    }
    let width = 4 << rng.below(2);
    let content = vec![7; usize::try_from(numel * width).unwrap()];
    let kind = varint(if chance(rng, 80) {
        width / 4
    } else {
        number(rng, 1)
    });
    [
        vec![8],
        kind,
        field(2, &shape),
        field(4 + rng.below(3), &content),
    ]
    .concat()
}

/// A trace in one piece: manifest, entries and values, each with its length, and sealed again after a change.
pub fn trace(rng: &mut Rng, bytes: &[u8], other: &[u8], words: &[&[u8]]) -> Option<Vec<u8>> {
    let mut parts = super::trace::split(bytes)?;
    let others = super::trace::split(other)?;
    match rng.below(5) {
        0 => parts[2] = safetensors(rng, &parts[2], &others[2], words)?,
        1 | 2 => parts[1] = entry(rng, &parts[1])?,
        _ => {
            let at = below(rng, 3);
            parts[at] = changed(rng, &parts[at], &others[at], words);
        }
    }
    if chance(rng, 90) {
        super::trace::seal(&mut parts);
    }
    Some(super::trace::join(&parts))
}

/// A saved report, with another value somewhere: its parts are told by their names, wherever they stand.
pub fn report(rng: &mut Rng, bytes: &[u8], _: &[u8], words: &[&[u8]]) -> Option<Vec<u8>> {
    let mut report: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let new = match rng.below(6) {
        0 => number(rng, 3).into(),
        1 => String::from_utf8_lossy(pick(rng, words)).into(),
        2 => "\u{1b}[2J\u{202e}<b>&\n|`".into(),
        3 => serde_json::json!([number(rng, 3), number(rng, 3)]),
        4 => serde_json::json!(-1.5e300),
        _ => serde_json::Value::Null,
    };
    replace(rng, &mut report, new);
    serde_json::to_vec(&report).ok()
}

/// Goes down at random and replaces what is there.
fn replace(rng: &mut Rng, value: &mut serde_json::Value, new: serde_json::Value) {
    use serde_json::Value::{Array, Object};
    match value {
        Object(map) if !map.is_empty() => {
            let at = below(rng, map.len());
            let inner = map.values_mut().nth(at).unwrap();
            replace(rng, inner, new);
        }
        Array(list) if !list.is_empty() && chance(rng, 80) => {
            let at = below(rng, list.len());
            replace(rng, &mut list[at], new);
        }
        value => *value = new,
    }
}

/// Entries of a trace, one of them with another value somewhere.
fn entry(rng: &mut Rng, lines: &[u8]) -> Option<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = lines
        .split(|&byte| byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let (at, from) = (below(rng, lines.len()), below(rng, lines.len()));
    let mut entry: serde_json::Value = serde_json::from_slice(&lines[from]).ok()?;
    let (size, small) = (number(rng, 5), rng.below(3));
    let changes = [
        ("shape", serde_json::json!([size, small])),
        ("shape", serde_json::json!([small])),
        ("shape", serde_json::json!([])),
        ("dtype", "float64".into()),
        ("dtype", "bool".into()),
        ("name", "scale".into()),
        ("name", "\u{1b}[2J".into()),
        ("name", "scale (occurrence 1)".into()),
        ("occurrence", small.into()),
        ("step", size.into()),
        ("inline", "00ff".into()),
        ("inline", "no".into()),
        ("inline", serde_json::Value::Null),
    ];
    let (key, new) = changes[below(rng, changes.len())].clone();
    entry[key] = new;
    lines[at] = serde_json::to_vec(&entry).ok()?;
    Some(lines.join(&b'\n'))
}

/// No format at all.
pub fn none(rng: &mut Rng, bytes: &[u8], _: &[u8], _: &[&[u8]]) -> Option<Vec<u8>> {
    let number = NUMBERS[below(rng, NUMBERS.len())].to_le_bytes();
    chance(rng, 10).then(|| [bytes, &number].concat())
}
