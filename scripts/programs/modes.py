"""Says what torch has been told, which is what a gate's --mode changes."""

import torch

print("deterministic", torch.are_deterministic_algorithms_enabled())
print("warn_only", torch.is_deterministic_algorithms_warn_only_enabled())
print("cudnn.deterministic", torch.backends.cudnn.deterministic)
print("cudnn.benchmark", torch.backends.cudnn.benchmark)
print("fill", torch.utils.deterministic.fill_uninitialized_memory)
