"""TfIdfVectorizer against a count in words, and against onnxruntime."""

import numpy as np
import pytest
from harness import model, run

from cynfer.ops.errors import ModelError

POOL = [2, 3, 5, 4, 5, 6, 7, 8, 6, 7, 2, 3, 4, 5, 6, 7]
MORE = {"ngram_counts": [0, 4, 10], "ngram_indexes": [0, 1, 2, 3, 4, 5, 6, 8, 7], "mode": "TF", "min_gram_length": 1,
        "max_gram_length": 3, "max_skip_count": 2, "pool_int64s": POOL}


def counted(x, more):
    starts = [*more["ngram_counts"], len(more["pool_int64s"])]
    grams, y = [], np.zeros(max(more["ngram_indexes"]) + 1)
    for n in range(1, len(starts)):
        part = more["pool_int64s"][starts[n - 1] : starts[n]]
        grams += [tuple(part[i : i + n]) for i in range(0, len(part) - n + 1, n)]
    for gram, column in zip(grams, more["ngram_indexes"], strict=True):
        n = len(gram)
        if more["min_gram_length"] <= n <= more["max_gram_length"]:
            for d in range(1, 2 + (more["max_skip_count"] if n > 1 else 0)):
                y[column] += sum(tuple(x[i : i + n * d : d][:n]) == gram for i in range(len(x) - (n - 1) * d))
    return y


def test_counts():
    x = np.random.default_rng(0).integers(2, 9, (6, 40))
    for low, high, skips in ((1, 3, 2), (2, 2, 0), (1, 1, 3), (3, 3, 1)):
        more = {**MORE, "min_gram_length": low, "max_gram_length": high, "max_skip_count": skips}
        want = np.stack([counted(row, more) for row in x])
        np.testing.assert_array_equal(run("TfIdfVectorizer", x, opset=9, **more), want)
        np.testing.assert_array_equal(run("TfIdfVectorizer", x[0].astype(np.int32), opset=9, **more), want[0])
        words = {**more, "pool_strings": [str(v) for v in POOL]}
        del words["pool_int64s"]
        np.testing.assert_array_equal(run("TfIdfVectorizer", x.astype(str).astype(object), opset=9, **words), want)


@pytest.mark.parametrize("mode", ["TF", "IDF", "TFIDF"])
@pytest.mark.parametrize("weighted", [False, True])
def test_weights_against_onnxruntime(mode, weighted):
    ort = pytest.importorskip("onnxruntime")
    x = np.random.default_rng(1).integers(2, 9, (3, 12))
    more = {**MORE, "mode": mode, **({"weights": [1.0, 2, 3, 4, 5, 6, 7, 8, 9]} if weighted else {})}
    m = model("TfIdfVectorizer", [x], 9, **more)
    m.graph.output[0].type.tensor_type.elem_type = 1
    want = ort.InferenceSession(m.SerializeToString()).run(None, {"i0": x})[0]
    np.testing.assert_array_equal(run("TfIdfVectorizer", x, opset=9, **more), want)


def test_short_and_empty_inputs():
    assert not run("TfIdfVectorizer", np.zeros(0, np.int64), opset=9, **MORE).any()
    assert run("TfIdfVectorizer", np.array([5]), opset=9, **MORE).tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0]


def test_errors():
    x = np.array([1, 2])
    for change, message in (({"mode": "X"}, "'X'"), ({"min_gram_length": 0}, "0 to 3"),
                            ({"max_skip_count": -1}, "-1 skips"),
                            ({"ngram_counts": [0, 9, 4]}, "do not rise"), ({"ngram_indexes": [0, 1]}, "has 2 numbers"),
                            ({"weights": [1.0]}, "weights 1"), ({"pool_strings": ["a"]}, "no other pool"),
                            ({"ngram_indexes": [0, 1, 2, 3, 4, 5, 6, 7, -1]}, "9 numbers")):
        with pytest.raises(ModelError, match=message):
            run("TfIdfVectorizer", x, opset=9, **{**MORE, **change})
