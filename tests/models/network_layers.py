"""Layers of random networks: convolutions, pools, what is applied to each element, blocks of several operators."""

from __future__ import annotations

import numpy as np
from network_graph import MOST_WORK, Network, Value, reduce_mean


def window(net: Network, sizes, dilate=True, biggest=7, stride=3):
    """(attributes, output sizes) of a window that fits, or None."""
    rank = len(sizes)
    style = net.pick(["one", "three", "three", "any"])
    kernel = [{"one": 1, "three": 3}.get(style) or net.between(1, biggest) for _ in sizes]
    strides = [net.between(1, stride)] * rank if net.chance(0.8) else [net.between(1, stride) for _ in sizes]
    if net.chance(0.5):
        strides = [1] * rank
    dilations = [net.between(1, 3) for _ in sizes] if dilate and net.chance(0.15) else [1] * rank
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    attributes = {"kernel_shape": kernel, "strides": strides}
    if dilations != [1] * rank:
        attributes["dilations"] = dilations
    auto = net.pick(["", "", "", "", "", "SAME_UPPER", "SAME_LOWER", "VALID"])
    if auto.startswith("SAME") and max(dilations) > 1 and net.chance(0.8):
        auto = ""  # onnxruntime refuses it
    pads = [0] * (2 * rank)
    if auto:
        attributes["auto_pad"] = auto
        out = [-(-n // s) if auto != "VALID" else (n - e) // s + 1
               for n, s, e in zip(sizes, strides, extent, strict=True)]
    else:
        how = net.pick(["none", "half", "half", "any"])
        if how == "half":
            pads = [(e - 1) // 2 for e in extent] * 2
        elif how == "any":
            pads = [net.between(0, e - 1) if e > 1 else 0 for e in extent + extent]
        if any(pads):
            attributes["pads"] = pads
        out = [(n + pads[i] + pads[rank + i] - extent[i]) // strides[i] + 1 for i, n in enumerate(sizes)]
    padded = [n + pads[i] + pads[rank + i] for i, n in enumerate(sizes)]
    if min(out) < 1 or (auto in ("", "VALID") and any(p < e for p, e in zip(padded, extent, strict=True))):
        return None
    return attributes, out


def divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


def channels(net: Network) -> int:
    """A number of channels: small, a block's multiple, its neighbours, or any."""
    return net.pick([net.between(1, 8), 16, 32, net.between(15, 17), net.between(31, 33), net.between(1, 70)])


def conv(net: Network, x: Value):
    if len(x.dims) not in (2, 3, 4):
        return None
    c = x.dims[0]
    group = net.pick([1, 1, 1, 1, 1, c, net.pick(divisors(c))])
    per = max(1, channels(net) // group) if net.chance(0.5) or group == 1 else c // group
    found = window(net, x.dims[1:])
    if found is None:
        return None
    attributes, out = found
    taps = int(np.prod(attributes["kernel_shape"]))
    if group * per * c // group * taps * np.prod(out) > MOST_WORK or group * per > 200:
        return None
    if group > 1:
        attributes["group"] = group
    inputs = [x.name, net.weight(group * per, c // group, *attributes["kernel_shape"])]
    if net.chance(0.6):
        inputs.append(net.weight(group * per, fan=4))
    if net.chance(0.5):
        del attributes["kernel_shape"]
    y = net.node("Conv", inputs, (group * per, *out), **attributes)
    followers = net.pick([0, 0, 1, 1, 2])
    for _ in range(followers):
        y = net.pick([activation, activation, batch_norm, constant_binary])(net, y) or y
    return y


def depthwise(net: Network, x: Value):
    """A convolution of each channel by itself, between two of 1 x 1."""
    if len(x.dims) != 3:
        return None
    c, middle = x.dims[0], channels(net)
    found = window(net, x.dims[1:], biggest=5)
    if found is None or c * middle * x.size // c > MOST_WORK:
        return None
    attributes, out = found
    y = net.node("Conv", [x.name, net.weight(middle, c, 1, 1), net.weight(middle, fan=4)], (middle, *x.dims[1:]))
    if net.chance(0.7):
        y = activation(net, y)
    y = net.node("Conv", [y.name, net.weight(middle, 1, *attributes["kernel_shape"])], (middle, *out), group=middle,
                 **attributes)
    y = net.pick([activation, batch_norm, constant_binary])(net, y)
    if net.chance(0.5) or y.dims != (middle, *out):
        return y
    n = channels(net)
    return net.node("Conv", [y.name, net.weight(n, middle, 1, 1)], (n, *out))


def conv_transpose(net: Network, x: Value):
    if len(x.dims) not in (2, 3, 4):
        return None
    rank, c = len(x.dims) - 1, x.dims[0]
    group = net.pick([1, 1, 1, c, net.pick(divisors(c))])
    per = net.between(1, max(1, 24 // group))
    kernel, strides = [net.between(1, 4) for _ in range(rank)], [net.between(1, 3) for _ in range(rank)]
    dilations = [net.between(1, 2) if net.chance(0.2) else 1 for _ in range(rank)]
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    attributes = {"strides": strides, "dilations": dilations, "group": group, "kernel_shape": kernel}
    auto = net.pick(["", "", "", "SAME_UPPER", "SAME_LOWER"])
    if auto and all(e >= s for e, s in zip(extent, strides, strict=True)):
        attributes["auto_pad"] = auto
        out = [n * s for n, s in zip(x.dims[1:], strides, strict=True)]
    else:
        pads = [net.between(0, e // 2) if net.chance(0.5) else 0 for e in extent + extent]
        extra = [net.between(0, s - 1) if net.chance(0.4) else 0 for s in strides]
        attributes |= {"pads": pads, "output_padding": extra}
        out = [(n - 1) * strides[i] + extent[i] + extra[i] - pads[i] - pads[rank + i]
               for i, n in enumerate(x.dims[1:])]
    if min(out) < 1 or x.size * per * np.prod(kernel) > MOST_WORK:
        return None
    inputs = [x.name, net.weight(c, per, *kernel, fan=c // group)]
    if net.chance(0.5):
        inputs.append(net.weight(per * group, fan=4))
    return net.node("ConvTranspose", inputs, (per * group, *out), **attributes)


def batch_norm(net: Network, x: Value):
    if not x.dims:
        return None
    c = x.dims[0]
    parts = [net.normal(c) + 1, net.normal(c), net.normal(c), abs(net.normal(c)) + 0.5]
    return net.node("BatchNormalization", [x.name, *(net.const(p, net.chance(0.9)) for p in parts)], x.dims,
                    epsilon=float(net.pick([1e-5, 1e-3])))


def broadcast_dims(net: Network, dims) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(shape of a constant, dims of the result): the constant may have fewer axes, and widen axes of size 1."""
    shape = [n if net.chance(0.5) else 1 for n in dims]
    shape = [net.between(2, 5) if n == 1 and net.chance(0.05) else s for n, s in zip(dims, shape, strict=True)]
    style = net.pick(["any", "channel", "channel", "scalar", "full"])
    if style == "channel":
        shape = [n if i == 0 else 1 for i, n in enumerate(dims)]
    elif style == "scalar":
        shape = [1] * net.between(0, len(dims))
    elif style == "full":
        shape = list(dims)
    if shape and net.chance(0.3) and len(shape) > 1 and style == "any":
        shape = shape[net.between(1, len(shape) - 1):]
    out = np.broadcast_shapes(tuple(shape), tuple(dims))
    if len(shape) == len(dims) and net.chance(0.4):
        shape = [1, *shape]
    return tuple(shape), out


def constant_binary(net: Network, x: Value):
    shape, out = broadcast_dims(net, x.dims)
    op = net.pick(["Add", "Add", "Mul", "Mul", "Sub", "Div", "Max", "Min"])
    array = net.normal(*shape)
    if op == "Div":
        array = np.sign(array) * (abs(array) + 0.5) + (array == 0)
    const = net.const(array, fixed=False)
    inputs = [x.name, const]
    if op != "Div" and net.chance(0.3):
        inputs.reverse()
    return net.node(op, inputs, out)


def residual(net: Network, x: Value):
    """x with another value of the same or a broadcast shape."""
    fits = []
    for v in net.values:
        try:
            out = np.broadcast_shapes(v.dims, x.dims)
        except ValueError:
            continue
        if len(v.dims) == len(x.dims):
            fits.append((v, out))
    other, out = net.pick(fits) if fits else (x, x.dims)
    same = [f for f in fits if f[0].dims == x.dims and f[0] != x]
    if same and net.chance(0.8):
        other, out = net.pick(same)
    inputs = [x.name, other.name]
    if net.chance(0.5):
        inputs.reverse()
    op = net.pick(["Add", "Add", "Add", "Add", "Mul", "Max", "Min", "Sum", "Mean"])
    if op in ("Sum", "Max") and net.chance(0.3):
        inputs.append(x.name)
    y = net.node(op, inputs, out)
    if op == "Min" and net.chance(0.5):  # over something positive
        c = net.const(abs(net.normal(*out[:1], *(1,) * (len(out) - 1))) + 0.5)
        z = net.node("Add", [net.node("Abs", [y.name], out).name, c], out)
        y = net.node("Div", [x.name, z.name], out)
    if op == "Mul":  # or squares of squares grow without end
        y = net.node("Tanh", [y.name], out)
    return activation(net, y) if net.chance(0.3) else y


def residual_block(net: Network, x: Value):
    """Convolutions to the shape of x, added to it."""
    if len(x.dims) != 3:
        return None
    c, middle = x.dims[0], channels(net)
    if c * middle * 9 * x.size // c > MOST_WORK:
        return None
    y = net.node("Conv", [x.name, net.weight(middle, c, 1, 1)], (middle, *x.dims[1:]))
    if net.chance(0.6):
        y = batch_norm(net, y)
    y = activation(net, y)
    y = net.node("Conv", [y.name, net.weight(c, middle, 3, 3), net.weight(c, fan=4)], x.dims, pads=[1, 1, 1, 1])
    if net.chance(0.3):
        y = batch_norm(net, y)
    other = x
    if net.chance(0.3):  # the shortcut has a convolution too
        other = net.node("Conv", [x.name, net.weight(c, c, 1, 1)], x.dims)
    inputs = [y.name, other.name]
    if net.chance(0.5):
        inputs.reverse()
    y = net.node("Add", inputs, x.dims)
    return activation(net, y) if net.chance(0.7) else y


def activation(net: Network, x: Value):
    simple = ["Relu", "Relu", "Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "Erf", "Abs", "Neg", "Selu",
              "Identity"]
    other = ["LeakyRelu", "Elu", "HardSigmoid", "Celu", "HardSwish", "Clip", "Clip", "PRelu", "silu", "hswish", "gelu",
             "Gelu", "Mish", "Where", "Sqrt", "Pow", "Exp", "Log", "Reciprocal"]
    op = net.pick(simple if net.chance(0.5) else other)
    d = x.dims
    if op in simple:
        return net.node(op, [x.name], d)
    if op in ("LeakyRelu", "Elu", "Celu"):
        return net.node(op, [x.name], d, alpha=float(net.pick([0.1, 0.25, 1.5])))
    if op == "HardSigmoid":
        return net.node(op, [x.name], d, **net.pick([{}, {"alpha": 1 / 6}, {"alpha": 0.3, "beta": 0.4}]))
    if op == "Clip":
        low, high = net.const(np.float32(net.pick([0, -1, -0.5]))), net.const(np.float32(net.pick([1, 6, 0.5])))
        return net.node(op, net.pick([[x.name, low, high], [x.name, low], [x.name, "", high], [x.name]]), d)
    if op == "PRelu":
        shape = net.pick([(d[0],) + (1,) * (len(d) - 1), (1,), d, (1,) * len(d)]) if d else (1,)
        return net.node(op, [x.name, net.const(net.normal(*shape, scale=0.3), fixed=False)], d)
    if op == "silu":
        gate = net.node("Sigmoid", [x.name], d)
        return net.node("Mul", net.pick([[x.name, gate.name], [gate.name, x.name]]), d)
    if op == "hswish":
        y = net.node("Add", [x.name, net.const(np.float32(3))], d)
        y = net.node("Clip", [y.name, net.const(np.float32(0)), net.const(np.float32(6))], d)
        y = net.node("Mul", [x.name, y.name], d)
        return net.node("Div", [y.name, net.const(np.float32(6))], d)
    if op == "gelu":
        y = net.node("Div", [x.name, net.const(np.float32(np.sqrt(2)))], d)
        y = net.node("Add", [net.node("Erf", [y.name], d).name, net.const(np.float32(1))], d)
        y = net.node("Mul", [x.name, y.name], d)
        return net.node("Mul", [y.name, net.const(np.float32(0.5))], d)
    if op == "Where":
        test = net.node("Greater", [x.name, net.const(np.float32(0))], d)
        return net.node("Where", [test.name, x.name, net.node("Neg", [x.name], d).name], d)
    if op == "Sqrt":
        return net.node("Sqrt", [net.node("Add", [net.node("Abs", [x.name], d).name,
                                                  net.const(np.float32(0.1))], d).name], d)
    if op in ("Log", "Reciprocal"):  # what blocks of 16 have past the last channel would not be finite
        shape = net.pick([d[:1] + (1,) * (len(d) - 1), ()])
        y = net.node("Add", [net.node("Abs", [x.name], d).name, net.const(abs(net.normal(*shape)) + 0.5)], d)
        return net.node(op, [y.name], d)
    if op == "Exp":
        return net.node(op, [net.node("Tanh", [x.name], d).name], d)
    if op == "Pow":
        y = net.node("Tanh", [x.name], d)
        return net.node("Pow", [y.name, net.const(np.float32(net.pick([2, 3])))], d)
    since = {"HardSwish": 14, "Gelu": 20, "Mish": 18}[op]
    more = {"approximate": net.pick(["none", "tanh"])} if op == "Gelu" else {}
    return net.node(op if net.opset >= since else "Relu", [x.name], d, **more if net.opset >= since else {})


def pool(net: Network, x: Value):
    if len(x.dims) not in (2, 3, 4):
        return None
    op = net.pick(["MaxPool", "MaxPool", "AveragePool", "AveragePool", "LpPool"])
    found = window(net, x.dims[1:], dilate=op == "MaxPool" or net.opset >= 19, biggest=4)
    if found is None:
        return None
    attributes, out = found
    kernel, strides = attributes["kernel_shape"], attributes["strides"]
    rank = len(kernel)
    if "dilations" in attributes and ((op == "LpPool" and net.opset < 18) or "auto_pad" in attributes):
        return None  # onnxruntime leaves dilations out of what SAME means
    if "auto_pad" in attributes and any(k < s for k, s in zip(kernel, strides, strict=True)):
        return None  # which onnxruntime makes negative pads of
    if "auto_pad" not in attributes and net.chance(0.4) and (op != "LpPool" or net.opset >= 18):
        attributes["ceil_mode"] = 1
        pads, dilations = attributes.get("pads", [0] * 2 * rank), attributes.get("dilations", [1] * rank)
        for i, n in enumerate(x.dims[1:]):
            free = n + pads[i] + pads[rank + i] - (kernel[i] - 1) * dilations[i] - 1
            out[i] = -(-free // strides[i]) + 1
            if (out[i] - 1) * strides[i] >= n + pads[i]:
                out[i] -= 1
    if op == "AveragePool" and net.chance(0.5):
        attributes["count_include_pad"] = 1
    if op == "AveragePool" and "pads" in attributes and any(
            p >= (k + 1) // 2 + 1 or p >= k for p, k in zip(attributes["pads"], kernel * 2, strict=True)):
        return None  # windows of nothing but padding
    if op == "MaxPool" and any(p >= k for p, k in zip(attributes.get("pads", []), kernel * 2, strict=False)):
        return None
    if op == "MaxPool" and net.chance(0.15):  # with places that nobody reads
        return net.node(op, [x.name], (x.dims[0], *out), (x.dims[0], *out), **attributes)[0]
    return net.node(op, [x.name], (x.dims[0], *out), **attributes)


def global_pool(net: Network, x: Value):
    if len(x.dims) < 2:
        return None
    return net.node(net.pick(["GlobalAveragePool", "GlobalAveragePool", "GlobalMaxPool"]), [x.name],
                    (x.dims[0], *(1,) * (len(x.dims) - 1)))


def squeeze_excite(net: Network, x: Value):
    if len(x.dims) != 3:
        return None
    c, middle = x.dims[0], net.between(1, 20)
    if net.chance(0.7):
        y = net.node("GlobalAveragePool", [x.name], (c, 1, 1))
    else:
        y = reduce_mean(net, x, (2, 3), True)
    y = net.node("Conv", [y.name, net.weight(middle, c, 1, 1), net.weight(middle, fan=4)], (middle, 1, 1))
    y = activation(net, y)
    y = net.node("Conv", [y.name, net.weight(c, middle, 1, 1), net.weight(c, fan=4)], (c, 1, 1))
    y = net.node(net.pick(["Sigmoid", "HardSigmoid"]), [y.name], (c, 1, 1))
    return net.node("Mul", net.pick([[x.name, y.name], [y.name, x.name]]), x.dims)


def spatial_attention(net: Network, x: Value):
    """x times one map that its channels make."""
    if len(x.dims) != 3 or x.size * 9 > MOST_WORK:
        return None
    if net.chance(0.5):
        y = reduce_mean(net, x, (1,), True, net.pick(["ReduceMean", "ReduceMax"]))
    else:
        y = net.node("Conv", [x.name, net.weight(1, x.dims[0], 3, 3)], (1, *x.dims[1:]), auto_pad="SAME_UPPER")
    y = net.node("Sigmoid", [y.name], y.dims)
    return net.node("Mul", net.pick([[x.name, y.name], [y.name, x.name]]), x.dims)


def lrn(net: Network, x: Value):
    if len(x.dims) != 3:
        return None
    return net.node("LRN", [x.name], x.dims, size=net.pick([1, 3, 5]), alpha=0.1, beta=0.75,
                    bias=float(net.pick([1.0, 2.0])))
