"""Einsum against NumPy's, for every way in which labels can meet."""

import numpy as np
import pytest
from harness import model, run

from cynfer.ops.errors import ModelError
from cynfer.runtime.session import Session

SIZES = dict(zip("abcdijkl", (2, 3, 4, 5, 3, 4, 6, 2), strict=True))
EQUATIONS = (
    "ij,jk->ik", "ij,jk", "ij,kj->ki", "bij,bjk->bik", "bij,jk->bik", "i,i->", "i,j->ij", "i,j->ji", "ij->ji", "ij->",
    "ij->j", "aab->ba", "aa->", "aab,bc->ac", "ij,ij->ij", "ij,ij->", "ij,ij->i", "ij,i->ij", "abcd,cd->ab",
    "abc,cd,dk->abk", "i,j,k->kji", "abij,abkj->abik", "abij,bijc->ca", "ab,cd->dcba", "ij,kl->", "ab,ab,ab->a",
    "ba", "ab,b", " i j , j k -> i k ", "abk,cbk->ac", "ij,kj,lj->ikl", "abc,a->cb",
)


def operands(equation, dtype, rng):
    return [rng.integers(-4, 5, [SIZES[c] for c in term.replace(" ", "")]).astype(dtype)
            for term in equation.split("->")[0].split(",")]


@pytest.mark.parametrize("equation", EQUATIONS)
def test_against_numpy(equation):
    rng = np.random.default_rng(1)
    for dtype in (np.float32, np.int64, np.uint8, np.float64, np.float16, np.int32):
        arrays = operands(equation, dtype, rng)
        with np.errstate(all="ignore"):
            want = np.einsum(equation, *arrays)
        for optimise in (True, False):
            m = model("Einsum", arrays, 12, equation=equation)
            got = Session(m, optimise=optimise).run(None, {f"i{k}": a for k, a in enumerate(arrays)})[0]
            assert got.dtype == dtype
            assert got.shape == want.shape
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(("equation", "shapes"), [
    ("...ij,...jk->...ik", [(2, 3, 4), (4, 5)]), ("...ij,...jk->...ik", [(2, 1, 3, 4), (5, 4, 6)]),
    ("...i->...", [(2, 3)]), ("...ii->...i", [(2, 3, 3)]), ("i...,i...", [(3, 2), (3, 1)]),
    ("...,...->...", [(2, 3), (3,)]),
    ("...,...", [(2, 3), (1, 3)]), ("a...b->b...", [(2, 3, 4)]), ("ij,jk->ik", [(2, 1), (3, 4)]), ("ij->ij", [(0, 3)]),
    ("ij,jk->ik", [(2, 0), (0, 3)]), ("...i,...i->...", [(2, 3, 4), (4,)]),
])
def test_ellipsis_and_broadcast(equation, shapes):
    rng = np.random.default_rng(2)
    arrays = [rng.integers(-3, 4, s).astype(np.float32) for s in shapes]
    want = np.einsum(equation, *arrays)
    got = run("Einsum", *arrays, opset=12, equation=equation)
    assert got.shape == want.shape
    np.testing.assert_array_equal(got, want)


def test_symbolic_sizes():
    arrays = [np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.arange(20, dtype=np.float32).reshape(4, 5)]
    m = model("Einsum", arrays, 12, equation="bij,jk->bki")
    for dim in (*m.graph.input[0].type.tensor_type.shape.dim, *m.graph.input[1].type.tensor_type.shape.dim):
        dim.dim_param = f"d{dim.dim_value}"
    session = Session(m)
    for n in (2, 3):
        first = np.concatenate([arrays[0]] * n)
        got = session.run(None, {"i0": first, "i1": arrays[1]})[0]
        np.testing.assert_array_equal(got, np.einsum("bij,jk->bki", first, arrays[1]))


@pytest.mark.parametrize(("equation", "shapes", "message"), [
    ("ij,jk->ik", [(2, 3)], "2 operands"), ("ijk->i", [(2, 3)], "rank 2"), ("ij,jk->ik", [(2, 3), (4, 5)], "3 and 4"),
    ("ii->i", [(2, 3)], "2 and 3"), ("ij->ik", [(2, 3)], "'k'"), ("ij->ii", [(2, 3)], "twice"),
    ("i1->i", [(2, 3)], "letters"), ("...i...->i", [(2, 3)], "letters"), ("ij->i->j", [(2, 3)], "letters"),
])
def test_errors(equation, shapes, message):
    with pytest.raises(ModelError, match=message):
        run("Einsum", *(np.ones(s, np.float32) for s in shapes), opset=12, equation=equation)
