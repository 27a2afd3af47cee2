"""Normalisation kernels against float64 NumPy."""

import numpy as np
import pytest

from cynfer.ops.errors import KernelError
from cynfer.ops.machine import Machine, runnable

ISAS = runnable()
REAL = {"f32": np.float32, "f64": np.float64}
EPS = 1e-5


def draw(shape, name, seed=0, offset=0.0):
    return (np.random.default_rng(seed).standard_normal(shape) + offset).astype(REAL[name])


def run(isa, kernel, operands, outputs, n, f):
    """Runs with operands whose None are outputs of the given shapes; equal bits for all thread counts."""
    first = None
    for threads in (1, 2, 3, 7):
        made = [np.full(s, 77, operands[0].dtype) for s in outputs]
        rest = iter(made)
        Machine(isa).call(kernel, [next(rest) if isinstance(o, str) else o for o in operands], n, f, threads=threads)
        if first is None:
            first = made
        assert [m.tobytes() for m in made] == [m.tobytes() for m in first]
    return first


def close(got, want, name, scale=1.0):
    np.testing.assert_allclose(got, want, rtol=0, atol=scale * (1e-6 if name == "f32" else 4e-15))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("rows, cols", [(1, 1), (3, 5), (7, 31), (4, 64), (5, 768), (2, 3001)])
@pytest.mark.parametrize("offset", [0, 100])
def test_layer_norm(isa, name, rows, cols, offset):
    x, scale, bias = draw((rows, cols), name, 0, offset), draw(cols, name, 1), draw(cols, name, 2)
    d = x.astype(np.float64)
    mean = d.mean(1)
    inverse = 1 / np.sqrt(d.var(1) + EPS)
    want = (d - mean[:, None]) * inverse[:, None] * scale + bias
    limit = 5 + offset / (10 if name == "f32" else 1)  # NumPy's own mean is as far off in float64
    y, m, i = run(isa, f"{name}_layer_norm", [x, scale, bias, "y", "m", "i"], [x.shape, rows, rows], [rows, cols],
                  [EPS])
    close(y, want, name, limit)
    np.testing.assert_allclose(m, mean, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(i, inverse, rtol=3e-6 if name == "f32" else 1e-12)
    y, = run(isa, f"{name}_layer_norm", [x, scale, None, "y", None, None], [x.shape], [rows, cols], [EPS])
    close(y, want - bias, name, limit)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("rows, cols", [(1, 1), (3, 5), (7, 31), (5, 768)])
def test_rms_norm(isa, name, rows, cols):
    x, scale = draw((rows, cols), name), draw(cols, name, 1)
    d = x.astype(np.float64)
    inverse = 1 / np.sqrt((d * d).mean(1, keepdims=True) + EPS)
    y, i = run(isa, f"{name}_rms_norm", [x, scale, "y", "i"], [x.shape, rows], [rows, cols], [EPS])
    close(y, d * inverse * scale, name, 5)
    np.testing.assert_allclose(i, inverse[:, 0], rtol=1e-6)
    y, = run(isa, f"{name}_rms_norm", [x, None, "y", None], [x.shape], [rows, cols], [EPS])
    close(y, d * inverse, name, 5)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("shape, groups", [((2, 6, 35), 3), ((1, 4, 1), 2), ((3, 5, 49), 5), ((2, 8, 1030), 1)])
def test_group_norm(isa, name, shape, groups):
    n, c, pixels = shape
    x, scale, bias = draw(shape, name), draw(c, name, 1), draw(c, name, 2)
    d = x.astype(np.float64).reshape(n, groups, -1)
    mean, inverse = d.mean(2, keepdims=True), 1 / np.sqrt(d.var(2, keepdims=True) + EPS)
    plain = ((d - mean) * inverse).reshape(shape)
    sizes = [n, c, groups, pixels]
    y, m, i = run(isa, f"{name}_group_norm", [x, scale, bias, "y", "m", "i"], [shape, n * groups, n * groups], sizes,
                  [EPS])
    close(y, plain * scale[:, None] + bias[:, None], name, 20)
    close(m, mean.ravel(), name)
    np.testing.assert_allclose(i, inverse.ravel(), rtol=2e-6 if name == "f32" else 1e-12)
    y, = run(isa, f"{name}_group_norm", [x, None, None, "y", None, None], [shape], sizes, [EPS])
    close(y, plain, name, 20)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("shape", [(3, 7, 1), (2, 100, 1), (2, 9, 70), (1, 1, 1)])
@pytest.mark.parametrize("order", [1, 2])
def test_lp_norm(isa, name, shape, order):
    x = draw(shape, name)
    x[0, :, 0] = 0
    d = x.astype(np.float64)
    norm = np.linalg.norm(d, order, axis=1, keepdims=True)
    y, = run(isa, f"{name}_lp_norm", [x, "y"], [shape], shape, [order])
    close(y, d / np.where(norm == 0, 1, norm), name)


def lrn_reference(x, size, alpha, beta, bias):
    d = x.astype(np.float64)
    s = np.zeros_like(d)
    for c in range(x.shape[1]):
        s[:, c] = (d[:, max(0, c - (size - 1) // 2):c + size // 2 + 1] ** 2).sum(1)
    return d / (bias + alpha / size * s) ** beta


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("n, c, pixels, size", [(1, 1, 1, 1), (2, 7, 70, 5), (1, 33, 65, 4), (1, 40, 3, 31)])
@pytest.mark.parametrize("beta", [0.75, 0.5, 1, 0.6])
def test_lrn(isa, name, n, c, pixels, size, beta):
    x = draw((n, c, pixels), name) * 3
    want = lrn_reference(x, size, 0.3, beta, 1.5)
    y, = run(isa, f"{name}_lrn", [x, "y"], [x.shape], [n, c, pixels, size], [0.3, beta, 1.5])
    close(y, want, name, 4)
    full = np.full((n, -(-c // 16) * 16, pixels), np.nan, x.dtype)
    full[:, :c] = x
    blocked = np.ascontiguousarray(full.reshape(n, -1, 16, pixels).transpose(0, 1, 3, 2))
    y, = run(isa, f"{name}_lrn_c16", [blocked, "y"], [blocked.shape], [n, c, pixels, size], [0.3, beta, 1.5])
    close(y.transpose(0, 1, 3, 2).reshape(full.shape)[:, :c], want, name, 4)


def test_lrn_by_blocks_refuses_wide_windows():
    x = np.zeros((1, 3, 4, 16), np.float32)
    with pytest.raises(KernelError):
        Machine().call("f32_lrn_c16", [x, x.copy()], [1, 48, 4, 33], [1, 0.75, 1])
