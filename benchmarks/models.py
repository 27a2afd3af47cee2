"""Speed, peak memory and load time of whole networks against onnxruntime, in turns in one run.

    python benchmarks/models.py [--threads 1] [--models resnet50 ...] [--isa avx2] [--rounds 12] [--memory]

Speed: both runtimes run each model alternately in one process; the best round of each counts, as the machine is
shared. Memory and load time: each in a process of its own, from a file. Ratios above 1 say that cynfer is better.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
from light_models import NAMES, build, feeds


def speed(name: str, threads: int, isa: str | None, rounds: int) -> tuple[float, float, float]:
    """(seconds of cynfer, seconds of onnxruntime, relative error of the scale)."""
    import onnxruntime

    import cynfer

    model = build(name)
    data = model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    peer = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    ours = cynfer.InferenceSession(data, threads=threads, isa=isa)
    x = feeds(model)
    expected, got = peer.run(None, x)[0], ours.run(None, x)[0]
    error = float(np.abs(expected - got).max() / np.abs(expected).max())
    best = [math.inf, math.inf]
    for _ in range(rounds):
        for i, session in enumerate((ours, peer)):
            began = time.perf_counter()
            session.run(None, x)
            best[i] = min(best[i], time.perf_counter() - began)
    return best[0], best[1], error


_CHILD = """
import json, sys, time
import numpy
runtime, path, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
def peak(): return next(int(l.split()[1]) * 1024 for l in open("/proc/self/status") if l.startswith("VmHWM"))
def load():
    if runtime == "cynfer":
        return module.InferenceSession(path, threads=threads)
    options = module.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    return module.InferenceSession(path, options, providers=["CPUExecutionProvider"])
base = peak()
began = time.perf_counter()
module = __import__(runtime)
session = load()
first = time.perf_counter() - began
x = {i.name: numpy.ones([d if isinstance(d, int) else 1 for d in i.shape], numpy.float32) for i in session.get_inputs()}
session.run(None, x)
memory = peak() - base
del session
began = time.perf_counter()
session = load()
print(json.dumps({"first": first, "load": time.perf_counter() - began, "peak": memory}))
"""


def footprint(name: str, threads: int, rounds: int = 5) -> dict[str, dict[str, float]]:
    """{runtime: {first: seconds to import it and load, load: seconds to load once more, peak: bytes above NumPy}}.

    The best of several processes each; the peak is that of the first load and one run.
    """
    best: dict[str, dict[str, float]] = {}
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}  # as on a user's machine
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        with open(path, "wb") as file:
            file.write(build(name).SerializeToString())
        for _ in range(rounds):
            for runtime in ("cynfer", "onnxruntime"):
                out = subprocess.run([sys.executable, "-c", _CHILD, runtime, path, str(threads)], check=True,
                                     capture_output=True, text=True,
                                     env=environment).stdout
                found = json.loads(out)
                mine = best.setdefault(runtime, found)
                for key, value in found.items():
                    mine[key] = min(mine[key], value)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--models", nargs="*", default=NAMES)
    parser.add_argument("--isa")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--memory", action="store_true", help="peak memory and load time instead of speed")
    arguments = parser.parse_args()
    ratios = {}
    if arguments.memory:
        print("| model | import and load ms | onnxruntime | ratio | load ms | onnxruntime | ratio "
              "| peak MB above NumPy | onnxruntime | ratio |")
        print("| --- |" + " ---: |" * 9)
        for name in arguments.models:
            found = footprint(name, arguments.threads)
            a, b = found["cynfer"], found["onnxruntime"]
            cells = [name]
            for key, unit in (("first", 1e3), ("load", 1e3), ("peak", 1e-6)):
                cells += [f"{a[key] * unit:.0f}", f"{b[key] * unit:.0f}", f"{b[key] / a[key]:.2f}"]
            print("| " + " | ".join(cells) + " |", flush=True)
        return
    print("| model | cynfer ms | onnxruntime ms | ratio | error of the scale |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name in arguments.models:
        ours, peer, error = speed(name, arguments.threads, arguments.isa, arguments.rounds)
        ratios[name] = peer / ours
        print(f"| {name} | {ours * 1e3:.1f} | {peer * 1e3:.1f} | {ratios[name]:.2f} | {error:.0e} |", flush=True)
    mean = math.exp(sum(map(math.log, ratios.values())) / len(ratios))
    worst = min(ratios, key=ratios.__getitem__)
    print(f"| geometric mean | | | {mean:.2f} | |\n| worst: {worst} | | | {ratios[worst]:.2f} | |")


if __name__ == "__main__":
    main()
