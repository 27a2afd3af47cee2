"""Adagrad, Adam and Momentum: several steps of several parameters against plain NumPy in float64, and errors."""

import numpy as np
import pytest
from ml_case import run

from cynfer.ops.errors import ModelError

RNG = np.random.default_rng(8)
DOMAIN = {"domain": "ai.onnx.preview.training", "version": 1}


def tensors(*shapes, low=0.1):
    return [RNG.uniform(low, 1, s) for s in shapes]


@pytest.mark.parametrize("step", [0, 3])
def test_adam(step):
    x, y, g, h, v, w, s, t = tensors((3, 2), (4,), (3, 2), (4,), (3, 2), (4,), (3, 2), (4,))
    got = run("Adam", np.array(0.1, np.float32), np.array(step), x, y, g, h, v, w, s, t, outputs=6, alpha=0.75,
              beta=0.5, epsilon=0.0, norm_coefficient=0.25, norm_coefficient_post=0.5, **DOMAIN)
    rate = np.float64(np.float32(0.1)) * (np.sqrt(1 - 0.5**step) / (1 - 0.75**step) if step else 1)
    for i, (p, q, m, n) in enumerate(((x, g, v, s), (y, h, w, t))):
        q = q + 0.25 * p
        m, n = 0.75 * m + 0.25 * q, 0.5 * n + 0.5 * q * q
        for a, b in zip(got[i::2], ((p - rate * m / np.sqrt(n)) * 0.5, m, n), strict=True):
            assert a.dtype == np.float64
            np.testing.assert_allclose(a, b, 1e-12)


@pytest.mark.parametrize("step", [0, 2])
@pytest.mark.parametrize("mode", ["standard", "nesterov"])
def test_momentum(mode, step):
    x, g, v = tensors(5, 5, 5)
    got = run("Momentum", np.array([0.5]), np.array(step), x, g, v, outputs=2, alpha=0.75, beta=0.5, mode=mode,
              norm_coefficient=0.25, **DOMAIN)
    g = g + 0.25 * x
    v = 0.75 * v + (0.5 if step else 1) * g
    np.testing.assert_allclose(got[0], x - 0.5 * (v if mode == "standard" else g + 0.75 * v), 1e-12)
    np.testing.assert_allclose(got[1], v, 1e-12)


def test_adagrad():
    x, g, h = tensors(5, 5, 5)
    got = run("Adagrad", np.array(0.5), np.array(4), x, g, h, outputs=2, decay_factor=0.25, epsilon=0.5, **DOMAIN)
    np.testing.assert_allclose(got[0], x - 0.25 * g / (np.sqrt(h + g * g) + 0.5), 1e-12)
    np.testing.assert_allclose(got[1], h + g * g, 1e-12)


def test_errors():
    x, y = tensors(5, 4)
    rest = {"alpha": 0.5, "beta": 0.5, "norm_coefficient": 0.0, "outputs": 2, **DOMAIN}
    rate, step = np.array(0.5), np.array(1)
    with pytest.raises(ModelError, match="2 inputs after R and T; a multiple of 3"):
        run("Momentum", rate, step, x, x, mode="standard", **rest)
    with pytest.raises(ModelError, match=r"G of parameter 0 is tensor\(double\)\[4\]"):
        run("Momentum", rate, step, x, y, x, mode="standard", **rest)
    with pytest.raises(ModelError, match="choose from standard, nesterov"):
        run("Momentum", rate, step, x, x, x, mode="heavy", **rest)
    with pytest.raises(ModelError, match="R has 2 elements"):
        run("Momentum", np.zeros(2), step, x, x, x, mode="standard", **rest)
