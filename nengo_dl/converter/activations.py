"""
Activations: one, however it is written, and the neuron type that computes it.

In: what a Keras layer has as its activation, or a user as a key or value of
``swap_activations`` (a name, a function of `keras.activations`, `keras.ops` or
`tf.nn`, a layer, a neuron type). Out: a neuron type of Nengo; None for the identity; or
the activation itself if no neuron type computes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import keras
import nengo
import tensorflow as tf
from nengo.neurons import NeuronType

from nengo_dl.converter.mappings import TrackedDict
from nengo_dl.neurons import (
    CELU,
    ELU,
    GELU,
    SELU,
    Exponential,
    HardShrink,
    HardSigmoid,
    HardSiLU,
    HardTanh,
    LeakyReLU,
    LogSigmoid,
    Mish,
    ReLU,
    SiLU,
    Softplus,
    SoftShrink,
    Softsign,
    SparsePlus,
    SparseSigmoid,
    Squareplus,
    TanhShrink,
    Threshold,
)


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


# Functions that are found under the same name in several modules.
_SAME_NAMES = (
    "celu",
    "elu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "leaky_relu",
    "log_sigmoid",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "tanh",
    "tanh_shrink",
)
_OTHER_NAMES: dict[str, tuple] = {
    "exponential": (keras.ops.exp, tf.exp, tf.math.exp),
    "gelu": (tf.nn.gelu,),
    "silu": (tf.nn.swish,),
    "tanh": (tf.tanh, tf.math.tanh),
}


def _named(name: str) -> Any:
    """Return a function of `keras.activations`; None if Keras is too old for it."""
    return getattr(keras.activations, name, None)


def _aliases() -> dict[Any, Any]:
    """Return the function of `keras.activations` for all functions like it."""
    # unlike that of `keras.activations`
    found: dict[Any, Any] = {keras.ops.gelu: GELU(approximate=True)}
    for name in (*_SAME_NAMES, *_OTHER_NAMES):
        function = _named(name)
        if function is None:
            continue
        if name in _SAME_NAMES:
            for module in (keras.ops, tf.nn, tf.math):
                if hasattr(module, name):
                    found[getattr(module, name)] = function
        found.update(dict.fromkeys(_OTHER_NAMES.get(name, ()), function))
    return found


_ALIASES = _aliases()


def _relu(max_value: float | None, negative_slope: float, threshold: float) -> Any:
    """Return a rectified linear function, or else a neuron type that computes it."""
    if threshold == 0 and max_value is None:
        if negative_slope == 0:
            return keras.activations.relu
        if negative_slope == 0.2:  # the default
            return keras.activations.leaky_relu
        return LeakyReLU(negative_slope=negative_slope)
    if (max_value, negative_slope, threshold) == (6, 0, 0):
        return keras.activations.relu6
    return ReLU(max_value, negative_slope, threshold)


# What layers and operations with parameters compute.
_WITH_PARAMETERS: dict[str, Callable[[Any], Any]] = {
    "relu": lambda op: _relu(op.max_value, op.negative_slope, op.threshold),
    "leaky_relu": lambda op: _relu(None, op.negative_slope, 0),
    "elu": lambda op: keras.activations.elu if op.alpha == 1 else ELU(op.alpha),
    "celu": lambda op: _named("celu") if op.alpha == 1 else CELU(op.alpha),
    "gelu": lambda op: (
        GELU(approximate=True) if op.approximate else keras.activations.gelu
    ),
    "hard_shrink": lambda op: HardShrink(op.threshold),
    "soft_shrink": lambda op: SoftShrink(op.threshold),
    "squareplus": lambda op: Squareplus(op.b),
    "threshold": lambda op: Threshold(op.threshold, op.default_value),
}


def _activation_classes() -> dict[type, Callable[[Any], Any]]:
    """Return functions from layers and operations to what they compute, by class."""
    found: dict[type, Callable[[Any], Any]] = {
        keras.layers.ReLU: _WITH_PARAMETERS["relu"],
        keras.layers.LeakyReLU: _WITH_PARAMETERS["leaky_relu"],
        keras.layers.ELU: _WITH_PARAMETERS["elu"],
        operation_class(keras.activations.relu): _WITH_PARAMETERS["relu"],
        operation_class(keras.ops.exp): lambda op: keras.activations.exponential,
    }
    if hasattr(keras.ops, "threshold"):
        cls = operation_class(lambda x: keras.ops.threshold(x, 0, 0))
        found[cls] = _WITH_PARAMETERS["threshold"]
    for name in (*_SAME_NAMES, "gelu"):
        if hasattr(keras.ops, name):
            constant = partial(_constant, _named(name))
            # that of `keras.ops` has no parameters
            compute = constant if name == "relu" else _WITH_PARAMETERS.get(name)
            cls = operation_class(getattr(keras.ops, name))
            found[cls] = compute or constant
    return found


def _constant(value: Any, op: Any) -> Any:
    return value


ACTIVATION_CLASSES = _activation_classes()


def canonical(activation: Any) -> Any:
    """
    Return one object for all that mean the same activation.

    Parameters
    ----------
    activation : object
        A name, function, layer, operation, or neuron type.

    Returns
    -------
    activation : callable or NeuronType or keras.Operation
        A function of `keras.activations`, if there is one; a neuron type, if that
        computes the same.
    """
    if activation is None or isinstance(activation, str):
        activation = keras.activations.get(activation)
    if type(activation) is keras.layers.Activation:
        activation = activation.activation
    if type(activation) in ACTIVATION_CLASSES:
        return ACTIVATION_CLASSES[type(activation)](activation)
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


def _default_activations() -> dict[Any, NeuronType | None]:
    """Return the neuron types that compute the same as activations of Keras."""
    types: dict[str, NeuronType] = {
        "celu": CELU(),
        "elu": ELU(),
        "exponential": Exponential(),
        "gelu": GELU(),
        "hard_shrink": HardShrink(),
        "hard_sigmoid": HardSigmoid(),
        "hard_silu": HardSiLU(),
        "hard_tanh": HardTanh(),
        "leaky_relu": LeakyReLU(negative_slope=0.2),
        "log_sigmoid": LogSigmoid(),
        "mish": Mish(),
        "relu": nengo.RectifiedLinear(),
        "relu6": ReLU(max_value=6),
        "selu": SELU(),
        "sigmoid": nengo.Sigmoid(tau_ref=1),
        "silu": SiLU(),
        "soft_shrink": SoftShrink(),
        "softplus": Softplus(),
        "softsign": Softsign(),
        "sparse_plus": SparsePlus(),
        "sparse_sigmoid": SparseSigmoid(),
        "squareplus": Squareplus(),
        "tanh": nengo.Tanh(tau_ref=1),
        "tanh_shrink": TanhShrink(),
    }
    known = {name: neurons for name, neurons in types.items() if _named(name)}
    return {None: None, "linear": None, **known}


DEFAULT_ACTIVATIONS = _default_activations()
