"""
The simulation state between runs: tensors of the engine, and variables for all others.

In: what the engine returns. Out: current values, as either of the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import tensorflow as tf

from nengo_dl.execution.engine import Packing


class LiveState(Mapping):
    """
    The values that simulation steps change: tensors, with variables to look at.

    The engine works on tensors, because the result of a failed run can then simply be
    dropped. Keras and users work on variables. Newer tensors are written into the
    variables when somebody asks for one; from then on, the variables count.

    Parameters
    ----------
    variables : dict of {str: variable}
        The variables by the key of their base array.
    packing : Packing
        How the engine joins them.
    """

    def __init__(self, variables: dict, packing: Packing):
        self._variables = variables
        self._packing = packing
        self._newer: list[tf.Tensor] | None = None
        self._writes_through = False

    def __getitem__(self, key: str):
        self._write()
        return self._variables[key]

    def __contains__(self, key) -> bool:
        return key in self._variables

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)

    def _write(self) -> None:
        if self._newer is not None:
            values = self._packing.unpack(self._newer)
            for variable, value in zip(self._variables.values(), values):
                variable.assign(value)
            self._newer = None

    def write_through(self) -> None:
        """From now on, keep the variables up to date (for functions that read them)."""
        self._writes_through = True
        self._write()

    def tensor(self, key: str) -> tf.Tensor:
        """Return the current value of one variable."""
        if self._newer is not None:
            return self._packing.take(self._newer, key)
        return tf.convert_to_tensor(self._variables[key])

    def packed(self) -> list[tf.Tensor]:
        """Return the current values, as the engine takes them."""
        if self._newer is not None:
            return self._newer
        return self._packing.pack([self.tensor(key) for key in self])

    def commit(self, packed: list[tf.Tensor]) -> None:
        """Replace the current values by those that the engine has returned."""
        self._newer = packed
        if self._writes_through:
            self._write()

    def assign(self, values: Mapping) -> None:
        """Replace the current values of some variables."""
        self.commit(
            self._packing.pack(
                [
                    tf.constant(values[key]) if key in values else self.tensor(key)
                    for key in self
                ]
            )
        )
