//! What several test files need.

use std::path::Path;

use samebits::dtype::Dtype;
use samebits::fingerprint::Fingerprint;
use samebits::knob::{Mode, Plan};
use samebits::number::Number;
use samebits::spec::{Capture, Inputs, Spec};
use samebits::trace::Ending;

/// The ending of a trace made by hand.
pub fn ending(out: &Path, loss: f64) -> Ending {
    let spec = Spec {
        recorder: None,
        workload: "test".into(),
        seed: 0,
        steps: 2,
        batch: 1,
        dtype: Dtype::Float32,
        device: "cpu".into(),
        threads: 1,
        mode: Mode::Off,
        plan: Plan::default(),
        inputs: Inputs::default(),
        capture: Capture::Values,
        inject: None,
        out: out.to_path_buf(),
    };
    Ending {
        spec,
        settings: Vec::new(),
        fingerprint: Fingerprint::default(),
        metrics: [("loss".into(), Number(loss))].into(),
        warnings: Vec::new(),
    }
}
