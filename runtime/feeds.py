"""What callers feed: checked against the inputs of a program, and made into arrays that kernels can read."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cynfer.ops.dim import Dim
from cynfer.ops.dtypes import STRING, is_float, is_integer, onnx_name
from cynfer.ops.errors import InputError, show
from cynfer.ops.fact import Fact
from cynfer.runtime.graph import Value


class Feeds:
    """Turns {name: whatever the caller has} into the arrays of a program's inputs, in their order.

    The usual case, arrays that fit as they are and have the shapes of the last run, is checked in one short loop.
    """

    def __init__(self, inputs: Sequence[Value], optional: Iterable[str] = ()):
        self.inputs = list(inputs)
        self.optional = tuple(optional)
        self.usual = [(v.name, v.fact.dtype if v.fact.kind == "tensor" and v.fact.dtype != STRING else None)
                      for v in inputs]
        self.shapes: tuple[tuple[int, ...], ...] | None = None

    def take(self, feeds: Mapping[str, Any]) -> list:
        """The arrays: contiguous, native byte order, the right type; raises InputError otherwise."""
        if self.shapes is not None and type(feeds) is dict and len(feeds) == len(self.usual):
            arrays = []
            for (name, dtype), shape in zip(self.usual, self.shapes, strict=True):
                a = feeds.get(name)
                if type(a) is not np.ndarray or a.dtype is not dtype or a.shape != shape \
                        or not (a.flags.c_contiguous and a.flags.aligned):
                    break
                arrays.append(a)
            else:
                return arrays
        return self._take(feeds)

    def _take(self, feeds: Mapping[str, Any]) -> list:
        check_names(feeds, [v.name for v in self.inputs], self.optional)
        arrays = [convert(feeds[v.name], v.fact, f"input {show(v.name)}") for v in self.inputs]
        self._check_shapes(arrays)
        if all(isinstance(a, np.ndarray) for a in arrays):
            self.shapes = tuple(a.shape for a in arrays)
        return arrays

    def _check_shapes(self, arrays: Sequence) -> None:
        sizes: dict[Dim, tuple[int, str]] = {}
        for value, array in zip(self.inputs, arrays, strict=True):
            expected = value.fact.shape
            if not isinstance(array, np.ndarray) or value.fact.kind != "tensor" or expected is None:
                continue
            name = show(value.name)
            shown = f"the model says [{', '.join(_plain(d) for d in expected)}]"
            if array.ndim != len(expected):
                raise InputError(f"input {name} has {array.ndim} dimensions, shape {list(array.shape)}; "
                                 f"{len(expected)} are expected: {shown}")
            for axis, (got, dim) in enumerate(zip(array.shape, expected, strict=True)):
                if isinstance(dim, int):
                    if got != dim:
                        raise InputError(f"input {name} has shape {list(array.shape)}: axis {axis} is {got}, "
                                         f"{dim} is expected ({shown})")
                elif sizes.setdefault(dim, (got, f"axis {axis} of input {name}"))[0] != got:
                    raise InputError(f"input {name} has shape {list(array.shape)}: axis {axis} is {got}, but "
                                     f"{dim} is {sizes[dim][0]} by {sizes[dim][1]}")


def _plain(dim) -> str:
    text = str(dim)
    return "?" if text.startswith("?") else text


def check_names(feeds: Mapping[str, Any], needed: Sequence[str], optional: Sequence[str] = ()) -> None:
    """Raises InputError for a missing or an unknown name, with the nearest valid one."""
    if not isinstance(feeds, Mapping):
        raise InputError(f"the feeds are a {type(feeds).__name__}; a dict {{input name: array}} is expected")
    valid = [*needed, *optional]
    for name in feeds:
        if name not in valid:
            near = difflib.get_close_matches(str(name), valid, 1)
            raise InputError(f"the model has no input {show(name)}{f'; did you mean {near[0]!r}?' if near else ';'} "
                             f"its inputs are {', '.join(map(show, valid)) or 'none'}")
    missing = [n for n in needed if n not in feeds]
    if missing:
        raise InputError(f"input {', '.join(map(show, missing))} is missing; "
                         f"the inputs are {', '.join(map(show, needed))}")


def convert(given: Any, fact: Fact, name: str) -> Any:
    """`given` as an array (or a list of them, or None, for sequences and optionals) of the fact's type."""
    if fact.kind == "optional":
        return None if given is None else _element(given, fact.inner, name)
    if fact.kind == "sequence":
        if not isinstance(given, (list, tuple)):
            raise InputError(f"{name} is a {type(given).__name__}; a list of arrays is expected")
        return [_element(x, fact.inner, f"{name}[{i}]") for i, x in enumerate(given)]
    if fact.key is not None:
        return _map(given, fact.key, fact.dtype, name)
    array = as_array(given, name)
    if fact.dtype == STRING:
        return _strings(array, name)
    if array.dtype != fact.dtype:
        array = _retype(given, array, fact.dtype, name)
    if type(array) is not np.ndarray or not (array.flags.c_contiguous and array.flags.aligned):
        array = np.array(array, order="C", subok=False)
    return array


def _element(given: Any, fact: Fact, name: str) -> Any:
    """What a sequence or an optional holds: memory of our own, since it may leave the run inside a result."""
    made = convert(given, fact, name)
    if fact.kind != "tensor":
        return made
    if fact.shape is not None and (made.ndim != fact.rank or any(
            isinstance(d, int) and d != n for d, n in zip(fact.shape, made.shape, strict=True))):
        raise InputError(f"{name} has shape {list(made.shape)}; the model says "
                         f"[{', '.join(_plain(d) for d in fact.shape)}]")
    return made.copy()


def _map(given: Any, key: np.dtype, value: np.dtype, name: str) -> dict:
    if not isinstance(given, Mapping):
        raise InputError(f"{name} is a {type(given).__name__}; a dict is expected")
    if not given:
        return {}
    keys = convert(list(given), Fact(key, (len(given),)), f"the keys of {name}")
    values = convert(list(given.values()), Fact(value, (len(given),)), f"the values of {name}")
    return dict(zip(keys.tolist(), values.tolist(), strict=True))


def separate(results: list) -> list:
    """The results of a run, arrays copied that share memory with one before (elements of sequences, say)."""
    seen: set[int] = set()

    def own(x):
        if isinstance(x, list):
            return [own(e) for e in x]
        if isinstance(x, np.ndarray):
            base = x
            while isinstance(base.base, np.ndarray):
                base = base.base
            if id(base) in seen:
                return x.copy()
            seen.add(id(base))
        return x

    return [own(x) for x in results]


def as_array(given: Any, name: str) -> np.ndarray:
    """A NumPy array of anything that is one, offers one (DLPack too), or is made of Python numbers or strings."""
    if isinstance(given, np.ndarray):
        return given
    if given is None:
        raise InputError(f"{name} is None; an array is expected")
    try:
        if not hasattr(given, "__array__") and hasattr(given, "__dlpack__"):
            return np.from_dlpack(given)
        return np.asarray(given)
    except (TypeError, ValueError, RuntimeError, BufferError) as error:  # ragged lists; tensors that refuse
        raise InputError(f"{name} cannot be made into an array: {error}") from error


def _strings(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype.kind not in "OUST":
        raise InputError(f"{name} is {array.dtype}, tensor(string) is expected")
    result = np.array(array, dtype=object, order="C", subok=False)
    for i, x in enumerate(result.flat):
        if isinstance(x, bytes):
            try:
                result.flat[i] = x.decode()
            except UnicodeDecodeError as error:
                raise InputError(f"{name}: element {i} is not UTF-8: {show(x)}") from error
        elif not isinstance(x, str):
            raise InputError(f"{name}: element {i} is a {type(x).__name__}, str is expected")
    return result


def _retype(given: Any, array: np.ndarray, dtype: np.dtype, name: str) -> np.ndarray:
    """Another byte order; and Python numbers, which have no type of their own, where nothing is lost in kind."""
    if array.dtype.newbyteorder("=") == dtype:
        return array.astype(dtype)
    if not hasattr(given, "dtype") and not hasattr(given, "__array__"):
        kind = array.dtype.kind
        if array.size == 0 or (is_float(dtype) and kind in "iuf") or (dtype.kind == "c" and kind in "iufc"):
            return array.astype(dtype)
        if is_integer(dtype) and kind in "iu":
            converted = array.astype(dtype)
            if np.array_equal(converted.astype(array.dtype), array):
                return converted
            raise InputError(f"{name}: values from {array.min()} to {array.max()} do not fit {_type(dtype)}")
    raise InputError(f"{name} is {_type(array.dtype)}, {_type(dtype)} is expected")


def _type(dtype: np.dtype) -> str:
    try:
        return f"{dtype} (tensor({onnx_name(dtype)}))" if dtype != STRING else "object"
    except KeyError:
        return str(dtype)
