"""A program: one lowered graph on one machine, with the plans made for it so far."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cynfer.ops.errors import InputError, RunCancelledError
from cynfer.runtime.executor import Workspace, renew_budget
from cynfer.runtime.graph import Graph, Value
from cynfer.runtime.limits import Limits
from cynfer.runtime.plan import (
    CONSTANT,
    STATE,
    Planner,
    Segment,
    Stretch,
    entering_facts,
    entering_key,
    fault_of,
    run_segment,
)

#: Workspaces kept for the next run of a plan; more concurrent runs than this make their own.
KEPT = 4

#: Seconds from which on a timeout is none: kernels count nanoseconds in 64 bits.
FOREVER = 1e9


_programs: weakref.WeakSet[Program] = weakref.WeakSet()


class Handle:
    """One run under way: how long it may take, how another thread ends it, what a profile notes.

    deadline: in seconds of time.monotonic, or None. times: None, or a list that gets what plan.run_segment
    notes of each step; the steps then run one by one.
    """

    __slots__ = ("cancelled", "deadline", "times", "workspaces")

    def __init__(self, deadline: float | None = None, times: list | None = None):
        self.deadline, self.times = deadline, times
        self.cancelled = False
        self.workspaces: list[Workspace] = []

    def cancel(self) -> None:
        """Ends the run soon with RunCancelledError; any thread may call it, before the run starts too."""
        self.cancelled = True
        for workspace in list(self.workspaces):
            workspace.cancel(self)

    def enter(self, workspace: Workspace) -> None:
        """A segment starts; raises if the run shall not go on."""
        workspace.begin(self.deadline, self)
        self.workspaces.append(workspace)
        if self.cancelled:
            raise RunCancelledError("the run was cancelled")
        if self.deadline is not None:
            workspace.check()

    def leave(self, workspace: Workspace) -> None:
        """The segment has ended."""
        self.workspaces.remove(workspace)
        workspace.end()


class Bodies:
    """Runs the bodies of the control-flow ops of one run. max_bytes: what an op may keep of their results."""

    __slots__ = ("handle", "max_bytes", "program")

    def __init__(self, program: Program, handle: Handle):
        self.program, self.handle, self.max_bytes = program, handle, program.limits.bytes

    def __call__(self, graph: Graph, arrays: Sequence) -> list:
        """The outputs of the body for arrays in the order of its inputs."""
        outer = self.program
        body = outer.bodies.get(id(graph))
        if body is None:
            body = outer.bodies.setdefault(id(graph), Program(graph, outer.machine, outer.threads, outer.limits))
        return body.run([np.asarray(a, order="C") if isinstance(a, (np.ndarray, np.generic)) else a for a in arrays],
                        self.handle)


class Direct(NamedTuple):
    """What Workspace.direct needs for a plan that is one stretch."""

    segment: Segment
    slots: list[int]
    made: list[tuple[int, tuple[int, ...], np.dtype]]
    stop: int


class Program:
    """Runs a graph. Many threads may run one program at once (those with states run one after the other).

    feeds, context, nested: what a session keeps with it: how feeds are checked, what its passes did, and if an output
    is something else than a tensor.
    """

    feeds: Any = None
    context: Any = None
    nested = False

    def __init__(self, graph: Graph, machine, threads: int, limits: Limits):
        self.graph, self.machine, self.threads, self.limits = graph, machine, threads, limits
        self.states = {value: np.array(content) for value, content in graph.states.items()}
        self.planner = Planner(graph, machine, threads, limits, self.states)
        self.roots: dict[tuple, Segment] = {}
        self.directs: dict[tuple, Direct] = {}
        self.bodies: dict[int, Program] = {}
        self.unlock()
        _programs.add(self)

    def unlock(self) -> None:
        """New locks: a forked child may inherit locks that threads of its parent hold."""
        self.lock = threading.Lock()
        self.state_lock = threading.RLock()

    def run(self, feeds: Sequence, handle: Handle | None = None) -> list:
        """The outputs for feeds in the order of graph.inputs; arrays are contiguous and of the right type.

        Outputs own their memory.
        """
        handle = handle or Handle()
        if self.states:
            with self.state_lock:
                return self._run(feeds, handle)
        return self._run(feeds, handle)

    def _run(self, feeds: Sequence, handle: Handle) -> list:
        direct = self.directs.get(tuple([a.shape if type(a) is np.ndarray else None for a in feeds]))
        if direct is not None and handle.times is None:
            return self._direct(direct, feeds, handle)
        return self._segments(feeds, handle)

    def _direct(self, direct: Direct, feeds: Sequence, handle: Handle) -> list:
        """The short way for the usual case."""
        segment = direct.segment
        workspace = self._take(segment)
        try:
            handle.enter(workspace)
            failed, results = workspace.direct(feeds, direct.slots, direct.made, direct.stop)
            if failed >= 0:
                raise fault_of(segment, workspace, failed)
        finally:
            handle.leave(workspace)
            if len(segment.pool) < KEPT:
                segment.pool.append(workspace)
        return results

    def _segments(self, feeds: Sequence, handle: Handle) -> list:
        nodes, last_read = self.graph.nodes, self.planner.last_read
        env = dict(zip(self.graph.inputs, feeds, strict=True))
        demanded: set[Value] = set()
        known: dict = {}
        cache, start = self.roots, 0
        while True:
            env = {v: a for v, a in env.items() if last_read.get(v, -1) >= start}
            key = entering_key(env, demanded)
            segment = cache.get(key) or self._segment(cache, key, start, {**known, **entering_facts(env, demanded)})
            workspace = self._take(segment)
            try:
                handle.enter(workspace)
                left = run_segment(segment, workspace, env, Bodies(self, handle), handle.times)
            finally:
                handle.leave(workspace)
                if len(segment.pool) < KEPT:
                    segment.pool.append(workspace)
            if segment.stop == len(nodes) and not segment.demand:
                if cache is self.roots:  # the plan follows from shapes alone
                    self._shorten(segment, feeds)
                return self._outputs(segment, left, feeds)
            env = left
            known = {v: f for v, f in segment.facts.items()
                     if f.constant is not None and last_read.get(v, -1) >= segment.stop}
            demanded |= set(segment.demand)
            cache, start = segment.following, segment.stop

    def _shorten(self, segment: Segment, feeds: Sequence) -> None:
        """Notes a plan that is one stretch and makes nothing but outputs, for the next run of these shapes."""
        steps, outputs = segment.steps, [segment.storage[v] for v in self.graph.outputs]
        made = {found: (found.slot, shape, dtype) for found, shape, dtype in segment.made}
        if not all(type(a) is np.ndarray for a in feeds) or len(steps) != 1 or not isinstance(steps[0], Stretch) \
                or len(segment.fresh) != len(outputs) or len(made) != len(outputs) \
                or any(shape is not None and shape != made[found][1]
                       for v, found, _, shape in segment.leaving if found in made):
            return
        entering = {value: found.slot for value, found in segment.entering}
        if len(self.directs) >= self.limits.plans:
            self.directs.clear()
        self.directs[tuple(a.shape for a in feeds)] = Direct(
            segment, [entering.get(v, -1) for v in self.graph.inputs], [made[found] for found in outputs],
            steps[0].stop)

    def _segment(self, cache: dict, key: tuple, start: int, facts: dict) -> Segment:
        with self.lock:
            found = cache.get(key)
            if found is None:
                found = self.planner.segment(start, facts)
                while len(cache) >= self.limits.plans:
                    del cache[next(iter(cache))]
                cache[key] = found
            return found

    def _take(self, segment: Segment) -> Workspace:
        try:
            return segment.pool.pop()
        except IndexError:
            assert segment.code is not None
            return Workspace(segment.code, self.threads)

    def _outputs(self, segment: Segment, left: dict, feeds: Sequence) -> list:
        """Outputs own their memory: whatever is shared with a feed, a constant or another output is copied."""
        if len(segment.fresh) == len(self.graph.outputs):
            return [left[value] for value in self.graph.outputs]
        results: list = []
        others = [f for f in feeds if isinstance(f, np.ndarray)]
        for value in self.graph.outputs:
            array = left[value]
            if isinstance(array, np.ndarray):
                if segment.storage[value].kind in (CONSTANT, STATE) \
                        or any(np.may_share_memory(array, x) for x in others):
                    array = array.copy()
                others.append(array)
            results.append(array)
        return results

    def trim(self) -> None:
        """Drops plans and workspaces that no run is using."""
        with self.lock:
            self.roots.clear()
            self.directs.clear()
        for body in list(self.bodies.values()):
            body.trim()

    def plan(self, shapes: Sequence[Sequence[int]]) -> Segment:
        """The first segment for inputs of these shapes (for `info` and tests)."""
        feeds = [np.empty(s, v.fact.dtype) for s, v in zip(shapes, self.graph.inputs, strict=True)]
        env: dict[Value, object] = dict(zip(self.graph.inputs, feeds, strict=True))
        return self._segment(self.roots, entering_key(env, set()), 0, entering_facts(env, set()))


def _after_fork() -> None:
    renew_budget()
    for program in list(_programs):
        program.unlock()


os.register_at_fork(after_in_child=_after_fork)


def deadline_of(timeout: float | None, limits: Limits) -> float | None:
    """The moment (time.monotonic seconds) at which a run that starts now must end, or None."""
    if timeout is None:
        timeout = limits.max_seconds or None
    if timeout is None:
        return None
    if not isinstance(timeout, (int, float, np.integer, np.floating)) or not timeout > 0:
        raise InputError(f"timeout={timeout!r}: a number of seconds above 0 is needed")
    return None if timeout > FOREVER else time.monotonic() + float(timeout)
