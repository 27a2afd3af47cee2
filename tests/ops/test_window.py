"""What slides over space says no to more axes than its kernels have."""

import numpy as np
import pytest
from harness import run

from cynfer.ops.errors import UnsupportedError


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_convolutions_over_four_axes_are_refused(op):
    x, w = np.zeros((1, 2, 3, 3, 3, 3), np.float32), np.zeros((2, 2, 2, 2, 2, 2), np.float32)
    with pytest.raises(UnsupportedError, match="4 spatial axes; 1 to 3 are supported"):
        run(op, x, w, opset=17)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "LpPool"])
def test_pools_over_four_axes_are_refused(op):
    with pytest.raises(UnsupportedError, match="4 spatial axes; 1 to 3 are supported"):
        run(op, np.zeros((1, 2, 3, 3, 3, 3), np.float32), opset=17, kernel_shape=[2, 2, 2, 2])
