// What is known about each piece of memory that tensors lie in.

#pragma once

#include "digest.h"

#include <ATen/ATen.h>

#include <mutex>
#include <unordered_map>
#include <vector>

namespace {

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

}  // namespace
