//! A fuzzer for readers of files: seeds, changed at random but from a known start, each read and checked. Inputs that are
//! read in a new way or refused for a new reason become seeds themselves.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use samebits::seed::Seed;

pub mod bytes;
pub mod check;
pub mod formats;
mod hostile;
pub mod pickle;
pub mod streams;
pub mod texts;
pub mod trace;
pub mod zip;

use bytes::{Rng, below, chance};
use check::Outcome;

/// A change that knows the format, of an input with the help of another one and the reader's words.
pub type Change = fn(&mut Rng, &[u8], &[u8], &[&[u8]]) -> Option<Vec<u8>>;

/// One kind of file.
pub struct Reader {
    pub name: &'static str,
    /// Name of the file, which decides who reads it.
    pub file: &'static str,
    pub seeds: Vec<Vec<u8>>,
    pub words: &'static [&'static [u8]],
    pub change: Change,
    /// Bytes of memory that reading may take beside a multiple of the input: the documented limits.
    pub memory: u64,
}

/// Executions of each reader in an ordinary test run.
const EXECUTIONS: u64 = 1_500;
/// CPU seconds for one input, generously: all that is done with it takes milliseconds.
const LONGEST: Duration = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 2 });
/// Seconds on the clock after which an input hangs.
const HANGS: u64 = 120;
/// A list of numbers in JSON takes 2 bytes a number in the file and about 100 while it is parsed.
const MEMORY_PER_BYTE: u64 = 200;
const MEMORY: u64 = 64 << 20;
/// Failures that are told apart; more say nothing new.
const MOST_FAILURES: usize = 20;
const MOST_SEEDS: usize = 2_000;

/// One reader at a time: the measurements are those of the process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Waits until nothing else runs here.
fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a reader on changed inputs and panics with a list of what went wrong. Inputs that failed are kept in a folder.
pub fn fuzz(reader: &Reader) {
    let _alone = alone();
    let seconds = std::env::var("SAMEBITS_FUZZ_SECONDS").ok();
    let seconds: Option<u64> =
        seconds.map(|text| text.parse().expect("SAMEBITS_FUZZ_SECONDS is no number"));
    let seed = seconds.map_or(0, |_| {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        now.as_secs() << 20 | u64::from(now.subsec_micros())
    });
    let mut run = Run::new(reader, seed);
    let begin = Instant::now();
    let mut settled = None;
    loop {
        let done = match seconds {
            Some(seconds) => begin.elapsed().as_secs() >= seconds,
            None => run.executions >= EXECUTIONS,
        };
        if done || run.failures.len() >= MOST_FAILURES {
            break;
        }
        run.execute();
        // What the first executions take is kept for good: thread pools, tables, arenas of the allocator.
        let warm = seconds.is_some_and(|seconds| begin.elapsed().as_secs() * 4 >= seconds);
        if warm && settled.is_none() {
            settled = Some((resident(), run.corpus_bytes()));
        }
    }
    run.end(seed, seconds.is_some(), settled);
}

struct Run<'a> {
    reader: &'a Reader,
    rng: Rng,
    corpus: Vec<Vec<u8>>,
    kinds: BTreeMap<String, u64>,
    folder: PathBuf,
    executions: u64,
    failures: BTreeMap<String, PathBuf>,
    slowest: Duration,
    peak: u64,
    /// When the present input began, in seconds after the start; 0 between inputs.
    watch: Arc<AtomicU64>,
}

impl<'a> Run<'a> {
    fn new(reader: &'a Reader, seed: u64) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", reader.name));
        let _ = fs::remove_dir_all(&folder);
        for name in ["original", "input", "failed"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        let watch = Arc::new(AtomicU64::new(0));
        watchdog(&watch, folder.clone());
        Self {
            reader,
            rng: Seed(seed).stream(reader.name),
            corpus: reader.seeds.clone(),
            kinds: BTreeMap::new(),
            folder,
            executions: 0,
            failures: BTreeMap::new(),
            slowest: Duration::ZERO,
            peak: 0,
            watch,
        }
    }

    fn corpus_bytes(&self) -> u64 {
        self.corpus.iter().map(Vec::len).sum::<usize>() as u64
    }

    /// Makes an input and reads it; the seeds themselves come first.
    fn execute(&mut self) {
        let seeds = self.reader.seeds.len();
        let number = usize::try_from(self.executions).unwrap();
        let rng = &mut self.rng;
        let from = match number {
            _ if number < seeds => number,
            _ if chance(rng, 50) => below(rng, seeds),
            _ => below(rng, self.corpus.len()),
        };
        let original = self.corpus[from].clone();
        let other = &self.corpus[below(rng, self.corpus.len())];
        let words = self.reader.words;
        let mut input = original.clone();
        if number >= seeds {
            if chance(rng, 65) {
                input = (self.reader.change)(rng, &input, other, words).unwrap_or(input);
            }
            if input == original || chance(rng, 5) {
                input = bytes::changed(rng, &input, other, words);
            }
        }
        let keys = if chance(rng, 30) {
            vec!["step".to_owned()]
        } else {
            Vec::new()
        };
        self.executions += 1;
        match self.check(&original, &input, &keys) {
            Ok(kind) => {
                let seen = self.kinds.entry(kind).or_default();
                *seen += 1;
                if *seen == 1 && self.corpus.len() < MOST_SEEDS && input.len() < bytes::LONGEST / 4
                {
                    // Its length is what is counted when memory is.
                    input.shrink_to_fit();
                    self.corpus.push(input);
                }
            }
            Err(what) => self.fail(&what, &original, &input),
        }
    }

    fn check(&mut self, original: &[u8], input: &[u8], keys: &[String]) -> Outcome {
        let reader = self.reader;
        let place = |name: &str, bytes: &[u8]| {
            let folder = self.folder.join(name);
            if reader.name == "trace" {
                return trace::write(&folder, bytes);
            }
            let path = folder.join(reader.file);
            let _ = fs::remove_file(&path);
            fs::write(&path, bytes).unwrap();
            path
        };
        let (original, path) = (place("original", original), place("input", input));
        let before = Usage::now();
        self.watch.store(Usage::clock(), Ordering::Release);
        let outcome = catch_unwind(AssertUnwindSafe(|| match reader.name {
            "rules" => check::rules(&self.folder, &path),
            "report" => check::saved(&path),
            "recorder" => check::recording(parent(&original), parent(&path)),
            _ => check::evidence(&original, &path, keys),
        }));
        self.watch.store(0, Ordering::Release);
        let (took, grew) = before.since();
        self.slowest = self.slowest.max(took);
        self.peak = self.peak.max(grew);
        let kind = outcome.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("panicked: {}", text.unwrap_or("without words")))
        })?;
        // A busy machine is no fault of a reader's: time and memory are judged in campaigns.
        if !in_campaign() {
            return Ok(kind);
        }
        if took > LONGEST {
            return Err(format!("took {took:.1?} of CPU time"));
        }
        let allowed = reader.memory + MEMORY + MEMORY_PER_BYTE * input.len() as u64;
        if grew > allowed {
            return Err(format!(
                "took {grew} bytes of memory for {} in the file",
                input.len()
            ));
        }
        Ok(kind)
    }

    /// Keeps an input, unless one failed alike.
    fn fail(&mut self, what: &str, original: &[u8], input: &[u8]) {
        let folder = self.folder.display().to_string();
        let what = what.replace(&folder, "");
        let alike: String = what
            .chars()
            .filter(|c| !c.is_ascii_digit())
            .take(60)
            .collect();
        let path = self
            .folder
            .join("failed")
            .join(self.failures.len().to_string());
        self.failures.entry(alike).or_insert_with(|| {
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join(self.reader.file), input).unwrap();
            fs::write(
                path.join(format!("original-{}", self.reader.file)),
                original,
            )
            .unwrap();
            fs::write(path.join("what.txt"), &what).unwrap();
            path
        });
    }

    fn end(self, seed: u64, say: bool, settled: Option<(u64, u64)>) {
        let (resident_then, corpus_then) = settled.unwrap_or((resident(), self.corpus_bytes()));
        let corpus = self.corpus_bytes() - corpus_then.min(self.corpus_bytes());
        let grew = resident().saturating_sub(resident_then + corpus);
        if say {
            // Past the capture of the test's output: `scripts/campaign` reads it.
            let _ = writeln!(
                std::io::stderr(),
                "fuzz {}: seed {seed}, {} executions, {} kinds, {} failures, slowest {:.2} s, at most {} KiB for one, \
                 grew {} KiB",
                self.reader.name,
                self.executions,
                self.kinds.len(),
                self.failures.len(),
                self.slowest.as_secs_f64(),
                self.peak >> 10,
                grew >> 10,
            );
        }
        let mut told = String::new();
        for path in self.failures.values() {
            let what = fs::read_to_string(path.join("what.txt")).unwrap_or_default();
            let _ = writeln!(told, "{}: {:.500}", path.display(), what);
        }
        assert!(
            told.is_empty(),
            "seed {seed}, {} executions:\n{told}",
            self.executions
        );
        let read = self
            .kinds
            .iter()
            .filter(|(kind, _)| !kind.starts_with("error"));
        let refused = self.kinds.len() - read.clone().count();
        assert!(
            read.count() > 0 && refused > 0,
            "too few kinds of input, the fuzzer is blind: {:?}",
            self.kinds
        );
        // The allocator may keep what the largest input took, once.
        assert!(
            !in_campaign() || grew < MEMORY + self.peak,
            "{grew} bytes were not given back"
        );
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap()
}

fn in_campaign() -> bool {
    std::env::var_os("SAMEBITS_FUZZ_SECONDS").is_some()
}

/// CPU time and memory of this process.
struct Usage {
    time: Duration,
    resident: u64,
}

impl Usage {
    fn now() -> Self {
        // Lets the high-water mark begin anew.
        let _ = fs::write("/proc/self/clear_refs", "5");
        Self {
            time: Self::time(),
            resident: resident(),
        }
    }

    fn time() -> Duration {
        let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
        let seconds = |time: nix::sys::time::TimeVal| {
            Duration::from_micros(
                u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap(),
            )
        };
        seconds(usage.user_time()) + seconds(usage.system_time())
    }

    /// Seconds on a clock that never stands at 0.
    fn clock() -> u64 {
        std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .as_secs()
    }

    /// Time and memory taken meanwhile, the latter at its height.
    fn since(&self) -> (Duration, u64) {
        let height = status("VmHWM:").saturating_sub(self.resident);
        (Self::time().saturating_sub(self.time), height)
    }
}

fn resident() -> u64 {
    status("VmRSS:")
}

/// A line of the process's status, in bytes.
fn status(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse::<u64>().ok())
        .unwrap()
        << 10
}

/// Ends the process when an input takes forever; it then still lies in the folder.
fn watchdog(watch: &Arc<AtomicU64>, folder: PathBuf) {
    let watch = Arc::downgrade(watch);
    std::thread::spawn(move || {
        while let Some(watch) = watch.upgrade() {
            let begin = watch.load(Ordering::Acquire);
            if begin != 0 && Usage::clock().saturating_sub(begin) > HANGS {
                let _ = writeln!(
                    std::io::stderr(),
                    "hangs on the input in {}",
                    folder.display()
                );
                std::process::abort();
            }
            drop(watch);
            std::thread::sleep(Duration::from_secs(1));
        }
    });
}
