//! The losses by name. Not: the training loop (`train`).
//!
//! All of them compute in float32 at least: in half precision the mean over a batch would lose most of its digits.

use tch::{Kind, Reduction, TchError, Tensor};

use crate::ffi::tch_failure;
use samebits::error::{Error, Result};

/// What a loss wants for a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// Numbers of classes, one axis fewer than the output; or, where the flag is set, their probabilities.
    Classes { or_probabilities: bool },
    /// Numbers in the shape of the output.
    Numbers,
}

/// A loss between a model's output and a target, averaged over all elements.
#[derive(Debug)]
pub struct Loss {
    /// Its name, as `--loss` takes it.
    pub name: &'static str,
    target: Target,
    compute: fn(&Tensor, &Tensor) -> std::result::Result<Tensor, TchError>,
}

/// No weights for classes or elements.
const NONE: Option<Tensor> = None;
const MEAN: Reduction = Reduction::Mean;
/// torch's default: the class that means "no class here".
const IGNORED: i64 = -100;
const CLASSES: Target = Target::Classes {
    or_probabilities: false,
};
const CLASSES_OR_PROBABILITIES: Target = Target::Classes {
    or_probabilities: true,
};

/// Every loss, named as in `torch.nn.functional`, with torch's defaults.
pub const LOSSES: &[Loss] = &[
    Loss {
        name: "cross_entropy",
        target: CLASSES_OR_PROBABILITIES,
        compute: |x, y| x.f_cross_entropy_loss(y, NONE, MEAN, IGNORED, 0.0),
    },
    Loss {
        name: "nll",
        target: CLASSES,
        compute: |x, y| x.f_nll_loss_nd(y, NONE, MEAN, IGNORED),
    },
    Loss {
        name: "bce_with_logits",
        target: Target::Numbers,
        compute: |x, y| x.f_binary_cross_entropy_with_logits(y, NONE, NONE, MEAN),
    },
    Loss {
        name: "bce",
        target: Target::Numbers,
        compute: |x, y| x.f_binary_cross_entropy(y, NONE, MEAN),
    },
    Loss {
        name: "mse",
        target: Target::Numbers,
        compute: |x, y| x.f_mse_loss(y, MEAN),
    },
    Loss {
        name: "l1",
        target: Target::Numbers,
        compute: |x, y| x.f_l1_loss(y, MEAN),
    },
    Loss {
        name: "smooth_l1",
        target: Target::Numbers,
        compute: |x, y| x.f_smooth_l1_loss(y, MEAN, 1.0),
    },
    Loss {
        name: "huber",
        target: Target::Numbers,
        compute: |x, y| x.f_huber_loss(y, MEAN, 1.0),
    },
];

impl Loss {
    /// The loss called `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(name: &str) -> Result<&'static Self> {
        LOSSES
            .iter()
            .find(|loss| loss.name == name)
            .ok_or_else(|| Error::Usage(format!("--loss {name}: one of {} expected", names())))
    }

    /// The loss, one number, of `output` against `target`.
    ///
    /// # Errors
    /// When the shapes or types do not fit together. Some losses would stretch a small target over a large output, which
    /// is seldom what was meant, so that is an error too.
    pub fn of(&self, output: &Tensor, target: &Tensor) -> Result<Tensor> {
        let whole = !target.is_floating_point();
        let (x, y) = match self.target {
            Target::Classes { .. } if whole => (wide(output), target.to_kind(Kind::Int64)),
            Target::Classes {
                or_probabilities: false,
            } => {
                let what = format!(
                    "--loss {}: the target must hold the numbers of classes as integers, but is {:?}",
                    self.name,
                    target.kind()
                );
                return Err(Error::Usage(what));
            }
            _ => {
                let x = wide(output);
                let y = target.to_kind(x.kind());
                (x, y)
            }
        };
        let alike = whole && self.target != Target::Numbers;
        if !alike && x.size() != y.size() {
            let what = format!(
                "--loss {}: the model's output is {:?}, but the target is {:?}",
                self.name,
                x.size(),
                y.size()
            );
            return Err(Error::Usage(what));
        }
        (self.compute)(&x, &y)
            .map_err(|e| tch_failure(&format!("computing the loss {}", self.name), &e))
    }
}

/// The names of all losses, as one phrase.
#[must_use]
pub fn names() -> String {
    LOSSES
        .iter()
        .map(|loss| loss.name)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Mean cross entropy of `logits`, shaped `[…, classes]`, against the classes `target`, shaped `[…]`.
pub fn cross_entropy(logits: &Tensor, target: &Tensor) -> Tensor {
    let rows = wide(logits).flatten(0, -2);
    rows.cross_entropy_loss(&target.flatten(0, -1), NONE, MEAN, IGNORED, 0.0)
}

/// `x` in float32, or as it is where it is float64.
pub fn wide(x: &Tensor) -> Tensor {
    match x.kind() {
        Kind::Double => x.shallow_clone(),
        _ => x.to_kind(Kind::Float),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loss_computes_in_float32_and_grows_with_the_error() {
        for loss in LOSSES {
            let (near, far, target) = match loss.target {
                Target::Classes { .. } => (
                    [[-0.1f32, -3.0]],
                    [[-3.0f32, -0.1]],
                    Tensor::from_slice(&[0i64]),
                ),
                Target::Numbers => (
                    [[0.9f32, 0.1]],
                    [[0.1f32, 0.9]],
                    Tensor::from_slice2(&[[1i64, 0]]),
                ),
            };
            let of = |x: [[f32; 2]; 1]| {
                let x = Tensor::from_slice2(&x).to_kind(Kind::BFloat16);
                let value = loss.of(&x, &target).unwrap();
                assert_eq!(value.kind(), Kind::Float, "{}", loss.name);
                value.double_value(&[])
            };
            assert!(of(near) < of(far), "{}", loss.name);
        }
    }

    #[test]
    fn a_target_that_does_not_fit_and_an_unknown_name_are_refused() {
        let x = Tensor::from_slice2(&[[0.5f32, 0.5]]);
        for (name, target) in [
            ("mse", Tensor::from_slice(&[1f32])),
            ("nll", Tensor::from_slice2(&[[1f32, 0.0]])),
            ("cross_entropy", Tensor::from_slice(&[1f32])),
            ("cross_entropy", Tensor::from_slice(&[1i64, 1])),
        ] {
            assert!(Loss::find(name).unwrap().of(&x, &target).is_err(), "{name}");
        }
        let message = Loss::find("crossentropy").unwrap_err().to_string();
        assert!(message.contains("huber"), "{message}");
    }
}
