//! Streams of the op recorder, taken apart into records and put together again.

use super::bytes::{self, Rng, below, chance};
use crate::streams::{Op, Stream, stream, training};

/// Bytes of a header.
const HEADER: usize = 4096;

/// Small recordings with a record of every kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut whole: Stream = stream(1, &training(2));
    whole.values(3, true, 0, &[2, 3], &[1.0; 6]);
    whole.note("a note");
    whole.fork("0/f0", 3);
    whole.limit(20);
    let ops: Vec<Op> = training(3).into_iter().filter(|op| op.step == 1).collect();
    let mut part = Stream::new(7);
    for op in &ops {
        part.op(op);
    }
    vec![whole.bytes(), part.bytes()]
}

fn records(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = bytes.get(HEADER..)?;
    let mut records = Vec::new();
    while let Some(long) = rest.first_chunk() {
        let long = u32::from_le_bytes(*long) as usize;
        records.push(rest.get(4..long.checked_add(4)?)?.to_vec());
        rest = &rest[4 + long..];
    }
    Some(records)
}

/// Changes one record, or their order, or the header; mostly with lengths that fit.
pub fn changed(rng: &mut Rng, input: &[u8], other: &[u8], words: &[&[u8]]) -> Option<Vec<u8>> {
    let mut all = records(input)?;
    let mut header = input[..HEADER].to_vec();
    for _ in 0..=below(rng, 3) {
        let at = below(rng, all.len());
        match rng.below(7) {
            0..=2 if !all.is_empty() => all[at] = bytes::changed(rng, &all[at], other, words),
            3 if !all.is_empty() => drop(all.remove(at)),
            4 => {
                let others = records(other).filter(|records| !records.is_empty())?;
                let record = others[below(rng, others.len())].clone();
                all.insert(at, record);
            }
            5 if !all.is_empty() => {
                let to = below(rng, all.len());
                all.swap(at, to);
            }
            _ => {
                let text = header[16..].trim_ascii_end();
                let text = bytes::changed(rng, text, b"{}", words);
                header.truncate(16);
                header.extend(text);
                header.resize(HEADER, b' ');
            }
        }
    }
    let mut out = header;
    for record in &all {
        out.extend(u32::try_from(record.len()).ok()?.to_le_bytes());
        out.extend(record);
    }
    let whole = out.len() as u64;
    let committed = if chance(rng, 90) {
        whole
    } else {
        bytes::number(rng, whole)
    };
    out[8..16].copy_from_slice(&committed.to_le_bytes());
    if chance(rng, 10) {
        let end = below(rng, out.len());
        out.truncate(end);
    }
    Some(out)
}
