"""Top k against a stable sort."""

import numpy as np
import pytest

from cynfer.ops.machine import Machine

DTYPES = {"f32": np.dtype("f4"), "f64": np.dtype("f8"),
          **{f"{k}{b}": np.dtype(f"{k}{b // 8}") for k in "iu" for b in (8, 16, 32, 64)}}


def reference(x, k, largest):
    """The key puts NaN above everything, as NumPy's sort does."""
    order = np.argsort(x, 1, kind="stable")
    if largest:  # a stable descending sort: reverse, sort, reverse
        order = x.shape[1] - 1 - np.argsort(x[:, ::-1], 1, kind="stable")[:, ::-1]
    order = order[:, :k]
    return np.take_along_axis(x, order, 1), order


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("shape, ks", [((1, 1, 1), (1,)), ((3, 40, 1), (0, 1, 5, 40)), ((2, 17, 5), (1, 16, 17)),
                                       ((1, 3000, 1), (100,))])
def test_topk(name, largest, shape, ks):
    x = np.random.default_rng(0).integers(0, 30, shape).astype(DTYPES[name])
    if name[0] == "i":
        x -= 15
    if name[0] == "f":
        x.ravel()[::7] = np.nan
        x.ravel()[3::11] = -np.inf
    for k in ks:
        values, order = reference(x, k, largest)
        for threads in (1, 2, 3, 7):
            v = np.full(values.shape, 77, x.dtype)
            i = np.full(values.shape, 77)
            Machine().call(f"{name}_topk", [x, v, i], [*shape, k, largest], scratch=16 * k, threads=threads)
            np.testing.assert_array_equal(i, order)
            np.testing.assert_array_equal(v, values)
