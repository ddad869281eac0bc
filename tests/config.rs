//! `samebits.toml`, environment variables and flags: who outranks whom, and what is refused. Mostly through `samebits
//! show-config`, which reads settings exactly as `samebits gate` does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

fn samebits(folder: &Path, variables: &[(&str, &str)], words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samebits"));
    for (name, _) in std::env::vars() {
        // What the machine that runs the tests happens to set is not the matter here.
        if name.starts_with("SAMEBITS") {
            command.env_remove(name);
        }
    }
    let output = command
        .current_dir(folder)
        .envs(variables.iter().copied())
        .args(words)
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// A folder with this file of settings.
fn folder_with(settings: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("samebits.toml"), settings).unwrap();
    folder
}

fn show(folder: &Path, variables: &[(&str, &str)], flags: &[&str]) -> Value {
    let words = [&["show-config", "--format", "json"], flags].concat();
    let (code, text, said) = samebits(folder, variables, &words);
    assert_eq!(code, 0, "{text} {said}");
    serde_json::from_str(&text).unwrap()
}

/// A setting's value and where it comes from.
fn setting<'a>(shown: &'a Value, name: &str) -> (&'a Value, &'a str, &'a str) {
    let all = shown["settings"].as_array().unwrap();
    let one = all.iter().find(|one| one["name"] == name).unwrap();
    (
        &one["value"],
        one["source"].as_str().unwrap(),
        one["from"].as_str().unwrap(),
    )
}

/// What a file of settings is refused for, in words and as a report.
fn refusal(settings: &str, variables: &[(&str, &str)], flags: &[&str]) -> String {
    let folder = folder_with(settings);
    let with = |more: &[&str]| {
        let words = [&["gate"], more, flags, &["--", "true"]].concat();
        samebits(folder.path(), variables, &words)
    };
    let (code, text, said) = with(&[]);
    assert_eq!((code, text.as_str()), (2, ""), "{settings}: {said}");
    let (code, text, _) = with(&["--format", "json"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (code, &report["exit_code"], &report["command"]),
        (2, &2.into(), &"gate".into())
    );
    let reason = report["reason"].as_str().unwrap().to_owned();
    assert!(said.contains(&reason), "{said}: {reason}");
    reason
}

#[test]
fn a_flag_outranks_a_variable_that_a_profile_that_gate_that_the_default() {
    let settings = r#"
        [gate]
        runs = 3
        mode = "off"
        close = true
        ignore = ["gate", "more"]
        keep = "gate"
        [profile.ci]
        runs = 4
        mode = "warn"
        close = false
        ignore = ["profile"]
        keep = "profile"
    "#;
    let variables = [
        ("SAMEBITS_GATE_RUNS", "5"),
        ("SAMEBITS_GATE_MODE", "strict"),
        ("SAMEBITS_GATE_CLOSE", "yes"),
        ("SAMEBITS_GATE_IGNORE", "variable;more"),
        ("SAMEBITS_GATE_KEEP", "variable"),
    ];
    let flags = [
        "--runs=6",
        "--mode=own",
        "--close=false",
        "--ignore=flag",
        "--ignore=a;b",
        "--keep=flag",
    ];
    let with_file = folder_with(settings);
    let without = tempfile::tempdir().unwrap();
    let ci = ["--profile", "ci"];
    let levels = [
        ("default", show(without.path(), &[], &[])),
        ("gate", show(with_file.path(), &[], &[])),
        ("profile", show(with_file.path(), &[], &ci)),
        ("environment", show(with_file.path(), &variables, &ci)),
        (
            "flag",
            show(with_file.path(), &variables, &[&ci[..], &flags].concat()),
        ),
    ];
    let values = json!({
        "runs": [2, 3, 4, 5, 6],
        "mode": ["own", "off", "warn", "strict", "own"],
        "close": [false, true, false, true, false],
        "ignore": [[], ["gate", "more"], ["profile"], ["variable", "more"], ["flag", "a;b"]],
        "keep": [null, "gate", "profile", "variable", "flag"],
    });
    for (name, values) in values.as_object().unwrap() {
        for ((source, shown), value) in levels.iter().zip(values.as_array().unwrap()) {
            let (found, from, _) = setting(shown, name);
            assert_eq!((found, from), (value, *source), "{name}");
        }
    }
    let from = |level: usize| setting(&levels[level].1, "runs").2;
    assert_eq!(from(1), "samebits.toml:3 [gate]");
    assert_eq!(from(2), "samebits.toml:9 [profile.ci]");
    assert_eq!(from(3), "environment variable SAMEBITS_GATE_RUNS");
    assert_eq!(levels[4].1["profile"], "ci");
}

#[test]
fn a_profile_is_chosen_by_a_variable_too_and_empty_variables_are_not_set() {
    let folder = folder_with("[gate]\nruns = 3\n[profile.ci]\nruns = 4\n[profile.night]\nruns=5");
    let runs = |variables: &[(&str, &str)], flags: &[&str]| {
        setting(&show(folder.path(), variables, flags), "runs")
            .0
            .clone()
    };
    let profile = ("SAMEBITS_PROFILE", "ci");
    assert_eq!(runs(&[profile], &[]), 4);
    assert_eq!(runs(&[profile], &["--profile", "night"]), 5);
    assert_eq!(runs(&[profile], &["--no-config"]), 2);
    assert_eq!(
        runs(&[("SAMEBITS_PROFILE", ""), ("SAMEBITS_GATE_RUNS", "")], &[]),
        3
    );
    assert_eq!(runs(&[("SAMEBITS_NO_CONFIG", "1")], &[]), 2);
    assert_eq!(
        runs(
            &[("SAMEBITS_NO_CONFIG", "1")],
            &["--config", "samebits.toml"]
        ),
        3
    );
}

#[test]
fn a_switch_is_read_in_the_usual_words_and_refused_in_others() {
    let folder = folder_with("[gate]\nquiet = true\n");
    for (word, value) in [
        ("1", true),
        ("on", true),
        ("0", false),
        ("no", false),
        ("False", false),
    ] {
        let shown = show(folder.path(), &[("SAMEBITS_GATE_QUIET", word)], &[]);
        assert_eq!(
            setting(&shown, "quiet"),
            (
                &value.into(),
                "environment",
                "environment variable SAMEBITS_GATE_QUIET"
            )
        );
    }
    let shown = show(folder.path(), &[("SAMEBITS_GATE_QUIET", "0")], &["-q"]);
    assert_eq!(setting(&shown, "quiet").0, true);
    let reason = refusal("", &[("SAMEBITS_GATE_QUIET", "maybe")], &[]);
    assert!(
        reason.starts_with("SAMEBITS_GATE_QUIET: invalid value 'maybe'"),
        "{reason}"
    );
}

#[test]
fn a_stronger_setting_drives_out_the_weaker_one_that_it_excludes() {
    let folder = folder_with(
        "[gate]\nconfidence = 0.95\nrate = 0.1\n[profile.twice]\nruns = 2\n[profile.rare]\nrate = 0.01\n",
    );
    let plan = |variables: &[(&str, &str)], flags: &[&str]| -> Value {
        let shown = show(folder.path(), variables, flags);
        ["runs", "confidence", "rate"]
            .map(|name| setting(&shown, name).0.clone())
            .into_iter()
            .collect()
    };
    assert_eq!(plan(&[], &[]), json!([2, 0.95, 0.1]));
    assert_eq!(plan(&[], &["--profile=twice"]), json!([2, null, null]));
    assert_eq!(plan(&[], &["--profile=rare"]), json!([2, 0.95, 0.01]));
    let seven = [("SAMEBITS_GATE_RUNS", "7")];
    assert_eq!(plan(&seven, &[]), json!([7, null, null]));
    assert_eq!(plan(&seven, &["--confidence=0.5"]), json!([2, 0.5, 0.1]));
    // Together on one level they are a mistake.
    let (code, _, said) = samebits(
        folder.path(),
        &[],
        &["gate", "--runs=3", "--rate=0.5", "--", "true"],
    );
    assert!(code == 2 && said.contains("cannot be used with"), "{said}");
    let reason = refusal(
        "",
        &[("SAMEBITS_GATE_RUNS", "3"), ("SAMEBITS_GATE_RATE", "0.1")],
        &[],
    );
    assert!(reason.contains("exclude each other"), "{reason}");
}

#[test]
fn what_does_not_fit_is_refused_with_the_file_the_key_and_the_line() {
    for (settings, words) in [
        (
            "[gate]\nrunz = 3",
            ":2: [gate] has no setting runz; is it runs?",
        ),
        (
            "[profile.x]\n\nzzz = 3",
            ":3: [profile.x] has no setting zzz",
        ),
        ("[gate]\nprofile = 'x'", ":2: [gate] has no setting profile"),
        ("runs = 3", ":1: runs belongs below [gate]"),
        ("\n[gates]", ":2: there is no gates; a file may hold [gate]"),
        ("gate = 3", ":1: gate: expected a section"),
        ("profile.x = 3", ":1: profile.x: expected a section"),
        (
            "[gate]\nruns = '3'",
            ":2: runs: expected a whole number, found the type string",
        ),
        ("[gate]\nruns = 2.5", ":2: runs: expected a whole number"),
        ("[gate]\nruns = -1", ":2: runs: invalid value '-1'"),
        ("[gate]\nrtol = 'x'", ":2: rtol: expected a number"),
        ("[gate]\nclose = 1", ":2: close: expected true or false"),
        (
            "[gate]\nmode = true",
            ":2: mode: expected a string: own, off, warn, strict",
        ),
        ("[gate]\nmode = 'of'", ":2: mode: invalid value 'of'"),
        ("[gate]\ntimeout = 90", ":2: timeout: expected a string"),
        ("[gate]\ntimeout = 'soon'", ":2: timeout: invalid value"),
        ("[gate]\nops = false", ":2: ops: expected true or a string"),
        (
            "[gate]\nops = 'x'",
            ":2: ops: invalid value 'x' for '--ops[=<STEPS>]': `all`, one step",
        ),
        (
            "[gate]\nignore = 'a'",
            ":2: ignore: expected an array of strings",
        ),
        (
            "[gate]\nignore = [\n'a',\n3]",
            ":4: ignore: expected strings in the array",
        ),
        (
            "[gate]\ncommand = 'true'",
            ":2: command: expected an array of strings",
        ),
        ("[gate]\nset = ['x']", ":2: set: invalid value 'x'"),
        (
            "[gate]\nmax_ulp = 1\nmax-ulp = 2",
            "[gate] has max_ulp twice",
        ),
        ("[gate]\nruns = 2\nrate = 0.1", "exclude each other"),
        ("[gate]\nruns = 2\nruns = 3", ":3: duplicate key"),
        ("[gate]\nruns =", ":2: "),
        ("override = 3", ":1: override: write [[override]]"),
        (
            "[gate]\n[[override]]\nname = 'a'\nreason = 'r'",
            ":2: the override for a asks for nothing",
        ),
        (
            "[[override]]\nname = 'a'\nreason = 'r'\nclose = true\nexpires = 2020-01-01",
            ":1: the override for a expired on 2020-01-01",
        ),
        (
            "[[override]]\nname = 'a'\nreason = 'r'\nclosed = true",
            ":4: unknown field `closed`",
        ),
        (
            "[[override]]\nname = 'a'\nclose = true",
            ":1: missing field `reason`",
        ),
    ] {
        let reason = refusal(settings, &[], &[]);
        assert!(
            reason.starts_with("samebits.toml:") && reason.contains(words),
            "{settings}: {reason}"
        );
    }
}

#[test]
fn a_profile_or_a_file_that_is_not_there_is_refused() {
    let reason = refusal("[profile.a]\n[profile.b]", &[], &["--profile", "c"]);
    assert_eq!(
        reason,
        "samebits.toml: there is no [profile.c]; there is a, b"
    );
    let reason = refusal("[gate]", &[("SAMEBITS_PROFILE", "c")], &[]);
    assert!(reason.contains("nor any other profile"), "{reason}");
    let reason = refusal("", &[], &["--config", "nowhere.toml"]);
    assert!(reason.contains("cannot read nowhere.toml"), "{reason}");
    let nothing = tempfile::tempdir().unwrap();
    let (code, _, said) = samebits(
        nothing.path(),
        &[],
        &["gate", "--profile", "c", "--", "true"],
    );
    assert!(code == 2 && said.contains("so no profile c"), "{said}");
    let (code, _, said) = samebits(
        nothing.path(),
        &[],
        &["gate", "--no-config", "--config", "x", "--", "true"],
    );
    assert!(code == 2 && said.contains("cannot be used with"), "{said}");
}

#[test]
fn the_file_is_found_above_the_working_folder_up_to_the_top_of_the_repository() {
    let outer = folder_with("[gate]\nruns = 9");
    let repository = outer.path().join("repository");
    let sub = repository.join("a/b");
    fs::create_dir_all(&sub).unwrap();
    let found = |folder: &Path| show(folder, &[], &[])["file"].clone();
    assert_eq!(
        found(&sub),
        Value::Null,
        "without a repository only the working folder counts"
    );
    fs::create_dir(repository.join(".git")).unwrap();
    assert_eq!(
        found(&sub),
        Value::Null,
        "what is above the repository is not its matter"
    );
    fs::write(
        repository.join("samebits.toml"),
        "[gate]\nreference = 'r.json'\noutput = ['json=o.json']\nlink = ['a=b']\nmetric = ['a=b']",
    )
    .unwrap();
    assert_eq!(found(&sub), "../../samebits.toml");
    assert_eq!(found(&repository), "samebits.toml");
    // Paths start where the file is, and other values stay as they are.
    let shown = show(&sub, &[], &[]);
    assert_eq!(setting(&shown, "reference").0, "../../r.json");
    assert_eq!(setting(&shown, "output").0[0], "json=../../o.json");
    assert_eq!(setting(&shown, "link").0[0], "../../a=b");
    assert_eq!(setting(&shown, "metric").0[0], "a=b");
    fs::write(sub.join("samebits.toml"), "").unwrap();
    assert_eq!(found(&sub), "samebits.toml", "the nearest counts");
    let shown = show(&sub, &[], &["--config", "../../samebits.toml"]);
    assert_eq!(setting(&shown, "reference").0, "../../r.json");
}

#[test]
fn the_gate_takes_its_command_and_exceptions_from_the_file_and_says_so() {
    let folder = folder_with(
        r#"
        [gate]
        command = ["sh", "-c", "seq 9 > a.txt; date +%N > clock.txt"]
        format = "json"
        quiet = true
        [[override]]
        name = "clock.txt"
        ignore = true
        reason = "holds the time"
        [[override]]
        name = "nowhere.txt"
        close = true
        reason = "no longer"
        "#,
    );
    let (code, text, said) = samebits(folder.path(), &[], &["gate"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, said.as_str()), (0, ""), "{report}");
    let notes = report["notes"].to_string();
    assert!(
        notes.contains("settings from samebits.toml: format, quiet, command, 2 exceptions")
            && notes.contains("the override for nowhere.txt is not needed"),
        "{notes}"
    );
    let (code, text, _) = samebits(folder.path(), &[], &["gate", "--", "false"]);
    assert_eq!(code, 2);
    assert!(text.contains("exit code 1"), "{text}");
    // Even a mistake outside the file is told in the file's format.
    let (code, text, _) = samebits(folder.path(), &[], &["gate", "--output=json=no/where"]);
    assert_eq!(code, 2);
    serde_json::from_str::<Value>(&text).unwrap();
    let (code, text, _) = samebits(
        folder.path(),
        &[],
        &["gate", "--no-config", "--format=json"],
    );
    assert!(code == 2 && text.contains("no command to run"), "{text}");
    let words = &["gate", "--no-config", "--rate=0.5", "--", "true"];
    let (code, text, _) = samebits(folder.path(), &[], words);
    assert!(code == 2 && text.contains("need each other"), "{text}");
}

#[test]
fn the_settings_are_shown_in_words() {
    let folder = folder_with("[gate]\nruns = 3\n[profile.ci]\nmode = 'warn'");
    let words = &["show-config", "--profile=ci", "--threads=2", "--", "sh"];
    let (code, text, _) = samebits(folder.path(), &[("SAMEBITS_GATE_SEED", "7")], words);
    assert_eq!(code, 0);
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for line in [
        "file samebits.toml, profile ci",
        "runs 3 samebits.toml:2 [gate]",
        "mode warn samebits.toml:4 [profile.ci]",
        "seed 7 environment variable SAMEBITS_GATE_SEED",
        "threads 2 flag",
        "timeout - default",
        "command [\"sh\"] flag",
    ] {
        assert!(lines.iter().any(|one| one == line), "{line}: {text}");
    }
}

fn schema() -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/cli/samebits.schema.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Checks as much of a JSON schema as this one uses.
fn conform(value: &Value, schema: &Value, root: &Value) -> Result<(), String> {
    if let Some(to) = schema["$ref"].as_str() {
        return conform(value, root.pointer(&to[1..]).unwrap(), root);
    }
    let fits = match schema["type"].as_str() {
        None => true,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("number") => value.is_number(),
        Some(other) => panic!("the schema has the type {other}"),
    };
    let listed = schema["enum"].as_array();
    let small = schema["minimum"].as_f64() > value.as_f64() && value.is_number();
    if !fits || small || listed.is_some_and(|words| !words.contains(value)) {
        return Err(format!("{value} does not fit {schema}"));
    }
    for item in value.as_array().into_iter().flatten() {
        conform(item, &schema["items"], root)?;
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        match (&schema["properties"][key], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => return Err(format!("unknown {key}")),
            (Value::Null, other) => conform(value, other, root)?,
            (known, _) => conform(value, known, root)?,
        }
    }
    for key in schema["required"].as_array().into_iter().flatten() {
        value
            .get(key.as_str().unwrap())
            .ok_or(format!("{key} is missing"))?;
    }
    Ok(())
}

#[test]
fn the_committed_schema_is_the_one_that_the_flags_give() {
    // Mend it by `samebits show-config --schema > src/cli/samebits.schema.json`. A broken file does not matter.
    let folder = folder_with("[gate");
    let (code, text, _) = samebits(folder.path(), &[], &["show-config", "--schema"]);
    assert_eq!(code, 0);
    let printed: Value = serde_json::from_str(&text).unwrap();
    let hint = "samebits show-config --schema > src/cli/samebits.schema.json";
    assert!(printed == schema(), "run: {hint}");
}

#[test]
fn the_schema_knows_every_setting_that_is_shown_and_every_key_of_an_override() {
    let schema = schema();
    let folder = tempfile::tempdir().unwrap();
    let shown = show(folder.path(), &[], &[]);
    let settings = &schema["$defs"]["settings"]["properties"];
    let names: Vec<&str> = shown["settings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|setting| setting["name"].as_str().unwrap())
        .collect();
    assert!(names.len() > 30);
    for name in &names {
        assert!(settings[name].is_object(), "{name}");
    }
    let spelt_with_underscores = settings
        .as_object()
        .unwrap()
        .keys()
        .filter(|key| !key.contains('-'));
    assert_eq!(spelt_with_underscores.count(), names.len());
    // An unknown key makes the reader name those that it knows.
    let reason = refusal("[[override]]\nzzz = 3", &[], &[]);
    let known: Vec<&str> = reason.split('`').skip(3).step_by(2).collect();
    let keys = schema["$defs"]["override"]["properties"]
        .as_object()
        .unwrap();
    assert_eq!(known.len(), keys.len(), "{reason}");
    assert!(known.iter().all(|key| keys.contains_key(*key)), "{reason}");
}

#[test]
fn the_readmes_example_holds_and_fits_the_schema() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"));
    let readme = readme.unwrap();
    let section = readme.split("## Configuration").nth(1).unwrap();
    let example = section.split("```toml\n").nth(1).unwrap();
    let example = example.split("```").next().unwrap();
    let schema = schema();
    let fits = |text: &str| {
        let value: toml::Value = toml::from_str(text).unwrap();
        conform(&serde_json::to_value(value).unwrap(), &schema, &schema)
    };
    assert_eq!(fits(example), Ok(()));
    let shown = show(folder_with(example).path(), &[], &["--profile", "nightly"]);
    assert_eq!(setting(&shown, "rate").1, "profile");
    assert_eq!(setting(&shown, "command").1, "gate");
    // And the check is able to fail.
    for wrong in [
        "[gate]\nrunz = 3",
        "[gate]\nruns = 'x'",
        "[gate]\nruns = -1",
        "[gate]\nmode = 'fast'",
        "[gate]\nignore = [3]",
        "[profile.a]\nclose = 3",
        "[[override]]\nname = 'a'",
        "[other]",
    ] {
        assert!(fits(wrong).is_err(), "{wrong}");
    }
    assert_eq!(fits("[gate]\nmax-ulp = 3"), Ok(()));
}
