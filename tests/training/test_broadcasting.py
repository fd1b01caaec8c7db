"""Targets of another size are refused where a loss or metric would broadcast them."""

from functools import partial

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import ValidationError
from training.linear_networks import linear_network

from nengo_dl.losses import nan_mse
from nengo_dl.training.broadcasting import broadcasts
from nengo_dl.training.loss_values import reduced_loss

pytestmark = pytest.mark.training

SIZES = [((2, 4, 3), (2, 4, 1)), ((2, 4, 1), (2, 4, 3)), ((1, 1, 1), (1, 1, 3))]
STEPS = [((2, 1, 1), (2, 4, 1)), ((2, 4, 3), (2, 1, 3))]
LABELS = [((2, 4, 1), (2, 4, 3)), ((1, 1, 1), (1, 1, 3))]
MORE_AXES = [((2, 2, 2, 1), (2, 2, 1))]


def of_last_step(y_true, y_pred):
    return tf.reduce_mean((y_true - y_pred[:, -1:]) ** 2)


def last_label(y_true, y_pred):
    return keras.metrics.sparse_categorical_accuracy(y_true[:, -1], y_pred[:, -1])


def first_element(y_true, y_pred):
    return (y_true[..., 0] - y_pred[..., 0]) ** 2


@pytest.mark.parametrize(
    "loss, shapes, expected",
    [
        (keras.losses.mean_squared_error, SIZES + STEPS + MORE_AXES, True),
        (keras.losses.MeanAbsoluteError(), SIZES + STEPS, True),
        (keras.losses.cosine_similarity, SIZES + STEPS, True),
        (nan_mse, SIZES + STEPS, True),
        (keras.losses.SparseCategoricalCrossentropy(), LABELS, False),
        (keras.metrics.sparse_categorical_accuracy, LABELS, False),
        (of_last_step, [*STEPS[:1], ((2, 3, 1), (2, 4, 1))], False),
        (of_last_step, SIZES, True),
        (last_label, [*LABELS, ((2, 1, 1), (2, 4, 3))], False),
        (first_element, SIZES, False),
        (first_element, STEPS, True),
        (lambda y_true, y_pred: tf.constant(3.0), SIZES + STEPS + MORE_AXES, False),
    ],
)
def test_broadcasts(loss, shapes, expected):
    for target, output in shapes:
        specs = tf.TensorSpec(target, tf.float32), tf.TensorSpec(output, tf.float32)
        function = partial(reduced_loss, loss)
        # the question is asked for functions that accept the shapes only
        tf.function(function).get_concrete_function(*specs)
        assert broadcasts(function, *specs) == expected


def as_arrays(net, x, y):
    return {net.a: x}, {net.probe: y}


def as_generator(net, x, y):
    counts = np.full((len(x), 1), x.shape[1])
    return (iter_one(({net.a: x, "n_steps": counts}, {net.probe: y})),)


def iter_one(batch):
    yield batch


def as_dataset(net, x, y):
    counts = np.full((len(x), 1), x.shape[1])
    return (tf.data.Dataset.from_tensors(({"a": x, "n_steps": counts}, {"probe": y})),)


def as_unknown_dataset(net, x, y):
    (data,) = as_dataset(net, x, y)
    signature = (
        {"a": tf.TensorSpec([None] * 3), "n_steps": tf.TensorSpec([None, None])},
        {"probe": tf.TensorSpec([None] * 3)},
    )
    return (
        tf.data.Dataset.from_generator(
            data.as_numpy_iterator, output_signature=signature
        ),
    )


# Forms differ in when shapes are known; what is refused is the same for all of them.
CASES = [
    ((2, 4, 3), "loss", as_arrays),
    ((2, 4, 3), "metrics", as_arrays),
    ((2, 1, 1), "loss", as_arrays),
    ((2, 1, 1), "metrics", as_arrays),
    ((2, 4, 3), "loss", as_generator),
    ((2, 1, 1), "metrics", as_generator),
    ((2, 1, 1), "loss", as_dataset),
    ((2, 4, 3), "metrics", as_dataset),
    ((2, 4, 3), "loss", as_unknown_dataset),
    ((2, 1, 1), "metrics", as_unknown_dataset),
]


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("shape, what, form", CASES)
def test_targets_of_another_size(shape, what, form, Simulator):
    net = linear_network()
    x, y = np.zeros((2, 4, 1), "float32"), np.ones(shape, "float32")
    message = rf"Targets of shape \({shape[0]}, {shape[1]}, {shape[2]}\) cannot be "
    message += r"compared with the output of 'probe', of shape \(2, 4, 1\)"
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        own = lambda y_true, y_pred: tf.reduce_mean(y_pred)  # noqa: E731
        objectives = {"loss": "mse"} if what == "loss" else {"loss": own}
        sim.compile("sgd", **{"metrics": ["mae"], **objectives})
        with pytest.raises(ValidationError, match=message):
            sim.evaluate(*form(net, x, y), verbose=0)
        with pytest.raises(ValidationError, match=message):
            sim.fit(*form(net, x, y), verbose=0)
        validation = form(net, x, y)
        with pytest.raises(ValidationError, match=message):
            sim.fit(
                *as_arrays(net, x, x),
                validation_data=validation if len(validation) == 2 else validation[0],
                verbose=0,
            )
        # the same from everywhere, if the functions cope
        sim.compile("sgd", loss=own)
        assert sim.evaluate(*form(net, x, y), verbose=0)["loss"] == 0


def test_wide_outputs(Simulator):
    with nengo.Network() as net:
        probe = nengo.Probe(nengo.Node([0.0, 1.0, 2.0]))
    y = np.ones((1, 2, 1))
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(loss="mse")
        with pytest.raises(ValidationError, match="would be broadcast"):
            sim.evaluate(n_steps=2, y={probe: y}, verbose=0)
        sim.compile(metrics=["accuracy"])
        assert sim.evaluate(n_steps=2, y=2 * y, verbose=0)["probe_accuracy"] == 1
