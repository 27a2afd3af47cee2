"""Tensors: every element type in every field that may hold it, against the onnx package's own reader."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from model_maker import FLOAT, model, relu, sparse_tensor, tensor
from onnx import TensorProto, helper, numpy_helper

from cynfer.ops import dtypes
from cynfer.runtime.load_onnx import load

CODES = [c for c in range(1, 29) if c != 8]


def loaded(proto) -> np.ndarray:
    """The array that a model with this initializer holds."""
    data = model([], [proto], (), ((proto.name, proto.data_type, None),))
    return load(data).graph.outputs[0].fact.value


def same(got: np.ndarray, want: np.ndarray) -> None:
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    assert got.tobytes() == want.tobytes()


def random_raw(code: int, count: int, seed: int) -> bytes:
    data = np.random.default_rng(seed).integers(0, 256, -(-count * dtypes.bits(code) // 8), np.uint8)
    return (data & 1 if code == TensorProto.BOOL else data).tobytes()


@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 3), (7,), (5, 0, 2), (129,)])
@pytest.mark.parametrize("code", CODES)
def test_raw_data(code, shape):
    proto = tensor(shape, code, raw_data=random_raw(code, int(np.prod(shape)), len(shape)))
    same(loaded(proto), numpy_helper.to_array(proto))


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9])
@pytest.mark.parametrize("code", CODES)
def test_typed_fields(code, count):
    field = helper.tensor_dtype_to_field(code)
    rng = np.random.default_rng(count)
    proto = tensor([count], code)
    if field in ("float_data", "double_data"):
        getattr(proto, field).extend(rng.standard_normal(count * (2 if code in (14, 15) else 1)).tolist())
    else:
        info = np.iinfo(np.int64) if code == 7 else np.iinfo(np.uint64) if code == 13 else None
        bits = dtypes.bits(code)
        packed = bits < 8 and code not in (27, 28)
        if info is None:
            signed = np.dtype(dtypes.from_onnx(code)).kind == "i"
            width = 8 if packed else bits
            low, high = (-(1 << width - 1), (1 << width - 1) - 1) if signed else (0, (1 << width) - 1)
            low, high = (0, 1) if code == TensorProto.BOOL else (low, high)
        else:
            low, high = int(info.min), int(info.max)
        entries = -(-count * bits // 8) if packed else count
        values = rng.integers(low, high, entries, np.uint64 if code == 13 else np.int64, endpoint=True).tolist()
        getattr(proto, field).extend(values)
    same(loaded(proto), numpy_helper.to_array(proto))


@pytest.mark.parametrize("code", [10, 16, 17, 22])
def test_sign_extended_bit_patterns(code):
    """Bit patterns whose highest bit is set may have been written as negative numbers."""
    bits = 16 if code in (10, 16) else 8
    same(loaded(tensor([1] if code != 22 else [2], code, int32_data=[-1])),
         loaded(tensor([1] if code != 22 else [2], code, int32_data=[(1 << bits) - 1])))


def test_small_types_hold_their_values():
    assert loaded(tensor([3], TensorProto.INT4, raw_data=b"\x8f\x07")).astype(int).tolist() == [-1, -8, 7]
    assert loaded(tensor([3], TensorProto.UINT4, raw_data=b"\x8f\x07")).astype(int).tolist() == [15, 8, 7]
    assert loaded(tensor([5], TensorProto.INT2, raw_data=b"\xe4\x02")).astype(int).tolist() == [0, 1, -2, -1, -2]
    assert loaded(tensor([2], TensorProto.FLOAT4E2M1, raw_data=b"\x72")).astype(float).tolist() == [1.0, 6.0]
    assert loaded(tensor([1], TensorProto.BFLOAT16, raw_data=b"\x80\x3f")) == ml_dtypes.bfloat16(1)


def test_bools_are_zero_or_one():
    got = loaded(tensor([4], TensorProto.BOOL, raw_data=b"\x00\x01\x02\xff"))
    assert got.view(np.uint8).tolist() == [0, 1, 1, 1]


def test_strings():
    got = loaded(tensor([2, 2], TensorProto.STRING, string_data=[b"a", "ü".encode(), b"", b"\xff"]))
    assert got.tolist() == [["a", "ü"], ["", "\udcff"]]
    assert got.dtype == object


def test_non_finite_weights_are_accepted():
    want = np.array([np.nan, np.inf, -np.inf, -0.0], np.float32)
    same(loaded(numpy_helper.from_array(want, "w")), want)


@pytest.mark.parametrize("dims, indices, index_dims, want", [
    ([5], [1, 4], [2], [0, 1, 0, 0, 2]), ([2, 3], [1, 5], [2], [[0, 1, 0], [0, 0, 2]]),
    ([2, 3], [0, 1, 1, 2], [2, 2], [[0, 1, 0], [0, 0, 2]]), ([3], [], [0], [0, 0, 0]),
    ([2, 2, 2], [0, 0, 1, 1, 1, 1], [2, 3], [[[0, 1], [0, 0]], [[0, 0], [0, 2]]]),
])
def test_sparse(dims, indices, index_dims, want):
    values = [1.0, 2.0][:index_dims[0]]
    proto = sparse_tensor(values, indices, dims, index_dims)
    got = load(model([], (), (), (("w", FLOAT, None),), sparse=[proto])).graph.outputs[0].fact.value
    assert got.tolist() == want
    node = helper.make_node("Constant", [], ["y"], sparse_value=proto)
    attribute = load(model([node], (), ())).graph.nodes[0].op.attributes["sparse_value"]
    assert attribute.tolist() == want


@pytest.mark.parametrize("name, value", [
    ("value_float", 0.5), ("value_int", -3), ("value_string", "s"), ("value_floats", (0.5, 1.5)),
    ("value_ints", (1, 2)), ("value_strings", ("a", "b")), ("value_ints", ()),
])
def test_attributes(name, value):
    node = onnx.NodeProto(op_type="Constant", output=["y"])
    kinds = {"value_float": 1, "value_int": 2, "value_string": 3, "value_floats": 6, "value_ints": 7,
             "value_strings": 8}
    node.attribute.append(helper.make_attribute(name, value, attr_type=kinds[name]))
    outputs = (("y", 8 if "string" in name else 1 if "float" in name else 7, None),)
    assert load(model([node], (), (), outputs)).graph.nodes[0].op.attributes == {name: value}


def test_attribute_left_out_is_zero():
    """Writers of proto3 leave out what has its default."""
    node = helper.make_node("Elu", ["x"], ["y"])
    node.attribute.append(onnx.AttributeProto(name="alpha", type=onnx.AttributeProto.FLOAT))
    assert load(model([node])).graph.nodes[0].op.attributes == {"alpha": 0.0}


def test_weights_are_read_only():
    array = load(model([relu("w")], [tensor([2], raw_data=bytes(8))])).graph.nodes[0].inputs[0].fact.value
    with pytest.raises(ValueError):
        array[0] = 1


def test_bytes_may_change_after_loading():
    w = tensor([2], raw_data=np.array([1, 2], np.float32).tobytes())
    data = bytearray(model([], [w], (), (("w", FLOAT, None),)))
    array = load(data).graph.outputs[0].fact.value
    data[:] = bytes(len(data))
    assert array.tolist() == [1, 2]
