"""Metrics as pandas, csv and json write them, and a Trainer's state."""

import csv
import json
import math

import pandas

VERSION = f"pandas {pandas.__version__}"


def state(loss):
    """trainer_state.json, as transformers' Trainer writes it."""
    history = [{"epoch": n / 4, "grad_norm": 1.5 + n, "learning_rate": 5e-5 / (n + 1), "loss": 2.5 / (n + 1), "step": n} for n in range(8)]
    history[5]["loss"] = loss
    history.append({"epoch": 2.0, "eval_loss": math.nan, "eval_runtime": 1.25, "step": 8})
    return {"best_global_step": None, "best_metric": None, "epoch": 2.0, "eval_steps": 500, "global_step": 8, "is_hyper_param_search": False,
            "log_history": history, "stateful_callbacks": {"TrainerControl": {"args": {"should_save": True}, "attributes": {}}}, "trial_name": None}  # fmt: skip


def write(book):
    one, again, sparse, other = (book.path(f"trainer_state/{name}.json") for name in ("one", "again", "sparse", "other"))
    one.write_text(json.dumps(state(0.25), indent=2, sort_keys=True) + "\n")
    again.write_text(json.dumps(state(0.25)))
    sparse.write_text(json.dumps(dict(reversed(state(0.25).items())), separators=(",", ":")))
    other.write_text(json.dumps(state(math.nextafter(0.25, 1))))
    book.same("trainer_state", one, again)
    book.same("trainer_state, other order", one, sparse)
    book.differ("trainer_state, one loss", one, other, {"log_history[5].loss": {"index": 0, "bits": ["0x3fd0000000000000", "0x3fd0000000000001"], "differing": 1}})
    frame = pandas.DataFrame({"step": range(9), "loss": [1 / (n + 1) for n in range(9)], "name": list("abcdefgh") + ["ü,\"\n"], "ok": [True, False, True] * 3,
                              "hole": [1.5, None, 3.0] * 3, "big": [2**62 + n for n in range(9)], "date": pandas.date_range("2026-01-01", periods=9)})  # fmt: skip
    changed = frame.copy()
    changed.loc[4, "loss"] = math.nextafter(0.2, 1)
    for suffix, how in (("csv", {}), ("csv", {"index": False}), ("tsv", {"sep": "\t"}), ("csv", {"sep": ";", "lineterminator": "\r\n"}), ("csv", {"quoting": csv.QUOTE_ALL})):
        label = f"pandas {suffix} {how!r}".replace("/", "").replace("\\", "")
        paths = [book.path(f"{label}/{name}.{suffix}") for name in ("one", "again", "other")]
        frame.to_csv(paths[0], **how)
        frame.to_csv(paths[1], **(how | {"lineterminator": "\r\n"}))
        changed.to_csv(paths[2], **how)
        book.same(label, *paths[:2])
        book.differ(f"{label}, one loss", paths[0], paths[2], {"loss": {"index": 4, "bits": ["0x3fc999999999999a", "0x3fc999999999999b"], "differing": 1}})
    lines = [book.path(f"lines/{name}.jsonl") for name in ("one", "again", "other")]
    frame.to_json(lines[0], orient="records", lines=True, double_precision=15)
    again = [json.loads(line) for line in lines[0].read_text().splitlines()]
    lines[1].write_text("".join(json.dumps(dict(reversed(row.items()))) + "\n" for row in again))
    again[4]["loss"] += 1e-9
    lines[2].write_text("".join(json.dumps(row) + "\n" for row in again))
    book.same("pandas json lines", *lines[:2])
    book.differ("pandas json lines, one loss", lines[0], lines[2], {"loss": {"bits": None}})
    rows = [{"a": n, "b": n / 3, "c": "x y" if n else "-"} for n in range(5)]
    files = [book.path(f"dicts/{name}.csv") for name in ("unix", "excel")]
    for path, dialect in zip(files, ("unix", "excel")):
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, "abc", dialect=dialect)
            writer.writeheader()
            writer.writerows(rows)
    book.same("csv of two dialects", *files)
