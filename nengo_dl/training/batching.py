"""
Batches in place of the arrays that a user passed.

In: data for `fit`, `evaluate` or `predict`, and the options of Keras that are about
their order. Out: the same, with a `tf.data.Dataset` of batches in place of arrays;
what it takes care of is no option any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from nengo.exceptions import ValidationError

from nengo_dl.execution.lengths import LENGTHS
from nengo_dl.training.shuffling import ordered_batches, shuffled_batches, split


def batches_in_order(x: Any, y: Any, options: dict[str, Any]) -> tuple[Any, Any]:
    """
    Return batches in place of arrays, in their order.

    Parameters
    ----------
    x, y : object
        Inputs and targets; arrays are in dictionaries by name.
    options : dict of {str: object}
        Options of Keras, ``batch_size`` among them; weights of arrays are taken out.
    """
    if not isinstance(x, dict):
        return x, y
    arrays = _given(x, y, options.pop("sample_weight", None))
    return ordered_batches(arrays, options["batch_size"]), None


def training_batches(
    x: Any,
    y: Any,
    options: dict[str, Any],
    rng: np.random.RandomState,
    unroll: int,
) -> tuple[Any, Any]:
    """
    Return batches in place of arrays, in the order in which they are trained.

    Parameters
    ----------
    x, y, options
        See `batches_in_order`. What is held out for validation is batches in
        ``options``.
    rng : numpy.random.RandomState
        Draws the orders.
    unroll : int
        The number of steps of a batch has to be a multiple of it.
    """
    batch_size = options["batch_size"]
    if isinstance(x, dict):
        arrays = _given(x, y, options.pop("sample_weight", None))
        part = options.pop("validation_split", 0)
        if part and options.get("validation_data") is None:
            arrays, options["validation_data"] = split(arrays, part)
        by_length = unroll if groups_lengths(x, options) else None
        shuffle = options.pop("shuffle", True)
        within = isinstance(shuffle, str) and shuffle == "batch"
        if shuffle:
            x = shuffled_batches(arrays, batch_size, rng, within, by_length)
        else:
            x = ordered_batches(arrays, batch_size)
        y = None
    # Keras would warn that it cannot shuffle streams
    options.setdefault("shuffle", False)
    held_out = options.get("validation_data")
    if isinstance(held_out, tuple) and isinstance(held_out[0], dict):
        options["validation_data"] = ordered_batches(_given(*held_out), batch_size)
    return x, y


def groups_lengths(x: Any, options: Mapping[str, Any]) -> bool:
    """
    Return whether items of similar lengths make up batches.

    Raises
    ------
    nengo.exceptions.ValidationError
        If they are asked to, but are in batches already.
    """
    shuffle = options.get("shuffle")
    if not (isinstance(shuffle, str) and shuffle == "length"):
        return False
    if not isinstance(x, dict):
        raise ValidationError(
            '`shuffle="length"` is for arrays; batches of a generator or data set '
            "are used as they come",
            "shuffle",
        )
    return LENGTHS in x


def _given(*parts: Any) -> tuple:
    """Return the parts of data that there are."""
    return tuple(part for part in parts if part is not None)
