from collections.abc import Sequence
from typing import Any

from cynfer.runtime.limits import Limits

STUB: int
MAX_MESSAGE_DEPTH: int

class Scan:
    cuts: list[tuple[int, int]]
    edits: list[tuple[int, int, int]]
    nodes: int
    cost: int
    depth: int

def table(descriptor: Any) -> tuple[Sequence[int], dict[str, int], list[str]]: ...
def scan(data: Any, fields: Any, numbers: dict[str, int], names: list[str], limits: Limits) -> Scan: ...
def skeleton(data: Any, found: Scan) -> bytes: ...
