// The bytes of a record.

#pragma once

#include "memory.h"

#include <cstring>
#include <vector>

namespace {

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

}  // namespace
