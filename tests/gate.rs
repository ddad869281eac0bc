//! `samebits gate` with programs of a few lines of shell: what must be caught stands beside what must pass, and whatever goes
//! wrong leaves no process behind and nothing green.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

fn command(folder: &Path, flags: &[&str], script: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samebits"));
    command
        .current_dir(folder)
        .args(["gate", "--format", "json"])
        .args(flags)
        .args(["--", "sh", "-c", script]);
    for (name, _) in std::env::vars() {
        // What the machine that runs the tests happens to set is not the matter of most of them.
        if name.starts_with("SAMEBITS") || samebits::knob::Knob::find(&name).is_some() {
            command.env_remove(name);
        }
    }
    command
}

fn report(mut command: Command) -> (i32, Value) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!(
            "{error}: {text} {}",
            String::from_utf8_lossy(&output.stderr)
        )
    });
    let code = output.status.code().unwrap();
    assert_eq!(report["exit_code"], code, "{report}");
    (code, report)
}

fn gate(flags: &[&str], script: &str) -> (i32, Value) {
    let folder = tempfile::tempdir().unwrap();
    report(command(folder.path(), flags, script))
}

fn word(report: &Value, key: &str) -> String {
    report[key].as_str().unwrap_or_default().to_owned()
}

/// Counts calls in a file outside the working folder, so that runs can differ.
fn counter(folder: &Path) -> String {
    let path = folder.join("count");
    format!(
        "n=$(cat {0} 2>/dev/null || echo 0); echo $((n+1)) > {0}",
        path.display()
    )
}

#[test]
fn a_program_that_repeats_itself_passes_and_one_that_does_not_is_caught() {
    for script in [
        "seq 9 > a.txt; mkdir sub; echo 1.5 > sub/b.csv",
        "seq 9 > $SAMEBITS_OUT/a.txt",
        "seq 9",
        "pwd > where.txt; echo $SAMEBITS_OUT >> where.txt; seq 3 >> where.txt",
        "test ! -e left-over && seq 9 > left-over",
    ] {
        let (code, report) = gate(&[], script);
        assert_eq!(
            (code, word(&report, "verdict")),
            (0, "identical".into()),
            "{script}: {report}"
        );
        assert_eq!(report["compared"]["runs"], 2);
        let controls = report["controls"].as_array().unwrap();
        assert!(
            controls.len() == 2 && controls.iter().all(|one| one["passed"] == true),
            "{report}"
        );
    }
    let (code, report) = gate(&[], "seq 9 > a.txt; date +%N > b.txt");
    assert_eq!((code, word(&report, "verdict")), (1, "diverged".into()));
    assert_eq!(report["first_divergence"]["name"], "b.txt:bytes");
    assert_eq!(report["distinct_results"], 2);
    let (code, _) = gate(&["--artifact", "a.txt"], "seq 9 > a.txt; date +%N > b.txt");
    assert_eq!(code, 0);
    let (code, _) = gate(&["--ignore", "b.txt"], "seq 9 > a.txt; date +%N > b.txt");
    assert_eq!(code, 0);
}

/// `samebits gate -- … > gate.json 2> gate.log`, as everybody writes it.
#[test]
fn the_files_that_its_own_words_go_to_are_not_the_commands() {
    for flags in [&[][..], &["--workdir", "inplace"]] {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| fs::File::create(folder.path().join(name)).unwrap();
        let status = command(folder.path(), flags, "seq 9 > a.txt")
            .stdout(file("gate.json"))
            .stderr(file("gate.log"))
            .status()
            .unwrap();
        let said = fs::read_to_string(folder.path().join("gate.json")).unwrap();
        assert_eq!(status.code(), Some(0), "{said}");
        let log = fs::read_to_string(folder.path().join("gate.log")).unwrap();
        assert!(log.contains("run 0"), "{log}");
        let report: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(report["compared"]["entries"], 1, "{report}");
    }
    // Another program's file that grows meanwhile is said.
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("other.log");
    fs::write(&log, "").unwrap();
    let script = format!("echo x >> {}; seq 9 > a.txt", log.display());
    let (code, report) = report(command(folder.path(), &[], &script));
    assert_eq!(code, 2);
    assert!(word(&report, "reason").contains("it changed while the gate was running"));
}

#[test]
fn where_nothing_was_compared_nothing_is_green() {
    for (flags, script, code) in [
        (&[][..], "true", "no-artifact"),
        (&["--artifact", "*.pt"], "seq 9 > a.txt", "no-artifact"),
        (
            &["--artifact", "a.txt", "--artifact", "*.pt"],
            "seq 9 > a.txt",
            "no-artifact",
        ),
        (&[], "touch a.txt", "vacuous"),
        (&[], "printf '[0, 0, 0]' > a.json", "vacuous"),
        (&[], "printf '[1.5, 1.5]' > a.json", "vacuous"),
        (&[], "head -c 1000 /dev/zero > a.bin", "vacuous"),
        (&["--ignore", "*"], "seq 9 > a.txt", "nothing-matched"),
        (&["--metric", "loss=(\\S+)"], "echo lost=3", "usage"),
        (&["--metric", "loss="], "echo loss=3", "usage"),
        (&[], "echo Training done", "vacuous"),
        (&["--metric", "loss=(\\S+)"], "echo loss=nan", "usage"),
        (&["--runs", "1", "--record", "/tmp/never"], "seq 9", "usage"),
        (&["--runs", "1"], "seq 9", "usage"),
        (&["--runs", "0"], "seq 9", "usage"),
        (&["--confidence", "2", "--rate", "0.1"], "seq 9", "usage"),
        (&["--link", "nowhere"], "seq 9", "io"),
        (&["--set", "NO_SUCH=1"], "seq 9", "usage"),
        (
            &["--set", "PYTHONHASHSEED=random"],
            "seq 9",
            "knob-not-accepted",
        ),
        (&["--reference", "nowhere.json"], "seq 9", "io"),
    ] {
        let (exit, report) = gate(flags, script);
        assert_eq!(
            (exit, word(&report, "reason_code")),
            (2, code.into()),
            "{flags:?} {script}: {report}"
        );
        assert!(!report["next"].as_array().unwrap().is_empty(), "{report}");
    }
    // A file that was there already and is not written to is no artifact.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("old.txt"), "12345").unwrap();
    let (code, report) = report(command(
        folder.path(),
        &["--artifact", "old.txt"],
        "cat old.txt",
    ));
    assert_eq!(
        (code, word(&report, "reason_code")),
        (2, "no-artifact".into())
    );
}

#[test]
fn a_run_that_fails_is_no_divergence_and_its_last_words_are_shown() {
    let (code, report) = gate(&[], "seq 9 > a.txt; echo it broke >&2; exit 7");
    assert_eq!(
        (code, word(&report, "reason_code")),
        (2, "run-failed".into())
    );
    assert!(
        word(&report, "reason").contains("exit code 7")
            && word(&report, "reason").contains("it broke")
    );
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let script = format!("{}; seq 9 > a.txt; test $n = 0", counter(outside.path()));
    let (code, report) = self::report(command(folder.path(), &[], &script));
    assert_eq!(
        (code, word(&report, "reason_code")),
        (2, "run-failed".into())
    );
    assert!(word(&report, "reason").starts_with("run 1 "), "{report}");
    let (code, report) = self::report({
        let mut command = command(folder.path(), &[], "");
        command.args(["x"]);
        let mut plain = Command::new(env!("CARGO_BIN_EXE_samebits"));
        plain.args(["gate", "--format", "json", "--", "samebits-no-such-program"]);
        plain.current_dir(folder.path());
        plain
    });
    assert_eq!(code, 2);
    assert!(
        word(&report, "reason").starts_with("run 0 could not be started"),
        "{report}"
    );
}

#[test]
fn what_a_program_prints_is_compared_by_metric_or_masked() {
    let script = "echo \"loss=0.5 at $(date +%H:%M:%S) at 0x7f$(date +%N) took 0.$(date +%N)s\"; echo loss=0.25";
    let (code, report) = gate(&["--metric", "loss=(\\S+)"], script);
    assert_eq!(code, 0, "{report}");
    let (code, report) = gate(&["--compare-stdout"], script);
    assert_eq!(code, 0, "{report}");
    assert!(
        report["notes"]
            .to_string()
            .contains("masked in the standard output"),
        "{report}"
    );
    let outside = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let script = format!("{}; echo loss=0.5; echo loss=0.$n", counter(outside.path()));
    let (code, report) = self::report(command(
        folder.path(),
        &["--metric", "loss=(\\S+)"],
        &script,
    ));
    assert_eq!(code, 1);
    let first = &report["first_divergence"];
    assert_eq!(
        (&first["name"], &first["step"]),
        (&"{metrics}.json:loss".into(), &1.into())
    );
}

#[test]
fn runs_are_planned_for_a_rate_and_end_at_the_first_divergence() {
    let (code, report) = gate(&["--confidence", "0.95", "--rate", "0.2"], "seq 9 > a.txt");
    assert_eq!(
        (code, &report["compared"]["runs"]),
        (0, &15.into()),
        "{report}"
    );
    assert!(
        word(&report, "claim").contains(
            "these 15 runs agreed on this stack under these settings: at 95 % confidence fewer than 1 in 5 runs give another result"
        ),
        "{report}"
    );
    let (outside, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let script = format!("{}; seq $((n / 4 + 9)) > a.txt", counter(outside.path()));
    let (code, report) = self::report(command(
        folder.path(),
        &["--confidence", "0.95", "--rate", "0.2"],
        &script,
    ));
    assert_eq!(
        (
            code,
            &report["compared"]["runs"],
            &report["first_divergence"]["run"]
        ),
        (1, &5.into(), &4.into())
    );
}

#[test]
fn the_first_difference_is_the_earliest_step_and_its_growth_is_shown() {
    let outside = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "{}; for s in 1 2 9 10; do mkdir -p step-$s; echo \"{{\\\"w\\\": [1.5, $((s > 1 ? n * s : 0))]}}\" > step-$s/w.json; done",
        counter(outside.path())
    );
    let (code, report) = report(command(folder.path(), &[], &script));
    assert_eq!(code, 1, "{report}");
    let first = &report["first_divergence"];
    // In the order of names step-10 comes before step-2.
    assert_eq!(
        (&first["step"], &first["name"]),
        (&2.into(), &"step-2/w.json:w".into())
    );
    let growth = report["growth"].as_array().unwrap();
    let steps: Vec<u64> = growth
        .iter()
        .map(|one| one["step"].as_u64().unwrap())
        .collect();
    assert_eq!(steps, [2, 9, 10]);
    assert_eq!(growth[2]["greatest_abs"], 10.0);
}

#[test]
fn settings_are_pinned_kept_left_alone_or_refused() {
    let script = "echo $PYTHONHASHSEED $CUBLAS_WORKSPACE_CONFIG $OMP_NUM_THREADS $MINE > env.txt; seq 9 >> env.txt";
    let kept = tempfile::tempdir().unwrap();
    let run = |flags: &[&str], variables: &[(&str, &str)]| {
        let keep = kept
            .path()
            .join(format!("{}{}", flags.len(), variables.len()));
        let mut all = vec!["--keep", keep.to_str().unwrap()];
        all.extend(flags);
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(folder.path(), &all, script);
        command.envs(variables.iter().copied());
        let (code, report) = self::report(command);
        (
            code,
            report,
            fs::read_to_string(keep.join("run-1/files/env.txt")).unwrap_or_default(),
        )
    };
    let (code, _, text) = run(&[], &[("MINE", "yes")]);
    assert_eq!((code, text.lines().next()), (0, Some("0 :4096:8 yes")));
    let (_, report, text) = run(&["--threads", "3"], &[("PYTHONHASHSEED", "7")]);
    assert_eq!(text.lines().next(), Some("7 :4096:8 3"));
    assert!(
        report["notes"]
            .to_string()
            .contains("kept as found in the environment: PYTHONHASHSEED")
    );
    let (_, _, text) = run(
        &[
            "--set",
            "PYTHONHASHSEED=default",
            "--set",
            "CUBLAS_WORKSPACE_CONFIG=default",
        ],
        &[],
    );
    assert_eq!(text.lines().next().map(str::trim), Some(""));
    let (code, report, _) = run(&["--threads", "2", "--quiet"], &[("OMP_NUM_THREADS", "4")]);
    assert_eq!(
        (code, word(&report, "reason_code")),
        (2, "knob-not-accepted".into())
    );
}

#[test]
fn a_git_repository_is_copied_as_git_sees_it_and_the_original_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| {
        assert!(
            Command::new("git")
                .current_dir(folder.path())
                .args(arguments)
                .output()
                .unwrap()
                .status
                .success()
        );
    };
    git(&["init", "-q"]);
    fs::create_dir_all(folder.path().join("sub")).unwrap();
    fs::create_dir_all(folder.path().join("data")).unwrap();
    fs::write(folder.path().join(".gitignore"), "data\n").unwrap();
    fs::write(folder.path().join("data/numbers.txt"), "1 2 3").unwrap();
    fs::write(folder.path().join("tracked.txt"), "4 5 6").unwrap();
    fs::write(folder.path().join("sub/new.txt"), "7 8 9").unwrap();
    git(&["add", "tracked.txt", ".gitignore"]);
    git(&[
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@t",
        "commit",
        "-qm",
        "one",
    ]);
    let outside = format!("echo {} > ../results.txt", "$(date +%N)");
    let (code, found) = report(command(&folder.path().join("sub"), &[], &outside));
    assert_eq!(
        (code, &found["first_divergence"]["name"]),
        (1, &"{root}/results.txt:bytes".into()),
        "{found}"
    );
    // What a program does with git stays in its copy.
    let commits = "git rev-parse HEAD > head.txt; git -c user.name=t -c user.email=t@t commit -qam two; git stash -qu";
    let (code, own) = report(command(
        folder.path(),
        &["--compare-stdout"],
        &format!("{commits}; seq 9"),
    ));
    assert_eq!(code, 0, "{own}");
    let log = Command::new("git")
        .current_dir(folder.path())
        .args(["log", "--oneline", "--all"])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&log.stdout).lines().count(),
        1,
        "the original has its one commit and no stash"
    );
    let script = "cat ../tracked.txt new.txt > seen.txt; echo changed > new.txt; test ! -e ../data";
    let (code, report) = report(command(&folder.path().join("sub"), &[], script));
    assert_eq!(code, 0, "{report}");
    assert_eq!(
        fs::read_to_string(folder.path().join("sub/new.txt")).unwrap(),
        "7 8 9"
    );
    assert!(!folder.path().join("sub/seen.txt").exists());
    // What git ignores is not there unless a link leads to it; the failure says so.
    let (code, missing) = self::report(command(
        folder.path(),
        &[],
        "cat data/numbers.txt > seen.txt",
    ));
    assert_eq!(code, 2);
    assert!(
        word(&missing, "reason").contains("data/") && word(&missing, "reason").contains("--link"),
        "{missing}"
    );
    let (code, linked) = self::report(command(
        folder.path(),
        &["--link", "data"],
        "cat data/numbers.txt > seen.txt",
    ));
    assert_eq!(code, 0, "{linked}");
}

#[test]
fn a_program_that_git_ignores_and_folders_that_hold_nothing_are_there_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("out/deep")).unwrap();
    fs::create_dir_all(folder.path().join("build")).unwrap();
    let script = "test ! -e build && seq 9 > out/deep/a.txt";
    for repository in [false, true] {
        if repository {
            let git = ["init", "-q"];
            let mut init = Command::new("git");
            assert!(
                init.current_dir(folder.path())
                    .args(git)
                    .status()
                    .unwrap()
                    .success()
            );
            fs::write(folder.path().join(".gitignore"), "build\n").unwrap();
            let program = folder.path().join("build/program");
            fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
            let mut gate = Command::new(env!("CARGO_BIN_EXE_samebits"));
            gate.current_dir(folder.path()).args([
                "gate",
                "--format",
                "json",
                "--",
                "build/program",
            ]);
            let (code, report) = self::report(gate);
            assert_eq!(code, 0, "{report}");
            assert!(
                report["notes"].to_string().contains("git ignores"),
                "{report}"
            );
        }
        let (code, report) = report(command(folder.path(), &[], "seq 9 > out/deep/a.txt"));
        assert_eq!(code, 0, "repository {repository}: {report}");
        // A link leads to a folder even if another in it holds nothing.
        let script = "test -L out && seq 9 > a.txt";
        let (code, report) = self::report(command(folder.path(), &["--link", "out"], script));
        assert_eq!(code, 0, "repository {repository}: {report}");
    }
}

#[test]
fn the_rank_whose_file_differs_is_named() {
    let script = "mkdir out; for r in 0 1 2; do seq $r 9 > out/rank$r.txt; done";
    let odd = format!("{script}; date +%N > out/rank1.txt");
    let (code, same) = gate(&[], script);
    assert_eq!(
        (code, &same["first_divergence"]),
        (0, &Value::Null),
        "{same}"
    );
    let (code, report) = gate(&[], &odd);
    let first = &report["first_divergence"];
    assert_eq!(
        (code, &first["rank"], &first["name"]),
        (1, &1.into(), &"out/rank1.txt:bytes".into()),
        "{report}"
    );
    assert!(
        word(&report, "reason").ends_with("rank 1, out/rank1.txt:bytes"),
        "{report}"
    );
    assert!(
        report["notes"]
            .to_string()
            .contains("2 of 3 agree; differing: rank 1 in 1 of 1 tensors"),
        "{report}"
    );
}

#[test]
fn an_op_that_torch_refused_is_named() {
    let said = "RuntimeError: put_ does not have a deterministic implementation, but you set 'torch.use_deterministic_algorithms(True)'.";
    let (code, report) = gate(&[], &format!("echo \"{said}\" >&2; exit 1"));
    assert_eq!((code, word(&report, "reason_code")), (2, "refused".into()));
    assert!(
        word(&report, "reason").contains("refused put_:"),
        "{report}"
    );
}

#[test]
fn a_mode_that_did_not_reach_the_program_is_said_with_what_keeps_it_away() {
    let flags = ["--mode", "strict", "--seed", "7"];
    let (code, report) = gate(&flags, "seq 9");
    let notes = report["notes"].to_string();
    assert_eq!(code, 0, "{report}");
    assert!(
        notes.contains("--mode strict and --seed 7 did not reach the program")
            && notes.contains("PYTHONPATH"),
        "{notes}"
    );
}

#[test]
fn files_named_after_the_moment_are_compared_by_the_rest_of_their_names() {
    let folder = "d=outputs/$(date +%Y-%m-%d/%H-%M-%S); mkdir -p $d";
    let script = format!("{folder}; seq 9 > $d/a.txt; seq 8 > b-$(date +%s).txt; sleep 1.1");
    let (code, report) = gate(&[], &script);
    assert_eq!(code, 0, "{report}");
    assert_eq!(report["compared"]["entries"], 2);
    assert!(
        report["notes"].to_string().contains("after the moment"),
        "{report}"
    );
    let (code, report) = gate(
        &[],
        &format!("{folder}; date +%N > $d/a.txt; seq 8 > $d/b.txt; sleep 1.1"),
    );
    assert_eq!(
        (code, &report["mismatch_count"]),
        (1, &1.into()),
        "{report}"
    );
}

#[test]
fn names_that_are_no_utf_8_stay_what_they_are() {
    let script = r#"for i in 1 2; do f=$(printf "a\37$i"); seq $i > "$f"; done; seq 9 > b"#;
    for flags in [&["--workdir", "copy"][..], &["--workdir", "inplace"]] {
        let folder = tempfile::tempdir().unwrap();
        let (code, found) = report(command(folder.path(), flags, script));
        assert_eq!(
            (code, &found["compared"]["entries"]),
            (0, &3.into()),
            "{found}"
        );
        if flags[1] == "inplace" {
            for (name, content) in [(b"a\xf9", "1\n"), (b"a\xfa", "1\n2\n")] {
                let path = folder.path().join(std::ffi::OsStr::from_bytes(name));
                assert_eq!(fs::read_to_string(path).unwrap(), content);
            }
        }
    }
    // One of them alone differs.
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "{}; {script}; echo $n > \"$(printf 'a\\371')\"",
        counter(folder.path())
    );
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let (code, found) = report(command(&inner, &[], &script));
    assert_eq!(
        (code, word(&found["first_divergence"], "name")),
        (1, "a\\xF9:bytes".into()),
        "{found}"
    );
}

#[test]
fn in_place_each_run_begins_without_what_the_run_before_created() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("log.txt"), "begin\n").unwrap();
    let flags = &["--workdir", "inplace"];
    let (code, same) = report(command(
        folder.path(),
        flags,
        "test ! -e new.txt && seq 9 > new.txt",
    ));
    assert_eq!(code, 0, "{same}");
    assert_eq!(
        fs::read_to_string(folder.path().join("new.txt"))
            .unwrap()
            .len(),
        18,
        "the result is left where the command put it"
    );
    fs::remove_file(folder.path().join("new.txt")).unwrap();
    let (code, grows) = report(command(folder.path(), flags, "echo more >> log.txt"));
    assert_eq!(code, 1, "{grows}");
    assert!(
        grows["notes"]
            .to_string()
            .contains("changed files in place (log.txt)"),
        "{grows}"
    );
}

#[test]
fn in_place_nothing_is_lost_that_a_person_or_the_command_puts_there_meanwhile() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
    // In the second run a file is renamed and another appears, as a person would do it.
    let script = format!(
        "{}; mkdir made; seq 9 > made/w.txt; echo 1 > '{{model}}.txt'; if test $n = 1; then mv thesis.txt final.txt; echo 2 > notes.txt; fi",
        counter(outside.path())
    );
    let (code, report) = report(command(folder.path(), &["--workdir", "inplace"], &script));
    assert_eq!(code, 1, "{report}");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    assert_eq!(
        (read("final.txt"), read("notes.txt")),
        ("years of work".into(), "2\n".into())
    );
    assert_eq!(
        (read("{model}.txt"), read("made/w.txt").len()),
        ("1\n".into(), 18)
    );
}

#[test]
fn what_a_link_in_the_place_of_a_runs_folder_leads_to_is_never_touched() {
    let precious = tempfile::tempdir().unwrap();
    let file = precious.path().join("sub/precious.txt");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "1 2 3").unwrap();
    fs::write(precious.path().join("other.txt"), "4 5 6").unwrap();
    let place = precious.path().display();
    for script in [
        format!("rmdir $SAMEBITS_OUT; ln -s {place} $SAMEBITS_OUT; seq 9"),
        format!("here=$PWD; cd ..; rm -r $here; ln -s {place} $here; seq 9"),
        format!(
            "base=$(dirname $SAMEBITS_OUT); cd /; mv $base $base-away; mkdir {place}/out {place}/work; ln -s {place} $base; seq 9"
        ),
    ] {
        let (folder, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut command = command(folder.path(), &[], &script);
        command.env("TMPDIR", temporary.path());
        let (code, report) = report(command);
        assert_eq!(code, 2, "{script}: {report}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "1 2 3", "{script}");
        assert!(precious.path().join("other.txt").exists(), "{script}");
    }
    // A folder that was removed and made again is no such thing.
    let (code, report) = gate(
        &[],
        "rmdir $SAMEBITS_OUT; mkdir $SAMEBITS_OUT; seq 9 > $SAMEBITS_OUT/a.txt",
    );
    assert_eq!(code, 0, "{report}");
    let (code, report) = gate(&[], "rmdir $SAMEBITS_OUT; seq 9 > a.txt");
    assert_eq!(code, 0, "{report}");
}

#[test]
fn a_link_to_a_folder_inside_the_output_folder_is_not_entered() {
    let precious = tempfile::tempdir().unwrap();
    fs::write(precious.path().join("precious.txt"), "12345").unwrap();
    let script = format!(
        "ln -s {} $SAMEBITS_OUT/data; seq 9 > a.txt",
        precious.path().display()
    );
    let (code, report) = gate(&[], &script);
    assert_eq!(code, 0, "{report}");
    assert!(precious.path().join("precious.txt").exists());
}

#[test]
fn a_link_is_compared_by_what_it_leads_to_when_the_run_ends() {
    let outside = tempfile::tempdir().unwrap();
    let script = |content: &str| {
        format!(
            "{content} > {0}/model.bin; ln -s {0}/model.bin model.bin",
            outside.path().display()
        )
    };
    assert_eq!(gate(&[], &script("date +%N")).0, 1);
    assert_eq!(gate(&[], &script("seq 9")).0, 0);
    assert_eq!(gate(&[], "seq 9 > a.txt; ln -s a.txt b.txt").0, 0);
    assert_eq!(gate(&[], "date +%N > a.txt; ln -s a.txt b.txt").0, 1);
}

#[test]
fn a_link_to_a_folder_outside_is_compared_by_what_stood_there_when_the_run_ended() {
    let outside = tempfile::tempdir().unwrap();
    let place = outside.path().join("run");
    let script = |content: &str, link: &str| {
        format!(
            "rm -rf {0}; mkdir -p {0}/deep; {content} > {0}/deep/m; ln -s {0} {0}/self; ln -s {0} {link}; echo 1.5 > n",
            place.display()
        )
    };
    for (link, shown) in [("made", "made"), ("$SAMEBITS_OUT/made", "{out}/made")] {
        for flags in [&["--workdir", "copy"][..], &["--workdir", "inplace"]] {
            let (code, report) = gate(flags, &script("date +%N", link));
            assert_eq!(
                (code, word(&report["first_divergence"], "name")),
                (1, format!("{shown}/deep/m:bytes")),
                "{flags:?}: {report}"
            );
            let (code, report) = gate(flags, &script("seq 9", link));
            assert_eq!(code, 0, "{flags:?}: {report}");
        }
    }
    // A pattern means what stands there; the link itself is put back where it was.
    let folder = tempfile::tempdir().unwrap();
    let flags = &["--workdir", "inplace", "--artifact", "made/deep/*"];
    let (code, found) = report(command(folder.path(), flags, &script("seq 9", "made")));
    assert_eq!(
        (code, &found["compared"]["entries"]),
        (0, &1.into()),
        "{found}"
    );
    assert_eq!(
        fs::read_link(folder.path().join("made")).unwrap(),
        place,
        "{found}"
    );
    // Nothing is ever put back through a link.
    let script = format!(
        "rm -rf {0}; mkdir {0}; date +%N > {0}/$(date +%N); ln -s {0} made",
        place.display()
    );
    let folder = tempfile::tempdir().unwrap();
    let (code, found) = report(command(folder.path(), &["--workdir", "inplace"], &script));
    assert_eq!(code, 1, "{found}");
    assert_eq!(fs::read_dir(&place).unwrap().count(), 1, "{found}");
}

#[test]
fn what_is_too_much_behind_a_link_is_compared_by_where_it_leads_and_that_is_said() {
    let outside = tempfile::tempdir().unwrap();
    let place = outside.path().display();
    let (code, report) = gate(
        &[],
        &format!("truncate -s 5G {place}/large; ln -s {place} made; echo 1.5 > n"),
    );
    assert_eq!(code, 0, "{report}");
    let notes = report["notes"].to_string();
    assert_eq!(notes.matches("too much to be taken").count(), 1, "{notes}");
    // Where it leads proves nothing alone, and is not the same everywhere.
    let (code, report) = gate(&[], &format!("ln -s {place} made"));
    assert_eq!(
        (code, word(&report, "reason_code")),
        (2, "vacuous".into()),
        "{report}"
    );
    let counts = tempfile::tempdir().unwrap();
    let script = format!(
        "{}; mkdir -p {place}/$n; truncate -s 5G {place}/$n/large; ln -s {place}/$n made; echo 1.5 > n",
        counter(counts.path())
    );
    let folder = tempfile::tempdir().unwrap();
    let (code, report) = self::report(command(folder.path(), &[], &script));
    assert_eq!(code, 1, "{report}");
}

#[test]
fn a_file_with_another_name_outside_is_compared_as_it_was_when_the_run_ended() {
    let outside = tempfile::tempdir().unwrap();
    let script = |content: &str, name: &str| {
        format!(
            "{content} > {0}/m; ln {0}/m {name}",
            outside.path().display()
        )
    };
    for name in ["m", "$SAMEBITS_OUT/m"] {
        for flags in [&["--workdir", "copy"][..], &["--workdir", "inplace"]] {
            let (code, report) = gate(flags, &script("date +%N", name));
            assert_eq!(code, 1, "{name} {flags:?}: {report}");
            let (code, report) = gate(flags, &script("seq 9", name));
            assert_eq!(code, 0, "{name} {flags:?}: {report}");
        }
    }
}

#[test]
fn what_is_written_through_a_link_that_was_there_is_said_and_not_compared() {
    let outside = tempfile::tempdir().unwrap();
    let place = outside.path().canonicalize().unwrap();
    fs::create_dir(place.join("deep")).unwrap();
    fs::write(place.join("data.txt"), "1 2 3").unwrap();
    let folder = tempfile::tempdir().unwrap();
    symlink(&place, folder.path().join("outputs")).unwrap();
    let linked = folder.path().join("linked");
    fs::create_dir(&linked).unwrap();
    let said = format!(
        "written through a link, not compared: outputs/deep/model.txt ({}/deep/model.txt)",
        place.display()
    );
    let write = "date +%N > outputs/deep/model.txt";
    for flags in [&["--workdir", "copy"][..], &["--workdir", "inplace"]] {
        let (code, found) = report(command(
            folder.path(),
            flags,
            &format!("{write}; echo 1.5 > n"),
        ));
        let notes = found["notes"].to_string();
        assert_eq!((code, notes.matches(&said).count()), (0, 1), "{found}");
        let (code, found) = report(command(folder.path(), flags, write));
        assert_eq!(
            (code, word(&found, "reason_code")),
            (2, "no-artifact".into()),
            "{found}"
        );
        assert!(word(&found, "reason").contains(&said), "{found}");
        let (code, found) = report(command(folder.path(), flags, &format!("{write}; seq 9")));
        assert_eq!(code, 0, "{found}");
        assert!(found["notes"].to_string().contains(&said), "{found}");
        let (code, found) = report(command(
            folder.path(),
            flags,
            "cat outputs/data.txt > a.txt; touch outputs",
        ));
        assert_eq!(code, 0, "{found}");
        assert!(
            !found["notes"].to_string().contains("through a link"),
            "{found}"
        );
        fs::remove_file(folder.path().join("n")).ok();
        fs::remove_file(folder.path().join("a.txt")).ok();
    }
    let (code, found) = report(command(
        folder.path(),
        &["--link", "linked"],
        "date +%N > linked/m; echo 1.5 > n",
    ));
    assert_eq!(code, 0, "{found}");
    assert!(
        found["notes"]
            .to_string()
            .contains("not compared: linked/m ("),
        "{found}"
    );
}

#[test]
fn names_that_stand_for_something_else_are_refused_before_anything_is_moved() {
    for name in [
        "{out}/model.txt",
        "{root}/a",
        "{stdout}",
        "{stderr}/a",
        "{metrics}.json",
        "{deleted}",
    ] {
        for flags in [&["--workdir", "copy"][..], &["--workdir", "inplace"]] {
            let folder = tempfile::tempdir().unwrap();
            let mut command = command(folder.path(), flags, "");
            // In the script itself samebits would put the output folder in the place of its name.
            command.env("NAME", name);
            let script =
                "echo 1.5 > other.txt; mkdir -p \"$(dirname \"$NAME\")\"; echo 2.5 > \"$NAME\"";
            let path = folder.path().join("script.sh");
            fs::write(&path, script).unwrap();
            let mut gate = Command::new(command.get_program());
            gate.current_dir(folder.path()).env("NAME", name);
            gate.args(["gate", "--format", "json"]);
            gate.args(flags).args(["--", "sh", "script.sh"]);
            let (code, found) = report(gate);
            assert_eq!(
                (code, word(&found, "reason_code")),
                (2, "usage".into()),
                "{found}"
            );
            let reason = word(&found, "reason");
            assert!(
                reason.contains(name.split('/').next().unwrap())
                    && reason.contains("$SAMEBITS_OUT"),
                "{found}"
            );
            for (name, content) in [(name, "2.5\n"), ("other.txt", "1.5\n")] {
                let there = fs::read_to_string(folder.path().join(name)).unwrap_or_default();
                let expected = if flags[1] == "inplace" { content } else { "" };
                assert_eq!(there, expected, "{name} {flags:?}");
            }
        }
    }
}

#[test]
fn folders_that_the_command_closed_are_gathered_and_removed() {
    let all = tempfile::tempdir().unwrap();
    // Nothing is closed to root, who must be somebody else here.
    let root = fs::metadata(all.path()).unwrap().uid() == 0;
    let program = all.path().join("samebits");
    fs::copy(env!("CARGO_BIN_EXE_samebits"), &program).unwrap();
    fs::set_permissions(all.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let own = |name: &str| {
        let folder = all.path().join(name);
        fs::create_dir(&folder).unwrap();
        if root {
            chown(&folder, Some(65534), Some(65534)).unwrap();
        }
        folder
    };
    let mut count = 0;
    for (script, expected) in [
        ("mkdir d; echo 1.5 > d/r; chmod 555 d", 0),
        ("mkdir -p d/e; echo 1.5 > d/e/r; chmod 000 d/e d", 0),
        ("mkdir d; echo 1.5 > d/r; chmod 555 d .", 0),
        (
            "mkdir $SAMEBITS_OUT/d; date +%N > $SAMEBITS_OUT/d/r; chmod 000 $SAMEBITS_OUT/d $SAMEBITS_OUT",
            1,
        ),
        ("mkdir d; echo 1.5 > d/r; chmod 000 d; false", 2),
    ] {
        for place in ["copy", "inplace"] {
            count += 1;
            let folder = own(&format!("work-{count}"));
            let temporary = own(&format!("temporary-{count}"));
            if place == "inplace" && (script.ends_with('.') || expected == 2) {
                continue;
            }
            let mut command = Command::new(&program);
            command.current_dir(&folder).env("TMPDIR", &temporary);
            command.args(["gate", "--format", "json", "--workdir", place]);
            command.args(["--", "sh", "-c", script]);
            if root {
                command.uid(65534).gid(65534);
            }
            let (code, report) = report(command);
            assert_eq!(code, expected, "{place} {script}: {report}");
            let left = fs::read_dir(&temporary).unwrap().count();
            assert_eq!(left, 0, "{place} {script}: {report}");
            if place == "inplace" && expected == 0 {
                let name = if script.contains("d/e") {
                    "d/e/r"
                } else {
                    "d/r"
                };
                assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), "1.5\n");
            }
        }
    }
}

#[test]
fn git_answers_in_the_copy_of_a_repository_with_submodules() {
    let all = tempfile::tempdir().unwrap();
    let git = |folder: &str, arguments: &[&str]| {
        let mut git = Command::new("git");
        git.current_dir(all.path().join(folder));
        git.args(["-c", "user.name=t", "-c", "user.email=t@t"]);
        git.args(["-c", "protocol.file.allow=always"]);
        let output = git.args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for name in ["inner", "other", "outer"] {
        fs::create_dir(all.path().join(name)).unwrap();
        git(name, &["init", "-q"]);
        fs::write(all.path().join(name).join("a.txt"), name).unwrap();
        git(name, &["add", "a.txt"]);
        git(name, &["commit", "-qm", name]);
    }
    let other = all.path().join("other").display().to_string();
    let inner = all.path().join("inner").display().to_string();
    git("inner", &["submodule", "--quiet", "add", &other, "deep"]);
    git("inner", &["commit", "-qm", "deep"]);
    git("outer", &["submodule", "--quiet", "add", &inner, "sub"]);
    git(
        "outer",
        &["submodule", "--quiet", "update", "--init", "--recursive"],
    );
    git("outer", &["commit", "-qm", "sub"]);
    // One that nobody brought is an empty folder.
    git("outer", &["submodule", "--quiet", "add", &other, "away"]);
    git("outer", &["commit", "-qm", "away"]);
    git("outer", &["submodule", "--quiet", "deinit", "-f", "away"]);
    let head = git("outer/sub", &["rev-parse", "HEAD"]);
    let commit = "git -c user.name=t -c user.email=t@t commit -q --allow-empty -m own";
    let script = format!(
        "test -z \"$(git status --porcelain)\" && test \"$(git -C sub rev-parse HEAD)\" = {} && cat sub/deep/a.txt && \
         (cd sub/deep && {commit}) && (cd sub && git status --porcelain && {commit}) && git status --porcelain > seen.txt && seq 9 > a.txt",
        head.trim()
    );
    let (code, report) = report(command(&all.path().join("outer"), &[], &script));
    assert_eq!(code, 0, "{report}");
    assert_eq!(git("outer/sub", &["rev-parse", "HEAD"]), head);
    assert_eq!(git("outer", &["status", "--porcelain"]), "");
}

#[test]
fn a_script_repeats_the_mode_and_the_seed_or_says_that_it_does_not() {
    let (folder, keep) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let kept = keep.path().join("kept's");
    let script = "printf '%s\\n' \"$PYTHONPATH\" \"$SAMEBITS_HOOK\"; seq 9 > a.txt";
    let flags = ["--mode", "strict", "--seed", "7"];
    let mut all = vec!["--keep", kept.to_str().unwrap()];
    all.extend(flags);
    let mut run = command(folder.path(), &all, script);
    run.env("PYTHONPATH", "/a b");
    let (code, found) = report(run);
    assert_eq!(code, 0, "{found}");
    let said = |text: &str| {
        let (path, order) = text.trim().split_once('\n').unwrap();
        let order: Value = serde_json::from_str(order).unwrap();
        (path.to_owned(), order)
    };
    let (path, mut order) = said(&fs::read_to_string(kept.join("run-1/stdout")).unwrap());
    let again = Command::new("sh")
        .arg(kept.join("run-1/repeat.sh"))
        .env("TMPDIR", keep.path())
        .output()
        .unwrap();
    let (path_again, mut order_again) = said(&String::from_utf8_lossy(&again.stdout));
    assert_eq!(path, path_again);
    assert!(path.ends_with("kept's/hook:/a b"), "{path}");
    let hook = path.split(':').next().unwrap();
    assert!(Path::new(hook).join("samebits_hook.py").exists());
    // Answers go to a folder of the repetition's own.
    let answers = order_again["folder"].take();
    assert!(Path::new(answers.as_str().unwrap()).is_dir());
    assert_ne!(order["folder"].take(), answers);
    assert_eq!(order, order_again);
    assert_eq!(order["seed"], 7);
    let (code, found) = report(command(folder.path(), &flags, script));
    let first = &found["program"]["repeat"][0];
    assert_eq!(code, 0, "{found}");
    assert!(
        first
            .as_str()
            .unwrap()
            .starts_with("# --mode strict and --seed 7 are not repeated"),
        "{found}"
    );
    let (_, found) = report(command(folder.path(), &[], script));
    let repeat = found["program"]["repeat"].to_string();
    assert!(!repeat.contains('#'), "{repeat}");
}

#[test]
fn the_limit_that_ended_a_gate_is_named() {
    let sleep = "sleep 0.7; seq 9 > a.txt";
    let (code, report) = gate(&["--total-timeout", "2s", "--runs", "5"], sleep);
    assert_eq!((code, word(&report, "reason_code")), (2, "timeout".into()));
    let said = report.to_string();
    assert!(
        word(&report, "reason").starts_with("the 2s for all runs together were over at run ")
            && said.contains("raise --total-timeout"),
        "{said}"
    );
    let flags = ["--timeout", "1s", "--total-timeout", "1m"];
    let (code, report) = gate(&flags, "sleep 30");
    assert_eq!((code, word(&report, "reason_code")), (2, "timeout".into()));
    let said = report.to_string();
    assert!(
        word(&report, "reason").contains("still going after 1s;")
            && said.contains("raise --timeout"),
        "{said}"
    );
}

#[test]
fn a_divergence_stands_whatever_the_runs_after_it_do_and_deleted_files_count() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let script = format!(
        "{}; seq $((n + 9)) > a.txt; test $n -lt 2",
        counter(outside.path())
    );
    let (code, diverged) = report(command(folder.path(), &["--runs", "3"], &script));
    assert_eq!(code, 1, "{diverged}");
    assert!(
        diverged["notes"].to_string().contains("not finished"),
        "{diverged}"
    );
    for name in ["a", "b"] {
        fs::write(folder.path().join(name), "123").unwrap();
    }
    let outside = tempfile::tempdir().unwrap();
    let script = format!(
        "{}; seq 9 > c.txt; test $n = 0 && rm a || rm b",
        counter(outside.path())
    );
    let (code, report) = report(command(folder.path(), &[], &script));
    assert_eq!(
        (code, &report["first_divergence"]["name"]),
        (1, &"{deleted}:bytes".into()),
        "{report}"
    );
}

#[test]
fn evidence_is_kept_with_a_script_that_repeats_a_run() {
    let (folder, keep) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let kept = keep.path().join("kept");
    let flags = &["--keep", kept.to_str().unwrap()];
    let (code, diverged) = report(command(
        folder.path(),
        flags,
        "date +%N > 'it is'; echo said",
    ));
    assert_eq!(code, 1);
    assert_eq!(diverged["program"]["kept"], kept.to_str().unwrap());
    for run in ["run-0", "run-1"] {
        assert_eq!(
            fs::read_to_string(kept.join(run).join("stdout")).unwrap(),
            "said\n"
        );
        assert!(kept.join(run).join("files/it is").exists());
        let again = Command::new("sh")
            .arg(kept.join(run).join("repeat.sh"))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&again.stdout), "said\n");
    }
    // Nothing is ever overwritten.
    let (code, report) = self::report(command(folder.path(), flags, "seq 9"));
    assert_eq!((code, word(&report, "reason_code")), (2, "usage".into()));
}

#[test]
fn a_recorded_reference_passes_catches_and_is_not_comparable_elsewhere() {
    let (folder, keep) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = keep.path().join("reference.json");
    let name = file.to_str().unwrap();
    let (code, recorded) = report(command(folder.path(), &["--record", name], "seq 9 > a.txt"));
    assert_eq!(code, 0, "{recorded}");
    let (code, same) = report(command(
        folder.path(),
        &["--reference", name, "--runs", "1"],
        "seq 9 > a.txt",
    ));
    assert_eq!(
        (code, word(&same, "verdict")),
        (0, "identical".into()),
        "{same}"
    );
    let (code, other) = report(command(
        folder.path(),
        &["--reference", name],
        "seq 10 > a.txt",
    ));
    assert_eq!(
        (code, word(&other, "reason_code")),
        (1, "diverged-from-reference".into()),
        "{other}"
    );
    // A file named after the moment of its run is the same file in a later one.
    let dated = keep.path().join("dated.json");
    let dated = dated.to_str().unwrap();
    let script = format!("{}; seq 9 > log-176364200$n.txt", counter(keep.path()));
    for (flags, expected) in [
        (&["--record", dated][..], 0),
        (&["--reference", dated, "--runs", "1"], 0),
    ] {
        let (code, found) = report(command(folder.path(), flags, &script));
        assert_eq!(code, expected, "{found}");
    }
    let (code, found) = report(command(
        folder.path(),
        &["--reference", dated, "--runs", "1"],
        &script.replace("seq 9", "seq 8"),
    ));
    assert_eq!(code, 1, "{found}");
    let text = fs::read_to_string(&file).unwrap();
    let mut document: Value = serde_json::from_str(&text).unwrap();
    let facts = document["references"][0]["fingerprint"]["facts"]
        .as_object_mut()
        .unwrap();
    let key = facts
        .keys()
        .find(|key| key.starts_with("cpu.model"))
        .cloned()
        .unwrap();
    facts.insert(key, serde_json::json!("another processor"));
    fs::write(&file, document.to_string()).unwrap();
    let (code, elsewhere) = report(command(
        folder.path(),
        &["--reference", name],
        "seq 10 > a.txt",
    ));
    assert_eq!(
        (code, word(&elsewhere, "reason_code")),
        (2, "not-comparable".into()),
        "{elsewhere}"
    );
    assert!(
        word(&elsewhere, "reason").contains("because"),
        "{elsewhere}"
    );
    // Recorded beside the other, not in its place.
    let (code, _) = report(command(folder.path(), &["--record", name], "seq 9 > a.txt"));
    let document: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(
        (code, document["references"].as_array().unwrap().len()),
        (0, 2)
    );
    fs::write(&file, "{").unwrap();
    let (code, damaged) = report(command(
        folder.path(),
        &["--reference", name],
        "seq 9 > a.txt",
    ));
    assert_eq!((code, word(&damaged, "reason_code")), (2, "damaged".into()));
}

/// A word in the command line of everything a test starts, so that what is left can be counted.
fn left(marker: &str) -> usize {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let stat = fs::read_to_string(folder.join("stat")).ok()?;
            let zombie = stat.rsplit_once(')')?.1.trim_start().starts_with('Z');
            let line = fs::read(folder.join("cmdline")).ok()?;
            let text = String::from_utf8_lossy(&line).into_owned();
            let own = text.contains("samebits") && text.contains("gate");
            (!zombie && !own && text.contains(marker)).then_some(())
        })
        .count()
}

fn none_left(marker: &str) {
    let begun = Instant::now();
    while left(marker) > 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(12),
            "{} processes are left",
            left(marker)
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn start(mut command: Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn wait_for(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{} never appeared",
            path.display()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn however_a_gate_ends_no_process_is_left() {
    let sleeper = |marker: &str, ready: &Path| {
        format!(
            "trap '' TERM; (exec -a {marker}-child sleep 300) & setsid bash -c 'exec -a {marker}-away sleep 300' & touch {}; exec -a {marker}-self sleep 300",
            ready.display()
        )
    };
    for (name, signal, limit, expected) in [
        ("kill", Some(Signal::SIGKILL), None, None),
        ("interrupt", Some(Signal::SIGINT), None, Some(2)),
        ("terminate", Some(Signal::SIGTERM), None, Some(2)),
        ("limit", None, Some("1s"), Some(2)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let ready = tempfile::tempdir().unwrap();
        let marker = format!("samebits-test-{}-{name}", std::process::id());
        let flags: Vec<&str> = limit
            .into_iter()
            .flat_map(|limit| ["--timeout", limit])
            .collect();
        let mut command = command(folder.path(), &flags, "exec bash -c \"$SCRIPT\"");
        command.env("SCRIPT", sleeper(&marker, &ready.path().join("ready")));
        let mut child = start(command);
        wait_for(&ready.path().join("ready"));
        assert!(left(&marker) > 0, "{name}: there is something to end");
        if let Some(signal) = signal {
            kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        }
        let status = child.wait().unwrap();
        assert_eq!(status.code(), expected, "{name}");
        none_left(&marker);
    }
}

#[test]
fn a_daemon_that_outlives_the_command_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let marker = format!("samebits-test-{}-daemon", std::process::id());
    let script = format!(
        "setsid bash -c '(exec -a {marker} sleep 300) & exit 0' >/dev/null 2>&1 & seq 9 > a.txt; sleep 0.2"
    );
    let (code, report) = report(command(folder.path(), &[], &script));
    assert_eq!(code, 0, "{report}");
    none_left(&marker);
}

#[test]
fn a_killed_supervisor_is_said_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let marker = format!("samebits-test-{}-orphan", std::process::id());
    // Its parent is the supervisor.
    let script = format!("kill -9 $PPID; exec -a {marker} sleep 300");
    let mut command = command(folder.path(), &[], "exec bash -c \"$SCRIPT\"");
    command.env("SCRIPT", script);
    let (code, report) = report(command);
    assert_eq!(code, 2);
    assert!(
        word(&report, "reason").contains("lost its supervisor"),
        "{report}"
    );
    none_left(&marker);
}

#[test]
fn a_folder_that_cannot_be_written_and_a_full_disk_are_said() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.txt"), "1 2 3").unwrap();
    let (code, report) = report(command(
        folder.path(),
        &["--keep", "/proc/nowhere"],
        "seq 9",
    ));
    assert_eq!((code, word(&report, "reason_code")), (2, "io".into()));
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let (code, readonly) = self::report(command(
        folder.path(),
        &[],
        "cat a.txt; seq 9 > $SAMEBITS_OUT/b.txt",
    ));
    assert_eq!(
        code, 0,
        "a working folder that may only be read is copied: {readonly}"
    );
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut full = command(folder.path(), &[], "seq 9 > /dev/full");
    full.env("TMPDIR", std::env::temp_dir());
    let (code, report) = self::report(full);
    assert_eq!(
        (code, word(&report, "reason_code")),
        (2, "run-failed".into())
    );
}

#[test]
fn a_reference_holds_for_the_same_settings_and_the_same_paths_and_not_for_others() {
    let (folder, keep) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let name = |file: &str| keep.path().join(file).to_str().unwrap().to_owned();
    let paths = "echo \"{\\\"dir\\\":\\\"$PWD\\\",\\\"out\\\":\\\"$SAMEBITS_OUT\\\",\\\"x\\\":1.5}\" > c.json";
    let threads = "echo $OMP_NUM_THREADS.5 7 > a.txt";
    let near = format!("{}; echo 1.500000$n > a.json", counter(keep.path()));
    let (p, t, n) = (name("p.json"), name("t.json"), name("n.json"));
    for (flags, script, expected, word_expected) in [
        (&["--record", &p][..], paths, 0, "identical"),
        (&["--reference", &p], paths, 0, "identical"),
        (&["--record", &t, "--threads", "1"], threads, 0, "identical"),
        (
            &["--reference", &t, "--threads", "1"],
            threads,
            0,
            "identical",
        ),
        (
            &["--reference", &t, "--threads", "2"],
            threads,
            2,
            "not-comparable",
        ),
        (
            &["--reference", &t, "--threads", "1", "--mode", "strict"],
            threads,
            2,
            "not-comparable",
        ),
        (&["--record", &n, "--close"], &near, 0, "close"),
        (&["--reference", &n, "--close"], &near, 2, "not-comparable"),
    ] {
        let (code, found) = report(command(folder.path(), flags, script));
        let said = (code, word(&found, "reason_code"));
        assert_eq!(
            said,
            (expected, word_expected.into()),
            "{flags:?}: {}",
            found["reason"]
        );
    }
    // A variable counts as it stands for the command, wherever it came from.
    let c = name("c.json");
    let set = &["--record", &c, "--set", "MKL_CBWR=AVX2"];
    assert_eq!(report(command(folder.path(), set, "seq 9")).0, 0);
    for (value, expected) in [("AVX2", 0), ("AVX512", 2)] {
        let mut again = command(folder.path(), &["--reference", &c], "seq 9");
        again.env("MKL_CBWR", value);
        let (code, found) = report(again);
        assert_eq!(code, expected, "{value}: {}", found["reason"]);
    }
}

#[test]
fn a_reference_that_cannot_be_written_is_said_before_anything_runs() {
    let (folder, keep) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ran = keep.path().join("ran");
    let script = format!("touch {}; echo 1.5 > a", ran.display());
    let other = keep.path().join("other.json");
    fs::write(&other, "{}").unwrap();
    let lost = keep.path().join("no/folder.json");
    for file in [&lost, &other] {
        let flags = &["--record", file.to_str().unwrap()];
        assert_eq!(report(command(folder.path(), flags, &script)).0, 2);
        assert!(!ran.exists(), "{}", file.display());
    }
    assert_eq!(fs::read_to_string(&other).unwrap(), "{}");
    // A link stays one.
    let (real, link) = (keep.path().join("real.json"), keep.path().join("link.json"));
    fs::write(&real, "{\"format\":1,\"references\":[]}").unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let flags = &["--record", link.to_str().unwrap()];
    assert_eq!(report(command(folder.path(), flags, &script)).0, 0);
    assert!(link.is_symlink() && fs::read_to_string(&real).unwrap().contains("digest"));
    let differ = format!("{}; echo $n.5 > a", counter(keep.path()));
    let (code, found) = report(command(folder.path(), flags, &differ));
    assert!(
        code == 1 && found["notes"].to_string().contains("nothing was recorded"),
        "{found}"
    );
}

#[test]
fn a_file_that_its_reader_refuses_is_compared_as_bytes() {
    for file in [
        "printf '# lr=0.1\\nstep,loss\\n1,2\\n' > a.csv",
        "printf 'step,loss\\n1,2\\nEpoch done\\n' > a.csv",
        "printf '// x\\n{}' > a.json",
        ": > a.json",
        ": > a.npy",
    ] {
        let same = format!("{file}; echo 2.5 > b");
        let (code, found) = gate(&[], &same);
        assert_eq!(code, 0, "{file}: {}", found["reason"]);
        assert!(
            found["notes"].to_string().contains("compared as bytes"),
            "{file}: {found}"
        );
        let folder = tempfile::tempdir().unwrap();
        let differ = format!(
            "{}; {file}; echo x$n.5 >> $(ls a.*)",
            counter(folder.path())
        );
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let (code, found) = report(command(&inner, &[], &differ));
        assert_eq!(code, 1, "{file}: {}", found["reason"]);
    }
}

#[test]
fn files_of_several_moments_are_paired_in_their_order_and_a_link_to_the_latest_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    // The last moment of a run is the first of the next.
    let script = format!(
        "{}; for i in 0 1 2; do echo $i.5 > ckpt_176364200$((n*2+i)).txt; done",
        counter(folder.path())
    );
    let (code, found) = report(command(&inner, &[], &script));
    assert_eq!(code, 0, "{}", found["reason"]);
    let script = format!(
        "{}; d=runs/20261120-13550$n; mkdir -p $d; echo 2.5 > $d/a; ln -s 20261120-13550$n runs/latest",
        counter(folder.path())
    );
    let (code, found) = report(command(&inner, &[], &script));
    assert_eq!(code, 0, "{}", found["reason"]);
}

#[test]
fn where_no_op_can_be_looked_for_the_reason_is_said_and_the_verdict_stands() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let script = format!("{}; echo $n.5 > a", counter(folder.path()));
    for (libtorch, words) in [
        (None, "no Python process"),
        (Some("nothing/here"), "nothing/here"),
    ] {
        let mut command = command(&inner, &["--ops"], &script);
        command.env_remove("LIBTORCH");
        command.envs(libtorch.map(|path| ("LIBTORCH", path)));
        let (code, found) = report(command);
        let notes = found["notes"].to_string();
        assert!(
            code == 1 && notes.contains("no op was looked for") && notes.contains(words),
            "{notes}"
        );
        assert_eq!(found["ops"], Value::Null);
    }
    for flags in [
        &["--ops=5..3"][..],
        &["--ops=x"],
        &["--step-marker", "step"],
    ] {
        let output = command(&inner, flags, "echo 1.5").output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
    }
}
