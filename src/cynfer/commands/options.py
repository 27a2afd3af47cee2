"""Options that several commands share, and what they mean."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Mapping, Sequence

from cynfer.commands import UsageError


def number(low: float, high: float, kind=int):
    """An argparse type: a number from low to high."""

    def convert(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r}: a number from {low} to {high} is expected")
        return value

    return convert


def floats(text: str) -> list[float]:
    """An argparse type: one number, or several with commas between."""
    try:
        values = [float(x) for x in text.split(",")]
    except ValueError:
        values = []
    if not values or not all(map(math.isfinite, values)):
        raise argparse.ArgumentTypeError(f"{text!r}: a number, or numbers with commas between, are expected")
    return values


def add_session(parser: argparse.ArgumentParser) -> None:
    """--threads, --isa, --precision, --no-passes."""
    from cynfer.ops.isa import ISAS

    group = parser.add_argument_group("how to run")
    group.add_argument("--threads", type=number(1, 1024), metavar="N", help="default: all that this process may use")
    group.add_argument("--isa", choices=list(ISAS), help="use no stronger instruction set than this")
    group.add_argument("--precision", choices=["highest", "high", "medium"], default="highest",
                       help="the least that float32 products may have (default: highest, which is what all "
                            "three compute so far)")
    group.add_argument("--no-passes", action="store_true", help="run the graph as it is")


def session(arguments: argparse.Namespace, model=None):
    """The session for `arguments.model` (or another model) under the options of `add_session`."""
    from cynfer.ops.machine import runnable
    from cynfer.runtime.inference_session import InferenceSession
    from cynfer.runtime.options import GraphOptimizationLevel, SessionOptions

    if arguments.isa is not None and arguments.isa not in runnable():
        raise UsageError(f"--isa {arguments.isa}: this machine runs {', '.join(runnable())}")
    options = SessionOptions()
    if arguments.no_passes:
        options.graph_optimization_level = GraphOptimizationLevel.ORT_DISABLE_ALL
    return InferenceSession(arguments.model if model is None else model, options, threads=arguments.threads,
                            isa=arguments.isa, precision=arguments.precision)


def add_shapes(parser: argparse._ActionsContainer) -> None:
    """--shape."""
    parser.add_argument("--shape", action="append", default=[], metavar="NAME=1x3x224x224",
                        help="the shape of an input; symbolic dimensions are 1 otherwise (repeatable)")


def split_name(text: str, names: Sequence[str]) -> tuple[str | None, str]:
    """NAME=REST for the longest NAME that is one of `names`; (None, text) if there is none."""
    for name in sorted(names, key=len, reverse=True):
        if text.startswith(name + "="):
            return name, text[len(name) + 1:]
    return None, text


def shapes(given: Sequence[str], names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """{input name: shape} of --shape options."""
    found = {}
    for text in given:
        name, rest = split_name(text, names)
        if name is None and len(names) == 1:
            name = names[0]
        if name is None:
            raise UsageError(f"--shape {text}: NAME=1x3x224x224 is expected; the inputs are {', '.join(names)}")
        if not re.fullmatch(r"(\d{1,18}(x\d{1,18})*)?", rest, re.ASCII):
            raise UsageError(f"--shape {text}: numbers with x between are expected")
        found[name] = tuple(int(x) for x in rest.split("x")) if rest else ()
    return found


def concrete(inputs: Sequence, given: Mapping[str, Sequence[int]], size: int = 1) -> list:
    """The inputs (graph values) with all dimensions known: as given, else as named dimensions of others say, else
    `size`. Raises UsageError where a given shape does not fit."""
    from dataclasses import replace

    from cynfer.ops.dim import Dim
    from cynfer.runtime.graph import Value

    sizes: dict[str, int] = {}
    for value in inputs:
        shape = given.get(value.name)
        if shape is None or value.fact.shape is None:
            continue
        if len(shape) != len(value.fact.shape) or any(
                isinstance(d, int) and d != n for d, n in zip(value.fact.shape, shape, strict=True)):
            raise UsageError(f"the shape of {value.name} is {list(shape)}; the model says {value.fact}")
        for dim, n in zip(value.fact.shape, shape, strict=True):
            if isinstance(dim, Dim) and [str(dim)] == list(dim.names()):
                sizes[str(dim)] = int(n)
    result = []
    for value in inputs:
        fact = value.fact
        if value.name in given:
            fact = replace(fact, shape=tuple(int(n) for n in given[value.name]))
        elif fact.shape is not None:
            fact = fact.substitute(sizes)
            fact = replace(fact, shape=tuple(d if isinstance(d, int) else size for d in fact.shape))
        result.append(Value(fact, value.name))
    return result
