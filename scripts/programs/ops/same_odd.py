"""Complex, sparse, quantised and vmapped tensors, and an FFT."""

import torch
from common import save, start

start()
x = torch.randn(32, 32)
spectrum = torch.fft.rfft2(x).conj() * 2
sparse = (x * (x > 1)).to_sparse() @ x
quantised = torch.quantize_per_tensor(x, 0.1, 0, torch.qint8).dequantize()
mapped = torch.vmap(lambda row: row.softmax(0))(x)
slope = torch.func.grad(lambda t: t.sin().sum())(x)
save(torch.view_as_real(spectrum.resolve_conj()), sparse, quantised, mapped, slope)
