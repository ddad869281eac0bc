// A file that is readable up to the last whole record whatever ends the process, and whatever fills the disk.

#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr size_t kHeader = 4096;
constexpr size_t kFirstWindow = 256 << 10, kLastWindow = 4 << 20;
// Room kept free in every window, so that the end of a recording can be written when the disk is full.
constexpr size_t kTail = 512;

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

}  // namespace
