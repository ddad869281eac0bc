"""npy and npz as numpy writes them: every dtype, byte order and layout."""

import io
import zipfile

import numpy as np
from write import differences

try:
    import ml_dtypes
except ImportError:
    ml_dtypes = None

VERSION = f"numpy {np.__version__}"
NUMBERS = "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16".split()
OTHERS = ["S5", "U4", "M8[ns]", "M8[D]", "m8[s]", "V3", np.longdouble]
RECORD = [("id", "u4"), ("at", "f8", (2,)), ("name", "S3"), ("inner", [("x", "f4"), ("y", "i2")])]


def array(kind, shape, seed):
    random = np.random.default_rng(seed)
    dtype = np.dtype(kind)
    count = int(np.prod(shape))
    if dtype.kind in "fc":
        return random.standard_normal(count).astype(dtype).reshape(shape)
    if dtype.kind == "U":
        return np.array(["".join(random.choice(list("aü☃"), 4)) for _ in range(count)], dtype=dtype).reshape(shape)
    if dtype.kind == "b":
        return (random.integers(0, 2, count) == 1).reshape(shape)
    return np.frombuffer(random.integers(0, 100, count * dtype.itemsize, dtype=np.uint8).tobytes(), dtype=dtype).reshape(shape).copy()


def saved(book, name, value, **how):
    path = book.path(name)
    np.save(path, value, **how)
    return path


def flipped(value, random):
    """A copy with one bit of one element turned, in C order."""
    copy = np.ascontiguousarray(value).copy()
    raw = copy.reshape(-1).view(np.uint8)
    raw[random.randrange(raw.size) // copy.itemsize * copy.itemsize] ^= 1
    return copy.reshape(value.shape)


def reading(value, name="array"):
    little = np.ascontiguousarray(value)
    if little.dtype.kind in "biufcmM" and little.dtype.byteorder == ">":
        little = little.astype(little.dtype.newbyteorder("<"))
    plain = little.dtype.kind in "biufcmM" and little.dtype != np.longdouble
    return {name: (value.shape, little.itemsize if plain else 1, 2 if little.dtype.kind == "c" else 1, little.tobytes())}


def numbers(book):
    for kind in NUMBERS:
        for shape in ((), (7,), (3, 5), (2, 0), (2, 3, 4)):
            label = f"{kind} {'x'.join(map(str, shape))}"
            value = array(kind, shape, 5)
            forms = {"plain": value, "fortran": np.asarray(value, order="F"), "big": value.astype(value.dtype.newbyteorder(">")),
                     "both": np.asarray(value.astype(value.dtype.newbyteorder(">")), order="F")}  # fmt: skip
            paths = {form: saved(book, f"{label}/{form}.npy", one) for form, one in forms.items()}
            if not value.size:
                continue  # Nothing is compared, so nothing is identical.
            book.shared(f"numpy {label}", paths["plain"])
            for form in ("fortran", "big", "both"):
                book.same(f"{label}, {form}", paths["plain"], paths[form])
                other = saved(book, f"{label}/{form} flipped.npy", np.asarray(flipped(value, book.random), order="F" if form != "big" else "C").astype(forms[form].dtype))
                found = differences(reading(np.load(paths[form])), reading(np.load(other)))
                book.differ(f"{label}, {form}, one bit", paths[form], other, found)


def words(book):
    for kind in OTHERS:
        label = str(np.dtype(kind)).replace("|", "").replace("<", "")
        value = array(kind, (2, 3), 6)
        one, same = saved(book, f"{label}/one.npy", value), saved(book, f"{label}/fortran.npy", np.asfortranarray(value))
        book.shared(f"numpy {label}", one)
        book.same(f"{label}, fortran", one, same)
        other = saved(book, f"{label}/flipped.npy", flipped(value, book.random))
        book.differ(f"{label}, one bit", one, other, differences(reading(value), reading(np.load(other))))
        if np.dtype(kind).kind in "UmM":
            book.same(f"{label}, big", one, saved(book, f"{label}/big.npy", value.astype(value.dtype.newbyteorder(">"))))
    unit = saved(book, "units/s.npy", array("M8[s]", (3,), 1)), saved(book, "units/ms.npy", array("M8[s]", (3,), 1).view("M8[ms]"))
    book.differ("another unit of time", *unit, {"array": {"bits": None}})
    objects = [saved(book, f"objects/{side}.npy", np.array([1, "x", None], dtype=object), allow_pickle=True) for side in "ab"]
    book.refused("an array of objects", *objects, "Python objects")
    if ml_dtypes:
        value = np.arange(5, dtype=ml_dtypes.bfloat16)
        one, other = saved(book, "bf16/a.npy", value), saved(book, "bf16/b.npy", value)
        book.same("bfloat16 of ml_dtypes", one, other)
        book.differ("bfloat16 of ml_dtypes, one bit", one, saved(book, "bf16/c.npy", value + value), {"array": {"bits": None}})


def records(book):
    value = array(RECORD, (4,), 9)
    one = saved(book, "records/one.npy", value)
    book.shared("numpy records", one)
    book.same("records of other byte order", one, saved(book, "records/big.npy", value.astype(value.dtype.newbyteorder(">"))))
    aligned = np.dtype([("id", "u1"), ("at", "f8")], align=True)
    packed = np.array([(1, 2.5), (3, 4.5)], dtype=[("id", "u1"), ("at", "f8")])
    book.same("records with gaps", saved(book, "records/packed.npy", packed), saved(book, "records/aligned.npy", packed.astype(aligned)))
    for field, path in (("id", "array.id"), ("name", "array.name")):
        changed = value.copy()
        changed[field][2] = changed[field][1]
        other = saved(book, f"records/{field}.npy", changed)
        book.differ(f"records, {field}", one, other, differences(reading(value[field], path), reading(changed[field], path)))
    renamed = value.copy()
    renamed.dtype.names = ("id", "when", "name", "inner")
    book.differ("records, another field name", one, saved(book, "records/renamed.npy", renamed), {"array.at": {"bits": None}, "array.when": {"bits": None}})


def archives(book):
    held = {"w": array("f4", (3, 4), 1), "b": array("f8", (4,), 2), "größe/x": array("i4", (2,), 3), "step": np.array(7), "none": np.zeros((0, 2))}
    one, twice, packed, turned, added = (book.path(f"npz/{name}.npz") for name in ("one", "twice", "packed", "turned", "added"))
    np.savez(one, **held)
    np.savez(twice, **held)
    np.savez_compressed(packed, **held)
    np.savez(turned, **dict(reversed(held.items())))
    np.savez(added, w=held["w"])
    with zipfile.ZipFile(added, "a") as archive:
        for name in list(held)[1:]:
            buffer = io.BytesIO()
            np.save(buffer, held[name])
            archive.writestr(name + ".npy", buffer.getvalue())
    book.shared("npz", one)
    book.shared("npz packed", packed)
    book.same("npz twice", one, twice)
    book.same("npz packed", one, packed, "packed differently")
    book.same("npz turned", one, turned, "packed differently")
    book.same("npz appended", one, added)
    for number in range(8):
        name = book.random.choice(["w", "b", "größe/x", "step"])
        path = book.path(f"npz/flipped {number}.npz")
        changed = held | {name: flipped(held[name], book.random)}
        (np.savez_compressed if number % 2 else np.savez)(path, **changed)
        book.differ(f"npz, {name}", one, path, differences(reading(held[name], name), reading(changed[name], name)))
    several = [book.path(f"npz/several {side}.npy") for side in "ab"]
    for side, path in enumerate(several):
        with open(path, "wb") as file:
            np.save(file, held["w"])
            np.save(file, held["b"] + side)
    book.differ("several arrays in one npy", *several, differences(reading(held["b"], "array[1]"), reading(held["b"] + 1, "array[1]")))
    positional = [book.path(f"npz/positional {side}.npz") for side in "ab"]
    np.savez(positional[0], held["w"], held["b"])
    np.savez(positional[1], arr_0=held["w"], arr_1=held["b"])
    book.same("npz by position", *positional)
    for side in "ab":
        np.savez(book.path(f"npz/objects {side}.npz"), w=held["w"], o=np.array([None], dtype=object))
    book.refused("npz with objects", book.folder / "npz/objects a.npz", book.folder / "npz/objects b.npz", "Python objects")


def write(book):
    numbers(book)
    words(book)
    records(book)
    archives(book)
