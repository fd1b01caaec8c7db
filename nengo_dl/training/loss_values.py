"""
The loss of a batch as one number.

In: a loss function, targets and outputs, weights, and what of the batch counts. Out: a
scalar, as the ``reduction`` of the loss asks for.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from nengo_dl.execution.lengths import Lengths
from nengo_dl.losses import TimeReduction
from nengo_dl.training.counting import counted_weights, has_steps, one_number
from nengo_dl.utils import function_name


def loss_values(loss: Any, y_true: tf.Tensor | None, y_pred: tf.Tensor) -> tf.Tensor:
    """Return what a loss function returns; see `reduced_loss`."""
    if y_true is not None:
        y_true = tf.cast(y_true, y_pred.dtype)
    function = loss.call if isinstance(loss, keras.losses.Loss) else loss
    return tf.cast(tf.convert_to_tensor(function(y_true, y_pred)), y_pred.dtype)


def reduced_loss(
    loss: Any,
    y_true: tf.Tensor | None,
    y_pred: tf.Tensor,
    weight: tf.Tensor | None = None,
    lengths: Lengths | None = None,
) -> tf.Tensor:
    """
    Return the loss of a batch as one number.

    Parameters
    ----------
    loss : callable
        Loss function, or `keras.losses.Loss`, whose ``reduction`` is respected.
    y_true : tensor or None
        Targets; of the type of the output from here on, as in Keras.
    y_pred : tensor
        Output.
    weight : tensor, optional
        Sample weights; their first axes are those of what the loss function returns.
    lengths : Lengths, optional
        What of the batch counts; by default all of it.

    Returns
    -------
    value : scalar tensor
        The sum over the loss function's values times weights, divided by the number of
        values unless ``reduction`` is ``"sum"``, and by the sum of the weights if it is
        ``"mean_with_sample_weight"``. (Nothing is cast to the type that a
        `keras.losses.Loss` has, which is less precise in simulations with float64.)
    """
    reduction = loss.reduction if isinstance(loss, keras.losses.Loss) else None
    if isinstance(loss, TimeReduction):
        ends = None if lengths is None else lengths.n_steps
        weight = loss.reduce_weights(weight, y_pred, ends)
        y_true, y_pred = loss.reduce(y_true, y_pred, ends)
        loss = keras.losses.get(loss.loss)
        lengths = None if lengths is None else lengths.of_items()
    values = loss_values(loss, y_true, y_pred)
    if lengths is None:
        return _reduced(values, weight, reduction)
    if values.shape.rank == 0:
        if lengths.n_steps is None:
            raise one_number(function_name(loss))
        only = lengths.only_items
        weight = None if weight is None else only(weight)
        y_true = None if y_true is None else only(y_true)
        return _reduced(loss_values(loss, y_true, only(y_pred)), weight, reduction)
    if not has_steps(values, y_pred):
        lengths = lengths.of_items()
    weight = counted_weights(lengths, y_pred, weight, alike=reduction != "sum")
    value = _reduced(values, weight, reduction)
    if reduction in ("sum", "mean_with_sample_weight"):
        return value
    # (a mean over what counts, as that is what weights are zero for)
    n_all = tf.cast(tf.shape(values)[0], value.dtype)
    return tf.math.divide_no_nan(value * n_all, lengths.n_items(value.dtype))


def _reduced(
    values: tf.Tensor, weight: tf.Tensor | None, reduction: str | None
) -> tf.Tensor:
    """Return the values of a loss function as one number; see `reduced_loss`."""
    if weight is not None:
        weight = tf.cast(weight, values.dtype)
        weight = with_rank(weight, values.shape.rank)
        values *= weight
        if reduction == "mean_with_sample_weight":
            weights = tf.broadcast_to(weight, tf.shape(values))
            return tf.math.divide_no_nan(tf.reduce_sum(values), tf.reduce_sum(weights))
    return tf.reduce_sum(values) if reduction == "sum" else tf.reduce_mean(values)


def with_rank(weight: tf.Tensor, rank: int) -> tf.Tensor:
    """Append axes of length 1 to weights (or remove them), up to a rank."""
    shape = tf.shape(weight)
    missing = tf.ones([tf.maximum(0, rank - tf.rank(weight))], tf.int32)
    return tf.reshape(weight, tf.concat([shape[: max(rank, 1)], missing], axis=0))
