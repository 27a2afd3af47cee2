"""Operators on strings."""

import numpy as np
import pytest
from harness import run

from cynfer.ops.errors import LimitError, ModelError, UnsupportedError


def text(*words):
    return np.array(words, object)


def test_concat():
    got = run("StringConcat", text("a", "ß").reshape(2, 1), text("", "猫", "c"), opset=20)
    assert got.tolist() == [["a", "a猫", "ac"], ["ß", "ß猫", "ßc"]]
    with pytest.raises((ModelError, UnsupportedError)):
        run("StringConcat", np.zeros(2, np.float32), text("a", "b"), opset=20)


@pytest.mark.parametrize("attributes, words, parts, counts", [
    ({}, [" a  b\tc ", "", "  "], [["a", "b", "c"], [""] * 3, [""] * 3], [3, 0, 0]),
    ({"delimiter": "--"}, ["a--b", "--", ""], [["a", "b"], ["", ""], ["", ""]], [2, 2, 1]),
    ({"delimiter": ",", "maxsplit": 1}, ["a,b,c", "x"], [["a", "b,c"], ["x", ""]], [2, 1]),
    ({"maxsplit": 1}, ["a b c"], [["a", "b c"]], [2]),
])
def test_split(attributes, words, parts, counts):
    got, n = run("StringSplit", text(*words), opset=20, outputs=2, **attributes)
    assert got.tolist() == parts and n.tolist() == counts and n.dtype == np.int64


def test_split_of_nothing():
    got, n = run("StringSplit", np.zeros((0, 2), object), opset=20, outputs=2)
    assert got.shape == (0, 2, 0) and n.shape == (0, 2)


@pytest.mark.parametrize("attributes, words, want", [
    ({}, ["Aa", "b"], ["Aa", "b"]), ({"case_change_action": "UPPER"}, ["straße", "é"], ["STRASSE", "É"]),
    ({"stopwords": ["AA"]}, ["Aa", "b"], ["b"]), ({"stopwords": ["AA"], "is_case_sensitive": 1}, ["Aa"], ["Aa"]),
    ({"stopwords": ["aa"], "case_change_action": "LOWER"}, ["Aa"], [""]),
])
def test_normalizer(attributes, words, want):
    assert run("StringNormalizer", text(*words), opset=10, **attributes).tolist() == want
    assert run("StringNormalizer", text(*words).reshape(1, -1), opset=10, **attributes).tolist() == [want]


def test_normalizer_errors():
    with pytest.raises(ModelError, match="choose from NONE, LOWER, UPPER"):
        run("StringNormalizer", text("a"), opset=10, case_change_action="TITLE")
    with pytest.raises(ModelError, match=r"shape \[2, 1\]"):
        run("StringNormalizer", text("a", "b").reshape(2, 1), opset=10)


@pytest.mark.parametrize("pattern, fits, fails", [
    (r"a.c", ["abc", "a猫c"], ["a\nc", "ac", "abcd", ""]), (r"", [""], ["a"]), (r"(?s)a.", ["a\n"], ["a"]),
    (r"[^a-c\d]+", ["xyz", "\n"], ["xa", "x1", ""]), (r"(?i)aB|c", ["Ab", "C"], ["abc"]),
    (r"(ab){2,3}?", ["abab", "ababab"], ["ab", "abababab"]), (r"x{0}y*", ["", "yy"], ["x"]),
    (r"(a*)*b", ["b", "aab"], ["aa"]), (r"^a$", ["a"], ["a\n"]), (r"\bab\b.*", ["ab c", "ab"], ["abc"]),
    (r"\w+\W\S\s", ["ab-c "], ["ä-c ", "ab-c"]), (r"(?m)a$\n^b", ["a\nb"], ["ab"]),
])
def test_regular_expressions(pattern, fits, fails):
    got = run("RegexFullMatch", text(*fits, *fails), opset=20, pattern=pattern)
    assert got.tolist() == [True] * len(fits) + [False] * len(fails)


def test_no_pattern_takes_exponential_time():
    words = text("a" * 3000 + "b", "a" * 3000)
    assert run("RegexFullMatch", words, opset=20, pattern="(a+)+").tolist() == [False, True]


@pytest.mark.parametrize("pattern, error", [
    ("(", ModelError), ("(" * 5000 + ")" * 5000, (ModelError, LimitError)), (r"(a)\1", UnsupportedError),
    ("(?=a)a", UnsupportedError), ("((a{999}){999}){999}", LimitError), ("[[:alpha:]]", UnsupportedError),
    (r"\pL", UnsupportedError),
])
def test_bad_patterns(pattern, error):
    with pytest.raises(error, match="pattern") as found:
        run("RegexFullMatch", text("a"), opset=20, pattern=pattern)
    assert "node 'node'" in str(found.value) and len(str(found.value)) < 400
