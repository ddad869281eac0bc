//! The rules of the house, over the source text. A rule that no longer fits is changed here, in the open.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file under `src`, by its path from there, without its unit tests, comments and strings' newlines.
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
        .into_iter()
        .map(|path| (name(&path), code(&fs::read_to_string(&path).unwrap())))
        .collect()
}

fn name(path: &Path) -> String {
    path.strip_prefix(root().join("src"))
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

fn code(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    before_tests
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .filter(|line| !line.trim().is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The top-level module that a file belongs to.
fn module(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap()
}

/// The modules in the order in which a crate's lib.rs declares them.
fn order(lib: &str) -> Vec<String> {
    code(&fs::read_to_string(root().join(lib)).unwrap())
        .lines()
        .filter_map(|line| {
            let line = line.strip_prefix("pub ").unwrap_or(line);
            line.strip_prefix("mod ")?
                .strip_suffix(';')
                .map(str::to_owned)
        })
        .collect()
}

/// Asserts that `word` occurs in no file but those that `allowed` accepts.
fn only_in(word: &str, allowed: impl Fn(&str) -> bool) {
    for (file, text) in sources() {
        assert!(
            allowed(&file) || !text.contains(word),
            "src/{file} contains {word:?}"
        );
    }
}

#[test]
fn a_module_uses_only_modules_above_it_in_lib_rs() {
    for (lib, folder) in [("src/lib.rs", ""), ("src/torch/lib.rs", "torch/")] {
        let order = order(lib);
        let place = |module: &str| order.iter().position(|other| other == module);
        for (file, text) in sources() {
            let Some(own) = file
                .strip_prefix(folder)
                .and_then(|file| place(module(file)))
            else {
                continue;
            };
            for used in text.split("crate::").skip(1) {
                let used: String = used
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                if let Some(other) = place(&used) {
                    assert!(
                        other <= own,
                        "src/{file} uses {used}, which stands below it in {lib}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_file_is_in_the_map_of_lib_rs_and_every_name_in_the_map_is_a_file() {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let map: Vec<String> = text
        .lines()
        .filter_map(|line| {
            line.strip_prefix("//! - [`")?
                .split('`')
                .next()
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(
        map,
        order("src/lib.rs"),
        "the map and the declarations of lib.rs"
    );
    let files: BTreeSet<String> = sources()
        .iter()
        .map(|(file, _)| module(file).to_owned())
        .filter(|module| !["lib", "main", "cli", "torch"].contains(&module.as_str()))
        .collect();
    assert_eq!(
        files,
        order("src/lib.rs").into_iter().collect(),
        "files under src and the map"
    );
}

#[test]
fn tensors_stop_at_the_torch_side() {
    only_in("tch::", |file| module(file) == "torch");
    only_in("torch_sys", |file| file.starts_with("torch/ffi"));
}

#[test]
fn each_dangerous_thing_has_one_door() {
    only_in("unsafe ", |file| {
        file.starts_with("ffi") || file.starts_with("torch/ffi")
    });
    only_in("clap", |file| file.starts_with("cli"));
    only_in("nvml_wrapper", |file| {
        file == "ffi/nvml.rs" || file.starts_with("ffi/nvml/")
    });
    only_in("process::Command", |file| module(file) == "process");
    only_in("Stdio", |file| module(file) == "process");
    for print in ["print!(", "println!(", "dbg!("] {
        only_in(print, |file| {
            file == "main.rs" || file.starts_with("cli") || file == "torch/build.rs"
        });
    }
}

/// `samebits` starts in milliseconds and runs anywhere because it links nothing but the C library.
#[test]
fn the_parent_links_no_libtorch() {
    let bytes = fs::read(env!("CARGO_BIN_EXE_samebits")).unwrap();
    let names: Vec<&[u8]> = needed(&bytes);
    assert!(!names.is_empty());
    for name in names {
        let name = String::from_utf8_lossy(name);
        let known = ["libc.", "libm.", "libgcc_s.", "ld-linux"];
        assert!(known.iter().any(|start| name.starts_with(start)), "{name}");
    }
}

/// The libraries that an ELF file asks for.
fn needed(bytes: &[u8]) -> Vec<&[u8]> {
    use object::elf::{DT_NEEDED, FileHeader64};
    use object::read::elf::{Dyn, FileHeader};
    let header = FileHeader64::<object::Endianness>::parse(bytes).unwrap();
    let endian = header.endian().unwrap();
    let sections = header.sections(endian, bytes).unwrap();
    let (entries, strings) = sections.dynamic(endian, bytes).unwrap().unwrap();
    let strings = sections.strings(endian, bytes, strings).unwrap();
    entries
        .iter()
        .filter(|entry| entry.tag(endian) == DT_NEEDED)
        .map(|entry| entry.string(endian, strings).unwrap())
        .collect()
}

#[test]
fn nothing_compared_or_rendered_knows_a_hash_order_or_a_clock() {
    let pure = [
        "digest",
        "summary",
        "trace",
        "tolerance",
        "element",
        "difference",
        "compare",
        "substance",
        "verdict",
        "recorder",
        "report",
        "control",
    ];
    for word in ["HashMap", "HashSet", "SystemTime", "Instant", "as *const"] {
        only_in(word, |file| !pure.contains(&module(file)));
    }
}

#[test]
fn files_stay_small_and_folders_shallow() {
    for (file, text) in sources() {
        assert!(
            text.lines().count() <= 350,
            "src/{file} has {} lines of code",
            text.lines().count()
        );
        assert!(file.matches('/').count() <= 2, "src/{file} is too deep");
    }
}

#[test]
fn the_readmes_tables_are_those_of_the_code() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for row in samebits::verdict::EXIT_CODES {
        let line = format!("| {} | {} | {} |", row.verdict, row.code, row.when);
        assert!(readme.contains(&line), "README.md lacks: {line}");
    }
    for row in samebits::workload::BUILT_IN {
        let line = format!("| `{}` | {} |", row.name, row.summary);
        assert!(readme.contains(&line), "README.md lacks: {line}");
    }
    for row in samebits::report::format::FORMATS {
        let line = format!("| `{}` | {} |", row.name, row.what);
        assert!(readme.contains(&line), "README.md lacks: {line}");
    }
    for knob in samebits::knob::KNOBS {
        assert!(
            readme.contains(&format!("`{}`", knob.name)),
            "README.md does not name the knob {}",
            knob.name
        );
    }
}
