//! *Same seed, same code, same machine: do you get the same bits?*
//!
//! samebits runs a training workload several times in fresh processes, compares every tensor bit for bit, names the first
//! place where the runs part, and proves that its own alarm works. Implement [`workload::Workload`], call [`audit::of`]:
//!
#![cfg_attr(feature = "torch", doc = "```standalone_crate")]
#![cfg_attr(not(feature = "torch"), doc = "```ignore")]
//! use samebits::audit::{self, Options};
//! use samebits::record::Recorder;
//! use samebits::train::{Rule, Trainer};
//! use samebits::verdict::Verdict;
//! use samebits::workload::Workload;
//! use tch::{Reduction, Tensor, nn, nn::Module};
//!
//! /// Learns y = 3x + 1.
//! struct Line;
//!
//! impl Workload for Line {
//!     fn name(&self) -> &str {
//!         "line"
//!     }
//!
//!     fn train(&self, recorder: &mut Recorder) -> samebits::error::Result<()> {
//!         let vs = nn::VarStore::new(recorder.device());
//!         let model = nn::linear(vs.root(), 1, 1, Default::default());
//!         let mut trainer = Trainer::new(&vs, Rule::Sgd { momentum: 0.9 }, 0.05)?;
//!         trainer.start(recorder)?;
//!         let mut data = recorder.stream("data");
//!         for step in recorder.steps() {
//!             let numbers: Vec<f32> = (0..recorder.batch()).map(|_| data.normal() as f32).collect();
//!             let x = Tensor::from_slice(&numbers).view([-1, 1]).to_device(recorder.device());
//!             let y = &x * 3.0 + 1.0;
//!             trainer.step(recorder, step, &[("x", &x), ("y", &y)], || model.forward(&x).mse_loss(&y, Reduction::Mean))?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! fn main() {
//!     let report = audit::of(&Line, 20, 16, &Options::default());
//!     assert_eq!(report.verdict, Verdict::Identical, "{}", report.reason);
//! }
//! ```
//!
//! A program that uses this library needs libtorch at run time: put the folder `$LIBTORCH/lib` into `LD_LIBRARY_PATH`, or let
//! the program's own build script print `cargo:rustc-link-arg=-Wl,-rpath,` and that folder.
//!
//! The map, in reading order; a module uses only those above it:
//!
//! - [`error`]: every way we fail to judge; a divergence is a result, never an error
//! - [`number`]: floats that JSON can carry
//! - [`dtype`]: the element types of libtorch
//! - [`element`]: one element's bits, as a number and as a place in the order of numbers
//! - [`digest`]: the order-sensitive hash that stands for a tensor
//! - [`ffi`]: the only door to unsafe code
//! - [`seed`]: the one number, and the named streams derived from it
//! - [`knob`]: the table of everything outside a workload that can decide agreement
//! - [`spec`]: everything that decides one run
//! - [`device`]: knobs applied and read back, generators seeded
//! - [`fingerprint`]: the hardware and software stack, and what differs between two
//! - [`doctor`]: what works here, what is missing, how to get it
//! - [`summary`]: a tensor at a glance
//! - [`trace`]: the entries of one run, as a folder
//! - [`record`]: where a tensor becomes bytes, digest and summary
//! - [`train`]: one training step, recorded in a fixed order
//! - [`workload`]: training programs under test
//! - [`run`]: one run to a trace
//! - [`process`]: child processes, and the end of the whole tree
//! - [`child`]: the child's side of an audit
//! - [`evidence`]: files as keyed tensors
//! - [`tolerance`]: when two values count as the same
//! - [`rules`]: which names are compared and how closely, and the exceptions with their reasons
//! - [`difference`]: two tensors, element by element
//! - [`compare`]: two traces, entry by entry
//! - [`substance`]: whether there was anything to compare
//! - [`verdict`]: what a comparison amounts to, and exit codes
//! - [`claim`]: what agreement of N runs proves, and how many runs a claim needs
//! - [`recorder`]: what two runs did, op by op, and why they part
//! - [`report`]: all that a renderer may see, and the renderers
//! - [`diff`]: two files or folders into one verdict
//! - [`control`]: cases whose verdict is known beforehand
//! - [`gate`]: any command, several times, and what it wrote compared
//! - [`audit`]: the story of the main command

pub mod error;

pub mod number;

pub mod dtype;

pub mod element;

pub mod digest;

pub mod ffi;

pub mod seed;

pub mod knob;

pub mod spec;

#[cfg(feature = "torch")]
pub mod device;

pub mod fingerprint;

pub mod doctor;

pub mod summary;

pub mod trace;

#[cfg(feature = "torch")]
pub mod record;

#[cfg(feature = "torch")]
pub mod train;

#[cfg_attr(not(feature = "torch"), path = "workload_absent.rs")]
pub mod workload;

#[cfg(feature = "torch")]
pub mod run;

pub mod process;

#[cfg(feature = "torch")]
pub mod child;

pub mod evidence;

pub mod tolerance;

pub mod rules;

pub mod difference;

pub mod compare;

pub mod substance;

pub mod verdict;

pub mod claim;

pub mod recorder;

pub mod report;

pub mod diff;

pub mod control;

pub mod gate;

#[cfg(feature = "torch")]
pub mod audit;
