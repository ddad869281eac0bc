"""safetensors from torch and numpy, with metadata, odd names and every dtype."""

import numpy as np
import safetensors
import torch
from of_torch import DTYPES, can_save, flip, made, raw, refused, wobble
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import load_file, save_file
from write import differences

VERSION = f"safetensors {safetensors.__version__}"
NAMES = ["weight", "a.b.c", "a/b", "größe", " ", "x:y", "a\nb", '"', "__meta__", "*", "[0]", "\\", "∞" * 40]


def written(dtype):
    """Types are added from version to version."""
    import tempfile

    try:
        with tempfile.NamedTemporaryFile() as file:
            save_file({"x": torch.zeros(1, dtype=getattr(torch, dtype))}, file.name)
    except (KeyError, TypeError, AttributeError, ValueError, safetensors.SafetensorError):
        return False
    return True


def content(seed, kinds):
    gen = torch.Generator().manual_seed(seed)
    found = {f"{kind} {shape}": made(kind, 6, gen).reshape(shape) for kind in kinds for shape in ((6,), (2, 3))}
    found |= {f"{kind} scalar": made(kind, 1, gen)[0] for kind in kinds}
    return found | {name: torch.randn(5, generator=gen) for name in NAMES} | {"empty": torch.zeros(0, 3)}


def write(book):
    kinds = [kind for kind in DTYPES if can_save(kind) and written(kind)]
    plain = [kind for kind in kinds if kind in ("float32", "int64", "bool", "bfloat16", "float16", "uint8")]
    one, twice, turned, tagged = (book.path(f"{name}.safetensors") for name in ("one", "twice", "turned", "tagged"))
    held = content(1, kinds)
    save_file(held, one)
    save_file(held, twice)
    save_file(dict(reversed(held.items())), turned)
    save_file(held, tagged, metadata={"format": "pt", "ü": "\n", "b": "1", "a": "2"})
    book.same("twice", one, twice)
    book.same("turned", one, turned)
    book.same("with metadata", one, tagged, "packed differently")
    shared = book.path("shared.safetensors")
    save_file(content(2, plain), shared)
    book.shared("safetensors", shared)
    arrays = [book.path(f"numpy {side}.safetensors") for side in "ab"]
    values = {kind: np.arange(6).reshape(2, 3).astype(kind) for kind in ("f4", "f8", "i8", "u1", "f2", "bool")}
    save_numpy(values, arrays[0])
    save_file({name: torch.from_numpy(value) for name, value in values.items()}, arrays[1])
    book.same("numpy and torch", *arrays)
    for number in range(20):
        other = book.path(f"flipped {number}.safetensors")
        changed = {name: value.clone() for name, value in held.items()}
        name = book.random.choice(sorted(name for name in held if held[name].numel()))
        flip(changed[name], book.random.randrange(held[name].numel()), 0)
        save_file(changed, other)
        left, right = ({key: raw(value) for key, value in load_file(path).items()} for path in (one, other))
        book.differ(f"one bit of {name}", one, other, differences(left, right))
    for number in range(4):
        other = book.path(f"close {number}.safetensors")
        changed = {name: value.clone() for name, value in held.items()}
        wobble(changed, book.random)
        save_file(changed, other)
        actual = load_file(other)
        told = {name: refused(actual[name], value) for name, value in load_file(one).items()}
        known = {name: count for name, count in told.items() if count is not None}
        if known == told:
            book.close("--close", one, other, told)
    if written("float4_e2m1fn_x2"):
        halves = [book.path(f"halves {side}.safetensors") for side in "abc"]
        for at, path in enumerate(halves):
            save_file({"x": torch.tensor([1, 2, 3 + at // 2], dtype=torch.uint8).view(torch.float4_e2m1fn_x2)}, path)
        book.same("four-bit floats", *halves[:2])
        book.differ("four-bit floats, one pair", halves[0], halves[2], {"x": {"bits": None}})
