"""
Generators and data sets of batches.

In: what a user's generator or `tf.data.Dataset` yields. Out: the same, in the form in
which Keras gets it, or an error that says what is wrong with it.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from nengo.exceptions import ValidationError

from nengo_dl.config import Settings
from nengo_dl.simulation.inputs import check_input_shape
from nengo_dl.simulation.steps import check_counts, check_n_steps
from nengo_dl.training.targets import check_target_shape
from nengo_dl.utils import ErrorBox


def by_name(values: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return the inputs, targets, or weights of a batch by name, in whatever form."""
    if values is None:
        return {}
    if isinstance(values, Mapping):
        return dict(values)
    if not isinstance(values, (list, tuple)):
        values = [values]
    return dict(zip(names, values))


class BatchCheck:
    """
    A check of the batches that generators and data sets yield.

    Parameters
    ----------
    sizes : dict of {str: int}
        ``size_out`` of the Nodes that have inputs, by name.
    probe_names : list of str
        Names of the Probes.
    batch_size : int
        The number of items in a batch.
    needed : collection of str
        Names of the probes for which there have to be targets.
    settings : Settings
        Which numbers of steps can be simulated.
    """

    def __init__(
        self,
        sizes: Mapping[str, int],
        probe_names: Sequence[str],
        batch_size: int,
        needed: Collection[str],
        settings: Settings,
    ):
        self._sizes = sizes
        self._input_names = [*sizes, "n_steps"]
        self._probe_names = probe_names
        self._batch_size = batch_size
        self._needed = needed
        self._settings = settings

    def __call__(self, batch: Any) -> None:
        """
        Check one batch.

        Parameters
        ----------
        batch : array or tuple or dict
            ``x``, ``(x, y)`` or ``(x, y, sample_weight)``, where arrays may be
            `tf.TensorSpec` of what all batches have in common.

        Raises
        ------
        nengo.exceptions.ValidationError
            If inputs or targets are missing, or have the wrong shape.
        """
        x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
        x = by_name(x, self._input_names)
        self._check_names("x", "inputs", self._input_names, x)
        y = by_name(y, self._probe_names)
        self._check_names("y", "targets", self._needed, y)
        for name, size in self._sizes.items():
            with self._explained(name, x[name], [None, size]):
                check_input_shape(name, _shape(x[name]), size, self._batch_size)
        for name in self._needed:
            with self._explained(name, y[name], [None, None]):
                check_target_shape(name, _shape(y[name]), self._batch_size)
        n_steps = _shape(x[self._input_names[0]])[1] if self._sizes else None
        with self._explained("n_steps", x["n_steps"], [1]):
            n_steps = self._check_counts(x["n_steps"], n_steps)
        if n_steps is not None:
            check_n_steps(n_steps, self._settings)

    def _check_counts(self, counts: Any, n_steps: int | None) -> int | None:
        """Check the numbers of steps, or their shape alone if no more is known."""
        if not isinstance(counts, tf.TensorSpec):
            return check_counts(counts, self._batch_size, n_steps)
        if not counts.shape.is_compatible_with([self._batch_size, 1]):
            raise ValidationError("this is the shape for numbers of steps", "n_steps")
        return n_steps

    @staticmethod
    def _check_names(
        what: str, kind: str, names: Collection[str], given: Collection[str]
    ) -> None:
        missing = [name for name in names if name not in given]
        if missing:
            shape = ", of shape (batch size, 1)," if "n_steps" in missing else ""
            raise ValidationError(
                f"Must specify {', '.join(map(repr, missing))}{shape} in every batch "
                f"of a generator or data set: all {kind} are needed, {sorted(names)}, "
                f"as a dictionary by name or in order (received {sorted(given)})",
                what,
            )

    @contextmanager
    def _explained(
        self, name: str, value: Any, axes: Sequence[int | None]
    ) -> Iterator[None]:
        """Say of which batches an error is, and which shape they should have."""
        try:
            yield
        except ValidationError as err:
            expected = tf.TensorShape([self._batch_size, *axes])
            raise ValidationError(
                f"Batches of a generator or data set have data of shape "
                f"{tf.TensorShape(_shape(value))} for '{name}'; the shape must be "
                f"{expected}, where the first axis is the minibatch_size of the "
                f"Simulator (times the number of devices that train): {err}",
                err.attr,
            ) from err


def _shape(value: Any) -> tuple[int | None, ...]:
    return tuple(value.shape if hasattr(value, "shape") else np.shape(value))


def checked_batches(data: Any, check: BatchCheck, errors: ErrorBox) -> Any:
    """
    Return a generator or data set whose batches are checked.

    Parameters
    ----------
    data : object
        The generator or `tf.data.Dataset`; anything else is returned as it is.
    check : BatchCheck
        Called with every batch, or with what is known of all batches.
    errors : ErrorBox
        Where exceptions of the generator are left.
    """
    if isinstance(data, tf.data.Dataset):
        check(data.element_spec)
    if not inspect.isgenerator(data):
        return data
    end = object()

    def next_batch() -> Any:
        batch = next(data, end)
        if batch is not end:
            batch = _as_tuple(batch) if isinstance(batch, (list, tuple)) else (batch,)
            check(batch)
        return batch

    return _generator(iter(errors.guard(next_batch, passing=True), end))


def _generator(batches: Iterable[tuple]) -> Iterator[tuple]:
    """Return a generator, as Keras accepts no other iterators."""
    yield from batches


def _as_tuple(item: Any) -> Any:
    """Return the nested tuples that Keras 3 insists on."""
    if isinstance(item, (list, tuple)):
        return tuple(_as_tuple(part) for part in item)
    return item
