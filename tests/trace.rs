//! Traces on disk: whole, or named as damaged.

use std::fs;
use std::path::Path;

use samebits::dtype::Dtype;
use samebits::error::Error;
use samebits::trace::{Entry, Key, Phase, Trace, Writer};

mod common;

fn write(out: &Path) {
    let mut writer = Writer::new(out).unwrap();
    for (step, phase) in [(0, Phase::Init), (0, Phase::Update), (1, Phase::Update)] {
        let key = Key {
            step,
            phase,
            name: "weight".into(),
            occurrence: 0,
        };
        let bytes: Vec<u8> = (0..400u32)
            .flat_map(|i| (f32::from_bits(i << 20)).to_le_bytes())
            .collect();
        let entry = Entry::of(key, Dtype::Float32, &[20, 20], &bytes);
        writer.keep(&entry, &bytes).unwrap();
        writer.entry(&entry).unwrap();
        let key = Key {
            step,
            phase,
            name: "scale".into(),
            occurrence: 0,
        };
        writer
            .entry(&Entry::of(key, Dtype::Complex128, &[2], &[7; 32]))
            .unwrap();
    }
    writer.finish(common::ending(out, 0.1 + 0.2)).unwrap();
}

#[test]
fn a_trace_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("trace");
    write(&place);
    let trace = Trace::open(&place).unwrap();
    assert_eq!(trace.entries.len(), 6);
    assert_eq!(trace.value(&trace.entries[0]).unwrap().len(), 1600);
    assert_eq!(trace.value(&trace.entries[1]).unwrap().as_ref(), [7; 32]);
    assert_eq!(
        trace.manifest.metrics["loss"].0.to_bits(),
        (0.1f64 + 0.2).to_bits()
    );
    // Other tools can read the values.
    let bytes = fs::read(place.join("values.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(
        tensors.tensor("1/update/weight/0").unwrap().shape(),
        [20, 20]
    );
}

#[test]
fn a_trace_cut_off_or_changed_anywhere_is_named_as_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    write(&whole);
    for name in ["manifest.json", "entries.jsonl", "values.safetensors"] {
        let bytes = fs::read(whole.join(name)).unwrap();
        for at in (0..bytes.len()).step_by(bytes.len() / 40 + 1) {
            for cut in [true, false] {
                let copy = folder.path().join("copy");
                write(&copy);
                let mut changed = bytes.clone();
                if cut {
                    changed.truncate(at);
                } else {
                    changed[at] ^= 1;
                }
                fs::write(copy.join(name), changed).unwrap();
                let error = Trace::open(&copy).unwrap_err();
                assert!(
                    matches!(error, Error::Unreadable { .. }),
                    "{name} at {at}, cut {cut}: {error}"
                );
                assert!(error.to_string().contains(name), "{error}");
                fs::remove_dir_all(&copy).unwrap();
            }
        }
        let lost = folder.path().join("lost");
        write(&lost);
        fs::remove_file(lost.join(name)).unwrap();
        assert!(Trace::open(&lost).unwrap_err().to_string().contains(name));
        fs::remove_dir_all(&lost).unwrap();
    }
}

#[test]
fn a_trace_of_a_newer_format_is_refused_and_an_unfinished_one_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("trace");
    write(&place);
    let path = place.join("manifest.json");
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace("\"format\": 1", "\"format\": 2");
    fs::write(&path, text).unwrap();
    assert!(
        Trace::open(&place)
            .unwrap_err()
            .to_string()
            .contains("trace format 2")
    );
    assert!(
        Writer::new(&place).is_err(),
        "a trace that exists is not overwritten"
    );
    let unfinished = folder.path().join("unfinished");
    drop(Writer::new(&unfinished).unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
