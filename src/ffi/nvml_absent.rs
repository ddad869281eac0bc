//! Twin of `nvml.rs` for builds without the feature `nvml`: the same functions, which know nothing.

/// A value in words, or the reason why there is none.
pub type Answer = std::result::Result<String, String>;

/// Answers by name, in a fixed order.
pub type Answers = Vec<(&'static str, Answer)>;

/// The driver and its GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Driver {
    /// `version`, `cuda` and `nvml`.
    pub facts: Answers,
    /// GPUs sorted by PCI bus id.
    pub gpus: Vec<std::result::Result<Gpu, String>>,
}

/// One GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Address on the PCI bus.
    pub bus_id: Answer,
    /// The GPU's own number.
    pub uuid: Answer,
    /// What is known about it.
    pub facts: Answers,
    /// Process ids of programs that compute on it now.
    pub processes: Vec<u32>,
}

/// Asks the driver.
///
/// # Errors
/// Always: this build cannot ask.
pub fn driver() -> std::result::Result<Driver, String> {
    Err("this build has no NVML".into())
}
