"""Operators that move elements: their kernels, plain and by blocks, against their NumPy forms and NumPy itself."""

import numpy as np
import pytest
from harness import ISAS, by_kernel, by_python, model, run

from cynfer.ops.arrange import Compress, OneHot, ReverseSequence, Trilu
from cynfer.ops.errors import KernelError, LimitError, ModelError
from cynfer.ops.machine import Machine
from cynfer.ops.move import Concat, DepthToSpace, SpaceToDepth, Split, Transpose
from cynfer.ops.pad import CenterCropPad, Pad, index_table
from cynfer.ops.slice import Expand, Slice, Tile
from cynfer.runtime.limits import Limits
from cynfer.runtime.session import Session

HUGE = 2**63 - 1


def draw(*shape, dtype=np.float32):
    size = int(np.prod(shape))
    return (np.random.default_rng(size).permutation(size).reshape(shape) % 251).astype(dtype)


def ints(*values):
    return np.array(values, np.int64)


#: (op, inputs, which inputs are shapes, what NumPy makes of it)
CASES = {
    "transpose": (Transpose((2, 0, 3, 1)), [draw(2, 3, 4, 5)], (), lambda x: x.transpose(2, 0, 3, 1)),
    "transpose all": (Transpose(), [draw(3, 70, 65)], (), lambda x: x.T),
    "concat": (Concat(1), [draw(2, 3, 4), draw(2, 0, 4), draw(2, 5, 4)], (), lambda *x: np.concatenate(x, 1)),
    "concat last": (Concat(-1), [draw(7, 1), draw(7, 3)], (), lambda *x: np.concatenate(x, 1)),
    "split": (Split(-1, 3), [draw(4, 10), ints(2, 0, 8)], (1,), lambda x, s: np.split(x, [2, 2], 1)),
    "split uneven": (Split(0, 3, True), [draw(7, 2)], (), lambda x: np.split(x, [3, 6])),
    "slice": (Slice(), [draw(5, 6, 7), ints(-1, 1), ints(-HUGE - 1, HUGE), ints(2, 0), ints(-2, 3)], (1, 2, 3, 4),
              lambda x, *_: x[1::3, :, ::-2]),
    "slice none": (Slice(), [draw(5, 6), ints(4), ints(2)], (1, 2), lambda x, *_: x[4:2]),
    "slice far": (Slice(), [draw(5, 6), ints(-HUGE - 1, HUGE), ints(HUGE, -HUGE - 1), ints(0, 1), ints(HUGE, -HUGE)],
                  (1, 2, 3, 4), lambda x, *_: x[:1, -1:]),
    "expand": (Expand(), [draw(3, 1), ints(2, 1, 4)], (1,), lambda x, s: np.broadcast_to(x, (2, 3, 4))),
    "tile": (Tile(), [draw(2, 1, 3), ints(2, 3, 2)], (1,), lambda x, r: np.tile(x, r)),
    "tile none": (Tile(), [draw(2, 3), ints(2, 0)], (1,), lambda x, r: np.tile(x, r)),
    "depth to space": (DepthToSpace(2), [draw(2, 12, 3, 4)], (),
                       lambda x: x.reshape(2, 2, 2, 3, 3, 4).transpose(0, 3, 4, 1, 5, 2).reshape(2, 3, 6, 8)),
    "depth to space crd": (DepthToSpace(2, True), [draw(2, 12, 3, 4)], (),
                           lambda x: x.reshape(2, 3, 2, 2, 3, 4).transpose(0, 1, 4, 2, 5, 3).reshape(2, 3, 6, 8)),
    "space to depth": (SpaceToDepth(2), [draw(2, 3, 6, 8)], (),
                       lambda x: x.reshape(2, 3, 3, 2, 4, 2).transpose(0, 3, 5, 1, 2, 4).reshape(2, 12, 3, 4)),
    "pad": (Pad(), [draw(3, 4, 5), ints(1, -1, 0, 2, 3, 1), np.float32(7)], (1,),
            lambda x, *_: np.pad(x[:, 1:], ((1, 2), (0, 3), (0, 1)), constant_values=7)),
    "pad edge": (Pad("edge"), [draw(3, 4), ints(2, 1, 0, 3)], (1,), lambda x, p: np.pad(x, ((2, 0), (1, 3)), "edge")),
    "pad reflect": (Pad("reflect"), [draw(3, 4), ints(7, 1, 0, 9)], (1,),
                    lambda x, p: np.pad(x, ((7, 0), (1, 9)), "reflect")),
    "pad wrap": (Pad("wrap"), [draw(3, 4), ints(5, -1, 0, 9)], (1,),
                 lambda x, p: np.pad(x[:, 1:], ((5, 0), (0, 9)), "wrap")),
    "pad a scalar": (Pad("edge"), [draw(), ints()], (1,), lambda x, p: x),
    "pad axes": (Pad(), [draw(3, 4), ints(1, 2), np.float32(7), ints(-1)], (1, 3),
                 lambda x, *_: np.pad(x, ((0, 0), (1, 2)), constant_values=7)),
    "pad a long axis": (Pad(), [draw(1100000), ints(3, 5)], (1,), lambda x, p: np.pad(x, (3, 5))),
    "center": (CenterCropPad((0, 1)), [draw(5, 4, 2), ints(2, 7)], (1,),
               lambda x, s: np.pad(x[1:3], ((0, 0), (1, 2), (0, 0)))),
}


def _types(op, arrays):
    """All kinds of elements; of a long tensor one, and no strings where numbers are filled in."""
    yield np.float32
    if arrays[0].size <= 10000:
        yield from (np.int8, np.float16, np.complex128)
        if not isinstance(op, (Pad, CenterCropPad)):
            yield object


@pytest.mark.parametrize("name, dtype", [pytest.param(name, t, id=f"{name}-{np.dtype(t).name}")
                                         for name, case in CASES.items() for t in _types(*case[:2])])
def test_against_numpy(name, dtype):
    op, arrays, shapes, expected = CASES[name]
    arrays = [a if i in shapes else np.asarray(a).astype(dtype) for i, a in enumerate(arrays)]
    want = expected(*arrays)
    want = want if isinstance(want, list) else [want]
    for got, w in zip(by_python(op, *arrays), want, strict=True):
        np.testing.assert_array_equal(got, w)
    for isa in ISAS:
        for threads in (1, 3):
            results = by_kernel(op, Machine(isa), *arrays, threads=threads, values=shapes)
            assert (results is None) == (dtype is object)
            for got, w in zip(results or (), want, strict=bool(results)):
                np.testing.assert_array_equal(got, w)


BLOCKED = {
    "concat": (Concat(1), [draw(2, 16, 3, 5), draw(2, 32, 3, 5), draw(2, 7, 3, 5)], ()),
    "concat rows": (Concat(2), [draw(2, 20, 3, 5), draw(2, 20, 2, 5)], ()),
    "split": (Split(1, 3), [draw(2, 40, 3, 5), ints(16, 16, 8)], (1,)),
    "slice": (Slice(), [draw(2, 40, 6, 5), ints(16, 4, 1), ints(40, -HUGE, HUGE), ints(1, 2, 3), ints(1, -2, 2)],
              (1, 2, 3, 4)),
    "pad": (Pad(), [draw(2, 20, 3, 5), ints(0, 0, 1, 2, 0, 0, 3, 0), np.float32(3)], (1, 2)),
    "pad reflect": (Pad("reflect"), [draw(2, 20, 3, 5), ints(1, 0, 2, 2, 0, 0, -1, 1)], (1,)),
}


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", BLOCKED)
def test_by_blocks(name, isa):
    op, arrays, shapes = BLOCKED[name]
    blocked = [i for i, a in enumerate(arrays) if np.ndim(a) == 4]
    results = by_kernel(op, Machine(isa), *arrays, threads=3, blocked=blocked, values=shapes)
    for got, want in zip(results, by_python(op, *arrays), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("op, arrays, shapes", [
    (Concat(1), [draw(1, 8, 2, 2), draw(1, 16, 2, 2)], ()), (Split(1, 2), [draw(1, 16, 2, 2)], ()),
    (Slice(), [draw(1, 32, 2, 2), ints(8), ints(32), ints(1)], (1, 2, 3)),
    (Pad(), [draw(1, 20, 2, 2), ints(0, 0, 1, 1, 0, 0, 1, 1), np.float32(-np.inf)], (1, 2)),
    (Pad(), [draw(1, 16, 2, 2), ints(0, 16, 0, 0, 0, 0, 0, 0)], (1,)),
])
def test_not_by_blocks(op, arrays, shapes):
    blocked = [i for i, a in enumerate(arrays) if np.ndim(a) == 4]
    assert by_kernel(op, Machine(), *arrays, blocked=blocked, values=shapes) is None


def test_versions():
    x = draw(2, 6)
    np.testing.assert_array_equal(run("Concat", x, x, opset=3), np.concatenate([x, x], 1))
    np.testing.assert_array_equal(run("Slice", x, opset=9, starts=[1], ends=[-1], axes=[1]), x[:, 1:-1])
    np.testing.assert_array_equal(run("Split", x, opset=2, outputs=2, axis=1, split=[2, 4])[1], x[:, 2:])
    np.testing.assert_array_equal(run("Pad", x, opset=2, pads=[0, 1, 0, 2], value=3.0),
                                  np.pad(x, ((0, 0), (1, 2)), constant_values=3))
    np.testing.assert_array_equal(run("Tile", x, ints(2, 1), opset=6), np.tile(x, (2, 1)))


BAD = [
    ("Transpose", [draw(2, 3)], 13, {"perm": [0, 0]}, r"perm \[0, 0\] is not an order of the axes 0 to 1"),
    ("Transpose", [draw(2, 3)], 13, {"perm": [0]}, "perm"),
    ("Concat", [draw(2, 3), draw(2, 3)], 13, {"axis": 2}, "axis 2 is outside -2 to 1"),
    ("Concat", [draw(2, 3), draw(3, 3)], 13, {"axis": 1}, "axis 0 differs"),
    ("Split", [draw(6), ints(2, 3)], 13, {}, "sums to 5, the axis has 6"),
    ("Split", [draw(6), ints(7, -1)], 13, {}, "below 0"),
    ("Split", [draw(5)], 13, {}, "does not divide into 2"),
    ("Split", [draw(6)], 18, {"num_outputs": 0}, "num_outputs is 0"),
    ("Slice", [draw(6), ints(0), ints(5), ints(0), ints(0)], 13, {}, "has a 0"),
    ("Slice", [draw(6), ints(0), ints(5), ints(7)], 13, {}, "axes 7 is outside -1 to 0"),
    ("Slice", [draw(6, 6), ints(0, 0), ints(5, 5), ints(1, -1)], 13, {}, "twice"),
    ("Slice", [draw(6, 6), ints(0, 0), ints(5)], 13, {}, "ends has 1"),
    ("Slice", [draw(6), ints(0, 0), ints(5, 5)], 13, {}, "axes 1 is outside|axes .0, 1. "),
    ("Expand", [draw(2, 3), ints(2, 4)], 13, {}, "cannot be broadcast"),
    ("Expand", [draw(2, 3), ints(2, -3)], 13, {}, "below 0"),
    ("Tile", [draw(2, 3), ints(2)], 13, {}, "repeats"),
    ("Tile", [draw(2, 3), ints(2, -1)], 13, {}, "below 0"),
    ("Pad", [draw(2, 3), ints(1, 1)], 13, {}, "4 are needed"),
    ("Pad", [draw(2, 3), ints(0, -2, 0, -2)], 13, {}, "cut more than the 3"),
    ("Pad", [draw(2, 3), ints(0, 0, 0, 0)], 13, {"mode": "nearest"}, "mode"),
    ("Pad", [draw(2, 0), ints(0, 1, 0, 1)], 13, {"mode": "edge"}, "no element"),
    ("DepthToSpace", [draw(1, 4, 2, 2)], 13, {"blocksize": 0}, "blocksize is 0"),
    ("DepthToSpace", [draw(1, 4, 2, 2)], 13, {"blocksize": 3}, "do not divide"),
    ("SpaceToDepth", [draw(1, 4, 2, 2)], 13, {"blocksize": 3}, "does not divide"),
    ("OneHot", [ints(1), ints(-1), draw(2)], 13, {}, "depth is -1"),
    ("OneHot", [ints(1), np.array(np.nan, np.float32), draw(2)], 13, {}, "depth is nan"),
    ("ReverseSequence", [draw(3, 2), ints(1, 9)], 10, {}, "length 9 at position 1 is outside 0 to 3"),
    ("ReverseSequence", [draw(3, 2), ints(-3, 1)], 10, {}, "length -3 at position 0"),
    ("CenterCropPad", [draw(3, 2), ints(-3, 1)], 18, {}, "below 0"),
    ("Trilu", [draw(3)], 14, {}, "at least 2"),
]


@pytest.mark.parametrize("name, arrays, opset, attributes, message", BAD)
def test_bad_values(name, arrays, opset, attributes, message):
    with pytest.raises((ModelError, KernelError), match=message) as error:
        run(name, *arrays, opset=opset, outputs=2 if name == "Split" else 1, **attributes)
    assert "node 'node'" in str(error.value)


def test_arrange():
    x = draw(4, 3)
    np.testing.assert_array_equal(by_python(Compress(0), x, np.array([0, 1, 1], bool))[0], x[1:3])
    np.testing.assert_array_equal(by_python(Compress(), x, np.array([0, 1, 1], bool))[0], x.reshape(-1)[1:3])
    np.testing.assert_array_equal(by_python(Trilu(), x, ints(HUGE))[0], np.zeros_like(x))
    np.testing.assert_array_equal(by_python(Trilu(False), x, ints(1))[0], np.tril(x, 1))
    got = by_python(ReverseSequence(), x, ints(2, 0, 4))[0]
    np.testing.assert_array_equal(got, np.stack([x[[1, 0, 2, 3], 0], x[:, 1], x[::-1, 2]], 1))
    got = by_python(OneHot(0), ints(1, -1, 3, -4), ints(3), np.array([5, 9], np.int8))[0]
    np.testing.assert_array_equal(got, np.array([[5, 5, 5, 5], [9, 5, 5, 5], [5, 9, 5, 5]], np.int8))


def test_index_table_of_cut_axes():
    np.testing.assert_array_equal(index_table(5, -1, 2, "edge"), [1, 2, 3, 4, 4, 4])
    np.testing.assert_array_equal(index_table(5, 2, -3, "constant"), [-1, -1, 0, 1])
    np.testing.assert_array_equal(index_table(1, 2, 1, "reflect"), [0, 0, 0, 0])


@pytest.mark.parametrize("name, arrays, opset", [
    ("Expand", [draw(1), ints(2**32, 2**32)], 13), ("Tile", [draw(1, 1), ints(2**31, 2**31)], 13),
    ("Pad", [draw(1), ints(0, 2**40)], 13), ("OneHot", [ints(0), ints(2**40), draw(2)], 13),
    ("CenterCropPad", [draw(1), ints(2**40)], 18), ("ConstantOfShape", [ints(2**40)], 9),
    ("Range", [ints(0).reshape(()), ints(2**62).reshape(()), ints(1).reshape(())], 11),
    ("Resize", [draw(1, 1, 2, 2), None, np.array([1, 1, 1e9, 1e9], np.float32)], 13),
])
def test_results_beyond_the_budget(name, arrays, opset):
    with pytest.raises(LimitError, match=r"node 'node'.*limits\.max_bytes"):
        run(name, *arrays, opset=opset)


def test_small_budgets_count():
    session = Session(model("Expand", [draw(1), ints(1000)], 13), limits=Limits(max_bytes=3000))
    with pytest.raises(LimitError):
        session.run(None, {"i0": draw(1), "i1": ints(1000)})
    assert session.run(None, {"i0": draw(1), "i1": ints(10)})[0].shape == (10,)


@pytest.mark.parametrize("name, arrays, attributes", [
    ("Reshape", [draw(0, 3), ints(2**62, 0)], {"allowzero": 1}), ("Unsqueeze", [draw(1), np.arange(100)], {}),
])
@pytest.mark.parametrize("fed", [True, False])
@pytest.mark.parametrize("optimise", [True, False])
def test_shapes_that_no_array_can_have(name, arrays, attributes, fed, optimise):
    from onnx import numpy_helper

    made = model(name, arrays, 18, **attributes)
    if not fed:
        made.graph.initializer.extend(numpy_helper.from_array(a, f"i{k}") for k, a in enumerate(arrays))
        del made.graph.input[:]
    with pytest.raises(LimitError, match="node 'node'"):
        Session(made, optimise=optimise).run(None, {f"i{k}": a for k, a in enumerate(arrays)} if fed else {})
