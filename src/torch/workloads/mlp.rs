//! `mlp`: two dense layers with dropout on real digits, SGD with momentum.

use tch::nn;
use tch::nn::Module;

use crate::record::Recorder;
use crate::trainer::{Rule, Trainer};
use crate::workload::Workload;
use crate::workloads::digits::Digits;
use crate::workloads::loss::cross_entropy;
use samebits::error::Result;

/// The workload.
pub struct Mlp;

impl Workload for Mlp {
    fn name(&self) -> &'static str {
        "mlp"
    }

    fn train(&self, recorder: &mut Recorder) -> Result<()> {
        let digits = Digits::load(recorder)?;
        let vs = nn::VarStore::new(recorder.device());
        let root = vs.root();
        let first = nn::linear(
            &root / "first",
            digits.pixels(),
            128,
            nn::LinearConfig::default(),
        );
        let second = nn::linear(
            &root / "second",
            128,
            digits.classes(),
            nn::LinearConfig::default(),
        );
        recorder.convert(&vs)?;
        let mut trainer = Trainer::new(&vs, Rule::Sgd { momentum: 0.9 }, 0.05)?;
        trainer.start(recorder)?;
        let predict = |x: &tch::Tensor, train: bool| {
            second.forward(&first.forward(&x.flatten(1, -1)).relu().dropout(0.2, train))
        };
        let mut batches = digits.batches(recorder);
        for step in recorder.steps() {
            let (x, y) = batches.next()?;
            trainer.step(recorder, step, &[("x", &x), ("y", &y)], || {
                cross_entropy(&predict(&x, true), &y)
            })?;
        }
        digits.accuracy(recorder, |x| predict(x, false))
    }
}
