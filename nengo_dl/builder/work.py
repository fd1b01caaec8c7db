"""
How much an operator computes.

In: what its builder knows. Out: `Work`, by which the graph layer decides what is
computed for many steps at once.
"""

from __future__ import annotations

from typing import NamedTuple


class Work(NamedTuple):
    """
    What an operator computes in one step, for one item, that its signals do not show.

    Parameters
    ----------
    n_products : int
        Multiplications with constant weights.
    n_convolved : int
        Those of them that are in convolutions.
    n_values : int
        Number of elements of the largest intermediate result.
    """

    n_products: int = 0
    n_convolved: int = 0
    n_values: int = 0
