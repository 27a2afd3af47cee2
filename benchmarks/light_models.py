"""The nine real architectures that the onnx package ships (light_*.onnx), with seeded random weights.

Their weights are ConstantOfShape nodes; here they become initializers: normal numbers scaled so that activations keep
their size (He et al. 2015), vectors (scales, biases, statistics) uniform. Values thus differ from element to element,
as they do in a trained network: constants flatter a benchmark and prove nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

NAMES = ("bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet", "vgg19",
         "zfnet512")


def path(name: str) -> Path:
    """The file in the installed onnx package."""
    return Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / f"light_{name}.onnx"


def build(name: str, seed: int = 0) -> onnx.ModelProto:
    """The architecture with its weights as seeded initializers."""
    model = onnx.load(path(name))
    graph, rng = model.graph, np.random.default_rng(seed)
    shapes = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    kept = []
    for node in graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = [int(d) for d in shapes[node.input[0]]]
        if len(shape) > 1:
            weight = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        else:
            weight = rng.uniform(0.5, 1.5, shape)
        graph.initializer.append(numpy_helper.from_array(weight.astype(np.float32), node.output[0]))
    del graph.node[:]
    graph.node.extend(kept)
    return model


def feeds(model: onnx.ModelProto, seed: int = 1, batch: int = 1) -> dict[str, np.ndarray]:
    """Seeded normal numbers for every input that is not an initializer; free dimensions are `batch`."""
    rng = np.random.default_rng(seed)
    held = {t.name for t in model.graph.initializer}
    return {i.name: rng.standard_normal([d.dim_value or batch for d in i.type.tensor_type.shape.dim]).astype(np.float32)
            for i in model.graph.input if i.name not in held}
