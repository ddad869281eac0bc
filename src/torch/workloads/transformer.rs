//! `transformer`: a small GPT that learns the next character of a real text, `AdamW`.

use tch::nn::Module;
use tch::{Tensor, nn};

use crate::record::Recorder;
use crate::trainer::{Rule, Trainer};
use crate::workload::Workload;
use crate::workloads::loss::cross_entropy;
use crate::workloads::text::Text;
use samebits::error::Result;

/// Characters in a window.
const CONTEXT: usize = 64;
const LAYERS: usize = 4;
const HEADS: i64 = 4;
/// Features of a character.
const WIDTH: i64 = 128;
const DROPOUT: f64 = 0.1;
/// GPT-2's initialisation of everything but the characters.
const SMALL: nn::Init = nn::Init::Randn {
    mean: 0.0,
    stdev: 0.02,
};
const LINEAR: nn::LinearConfig = nn::LinearConfig {
    ws_init: SMALL,
    bs_init: Some(nn::Init::Const(0.0)),
    bias: true,
};

/// The workload.
pub struct Transformer;

impl Workload for Transformer {
    fn name(&self) -> &'static str {
        "transformer"
    }

    fn train(&self, recorder: &mut Recorder) -> Result<()> {
        let text = Text::load(recorder);
        let vs = nn::VarStore::new(recorder.device());
        let gpt = Gpt::new(&vs.root(), text.vocabulary());
        recorder.convert(&vs)?;
        let mut trainer = Trainer::new(&vs, Rule::AdamW { weight_decay: 0.01 }, 3e-3)?;
        trainer.start(recorder)?;
        let mut windows = text.windows(recorder, CONTEXT);
        for step in recorder.steps() {
            let (x, y) = windows.next()?;
            trainer.step(recorder, step, &[("x", &x), ("y", &y)], || {
                cross_entropy(&gpt.forward(&x, true), &y)
            })?;
        }
        text.accuracy(recorder, CONTEXT, |x| gpt.forward(x, false))
    }
}

struct Gpt {
    characters: nn::Embedding,
    positions: Tensor,
    blocks: Vec<Block>,
    norm: nn::LayerNorm,
    output: nn::Linear,
}

impl Gpt {
    fn new(root: &nn::Path, characters: i64) -> Self {
        let context = i64::try_from(CONTEXT).unwrap_or(i64::MAX);
        Self {
            characters: nn::embedding(
                root / "characters",
                characters,
                WIDTH,
                nn::EmbeddingConfig::default(),
            ),
            positions: root.var("positions", &[context, WIDTH], SMALL),
            blocks: (0..LAYERS)
                .map(|layer| Block::new(&(root / "block" / layer)))
                .collect(),
            norm: nn::layer_norm(root / "norm", vec![WIDTH], nn::LayerNormConfig::default()),
            output: nn::linear(root / "output", WIDTH, characters, LINEAR),
        }
    }

    /// `[batch, context]` to `[batch, context, characters]`.
    fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        let x = (self.characters.forward(x) + &self.positions).dropout(DROPOUT, train);
        let x = self
            .blocks
            .iter()
            .fold(x, |x, block| block.forward(&x, train));
        self.output.forward(&self.norm.forward(&x))
    }
}

/// Attention, then two dense layers; each looks at a normalised copy and adds what it found.
struct Block {
    before_attention: nn::LayerNorm,
    query_key_value: nn::Linear,
    merge: nn::Linear,
    before_dense: nn::LayerNorm,
    widen: nn::Linear,
    narrow: nn::Linear,
}

impl Block {
    fn new(path: &nn::Path) -> Self {
        let norm =
            |name: &str| nn::layer_norm(path / name, vec![WIDTH], nn::LayerNormConfig::default());
        let linear = |name: &str, from, to| nn::linear(path / name, from, to, LINEAR);
        Self {
            before_attention: norm("before_attention"),
            query_key_value: linear("query_key_value", WIDTH, 3 * WIDTH),
            merge: linear("merge", WIDTH, WIDTH),
            before_dense: norm("before_dense"),
            widen: linear("widen", WIDTH, 4 * WIDTH),
            narrow: linear("narrow", 4 * WIDTH, WIDTH),
        }
    }

    /// `[batch, context, width]` to the same shape.
    fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        let x = x + self
            .attention(&self.before_attention.forward(x))
            .dropout(DROPOUT, train);
        let dense = self.narrow.forward(
            &self
                .widen
                .forward(&self.before_dense.forward(&x))
                .gelu("none"),
        );
        x + dense.dropout(DROPOUT, train)
    }

    /// Every character looks at itself and those before it.
    fn attention(&self, x: &Tensor) -> Tensor {
        let (batch, context, _) = x.size3().expect("the input has three axes");
        let heads = self
            .query_key_value
            .forward(x)
            .view([batch, context, 3, HEADS, WIDTH / HEADS]);
        let heads = heads.permute([2, 0, 3, 1, 4]);
        // No dropout in here, so that libtorch may choose among all of its attention kernels.
        let found = Tensor::scaled_dot_product_attention(
            &heads.get(0),
            &heads.get(1),
            &heads.get(2),
            None::<&Tensor>,
            0.0,
            true,
            None,
            false,
        );
        self.merge
            .forward(&found.transpose(1, 2).reshape([batch, context, WIDTH]))
    }
}
