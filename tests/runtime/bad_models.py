"""Models that must be refused: one table, each with the error and what its message must say.

A builder gets an empty folder and returns what to load (bytes or a path). `twin` is the nearest model that must load.
A name begins with the kind of threat and its number: B bytes, T tensors, E external data, G graphs.
"""

from bad_bytes import BYTES, TENSORS
from bad_external import EXTERNAL
from bad_graphs import GRAPHS
from model_maker import Case, good

CASES: list[Case] = [*BYTES, *TENSORS, *EXTERNAL, *GRAPHS]

__all__ = ["CASES", "good"]
