# Makes the files in torch/ beside it, for tests/evidence_torch.rs. Wants torch 2.11 and numpy; run by hand.
#
# expected.json has what torch itself says: for each file, names, dtypes, shapes and the SHA-256 of the logical bytes.
import collections
import hashlib
import json
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch

here = Path(__file__).parent / "torch"
here.mkdir(exist_ok=True)
expected = {}
torch.manual_seed(0)
generator = torch.Generator().manual_seed(7)


def randn(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=generator).to(dtype)


def leaf(value):
    """dtype, shape and logical bytes of what torch or Python has."""
    if isinstance(value, torch.Tensor):
        value = value.detach().resolve_conj().resolve_neg()
        name = str(value.dtype).removeprefix("torch.")
        if value.is_quantized:
            value = value.int_repr()
        flat = value.contiguous().reshape(-1)
        raw = bytes(flat.view(torch.uint8).tolist()) if flat.numel() else b""
        return name, list(value.shape), raw
    if isinstance(value, (np.ndarray, np.generic)):
        return value.dtype.name, list(value.shape), np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<")).tobytes()
    if isinstance(value, bool):
        return "bool", [], bytes([value])
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return "int64", [], value.to_bytes(8, "little", signed=True)
    if isinstance(value, int):
        return "uint8 int", [len(str(value))], str(value).encode()
    if isinstance(value, float):
        return "float64", [], np.float64(value).tobytes()
    if isinstance(value, complex):
        return "complex128", [], np.complex128(value).tobytes()
    if value is None:
        return "uint8 None", [0], b""
    if isinstance(value, str):
        return "uint8 str", [len(value.encode())], value.encode()
    if isinstance(value, (bytes, bytearray)):
        return "uint8 bytes", [len(value)], bytes(value)
    raise TypeError(type(value))


def note(file, items):
    expected[file] = {}
    for name, value in items.items():
        dtype, shape, raw = value if isinstance(value, tuple) else leaf(value)
        expected[file][name] = {"dtype": dtype, "shape": shape, "sha256": hashlib.sha256(raw).hexdigest()}


def flat(value, name=""):
    """Names as samebits gives them."""
    if isinstance(value, dict):
        pairs = [(str(key), inner) for key, inner in value.items()]
    elif isinstance(value, (list, tuple)):
        pairs = [(str(index), inner) for index, inner in enumerate(value)]
    else:
        return {name or "value": value}
    if not pairs:
        kind = "dict" if isinstance(value, dict) else "list"
        return {name: (f"uint8 empty {kind}", [0], b"")}
    found = {}
    for key, inner in pairs:
        found |= flat(inner, f"{name}.{key}" if name else key)
    return found


def save(file, value, items=None, **how):
    torch.save(value, here / file, **how)
    note(file, flat(value) if items is None else items)


def network():
    return torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 3, bias=False)
    )


model = network()
with torch.no_grad():
    for parameter in model.parameters():
        parameter.copy_(randn(*parameter.shape))
save("state_dict.pt", model.state_dict())
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
for _ in range(3):
    optimizer.zero_grad()
    model(randn(16, 4)).square().mean().backward()
    optimizer.step()
checkpoint = {
    "model": model.state_dict(),
    "optimizer": optimizer.state_dict(),
    "step": 3,
    "loss": 0.1,
    "done": False,
    "note": None,
    "run": "größer",
    "seeds": (1, 2**70, -(2**80)),
    "empty": {},
    "none": [],
    "raw": b"\x00\xff\x80",
    ("a", 1): 2.5,
    "lists": {"of.numbers": [1, 2.0, True]},
    "complex": 1 - 2j,
}
items = flat({key: value for key, value in checkpoint.items() if key != ("a", 1)}) | {"(a, 1)": 2.5}
save("checkpoint.pt", checkpoint, items)


def turned(value):
    """The same with all dicts filled the other way round."""
    if isinstance(value, dict):
        return type(value)((key, turned(inner)) for key, inner in reversed(value.items()))
    return value


# These hold the same, so the test compares them with the first one.
torch.save(turned(checkpoint), here / "other_name_and_order.pt")
for protocol in (3, 4, 5):
    torch.save(checkpoint, here / f"protocol_{protocol}.pt", pickle_protocol=protocol)
with zipfile.ZipFile(here / "checkpoint.pt") as old, zipfile.ZipFile(here / "deflated.pt", "w", zipfile.ZIP_DEFLATED) as new:
    for info in old.infolist():
        new.writestr("elsewhere/" + info.filename.split("/", 1)[1], old.read(info))
changed = dict(checkpoint)
changed["step"] = 4
torch.save(changed, here / "one_number_different.pt")

base = randn(6, 4)
views = {
    "tied": base,
    "tied again": base,
    "transposed": base.t(),
    "part": base[1:5, 1:3],
    "every other": base[::2],
    "flat part": base[2],
    "column": base[:, 3],
    "expanded": randn(1, 3).expand(5, 3),
    "expanded all": torch.tensor(1.5).expand(2, 3),
    "permuted": randn(2, 3, 4).permute(2, 0, 1),
    "channels last": randn(2, 3, 2, 2).to(memory_format=torch.channels_last),
    "scalar": torch.tensor(3),
    "empty": torch.empty(0, 3),
}
save("views.pt", views)

dtypes = {
    str(dtype): torch.arange(-3, 5).to(dtype) if dtype is not torch.bool else torch.tensor([True, False])
    for dtype in (
        torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.float32, torch.float64,
        torch.bool, torch.bfloat16, torch.float8_e5m2, torch.float8_e4m3fn, torch.float8_e5m2fnuz,
        torch.float8_e4m3fnuz, torch.uint16, torch.uint32, torch.uint64,
    )
}  # fmt: skip
dtypes["torch.float8_e8m0fnu"] = torch.tensor([1.0, 2.0]).to(torch.float8_e8m0fnu)
dtypes["complex64"] = torch.complex(randn(3), randn(3))
dtypes["complex128"] = torch.complex(randn(2).double(), randn(2).double())
dtypes["complex32"] = dtypes["complex64"].to(torch.complex32)
dtypes["conjugate"] = dtypes["complex64"].conj()
dtypes["negative"] = torch.complex(randn(3), randn(3)).conj().imag
save("dtypes.pt", dtypes)

per_tensor = torch.quantize_per_tensor(randn(5), 0.1, 3, torch.qint8)
per_channel = torch.quantize_per_channel(randn(2, 3), torch.tensor([0.1, 0.2]), torch.tensor([3, 4]), 0, torch.quint8)
save(
    "quantized.pt",
    {"tensor": per_tensor, "channel": per_channel},
    {
        "tensor": per_tensor,
        "tensor.qscheme": ("uint8 global", [23], b"torch.per_tensor_affine"),
        "tensor.scale": 0.1,
        "tensor.zero_point": 3,
        "channel": per_channel,
        "channel.qscheme": ("uint8 global", [24], b"torch.per_channel_affine"),
        "channel.scales": per_channel.q_per_channel_scales(),
        "channel.zero_points": per_channel.q_per_channel_zero_points(),
        "channel.axis": 0,
    },
)
coo = (torch.eye(3) * 2).to_sparse()
csr = (torch.eye(3) * 3).to_sparse_csr()
size = ("int64", [2], np.array([3, 3]).tobytes())
save(
    "sparse.pt",
    {"coo": coo, "csr": csr},
    {
        "coo.layout": ("uint8 layout", [16], b"torch.sparse_coo"),
        "coo.indices": coo.indices(),
        "coo.values": coo.values(),
        "coo.size": size,
        "coo.is_coalesced": True,
        "csr.layout": ("uint8 layout", [16], b"torch.sparse_csr"),
        "csr.crow_indices": csr.crow_indices(),
        "csr.col_indices": csr.col_indices(),
        "csr.values": csr.values(),
        "csr.size": size,
    },
)
arrays = {
    "rows": np.arange(6, dtype="float32").reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6, dtype="int16").reshape(2, 3)),
    "big": np.arange(4, dtype=">i4"),
    "scalar": np.float64(2.5),
    "bool": np.array([True, False]),
}
save("numpy.pt", arrays)
save("numpy_5.pt", arrays, pickle_protocol=5)
times = np.array(["2026-11-20", "1970-01-01"], dtype="M8[s]")
fields = np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")])
save(
    "numpy_times.pt",
    {"s": times, "ms": times.astype("i8").view("M8[ms]"), "big": times.astype(">M8[s]"), "span": times - times[::-1], "text": np.array(["ä"])},
    {
        "s": ("int64 M8[s]", [2], times.tobytes()),
        "ms": ("int64 M8[ms]", [2], times.tobytes()),
        "big": ("int64 M8[s]", [2], times.tobytes()),
        "span": ("int64 m8[s]", [2], (times - times[::-1]).tobytes()),
        "text": ("uint8 numpy U1 [1]", [4], np.array(["ä"]).tobytes()),
    },
)
save("numpy_fields.pt", {"x": fields, "y": fields.view([("a", "i4"), ("c", "f8")]), "z": fields.view([("a", "i4"), ("b", ">f8")])}, {})
expected["numpy_fields.pt"] = None  # Their bytes are the same: the words for their types are checked.
save("tensor.pt", randn(3))
storage = randn(3)
save("storage.pt", {"s": storage.untyped_storage()}, {"s": storage.view(torch.uint8)})


class Marked(torch.nn.Parameter):
    """Made by hand to be importable nowhere but here."""


class Hyper:
    def __init__(self):
        self.lr = 0.5
        self.weights = randn(2)
        self.self = self


marked = Marked(randn(3))
marked.importance = 0.25
hyper = Hyper()
counts = collections.defaultdict(list, {"a": [1]})
save(
    "objects.pt",
    {
        "marked": marked,
        "plain": torch.nn.Parameter(randn(2)),
        "hyper": hyper,
        "set": {"b", "a", "c"},
        "counts": counts,
        "counter": collections.Counter("aab"),
        "deque": collections.deque([1, 2], 5),
        "size": torch.Size([2, 3]),
        "device": torch.device("cuda:1"),
        "dtype": torch.float32,
        "history": [float(n) for n in range(100)],
    },
    {
        "marked": marked,
        "marked.importance": 0.25,
        "plain": None,
        "hyper.__class__": ("uint8 global", [14], b"__main__.Hyper"),
        "hyper.lr": 0.5,
        "hyper.weights": hyper.weights,
        "hyper.self": ("uint8 reference", [5], b"hyper"),
        "set.0": "a",
        "set.1": "b",
        "set.2": "c",
        "counts.a.0": 1,
        "counter.a": 2,
        "counter.b": 1,
        "deque.0": 1,
        "deque.1": 2,
        "size": ("int64", [2], np.array([2, 3]).tobytes()),
        "device": ("uint8 device", [6], b"cuda:1"),
        "dtype": ("uint8 global", [13], b"torch.float32"),
        "history": np.arange(100, dtype="float64"),
    },
)
plain = torch.load(here / "objects.pt", weights_only=False)["plain"]
expected["objects.pt"]["plain"] = dict(
    zip(("dtype", "shape", "sha256"), (lambda d, s, r: (d, s, hashlib.sha256(r).hexdigest()))(*leaf(plain)))
)


class Evil:
    def __reduce__(self):
        return (print, ("this must never be printed",))


evil = {"weights": torch.arange(3), "evil": Evil()}
save(
    "evil.pt",
    evil,
    {
        "weights": evil["weights"],
        "evil.__class__": ("uint8 global", [17], b"__builtin__.print"),
        "evil.__args__.0": "this must never be printed",
    },
)
model.eval()
save("module.pt", model, {})
expected["module.pt"] = None  # Only some of its items are checked: the rest are attributes of torch's own.

scripted = torch.jit.script(model)
scripted.save(str(here / "script.pt"), _extra_files={"labels.txt": b"cat\ndog\n"})
expected["script.pt"] = None
note("script parameters", dict(scripted.state_dict()))
torch.save(model.state_dict(), here / "legacy.pt", _use_new_zipfile_serialization=False)
torch.save(model.state_dict(), here / "legacy_4.pt", _use_new_zipfile_serialization=False, pickle_protocol=4)
torch.save(model, here / "legacy_module.pt", _use_new_zipfile_serialization=False)

# exported_old.pt2 beside it was written by torch 2.4, by the same lines.
program = torch.export.export(torch.nn.Linear(3, 2), (torch.zeros(1, 3),))
for node in program.graph.nodes:
    node.meta["stack_trace"] = 'File "model.py", line 1'
torch.export.save(program, here / "exported.pt2")
expected["exported.pt2"] = None
note("exported weights", dict(program.state_dict))

# A big-endian machine's file, from the bytes of a little-endian one.
with zipfile.ZipFile(here / "dtypes.pt") as old, zipfile.ZipFile(here / "big_endian.pt", "w") as new:
    big = {"x": torch.arange(4, dtype=torch.int32), "z": torch.complex(torch.tensor([1.0]), torch.tensor([2.0]))}
    torch.save(big, here / "temporary.pt")
    with zipfile.ZipFile(here / "temporary.pt") as little:
        for info in little.infolist():
            raw = little.read(info)
            if info.filename.endswith("/byteorder"):
                raw = b"big"
            if "/data/" in info.filename:
                raw = np.frombuffer(raw, dtype="<u4").astype(">u4").tobytes()
            new.writestr(info.filename, raw)
    (here / "temporary.pt").unlink()
note("big_endian.pt", big)

lines = (f"{json.dumps(file)}: {json.dumps(items, sort_keys=True)}" for file, items in sorted(expected.items()))
(here / "expected.json").write_text("{" + ",\n".join(lines) + "}\n")
for path in here.iterdir():
    if path.suffix == ".pt" and path.stat().st_size > 24_000:
        sys.exit(f"{path} is large")
