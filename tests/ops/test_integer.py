"""8-bit products and convolutions against exact integer arithmetic, and requantising."""

import numpy as np
import pytest
from harness import ISAS, by_kernel, by_python, run

from cynfer.ops.errors import ModelError
from cynfer.ops.integer import ConvInteger, MatMulInteger
from cynfer.ops.machine import Machine
from cynfer.ops.matmul import MatMul

rng = np.random.default_rng(3)
PAIRS = [(a, b) for a in (np.uint8, np.int8) for b in (np.uint8, np.int8)]


def some(dtype, *shape):
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype, endpoint=True)


def product(a, b, za=0, zb=0):
    return np.matmul(a.astype(np.int64) - za, b.astype(np.int64) - zb).astype(np.int32)


@pytest.mark.parametrize("ta, tb", PAIRS)
def test_matmul_integer(ta, tb):
    for sa, sb in (((3, 5), (5, 7)), ((2, 9, 130), (130, 129)), ((2, 1, 4, 6), (3, 6, 5)), ((6,), (6,)), ((4, 6), (6,)),
                   ((0, 3), (3, 2)), ((2, 0), (0, 3))):
        a, b = some(ta, *sa), some(tb, *sb)
        choices = [(None, None), (some(ta), some(tb))]
        if len(sa) > 1 and len(sb) > 1:
            choices += [(some(ta, sa[-2]), some(tb, sb[-1])), (some(ta, *sa[:-1], 1), some(tb, *sb[:-2], 1, sb[-1]))]
        for za, zb in choices:
            row = za if za is None or za.ndim != 1 else za[:, None]
            want = product(a, b, 0 if za is None else row.astype(np.int64), 0 if zb is None else zb.astype(np.int64))
            assert np.array_equal(by_python(MatMulInteger(), a, b, za, zb)[0], want)
            assert np.array_equal(run("MatMulInteger", a, b, za, zb, opset=10), want)
            for isa in ISAS:
                got = by_kernel(MatMulInteger(), Machine(isa), a, b, za, zb, threads=3)
                assert got is None or np.array_equal(got[0], want)


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64, np.uint64])
def test_wide_matmul_wraps(dtype):
    for sa, sb in (((3, 70), (70, 130)), ((2, 3, 4), (2, 4, 5)), ((5,), (5, 3)), ((2, 1, 3, 4), (5, 4, 2))):
        a, b = some(dtype, *sa), some(dtype, *sb)
        want = np.matmul(a, b)
        assert np.array_equal(by_python(MatMul(), a, b)[0], want)
        for isa in ISAS:
            got = by_kernel(MatMul(), Machine(isa), a, b, threads=2)
            assert got is not None
            assert np.array_equal(got[0], want)


def convolved(x, w, zx, zw, group, stride, dilation, pad):
    x = np.pad(x.astype(np.int64) - zx, [(0, 0), (0, 0)] + [(pad, pad)] * (x.ndim - 2))
    w = w.astype(np.int64) - np.reshape(zw, (-1,) + (1,) * (w.ndim - 1))
    sizes = [(d - dilation * (k - 1) - 1) // stride + 1 for d, k in zip(x.shape[2:], w.shape[2:], strict=True)]
    y = np.zeros((x.shape[0], w.shape[0], *sizes), np.int64)
    per_out, per_in = w.shape[0] // group, w.shape[1]
    for at in np.ndindex(*w.shape[2:]):
        part = x[(slice(None), slice(None), *(slice(i * dilation, i * dilation + (n - 1) * stride + 1, stride)
                                              for i, n in zip(at, sizes, strict=True)))]
        for g in range(group):
            taps = w[(slice(g * per_out, (g + 1) * per_out), slice(None), *at)]
            y[:, g * per_out : (g + 1) * per_out] += np.einsum("oc,nc...->no...", taps,
                                                               part[:, g * per_in : (g + 1) * per_in])
    return y.astype(np.int32)


@pytest.mark.parametrize("tx, tw", PAIRS)
def test_conv_integer(tx, tw):
    for shape, kernel, out, group, stride, dilation, pad in (
        ((2, 4, 9, 8), (3, 2), 6, 2, 2, 1, 1), ((1, 3, 11), (3,), 5, 1, 1, 2, 2), ((1, 5, 6, 7), (1, 1), 4, 1, 1, 1, 0),
        ((2, 3, 5, 4), (2, 2), 3, 3, 1, 1, 0), ((1, 2, 4, 5, 6), (2, 2, 3), 3, 1, 1, 1, 1),
    ):
        x, w = some(tx, *shape), some(tw, out, shape[1] // group, *kernel)
        rank = len(kernel)
        op = ConvInteger(None, (stride,) * rank, (dilation,) * rank, (pad,) * 2 * rank, "NOTSET", group)
        for zx, zw in ((None, None), (some(tx), some(tw)), (some(tx, 1), some(tw, out))):
            want = convolved(x, w, 0 if zx is None else int(zx.reshape(())), 0 if zw is None else zw.astype(np.int64),
                             group, stride, dilation, pad)
            assert np.array_equal(by_python(op, x, w, zx, zw)[0], want)
            for isa in ISAS:
                got = by_kernel(op, Machine(isa), x, w, zx, zw, threads=2, values=(3,))
                assert got is not None
                assert np.array_equal(got[0], want)


@pytest.mark.parametrize("to", [np.uint8, np.int8])
def test_qlinear_matmul_rows_and_columns(to):
    a, b = some(np.uint8, 2, 3, 20), some(np.int8, 20, 5)
    za, zb, zy = some(np.uint8, 3), some(np.int8, 5), some(to, 3)
    sa, sb, sy = (rng.uniform(0.01, 0.02, n).astype(np.float32) for n in (3, 5, 3))
    sums = product(a, b, za[:, None].astype(np.int64), zb.astype(np.int64)).astype(np.float32)
    scale = sa[:, None] * sb / (sy[:, None] * 100)
    want = np.clip(np.rint(sums * scale) + zy[:, None], np.iinfo(to).min, np.iinfo(to).max).astype(to)
    got = run("QLinearMatMul", a, sa, za, b, sb, zb, sy * 100, zy, opset=21)
    assert got.dtype == to
    assert np.abs(got.astype(int) - want).max() <= 1


@pytest.mark.parametrize("opset", [10, 21])
def test_qlinear_against_onnxruntime(opset):
    ort = pytest.importorskip("onnxruntime")
    from harness import model

    from cynfer.runtime.session import Session

    x, w, bias = some(np.uint8, 1, 3, 9, 10), some(np.int8, 4, 3, 3, 3), some(np.int32, 4) // (1 << 18)
    one = np.float32
    scales = rng.uniform(0.001, 0.01, 4).astype(np.float32)
    arrays = (x, one(0.02), np.uint8(120), w, scales, np.zeros(4, np.int8), one(0.05), np.uint8(7), bias)
    arrays = [np.asarray(a) for a in arrays]
    m = model("QLinearConv", arrays, opset, pads=[1, 0, 1, 2], strides=[2, 1])
    m.graph.output[0].type.tensor_type.elem_type = 2
    feeds = {f"i{k}": a for k, a in enumerate(arrays)}
    want = ort.InferenceSession(m.SerializeToString()).run(None, feeds)[0]
    for optimise in (False, True):
        assert np.array_equal(Session(m, optimise=optimise).run(None, feeds)[0], want)


def test_small_floats():
    import ml_dtypes

    f8 = np.dtype(ml_dtypes.float8_e4m3fn)
    a, b = (rng.uniform(-2, 2, s).astype(f8) for s in ((3, 4), (4, 5)))
    one, none = np.float32(1), np.zeros((), f8)
    got = run("QLinearMatMul", a, one, none, b, one, none, one, none, opset=21)
    want = np.matmul(a.astype(np.float32), b.astype(np.float32)).astype(f8)
    assert got.dtype == f8
    assert np.array_equal(got.astype(float), want.astype(float))


def test_errors_name_the_value():
    a, b = some(np.uint8, 2, 3), some(np.int8, 3, 4)
    with pytest.raises(ModelError, match=r"zero point of A.*\[5\]|\[5"):
        run("MatMulInteger", a, b, some(np.uint8, 5), opset=10)
    with pytest.raises(ModelError, match="inner dimensions"):
        run("MatMulInteger", a, some(np.int8, 4, 4), opset=10)
    with pytest.raises(ModelError, match=r"zero point of w.*\[3\]"):
        run("ConvInteger", some(np.uint8, 1, 1, 4, 4), some(np.uint8, 2, 1, 2, 2), np.uint8(0), some(np.uint8, 3),
            opset=10)
