"""Writes the files under tests/evidence/arrays, and the truth about them. Run by hand, with numpy, tensorboard and tensorboardX:

    python tests/evidence/make_arrays.py

Names, types, shapes and hashes in truth.json come from numpy, never from samebits. In `same`, files that hold the same.
"""

import hashlib
import json
import math
import os
import shutil
import struct
import zipfile

import numpy as np

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "arrays")
truth, same = {}, []


def at(name):
    return os.path.join(HERE, name)


def item(name, array, declared=None, dtype=None):
    """What samebits is to find: little-endian, row by row."""
    array = np.asarray(array)
    little = array.astype(array.dtype.newbyteorder("<")) if array.dtype.names is None else array
    data = np.ascontiguousarray(little).tobytes()
    return {"name": name, "dtype": dtype or array.dtype.name, "shape": list(array.shape), "declared": declared,
            "sha256": hashlib.sha256(data).hexdigest()}


def text(name, data, declared):
    return item(name, np.frombuffer(data, np.uint8), declared)


def as_bytes(name, array, declared):
    little = array.astype(array.dtype.newbyteorder("<"))
    raw = np.frombuffer(np.ascontiguousarray(little).tobytes(), np.uint8)
    return item(name, raw.reshape(*array.shape, array.dtype.itemsize), declared)


def npy():
    rng = np.random.default_rng(1)
    grid = rng.normal(size=(3, 4, 2))
    for kind in ["f2", "f4", "f8", "c8", "c16", "b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]:
        values = (grid * 50 if kind[0] in "fi" else abs(grid) * 50).astype("<" + kind)
        np.save(at(f"{kind}.npy"), values)
        np.save(at(f"{kind}_big_fortran.npy"), np.asfortranarray(values.astype(">" + kind)))
        for name in [f"{kind}.npy", f"{kind}_big_fortran.npy"]:
            truth[name] = [item("array", values)]
        same.append([f"{kind}.npy", f"{kind}_big_fortran.npy"])
    np.save(at("scalar.npy"), np.float64(0.1))
    truth["scalar.npy"] = [item("array", np.float64(0.1))]
    np.save(at("empty.npy"), np.zeros((3, 0, 2), "f4"))
    truth["empty.npy"] = [item("array", np.zeros((3, 0, 2), "f4"))]
    for version in [(2, 0), (3, 0)]:
        with open(at(f"version{version[0]}.npy"), "wb") as f:
            np.lib.format.write_array(f, grid, version=version)
        truth[f"version{version[0]}.npy"] = [item("array", grid)]
    with open(at("two_in_one.npy"), "wb") as f:
        np.save(f, grid)
        np.save(f, grid[0])
    truth["two_in_one.npy"] = [item("array", grid), item("array[1]", grid[0])]
    words = np.array([["a", "bcd"], ["", "ü"]])
    for order in "<>":
        name = "words.npy" if order == "<" else "words_big.npy"
        np.save(at(name), words.astype(order + "U3"))
        truth[name] = [as_bytes("array", words, "U3")]
    same.append(["words.npy", "words_big.npy"])
    short = np.array([b"ab", b"c"])
    np.save(at("short.npy"), short)
    truth["short.npy"] = [as_bytes("array", short, "S2")]
    dates = np.array(["2026-01-02", "NaT"], "M8[D]")
    for order in "<>":
        name = "dates.npy" if order == "<" else "dates_big.npy"
        np.save(at(name), dates.astype(order + "M8[D]"))
        truth[name] = [item("array", dates.view("i8"), "M8[D]")]
    same.append(["dates.npy", "dates_big.npy"])
    void = np.frombuffer(bytes(range(12)), "V3")
    np.save(at("void.npy"), void)
    truth["void.npy"] = [as_bytes("array", void, "V3")]
    kind = np.dtype([("x", "<f4"), ("in", [("a", "u1"), ("b", "<i8", (2,))]), ("s", "S3")], align=True)
    records = np.zeros((2, 3), kind)
    records["x"] = grid[:2, :3, 0]
    records["in"]["a"], records["in"]["b"] = 7, [[[1, 2], [3, 4], [5, 6]]] * 2
    records["s"] = b"xyz"
    np.save(at("records.npy"), records)
    np.save(at("records_packed_fortran.npy"), np.asfortranarray(records.astype(
        np.dtype([("x", ">f4"), ("in", [("a", "u1"), ("b", ">i8", (2,))]), ("s", "S3")]))))
    for name in ["records.npy", "records_packed_fortran.npy"]:
        truth[name] = [item("array.x", records["x"]), item("array.in.a", records["in"]["a"]),
                       item("array.in.b", records["in"]["b"]), as_bytes("array.s", records["s"], "S3")]
    same.append(["records.npy", "records_packed_fortran.npy"])
    many = np.zeros(2, [(f"f{i}", "<i2") for i in range(65)])
    many["f3"] = 5
    np.save(at("many_fields.npy"), many)
    declared = str([(f"f{i}", "<i2") for i in range(65)])
    truth["many_fields.npy"] = [item("array", many.view("u1").reshape(2, 130), declared)]
    np.save(at("objects.npy"), np.array([{}, 1], object), allow_pickle=True)
    truth["objects.npy"] = "Python objects"


def npz():
    w, b = np.arange(12, dtype="f4").reshape(3, 4).T, np.array([1, 2], ">i8")
    records = np.array([(1, 2.5), (3, 4.5)], [("n", "i4"), ("x", "f8")])
    expected = [item("b", b), item("r.n", records["n"]), item("r.x", records["x"]), item("w", w)]
    np.savez(at("stored.npz"), w=w, b=b, r=records)
    np.savez_compressed(at("deflated.npz"), r=records, b=b, w=np.ascontiguousarray(w))
    with zipfile.ZipFile(at("later.npz"), "w") as z:
        for name, array in [("r", records), ("w", w), ("b", b)]:
            info = zipfile.ZipInfo(f"{name}.npy", (2026, 11, 20, 1, 2, 4))
            info.create_system = 0
            with z.open(info, "w", force_zip64=True) as f:
                np.lib.format.write_array(f, array)
    np.savez(at("plain.npz"), x=np.arange(5.0))
    truth["plain.npz"] = [item("x", np.arange(5.0))]
    for name in ["stored.npz", "deflated.npz", "later.npz"]:
        truth[name] = expected
    same.append(["stored.npz", "deflated.npz", "later.npz"])


def write(name, text):
    with open(at(name), "w", encoding="utf-8", newline="") as f:
        f.write(text)


def tables():
    value = {"loss": 0.1, "epoch": 3, "ok": True, "name": "run ü", "none": None, "nan": math.nan,
             "big": 2**70, "a.b": [1, 2, 3], "mixed": [1, 0.5], "grid": [[1, 2], [3, 4.5]], "ragged": [[1], [2, 3]],
             "gaps": [1.5, None, -math.inf], "layers": [{"w": 1}, {"w": 2}], "empty": {"list": [], "dict": {}},
             "odd": [1, "x"], "words": ["a", "bc"], "near": [2**53 + 1, 0.5]}
    write("value.json", json.dumps(value))
    write("value_reordered.json", json.dumps(dict(reversed(value.items())), indent=3, ensure_ascii=False))
    f8, i8 = np.float64, np.int64
    truth["value.json"] = truth["value_reordered.json"] = [
        item('["a.b"]', i8([1, 2, 3])), text("big", str(2**70).encode(), "int"),
        text("empty.dict", b"", "{}"), text("empty.list", b"", "[]"), item("epoch", i8(3)),
        item("gaps", f8([1.5, -math.inf])), item("gaps#rows", i8([0, 2])), item("gaps#null", i8([1])),
        item("grid", f8([[1, 2], [3, 4.5]])), item("layers[0].w", i8(1)), item("layers[1].w", i8(2)),
        item("loss", f8(0.1)), item("mixed", f8([1, 0.5])), text("name", "run ü".encode(), "str"),
        item("nan", f8(math.nan)),
        text("near", b"90071992547409930.5", "json"), item("near#end", i8([16, 19])),
        text("none", b"null", "null"), text("odd", b'1"x"', "json"), item("odd#end", i8([1, 4])),
        item("ok", np.bool_(True)), item("ragged[0]", i8([1])), item("ragged[1]", i8([2, 3])),
        text("words", b"abc", "str"), item("words#end", i8([1, 3])),
    ]
    same.append(["value.json", "value_reordered.json"])
    rows = [{"step": 0, "loss": 2.5, "tag": "a", "opt": {"lr": [1, 0.5]}}, {"step": 1, "loss": 2, "tag": "bc"},
            {"step": 2, "loss": None, "tag": "", "extra": True}]
    write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    write("rows_reordered.jsonl",
          "\r\n\r\n".join(json.dumps(dict(reversed(row.items())), separators=(",", ":")) for row in rows))
    truth["rows.jsonl"] = truth["rows_reordered.jsonl"] = [
        item("extra", np.array([True])), item("extra#rows", i8([2])), item("loss", f8([2.5, 2])),
        item("loss#rows", i8([0, 1])), item("loss#null", i8([2])), item("opt.lr[0]", i8([1])),
        item("opt.lr[0]#rows", i8([0])), item("opt.lr[1]", f8([0.5])), item("opt.lr[1]#rows", i8([0])),
        item("step", i8([0, 1, 2])), text("tag", b"abc", "str"), item("tag#end", i8([1, 3, 3])),
    ]
    same.append(["rows.jsonl", "rows_reordered.jsonl"])
    csv = 'step,loss,tag,id,gap,"a, b",,loss\n0,1.50,x,007,,1,1,1e400\n1,nan,"y\n""z",008,2.5,99999999999999999999,2,1\n'
    write("metrics.csv", csv)
    write("metrics.tsv", "\ufeff" + 'step\tloss\ttag\tid\tgap\ta, b\t\tloss\r\n0\t1.5\tx\t007\t\t1\t1\tinf\r\n'
          '1\tNaN\t"y\n""z"\t008\t2.5\t99999999999999999999\t2\t1\r\n')
    truth["metrics.csv"] = truth["metrics.tsv"] = [
        item("step", i8([0, 1])), item("loss", f8([1.5, math.nan])), text("tag", b'xy\n"z', "str"),
        item("tag#end", i8([1, 5])), text("id", b"007008", "str"), item("id#end", i8([3, 6])),
        item("gap", f8([2.5])), item("gap#rows", i8([1])), item("gap#null", i8([0])),
        text("a, b", b"199999999999999999999", "json"), item("a, b#end", i8([1, 21])),
        item("6", i8([1, 2])), item("loss (2)", f8([math.inf, 1])),
    ]
    same.append(["metrics.csv", "metrics.tsv"])
    write("no_header.csv", "1;2.5\n3;4\n")
    truth["no_header.csv"] = [item("0", i8([1, 3])), item("1", f8([2.5, 4]))]


def events():
    from tensorboardX import SummaryWriter
    from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    losses = np.float32([2.5, 1.25, math.nan, 0.1])
    steps = np.int64([0, 1, 2, 10])
    bins = np.linspace(0, 1, 6).reshape(2, 3)

    def dims(shape):
        return tensor_shape_pb2.TensorShapeProto(
            dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=n) for n in shape])

    def take(folder, name):
        (written,) = os.listdir(folder)
        shutil.move(os.path.join(folder, written), at(name))
        shutil.rmtree(folder)

    writer = SummaryWriter(at("x"))
    for step, loss in zip(steps, losses):
        writer.add_scalar("loss/train", loss, step)
    writer.add_scalar("accuracy", 0.5, 3)
    writer.close()
    take(at("x"), "old.tfevents")

    writer = EventFileWriter(at("y"))
    tensor = tensor_pb2.TensorProto
    accuracy = summary_pb2.Summary.Value(tag="accuracy", simple_value=0.5)
    writer.add_event(event_pb2.Event(wall_time=5.0, step=3, summary=summary_pb2.Summary(value=[accuracy])))
    for index, (step, loss) in enumerate(zip(steps, losses)):
        content = tensor(dtype=types_pb2.DT_FLOAT, tensor_shape=dims([]))
        if index % 2:
            content.float_val.append(loss)
        else:
            content.tensor_content = loss.tobytes()
        value = summary_pb2.Summary.Value(tag="loss/train", tensor=content)
        value.metadata.plugin_data.plugin_name = "scalars"
        writer.add_event(event_pb2.Event(wall_time=7.0, step=step, summary=summary_pb2.Summary(value=[value])))
    writer.close()
    take(at("y"), "new.tfevents")
    expected = [item("accuracy", np.float32([0.5])), item("accuracy#step", np.int64([3])),
                item("loss/train", losses), item("loss/train#step", steps)]
    truth["old.tfevents"] = truth["new.tfevents"] = expected
    same.append(["old.tfevents", "new.tfevents"])

    writer = EventFileWriter(at("z"))
    histogram = summary_pb2.HistogramProto(min=1, max=2, num=3, bucket_limit=[1, 2], bucket=[1, 2])
    note = tensor(dtype=types_pb2.DT_STRING, tensor_shape=dims([]), string_val=[b"hello"])
    grid = tensor(dtype=types_pb2.DT_DOUBLE, tensor_shape=dims([2, 3]), double_val=bins.ravel())
    values = [summary_pb2.Summary.Value(tag="h", histo=histogram), summary_pb2.Summary.Value(tag="t", tensor=note),
              summary_pb2.Summary.Value(tag="g", tensor=grid)]
    for _ in range(2):
        writer.add_event(event_pb2.Event(wall_time=1.0, step=4, summary=summary_pb2.Summary(value=values)))
    writer.add_event(event_pb2.Event(wall_time=1.0, graph_def=b"graph"))
    writer.close()
    take(at("z"), "other.tfevents")
    truth["other.tfevents"] = [
        item("g#4", bins), item("g#4#1", bins), text("h#4", histogram.SerializeToString(), "histogram"),
        text("h#4#1", histogram.SerializeToString(), "histogram"), text("t#4", note.SerializeToString(), "tensor"),
        text("t#4#1", note.SerializeToString(), "tensor"),
    ]


def others():
    write("notes.txt", "grüße\n")
    with open(at("blob.bin"), "wb") as f:
        f.write(struct.pack("<4I", 0, 1, 2, 0xFFFFFFFF))
    for name, declared in [("notes.txt", "text"), ("blob.bin", "bytes")]:
        truth[name] = [item("bytes", np.fromfile(at(name), np.uint8), declared)]


if __name__ == "__main__":
    shutil.rmtree(HERE, ignore_errors=True)
    os.makedirs(HERE)
    for make in [npy, npz, tables, events, others]:
        make()
    with open(at("truth.json"), "w") as f:
        json.dump({"files": truth, "same": same}, f, sort_keys=True)
        f.write("\n")
