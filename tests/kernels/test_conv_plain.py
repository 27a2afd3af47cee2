"""Plain-layout convolutions against a float64 reference: every kind of geometry, equal bits for any thread count."""

import itertools

import numpy as np
import pytest

from cynfer.ops.machine import Machine, runnable

SCRATCH = 1507328
DTYPES = {"f32": np.float32, "f64": np.float64}
THREADS = (1, 2, 3, 7)
RELU, ADD, MUL_CHANNEL = 1, 11, 14


@pytest.fixture(params=runnable())
def machine(request):
    return Machine(isa=request.param)


def three(values, fill=1):
    return (fill,) * (3 - len(values)) + tuple(values)


def spans(sizes, outs, strides, dilations, pads, taps):
    """Slices (of outputs, of inputs) that one tap joins, per axis."""
    pairs = []
    for size, out, stride, dilation, pad, tap in zip(sizes, outs, strides, dilations, pads, taps, strict=True):
        at = tap * dilation - pad
        lo = max(0, -(at // stride))
        hi = min(out, (size - 1 - at) // stride + 1)
        first, last = lo * stride + at, (hi - 1) * stride + at
        pairs.append((slice(lo, hi), slice(first, last + 1, stride)) if hi > lo else None)
    return pairs


def conv(x, w, outs, groups, strides, dilations, pads):
    """float64 convolution, one tap at a time."""
    m = w.shape[0]
    y = np.zeros((x.shape[0], groups, m // groups, *outs))
    xs = x.reshape(x.shape[0], groups, -1, *x.shape[2:]).astype(np.float64)
    ws = w.reshape(groups, m // groups, *w.shape[1:]).astype(np.float64)
    for taps in itertools.product(*map(range, w.shape[2:])):
        pairs = spans(x.shape[2:], outs, strides, dilations, pads, taps)
        if all(pairs):
            out, inp = zip(*pairs, strict=True)
            y[(..., *out)] += np.einsum("ngcdhw,gmc->ngmdhw", xs[(..., *inp)], ws[(..., *taps)])
    return y.reshape(x.shape[0], m, *outs)


def conv_transpose(x, w, outs, groups, strides, dilations, pads):
    """float64 transposed convolution: what the convolution's gradient scatters."""
    each = w.shape[1]
    y = np.zeros((x.shape[0], groups, each, *outs))
    xs = x.reshape(x.shape[0], groups, -1, *x.shape[2:]).astype(np.float64)
    ws = w.reshape(groups, -1, *w.shape[1:]).astype(np.float64)
    for taps in itertools.product(*map(range, w.shape[2:])):
        pairs = spans(outs, x.shape[2:], strides, dilations, pads, taps)
        if all(pairs):
            inp, out = zip(*pairs, strict=True)
            y[(..., *out)] += np.einsum("ngcdhw,gcm->ngmdhw", xs[(..., *inp)], ws[(..., *taps)])
    return y.reshape(x.shape[0], groups * each, *outs)


def run(machine, kernel, x, w, y_shape, geometry, bias=None, tail=(0,), epilogue=(), f=()):
    """The kernel's output, the same for every thread count."""
    n = [x.shape[0], x.shape[1], y_shape[1], geometry["groups"], *x.shape[2:], *y_shape[2:], *w.shape[2:],
         *geometry["strides"], *geometry["dilations"], *geometry["pads"], *tail]
    results = []
    for threads in THREADS:
        y = np.full(y_shape, np.nan, x.dtype)
        machine.call(kernel, [x, w, bias, y, *epilogue], n, f, scratch=SCRATCH, threads=threads)
        results.append(y)
    assert all(np.array_equal(results[0].view(np.uint8), r.view(np.uint8)) for r in results[1:])
    return results[0]


def check(machine, kind, kernel, reference, n, c, m, groups, sizes, kernels, strides, dilations, pads, extra, *,
          transposed=False, tail=(0,)):
    rng = np.random.default_rng(c * m + sum(sizes))
    dtype = DTYPES[kind]
    sizes, kernels, strides, dilations = three(sizes), three(kernels), three(strides), three(dilations)
    pads, extra = three(pads, 0), three(extra, 0)
    reach = [(k - 1) * d + 1 for k, d in zip(kernels, dilations, strict=True)]
    if transposed:
        outs = [(s - 1) * st + r - 2 * p + e for s, st, r, p, e in zip(sizes, strides, reach, pads, extra, strict=True)]
        w_shape = (c, m // groups, *kernels)
    else:
        room = [s + 2 * p + e - r for s, r, p, e in zip(sizes, reach, pads, extra, strict=True)]
        outs = [r // st + 1 for r, st in zip(room, strides, strict=True)]
        w_shape = (m, c // groups, *kernels)
    x = rng.standard_normal((n, c, *sizes)).astype(dtype)
    w = rng.standard_normal(w_shape).astype(dtype)
    bias = rng.standard_normal(m).astype(dtype)
    geometry = {"groups": groups, "strides": strides, "dilations": dilations, "pads": pads}
    want = reference(x, w, outs, groups, strides, dilations, pads)
    scale = reference(np.abs(x), np.abs(w), outs, groups, strides, dilations, pads) + 2
    bound = 16 * np.finfo(dtype).eps * scale
    assert want.size
    got = run(machine, f"{kind}_{kernel}", x, w, want.shape, geometry)
    assert np.all(np.abs(got - want) <= bound)
    other = rng.standard_normal(want.shape).astype(dtype)
    factor = rng.standard_normal(m).astype(dtype)
    full = run(machine, f"{kind}_{kernel}", x, w, want.shape, geometry, bias, (3, ADD, 4, RELU, -1, MUL_CHANNEL, 5),
               (other, factor))
    column = (1, m, 1, 1, 1)
    after = np.maximum(want + bias.reshape(column) + other, 0) * factor.reshape(column)
    assert np.all(np.abs(full - after) <= bound * (2 + np.abs(factor.reshape(column))) * 2)


#         n, c, m, groups, sizes, kernels, strides, dilations, pads, extra rows at the end
CASES = [
    (1, 1, 1, 1, (1,), (1,), (1,), (1,), (0,), (0,)),
    (2, 3, 5, 1, (40,), (5,), (1,), (1,), (2,), (0,)),
    (1, 4, 6, 2, (100,), (3,), (3,), (4,), (1,), (1,)),
    (1, 3, 20, 1, (33, 35), (7, 7), (2, 2), (1, 1), (3, 3), (0, 0)),
    (1, 40, 30, 1, (14, 14), (3, 3), (1, 1), (1, 1), (1, 1), (0, 0)),
    (2, 70, 33, 1, (7, 7), (3, 3), (1, 1), (1, 1), (1, 1), (0, 0)),
    (1, 300, 17, 1, (5, 9), (1, 1), (1, 1), (1, 1), (0, 0), (0, 0)),
    (1, 1024, 15, 1, (6, 6), (1, 1), (2, 2), (1, 1), (0, 0), (0, 0)),
    (1, 24, 36, 3, (9, 8), (1, 1), (1, 1), (1, 1), (0, 0), (0, 0)),
    (1, 6, 4, 2, (10, 11), (3, 2), (2, 3), (2, 1), (2, 0), (1, 2)),
    (1, 2, 3, 1, (4, 4), (9, 9), (1, 1), (1, 1), (5, 5), (0, 0)),
    (1, 2, 3, 1, (20, 21), (17, 18), (1, 1), (1, 1), (3, 2), (0, 0)),
    (1, 3, 4, 1, (50, 1), (3, 1), (1, 1), (1, 1), (1, 0), (0, 0)),
    (1, 3, 8, 1, (5, 6, 7), (3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), (0, 0, 0)),
    (2, 4, 4, 2, (6, 7, 9), (2, 3, 1), (2, 1, 2), (1, 2, 1), (0, 2, 0), (1, 0, 0)),
    (1, 8, 270, 1, (6, 6), (6, 6), (1, 1), (1, 1), (0, 0), (0, 0)),
    (1, 300, 300, 1, (8, 8), (1, 1), (1, 1), (1, 1), (0, 0), (0, 0)),
]
DEPTHWISE = [
    (1, 1, 1, 1, (1,), (1,), (1,), (1,), (0,), (0,)),
    (2, 5, 5, 5, (14, 14), (3, 3), (1, 1), (1, 1), (1, 1), (0, 0)),
    (1, 3, 6, 3, (15, 17), (5, 5), (2, 2), (1, 1), (2, 2), (0, 0)),
    (1, 4, 4, 4, (112, 112), (3, 3), (2, 2), (1, 1), (0, 0), (1, 1)),
    (1, 2, 2, 2, (7, 7), (7, 7), (1, 1), (1, 1), (3, 3), (0, 0)),
    (1, 3, 3, 3, (30, 31), (3, 4), (3, 2), (2, 3), (2, 1), (0, 1)),
    (1, 2, 4, 2, (5000,), (9,), (1,), (2,), (8,), (0,)),
    (1, 2, 2, 2, (6000,), (300,), (2,), (1,), (5,), (0,)),
    (1, 2, 2, 2, (4, 6, 7), (3, 3, 3), (1, 2, 1), (1, 1, 2), (1, 1, 1), (0, 0, 0)),
    (1, 2, 2, 2, (40, 2000), (30, 30), (1, 1), (1, 60), (0, 0), (0, 0)),
    (1, 2, 2, 2, (300, 200), (3, 3), (1, 1), (1, 1), (1, 1), (0, 0)),
]
TRANSPOSED = [
    (1, 1, 1, 1, (1,), (1,), (1,), (1,), (0,), (0,)),
    (2, 3, 5, 1, (20,), (4,), (2,), (1,), (1,), (0,)),
    (1, 4, 6, 2, (11,), (3,), (3,), (2,), (1,), (2,)),
    (1, 20, 18, 1, (9, 10), (2, 2), (2, 2), (1, 1), (0, 0), (0, 0)),
    (1, 40, 33, 1, (7, 7), (4, 4), (2, 2), (1, 1), (1, 1), (0, 0)),
    (2, 6, 4, 2, (6, 5), (3, 3), (1, 1), (1, 1), (1, 1), (0, 0)),
    (1, 3, 7, 1, (8, 6), (3, 3), (2, 3), (1, 1), (1, 0), (1, 2)),
    (1, 2, 2, 1, (5, 5), (2, 2), (4, 3), (1, 1), (0, 0), (0, 0)),
    (1, 2, 3, 1, (5, 4), (3, 3), (4, 6), (2, 4), (0, 1), (3, 5)),
    (1, 4, 4, 4, (6, 7), (5, 4), (2, 2), (1, 1), (2, 1), (0, 0)),
    (1, 2, 3, 1, (3, 4, 5), (3, 2, 3), (2, 1, 2), (1, 2, 1), (1, 0, 1), (1, 0, 1)),
    (1, 300, 9, 1, (5, 5), (2, 2), (1, 1), (1, 1), (0, 0), (0, 0)),
]


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("case", CASES + DEPTHWISE[:5], ids=str)
def test_conv(machine, kind, case):
    check(machine, kind, "conv_plain", conv, *case)


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("case", DEPTHWISE, ids=str)
def test_depthwise(machine, kind, case):
    check(machine, kind, "conv_dw_plain", conv, *case)


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("case", TRANSPOSED, ids=str)
def test_transposed(machine, kind, case):
    check(machine, kind, "conv_transpose_plain", conv_transpose, *case, transposed=True)


@pytest.mark.parametrize("kernel", ["conv_plain", "conv_dw_plain"])
def test_nan_reaches_only_its_window(machine, kernel):
    x = np.ones((1, 2, 1, 12, 13), np.float32)
    x[0, 1, 0, 4, 5] = np.nan
    w = np.ones((2, 1, 1, 3, 3), np.float32)
    geometry = {"groups": 2, "strides": (1, 1, 1), "dilations": (1, 1, 1), "pads": (0, 1, 1)}
    got = np.isnan(run(machine, f"f32_{kernel}", x, w, x.shape, geometry))
    want = np.zeros_like(got)
    want[0, 1, 0, 3:6, 4:7] = True
    assert np.array_equal(got, want)
