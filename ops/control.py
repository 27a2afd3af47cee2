"""Control flow: If, Loop and Scan. Their bodies are graphs, whose outer values come in as further inputs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.axes import axis_of
from cynfer.ops.dim import Dim
from cynfer.ops.errors import KernelError, LimitError, ModelError
from cynfer.ops.fact import Fact, either, loosest
from cynfer.ops.op import Op, onnx

#: Bodies nested deeper than this are lowered once, with nothing known of what they carry: each try doubles the work.
DEEP = 4


def _truth(condition: np.ndarray) -> bool:
    if condition.size != 1:
        raise KernelError(f"the condition has {condition.size} elements; 1 is needed")
    return bool(condition.reshape(-1)[0])


def inline(b, body, values) -> tuple:
    """Emits the nodes of a lowered body with `values` for its inputs; returns what its outputs have become."""
    env = dict(zip(body.inputs, values, strict=True))
    origin, name = b.origin, b.name
    for node in body.nodes:
        b.origin, b.name = node.origin, node.name
        made = b.emit(node.op, *(None if v is None else env.get(v, v) for v in node.inputs))
        for old, new in zip(node.outputs, made if isinstance(made, tuple) else (made,), strict=True):
            env[old] = new
            new.name = new.name or old.name
    b.origin, b.name = origin, name
    return tuple(env.get(v, v) for v in body.outputs)


class _Bodies(Op):
    """What the three have in common: a field `results`, the facts of what comes out, which may be of any kind."""

    objects: ClassVar[bool] = True

    @property
    def n_outputs(self):
        return len(self.results)


class If(_Bodies, eq=False):
    """One of two bodies. Inputs: the condition, then what the first body reads (`taken` values), then the second."""

    then_body: Any
    else_body: Any
    taken: int
    results: tuple[Fact, ...]

    def facts(self, *ins):
        if ins[0].known and ins[0].size != 1:
            raise ModelError(f"the condition has {ins[0].size} elements; 1 is needed")
        return self.results

    def control(self, run_body, condition, *values):
        """Runs the body that the condition chooses."""
        if _truth(condition):
            return run_body(self.then_body, values[: self.taken])
        return run_body(self.else_body, values[self.taken:])


@onnx("If", since=1)
def if_(b, condition, *, then_branch, else_branch):
    """ONNX If, all versions. With a constant condition its branch stands in the graph itself."""
    known = condition.fact.constant
    if known is not None:
        results = inline(b, *b.subgraph(then_branch if _truth(known) else else_branch, ()))
        return results if len(results) != 1 else results[0]
    then_body, first = b.subgraph(then_branch, ())
    else_body, second = b.subgraph(else_branch, ())
    if len(then_body.outputs) != len(else_body.outputs):
        raise ModelError(f"then_branch has {len(then_body.outputs)} outputs, else_branch {len(else_body.outputs)}")
    results = tuple(either(x.fact, y.fact, f"output {i} differs between the branches")
                    for i, (x, y) in enumerate(zip(then_body.outputs, else_body.outputs, strict=True)))
    return b.emit(If(then_body, else_body, len(first), results), condition, *first, *second)


class Loop(_Bodies, eq=False):
    """A body again and again. Inputs: trip count, condition, carried values (`carried` of them), what the body reads.

    Outputs: the carried values at the end, then what the body gave beside them, stacked.
    """

    body: Any
    carried: int
    results: tuple[Fact, ...]

    def facts(self, *ins):
        for name, fact in (("the trip count", ins[0]), ("the condition", ins[1])):
            if fact is not None and fact.known and fact.size != 1:
                raise ModelError(f"{name} has {fact.size} elements; 1 is needed")
        return self.results

    def control(self, run_body, trips, condition, *values):
        """Runs the body until the trip count or the condition ends it."""
        carried, outer = list(values[: self.carried]), values[self.carried:]
        shape = () if condition is None else condition.shape
        if trips is not None and trips.size != 1:
            raise KernelError(f"the trip count has {trips.size} elements; 1 is needed")
        trips = None if trips is None else int(trips.reshape(-1)[0])
        go, i = condition is None or _truth(condition), 0
        scans: list[list] = [[] for _ in self.results[self.carried:]]
        budget, looked, grown = run_body.max_bytes, 1, 0
        while go and (trips is None or i < trips):
            outs = run_body(self.body, [np.array(i, np.int64), np.full(shape, go), *carried, *outer])
            carried = outs[1: 1 + self.carried]
            for stack, x in zip(scans, outs[1 + self.carried:], strict=True):
                stack.append(x)
                budget -= getattr(x, "nbytes", 0)
            longest = max((len(x) for x in carried if isinstance(x, list)), default=0)
            if longest >= 2 * looked:  # not every round: that would take quadratic time
                looked = longest
                grown = sum(e.nbytes for x in carried if isinstance(x, list) for e in x)
            if budget < grown:
                raise LimitError(f"what {i + 1} rounds have kept takes more than limits.max_bytes, "
                                 f"{run_body.max_bytes} bytes")
            go = condition is None or _truth(outs[0])
            i += 1
        return [*carried, *(_stacked(s, f) for s, f in zip(scans, self.results[self.carried:], strict=True))]


def _stacked(parts: list[np.ndarray], fact: Fact, axis: int = 0) -> np.ndarray:
    if not parts:
        dims = [] if fact.shape is None else [0 if isinstance(d, Dim) else d for d in fact.shape]
        return np.zeros(dims or [0], fact.dtype)
    for x in parts:
        if x.shape != parts[0].shape:
            raise KernelError(f"the body gave shapes {list(parts[0].shape)} and {list(x.shape)} to be stacked")
    return np.stack(parts, axis)


def _lower_body(b, body, facts, skip: int, n: int):
    """The lowered body, what it reads from outside, and facts of n carried values that hold in every round.

    facts: of the body's inputs, of which those after the first `skip` are carried; outputs 1 - skip … likewise.
    """
    facts = list(facts)
    first = 1 if skip else 0
    loose: set[tuple[int, int]] = set()  # dimensions that are unknown already: a body gives new unknowns each time
    for _ in range(3 if _nesting(body) <= DEEP else 0):
        lowered, outer = b.subgraph(body, facts)
        changed = False
        for i in range(n):
            old, new = facts[skip + i], lowered.outputs[first + i].fact
            joined = either(old, new, f"carried value {i} changes its type")
            if joined.kind != "tensor":
                if not _alike(old, joined):
                    changed = True
                    facts[skip + i] = loosest(joined)
                continue
            if joined.shape is None:
                changed = changed or old.shape is not None
                facts[skip + i] = joined
                continue
            differ = {(i, a) for a, (d, j) in enumerate(zip(old.shape, joined.shape, strict=True)) if d != j} - loose
            if differ:
                changed = True
                loose |= differ
                facts[skip + i] = joined
        if not changed:
            return lowered, outer, facts[skip: skip + n]
    facts[skip: skip + n] = [loosest(f) for f in facts[skip: skip + n]]
    lowered, outer = b.subgraph(body, facts)
    for i in range(n):
        old, new = facts[skip + i], lowered.outputs[first + i].fact
        if either(old, new, f"carried value {i} changes its type").kind != old.kind:
            raise ModelError(f"carried value {i} changes its type: {old.type_name()} and {new.type_name()}")
    return lowered, outer, facts[skip: skip + n]


def _alike(a: Fact | None, b: Fact | None) -> bool:
    """True if the facts of sequences or optionals say the same."""
    if a is None or b is None:
        return a is b
    return a.kind == b.kind and a.shape == b.shape and _alike(a.elem, b.elem)


def _tensors(what: str, facts) -> None:
    """Raises ModelError unless all are facts of tensors."""
    for i, f in enumerate(facts):
        if f is not None and f.kind != "tensor":
            raise ModelError(f"{what} {i} is {f.type_name()}; a tensor is needed")


def _nesting(body) -> int:
    """How many bodies lie in one another, counted to just above DEEP."""
    level, depth = [body], 0
    while level and depth <= DEEP:
        level = [a for g in level for node in g.nodes for a in getattr(node.op, "attributes", {}).values()
                 if isinstance(a, type(body))]
        depth += 1
    return depth


@onnx("Loop", since=1)
def loop(b, trips=None, condition=None, *values, body):
    """ONNX Loop, all versions. Without a condition what the body says about going on does not count."""
    n = len(values)
    if any(v is None for v in values):
        raise ModelError(f"carried value {values.index(None)} is absent")
    if len(body.inputs) != n + 2:
        raise ModelError(f"the body has {len(body.inputs)} inputs; {n + 2} are needed for {n} carried values")
    if len(body.outputs) < n + 1:
        raise ModelError(f"the body has {len(body.outputs)} outputs; at least {n + 1} are needed")
    flag = Fact(dtypes.BOOL, () if condition is None else condition.fact.shape)
    facts = [Fact(dtypes.INT64, ()), flag, *(v.fact.without_value() for v in values)]
    lowered, outer, carried = _lower_body(b, body, facts, 2, n)
    _tensors("scan output", [v.fact for v in lowered.outputs[n + 1:]])
    stacked = [_with_axis(v.fact, 0) for v in lowered.outputs[n + 1:]]
    return b.emit(Loop(lowered, n, (*carried, *stacked)), trips, condition, *values, *outer)


def _with_axis(fact: Fact, axis: int, size=None) -> Fact:
    if fact.shape is None:
        return replace(fact, value=None)
    dims = list(fact.shape)
    dims.insert(axis_of(axis, len(dims) + 1, "scan_output_axes"), Dim.unknown() if size is None else size)
    return replace(fact, shape=tuple(dims), value=None)


class Scan(_Bodies, eq=False):
    """A body for every slice of its scanned inputs. Inputs: `states` values, `scans` scanned ones, what it reads.

    axes and backward: for each scanned input; out_axes and out_backward: for each stacked output.
    """

    body: Any
    states: int
    scans: int
    axes: tuple[int, ...]
    backward: tuple[bool, ...]
    out_axes: tuple[int, ...]
    out_backward: tuple[bool, ...]
    results: tuple[Fact, ...]

    def facts(self, *ins):
        _length([f.shape for f in ins[self.states: self.states + self.scans]], self.axes)
        return self.results

    def control(self, run_body, *values):
        """Runs the body slice by slice."""
        states, outer = list(values[: self.states]), values[self.states + self.scans:]
        scanned = values[self.states: self.states + self.scans]
        steps = _length([x.shape for x in scanned], self.axes)
        rows = [np.moveaxis(x, axis_of(a, x.ndim), 0) for x, a in zip(scanned, self.axes, strict=True)]
        stacks: list[list] = [[] for _ in self.out_axes]
        for t in range(steps):
            slices = [r[steps - 1 - t if back else t, ...] for r, back in zip(rows, self.backward, strict=True)]
            outs = run_body(self.body, [*states, *slices, *outer])
            states = outs[: self.states]
            for stack, x in zip(stacks, outs[self.states:], strict=True):
                stack.append(x)
        facts = self.results[self.states:]
        done = []
        for stack, back, axis, fact in zip(stacks, self.out_backward, self.out_axes, facts, strict=True):
            at = axis_of(axis, stack[0].ndim + 1 if stack else len(fact.dims), "scan_output_axes")
            done.append(_stacked(stack[::-1] if back else stack, fact, at))
        return [*states, *done]


def _length(shapes, axes):
    """The common length of the scanned axes; a Dim where it is not known."""
    lengths = [s[axis_of(a, len(s), "scan_input_axes")] for s, a in zip(shapes, axes, strict=True) if s is not None]
    numbers = {n for n in lengths if not isinstance(n, Dim)}
    if len(numbers) > 1:
        raise ModelError(f"the scanned inputs have different lengths: {sorted(numbers)}")
    return numbers.pop() if numbers else lengths[0] if lengths else Dim.unknown()


def _attribute(name: str, values, n: int) -> tuple:
    values = (0,) * n if values is None else tuple(values)
    if len(values) != n:
        raise ModelError(f"{name} has {len(values)} elements; {n} are needed")
    return values


@onnx("Scan", since=9)
def scan(b, *values, body, num_scan_inputs, scan_input_axes=None, scan_input_directions=None, scan_output_axes=None,
         scan_output_directions=None):
    """ONNX Scan without a batch axis."""
    scans, states = num_scan_inputs, len(values) - num_scan_inputs
    _tensors("input", [v.fact for v in values])
    if not 1 <= scans <= len(values):
        raise ModelError(f"num_scan_inputs is {scans}, outside 1 to {len(values)}")
    if len(body.inputs) != len(values):
        raise ModelError(f"the body has {len(body.inputs)} inputs; {len(values)} are needed")
    stacked = len(body.outputs) - states
    if stacked < 0:
        raise ModelError(f"the body has {len(body.outputs)} outputs; at least {states} are needed")
    axes = _attribute("scan_input_axes", scan_input_axes, scans)
    backward = _attribute("scan_input_directions", scan_input_directions, scans)
    out_axes = _attribute("scan_output_axes", scan_output_axes, stacked)
    out_backward = _attribute("scan_output_directions", scan_output_directions, stacked)
    facts = [v.fact.without_value() for v in values]
    steps = _length([f.shape for f in facts[states:]], axes)
    for i, a in enumerate(axes):
        f = facts[states + i]
        if f.shape is not None:
            at = axis_of(a, f.rank, "scan_input_axes")
            facts[states + i] = replace(f, shape=f.shape[:at] + f.shape[at + 1:])
    lowered, outer, carried = _lower_body(b, body, facts, 0, states)
    _tensors("body output", [v.fact for v in lowered.outputs])
    results = (*carried, *(_with_axis(v.fact, a, steps)
                           for v, a in zip(lowered.outputs[states:], out_axes, strict=True)))
    op = Scan(lowered, states, scans, axes, tuple(map(bool, backward)), out_axes, tuple(map(bool, out_backward)),
              results)
    return b.emit(op, *values, *outer)


class BatchScan(Scan, eq=False):
    """Scan for every element of a batch (axis 0 of everything), which may end at lengths given as the first input."""

    def facts(self, *ins):
        return self.results

    def control(self, run_body, lengths, *values):
        """Runs the batch element by element; past the end of a sequence the outputs are zero."""
        own, outer = values[: self.states + self.scans], values[self.states + self.scans:]
        sizes = {x.shape[0] for x in own}
        steps = {x.shape[1] for x in own[self.states:]}
        if len(sizes) != 1 or len(steps) != 1 or not min(sizes):
            raise KernelError(f"the inputs have batches of {sorted(sizes)} and lengths of {sorted(steps)}; "
                              "one of each, a batch of at least 1, is needed")
        steps, rounds = steps.pop(), []
        for n in range(sizes.pop()):
            length = steps if lengths is None else int(lengths[n])
            if not 0 <= length <= steps:
                raise KernelError(f"sequence length {length} at position {n} is outside 0 to {steps}")
            one = [x[n, ...] for x in own[: self.states]] + [x[n, :length] for x in own[self.states:]]
            results = super().control(run_body, *one, *outer)
            for i in range(self.states, len(results)):
                y = np.zeros((steps, *results[i].shape[1:]), results[i].dtype)
                y[:length] = results[i]
                results[i] = y
            rounds.append(results)
        return [np.stack(parts) for parts in zip(*rounds, strict=True)]


@onnx("Scan", since=8)
def scan_8(b, lengths=None, *values, body, num_scan_inputs, directions=None):
    """Batches, and optional lengths; the scanned axis is the one after the batch."""
    scans, states = num_scan_inputs, len(values) - num_scan_inputs
    _tensors("input", [v.fact for v in values])
    if not 1 <= scans <= len(values):
        raise ModelError(f"num_scan_inputs is {scans}, outside 1 to {len(values)}")
    if len(body.inputs) != len(values) or len(body.outputs) < states:
        raise ModelError(f"the body has {len(body.inputs)} inputs and {len(body.outputs)} outputs; {len(values)} and "
                         f"at least {states} are needed")
    stacked = len(body.outputs) - states
    backward = _attribute("directions", directions, scans)
    facts = [replace(v.fact, value=None, shape=None if v.fact.shape is None else v.fact.shape[1 + (i >= states):])
             for i, v in enumerate(values)]
    lowered, outer, carried = _lower_body(b, body, facts, 0, states)
    _tensors("body output", [v.fact for v in lowered.outputs])
    results = [*carried, *(_with_axis(v.fact, 0) for v in lowered.outputs[states:])]
    op = BatchScan(lowered, states, scans, (0,) * scans, tuple(map(bool, backward)), (0,) * stacked, (False,) * stacked,
                   tuple(_with_axis(f, 0) for f in results))
    return b.emit(op, lengths, *values, *outer)
