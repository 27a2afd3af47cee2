"""Random numbers: distribution, what a seed fixes, types, and attributes out of range."""

import numpy as np
import pytest
from harness import run

from cynfer.ops.errors import KernelError, ModelError

TYPES = {1: np.float32, 10: np.float16, 11: np.float64}


@pytest.mark.parametrize("code", sorted(TYPES))
def test_uniform(code):
    y = run("RandomUniform", opset=22, shape=[200, 500], dtype=code, low=-2.0, high=3.0, seed=7.0)
    assert y.dtype == TYPES[code]
    assert y.min() >= -2
    assert y.max() < 3
    y = y.astype(float)
    assert abs(y.mean() - 0.5) < 0.02
    assert abs(np.histogram(y, 10, (-2, 3))[0] - 10000).max() < 500


@pytest.mark.parametrize("code", sorted(TYPES))
def test_normal(code):
    y = run("RandomNormal", opset=1, shape=[99999], dtype=code, mean=1.0, scale=2.0, seed=3.0)
    assert y.dtype == TYPES[code]
    y = (y.astype(float) - 1) / 2
    assert abs(y.mean()) < 0.02
    assert abs(y.std() - 1) < 0.02
    for edge, share in ((-2, 0.02275), (-1, 0.15866), (0, 0.5), (1, 0.84134)):
        assert abs((y < edge).mean() - share) < 0.01


def test_seeds():
    def draw(**more):
        return run("RandomUniform", opset=22, shape=[50], **more)

    assert np.array_equal(draw(seed=1.0), draw(seed=1.0))
    assert not np.array_equal(draw(seed=1.0), draw(seed=1.5))
    assert not np.array_equal(draw(), draw())
    # a function of the seed and the position
    assert np.array_equal(run("RandomUniform", opset=22, shape=[20], seed=1.0), draw(seed=1.0)[:20])


def test_like():
    x = np.zeros((3, 4), np.float64)
    assert run("RandomNormalLike", x, opset=22, seed=1.0).dtype == np.float64
    y = run("RandomUniformLike", np.zeros((3, 4), np.int8), opset=22, dtype=1)
    assert y.dtype == np.float32
    assert y.shape == (3, 4)
    with pytest.raises(ModelError, match="int8"):
        run("RandomUniformLike", np.zeros(3, np.int8), opset=22)
    assert run("RandomUniform", opset=22, shape=[0, 3]).shape == (0, 3)
    with pytest.raises(ModelError, match="negative"):
        run("RandomUniform", opset=22, shape=[-1])


def test_bernoulli():
    p = np.repeat(np.float32([0, 0.25, 0.5, 1]), 20000).reshape(4, -1)
    y = run("Bernoulli", p, opset=15, seed=2.0)
    assert y.dtype == np.float32
    assert set(np.unique(y)) == {0, 1}
    np.testing.assert_allclose(y.mean(1), [0, 0.25, 0.5, 1], atol=0.02)
    assert y[0].sum() == 0
    assert y[3].min() == 1
    for code, dtype in ((9, bool), (7, np.int64), (2, np.uint8), (10, np.float16)):
        assert run("Bernoulli", p, opset=22, dtype=code).dtype == dtype


def test_multinomial():
    x = np.float32([np.log([0.1, 0.2, 0.7]), [5, -np.inf, 5]])
    y = run("Multinomial", x, opset=7, sample_size=20000, seed=4.0)
    assert y.dtype == np.int32
    shares = np.stack([np.bincount(row, minlength=3) / 20000 for row in y])
    np.testing.assert_allclose(shares, [[0.1, 0.2, 0.7], [0.5, 0, 0.5]], atol=0.02)
    assert shares[1, 1] == 0
    assert run("Multinomial", x, opset=22, dtype=7).shape == (2, 1)
    for bad in (np.nan, np.inf):
        with pytest.raises(KernelError, match="row 1"):
            run("Multinomial", np.float32([[0, 0], [bad, 0]]), opset=7)
    with pytest.raises(ModelError, match="sample_size 0"):
        run("Multinomial", x, opset=7, sample_size=0)
    with pytest.raises(ModelError, match="dtype float"):
        run("Multinomial", x, opset=7, dtype=1)
