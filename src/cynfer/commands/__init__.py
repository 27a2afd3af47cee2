"""The command `cynfer`. Each subcommand is a module with `HELP`, `add(parser)` and `run(arguments) -> exit code`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

from cynfer.commands.terminal import clean

COMMANDS = ("run", "info", "demo", "doctor", "zoo")

#: Exit codes (docs/commands.md).
OK, BUG, USAGE, BAD_FILE, FAILED, INTERRUPTED, CLOSED_PIPE = 0, 1, 2, 3, 4, 130, 141


class UsageError(Exception):
    """An option that makes no sense; ends with exit code 2."""


class FileProblem(Exception):
    """A file that cannot be read or written as asked; ends with exit code 3."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str):
        raise UsageError(message)


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    from cynfer import __version__

    top = _Parser(prog="cynfer", description="Runs ONNX models on CPUs.")
    top.add_argument("--debug", action="store_true", help="show the traceback of an error")
    top.add_argument("--version", action="version", version=f"cynfer {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = import_module(f"cynfer.commands.{name}")
        sub = commands.add_parser(name, help=module.HELP, description=module.__doc__,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
        sub.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
        sub.set_defaults(function=module.run)
        module.add(sub)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line (default: that of the process) and returns the exit code; never raises for bad input."""
    debug = "--debug" in (sys.argv[1:] if argv is None else argv)
    try:
        code = _run(argv)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _discard_stdout()
        return CLOSED_PIPE
    except KeyboardInterrupt:
        print("cynfer: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if debug:
            traceback.print_exc()
        code, text = explain(error)
        print(f"cynfer: {clean(text, 2000)}", file=sys.stderr)
        return code


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = parser().parse_args(argv)
    except SystemExit as end:  # --help, --version
        return end.code if isinstance(end.code, int) else OK
    return arguments.function(arguments)


def explain(error: Exception) -> tuple[int, str]:
    """The exit code and the message for an error."""
    from cynfer.ops.errors import CynferError, KernelError, LimitError, RunCancelledError
    from cynfer.zoo import FetchError

    text = str(error) or type(error).__name__
    if isinstance(error, UsageError):
        return USAGE, f"{text} (see cynfer --help)"
    if isinstance(error, (LimitError, KernelError, RunCancelledError, FetchError)):
        return FAILED, text
    if isinstance(error, MemoryError):
        return FAILED, f"out of memory: {text}"
    if isinstance(error, (CynferError, FileProblem)):
        return BAD_FILE, text
    if isinstance(error, OSError):
        return BAD_FILE, f"{error.filename}: {error.strerror}" if error.filename else text
    return BUG, f"this is a bug in cynfer: {type(error).__name__}: {text} (--debug shows where)"


def _discard_stdout() -> None:
    """Lets the interpreter flush at exit without another complaint."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):
        pass


if hasattr(signal, "SIGPIPE"):
    assert CLOSED_PIPE == 128 + signal.SIGPIPE
