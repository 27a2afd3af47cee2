from collections.abc import Sequence
from types import ModuleType

import numpy as np

PRECISIONS: tuple[str, ...]

def runnable() -> list[str]: ...

class Machine:
    isa: str
    precision: str
    def __init__(self, isa: str | None = None, precision: str = "highest") -> None: ...
    def __contains__(self, kernel: str) -> bool: ...
    def address(self, kernel: str) -> int: ...
    def module(self, source: str) -> ModuleType: ...
    def build(self, kernel: str) -> str: ...
    def kernels(self) -> dict[str, str]: ...
    def call(
        self,
        kernel: str,
        operands: Sequence[np.ndarray | None],
        n: Sequence[int] = (),
        f: Sequence[float] = (),
        *,
        scratch: int = 0,
        threads: int = 1,
    ) -> None: ...
