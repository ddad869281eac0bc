// What the recorder is told, and what the whole process shares.

#pragma once

#include <ATen/record_function.h>

#include <atomic>
#include <mutex>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

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

}  // namespace
