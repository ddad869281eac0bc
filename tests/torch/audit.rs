//! `samebits audit` from outside: the binary is started, its report and exit code are read, and no process is left.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use samebits::recorder::{self, Kind, library};
use serde_json::Value;

/// `samebits` beside the program of this package: a part of the same build of the workspace.
fn program() -> std::path::PathBuf {
    let path =
        std::path::Path::new(env!("CARGO_BIN_EXE_samebits-torch")).with_file_name("samebits");
    assert!(
        path.is_file(),
        "{} is not built: build the whole workspace",
        path.display()
    );
    path
}

fn samebits() -> Command {
    let mut command = Command::new(program());
    command
        .env_remove("CUBLAS_WORKSPACE_CONFIG")
        .env_remove("SAMEBITS_CHILD");
    command
}

/// Starts `samebits audit` with these words; the report in JSON and the exit code come back.
fn audit(words: &str) -> (Value, i32) {
    let output = samebits()
        .args(["audit", "--format", "json", "--quiet", "--threads", "2"])
        .args(words.split_whitespace())
        .output()
        .unwrap();
    report(&output)
}

fn report(output: &Output) -> (Value, i32) {
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text)
        .unwrap_or_else(|e| panic!("{e}: {text}\n{}", String::from_utf8_lossy(&output.stderr)));
    (report, output.status.code().unwrap())
}

/// Processes that carry `marker` in their environment: whatever an audit started and left behind.
fn processes_with(marker: &str) -> Vec<String> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let environment = fs::read(path.join("environ")).ok()?;
            let found = environment
                .split(|&byte| byte == 0)
                .any(|variable| variable == marker.as_bytes());
            found.then(|| path.display().to_string())
        })
        .collect()
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_mins(1),
            "waited in vain until {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn two_runs_in_fresh_processes_are_identical_and_the_controls_pass() {
    let (report, code) = audit("mlp --steps 20");
    assert_eq!(
        (report["verdict"].as_str(), code),
        (Some("identical"), 0),
        "{report:#}"
    );
    assert_eq!(report["exit_code"], 0);
    assert_eq!(report["compared"]["runs"], 2);
    assert_eq!(report["compared"]["steps"], 20);
    assert!(report["compared"]["entries"].as_u64().unwrap() > 200);
    assert!(report["compared"]["bytes"].as_u64().unwrap() > 1_000_000);
    assert!(report["first_divergence"].is_null());
    let controls = report["controls"].as_array().unwrap();
    assert_eq!(controls.len(), 2);
    assert!(
        controls.iter().all(|control| control["passed"] == true),
        "{controls:#?}"
    );
    let settings = report["settings"].as_array().unwrap();
    let mode = settings
        .iter()
        .find(|setting| setting["name"] == "deterministic_algorithms")
        .unwrap();
    assert_eq!(mode["in_force"], "strict");
    assert_eq!(report["fingerprint"]["facts"]["libtorch.version"], "2.11.0");
}

#[test]
fn gather_diverges_in_mode_off_and_is_identical_in_mode_strict() {
    let (report, code) = audit("gather --mode off --steps 4 --runs 4");
    assert_eq!(
        (report["verdict"].as_str(), code),
        (Some("diverged"), 1),
        "{report:#}"
    );
    assert!(report["distinct_results"].as_u64().unwrap() > 1);
    let first = &report["first_divergence"];
    assert_eq!(first["phase"], "backward", "{first:#}");
    assert!(
        first["name"].as_str().unwrap().contains(".grad"),
        "{first:#}"
    );
    let (report, code) = audit("gather --mode strict --steps 4 --runs 4");
    assert_eq!(
        (report["verdict"].as_str(), code),
        (Some("identical"), 0),
        "{report:#}"
    );
    assert_eq!(report["distinct_results"], 1);
}

#[test]
fn an_injected_bit_is_caught_and_located_in_every_phase() {
    for (place, phase, name, index) in [
        ("init:first.weight:100", "init", "first.weight", 100),
        ("2:batch.x:5", "forward", "batch.x", 5),
        ("2:batch.y:3", "forward", "batch.y", 3),
        ("2:loss:0", "forward", "loss", 0),
        ("2:second.bias.grad:9", "backward", "second.bias.grad", 9),
        ("4:second.weight:1279", "update", "second.weight", 1279),
        (
            "3:first.bias.momentum_buffer:127",
            "update",
            "first.bias.momentum_buffer",
            127,
        ),
        ("1:rng.cpu:4000", "update", "rng.cpu", 4000),
    ] {
        let (report, code) = audit(&format!("mlp --steps 5 --batch 8 --inject {place}"));
        assert_eq!(
            (report["verdict"].as_str(), code),
            (Some("diverged"), 1),
            "{place}: {report:#}"
        );
        let first = &report["first_divergence"];
        let found = (
            first["phase"].as_str(),
            first["name"].as_str(),
            first["index"].as_u64(),
        );
        assert_eq!(
            found,
            (Some(phase), Some(name), Some(index)),
            "{place}: {first:#}"
        );
        let ulp = first["ulp"].as_u64();
        assert!(ulp.is_none_or(|ulp| ulp == 1), "{place}: {first:#}");
    }
}

#[test]
fn another_seed_gives_another_result_and_the_same_seed_the_same() {
    let digest = |seed: u32| {
        let (report, code) = audit(&format!("mlp --steps 3 --seed {seed}"));
        assert_eq!(code, 0);
        report["runs"][0]["digest"].as_str().unwrap().to_owned()
    };
    let first = digest(1);
    assert_eq!(first, digest(1));
    assert_ne!(first, digest(2));
}

#[test]
fn recording_changes_nothing_and_one_process_for_all_runs_works() {
    let (report, code) = audit("mlp --steps 5 --prove-observer --isolation shared");
    assert_eq!(
        (report["verdict"].as_str(), code),
        (Some("identical"), 0),
        "{report:#}"
    );
    let controls = report["controls"].as_array().unwrap();
    let observer = controls
        .iter()
        .find(|control| control["name"] == "observer")
        .unwrap();
    assert_eq!(observer["passed"], true, "{observer:#}");
}

#[test]
fn nothing_to_compare_is_never_green() {
    let (report, code) = audit("mlp --steps 0");
    assert_eq!(
        (report["verdict"].as_str(), code),
        (Some("inconclusive"), 2),
        "{report:#}"
    );
    assert_eq!(report["reason_code"], "vacuous");
    let (report, code) = audit("mlp --runs 1");
    assert_eq!(
        (report["verdict"].as_str(), code),
        (Some("inconclusive"), 2),
        "{report:#}"
    );
}

#[test]
fn several_workloads_make_one_report_with_the_worst_verdict() {
    let (report, code) = audit("mlp gather --mode off --steps 3");
    assert_eq!((report["verdict"].as_str(), code), (Some("diverged"), 1));
    let verdicts: Vec<_> = report["workloads"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(verdicts, ["identical", "diverged"]);
    assert!(report["first_divergence"]["name"].is_string());
}

#[test]
fn a_tolerance_makes_a_last_bit_close_and_half_a_tolerance_is_refused() {
    let (report, code) = audit("mlp --steps 2 --close --inject 1:second.weight:7");
    assert_eq!(
        (report["verdict"].as_str(), code),
        (Some("close"), 0),
        "{report:#}"
    );
    let (report, code) = audit("mlp --steps 2 --rtol 0.1");
    assert_eq!(
        (report["verdict"].as_str(), code),
        (Some("inconclusive"), 2)
    );
    assert!(
        report["reason"].as_str().unwrap().contains("atol"),
        "{report:#}"
    );
}

#[test]
fn wrong_usage_names_the_cause_and_exits_2() {
    for (words, cause) in [
        ("nonsense", "no workload called nonsense"),
        ("mlp --device cuda:7", "no device cuda:7"),
        ("mlp --device tpu", "no device tpu"),
        (
            "mlp --set cudnn.benchmrak=true",
            "no knob called cudnn.benchmrak",
        ),
        ("mlp --set cudnn.benchmark=maybe", "true or false"),
        (
            "mlp --steps 2 --inject 9:first.weight:0",
            "no entry of that step and name",
        ),
        (
            "mlp --steps 2 --inject 1:first.weight:999999",
            "has 8192 elements",
        ),
        ("mlp --dtype int32", "models train in"),
        ("mlp --batch 0", "--batch"),
        (
            "mlp --set threads.intraop=1",
            "a flag of its own, --threads",
        ),
        (
            "mlp --set cudnn.benchmark=true --set cudnn.benchmark=false",
            "given twice",
        ),
        ("mlp --batch 5000", "1437 images to train on"),
        ("mlp --loss mse", "--loss is read by torchscript only"),
        ("mlp --runs 1000000000000", "--runs"),
        ("mlp --batch 18446744073709551615", "--batch"),
    ] {
        let (report, code) = audit(words);
        assert_eq!(
            (report["verdict"].as_str(), code),
            (Some("inconclusive"), 2),
            "{words}: {report:#}"
        );
        assert!(
            report["reason"].as_str().unwrap().contains(cause),
            "{words}: {}",
            report["reason"]
        );
    }
    for words in [
        &["audit", "--runs", "two"][..],
        &["audit", "--inject", "first.weight"],
        &["aduit"],
    ] {
        assert_eq!(
            samebits().args(words).output().unwrap().status.code(),
            Some(2),
            "{words:?}"
        );
    }
}

#[test]
fn a_value_of_the_users_own_environment_is_kept_or_refused_but_never_replaced() {
    let with = |value: &str| {
        let arguments = [
            "audit", "mlp", "--steps", "2", "--format", "json", "--quiet",
        ];
        report(
            &samebits()
                .args(arguments)
                .env("CUBLAS_WORKSPACE_CONFIG", value)
                .output()
                .unwrap(),
        )
    };
    let (kept, code) = with(":16:8");
    assert_eq!(code, 0, "{kept:#}");
    let settings = kept["settings"].as_array().unwrap();
    let workspace = settings
        .iter()
        .find(|setting| setting["name"] == "CUBLAS_WORKSPACE_CONFIG")
        .unwrap();
    assert_eq!(
        (&workspace["in_force"], &workspace["origin"]),
        (&":16:8".into(), &"environment".into())
    );
    let (refused, code) = with("whatever");
    assert_eq!(
        (refused["reason_code"].as_str(), code),
        (Some("knob-not-accepted"), 2),
        "{refused:#}"
    );
}

#[test]
fn the_users_own_number_of_threads_is_taken_or_refused() {
    let with = |variable: &str, value: &str| {
        let arguments = [
            "audit", "mlp", "--steps", "2", "--format", "json", "--quiet",
        ];
        report(
            &samebits()
                .args(arguments)
                .env(variable, value)
                .output()
                .unwrap(),
        )
    };
    let (taken, code) = with("OMP_NUM_THREADS", "1");
    assert_eq!(
        (taken["subject"]["threads"].as_u64(), code),
        (Some(1), 0),
        "{taken:#}"
    );
    assert_eq!(
        with("OMP_NUM_THREADS", "abc").0["reason_code"],
        "knob-not-accepted"
    );
    assert_eq!(
        with("MKL_NUM_THREADS", "77").0["reason_code"],
        "knob-not-accepted"
    );
}

#[test]
fn every_failure_is_one_json_document_where_json_was_asked_for() {
    for words in [
        &["audit", "--runs", "two", "--format", "json"][..],
        &[
            "audit",
            "mlp",
            "--output",
            "json=/no/such/folder/r.json",
            "--format=json",
        ],
        &["env", "--against", "/no/such/file", "--format", "json"],
        &["nonsense", "--format", "json"],
    ] {
        let output = samebits().args(words).output().unwrap();
        let (report, code) = report(&output);
        assert_eq!(
            (
                report["verdict"].as_str(),
                report["exit_code"].as_i64(),
                code
            ),
            (Some("inconclusive"), Some(2), 2),
            "{words:?}"
        );
    }
}

#[test]
fn an_old_report_never_outlives_a_failed_audit_and_special_files_stay_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    fs::write(&path, "stale").unwrap();
    let output = format!("json={}", path.display());
    assert_eq!(
        samebits()
            .args(["audit", "nonsense", "--output", &output])
            .output()
            .unwrap()
            .status
            .code(),
        Some(2)
    );
    let written: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(written["verdict"], "inconclusive");
    // A link is followed, a pipe is written through.
    let (link, pipe) = (folder.path().join("link"), folder.path().join("pipe"));
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).unwrap()
    });
    let (to_link, to_pipe) = (
        format!("text={}", link.display()),
        format!("text={}", pipe.display()),
    );
    let arguments = [
        "audit", "mlp", "--steps", "2", "--quiet", "--output", &to_link, "--output", &to_pipe,
    ];
    assert_eq!(
        samebits().args(arguments).output().unwrap().status.code(),
        Some(0)
    );
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(&path).unwrap().starts_with("IDENTICAL"));
    assert!(reader.join().unwrap().starts_with("IDENTICAL"));
    let twice = ["audit", "mlp", "--output", &output, "--output", &output];
    assert_eq!(
        samebits().args(twice).output().unwrap().status.code(),
        Some(2)
    );
}

#[test]
fn a_fingerprint_in_a_report_or_a_manifest_is_comparable_with_the_machine_it_was_made_on() {
    let folder = tempfile::tempdir().unwrap();
    let (kept, saved) = (
        folder.path().join("kept"),
        folder.path().join("report.json"),
    );
    let output = format!("json={}", saved.display());
    let keep = kept.display().to_string();
    let arguments = [
        "audit", "mlp", "--steps", "2", "--quiet", "--keep", &keep, "--output", &output,
    ];
    assert_eq!(
        samebits().args(arguments).output().unwrap().status.code(),
        Some(0)
    );
    let manifest = kept.join("mlp/run-0/manifest.json");
    for file in [&saved, &manifest] {
        let output = samebits()
            .args(["env", "--against"])
            .arg(file)
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    let other = samebits()
        .args(["env", "--against"])
        .arg(&saved)
        .env("MKL_DEBUG_CPU_TYPE", "5")
        .env("DNNL_MAX_CPU_ISA", "AVX2")
        .output();
    assert_eq!(
        other.unwrap().status.code(),
        Some(1),
        "another oneDNN instruction set can change bits"
    );
    let edited = fs::read_to_string(&manifest)
        .unwrap()
        .replace("2.11.0", "2.10.0");
    fs::write(&manifest, edited).unwrap();
    let output = samebits()
        .args(["env", "--against"])
        .arg(&manifest)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("changed after it was written"));
}

#[test]
fn a_failed_audit_leaves_no_empty_folder_in_the_way_of_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let keep = folder.path().join("kept");
    assert_eq!(
        audit(&format!("mlp --batch 0 --keep {}", keep.display())).1,
        2
    );
    assert_eq!(
        audit(&format!("mlp --steps 2 --keep {}", keep.display())).1,
        0
    );
}

#[test]
fn a_divergence_elsewhere_is_not_blamed_on_the_injected_bit() {
    let (report, _) = audit("gather --steps 3 --mode off --inject 2:table:5");
    assert_eq!(report["first_divergence"]["name"], "table.grad");
    let next = report["next"].to_string();
    assert!(!next.contains("made this difference"), "{next}");
    let (report, _) = audit("gather --steps 3 --mode strict --inject 2:table:5");
    assert!(
        report["next"].to_string().contains("made this difference"),
        "{report:#}"
    );
}

#[test]
fn a_hang_past_the_timeout_is_ended_and_leaves_no_process() {
    let marker = format!("SAMEBITS_TEST=timeout-{}", std::process::id());
    let (name, value) = marker.split_once('=').unwrap();
    let output = samebits()
        .args([
            "audit",
            "mlp",
            "--steps",
            "100000000",
            "--timeout",
            "2s",
            "--format",
            "json",
            "--quiet",
        ])
        .env(name, value)
        .output()
        .unwrap();
    let (report, code) = report(&output);
    assert_eq!(
        (report["reason_code"].as_str(), code),
        (Some("timeout"), 2),
        "{report:#}"
    );
    assert_eq!(processes_with(&marker), Vec::<String>::new());
}

/// An endless audit, with its child already running.
fn endless(workloads: &[&str], marker: &str, temporary: &Path) -> Child {
    let (name, value) = marker.split_once('=').unwrap();
    let child = samebits()
        .args([
            "audit",
            "--steps",
            "100000000",
            "--format",
            "json",
            "--quiet",
        ])
        .args(workloads)
        .env(name, value)
        .env("TMPDIR", temporary)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the child runs", || processes_with(marker).len() == 2);
    child
}

fn kill(signal: &str, pid: u32) {
    assert!(
        Command::new("kill")
            .args([signal, &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn a_killed_child_is_named_and_a_killed_parent_leaves_no_process() {
    let temporary = tempfile::tempdir().unwrap();
    let marker = format!("SAMEBITS_TEST=child-{}", std::process::id());
    let parent = endless(&["mlp"], &marker, temporary.path());
    let own = format!("/proc/{}", parent.id());
    let child = processes_with(&marker)
        .into_iter()
        .find(|path| *path != own)
        .unwrap();
    kill("-9", child.trim_start_matches("/proc/").parse().unwrap());
    let (report, code) = report(&parent.wait_with_output().unwrap());
    assert_eq!(
        (report["reason_code"].as_str(), code),
        (Some("run-failed"), 2),
        "{report:#}"
    );
    assert!(
        report["reason"]
            .as_str()
            .unwrap()
            .contains("killed by signal 9"),
        "{}",
        report["reason"]
    );

    let marker = format!("SAMEBITS_TEST=parent-{}", std::process::id());
    let mut parent = endless(&["mlp"], &marker, temporary.path());
    kill("-9", parent.id());
    parent.wait().unwrap();
    wait_until("no process is left", || processes_with(&marker).is_empty());
}

#[test]
fn ctrl_c_ends_the_child_and_says_so() {
    let temporary = tempfile::tempdir().unwrap();
    let marker = format!("SAMEBITS_TEST=interrupt-{}", std::process::id());
    let parent = endless(&["mlp", "cnn"], &marker, temporary.path());
    kill("-INT", parent.id());
    let (report, code) = report(&parent.wait_with_output().unwrap());
    assert_eq!(
        (report["reason_code"].as_str(), code),
        (Some("interrupted"), 2),
        "{report:#}"
    );
    // The workload that was never begun must not look as if it had been audited.
    let verdicts: Vec<_> = report["workloads"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["reason_code"])
        .collect();
    assert_eq!(verdicts, ["interrupted", "interrupted"]);
    assert_eq!(processes_with(&marker), Vec::<String>::new());
    assert_eq!(
        fs::read_dir(temporary.path()).unwrap().count(),
        0,
        "the temporary traces are gone"
    );
}

#[test]
fn kept_traces_are_never_overwritten_and_a_bad_place_fails_before_the_runs() {
    let folder = tempfile::tempdir().unwrap();
    let keep = format!("mlp --steps 2 --keep {}", folder.path().display());
    assert_eq!(audit(&keep).1, 0);
    let manifest = folder.path().join("mlp/run-0/manifest.json");
    let before = fs::read(&manifest).unwrap();
    let (report, code) = audit(&keep);
    assert_eq!(
        (report["verdict"].as_str(), code),
        (Some("inconclusive"), 2),
        "{report:#}"
    );
    assert_eq!(fs::read(&manifest).unwrap(), before);
    let start = Instant::now();
    let output = samebits()
        .args([
            "audit",
            "mlp",
            "--output",
            "json=/no/such/folder/report.json",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/folder/report.json"));
    assert!(output.stdout.is_empty() && start.elapsed() < Duration::from_secs(30));
}

#[test]
fn reports_go_to_several_places_at_once_and_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (json, text) = (
        folder.path().join("report.json"),
        folder.path().join("report.txt"),
    );
    let output = samebits()
        .args(["audit", "mlp", "--steps", "3", "--quiet"])
        .args([
            "--output",
            &format!("json={}", json.display()),
            "--output",
            &format!("text={}", text.display()),
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    assert!(stdout.starts_with("IDENTICAL"), "{stdout}");
    let report: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    assert_eq!(report["verdict"], "identical");
    assert!(fs::read_to_string(text).unwrap().starts_with("IDENTICAL"));
}

#[test]
fn the_op_that_adds_in_any_order_is_named_with_the_op_of_the_forward_pass_that_it_belongs_to() {
    let (report, code) = audit("gather --mode off --runs 4 --ops");
    assert_eq!(code, 1, "{report}");
    let finding = &report["ops"]["finding"];
    assert_eq!(finding["kind"], "op", "{finding}");
    assert_eq!(
        finding["place"]["op"], "aten::_index_put_impl_",
        "{finding}"
    );
    assert_eq!(finding["place"]["phase"], "backward", "{finding}");
    assert_eq!(
        finding["backward"]["forward"]["op"], "aten::index",
        "{finding}"
    );
    assert_eq!(report["first_divergence"]["op"], "aten::_index_put_impl_");
    // Step 0 is where the traces part, and all that is recorded.
    let compared = &report["ops"]["compared"];
    assert_eq!(
        (&compared["steps"], &compared["announced"]),
        (&1.into(), &15.into()),
        "{compared}"
    );
    // The last steps alone begin after it parted.
    let (report, _) = audit("gather --mode off --runs 4 --steps 9 --ops=last:2");
    let (finding, compared) = (&report["ops"]["finding"], &report["ops"]["compared"]);
    assert_eq!(finding["kind"], "before", "{report}");
    assert!(compared["steps"].as_u64().unwrap() < 5, "{compared}");
    // Where nothing parts in the steps asked for, that is said.
    let (report, _) = audit("gather --mode off --runs 4 --ops=14..14");
    let (found, next) = (&report["ops"]["finding"], &report["next"][0]);
    let said = next.as_str().unwrap();
    match found["kind"].as_str() {
        Some(kind) => assert!(
            kind == "before" && said.contains("from an earlier step"),
            "{report}"
        ),
        None => assert!(
            report["ops"].is_object() && said.contains("--ops=all"),
            "{report}"
        ),
    }
    // Nothing is looked for where nothing parts.
    let (report, code) = audit("mlp --steps 2 --ops");
    assert_eq!((code, &report["ops"]), (0, &Value::Null), "{report}");
}

/// `samebits` itself is a program that uses libtorch and is no Python.
#[test]
fn a_gate_names_the_op_in_any_program_that_uses_libtorch() {
    let folder = tempfile::tempdir().unwrap();
    let train = format!(
        "{} audit gather --mode off --threads 2 --steps 2 --keep $SAMEBITS_OUT/traces --quiet || true",
        program().display()
    );
    let flags = "gate --ops --format json --quiet --artifact values.safetensors -- sh -c";
    let output = samebits()
        .current_dir(folder.path())
        .args(flags.split_whitespace())
        .arg(&train)
        .output()
        .unwrap();
    let (report, code) = report(&output);
    assert_eq!(code, 1, "{report}");
    let finding = &report["ops"]["finding"];
    assert_eq!(
        finding["place"]["op"], "aten::_index_put_impl_",
        "{}",
        report["notes"]
    );
}

/// Trains a transformer under the recorder; the last unit of one op's result is changed if an index is given.
fn recorded(library: &Path, folder: &Path, inject: Option<u64>) {
    fs::create_dir_all(folder).unwrap();
    let inject = inject.map_or(String::new(), |index| format!("\ninject={index}"));
    let output = samebits()
        .args("audit transformer --steps 2 --batch 2 --threads 2 --quiet".split_whitespace())
        .env("LD_PRELOAD", library)
        // Threads that wait by spinning make a busy machine a slow one.
        .env("OMP_WAIT_POLICY", "PASSIVE")
        .env(
            "SAMEBITS_RECORD",
            format!("folder={}{inject}", folder.display()),
        )
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn one_ulp_in_what_any_op_gives_is_named_exactly() {
    let places = std::env::var("SAMEBITS_INJECT_OPS").ok();
    let places: u64 = places.map_or(3, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let library = library::build(Path::new(&std::env::var("LIBTORCH").unwrap())).unwrap();
    let base = folder.path().join("base");
    recorded(&library, &base, None);
    let same = folder.path().join("same");
    recorded(&library, &same, None);
    let account = recorder::compare(&base, &same).unwrap();
    assert_eq!(account.finding, None);
    let ops = account.compared.ops / account.compared.processes;
    let mut stream = samebits::seed::Seed(places).stream("inject/ops");
    let (mut named, mut tried) = (0, 0);
    while named < places {
        tried += 1;
        assert!(
            tried < 20 * places,
            "only {named} of {tried} ops give something of their own"
        );
        let index = stream.below(ops);
        let altered = folder.path().join(format!("{index}"));
        recorded(&library, &altered, Some(index));
        let account = recorder::compare(&base, &altered).unwrap();
        fs::remove_dir_all(&altered).unwrap();
        // Views, and ops that only call others, have nothing of their own that could be changed.
        if !account
            .notes
            .iter()
            .any(|note| note.contains("one ULP was added"))
        {
            assert_eq!(account.finding, None, "op {index}");
            continue;
        }
        let finding = account.finding.expect("a changed result is found");
        assert_eq!(
            (finding.kind, finding.place.index),
            (Kind::Op, index),
            "{finding:?}"
        );
        named += 1;
    }
}
