"""
Loss functions of the values at all steps.

In: targets and outputs of a probe, ``(batch_size, n_steps, ...)``. Out: an error, or a
norm, of all elements.
"""

from __future__ import annotations

import keras
import tensorflow as tf


def nan_mse(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    r"""
    Return the mean squared error, without an error where the target is NaN.

    .. math:: \frac{1}{n} \sum_{i:\ y^*_i \neq \text{NaN}} (y_i - y^*_i)^2

    The mean is over all ``n`` elements, those without a target among them, so that
    losses of batches with few and with many targets can be compared.

    Parameters
    ----------
    y_true : (batch_size, n_steps, ...) tensor
        Targets; NaN where any output is right.
    y_pred : (batch_size, n_steps, ...) tensor
        Output of the probe.

    Returns
    -------
    error : scalar tensor
        The mean squared error.
    """
    return tf.reduce_mean(nan_squared_errors(y_true, y_pred))


def nan_squared_errors(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    r"""
    Return what `nan_mse` is the mean of.

    That is :math:`(y - y^*)^2`, and zero where the target :math:`y^*` is NaN.

    Parameters
    ----------
    y_true : (batch_size, n_steps, ...) tensor
        Targets; NaN where any output is right.
    y_pred : (batch_size, n_steps, ...) tensor
        Output of the probe.

    Returns
    -------
    errors : (batch_size, n_steps, ...) tensor
        One for each element of the output.
    """
    y_pred = tf.convert_to_tensor(y_pred)
    y_true = tf.cast(y_true, y_pred.dtype)
    # chosen before the subtraction: the gradient of a difference with NaN is NaN
    targets = tf.where(tf.math.is_nan(y_true), y_pred, y_true)
    return tf.square(y_pred - targets)


class Regularize(keras.losses.Loss):
    r"""
    The mean norm of the output, which needs no targets.

    .. math:: \frac{1}{n} \sum_{i=1}^n \|y_i\|_p

    Parameters
    ----------
    order : int or float or str
        The order ``p`` of the norm, as in `tf.norm`.
    axis : int, optional
        The axis of the probed signal along which norms are computed (``0`` is the
        first axis after batch and time). By default all of them, flattened.
    """

    def __init__(self, order: float | str = 2, axis: int | None = None):
        super().__init__(name="regularize")
        self.order = order
        self.axis = axis

    def __call__(
        self,
        y_true: tf.Tensor | None,
        y_pred: tf.Tensor,
        sample_weight: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Return the mean norm of ``y_pred``; ``y_true`` may be None."""
        norms = self.call(y_true, y_pred)
        if sample_weight is not None:
            weights = tf.cast(sample_weight, norms.dtype)
            n_axes = norms.shape.rank - weights.shape.rank
            norms *= tf.reshape(weights, [*weights.shape, *[1] * n_axes])
        return tf.reduce_mean(norms)

    def call(self, y_true: tf.Tensor | None, y_pred: tf.Tensor) -> tf.Tensor:
        """Return the norms."""
        y_pred = tf.convert_to_tensor(y_pred)
        if y_pred.shape.rank < 3:
            raise ValueError(
                "`Regularize` needs outputs of shape (batch_size, n_steps, ...), "
                f"received shape {tuple(y_pred.shape)}"
            )
        axis = 2 if self.axis is None else self.axis + 2
        if self.axis is None:
            shape = tf.shape(y_pred)
            y_pred = tf.reshape(y_pred, [shape[0], shape[1], -1])
        # the norm has no gradient at zero, where none is needed
        is_zero = tf.reduce_all(tf.equal(y_pred, 0), axis=axis, keepdims=True)
        norms = tf.norm(
            tf.where(is_zero, tf.ones_like(y_pred), y_pred), self.order, axis=axis
        )
        return tf.where(tf.squeeze(is_zero, axis), tf.zeros_like(norms), norms)

    def get_config(self) -> dict:
        """Return the arguments."""
        return {"order": self.order, "axis": self.axis}
