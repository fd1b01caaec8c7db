from types import SimpleNamespace

import pytest

import nengo_dl
from nengo_dl.converter.report.recommendations import recommend, recommended_steps
from nengo_dl.converter.report.record import Moment

CURVE = [Moment(n, score, score) for n, score in enumerate((0.5, 0.9, 0.96, 0.97), 1)]


@pytest.fixture
def converter(model):
    return nengo_dl.Converter(model)


def calibrated(converter, n_steps, tolerance=0.02):
    chosen = SimpleNamespace(n_steps=n_steps)
    converter.calibration = SimpleNamespace(chosen=chosen, tolerance=tolerance)
    return converter


def row(name, **values):
    defaults = {
        "layer": name,
        "neurons": 10,
        "spikes": 1.0,
        "error": 0.1,
        "error_of_thresholds": 0.1,
        "silent": 0.1,
        "reason": "",
    }
    return SimpleNamespace(**{**defaults, **values})


def test_number_of_steps(converter):
    """The smallest one that is good enough, but not fewer than calibrated for."""
    assert recommended_steps(converter, CURVE, 0.968) == 3
    assert recommended_steps(converter, CURVE, 0.999) is None
    assert recommended_steps(calibrated(converter, 2), CURVE, 0.97) == 3
    assert recommended_steps(calibrated(converter, 4), CURVE, 0.97) == 4


def test_nothing_but_the_number_of_steps(converter):
    (text,) = recommend(calibrated(converter, 2), [row("a")], CURVE, 0.97)
    assert text == "run 3 steps"


@pytest.mark.parametrize(
    "values, message",
    [
        ({"error": 0.5}, "takes spikes back"),
        ({"silent": 0.95}, "silent in a"),
        ({"reason": "why not"}, "a run in NengoDL only"),
        ({"spikes": None}, "do not spike"),
    ],
)
def test_recommendations(converter, values, message):
    texts = list(recommend(calibrated(converter, 2), [row("a", **values)], CURVE, 0.97))
    assert any(message in text for text in texts[1:])


def test_without_calibration(converter):
    texts = list(recommend(converter, [row("a")], CURVE, 0.999))
    assert "run more steps" in texts[0]
    assert "converter.calibrate" in texts[1]
