"""Small models as files, and a way to run the command."""

from __future__ import annotations

import numpy as np
import pytest
from command_models import save
from onnx import TensorProto, helper, numpy_helper

from cynfer.commands import main


@pytest.fixture
def cynfer(capsys):
    """cynfer(*words) -> (exit code, stdout, stderr)."""

    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(w) for w in words])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        if code:
            *before, last = said.err.splitlines()
            assert last.startswith("cynfer: ") and all(line.startswith("fetching ") for line in before), said.err
            assert said.out == "", "nothing may be printed before an error"
        return code, said.out, said.err

    return call


@pytest.fixture
def add(tmp_path):
    """z = x + y, float32 [N, 3] each, from a file."""
    return save(tmp_path / "add.onnx", [helper.make_node("Add", ["x", "y"], ["z"])],
                [(n, TensorProto.FLOAT, ["N", 3]) for n in "xy"], [("z", TensorProto.FLOAT, ["N", 3])])


@pytest.fixture
def double(tmp_path):
    """y = x + x of an input with a free shape, from a file."""
    return save(tmp_path / "double.onnx", [helper.make_node("Add", ["x", "x"], ["y"])],
                [("x", TensorProto.FLOAT, [None, None])], [("y", TensorProto.FLOAT, [None, None])])


@pytest.fixture
def convolution(tmp_path):
    """A convolution with bias and Relu of image [N, 3, 8, 8]."""
    rng = np.random.default_rng(0)
    weight = numpy_helper.from_array(rng.standard_normal((16, 3, 3, 3)).astype(np.float32), "weight")
    return save(tmp_path / "conv.onnx", [helper.make_node("Conv", ["image", "weight"], ["c"]),
                                         helper.make_node("Relu", ["c"], ["y"])],
                [("image", TensorProto.FLOAT, ["N", 3, 8, 8])], [("y", TensorProto.FLOAT, ["N", 16, 6, 6])], [weight])
