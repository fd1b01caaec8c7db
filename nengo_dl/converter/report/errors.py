"""
Differences between neurons and the activations that they stand for.

In: what neurons put out in every step, minibatch by minibatch. Out: errors and
correlations. Nothing is kept but sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nengo_dl.converter.conversion import Conversion
from nengo_dl.converter.keras_graph import Call, call_op


class Comparison:
    """
    Compares the mean output of a population with activations of the Keras model.

    Parameters
    ----------
    reference : callable
        ``reference(n)`` returns the activations ``(minibatch_size, size)`` of
        minibatch ``n``.
    factors : (size,) array
        The activation that a mean output of one stands for.
    thresholds : (size,) array or None
        The activation that a spike in one step stands for.
    n_steps : int
        Number of steps of a run.
    """

    def __init__(
        self,
        reference: Callable[[int], np.ndarray],
        factors: np.ndarray,
        thresholds: np.ndarray | None,
        n_steps: int,
    ):
        self._reference = reference
        self._factors = factors
        self._thresholds = thresholds
        self._n_steps = n_steps
        self._done = self._n_minibatches = self._n_values = 0
        self._sum: Any = 0.0
        # of squared errors, expected squared errors, and the moments of both
        self._squares = self._expected = 0.0
        self._moments = np.zeros(5)

    def add(self, values: np.ndarray) -> None:
        """
        Add outputs of some steps of a minibatch.

        Parameters
        ----------
        values : (minibatch_size, n, size) array
            The outputs of the next ``n`` steps.
        """
        self._sum = self._sum + values.sum(axis=1, dtype=np.float64)
        self._done += values.shape[1]
        if self._done == self._n_steps:
            self._compare(self._sum / self._n_steps * self._factors)
            self._sum, self._done = 0.0, 0
            self._n_minibatches += 1

    def _compare(self, found: np.ndarray) -> None:
        wanted = self._reference(self._n_minibatches).reshape(found.shape)
        self._n_values += found.size
        self._squares += float(np.sum((found - wanted) ** 2))
        if self._thresholds is not None:
            active = (wanted > 0) * self._thresholds**2
            self._expected += float(active.sum()) / 12 / self._n_steps**2
        products = (found, wanted, found**2, wanted**2, found * wanted)
        self._moments += [float(values.sum(dtype=np.float64)) for values in products]

    @property
    def error(self) -> float:
        """Root of the mean squared difference."""
        return float(np.sqrt(self._squares / self._n_values))

    @property
    def error_of_thresholds(self) -> float | None:
        """What it would be if each neuron were rounded to its own threshold."""
        if self._thresholds is None:
            return None
        return float(np.sqrt(self._expected / self._n_values))

    @property
    def correlation(self) -> float | None:
        """Correlation of both, None if one does not vary."""
        x, y, xx, yy, xy = self._moments / self._n_values
        variances = (xx - x**2) * (yy - y**2)
        if not variances > 0:
            return None
        return float((xy - x * y) / np.sqrt(variances))


class Activations:
    """
    Activations of the Keras model, one minibatch after the other.

    Parameters
    ----------
    converter : Conversion
        The conversion.
    inputs : list of (n_items, ...) array
        One for each input of the model.
    minibatch_size : int
        Number of items of a minibatch.
    """

    def __init__(
        self, converter: Conversion, inputs: Sequence[np.ndarray], minibatch_size: int
    ):
        self._converter = converter
        self._inputs = inputs
        self._size = minibatch_size
        self._minibatch: int | None = None
        self._values: dict[tuple, np.ndarray] = {}

    def of(self, path: tuple[Call, ...], minibatch: int) -> np.ndarray:
        """Return the output of a call for a minibatch."""
        if self._minibatch != minibatch:
            first = minibatch * self._size
            items = [x[first : first + self._size] for x in self._inputs]
            self._values, self._minibatch = {}, minibatch
            self._converter.graph.run(items, self._note)
        return self._values[path]

    def _note(self, path: tuple, call: Call, args: tuple, kwargs: dict) -> Any:
        output = call_op(call.op, args, kwargs, training=False)
        if path in self._converter.neurons:
            self._values[path] = output.numpy()
        return output
