"""Dimensions that are not known yet: polynomials with integer coefficients over names, unknowns and quotients.

A dimension is an int or a `Dim`. Arithmetic keeps a canonical form, so two dimensions are equal exactly when their
forms are; anything that folds to a number is an int again. `Dim.unknown()` makes one that equals only itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Union

from cynfer.ops.errors import InputError

DimLike = Union[int, "Dim"]
_fresh = itertools.count()


class Dim:
    """A sum of coefficient * product of atoms. An atom is a name or a (numerator, denominator) floor quotient."""

    __slots__ = ("_hash", "_text", "terms")

    def __init__(self, terms: tuple[tuple[tuple, int], ...]):
        self.terms = terms
        self._hash = hash(terms)
        self._text = ""

    @staticmethod
    def name(name: str) -> Dim:
        """The dimension that a model calls `name`."""
        return Dim((((name,), 1),))

    @staticmethod
    def unknown() -> Dim:
        """A dimension that nothing is known of; its name starts with a question mark."""
        return Dim.name(f"?{next(_fresh)}")

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dim) and self.terms == other.terms

    def __add__(self, other: DimLike) -> DimLike:
        if isinstance(other, Dim):
            return _sum(itertools.chain(self.terms, other.terms))
        terms, number = (self.terms[:-1], self.terms[-1][1]) if not self.terms[-1][0] else (self.terms, 0)
        number += int(other)  # the number stands last
        return Dim((*terms, ((), number)) if number else terms)

    def __mul__(self, other: DimLike) -> DimLike:
        if not isinstance(other, Dim):
            return Dim(tuple((a, m * int(other)) for a, m in self.terms)) if other else 0
        return _sum((tuple(sorted((*a, *b), key=str)), m * n) for a, m in self.terms for b, n in other.terms)

    def __neg__(self) -> DimLike:
        return self * -1

    def __sub__(self, other: DimLike) -> DimLike:
        return self + -other

    def __rsub__(self, other: int) -> DimLike:
        return other + -self

    __radd__, __rmul__ = __add__, __mul__

    def __floordiv__(self, other: DimLike) -> DimLike:
        if other == 1:
            return self
        if other == self:
            return 1
        divisor = _terms(other)
        if len(divisor) == 1:  # exact where every term is a multiple of the divisor
            (atoms, n), quotient = divisor[0], []
            for a, m in self.terms:
                rest = list(a)
                if m % n or any(rest.count(x) < atoms.count(x) for x in atoms):
                    break
                for x in atoms:
                    rest.remove(x)
                quotient.append((tuple(rest), m // n))
            else:
                return _sum(quotient)
        return Dim(((((self, other),), 1),))

    def __rfloordiv__(self, other: int) -> DimLike:
        return 0 if other == 0 else Dim(((((other, self),), 1),))

    def names(self) -> set[str]:
        """Every name (and unknown) in it."""
        found: set[str] = set()
        for atoms, _ in self.terms:
            for atom in atoms:
                if isinstance(atom, str):
                    found.add(atom)
                else:
                    for part in atom:
                        found |= part.names() if isinstance(part, Dim) else set()
        return found

    def substitute(self, values: Mapping[str, DimLike]) -> DimLike:
        """The same with names replaced by the dimensions in `values`."""

        def atom(a) -> DimLike:
            if isinstance(a, str):
                return values.get(a, Dim.name(a))
            top, bottom = (substitute(part, values) for part in a)
            if bottom == 0:
                raise InputError(f"dimension {self} divides by zero")
            return top // bottom

        total: DimLike = 0
        for atoms, n in self.terms:
            total = total + product(map(atom, atoms)) * n
        return total

    def __str__(self) -> str:
        def one(atoms, n):
            shown = [a if isinstance(a, str) else f"({a[0]})//({a[1]})" for a in atoms]
            return "*".join(([str(n)] if n != 1 or not shown else []) + shown)

        if not self._text:
            self._text = " + ".join(one(*t) for t in self.terms)
        return self._text

    __repr__ = __str__


def _terms(x: DimLike):
    return x.terms if isinstance(x, Dim) else (((), int(x)),)


def _sum(terms: Iterable[tuple[tuple, int]]) -> DimLike:
    total: dict[tuple, int] = {}
    for atoms, n in terms:
        total[atoms] = total.get(atoms, 0) + n
    kept = sorted(((a, n) for a, n in total.items() if n), key=lambda t: (str(t[0]), t[1]))
    if not kept:
        return 0
    return kept[0][1] if len(kept) == 1 and not kept[0][0] else Dim(tuple(kept))


def substitute(dim: DimLike, values: Mapping[str, DimLike]) -> DimLike:
    """`dim` with names replaced; an int is itself."""
    return dim.substitute(values) if isinstance(dim, Dim) else dim


def product(dims: Iterable[DimLike]) -> DimLike:
    """The product, 1 of none."""
    result: DimLike = 1
    for d in dims:
        result = result * d
    return result


def is_known(shape: Iterable[DimLike] | None) -> bool:
    """True if the rank is known and every dimension is a number."""
    return shape is not None and not any(isinstance(d, Dim) for d in shape)
