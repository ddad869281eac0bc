"""Lets samebits judge the files that write.py wrote, and compares its answer with that of the libraries."""

import collections
import concurrent.futures
import json
import pathlib
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
# What each environment installs, and what it writes. Old and new together show what changed between versions.
ENVIRONMENTS = {
    "torch": (
        "torch==2.11.0 safetensors==0.8.0 tensorboard==2.20.0 tensorboardX==2.6.4 pandas==2.3.3 ml_dtypes==0.5.4",
        "torch tensorboard safetensors arrays tables",
    ),
    "torch24": ("torch==2.4.1 numpy==1.26.4 safetensors==0.4.5 tensorboard==2.17.1 setuptools==75.8.0 pillow==11.3.0 six==1.17.0", "torch tensorboard safetensors"),
    "torch13": ("torch==1.13.1 numpy==1.24.4 safetensors==0.3.3", "torch safetensors"),
    "numpy124": ("numpy==1.24.4", "arrays"),
    "numpy126": ("numpy==1.26.4 pandas==2.2.3", "arrays tables"),
}


def environment(folder, name):
    """The Python of an environment, made where it is not there yet."""
    home = folder / name
    python = home / "bin/python"
    if not python.exists():
        venv.create(home, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *ENVIRONMENTS[name][0].split()], check=True)
    return python


def written(venvs, folder, seed):
    """All cases of all environments; files of one name are paired across environments."""
    cases, shared = [], collections.defaultdict(list)
    for name, (_, subjects) in ENVIRONMENTS.items():
        command = [environment(venvs, name), "-W", "ignore", HERE / "write.py", folder / name, str(seed), *subjects.split()]
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        print("".join(f"writers {name}: {line}\n" for line in told.splitlines()), end="", flush=True)
        for path in sorted((folder / name).glob("*/cases.jsonl")):
            for line in path.read_text().splitlines():
                case = json.loads(line)
                if "same" in case:
                    shared[case["same"]].append(case["file"])
                else:
                    cases.append(case | {"what": f"{name}: {case['what']}"})
    for name, files in shared.items():
        for other in files[1:]:
            cases.append({"kind": "versions", "what": name, "files": [files[0], other], "exit": 0})
    return cases


def wrong(case, report, code):
    """What is wrong with an answer; nothing where it is right."""
    if code != case["exit"]:
        return f"exit {code}, {report['reason_code']}: {report['reason']}"
    if case["exit"] == 0 and report["verdict"] != ("close" if case["kind"] == "close" and report["counts"]["close"] else "identical"):
        return report["verdict"]
    words = case.get("note") or case.get("words")
    if words and not any(words in text for text in [*report["notes"], report["reason"]]):
        return f"nothing says {words!r}: {report['reason']}; {report['notes']}"
    rows = {row["key"]: row for row in report.get("tensors") or []}
    if case["kind"] == "truth":
        differing = {key for key, row in rows.items() if row["status"] != "identical"}
        if differing != set(case["found"]):
            return f"differing {sorted(differing)}, not {sorted(case['found'])}"
        for key, told in case["found"].items():
            first = rows[key].get("first")
            if told.get("bits") is None:
                continue
            found = first and {"index": first["index"], "bits": [first["reference"]["bits"], first["candidate"]["bits"]], "differing": rows[key]["differing"]}
            if found != told:
                return f"{key}: {found}, not {told}"
    if case["kind"] == "close":
        found = {key: rows[key]["mismatched"] for key in case["mismatched"] if key in rows}
        if found != case["mismatched"]:
            return f"mismatched {found}, not {case['mismatched']}"
    return None


def answer(samebits, case):
    command = [samebits, "diff", *case["files"], *case.get("flags", []), "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return wrong(case, json.loads(done.stdout), done.returncode)
    except ValueError:
        return f"no report, exit {done.returncode}: {done.stderr[-500:]}"


def check(samebits, venvs, folder, seed, score):
    """Writes, judges and counts."""
    cases = written(venvs, folder, seed)
    kinds = collections.Counter(case["kind"] for case in cases)
    # Controls: an answer that is not the right one must be seen as wrong.
    one = next(case for case in cases if case["kind"] == "truth")
    score.check(answer(samebits, one | {"found": {}}) is not None, "a control: another tensor")
    moved = {key: told | {"index": told["index"] + 1} for key, told in one["found"].items()}
    score.check(answer(samebits, one | {"found": moved}) is not None, "a control: another place")
    score.check(answer(samebits, one | {"kind": "identity", "exit": 0}) is not None, "a control: another verdict")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for case, told in zip(cases, pool.map(lambda case: answer(samebits, case), cases)):
            score.check(told is None, f"{case['kind']}, {case['what']}: {told}\n    {' '.join(case['files'])}")
    print(f"writers: {len(cases)} pairs of files, by kind {dict(kinds)}", flush=True)
