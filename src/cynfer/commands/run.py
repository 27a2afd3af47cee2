"""Runs a model on arrays, pictures or random numbers, and shows or stores what comes out.

  cynfer run MODEL --random
  cynfer run MODEL --input image=photo.jpg --mean 123.7,116.3,103.5 --scale 0.017 --output out/
  cynfer run MODEL --input x=a.npy --input y=b.npz:member --output out/

A .npz without a name feeds each input from the member of its name.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cynfer.commands import FileProblem, UsageError, options
from cynfer.commands.terminal import clean, milliseconds, say, table

HELP = "run a model"


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("model", metavar="MODEL")
    feeds = parser.add_argument_group("what goes in")
    feeds.add_argument("--input", action="append", default=[], metavar="NAME=FILE",
                       help=".npy, .npz, .npz:MEMBER or a picture (repeatable; one input needs no NAME)")
    feeds.add_argument("--random", action="store_true", help="seeded random numbers for inputs without a file")
    feeds.add_argument("--seed", type=options.number(0, 2**32 - 1), default=0, metavar="N", help="of --random")
    options.add_shapes(feeds)
    feeds.add_argument("--mean", type=options.floats, default=[0.0], metavar="M[,M,M]",
                       help="pictures become (pixel - mean) * scale, pixels from 0 to 255 (default: 0)")
    feeds.add_argument("--scale", type=options.floats, metavar="S[,S,S]",
                       help="default: 1/255 for float inputs, 1 for integer inputs")
    feeds.add_argument("--layout", choices=["auto", "nchw", "nhwc"], default="auto", help="of pictures")
    out = parser.add_argument_group("what comes out")
    out.add_argument("--output", metavar="DIR", help="store each output as DIR/NAME.npy")
    out.add_argument("--force", action="store_true", help="replace files that are there")
    out.add_argument("--fetch", action="append", metavar="NAME",
                     help="an output or any other value of the model, instead of all outputs (repeatable)")
    options.add_session(parser)
    parser.add_argument("--timeout", type=options.number(1e-3, 1e9, float), metavar="SECONDS")
    parser.add_argument("--repeat", type=options.number(1, 1_000_000), default=1, metavar="N",
                        help="run N times; the best time is shown")


def run(arguments: argparse.Namespace) -> int:
    """Loads, runs, prints, stores."""
    import cynfer.runtime.inference_session  # noqa: F401  so that its import is not counted as loading

    began = time.perf_counter()
    session = options.session(arguments)
    loaded = time.perf_counter() - began
    names = list(arguments.fetch or session.output_names)
    targets = _targets(arguments.output, names, arguments.force) if arguments.output is not None else None
    feeds = _feeds(session, arguments)
    times = []
    for _ in range(arguments.repeat):
        began = time.perf_counter()
        results = session.run(arguments.fetch, feeds, timeout=arguments.timeout)
        times.append(time.perf_counter() - began)
    if targets is not None:
        targets = _store(targets, results, arguments.force)
    table("", ["output", "type and shape", "min#", "mean#", "max#", "first values"],
          [_row(name, x) for name, x in zip(names, results, strict=True)])
    best = f", best of {len(times)} {milliseconds(min(times))}" if len(times) > 1 else ""
    say(f"loaded in {milliseconds(loaded)}, first run {milliseconds(times[0])}{best}, {session.threads} "
        f"thread{'s' * (session.threads > 1)}, {session.machine.isa}")
    for target in targets or ():
        say(f"wrote {clean(target)}")
    return 0


def _feeds(session, arguments: argparse.Namespace) -> dict[str, object]:
    """{input name: array} from files and random numbers."""
    from cynfer.commands import arrays
    from cynfer.runtime.check import random_feeds

    inputs = {v.name: v for v in (*session.model.graph.inputs, *session.model.overridable)}
    needed = session.input_names
    shapes = options.shapes(arguments.shape, needed)
    picture = arrays.PictureOptions(arguments.mean, arguments.scale, arguments.layout)
    max_bytes = session.limits.bytes
    feeds: dict[str, object] = {}
    for text in arguments.input:
        name, file = options.split_name(text, list(inputs))
        path, _, member = file.partition(".npz:")
        if member:
            path, found = path + ".npz", [member]
        elif path.lower().endswith(".npz"):
            found = arrays.npz_names(path)
            if name is None and (matching := [n for n in found if n in inputs]):
                for n in matching:
                    feeds[n] = arrays.fitted(arrays.read_npz(path, n, max_bytes), inputs[n].fact)
                continue
            found = [name] if name in found else found
            if len(found) != 1:
                raise FileProblem(f"{path} has the arrays {clean(', '.join(found))}; say which: {path}:MEMBER")
        if name is None:
            before = text.partition("=")[0]
            if len(needed) != 1 or ("=" in text and not os.path.exists(text)):
                raise UsageError(f"--input {text}: the model has no input {before!r}; its inputs are "
                                 f"{', '.join(inputs)}" if "=" in text else
                                 f"--input {text}: NAME=FILE is expected; the inputs are {', '.join(inputs)}")
            name = needed[0]
        if name in feeds:
            raise UsageError(f"--input {text}: input {name} has a file already")
        fact, suffix = inputs[name].fact, os.path.splitext(path)[1].lower()
        if suffix == ".npz":
            feeds[name] = arrays.fitted(arrays.read_npz(path, found[0], max_bytes), fact)
        elif suffix in arrays.PICTURES:
            feeds[name] = arrays.read_picture(path, fact, shapes.get(name), picture, f"input {clean(name)}")
        else:
            feeds[name] = arrays.fitted(arrays.read_npy(path, max_bytes), fact)
    missing = [n for n in needed if n not in feeds]
    if missing and arguments.random:
        given = {**{n: x.shape for n, x in feeds.items() if isinstance(x, np.ndarray) and n in needed}, **shapes}
        values = options.concrete([inputs[n] for n in needed], given)
        _within(values, max_bytes)
        random = random_feeds(values, arguments.seed)
        feeds.update({n: random[n] for n in missing})
    elif missing:
        raise UsageError(f"input {', '.join(map(clean, missing))} has no --input; --random makes one up")
    return feeds


def _within(values: Sequence, max_bytes: int) -> None:
    from cynfer.ops.errors import LimitError

    for value in values:
        if value.fact.known and value.fact.nbytes * 8 // value.fact.dtype.itemsize > max_bytes:  # made in float64
            raise LimitError(f"input {clean(value.name)} {value.fact}: random numbers take "
                             f"{value.fact.nbytes * 8 // value.fact.dtype.itemsize} bytes, {max_bytes} are allowed")


def _row(name: str, x: object) -> list[object]:
    if not isinstance(x, np.ndarray):
        return [name, f"{type(x).__name__} of {len(x)}" if isinstance(x, (list, tuple)) else str(x), "", "", "", ""]
    what = f"{'string' if x.dtype == object else x.dtype}{list(x.shape)}"
    head = x.reshape(-1)[:4]
    if x.dtype == object or x.size == 0:
        return [name, what, "", "", "", clean(" ".join(map(repr, head)), 60)]
    if x.dtype.kind == "c":
        return [name, what, "", "", "", " ".join(f"{complex(v):.4g}" for v in head)]
    wide = x.astype(np.float64)
    dots = " …" if x.size > 4 else ""
    return [name, what, *(f"{v:.4g}" for v in (wide.min(), wide.mean(), wide.max())),
            " ".join(f"{float(v):.4g}" for v in head) + dots]


def _targets(folder: str, names: Sequence[str], force: bool) -> list[Path]:
    """A file for each output; raises FileProblem where one is there already."""
    targets: list[Path] = []
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip(".")[:100] or "output"
        path, count = Path(folder, plain + ".npy"), 1
        while path in targets:
            count += 1
            path = Path(folder, f"{plain}.{count}.npy")
        if os.path.lexists(path) and not force:
            raise FileProblem(f"{path} is there already; --force replaces it")
        targets.append(path)
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise FileProblem(f"{folder} is not a directory")
    return targets


def _store(targets: Sequence[Path], results: Sequence, force: bool) -> list[Path]:
    """Writes what there is, and returns where: arrays as .npy, sequences as .npz, absent optionals not at all."""
    from cynfer.commands import arrays
    from cynfer.runtime import atomic

    files = {}
    for target, result in zip(targets, results, strict=True):
        if isinstance(result, np.ndarray):
            files[target] = arrays.npy_bytes(result)
        elif isinstance(result, (list, tuple)) and all(isinstance(x, np.ndarray) for x in result):
            files[target.with_name(target.name[:-3] + "npz")] = arrays.npz_bytes(result)
        elif result is not None:
            raise FileProblem(f"{target}: a {type(result).__name__} cannot be stored as .npy")
    for target, data in files.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            atomic.write(target, data, force=force)
        except FileExistsError as error:
            raise FileProblem(f"{target} is there already; --force replaces it") from error
    return list(files)
