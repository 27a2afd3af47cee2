"""What must hold of a network however it is run; `problems` says what does not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from network_graph import Network
from networks import network

from cynfer.ops.errors import CynferError
from cynfer.ops.machine import runnable
from cynfer.runtime.session import Session

#: Relative to the largest magnitude of an output: other ways of cynfer to compute it, and onnxruntime.
OWN, OTHER = 1e-4, 1e-3


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference, relative to the scale of b; infinite where NaN and infinities differ."""
    if a.shape != b.shape or a.dtype.kind != b.dtype.kind:
        return np.inf
    a, b = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True) or not np.isfinite(a[finite]).all():
        return np.inf
    return float(abs(a[finite] - b[finite]).max(initial=0) / max(1e-3, abs(b[finite]).max(initial=0)))


def same_bits(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    """True if shapes, types and bytes are equal."""
    return all(x.shape == y.shape and x.dtype == y.dtype and x.tobytes() == y.tobytes()
               for x, y in zip(a, b, strict=True))


def same_shapes_close(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    """True if the arrays agree as two ways of cynfer do."""
    return all(distance(x, y) <= OWN for x, y in zip(a, b, strict=True))


def onnxruntime_answers(net: Network) -> dict[int, list[np.ndarray]]:
    """{batch: outputs}, less the batches that it does not run."""
    try:
        import onnxruntime
    except ImportError:
        return {}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    # its rewrites change results here and there; the operators themselves are what is compared
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    answers = {}
    try:
        session = onnxruntime.InferenceSession(net.model.SerializeToString(), options)
    except Exception:
        return {}
    for batch in net.batches:
        if batch == 0:
            continue  # some of its operators end the process
        try:
            answers[batch] = session.run(None, net.feeds(batch))
        except Exception:
            continue
    return answers


def problems(seed: int, threads=(2, 3, 7), double: bool = False) -> list[str]:
    """What is wrong with the network of that seed; double: in float64 too."""
    net = network(seed)
    try:
        found = list(_problems(net, threads))
        if double:
            found += _double(seed, net)
    except CynferError as error:
        found = [f"{type(error).__name__}: {error}"]
    return [f"seed {seed}: {f}" for f in found]


def _problems(net: Network, threads) -> Iterator[str]:
    source = net.model.SerializeToString()
    session, plain = Session(source, threads=1), Session(source, threads=1, optimise=False)
    feeds = {batch: {n: a.copy() for n, a in net.feeds(batch).items()} for batch in net.batches}
    expected = {batch: plain.run(None, feeds[batch]) for batch in net.batches}
    got = {batch: session.run(None, feeds[batch]) for batch in net.batches}

    def compare(what: str, batch: int, a, b, most: float) -> Iterator[str]:
        for value, x, y in zip(net.outputs, a, b, strict=True):
            if x.shape != y.shape or x.shape != (batch, *value.dims):
                yield f"{what}, batch {batch}: {value.name} has shape {x.shape}, not {y.shape}"
            elif distance(x, y) > most:
                yield f"{what}, batch {batch}: {value.name} is off by {distance(x, y):.2g}"

    for batch in net.batches:
        yield from compare("passes", batch, got[batch], expected[batch], OWN)
    for batch, answers in onnxruntime_answers(net).items():
        yield from compare("onnxruntime", batch, expected[batch], answers, OTHER)
    if any(not np.array_equal(a, net.feeds(batch)[name]) for batch, fed in feeds.items() for name, a in fed.items()):
        yield "an input was written to"
    owned = [a for fed in feeds.values() for a in fed.values()] + [a for answers in got.values() for a in answers]
    if any(np.may_share_memory(a, b) for i, a in enumerate(owned) for b in owned[:i]):
        yield "results share memory"
    for batch in net.batches[::-1]:
        if not same_bits(session.run(None, feeds[batch]), got[batch]):
            yield f"second run, batch {batch}: other bits"
    inner = [o for node in net.model.graph.node for o in node.output if o][len(net.nodes) // 3]
    if not same_shapes_close(session.run([inner], feeds[2]), plain.run([inner], feeds[2])):
        yield f"asked for alone, {inner} is off"
    for count in threads:
        with Session(source, threads=count) as other:
            for batch in net.batches[:2]:
                if not same_bits(other.run(None, feeds[batch]), got[batch]):
                    yield f"{count} threads, batch {batch}: other bits"
    for isa in runnable():
        if isa != session.machine.isa:
            yield from compare(f"isa {isa}", 2, Session(source, threads=1, isa=isa).run(None, feeds[2]), got[2], OWN)


def _double(seed: int, single: Network) -> Iterator[str]:
    net = network(seed, np.float64)
    if any(node.op_type == "Celu" for node in net.model.graph.node):
        return  # float32 alone
    source = net.model.SerializeToString()
    feeds = net.feeds(2)
    got = Session(source, threads=1).run(None, feeds)
    plain = Session(source, threads=1, optimise=False).run(None, feeds)
    close = Session(single.model.SerializeToString(), threads=1, optimise=False).run(None, single.feeds(2))
    for value, a, b, c in zip(net.outputs, got, plain, close, strict=True):
        if a.dtype != np.float64:
            yield f"float64: {value.name} is {a.dtype}"
        if distance(a, b) > 1e-7:  # a recognised pattern's constants are those of float32
            yield f"float64, passes: {value.name} is off by {distance(a, b):.2g}"
        if distance(c, a) > OTHER:
            yield f"float64 and float32: {value.name} is off by {distance(c, a):.2g}"
    if not same_bits(Session(source, threads=3).run(None, feeds), got):
        yield "float64, 3 threads: other bits"
