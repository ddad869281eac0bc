//! `samebits diff` as people and scripts meet it: exit codes, the report, names, exceptions. What must be caught stands
//! beside what must pass.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::Value;

fn samebits(arguments: &[&str]) -> (i32, Value, String) {
    let run = |extra: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_samebits"))
            .arg("diff")
            .args(arguments)
            .args(extra)
            .output()
            .unwrap()
    };
    let json = run(&["--format", "json"]);
    let text = run(&[]);
    assert_eq!(json.status.code(), text.status.code(), "{arguments:?}");
    let report: Value = serde_json::from_slice(&json.stdout)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
    let code = json.status.code().unwrap();
    assert_eq!(report["exit_code"], code, "{arguments:?}");
    (code, report, String::from_utf8(text.stdout).unwrap())
}

fn between(reference: &Path, candidate: &Path, flags: &[&str]) -> (i32, Value, String) {
    let mut arguments = vec![reference.to_str().unwrap(), candidate.to_str().unwrap()];
    arguments.extend(flags);
    samebits(&arguments)
}

/// Writes float32 tensors.
fn write(path: &Path, tensors: &[(&str, &[usize], &[f32])]) -> PathBuf {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(.., values)| {
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        })
        .collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        (
            *name,
            TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap(),
        )
    });
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
    path.to_path_buf()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

#[test]
fn every_kind_of_difference_has_its_exit_code_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let values = [1.0f32, 2.0, 3.0, 4.0];
    let reference = write(
        &at("a.safetensors"),
        &[("w", &[4], &values), ("b", &[1], &[0.5])],
    );
    let same = write(
        &at("same.safetensors"),
        &[("w", &[4], &values), ("b", &[1], &[0.5])],
    );
    let (code, report, text) = between(&reference, &same, &[]);
    assert_eq!(
        (code, &report["verdict"]),
        (0, &"identical".into()),
        "{text}"
    );
    assert_eq!(report["counts"]["identical"], 2);

    let ulp = f32::from_bits(3f32.to_bits() + 1);
    let one = write(
        &at("ulp.safetensors"),
        &[("w", &[4], &[1.0, 2.0, ulp, 4.0]), ("b", &[1], &[0.5])],
    );
    let (code, report, text) = between(&reference, &one, &[]);
    assert_eq!(code, 1, "{text}");
    let first = &report["first_divergence"];
    assert_eq!(
        (&first["name"], &first["index"], &first["ulp"]),
        (&"w".into(), &2.into(), &1.into())
    );
    assert!(
        text.contains("Mismatched elements: 1 / 4 (25.0%)"),
        "{text}"
    );
    for (flags, expected) in [
        (&["--close"][..], (0, "close")),
        (&["--max-ulp", "1"], (0, "close")),
        (&["--max-ulp", "0"], (1, "diverged")),
        (&["--rtol", "0", "--atol", "1e-3"], (0, "close")),
        (&["--rtol", "0", "--atol", "0"], (1, "diverged")),
        (&["--only", "b"], (0, "identical")),
        (&["--ignore", "w"], (0, "identical")),
    ] {
        let (code, report, text) = between(&reference, &one, flags);
        assert_eq!(
            (code, report["verdict"].as_str().unwrap()),
            expected,
            "{flags:?}: {text}"
        );
    }

    let missing = write(&at("missing.safetensors"), &[("w", &[4], &values)]);
    let shape = write(
        &at("shape.safetensors"),
        &[("w", &[2, 2], &values), ("b", &[1], &[0.5])],
    );
    let half = at("dtype.safetensors");
    let view = TensorView::new(Dtype::I32, vec![4], &[0; 16]).unwrap();
    let view_b = TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
    fs::write(
        &half,
        safetensors::serialize([("w", view), ("b", view_b)], None).unwrap(),
    )
    .unwrap();
    for (one, other, status) in [
        (&reference, &missing, "missing"),
        (&missing, &reference, "extra"),
        (&reference, &shape, "shape"),
        (&reference, &half, "dtype"),
    ] {
        let (code, report, text) = between(one, other, &[]);
        assert_eq!(code, 1, "{text}");
        let statuses: Vec<&str> = report["tensors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["status"].as_str().unwrap())
            .collect();
        assert!(statuses.contains(&status), "{statuses:?}: {text}");
    }

    let (code, report, text) = between(&reference, &reference, &[]);
    assert_eq!(code, 0);
    assert!(
        report["notes"][0].as_str().unwrap().contains("same place"),
        "{text}"
    );
}

#[test]
fn where_nothing_was_compared_nothing_is_identical() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let whole = write(&at("a.safetensors"), &[("w", &[2], &[1.0, 2.0])]);
    let none = write(&at("none.safetensors"), &[]);
    let hollow = write(&at("hollow.safetensors"), &[("w", &[0], &[])]);
    fs::write(at("empty.safetensors"), "").unwrap();
    fs::write(at("empty.npy"), "").unwrap();
    fs::write(at("empty.pt"), "").unwrap();
    fs::write(at("empty.txt"), "").unwrap();
    fs::write(at("empty2.txt"), "").unwrap();
    fs::create_dir_all(at("folder/inner")).unwrap();
    fs::create_dir_all(at("folder2")).unwrap();
    for (reference, candidate, flags, code, words) in [
        (
            &whole,
            &whole,
            &["--only", "nothing.*"][..],
            "nothing-matched",
            "for example, w",
        ),
        (
            &whole,
            &whole,
            &["--ignore", "*"],
            "nothing-matched",
            "for example, w",
        ),
        (&none, &none, &[], "vacuous", "nothing to compare"),
        (&hollow, &hollow, &[], "vacuous", "only empty ones"),
        (
            &at("empty.txt"),
            &at("empty2.txt"),
            &[],
            "vacuous",
            "only empty ones",
        ),
        (
            &at("folder"),
            &at("folder2"),
            &[],
            "vacuous",
            "nothing to compare",
        ),
        (
            &at("empty.safetensors"),
            &whole,
            &[],
            "damaged",
            "empty.safetensors",
        ),
        (&whole, &at("empty.npy"), &[], "damaged", "empty.npy"),
        (&whole, &at("empty.pt"), &[], "damaged", "empty.pt"),
        (&whole, &at("nowhere"), &[], "io", "nowhere"),
        (&whole, &at("folder"), &[], "usage", "is a folder"),
        (&whole, &whole, &["--rtol", "0.1"], "usage", "'atol'"),
        (
            &whole,
            &whole,
            &["--rtol", "-1", "--atol", "0"],
            "usage",
            "greater than or equal",
        ),
        (
            &whole,
            &whole,
            &["--overrides", "nowhere.toml"],
            "io",
            "nowhere.toml",
        ),
    ] {
        let (exit, report, text) = between(reference, candidate, flags);
        let told = (exit, report["reason_code"].as_str().unwrap());
        assert_eq!(told, (2, code), "{text}");
        assert!(report["reason"].as_str().unwrap().contains(words), "{text}");
        assert!(
            !report["next"].as_array().unwrap().is_empty() || code == "vacuous",
            "{text}"
        );
    }
    // An empty text beside one that is not is a difference.
    fs::write(at("empty2.txt"), "x").unwrap();
    assert_eq!(between(&at("empty.txt"), &at("empty2.txt"), &[]).0, 1);
}

#[test]
fn the_recorded_cases_of_assert_close_agree_with_torch_through_the_command() {
    let text = fs::read_to_string(fixture("assert_close/cases.json")).unwrap();
    let cases: Value = serde_json::from_str(&text).unwrap();
    let (expected, actual) = (
        fixture("assert_close/expected.safetensors"),
        fixture("assert_close/actual.safetensors"),
    );
    let mut seen = [0; 3];
    for case in cases["cases"].as_array().unwrap() {
        let key = case["key"].as_str().unwrap();
        let mut flags = vec!["--only".to_owned(), key.to_owned(), "--close".into()];
        for limit in ["rtol", "atol"] {
            if let Some(value) = case[limit].as_f64() {
                flags.extend([format!("--{limit}"), format!("{value:?}")]);
            }
        }
        if case["equal_nan"] == true {
            flags.push("--equal-nan".into());
        }
        if case["check_dtype"] == false {
            flags.push("--no-check-dtype".into());
        }
        let mut arguments = vec![expected.to_str().unwrap(), actual.to_str().unwrap()];
        arguments.extend(flags.iter().map(String::as_str));
        arguments.extend(["--format", "json"]);
        let output = Command::new(env!("CARGO_BIN_EXE_samebits"))
            .arg("diff")
            .args(&arguments)
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let row = &report["tensors"][0];
        let code = output.status.code().unwrap();
        seen[usize::try_from(code).unwrap()] += 1;
        // Where torch finds two empty tensors equal, two of NaN, or two zeros, nothing that was computed was compared: the row
        // says what torch says, and the verdict asks for more.
        let row_agrees =
            ["identical", "close"].contains(&row["status"].as_str().unwrap_or_default());
        let vacuous = report["reason_code"] == "vacuous" && row_agrees && case["close"] == true;
        let expected = if vacuous {
            2
        } else {
            i32::from(case["close"] == false)
        };
        assert_eq!(code, expected, "{key}: {report}");
        if let Some(attribute) = case["attribute"].as_str() {
            assert_eq!(row["status"], attribute, "{key}");
        } else if case["close"] == false {
            assert_eq!(
                row["mismatched"],
                case["mismatched"].as_u64().unwrap_or(1),
                "{key}"
            );
            for (ours, torch) in [
                ("greatest_abs", "greatest_absolute"),
                ("greatest_rel", "greatest_relative"),
            ] {
                assert_eq!(row[ours]["index"], case[torch]["index"], "{key}");
            }
        }
    }
    assert_eq!(seen.iter().sum::<i32>(), 400, "{seen:?}");
    // 72 pairs of empty tensors, two of NaN, two of zero.
    assert_eq!(seen[2], 76, "{seen:?}");
    assert!(seen[0] > 100 && seen[1] > 200, "{seen:?}");
}

#[test]
fn contents_count_and_containers_are_only_noted() {
    let torch = |name: &str| fixture("evidence/torch").join(name);
    let arrays = |name: &str| fixture("evidence/arrays").join(name);
    for (one, other) in [
        (torch("checkpoint.pt"), torch("other_name_and_order.pt")),
        (arrays("stored.npz"), arrays("later.npz")),
        (arrays("stored.npz"), arrays("deflated.npz")),
        (arrays("value.json"), arrays("value_reordered.json")),
        (arrays("f4.npy"), arrays("f4_big_fortran.npy")),
    ] {
        let (code, report, text) = between(&one, &other, &[]);
        assert_eq!(code, 0, "{} {}: {text}", one.display(), other.display());
        assert_eq!(report["verdict"], "identical", "{text}");
    }
    let (code, report, text) = between(
        &torch("checkpoint.pt"),
        &torch("one_number_different.pt"),
        &[],
    );
    assert_eq!(
        (code, &report["counts"]["differing"]),
        (1, &1.into()),
        "{text}"
    );
    // The same tensors in files of two kinds.
    let (code, report, _) = between(&arrays("stored.npz"), &arrays("later.npz"), &[]);
    assert_eq!(code, 0);
    assert!(
        report["notes"].to_string().contains("packed differently"),
        "{report}"
    );
}

#[test]
fn folders_are_paired_by_path_and_patterns_choose_files_and_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let make = |side: &str, loss: &str| {
        let root = folder.path().join(side);
        write(
            &root.join("step/1/model.safetensors"),
            &[("w", &[2], &[1.0, 2.0])],
        );
        fs::write(
            root.join("metrics.csv"),
            format!("step,loss,time\n1,{loss},{side}\n"),
        )
        .unwrap();
        fs::write(root.join("log.txt"), format!("started by {side}\nend\n")).unwrap();
        // A link in a circle, one that leads nowhere, and one to a file.
        std::os::unix::fs::symlink(&root, root.join("step/again")).unwrap();
        std::os::unix::fs::symlink("gone", root.join("dangling")).unwrap();
        std::os::unix::fs::symlink("metrics.csv", root.join("latest.csv")).unwrap();
        root
    };
    let (a, b) = (make("a", "0.5"), make("b", "0.5"));
    let (code, report, text) = between(&a, &b, &[]);
    assert_eq!(code, 1, "{text}");
    let keys = |report: &Value| -> Vec<String> {
        let rows = report["tensors"].as_array().unwrap().iter();
        rows.filter(|row| row["status"] != "identical")
            .map(|row| row["key"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        keys(&report),
        ["latest.csv:time", "log.txt:bytes", "metrics.csv:time"]
    );
    assert!(text.contains("line 1, character"), "{text}");
    for flags in [
        &["--ignore", "*.txt", "--ignore", "time"][..],
        &["--ignore", "log.txt", "--ignore", "*.csv:time"],
        &["--only", "model.safetensors"],
        &["--only", "step/1/*"],
        &["--only", "w"],
    ] {
        let (code, _, text) = between(&a, &b, flags);
        assert_eq!(code, 0, "{flags:?}: {text}");
    }
    // A damaged file stops the judgement unless it was left out.
    fs::write(b.join("step/1/model.safetensors"), "short").unwrap();
    let (code, report, _) = between(&a, &b, &["--ignore", "*.txt", "--ignore", "time"]);
    assert_eq!((code, &report["reason_code"]), (2, &"damaged".into()));
    // It may hold a tensor of that name; it holds nothing of another file's.
    assert_eq!(between(&a, &b, &["--only", "w"]).0, 2);
    assert_eq!(between(&a, &b, &["--only", "metrics.csv:loss"]).0, 0);
    assert_eq!(
        between(&a, &b, &["--only", "metrics.csv", "--ignore", "time"]).0,
        0
    );
    // A file on one side only.
    fs::remove_file(b.join("step/1/model.safetensors")).unwrap();
    let (code, report, _) = between(&a, &b, &["--ignore", "*.txt", "--ignore", "time"]);
    assert_eq!(
        (code, keys(&report)),
        (1, vec!["step/1/model.safetensors".to_owned()])
    );
    assert_eq!(report["first_divergence"]["status"], "missing");
}

#[test]
fn a_pattern_that_means_nothing_is_said_and_a_file_with_another_date_is_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    for side in [&a, &b] {
        write(&side.join("model.safetensors"), &[("w", &[2], &[1.0, 2.0])]);
    }
    let notes = |flags: &[&str]| {
        let (code, report, _) = between(&a, &b, flags);
        assert_eq!(code, 0, "{report}");
        report["notes"].to_string()
    };
    let said = notes(&["--ignore", "optimiser.*", "--only", "w"]);
    assert!(
        said.contains("--ignore optimiser.* means nothing"),
        "{said}"
    );
    assert!(
        !said.contains("--only w")
            && !notes(&["--only", "*.safetensors"]).contains("means nothing")
    );
    for (side, day) in [(&a, 20), (&b, 21)] {
        fs::write(side.join(format!("log-2026-11-{day}.txt")), "same").unwrap();
    }
    assert_eq!(between(&a, &b, &[]).0, 1);
}

#[test]
fn event_files_of_two_runs_are_paired_although_time_host_and_process_name_them() {
    let folder = tempfile::tempdir().unwrap();
    let make = |side: &str, names: [&str; 3]| {
        for (name, fixture_name) in names.iter().zip(["new", "new", "other"]) {
            let path = folder.path().join(side).join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let from = format!("evidence/arrays/{fixture_name}.tfevents");
            fs::copy(fixture(&from), path).unwrap();
        }
        folder.path().join(side)
    };
    let a = make(
        "a",
        [
            "runs/Nov20_12-58-40_here/events.out.tfevents.1763642000.here.7.0",
            "events.out.tfevents.1763642000.here.7.9",
            "events.out.tfevents.1763642000.here.7.10",
        ],
    );
    let b = make(
        "b",
        [
            "runs/Nov21_01-02-03_an.other/events.out.tfevents.1763686923.an.other.41.0",
            "events.out.tfevents.1763686923.an.other.41.1",
            "events.out.tfevents.1763686930.an.other.8.0",
        ],
    );
    let (code, report, text) = between(&a, &b, &[]);
    assert_eq!(code, 0, "{text}");
    assert!(report["notes"].to_string().contains("3 of them"), "{text}");
    let keys = report["tensors"].to_string();
    assert!(keys.contains("1763642000.here.7.10:") && !keys.contains("an.other"));
    // The other way round in time, the second file is not the second.
    let c = make(
        "c",
        [
            "runs/Nov21_01-02-03_an.other/events.out.tfevents.1763686923.an.other.41.0",
            "events.out.tfevents.1763686930.an.other.8.0",
            "events.out.tfevents.1763686923.an.other.41.1",
        ],
    );
    assert_eq!(between(&a, &c, &[]).0, 1);
    // A file more is a difference; in another folder it is another file.
    fs::copy(
        fixture("evidence/arrays/new.tfevents"),
        b.join("events.out.tfevents.1763686999.an.other.9.0"),
    )
    .unwrap();
    let (code, report, _) = between(&a, &b, &[]);
    assert_eq!((code, &report["counts"]["differing"]), (1, &1.into()));
    assert_eq!(report["first_divergence"]["status"], "extra");
}

#[test]
fn no_tolerance_makes_one_word_another() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let loose = &["--rtol", "0.5", "--atol", "9"][..];
    for (one, other) in [
        (at("a.txt", b"loss 1 a"), at("b.txt", b"loss 1 b")),
        (at("a.bin", b"\0\x01"), at("b.bin", b"\0\x02")),
        (
            at("a.json", b"{\"k\": \"a\", \"n\": 7}"),
            at("b.json", b"{\"k\": \"b\", \"n\": 7}"),
        ),
    ] {
        assert_eq!(between(&one, &other, loose).0, 1, "{}", one.display());
        assert_eq!(between(&one, &one, loose).0, 0);
    }
    // Numbers are near each other.
    let (one, other) = (at("c.json", b"{\"k\": 100}"), at("d.json", b"{\"k\": 101}"));
    assert_eq!(between(&one, &other, loose).1["verdict"], "close");
}

#[test]
fn names_that_are_no_utf8_are_compared_too() {
    use std::os::unix::ffi::OsStringExt;
    let folder = tempfile::tempdir().unwrap();
    for (side, text) in [("a", "same 1"), ("b", "same 1"), ("c", "other 1")] {
        fs::create_dir(folder.path().join(side)).unwrap();
        let name = std::ffi::OsString::from_vec(b"odd\xFFname".to_vec());
        fs::write(folder.path().join(side).join(name), text).unwrap();
    }
    let at = |name: &str| folder.path().join(name);
    assert_eq!(between(&at("a"), &at("b"), &[]).0, 0);
    let (code, report, _) = between(&at("a"), &at("c"), &[]);
    assert_eq!(code, 1);
    assert_eq!(report["first_divergence"]["name"], "odd\\xFFname:bytes");
}

#[test]
fn exceptions_apply_are_counted_and_are_said_when_they_are_not_needed() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let a = write(
        &at("a.safetensors"),
        &[
            ("mean", &[1], &[1.0]),
            ("time", &[1], &[5.0]),
            ("w", &[1], &[2.0]),
        ],
    );
    let b = write(
        &at("b.safetensors"),
        &[
            ("mean", &[1], &[1.0001]),
            ("time", &[1], &[6.0]),
            ("w", &[1], &[2.0]),
        ],
    );
    let rules = |text: &str| {
        fs::write(at("rules.toml"), text).unwrap();
        at("rules.toml").to_str().unwrap().to_owned()
    };
    let both = "[[override]]\nname='mean'\nrtol=1e-3\natol=0.0\nreason='summed in any order'\n[[override]]\nname='time'\nignore=true\nreason='a clock'\n";
    let (code, report, text) = between(&a, &b, &["--overrides", &rules(both)]);
    assert_eq!((code, &report["verdict"]), (0, &"close".into()), "{text}");
    assert_eq!(report["exceptions"][1]["needed"], 1);
    assert!(text.contains("a clock"), "{text}");
    // One exception does not hide what another name holds.
    let time = "[[override]]\nname='time'\nignore=true\nreason='a clock'\n";
    let (code, report, _) = between(&a, &b, &["--overrides", &rules(time)]);
    assert_eq!(
        (code, &report["first_divergence"]["name"]),
        (1, &"mean".into())
    );
    // Too tight a tolerance does not help.
    let tight = both.replace("1e-3", "1e-6");
    assert_eq!(between(&a, &b, &["--overrides", &rules(&tight)]).0, 1);
    let idle = format!(
        "{both}[[override]]\nname='w'\nclose=true\nreason='?'\n[[override]]\nname='x*'\nclose=true\nreason='?'\n"
    );
    let (code, report, _) = between(&a, &b, &["--overrides", &rules(&idle)]);
    assert_eq!(code, 0);
    let notes = report["notes"].to_string();
    assert!(
        notes.contains("w is not needed: what it matches agrees")
            && notes.contains("x* is not needed: it is not the first"),
        "{notes}"
    );
    let all = "[[override]]\nname='*'\nignore=true\nreason='everything'\n";
    assert_eq!(between(&a, &b, &["--overrides", &rules(all)]).0, 2);
    let expired = time.replace("reason", "expires=2020-01-01\nreason");
    let (code, report, _) = between(&a, &b, &["--overrides", &rules(&expired)]);
    assert_eq!((code, &report["reason_code"]), (2, &"input".into()));
    assert!(
        report["reason"]
            .as_str()
            .unwrap()
            .contains("expired on 2020-01-01")
    );
}

#[test]
fn a_table_can_be_paired_by_a_column() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name)
    };
    let a = at("a.csv", "step,loss\n1,0.5\n2,0.25\n");
    let b = at("b.csv", "step,loss\n2,0.25\n1,0.5\n");
    let c = at("c.csv", "step,loss\n2,0.25\n3,0.5\n");
    assert_eq!(between(&a, &b, &[]).0, 1);
    assert_eq!(between(&a, &b, &["--key", "step"]).0, 0);
    let (code, report, _) = between(&a, &c, &["--key", "step"]);
    assert_eq!(code, 1);
    assert_eq!(report["first_divergence"]["name"], "loss[step=1]");
}

#[test]
fn rows_of_nothing_but_keys_are_compared_too() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name)
    };
    let (a, b) = (at("a.csv", "step\n1\n2\n"), at("b.csv", "step\n2\n1\n"));
    let c = at("c.csv", "step\n1\n9\n");
    assert_eq!(between(&a, &b, &["--key", "step"]).0, 0);
    assert_eq!(between(&a, &c, &["--key", "step"]).0, 1);
}

#[test]
fn an_input_is_never_replaced_by_a_report_and_a_pipe_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let a = write(&at("one/a.safetensors"), &[("w", &[2], &[1.0, 2.0])]);
    let b = write(&at("two/a.safetensors"), &[("w", &[2], &[1.0, 2.0])]);
    let before = fs::read(&b).unwrap();
    let output = format!("json={}", b.display());
    assert_eq!(between(&a, &b, &["--output", &output]).0, 2);
    assert_eq!(fs::read(&b).unwrap(), before);
    let output = format!("json={}", at("two/report.json").display());
    assert_eq!(between(&at("one"), &at("two"), &["--output", &output]).0, 2);
    let output = format!("json={}", at("report.json").display());
    assert_eq!(between(&at("one"), &at("two"), &["--output", &output]).0, 0);
    nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for odd in [at("pipe"), "/proc/version".into(), "/dev/zero".into()] {
        let (code, report, _) = between(&odd, &a, &[]);
        assert_eq!(
            (code, &report["reason_code"]),
            (2, &"input".into()),
            "{}",
            odd.display()
        );
    }
}

#[test]
fn links_to_folders_elsewhere_are_followed_and_circles_are_not() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (side, value) in [("a", 1.0), ("b", 1.0), ("c", 3.0)] {
        write(
            &at(&format!("{side}-data/w.safetensors")),
            &[("w", &[2], &[value, 2.0])],
        );
        write(
            &at(&format!("{side}/step-1/m.safetensors")),
            &[("w", &[2], &[1.0, 2.0])],
        );
        symlink(at(&format!("{side}-data")), at(side).join("data")).unwrap();
        symlink(at(side).join("step-1"), at(side).join("latest")).unwrap();
        symlink(folder.path(), at(side).join("up")).unwrap();
        symlink("..", at(side).join("step-1/around")).unwrap();
    }
    let (code, _, text) = between(&at("a"), &at("b"), &[]);
    assert_eq!(code, 0, "{text}");
    let (code, report, _) = between(&at("a"), &at("c"), &[]);
    assert_eq!(
        (code, &report["first_divergence"]["name"]),
        (1, &"data/w.safetensors:w".into())
    );
}

#[test]
fn nan_is_equal_by_bits_and_never_by_value_unless_asked() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let a = write(&at("a.safetensors"), &[("w", &[2], &[f32::NAN, 1.0])]);
    let b = write(&at("b.safetensors"), &[("w", &[2], &[f32::NAN, 1.0])]);
    let minus = write(&at("c.safetensors"), &[("w", &[2], &[-0.0, 1.0])]);
    let plus = write(&at("d.safetensors"), &[("w", &[2], &[0.0, 1.0])]);
    assert_eq!(between(&a, &b, &[]).0, 0);
    assert_eq!(between(&a, &b, &["--close"]).0, 1);
    assert_eq!(between(&a, &b, &["--close", "--equal-nan"]).0, 0);
    assert_eq!(between(&a, &b, &["--max-ulp", "1"]).0, 0);
    let (code, _, text) = between(&minus, &plus, &[]);
    assert_eq!(code, 1);
    assert!(text.contains("−0 1 → 0"), "{text}");
    assert_eq!(between(&minus, &plus, &["--close"]).0, 0);
}

#[test]
fn a_huge_report_is_capped_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let table = |name: &str, add: usize| {
        let rows: Vec<String> = (0..12_000)
            .map(|row| format!("{row},{}\n", row * 2 + add * (row % 2)))
            .collect();
        let rows = rows.concat();
        fs::write(folder.path().join(name), format!("id,v\n{rows}")).unwrap();
        folder.path().join(name)
    };
    let (a, b) = (table("a.csv", 0), table("b.csv", 1));
    let (code, report, text) = between(&a, &b, &["--key", "id"]);
    assert_eq!(code, 1);
    assert_eq!(report["tensors"].as_array().unwrap().len(), 10_000);
    assert_eq!(report["tensors_not_listed"], 2_000);
    assert_eq!(report["counts"]["differing"], 6_000);
    assert!(
        text.lines().count() < 60 && text.contains("5,995 more"),
        "{text}"
    );
}
