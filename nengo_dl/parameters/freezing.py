"""
Parameters of a simulator as arguments of Nengo objects.

In: live values of parameters. Out: arguments with which Nengo builds the same values,
or the objects of a network changed by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import nengo
import numpy as np
from nengo.solvers import NoSolver
from nengo.transforms import (
    Convolution,
    ConvolutionTranspose,
    Dense,
    NoTransform,
    Sparse,
    SparseMatrix,
    Transform,
)

from nengo_dl.graph.layout import sparse_indices
from nengo_dl.parameters.matching import shared_value
from nengo_dl.simulation.live_data import SimulationData


def nengo_arguments(data: SimulationData, obj: Any) -> dict[str, Any]:
    """
    Return the arguments with which Nengo builds an object with its live parameters.

    Parameters
    ----------
    data : SimulationData
        Live values of parameters.
    obj : nengo.Ensemble or nengo.ensemble.Neurons or nengo.Connection
        An object of the simulated network.

    Returns
    -------
    arguments : dict of {str: object}
        For `nengo.Ensemble` or `nengo.Connection`.

    Raises
    ------
    ValueError
        If the object is of another type, in Direct mode, or has parameters that items
        of a minibatch have learned separately.
    NotImplementedError
        If the transform of a connection is of an unknown type.
    """
    if isinstance(obj, nengo.ensemble.Neurons):
        obj = obj.ensemble
    if isinstance(obj, nengo.Ensemble):
        return _ensemble_arguments(data, obj)
    if isinstance(obj, nengo.Connection):
        return _connection_arguments(data, obj)
    raise ValueError(
        f"Only Ensembles and Connections have parameters (received {obj}, a "
        f"`{type(obj).__name__}`)"
    )


def _ensemble_arguments(data: SimulationData, ens: nengo.Ensemble) -> dict[str, Any]:
    built = data.built(ens)
    if built.gain is None:
        raise ValueError(
            f"{ens} is in Direct mode, and Nengo lets nobody set its parameters; leave "
            "it out, or give it another `neuron_type`. (If its encoders were trained, "
            "set the option `trainable` to False for it before the training.)"
        )
    # neurons that were built without gain may have got encoders in training
    gain = np.where(built.gain == 0, np.ones_like(built.gain), built.gain)
    scaled = _live_value(data, ens, "scaled_encoders")
    return {
        "encoders": scaled * ens.radius / gain[:, None],
        "normalize_encoders": False,
        "gain": gain,
        "bias": _live_value(data, ens, "bias"),
        "max_rates": nengo.Ensemble.max_rates.default,
        "intercepts": nengo.Ensemble.intercepts.default,
    }


def _live_value(data: SimulationData, obj: Any, attr: str) -> np.ndarray:
    """Return the live value of a parameter without minibatch axis."""
    built = getattr(data.built(obj), attr)
    value = data.get_params((obj, attr))[0]
    if np.ndim(value) == np.ndim(built):
        return value
    try:
        return shared_value(value)
    except ValueError as err:
        raise ValueError(
            f"`{attr}` of {obj} {err}; run one item in a Simulator without "
            "`minibatch_size`"
        ) from err


def _connection_arguments(
    data: SimulationData, conn: nengo.Connection
) -> dict[str, Any]:
    if data.built(conn).weights is None:
        return {"transform": None}
    transform = conn.transform
    if isinstance(transform, Sparse):
        return {"transform": _with_init(transform, _sparse_weights(data, conn))}
    weights = _live_value(data, conn, "weights")
    if isinstance(transform, (Convolution, ConvolutionTranspose)):
        return {"transform": _with_init(transform, weights)}
    if isinstance(transform, (Dense, NoTransform)):
        if _is_decoded(conn):
            return _decoder_arguments(conn, weights)
        # learning rules want matrices
        if weights.size == 1 and conn.learning_rule_type is None:
            weights = np.squeeze(weights)
        return {"transform": weights}
    raise NotImplementedError(
        f"Parameters of a `{type(transform).__name__}` cannot be set ({conn}); Dense, "
        "Sparse, Convolution, and ConvolutionTranspose transforms are supported"
    )


def _sparse_weights(data: SimulationData, conn: nengo.Connection) -> SparseMatrix:
    indices, built = sparse_indices(data.sim.model.sig[conn]["weights"])
    weights = data.get_params((conn, "weights"))[0]
    # what has not changed comes as the matrix that was built
    values = weights if isinstance(weights, np.ndarray) else built
    return SparseMatrix(indices, values, conn.transform.shape)


def _is_decoded(conn: nengo.Connection) -> bool:
    pre = conn.pre_obj
    return isinstance(pre, nengo.Ensemble) and not _is_direct(pre)


def _is_direct(ens: nengo.Ensemble) -> bool:
    return isinstance(ens.neuron_type, nengo.Direct)


def _decoder_arguments(conn: nengo.Connection, weights: np.ndarray) -> dict[str, Any]:
    full_weights = conn.solver.weights and isinstance(conn.post_obj, nengo.Ensemble)
    return {
        # says how many outputs there are; anybody can unpickle it
        "function": partial(np.dot, np.zeros((conn.size_out, conn.size_in))),
        "transform": None,
        "solver": _full_weights(weights) if full_weights else NoSolver(weights.T),
    }


def _full_weights(weights: np.ndarray) -> NoSolver:
    """Return a solver that gives the weights between the neurons of two ensembles."""
    solver = NoSolver(weights.T, weights=True)
    # otherwise Nengo would take them for decoders, and multiply them with the encoders;
    # an attribute, as unpickling a class of our own would need this package
    solver.compositional = False
    return solver


def _with_init(transform: Transform, init: np.ndarray | SparseMatrix) -> Transform:
    """Return a copy of a transform with another initial value."""
    cls: Any = type(transform)
    changed = cls.__new__(cls)
    changed.__setstate__({**transform.__getstate__(), "init": init})
    return changed


def freeze(data: SimulationData, objects: Sequence[Any]) -> None:
    """
    Set the parameters of objects to their live values.

    Parameters
    ----------
    data : SimulationData
        Live values of parameters.
    objects : sequence of nengo.Network or nengo.Ensemble or nengo.Connection
        What to freeze; networks with everything in them.

    Raises
    ------
    ValueError
        If one of them is not part of the simulated network.
    TypeError
        If one of them is something else.
    """
    arguments = {obj: nengo_arguments(data, obj) for obj in _parts(data, objects)}
    # nothing has changed until here
    for obj, values in arguments.items():
        for name, value in values.items():
            setattr(obj, name, value)


def _parts(data: SimulationData, objects: Sequence[Any]) -> list[Any]:
    """Return all ensembles and connections that the objects consist of."""
    parts: dict = {}
    for obj in objects:
        if not isinstance(obj, (nengo.Network, nengo.Ensemble, nengo.Connection)):
            raise TypeError(
                "Only Networks, Ensembles, and Connections can be frozen (received "
                f"{obj}, a `{type(obj).__name__}`)"
            )
        if obj not in data:
            raise ValueError(
                f"{obj} is not part of the simulated network; only what existed when "
                "the Simulator was built can be frozen"
            )
        if isinstance(obj, nengo.Network):
            parts.update(
                (ens, None)
                for ens in obj.all_ensembles
                if ens in data
                if not _is_direct(ens) or data[ens] is not data.built(ens)
            )
            parts.update(dict.fromkeys(c for c in obj.all_connections if c in data))
        else:
            parts[obj] = None
    return list(parts)
