"""The `onnx.backend` interface: `is_compatible, prepare, run_model, run_node, supports_device`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx.backend.base import Backend, BackendRep

from cynfer.ops.errors import CynferError, InputError, UnsupportedError
from cynfer.runtime.session import Session


class CynferBackendRep(BackendRep):
    """A prepared model; `session` is what runs it."""

    def __init__(self, session: Session):
        self.session = session

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """All outputs for inputs in the model's order (or by name, in a dict). kwargs: timeout."""
        if not isinstance(inputs, dict):
            values = self.session.model.graph.inputs
            if not isinstance(inputs, (list, tuple)):
                inputs = [inputs]
            if len(inputs) != len(values):
                raise InputError(f"got {len(inputs)} inputs, the model has {len(values)}: "
                                 f"{', '.join(v.name for v in values)}")
            inputs = {v.name: x for v, x in zip(values, inputs, strict=True)}
        return tuple(self.session.run(None, inputs, kwargs.get("timeout")))


class CynferBackend(Backend):
    """Runs models on the CPU. Keyword arguments of `prepare` are those of `Session`."""

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """True if the model loads: every operator, version and type in it is there."""
        try:
            cls.prepare(model, device, **kwargs)
        except UnsupportedError:
            return False
        return True

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> CynferBackendRep:
        """The model made ready to run; raises CynferError as Session does."""
        if not cls.supports_device(device):
            raise UnsupportedError(f"device {device!r}: cynfer runs on the CPU")
        return CynferBackendRep(Session(model, **kwargs))

    @classmethod
    def run_model(cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[Any, ...]:
        """The outputs of one run."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(cls, node: onnx.NodeProto, inputs: Any, device: str = "CPU",
                 outputs_info: Sequence[tuple[np.dtype, tuple[int, ...]]] | None = None,
                 **kwargs: Any) -> tuple[Any, ...]:
        """The outputs of one node for its inputs that are not ''; a list of arrays is a sequence.

        opset_version: default the newest onnx knows.
        """
        from cynfer.ops import dtypes

        version = kwargs.pop("opset_version", None) or onnx.defs.onnx_opset_version()
        opsets = [onnx.helper.make_opsetid("", version)]
        if node.domain not in ("", "ai.onnx"):
            opsets.append(onnx.helper.make_opsetid(node.domain, kwargs.pop("domain_version", 1)))
        names = list(dict.fromkeys(n for n in node.input if n))
        if isinstance(inputs, dict):
            names, inputs = list(inputs), list(inputs.values())
        given = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        arrays = [x if _is_sequence(x) else np.asarray(x) for x in given]
        if len(arrays) != len(names):
            raise InputError(f"got {len(arrays)} inputs, the node has {len(names)}: {', '.join(names)}")

        def code(a: np.ndarray) -> int:
            return onnx.TensorProto.STRING if a.dtype.kind in "OUS" else dtypes.to_onnx(a.dtype)

        infos = [onnx.helper.make_tensor_sequence_value_info(n, code(a[0]), None) if isinstance(a, list)
                 else onnx.helper.make_tensor_value_info(n, code(a), a.shape)
                 for n, a in zip(names, arrays, strict=True)]
        outputs = [onnx.ValueInfoProto(name=n) for n in node.output if n]
        graph = onnx.helper.make_graph([node], node.name or node.op_type, infos, outputs)
        return cls.run_model(onnx.helper.make_model(graph, opset_imports=opsets), arrays, device, **kwargs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """True for "CPU" and "CPU:0"."""
        return device.split(":")[0] == "CPU"


def _is_sequence(x: Any) -> bool:
    return isinstance(x, list) and bool(x) and all(isinstance(e, np.ndarray) for e in x)


is_compatible = CynferBackend.is_compatible
prepare = CynferBackend.prepare
run_model = CynferBackend.run_model
run_node = CynferBackend.run_node
supports_device = CynferBackend.supports_device

__all__ = ["CynferBackend", "CynferBackendRep", "CynferError", "is_compatible", "prepare", "run_model", "run_node",
           "supports_device"]
