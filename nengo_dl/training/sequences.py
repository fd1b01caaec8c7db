"""
Items of unequal lengths as arrays.

In: numbers of steps for every item, ragged tensors, or lists of arrays. Out: arrays in
which all items have the same number of steps, and the lengths of the items. What comes
after the end of an item counts nowhere; see `Lengths`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from nengo.exceptions import ValidationError

from nengo_dl.simulation.arrays import as_array
from nengo_dl.utils import is_integer


class Sequences(NamedTuple):
    """
    Data whose items all have the same number of steps.

    Parameters
    ----------
    values : dict of {str: array}
        The data by name.
    n_steps : int or None
        The number of steps that is asked for; None if the arrays say it.
    lengths : (n_items,) array of int or None
        How many steps of each item count; None if all do.
    """

    values: dict[str, Any]
    n_steps: Any
    lengths: np.ndarray | None


def as_sequences(named: Mapping[str, Any], n_steps: Any, unroll: int) -> Sequences:
    """
    Return inputs whose items all have the same number of steps.

    Parameters
    ----------
    named : dict of {str: array or tf.RaggedTensor or list of array}
        Inputs by name, and maybe ``"n_steps"``, (n_items, 1).
    n_steps : int or (n_items,) array of int, optional
        The number of steps, or that of each item.
    unroll : int
        The number of steps is a multiple of it.

    Raises
    ------
    nengo.exceptions.ValidationError
        If lengths contradict each other, or are no numbers of steps.
    """
    values = dict(named)
    all_lengths = {name: lengths_of(value) for name, value in values.items()}
    given: dict[str, Any] = {n: v for n, v in all_lengths.items() if v is not None}
    if n_steps is not None and np.ndim(n_steps) > 0:
        given["n_steps"], n_steps = as_lengths(n_steps), None
    counts = values.get("n_steps")
    if counts is not None and np.ndim(counts) == 2 and np.shape(counts)[1] == 1:
        if (np.asarray(counts) != np.asarray(counts)[:1]).any():
            if "n_steps" in given:
                raise ValidationError(
                    "There are two arrays with numbers of steps, `n_steps` and the one "
                    "in the data; remove one of them",
                    "n_steps",
                )
            given["n_steps"] = as_lengths(values.pop("n_steps"))
    if not given:
        return Sequences(values, n_steps, None)
    lengths = _common(given)
    n_items, longest = len(lengths), int(lengths.max())
    capacity = longest
    if (lengths != longest).any():
        # equal numbers have to be right themselves
        capacity = -(-longest // unroll) * unroll
    if n_steps is not None and n_steps != longest:
        raise ValidationError(
            f"There are items of up to {longest} steps, which contradicts "
            f"n_steps={n_steps}; leave `n_steps` out",
            "n_steps",
        )
    for name, value in values.items():
        if all_lengths[name] is not None:
            values[name] = padded(name, value, capacity)
        elif name != "n_steps":
            values[name] = _without_ends(name, value, lengths)
            steps = np.shape(values[name])[1:2]
            if np.ndim(values[name]) > 2 and steps > (1,):
                capacity = steps[0]
    check_longest(lengths, capacity)
    values["n_steps"] = np.full((n_items, 1), capacity, np.int32)
    are_equal = bool((lengths == capacity).all())
    return Sequences(values, capacity, None if are_equal else lengths)


def is_ragged(value: Any) -> bool:
    """Return whether items may have unequal lengths."""
    if isinstance(value, (tf.RaggedTensor, tf.RaggedTensorSpec)):
        return True
    if not isinstance(value, (list, tuple)) or not value:
        return False
    return all(hasattr(item, "shape") and np.ndim(item) > 0 for item in value)


def lengths_of(value: Any) -> np.ndarray | None:
    """Return the lengths of items if they are unequal, or may be; None for arrays."""
    if isinstance(value, tf.RaggedTensor):
        return value.row_lengths().numpy()
    if not is_ragged(value):
        return None
    lengths = np.array([len(item) for item in value])
    return lengths if (lengths != lengths[0]).any() else None


def as_lengths(n_steps: Any) -> np.ndarray:
    """
    Return the number of steps of every item.

    Raises
    ------
    nengo.exceptions.ValidationError
        If they are anything else.
    """
    lengths = as_array("n_steps", n_steps)
    if lengths.ndim == 2 and lengths.shape[1] == 1:
        lengths = lengths[:, 0]
    if lengths.ndim != 1 or not len(lengths):
        raise ValidationError(
            "must be one number of steps, or one for each item, of shape (n_items,) "
            f"(received shape {lengths.shape})",
            "n_steps",
        )
    wrong = [n for n in lengths if n < 1 or not is_integer(n) and n != np.round(n)]
    if wrong:
        raise ValidationError(
            f"must be integers of at least 1 (received {wrong[0]})", "n_steps"
        )
    return lengths.astype(np.int32)


def _common(given: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the lengths that all data have."""
    (first, lengths), *others = given.items()
    for name, other in others:
        check_same_lengths(first, lengths, name, other)
    return as_lengths(lengths)


def check_same_lengths(
    first: str, lengths: np.ndarray, name: str, other: np.ndarray
) -> None:
    """
    Check that items have the same lengths in all data.

    Raises
    ------
    nengo.exceptions.ValidationError
        If they have not.
    """
    if len(lengths) != len(other):
        raise ValidationError(
            f"There are {len(lengths)} items in '{first}', and {len(other)} in "
            f"'{name}'; all data must have the same items",
            "n_steps",
        )
    different = np.flatnonzero(np.not_equal(lengths, other))
    if len(different):
        i = different[0]
        raise ValidationError(
            f"Item {i} has {lengths[i]} steps in '{first}', and {other[i]} in "
            f"'{name}'; items must have the same number of steps in all data",
            "n_steps",
        )


def check_longest(lengths: np.ndarray, n_steps: int) -> None:
    """
    Check that there are as many steps as the longest item has.

    Raises
    ------
    nengo.exceptions.ValidationError
        If there are not.
    """
    if lengths.max() > n_steps:
        raise ValidationError(
            f"There are items of {lengths.max()} steps, but data of {n_steps} steps "
            "only; shorten `n_steps`, or pass all steps (inputs that are the same in "
            "all steps are held if they have no axis for steps)",
            "n_steps",
        )


def padded(name: str, value: Any, n_steps: int) -> np.ndarray:
    """
    Return a ragged tensor or list of arrays as one array, with zeros after the ends.

    Parameters
    ----------
    name : str
        Name of the data.
    value : tf.RaggedTensor or list of (n_steps_i, ...) array
        The items.
    n_steps : int
        Number of steps of the array.
    """
    if isinstance(value, tf.RaggedTensor):
        try:
            return dense_items(value, n_steps).numpy()
        except tf.errors.InvalidArgumentError as err:
            raise ValidationError(f"Data for '{name}': {err.message}", "data") from err
    arrays = [as_array(name, item) for item in value]
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) > 1:
        raise ValidationError(
            f"Items of the data for '{name}' have different sizes per step, "
            f"{sorted(shapes)}; only the number of steps may differ",
            "data",
        )
    dtype = np.result_type(*arrays)
    result = np.zeros((len(arrays), n_steps, *arrays[0].shape[1:]), dtype)
    for row, array in zip(result, arrays):
        row[: len(array)] = array
    return result


def dense_items(value: tf.RaggedTensor, n_steps: int | tf.Tensor) -> tf.Tensor:
    """
    Return a ragged tensor as a tensor, with zeros after the ends of items.

    Raises
    ------
    tf.errors.InvalidArgumentError
        If more is ragged than the number of steps.
    """
    checks = []
    inner = value.values
    while isinstance(inner, tf.RaggedTensor):
        sizes, inner = inner.row_lengths(), inner.values
        message = "only the number of steps may differ between items, not other axes"
        checks.append(tf.debugging.assert_equal(sizes, sizes[:1], message))
    with tf.control_dependencies([check for check in checks if check is not None]):
        dense = value.to_tensor()
    missing = n_steps - tf.shape(dense)[1]
    return tf.pad(dense, [[0, 0], [0, missing], *[[0, 0]] * (dense.shape.rank - 2)])


def as_target(
    name: str, value: Any, n_steps: int | None, lengths: np.ndarray | None
) -> np.ndarray:
    """
    Return targets as an array, with as many steps as the inputs if they are ragged.

    Parameters
    ----------
    name : str
        Name of the Probe.
    value : array or tf.RaggedTensor or list of array
        The targets.
    n_steps : int or None
        Number of steps of the inputs.
    lengths : (n_items,) array of int or None
        How many steps of each input count; None if all do.

    Raises
    ------
    nengo.exceptions.ValidationError
        If items have other lengths than in the inputs.
    """
    own = lengths_of(value)
    if own is None or n_steps is None:
        array = as_array(name, value)
        return array if lengths is None else _without_ends(name, array, lengths)
    if lengths is None:
        lengths = np.full(len(own), n_steps)
    check_same_lengths("inputs", lengths, name, own)
    return padded(name, value, n_steps)


def _without_ends(name: str, value: Any, lengths: np.ndarray) -> np.ndarray:
    """Return an array in which everything is a number that counts nowhere."""
    array = as_array(name, value)
    if array.ndim < 3 or len(array) != len(lengths) or array.dtype.kind != "f":
        return array
    if np.isfinite(array).all():
        return array
    counts = np.arange(array.shape[1]) < lengths[:, None]
    return np.where(counts.reshape(*counts.shape, *[1] * (array.ndim - 2)), array, 0)
