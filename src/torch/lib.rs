//! What trains: the only part of samebits that links libtorch. A [`Workload`] hands its tensors to a [`Recorder`], most simply
//! through a [`Trainer`], and [`audit()`] runs it in fresh processes and compares everything it recorded:
//!
//! ```standalone_crate
//! use samebits::audit::Options;
//! use samebits::verdict::Verdict;
//! use samebits_torch::{Recorder, Rule, Trainer, Workload, audit};
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
//!     let report = audit(&Line, 20, 16, &Options::default());
//!     assert_eq!(report.verdict, Verdict::Identical, "{}", report.reason);
//! }
//! ```
//!
//! A program that uses this library needs libtorch at run time: put the folder `$LIBTORCH/lib` into `LD_LIBRARY_PATH`, or let
//! the program's own build script print `cargo:rustc-link-arg=-Wl,-rpath,` and that folder.
//!
//! The program of this crate trains the built-in workloads; `samebits` starts it. A file uses only those above it here.

pub mod ffi;

pub mod facts;

pub mod device;

pub mod record;

pub mod trainer;

pub mod workload;

pub mod workloads;

pub mod run;

pub mod serve;

mod audit;

pub use audit::audit;
pub use record::Recorder;
pub use trainer::{Rule, Trainer};
pub use workload::Workload;
