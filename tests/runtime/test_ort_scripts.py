"""Scripts in the style of onnxruntime's documentation give the same results after their import is changed."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from small_models import add_relu, convs, matmuls, parse, typed, with_initializer

SCRIPTS = {
    "quick start": """
import onnxruntime as ort
session = ort.InferenceSession(CONVS)
x = np.random.default_rng(0).standard_normal((2, 3, 65, 57)).astype(np.float32)
outputs = session.run(None, {"x": x})
result = [outputs[0], outputs[0].argmax(axis=1)]
""",
    "names from the session": """
import onnxruntime as rt
sess = rt.InferenceSession(PATH, providers=["CPUExecutionProvider"])
input_name = sess.get_inputs()[0].name
label_name = sess.get_outputs()[0].name
pred = sess.run([label_name], {input_name: A.astype(np.float32), sess.get_inputs()[1].name: B})[0]
result = [pred, input_name, label_name, sess.get_inputs()[0].shape, sess.get_inputs()[0].type,
          sess.get_outputs()[0].shape, sess.get_outputs()[0].type, str(sess.get_inputs()[0])]
""",
    "session options": """
import onnxruntime as ort
so = ort.SessionOptions()
so.intra_op_num_threads = 2
so.inter_op_num_threads = 1
so.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
so.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
so.enable_mem_pattern = False
so.log_severity_level = 3
so.add_session_config_entry("session.intra_op.allow_spinning", "0")
so.add_free_dimension_override_by_name("N", 2)
session = ort.InferenceSession(ADD, sess_options=so, providers=ort.get_available_providers()[-1:])
result = [session.run(["y"], {"a": A, "b": B})[0], session.get_inputs()[0].shape, so.intra_op_num_threads,
          so.get_session_config_entry("session.intra_op.allow_spinning"), int(so.graph_optimization_level),
          session.get_session_options().inter_op_num_threads]
""",
    "no optimisation": """
import onnxruntime
options = onnxruntime.SessionOptions()
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
result = onnxruntime.InferenceSession(MATMUL, options).run(None, {"x": np.ones((8, 64), np.float32)})
""",
    "metadata": """
import onnxruntime as ort
meta = ort.InferenceSession(META).get_modelmeta()
result = [meta.producer_name, meta.graph_name, meta.domain, meta.description, meta.graph_description, meta.version,
          meta.custom_metadata_map]
""",
    "values": """
import onnxruntime
ortvalue = onnxruntime.OrtValue.ortvalue_from_numpy(A)
result = [ortvalue.device_name(), ortvalue.shape(), ortvalue.data_type(), ortvalue.is_tensor(), ortvalue.element_type(),
          ortvalue.has_value(), ortvalue.tensor_size_in_bytes(), np.array_equal(ortvalue.numpy(), A)]
sess = onnxruntime.InferenceSession(ADD)
result += [v.numpy() for v in sess.run_with_ort_values(
    ["y"], {"a": ortvalue, "b": onnxruntime.OrtValue.ortvalue_from_numpy(B)})]
result += sess.run(None, {"a": ortvalue, "b": B})
ortvalue.update_inplace(B)
result += [ortvalue.numpy(), np.from_dlpack(ortvalue)]
empty = onnxruntime.OrtValue.ortvalue_from_shape_and_type([3, 2], np.float32)
result += [empty.shape(), empty.data_type()]
""",
    "io binding": """
import onnxruntime
session = onnxruntime.InferenceSession(ADD)
io_binding = session.io_binding()
io_binding.bind_cpu_input("a", A)
b = onnxruntime.OrtValue.ortvalue_from_numpy(B)
io_binding.bind_input(name="b", device_type=b.device_name(), device_id=0, element_type=np.float32, shape=b.shape(),
                      buffer_ptr=b.data_ptr())
io_binding.bind_output("y")
session.run_with_iobinding(io_binding)
result = [io_binding.copy_outputs_to_cpu()[0], io_binding.get_outputs()[0].numpy()]
y = np.zeros((2, 3), np.float32)
io_binding.clear_binding_outputs()
io_binding.bind_output("y", "cpu", 0, np.float32, (2, 3), y.ctypes.data)
session.run_with_iobinding(io_binding)
result += [y.copy()]
value = onnxruntime.OrtValue.ortvalue_from_shape_and_type([2, 3], np.float32, "cpu", 0)
io_binding.clear_binding_outputs()
io_binding.bind_ortvalue_output("y", value)
io_binding.bind_ortvalue_input("b", onnxruntime.OrtValue.ortvalue_from_numpy(-B))
session.run_with_iobinding(io_binding)
result += [value.numpy()]
""",
    "asynchronous": """
import onnxruntime as ort
import threading

class MyData:
    def __init__(self):
        self.event = threading.Event()
    def save_results(self, results, err):
        self.results, self.err = results, err
        self.event.set()

def callback(results, user_data, err):
    user_data.save_results(results, err)

my_data = MyData()
options = ort.SessionOptions()
options.intra_op_num_threads = 2
session = ort.InferenceSession(ADD, options)
session.run_async(["y"], {"a": A, "b": B}, callback, my_data)
my_data.event.wait(60)
result = [my_data.results[0], my_data.err]
""",
    "run options": """
import onnxruntime as rt
ro = rt.RunOptions()
ro.log_severity_level = 4
ro.logid = "test"
ro.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
session = rt.InferenceSession(ADD)
result = session.run(["y"], {"a": A, "b": B}, run_options=ro)
ro.terminate = True
try:
    session.run(None, {"a": A, "b": B}, run_options=ro)
except Exception as error:
    result += ["ended", isinstance(error, Exception)]
ro.terminate = False
result += session.run(None, {"a": A, "b": B}, run_options=ro)
""",
    "initializers": """
import onnxruntime as rt
session = rt.InferenceSession(INIT)
result = [[a.name for a in session.get_inputs()], [str(a) for a in session.get_overridable_initializers()]]
result += session.run(None, {"x": A}) + session.run(None, {"x": A, "w": np.array([7, 8, 9], np.float32)})
""",
    "lists and strings": """
import onnxruntime as rt
result = rt.InferenceSession(ADD).run(None, {"a": A.tolist(), "b": B})
for given in (np.array(["x", "yz"]), np.array(["x", "yz"], dtype=object)):
    result += [rt.InferenceSession(TEXT).run(None, {"x": given})[0].tolist()]
""",
    "profiling": """
import onnxruntime as rt
import json, os
options = rt.SessionOptions()
options.enable_profiling = True
options.profile_file_prefix = os.path.join(FOLDER, "profile")
sess = rt.InferenceSession(ADD, options, providers=rt.get_available_providers()[-1:])
sess.run(None, {"a": A, "b": B})
prof_file = sess.end_profiling()
with open(prof_file, "r") as f:
    events = json.load(f)
result = [os.path.basename(prof_file).startswith("profile"), sorted({e["cat"] for e in events}),
          all("dur" in e and "ts" in e and "name" in e for e in events)]
""",
    "module": """
import onnxruntime as ort
ort.set_default_logger_severity(3)
ort.disable_telemetry_events()
result = [ort.get_device(), "CPUExecutionProvider" in ort.get_available_providers(), isinstance(ort.__version__, str),
          ort.InferenceSession(ADD).get_providers(), ort.InferenceSession(ADD).get_provider_options()]
""",
    "one session, many threads": """
import onnxruntime as ort
from concurrent.futures import ThreadPoolExecutor
session = ort.InferenceSession(ADD)
with ThreadPoolExecutor(4) as pool:
    result = [r[0] for r in pool.map(lambda i: session.run(None, {"a": A * i, "b": B}), range(8))]
""",
}


def variables(folder) -> dict:
    """What scripts find: models as bytes and as a file, two arrays."""
    meta = add_relu()
    meta.producer_name, meta.domain, meta.model_version, meta.doc_string = "me", "d", 7, "text"
    meta.graph.doc_string = "graph text"
    onnx.helper.set_model_props(meta, {"k": "v"})
    (folder / "add.onnx").write_bytes(add_relu().SerializeToString())
    models = {"ADD": add_relu(), "CONVS": convs(), "MATMUL": matmuls(8, 64, 3), "INIT": with_initializer(),
              "META": meta, "TEXT": typed("string")}
    return {"np": np, "PATH": str(folder / "add.onnx"), "FOLDER": str(folder),
            "A": np.array([[1, -2, 3], [4, 5, -6]], np.float32), "B": np.array([[1, 1, 1], [-9, 1, 1]], np.float32),
            **{name: model.SerializeToString() for name, model in models.items()}}


def same(got, expected) -> None:
    """Raises AssertionError unless both are the same: arrays to 1e-5 of their scale, the rest exactly."""
    if isinstance(expected, np.ndarray) and expected.dtype.kind == "f":
        assert type(got) is np.ndarray and got.dtype == expected.dtype and got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(got, expected)
        assert got.dtype == expected.dtype
    elif isinstance(expected, list):
        assert len(got) == len(expected)
        for g, e in zip(got, expected, strict=True):
            same(g, e)
    else:
        assert got == expected


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(name, tmp_path):
    script = SCRIPTS[name]
    assert "import onnxruntime" in script
    ours = variables(tmp_path)
    exec(compile(script.replace("import onnxruntime as", "import cynfer as")
                 .replace("import onnxruntime\n", "import cynfer as onnxruntime\n"), name, "exec"), ours)
    pytest.importorskip("onnxruntime")
    theirs = variables(tmp_path)
    exec(compile(script, name, "exec"), theirs)
    same(ours["result"], theirs["result"])


def test_bindings_that_do_not_fit():
    import cynfer

    session = cynfer.InferenceSession(add_relu())
    a, b = np.ones((2, 3), np.float32), np.ones((2, 3), np.float32)

    def bound(name="y", array=None):
        binding = session.io_binding()
        binding.bind_cpu_input("a", a)
        binding.bind_cpu_input("b", b)
        binding.bind_ortvalue_output(name, cynfer.OrtValue.ortvalue_from_numpy(array))
        return binding

    read_only = np.zeros((2, 3), np.float32)
    read_only.flags.writeable = False
    for array, text in ((a, "overlaps that of input 'a'"), (np.zeros((3, 3), np.float32), r"is float32\[2, 3\]"),
                        (np.zeros((2, 3), np.float64), "float64"), (read_only, "read-only")):
        with pytest.raises(cynfer.InputError, match=text):
            session.run_with_iobinding(bound(array=array))
    with pytest.raises(cynfer.InputError, match="no output 'z'"):
        bound("z", np.zeros((2, 3), np.float32))
    with pytest.raises(cynfer.UnsupportedError, match="cuda"):
        session.io_binding().bind_output("y", "cuda")
    with pytest.raises(cynfer.InputError, match="another session"):
        cynfer.InferenceSession(add_relu()).run_with_iobinding(bound(array=np.zeros((2, 3), np.float32)))
    two = cynfer.InferenceSession(parse("g (float[2] x) => (float[2] p, float[2] q) { p = Relu(x) q = Neg(x) }"))
    binding, shared = two.io_binding(), cynfer.OrtValue.ortvalue_from_numpy(np.zeros(2, np.float32))
    binding.bind_cpu_input("x", np.ones(2, np.float32))
    binding.bind_ortvalue_output("p", shared)
    binding.bind_ortvalue_output("q", shared)
    with pytest.raises(cynfer.InputError, match="overlaps that of output"):
        two.run_with_iobinding(binding)


def test_values_and_options_that_make_no_sense():
    import cynfer

    for shape in ([2, -1], [2.5], None):
        with pytest.raises(cynfer.InputError, match="shape"):
            cynfer.OrtValue.ortvalue_from_shape_and_type(shape, np.float32)
    with pytest.raises(cynfer.InputError, match=r"shape \[-2\]"):
        cynfer.InferenceSession(add_relu()).io_binding().bind_input("a", "cpu", 0, np.float32, [-2], 64)
    with pytest.raises(cynfer.InputError, match="1 names of initializers, but 0 values"):
        cynfer.SessionOptions().add_external_initializers(["w"], [])
    for size in (-1, "two"):
        with pytest.raises(cynfer.InputError, match=f"thread pool size {size!r}"):
            cynfer.set_global_thread_pool_sizes(size)
