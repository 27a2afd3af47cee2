"""DeformConv: without offsets it is Conv, whole offsets move the input, the rest follows the standard's reference."""

import numpy as np
import pytest
from harness import model, run
from onnx.reference import ReferenceEvaluator

from cynfer.ops.errors import ModelError

rng = np.random.default_rng(8)


def some(*shape):
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_without_offsets_it_is_a_convolution(rank):
    x, w, bias = some(2, 4, *(7,) * rank), some(6, 2, *(3,) * rank), some(6)
    more = {"group": 2, "strides": [2] * rank, "pads": [1] * 2 * rank, "dilations": [2] * rank}
    want = run("Conv", x, w, bias, opset=11, **more)
    offset = np.zeros((2, 2 * 3**rank * rank, *want.shape[2:]), np.float32)
    got = run("DeformConv", x, w, offset, bias, opset=19, offset_group=2, **more)
    np.testing.assert_allclose(got, want, atol=2e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_against_the_reference(masked):
    x, w, bias = some(1, 4, 5, 6), some(2, 2, 2, 2), some(2)
    offset, mask = some(1, 2 * 4 * 2, 5, 6) * 2, some(1, 2 * 4, 5, 6) if masked else None
    arrays = [x, w, offset, bias, mask]
    more = {"group": 2, "offset_group": 2, "pads": [0, 1, 1, 0], "kernel_shape": [2, 2]}
    m = model("DeformConv", arrays, 19, **{**more, "strides": [1, 1], "dilations": [1, 1]})
    want = ReferenceEvaluator(m).run(None, {f"i{k}": a for k, a in enumerate(arrays) if a is not None})[0]
    np.testing.assert_allclose(run("DeformConv", *arrays, opset=19, **more), want, atol=1e-4)


def test_odd_offsets_count_as_outside():
    x, w = np.ones((1, 1, 3, 3), np.float32), np.ones((1, 1, 1, 1), np.float32)
    for bad in (np.nan, np.inf, -np.inf, 1e30):
        offset = np.zeros((1, 2, 3, 3), np.float32)
        offset[0, 0, 1, 1] = bad
        y = run("DeformConv", x, w, offset, opset=22)
        assert y[0, 0, 1, 1] == 0
        assert y.sum() == 8


def test_errors():
    x, w, offset = some(1, 2, 4, 4), some(3, 2, 2, 2), some(1, 8, 3, 3)
    for arrays, change, message in (((x, w, some(1, 8, 2, 3)), {}, "offset has shape"),
                                    ((x, w, offset, None, some(1, 3, 3, 3)), {}, "mask has shape"),
                                    ((x, w, offset, some(2)), {}, "bias has shape"),
                                    ((x, w, offset), {"group": 2}, "group 2"),
                                    ((x, w, offset), {"group": 0}, "group is 0"),
                                    ((x, w, offset), {"kernel_shape": [3, 3]}, "kernel_shape")):
        with pytest.raises(ModelError, match=message):
            run("DeformConv", *arrays, opset=19, **change)
