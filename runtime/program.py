"""A program: one lowered graph on one machine, with the plans made for it so far."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np
from cynfer.runtime.executor import Workspace

from cynfer.ops.errors import InputError
from cynfer.runtime.graph import Graph, Value
from cynfer.runtime.limits import Limits
from cynfer.runtime.plan import CONSTANT, STATE, Planner, Segment, entering_key, run_segment

#: Workspaces kept for the next run of a plan; more concurrent runs than this make their own.
KEPT = 4


class Program:
    """Runs a graph. Many threads may run one program at once (those with states run one after the other)."""

    def __init__(self, graph: Graph, machine, threads: int, limits: Limits):
        self.graph, self.machine, self.threads, self.limits = graph, machine, threads, limits
        self.states = {value: np.array(content) for value, content in graph.states.items()}
        self.planner = Planner(graph, machine, threads, limits, self.states)
        self.roots: dict[tuple, Segment] = {}
        self.bodies: dict[int, Program] = {}
        self.active: set[Workspace] = set()
        self.lock = threading.Lock()
        self.state_lock = threading.RLock()

    def run(self, feeds: Sequence, deadline: float | None = None) -> list:
        """The outputs for feeds in the order of graph.inputs; arrays are contiguous and of the right type.

        deadline: in seconds of time.monotonic. Outputs own their memory.
        """
        if self.states:
            with self.state_lock:
                return self._run(feeds, deadline)
        return self._run(feeds, deadline)

    def _run(self, feeds: Sequence, deadline: float | None) -> list:
        nodes, last_read = self.graph.nodes, self.planner.last_read
        env = dict(zip(self.graph.inputs, feeds, strict=True))
        demanded: set[Value] = set()
        known: dict = {}
        cache, start = self.roots, 0
        while True:
            env = {v: a for v, a in env.items() if last_read.get(v, -1) >= start}
            key, facts = entering_key(env, demanded)
            segment = self._segment(cache, key, start, {**known, **facts})
            workspace = self._take(segment)
            try:
                workspace.begin(deadline)
                self.active.add(workspace)
                left = run_segment(segment, workspace, env, lambda g, arrays: self._body(g, arrays, deadline))
            finally:
                self.active.discard(workspace)
                workspace.end()
                if len(segment.pool) < KEPT:
                    segment.pool.append(workspace)
            if segment.stop == len(nodes) and not segment.demand:
                return self._outputs(segment, left, feeds)
            env = left
            known = {v: f for v, f in segment.facts.items()
                     if f.constant is not None and last_read.get(v, -1) >= segment.stop}
            demanded |= set(segment.demand)
            cache, start = segment.following, segment.stop

    def _segment(self, cache: dict, key: tuple, start: int, facts: dict) -> Segment:
        found = cache.get(key)
        if found is None:
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
            return Workspace(segment.code, self.threads)

    def _outputs(self, segment: Segment, left: dict, feeds: Sequence) -> list:
        """Outputs own their memory: whatever is shared with a feed, a constant or another output is copied."""
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

    def _body(self, graph: Graph, arrays: Sequence, deadline: float | None) -> list:
        program = self.bodies.get(id(graph))
        if program is None:
            program = self.bodies.setdefault(id(graph), Program(graph, self.machine, self.threads, self.limits))
        return program.run([np.ascontiguousarray(a) if isinstance(a, np.ndarray) else a for a in arrays], deadline)

    def cancel(self) -> None:
        """Ends the runs under way with RunCancelledError."""
        for workspace in list(self.active):
            workspace.cancel()
        for body in list(self.bodies.values()):
            body.cancel()

    def trim(self) -> None:
        """Drops plans and workspaces that no run is using."""
        with self.lock:
            self.roots.clear()
        for body in list(self.bodies.values()):
            body.trim()

    def plan(self, shapes: Sequence[Sequence[int]]) -> Segment:
        """The first segment for inputs of these shapes (for `info` and tests)."""
        feeds = [np.empty(s, v.fact.dtype) for s, v in zip(shapes, self.graph.inputs, strict=True)]
        env = dict(zip(self.graph.inputs, feeds, strict=True))
        key, facts = entering_key(env, set())
        return self._segment(self.roots, key, 0, facts)


def deadline_of(timeout: float | None, limits: Limits) -> float | None:
    """The moment (time.monotonic seconds) at which a run that starts now must end, or None."""
    if timeout is None:
        timeout = limits.max_seconds or None
    if timeout is None:
        return None
    if not timeout > 0:
        raise InputError(f"timeout={timeout!r}: a number of seconds above 0 is needed")
    return time.monotonic() + timeout
