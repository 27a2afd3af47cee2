"""Passes make a better graph from a graph; each is in a module of this folder.

The order below is the only list of them. A pass is a function `(graph, context) -> graph`; see `rewrite.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from cynfer.runtime.graph import Graph
from cynfer.runtime.passes.choose_layout import choose_layout
from cynfer.runtime.passes.drop_noops import drop_noops
from cynfer.runtime.passes.fold_affine import fold_affine
from cynfer.runtime.passes.fold_constants import fold_constants
from cynfer.runtime.passes.fuse_epilogue import fuse_epilogue
from cynfer.runtime.passes.pack_weights import pack_weights
from cynfer.runtime.passes.recognise import recognise
from cynfer.runtime.passes.rewrite import Context

#: In the order they run.
INFERENCE: tuple[Callable[[Graph, Context], Graph], ...] = (
    fold_constants, drop_noops, fold_affine, recognise, fuse_epilogue, choose_layout, pack_weights)


def optimise(graph: Graph, context: Context, passes=INFERENCE) -> Graph:
    """The graph after all passes; each result is verified. context.fired counts what each pass changed."""
    for run in passes:
        graph = run(graph, context)
        graph.verify()
    return graph
