"""Writes fp8.json: where torch.testing.assert_close judges a pair of 8-bit floats otherwise than by their bits.

Run with torch 2.11: python make_fp8.py > fp8.json
"""

import itertools
import json

import torch

TYPES = ["float8_e5m2", "float8_e4m3fn", "float8_e5m2fnuz", "float8_e4m3fnuz", "float8_e8m0fnu"]


def close(dtype, ours, theirs, equal_nan):
    """Whether assert_close accepts two elements, given by their bits."""
    one, other = (torch.tensor([bits], dtype=torch.uint8).view(getattr(torch, dtype)) for bits in (ours, theirs))
    try:
        torch.testing.assert_close(other, one, rtol=0.0, atol=0.0, equal_nan=equal_nan)
    except AssertionError:
        return False
    return True


answers = []
for dtype, equal_nan in itertools.product(TYPES, [False, True]):
    pairs = itertools.product(range(256), repeat=2)
    odd = [[a, b] for a, b in pairs if close(dtype, a, b, equal_nan) != (a == b)]
    answers.append({"dtype": dtype, "equal_nan": equal_nan, "otherwise": odd})
print(json.dumps({"torch": torch.__version__.split("+")[0], "answers": answers}))
