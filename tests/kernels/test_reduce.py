"""Reduction kernels against NumPy in float64 (or wrapping integers)."""

import numpy as np
import pytest

from cynfer.ops.machine import Machine, runnable

ISAS = runnable()
THREADS = (2, 3, 7)
REAL = {"f32": np.float32, "f64": np.float64}
INTEGER = {f"{k}{b}": np.dtype(f"{k}{b // 8}") for k in "iu" for b in (8, 16, 32, 64)}
SHAPES = [(3, 10, 1), (1, 1, 1), (2, 33, 1), (1, 5000, 1), (70, 47, 1), (2, 7, 3), (1, 300, 65), (2, 700, 130),
          (4, 1, 9), (2, 0, 3), (3, 0, 1), (0, 4, 2)]


def draw(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


def run(machine, kernel, x, chunks=1, tail=(), f=()):
    y = np.full((x.shape[0], chunks, x.shape[2]), 77, x.dtype)
    machine.call(kernel, [x, y], [*x.shape, chunks, *tail], f)
    for threads in THREADS:
        again = np.full_like(y, 78)
        machine.call(kernel, [x, again], [*x.shape, chunks, *tail], f, threads=threads)
        assert again.tobytes() == y.tobytes()
    return y


SUMS = {  # name: (map, last, reference)
    "sum": (0, 0, lambda x: x.sum(1)),
    "mean": (0, 1, lambda x: x.mean(1)),
    "l1": (1, 0, lambda x: np.abs(x).sum(1)),
    "sum_square": (2, 0, lambda x: (x * x).sum(1)),
    "l2": (2, 2, lambda x: np.sqrt((x * x).sum(1))),
    "log_sum": (1, 3, lambda x: np.log(np.abs(x).sum(1))),
    "l3": (3, 4, lambda x: (np.abs(x) ** 3).sum(1) ** (1 / 3)),
}


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("what", SUMS)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value", "ignore:Mean of empty")
def test_sums(isa, name, what):
    code, last, reference = SUMS[what]
    for shape in SHAPES:
        x = draw(shape, REAL[name])
        want = reference(x.astype(np.float64))
        eps = np.finfo(x.dtype).eps
        magnitude = np.abs(x).astype(np.float64).sum(1) / (shape[1] if what == "mean" else 1) + 1e-300
        got = run(Machine(isa), f"{name}_reduce_sum", x, 1, [code, last, shape[1]], [3.0])[:, 0]
        tolerance = (3 if name == "f32" else 16) * eps * (magnitude if what in ("sum", "mean") else np.abs(want) + 1)
        assert ((np.abs(got - want) <= tolerance) | (got == want) | np.isnan(got) & np.isnan(want)).all(), shape
        parts = run(Machine(isa), f"{name}_reduce_sum", x, 5, [code, 0, 0], [3.0])
        joined = run(Machine(isa), f"{name}_reduce_sum", parts, 1, [0, last, shape[1]], [3.0])[:, 0]
        assert ((np.abs(joined - want) <= 2 * tolerance) | (joined == want) | np.isnan(joined) & np.isnan(want)).all()


@pytest.mark.parametrize("isa", ISAS)
def test_long_sums_stay_accurate(isa):
    x = np.abs(draw((1, 1 << 20, 1), np.float32)) + 1
    got = run(Machine(isa), "f32_reduce_sum", x, 1, [0, 0, 0])[0, 0, 0]
    assert abs(got / x.sum(dtype=np.float64) - 1) < 6e-8
    x = x.reshape(1, -1, 8)
    got = run(Machine(isa), "f32_reduce_sum", x, 1, [0, 0, 0])[0, 0]
    np.testing.assert_allclose(got, x[0].sum(0, dtype=np.float64), rtol=1e-6)


@pytest.mark.parametrize("name", ["i32", "i64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_integer_sums_wrap(name, shape):
    x = draw(shape, INTEGER[name])
    with np.errstate(over="ignore"):
        for code, want in ((0, x), (1, np.abs(x)), (2, x * x)):
            got = run(Machine(), f"{name}_reduce_sum", x, 1, [code, 0, 0])[:, 0]
            np.testing.assert_array_equal(got, want.sum(1, dtype=x.dtype))
        got = run(Machine(), f"{name}_reduce_prod", x)[:, 0]
        np.testing.assert_array_equal(got, x.prod(1, dtype=x.dtype))
    small = x % 1000 - 300
    got = run(Machine(), f"{name}_reduce_sum", small, 1, [0, 1, shape[1]])[:, 0]
    total = small.sum(1)
    want = np.sign(total) * (np.abs(total) // max(1, shape[1])) if shape[1] else total * 0
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", REAL)
def test_prod(isa, name):
    for shape in SHAPES:
        x = draw(shape, REAL[name])
        got = run(Machine(isa), f"{name}_reduce_prod", x)[:, 0]
        np.testing.assert_allclose(got, x.astype(np.float64).prod(1), rtol=1e-6 if name == "f32" else 1e-12, atol=1e-40)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", REAL)
def test_log_sum_exp(isa, name):
    for shape in SHAPES:
        if shape[1] == 0:
            continue
        x = draw(shape, REAL[name]) * 50
        if x.size > 30:
            x[0, 0, 0] = -np.inf
        want = np.logaddexp.reduce(x.astype(np.float64), axis=1)
        rtol = 1e-6 if name == "f32" else 1e-14
        for chunks in (1, 4):
            got = run(Machine(isa), f"{name}_reduce_log_sum_exp", x, chunks)
            if chunks > 1:
                got = run(Machine(isa), f"{name}_reduce_log_sum_exp", got)
            np.testing.assert_allclose(got[:, 0], want, rtol=rtol, atol=rtol)
    for special in (-np.inf, np.inf, np.nan):
        x = np.full((2, 40, 3), -np.inf, REAL[name])
        x[:, 20] = special
        np.testing.assert_array_equal(run(Machine(isa), f"{name}_reduce_log_sum_exp", x), np.full((2, 1, 3), special))
        x = np.ascontiguousarray(x[:, :, :1])
        np.testing.assert_array_equal(run(Machine(isa), f"{name}_reduce_log_sum_exp", x), np.full((2, 1, 1), special))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", {**REAL, **INTEGER})
@pytest.mark.parametrize("what", ["max", "min"])
def test_extremes(isa, name, what):
    dtype = {**REAL, **INTEGER}[name]
    for shape in SHAPES:
        x = draw(shape, dtype)
        got = run(Machine(isa), f"{name}_reduce_{what}", x)[:, 0]
        if shape[1]:
            np.testing.assert_array_equal(got, getattr(x, what)(1))
        else:
            high, low = (np.inf, -np.inf) if name in REAL else (np.iinfo(dtype).max, np.iinfo(dtype).min)
            assert (got == (low if what == "max" else high)).all()
        parts = run(Machine(isa), f"{name}_reduce_{what}", x, 3)
        np.testing.assert_array_equal(run(Machine(isa), f"{name}_reduce_{what}", parts)[:, 0], got)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("what", ["max", "min"])
def test_nan_wins_at_any_position(isa, name, what):
    for inner, length in ((1, 70), (3, 9)):
        for at in range(length):
            x = draw((1, length, inner), REAL[name])
            x[0, at, 0] = np.nan
            got = run(Machine(isa), f"{name}_reduce_{what}", x)[0, 0]
            assert np.isnan(got[0])
            np.testing.assert_array_equal(got[1:], getattr(x, what)(1)[0, 1:])
