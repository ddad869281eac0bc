//! Files that once made a reader slow, large or misleading, each by what it was. Small ones are in
//! `tests/evidence/regressions`; those that must be large are made here.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use samebits::diff::diff;
use samebits::report::text::{Color, render};
use samebits::rules::{self, Rules};
use samebits::verdict::Verdict;

use super::zip::{Member, pack};
use super::{Usage, alone};

/// The verdict and the report of a file against itself, which must not take long.
fn itself(name: &str, bytes: &[u8], keys: &[&str]) -> (Verdict, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let rules = Rules {
        keys: keys.iter().map(|&key| key.to_owned()).collect(),
        ..Rules::default()
    };
    let _alone = alone();
    let before = Usage::now();
    let report = diff(&path, &path, &rules);
    let (took, grew) = before.since();
    let reason = &report.reason;
    let most = Duration::from_secs(if cfg!(debug_assertions) { 60 } else { 6 });
    assert!(took < most, "{name} took {took:.1?}: {reason}");
    assert!(grew < 256 << 20, "{name} took {grew} bytes: {reason}");
    (report.verdict, render(&report, Color::Plain))
}

fn refused(name: &str, bytes: &[u8], keys: &[&str], words: &str) {
    let (verdict, text) = itself(name, bytes, keys);
    let as_bytes = text.contains("compared as bytes");
    assert!(verdict == Verdict::Inconclusive || as_bytes, "{text}");
    assert!(text.contains(words), "{text}");
}

fn npy(descr: &str) -> Vec<u8> {
    let header = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (0,)}}");
    let long = u32::try_from(header.len()).unwrap().to_le_bytes();
    [&b"\x93NUMPY\x02\0"[..], &long, header.as_bytes()].concat()
}

/// A checkpoint with this pickle.
fn checkpoint(pickle: &[u8]) -> Vec<u8> {
    pack(&[member("a/data.pkl", pickle.to_vec(), false)])
}

fn member(name: &str, data: Vec<u8>, deflated: bool) -> Member {
    Member {
        name: name.as_bytes().to_vec(),
        data,
        deflated,
    }
}

#[test]
fn a_long_name_around_many_fields_is_not_written_out_for_each_of_them() {
    let fields = "('a','<f4'),".repeat(30_000);
    let name = "n".repeat(500_000);
    refused(
        "f.npy",
        &npy(&format!("[('{name}',[{fields}])]")),
        &[],
        "field's name is longer",
    );
    // Within the limit on names, the limit on fields keeps memory small.
    let name = "n".repeat(4_000);
    let (_, text) = itself("f.npy", &npy(&format!("[('{name}',[{fields}])]")), &[]);
    assert!(text.contains("only empty ones"), "{text}");
    let empty = "('a',[]),".repeat(50_000);
    let name = "n".repeat(500_000);
    refused(
        "f.npy",
        &npy(&format!("[('{name}',[{empty}])]")),
        &[],
        "field's name is longer",
    );
}

#[test]
fn a_long_key_of_a_row_is_not_written_out_for_each_of_its_cells() {
    let key = "k".repeat(300_000);
    let mut line = format!("{{\"step\":\"{key}\"");
    for column in 0..50_000 {
        write!(line, ",\"{column}\":1").unwrap();
    }
    line.push('}');
    refused(
        "f.jsonl",
        line.as_bytes(),
        &["step"],
        "longer than the file",
    );
    let names: Vec<String> = (0..50_000).map(|column| format!("c{column}")).collect();
    let table = format!(
        "step,{}\n{key},{}\n",
        names.join(","),
        vec!["1"; 50_000].join(",")
    );
    refused("f.csv", table.as_bytes(), &["step"], "longer than the file");
}

#[test]
fn an_integer_of_many_digits_that_is_many_keys_takes_no_time() {
    // {huge: None, huge: None, …}: the digits are made for each.
    let huge = [&b"\x8a\x80"[..], &[0x7F; 128], b"q\0"].concat();
    let pickle = [b"}(", &huge[..], b"N", &b"h\0N".repeat(500_000), b"u."].concat();
    let (_, text) = itself("f.pt", &checkpoint(&pickle), &[]);
    assert!(text.contains("1 tensors"), "{text}");
}

#[test]
fn a_dict_of_nothing_but_metadata_is_counted_each_time_it_is_a_state() {
    let entry = b"h\x01N";
    let state = [
        &b"X\x09\0\0\0_metadataq\x01}q\x00("[..],
        &entry.repeat(20_000),
        b"u",
    ]
    .concat();
    let pickle = [&state[..], b"ca\nb\n)R", &b"h\0b".repeat(100_000), b"."].concat();
    refused("f.pt", &checkpoint(&pickle), &[], "counting shared ones");
}

#[test]
fn a_list_that_is_no_list_of_pairs_is_counted_each_time_it_makes_an_ordered_dict() {
    let list = [&b"]("[..], &b"N".repeat(100_000), b"e\x85q\0"].concat();
    let dict = b"ccollections\nOrderedDict\nh\0Rq\x01";
    let pickle = [&list[..], b"](", dict, &b"h\x01".repeat(300_000), b"e."].concat();
    refused("f.pt", &checkpoint(&pickle), &[], "counting shared ones");
}

#[test]
fn a_long_text_in_the_place_of_a_word_is_not_looked_at_each_time() {
    // numpy.core.numeric._frombuffer(b"", dtype("f4"), (0,), <4 MB>), a hundred thousand times.
    let order = [&b"X\0\0\x40\0"[..], &vec![b'F'; 4 << 20]].concat();
    let dtype = b"cnumpy\ndtype\nX\x02\0\0\0f4\x85R";
    let array = [
        b"cnumpy.core.numeric\n_frombuffer\n(C\0",
        &dtype[..],
        b"K\0\x85",
        &order,
        b"tRq\0",
    ];
    let pickle = [b"](", &array.concat()[..], &b"h\0".repeat(100_000), b"e."].concat();
    let (verdict, text) = itself("f.pt", &checkpoint(&pickle), &[]);
    assert_eq!(verdict, Verdict::Inconclusive, "{text}");
}

#[test]
fn the_source_of_a_module_is_counted_each_time_it_is_there() {
    let source = [&b"X\0\0\x40\0"[..], &vec![b's'; 4 << 20], b"q\0"].concat();
    let module = b"(X\x06\0\0\0moduleca\nb\nX\0\0\0\0h\0tQ0";
    let value = [b"\x80\x02", &source[..], &module.repeat(20_000), b"."].concat();
    let head = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.";
    let file = [&head[..], &value, b"\x80\x02]."].concat();
    refused("f.pt", &file, &[], "bytes of names and numbers");
}

#[test]
fn tensors_that_repeat_one_element_are_not_all_written_out() {
    // A thousand names of a tensor of 2^28 bytes over a storage of one.
    let storage = b"(X\x07\0\0\0storagectorch\nByteStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x01tQ";
    let tensor = [
        b"ctorch._utils\n_rebuild_tensor_v2\n(",
        &storage[..],
        b"K\0J\0\0\0\x10\x85K\0\x85\x89}tRq\0",
    ];
    let pickle = [b"](", &tensor.concat()[..], &b"h\0".repeat(1_000), b"e."].concat();
    let archive = pack(&[
        member("a/data.pkl", pickle, false),
        member("a/data/0", vec![7], false),
    ]);
    refused("f.pt", &archive, &[], "shared values");
}

#[test]
fn records_that_are_only_named_in_the_report_are_not_unpacked() {
    let archive = pack(&[
        member("a/data.pkl", b"K\x01.".to_vec(), false),
        member("a/code/x.debug_pkl", vec![0; 400 << 20], true),
    ]);
    let (verdict, text) = itself("f.pt", &archive, &[]);
    assert_eq!(verdict, Verdict::Identical, "{text}");
}

#[test]
fn objects_of_very_many_classes_give_few_notes() {
    let mut pickle = b"](".to_vec();
    for class in 0..100_000 {
        pickle.extend(format!("cm\nc{class}\n)R").into_bytes());
    }
    pickle.extend(b"e.");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.pt");
    fs::write(&path, checkpoint(&pickle)).unwrap();
    let report = diff(&path, &path, &Rules::default());
    assert_eq!(report.verdict, Verdict::Identical, "{}", report.reason);
    assert!(report.notes.len() < 200, "{} notes", report.notes.len());
}

fn regressions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/evidence/regressions")
}

/// File, words of its reason, and what was wrong with how it was read.
const SMALL: &[(&str, &str, &str)] = &[
    (
        "escape_in_reason.safetensors",
        "t\\u{1b}[2J: offsets 0..9 reach past the end",
        "the terminal was cleared by the reason",
    ),
    (
        "named_twice.safetensors",
        "x occurs twice",
        "the last of two tensors of one name was compared, the first never",
    ),
    (
        "long_name.safetensors",
        "reach past the end of the file",
        "the reason was 20,000 characters long",
    ),
    (
        "escape_in_member.npz",
        "\\u{1b}[2J: no file header at offset",
        "the terminal was cleared by the reason",
    ),
    (
        "escape_in_name.toml",
        "the override for \\u{1b}[2J asks for nothing",
        "the terminal was cleared by the reason",
    ),
    (
        "not_a_date.toml",
        "line 5, column 9, expires='soon': invalid type",
        "the reason was a drawing of several lines",
    ),
];

#[test]
fn small_files_that_were_misread_are_refused_in_words_that_can_be_shown() {
    for (name, words, what) in SMALL {
        let path = regressions().join(name);
        let text = if path.extension().is_some_and(|end| end == "toml") {
            rules::load(&path, "2026-11-20").unwrap_err().to_string()
        } else {
            let report = diff(&path, &path, &Rules::default());
            let note = report
                .notes
                .iter()
                .find(|note| note.starts_with("compared as bytes"));
            let inconclusive = report.verdict == Verdict::Inconclusive;
            assert!(note.is_some() || inconclusive, "{name}: {what}");
            note.unwrap_or(&report.reason).clone()
        };
        assert!(text.contains(words), "{name}: {what}: {text}");
        assert!(
            !text.contains(char::is_control) && text.len() < 1_500,
            "{name}: {what}"
        );
    }
    let known: Vec<_> = SMALL.iter().map(|(name, ..)| *name).collect();
    for entry in fs::read_dir(regressions()).unwrap() {
        let name = entry.unwrap().file_name();
        let known = known.contains(&name.to_str().unwrap()) || name == "escape_in_tag.tfevents";
        assert!(known, "{} is in no list", name.display());
    }
}

#[test]
fn no_name_reaches_the_terminal_as_it_stands_in_a_file() {
    let one = regressions().join("escape_in_tag.tfevents");
    let other = regressions().join("../arrays/old.tfevents");
    let report = diff(&one, &other, &Rules::default());
    assert_eq!(report.verdict, Verdict::Diverged);
    let text = render(&report, Color::Plain);
    assert!(
        text.contains("tensor     \\u{1b}[2J\\nIDENTICAL: "),
        "{text}"
    );
    assert!(
        !text.contains(|c: char| c.is_control() && c != '\n'),
        "{text}"
    );
    // Machines get the name as it is.
    let name = report.contents.unwrap().tensors[0].key.clone();
    assert_eq!(name, "\u{1b}[2J\nIDENTICAL");
}
