"""
Compare a converted network with the Keras model that it was made of.

In: a Keras model and its network. Out: nothing, or an error that says what differs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import nengo
import numpy as np
import tensorflow as tf
from nengo.exceptions import ValidationError

from nengo_dl.simulator import Simulator

# What is presented if the user has no data.
BATCH_SIZE = 2
N_STEPS = 10

# How both are trained.
LEARNING_RATE = 0.1
EPOCHS = 3


def default_inputs(model: keras.Model, temporal: bool) -> list[np.ndarray]:
    """
    Return ones for all inputs of a model.

    Parameters
    ----------
    model : keras.Model
        The model.
    temporal : bool
        Whether the first axis after that of the batch is time.

    Returns
    -------
    inputs : list of (batch_size, ...) array
    """
    shapes = [list(tensor.shape) for tensor in model.inputs]
    n_items = next((shape[0] for shape in shapes if shape[0]), BATCH_SIZE)
    for shape in shapes:
        shape[0] = n_items
        if temporal:
            shape[1] = shape[1] or N_STEPS
    return [np.ones(shape, tensor.dtype) for shape, tensor in zip(shapes, model.inputs)]


def checked_inputs(model: keras.Model, inputs: Any) -> list[np.ndarray]:
    """
    Return the data of the user as one array for every input.

    Parameters
    ----------
    model : keras.Model
        The model.
    inputs : array or list of array or dict of {keras.KerasTensor: array}
        Data for its inputs.

    Raises
    ------
    nengo.exceptions.ValidationError
        If they do not fit.
    """
    if isinstance(inputs, Mapping):
        missing = [tensor.name for tensor in model.inputs if tensor not in inputs]
        if missing or len(inputs) > len(model.inputs):
            raise ValidationError(
                "must have an array for every input of the model and nothing else "
                f"(missing: {missing}, received: {list(inputs)}); its keys are the "
                "tensors in `converter.model.inputs`",
                attr="inputs",
            )
        inputs = [inputs[tensor] for tensor in model.inputs]
    elif not isinstance(inputs, (list, tuple)):
        inputs = [inputs]
    if len(inputs) != len(model.inputs):
        raise ValidationError(
            f"must have {len(model.inputs)} arrays, one for every input of the model "
            f"(received {len(inputs)})",
            attr="inputs",
        )
    arrays = [np.asarray(x) for x in inputs]
    for tensor, x in zip(model.inputs, arrays):
        if not tf.TensorShape(tensor.shape).is_compatible_with(x.shape):
            raise ValidationError(
                f"must have shape {tuple(tensor.shape)} for input `{tensor.name}` "
                f"(received an array of shape {x.shape})",
                attr="inputs",
            )
    return arrays


def verify(
    model: keras.Model,
    net: nengo.Network,
    inputs: Sequence[np.ndarray],
    training: bool,
    temporal: bool,
    atol: float,
    rtol: float,
) -> None:
    """
    Compare a network with a model; see `.Converter.verify`.

    Parameters
    ----------
    model : keras.Model
        The model.
    net : nengo.Network
        Its network, with the attributes ``inputs`` and ``outputs``.
    inputs : list of (batch_size, ...) array
        One for every input.
    training : bool
        Whether to train both before they are compared.
    temporal : bool
        Whether the second axis of the inputs is time.
    atol, rtol : float
        Tolerances, see `numpy.allclose`.

    Raises
    ------
    ValueError
        If they differ.
    """
    n_items, n_steps = len(inputs[0]), inputs[0].shape[1] if temporal else 1
    data = {
        net.inputs[tensor]: np.reshape(x, (n_items, n_steps, -1))
        for tensor, x in zip(model.inputs, inputs)
    }
    # all layers as they are, but nothing of how the user has compiled the model
    twin = keras.Model(model.inputs, model.outputs)
    trains = training and bool(twin.trainable_weights)
    # (layers may belong to both)
    with _unchanged_weights(twin):
        if trains:
            _train_model(twin, inputs)
        expected = twin(list(inputs), training=False)
    # without a GPU, users have no say in where this runs, and need no warning
    device = None if tf.config.list_physical_devices("GPU") else "/cpu:0"
    with Simulator(
        net,
        minibatch_size=n_items,
        unroll_simulation=1,
        device=device,
        progress_bar=False,
    ) as sim:
        if training:
            _compare_parameters(twin, sim)
        with _unchanged_weights(sim.keras_model):
            if trains:
                _train_network(sim, data, expected)
            predicted = sim.predict(data, verbose=0)
    outputs = dict.fromkeys(net.outputs[tensor] for tensor in model.outputs)
    for probe, value in zip(outputs, _unique(model.outputs, expected)):
        array = np.reshape(keras.ops.convert_to_numpy(value), (n_items, n_steps, -1))
        _compare(probe, predicted[probe], array, atol, rtol)


def _unique(tensors: Sequence[keras.KerasTensor], values: Any) -> list[Any]:
    """Return one value for every tensor, although outputs may be repeated."""
    found = dict(zip(map(id, tensors), tf.nest.flatten(values)))
    return list(found.values())


def _compare_parameters(model: keras.Model, sim: Simulator) -> None:
    keras_size, size = (
        sum(math.prod(weight.shape) for weight in m.trainable_weights)
        for m in (model, sim.keras_model)
    )
    if keras_size != size:
        raise ValueError(
            f"The number of trainable parameters of the Keras model ({keras_size}) is "
            f"not that of the network ({size}); `inference_only=True`, "
            "`split_shared_weights=True` and `fuse_batch_normalization=True` are made "
            "for networks that are not trained"
        )


@contextmanager
def _unchanged_weights(model: keras.Model) -> Iterator[None]:
    """Give a model the weights again that it has now."""
    weights = model.get_weights()
    try:
        yield
    finally:
        model.set_weights(weights)


def _train_model(model: keras.Model, inputs: Sequence[np.ndarray]) -> None:
    """Train a model towards ones."""
    outputs = tf.nest.flatten(model(list(inputs), training=False))
    targets = [keras.ops.ones_like(output) for output in outputs]
    model.compile(optimizer=keras.optimizers.SGD(LEARNING_RATE), loss="mse")
    x, y = (v[0] if len(v) == 1 else v for v in (list(inputs), targets))
    model.fit(x, y, batch_size=len(inputs[0]), epochs=EPOCHS, verbose=0)


def _train_network(
    sim: Simulator, data: Mapping[nengo.Node, np.ndarray], outputs: Any
) -> None:
    """Train a network towards ones."""
    n_items, n_steps, _ = next(iter(data.values())).shape
    targets = [
        np.ones((n_items, n_steps, np.size(output) // (n_items * n_steps)))
        for output in tf.nest.flatten(outputs)
    ]
    sim.compile(optimizer=keras.optimizers.SGD(LEARNING_RATE), loss="mse")
    sim.fit(dict(data), targets, epochs=EPOCHS, verbose=0)


def _compare(
    probe: nengo.Probe,
    value: np.ndarray,
    expected: np.ndarray,
    atol: float,
    rtol: float,
) -> None:
    close = np.isclose(value, expected, atol=atol, rtol=rtol)
    if close.all():
        return
    error = np.where(close, 0, np.abs(value - expected))
    where = np.unravel_index(np.argmax(error), error.shape)
    raise ValueError(
        f"The output of the Keras model does not match output of the network, at "
        f"{probe.target}: {np.count_nonzero(~close)} of {close.size} values differ, "
        f"most of all {value[where]:.6g} from {expected[where]:.6g} in the model. If "
        "that is rounding, use larger tolerances (`atol`, `rtol`), or the float type "
        "float64 for both; a difference is expected for activations that were "
        "swapped, for spiking neurons, synapses, and `max_to_avg_pool`"
    )
