"""The nine real architectures with random weights: onnxruntime's answers, and the same bits at any thread count."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from light_models import NAMES, build, feeds

from cynfer.runtime.program import Program
from cynfer.runtime.session import Session

THREADS = (1, 2, 3, 4, 7, 8, 16)


def with_logits(name: str) -> onnx.ModelProto:
    """The model with the input of its last Softmax as a further output: probabilities may hide errors."""
    model = build(name)
    last = model.graph.node[-1]
    if last.op_type == "Softmax":
        model.graph.output.append(onnx.helper.make_tensor_value_info(last.input[0], onnx.TensorProto.FLOAT, None))
    return model


@pytest.fixture(scope="module", params=NAMES)
def case(request):
    """(session, feeds, expected outputs) of one architecture."""
    onnxruntime = pytest.importorskip("onnxruntime")
    model = with_logits(request.param)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    inputs = feeds(model)
    expected = onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, inputs)
    return Session(model, threads=1), inputs, expected


def error(got: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference relative to the largest magnitude."""
    return float(np.abs(got.astype(np.float64) - expected).max() / np.abs(expected).max())


def test_answers_are_those_of_onnxruntime(case):
    session, inputs, expected = case
    for got, wanted in zip(session.run(None, inputs), expected, strict=True):
        assert got.shape == wanted.shape and got.dtype == wanted.dtype
        assert error(got, wanted) <= 1e-3


def test_same_bits_at_any_thread_count(case):
    session, inputs, _ = case
    serial = session.run(None, inputs)
    arrays = session.program.feeds.take(inputs)
    for threads in THREADS[1:]:
        program = Program(session.program.graph, session.machine, threads, session.limits)
        for _ in range(2):
            for got, wanted in zip(program.run(arrays), serial, strict=True):
                assert got.tobytes() == wanted.tobytes(), f"{threads} threads"
