"""What `predict` returns."""

import numpy as np

from nengo_dl.training.predictions import Predictions


def test_ends():
    predictions = Predictions(np.array([1, 3]))
    values = np.ones((2, 3, 1, 2), np.float32)
    output = predictions.without_ends(values)
    assert output.dtype == "float32" and output.shape == values.shape
    assert np.isnan(output[0, 1:]).all() and (output[0, :1] == 1).all()
    assert (output[1] == 1).all() and (values == 1).all()
    # values of the last step alone
    assert (predictions.without_ends(values[:, :1]) == 1).all()


def test_equal_lengths():
    values = np.ones((2, 3, 1))
    assert Predictions(np.array([3, 3])).without_ends(values) is values
