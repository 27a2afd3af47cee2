"""The session: a model made ready to run."""

from __future__ import annotations

import difflib
import logging
import operator
import os
import threading
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cynfer.ops.dim import Dim
from cynfer.ops.errors import CynferError, InputError, show
from cynfer.ops.fact import Fact
from cynfer.ops.machine import Machine
from cynfer.runtime import load_onnx, threads
from cynfer.runtime.feeds import Feeds, convert, separate
from cynfer.runtime.graph import Graph, Value
from cynfer.runtime.limits import Limits
from cynfer.runtime.lower import lower
from cynfer.runtime.passes import INFERENCE, Context, optimise
from cynfer.runtime.profile import Profile
from cynfer.runtime.program import Handle, Program, deadline_of

log = logging.getLogger("cynfer")

#: Programs kept for runs that ask for other outputs than the model's, or replace initializers.
KEPT = 8

_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


class Session:
    """Loads a model and runs it; what every face (InferenceSession, backend, command) stands on.

    model: path, bytes or ModelProto. threads: how many (default: all this process may use). precision, isa: see
    InferenceSession. optimise: False runs the graph without passes. dims: {dimension name or denotation: size} to fix.
    initializers: {name: array} to use instead of the model's. check: run once with passes off on seeded random inputs
    and compare; raises CynferError if the answers differ.

    Any number of threads may run one session. Sessions pickle (by their arguments: a path is read again, a ModelProto
    must not have been changed) and work in a forked child.
    """

    def __init__(self, model, *, threads: int | None = None, precision: str = "highest", isa: str | None = None,
                 limits: Limits | None = None, optimise: bool = True, dims: Mapping[str, int] | None = None,
                 initializers: Mapping[str, Any] | None = None, check: bool = False):
        self._arguments = {"model": model, "threads": threads, "precision": precision, "isa": isa, "limits": limits,
                           "optimise": optimise, "dims": dims, "initializers": initializers}
        if limits is not None and not isinstance(limits, Limits):
            raise InputError(f"limits is a {type(limits).__name__}; cynfer.Limits is expected")
        self.limits = limits or Limits()
        self.machine = Machine(isa, precision)
        self.threads = _threads(threads)
        self.passes = INFERENCE if optimise else ()
        self.model = load_onnx.load(_source(model), self.limits)
        _fix_dims(self.model, dims or {})
        _set_initializers(self.model.graph, initializers or {})
        self.closed = False
        self._programs: dict[tuple, Program] = {}
        self._running: set[Handle] = set()
        self.unlock()
        _sessions.add(self)
        self.program: Program | _Closed = self._compile(None, ())
        if check:
            self._check()

    def unlock(self) -> None:
        """A new lock: a forked child may inherit one that a thread of its parent holds."""
        self._lock = threading.Lock()

    def __reduce__(self):
        return _restore, (type(self), self._arguments)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs that must be fed."""
        return [v.name for v in self.model.graph.inputs]

    @property
    def output_names(self) -> list[str]:
        """The names of the model's outputs."""
        return [v.name for v in self.model.graph.outputs]

    def run(self, names: Sequence[str] | None, feeds: Mapping[str, Any], timeout: float | None = None,
            handle: Handle | None = None, fetch_only: bool = False) -> list:
        """The outputs called `names`, in that order, for {input name: array}.

        names: None for all outputs of the model; any other value of the graph can be named too. feeds: arrays, lists,
        NumPy scalars, DLPack objects; initializers that are also inputs of the model may be fed. timeout: seconds.
        handle: for cancelling or timing the run. fetch_only: compute nothing that `names` do not need.

        Raises InputError, KernelError, RunTimeoutError, RunCancelledError. Results own their memory.
        """
        program, pick = self.program, None
        if names is not None:
            program, pick = self._choose(names, fetch_only)
        if program.feeds.optional and isinstance(feeds, Mapping) and len(feeds) > len(program.feeds.inputs):
            program = self._overridden(names if pick is None else None, feeds)
        arrays = program.feeds.take(feeds)
        if handle is None:
            handle = Handle()
        if timeout is not None or self.limits.max_seconds:
            handle.deadline = deadline_of(timeout, self.limits)
        self._running.add(handle)
        try:
            if self.closed:
                raise InputError("the session is closed")
            results = program.run(arrays, handle)
        finally:
            self._running.discard(handle)
        results = results if pick is None else pick(results)
        return separate(results) if program.nested else results

    def _choose(self, names: Sequence[str], fetch_only: bool):
        """The program that computes `names`, and how to pick them from its results (None: they are the results)."""
        if isinstance(names, str) or not isinstance(names, Iterable) or not all(isinstance(n, str) for n in names):
            raise InputError(f"output names are {names!r}; None or a list of str is expected")
        own = self.output_names
        if list(names) == own or len(names) == 0:
            return self.program, None
        if not fetch_only and set(names) <= set(own):
            at = [own.index(n) for n in names]
            return self.program, lambda results: [_again(results, at, i) for i in range(len(at))]
        return self._compile(tuple(names), ()), None

    def _overridden(self, names: Sequence[str] | None, feeds: Mapping[str, Any]) -> Program:
        fed = tuple(v.name for v in self.model.overridable if v.name in feeds)
        return self._compile(None if names is None else tuple(names), fed)

    def _compile(self, names: tuple[str, ...] | None, fed: tuple[str, ...]) -> Program:
        """The program for these outputs, with these initializers as inputs."""
        if self.closed:
            raise InputError("the session is closed")
        with self._lock:
            program = self._programs.get((names, fed))
            if program is None:
                declared = self.model.graph
                outputs = None if names is None else [self._find(n) for n in names]
                if fed:
                    extra = [v for v in self.model.overridable if v.name in fed]
                    declared = replace(declared, inputs=[*declared.inputs, *extra])
                context = Context(self.machine, self.limits)
                graph = optimise(lower(declared, outputs), context, self.passes)
                program = Program(graph, self.machine, self.threads, self.limits)
                program.context = context
                program.nested = any(v.fact.kind != "tensor" for v in graph.outputs)
                program.feeds = Feeds(graph.inputs, [v.name for v in self.model.overridable if v.name not in fed])
                if len(self._programs) > KEPT:
                    del self._programs[next(key for key in self._programs if key != (None, ()))]
                self._programs[names, fed] = program
            return program

    def _find(self, name: str) -> Value:
        declared = self.model.graph
        known = {v.name: v for v in (*declared.constants(), *declared.inputs, *self.model.overridable)}
        known |= {v.name: v for node in declared.nodes for v in node.outputs if v is not None}
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise InputError(f"the model has no output {show(name)}{f'; did you mean {near[0]!r}?' if near else ';'} "
                             f"its outputs are {', '.join(map(show, self.output_names))}")
        return known[name]

    def _check(self) -> None:
        """Compares with the graph as it is without passes, on seeded random inputs; raises CynferError."""
        from cynfer.runtime.check import differences, random_feeds

        feeds = random_feeds(self.model.graph.inputs)
        plain = Session(**{**self._arguments, "optimise": False})
        try:
            expected: list | CynferError = plain.run(None, feeds)
        except CynferError as error:
            expected = error
        try:
            got = Session.run(self, None, feeds)
        except CynferError:
            if isinstance(expected, CynferError):
                log.warning("check: random inputs do not run: %s", expected)
                return
            raise
        if isinstance(expected, CynferError):
            raise CynferError(f"check: the graph without passes does not run: {expected}") from expected
        for problem in differences(self.output_names, got, expected):
            raise CynferError(f"check: {problem}")

    def profile(self, feeds: Mapping[str, Any] | None = None, runs: int = 10) -> Profile:
        """The time of each step, the best of `runs` runs in which steps run one by one.

        feeds: as for `run`; default: seeded random inputs, unnamed dimensions 1.
        """
        from cynfer.runtime.check import random_feeds

        feeds = random_feeds(self.model.graph.inputs) if feeds is None else feeds
        if operator.index(runs) < 1:
            raise InputError(f"runs={runs}: at least 1 is needed")
        self.run(None, feeds)
        rounds: list[list] = []
        for _ in range(runs):
            rounds.append([])
            self.run(None, feeds, handle=Handle(times=rounds[-1]))
        return Profile.of(rounds)

    def cancel(self) -> None:
        """Ends the runs under way with RunCancelledError."""
        for handle in list(self._running):
            handle.cancel()

    def trim(self) -> None:
        """Gives back memory that no run is using: plans with their workspaces, and what rare outputs needed."""
        with self._lock:
            for key in [k for k in self._programs if k != (None, ())]:
                del self._programs[key]
            self.program.trim()

    def close(self) -> None:
        """Ends the runs under way and gives back all memory; later runs raise InputError. May be called twice."""
        self.closed = True
        self.cancel()
        with self._lock:
            self._programs.clear()
            self.program = _Closed()


class _Closed:
    """Stands for the program of a closed session."""

    def __getattr__(self, name: str):
        raise InputError("the session is closed")

    def trim(self) -> None:
        """Nothing is left."""


def _after_fork() -> None:
    for session in list(_sessions):
        session.unlock()


os.register_at_fork(after_in_child=_after_fork)


def _restore(kind: type[Session], arguments: dict) -> Session:
    return kind(**arguments)


def _again(results: list, at: list[int], i: int):
    """The result of output at[i]: a copy where it was handed out before, since results share no memory."""
    result = results[at[i]]
    return result.copy() if at[i] in at[:i] and isinstance(result, np.ndarray) else result


def _threads(given: int | None) -> int:
    found = threads.default()
    if given is None or given == 0:
        return found.count
    try:
        count = operator.index(given)
    except TypeError:
        count = -1
    if not 1 <= count <= 1024:
        raise InputError(f"threads={given!r}: a number from 1 to 1024 is needed, or None for the default")
    return count


def _source(model):
    if isinstance(model, (str, os.PathLike, bytes)) or hasattr(model, "SerializeToString"):
        return model
    if isinstance(model, (bytearray, memoryview)):
        return bytes(model)
    raise InputError(f"the model is a {type(model).__name__}; a path, bytes or onnx.ModelProto is expected")


def _fix_dims(model: load_onnx.Model, dims: Mapping[str, int]) -> None:
    """Gives named dimensions of the inputs a size; a denotation stands for all dimensions that carry it."""
    sizes = {}
    names = {n for v in model.graph.inputs for d in v.fact.shape or () if isinstance(d, Dim) for n in d.names()}
    for name, size in dims.items():
        if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < 0:
            raise InputError(f"dimension {show(name)}: size {size!r}, a number of at least 0 is needed")
        if name not in names and name not in model.denotations:
            log.warning("no input has a dimension called %s; the names are %s", show(name),
                        ", ".join(sorted(n for n in names if not n.startswith("?"))) or "none")
        for found in (name, *model.denotations.get(name, ())):
            sizes[found] = int(size)
    if sizes:
        for value in model.graph.inputs:
            value.fact = value.fact.substitute(sizes)
        model.outputs = {n: f.substitute(sizes) for n, f in model.outputs.items()}


def _set_initializers(graph: Graph, given: Mapping[str, Any]) -> None:
    """Puts other contents into initializers, of the same type and shape."""
    if not given:
        return
    found = {v.name: v for v in _constants(graph) if v.name}
    for name, content in given.items():
        if name not in found:
            near = difflib.get_close_matches(name, found, 1)
            raise InputError(f"the model has no initializer {show(name)}"
                             + (f"; did you mean {near[0]!r}?" if near else ""))
        fact = found[name].fact
        array = convert(content, fact.without_value(), f"initializer {show(name)}")
        if array.shape != fact.shape:
            raise InputError(f"initializer {show(name)} has shape {list(array.shape)}, {list(fact.dims)} is expected")
        found[name].fact = Fact.of(array)


def _constants(graph: Graph) -> Iterable[Value]:
    stack = [graph]
    while stack:
        body = stack.pop()
        yield from body.constants()
        for node in body.nodes:
            stack += [a for a in getattr(node.op, "attributes", {}).values() if isinstance(a, Graph)]
