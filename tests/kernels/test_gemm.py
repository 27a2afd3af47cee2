"""Matrix products: packing, edges, strides, batches, bias, epilogues, accuracy, equal bits for any thread count."""

import numpy as np
import pytest

from cynfer.ops.machine import Machine, runnable

SCRATCH = {"f32": 655360, "f64": 917504}
DTYPES = {"f32": np.float32, "f64": np.float64}
WIDTH = {"f32": 32, "f64": 16}
THREADS = (1, 2, 3, 7)
RELU, ADD, ADD_CHANNEL, MUL_SCALAR = 1, 11, 13, 16


@pytest.fixture(params=runnable())
def machine(request):
    return Machine(isa=request.param)


def same_bits(results):
    return all(np.array_equal(results[0].view(np.uint8), r.view(np.uint8)) for r in results[1:])


def pack(machine, kind, b, k, n, strides, batch=1, step=0):
    """Packed panels of B, into a buffer of NaN to see what is left unwritten."""
    width = WIDTH[kind]
    sizes = [batch, k, n, *strides, step]
    results = []
    for threads in THREADS:
        y = np.full((batch, -(-n // width), k, width), np.nan, DTYPES[kind])
        machine.call(f"{kind}_pack_b", [b, y], sizes, threads=threads)
        results.append(y)
    assert same_bits(results)
    return results[0]


def gemm(machine, kind, a, packed, sizes, shape, f=(1, 1), d=None, table=None, epilogue=(), tail=(0,)):
    """C for every thread count; room between rows and after C stays as it was."""
    results = []
    for threads in THREADS:
        c = np.full(shape, np.nan, DTYPES[kind])
        machine.call(f"{kind}_gemm", [a, packed, c, d, table, *epilogue], [*sizes, *tail], f, scratch=SCRATCH[kind],
                     threads=threads)
        results.append(c)
    assert same_bits(results)
    return results[0]


def close(got, want, scale, dtype):
    """Within a few rounding errors of sums of terms that add up to `scale` in absolute value."""
    assert got.shape == want.shape
    assert np.all(np.abs(got - want) <= 16 * np.finfo(dtype).eps * (scale + np.abs(want)) + 1e-30)


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("k", [0, 1, 5, 1025])
@pytest.mark.parametrize("n", [1, 15, 16, 31, 32, 33, 70])
def test_pack(machine, kind, k, n):
    rng = np.random.default_rng(k + n)
    b = rng.standard_normal((2, k, n)).astype(DTYPES[kind])
    width = WIDTH[kind]
    want = np.zeros((2, k, -(-n // width) * width), b.dtype)
    want[:, :, :n] = b
    want = want.reshape(2, k, -(-n // width), width).transpose(0, 2, 1, 3)
    assert np.array_equal(pack(machine, kind, b, k, n, (n, 1), 2, k * n), want)
    transposed = np.ascontiguousarray(b.transpose(0, 2, 1))
    assert np.array_equal(pack(machine, kind, transposed, k, n, (1, k), 2, k * n), want)
    spread = np.full((2, k, n, 3), np.nan, b.dtype)
    spread[..., 0] = b
    assert np.array_equal(pack(machine, kind, spread, k, n, (3 * n, 3), 2, 3 * k * n), want)


SIZES = [(1, 1, 1), (1, 33, 300), (1, 100, 3), (2, 32, 257), (3, 5, 7), (4, 64, 64), (5, 31, 8), (6, 16, 9),
         (7, 33, 512), (13, 40, 1), (14, 32, 256), (15, 48, 255), (28, 65, 513), (29, 1, 300), (64, 64, 64),
         (127, 96, 70), (9, 8, 4100), (259, 3, 9000), (21, 7, 33), (253, 34, 260), (300, 200, 520),
         (600, 33, 30), (16, 20, 0)]


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("m, n, k", SIZES)
def test_product(machine, kind, m, n, k):
    rng = np.random.default_rng(m * n + k)
    a = rng.standard_normal((m, k)).astype(DTYPES[kind])
    b = rng.standard_normal((k, n)).astype(DTYPES[kind])
    packed = pack(machine, kind, b, k, n, (n, 1))
    want = a.astype(np.longdouble) @ b.astype(np.longdouble)
    scale = np.abs(a).astype(np.float64) @ np.abs(b)
    got = gemm(machine, kind, a, packed, [1, m, n, k, k, 1, n, 0, 0, 0, 0, 0, 0], (m, n))
    close(got, want, scale, a.dtype)
    turned = gemm(machine, kind, np.ascontiguousarray(a.T), packed, [1, m, n, k, 1, m, n, 0, 0, 0, 0, 0, 0], (m, n))
    close(turned, want, scale, a.dtype)
    wide = np.full((m, k + 1024 - k % 1024), np.nan, a.dtype)
    wide[:, :k] = a
    room = gemm(machine, kind, wide, packed, [1, m, n, k, wide.shape[1], 1, n + 3, 0, 0, 0, 0, 0, 0], (m, n + 3))
    assert np.array_equal(room[:, :n], got)
    assert np.isnan(room[:, n:]).all()


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("m, n, k", [(1, 40, 300), (20, 33, 20), (17, 70, 300), (3, 3, 0)])
@pytest.mark.parametrize("d_shape", ["row", "column", "scalar", "full"])
def test_bias(machine, kind, m, n, k, d_shape):
    rng = np.random.default_rng(m + n)
    dtype = DTYPES[kind]
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    d = rng.standard_normal({"row": (1, n), "column": (m, 1), "scalar": (1, 1), "full": (m, n)}[d_shape]).astype(dtype)
    strides = {"row": (0, 1), "column": (1, 0), "scalar": (0, 0), "full": (n, 1)}[d_shape]
    packed = pack(machine, kind, b, k, n, (n, 1))
    got = gemm(machine, kind, a, packed, [1, m, n, k, k, 1, n, *strides, 0, 0, 0, 0], (m, n), (0.5, -2.0), d)
    want = 0.5 * (a.astype(np.longdouble) @ b.astype(np.longdouble)) - 2.0 * d.astype(np.longdouble)
    close(got, want, np.abs(a) @ np.abs(b) + 2 * np.abs(d), dtype)


@pytest.mark.parametrize("kind", DTYPES)
def test_batches(machine, kind):
    """Batch strides and offset tables: shared B, shared A, any order."""
    rng = np.random.default_rng(5)
    dtype = DTYPES[kind]
    a, b = rng.standard_normal((3, 9, 20)).astype(dtype), rng.standard_normal((3, 20, 37)).astype(dtype)
    packed = pack(machine, kind, b, 20, 37, (37, 1), 3, 740)
    item = packed[0].size
    base = [3, 9, 37, 20, 20, 1, 37, 0, 0]
    want = np.einsum("bmk,bkn->bmn", a.astype(np.float64), b)
    scale = np.einsum("bmk,bkn->bmn", np.abs(a).astype(np.float64), np.abs(b))
    close(gemm(machine, kind, a, packed, [*base, 180, item, 333, 0], (3, 9, 37)), want, scale, dtype)
    shared = gemm(machine, kind, a, packed, [*base, 180, 0, 333, 0], (3, 9, 37))
    close(shared, np.einsum("bmk,kn->bmn", a.astype(np.float64), b[0]), 20, dtype)
    table = np.array([[180, 2 * item, 0, 0], [0, 0, 333, 0], [360, item, 666, 0]], np.int64)
    mixed = gemm(machine, kind, a, packed, [*base, 0, 0, 0, 0], (3, 9, 37), table=table)
    want = np.stack([a[1].astype(np.float64) @ b[2], a[0].astype(np.float64) @ b[0], a[2].astype(np.float64) @ b[1]])
    close(mixed, want, 20, dtype)


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("m, n, k", [(1, 40, 30), (30, 70, 300)])
def test_epilogue(machine, kind, m, n, k):
    rng = np.random.default_rng(6)
    dtype = DTYPES[kind]
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    other, vector = rng.standard_normal((m, n)).astype(dtype), rng.standard_normal(n).astype(dtype)
    packed = pack(machine, kind, b, k, n, (n, 1))
    tail = [4, ADD_CHANNEL, 6, ADD, 5, RELU, -1, MUL_SCALAR, -1]
    got = gemm(machine, kind, a, packed, [1, m, n, k, k, 1, n, 0, 0, 0, 0, 0, 0], (m, n),
               (1, 1, 0, 0, 0, 0, 0, 0, 3, 0), epilogue=(other, vector), tail=tail)
    want = np.maximum(a.astype(np.float64) @ b + vector + other, 0) * 3
    close(got, want, 3 * np.abs(a) @ np.abs(b) + 9, dtype)


def test_nan_stays_in_its_row(machine):
    a, b = np.ones((20, 300), np.float32), np.ones((300, 40), np.float32)
    a[3, 270], b[5, 39] = np.nan, np.inf
    packed = pack(machine, "f32", b, 300, 40, (40, 1))
    got = gemm(machine, "f32", a, packed, [1, 20, 40, 300, 300, 1, 40, 0, 0, 0, 0, 0, 0], (20, 40))
    assert np.isnan(got[3]).all()
    rest = np.delete(got, 3, axis=0)
    assert np.isinf(rest[:, 39]).all() and np.all(rest[:, :39] == 300)


@pytest.mark.parametrize("draw", ["normal", "relu", "uniform", "wide"])
@pytest.mark.parametrize("m", [1, 16])
def test_accuracy(machine, draw, m):
    """Against float32 fused multiply-add sums in blocks of 256: at most 1.1x the rms error and 2x the largest."""
    rng = np.random.default_rng(7)
    k, n = 4608, 256
    make = {"normal": lambda s: rng.standard_normal(s), "relu": lambda s: np.maximum(rng.standard_normal(s), 0),
            "uniform": lambda s: rng.random(s), "wide": lambda s: np.exp(3 * rng.standard_normal(s))}[draw]
    a, b = make((m, k)).astype(np.float32), make((k, n)).astype(np.float32)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    total = np.zeros((m, n), np.float32)
    for start in range(0, k, 256):
        part = np.zeros((m, n), np.float32)
        for i in range(start, start + 256):
            # A float32 product is exact in float64: one rounding, as a fused multiply-add has.
            part = (part + a[:, i, None].astype(np.float64) * b[i]).astype(np.float32)
        total += part
    packed = pack(machine, "f32", b, k, n, (n, 1))
    got = gemm(machine, "f32", a, packed, [1, m, n, k, k, 1, n, 0, 0, 0, 0, 0, 0], (m, n))
    error, reference = np.abs(got - exact), np.abs(total - exact)
    assert error.max() <= 2 * reference.max()
    # Builds without fused multiply-add round twice per step.
    slack = 1.1 if machine.isa != "base" else 1.5
    assert np.sqrt((error**2).mean()) <= slack * np.sqrt((reference**2).mean())
