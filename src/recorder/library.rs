//! The recorder as a shared library: compiled for one libtorch on first use, and kept. Whatever stops that is a reason in
//! words, because everything else goes on without it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::error::plain;
use crate::fingerprint;
use crate::process;
use crate::recorder::source::{ALERT, RECORDER, Source};

/// Tuned for the machine it runs on; left out where the compiler does not know it.
const NATIVE: &str = "-march=native";
/// Lines of a compiler's complaint.
const LINES: usize = 3;
/// Characters of a reason.
const LONGEST: usize = 800;

/// Why there is no library.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unbuilt(String);

type Built<T> = std::result::Result<T, Unbuilt>;

fn unbuilt(why: impl AsRef<str>) -> Unbuilt {
    Unbuilt(plain(why.as_ref(), LONGEST).into_owned())
}

/// The recorder for the libtorch in `root`, which holds `include` and `lib`. Compiled on first use, which takes about a
/// minute.
///
/// # Errors
/// When there is no compiler, no header, or the compiler refuses.
pub fn build(root: &Path) -> Built<PathBuf> {
    Builder::from_environment().recorder(root)
}

/// The library to preload that hears which ops torch itself calls nondeterministic. It works with every libtorch.
///
/// # Errors
/// When there is no compiler or it refuses.
pub fn alert() -> Built<PathBuf> {
    Builder::from_environment().alert()
}

/// Where libraries are kept, and what compiles them.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    /// Where libraries are kept; a folder of this user's for temporary files where that cannot be written.
    pub cache: Option<PathBuf>,
    /// The C++ compiler and its first arguments; looked for where it is empty.
    pub cxx: String,
    /// The C compiler and its first arguments; looked for where it is empty.
    pub cc: String,
}

impl Builder {
    /// As the variables `SAMEBITS_CACHE`, `XDG_CACHE_HOME`, `HOME`, `CXX` and `CC` say.
    #[must_use]
    pub fn from_environment() -> Self {
        let folder = |name: &str| {
            let value = std::env::var_os(name).filter(|value| !value.is_empty());
            value.map(PathBuf::from).filter(|path| path.is_absolute())
        };
        let own = || folder("XDG_CACHE_HOME").map(|path| path.join("samebits"));
        let home = || folder("HOME").map(|path| path.join(".cache/samebits"));
        let words = |source: &Source| std::env::var(source.variable).unwrap_or_default();
        Self {
            cache: folder("SAMEBITS_CACHE").or_else(own).or_else(home),
            cxx: words(&RECORDER),
            cc: words(&ALERT),
        }
    }

    /// [`build`] with these settings.
    ///
    /// # Errors
    /// Those of [`build`].
    pub fn recorder(&self, root: &Path) -> Built<PathBuf> {
        let root = std::path::absolute(root).map_err(|e| unbuilt(e.to_string()))?;
        let (include, lib) = (root.join("include"), root.join("lib"));
        for needed in [
            include.join("ATen/record_function.h"),
            lib.join("libtorch_cpu.so"),
        ] {
            if !needed.is_file() {
                return Err(unbuilt(format!(
                    "the recorder cannot be compiled: {} is missing",
                    needed.display()
                )));
            }
        }
        let torch = fingerprint::build_of(&lib.join("libtorch_cpu.so"));
        let torch = torch.map_err(|error| unbuilt(error.to_string()))?;
        let version = |name: &str| fs::read(root.join(name)).unwrap_or_default();
        let about: Vec<Vec<u8>> = [
            torch.into_bytes(),
            version("version.py"),
            version("build-version"),
            version("include/torch/headeronly/version.h"),
            root.as_os_str().as_encoded_bytes().to_vec(),
        ]
        .into();
        let with = |flag: &str, path: &Path| {
            let mut word = OsString::from(flag);
            word.push(path);
            word
        };
        let before = vec![
            abi(&lib),
            "-isystem".into(),
            include.clone().into(),
            "-isystem".into(),
            include.join("torch/csrc/api/include").into(),
        ];
        let after = vec![
            with("-L", &lib),
            with("-Wl,-rpath,", &lib),
            "-ltorch_cpu".into(),
            "-lc10".into(),
            "-ldl".into(),
            "-lpthread".into(),
        ];
        self.library(&RECORDER, &self.cxx, &about, &before, &after)
    }

    /// [`alert`] with these settings.
    ///
    /// # Errors
    /// Those of [`alert`].
    pub fn alert(&self) -> Built<PathBuf> {
        self.library(&ALERT, &self.cc, &[], &[], &["-ldl".into()])
    }

    fn library(
        &self,
        source: &Source,
        asked: &str,
        about: &[Vec<u8>],
        before: &[OsString],
        after: &[OsString],
    ) -> Built<PathBuf> {
        let (compiler, version) = compiler(source, asked)?;
        let mut hasher = blake3::Hasher::new();
        let flags = source.flags.iter().map(|flag| flag.as_bytes().to_vec());
        let words = before
            .iter()
            .chain(after)
            .map(|word| word.as_encoded_bytes().to_vec());
        let texts = source
            .files
            .iter()
            .map(|(_, text)| text.as_bytes().to_vec());
        let more = [version.into_bytes(), processor(), compiler.join(" ").into()];
        let parts = texts.chain(flags).chain(words).chain(more);
        for part in parts.chain(about.iter().cloned()) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(&part);
        }
        let name = format!("{}-{}.so", source.name, &hasher.finalize().to_hex()[..32]);
        if let Some(kept) = self
            .cache
            .iter()
            .map(|cache| cache.join(&name))
            .find(|path| intact(path))
        {
            return Ok(kept);
        }
        let folder = self.folder()?;
        let place = folder.join(name);
        if intact(&place) {
            return Ok(place);
        }
        let failed = |e: std::io::Error| {
            unbuilt(format!(
                "the recorder cannot be compiled in {}: {e}",
                folder.display()
            ))
        };
        // Beside its place, so that it gets there in one step: two that build at once do no harm.
        let scratch = tempfile::Builder::new()
            .prefix(".build-")
            .tempdir_in(&folder)
            .map_err(failed)?;
        for (file, text) in source.files {
            fs::write(scratch.path().join(file), text).map_err(failed)?;
        }
        let (text, made) = (
            scratch.path().join(source.files[0].0),
            scratch.path().join("made.so"),
        );
        let mut argv: Vec<OsString> = compiler.iter().map(OsString::from).collect();
        argv.extend(source.flags.iter().map(OsString::from));
        argv.push(NATIVE.into());
        argv.extend(before.iter().cloned());
        argv.extend([text.into(), "-o".into(), made.clone().into()]);
        argv.extend(after.iter().cloned());
        let mut outcome = process::helper(&argv);
        if outcome
            .as_ref()
            .is_err_and(|said| said.contains("-march") || said.contains("native"))
        {
            argv.retain(|word| word != NATIVE);
            outcome = process::helper(&argv);
        }
        outcome.map_err(|said| {
            let said = complaint(&said);
            unbuilt(format!(
                "{} cannot compile the recorder: {said}",
                compiler.join(" ")
            ))
        })?;
        seal(&made).map_err(failed)?;
        fs::rename(&made, &place).map_err(failed)?;
        Ok(place)
    }

    /// A folder that can be written: the cache, else one for temporary files that nobody else may write.
    fn folder(&self) -> Built<PathBuf> {
        let writable = |folder: &Path| {
            fs::create_dir_all(folder).is_ok() && tempfile::tempfile_in(folder).is_ok()
        };
        if let Some(cache) = self.cache.as_ref().filter(|cache| writable(cache)) {
            return Ok(cache.clone());
        }
        let failed =
            |e: std::io::Error| unbuilt(format!("the recorder has no place to be kept: {e}"));
        let us = fs::metadata("/proc/self").map_err(failed)?.uid();
        let folder = std::env::temp_dir().join(format!("samebits-{us}"));
        let _ = fs::DirBuilder::new().mode(0o700).create(&folder);
        let ours = fs::symlink_metadata(&folder)
            .is_ok_and(|about| about.is_dir() && about.uid() == us && about.mode() & 0o022 == 0);
        if ours && writable(&folder) {
            return Ok(folder);
        }
        // Somebody else has that name: a new one each time.
        let fresh = tempfile::Builder::new().prefix("samebits-").tempdir();
        fresh.map(tempfile::TempDir::keep).map_err(failed)
    }
}

/// Adds a file's digest at its end, where whoever loads a library does not look.
fn seal(path: &Path) -> std::io::Result<()> {
    let mut bytes = fs::read(path)?;
    let digest = blake3::hash(&bytes);
    bytes.extend(digest.as_bytes());
    fs::write(path, bytes)
}

/// Whether a file is there as it was sealed: a damaged library is made again.
fn intact(path: &Path) -> bool {
    let bytes = fs::read(path).unwrap_or_default();
    let sealed = bytes.split_last_chunk::<{ blake3::OUT_LEN }>();
    sealed.is_some_and(|(bytes, digest)| blake3::hash(bytes).as_bytes() == digest)
}

/// The compiler's words and what it says of its version.
fn compiler(source: &Source, asked: &str) -> Built<(Vec<String>, String)> {
    let version = |words: &[String]| {
        let mut argv: Vec<&str> = words.iter().map(String::as_str).collect();
        argv.push("--version");
        process::answer(&argv)
    };
    let asked: Vec<String> = asked.split_whitespace().map(str::to_owned).collect();
    if !asked.is_empty() {
        let said = version(&asked);
        let none = || {
            unbuilt(format!(
                "no compiler: {}={} cannot be run",
                source.variable,
                asked.join(" ")
            ))
        };
        return said.map(|said| (asked.clone(), said)).ok_or_else(none);
    }
    let mut each = source.compilers.iter().map(|&name| vec![name.to_owned()]);
    let found = each.find_map(|words| version(&words).map(|said| (words, said)));
    found.ok_or_else(|| {
        unbuilt(format!(
            "no compiler: the recorder is compiled for the torch it runs in, and none of {} is here; install g++, or let {} name one",
            source.compilers.join(", "),
            source.variable
        ))
    })
}

/// Which of the two layouts of `std::string` libtorch was built with: its symbols tell.
fn abi(lib: &Path) -> OsString {
    let name = b"__cxx11";
    let old = fs::read(lib.join("libc10.so"))
        .is_ok_and(|bytes| !bytes.windows(name.len()).any(|part| part == name));
    format!("-D_GLIBCXX_USE_CXX11_ABI={}", u8::from(!old)).into()
}

/// What code tuned for this processor depends on: a cache may be shared between machines.
fn processor() -> Vec<u8> {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let first = text.split("\n\n").next().unwrap_or_default().lines();
    let telling = [
        "vendor_id",
        "cpu family",
        "model",
        "flags",
        "Features",
        "CPU ",
    ];
    let lines = first.filter(|line| telling.iter().any(|start| line.starts_with(start)));
    lines.collect::<Vec<_>>().join("\n").into_bytes()
}

/// The lines of a compiler's complaint that tell most.
fn complaint(said: &str) -> String {
    let lines: Vec<&str> = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let errors: Vec<&str> = lines
        .iter()
        .copied()
        .filter(|line| line.contains("error"))
        .collect();
    let shown = if errors.is_empty() { lines } else { errors };
    shown
        .into_iter()
        .take(LINES)
        .collect::<Vec<_>>()
        .join(" | ")
}
