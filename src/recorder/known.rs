//! The table of ops known to give other bits for the same inputs, with the way out of each. Sources: the documentation of
//! `torch.use_deterministic_algorithms` of 2.11 ("doc"), the call sites of `alertNotDeterministic` and the readers of the
//! flag in its binaries ("2.11"), and what its users and NVIDIA report.

use super::finding::{Finding, Known};

/// One reason why ops vary.
#[derive(Debug)]
pub struct Row {
    /// Names of ops, `*` standing for any characters; `_`, `_out` and `_backward` forms are named where they are meant.
    pub ops: &'static [&'static str],
    /// `cpu`, `cuda`, or `any`.
    pub device: &'static str,
    /// Why.
    pub reason: &'static str,
    /// The knob or change that ends it.
    pub fix: &'static str,
    /// What else may be done; may be empty.
    pub alternative: &'static str,
    /// Where this is known from.
    pub source: &'static str,
}

const STRICT: &str =
    "torch.use_deterministic_algorithms(True), or --mode strict: another algorithm is used";
const REFUSED: &str = "none: with torch.use_deterministic_algorithms(True) torch refuses the op; replace it, or run it on the CPU";
const ATOMIC: &str =
    "several threads add to one element with atomicAdd, in the order in which they happen to come";

/// The rows, the more special before the more general.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    Row { ops: &["aten::put_", "aten::put"], device: "cpu",
        reason: "with accumulate=True several threads add to one element in any order; with accumulate=False and an index that comes twice, either value may win",
        fix: "torch.use_deterministic_algorithms(True) for accumulate=True; for accumulate=False make the indices unique, torch refuses it",
        alternative: "torch.set_num_threads(1)", source: "doc; 2.11" },
    Row { ops: &["aten::put_", "aten::put"], device: "cuda",
        reason: ATOMIC, fix: REFUSED, alternative: "index_add_ or index_put_(accumulate=True) on the flat tensor", source: "doc; 2.11" },
    Row { ops: &["aten::_index_put_impl_", "aten::index_put_", "aten::index_put", "aten::_unsafe_index_put", "aten::index_backward", "IndexBackward*", "UnsafeIndexBackward*"], device: "cpu",
        reason: "with accumulate=True, as in the backward of x[index], several threads add to one element in any order",
        fix: STRICT, alternative: "torch.set_num_threads(1), or torch.index_select, whose backward does not vary on the CPU", source: "doc; 2.11" },
    Row { ops: &["aten::_index_put_impl_", "aten::index_put_", "aten::index_put", "aten::_unsafe_index_put"], device: "cuda",
        reason: "with accumulate=False and an index that comes twice, either value may win",
        fix: STRICT, alternative: "make the indices unique", source: "doc; 2.11" },
    Row { ops: &["aten::index_copy", "aten::index_copy_"], device: "any",
        reason: "an index that comes twice: either value may win", fix: STRICT, alternative: "make the indices unique", source: "doc; 2.11" },
    Row { ops: &["aten::index_add", "aten::index_add_", "aten::index_select_backward", "aten::repeat_interleave_backward", "IndexSelectBackward*"], device: "cuda",
        reason: ATOMIC, fix: STRICT, alternative: "a matrix product with a one-hot matrix", source: "doc; 2.11" },
    Row { ops: &["aten::index_reduce", "aten::index_reduce_"], device: "cuda",
        reason: ATOMIC, fix: REFUSED, alternative: "scatter_reduce with a reduction that is exact, as amax", source: "2.11" },
    Row { ops: &["aten::scatter_add", "aten::scatter_add_", "aten::gather_backward", "GatherBackward*"], device: "cuda",
        reason: ATOMIC, fix: STRICT, alternative: "sort by index and reduce by segments", source: "doc; 2.11" },
    Row { ops: &["aten::scatter_reduce", "aten::scatter_reduce_", "aten::scatter", "aten::scatter_"], device: "cuda",
        reason: ATOMIC, fix: "torch.use_deterministic_algorithms(True) for sum and mean; the other reductions are refused",
        alternative: "make the indices unique", source: "doc; 2.11" },
    Row { ops: &["aten::embedding_dense_backward", "aten::embedding_backward", "EmbeddingBackward*"], device: "cuda",
        reason: "gradients of one row are added in an order that depends on timing",
        fix: STRICT, alternative: "", source: "2.11" },
    Row { ops: &["aten::_embedding_bag_backward", "aten::_embedding_bag_dense_backward", "EmbeddingBagBackward*"], device: "cuda",
        reason: ATOMIC, fix: REFUSED, alternative: "mode=\"sum\" or \"mean\" in place of \"max\"", source: "doc; 2.11" },
    Row { ops: &["aten::nll_loss2d*", "aten::nll_loss_nd", "NllLoss2DBackward*"], device: "cuda",
        reason: ATOMIC, fix: REFUSED, alternative: "reduction=\"none\" and a mean of one's own, or flatten the pixels: the one-dimensional loss does not vary", source: "doc; 2.11" },
    Row { ops: &["aten::_ctc_loss_backward", "aten::_cudnn_ctc_loss", "CtcLossBackward*", "CudnnCtcLossBackward*"], device: "cuda",
        reason: ATOMIC, fix: REFUSED, alternative: "compute the loss on the CPU", source: "doc; 2.11" },
    Row { ops: &["aten::histc", "aten::bincount", "aten::_histc*"], device: "cuda",
        reason: ATOMIC, fix: REFUSED, alternative: "integers without weights, which are exact; or the CPU", source: "doc; 2.11" },
    Row { ops: &["aten::median", "aten::nanmedian", "aten::mode"], device: "cuda",
        reason: "of equal values any may be the one whose index is given",
        fix: REFUSED, alternative: "do not use the index, or sort with stable=True", source: "doc; 2.11" },
    Row { ops: &["aten::kthvalue", "aten::topk", "aten::sort", "aten::argsort", "aten::argmax", "aten::argmin", "aten::max", "aten::min"], device: "cuda",
        reason: "of equal values any may come first, and no flag changes that for topk and an unstable sort",
        fix: "sort with stable=True, or break ties by adding an index of one's own", alternative: "the CPU", source: "torch issues #186653, #187116, #196177" },
    Row { ops: &["aten::cumsum", "aten::cumsum_", "aten::cumprod", "aten::logcumsumexp"], device: "cuda",
        reason: "a scan in parts whose order depends on timing", fix: STRICT, alternative: "compiled code varies even then: leave the op out of torch.compile", source: "doc; 2.11; torch issue #190946" },
    Row { ops: &["aten::adaptive_avg_pool2d_backward", "aten::_adaptive_avg_pool2d_backward", "aten::_adaptive_avg_pool3d_backward", "aten::adaptive_max_pool2d_backward", "AdaptiveAvgPool*Backward*", "AdaptiveMaxPool*Backward*"], device: "cuda",
        reason: ATOMIC, fix: REFUSED, alternative: "a pooling with fixed windows that do not overlap, or a mean over the dimensions", source: "doc; 2.11" },
    Row { ops: &["aten::avg_pool3d_backward", "aten::max_pool3d_with_indices_backward", "aten::fractional_max_pool2d_backward", "aten::fractional_max_pool3d_backward", "AvgPool3DBackward*", "MaxPool3D*Backward*", "FractionalMaxPool*Backward*"], device: "cuda",
        reason: ATOMIC, fix: REFUSED, alternative: "windows that do not overlap, by reshaping and reducing", source: "doc; 2.11" },
    Row { ops: &["aten::max_unpool2d", "aten::max_unpool3d"], device: "any",
        reason: "with an index that comes twice either value may win", fix: REFUSED, alternative: "pooling windows that do not overlap, so that no index comes twice", source: "doc; 2.11" },
    Row { ops: &["aten::grid_sampler_2d_backward", "aten::grid_sampler_3d_backward", "aten::grid_sampler_backward", "aten::cudnn_grid_sampler_backward", "GridSampler*Backward*"], device: "cuda",
        reason: ATOMIC, fix: REFUSED, alternative: "the CPU, or a gather with weights of one's own under the flag", source: "doc; 2.11" },
    Row { ops: &["aten::upsample_linear1d_backward", "aten::upsample_bilinear2d_backward", "aten::upsample_bicubic2d_backward", "aten::upsample_trilinear3d_backward", "aten::_upsample_*_aa_backward", "Upsample*Backward*"], device: "cuda",
        reason: ATOMIC, fix: "torch.use_deterministic_algorithms(True) in Python for bilinear and trilinear, which then are taken apart; the others are refused",
        alternative: "mode=\"nearest\", or a transposed convolution", source: "doc; 2.11; torch/nn/functional.py" },
    Row { ops: &["aten::reflection_pad1d_backward", "aten::reflection_pad3d_backward", "ReflectionPad1DBackward*", "ReflectionPad3DBackward*"], device: "cuda",
        reason: ATOMIC, fix: REFUSED, alternative: "indexing with a reflected index under the flag", source: "doc; 2.11" },
    Row { ops: &["aten::reflection_pad2d_backward", "ReflectionPad2DBackward*"], device: "cuda",
        reason: ATOMIC, fix: STRICT, alternative: "", source: "2.11" },
    Row { ops: &["aten::replication_pad1d_backward", "aten::replication_pad2d_backward", "aten::replication_pad3d_backward", "ReplicationPad*Backward*"], device: "cuda",
        reason: ATOMIC, fix: "torch.use_deterministic_algorithms(True) in Python, which then takes it apart; from C++ it is refused",
        alternative: "another padding", source: "doc; 2.11; torch/nn/functional.py" },
    Row { ops: &["aten::_scaled_dot_product_flash_attention_backward", "aten::_flash_attention_backward", "aten::_scaled_dot_product_efficient_attention_backward", "aten::_efficient_attention_backward", "aten::_scaled_dot_product_cudnn_attention_backward", "aten::_cudnn_attention_backward", "ScaledDotProduct*Backward*"], device: "cuda",
        reason: "the fast backward kernels of attention add parts of the gradient in any order",
        fix: "torch.use_deterministic_algorithms(True): with warn_only=True the fast kernel stays", alternative: "the math backend: torch.nn.attention.sdpa_kernel(SDPBackend.MATH)", source: "2.11" },
    Row { ops: &["aten::cudnn_convolution*", "aten::convolution*", "aten::_convolution*", "aten::conv?d", "ConvolutionBackward*"], device: "cuda",
        reason: "cuDNN chooses among algorithms by timing (benchmark), and some of them add with atomics",
        fix: "torch.backends.cudnn.deterministic = True and torch.backends.cudnn.benchmark = False, or --mode strict",
        alternative: "", source: "doc; NVIDIA's cuDNN documentation" },
    Row { ops: &["aten::_cudnn_rnn*", "aten::lstm", "aten::gru", "CudnnRnnBackward*"], device: "cuda",
        reason: "cuDNN's recurrent layers vary in some versions, depending on the workspace of cuBLAS",
        fix: "CUBLAS_WORKSPACE_CONFIG=:4096:8 in the environment, before the first use of CUDA",
        alternative: "torch.backends.cudnn.enabled = False for this layer", source: "torch documentation of LSTM" },
    Row { ops: &["aten::bmm", "aten::_sparse_mm*", "aten::sparse_mm*", "aten::_sparse_sparse_matmul"], device: "cuda",
        reason: "products with sparse matrices add in any order",
        fix: "torch.use_deterministic_algorithms(True), which covers bmm of a sparse and a dense tensor only", alternative: "dense tensors", source: "doc; 2.11" },
    Row { ops: &["aten::mm", "aten::addmm", "aten::addmm_", "aten::matmul", "aten::linear", "aten::baddbmm", "aten::baddbmm_", "aten::_scaled_mm"], device: "cuda",
        reason: "cuBLAS chooses another algorithm if its workspace, the stream or a table of tuned kernels is another one",
        fix: "CUBLAS_WORKSPACE_CONFIG=:4096:8 in the environment; PYTORCH_TUNABLEOP_ENABLED=0; one stream",
        alternative: "torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False", source: "2.11; NVIDIA's cuBLAS documentation" },
    Row { ops: &["c10d::*", "_c10d_functional*", "record_param_comms", "nccl:*"], device: "any",
        reason: "a collective adds in an order that depends on algorithm, protocol and topology, and NVLS not even then on one; or another rank sent other bits",
        fix: "NCCL_ALGO=Ring and NCCL_PROTO=Simple in the environment of every rank, and look at the other ranks first",
        alternative: "NCCL_NVLS_ENABLE=0", source: "nccl issues #855, #1497" },
    Row { ops: &["torchvision::roi_align*", "torchvision::_roi_align_backward", "torchvision::*backward*", "torchvision::deform_conv2d*"], device: "cuda",
        reason: ATOMIC, fix: "torchvision's ops do not know the flag: replace the op, or run it on the CPU", alternative: "", source: "torchvision issue #7579" },
    Row { ops: &["flash_attn::*", "flash_attn*"], device: "cuda",
        reason: "the backward of the package flash-attn adds parts of the gradient in any order",
        fix: "deterministic=True in the call of flash-attn", alternative: "torch's own attention under the flag", source: "flash-attn's documentation" },
    Row { ops: &["aten::resize_", "aten::quantized_resize*"], device: "cpu",
        reason: "what a growing tensor gains is memory that nothing has written",
        fix: "write the new elements before they are read", alternative: "torch.utils.deterministic.fill_uninitialized_memory under torch.use_deterministic_algorithms(True) shows such reads", source: "doc; 2.11" },
    Row { ops: &["aten::sum", "aten::mean", "aten::norm", "aten::linalg_vector_norm", "aten::var", "aten::std", "aten::prod", "aten::softmax", "aten::_softmax", "aten::_log_softmax"], device: "cpu",
        reason: "a reduction is split among the threads, so that another number of threads rounds in another order",
        fix: "the same number of threads in every run: OMP_NUM_THREADS and torch.set_num_threads", alternative: "", source: "2.11, two_pass_reduction" },
];

/// Whether a name fits a pattern: `*` stands for any characters, `?` for one.
#[must_use]
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut with) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < name.len() {
        match pattern.get(with) {
            Some(b'*') => {
                star = Some((with, at));
                with += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[at] => (at, with) = (at + 1, with + 1),
            _ => {
                let Some((place, from)) = star else {
                    return false;
                };
                star = Some((place, from + 1));
                (at, with) = (from + 1, place + 1);
            }
        }
    }
    pattern[with..].iter().all(|&byte| byte == b'*')
}

/// The row for an op on a device.
#[must_use]
pub fn row(op: &str, device: &str) -> Option<&'static Row> {
    let device = device.split(':').next().unwrap_or_default();
    TABLE.iter().find(|row| {
        (row.device == "any" || row.device == device) && row.ops.iter().any(|name| fits(name, op))
    })
}

/// What is known about the op of a finding: of the op itself, else of those around it, innermost first.
pub(super) fn of(finding: &Finding) -> Option<Known> {
    use super::finding::Kind;
    if let Some(collective) = &finding.collective {
        return row(&collective.op, "any").map(known);
    }
    if !matches!(finding.kind, Kind::Op | Kind::Threads | Kind::Race) {
        return None;
    }
    let tensors = finding.outputs.iter().chain(&finding.inputs);
    let device = tensors
        .filter_map(|tensor| tensor.sides.reference.as_ref())
        .map(|outside| outside.device.as_str())
        .max_by_key(|device| device.starts_with("cuda"))?;
    let around = finding.place.parents.iter().rev();
    let mut names = [&finding.place.op].into_iter().chain(around);
    names.find_map(|name| row(name, device)).map(known)
}

fn known(row: &Row) -> Known {
    Known {
        device: row.device.into(),
        reason: row.reason.into(),
        fix: row.fix.into(),
        alternative: row.alternative.into(),
        source: row.source.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_says_why_and_offers_a_way_out_and_none_hides_another() {
        let mut seen = std::collections::BTreeSet::new();
        for row in TABLE {
            let complete = [row.reason, row.fix, row.source]
                .iter()
                .all(|text| !text.is_empty());
            assert!(complete && !row.ops.is_empty(), "{row:?}");
            assert!(["cpu", "cuda", "any"].contains(&row.device), "{row:?}");
            for op in row.ops {
                assert!(seen.insert((*op, row.device)), "{op} is there twice");
                let found = self::row(&op.replace(['*', '?'], ""), row.device);
                let same = |found: &Row| found.ops == row.ops && found.device == row.device;
                let other = found.is_some_and(|found| !same(found));
                assert!(!other, "{op} is hidden by {:?}", found.map(|row| row.ops));
            }
        }
    }

    #[test]
    fn patterns_stand_for_names() {
        for (pattern, name, fit) in [
            ("aten::conv?d", "aten::conv2d", true),
            ("aten::conv?d", "aten::conv_tbc", false),
            ("Upsample*Backward*", "UpsampleBilinear2DBackward0", true),
            ("Upsample*Backward*", "UpsampleBilinear2D", false),
            ("aten::put_", "aten::put", false),
            ("*", "", true),
            ("", "a", false),
            ("a*b*c", "axxbxbxc", true),
        ] {
            assert_eq!(fits(pattern, name), fit, "{pattern} {name}");
        }
        assert!(row("aten::put_", "cuda:1").is_some_and(|row| row.device == "cuda"));
        assert!(row("aten::relu", "cpu").is_none());
    }
}
