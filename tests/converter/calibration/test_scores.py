import numpy as np
import pytest

from nengo_dl.converter.calibration.data import Data
from nengo_dl.converter.calibration.scores import agreement, is_classification, score

OUTPUT = np.array([[0.1, 0.9], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]])
REFERENCE = np.array([[0, 1.0], [1, 0], [0, 1], [0, 1]])


@pytest.mark.parametrize(
    "targets, expected",
    [
        (None, 3 / 4),
        (np.array([1, 1, 1, 1]), 2 / 4),
        (np.array([[1.0], [0], [0], [1]]), 4 / 4),
        (np.eye(2)[[0, 0, 0, 1]], 3 / 4),
    ],
)
def test_accuracy(targets, expected):
    """With classes, one-hot vectors, and those of the Keras model."""
    data = Data([OUTPUT], None if targets is None else [targets])
    assert score([OUTPUT], data, [REFERENCE]) == expected
    assert agreement([OUTPUT], [REFERENCE]) == 3 / 4


def test_relative_error():
    """Outputs that are no classes."""
    targets = OUTPUT + np.array([0.1, -0.1])
    expected = 1 - 0.1 / np.std(targets)
    data = Data([OUTPUT], [targets])
    assert score([OUTPUT], data, [REFERENCE]) == pytest.approx(expected)
    one = OUTPUT[:, :1]
    assert score([one], Data([one], None), [one]) == 1


def test_several_outputs():
    data = Data([OUTPUT], [np.array([1, 0, 0, 1]), np.array([0, 0, 0, 1])])
    assert score([OUTPUT, OUTPUT], data, [REFERENCE, REFERENCE]) == 7 / 8


@pytest.mark.parametrize(
    "output, target, expected",
    [
        (OUTPUT, None, True),
        (OUTPUT[:, :1], None, False),
        (OUTPUT[:, :, None], None, False),
        (OUTPUT, np.array([0, 1, 1, 0]), True),
        (OUTPUT, np.array([0.5, 1, 1, 0]), False),
        (OUTPUT, OUTPUT, False),
        (OUTPUT, REFERENCE, True),
    ],
)
def test_is_classification(output, target, expected):
    assert is_classification(output, target) is expected
