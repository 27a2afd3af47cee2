"""Budgets: how much a model or a run may ask for."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from cynfer.ops.errors import InputError


@cache
def available_bytes() -> int:
    """0.8 of the memory that this process may have: the smaller of the machine's and its cgroup's."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(path).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            total = min(total, int(text))
    return total * 8 // 10


@dataclass(frozen=True)
class Limits:
    """What a session refuses to go beyond; each refusal is a `LimitError` that names the limit.

    max_bytes: bytes of one tensor, of all weights, and of a run's planned memory (0: 0.8 of what the machine or its
    cgroup has). max_nodes: nodes once functions are inlined, calls too. max_functions: model-local functions.
    max_depth: nesting of subgraphs. max_call_depth: nesting of function calls. max_rank: dimensions of a tensor.
    max_folded_bytes: bytes that constant folding may add in all (a constant that feeds a weight is not counted).
    hard_links: accept external data in files that have further hard links.
    max_seconds: default of `run(timeout=)`; 0 for none. plans: plans kept for different input shapes.
    """

    max_bytes: int = 0
    max_nodes: int = 1_000_000
    max_functions: int = 10_000
    max_depth: int = 32
    max_call_depth: int = 100
    max_rank: int = 64
    max_folded_bytes: int = 64 << 20
    max_seconds: float = 0.0
    hard_links: bool = False
    plans: int = 8

    def __post_init__(self):
        for f in fields(self):
            value, low = getattr(self, f.name), 1 if f.name == "plans" else 0
            if not isinstance(value, (int, float) if f.name == "max_seconds" else int) or not value >= low:
                raise InputError(f"Limits.{f.name} is {value!r}; a number of at least {low} is needed")

    @property
    def bytes(self) -> int:
        """max_bytes with its default filled in."""
        return self.max_bytes or available_bytes()
