"""What an operator is: facts, a native or a NumPy way to run, and how ONNX nodes become one.

Adding an operator: a class derived from `Op` (a frozen record) in a file of this folder, and one function per ONNX
version under `@onnx(name, since=version)`, whose parameters are the inputs (positional) and the attributes
(keyword-only, with ONNX's defaults). There is no list to edit: the modules of this folder are imported together.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

import numpy as np

from cynfer.ops.dim import Dim
from cynfer.ops.dtypes import STRING
from cynfer.ops.errors import CynferError, KernelError, ModelError
from cynfer.ops.fact import Fact, UnknownRank, needed
from cynfer.ops.record import Record

#: Integer tensors up to this many elements carry their content through shape arithmetic.
SMALL = 1024


@dataclass(frozen=True)
class In:
    """Operand of a call: the op's input of that index."""

    index: int


@dataclass(frozen=True)
class Out:
    """Operand of a call: the op's output of that index."""

    index: int


@dataclass(eq=False)
class Temp:
    """Operand of a call: a buffer that all calls of one op share; the plan gives it its place."""

    nbytes: int


@dataclass
class Call:
    """One kernel call (see kernels/abi.h).

    operands: In, Out, Temp, a constant array (tables made while planning), or None for an absent one.
    scratch: private bytes of each thread. work: about how many elementary steps; few run in one thread.
    """

    kernel: str
    operands: Sequence[In | Out | Temp | np.ndarray | None]
    n: Sequence[int] = ()
    f: Sequence[float] = ()
    scratch: int = 0
    work: float = 1e9


class Op(Record):
    """An operator of the lowered graph, attributes already in their final form.

    Derive a class whose annotated names are its attributes. Override `shapes` (and `dtypes` where an output's type is
    not the first input's), and
    `native`, `python` or both. Raise ModelError for attributes or shapes that the operator does not allow: here, not
    while running. The graph adds the node's name.
    """

    #: The output is the first input's bytes under another shape (or the very same).
    view: ClassVar[bool] = False
    #: Inputs whose content `shapes` needs (the shape of a Reshape, the ends of a Slice).
    shape_inputs: ClassVar[tuple[int, ...]] = ()
    #: `python` also works on object arrays of ints and Dims.
    symbolic: ClassVar[bool] = False
    #: Inputs may be sequences, optionals and maps.
    objects: ClassVar[bool] = False
    #: Same inputs, same outputs: may be folded, shared and dropped.
    pure: ClassVar[bool] = True
    #: The axis of the output whose entries each have their own weights, where `scaled` can change those; or None.
    channel_axis: ClassVar[int | None] = None
    #: Inputs that hold weights: constants that feed them fold whatever their size.
    weight_inputs: ClassVar[tuple[int, ...]] = ()
    #: The first output is this input's own storage, written by the native call (a state's update).
    inplace: ClassVar[int | None] = None
    #: Number of outputs; a property where it depends on the attributes.
    n_outputs: ClassVar[int] = 1

    def shapes(self, *ins: Fact | None) -> Sequence[Sequence[Any] | None]:
        """The shape of each output: ints and Dims; Dim.unknown() where it depends on data."""
        return [needed(ins[0]).dims] * self.n_outputs

    def dtypes(self, *ins: Fact | None) -> Sequence[np.dtype]:
        """The element type of each output."""
        return [needed(ins[0]).dtype] * self.n_outputs

    def facts(self, *ins: Fact | None) -> tuple[Fact, ...]:
        """Facts of the outputs; the content where it follows without running anything."""
        types = self.dtypes(*ins)
        try:
            shapes = self.shapes(*ins)
        except UnknownRank:
            shapes = [None] * len(types)
        return tuple(Fact(t, None if s is None else tuple(s)) for t, s in zip(types, shapes, strict=True))

    def native(self, m, ins: Sequence[Fact | None], outs: Sequence[Fact]) -> Call | Sequence[Call] | None:
        """Kernel calls for these concrete facts on machine m, or None where `python` must do."""
        return None

    def python(self, *arrays):
        """The outputs (an array, or a tuple of them) by NumPy: vectorised, never through BLAS."""
        raise NotImplementedError(f"{type(self).__name__} has no NumPy form")

    def blocked(self, m, ins: Sequence[Fact | None], outs: Sequence[Fact]) -> bool:
        """True if `native` also runs with its 4-D operands in layout C16 (the same for all of them)."""
        return False

    def seeks_blocked(self, m, ins: Sequence[Fact | None], outs: Sequence[Fact]) -> bool:
        """True if running in C16 is worth converting a plain input for."""
        return False

    def blocked_entry(self, m, ins: Sequence[Fact | None], outs: Sequence[Fact]) -> bool:
        """True if `native` can read its first input PLAIN and write its output in C16 (the first convolution)."""
        return False

    def packing(self, m, ins: Sequence[Fact | None], outs: Sequence[Fact]) -> tuple[dict[int, Op], Op] | None:
        """({index of a constant input: the op that packs it}, this op for the packed inputs), or None."""
        return None

    def scaled(self, weights: Sequence[np.ndarray | None], gamma, beta) -> Sequence[np.ndarray | None] | None:
        """The constant inputs from index 1 on, changed so that the output becomes gamma * y + beta by channel.

        weights: inputs 1 and later, None for absent ones. gamma, beta: float64, [channels] each. None: cannot.
        """
        return None

    def absorb(self, consumer: Op, position: int, ins: Sequence[Fact | None], others: Sequence[Fact]) -> Op | None:
        """This op with `consumer`, the only reader of its output, as part of its epilogue; None if it cannot.

        position: which input of the consumer is this op's output; others: facts of the consumer's other inputs, which
        become further inputs of the result.
        """
        return None

    def is_noop(self, ins: Sequence[Fact | None], outs: Sequence[Fact]) -> bool:
        """True if the first output always equals the first input, for facts that may be symbolic."""
        return self.view and outs[0].shape is not None and needed(ins[0]).shape == outs[0].shape

    def cost(self, ins: Sequence[Fact | None], outs: Sequence[Fact]) -> float:
        """Multiply-adds, for people; 0 where nobody counts."""
        return 0.0

    @property
    def title(self) -> str:
        """What `info` and `describe` show."""
        return type(self).__name__


@dataclass(frozen=True)
class Registration:
    """One version of one ONNX operator: the function that lowers it, and its parameters."""

    name: str
    domain: str
    since: int
    lower: Callable = field(repr=False)
    inputs: tuple[str, ...] = ()
    variadic: bool = False
    required: int = 0
    attributes: tuple[str, ...] = ()


_registry: dict[tuple[str, str], list[Registration]] = {}


def onnx(name: str, since: int, domain: str = "") -> Callable:
    """Declares a function as the meaning of ONNX operator `name` from version `since` on.

    The function takes the builder, then inputs by position (a default of None marks an optional one, *xs many), then
    attributes by keyword with ONNX's defaults (no default: required). A keyword `n_outputs` receives the number of
    outputs that the node names, trailing empty ones left out. It returns a value or a tuple of them.
    """

    def register(function: Callable) -> Callable:
        parameters = list(inspect.signature(function).parameters.values())[1:]
        positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        entry = Registration(
            name, domain, since, function, tuple(p.name for p in positional),
            any(p.kind is p.VAR_POSITIONAL for p in parameters),
            sum(p.default is p.empty for p in positional),
            tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "n_outputs"),
        )
        versions = _registry.setdefault((domain, name), [])
        versions.append(entry)
        versions.sort(key=lambda r: r.since)
        return function

    return register


@cache
def _load() -> None:
    """Imports every module of this folder, so that their operators are registered."""
    from cynfer import ops

    for module in pkgutil.iter_modules(ops.__path__):
        if not module.ispkg:
            importlib.import_module(f"cynfer.ops.{module.name}")


def resolve(name: str, domain: str, version: int) -> Registration | None:
    """The highest version of the operator that is not above `version`, or None."""
    _load()
    found = None
    for entry in _registry.get((domain, name), ()):
        if entry.since <= version:
            found = entry
    return found


def supported() -> dict[tuple[str, str], list[Registration]]:
    """{(domain, name): its versions, oldest first}."""
    _load()
    return _registry


def infer(op: Op, *ins: Fact | None) -> tuple[Fact, ...]:
    """`op.facts`, and the content of small outputs whose inputs are all known. The one door to facts."""
    if not op.objects:
        for i, fact in enumerate(ins):
            if fact is not None and fact.kind != "tensor":
                raise ModelError(f"input {i} is {fact.type_name()}; a tensor is needed")
    outs = op.facts(*ins)
    if not op.pure or any(o.value is not None for o in outs) or not all(i is None or _small(i) for i in ins) \
            or not ins or not all(o.known and math.prod(o.sizes) <= SMALL and o.holdable for o in outs):
        return outs
    arrays = [None if i is None else i.value for i in ins]
    if any(i is not None and i.value is not None and i.value.dtype == object and i.dtype != STRING for i in ins):
        if not op.symbolic:
            return outs
        arrays = [a if a is None or a.dtype == object else a.astype(object) for a in arrays]
    try:
        results = run_python(op, arrays)
    except (CynferError, ArithmeticError, TypeError, NotImplementedError):
        return outs  # says so again when it runs, with the node's name
    return tuple(Fact(o.dtype, o.shape, _narrow(r, o)) for o, r in zip(outs, results, strict=True))


def _small(fact: Fact) -> bool:
    return fact.value is not None and fact.value.size <= SMALL


def _narrow(array, fact: Fact) -> np.ndarray | None:
    array = np.asarray(array)
    if array.dtype == object and fact.dtype != STRING:
        if not all(isinstance(v, (int, Dim, np.integer, bool)) for v in array.flat):
            return None
        if not any(isinstance(v, Dim) for v in array.flat):
            array = array.astype(fact.dtype)
    return array.reshape(fact.shape) if array.size == fact.size else None


def run_python(op: Op, arrays) -> tuple:
    """The outputs of `op.python` as a tuple of contiguous arrays (or objects)."""
    with np.errstate(all="ignore"):
        results = op.python(*arrays)
    results = results if isinstance(results, tuple) else (results,)
    return tuple(np.ascontiguousarray(r).reshape(np.shape(r)) if isinstance(r, (np.ndarray, np.generic)) else r
                 for r in results)


def calls(native: Call | Sequence[Call] | None) -> list[Call] | None:
    """`native`'s answer as a list."""
    return None if native is None else [native] if isinstance(native, Call) else list(native)


def evaluate(op: Op, m, arrays: Sequence[np.ndarray | None]) -> tuple[np.ndarray, ...]:
    """Runs one op now, in this thread, on arrays in plain layout: for folding and for tests.

    Raises KernelError for a bad value; the caller adds the node's name.
    """
    ins = [None if a is None else Fact.of(a) for a in arrays]
    outs = op.facts(*ins)
    if outs and all(o.known and o.size == 0 for o in outs):
        return tuple(np.empty(o.sizes, o.dtype) for o in outs)
    native = calls(op.native(m, [i and i.without_value() for i in ins], outs)) if all(o.known for o in outs) else None
    if native is None:
        return run_python(op, arrays)
    results = [np.empty(o.sizes, o.dtype) for o in outs]
    temps: dict[int, np.ndarray] = {}

    def bind(x):
        if isinstance(x, Temp):
            return temps.setdefault(id(x), np.empty(max(1, x.nbytes), np.uint8))
        return arrays[x.index] if isinstance(x, In) else results[x.index] if isinstance(x, Out) else x

    for call in native:
        m.call(call.kernel, [None if a is None else np.ascontiguousarray(a) for a in map(bind, call.operands)],
               call.n, call.f, scratch=call.scratch)
    return tuple(results)


__all__ = ["SMALL", "Call", "In", "KernelError", "Op", "Out", "Registration", "Temp", "calls", "evaluate", "infer",
           "onnx", "resolve", "run_python", "supported"]
