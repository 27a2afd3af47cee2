"""Text for terminals and pipes: names made harmless, tables, pictures of half blocks."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence

import numpy as np

from cynfer.ops.errors import show


def clean(text: object, limit: int = 200) -> str:
    """`text` with everything escaped that could steer a terminal, cut to `limit` characters."""
    text = str(text)
    if text.isprintable():
        return text if len(text) <= limit else text[: limit - 1] + "…"
    return show(text, limit)[1:-1]


def say(text: str = "") -> None:
    """Prints a line; what the encoding of stdout lacks is escaped."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def colours() -> bool:
    """True if stdout is a terminal and NO_COLOR is not set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def unicode() -> bool:
    """True if stdout can show half blocks."""
    try:
        "▀▄█".encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def painted(text: str, code: str) -> str:
    """`text` in a colour (an SGR code), where colours are wanted."""
    return f"\x1b[{code}m{text}\x1b[0m" if colours() else text


def width() -> int:
    """Columns of the terminal; of a pipe, 100."""
    return shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 100


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints rows of text; columns whose name ends in "#" are numbers, to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    class Plain(Console):
        """A console that leaves closed pipes to main()."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    if title:
        say(painted(title, "1"))
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        number = name.endswith("#")
        grid.add_column(name.rstrip("#"), justify="right" if number else "left", no_wrap=number,
                        overflow="fold")
    for row in rows:
        grid.add_row(*(Text(clean(x)) for x in row))
    terminal = sys.stdout.isatty()
    console = Plain(markup=False, highlight=False, emoji=False, width=None if terminal else 400)
    if terminal:
        console.print(grid)
        return
    with console.capture() as text:
        console.print(grid)
    for line in text.get().splitlines():
        say(line.rstrip())


def half_blocks(picture: np.ndarray, threshold: int = 96) -> list[str]:
    """Lines of characters for a picture of [rows, columns], bright where above the threshold; two rows a line."""
    on = np.asarray(picture) > threshold
    if len(on) % 2:
        on = np.vstack([on, np.zeros_like(on[:1])])
    marks = " ▀▄█" if unicode() else " \"_#"
    return ["".join(marks[int(a) + 2 * int(b)] for a, b in zip(*rows, strict=True))
            for rows in zip(on[::2], on[1::2], strict=True)]


def beside(blocks: Sequence[Sequence[str]], gap: int = 2) -> list[str]:
    """Blocks of lines, one beside the other."""
    if not blocks:
        return []
    height = max(map(len, blocks))
    widths = [max(map(len, block), default=0) for block in blocks]
    return [(" " * gap).join((block[i] if i < len(block) else "").ljust(w) for block, w in zip(blocks, widths,
                                                                                             strict=True)).rstrip()
            for i in range(height)]


def megabytes(nbytes: float) -> str:
    """1.23 MB."""
    return f"{nbytes / 1e6:.2f} MB"


def milliseconds(seconds: float) -> str:
    """1.23 ms."""
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"
