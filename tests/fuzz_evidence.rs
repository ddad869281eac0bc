//! Every reader of files that others wrote, on files that are broken or hostile: seeds changed at random. None panics,
//! hangs, takes memory out of proportion, says what a terminal would obey, or calls different things the same.
//!
//! An ordinary run repeats the same few thousand inputs. With `SAMEBITS_FUZZ_SECONDS=600` each reader gets so many seconds
//! of inputs that nobody has seen, and what fails is kept in the folder that the failure names.

mod common;
mod fuzz;
#[path = "common/streams.rs"]
mod streams;

use std::path::Path;

use samebits::diff::diff;
use samebits::report::json;
use samebits::rules::Rules;
use samebits::verdict::Verdict;

use fuzz::{Change, Reader, formats, fuzz, texts, trace, zip};

/// Fixtures in a folder of tests, by how their names end. Large ones would only slow it down.
fn fixtures(folder: &str, ends: &[&str]) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| ends.iter().any(|end| path.to_str().unwrap().ends_with(end)))
        .collect();
    paths.sort();
    let read = |path| std::fs::read(path).unwrap();
    paths.into_iter().map(read).collect()
}

fn reader(
    name: &'static str,
    file: &'static str,
    seeds: Vec<Vec<u8>>,
    words: &'static [&'static [u8]],
    change: Change,
) -> Reader {
    Reader {
        name,
        file,
        seeds,
        words,
        change,
        memory: 0,
    }
}

fn header(text: &str, data: &[u8]) -> Vec<u8> {
    [
        &(text.len() as u64).to_le_bytes()[..],
        text.as_bytes(),
        data,
    ]
    .concat()
}

#[test]
fn no_safetensors_file_is_misread() {
    let seeds = vec![
        header(
            r#"{"__metadata__":{"format":"pt"},"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"y":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[8,11]}}"#,
            &[1; 11],
        ),
        header("{}", &[]),
        header(
            r#"{"a":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"b.c":{"dtype":"BF16","shape":[0,3],"data_offsets":[8,8]}}"#,
            &[2; 8],
        ),
    ];
    let words: &[&[u8]] = &[
        b"\"dtype\":",
        b"\"shape\":",
        b"\"data_offsets\":",
        b"\"__metadata__\":",
        b"\"F32\"",
        b"\"BOOL\"",
        b"\"F4\"",
        b"[0,8]",
        b"[]",
        b"[0]",
        b"null",
        b"\\u001b[2J",
        b"\\u0000",
        b"{",
        b"}",
        b",",
        b"-1",
        b"18446744073709551615",
        b"\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}",
    ];
    fuzz(&reader(
        "safetensors",
        "f.safetensors",
        seeds,
        words,
        formats::safetensors,
    ));
}

#[test]
fn no_checkpoint_is_misread() {
    let words: &[&[u8]] = &[
        b"archive/data.pkl",
        b"archive/data/0",
        b"data.pkl",
        b"archive/byteorder",
        b"archive/constants.pkl",
        b"archive/version",
        b"archive/code/__torch__.py",
        b"archive/code/x.debug_pkl",
        b"little",
        b"big",
        b"PK\x03\x04",
        b"PK\x01\x02",
        b"PK\x05\x06",
        b"PK\x06\x06",
        b"PK\x06\x07",
        b"\x80\x02",
        b"\x1b[2J",
        b"..",
        b"other/data.pkl",
    ];
    let mut torch = reader(
        "torch",
        "f.pt",
        fixtures("evidence/torch", &[".pt", ".pt2"]),
        words,
        formats::torch,
    );
    torch.seeds.extend(fixtures("torch/data", &["model.pt"]));
    // A tensor that repeats elements is written out up to LARGEST_REPEATED, on both sides of a comparison and here.
    torch.memory = 4 << 28;
    fuzz(&torch);
}

#[test]
fn no_checkpoint_without_an_archive_is_misread() {
    let words: &[&[u8]] = &[
        b"storage",
        b"module",
        b"\x01\0\0\0\0\0\0\0",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b".",
        b"\x80\x02",
    ];
    let mut seeds = fixtures("evidence/torch", &["legacy.pt", "legacy_4.pt"]);
    let large = fixtures("evidence/torch", &["legacy_module.pt"]);
    seeds.extend(large.into_iter().filter(|seed| seed.len() < 64 << 10));
    let mut legacy = reader("legacy", "f.pt", seeds, words, formats::legacy);
    legacy.memory = 4 << 28;
    fuzz(&legacy);
}

/// Reports of the kinds that `samebits diff` writes.
fn reports() -> Vec<Vec<u8>> {
    let fixture = |name: &str| {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/evidence");
        tests.join(name)
    };
    let pairs = [
        ("torch/checkpoint.pt", "torch/one_number_different.pt"),
        ("arrays/old.tfevents", "arrays/other.tfevents"),
        ("arrays/value.json", "arrays/value.json"),
        ("arrays/f4.npy", "arrays/none.npy"),
    ];
    pairs
        .iter()
        .map(|(one, other)| diff(&fixture(one), &fixture(other), &Rules::default()))
        .map(|report| json::render(&report).into_bytes())
        .collect()
}

#[test]
fn no_saved_report_is_misread() {
    let words: &[&[u8]] = &[
        b"\"diverged\"",
        b"\"identical\"",
        b"\"schema_version\": 1",
        b"null",
        b"[]",
        b"{}",
        b"\\u001b[2J",
        b"\\u0000",
        b"\"nan\"",
        b"-1",
        b"1e308",
        b"18446744073709551615",
        b"<script>",
        b"]]>",
    ];
    fuzz(&reader(
        "report",
        "report.json",
        reports(),
        words,
        formats::report,
    ));
}

#[test]
fn no_array_is_misread() {
    let words: &[&[u8]] = &[
        b"'descr'",
        b"'fortran_order'",
        b"'shape'",
        b"'<f4'",
        b"'>i8'",
        b"'|S0'",
        b"'<U4'",
        b"'|O'",
        b"'|V3'",
        b"'<M8[ns]'",
        b"[('a', '<f4'), ('b', '>i2', (2,))]",
        b"True",
        b"False",
        b"(0, 3)",
        b"()",
        b"[",
        b"(",
        b"{",
        b"\x93NUMPY",
        b"'\\x1b[2J'",
        b"18446744073709551615",
        b"9223372036854775807,",
    ];
    let seeds = fixtures("evidence/arrays", &[".npy"]);
    fuzz(&reader("npy", "f.npy", seeds, words, formats::npy));
}

#[test]
fn no_archive_of_arrays_is_misread() {
    let words: &[&[u8]] = &[
        b"a.npy",
        b"b.npy",
        b".npy",
        b"a.b/c.npy",
        b"readme.txt",
        b"PK\x03\x04",
        b"PK\x01\x02",
        b"PK\x05\x06",
        b"PK\x06\x06",
        b"PK\x06\x07",
        b"\x01\0\x10\0",
        b"\xff\xff\xff\xff",
        b"\x1b[2J",
        b"\x93NUMPY",
        b"../",
    ];
    let mut seeds = fixtures("evidence/arrays", &[".npz"]);
    let member = |name: &str, data: Vec<u8>, deflated| zip::Member {
        name: name.as_bytes().to_vec(),
        data,
        deflated,
    };
    let arrays = fixtures("evidence/arrays", &["records.npy", "f4_big_fortran.npy"]);
    seeds.push(zip::pack(&[
        member("a.npy", arrays[0].clone(), true),
        member("b.npy", arrays[1].clone(), true),
        member("readme.txt", b"read me".to_vec(), true),
    ]));
    fuzz(&reader("npz", "f.npz", seeds, words, formats::npz));
}

#[test]
fn no_event_file_is_misread() {
    let words: &[&[u8]] = &[
        b"\x1a\x0dbrain.Event:2",
        b"\x0a\x04loss",
        b"\x15\0\0\x80\x3f",
        b"\x2a\x0a",
        b"\x0a\x03a#0",
        b"\x1b[2J",
        b"\x42\x06\x08\x01\x12\0\x22\0",
        b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\xff\xff\xff\xff\x7f",
    ];
    let seeds = fixtures("evidence/arrays", &[".tfevents"]);
    let events = reader("tfevents", "f.tfevents.1", seeds, words, formats::tfevents);
    fuzz(&events);
}

const JSON: &[&[u8]] = &[
    b"\"loss\":",
    b"\"step\":",
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"null",
    b"true",
    b"1e400",
    b"-0.0",
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b":",
    b"\"",
    b"\\u001b",
    b"\\ud800",
    b"\\",
    b"\n",
    b"\xEF\xBB\xBF",
    b"\xff",
    b"9007199254740993",
    b"{\"a\":{\"b\":",
    b"[[1,2],[3,4]]",
    b"\"a#rows\":",
    b"\"a\":1,\"a\":2",
];

#[test]
fn no_json_file_is_misread() {
    let mut seeds = fixtures("evidence/arrays", &[".json"]);
    // The table of all fixtures is 30 KB, too much to try often.
    seeds.retain(|seed| seed.len() < 8 << 10);
    fuzz(&reader("json", "f.json", seeds, JSON, texts::json));
}

#[test]
fn no_file_of_json_lines_is_misread() {
    let seeds = fixtures("evidence/arrays", &[".jsonl"]);
    fuzz(&reader("jsonl", "f.jsonl", seeds, JSON, texts::json));
}

#[test]
fn no_table_is_misread() {
    let words: &[&[u8]] = &[
        b",",
        b";",
        b"\t",
        b"\n",
        b"\r\n",
        b"\"",
        b"\"\"",
        b"\"a\nb\"",
        b"nan",
        b"-inf",
        b"0.1",
        b"007",
        b"step",
        b"loss",
        b"loss,loss",
        b"loss (2)",
        b"step#rows",
        b"\x1b[2J",
        b"\xEF\xBB\xBF",
        b"\xff",
        b"\0",
        b"9223372036854775808",
    ];
    let seeds = fixtures("evidence/arrays", &[".csv", ".tsv"]);
    let mut tables = reader("csv", "f.csv", seeds, words, texts::csv);
    // A row of commas is a column a byte, each with its items on both sides and its row of the report: about 1 KB.
    tables.memory = 512 << 20;
    fuzz(&tables);
}

#[test]
fn no_other_file_is_misread() {
    let words: &[&[u8]] = &[
        b"PK\x03\x04",
        b"\x93NUMPY\x01\0",
        b"\x1b[2J",
        b"\xc3",
        b"\n",
        b"\r",
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.",
        b"\x02\0\0\0\0\0\0\0{}",
    ];
    let mut seeds = fixtures(
        "evidence/arrays",
        &[".txt", ".bin", "b1.npy", "old.tfevents", "plain.npz"],
    );
    seeds.extend(fixtures("evidence/torch", &["legacy.pt", "tensor.pt"]));
    fuzz(&reader("raw", "f.log", seeds, words, formats::none));
}

#[test]
fn no_trace_is_misread() {
    let words: &[&[u8]] = &[
        b"\"step\":",
        b"\"phase\":\"init\"",
        b"\"name\":\"weight\"",
        b"\"dtype\":\"float32\"",
        b"\"shape\":[",
        b"\"inline\":\"00\"",
        b"\"inline\":null",
        b"\"digest\":",
        b"\\u001b[2J",
        b"\"occurrence\":1",
        b"18446744073709551615",
        b"\n",
        b"4294967296,4294967296",
    ];
    fuzz(&reader(
        "trace",
        "f.trace",
        vec![trace::seed()],
        words,
        formats::trace,
    ));
}

#[test]
fn no_recorder_stream_is_misread() {
    let words: &[&[u8]] = &[
        b"SBOPS\0\0\x01",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x80\x80\x80\x80\x10",
        b"\x00\x01\x02",
        b"\x1b[2J",
        b"\xff",
        b"\"role\":\"0/f1\"",
        b"\"thread\":1",
        b"\"rank\":{\"RANK\":\"1\"}",
        b"\"argv\":[\"\\u001b\"]",
        b"18446744073709551615",
    ];
    fuzz(&reader(
        "recorder",
        "p1-t0.ops",
        fuzz::streams::seeds(),
        words,
        fuzz::streams::changed,
    ));
}

#[test]
fn no_file_of_exceptions_is_misread() {
    let words: &[&[u8]] = &[
        b"[[override]]\n",
        b"name='*'\n",
        b"reason='r'\n",
        b"ignore=true\n",
        b"rtol=nan\n",
        b"atol=0\n",
        b"max_ulp=-1\n",
        b"expires=2099-01-01\n",
        b"expires=0000-00-00\n",
        b"'''",
        b"\"\\u001b\"",
        b"[a.b.c]\n",
        b"{a={b={",
        b"[[[[",
        b"\x1b",
        b"\xff",
    ];
    let seeds = vec![
        b"[[override]]\nname='a*'\nrtol=0.1\natol=0.0\nreason='noise'\nexpires=2099-01-01\n".to_vec(),
        b"[[override]]\nname='loss'\nignore=true\nreason='clock'\n[[override]]\nname='b'\nmax_ulp=4\nequal_nan=true\nreason='r'"
            .to_vec(),
    ];
    fuzz(&reader(
        "rules",
        "overrides.toml",
        seeds,
        words,
        texts::toml,
    ));
}

/// Independent of what the readers say of themselves: the places of the data are known here from the formats.
#[test]
fn no_changed_byte_of_a_tensor_is_overlooked() {
    let folder = tempfile::tempdir().unwrap();
    let mut flipped = 0;
    let mut flip = |name: &str, whole: &[u8], data: std::ops::Range<usize>| {
        let [one, other] = ["one", "other"].map(|place| folder.path().join(place).join(name));
        for path in [&one, &other] {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        std::fs::write(&one, whole).unwrap();
        for at in data {
            let mut changed = whole.to_vec();
            changed[at] ^= 1 << (at % 8);
            let _ = std::fs::remove_file(&other);
            std::fs::write(&other, changed).unwrap();
            let verdict = diff(&one, &other, &Rules::default()).verdict;
            assert_eq!(verdict, Verdict::Diverged, "{name}: byte {at}");
            flipped += 1;
        }
    };
    let tensor = r#"{"x":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#;
    let file = header(tensor, &[3; 16]);
    flip("f.safetensors", &file, file.len() - 16..file.len());
    for array in fixtures(
        "evidence/arrays",
        &["f4.npy", "f4_big_fortran.npy", "c16.npy"],
    ) {
        flip("f.npy", &array, 128..array.len());
    }
    for archive in fixtures("evidence/torch", &["/tensor.pt", "/big_endian.pt"]) {
        // The first record of numbers: stored, and all of it in use.
        let members = zip::unpack(&archive).unwrap();
        let used = |member: &&zip::Member| member.name.ends_with(b"/data/0");
        let data = &members.iter().find(used).unwrap().data;
        let at = archive.windows(data.len()).position(|part| part == data);
        flip("f.pt", &archive, at.unwrap()..at.unwrap() + data.len());
    }
    flip("f.log", b"step 1\nloss 0.5\n", 0..16);
    for digit in [16, 17] {
        flip(
            "f.json",
            br#"{"loss":0.5,"a":[12,3]}"#,
            digit + 1..digit + 2,
        );
    }
    assert!(flipped > 400, "{flipped} bytes");
}
