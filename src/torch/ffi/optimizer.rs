//! libtorch's optimisers, with their state in the open.

use std::ffi::{c_int, c_void};
use std::ptr::{null, null_mut};

use tch::Tensor;
use torch_sys::C_tensor;

use super::{Text, checked, owned, text};
use samebits::error::Result;

unsafe extern "C" {
    fn sb_optimizer_new(
        kind: c_int,
        lr: f64,
        momentum: f64,
        weight_decay: f64,
        eps: f64,
        parameters: *const *const C_tensor,
        count: i64,
        optimizer: *mut *mut c_void,
    ) -> c_int;
    fn sb_optimizer_free(optimizer: *mut c_void);
    fn sb_optimizer_zero_grad(optimizer: *mut c_void) -> c_int;
    fn sb_optimizer_step(optimizer: *mut c_void) -> c_int;
    fn sb_optimizer_state(
        optimizer: *mut c_void,
        parameter: i64,
        slot: c_int,
        name: *mut Text,
        tensor: *mut *mut C_tensor,
    ) -> c_int;
}

/// Which optimiser, with what it needs besides a learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// Stochastic gradient descent with momentum.
    Sgd {
        /// Momentum, 0 for none.
        momentum: f64,
    },
    /// Adam with torch's default betas and eps; in float16 with a greater eps.
    Adam,
    /// `AdamW` with torch's default betas and eps; in float16 with a greater eps.
    AdamW {
        /// Decoupled weight decay.
        weight_decay: f64,
    },
}

/// One of libtorch's optimisers. tch's own keeps its state to itself; this one hands it out.
#[derive(Debug)]
pub struct RawOptimizer {
    pointer: *mut c_void,
    parameters: usize,
}

impl RawOptimizer {
    /// An optimiser of `parameters`, which keep this order.
    ///
    /// # Errors
    /// When libtorch refuses the parameters.
    pub fn new(rule: Rule, lr: f64, parameters: &[Tensor]) -> Result<Self> {
        let (kind, momentum, weight_decay) = match rule {
            Rule::Sgd { momentum } => (0, momentum, 0.0),
            Rule::Adam => (1, 0.0, 0.0),
            Rule::AdamW { weight_decay } => (2, 0.0, weight_decay),
        };
        // float16 holds nothing below 6e-8: neither torch's eps of 1e-8 nor the squares of gradients below 5e-3, so that
        // Adam would divide by zero. This eps takes the place of those squares.
        let half = parameters
            .iter()
            .any(|parameter| parameter.kind() == tch::Kind::Half);
        let eps = if half { 1.0 / 256.0 } else { 1e-8 };
        let pointers: Vec<_> = parameters.iter().map(Tensor::as_ptr).collect();
        let mut pointer = null_mut();
        // SAFETY: the pointers are of live tensors; libtorch keeps its own references to them.
        checked("making an optimiser", unsafe {
            sb_optimizer_new(
                kind,
                lr,
                momentum,
                weight_decay,
                eps,
                pointers.as_ptr().cast(),
                i64::try_from(pointers.len()).unwrap_or(0),
                &raw mut pointer,
            )
        })?;
        Ok(Self {
            pointer,
            parameters: parameters.len(),
        })
    }

    /// Forgets all gradients.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn zero_grad(&mut self) -> Result<()> {
        // SAFETY: the pointer is ours until drop.
        checked("forgetting gradients", unsafe {
            sb_optimizer_zero_grad(self.pointer)
        })
    }

    /// Changes the parameters by their gradients.
    ///
    /// # Errors
    /// When libtorch refuses an op.
    pub fn step(&mut self) -> Result<()> {
        // SAFETY: the pointer is ours until drop.
        checked("updating parameters", unsafe {
            sb_optimizer_step(self.pointer)
        })
    }

    /// The state kept for parameter number `parameter`: names and tensors, in a fixed order. Empty before the first step.
    ///
    /// # Errors
    /// When there is no such parameter.
    pub fn state(&self, parameter: usize) -> Result<Vec<(String, Tensor)>> {
        let mut slots = Vec::new();
        let parameter = i64::try_from(parameter.min(self.parameters)).unwrap_or(0);
        loop {
            let (mut name, mut tensor) = (null(), null_mut());
            let slot = c_int::try_from(slots.len()).unwrap_or(0);
            // SAFETY: the pointer is ours until drop; live variables.
            checked("reading optimiser state", unsafe {
                sb_optimizer_state(
                    self.pointer,
                    parameter,
                    slot,
                    &raw mut name,
                    &raw mut tensor,
                )
            })?;
            if name.is_null() {
                return Ok(slots);
            }
            slots.push((text(name), owned(tensor)));
        }
    }
}

impl Drop for RawOptimizer {
    fn drop(&mut self) {
        // SAFETY: made by sb_optimizer_new, freed once.
        unsafe { sb_optimizer_free(self.pointer) }
    }
}
