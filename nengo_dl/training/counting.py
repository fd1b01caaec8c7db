"""
Losses and metrics of batches in which not everything counts.

In: what a loss function returns, weights, and the `Lengths` of a batch. Out: the same
without the items that fill up a batch, and the steps after the end of an item.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf
from nengo.exceptions import ValidationError

from nengo_dl.execution.lengths import Lengths


class Counted(NamedTuple):
    """
    A batch as losses and metrics see it.

    Parameters
    ----------
    y_true, y_pred, weights : dict of {str: tensor}
        Targets, outputs and sample weights by the name of the Probe. Weights are those
        of items, or of all that a loss function returns.
    lengths : Lengths, optional
        What of them counts; by default everything.
    share : scalar tensor, optional
        The part of the items of a batch that are more than padding; by default all.
    """

    y_true: Mapping[str, tf.Tensor]
    y_pred: Mapping[str, tf.Tensor]
    weights: Mapping[str, tf.Tensor]
    lengths: Lengths | None = None
    share: tf.Tensor | None = None


def has_steps(values: Any, y_pred: Any) -> bool:
    """
    Return whether there is a value for each step of an output.

    Parameters
    ----------
    values : tensor
        What a loss function returns.
    y_pred : (batch_size, n_steps, ...) tensor
        The output.
    """
    return values.shape.rank > 1 and values.shape[1:2].is_compatible_with(
        y_pred.shape[1:2]
    )


def no_steps(name: str, what: str) -> ValidationError:
    """Return the error for a loss or metric from which no steps can be left out."""
    return ValidationError(
        f"Items have unequal numbers of steps, and the {what} of '{name}' has no value "
        "for each step, so that those after the end of an item cannot be left out; "
        "return one value for each step, (batch_size, n_steps), or use "
        "`nengo_dl.losses.LastStep` or `nengo_dl.losses.TimeMean`, which know where "
        "items end",
        "n_steps",
    )


def one_number(name: str) -> ValidationError:
    """Return the error for a loss from which XLA can leave out no items."""
    return ValidationError(
        f"The last batch has fewer items than others, and '{name}' returns one number "
        "for all items, from which XLA cannot leave out any; return one value for each "
        "item, or compile with `jit_compile=False`",
        "loss",
    )


def counted_weights(
    lengths: Lengths,
    y_pred: tf.Tensor,
    weights: tf.Tensor | None = None,
    alike: bool = True,
) -> tf.Tensor:
    """
    Return weights of zero for what does not count.

    Parameters
    ----------
    lengths : Lengths
        What counts.
    y_pred : (batch_size, n_steps, ...) tensor
        The output.
    weights : (batch_size, ...) tensor, optional
        Sample weights, by default one.
    alike : bool
        Whether every item counts the same, and not every step.

    Returns
    -------
    weights : (batch_size, ...) tensor
        See `Lengths.weights`.
    """
    if lengths.n_steps is not None and y_pred.shape[1] == 1:
        lengths = lengths.of_items()
    n_steps = tf.shape(y_pred)[1] if y_pred.shape.rank > 1 else 1
    counted = lengths.weights(n_steps, y_pred.dtype)
    if not alike:
        counted = tf.sign(counted)
    if weights is None:
        return counted
    weights = tf.cast(weights, y_pred.dtype)
    rank = max(counted.shape.rank, weights.shape.rank)
    return _with_axes(counted, rank) * _with_axes(weights, rank)


def _with_axes(weights: tf.Tensor, rank: int) -> tf.Tensor:
    """Append axes of length one."""
    for _ in range(rank - weights.shape.rank):
        weights = weights[..., None]
    return weights
