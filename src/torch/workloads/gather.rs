//! `gather`: a table of 100 numbers learned from a million noisy measurements that are looked up by index, Adam.
//!
//! The gradient of `table[index]` adds up 10,000 numbers for each row. With the mode `off` and two threads or more,
//! libtorch's CPU does that in float32 by atomic additions, in whatever order the threads arrive: hardly two runs agree.
//! With `strict` it adds in order. (Other dtypes are always added in order.) A real program, nothing in it is staged.

use tch::{Kind, Tensor, nn};

use crate::ffi::tch_failure;
use crate::record::Recorder;
use crate::trainer::{Rule, Trainer};
use crate::workload::Workload;
use crate::workloads::loss::wide;
use samebits::error::Result;

const ROWS: usize = 100;

/// The workload.
pub struct Gather;

impl Workload for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn train(&self, recorder: &mut Recorder) -> Result<()> {
        let data = Measurements::draw(recorder)?;
        let vs = nn::VarStore::new(recorder.device());
        let rows = i64::try_from(ROWS).unwrap_or(i64::MAX);
        let table = vs.root().var(
            "table",
            &[rows],
            nn::Init::Randn {
                mean: 0.0,
                stdev: 1.0,
            },
        );
        recorder.convert(&vs)?;
        let mut trainer = Trainer::new(&vs, Rule::Adam, 0.2)?;
        trainer.start(recorder)?;
        for step in recorder.steps() {
            let batch = [("index", &data.index), ("measured", &data.measured)];
            trainer.step(recorder, step, &batch, || {
                let found = table.index(&[Some(&data.index)]);
                (wide(&found) - wide(&data.measured)).square().mean(None)
            })?;
        }
        let error = (wide(&table) - wide(&data.truth))
            .square()
            .mean(Kind::Double)
            .sqrt();
        recorder.metric("table_error", error.double_value(&[]));
        Ok(())
    }
}

/// What is known: the same at every step, so that it is made once.
struct Measurements {
    /// The row that each measurement is of; int64.
    index: Tensor,
    /// What was measured.
    measured: Tensor,
    /// The table that was measured.
    truth: Tensor,
}

impl Measurements {
    fn draw(recorder: &Recorder) -> Result<Self> {
        let mut stream = recorder.stream("measurements");
        let truth: Vec<f64> = (0..ROWS).map(|_| stream.normal()).collect();
        let (index, measured): (Vec<i64>, Vec<f64>) = (0..recorder.batch())
            .map(|_| {
                let row = stream.below(ROWS as u64);
                let at = usize::try_from(row).unwrap_or(0);
                (row.cast_signed(), truth[at] + stream.uniform() - 0.5)
            })
            .unzip();
        let place = |tensor: Tensor| {
            tensor
                .f_to_device(recorder.device())
                .map_err(|e| tch_failure("making a batch", &e))
        };
        let kind = recorder.kind()?;
        Ok(Self {
            index: place(Tensor::from_slice(&index))?,
            measured: place(Tensor::from_slice(&measured).to_kind(kind))?,
            truth: place(Tensor::from_slice(&truth))?,
        })
    }
}
