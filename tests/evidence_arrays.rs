//! Arrays, tables and event files against what numpy says is in them, and against damage of every kind.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;
use proptest::sample::Index;
use samebits::error::{Error, Result};
use samebits::evidence::table::{self, TableOptions};
use samebits::evidence::{Content, Evidence, Item, npy, npz, raw, tfevents};
use samebits::ffi::map::Map;
use serde::Deserialize;
use sha2::{Digest, Sha256};

type Recognises = fn(&[u8]) -> bool;

#[derive(Deserialize)]
struct Truth {
    files: BTreeMap<String, Expected>,
    same: Vec<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Expected {
    Items(Vec<Facts>),
    /// Refused, with these words.
    Refusal(String),
}

#[derive(Debug, PartialEq, Deserialize)]
struct Facts {
    name: String,
    dtype: String,
    shape: Vec<u64>,
    declared: Option<String>,
    sha256: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/evidence/arrays")
}

fn truth() -> Truth {
    serde_json::from_slice(&std::fs::read(folder().join("truth.json")).unwrap()).unwrap()
}

fn read_with(path: &Path, options: &TableOptions) -> Result<Evidence> {
    let map = Arc::new(Map::open(path)?);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("npy") => npy::read(path, &map),
        Some("npz") => npz::read(path, &map),
        Some("json") => table::json::read(path, &map),
        Some("jsonl") => table::lines::read(path, &map, options),
        Some("csv" | "tsv") => table::csv::read(path, &map, options),
        Some("tfevents") => tfevents::read(path, &map),
        _ => raw::read(path, &map),
    }
}

fn read(path: &Path) -> Result<Evidence> {
    read_with(path, &TableOptions::default())
}

fn facts(item: &Item) -> Result<Facts> {
    let bytes = item.bytes()?;
    assert_eq!(
        bytes.len() as u64,
        item.numel() * item.dtype.size() as u64,
        "{}",
        item.name
    );
    let mut sha256 = String::new();
    for byte in Sha256::digest(&bytes) {
        write!(sha256, "{byte:02x}").unwrap();
    }
    Ok(Facts {
        name: item.name.clone(),
        dtype: item.dtype.to_string(),
        shape: item.shape.clone(),
        declared: item.declared.clone(),
        sha256,
    })
}

fn all_facts(evidence: &Evidence) -> Result<Vec<Facts>> {
    evidence.items.iter().map(facts).collect()
}

/// Reads `bytes` as a file of that name.
fn read_bytes(name: &str, bytes: &[u8]) -> Result<Vec<Facts>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    all_facts(&read(&path)?)
}

/// The words with which `bytes` are refused as damaged.
fn refusal(name: &str, bytes: &[u8]) -> String {
    match read_bytes(name, bytes) {
        Err(Error::Unreadable { what, .. }) => what,
        other => panic!("{name}: {other:?}"),
    }
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

#[test]
fn every_file_holds_what_numpy_says_it_holds() {
    let truth = truth();
    assert!(truth.files.len() > 50);
    for (name, expected) in truth.files {
        let found = read(&folder().join(&name));
        match expected {
            Expected::Items(items) => {
                assert_eq!(all_facts(&found.unwrap()).unwrap(), items, "{name}");
            }
            Expected::Refusal(words) => {
                assert!(found.unwrap_err().to_string().contains(&words), "{name}");
            }
        }
    }
}

#[test]
fn the_same_content_saved_in_other_ways_is_equal_and_other_content_is_not() {
    let items = |name: &String| all_facts(&read(&folder().join(name)).unwrap()).unwrap();
    let same = truth().same;
    for names in &same {
        for other in &names[1..] {
            assert_ne!(fixture(&names[0]), fixture(other), "{names:?}");
            assert_eq!(items(&names[0]), items(other), "{names:?}");
        }
    }
    for pair in same.windows(2) {
        assert_ne!(items(&pair[0][0]), items(&pair[1][0]));
    }
}

#[test]
fn arrays_that_stand_in_the_file_as_wanted_are_not_copied() {
    let mapped = |name: &str| {
        let evidence = read(&folder().join(name)).unwrap();
        let all = evidence.items.iter();
        all.map(|item| matches!(item.content, Content::Mapped(..)))
            .collect::<Vec<_>>()
    };
    assert_eq!(mapped("f4.npy"), [true]);
    assert_eq!(mapped("f4_big_fortran.npy"), [false]);
    assert_eq!(mapped("blob.bin"), [true]);
    // b is big-endian, r has fields, w is saved in Fortran order; in the other file all are compressed.
    assert_eq!(mapped("stored.npz"), [false; 4]);
    assert_eq!(mapped("deflated.npz"), [false; 4]);
    assert_eq!(mapped("plain.npz"), [true]);
    assert_eq!(mapped("words.npy"), [true]);
}

#[test]
fn each_format_is_recognised_and_no_other_is_taken_for_it() {
    let kinds: [(&str, Recognises); 6] = [
        ("npy", npy::recognises),
        ("npz", npz::recognises),
        ("json", table::json::recognises),
        ("jsonl", table::lines::recognises),
        ("csv tsv", table::csv::recognises),
        ("tfevents", tfevents::recognises),
    ];
    for name in truth().files.keys() {
        let bytes = fixture(name);
        let extension = name.rsplit('.').next().unwrap();
        for (kind, recognises) in kinds {
            // Lines of objects begin and end as an object does: ask for lines first.
            let expected = kind.contains(extension) && (kind == extension || kind == "csv tsv");
            if !(kind == "json" && extension == "jsonl") {
                assert_eq!(recognises(&bytes), expected, "{name} as {kind}");
            }
        }
    }
    for (_, recognises) in kinds {
        assert!(!recognises(b"") && !recognises(b"hello, world\n") && !recognises(&[0; 64]));
    }
}

#[test]
fn rows_with_keys_are_paired_wherever_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    let names = |file: &str, text: &str, keys: &[&str]| -> Vec<String> {
        let path = folder.path().join(file);
        std::fs::write(&path, text).unwrap();
        let options = TableOptions {
            keys: keys.iter().map(|&key| key.into()).collect(),
        };
        let evidence = read_with(&path, &options).unwrap();
        let mut names: Vec<String> = evidence
            .items
            .iter()
            .map(|item| format!("{} {:?}", item.name, item.bytes().unwrap()))
            .chain(evidence.notes)
            .collect();
        names.sort();
        names
    };
    let ordered = names(
        "a.csv",
        "step,rank,n\n1,0,7\n2,0,8\n2,1,9\n",
        &["step", "rank"],
    );
    let shuffled = names(
        "b.csv",
        "n,rank,step\n9,1,2\n7,0,1\n8,0,2\n",
        &["step", "rank"],
    );
    assert_eq!(ordered, shuffled);
    assert!(ordered[0].starts_with("n[step=1,rank=0] [7"), "{ordered:?}");
    let lines = names(
        "a.jsonl",
        "{\"step\":2,\"n\":8}\n{\"n\":1}\n{\"step\":2,\"n\":9}\n",
        &["step"],
    );
    let starts: Vec<&str> = lines
        .iter()
        .map(|name| name.split(" [").next().unwrap())
        .collect();
    assert_eq!(starts, ["n[step=2 (2)]", "n[step=2]", "n[step=null]"]);
    // A key that is not there is said, and order counts.
    let unkeyed = names("a.csv", "step,n\n1,7\n2,8\n", &["epoch"]);
    assert!(unkeyed.iter().any(|name| name.contains("no column epoch")));
    assert_eq!(unkeyed.len(), 3);
}

#[test]
fn dates_and_systems_are_told_apart_only_in_the_container() {
    let container = |name: &str| read(&folder().join(name)).unwrap().container;
    assert_ne!(container("stored.npz"), container("later.npz"));
    assert!(format!("{:?}", container("later.npz")).contains("2026-11-20 01:02:04, system 0"));
    let old = read(&folder().join("old.tfevents")).unwrap();
    assert_ne!(old.container, container("new.tfevents"));
    assert!(old.notes[0].contains("times"));
    assert!(
        format!(
            "{:?}",
            read(&folder().join("other.tfevents")).unwrap().notes
        )
        .contains("graph")
    );
}

#[test]
fn wrong_tables_are_refused_with_the_place() {
    for (name, text, words) in [
        (
            "a.csv",
            "a,b\n1,2\n3\n",
            "line 3, column 1: 1 cells where the first row has 2",
        ),
        ("a.csv", "a,b\n1,2\n1,2,3", "line 3, column 1: 3 cells"),
        ("a.tsv", "a\tb\n\"x\ny\"\t2\n3\n", "line 4"),
        (
            "a.json",
            "{\"a\": 1,\n \"a\": 2}",
            "line 2, column 2: the key \"a\" occurs twice",
        ),
        (
            "a.json",
            "{\"a\": [1, 2",
            "line 1, column 12: the JSON ends too early",
        ),
        ("a.json", "", "line 1, column 1"),
        ("a.jsonl", "{\"a\": 1}\n\n{\"a\": }\n", "line 3, column 7"),
        (
            "a.jsonl",
            "{\"a\": 1}\n{\"a\": 2\n",
            "line 2, column 8: the JSON ends too early",
        ),
        (
            "a.csv",
            "x (2),x,x\n1,2,3\n",
            "two columns are called x (2)",
        ),
    ] {
        let found = refusal(name, text.as_bytes());
        assert!(found.contains(words), "{text}: {found}");
    }
    for name in ["a.json", "a.jsonl", "a.csv"] {
        assert!(refusal(name, b"[1,\n \"\xFF\"]").contains("line 2, column 3: no UTF-8"));
    }
    assert!(refusal("a.json", "[".repeat(1 << 20).as_bytes()).contains("deep"));
    assert!(refusal("a.jsonl", "{\"a\":".repeat(1 << 20).as_bytes()).contains("deep"));
}

#[test]
fn a_small_file_cannot_ask_for_large_names() {
    let key = "k".repeat(1 << 16);
    let cells = vec!["{\"a\":\"\"}"; 1 << 12].join(",");
    let bomb = format!("{{\"{key}\":[{cells}]}}");
    for name in ["a.json", "a.jsonl"] {
        let found = read_bytes(name, bomb.as_bytes()).unwrap_err().to_string();
        assert!(found.contains("paths"));
        assert!(read_bytes(name, bomb.replace(&key, "k").as_bytes()).is_ok());
    }
}

#[test]
fn numbers_that_a_float_would_blur_stay_apart() {
    let [a, b, c] = [
        "[9007199254740993, 0.5]",
        "[9007199254740992, 0.5]",
        "[9007199254740992.0, 0.5]",
    ]
    .map(|text| read_bytes("a.json", text.as_bytes()).unwrap());
    assert_ne!(a, b);
    assert_eq!(b, c);
    let large =
        |digit: u8| read_bytes("a.json", format!("1844674407370955161{digit}").as_bytes()).unwrap();
    assert_ne!(large(6), large(7));
    let null = |text: &str| read_bytes("a.jsonl", text.as_bytes()).unwrap();
    assert_ne!(null("{\"a\":1}\n{\"a\":null}\n"), null("{\"a\":1}\n{}\n"));
    assert_ne!(
        null("{\"a\":1}\n{\"a\":\"x\"}\n"),
        null("{\"a\":\"1\"}\n{\"a\":\"x\"}\n")
    );
    assert_ne!(null("{\"a.b\":1}\n{}\n"), null("{\"a\":{\"b\":1}}\n{}\n"));
}

fn npy_file(header: &str, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x03\x00", &length[..], header.as_bytes(), data].concat()
}

#[test]
fn every_lie_of_an_npy_header_is_refused() {
    let header = |descr: &str, shape: &str| {
        format!("{{'descr': {descr}, 'fortran_order': True, 'shape': {shape}, }}")
    };
    let good = npy_file(&header("'<f4'", "(2, 1)"), &[0; 8]);
    assert!(read_bytes("a.npy", &good).is_ok());
    let long = format!("({})", "1,".repeat(65));
    for (descr, shape) in [
        ("'<f4'", "(3, 1)"),
        ("'<f4'", "(1,)"),
        ("'<f4'", "(2)"),
        ("'<f4'", "(2, -1)"),
        ("'<f4'", "(18446744073709551615, 2)"),
        ("'<f4'", "(4611686018427387904, 4611686018427387904, 0)"),
        ("'<f4'", long.as_str()),
        ("'<q9'", "(2,)"),
        ("'<f99999999999999999999'", "(2,)"),
        ("'U18446744073709551615'", "(2,)"),
        ("'<f4[s]'", "(2,)"),
        ("''", "(2,)"),
        ("'é4'", "(2,)"),
        ("7", "(2,)"),
        ("[('a', '<f4'), ('a', '<f4')]", "(1,)"),
        ("[('a', '<f4', (4294967296, 4294967296))]", "(1,)"),
        ("[('a', 'O')]", "(1,)"),
        ("[('a',)]", "(1,)"),
        ("[[[[]]]]", "(1,)"),
    ] {
        let file = npy_file(&header(descr, shape), &[0; 8]);
        assert!(
            matches!(read_bytes("a.npy", &file), Err(Error::Unreadable { .. })),
            "{descr} {shape}"
        );
    }
    for text in [
        "",
        "{}",
        "{'descr': '<f4', 'shape': (2,)}",
        "[",
        &"(".repeat(1 << 16),
    ] {
        assert!(
            read_bytes("a.npy", &npy_file(text, &[0; 8])).is_err(),
            "{text}"
        );
    }
    let mut version = good.clone();
    version[6] = 4;
    assert!(refusal("a.npy", &version).contains("version 4"));
    // No element has a byte: their number is only a claim, and nobody counts to it.
    let hollow = npy_file(&header("'S0'", "(4611686018427387904,)"), &[]);
    assert_eq!(read_bytes("a.npy", &hollow).unwrap()[0].shape, [1 << 62, 0]);
}

#[test]
fn damage_inside_an_archive_is_found_by_its_checksums() {
    for name in ["stored.npz", "deflated.npz"] {
        let good = fixture(name);
        // Inside the data of the last array.
        let place = good
            .windows(4)
            .position(|bytes| bytes == b"PK\x01\x02")
            .unwrap()
            - 3;
        let mut bad = good.clone();
        bad[place] ^= 0x10;
        assert!(read_bytes(name, &good).is_ok());
        assert!(
            matches!(read_bytes(name, &bad), Err(Error::Unreadable { .. })),
            "{name}"
        );
    }
}

#[test]
fn an_archive_whose_members_share_bytes_or_promise_too_much_is_refused() {
    let good = fixture("deflated.npz");
    let entries: Vec<usize> = (0..good.len() - 4)
        .filter(|&at| good[at..].starts_with(b"PK\x01\x02"))
        .collect();
    let altered = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        refusal("a.npz", &file)
    };
    assert!(altered(entries[0] + 24, &u32::MAX.to_le_bytes()).contains("size"));
    assert!(altered(entries[0] + 24, &0x7FFF_FFFFu32.to_le_bytes()).contains("cannot be"));
    assert!(altered(entries[0] + 8, &[1]).contains("encrypted"));
    assert!(altered(entries[0] + 10, &[12]).contains("method 12"));
    assert!(altered(entries[1] + 42, &[0; 4]).contains("another name"));
    assert!(altered(entries[0] + 20, &200u32.to_le_bytes()).contains("overlap"));
    assert!(altered(good.len() - 12, &[9]).contains("entries"));
}

#[test]
fn an_event_file_that_was_cut_off_names_the_offset_of_the_last_record() {
    let good = fixture("old.tfevents");
    let found = refusal("a.tfevents", &good[..good.len() - 1]);
    assert!(
        found.contains("offset") && found.contains("cut off"),
        "{found}"
    );
    let mut offset = 0;
    loop {
        let length = u64::from_le_bytes(good[offset..offset + 8].try_into().unwrap());
        let next = offset + 16 + usize::try_from(length).unwrap();
        if next == good.len() {
            break;
        }
        offset = next;
    }
    assert!(found.contains(&format!("offset {offset}:")), "{found}");
}

/// Reads a damaged file: whatever comes out, it comes soon and without a panic.
fn survives(name: &str, bytes: &[u8]) {
    let start = Instant::now();
    match read_bytes(name, bytes) {
        Ok(_) | Err(Error::Unreadable { .. }) => {}
        Err(other) => panic!("{name}: {other}"),
    }
    let _ =
        npz::recognises(bytes) || table::lines::recognises(bytes) || table::csv::recognises(bytes);
    assert!(
        start.elapsed().as_secs() < 5,
        "{name} took {:?}",
        start.elapsed()
    );
}

#[test]
fn every_truncation_of_every_file_ends_well() {
    for name in truth().files.keys() {
        let bytes = fixture(name);
        for end in 0..bytes.len() {
            survives(name, &bytes[..end]);
        }
        let extension = name.rsplit('.').next().unwrap();
        if ["npy", "npz"].contains(&extension) && name != "two_in_one.npy" {
            assert!(
                read_bytes(name, &bytes[..bytes.len() - 1]).is_err() || name == "empty.npy",
                "{name}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn altered_bytes_anywhere_end_well(
        file in any::<Index>(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..6),
        cut in prop::option::weighted(0.2, any::<Index>()),
    ) {
        let names: Vec<String> = truth().files.into_keys().collect();
        let name = file.get(&names);
        let mut bytes = fixture(name);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        survives(name, &bytes);
    }

    #[test]
    fn json_like_text_ends_well(text in "[\\[\\]{}\",:0-9eE.+\\\\u \\-ntfaI\n]{0,60}") {
        survives("a.json", text.as_bytes());
        survives("a.jsonl", text.as_bytes());
        survives("a.csv", text.as_bytes());
    }
}
