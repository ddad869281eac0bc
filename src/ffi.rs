//! The only door to unsafe code: the NVIDIA driver through NVML, memory maps.
//! No domain words and no policy here.
#![allow(unsafe_code)]

pub mod map;
pub mod nvml;
