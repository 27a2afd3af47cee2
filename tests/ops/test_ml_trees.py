"""Tree ensembles against onnxruntime, on seeded forests; every mode, aggregate and way to be wrong.

Where onnxruntime and the standard's reference part (labels of two classes that both get votes, base values of a class
without votes, a post_transform of a single target) the reference is followed.
"""

import numpy as np
import pytest
from ml_case import against_onnxruntime, run
from onnx import numpy_helper

from cynfer.ops.errors import ModelError
from cynfer.ops.ml_trees import MODES

COMPARING = MODES[:6]
DEPTH, FEATURES, TREES = 4, 4, 5


def rows(seed=0, n=40):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, FEATURES)).round(1).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = np.nan
    return x


def forest(seed, targets, modes=COMPARING, everyone=True, low=-1.0, word="target"):
    """Attributes of random trees; everyone: every leaf votes for all targets, else for the first."""
    rng = np.random.default_rng(seed)
    nodes = {k: [] for k in ("treeids", "nodeids", "modes", "featureids", "values", "truenodeids", "falsenodeids",
                             "missing_value_tracks_true")}
    votes = {k: [] for k in ("treeids", "nodeids", "ids", "weights")}
    for tree in range(TREES):
        count = [0]

        def grow(depth, tree=tree, count=count):
            number, at = count[0], len(nodes["modes"])
            count[0] += 1
            leaf = depth == DEPTH or (depth > 0 and rng.random() < 0.2)
            made = (tree, number, "LEAF" if leaf else str(rng.choice(modes)), int(rng.integers(FEATURES)),
                    float(np.float32(round(rng.standard_normal(), 1))), 0, 0, int(rng.integers(2)))
            for column, value in zip(nodes.values(), made, strict=True):
                column.append(value)
            if leaf:
                for target in range(targets if everyone else 1):
                    weight = float(np.float32(rng.uniform(low, 1) / TREES))
                    for column, value in zip(votes.values(), (tree, number, target, weight), strict=True):
                        column.append(value)
            else:
                nodes["truenodeids"][at] = grow(depth + 1)
                nodes["falsenodeids"][at] = grow(depth + 1)
            return number

        grow(0)
    return {f"nodes_{k}": v for k, v in nodes.items()} | {f"{word}_{k}": v for k, v in votes.items()}


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize("modes", [("BRANCH_LEQ",), COMPARING])
@pytest.mark.parametrize("targets, base", [(1, [0.5]), (3, [0.1, 0.2, 0.3]), (3, None)])
def test_regressor(aggregate, modes, targets, base):
    extra = {} if base is None else {"base_values": base}
    against_onnxruntime("TreeEnsembleRegressor", rows(), aggregate_function=aggregate, n_targets=targets,
                        **forest(1, targets, modes), **extra)


@pytest.mark.parametrize("post", ["LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"])
def test_post_transforms(post):
    against_onnxruntime("TreeEnsembleRegressor", rows(), n_targets=3, post_transform=post, **forest(2, 3))
    score, = run("TreeEnsembleRegressor", rows(), n_targets=1, **forest(2, 1))
    if post == "LOGISTIC":
        got, = run("TreeEnsembleRegressor", rows(), n_targets=1, post_transform=post, **forest(2, 1))
        np.testing.assert_allclose(got, 1 / (1 + np.exp(-score)), 1e-6)


def test_doubles_as_tensors():
    made = forest(3, 2)
    made["nodes_values_as_tensor"] = numpy_helper.from_array(np.array(made.pop("nodes_values")))
    made["target_weights_as_tensor"] = numpy_helper.from_array(np.array(made.pop("target_weights")))
    against_onnxruntime("TreeEnsembleRegressor", rows().astype(np.float64), n_targets=2, **made)


@pytest.mark.parametrize("post", ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"])
@pytest.mark.parametrize("low", [0.0, -1.0])
@pytest.mark.parametrize("base", [None, [0.1]])
def test_two_classes_by_one_sum(post, low, base):
    extra = {} if base is None else {"base_values": base}
    against_onnxruntime("TreeEnsembleClassifier", rows(), outputs=2, post_transform=post, classlabels_int64s=[4, 9],
                        **forest(4, 1, low=low, word="class"), **extra)


@pytest.mark.parametrize("post", ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"])
@pytest.mark.parametrize("low", [0.0, -1.0])
@pytest.mark.parametrize("base", [None, [0.1, 0.3, 0.2]])
def test_three_classes(post, low, base):
    extra = {} if base is None else {"base_values": base}
    against_onnxruntime("TreeEnsembleClassifier", rows(), outputs=2, post_transform=post,
                        classlabels_strings=["x", "y", "z"], **forest(5, 3, low=low, word="class"), **extra)


def test_one_row_does_not_depend_on_the_others():
    made, x = forest(6, 3), rows(1, 300)
    whole, = run("TreeEnsembleRegressor", x, n_targets=3, **made)
    for i in (0, 57, 299):
        one, = run("TreeEnsembleRegressor", x[i: i + 1], n_targets=3, **made)
        np.testing.assert_array_equal(one, whole[i: i + 1])


def wrong(**changed):
    made = forest(7, 1)
    for name, change in changed.items():
        change(made[name])
    return made


@pytest.mark.parametrize("made, message", [
    (wrong(nodes_truenodeids=lambda v: v.__setitem__(0, 99)), "the true branches lead to -1"),
    (wrong(nodes_truenodeids=lambda v: v.__setitem__(1, 0)), "tree 0 has no node that leads to all others"),
    (wrong(nodes_featureids=lambda v: v.__setitem__(0, 8)), "asks for feature 8, the input has 4"),
    (wrong(nodes_featureids=lambda v: v.__setitem__(0, -1)), "nodes_featureids has -1"),
    (wrong(nodes_modes=lambda v: v.__setitem__(0, "BRANCH")), "nodes_modes has 'BRANCH'"),
    (wrong(nodes_nodeids=lambda v: v.__setitem__(1, 0)), "come twice"),
    (wrong(target_ids=lambda v: v.__setitem__(0, 1)), "the votes lead to 1, outside 0 to 0"),
    (wrong(target_nodeids=lambda v: v.__setitem__(0, 77)), "vote 0 is of node 77 in tree 0"),
    (wrong(nodes_values=lambda v: v.pop()), "these differ in length"),
])
def test_wrong_forests(made, message):
    with pytest.raises(ModelError, match=message):
        run("TreeEnsembleRegressor", rows(), n_targets=1, **made)


def newer(**changed):
    """Two trees of version 5, one of them a membership test, one a single leaf."""
    made = {"n_targets": 2, "tree_roots": [0, 2], "nodes_modes": np.array([0, 6, 0], np.uint8),
            "nodes_featureids": [0, 1, 0], "nodes_splits": np.array([0.5, 0, 0], np.float32),
            "nodes_truenodeids": [1, 0, 3], "nodes_trueleafs": [0, 1, 1], "nodes_falsenodeids": [2, 1, 3],
            "nodes_falseleafs": [1, 1, 1], "leaf_targetids": [0, 1, 0, 1],
            "leaf_weights": np.array([1, 2, 3, 4], np.float32),
            "membership_values": np.array([2, 7, np.nan], np.float32), **changed}
    return {k: numpy_helper.from_array(v) if isinstance(v, np.ndarray) else v for k, v in made.items()}


def test_newer_form():
    x = np.array([[0, 2], [0, 3], [1, 2], [0, np.nan], [0.5, 7]], np.float32)
    got, = against_onnxruntime("TreeEnsemble", x, version=5, **newer())
    np.testing.assert_array_equal(got, [[1, 4], [0, 6], [3, 4], [0, 6], [1, 4]])


@pytest.mark.parametrize("changed, message", [
    ({"nodes_truenodeids": [0, 0, 3]}, "form a cycle"), ({"nodes_falsenodeids": [9, 1, 3]}, "nodes_falsenodeids has 9"),
    ({"tree_roots": [7]}, "tree_roots lead to 7"), ({"membership_values": np.array([1, 2], np.float32)}, "0 lists"),
    ({"nodes_modes": np.array([0, 6, 9], np.uint8)}, "nodes_modes has 9"), ({"post_transform": 5}, "outside 0 to 4"),
    ({"leaf_targetids": [0, 1, 2, 1]}, "the votes lead to 2, outside 0 to 1"),
])
def test_wrong_newer_forms(changed, message):
    with pytest.raises(ModelError, match=message):
        run("TreeEnsemble", np.zeros((2, 2), np.float32), version=5, **newer(**changed))
