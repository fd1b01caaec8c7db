"""
Names of the inputs and outputs of a network.

In: Nodes and Probes, in order. Out: the names by which dictionaries of data, Keras, and
results of training know them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import nengo

from nengo_dl.utils import readable_name

NodeOrProbe: TypeAlias = nengo.Node | nengo.Probe

# What is not available as a name of a Node or Probe.
RESERVED_NAMES = ("n_steps", "steps_run", "TensorGraph")


def io_names(objects: Iterable[NodeOrProbe]) -> dict[NodeOrProbe, str]:
    """
    Name the inputs and outputs of a network.

    Parameters
    ----------
    objects : iterable of (nengo.Node or nengo.Probe)
        The objects in order; names are unique (ignoring case) among them, and none of
        them is in `RESERVED_NAMES`.

    Returns
    -------
    names : dict of {object: str}
        The label (see `readable_name`), or else the class name in lower case, with
        ``_k`` appended at the ``k``-th repetition.
    """
    taken = {name.lower() for name in RESERVED_NAMES}
    counts: dict[str, int] = {}
    names: dict[NodeOrProbe, str] = {}
    for obj in objects:
        stem = readable_name(obj.label or "") or type(obj).__name__.lower()
        count = counts.get(stem.lower(), 0)
        name = f"{stem}_{count}" if count else stem
        while name.lower() in taken:
            count += 1
            name = f"{stem}_{count}"
        counts[stem.lower()] = count
        taken.add(name.lower())
        names[obj] = name
    return names
