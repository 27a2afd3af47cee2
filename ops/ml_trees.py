"""Tree ensembles: TreeEnsemble, and TreeEnsembleRegressor and TreeEnsembleClassifier, which it replaces.

All rows go down all trees together, one level at a time. Votes are added in float64 in the order of the trees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.errors import ModelError
from cynfer.ops.fact import UnknownRank
from cynfer.ops.ml_labels import ML
from cynfer.ops.ml_scores import POST, Classify, Labels, check_post, post_transform
from cynfer.ops.op import Op, onnx

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER", "LEAF")
MEMBER, LEAF = 6, 7
_COMPARE = (np.less_equal, np.less, np.greater_equal, np.greater, np.equal, np.not_equal)
AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
#: Rows times trees that are on their way at a time.
CHUNK = 1 << 18


@dataclass(frozen=True, eq=False)
class Forest:
    """Nodes of all trees in one list; a leaf has mode LEAF.

    members: sorted keys rank * len(values) + place of the value, of what MEMBER nodes accept; ranks: their number.
    votes: those of node i are start[i] to start[i + 1]; target and weight: of each vote.
    """

    roots: np.ndarray
    mode: np.ndarray
    feature: np.ndarray
    split: np.ndarray
    yes: np.ndarray
    no: np.ndarray
    missing: np.ndarray
    start: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    values: np.ndarray
    ranks: np.ndarray
    members: np.ndarray

    def check(self, targets: int) -> None:
        """Raises ModelError unless every branch leads to a leaf, and every vote to a target."""
        n, inner = len(self.mode), self.mode != LEAF
        if ((self.mode < 0) | (self.mode > LEAF)).any():
            raise ModelError(f"nodes_modes has {int(self.mode[(self.mode < 0) | (self.mode > LEAF)][0])}; 0 to 6 are "
                             "known")
        for name, ids, most in (("tree_roots", self.roots, n), ("the true branches", self.yes[inner], n),
                                ("the false branches", self.no[inner], n), ("the votes", self.target, targets)):
            bad = (ids < 0) | (ids >= most)
            if bad.any():
                raise ModelError(f"{name} lead to {int(ids[bad.argmax()])}, outside 0 to {most - 1}")
        if (self.feature[inner] < 0).any():
            raise ModelError(f"nodes_featureids has {int(self.feature[inner].min())}; 0 or more is needed")
        at = np.unique(self.roots)
        for _ in range(n + 1):
            at = at[self.mode[at] != LEAF]
            if not at.size:
                return
            at = np.unique(np.concatenate([self.yes[at], self.no[at]]))
        raise ModelError("the nodes of a tree form a cycle")

    def leaves(self, x: np.ndarray) -> np.ndarray:
        """The leaf of each row in each tree."""
        at = np.tile(self.roots, len(x))
        rows = np.repeat(np.arange(len(x)), len(self.roots))
        active = np.flatnonzero(self.mode[at] != LEAF)
        modes = np.unique(self.mode)
        while active.size:
            here = at[active]
            v, mode = x[rows[active], self.feature[here]], self.mode[here]
            to_yes = self.missing[here] & np.isnan(v)
            for m in modes[modes != LEAF]:
                holds = self._member(here, v) if m == MEMBER else _COMPARE[m](v, self.split[here])
                to_yes |= holds & (mode == m) if len(modes) > 2 else holds
            here = np.where(to_yes, self.yes[here], self.no[here])
            at[active] = here
            active = active[self.mode[here] != LEAF]
        return at.reshape(len(x), len(self.roots))

    def _member(self, nodes, v):
        if not len(self.values):
            return np.zeros(len(v), bool)
        place = np.minimum(np.searchsorted(self.values, v), len(self.values) - 1)
        keys = self.ranks[nodes] * len(self.values) + place
        found = np.minimum(np.searchsorted(self.members, keys), len(self.members) - 1)
        return (self.values[place] == v) & (self.members[found] == keys) & (self.ranks[nodes] >= 0)

    def scores(self, x: np.ndarray, targets: int, aggregate: str) -> np.ndarray:
        """Votes of all trees, [rows, targets] in float64; 0 for a target that nobody votes for."""
        leaves = self.leaves(x).reshape(-1)
        count = np.diff(self.start)[leaves]
        rows = np.repeat(np.repeat(np.arange(len(x)), len(self.roots)), count)
        first = np.cumsum(count) - count
        votes = np.arange(len(rows)) - np.repeat(first - self.start[leaves], count)
        flat, weight = rows * targets + self.target[votes], self.weight[votes]
        if aggregate in ("SUM", "AVERAGE"):
            y: np.ndarray = np.bincount(flat, weight, len(x) * targets)
            y = y / len(self.roots) if aggregate == "AVERAGE" else y
        else:
            low = aggregate == "MIN"
            y = np.full(len(x) * targets, np.inf if low else -np.inf)
            (np.minimum if low else np.maximum).at(y, flat, weight)
            y[np.bincount(flat, minlength=len(y)) == 0] = 0
        return y.reshape(len(x), targets)


class Trees(Op, eq=False):
    """The votes of a forest for each row, aggregated, plus base values, after a post_transform."""

    forest: Forest
    targets: int
    aggregate: str
    base: np.ndarray
    post: str
    to: np.dtype

    def shapes(self, x):
        if x.shape is None:
            raise UnknownRank
        if x.rank not in (1, 2):
            raise ModelError(f"the input has {x.rank} dimensions; 1 or 2 are needed")
        inner = self.forest.mode != LEAF
        most = int(self.forest.feature[inner].max()) if inner.any() else -1
        if isinstance(x.dims[-1], int) and most >= x.dims[-1]:
            raise ModelError(f"a node asks for feature {most}, the input has {x.dims[-1]}")
        return [[x.dims[0] if x.rank == 2 else 1, self.targets]]

    def dtypes(self, x):
        return [self.to]

    def python(self, x):
        x = x.reshape(1, -1) if x.ndim == 1 else x
        x = x if x.dtype.kind == "f" else x.astype(np.float64)
        step = max(1, CHUNK // max(1, len(self.forest.roots)))
        y = np.empty((len(x), self.targets))
        for i in range(0, len(x), step):
            y[i: i + step] = self.forest.scores(x[i: i + step], self.targets, self.aggregate)
        return post_transform(self.post, y + self.base if self.base.size else y).astype(self.to)


def _same_length(**arrays) -> None:
    sizes = {name: len(a) for name, a in arrays.items() if a is not None}
    if len(set(sizes.values())) > 1:
        raise ModelError("these differ in length: " + ", ".join(f"{k} {n}" for k, n in sizes.items()))


def _named(kind: str, names, value, most: int):
    """names[value] of a number; raises ModelError outside 0 to most."""
    if not 0 <= value <= most:
        raise ModelError(f"{kind} is {value}, outside 0 to {most}")
    return names[value]


@onnx("TreeEnsemble", since=5, domain=ML)
def tree_ensemble(b, x, *, leaf_targetids, leaf_weights, nodes_falseleafs, nodes_falsenodeids, nodes_featureids,
                  nodes_modes, nodes_splits, nodes_trueleafs, nodes_truenodeids, tree_roots, aggregate_function=1,
                  membership_values=None, n_targets=None, nodes_hitrates=None, nodes_missing_value_tracks_true=None,
                  post_transform=0):
    """Inner nodes and leaves have numbers of their own; a root whose branches are one leaf is that leaf."""
    n = len(nodes_modes)
    _same_length(nodes_modes=nodes_modes, nodes_featureids=nodes_featureids, nodes_splits=nodes_splits,
                 nodes_truenodeids=nodes_truenodeids, nodes_falsenodeids=nodes_falsenodeids,
                 nodes_trueleafs=nodes_trueleafs, nodes_falseleafs=nodes_falseleafs,
                 nodes_missing_value_tracks_true=nodes_missing_value_tracks_true or None)
    _same_length(leaf_targetids=leaf_targetids, leaf_weights=leaf_weights)
    leaves = len(leaf_targetids)
    branches = []
    for name, ids, is_leaf in (("nodes_truenodeids", nodes_truenodeids, nodes_trueleafs),
                               ("nodes_falsenodeids", nodes_falsenodeids, nodes_falseleafs)):
        ids, is_leaf = np.array(ids, np.int64), np.array(is_leaf, np.int64) != 0
        bad = (ids < 0) | (ids >= np.where(is_leaf, leaves, n))
        if bad.any():
            where = int(bad.argmax())
            raise ModelError(f"{name} has {int(ids[where])} at position {where}; there are {n} nodes and {leaves} "
                             "leaves")
        branches.append(np.concatenate([np.where(is_leaf, ids + n, ids), np.zeros(leaves, np.int64)]))
    modes = np.concatenate([nodes_modes.reshape(-1).astype(np.int64), np.full(leaves, LEAF)])
    if n and nodes_modes.max() > MEMBER:
        raise ModelError(f"nodes_modes has {int(nodes_modes.max())}; 0 to {MEMBER} are known")
    pad = np.zeros(leaves, np.int64)
    start = np.concatenate([np.zeros(n, np.int64), np.arange(leaves + 1)])
    forest = Forest(
        np.array(tree_roots, np.int64), modes, np.concatenate([np.array(nodes_featureids, np.int64), pad]),
        np.concatenate([nodes_splits.reshape(-1), pad.astype(nodes_splits.dtype)]), *branches,
        np.concatenate([np.array(nodes_missing_value_tracks_true or [0] * n, np.int64) != 0, pad != 0]),
        start, np.array(leaf_targetids, np.int64), leaf_weights.reshape(-1).astype(np.float64),
        *_members(modes, membership_values))
    targets = n_targets if n_targets is not None else max(leaf_targetids, default=0) + 1
    forest.check(targets)
    return b.emit(Trees(forest, targets, _named("aggregate_function", AGGREGATES, aggregate_function, 3), np.zeros(0),
                        _named("post_transform", POST, post_transform, 4), x.fact.dtype), x)


def _members(modes, values):
    """(sorted values, rank of each MEMBER node or -1, sorted keys); NaN ends the list of one node."""
    values = np.zeros(0) if values is None else values.reshape(-1)
    at = np.flatnonzero(modes == MEMBER)
    ends = np.isnan(values)
    if int(ends.sum()) != len(at) or (len(ends) and not ends[-1]):
        raise ModelError(f"membership_values has {int(ends.sum())} lists that end with NaN, there are {len(at)} "
                         "BRANCH_MEMBER nodes")
    ranks = np.full(len(modes), -1)
    ranks[at] = np.arange(len(at))
    owner = (np.cumsum(ends) - ends)[~ends]
    unique, place = np.unique(values[~ends], return_inverse=True)
    return unique, ranks, np.unique(owner * len(unique) + place.reshape(-1))


def _forest(treeids, nodeids, modes, featureids, splits, yes, no, missing, vote_trees, vote_nodes, vote_targets,
            weights) -> Forest:
    """The forest of the older form, where (tree, node) names a node."""
    _same_length(nodes_treeids=treeids, nodes_nodeids=nodeids, nodes_modes=modes, nodes_featureids=featureids,
                 nodes_values=splits, nodes_truenodeids=yes, nodes_falsenodeids=no,
                 nodes_missing_value_tracks_true=missing or None)
    _same_length(treeids=vote_trees, nodeids=vote_nodes, ids=vote_targets, weights=weights)
    place = {key: i for i, key in enumerate(zip(treeids, nodeids, strict=True))}
    if len(place) != len(treeids):
        raise ModelError(f"{len(treeids) - len(place)} pairs of nodes_treeids and nodes_nodeids come twice")
    unknown = [m for m in set(modes) if m not in MODES or m == "BRANCH_MEMBER"]
    if unknown:
        raise ModelError(f"nodes_modes has {sorted(unknown)[0]!r}; choose from "
                         f"{', '.join(m for m in MODES if m != 'BRANCH_MEMBER')}")
    mode = np.array([MODES.index(m) for m in modes], np.int64)
    branches = [np.array([-1 if m == LEAF else place.get((t, i), -1)
                          for t, i, m in zip(treeids, ids, mode, strict=True)], np.int64) for ids in (yes, no)]
    owners = np.array([place.get(key, -1) for key in zip(vote_trees, vote_nodes, strict=True)], np.int64)
    if (owners < 0).any():
        where = int((owners < 0).argmax())
        raise ModelError(f"vote {where} is of node {vote_nodes[where]} in tree {vote_trees[where]}, which is not there")
    order = np.argsort(owners, kind="stable")
    start = np.searchsorted(owners[order], np.arange(len(mode) + 1))
    inner = mode != LEAF
    below = {int(i) for b in branches for i in b[inner]}
    first: dict[int, int] = {}
    tops: dict[int, list[int]] = {}
    for i, tree in enumerate(treeids):
        first.setdefault(tree, i)
        if i not in below:
            tops.setdefault(tree, []).append(i)
    roots = []
    for tree, i in first.items():
        found = tops.get(tree, [])
        if i not in found and (len(found) != 1 or i not in _below(found[0], *branches)):
            raise ModelError(f"tree {tree} has no node that leads to all others and that no branch leads to")
        roots.append(i if i in found else found[0])
    return Forest(
        np.array(roots, np.int64), mode, np.array(featureids, np.int64), np.asarray(splits),
        branches[0], branches[1], np.array(missing or [0] * len(mode), np.int64) != 0, start,
        np.array(vote_targets, np.int64)[order], np.asarray(weights, np.float64)[order], *_members(mode, None))


def _below(root: int, yes, no) -> set[int]:
    """The nodes that the root leads to."""
    found, todo = {root}, [root]
    while todo:
        i = todo.pop()
        new = {int(yes[i]), int(no[i])} - found - {-1}
        found |= new
        todo += new
    return found


def _either(name: str, floats, tensor) -> np.ndarray:
    if tensor is not None and floats:
        raise ModelError(f"both {name} and {name}_as_tensor are given; one of them is allowed")
    return np.array(floats or (), np.float32) if tensor is None else tensor.reshape(-1)


@onnx("TreeEnsembleRegressor", since=1, domain=ML)
def tree_ensemble_regressor(
        b, x, *, aggregate_function="SUM", base_values=(), base_values_as_tensor=None, n_targets=None,
        nodes_falsenodeids=(), nodes_featureids=(), nodes_hitrates=(), nodes_hitrates_as_tensor=None,
        nodes_missing_value_tracks_true=(), nodes_modes=(), nodes_nodeids=(), nodes_treeids=(), nodes_truenodeids=(),
        nodes_values=(), nodes_values_as_tensor=None, post_transform="NONE", target_ids=(), target_nodeids=(),
        target_treeids=(), target_weights=(), target_weights_as_tensor=None):
    """Versions 1 and 3 (which may give numbers as tensors)."""
    forest = _forest(nodes_treeids, nodes_nodeids, nodes_modes, nodes_featureids,
                     _either("nodes_values", nodes_values, nodes_values_as_tensor), nodes_truenodeids,
                     nodes_falsenodeids, nodes_missing_value_tracks_true, target_treeids, target_nodeids, target_ids,
                     _either("target_weights", target_weights, target_weights_as_tensor))
    targets = n_targets if n_targets is not None else max(target_ids, default=0) + 1
    forest.check(targets)
    if aggregate_function not in AGGREGATES:
        raise ModelError(f"aggregate_function is {aggregate_function!r}; choose from {', '.join(AGGREGATES)}")
    base = _base(base_values, base_values_as_tensor, targets)
    return b.emit(Trees(forest, targets, aggregate_function, base, check_post(post_transform), dtypes.FLOAT), x)


def _base(floats, tensor, targets: int) -> np.ndarray:
    base = _either("base_values", floats, tensor).astype(np.float64)
    if len(base) not in (0, 1, targets):
        raise ModelError(f"base_values has {len(base)} elements; 0, 1 or {targets} are allowed")
    return base


@onnx("TreeEnsembleClassifier", since=1, domain=ML)
def tree_ensemble_classifier(
        b, x, *, base_values=(), base_values_as_tensor=None, class_ids=(), class_nodeids=(), class_treeids=(),
        class_weights=(), class_weights_as_tensor=None, classlabels_int64s=(), classlabels_strings=(),
        nodes_falsenodeids=(), nodes_featureids=(), nodes_hitrates=(), nodes_hitrates_as_tensor=None,
        nodes_missing_value_tracks_true=(), nodes_modes=(), nodes_nodeids=(), nodes_treeids=(), nodes_truenodeids=(),
        nodes_values=(), nodes_values_as_tensor=None, post_transform="NONE"):
    """Versions 1 and 3. Where all votes are for one of two classes, their sum decides between the two."""
    labels = Labels.of(classlabels_int64s, classlabels_strings, max(class_ids, default=0) + 1)
    weights = _either("class_weights", class_weights, class_weights_as_tensor)
    binary = len(labels) <= 2 and len(set(class_ids)) == 1
    targets = 1 if binary else len(labels)
    forest = _forest(nodes_treeids, nodes_nodeids, nodes_modes, nodes_featureids,
                     _either("nodes_values", nodes_values, nodes_values_as_tensor), nodes_truenodeids,
                     nodes_falsenodeids, nodes_missing_value_tracks_true, class_treeids, class_nodeids,
                     [0] * len(class_ids) if binary else class_ids, weights)
    forest.check(targets)
    base = _base(base_values, base_values_as_tensor, len(labels))
    if binary:
        base = base[class_ids[0]:][:1] if len(base) == 2 else base
    scores = b.emit(Trees(forest, targets, "SUM", base, "NONE", np.dtype(np.float64)), x)
    positive = bool((weights >= 0).all())
    return b.emit(Classify(labels, check_post(post_transform), binary, not positive, 0.5 if positive else 0.0), scores)


__all__ = ["Forest", "Trees"]
