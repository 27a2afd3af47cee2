"""LinearRegressor and LinearClassifier against onnxruntime.

Not compared: a post_transform of a single score, which onnxruntime leaves out for regressors.
"""

import numpy as np
import pytest
from ml_case import against_onnxruntime, run

from cynfer.ops.errors import ModelError

RNG = np.random.default_rng(6)
X = RNG.standard_normal((6, 3)).astype(np.float32)
POST = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]


def tolerance(post):
    """onnxruntime computes PROBIT in float32, with few digits left near 1/2."""
    return 1e-3 if post == "PROBIT" else 1e-5


def weights(n, low=0.0):
    return RNG.uniform(low, 0.1, n).astype(np.float32).tolist()


@pytest.mark.parametrize("post", POST)
def test_regressor(post):
    options = {"coefficients": weights(6), "intercepts": [0.5, 0.4], "targets": 2, "post_transform": post}
    against_onnxruntime("LinearRegressor", X, rtol=tolerance(post), **options)
    for dtype in (np.float64, np.int32, np.int64):
        x = (3 * X).astype(dtype)
        np.testing.assert_array_equal(*(run("LinearRegressor", v, **options)[0] for v in (x, x.astype(np.float32))))


def test_single_scores():
    y = X.sum(1, keepdims=True, dtype=np.float64)
    one = {"coefficients": [1.0] * 3, "intercepts": [0.0]}
    np.testing.assert_allclose(run("LinearRegressor", X, **one)[0], y, 1e-5)
    got, = run("LinearRegressor", X, post_transform="LOGISTIC", **one)
    np.testing.assert_allclose(got, 1 / (1 + np.exp(-y)), 1e-5)


@pytest.mark.parametrize("names", ["classlabels_ints", "classlabels_strings"])
@pytest.mark.parametrize("rows, count, post", [
    (rows, count, post) for rows, count in ((1, 2), (2, 2), (3, 3)) for post in POST
    if not (rows == 1 and post == "PROBIT")])  # there onnxruntime mixes up the columns
def test_classifier(names, rows, count, post):
    labels = [5, 7, 6][:count]
    against_onnxruntime("LinearClassifier", X, outputs=2, coefficients=weights(3 * rows, -0.1), post_transform=post,
                        intercepts=[0.5] * rows, rtol=tolerance(post),
                        **{names: labels if names == "classlabels_ints" else [str(x) for x in labels]})


@pytest.mark.parametrize("attributes, message", [
    ({"coefficients": weights(6), "intercepts": [0.0] * 2, "post_transform": "TANH"}, "choose from NONE, SOFTMAX"),
    ({"coefficients": weights(6), "intercepts": [0.0] * 4}, "6 coefficients cannot be cut into 4 rows"),
    ({"coefficients": weights(8), "intercepts": [0.0] * 2}, "for 4 features, the input has 3"),
    ({"coefficients": weights(6), "classlabels_ints": [1, 2], "classlabels_strings": ["a", "b"]}, "one of them"),
])
def test_errors(attributes, message):
    with pytest.raises(ModelError, match=message):
        run("LinearClassifier", X, outputs=2, **attributes)
