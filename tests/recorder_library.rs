//! The recorder as a shared library: compiled once for one libtorch and one compiler, and every failure a reason. The
//! compilers are scripts; that the real source compiles with a real one is `scripts/campaign`'s to show.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use samebits::recorder::library::Builder;

/// A folder with something like a libtorch, a compiler that counts its calls, and a cache.
struct Bench {
    folder: tempfile::TempDir,
    builder: Builder,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("torch/include/ATen")).unwrap();
        fs::create_dir_all(path("torch/lib")).unwrap();
        for file in [
            "include/ATen/record_function.h",
            "lib/libtorch_cpu.so",
            "lib/libc10.so",
        ] {
            fs::write(path("torch").join(file), "content").unwrap();
        }
        let builder = Builder {
            cache: Some(path("cache")),
            cxx: path("c++").display().to_string(),
            cc: path("cc").display().to_string(),
        };
        let bench = Self { folder, builder };
        bench.compiler(
            "1.0",
            r#"while [ "$1" != -o ]; do shift; done; echo made > "$2""#,
        );
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Both compilers say that they are of this version, and do this.
    fn compiler(&self, version: &str, does: &str) {
        let calls = self.path("calls");
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = --version ]; then echo {version}; exit; fi\necho \"$@\" >> {}\n{does}\n",
            calls.display()
        );
        for name in ["c++", "cc"] {
            let (new, path) = (self.path("new"), self.path(name));
            fs::write(&new, &script).unwrap();
            fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
            fs::rename(&new, &path).unwrap();
        }
    }

    fn calls(&self) -> usize {
        let text = fs::read_to_string(self.path("calls")).unwrap_or_default();
        text.lines().count()
    }

    fn build(&self) -> Result<PathBuf, String> {
        let built = self.builder.recorder(&self.path("torch"));
        built.map_err(|why| why.to_string())
    }
}

#[test]
fn a_library_is_compiled_once_for_one_libtorch_and_compiler() {
    let bench = Bench::new();
    let first = bench.build().unwrap();
    assert!(first.starts_with(bench.path("cache")) && first.is_file());
    assert_eq!(bench.build().unwrap(), first);
    assert_eq!(bench.calls(), 1);
    // A damaged one is made again.
    let whole = fs::read(&first).unwrap();
    fs::write(&first, &whole[1..]).unwrap();
    assert_eq!(bench.build().unwrap(), first);
    assert_eq!((bench.calls(), fs::read(&first).unwrap()), (2, whole));
    // A file of the same content with another date is the same libtorch.
    fs::write(bench.path("torch/lib/libtorch_cpu.so"), "content").unwrap();
    assert_eq!((bench.build().unwrap(), bench.calls()), (first.clone(), 2));
    fs::write(bench.path("torch/lib/libtorch_cpu.so"), "changed").unwrap();
    let second = bench.build().unwrap();
    assert!(second != first && bench.calls() == 3);
    bench.compiler(
        "2.0",
        r#"while [ "$1" != -o ]; do shift; done; echo made > "$2""#,
    );
    assert!(bench.build().unwrap() != second && bench.calls() == 4);
    let alert = bench.builder.alert().unwrap();
    assert!(alert.is_file() && bench.builder.alert().unwrap() == alert && bench.calls() == 5);
    let left = fs::read_dir(bench.path("cache")).unwrap().count();
    assert_eq!(left, 4, "nothing but libraries stays in the cache");
}

#[test]
fn the_compiler_is_given_the_folders_of_that_libtorch() {
    let bench = Bench::new();
    bench.build().unwrap();
    let call = fs::read_to_string(bench.path("calls")).unwrap();
    let root = bench.path("torch").display().to_string();
    for word in [
        format!("-isystem {root}/include "),
        format!("-L{root}/lib"),
        format!("-Wl,-rpath,{root}/lib"),
        "-std=c++17".into(),
        "-D_GLIBCXX_USE_CXX11_ABI=0".into(),
        "-ltorch_cpu".into(),
    ] {
        assert!(call.contains(&word), "{word} is not in {call}");
    }
    fs::write(bench.path("torch/lib/libc10.so"), "…NSt7__cxx11…").unwrap();
    bench.build().unwrap();
    let calls = fs::read_to_string(bench.path("calls")).unwrap();
    assert!(calls.contains("-D_GLIBCXX_USE_CXX11_ABI=1"), "{calls}");
}

#[test]
fn a_compiler_that_cannot_tune_for_this_machine_is_asked_not_to() {
    let bench = Bench::new();
    let does = r#"case "$*" in *-march=native*) echo "error: bad value 'native' for -march" >&2; exit 1;; esac
        while [ "$1" != -o ]; do shift; done; echo made > "$2""#;
    bench.compiler("1.0", does);
    assert!(bench.build().unwrap().is_file());
    assert_eq!(bench.calls(), 2);
}

#[test]
fn every_failure_is_a_reason() {
    let bench = Bench::new();
    bench.compiler(
        "1.0",
        "printf 'In file included from x\\nx.cpp:1: error: no such thing\\n  note\\n' >&2; exit 1",
    );
    let why = bench.build().unwrap_err();
    assert!(
        why.contains("x.cpp:1: error: no such thing") && !why.contains("In file"),
        "{why}"
    );
    assert_eq!(fs::read_dir(bench.path("cache")).unwrap().count(), 0);
    bench.compiler("1.0", "exit 3");
    let why = bench.build().unwrap_err();
    assert!(why.contains("exit status: 3"), "{why}");
    let none = Builder {
        cxx: "samebits-no-such-compiler -x".into(),
        ..bench.builder.clone()
    };
    let why = none.recorder(&bench.path("torch")).unwrap_err().to_string();
    assert!(
        why.contains("CXX=samebits-no-such-compiler -x cannot be run"),
        "{why}"
    );
    let why = bench
        .builder
        .recorder(Path::new("/nowhere"))
        .unwrap_err()
        .to_string();
    assert!(
        why.contains("/nowhere/include/ATen/record_function.h is missing"),
        "{why}"
    );
    fs::remove_file(bench.path("torch/lib/libtorch_cpu.so")).unwrap();
    let why = bench.build().unwrap_err();
    assert!(why.contains("lib/libtorch_cpu.so is missing"), "{why}");
}

#[test]
fn a_cache_that_cannot_be_written_is_replaced_by_a_temporary_folder() {
    let bench = Bench::new();
    fs::write(bench.path("file"), "").unwrap();
    let builder = Builder {
        cache: Some(bench.path("file/cache")),
        ..bench.builder.clone()
    };
    let built = builder.recorder(&bench.path("torch")).unwrap();
    assert!(built.starts_with(std::env::temp_dir()) && built.is_file());
    assert_eq!(
        fs::metadata(built.parent().unwrap())
            .unwrap()
            .permissions()
            .mode()
            & 0o077,
        0
    );
    fs::remove_file(built).unwrap();
}

#[test]
fn several_that_build_at_once_do_no_harm() {
    let bench = Bench::new();
    bench.compiler(
        "1.0",
        r#"while [ "$1" != -o ]; do shift; done; echo half > "$2"; sleep 0.2; echo whole >> "$2""#,
    );
    std::thread::scope(|scope| {
        let builds: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| fs::read(bench.build().unwrap()).unwrap()))
            .collect();
        for build in builds {
            assert!(build.join().unwrap().starts_with(b"half\nwhole\n"));
        }
    });
}
