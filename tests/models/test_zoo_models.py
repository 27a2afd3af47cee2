"""Every model of the zoo, fetched: the answers of onnxruntime; faces found and text read in real pictures."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

import cynfer
from cynfer import zoo
from cynfer.commands import main
from cynfer.commands.faces import FaceFinder, free_dims

pytestmark = pytest.mark.network
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MODELS = [e.name for e in zoo.ENTRIES.values() if e.is_model]
#: Relative to the largest magnitude of an output.
TOLERANCE = {"minilm": 3e-2}


def sensible(entry: zoo.Entry) -> dict[str, np.ndarray]:
    """Seeded inputs of the kind that the model was made for."""
    rng = np.random.default_rng(7)
    feeds = {}
    for name, (dtype, shape) in entry.inputs.items():
        if name == "input_ids":
            x = rng.integers(1000, 30000, shape)
        elif name == "attention_mask":
            x = np.ones(shape)
        elif name == "token_type_ids":
            x = np.zeros(shape)
        elif dtype == "int32":
            x = rng.integers(0, 256, shape)
        elif entry.name == "ppocr-det":  # on noise its probabilities are all but 0, and their logarithm has the error
            image = pytest.importorskip("PIL.Image")
            page = image.open(zoo.fetch("page")).convert("RGB").resize(shape[:1:-1])
            x = (np.asarray(page)[None].transpose(0, 3, 1, 2) / 255 - 0.45) / 0.226
        else:
            x = rng.standard_normal(shape) if entry.name != "centerface" else rng.uniform(0, 255, shape)
        feeds[name] = x.astype(dtype)
    return feeds


def read(name: str) -> bytes:
    path = zoo.fetch(name)
    return free_dims(path).SerializeToString() if name == "centerface" else path.read_bytes()


@pytest.mark.parametrize("name", MODELS)
def test_answers_are_those_of_onnxruntime(name):
    onnxruntime = pytest.importorskip("onnxruntime")
    model, feeds = read(name), sensible(zoo.find(name))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    expected = onnxruntime.InferenceSession(model, options).run(None, feeds)
    session = cynfer.InferenceSession(model, threads=2)
    got = session.run(None, feeds)
    serial = cynfer.InferenceSession(model, threads=1).run(None, feeds)
    assert len(got) == len(expected) > 0
    for a, b, same in zip(got, expected, serial, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        assert np.isfinite(b).all()
        error = np.abs(a.astype(np.float64) - b).max() / np.abs(b).max()
        assert error <= TOLERANCE.get(name, 1e-3)
        assert a.tobytes() == same.tobytes(), "other bits with another number of threads"


def test_the_zoo_keeps_what_it_fetched(tmp_path):
    path = zoo.fetch("mnist", tmp_path)
    assert path.parent == tmp_path and path.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    path.write_bytes(b"something else")
    assert zoo.cached(zoo.find("mnist"), tmp_path) is None
    assert zoo.fetch("mnist", tmp_path).stat().st_size == zoo.find("mnist").nbytes


def test_a_face_is_found():
    image = pytest.importorskip("PIL.Image")
    pixels = np.asarray(image.open(zoo.fetch("astronaut")).convert("RGB"))
    faces = FaceFinder(zoo.fetch("centerface"))(pixels)
    assert len(faces) == 1
    face = faces[0]
    assert abs(face.score - 0.93) < 0.01
    middle = (face.left + face.right) / 2, (face.top + face.bottom) / 2
    assert np.allclose(middle, (224, 118), atol=12) and 70 < face.right - face.left < 110


def test_a_page_is_read(capsys, monkeypatch):
    pytest.importorskip("PIL")
    monkeypatch.setattr("sys.argv", ["read_text.py"])
    runpy.run_path(str(EXAMPLES / "read_text.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Region-based segmentation"
    assert lines[1] == "Let us first determine markers of the coins and the"
    assert len(lines) == 7


def test_the_example_finds_the_face(capsys, monkeypatch):
    pytest.importorskip("PIL")
    monkeypatch.setattr("sys.argv", ["find_faces.py"])
    runpy.run_path(str(EXAMPLES / "find_faces.py"), run_name="__main__")
    assert capsys.readouterr().out.count("face at") == 1


def test_the_demo_draws_the_face(capsys, tmp_path):
    image = pytest.importorskip("PIL.Image")
    output = tmp_path / "out.png"
    assert main(["demo", "faces", "--output", str(output)]) == 0
    assert "1 face in 512 x 512 pixels" in capsys.readouterr().out
    drawn = np.asarray(image.open(output)).astype(int)
    before = np.asarray(image.open(zoo.fetch("astronaut")).convert("RGB")).astype(int)
    changed = np.argwhere((drawn != before).any(2))
    assert 50 < changed[:, 0].min() < changed[:, 0].max() < 190 and (drawn[100, 182] == (255, 220, 0)).all()
    assert main(["demo", "faces", "--output", str(output)]) == 3
