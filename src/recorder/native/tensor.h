// Tensors: one entry of a record for each that goes into an op or comes out.

#pragma once

#include "device.h"

namespace {

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
enum TensorFlag : uint8_t { WRITTEN = 1, EXTERNAL = 2, OVERLAP = 4, UNDEFINED = 8, NUMBER = 16 };

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
  if (t.defined() && t.unsafeGetTensorImpl()->is_wrapped_number()) e.flags |= NUMBER;
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

}  // namespace
