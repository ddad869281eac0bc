//! `torchscript`: a model of the user's own, saved by `torch.jit.save`, trained on a batch of the user's own, Adam.

use std::collections::BTreeMap;
use std::path::Path;

use tch::Tensor;

use crate::ffi::{Script, tch_failure};
use crate::record::Recorder;
use crate::trainer::{Rule, Trainer};
use crate::workload::Workload;
use crate::workloads::loss::{self, Loss};
use samebits::error::{Error, Result};

/// The workload.
pub struct TorchScript;

impl Workload for TorchScript {
    fn name(&self) -> &'static str {
        "torchscript"
    }

    fn train(&self, recorder: &mut Recorder) -> Result<()> {
        let inputs = recorder.inputs().clone();
        let model = given(
            inputs.model.as_deref(),
            "--model FILE",
            "a TorchScript module",
        )?;
        let file = given(
            inputs.batch.as_deref(),
            "--batch-file FILE",
            "a safetensors file",
        )?;
        let name = given(
            inputs.loss.as_deref(),
            "--loss NAME",
            &format!("one of {}", loss::names()),
        )?;
        let loss = Loss::find(name)?;
        let batch = Batch::read(file, recorder)?;
        let script = load(model, recorder)?;
        let mut trainer =
            Trainer::of_script(&script, Rule::Adam, 1e-3).map_err(|error| match error {
                Error::Usage(what) => Error::input(model, format!("--model: {what}")),
                other => other,
            })?;
        trainer.start(recorder)?;
        let named = batch.named();
        let named: Vec<_> = named
            .iter()
            .map(|(name, tensor)| (name.as_str(), *tensor))
            .collect();
        for step in recorder.steps() {
            trainer.try_step(recorder, step, &named, || {
                loss.of(&script.forward(&batch.inputs)?, &batch.target)
            })?;
        }
        Ok(())
    }
}

/// A flag's value, or an error that says what the flag is for.
fn given<'a, T: ?Sized>(value: Option<&'a T>, flag: &str, what: &str) -> Result<&'a T> {
    value.ok_or_else(|| Error::Usage(format!("the workload torchscript needs {flag}, {what}")))
}

fn load(path: &Path, recorder: &Recorder) -> Result<Script> {
    must_exist(path, "--model")?;
    let device = match recorder.device() {
        tch::Device::Cuda(index) => i64::try_from(index).ok(),
        _ => None,
    };
    Script::load(path, device, Some(recorder.dtype())).map_err(|error| match error {
        Error::Torch { message, .. } => Error::input(
            path,
            format!("--model: no module saved by torch.jit.save: {message}"),
        ),
        other => other,
    })
}

fn must_exist(path: &Path, flag: &str) -> Result<()> {
    if path.is_file() {
        return Ok(());
    }
    Err(Error::input(path, format!("{flag}: there is no such file")))
}

/// What the model is given, and what it should make of it.
struct Batch {
    inputs: Vec<Tensor>,
    target: Tensor,
}

impl Batch {
    /// Reads `input`, or `input0`, `input1`, …, and `target`. Floating-point inputs become the run's dtype; the loss sees
    /// to the target.
    fn read(path: &Path, recorder: &Recorder) -> Result<Self> {
        must_exist(path, "--batch-file")?;
        let wrong = |what: String| Error::input(path, format!("--batch-file: {what}"));
        let read = Tensor::read_safetensors(path).map_err(|e| wrong(e.to_string()))?;
        let mut tensors: BTreeMap<String, Tensor> = read.into_iter().collect();
        let held = tensors.keys().cloned().collect::<Vec<_>>().join(", ");
        let target = tensors.remove("target");
        let inputs: Vec<Tensor> = match tensors.remove("input") {
            Some(only) => vec![only],
            None => (0..)
                .map_while(|at| tensors.remove(&format!("input{at}")))
                .collect(),
        };
        let (Some(target), false, true) = (target, inputs.is_empty(), tensors.is_empty()) else {
            let what =
                format!("it must hold input (or input0, input1, …) and target, but holds: {held}");
            return Err(wrong(what));
        };
        let kind = recorder.kind()?;
        let place = |tensor: &Tensor| {
            let kind = if tensor.is_floating_point() {
                kind
            } else {
                tensor.kind()
            };
            let placed = tensor
                .f_to_kind(kind)
                .and_then(|tensor| tensor.f_to_device(recorder.device()));
            placed.map_err(|e| tch_failure("placing the batch", &e))
        };
        let target = target
            .f_to_device(recorder.device())
            .map_err(|e| tch_failure("placing the batch", &e))?;
        Ok(Self {
            inputs: inputs.iter().map(place).collect::<Result<_>>()?,
            target,
        })
    }

    /// Its tensors under the names that the trace gives them.
    fn named(&self) -> Vec<(String, &Tensor)> {
        let inputs = self
            .inputs
            .iter()
            .enumerate()
            .map(|(at, tensor)| (format!("input{at}"), tensor));
        inputs
            .chain([("target".to_owned(), &self.target)])
            .collect()
    }
}
