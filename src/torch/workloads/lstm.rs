//! `lstm`: two recurrent layers that learn the next character of a real text, Adam.

use tch::nn::{Module, RNN};
use tch::{Tensor, nn};

use crate::record::Recorder;
use crate::trainer::{Rule, Trainer};
use crate::workload::Workload;
use crate::workloads::loss::cross_entropy;
use crate::workloads::text::Text;
use samebits::error::Result;

/// Characters in a window.
const CONTEXT: usize = 48;
const EMBEDDED: i64 = 64;
const HIDDEN: i64 = 128;

/// The workload.
pub struct Lstm;

impl Workload for Lstm {
    fn name(&self) -> &'static str {
        "lstm"
    }

    fn train(&self, recorder: &mut Recorder) -> Result<()> {
        let text = Text::load(recorder);
        let vs = nn::VarStore::new(recorder.device());
        let root = vs.root();
        let characters = text.vocabulary();
        let embedding = nn::embedding(
            &root / "embedding",
            characters,
            EMBEDDED,
            nn::EmbeddingConfig::default(),
        );
        let layers = nn::RNNConfig {
            num_layers: 2,
            ..Default::default()
        };
        let lstm = nn::lstm(&root / "lstm", EMBEDDED, HIDDEN, layers);
        let output = nn::linear(
            &root / "output",
            HIDDEN,
            characters,
            nn::LinearConfig::default(),
        );
        recorder.convert(&vs)?;
        let mut trainer = Trainer::new(&vs, Rule::Adam, 5e-3)?;
        trainer.start(recorder)?;
        let predict = |x: &Tensor, train: bool| {
            let (hidden, _) = lstm.seq(&embedding.forward(x));
            output.forward(&hidden.dropout(0.1, train))
        };
        let mut windows = text.windows(recorder, CONTEXT);
        for step in recorder.steps() {
            let (x, y) = windows.next()?;
            trainer.step(recorder, step, &[("x", &x), ("y", &y)], || {
                cross_entropy(&predict(&x, true), &y)
            })?;
        }
        text.accuracy(recorder, CONTEXT, |x| predict(x, false))
    }
}
