//! `cnn`: convolutions with batch normalisation, max pooling and dropout on real digits, Adam.

use tch::nn::{Module, ModuleT};
use tch::{Tensor, nn};

use crate::record::Recorder;
use crate::trainer::{Rule, Trainer};
use crate::workload::Workload;
use crate::workloads::digits::Digits;
use crate::workloads::loss::cross_entropy;
use samebits::error::Result;

/// The workload.
pub struct Cnn;

impl Workload for Cnn {
    fn name(&self) -> &'static str {
        "cnn"
    }

    fn train(&self, recorder: &mut Recorder) -> Result<()> {
        let digits = Digits::load(recorder)?;
        let vs = nn::VarStore::new(recorder.device());
        let net = Net::new(&vs.root(), &digits);
        recorder.convert(&vs)?;
        let mut trainer = Trainer::new(&vs, Rule::Adam, 2e-3)?;
        trainer.start(recorder)?;
        let mut batches = digits.batches(recorder);
        for step in recorder.steps() {
            let (x, y) = batches.next()?;
            trainer.step(recorder, step, &[("x", &x), ("y", &y)], || {
                cross_entropy(&net.forward(&x, true), &y)
            })?;
        }
        digits.accuracy(recorder, |x| net.forward(x, false))
    }
}

/// Two blocks that halve the image, and two dense layers.
struct Net {
    blocks: Vec<(nn::Conv2D, nn::BatchNorm)>,
    hidden: nn::Linear,
    output: nn::Linear,
}

impl Net {
    fn new(root: &nn::Path, digits: &Digits) -> Self {
        let padded = nn::ConvConfig {
            padding: 1,
            ..Default::default()
        };
        // tch draws these weights at random; torch, as everybody expects, begins with 1.
        let norm = nn::BatchNormConfig {
            ws_init: nn::Init::Const(1.0),
            ..Default::default()
        };
        let block = |name: &str, from, to| {
            let conv = nn::conv2d(root / name / "conv", from, to, 3, padded);
            (conv, nn::batch_norm2d(root / name / "norm", to, norm))
        };
        // Not adaptive pooling, whose backward has no deterministic implementation on CUDA.
        let (height, width) = digits.size();
        let features = 64 * (height / 4) * (width / 4);
        Self {
            blocks: vec![block("block1", 1, 32), block("block2", 32, 64)],
            hidden: nn::linear(root / "hidden", features, 128, nn::LinearConfig::default()),
            output: nn::linear(
                root / "output",
                128,
                digits.classes(),
                nn::LinearConfig::default(),
            ),
        }
    }

    /// `[batch, 1, height, width]` to `[batch, classes]`.
    fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        let features = self
            .blocks
            .iter()
            .fold(x.shallow_clone(), |x, (conv, norm)| {
                norm.forward_t(&conv.forward(&x), train)
                    .relu()
                    .max_pool2d_default(2)
            });
        let hidden = self.hidden.forward(&features.flatten(1, -1)).relu();
        self.output.forward(&hidden.dropout(0.3, train))
    }
}
