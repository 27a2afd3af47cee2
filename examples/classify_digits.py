"""Reads the 100 digits of the package in one run, and one by one: the same answers, and how long each way takes."""

import time
from pathlib import Path

import numpy as np

import cynfer

folder = Path(cynfer.__file__).parent / "models"
digits = np.load(folder / "digits.npz")
images = (digits["images"][:, None] / 255).astype(np.float32)  # [100, 1, 28, 28], 0 paper, 1 ink

session = cynfer.InferenceSession(folder / "digits.onnx")
print(session.get_modelmeta().custom_metadata_map)


def timed(batches):
    """The digits read, and seconds; the first run of a shape also plans, so it is not counted."""
    session.run(None, {"image": batches[0]})
    began = time.perf_counter()
    found = [session.run(None, {"image": x})[0] for x in batches]
    return np.concatenate(found).argmax(1), time.perf_counter() - began


together, seconds = timed([images])
one_by_one, single = timed([x[None] for x in images])
assert (together == one_by_one).all()
print(f"{(together == digits['labels']).sum()} of {len(images)} right")
print(f"in one batch {seconds * 1e3:.2f} ms, one by one {single * 1e3:.2f} ms")
