//! `TorchScript` modules.

use std::ffi::{c_int, c_void};
use std::path::Path;
use std::ptr::{null, null_mut};

use tch::Tensor;
use torch_sys::C_tensor;

use super::{Text, c_string, checked, owned, text};
use samebits::dtype::Dtype;
use samebits::error::Result;

unsafe extern "C" {
    fn sb_script_load(path: Text, device: i64, dtype: c_int, script: *mut *mut c_void) -> c_int;
    fn sb_script_free(script: *mut c_void);
    fn sb_script_forward(
        script: *mut c_void,
        inputs: *const *const C_tensor,
        count: i64,
        output: *mut *mut C_tensor,
    ) -> c_int;
    fn sb_script_tensor(
        script: *mut c_void,
        kind: c_int,
        index: i64,
        name: *mut Text,
        tensor: *mut *mut C_tensor,
    ) -> c_int;
}

/// A `TorchScript` module in training mode.
#[derive(Debug)]
pub struct Script(*mut c_void);

impl Script {
    /// Loads a module saved by `torch.jit.save`; `dtype` converts its floating-point tensors.
    ///
    /// # Errors
    /// When the file is not such a module.
    pub fn load(path: &Path, device: Option<i64>, dtype: Option<Dtype>) -> Result<Self> {
        let name = c_string(&path.to_string_lossy())?;
        let mut pointer = null_mut();
        // SAFETY: a C string that outlives the call, and a live variable.
        checked(&format!("loading {}", path.display()), unsafe {
            sb_script_load(
                name.as_ptr(),
                device.unwrap_or(-1),
                dtype.map_or(-1, Dtype::code),
                &raw mut pointer,
            )
        })?;
        Ok(Self(pointer))
    }

    /// Calls `forward`; of a tuple, the first element is the result.
    ///
    /// # Errors
    /// When the inputs do not fit the module.
    pub fn forward(&self, inputs: &[Tensor]) -> Result<Tensor> {
        let pointers: Vec<_> = inputs.iter().map(Tensor::as_ptr).collect();
        let mut output = null_mut();
        let count = i64::try_from(pointers.len()).unwrap_or(0);
        // SAFETY: live tensors and a live variable.
        checked("running the model", unsafe {
            sb_script_forward(self.0, pointers.as_ptr().cast(), count, &raw mut output)
        })?;
        Ok(owned(output))
    }

    /// Its parameters, by name.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn parameters(&self) -> Result<Vec<(String, Tensor)>> {
        self.tensors(0)
    }

    /// Its buffers, running statistics for example, by name.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn buffers(&self) -> Result<Vec<(String, Tensor)>> {
        self.tensors(1)
    }

    fn tensors(&self, kind: c_int) -> Result<Vec<(String, Tensor)>> {
        let mut tensors = Vec::new();
        loop {
            let (mut name, mut tensor) = (null(), null_mut());
            let index = i64::try_from(tensors.len()).unwrap_or(0);
            // SAFETY: the pointer is ours until drop; live variables.
            checked("listing the model's tensors", unsafe {
                sb_script_tensor(self.0, kind, index, &raw mut name, &raw mut tensor)
            })?;
            if name.is_null() {
                return Ok(tensors);
            }
            tensors.push((text(name), owned(tensor)));
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // SAFETY: made by sb_script_load, freed once.
        unsafe { sb_script_free(self.0) }
    }
}
