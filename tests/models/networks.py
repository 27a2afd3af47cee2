"""Random networks like those of vision models: seeded, small, of everything that passes and kernels tell apart.

`network(seed)` makes a model of 3 to about 15 operators; the same seed gives the same network in every float type.
Each operator is a function that adds nodes to a network and returns new values, or None if the value at hand does not
fit it. All are continuous in their inputs, so that rounding stays small: no Round, ArgMax, TopK.
"""

from __future__ import annotations

import network_layers as layers
import network_moves as moves
import network_products as products
import numpy as np
from network_graph import Network, Value

#: Each operator with how often it is taken.
OFTEN = {
    layers.conv: 26, layers.residual_block: 6, layers.conv_transpose: 4, layers.batch_norm: 6,
    layers.constant_binary: 10, layers.residual: 12, layers.activation: 8, layers.pool: 8, layers.global_pool: 2,
    layers.squeeze_excite: 3, layers.lrn: 1, layers.spatial_attention: 2,
    moves.concat: 5, moves.split: 3, moves.slice_: 4, moves.pad: 3, moves.resize: 3, moves.transpose: 4,
    moves.reshape: 3, moves.flatten: 2, moves.unsqueeze: 2, moves.shuffle: 2, moves.depth_space: 2,
    moves.gather: 1, moves.dropout: 1, moves.shaped: 2, moves.tile: 1, moves.swapped: 2, moves.nothing: 1,
    products.gemm: 5, products.matmul: 4, products.attention: 2, products.softmax: 3, products.layer_norm: 3,
    products.instance_norm: 2, products.reduce: 3, products.recurrent: 2, products.branch: 1, products.einsum: 1,
    products.over_batch: 1, products.known: 1, products.attention_op: 2,
}
#: Those that a network of images alone has, whose values lie in blocks of channels from end to end.
IMAGES = {
    layers.conv: 16, layers.residual_block: 4, layers.batch_norm: 4, layers.constant_binary: 10, layers.residual: 10,
    layers.activation: 6, layers.pool: 8, layers.global_pool: 2, layers.squeeze_excite: 3, layers.lrn: 2,
    layers.spatial_attention: 2, layers.depthwise: 5, moves.concat: 6, moves.split: 4, moves.slice_: 5, moves.pad: 4,
    moves.resize: 6,
}


def network(seed: int, dtype=np.float32, most: int = 12) -> Network:
    """The network of that seed."""
    rng = np.random.default_rng([11, seed])
    net = Network(rng, np.dtype(dtype), net_opset(rng))
    wide = net.pick(["thin", "thin", "any", "blocks"])
    channels = {"thin": net.between(1, 9), "any": net.between(1, 70), "blocks": 16 * net.between(1, 4)}[wide]
    spatial = net.pick([2, 2, 2, 2, 2, 2, 2, 1, 3])
    limit = {1: 60, 2: 26, 3: 9}[spatial]
    sizes = [net.between(1, limit) if net.chance(0.3) else net.between(limit // 3, limit) for _ in range(spatial)]
    big = net.chance(0.08) and spatial == 2
    if big:
        sizes = [net.between(1, 90), net.between(40, 90)]
        channels = min(channels, 20)
    if net.chance(0.06):
        sizes = []
    for i in range(1 if net.chance(0.85) else 2):
        net.inputs.append(Value(f"x{i}", (channels, *sizes)))
    net.values += net.inputs
    wanted, tries = net.between(3, most), 0
    often = IMAGES if spatial == 2 and net.chance(0.5) else OFTEN
    ops, probabilities = list(often), np.array(list(often.values())) / sum(often.values())
    made: list[Value] = []
    while len(made) < wanted and tries < 60:
        tries += 1
        # mostly a chain, with reads of older values
        x = net.values[-1] if net.chance(0.75) else net.pick(net.values)
        op = ops[int(rng.choice(len(ops), p=probabilities))]
        before = len(net.nodes), dict(net.weights), dict(net.parameters)
        results = op(net, x)
        if results is None or any(v.size > (90000 if big else 20000) or 0 in v.dims for v in _list(results)):
            del net.nodes[before[0]:]
            net.weights, net.parameters = before[1], before[2]
            continue
        made += _list(results)
        net.values += _list(results)
    read = {n for node in net.nodes for n in node.input}
    leaves = [v for v in made if v.name not in read]
    others = [v for v in made if v.name in read]
    extra = [net.pick(others) for _ in range(net.pick([0, 0, 0, 1, 1, 2]))] if others else []
    net.outputs = list(dict.fromkeys([*leaves, *extra]))
    how = net.pick(["N", "N", "N", "free", "fixed"])
    # a network of fixed batch can be fed with that one alone
    net.batches = (2,) if how == "fixed" else (1, 2, 3, 0)
    net.finish([{"N": ["N", *v.dims], "fixed": [2, *v.dims],
                 "free": ["N", v.dims[0], *(f"d{i}" for i in range(1, len(v.dims)))]}[how] for v in net.inputs])
    return net


def net_opset(rng) -> int:
    """Opsets between which operators changed their form."""
    return int(rng.choice([13, 17, 18, 20, 21, 22, 23, 23]))


def _list(results) -> list[Value]:
    return [results] if isinstance(results, Value) else list(results)
