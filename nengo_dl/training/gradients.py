"""
Where gradients flow, and whether they are right.

In: a compiled network. Out: the operators at which the paths from trained parameters to
probes break, and Jacobians, compared with finite differences.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import nengo
import numpy as np
import tensorflow as tf
from nengo.builder.operator import Operator
from nengo.exceptions import SimulationError, ValidationError

from nengo_dl.builder import Builder
from nengo_dl.graph.trainability import is_trainable
from nengo_dl.simulation.device import working_context
from nengo_dl.tensor_graph import TensorGraph
from nengo_dl.tensor_node import SimTensorNode, has_gradient
from nengo_dl.utils import describe_operator


def broken_paths(graph: TensorGraph, probes: Iterable[nengo.Probe]) -> list[str]:
    """
    Name everything between trained parameters and probes that has no gradient.

    Parameters
    ----------
    graph : TensorGraph
        The compiled network.
    probes : iterable of nengo.Probe
        The probes that have a loss.

    Returns
    -------
    names : list of str
        Names of functions, neurons, processes, and TensorNodes.
    """
    obstacles = [
        op
        for build in Builder(graph.training_plan).op_builds.values()
        if not (build.pure if build.differentiable is None else build.differentiable)
        for op in build.ops
    ]
    obstacles += [
        op
        for op in _between(graph, probes, _tensor_nodes(graph))
        if not has_gradient(op, graph.minibatch_size, graph.step.signals.dtype)
    ]
    broken = _between(graph, probes, obstacles, obstacles)
    return list(dict.fromkeys(describe_operator(op) for op in broken))


def python_in_loops(graph: TensorGraph, probes: Iterable[nengo.Probe]) -> list[str]:
    """
    Name the TensorNodes whose gradients are needed, but are not known in loops.

    Parameters
    ----------
    graph, probes
        See `broken_paths`.
    """
    nodes = [op for op in _tensor_nodes(graph) if op.traits.calls_python]
    return [describe_operator(op) for op in _between(graph, probes, nodes)]


def _tensor_nodes(graph: TensorGraph) -> list[SimTensorNode]:
    ops = (op for group in graph.training_plan for op in group)
    return [op for op in ops if isinstance(op, SimTensorNode)]


def _between(
    graph: TensorGraph,
    probes: Iterable[nengo.Probe],
    wanted: Sequence,
    obstacles: Sequence = (),
) -> list:
    """Return the wanted operators between trained parameters and probes."""
    if not wanted:
        return []
    ops = [op for group in graph.training_plan for op in group]
    trained = {s for s in graph.program.layout.places if is_trainable(s)}
    for op in _tensor_nodes(graph):
        if isinstance(op.func, keras.layers.Layer) and op.func.trainable_weights:
            trained |= _written(op)
    stops = set(obstacles)
    links = [(_read(op), _written(op)) for op in ops if op not in stops]
    before = _reached(trained, links)
    signals = graph.program.version(training=True).probes
    probed = {signals[probe].base for probe in probes}
    after = _reached(probed, [(_written(op), _read(op)) for op in ops])
    return [op for op in wanted if _read(op) & before and _written(op) & after]


def _read(op: Operator) -> set:
    return {signal.base for signal in op.reads + op.updates}


def _written(op: Operator) -> set:
    return {signal.base for signal in op.sets + op.incs + op.updates}


def _reached(start: set, links: Sequence[tuple[set, set]]) -> set:
    """Return all that can be reached from some signals."""
    reached = set(start)
    size = 0
    while len(reached) > size:
        size = len(reached)
        for source, target in links:
            if source & reached:
                reached |= target
    return reached


def checked_probes(outputs: Any, probes: Sequence[nengo.Probe]) -> list[nengo.Probe]:
    """
    Return the Probes that a user wants the gradients of.

    Parameters
    ----------
    outputs : object
        What the user passed; None for all Probes.
    probes : list of nengo.Probe
        The Probes of the network.

    Raises
    ------
    nengo.exceptions.ValidationError
        If it is no list of them.
    """
    rule = "pass a list of Probes of this network, or None for all of them"
    if outputs is None:
        return list(probes)
    if not isinstance(outputs, (list, tuple)):
        raise ValidationError(f"{rule} (received {outputs!r})", "outputs")
    for output in outputs:
        if output not in probes:
            raise ValidationError(
                f"{output} is not a Probe of this network; {rule}", "outputs"
            )
    return list(outputs)


def compare_gradients(
    graph: TensorGraph,
    inputs: Sequence[np.ndarray],
    probes: Sequence[nengo.Probe],
    atol: float,
    rtol: float,
) -> dict[nengo.Probe, dict[str, list[np.ndarray]]]:
    """
    Compare gradients with central finite differences.

    Parameters
    ----------
    graph : TensorGraph
        The compiled network.
    inputs : list of (minibatch_size, n_steps, size_out) array
        Outputs of the Nodes, where gradients are computed.
    probes : list of nengo.Probe
        What is differentiated.
    atol, rtol : float
        Analytic gradients ``a`` and numeric gradients ``n`` must satisfy
        ``|a - n| < atol + rtol * |n|``.

    Returns
    -------
    gradients : dict of {nengo.Probe: dict}
        ``"analytic"`` and ``"numeric"`` Jacobians with regard to every input.

    Raises
    ------
    nengo.exceptions.SimulationError
        If gradients differ, or are NaN.
    """
    dtype = graph.program.settings.dtype
    values = [tf.constant(value, dtype) for value in inputs]
    n_steps = values[0].shape[1] if values else graph.unroll
    counts = tf.fill([graph.minibatch_size, 1], n_steps)
    positions = {probe: i for i, probe in enumerate(graph.program.probes)}
    gradients = {}
    for probe in probes:

        @tf.function(autograph=False)
        def output(*values: tf.Tensor, position: int = positions[probe]) -> tf.Tensor:
            with working_context(None, dtype, alone=True):
                return graph.simulate([*values, counts], training=True)[1][position]

        with np.errstate(all="ignore"):
            analytic, numeric = tf.test.compute_gradient(output, values)
        for a, n in zip(analytic, numeric):
            if np.isnan(a).any() or np.isnan(n).any():
                raise SimulationError(
                    f"NaNs detected in the gradients of {probe}; look for functions "
                    "without a derivative at the inputs given, such as 1/x at 0"
                )
            if (np.abs(a - n) >= atol + rtol * np.abs(n)).any():
                raise SimulationError(
                    f"Gradient check failed for {probe}: analytic and numeric "
                    f"gradients differ by up to {np.abs(a - n).max():.3g}\n"
                    f"numeric:\n{n}\nanalytic:\n{a}"
                )
        gradients[probe] = {"analytic": analytic, "numeric": numeric}
    return gradients
