"""
The operator that puts matrices side by side.

It takes the place of copies to interleaved parts of a signal; see
`nengo_dl.graph.simplify.join_columns`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal, SignalDict


class JoinColumns(Operator):
    """
    Set a signal to others, taken as matrices and put side by side.

    This is how channels are concatenated, where every row has those of one pixel.

    Parameters
    ----------
    sources : list of nengo.builder.Signal
        What is put side by side: each is a matrix with ``n_rows`` rows, flattened.
    dst : nengo.builder.Signal
        The signal to set, of the size of all sources.
    n_rows : int
        Number of rows.
    tag : str, optional
        A label for debugging.

    Notes
    -----
    1. sets ``[dst]``
    2. incs ``[]``
    3. reads ``sources``
    4. updates ``[]``
    """

    def __init__(
        self,
        sources: Sequence[Signal],
        dst: Signal,
        n_rows: int,
        tag: str | None = None,
    ) -> None:
        super().__init__(tag=tag)
        self.n_rows = n_rows
        self.sets = [dst]
        self.incs: list[Signal] = []
        self.reads = list(sources)
        self.updates: list[Signal] = []

    @property
    def dst(self) -> Signal:
        """The signal to set."""
        return self.sets[0]

    @property
    def _descstr(self) -> str:
        return f"{self.reads} -> {self.dst}"

    def make_step(
        self, signals: SignalDict, dt: float, rng: np.random.RandomState
    ) -> Callable[[], None]:
        """Return a function that joins the matrices."""
        target = signals[self.dst]
        sources = [signals[source] for source in self.reads]
        n_rows = self.n_rows

        def step_joincolumns() -> None:
            matrices = [source.reshape((n_rows, -1)) for source in sources]
            target[...] = np.concatenate(matrices, axis=1).ravel()

        return step_joincolumns
