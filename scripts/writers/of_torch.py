"""Checkpoints as torch writes them: nested, strided, tied, of every dtype, in every protocol, and TorchScript."""

import collections
import dataclasses
import io
import re
import zipfile

import numpy as np
import torch
from write import differences

VERSION = f"torch {torch.__version__}"


def can_save(name, **how):
    """Older versions make tensors of types that they cannot save."""
    try:
        torch.save(torch.zeros(1, dtype=getattr(torch, name)), io.BytesIO(), **how)
    except (KeyError, RuntimeError):
        return False
    return True


DTYPES = [
    name
    for name in (
        "uint8 int8 int16 int32 int64 float16 float32 float64 bfloat16 bool complex32 complex64 complex128 uint16 uint32 uint64 "
        "float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu"
    ).split()
    if hasattr(torch, name) and can_save(name)
]  # fmt: skip
Pair = collections.namedtuple("Pair", "first second")


@dataclasses.dataclass
class Settings:
    rate: float
    weights: torch.Tensor


def made(name, count, gen):
    """A tensor of this dtype with ordinary values."""
    dtype = getattr(torch, name)
    if dtype is torch.bool:
        return torch.rand(count, generator=gen) > 0.5
    if dtype.is_complex:
        parts = [torch.randn(count, generator=gen, dtype=torch.float64) for _ in range(2)]
        return torch.complex(*parts).to(dtype)
    if dtype.is_floating_point:
        found = torch.randn(count, generator=gen)
        return (found.abs() if "e8m0" in name else found).to(dtype)
    return torch.randint(0, 100, (count,), generator=gen).to(dtype)


def network(gen):
    model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 3, bias=False))
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(torch.randn(value.shape, generator=gen))
    return model


def trained(gen, optimizer, **settings):
    model = network(gen)
    optimizer = optimizer(model.parameters(), **settings)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(16, 5, generator=gen)).square().mean().backward()
        optimizer.step()
        scheduler.step()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict(), "epoch": 3}


def views(gen):
    base = torch.randn(6, 8, generator=gen)
    return {
        "base": base, "again": base, "transposed": base.t(), "part": base[1:5, 2:4], "every other": base[::2, 1::3],
        "column": base[:, 3], "expanded": torch.randn(1, 3, generator=gen).expand(5, 3), "scalar": base[2, 2],
        "permuted": torch.randn(2, 3, 4, generator=gen).permute(2, 0, 1), "empty": base[2:2], "flat": base.view(-1)[7:30],
        "channels last": torch.randn(2, 3, 2, 2, generator=gen).to(memory_format=torch.channels_last),
        "diagonal": base.diagonal(), "real": torch.view_as_real(torch.randn(4, dtype=torch.complex64, generator=gen)),
        "unfolded": torch.randn(9, generator=gen).unfold(0, 4, 2),
    }  # fmt: skip


def lazy(gen):
    """Conjugates and negatives that are only marked as such."""
    number = torch.randn(5, dtype=torch.complex128, generator=gen)
    # torch does not save one storage as two types.
    other = torch.randn(5, dtype=torch.complex64, generator=gen)
    return {"plain": number, "conjugate": number.conj(), "negative": other.conj().imag, "part": number.conj()[1:3]}


def nested(gen):
    r = lambda *shape: torch.randn(*shape, generator=gen)  # noqa: E731
    return {
        "list": [r(3), (r(2), [r(1)])], "ordered": collections.OrderedDict(b=r(2), a=r(3)), 7: r(2), (1, "x"): r(2), None: r(1),
        "default": collections.defaultdict(list, a=[r(2)]), "pair": Pair(r(2), 3), "settings": Settings(0.1, r(4)),
        "deep": {"er": {"and": {"deeper": r(2)}}}, "dots.in.name": r(2), "dots": {"in": {"name": r(2)}}, "": r(2), "größe/☃": r(1),
        "numbers": [1, 2.5, True, None, "text", b"bytes", 2**80, 1 - 2j], "long": [float(n) for n in range(100)], "set": {"x"},
        "size": torch.Size([2, 3]), "device": torch.device("cpu"), "dtype": torch.float16, "empty": [{}, [], ()],
    }  # fmt: skip


def parameters(gen):
    tied = torch.nn.Parameter(torch.randn(4, 4, generator=gen))
    leaf = torch.randn(3, generator=gen, requires_grad=True)
    return {"tied": tied, "same": tied, "list": [torch.nn.Parameter(torch.randn(2, generator=gen), requires_grad=False)], "leaf": leaf,
            "row": tied.detach()[1]}  # fmt: skip


def scaler(gen):
    return {"scale": 65536.0, "growth_factor": 2.0, "growth_interval": 2000, "_growth_tracker": 3, "found_inf": torch.rand(1, generator=gen)}


def quantised(gen):
    value = torch.randn(4, 5, generator=gen)
    return {
        "per tensor": torch.quantize_per_tensor(value, 0.1, 3, torch.qint8),
        "unsigned": torch.quantize_per_tensor(value, 0.1, 3, torch.quint8),
        "wide": torch.quantize_per_tensor(value, 0.1, 0, torch.qint32),
        "channels": torch.quantize_per_channel(value, torch.full((4,), 0.1), torch.arange(4), 0, torch.qint8),
    }


def sparse(gen):
    eye = torch.eye(4) * torch.randn(4, generator=gen)
    return {"coo": eye.to_sparse(), "csr": eye.to_sparse_csr(), "csc": eye.to_sparse_csc() if hasattr(eye, "to_sparse_csc") else eye,
            "hybrid": torch.randn(3, 2, generator=gen).to_sparse(1), "bsr": eye.to_sparse_bsr((2, 2)) if hasattr(eye, "to_sparse_bsr") else eye}  # fmt: skip


def specials(gen):
    inf = float("inf")
    return {"float": torch.tensor([0.0, -0.0, inf, -inf, float("nan"), 1e-45]), "more": torch.randn(7, generator=gen), "python": [inf, -0.0, float("nan")]}


BUILDERS = {
    "state dict": lambda gen: network(gen).state_dict(),
    "adam": lambda gen: trained(gen, torch.optim.Adam, lr=1e-3),
    "adamw amsgrad": lambda gen: trained(gen, torch.optim.AdamW, lr=1e-3, amsgrad=True),
    "sgd momentum": lambda gen: trained(gen, torch.optim.SGD, lr=0.1, momentum=0.9),
    "module": network,
    "dtypes": lambda gen: {name: made(name, 11, gen) for name in DTYPES},
    "scalars": lambda gen: {name: made(name, 1, gen)[0] for name in DTYPES},
    "views": views,
    "lazy bits": lazy,
    "nested": nested,
    "parameters": parameters,
    "scaler": scaler,
    "quantised": quantised,
    "sparse": sparse,
    "specials": specials,
    "one tensor": lambda gen: torch.randn(3, 4, generator=gen),
    "list": lambda gen: [torch.randn(2, generator=gen) for _ in range(12)],
    "generator": lambda gen: {"cpu": gen.get_state(), "w": torch.randn(2, generator=gen)},
    "storage": lambda gen: {"s": torch.randn(5, generator=gen).storage(), "t": torch.randn(5, generator=gen)},
}  # fmt: skip


def fresh(builder, seed):
    torch.manual_seed(seed)
    return BUILDERS[builder](torch.Generator().manual_seed(seed))


def leaves(value, name=""):
    """Every tensor, by the name that samebits gives it."""
    below = lambda key: f"{name}.{key}" if name else str(key)  # noqa: E731
    if isinstance(value, torch.Tensor):
        if value.layout is torch.sparse_coo:
            return {below("indices"): value._indices(), below("values"): value._values()}
        if value.layout in (torch.sparse_csr, getattr(torch, "sparse_bsr", None)):
            return {below("crow_indices"): value.crow_indices(), below("col_indices"): value.col_indices(), below("values"): value.values()}
        if value.layout is not torch.strided:
            return {below("ccol_indices"): value.ccol_indices(), below("row_indices"): value.row_indices(), below("values"): value.values()}
        return {name or "value": value}
    inner = {}
    if isinstance(value, torch.nn.Module):
        for kind in ("_parameters", "_buffers", "_modules"):
            inner |= {f"{kind}.{key}": one for key, one in getattr(value, kind).items() if one is not None}
    elif isinstance(value, Pair):
        inner = {f"__args__.{index}": one for index, one in enumerate(value)}
    elif isinstance(value, dict):
        inner = {f"({key[0]}, {key[1]})" if isinstance(key, tuple) else str(key): one for key, one in value.items()}
    elif isinstance(value, (list, tuple)):
        inner = dict(enumerate(value))
    elif dataclasses.is_dataclass(value):
        inner = vars(value)
    found = {}
    # Backwards by the texts of the keys, as samebits goes: of two values of one name, the second gets a number.
    for key, one in sorted(inner.items(), key=lambda pair: str(pair[0]), reverse=True):
        for full, leaf in leaves(one, below(key)).items():
            found[full if full not in found else f"{full}#2"] = leaf
    return found


def storage_of(tensor):
    return tensor.untyped_storage() if hasattr(tensor, "untyped_storage") else tensor.storage()._untyped() if hasattr(tensor.storage(), "_untyped") else tensor.storage().untyped()


def raw(tensor):
    """shape, bytes of an element, numbers in an element, logical bytes."""
    value = tensor.detach()
    parts = 2 if value.is_complex() else 1
    width = value.element_size()
    if value.is_quantized:
        value = value.int_repr()
    elif hasattr(value, "resolve_conj"):
        value = value.resolve_conj().resolve_neg()
    # An expanded tensor counts as contiguous in no version; one of a single row may keep odd strides.
    value = value.contiguous().clone(memory_format=torch.contiguous_format).reshape(-1)
    held = bytes(value.view(torch.uint8).numpy()) if value.numel() else b""
    return list(tensor.shape), width, parts, held


def reading(path):
    how = {} if VERSION.startswith("torch 1.") else {"weights_only": False}
    return leaves(torch.load(path, **how))


def flip(tensor, index, bit):
    """Turns one bit of the element at a flat index, through whatever view this is."""
    place, rest = tensor.storage_offset(), index
    for size, stride in reversed(list(zip(tensor.shape, tensor.stride()))):
        place += rest % size * stride
        rest //= size
    held = torch.tensor([], dtype=torch.uint8).set_(storage_of(tensor))
    held[place * tensor.element_size() + bit // 8] ^= 1 << bit % 8


def perturb(value, random):
    """Flips one bit of one element of one tensor, as a bad machine would."""
    found = {name: leaf for name, leaf in leaves(value).items() if leaf.numel() and not name.endswith("indices")}
    leaf = found[random.choice(sorted(found))]
    if leaf.is_quantized and leaf.qscheme() in (torch.per_channel_affine,):
        leaf = found["per tensor"]
    bit = 0 if leaf.dtype is torch.bool else random.randrange(8 * leaf.element_size())
    flip(leaf, random.randrange(leaf.numel()), bit)


def wobble(value, random):
    """Moves many elements by about as much as assert_close allows."""
    gen = torch.Generator().manual_seed(random.randrange(2**31))
    for leaf in leaves(value).values():
        limit = {torch.float16: 1e-3, torch.bfloat16: 1.6e-2, torch.float32: 1.3e-6, torch.float64: 1e-7, torch.complex64: 1.3e-6, torch.complex128: 1e-7}.get(leaf.dtype)
        dense = leaf.layout is torch.strided and not leaf.is_quantized and 0 not in leaf.stride()
        if limit and dense and random.random() < 0.7:
            held = leaf.detach()
            scale = limit * random.choice([0.2, 1, 1, 3])
            held.copy_(held + held * scale * torch.rand(held.shape, generator=gen, dtype=torch.float64).to(held.dtype))


def refused(actual, expected):
    """How many elements assert_close refuses; None where torch itself cannot say."""
    try:
        torch.testing.assert_close(actual, expected)
    except AssertionError as error:
        told = re.search(r"Mismatched elements: (\d+) /", str(error))
        return int(told[1]) if told else 1
    except (RuntimeError, NotImplementedError, TypeError):
        return None
    return 0


def turned(value):
    """The same with all dicts filled the other way round."""
    if type(value) in (dict, collections.OrderedDict):
        return type(value)((key, turned(inner)) for key, inner in reversed(value.items()))
    return value


def same(book, builder, seed):
    one = book.path(f"{builder}/one.pt")
    torch.save(fresh(builder, seed), one)
    book.shared(f"torch {builder} {seed}" if builder not in UNSHARED else f"{VERSION} {builder}", one)
    twice, other = book.path(f"{builder}/twice/one.pt"), book.path(f"{builder}/other name.pt")
    torch.save(fresh(builder, seed), twice)
    torch.save(fresh(builder, seed), other)
    book.same(f"{builder} twice", one, twice)
    book.same(f"{builder}, other name", one, other)
    value = fresh(builder, seed)
    if type(value) in (dict, collections.OrderedDict) and len(value) > 1:
        path = book.path(f"{builder}/turned.pt")
        torch.save(turned(value), path)
        book.same(f"{builder}, dicts turned", one, path, "packed differently")
    for protocol in (3, 4, 5):
        path = book.path(f"{builder}/protocol {protocol}.pt")
        torch.save(fresh(builder, seed), path, pickle_protocol=protocol)
        book.same(f"{builder}, protocol {protocol}", one, path)
    legacy = {"_use_new_zipfile_serialization": False}
    for protocol in (2, 4):
        if builder in ("dtypes", "scalars") and not all(can_save(name, **legacy) for name in DTYPES):
            continue
        path = book.path(f"{builder}/legacy {protocol}.pt")
        torch.save(fresh(builder, seed), path, pickle_protocol=protocol, **legacy)
        book.same(f"{builder}, legacy, protocol {protocol}", one, path, "the candidate torch without an archive")


# The classes inside have other attributes from version to version, random doubles other last bits.
UNSHARED = {"lazy bits", "module", "adam", "adamw amsgrad", "sgd momentum", "dtypes", "scalars", "storage", "sparse", "nested"}


def truths(book, builder, count):
    for number in range(count):
        seed = book.random.randrange(2**31)
        # torch itself cannot load all dtypes again from its legacy format.
        legacy = number % 4 == 3 and builder not in ("dtypes", "scalars")
        how = {"_use_new_zipfile_serialization": False} if legacy else {"pickle_protocol": 2 + number % 3}
        paths = [book.path(f"{builder}/truth {number}/{side}.pt") for side in "ab"]
        torch.save(fresh(builder, seed), paths[0], **how)
        value = fresh(builder, seed)
        perturb(value, book.random)
        torch.save(value, paths[1], **how)
        left, right = ({name: raw(leaf) for name, leaf in reading(path).items()} for path in paths)
        found = differences(left, right)
        assert found, f"{builder} {number}: nothing was perturbed"
        book.differ(f"{builder}, one bit", *paths, found)


def close(book, builder, count):
    for number in range(count):
        seed = book.random.randrange(2**31)
        paths = [book.path(f"{builder}/close {number}/{side}.pt") for side in "ab"]
        torch.save(fresh(builder, seed), paths[0])
        value = fresh(builder, seed)
        wobble(value, book.random)
        torch.save(value, paths[1])
        expected, actual = (reading(path) for path in paths)
        told = {name: refused(actual[name].detach(), leaf.detach()) for name, leaf in expected.items() if not leaf.is_quantized}
        if None not in told.values():
            book.close(f"{builder}, --close", *paths, told)


class Adds(torch.nn.Module):
    def forward(self, x):
        return x + torch.arange(6.0)


class Scripted(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 4)
        self.register_buffer("mean", torch.randn(4))
        self.scale = 2.5
        self.constant = torch.randn(3)

    def forward(self, x):
        if bool(x.sum() > 0):
            x = x * self.scale
        return self.linear(x) - self.mean


def script(book):
    """TorchScript: the same twice; another number in a parameter, a buffer and a traced constant."""
    build = {
        "script": lambda: torch.jit.script(Scripted()),
        "trace": lambda: torch.jit.trace(network(None).eval(), torch.zeros(2, 5)),
        "constant": lambda: torch.jit.trace(Adds(), torch.zeros(6)),
    }
    for name, make in build.items():
        torch.manual_seed(1)
        model = make()
        paths = [book.path(f"{name}/{side}.pt") for side in ("one", "twice/one", "other name")]
        for path in paths:
            model.save(str(path))
        book.same(f"{name} twice", paths[0], paths[1])
        book.same(f"{name}, other name", paths[0], paths[2])
        for at, (leaf, value) in enumerate(model.state_dict().items()):
            if value.numel() == 0:
                continue
            path = book.path(f"{name}/flipped {at}/one.pt")
            before = raw(value)
            index = book.random.randrange(value.numel())
            flip(value, index, 3)
            model.save(str(path))
            found = differences({leaf: before}, {leaf: raw(value)})
            flip(value, index, 3)
            book.differ(f"{name}, one bit", paths[0], path, found)


def exported(book):
    """torch.export, where it is."""
    if not hasattr(torch, "export") or not hasattr(torch.export, "save"):
        return
    torch.manual_seed(1)
    model = network(None).eval()
    program = torch.export.export(model, (torch.zeros(2, 5),))
    paths = [book.path(f"exported/{side}.pt2") for side in ("one", "twice/one", "other name")]
    for path in paths:
        torch.export.save(program, str(path))
    book.same("exported twice", *paths[:2])
    book.same("exported, other name", paths[0], paths[2])
    for name, value in program.state_dict.items():
        flipped = book.path(f"exported/flipped {name}/one.pt2")
        before, index = raw(value), book.random.randrange(value.numel())
        flip(value, index, 3)
        torch.export.save(program, str(flipped))
        found = differences({name: before}, {name: raw(value)})
        flip(value, index, 3)
        # Before 2.7 all weights were in a file of their own inside.
        old = zipfile.is_zipfile(flipped) and "version" in zipfile.ZipFile(flipped).namelist()
        book.differ("exported, one bit", paths[0], flipped, {"serialized_state_dict.pt": {"bits": None}} if old else found)


def arrays(book):
    """numpy's arrays and scalars inside checkpoints."""
    times = np.array([3, 4, 5], dtype="M8[s]")
    fields = np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")])
    held = {kind: np.arange(6).reshape(2, 3).astype(kind) for kind in "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16 >i4 >f8 >c8".split()}
    held |= {"fortran": np.asfortranarray(held["f4"]), "text": np.array(["a", "ü"]), "bytes": np.array([b"ab"]), "times": times, "fields": fields,
             "scalar": np.float64(2.5), "integer": np.int32(7), "empty": np.zeros((0, 3)), "objects": np.array([1, None], dtype=object)}  # fmt: skip
    one = book.path("arrays/one.pt")
    torch.save(held, one)
    for protocol in (2, 3, 4, 5):
        path = book.path(f"arrays/protocol {protocol}.pt")
        torch.save(held, path, pickle_protocol=protocol)
        book.same(f"arrays, protocol {protocol}", one, path)
    other = book.path("arrays/without archive.pt")
    torch.save(held, other, _use_new_zipfile_serialization=False)
    book.same("arrays, without an archive", one, other)
    plain = {name: value for name, value in held.items() if isinstance(value, np.ndarray) and value.dtype.kind in "biufc" and value.size}
    for name, value in plain.items():
        changed = value.copy()
        changed[1, 1] = 0
        path = book.path(f"arrays/{name} changed.pt")
        torch.save(held | {name: changed}, path, pickle_protocol=book.random.choice([2, 4, 5]))
        little = [np.ascontiguousarray(side).astype(side.dtype.newbyteorder("<")) for side in (value, changed)]
        sides = ({name: (side.shape, side.itemsize, 2 if side.dtype.kind == "c" else 1, side.tobytes())} for side in little)
        book.differ(f"arrays, {name}", one, path, differences(*sides))
    for name, value in (("times", times.view("M8[ms]")), ("fields", fields.view([("a", "i4"), ("c", "f8")])), ("fields", fields.view([("a", "i4"), ("b", ">f8")])), ("text", held["text"].astype(">U1"))):
        path = book.path(f"arrays/{name} {value.dtype.str} {value.dtype.names}.pt")
        torch.save(held | {name: value}, path)
        book.noted(f"arrays, another type of {name}", one, path, 1, None)
    keys = [book.path(f"arrays/keys {side}.pt") for side in "ab"]
    for key, path in zip((1, "1"), keys):
        torch.save({key: torch.ones(2)}, path)
    book.same("keys of another type", *keys, "types of dict keys")


def odd(book):
    """Things that are compared by all that is saved of them, and said so."""
    if VERSION.startswith("torch 1."):
        return
    meta = {"w": torch.empty(3, device="meta"), "v": torch.ones(2)}
    paths = [book.path(f"odd/meta {side}.pt") for side in "ab"]
    for path in paths:
        torch.save(meta, path)
    book.noted("a meta tensor", *paths, 0, "nothing was called")
    nest = getattr(torch, "nested", None)
    if nest is not None and hasattr(nest, "nested_tensor"):
        for side, last in zip("ab", (1.0, 2.0)):
            torch.save({"n": nest.nested_tensor([torch.ones(2), torch.tensor([3.0, 4.0, last])])}, book.path(f"odd/nested {side}.pt"))
        book.noted("a nested tensor", book.folder / "odd/nested a.pt", book.folder / "odd/nested b.pt", 1, "nothing was called")


def write(book):
    for builder in BUILDERS:
        if builder in ("storage", "sparse") and VERSION.startswith("torch 1."):
            continue
        same(book, builder, 7)
        if builder not in ("generator", "storage"):
            truths(book, builder, 8)
            close(book, builder, 3)
    script(book)
    exported(book)
    arrays(book)
    odd(book)
