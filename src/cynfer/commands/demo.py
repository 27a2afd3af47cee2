"""Shows a network at work.

  cynfer demo                reads real handwritten digits with a small network that comes with cynfer
  cynfer demo faces          fetches a face detector and a picture, and draws boxes around the faces
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from cynfer.commands import UsageError, options
from cynfer.commands.terminal import beside, half_blocks, milliseconds, painted, say, width

HELP = "see a network at work: digits, faces"
#: Where the files are that come with the package.
MODELS = Path(__file__).resolve().parents[1] / "models"


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("what", nargs="?", choices=["digits", "faces"], default="digits")
    parser.add_argument("--threads", type=options.number(1, 1024), metavar="N")
    digits = parser.add_argument_group("digits")
    digits.add_argument("--count", type=options.number(1, 100), metavar="N", help="how many, up to 100 (default: 12)")
    faces = parser.add_argument_group("faces")
    faces.add_argument("--image", metavar="FILE", help="default: the picture of an astronaut, fetched")
    faces.add_argument("--output", metavar="FILE", help="where the picture with boxes goes (default: faces.png)")
    faces.add_argument("--force", action="store_true", help="replace the output if it is there")
    faces.add_argument("--cache", metavar="DIR", help="where fetched files are kept")


def run(arguments: argparse.Namespace) -> int:
    """Runs the demo asked for."""
    if arguments.what == "faces":
        from cynfer.commands import faces

        if arguments.count is not None:
            raise UsageError("--count belongs to the digits")
        return faces.demo(arguments)
    return digits(12 if arguments.count is None else arguments.count, arguments.threads)


def digits(count: int, threads: int | None = None) -> int:
    """Reads `count` of the digits that come with the package; 0 if it finishes, however many are right."""
    from cynfer import InferenceSession
    from cynfer.commands.arrays import read_npz

    pictures, labels = (read_npz(str(MODELS / "digits.npz"), name, 1 << 20)[:count] for name in ("images", "labels"))
    session = InferenceSession(MODELS / "digits.onnx", threads=threads)
    inputs = (pictures[:, None] / 255).astype(np.float32)
    session.run(None, {"image": inputs[:1]})  # plans are made in the first run
    times, found = [], []
    for x in inputs:
        began = time.perf_counter()
        found.append(session.run(None, {"image": x[None]})[0][0])
        times.append(time.perf_counter() - began)
    answers = np.argmax(found, axis=1)
    blocks = [half_blocks(picture[2:26, 2:26]) for picture in pictures]
    captions = [f"{answer} ({p[answer]:.1%}) {'right' if answer == label else f'wrong, it is a {label}'}"
                for answer, p, label in zip(answers, found, labels, strict=True)]
    across = max(1, (width() + 2) // 28)
    for start in range(0, count, across):
        for line in beside([[row.ljust(26) for row in block] for block in blocks[start : start + across]]):
            say(line)
        row = range(start, min(start + across, count))
        say("  ".join(painted(captions[i].ljust(26), "32" if answers[i] == labels[i] else "31") for i in row).rstrip())
        say()
    right = int((answers == labels).sum())
    say(f"{right} of {count} digits right, {milliseconds(float(np.median(times)))} a digit "
        f"({session.threads} thread{'s' * (session.threads > 1)}, {session.machine.isa})")
    return 0
