"""Softmax kernels against float64."""

import numpy as np
import pytest

from cynfer.ops.machine import Machine, runnable

REAL = {"f32": np.float32, "f64": np.float64}
SHAPES = [(1, 1, 1), (5, 10, 1), (3, 31, 1), (7, 197, 1), (1, 2500, 1), (2, 5, 3), (1, 300, 65), (3, 17, 128),
          (4, 1, 7), (0, 3, 1), (2, 3, 0)]


def reference(x, log):
    with np.errstate(invalid="ignore"):
        shifted = (x - x.max(1, keepdims=True) if x.size else x).astype(np.float64)  # rounded as in the kernel
        total = np.exp(shifted).sum(1, keepdims=True)
        return shifted - np.log(total) if log else np.exp(shifted) / total


def run(machine, name, x, threads):
    y = np.full_like(x, 77)
    machine.call(name, [x, y], x.shape, threads=threads)
    return y


@pytest.mark.parametrize("isa", runnable())
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [1, 30])
def test_softmax(isa, name, shape, scale):
    x = (np.random.default_rng(0).standard_normal(shape) * scale).astype(REAL[name])
    machine = Machine(isa)
    eps = np.finfo(x.dtype).eps
    for kernel, log in ((f"{name}_softmax", False), (f"{name}_log_softmax", True)):
        y = run(machine, kernel, x, 1)
        want = reference(x, log)
        np.testing.assert_allclose(y, want, rtol=(4 if log else 16) * eps, atol=3 * eps * scale if log else 1e-37)
        for threads in (2, 3, 7):
            assert run(machine, kernel, x, threads).tobytes() == y.tobytes()
        machine.call(kernel, [x2 := x.copy(), x2], x.shape)
        assert x2.tobytes() == y.tobytes()  # in place


@pytest.mark.parametrize("isa", runnable())
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("inner", [1, 5])
def test_special_rows(isa, name, inner):
    x = np.random.default_rng(0).standard_normal((6, 70, inner)).astype(REAL[name])
    x[0] = -np.inf
    x[1, 3] = np.nan
    x[2, 69] = np.nan
    x[3, 40] = np.inf
    x[4, 1:] = -np.inf
    soft = run(Machine(isa), f"{name}_softmax", x, 1)
    assert np.isnan(soft[:4]).all()
    assert (soft[4, 0] == 1).all() and (soft[4, 1:] == 0).all()
    np.testing.assert_allclose(soft[5], reference(x[5:], False)[0], rtol=1e-6)
    log = run(Machine(isa), f"{name}_log_softmax", x, 1)
    assert np.isnan(log[:4]).all()
    assert (log[4, 0] == 0).all() and (log[4, 1:] == -np.inf).all()
