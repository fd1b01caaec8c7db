"""A Keras model of three layers that tells points from each other, and its data."""

import keras
import numpy as np
import pytest

import nengo_dl

N_CLASSES = 4


@pytest.fixture(scope="session")
def points():
    """Points around four centers, and which center that is."""
    rng = np.random.RandomState(0)
    labels = rng.randint(N_CLASSES, size=300)
    centers = rng.normal(size=(N_CLASSES, 6))
    x = centers[labels] + 0.4 * rng.normal(size=(300, 6))
    return x.astype(np.float32), labels


@pytest.fixture(scope="session")
def model(points):
    """A model with random hidden layers, whose last layer is fitted to the points."""
    x, labels = points
    keras.utils.set_random_seed(0)
    inp = keras.Input((6,), name="points")
    first = keras.layers.Dense(20, name="first", bias_initializer="normal")(inp)
    first = keras.layers.ReLU(name="relu")(first)
    second = keras.layers.Dense(16, activation="relu", name="second")(first)
    features = keras.Model(inp, second)
    last = keras.layers.Dense(N_CLASSES, name="classes")
    whole = keras.Model(inp, last(second), name="points")

    hidden = features(x).numpy()
    hidden = np.concatenate([hidden, np.ones((len(x), 1))], axis=1)
    weights, *_ = np.linalg.lstsq(hidden, np.eye(N_CLASSES)[labels], rcond=None)
    last.set_weights([weights[:-1], weights[-1]])
    return whole


@pytest.fixture
def converter(model):
    """The model as a Nengo network."""
    return nengo_dl.Converter(model)
