"""
Keras layers for networks that are to spike.

In: what Keras layers get. Out: activations that a spiking network can reproduce. The
layers are part of a Keras model, before it becomes a Nengo network.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from nengo.exceptions import ValidationError

# Lowest value of a trained threshold.
SMALLEST_THETA = 1e-3


@keras.saving.register_keras_serializable(package="nengo_dl")
class QCFS(keras.layers.Layer):
    r"""
    A rectifier with levels, as integrate-and-fire neurons put out in some steps.

    The activation function "quantization, clip, floor, shift" [1]_ is

    .. math::

       y = \theta \cdot \text{clip}\left(
       \frac{1}{L} \left\lfloor \frac{x}{\theta} L + \frac{1}{2} \right\rfloor,
       0, 1 \right)

    which is the mean output in :math:`L` steps of neurons with a threshold
    :math:`\theta`, one spike in a step at most, constant input, and a voltage that
    starts with :math:`\theta / 2`. A network that is trained with it loses little when
    it spikes, for even a few steps.

    The threshold is trained with the weights, one for the layer. The floor function has
    the gradient 1, so that

    .. math::

       \frac{\partial y}{\partial x} = \begin{cases}
       1 & 0 \le u \le L \\ 0 & \text{else} \end{cases}
       \qquad
       \frac{\partial y}{\partial \theta} = \begin{cases}
       0 & u < 0 \\ (y - x) / \theta & 0 \le u \le L \\ 1 & u > L \end{cases}

    for :math:`u = x L / \theta + 1 / 2`.

    Parameters
    ----------
    levels : int
        The number of levels above zero, :math:`L`.
    initial_theta : float
        The threshold :math:`\theta` before training (positive). It stays positive.
    **kwargs
        Arguments of `keras.layers.Layer`, such as ``name`` and ``dtype``.

    Attributes
    ----------
    theta : keras.Variable
        The threshold, a scalar; there is none before the layer is built.

    Raises
    ------
    ValidationError
        If ``levels`` is no positive integer or ``initial_theta`` no positive number.

    Notes
    -----
    With mixed precision, levels are computed in the type of the variables.

    References
    ----------
    .. [1] Bu, T., Fang, W., Ding, J., Dai, P., Yu, Z., & Huang, T. (2022). Optimal
       ANN-SNN conversion for high-accuracy and ultra-low-latency spiking neural
       networks. International Conference on Learning Representations.
    """

    def __init__(self, levels: int = 8, initial_theta: float = 8.0, **kwargs: Any):
        super().__init__(**kwargs)
        is_integer = isinstance(levels, (int, np.integer))
        if isinstance(levels, bool) or not is_integer or levels < 1:
            raise ValidationError(
                f"`levels` must be a positive integer; received {levels!r}",
                attr="levels",
            )
        is_number = isinstance(initial_theta, (int, float, np.number))
        if not is_number or not SMALLEST_THETA <= initial_theta < math.inf:
            raise ValidationError(
                f"`initial_theta` must be a number of at least {SMALLEST_THETA}; "
                f"received {initial_theta!r}",
                attr="initial_theta",
            )
        self.levels = int(levels)
        self.initial_theta = float(initial_theta)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Create the threshold."""
        self.theta = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(self.initial_theta),
            constraint=_AboveSmallest(),
            autocast=False,
            name="theta",
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Compute the activations; their shape is that of the inputs."""
        theta = ops.convert_to_tensor(self.theta)
        u = ops.cast(inputs, theta.dtype) / theta * self.levels + 0.5
        u = ops.clip(u, 0, self.levels)
        # the value of the floor function (exactly, in this range) without its gradient
        level = u + ops.stop_gradient(ops.floor(u) - u)
        return ops.cast(theta * (level / self.levels), self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the layer."""
        return {
            **super().get_config(),
            "levels": self.levels,
            "initial_theta": self.initial_theta,
        }


class _AboveSmallest(keras.constraints.Constraint):
    """Keep a threshold positive."""

    def __call__(self, w: tf.Tensor) -> tf.Tensor:
        return ops.maximum(w, SMALLEST_THETA)
