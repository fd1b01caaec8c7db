"""
What probes have recorded.

In: the probed values of one block of steps after another. Out: one array for every
probe, in the form in which a user gets it.
"""

from __future__ import annotations

from collections.abc import Sequence

import nengo
import numpy as np

from nengo_dl.graph.program import Program


class Recording:
    """
    The data recorded by all probes of a program.

    Parameters
    ----------
    program : Program
        The program.

    Attributes
    ----------
    chunks : dict of {nengo.Probe: list of (minibatch_size, n, ...) array}
        What has been recorded, in chunks along the second axis.
    is_new : bool
        Whether nothing has been simulated since the data were dropped last.
    """

    def __init__(self, program: Program):
        self.minibatch_size = program.settings.minibatch_size
        self.dt = program.dt
        self._ndims = {probe: sig.ndim for probe, sig in program.probes.items()}
        self._without_history = program.without_history
        self.chunks: dict = {}
        self.clear()

    def clear(self) -> None:
        """Drop everything."""
        self.is_new = True
        self.chunks = {probe: [] for probe in self._ndims}

    def add(self, outputs: Sequence[np.ndarray], first_step: int, n_steps: int) -> None:
        """
        Add the values of one block.

        Parameters
        ----------
        outputs : sequence of (n_steps or 1, [minibatch_size,] ...) array
            Values of the probes, in the order of the program; those of the last step
            alone for a probe without history.
        first_step : int
            Number of the first step of the block, counting from 1.
        n_steps : int
            Number of steps in the block.
        """
        self.is_new = False
        steps = first_step + np.arange(n_steps)
        for probe, output in zip(self._ndims, outputs):
            keeps_history = probe not in self._without_history
            if keeps_history and probe.sample_every is not None:
                period = probe.sample_every / self.dt
                output = output[steps % period < 1]
            if len(output):
                chunks = [self._with_batch(output, probe).swapaxes(0, 1)]
                self._append(probe, chunks)

    def extend(self, other: Recording) -> None:
        """Add what has been recorded after this."""
        self.is_new = self.is_new and other.is_new
        for probe, chunks in other.chunks.items():
            self._append(probe, chunks)

    def _append(self, probe: nengo.Probe, chunks: Sequence[np.ndarray]) -> None:
        if chunks and probe in self._without_history:
            self.chunks[probe].clear()
        self.chunks[probe].extend(chunks)

    def _with_batch(self, output: np.ndarray, probe: nengo.Probe) -> np.ndarray:
        """Return values with a minibatch axis, independent of the buffer of a block."""
        if output.ndim > self._ndims[probe] + 1:
            return np.array(output)
        n, *shape = output.shape
        shared = np.array(output)[:, None]
        return np.broadcast_to(shared, (n, self.minibatch_size, *shape))

    def data(self, probe: nengo.Probe) -> np.ndarray | None:
        """
        Return what a probe has recorded.

        Returns
        -------
        data : (minibatch_size, n, ...) array
            Read-only. None if there is nothing.
        """
        chunks = self.chunks[probe]
        if not chunks:
            return None
        if len(chunks) > 1:
            # joined once, and not again at the next look
            chunks[:] = [np.concatenate(chunks, axis=1)]
        data = chunks[0].view()
        data.setflags(write=False)
        return data
