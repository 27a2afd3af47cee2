"""RNN, GRU and LSTM: the product with the input is one matrix product, the rest one operator that walks over time.

ONNX: versions 1, 3 (GRU), 7, 14, 22. Half types are computed in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from cynfer.ops.cast import Cast
from cynfer.ops.dim import Dim
from cynfer.ops.dtypes import FLOAT, prefix
from cynfer.ops.einsum import Fold
from cynfer.ops.elementwise import NUMPY, sigmoid
from cynfer.ops.errors import KernelError, ModelError, show
from cynfer.ops.fact import Fact
from cynfer.ops.half import HALVES
from cynfer.ops.matmul import MatMul, PackB
from cynfer.ops.op import Call, In, Op, Out, Temp, onnx
from cynfer.ops.record import replace

DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


class Activation(NamedTuple):
    """A function of x, alpha and beta; the defaults of those two (None: it takes none)."""

    function: Callable
    alpha: float | None = None
    beta: float | None = None


#: {lower-case name: activation}
ACTIVATIONS = {
    "affine": Activation(lambda x, a, b: a * x + b, 1.0, 0.0), "relu": Activation(lambda x, a, b: np.maximum(x, 0)),
    "leakyrelu": Activation(lambda x, a, b: NUMPY["leaky_relu"](x, a), 0.01),
    "thresholdedrelu": Activation(lambda x, a, b: NUMPY["thresholded_relu"](x, a), 1.0),
    "tanh": Activation(lambda x, a, b: np.tanh(x)), "sigmoid": Activation(lambda x, a, b: sigmoid(x)),
    "scaledtanh": Activation(lambda x, a, b: a * np.tanh(b * x), 1.0, 1.0),
    "hardsigmoid": Activation(lambda x, a, b: np.clip(a * x + b, 0, 1), 0.2, 0.5),
    "elu": Activation(lambda x, a, b: NUMPY["elu"](x, a), 1.0),
    "softsign": Activation(lambda x, a, b: NUMPY["softsign"](x)),
    "softplus": Activation(lambda x, a, b: NUMPY["softplus"](x)),
}

Chosen = tuple[tuple[str, float, float], ...]


class Kind(NamedTuple):
    """Gates of a cell and the activations of one direction."""

    gates: int
    activations: tuple[str, ...]


KINDS = {"rnn": Kind(1, ("Tanh",)), "gru": Kind(3, ("Sigmoid", "Tanh")), "lstm": Kind(4, ("Sigmoid", "Tanh", "Tanh"))}


def choose(kind: str, directions: int, names: Sequence[str], alphas: Sequence[float], betas: Sequence[float]) -> Chosen:
    """(lower-case name, alpha, beta) of each activation; values go to those that take one, or to each in turn."""
    wanted = KINDS[kind].activations * directions
    names = tuple(names) or wanted
    if kind == "rnn" and directions == 1:
        names = names[:1]  # the standard's own default has two
    if len(names) != len(wanted):
        raise ModelError(f"activations has {len(names)} names, {len(wanted)} are needed")
    for name in names:
        if name.lower() not in ACTIVATIONS:
            raise ModelError(f"activation {show(name)} is not known")
    found = [ACTIVATIONS[name.lower()] for name in names]

    def spread(given: Sequence[float], defaults: list) -> list[float]:
        if len(given) == len(names):
            return [float(g) for g in given]
        rest = iter(given)
        values = [0.0 if d is None else float(next(rest, d)) for d in defaults]
        if next(rest, None) is not None:
            raise ModelError(f"{len(given)} values of alpha or beta for the activations {', '.join(names)}")
        return values

    alpha, beta = spread(alphas, [a.alpha for a in found]), spread(betas, [a.beta for a in found])
    return tuple((n.lower(), x, y) for n, x, y in zip(names, alpha, beta, strict=True))


class Recurrent(Op):
    """The walk over time. Inputs: x W^T of all directions and gates, R, then B, lengths, h, c and P or None.

    kind: a key of KINDS. after_reset: GRU's linear_before_reset; coupled: LSTM's input_forget.
    """

    kind: str
    direction: str
    activations: Chosen
    clip: float | None
    batch_first: bool
    after_reset: bool = False
    coupled: bool = False
    #: The shape of R, once it is packed.
    weight: tuple[int, ...] | None = None

    weight_inputs: ClassVar[tuple[int, ...]] = (1,)

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        return 3 if self.kind == "lstm" else 2

    def shapes(self, xw, r, b=None, lens=None, h=None, c=None, p=None):
        if self.weight is not None:
            r = Fact(r.dtype, self.weight)
        if xw.rank != 3 or r.rank != 3:
            raise ModelError(f"X has rank {xw.rank} and R {r.rank}, both need 3")
        count, gates, hidden = len(DIRECTIONS[self.direction]), KINDS[self.kind].gates, r.dims[2]
        time, batch = xw.dims[:2][::-1] if self.batch_first else xw.dims[:2]
        state = (batch, count, hidden) if self.batch_first else (count, batch, hidden)
        for name, fact, want in (
            ("W", Fact(xw.dtype, (xw.dims[2],)), (count * gates * hidden,)), ("R", r, (count, gates * hidden, hidden)),
            ("B", b, (count, 2 * gates * hidden)), ("sequence_lens", lens, (batch,)), ("initial_h", h, state),
            ("initial_c", c, state), ("P", p, (count, 3 * hidden)),
        ):
            _check(name, fact, want, self.direction)
        y = (batch, time, count, hidden) if self.batch_first else (time, count, batch, hidden)
        return [y, *[state] * (self.n_outputs - 1)]

    def _pack(self, shape) -> PackB:
        """Each gate of each direction as a matrix of its own."""
        count, rows, hidden = shape
        return PackB(count * rows // hidden, hidden, hidden, True)

    def _kernel(self, m, dtype) -> str | None:
        """The kernel, if it has these activations."""
        name, relu = f"{prefix(dtype)}_recurrent", {a[0] for a in self.activations} == {"relu"}
        usual = self.activations == choose(self.kind, len(DIRECTIONS[self.direction]), (), (), ())
        return name if name in m and self.clip is None and (usual or (self.kind == "rnn" and relu)) else None

    def packing(self, m, ins, outs):
        r = ins[1]
        if self.weight is not None or r.constant is None or not r.size or self._kernel(m, r.dtype) is None:
            return None
        return {1: self._pack(r.dims)}, replace(self, weight=tuple(r.dims))

    def native(self, m, ins, outs):
        xw, r, b, lens, h, c, p = (*ins, *[None] * 5)[:7]
        name = self._kernel(m, xw.dtype)
        if name is None or not outs[1].size:
            return None
        count, rows, hidden = shape = r.dims if self.weight is None else self.weight
        time, batch = xw.dims[:2][::-1] if self.batch_first else xw.dims[:2]
        calls, matrix = [], In(1)
        if self.weight is None:
            pack = self._pack(shape)
            matrix = Temp(pack.shapes(r)[0][0] * xw.dtype.itemsize)
            calls.append(pack.call(prefix(xw.dtype), In(1), matrix))
        wide, all_rows = count * rows, count * hidden
        strides = (wide, time * wide, all_rows, hidden, time * all_rows, hidden, all_rows) if self.batch_first else \
            (batch * wide, wide, batch * all_rows, batch * hidden, hidden, batch * hidden, hidden)
        option = {"rnn": self.activations[0][0] == "relu", "gru": self.after_reset, "lstm": self.coupled}[self.kind]
        backwards = sum(1 << d for d, back in enumerate(DIRECTIONS[self.direction]) if back)
        operands = [In(0), matrix, *(None if f is None else In(i) for i, f in enumerate((b, lens, h, c, p), 2)), Out(0),
                    Out(1), Out(2) if self.kind == "lstm" else None]
        n = (("rnn", "gru", "lstm").index(self.kind), time, batch, count, hidden, backwards, *strides, int(option))
        calls.append(Call(name, operands, n, scratch=m.module("recurrent").scratch_bytes(hidden, xw.dtype.itemsize),
                          work=time * batch * wide * hidden))
        return calls

    def cost(self, ins, outs):
        return float(ins[0].size) * float(outs[0].dims[-1]) if ins[0].known and outs[0].known else 0.0

    def python(self, xw, r, b=None, lens=None, h=None, c=None, p=None):
        if self.batch_first:
            xw, h, c = (None if v is None else v.swapaxes(0, 1) for v in (xw, h, c))
        time, batch, _ = xw.shape
        count, rows, hidden = r.shape
        if lens is not None and lens.size and not 0 <= lens.min() <= lens.max() <= time:
            bad = lens[(lens < 0) | (lens > time)][0]
            raise KernelError(f"sequence_lens has {int(bad)}, outside 0 to {time}")
        xw = xw.reshape(time, batch, count, rows)
        b = np.zeros((count, 2 * rows), xw.dtype) if b is None else b
        y = np.zeros((time, count, batch, hidden), xw.dtype)
        ends = [np.zeros((count, batch, hidden), xw.dtype) if v is None else v.copy() for v in (h, c)]
        for d, backwards in enumerate(DIRECTIONS[self.direction]):
            step = self._cell(d, r[d], b[d], None if p is None else p[d].reshape(3, hidden))
            now = [e[d] for e in ends]
            for t in range(time)[::-1 if backwards else 1]:
                new = step(xw[t, :, d], *now)
                if lens is not None:
                    inside = (t < lens)[:, None]
                    y[t, d] = np.where(inside, new[0], 0)
                    now = [np.where(inside, n, o) for n, o in zip(new, now, strict=True)]
                else:
                    y[t, d] = new[0]
                    now = new
            for e, n in zip(ends, now, strict=True):
                e[d] = n
        if self.batch_first:
            return (y.transpose(2, 0, 1, 3), *(e.swapaxes(0, 1) for e in ends))[: self.n_outputs]
        return (y, *ends)[: self.n_outputs]

    def _cell(self, d: int, r, b, p) -> Callable:
        """One time step of a direction: (x W^T, h, c) -> (h, c)."""
        each = len(KINDS[self.kind].activations)

        def bind(name: str, alpha: float, beta: float) -> Callable:
            def run(x, clip=self.clip):
                x = x if clip is None else np.clip(x, -clip, clip)
                return ACTIVATIONS[name].function(x, alpha, beta).astype(r.dtype, copy=False)

            return run

        chosen = [bind(*a) for a in self.activations[d * each : (d + 1) * each]]
        rows, hidden = r.shape
        bw, br = b[:rows], b[rows:]
        gate = [slice(g * hidden, (g + 1) * hidden) for g in range(rows // hidden)]
        times = MatMul(trans_b=True).python

        def rnn(x, h, c):
            return [chosen[0](x + times(h, r) + (bw + br)), c]

        def gru(x, h, c):
            z, reset, candidate = gate
            both = slice(0, 2 * hidden)
            zr = chosen[0](x[:, both] + times(h, r[both]) + (bw + br)[both])
            x = x[:, candidate] + bw[candidate]
            if self.after_reset:
                x = x + zr[:, reset] * (times(h, r[candidate]) + br[candidate])
            else:
                x = x + times(zr[:, reset] * h, r[candidate]) + br[candidate]
            return [(1 - zr[:, z]) * chosen[1](x) + zr[:, z] * h, c]

        def lstm(x, h, c):
            x = x + times(h, r) + (bw + br)
            i, o, f, g = (x[:, s] for s in gate)
            if p is not None:
                i, f = i + p[0] * c, f + p[2] * c
            i = chosen[0](i)
            f = 1 - i if self.coupled else chosen[0](f)
            c = f * c + i * chosen[1](g)
            o = chosen[0](o if p is None else o + p[1] * c)
            # the gates are clipped, the cell is not: as onnxruntime has it, the standard's words leave it open
            return [o * chosen[2](c, None), c]

        return {"rnn": rnn, "gru": gru, "lstm": lstm}[self.kind]

    @property
    def title(self) -> str:
        return self.kind.upper()


def _check(name: str, fact: Fact | None, want: Sequence, direction: str) -> None:
    if fact is None or fact.shape is None:
        return
    if fact.rank != len(want) or any(isinstance(a, int) and isinstance(n, int) and a != n
                                     for a, n in zip(fact.dims, want, strict=True)):
        shown = list(fact.dims)
        raise ModelError(f"{name} has shape {shown}, expected {list(want)} (direction {direction})" if name != "W" else
                         f"W has {shown[0]} rows in all, expected {want[0]} (direction {direction})")


def _emit(b, op: Recurrent, x, w, r, bias, lens, *states, hidden_size):
    if hidden_size is not None and r.fact.shape is not None and not isinstance(r.fact.dims[-1], Dim) \
            and r.fact.dims[-1] != hidden_size:
        raise ModelError(f"hidden_size is {hidden_size}, R has shape {list(r.fact.dims)}")
    if x.fact.shape is not None and x.fact.rank != 3:
        raise ModelError(f"X has shape {list(x.fact.dims)}, three dimensions are needed")
    dtype = x.fact.dtype

    def wide(v):
        return v if v is None or dtype.name not in HALVES else b.emit(Cast(FLOAT), v)

    # one product for all time steps, directions and gates
    product = b.emit(MatMul(trans_b=True), wide(x), b.emit(Fold((2, 1)), wide(w)))
    outputs = b.emit(op, product, wide(r), wide(bias), lens, *map(wide, states))
    return tuple(v if dtype.name not in HALVES else b.emit(Cast(dtype), v) for v in outputs)


def _operator(kind: str, direction, activations, activation_alpha, activation_beta, clip, layout, **extra) -> Recurrent:
    if direction not in DIRECTIONS:
        raise ModelError(f"direction is {show(direction)}, expected one of {', '.join(DIRECTIONS)}")
    if layout not in (0, 1):
        raise ModelError(f"layout is {layout}, expected 0 or 1")
    chosen = choose(kind, len(DIRECTIONS[direction]), activations, activation_alpha, activation_beta)
    return Recurrent(kind, direction, chosen, clip or None, bool(layout), **extra)


@onnx("RNN", since=1)
def rnn(b, x, w, r, bias=None, sequence_lens=None, initial_h=None, *, activations=("Tanh", "Tanh"), activation_alpha=(),
        activation_beta=(), clip=None, direction="forward", hidden_size=None, layout=0, output_sequence=0):
    """ONNX RNN, all versions."""
    op = _operator("rnn", direction, activations, activation_alpha, activation_beta, clip, layout)
    return _emit(b, op, x, w, r, bias, sequence_lens, initial_h, hidden_size=hidden_size)


@onnx("GRU", since=3)
def gru(b, x, w, r, bias=None, sequence_lens=None, initial_h=None, *, activations=(), activation_alpha=(),
        activation_beta=(), clip=None, direction="forward", hidden_size=None, layout=0, linear_before_reset=0,
        output_sequence=0):
    """ONNX GRU from version 3 on."""
    op = _operator("gru", direction, activations, activation_alpha, activation_beta, clip, layout,
                   after_reset=bool(linear_before_reset))
    return _emit(b, op, x, w, r, bias, sequence_lens, initial_h, hidden_size=hidden_size)


@onnx("GRU", since=1)
def gru_1(b, x, w, r, bias=None, sequence_lens=None, initial_h=None, *, activations=(), activation_alpha=(),
          activation_beta=(), clip=None, direction="foward", hidden_size=None, output_sequence=0):
    """ONNX GRU 1, whose schema misspells the default direction."""
    return gru(b, x, w, r, bias, sequence_lens, initial_h, activations=activations, activation_alpha=activation_alpha,
               activation_beta=activation_beta, clip=clip, hidden_size=hidden_size,
               direction="forward" if direction == "foward" else direction)


@onnx("LSTM", since=1)
def lstm(b, x, w, r, bias=None, sequence_lens=None, initial_h=None, initial_c=None, p=None, *, activations=(),
         activation_alpha=(), activation_beta=(), clip=None, direction="forward", hidden_size=None, input_forget=0,
         layout=0, output_sequence=0):
    """ONNX LSTM, all versions."""
    op = _operator("lstm", direction, activations, activation_alpha, activation_beta, clip, layout,
                   coupled=bool(input_forget))
    return _emit(b, op, x, w, r, bias, sequence_lens, initial_h, initial_c, p, hidden_size=hidden_size)
