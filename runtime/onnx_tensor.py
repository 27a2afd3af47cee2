"""TensorProto and SparseTensorProto to NumPy: every element type, every field that can hold the content.

The size is checked exactly, in Python integers, before anything is allocated. Large content stays where it is (a view
of the mapped file). Types of under a byte come unpacked, one element per byte, as ml_dtypes arrays.
"""

from __future__ import annotations

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.errors import (
    CynferError,
    ExternalDataError,
    LimitError,
    ModelError,
    UnsupportedError,
    show,
)
from cynfer.runtime.external import ExternalData
from cynfer.runtime.limits import Limits
from cynfer.runtime.onnx_raw import text
from cynfer.runtime.onnx_wire import STUB

#: A sparse tensor may not become larger than this.
MAX_DENSE_BYTES = 2 << 30

_STRING, _BOOL, _FLOAT16, _BFLOAT16 = 8, 9, 10, 16
_FLOAT6 = (27, 28)
#: Fields of TensorProto by number: (name, element types they may hold).
_FIELDS = {
    4: ("float_data", {1, 14}), 5: ("int32_data", {2, 3, 4, 5, 6, 9, 10, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
                                                   27, 28}),
    6: ("string_data", {8}), 7: ("int64_data", {7}), 9: ("raw_data", set(range(1, 29)) - {8}),
    10: ("double_data", {11, 15}), 11: ("uint64_data", {12, 13}),
}
_WIDE = {"float_data": np.float32, "int32_data": np.int32, "int64_data": np.int64, "double_data": np.float64,
         "uint64_data": np.uint64}
_SEGMENT, _EXTERNAL = 3, 13


class Tensors:
    """Makes arrays of the tensors of one model.

    source: where the raw_data that the skeleton has numbers for lies (Buffer or DataFile), at cuts[number].
    """

    def __init__(self, source, cuts, external: ExternalData, limits: Limits):
        self.source, self.cuts, self.external, self.limits = source, cuts, external, limits
        self.owned = 0
        self.shared: dict[tuple, np.ndarray] = {}

    def dense(self, proto, what: str = "") -> np.ndarray:
        """The array of a TensorProto; `what` names it in messages (default: by its own name). It is read-only."""
        what = what or f"tensor {show(proto.name)}"
        try:
            array = self._dense(proto)
        except CynferError as error:
            kind = ExternalDataError if proto.data_location == 1 and type(error) is not LimitError else type(error)
            raise kind(f"{what}: {error}") from error
        array.flags.writeable = False
        return array

    def _dense(self, proto) -> np.ndarray:
        code, shape = proto.data_type, self._shape(proto.dims)
        try:
            dtype = dtypes.from_onnx(code)
        except (KeyError, AttributeError):
            raise UnsupportedError(f"element type {code} is not known; known are 1 to 28") from None
        count = _product(shape)
        present = {f.number for f, _ in proto.ListFields()}
        holding = [n for n in _FIELDS if n in present]
        if _SEGMENT in present:
            raise ModelError("it has a segment, which nothing can put together")
        if len(holding) > 1:
            raise ModelError(f"its content is given twice, as {' and as '.join(_FIELDS[n][0] for n in holding)}")
        if proto.data_location == 1:
            if holding:
                raise ModelError(f"its content is external and given as {_FIELDS[holding[0]][0]} as well")
            return self._external(proto, dtype, code, shape, count)
        if _EXTERNAL in present:
            raise ModelError("it has external_data, but its data_location does not say EXTERNAL")
        if proto.data_location != 0:
            raise ModelError(f"data_location is {proto.data_location}; 0 and 1 are known")
        if not holding:
            if count:
                raise ModelError(f"no content, {_needs(count, code)} needed")
            return np.empty(shape, dtype)
        field, allowed = _FIELDS[holding[0]]
        if code not in allowed:
            raise ModelError(f"{field} cannot hold tensor({dtypes.onnx_name(dtype)})")
        if field == "raw_data":
            return self._raw(proto, dtype, code, shape, count)
        if field == "string_data":
            return self._strings(proto, shape, count)
        return self._typed(proto, field, dtype, code, shape, count)

    def _shape(self, dims) -> tuple[int, ...]:
        shape = tuple(dims)
        if len(shape) > self.limits.max_rank:
            raise LimitError(f"it has {len(shape)} dims, and limits.max_rank is {self.limits.max_rank}")
        if any(d < 0 for d in shape):
            raise ModelError(f"dims {list(shape)} hold a negative number")
        # NumPy multiplies the other dims even where one is 0.
        if _product([d for d in shape if d]) >= 1 << 58:
            raise ModelError(f"dims {list(shape)} are more than a machine can address")
        return shape

    def _own(self, nbytes: int) -> None:
        """Books bytes that an array takes, before it is made."""
        self.owned += nbytes
        if self.owned > self.limits.bytes:
            raise LimitError(f"the model's tensors need over {self.limits.bytes} bytes, and limits.max_bytes is "
                             f"{self.limits.bytes}")

    def _raw(self, proto, dtype, code: int, shape, count: int) -> np.ndarray:
        raw = proto.raw_data
        needed = _packed_bytes(count, code)
        if len(raw) == STUB and self.cuts is not None:
            offset, length = self.cuts[int.from_bytes(raw, "little")]
            if length != needed:
                raise ModelError(f"raw_data has {length} bytes, {needed} are needed for {_about(shape, dtype)}")
            data = self.source.bytes(offset, length, _alignment(dtype, code))
        elif len(raw) != needed:
            raise ModelError(f"raw_data has {len(raw)} bytes, {needed} are needed for {_about(shape, dtype)}")
        else:
            data = np.frombuffer(raw, np.uint8)
        return self._unpack(data, dtype, code, shape, count)

    def _external(self, proto, dtype, code: int, shape, count: int) -> np.ndarray:
        if code == _STRING:
            raise ModelError("strings cannot be external")
        entries: dict[str, str] = {}
        for entry in proto.external_data:
            if text(entry.key) in entries:
                raise ModelError(f"external_data has the key {show(entry.key)} twice")
            entries[text(entry.key)] = text(entry.value)
        key, data = self.external.read(entries, _packed_bytes(count, code), _alignment(dtype, code))
        key = (key, dtype, shape)  # tensors that point at the same bytes are one array
        if key not in self.shared:
            self.shared[key] = self._unpack(data, dtype, code, shape, count)
        return self.shared[key]

    def _unpack(self, data: np.ndarray, dtype, code: int, shape, count: int) -> np.ndarray:
        """Bytes as they stand in raw_data to elements."""
        self._own(data.nbytes)  # views too: a run brings them into memory
        if code == _BOOL:
            if data.size and data.max() > 1:  # any other byte would not be a bool in C
                self._own(data.nbytes)
                data = data != 0
            return data.view(np.bool_).reshape(shape)
        if code in _FLOAT6:
            self._own(count)
            groups = np.zeros((-(-count // 4), 3), np.uint8)
            groups.reshape(-1)[:data.size] = data
            b = groups.T.astype(np.uint32)
            word = b[0] | b[1] << 8 | b[2] << 16
            items = (word[:, None] >> np.array([0, 6, 12, 18], np.uint32)).astype(np.uint8) & 63
            return items.reshape(-1)[:count].view(dtype).reshape(shape)
        width = dtypes.bits(code)
        if width < 8:
            self._own(count)
            shifts = np.arange(0, 8, width, dtype=np.uint8)
            items = (data[:, None] >> shifts & np.uint8((1 << width) - 1)).reshape(-1)[:count]
            return items.view(dtype).reshape(shape)
        return data.view(dtype).reshape(shape)

    def _typed(self, proto, field: str, dtype, code: int, shape, count: int) -> np.ndarray:
        """The fields of numbers."""
        self._own(count * dtype.itemsize)
        items = np.array(getattr(proto, field), _WIDE[field])
        width = dtypes.bits(code)
        packed = width < 8 and code not in _FLOAT6
        needed = -(-count * width // 8) if packed else count * (2 if dtype.kind == "c" else 1)
        if len(items) != needed:
            raise ModelError(f"{field} has {len(items)} entries, {needed} are needed for {_about(shape, dtype)}")
        if field != "int32_data":
            if code == 12:
                self._range(items, 0, (1 << 32) - 1, field)
            return (items.view(dtype) if dtype.kind == "c" else items.astype(dtype, copy=False)).reshape(shape)
        if code == 6:
            return items.reshape(shape)
        if code == _BOOL:
            return (items != 0).reshape(shape)
        if dtype.kind in "iu":
            low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
            self._range(items, int(low), int(high), field)
            return items.astype(dtype).reshape(shape)
        bits = 16 if code in (_FLOAT16, _BFLOAT16) else 6 if code in _FLOAT6 else 8
        # Bit patterns; writers also store them sign-extended.
        self._range(items, -(1 << bits - 1), (1 << bits) - 1, field)
        if bits == 16:
            return items.astype(np.uint16).view(dtype).reshape(shape)
        data = items.astype(np.uint8)
        if packed:
            return self._unpack(data, dtype, code, shape, count)
        return (data & np.uint8((1 << bits) - 1)).view(dtype).reshape(shape)

    @staticmethod
    def _range(items: np.ndarray, low: int, high: int, field: str) -> None:
        bad = (items < low) | (items > high)
        if bad.any():
            i = int(bad.argmax())
            raise ModelError(f"{field}[{i}] is {items[i]}, outside {low} to {high}")

    @staticmethod
    def _strings(proto, shape, count: int) -> np.ndarray:
        if len(proto.string_data) != count:
            raise ModelError(f"string_data has {len(proto.string_data)} entries, {count} are needed for "
                             f"{_about(shape, dtypes.STRING)}")
        array = np.empty(count, object)
        array[:] = [s.decode("utf-8", "surrogateescape") for s in proto.string_data]
        return array.reshape(shape)

    def restore(self, attribute) -> None:
        """Puts raw_data back where an AttributeProto of the skeleton has a number for it."""
        stack = [attribute]
        while stack and self.cuts is not None:
            message = stack.pop()
            for field, content in message.ListFields():
                if field.name == "raw_data" and len(content) == STUB:
                    message.raw_data = self.source.bytes(*self.cuts[int.from_bytes(content, "little")]).tobytes()
                elif field.message_type is not None:
                    stack += [content] if hasattr(content, "ListFields") else content

    def sparse(self, proto, what: str = "") -> np.ndarray:
        """The dense array of a SparseTensorProto."""
        what = what or f"sparse tensor {show(proto.values.name)}"
        shape_error = None
        try:
            shape = self._shape(proto.dims)
        except CynferError as error:
            raise type(error)(f"{what}: {error}") from error
        values, indices = self.dense(proto.values, f"{what}, values"), self.dense(proto.indices, f"{what}, indices")
        count, rank = _product(shape), len(shape)
        if values.dtype == dtypes.STRING:
            raise UnsupportedError(f"{what}: sparse strings")
        if values.ndim != 1:
            shape_error = f"its values have the shape {list(values.shape)}, one dimension is needed"
        elif indices.dtype != dtypes.INT64:
            shape_error = f"its indices are tensor({dtypes.onnx_name(indices.dtype)}), int64 is needed"
        elif indices.shape not in ((values.size,), (values.size, rank)):
            shape_error = (f"its indices have the shape {list(indices.shape)}; [{values.size}] or [{values.size}, "
                           f"{rank}] is needed for {values.size} values")
        if shape_error:
            raise ModelError(f"{what}: {shape_error}")
        nbytes = count * values.dtype.itemsize
        if nbytes > MAX_DENSE_BYTES:
            raise LimitError(f"{what}: {nbytes} bytes once dense; at most {MAX_DENSE_BYTES} are allowed")
        highs = np.array(shape if indices.ndim == 2 else [count], np.int64)
        table = indices if indices.ndim == 2 else indices[:, None]
        bad = ((table < 0) | (table >= highs)).any(1)
        if bad.any():
            i = int(bad.argmax())
            raise ModelError(f"{what}: index {i} is {indices[i].tolist()}, outside the dims {list(shape)}")
        strides = np.array([_product(shape[i + 1:]) for i in range(rank)] if indices.ndim == 2 else [1], np.int64)
        flat = (table * strides).sum(1)
        bad = flat[1:] <= flat[:-1]
        if bad.any():
            i = int(bad.argmax()) + 1
            raise ModelError(f"{what}: index {i} ({indices[i].tolist()}) does not come after the one before it")
        try:
            self._own(nbytes)
        except LimitError as error:
            raise LimitError(f"{what}: {error}") from error
        dense = np.zeros(count, values.dtype)
        dense[flat] = values
        dense.flags.writeable = False
        return dense.reshape(shape)


def _product(dims) -> int:
    count = 1
    for d in dims:
        count *= d
    return count


def _packed_bytes(count: int, code: int) -> int:
    return -(-count * dtypes.bits(code) // 8)


def _alignment(dtype: np.dtype, code: int) -> int:
    return 1 if dtypes.bits(code) < 8 else dtype.alignment


def _about(shape, dtype) -> str:
    return f"tensor({dtypes.onnx_name(dtype)}){list(shape)}"


def _needs(count: int, code: int) -> str:
    return f"{count} strings" if code == _STRING else f"{_packed_bytes(count, code)} bytes"
