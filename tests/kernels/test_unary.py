"""Unary kernels against NumPy in extended precision, on every instruction set, with the error counted in ULP."""

import math

import numpy as np
import pytest

from cynfer.ops.machine import Machine, runnable

SIZES = [0, 1, 3, 15, 16, 17, 63, 64, 65, 67, 4095, 4096, 4097, 20001]
INTS = [f"{s}{b}" for s in "iu" for b in (8, 16, 32, 64)]
L = np.longdouble


def numpy_type(name):
    return np.dtype(f"{name[0]}{int(name[1:]) // 8}")


def floats(count, seed=0):
    """float32 values: all bit patterns alike, plus the range where functions bend, plus special values."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2**32, count, dtype=np.uint64).astype(np.uint32).view(np.float32)
    bits[np.isnan(bits)] = np.nan  # quiet ones: NumPy warns of others
    special = [0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1.1754944e-38,
               3.4028235e38, -3.4028235e38, 88.72283, 88.72284, -87.33655, -103.97208, -103.97209,
               -150, 1e6, 1.0000001, 0.9999999]
    near = [rng.uniform(-r, r, count // 4).astype(np.float32) for r in (2, 12, 110)]
    return np.concatenate([np.array(special, np.float32), bits, *near])


def ulps(y, exact):
    """Largest error in units of the last place of y's type; infinite where NaN, infinities or a zero's sign differ."""
    with np.errstate(all="ignore"):
        want = exact.astype(y.dtype)
        finite = np.isfinite(want) & np.isfinite(y)
        wrong = ~finite & (y != want) & ~(np.isnan(y) & np.isnan(want))
        wrong |= (y == 0) & (want == 0) & (np.signbit(y) != np.signbit(want))
        unit = np.spacing(np.abs(np.where(finite, want, 1))).astype(L)
        error = np.where(finite, np.abs(y.astype(L) - exact) / unit, 0).astype(float)
    return np.inf if wrong.any() else float(error.max(initial=0))


def sigmoid(x):
    z = np.exp(-np.abs(x))
    return np.where(x < 0, z, 1) / (1 + z)


def gate(x, y):
    s = sigmoid(y)
    return np.where(s < L(1e-200), np.copysign(L(0), x), x * s)


def mish(x):
    x = np.where(x < -1000, L(-1000), x)
    t = np.tanh(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))
    return np.where(x < -900, L(-0.0), x * t)


def each(function):
    table = np.frompyfunc(function, 1, 1)
    return lambda x: table(x.astype(float)).astype(L)


def clamp(x, low, high):
    return np.minimum(np.maximum(x, low), high)


f = np.float32
ROOT = L("0.79788456080286535587989211986876")
#: name: (parameters, exact values, ULP allowed)
TABLE = {
    "relu": ([], lambda x: np.where(x < 0, 0, x), 0),
    "leaky_relu": ([f(0.01)], lambda x: np.where(x < 0, L(f(0.01)) * x, x), 0.5),
    "elu": ([f(1.5)], lambda x: np.where(x < 0, L(1.5) * np.expm1(x), x), 3),
    "celu": ([2], lambda x: np.where(x < 0, 2 * np.expm1(x / 2), x), 2),
    "selu": ([1.75, 1.0625], lambda x: np.where(x < 0, L(1.75 * 1.0625) * np.expm1(x), L(1.0625) * x), 3.5),
    "sigmoid": ([], sigmoid, 2.5),
    "hard_sigmoid": ([0.25, 0.5], lambda x: clamp(x / 4 + L(0.5), 0, 1), 0.5),
    "hard_swish": ([], lambda x: x * clamp(x / 6 + L(0.5), 0, 1), None),
    "tanh": ([], np.tanh, 2.5),
    "softplus": ([], lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), 2),
    "softsign": ([], lambda x: x / (1 + np.abs(x)), 1.5),
    "gelu": ([], lambda x: np.where(x < -40, L(-0.0), x / 2 * each(math.erfc)(-x.astype(float) * math.sqrt(0.5))), 4),
    "gelu_tanh": ([], lambda x: gate(x, 2 * ROOT * (x + L("0.044715") * x**3)), 3),
    "silu": ([], lambda x: gate(x, x), 3),
    "swish": ([f(0.7)], lambda x: gate(x, x * L(f(0.7))), 3),
    "mish": ([], mish, 3.5),
    "thresholded_relu": ([1.25], lambda x: np.where(x <= 1.25, 0, x), 0),
    "shrink": ([0.25, 0.75], lambda x: np.where(x < -0.75, x + L(0.25), np.where(x > 0.75, x - L(0.25), 0)), 0.5),
    "clip": ([-1.5, 6], lambda x: clamp(x, -1.5, 6), 0),
    "erf": ([], each(math.erf), 1.5),
    "exp": ([], np.exp, 1.25),
    "expm1": ([], np.expm1, 1.5),
    "log": ([], np.log, 1),
    "log1p": ([], np.log1p, 1.5),
    "sqrt": ([], np.sqrt, 0.5),
    "rsqrt": ([], lambda x: 1 / np.sqrt(x), 1.5),
    "reciprocal": ([], lambda x: 1 / x, 0.5),
    "square": ([], lambda x: x * x, 0.5),
    "abs": ([], np.abs, 0),
    "neg": ([], np.negative, 0),
    "sign": ([], lambda x: np.where(x == 0, 0, np.sign(x)), 0),
    "floor": ([], np.floor, 0),
    "ceil": ([], np.ceil, 0),
    "round": ([], np.rint, 0),
    "sin": ([], lambda x: np.sin(x), 1),
    "cos": ([], lambda x: np.cos(x), 1),
    "tan": ([], lambda x: np.tan(x), 1),
    "asin": ([], np.arcsin, 0.51),
    "acos": ([], np.arccos, 0.51),
    "atan": ([], np.arctan, 0.51),
    "sinh": ([], np.sinh, 0.51),
    "cosh": ([], np.cosh, 0.51),
    "asinh": ([], np.arcsinh, 0.51),
    "acosh": ([], np.arccosh, 0.51),
    "atanh": ([], np.arctanh, 0.51),
}


def run(machine, name, x, parameters=(), out=None, threads=1, n=()):
    y = np.empty_like(x, dtype=out)
    machine.call(name, [x, y], n=[x.size, *n], f=[*map(float, parameters), 0.0, 0.0], threads=threads)
    return y


def test_the_table_has_every_kernel():
    names = {k[4:] for k, _ in Machine("base").kernels().items() if k.startswith("f32_")}
    assert set(TABLE) <= names


@pytest.mark.parametrize("isa", runnable())
@pytest.mark.parametrize("name", TABLE)
def test_float32_accuracy(name, isa):
    parameters, exact, allowed = TABLE[name]
    x = floats(100_000)
    with np.errstate(all="ignore"):
        want = exact(x.astype(L))
    y = run(Machine(isa), f"f32_{name}", x, parameters)
    if allowed is None:  # cancellation near a root: an absolute bound instead
        with np.errstate(all="ignore"):
            close = np.abs(y - want) <= 4e-7 * np.abs(x).astype(L) + 1e-45
        assert ((np.isnan(y) & np.isnan(want)) | (y == want) | close).all()
    else:
        assert ulps(y, want) <= allowed


@pytest.mark.parametrize("name", TABLE)
def test_float64_accuracy(name):
    parameters, exact, _ = TABLE[name]
    x = np.concatenate([floats(20_000).astype(float), [np.pi]])
    if name in ("sin", "cos", "tan"):
        x = x[~(np.abs(x) > 1e4)]
    with np.errstate(all="ignore"):
        want = exact(x.astype(L)).astype(float)
        y = run(Machine(runnable()[-1]), f"f64_{name}", x, parameters)
        close = np.abs(y - want) <= 2e-13 * np.abs(want) + 1e-15 * np.minimum(np.abs(x), 10) + 1e-300
    assert ((np.isnan(y) & np.isnan(want)) | (y == want) | close).all()


@pytest.mark.parametrize("isa", runnable())
@pytest.mark.parametrize("name", TABLE)
def test_values_do_not_depend_on_place_or_threads(name, isa):
    machine, parameters = Machine(isa), TABLE[name][0]
    for size in SIZES:
        x = floats(size, seed=size)[-size:] if size else np.empty(0, np.float32)
        whole = run(machine, f"f32_{name}", np.concatenate([x, x, x[:5]]), parameters)
        y = run(machine, f"f32_{name}", x, parameters)
        assert y.tobytes() == whole[:size].tobytes() == whole[size:2 * size].tobytes()
        for threads in (2, 3, 7, 16):
            assert run(machine, f"f32_{name}", x, parameters, threads=threads).tobytes() == y.tobytes()
        machine.call(f"f32_{name}", [x, x], n=[size], f=[*map(float, parameters), 0.0, 0.0])
        assert x.tobytes() == y.tobytes()


@pytest.mark.parametrize("isa", runnable())
def test_nothing_is_written_past_the_end(isa):
    machine = Machine(isa)
    for size in SIZES:
        x, y = np.ones(size + 64, np.float32), np.full(size + 64, 77, np.float32)
        machine.call("f32_exp", [x, y], n=[size], threads=3)
        assert (y[size:] == 77).all() and (y[:size] != 77).all()


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_far_arguments_in_a_chunk_leave_the_near_ones_alone(name):
    machine, x = Machine(), np.linspace(-1000, 1000, 5000, dtype=np.float32)
    y = run(machine, f"f32_{name}", x)
    x[[7, 4200]] = 1e30, np.nan
    z = run(machine, f"f32_{name}", x)
    assert np.isnan(z[4200]) and ulps(z[7:8], getattr(np, name)(L(x[7:8]))) <= 1
    keep = np.delete(np.arange(5000), [7, 4200])
    assert y[keep].tobytes() == z[keep].tobytes()


@pytest.mark.parametrize("isa", runnable())
@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_isnan_and_isinf(kind, isa):
    machine, x = Machine(isa), floats(5000).astype(numpy_type(kind))
    assert (run(machine, f"{kind}_isnan", x, out=bool) == np.isnan(x)).all()
    for up in (0, 1):
        for down in (0, 1):
            want = (np.isposinf(x) & bool(up)) | (np.isneginf(x) & bool(down))
            assert (run(machine, f"{kind}_isinf", x, (down, up), out=bool) == want).all()


@pytest.mark.parametrize("isa", runnable())
@pytest.mark.parametrize("kind", INTS)
def test_integers_wrap(kind, isa):
    machine, dtype = Machine(isa), numpy_type(kind)
    info = np.iinfo(dtype)
    for size in SIZES:
        x = np.random.default_rng(size).integers(info.min, info.max, size, dtype, endpoint=True)
        x[:3] = [info.min, info.max, 0][:size]
        with np.errstate(all="ignore"):
            for name, want in (("relu", np.maximum(x, 0)), ("abs", np.abs(x)), ("neg", np.negative(x)),
                               ("sign", np.sign(x)), ("bitwise_not", ~x)):
                assert (run(machine, f"{kind}_{name}", x, threads=2) == want).all(), name
        low, high = dtype.type(info.min // 2 + 3), dtype.type(info.max // 2)
        if info.bits < 64:
            assert (run(machine, f"{kind}_clip", x, (low, high)) == np.clip(x, low, high)).all()
        assert (run(machine, f"{kind}_clip", x, (-np.inf, 100)) == np.minimum(x, 100)).all()
        assert (run(machine, f"{kind}_clip", x, (5, np.inf)) == np.maximum(x, 5)).all()


def test_not():
    x = np.random.default_rng(0).integers(0, 2, 5000).astype(bool)
    assert (run(Machine(), "b8_not", x) == ~x).all()
