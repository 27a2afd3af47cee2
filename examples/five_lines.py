"""Runs a model on zeros: `python examples/five_lines.py [model.onnx]` (default: the digit reader of the package)."""

import sys
from pathlib import Path

import numpy as np

import cynfer

model = sys.argv[1] if len(sys.argv) > 1 else Path(cynfer.__file__).parent / "models" / "digits.onnx"
session = cynfer.InferenceSession(model)
first = session.get_inputs()[0]  # its name, its type and its shape; a free dimension is a name or None
shape = [d if isinstance(d, int) else 1 for d in first.shape]
for result in session.run(None, {first.name: np.zeros(shape, np.float32)}):
    print(result.dtype, result.shape)
