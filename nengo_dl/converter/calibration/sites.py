"""
Where a Keras model becomes spikes: the calls of layers that are neurons in the network.

In: a converter. Out: a `Site` for every population of neurons that calibration may
change, in forward order; and passes through the Keras model in which the user decides
what the neurons put out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import nengo
import numpy as np
import tensorflow as tf
from nengo.neurons import NeuronType, RectifiedLinear, SpikingRectifiedLinear

from nengo_dl.converter.conversion import Conversion
from nengo_dl.converter.keras_graph import Call, call_op
from nengo_dl.layers import QCFS
from nengo_dl.neurons import IntegrateAndFire, ReLU


@dataclass(frozen=True, eq=False)
class Site:
    """
    A population of neurons, and the call of the layer that it represents.

    Parameters
    ----------
    path : tuple of Call
        The call, after those of the nested models that it is in.
    neurons : nengo.ensemble.Neurons
        The neurons.
    current : callable
        Takes the arguments of the call with values of tensors, and computes what the
        activation is applied to.
    neuron_type : nengo.neurons.NeuronType
        The type of the neurons when the model was converted.
    largest : float or None
        Largest activation, of rectifiers that are cut off.
    channel_axis : int or None
        Axis of the channels in the output of an item; None if the neurons have no
        channels, or must have one threshold.
    """

    path: tuple[Call, ...]
    neurons: nengo.ensemble.Neurons
    current: Callable[[tuple, dict], Any]
    neuron_type: NeuronType
    largest: float | None
    channel_axis: int | None

    @property
    def name(self) -> str:
        """The name of the layer, after those of the models that it is in."""
        return "/".join(call.op.name for call in self.path)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the output of an item."""
        return tuple(self.path[-1].outputs[0].shape[1:])

    def activation(self, current: Any) -> Any:
        """Return the activations of the Keras model, of the shape of the current."""
        output = tf.nn.relu(current)
        return output if self.largest is None else tf.minimum(output, self.largest)

    @property
    def n_channels(self) -> int:
        """Number of thresholds that may differ."""
        return 1 if self.channel_axis is None else self.shape[self.channel_axis]

    def per_channel(self, values: np.ndarray) -> np.ndarray:
        """
        Spread values of channels over the neurons.

        Parameters
        ----------
        values : (n_channels,) array or float
            One for each channel.

        Returns
        -------
        values : (1, ...) array
            They can be broadcast to activations of a batch.
        """
        shape = [1] * (len(self.shape) + 1)
        if self.channel_axis is not None:
            shape[self.channel_axis + 1] = -1
        return np.reshape(values, shape)


# Types whose rate is linear above zero, so that a threshold is a resolution.
LINEAR_TYPES = (RectifiedLinear, SpikingRectifiedLinear, IntegrateAndFire)


def is_linear(neuron_type: NeuronType) -> bool:
    """Return whether a rate is linear above zero (maybe up to a largest one)."""
    if type(neuron_type) is ReLU:
        return neuron_type.negative_slope == 0 and neuron_type.threshold == 0
    return type(neuron_type) in LINEAR_TYPES


def find_sites(converter: Conversion) -> list[Site]:
    """
    Find the neurons that calibration may change.

    Parameters
    ----------
    converter : Conversion
        A finished conversion.

    Returns
    -------
    sites : list of Site
        In the order in which the model computes them.
    """
    sites = []
    net = converter.net  # looks for weights that have changed
    for path, neurons in converter.neurons.items():
        neuron_type = _original_type(converter, path[-1], neurons)
        # the thresholds of QCFS are trained, and right as they are
        if is_linear(neuron_type) and type(path[-1].op) is not QCFS:
            if converter.calibration or _has_unit_scale(neurons.ensemble):
                sites.append(
                    Site(
                        path,
                        neurons,
                        current_of(path[-1]),
                        neuron_type,
                        getattr(neuron_type, "max_value", None),
                        _channel_axis(path[-1], neurons, net),
                    )
                )
    return sites


def _original_type(
    converter: Conversion, call: Call, neurons: nengo.ensemble.Neurons
) -> NeuronType:
    """Return the type of neurons before any calibration."""
    layer_converter = converter.decisions[id(call.op)].converter_class
    activation = layer_converter.activation_of(call.op)
    found = converter.activations.neuron_type(
        activation, layer_converter.activation_map
    )
    return found if isinstance(found, NeuronType) else neurons.ensemble.neuron_type


def _has_unit_scale(ensemble: nengo.Ensemble) -> bool:
    """Return whether the output is that of Keras: amplitudes make up for gains."""
    gain = nengo.dists.get_samples(ensemble.gain, ensemble.n_neurons)
    return bool(np.allclose(gain * ensemble.neuron_type.amplitude, 1))


def current_of(call: Call) -> Callable[[tuple, dict], Any]:
    """
    Return what computes the input of the activation of a call.

    Parameters
    ----------
    call : Call
        A call of a layer with an activation, or of an activation.
    """
    op: Any = call.op
    if not isinstance(op, keras.layers.Layer) or not hasattr(op, "kernel"):
        return lambda args, kwargs: args[0]
    # the layer itself would apply its activation
    linear = type(op).from_config({**op.get_config(), "activation": "linear"})
    linear.build_from_config(op.get_build_config())
    linear.set_weights(op.get_weights())
    return lambda args, kwargs: linear(*args, **kwargs)


def _channel_axis(
    call: Call, neurons: nengo.ensemble.Neurons, net: nengo.Network
) -> int | None:
    """Return the axis along which neurons may have thresholds of their own."""
    n_axes = len(call.outputs[0].shape) - 1
    if any(probe.obj is neurons for probe in net.all_probes):
        return None  # a probe shows all neurons in the same unit
    axis = n_axes - 1
    for conn in net.all_connections:
        transform = conn.transform
        if conn.pre_obj is neurons and isinstance(
            transform, (nengo.Convolution, nengo.ConvolutionTranspose)
        ):
            theirs = tuple(transform.input_shape.shape)
            if conn.pre is not neurons or theirs != tuple(call.outputs[0].shape[1:]):
                return (
                    None  # the channels of the convolution are not those of the layer
                )
            axis = n_axes - 1 if transform.channels_last else 0
    return axis


def forward(
    converter: Conversion,
    sites: Sequence[Site],
    inputs: Sequence[Any],
    output_of: Callable[[int, Any], Any],
    spiking: bool = False,
) -> list[np.ndarray]:
    """
    Compute the Keras model, with another output for all neurons.

    Parameters
    ----------
    converter : Conversion
        The conversion.
    sites : list of Site
        Its neurons.
    inputs : list of (batch_size, ...) array
        One for each input of the model.
    output_of : callable
        ``output_of(index, current)`` returns the output of ``sites[index]``, for a
        current of shape ``(batch_size, ...)``.
    spiking : bool
        Whether to compute what the network computes, where that is something else
        than the Keras model: averages in place of maxima.

    Returns
    -------
    outputs : list of (batch_size, ...) array
    """
    index_of = {site.path: index for index, site in enumerate(sites)}
    averages = converter.max_to_avg_pool

    def compute(path: tuple, call: Call, args: tuple, kwargs: dict) -> Any:
        index = index_of.get(path)
        if index is None:
            op = _averaging(call.op) if spiking and averages else call.op
            return call_op(op, args, kwargs, training=False)
        return output_of(index, sites[index].current(args, kwargs))

    outputs = converter.graph.run(inputs, compute)
    return [keras.ops.convert_to_numpy(output) for output in outputs]


def _averaging(op: Any) -> Any:
    """Return the layer that takes averages, for one that takes maxima."""
    name = type(op).__name__.replace("Max", "Average")
    if not isinstance(op, keras.layers.Layer) or name == type(op).__name__:
        return op
    return getattr(keras.layers, name).from_config(op.get_config())
