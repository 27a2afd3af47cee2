"""The five places where a plan keeps values: constant, state, arena, owned buffer, Python object."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from cynfer.ops.dim import Dim
from cynfer.ops.elementwise import Unary
from cynfer.ops.errors import KernelError, ModelError
from cynfer.ops.fact import Fact
from cynfer.ops.machine import Machine
from cynfer.ops.state import Assign
from cynfer.runtime.builder import Builder
from cynfer.runtime.limits import Limits
from cynfer.runtime.plan import ARENA, CONSTANT, OBJECT, OWNED, STATE
from cynfer.runtime.program import Program
from cynfer.runtime.session import Session

TYPES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int64): TensorProto.INT64,
         np.dtype(object): TensorProto.STRING, np.dtype(bool): TensorProto.BOOL}


def model(nodes, inputs, outputs, constants=(), opset=17):
    """inputs: {name: (type, dims)}; outputs: names; constants: {name: array}."""
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(n, TYPES[np.dtype(t)], d) for n, (t, d) in inputs.items()],
        [helper.make_empty_tensor_value_info(n) for n in outputs],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in dict(constants).items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def branch(name, nodes, *outputs):
    return helper.make_graph(nodes, name, [], [helper.make_empty_tensor_value_info(n) for n in outputs])


def node(op, ins, outs, **attributes):
    return helper.make_node(op, ins.split(), outs.split(), **attributes)


@pytest.fixture(params=[True, False], ids=["passes", "plain"])
def optimise(request):
    return request.param


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def kinds(segment):
    return {value.name: found.kind for value, found in segment.storage.items()}


def test_constant_arena_and_owned():
    b = Builder()
    x = b.input(Fact(np.dtype(np.float32), (Dim.name("N"), 3)), "x")
    hidden = b.emit(Unary("relu"), x)
    y = b.emit(Unary("relu"), hidden)
    hidden.name, y.name = "hidden", "y"
    b.graph.outputs = [y, b.const(draw(2), name="c")]
    program = Program(b.graph, Machine(), 2, Limits())
    assert kinds(program.plan([(4, 3)])) == {"x": OWNED, "hidden": ARENA, "y": OWNED, "c": CONSTANT}
    given = draw(4, 3)
    got, constant = program.run([given])
    np.testing.assert_array_equal(got, np.maximum(given, 0))
    constant[:] = 9  # outputs own their memory
    np.testing.assert_array_equal(program.run([given])[1], draw(2))


def test_data_dependent_shapes_start_a_segment(optimise):
    session = Session(model([node("NonZero", "x", "at"), node("Transpose", "at", "rows"), node("Relu", "x", "r"),
                             node("GatherND", "r rows", "picked"), node("Relu", "picked", "y"),
                             node("Shape", "at", "n")],
                            {"x": (np.float32, ["N", 4])}, ["y", "n"]), optimise=optimise)
    for seed, rows in enumerate((3, 7, 3, 0, 7, 3)):
        x = draw(rows, 4, seed=seed)
        x[x < 0.3] = 0
        y, n = session.run(None, {"x": x})
        np.testing.assert_array_equal(y, x[x != 0])
        assert n.tolist() == [2, np.count_nonzero(x)]


def test_plans_of_alternating_shapes_are_kept():
    session = Session(model([node("NonZero", "x", "at"), node("Cast", "at", "f", to=1), node("Relu", "f", "y")],
                            {"x": (np.float32, ["N"])}, ["y"]))
    feeds = [np.ones(3, np.float32), np.ones(5, np.float32), np.array([1, 0, 1], np.float32)]
    for x in (feeds[0], feeds[1], feeds[0], feeds[2], feeds[0]):
        assert session.run(None, {"x": x})[0].tolist() == [[i for i, v in enumerate(x) if v]]
    roots = session.program.roots
    assert len(roots) == 2  # a plan for each input shape, and below it one for each number of elements found
    assert sorted(len(root.following) for root in roots.values()) == [1, 2]


def test_reshape_to_a_computed_shape(optimise):
    nodes = [node("Mul", "shape two", "wanted"), node("Reshape", "x wanted", "v"), node("Relu", "v", "y"),
             node("Add", "y y", "z")]
    session = Session(model(nodes, {"x": (np.float32, ["A", "B"]), "shape": (np.int64, [2])}, ["z", "y"],
                            {"two": np.array([2, 1])}), optimise=optimise)
    for shape, wanted in (((4, 6), (1, 12)), ((4, 6), (3, 4)), ((4, 6), (1, 12)), ((2, 2), (1, 2)), ((4, 6), (2, -1))):
        x = draw(*shape)
        z, y = session.run(None, {"x": x, "shape": np.array(wanted)})
        want = np.maximum(x, 0).reshape(wanted[0] * 2, wanted[1])
        np.testing.assert_array_equal(y, want)
        np.testing.assert_array_equal(z, want * 2)
    with pytest.raises(ModelError, match=r"Reshape.*shape \[2, 5\] has 10 elements, the input has 24"):
        session.run(None, {"x": draw(4, 6), "shape": np.array([1, 5])})
    assert session.run(None, {"x": draw(4, 6), "shape": np.array([1, 12])})[0].shape == (2, 12)


def test_content_that_the_first_node_needs_is_read_in_every_run(optimise):
    session = Session(model([node("Expand", "x shape", "y"), node("Add", "y y", "z")],
                            {"x": (np.float32, [1, 3]), "shape": (np.int64, [2])}, ["y", "z"]), optimise=optimise)
    x = draw(1, 3)
    for rows in (4, 1, 2, 4):
        y, z = session.run(None, {"x": x, "shape": np.array([rows, 3])})
        assert y.shape == z.shape == (rows, 3) and np.array_equal(z, 2 * y)


def test_a_view_that_leaves_and_a_view_that_is_fed(optimise):
    nodes = [node("Relu", "x", "r"), node("Reshape", "r flat", "v"), node("NonZero", "v", "at"),
             node("Add", "v v", "z"), node("Unsqueeze", "x zero", "u")]
    session = Session(model(nodes, {"x": (np.float32, ["N", 2])}, ["at", "z", "v", "u"],
                            {"flat": np.array([-1]), "zero": np.array([0])}), optimise=optimise)
    x = draw(5, 2)
    at, z, v, u = session.run(None, {"x": x})
    flat = np.maximum(x, 0).reshape(-1)
    np.testing.assert_array_equal(at[0], np.flatnonzero(flat))
    np.testing.assert_array_equal(z, flat * 2)
    np.testing.assert_array_equal(v, flat)
    v[:] = u[:] = 7
    np.testing.assert_array_equal(x, draw(5, 2))


def if_model(outer_shape):
    inner = node("If", "inner", "t", then_branch=branch("tt", [node("Mul", "x shared", "tt0")], "tt0"),
                 else_branch=branch("te", [node("Concat", "x x", "te0", axis=0)], "te0"))
    taken = branch("then", [inner], "t")
    other = branch("else", [node("Relu", "shared", "e0"), node("Add", "e0 one", "e1")], "e1")
    nodes = [node("Add", "x one", "shared"), node("If", "outer", "chosen", then_branch=taken, else_branch=other),
             node("Relu", "chosen", "y")]
    return model(nodes, {"x": (np.float32, outer_shape), "outer": (np.bool_, []), "inner": (np.bool_, [])},
                 ["y", "shared"], {"one": np.ones(1, np.float32)})


def test_branches_and_the_outer_values_they_read(optimise):
    session = Session(if_model(["N", 3]), optimise=optimise)
    for n in (2, 4, 2):
        x = draw(n, 3)
        for outer, inner in ((1, 1), (1, 0), (0, 0), (1, 0)):
            y, shared = session.run(None, {"x": x, "outer": np.array(bool(outer)), "inner": np.array(bool(inner))})
            np.testing.assert_array_equal(shared, x + 1)
            want = x * (x + 1) if outer and inner else np.concatenate([x, x]) if outer else np.maximum(x + 1, 0) + 1
            np.testing.assert_array_equal(y, np.maximum(want, 0))


def test_a_constant_condition_leaves_its_branch(optimise):
    nodes = [node("If", "yes", "y", then_branch=branch("t", [node("Relu", "x", "t0")], "t0"),
                  else_branch=branch("e", [node("Squeeze", "x", "e0")], "e0"))]
    session = Session(model(nodes, {"x": (np.float32, ["N", 3])}, ["y"], {"yes": np.array(True)}), optimise=optimise)
    assert [type(n.op).__name__ for n in session.program.graph.nodes] == ["Unary"]
    np.testing.assert_array_equal(session.run(None, {"x": draw(2, 3)})[0], np.maximum(draw(2, 3), 0))


def test_branches_that_do_not_agree():
    def made(other):
        first = branch("t", [node("Relu", "x", "t0")], "t0")
        return model([node("If", "c", "y", then_branch=first, else_branch=other)],
                     {"x": (np.float32, [3]), "c": (np.bool_, [])}, ["y"])

    with pytest.raises(ModelError, match=r"output 0 is tensor\(float\) in then_branch and tensor\(int64\)"):
        Session(made(branch("e", [node("Shape", "x", "e0")], "e0")))
    with pytest.raises(ModelError, match="else_branch has 2 outputs"):
        Session(made(branch("e", [node("Relu", "x", "e0"), node("Relu", "e0", "e1")], "e0", "e1")))


def test_strings_live_as_python_objects(optimise):
    nodes = [node("StringConcat", "a b", "ab"), node("Gather", "ab at", "picked"), node("Reshape", "picked flat", "y")]
    session = Session(model(nodes, {"a": (object, ["N", 1]), "b": (object, [2]), "at": (np.int64, ["K"])}, ["y", "ab"],
                            {"flat": np.array([-1])}, opset=20), optimise=optimise)
    a, b = np.array([["x"], ["猫"]], object), np.array(["1", ""], object)
    for at in ([1], [0, -1], [1]):
        y, ab = session.run(None, {"a": a, "b": b, "at": np.array(at)})
        assert ab.tolist() == [["x1", "x"], ["猫1", "猫"]]
        assert y.tolist() == [w for i in at for w in ab[i]]
    plan = session.program.plan([(2, 1), (2,), (1,)])
    assert kinds(plan)["ab"] == OBJECT and kinds(plan)["y"] == OBJECT
    with pytest.raises(KernelError, match="index 5 at position 0 is outside -2 to 1"):
        session.run(None, {"a": a, "b": b, "at": np.array([5])})


def counter(shape=()):
    """A program that adds its input to a state: the sum of all runs."""
    from cynfer.ops.binary import Binary

    b = Builder()
    x = b.input(Fact(np.dtype(np.float32), shape), "x")
    state = b.state(np.zeros(shape, np.float32), "sum")
    total = b.emit(Binary("add"), state, x)
    assigned = b.emit(Assign(), state, total)
    assigned.name = "new"
    b.graph.outputs = [assigned]
    return Program(b.graph, Machine(), 2, Limits())


def test_state_lives_on_between_runs():
    program = counter((3,))
    first = program.run([np.array([1, 2, 3], np.float32)])[0]
    second = program.run([np.array([1, 0, 1], np.float32)])[0]
    assert first.tolist() == [1, 2, 3]  # a copy, not the state itself
    assert second.tolist() == [2, 2, 4]
    plan = program.plan([(3,)])
    assert kinds(plan)["sum"] == STATE and kinds(plan)["new"] == STATE
    other = counter((3,))
    assert other.run([np.ones(3, np.float32)])[0].tolist() == [1, 1, 1]


def test_a_state_counts_runs_across_segments():
    from cynfer.ops.binary import Binary
    from cynfer.ops.select import NonZero

    b = Builder()
    x = b.input(Fact(np.dtype(np.float32), (Dim.name("N"),)), "x")
    count = b.state(np.zeros(1, np.float32), "count")
    found = b.emit(NonZero(), x)
    new = b.emit(Assign(), count, b.emit(Binary("add"), count, b.const([1.0], np.float32)))
    b.emit(Assign(), count, b.emit(Binary("add"), new, b.const([10.0], np.float32)))
    b.graph.outputs = [found, count]
    program = Program(b.graph, Machine(), 1, Limits())
    for run, x in enumerate(([1, 0], [1, 1, 1], [0, 0]), 1):
        found, count = program.run([np.array(x, np.float32)])
        assert found.shape == (1, sum(x)) and count.tolist() == [11 * run]


def test_a_state_of_another_shape_is_refused():
    b = Builder()
    state = b.state(np.zeros(3, np.float32), "s")
    with pytest.raises(ModelError, match=r"shape \[3\] cannot hold \[2\]"):
        b.emit(Assign(), state, b.const(np.zeros(2, np.float32)))
    with pytest.raises(ModelError, match="float32 cannot hold float64"):
        b.emit(Assign(), state, b.const(np.zeros(3)))
