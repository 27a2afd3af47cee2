"""What several files of this folder test."""

import pytest
from small_models import add_relu

import cynfer


@pytest.fixture(scope="module")
def session():
    """relu(a + b)."""
    return cynfer.InferenceSession(add_relu())
