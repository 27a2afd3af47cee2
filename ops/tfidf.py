"""TfIdfVectorizer: counts of n-grams."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from cynfer.ops.dtypes import FLOAT, STRING
from cynfer.ops.errors import ModelError, show
from cynfer.ops.op import Op, onnx


class TfIdfVectorizer(Op):
    """How often each n-gram of the pool stands in each row, tokens up to `skips` apart left out between.

    grams: (length, tokens of all n-grams of that length one after the other, their columns in the output).
    """

    mode: str
    grams: tuple[tuple[int, tuple, tuple[int, ...]], ...]
    skips: int
    size: int
    weights: tuple[float, ...]

    def shapes(self, x):
        if x.rank > 2:
            raise ModelError(f"the input has shape {list(x.dims)}, at most two dimensions are allowed")
        return [(self.size,) if x.rank < 2 else (x.dims[0], self.size)]

    def dtypes(self, x):
        return [FLOAT]

    def python(self, x):
        shape = (self.size,) if x.ndim < 2 else (x.shape[0], self.size)
        x = x.reshape(1, -1) if x.ndim < 2 else x
        counts = np.zeros(x.shape[0] * self.size, np.int64)
        for length, tokens, columns in self.grams:
            pool = np.array(tokens, x.dtype).reshape(-1, length)
            for distance in range(1, 2 + (self.skips if length > 1 else 0)):
                found = self._find(x, pool, np.array(columns), distance)
                counts += np.bincount((found + np.arange(x.shape[0])[:, None] * self.size)[found >= 0],
                                      minlength=counts.size)
        y = counts.reshape(-1, self.size).astype(FLOAT)
        if self.mode == "IDF":
            y = np.minimum(y, 1)
        if self.mode != "TF" and self.weights:
            y = y * np.array(self.weights, FLOAT)
        return y.reshape(shape)

    @staticmethod
    def _find(x: np.ndarray, pool: np.ndarray, columns: np.ndarray, distance: int) -> np.ndarray:
        """The column of the n-gram that starts at each token, -1 for none."""
        length = pool.shape[1]
        count = x.shape[1] - (length - 1) * distance
        if count <= 0:
            return np.zeros((x.shape[0], 0), np.int64)
        words, known = np.unique(pool, return_inverse=True)
        known = known.reshape(pool.shape)
        here = _rank(x, words)
        # prefixes of growing length, numbered by rank among those of the pool
        prefix, at = known[:, 0], here[:, :count]
        for k in range(1, length):
            keys, prefix = np.unique(prefix * len(words) + known[:, k], return_inverse=True)
            part = here[:, k * distance : k * distance + count]
            at = np.where((at >= 0) & (part >= 0), _rank(at * len(words) + part, keys), -1)
        place = np.zeros(len(words) if length == 1 else len(keys), np.int64) - 1
        place[prefix.reshape(-1)] = columns
        return np.where(at >= 0, place[at], -1)


def _rank(x: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The position of each element in sorted `values`, -1 for one that is not there."""
    at = np.minimum(np.searchsorted(values, x.reshape(-1)), len(values) - 1)
    return np.where(values[at] == x.reshape(-1), at, -1).reshape(x.shape)


@onnx("TfIdfVectorizer", since=9)
def tfidf_vectorizer(b, x, *, max_gram_length, max_skip_count, min_gram_length, mode, ngram_counts, ngram_indexes,
                     pool_int64s=(), pool_strings=(), weights=()):
    """ONNX TfIdfVectorizer."""
    if mode not in ("TF", "IDF", "TFIDF"):
        raise ModelError(f"mode is {show(mode)}, expected TF, IDF or TFIDF")
    if not 1 <= min_gram_length <= max_gram_length or max_skip_count < 0:
        raise ModelError(f"n-grams of {min_gram_length} to {max_gram_length} tokens with {max_skip_count} skips are "
                         "not possible")
    pool = tuple(pool_strings) if x.fact.dtype == STRING else tuple(pool_int64s)
    if not pool or (pool_strings and pool_int64s):
        raise ModelError(f"an input of type {x.fact.type_name()} needs pool_"
                         f"{'strings' if x.fact.dtype == STRING else 'int64s'}, and no other pool")
    starts = [*ngram_counts, len(pool)]
    if any(not 0 <= first <= last for first, last in pairwise(starts)):
        raise ModelError(f"ngram_counts {list(ngram_counts)} do not rise from 0 to the {len(pool)} tokens of the pool")
    grams, used = [], 0
    for length, (first, last) in enumerate(pairwise(starts), 1):
        n = (last - first) // length
        columns = tuple(ngram_indexes[used : used + n])
        used += n
        if n and min_gram_length <= length <= max_gram_length:
            grams.append((length, pool[first : first + n * length], columns))
    if used != len(ngram_indexes) or min(ngram_indexes) < 0 or (weights and len(weights) != len(ngram_indexes)):
        raise ModelError(f"the pool has {used} n-grams; ngram_indexes has {len(ngram_indexes)} numbers and weights "
                         f"{len(weights)}")
    return b.emit(TfIdfVectorizer(mode, tuple(grams), max_skip_count, max(ngram_indexes) + 1, tuple(weights)), x)
