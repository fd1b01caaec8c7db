"""
What `predict` returns.

In: the outputs of batches. Out: those of all items by Probe, with NaN after the end of
items that have fewer steps than others.
"""

from __future__ import annotations

import nengo
import numpy as np


class Predictions(dict[nengo.Probe, np.ndarray]):
    """
    Values of Probes, ``(n_items, n_steps, ...)`` arrays, and where items end.

    Parameters
    ----------
    lengths : (n_items,) array of int
        The number of steps of every item. Values of later steps are NaN.
    """

    def __init__(self, lengths: np.ndarray):
        super().__init__()
        self.lengths = lengths

    def without_ends(self, values: np.ndarray) -> np.ndarray:
        """Return values of a Probe with NaN after the end of items."""
        n_steps = values.shape[1]
        if n_steps == 1 or not self.lengths.size or n_steps == self.lengths.min():
            return values
        counts = np.arange(n_steps) < self.lengths[:, None]
        counts = counts.reshape(*counts.shape, *[1] * (values.ndim - 2))
        return np.where(counts, values, np.array(np.nan, values.dtype))
