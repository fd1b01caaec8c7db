"""
Activations: one, however it is written, and the neuron type that computes it.

In: what a Keras layer has as its activation, or a user as a key or value of
``swap_activations`` (a name, a function of `keras.activations`, `keras.ops` or
`tf.nn`, a layer, a neuron type). Out: a neuron type of Nengo; None for the identity; or
the activation itself if no neuron type computes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import nengo
import tensorflow as tf
from nengo.neurons import NeuronType

from nengo_dl.converter.mappings import TrackedDict
from nengo_dl.neurons import LeakyReLU


def operation_class(function: Callable, n_inputs: int = 1) -> type[keras.Operation]:
    """
    Return the class of the (last) operation that a function of `keras.ops` makes.

    Parameters
    ----------
    function : callable
        A function of ``n_inputs`` tensors.
    n_inputs : int
        Number of tensors.
    """
    found: list[type] = []

    def note(op: keras.Operation, *args: Any, **kwargs: Any) -> Any:
        found.append(type(op))
        return op(*args, **kwargs)

    inputs = [keras.Input((2,)) for _ in range(n_inputs)]
    model = keras.Model(inputs, function(*inputs))
    keras.models.clone_model(model, clone_function=lambda op: op, call_function=note)
    return found[-1]


# Names under which the same function is found in several modules.
_SAME_NAMES = (
    "celu",
    "elu",
    "hard_tanh",
    "leaky_relu",
    "log_sigmoid",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "tanh",
)
_OTHER_NAMES: dict[str, tuple] = {
    "silu": (tf.nn.swish,),
    "tanh": (tf.tanh, tf.math.tanh),
}


def _aliases() -> dict[Any, Callable]:
    """Return the function of `keras.activations` for all functions like it."""
    found: dict[Any, Callable] = {}
    for name in _SAME_NAMES:
        function = getattr(keras.activations, name, None)
        if function is None:
            continue  # younger than the installed Keras
        for module in (keras.ops, tf.nn, tf.math):
            if hasattr(module, name):
                found[getattr(module, name)] = function
        for other in _OTHER_NAMES.get(name, ()):
            found[other] = function
    return found


_ALIASES = _aliases()


def canonical(activation: Any) -> Any:
    """
    Return one object for all that mean the same activation.

    Parameters
    ----------
    activation : object
        A name, function, layer, or neuron type.

    Returns
    -------
    activation : callable or NeuronType or keras.layers.Layer
        For functions, that of `keras.activations`, if there is one.
    """
    if activation is None or isinstance(activation, str):
        activation = keras.activations.get(activation)
    if type(activation) is keras.layers.Activation:
        activation = activation.activation
    if type(activation) is keras.layers.ReLU and (
        activation.max_value is None
        and activation.negative_slope == 0
        and activation.threshold == 0
    ):
        return keras.activations.relu
    try:
        return _ALIASES.get(activation, activation)
    except TypeError:  # not hashable
        return activation


class Activations:
    """
    Finds neuron types for activations.

    Parameters
    ----------
    swaps : TrackedDict
        What the user wants to have swapped: activations and neuron types.

    Notes
    -----
    An activation is looked up in ``swaps``, what comes out in the activation map, and
    what comes out of that in ``swaps`` again.
    """

    def __init__(self, swaps: TrackedDict):
        self.swaps = swaps

    def neuron_type(self, activation: Any, activation_map: Mapping) -> Any:
        """
        Return the neuron type for an activation.

        Parameters
        ----------
        activation : object
            A name, function, layer, or neuron type.
        activation_map : dict of {object: NeuronType or None}
            Neuron types by activation.

        Returns
        -------
        neuron_type : NeuronType or None or callable
            None for the identity; the activation if no neuron type is known.
        """
        activation = self._swap(canonical(activation))
        activation = _look_up(activation_map, activation, activation)
        return None if activation is None else self._swap(activation)

    def _swap(self, activation: Any) -> Any:
        for key in self.swaps:
            if _equal(canonical(key), activation):
                return canonical(self.swaps[key])
        return activation


def _look_up(activation_map: Mapping, activation: Any, default: Any) -> Any:
    for key, value in activation_map.items():
        if _equal(canonical(key), activation):
            return value
    return default


def _equal(x: Any, y: Any) -> bool:
    """Compare neuron types by value, anything else by identity."""
    if isinstance(x, NeuronType) and isinstance(y, NeuronType):
        return bool(x == y)
    return x is y


# The neuron type that computes the same as an activation of Keras.
DEFAULT_ACTIVATIONS: dict[Any, NeuronType | None] = {
    None: None,
    "linear": None,
    "relu": nengo.RectifiedLinear(),
    "sigmoid": nengo.Sigmoid(tau_ref=1),
    "tanh": nengo.Tanh(tau_ref=1),
    "leaky_relu": LeakyReLU(negative_slope=0.2),
}
