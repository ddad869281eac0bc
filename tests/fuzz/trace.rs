//! Traces as one piece of bytes, so that they are changed and kept like any other input.

use std::fs;
use std::path::{Path, PathBuf};

use samebits::dtype::Dtype;
use samebits::trace::{Entry, Key, Manifest, Phase, Writer};

const FILES: [&str; 3] = ["manifest.json", "entries.jsonl", "values.safetensors"];

/// A small trace.
pub fn seed() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("trace");
    let mut writer = Writer::new(&place).unwrap();
    for (step, phase) in [(0, Phase::Init), (0, Phase::Update), (1, Phase::Update)] {
        for (name, dtype, shape, long) in [
            ("weight", Dtype::Float32, &[5, 5][..], 100),
            ("scale", Dtype::Complex128, &[2], 32),
        ] {
            let key = Key {
                step,
                phase,
                name: name.into(),
                occurrence: 0,
            };
            let bytes = vec![7; long];
            let entry = Entry::of(key, dtype, shape, &bytes);
            if long > 64 && step == 0 {
                writer.keep(&entry, &bytes).unwrap();
            }
            writer.entry(&entry).unwrap();
        }
    }
    writer.finish(crate::common::ending(&place, 0.5)).unwrap();
    let parts = FILES.map(|name| fs::read(place.join(name)).unwrap());
    join(&parts)
}

pub fn join(parts: &[Vec<u8>; 3]) -> Vec<u8> {
    let long = |part: &Vec<u8>| u32::try_from(part.len()).unwrap().to_le_bytes();
    parts
        .iter()
        .flat_map(|part| [&long(part)[..], part].concat())
        .collect()
}

pub fn split(mut bytes: &[u8]) -> Option<[Vec<u8>; 3]> {
    let mut part = || {
        let long = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
        let part = bytes.get(4..long.checked_add(4)?)?.to_vec();
        bytes = &bytes[4 + long..];
        Some(part)
    };
    Some([part()?, part()?, part()?])
}

/// Writes the checksums that belong to the parts, where the manifest is still one.
pub fn seal(parts: &mut [Vec<u8>; 3]) {
    let Ok(mut manifest) = serde_json::from_slice::<Manifest>(&parts[0]) else {
        return;
    };
    let lines = parts[1].split(|&byte| byte == b'\n');
    manifest.entries = lines.filter(|line| !line.is_empty()).count() as u64;
    manifest.entries_blake3 = blake3::hash(&parts[1]).to_string();
    manifest.values_blake3 = blake3::hash(&parts[2]).to_string();
    manifest.manifest_blake3 = String::new();
    let unsealed = serde_json::to_vec(&manifest).unwrap();
    manifest.manifest_blake3 = blake3::hash(&unsealed).to_string();
    parts[0] = serde_json::to_vec(&manifest).unwrap();
}

/// Writes a trace; bytes that are none become its manifest.
pub fn write(folder: &Path, bytes: &[u8]) -> PathBuf {
    let place = folder.join("trace");
    fs::create_dir_all(&place).unwrap();
    let parts = split(bytes).unwrap_or_else(|| [bytes.to_vec(), Vec::new(), Vec::new()]);
    for (name, part) in FILES.iter().zip(parts) {
        let _ = fs::remove_file(place.join(name));
        fs::write(place.join(name), part).unwrap();
    }
    place
}
