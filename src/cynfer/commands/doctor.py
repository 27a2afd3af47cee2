"""Shows what cynfer found on this machine: CPU, kernels, threads, versions."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pkgutil
import platform
import sys
from importlib import metadata

from cynfer.commands.terminal import clean, megabytes, say, table

HELP = "show CPU, kernels, threads and versions"


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("--json", action="store_true", help="as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Prints tables, or JSON."""
    found = examine()
    if arguments.json:
        say(json.dumps(found, indent=2))
        return 0
    say(f"CPU       {found['cpu']}")
    say(f"features  {' '.join(found['features']) or 'none that a build needs'}")
    for isa, answer in found["isas"].items():
        say(f"build     {isa:8} {answer}")
    say(f"threads   {found['threads']}, from the {found['threads_source']}")
    say(f"memory    {megabytes(found['max_bytes'])} for a model or a run (Limits.max_bytes)")
    for name, value in found["environment"].items():
        ignored = name == "OMP_NUM_THREADS" and not value.split(",")[0].strip().isdigit()
        say(f"{name}={clean(value)}{' (ignored: no number)' if ignored else ''}")
    say()
    table("kernels in use", ["source", "build", "kernels#"],
          [[source, ", ".join(sorted(builds)), sum(builds.values())] for source, builds in found["kernels"].items()])
    say()
    table("versions", ["what", "version"], found["versions"].items())
    return 0


def examine() -> dict:
    """What the command shows, made of JSON's types."""
    from cynfer import __version__
    from cynfer.ops import cpu
    from cynfer.ops import kernels as sources
    from cynfer.ops.isa import ISAS
    from cynfer.ops.machine import Machine, runnable
    from cynfer.runtime import threads
    from cynfer.runtime.limits import Limits

    machine, have, runs = Machine(), cpu.features(), runnable()
    isas = {}
    for isa, (_, needs) in ISAS.items():
        missing = [f for f in needs if f not in have]
        isas[isa] = "in use" if isa == machine.isa else "runs here" if isa in runs else \
            f"does not run here: {', '.join(missing) or 'a weaker one does not'}"
    kernels: dict[str, dict[str, int]] = {}
    for source in sorted({m.name[1:].rpartition("_")[0] for m in pkgutil.iter_modules(sources.__path__)}):
        with contextlib.suppress(KeyError):  # no build of it runs here
            module = machine.module(source)
            kernels[source] = {module.__name__.rpartition("_")[2]: len(module.KERNELS)}
    number = threads.default()
    versions = {"cynfer": __version__, "Python": platform.python_version(), "system": platform.platform()}
    for package in ("numpy", "onnx", "ml_dtypes", "protobuf", "rich", "pillow", "onnxruntime"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    names = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    return {"cpu": cpu.model_name() or platform.processor() or platform.machine(), "features": sorted(have),
            "isas": isas, "kernels": kernels, "threads": number.count, "threads_source": number.source,
            "max_bytes": Limits().bytes, "environment": {n: os.environ[n] for n in names if n in os.environ},
            "versions": versions, "executable": sys.executable}
