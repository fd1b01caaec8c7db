"""
The base of all converters of Keras layers.

In: a call of a layer in a Keras model. Out: the Nengo objects that compute the same.
A kind of layers is added by a subclass of `LayerConverter` with a ``convert`` method,
registered with `.Converter.register`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import keras
import nengo
import numpy as np
from nengo.neurons import NeuronType

from nengo_dl.config import configure_settings
from nengo_dl.converter.activations import DEFAULT_ACTIVATIONS
from nengo_dl.converter.conversion import Conversion
from nengo_dl.converter.fusion import factors_and_shifts
from nengo_dl.converter.keras_graph import Call
from nengo_dl.converter.scaling import scaled
from nengo_dl.tensor_node import TensorNode


class LayerConverter:
    """
    Converts the calls of one Keras layer.

    Parameters
    ----------
    layer : keras.layers.Layer
        The layer.
    converter : Converter
        The conversion that it is a part of.

    Attributes
    ----------
    activation_map : dict of {callable or str: nengo.neurons.NeuronType or None}
        Class attribute. The neuron types that compute activations of Keras; None for
        the identity.
    unsupported_args : list of str or (str, object)
        Class attribute. Attributes of the layer that must have their default value:
        None, or the one given.
    unsupported_training_args : list of str or (str, object)
        Class attribute. The same, for those that matter in training only.
    has_weights : bool
        Class attribute. Whether the layer has weights, so that calling it several
        times needs ``split_shared_weights=True``.
    allow_fallback : bool
        Class attribute. Whether the layer itself, in a TensorNode, may be used where
        it cannot be converted.
    fuses_normalization : bool
        Class attribute. Whether `convert` uses `fused_factors` and `fused_biases`, so
        that the layer can take over a batch normalization that follows it.
    """

    activation_map: ClassVar[dict[Any, NeuronType | None]] = DEFAULT_ACTIVATIONS
    unsupported_args: ClassVar[Sequence[str | tuple[str, Any]]] = ()
    unsupported_training_args: ClassVar[Sequence[str | tuple[str, Any]]] = ()
    has_weights: ClassVar[bool] = False
    allow_fallback: ClassVar[bool] = True
    fuses_normalization: ClassVar[bool] = False

    def __init__(self, layer: keras.Operation, converter: Conversion):
        self.layer: Any = layer
        self.converter = converter

    def convert(self, node_id: int) -> Any:
        """
        Make the Nengo objects for a call of the layer.

        Parameters
        ----------
        node_id : int
            Which of the calls of the layer in the model, from 0 on.

        Returns
        -------
        obj : Node or Neurons or TensorNode or Network or list
            The object that represents the output; a list if there are several outputs.
        """
        raise NotImplementedError(f"`{type(self).__name__}` must implement `convert`")

    @classmethod
    def convertible(
        cls, layer: keras.Operation, converter: Conversion
    ) -> tuple[bool, str | None]:
        """
        Say whether a layer can be converted.

        Parameters
        ----------
        layer : keras.layers.Layer
            The layer.
        converter : Converter
            The conversion.

        Returns
        -------
        convertible : bool
        reason : str or None
            Why not, if not.
        """
        reasons = [_difference(layer, arg) for arg in cls.unsupported_args]
        if not converter.inference_only:
            reasons += [
                text and f"{text} (unless inference_only=True)"
                for text in (
                    _difference(layer, a) for a in cls.unsupported_training_args
                )
            ]
        found = [text for text in reasons if text]
        return (not found, "; ".join(found) or None)

    @classmethod
    def may_fall_back(cls, layer: keras.Operation, converter: Conversion) -> bool:
        """Return whether a TensorNode may compute a layer that is not convertible."""
        return cls.allow_fallback

    @classmethod
    def inner_calls(cls, call: Call) -> list[Call]:
        """Return the calls of other layers that `convert` makes for a call."""
        return []

    @classmethod
    def activation_of(cls, layer: keras.Operation) -> Any:
        """Return the activation that `convert` applies, None for the identity."""
        return getattr(layer, "activation", None)

    def fused_factors(self, node_id: int) -> Any:
        """
        Return what a batch normalization that a call takes over multiplies with.

        Parameters
        ----------
        node_id : int
            Which call of the layer.

        Returns
        -------
        factors : (n_channels,) array, or 1 if there is none
            Factors on the weights of every output channel.
        """
        normalization = self.converter.fusions.get(id(self.call(node_id)))
        return 1 if normalization is None else factors_and_shifts(normalization.op)[0]

    def fused_biases(
        self, node_id: int, biases: np.ndarray | None
    ) -> np.ndarray | None:
        """
        Return the biases, with a batch normalization that a call takes over.

        Parameters
        ----------
        node_id : int
            Which call of the layer.
        biases : (n_channels,) array or None
            The biases of the layer, if there are any.

        Returns
        -------
        biases : (n_channels,) array or None
            Those of the layer together with the normalization.
        """
        normalization = self.converter.fusions.get(id(self.call(node_id)))
        if normalization is None:
            return biases
        factors, shifts = factors_and_shifts(normalization.op)
        return shifts if biases is None else biases * factors + shifts

    def neuron_type(self, activation: Any) -> Any:
        """
        Return the neuron type for an activation.

        Parameters
        ----------
        activation : callable or keras.layers.Layer or None
            The activation function of a layer.

        Returns
        -------
        neuron_type : NeuronType or None or callable
            None for the identity; the activation itself if there is none.
        """
        return self.converter.activations.neuron_type(activation, self.activation_map)

    def call(self, node_id: int) -> Call:
        """Return a call of the layer, with its arguments."""
        return self.converter.call(self.layer, node_id)

    def name(self, node_id: int) -> str:
        """Return the label of what represents a call."""
        return f"{self.layer.name}.{node_id}"

    def get_input_obj(self, node_id: int, tensor_idx: int = 0) -> Any:
        """
        Return the object that represents an input.

        Parameters
        ----------
        node_id : int
            Which call of the layer.
        tensor_idx : int
            Which input.
        """
        return self.converter.object_of(self.call(node_id).inputs[tensor_idx])

    def input_shape(self, node_id: int, full_shape: bool = False) -> Any:
        """
        Return the shape of the input of a call.

        Parameters
        ----------
        node_id : int
            Which call of the layer.
        full_shape : bool
            Whether to keep the axes of the batch and of time.

        Returns
        -------
        shape : tuple of int, or list of tuple
            A list if there are several inputs.
        """
        return self._shapes(self.call(node_id).inputs, full_shape)

    def output_shape(self, node_id: int, full_shape: bool = False) -> Any:
        """Return the shape of the output of a call; see `input_shape`."""
        return self._shapes(self.call(node_id).outputs, full_shape)

    def _shapes(self, tensors: Sequence[keras.KerasTensor], full_shape: bool) -> Any:
        n_dropped = 0 if full_shape else 2 if self.converter.temporal_model else 1
        shapes = [tuple(tensor.shape[n_dropped:]) for tensor in tensors]
        return shapes[0] if len(shapes) == 1 else shapes

    def output_size(self, node_id: int) -> int:
        """Return the number of elements of the output of a call, per item."""
        return math.prod(self.output_shape(node_id))

    def add_node(self, node_id: int, suffix: str = "", size: int | None = None) -> Any:
        """Add a Node that passes its input on, by default of the size of the output."""
        size = self.output_size(node_id) if size is None else size
        return nengo.Node(size_in=size, label=self.name(node_id) + suffix)

    def add_nengo_obj(
        self, node_id: int, biases: np.ndarray | None = None, activation: Any = None
    ) -> Any:
        """
        Add the object that represents the output of a call.

        Parameters
        ----------
        node_id : int
            Which call of the layer.
        biases : (output_size,) array, optional
            Biases, which are trained.
        activation : object, optional
            The activation: a name, a function, or a neuron type. By default none.

        Returns
        -------
        obj : nengo.Node or nengo.ensemble.Neurons or TensorNode
            Neurons if a neuron type computes the activation; a Node if there is none;
            else a TensorNode that calls it.

        Raises
        ------
        TypeError
            If no neuron type computes the activation, and fallbacks are not allowed.
        """
        neuron_type = self.neuron_type(activation)
        if isinstance(neuron_type, NeuronType):
            return self._add_neurons(node_id, neuron_type, biases)
        if neuron_type is None:
            obj = self.add_node(node_id)
        else:
            obj = self._add_activation(node_id, neuron_type)
        if biases is not None:
            self.add_biases(node_id, obj, biases)
        return obj

    def _add_neurons(
        self, node_id: int, neuron_type: NeuronType, biases: np.ndarray | None
    ) -> Any:
        scale = self.converter.scale_of(self.layer)
        if scale != 1:
            neuron_type, scale = scaled(neuron_type, scale, self.layer.name)
        neurons = nengo.Ensemble(
            self.output_size(node_id),
            1,
            neuron_type=neuron_type,
            # nothing is encoded or decoded, and Nengo's defaults take long to sample
            encoders=nengo.dists.Choice([[1]]),
            eval_points=nengo.dists.Uniform(-1, 1),
            gain=nengo.dists.Choice([scale]),
            bias=nengo.dists.Choice([0]) if biases is None else biases * scale,
            label=self.name(node_id),
        ).neurons
        if biases is None:
            self.set_trainable(neurons, False)
        if scale != 1:
            self._set_parameter_scale(neurons, scale)
        return neurons

    @staticmethod
    def _set_parameter_scale(neurons: nengo.ensemble.Neurons, scale: float) -> None:
        """Say that files have the gains and biases of the Keras model."""
        config = nengo.Network.context[-1].config
        if "parameter_scale" not in config[nengo.ensemble.Neurons].extra_params:
            configure_settings(parameter_scale=None)
        config[neurons].parameter_scale = scale

    def _add_activation(self, node_id: int, activation: Callable) -> TensorNode:
        if not self.converter.allow_fallback:
            raise TypeError(
                f"Unsupported activation type: {activation!r} of layer "
                f"`{self.layer.name}`; swap it for another one (`swap_activations`), "
                "or set `allow_fallback=True`"
            )
        return TensorNode(
            activation,
            shape_in=self.output_shape(node_id),
            pass_time=False,
            label=self.name(node_id),
        )

    def add_biases(
        self, node_id: int, obj: Any, biases: np.ndarray, trainable: bool = True
    ) -> nengo.Connection:
        """
        Add numbers to the input of an object.

        Parameters
        ----------
        node_id : int
            Which call of the layer.
        obj : nengo.Node
            The object.
        biases : (output_size,) array
            The numbers.
        trainable : bool
            Whether they are trained.

        Returns
        -------
        conn : nengo.Connection
            From a Node that is always 1, with the biases as weights.
        """
        one = nengo.Node([1], label=self.name(node_id) + ".bias")
        conn = nengo.Connection(one, obj, synapse=None, transform=biases[:, None])
        self.set_trainable(conn, trainable)
        return conn

    def add_connection(
        self,
        node_id: int,
        obj: Any,
        input_idx: int = 0,
        trainable: bool = False,
        **kwargs: Any,
    ) -> nengo.Connection:
        """
        Connect an input of a call with an object.

        Parameters
        ----------
        node_id : int
            Which call of the layer.
        obj : NengoObject or ObjView
            Where the connection ends.
        input_idx : int
            Which input it comes from.
        trainable : bool
            Whether its weights are trained.
        kwargs
            Passed on to `nengo.Connection`. The synapse is by default that of the
            converter if the input comes from neurons, and none otherwise.

        Returns
        -------
        conn : nengo.Connection
        """
        pre = self.get_input_obj(node_id, input_idx)
        kwargs.setdefault("synapse", self.converter.synapse_from(pre))
        conn = nengo.Connection(pre, obj, **kwargs)
        self.set_trainable(conn, trainable)
        return conn

    @staticmethod
    def set_trainable(obj: Any, trainable: bool) -> None:
        """
        Set whether the parameters of an object are trained.

        Parameters
        ----------
        obj : nengo.Connection or nengo.ensemble.Neurons or nengo.Ensemble
            An object of the innermost network.
        trainable : bool
            Whether they are.
        """
        config = nengo.Network.context[-1].config
        if "trainable" not in config[nengo.Connection].extra_params:
            configure_settings(trainable=None)
        config[obj].trainable = trainable


def _difference(layer: keras.Operation, arg: str | tuple[str, Any]) -> str | None:
    """Say how an attribute of a layer differs from what it has to be."""
    name, default = arg if isinstance(arg, tuple) else (arg, None)
    value = getattr(layer, name, default)
    if value == default:
        return None
    return f"{name} has value {value} != {default}"
