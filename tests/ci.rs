//! The README's examples for CI do what they say: their commands are run as they stand there.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Every command of ours in the README's YAML, with what stands before it in the line.
fn commands() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(path).unwrap();
    let blocks = text
        .split("```")
        .filter_map(|block| block.strip_prefix("yaml\n"));
    blocks
        .flat_map(str::lines)
        .filter_map(|line| Some(line[line.find("samebits gate")?..].to_owned()))
        .collect()
}

/// Runs a command in a repository with this training program, with our binary first on the path.
fn run(command: &str, program: &str) -> (i32, Vec<(String, String)>) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("train.py"), program).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_samebits")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder.path())
        .env("PATH", path)
        .output()
        .unwrap();
    let mut written = vec![("stdout".into(), String::from_utf8(output.stdout).unwrap())];
    for name in ["gate.xml", "gate.html", "gate.json"] {
        if let Ok(text) = fs::read_to_string(folder.path().join(name)) {
            written.push((name.into(), text));
        }
    }
    (output.status.code().unwrap(), written)
}

#[test]
fn the_commands_of_the_readmes_examples_pass_catch_and_write_what_they_promise() {
    let same = "import json, random\nrandom.seed(0)\njson.dump([random.random() for _ in range(9)], open('r.json', 'w'))\n";
    let other = same.replace("random.seed(0)", "");
    let commands = commands();
    assert_eq!(commands.len(), 3, "{commands:?}");
    for command in commands {
        let (code, written) = run(&command, same);
        assert_eq!(code, 0, "{command}: {written:?}");
        let (code, written) = run(&command, &other);
        assert_eq!(code, 1, "{command}: {written:?}");
        for (name, text) in &written {
            assert!(
                text.contains("r.json"),
                "{command}: {name} does not name what differs: {text}"
            );
        }
        let promised = command.matches("--output").count();
        assert_eq!(written.len(), 1 + promised, "{command}");
        let (code, _) = run(&command, "raise SystemExit(3)");
        assert_eq!(code, 2, "{command}");
    }
}
