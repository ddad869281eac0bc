//! The table of knobs.

use super::{Accepts, Default, Knob, Moment};

const PRECISION: Accepts = Accepts::OneOf(&["none", "ieee", "tf32", "bf16"]);
const REDUCTION: Accepts = Accepts::OneOf(&["full", "split_k", "reduced"]);

const fn row(
    moment: Moment,
    name: &'static str,
    accepts: Accepts,
    default: Default,
    reason: &'static str,
) -> Knob {
    Knob {
        name,
        accepts,
        default,
        moment,
        reason,
    }
}

const fn env(name: &'static str, accepts: Accepts, default: Default, reason: &'static str) -> Knob {
    row(Moment::Launch, name, accepts, default, reason)
}

const fn program(
    name: &'static str,
    accepts: Accepts,
    default: Default,
    reason: &'static str,
) -> Knob {
    row(Moment::Program, name, accepts, default, reason)
}

const fn switch(
    name: &'static str,
    accepts: Accepts,
    default: Default,
    reason: &'static str,
) -> Knob {
    row(Moment::AnyTime, name, accepts, default, reason)
}

/// Every knob. Sources: the headers and binaries of libtorch 2.11, NVIDIA's and Intel's manuals.
#[rustfmt::skip]
pub const KNOBS: &[Knob] = &[
    env("CUBLAS_WORKSPACE_CONFIG", Accepts::Workspace, Default::Deterministic(":4096:8"),
        "the workspace decides which algorithm cuBLAS picks; read once, at the first matrix product"),
    env("CUDA_DEVICE_ORDER", Accepts::OneOf(&["PCI_BUS_ID", "FASTEST_FIRST"]), Default::Always("PCI_BUS_ID"),
        "cuda:0 must be the same GPU in every run"),
    env("CUDA_LAUNCH_BLOCKING", Accepts::OneOf(&["0", "1"]), Default::Leave,
        "1 hides races between kernels; a shake, not a fix"),
    env("NVIDIA_TF32_OVERRIDE", Accepts::OneOf(&["0"]), Default::Leave,
        "0 forces float32 inside NVIDIA's libraries, whatever the program asks for"),
    env("ATEN_CPU_CAPABILITY", Accepts::OneOf(&["default", "avx2", "avx512"]), Default::Leave,
        "the CPU instruction set decides the order of sums, and the bits of randn"),
    env("MKL_CBWR", Accepts::OneOf(&[ "AUTO", "COMPATIBLE", "SSE2", "SSE4_2", "AVX", "AVX2", "AVX2,STRICT", "AVX512", "AVX512,STRICT", ]), Default::Leave,
        "pins MKL to one code branch, for equal bits on different CPUs"),
    env("OMP_NUM_THREADS", Accepts::Count, Default::Threads,
        "sums on the CPU are split by threads, so their number decides the bits"),
    env("OMP_DYNAMIC", Accepts::OneOf(&["false", "FALSE"]), Default::Always("false"),
        "true lets OpenMP use fewer threads when the machine is busy"),
    env("OMP_WAIT_POLICY", Accepts::OneOf(&["passive", "PASSIVE", "active", "ACTIVE"]), Default::Leave,
        "no effect on bits; passive spares a busy machine threads that wait by spinning, and costs time on a quiet one"),
    env("MKL_NUM_THREADS", Accepts::Count, Default::Threads, "as OMP_NUM_THREADS, for MKL"),
    env("MKL_DYNAMIC", Accepts::OneOf(&["FALSE", "false"]), Default::Always("FALSE"), "as OMP_DYNAMIC, for MKL"),
    program("PYTHONHASHSEED", Accepts::Number, Default::Always("0"),
        "decides the order of Python's sets and of everything sorted by hash(); random unless set"),
    program("NCCL_ALGO", Accepts::OneOf(&["Ring", "Tree", "CollnetDirect", "CollnetChain", "NVLS", "NVLSTree", "PAT"]), Default::Leave,
        "the collective's algorithm decides the order of sums across GPUs; NCCL picks one by size and topology"),
    program("NCCL_PROTO", Accepts::OneOf(&["LL", "LL128", "Simple"]), Default::Leave,
        "as NCCL_ALGO, for the protocol"),
    program("FLASH_ATTENTION_DETERMINISTIC", Accepts::OneOf(&["0", "1"]), Default::Deterministic("1"),
        "the backward of flash-attention adds up in any order unless told not to"),
    program("NVTE_ALLOW_NONDETERMINISTIC_ALGO", Accepts::OneOf(&["0", "1"]), Default::Deterministic("0"),
        "Transformer Engine picks faster kernels that add up in any order unless told not to"),
    switch("deterministic_algorithms", Accepts::OneOf(&["off", "warn", "strict"]), Default::Mode,
        "use_deterministic_algorithms: which implementation an op uses, and what happens where there is none"),
    switch("fill_uninitialized_memory", Accepts::Bool, Default::Deterministic("true"),
        "fills empty tensors with NaN, so that reading one shows; costs time, acts only in modes warn and strict"),
    switch("cudnn.enabled", Accepts::Bool, Default::Leave,
        "convolutions and RNNs on GPUs by cuDNN or by libtorch itself"),
    switch("cudnn.deterministic", Accepts::Bool, Default::Deterministic("true"),
        "some of cuDNN's backward algorithms add up in any order"),
    switch("cudnn.benchmark", Accepts::Bool, Default::Always("false"),
        "true picks algorithms by timing them, so a busy GPU changes the bits"),
    switch("mkldnn.enabled", Accepts::Bool, Default::Leave, "convolutions on CPUs by oneDNN or by libtorch itself"),
    switch("fp32_precision.cuda.matmul", PRECISION, Default::Deterministic("ieee"),
        "TF32 drops 13 bits of every input"),
    switch("fp32_precision.cuda.conv", PRECISION, Default::Deterministic("ieee"),
        "libtorch's own default here is TF32"),
    switch("fp32_precision.cuda.rnn", PRECISION, Default::Deterministic("ieee"),
        "libtorch's own default here is TF32"),
    switch("fp32_precision.mkldnn.matmul", PRECISION, Default::Deterministic("ieee"),
        "oneDNN may compute in bfloat16"),
    switch("fp32_precision.mkldnn.conv", PRECISION, Default::Deterministic("ieee"), "oneDNN may compute in bfloat16"),
    switch("fp32_precision.mkldnn.rnn", PRECISION, Default::Deterministic("ieee"), "oneDNN may compute in bfloat16"),
    switch("fp16_reduction", REDUCTION, Default::Deterministic("full"),
        "cuBLAS may split float16 sums and round in between"),
    switch("bf16_reduction", REDUCTION, Default::Deterministic("full"),
        "cuBLAS may split bfloat16 sums and round in between"),
    switch("fp16_accumulation", Accepts::Bool, Default::Always("false"), "float16 sums kept in float16"),
    switch("sdp.flash", Accepts::Bool, Default::Leave, "which attention kernel may be used"),
    switch("sdp.mem_efficient", Accepts::Bool, Default::Leave, "which attention kernel may be used"),
    switch("sdp.math", Accepts::Bool, Default::Leave, "which attention kernel may be used"),
    switch("sdp.cudnn", Accepts::Bool, Default::Leave, "which attention kernel may be used"),
    switch("sdp.math_reduced", Accepts::Bool, Default::Always("false"),
        "attention in half precision rounds in between"),
    switch("threads.intraop", Accepts::Count, Default::Threads,
        "sums on the CPU are split by threads, so their number decides the bits"),
    switch("threads.interop", Accepts::Count, Default::Always("1"), "ops run side by side may finish in any order"),
    switch("jit.profiling", Accepts::Bool, Default::Always("false"),
        "TorchScript's first call runs unfused and its second fused, with other bits"),
    switch("jit.optimize", Accepts::Bool, Default::Always("false"), "TorchScript may fuse ops, with other bits"),
];
