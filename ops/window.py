"""Windows that slide over space: pads, auto_pad, ceil_mode, strides and dilations, shared by Conv and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cynfer.ops.dim import Dim, DimLike
from cynfer.ops.errors import ModelError

_AUTO_PADS = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
_MOST = 1 << 31


@dataclass(frozen=True)
class Window:
    """A window of `kernel` taps an axis. pads: begins, then ends, as ONNX has them; None follows auto_pad."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...] | None
    auto_pad: str = "NOTSET"
    ceil_mode: bool = False

    @staticmethod
    def of(kernel: Sequence[int], strides=(), dilations=(), pads=(), auto_pad: str = "NOTSET",
           ceil_mode: int = 0) -> Window:
        """From ONNX's attributes; raises ModelError for one that is out of range or of the wrong length."""
        rank = len(kernel)
        strides, dilations = tuple(strides) or (1,) * rank, tuple(dilations) or (1,) * rank
        for name, values, low in (("kernel_shape", kernel, 1), ("strides", strides, 1), ("dilations", dilations, 1)):
            if len(values) != rank:
                raise ModelError(f"{name} has {len(values)} values, {rank} are needed")
            for v in values:
                if not low <= v < _MOST:
                    raise ModelError(f"{name} {list(values)} has the value {v}; allowed is {low} to {_MOST - 1}")
        auto_pad = auto_pad or "NOTSET"
        if auto_pad not in _AUTO_PADS:
            raise ModelError(f"auto_pad {auto_pad!r} is not one of {', '.join(_AUTO_PADS)}")
        pads = tuple(pads)
        if auto_pad == "NOTSET":
            pads = pads or (0,) * (2 * rank)
            if len(pads) != 2 * rank:
                raise ModelError(f"pads has {len(pads)} values, {2 * rank} are needed")
            if any(not 0 <= p < _MOST for p in pads):
                raise ModelError(f"pads {list(pads)} has a value outside 0 to {_MOST - 1}")
        return Window(tuple(kernel), strides, dilations, pads if auto_pad == "NOTSET" else None, auto_pad,
                      bool(ceil_mode))

    @property
    def extents(self) -> tuple[int, ...]:
        """How far the window reaches along each axis."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    def padding(self, spatial: Sequence[DimLike]) -> tuple[DimLike, ...]:
        """Begins, then ends, for this input size."""
        if self.pads is not None:
            return self.pads
        if self.auto_pad == "VALID":
            return (0,) * (2 * len(self.kernel))
        begins: list[DimLike] = []
        ends: list[DimLike] = []
        for size, stride, extent in zip(spatial, self.strides, self.extents, strict=True):
            if isinstance(size, Dim):
                begins.append(Dim.unknown())
                ends.append(Dim.unknown())
                continue
            total = max(0, (-(-size // stride) - 1) * stride + extent - size)
            small, large = total // 2, total - total // 2
            begins.append(small if self.auto_pad == "SAME_UPPER" else large)
            ends.append(large if self.auto_pad == "SAME_UPPER" else small)
        return (*begins, *ends)

    def output(self, spatial: Sequence[DimLike]) -> list[DimLike]:
        """Output size along each axis; raises ModelError where the window does not fit."""
        rank = len(self.kernel)
        if len(spatial) != rank:
            raise ModelError(f"the input has {len(spatial)} spatial axes, the window {rank}")
        if self.pads is None and self.auto_pad != "VALID":
            return [-(-size // s) if isinstance(size, int) else (size + (s - 1)) // s
                    for size, s in zip(spatial, self.strides, strict=True)]
        pads, sizes = self.padding(spatial), []
        for i, (size, stride, extent) in enumerate(zip(spatial, self.strides, self.extents, strict=True)):
            begin = size + pads[i]
            room = size + (pads[i] + pads[rank + i] - extent)
            if isinstance(room, int) and room < 0:
                raise ModelError(f"axis {i + 2}: the window reaches over {extent}, the padded input has only "
                                 f"{room + extent} (size {size}, pads {pads[i]} and {pads[rank + i]})")
            if not self.ceil_mode:
                sizes.append(room // stride + 1)
            elif isinstance(room, Dim) or isinstance(begin, Dim):
                sizes.append(Dim.unknown() if stride > 1 else room + 1)
            else:
                count = -(-room // stride) + 1
                # the last window must start inside the input or its left padding
                sizes.append(count - 1 if (count - 1) * stride >= begin else count)
        return sizes
