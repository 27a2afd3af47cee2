"""Blocked convolution against float64 NumPy, for every instruction set and several thread counts."""

import numpy as np
import pytest

from cynfer.ops.kernels import _conv_base as conv
from cynfer.ops.machine import Machine, runnable

E = conv.EPILOGUE


def blocked(x):
    n, c, h, w = x.shape
    full = np.zeros((n, -(-c // 16) * 16, h, w), x.dtype)
    full[:, :c] = x
    return np.ascontiguousarray(full.reshape(n, -1, 16, h, w).transpose(0, 1, 3, 4, 2))


def plain(y, c):
    n, b, h, w, _ = y.shape
    return y.transpose(0, 1, 4, 2, 3).reshape(n, b * 16, h, w)[:, :c]


def reference(x, w, bias, stride, dilation, pads, groups):
    """Convolution in float64: one slice of the padded input per kernel position."""
    x, w = x.astype(np.float64), w.astype(np.float64)
    n, c, _, _ = x.shape
    o, _, kh, kw = w.shape
    top, left, bottom, right = pads
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    oh = (x.shape[2] - (kh - 1) * dilation[0] - 1) // stride[0] + 1
    ow = (x.shape[3] - (kw - 1) * dilation[1] - 1) // stride[1] + 1
    y = np.zeros((n, groups, o // groups, oh, ow))
    for i in range(kh):
        for j in range(kw):
            rows = slice(i * dilation[0], i * dilation[0] + (oh - 1) * stride[0] + 1, stride[0])
            cols = slice(j * dilation[1], j * dilation[1] + (ow - 1) * stride[1] + 1, stride[1])
            part = x[:, :, rows, cols].reshape(n, groups, c // groups, oh * ow)
            taps = w[:, :, i, j].reshape(groups, o // groups, -1)
            y += (taps @ part).reshape(y.shape)
    return y.reshape(n, o, oh, ow) + bias.reshape(1, -1, 1, 1)


def sizes(x, w, out, stride, dilation, pads, groups):
    return [x.shape[0], x.shape[1], *x.shape[2:], *out[1:], *w.shape[2:], *stride, *dilation, pads[0], pads[1], groups]


def run(machine, x, w, bias, out, n, run_groups, steps=(), scalars=(), operands=(), threads=1):
    true_groups = n[15]
    pack = [n[4], w.shape[1], n[7], n[8], true_groups, run_groups]
    packed = np.full(conv.packed_floats(pack), np.nan, np.float32)
    machine.call("f32_pack_conv_c16", [w, packed], pack, threads=threads)
    n = [*n[:15], run_groups, len(steps)]
    for step in steps:
        n += step
    blocks = -(-out[1] // 16)
    y = np.full((out[0], blocks, *out[2:], 16), np.nan, np.float32)
    full = np.zeros(blocks * 16, np.float32)
    full[: len(bias)] = bias
    machine.call("f32_conv_c16", [blocked(x), packed, full, y, *operands], n, scalars,
                 scratch=conv.scratch_bytes(n), threads=threads)
    return y


CASES = {  # N, C, H, W, O, kernel, stride, dilation, pads, groups, groups the kernel runs
    "1x1": (1, 32, 14, 14, 64, (1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 1, 1),
    "1x1 many channels": (2, 520, 7, 7, 72, (1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 1, 1),
    "1x1 stride 2": (1, 48, 28, 29, 32, (1, 1), (2, 2), (1, 1), (0, 0, 0, 0), 1, 1),
    "1x1 padded": (1, 20, 5, 6, 33, (1, 1), (1, 1), (1, 1), (1, 1, 1, 1), 1, 1),
    "3x3": (1, 64, 56, 56, 64, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 1, 1),
    "3x3 narrow": (3, 40, 7, 7, 50, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 1, 1),
    "3x3 stride 2": (2, 32, 56, 56, 48, (3, 3), (2, 2), (1, 1), (1, 1, 1, 1), 1, 1),
    "3x3 stride 2 narrow": (1, 33, 15, 14, 16, (3, 3), (2, 2), (1, 1), (0, 1, 1, 0), 1, 1),
    "3x3 valid": (1, 16, 30, 31, 16, (3, 3), (1, 1), (1, 1), (0, 0, 0, 0), 1, 1),
    "3x3 dilated": (1, 32, 20, 33, 32, (3, 3), (1, 1), (2, 3), (2, 3, 2, 3), 1, 1),
    "3x3 dilated, strided": (1, 16, 21, 40, 32, (3, 3), (2, 3), (3, 2), (2, 3, 4, 5), 1, 1),
    "5x5": (1, 32, 27, 27, 48, (5, 5), (1, 1), (1, 1), (2, 2, 2, 2), 1, 1),
    "1x7": (1, 40, 17, 17, 32, (1, 7), (1, 1), (1, 1), (0, 3, 0, 3), 1, 1),
    "7x1": (1, 40, 17, 17, 32, (7, 1), (1, 1), (1, 1), (3, 0, 3, 0), 1, 1),
    "7x7": (1, 17, 23, 29, 32, (7, 7), (3, 2), (1, 1), (3, 3, 3, 3), 1, 1),
    "stride above kernel": (1, 16, 23, 29, 32, (2, 2), (4, 3), (1, 1), (1, 1, 1, 1), 1, 1),
    "1-D long kernel": (1, 24, 1, 300, 32, (1, 41), (1, 2), (1, 1), (0, 20, 0, 20), 1, 1),
    "groups": (2, 96, 14, 14, 144, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 3, 3),
    "small groups": (1, 64, 14, 14, 64, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 16, 4),
    "small uneven groups": (1, 64, 14, 14, 128, (3, 3), (2, 2), (1, 1), (1, 1, 1, 1), 8, 4),
    "odd groups made dense": (1, 30, 9, 9, 20, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 5, 1),
    "padding beyond the input": (1, 16, 2, 3, 16, (3, 3), (1, 1), (1, 1), (4, 5, 4, 5), 1, 1),
    "one pixel": (1, 70, 1, 1, 90, (1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 1, 1),
    "bands": (2, 256, 56, 60, 128, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 1, 1),
    "flat bands": (1, 256, 90, 91, 32, (1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 1, 1),
    "copied flat bands": (1, 64, 400, 15, 320, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 1, 1),
}


def problem(case):
    n, c, h, w, o, kernel, stride, dilation, pads, groups, run_groups = CASES[case]
    rng = np.random.default_rng(len(case) + c)
    x = rng.standard_normal((n, c, h, w), np.float32)
    weights = rng.standard_normal((o, c // groups, *kernel), np.float32)
    bias = rng.standard_normal(o, np.float32)
    want = reference(x, weights, bias, stride, dilation, pads, groups)
    size = reference(abs(x), abs(weights), abs(bias), stride, dilation, pads, groups)
    return x, weights, bias, want, size, sizes(x, weights, want.shape, stride, dilation, pads, groups), run_groups


@pytest.mark.parametrize("case", CASES)
def test_conv_matches_float64_at_any_thread_count(case):
    x, w, bias, want, size, n, groups = problem(case)
    for isa in runnable():
        machine = Machine(isa)
        first = run(machine, x, w, bias, want.shape, n, groups)
        error = abs(plain(first, want.shape[1]) - want) / size
        assert error.max() < 2e-6, isa
        for threads in (2, 3, 7):
            again = run(machine, x, w, bias, want.shape, n, groups, threads=threads)
            assert np.array_equal(first.view(np.int32), again.view(np.int32)), (isa, threads)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gelu(x):
    from math import erf
    return 0.5 * x * (1 + np.vectorize(erf)(x / np.sqrt(2)))


STEPS = {
    "relu": ((), lambda x, z: np.maximum(x, 0)),
    "clip": ((-0.5, 1.5), lambda x, z: np.clip(x, -0.5, 1.5)),
    "leaky": ((0.1,), lambda x, z: np.where(x < 0, 0.1 * x, x)),
    "sigmoid": ((), lambda x, z: sigmoid(x)),
    "tanh": ((), lambda x, z: np.tanh(x)),
    "hardsigmoid": ((0.2, 0.5), lambda x, z: np.clip(0.2 * x + 0.5, 0, 1)),
    "hardswish": ((), lambda x, z: x * np.clip(x / 6 + 0.5, 0, 1)),
    "silu": ((), lambda x, z: x * sigmoid(x)),
    "elu": ((0.7,), lambda x, z: np.where(x < 0, 0.7 * np.expm1(x), x)),
    "gelu": ((), lambda x, z: gelu(x)),
    "add": ((), lambda x, z: x + z),
    "mul": ((), lambda x, z: x * z),
    "add_channel": ((), lambda x, z: x + z[:1, :, :1, :1]),
    "mul_channel": ((), lambda x, z: x * z[:1, :, :1, :1]),
    "add_scalar": ((1.5,), lambda x, z: x + 1.5),
    "mul_scalar": ((-2.5,), lambda x, z: x * -2.5),
}
LISTS = [[kind] for kind in STEPS] + [
    ["add", "relu"], ["relu", "add"], ["add", "relu", "mul"], ["clip", "mul_channel", "add"],
    ["mul_channel", "add_channel", "relu"], ["add_scalar", "hardswish", "add", "relu"],
]


@pytest.mark.parametrize("kinds", LISTS, ids="-".join)
@pytest.mark.parametrize("case", ["1x1 many channels", "3x3 stride 2 narrow", "groups"])
def test_epilogue_steps_run_in_order(kinds, case):
    x, w, bias, want, _, n, groups = problem(case)
    w = w / np.float32(np.sqrt(w[0].size))
    z = np.random.default_rng(5).standard_normal(want.shape).astype(np.float32)
    want = reference(x, w, bias, n[9:11], n[11:13], CASES[case][8], CASES[case][9])
    operands, steps, scalars = [blocked(z), blocked(z)[0, :, 0, 0].copy()], [], []
    for kind in kinds:
        values, f = STEPS[kind]
        operand = 5 if kind.endswith("channel") else 4 if kind in ("add", "mul") else -1
        steps.append((E[kind], operand))
        scalars += [*values, 0.0, 0.0][:2]
        want = f(want, z)
    for isa in runnable():
        got = run(Machine(isa), x, w, bias, want.shape, n, groups, steps, scalars, operands, threads=2)
        np.testing.assert_allclose(plain(got, want.shape[1]), want, rtol=2e-5, atol=2e-5, err_msg=isa)


@pytest.mark.parametrize("kind", ["relu", "clip"])
@pytest.mark.parametrize("lead", [[], ["mul_scalar"]], ids=["in registers", "on the stored tile"])
def test_nan_passes_relu_and_clip(kind, lead):
    x, w, bias, want, _, n, groups = problem("1x1")
    x[0, 3, 5, 6] = np.nan
    steps = [(E[k], -1) for k in [*lead, kind]]
    scalars = [1.0, 0.0] * len(lead) + [0.0, 6.0]
    for isa in runnable():
        got = plain(run(Machine(isa), x, w, bias, want.shape, n, groups, steps, scalars), want.shape[1])
        where = np.isnan(got)
        assert where[0, :, 5, 6].all() and where.sum() == want.shape[1], isa


def test_add_operand_may_be_the_output():
    x, w, bias, want, _, n, groups = problem("1x1 many channels")
    for isa in runnable():
        machine = Machine(isa)
        z = blocked(np.random.default_rng(6).standard_normal(want.shape).astype(np.float32))
        steps = [(E["add"], 4), (E["relu"], -1)]
        apart = run(machine, x, w, bias, want.shape, n, groups, steps, [0.0] * 4, [z])
        packed = np.zeros(conv.packed_floats([n[4], w.shape[1], 1, 1, 1, 1]), np.float32)
        machine.call("f32_pack_conv_c16", [w, packed], [n[4], w.shape[1], 1, 1, 1, 1])
        full = np.zeros(-(-n[4] // 16) * 16, np.float32)
        full[: n[4]] = bias
        sizes_ = [*n, 2, E["add"], 4, E["relu"], -1]
        machine.call("f32_conv_c16", [blocked(x), packed, full, z, z], sizes_, [0.0] * 4,
                     scratch=conv.scratch_bytes(sizes_))
        assert np.array_equal(apart, z), isa


@pytest.mark.parametrize("shape", [(0, 16, 5, 5), (1, 16, 0, 5)])
def test_empty_output_is_left_alone(shape):
    n = [*shape, 16, *shape[2:], 1, 1, 1, 1, 1, 1, 0, 0, 1, 0]
    x, w, y = np.empty(0, np.float32), np.zeros(512, np.float32), np.empty(0, np.float32)
    for isa in runnable():
        Machine(isa).call("f32_conv_c16", [x, w, None, y], n, scratch=conv.scratch_bytes(n), threads=2)
