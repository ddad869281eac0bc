// Digests: the two sums of src/digest.rs over a tensor's logical row-major bytes.

#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

namespace {

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

}  // namespace
