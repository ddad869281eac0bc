//! The environment variables that can decide agreement: one table, each row with its reason. Only these are ever
//! recorded; the rest of the environment, with whatever secrets it holds, is not looked at.

use std::ffi::OsString;

use super::policy::Relevance::{Bits, Evidence, Identity, Timing};
use super::policy::{self, Rule};
use super::{Fact, Facts};

/// The table; `*` stands for anything, and the first row that fits counts. Sources: names found in libtorch 2.11's
/// binaries; NVIDIA's cuBLAS, cuDNN and NCCL manuals; oneMKL's and oneDNN's developer guides.
#[rustfmt::skip]
pub const VARIABLES: &[Rule] = &[
    Rule::new("CUBLAS_WORKSPACE_CONFIG", Bits, "size of cuBLAS's workspace, by which it chooses algorithms"),
    Rule::new("CUBLASLT_WORKSPACE_SIZE", Bits, "size of cuBLASLt's workspace, by which it chooses algorithms"),
    Rule::new("TORCH_CUBLASLT_UNIFIED_WORKSPACE", Bits, "shares the workspace of cuBLAS with cuBLASLt"),
    Rule::new("DISABLE_ADDMM_CUDA_LT", Bits, "takes cuBLAS instead of cuBLASLt for products with a bias"),
    Rule::new("TORCH_BLAS_PREFER_CUBLASLT", Bits, "chooses the library for matrix products"),
    Rule::new("TORCH_LINALG_PREFER_CUSOLVER", Bits, "chooses the library for linear algebra"),
    Rule::new("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", Bits, "1 turns TF32 matrix products on by default; NVIDIA's images set it"),
    Rule::new("NVIDIA_TF32_OVERRIDE", Bits, "read by NVIDIA's libraries themselves: 0 forbids TF32 whatever the program says, unseen by libtorch's switches"),
    Rule::new("CUDA_LAUNCH_BLOCKING", Timing, "waits after each kernel: hides races"),
    Rule::new("CUDA_VISIBLE_DEVICES", Bits, "decides which GPUs are used, and in which order"),
    Rule::new("CUDA_DEVICE_ORDER", Bits, "decides which GPU is number 0"),
    Rule::new("CUDA_MODULE_LOADING", Timing, "loads kernels at first use or at the start"),
    Rule::new("CUDA_FORCE_PTX_JIT", Bits, "compiles kernels anew instead of taking those shipped"),
    Rule::new("CUDA_DISABLE_PTX_JIT", Bits, "takes only kernels that were shipped"),
    Rule::new("CUDA_DEVICE_MAX_CONNECTIONS", Timing, "how many streams run side by side: can turn a race"),
    Rule::new("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", Bits, "leaves the process a part of the GPU's cores"),
    Rule::new("NVIDIA_VISIBLE_DEVICES", Identity, "which GPUs the container was given; what they are stands under gpu.*"),
    Rule::new("NVIDIA_DRIVER_CAPABILITIES", Evidence, "which parts of the driver the container was given"),
    Rule::new("TORCH_CUDNN_V8_API_LRU_CACHE_LIMIT", Timing, "how many plans of cuDNN are remembered"),
    Rule::new("TORCH_CUDNN_V8_API_DEBUG", Evidence, "logs what cuDNN chose"),
    Rule::new("TORCH_CUDNN_*", Bits, "steers cuDNN's choice of algorithms"),
    Rule::new("CUDNN_ERRATA_JSON_FILE", Bits, "forbids engines of cuDNN"),
    Rule::new("CUDNN_LOG*", Evidence, "logs what cuDNN chose"),
    Rule::new("CUDNN_FRONTEND_LOG_*", Evidence, "logs what cuDNN chose"),
    Rule::new("PYTORCH_TUNABLEOP_*", Bits, "chooses matrix products by timing them, so runs differ while it tunes"),
    Rule::new("PYTORCH_CUDA_ALLOC_CONF", Bits, "memory left decides which workspaces fit"),
    Rule::new("PYTORCH_ALLOC_CONF", Bits, "memory left decides which workspaces fit"),
    Rule::new("PYTORCH_NO_CUDA_MEMORY_CACHING", Bits, "memory left decides which workspaces fit; shows reads of memory nobody wrote"),
    Rule::new("PYTORCH_KERNEL_CACHE_PATH", Evidence, "where compiled kernels are kept"),
    Rule::new("USE_PYTORCH_KERNEL_CACHE", Evidence, "whether compiled kernels are kept"),
    Rule::new("NCCL_ALGO", Bits, "order of sums over GPUs"),
    Rule::new("NCCL_PROTO", Bits, "how sums over GPUs are cut into pieces"),
    Rule::new("NCCL_NVLS_ENABLE", Bits, "sums inside the switch differ from call to call"),
    Rule::new("NCCL_COLLNET_ENABLE", Bits, "order of sums over machines"),
    Rule::new("NCCL_MIN_NCHANNELS", Bits, "how sums over GPUs are cut into pieces"),
    Rule::new("NCCL_MAX_NCHANNELS", Bits, "how sums over GPUs are cut into pieces"),
    Rule::new("NCCL_MIN_CTAS", Bits, "how sums over GPUs are cut into pieces"),
    Rule::new("NCCL_MAX_CTAS", Bits, "how sums over GPUs are cut into pieces"),
    Rule::new("NCCL_NTHREADS", Bits, "how sums over GPUs are cut into pieces"),
    Rule::new("NCCL_BUFFSIZE", Bits, "how sums over GPUs are cut into pieces"),
    Rule::new("NCCL_TOPO_FILE", Bits, "the links NCCL believes in decide the order of sums"),
    Rule::new("NCCL_GRAPH_FILE", Bits, "rings and trees taken from a file"),
    Rule::new("NCCL_TUNER_*", Bits, "chooses algorithms"),
    Rule::new("NCCL_CROSS_NIC", Bits, "decides which rings are built"),
    Rule::new("NCCL_P2P_*", Bits, "decides which links are used"),
    Rule::new("NCCL_CONF_FILE", Bits, "may hold any of NCCL's settings"),
    Rule::new("TORCH_NCCL_*", Timing, "waiting and cleaning up, not numbers"),
    Rule::new("OMP_WAIT_POLICY", Timing, "how threads wait"),
    Rule::new("OMP_PLACES", Timing, "where threads run"),
    Rule::new("OMP_PROC_BIND", Timing, "where threads run"),
    Rule::new("OMP_*", Bits, "number of threads and how loops are split"),
    Rule::new("GOMP_CPU_AFFINITY", Timing, "where threads run"),
    Rule::new("GOMP_*", Timing, "how threads wait and where they run"),
    Rule::new("KMP_BLOCKTIME", Timing, "how threads wait"),
    Rule::new("KMP_AFFINITY", Timing, "where threads run"),
    Rule::new("KMP_*", Bits, "number of threads and how sums over threads are made"),
    Rule::new("MKL_CBWR", Bits, "pins MKL's kernels so that results do not follow the processor"),
    Rule::new("MKL_VERBOSE", Evidence, "logs MKL's calls"),
    Rule::new("MKL_*", Bits, "number of threads, instruction set and fast modes of MKL"),
    Rule::new("OPENBLAS_*", Bits, "number of threads and kernels of OpenBLAS"),
    Rule::new("ATEN_CPU_CAPABILITY", Bits, "picks libtorch's kernels by instruction set; random numbers change too"),
    Rule::new("ONEDNN_VERBOSE*", Evidence, "logs what oneDNN chose"),
    Rule::new("DNNL_VERBOSE*", Evidence, "logs what oneDNN chose"),
    Rule::new("ONEDNN_*", Bits, "instruction set and implicit lower precision of oneDNN"),
    Rule::new("DNNL_*", Bits, "instruction set and implicit lower precision of oneDNN"),
    Rule::new("TORCH_MKLDNN_MATMUL_MIN_*", Bits, "size from which oneDNN is used"),
    Rule::new("TORCH_LINEAR_FLATTEN_3D", Bits, "chooses the path of linear layers"),
    Rule::new("TORCHINDUCTOR_CACHE_DIR", Evidence, "where compiled kernels are kept"),
    Rule::new("TORCHINDUCTOR_*", Bits, "choice of compiled kernels"),
    Rule::new("TRITON_CACHE_DIR", Evidence, "where compiled kernels are kept"),
    Rule::new("TORCH_COMPILE_DISABLE", Bits, "compiled or not"),
    Rule::new("TORCHDYNAMO_DISABLE", Bits, "compiled or not"),
    Rule::new("PYTORCH_TENSOREXPR*", Bits, "fusion in TorchScript"),
    Rule::new("PYTORCH_JIT", Bits, "TorchScript on or off"),
    Rule::new("PYTHONHASHSEED", Bits, "order of sets in Python, data order for example"),
    Rule::new("TORCH_DEVICE_BACKEND_AUTOLOAD", Bits, "plugins that `import torch` loads"),
    Rule::new("ENABLE_PYTORCH_EXECUTION_TRACE*", Timing, "an observer that torch brings along"),
    Rule::new("TORCH_SHOW_CPP_STACKTRACES", Evidence, "longer error messages"),
    Rule::new("GLIBC_TUNABLES", Bits, "can hide instruction sets from the mathematical functions"),
    Rule::new("LD_PRELOAD", Bits, "replaces functions in every library"),
    Rule::new("LD_LIBRARY_PATH", Evidence, "where libraries are looked for; what was found stands under library.*"),
    Rule::new("MALLOC_*", Bits, "alignment and content of fresh memory"),
    Rule::new("TMPDIR", Evidence, "where temporary files go"),
];

/// Parts of names that promise a secret. None of the table's own names has one, but a row with `*` lets others in.
const SECRETIVE: &[&str] = &[
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "CREDENTIAL",
    "APIKEY",
    "API_KEY",
];

/// Those of `variables` that the table knows, as `env.<NAME>`.
pub fn facts(variables: impl Iterator<Item = (OsString, OsString)>) -> Facts {
    variables
        .filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            policy::find(VARIABLES, &name)?;
            let fact = if SECRETIVE.iter().any(|part| name.contains(part)) {
                Fact::absent("set, but named like a secret")
            } else {
                Fact::Value(value.to_string_lossy().into_owned())
            };
            Some((format!("env.{name}"), fact))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Facts {
        facts(
            variables
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into())),
        )
    }

    #[test]
    fn only_variables_of_the_table_are_recorded() {
        let found = of(&[
            ("MKL_CBWR", "AVX2"),
            ("NCCL_P2P_LEVEL", "NVL"),
            ("HOME", "/home/me"),
            ("AWS_SECRET_ACCESS_KEY", "hush"),
            ("NCCL_COMM_ID", "10.0.0.1:5000"),
        ]);
        let keys: Vec<_> = found.keys().map(String::as_str).collect();
        assert_eq!(keys, ["env.MKL_CBWR", "env.NCCL_P2P_LEVEL"]);
    }

    #[test]
    fn a_value_named_like_a_secret_is_not_recorded() {
        let found = of(&[("TORCHINDUCTOR_REMOTE_CACHE_TOKEN", "hush")]);
        assert!(!format!("{found:?}").contains("hush"));
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn no_row_hides_behind_an_earlier_one() {
        for rule in VARIABLES {
            let example = rule.pattern.replace('*', "_X");
            let first = policy::find(VARIABLES, &example).unwrap();
            assert_eq!(first.pattern, rule.pattern);
        }
    }
}
