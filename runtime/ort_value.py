"""Values and bindings by onnxruntime's names: `OrtValue` holds an array, `IOBinding` names where arrays come and go."""

from __future__ import annotations

import ctypes
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.errors import InputError, UnsupportedError, show
from cynfer.runtime.feeds import as_array


class OrtValue:
    """An array (or a list of them) that lives in the CPU's memory. Made by the class methods; shares, never copies."""

    __slots__ = ("_content",)

    def __init__(self, content: Any):
        self._content = content

    @classmethod
    def ortvalue_from_numpy(cls, array: np.ndarray, /, device_type: str = "cpu", device_id: int = 0,
                            vendor_id: int = -1) -> OrtValue:
        """A value that shares the array's memory."""
        _check_device(device_type, device_id)
        return cls(as_array(array, "the array"))

    @classmethod
    def ortvalue_from_numpy_with_onnx_type(cls, data: np.ndarray, /, onnx_element_type: int) -> OrtValue:
        """The bytes of `data` seen as an ONNX type of the same size (uint16 as bfloat16)."""
        dtype = _dtype(onnx_element_type)
        if dtype.itemsize != data.dtype.itemsize:
            raise InputError(f"elements of {data.dtype} cannot be seen as {dtype}: they have another size")
        return cls(np.ascontiguousarray(data).view(dtype).reshape(data.shape))

    @classmethod
    def ortvalue_from_shape_and_type(cls, shape: Sequence[int], element_type: Any, device_type: str = "cpu",
                                     device_id: int = 0, vendor_id: int = -1, memory_info: Any = None) -> OrtValue:
        """A value of that shape, filled with zeros."""
        _check_device(device_type, device_id)
        return cls(np.zeros(_shape(shape), _dtype(element_type)))

    @classmethod
    def from_dlpack(cls, data: Any, /) -> OrtValue:
        """A value that shares the memory of anything with __dlpack__."""
        return cls(np.from_dlpack(data))

    def numpy(self) -> np.ndarray:
        """The array itself."""
        if not self.is_tensor():
            raise InputError("the value holds no tensor")
        return self._content

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"{array.dtype} cannot be seen as {dtype} without a copy")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(self, **kwargs):
        return self.numpy().__dlpack__(**kwargs)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.numpy().__dlpack_device__()

    def update_inplace(self, data: Any) -> None:
        """Copies an array of the same type and shape into the value."""
        array, new = self.numpy(), as_array(data, "the array")
        if new.shape != array.shape or new.dtype != array.dtype:
            raise InputError(f"the array is {new.dtype}{list(new.shape)}, "
                             f"{array.dtype}{list(array.shape)} is expected")
        array[...] = new

    def is_tensor(self) -> bool:
        """True unless it holds a sequence or nothing."""
        return isinstance(self._content, np.ndarray)

    def is_sparse_tensor(self) -> bool:
        """False: there are none."""
        return False

    def is_tensor_sequence(self) -> bool:
        """True if it holds a list of arrays."""
        return isinstance(self._content, list)

    def has_value(self) -> bool:
        """False for an empty optional."""
        return self._content is not None

    def shape(self) -> list[int]:
        """The dimensions."""
        return list(self.numpy().shape)

    def data_type(self) -> str:
        """As in tensor(float)."""
        if self.is_tensor_sequence():
            return f"seq({OrtValue(self._content[0]).data_type()})" if self._content else "seq(tensor(float))"
        return f"tensor({dtypes.onnx_name(self.numpy().dtype)})"

    def element_type(self) -> int:
        """ONNX's number for the element type."""
        return dtypes.to_onnx(self.numpy().dtype)

    def data_ptr(self) -> int:
        """The address of the first element."""
        return self.numpy().ctypes.data

    def tensor_size_in_bytes(self) -> int:
        """Bytes of all elements."""
        return self.numpy().nbytes

    def device_name(self) -> str:
        """cpu."""
        return "cpu"


class IOBinding:
    """Inputs and outputs of a session bound beforehand; `session.run_with_iobinding` runs with them."""

    def __init__(self, session):
        self._session = session
        self._inputs: dict[str, Any] = {}
        self._outputs: dict[str, np.ndarray | None] = {}
        self._results: list[OrtValue] = []

    def bind_cpu_input(self, name: str, arr_on_cpu: Any) -> None:
        """Reads input `name` from this array."""
        self._inputs[name] = arr_on_cpu

    def bind_input(self, name: str, device_type: str, device_id: int, element_type: Any, shape: Sequence[int],
                   buffer_ptr: int) -> None:
        """Reads input `name` from memory at an address, which must stay valid."""
        _check_device(device_type, device_id)
        self._inputs[name] = _at(buffer_ptr, shape, element_type)

    def bind_ortvalue_input(self, name: str, ortvalue: OrtValue) -> None:
        """Reads input `name` from a value."""
        self._inputs[name] = ortvalue

    def bind_output(self, name: str, device_type: str = "cpu", device_id: int = 0, element_type: Any = None,
                    shape: Sequence[int] | None = None, buffer_ptr: int | None = None) -> None:
        """Asks for output `name`: in fresh memory, or in the memory at an address, which must stay valid."""
        _check_device(device_type, device_id)
        if buffer_ptr is None:
            self._bind(name, None)
        elif element_type is None or shape is None:
            raise InputError(f"output {show(name)}: a buffer needs its element_type and its shape")
        else:
            self._bind(name, _at(buffer_ptr, shape, element_type))

    def bind_ortvalue_output(self, name: str, ortvalue: OrtValue) -> None:
        """Writes output `name` into a value."""
        array = ortvalue.numpy()
        if not array.flags.writeable:
            raise InputError(f"output {show(name)}: the value's memory is read-only")
        self._bind(name, array)

    def _bind(self, name: str, array: np.ndarray | None) -> None:
        if name not in self._session.output_names:
            raise InputError(f"the model has no output {show(name)}; "
                             f"its outputs are {', '.join(map(show, self._session.output_names))}")
        self._outputs[name] = array

    def get_outputs(self) -> list[OrtValue]:
        """The outputs of the last run, in the order they were bound."""
        return list(self._results)

    def copy_outputs_to_cpu(self) -> list[np.ndarray]:
        """The same as arrays."""
        return [r._content for r in self._results]

    def clear_binding_inputs(self) -> None:
        """Forgets all inputs."""
        self._inputs.clear()

    def clear_binding_outputs(self) -> None:
        """Forgets all outputs."""
        self._outputs.clear()
        self._results = []

    def synchronize_inputs(self) -> None:
        """Nothing to wait for."""

    def synchronize_outputs(self) -> None:
        """Nothing to wait for."""

    def run(self, run_options, timeout: float | None) -> None:
        """One run; session.run_with_iobinding calls it. Raises InputError if bound buffers do not fit."""
        buffers = {n: a for n, a in self._outputs.items() if a is not None}
        for name, array in buffers.items():
            for other, x in [*((f"input {show(n)}", x) for n, x in self._inputs.items()),
                             *((f"output {show(n)}", x) for n, x in buffers.items() if n != name)]:
                x = x.numpy() if isinstance(x, OrtValue) else x
                if isinstance(x, np.ndarray) and np.may_share_memory(array, x):
                    raise InputError(f"the buffer of output {show(name)} overlaps that of {other}")
        results = self._session.run(list(self._outputs), self._inputs, run_options, timeout=timeout)
        for i, (name, bound) in enumerate(self._outputs.items()):
            if bound is not None:
                got = results[i]
                if got.shape != bound.shape or got.dtype != bound.dtype:
                    raise InputError(f"output {show(name)} is {got.dtype}{list(got.shape)}; the bound buffer is "
                                     f"{bound.dtype}{list(bound.shape)}")
                bound[...] = got
                results[i] = bound
        self._results = [OrtValue(r) for r in results]


def _check_device(device_type: str, device_id: int) -> None:
    if str(device_type).lower() != "cpu" or device_id:
        raise UnsupportedError(f"device {device_type}:{device_id}: memory of the CPU is the only kind")


def _dtype(element_type: Any) -> np.dtype:
    try:
        return dtypes.from_onnx(int(element_type)) if isinstance(element_type, (int, np.integer)) \
            else np.dtype(element_type)
    except (KeyError, TypeError) as error:
        raise InputError(f"element type {element_type!r}: a NumPy type or an ONNX type number is expected") from error


def _shape(shape: Sequence[int]) -> tuple[int, ...]:
    try:
        dims = tuple(operator.index(d) for d in shape)
    except TypeError:
        dims = (-1,)
    if any(d < 0 for d in dims):
        raise InputError(f"shape {shape!r}: numbers of at least 0 are needed")
    return dims


def _at(address: int, shape: Sequence[int], element_type: Any) -> np.ndarray:
    """An array over foreign memory."""
    dtype, shape = _dtype(element_type), _shape(shape)
    if dtype == dtypes.STRING:
        raise InputError("strings cannot be bound by address")
    nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if not address and nbytes:
        raise InputError("the buffer's address is 0")
    if not nbytes:
        return np.empty(shape, dtype)
    memory = memoryview((ctypes.c_char * nbytes).from_address(address))
    return np.frombuffer(memory, dtype=np.uint8).view(dtype).reshape(shape)
