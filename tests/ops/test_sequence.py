"""Sequences: what the backend suite leaves out (bad values, types, memory of results, loops that grow them)."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from cynfer.ops.errors import CynferError, InputError, KernelError, LimitError, ModelError
from cynfer.runtime.limits import Limits
from cynfer.runtime.session import Session

F, INT, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
X = np.arange(12, dtype=np.float32).reshape(3, 4)


def tensor(name, kind=F, dims=None):
    return helper.make_tensor_value_info(name, kind, dims)


def sequence(name, kind=F, dims=None):
    return helper.make_tensor_sequence_value_info(name, kind, dims)


def node(op, ins, outs, **attributes):
    return helper.make_node(op, [i if i != "_" else "" for i in ins.split()], outs.split(), op, **attributes)


def session(nodes, inputs, outputs, constants=(), opset=21, **options):
    graph = helper.make_graph(nodes, "g", inputs, [helper.make_empty_tensor_value_info(n) for n in outputs],
                              [numpy_helper.from_array(np.asarray(a), n) for n, a in dict(constants).items()])
    return Session(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9), **options)


def run(nodes, feeds, outputs, constants=(), **options):
    inputs = [sequence(k, helper.np_dtype_to_tensor_dtype(v[0].dtype) if v else F) if isinstance(v, list)
              else tensor(k, helper.np_dtype_to_tensor_dtype(v.dtype)) for k, v in feeds.items()]
    results = [session(nodes, inputs, outputs, constants, optimise=o, **options).run(None, feeds)
               for o in (True, False)]
    for a, b in zip(*results, strict=True):
        assert type(a) is type(b) and len(a) == len(b) if isinstance(a, list) else np.array_equal(a, b)
    return results[0]


@pytest.mark.parametrize("position, expected", [(0, 0), (2, 2), (-1, 2), (-3, 0)])
def test_at(position, expected):
    got, = run([node("SequenceAt", "s p", "y")], {"s": [X, X + 1, X + 2], "p": np.array(position)}, ["y"])
    np.testing.assert_array_equal(got, X + expected)


@pytest.mark.parametrize("op, ins, position, message", [
    ("SequenceAt", "s p", 2, "position 2 is outside -2 to 1"), ("SequenceErase", "s p", -3, "position -3 is outside"),
    ("SequenceInsert", "s t p", 3, "position 3 is outside -2 to 2"),
])
def test_positions_outside(op, ins, position, message):
    feeds = {"s": [X, X], "p": np.array(position, np.int32)} | ({"t": X} if "t" in ins else {})
    with pytest.raises(KernelError, match=f"node .*{op}.*{message}"):
        run([node(op, ins, "y")], feeds, ["y"])


def test_nothing_to_take():
    for op in ("SequenceErase", "SequenceAt"):
        with pytest.raises(KernelError, match="the sequence is empty"):
            run([node(op, "s p", "y")], {"s": [], "p": np.array(0)}, ["y"])
    with pytest.raises(KernelError, match="the sequence is empty"):
        run([node("ConcatFromSequence", "s", "y", axis=0)], {"s": []}, ["y"])


@pytest.mark.parametrize("split, expected", [
    (2, [[0, 1], [2, 3]]), (3, [[0, 1, 2], [3]]), ([1, 0, 3], [[0], [], [1, 2, 3]]), (9, [[0, 1, 2, 3]]),
])
def test_split(split, expected):
    got, = run([node("SplitToSequence", "x n", "y", axis=-1)], {"x": X, "n": np.array(split)}, ["y"])
    assert [g.tolist() for g in got] == [X[:, e].tolist() for e in expected]


@pytest.mark.parametrize("split, message", [
    (0, "split is 0; 1 or more"), ([5, -1], "split has -1 at position 1"), ([1, 2], "add up to 3, axis 1 has 4"),
    ([[4]], "2 dimensions"),
])
def test_bad_split(split, message):
    with pytest.raises(CynferError, match=message):
        run([node("SplitToSequence", "x n", "y", axis=1)], {"x": X, "n": np.array(split)}, ["y"])


def test_split_drops_the_axis():
    got, = run([node("SplitToSequence", "x", "y", axis=0, keepdims=0)], {"x": X}, ["y"])
    assert [g.shape for g in got] == [(4,)] * 3


def test_concat_of_shapes_that_do_not_fit():
    with pytest.raises(KernelError, match=r"element 1 has shape \[3, 2\].*\[3, 4\] along axis 0"):
        run([node("ConcatFromSequence", "s", "y", axis=0)], {"s": [X, X[:, :2]]}, ["y"])
    with pytest.raises(KernelError, match="along a new axis 2"):
        run([node("ConcatFromSequence", "s", "y", axis=-1, new_axis=1)], {"s": [X, X[:2]]}, ["y"])
    with pytest.raises(ModelError, match="new_axis is 2"):
        run([node("ConcatFromSequence", "s", "y", axis=0, new_axis=2)], {"s": [X]}, ["y"])


def test_types():
    with pytest.raises(CynferError, match=r"seq\(tensor\(float\)\)"):
        run([node("SequenceConstruct", "x", "s"), node("Relu", "s", "y")], {"x": X}, ["y"])
    with pytest.raises(CynferError, match=r"tensor\(float\) and tensor\(int64\)"):
        run([node("SequenceEmpty", "", "s"), node("SequenceInsert", "s x", "y")], {"x": np.arange(3)}, ["y"])
    with pytest.raises(CynferError, match="seq"):
        run([node("SequenceLength", "x", "y")], {"x": X}, ["y"])
    with pytest.raises(InputError, match=r"input 's' is a ndarray; a list"):
        session([node("SequenceLength", "s", "y")], [sequence("s")], ["y"]).run(None, {"s": X})
    with pytest.raises(InputError, match=r"'s'\[1\] has shape \[3, 4\]; the model says \[3, 5\]"):
        session([node("SequenceLength", "s", "y")], [sequence("s", dims=[3, 5])], ["y"]).run(
            None, {"s": [np.zeros((3, 5), np.float32), X]})
    with pytest.raises(InputError, match=r"'s'\[0\] is int64"):
        session([node("SequenceLength", "s", "y")], [sequence("s")], ["y"]).run(None, {"s": [np.arange(3)]})


def test_results_share_no_memory():
    one = session([node("Relu", "x", "r"), node("SequenceConstruct", "r x", "a"), node("SequenceInsert", "a r", "b"),
                   node("Identity", "s", "c"), node("SequenceAt", "a zero", "d")],
                  [tensor("x", dims=[3, 4]), sequence("s")], ["a", "b", "c", "d"], {"zero": 0})
    given = [X.copy()]
    a, b, c, d = one.run(None, {"x": X, "s": given})
    everything = [*a, *b, *c, d, X, *given]
    for i, x in enumerate(everything):
        assert not any(np.may_share_memory(x, y) for y in everything[:i]), i
    again = one.run(None, {"x": -X, "s": given})
    np.testing.assert_array_equal(a[0], X)
    np.testing.assert_array_equal(again[0][0], np.zeros_like(X))


def growing(trips, n=2, **options):
    """A sequence that gains the round's number in every round."""
    body = helper.make_graph(
        [node("Identity", "go_in", "go_out"), node("Cast", "i", "f", to=F), node("Expand", "f n", "e"),
         node("SequenceInsert", "s_in e", "s_out")],
        "body", [tensor("i", INT, []), tensor("go_in", BOOL, []), helper.make_empty_tensor_value_info("s_in")],
        [helper.make_empty_tensor_value_info("go_out"), helper.make_empty_tensor_value_info("s_out")])
    one = session([node("SequenceEmpty", "", "s"), node("Loop", "trips _ s", "end", body=body),
                   node("ConcatFromSequence", "end", "y", axis=0), node("SequenceLength", "end", "n_end")],
                  [tensor("trips", INT, []), tensor("n", INT, [1])], ["y", "n_end"], **options)
    return one.run(None, {"trips": np.array(trips), "n": np.array([n])})


@pytest.mark.parametrize("optimise", [True, False])
def test_loop_grows_a_sequence(optimise):
    y, n = growing(5, optimise=optimise)
    np.testing.assert_array_equal(y, np.repeat(np.arange(5, dtype=np.float32), 2))
    assert n == 5


def test_loop_grows_up_to_the_budget():
    with pytest.raises(LimitError, match="rounds have kept takes more than"):
        growing(1 << 40, n=1000, limits=Limits(max_bytes=1 << 20))


def test_loop_carries_a_type():
    body = helper.make_graph(
        [node("Identity", "go_in", "go_out"), node("SequenceConstruct", "i", "s_out")],
        "body", [tensor("i", INT, []), tensor("go_in", BOOL, []), helper.make_empty_tensor_value_info("s_in")],
        [helper.make_empty_tensor_value_info("go_out"), helper.make_empty_tensor_value_info("s_out")])
    with pytest.raises(ModelError, match=r"carried value 0 changes its type: seq\(tensor\(float\)\) and "):
        session([node("SequenceEmpty", "", "s"), node("Loop", "trips _ s", "y", body=body)], [tensor("trips", INT, [])],
                ["y"])


def test_either_sequence():
    def branch(op, ins):
        return helper.make_graph([node(op, ins, "b")], "b", [], [helper.make_empty_tensor_value_info("b")])

    one = session([node("SequenceConstruct", "x x", "s"),
                   node("If", "go", "t", then_branch=branch("SequenceErase", "s"),
                        else_branch=branch("SequenceInsert", "s x")), node("SequenceLength", "t", "y")],
                  [tensor("x"), tensor("go", BOOL, [])], ["y", "t"])
    assert [int(one.run(None, {"x": X, "go": np.array(g)})[0]) for g in (True, False, True)] == [1, 3, 1]


def test_map_over_built_sequences():
    """The body of SequenceMap follows from types that only other sequence operators give."""
    body = helper.make_graph([node("Add", "a b", "c")], "body", [tensor("a"), tensor("b")], [tensor("c")])
    got, = run([node("SplitToSequence", "x", "s"), node("SequenceConstruct", "x x x", "t"),
                node("SequenceMap", "s t", "y", body=body)], {"x": X}, ["y"])
    np.testing.assert_array_equal(np.stack(got), X[:, None] + X)


def test_backend_interface():
    from cynfer import backend

    got, = backend.run_node(node("SequenceInsert", "s t", "y"), [[X, X + 1], X + 2])
    assert [float(g[0, 0]) for g in got] == [0, 1, 2]
    assert backend.run_node(node("SequenceLength", "s", "y"), {"s": [X, X]})[0] == 2
