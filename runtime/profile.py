"""Where the time of a run goes, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One step of a plan. kernel: "" for a step that NumPy computes. seconds: the best over all runs."""

    node: str
    op: str
    kernel: str
    shape: str
    seconds: float


@dataclass(frozen=True)
class Profile:
    """The steps in the order they run; steps of loop bodies appear once for each turn."""

    steps: tuple[Step, ...]

    @staticmethod
    def of(rounds: Sequence[list]) -> Profile:
        """From what several runs noted (see plan.run_segment); rounds longer or shorter than the first are left out."""
        first = rounds[0]
        same = [r for r in rounds if len(r) == len(first)]
        steps = []
        for i, (node, kernel, facts, _) in enumerate(first):
            fact = next((f for f in facts if f is not None), None)
            steps.append(Step(node.name or node.origin, node.op.title, kernel, "" if fact is None else str(fact),
                              min(r[i][-1] for r in same)))
        return Profile(tuple(steps))

    @property
    def seconds(self) -> float:
        """All steps together."""
        return sum(s.seconds for s in self.steps)

    def by(self, field: str) -> dict[str, float]:
        """{value of that field of Step ("op", "kernel", ...): seconds}, the longest first."""
        total: dict[str, float] = {}
        for step in self.steps:
            total[getattr(step, field)] = total.get(getattr(step, field), 0.0) + step.seconds
        return dict(sorted(total.items(), key=lambda t: -t[1]))

    def __str__(self) -> str:
        lines = [f"{s.seconds * 1e6:10.1f} us  {s.op:16} {s.kernel or 'NumPy':24} {s.shape:32} {s.node}"
                 for s in self.steps]
        return "\n".join([*lines, f"{self.seconds * 1e6:10.1f} us  in {len(self.steps)} steps"])
