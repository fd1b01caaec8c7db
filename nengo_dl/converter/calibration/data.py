"""
Data for calibration and reports, as a Keras model takes them.

In: arrays, dictionaries, or data sets. Out: lists of arrays, one for each input (or
output) of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from nengo.exceptions import ValidationError


class Data(NamedTuple):
    """Inputs of a model, and what its outputs should be, if that is known."""

    inputs: list[np.ndarray]
    targets: list[np.ndarray] | None

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.inputs[0])

    def part(self, start: int, stop: int) -> Data:
        """Return some of the items."""
        targets = self.targets and [y[start:stop] for y in self.targets]
        return Data([x[start:stop] for x in self.inputs], targets)

    def batches(self, size: int) -> list[Data]:
        """Return all items, in batches of a size."""
        return [self.part(i, i + size) for i in range(0, self.n_items, size)]


def check_data(model: keras.Model, inputs: Any, targets: Any) -> Data:
    """
    Check the data that a user passes.

    Parameters
    ----------
    model : keras.Model
        The model.
    inputs, targets : array or list or dict or tf.data.Dataset
        As `keras.Model.fit` takes them; a data set is made of inputs, or of pairs of
        inputs and targets. Targets may be None.

    Returns
    -------
    data : Data

    Raises
    ------
    nengo.exceptions.ValidationError
        If they do not fit the model, or contain NaN or infinite values.
    """
    if isinstance(inputs, tf.data.Dataset):
        if targets is not None:
            raise ValidationError(
                "A data set contains the targets itself; pass `targets=None`",
                attr="targets",
            )
        inputs, targets = _from_dataset(inputs)
    names = [tensor.name for tensor in model.inputs]
    arrays = _as_list(inputs, names, "inputs")
    for array, tensor in zip(arrays, model.inputs):
        _check_array(array, tensor, "inputs")
    if targets is None:
        return Data(arrays, None)
    wanted = _as_list(targets, list(model.output_names), "targets")
    for array in wanted:
        if len(array) != len(arrays[0]):
            raise ValidationError(
                f"There are {len(arrays[0])} inputs, but {len(array)} targets; pass "
                "one target for every item",
                attr="targets",
            )
    return Data(arrays, wanted)


def _from_dataset(dataset: tf.data.Dataset) -> tuple[Any, Any]:
    """Return all batches of a data set."""
    batches = list(dataset.as_numpy_iterator())
    if not batches:
        raise ValidationError("The data set is empty", attr="inputs")
    joined = tf.nest.map_structure(lambda *parts: np.concatenate(parts), *batches)
    if isinstance(joined, tuple):
        return joined[0], joined[1] if len(joined) > 1 else None
    return joined, None


def _as_list(values: Any, names: list[str], argument: str) -> list[np.ndarray]:
    """Return an array for each name."""
    if isinstance(values, Mapping):
        if set(values) != set(names):
            raise ValidationError(
                f"`{argument}` has the names {sorted(values)}; those of the model are "
                f"{sorted(names)}",
                attr=argument,
            )
        values = [values[name] for name in names]
    elif len(names) == 1 and not (
        isinstance(values, (list, tuple)) and len(values) == 1
    ):
        values = [values]
    if not isinstance(values, (list, tuple)) or len(values) != len(names):
        raise ValidationError(
            f"`{argument}` must have {len(names)} arrays, for {names}; received "
            f"{len(values)}",
            attr=argument,
        )
    arrays = [np.asarray(value) for value in values]
    if any(array.ndim == 0 for array in arrays):
        raise ValidationError(
            f"`{argument}` must be arrays with an axis for the items", attr=argument
        )
    if len({len(array) for array in arrays}) > 1 or len(arrays[0]) == 0:
        raise ValidationError(
            f"`{argument}` must have the same number of items, at least one; received "
            f"{[len(array) for array in arrays]}",
            attr=argument,
        )
    return arrays


def _check_array(array: np.ndarray, tensor: keras.KerasTensor, argument: str) -> None:
    shape = tuple(tensor.shape[1:])
    if array.shape[1:] != shape:
        raise ValidationError(
            f"`{argument}` for `{tensor.name}` must have the shape (n_items, "
            f"{', '.join(map(str, shape))}), as the Keras model takes them (without "
            f"time); received {array.shape}",
            attr=argument,
        )
    if not np.issubdtype(array.dtype, np.number) and array.dtype != bool:
        raise ValidationError(
            f"`{argument}` for `{tensor.name}` must be numbers (received an array of "
            f"type {array.dtype})",
            attr=argument,
        )
    if not np.isfinite(array).all():
        raise ValidationError(
            f"`{argument}` for `{tensor.name}` contain NaN or infinite values; remove "
            "these items",
            attr=argument,
        )


def check_n_steps(n_steps: Any) -> None:
    """Check a number of steps, which may be None to have it chosen."""
    is_number = isinstance(n_steps, (int, float, np.number))
    if n_steps is not None and (not is_number or n_steps % 1 or n_steps < 1):
        raise ValidationError(
            f"`n_steps` must be a positive integer (received: {n_steps!r}), or None to "
            "have it chosen",
            attr="n_steps",
        )
