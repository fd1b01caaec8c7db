"""
What probes have recorded.

In: the probed values of one block of steps after another. Out: one array for every
probe, or a list of rows, in the form in which a user gets it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, MutableSequence, Sequence
from typing import Any

import nengo
import numpy as np
from nengo.exceptions import ValidationError

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
        self._shapes = {probe: sig.shape for probe, sig in program.probes.items()}
        self._without_history = program.without_history
        self.chunks: dict = {}
        # user interfaces read and empty recorded data while the simulation goes on
        self.lock = threading.RLock()
        self.clear()

    def clear(self) -> None:
        """Drop everything."""
        self.is_new = True
        self.chunks = {probe: [] for probe in self._shapes}

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
        for probe, output in zip(self._shapes, outputs):
            keeps_history = probe not in self._without_history
            if keeps_history and probe.sample_every is not None:
                steps = first_step + np.arange(n_steps)
                output = output[steps % (probe.sample_every / self.dt) < 1]
            if len(output):
                chunks = [self._with_batch(output, probe).swapaxes(0, 1)]
                self._append(probe, chunks)

    def extend(self, other: Recording) -> None:
        """Add what has been recorded after this."""
        self.is_new = self.is_new and other.is_new
        for probe, chunks in other.chunks.items():
            self._append(probe, chunks)

    def _append(self, probe: nengo.Probe, chunks: Sequence[np.ndarray]) -> None:
        with self.lock:
            if chunks and probe in self._without_history:
                self.chunks[probe].clear()
            self.chunks[probe].extend(chunks)

    def _with_batch(self, output: np.ndarray, probe: nengo.Probe) -> np.ndarray:
        """Return values with a minibatch axis, independent of the buffer of a block."""
        if output.ndim > len(self._shapes[probe]) + 1:
            return np.array(output)
        n, *shape = output.shape
        shared = np.array(output)[:, None]
        return np.broadcast_to(shared, (n, self.minibatch_size, *shape))

    def row_shape(self, probe: nengo.Probe) -> tuple[int, ...]:
        """Return the shape of what a probe records in a step, with minibatch axis."""
        return (self.minibatch_size, *self._shapes[probe])

    def data(self, probe: nengo.Probe) -> np.ndarray | None:
        """
        Return what a probe has recorded.

        Returns
        -------
        data : (minibatch_size, n, ...) array
            Read-only. None if there is nothing.
        """
        with self.lock:
            chunks = self.chunks[probe]
            if not chunks:
                return None
            if len(chunks) > 1:
                # joined once, and not again at the next look
                chunks[:] = [np.concatenate(chunks, axis=1)]
            data = chunks[0].view()
        data.setflags(write=False)
        return data

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        del state["lock"]  # cannot be pickled
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.lock = threading.RLock()


class RecordedRows(MutableSequence):
    """
    What a probe has recorded as a list of rows, which grows with the simulation.

    Like the lists of `nengo.Simulator`, it can be read, emptied and changed at any
    time; what is removed here is gone from ``sim.data[probe]`` as well.

    Parameters
    ----------
    recording : Recording
        The data of all probes.
    probe : nengo.Probe
        The probe.
    minibatched : bool
        Whether rows have a minibatch axis: ``([minibatch_size,] ...)`` arrays.
    """

    def __init__(self, recording: Recording, probe: nengo.Probe, minibatched: bool):
        self._recording = recording
        self._probe = probe
        self._minibatched = minibatched

    def __len__(self) -> int:
        with self._recording.lock:
            return sum(chunk.shape[1] for chunk in self._recording.chunks[self._probe])

    def __getitem__(self, index: Any) -> Any:
        return self._rows()[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        with self._recording.lock:
            rows = self._rows()
            rows[index] = value
            self._replace(rows)

    def __delitem__(self, index: Any) -> None:
        with self._recording.lock:
            rows = self._rows()
            del rows[index]
            self._replace(rows)

    def insert(self, index: int, value: Any) -> None:
        """Insert a row before a position."""
        with self._recording.lock:
            rows = self._rows()
            rows.insert(index, value)
            self._replace(rows)

    def _rows(self) -> list[np.ndarray]:
        """Return a list of rows, which do not change with the recording."""
        data = self._recording.data(self._probe)
        if data is None:
            return []
        return list(data.swapaxes(0, 1) if self._minibatched else data[0])

    def _replace(self, rows: Iterable[Any]) -> None:
        """Store rows in place of all that has been recorded."""
        shape = self._recording.row_shape(self._probe)
        shape = shape if self._minibatched else shape[1:]
        arrays = [np.asarray(row) for row in rows]
        wrong = [array.shape for array in arrays if array.shape != shape]
        if wrong:
            raise ValidationError(
                f"Rows of {self._probe} have the shape {shape} (received {wrong[0]})",
                attr="raw",
            )
        if not self._minibatched:
            arrays = [array[None] for array in arrays]
        chunks = self._recording.chunks[self._probe]
        chunks[:] = [np.stack(arrays, axis=1)] if arrays else []

    def __eq__(self, other: object) -> bool:
        return list(self) == other

    def __repr__(self) -> str:
        return repr(list(self))
