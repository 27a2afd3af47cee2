"""Random networks give the same answers however they are run, and those of onnxruntime."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from network_check import problems
from networks import IMAGES, OFTEN, network

#: Seeds in one test; tests that run by default, and with the exhaustive ones. Seeds below 3000 have passed once.
CHUNK, CHUNKS, MANY = 20, 12, 24


def check(chunk: int, threads=(3,)) -> None:
    found = []
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        found += problems(seed, (2, 3, 7) if seed % 10 == 0 else threads, double=seed % 5 == 0)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_answers_agree(chunk):
    check(chunk)


@pytest.mark.exhaustive
@pytest.mark.parametrize("chunk", range(CHUNKS, MANY))
def test_answers_agree_for_many(chunk):
    check(chunk, (2, 3, 7))


def test_a_seed_is_one_network():
    first, again, double = network(5), network(5), network(5, np.float64)
    assert first.model.SerializeToString() == again.model.SerializeToString()
    assert [n.op_type for n in first.model.graph.node] == [n.op_type for n in double.model.graph.node]


def test_networks_have_every_operator(monkeypatch):
    """Each function adds to some network of those that run by default."""
    taken = set()

    def noted(op):
        def run(net, x):
            result = op(net, x)
            if result is not None:
                taken.add(op)
            return result
        return run

    for name, table in (("OFTEN", OFTEN), ("IMAGES", IMAGES)):
        monkeypatch.setattr(f"networks.{name}", {noted(op): often for op, often in table.items()})
    for seed in range(CHUNK * CHUNKS):
        network(seed)
    assert taken == {*OFTEN, *IMAGES}


def test_a_wrong_pass_is_found(monkeypatch):
    """A fold that is off by a thousandth shows, or the comparisons would be worth nothing."""
    fold_affine = sys.modules["cynfer.runtime.passes.fold_affine"]  # the package has the function by that name
    right = fold_affine.as_affine

    def wrong(op, facts):
        found = right(op, facts)
        return found and (found[0], found[1] * 1.001, found[2])

    monkeypatch.setattr(fold_affine, "as_affine", wrong)
    assert any("passes" in p for seed in range(CHUNK) for p in problems(seed, threads=()))
