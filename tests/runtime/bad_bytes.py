"""Bytes and tensors that must be refused (B, T); see bad_models."""

from __future__ import annotations

import os

import onnx
from model_maker import (
    FLOAT,
    FOUR,
    INT64,
    Case,
    delimited,
    file_of,
    fixed,
    good,
    model,
    nested_if,
    nested_types,
    one,
    relu,
    segmented,
    sparse,
    sparse_tensor,
    tensor,
    weight,
)
from onnx import TensorProto, helper

from cynfer.ops import errors
from cynfer.runtime.limits import Limits

F, M = errors.ModelFormatError, errors.ModelError
U, L, X = errors.UnsupportedError, errors.LimitError, errors.ExternalDataError


def ir(value):
    return lambda folder: model([relu()], ir=value)


BYTES = [
    Case("B01 no bytes", fixed(b""), F, ("empty",)),
    Case("B01 empty file", file_of(lambda p: p.write_bytes(b"")), F, ("empty", "model.onnx")),
    Case("B02 random", fixed(bytes(range(255, 0, -1)) * 4), F, ("not an ONNX model", "ff fe fd")),
    Case("B02 text", fixed(b"<html>hello, this is text</html>" * 9), F, ("looks like text",)),
    Case("B02 zip", fixed(b"PK\x03\x04" + bytes(200)), F, ("ZIP",)),
    Case("B02 png", fixed(b"\x89PNG\r\n\x1a\n" + bytes(99)), F, ("PNG",)),
    Case("B02 gzip", fixed(b"\x1f\x8b\x08" + bytes(99)), F, ("gzip",)),
    Case("B02 pickle", fixed(b"\x80\x04\x95" + bytes(99)), F, ("pickle",)),
    Case("B02 not bytes", fixed(17), F, ("int",)),
    Case("B03 half a model", fixed(lambda: good()[:len(good()) // 2]), F, ("byte",), twin=good),
    Case("B05 long varint", fixed(b"\x08" + b"\xff" * 11), F, ("64 bits", "byte 0", "ModelProto")),
    Case("B05 varint over 64 bits", fixed(b"\x08" + b"\xff" * 9 + b"\x7f"), F, ("64 bits",)),
    Case("B05 nested groups", fixed(b"\x0b" * 10**6), F, ("wire type 3",)),
    Case("B05 field number 0", fixed(b"\x00\x00"), F, ("no field",)),
    Case("B06 length 2**63-1", fixed(b"\x3a" + b"\xff" * 8 + b"\x7f"), F, ("passes the end",)),
    Case("B06 length one too long", fixed(b"\x3a\x03\x0a\x02"), F, ("passes the end",)),
    Case("B07 200 nested bodies", fixed(lambda: nested_if(200)), L, ("33 deep", "max_depth is 32")),
    Case("B07 5000 nested bodies", fixed(lambda: nested_if(5000)), L, ("33 deep", "max_depth is 32")),
    Case("B07 nested types", fixed(lambda: b"\x3a" + nested_types(60)), L, ("nest over 100",)),
    Case("B09 empty nodes", fixed(lambda: b"\x08\x0a" + delimited(7, b"\x0a\x00" * 1_500_000)), L,
         ("max_nodes is 1000000",)),
    Case("B09 empty messages", fixed(lambda: b"\x08\x0a" + delimited(7, b"\x2a\x00" * 400_000)), L, ("max_bytes",),
         Limits(max_bytes=10 << 20)),
    Case("B10 name", one(helper.make_node("Nope", ["x"], ["y"], name="a\0b\n\x1b[31m" + "z" * 10**6)), U,
         ("'a\\x00b\\n\\x1b[31mzzz", "…'", "'Nope'")),
    Case("B10 name that is not UTF-8", fixed(lambda: model([relu(name="XXXX", x="q")]).replace(b"XXXX", b"X\xff\xfeX")),
         M, ("X\\udcff\\udcfeX", "'q'")),
    Case("B11 ir_version 0", ir(0), U, ("ir_version is 0", "3 to 14")),
    Case("B11 ir_version 9999", ir(9999), U, ("ir_version is 9999", "3 to 14")),
    Case("B11 opset 0", fixed(lambda: model([relu()], opset=0)), U, ("opset 0", "1 to 28")),
    Case("B11 opset 9999", fixed(lambda: model([relu()], opset=9999)), U, ("opset 9999", "1 to 28")),
    Case("B11 two opsets", fixed(lambda: good() + delimited(8, b"\x10\x09")), M, ("17 and 9", "'ai.onnx'")),
    Case("B11 no opset", fixed(lambda: model([relu()], imports={})), M, ("'r'", "opset_import", "'ai.onnx'")),
    Case("B11 newer ml opset", fixed(lambda: model([helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml")],
                                                   imports={"": 17, "ai.onnx.ml": 99})), U, ("opset 99", "1 to 5")),
    Case("B13 missing file", lambda folder: str(folder / "no.onnx"), errors.ModelNotFoundError,
         ("cannot be opened", "no.onnx")),
    Case("B13 folder", file_of(lambda p: p.mkdir()), F, ("not a regular file",)),
    Case("B13 FIFO", file_of(lambda p: os.mkfifo(p)), F, ("not a regular file",)),
    Case("B13 device", fixed("/dev/zero"), F, ("not a regular file",)),
    Case("B13 long name", fixed("x" * 5000), F, ("cannot be opened",)),
    Case("B13 NUL in the name", fixed("a\0b"), F, ("cannot be opened", "a\\x00b")),
    Case("B13 no graph", fixed(b"\x08\x0a"), F, ("no graph",)),
]



TENSORS = [
    Case("T01 raw_data too short", weight([2, 2], raw_data=bytes(8)), M, ("'w'", "8 bytes", "16 are needed", "[2, 2]"),
         twin=weight([2, 2], raw_data=FOUR)),
    Case("T02 raw_data too long", weight([2, 2], raw_data=bytes(32)), M, ("'w'", "32 bytes", "16 are needed")),
    Case("T03 raw_data 15 bytes", weight([2, 2], raw_data=bytes(15)), M, ("'w'", "15 bytes", "16 are needed")),
    Case("T03 raw_data 7 bytes", weight([2], raw_data=bytes(7)), M, ("'w'", "7 bytes", "8 are needed")),
    *(Case(f"T04 {key} {len(values)} of type {code}", weight([3], code, **{key: values}), M,
           ("'w'", key, f"{len(values)} entries", "3 are needed"), twin=weight([len(values)], code, **{key: values}))
      for key, code in (("float_data", FLOAT), ("int32_data", TensorProto.INT32), ("int64_data", INT64),
                        ("double_data", TensorProto.DOUBLE), ("uint64_data", TensorProto.UINT64),
                        ("int32_data", TensorProto.FLOAT16))
      for values in ([1] * 2, [1] * 4)),
    Case("T05 negative dim", weight([2, -1], raw_data=FOUR), M, ("'w'", "[2, -1]", "negative")),
    Case("T06 product wraps", weight([1 << 32, 1 << 32], raw_data=FOUR), M, ("'w'", "[4294967296, 4294967296]")),
    Case("T07 padded product wraps", weight([1 << 62, 2, 1, 1], raw_data=FOUR), M, ("'w'", "dims")),
    Case("T07 product just fits", weight([4, (1 << 30) - 1, (1 << 30) + 1], raw_data=FOUR), M, ("'w'", "dims")),
    Case("T07 product times zero", weight([0, 1 << 62, 8]), M, ("'w'", "dims"), twin=weight([0, 1 << 40, 8])),
    Case("T08 large without data", weight([1 << 20, 1 << 20]), M, ("'w'", "no content", "4398046511104")),
    Case("T09 INT4 with a byte", weight([700_000_000], TensorProto.INT4, raw_data=b"x"), M, ("'w'", "1 bytes",
                                                                                             "350000000")),
    Case("T10 string with raw_data", weight([1], TensorProto.STRING, raw_data=b"abc"), M, ("'w'", "raw_data")),
    Case("T10 string count", weight([3], TensorProto.STRING, string_data=[b"a"]), M, ("'w'", "1 entries", "3 are")),
    Case("T11 type 0", weight([1], 0, raw_data=FOUR), U, ("'w'", "element type 0", "1 to 28")),
    Case("T11 type 9999", weight([1], 9999, raw_data=FOUR), U, ("'w'", "element type 9999")),
    Case("T11 type the operator lacks", one(helper.make_node("Sqrt", ["x"], ["y"], name="s"),
                                            inputs=(("x", INT64, [2]),), outputs=(("y", INT64, None),)), U,
          ("'s' (Sqrt-13)", "'x'", "tensor(int64)", "tensor(float)")),
    Case("T11 input of type 0", fixed(lambda: model([relu()], inputs=(("x", 0, [2]),))), U, ("'x'", "element type 0")),
    Case("T13 rank", weight([1] * 100_000, raw_data=FOUR[:4]), L, ("'w'", "100000 dims", "max_rank is 64"),
         twin=weight([1] * 64, raw_data=FOUR[:4])),
    Case("T13 rank of an input", fixed(lambda: model([relu()], inputs=(("x", FLOAT, [1] * 65),))), L,
         ("'x'", "65 dims", "max_rank is 64")),
    Case("T14 two contents", weight([1], raw_data=FOUR[:4], float_data=[1.0]), M, ("'w'", "raw_data", "float_data")),
    Case("T14 wrong field", weight([1], int64_data=[1]), M, ("'w'", "int64_data", "tensor(float)")),
    Case("T14 external_data, not external",
         weight([1], raw_data=FOUR[:4], external_data=[onnx.StringStringEntryProto(key="location", value="w")]), M,
         ("'w'", "external_data", "data_location")),
    Case("T14 external and given", weight([1], raw_data=FOUR[:4], data_location=1), X, ("'w'", "raw_data")),
    Case("T14 segment", fixed(lambda: model([relu()], [segmented()])), M, ("'w'", "segment")),
    Case("T15 index too large", sparse([1.0], [10**9], [4]), M, ("'w'", "1000000000", "[4]"),
         twin=sparse([1.0], [3], [4])),
    Case("T15 negative index", sparse([1.0], [-1], [4]), M, ("'w'", "-1", "[4]")),
    Case("T15 unsorted", sparse([1.0, 2.0], [3, 1], [4]), M, ("'w'", "index 1")),
    Case("T15 twice", sparse([1.0, 2.0], [1, 1], [4]), M, ("'w'", "index 1"), twin=sparse([1.0, 2.0], [1, 2], [4])),
    Case("T15 counts differ", sparse([1.0, 2.0], [1], [4]), M, ("'w'", "[1]", "2 values")),
    Case("T15 rank 3", sparse([1.0], [1, 1, 1], [4, 4], [1, 3]), M, ("'w'", "[1, 3]", "[1, 2]"),
         twin=sparse([1.0], [1, 1], [4, 4], [1, 2])),
    Case("T15 column out of range", sparse([1.0], [1, 4], [4, 4], [1, 2]), M, ("'w'", "[1, 4]", "[4, 4]")),
    Case("T15 int32 indices", sparse([1.0], [1], [4], index_type=TensorProto.INT32), M, ("'w'", "int64")),
    Case("T15 negative dims", sparse([1.0], [1], [-4]), M, ("'w'", "[-4]")),
    Case("T16 dense bomb", sparse([1.0], [1], [1 << 16, 1 << 16]), L, ("'w'", "17179869184 bytes", "2147483648")),
    Case("T19 initializer twice", fixed(lambda: model([relu()], [tensor([1], float_data=[1.0])] * 2)), M,
         ("'w'", "twice")),
    Case("T19 dense and sparse", fixed(lambda: model([relu()], [tensor([1], float_data=[1.0])],
                                                     sparse=[sparse_tensor([1.0], [1], [4])])), M, ("'w'", "twice")),
    Case("T19 no name", weight([1], name="", float_data=[1.0]), M, ("no name",)),
    Case("T20 initializer and output", one(relu(y="w"), [tensor([1], float_data=[1.0])],
                                           outputs=(("w", FLOAT, None),)), M, ("'r' (Relu-14)", "'w'")),
    Case("T21 scalar without content", weight([]), M, ("'w'", "no content", "4 bytes")),
    Case("T21 scalar of two", weight([], float_data=[1.0, 2.0]), M, ("'w'", "2 entries", "1 are"),
         twin=weight([], float_data=[1.0])),
    Case("T21 zero size with content", weight([0, 3], raw_data=FOUR), M, ("'w'", "16 bytes", "0 are"),
         twin=weight([0, 3])),
    Case("T23 uint8 300", weight([1], TensorProto.UINT8, int32_data=[300]), M, ("'w'", "int32_data[0] is 300",
                                                                                "0 to 255")),
    Case("T23 all weights", weight([20_000], TensorProto.INT4, raw_data=bytes(10_000)), L,
         ("'w'", "max_bytes is 12000"), Limits(max_bytes=12_000),
         twin=weight([8000], TensorProto.INT4, raw_data=bytes(4000))),
    Case("T24 default does not fit", fixed(lambda: model([relu("w")], [tensor([2], float_data=[1.0, 2.0])],
                                                         inputs=(("w", FLOAT, [3]),))), M, ("'w'", "[3]", "[2]")),
]


