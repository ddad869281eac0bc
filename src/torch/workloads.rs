//! The built-in workloads, one file each.

use super::workload::Workload;
use samebits::error::{Error, Result};

mod cnn;
mod digits;
mod gather;
pub mod loss;
mod lstm;
mod mlp;
mod text;
mod torchscript;
mod transformer;

/// Every built-in workload; the table beside it says how long each trains.
const ALL: &[&(dyn Workload + Sync)] = &[
    &mlp::Mlp,
    &cnn::Cnn,
    &lstm::Lstm,
    &transformer::Transformer,
    &gather::Gather,
    &torchscript::TorchScript,
];

/// The built-in workload called `name`.
///
/// # Errors
/// When there is none.
pub fn find(name: &str) -> Result<&'static dyn Workload> {
    let found = ALL.iter().find(|workload| workload.name() == name);
    found
        .map(|found| *found as &dyn Workload)
        .ok_or_else(|| Error::Usage(format!("there is no workload called {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use samebits::workload::BUILT_IN;

    #[test]
    fn the_table_and_the_workloads_are_the_same() {
        let names: Vec<&str> = ALL.iter().map(|workload| workload.name()).collect();
        let rows: Vec<&str> = BUILT_IN.iter().map(|row| row.name).collect();
        assert_eq!(names, rows);
    }
}
