"""Conv and ConvTranspose, with the epilogue that fusion gives them.

ONNX: Conv 1, 11, 22; ConvTranspose 1, 11, 22. One to three spatial axes. Half types are computed in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from cynfer.ops.dim import Dim, DimLike
from cynfer.ops.dtypes import FLOAT, prefix
from cynfer.ops.epilogue import Step, encode, step
from cynfer.ops.errors import ModelError, UnsupportedError
from cynfer.ops.fact import Fact
from cynfer.ops.half import in_float32
from cynfer.ops.op import Call, In, Op, Out, onnx
from cynfer.ops.record import replace
from cynfer.ops.window import Window

#: How much more work than needed is taken into account for joining small groups into blocks of 16 channels.
_MOST_WASTE = 2

#: Blocked formats of a weight: (source of the kernel, the kernel, the one that packs).
_FORMATS = {
    "c16": ("conv", "f32_conv_c16", "f32_pack_conv_c16"),
    "stem": ("stem", "f32_conv_stem", "f32_pack_conv_stem"),
    "dw": ("depthwise", "f32_conv_dw_c16", "f32_pack_conv_dw"),
}


class PackConv(Op):
    """The weight of a convolution in the order that a blocked kernel reads it ("c16", "stem" or "dw")."""

    format: str
    weight: tuple[int, ...]
    group: int
    joined: int

    def _sizes(self) -> list[int]:
        o, c, kh, kw = self.weight
        if self.format == "c16":
            return [o, c, kh, kw, self.group, self.joined]
        return [o, c, kh, kw] if self.format == "stem" else [o, kh, kw]

    def shapes(self, w):
        o, c, kh, kw = self.weight
        if self.format == "dw":
            return [(-(-o // 16) * 16 * kh * kw,)]
        if self.format == "stem":
            return [(-(-o // 32) * 32 * c * kh * kw,)]
        c, o = c * self.group // self.joined, o // self.joined
        return [(self.joined * -(-o // 32) * 32 * -(-c // 16) * 16 * kh * kw,)]

    def native(self, m, ins, outs):
        return Call(_FORMATS[self.format][2], (In(0), Out(0)), self._sizes())


class PadChannels(Op):
    """A vector with zeros up to a multiple of 16."""

    def shapes(self, b):
        return [(-(-b.dims[0] // 16) * 16,)]

    def python(self, b):
        return np.concatenate([b, np.zeros(-len(b) % 16, b.dtype)])


class Convolution(Op):
    """What Conv and ConvTranspose share. Inputs: x, weight, bias or None, then operands of epilogue steps."""

    kernel_shape: tuple[int, ...] | None
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    auto_pad: str
    group: int
    epilogue: tuple[Step, ...] = ()
    #: The weight's own shape and its format, once it is packed.
    weight: tuple[int, ...] | None = None
    packed: str = ""

    weight_inputs: ClassVar[tuple[int, ...]] = (1, 2)
    channel_axis: ClassVar[int | None] = 1

    def weight_dims(self, w: Fact):
        """Shape of the weight as the model has it."""
        return self.weight if self.weight is not None else w.dims

    def window(self, w: Fact) -> Window:
        """The window; raises ModelError if attributes and weight disagree."""
        dims = self.weight_dims(w)
        if len(dims) < 3:
            raise ModelError(f"the weight has rank {len(dims)}, at least 3 is needed")
        if len(dims) > 5:
            raise UnsupportedError(f"the weight {list(dims)} has {len(dims) - 2} spatial axes; 1 to 3 are supported")
        kernel = dims[2:]
        if self.kernel_shape is not None and not any(isinstance(k, Dim) for k in kernel) \
                and tuple(self.kernel_shape) != tuple(kernel):
            raise ModelError(f"kernel_shape {list(self.kernel_shape)} does not match the weight's {list(dims)}")
        if any(isinstance(k, Dim) for k in kernel):
            if self.kernel_shape is None:
                raise UnsupportedError("a weight whose kernel size is not known at load needs kernel_shape")
            kernel = self.kernel_shape
        return Window.of(kernel, self.strides, self.dilations, self.pads, self.auto_pad)

    def check(self, x: Fact, w: Fact, b: Fact | None, channels_in, channels_out) -> None:
        """Raises ModelError unless ranks, channels, groups and bias fit."""
        dims = self.weight_dims(w)
        if x.rank != len(dims):
            raise ModelError(f"the input has rank {x.rank}, the weight {len(dims)}")
        c = x.dims[1]
        if isinstance(c, int) and isinstance(channels_in, int):
            if c != channels_in:
                raise ModelError(f"the input has {c} channels, the weight {list(dims)} with group {self.group} "
                                 f"needs {channels_in}")
            if isinstance(channels_out, int) and (c % self.group or channels_out % self.group):
                raise ModelError(f"group {self.group} does not divide {c} input and {channels_out} output channels")
        if b is not None and isinstance(channels_out, int) and b.shape is not None and not self.packed \
                and tuple(b.shape) != (channels_out,):
            raise ModelError(f"the bias has shape {list(b.shape)}, [{channels_out}] is needed")

    def absorb(self, consumer, position, ins, others):
        """Conv takes element-wise steps on its output into its epilogue."""
        out = self.facts(*ins)[0]
        extra = max(0, len(ins) - 3)
        found = step(consumer, position, out, others, extra, 1)
        if found is None or prefix(out.dtype) not in ("f32", "f64"):
            return None
        return replace(self, epilogue=(*self.epilogue, found[0]))


def _operands(op: Convolution, ins: Sequence[Fact | None], ordinary, m) -> tuple[list, list[int], list[float]]:
    """(operands, tail of n, f) of a call whose ordinary operands come first and epilogue operands last."""
    n, f, extra = encode(op.epilogue, m, len(ordinary), 3, max(0, len(ins) - 3))
    return [*ordinary, *extra], n, f


class Conv(Convolution):
    """y[n, o, p] = b[o] + sum over c, taps of w[o, c, tap] x[n, c, p * stride + tap * dilation - pad]."""

    def shapes(self, x, w, b=None, *extra):
        dims = self.weight_dims(w)
        window = self.window(w)
        self.check(x, w, b, dims[1] * self.group, dims[0])
        return [(x.dims[0], dims[0], *window.output(x.dims[2:]))]

    def _joined(self, w_dims) -> int:
        """How many groups a blocked kernel sees: small groups are joined until each fills blocks of 16."""
        o, c = w_dims[0], w_dims[1] * self.group
        for g in range(self.group, 0, -1):
            if self.group % g == 0 and (g == 1 or (c // g % 16 == 0 and o // g % 16 == 0)):
                return g
        return 1

    def _format(self, m, x: Fact, w: Fact) -> str:
        """The blocked kernel for this weight: "dw", "c16" or "" for none."""
        dims = self.weight_dims(w)
        if self.packed:
            return self.packed
        if x.dtype != FLOAT or x.rank != 4 or w.constant is None or any(isinstance(d, Dim) for d in dims):
            return ""
        if self.group > 1 and dims[1] == 1 and dims[0] == self.group:
            return "dw" if "f32_conv_dw_c16" in m else ""
        return "c16" if self.group // self._joined(dims) <= _MOST_WASTE else ""

    def blocked(self, m, ins, outs):
        if len(ins) > 2 and ins[2] is not None and ins[2].constant is None:
            return False
        if any(e is not None and not e.layout.block for e in ins[3:]):
            return False
        return self._format(m, ins[0], ins[1]) != ""

    def seeks_blocked(self, m, ins, outs):
        return len(ins) > 1 and self._format(m, ins[0], ins[1]) == "c16"

    def blocked_entry(self, m, ins, outs):
        return self.blocked(m, ins, outs) and self.group == 1 and self.weight_dims(ins[1])[1] < 16 \
            and "f32_conv_stem" in m

    def packing(self, m, ins, outs):
        if self.packed or not outs[0].layout.block:
            return None
        dims = tuple(self.weight_dims(ins[1]))
        name = self._format(m, ins[0], ins[1]) if ins[0].layout.block else "stem"
        packs: dict[int, Op] = {1: PackConv(name, dims, self.group, self._joined(dims))}
        if len(ins) > 2 and ins[2] is not None and dims[0] % 16:
            packs[2] = PadChannels()
        return packs, replace(self, packed=name, weight=dims)

    def scaled(self, weights, gamma, beta):
        w, b = weights[0], weights[1] if len(weights) > 1 else None
        if self.epilogue or self.packed:
            return None
        if np.any(gamma != 1):
            w = w * gamma.reshape(-1, *[1] * (w.ndim - 1)).astype(w.dtype)
        return w, (beta if b is None else b * gamma + beta).astype(w.dtype)

    def native(self, m, ins, outs):
        x, w, y = ins[0], ins[1], outs[0]
        if prefix(x.dtype) not in ("f32", "f64") or y.size == 0:
            return None
        window, dims = self.window(w), self.weight_dims(w)
        pads = window.padding(x.dims[2:])
        bias = In(2) if len(ins) > 2 and ins[2] is not None else None
        work = y.size * int(np.prod(dims[1:]))
        if self.packed:
            ordinary = [In(0), In(1), bias, Out(0)]
            operands, tail, f = _operands(self, ins, ordinary, m)
            groups = self._joined(dims) if self.packed == "c16" else self.group
            n = [x.dims[0], x.dims[1], *x.dims[2:], dims[0], *y.dims[2:], *window.kernel, *window.strides,
                 *window.dilations, pads[0], pads[1], groups, *tail]
            source, kernel, _ = _FORMATS[self.packed]
            scratch = 0 if self.packed == "dw" else m.module(source).scratch_bytes(n)
            return Call(kernel, operands, n, f, scratch=scratch, work=work)
        depthwise = dims[1] == 1 and self.group == x.dims[1] and self.group > 1
        return _plain(self, m, "conv_dw" if depthwise else "conv", ins, y, window, pads[: len(window.kernel)], dims[0],
                      work)

    def cost(self, ins, outs):
        return float(outs[0].size) * float(np.prod(self.weight_dims(ins[1])[1:])) if outs[0].known else 0.0

    @property
    def title(self) -> str:
        return "".join(["Conv", *("+" + s.kind for s in self.epilogue)])


def _plain(op: Convolution, m, kernel: str, ins, y: Fact, window: Window, begins, channels: int, work: float) -> Call:
    """The call on plain layout; missing leading spatial axes have size 1."""
    x = ins[0]

    def three(values, fill=1) -> list[int]:
        return [fill] * (3 - len(values)) + list(values)

    bias = In(2) if len(ins) > 2 and ins[2] is not None else None
    operands, tail, f = _operands(op, ins, [In(0), In(1), bias, Out(0)], m)
    n = [x.dims[0], x.dims[1], channels, op.group, *three(x.dims[2:]), *three(y.dims[2:]), *three(window.kernel),
         *three(window.strides), *three(window.dilations), *three(begins, 0), *tail]
    return Call(f"{prefix(x.dtype)}_{kernel}_plain", operands, n, f,
                scratch=m.module("conv_plain").SCRATCH, work=work)


class ConvTranspose(Convolution):
    """The gradient of a convolution with respect to its input: each x spreads over a window of y."""

    output_padding: tuple[int, ...] = ()
    output_shape: tuple[int, ...] = ()

    def begins_and_sizes(self, x: Fact, window: Window) -> tuple[list, list]:
        """Pads before each axis, and the output's spatial size."""
        rank = len(window.kernel)
        extra = self.output_padding or (0,) * rank
        if len(extra) != rank:
            raise ModelError(f"output_padding has {len(extra)} values, {rank} are needed")
        for e, s, d in zip(extra, window.strides, window.dilations, strict=True):
            if not 0 <= e < max(s, d):
                raise ModelError(f"output_padding {list(extra)} has the value {e}; allowed is 0 to {max(s, d) - 1}")
        full = [(size - 1) * s + e + reach for size, s, e, reach in
                zip(x.dims[2:], window.strides, extra, window.extents, strict=True)]
        if not self.output_shape and self.auto_pad in ("NOTSET", "VALID"):
            pads = window.pads or (0,) * (2 * rank)
            sizes = [f - pads[i] - pads[rank + i] for i, f in enumerate(full)]
            if any(isinstance(z, int) and z <= 0 for z in sizes):
                raise ModelError(f"the output would have the spatial size {sizes}")
            return list(pads[:rank]), sizes
        wanted = list(self.output_shape[-rank:]) if self.output_shape else \
            [size * s for size, s in zip(x.dims[2:], window.strides, strict=True)]
        if len(wanted) != rank or any(isinstance(v, int) and v <= 0 for v in wanted):
            raise ModelError(f"output_shape {list(self.output_shape)} does not fit {rank} spatial axes")
        begins: list[DimLike] = []
        for f, size in zip(full, wanted, strict=True):
            total = f - size
            if isinstance(total, Dim):
                begins.append(Dim.unknown())
                continue
            # what is missing (a negative total) is zero output, at the end
            total = max(0, total)
            begins.append(total // 2 if self.auto_pad != "SAME_LOWER" else total - total // 2)
        return begins, wanted

    def shapes(self, x, w, b=None, *extra):
        dims = self.weight_dims(w)
        self.check(x, w, b, dims[0], dims[1] * self.group)
        return [(x.dims[0], dims[1] * self.group, *self.begins_and_sizes(x, self.window(w))[1])]

    def scaled(self, weights, gamma, beta):
        w, b = weights[0], weights[1] if len(weights) > 1 else None
        if self.epilogue:
            return None
        by_group = gamma.reshape(self.group, 1, -1).astype(w.dtype)  # a group's weight rows all make its outputs
        scaled = w.reshape(self.group, w.shape[0] // self.group, w.shape[1], -1) * by_group[..., None]
        return scaled.reshape(w.shape), (beta if b is None else b * gamma + beta).astype(w.dtype)

    def native(self, m, ins, outs):
        x, w, y = ins[0], ins[1], outs[0]
        if prefix(x.dtype) not in ("f32", "f64") or y.size == 0:
            return None
        window = self.window(w)
        begins, _ = self.begins_and_sizes(x, window)
        return _plain(self, m, "conv_transpose", ins, y, window, begins, y.dims[1], self.cost(ins, outs))

    def cost(self, ins, outs):
        return float(ins[0].size) * float(np.prod(self.weight_dims(ins[1])[1:])) if ins[0].known else 0.0


@onnx("Conv", since=1)
def conv(b, x, w, bias=None, *, auto_pad="NOTSET", dilations=(), group=1, kernel_shape=None, pads=(), strides=()):
    """ONNX Conv, all versions."""
    if group < 1:
        raise ModelError(f"group {group} is below 1")
    return in_float32(b, Conv(kernel_shape, strides, dilations, pads, auto_pad, group), x, w, bias)


@onnx("ConvTranspose", since=1)
def conv_transpose(b, x, w, bias=None, *, auto_pad="NOTSET", dilations=(), group=1, kernel_shape=None,
                   output_padding=(), output_shape=(), pads=(), strides=()):
    """ONNX ConvTranspose, all versions."""
    if group < 1:
        raise ModelError(f"group {group} is below 1")
    return in_float32(b, ConvTranspose(kernel_shape, strides, dilations, pads, auto_pad, group,
                                        output_padding=tuple(output_padding), output_shape=tuple(output_shape)),
                       x, w, bias)
