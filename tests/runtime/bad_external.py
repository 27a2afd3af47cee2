"""External data that must be refused (E); see bad_models."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from model_maker import (
    FOUR,
    Case,
    at,
    external,
    hard_link,
    link,
    model,
    outside,
    plain,
    relu,
    sparse_tensor,
    tensor,
)
from onnx import TensorProto

from cynfer.ops import errors

X = errors.ExternalDataError

EXTERNAL = [
    Case("E01 parent folder", at("../secret.bin", outside), X, ("'w'", "'../secret.bin'", "out of"), twin=plain()),
    Case("E02 parent inside", at("sub/../../secret.bin", outside), X, ("'w'", "out of")),
    Case("E02 parent at the end", at("sub/..", outside), X, ("'w'", "out of")),
    Case("E03 absolute", at("/etc/passwd"), X, ("'w'", "absolute")),
    Case("E03 drive", at("C:\\x"), X, ("'w'", "absolute")),
    Case("E03 drive with a slash", at("C:/x"), X, ("'w'", "absolute")),
    Case("E03 share", at("\\\\srv\\x"), X, ("'w'", "backslash")),
    Case("E03 URL", at("file:///etc/passwd"), X, ("'w'", "URL")),
    Case("E03 home", at("~/x"), X, ("'w'", "tilde")),
    Case("E03 variable", at("$HOME/x"), X, ("'w'", "dollar")),
    Case("E04 link to the outside", at("l.bin", link("l.bin", "../secret.bin")), X,
         ("'w'", "symbolic link", "'l.bin'")),
    Case("E04 link to the inside", at("l.bin", link("l.bin", "sub/w.bin")), X, ("'w'", "symbolic link")),
    Case("E04 link to nothing", at("l.bin", link("l.bin", "nowhere")), X, ("'w'", "symbolic link")),
    Case("E05 folder is a link", at("l/w.bin", link("l", "sub")), X, ("'w'", "symbolic link"),
         twin=at("sub/w.bin", link("l", "sub"))),
    Case("E06 hard link", at("w.bin", hard_link), X, ("'w'", "2 hard links", "hard_links=True")),
    Case("E08 FIFO", at("f", lambda folder: os.mkfifo(folder / "f")), X, ("'w'", "not a regular file")),
    Case("E08 folder", at("d", lambda folder: (folder / "d").mkdir()), X, ("'w'", "not a regular file")),
    Case("E09 missing", at("no.bin"), X, ("'w'", "'no.bin'", "not there")),
    Case("E09 no location", at(None), X, ("'w'", "location", "empty")),
    Case("E09 empty location", at(""), X, ("'w'", "empty")),
    Case("E09 other case", at("W.BIN"), X, ("'w'", "'W.BIN'", "not there")),
    Case("E09 long name", at("x" * 300), X, ("'w'", "cannot be opened")),
    Case("E09 NUL", at("a\0b"), X, ("'w'", "NUL")),
    Case("E10 offset past the end", plain(offset="17"), X, ("'w'", "offset 17", "16 bytes")),
    Case("E10 offset near the end", plain(offset="4"), X, ("'w'", "offset 4", "16 bytes")),
    *(Case(f"E10 offset {text!r}", plain(offset=text), X, ("'w'", "offset", repr(text)))
      for text in ("-1", "abc", "1e3", "9" * 20, "18446744073709551600", " 0", "0x0", "\u0661", "")),
    Case("E10 sum wraps", plain(offset=str((1 << 63) - 1), length="16"), X, ("'w'", "offset 9223372036854775807")),
    Case("E11 length 9e15", plain(length=str(9 * 10**15)), X, ("'w'", "length is 9000000000000000", "16")),
    Case("E11 length of another size", plain(length="12"), X, ("'w'", "length is 12", "16"), twin=plain(length="16")),
    Case("E11 length -1", plain(length="-1"), X, ("'w'", "length", "'-1'")),
    Case("E12 key twice", plain(keys=[("offset", "0"), ("offset", "4")]), X, ("'w'", "'offset'", "twice"),
         twin=plain(keys=[("__class__", "x"), ("evil", "y")])),
    Case("E13 wrong checksum", plain(checksum="0" * 40), X, ("'w'", "checksum"),
         twin=plain(checksum=hashlib.sha1(FOUR).hexdigest())),
    Case("E13 not a checksum", plain(checksum="abc"), X, ("'w'", "checksum", "'abc'")),
    Case("E14 the model itself", plain(location="model.onnx", dims=(1,)), X, ("'w'", "model file itself")),
    Case("E15 internal marker", at("*/_ORT_MEM_ADDR_/*", offset="4096"), X, ("'w'", "not there")),
    Case("E16 short file", plain(data=FOUR[:12]), X, ("'w'", "12 bytes")),
    Case("E16 empty file", plain(data=b""), X, ("'w'", "0 bytes")),
    Case("E17 model from bytes", lambda folder: Path(external(folder)).read_bytes(), X, ("'w'", "'w.bin'", "by path")),
    Case("E20 strings", lambda folder: model([relu()], [tensor([1], TensorProto.STRING, data_location=1)]), X,
         ("'w'", "strings")),
    Case("T17 sparse", lambda folder: sparse_external(folder), X, ("'w'", "'../x'", "out of")),
]


def sparse_external(folder: Path) -> str:
    proto = sparse_tensor([1.0], [1], [4])
    proto.values.ClearField("float_data")
    proto.values.data_location = 1
    proto.values.external_data.add(key="location", value="../x")
    (folder / "model.onnx").write_bytes(model([relu()], sparse=[proto]))
    return str(folder / "model.onnx")


