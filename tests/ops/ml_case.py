"""One-node models of ai.onnx.ml: run here, and by onnxruntime to compare with."""

import numpy as np
from onnx import TensorProto, helper

from cynfer.runtime.session import Session


def tensor_info(name, array):
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def map_info(name, key, value):
    return helper.make_value_info(name, helper.make_map_type_proto(key, helper.make_tensor_type_proto(value, [])))


def maps_info(name, key):
    inner = helper.make_map_type_proto(key, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    return helper.make_value_info(name, helper.make_sequence_type_proto(inner))


def model(op_type, arrays, outputs=1, version=3, inputs=None, result=None, domain="ai.onnx.ml", **attributes):
    names = [f"i{k}" for k in range(len(arrays))]
    outs = [f"o{k}" for k in range(outputs)]
    node = helper.make_node(op_type, names, outs, "node", domain=domain, **attributes)
    inputs = inputs or [tensor_info(n, a) for n, a in zip(names, arrays, strict=True)]
    results = [helper.make_empty_tensor_value_info(o) for o in outs] if result is None else [result]
    graph = helper.make_graph([node], "one", inputs, results)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(domain, version)],
                             ir_version=9)


def run(op_type, *arrays, **options):
    """The outputs here; both with passes and without."""
    made = model(op_type, arrays, **options)
    feeds = {f"i{k}": a for k, a in enumerate(arrays)}
    results = Session(made).run(None, feeds)
    for a, b in zip(results, Session(made, optimise=False).run(None, feeds), strict=True):
        np.testing.assert_array_equal(a, b)
    return results


def against_onnxruntime(op_type, *arrays, rtol=1e-5, **options):
    import onnxruntime

    made = model(op_type, arrays, **options)
    expected = onnxruntime.InferenceSession(made.SerializeToString()).run(
        None, {f"i{k}": a for k, a in enumerate(arrays)})
    got = run(op_type, *arrays, **options)
    for a, b in zip(got, expected, strict=True):
        if isinstance(a, list):
            assert a == b
            continue
        assert a.dtype == b.dtype and a.shape == b.shape
        if a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, rtol, rtol)
        else:
            np.testing.assert_array_equal(a, b)
    return got
