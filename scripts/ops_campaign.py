"""The checks of `scripts/campaign ops`: `samebits gate --ops` on programs that diverge for one known cause each, and on some
that do not diverge at all."""

import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PROGRAMS = HERE / "programs/ops"
SAMEBITS = os.environ.get("SAMEBITS", str(HERE.parent / "target/release/samebits"))
PYTHON = os.environ.get("PYTHON", sys.executable)
# What the caller's shell happens to set must decide nothing here.
PINNED = ("PYTHON", "SAMEBITS", "OMP_", "MKL_", "CUBLAS_", "TORCH_DEVICE_")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(PINNED)}


def gate(program, more=""):
    """The report of a gate of one program; `more` is shell that runs after it."""
    with tempfile.TemporaryDirectory() as folder:
        command = f"{PYTHON} {PROGRAMS / program} {more}"
        # Left alone, because the order of sets is one of the causes; three runs, because a race may come out alike twice.
        flags = ["--format", "json", "--quiet", "--ops", "--set", "PYTHONHASHSEED=default", "--timeout", "5m", "--runs", "3"]
        done = subprocess.run([SAMEBITS, "gate", *flags, "--", "sh", "-c", command], cwd=folder, env=ENVIRONMENT,
                              capture_output=True, text=True, check=False)
    try:
        return json.loads(done.stdout)
    except ValueError:
        return {"verdict": "no report", "reason": done.stderr[-500:], "notes": []}


def finding(report):
    return (report.get("ops") or {}).get("finding")


def fits(row, found):
    """Whether a finding names the cause and the op that the table knows."""
    kinds = row["cause"].replace(" ", "-").split("|")
    if found is None or found["kind"] not in kinds:
        return False
    # The op itself, or the one that called it.
    ops = [found["place"]["op"], *found["place"]["parents"]]
    return any(op.startswith(wanted) for op in ops for wanted in row["op"].split("|"))


def ops(score, repeats, only=None):
    rows = json.loads((PROGRAMS / "table.json").read_text())
    counts = collections.Counter()
    for row in rows:
        if only and row["file"] not in only:
            continue
        for _ in range(repeats if row["cause"] != "none" else 1):
            if row["cause"] == "none":
                # A file of another kind differs, so that the recorder has to look and must find nothing.
                report = gate(row["file"], '&& date +%s%N.5 > "$SAMEBITS_OUT/stamp.txt"')
                good = report["verdict"] == "diverged" and report.get("ops") is not None and finding(report) is None
            else:
                report = gate(row["file"])
                good = report["verdict"] == "diverged" and fits(row, finding(report))
            found = finding(report)
            said = f"{found['kind']} {found['place']['op']}: {found['what']}" if found else f"no finding; {report['reason']}; {report['notes']}"
            counts[row["file"]] += good
            score.check(good, f"ops {row['file']}, wanted {row['cause']} {row['op']}: {said}")
        print(f"ops {row['file']}: {counts[row['file']]} right; last {said[:160]}", flush=True)
