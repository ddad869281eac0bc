"""What the op recorder costs, beside PyTorch's own DebugMode with tensor hashes: one JSON document on standard output.

Two programs, every op of every step: a small CNN with Adam, and a transformer with AdamW. Each way of running is a
process of its own, in turns, and the shortest of several runs counts; processor time is given beside wall time, because it
suffers less where other programs run.

    python benches/recorder.py [--repeat 5] [--threads 2] [--steps-cnn 100] [--steps-transformer 6]
"""

import argparse
import glob
import hashlib
import importlib.util
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def build(folder):
    """The recorder, compiled against the torch of this Python."""
    torch = pathlib.Path(importlib.util.find_spec("torch").origin).parent
    library = os.path.join(folder, "recorder.so")
    subprocess.run(
        ["c++", "-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-isystem", torch / "include", "-isystem",
         torch / "include/torch/csrc/api/include", ROOT / "src/recorder/native/recorder.cpp", "-o", library, f"-L{torch / 'lib'}",
         "-ltorch_cpu", "-lc10", "-ldl", "-lpthread"],
        check=True,
    )
    return library


def cnn(torch):
    nn = torch.nn
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.1), nn.Linear(32 * 7 * 7, 10),
    )
    optimizer = torch.optim.Adam(model.parameters())
    return model, optimizer, torch.randn(64, 1, 28, 28), torch.randint(0, 10, (64,))


def transformer(torch):
    nn = torch.nn
    layer = nn.TransformerEncoderLayer(256, 8, 1024, 0.1, batch_first=True)
    model = nn.Sequential(nn.Embedding(100, 256), nn.TransformerEncoder(layer, 6), nn.Linear(256, 100), nn.Flatten(0, 1))
    optimizer = torch.optim.AdamW(model.parameters())
    return model, optimizer, torch.randint(0, 100, (8, 128)), torch.randint(0, 100, (8 * 128,))


def child(arguments):
    """One program, run in one way. Prints its times and a digest of its final state."""
    import contextlib

    import torch

    if arguments.way == "recorder":
        hook = importlib.util.spec_from_file_location("hook", ROOT / "src/gate/hook.py")
        module = importlib.util.module_from_spec(hook)
        hook.loader.exec_module(module)
        module._record(torch, arguments.library)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    model, optimizer, x, y = {"cnn": cnn, "transformer": transformer}[arguments.child](torch)

    def step():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    for _ in range(3):
        step()
    with contextlib.ExitStack() as stack:
        if arguments.way == "debug_mode":
            from torch.utils._debug_mode import DebugMode

            stack.enter_context(DebugMode())
            stack.enter_context(DebugMode.log_tensor_hashes())
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(arguments.steps):
            step()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    state = hashlib.sha256()
    for value in [*model.state_dict().values()]:
        state.update(value.numpy().tobytes())
    print(json.dumps({"wall": wall, "cpu": cpu, "state": state.hexdigest()}))


def counts(folder):
    """What the recorder's END records say, and how long its files are: ops, tensors and bytes hashed, bytes written."""
    total = {"ops": 0, "hashed": 0, "bytes_hashed": 0, "trace_bytes": 0}
    for path in glob.glob(os.path.join(folder, "*.ops")):
        data = pathlib.Path(path).read_bytes()
        end, at = struct.unpack_from("<Q", data, 8)[0], 4096
        total["trace_bytes"] += end
        while at < end:
            length, kind = struct.unpack_from("<IB", data, at)
            if kind == 7:
                numbers, place = [], at + 6
                while len(numbers) < 4:
                    value = shift = 0
                    while True:
                        byte = data[place]
                        place += 1
                        value |= (byte & 127) << shift
                        shift += 7
                        if byte < 128:
                            break
                    numbers.append(value)
                total["ops"] += numbers[1]
                total["hashed"] += numbers[2]
                total["bytes_hashed"] += numbers[3]
            at += 4 + length
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps-cnn", type=int, default=100)
    parser.add_argument("--steps-transformer", type=int, default=6)
    for hidden in ("--child", "--way", "--library"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        return child(arguments)
    with tempfile.TemporaryDirectory() as base:
        library = build(base)
        result = {"threads": arguments.threads, "repeat": arguments.repeat}
        for program, steps in (("cnn", arguments.steps_cnn), ("transformer", arguments.steps_transformer)):
            best, states, trace = {}, set(), {}
            for _ in range(arguments.repeat):
                for way in ("bare", "recorder", "debug_mode"):
                    with tempfile.TemporaryDirectory() as folder:
                        environment = {k: v for k, v in os.environ.items() if k != "SAMEBITS_RECORD"}
                        # Threads that wait actively take tens of times as long where other programs run.
                        environment.setdefault("OMP_WAIT_POLICY", "passive")
                        if way == "recorder":
                            environment["SAMEBITS_RECORD"] = f"folder={folder}"
                        run = subprocess.run(
                            [sys.executable, __file__, "--child", program, "--way", way, "--library", library, "--threads",
                             str(arguments.threads), "--steps", str(steps)],
                            env=environment, check=True, stdout=subprocess.PIPE, text=True,
                        )
                        one = json.loads(run.stdout.splitlines()[-1])
                        states.add(one["state"])
                        for clock in ("wall", "cpu"):
                            best[way, clock] = min(best.get((way, clock), one[clock]), one[clock])
                        if way == "recorder":
                            trace = counts(folder)
            result[program] = {
                "steps": steps,
                "same_final_state": len(states) == 1,
                **{f"{way}_{clock}_s": round(value, 4) for (way, clock), value in best.items()},
                **{
                    f"{way}_{clock}_ratio": round(best[way, clock] / best["bare", clock], 3)
                    for way in ("recorder", "debug_mode") for clock in ("wall", "cpu")
                },
                **trace,
                "trace_bytes_per_1000_ops": round(1000 * trace["trace_bytes"] / max(1, trace["ops"])),
            }
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
