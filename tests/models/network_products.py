"""Operators of random networks that mix values: products, norms, reductions, recurrent layers, branches."""

from __future__ import annotations

import numpy as np
from network_graph import MOST_WORK, Network, Value, reduce_mean
from network_layers import activation, batch_norm, channels, constant_binary, divisors
from onnx import helper


def gemm(net: Network, x: Value):
    if len(x.dims) != 1 or x.size > 3000:
        return None
    k, n, across = x.size, channels(net), net.chance(0.5)
    w = net.weight(n, k) if across else net.weight(k, n, fan=k)
    inputs = [x.name, w]
    if net.chance(0.7):
        inputs.append(net.const(net.normal(*net.pick([(n,), (1, n), (1,), (1, 1), ()])), fixed=False))
    attributes = net.pick([{}, {}, {"alpha": 0.5}, {"beta": 1.5}, {"alpha": 2.0, "beta": 0.25}])
    if len(inputs) == 3 and net.chance(0.15):
        same = [v for v in net.values if v.dims in ((n,), (1,))]
        inputs[2] = net.pick(same).name if same else inputs[2]
    y = net.node("Gemm", inputs, (n,), transB=int(across), **attributes)
    return net.pick([activation, batch_norm, constant_binary])(net, y) if net.chance(0.4) else y


def matmul(net: Network, x: Value):
    if not x.dims:
        return None
    k, n = x.dims[-1], channels(net)
    if x.size * n > MOST_WORK:
        return None
    rank = len(x.dims)
    if rank > 1 and net.chance(0.25):  # the weight on the left
        k = x.dims[-2]
        lead = tuple(net.pick([1, d]) for d in x.dims[:-2]) if net.chance(0.4) else ()
        return net.node("MatMul", [net.weight(*lead, n, k, fan=k), x.name], (*x.dims[:-2], n, x.dims[-1]))
    if rank > 1 and net.chance(0.1):  # a vector
        return net.node("MatMul", [x.name, net.weight(k, fan=k)], x.dims[:-1])
    # batched weights: one for each of the axes before the matrix, or for all
    lead = tuple(net.pick([1, d]) for d in x.dims[:-2]) if rank > 2 and net.chance(0.4) else ()
    if lead and net.chance(0.3):
        lead = (1, *lead)
    y = net.node("MatMul", [x.name, net.weight(*lead, k, n, fan=k)], (*x.dims[:-1], n))
    if net.chance(0.5):
        y = net.node("Add", (net.pick([1, -1]) == 1 and [y.name, net.weight(n, fan=4)]) or
                     [net.weight(n, fan=4), y.name], y.dims)
    return activation(net, y) if net.chance(0.3) else y


def attention(net: Network, x: Value):
    """softmax(x xᵀ) x over the last two axes."""
    if len(x.dims) < 2 or x.size * x.dims[-2] > MOST_WORK:
        return None
    order = [*range(len(x.dims) - 1), len(x.dims), len(x.dims) - 1]
    t = net.node("Transpose", [x.name], [x.dims[i - 1] for i in order[1:]], perm=order)
    dims = (*x.dims[:-1], x.dims[-2])
    y = net.node("MatMul", [x.name, t.name], dims)
    y = net.node("Mul", [y.name, net.const(np.float32(x.dims[-1] ** -0.5))], dims)
    y = net.node("Softmax", [y.name], dims, axis=-1)
    return net.node("MatMul", [y.name, x.name], x.dims)


def attention_op(net: Network, x: Value):
    """The operator of opset 23; rotary and root mean square norms come with it."""
    if net.opset < 23 or len(x.dims) != 3 or x.size * x.dims[1] > MOST_WORK:
        return None
    if net.chance(0.3):
        return net.node("RMSNormalization", [x.name, net.const(net.normal(x.dims[-1]))], x.dims, axis=-1, epsilon=1e-2)
    key = net.node("Tanh", [x.name], x.dims)
    return net.node("Attention", [x.name, key.name, x.name], x.dims, is_causal=net.between(0, 1))


def softmax(net: Network, x: Value):
    if not x.dims:
        return None
    return net.node(net.pick(["Softmax", "Softmax", "LogSoftmax"]), [x.name], x.dims, axis=net.between(1, len(x.dims)))


def layer_norm(net: Network, x: Value):
    if not x.dims:
        return None
    axis = net.between(0, len(x.dims) - 1)
    dims = x.dims[axis:]
    if np.prod(dims) < 8:
        return None
    if net.opset >= 17 and net.chance(0.6):
        inputs = [x.name, net.const(net.normal(*dims), fixed=False)]
        if net.chance(0.7):
            inputs.append(net.const(net.normal(*dims)))
        return net.node("LayerNormalization", inputs, x.dims, axis=axis + 1, epsilon=1e-2)
    x = net.node("Add", [x.name, net.const(net.normal(x.dims[-1]))], x.dims)  # rows of equal numbers leave noise
    mean = reduce_mean(net, x, (len(x.dims),), True)
    centred = net.node("Sub", [x.name, mean.name], x.dims)
    if x.dims[-1] < 8:
        return centred
    square = net.node("Pow", [centred.name, net.const(np.float32(2))], x.dims)
    spread = reduce_mean(net, square, (len(x.dims),), True)
    spread = net.node("Add", [spread.name, net.const(np.float32(1e-2))], spread.dims)
    y = net.node("Div", [centred.name, net.node("Sqrt", [spread.name], spread.dims).name], x.dims)
    return net.node("Mul", [y.name, net.const(net.normal(x.dims[-1]))], x.dims)


def instance_norm(net: Network, x: Value):
    if len(x.dims) < 2 or np.prod(x.dims[1:]) < 8:
        return None
    c = x.dims[0]
    if net.opset >= 21 and net.chance(0.5):
        return net.node("GroupNormalization", [x.name, net.const(net.normal(c)), net.const(net.normal(c))], x.dims,
                        num_groups=net.pick(divisors(c)), epsilon=1e-2)
    return net.node("InstanceNormalization", [x.name, net.const(net.normal(c)), net.const(net.normal(c))], x.dims,
                    epsilon=1e-2)


def reduce(net: Network, x: Value):
    if not x.dims:
        return None
    axes = sorted({net.between(1, len(x.dims)) for _ in range(net.between(1, 3))})
    op = net.pick(["ReduceMean", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL2"])
    return reduce_mean(net, x, axes, net.chance(0.7), op)


def recurrent(net: Network, x: Value):
    """Over the last axis but one."""
    if len(x.dims) != 2 or x.size > 4000:
        return None
    steps, size = x.dims
    hidden, op, ways = net.between(1, 20), net.pick(["LSTM", "GRU", "RNN"]), net.pick([1, 1, 2])
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op] * hidden
    t = net.node("Transpose", [x.name], (), perm=[1, 0, 2])
    inputs = [t.name, net.weight(ways, gates, size, fan=size), net.weight(ways, gates, hidden, fan=hidden)]
    if net.chance(0.6):
        inputs.append(net.weight(ways, 2 * gates, fan=4))
    more = {"linear_before_reset": net.between(0, 1)} if op == "GRU" else {}
    y = net.node(op, inputs, (), hidden_size=hidden, direction="bidirectional" if ways == 2 else
                 net.pick(["forward", "reverse"]), **more)
    y = net.node("Transpose", [y.name], (), perm=[2, 0, 1, 3])  # [steps, ways, batch, hidden]
    return net.node("Reshape", [y.name, net.const(np.array([0, steps, ways * hidden]))], (steps, ways * hidden))


def einsum(net: Network, x: Value):
    if len(x.dims) not in (2, 3) or x.size * 20 > MOST_WORK:
        return None
    n, letters = net.between(1, 20), "bchw"[:len(x.dims) + 1]
    at = net.between(1, len(x.dims))
    y = net.node("Einsum", [x.name, net.weight(n, x.dims[at - 1])],
                 [n if i == at - 1 else d for i, d in enumerate(x.dims)],
                 equation=f"{letters},o{letters[at]}->{letters.replace(letters[at], 'o')}")
    return y


def branch(net: Network, x: Value):
    """Another branch of If for a batch of 1; both read values from outside."""
    if len(x.dims) != 3 or x.size * 9 * 4 > MOST_WORK:
        return None
    shape = net.node("Shape", [x.name], ())
    batch = net.node("Gather", [shape.name, net.const(np.array(0))], (), axis=0)
    test = net.node("Greater", [batch.name, net.const(np.array(1))], ())
    w, c = net.weight(4, x.dims[0], 3, 3), net.weight(4, fan=4)
    there, other = net.name("v"), net.name("v")

    def body(op: str, inputs, out: str, **attributes):
        made = helper.make_node(op, inputs, [out + "c"], name=net.name("n"), **attributes)
        last = helper.make_node("Relu", [out + "c"], [out], name=net.name("n"))
        kind = helper.np_dtype_to_tensor_dtype(net.dtype)
        return helper.make_graph([made, last], out, [], [helper.make_tensor_value_info(out, kind, None)])

    return net.node("If", [test.name], (4, *x.dims[1:]),
                    then_branch=body("Conv", [x.name, w, c], there, pads=[1, 1, 1, 1]),
                    else_branch=body("Conv", [x.name, w], other, pads=[1, 1, 1, 1]))


def over_batch(net: Network, x: Value):
    """x less a part of its sum over the batch."""
    more = {} if net.opset < 13 else {"keepdims": 1}
    total = net.node("ReduceSum", [x.name, net.const(np.array([0]))], (), **more)
    part = net.node("Mul", [total.name, net.const(np.float32(0.1))], ())
    return net.node("Sub", [x.name, part.name], x.dims)


def known(net: Network, x: Value):
    """x plus what is computed from constants alone."""
    if len(x.dims) != 3 or x.size * 9 > MOST_WORK:
        return None
    image = net.const(net.normal(1, 2, *x.dims[1:]))
    y = net.node("Conv", [image, net.weight(x.dims[0], 2, 3, 3)], (), pads=[1, 1, 1, 1])
    y = net.node(net.pick(["Relu", "Sigmoid"]), [y.name], ())
    return net.node(net.pick(["Add", "Mul"]), [x.name, y.name], x.dims)
