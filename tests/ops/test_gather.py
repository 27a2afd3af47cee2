"""Gathers and scatters: kernels and NumPy forms against plain loops, bad indices, the order of updates."""

import numpy as np
import pytest
from harness import ISAS, by_kernel, by_python, run

from cynfer.ops.dim import Dim
from cynfer.ops.errors import KernelError, ModelError
from cynfer.ops.fact import Fact
from cynfer.ops.gather import REDUCTIONS, Gather, GatherElements, GatherND, ScatterElements, ScatterND
from cynfer.ops.machine import Machine
from cynfer.ops.op import infer

x = np.random.default_rng(1).normal(size=(4, 5, 6)).astype(np.float32)
rng = np.random.default_rng(2)


def gather_nd(x, indices, b):
    result = np.empty((*indices.shape[:-1], *x.shape[b + indices.shape[-1]:]), x.dtype)
    for at in np.ndindex(*indices.shape[:-1]):
        result[at] = x[(*at[:b], *indices[at])]
    return result


def gather_elements(x, indices, axis):
    result = np.empty(indices.shape, x.dtype)
    for at in np.ndindex(*indices.shape):
        result[at] = x[(*at[:axis], indices[at], *at[axis + 1:])]
    return result


COMBINE = {"none": lambda a, b: b, "add": lambda a, b: a + b, "mul": lambda a, b: a * b, "max": np.maximum,
           "min": np.minimum}


def scatter_elements(x, indices, updates, axis, reduction):
    y = x.copy()
    for at in np.ndindex(*indices.shape):
        to = (*at[:axis], indices[at], *at[axis + 1:])
        y[to] = COMBINE[reduction](y[to], updates[at])
    return y


def scatter_nd(x, indices, updates, reduction):
    y = x.copy()
    for at in np.ndindex(*indices.shape[:-1]):
        y[tuple(indices[at])] = COMBINE[reduction](y[tuple(indices[at])], updates[at])
    return y


CASES = {
    "gather": (Gather(1), [x, rng.integers(-5, 5, (3, 2))], lambda x, i: x[:, i]),
    "gather scalar": (Gather(-1), [x, np.array(-6)], lambda x, i: x[..., 0]),
    "gather none": (Gather(0), [x, np.zeros((2, 0), np.int64)], lambda x, i: np.zeros((2, 0, 5, 6), x.dtype)),
    "elements": (GatherElements(1), [x, rng.integers(-5, 5, (3, 7, 6))], lambda x, i: gather_elements(x, i, 1)),
    "elements last": (GatherElements(-1), [x, rng.integers(0, 6, (4, 5, 9))], lambda x, i: gather_elements(x, i, 2)),
    "nd": (GatherND(), [x, rng.integers(-4, 4, (3, 2, 2))], lambda x, i: gather_nd(x, i, 0)),
    "nd full": (GatherND(), [x, rng.integers(-4, 4, (7, 3))], lambda x, i: gather_nd(x, i, 0)),
    "nd batch": (GatherND(1), [x, rng.integers(-5, 5, (4, 3, 1))], lambda x, i: gather_nd(x, i, 1)),
}
for r in REDUCTIONS:
    CASES[f"scatter elements {r}"] = (
        ScatterElements(1, r), [x, rng.integers(-5, 5, (3, 8, 6)), rng.normal(size=(3, 8, 6)).astype(np.float32)],
        lambda x, i, u, r=r: scatter_elements(x, i, u, 1, r))
    CASES[f"scatter nd {r}"] = (
        ScatterND(r), [x, rng.integers(-4, 4, (9, 2)), rng.normal(size=(9, 6)).astype(np.float32)],
        lambda x, i, u, r=r: scatter_nd(x, i, u, r))


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("name, dtype", [
    pytest.param(name, t, id=f"{name}-{np.dtype(t).name}") for name in CASES
    for t in (np.float32, np.float64, np.int8, np.uint16, np.float16, np.bool_, object)
    if getattr(CASES[name][0], "reduction", "none") == "none" or t not in (np.bool_, object)])  # numbers are reduced
def test_values(name, dtype):
    op, arrays, expected = CASES[name]
    kernel = dtype not in (object,)
    reduces = getattr(op, "reduction", "none") != "none"
    arrays = [(a * 4).astype(dtype) if a.dtype == np.float32 else a for a in arrays]
    want = expected(*arrays)
    compare = (lambda a, b: np.testing.assert_allclose(a, b, rtol=0.02)) if dtype is np.float16 and reduces \
        else np.testing.assert_array_equal
    compare(by_python(op, *arrays)[0], want)
    for index in (np.int32, np.int64):
        arrays[1] = arrays[1].astype(index)
        for isa in ISAS:
            for threads in (1, 3):
                got = by_kernel(op, Machine(isa), *arrays, threads=threads)
                if kernel and not (reduces and dtype is np.float16):
                    compare(got[0], want)


BAD = {
    "gather": (Gather(1), lambda i: [x, np.array([0, 1, i])], 5),
    "elements": (GatherElements(2), lambda i: [x[:1, :1], np.array([[[0, 1, i]]])], 6),
    "nd": (GatherND(), lambda i: [x, np.array([[0, 0], [0, i]])], 5),
    "scatter elements": (ScatterElements(1), lambda i: [x[:1, :, :1], np.array([[[0], [1], [i]]]), x[:1, :3, :1]], 5),
    "scatter nd": (ScatterND(), lambda i: [x, np.array([[0, 0], [0, i]]), x[0, :2]], 5),
}


@pytest.mark.parametrize("index", ["size", "below", -2**63, 2**62])
@pytest.mark.parametrize("name", BAD)
def test_indices_out_of_range(name, index):
    op, make, size = BAD[name]
    arrays = make({"size": size, "below": -size - 1}.get(index, index))
    for runs in (lambda: by_python(op, *arrays), lambda: by_kernel(op, Machine(), *arrays)):
        with pytest.raises(KernelError, match=rf"is outside -{size} to {size - 1}"):
            runs()


def test_the_last_of_equal_indices_counts():
    y = run("ScatterND", np.zeros(3, np.float32), np.array([[1], [1], [1]]), np.array([5, 6, 7], np.float32), opset=16)
    assert y.tolist() == [0, 7, 0]


@pytest.mark.parametrize("name, arrays, attributes, message", [
    ("Gather", [x, np.array([0])], {"axis": 3}, "axis 3 is outside -3 to 2"),
    ("GatherElements", [x, np.array([0])], {}, "indices has 1 dimensions, the input 3"),
    ("GatherElements", [x, np.zeros((1, 9, 1), np.int64)], {}, "indices has 9 elements along axis 1"),
    ("GatherND", [x, np.array(0)], {}, "indices has 0 dimensions"),
    ("GatherND", [x, np.zeros((2, 0), np.int64)], {}, "last dimension of indices is 0, outside 1 to 3"),
    ("GatherND", [x, np.zeros((2, 4), np.int64)], {}, "last dimension of indices is 4"),
    ("GatherND", [x, np.zeros((4, 1), np.int64)], {"batch_dims": 2}, "batch_dims 2 is outside 0 to 1"),
    ("GatherND", [x, np.zeros((3, 1), np.int64)], {"batch_dims": 1}, "batch axis 0 differs"),
    ("ScatterND", [x, np.zeros((2, 4), np.int64), x], {}, "last dimension of indices is 4"),
    ("ScatterND", [x, np.zeros((2, 1), np.int64), x], {}, "updates have shape"),
    ("ScatterElements", [x, np.zeros((1, 1, 1), np.int64), x], {}, "updates have shape"),
    ("ScatterND", [x, np.zeros((2, 1), np.int64), x[:2]], {"reduction": "mean"}, "reduction is 'mean'"),
])
def test_bad_shapes(name, arrays, attributes, message):
    with pytest.raises(ModelError, match=message) as error:
        run(name, *arrays, opset=18, **attributes)
    assert "node 'node'" in str(error.value)


def test_shape_arithmetic_passes_through():
    n, value = Dim.name("N"), np.empty(3, object)
    value[:] = [n, 3, n * 2]
    fact, = infer(Gather(0), Fact(np.dtype(np.int64), (3,), value), Fact.of(np.array([-1, 0])))
    assert fact.ints() == [n * 2, n]
