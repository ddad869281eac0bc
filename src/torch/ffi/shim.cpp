// The C++ half of ffi/torch.rs: what tch does not bind. No policy and no defaults here.
//
// Every function catches every exception: it returns 0 on success and -1 on failure, with the reason in sb_error().
// Strings handed out live until the next call on the same thread. Tensors handed out are owned by the caller, as
// `at::Tensor*`, which is what tch calls a C_tensor.

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/core/Generator.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/util/Exception.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/nn/module.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>
#include <torch/script.h>
#include <torch/version.h>

#include <dlfcn.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

namespace {

thread_local std::string last_error;
thread_local std::string last_text;

template <class F>
int guarded(F&& body) {
  try {
    body();
    return 0;
  } catch (const c10::Error& error) {
    last_error = error.what_without_backtrace();
  } catch (const std::exception& error) {
    last_error = error.what();
  } catch (...) {
    last_error = "an exception of unknown type";
  }
  return -1;
}

// ---- knobs: one row each, by the names that knob.rs uses ----

bool as_bool(const std::string& value) {
  if (value == "true") return true;
  if (value == "false") return false;
  TORCH_CHECK(false, "expected true or false, got ", value);
}

std::string text(bool value) { return value ? "true" : "false"; }

at::Float32Precision as_precision(const std::string& value) { return at::str2precision(value); }

using at::globalContext;

struct Knob {
  const char* name;
  std::function<void(const std::string&)> set;
  std::function<std::string()> get;
};

Knob precision(const char* name, at::Float32Backend backend, at::Float32Op op) {
  return {name,
          [=](const std::string& value) { globalContext().setFloat32Precision(backend, op, as_precision(value)); },
          [=] { return at::precision2str(globalContext().float32Precision(backend, op)); }};
}

// cuBLAS reductions: `full` keeps them in float32, `split_k` allows split-K only, `reduced` allows everything.
at::CuBLASReductionOption as_reduction(const std::string& value) {
  using Option = at::CuBLASReductionOption;
  if (value == "reduced") return Option::AllowReducedPrecisionWithSplitK;
  if (value == "split_k") return Option::DisallowReducedPrecisionAllowSplitK;
  if (value == "full") return Option::DisallowReducedPrecisionDisallowSplitK;
  TORCH_CHECK(false, "expected full, split_k or reduced, got ", value);
}

std::string text(at::CuBLASReductionOption option) {
  using Option = at::CuBLASReductionOption;
  switch (option) {
    case Option::AllowReducedPrecisionWithSplitK: return "reduced";
    case Option::DisallowReducedPrecisionAllowSplitK: return "split_k";
    case Option::DisallowReducedPrecisionDisallowSplitK: return "full";
  }
  return "unknown";
}

const std::vector<Knob>& knobs() {
  using B = at::Float32Backend;
  using O = at::Float32Op;
  auto& c = globalContext();
  static const std::vector<Knob> table = {
      {"deterministic_algorithms",
       [&](const std::string& value) {
         TORCH_CHECK(value == "off" || value == "warn" || value == "strict", "expected off, warn or strict");
         c.setDeterministicAlgorithms(value != "off", value == "warn");
       },
       [&] {
         if (!c.deterministicAlgorithms()) return std::string("off");
         return std::string(c.deterministicAlgorithmsWarnOnly() ? "warn" : "strict");
       }},
      {"fill_uninitialized_memory",
       [&](const std::string& v) { c.setDeterministicFillUninitializedMemory(as_bool(v)); },
       [&] { return text(c.deterministicFillUninitializedMemory()); }},
      {"cudnn.enabled", [&](const std::string& v) { c.setUserEnabledCuDNN(as_bool(v)); },
       [&] { return text(c.userEnabledCuDNN()); }},
      {"cudnn.deterministic", [&](const std::string& v) { c.setDeterministicCuDNN(as_bool(v)); },
       [&] { return text(c.deterministicCuDNN()); }},
      {"cudnn.benchmark", [&](const std::string& v) { c.setBenchmarkCuDNN(as_bool(v)); },
       [&] { return text(c.benchmarkCuDNN()); }},
      {"mkldnn.enabled", [&](const std::string& v) { c.setUserEnabledMkldnn(as_bool(v)); },
       [&] { return text(c.userEnabledMkldnn()); }},
      precision("fp32_precision.cuda.matmul", B::CUDA, O::MATMUL),
      precision("fp32_precision.cuda.conv", B::CUDA, O::CONV),
      precision("fp32_precision.cuda.rnn", B::CUDA, O::RNN),
      precision("fp32_precision.mkldnn.matmul", B::MKLDNN, O::MATMUL),
      precision("fp32_precision.mkldnn.conv", B::MKLDNN, O::CONV),
      precision("fp32_precision.mkldnn.rnn", B::MKLDNN, O::RNN),
      {"fp16_reduction",
       [&](const std::string& v) {
         auto o = as_reduction(v);
         c.setAllowFP16ReductionCuBLAS(o == at::CuBLASReductionOption::AllowReducedPrecisionWithSplitK,
                                       o != at::CuBLASReductionOption::DisallowReducedPrecisionDisallowSplitK);
       },
       [&] { return text(c.allowFP16ReductionCuBLAS()); }},
      {"bf16_reduction",
       [&](const std::string& v) {
         auto o = as_reduction(v);
         c.setAllowBF16ReductionCuBLAS(o == at::CuBLASReductionOption::AllowReducedPrecisionWithSplitK,
                                       o != at::CuBLASReductionOption::DisallowReducedPrecisionDisallowSplitK);
       },
       [&] { return text(c.allowBF16ReductionCuBLAS()); }},
      {"fp16_accumulation", [&](const std::string& v) { c.setAllowFP16AccumulationCuBLAS(as_bool(v)); },
       [&] { return text(c.allowFP16AccumulationCuBLAS()); }},
      {"sdp.flash", [&](const std::string& v) { c.setSDPUseFlash(as_bool(v)); },
       [&] { return text(c.userEnabledFlashSDP()); }},
      {"sdp.mem_efficient", [&](const std::string& v) { c.setSDPUseMemEfficient(as_bool(v)); },
       [&] { return text(c.userEnabledMemEfficientSDP()); }},
      {"sdp.math", [&](const std::string& v) { c.setSDPUseMath(as_bool(v)); },
       [&] { return text(c.userEnabledMathSDP()); }},
      {"sdp.cudnn", [&](const std::string& v) { c.setSDPUseCuDNN(as_bool(v)); },
       [&] { return text(c.userEnabledCuDNNSDP()); }},
      {"sdp.math_reduced", [&](const std::string& v) { c.setAllowFP16BF16ReductionMathSDP(as_bool(v)); },
       [&] { return text(c.allowFP16BF16ReductionMathSDP()); }},
      {"threads.intraop", [&](const std::string& v) { at::set_num_threads(std::stoi(v)); },
       [&] { return std::to_string(at::get_num_threads()); }},
      {"threads.interop", [&](const std::string& v) { at::set_num_interop_threads(std::stoi(v)); },
       [&] { return std::to_string(at::get_num_interop_threads()); }},
      {"jit.profiling",
       [&](const std::string& v) {
         torch::jit::getProfilingMode() = as_bool(v);
         torch::jit::getExecutorMode() = as_bool(v);
       },
       [&] { return text(torch::jit::getProfilingMode().load()); }},
      {"jit.optimize", [&](const std::string& v) { torch::jit::setGraphExecutorOptimize(as_bool(v)); },
       [&] { return text(torch::jit::getGraphExecutorOptimize()); }},
  };
  return table;
}

const Knob& knob(const char* name) {
  for (const auto& row : knobs()) {
    if (std::string(row.name) == name) return row;
  }
  TORCH_CHECK(false, "the shim knows no knob called ", name);
}

// ---- tensors ----

const at::Tensor& as_tensor(const void* tensor) { return *static_cast<const at::Tensor*>(tensor); }
void* give(at::Tensor tensor) { return new at::Tensor(std::move(tensor)); }

// The tensor whose storage, read front to back, is the logical row-major content.
at::Tensor logical(const at::Tensor& tensor) {
  // The usual case, once for every recorded tensor: nothing to convert.
  if (tensor.layout() == at::kStrided && !tensor.is_quantized() && !tensor.is_conj() && !tensor.is_neg() &&
      tensor.is_contiguous()) {
    return tensor;
  }
  at::NoGradGuard no_grad;
  at::Tensor t = tensor.detach();
  TORCH_CHECK(t.layout() == at::kStrided || t.is_sparse() || t.is_sparse_csr() || t.is_mkldnn(),
              "tensors of layout ", t.layout(), " cannot be recorded");
  if (t.layout() != at::kStrided) t = t.to_dense();
  if (t.is_quantized()) t = t.int_repr();
  return t.resolve_conj().resolve_neg().contiguous();
}

at::Generator generator(int64_t cuda_device) {
  return globalContext().defaultGenerator(cuda_device < 0 ? at::Device(at::kCPU)
                                                          : at::Device(at::kCUDA, cuda_device));
}

// ---- warnings ----

std::mutex warnings_mutex;
std::vector<std::string> warnings;

struct Collect : c10::WarningHandler {
  void process(const c10::Warning& warning) override {
    std::lock_guard<std::mutex> lock(warnings_mutex);
    if (warnings.size() < 1000) warnings.push_back(warning.msg());
  }
};

// ---- optimisers and scripts ----

struct Optimizer {
  std::unique_ptr<torch::optim::Optimizer> inner;
};

template <class State>
const State* state_of(torch::optim::Optimizer& optimizer, const at::Tensor& parameter) {
  auto found = optimizer.state().find(parameter.unsafeGetTensorImpl());
  return found == optimizer.state().end() ? nullptr : dynamic_cast<const State*>(found->second.get());
}

}  // namespace

extern "C" {

const char* sb_error() { return last_error.c_str(); }

// Loads libtorch_cuda.so from the folder of the libtorch in use, if it is there. Before anything else asks about CUDA:
// libtorch remembers the first answer for the life of the process. `*state`: 0 no such library, 1 loaded, -1 failed.
int sb_wake_cuda(int* state, const char** reason) {
  return guarded([&] {
    *state = 0;
    Dl_info info{};
    TORCH_CHECK(dladdr(reinterpret_cast<void*>(&at::get_num_threads), &info) != 0, "dladdr found no libtorch");
    auto library = std::filesystem::path(info.dli_fname).parent_path() / "libtorch_cuda.so";
    if (std::filesystem::exists(library)) {
      *state = dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL) ? 1 : -1;
      if (*state < 0) last_text = dlerror();
    } else {
      last_text = library.string() + " does not exist";
    }
    *reason = last_text.c_str();
  });
}

int sb_knob_set(const char* name, const char* value) {
  return guarded([&] { knob(name).set(value); });
}

int sb_knob_get(const char* name, const char** value) {
  return guarded([&] {
    last_text = knob(name).get();
    *value = last_text.c_str();
  });
}

// The older TF32 and precision fields, kept consistent with the newer ones, or their getters throw later.
int sb_precision_ieee() {
  return guarded([] {
    auto& c = globalContext();
    c.setAllowTF32CuDNN(false);
    c.setAllowTF32CuBLAS(false);
    c.setFloat32MatmulPrecision("highest");
  });
}

// One `name<TAB>value` a line; newlines inside values are escaped. A value that cannot be had is `!reason`.
int sb_facts(const char** facts) {
  return guarded([&] {
    std::ostringstream out;
    auto fact = [&](const char* name, auto&& get) {
      std::string value;
      try {
        std::ostringstream one;
        one << get();
        value = one.str();
      } catch (const c10::Error& error) {
        value = std::string("!") + error.what_without_backtrace();
      } catch (const std::exception& error) {
        value = std::string("!") + error.what();
      }
      out << name << '\t';
      for (char c : value) {
        if (c == '\n') out << "\\n"; else if (c == '\\') out << "\\\\"; else out << c;
      }
      out << '\n';
    };
    const auto& hooks = at::detail::getCUDAHooks();
    fact("version", [] { return TORCH_VERSION; });
    fact("cpu_capability", [] { return at::get_cpu_capability(); });
    fact("show_config", [] { return at::show_config(); });
    fact("cxx_flags", [] { return at::get_cxx_flags(); });
    fact("mkl", [] { return at::get_mkl_version(); });
    fact("mkldnn", [] { return at::get_mkldnn_version(); });
    fact("openmp", [] { return at::get_openmp_version(); });
    fact("parallel_info", [] { return at::get_parallel_info(); });
    fact("has_cuda", [&] { return text(hooks.hasCUDA()); });
    fact("cuda_devices", [&] { return std::to_string(hooks.deviceCount()); });
    fact("cudart", [&] { return hooks.versionCUDART(); });
    fact("cudnn_compiled", [&] { return hooks.versionCuDNN(); });
    fact("cudnn_running", [&] { return hooks.versionRuntimeCuDNN(); });
    last_text = out.str();
    *facts = last_text.c_str();
  });
}

int sb_cuda_devices(int64_t* count) {
  return guarded([&] { *count = at::detail::getCUDAHooks().deviceCount(); });
}

int sb_cuda_synchronize(int64_t device) {
  return guarded([&] { at::detail::getCUDAHooks().deviceSynchronize(device); });
}

// Calls `work(context)` once on each of libtorch's own threads.
int sb_on_all_threads(void (*work)(void*), void* context) {
  return guarded([&] {
    int64_t threads = at::get_num_threads();
    at::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) work(context);
    });
  });
}

// ---- generators: cuda_device -1 is the CPU ----

int sb_manual_seed(uint64_t seed) {
  return guarded([&] {
    at::manual_seed(seed);
    // at::manual_seed covers the devices of the current accelerator; said again for each CUDA device, as
    // cuda.manual_seed_all does.
    for (int64_t i = 0; i < at::detail::getCUDAHooks().deviceCount(); ++i) {
      auto g = generator(i);
      std::lock_guard<std::mutex> lock(g.mutex());
      g.set_current_seed(seed);
    }
  });
}

int sb_generator_seed(int64_t cuda_device, uint64_t* seed) {
  return guarded([&] { *seed = generator(cuda_device).current_seed(); });
}

int sb_generator_state(int64_t cuda_device, void** state) {
  return guarded([&] {
    auto g = generator(cuda_device);
    std::lock_guard<std::mutex> lock(g.mutex());
    *state = give(g.get_state());
  });
}

int sb_generator_set_state(int64_t cuda_device, const void* state) {
  return guarded([&] {
    auto g = generator(cuda_device);
    std::lock_guard<std::mutex> lock(g.mutex());
    g.set_state(as_tensor(state));
  });
}

// ---- tensors ----

// dtype is a c10::ScalarType, device -1 for the CPU or the CUDA index. `sizes` has room for 64 numbers.
int sb_describe(const void* tensor, int* dtype, int64_t* dimensions, int64_t* sizes, int64_t* bytes, int64_t* device) {
  return guarded([&] {
    const auto& t = as_tensor(tensor);
    TORCH_CHECK(t.defined(), "the tensor is undefined");
    TORCH_CHECK(t.dim() <= 64, "a tensor of ", t.dim(), " dimensions");
    *dtype = static_cast<int>(t.scalar_type());
    *dimensions = t.dim();
    for (int64_t i = 0; i < t.dim(); ++i) sizes[i] = t.size(i);
    *bytes = t.numel() * t.element_size();
    *device = t.is_cuda() ? t.get_device() : -1;
  });
}

// A tensor on the CPU whose bytes, at `*data`, are the logical row-major content. Shares storage where it can.
int sb_logical_cpu(const void* tensor, void** result, const void** data) {
  return guarded([&] {
    at::Tensor t = logical(as_tensor(tensor));
    if (!t.is_cpu()) t = t.cpu();
    *data = t.const_data_ptr();
    *result = give(std::move(t));
  });
}

// The sums of digest.rs in tensor operations, on whatever device the tensor is on; `*result` is an int64 tensor of two
// numbers there, so that nothing waits for a GPU. Temporaries stay below `chunk` bytes times a small number.
int sb_digest(const void* tensor, void** result) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    constexpr int64_t chunk = 16 << 20;
    const auto position = static_cast<int64_t>(0x9e3779b97f4a7c15ULL);
    const auto multiply_1 = static_cast<int64_t>(0xbf58476d1ce4e5b9ULL);
    const auto multiply_2 = static_cast<int64_t>(0x94d049bb133111ebULL);
    at::Tensor t = logical(as_tensor(tensor)).detach();
    at::Tensor total = at::zeros({2}, t.options().dtype(at::kLong));
    at::Tensor bytes = t.numel() == 0 ? at::empty({0}, t.options().dtype(at::kByte)) : t.flatten().view(at::kByte);
    // `>>` on int64 copies the sign; the mask takes the copies away.
    auto shifted = [](const at::Tensor& z, int64_t by) {
      return z.bitwise_right_shift(by).bitwise_and_((int64_t(1) << (64 - by)) - 1);
    };
    for (int64_t start = 0; start < bytes.numel(); start += chunk) {
      at::Tensor piece = bytes.narrow(0, start, std::min(chunk, bytes.numel() - start));
      int64_t pad = (8 - piece.numel() % 8) % 8;
      if (pad != 0) piece = at::constant_pad_nd(piece, {0, pad});
      // A view as int64 needs an aligned start, which a narrowed or foreign buffer may not have.
      if (reinterpret_cast<uintptr_t>(piece.data_ptr()) % 8 != 0) piece = piece.clone();
      at::Tensor words = piece.view(at::kLong);
      at::Tensor index = at::arange(start / 8 + 1, start / 8 + 1 + words.numel(), words.options());
      at::Tensor z = words.bitwise_xor(index * position);
      z = z.bitwise_xor_(shifted(z, 30)).mul_(multiply_1);
      z = z.bitwise_xor_(shifted(z, 27)).mul_(multiply_2);
      z = z.bitwise_xor_(shifted(z, 31));
      total[0] += z.sum();
      total[1] += z.mul_(index).sum();
    }
    *result = give(std::move(total));
  });
}

// Flips bit `bit` of element `index` (row-major) in the tensor's own storage.
int sb_flip_bit(const void* tensor, int64_t index, int bit) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    // Shares storage but not the version counter, or autograd would refuse to go on.
    at::Tensor t = as_tensor(tensor).variable_data();
    TORCH_CHECK(index >= 0 && index < t.numel(), "index ", index, " of ", t.numel(), " elements");
    TORCH_CHECK(t.layout() == at::kStrided && !t.is_quantized(), "only plain strided tensors can be changed");
    // The one element, as a one-element view, whatever the strides.
    int64_t offset = t.storage_offset();
    for (int64_t d = t.dim() - 1, rest = index; d >= 0; --d) {
      offset += rest % t.size(d) * t.stride(d);
      rest /= t.size(d);
    }
    at::Tensor element = t.as_strided({1}, {1}, offset);
    at::Tensor copy = element.cpu().contiguous();
    auto* bytes = static_cast<uint8_t*>(copy.data_ptr());
    TORCH_CHECK(bit >= 0 && bit < 8 * copy.element_size(), "bit ", bit, " of ", 8 * copy.element_size());
    bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    element.copy_(copy);
  });
}

// ---- warnings ----

// Keeps libtorch's warnings of this thread instead of printing them; those said once are said every time.
int sb_warnings_collect() {
  return guarded([] {
    static Collect collect;
    c10::WarningUtils::set_warning_handler(&collect);
    c10::WarningUtils::set_warnAlways(true);
  });
}

// The warnings since the last call, one a line.
int sb_warnings_take(const char** lines) {
  return guarded([&] {
    std::lock_guard<std::mutex> lock(warnings_mutex);
    last_text.clear();
    for (auto& warning : warnings) {
      std::replace(warning.begin(), warning.end(), '\n', ' ');
      last_text += warning + '\n';
    }
    warnings.clear();
    *lines = last_text.c_str();
  });
}

// ---- optimisers ----

// kind: 0 SGD with momentum, 1 Adam, 2 AdamW. `eps` keeps the latter two from dividing by zero.
int sb_optimizer_new(int kind, double lr, double momentum, double weight_decay, double eps,
                     const void* const* parameters, int64_t count, void** optimizer) {
  return guarded([&] {
    std::vector<at::Tensor> list;
    for (int64_t i = 0; i < count; ++i) list.push_back(as_tensor(parameters[i]));
    auto result = std::make_unique<Optimizer>();
    using namespace torch::optim;
    switch (kind) {
      case 0:
        result->inner = std::make_unique<SGD>(list, SGDOptions(lr).momentum(momentum).weight_decay(weight_decay));
        break;
      case 1:
        result->inner = std::make_unique<Adam>(list, AdamOptions(lr).eps(eps).weight_decay(weight_decay));
        break;
      case 2:
        result->inner = std::make_unique<AdamW>(list, AdamWOptions(lr).eps(eps).weight_decay(weight_decay));
        break;
      default: TORCH_CHECK(false, "no optimiser of kind ", kind);
    }
    *optimizer = result.release();
  });
}

void sb_optimizer_free(void* optimizer) { delete static_cast<Optimizer*>(optimizer); }

int sb_optimizer_zero_grad(void* optimizer) {
  return guarded([&] { static_cast<Optimizer*>(optimizer)->inner->zero_grad(); });
}

int sb_optimizer_step(void* optimizer) {
  return guarded([&] { static_cast<Optimizer*>(optimizer)->inner->step(); });
}

// State number `slot` (0, 1, …) of parameter number `parameter`: its name and tensor; `*name` is null past the last.
int sb_optimizer_state(void* optimizer, int64_t parameter, int slot, const char** name, void** tensor) {
  return guarded([&] {
    auto& inner = *static_cast<Optimizer*>(optimizer)->inner;
    const auto& p = inner.param_groups().at(0).params().at(parameter);
    std::vector<std::pair<const char*, at::Tensor>> slots;
    if (auto* sgd = state_of<torch::optim::SGDParamState>(inner, p)) {
      if (sgd->momentum_buffer().defined()) slots.emplace_back("momentum_buffer", sgd->momentum_buffer());
    } else if (auto* adamw = state_of<torch::optim::AdamWParamState>(inner, p)) {
      slots = {{"step", at::scalar_tensor(adamw->step(), at::kLong)},
               {"exp_avg", adamw->exp_avg()},
               {"exp_avg_sq", adamw->exp_avg_sq()}};
    } else if (auto* adam = state_of<torch::optim::AdamParamState>(inner, p)) {
      slots = {{"step", at::scalar_tensor(adam->step(), at::kLong)},
               {"exp_avg", adam->exp_avg()},
               {"exp_avg_sq", adam->exp_avg_sq()}};
    }
    if (slot < 0 || static_cast<size_t>(slot) >= slots.size()) {
      *name = nullptr;
      return;
    }
    *name = slots[slot].first;
    *tensor = give(slots[slot].second);
  });
}

// ---- TorchScript ----

int sb_script_load(const char* path, int64_t cuda_device, int dtype, void** script) {
  return guarded([&] {
    auto device = cuda_device < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, cuda_device);
    auto module = std::make_unique<torch::jit::Module>(torch::jit::load(path, device));
    if (dtype >= 0) {
      // Not Module::to, which would turn integers into floating-point numbers too: counters, tables of indices.
      auto convert = [&](at::Tensor t) {
        if (t.is_floating_point()) t.set_data(t.to(static_cast<at::ScalarType>(dtype)));
      };
      for (const auto& parameter : module->parameters()) convert(parameter);
      for (const auto& buffer : module->buffers()) convert(buffer);
    }
    module->train();
    *script = module.release();
  });
}

void sb_script_free(void* script) { delete static_cast<torch::jit::Module*>(script); }

int sb_script_forward(void* script, const void* const* inputs, int64_t count, void** output) {
  return guarded([&] {
    std::vector<c10::IValue> values;
    for (int64_t i = 0; i < count; ++i) values.emplace_back(as_tensor(inputs[i]));
    auto result = static_cast<torch::jit::Module*>(script)->forward(values);
    if (result.isTuple() && !result.toTupleRef().elements().empty()) result = result.toTupleRef().elements()[0];
    TORCH_CHECK(result.isTensor(), "the model returned ", result.tagKind(), ", a tensor is needed");
    *output = give(result.toTensor());
  });
}

// Parameter (kind 0) or buffer (kind 1) number `index`, in the module's own order; `*name` is null past the last.
int sb_script_tensor(void* script, int kind, int64_t index, const char** name, void** tensor) {
  return guarded([&] {
    auto& module = *static_cast<torch::jit::Module*>(script);
    *name = nullptr;
    int64_t at = 0;
    auto look = [&](const auto& list) {
      for (const auto& item : list) {
        if (at++ != index) continue;
        last_text = item.name;
        *name = last_text.c_str();
        *tensor = give(item.value);
        return;
      }
    };
    if (kind == 0) look(module.named_parameters()); else look(module.named_buffers());
  });
}

}  // extern "C"
