"""Optionals: absent values, both ways of feeding one, what a plan learns from what was fed."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from test_sequence import F, X, node, session

from cynfer.ops.errors import CynferError, InputError, KernelError


def optional(name, inner):
    return helper.make_value_info(name, helper.make_optional_type_proto(inner))


TENSOR = helper.make_tensor_type_proto(F, None)
SEQUENCE = helper.make_sequence_type_proto(TENSOR)


@pytest.mark.parametrize("optimise", [True, False])
@pytest.mark.parametrize("inner, value", [(TENSOR, X), (SEQUENCE, [X, X + 1])])
def test_present_and_absent_in_turns(optimise, inner, value):
    one = session([node("OptionalHasElement", "o", "y")], [optional("o", inner)], ["y"], optimise=optimise)
    assert [bool(one.run(None, {"o": v})[0]) for v in (value, None, value, None)] == [True, False, True, False]


def test_element_of_an_empty_one():
    one = session([node("OptionalGetElement", "o", "e"), node("Relu", "e", "y")], [optional("o", TENSOR)], ["y"])
    np.testing.assert_array_equal(one.run(None, {"o": -X})[0], np.zeros_like(X))
    with pytest.raises(KernelError, match=r"OptionalGetElement.*the optional is empty"):
        one.run(None, {"o": None})
    np.testing.assert_array_equal(one.run(None, {"o": X[:2]})[0], X[:2])


def test_through_the_graph():
    one = session([node("Optional", "x", "o"), node("OptionalGetElement", "o", "y"),
                   node("Optional", "", "none", type=SEQUENCE), node("OptionalHasElement", "none", "has")],
                  [helper.make_tensor_value_info("x", F, [3, 4])], ["y", "o", "none", "has"])
    y, o, none, has = one.run(None, {"x": X})
    np.testing.assert_array_equal(y, X)
    np.testing.assert_array_equal(o, X)
    assert none is None and not has and not np.may_share_memory(o, X) and not np.may_share_memory(y, o)


def test_errors():
    with pytest.raises(CynferError, match="neither an input nor the attribute 'type'"):
        session([node("Optional", "", "o")], [], ["o"])
    with pytest.raises(CynferError, match=r"attribute 'type' is seq\(tensor\(float\)\), the input tensor\(float\)"):
        session([node("Optional", "x", "o", type=SEQUENCE)], [helper.make_tensor_value_info("x", F, [2])], ["o"])
    with pytest.raises(CynferError, match="optional"):
        session([node("Optional", "x", "o"), node("Relu", "o", "y")],
                [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])], ["y"])
    with pytest.raises(InputError, match="a list of arrays"):
        session([node("OptionalHasElement", "o", "y")], [optional("o", SEQUENCE)], ["y"]).run(None, {"o": X})
