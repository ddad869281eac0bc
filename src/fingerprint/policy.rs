//! Which facts can change bits: one table, each row with its reason. Rows are tried from the top, the first that fits
//! counts; a key that fits none can change bits.

/// What a difference in a fact means for results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relevance {
    /// Results may differ because of it: such stacks are not comparable.
    Bits,
    /// Changes speed only. Shown, because a race or an algorithm chosen by timing may fall out otherwise.
    Timing,
    /// Says which machine it was, not which kind. Shown, and taken out by `--redact`.
    Identity,
    /// Of the moment, or only there to explain. Recorded, never compared.
    Evidence,
}
use Relevance::{Bits, Evidence, Identity, Timing};

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Keys it is about; `*` stands for anything.
    pub pattern: &'static str,
    /// What a difference means.
    pub relevance: Relevance,
    /// Why.
    pub why: &'static str,
}

impl Rule {
    /// A row.
    pub(super) const fn new(
        pattern: &'static str,
        relevance: Relevance,
        why: &'static str,
    ) -> Self {
        Self {
            pattern,
            relevance,
            why,
        }
    }
}

/// The table. Environment variables have their own, in `variables.rs`. Sources: NVIDIA's cuDNN and cuBLAS notes on
/// reproducibility, oneMKL's on conditional numerical reproducibility, libtorch 2.11's sources.
#[rustfmt::skip]
pub const RULES: &[Rule] = &[
    Rule::new("samebits.version", Bits, "its workloads, streams or digests may have changed"),
    Rule::new("libtorch.*", Bits, "another build of libtorch has other kernels"),
    Rule::new("cuda.*", Bits, "another CUDA runtime has other kernels, another number of devices splits work otherwise"),
    Rule::new("cudnn.*", Bits, "another cuDNN picks other algorithms"),
    Rule::new("driver.version", Bits, "the driver compiles kernels to machine code and ships some of its own"),
    Rule::new("driver.cuda", Bits, "decides which kernels are compiled at run time"),
    Rule::new("driver.nvml", Evidence, "part of the driver, whose version is compared"),
    Rule::new("gpu.count", Bits, "work is split by the number of GPUs"),
    Rule::new("gpu.*.name", Bits, "kernels and their launch sizes are chosen by the model"),
    Rule::new("gpu.*.architecture", Bits, "kernels are chosen by it"),
    Rule::new("gpu.*.compute_capability", Bits, "kernels are chosen by it"),
    Rule::new("gpu.*.cuda_cores", Bits, "reductions are split by the number of cores; MIG and confidential computing change it"),
    Rule::new("gpu.*.memory.total", Bits, "algorithms are chosen by the workspace that fits"),
    Rule::new("gpu.*.memory.bus_width", Bits, "tells variants of one model apart"),
    Rule::new("gpu.*.memory.*", Evidence, "of the moment"),
    Rule::new("gpu.*.serial", Identity, "says which GPU, not which kind"),
    Rule::new("gpu.*.uuid", Identity, "says which GPU, not which kind"),
    Rule::new("gpu.*.bus_id", Identity, "says which slot"),
    Rule::new("gpu.*.board_id", Identity, "says which board, not which kind"),
    Rule::new("gpu.*.part_number", Timing, "boards of one model differ in cooling and power"),
    Rule::new("gpu.*.ecc.enabled", Bits, "takes memory, and without it a flipped bit goes unnoticed"),
    Rule::new("gpu.*.ecc.*", Evidence, "counts faults of the hardware"),
    Rule::new("gpu.*.retired_pages.*", Evidence, "counts faults of the hardware"),
    Rule::new("gpu.*.remapped_rows.*", Evidence, "counts faults of the hardware"),
    Rule::new("gpu.*.mig.enabled", Bits, "a slice of a GPU has fewer cores and less memory"),
    Rule::new("gpu.*.mig.pending", Evidence, "not in force yet"),
    Rule::new("gpu.*.compute_mode", Timing, "says how many programs may share the GPU"),
    Rule::new("gpu.*.persistence", Timing, "keeps the driver loaded"),
    Rule::new("gpu.*.virtualization", Bits, "a virtual GPU has fewer cores and less memory"),
    Rule::new("gpu.*.confidential", Bits, "takes cores and memory"),
    Rule::new("gpu.*.firmware.*", Timing, "decides clocks and scheduling; arithmetic is in the silicon"),
    Rule::new("gpu.*.clock.max.*", Timing, "speed; can turn a race or a timed choice of algorithm"),
    Rule::new("gpu.*.clock.application.*", Timing, "speed; can turn a race or a timed choice of algorithm"),
    Rule::new("gpu.*.clock.offset.*", Bits, "an overclocked GPU computes wrong before it crashes"),
    Rule::new("gpu.*.clock.now.*", Evidence, "of the moment"),
    Rule::new("gpu.*.performance_state", Evidence, "of the moment"),
    Rule::new("gpu.*.power.limit", Timing, "speed; can turn a race or a timed choice of algorithm"),
    Rule::new("gpu.*.power.now", Evidence, "of the moment"),
    Rule::new("gpu.*.temperature", Evidence, "of the moment"),
    Rule::new("gpu.*.throttled_by", Evidence, "of the moment"),
    Rule::new("gpu.*.processes", Evidence, "of the moment"),
    Rule::new("gpu.*.pcie.*now", Evidence, "of the moment"),
    Rule::new("gpu.*.pcie.replays", Evidence, "counts faults of the hardware"),
    Rule::new("gpu.*.pcie.*", Bits, "NCCL chooses the order of its sums by the speed of links"),
    Rule::new("gpu.*.nvlink.*", Bits, "NCCL chooses the order of its sums by the links"),
    Rule::new("cpu.capability", Bits, "libtorch chooses its kernels by it"),
    Rule::new("cpu.model", Bits, "libraries choose kernels and block sizes by model"),
    Rule::new("cpu.vendor", Bits, "MKL treats vendors differently"),
    Rule::new("cpu.family", Bits, "libraries choose kernels by it"),
    Rule::new("cpu.model_number", Bits, "libraries choose kernels by it"),
    Rule::new("cpu.stepping", Timing, "a revision of the same design"),
    Rule::new("cpu.microcode", Timing, "corrects faults and changes speed; documented results stay"),
    Rule::new("cpu.flags", Bits, "libraries choose kernels by instruction set"),
    Rule::new("cpu.cache", Bits, "block sizes of matrix products follow the caches"),
    Rule::new("cpu.cores", Timing, "what decides is the number of threads, under threads.*"),
    Rule::new("cpu.usable", Timing, "what decides is the number of threads, under threads.*"),
    Rule::new("cpu.affinity", Timing, "what decides is the number of threads, under threads.*"),
    Rule::new("threads.hardware", Timing, "what decides is the number of threads used"),
    Rule::new("threads.*", Bits, "sums are split by the number of threads"),
    Rule::new("memory.total", Timing, "decides whether it fits"),
    Rule::new("cgroup.*", Timing, "slows or ends a program; what decides is the number of threads, under threads.*"),
    Rule::new("machine.*", Timing, "what decides is recorded under cpu.* and gpu.*"),
    Rule::new("os.arch", Bits, "another instruction set"),
    Rule::new("os.*", Timing, "what decides is recorded under library.* and driver.*"),
    Rule::new("libc", Bits, "its mathematical functions round by version"),
    Rule::new("library", Bits, "without a list of what is loaded nothing is known"),
    Rule::new("library.*", Bits, "another build may compute in another order"),
    Rule::new("path.*", Evidence, "where a library lies; what it is stands under library.*"),
    Rule::new("knob.*", Bits, "a setting that samebits knows to decide agreement"),
];

/// The first row that fits.
#[must_use]
pub fn find(table: &'static [Rule], key: &str) -> Option<&'static Rule> {
    table.iter().find(|rule| fits(rule.pattern, key))
}

/// Whether `key` is of the form `pattern`, in which `*` stands for anything.
fn fits(pattern: &str, key: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == key,
        Some((before, after)) => key.strip_prefix(before).is_some_and(|rest| {
            after.is_empty() || rest.char_indices().any(|(at, _)| fits(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        assert!(fits("gpu.*.name", "gpu.12.name"));
        assert!(fits("gpu.*.ecc.*", "gpu.0.ecc.volatile.corrected"));
        assert!(!fits("gpu.*.name", "gpu.0.name.x"));
        assert!(!fits("libc", "libc.x"));
        assert!(fits("gpu.*.pcie.*now", "gpu.0.pcie.width.now"));
        assert!(!fits("gpu.*.pcie.*now", "gpu.0.pcie.width"));
    }

    #[test]
    fn no_row_hides_behind_an_earlier_one() {
        for (place, rule) in RULES.iter().enumerate() {
            let example = rule.pattern.replace('*', "0");
            let first = RULES.iter().position(|it| fits(it.pattern, &example));
            assert_eq!(first, Some(place), "{}", rule.pattern);
            assert!(!rule.why.is_empty());
        }
    }
}
