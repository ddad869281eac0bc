// Streams: what one thread records, and the file it goes to.

#pragma once

#include "bytes.h"
#include "file.h"
#include "op.h"

#include <torch/version.h>

#include <sys/prctl.h>
#include <sys/syscall.h>

#include <fstream>
#include <string_view>

namespace {

using c10::IValue;

enum Kind : uint8_t { STRING = 1, OP = 2, STEP = 3, VALUES = 4, LIMIT = 5, FORK = 6, END = 7, NOTE = 8 };

enum Flag : uint16_t {
  LEAF = 1, THREW = 2, RANDOM = 4, ALERT = 8, UNINITIALISED = 16, RACE = 32, IN_PLACE = 64, VIEW = 128, CAPTURED = 256,
  WRAPPED = 512, ENGINE = 1024
};

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
  size_t engine = 0;    // nodes of autograd's graph that the engine is at, with their hooks
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
  std::string announced;  // what announced the last step
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
  void roll(uint64_t step);
  void put_step(uint64_t step, const char* source);
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

}  // namespace
