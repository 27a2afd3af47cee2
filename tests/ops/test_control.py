"""Loop and Scan (If: tests/runtime/test_storage.py): values, growing state, ends, errors."""

import time

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from cynfer.ops.errors import CynferError, KernelError, LimitError, ModelError, RunTimeoutError
from cynfer.runtime.limits import Limits
from cynfer.runtime.session import Session

F, INT, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def info(name, kind=F, dims=None):
    return helper.make_tensor_value_info(name, kind, dims)


def node(op, ins, outs, **attributes):
    return helper.make_node(op, [i if i != "_" else "" for i in ins.split()], outs.split(), **attributes)


def session(nodes, inputs, outputs, constants=(), opset=17, **options):
    graph = helper.make_graph(nodes, "g", inputs, [helper.make_empty_tensor_value_info(n) for n in outputs],
                              [numpy_helper.from_array(np.asarray(a), n) for n, a in dict(constants).items()])
    return Session(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9),
                   **options)


def body(nodes, inputs, outputs):
    return helper.make_graph(nodes, "body", inputs, [helper.make_empty_tensor_value_info(n) for n in outputs])


INPUTS = [info("i", INT, []), info("go", BOOL, []), info("v", F, None)]
CONSTANTS = {"one": np.ones(1, np.float32), "limit": np.float32(20), "yes": np.array(True)}


def doubling(**outer):
    """v doubles until its largest element passes 20; every v is kept. An outer value is added on the way."""
    inside = [node("Add", "v v", "w0"), node("Add", "w0 extra", "w"), node("ReduceMax", "w", "top", keepdims=0),
              node("Less", "top limit", "more"), node("Mul", "i i", "square")]
    loop = node("Loop", "trips go0 x", "last all squares", body=body(inside, INPUTS, ["more", "w", "w", "square"]))
    return session([node("Relu", "x", "extra"), loop],
                   [info("trips", INT, []), info("go0", BOOL, []), info("x", F, ["N"])], ["last", "all", "squares"],
                   CONSTANTS, **outer)


@pytest.mark.parametrize("optimise", [True, False])
def test_loop(optimise):
    s = doubling(optimise=optimise)
    for trips, go, x, rounds in ((2**63 - 1, True, [1.0, 0.5], 4), (2, True, [1.0], 2), (9, False, [1.0], 0),
                                 (0, True, [1.0], 0)):
        x = np.array(x, np.float32)
        last, every, squares = s.run(None, {"trips": np.array(trips), "go0": np.array(go), "x": x})
        want = []
        for _ in range(rounds):
            want.append((want[-1] if want else x) * 2 + np.maximum(x, 0))
        np.testing.assert_array_equal(last, want[-1] if want else x)
        assert squares.tolist() == [i * i for i in range(rounds)]
        assert every.shape[0] == rounds and (not rounds or np.array_equal(every, want))


def test_a_carried_value_may_grow():
    inside = [node("Concat", "v one", "w", axis=0), node("Identity", "go", "more")]
    loop = node("Loop", "trips _ x", "y", body=body(inside, INPUTS, ["more", "w"]))
    s = session([loop, node("Relu", "y", "z")], [info("trips", INT, []), info("x", F, [1])], ["z"], CONSTANTS)
    for n in (0, 3, 5):
        y, = s.run(None, {"trips": np.array(n), "x": np.zeros(1, np.float32)})
        assert y.tolist() == [0] + [1] * n


def test_an_endless_loop_ends_with_its_time():
    inside = [node("Identity", "go", "more"), node("Add", "v one", "w")]
    loop = node("Loop", "_ _ x", "y", body=body(inside, INPUTS, ["more", "w"]))
    s = session([loop], [info("x", F, [1])], ["y"], CONSTANTS)
    start = time.monotonic()
    with pytest.raises(RunTimeoutError):
        s.run(None, {"x": np.zeros(1, np.float32)}, timeout=0.2)
    assert time.monotonic() - start < 5  # a hang, not a measurement


@pytest.mark.parametrize("inputs, outputs, message", [
    (INPUTS[:2], ["go", "x", "x"], "body has 2 inputs.* 3 are needed"),
    (INPUTS, ["go"], "body has 1 outputs.* 2"),
    (INPUTS, ["go", "i"], "tensor"),
])
def test_bodies_that_do_not_fit(inputs, outputs, message):
    loop = node("Loop", "_ _ x", "y", body=body([node("Relu", "x", "unused")], inputs, outputs))
    with pytest.raises(CynferError, match=message) as error:
        session([loop], [info("x", F, [1])], ["y"], CONSTANTS)
    assert "Loop" in str(error.value)


def test_stacked_values_of_different_shapes():
    inside = [node("Concat", "v one", "w", axis=0), node("Identity", "go", "more")]
    loop = node("Loop", "trips _ x", "y all", body=body(inside, INPUTS, ["more", "w", "w"]))
    s = session([loop], [info("trips", INT, []), info("x", F, [1])], ["all"], CONSTANTS)
    with pytest.raises(KernelError, match=r"shapes \[2\] and \[3\]"):
        s.run(None, {"trips": np.array(2), "x": np.zeros(1, np.float32)})


def scan(**attributes):
    """Running sums of the slices of x, with an outer value added to each."""
    inside = [node("Add", "total slice", "sum"), node("Add", "sum extra", "out")]
    step = node("Scan", "zero x", "last all", num_scan_inputs=1,
                body=body(inside, [info("total", F, ["K"]), info("slice", F, ["K"])], ["sum", "out"]), **attributes)
    return session([step], [info("zero", F, ["K"]), info("x", F, ["A", "B"]), info("extra", F, [1])], ["last", "all"])


@pytest.mark.parametrize("axis, backward, out_axis, out_backward", [(0, 0, 0, 0), (-1, 1, 0, 1), (1, 0, -1, 0)])
def test_scan(axis, backward, out_axis, out_backward):
    s = scan(scan_input_axes=[axis], scan_input_directions=[backward], scan_output_axes=[out_axis],
             scan_output_directions=[out_backward])
    for shape in ((3, 4), (5, 2)):
        x = np.random.default_rng(0).integers(0, 9, shape).astype(np.float32)
        rows = np.moveaxis(x, axis, 0)
        rows = rows[::-1] if backward else rows
        sums = rows.cumsum(0) + 1
        feeds = {"zero": np.zeros(rows.shape[1], np.float32), "x": x, "extra": np.ones(1, np.float32)}
        last, every = s.run(None, feeds)
        np.testing.assert_array_equal(last, rows.sum(0))
        np.testing.assert_array_equal(every, np.moveaxis(sums[::-1] if out_backward else sums, 0, out_axis))


@pytest.mark.parametrize("attributes, message", [
    ({"scan_input_axes": [2]}, "scan_input_axes 2 is outside -2 to 1"),
    ({"scan_input_axes": [0, 1]}, "scan_input_axes has 2 elements; 1 are needed"),
    ({"scan_output_axes": [2]}, "scan_output_axes 2 is outside -2 to 1"),
])
def test_scan_attributes(attributes, message):
    with pytest.raises(ModelError, match=message):
        scan(**attributes)


@pytest.mark.parametrize("count", [0, 99])
def test_scan_input_count(count):
    inner = body([node("Relu", "s", "t")], [info("s", F, [2])], ["t"])
    step = node("Scan", "x", "y", num_scan_inputs=count, body=inner)
    with pytest.raises(ModelError, match=f"num_scan_inputs.* {count}, .*1 to 1"):
        session([step], [info("x", F, [3, 2])], ["y"])


def test_deeply_nested_loops_load_in_time_linear_in_their_number():
    def nested(depth):
        inside = [node("Concat", "v one", f"w{depth}", axis=0)] if not depth else \
            [node("Loop", "two _ v", f"w{depth}", body=nested(depth - 1))]
        return body([*inside, node("Identity", "go", f"more{depth}")], INPUTS, [f"more{depth}", f"w{depth}"])

    start = time.monotonic()
    s = session([node("Loop", "two _ x", "y", body=nested(14))], [info("x", F, [1])], ["y"],
                CONSTANTS | {"two": np.array(1)})
    assert time.monotonic() - start < 20  # 2 tries at each level would take hours
    assert s.run(None, {"x": np.zeros(1, np.float32)})[0].tolist() == [0, 1]


def test_stacks_have_a_budget():
    inside = [node("Identity", "go", "more"), node("Add", "v one", "w")]
    loop = node("Loop", "_ _ x", "y all", body=body(inside, INPUTS, ["more", "w", "w"]))
    s = session([loop], [info("x", F, [1000])], ["all"], CONSTANTS, limits=Limits(max_bytes=1 << 20))
    with pytest.raises(LimitError, match=r"Loop.*limits\.max_bytes"):
        s.run(None, {"x": np.zeros(1000, np.float32)})


def test_scan_of_a_batch_with_lengths():
    inside = [node("Add", "total slice", "sum"), node("Identity", "sum", "out")]
    step = node("Scan", "lengths zero x", "last all", num_scan_inputs=1, directions=[0],
                body=body(inside, [info("total", F, [1]), info("slice", F, [1])], ["sum", "out"]))
    s = session([step], [info("lengths", INT, ["B"]), info("zero", F, ["B", 1]), info("x", F, ["B", "T", 1])],
                ["last", "all"], opset=8)
    x = np.arange(6, dtype=np.float32).reshape(2, 3, 1)
    last, every = s.run(None, {"lengths": np.array([3, 1]), "zero": np.zeros((2, 1), np.float32), "x": x})
    assert last.tolist() == [[3], [3]] and every[..., 0].tolist() == [[0, 1, 3], [3, 0, 0]]
    with pytest.raises(KernelError, match="sequence length 9 at position 1 is outside 0 to 3"):
        s.run(None, {"lengths": np.array([3, 9]), "zero": np.zeros((2, 1), np.float32), "x": x})
