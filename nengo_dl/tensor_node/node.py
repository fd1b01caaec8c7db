"""
The Nengo object that holds a function or Keras layer.

In: what the user wants to insert. Out: a `TensorNode` of known input and output size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import nengo
from nengo.base import NengoObject
from nengo.exceptions import ValidationError
from nengo.params import BoolParam, Default, Parameter, ShapeParam

from nengo_dl.config import get_setting
from nengo_dl.tensor_node.operator import refuse_to_run
from nengo_dl.tensor_node.trial import infer_shape_out


class TensorFuncParam(Parameter):
    """A parameter that is a function or a Keras layer."""

    def coerce(self, instance: nengo.Node, value: Any) -> Any:
        """Check that the value can be called on tensors."""
        if isinstance(value, type) or not callable(value):
            hint = "pass something that can be called"
            if isinstance(value, type):
                hint = f"create an instance, such as `{value.__name__}(...)`"
            raise ValidationError(
                "A TensorNode needs a TensorFlow function or Keras Layer (received: "
                f"{value!r}); {hint}",
                attr=self.name,
                obj=instance,
            )
        return super().coerce(instance, value)


class TensorNode(nengo.Node):
    """
    A TensorFlow function or Keras layer as a node of a Nengo network.

    It is called in every simulation step, within the compiled step if XLA can compile
    it, and gradients flow through it. A Keras layer may be anything from ``Dense`` to a
    whole (pretrained) `keras.Model`.

    Parameters
    ----------
    tensor_func : callable or keras.layers.Layer
        A function ``f(t)``, ``f(x)`` or ``f(t, x)`` of tensors that returns a tensor,
        or a layer that is called with ``t``, ``x``, or the list ``[t, x]``. The time
        ``t`` is a scalar, in seconds. The input ``x`` has the shape
        ``(minibatch_size,) + shape_in``; the output must have the shape
        ``(minibatch_size,) + shape_out``.
    shape_in : tuple of int, optional
        Shape of the input without the batch axis. None if there is no input.
    shape_out : tuple of int, optional
        Shape of the output without the batch axis. By default it is found out by
        calling the function once, with a time of zero and an input of zeros in a batch
        of one, or by Keras's inference of shapes.
    pass_time : bool
        Whether the function is passed the time.
    label : str, optional
        A name for the node.

    Attributes
    ----------
    size_in, size_out : int
        Number of elements of the input and output.

    Raises
    ------
    nengo.exceptions.ValidationError
        If an argument is invalid, or ``shape_out`` cannot be found out.

    Notes
    -----
    The weights of a layer are those of the object that was passed in: the simulator
    trains that very object, and so does everybody else who uses it. They are trained
    unless the layer (or one of its weights) is not ``trainable``, or the network is
    configured with ``inference_only``. The ``trainable`` option of Nengo objects does
    not apply to them.

    A layer computes in its own float type. If the network has another, the input is
    cast to the one, and the output to the other.

    A layer that needs several inputs gets them side by side in one vector, which it
    splits:

    .. code-block:: python

       class Product(keras.layers.Layer):
           def call(self, x):
               a, b = keras.ops.split(x, 2, axis=-1)
               return a * b

       node = nengo_dl.TensorNode(Product(), shape_in=(20,), pass_time=False)
       nengo.Connection(first, node[:10], synapse=None)
       nengo.Connection(second, node[10:], synapse=None)

    `nengo.Simulator` builds networks with TensorNodes, but cannot run them.
    """

    shape_in = ShapeParam("shape_in", default=None, low=1, optional=True)
    shape_out = ShapeParam("shape_out", default=None, low=1, optional=True)
    pass_time = BoolParam("pass_time", default=True)
    tensor_func: Any = TensorFuncParam("tensor_func")

    _param_init_order = ["shape_in", "shape_out", "pass_time", "tensor_func"]

    def __init__(
        self,
        tensor_func: Callable,
        shape_in: Any = Default,
        shape_out: Any = Default,
        pass_time: Any = Default,
        label: Any = Default,
    ):
        # not that of `nengo.Node`, which wants a Python function
        NengoObject.__init__(self, label=label, seed=None)
        self.shape_in = shape_in
        self.shape_out = shape_out
        self.pass_time = pass_time
        self.tensor_func = tensor_func
        if not self.shape_in and not self.pass_time:
            raise ValidationError(
                f"Must specify either shape_in or pass_time: {self} has neither an "
                "input nor the time to work on",
                attr="pass_time",
                obj=self,
            )
        if self.shape_out is None:
            self.shape_out = infer_shape_out(self, self._dtype())
        self.size_in = math.prod(self.shape_in) if self.shape_in else 0
        self.size_out = math.prod(self.shape_out)

    @staticmethod
    def _dtype() -> str:
        """Return the float type of the network that is being built."""
        context = nengo.Network.context
        network = context[0] if len(context) > 0 else None
        return get_setting(network, "dtype", default="float32")

    @property
    def output(self) -> Callable:
        """A function that raises an error, for simulators that call the node."""
        return partial(refuse_to_run, str(self))
