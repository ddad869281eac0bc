"""Runs as TensorBoard's writers log them. Files and folders of a run are called after time, host and process."""

import pathlib
import time

import numpy as np
from torch.utils import tensorboard as of_torch
from write import bits

try:
    import tensorboardX
except ImportError:
    tensorboardX = None
import tensorboard

VERSION = f"tensorboard {tensorboard.__version__}"


def log(writer, seed, changed=None, steps=20):
    """A run; `changed` is a tag and a step whose value is another one. Returns the changed float's two values."""
    random = np.random.default_rng(seed)
    pair = None
    for step in range(steps):
        for tag in ("loss", "metrics/accuracy", "größe"):
            value = np.float32(random.standard_normal())
            if changed == (tag, step):
                pair = (value, np.nextafter(value, np.float32(9)))
                value = pair[1]
            writer.add_scalar(tag, value, step)
    writer.add_scalars("both", {"train": 0.5, "test": 0.25}, 1)
    writer.add_histogram("weights", random.standard_normal(100), 3)
    writer.add_histogram("weights", random.standard_normal(100), 9)
    writer.add_image("image", np.zeros((3, 4, 4), dtype=np.uint8), 0)
    writer.add_text("note", "as it was" if changed != "text" else "as it is", 0)
    writer.add_hparams({"rate": 0.1, "name": "x", "flag": True}, {"final": 0.5})
    writer.close()
    return pair


def restarted(writer, folder, seed, **how):
    log(writer(folder), seed, **how)
    again = writer(folder, purge_step=10)
    for step in range(10, 15):
        again.add_scalar("loss", step / 7, step)
    again.close()


def write(book):
    kinds = {"torch": of_torch.SummaryWriter}
    if tensorboardX:
        kinds["tensorboardX"] = tensorboardX.SummaryWriter
    for kind, writer in kinds.items():
        root = book.path(f"{kind}/a/x").parent.parent
        log(writer(root / "a"), 1)
        time.sleep(1.1)  # Another second is another file name.
        log(writer(root / "b"), 1)
        book.same(f"{kind}: the same run twice, in folders", root / "a", root / "b", "hold the time")
        one, other = (sorted((root / side).glob("events*")) for side in "ab")
        book.same(f"{kind}: the same run twice, one file", one[0], other[0], "times at which it was logged")
        for number in range(6):
            changed = (book.random.choice(["loss", "metrics/accuracy", "größe"]), book.random.randrange(20))
            pair = log(writer(root / f"c{number}"), 1, changed)
            file = sorted((root / f"c{number}").glob("events*"))[0]
            found = {changed[0]: {"index": changed[1], "bits": [bits(value.tobytes()) for value in pair], "differing": 1}}
            book.differ(f"{kind}: one scalar", one[0], file, found)
            named = {f"{one[0].name}:{name}": told for name, told in found.items()}
            book.differ(f"{kind}: one scalar, in folders", root / "a", root / f"c{number}", named)
        log(writer(root / "text"), 1, "text")
        book.noted(f"{kind}: another text", root / "a", root / "text", 1, "hold the time")
        for side in ("r", "s"):
            restarted(writer, root / side, 2)
        book.same(f"{kind}: the same run with a restart", root / "r", root / "s", "hold the time")
        log(writer(root / "once"), 2)
        book.noted(f"{kind}: one restart more", root / "r", root / "once", 1, "hold the time")
        # As SummaryWriter and transformers' Trainer call the folder where nobody says otherwise.
        for side, day in (("m", "Nov20_12-58-40_here"), ("n", "Nov21_01-02-03_there")):
            log(writer(pathlib.Path(root / side / "runs" / day)), 3)
        book.same(f"{kind}: a folder called after day and host", root / "m", root / "n", "hold the time")
