"""Frozen records: what `dataclass(frozen=True)` makes, without compiling source for each class.

The package declares well over a hundred of them, and compiling took most of the time of importing it.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:
    def dataclass_transform(**_):
        """For type checkers alone."""
        return lambda cls: cls

R = TypeVar("R", bound="Record")
_MISSING = object()


@dataclass_transform(frozen_default=True)
class Record:
    """Base of classes whose annotated names are fields, in order, with what they are set to as defaults.

    Instances cannot be changed; two of one class with equal fields are equal, unless the class says eq=False (its
    fields are arrays or graphs, say). ClassVar annotations are no fields.
    """

    _fields: tuple[str, ...] = ()
    _defaults: dict[str, Any] = {}  # noqa: RUF012

    def __init_subclass__(cls, eq: bool = True):
        super().__init_subclass__()
        if not eq:
            cls.__eq__, cls.__hash__ = object.__eq__, object.__hash__  # type: ignore[method-assign]
        names = dict.fromkeys(cls._fields)
        defaults = dict(cls._defaults)
        for name, kind in inspect.get_annotations(cls).items():
            if "ClassVar" not in str(kind):
                names[name] = None
                if name in cls.__dict__:
                    defaults[name] = cls.__dict__[name]
        cls._fields, cls._defaults = tuple(names), defaults

    def __init__(self, *args, **given):
        fields = self._fields
        if len(args) > len(fields):
            raise TypeError(f"{type(self).__name__} takes {len(fields)} fields, {len(args)} were given")
        values = {**self._defaults, **dict(zip(fields, args, strict=False)), **given}
        if len(values) != len(fields) or not given.keys().isdisjoint(fields[: len(args)]):
            self._complain(args, given)
        self.__dict__.update(values)

    def _complain(self, args, given) -> None:
        fields, name = self._fields, type(self).__name__
        wrong = [g for g in given if g not in fields or g in fields[: len(args)]]
        missing = [f for f in fields[len(args):] if f not in given and f not in self._defaults]
        if wrong or missing:
            raise TypeError(f"{name}: unknown or repeated fields {wrong}, missing fields {missing}")

    def __setattr__(self, name, value):
        raise AttributeError(f"{type(self).__name__} is frozen; {name!r} cannot be set")

    def __delattr__(self, name):
        raise AttributeError(f"{type(self).__name__} is frozen; {name!r} cannot be deleted")

    def _values(self) -> tuple:
        return tuple([getattr(self, f) for f in self._fields])

    def __eq__(self, other) -> bool:
        return type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{f}={getattr(self, f)!r}' for f in self._fields)})"


def replace(record: R, **changes) -> R:
    """A copy with some fields changed."""
    return type(record)(**{**{f: getattr(record, f) for f in record._fields}, **changes})
