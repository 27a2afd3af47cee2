"""`cynfer run`: what goes in, what comes out, what is refused."""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
import onnx
import pytest
from command_models import save
from onnx import TensorProto, helper

X = np.array([[1, 2, 3], [4, 5, 6]], np.float32)


@pytest.fixture
def files(tmp_path):
    """x.npy, y.npy and both in xy.npz."""
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", 10 * X)
    np.savez(tmp_path / "xy.npz", x=X, y=10 * X, other=X)
    return tmp_path


def test_arrays_in_arrays_out(cynfer, add, files):
    code, out, _ = cynfer("run", add, "--input", f"x={files}/x.npy", "--input", f"y={files}/y.npy",
                          "--output", files / "new" / "out")
    assert code == 0 and "float32[2, 3]" in out
    assert np.array_equal(np.load(files / "new" / "out" / "z.npy"), 11 * X)
    assert [p.name for p in (files / "new" / "out").iterdir()] == ["z.npy"], "no part files stay"


@pytest.mark.parametrize("words", [["--input", "{}/xy.npz"], ["--input", "x={}/xy.npz", "--input", "y={}/xy.npz"],
                                   ["--input", "x={}/xy.npz:x", "--input", "y={}/xy.npz:y"]])
def test_npz(cynfer, add, files, words):
    code, _, _ = cynfer("run", add, *(w.format(files) for w in words), "--output", files)
    assert code == 0 and np.array_equal(np.load(files / "z.npy"), 11 * X)


def test_fortran_order_and_big_endian(cynfer, double, tmp_path):
    np.save(tmp_path / "f.npy", np.asfortranarray(X.astype(">f4")))
    assert cynfer("run", double, "--input", tmp_path / "f.npy", "--output", tmp_path)[0] == 0
    assert np.array_equal(np.load(tmp_path / "y.npy"), 2 * X)


def test_random_is_seeded_and_takes_shapes(cynfer, add, tmp_path):
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert cynfer("run", add, "--random", "--seed", seed, "--shape", "x=4x3", "--output", tmp_path / folder)[0] == 0
    a, b, c = (np.load(tmp_path / f / "z.npy") for f in "abc")
    assert a.shape == (4, 3) and a.tobytes() == b.tobytes() != c.tobytes()


def test_random_fills_up_what_files_leave_open(cynfer, add, files):
    code, out, _ = cynfer("run", add, "--random", "--input", f"x={files}/x.npy")
    assert code == 0 and "float32[2, 3]" in out


def test_any_value_can_be_fetched(cynfer, convolution, tmp_path):
    code = cynfer("run", convolution, "--random", "--fetch", "c", "--output", tmp_path)[0]
    assert code == 0 and np.load(tmp_path / "c.npy").min() < 0 and not (tmp_path / "y.npy").exists()


def test_no_clobber_without_force(cynfer, double, files):
    (files / "y.npy").write_bytes(b"mine")
    code, _, err = cynfer("run", double, "--input", files / "x.npy", "--output", files)
    assert code == 3 and "--force" in err and (files / "y.npy").read_bytes() == b"mine"
    assert cynfer("run", double, "--input", files / "x.npy", "--output", files, "--force")[0] == 0
    assert np.array_equal(np.load(files / "y.npy"), 2 * X)


def test_output_may_be_the_input(cynfer, tmp_path):
    model = save(tmp_path / "m.onnx", [helper.make_node("Neg", ["x"], ["x2"])], [("x", TensorProto.FLOAT, [2, 3])],
                 [("x2", TensorProto.FLOAT, [2, 3])])
    np.save(tmp_path / "x2.npy", X)
    words = ("run", model, "--input", f"x={tmp_path}/x2.npy", "--output", tmp_path)
    assert cynfer(*words)[0] == 3 and np.array_equal(np.load(tmp_path / "x2.npy"), X)
    assert cynfer(*words, "--force")[0] == 0 and np.array_equal(np.load(tmp_path / "x2.npy"), -X)


def test_names_of_outputs_are_plain_names(cynfer, tmp_path):
    names = ["../../up", "a/b", "a:b", "..", "*;$(x)", "\x1b[31mred"]
    model = save(tmp_path / "odd.onnx", [helper.make_node("Neg", ["x"], [n]) for n in names],
                 [("x", TensorProto.FLOAT, [2])], [(n, TensorProto.FLOAT, [2]) for n in names])
    code, out, _ = cynfer("run", model, "--random", "--output", tmp_path / "in" / "here")
    assert code == 0 and "\x1b" not in out
    assert {p.name for p in (tmp_path / "in" / "here").iterdir()} == {
        "_.._up.npy", "a_b.npy", "a_b.2.npy", "output.npy", "_x_.npy", "_31mred.npy"}
    assert {p.name for p in tmp_path.iterdir()} == {"odd.onnx", "in"}


def test_names_of_npz_members_are_plain_names(cynfer, tmp_path):
    np.savez(tmp_path / "a.npz", **{"../../x": X})
    model = save(tmp_path / "m.onnx", [helper.make_node("Neg", ["../../x"], ["y"])],
                 [("../../x", TensorProto.FLOAT, [2, 3])], [("y", TensorProto.FLOAT, [2, 3])])
    assert cynfer("run", model, "--input", tmp_path / "a.npz", "--output", tmp_path)[0] == 0
    assert {p.name for p in tmp_path.iterdir()} == {"a.npz", "m.onnx", "y.npy"}


def test_types_that_numpy_lacks(cynfer, tmp_path):
    model = save(tmp_path / "m.onnx", [helper.make_node("Identity", ["x"], ["y"])], [("x", TensorProto.BFLOAT16, [3])],
                 [("y", TensorProto.BFLOAT16, [3])])
    np.save(tmp_path / "x.npy", np.array([1, 2.5, -3], np.float32))
    assert cynfer("run", model, "--input", tmp_path / "x.npy", "--output", tmp_path)[0] == 0
    assert np.load(tmp_path / "y.npy").tolist() == [1, 2.5, -3]


def test_strings(cynfer, tmp_path):
    model = save(tmp_path / "m.onnx", [helper.make_node("Identity", ["x"], ["y"])], [("x", TensorProto.STRING, [2])],
                 [("y", TensorProto.STRING, [2])])
    np.save(tmp_path / "x.npy", np.array(["ab", "ü\x1b[31m"]))
    code, out, _ = cynfer("run", model, "--input", tmp_path / "x.npy", "--output", tmp_path)
    assert code == 0 and np.load(tmp_path / "y.npy", allow_pickle=False).tolist() == ["ab", "ü\x1b[31m"]
    assert "\x1b" not in out


def test_sequences(cynfer, tmp_path):
    node = helper.make_node("SplitToSequence", ["x"], ["a/s"], axis=0)
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
                              [helper.make_tensor_sequence_value_info("a/s", TensorProto.FLOAT, None)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    np.save(tmp_path / "x.npy", X)
    code, out, _ = cynfer("run", tmp_path / "m.onnx", "--input", tmp_path / "x.npy", "--output", tmp_path)
    assert code == 0 and "list of 2" in out
    with np.load(tmp_path / "a_s.npz", allow_pickle=False) as parts:
        assert np.array_equal(parts["1"], X[1:])


def npy(header: bytes, data: bytes = b"", length: int | None = None, version: int = 2) -> bytes:
    size = len(header) if length is None else length
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", size) + header + data


BAD = {
    "empty": (b"", 3, "not a .npy array"),
    "text": (b"hello, this is text", 3, "not a .npy array"),
    "long header": (npy(b"{" * 70000), 4, "header has 70000 bytes"),
    "header of a gigabyte": (npy(b"{}", length=10**9), 4, "header has 1000000000 bytes"),
    "objects": (None, 3, "Python objects"),
    "too large": (npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }"), 4, "4000000000000"),
    "truncated": (npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", b"123"), 3, "the file has 3"),
    "negative": (npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3), }"), 3, "is no array"),
    "code": (npy(b"__import__('os').system('true')"), 3, "header cannot be read"),
    "other type": (npy(b"{'descr': '<i4', 'fortran_order': False, 'shape': (1, 1), }", b"1234"), 3, "int32"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_npy(cynfer, double, tmp_path, case):
    data, expected, message = BAD[case]
    path = tmp_path / "bad.npy"
    if data is None:
        np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    else:
        path.write_bytes(data)
    code, _, err = cynfer("run", double, "--input", f"x={path}")
    assert code == expected and message in err
    np.save(path, X)
    assert cynfer("run", double, "--input", f"x={path}")[0] == 0


def test_zip_bomb(cynfer, double, tmp_path):
    size = 300 << 20
    head = npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, %d), }" % (size // 4))
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive, \
            archive.open("x.npy", "w") as member:
        member.write(head)
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))
    code, _, err = cynfer("run", double, "--input", tmp_path / "bomb.npz")
    assert code == 4 and "grows from" in err


def test_bad_npz(cynfer, double, tmp_path):
    data = io.BytesIO()
    np.savez(data, x=X)
    path = tmp_path / "a.npz"
    path.write_bytes(data.getvalue()[:-30])
    assert cynfer("run", double, "--input", path)[0] == 3
    path.write_bytes(data.getvalue().replace(X.tobytes(), bytes(X.nbytes)))  # a wrong checksum
    assert cynfer("run", double, "--input", path)[0] == 3
    np.savez(path, a=X, b=X)
    code, _, err = cynfer("run", double, "--input", path)
    assert code == 3 and "a, b" in err
    assert cynfer("run", double, "--input", f"{path}:a")[0] == 0
    assert cynfer("run", double, "--input", f"{path}:nothing")[0] == 3


@pytest.mark.parametrize("words,code,message", [
    ([], 2, "--random"),
    (["--input", "q=x.npy"], 2, "no input 'q'"),
    (["--input", "x=missing.npy", "--random"], 3, "no such file"),
    (["--input", "x=/dev/zero", "--random"], 3, "not a regular file"),
    (["--input", "x=.", "--random"], 3, "not a regular file"),
    (["--random", "--shape", "x=3xa"], 2, "numbers with x"),
    (["--random", "--shape", "w=3x3"], 2, "inputs are x, y"),
    (["--random", "--shape", "x=3x4"], 2, "the model says"),
    (["--random", "--shape", "x=999999999999x3"], 4, "are allowed"),
    (["--random", "--threads", "0"], 2, "from 1 to 1024"),
    (["--random", "--threads", "-1"], 2, "from 1 to 1024"),
    (["--random", "--threads", "1000000"], 2, "from 1 to 1024"),
    (["--random", "--timeout", "nan"], 2, "number"),
    (["--random", "--isa", "mmx"], 2, "mmx"),
    (["--random", "--fetch", "zz"], 3, "no output 'zz'"),
    (["--random", "--mean", "a"], 2, "'a'"),
    (["--random", "--wrong"], 2, "--wrong"),
    (["--random", "--output", "add.onnx"], 3, "not a directory"),
])
def test_what_is_refused(cynfer, add, tmp_path, monkeypatch, words, code, message):
    monkeypatch.chdir(tmp_path)
    before = add.read_bytes()
    got, _, err = cynfer("run", add, *words)
    assert got == code and message in err
    assert add.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["add.onnx"]


def test_input_with_another_shape(cynfer, add, files):
    np.save(files / "y.npy", X[:, :2])
    code, _, err = cynfer("run", add, "--input", f"x={files}/x.npy", "--input", f"y={files}/y.npy")
    assert code == 3 and "'y'" in err and "axis 1 is 2" in err


def test_a_run_that_fails(cynfer, tmp_path):
    model = save(tmp_path / "g.onnx", [helper.make_node("Gather", ["x", "i"], ["y"])],
                 [("x", TensorProto.FLOAT, [3]), ("i", TensorProto.INT64, [1])], [("y", TensorProto.FLOAT, [1])])
    np.save(tmp_path / "i.npy", np.array([7]))
    code, _, err = cynfer("run", model, "--input", f"i={tmp_path}/i.npy", "--random")
    assert code == 4 and "7" in err


def test_output_folder_that_cannot_be_written(cynfer, double, files):
    (files / "file").write_text("")
    code, _, err = cynfer("run", double, "--input", files / "x.npy", "--output", files / "file" / "sub")
    assert code == 3 and "file" in err


@pytest.fixture
def picture(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, :, 0], pixels[:4, :, 1] = 255, 51
    image.fromarray(pixels).save(tmp_path / "p.png")
    return tmp_path / "p.png"


def identity(tmp_path, kind, shape):
    return save(tmp_path / "id.onnx", [helper.make_node("Identity", ["x"], ["y"])], [("x", kind, shape)],
                [("y", kind, shape)])


def test_picture_nchw(cynfer, tmp_path, picture):
    model = identity(tmp_path, TensorProto.FLOAT, [1, 3, 4, 6])
    assert cynfer("run", model, "--input", picture, "--output", tmp_path)[0] == 0
    y = np.load(tmp_path / "y.npy")
    assert y.shape == (1, 3, 4, 6) and np.allclose(y[0, 0], 1) and np.allclose(y[0, 2], 0)
    assert np.allclose(y[0, 1, 0], 0.2, atol=0.01) and np.allclose(y[0, 1, 3], 0, atol=0.01)


def test_picture_nhwc_mean_and_scale(cynfer, tmp_path, picture):
    model = identity(tmp_path, TensorProto.FLOAT, ["N", "H", "W", 3])
    words = ("--mean", "5,1,0", "--scale", "2", "--output", tmp_path)
    assert cynfer("run", model, "--input", f"x={picture}", *words)[0] == 0
    y = np.load(tmp_path / "y.npy")
    assert y.shape == (1, 8, 8, 3) and y[0, 0, 0].tolist() == [500, 100, 0]


def test_picture_grey_and_integer(cynfer, tmp_path, picture):
    model = identity(tmp_path, TensorProto.UINT8, [1, 1, 8, 8])
    assert cynfer("run", model, "--input", picture, "--output", tmp_path)[0] == 0
    y = np.load(tmp_path / "y.npy")
    assert y.dtype == np.uint8 and abs(int(y[0, 0, 7, 7]) - 76) <= 1


def test_picture_that_is_none(cynfer, tmp_path, picture):
    model = identity(tmp_path, TensorProto.FLOAT, [1, 3, 4, 6])
    picture.write_bytes(picture.read_bytes()[:60])
    assert cynfer("run", model, "--input", picture)[0] == 3
    picture.write_bytes(b"nothing")
    assert cynfer("run", model, "--input", picture)[0] == 3
    vector = identity(tmp_path, TensorProto.FLOAT, [5])
    assert cynfer("run", vector, "--input", picture)[0] == 3
