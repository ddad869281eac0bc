//! What the recorder's shared libraries are made of: C and C++ files, carried in the binary.

/// A library: its files, and how they are compiled.
pub(super) struct Source {
    /// Names and texts; the first is compiled and includes the others.
    pub files: &'static [(&'static str, &'static str)],
    /// What comes out, without its ending.
    pub name: &'static str,
    /// The variable that names a compiler, and compilers to look for without it.
    pub variable: &'static str,
    pub compilers: &'static [&'static str],
    pub flags: &'static [&'static str],
}

macro_rules! files {
    ($($name:literal),+ $(,)?) => { &[$(($name, include_str!(concat!("native/", $name)))),+] };
}

pub(super) const RECORDER: Source = Source {
    files: files![
        "recorder.cpp",
        "argument.h",
        "bytes.h",
        "device.h",
        "digest.h",
        "file.h",
        "generator.h",
        "memory.h",
        "op.h",
        "process.h",
        "stream.h",
        "tensor.h",
    ],
    name: "recorder",
    variable: "CXX",
    compilers: &["c++", "g++", "clang++"],
    flags: &["-O3", "-std=c++17", "-shared", "-fPIC"],
};

pub(super) const ALERT: Source = Source {
    files: files!["alert.c"],
    name: "alert",
    variable: "CC",
    compilers: &["cc", "gcc", "clang"],
    flags: &["-O2", "-shared", "-fPIC"],
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_that_is_there_is_carried() {
        let carried = [RECORDER, ALERT].map(|source| source.files.iter().map(|file| file.0));
        let carried: BTreeSet<_> = carried.into_iter().flatten().map(str::to_owned).collect();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/recorder/native");
        let there = std::fs::read_dir(folder).unwrap();
        let there = there.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(carried, there.collect());
    }
}
