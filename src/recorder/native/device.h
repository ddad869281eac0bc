// CUDA: digests stay on the device until the step ends. Not yet run on a GPU.

#pragma once

#include "stream.h"

#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <dlfcn.h>

namespace {

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

}  // namespace
