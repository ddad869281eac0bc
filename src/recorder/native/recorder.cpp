// The op recorder: writes down every operation that libtorch dispatches in this process, with digests of what went in
// and what came out, so that two runs can be laid side by side and the first op that parts them be named.
//
// It is a shared library, loaded into a process that uses libtorch, and built against that same libtorch. What it is told
// stands in the environment variable SAMEBITS_RECORD; without it, it does nothing. What it writes, one file for each
// thread, is described where it is read: recorder/stream.rs. It is one translation unit of several files; this one holds
// the callbacks, its beginning and its end.
//
// Two rules hold everywhere. It changes nothing: no generator, no grad mode, no thread count, no reference to a tensor
// past the end of its op. And it fails alone: a callback never throws, never blocks on Python, and a full disk ends the
// recording, not the program.

// Released libtorch is built with NDEBUG, which decides how at::RecordFunction lies in memory.
#ifndef NDEBUG
#define NDEBUG
#endif

#include "argument.h"
#include "generator.h"
#include "tensor.h"

#include <c10/core/impl/TorchDispatchModeTLS.h>

#include <pthread.h>

namespace {

using at::RecordScope;

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

// Whether this is the engine's own record around a node and its hooks.
bool in_engine(const RecordFunction& fn) {
  return fn.scope() == RecordScope::FUNCTION && starts_with(fn.name(), "autograd::engine::evaluate_function");
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
  // The engine announces each node twice; the node itself says more. Hooks run in the first one only.
  if (op == nullptr && in_engine(fn)) {
    ++s.engine;
    return;
  }
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
    if (!s.stopped) s.roll(f.step);  // threads that announce no steps have older ones too
    f.range = range_id(s);
    f.threads = at::get_num_threads();
    if (op == nullptr) f.name = s.intern(fn.name());
    if (s.compiled != 0) f.flags |= CAPTURED;
    if (s.engine != 0) f.flags |= ENGINE;
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

void Stream::put_step(uint64_t step, const char* source) {
  Bytes payload;
  payload.varint(step);
  payload.varint(intern(source));
  payload.varint(index);
  add(STEP, payload);
}

// With `last`, two generations of at least that many steps each are kept; each defines its own strings.
void Stream::roll(uint64_t step) {
  Process& p = process();
  if (p.config.last == 0 || step - generation_step < p.config.last) return;
  drain();
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

void Stream::step_begins(uint64_t step, const char* source) {
  drain();
  announced = source;
  if (!opened || stopped) return;
  roll(step);
  put_step(step, source);
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
    if (in_engine(fn)) {
      s.engine -= s.engine != 0;
      return;
    }
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
  // A file without ops tells that there were some, and how many steps, where none was to be recorded.
  const bool late = !opened && index != 0;
  if (late) open();
  if (!file.is_open()) return;
  try {
    drain();
  } catch (...) {
    skip("device gone");
    rings.clear();
    waiting.clear();
  }
  if (late && !announced.empty()) put_step(process().step, announced.c_str());
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
