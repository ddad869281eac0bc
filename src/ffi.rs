//! The only door to unsafe code: libtorch through the shim, the NVIDIA driver through NVML, memory maps.
//! No domain words and no policy here. A part that this build leaves out has a twin with the same functions.
#![allow(unsafe_code)]

pub mod map;
#[cfg_attr(not(feature = "nvml"), path = "ffi/nvml_absent.rs")]
pub mod nvml;
#[cfg_attr(not(feature = "torch"), path = "ffi/torch_absent.rs")]
pub mod torch;
