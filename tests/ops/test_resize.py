"""Resize: kernels, plain and by blocks, against the NumPy form, whose values the standard's own cases check."""

import numpy as np
import pytest
from harness import ISAS, by_kernel, by_python, run

from cynfer.ops.dim import Dim
from cynfer.ops.errors import LimitError, ModelError
from cynfer.ops.fact import Fact
from cynfer.ops.machine import Machine
from cynfer.ops.resize import COORDINATES, NEAREST, Resize


def draw(*shape, dtype=np.float32):
    return (np.random.default_rng(3).normal(size=shape) * 50).astype(dtype)


def scales(*values):
    return np.array(values, np.float32)


def ints(*values):
    return np.array(values, np.int64)


SIZES = [(scales(1, 1, 2, 3), None), (scales(1, 1, 0.6, 0.4), None), (None, ints(2, 20, 9, 3)),
         (None, ints(2, 20, 6, 11))]
WAYS = [Resize("nearest", nearest=n) for n in NEAREST] + [Resize("linear", coordinates=c) for c in COORDINATES[:5]] \
    + [Resize("cubic", exclude_outside=True), Resize("cubic", antialias=True), Resize("linear", antialias=True)]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("op", WAYS, ids=lambda o: f"{o.mode}-{o.nearest}-{o.coordinates}-{o.antialias}")
def test_kernels(op, isa):
    x = draw(2, 20, 6, 7)
    for s, n in SIZES:
        want, = by_python(op, x, None, s, n)
        for blocked in ((), (0,)):
            for threads in (1, 3):
                got, = by_kernel(op, Machine(isa), x, None, s, n, threads=threads, blocked=blocked, values=(2, 3))
                np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-4)


@pytest.mark.parametrize("dtype", [np.float64, np.int8, np.float16, object])
def test_types(dtype):
    x = draw(1, 2, 3, 4, dtype=dtype)
    y = by_python(Resize("nearest"), x, None, scales(1, 1, 2, 2))[0]
    np.testing.assert_array_equal(y, x.repeat(2, 2).repeat(2, 3))
    got = by_kernel(Resize("nearest"), Machine(), x, None, scales(1, 1, 2, 2), values=(2,))
    assert (got is None) == (dtype is object)
    if got is not None:
        np.testing.assert_array_equal(got[0], y)
    if dtype is object:
        with pytest.raises(ModelError, match="mode linear of object"):
            run("Resize", x, None, scales(1, 1, 2, 2), opset=13, mode="linear")
    else:
        assert by_python(Resize("linear"), x, None, scales(1, 1, 2, 2))[0].dtype == dtype


def test_other_axes():
    x = draw(3, 4, 5, 6, 2)
    for op in (Resize("nearest", axes=(1, -2)), Resize("linear", axes=(1, 3)), Resize("linear", axes=(4, 0))):
        want, = by_python(op, x, None, scales(2.5, 0.5))
        got, = by_kernel(op, Machine(), x, None, scales(2.5, 0.5), values=(2,))
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-4)


def test_integers_round_and_saturate():
    x = np.array([[[-128, 127, 127, -128]]], np.int8)
    y, = by_python(Resize("cubic"), x, None, scales(1, 1, 4))
    assert y.min() == -128 and y.max() == 127


def test_crop_and_resize_outside_the_image():
    x = np.arange(4, dtype=np.float32).reshape(1, 1, 1, 4)
    op = Resize("linear", "tf_crop_and_resize", extrapolation=9.0)
    y, = by_python(op, x, np.array([0, 0, 0, -1, 1, 1, 1, 1], np.float32), None, ints(1, 1, 1, 7))
    np.testing.assert_allclose(y.reshape(-1), [9, 9, 9, 0, 1, 2, 3])


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_one_pixel_left_is_the_first(mode):
    """pytorch_half_pixel: a result of one element reads position 0, whatever the scale was."""
    x = draw(1, 1, 3, 3)
    y = by_python(Resize(mode, coordinates="pytorch_half_pixel"), x, None, scales(1, 1, 0.5, 0.5))[0]
    assert y.shape == (1, 1, 1, 1) and y.item() == x[0, 0, 0, 0]


def test_names_pass_through():
    n, h = Dim.name("N"), Dim.name("H")
    x = Fact(np.dtype(np.float32), (n, 16, h, 8))
    assert Resize().shapes(x, None, Fact.of(scales(1, 1, 2, 0.5)))[0] == [n, 16, h * 2, 4]
    assert Resize().shapes(x, None, Fact.of(scales(1, 1, 0.5, 3)))[0] == [n, 16, h // 2, 24]
    out = Fact(x.dtype, (n, 16, h * 2, 16))
    assert Resize().blocked(Machine(), [x, None, Fact.of(scales(1, 1, 2, 2))], [out])
    assert not Resize().blocked(Machine(), [x, None, Fact.of(scales(1, 2, 2, 2))], [out])


@pytest.mark.parametrize("policy, want", [("stretch", (4, 9)), ("not_larger", (4, 6)), ("not_smaller", (6, 9))])
def test_aspect_ratio(policy, want):
    x = draw(1, 1, 2, 3)
    y = run("Resize", x, None, None, ints(4, 9), opset=18, axes=[2, 3], keep_aspect_ratio_policy=policy)
    assert y.shape[2:] == want


@pytest.mark.parametrize("arrays, attributes, message", [
    ([None, scales(1, 1, 0, 1)], {}, "scales has 0.0; a finite number above 0"),
    ([None, scales(1, 1, -1, 1)], {}, "scales has -1.0"), ([None, scales(1, 1, np.nan, 1)], {}, "scales has nan"),
    ([None, scales(1, 1, np.inf, 1)], {}, "scales has inf"), ([None, scales(1, 2)], {}, "scales has 2 elements; 4"),
    ([None, scales(1, 1, 1, 1), ints(1, 1, 2, 2)], {}, "both of scales and sizes"), ([], {}, "neither of scales"),
    ([None, None, ints(1, 1, -2, 2)], {}, "sizes has -2"), ([None, scales(2, 2)], {"axes": [2, -2]}, "twice"),
    ([None, scales(1, 1, 2, 2)], {"mode": "area"}, "mode is 'area'; choose from"),
    ([None, scales(1, 1, 2, 2)], {"nearest_mode": "up"}, "nearest_mode is 'up'"),
    ([None, scales(1, 1, 2, 2)], {"coordinate_transformation_mode": "none"}, "coordinate_transformation_mode"),
    ([None, scales(1, 1, 2, 2)], {"antialias": 1}, "antialias with mode nearest"),
    ([None, scales(1, 1, 2, 2)], {"coordinate_transformation_mode": "tf_crop_and_resize"}, "needs the input roi"),
])
def test_bad_values(arrays, attributes, message):
    with pytest.raises(ModelError, match=message) as error:
        run("Resize", draw(1, 1, 2, 2), *arrays, opset=18, **attributes)
    assert "node 'node'" in str(error.value)


def test_no_elements():
    assert run("Resize", draw(0, 1, 2, 2), None, scales(1, 1, 2, 2), opset=13).shape == (0, 1, 4, 4)
    assert run("Resize", draw(1, 1, 2, 2), None, scales(1, 1, 0.1, 2), opset=13).shape == (1, 1, 0, 4)
    with pytest.raises(ModelError, match="cannot become 3 long"):
        run("Resize", draw(1, 1, 0, 2), None, None, ints(1, 1, 3, 2), opset=13)


def test_upsample():
    x = draw(1, 1, 2, 2)
    np.testing.assert_array_equal(run("Upsample", x, scales(1, 1, 2, 3), opset=9), x.repeat(2, 2).repeat(3, 3))
    np.testing.assert_array_equal(run("Upsample", x, opset=7, scales=[1.0, 1.0, 2.0, 3.0]), x.repeat(2, 2).repeat(3, 3))


def test_tables_have_a_bound():
    with pytest.raises(LimitError, match="needs a table of"):
        run("Resize", np.zeros((1, 2), np.int8), None, scales(1, 1e9), opset=13)


@pytest.mark.parametrize("size, out", [(26, 56), (300, 200), (30, 20), (7, 21), (1000, 667)])
def test_nearest_positions_are_exact_where_numbers_are_whole(size, out):
    want = np.arange(out) * size // out
    x = np.arange(size, dtype=np.float32).reshape(1, 1, size)
    op = Resize("nearest", "asymmetric", "floor")
    np.testing.assert_array_equal(by_python(op, x, None, None, ints(1, 1, out))[0][0, 0], want)
    if out * 3 == size * 2:
        np.testing.assert_array_equal(by_python(op, x, None, scales(1, 1, 2 / 3))[0][0, 0], want)
