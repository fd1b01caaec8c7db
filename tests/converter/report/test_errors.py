import numpy as np
import pytest

import nengo_dl
from nengo_dl.converter.report.errors import Activations, Comparison

RNG = np.random.RandomState(0)


def test_comparison():
    """Two minibatches of three items, in pieces of two and three steps."""
    outputs = RNG.normal(size=(2, 3, 5, 4))
    wanted = RNG.uniform(-1, 1, size=(2, 3, 4))
    factors, thresholds = np.arange(1.0, 5), np.arange(2.0, 6)
    comparison = Comparison(lambda n: wanted[n], factors, thresholds, n_steps=5)
    for minibatch in outputs:
        comparison.add(minibatch[:, :2])
        comparison.add(minibatch[:, 2:])
    found = outputs.mean(axis=2) * factors
    assert comparison.error == pytest.approx(np.sqrt(np.mean((found - wanted) ** 2)))
    expected = np.mean((wanted > 0) * thresholds**2) / 12 / 25
    assert comparison.error_of_thresholds == pytest.approx(np.sqrt(expected))
    correlation = np.corrcoef(found.ravel(), wanted.ravel())[0, 1]
    assert comparison.correlation == pytest.approx(correlation)


def test_without_thresholds_or_variation():
    comparison = Comparison(lambda n: np.ones((1, 2)), np.ones(2), None, n_steps=1)
    comparison.add(np.ones((1, 1, 2)))
    assert comparison.error == 0
    assert comparison.error_of_thresholds is None
    assert comparison.correlation is None


def test_activations(model, points):
    """Those of the Keras model, minibatch by minibatch."""
    converter = nengo_dl.Converter(model)
    activations = Activations(converter, [points[0][:6]], minibatch_size=3)
    first, second = converter.neurons
    for n in (0, 1, 0):
        x = points[0][3 * n : 3 * n + 3]
        hidden = np.maximum(model.get_layer("first")(x), 0)
        np.testing.assert_allclose(activations.of(first, n), hidden, atol=1e-6)
        assert activations.of(second, n).shape == (3, 16)
