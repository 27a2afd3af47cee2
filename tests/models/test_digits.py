"""The digit reader that comes with the package: what it reads, what it says of itself, what its files weigh."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import onnx
import pytest

import cynfer

ROOT = Path(__file__).resolve().parents[2]
MODELS = Path(cynfer.__file__).parent / "models"


@pytest.fixture(scope="module")
def digits():
    """(images float32 [100, 1, 28, 28], labels)."""
    with np.load(MODELS / "digits.npz", allow_pickle=False) as data:
        return (data["images"][:, None] / 255).astype(np.float32), data["labels"]


def test_files_are_small():
    for name in ("digits.onnx", "digits.npz"):
        assert (MODELS / name).stat().st_size < 200_000


def test_the_model_is_good_onnx_and_says_how_good_it_is():
    model = onnx.load(MODELS / "digits.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == ["N", 1, 28, 28]
    said = {p.key: p.value for p in model.metadata_props}
    assert float(said["accuracy_test"]) >= 0.97


def test_ten_digits_of_each_class_are_read(digits):
    images, labels = digits
    assert np.bincount(labels).tolist() == [10] * 10
    (found,) = cynfer.InferenceSession(MODELS / "digits.onnx").run(None, {"image": images})
    said = cynfer.InferenceSession(MODELS / "digits.onnx").get_modelmeta().custom_metadata_map["accuracy_demo"]
    assert (found.argmax(1) == labels).mean() == float(said) >= 0.97
    assert np.allclose(found.sum(1), 1, atol=1e-5)


def test_answers_are_those_of_onnxruntime(digits):
    onnxruntime = pytest.importorskip("onnxruntime")
    images, _ = digits
    expected = onnxruntime.InferenceSession(MODELS / "digits.onnx").run(None, {"image": images})[0]
    for threads in (1, 2, 3):
        got = cynfer.InferenceSession(MODELS / "digits.onnx", threads=threads).run(None, {"image": images})[0]
        assert np.abs(got - expected).max() < 1e-5


@pytest.mark.parametrize("name", ["five_lines", "classify_digits"])
def test_examples_run(name, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", [name])
    runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert "(1, 10)" in said or "of 100 right" in said


def test_gradients_of_the_training_script_are_those_of_differences():
    """Each layer's backward against central differences in float64."""
    train = runpy.run_path(str(ROOT / "models" / "train_digits.py"))
    rng = np.random.default_rng(3)
    layers = [train["Conv"](rng, 2, 3, 3), train["BatchNormalization"](3), train["ReluPool"](),
              train["Gemm"](rng, 3 * 2 * 2, 4)]
    for layer in layers:
        for name, value in vars(layer).items():
            if isinstance(value, np.ndarray):
                setattr(layer, name, value.astype(np.float64))
    x, direction = rng.standard_normal((5, 2, 4, 4)), rng.standard_normal((5, 4))

    def loss():
        return float((train["scores"](layers, x, True) * direction).sum())

    loss()
    grad = direction
    for layer in reversed(layers):
        grad = layer.backward(grad)
    checked = 0
    for layer in layers:
        for parameter, wanted in zip(layer.parameters(), getattr(layer, "grads", []), strict=True):
            at = tuple(rng.integers(0, n) for n in parameter.shape)
            old = parameter[at]
            parameter[at] = old + 1e-6
            high = loss()
            parameter[at] = old - 1e-6
            low = loss()
            parameter[at] = old
            assert abs((high - low) / 2e-6 - wanted[at]) < 1e-4 * max(1, abs(wanted[at]))
            checked += 1
    assert checked == 5
