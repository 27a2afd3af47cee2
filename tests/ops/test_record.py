"""Records: fields, defaults, equality, and what they refuse."""

import pickle
from typing import ClassVar

import pytest

from cynfer.ops.record import Record, replace


class Base(Record):
    a: int
    b: int = 2
    kind: ClassVar[str] = "base"


class Derived(Base):
    c: tuple = ()


def test_fields_are_inherited_in_order():
    assert Derived(1, c=(3,)) == Derived(1, 2, (3,)) != Derived(1, 2, (4,))
    assert hash(Derived(1)) == hash(Derived(1, 2)) and Derived(1) != Base(1)
    assert repr(Derived(1)) == "Derived(a=1, b=2, c=())"
    assert replace(Derived(1), a=5) == Derived(5)
    assert pickle.loads(pickle.dumps(Derived(1, c=(2,)))) == Derived(1, c=(2,))


@pytest.mark.parametrize("args,given", [((), {}), ((1, 2, (), 4), {}), ((1,), {"a": 2}), ((1,), {"z": 2})])
def test_wrong_fields_are_refused(args, given):
    with pytest.raises(TypeError):
        Derived(*args, **given)


def test_instances_are_frozen():
    with pytest.raises(AttributeError):
        Base(1).a = 2
    with pytest.raises(AttributeError):
        del Base(1).a
