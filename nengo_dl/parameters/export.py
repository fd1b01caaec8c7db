"""
Parameters of a simulator as plain arrays.

In: live values of parameters. Out: dictionaries of NumPy arrays, which can be used
without Nengo.
"""

from __future__ import annotations

import nengo
import numpy as np

from nengo_dl.graph.layout import sparse_indices
from nengo_dl.parameters.live import layer_weights
from nengo_dl.parameters.names import built_names
from nengo_dl.simulation.live_data import SimulationData


def export(data: SimulationData) -> dict[str, dict[str, np.ndarray]]:
    """
    Return all parameters; see `nengo_dl.Simulator.export_params`.

    Parameters
    ----------
    data : SimulationData
        Live values of parameters.
    """
    model = data.sim.model
    if model.toplevel is None:
        return {}
    exported: dict[str, dict[str, np.ndarray]] = {}
    names = built_names(model)
    for obj, name in names.items():
        if isinstance(obj, nengo.Ensemble):
            exported[name] = _ensemble(data, obj)
        elif isinstance(obj, nengo.Connection) and data.built(obj).weights is not None:
            exported[name] = _connection(data, obj)
    for node, name, _, _, weight in layer_weights(data.sim.tensor_graph):
        exported.setdefault(names[node], {})[name] = np.array(weight.numpy())
    return exported


def _ensemble(data: SimulationData, ens: nengo.Ensemble) -> dict[str, np.ndarray]:
    live = data[ens]
    arrays = {
        "encoders": live.encoders,
        "scaled_encoders": live.scaled_encoders,
        "gain": live.gain,
        "bias": live.bias,
        "radius": ens.radius,
    }
    return {k: np.array(v) for k, v in arrays.items() if v is not None}


def _connection(data: SimulationData, conn: nengo.Connection) -> dict[str, np.ndarray]:
    weights = data[conn].weights
    signal = data.sim.model.sig[conn]["weights"]
    if not signal.sparse:
        return {"weights": np.array(weights)}
    indices, built = sparse_indices(signal)
    values = weights if isinstance(weights, np.ndarray) else built
    return {
        "weights": np.array(values),
        "indices": np.array(indices),
        "shape": np.array(signal.shape),
    }
