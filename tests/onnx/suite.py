"""Runs onnx's backend suite in a child process, with passes on and off, and says what failed and why.

A case that kills the child is one more failure: the next child goes on behind it.
"""

from __future__ import annotations

import contextlib
import fnmatch
import importlib.util
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
import warnings
from dataclasses import dataclass
from pathlib import Path

#: Seconds a case may take before its child is given up (about ten times the slowest).
PATIENCE = 120
MODES = ("passes", "plain")


@dataclass(frozen=True)
class Failure:
    """Why a case fails: kind (the error's class, "crash" or "hang"), message, the operators of its model."""

    mode: str
    kind: str
    message: str
    ops: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"[{self.mode}] {self.kind}: {self.message}"


@dataclass
class Outcome:
    """All cases that exist (sorted), and the failures of each that has any."""

    names: list[str]
    failures: dict[str, list[Failure]]

    @property
    def passed(self) -> list[str]:
        """Cases that pass in every mode that ran."""
        return [n for n in self.names if n not in self.failures]


def run(pattern: str = "*", modes=MODES) -> Outcome:
    """Runs the cases whose names fit the pattern."""
    names: list[str] = []
    failures: dict[str, list[Failure]] = {}
    start = 0
    source = importlib.util.find_spec("cynfer").submodule_search_locations[0]
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "ONNX_HOME": home,
               "PYTHONPATH": os.pathsep.join([str(Path(source).parent), os.environ.get("PYTHONPATH", "")])}
        while True:
            command = [sys.executable, __file__, pattern, str(start), *modes]
            child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
            at, kind = None, "crash"
            for line in child.stdout:
                event = json.loads(line)
                if "names" in event:
                    names = event["names"]
                elif "start" in event:
                    at = event["start"]
                else:
                    failures.setdefault(names[at[0]], []).append(Failure(modes[at[1]], **event["failure"]))
            code = child.wait()
            if code == 0:
                return Outcome(names, failures)
            if at is None:
                raise RuntimeError(f"the suite does not start: {' '.join(command)} ended with {code}")
            kind = "hang" if code == -14 else "crash"
            failures.setdefault(names[at[0]], []).append(Failure(modes[at[1]], kind, f"the process ended with {code}"))
            start = at[0] * len(modes) + at[1] + 1


def _cases() -> dict[str, tuple]:
    """{name: (test function, the cell that holds its model after it ran)} of the CPU variants."""
    from onnx.backend.test import BackendTest

    from cynfer.backend import CynferBackend

    class Subject(CynferBackend):
        """The backend under test; `optimise` is the mode that runs now."""

        optimise = True

        @classmethod
        def prepare(cls, model, device="CPU", **kwargs):
            return super().prepare(model, device, optimise=cls.optimise)

        @classmethod
        def is_compatible(cls, model, device="CPU", **kwargs):
            return True  # what cannot be loaded shall fail, not be skipped

    items = BackendTest(Subject, __name__)._test_items
    return Subject, {name: (item.func, item.proto) for group in items.values() for name, item in group.items()
                     if name.endswith("_cpu")}


def _child(pattern: str, start: int, *modes: str) -> None:
    import signal

    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what cases print must not disturb the reports
    warnings.simplefilter("ignore")
    subject, cases = _cases()
    names = sorted(fnmatch.filter(cases, pattern))
    print(json.dumps({"names": names}), file=out)
    for at in range(start, len(names) * len(modes)):
        i, mode = divmod(at, len(modes))
        func, cell = cases[names[i]]
        subject.optimise = modes[mode] == "passes"
        print(json.dumps({"start": [i, mode]}), file=out)
        signal.alarm(PATIENCE)  # its default action ends the process
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                func(unittest.TestCase())
        except (Exception, SystemExit) as error:
            text = " ".join(str(error).split())[:400]
            ops = sorted({n.op_type for n in cell[0].graph.node}) if cell[0] is not None else []
            print(json.dumps({"failure": {"kind": type(error).__name__, "message": text, "ops": ops}}), file=out)
        signal.alarm(0)
        cell[0] = None


if __name__ == "__main__":
    _child(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
