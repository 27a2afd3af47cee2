"""CastMap, DictVectorizer, ZipMap: maps in and out of a run."""

import numpy as np
import pytest
from ml_case import against_onnxruntime, map_info, maps_info, run
from onnx import TensorProto, helper

from cynfer.ops.errors import InputError, KernelError, ModelError

F, D, S, INT = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.STRING, TensorProto.INT64
X = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize("key, labels", [(S, {"classlabels_strings": ["a", "b", "c"]}),
                                         (INT, {"classlabels_int64s": [3, 1, 2]})])
def test_zip_map(key, labels):
    got, = against_onnxruntime("ZipMap", X, result=maps_info("o0", key), **labels)
    assert [list(m.values()) for m in got] == X.tolist()


def test_zip_map_errors():
    with pytest.raises(ModelError, match="2 labels, the input has 3 columns"):
        run("ZipMap", X, classlabels_strings=["a", "b"])
    with pytest.raises(ModelError, match="exactly one of"):
        run("ZipMap", X)


@pytest.mark.parametrize("key, value, given, attributes, expected", [
    (S, F, {"a": 1.5, "z": 2.0}, {"string_vocabulary": ["z", "q", "a"]}, [[2.0, 0.0, 1.5]]),
    (S, INT, {"a": 1, "y": 2}, {"string_vocabulary": ["z", "q", "a"]}, [[0, 0, 1]]),
    (INT, S, {1: "p", 2: "q"}, {"int64_vocabulary": [2, 3]}, [["q", ""]]),
    (INT, S, {}, {"int64_vocabulary": [2, 3]}, [["", ""]]), (INT, D, {}, {"int64_vocabulary": [2, 3]}, [[0.0, 0.0]]),
])
def test_dict_vectorizer(key, value, given, attributes, expected):
    got, = run("DictVectorizer", given, inputs=[map_info("i0", key, value)], **attributes)
    assert got.tolist() == expected and got.dtype == (object if value == S else helper.tensor_dtype_to_np_dtype(value))


@pytest.mark.parametrize("given, value, attributes, expected", [
    ({1: 1.5, 0: 2.0}, F, {}, [[2.0, 1.5]]), ({1: 1.5, 3: 2.0}, F, {"map_form": "SPARSE", "max_map": 4},
                                              [[0.0, 1.5, 0.0, 2.0]]),
    ({1: "1", 3: "2"}, S, {"cast_to": "TO_INT64"}, [[1, 2]]), ({}, F, {}, [[]]),
    ({1: "x"}, S, {"cast_to": "TO_STRING", "map_form": "SPARSE", "max_map": 2}, [["", "x"]]),
])
def test_cast_map(given, value, attributes, expected):
    got, = run("CastMap", given, inputs=[map_info("i0", INT, value)], **attributes)
    assert got.tolist() == expected


def test_bad_maps():
    inputs = [map_info("i0", INT, F)]
    with pytest.raises(KernelError, match=r"key 4 is outside 0 to 3 \(max_map\)"):
        run("CastMap", {4: 1.0}, inputs=inputs, map_form="SPARSE", max_map=4)
    with pytest.raises(InputError, match="'i0' is a ndarray; a dict is expected"):
        run("CastMap", X, inputs=inputs)
    with pytest.raises(InputError, match="the keys of input 'i0'"):
        run("CastMap", {"a": 1.0}, inputs=inputs)
    with pytest.raises(ModelError, match=r"map\(int64,tensor\(float\)\), which the vocabulary does not fit"):
        run("DictVectorizer", {1: 1.0}, inputs=inputs, string_vocabulary=["a"])
