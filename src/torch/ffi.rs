//! The only door to unsafe code here: safe functions over the shim (`ffi/shim.cpp`): libtorch's switches, generators, optimisers and `TorchScript` modules,
//! and the logical bytes of tensors. Not: which value of a switch is right.
#![allow(unsafe_code)]

mod ops;
mod optimizer;
mod script;

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use tch::Tensor;
use torch_sys::C_tensor;

use samebits::digest::Lanes;
use samebits::dtype::Dtype;
use samebits::error::{Error, Result};

pub use ops::{Ops, begin_step};
pub use optimizer::{RawOptimizer, Rule};
pub use script::Script;

type Text = *const c_char;

unsafe extern "C" {
    fn sb_error() -> Text;
    fn sb_wake_cuda(state: *mut c_int, reason: *mut Text) -> c_int;
    fn sb_knob_set(name: Text, value: Text) -> c_int;
    fn sb_knob_get(name: Text, value: *mut Text) -> c_int;
    fn sb_precision_ieee() -> c_int;
    fn sb_facts(facts: *mut Text) -> c_int;
    fn sb_cuda_devices(count: *mut i64) -> c_int;
    fn sb_cuda_synchronize(device: i64) -> c_int;
    fn sb_on_all_threads(work: extern "C" fn(*mut c_void), context: *mut c_void) -> c_int;
    fn sb_manual_seed(seed: u64) -> c_int;
    fn sb_generator_seed(device: i64, seed: *mut u64) -> c_int;
    fn sb_generator_state(device: i64, state: *mut *mut C_tensor) -> c_int;
    fn sb_generator_set_state(device: i64, state: *const C_tensor) -> c_int;
    fn sb_describe(
        tensor: *const C_tensor,
        dtype: *mut c_int,
        dimensions: *mut i64,
        sizes: *mut i64,
        bytes: *mut i64,
        device: *mut i64,
    ) -> c_int;
    fn sb_logical_cpu(
        tensor: *const C_tensor,
        result: *mut *mut C_tensor,
        data: *mut *const u8,
    ) -> c_int;
    fn sb_digest(tensor: *const C_tensor, result: *mut *mut C_tensor) -> c_int;
    fn sb_flip_bit(tensor: *const C_tensor, index: i64, bit: c_int) -> c_int;
    fn sb_warnings_collect() -> c_int;
    fn sb_warnings_take(lines: *mut Text) -> c_int;
}

/// Every call into the shim passes through here: a code other than 0 becomes an error that says what was being done.
fn checked(doing: &str, code: c_int) -> Result<()> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: sb_error returns a C string that lives until the next call on this thread.
    let message = text(unsafe { sb_error() });
    Err(failure(doing, &message))
}

/// libtorch's message as an error: refusals of nondeterministic ops apart from everything else.
#[must_use]
pub fn failure(doing: &str, message: &str) -> Error {
    // TorchScript says only on its last lines, after a traceback, what went wrong.
    let script = message
        .lines()
        .find_map(|line| line.strip_prefix("RuntimeError: "));
    let first = script.or(message.lines().next()).unwrap_or_default();
    Error::refusal(message).unwrap_or_else(|| Error::Torch {
        doing: doing.to_owned(),
        message: first.to_owned(),
    })
}

/// A failed call of tch's own, as an error of ours.
#[must_use]
pub fn tch_failure(doing: &str, error: &tch::TchError) -> Error {
    failure(doing, &error.to_string())
}

fn text(pointer: Text) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: the shim hands out C strings that live until its next call on this thread; this copies at once.
    unsafe { CStr::from_ptr(pointer) }
        .to_string_lossy()
        .into_owned()
}

fn c_string(value: &str) -> Result<CString> {
    CString::new(value).map_err(|_| Error::Usage(format!("{value:?} holds a zero byte")))
}

/// Takes over a tensor that the shim made.
fn owned(pointer: *mut C_tensor) -> Tensor {
    // SAFETY: the shim returned 0, so the pointer is a fresh at::Tensor that nobody else frees.
    unsafe { Tensor::from_ptr(pointer) }
}

/// What became of the attempt to load libtorch's CUDA half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cuda {
    /// Loaded; whether there is a GPU is another question.
    Loaded,
    /// This libtorch is built for CPUs only.
    Absent(String),
    /// There, but the dynamic linker refused it, for this reason.
    Failed(String),
}

/// Loads libtorch's CUDA half, once. Must come before anything else asks libtorch about CUDA, because libtorch remembers
/// its first answer for the life of the process.
pub fn wake_cuda() -> &'static Cuda {
    static STATE: std::sync::OnceLock<Cuda> = std::sync::OnceLock::new();
    STATE.get_or_init(|| {
        let (mut state, mut reason) = (0, null());
        // SAFETY: both pointers are to live variables.
        match checked("loading libtorch_cuda.so", unsafe {
            sb_wake_cuda(&raw mut state, &raw mut reason)
        }) {
            Err(error) => Cuda::Failed(error.to_string()),
            Ok(()) => match state {
                1 => Cuda::Loaded,
                0 => Cuda::Absent(text(reason)),
                _ => Cuda::Failed(text(reason)),
            },
        }
    })
}

/// Sets one of libtorch's switches by its name in the knob table.
///
/// # Errors
/// When libtorch knows no such switch or refuses the value.
pub fn set_knob(name: &str, value: &str) -> Result<()> {
    let (c_name, c_value) = (c_string(name)?, c_string(value)?);
    // SAFETY: both are C strings that outlive the call.
    checked(&format!("setting {name}={value}"), unsafe {
        sb_knob_set(c_name.as_ptr(), c_value.as_ptr())
    })
}

/// Reads back one of libtorch's switches.
///
/// # Errors
/// When libtorch knows no such switch.
pub fn knob(name: &str) -> Result<String> {
    let c_name = c_string(name)?;
    let mut value = null();
    // SAFETY: a C string that outlives the call, and a live variable.
    checked(&format!("reading {name}"), unsafe {
        sb_knob_get(c_name.as_ptr(), &raw mut value)
    })?;
    Ok(text(value))
}

/// Puts libtorch's older TF32 switches on IEEE precision. The newer `fp32_precision.*` knobs come after it: their older
/// getters throw when the two disagree.
///
/// # Errors
/// When libtorch refuses.
pub fn set_legacy_precision_ieee() -> Result<()> {
    // SAFETY: no arguments.
    checked("switching TF32 off", unsafe { sb_precision_ieee() })
}

/// libtorch's versions and build, by name; `Err` holds the reason why one cannot be had.
///
/// # Errors
/// When libtorch cannot be asked at all.
pub fn facts() -> Result<Vec<(String, std::result::Result<String, String>)>> {
    wake_cuda();
    let mut lines = null();
    // SAFETY: a live variable.
    checked("asking for versions", unsafe { sb_facts(&raw mut lines) })?;
    Ok(text(lines)
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, value)| {
            let value = value.replace("\\n", "\n").replace("\\\\", "\\");
            let value = match value.strip_prefix('!') {
                Some(reason) => Err(reason.lines().next().unwrap_or_default().to_owned()),
                None => Ok(value),
            };
            (name.to_owned(), value)
        })
        .collect())
}

/// How many CUDA devices libtorch sees.
///
/// # Errors
/// When libtorch cannot be asked.
pub fn cuda_devices() -> Result<i64> {
    wake_cuda();
    let mut count = 0;
    // SAFETY: a live variable.
    checked("counting CUDA devices", unsafe {
        sb_cuda_devices(&raw mut count)
    })?;
    Ok(count)
}

/// Waits until a CUDA device has done everything asked of it.
///
/// # Errors
/// When a kernel failed meanwhile.
pub fn synchronize(device: i64) -> Result<()> {
    // SAFETY: no pointers.
    checked("waiting for the GPU", unsafe {
        sb_cuda_synchronize(device)
    })
}

/// `[work(0), work(1), …, work(count - 1)]`, on libtorch's own threads. Between ops these wait by spinning: other threads
/// would have to fight them for the cores.
///
/// # Errors
/// When libtorch cannot start its threads, or `work` panics.
pub fn on_all_threads<T: Send + Sync>(
    count: usize,
    work: impl Fn(usize) -> T + Sync,
) -> Result<Vec<T>> {
    let results: Vec<OnceLock<T>> = (0..count).map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let take_turns = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(result) = results.get(index) else {
                break;
            };
            // Each index is handed out once, so nothing is there yet.
            let _ = result.set(work(index));
        }
    };
    run_on_all_threads(&take_turns)?;
    let results: Option<Vec<T>> = results.into_iter().map(OnceLock::into_inner).collect();
    results.ok_or_else(|| {
        failure(
            "digesting tensors",
            "a thread of libtorch's did not finish its part",
        )
    })
}

fn run_on_all_threads<F: Fn() + Sync>(work: &F) -> Result<()> {
    extern "C" fn call<F: Fn() + Sync>(context: *mut c_void) {
        // SAFETY: the context is the `&F` below, which outlives the call; F may be shared between threads.
        let work = unsafe { &*context.cast::<F>() };
        // A panic must not unwind through C++; what it left undone is noticed by the caller.
        let _ = catch_unwind(AssertUnwindSafe(work));
    }
    let context = std::ptr::from_ref(work).cast_mut().cast();
    // SAFETY: `call` knows the type behind the context; libtorch returns when every call has ended.
    checked("using libtorch's threads", unsafe {
        sb_on_all_threads(call::<F>, context)
    })
}

/// A generator of libtorch's own: `None` is the CPU's, `Some(i)` that of CUDA device i.
pub type Generator = Option<i64>;

fn device_number(generator: Generator) -> i64 {
    generator.unwrap_or(-1)
}

/// Seeds the CPU's generator and that of every CUDA device.
///
/// # Errors
/// When libtorch refuses.
pub fn manual_seed(seed: u64) -> Result<()> {
    // SAFETY: no pointers.
    checked("seeding", unsafe { sb_manual_seed(seed) })
}

/// The seed a generator was given last.
///
/// # Errors
/// When there is no such device.
pub fn generator_seed(generator: Generator) -> Result<u64> {
    let mut seed = 0;
    // SAFETY: a live variable.
    checked("reading a seed back", unsafe {
        sb_generator_seed(device_number(generator), &raw mut seed)
    })?;
    Ok(seed)
}

/// A generator's whole state, as bytes on the CPU.
///
/// # Errors
/// When there is no such device, or a CUDA graph is being captured.
pub fn generator_state(generator: Generator) -> Result<Tensor> {
    let mut state = null_mut();
    // SAFETY: a live variable.
    checked("reading a generator's state", unsafe {
        sb_generator_state(device_number(generator), &raw mut state)
    })?;
    Ok(owned(state))
}

/// Puts a generator back into a state that [`generator_state`] returned.
///
/// # Errors
/// When the state is not one of this generator's.
pub fn set_generator_state(generator: Generator, state: &Tensor) -> Result<()> {
    // SAFETY: a live tensor.
    checked("setting a generator's state", unsafe {
        sb_generator_set_state(device_number(generator), state.as_ptr())
    })
}

/// A tensor's outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Type of its elements.
    pub dtype: Dtype,
    /// Sizes, outermost first.
    pub shape: Vec<u64>,
    /// Length of its logical content, in bytes.
    pub bytes: u64,
    /// `None` on the CPU, the index of the CUDA device otherwise.
    pub device: Option<i64>,
}

/// Describes a tensor of any dtype; tch panics on those it does not know.
///
/// # Errors
/// When the tensor is undefined or of a dtype that samebits does not know.
pub fn describe(tensor: &Tensor) -> Result<Description> {
    let (mut dtype, mut dimensions, mut bytes, mut device) = (0, 0, 0, 0);
    let mut sizes = [0i64; 64];
    // SAFETY: a live tensor and live variables; `sizes` has the 64 places that the shim may fill.
    checked("describing a tensor", unsafe {
        sb_describe(
            tensor.as_ptr(),
            &raw mut dtype,
            &raw mut dimensions,
            sizes.as_mut_ptr(),
            &raw mut bytes,
            &raw mut device,
        )
    })?;
    let dtype = Dtype::from_code(dtype).ok_or_else(|| {
        failure(
            "describing a tensor",
            &format!("element type number {dtype} is not supported"),
        )
    })?;
    let shape = sizes
        .iter()
        .take(usize::try_from(dimensions).unwrap_or(0))
        .map(|size| size.unsigned_abs())
        .collect();
    Ok(Description {
        dtype,
        shape,
        bytes: bytes.unsigned_abs(),
        device: (device >= 0).then_some(device),
    })
}

/// A tensor's logical row-major content on the CPU. Shares storage with the tensor where it can, so it shows what is done
/// to the tensor later.
#[derive(Debug)]
pub struct Logical {
    /// Keeps the bytes alive.
    _keeper: Tensor,
    data: *const u8,
    length: usize,
}

impl Logical {
    /// Reads a tensor: conjugation and negation resolved, quantised types as their integers, sparse ones dense, GPU
    /// tensors copied to the CPU.
    ///
    /// # Errors
    /// When the layout cannot be read.
    pub fn of(tensor: &Tensor) -> Result<Self> {
        Self::described(tensor, &describe(tensor)?)
    }

    /// The same for a tensor that [`describe`] has described.
    ///
    /// # Errors
    /// When the layout cannot be read.
    pub fn described(tensor: &Tensor, description: &Description) -> Result<Self> {
        let length = usize::try_from(description.bytes).unwrap_or(usize::MAX);
        let (mut result, mut data) = (null_mut(), null());
        // SAFETY: a live tensor and live variables.
        checked("reading a tensor", unsafe {
            sb_logical_cpu(tensor.as_ptr(), &raw mut result, &raw mut data)
        })?;
        Ok(Self {
            _keeper: owned(result),
            data,
            length,
        })
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        if self.length == 0 {
            return &[];
        }
        // SAFETY: the shim made the tensor contiguous on the CPU, so its content is `length` bytes at `data`, and the
        // keeper lives as long as the slice. Whoever holds the slice must not run tensor operations on the tensor
        // meanwhile; the recorder, which alone does, digests the bytes and drops them before it returns.
        unsafe { std::slice::from_raw_parts(self.data, self.length) }
    }
}

/// The sums of a digest, computed by tensor operations on the tensor's own device: an int64 tensor of two numbers.
///
/// # Errors
/// When the layout cannot be read.
pub fn lanes_on_device(tensor: &Tensor) -> Result<Tensor> {
    let mut result = null_mut();
    // SAFETY: a live tensor and a live variable.
    checked("digesting a tensor", unsafe {
        sb_digest(tensor.as_ptr(), &raw mut result)
    })?;
    Ok(owned(result))
}

/// Turns the two numbers of [`lanes_on_device`], by now on the CPU, into sums.
#[must_use]
pub fn lanes_from(numbers: [i64; 2]) -> Lanes {
    Lanes {
        sum: numbers[0].cast_unsigned(),
        weighted: numbers[1].cast_unsigned(),
    }
}

/// Flips one bit of one element, in the tensor's own storage. `index` counts elements in row-major order.
///
/// # Errors
/// When there is no such element or bit.
pub fn flip_bit(tensor: &Tensor, index: u64, bit: u32) -> Result<()> {
    let index = i64::try_from(index).unwrap_or(i64::MAX);
    let bit = c_int::try_from(bit).unwrap_or(c_int::MAX);
    // SAFETY: a live tensor.
    checked("flipping a bit", unsafe {
        sb_flip_bit(tensor.as_ptr(), index, bit)
    })
}

/// From now on keeps libtorch's warnings of this thread instead of printing them.
///
/// # Errors
/// When libtorch refuses.
pub fn collect_warnings() -> Result<()> {
    // SAFETY: no arguments.
    checked("collecting warnings", unsafe { sb_warnings_collect() })
}

/// The warnings since the last call.
///
/// # Errors
/// When libtorch refuses.
pub fn take_warnings() -> Result<Vec<String>> {
    let mut lines = null();
    // SAFETY: a live variable.
    checked("taking warnings", unsafe {
        sb_warnings_take(&raw mut lines)
    })?;
    Ok(text(lines).lines().map(str::to_owned).collect())
}
