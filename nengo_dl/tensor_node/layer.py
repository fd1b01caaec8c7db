"""
Layers in the manner of Keras: an object and the Connection into it, in one call.

In: a function, Keras layer or neuron type, and a Nengo object. Out: a `TensorNode` (or
neurons) to which that object is connected.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import nengo
import numpy as np
from nengo.base import NengoObject, ObjView
from nengo.exceptions import ValidationError

from nengo_dl.config import configure_settings
from nengo_dl.tensor_node.calling import tensor_func_name
from nengo_dl.tensor_node.node import TensorNode


class Layer:
    """
    A function, Keras layer or neuron type, to be applied to Nengo objects.

    .. code-block:: python

       x = nengo_dl.Layer(keras.layers.Dense(units=10))(x)

    is short for

    .. code-block:: python

       node = nengo_dl.TensorNode(
           keras.layers.Dense(units=10), shape_in=(x.size_out,), pass_time=False
       )
       nengo.Connection(x, node, synapse=None)
       x = node

    with a Connection that is not trained.

    Parameters
    ----------
    layer_func : callable or keras.layers.Layer or nengo.neurons.NeuronType
        What to apply. A Keras layer that is applied twice has its weights once.

    Raises
    ------
    nengo.exceptions.ValidationError
        If it is a class, or cannot be applied.
    """

    def __init__(self, layer_func: Callable | nengo.neurons.NeuronType):
        if isinstance(layer_func, type) or not (
            callable(layer_func) or isinstance(layer_func, nengo.neurons.NeuronType)
        ):
            hint = ""
            if isinstance(layer_func, type):
                hint = f"; create an instance, such as `{layer_func.__name__}(...)`"
            raise ValidationError(
                "must be a function, a Keras layer, or a neuron type (received "
                f"{layer_func!r}){hint}",
                attr="layer_func",
            )
        if isinstance(layer_func, nengo.Direct):
            raise ValidationError(
                "Direct mode has no neurons to apply; pass another neuron type, or the "
                "function itself",
                attr="layer_func",
            )
        self.layer_func = layer_func

    def __call__(
        self,
        input: Any,
        transform: Any = None,
        shape_in: tuple[int, ...] | None = None,
        synapse: Any = None,
        return_conn: bool = False,
        **layer_args: Any,
    ) -> Any:
        """
        Apply the layer to the output of a Nengo object.

        Parameters
        ----------
        input : nengo.base.NengoObject or nengo.base.ObjView
            Where the input comes from.
        transform : array or nengo.transforms.Transform, optional
            Applied to the input on its way.
        shape_in : tuple of int, optional
            Shape of the input of the layer, without a batch axis; by default a vector
            of as many elements as come out of ``transform`` (or of ``input``).
        synapse : float or nengo.synapses.Synapse, optional
            Filters the input on its way.
        return_conn : bool
            Whether to return the Connection as well.
        layer_args
            Passed on to `TensorNode`, or to `nengo.Ensemble` for neuron types.

        Returns
        -------
        obj : TensorNode or nengo.ensemble.Neurons
            The layer's output.
        conn : nengo.Connection
            From ``input`` to ``obj``; only if ``return_conn`` is True.

        Raises
        ------
        nengo.exceptions.ValidationError
            If the input is no Nengo object with an output.
        """
        if not isinstance(input, (NengoObject, ObjView, nengo.ensemble.Neurons)):
            raise ValidationError(
                "Layers are applied to Nengo objects, such as Nodes and ensembles, "
                f"within a network (received {input!r})",
                attr="input",
            )
        size = _size_of(input, transform)
        if isinstance(self.layer_func, nengo.neurons.NeuronType):
            n_neurons = size if shape_in is None else math.prod(shape_in)
            obj = nengo.Ensemble(
                n_neurons, 1, neuron_type=self.layer_func, **layer_args
            ).neurons
        else:
            obj = TensorNode(
                self.layer_func,
                shape_in=(size,) if shape_in is None else shape_in,
                pass_time=False,
                **layer_args,
            )
        conn = nengo.Connection(input, obj, synapse=synapse, transform=transform)
        _mark_as_fixed(conn)
        return (obj, conn) if return_conn else obj

    def __str__(self) -> str:
        return f"Layer({tensor_func_name(self.layer_func)})"


def _size_of(input: Any, transform: Any) -> int:
    """Return the number of elements that a Connection delivers."""
    if isinstance(transform, nengo.transforms.Transform):
        size = transform.size_out
        return input.size_out if size is None else size
    if isinstance(transform, np.ndarray) and transform.ndim == 2:
        return transform.shape[0]
    return input.size_out


def _mark_as_fixed(conn: nengo.Connection) -> None:
    """Configure a Connection as not trainable, for all networks that it is in."""
    for network in list(nengo.Network.context):
        if "trainable" not in network.config[nengo.Connection].extra_params:
            with network:
                configure_settings(trainable=None)
        network.config[conn].trainable = False


def tensor_layer(input: Any, layer_func: Callable, **kwargs: Any) -> Any:
    """
    Deprecated; use `Layer`.

    Parameters
    ----------
    input : nengo.base.NengoObject
        Where the input comes from.
    layer_func : callable or keras.layers.Layer or nengo.neurons.NeuronType
        What to apply.
    kwargs
        Passed on to the call of the `Layer`.

    Warns
    -----
    DeprecationWarning
        Always.
    """
    warnings.warn(
        "tensor_layer is deprecated, use nengo_dl.Layer instead: "
        "`nengo_dl.Layer(layer_func)(input, ...)`",
        DeprecationWarning,
    )
    return Layer(layer_func)(input, **kwargs)
