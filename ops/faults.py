"""Faults that kernels report as numbers, and what each says in words."""

INDEX_OUT_OF_RANGE = 1
DIVISION_BY_ZERO = 2
SIZE_OUT_OF_RANGE = 3

_TEXTS = {
    INDEX_OUT_OF_RANGE: "index {got} at position {where} is outside {low} to {high}",
    DIVISION_BY_ZERO: "integer division by zero at position {where}",
    SIZE_OUT_OF_RANGE: "size {got} at position {where} is outside {low} to {high}",
}


def explain(code: int, where: int, got: int, low: int, high: int) -> str:
    """The sentence for a fault (see `Fault` in kernels/abi.h)."""
    return _TEXTS[code].format(where=where, got=got, low=low, high=high)
