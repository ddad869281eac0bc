//! What a person who trusts `samebits diff` must be able to rely on: one unreadable file hides nothing, nothing that was not
//! compared is green, the tighter rule wins, and every report carries controls that can fail.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::Value;

/// Exit code and report.
fn diff(reference: &Path, candidate: &Path, flags: &[&str]) -> (i32, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_samebits"))
        .args(["diff", "--format", "json"])
        .args([reference, candidate])
        .args(flags)
        .output()
        .unwrap();
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{flags:?}: {error}"));
    let code = output.status.code().unwrap();
    assert_eq!(report["exit_code"], code, "{report}");
    (code, report)
}

fn text(reference: &Path, candidate: &Path, flags: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_samebits"))
        .arg("diff")
        .args([reference, candidate])
        .args(flags)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn tensor(path: &Path, dtype: Dtype, bytes: &[u8]) -> PathBuf {
    tensors(path, &[("w", dtype, bytes)])
}

fn tensors(path: &Path, all: &[(&str, Dtype, &[u8])]) -> PathBuf {
    let view = |(name, dtype, bytes): &(&str, Dtype, &'_ [u8])| {
        let numel = bytes.len() * 8 / dtype.bitsize();
        // The borrow outlives the call.
        (name.to_string(), *dtype, numel, bytes.to_vec())
    };
    let owned: Vec<_> = all.iter().map(view).collect();
    let views = owned.iter().map(|(name, dtype, numel, bytes)| {
        (
            name.as_str(),
            TensorView::new(*dtype, vec![*numel], bytes).unwrap(),
        )
    });
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
    path.to_path_buf()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn longs(values: &[i64]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// Two folders with one good file each; the second may hold other numbers.
fn folders(candidate: &[f32]) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let top = tempfile::tempdir().unwrap();
    let (a, b) = (top.path().join("a"), top.path().join("b"));
    tensor(
        &a.join("good.safetensors"),
        Dtype::F32,
        &floats(&[1.0, 2.0]),
    );
    tensor(&b.join("good.safetensors"), Dtype::F32, &floats(candidate));
    (top, a, b)
}

#[test]
fn an_unreadable_file_hides_neither_a_difference_nor_the_list_of_the_others() {
    let zip_cut_off = b"PK\x03\x04 and no more".as_slice();
    for (name, ours, theirs, code) in [
        (
            "bad.npy",
            b"\x93NUMPY\x01\x00 cut".as_slice(),
            b"\x93NUMPY\x01\x00 cut off".as_slice(),
            "damaged",
        ),
        ("bad.npz", zip_cut_off, b"PK\x03\x04", "damaged"),
        ("bad.safetensors", b"x", b"y", "damaged"),
    ] {
        let (_top, a, b) = folders(&[1.0, 2.0]);
        fs::write(a.join(name), ours).unwrap();
        fs::write(b.join(name), theirs).unwrap();
        let (exit, report) = diff(&a, &b, &[]);
        assert_eq!(
            (exit, &report["reason_code"]),
            (2, &code.into()),
            "{report}"
        );
        assert_eq!(report["tensors"][0]["status"], "identical", "{report}");
        assert_eq!(report["unread"][0]["key"], name, "{report}");
        assert_eq!(report["counts"]["unread"], 1, "{report}");
        assert!(
            report["next"][0]
                .as_str()
                .is_some_and(|hint| !hint.is_empty()),
            "{report}"
        );
        assert!(text(&a, &b, &[]).contains(name));
        // A difference elsewhere is a difference, whatever could not be read.
        let (_top, a, b) = folders(&[1.0, 3.0]);
        fs::write(a.join(name), ours).unwrap();
        fs::write(b.join(name), theirs).unwrap();
        let (exit, report) = diff(&a, &b, &[]);
        assert_eq!(
            (exit, &report["verdict"]),
            (1, &"diverged".into()),
            "{report}"
        );
        assert_eq!(report["unread"][0]["code"], code, "{report}");
        // Left out, it decides nothing.
        assert_eq!(
            diff(&a, &b, &["--ignore", name, "--ignore", "w"]).1["reason_code"],
            "nothing-matched"
        );
    }
}

#[test]
fn equal_bytes_are_equal_whatever_they_are_and_that_is_said() {
    let (_top, a, b) = folders(&[1.0, 2.0]);
    for side in [&a, &b] {
        fs::write(side.join("bad.npy"), b"\x93NUMPY\x01\x00 cut off").unwrap();
        fs::write(side.join("blob.xyz"), [0u8, 1, 2, 255]).unwrap();
    }
    let (exit, report) = diff(&a, &b, &[]);
    assert_eq!(exit, 0, "{report}");
    let notes = report["notes"].to_string();
    assert!(
        notes.contains("bad.npy")
            && notes.contains("damaged")
            && notes.contains("compared as bytes"),
        "{notes}"
    );
    assert!(
        notes.contains("blob.xyz: compared as bytes, since the kind of file is not known"),
        "{notes}"
    );
}

#[test]
fn words_and_bytes_get_no_advice_about_tolerances_and_numbers_do() {
    let top = tempfile::tempdir().unwrap();
    let at = |name: &str, bytes: &[u8]| {
        let path = top.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    for (one, other) in [
        (at("a.bin", b"\0\x01"), at("b.bin", b"\0\x02")),
        (at("a.txt", b"loss 1"), at("b.txt", b"loss 2")),
    ] {
        let (exit, report) = diff(&one, &other, &[]);
        assert_eq!(exit, 1, "{report}");
        assert!(!report["next"].to_string().contains("--close"), "{report}");
    }
    let (_top, a, b) = folders(&[1.0, 3.0]);
    assert!(diff(&a, &b, &[]).1["next"].to_string().contains("--close"));
}

#[test]
fn a_tighter_override_decides_under_a_wider_rule_and_a_wider_one_under_a_tighter() {
    let (top, a, b) = folders(&[1.0, 2.0005]);
    let rules = |text: &str| {
        let path = top.path().join("rules.toml");
        fs::write(
            &path,
            format!("[[override]]\nname = \"w\"\nreason = \"test\"\n{text}"),
        )
        .unwrap();
        path.to_str().unwrap().to_owned()
    };
    let wide = ["--rtol", "1e-3", "--atol", "1e-3"];
    assert_eq!(diff(&a, &b, &wide).1["verdict"], "close");
    for (text, flags, verdict, needed) in [
        ("rtol = 0.0\natol = 0.0", &wide[..], "diverged", 1),
        ("rtol = 1e-3\natol = 1e-3", &wide[..], "close", 0),
        ("rtol = 1e-3\natol = 1e-3", &[][..], "close", 1),
        ("rtol = 1e-6\natol = 0.0", &[][..], "diverged", 0),
    ] {
        let file = rules(text);
        let flags = [flags, &["--overrides", &file]].concat();
        let (_, report) = diff(&a, &b, &flags);
        assert_eq!(report["verdict"], verdict, "{text}: {report}");
        assert_eq!(
            report["exceptions"][0]["needed"], needed,
            "{text}: {report}"
        );
    }
}

#[test]
fn where_torchs_own_arithmetic_calls_different_integers_close_that_is_said() {
    let top = tempfile::tempdir().unwrap();
    let at = |name: &str| top.path().join(name);
    let unsigned = tensor(
        &at("u.safetensors"),
        Dtype::U64,
        &[longs(&[-1, 7]), vec![]].concat(),
    );
    let signed = tensor(&at("i.safetensors"), Dtype::I64, &longs(&[-1, 7]));
    let (exit, report) = diff(&unsigned, &signed, &["--no-check-dtype"]);
    assert_eq!((exit, &report["verdict"]), (0, &"close".into()), "{report}");
    assert!(
        report["notes"].to_string().contains("2^64 - 1 equals -1"),
        "{report}"
    );
    let one = tensor(&at("a.safetensors"), Dtype::I64, &longs(&[1 << 60, 7]));
    let other = tensor(
        &at("b.safetensors"),
        Dtype::I64,
        &longs(&[(1 << 60) + 1000, 7]),
    );
    let loose = ["--rtol", "0", "--atol", "0.5"];
    let (exit, report) = diff(&one, &other, &loose);
    assert_eq!((exit, &report["verdict"]), (0, &"close".into()), "{report}");
    assert!(report["notes"].to_string().contains("2^24"), "{report}");
    // The control: small integers are told apart, and nothing is said.
    let one = tensor(&at("c.safetensors"), Dtype::I64, &longs(&[1000, 7]));
    let other = tensor(&at("d.safetensors"), Dtype::I64, &longs(&[1001, 7]));
    let (exit, report) = diff(&one, &other, &loose);
    assert_eq!(exit, 1, "{report}");
    assert!(!report["notes"].to_string().contains("2^24"), "{report}");
}

#[test]
fn one_tensor_that_torch_does_not_compare_under_a_tolerance_leaves_the_others_compared() {
    let top = tempfile::tempdir().unwrap();
    let write = |name: &str, small: u8, float: f32| {
        let floats = floats(&[float, 2.0]);
        let all = [
            ("f8", Dtype::F8_E4M3, &[small, 0x40][..]),
            ("w", Dtype::F32, &floats),
        ];
        tensors(&top.path().join(name), &all)
    };
    let (a, same) = (
        write("a.safetensors", 0x38, 1.0),
        write("same.safetensors", 0x38, 1.000_001),
    );
    let (small, both) = (
        write("small.safetensors", 0x39, 1.0),
        write("both.safetensors", 0x39, 1.5),
    );
    let loose = ["--rtol", "1e-3", "--atol", "1e-3"];
    let (exit, report) = diff(&a, &small, &loose);
    assert_eq!(
        (exit, &report["reason_code"]),
        (2, &"unsupported".into()),
        "{report}"
    );
    assert!(
        report["reason"]
            .as_str()
            .unwrap()
            .contains("low dimensional floats"),
        "{report}"
    );
    assert_eq!(report["tensors"][0]["key"], "w", "{report}");
    assert_eq!(diff(&a, &both, &loose).0, 1);
    assert_eq!(diff(&a, &same, &["--close"]).1["verdict"], "close");
}

#[test]
fn two_links_to_one_folder_are_both_followed_and_a_circle_is_not() {
    let top = tempfile::tempdir().unwrap();
    let at = |name: &str| top.path().join(name);
    tensor(&at("data/x.safetensors"), Dtype::F32, &floats(&[1.0, 2.0]));
    symlink(at("data"), at("data/circle")).unwrap();
    for side in ["a", "b"] {
        tensor(
            &at(side).join("w.safetensors"),
            Dtype::F32,
            &floats(&[1.0, 2.0]),
        );
        for link in ["first", "second", "third"] {
            symlink(at("data"), at(side).join(link)).unwrap();
        }
    }
    let (exit, report) = diff(&at("a"), &at("b"), &[]);
    assert_eq!(exit, 0, "{report}");
    let keys = report["tensors"].to_string();
    for link in ["first", "second", "third"] {
        assert!(keys.contains(&format!("{link}/x.safetensors:w")), "{keys}");
    }
}

#[test]
fn every_report_carries_controls_and_rules_that_accept_anything_fail_them() {
    let (_top, a, b) = folders(&[1.0, 2.0]);
    let (exit, report) = diff(&a, &b, &[]);
    let controls = report["controls"].as_array().unwrap();
    assert_eq!(exit, 0, "{report}");
    assert_eq!(controls.len(), 2, "{report}");
    assert!(
        controls.iter().all(|control| control["passed"] == true),
        "{report}"
    );
    for flags in [
        &["--close"][..],
        &["--rtol", "0.1", "--atol", "0.1"],
        &["--max-ulp", "4"],
    ] {
        let (exit, report) = diff(&a, &b, flags);
        assert_eq!(exit, 0, "{report}");
        assert_eq!(report["controls"][1]["name"], "one-value", "{report}");
    }
    for flags in [
        &["--rtol", "0", "--atol", "1e300"][..],
        &["--rtol", "1e9", "--atol", "0"],
        &["--max-ulp", "18446744073709551615"],
    ] {
        let (exit, report) = diff(&a, &b, flags);
        assert_eq!(
            (exit, &report["reason_code"]),
            (2, &"control-failed".into()),
            "{flags:?}: {report}"
        );
        assert!(
            report["reason"].as_str().unwrap().contains("one-value"),
            "{report}"
        );
    }
    // Where the values differ, a tolerance that hides it is no better.
    let (_top, a, b) = folders(&[1.0, 1e6]);
    let (exit, report) = diff(&a, &b, &["--rtol", "0", "--atol", "1e300"]);
    assert_eq!(
        (exit, &report["reason_code"]),
        (2, &"control-failed".into()),
        "{report}"
    );
}

#[test]
fn a_difference_in_nan_under_a_tolerance_is_a_difference_and_not_a_failed_control() {
    let top = tempfile::tempdir().unwrap();
    let nan = tensor(
        &top.path().join("a.safetensors"),
        Dtype::F32,
        &floats(&[f32::NAN, 2.0, 3.0]),
    );
    let copy = tensor(
        &top.path().join("b.safetensors"),
        Dtype::F32,
        &floats(&[f32::NAN, 2.0, 3.0]),
    );
    assert_eq!(diff(&nan, &copy, &[]).0, 0);
    let (exit, report) = diff(&nan, &copy, &["--close"]);
    assert_eq!(
        (exit, &report["verdict"]),
        (1, &"diverged".into()),
        "{report}"
    );
    assert_eq!(diff(&nan, &copy, &["--close", "--equal-nan"]).0, 0);
}

#[test]
fn very_many_files_with_the_same_note_take_time_in_proportion() {
    // Notes were compared each with each: 40,000 files took minutes. Counted here is work, not time.
    let top = tempfile::tempdir().unwrap();
    let (a, b) = (top.path().join("a"), top.path().join("b"));
    for side in [&a, &b] {
        fs::create_dir(side).unwrap();
        for number in 0..4_000 {
            fs::write(side.join(format!("{number}.xyz")), [0u8, 1, 255]).unwrap();
        }
    }
    let (exit, report) = diff(&a, &b, &[]);
    assert_eq!(exit, 0, "{}", report["reason"]);
    let notes = report["notes"].as_array().unwrap();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].as_str().unwrap().contains("and 3995 more"),
        "{notes:?}"
    );
}

#[test]
fn agreement_on_what_no_computation_could_have_changed_is_inconclusive() {
    let top = tempfile::tempdir().unwrap();
    let at = |name: &str| top.path().join(name);
    let nan = floats(&[f32::NAN; 2]);
    let text = |name: &str, text: &str| {
        fs::write(at(name), text).unwrap();
        at(name)
    };
    for (file, words) in [
        (
            tensor(&at("zeros.safetensors"), Dtype::F32, &floats(&[0.0, 0.0])),
            "constant, NaN or infinite",
        ),
        (
            tensors(
                &at("broke-down.safetensors"),
                &[
                    ("w", Dtype::F32, &nan),
                    ("b", Dtype::F32, &nan),
                    ("positions", Dtype::F32, &floats(&[1.0, 2.0])),
                ],
            ),
            "2 of 3 arrays of floats hold nothing but NaN",
        ),
        (text("done.txt", "Training done"), "only a few words"),
        (
            text("status.json", "{\"status\": \"ok\"}"),
            "only a few words",
        ),
        (text("version.txt", "Python 3.11.2\n"), "only a few words"),
        (
            text("loss.json", "{\"loss\": NaN, \"epoch\": 3}"),
            "every float is NaN",
        ),
    ] {
        let (exit, report) = diff(&file, &file, &[]);
        assert_eq!(
            (exit, &report["reason_code"]),
            (2, &"vacuous".into()),
            "{}: {report}",
            file.display()
        );
        assert!(
            report["reason"].as_str().unwrap().contains(words),
            "{report}"
        );
    }
    for file in [
        tensor(&at("w.safetensors"), Dtype::F32, &floats(&[0.0, 0.5])),
        text("loss.txt", "loss 0.25"),
        text("loss2.json", "{\"loss\": 0.25, \"note\": NaN}"),
    ] {
        let (exit, report) = diff(&file, &file, &[]);
        assert_eq!(exit, 0, "{}: {report}", file.display());
    }
}

#[test]
fn a_name_that_was_asked_for_and_is_not_there_is_no_agreement() {
    let (_top, a, b) = folders(&[1.0, 2.0]);
    let (exit, report) = diff(&a, &b, &["--only", "w", "--only", "vv"]);
    assert_eq!(
        (exit, &report["reason_code"]),
        (2, &"nothing-matched".into()),
        "{report}"
    );
    assert!(
        report["reason"].as_str().unwrap().contains("--only vv"),
        "{report}"
    );
    assert_eq!(diff(&a, &b, &["--only", "w"]).0, 0);
    // What differs is known all the same.
    let (_top, a, b) = folders(&[1.0, 3.0]);
    assert_eq!(diff(&a, &b, &["--only", "w", "--only", "vv"]).0, 1);
}
