"""Symbolic dimensions: arithmetic is that of integers, forms are canonical."""

from hypothesis import given, settings
from hypothesis import strategies as st

from cynfer.ops.dim import Dim, is_known, product, substitute

NAMES = ("N", "C", "H")
leaves = st.one_of(st.sampled_from(NAMES).map(Dim.name), st.integers(-5, 7))
dims = st.recursive(leaves, lambda inner: st.tuples(st.sampled_from("+-*"), inner, inner).map(
    lambda t: {"+": t[1] + t[2], "-": t[1] - t[2], "*": t[1] * t[2]}[t[0]]), max_leaves=8)
values = st.fixed_dictionaries({n: st.integers(1, 20) for n in NAMES})


@settings(deadline=None, derandomize=True)
@given(dims, dims, values)
def test_arithmetic_is_that_of_integers(a, b, env):
    def at(d):
        return substitute(d, env)

    assert at(a + b) == at(a) + at(b)
    assert at(a - b) == at(a) - at(b)
    assert at(a * b) == at(a) * at(b)
    if at(b) != 0:
        assert at(a // b) == at(a) // at(b)


@settings(deadline=None, derandomize=True)
@given(dims, dims, dims)
def test_forms_are_canonical(a, b, c):
    for left, right in ((a + b, b + a), (a * b, b * a), ((a + b) + c, a + (b + c)), (a * (b + c), a * b + a * c),
                        (a - a, 0), (a + 0, a), (a * 1, a), (a * 0, 0)):
        assert left == right
        assert hash(left) == hash(right)
        assert str(left) == str(right)


def test_exact_quotients_fold():
    n, c = Dim.name("N"), Dim.name("C")
    assert (n * c * 6) // (c * 2) == n * 3
    assert (n * 4 + 8) // 4 == n + 2
    assert n // n == 1 and 0 // n == 0 and n // 1 == n
    assert str((n + 1) // 2) == str((n + 1) // 2) and (n + 1) // 2 == (n + 1) // 2
    assert substitute((n + 1) // 2, {"N": 6}) == 3


def test_unknowns_equal_only_themselves():
    a, b = Dim.unknown(), Dim.unknown()
    assert a == a and a != b and a - a == 0 and a - b != 0


def test_names_and_products():
    n, c = Dim.name("N"), Dim.name("C")
    assert ((n + 1) // c * n).names() == {"N", "C"}
    assert product([]) == 1 and product([2, n, 3]) == n * 6
    assert is_known((1, 2)) and not is_known((1, n)) and not is_known(None)
