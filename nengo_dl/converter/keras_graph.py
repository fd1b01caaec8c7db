"""
The computations of a Keras model, one call of a layer after the other.

In: a functional (or Sequential) Keras model. Out: a `KerasGraph`, the calls in the
order in which they can be computed, with the tensors that they take and make.
Converters read it; calibration and reports run it, layer by layer, on data.

Keras shows the calls of a model to those who clone it. Here, every layer and operation
is "cloned" by a `_StandIn` that infers shapes and computes nothing, so that neither the
model nor its layers are changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from nengo_dl.tensor_node.timeless import FUNCTIONAL


def is_keras_tensor(value: Any) -> bool:
    """Return whether a value is a symbolic tensor of Keras."""
    return isinstance(value, keras.KerasTensor)


def is_graph(op: Any) -> bool:
    """Return whether a layer is a model whose calls can be looked at."""
    if isinstance(op, keras.Sequential):
        return op.built
    return isinstance(op, FUNCTIONAL) and type(op).call is FUNCTIONAL.call


@dataclass(frozen=True, eq=False)
class Call:
    """
    One call of a layer or operation in a model.

    Parameters
    ----------
    op : keras.Operation
        The layer or operation.
    node_id : int
        How many calls of the same layer come before this one in the model.
    args, kwargs : tuple, dict
        The arguments, with symbolic tensors.
    output : object
        What it returned, a symbolic tensor or a structure of them.
    per_step : bool
        Whether another layer calls it for every step in time, of which the tensors have
        an axis all the same.
    """

    op: keras.Operation
    node_id: int
    args: tuple
    kwargs: dict
    output: Any
    per_step: bool = False

    @property
    def inputs(self) -> list[keras.KerasTensor]:
        """The tensors among the arguments."""
        return list(filter(is_keras_tensor, tf.nest.flatten([self.args, self.kwargs])))

    @property
    def outputs(self) -> list[keras.KerasTensor]:
        """The tensors of the output."""
        return list(filter(is_keras_tensor, tf.nest.flatten(self.output)))

    @property
    def is_plain(self) -> bool:
        """Whether the layer is called with one tensor and nothing else."""
        rest = [value for value in self.kwargs.values() if value is not None]
        return len(self.args) == 1 and is_keras_tensor(self.args[0]) and not rest


class KerasGraph:
    """
    The calls of a Keras model.

    Parameters
    ----------
    model : keras.Model
        A functional model, or a Sequential one that is built.
    outputs : list of keras.KerasTensor, optional
        Tensors to compute; by default the outputs of the model.

    Attributes
    ----------
    inputs, outputs : list of keras.KerasTensor
        Symbolic tensors (not those of the model, but standing for them).
    calls : list of Call
        What is computed, in order.
    input_layers : list of keras.layers.InputLayer
        The layers of the inputs.
    nested : dict of {int: KerasGraph}
        By ``id(model)``, the graphs of the models that are called as layers.
    """

    def __init__(
        self, model: keras.Model, outputs: Sequence[keras.KerasTensor] | None = None
    ):
        # a new model, as that of the user may be compiled, which is cloned as well
        flat = keras.Model(model.inputs, model.outputs if outputs is None else outputs)
        self.calls: list[Call] = []
        self.nested: dict[int, KerasGraph] = {}
        self._n_calls: Counter[int] = Counter()
        clone = keras.models.clone_model(
            flat, clone_function=lambda op: op, call_function=self._record
        )
        self.inputs = list(clone.inputs)
        self.outputs = list(clone.outputs)
        layers = [x for x in flat.layers if isinstance(x, keras.layers.InputLayer)]
        self.input_layers = [
            next(layer for layer in layers if layer.output is tensor)
            for tensor in flat.inputs
        ]

    def _record(self, op: keras.Operation, *args: Any, **kwargs: Any) -> Any:
        """Note a call, and return new tensors in place of its output."""
        # Keras gives all layers of a model that of the call of the model
        kwargs.pop("training", None)
        output = _StandIn(op)(*args, **kwargs)
        self.calls.append(Call(op, self._n_calls[id(op)], args, kwargs, output))
        self._n_calls[id(op)] += 1
        if is_graph(op) and id(op) not in self.nested:
            self.nested[id(op)] = KerasGraph(op)
        return output

    def calls_of(self, op: keras.Operation) -> list[Call]:
        """Return the calls of a layer, by their ``node_id``."""
        return [call for call in self.calls if call.op is op]

    def signatures(self) -> dict[int, tuple]:
        """
        Describe how each tensor is computed.

        Returns
        -------
        signatures : dict of {int: tuple}
            By ``id(tensor)``, a value that is the same for all tensors (of this graph
            and of others of the same model) that are computed in the same way.
        """
        found: dict[int, tuple] = {
            id(tensor): ("input", id(layer))
            for tensor, layer in zip(self.inputs, self.input_layers)
        }
        for call in self.calls:
            arguments = tuple(
                found[id(value)] if is_keras_tensor(value) else repr(value)
                for value in tf.nest.flatten([call.args, call.kwargs])
            )
            for index, tensor in enumerate(call.outputs):
                # the hash stands for all that comes before
                found[id(tensor)] = (id(call.op), index, hash(arguments))
        return found

    def run(
        self,
        inputs: Sequence[Any],
        compute: Callable[[tuple, Call, tuple, dict], Any] | None = None,
        path: tuple = (),
    ) -> list[Any]:
        """
        Compute the outputs, call by call, as in inference.

        Parameters
        ----------
        inputs : list of (batch_size, ...) tensors
            One for every input.
        compute : callable, optional
            Computes a call in place of its layer: called with the path, the call, and
            its arguments, with the values of tensors. Calls of nested models are
            computed call by call, unless they are not known to be models.
        path : tuple of Call
            The calls of nested models that lead here.

        Returns
        -------
        outputs : list of (batch_size, ...) tensors
        """
        values = {id(symbol): x for symbol, x in zip(self.inputs, inputs)}
        n_uses = Counter(id(symbol) for call in self.calls for symbol in call.inputs)
        n_uses.update(id(symbol) for symbol in self.outputs)

        def value_of(argument: Any) -> Any:
            return values[id(argument)] if is_keras_tensor(argument) else argument

        for call in self.calls:
            args, kwargs = tf.nest.map_structure(value_of, (call.args, call.kwargs))
            here = (*path, call)
            if id(call.op) in self.nested:
                nested = self.nested[id(call.op)]
                output: Any = nested.run(tf.nest.flatten(args), compute, here)
            elif compute is not None:
                output = compute(here, call, args, kwargs)
            else:
                output = call_op(call.op, args, kwargs, training=False)
            for symbol, x in zip(call.outputs, tf.nest.flatten(output)):
                values[id(symbol)] = x
            n_uses.subtract(id(symbol) for symbol in call.inputs)
            for symbol in call.inputs:
                if not n_uses[id(symbol)]:
                    values.pop(id(symbol), None)  # large, and not needed any more
        return [values[id(symbol)] for symbol in self.outputs]

    def all_calls(self) -> Iterator[Call]:
        """Go through all calls, with those of nested models after their own."""
        for call in self.calls:
            yield call
            if id(call.op) in self.nested:
                yield from self.nested[id(call.op)].all_calls()


def call_op(op: keras.Operation, args: tuple, kwargs: dict, training: bool) -> Any:
    """
    Call a layer or operation.

    Parameters
    ----------
    op : keras.Operation
        The layer or operation.
    args, kwargs : tuple, dict
        The arguments.
    training : bool
        Whether layers behave as in training.
    """
    if isinstance(op, keras.layers.Layer):
        return op(*args, training=training, **kwargs)
    return op(*args, **kwargs)


class _StandIn(keras.Operation):
    """Infers the outputs of a layer or operation, which itself is not called."""

    def __init__(self, op: keras.Operation):
        super().__init__()
        self.op = op

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output."""
        return self.op(*args, **kwargs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Infer the output."""
        return self.op.compute_output_spec(*args, **kwargs)


def as_functional(model: keras.Model) -> keras.Model:
    """
    Return a model as a functional one.

    Parameters
    ----------
    model : keras.Model
        Any model. A subclassed one must have been built or called.

    Returns
    -------
    model : keras.Model
        The same model if it is functional; one that calls it if it is subclassed.

    Raises
    ------
    TypeError
        If it is no Keras model.
    ValueError
        If its inputs are not known yet.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"`Converter` takes a Keras model (received: {model!r}); a single layer "
            "becomes one by `keras.Sequential([keras.Input(shape), layer])`"
        )
    if isinstance(model, keras.Sequential) and model.built:
        return keras.Model(model.inputs, model.outputs, name=model.name)
    if is_graph(model):
        return model
    shape = (model.get_build_config() or {}).get("input_shape")
    if not shape:
        raise ValueError(
            f"The shapes of the inputs of model `{model.name}` are not known; begin a "
            "Sequential model with `keras.Input(shape)`, call a subclassed one "
            "(`x = keras.Input(shape); keras.Model(x, model(x))`)"
        )
    x = keras.Input(batch_shape=shape)
    return keras.Model(x, model(x), name=model.name)
