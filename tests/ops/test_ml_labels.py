"""LabelEncoder, CategoryMapper, OneHotEncoder, ArrayFeatureExtractor."""

import numpy as np
import pytest
from ml_case import against_onnxruntime, run
from onnx import numpy_helper

from cynfer.ops.errors import KernelError, ModelError
from cynfer.ops.ml_labels import positions

WORDS = np.array([["a", "b"], ["c", "ä"]], object)
NUMBERS = np.array([[-1, 0, 2], [1, 2, 7]])
tensor = numpy_helper.from_array


def test_positions():
    keys = np.array([3.0, np.nan, -np.inf, 0.0, 3.0])
    x = np.array([[np.nan, 3.0, -0.0], [np.inf, -np.inf, 2.9]])
    np.testing.assert_array_equal(positions(x, keys), [[1, 4, 3], [-1, 2, -1]])
    assert positions(x, np.zeros(0)).max() == -1


@pytest.mark.parametrize("version, x, attributes", [
    (1, WORDS, {"classes_strings": ["b", "a"]}), (1, NUMBERS, {"classes_strings": ["b", "a"], "default_string": "?"}),
    (2, WORDS, {"keys_strings": ["b", "c"], "values_floats": [1.0, 2.0]}),
    (2, NUMBERS, {"keys_int64s": [2, 7], "values_strings": ["q", "r"]}),
    (4, NUMBERS.astype(np.float64), {"keys_tensor": tensor(np.array([1.0, 2.0])), "values_tensor": tensor(
        np.array([5.5, 6.5])), "default_tensor": tensor(np.array([9.0]))}),
])
def test_label_encoder(version, x, attributes):
    against_onnxruntime("LabelEncoder", x, version=version, **attributes)


def test_keys_that_come_twice_and_nan():
    got, = run("LabelEncoder", np.array([1, 2, np.nan], np.float32), version=2, keys_floats=[1.0, float("nan"), 1.0],
               values_int64s=[5, 6, 7], default_int64=-9)
    assert got.tolist() == [7, -9, 6]


@pytest.mark.parametrize("x, attributes, message", [
    (WORDS, {"keys_int64s": [1], "values_int64s": [1]}, r"the input is tensor\(string\), its keys are tensor\(int64\)"),
    (WORDS, {"keys_strings": ["a"], "values_int64s": [1, 2]}, "1 keys and 2 values"),
    (WORDS, {"keys_strings": ["a"]}, "0 of the attributes values_floats.* give values; exactly one"),
])
def test_label_encoder_errors(x, attributes, message):
    with pytest.raises(ModelError, match=message):
        run("LabelEncoder", x, version=2, **attributes)


@pytest.mark.parametrize("x", [WORDS, NUMBERS])
def test_category_mapper(x):
    against_onnxruntime("CategoryMapper", x, cats_strings=["a", "c"], cats_int64s=[1, 2])


@pytest.mark.parametrize("x", [NUMBERS, NUMBERS.astype(np.float32) + np.float32(0.5), NUMBERS.astype(np.float64)])
def test_one_hot(x):
    against_onnxruntime("OneHotEncoder", x, cats_int64s=[-1, 0, 2])


def test_one_hot_of_words():
    against_onnxruntime("OneHotEncoder", WORDS, cats_strings=["c", "ä", "z"])
    with pytest.raises(KernelError, match="'a' at position 0 is none of the 1 categories"):
        run("OneHotEncoder", WORDS, cats_strings=["b"], zeros=0)
    got, = run("OneHotEncoder", np.array([np.nan, np.inf, 1e30], np.float32), cats_int64s=[0, -2**63])
    assert not got.any()


@pytest.mark.parametrize("x", [NUMBERS, NUMBERS[0], np.array([["a", "b", "c"]], object)])
def test_array_feature_extractor(x):
    against_onnxruntime("ArrayFeatureExtractor", x, np.array([[2, 0]]))
    with pytest.raises(KernelError, match="index 3 at position 1 is outside 0 to 2"):
        run("ArrayFeatureExtractor", x, np.array([1, 3]))
