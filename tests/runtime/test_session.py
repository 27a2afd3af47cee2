"""What users call: construction, feeds, outputs, limits of a run, and what a session survives."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
import time

import numpy as np
import onnx
import pytest
from small_models import add_relu, convs, matmuls, parse, typed, with_initializer

import cynfer

A = np.array([[1, -2, 3], [4, 5, -6]], np.float32)
B = np.array([[1, 1, 1], [-9, 1, 1]], np.float32)
Y = np.maximum(A + B, 0)


@pytest.fixture(scope="module")
def session():
    return cynfer.InferenceSession(add_relu())


@pytest.fixture(scope="module")
def long_session():
    """A run that takes seconds, in native code: tests end it before."""
    return cynfer.InferenceSession(matmuls(2000, 2000, 60))


LONG = {"x": np.ones((2000, 2000), np.float32)}


# ------------------------------------------------------------------------------------------------------ the module


def test_import_is_light():
    code = ("import sys, cynfer; cynfer.SessionOptions(); cynfer.InputError; "
            "sys.exit(str({'onnx', 'ml_dtypes', 'rich', 'google'} & set(sys.modules)) "
            "if {'onnx', 'ml_dtypes', 'rich'} & set(sys.modules) else 0)")
    done = subprocess.run([sys.executable, "-c", "import sys, cynfer; assert 'numpy' not in sys.modules"], timeout=60)
    assert done.returncode == 0
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_every_public_name_is_there():
    for name in cynfer.__all__:
        assert getattr(cynfer, name) is not None
        assert name in dir(cynfer)
    with pytest.raises(AttributeError, match="no attribute 'InferenceSesion'"):
        cynfer.InferenceSesion  # noqa: B018


# ------------------------------------------------------------------------------------------------------ the model


def test_model_as_path_bytes_and_proto(tmp_path):
    model = add_relu()
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    for given in (path, str(path), model.SerializeToString(), model, bytearray(model.SerializeToString())):
        assert np.array_equal(cynfer.InferenceSession(given).run(None, {"a": A, "b": B})[0], Y)
    with pytest.raises(cynfer.InputError, match="the model is a int"):
        cynfer.InferenceSession(5)
    with pytest.raises(cynfer.CynferError, match="cannot be opened"):
        cynfer.InferenceSession(tmp_path / "none.onnx")


def test_descriptions(session):
    assert [(i.name, i.type, i.shape) for i in session.get_inputs()] == [
        ("a", "tensor(float)", ["N", 3]), ("b", "tensor(float)", ["N", 3])]
    assert str(session.get_outputs()[0]) == "NodeArg(name='y', type='tensor(float)', shape=['N', 3])"
    assert session.get_providers() == ["CPUExecutionProvider"]
    model = add_relu()
    model.producer_name, model.domain, model.model_version, model.doc_string = "me", "d", 7, "text"
    model.graph.doc_string = "graph text"
    onnx.helper.set_model_props(model, {"k": "v"})
    meta = cynfer.InferenceSession(model).get_modelmeta()
    assert (meta.producer_name, meta.domain, meta.version, meta.description, meta.graph_name, meta.graph_description,
            meta.custom_metadata_map) == ("me", "d", 7, "text", "g", "graph text", {"k": "v"})


def test_unnamed_dimension_is_none():
    model = typed("int64", "?, 2")
    found = cynfer.InferenceSession(model).get_inputs()[0]
    assert (found.type, found.shape) == ("tensor(int64)", [None, 2])


# ------------------------------------------------------------------------------------------------------ feeds


def run(session, **feeds):
    return session.run(None, feeds)[0]


READ_ONLY = A.copy()
READ_ONLY.flags.writeable = False
UNALIGNED = np.frombuffer(b"\0" + A.tobytes(), np.uint8)[1:].view(np.float32).reshape(2, 3)


class Subclass(np.ndarray):
    pass


class Pack:
    """Something that speaks DLPack only."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **kwargs):
        return self.array.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


@pytest.mark.parametrize("given", [
    A, np.asfortranarray(A), np.repeat(A, 2, 1)[:, ::2], A[::-1][::-1], A[:, ::-1][:, ::-1], READ_ONLY, UNALIGNED,
    A.view(Subclass), np.ma.array(A), A.astype(">f4"), A.tolist(), tuple(map(tuple, A.tolist())),
    [[1, -2, 3], [4, 5, -6]], Pack(A.copy()), cynfer.OrtValue.ortvalue_from_numpy(A), memoryview(A),
], ids=lambda g: type(g).__name__)
def test_feeds_that_are_taken(session, given):
    got = run(session, a=given, b=B)
    assert type(got) is np.ndarray and np.array_equal(got, Y)


def test_zero_stride_zero_size_and_scalars(session):
    row = np.broadcast_to(np.float32(2), (4, 3))
    assert np.array_equal(run(session, a=row, b=row), np.full((4, 3), 4, np.float32))
    assert run(session, a=np.empty((0, 3), np.float32), b=np.empty((0, 3), np.float32)).shape == (0, 3)
    scalar = cynfer.InferenceSession(parse("g (float x) => (float y) { y = Relu(x) }"))
    for given in (np.float32(3), np.array(3, np.float32), 3.0, 3):
        got = run(scalar, x=given)
        assert got.shape == () and got == 3


def test_big_endian_integers():
    s = cynfer.InferenceSession(typed("int64", "2"))
    assert run(s, x=np.array([2, 3], ">i8")).tolist() == [2, 3]


def test_ml_dtypes():
    import ml_dtypes

    s = cynfer.InferenceSession(typed("bfloat16", "2"))
    got = run(s, x=np.array([1, 2], ml_dtypes.bfloat16))
    assert got.dtype == ml_dtypes.bfloat16 and got.tolist() == [1, 2]
    assert run(s, x=[1.0, 2.0]).dtype == ml_dtypes.bfloat16


def test_strings():
    s = cynfer.InferenceSession(typed("string", "2"))
    for given in (["a", "ü"], np.array(["a", "ü"]), np.array(["a", "ü"], object), np.array([b"a", "ü".encode()])):
        got = run(s, x=given)
        assert got.dtype == object and got.tolist() == ["a", "ü"]
    for bad, text in (([1, 2], "int64, tensor"), (np.array(["a", 5], object), "element 1 is a int"),
                      (np.array([b"a", b"\xff"]), "element 1 is not UTF-8")):
        with pytest.raises(cynfer.InputError, match=text):
            run(s, x=bad)


@pytest.mark.parametrize(("feeds", "parts"), [
    ({"a": A.astype(np.float64), "b": B}, ["'a'", "float64", "float32"]),
    ({"a": A.astype(np.int32), "b": B}, ["'a'", "int32", "float32"]),
    ({"a": A.astype(bool), "b": B}, ["'a'", "bool"]),
    ({"a": A.astype(complex), "b": B}, ["'a'", "complex128"]),
    ({"a": A.astype("datetime64[s]"), "b": B}, ["'a'", "datetime64"]),
    ({"a": A.astype(object), "b": B}, ["'a'", "object"]),
    ({"a": A, "b": None}, ["'b'", "None"]),
    ({"a": A, "b": "text"}, ["'b'", "float32"]),
    ({"a": A, "b": [[1], [1, 2]]}, ["'b'", "inhomogeneous"]),
    ({"a": A, "b": [[1j, 0, 0]]}, ["'b'", "complex"]),
    ({"a": A[0], "b": B}, ["'a'", "1 dimensions", "2 are expected", "[N, 3]"]),
    ({"a": A[:, :2], "b": B}, ["'a'", "axis 1 is 2", "3 is expected"]),
    ({"a": A, "b": B[:1]}, ["'b'", "axis 0 is 1", "N is 2", "axis 0 of input 'a'"]),
    ({"a": A}, ["'b' is missing", "'a', 'b'"]),
    ({"a": A, "b": B, "c": A}, ["no input 'c'", "'a', 'b'"]),
    ({"a": A, "B": B}, ["no input 'B'"]),
    ([A, B], ["list", "dict"]),
    (None, ["NoneType", "dict"]),
])
def test_feeds_that_are_refused(session, feeds, parts):
    with pytest.raises(cynfer.InputError) as raised:
        session.run(None, feeds)
    for part in parts:
        assert part in str(raised.value)
    assert np.array_equal(run(session, a=A, b=B), Y)


def test_nearest_name_is_suggested():
    s = cynfer.InferenceSession(parse("g (float[2] pixels) => (float[2] scores) { scores = Relu(pixels) }"))
    with pytest.raises(cynfer.InputError, match="did you mean 'pixels'"):
        s.run(None, {"pixel": np.ones(2, np.float32)})
    with pytest.raises(cynfer.InputError, match="did you mean 'scores'"):
        s.run(["score"], {"pixels": np.ones(2, np.float32)})


def test_numbers_in_lists_must_fit():
    s = cynfer.InferenceSession(typed("uint8", "N"))
    assert run(s, x=[1, 255]).dtype == np.uint8
    for bad in ([256], [-1], [1.5], [True, 300]):
        with pytest.raises(cynfer.InputError, match="'x'"):
            run(s, x=bad)


def test_overridable_initializer():
    s = cynfer.InferenceSession(with_initializer())
    assert [i.name for i in s.get_inputs()] == ["x"]
    assert [(i.name, i.shape) for i in s.get_overridable_initializers()] == [("w", [3])]
    x, w = A, np.array([10, 20, 30], np.float32)
    assert np.array_equal(run(s, x=x), x + np.array([1, 2, 3], np.float32))
    assert np.array_equal(run(s, x=x, w=w), x + w)
    assert np.array_equal(run(s, x=x), x + np.array([1, 2, 3], np.float32))
    with pytest.raises(cynfer.InputError, match=r"'w'.*axis 0 is 2"):
        run(s, x=x, w=w[:2])
    with pytest.raises(cynfer.InputError, match=r"no input 'v'.*'x', 'w'"):
        run(s, x=x, v=w)


# ------------------------------------------------------------------------------------------------------ outputs


def test_outputs_by_name_in_any_order(session):
    feeds = {"a": A, "b": B}
    s, y = session.run(["s", "y"], feeds)
    assert np.array_equal(s, A + B) and np.array_equal(y, Y)
    y1, y2 = session.run(["y", "y"], feeds)
    y1[:] = 7
    assert np.array_equal(y2, Y)
    assert np.array_equal(session.run(["a"], feeds)[0], A)
    assert len(session.run([], feeds)) == 1
    with pytest.raises(cynfer.InputError, match="no output 'z'"):
        session.run(["z"], feeds)
    with pytest.raises(cynfer.InputError, match="list of str"):
        session.run("y", feeds)


def test_only_what_the_outputs_need():
    options = cynfer.RunOptions()
    options.only_execute_path_to_fetches = True
    s = cynfer.InferenceSession(parse(
        "g (int64[2] x, int64[2] d) => (int64[2] p, int64[2] q) { p = Add(x, x) q = Div(x, d) }"))
    feeds = {"x": np.array([1, 2]), "d": np.array([0, 1])}
    with pytest.raises(cynfer.KernelError):
        s.run(["p"], feeds)
    assert s.run(["p"], feeds, options)[0].tolist() == [2, 4]


def test_outputs_own_their_memory(session):
    passed = cynfer.InferenceSession(typed("float", "N"))
    x = np.ones(5, np.float32)
    y = run(passed, x=x)
    x[:] = 2
    assert y.tolist() == [1] * 5
    first = run(session, a=A, b=B)
    run(session, a=-A, b=-B)
    assert np.array_equal(first, Y)
    s = cynfer.InferenceSession(add_relu())
    kept = run(s, a=A, b=B)
    del s
    assert np.array_equal(kept, Y)


def test_runs_repeat_their_bits_and_shapes_alternate():
    s = cynfer.InferenceSession(convs())
    rng = np.random.default_rng(0)
    feeds = [{"x": rng.standard_normal((n, 3, 65, 57)).astype(np.float32)} for n in (1, 2, 3)]
    first = [s.run(None, f)[0] for f in feeds]
    for _ in range(3):
        for f, y in zip(feeds, first, strict=True):
            assert s.run(None, f)[0].tobytes() == y.tobytes()


def test_more_shapes_than_plans():
    s = cynfer.InferenceSession(add_relu(), limits=cynfer.Limits(plans=2))
    for _ in range(2):
        for n in range(1, 7):
            x = np.full((n, 3), n, np.float32)
            assert np.array_equal(run(s, a=x, b=x), 2 * x)


def test_nan_and_infinity_pass(session):
    x = np.array([[np.nan, np.inf, -np.inf]], np.float32)
    got = run(session, a=x, b=np.zeros_like(x))
    assert np.isnan(got[0, 0]) and got[0, 1] == np.inf and got[0, 2] == 0


# ------------------------------------------------------------------------------------------------------ options


def test_providers():
    cynfer.InferenceSession(add_relu(), providers=["CPUExecutionProvider"])
    with pytest.warns(UserWarning, match="CUDAExecutionProvider") as found:
        s = cynfer.InferenceSession(add_relu(), providers=[("CUDAExecutionProvider", {"device_id": 0}),
                                                           "CPUExecutionProvider"])
    assert len(found) == 1 and s.get_providers() == ["CPUExecutionProvider"]
    for bad in ("CPUExecutionProvider", ["CPU"], [5]):
        with pytest.raises(cynfer.InputError, match="providers"):
            cynfer.InferenceSession(add_relu(), providers=bad)
    with pytest.raises(cynfer.InputError, match="no argument 'provider'"):
        cynfer.InferenceSession(add_relu(), provider=["CPUExecutionProvider"])


@pytest.mark.parametrize(("argument", "value"), [
    ("threads", 0.5), ("threads", -1), ("threads", "two"), ("precision", "lowest"), ("isa", "mmx")])
def test_bad_arguments(argument, value):
    with pytest.raises(cynfer.InputError, match=argument):
        cynfer.InferenceSession(add_relu(), **{argument: value})


def test_session_options():
    options = cynfer.SessionOptions()
    options.intra_op_num_threads = 3
    options.graph_optimization_level = cynfer.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_free_dimension_override_by_name("N", 2)
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    s = cynfer.InferenceSession(add_relu(), options)
    assert s.threads == 3 and s.passes == () and s.get_session_options() is options
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert [i.shape for i in s.get_inputs() + s.get_outputs()] == [[2, 3]] * 3
    with pytest.raises(cynfer.InputError, match="axis 0 is 1, 2 is expected"):
        run(s, a=A[:1], b=B[:1])
    assert np.array_equal(run(s, a=A, b=B), Y)
    with pytest.raises(AttributeError):
        options.intra_op_threads = 2
    options.optimized_model_filepath = "x.onnx"
    with pytest.raises(cynfer.UnsupportedError, match="optimized_model_filepath"):
        cynfer.InferenceSession(add_relu(), options)


def test_dimension_by_denotation():
    model = add_relu()
    for info in model.graph.input:
        info.type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
    options = cynfer.SessionOptions()
    options.add_free_dimension_override_by_denotation("DATA_BATCH", 2)
    assert cynfer.InferenceSession(model, options).get_inputs()[0].shape == [2, 3]


def test_initializer_from_options():
    options = cynfer.SessionOptions()
    options.add_initializer("w", cynfer.OrtValue.ortvalue_from_numpy(np.array([5, 5, 5], np.float32)))
    assert np.array_equal(run(cynfer.InferenceSession(with_initializer(), options), x=A), A + 5)
    for bad, text in ((np.zeros(2, np.float32), "shape"), (np.zeros(3), "float64")):
        options.add_initializer("w", bad)
        with pytest.raises(cynfer.InputError, match=text):
            cynfer.InferenceSession(with_initializer(), options)


def test_check_compares_with_passes_off(monkeypatch):
    from cynfer.runtime import session as module

    assert np.array_equal(run(cynfer.InferenceSession(add_relu(), check=True), a=A, b=B), Y)

    def wrong(graph, context, passes=()):
        graph = optimise(graph, context, passes)
        if passes:
            graph.outputs = [graph.nodes[0].outputs[0]]
        return graph

    optimise = module.optimise
    monkeypatch.setattr(module, "optimise", wrong)
    with pytest.raises(cynfer.CynferError, match="check: output 'y' is off by"):
        cynfer.InferenceSession(parse("g (float[9] x) => (float[9] y) { n = Neg(x) y = Relu(n) }"), check=True)


def test_profile(session, tmp_path):
    profile = session.profile({"a": A, "b": B}, runs=3)
    assert profile.steps and profile.seconds > 0 and abs(sum(profile.by("op").values()) - profile.seconds) < 1e-9
    assert "steps" in str(profile)
    options = cynfer.SessionOptions()
    options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "trace_")
    s = cynfer.InferenceSession(add_relu(), options)
    run(s, a=A, b=B)
    import json

    events = json.loads(open(s.end_profiling()).read())
    assert {e["cat"] for e in events} == {"Node", "Session"} and all(e["ph"] == "X" for e in events)
    with pytest.raises(cynfer.InputError, match="nothing was profiled"):
        s.end_profiling()


# ------------------------------------------------------------------------------------- ending a run, and afterwards


def test_timeout_ends_a_long_run(long_session):
    before = long_session.run(["r0"], LONG)[0]
    began = time.monotonic()
    with pytest.raises(cynfer.RunTimeoutError) as raised:
        long_session.run(None, LONG, timeout=0.05)
    assert time.monotonic() - began < 5
    assert isinstance(raised.value, TimeoutError)
    assert long_session.run(["r0"], LONG, timeout=600)[0].tobytes() == before.tobytes()
    for bad in (0, -1, float("nan")):
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


# ------------------------------------------------------------------------------------------------------ threads


@pytest.mark.parametrize("model", [matmuls(257, 511, 2), convs()], ids=["matmul", "conv"])
@pytest.mark.parametrize("optimise", [True, False], ids=["passes", "plain"])
def test_same_bits_at_any_thread_count(model, optimise):
    from cynfer.runtime.session import Session

    sessions = {t: Session(model, threads=t, optimise=optimise) for t in (1, 2, 3, 4, 7, 8, 16)}
    shape = [d.dim_value or 2 for d in model.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    serial = sessions[1].run(None, {"x": x})[0]
    for threads, s in sessions.items():
        for _ in range(3):
            assert s.run(None, {"x": x})[0].tobytes() == serial.tobytes(), f"{threads} threads"


def test_many_python_threads_on_one_session():
    s = cynfer.InferenceSession(convs(), threads=2)
    rng = np.random.default_rng(2)
    feeds = [{"x": rng.standard_normal((1 + i % 3, 3, 65, 57)).astype(np.float32)} for i in range(8)]
    expected = [s.run(None, f)[0] for f in feeds]
    wrong: list = []

    def work(i):
        for turn in range(10):
            at = (i + turn) % len(feeds)
            if s.run(None, feeds[at])[0].tobytes() != expected[at].tobytes():
                wrong.append(at)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
