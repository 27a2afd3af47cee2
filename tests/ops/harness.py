"""Runs one operator: as a node of a model, or an internal op by its NumPy form, its kernels, its kernels on blocks."""

import numpy as np
from onnx import TensorProto, helper

from cynfer.ops.fact import C16, Fact
from cynfer.ops.machine import runnable
from cynfer.ops.op import In, Out, calls, run_python
from cynfer.runtime.session import Session

ISAS = runnable()


def model(op_type, arrays, opset, outputs=1, **attributes):
    """A model of one node; arrays: its inputs, None for absent ones."""
    names = ["" if a is None else f"i{k}" for k, a in enumerate(arrays)]
    outs = [f"o{k}" for k in range(outputs)]
    node = helper.make_node(op_type, names, outs, "node", **attributes)
    inputs = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
              for n, a in zip(names, arrays, strict=True) if a is not None]
    # outputs without a type: the session finds it
    graph = helper.make_graph([node], "one", inputs, [helper.make_empty_tensor_value_info(o) for o in outs])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def run(op_type, *arrays, opset, outputs=1, isa=None, **attributes):
    """The output (a list of them if there are several) of a one-node model."""
    arrays = [None if a is None else np.asarray(a) for a in arrays]
    session = Session(model(op_type, arrays, opset, outputs, **attributes), optimise=False, isa=isa)
    results = session.run(None, {f"i{k}": a for k, a in enumerate(arrays) if a is not None})
    return results[0] if outputs == 1 else results


def by_python(op, *arrays):
    """Outputs of the NumPy form."""
    return run_python(op, arrays)


def by_kernel(op, m, *arrays, threads=1, blocked=(), values=()):
    """Outputs of the kernels, or None if the op has none for these.

    blocked: indices of inputs that lie in blocks of 16 channels, and then so do the outputs; values: indices of
    inputs whose content the plan knows.
    """
    ins = [None if a is None else Fact(a.dtype, a.shape, a if i in values else None) for i, a in enumerate(arrays)]
    outs = op.facts(*ins)
    if blocked:
        ins = [f.with_layout(C16) if i in blocked else f for i, f in enumerate(ins)]
        outs = [f.with_layout(C16) for f in outs]
        if not op.blocked(m, ins, outs):
            return None
    native = calls(op.native(m, ins, outs))
    if native is None:
        return None
    places = [to_blocks(a) if i in blocked else a for i, a in enumerate(arrays)]
    results = [np.full(f.stored_shape if f.layout.block else f.dims, 77, f.dtype) for f in outs]
    temps = {}

    def bind(x):
        if isinstance(x, In):
            return places[x.index]
        if isinstance(x, Out):
            return results[x.index]
        if x is None or isinstance(x, np.ndarray):
            return x
        return temps.setdefault(id(x), np.full(x.nbytes, 255, np.uint8))

    for call in native:
        m.call(call.kernel, [None if x is None else np.ascontiguousarray(bind(x)) for x in call.operands], call.n,
               call.f, scratch=call.scratch, threads=threads)
    return tuple(from_blocks(r, f.dims) if blocked else r for r, f in zip(results, outs, strict=True))


def to_blocks(a, fill=0.5):
    """[N, C, H, W] as [N, blocks, H, W, 16]; `fill` stands where there is no channel."""
    n, c, h, w = a.shape
    padded = np.full((n, -(-c // 16) * 16, h, w), fill, a.dtype)
    padded[:, :c] = a
    return np.ascontiguousarray(padded.reshape(n, -1, 16, h, w).transpose(0, 1, 3, 4, 2))


def from_blocks(a, shape):
    """The opposite; checks that the padding is finite."""
    n, c, h, w = shape
    padded = a.transpose(0, 1, 4, 2, 3).reshape(n, -1, h, w)
    assert np.isfinite(padded[:, c:]).all()
    return np.ascontiguousarray(padded[:, :c])


__all__ = ["ISAS", "TensorProto", "by_kernel", "by_python", "from_blocks", "model", "run", "to_blocks"]
