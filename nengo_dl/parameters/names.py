"""
Names of the objects of a network, which mean the same in another network.

In: a network. Out: a unique and readable name for each of its objects, such as
``networks['vision'].ensembles[3]``, that depends on nothing but the structure of the
network and the labels in it.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

import nengo
import numpy as np
from nengo.base import ObjView
from nengo.connection import LearningRule

# Names are also those of files in an archive, which cannot have these characters. The
# quotation mark would end the label, and the percent sign stands for the others.
UNSAFE = re.compile(r"[\x00-\x1f\x7f'%/\\\ud800-\udfff]")

# Longer lists of indices are abbreviated.
MAX_INDICES = 8


def built_names(model: nengo.builder.Model, use_labels: bool = True) -> dict[Any, str]:
    """
    Name the objects of a network that were there when it was built.

    Parameters
    ----------
    model : nengo.builder.Model
        The built network.
    use_labels : bool
        See `object_names`.
    """
    if model.toplevel is None:
        return {}
    return object_names(model.toplevel, use_labels, model.params)


def names_of_all(model: nengo.builder.Model) -> dict[Any, str]:
    """
    Name all objects that may have a state.

    Parameters
    ----------
    model : nengo.builder.Model
        The built network.

    Returns
    -------
    names : dict of {object: str}
        As `built_names`, with Neurons, learning rules, and Probes.
    """
    if model.toplevel is None:
        return {}
    names = built_names(model)
    networks = {model.toplevel: ""}
    for obj, name in list(names.items()):
        if isinstance(obj, nengo.Network):
            networks[obj] = f"{name}."
        elif isinstance(obj, nengo.Ensemble):
            names[obj.neurons] = f"{name}.neurons"
        elif isinstance(obj, nengo.Connection):
            names.update(_rule_names(obj, f"({name}).learning_rule"))
    for network, prefix in networks.items():
        probes = _chosen(network.probes, model.params)
        for probe, part in _distinguish(probes, use_labels=True).items():
            names.setdefault(probe, f"{prefix}probes{part}")
    return names


def _rule_names(conn: nengo.Connection, name: str) -> dict[Any, str]:
    rules = conn.learning_rule
    if isinstance(rules, dict):
        return {rule: f"{name}['{quote(str(key))}']" for key, rule in rules.items()}
    if isinstance(rules, (list, tuple)):
        return {rule: f"{name}[{i}]" for i, rule in enumerate(rules)}
    return {} if rules is None else {rules: name}


def object_names(
    network: nengo.Network,
    use_labels: bool = True,
    among: Container | None = None,
) -> dict[Any, str]:
    """
    Name all ensembles, nodes, connections, and subnetworks of a network.

    Parameters
    ----------
    network : nengo.Network
        The network.
    use_labels : bool
        If True, objects are named by their labels as far as these are unique in their
        network, and names do not depend on the order in which the objects were
        created. If False, objects are named by their positions, and names do not
        depend on labels.
    among : container, optional
        If given, objects that are not in it are passed over, as if they did not exist.

    Returns
    -------
    names : dict of {object: str}
        Connections are named after what they connect. If several connect the same
        objects, they are told apart by their labels or their order.
    """
    names: dict[Any, str] = {}
    networks = list(_name_objects(network, "", use_labels, among, names))
    connections = dict.fromkeys(
        conn for net in networks for conn in _chosen(net.connections, among)
    )
    by_ends = defaultdict(list)
    for conn in connections:
        by_ends[_ends(conn, names)].append(conn)
    for ends, group in by_ends.items():
        parts = _distinguish(group, use_labels)
        for i, (conn, part) in enumerate(parts.items()):
            names[conn] = ends if i == 0 and part == "[0]" else f"{ends} {part}"
    return names


def _chosen(objects: Sequence[Any], among: Container | None) -> list[Any]:
    return [obj for obj in objects if among is None or obj in among]


def _name_objects(
    network: nengo.Network,
    prefix: str,
    use_labels: bool,
    among: Container | None,
    names: dict[Any, str],
) -> Iterator[nengo.Network]:
    """Name everything but the connections, and yield all networks."""
    yield network
    subnetworks = []
    for kind in ("ensembles", "nodes", "networks"):
        objects = _chosen(getattr(network, kind), among)
        for obj, part in _distinguish(objects, use_labels).items():
            # a network may be listed twice (in nengo.spa)
            if obj not in names:
                names[obj] = f"{prefix}{kind}{part}"
                if kind == "networks":
                    subnetworks.append(obj)
    for subnetwork in subnetworks:
        prefix = f"{names[subnetwork]}."
        yield from _name_objects(subnetwork, prefix, use_labels, among, names)


def _distinguish(objects: Sequence[Any], use_labels: bool) -> dict[Any, str]:
    """Return ``['label']`` or ``[position]`` for every object."""
    labels = Counter(obj.label for obj in objects)
    parts: dict[Any, str] = {}
    for i, obj in enumerate(objects):
        unique = use_labels and obj.label and labels[obj.label] == 1
        parts.setdefault(obj, f"['{quote(obj.label)}']" if unique else f"[{i}]")
    return parts


def quote(label: str) -> str:
    """Replace the characters that names cannot have (as URLs do)."""
    return UNSAFE.sub(lambda match: f"%{ord(match[0]):02X}", label)


def _ends(conn: nengo.Connection, names: Mapping[Any, str]) -> str:
    return f"{_end(conn.pre, names)} -> {_end(conn.post, names)}"


def _end(obj: Any, names: Mapping[Any, str]) -> str:
    if isinstance(obj, ObjView):
        return _end(obj.obj, names) + _index(obj.slice)
    if isinstance(obj, nengo.ensemble.Neurons):
        return f"{_end(obj.ensemble, names)}.neurons"
    if isinstance(obj, LearningRule):
        return f"({_ends(obj.connection, names)}).learning_rule"
    # objects of another network, which has been built into the same model
    return names.get(obj, type(obj).__name__)


def _index(index: slice | Sequence[int] | int) -> str:
    if isinstance(index, slice):
        bounds = [index.start, index.stop]
        bounds += [] if index.step is None else [index.step]
        return f"[{':'.join('' if b is None else str(b) for b in bounds)}]"
    text = str(np.asarray(index).tolist()).replace(" ", "")
    if np.size(index) > MAX_INDICES:
        return f"[{np.size(index)} indices {zlib.crc32(text.encode()):08x}]"
    return text
