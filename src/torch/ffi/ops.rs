//! The op recorder inside this process.

use std::ffi::{CString, c_char, c_int};

use samebits::error::{Error, Result};

unsafe extern "C" {
    fn samebits_record_start_with(order: *const c_char) -> c_int;
    fn samebits_record_step(step: u64);
    fn samebits_record_stop();
}

/// Records every op of this process while it lives.
#[derive(Debug)]
pub struct Ops(());

impl Ops {
    /// Begins as the order says, see `recorder::Order`.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn record(order: &str) -> Result<Self> {
        let order = CString::new(order).map_err(|_| {
            Error::Usage("the recorder's folder has a zero byte in its name".into())
        })?;
        // SAFETY: a C string that lives during the call; the function catches every exception.
        match unsafe { samebits_record_start_with(order.as_ptr()) } {
            0 => Ok(Self(())),
            _ => Err(Error::Usage(
                "the op recorder could not start; is its folder writable?".into(),
            )),
        }
    }
}

impl Drop for Ops {
    fn drop(&mut self) {
        // SAFETY: takes nothing; it does nothing where nothing is recorded.
        unsafe { samebits_record_stop() }
    }
}

/// Tells a recorder, if one runs, that a step begins.
pub fn begin_step(step: u64) {
    // SAFETY: a plain number; the function catches every exception.
    unsafe { samebits_record_step(step) }
}
