//! Twin of `workload.rs` for builds without the feature `torch`: a table without rows.

/// One row of the table of built-in workloads.
pub struct BuiltIn {
    /// The workload.
    pub workload: Absent,
    /// What it is, in one line.
    pub summary: &'static str,
    /// Steps when nobody asks for another number.
    pub steps: u64,
    /// Samples in a batch when nobody asks for another number.
    pub batch: u64,
    /// Whether `samebits audit` runs it when no workload is named.
    pub by_default: bool,
}

/// A workload that this build cannot have.
pub struct Absent;

impl Absent {
    /// Never called: the table has no rows.
    #[must_use]
    pub fn name(&self) -> &'static str {
        ""
    }
}

/// None: training needs libtorch.
pub const BUILT_IN: &[BuiltIn] = &[];
