"""The walk over the bytes: what it cuts out, what it refuses, and that nothing gets past it in another way."""

import random
import struct

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from model_maker import FLOAT, delimited, everything, good, model, relu, tensor, varint
from onnx import ModelProto, TensorProto, helper, numpy_helper

from cynfer.ops.errors import CynferError, LimitError, ModelFormatError
from cynfer.runtime import onnx_wire
from cynfer.runtime.limits import Limits
from cynfer.runtime.load_onnx import load
from cynfer.runtime.onnx_file import _fields
from cynfer.runtime.session import Session


def scan(data: bytes, limits=None):
    return onnx_wire.scan(data, *_fields(), limits or Limits())


def restored(data: bytes) -> bytes:
    """The skeleton with every number replaced by what it stands for, written by protobuf."""
    found = scan(data)
    proto = ModelProto.FromString(onnx_wire.skeleton(data, found))
    stack = [proto]
    while stack:
        message = stack.pop()
        for field, content in message.ListFields():
            if field.name == "raw_data" and len(content) == onnx_wire.STUB:
                start, size = found.cuts[int.from_bytes(content, "little")]
                message.raw_data = data[start:start + size]
            elif field.message_type is not None:
                stack += [content] if hasattr(content, "ListFields") else content
    return proto.SerializeToString(deterministic=True)


def attempt(data: bytes) -> bool:
    """True if the bytes load; anything but one of our errors is a failure."""
    try:
        load(data)
    except CynferError:
        return False
    return True


@pytest.mark.parametrize("sizes", [[0], [7], [8], [9], [127, 128, 129], [1000, 3, 100_000, 8, 16_384], [8] * 300])
def test_skeleton_and_cuts_make_the_model_again(sizes):
    data = model([relu()], [tensor([n], TensorProto.UINT8, f"w{i}", raw_data=bytes([i % 256]) * n)
                            for i, n in enumerate(sizes)])
    assert restored(data) == ModelProto.FromString(data).SerializeToString(deterministic=True)
    assert [n for _, n in scan(data).cuts] == [n for n in sizes if n >= 8]
    assert len(onnx_wire.skeleton(data, scan(data))) <= len(data)


def test_tensors_everywhere_are_found():
    data = everything()
    assert restored(data) == ModelProto.FromString(data).SerializeToString(deterministic=True)


def test_weights_are_not_in_the_skeleton():
    data = model([relu()], [tensor([1 << 20], TensorProto.UINT8, raw_data=bytes(1 << 20))])
    assert len(onnx_wire.skeleton(data, scan(data))) < 1000


@settings(max_examples=60, deadline=None)
@given(st.recursive(st.binary(max_size=40), lambda inner: st.lists(inner, max_size=4), max_leaves=12),
       st.integers(1, 26))
def test_any_message_comes_back(tree, number):
    """Whatever is well formed comes back equal; whatever protobuf refuses is refused."""

    def encode(part) -> bytes:
        return part if isinstance(part, bytes) else b"".join(delimited(number, encode(p)) for p in part)

    data = encode(tree)
    try:
        want = ModelProto.FromString(data).SerializeToString(deterministic=True)
    except Exception:
        want = None
    try:
        got = restored(data)
    except (CynferError, DecodeError):
        got = None
    if got is not None:
        assert got == want




def test_protobuf_rules_hold():
    """Fields out of order, unknown ones, and repeated singular ones, of which the last counts."""
    proto = ModelProto.FromString(good())
    fields = [delimited(7, proto.graph.SerializeToString()), b"\x08\x09", delimited(8, b"\x10\x09"), b"\x08\x0a",
              delimited(6, b"a"), delimited(6, b"b"), delimited(1000, b"unknown"), b"\x9d\x06abcd"]
    for seed in range(5):
        shuffled = fields[:3] + random.Random(seed).sample(fields[3:], len(fields) - 3)
        made = load(b"".join(shuffled))
        assert made.ir_version == ModelProto.FromString(b"".join(shuffled)).ir_version
        assert made.description == ModelProto.FromString(b"".join(shuffled)).doc_string
    w = tensor([2], raw_data=struct.pack("<2f", 1, 2)).SerializeToString()
    w += delimited(9, struct.pack("<2f", 3, 4))
    graph = delimited(5, w) + delimited(12, helper.make_tensor_value_info("w", FLOAT, [2]).SerializeToString())
    again = load(b"\x08\x0a" + delimited(7, graph) + delimited(8, b"\x10\x11"))
    assert again.graph.outputs[0].fact.value.tolist() == [3, 4]


def test_a_graph_in_two_parts_is_one():
    proto = ModelProto.FromString(good())
    second = delimited(7, delimited(5, tensor([2], raw_data=struct.pack("<2f", 1, 2)).SerializeToString())
                       + delimited(12, helper.make_tensor_value_info("w", FLOAT, [2]).SerializeToString()))
    outputs = load(proto.SerializeToString() + second).graph.outputs
    assert [o.name for o in outputs] == ["y", "w"]
    assert outputs[1].fact.value.tolist() == [1, 2]


@pytest.mark.parametrize("bad, what", [
    (b"\x3a\x05\x0a\x04\x0a", "passes the end"), (b"\x3a\x02\x0a\x80", "passes the end"), (b"\x09\x00", "cut off"),
    (b"\x0d\x00\x00", "cut off"), (b"\x0c", "wire type 4"), (b"\x0e", "wire type 6"), (b"\x80", "no field"),
    (b"\x08\x80", "does not end"), (varint(1 << 35) + b"\x00", "no field"),
])
def test_broken_wire(bad, what):
    with pytest.raises(ModelFormatError, match=what):
        scan(b"\x08\x0a" + bad)


def test_cost_is_bounded_by_the_budget():
    with pytest.raises(LimitError, match="max_bytes"):
        scan(delimited(7, delimited(5, delimited(7, b"\x01" * 100_000))), Limits(max_bytes=700_000))
    assert scan(delimited(7, delimited(5, delimited(7, b"\x01" * 100_000))), Limits(max_bytes=900_000)).nodes == 0


def test_depth_up_to_the_limit_loads():
    """32 bodies in each other, which is what the limits and protobuf allow together."""
    body = helper.make_graph([relu("x", "z")], "b", [], [helper.make_tensor_value_info("z", FLOAT, None)])
    other = helper.make_graph([relu("x", "z")], "b", [], [helper.make_tensor_value_info("z", FLOAT, None)])
    for _ in range(30):
        node = helper.make_node("If", ["c"], ["q"], then_branch=body, else_branch=other)
        body = helper.make_graph([node], "b", [], [helper.make_tensor_value_info("q", FLOAT, None)])
    node = helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=other)
    data = model([node], inputs=(("x", FLOAT, [1]), ("c", TensorProto.BOOL, [])))
    assert load(data).graph.outputs[0].name == "y"
    with pytest.raises(LimitError, match=r"31 deep, and limits.max_depth is 30$"):
        load(data, Limits(max_depth=30))


def test_truncated_anywhere():
    data = everything()
    loaded = [i for i in range(0, len(data), 3) if attempt(data[:i])]
    assert not loaded


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_flipped_bits():
    data = everything()
    outcomes = [attempt(flipped(data, bit)) for bit in random.Random(0).sample(range(8 * len(data)), 300)]
    assert 20 < sum(outcomes) < 280


def test_garbage():
    rng = random.Random(1)
    assert not any(attempt(rng.randbytes(rng.randrange(1, 300))) for _ in range(300))


@pytest.mark.exhaustive
def test_truncated_at_every_byte():
    data = everything()
    assert not any(attempt(data[:i]) for i in range(len(data)))


@pytest.mark.exhaustive
def test_every_flipped_bit():
    """What still loads must also be made ready to run, or be refused."""
    data = everything()
    for bit in range(8 * len(data)):
        changed = flipped(data, bit)
        if attempt(changed):
            try:
                Session(changed, threads=1)
            except CynferError:
                pass


@pytest.mark.exhaustive
def test_edited_bytes():
    rng, data = random.Random(2), everything()
    for _ in range(20_000):
        changed = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(changed))
            other = rng.randrange(len(changed))
            edit = rng.randrange(3)
            if edit == 0:
                changed[at] = rng.randrange(256)
            elif edit == 1:
                del changed[at:at + rng.randint(1, 8)]
            else:
                changed[at:at] = changed[other:other + rng.randint(1, 60)]
        attempt(bytes(changed))


def test_message_names_format_and_place():
    with pytest.raises(ModelFormatError, match=r"byte \d+, in GraphProto.*first bytes 08 0a"):
        load(b"\x08\x0a" + delimited(7, b"\x0a\xff"))


def test_large_file_is_not_copied(tmp_path):
    """An aligned weight is a view of the mapping, an unaligned one a copy of its own; both are right."""
    path = tmp_path / "m.onnx"
    want = np.arange(1 << 16, dtype=np.float32)
    seen = set()
    for pad in range(4):
        proto = onnx.load_from_string(model([], [numpy_helper.from_array(want, "w")], (), (("w", FLOAT, None),)))
        proto.graph.initializer[0].doc_string = "."
        proto.graph.name = "g" * (pad + 1)
        path.write_bytes(proto.SerializeToString())
        array = load(path).graph.outputs[0].fact.value
        np.testing.assert_array_equal(array, want)
        assert array.flags.aligned and not array.flags.writeable
        owner = array
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        seen.add(owner.flags.owndata)
    assert seen == {True, False}
