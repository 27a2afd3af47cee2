"""Reads printed text: `python examples/read_text.py [picture]` (default: a photographed page). Needs Pillow.

Two networks of PP-OCRv4, fetched once: one marks where text is, the other reads a line.
"""

import sys

import numpy as np
from PIL import Image

import cynfer
from cynfer import zoo


def regions(marks):
    """(rows, columns) of the cells of each connected region of a boolean picture."""
    labels = np.where(marks, np.arange(1, marks.size + 1).reshape(marks.shape), 0)
    while True:  # every cell takes the largest label around it until nothing changes
        wide = np.pad(labels, 1)
        grown = np.max([labels, wide[:-2, 1:-1], wide[2:, 1:-1], wide[1:-1, :-2], wide[1:-1, 2:]], 0)
        if (grown[marks] == labels[marks]).all():
            return [np.nonzero(labels == label) for label in np.unique(labels[marks])]
        labels = np.where(marks, grown, 0)


def lines_of(session, picture):
    """The text lines as pictures, made level: they are cut out along the middle of what the network marks."""
    width, height = (max(32, round(2 * n / 32) * 32) for n in picture.size)  # multiples of 32 are needed
    x = np.asarray(picture.resize((width, height)), np.float32) / 255
    x = ((x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).transpose(2, 0, 1)[None].astype(np.float32)
    (heat,) = session.run(None, {"x": x})
    coarse = heat.reshape(height // 4, 4, width // 4, 4).mean((1, 3))  # regions are found faster on a quarter
    fine = np.asarray(picture.resize((3 * width, 3 * height)))
    for y, x in regions(coarse > 0.3):
        length = np.ptp(x) + 1
        if length < 8:
            continue
        half = 1.4 * len(y) / length  # the network marks the core of a line: its letters reach further
        columns = np.arange(12 * (x.min() - half), 12 * (x.max() + 1 + half))  # a cell is 12 pixels of `fine`
        middle = np.polyval(np.polyfit(x, y, 2), columns / 12 - 0.5) + 0.5
        rows = 12 * middle + np.arange(-12 * half, 12 * half)[:, None]
        yield Image.fromarray(fine[np.clip(rows, 0, len(fine) - 1).astype(int),
                                   np.clip(columns, 0, fine.shape[1] - 1).astype(int)])


def recognise(session, line):
    """The text of one line: for each column the likeliest character; repeats join, class 0 separates (CTC)."""
    characters = ["", *session.get_modelmeta().custom_metadata_map["character"].splitlines(), " "]
    width = max(32, round(line.width * 48 / line.height))
    x = (np.asarray(line.resize((width, 48)), np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
    (scores,) = session.run(None, {"x": np.ascontiguousarray(x)})
    best = scores[0].argmax(1)
    keep = np.diff(best, prepend=0) != 0
    return "".join(characters[i] for i in best[keep])


picture = Image.open(sys.argv[1] if len(sys.argv) > 1 else zoo.fetch("page")).convert("RGB")
detector = cynfer.InferenceSession(zoo.fetch("ppocr-det"))
reader = cynfer.InferenceSession(zoo.fetch("ppocr-rec"))
for line in lines_of(detector, picture):
    print(recognise(reader, line))
