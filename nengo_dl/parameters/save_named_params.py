"""
Save the parameters of a simulator of NengoDL 3, with names, for NengoDL 4.

Files that NengoDL 3 writes do not say which parameters they hold. This script writes
one that does. It needs nothing but NengoDL 3, Nengo and NumPy: copy it next to a
program that runs in the old environment, and add two lines to that::

    from save_named_params import save_named_params

    with nengo_dl.Simulator(net) as sim:
        sim.load_params("old")
        save_named_params(sim, "new")

In the new environment, ``sim.load_params("new")`` reads the file into the same network.

In: a simulator of NengoDL 3. Out: a file of the format of `.files`.
"""

# (it has to be read by Python 3.6, and imports nothing of this package)

import json
import zlib
from typing import Any

import nengo
import numpy as np
from nengo.base import ObjView
from nengo.connection import LearningRule


def save_named_params(sim: Any, path: Any) -> None:
    """
    Save the parameters of a simulator.

    Parameters
    ----------
    sim : nengo_dl.Simulator
        An open simulator of NengoDL 3.
    path : str or path-like
        Name of the file, to which ``.npz`` is added.
    """
    names = object_names(sim.model.toplevel)
    parameters = []  # type: list
    neurons = []  # type: list
    arrays = {}  # type: dict

    def add(
        section: list,
        name: str,
        obj: Any,
        value: Any,
        minibatched: bool = False,
        indices: Any = None,
    ) -> None:
        entry = {"name": name, "position": name, "label": obj.label}
        entry.update(minibatched=minibatched, sparse=indices is not None)
        section.append(entry)
        arrays[name] = np.asarray(value)
        if indices is not None:
            arrays[name + ".indices"] = np.asarray(indices)

    for obj, name in names.items():
        if isinstance(obj, nengo.Ensemble):
            for attr in ("encoders", "bias"):
                signal = sim.model.sig[obj if attr == "encoders" else obj.neurons]
                if signal.get(attr) is not None:
                    value, minibatched = live_value(sim, obj, attr, signal[attr])
                    add(parameters, name + "." + attr, obj, value, minibatched)
            built = sim.model.params[obj]
            if built.gain is not None:
                add(neurons, name + ".built_gain", obj, built.gain)
                add(neurons, name + ".built_bias", obj, built.bias)
        elif isinstance(obj, nengo.Connection):
            signal = sim.model.sig[obj].get("weights")
            if signal is not None:
                value, minibatched = live_value(sim, obj, "weights", signal)
                indices = sparse_indices(signal) if signal.sparse else None
                if is_bias_relay(obj.pre_obj) or is_bias_relay(obj.post_obj):
                    value, indices = converted_bias(sim, obj), None
                add(parameters, name + ".weights", obj, value, minibatched, indices)
    seen = set()
    for node in sim.model.toplevel.all_nodes:
        layer = getattr(node, "tensor_func", None)
        for i, weight in enumerate(getattr(layer, "weights", ())):
            if id(weight) not in seen:
                seen.add(id(weight))
                name = f"{names[node]}.weights[{i}]"
                add(parameters, name, node, weight.numpy())

    header = {"format": 1, "version": "3", "scaled": True}
    header.update(parameters=parameters, neurons=neurons)
    arrays["nengo_dl"] = np.array(json.dumps(header))
    np.savez_compressed(f"{path}.npz", **arrays)


def live_value(sim: Any, obj: Any, attr: str, signal: Any) -> tuple:
    """Return the value of a parameter, and whether it has a minibatch axis."""
    key = "scaled_encoders" if attr == "encoders" else attr
    value = sim.data.get_params((obj, key))[0]
    if signal.sparse:
        return (value.tocoo() if hasattr(value, "tocoo") else value).data, False
    value = np.asarray(value)
    return value, value.ndim > np.ndim(signal.initial_value)


def sparse_indices(signal: Any) -> np.ndarray:
    """Return the rows and columns of the elements of a sparse signal."""
    matrix = signal.initial_value
    if hasattr(matrix, "tocoo"):
        matrix = matrix.tocoo()
        return np.stack([matrix.row, matrix.col], axis=1)
    return np.asarray(matrix.indices)


def is_bias_relay(obj: Any) -> bool:
    """Return whether a converted convolution has its biases in this Node."""
    label = getattr(obj, "label", None) or ""
    return isinstance(obj, nengo.Node) and label.endswith(".bias_relay")


def converted_bias(sim: Any, conn: Any) -> np.ndarray:
    """
    Return the weights that a connection has in a network that NengoDL 4 converts.

    NengoDL 3 makes one number for each channel, and copies it to all positions;
    NengoDL 4 has a 1 at every position, and multiplies that with one number for each
    channel.
    """
    relay = conn.post_obj if is_bias_relay(conn.post_obj) else conn.pre_obj
    connections = sim.model.toplevel.all_connections
    biases, copies = (
        [c for c in connections if getattr(c, end) is relay][0]
        for end in ("post_obj", "pre_obj")
    )
    value = np.asarray(sim.data.get_params((biases, "weights"))[0])
    rows, columns = sparse_indices(sim.model.sig[copies]["weights"]).T
    if (columns != rows % len(value)).any():
        raise NotImplementedError(
            "Only convolutions with `data_format='channels_last'` can be saved"
        )
    if conn is biases:
        return np.ones((len(rows) // len(value), 1), value.dtype)
    return value.reshape(1, 1, -1)


def object_names(network: Any) -> dict:
    """Name all objects of a network by their positions, as NengoDL 4 does."""
    names = {}  # type: dict
    networks = []

    def name_objects(network: Any, prefix: str) -> None:
        networks.append(network)
        inner = []
        for kind in ("ensembles", "nodes", "networks"):
            for i, obj in enumerate(getattr(network, kind)):
                if obj not in names:
                    names[obj] = f"{prefix}{kind}[{i}]"
                    inner += [obj] if kind == "networks" else []
        for obj in inner:
            name_objects(obj, names[obj] + ".")

    def end(obj: Any) -> str:
        if isinstance(obj, ObjView):
            return end(obj.obj) + index(obj.slice)
        if isinstance(obj, nengo.ensemble.Neurons):
            return end(obj.ensemble) + ".neurons"
        if isinstance(obj, LearningRule):
            conn = obj.connection
            return f"({end(conn.pre)} -> {end(conn.post)}).learning_rule"
        return names.get(obj, type(obj).__name__)

    def index(index: Any) -> str:
        if isinstance(index, slice):
            bounds = [index.start, index.stop]
            bounds += [] if index.step is None else [index.step]
            return "[" + ":".join("" if b is None else str(b) for b in bounds) + "]"
        text = str(np.asarray(index).tolist()).replace(" ", "")
        if np.size(index) > 8:
            crc = zlib.crc32(text.encode())
            return f"[{np.size(index)} indices {crc:08x}]"
        return text

    name_objects(network, "")
    counts = {}  # type: dict
    connections = [c for net in networks for c in net.connections]
    for conn in dict.fromkeys(connections):
        ends = f"{end(conn.pre)} -> {end(conn.post)}"
        n_before = counts.get(ends, 0)
        names[conn] = ends if n_before == 0 else f"{ends} [{n_before}]"
        counts[ends] = n_before + 1
    return names
