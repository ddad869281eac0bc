//! [`Recorder`]: what a workload is given, and the one place where a tensor becomes bytes, digest and summary. Not:
//! deciding what is interesting (the workload and `train` do).

mod source;

use std::collections::BTreeMap;

use tch::{Kind, Tensor, nn};

use crate::device::Prepared;
use crate::ffi::{self, Logical, begin_step};
use crate::record::source::{Content, Source, digest_all, fetch};
use samebits::digest::Digest;
use samebits::error::{Error, Result};
use samebits::fingerprint::Fingerprint;
use samebits::knob::Setting;
use samebits::number::Number;
use samebits::seed::{Seed, Stream};
use samebits::spec::{Capture, Inputs, Spec};
use samebits::trace::{Ending, Entry, INLINE, Key, Phase, Writer};

/// An entry that waits to be written in its turn.
#[derive(Debug)]
enum Pending {
    Ready(Entry),
    /// Its digest is still on its way from a GPU.
    OnDevice {
        key: Key,
        description: ffi::Description,
        lanes: Tensor,
    },
}

/// Hands a workload its device, seed and limits, and takes its tensors.
#[derive(Debug)]
pub struct Recorder<'a> {
    spec: &'a Spec,
    prepared: &'a Prepared,
    /// Absent where nothing is recorded: the bare loop that recording is measured against.
    writer: Option<Writer>,
    step: u64,
    /// For each phase and name, the step seen last and how often in it.
    occurrences: BTreeMap<Phase, BTreeMap<String, (u64, u32)>>,
    pending: Vec<Pending>,
    metrics: BTreeMap<String, Number>,
    injected: bool,
    /// Whether the values of some tensor were kept: a control needs one to alter, even if no last step ever comes.
    sampled: bool,
}

impl<'a> Recorder<'a> {
    /// A recorder that writes the trace `spec.out`.
    ///
    /// # Errors
    /// When the trace cannot be begun.
    pub fn new(spec: &'a Spec, prepared: &'a Prepared) -> Result<Self> {
        Ok(Self {
            writer: Some(Writer::new(&spec.out)?),
            ..Self::bare(spec, prepared)
        })
    }

    /// A recorder that records nothing.
    #[must_use]
    pub fn bare(spec: &'a Spec, prepared: &'a Prepared) -> Self {
        Self {
            spec,
            prepared,
            writer: None,
            step: 0,
            occurrences: BTreeMap::new(),
            pending: Vec::new(),
            metrics: BTreeMap::new(),
            injected: false,
            sampled: false,
        }
    }

    /// Where tensors must live.
    #[must_use]
    pub fn device(&self) -> tch::Device {
        self.prepared.device
    }

    /// The floating-point type that the model must have.
    ///
    /// # Errors
    /// When tch has no such type.
    pub fn kind(&self) -> Result<Kind> {
        use samebits::dtype::Dtype;
        match self.spec.dtype {
            Dtype::Float32 => Ok(Kind::Float),
            Dtype::Float64 => Ok(Kind::Double),
            Dtype::Bfloat16 => Ok(Kind::BFloat16),
            Dtype::Float16 => Ok(Kind::Half),
            other => Err(Error::Usage(format!(
                "--dtype {other}: models train in float32, float64, bfloat16 or float16"
            ))),
        }
    }

    /// Gives a model its floating-point type, variable by variable in the order of names: `VarStore::set_kind` takes another
    /// order in every process.
    ///
    /// # Errors
    /// When tch has no such type.
    pub fn convert(&self, vs: &nn::VarStore) -> Result<()> {
        let kind = self.kind()?;
        let mut variables: Vec<_> = vs.variables().into_iter().collect();
        variables.sort_by(|a, b| a.0.cmp(&b.0));
        for (_, mut variable) in variables {
            if variable.kind() != kind {
                let converted = variable.to_kind(kind);
                variable.set_data(&converted);
            }
        }
        Ok(())
    }

    /// The same type under the name it has in a trace.
    #[must_use]
    pub fn dtype(&self) -> samebits::dtype::Dtype {
        self.spec.dtype
    }

    /// The steps to train for.
    #[must_use]
    pub fn steps(&self) -> std::ops::Range<u64> {
        0..self.spec.steps
    }

    /// Samples in a batch.
    #[must_use]
    pub fn batch(&self) -> usize {
        usize::try_from(self.spec.batch).unwrap_or(usize::MAX)
    }

    /// The random stream called `name`. Use these, not libtorch's generators, for data and its order.
    #[must_use]
    pub fn stream(&self, name: &str) -> Stream {
        Seed(self.spec.seed).stream(name)
    }

    /// Files of the user's own.
    #[must_use]
    pub fn inputs(&self) -> &Inputs {
        &self.spec.inputs
    }

    /// Says which step the entries to come belong to. The same step may be begun again; steps never go back.
    ///
    /// # Errors
    /// When the step lies before the one begun last, or what is pending cannot be written.
    pub fn begin(&mut self, step: u64) -> Result<()> {
        self.write()?;
        if step < self.step {
            return Err(Error::Usage(format!(
                "step {step} was begun after step {}: steps only go forward",
                self.step
            )));
        }
        if step > self.step {
            begin_step(step);
        }
        self.step = step;
        Ok(())
    }

    /// Records one tensor. Call it in execution order; tensors may live anywhere and have any strides.
    ///
    /// # Errors
    /// When the tensor cannot be read or the trace cannot be written.
    pub fn record(&mut self, phase: Phase, name: &str, tensor: &Tensor) -> Result<()> {
        self.record_all(phase, &[(name.to_owned(), tensor)])
    }

    /// Records several tensors, as one call of [`Recorder::record`] after another would, on all cores.
    ///
    /// # Errors
    /// When a tensor cannot be read or the trace cannot be written.
    pub fn record_all(&mut self, phase: Phase, tensors: &[(String, &Tensor)]) -> Result<()> {
        let last = self.spec.steps.saturating_sub(1);
        let wanted = match self.spec.capture {
            Capture::Final => phase == Phase::Update && self.step == last,
            _ => true,
        };
        if self.writer.is_none() || !wanted {
            return Ok(());
        }
        let keep = self.spec.capture.keeps_values(self.step, last);
        let sources: Vec<Source> = tensors
            .iter()
            .map(|(name, tensor)| self.source(phase, name, tensor, keep))
            .collect::<Result<_>>()?;
        let entries = digest_all(&sources)?;
        for (source, entry) in sources.into_iter().zip(entries) {
            if source.keep
                && let (Some(entry), Some(bytes), Some(writer)) =
                    (&entry, source.bytes(), &mut self.writer)
            {
                writer.keep(entry, bytes)?;
            }
            self.pending.extend(match (entry, source) {
                (Some(entry), _) => Some(Pending::Ready(entry)),
                (
                    None,
                    Source {
                        key,
                        description,
                        content: Content::OnDevice(lanes),
                        ..
                    },
                ) => Some(Pending::OnDevice {
                    key,
                    description,
                    lanes,
                }),
                (None, _) => None,
            });
        }
        // What waits for a GPU waits until the end of the step, and everything behind it keeps its turn.
        if self
            .pending
            .iter()
            .any(|one| matches!(one, Pending::OnDevice { .. }))
        {
            return Ok(());
        }
        self.write()
    }

    fn source(&mut self, phase: Phase, name: &str, tensor: &Tensor, keep: bool) -> Result<Source> {
        let occurrence = self.occurrence(phase, name);
        let key = Key {
            step: self.step,
            phase,
            name: name.to_owned(),
            occurrence,
        };
        let description = ffi::describe(tensor)?;
        let keep = keep || self.samples(&description);
        let content = match self.injection(&key, tensor, &description)? {
            Some(at) => {
                let mut bytes = Logical::of(tensor)?.bytes().to_vec();
                bytes[at] ^= 1;
                Content::Altered(bytes)
            }
            None if description.device.is_some() && !keep && description.bytes > INLINE => {
                Content::OnDevice(ffi::lanes_on_device(tensor)?)
            }
            None => Content::Cpu(Logical::described(tensor, &description)?),
        };
        Ok(Source {
            key,
            description,
            content,
            keep,
        })
    }

    /// How many entries of this step, phase and name came before, however often the step was begun: two entries must never
    /// share a key.
    fn occurrence(&mut self, phase: Phase, name: &str) -> u32 {
        let names = self.occurrences.entry(phase).or_default();
        match names.get_mut(name) {
            Some((step, count)) if *step == self.step => {
                *count += 1;
                *count
            }
            Some(seen) => {
                *seen = (self.step, 0);
                0
            }
            None => {
                names.insert(name.to_owned(), (self.step, 0));
                0
            }
        }
    }

    /// Chooses one tensor whose values are kept whatever the capture, the first that is not large.
    fn samples(&mut self, description: &ffi::Description) -> bool {
        const LARGEST: u64 = 1 << 20;
        let float = description.dtype.kind() == samebits::dtype::Kind::Float;
        let chosen = !self.sampled && float && (1..=LARGEST).contains(&description.bytes);
        self.sampled |= chosen;
        chosen
    }

    /// If this is the entry of `--inject`: flips the bit in the tensor itself where it is floating-point, so that the
    /// change takes its course; returns the byte to flip in the recorded copy where it is not (a label or an index one
    /// off would stop the run instead of altering it).
    fn injection(
        &mut self,
        key: &Key,
        tensor: &Tensor,
        description: &ffi::Description,
    ) -> Result<Option<usize>> {
        let Some(inject) = &self.spec.inject else {
            return Ok(None);
        };
        let here = match inject.step {
            None => key.phase == Phase::Init,
            Some(step) => key.phase != Phase::Init && step == key.step,
        };
        if !here || self.injected || inject.name != key.name {
            return Ok(None);
        }
        let size = description.dtype.size() as u64;
        if inject.index >= description.bytes / size {
            return Err(Error::Usage(format!(
                "--inject {inject}: {} has {} elements",
                key.name,
                description.bytes / size
            )));
        }
        self.injected = true;
        if description.dtype.kind() == samebits::dtype::Kind::Float {
            ffi::flip_bit(tensor, inject.index, 0)?;
            return Ok(None);
        }
        Ok(usize::try_from(inject.index * size).ok())
    }

    /// Writes what is pending, with one wait for all digests that are still on a GPU.
    fn write(&mut self) -> Result<()> {
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        let pending = std::mem::take(&mut self.pending);
        let lanes: Vec<Tensor> = pending
            .iter()
            .filter_map(|one| match one {
                Pending::OnDevice { lanes, .. } => Some(lanes.shallow_clone()),
                Pending::Ready(_) => None,
            })
            .collect();
        let numbers = fetch(&lanes)?;
        let mut pairs = numbers.chunks_exact(2);
        for one in pending {
            match one {
                Pending::Ready(entry) => writer.entry(&entry)?,
                Pending::OnDevice {
                    key, description, ..
                } => {
                    let lanes =
                        ffi::lanes_from(pairs.next().map_or([0; 2], |pair| [pair[0], pair[1]]));
                    let (dtype, shape) = (description.dtype, &description.shape);
                    let digest = Digest::from_lanes(dtype, shape, description.bytes, lanes);
                    writer.entry(&Entry::of_digest(key, dtype, shape, digest))?;
                }
            }
        }
        Ok(())
    }

    /// Records the state of the CPU's generator and, on a GPU, of that of its device.
    ///
    /// # Errors
    /// When a state cannot be read.
    pub fn generators(&mut self, phase: Phase) -> Result<()> {
        if self.writer.is_none() {
            return Ok(());
        }
        let cpu = ffi::generator_state(None)?;
        self.record(phase, "rng.cpu", &cpu)?;
        if self.prepared.cuda().is_some() {
            for device in 0..ffi::cuda_devices()? {
                let state = ffi::generator_state(Some(device))?;
                self.record(phase, &format!("rng.cuda:{device}"), &state)?;
            }
        }
        Ok(())
    }

    /// Notes a number for people, the last loss or the accuracy. It is compared, but never alone decides.
    pub fn metric(&mut self, name: &str, value: f64) {
        self.metrics.insert(name.to_owned(), Number(value));
    }

    /// Notes the loss of the first and of the last step; between them nothing waits for a GPU.
    ///
    /// # Errors
    /// When the loss is not one number.
    pub fn loss(&mut self, step: u64, loss: &Tensor) -> Result<()> {
        let name = match step {
            0 => "loss.first",
            last if last + 1 == self.spec.steps => "loss.last",
            _ => return Ok(()),
        };
        let value = loss
            .f_double_value(&[])
            .map_err(|e| ffi::tch_failure("reading the loss", &e))?;
        self.metric(name, value);
        Ok(())
    }

    /// The numbers noted so far.
    #[must_use]
    pub fn metrics(&self) -> &BTreeMap<String, Number> {
        &self.metrics
    }

    /// Ends the trace.
    ///
    /// # Errors
    /// When it cannot be written, or the place of `--inject` never came.
    pub fn finish(mut self) -> Result<()> {
        self.write()?;
        if let Some(device) = self.prepared.cuda() {
            ffi::synchronize(device)?;
        }
        let Some(writer) = self.writer.take() else {
            return Ok(());
        };
        if let Some(inject) = &self.spec.inject
            && !self.injected
        {
            return Err(Error::Usage(format!(
                "--inject {inject}: no entry of that step and name was recorded; `--keep DIR` and {} list them",
                "DIR/…/entries.jsonl"
            )));
        }
        let mut warnings = ffi::take_warnings()?;
        warnings.sort_unstable();
        warnings.dedup();
        let mut fingerprint = Fingerprint::collect(&Ok(super::facts::libtorch()));
        let in_force = |setting: &Setting| Some((setting.name.clone(), setting.in_force.clone()?));
        fingerprint.with_settings(self.prepared.settings.iter().filter_map(in_force));
        writer.finish(Ending {
            spec: self.spec.clone(),
            settings: self.prepared.settings.clone(),
            fingerprint,
            metrics: std::mem::take(&mut self.metrics),
            warnings,
        })
    }
}
