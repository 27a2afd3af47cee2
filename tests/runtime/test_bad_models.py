"""Every bad model is refused in the same way: the right error, a message that names the culprit, nothing lost."""

import gc
import os
import time

import numpy as np
import pytest
from bad_models import CASES, good

from cynfer.ops.errors import CynferError
from cynfer.runtime.limits import Limits
from cynfer.runtime.load_onnx import load
from cynfer.runtime.session import Session

X = np.array([-1.0, 2.0, -0.0, 5.0], np.float32)


@pytest.fixture(scope="module")
def session():
    return Session(good(), threads=1)


def descriptors() -> list[str]:
    gc.collect()
    return sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                  if os.path.exists(f"/proc/self/fd/{fd}"))


def peak_above(base: int | None = None) -> int:
    """Resident bytes now (and the peak from here on), or the peak above `base`."""
    if base is None:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    key = "VmRSS:" if base is None else "VmHWM:"
    with open("/proc/self/status") as file:
        now = next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))
    return now - (base or 0)


def refusal(source, limits) -> tuple[type, str]:
    try:
        load(source, limits)
    except CynferError as error:
        return type(error), str(error)  # not the error itself: its traceback would keep files open
    pytest.fail("the model loads")


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_refused(case, tmp_path, session):
    folder = tmp_path / "model"
    folder.mkdir()
    source = case.build(folder)
    size = len(source) if isinstance(source, bytes) else 0
    before, open_files, expected = peak_above(), descriptors(), session.run(None, {"x": X})[0].tobytes()
    start = time.monotonic()
    error, message = refusal(source, case.limits)
    seconds, peak = time.monotonic() - start, peak_above(before)

    assert error is case.error, message
    for fragment in case.fragments:
        assert fragment in message
    assert str(tmp_path) not in message.replace(str(source), "")
    assert len(message) < 1000
    assert message.isprintable()
    assert seconds < 10  # ten times what is promised
    assert peak < (64 << 20) + 2 * size
    assert descriptors() == open_files
    assert session.run(None, {"x": X})[0].tobytes() == expected
    assert refusal(source, case.limits) == (error, message)
    assert load(good()).graph.outputs[0].name == "y"
    assert Session(good(), threads=1).run(None, {"x": X})[0].tobytes() == expected


@pytest.mark.parametrize("case", [c for c in CASES if c.twin], ids=lambda c: c.name)
def test_twin_loads(case, tmp_path):
    assert load(case.twin(tmp_path), case.limits).graph.outputs


def test_every_case_has_its_own_name():
    names = [c.name for c in CASES]
    assert len(set(names)) == len(names)


def test_limits_of_a_plain_model_are_far_away():
    assert load(good(), Limits(max_nodes=1, max_bytes=10_000, max_functions=0, max_depth=0)).graph.nodes
