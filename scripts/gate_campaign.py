"""The checks of `scripts/campaign gate`: `samebits gate` on real programs, each fault beside its control."""

import contextlib
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PROGRAMS = HERE / "programs"
SAMEBITS = os.environ.get("SAMEBITS", str(HERE.parent / "target/release/samebits"))
PYTHON = os.environ.get("PYTHON", sys.executable)
# What the caller's shell happens to set must decide nothing here.
PINNED = ["PYTHON", "SAMEBITS", "OMP_", "MKL_", "CUBLAS_", "TORCH_DEVICE_"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(tuple(PINNED))}
TORCHRUN = [PYTHON, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]


class Gates:
    """Gates in working folders of their own, and what they came to."""

    def __init__(self, score):
        self.score, self.skipped = score, []

    def gate(self, flags, command, environment=None, folder=None):
        """The report of one gate, and its exit code."""
        with contextlib.ExitStack() as stack:
            folder = folder or stack.enter_context(tempfile.TemporaryDirectory())
            outside = stack.enter_context(tempfile.TemporaryDirectory())
            for program in PROGRAMS.iterdir():
                if program.is_file():
                    shutil.copy(program, folder)
            variables = ENVIRONMENT | {"COUNTER": f"{outside}/count"} | (environment or {})
            done = subprocess.run(
                [SAMEBITS, "gate", "--format", "json", "--quiet", *flags, "--", *command],
                cwd=folder, env=variables, capture_output=True, text=True, check=False,
            )
        try:
            return json.loads(done.stdout), done.returncode
        except ValueError:
            return {"verdict": "no report", "reason": done.stderr[-500:]}, done.returncode

    def say(self, name, good, detail):
        self.score.check(good, f"{name}: {detail}")
        if good:
            print(f"ok     {name}: {detail}", flush=True)

    def check(self, name, verdict, flags, command, where=lambda report: True, **more):
        """A gate that must come to this verdict, with a report for which `where` holds."""
        report, code = self.gate(flags, command, **more)
        expected = {"identical": 0, "close": 0, "diverged": 1, "inconclusive": 2}[verdict]
        try:
            good = report["verdict"] == verdict and code == expected and bool(where(report))
        except (KeyError, TypeError, IndexError):
            good = False
        self.say(name, good, f"{report['verdict']}, {report['reason']}")
        return report

    def skip(self, name, why):
        self.skipped.append(name)
        print(f"left out {name}: {why}", flush=True)


def first(name=None, step=None, rank=None):
    """Whether the report's first divergence is there."""
    def where(report):
        found = report["first_divergence"]
        wanted = [("name", name), ("step", step), ("rank", rank)]
        return all(found[key] == value for key, value in wanted if value is not None)
    return where


def notes(*words):
    return lambda report: all(word in " ".join(report["notes"]) for word in words)


def setting(report, name):
    return next((one["in_force"] for one in report["settings"] if one["name"] == name), None)


def programs(gates):
    train, check = [PYTHON, "train.py"], gates.check
    loss = first("metrics.jsonl:loss", 0)
    check("training, seeded", "identical", [], [*train, "--seed", "1"], lambda report: report["compared"]["entries"] > 10)
    check("training, unseeded", "diverged", [], train, loss)
    check("training, unseeded, --seed 1", "identical", ["--seed", "1"], train)
    check("training, seeded after its model", "diverged", [], [*train, "--late-seed", "1"], loss)
    check("order of a set, hash seed left alone", "diverged", ["--set", "PYTHONHASHSEED=default"], [PYTHON, "order.py"],
          lambda report: report["first_divergence"]["name"].startswith("sums.json"))
    check("order of a set, as the gate runs it", "identical", [], [PYTHON, "order.py"])
    check("scatter with two threads", "diverged", ["--runs", "5"], [PYTHON, "scatter.py"], first("table.pt:table"))
    check("scatter with two threads, --mode strict", "identical", ["--runs", "5", "--mode", "strict"], [PYTHON, "scatter.py"])
    check("a clock in the result", "diverged", [], [PYTHON, "clock.py"],
          lambda report: "written_time" in report["first_divergence"]["name"] and "--ignore" in " ".join(report["next"]))
    check("a clock, --ignore", "identical", ["--ignore", "written_time"], [PYTHON, "clock.py"])
    with tempfile.TemporaryDirectory() as folder:
        overrides = pathlib.Path(folder) / "overrides.toml"
        overrides.write_text('[[override]]\nname = "written_time"\nignore = true\nreason = "when, not what"\n')
        check("a clock, an override with its reason", "identical", ["--overrides", str(overrides)], [PYTHON, "clock.py"],
              lambda report: report["exceptions"][0]["reason"] == "when, not what" and report["exceptions"][0]["needed"] == 1)
    build = "g++ -O2 -o sums sums.cpp && ./sums"
    check("C++, a table keyed by number", "identical", [], ["sh", "-c", f"{build} numbers"])
    check("C++, a table keyed by address", "diverged", ["--artifact", "sums.bin"], ["sh", "-c", f"{build} pointers"],
          first("sums.bin:bytes"))
    check("shell, shuffled with a source", "identical", [], ["sh", "split.sh", "seeded"])
    check("shell, shuffled without", "diverged", [], ["sh", "split.sh"])
    if subprocess.run([PYTHON, "-c", "import torch.utils.tensorboard"], capture_output=True, check=False).returncode:
        gates.skip("TensorBoard events", "PYTHON has no tensorboard")
    else:
        check("TensorBoard events, seeded", "identical", [], [PYTHON, "events.py", "--seed"])
        check("TensorBoard events, unseeded", "diverged", [], [PYTHON, "events.py"],
              lambda report: "loss" in report["first_divergence"]["name"] and report["first_divergence"]["step"] == 0)
    twice = f"{PYTHON} resume.py && {PYTHON} resume.py"
    check("resumed from its own checkpoint", "identical", [], ["sh", "-c", twice])
    check("resumed without the generator", "diverged", [], ["sh", "-c", twice + " --forget"], first(step=20))
    check("prints only, seeded", "identical", [], [PYTHON, "prints.py", "--seed"], notes("wrote no file", "masked"))
    check("prints only, unseeded", "diverged", [], [PYTHON, "prints.py"])
    metric = ["--metric", r"loss (\S+)"]
    check("prints only, unseeded, --metric", "diverged", metric, [PYTHON, "prints.py"], first("{metrics}.json:loss", 0))
    check("two loader workers", "identical", [], [*train, "--seed", "1", "--workers", "2"])
    check("two loader workers with noise of their own", "diverged", [], [*train, "--seed", "1", "--workers", "2", "--augment"], loss)
    check("ends by os._exit", "identical", ["--mode", "warn"], [*train, "--seed", "1", "--hard-exit"],
          lambda report: setting(report, "deterministic_algorithms") == "warn")
    crash = "echo x >> $COUNTER; seq 9 > a.txt; test $(wc -l < $COUNTER) = 1"
    check("crashes only the second time", "inconclusive", [], ["sh", "-c", crash],
          lambda report: report["reason_code"] == "run-failed" and report["reason"].startswith("run 1 "))
    for special, close in [("nan", ["--close", "--equal-nan"]), ("zero", ["--close"])]:
        command = [PYTHON, "specials.py", special]
        check(f"another {special}", "diverged", [], command, lambda report: report["first_divergence"]["index"] == 50)
        check(f"another {special}, {' '.join(close)}", "close", close, command)


def ranks(gates):
    # A number of seconds that nobody else sleeps for.
    long = f"300.{os.getpid()}"
    check, command = gates.check, [*TORCHRUN, "ranks.py"]
    check("two ranks", "identical", [], command, lambda report: report["compared"]["entries"] == 4)
    for odd in "01":
        check(f"two ranks, rank {odd} is odd", "diverged", [], command, first(f"out/model_rank_{odd}.pt:noise", rank=int(odd)),
              environment={"ODD_RANK": odd})
    check("two ranks that hang", "inconclusive", ["--timeout", "20s"], [*TORCHRUN, "--no-python", "sleep", long],
          lambda report: report["reason_code"] == "timeout")
    left = [line for line in processes() if "ranks.py" in line or long in line]
    gates.say("no rank is left", not left, f"{len(left)} processes {left[:1]}")


def processes():
    """Command lines of everything that runs, but for gates."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if f"{SAMEBITS} " not in line:
                yield line


def statistics(gates):
    passed = sum(gates.gate([], ["sh", "split.sh", "seeded"])[1] == 0 for _ in range(100))
    gates.say("100 gates of a program that repeats itself", passed == 100, f"{passed} pass")
    # 26 of 256 values of a byte are 10.2 %.
    rare = "if [ $(od -An -N1 -tu1 /dev/urandom) -lt 26 ]; then seq 10; else seq 9; fi > a.txt"
    plan = ["--confidence", "0.95", "--rate", "0.1"]
    reports = [gates.gate(plan, ["sh", "-c", rare]) for _ in range(100)]
    caught = sum(code == 1 and report["verdict"] == "diverged" for report, code in reports)
    runs = sum(report["compared"]["runs"] for report, _ in reports) / 100
    gates.say("100 gates of one that diverges in 1 run of 10", caught >= 90, f"{caught} caught, after {runs:.1f} runs on average")


def overhead(gates):
    """Seconds a run that samebits adds to a command that writes one small file."""
    command = ["sh", "-c", "echo 1 2 3 > a.txt"]
    with tempfile.TemporaryDirectory() as plain, tempfile.TemporaryDirectory() as repository:
        for number in range(200):
            (pathlib.Path(repository) / f"file-{number}.py").write_text(f"print({number})\n" * 50)
        for words in [["init", "-q"], ["add", "."]]:
            subprocess.run(["git", *words], cwd=repository, check=True)
        for name, folder in [("an empty folder", plain), ("a repository of 200 files", repository)]:
            def lasts(words, folder=folder):
                """Seconds, and seconds of the processor's."""
                before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
                subprocess.run(words, cwd=folder, env=ENVIRONMENT, capture_output=True, check=True)
                wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
                return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

            own = min(lasts(command) for _ in range(10))
            few, many = (min(lasts([SAMEBITS, "gate", "--runs", str(runs), "--", *command]) for _ in range(10)) for runs in (2, 22))
            whole, busy = (1000 * (many[at] / 22 - own[at]) for at in (0, 1))
            gates.say(f"overhead in {name}", whole < 50,
                      f"{whole:.1f} ms a run of 22, {busy:.1f} ms of them busy; a gate of 2 runs {1000 * few[0]:.0f} ms; "
                      f"the command alone {1000 * own[0]:.1f} ms")


def modes(gates):
    said = {"own": "deterministic False", "off": "deterministic False", "warn": "warn_only True", "strict": "deterministic True"}
    for mode, line in said.items():
        with tempfile.TemporaryDirectory() as folder:
            keep = pathlib.Path(folder) / "kept"
            report, code = gates.gate(["--mode", mode, "--compare-stdout", "--keep", str(keep)], [PYTHON, "modes.py"])
            text = (keep / "run-1/stdout").read_text() if code == 0 else ""
        read = setting(report, "deterministic_algorithms")
        good = code == 0 and line in text and read == ("off" if mode == "own" else mode)
        if mode == "strict":
            good = good and "warn_only False" in text and "fill True" in text
        gates.say(f"--mode {mode}, said by the program itself", good, f"{' '.join(text.split())}; read back: {read}")
    missed = notes("did not reach")
    strict = ["--mode", "strict", "--compare-stdout"]
    check = gates.check
    check("--mode strict without torch", "identical", strict, [PYTHON, "plain.py"], missed)
    check("--mode strict with torch's entry points off", "identical", strict, [PYTHON, "modes.py"], missed,
          environment={"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"})
    check("--mode strict where the program sets PYTHONPATH", "identical", strict, ["env", "PYTHONPATH=.", PYTHON, "modes.py"], missed)
    check("--mode strict where the caller sets PYTHONPATH", "identical", strict, [PYTHON, "modes.py"],
          lambda report: setting(report, "deterministic_algorithms") == "strict", environment={"PYTHONPATH": "."})
    for flags in ["-I", "-E"]:
        check(f"--mode strict and python {flags}", "identical", strict, [PYTHON, flags, "modes.py"], missed)
    for flags in ["-I", "-S", "-E", "-IS", "-B", "-u"]:
        check(f"python {flags}", "identical", [], [PYTHON, flags, "plain.py"])
    check("python -m", "identical", strict, [PYTHON, "-m", "modes"],
          lambda report: setting(report, "deterministic_algorithms") == "strict")
    check("python -c", "identical", strict, [PYTHON, "-c", "import modes"],
          lambda report: setting(report, "deterministic_algorithms") == "strict")
    for start, count in [("spawn", "Python processes"), ("fork", "1 Python process")]:
        check(f"multiprocessing by {start}", "identical", [], [PYTHON, "children.py", start], notes(count))
    check("an exit code of 3", "inconclusive", [], [PYTHON, "plain.py", "3"], lambda report: "exit code 3" in report["reason"])
    check("an exit code of 3 after torch", "inconclusive", [], [PYTHON, "-c", "import torch, sys; sys.exit(3)"],
          lambda report: "exit code 3" in report["reason"])
    check("an op that torch refuses", "inconclusive", strict, [PYTHON, "refused.py"],
          lambda report: report["reason_code"] == "refused" and "max_unpooling2d" in report["reason"])
    check("a program that sets its own threads", "identical", strict, [PYTHON, "-c", "import torch; torch.set_num_interop_threads(2); print(1)"])
    check("--seed and a program that seeds later", "identical", ["--seed", "5"], [PYTHON, "train.py", "--late-seed", "1"])


def unchanged(gates):
    """A program must come to the same without the hook."""
    with tempfile.TemporaryDirectory() as bare, tempfile.TemporaryDirectory() as folder:
        shutil.copy(PROGRAMS / "train.py", bare)
        pinned = ENVIRONMENT | {"PYTHONHASHSEED": "0"}
        command = [PYTHON, "train.py", "--seed", "1"]
        subprocess.run(command, cwd=bare, env=pinned, check=True)
        pathlib.Path(bare, "train.py").unlink()
        for mode in ["own", "off"]:
            keep = pathlib.Path(folder) / mode
            gates.gate(["--mode", mode, "--keep", str(keep)], command)
            done = subprocess.run([SAMEBITS, "diff", "--quiet", bare, str(keep / "run-0/files")], capture_output=True, text=True, check=False)
            gates.say(f"the same result without samebits, mode {mode}", done.returncode == 0, done.stdout.strip())


def gate(score):
    gates = Gates(score)
    for part in [programs, ranks, modes, unchanged, overhead, statistics]:
        began = time.perf_counter()
        part(gates)
        print(f"gate: {part.__name__} took {time.perf_counter() - began:.0f} s", flush=True)
    if gates.skipped:
        print(f"gate: left out {', '.join(gates.skipped)}", flush=True)
