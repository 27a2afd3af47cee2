"""Finds faces: `python examples/find_faces.py [picture]` (default: an astronaut). Fetches the detector once.

Needs Pillow. `cynfer demo faces` does the same and draws the boxes; see src/cynfer/commands/faces.py for how the
network's answers become boxes.
"""

import sys

import numpy as np
from PIL import Image

from cynfer import zoo
from cynfer.commands.faces import FaceFinder

picture = sys.argv[1] if len(sys.argv) > 1 else zoo.fetch("astronaut")
find = FaceFinder(zoo.fetch("centerface"))
for face in find(np.asarray(Image.open(picture).convert("RGB"))):
    print("face at", face)
