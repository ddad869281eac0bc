//! What `torch.save` and `torch.jit.save` wrote, against what torch itself said of it; then the same files, damaged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use samebits::error::{Error, Result};
use samebits::evidence::torch_zip::{self, legacy};
use samebits::evidence::{Evidence, Item};
use samebits::ffi::map::Map;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

#[derive(Debug, PartialEq, Deserialize)]
struct Said {
    dtype: String,
    shape: Vec<u64>,
    sha256: String,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/evidence/torch")
        .join(name)
}

fn open(path: &Path) -> Result<Evidence> {
    torch_zip::read(path, &Arc::new(Map::open(path)?))
}

fn read(name: &str) -> Evidence {
    open(&fixture(name)).unwrap()
}

fn expected() -> BTreeMap<String, Option<BTreeMap<String, Said>>> {
    let text = std::fs::read_to_string(fixture("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn said(item: &Item) -> Said {
    let bytes = item.bytes().unwrap();
    item.check().unwrap();
    assert_eq!(
        bytes.len() as u64,
        item.numel() * item.dtype.size() as u64,
        "{}",
        item.name
    );
    let sha256: Vec<String> = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Said {
        dtype: match &item.declared {
            Some(declared) => format!("{} {declared}", item.dtype),
            None => item.dtype.to_string(),
        },
        shape: item.shape.clone(),
        sha256: sha256.concat(),
    }
}

fn all_said(evidence: &Evidence) -> BTreeMap<String, Said> {
    let items = evidence.items.iter();
    items.map(|item| (item.name.clone(), said(item))).collect()
}

fn container<'a>(evidence: &'a Evidence, key: &str) -> Option<&'a str> {
    let mut entries = evidence.container.iter();
    entries
        .find(|entry| entry.0 == key)
        .map(|entry| entry.1.as_str())
}

#[test]
fn every_name_dtype_shape_and_byte_is_what_torch_says() {
    let mut checked = 0;
    for (file, expected) in expected() {
        let Some(expected) = expected.filter(|_| fixture(&file).exists()) else {
            continue;
        };
        let actual = all_said(&read(&file));
        for (name, said) in &expected {
            assert_eq!(actual.get(name), Some(said), "{file}: {name}");
        }
        let names: Vec<_> = actual.keys().collect();
        assert_eq!(names, expected.keys().collect::<Vec<_>>(), "{file}");
        checked += 1;
    }
    assert_eq!(checked, 14, "files were checked");
}

#[test]
fn items_stand_in_the_order_of_their_names_each_once() {
    for file in fixtures() {
        let names: Vec<_> = read(&file)
            .items
            .into_iter()
            .map(|item| item.name)
            .collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{file}");
    }
}

#[test]
fn another_name_order_protocol_or_packing_gives_the_same_items_and_another_number_does_not() {
    let one = read("checkpoint.pt");
    for other in [
        "other_name_and_order.pt",
        "protocol_3.pt",
        "protocol_4.pt",
        "protocol_5.pt",
        "deflated.pt",
    ] {
        assert_eq!(all_said(&read(other)), all_said(&one), "{other}");
    }
    assert_ne!(all_said(&read("one_number_different.pt")), all_said(&one));
    let order = |evidence: &Evidence| {
        container(evidence, "order and types of dict keys")
            .unwrap()
            .to_owned()
    };
    assert_eq!(order(&read("deflated.pt")), order(&one));
    assert_ne!(order(&read("other_name_and_order.pt")), order(&one));
    assert_eq!(container(&one, "top folder"), Some("checkpoint"));
    assert_eq!(
        container(&read("deflated.pt"), "top folder"),
        Some("elsewhere")
    );
}

#[test]
fn contiguous_tensors_stay_in_the_map_and_others_do_not() {
    let views = read("views.pt");
    let debug = |name: &str| {
        let item = views.items.iter().find(|item| item.name == name).unwrap();
        format!("{:?}", item.content)
    };
    for name in ["tied", "flat part", "scalar"] {
        assert!(debug(name).starts_with("Mapped"), "{name}");
    }
    assert_eq!(debug("tied"), debug("tied again"));
    for name in ["transposed", "part", "expanded"] {
        assert!(debug(name).starts_with("Lazy"), "{name}");
    }
}

#[test]
fn nothing_a_pickle_names_is_called_and_what_it_names_is_noted() {
    let evil = read("evil.pt");
    assert!(
        evil.notes
            .iter()
            .any(|note| note.contains("__builtin__.print")),
        "{:?}",
        evil.notes
    );
    assert!(
        read("checkpoint.pt").notes.is_empty(),
        "{:?}",
        read("checkpoint.pt").notes
    );
}

#[test]
fn torchscript_gives_parameters_and_code_but_no_debug_tables() {
    let script = read("script.pt");
    assert_eq!(script.format, "TorchScript");
    let actual = all_said(&script);
    let parameters = expected().remove("script parameters").flatten().unwrap();
    assert!(parameters.len() >= 7);
    for (name, said) in parameters {
        assert_eq!(actual.get(&name), Some(&said), "{name}");
    }
    let names: Vec<_> = actual.keys().map(String::as_str).collect();
    assert!(names.iter().any(|name| name.starts_with("code/__torch__")));
    assert!(names.contains(&"extra/labels.txt"), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("debug_pkl")));
    assert!(script.notes.is_empty(), "{:?}", script.notes);
}

#[test]
fn a_whole_module_has_the_tensors_of_its_state_dict() {
    let module = read("module.pt");
    let whole = all_said(&module);
    let state = all_said(&read("checkpoint.pt"));
    let mut found = 0;
    for (name, said) in state
        .iter()
        .filter_map(|(name, said)| Some((name.strip_prefix("model.")?, said)))
    {
        let (layer, tensor) = name.split_once('.').unwrap();
        let kinds =
            ["_parameters", "_buffers"].map(|kind| format!("_modules.{layer}.{kind}.{tensor}"));
        assert!(
            kinds.iter().any(|full| whole.get(full) == Some(said)),
            "{name}"
        );
        found += 1;
    }
    assert!(found >= 8);
    assert!(module.notes.iter().any(|note| note.contains("Linear")));
}

#[test]
fn a_file_without_an_archive_holds_what_an_archive_would() {
    let archive = all_said(&read("checkpoint.pt"));
    let state: BTreeMap<String, Said> = archive
        .into_iter()
        .filter_map(|(name, said)| Some((name.strip_prefix("model.")?.to_owned(), said)))
        .collect();
    for file in ["legacy.pt", "legacy_4.pt"] {
        let bytes = std::fs::read(fixture(file)).unwrap();
        assert!(legacy::recognises(&bytes) && !torch_zip::recognises(&bytes));
        let whole = read_legacy(&bytes).unwrap();
        assert_eq!(all_said(&whole), state, "{file}");
        assert!(whole.notes.is_empty());
        assert!(container(&whole, "_metadata").is_some_and(|text| text.contains("version")));
        // The last byte is the last storage's.
        let mut other = bytes.clone();
        *other.last_mut().unwrap() ^= 1;
        assert_ne!(all_said(&read_legacy(&other).unwrap()), state, "{file}");
        for at in 0..bytes.len() {
            let refused = matches!(read_legacy(&bytes[..at]), Err(Error::Unreadable { .. }));
            assert!(refused, "{file} cut at {at}");
        }
        assert!(read_legacy(&[&bytes[..], b"x"].concat()).is_err());
    }
    for file in fixtures() {
        let bytes = std::fs::read(fixture(&file)).unwrap();
        assert!(
            torch_zip::recognises(&bytes[..200]) && !legacy::recognises(&bytes),
            "{file}"
        );
    }
    assert!(
        !torch_zip::recognises(b"PK\x03\x04")
            && !torch_zip::recognises(b"")
            && !legacy::recognises(b"")
    );
}

#[test]
fn a_module_without_an_archive_is_the_one_with_and_its_source_code_is_no_evidence() {
    let path = fixture("legacy_module.pt");
    let module = legacy::read(&path, &Arc::new(Map::open(&path).unwrap())).unwrap();
    assert_eq!(all_said(&module), all_said(&read("module.pt")));
    let source = container(&module, "source of torch.nn.modules.linear.Linear");
    assert_eq!(source.map(str::len), Some(16));
}

#[test]
fn an_exported_program_gives_its_weights_by_name_and_its_graph_without_lines_of_code() {
    let exported = read("exported.pt2");
    assert_eq!(exported.format, "torch.export");
    let actual = all_said(&exported);
    let weights = expected().remove("exported weights").flatten().unwrap();
    assert_eq!(weights.len(), 2);
    for (name, said) in weights {
        assert_eq!(actual.get(&name), Some(&said), "{name}");
    }
    for file in ["exported.pt2", "exported_old.pt2"] {
        let bytes = std::fs::read(fixture(file)).unwrap();
        let whole = all_said(&read(file));
        let with = |old: &str, new: &str| {
            assert_eq!(old.len(), new.len());
            let mut bytes = bytes.clone();
            let at = bytes.windows(old.len()).position(|w| w == old.as_bytes());
            bytes[at.unwrap()..][..new.len()].copy_from_slice(new.as_bytes());
            all_said(&read_bytes(&bytes).unwrap())
        };
        assert_eq!(with("model.py", "other.py"), whole, "{file}");
        assert_ne!(with("linear.default", "linear.another"), whole, "{file}");
    }
}

#[test]
fn arrays_of_other_units_or_fields_are_never_the_same() {
    let fields = read("numpy_fields.pt");
    let words: Vec<_> = fields
        .items
        .iter()
        .map(|item| item.declared.as_deref().unwrap())
        .collect();
    assert_eq!(
        words,
        [
            r#"numpy V12{"a": i4 at 0, "b": f8 at 4} [1]"#,
            r#"numpy V12{"a": i4 at 0, "c": f8 at 4} [1]"#,
            r#"numpy V12{"a": i4 at 0, "b": >f8 at 4} [1]"#,
        ]
    );
    let times = read("numpy_times.pt");
    let unit = |name: &str| {
        let item = times.items.iter().find(|item| item.name == name).unwrap();
        item.declared.clone().unwrap()
    };
    assert_eq!((unit("s"), unit("ms")), ("M8[s]".into(), "M8[ms]".into()));
}

#[test]
fn keys_of_one_name_and_other_types_are_noted() {
    let keys = |pickle: &[u8]| {
        let evidence = read_pickle(pickle).unwrap();
        container(&evidence, "order and types of dict keys")
            .unwrap()
            .to_owned()
    };
    assert_eq!(keys(b"}K\x01Ns."), keys(b"}I1\nNs."));
    assert_ne!(keys(b"}K\x01Ns."), keys(b"}X\x01\0\0\x001Ns."));
}

fn read_legacy(bytes: &[u8]) -> Result<Evidence> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.pt");
    std::fs::write(&path, bytes).unwrap();
    legacy::read(&path, &Arc::new(Map::open(&path)?))
}

/// All archives of torch's.
fn fixtures() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(fixture(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "expected.json" && !name.starts_with("legacy"))
        .collect();
    names.sort();
    names
}

/// A zip archive as a hostile hand would write it: stored records.
fn archive(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut directory = Vec::new();
    for (name, bytes) in records {
        let at = u32::try_from(file.len()).unwrap();
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let size = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        let long = u16::try_from(name.len()).unwrap().to_le_bytes();
        let middle = [
            &[0; 10][..],
            &crc.sum().to_le_bytes(),
            &size,
            &size,
            &long,
            &[0, 0],
        ]
        .concat();
        file.extend([b"PK\x03\x04", &middle[..], name.as_bytes(), bytes].concat());
        directory.extend(
            [
                b"PK\x01\x02\0\0",
                &middle[..],
                &[0; 10],
                &at.to_le_bytes(),
                name.as_bytes(),
            ]
            .concat(),
        );
    }
    let count = u16::try_from(records.len()).unwrap().to_le_bytes();
    let place = [directory.len(), file.len()].map(|n| u32::try_from(n).unwrap().to_le_bytes());
    let end = [
        b"PK\x05\x06\0\0\0\0",
        &count[..],
        &count,
        &place[0],
        &place[1],
        &[0, 0],
    ]
    .concat();
    [file, directory, end].concat()
}

fn read_bytes(bytes: &[u8]) -> Result<Evidence> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.pt");
    std::fs::write(&path, bytes).unwrap();
    open(&path)
}

fn read_pickle(pickle: &[u8]) -> Result<Evidence> {
    read_bytes(&archive(&[("x/data.pkl", pickle), ("x/data/0", &[0; 8])]))
}

/// `{"t": tensor}` over the record `key` of floats.
fn tensor(key: &str, numel: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let int = |n: i64| [&[0x8a, 8][..], &n.to_le_bytes()].concat();
    let text = |text: &str| [&[0x8c, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let list = |list: &[i64]| {
        [
            b"(".to_vec(),
            list.iter().flat_map(|&n| int(n)).collect(),
            b"t".to_vec(),
        ]
        .concat()
    };
    [
        b"\x80\x02}".to_vec(),
        text("t"),
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text(key),
        text("cpu"),
        int(numel),
        b"tQ".to_vec(),
        int(offset),
        list(shape),
        list(strides),
        b"\x89N".to_vec(),
        b"tRs.".to_vec(),
    ]
    .concat()
}

#[test]
fn tensors_that_are_not_in_their_storage_are_refused_by_name() {
    let fine = read_pickle(&tensor("0", 2, 0, &[2], &[1])).unwrap();
    assert_eq!(fine.items[0].bytes().unwrap().len(), 8);
    read_pickle(&tensor("0", 2, 1, &[1], &[1])).unwrap();
    read_pickle(&tensor("0", 2, 7, &[0, i64::MAX], &[i64::MAX, 1])).unwrap();
    for pickle in [
        tensor("1", 2, 0, &[2], &[1]),
        tensor("../0", 2, 0, &[2], &[1]),
        tensor("0", 3, 0, &[2], &[1]),
        tensor("0", i64::MAX, 0, &[2], &[1]),
        tensor("0", -1, 0, &[2], &[1]),
        tensor("0", 2, 0, &[3], &[1]),
        tensor("0", 2, 1, &[2], &[1]),
        tensor("0", 2, i64::MAX, &[2], &[1]),
        tensor("0", 2, -1, &[2], &[1]),
        tensor("0", 2, 0, &[2], &[-1]),
        tensor("0", 2, 0, &[2], &[i64::MAX]),
        tensor("0", 2, 0, &[i64::MAX, i64::MAX], &[i64::MAX, i64::MAX]),
        tensor("0", 2, 0, &[2], &[1, 1]),
        tensor("0", 2, 0, &[1; 65], &[1; 65]),
    ] {
        let error = read_pickle(&pickle).unwrap_err().to_string();
        assert!(error.contains("record x/data.pkl: t: "), "{error}");
    }
}

#[test]
fn an_endlessly_expanded_tensor_is_compared_by_its_storage() {
    let evidence = read_pickle(&tensor("0", 2, 0, &[i64::MAX, 4], &[0, 0])).unwrap();
    let item = &evidence.items[0];
    assert_eq!((item.numel(), item.bytes().unwrap().len()), (8, 8));
    assert!(item.declared.as_ref().unwrap().contains("strides [0, 0]"));
}

#[test]
fn pickles_that_lie_are_refused_with_offset_and_reason() {
    read_pickle(b"].").unwrap();
    for pickle in [
        &b""[..],
        b"]",
        b".",
        b"\xff.",
        b"0.",
        b"e.",
        b"(e.",
        b"]]K\x01s.",
        b"}(K\x01u.",
        b"h\x00.",
        b"X\xff\xff\xff\xffab.",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffab.",
        b"\x8b\xff\xff\xff\xff.",
        b"B\xff\xff\xff\x7f.",
        b"ctorch\n",
        b"K\x01K\x02\x93.",
        b"]Nb.",
        b"(o.",
        b"Iabc\n.",
        b"Fabc\n.",
        b"S\n.",
        b"t.",
        b"\x85.",
        b"gx\n.",
        b"](0t.",
    ] {
        let error = read_pickle(pickle).unwrap_err();
        assert!(matches!(error, Error::Unreadable { .. }), "{pickle:?}");
        assert!(
            error.to_string().contains("record x/data.pkl: offset "),
            "{error}"
        );
    }
}

#[test]
fn values_that_contain_themselves_or_share_endlessly_are_bounded() {
    let started = Instant::now();
    // A list in itself, a dict in itself, an object in its own state.
    for pickle in [
        &b"]q\0h\0a."[..],
        b"}q\0K\x01h\0s.",
        b"ca\nb\n)Rq\0h\0b.",
        b"ca\nb\n)Rq\0(h\0lb.",
    ] {
        let evidence = read_pickle(pickle).unwrap();
        assert!(
            evidence
                .items
                .iter()
                .any(|item| item.declared.as_deref() == Some("reference"))
        );
    }
    // Ten lists of ten times the one before: 10^40 numbers.
    let mut laughs = b"]q\0".to_vec();
    for level in 0..40u8 {
        laughs.extend(
            [
                b"](".to_vec(),
                [b'h', level].repeat(10),
                vec![b'e', b'q', level + 1],
            ]
            .concat(),
        );
    }
    laughs.push(b'.');
    assert!(
        read_pickle(&laughs)
            .unwrap_err()
            .to_string()
            .contains("values")
    );
    // The same long string under very many names, and in very many keys.
    let mut many = [
        b"(X\0\0\x10\0".to_vec(),
        vec![b'a'; 1 << 20],
        b"q\0".to_vec(),
    ]
    .concat();
    many.extend(b"h\0".repeat(200_000));
    many.extend(b"t.");
    let evidence = read_pickle(&many).unwrap_err().to_string();
    assert!(evidence.contains("bytes"), "{evidence}");
    // A million levels, and names that grow with each.
    let deep = [b"]".repeat(1_000_000), b"a".repeat(999_999), b".".to_vec()].concat();
    assert!(
        read_pickle(&deep)
            .unwrap_err()
            .to_string()
            .contains("inside each other")
    );
    let shallow = [b"]".repeat(900), b"a".repeat(899), b".".to_vec()].concat();
    assert_eq!(read_pickle(&shallow).unwrap().items.len(), 1);
    assert!(started.elapsed() < Duration::from_mins(1));
}

#[test]
fn archives_that_lie_are_refused() {
    let pickle: &[u8] = b"].";
    read_bytes(&archive(&[("x/data.pkl", pickle)])).unwrap();
    for records in [
        &[][..],
        &[("data.pkl", pickle)],
        &[("x/y/data.pkl", pickle)],
        &[("x/data.pkl", pickle), ("y/data.pkl", pickle)],
        &[("x/data.pkl", pickle), ("x/data.pkl", pickle)],
        &[("x/data.pkl", pickle), ("x/../data/0", pickle)],
        &[("x/data.pkl", pickle), ("/etc/passwd", pickle)],
        &[("x/data.pkl", pickle), ("x\\data", pickle)],
        &[("x/data.pkl", pickle), ("x/byteorder", b"middle")],
    ] {
        let error = read_bytes(&archive(records)).unwrap_err();
        assert!(matches!(error, Error::Unreadable { .. }), "{records:?}");
    }
    let good = archive(&[("x/data.pkl", pickle), ("x/data/0", &[0; 8])]);
    read_bytes(&good).unwrap();
    // Encrypted; a method nobody knows; a size that is not the stored one; a place inside another record.
    let central = good
        .windows(4)
        .position(|four| four == b"PK\x01\x02")
        .unwrap();
    for (at, value) in [(8, 1), (10, 99), (24, 3), (20, 200), (42, 60)] {
        let mut bad = good.clone();
        bad[central + at] = value;
        assert!(read_bytes(&bad).is_err(), "{at}");
    }
    // What comes before an archive or after it is not looked at by every reader, so it is refused.
    assert!(read_bytes(&[b"prefix", &good[..]].concat()).is_err());
    assert!(read_bytes(&[&good[..], b"suffix"].concat()).is_err());
}

#[test]
fn a_record_that_claims_to_unpack_to_more_than_it_can_is_refused() {
    let bytes = std::fs::read(fixture("deflated.pt")).unwrap();
    let central = bytes
        .windows(4)
        .position(|four| four == b"PK\x01\x02")
        .unwrap();
    let mut bomb = bytes.clone();
    bomb[central + 24..central + 28].copy_from_slice(&0xffff_fff0u32.to_le_bytes());
    let error = read_bytes(&bomb).unwrap_err().to_string();
    assert!(error.contains("cannot come of"), "{error}");
    read_bytes(&bytes).unwrap();
}

/// The same archive with all sizes and places in zip64 fields.
fn widened(narrow: &[u8]) -> Vec<u8> {
    let central = narrow
        .windows(4)
        .position(|four| four == b"PK\x01\x02")
        .unwrap();
    let end = narrow.len() - 22;
    let mut wide = narrow[..central].to_vec();
    let mut at = central;
    while at < end {
        let name = usize::from(u16::from_le_bytes([narrow[at + 28], narrow[at + 29]]));
        let mut row = narrow[at..at + 46 + name].to_vec();
        let long = |place: usize| [&narrow[at + place..at + place + 4], &[0; 4]].concat();
        row.extend([&[1, 0, 24, 0][..], &long(24), &long(20), &long(42)].concat());
        row[20..28].fill(0xff);
        row[42..46].fill(0xff);
        row[30] = 28;
        wide.extend(row);
        at += 46 + name;
    }
    let end_64 = wide.len() as u64;
    let count = u64::from(narrow[end + 8]).to_le_bytes();
    let place = [
        (end_64 - central as u64).to_le_bytes(),
        (central as u64).to_le_bytes(),
    ]
    .concat();
    wide.extend(
        [
            b"PK\x06\x06",
            &44u64.to_le_bytes()[..],
            &[0; 12],
            &count,
            &count,
            &place,
        ]
        .concat(),
    );
    wide.extend(
        [
            b"PK\x06\x07\0\0\0\0",
            &end_64.to_le_bytes()[..],
            &[1, 0, 0, 0],
        ]
        .concat(),
    );
    wide.extend([b"PK\x05\x06\0\0\0\0", &[0xff; 12][..], &[0, 0]].concat());
    wide
}

#[test]
fn an_archive_with_zip64_fields_is_the_same_archive() {
    let narrow = archive(&[
        ("x/data.pkl", &tensor("0", 2, 0, &[2], &[1])),
        ("x/data/0", &[7; 8]),
    ]);
    let wide = widened(&narrow);
    let one = read_bytes(&narrow).unwrap();
    assert_eq!(all_said(&read_bytes(&wide).unwrap()), all_said(&one));
    assert_eq!(one.items[0].bytes().unwrap().as_ref(), [7; 8]);
    for at in narrow.len() - 22..wide.len() {
        // Wherever a field says something else, the file is refused or the same: never another one.
        let mut bad = wide.clone();
        bad[at] ^= 1;
        if let Ok(evidence) = read_bytes(&bad) {
            assert_eq!(all_said(&evidence), all_said(&one), "{at}");
        }
        assert!(read_bytes(&wide[..at]).is_err());
    }
}

#[test]
fn what_is_no_evidence_is_in_the_container_or_a_note() {
    let state = read("checkpoint.pt");
    assert!(container(&state, "model._metadata").is_some_and(|text| text.contains("version")));
    let views = read("views.pt");
    let tied = views
        .container
        .iter()
        .find(|entry| entry.0.starts_with("storage of "));
    assert!(tied.is_some_and(|entry| format!("{entry:?}").contains("tied again")));
    let mut bytes = std::fs::read(fixture("tensor.pt")).unwrap();
    assert!(read_bytes(&bytes).unwrap().notes.is_empty());
    let central = bytes
        .windows(4)
        .position(|four| four == b"PK\x01\x02")
        .unwrap();
    bytes[central + 16] ^= 1;
    assert!(read_bytes(&bytes).unwrap().notes[0].contains("checksum"));
}

#[test]
fn plain_numbers_and_texts_keep_their_values() {
    for (pickle, declared, bytes) in [
        (&b"I01\n."[..], None, &[1][..]),
        (b"L-12L\n.", None, &(-12i64).to_le_bytes()),
        (
            b"L99999999999999999999L\n.",
            Some("int"),
            b"99999999999999999999",
        ),
        (
            b"\x8a\x09\0\0\0\0\0\0\0\0\x01.",
            Some("int"),
            b"18446744073709551616",
        ),
        (
            b"\x8a\x09\0\0\0\0\0\0\0\0\xff.",
            Some("int"),
            b"-18446744073709551616",
        ),
        (b"\x8a\x00.", None, &[0; 8]),
        (b"F-0.0\n.", None, &(-0.0f64).to_le_bytes()),
        (b"V\\u00e4\n.", Some("str"), "\u{e4}".as_bytes()),
        (b"S'ab'\n.", Some("str"), b"ab"),
    ] {
        let evidence = read_pickle(pickle).unwrap();
        let item = &evidence.items[0];
        assert_eq!(
            (item.name.as_str(), item.declared.as_deref()),
            ("value", declared)
        );
        assert_eq!(item.bytes().unwrap().as_ref(), bytes);
    }
    let twice =
        read_pickle(b"}(X\x01\0\0\0aK\x01X\x01\0\0\0aK\x02K\x05NX\x01\0\0\x005Nu.").unwrap();
    let names: Vec<_> = twice.items.iter().map(|item| item.name.as_str()).collect();
    assert_eq!(names, ["5", "5#2", "a"]);
    assert_eq!(twice.items[2].bytes().unwrap()[0], 2);
}

/// Reads damaged bytes and everything that still seems to be there.
fn survive(bytes: &[u8]) -> std::result::Result<(), TestCaseError> {
    survives(|| read_bytes(bytes))
}

fn survives(read: impl Fn() -> Result<Evidence>) -> std::result::Result<(), TestCaseError> {
    let started = Instant::now();
    match read() {
        Ok(evidence) => {
            for item in &evidence.items {
                if let Ok(bytes) = item.bytes() {
                    prop_assert_eq!(bytes.len() as u64, item.numel() * item.dtype.size() as u64);
                }
            }
        }
        Err(error) => prop_assert!(matches!(error, Error::Unreadable { .. }), "{}", error),
    }
    prop_assert!(started.elapsed() < Duration::from_secs(5));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_flipped_bytes_make_it_panic_or_hang(
        which in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let files = fixtures();
        let mut bytes = std::fs::read(fixture(which.get(&files[..]).as_str())).unwrap();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        survive(&bytes)?;
    }

    #[test]
    fn no_flipped_bytes_of_a_pickle_make_it_panic_or_hang(
        which in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let files: Vec<_> = fixtures()
            .into_iter()
            .filter(|name| name != "deflated.pt" && !name.starts_with("exported"))
            .collect();
        let mut bytes = std::fs::read(fixture(which.get(&files[..]).as_str())).unwrap();
        // The pickle begins with its protocol and ends before the next record.
        let from = bytes.windows(2).position(|two| two[0] == 0x80 && (2..6).contains(&two[1])).unwrap();
        let long = bytes[from..].windows(4).position(|four| four == b"PK\x07\x08" || four == b"PK\x03\x04").unwrap();
        for (at, value) in flips {
            bytes[from + at.index(long)] = value;
        }
        survive(&bytes)?;
    }

    #[test]
    fn no_flipped_bytes_without_an_archive_make_it_panic_or_hang(
        module in any::<bool>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let file = if module { "legacy_module.pt" } else { "legacy_4.pt" };
        let mut bytes = std::fs::read(fixture(file)).unwrap();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        survives(|| read_legacy(&bytes))?;
    }

    #[test]
    fn no_cut_file_is_read(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>()) {
        let files = fixtures();
        let bytes = std::fs::read(fixture(which.get(&files[..]).as_str())).unwrap();
        let refused = matches!(read_bytes(&bytes[..at.index(bytes.len())]), Err(Error::Unreadable { .. }));
        prop_assert!(refused);
    }

    #[test]
    fn no_pickle_at_all_makes_it_panic_or_hang(pickle in prop::collection::vec(any::<u8>(), 0..200)) {
        survive(&archive(&[("x/data.pkl", &pickle), ("x/data/0", &[0; 8])]))?;
    }

    #[test]
    fn no_sequence_of_opcodes_makes_it_panic_or_hang(
        codes in prop::collection::vec(prop::sample::select(&b"(012NK\x88\x89)]}\x8fte\x85\x86\x87lduasQRob\x81\x94\x93\x90\x91h\x00\x01"[..]), 0..100),
    ) {
        survive(&archive(&[("x/data.pkl", &[b"ca\nb\n", &codes[..], b"."].concat()), ("x/data/0", &[0; 8])]))?;
    }
}
