"""Support vector machines against onnxruntime."""

import numpy as np
import pytest
from ml_case import against_onnxruntime, run

from cynfer.ops.errors import ModelError
from cynfer.ops.ml_svm import KERNELS

RNG = np.random.default_rng(7)
X = RNG.standard_normal((7, 3)).astype(np.float32)


def numbers(n):
    return RNG.standard_normal(n).astype(np.float32).tolist()


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("one_class", [0, 1])
def test_regressor(kind, one_class):
    against_onnxruntime("SVMRegressor", X, coefficients=numbers(4), support_vectors=numbers(12), n_supports=4,
                        kernel_type=kind, kernel_params=[0.5, 0.1, 2.0], rho=[0.3], one_class=one_class)


def test_linear():
    params = {"kernel_params": [0.0, 0.0, 0.0], "rho": [0.3]}
    against_onnxruntime("SVMRegressor", X, coefficients=numbers(3), **params)
    for classes in (2, 3):
        weights = np.array(numbers(3 * classes), np.float32)
        labels, scores = run("SVMClassifier", X, outputs=2, coefficients=weights.tolist(),
                             classlabels_ints=[4, 5, 6][:classes], **params)
        want = (X[:, None].astype(np.float64) * weights.reshape(classes, 3)).sum(-1) + 0.3
        np.testing.assert_allclose(scores, want, 1e-5, 1e-6)
        np.testing.assert_array_equal(labels, want.argmax(1) + 4)


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("classes, probable, post", [
    (classes, probable, post) for classes in (2, 3, 4) for probable in (False, True)
    for post in ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO")
    # there onnxruntime gives [1 - s, s]; this follows the standard's reference: the softmax of [-s, s]
    if not (classes == 2 and not probable and post.startswith("SOFTMAX"))])
def test_classifier(kind, classes, probable, post):
    pairs = classes * (classes - 1) // 2
    attributes = {"prob_a": [-abs(v) for v in numbers(pairs)], "prob_b": numbers(pairs)} if probable else {}
    against_onnxruntime("SVMClassifier", X, outputs=2, coefficients=numbers((classes - 1) * 2 * classes), rtol=1e-4,
                        support_vectors=numbers(6 * classes), vectors_per_class=[2] * classes, kernel_type=kind,
                        kernel_params=[0.5, 0.1, 2.0], rho=numbers(pairs), post_transform=post,
                        classlabels_strings=list("abcd")[:classes], **attributes)


@pytest.mark.parametrize("changed, message", [
    ({"kernel_type": "COSINE"}, "choose from LINEAR, POLY"), ({"kernel_params": [1.0]}, "kernel_params has 1 elements"),
    ({"support_vectors": numbers(11)}, "11 elements, which cannot be cut into 4"),
    ({"coefficients": numbers(3)}, "3 coefficients for 4"), ({"rho": []}, "rho has 0 elements"),
    ({"support_vectors": numbers(8)}, "have 2 features, the input 3"),
])
def test_errors(changed, message):
    good = {"coefficients": numbers(4), "support_vectors": numbers(12), "n_supports": 4, "rho": [0.3]}
    run("SVMRegressor", X, **good)
    with pytest.raises(ModelError, match=message):
        run("SVMRegressor", X, **{k: v for k, v in {**good, **changed}.items() if v != []})
