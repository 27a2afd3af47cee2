"""Operators about shapes: values, shape arithmetic without running, errors."""

import numpy as np
import pytest
from harness import ISAS, by_kernel, by_python, run

from cynfer.ops.dim import Dim
from cynfer.ops.errors import KernelError, ModelError
from cynfer.ops.fact import Fact
from cynfer.ops.machine import Machine
from cynfer.ops.op import infer
from cynfer.ops.shape import ConstantOfShape, EyeLike, Range, Reshape, Shape, Squeeze, Unsqueeze

F = np.dtype(np.float32)
N = Dim.name("N")


def ints(*values):
    return np.array(values, np.int64)


def scalar(value, dtype=np.int64):
    return np.array(value, dtype)


@pytest.mark.parametrize("shape, target, allowzero, want", [
    ((2, 3, 4), [4, -1], False, (4, 6)), ((2, 3, 4), [0, 0, 2, 2], False, (2, 3, 2, 2)), ((), [1], False, (1,)),
    ((1,), [], False, ()), ((0, 3), [3, 0], True, (3, 0)), ((0, 3), [-1, 3], False, (0, 3)),
    ((N, 4, 6), [0, -1], False, (N, 24)), ((N, 4, 6), [-1, 8], False, (N * 3, 8)),
    ((N, 4), [2, N, 2], False, (2, N, 2)),
])
def test_reshape(shape, target, allowzero, want):
    value = np.empty(len(target), object)
    value[:] = target
    facts = Reshape(allowzero).facts(Fact(F, shape), Fact(np.dtype(np.int64), (len(target),), value))
    assert facts[0].shape == want


@pytest.mark.parametrize("shape, target, allowzero, message", [
    ((2, 3), [-1, -1], False, "more than one -1"), ((2, 3), [4, 2], False, "has 8 elements, the input has 6"),
    ((2, 3), [2, 3, 0], False, "only 2"), ((2, 3), [4, -1], False, "does not divide the input's 6"),
    ((0, 3), [0, -1], False, "-1 stands for any number"), ((2, 3), [-2, 3], False, "-2 at position 0"),
    ((0, 3), [0, -1], True, "both 0 and -1"),
])
def test_reshape_that_cannot_be(shape, target, allowzero, message):
    with pytest.raises(ModelError, match=message):
        run("Reshape", np.zeros(shape, F), ints(*target), opset=14, allowzero=int(allowzero))


def test_squeeze_and_unsqueeze():
    x = np.arange(6, dtype=F).reshape(1, 2, 1, 3)
    assert run("Squeeze", x, opset=13).shape == (2, 3)
    assert run("Squeeze", x, ints(-2), opset=13).shape == (1, 2, 3)
    assert run("Squeeze", x, opset=1, axes=[0]).shape == (2, 1, 3)
    assert run("Unsqueeze", x, ints(-1, 0), opset=13).shape == (1, 1, 2, 1, 3, 1)
    assert Squeeze().facts(Fact(F, (N, 1)), Fact.of(ints(1)))[0].shape == (N,)
    assert Squeeze().facts(Fact(F, (N, 1)))[0].shape is None
    assert Unsqueeze().facts(Fact(F, (N,)), Fact.of(ints(1)))[0].shape == (N, 1)
    for name, axes, message in (("Squeeze", [1], "axis 1 has 2 elements"), ("Squeeze", [0, -4], "twice"),
                                ("Squeeze", [4], "axes 4 is outside -4 to 3"), ("Unsqueeze", [0, 0], "twice"),
                                ("Unsqueeze", [5], "axes 5 is outside -5 to 4")):
        with pytest.raises(ModelError, match=message):
            run(name, x, ints(*axes), opset=13)


def test_flatten():
    x = np.zeros((2, 3, 4), F)
    assert [run("Flatten", x, opset=13, axis=a).shape for a in (0, 1, 3, -1)] == [(1, 24), (2, 12), (24, 1), (6, 4)]
    with pytest.raises(ModelError, match="axis 4 is outside -3 to 3"):
        run("Flatten", x, opset=13, axis=4)


@pytest.mark.parametrize("start, end, want", [
    (0, None, [N, 3, 4]), (1, None, [3, 4]), (-1, None, [4]), (0, -1, [N, 3]), (-9, 9, [N, 3, 4]), (2, 1, []),
])
def test_shape_is_known_before_anything_runs(start, end, want):
    fact, = infer(Shape(start, end), Fact(F, (N, 3, 4)))
    assert fact.ints() == want
    assert fact.shape == (len(want),)


def test_shape_of_unknown_rank():
    fact, = infer(Shape(), Fact(F, None))
    assert fact.value is None and fact.rank == 1


@pytest.mark.parametrize("form, value, want", [
    ("value_int", 3, scalar(3)), ("value_ints", [3, 4], ints(3, 4)), ("value_float", 0.5, scalar(0.5, F)),
    ("value_floats", [0.5, 2], np.array([0.5, 2], F)), ("value_string", "ä", np.array("ä", object)),
    ("value_strings", ["a", "b"], np.array(["a", "b"], object)),
])
def test_constants(form, value, want):
    got = run("Constant", opset=13, **{form: value})
    assert got.dtype == want.dtype and got.shape == want.shape
    assert (got == want).all()


def test_constant_needs_one_content():
    with pytest.raises(ModelError, match="2 attributes give a content"):
        run("Constant", opset=13, value_int=1, value_float=2.0)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", [np.float32, np.bool_, np.int16, np.float64, np.complex128])
def test_constant_of_shape(dtype, isa):
    op = ConstantOfShape(np.dtype(dtype), np.array([1], dtype).tobytes())
    for shape in ([3, 5], [0, 2], [], [70000]):
        for result in (by_python(op, ints(*shape)), by_kernel(op, Machine(isa), ints(*shape), threads=3, values=(0,))):
            np.testing.assert_array_equal(result[0], np.ones(shape, dtype))


def test_constant_of_shape_errors():
    with pytest.raises(ModelError, match="-3 at position 1 is below 0"):
        run("ConstantOfShape", ints(2, -3), opset=9)


@pytest.mark.parametrize("start, limit, delta", [(0, 10, 3),
    (10, 0, -3), (5, 5, 1), (5, 0, 1), (0, 5, -1), (7, -2, -1)])
@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64, np.float32, np.float64])
def test_range(start, limit, delta, dtype):
    arrays = [scalar(v, dtype) for v in (start, limit, delta)]
    want = np.arange(start, limit, delta).astype(dtype)
    for result in (by_python(Range(), *arrays), by_kernel(Range(), Machine(), *arrays, values=(0, 1, 2))):
        assert result[0].dtype == want.dtype
        np.testing.assert_array_equal(result[0], want)


def test_range_of_names_and_bad_values():
    zero, one = Fact.of(scalar(0)), Fact.of(scalar(1))
    value = np.empty((), object)
    value[()] = N
    assert infer(Range(), zero, Fact(np.dtype(np.int64), (), value), one)[0].shape == (N,)
    for start, limit, delta, dtype in ((0, 1, 0, np.int64), (0, 1, 0, F), (0, np.nan, 1, F), (0, np.inf, 1, F)):
        with pytest.raises((ModelError, KernelError), match="delta"):
            run("Range", *(scalar(v, dtype) for v in (start, limit, delta)), opset=11)
    with pytest.raises(ModelError, match="2 elements"):
        run("Range", ints(1, 2), scalar(3), scalar(1), opset=11)


def test_eye_like():
    for k in (-9, -1, 0, 2, 9):
        x = np.zeros((3, 4), np.int32)
        np.testing.assert_array_equal(by_python(EyeLike(F, k), x)[0], np.eye(3, 4, k, dtype=F))
    with pytest.raises(ModelError, match="3 dimensions; 2 are needed"):
        run("EyeLike", np.zeros((1, 2, 3), F), opset=9)


@pytest.mark.parametrize("name, shape, content, message", [
    ("Squeeze", (2,), [5], "axes 5 is outside -1 to 0"), ("Squeeze", (2, 1), [0, 1], "axis 0 has 2 elements"),
    ("Reshape", (3,), [], r"shape \[\] has 1 elements, the input has 3"),
    ("Squeeze", (1,), [0, 1, 2], "axes 1 is outside"),
])
def test_a_scalar_result_is_checked_where_the_target_is_fed(name, shape, content, message):
    with pytest.raises(ModelError, match=message):
        run(name, np.zeros(shape, F), ints(*content), opset=13)
    assert run("Squeeze", np.zeros((1, 1), F), ints(0, 1), opset=13).shape == ()
