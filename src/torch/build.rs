//! Builds the shim against the libtorch that torch-sys found, and tells binaries where that libtorch is. Downloads
//! nothing: `scripts/libtorch` does that.

use std::path::{Path, PathBuf};

const SHIM: &str = "ffi/shim.cpp";
const RECORDER: &str = "../recorder/native";
const WANTED: &str = "2.11";

fn main() {
    for file in ["build.rs", SHIM, RECORDER] {
        println!("cargo:rerun-if-changed={file}");
    }
    println!("cargo:rerun-if-env-changed=LIBTORCH_INCLUDE");
    println!("cargo:rerun-if-env-changed=LIBTORCH_CXX11_ABI");
    // Published by torch-sys, which is why it is a direct dependency.
    let library = PathBuf::from(
        std::env::var_os("DEP_TCH_LIBTORCH_LIB").expect("torch-sys names libtorch's folder"),
    );
    let include = std::env::var_os("LIBTORCH_INCLUDE").map_or_else(
        || library.parent().unwrap_or(Path::new("/")).join("include"),
        |root| Path::new(&root).join("include"),
    );
    check_version(&include);
    let abi = std::env::var("LIBTORCH_CXX11_ABI").unwrap_or("1".into());
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .debug(false)
        // libtorch's own headers do not pass -Wall.
        .warnings(false);
    let mut shim = build.clone();
    shim.opt_level(1).file(SHIM).compile("samebits_shim");
    // Its digests are worth the time.
    build
        .define("SAMEBITS_RECORD_STATIC", None)
        .opt_level(3)
        .file(Path::new(RECORDER).join("recorder.cpp"))
        .compile("samebits_recorder");
    println!("cargo:rustc-link-search=native={}", library.display());
    println!("cargo:rustc-link-lib=torch_cpu");
    println!("cargo:rustc-link-lib=c10");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", library.display());
}

/// A LIBTORCH of the user's own may be of any version; tch 0.24 and the shim are written for one.
fn check_version(include: &Path) {
    let header = include.join("torch/headeronly/version.h");
    let Ok(text) = std::fs::read_to_string(&header) else {
        panic!(
            "{} is missing: this is no libtorch 2.11; run scripts/libtorch, or point LIBTORCH at a libtorch 2.11",
            header.display()
        );
    };
    let number = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(&format!("#define TORCH_VERSION_{name} ")))
            .map_or("?", str::trim)
    };
    let version = format!("{}.{}", number("MAJOR"), number("MINOR"));
    assert!(
        version == WANTED,
        "libtorch {version} found, {WANTED} needed: unset LIBTORCH to use the one scripts/libtorch brings"
    );
}
