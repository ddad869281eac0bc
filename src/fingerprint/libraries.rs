//! The numeric libraries that this process has really mapped, by build id. A version number says what was asked for;
//! a build id says what is running.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use object::Endianness;
use object::read::Object;
use object::read::elf::ElfFile64;

use super::{Fact, Facts, fact};
use crate::error::Result;
use crate::ffi::map::Map;

/// How the file names of libraries begin that compute, or that decide what computes.
#[rustfmt::skip]
const NUMERIC: &[&str] = &[
    "libtorch",
    "libc10",
    "libaoti",
    "libcaffe2",
    "libcud",
    "libcublas",
    "libcusolver",
    "libcusparse",
    "libcufft",
    "libcurand",
    "libnvrtc",
    "libnvJitLink",
    "libnvshmem",
    "libnccl",
    "libmkl",
    "libdnnl",
    "libopenblas",
    "libblas",
    "liblapack",
    "libnvpl",
    "libarm_compute",
    "libsleef",
    "libgomp",
    "libiomp",
    "libomp",
    "libtbb",
    "libstdc++",
    "libc.so",
    "libm.so",
    "libmvec",
    "ld-musl",
    "libjemalloc",
    "libtcmalloc",
    "libmimalloc",
];

/// Blocks read of a library that has no build id, spread evenly over the file.
const SAMPLES: usize = 64;
const SAMPLE_BYTES: usize = 4096;

/// Which build of a library, or why that cannot be told.
type Identity = std::result::Result<String, String>;

/// `library.<name>` holds build ids and `path.<name>` paths. Two libraries of one name (two OpenMP runtimes, say) are
/// listed together.
pub fn facts() -> Facts {
    match std::fs::read_to_string("/proc/self/maps") {
        Ok(maps) => of_maps(&maps),
        Err(error) => [(
            "library".into(),
            Fact::absent(format!("/proc/self/maps: {error}")),
        )]
        .into(),
    }
}

fn of_maps(maps: &str) -> Facts {
    let mut found: BTreeMap<&str, Vec<(&str, Identity)>> = BTreeMap::new();
    for (path, inode) in mapped_files(maps) {
        if let Some(name) = numeric_name(path) {
            let id = identity(path, inode);
            found.entry(name).or_default().push((path, id));
        }
    }
    let mut facts = Facts::new();
    for (name, libraries) in found {
        let paths: Vec<_> = libraries.iter().map(|(path, _)| *path).collect();
        let ids: std::result::Result<Vec<_>, _> = libraries.into_iter().map(|(_, id)| id).collect();
        let ids = ids.map(|mut ids| {
            // By value, not by path: where a library lies must not matter.
            ids.sort();
            ids.join(" ")
        });
        facts.insert(format!("library.{name}"), fact(ids));
        facts.insert(format!("path.{name}"), paths.join(" ").into());
    }
    facts
}

/// Each mapped file once, with its inode. Format: `proc_pid_maps(5)`.
fn mapped_files(maps: &str) -> BTreeMap<&str, u64> {
    maps.lines()
        .filter_map(|line| {
            let path = &line[line.find('/')?..];
            let inode = line.split_ascii_whitespace().nth(4)?.parse().ok()?;
            Some((path, inode))
        })
        .collect()
}

/// The file's name up to `.so`, so that `libstdc++.so.6.0.30` and `.31` are one library in two versions.
fn numeric_name(path: &str) -> Option<&str> {
    let file = path.trim_end_matches(" (deleted)").rsplit('/').next()?;
    let name = &file[..file.find(".so")? + ".so".len()];
    NUMERIC
        .iter()
        .any(|prefix| name.starts_with(prefix))
        .then_some(name)
}

/// [`build`] of a mapped file.
fn identity(path: &str, inode: u64) -> Identity {
    let on_disk =
        std::fs::metadata(path).map_err(|_| "its file was removed after it was loaded")?;
    if on_disk.ino() != inode {
        return Err("its file was replaced after it was loaded".into());
    }
    build(Path::new(path)).map_err(|error| error.to_string())
}

/// The build id of a library's file, or size and a sample of the content where the builder left none.
pub(crate) fn build(path: &Path) -> Result<String> {
    let bytes = Map::open(path)?;
    Ok(build_id(&bytes).unwrap_or_else(|| sample(&bytes)))
}

fn build_id(bytes: &[u8]) -> Option<String> {
    let file = ElfFile64::<Endianness>::parse(bytes).ok()?;
    let id = file.build_id().ok()??;
    let mut text = String::new();
    for byte in id {
        let _ = write!(text, "{byte:02x}");
    }
    Some(text)
}

/// Some of NVIDIA's libraries have hundreds of megabytes and no build id; reading all of them would take seconds.
fn sample(bytes: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    let last = bytes.len().saturating_sub(SAMPLE_BYTES);
    for i in 0..SAMPLES {
        let start = last / (SAMPLES - 1) * i;
        hasher.update(&bytes[start..bytes.len().min(start + SAMPLE_BYTES)]);
    }
    hasher.update(&bytes[last..]);
    format!("sample:{}", &hasher.finalize().to_hex()[..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_named_without_their_version() {
        assert_eq!(
            numeric_name("/usr/lib/libstdc++.so.6.0.30"),
            Some("libstdc++.so")
        );
        assert_eq!(
            numeric_name("/x/libcudnn_ops.so.9 (deleted)"),
            Some("libcudnn_ops.so")
        );
        assert_eq!(numeric_name("/usr/lib/libpthread.so.0"), None);
        assert_eq!(numeric_name("/usr/bin/samebits"), None);
    }

    #[test]
    fn two_libraries_of_one_name_are_both_recorded_and_the_order_of_their_paths_is_none_of_their_identity()
     {
        let folder = tempfile::tempdir().unwrap();
        let mut maps = String::new();
        for (sub, content) in [("a", "one"), ("b", "two")] {
            let path = folder.path().join(sub);
            std::fs::create_dir(&path).unwrap();
            let path = path.join("libgomp.so.1");
            std::fs::write(&path, content).unwrap();
            let inode = std::fs::metadata(&path).unwrap().ino();
            let path = path.display();
            let _ = writeln!(maps, "7f00-7f01 r-xp 00000000 fe:00 {inode}    {path}");
        }
        let facts = of_maps(&maps);
        assert_eq!(
            facts["library.libgomp.so"]
                .value()
                .unwrap()
                .split(' ')
                .count(),
            2
        );
        assert_eq!(
            facts["path.libgomp.so"].value().unwrap().split(' ').count(),
            2
        );
    }

    #[test]
    fn a_library_replaced_while_it_is_mapped_has_no_identity() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libm.so.6");
        std::fs::write(&path, "new").unwrap();
        let facts = of_maps(&format!(
            "7f00-7f01 r-xp 00000000 fe:00 1    {}",
            path.display()
        ));
        let expected = Fact::absent("its file was replaced after it was loaded");
        assert_eq!(facts["library.libm.so"], expected);
    }

    #[test]
    fn a_sample_depends_on_the_beginning_the_end_and_the_size() {
        let bytes = vec![7u8; 1 << 20];
        let changed = |at: usize| {
            let mut other = bytes.clone();
            other[at] = 8;
            sample(&other)
        };
        assert_ne!(changed(0), sample(&bytes));
        assert_ne!(changed((1 << 20) - 1), sample(&bytes));
        assert_ne!(sample(&bytes[1..]), sample(&bytes));
        assert_ne!(sample(b""), sample(b"x"));
    }
}
