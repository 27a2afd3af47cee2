"""Tensors without elements: an empty batch is an answer, not an error."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import numpy_helper
from small_models import convs, parse

from cynfer.ops.errors import ModelError
from cynfer.runtime.session import Session

RNG = np.random.default_rng(0)


def session(text: str, optimise: bool, **weights) -> Session:
    model = parse(text)
    for name, shape in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(RNG.standard_normal(shape).astype(np.float32), name))
    return Session(model, optimise=optimise)


@pytest.mark.parametrize("optimise", [True, False], ids=["passes", "plain"])
def test_convolutions_of_an_empty_batch(optimise):
    s = Session(convs(), optimise=optimise)
    for n in (2, 0, 2):
        assert s.run(None, {"x": np.zeros((n, 3, 65, 57), np.float32)})[0].shape == (n, 10)


@pytest.mark.parametrize("optimise", [True, False], ids=["passes", "plain"])
@pytest.mark.parametrize(("text", "shape", "expected", "weights"), [
    ("g (float[N, 4] x) => (float[N, 3] y) { p = MatMul(x, w) y = Relu(p) }", (0, 4), (0, 3), {"w": (4, 3)}),
    ("g (float[N, 4] x) => (float[N, 3] y) { y = Gemm(x, w, b) }", (0, 4), (0, 3), {"w": (4, 3), "b": (3,)}),
    ("g (float[N, 2, H, W] x) => (float[N, 5, I, J] y) { y = ConvTranspose <strides = [2, 2]> (x, w) }",
     (0, 2, 3, 3), (0, 5, 6, 6), {"w": (2, 5, 2, 2)}),
])
def test_products_of_an_empty_batch(text, shape, expected, weights, optimise):
    got = session(text, optimise, **weights).run(None, {"x": np.zeros(shape, np.float32)})[0]
    assert got.shape == expected and got.dtype == np.float32


@pytest.mark.parametrize("optimise", [True, False], ids=["passes", "plain"])
def test_recurrence_over_no_time_gives_the_first_state(optimise):
    s = session("g (float[T, N, 3] x, float[1, N, 4] h) => (float[T, 1, N, 4] y, float[1, N, 4] last) "
                "{ y, last = GRU <hidden_size = 4> (x, w, r, , , h) }", optimise, w=(1, 12, 3), r=(1, 12, 4))
    h = RNG.standard_normal((1, 2, 4)).astype(np.float32)
    y, last = s.run(None, {"x": np.zeros((0, 2, 3), np.float32), "h": h})
    assert y.shape == (0, 1, 2, 4) and np.array_equal(last, h)


def test_a_constant_product_without_elements_folds():
    s = session("g (float[N] x) => (float[N] x2, float[0, 5, 2, 2] y) { x2 = Neg(x) y = Conv(c, w) }", True,
                c=(0, 2, 3, 3), w=(5, 2, 2, 2))
    assert s.run(["y"], {"x": np.zeros(1, np.float32)})[0].shape == (0, 5, 2, 2)


def test_pooling_over_no_pixels_is_refused():
    s = session("g (float[N, 2, H, W] x) => (float[N, 2, 1, 1] y) { y = GlobalAveragePool(x) }", True)
    with pytest.raises(ModelError, match=r"\[1, 2, 0, 3\] has no pixels"):
        s.run(None, {"x": np.zeros((1, 2, 0, 3), np.float32)})
    assert s.run(None, {"x": np.zeros((0, 2, 0, 3), np.float32)})[0].shape == (0, 2, 1, 1)
