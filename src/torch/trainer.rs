//! [`Trainer`]: a model's named tensors with an optimiser, and one training step recorded in a fixed order: batch, loss,
//! gradients, parameters, buffers, optimiser state, generators.

use tch::{Tensor, nn};

pub use crate::ffi::Rule;
use crate::ffi::{RawOptimizer, Script, tch_failure};
use crate::record::Recorder;
use samebits::error::{Error, Result};
use samebits::trace::Phase;

/// A model under training.
#[derive(Debug)]
pub struct Trainer {
    parameters: Vec<(String, Tensor)>,
    buffers: Vec<(String, Tensor)>,
    optimizer: RawOptimizer,
}

impl Trainer {
    /// Trains the variables of `vs` by `rule` with learning rate `lr`.
    ///
    /// # Errors
    /// When there is nothing to train.
    pub fn new(vs: &nn::VarStore, rule: Rule, lr: f64) -> Result<Self> {
        // A VarStore is a hash map: its order differs from process to process.
        let mut variables: Vec<_> = vs.variables().into_iter().collect();
        variables.sort_by(|a, b| a.0.cmp(&b.0));
        let (parameters, buffers) = variables
            .into_iter()
            .partition(|(_, tensor)| tensor.requires_grad());
        Self::of(parameters, buffers, rule, lr)
    }

    /// Trains a `TorchScript` module.
    ///
    /// # Errors
    /// When there is nothing to train.
    pub fn of_script(script: &Script, rule: Rule, lr: f64) -> Result<Self> {
        let parameters = script
            .parameters()?
            .into_iter()
            .filter(|(_, tensor)| tensor.requires_grad())
            .collect();
        Self::of(parameters, script.buffers()?, rule, lr)
    }

    fn of(
        parameters: Vec<(String, Tensor)>,
        buffers: Vec<(String, Tensor)>,
        rule: Rule,
        lr: f64,
    ) -> Result<Self> {
        if parameters.is_empty() {
            return Err(Error::Usage("the model has no trainable parameters".into()));
        }
        let tensors: Vec<_> = parameters
            .iter()
            .map(|(_, tensor)| tensor.shallow_clone())
            .collect();
        Ok(Self {
            optimizer: RawOptimizer::new(rule, lr, &tensors)?,
            parameters,
            buffers,
        })
    }

    /// Records the state after initialisation, before step 0.
    ///
    /// # Errors
    /// When a tensor cannot be read or the trace cannot be written.
    pub fn start(&self, recorder: &mut Recorder) -> Result<()> {
        recorder.begin(0)?;
        self.state(recorder, Phase::Init)
    }

    /// One training step: records `batch`, computes the loss from it by `forward`, and lets the optimiser act.
    ///
    /// # Errors
    /// When libtorch fails, or the trace cannot be written.
    pub fn step(
        &mut self,
        recorder: &mut Recorder,
        step: u64,
        batch: &[(&str, &Tensor)],
        forward: impl FnOnce() -> Tensor,
    ) -> Result<()> {
        self.try_step(recorder, step, batch, || Ok(forward()))
    }

    /// [`Trainer::step`] for a `forward` that returns its errors instead of panicking as tch does.
    ///
    /// # Errors
    /// When `forward` or libtorch fails, or the trace cannot be written.
    pub fn try_step(
        &mut self,
        recorder: &mut Recorder,
        step: u64,
        batch: &[(&str, &Tensor)],
        forward: impl FnOnce() -> Result<Tensor>,
    ) -> Result<()> {
        recorder.begin(step)?;
        for (name, tensor) in batch {
            recorder.record(Phase::Forward, &format!("batch.{name}"), tensor)?;
        }
        self.optimizer.zero_grad()?;
        let loss = forward()?;
        recorder.record(Phase::Forward, "loss", &loss)?;
        recorder.loss(step, &loss)?;
        loss.f_backward()
            .map_err(|e| tch_failure("computing gradients", &e))?;
        let named = self
            .parameters
            .iter()
            .map(|(name, tensor)| (format!("{name}.grad"), tensor.grad()));
        let grads: Vec<_> = named.filter(|(_, grad)| grad.defined()).collect();
        recorder.record_all(Phase::Backward, &borrowed(&grads))?;
        self.optimizer.step()?;
        self.state(recorder, Phase::Update)
    }

    fn state(&self, recorder: &mut Recorder, phase: Phase) -> Result<()> {
        let mut optimizer = Vec::new();
        for (index, (name, _)) in self.parameters.iter().enumerate() {
            let slots = self.optimizer.state(index)?.into_iter();
            optimizer.extend(slots.map(|(slot, tensor)| (format!("{name}.{slot}"), tensor)));
        }
        let all = [
            borrowed(&self.parameters),
            borrowed(&self.buffers),
            borrowed(&optimizer),
        ]
        .concat();
        recorder.record_all(phase, &all)?;
        recorder.generators(phase)
    }
}

fn borrowed(tensors: &[(String, Tensor)]) -> Vec<(String, &Tensor)> {
    tensors
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor))
        .collect()
}
