"""Networks of `keras.applications`: what falls back, and what they compute."""

import pytest

from nengo_dl.benchmarks.applications import measure_application


@pytest.mark.parametrize(
    "name, options, fallbacks",
    [
        ("MobileNetV2", {"alpha": 0.35}, []),
        # squeeze and excitation
        ("MobileNetV3Small", {"alpha": 0.75}, ["9 Multiply"]),
    ],
)
def test_application(name, options, fallbacks):
    figures = measure_application(name, 32, classes=10, **options)
    assert [text.split(":")[0] for text in figures["fallbacks"]] == fallbacks
    assert figures["error"] < 1e-4
