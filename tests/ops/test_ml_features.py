"""Binarizer, Scaler, Normalizer, Imputer, FeatureVectorizer against onnxruntime."""

import numpy as np
import pytest
from ml_case import against_onnxruntime, run

from cynfer.ops.errors import ModelError

RNG = np.random.default_rng(5)
X = RNG.standard_normal((5, 3)).astype(np.float32)
TYPES = (np.float32, np.float64, np.int32, np.int64)


@pytest.mark.parametrize("norm", ["MAX", "L1", "L2"])
@pytest.mark.parametrize("dtype", TYPES)
def test_normalizer(norm, dtype):
    x = (3 * X).astype(dtype)
    x[1] = 0
    against_onnxruntime("Normalizer", x, norm=norm)
    against_onnxruntime("Normalizer", x[0], norm=norm)
    with pytest.raises(ModelError, match="choose from MAX, L1, L2"):
        run("Normalizer", x, norm="L3")


@pytest.mark.parametrize("dtype", TYPES)
def test_scaler(dtype):
    x = (3 * X).astype(dtype)
    against_onnxruntime("Scaler", x, scale=[2.0, 3.0, 4.0], offset=[1.0, 2.0, 3.0])
    against_onnxruntime("Scaler", x, scale=[2.0], offset=[1.0])
    with pytest.raises(ModelError, match="scale has 2 elements; 1 or 3"):
        run("Scaler", x, scale=[1.0, 2.0])


@pytest.mark.parametrize("dtype", TYPES)
def test_binarizer(dtype):
    x = (3 * X).astype(dtype)
    got, = run("Binarizer", x, threshold=0.5)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, x > 0.5)


def test_imputer():
    x = X.copy()
    x[0, 0] = x[2, 1] = np.nan
    against_onnxruntime("Imputer", x, imputed_value_floats=[7.0, 8.0, 9.0], replaced_value_float=float("nan"))
    against_onnxruntime("Imputer", X, imputed_value_floats=[7.0], replaced_value_float=float(X[1, 1]))
    against_onnxruntime("Imputer", RNG.integers(0, 3, (5, 3)), imputed_value_int64s=[70], replaced_value_int64=1)
    with pytest.raises(ModelError, match="'imputed_value_int64s' is missing"):
        run("Imputer", RNG.integers(0, 3, (5, 3)), imputed_value_floats=[1.0])


@pytest.mark.parametrize("sizes", [[3, 2], [4, 1]])
@pytest.mark.parametrize("dtype", TYPES)
def test_feature_vectorizer(sizes, dtype):
    x = (3 * X).astype(dtype)
    against_onnxruntime("FeatureVectorizer", x, x[:, :2], inputdimensions=sizes)
    with pytest.raises(ModelError, match="input 1 has 4 rows, input 0 has 5"):
        run("FeatureVectorizer", x, x[:4], inputdimensions=sizes)
