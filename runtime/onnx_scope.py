"""Where names are looked up while nodes are made, and the work stack's entries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cynfer.runtime.graph import Graph, Value
from cynfer.runtime.onnx_attribute import Attributes
from cynfer.runtime.onnx_raw import RawGraph


class Scope:
    """Names of a graph, then those of the graphs around it. A name may stand for None: an input that is absent."""

    __slots__ = ("names", "outer")

    def __init__(self, names: dict[str, Value | None], outer: Scope | None = None):
        self.names, self.outer = names, outer

    def __contains__(self, name: str) -> bool:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return True
            scope = scope.outer
        return False

    def __getitem__(self, name: str) -> Value | None:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.outer
        raise KeyError(name)


@dataclass(eq=False)
class Frame:
    """A graph, body or function whose nodes are being made.

    graph: where they go. given: attributes that a function was called with. prefix: put before names inside functions.
    attributes: what converts those of its nodes. renamed: {inner name: name} of a function's outputs. bodies: those of
    the node at hand that are done.
    """

    raw: RawGraph
    graph: Graph
    scope: Scope
    opsets: Mapping[str, int]
    done: Callable[[Frame], None]
    attributes: Attributes
    depth: int = 0
    calls: int = 0
    given: Mapping[str, tuple[int, Any, Any]] | None = None
    prefix: str = ""
    renamed: Mapping[str, str] = field(default_factory=dict)
    bodies: dict[int, Graph] = field(default_factory=dict)
    at: int = 0
