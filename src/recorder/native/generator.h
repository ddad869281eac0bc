// Generators: looked at, never drawn from.

#pragma once

#include "argument.h"

#include <ATen/CPUGeneratorImpl.h>

namespace {

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

}  // namespace
