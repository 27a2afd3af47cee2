"""onnx's own backend suite, every case of it, with passes on and with passes off, against passing.txt.

As a command: `python tests/onnx/test_backend.py` shows what fails, by reason and by operator; a pattern
("test_conv*") chooses cases and shows each failure; `--update` adds what passes now to passing.txt; `--plain` and
`--passes` run one mode only.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest
import suite

LIST = Path(__file__).with_name("passing.txt")


def listed() -> list[str]:
    """The names in passing.txt."""
    return LIST.read_text().split() if LIST.exists() else []


@pytest.fixture(scope="module")
def outcome() -> suite.Outcome:
    """The whole suite, run once."""
    return suite.run()


def test_list_is_sorted_and_free_of_repeats():
    assert listed() == sorted(set(listed()))


def test_listed_cases_exist(outcome):
    import onnx

    unknown = sorted(set(listed()) - set(outcome.names))
    assert not unknown, f"onnx {onnx.__version__} has no such cases (the list is made with 1.23.2): {unknown}"


def test_listed_cases_pass(outcome):
    lost = sorted(set(listed()) & set(outcome.failures))
    assert not lost, f"{len(lost)} cases of passing.txt fail:\n{report(outcome, lost)}"


def test_whatever_passes_is_listed(outcome):
    gained = sorted(set(outcome.passed) - set(listed()))
    assert not gained, f"these pass too: run `python tests/onnx/test_backend.py --update`\n{gained}"


def report(outcome: suite.Outcome, names) -> str:
    """The failures of these cases, one a line."""
    return "\n".join(f"{n}: {f}" for n in names for f in outcome.failures.get(n, ()))


def summary(outcome: suite.Outcome) -> str:
    """Failures counted by reason (names and numbers taken out), and by operator."""
    reasons: dict[str, list[str]] = defaultdict(list)
    ops: Counter[str] = Counter()
    for name, failures in outcome.failures.items():
        first = failures[0]
        missing = re.search(r"operator (\S+) of domain (\S+), opset (\d+)", first.message)
        text = f"no operator {missing[1]}" if missing else re.sub(
            r"\d+(\.\d+)?(e[-+]\d+)?", "#", re.sub(r"'[^']*'", "'…'", first.message))[:110]
        if len(failures) == 1:
            text = f"only in mode {first.mode}: {text}"
        reasons[f"{first.kind}: {text}"].append(name)
        ops.update(op for op in (first.ops or ("?",)))
    lines = [f"{len(names):5}  {reason}   e.g. {names[0]}" for reason, names
             in sorted(reasons.items(), key=lambda r: -len(r[1]))]
    shown = ", ".join(f"{op} {n}" for op, n in ops.most_common())
    return "\n".join([*lines, "", f"failing cases by operator in the model: {shown}", "",
                      f"{len(outcome.passed)} of {len(outcome.names)} pass"])


def main() -> None:
    """The command described above."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pattern", nargs="?", default="*")
    parser.add_argument("--update", action="store_true", help="add what passes now to passing.txt")
    parser.add_argument("--passes", action="store_true", help="only with passes on")
    parser.add_argument("--plain", action="store_true", help="only with passes off")
    options = parser.parse_args()
    modes = tuple(m for m in suite.MODES if getattr(options, m)) or suite.MODES
    outcome = suite.run(options.pattern, modes)
    if options.pattern == "*":
        print(summary(outcome))
        if options.update and len(modes) == 2:
            LIST.write_text("".join(f"{n}\n" for n in sorted({*listed(), *outcome.passed})))
    else:
        print(report(outcome, outcome.failures))
        print(f"{len(outcome.passed)} of {len(outcome.names)} pass")
    lost = sorted(set(listed()) & set(outcome.failures))
    if lost:
        print(f"{len(lost)} cases of passing.txt fail now:\n{report(outcome, lost)}")
        raise SystemExit(1)


if __name__ == "__main__":
    main()
