"""The graph of a random network while it is made: values with the batch as their first dim, constants, nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper, numpy_helper

#: Multiply-adds of one item of the batch that a product may have.
MOST_WORK = 2_000_000


@dataclass(frozen=True)
class Value:
    """A value of the network. dims: its shape less the batch."""

    name: str
    dims: tuple[int, ...]

    @property
    def size(self) -> int:
        """Elements of one item of the batch."""
        return int(np.prod(self.dims))


@dataclass
class Network:
    """A graph being made, and what is needed to feed it.

    inputs: those with a batch. parameters: {name: array} of weights that are inputs of the model.
    """

    rng: np.random.Generator
    dtype: np.dtype
    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    parameters: dict[str, np.ndarray] = field(default_factory=dict)
    inputs: list[Value] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    batches: tuple[int, ...] = ()
    model: onnx.ModelProto | None = None
    named: int = 0

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return bool(self.rng.random() < p)

    def pick(self, choices: Sequence):
        """One of them."""
        return choices[int(self.rng.integers(len(choices)))]

    def between(self, low: int, high: int) -> int:
        """An integer, both ends included."""
        return int(self.rng.integers(low, high + 1))

    def name(self, prefix: str) -> str:
        """A new name."""
        self.named += 1
        return f"{prefix}{self.named}"

    def const(self, array, fixed: bool = True) -> str:
        """The name of an initializer; one that is not `fixed` may become an input or the result of a Constant node."""
        array = np.asarray(array)
        if array.dtype.kind == "f":
            array = array.astype(self.dtype)
        name = self.name("w")
        how = 1.0 if fixed else self.rng.random()
        if how < 0.02:
            self.parameters[name] = array
        elif how < 0.05:
            self.nodes.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array)))
        elif how < 0.08:
            self.weights[name + "s"] = array
            self.nodes.append(helper.make_node("Identity", [name + "s"], [name]))
        else:
            self.weights[name] = array
        return name

    def normal(self, *shape: int, scale: float = 1.0) -> np.ndarray:
        """Random numbers of that standard deviation."""
        return self.rng.standard_normal(shape).astype(np.float32) * np.float32(scale)

    def weight(self, *shape: int, fan: int | None = None) -> str:
        """A weight that keeps the scale of what it is applied to; sometimes one that is there already."""
        same = [n for n, w in self.weights.items() if w.shape == shape and w.dtype == self.dtype and n[0] == "w"]
        if same and self.chance(0.3):
            return self.pick(same)
        fan = fan if fan is not None else int(np.prod(shape[1:]))
        return self.const(self.normal(*shape, scale=1.2 / np.sqrt(max(1, fan))), fixed=False)

    def node(self, op: str, inputs: Sequence[str], *dims: tuple[int, ...], domain: str = "", **attributes):
        """Adds a node with one output for each of `dims`; its Value, or a list of them."""
        made = [Value(self.name("v"), tuple(int(n) for n in d)) for d in dims]
        self.nodes.append(helper.make_node(op, list(inputs), [v.name for v in made], domain=domain,
                                           name=self.name("n"), **attributes))
        return made[0] if len(made) == 1 else made

    def feeds(self, batch: int, seed: int = 0) -> dict[str, np.ndarray]:
        """Inputs for a batch of that size."""
        rng = np.random.default_rng([7, seed])
        feeds = {v.name: rng.standard_normal((batch, *v.dims)).astype(np.float32).astype(self.dtype)
                 for v in self.inputs}
        return feeds | self.parameters

    def finish(self, dims: Sequence[Sequence]) -> None:
        """Makes the model; dims: those that the inputs declare."""
        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        inputs = [helper.make_tensor_value_info(v.name, kind, list(d)) for v, d in zip(self.inputs, dims, strict=True)]
        inputs += [helper.make_tensor_value_info(n, kind, a.shape) for n, a in self.parameters.items()]
        outputs = [helper.make_tensor_value_info(v.name, kind, None) for v in self.outputs]
        graph = helper.make_graph(self.nodes, "network", inputs, outputs,
                                  [numpy_helper.from_array(a, n) for n, a in self.weights.items()])
        self.model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)


def reduce_mean(net: Network, x: Value, axes, keep: bool, op: str = "ReduceMean"):
    dims = [1 if i + 1 in axes else n for i, n in enumerate(x.dims) if keep or i + 1 not in axes]
    if net.opset >= 18:
        return net.node(op, [x.name, net.const(np.array(axes))], dims, keepdims=int(keep))
    return net.node(op, [x.name], dims, axes=list(axes), keepdims=int(keep))
