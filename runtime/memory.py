"""Places buffers in one arena so that those alive at the same time do not overlap. Pure: knows no graph."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

ALIGN = 64


def place(buffers: Sequence[tuple[int, int, int]]) -> tuple[list[int], int]:
    """Offsets of the buffers (bytes, first step, last step; both inclusive), and the arena's size.

    Walks through time, gives each buffer the smallest hole it fits in, and joins neighbouring holes.
    """
    order = sorted(range(len(buffers)), key=lambda i: (buffers[i][1], -buffers[i][0]))
    ending = sorted(range(len(buffers)), key=lambda i: buffers[i][2])
    offsets = [0] * len(buffers)
    sizes = [-(-max(1, b[0]) // ALIGN) * ALIGN for b in buffers]
    holes: list[tuple[int, int]] = []  # (offset, size), by offset
    top = done = 0
    for i in order:
        while done < len(ending) and buffers[ending[done]][2] < buffers[i][1]:
            _free(holes, offsets[ending[done]], sizes[ending[done]])
            done += 1
        fitting = [(size, offset) for offset, size in holes if size >= sizes[i]]
        if fitting:
            size, offset = min(fitting)
            at = holes.index((offset, size))
            holes[at : at + 1] = [(offset + sizes[i], size - sizes[i])] if size > sizes[i] else []
            offsets[i] = offset
        elif holes and sum(holes[-1]) == top:  # the last hole grows
            offsets[i] = holes.pop()[0]
        else:
            offsets[i] = top
        top = max(top, offsets[i] + sizes[i])
    return offsets, top


def _free(holes: list[tuple[int, int]], offset: int, size: int) -> None:
    at = bisect.bisect(holes, (offset, size))
    if at < len(holes) and holes[at][0] == offset + size:
        size += holes.pop(at)[1]
    if at and sum(holes[at - 1]) == offset:
        offset, size = holes[at - 1][0], size + holes.pop(at - 1)[1]
        at -= 1
    holes.insert(at, (offset, size))
