"""RegexFullMatch by simulating an automaton: time is linear in the text, whatever the pattern."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from cynfer.ops import dtypes
from cynfer.ops.errors import LimitError, ModelError, UnsupportedError, show
from cynfer.ops.op import Op, onnx

if sys.version_info >= (3, 11):
    from re import _constants as c
    from re import _parser as parser
else:
    import sre_constants as c
    import sre_parse as parser

#: States an automaton may have: counted repeats multiply.
MAX_STATES = 20_000

_SPACE, _DIGIT = frozenset(" \t\n\r\f\v"), frozenset("0123456789")
_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") | _DIGIT
_CLASSES = {c.CATEGORY_DIGIT: (_DIGIT, True), c.CATEGORY_NOT_DIGIT: (_DIGIT, False),
            c.CATEGORY_SPACE: (_SPACE, True), c.CATEGORY_NOT_SPACE: (_SPACE, False),
            c.CATEGORY_WORD: (_WORD, True), c.CATEGORY_NOT_WORD: (_WORD, False)}


class Automaton:
    """States: ("char", test, next), ("any of", [next…]), ("at", kind, next), ("end",)."""

    def __init__(self, pattern: str):
        if "[[:" in pattern or re.search(r"\\[pPQEzC]", pattern):
            raise UnsupportedError(f"pattern {show(pattern)} has a construct of RE2 that is not supported")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = parser.parse(pattern, re.ASCII)
        except (re.error, RecursionError, OverflowError) as error:
            raise ModelError(f"pattern {show(pattern)} is not a regular expression: {error}") from None
        self.pattern = pattern
        self.states: list[tuple] = [("end",)]
        try:
            self.start = self._items(tree, 0, tree.state.flags)
        except RecursionError:
            raise LimitError(f"pattern {show(pattern)} nests too deep") from None

    def _add(self, *state) -> int:
        if len(self.states) >= MAX_STATES:
            raise LimitError(f"pattern {show(self.pattern)} needs more than {MAX_STATES} states")
        self.states.append(state)
        return len(self.states) - 1

    def _items(self, items, then: int, flags: int) -> int:
        """The first state of a sequence that goes on at `then`."""
        for op, argument in reversed(list(items)):
            then = self._item(op, argument, then, flags)
        return then

    def _item(self, op, argument, then: int, flags: int) -> int:
        if op in (c.LITERAL, c.NOT_LITERAL, c.ANY, c.IN):
            return self._add("char", _test(op, argument, flags), then)
        if op is c.BRANCH:
            return self._add("any of", [self._items(b, then, flags) for b in argument[1]])
        if op is c.SUBPATTERN:
            _, on, off, items = argument
            return self._items(items, then, (flags | on) & ~off)
        if op in (c.MAX_REPEAT, c.MIN_REPEAT):
            low, high, items = argument
            if high is c.MAXREPEAT:
                loop = self._add("any of", [then])
                self.states[loop][1].append(self._items(items, loop, flags))
                then = loop
            else:
                end = then
                for _ in range(high - low):
                    then = self._add("any of", [end, self._items(items, then, flags)])
            for _ in range(low):
                before = len(self.states)
                then = self._items(items, then, flags)
                if len(self.states) == before:
                    break  # nothing in it to repeat
            return then
        if op is c.AT:
            return self._add("at", (argument, bool(flags & re.MULTILINE)), then)
        raise UnsupportedError(f"pattern {show(self.pattern)} needs {str(op).lower()}, which RE2 lacks too")

    def matches(self, text: str) -> bool:
        """True if the whole text fits."""
        now = self._reach([self.start], text, 0)
        for i, ch in enumerate(text):
            if not now:
                return False
            states = map(self.states.__getitem__, now)
            now = self._reach([s[2] for s in states if s[0] == "char" and s[1](ch)], text, i + 1)
        return 0 in now

    def _reach(self, todo: list[int], text: str, at: int) -> set[int]:
        found: set[int] = set()
        while todo:
            i = todo.pop()
            if i in found:
                continue
            found.add(i)
            state = self.states[i]
            if state[0] == "any of":
                todo.extend(state[1])
            elif state[0] == "at":
                kind, lines = state[1]
                if _holds(kind, lines, text, at):
                    todo.append(state[2])
        return found


def _test(op, argument, flags: int) -> Callable[[str], bool]:
    """Whether a character fits."""
    if op is c.ANY:
        return (lambda ch: True) if flags & re.DOTALL else (lambda ch: ch != "\n")
    items = argument if op is c.IN else [(c.LITERAL, argument)]
    negate = op is c.NOT_LITERAL or (items[0][0] is c.NEGATE)
    single, ranges, classes = set(), [], []
    for kind, value in items:
        if kind is c.LITERAL:
            single.add(chr(value))
        elif kind is c.RANGE:
            ranges.append((chr(value[0]), chr(value[1])))
        elif kind is c.CATEGORY:
            classes.append(_CLASSES[value])

    def inside(ch: str) -> bool:
        return ch in single or any(a <= ch <= b for a, b in ranges) or any((ch in s) == yes for s, yes in classes)

    if flags & re.IGNORECASE:
        return lambda ch: (inside(ch) or inside(ch.lower()) or inside(ch.upper())) != negate
    return lambda ch: inside(ch) != negate


def _holds(kind, lines: bool, text: str, at: int) -> bool:
    if kind in (c.AT_BOUNDARY, c.AT_NON_BOUNDARY):
        sides = [0 <= i < len(text) and text[i] in _WORD for i in (at - 1, at)]
        return (sides[0] != sides[1]) == (kind is c.AT_BOUNDARY)
    if kind in (c.AT_BEGINNING, c.AT_BEGINNING_STRING):
        return at == 0 or (lines and kind is c.AT_BEGINNING and text[at - 1] == "\n")
    return at == len(text) or (lines and kind is c.AT_END and text[at] == "\n")


automaton = lru_cache(maxsize=64)(Automaton)


class RegexFullMatch(Op):
    """True where the whole string fits the pattern; character classes know ASCII only, as in RE2."""

    pattern: str

    def shapes(self, x):
        if x.dtype != dtypes.STRING:
            raise ModelError(f"the input is {x.type_name()}; strings are needed")
        return [x.dims]

    def dtypes(self, x):
        return [dtypes.BOOL]

    def python(self, x):
        matches = automaton(self.pattern).matches
        return np.array([matches(s) for s in x.reshape(-1)], bool).reshape(x.shape)


@onnx("RegexFullMatch", since=20)
def regex_full_match(b, x, *, pattern=""):
    """ONNX RegexFullMatch; what Python's parser and RE2 both know of regular expressions."""
    automaton(pattern)
    return b.emit(RegexFullMatch(pattern), x)
