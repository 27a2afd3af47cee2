"""Det against NumPy's."""

import numpy as np
import pytest
from harness import run

from cynfer.ops.errors import ModelError


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_det(dtype):
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (2, 2), (5, 5), (3, 4, 6, 6), (0, 3, 3), (2, 0, 0)):
        x = rng.standard_normal(shape).astype(dtype)
        y = run("Det", x, opset=11)
        assert y.dtype == x.dtype
        np.testing.assert_allclose(y, np.linalg.det(x.astype(float)), rtol=2e-3 if dtype == "float16" else 1e-5)


def test_singular_and_permuted():
    x = np.float32([[[1, 2], [2, 4]], [[0, 1], [1, 0]], [[0, 0], [0, 0]], [[0, 0], [3, 4]]])
    assert run("Det", x, opset=22).tolist() == [0, -1, 0, 0]
    with pytest.raises(ModelError, match=r"\[2, 3\]"):
        run("Det", np.ones((2, 3), np.float32), opset=11)
