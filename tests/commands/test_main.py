"""The command as a whole: exit codes, closed pipes, Ctrl-C, encodings, other commands than run."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from command_models import save
from onnx import TensorProto, helper, numpy_helper

from cynfer import __version__
from cynfer.commands import explain, main
from cynfer.commands.faces import decode
from cynfer.commands.terminal import beside, clean, half_blocks
from cynfer.runtime import atomic


def process(*words, **options) -> subprocess.CompletedProcess:
    """`python -m cynfer` in a process of its own."""
    return subprocess.run([sys.executable, "-m", "cynfer", *map(str, words)], capture_output=True, timeout=120,
                          **options)


def environment(**changes) -> dict[str, str]:
    return {**{k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHONUTF8", "PYTHONIO"))},
            **changes}


def test_version(cynfer):
    assert cynfer("--version") == (0, f"cynfer {__version__}\n", "")


def test_help(cynfer):
    for words in ([], ["run"], ["info"], ["demo"], ["doctor"], ["zoo"], ["zoo", "get"]):
        code, out, _ = cynfer(*words, "--help")
        assert code == 0 and "usage: cynfer" in out


@pytest.mark.parametrize("words,expected", [
    ([], 2), (["fly"], 2), (["run"], 2), (["info", "--wrong", "x"], 2), (["info", "missing.onnx"], 3),
    (["info", "."], 3), (["demo", "cats"], 2), (["demo", "--count", "0"], 2), (["demo", "--count", "101"], 2),
    (["demo", "--count", "x"], 2), (["demo", "faces", "--count", "3"], 2), (["zoo"], 2), (["zoo", "get", "no"], 3)])
def test_exit_codes(cynfer, words, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cynfer(*words)[0] == expected
    assert not list(tmp_path.iterdir())


def test_debug_shows_where(tmp_path, capsys):
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"\x80\x03nothing")
    assert main(["info", str(path)]) == 3
    assert "Traceback" not in capsys.readouterr().err
    for words in (["info", str(path), "--debug"], ["--debug", "info", str(path)]):
        assert main(words) == 3
        assert "Traceback" in capsys.readouterr().err


def test_unexpected_errors_are_called_bugs():
    code, text = explain(ZeroDivisionError("x"))
    assert code == 1 and "bug in cynfer: ZeroDivisionError" in text


def test_info(cynfer, convolution):
    code, out, _ = cynfer("info", convolution, "--shape", "image=2x3x8x8")
    assert code == 0 and "Conv+relu" in out and "parameters: 432" in out
    code, out, _ = cynfer("info", convolution, "--shape", "image=2x3x8x8", "--json")
    found = json.loads(out)
    assert code == 0 and found["operators"] == {"Conv": 1, "Relu": 1} and found["parameters"] == 432
    assert found["plan"]["multiply_adds"] == 2 * 16 * 6 * 6 * 3 * 9 and found["plan"]["complete"]
    assert found["passes"]["fuse_epilogue"] == 1 and found["inputs"][0]["shape"] == ["N", 3, 8, 8]
    code, out, _ = cynfer("info", convolution, "--json", "--no-passes")
    assert json.loads(out)["passes"] == {}


def test_info_of_constants_nodes_bodies_and_unknown_ranks(cynfer, tmp_path):
    weight = numpy_helper.from_array(np.full((5, 7), np.nan, np.float32))
    model = save(tmp_path / "m.onnx", [helper.make_node("Constant", [], ["w"], value=weight),
                                       helper.make_node("MatMul", ["x", "w"], ["y"])],
                 [("x", TensorProto.FLOAT, None)], [("y", TensorProto.FLOAT, None)])
    code, out, _ = cynfer("info", model, "--json")
    assert code == 0 and json.loads(out)["parameters"] == 35 and json.loads(out)["plan"] is None
    code, out, _ = cynfer("info", model, "--json", "--shape", "x=3x5")
    assert json.loads(out)["plan"]["multiply_adds"] == 3 * 35


def test_names_cannot_steer_the_terminal(cynfer, tmp_path):
    name = "x\x1b]0;title\x07\u202e[red]"
    model = save(tmp_path / "m.onnx", [helper.make_node("Neg", [name], ["y"])], [(name, TensorProto.FLOAT, [1])],
                 [("y", TensorProto.FLOAT, [1])], producer_name="a\x1b[2Jb")
    for words in (["info", model], ["run", model, "--random"], ["info", model, "--json"]):
        code, out, err = cynfer(*words)
        assert code == 0 and not set("\x1b\x07\u202e") & set(out + err)
    assert "[red]" in cynfer("info", model)[1]
    _, _, err = cynfer("run", model)
    assert not set("\x1b\x07\u202e") & set(err)


def test_doctor(cynfer):
    code, out, _ = cynfer("doctor")
    assert code == 0 and "in use" in out and "threads" in out
    found = json.loads(cynfer("doctor", "--json")[1])
    assert found["kernels"]["copy"] == {"base": 1} and found["threads"] >= 1
    assert found["versions"]["cynfer"] == __version__


def test_doctor_says_what_it_ignores():
    result = process("doctor", env=environment(OMP_NUM_THREADS="abc\x1b"))
    assert result.returncode == 0 and b"OMP_NUM_THREADS=abc\\x1b (ignored: no number)" in result.stdout


def test_demo(cynfer):
    code, out, _ = cynfer("demo", "--count", 3)
    assert code == 0 and "3 of 3 digits right" in out and "█" in out and "\x1b" not in out


def test_faces_need_pillow(cynfer, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    code, _, err = cynfer("demo", "faces")
    assert code == 3 and "pip install pillow" in err and not list(tmp_path.iterdir())


def test_demo_needs_nothing_but_ascii():
    result = process("demo", "--count", "2", env=environment(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0",
                                                            PYTHONIOENCODING="ascii"))
    assert result.returncode == 0 and b"2 of 2 digits right" in result.stdout and b"#" in result.stdout


def test_closed_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    try:
        for words in (["demo", "--count", "100"], ["zoo", "list"], ["doctor"]):
            result = subprocess.run([sys.executable, "-m", "cynfer", *words], stdout=writer, stderr=subprocess.PIPE,
                                    timeout=120)
            assert (result.returncode, result.stderr) == (141, b""), words
    finally:
        os.close(writer)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_full_disk(tmp_path):
    with open("/dev/full", "wb") as full:
        result = subprocess.run([sys.executable, "-m", "cynfer", "zoo", "list"], stdout=full, stderr=subprocess.PIPE,
                                timeout=120)
    assert result.returncode == 3 and b"No space left" in result.stderr and b"Traceback" not in result.stderr


def test_ctrl_c(cynfer, add, monkeypatch):
    def pressed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("cynfer.runtime.session.Session.run", pressed)
    assert cynfer("run", add, "--random") == (130, "", "cynfer: interrupted\n")


def test_atomic_writes(tmp_path):
    path = tmp_path / "a"
    atomic.write(path, b"one")
    with pytest.raises(FileExistsError):
        atomic.write(path, b"two")
    assert path.read_bytes() == b"one"
    atomic.write(path, b"two", force=True)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = tmp_path / f".a.{gone.pid}.cynfer-part"
    other = tmp_path / f".b.{gone.pid}.cynfer-part"
    alive = tmp_path / f".a.{os.getppid()}.cynfer-part"
    for part in (left, other, alive):
        part.write_bytes(b"half")
    atomic.write(path, b"three", force=True)
    assert path.read_bytes() == b"three" and sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["a", other.name, alive.name])
    with pytest.raises(FileNotFoundError):
        atomic.write(tmp_path / "no" / "a", b"")


def test_clean():
    assert clean("plain é 疗") == "plain é 疗"
    assert clean("a\nb\x1b[1m") == "a\\nb\\x1b[1m"
    assert len(clean("x" * 1000)) == 200 and len(clean("\n" * 1000)) <= 200


def test_pictures_of_half_blocks():
    assert half_blocks(np.array([[255, 0, 255, 0], [255, 255, 0, 0], [0, 255, 0, 0]]))[0] == "█▄▀ "
    assert beside([["ab", "c"], ["d"]]) == ["ab  d", "c"]


def test_overlapping_faces_are_one():
    heat = np.zeros((8, 8), np.float32)
    heat[2, 2], heat[2, 3], heat[6, 6] = 0.9, 0.8, 0.6
    size = np.full((2, 8, 8), np.log(3), np.float32)
    faces = decode(heat, size, np.zeros((2, 8, 8), np.float32), 0.5, (30, 30))
    assert [round(f.score, 2) for f in faces] == [0.9, 0.6]
    assert (faces[0].left, faces[0].top, faces[0].right, faces[0].bottom) == pytest.approx((4, 4, 16, 16))
    assert (faces[1].right, faces[1].bottom) == (30, 30)
    assert decode(heat, size, np.zeros((2, 8, 8), np.float32), 0.95, (30, 30)) == []
