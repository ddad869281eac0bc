//! The formats: what CI systems and browsers are given must be well-formed whatever the tensors are called, small enough to
//! be taken, and say the same verdict everywhere. And back: a saved report is read again, or refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use proptest::prelude::*;
use roxmltree::{Document, Node, ParsingOptions};
use safetensors::Dtype as FileDtype;
use safetensors::tensor::TensorView;
use samebits::compare::{Growth, Metric, Mismatch, Status};
use samebits::difference::{Difference, View, difference};
use samebits::dtype::Dtype;
use samebits::fingerprint::{Fact, Fingerprint};
use samebits::knob::{Origin, Setting};
use samebits::number::Number;
use samebits::recorder::Account;
use samebits::report::format::FORMATS;
use samebits::report::tensors::{Contents, Excepted, Layer, TensorReport};
use samebits::report::{
    Control, Divergence, Program, Report, Run, Subject, github, gitlab, html, json as saved, junit,
    markdown, text,
};
use samebits::tolerance::Tolerance;
use samebits::trace::{Key, Phase};
use samebits::verdict::Verdict;
use serde_json::{Value, json};

/// Each would break out of some format.
const HOSTILE: &[&str] = &[
    "</script><script>alert(1)</script>",
    "%0A::error::owned",
    "\n::error::owned",
    "]]><!--",
    "a|b`c\\|d**e**",
    "\u{1b}[31mred\u{0}\u{8}\u{9b}",
    "\"><img src=x onerror=alert(1)>'",
    "@everyone #1 ```",
    "END\nverdict<<END\nidentical\nEND",
    "\u{202e}txt.exe\u{fffe}",
    "| --- |\r\n\r\n# heading",
];

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samebits"));
    command
        .args(arguments)
        .env_remove("GITHUB_STEP_SUMMARY")
        .env_remove("GITHUB_OUTPUT");
    command
}

fn run(arguments: &[&str]) -> (i32, String) {
    said(&command(arguments).output().unwrap())
}

fn said(output: &Output) -> (i32, String) {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    (output.status.code().unwrap(), text)
}

fn write(path: &Path, tensors: &[(&str, &[f32])]) -> String {
    let bytes = |values: &[f32]| {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    };
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|(_, values)| bytes(values)).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, values), bytes)| {
        let view = TensorView::new(FileDtype::F32, vec![values.len()], bytes).unwrap();
        (*name, view)
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Two files for each verdict, with the flags that lead to it.
fn examples(folder: &Path) -> Vec<(Verdict, Vec<String>)> {
    let one = [1.0, 2.0, 3.0];
    let other = [1.0, 2.0, f32::from_bits(3f32.to_bits() + 2)];
    let a = write(
        &folder.join("a.safetensors"),
        &[("layer.w", &one), ("layer.b", &one)],
    );
    let b = write(
        &folder.join("b.safetensors"),
        &[("layer.w", &other), ("layer.b", &one)],
    );
    let none = folder.join("none").to_str().unwrap().to_owned();
    vec![
        (Verdict::Identical, vec![a.clone(), a.clone()]),
        (Verdict::Close, vec![a.clone(), b.clone(), "--close".into()]),
        (Verdict::Diverged, vec![a.clone(), b]),
        (Verdict::Inconclusive, vec![a, none]),
    ]
}

/// Everything a report can hold, with this name wherever a name of the user's can stand.
fn full(name: &str, verdict: Verdict) -> Report {
    let mut report = Report::new("gate", verdict, "a-code", format!("why: {name}"), u64::MAX);
    report.next = vec![format!("try `--this`: {name}")];
    report.claim = format!("proves: {name}");
    report.warnings = vec![name.into()];
    report.notes = vec![name.into()];
    report.controls = vec![Control {
        name: "one-ulp".into(),
        what: name.into(),
        expected: "diverged".into(),
        observed: "diverged".into(),
        passed: true,
    }];
    report.settings = vec![Setting {
        name: "cudnn.benchmark".into(),
        requested: Some("false".into()),
        in_force: Some(name.into()),
        origin: Some(Origin::Flag),
    }];
    let mut fingerprint = Fingerprint::default();
    let facts = &mut fingerprint.facts;
    facts.insert("os.kernel".into(), Fact::from(name));
    facts.insert("gpu.0.name".into(), Fact::absent("no driver"));
    report.fingerprint = Some(fingerprint);
    report.program = Some(Program {
        command: vec!["python".into(), "./train.py".into(), name.into()],
        mode: "own".into(),
        workdir: "fresh copies".into(),
        artifacts: vec!["*.pt".into()],
        kept: None,
        repeat: vec![format!("echo {name}"), "python train.py".into()],
    });
    report.exceptions = vec![Excepted {
        name: name.into(),
        what: "ignored".into(),
        reason: name.into(),
        matched: 3,
        needed: 0,
    }];
    found_in_traces(&mut report, name);
    found_in_files(&mut report, name);
    report.ops = Some(found_by_the_recorder(name));
    report
}

/// An op that gave other bits, with every part of a finding.
fn found_by_the_recorder(name: &str) -> Account {
    let place = json!({
        "op": "aten::put_", "overload": name, "parents": [name, "outer", "outer"], "step": 3, "occurrence": 1, "index": 9,
        "phase": "backward", "range": name,
    });
    let outside = json!({
        "dtype": name, "shape": [2], "strides": [1], "device": "cpu", "digest": null, "remarks": ["written", name],
    });
    let tensor = json!({
        "arg": 0, "item": 1, "equal": false, "sides": {"reference": outside, "candidate": null},
    });
    let value = json!({"decimal": "1", "bits": "0x3f800000"});
    let both = |value: &Value| json!({"reference": value, "candidate": value});
    let finding = json!({
        "kind": "op", "what": format!("it gave other bits: {name}"), "place": place,
        "backward": {"node": name, "forward": place},
        "process": {"role": "0/f1", "rank": {"RANK": name}, "argv": [name]}, "thread": {"number": 1, "role": "worker"},
        "flags": [name], "alert": name, "scalars": {"reference": name, "candidate": "other"},
        "threads": {"reference": 1, "candidate": 2}, "draws": null, "inputs": [tensor], "outputs": [tensor],
        "first": {"output": true, "arg": 0, "index": 0, "position": [0], "values": both(&value), "ulp": 1, "differing": 1,
            "numel": 2},
        "structure": {"what": "extra", "without_partner": both(&json!(1)), "steps": both(&json!(1)), "before": [name],
            "next": both(&json!([name]))},
        "collective": place,
        "wake": {"ops": 1, "of": 2, "steps": [{"step": 3, "ops": 1}], "first": [place], "last": place},
        "besides": [{"kind": "rng", "what": name, "place": place, "ops": 2, "fix": name}],
        "known": {"device": "cpu", "reason": name, "fix": name, "alternative": name, "source": "doc"},
        "advice": [name],
    });
    let compared = json!({
        "processes": 1, "threads": 1, "steps": 3, "announced": 5, "ops": 9, "hashed": 9, "unhashed": 1,
    });
    let account = json!({
        "compared": compared, "steps_by": name, "finding": finding, "others": [name], "notes": [name],
    });
    serde_json::from_value(account).unwrap()
}

/// Two tensors with every kind of difference.
fn found() -> Difference {
    let bytes = |values: [f32; 4]| {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    };
    let one: Vec<u8> = bytes([1.0, 2.0, f32::NAN, -0.0]);
    let other: Vec<u8> = bytes([1.0, 2.5, 3.0, 0.0]);
    let view = |bytes| View {
        dtype: Dtype::Float32,
        shape: &[2, 2],
        bytes,
    };
    difference(view(&one), view(&other), &Tolerance::Bitwise).unwrap()
}

/// What only a comparison of traces fills in.
fn found_in_traces(report: &mut Report, name: &str) {
    let found = found();
    let first = found.first.clone().unwrap();
    let key = Key {
        step: 3,
        phase: Phase::Backward,
        name: name.into(),
        occurrence: 2,
    };
    report.compared.runs = 3;
    report.compared.entries = 12345;
    report.first_divergence = Some(Divergence {
        run: 1,
        rank: None,
        step: Some(3),
        phase: Some(Phase::Backward),
        name: name.into(),
        occurrence: 2,
        op: Some("aten::index_put_".into()),
        status: Status::Diverged,
        outline: None,
        candidate_outline: None,
        index: Some(first.index),
        position: Some(vec![0, 1]),
        reference: Some(first.reference),
        candidate: Some(first.candidate),
        ulp: first.ulp,
        text: None,
        differing: Some((found.bits_differing, found.numel)),
        repeat: Some("repeated".into()),
        last_agreed: Some(key.clone()),
    });
    let runs = ["reference", "diverged", "identical"].iter().enumerate();
    report.runs = runs
        .map(|(run, &result)| Run {
            run,
            result: result.into(),
            digest: format!("{run:064x}"),
            metrics: BTreeMap::from([(name.to_owned(), Number(f64::NAN))]),
        })
        .collect();
    report.distinct_results = Some(2);
    report.growth = (0..1000u32)
        .map(|step| Growth {
            step: step.checked_sub(1).map(u64::from),
            entries: 9,
            differing: u64::from(step.min(9)),
            greatest_abs: (step % 7 == 0).then(|| Number(1e-7 * f64::from(step + 1))),
            max_ulp: (step % 7 == 0).then_some(step.into()),
        })
        .collect();
    report.mismatches = vec![Mismatch {
        key,
        status: Status::Diverged,
        reference: None,
        candidate: None,
        difference: Some(found),
    }];
    report.mismatch_count = 7;
    report.metrics = vec![Metric {
        name: name.into(),
        reference: Some(Number(0.1 + 0.2)),
        candidate: None,
    }];
}

/// What only a comparison of files fills in.
fn found_in_files(report: &mut Report, name: &str) {
    let mut tensor = TensorReport::of(name, Dtype::Float32, &[2, 2], found());
    tensor.rtol = f64::INFINITY;
    let mut same = tensor.clone();
    same.status = Status::Identical;
    same.detail = None;
    let layer = Layer {
        name: name.into(),
        tensors: 2,
        differing: 1,
        numel: 4,
        elements: 3,
        greatest_abs: Some(Number(f64::INFINITY)),
        greatest_rel: None,
        max_ulp: Some(u64::MAX),
    };
    let mut contents = Contents {
        tensors: vec![same, tensor.clone(), tensor.clone(), tensor],
        layers: vec![layer.clone(), layer],
        ..Contents::default()
    };
    for (at, tensor) in contents.tensors.iter_mut().enumerate().skip(2) {
        tensor.key = format!("{name}.{at}");
    }
    contents.counts.differing = 3;
    contents.counts.identical = 1;
    report.contents = Some(contents);
}

/// A report of workloads, one for each of these.
fn many(reports: Vec<Report>) -> Report {
    Report::of_many("audit", reports, 1)
}

fn with_subject(mut report: Report, name: &str) -> Report {
    report.subject = Some(Subject {
        workload: name.into(),
        steps: 5,
        batch: 8,
        dtype: "float32".into(),
        device: "cpu".into(),
        threads: 2,
        mode: "strict".into(),
        isolation: "fresh".into(),
    });
    report
}

fn attribute(node: Node, name: &str) -> usize {
    node.attribute(name).unwrap().parse().unwrap()
}

/// What Jenkins' junit-10.xsd asks of the elements that samebits writes.
fn is_junit(text: &str) {
    let document = Document::parse(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let suites = document.root_element();
    let named = |node: Node, name: &str| {
        let below = node.descendants();
        below.filter(|node| node.has_tag_name(name)).count()
    };
    let mut elements = document.root().descendants().filter(Node::is_element);
    assert!(elements.all(|node| {
        let (parent, required, optional): (&str, &[&str], &[&str]) = match node.tag_name().name() {
            "testsuites" => ("", &[], &["name", "tests", "failures", "errors"]),
            "testsuite" => (
                "testsuites",
                &["name", "tests"],
                &["failures", "errors", "skipped"],
            ),
            "properties" => ("testsuite", &[], &[]),
            "property" => ("properties", &["name", "value"], &[]),
            "testcase" => ("testsuite", &["name"], &["classname"]),
            "failure" | "error" => ("testcase", &[], &["message", "type"]),
            "system-out" => ("testcase", &[], &[]),
            other => panic!("{other} is not in the schema"),
        };
        let parent_name = node
            .parent_element()
            .map_or("", |node| node.tag_name().name());
        parent_name == parent
            && required.iter().all(|name| node.has_attribute(*name))
            && node.attributes().all(|attribute| {
                required.contains(&attribute.name()) || optional.contains(&attribute.name())
            })
    }));
    for node in suites
        .descendants()
        .filter(|node| ["testsuites", "testsuite"].contains(&node.tag_name().name()))
    {
        assert_eq!(attribute(node, "tests"), named(node, "testcase"));
        assert_eq!(attribute(node, "failures"), named(node, "failure"));
        assert_eq!(attribute(node, "errors"), named(node, "error"));
    }
}

/// A page that is well-formed, needs nothing from elsewhere and runs nothing.
fn is_page(text: &str) -> Document<'_> {
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    let page = Document::parse_with_options(text, options)
        .unwrap_or_else(|error| panic!("{error}: {text}"));
    for node in page.descendants().filter(Node::is_element) {
        let name = node.tag_name().name();
        assert!(
            !["script", "link", "img", "iframe", "object", "a"].contains(&name),
            "{name}"
        );
        for attribute in node.attributes() {
            let name = attribute.name();
            assert!(
                !name.starts_with("on") && !["src", "href", "style"].contains(&name),
                "{name}"
            );
        }
        if ["html", "body", "table", "th", "svg"].contains(&name) {
            let needed = match name {
                "th" => node.attribute("scope"),
                "svg" => node.attribute("aria-label"),
                "html" => node.attribute("lang"),
                _ => Some(""),
            };
            assert!(needed.is_some(), "<{name}> says too little");
        }
    }
    assert!(!text.contains("url(") && !text.contains("@import"));
    page
}

/// Lines that GitHub's runner takes for annotations, at most ten of each kind.
fn are_annotations(text: &str) {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for line in text.lines() {
        let (kind, rest) = line.strip_prefix("::").unwrap().split_once(' ').unwrap();
        assert!(["error", "warning", "notice"].contains(&kind), "{line}");
        let (properties, data) = rest.split_once("::").unwrap();
        for property in properties.split(',') {
            let (name, value) = property.split_once('=').unwrap();
            assert!(["file", "line", "title"].contains(&name), "{line}");
            assert!(!value.contains(':'), "{line}");
        }
        let mut escapes = (properties.to_owned() + data).replace("%25", "");
        for escape in ["%0D", "%0A", "%3A", "%2C"] {
            escapes = escapes.replace(escape, "");
        }
        assert!(!escapes.contains(['%', '\r', '\u{1b}']), "{line}");
        *kinds.entry(kind).or_default() += 1;
    }
    assert!(kinds.values().all(|count| *count <= 10), "{kinds:?}");
    assert!(!text.is_empty());
}

/// As the runner reads the file of outputs.
fn outputs(text: &str) -> BTreeMap<String, String> {
    let mut lines = text.lines();
    let mut found = BTreeMap::new();
    while let Some(line) = lines.next() {
        let (name, end) = line.split_once("<<").unwrap();
        let value: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
        assert!(found.insert(name.to_owned(), value.join("\n")).is_none());
    }
    found
}

/// Every row of every table has as many cells as its head.
fn is_markdown(text: &str) {
    let mut columns = None;
    let mut fence: Option<String> = None;
    for line in text.lines() {
        let ticks: String = line.chars().take_while(|c| *c == '`').collect();
        match &fence {
            Some(open) if ticks == *open => fence = None,
            None if ticks.len() >= 3 => fence = Some(ticks),
            _ => {}
        }
        let bars = line.matches('|').count();
        if fence.is_some() || bars == 0 {
            columns = None;
            continue;
        }
        assert!(line.starts_with('|') && line.ends_with('|'), "{line}");
        assert_eq!(*columns.get_or_insert(bars), bars, "{line}");
    }
    assert_eq!(fence, None);
}

fn are_findings(text: &str) -> Vec<Value> {
    let findings: Vec<Value> = serde_json::from_str(text).unwrap();
    for finding in &findings {
        for field in ["description", "check_name", "fingerprint"] {
            assert!(!finding[field].as_str().unwrap().is_empty());
        }
        let severity = finding["severity"].as_str().unwrap();
        assert!(["info", "minor", "major", "critical", "blocker"].contains(&severity));
        assert!(finding["location"]["path"].is_string());
        assert_eq!(finding["location"]["lines"]["begin"], 1);
    }
    let mut prints: Vec<_> = findings
        .iter()
        .map(|one| one["fingerprint"].as_str())
        .collect();
    prints.sort_unstable();
    prints.dedup();
    assert_eq!(prints.len(), findings.len(), "two findings look like one");
    findings
}

/// Whatever must hold of a report in every format.
fn holds_everywhere(report: &Report) {
    is_junit(&junit::render(report));
    is_page(&html::render(report));
    are_annotations(&github::annotations(report));
    let said = outputs(&github::outputs(report));
    assert_eq!(said["verdict"], report.verdict.name());
    assert_eq!(said["exit_code"], report.exit_code.to_string());
    assert_eq!(said.len(), 6);
    is_markdown(&markdown::render(report));
    assert!(markdown::render(report).len() <= 65_000);
    let good = matches!(report.verdict, Verdict::Identical | Verdict::Close);
    assert_eq!(are_findings(&gitlab::render(report)).is_empty(), good);
    let text = saved::render(report);
    assert_eq!(saved::render(&saved::read(&text).unwrap()), text);
}

#[test]
fn every_verdict_is_the_same_in_every_format_on_standard_output_in_a_file_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    for (verdict, arguments) in examples(folder.path()) {
        let saved = folder.path().join("report.json");
        let saved = saved.to_str().unwrap();
        for format in FORMATS {
            let file = folder.path().join(format.name);
            let output = format!("{}={}", format.name, file.display());
            let json = format!("json={saved}");
            let mut words = vec!["diff", "--format", format.name, "--output", &output];
            if format.name != "json" {
                words.extend(["--output", &json]);
            }
            words.extend(arguments.iter().map(String::as_str));
            let (code, shown) = run(&words);
            assert_eq!(code, i32::from(verdict.exit_code()), "{words:?}");
            assert_eq!(shown, fs::read_to_string(&file).unwrap(), "{words:?}");
            assert!(
                shown.to_lowercase().contains(verdict.name())
                    || shown == "[]\n"
                    || format.name == "gitlab",
                "{shown}"
            );
            if format.name != "json" {
                let again = run(&["report", saved, "--format", format.name]);
                assert_eq!(again, (code, shown), "{words:?}");
            }
        }
        let report = saved::read(&fs::read_to_string(saved).unwrap()).unwrap();
        assert_eq!(report.verdict, verdict);
        holds_everywhere(&report);
        let again = run(&["report", saved, "--format", "json"]).1;
        assert_eq!(again, fs::read_to_string(saved).unwrap());
    }
}

#[test]
fn hostile_names_stay_names() {
    for name in HOSTILE {
        for verdict in [
            Verdict::Identical,
            Verdict::Close,
            Verdict::Diverged,
            Verdict::Inconclusive,
        ] {
            let report = full(name, verdict);
            holds_everywhere(&report);
            let two = vec![
                with_subject(report.clone(), name),
                with_subject(report, "other"),
            ];
            holds_everywhere(&many(two));
        }
        let text = html::render(&full(name, Verdict::Diverged));
        let page = is_page(&text);
        let shown: String = name
            .chars()
            .map(|c| match c {
                '\n' | '\r' => ' ',
                '\u{202e}' | '\u{fffe}' => '\u{fffd}',
                c if c.is_control() => '\u{fffd}',
                c => c,
            })
            .collect();
        let whole = |node: Node| node.is_text() && node.text() == Some(shown.as_str());
        assert!(page.descendants().any(whole), "{name:?} is not on the page");
    }
}

#[test]
fn the_op_is_named_in_every_format() {
    let report = full("w", Verdict::Diverged);
    let formats: [fn(&Report) -> String; 7] = [
        |report| text::render(report, text::Color::Plain),
        saved::render,
        junit::render,
        html::render,
        markdown::render,
        github::annotations,
        gitlab::render,
    ];
    for render in formats {
        let said = render(&report);
        let words = ["it gave other bits: w", "aten::put_"];
        let found = words.map(|word| said.contains(word));
        // A part of GitHub's commands escapes colons.
        assert!(
            found == [true, true] || said.contains("aten%3A%3Aput_"),
            "{said}"
        );
    }
    let op = &outputs(&github::outputs(&report))["op"];
    assert!(
        op.contains("outer > aten::put_") && !op.contains("outer > outer"),
        "{op}"
    );
}

#[test]
fn a_suite_is_red_exactly_when_its_report_is() {
    for (verdict, failures, errors) in [
        (Verdict::Identical, 0, 0),
        (Verdict::Close, 0, 0),
        (Verdict::Diverged, 1, 0),
        (Verdict::Inconclusive, 0, 1),
    ] {
        let report = Report::new("diff", verdict, "code", "reason", None);
        let text = junit::render(&report);
        let document = Document::parse(&text).unwrap();
        let suites = document.root_element();
        assert_eq!(attribute(suites, "tests"), 1);
        assert_eq!(attribute(suites, "failures"), failures, "{text}");
        assert_eq!(attribute(suites, "errors"), errors, "{text}");
    }
    let text = junit::render(&full("layer.weight", Verdict::Diverged));
    for wanted in [
        r#"<failure message="why: layer.weight; first: step 3, backward, layer.weight: diverged in run 1; op: it gave other bits: layer.weight; "#,
        r#"<property name="knob.cudnn.benchmark" value="layer.weight"/>"#,
        r#"<testcase classname="tensors" name="layer.weight">"#,
        r#"<testcase classname="runs" name="run 2 agrees with run 0">"#,
    ] {
        assert!(text.contains(wanted), "{text}");
    }
}

#[test]
fn annotations_name_the_script_and_say_how_many_there_are_beyond_ten() {
    let text = github::annotations(&full("w", Verdict::Diverged));
    let start = "::error file=train.py,line=1,title=diverged%3A python ./train.py w::why: w%0Afirst: step 3";
    assert!(text.starts_with(start), "{text}");
    let named = |text: &str, name: &str| text.matches(&format!("title={name}::")).count();
    assert_eq!((named(&text, "w"), named(&text, "w.2")), (0, 1), "{text}");
    let reports = |count| (0..count).map(|_| full("w", Verdict::Diverged)).collect();
    let errors = |count| {
        let text = github::annotations(&many(reports(count)));
        let lines = text.lines().filter(|line| line.starts_with("::error"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(errors(10).len(), 10);
    let most = errors(25);
    assert_eq!(most.len(), 10);
    assert!(most[9].ends_with("::66 more are in the report"), "{most:?}");
}

#[test]
fn in_github_actions_the_summary_and_the_outputs_are_appended() {
    let folder = tempfile::tempdir().unwrap();
    let (_, arguments) = examples(folder.path()).swap_remove(2);
    let at = |name: &str| folder.path().join(name);
    let start = "x".repeat(github::SUMMARY_LIMIT - 3000);
    fs::write(at("full"), &start).unwrap();
    let go = |summary: &str, formats: &[&str]| {
        let output = command(&["diff"])
            .args(&arguments)
            .args(formats)
            .env("GITHUB_STEP_SUMMARY", at(summary))
            .env("GITHUB_OUTPUT", at("outputs"))
            .output();
        said(&output.unwrap())
    };
    assert_eq!(go("unasked", &[]).0, 1);
    assert!(!at("unasked").exists() && !at("outputs").exists());
    let file = format!("github={}", at("annotations").display());
    assert_eq!(go("summary", &["--output", &file]).0, 1);
    let (code, shown) = go("summary", &["--format", "github"]);
    assert_eq!(code, 1);
    are_annotations(&shown);
    let summary = fs::read_to_string(at("summary")).unwrap();
    assert_eq!(summary.matches("### ❌ diverged").count(), 2, "{summary}");
    let text = fs::read_to_string(at("outputs")).unwrap();
    let said = outputs(&text[text.len() / 2..]);
    assert_eq!(
        (said["verdict"].as_str(), said["exit_code"].as_str()),
        ("diverged", "1")
    );
    go("full", &["--format", "github"]);
    let length = fs::metadata(at("full")).unwrap().len();
    assert!(length > start.len() as u64 && length <= github::SUMMARY_LIMIT as u64);
    // A folder cannot be appended to: whoever waits for the summary must hear of it.
    fs::create_dir(at("folder")).unwrap();
    let (code, shown) = go("folder", &["--format", "github"]);
    assert_eq!(code, 2);
    assert!(shown.contains("GITHUB_STEP_SUMMARY"), "{shown}");
}

#[test]
fn what_finds_no_room_is_named() {
    let whole = markdown::within(&full("w", Verdict::Diverged), usize::MAX);
    assert!(!whole.contains("Left out"));
    let cut = markdown::within(&full("w", Verdict::Diverged), 4000);
    assert!(
        cut.len() <= 4000 && cut.contains("### ❌ diverged"),
        "{cut}"
    );
    assert!(cut.contains("Left out for lack of room: "), "{cut}");
    is_markdown(&cut);
    for room in [0, 10, 300, 1500] {
        assert!(github::summary(&full("w", Verdict::Diverged), room).len() <= room);
    }
    let reports = (0..500).map(|at| with_subject(full("w", Verdict::Diverged), &format!("w{at}")));
    let report = many(reports.collect());
    let summary = github::summary(&report, github::SUMMARY_LIMIT);
    assert!(summary.len() <= github::SUMMARY_LIMIT && summary.contains("Left out"));
    is_markdown(&summary);
}

#[test]
fn a_report_of_very_many_tensors_with_long_names_stays_small() {
    let mut report = full("w", Verdict::Diverged);
    let contents = report.contents.as_mut().unwrap();
    let tensor = contents.tensors[1].clone();
    contents.tensors = (0..10_000)
        .map(|at| {
            let mut tensor = tensor.clone();
            tensor.key = format!("{at}.{}", "<long>".repeat(2000));
            tensor
        })
        .collect();
    contents.counts.differing = 20_000;
    holds_everywhere(&report);
    let megabytes = |text: String| text.len() / 1_000_000;
    assert!(megabytes(html::render(&report)) < 3);
    assert!(megabytes(junit::render(&report)) < 10);
    assert!(megabytes(gitlab::render(&report)) < 2);
    assert!(megabytes(github::annotations(&report)) < 1);
    assert!(html::render(&report).contains("19,700 more in the JSON form"));
    assert!(junit::render(&report).contains("name=\"19000 more tensors\""));
}

#[test]
fn a_finding_is_known_again_when_only_numbers_changed() {
    let prints = |report: &Report| {
        let findings = are_findings(&gitlab::render(report));
        let prints = findings.iter().map(|one| one["fingerprint"].to_string());
        prints.collect::<Vec<_>>()
    };
    let one = full("w", Verdict::Diverged);
    let mut other = one.clone();
    other.reason = "another".into();
    other.first_divergence.as_mut().unwrap().ulp = Some(99);
    other.contents.as_mut().unwrap().tensors[1].differing = 2;
    assert_eq!(prints(&one), prints(&other));
    assert_eq!(prints(&one).len(), 4);
    assert_ne!(prints(&one), prints(&full("v", Verdict::Diverged)));
}

#[test]
fn a_damaged_changed_or_newer_report_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let name = path.to_str().unwrap();
    let whole = saved::render(&full("w", Verdict::Diverged));
    for (text, words) in [
        (whole[..whole.len() / 2].to_owned(), "not JSON"),
        (String::new(), "not JSON"),
        ("{}".into(), "not a report"),
        ("[1]".into(), "not a report"),
        (
            whole.replace(
                "\"schema_version\": 1,\n  \"samebits\"",
                "\"schema_version\": 2,\n  \"samebits\"",
            ),
            "version 2",
        ),
        (
            whole.replacen("\"diverged\"", "\"identical\"", 1),
            "do not belong together",
        ),
        (
            whole.replacen("\"exit_code\": 1", "\"exit_code\": 0", 1),
            "do not belong together",
        ),
        (
            whole.replacen("\"reason\"", "\"reasons\"", 1),
            "not a whole report",
        ),
        (
            whole.replacen("\"ulp_histogram\": [", "\"ulp_histogram\": [\"x\",", 1),
            "not a whole report",
        ),
        // serde alone would quietly drop these.
        (
            whole.replace(
                "\"tensors_not_listed\": 0",
                "\"tensors_not_listed\": \"none\"",
            ),
            "does not understand its field",
        ),
        (
            whole.replacen(
                "\n  \"notes\"",
                "\n  \"later\": {\"new\": 1},\n  \"notes\"",
                1,
            ),
            "its field later",
        ),
    ] {
        assert_ne!(text, whole, "{words}");
        fs::write(&path, &text).unwrap();
        let (code, shown) = run(&["report", name]);
        assert_eq!(code, 2, "{words}: {shown}");
        assert!(shown.contains(words), "{words}: {shown}");
        let (code, shown) = run(&["report", name, "--format", "json"]);
        let report: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!((code, &report["reason_code"]), (2, &"damaged".into()));
    }
    assert_eq!(run(&["report", "/no/such/file"]).0, 2);
    fs::write(&path, &whole).unwrap();
    let onto = format!("json={name}");
    assert_eq!(run(&["report", name, "--output", &onto]).0, 1);
    assert_eq!(fs::read_to_string(&path).unwrap(), whole);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_name_breaks_a_format(name in any::<String>(), of_ascii in "[ -~\n\r\t]{0,40}") {
        holds_everywhere(&full(&name, Verdict::Diverged));
        holds_everywhere(&full(&of_ascii, Verdict::Inconclusive));
    }

    #[test]
    fn every_number_comes_back(bits in any::<u64>(), seed in any::<u64>(), ulp in any::<u64>()) {
        let mut report = full("w", Verdict::Diverged);
        report.seed = Some(seed);
        report.first_divergence.as_mut().unwrap().ulp = Some(ulp);
        report.growth[0].greatest_abs = Some(Number(f64::from_bits(bits)));
        let tensor = &mut report.contents.as_mut().unwrap().tensors[1];
        tensor.atol = f64::from_bits(bits).abs();
        prop_assume!(!tensor.atol.is_nan());
        let text = saved::render(&report);
        prop_assert_eq!(saved::render(&saved::read(&text).unwrap()), text);
    }
}
