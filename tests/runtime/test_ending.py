"""How a run ends before its time, and what a session survives."""

from __future__ import annotations

import copy
import pickle
import threading
import time

import numpy as np
import pytest
from small_models import A, B, Y, add_relu, matmuls, parse, run

import cynfer
from cynfer.runtime.executor import Code, Workspace


@pytest.fixture(scope="module")
def long_session():
    """A run that takes seconds, in native code: tests end it before."""
    return cynfer.InferenceSession(matmuls(2000, 2000, 60))


LONG = {"x": np.ones((2000, 2000), np.float32)}


def test_timeout_ends_a_long_run(long_session):
    before = long_session.run(["r0"], LONG)[0]
    began = time.monotonic()
    with pytest.raises(cynfer.RunTimeoutError) as raised:
        long_session.run(None, LONG, timeout=0.05)
    assert time.monotonic() - began < 5
    assert isinstance(raised.value, TimeoutError)
    assert long_session.run(["r0"], LONG, timeout=600)[0].tobytes() == before.tobytes()
    for forever in (1e12, float("inf")):
        long_session.run(["r0"], LONG, timeout=forever)
    for bad in (0, -1, float("nan"), "5"):
        with pytest.raises(cynfer.InputError, match="timeout"):
            long_session.run(["r0"], LONG, timeout=bad)


@pytest.mark.parametrize("body", ["o = Add(v, one)", "o = Relu(v)"])
def test_timeout_ends_an_endless_loop(body):
    s = cynfer.InferenceSession(parse(f"""g (float[2] x, int64 trips) => (float[2] y)
        <bool yes = {{1}}, float one = {{1}}> {{
        y = Loop <body = inner (int64 i, bool c, float[2] v) => (bool c2, float[2] o)
            {{ c2 = Identity(c) {body} }}> (trips, yes, x)
    }}"""))
    x = np.array([1, 2], np.float32)
    expected = s.run(None, {"x": x, "trips": 3})[0]
    with pytest.raises(cynfer.RunTimeoutError):
        s.run(None, {"x": x, "trips": 2**62}, timeout=0.1)
    options = cynfer.RunOptions()
    threading.Timer(0.1, setattr, (options, "terminate", True)).start()
    with pytest.raises(cynfer.RunCancelledError):
        s.run(None, {"x": x, "trips": 2**62}, options)
    assert np.array_equal(s.run(None, {"x": x, "trips": 3})[0], expected)


def test_default_timeout_of_limits():
    s = cynfer.InferenceSession(matmuls(2000, 2000, 60), limits=cynfer.Limits(max_seconds=0.05))
    with pytest.raises(cynfer.RunTimeoutError):
        s.run(None, LONG)


def test_terminate_from_another_thread(long_session):
    options = cynfer.RunOptions()
    timer = threading.Timer(0.1, setattr, (options, "terminate", True))
    timer.start()
    began = time.monotonic()
    with pytest.raises(cynfer.RunCancelledError):
        long_session.run(None, LONG, options)
    assert time.monotonic() - began < 5
    with pytest.raises(cynfer.RunCancelledError):
        long_session.run(["r0"], LONG, options)
    options.terminate = False
    long_session.run(["r0"], LONG, options)


def test_close_while_running():
    s = cynfer.InferenceSession(matmuls(2000, 2000, 60))
    threading.Timer(0.1, s.close).start()
    with pytest.raises(cynfer.RunCancelledError):
        s.run(None, LONG)
    with pytest.raises(cynfer.InputError, match="closed"):
        s.run(None, LONG)


def test_closed_session():
    with cynfer.InferenceSession(add_relu()) as s:
        run(s, a=A, b=B)
    s.close()
    s.trim()
    for names in (None, ["y"], ["s"]):
        with pytest.raises(cynfer.InputError, match="closed"):
            s.run(names, {"a": A, "b": B})
    assert s.get_inputs()[0].name == "a" and s.get_outputs()[0].name == "y"


def test_trim_keeps_the_session_usable(session):
    session.run(["s"], {"a": A, "b": B})
    session.trim()
    assert np.array_equal(run(session, a=A, b=B), Y)


def test_run_async(session):
    results = []
    done = threading.Event()

    def callback(values, user_data, error):
        results.append((values, user_data, error))
        done.set()

    session.run_async(None, {"a": A, "b": B}, callback, "mine")
    assert done.wait(60) and np.array_equal(results[0][0][0], Y) and results[0][1:] == ("mine", "")
    done.clear()
    session.run_async(None, {"a": A}, callback, None)
    assert done.wait(60) and results[1][0] == [] and "'b' is missing" in results[1][2]


def test_pickle_and_deepcopy(session, tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(add_relu().SerializeToString())
    for s in (session, cynfer.InferenceSession(path, threads=1, isa="base")):
        for twin in (pickle.loads(pickle.dumps(s)), copy.deepcopy(s)):
            assert type(twin) is type(s) and twin.machine.isa == s.machine.isa and twin.threads == s.threads
            assert np.array_equal(run(twin, a=A, b=B), Y)


def test_a_cancel_that_comes_too_late_leaves_the_next_run_alone():
    workspace = Workspace(Code([], {}, {}, 0, 0), 1)
    first, second = object(), object()
    workspace.begin(None, first)
    workspace.end()
    workspace.begin(None, second)
    workspace.cancel(first)
    workspace.check()
    workspace.cancel(second)
    with pytest.raises(cynfer.RunCancelledError):
        workspace.check()


def test_faults_of_a_stopped_run_are_forgotten():
    s = cynfer.InferenceSession(parse("g (float[5] x, int64[1] i) => (float[1] y) { y = Gather(x, i) }"))
    segment = s.program.plan([[5], [1]])
    workspace = Workspace(segment.code, 1)
    arrays = {"x": np.zeros(5, np.float32), "y": np.zeros(1, np.float32)}
    for index in (99, 77):
        workspace.begin(None, None)
        arrays["i"] = np.array([index])
        for value, found in segment.storage.items():
            workspace.bind(found.slot, arrays[value.name])
        assert workspace.run(0, segment.steps[0].stop) == 0
        workspace.end()
    assert "index 77" in workspace.fault()
