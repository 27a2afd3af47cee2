"""The walk over time against its NumPy form, for sizes around the width of panels and units of rows."""

import numpy as np
import pytest
from harness import ISAS, by_kernel, by_python

from cynfer.ops.errors import KernelError
from cynfer.ops.machine import Machine
from cynfer.ops.recurrent import KINDS, Recurrent, choose

CASES = [(kind, direction, hidden, batch) for kind in sorted(KINDS) for direction in ("forward", "bidirectional")
         for hidden, batch in ((1, 1), (31, 2), (32, 5), (33, 13), (300, 3))]


def inputs(kind, direction, hidden, batch, dtype, first, lens=True, peephole=True):
    rng = np.random.default_rng(hidden)
    d, gates, time = 1 + (direction == "bidirectional"), KINDS[kind].gates, 4

    def some(*shape):
        return (rng.standard_normal(shape) / max(1, shape[-1]) ** 0.5).astype(dtype)

    state = (batch, d, hidden) if first else (d, batch, hidden)
    return [some(*((batch, time) if first else (time, batch)), d * gates * hidden), some(d, gates * hidden, hidden),
            some(d, 2 * gates * hidden), rng.integers(0, time + 1, batch).astype(np.int32) if lens else None,
            some(*state), some(*state) if kind == "lstm" else None,
            some(d, 3 * hidden) if kind == "lstm" and peephole else None]


def operator(kind, direction, first=False, names=(), **more):
    return Recurrent(kind, direction, choose(kind, 1 + (direction == "bidirectional"), names, (), ()), None, first,
                     **more)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("kind", "direction", "hidden", "batch"), CASES)
def test_against_numpy(isa, kind, direction, hidden, batch):
    m = Machine(isa)
    for dtype, tolerance in ((np.float32, 3e-6), (np.float64, 1e-12)):
        options = {"gru": {"after_reset": True}, "lstm": {"coupled": True}, "rnn": {}}[kind]
        for first, extra in ((False, {}), (True, options)):
            op = operator(kind, direction, first, **extra)
            arrays = inputs(kind, direction, hidden, batch, dtype, first, lens=first, peephole=first)
            want = by_python(op, *arrays)
            got = by_kernel(op, m, *arrays)
            for a, b in zip(got, want, strict=True):
                np.testing.assert_allclose(a, b, atol=tolerance, rtol=0)
            for threads in (2, 3, 7):
                again = by_kernel(op, m, *arrays, threads=threads)
                assert all(np.array_equal(a, b) for a, b in zip(got, again, strict=True))


@pytest.mark.parametrize("isa", ISAS)
def test_relu_absent_operands_and_nan(isa):
    op = operator("rnn", "reverse", names=("Relu",))
    arrays = inputs("rnn", "reverse", 40, 3, np.float32, False, lens=False)
    arrays[2:] = [None] * 5
    np.testing.assert_allclose(by_kernel(op, Machine(isa), *arrays)[0], by_python(op, *arrays)[0], atol=3e-6)
    arrays[0][2, 1] = np.nan
    y = by_kernel(op, Machine(isa), *arrays)[0]
    assert np.isnan(y[:3, 0, 1]).all()
    assert np.isfinite(y[:, 0, [0, 2]]).all()


def test_no_kernel_for_other_activations():
    op = operator("lstm", "forward", names=("Sigmoid", "Relu", "Tanh"))
    assert by_kernel(op, Machine(ISAS[0]), *inputs("lstm", "forward", 4, 2, np.float32, False)) is None


@pytest.mark.parametrize("bad", [-1, 5])
def test_bad_length_is_a_fault(bad):
    arrays = inputs("gru", "forward", 4, 3, np.float32, False)
    arrays[3][1] = bad
    with pytest.raises(KernelError, match=f"size {bad} at position 1 is outside 0 to 4"):
        by_kernel(operator("gru", "forward"), Machine(ISAS[0]), *arrays)
