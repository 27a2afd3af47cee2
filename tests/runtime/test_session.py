"""What users call: construction, outputs, options, threads."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import onnx
import pytest
from small_models import A, B, Y, add_relu, convs, matmuls, parse, run, typed, with_initializer

import cynfer

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
    path.write_text("hello\n")
    with pytest.raises(cynfer.ModelFormatError, match=r"m\.onnx': not an ONNX model.*looks like text, 'hello"):
        cynfer.InferenceSession(path)


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
    with pytest.raises(cynfer.InputError, match="output names are 5"):
        session.run(5, feeds)


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
    ("threads", 0.5), ("threads", -1), ("threads", "two"), ("precision", "lowest"), ("isa", "mmx"), ("limits", {})])
def test_bad_arguments(argument, value):
    with pytest.raises(cynfer.InputError, match=argument):
        cynfer.InferenceSession(add_relu(), **{argument: value})


@pytest.mark.parametrize(("name", "value"), [
    ("max_bytes", -1), ("max_nodes", "5"), ("max_seconds", -3), ("max_seconds", float("nan")), ("plans", 0)])
def test_bad_limits(name, value):
    with pytest.raises(cynfer.InputError, match=f"Limits.{name} is {value!r}; a number of at least"):
        cynfer.Limits(**{name: value})


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
    options.graph_optimization_level = "all"
    with pytest.raises(cynfer.InputError, match="graph_optimization_level='all'"):
        cynfer.InferenceSession(add_relu(), options)
    options.graph_optimization_level = 0
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
