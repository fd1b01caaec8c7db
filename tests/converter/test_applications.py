"""Networks of `keras.applications`: what falls back, and what they compute."""

import pytest

from nengo_dl.benchmarks.applications import TOLERANCE, measure_application


@pytest.mark.long
def test_application():
    """A network with inverted residuals, squeeze and excitation."""
    figures = measure_application("MobileNetV3Small", 32, classes=10, alpha=0.75)
    assert [text.split(":")[0] for text in figures["fallbacks"]] == ["9 Multiply"]
    assert figures["error"] < TOLERANCE
    assert figures["verified"]
