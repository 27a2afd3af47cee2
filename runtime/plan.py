"""Plans: every decision about how a lowered graph runs for given shapes.

A plan is a chain of segments. Within a segment all shapes are known before it starts; it ends where a shape depends on
data (NonZero) or on the content of a computed tensor (Reshape to it). The next segment is then planned from what the
run has found, and kept under that in a small cache, so that the same shapes plan once.

A value's storage in a segment is one of: constant, state (updated in place), arena offset, owned buffer (crosses
segments or leaves the run), Python object (what a NumPy step made: arrays with their own memory, sequences).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from cynfer.ops.errors import KernelError, LimitError, ModelError, show
from cynfer.ops.fact import Fact
from cynfer.ops.op import Call, In, Out, Temp, calls, infer, run_python
from cynfer.runtime.builder import named
from cynfer.runtime.executor import Code, Workspace
from cynfer.runtime.graph import Graph, Node, Value
from cynfer.runtime.limits import Limits
from cynfer.runtime.memory import place

CONSTANT, STATE, ARENA, OWNED, OBJECT = "constant", "state", "arena", "owned", "object"


@dataclass(eq=False)
class Storage:
    """Where the bytes of a value (and of all views of it) lie."""

    kind: str
    slot: int
    fact: Fact
    array: np.ndarray | None = None
    first: int = 0
    last: int = 0
    offset: int = 0


@dataclass
class Stretch:
    """Native calls start to stop, run in one go without the GIL."""

    start: int
    stop: int


@dataclass
class PythonStep:
    """A node that NumPy (or a body, for control flow) computes."""

    node: Node
    ins: list[tuple[Storage, Fact] | None]
    outs: list[tuple[Storage, Fact] | None]


@dataclass
class Segment:
    """Steps for nodes start to stop of the graph, all shapes known.

    leaving: with the shape in which each leaves (None: as it is). fresh: outputs in memory made for them alone.
    """

    start: int
    stop: int
    steps: list[Stretch | PythonStep] = field(default_factory=list)
    call_nodes: list[Node] = field(default_factory=list)
    call_kernels: list[str] = field(default_factory=list)
    code: Code | None = None
    facts: dict[Value, Fact] = field(default_factory=dict)
    storage: dict[Value, Storage] = field(default_factory=dict)
    owned: list[Storage] = field(default_factory=list)
    made: list[tuple[Storage, tuple[int, ...], np.dtype]] = field(default_factory=list)
    entering: list[tuple[Value, Storage]] = field(default_factory=list)
    leaving: list[tuple[Value, Storage, Fact, tuple[int, ...] | None]] = field(default_factory=list)
    fresh: frozenset[Value] = frozenset()
    demand: list[Value] = field(default_factory=list)
    following: dict[tuple, Segment] = field(default_factory=dict)
    pool: list[Workspace] = field(default_factory=list)


class Planner:
    """Makes the segments of one graph on one machine.

    states: {state value: its array}. keep: graph outputs and what later segments read are found from the graph.
    """

    def __init__(self, graph: Graph, machine, threads: int, limits: Limits, states: dict[Value, np.ndarray]):
        self.graph, self.machine, self.threads, self.limits, self.states = graph, machine, threads, limits, states
        self.last_read: dict[Value, int] = {}
        for i, node in enumerate(graph.nodes):
            for value in node.inputs:
                if value is not None:
                    self.last_read[value] = i
        for value in graph.outputs:
            self.last_read[value] = len(graph.nodes)

    def segment(self, start: int, entering: dict[Value, Fact]) -> Segment:
        """Plans from node `start` on, as far as shapes are known; entering: facts of the values alive there."""
        s = Segment(start, start, facts=dict(entering))
        todo = []
        nodes = self.graph.nodes
        for at in range(start, len(nodes)):
            node = nodes[at]
            ins = [None if v is None else self._fact(s, v) for v in node.inputs]
            with named(node.origin):
                outs = infer(node.op, *ins)
                for out in outs:
                    self._check(out)
            resolved = all(o.known or o.kind != "tensor" for o in outs)
            if not resolved:
                asked = [(node.inputs[i], ins[i]) for i in node.op.shape_inputs if i < len(ins)]
                missing = [v for v, f in asked if v is not None and f is not None and f.constant is None]
                if missing:
                    s.demand = missing
                    break
            for value, fact in zip(node.outputs, outs, strict=True):
                if value is not None:
                    s.facts[value] = fact.with_layout(value.fact.layout) if value.fact is not None else fact
            s.stop = at + 1
            todo.append((node, ins))
            if not resolved:
                break
        self._lay_out(s, entering, todo)
        return s

    def _fact(self, s: Segment, value: Value) -> Fact:
        return s.facts[value] if value in s.facts else value.fact

    def _check(self, fact: Fact) -> None:
        if fact.known and (fact.nbytes > self.limits.bytes or len(fact.dims) > self.limits.max_rank):
            raise LimitError(f"a result {fact} takes {fact.nbytes} bytes; limits.max_bytes is {self.limits.bytes}, "
                             f"limits.max_rank {self.limits.max_rank}")
        if fact.known and not fact.holdable:
            raise LimitError(f"a result {show(fact)} has more dims, or larger ones, than an array can have")

    def _lay_out(self, s: Segment, entering: dict[Value, Fact], todo: list) -> None:
        """Chooses a storage for every value and turns nodes into steps."""
        slots = iter(range(1 << 60))

        def new(kind: str, fact: Fact, array=None) -> Storage:
            return Storage(kind, next(slots), fact, array)

        for value, fact in entering.items():
            if fact.constant is None:  # known content is part of the plan
                s.storage[value] = new(OWNED if fact.kind == "tensor" else OBJECT, fact)
                s.entering.append((value, s.storage[value]))
        steps: list[tuple[Node, list[Call] | None]] = []
        for node, ins in todo:
            outs = [None if v is None else s.facts[v] for v in node.outputs]
            if node.op.pure and all(o is None or o.constant is not None for o in outs):
                continue  # known already: whoever reads it gets a constant
            native: list[Call] | None = None
            if all(o is not None and o.known for o in outs) and not node.op.view:
                if node.op.pure and all(o is not None and o.size == 0 for o in outs):
                    native = []  # nothing to compute
                else:
                    with named(node.origin):
                        native = calls(node.op.native(self.machine, ins, outs))
            steps.append((node, native))
        outputs = set(self.graph.outputs)
        call_list: list[tuple] = []
        pending_temps: dict[int, Storage] = {}
        buffers: list[Storage] = []

        def storage(value: Value) -> Storage:
            """The storage of a value that exists already: entering, made here, state or constant."""
            if value in s.storage:
                return s.storage[value]
            if value in self.states:
                found = new(STATE, value.fact, self.states[value])
            else:
                fact = self._fact(s, value)
                array = fact.constant
                if array is None:
                    raise ModelError(f"value {show(value.name)} has no storage")
                found = new(CONSTANT, fact, np.ascontiguousarray(array).reshape(array.shape))
            s.storage[value] = found
            return found

        def define(value: Value, node: Node, native: bool, at: int) -> Storage:
            fact = s.facts[value]
            first = node.inputs[0] if node.inputs else None
            updated = None if node.op.inplace is None else node.inputs[node.op.inplace]
            if updated is not None:
                found = storage(updated)
            elif node.op.view and first is not None and fact.known:
                found = storage(first)
            elif not native:
                found = new(OBJECT, fact)
            elif self.last_read.get(value, -1) >= s.stop:
                found = new(OWNED, fact)
                s.owned.append(found)
            else:
                found = new(ARENA, fact)
                found.first = at
                buffers.append(found)
            s.storage[value] = found
            found.last = max(found.last, at)
            if found.kind == ARENA and self.last_read.get(value, -1) >= s.stop:  # a view of it leaves
                found.kind = OWNED
                buffers.remove(found)
                s.owned.append(found)
            return found

        for at, (node, native) in enumerate(steps):
            reads = [None if v is None else storage(v) for v in node.inputs]
            for r in reads:
                if r is not None:
                    r.last = max(r.last, at)
            if node.op.view and native is None and all(s.facts[v].known for v in node.outputs if v is not None):
                for view in node.outputs:
                    if view is not None:
                        define(view, node, False, at)
                continue
            writes = [None if v is None else define(v, node, native is not None, at) for v in node.outputs]
            if native is None:
                s.steps.append(PythonStep(
                    node, [None if v is None or r is None else (r, self._fact(s, v))
                           for v, r in zip(node.inputs, reads, strict=True)],
                    [None if v is None or w is None else (w, s.facts[v])
                     for v, w in zip(node.outputs, writes, strict=True)]))
                continue
            start = len(call_list)
            for call in native:
                operands = []
                for x in call.operands:
                    if x is None:
                        operands.append(-1)
                    elif isinstance(x, (In, Out)):
                        operand = (reads if isinstance(x, In) else writes)[x.index]
                        operands.append(-1 if operand is None else operand.slot)
                    elif isinstance(x, Temp):
                        if id(x) not in pending_temps:
                            temp = new(ARENA, Fact(np.dtype(np.uint8), (max(1, int(x.nbytes)),)))
                            temp.first = at
                            pending_temps[id(x)] = temp
                            buffers.append(temp)
                        pending_temps[id(x)].last = at
                        operands.append(pending_temps[id(x)].slot)
                    else:
                        table = new(CONSTANT, Fact.of(x), np.ascontiguousarray(x))
                        s.storage[Value(table.fact)] = table
                        operands.append(table.slot)
                call_list.append((self.machine.address(call.kernel), operands, list(call.n), list(call.f),
                                  float(call.work), int(call.scratch)))
                s.call_nodes.append(node)
                s.call_kernels.append(call.kernel)
            self._stretch(s, start, len(call_list))
        if s.stop == len(self.graph.nodes) and not s.demand:
            for value in self.graph.outputs:
                storage(value)
        for value, found in s.storage.items():
            if self.last_read.get(value, -1) >= s.stop or value in outputs:
                fact = s.facts.get(value, value.fact)
                plain = found.kind != OBJECT and fact.known and not fact.layout.block
                s.leaving.append((value, found, fact, fact.sizes if plain else None))
        kept = [s.storage[v] for v in self.graph.outputs if v in s.storage]
        s.fresh = frozenset(v for v in outputs if v in s.storage and s.storage[v] in s.owned
                            and kept.count(s.storage[v]) == 1)
        offsets, arena = place([(b.fact.nbytes, b.first, b.last) for b in buffers])
        for b, offset in zip(buffers, offsets, strict=True):
            b.offset = offset
        total = arena + sum(o.fact.nbytes for o in s.owned)
        if total > self.limits.bytes:
            raise LimitError(f"the run needs {total} bytes; limits.max_bytes is {self.limits.bytes}")
        s.made = [(o, o.fact.stored_shape, o.fact.dtype) for o in s.owned]
        everything = {found.slot: found for found in s.storage.values()}
        scratch = -(-max((c[5] for c in call_list), default=0) // 64) * 64
        s.code = Code([c[:5] for c in call_list], {b.slot: b.offset for b in buffers},
                      {x.slot: x.array for x in everything.values()
                       if x.kind in (CONSTANT, STATE) and x.array is not None}, arena, scratch)

    @staticmethod
    def _stretch(s: Segment, start: int, stop: int) -> None:
        if s.steps and isinstance(s.steps[-1], Stretch) and s.steps[-1].stop == start:
            s.steps[-1].stop = stop
        elif stop > start:
            s.steps.append(Stretch(start, stop))


def run_segment(s: Segment, w: Workspace, env: dict[Value, Any], run_body,
                times: list | None = None) -> dict[Value, Any]:
    """Runs the steps; env: arrays (or objects) of the entering values. Returns those of the leaving ones.

    run_body(graph, arrays) runs the body of a control-flow op. times: a list that gets (node, kernel or "", facts
    of its outputs, seconds) of each step, which then runs by itself. Raises KernelError with the node's name.
    """
    arrays: dict[Storage, Any] = {}
    for value, found in s.entering:
        array = arrays[found] = env[value]
        if isinstance(array, np.ndarray):
            w.bind(found.slot, array)
    for found, stored, dtype in s.made:
        array = arrays[found] = np.empty(stored, dtype)
        w.bind(found.slot, array)
    for step in s.steps:
        if isinstance(step, Stretch):
            for start, stop in [(step.start, step.stop)] if times is None else \
                    zip(range(step.start, step.stop), range(step.start + 1, step.stop + 1), strict=True):
                began = perf_counter()
                failed = w.run(start, stop)
                if failed >= 0:
                    raise fault_of(s, w, failed)
                if times is not None:
                    _note(times, s, s.call_nodes[start], s.call_kernels[start], began)
        else:
            w.check()
            began = perf_counter()
            _python(w, step, arrays, run_body)
            if times is not None:
                _note(times, s, step.node, "", began)
    left = {}
    for value, found, fact, shape in s.leaving:
        array = read(found, fact, w, arrays) if shape is None or found.kind == ARENA else \
            arrays[found] if found.array is None else found.array
        left[value] = array if shape is None or array.shape == shape else array.reshape(shape)
    return left


def fault_of(s: Segment, w: Workspace, failed: int) -> KernelError:
    """The error for the call that reported a fault."""
    return KernelError(f"{s.call_nodes[failed].origin}: {w.fault()}")


def _note(times: list, s: Segment, node: Node, kernel: str, began: float) -> None:
    times.append((node, kernel, [None if v is None else s.facts.get(v) for v in node.outputs], perf_counter() - began))


def read(found: Storage, fact: Fact, w: Workspace, arrays: dict[Storage, Any]) -> Any:
    """The array (or object) in a storage, in the shape of a view of it."""
    if found.kind == ARENA:
        return w.view(found.offset, fact.sizes, fact.dtype)
    array = found.array if found.array is not None else arrays[found]
    if isinstance(array, np.ndarray) and fact.known and not fact.layout.block:
        return array.reshape(fact.sizes)
    return array


def _python(w: Workspace, step: PythonStep, arrays: dict[Storage, Any], run_body) -> None:
    op, origin = step.node.op, step.node.origin
    ins = [None if x is None else read(x[0], x[1], w, arrays) for x in step.ins]
    control = getattr(op, "control", None)
    with named(origin):
        results = tuple(control(run_body, *ins)) if control else run_python(op, ins)
    for result, out in zip(results, step.outs, strict=True):
        if out is None:
            continue
        found, fact = out
        if isinstance(result, np.ndarray):
            if fact.known and result.shape != fact.sizes:
                raise ModelError(f"{origin}: computed shape {list(result.shape)}, expected {list(fact.dims)}")
            if result.dtype != fact.dtype:
                result = result.astype(fact.dtype)
            if any(isinstance(x, np.ndarray) and np.may_share_memory(x, result) for x in ins):
                result = result.copy()
            w.bind(found.slot, result)
        arrays[found] = result


def entering_key(env: dict[Value, object], demanded: set[Value]) -> tuple:
    """The cache key of values that enter a segment: their shapes, and the content of demanded ones."""
    return tuple([None if not isinstance(array, np.ndarray) else array.shape if value not in demanded
                  else (array.shape, array.tobytes() if array.dtype != object else None)
                  for value, array in env.items()])


def entering_facts(env: dict[Value, object], demanded: set[Value]) -> dict[Value, Fact]:
    """The facts of values that enter a segment, with the content of demanded ones."""
    facts = {}
    for value, array in env.items():
        if not isinstance(array, np.ndarray):
            facts[value] = value.fact
            continue
        layout, shape = value.fact.layout, array.shape
        if layout.block:
            shape = (shape[0], value.fact.dims[1], *shape[2:-1])
        facts[value] = Fact(array.dtype, shape, array.copy() if value in demanded else None, layout)
    return facts
