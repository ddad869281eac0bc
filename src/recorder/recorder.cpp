// The op recorder: writes down every operation that libtorch dispatches in this process, with digests of what went in
// and what came out, so that two runs can be laid side by side and the first op that parts them be named.
//
// It is a shared library, loaded into a process that uses libtorch, and built against that same libtorch. What it is told
// stands in the environment variable SAMEBITS_RECORD; without it, it does nothing. What it writes, one file for each
// thread, is described where it is read: recorder/stream.rs.
//
// Two rules hold everywhere. It changes nothing: no generator, no grad mode, no thread count, no reference to a tensor
// past the end of its op. And it fails alone: a callback never throws, never blocks on Python, and a full disk ends the
// recording, not the program.

// Released libtorch is built with NDEBUG, which decides how at::RecordFunction lies in memory.
#ifndef NDEBUG
#define NDEBUG
#endif

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/record_function.h>
#include <c10/core/impl/TorchDispatchModeTLS.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/version.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

using at::RecordFunction;
using at::RecordScope;
using c10::IValue;

// ---- digests: the two sums of src/digest.rs over a tensor's logical row-major bytes ----

struct Lanes {
  uint64_t sum = 0;
  uint64_t weighted = 0;
  void add(Lanes other) {
    sum += other.sum;
    weighted += other.weighted;
  }
};

constexpr uint64_t kPosition = 0x9e3779b97f4a7c15;
constexpr uint64_t kMultiply1 = 0xbf58476d1ce4e5b9;
constexpr uint64_t kMultiply2 = 0x94d049bb133111eb;

// Eight words handled side by side; the compiler splits them where the machine's vectors are shorter.
typedef uint64_t Line __attribute__((vector_size(64)));

// For a word and for a line of words.
#define SAMEBITS_MIX(z)                \
  z = (z ^ (z >> 30)) * kMultiply1;    \
  z = (z ^ (z >> 27)) * kMultiply2;    \
  z = z ^ (z >> 31)

// The sums over `size` bytes that start at word `first` of a tensor.
Lanes lanes_at(uint64_t first, const uint8_t* bytes, size_t size) {
  constexpr size_t kLines = 4;  // in flight at once, or the multiplications wait for one another
  Lanes total;
  const size_t rounds = size / (kLines * sizeof(Line));
  if (rounds != 0) {
    Line salt[kLines], sums[kLines] = {}, running[kLines] = {};
    for (size_t k = 0; k < kLines; ++k)
      for (size_t lane = 0; lane < 8; ++lane) salt[k][lane] = (first + k * 8 + lane + 1) * kPosition;
    for (size_t round = 0; round < rounds; ++round) {
      for (size_t k = 0; k < kLines; ++k) {
        Line z;
        memcpy(&z, bytes, sizeof z);
        bytes += sizeof z;
        z ^= salt[k];
        SAMEBITS_MIX(z);
        sums[k] += z;
        running[k] += sums[k];  // Σ (rounds − round)·z: an addition in place of a product
        salt[k] += kLines * 8 * kPosition;
      }
    }
    for (size_t k = 0; k < kLines; ++k) {
      for (size_t lane = 0; lane < 8; ++lane) {
        const uint64_t sum = sums[k][lane], by_round = sum * rounds - running[k][lane];
        total.add({sum, by_round * (kLines * 8) + sum * (first + k * 8 + lane + 1)});
      }
    }
    first += rounds * kLines * 8;
    size -= rounds * kLines * sizeof(Line);
  }
  for (uint64_t position = first + 1; size != 0; ++position) {
    uint64_t z = 0;
    const size_t take = std::min<size_t>(size, 8);
    memcpy(&z, bytes, take);
    bytes += take;
    size -= take;
    z ^= position * kPosition;
    SAMEBITS_MIX(z);
    total.add({z, z * position});
  }
  return total;
}

// A strided tensor's memory: neighbouring dimensions that lie together are one dimension here.
struct Layout {
  const uint8_t* data = nullptr;
  size_t item = 0, count = 0;            // bytes of an element; elements
  size_t offset = 0, extent = 0;         // bytes from the storage's start; bytes from the first to past the last element
  c10::SmallVector<int64_t, 8> sizes, strides;
  bool plain = false;                    // logical order is memory order, and no sign bit is pending
  bool overlap = false;                  // two elements share memory
  bool flip_real = false, flip_imaginary = false, complex = false;  // pending signs (conj and neg views)
  uint64_t key = 0;                      // equal for views that have the same logical bytes
  size_t bytes() const { return item * count; }
};

Layout layout_of(const at::Tensor& t) {
  Layout l;
  l.item = t.element_size();
  l.count = static_cast<size_t>(t.numel());
  l.offset = static_cast<size_t>(t.storage_offset()) * l.item;
  l.complex = t.is_complex();
  l.flip_real = t.is_neg();
  l.flip_imaginary = t.is_neg() != t.is_conj();
  l.data = static_cast<const uint8_t*>(t.unsafeGetTensorImpl()->unsafe_storage().data());
  if (l.data != nullptr) l.data += l.offset;
  const auto sizes = t.sizes();
  const auto strides = t.strides();
  for (size_t d = 0; d < sizes.size() && l.count != 0; ++d) {
    if (sizes[d] == 1) continue;
    l.extent += static_cast<size_t>((sizes[d] - 1) * strides[d]) * l.item;
    if (!l.sizes.empty() && l.strides.back() == sizes[d] * strides[d]) {
      l.sizes.back() *= sizes[d];
      l.strides.back() = strides[d];
    } else {
      l.sizes.push_back(sizes[d]);
      l.strides.push_back(strides[d]);
    }
  }
  if (l.count != 0) l.extent += l.item;
  const bool pending = l.flip_real || (l.complex && l.flip_imaginary);
  const bool dense = l.sizes.empty() || (l.sizes.size() == 1 && l.strides[0] == 1);
  l.plain = dense && !pending;
  if (!dense) {
    // Without overlap, each stride steps over all that the smaller strides reach. (A few odd layouts do neither.)
    c10::SmallVector<std::pair<int64_t, int64_t>, 8> by_stride;
    for (size_t d = 0; d < l.sizes.size(); ++d) by_stride.emplace_back(l.strides[d], l.sizes[d]);
    std::sort(by_stride.begin(), by_stride.end());
    int64_t reach = 0;
    for (const auto& [stride, size] : by_stride) {
      l.overlap |= stride <= reach;
      reach += stride * (size - 1);
    }
  }
  auto mix = [&](uint64_t value) {
    l.key = (l.key ^ value) * kMultiply1;
    l.key ^= l.key >> 29;
  };
  mix(l.offset);
  mix(l.bytes());
  if (!l.plain) {
    mix(l.item * 4 + l.flip_real * 2 + l.flip_imaginary);
    for (size_t d = 0; d < l.sizes.size(); ++d) {
      mix(static_cast<uint64_t>(l.sizes[d]));
      mix(static_cast<uint64_t>(l.strides[d]));
    }
  }
  return l;
}

template <class T>
void copy_strided(uint8_t* out, const uint8_t* in, size_t count, int64_t stride) {
  for (size_t i = 0; i < count; ++i) memcpy(out + i * sizeof(T), in + static_cast<int64_t>(i) * stride * static_cast<int64_t>(sizeof(T)), sizeof(T));
}

// Elements `first` to `first + count` in logical order, signs resolved.
void gather(const Layout& l, size_t first, size_t count, uint8_t* out) {
  const size_t inner = l.sizes.empty() ? 1 : static_cast<size_t>(l.sizes.back());
  const int64_t stride = l.sizes.empty() ? 1 : l.strides.back();
  uint8_t* to = out;
  for (size_t done = 0; done < count;) {
    size_t row = (first + done) / inner;
    const size_t column = (first + done) % inner;
    int64_t at = static_cast<int64_t>(column) * stride;
    for (size_t d = l.sizes.size(); d-- > 1;) {
      at += static_cast<int64_t>(row % l.sizes[d - 1]) * l.strides[d - 1];
      row /= l.sizes[d - 1];
    }
    const uint8_t* in = l.data + at * static_cast<int64_t>(l.item);
    const size_t take = std::min(inner - column, count - done);
    if (stride == 1) {
      memcpy(to, in, take * l.item);
    } else {
      switch (l.item) {
        case 1: copy_strided<uint8_t>(to, in, take, stride); break;
        case 2: copy_strided<uint16_t>(to, in, take, stride); break;
        case 4: copy_strided<uint32_t>(to, in, take, stride); break;
        case 8: copy_strided<uint64_t>(to, in, take, stride); break;
        default: copy_strided<std::pair<uint64_t, uint64_t>>(to, in, take, stride);
      }
    }
    to += take * l.item;
    done += take;
  }
  if (!l.flip_real && !(l.complex && l.flip_imaginary)) return;
  const size_t part = l.complex ? l.item / 2 : l.item;
  for (size_t i = 0; i * part < count * l.item; ++i)
    if (l.complex && i % 2 == 1 ? l.flip_imaginary : l.flip_real) out[i * part + part - 1] ^= 0x80;
}

Lanes hash_elements(const Layout& l, size_t first, size_t count) {
  if (l.plain) return lanes_at(first * l.item / 8, l.data + first * l.item, count * l.item);
  alignas(64) uint8_t block[16 << 10];
  const size_t step = sizeof block / l.item;
  Lanes total;
  for (size_t at = first; at < first + count; at += step) {
    const size_t take = std::min(step, first + count - at);
    gather(l, at, take, block);
    total.add(lanes_at(at * l.item / 8, block, take * l.item));
  }
  return total;
}

// `parallel`: on libtorch's own threads, where that pays.
Lanes hash(const Layout& l, bool parallel) {
  constexpr size_t kChunk = 256 << 10;
  if (!parallel || l.bytes() < 4 * kChunk) return hash_elements(l, 0, l.count);
  const int64_t step = static_cast<int64_t>(kChunk / l.item), count = static_cast<int64_t>(l.count);
  std::atomic<uint64_t> sum{0}, weighted{0};
  at::parallel_for(0, (count + step - 1) / step, 1, [&](int64_t begin, int64_t end) {
    const Lanes part = hash_elements(l, begin * step, std::min(end * step, count) - begin * step);
    sum += part.sum;
    weighted += part.weighted;
  });
  return {sum, weighted};
}

// ---- what it is told, and what the whole process shares ----

struct Config {
  std::string folder, marker;
  uint64_t from = 0, to = UINT64_MAX, last = 0, limit = uint64_t(4) << 30;
  int64_t keep = -1, inject = -1;
  bool full = false;
};

Config parse(const char* text) {
  Config c;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t equals = line.find('=');
    if (equals == std::string::npos) continue;
    const std::string key = line.substr(0, equals), value = line.substr(equals + 1);
    const uint64_t number = strtoull(value.c_str(), nullptr, 10);
    if (key == "folder") c.folder = value;
    if (key == "marker") c.marker = value;
    if (key == "from") c.from = number;
    if (key == "to") c.to = number;
    if (key == "last") c.last = number;
    if (key == "limit") c.limit = number;
    if (key == "keep") c.keep = static_cast<int64_t>(number);
    if (key == "inject") c.inject = static_cast<int64_t>(number);
    if (key == "full") c.full = number != 0;
  }
  return c;
}

struct Stream;

struct Process {
  Config config;
  std::atomic<bool> on{false};
  std::atomic<uint64_t> session{0};  // one for each time it was started: a thread's stream is of one session
  std::atomic<uint64_t> order{0}, step{0}, bytes{0};
  std::atomic<int> steppers{0};  // optimisers inside `step` now: one that calls another is one step
  std::atomic<uint32_t> threads{0};
  std::string role = "0";
  uint32_t forks = 0;
  std::mutex mutex;              // of `streams` and `forks`
  std::vector<Stream*> streams;
  std::mutex names;              // of `thread_of` and of the ops looked up
  std::unordered_map<uint64_t, uint32_t> thread_of;  // libtorch's number of a thread -> ours
  at::CallbackHandle callback = at::INVALID_CALLBACK_HANDLE;
};

// Never destroyed: threads may outlive the exit handlers.
Process& process() {
  static Process& one = *new Process;
  return one;
}

// ---- storages: what is known about each piece of memory ----

// A digest, or the place on a CUDA device where it will be (`ring` is one more than its index).
struct Digest {
  Lanes lanes;
  uint32_t ring = 0, slot = 0;
  uint64_t drained = 0;  // the stream's count of drains when the slot was taken
};

struct Storage {
  c10::weak_intrusive_ptr<c10::StorageImpl> weak;  // holds the address, not the memory: it cannot be another storage's
  uint64_t number = 0, epoch = 0;
  const void* data = nullptr;
  size_t size = 0;
  bool external = true;     // never written by a recorded op
  bool inner = false;       // an op of PyTorch's made it for itself: what it holds has not been looked at
  bool hidden = false;      // written where nothing is seen (graph capture): look every time
  bool fresh = false;       // uninitialised: nothing wrote it, or not all of it
  uint64_t content = 0;     // of fresh memory: a sample, which tells a write from outside
  size_t low = 0, high = 0, filled = 0;  // of fresh memory: a part that is written, and the bytes written in all
  uint32_t writing = 0;     // one more than the thread whose op writes it now
  uint32_t writer = 0;      // one more than the thread that wrote it last
  uint64_t writers = 0;     // a bit for each thread that ever did
  struct Known {
    uint64_t key;
    Digest digest;
  };
  Known known[3];           // of this epoch
  uint32_t known_count = 0;

  explicit Storage(c10::weak_intrusive_ptr<c10::StorageImpl> w) : weak(std::move(w)) {}
  void changed() {
    ++epoch;
    known_count = 0;
  }
  const Digest* find(uint64_t key) const {
    for (uint32_t i = 0; i < std::min(known_count, 3u); ++i)
      if (known[i].key == key) return &known[i].digest;
    return nullptr;
  }
  void remember(uint64_t key, const Digest& digest) { known[known_count++ % 3] = {key, digest}; }
  bool covers(const Layout& l) const { return !fresh || (l.offset >= low && l.offset + l.extent <= high); }
  // A recorded op wrote these elements.
  void written(const Layout& l, uint32_t thread) {
    changed();
    external = inner = false;
    writer = thread + 1;
    writers |= uint64_t(1) << (thread % 64);
    if (!fresh) return;
    filled += l.bytes();
    const size_t end = l.offset + l.extent;
    if (l.extent == l.bytes()) {
      if (low == high) low = high = l.offset;
      if (l.offset <= high && end >= low) low = std::min(low, l.offset), high = std::max(high, end);
    }
    if (filled >= size) fresh = false;
  }
};

// A sample of memory that may hold anything: 64 places spread over it.
uint64_t sample(const void* data, size_t size) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  if (data == nullptr) return 0;
  if (size <= 4096) return lanes_at(0, bytes, size).sum;
  uint64_t sum = 0;
  for (size_t i = 0; i < 64; ++i) sum += lanes_at(i * 8, bytes + i * ((size - 64) / 63), 64).sum;
  return sum;
}

class Table {
 public:
  std::mutex mutex;  // held for look-ups only, never while hashing

  // The entry of a tensor's storage. `inside`: within an op of PyTorch's, whose kernel may have made the memory without
  // asking the dispatcher.
  Storage& of(const at::Tensor& t, bool inside) {
    const c10::Storage& storage = t.unsafeGetTensorImpl()->unsafe_storage();
    auto* impl = storage.unsafeGetStorageImpl();
    auto found = entries_.find(impl);
    if (found == entries_.end()) {
      found = entries_.emplace(impl, Storage(storage.getWeakStorageImpl())).first;
      found->second.number = next_++;
    } else if (found->second.data != impl->data() || found->second.size != impl->nbytes()) {
      found->second.changed();  // resized, or given other memory
    } else {
      return found->second;
    }
    found->second.external = !inside;
    found->second.inner = inside;
    found->second.data = impl->data();
    found->second.size = impl->nbytes();
    return found->second;
  }

  Storage* at(const void* impl) {
    auto found = entries_.find(impl);
    return found == entries_.end() ? nullptr : &found->second;
  }

  // Forgets everything: what happened to memory meanwhile, nobody saw.
  void clear() {
    std::unordered_map<const void*, Storage> gone;  // dies after the lock
    std::lock_guard<std::mutex> lock(mutex);
    std::swap(gone, entries_);
    next_ = 0;
  }

  // Forgets storages that are gone, now and then. What it returns must die after the lock: freeing may call anything.
  std::vector<c10::weak_intrusive_ptr<c10::StorageImpl>> sweep() {
    std::vector<c10::weak_intrusive_ptr<c10::StorageImpl>> dead;
    if (entries_.size() < enough_) return dead;
    for (auto it = entries_.begin(); it != entries_.end();) {
      if (it->second.weak.use_count() == 0) {
        dead.push_back(std::move(it->second.weak));
        it = entries_.erase(it);
      } else {
        ++it;
      }
    }
    enough_ = std::max<size_t>(1024, 2 * entries_.size());
    return dead;
  }

 private:
  std::unordered_map<const void*, Storage> entries_;
  uint64_t next_ = 0;
  size_t enough_ = 1024;
};

Table& table() {
  static Table& one = *new Table;
  return one;
}

// ---- ops: what a schema says, looked up once ----

struct Op {
  uint32_t number = 0;
  std::string name, overload;
  bool random = false;     // draws from a generator
  bool composite = false;  // made of other ops, which are recorded too: its outputs need no second look
  bool allocates = false;  // returns uninitialised memory
  bool metadata = false;   // changes shape, strides or storage, not elements
  bool touches = false;    // needs its inputs' shapes, not their elements
  bool views = false;      // may return what it was given
  bool native = false;     // PyTorch's own
  bool flying = false;     // a collective: its result arrives after its end
  bool adopts = false;     // its argument was filled from outside (torch.tensor)
  bool unreturned = false; // writes an argument that is not among its outputs
  std::vector<std::string> arguments;
  std::vector<bool> writes;      // by argument
  std::vector<int> returns;      // by output: the argument it is, written, or -1
  bool in_place = false;
};

Op describe(const c10::FunctionSchema& schema, const c10::OperatorHandle& handle) {
  Op op;
  op.name = schema.name();
  op.overload = schema.overload_name();
  const size_t colons = op.name.find("::");
  const std::string space = op.name.substr(0, colons), base = op.name.substr(colons + 2);
  auto starts = [&](const char* prefix) { return base.rfind(prefix, 0) == 0; };
  auto ends = [&](const char* suffix) {
    const size_t n = strlen(suffix);
    return base.size() >= n && base.compare(base.size() - n, n, suffix) == 0;
  };
  op.random = handle.hasTag(at::Tag::nondeterministic_seeded);
  // Only PyTorch's own: a custom op may be registered as composite and still write by other means.
  op.composite = space == "aten" && (handle.hasKernelForDispatchKey(c10::DispatchKey::CompositeImplicitAutograd) ||
                                     handle.hasKernelForDispatchKey(c10::DispatchKey::CompositeExplicitAutograd));
  op.allocates = space == "aten" && (starts("empty") || starts("new_empty") || starts("_empty"));
  op.metadata = handle.hasTag(at::Tag::inplace_view) || starts("resize_") || starts("set_") || base == "record_stream";
  op.flying = space == "c10d" || (space == "_c10d_functional" && base != "wait_tensor");
  op.touches = op.allocates || op.flying || starts("new_") || ends("_like");
  op.adopts = op.name == "aten::lift_fresh";
  op.native = space == "aten";
  for (const auto& result : schema.returns()) op.views |= result.alias_info() != nullptr && !result.alias_info()->isWrite();
  std::vector<int> written;
  for (const auto& argument : schema.arguments()) {
    const auto* alias = argument.alias_info();
    bool writes = alias != nullptr && alias->isWrite();
    // The batch norms write these without saying so.
    if (argument.name() == "running_mean" || argument.name() == "running_var") writes = true;
    if (writes) written.push_back(static_cast<int>(op.arguments.size()));
    op.arguments.push_back(argument.name());
    op.writes.push_back(writes && !op.metadata);
  }
  std::vector<bool> returned(op.arguments.size());
  for (const auto& result : schema.returns()) {
    int is = -1;
    if (result.alias_info() != nullptr && result.alias_info()->isWrite()) {
      for (int a : written) {
        const auto* alias = schema.arguments()[a].alias_info();
        if (alias != nullptr && alias->beforeSet() == result.alias_info()->beforeSet()) is = a;
      }
    }
    if (is >= 0) returned[is] = true;
    op.returns.push_back(is);
  }
  for (int a : written) op.unreturned |= !returned[a] && !op.metadata;
  op.in_place = !written.empty() && !op.metadata;
  return op;
}

// The op of a record, or null for what is no op (a backward node, a range).
const Op* op_of(const RecordFunction& fn) {
  const auto name = fn.operator_name();
  if (!name.has_value()) return nullptr;
  static auto& ops = *new std::map<std::pair<std::string, std::string>, std::unique_ptr<Op>>;
  std::lock_guard<std::mutex> lock(process().names);
  auto& op = ops[{name->name, name->overload_name}];
  if (op == nullptr) {
    const auto handle = c10::Dispatcher::singleton().findOp(*name);
    const auto schema = fn.operator_schema();
    if (!handle.has_value() || !schema.has_value()) return nullptr;
    auto made = std::make_unique<Op>(describe(*schema, *handle));
    made->number = static_cast<uint32_t>(ops.size());
    op = std::move(made);
  }
  return op.get();
}

// ---- bytes of a record ----

// Where in some bytes a digest is missing that is still on a device.
struct Gap {
  size_t at;
  uint32_t ring, slot;
};

class Bytes {
 public:
  std::vector<Gap> gaps;

  const uint8_t* data() const { return store_.data(); }
  size_t size() const { return size_; }
  void clear() {
    size_ = 0;
    gaps.clear();
  }
  void raw(const void* bytes, size_t count) {
    if (count != 0) memcpy(room(count), bytes, count);
    size_ += count;
  }
  void u8(uint8_t v) { raw(&v, 1); }
  void u64(uint64_t v) { raw(&v, 8); }
  void varint(uint64_t v) {
    uint8_t* const start = room(10);
    uint8_t* p = start;
    for (; v >= 0x80; v >>= 7) *p++ = static_cast<uint8_t>(v | 0x80);
    *p++ = static_cast<uint8_t>(v);
    size_ += p - start;
  }
  void zigzag(int64_t v) { varint((static_cast<uint64_t>(v) << 1) ^ static_cast<uint64_t>(v >> 63)); }
  void digest(const Digest& d) {
    if (d.ring != 0) gaps.push_back({size_, d.ring - 1, d.slot});
    u64(d.lanes.sum);
    u64(d.lanes.weighted);
  }
  void append(const Bytes& other) {
    for (Gap gap : other.gaps) gaps.push_back({gap.at + size_, gap.ring, gap.slot});
    raw(other.data(), other.size());
  }
  uint8_t* patch(size_t at) { return store_.data() + at; }

 private:
  uint8_t* room(size_t count) {
    if (size_ + count > store_.size()) store_.resize(2 * (size_ + count));
    return store_.data() + size_;
  }
  std::vector<uint8_t> store_ = std::vector<uint8_t>(512);
  size_t size_ = 0;
};

// ---- streams: one thread's file ----

enum Kind : uint8_t { STRING = 1, OP = 2, STEP = 3, VALUES = 4, LIMIT = 5, FORK = 6, END = 7, NOTE = 8 };

enum Flag : uint16_t {
  LEAF = 1, THREW = 2, RANDOM = 4, ALERT = 8, UNINITIALISED = 16, RACE = 32, IN_PLACE = 64, VIEW = 128, CAPTURED = 256,
  WRAPPED = 512
};

constexpr size_t kHeader = 4096;
constexpr size_t kFirstWindow = 256 << 10, kLastWindow = 4 << 20;
// Room kept free in every window, so that the end of a recording can be written when the disk is full.
constexpr size_t kTail = 512;

// An op, node or range that has begun and not ended.
struct Frame {
  const RecordFunction* fn = nullptr;
  const Op* op = nullptr;
  bool ended = false, muted = false, record = false, child = false, stepper = false;
  bool inside = false;  // directly inside an op of PyTorch's
  uint64_t index = 0, order = 0, step = 0, parent = 0, depth = 0;
  uint16_t flags = 0;
  int exceptions = 0;
  size_t ranges = 0;  // how many ranges were open before it
  uint32_t range = 0, scalars = 0, name = 0;
  std::string alert;
  int threads = 0;
  uint8_t rng = 0;
  uint64_t before[2] = {0, 0};
  at::Generator generator;
  size_t inputs = 0;
  Bytes input_bytes;
  std::vector<const void*> storages;  // of its inputs, to tell views
  struct Written {
    const void* storage;
    uint64_t epoch;
    bool owner;
  };
  std::vector<Written> written;
  std::vector<std::pair<int, IValue>> kept;  // arguments it writes and does not return, for its own duration only
};

class File {
 public:
  bool open(const std::string& path, const std::string& header) {
    path_ = path;
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd_ < 0) return false;
    if (posix_fallocate(fd_, 0, kHeader) == 0) {
      void* page = mmap(nullptr, kHeader, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
      if (page != MAP_FAILED) {
        header_ = static_cast<uint8_t*>(page);
        memset(header_, ' ', kHeader);
        memcpy(header_, "SBOPS\0\0\1", 8);
        memcpy(header_ + 16, header.data(), std::min(header.size(), kHeader - 17));
        header_[kHeader - 1] = '\n';
        length_ = kHeader;
        commit();
        return true;
      }
    }
    close(false);
    unlink(path.c_str());
    return false;
  }
  bool is_open() const { return header_ != nullptr; }
  uint64_t length() const { return length_; }

  // Adds the pieces as one whole, or nothing. `spare`: how much room must be left behind it.
  bool add(const uint8_t* head, size_t head_size, const uint8_t* body, size_t body_size, size_t spare) {
    const size_t count = head_size + body_size;
    if (!is_open() || (length_ + count + spare > end_ && (spare == 0 || !advance(count + spare)))) return false;
    memcpy(window_ + (length_ - start_), head, head_size);
    if (body_size != 0) memcpy(window_ + (length_ - start_) + head_size, body, body_size);
    length_ += count;
    commit();
    return true;
  }

  // Keeps the header and what lies from `start` on, in a new file that takes the old one's name.
  bool drop_before(uint64_t start) {
    if (!is_open() || start <= kHeader) return false;
    File other;
    const std::string text(reinterpret_cast<const char*>(header_) + 16, kHeader - 16);
    if (!other.open(path_ + ".new", text)) return false;
    std::vector<uint8_t> block(1 << 20);
    for (uint64_t at = start; at < length_;) {
      const ssize_t got = pread(fd_, block.data(), std::min<uint64_t>(block.size(), length_ - at), static_cast<off_t>(at));
      if (got <= 0 || !other.add(block.data(), static_cast<size_t>(got), nullptr, 0, kTail)) {
        other.close(false);
        unlink(other.path_.c_str());
        return false;
      }
      at += static_cast<uint64_t>(got);
    }
    if (rename(other.path_.c_str(), path_.c_str()) != 0) {
      other.close(false);
      unlink(other.path_.c_str());
      return false;
    }
    other.path_ = path_;
    close(false);
    std::swap(*this, other);
    return true;
  }

  // `trim`: cuts the room off that was never written. A forked child lets go without touching its parent's file.
  void close(bool trim) {
    if (header_ != nullptr) munmap(header_, kHeader);
    if (window_ != nullptr) munmap(window_, end_ - start_);
    if (trim && fd_ >= 0 && ftruncate(fd_, static_cast<off_t>(length_)) != 0) { /* longer than needed, and readable */ }
    if (fd_ >= 0) ::close(fd_);
    header_ = window_ = nullptr;
    fd_ = -1;
    end_ = start_ = 0;
  }

 private:
  // The kernel keeps these pages whatever ends the process; a reader trusts what lies before this length.
  void commit() { __atomic_store_n(reinterpret_cast<uint64_t*>(header_ + 8), length_, __ATOMIC_RELEASE); }

  // Maps the next window. The disk space is taken first: writing to a hole on a full disk would kill the program.
  bool advance(size_t count) {
    const uint64_t start = length_ / 4096 * 4096;
    const size_t size = (std::max(count + 4096, next_) + 4095) / 4096 * 4096;
    if (posix_fallocate(fd_, static_cast<off_t>(start), static_cast<off_t>(size)) != 0) return false;
    void* window = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_, static_cast<off_t>(start));
    if (window == MAP_FAILED) return false;
    if (window_ != nullptr) munmap(window_, end_ - start_);
    window_ = static_cast<uint8_t*>(window);
    start_ = start;
    end_ = start + size;
    next_ = std::min(2 * next_, kLastWindow);
    return true;
  }

  std::string path_;
  int fd_ = -1;
  uint8_t *header_ = nullptr, *window_ = nullptr;
  uint64_t length_ = 0, start_ = 0, end_ = 0;  // bytes written; the window's place in the file
  size_t next_ = kFirstWindow;
};

std::string json(const std::string& text) {
  std::string out = "\"";
  for (unsigned char c : text) {
    char escape[8];
    snprintf(escape, sizeof escape, "\\u%04x", c);
    // Bytes above 126 may be half a character once cut; an argument's exact letters matter to nobody.
    if (c == '"' || c == '\\') out += '\\', out += static_cast<char>(c);
    else if (c < 32) out += escape;
    else out += c > 126 ? '?' : static_cast<char>(c);
  }
  return out + '"';
}

struct Stream {
  std::mutex mutex;  // held by its thread during a callback, and by the exit handler at the end
  uint64_t session = 0;
  uint32_t number = 0;
  const char* role = "main";
  bool parallel = true;  // may hash on several threads
  bool opened = false, stopped = false, closed = false;
  File file;
  uint64_t index = 0, recorded = 0, hashed = 0, hashed_bytes = 0, cached = 0;
  std::map<std::string, uint64_t> skipped;
  std::vector<std::unique_ptr<Frame>> frames;  // more than `depth`: ended ones are used again
  size_t depth = 0;
  struct Range {
    std::string name;
    uint32_t id;
  };
  std::vector<Range> ranges;
  size_t compiled = 0;  // open ranges that are compiled regions
  // Strings already in the file. An id is never used for a second string.
  std::unordered_map<std::string, uint32_t> strings, scalars;
  uint32_t next_string = 0;
  std::vector<std::pair<uint32_t, uint32_t>> op_names;  // by op number, ids plus one
  std::vector<uint32_t> dtype_names, device_names;      // ids plus one
  struct Recent {
    const char *name = nullptr, *overload = nullptr;
    const Op* op = nullptr;
  };
  Recent recent[256];
  std::string scratch, key;
  Bytes record, outputs;  // the record being made; its last part, which is made first
  // The ring of `last`: where the older and the newer generation of steps begin in the file.
  uint64_t generation_start = kHeader, generation_step = 0;
  // Records that wait for digests from a device, and the places there.
  struct Ring {
    int device;
    at::Tensor sums;
    uint32_t used;
  };
  std::vector<Ring> rings;
  Bytes waiting;
  uint64_t drains = 0;

  void skip(const char* reason) { ++skipped[reason]; }
  void open();
  void add(Kind kind, const Bytes& payload);
  void stop(const char* what);
  uint32_t intern(std::string_view text);
  void forget_strings();
  void drain();
  void step_begins(uint64_t step, const char* source);
  void finish();
};

thread_local Stream* tls_stream = nullptr;
thread_local bool tls_busy = false;   // inside a callback: ops called there are the recorder's own
thread_local bool tls_ended = false;  // the thread is being torn down

struct Busy {
  bool before = tls_busy;
  Busy() { tls_busy = true; }
  ~Busy() { tls_busy = before; }
};

void Stream::open() {
  opened = true;
  Process& p = process();
  std::ostringstream out;
  out << "{\"format\":1,\"torch\":" << json(TORCH_VERSION) << ",\"pid\":" << getpid() << ",\"ppid\":" << getppid()
      << ",\"role\":" << json(p.role) << ",\"thread\":" << number << ",\"thread_role\":" << json(role)
      << ",\"threads\":" << at::get_num_threads() << ",\"rank\":{";
  const char* comma = "";
  for (const char* name : {"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "OMPI_COMM_WORLD_RANK",
                           "PMI_RANK", "SLURM_PROCID"}) {
    if (const char* value = getenv(name)) {
      out << comma << json(name) << ':' << json(std::string(value).substr(0, 40));
      comma = ",";
    }
  }
  out << "},\"argv\":[";
  std::ifstream words("/proc/self/cmdline", std::ios::binary);
  std::string word;
  comma = "";
  for (int i = 0; i < 32 && std::getline(words, word, '\0') && out.tellp() < 3400; ++i) {
    out << comma << json(word.substr(0, 200));
    comma = ",";
  }
  out << "]}";
  // A process that execs keeps its number: the image after it takes another name.
  for (int image = 0; image < 100 && !file.is_open(); ++image) {
    std::string path = p.config.folder + "/p" + std::to_string(getpid());
    if (image != 0) path += "." + std::to_string(image);
    if (!file.open(path + "-t" + std::to_string(number) + ".ops", out.str()) && errno != EEXIST) break;
  }
  stopped = !file.is_open();
  if (!stopped) p.bytes += kHeader;
  forget_strings();
}

void Stream::add(Kind kind, const Bytes& payload) {
  if (stopped) return;
  uint8_t head[5];
  const auto size = static_cast<uint32_t>(payload.size() + 1);
  memcpy(head, &size, 4);
  head[4] = kind;
  if (!rings.empty() && (!payload.gaps.empty() || waiting.size() != 0)) {
    waiting.raw(head, 5);
    waiting.append(payload);
    return;
  }
  if (process().bytes.fetch_add(size + 4) + size + 4 > process().config.limit) return stop("bytes");
  if (!file.add(head, 5, payload.data(), payload.size(), kTail)) stop("disk");
}

// The last records of a recording that cannot go on, in the room kept for them.
void Stream::stop(const char* what) {
  if (stopped) return;
  stopped = true;
  auto put = [&](Kind kind, const Bytes& b) {
    uint8_t head[5];
    const auto size = static_cast<uint32_t>(b.size() + 1);
    memcpy(head, &size, 4);
    head[4] = kind;
    file.add(head, 5, b.data(), b.size(), 0);
  };
  Bytes name, limit;
  name.varint(next_string);
  name.raw(what, strlen(what));
  put(STRING, name);
  limit.varint(next_string++);
  limit.varint(index);
  put(LIMIT, limit);
}

uint32_t Stream::intern(std::string_view text) {
  scratch.assign(text.data(), std::min<size_t>(text.size(), 4096));
  auto found = strings.find(scratch);
  if (found != strings.end()) return found->second;
  // Numbers that change at every step would otherwise fill the memory.
  if (strings.size() > 100000) strings.clear();
  const uint32_t id = next_string++;
  strings.emplace(scratch, id);
  Bytes payload;
  payload.varint(id);
  payload.raw(scratch.data(), scratch.size());
  add(STRING, payload);
  return id;
}

void Stream::forget_strings() {
  strings.clear();
  scalars.clear();
  op_names.clear();
  dtype_names.clear();
  device_names.clear();
  for (Range& range : ranges) range.id = 0;
  // The empty string is 0, always.
  strings.emplace("", 0);
  next_string = std::max(next_string, 1u);
  Bytes empty;
  empty.varint(0);
  add(STRING, empty);
}

void end_stream() {
  Stream* s = std::exchange(tls_stream, nullptr);
  if (s == nullptr) return;
  Busy busy;
  try {
    Process& p = process();
    std::lock_guard<std::mutex> list(p.mutex);
    p.streams.erase(std::remove(p.streams.begin(), p.streams.end(), s), p.streams.end());
    {
      std::lock_guard<std::mutex> own(s->mutex);
      s->finish();
    }
    delete s;
  } catch (...) {
  }
}

// The current thread's stream, made at first need.
Stream* current_stream() {
  Process& p = process();
  if (tls_ended || (tls_stream != nullptr && tls_stream->session == p.session)) return tls_stream;
  end_stream();
  struct AtThreadEnd {
    ~AtThreadEnd() {
      tls_ended = true;
      end_stream();
    }
  };
  static thread_local AtThreadEnd at_thread_end;
  (void)at_thread_end;
  auto* s = new Stream;
  s->session = p.session;
  s->number = p.threads++;
  s->parallel = p.role == "0";  // OpenMP's threads do not survive a fork: asking for them there may hang
  char name[32] = "";
  prctl(PR_GET_NAME, name);
  if (strncmp(name, "pt_autograd", 11) == 0) s->role = "autograd";
  else if (syscall(SYS_gettid) != getpid()) s->role = "worker";
  {
    std::lock_guard<std::mutex> lock(p.mutex);
    p.streams.push_back(s);
  }
  std::lock_guard<std::mutex> lock(p.names);
  p.thread_of[RecordFunction::currentThreadId()] = s->number;
  return tls_stream = s;
}

// ---- CUDA: digests stay on the device until the step ends. Not yet run on a GPU. ----

constexpr uint32_t kSlots = 1 << 14;

// Whether the current stream is recording a graph, where nothing may be added.
bool capturing(const at::Tensor& t) {
  using Capturing = int (*)(void*, int*);
  static const auto asked = reinterpret_cast<Capturing>(dlsym(RTLD_DEFAULT, "cudaStreamIsCapturing"));
  static const auto loaded = asked != nullptr ? asked : [] {
    void* library = dlopen("libcudart.so.13", RTLD_NOW | RTLD_NOLOAD);
    if (library == nullptr) library = dlopen("libcudart.so.12", RTLD_NOW | RTLD_NOLOAD);
    return library == nullptr ? nullptr : reinterpret_cast<Capturing>(dlsym(library, "cudaStreamIsCapturing"));
  }();
  if (loaded == nullptr) return false;
  int state = 0;
  const c10::impl::VirtualGuardImpl guard(c10::DeviceType::CUDA);
  return loaded(guard.getStream(t.device()).native_handle(), &state) == 0 && state != 0;
}

// The formula of lanes_at in tensor operations, as in ffi/torch_shim.cpp, on the current CUDA stream.
Digest hash_on_device(Stream& s, const at::Tensor& tensor) {
  at::AutoDispatchBelowADInplaceOrView below;
  at::NoGradGuard no_grad;
  constexpr int64_t chunk = 16 << 20;
  const int device = tensor.get_device();
  size_t ring = 0;
  while (ring < s.rings.size() && (s.rings[ring].device != device || s.rings[ring].used == kSlots)) ++ring;
  if (ring == s.rings.size())
    s.rings.push_back({device, at::zeros({kSlots, 2}, tensor.options().dtype(at::kLong).requires_grad(false)), 0});
  Digest digest;
  digest.ring = static_cast<uint32_t>(ring) + 1;
  digest.slot = s.rings[ring].used++;
  digest.drained = s.drains;
  at::Tensor total = s.rings[ring].sums.select(0, digest.slot);
  at::Tensor t = tensor.detach().resolve_conj().resolve_neg().contiguous();
  if (t.numel() == 0) return digest;
  at::Tensor bytes = t.flatten().view(at::kByte);
  auto shifted = [](const at::Tensor& z, int64_t by) {
    return z.bitwise_right_shift(by).bitwise_and_((int64_t(1) << (64 - by)) - 1);
  };
  for (int64_t start = 0; start < bytes.numel(); start += chunk) {
    at::Tensor piece = bytes.narrow(0, start, std::min(chunk, bytes.numel() - start));
    const int64_t pad = (8 - piece.numel() % 8) % 8;
    if (pad != 0) piece = at::constant_pad_nd(piece, {0, pad});
    if (reinterpret_cast<uintptr_t>(piece.data_ptr()) % 8 != 0) piece = piece.clone();
    const at::Tensor words = piece.view(at::kLong);
    const at::Tensor index = at::arange(start / 8 + 1, start / 8 + 1 + words.numel(), words.options());
    at::Tensor z = words.bitwise_xor(index * static_cast<int64_t>(kPosition));
    z = z.bitwise_xor_(shifted(z, 30)).mul_(static_cast<int64_t>(kMultiply1));
    z = z.bitwise_xor_(shifted(z, 27)).mul_(static_cast<int64_t>(kMultiply2));
    z = z.bitwise_xor_(shifted(z, 31));
    total[0] += z.sum();
    total[1] += z.mul_(index).sum();
  }
  return digest;
}

// Fetches the digests and writes the records that waited for them.
void Stream::drain() {
  if (rings.empty()) return;
  std::vector<at::Tensor> sums;
  for (Ring& ring : rings) {
    at::detail::getCUDAHooks().deviceSynchronize(static_cast<c10::DeviceIndex>(ring.device));
    sums.push_back(ring.sums.cpu());
  }
  for (const Gap& gap : waiting.gaps) {
    const int64_t* row = sums[gap.ring].const_data_ptr<int64_t>() + 2 * gap.slot;
    memcpy(waiting.patch(gap.at), row, 16);
  }
  rings.clear();
  ++drains;
  if (waiting.size() != 0) {
    if (process().bytes.fetch_add(waiting.size()) + waiting.size() > process().config.limit) stop("bytes");
    else if (!stopped && !file.add(waiting.data(), waiting.size(), nullptr, 0, kTail)) stop("disk");
  }
  waiting.clear();
}

// ---- tensors: one entry of a record ----

// Why a tensor's bytes cannot be had, or null.
const char* out_of_reach(const at::TensorImpl* impl) {
  using c10::DispatchKey;
  const auto keys = impl->key_set();
  if (keys.has(DispatchKey::Python))
    return impl->has_storage() && impl->unsafe_storage().device_type() != c10::DeviceType::Meta ? "subclass" : "fake";
  for (auto key : {DispatchKey::FuncTorchBatched, DispatchKey::FuncTorchGradWrapper, DispatchKey::BatchedNestedTensor,
                   DispatchKey::Functionalize})
    if (keys.has(key)) return "functorch";
  if (keys.has(DispatchKey::ZeroTensor)) return "zero tensor";
  if (impl->is_nested()) return "nested";
  if (impl->is_sparse() || impl->is_sparse_csr()) return "sparse";
  if (keys.has(DispatchKey::MkldnnCPU)) return "mkldnn";
  if (!impl->has_storage()) return "no storage";
  if (impl->has_symbolic_sizes_strides()) return "symbolic";
  const auto device = impl->unsafe_storage().device_type();
  if (device == c10::DeviceType::Meta) return "meta";
  if (device != c10::DeviceType::CPU && device != c10::DeviceType::CUDA) return "device";
  return nullptr;
}

// Whether the tensor's elements lie inside its storage: a sparse format in disguise or a storage that shrank.
bool in_bounds(const at::Tensor& t, const Layout& l) {
  return l.count == 0 || (l.data != nullptr && l.offset + l.extent <= t.unsafeGetTensorImpl()->unsafe_storage().nbytes());
}

enum State : uint8_t { DIGEST = 0, IS_VIEW = 1, IS_FRESH = 2, SKIPPED = 3, KNOWN = 4 };
enum TensorFlag : uint8_t { WRITTEN = 1, EXTERNAL = 2, OVERLAP = 4, UNDEFINED = 8 };

struct Entry {
  size_t argument = 0;
  int64_t item = -1;
  State state = SKIPPED;
  const char* reason = nullptr;
  bool has_digest = false;
  Digest digest;
  uint64_t storage = 0;
  uint8_t flags = 0;
};

uint32_t dtype_id(Stream& s, c10::ScalarType type) {
  const auto at = static_cast<size_t>(type);
  if (at >= s.dtype_names.size()) s.dtype_names.resize(at + 1);
  if (s.dtype_names[at] == 0) {
    const bool named = type != c10::ScalarType::Undefined && at < static_cast<size_t>(c10::ScalarType::NumOptions);
    s.dtype_names[at] = s.intern(named ? c10::getDtypeNames(type).first : "") + 1;
  }
  return s.dtype_names[at] - 1;
}

uint32_t device_id(Stream& s, c10::Device device) {
  const size_t at = static_cast<size_t>(device.type()) * 64 + static_cast<size_t>(device.index() + 1) % 64;
  if (at >= s.device_names.size()) s.device_names.resize(at + 1);
  if (s.device_names[at] == 0) s.device_names[at] = s.intern(device.str()) + 1;
  return s.device_names[at] - 1;
}

void put(Stream& s, Bytes& out, const at::Tensor& t, const Entry& e) {
  const bool shaped = e.state != SKIPPED || (e.reason != nullptr && strcmp(e.reason, "meta") == 0);
  out.varint(e.argument);
  out.varint(static_cast<uint64_t>(e.item + 1));
  out.varint(t.defined() ? dtype_id(s, t.scalar_type()) : 0);
  out.varint(t.defined() && t.has_storage() ? device_id(s, t.unsafeGetTensorImpl()->unsafe_storage().device()) : 0);
  out.varint(shaped ? static_cast<uint64_t>(t.dim()) : 0);
  if (shaped) {
    for (int64_t size : t.sizes()) out.varint(static_cast<uint64_t>(size));
    for (int64_t stride : t.strides()) out.zigzag(stride);
  }
  out.varint(shaped ? static_cast<uint64_t>(t.storage_offset()) : 0);
  out.varint(e.storage);
  out.u8(e.state);
  if (e.state == SKIPPED) {
    s.skip(e.reason);
    out.varint(s.intern(e.reason));
  }
  out.u8(e.has_digest);
  if (e.has_digest) out.digest(e.digest);
  out.u8(e.flags);
}

Digest hash_now(Stream& s, const at::Tensor& t, const Layout& l) {
  ++s.hashed;
  s.hashed_bytes += l.bytes();
  if (t.is_cuda()) return hash_on_device(s, t);
  Digest digest;
  digest.lanes = hash(l, s.parallel);
  return digest;
}

// A digest that is known and, if on a device, not yet fetched away.
const Digest* known(const Stream& s, const Storage& storage, const Layout& l) {
  const Digest* d = storage.find(l.key);
  return d != nullptr && (d->ring == 0 || d->drained == s.drains) ? d : nullptr;
}

void remember(const at::Tensor& t, const Layout& l, uint64_t epoch, const Digest& digest) {
  std::lock_guard<std::mutex> lock(table().mutex);
  Storage* storage = table().at(t.unsafeGetTensorImpl()->unsafe_storage().unsafeGetStorageImpl());
  if (storage != nullptr && storage->epoch == epoch && storage->find(l.key) == nullptr) storage->remember(l.key, digest);
}

// Tensors that have no bytes to look at, and where they are wrapped ones, the op's flag for that.
bool put_out_of_reach(Stream& s, Frame& f, Bytes& out, const at::Tensor& t, Entry& e) {
  if (!t.defined()) {
    e.reason = "undefined";
    e.flags |= UNDEFINED;
  } else {
    e.reason = out_of_reach(t.unsafeGetTensorImpl());
    if (e.reason == nullptr) return false;
    if (t.unsafeGetTensorImpl()->key_set().has(c10::DispatchKey::Python) || strcmp(e.reason, "functorch") == 0)
      f.flags |= WRAPPED;
  }
  put(s, out, t, e);
  return true;
}

void put_values(Stream& s, uint64_t op, bool output, const at::Tensor& t, const Entry& e) {
  const at::Tensor host = t.is_cpu() ? t : t.cpu();
  const Layout l = layout_of(host);
  if (l.bytes() > (64 << 20) || !in_bounds(host, l)) return;
  Bytes payload;
  payload.varint(op);
  payload.u8(output);
  payload.varint(e.argument);
  payload.varint(static_cast<uint64_t>(e.item + 1));
  payload.varint(dtype_id(s, t.scalar_type()));
  payload.varint(static_cast<uint64_t>(t.dim()));
  for (int64_t size : t.sizes()) payload.varint(static_cast<uint64_t>(size));
  std::vector<uint8_t> bytes(l.bytes());
  if (l.count != 0) gather(l, 0, l.count, bytes.data());
  payload.raw(bytes.data(), bytes.size());
  s.add(VALUES, payload);
}

bool keeps(const Stream& s, const Frame& f) {
  const int64_t keep = process().config.keep;
  return keep >= 0 && s.number == 0 && f.record && std::abs(static_cast<int64_t>(f.index) - keep) <= 2;
}

void put_input(Stream& s, Frame& f, const at::Tensor& t, size_t argument, int64_t item) {
  Entry e;
  e.argument = argument;
  e.item = item;
  const bool writes = f.op != nullptr && argument < f.op->writes.size() && f.op->writes[argument];
  if (writes) e.flags |= WRITTEN;
  ++f.inputs;
  if (put_out_of_reach(s, f, f.input_bytes, t, e)) return;
  const Layout l = layout_of(t);
  if (l.overlap) e.flags |= OVERLAP;
  bool look = false;
  uint64_t epoch = 0;
  const bool captured = t.is_cuda() && capturing(t);
  {
    std::lock_guard<std::mutex> lock(table().mutex);
    // A number that became a tensor is as good as an argument.
    Storage& storage = table().of(t, f.inside && !t.unsafeGetTensorImpl()->is_wrapped_number());
    const void* id = t.unsafeGetTensorImpl()->unsafe_storage().unsafeGetStorageImpl();
    f.storages.push_back(id);
    if (f.op != nullptr && f.op->adopts && storage.fresh) {
      storage.fresh = false;
      storage.external = true;
      storage.changed();
    }
    // Fresh memory that was filled behind our back (by NumPy, by torch.tensor) is not uninitialised.
    // A view does not read: its record must not hang on what memory happens to hold, or on a collective under way.
    const bool reads = f.op == nullptr || f.op->adopts || f.op->flying || !(f.op->views || f.op->touches);
    if (reads && !writes && !storage.covers(l) && t.is_cpu() && sample(storage.data, storage.size) != storage.content && storage.filled == 0) {
      storage.fresh = false;
      storage.external = true;
      storage.changed();
    }
    const bool fresh = !storage.covers(l) && l.count != 0;
    if (fresh && !writes && f.op != nullptr && !f.op->touches) f.flags |= UNINITIALISED;
    if (writes) {
      const uint32_t me = s.number + 1;
      const bool autograd = strcmp(s.role, "autograd") == 0;
      // Another op writes it at this moment, or a thread that takes turns with this one wrote it last. The engine's own
      // threads take turns with the program's by design.
      if (storage.writing != 0 && storage.writing != me) f.flags |= RACE;
      if (!autograd && storage.writer != 0 && storage.writer != me && (storage.writers >> (s.number % 64) & 1)) f.flags |= RACE;
      f.written.push_back({id, storage.epoch, storage.writing == 0});
      if (storage.writing == 0) storage.writing = me;
    }
    epoch = storage.epoch;
    e.storage = storage.number;
    if (storage.external && !fresh) e.flags |= EXTERNAL;
    const bool full = process().config.full;
    const bool again = (full && !storage.inner) || storage.hidden || (storage.external && l.bytes() <= (64 << 10));
    const Digest* digest = again ? nullptr : known(s, storage, l);
    if (digest != nullptr) {
      e.has_digest = true;
      e.digest = *digest;
      ++s.cached;
    }
    look = reads && !fresh && digest == nullptr && (again || storage.external || (storage.inner && !writes));
    e.state = fresh ? IS_FRESH : look ? DIGEST : KNOWN;
  }
  if (captured || !in_bounds(t, l)) {
    e.state = SKIPPED;
    e.reason = captured ? "capture" : "no storage";
    e.has_digest = false;
    if (captured) f.flags |= CAPTURED;
  } else if (look) {
    e.digest = hash_now(s, t, l);
    e.has_digest = true;
    remember(t, l, epoch, e.digest);
  }
  put(s, f.input_bytes, t, e);
  if (keeps(s, f) && e.state != SKIPPED) put_values(s, f.index, false, t, e);
}

// `argument`: for what the op wrote, the argument; otherwise the place among the outputs.
// Returns whether it is no more than a view.
bool put_output(Stream& s, Frame& f, const at::Tensor& t, size_t argument, int64_t item, bool written) {
  Entry e;
  e.argument = argument;
  e.item = item;
  if (written) e.flags |= WRITTEN;
  if (put_out_of_reach(s, f, s.outputs, t, e)) return false;
  const Layout l = layout_of(t);
  if (l.overlap) e.flags |= OVERLAP;
  const Op* op = f.op;
  const void* id = t.unsafeGetTensorImpl()->unsafe_storage().unsafeGetStorageImpl();
  const bool captured = t.is_cuda() && capturing(t);
  bool look = false, view = false;
  uint64_t epoch = 0;
  std::vector<c10::weak_intrusive_ptr<c10::StorageImpl>> dead;
  {
    std::lock_guard<std::mutex> lock(table().mutex);
    dead = table().sweep();
    const Storage* before = table().at(id);
    const size_t old_size = before == nullptr ? 0 : before->size;
    const bool is_new = before == nullptr;
    Storage& storage = table().of(t, f.inside);
    e.storage = storage.number;
    const bool input = std::find(f.storages.begin(), f.storages.end(), id) != f.storages.end();
    const bool metadata = op != nullptr && op->metadata;
    if (metadata && !is_new && storage.size > old_size) {
      // Grown: what was there is kept, and what was added is uninitialised.
      storage.low = 0;
      storage.high = storage.filled = storage.fresh ? storage.high : old_size;
      storage.fresh = true;
      storage.external &= old_size != 0;
      if (t.is_cpu()) storage.content = sample(storage.data, storage.size);
    }
    if ((op != nullptr && op->flying) || captured) {
      if (!input || captured) {
        storage.changed();
        storage.external = true;
        storage.fresh = false;
        storage.hidden = captured;
      }
      e.reason = captured ? "capture" : "collective";
    } else if (!written && (input || metadata)) {
      view = true;
      e.state = storage.covers(l) || l.count == 0 ? IS_VIEW : IS_FRESH;
    } else if (op != nullptr && op->allocates && !written) {
      if (is_new) {
        storage.fresh = storage.size != 0;
        storage.external = false;
        if (t.is_cpu()) storage.content = sample(storage.data, storage.size);
      }
      e.state = storage.fresh ? IS_FRESH : IS_VIEW;
    } else {
      // Ops inside a composite one have been recorded, with what they wrote: unless nobody wrote this, or the ops
      // inside wrote something else.
      bool inside = op != nullptr && op->composite && !process().config.full && !is_new && !storage.fresh && !storage.external && !storage.inner;
      for (const auto& w : f.written)
        if (w.storage == id && w.epoch == storage.epoch) inside = false;
      if (!inside) storage.written(l, s.number);
      const Digest* digest = inside ? known(s, storage, l) : nullptr;
      if (digest != nullptr) {
        e.digest = *digest;
        ++s.cached;
      }
      look = digest == nullptr;
      e.has_digest = true;
      e.state = DIGEST;
    }
    if (storage.external && (e.state == DIGEST || e.state == IS_VIEW)) e.flags |= EXTERNAL;
    epoch = storage.epoch;
  }
  if (captured) f.flags |= CAPTURED;
  if (e.state != SKIPPED && !in_bounds(t, l)) {
    e.state = SKIPPED;
    e.reason = "no storage";
    e.has_digest = false;
  } else if (look) {
    e.digest = hash_now(s, t, l);
    remember(t, l, epoch, e.digest);
  }
  put(s, s.outputs, t, e);
  if (keeps(s, f) && e.state != SKIPPED) put_values(s, f.index, true, t, e);
  return view;
}

// ---- the arguments that are no tensors ----

// Calls `visit(tensor, place in its list or -1)` for each tensor of an argument.
template <class F>
void each_tensor(const IValue& value, int64_t item, F&& visit) {
  if (value.isTensor()) {
    visit(value.toTensor(), item);
  } else if (value.isList()) {
    int64_t i = 0;
    for (const IValue& one : value.toListRef()) each_tensor(one, i++, visit);
  } else if (value.isTuple()) {
    int64_t i = 0;
    for (const IValue& one : value.toTupleRef().elements()) each_tensor(one, i++, visit);
  }
}

// Bytes that are equal exactly when the text would be: the text is made only when they are new.
void add_key(std::string& key, const IValue& v) {
  auto raw = [&](char tag, const void* data, size_t size) {
    key += tag;
    key.append(static_cast<const char*>(data), size);
  };
  if (v.isTensor()) {
    key += 'T';
  } else if (v.isNone()) {
    key += 'N';
  } else if (v.isInt()) {
    const int64_t x = v.toInt();
    raw('i', &x, 8);
  } else if (v.isDouble()) {
    const double x = v.toDouble();
    raw('d', &x, 8);
  } else if (v.isBool()) {
    key += v.toBool() ? 't' : 'f';
  } else if (v.isString()) {
    const auto& x = v.toStringRef();
    const size_t size = x.size();
    raw('s', &size, 8);
    key += x;
  } else if (v.isDevice()) {
    const auto x = v.toDevice();
    const int device[2] = {static_cast<int>(x.type()), x.index()};
    raw('v', device, sizeof device);
  } else if (v.isComplexDouble()) {
    const auto x = v.toComplexDouble();
    raw('c', &x, 16);
  } else if (v.isList()) {
    key += '[';
    for (const IValue& one : v.toListRef()) add_key(key, one);
    key += ']';
  } else {
    key += '?';
    key += v.tagKind();
  }
}

void add_double(std::string& out, double x) {
  char text[40];
  // The shortest decimal that means this number.
  for (int digits = 6; digits <= 17; digits += digits == 6 ? 9 : 1) {
    snprintf(text, sizeof text, "%.*g", digits, x);
    if (strtod(text, nullptr) == x) break;
  }
  out += text;
}

void add_text(std::string& out, const IValue& v) {
  if (v.isInt()) {
    out += std::to_string(v.toInt());
  } else if (v.isDouble()) {
    add_double(out, v.toDouble());
  } else if (v.isBool()) {
    out += v.toBool() ? "True" : "False";
  } else if (v.isString()) {
    out += '\'' + v.toStringRef() + '\'';
  } else if (v.isDevice()) {
    out += v.toDevice().str();
  } else if (v.isComplexDouble()) {
    out += '(';
    add_double(out, v.toComplexDouble().real());
    out += ',';
    add_double(out, v.toComplexDouble().imag());
    out += ')';
  } else if (v.isList()) {
    out += '[';
    const char* comma = "";
    for (const IValue& one : v.toListRef()) {
      out += comma;
      add_text(out, one);
      comma = ",";
    }
    out += ']';
  } else {
    out += v.isNone() ? "None" : v.tagKind();
  }
}

bool holds_tensors(const IValue& v) {
  return v.isTensor() || v.isTensorList() || v.isOptionalTensorList();
}

uint32_t scalars_id(Stream& s, const Op* op, c10::ArrayRef<const IValue> inputs) {
  s.key.clear();
  const uint32_t number = op != nullptr ? op->number : 0;
  s.key.append(reinterpret_cast<const char*>(&number), sizeof number);
  bool any = false;
  for (const IValue& v : inputs) {
    if (holds_tensors(v)) {
      s.key += 'T';
    } else {
      add_key(s.key, v);
      any |= !v.isNone();
    }
  }
  if (!any) return 0;
  const auto found = s.scalars.find(s.key);
  if (found != s.scalars.end()) return found->second;
  std::string text;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (holds_tensors(inputs[i]) || inputs[i].isNone()) continue;
    if (!text.empty()) text += ' ';
    text += op != nullptr && i < op->arguments.size() ? op->arguments[i] : std::to_string(i);
    text += '=';
    add_text(text, inputs[i]);
  }
  if (text.size() > 300) {
    char hash[24];
    snprintf(hash, sizeof hash, "…%016llx",
             static_cast<unsigned long long>(lanes_at(0, reinterpret_cast<const uint8_t*>(text.data()), text.size()).sum));
    size_t cut = 280;
    while (cut > 0 && (text[cut] & 0xc0) == 0x80) --cut;
    text = text.substr(0, cut) + hash;
  }
  if (s.scalars.size() > 100000) s.scalars.clear();
  return s.scalars[s.key] = s.intern(text);
}

// ---- generators: looked at, never drawn from ----

// A digest of the CPU generator's state. False where it is in use at this moment.
bool cpu_rng(const at::Generator& generator, uint64_t* digest) {
  auto* impl = dynamic_cast<at::CPUGeneratorImpl*>(generator.unsafeGetGeneratorImpl());
  if (impl == nullptr) return false;
  std::unique_lock<std::mutex> lock(impl->mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return false;
  const auto data = impl->engine().data();
  const auto next_float = impl->next_float_normal_sample();
  const auto next_double = impl->next_double_normal_sample();
  // Field by field: the structure has bytes of padding.
  struct {
    uint64_t seed, place, has_float, has_double;
    double next_float, next_double;
  } rest = {data.seed_, static_cast<uint64_t>(data.left_) << 32 | data.next_, next_float.has_value(), next_double.has_value(),
            next_float.value_or(0), next_double.value_or(0)};
  Lanes lanes = lanes_at(0, reinterpret_cast<const uint8_t*>(data.state_.data()), sizeof data.state_);
  lanes.add(lanes_at(1 << 20, reinterpret_cast<const uint8_t*>(&rest), sizeof rest));
  *digest = lanes.sum ^ (lanes.weighted * kPosition);
  return true;
}

void rng_before(Frame& f, c10::ArrayRef<const IValue> inputs) {
  bool cuda = false;
  int device = -1;
  for (const IValue& v : inputs) {
    if (v.isGenerator()) f.generator = v.toGenerator();
    if (v.isDevice() && v.toDevice().is_cuda()) cuda = true, device = v.toDevice().index();
    each_tensor(v, -1, [&](const at::Tensor& t, int64_t) {
      if (t.defined() && t.is_cuda()) cuda = true, device = t.get_device();
    });
  }
  if (!f.generator.defined())
    f.generator = at::globalContext().defaultGenerator(cuda ? at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device)) : at::Device(at::kCPU));
  if (f.generator.device().is_cuda()) {
    f.before[0] = f.generator.current_seed();
    f.before[1] = f.generator.get_offset();
    f.rng = 2;
  } else if (cpu_rng(f.generator, &f.before[0])) {
    f.rng = 1;
  }
}

void put_rng(Frame& f, Bytes& out) {
  uint64_t after = 0;
  if (f.rng == 1 && !cpu_rng(f.generator, &after)) f.rng = 0;
  out.u8(f.rng);
  if (f.rng == 1) {
    out.u64(f.before[0]);
    out.u64(after);
  } else if (f.rng == 2) {
    out.varint(f.before[0]);
    out.varint(f.before[1]);
    out.varint(f.generator.get_offset());
  }
  f.generator = at::Generator();
}

// ---- the callbacks ----

const Op* recent_op(Stream& s, const RecordFunction& fn) {
  const char* name = fn.name();
  const char* overload = fn.overload_name();
  auto& slot = s.recent[(reinterpret_cast<uintptr_t>(name) >> 4) % 256];
  // The pointers belong to the op's schema, which a library may take along when it is unloaded: the text decides.
  if (slot.op != nullptr && slot.name == name && slot.overload == overload && slot.op->name == name && slot.op->overload == overload) return slot.op;
  const Op* op = op_of(fn);
  if (op != nullptr) slot = {name, overload, op};
  return op;
}

bool in_fake_mode() {
  using Modes = c10::impl::TorchDispatchModeTLS;
  return Modes::any_modes_set() && Modes::get_mode(c10::impl::TorchDispatchModeKey::FAKE).has_value();
}

bool starts_with(const char* text, const char* prefix) { return strncmp(text, prefix, strlen(prefix)) == 0; }

bool ends_step(const char* range) {
  const std::string& marker = process().config.marker;
  return marker.empty() ? starts_with(range, "Optimizer.step#") : marker == range;
}

uint32_t range_id(Stream& s) {
  if (s.ranges.empty()) return 0;
  auto& range = s.ranges.back();
  if (range.id == 0) range.id = s.intern(range.name);
  return range.id;
}

void push_range(Stream& s, const char* name) {
  s.ranges.push_back({name, 0});
  s.compiled += starts_with(name, "Torch-Compiled Region");
}

void pop_range(Stream& s) {
  s.compiled -= starts_with(s.ranges.back().name.c_str(), "Torch-Compiled Region");
  s.ranges.pop_back();
}

Frame& push_frame(Stream& s) {
  if (s.depth == s.frames.size()) s.frames.push_back(std::make_unique<Frame>());
  Frame& f = *s.frames[s.depth++];
  f.ended = f.muted = f.record = f.child = f.stepper = false;
  f.flags = 0;
  f.alert.clear();
  f.rng = 0;
  f.inputs = 0;
  f.scalars = f.range = f.name = 0;
  f.input_bytes.clear();
  f.storages.clear();
  f.written.clear();
  f.kept.clear();
  return f;
}

void end(Stream& s, Frame& f);

void start(Stream& s, const RecordFunction& fn) {
  const RecordScope scope = fn.scope();
  const Op* op = scope == RecordScope::FUNCTION ? recent_op(s, fn) : nullptr;
  // The engine announces each node twice; the node itself says more.
  if (op == nullptr && starts_with(fn.name(), "autograd::engine::evaluate_function")) return;
  Frame* around = s.depth == 0 ? nullptr : s.frames[s.depth - 1].get();
  Frame& f = push_frame(s);
  f.fn = &fn;
  f.op = op;
  // While a graph is traced with fake tensors, ops compute nothing, and how many there are depends on caches.
  f.muted = (around != nullptr && around->muted) || in_fake_mode();
  if (f.muted) {
    if (around == nullptr || !around->muted) s.skip("traced");
    return;
  }
  Process& p = process();
  f.index = s.index++;
  f.order = p.order++;
  f.depth = s.depth - 1;
  f.parent = around == nullptr ? 0 : around->index + 1;
  if (around != nullptr) around->child = true;
  f.inside = around != nullptr && around->op != nullptr && around->op->native;
  f.ranges = s.ranges.size();
  f.exceptions = std::uncaught_exceptions();
  const bool is_step = scope == RecordScope::USER_SCOPE && ends_step(fn.name());
  f.step = p.step;
  f.record = !s.stopped && f.step >= p.config.from && f.step <= p.config.to;
  if (f.record) {
    if (!s.opened) s.open();
    f.range = range_id(s);
    f.threads = at::get_num_threads();
    if (op == nullptr) f.name = s.intern(fn.name());
    if (s.compiled != 0) f.flags |= CAPTURED;
    const auto inputs = fn.inputs();
    f.scalars = scalars_id(s, op, inputs);
    if (op != nullptr && op->random) {
      f.flags |= RANDOM;
      rng_before(f, inputs);
    }
    if (op != nullptr && op->in_place) f.flags |= IN_PLACE;
    for (size_t i = 0; i < inputs.size(); ++i) {
      each_tensor(inputs[i], -1, [&](const at::Tensor& t, int64_t item) { put_input(s, f, t, i, item); });
      if (op != nullptr && op->unreturned && i < op->writes.size() && op->writes[i]) f.kept.emplace_back(i, inputs[i]);
    }
  }
  if (f.record && op != nullptr && op->flying) {
    // It may write whatever it was given, from now on and past its end: look when that is read next.
    std::lock_guard<std::mutex> lock(table().mutex);
    for (const void* id : f.storages)
      if (Storage* storage = table().at(id)) storage->changed(), storage->external = true;
  }
  if (scope == RecordScope::USER_SCOPE) {
    f.stepper = is_step;
    if (is_step) ++p.steppers;
    push_range(s, fn.name());
  }
}

// The first floating-point number of an op's output becomes the next one that can be represented.
void add_one_ulp(Stream& s, Frame& f) {
  // Of an op that calls others, or gives a view or fresh memory, the output is not its own.
  const Op* op = f.op;
  if (f.child || op == nullptr || op->metadata || op->allocates) return;
  bool done = false;
  auto visit = [&](const at::Tensor& t, bool written) {
    if (done || !t.defined() || out_of_reach(t.unsafeGetTensorImpl()) != nullptr || !t.is_floating_point() || t.numel() == 0) return;
    const void* id = t.unsafeGetTensorImpl()->unsafe_storage().unsafeGetStorageImpl();
    if (!written && std::find(f.storages.begin(), f.storages.end(), id) != f.storages.end()) return;
    done = true;
    at::NoGradGuard no_grad;
    at::Tensor place = t.variable_data().as_strided({1}, {1}, t.storage_offset());
    at::Tensor copy = place.cpu();
    // Counted in units in the last place, a float is an integer; carries do the rest.
    auto* bytes = static_cast<uint8_t*>(copy.data_ptr());
    for (int64_t i = 0; i < copy.element_size() && ++bytes[i] == 0; ++i) {
    }
    place.copy_(copy);
  };
  const auto& results = f.fn->outputs();
  for (size_t i = 0; i < results.size(); ++i) {
    const int is = i < op->returns.size() ? op->returns[i] : -1;
    each_tensor(results[i], -1, [&](const at::Tensor& t, int64_t) { visit(t, is >= 0 && op->writes[is]); });
  }
  for (const auto& kept : f.kept) each_tensor(kept.second, -1, [&](const at::Tensor& t, int64_t) { visit(t, true); });
  if (!done) return;
  Bytes note;
  note.varint(s.intern(std::string("one ULP was added to what ") + f.fn->name() + " gave"));
  s.add(NOTE, note);
}

void put_op(Stream& s, Frame& f) {
  Process& p = process();
  const Op* op = f.op;
  if (static_cast<int64_t>(f.index) == p.config.inject && s.number == 0 && p.role == "0") add_one_ulp(s, f);
  // The outputs come last in the record, and first here: what they are decides the flags.
  s.outputs.clear();
  size_t outputs = 0, views = 0;
  const auto& results = f.fn->outputs();
  const bool threw = std::uncaught_exceptions() > f.exceptions;
  for (size_t i = 0; i < results.size() && !threw; ++i) {
    const int is = op != nullptr && i < op->returns.size() ? op->returns[i] : -1;
    const bool written = is >= 0 && op->writes[is];
    each_tensor(results[i], -1, [&](const at::Tensor& t, int64_t item) {
      ++outputs;
      views += put_output(s, f, t, is >= 0 ? is : i, item, written);
    });
  }
  for (const auto& kept : f.kept) {
    if (op != nullptr && std::find(op->returns.begin(), op->returns.end(), kept.first) != op->returns.end()) continue;
    each_tensor(kept.second, -1, [&](const at::Tensor& t, int64_t item) {
      ++outputs;
      put_output(s, f, t, static_cast<size_t>(kept.first), item, true);
    });
  }
  if (threw) f.flags |= THREW;
  if (!f.child) f.flags |= LEAF;
  if (outputs != 0 && views == outputs && (f.flags & IN_PLACE) == 0) f.flags = (f.flags | VIEW) & ~UNINITIALISED;
  {
    std::lock_guard<std::mutex> lock(table().mutex);
    for (const auto& w : f.written) {
      Storage* storage = table().at(w.storage);
      if (storage == nullptr) continue;
      if (w.owner && storage->writing == s.number + 1) storage->writing = 0;
      // Nobody knows how far an op came that threw.
      if (threw) storage->changed(), storage->external = true;
    }
  }
  if (!f.alert.empty()) f.flags |= ALERT;

  uint32_t name = f.name, overload = 0;
  if (op != nullptr) {
    if (op->number >= s.op_names.size()) s.op_names.resize(op->number + 1);
    auto& ids = s.op_names[op->number];
    if (ids.first == 0) {
      ids.second = s.intern(op->overload) + 1;
      ids.first = s.intern(op->name) + 1;
    }
    name = ids.first - 1;
    overload = ids.second - 1;
  }
  const uint32_t alert = f.alert.empty() ? 0 : s.intern(f.alert);
  uint64_t forward = 0;
  if (f.fn->scope() == RecordScope::BACKWARD_FUNCTION && f.fn->forwardThreadId() != 0) {
    std::lock_guard<std::mutex> lock(p.names);
    const auto found = p.thread_of.find(f.fn->forwardThreadId());
    if (found != p.thread_of.end()) forward = found->second + 1;
  }
  const RecordScope scope = f.fn->scope();
  Bytes& out = s.record;
  out.clear();
  out.varint(f.index);
  out.varint(f.order);
  out.varint(f.depth);
  out.varint(f.parent);
  out.u8(scope == RecordScope::FUNCTION ? 0 : scope == RecordScope::BACKWARD_FUNCTION ? 1 : 2);
  out.varint(name);
  out.varint(overload);
  out.varint(f.step);
  out.u8(static_cast<uint8_t>(f.flags));
  out.u8(static_cast<uint8_t>(f.flags >> 8));
  out.zigzag(f.fn->seqNr());
  out.varint(forward);
  out.varint(f.range);
  out.varint(alert);
  out.varint(f.scalars);
  out.varint(static_cast<uint64_t>(f.threads));
  put_rng(f, out);
  out.varint(f.inputs);
  out.append(f.input_bytes);
  out.varint(outputs);
  out.append(s.outputs);
  s.add(OP, out);
  ++s.recorded;
  f.kept.clear();
  for (const auto& ring : s.rings)
    if (ring.used == kSlots) return s.drain();
}

void end(Stream& s, Frame& f) {
  f.ended = true;
  if (f.record) put_op(s, f);
  if (f.stepper && --process().steppers == 0) s.step_begins(++process().step, f.fn->name());
}

void Stream::step_begins(uint64_t step, const char* source) {
  drain();
  Process& p = process();
  if (!opened || stopped) return;
  // With `last`, two generations of at least that many steps each are kept; each defines its own strings.
  if (p.config.last != 0 && step - generation_step >= p.config.last) {
    const uint64_t before = file.length(), start = generation_start;
    generation_start = before;
    if (file.drop_before(start)) {
      p.bytes -= before - file.length();
      generation_start = file.length();
    }
    generation_step = step;
    forget_strings();
    // What began in an older generation must not speak in that generation's strings.
    for (size_t i = 0; i < depth; ++i) {
      Frame& f = *frames[i];
      f.input_bytes.clear();
      f.inputs = f.scalars = f.range = 0;
      if (f.op == nullptr && f.record) f.name = intern(f.fn->name());
    }
  }
  Bytes payload;
  payload.varint(step);
  payload.varint(intern(source));
  payload.varint(index);
  add(STEP, payload);
}

// Runs `body` on this thread's stream. Nothing gets out of it.
template <class F>
void guarded(F&& body) {
  if (tls_busy || !process().on) return;
  Busy busy;
  try {
    if (Stream* s = current_stream()) {
      std::lock_guard<std::mutex> lock(s->mutex);
      if (s->closed) return;
      try {
        body(*s);
      } catch (...) {
        s->skip("error");
      }
    }
  } catch (...) {
  }
}

// The ranges of collectives begin and end on whichever of their threads is free; the op that asked for it is recorded.
std::unique_ptr<at::ObserverContext> on_start(const RecordFunction& fn) {
  if (!fn.isAsync()) guarded([&](Stream& s) { start(s, fn); });
  return nullptr;
}

void on_end(const RecordFunction& fn, at::ObserverContext*) {
  if (fn.isAsync()) return;
  guarded([&](Stream& s) {
    // Nearly always the innermost; Python may end ranges in any order, and one that began elsewhere is not ours.
    size_t at = s.depth;
    while (at > 0 && (s.frames[at - 1]->fn != &fn || s.frames[at - 1]->ended)) --at;
    if (at == 0) return;
    Frame& f = *s.frames[at - 1];
    if (!f.muted) {
      while (fn.scope() == RecordScope::USER_SCOPE && s.ranges.size() > f.ranges) pop_range(s);
      f.ended = true;
      try {
        end(s, f);
      } catch (...) {
        s.skip("error");
      }
    }
    f.ended = true;
    while (s.depth > 0 && s.frames[s.depth - 1]->ended) --s.depth;
  });
}

// ---- beginning and end ----

void Stream::finish() {
  if (closed) return;
  closed = true;
  if (!file.is_open()) return;
  try {
    drain();
  } catch (...) {
    skip("device gone");
    rings.clear();
    waiting.clear();
  }
  if (!at::hasGlobalCallbacks()) {
    Bytes note;
    note.varint(intern("the recorder's callbacks were removed by the program"));
    add(NOTE, note);
  }
  Bytes payload;
  std::vector<std::pair<uint32_t, uint64_t>> reasons;
  for (const auto& [reason, count] : skipped) reasons.emplace_back(intern(reason), count);
  payload.u8(0);
  for (uint64_t v : {index, recorded, hashed, hashed_bytes, cached}) payload.varint(v);
  payload.varint(reasons.size());
  for (const auto& [reason, count] : reasons) {
    payload.varint(reason);
    payload.varint(count);
  }
  add(END, payload);
  file.close(true);
}

void finish_all() {
  Process& p = process();
  if (!p.on.exchange(false)) return;
  Busy busy;
  try {
    std::lock_guard<std::mutex> list(p.mutex);
    for (Stream* s : p.streams) {
      // A thread that is in a callback needs moments. One that hangs there keeps its file, which is readable as it is.
      for (int tries = 0; tries < 1000; ++tries) {
        std::unique_lock<std::mutex> own(s->mutex, std::try_to_lock);
        if (own.owns_lock()) {
          s->finish();
          break;
        }
        usleep(1000);
      }
    }
  } catch (...) {
  }
}

// Nothing is half done in the child if no other thread holds these locks, taken in the order used everywhere.
void before_fork() {
  process().mutex.lock();
  process().names.lock();
  table().mutex.lock();
  ++process().forks;
}

void after_fork_in_parent() {
  Process& p = process();
  const std::string child = p.role + "/f" + std::to_string(p.forks);
  table().mutex.unlock();
  p.names.unlock();
  p.mutex.unlock();
  guarded([&](Stream& s) {
    if (!s.opened || s.stopped) return;
    Bytes payload;
    payload.varint(s.intern(child));
    payload.varint(s.index);
    s.add(FORK, payload);
  });
}

// The child has the forking thread alone, and must not touch its parent's files: it lets them go, and the streams with
// them, whose locks other threads may have held.
void after_fork_in_child() {
  Process& p = process();
  for (Stream* s : p.streams) s->file.close(false);
  p.streams.clear();
  p.thread_of.clear();
  p.role += "/f" + std::to_string(p.forks);
  p.forks = 0;
  p.threads = 0;
  p.order = 0;
  p.bytes = 0;
  p.steppers = 0;
  tls_stream = nullptr;
  table().mutex.unlock();
  p.names.unlock();
  p.mutex.unlock();
  Busy busy;
  try {
    if (p.on) current_stream();
  } catch (...) {
  }
}

void start_with(const char* text) {
  Process& p = process();
  if (p.on || text == nullptr) return;
  p.config = parse(text);
  if (p.config.folder.empty()) return;
  static bool once = false;
  if (!once) {
    once = true;
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    atexit(finish_all);
  }
  table().clear();
  ++p.session;
  p.order = p.step = p.bytes = 0;
  p.steppers = 0;
  p.threads = 0;
  p.on = true;
  {
    Busy busy;
    current_stream();  // this thread is number 0
  }
  p.callback = at::addGlobalCallback(at::RecordFunctionCallback(&on_start, &on_end)
                                         .needsInputs(true)
                                         .needsOutputs(true)
                                         .scopes({RecordScope::FUNCTION, RecordScope::BACKWARD_FUNCTION, RecordScope::USER_SCOPE}));
}

}  // namespace

extern "C" {

// 0 if ops are recorded from now on.
int samebits_record_start_with(const char* config) {
  try {
    start_with(config);
  } catch (...) {
  }
  return process().on ? 0 : -1;
}

void samebits_record_start() { samebits_record_start_with(getenv("SAMEBITS_RECORD")); }

void samebits_record_stop() {
  Process& p = process();
  if (!p.on) return;
  // In this order: callbacks that are gone at the end were removed by somebody else.
  finish_all();
  try {
    at::removeCallback(p.callback);
  } catch (...) {
  }
}

// A step begins, says a program whose optimisers announce nothing.
void samebits_record_step(uint64_t step) {
  guarded([&](Stream& s) {
    process().step = step;
    s.step_begins(step, "samebits");
  });
}

// The module or part of a program that this thread is in from now on.
void samebits_range_push(const char* name) {
  guarded([&](Stream& s) { push_range(s, name); });
}

void samebits_range_pop() {
  guarded([&](Stream& s) {
    // Ranges that an op or user range around this one opened are its own to close.
    size_t floor = 0;
    for (size_t i = 0; i < s.depth; ++i)
      if (!s.frames[i]->ended && s.frames[i]->fn->scope() == RecordScope::USER_SCOPE && !s.frames[i]->muted) floor = s.frames[i]->ranges + 1;
    if (s.ranges.size() > floor) pop_range(s);
  });
}

// alert.c: libtorch says that the op running on this thread has no deterministic implementation.
void samebits_record_alert(const char* text, size_t size) {
  guarded([&](Stream& s) {
    for (size_t i = s.depth; i-- > 0;) {
      Frame& f = *s.frames[i];
      if (f.ended || f.op == nullptr) continue;
      f.alert.assign(text, size);
      return;
    }
  });
}

#ifndef SAMEBITS_RECORD_STATIC
__attribute__((constructor)) static void loaded() { samebits_record_start(); }
#endif

}  // extern "C"
