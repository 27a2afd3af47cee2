"""The session: a model made ready to run."""

from __future__ import annotations

import os

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.errors import InputError
from cynfer.ops.machine import Machine
from cynfer.runtime import load_onnx
from cynfer.runtime.limits import Limits
from cynfer.runtime.lower import lower
from cynfer.runtime.passes import INFERENCE, Context, optimise
from cynfer.runtime.program import Program, deadline_of


class Session:
    """Loads a model and runs it; what every face (InferenceSession, backend, command) stands on.

    model: path, bytes or ModelProto. threads: how many (default: all this process may use). precision, isa: see
    Machine. optimise: False runs the graph without passes.
    """

    def __init__(self, model, *, threads: int | None = None, precision: str = "highest", isa: str | None = None,
                 limits: Limits | None = None, optimise: bool = True):
        self.limits = limits or Limits()
        self.machine = Machine(isa, precision)
        self.threads = threads or len(os.sched_getaffinity(0))
        self.passes = INFERENCE if optimise else ()
        self.model = load_onnx.load(model, self.limits)
        self.programs: dict[tuple[str, ...] | None, Program] = {}
        self.program = self._compile(None)

    def _compile(self, names: tuple[str, ...] | None) -> Program:
        program = self.programs.get(names)
        if program is None:
            declared = self.model.graph
            outputs = None
            if names is not None:
                known = {v.name: v for node in declared.nodes for v in node.outputs if v is not None}
                known |= {v.name: v for v in declared.inputs} | {v.name: v for v in declared.outputs}
                for name in names:
                    if name not in known:
                        shown = ", ".join(v.name for v in declared.outputs)
                        raise InputError(f"output {name!r} is not in the model; its outputs are {shown}")
                outputs = [known[n] for n in names]
            context = Context(self.machine, self.limits)
            graph = optimise(lower(declared, outputs), context, self.passes)
            program = Program(graph, self.machine, self.threads, self.limits)
            program.context = context
            self.programs[names] = program
        return program

    def run(self, names, feeds: dict, timeout: float | None = None) -> list:
        """The outputs called `names` (None: all the model's) for {input name: array}."""
        wanted = [v.name for v in self.model.graph.outputs]
        program = self.program if names is None or list(names) == wanted else self._compile(tuple(names))
        arrays = [self._feed(v, feeds) for v in program.graph.inputs]
        return program.run(arrays, deadline_of(timeout, self.limits))

    def _feed(self, value, feeds: dict):
        if value.name not in feeds:
            raise InputError(f"input {value.name!r} is missing; got {sorted(feeds)}")
        array = np.asarray(feeds[value.name])
        dtype = value.fact.dtype
        if array.dtype.kind in "US" and dtype == dtypes.STRING:
            array = array.astype(object)
        if array.dtype != dtype:
            raise InputError(f"input {value.name!r} is {array.dtype}, {dtype} is needed")
        return np.ascontiguousarray(array).reshape(array.shape)
