"""Operators of random networks that move values: to other places, shapes and sizes."""

from __future__ import annotations

import numpy as np
from network_graph import Network, Value
from network_layers import activation, divisors


def concat(net: Network, x: Value):
    if not x.dims:
        return None
    axis = net.pick([0, 0, 0, *range(len(x.dims))])
    fits = [v for v in net.values if len(v.dims) == len(x.dims)
            and all(i == axis or a == b for i, (a, b) in enumerate(zip(v.dims, x.dims, strict=True)))]
    parts = [x, *(net.pick(fits or [x]) for _ in range(net.between(1, 2)))]
    if sum(p.dims[axis] for p in parts) > 160:
        return None
    net.rng.shuffle(parts)
    dims = list(x.dims)
    dims[axis] = sum(p.dims[axis] for p in parts)
    return net.node("Concat", [p.name for p in parts], dims, axis=axis + 1 if net.chance(0.5) else axis - len(x.dims))


def split(net: Network, x: Value):
    axis = net.pick([0, 0, *range(len(x.dims))]) if x.dims else 0
    if not x.dims or x.dims[axis] < 2:
        return None
    cut = net.between(1, x.dims[axis] - 1)
    if net.chance(0.5):
        cut = max(1, cut // 16 * 16) if x.dims[axis] > 16 else cut
    sizes = [cut, x.dims[axis] - cut]
    dims = [[n if i == axis else d for i, d in enumerate(x.dims)] for n in sizes]
    parts = net.node("Split", [x.name, net.const(np.array(sizes))], *dims, axis=axis + 1)
    return parts if net.chance(0.5) else parts[::-1]


def slice_(net: Network, x: Value):
    if not x.dims:
        return None
    axes = sorted({net.between(0, len(x.dims) - 1) for _ in range(net.between(1, 2))})
    begins, ends, steps, dims = [], [], [], list(x.dims)
    for a in axes:
        n = x.dims[a]
        begin, step = net.between(0, max(0, n // 2)), net.pick([1, 1, 1, 2, 3, -1])
        if step < 0:
            begin, end = n - 1 - begin, -n - 1
            dims[a] = begin + 1
        else:
            end = net.pick([net.between(begin + 1, n), 2**31, n])
            dims[a] = len(range(begin, min(n, end), step))
        begins.append(begin)
        ends.append(end)
        steps.append(step)
    return net.node("Slice", [x.name, *(net.const(np.array(v, np.int64)) for v in (
        begins, ends, [a + 1 for a in axes], steps))], dims)


def pad(net: Network, x: Value):
    rank = len(x.dims) + 1
    mode = net.pick(["constant", "constant", "reflect", "edge"])
    before, after = ([0] + [net.between(0, 2) if net.chance(0.5) and (mode != "reflect" or n > 2) else 0
                            for n in x.dims] for _ in range(2))
    if net.chance(0.4) and x.dims:
        before[1] = after[1] = 0
    if mode == "constant" and net.chance(0.2) and rank > 2 and x.dims[-1] > 3:
        before[-1] = -1
    dims = [n + before[i + 1] + after[i + 1] for i, n in enumerate(x.dims)]
    inputs = [x.name, net.const(np.array(before + after))]
    if mode == "constant" and net.chance(0.5):
        inputs.append(net.const(np.float32(net.pick([0, 0, 1.5]))))
    return net.node("Pad", inputs, dims, mode=mode)


def resize(net: Network, x: Value):
    if len(x.dims) not in (2, 3, 4):
        return None
    rank = len(x.dims) - 1
    mode = net.pick(["nearest", "nearest", "linear", "linear", "cubic"])
    if mode == "cubic" and rank != 2:
        return None
    attributes = {"mode": mode, "coordinate_transformation_mode": net.pick(
        ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])}
    if mode == "nearest":
        attributes["nearest_mode"] = net.pick(["floor", "ceil", "round_prefer_floor"])
        if attributes["coordinate_transformation_mode"] != "asymmetric":
            attributes["nearest_mode"] = "floor"  # elsewhere positions between two pixels are decided by rounding
            attributes["coordinate_transformation_mode"] = "half_pixel"
    factors = [net.pick([2.0, 2.0, 0.5, 1.0, 4.0]) for _ in range(rank)] if net.chance(0.3) else \
        [net.pick([2.0, 2.0, 3.0, 0.5])] * rank
    dims = [int(np.floor(n * f)) for n, f in zip(x.dims[1:], factors, strict=True)]
    if min(dims) < 1 or x.dims[0] * np.prod(dims) > 20000:
        return None
    whole = all(n * f == m for n, f, m in zip(x.dims[1:], factors, dims, strict=True))
    # whether corners are those of n * f or of what it is rounded to, the reference and onnxruntime see differently
    if net.chance(0.5) and (whole or attributes["coordinate_transformation_mode"] != "align_corners"):
        name = net.name("s")
        net.weights[name] = np.array([1, 1, *factors], np.float32)  # whatever the network's type
        return net.node("Resize", [x.name, "", name], (x.dims[0], *dims), **attributes)
    shape = net.node("Shape", [x.name], ())
    head = net.node("Slice", [shape.name, *(net.const(np.array([v])) for v in (0, 2, 0))], ())
    sizes = net.node("Concat", [head.name, net.const(np.array(dims))], (), axis=0)
    return net.node("Resize", [x.name, "", "", sizes.name], (x.dims[0], *dims), **attributes)


def transpose(net: Network, x: Value):
    if len(x.dims) < 2:
        return None
    order = [int(i) for i in net.rng.permutation(len(x.dims))]
    if net.chance(0.5):
        order = [*range(1, len(x.dims)), 0]
    elif net.chance(0.5):
        order = [len(x.dims) - 1, *range(len(x.dims) - 1)]
    return net.node("Transpose", [x.name], [x.dims[i] for i in order], perm=[0, *(i + 1 for i in order)])


def reshape(net: Network, x: Value):
    """To fewer or more axes; the batch stays."""
    dims = list(x.dims)
    if len(dims) < 4 and net.chance(0.4):
        i = net.between(0, len(dims) - 1) if dims else 0
        d = net.pick(divisors(dims[i])) if dims else 1
        new = [*dims[:i], d, dims[i] // d, *dims[i + 1:]] if dims else [1]
    elif len(dims) > 1:
        i = net.between(0, len(dims) - 2)
        new = [*dims[:i], dims[i] * dims[i + 1], *dims[i + 2:]]
    else:
        new = dims
    return net.node("Reshape", [x.name, net.const(np.array([0, *new]))], new)


def flatten(net: Network, x: Value):
    return net.node("Flatten", [x.name], (x.size,), axis=1)


def unsqueeze(net: Network, x: Value):
    if len(x.dims) > 3 or (1 in x.dims and net.chance(0.6)):
        if 1 not in x.dims:
            return None
        i = x.dims.index(1)
        return net.node("Squeeze", [x.name, net.const(np.array([i + 1]))], [*x.dims[:i], *x.dims[i + 1:]])
    i = net.between(0, len(x.dims))
    return net.node("Unsqueeze", [x.name, net.const(np.array([i + 1]))], [*x.dims[:i], 1, *x.dims[i:]])


def shuffle(net: Network, x: Value):
    if len(x.dims) != 3:
        return None
    c, h, w = x.dims
    g = net.pick(divisors(c))
    y = net.node("Reshape", [x.name, net.const(np.array([0, g, c // g, h, w]))], (g, c // g, h, w))
    y = net.node("Transpose", [y.name], (c // g, g, h, w), perm=[0, 2, 1, 3, 4])
    return net.node("Reshape", [y.name, net.const(np.array([0, c, h, w]))], x.dims)


def depth_space(net: Network, x: Value):
    if len(x.dims) != 3:
        return None
    c, h, w = x.dims
    if c % 4 == 0:
        return net.node("DepthToSpace", [x.name], (c // 4, h * 2, w * 2), blocksize=2, mode=net.pick(["DCR", "CRD"]))
    return net.node("SpaceToDepth", [x.name], (c * 4, h // 2, w // 2), blocksize=2) if h % 2 == w % 2 == 0 else None


def shaped(net: Network, x: Value):
    """Flattened by a shape that is computed."""
    if len(x.dims) < 2:
        return None
    shape = net.node("Shape", [x.name], ())
    batch = net.node("Gather", [shape.name, net.const(np.array([0]))], (), axis=0)
    if net.chance(0.5):
        rows = net.node("Gather", [shape.name, net.const(np.array([1]))], (), axis=0)
        dims, parts = (x.dims[0], x.size // x.dims[0]), [batch.name, rows.name]
    else:
        dims, parts = (x.size,), [batch.name]
    last = net.const(np.array([dims[-1]]))  # not -1, which says nothing where the batch is empty
    target = net.node("Concat", [*parts, last], (), axis=0)
    return net.node("Reshape", [x.name, target.name], dims)


def tile(net: Network, x: Value):
    times = [net.pick([1, 1, 2, 3]) if n < 20 else 1 for n in x.dims]
    return net.node("Tile", [x.name, net.const(np.array([1, *times]))],
                    [n * t for n, t in zip(x.dims, times, strict=True)])


def gather(net: Network, x: Value):
    axis = net.between(0, len(x.dims) - 1) if x.dims else 0
    if not x.dims:
        return None
    picks = net.rng.integers(-x.dims[axis], x.dims[axis], net.between(1, 20))
    return net.node("Gather", [x.name, net.const(picks)], [*x.dims[:axis], len(picks), *x.dims[axis + 1:]],
                    axis=axis + 1)


def nothing(net: Network, x: Value):
    """x with an empty part of it put to it again."""
    if not x.dims:
        return None
    axis = net.between(1, len(x.dims))
    part = net.node("Slice", [x.name, *(net.const(np.array([v])) for v in (x.dims[axis - 1], 2**31, axis))], ())
    part = net.pick([activation, constant_like])(net, Value(part.name, (*x.dims[:axis - 1], 0, *x.dims[axis:])))
    return net.node("Concat", net.pick([[x.name, part.name], [part.name, x.name]]), x.dims, axis=axis)


def constant_like(net: Network, x: Value):
    return net.node("Mul", [x.name, net.const(np.float32(2))], x.dims)


def swapped(net: Network, x: Value):
    """What is done while the batch is the second axis."""
    if len(x.dims) < 2:
        return None
    perm = [1, 0, *range(2, len(x.dims) + 1)]
    y = net.node("Transpose", [x.name], (), perm=perm)
    how = net.pick(["Softmax", "Relu", "MatMul", "Add"])
    dims = list(x.dims)
    if how == "MatMul":
        if len(dims) < 3:
            return None
        dims[-1] = net.between(1, 20)
        y = net.node("MatMul", [y.name, net.weight(x.dims[-1], dims[-1], fan=x.dims[-1])], ())
    elif how == "Add":
        y = net.node("Add", [y.name, net.const(net.normal(x.dims[0], *[1] * len(dims)))], ())
    else:
        y = net.node(how, [y.name], (), **{"axis": -1} if how == "Softmax" else {})
    return net.node("Transpose", [y.name], dims, perm=perm)


def dropout(net: Network, x: Value):
    if net.chance(0.3):
        shape = [1 if n == 1 else n for n in x.dims]
        return net.node("Expand", [x.name, net.const(np.array([1, *shape]))], x.dims)
    if net.chance(0.2):
        return net.node("Dropout", [x.name], x.dims, x.dims)[0]
    if net.chance(0.2) and x.dims:
        return net.node("CumSum", [x.name, net.const(np.array(len(x.dims)))], x.dims) if x.dims[-1] < 9 else None
    return net.node("Dropout", [x.name], x.dims)
