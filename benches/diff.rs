//! Wall time and memory of `samebits diff` on two safetensors files of 2 GiB in the page cache, beside `cmp` on the same
//! files and, where `SAMEBITS_PYTHON` names a Python with torch and safetensors, beside `torch.testing.assert_close`.
//! Prints ratios of the fastest of several runs each, taken in turns. `SAMEBITS_BENCH_MIB` sets another size.

#![expect(clippy::print_stdout, reason = "a bench is for people")]
#![expect(clippy::cast_precision_loss, reason = "sizes, for people")]

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Elements of a tensor: 64 MiB of float32.
const ELEMENTS: usize = 16 << 20;

/// Turns; of each the fastest counts.
const TURNS: usize = 5;

/// How the candidate differs from the reference.
#[derive(Clone, Copy, PartialEq)]
enum Change {
    Nothing,
    LastElement,
    EveryElement,
}

fn main() {
    // `cargo test --benches` asks only whether it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let mib: usize = std::env::var("SAMEBITS_BENCH_MIB")
        .map_or(2048, |text| text.parse().expect("a number of MiB"));
    let tensors = (mib / 64).max(1);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    write(&at("a.safetensors"), tensors, Change::Nothing);
    write(&at("same.safetensors"), tensors, Change::Nothing);
    write(&at("one.safetensors"), tensors, Change::LastElement);
    write(&at("every.safetensors"), tensors, Change::EveryElement);
    let samebits = |name: &str, flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_samebits"));
        command
            .arg("diff")
            .arg(at("a.safetensors"))
            .arg(at(name))
            .args(flags);
        command
    };
    let cmp = |name: &str| {
        let mut command = Command::new("cmp");
        command.arg(at("a.safetensors")).arg(at(name));
        command
    };
    let gib = tensors as f64 / 16.0;
    println!("two safetensors files of {gib} GiB in the page cache, fastest of {TURNS}:");
    pair(
        "identical",
        samebits("same.safetensors", &[]),
        0,
        "cmp",
        cmp("same.safetensors"),
        Some(0),
    );
    pair(
        "one element changed",
        samebits("one.safetensors", &[]),
        1,
        "cmp",
        cmp("one.safetensors"),
        Some(1),
    );
    let Some(python) = std::env::var_os("SAMEBITS_PYTHON") else {
        println!(
            "every element changed, --close: SAMEBITS_PYTHON is not set, torch was not measured"
        );
        let (time, memory) = turn(&mut samebits("every.safetensors", &["--close"]), Some(0));
        println!("  samebits {time:.2?}, {memory} KiB of its own memory");
        return;
    };
    let mut torch = Command::new(python);
    torch
        .arg("-c")
        .arg(TORCH)
        .arg(at("a.safetensors"))
        .arg(at("every.safetensors"));
    pair(
        "every element changed, --close",
        samebits("every.safetensors", &["--close"]),
        0,
        "assert_close",
        torch,
        Some(0),
    );
}

/// Prints the time of loading and comparing alone, without starting Python.
const TORCH: &str = "
import sys, time, torch
from safetensors.torch import load_file
begin = time.perf_counter()
a, b = load_file(sys.argv[1]), load_file(sys.argv[2])
for name in a:
    torch.testing.assert_close(b[name], a[name])
print(time.perf_counter() - begin)
";

/// Runs both in turns and prints the ratio.
fn pair(
    what: &str,
    mut ours: Command,
    code: i32,
    name: &str,
    mut theirs: Command,
    other: Option<i32>,
) {
    let (mut best, mut memory, mut rival) = (Duration::MAX, 0, Duration::MAX);
    for _ in 0..TURNS {
        let (time, peak) = turn(&mut ours, Some(code));
        (best, memory) = (best.min(time), memory.max(peak));
        rival = rival.min(turn(&mut theirs, other).0);
    }
    let ratio = best.as_secs_f64() / rival.as_secs_f64();
    println!(
        "{what}: samebits {best:.2?}, {name} {rival:.2?}, ratio {ratio:.3} (1/{:.1}); {memory} KiB of its own memory",
        1.0 / ratio
    );
}

/// Wall time, or what the command prints as its own; and the greatest memory that is not of files, in KiB.
fn turn(command: &mut Command, code: Option<i32>) -> (Duration, u64) {
    let begin = Instant::now();
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("a command that starts");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait().expect("a child") {
            break ended;
        }
        let own = fs::read_to_string(&status).unwrap_or_default();
        let line = own.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(2));
    };
    let wall = begin.elapsed();
    assert_eq!(ended.code(), code, "{command:?}");
    let mut said = String::new();
    let mut stdout = child.stdout.take().expect("its output");
    std::io::Read::read_to_string(&mut stdout, &mut said).expect("text");
    let own = said.trim().parse().ok().map(Duration::from_secs_f64);
    (own.unwrap_or(wall), peak)
}

/// Tensors of values between 1 and 2, the same every time but for the change.
fn write(path: &Path, tensors: usize, change: Change) {
    let length = ELEMENTS * 4;
    let entries: Vec<String> = (0..tensors)
        .map(|index| {
            let (start, end) = (index * length, (index + 1) * length);
            format!("\"layers.{index}.weight\":{{\"dtype\":\"F32\",\"shape\":[4096,4096],\"data_offsets\":[{start},{end}]}}")
        })
        .collect();
    let mut header = format!("{{{}}}", entries.join(","));
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).expect("a file"));
    let mut put = |bytes: &[u8]| file.write_all(bytes).expect("room on the disk");
    put(&(header.len() as u64).to_le_bytes());
    put(header.as_bytes());
    let mut generator = ChaCha8Rng::seed_from_u64(0);
    for tensor in 0..tensors {
        for element in 0..ELEMENTS {
            let bits = 0x3f80_0000 | (generator.next_u32() >> 9);
            let last = tensor + 1 == tensors && element + 1 == ELEMENTS;
            let changed = change == Change::EveryElement || (change == Change::LastElement && last);
            put(&(bits ^ u32::from(changed)).to_le_bytes());
        }
    }
    file.flush().expect("room on the disk");
}
