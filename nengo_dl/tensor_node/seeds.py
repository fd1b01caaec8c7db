"""
Random numbers of Keras layers, by the seed of a simulator.

In: the layers in TensorNodes. Out: the same layers, whose random numbers follow the
seed wherever the user has not given a seed to the layer itself. Keras would seed them
from a global generator.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

MAX_SEED = 2**31 - 1


class LayerSeeds:
    """
    The states of the random number generators of some layers.

    Parameters
    ----------
    layers : list of keras.layers.Layer
        The layers, after they have been built.
    seed : int
        Generators without a seed of their own get one that follows from this.
    """

    def __init__(self, layers: Sequence[keras.layers.Layer], seed: int):
        generators = objects_within(list(layers), keras.random.SeedGenerator)
        self._unseeded = [g for g in generators if g.get_config()["seed"] is None]
        seeded = [g for g in generators if g.get_config()["seed"] is not None]
        self._generators = [*self._unseeded, *seeded]
        self._initial = self.states()
        self.reset(seed)

    def reset(self, seed: int) -> None:
        """Start again, from another seed or the same one."""
        rng = np.random.RandomState(seed)
        for generator in self._unseeded:
            generator.state.assign([rng.randint(MAX_SEED), 0])
        n_unseeded = len(self._unseeded)
        seeded = self._generators[n_unseeded:]
        for generator, state in zip(seeded, self._initial[n_unseeded:]):
            generator.state.assign(state)

    def states(self) -> list[np.ndarray]:
        """Return the current states."""
        return [keras.ops.convert_to_numpy(g.state.value) for g in self._generators]

    def set_states(self, states: Sequence[np.ndarray]) -> None:
        """Go on from states that `states` has returned."""
        for generator, state in zip(self._generators, states):
            generator.state.assign(state)


@contextmanager
def seeded_building(layers: Sequence[keras.layers.Layer], seed: int) -> Iterator[None]:
    """
    Return a context in which layers are built with weights that follow from a seed.

    Parameters
    ----------
    layers : list of keras.layers.Layer
        The layers. Initializers without a seed of their own, of those that are not
        built yet, get one.
    seed : int
        The seed.
    """
    rng = np.random.RandomState(seed)
    unbuilt = [layer for layer in layers if not layer.built]
    for initializer in objects_within(unbuilt, keras.initializers.Initializer):
        if "seed" in initializer.get_config() and _is_unseeded(initializer):
            initializer.seed = int(rng.randint(MAX_SEED))
    # what is made while layers are built draws its seed from there
    state = random.getstate()
    random.seed(int(rng.randint(MAX_SEED)))
    try:
        yield
    finally:
        random.setstate(state)


def _is_unseeded(initializer: keras.initializers.Initializer) -> bool:
    return initializer.get_config()["seed"] is None


def objects_within(root: Any, kind: type) -> list[Any]:
    """Return all objects of a kind that layers hold, in a fixed order, each once."""
    found, seen, pending = [], set(), [root]
    while pending:
        item = pending.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, kind):
            found.append(item)
        elif isinstance(item, (list, tuple)):
            pending.extend(reversed(item))
        elif isinstance(item, dict):
            pending.extend(reversed(list(item.values())))
        elif isinstance(item, keras.layers.Layer):
            pending.extend(reversed(list(vars(item).values())))
    return found
