"""RNN, GRU and LSTM against onnxruntime, layouts and lengths against each other, and bad attributes."""

import numpy as np
import pytest
from harness import model, run

from cynfer.ops.errors import CynferError, ModelError
from cynfer.runtime.session import Session

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
TIME, BATCH, SIZE, HIDDEN = 5, 3, 4, 6


def arrays_for(name, direction="forward", seed=0, bias=True, lens=None, states=True, peephole=False):
    rng = np.random.default_rng(seed)
    d, rows = 2 if direction == "bidirectional" else 1, GATES[name] * HIDDEN

    def some(*shape):
        return rng.uniform(-0.7, 0.7, shape).astype(np.float32)

    arrays = [some(TIME, BATCH, SIZE), some(d, rows, SIZE), some(d, rows, HIDDEN), some(d, 2 * rows) if bias else None,
              None if lens is None else np.array(lens, np.int32), some(d, BATCH, HIDDEN) if states else None]
    if name == "LSTM":
        arrays += [some(d, BATCH, HIDDEN) if states else None, some(d, 3 * HIDDEN) if peephole else None]
    return arrays


def theirs(name, arrays, **attributes):
    ort = pytest.importorskip("onnxruntime")
    outputs = 3 if name == "LSTM" else 2
    m = model(name, arrays, 14, outputs, hidden_size=HIDDEN, **attributes)
    for o in m.graph.output:
        o.type.tensor_type.elem_type = 1
    return ort.InferenceSession(m.SerializeToString()).run(
        None, {f"i{k}": a for k, a in enumerate(arrays) if a is not None})


def ours(name, arrays, **attributes):
    return run(name, *arrays, opset=14, outputs=3 if name == "LSTM" else 2, hidden_size=HIDDEN, **attributes)


def same(a, b, tolerance=2e-6):
    for x, y in zip(a, b, strict=True):
        assert x.shape == y.shape
        np.testing.assert_allclose(x, y, atol=tolerance, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(GATES))
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_directions_lengths_states(name, direction):
    for lens in (None, [5, 2, 4], [1, 5, 5]):
        for bias, states in ((True, True), (False, False)):
            arrays = arrays_for(name, direction, bias=bias, lens=lens, states=states)
            same(ours(name, arrays, direction=direction), theirs(name, arrays, direction=direction))


def test_peepholes_coupling_clip_and_reset():
    arrays = arrays_for("LSTM", peephole=True)
    for more in ({}, {"clip": 0.3}):
        same(ours("LSTM", arrays, **more), theirs("LSTM", arrays, **more), 2e-5)
    arrays = arrays_for("GRU", "bidirectional", lens=[3, 5, 1])
    for linear in (0, 1):
        for more in ({}, {"clip": 0.2}):
            same(ours("GRU", arrays, direction="bidirectional", linear_before_reset=linear, **more),
                 theirs("GRU", arrays, direction="bidirectional", linear_before_reset=linear, **more), 2e-5)
    # forget = 1 - input, by hand for one step
    arrays = arrays_for("LSTM")
    arrays[0] = arrays[0][:1]
    x, w, r, b, _, h, c, _ = (None if a is None else a.astype(np.float64) for a in arrays)
    gates = x[0] @ w[0].T + h[0] @ r[0].T + b[0, : 4 * HIDDEN] + b[0, 4 * HIDDEN :]
    i, o, _, g = np.split(gates, 4, -1)
    i, o = 1 / (1 + np.exp(-i)), 1 / (1 + np.exp(-o))
    c = (1 - i) * c[0] + i * np.tanh(g)
    same(ours("LSTM", arrays, input_forget=1)[2:], [c[None]], 1e-6)


@pytest.mark.parametrize(("names", "alpha", "beta"), [
    (["Relu"], [], []), (["LeakyRelu"], [0.2], []), (["ThresholdedRelu"], [0.1], []), (["Affine"], [0.5], [0.1]),
    (["ScaledTanh"], [0.7], [1.3]), (["HardSigmoid"], [0.3], [0.4]), (["Elu"], [0.8], []), (["Softsign"], [], []),
    (["Softplus"], [], []), (["Sigmoid"], [], []), (["HardSigmoid"], [], []), (["LeakyRelu"], [], []),
])
def test_activations(names, alpha, beta):
    arrays = arrays_for("RNN", seed=4)
    more = {"activations": names}
    if alpha:
        more["activation_alpha"] = alpha
    if beta:
        more["activation_beta"] = beta
    same(ours("RNN", arrays, **more), theirs("RNN", arrays, **more))


def test_values_go_to_the_activations_that_take_them():
    arrays = arrays_for("LSTM", seed=5)
    more = {"activations": ["Sigmoid", "LeakyRelu", "Tanh"], "activation_alpha": [0.3]}
    same(ours("LSTM", arrays, **more), theirs("LSTM", arrays, **more))


@pytest.mark.parametrize("name", sorted(GATES))
def test_batch_first_is_a_transpose(name):
    arrays = arrays_for(name, "bidirectional", lens=[4, 5, 2])
    y, *ends = ours(name, arrays, direction="bidirectional")
    swapped = [None if a is None else np.ascontiguousarray(a.swapaxes(0, 1)) if i in (0, 5, 6) else a
               for i, a in enumerate(arrays)]
    y2, *ends2 = ours(name, swapped, direction="bidirectional", layout=1)
    assert np.array_equal(y.transpose(2, 0, 1, 3), y2)
    for a, b in zip(ends, ends2, strict=True):
        assert np.array_equal(a.swapaxes(0, 1), b)


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_types(dtype):
    import ml_dtypes

    to = np.dtype(getattr(ml_dtypes, dtype, None) or dtype)
    arrays = arrays_for("LSTM")
    got = run("LSTM", *(None if a is None else a.astype(to) for a in arrays), opset=22, outputs=3, hidden_size=HIDDEN)
    assert all(g.dtype == to for g in got)
    same([g.astype(np.float64) for g in got], ours("LSTM", arrays), 0.02 if to.itemsize == 2 else 1e-5)


def test_symbolic_time_and_passes():
    arrays = arrays_for("GRU")
    m = model("GRU", arrays, 14, 2, hidden_size=HIDDEN)
    m.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "time"
    session = Session(m)
    feeds = {f"i{k}": a for k, a in enumerate(arrays) if a is not None}
    for n in (5, 2, 0):
        arrays[0] = feeds["i0"] = feeds["i0"][:n]
        same(session.run(None, feeds), ours("GRU", arrays))


def test_errors():
    arrays = arrays_for("LSTM")
    for change, message in (({"direction": "up"}, "'up'"), ({"layout": 2}, "layout is 2"),
                            ({"activations": ["Tanh"]}, "3 are needed"), ({"hidden_size": 7}, "hidden_size is 7"),
                            ({"activations": ["Tanh", "Nope", "Tanh"]}, "'Nope'"),
                            ({"direction": "bidirectional"}, "direction bidirectional")):
        with pytest.raises(ModelError, match=message):
            run("LSTM", *arrays, opset=14, outputs=3, **{"hidden_size": HIDDEN, **change})
    for lens in ([6, 1, 1], [-1, 1, 1]):
        with pytest.raises(CynferError, match="outside 0 to 5"):
            ours("LSTM", arrays_for("LSTM", lens=lens))
    arrays[3] = arrays[3][:, :-1]
    with pytest.raises(ModelError, match="B has shape"):
        ours("LSTM", arrays)
