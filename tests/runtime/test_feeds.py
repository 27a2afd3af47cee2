"""What a session takes for its inputs, and what it says to the rest."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import A, B, Y, parse, run, typed, with_initializer

import cynfer

READ_ONLY = A.copy()
READ_ONLY.flags.writeable = False
UNALIGNED = np.frombuffer(b"\0" + A.tobytes(), np.uint8)[1:].view(np.float32).reshape(2, 3)


class Subclass(np.ndarray):
    pass


class Pack:
    """Something that speaks DLPack only."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **kwargs):
        return self.array.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


@pytest.mark.parametrize("given", [
    A, np.asfortranarray(A), np.repeat(A, 2, 1)[:, ::2], A[::-1][::-1], A[:, ::-1][:, ::-1], READ_ONLY, UNALIGNED,
    A.view(Subclass), np.ma.array(A), A.astype(">f4"), A.tolist(), tuple(map(tuple, A.tolist())),
    [[1, -2, 3], [4, 5, -6]], Pack(A.copy()), cynfer.OrtValue.ortvalue_from_numpy(A), memoryview(A),
], ids=lambda g: type(g).__name__)
def test_feeds_that_are_taken(session, given):
    got = run(session, a=given, b=B)
    assert type(got) is np.ndarray and np.array_equal(got, Y)


def test_zero_stride_zero_size_and_scalars(session):
    row = np.broadcast_to(np.float32(2), (4, 3))
    assert np.array_equal(run(session, a=row, b=row), np.full((4, 3), 4, np.float32))
    assert run(session, a=np.empty((0, 3), np.float32), b=np.empty((0, 3), np.float32)).shape == (0, 3)
    scalar = cynfer.InferenceSession(parse("g (float x) => (float y) { y = Relu(x) }"))
    for given in (np.float32(3), np.array(3, np.float32), 3.0, 3):
        got = run(scalar, x=given)
        assert got.shape == () and got == 3


def test_big_endian_integers():
    s = cynfer.InferenceSession(typed("int64", "2"))
    assert run(s, x=np.array([2, 3], ">i8")).tolist() == [2, 3]


def test_ml_dtypes():
    import ml_dtypes

    s = cynfer.InferenceSession(typed("bfloat16", "2"))
    got = run(s, x=np.array([1, 2], ml_dtypes.bfloat16))
    assert got.dtype == ml_dtypes.bfloat16 and got.tolist() == [1, 2]
    assert run(s, x=[1.0, 2.0]).dtype == ml_dtypes.bfloat16


def test_strings():
    s = cynfer.InferenceSession(typed("string", "2"))
    for given in (["a", "ü"], np.array(["a", "ü"]), np.array(["a", "ü"], object), np.array([b"a", "ü".encode()])):
        got = run(s, x=given)
        assert got.dtype == object and got.tolist() == ["a", "ü"]
    for bad, text in (([1, 2], "int64, tensor"), (np.array(["a", 5], object), "element 1 is a int"),
                      (np.array([b"a", b"\xff"]), "element 1 is not UTF-8")):
        with pytest.raises(cynfer.InputError, match=text):
            run(s, x=bad)


@pytest.mark.parametrize(("feeds", "parts"), [
    ({"a": A.astype(np.float64), "b": B}, ["'a'", "float64", "float32"]),
    ({"a": A.astype(np.int32), "b": B}, ["'a'", "int32", "float32"]),
    ({"a": A.astype(bool), "b": B}, ["'a'", "bool"]),
    ({"a": A.astype(complex), "b": B}, ["'a'", "complex128"]),
    ({"a": A.astype("datetime64[s]"), "b": B}, ["'a'", "datetime64"]),
    ({"a": A.astype(object), "b": B}, ["'a'", "object"]),
    ({"a": A, "b": None}, ["'b'", "None"]),
    ({"a": A, "b": "text"}, ["'b'", "float32"]),
    ({"a": A, "b": [[1], [1, 2]]}, ["'b'", "inhomogeneous"]),
    ({"a": A, "b": [[1j, 0, 0]]}, ["'b'", "complex"]),
    ({"a": A[0], "b": B}, ["'a'", "1 dimensions", "2 are expected", "[N, 3]"]),
    ({"a": A[:, :2], "b": B}, ["'a'", "axis 1 is 2", "3 is expected"]),
    ({"a": A, "b": B[:1]}, ["'b'", "axis 0 is 1", "N is 2", "axis 0 of input 'a'"]),
    ({"a": A}, ["'b' is missing", "'a', 'b'"]),
    ({"a": A, "b": B, "c": A}, ["no input 'c'", "'a', 'b'"]),
    ({"a": A, "B": B}, ["no input 'B'"]),
    ([A, B], ["list", "dict"]),
    (None, ["NoneType", "dict"]),
])
def test_feeds_that_are_refused(session, feeds, parts):
    with pytest.raises(cynfer.InputError) as raised:
        session.run(None, feeds)
    for part in parts:
        assert part in str(raised.value)
    assert np.array_equal(run(session, a=A, b=B), Y)


def test_nearest_name_is_suggested():
    s = cynfer.InferenceSession(parse("g (float[2] pixels) => (float[2] scores) { scores = Relu(pixels) }"))
    with pytest.raises(cynfer.InputError, match="did you mean 'pixels'"):
        s.run(None, {"pixel": np.ones(2, np.float32)})
    with pytest.raises(cynfer.InputError, match="did you mean 'scores'"):
        s.run(["score"], {"pixels": np.ones(2, np.float32)})


def test_numbers_in_lists_must_fit():
    s = cynfer.InferenceSession(typed("uint8", "N"))
    assert run(s, x=[1, 255]).dtype == np.uint8
    for bad in ([256], [-1], [1.5], [True, 300]):
        with pytest.raises(cynfer.InputError, match="'x'"):
            run(s, x=bad)


def test_overridable_initializer():
    s = cynfer.InferenceSession(with_initializer())
    assert [i.name for i in s.get_inputs()] == ["x"]
    assert [(i.name, i.shape) for i in s.get_overridable_initializers()] == [("w", [3])]
    x, w = A, np.array([10, 20, 30], np.float32)
    assert np.array_equal(run(s, x=x), x + np.array([1, 2, 3], np.float32))
    assert np.array_equal(run(s, x=x, w=w), x + w)
    assert np.array_equal(run(s, x=x), x + np.array([1, 2, 3], np.float32))
    with pytest.raises(cynfer.InputError, match=r"'w'.*axis 0 is 2"):
        run(s, x=x, w=w[:2])
    with pytest.raises(cynfer.InputError, match=r"no input 'v'.*'x', 'w'"):
        run(s, x=x, v=w)
