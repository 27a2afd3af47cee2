"""Element types: ONNX's numbers and names for them, and the NumPy types that hold them.

Strings are NumPy's object type. Types that NumPy lacks come from ml_dtypes, which is imported only when one is met.
"""

from __future__ import annotations

from functools import cache

import numpy as np

#: ONNX TensorProto.DataType: (name in `tensor(...)`, NumPy or ml_dtypes name, bits)
_TYPES = {
    1: ("float", "float32", 32), 2: ("uint8", "uint8", 8), 3: ("int8", "int8", 8), 4: ("uint16", "uint16", 16),
    5: ("int16", "int16", 16), 6: ("int32", "int32", 32), 7: ("int64", "int64", 64), 8: ("string", "object", 64),
    9: ("bool", "bool", 8), 10: ("float16", "float16", 16), 11: ("double", "float64", 64),
    12: ("uint32", "uint32", 32), 13: ("uint64", "uint64", 64), 14: ("complex64", "complex64", 64),
    15: ("complex128", "complex128", 128), 16: ("bfloat16", "bfloat16", 16), 17: ("float8e4m3fn", "float8_e4m3fn", 8),
    18: ("float8e4m3fnuz", "float8_e4m3fnuz", 8), 19: ("float8e5m2", "float8_e5m2", 8),
    20: ("float8e5m2fnuz", "float8_e5m2fnuz", 8), 21: ("uint4", "uint4", 4), 22: ("int4", "int4", 4),
    23: ("float4e2m1", "float4_e2m1fn", 4), 24: ("float8e8m0", "float8_e8m0fnu", 8), 25: ("uint2", "uint2", 2),
    26: ("int2", "int2", 2), 27: ("float6e2m3", "float6_e2m3fn", 6), 28: ("float6e3m2", "float6_e3m2fn", 6),
}

STRING = np.dtype(object)
FLOAT = np.dtype(np.float32)
DOUBLE = np.dtype(np.float64)
INT64 = np.dtype(np.int64)
BOOL = np.dtype(np.bool_)

#: Kernel name prefixes ("f32_relu") of the types that kernels compute in.
_PREFIX = {"float32": "f32", "float64": "f64", "int8": "i8", "uint8": "u8", "int16": "i16", "uint16": "u16",
           "int32": "i32", "uint32": "u32", "int64": "i64", "uint64": "u64", "bool": "b8", "float16": "f16",
           "bfloat16": "bf16"}


@cache
def from_onnx(code: int) -> np.dtype:
    """The NumPy type for an ONNX type number; raises KeyError for one that is not there."""
    name = _TYPES[code][1]
    try:
        return np.dtype(name)
    except TypeError:
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))


@cache
def to_onnx(dtype: np.dtype) -> int:
    """The ONNX type number for a NumPy type; raises KeyError for one that ONNX lacks."""
    for code, (_, name, _) in _TYPES.items():
        if dtype.name == name:
            return code
    raise KeyError(str(dtype))


def onnx_name(dtype: np.dtype) -> str:
    """The name that stands in `tensor(...)`."""
    return _TYPES[to_onnx(dtype)][0]


def bits(code: int) -> int:
    """Bits an element takes in ONNX raw data (packed for types under a byte)."""
    return _TYPES[code][2]


def prefix(dtype: np.dtype) -> str:
    """The kernel name prefix; '' for a type that no kernel computes in."""
    return _PREFIX.get(dtype.name, "")


def is_float(dtype: np.dtype) -> bool:
    """True for every floating-point type, the small ones of ml_dtypes included."""
    return dtype.kind == "f" or "float" in dtype.name


def is_integer(dtype: np.dtype) -> bool:
    """True for signed and unsigned integers, the small ones of ml_dtypes included."""
    return dtype.kind in "iu" or (dtype.kind == "V" and "int" in dtype.name)
