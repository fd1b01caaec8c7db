"""
Find out about a function or layer by trying it out, before it is part of a step.

In: what the user passed to a TensorNode. Out: the shape of its output; layers with
weights; and `Traits`, which decide how the step around it is compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import keras
import nengo
import tensorflow as tf
from nengo.exceptions import ValidationError

from nengo_dl.builder import Work
from nengo_dl.tensor_node.calling import (
    call_tensor_func,
    checked_call,
    explained_errors,
    tensor_func_name,
    validate_output,
)
from nengo_dl.tensor_node.operator import SimTensorNode, Traits
from nengo_dl.tensor_node.timeless import is_itemwise
from nengo_dl.tensor_node.work import (
    count_convolved,
    count_multiplied,
    largest_growth,
)
from nengo_dl.utils import are_here, xla_compiles


def infer_shape_out(node: nengo.Node, dtype: str) -> tuple[int, ...]:
    """
    Find out the shape of what a TensorNode puts out.

    Parameters
    ----------
    node : TensorNode
        The node, complete but for ``shape_out``.
    dtype : str
        Float type of the input.

    Returns
    -------
    shape_out : tuple of int
        Without the batch axis.

    Raises
    ------
    nengo.exceptions.ValidationError
        If the function or layer fails, or returns something that is not a tensor.
    """
    func = node.tensor_func
    is_layer = isinstance(func, keras.layers.Layer)
    try:
        output = (_layer_output if is_layer else _function_output)(node, dtype)
    except Exception as err:
        what = "The signature" if is_layer else "The function"
        raise ValidationError(
            f"{what} produced an error when `{tensor_func_name(func)}` of {node} was "
            f"tried on {_describe_input(node)}: {type(err).__name__}: {err}. Correct "
            "it, or pass `shape_out` to do without the trial",
            attr="tensor_func",
            obj=node,
        ) from err
    if not isinstance(output, keras.KerasTensor):
        validate_output(output, name=f"`{tensor_func_name(func)}` of {node}")
    shape = tf.TensorShape(output.shape)
    if not shape.rank or not shape[1:].is_fully_defined():
        raise ValidationError(
            f"`{tensor_func_name(func)}` of {node} returned a Tensor of shape {shape}; "
            "it needs a batch axis, and other axes of known size. Correct it, or pass "
            "`shape_out`",
            attr="shape_out",
            obj=node,
        )
    return tuple(shape[1:])


def _describe_input(node: nengo.Node) -> str:
    parts = ["a time of zero"] if node.pass_time else []
    parts += [f"input of shape {(1, *node.shape_in)}"] if node.shape_in else []
    return " and ".join(parts)


def _function_output(node: nengo.Node, dtype: str) -> Any:
    """Call the function of a node once."""
    time = tf.zeros((), dtype) if node.pass_time else None
    x = tf.zeros((1, *node.shape_in), dtype) if node.shape_in else None
    return call_tensor_func(node.tensor_func, time, x, training=False)


def _layer_output(node: nengo.Node, dtype: str) -> Any:
    """Return a symbolic output of the layer of a node, which does not compute it."""
    layer = node.tensor_func
    if layer.autocast:
        dtype = layer.compute_dtype
    time = keras.KerasTensor((), dtype) if node.pass_time else None
    x = keras.KerasTensor((1, *node.shape_in), dtype) if node.shape_in else None
    inputs = [i for i in (time, x) if i is not None]
    try:
        return layer.compute_output_spec(inputs[0] if len(inputs) == 1 else inputs)
    except Exception:
        if layer.built:
            raise
    # layers of users need not know their shapes before they are built
    _build(layer, 1, node.pass_time, node.shape_in)
    return _trace(layer, 1, dtype, node.pass_time, node.shape_in)


def _build(
    layer: keras.layers.Layer,
    batch_size: int,
    pass_time: bool,
    shape_in: tuple[int, ...] | None,
) -> None:
    """
    Build a layer, if it is not built and has its own way to do that.

    Other layers are built when they are called. This cannot wait until then, because
    they are called in a trace, where a layer cannot copy the weights of another one.
    """
    if layer.built or type(layer).build is keras.layers.Layer.build:
        return
    shapes: list[tuple[int, ...]] = [()] if pass_time else []
    shapes += [(batch_size, *shape_in)] if shape_in else []
    layer.build(shapes[0] if len(shapes) == 1 else shapes)


def _trace(
    layer: keras.layers.Layer,
    batch_size: int,
    dtype: str,
    pass_time: bool,
    shape_in: tuple[int, ...] | None,
) -> Any:
    outputs = []

    def call(*inputs: tf.Tensor) -> None:
        time = inputs[0] if pass_time else None
        x = inputs[-1] if shape_in else None
        outputs.append(call_tensor_func(layer, time, x, training=False))

    specs = _input_specs(batch_size, dtype, pass_time, shape_in)
    tf.function(call, autograph=False).get_concrete_function(*specs)
    return outputs[0]


def _input_specs(
    batch_size: int,
    dtype: tf.DType | str,
    pass_time: bool,
    shape_in: tuple[int, ...] | None,
) -> list[tf.TensorSpec]:
    specs = [tf.TensorSpec((), dtype)] if pass_time else []
    if shape_in:
        specs.append(tf.TensorSpec((batch_size, *shape_in), dtype))
    return specs


def prepare_layers(
    operators: Iterable[SimTensorNode],
    minibatch_size: int,
    dtype: str,
    phases: Sequence[bool] = (False, True),
) -> list[keras.layers.Layer]:
    """
    Try out the operators of all TensorNodes, which builds layers that are not built.

    Parameters
    ----------
    operators : list of SimTensorNode
        The operators. Their ``traits`` are set.
    minibatch_size : int
        Number of items in a minibatch.
    dtype : str
        Float type of the network.
    phases : sequence of bool
        The values of ``training`` with which layers are ever called.

    Returns
    -------
    layers : list of keras.layers.Layer
        All layers, in the order of the operators.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a call fails, or there is something wrong with an output.
    """
    layers: dict[int, keras.layers.Layer] = {}
    for op in operators:
        op.traits = find_traits(op, minibatch_size, tf.as_dtype(dtype), phases)
        if isinstance(op.func, keras.layers.Layer):
            layers[id(op.func)] = op.func
    return list(layers.values())


def find_traits(
    op: SimTensorNode,
    minibatch_size: int,
    dtype: tf.DType,
    phases: Sequence[bool] = (False, True),
) -> Traits:
    """
    Trace the function or layer of an operator, without executing it.

    It is traced once; a layer once more as in training, to see whether it adds losses,
    if it is ever called like that. A layer that may be able to compute many steps at
    once is traced with more items as well.

    Parameters
    ----------
    op : SimTensorNode
        The operator.
    minibatch_size : int
        Number of items in a minibatch.
    dtype : tf.DType
        Float type of the network.
    phases : sequence of bool
        The values of ``training`` with which a layer is ever called.

    Returns
    -------
    traits : Traits
        What the trace shows.

    Raises
    ------
    nengo.exceptions.ValidationError
        If the call fails, or there is something wrong with the output.
    """
    op.traits = Traits()
    layer = op.func if isinstance(op.func, keras.layers.Layer) else None
    pass_time = op.time is not None

    def trial(training: bool, n_items: int, **options: Any) -> Any:
        specs = _input_specs(n_items, dtype, pass_time, op.shape_in)

        def call(*inputs: tf.Tensor) -> tf.Tensor:
            time = inputs[0] if pass_time else None
            x = inputs[-1] if op.shape_in else None
            args = (op, time, x, n_items, dtype, training)
            output, _ = checked_call(*args)
            if layer is not None and _has_added_losses(layer):
                # take them off the layer
                op.traits = Traits(has_losses=True)
                output, _ = checked_call(*args)
            return output

        function = tf.function(call, autograph=False, **options)
        return function, specs, function.get_concrete_function(*specs).graph

    if layer is not None:
        with explained_errors(op, minibatch_size):
            _build(layer, minibatch_size, pass_time, op.shape_in)
    function, specs, graph = trial(phases[0], minibatch_size, jit_compile=True)
    nodes = _nodes(graph)
    n_values = None
    if layer is not None and not op.traits.has_losses:
        if op.time is None and is_itemwise(layer, phases):
            n_values = _values_of_item(
                graph, partial(trial, phases[-1]), minibatch_size
            )
        else:
            for phase in phases[1:]:
                trial(phase, minibatch_size)
    n_convolved = count_convolved(graph) // minibatch_size
    n_multiplied = count_multiplied(graph) // minibatch_size
    # some variables count in training only, such as the seed of a dropout
    variables = () if layer is None else layer.variables
    return Traits(
        compiles=getattr(op.func, "supports_jit", True)
        and are_here(variables)
        and _is_deterministic(nodes)
        and xla_compiles(function, specs),
        work=Work(n_convolved + n_multiplied, n_convolved, n_values or 0),
        has_losses=op.traits.has_losses,
        calls_python=any(node.op == "EagerPyFunc" for node in nodes),
        timeless=n_values is not None,
    )


def _values_of_item(
    graph: tf.Graph, trial: Callable[[int], tuple], minibatch_size: int
) -> int | None:
    """
    Trace a layer with twice as many items, which steps together have.

    Parameters
    ----------
    graph : tf.Graph
        The trace of ``minibatch_size`` items.
    trial : callable
        Maps a number of items to a function, its signature, and its graph.
    minibatch_size : int
        Number of items in a minibatch.

    Returns
    -------
    n_values : int or None
        Number of elements of the largest intermediate result, for one item. None if
        the layer does not do the same with more items, or changes variables, as if it
        counted calls.
    """
    try:
        _, _, larger = trial(2 * minibatch_size)
    except ValidationError:  # it is made for minibatches of one size
        trial(minibatch_size)
        return None
    if any("Assign" in node.op or "Random" in node.op for node in _nodes(larger)):
        return None
    n_elements = largest_growth(graph, larger)
    return None if n_elements is None else n_elements // minibatch_size


def has_gradient(op: SimTensorNode, minibatch_size: int, dtype: tf.DType) -> bool:
    """
    Return whether a gradient flows through a function or layer to its input.

    Parameters
    ----------
    op : SimTensorNode
        The operator, of a TensorNode with input.
    minibatch_size : int
        Number of items in a minibatch.
    dtype : tf.DType
        Float type of the network.
    """
    pass_time = op.time is not None

    @tf.function(autograph=False)
    def gradient(*inputs: tf.Tensor) -> tf.Tensor:
        x, time = inputs[-1], inputs[0] if pass_time else None
        with tf.GradientTape() as tape:
            tape.watch(x)
            output, _ = checked_call(op, time, x, minibatch_size, dtype, training=True)
        return tape.gradient(output, x)

    specs = _input_specs(minibatch_size, dtype, pass_time, op.shape_in)
    return gradient.get_concrete_function(*specs).structured_outputs is not None


def _has_added_losses(layer: keras.layers.Layer) -> bool:
    """Return whether a layer has added losses when it was called."""
    n_regularizers = sum(v.regularizer is not None for v in layer.trainable_weights)
    return len(layer.losses) > n_regularizers


def _nodes(graph: tf.Graph) -> list[Any]:
    """Return all operations of a graph, and of the functions that it calls."""
    graph_def = graph.as_graph_def()
    nodes = list(graph_def.node)
    for inner in graph_def.library.function:
        nodes.extend(inner.node_def)
    return nodes


def _is_deterministic(nodes: Iterable[Any]) -> bool:
    """Return whether XLA has the same results, as it ignores seeds and assertions."""
    return not any(node.op == "Assert" or "seed2" in node.attr for node in nodes)
