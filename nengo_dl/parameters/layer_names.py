"""
Names of the weights of Keras layers, which mean the same in another session.

In: a Keras layer. Out: names of its weights, and what they are recognised by in files.

Keras numbers the layers that nobody has named, ``dense_7`` after ``dense_6``, over all
models of a session. Here, the numbers begin anew in every layer of a network.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import keras

from nengo_dl.parameters.names import quote


def weight_names(layer: keras.layers.Layer) -> tuple[list[str], list[str]]:
    """
    Name the weights of a layer.

    Parameters
    ----------
    layer : keras.layers.Layer
        The layer, or a model.

    Returns
    -------
    names : list of str
        Keras's name of each weight, after those of the layers inside of the layer that
        it belongs to, if it does: ``kernel``, ``readout/kernel``, ``dense_1/kernel``
        (of the second layer without a name).
    keys : list of str
        The same without numbers. Layers whose names differ in numbers alone may be in
        any order; their weights are recognised by their positions.

    Both are ``weights[i]`` where they would not be unique.
    """
    classes = {name.lower() for name in dir(keras.layers)} | {"functional", "model"}
    classes.update(type(inner).__name__.lower() for inner in _layers(layer))
    names, keys = [], []
    known: dict[tuple, list[str]] = defaultdict(list)
    for weight in layer.weights:
        path = weight.path.split("/")
        if layer.name in path[:-1]:
            path = path[path.index(layer.name) + 1 :]
        parts: list[str] = []
        for part in path[:-1]:
            stem = _stem(part)
            if stem.replace("_", "") in classes:  # not named by anybody
                alike = known[(*parts, stem)]
                if part not in alike:
                    alike.append(part)
                number = alike.index(part)
                part = f"{stem}_{number}" if number else stem
            parts.append(part)
        names.append("/".join(map(quote, [*parts, path[-1]])))
        keys.append("/".join(map(quote, [*map(_stem, parts), path[-1]])))
    return _unique(names), _unique(keys)


def _layers(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """Yield the layers of a model, and of the models in it."""
    for inner in layer.layers if isinstance(layer, keras.Model) else ():
        yield inner
        yield from _layers(inner)


def _stem(name: str) -> str:
    return re.sub(r"_\d+$", "", name)


def _unique(names: Sequence[str]) -> list[str]:
    counts = Counter(names)
    return [
        name if counts[name] == 1 else f"weights[{i}]" for i, name in enumerate(names)
    ]
