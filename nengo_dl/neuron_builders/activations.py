"""
Neurons that put out activation functions of Keras.

`ACTIVATIONS` has all of them; the formulas are in the docstrings of the neuron types.
They are differentiable, so training does not differ from inference.
"""

from __future__ import annotations

import math

import tensorflow as tf

from nengo_dl import neurons
from nengo_dl.builder import BuildConfig
from nengo_dl.neuron_builders.base import TFNeuronBuilder
from nengo_dl.signals import SignalDict


def celu(J: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    """Compute `.CELU`."""
    return tf.nn.relu(J) + alpha * tf.math.expm1(tf.minimum(J, 0) / alpha)


def elu(J: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    """Compute `.ELU`."""
    output = tf.nn.elu(J)
    return tf.where(J > 0, output, alpha * output)


def gelu(J: tf.Tensor, approximate: tf.Tensor) -> tf.Tensor:
    """
    Compute `.GELU`; only where neurons differ, both formulas are needed.

    (`tf.nn.gelu` has constants in single precision.)
    """
    if approximate.shape.rank > 0:
        return tf.where(
            approximate, gelu(J, tf.constant(True)), gelu(J, tf.constant(False))
        )
    if tf.get_static_value(approximate):
        x = tf.tanh(math.sqrt(2 / math.pi) * (J + 0.044715 * J**3))
    else:
        x = tf.math.erf(J / math.sqrt(2))
    return J * (1 + x) / 2


def hard_shrink(J: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """Compute `.HardShrink`."""
    return tf.where(tf.abs(J) > threshold, J, tf.zeros_like(J))


def hard_sigmoid(J: tf.Tensor) -> tf.Tensor:
    """Compute `.HardSigmoid`."""
    return tf.clip_by_value(J / 6 + 0.5, 0, 1)


def relu(
    J: tf.Tensor, max_value: tf.Tensor, negative_slope: tf.Tensor, threshold: tf.Tensor
) -> tf.Tensor:
    """Compute `.ReLU`, with an infinite ``max_value`` where there is none."""
    below = negative_slope * (J - threshold)
    return tf.where(J > threshold, tf.minimum(J, max_value), below)


def soft_shrink(J: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """Compute `.SoftShrink`."""
    return tf.sign(J) * tf.nn.relu(tf.abs(J) - threshold)


def sparse_plus(J: tf.Tensor) -> tf.Tensor:
    """Compute `.SparsePlus`."""
    return tf.where(J < 1, tf.nn.relu(J + 1) ** 2 / 4, J)


#: The function of every neuron type, and the names of its parameters after ``J``.
ACTIVATIONS = {
    neurons.CELU: (celu, "alpha"),
    neurons.ELU: (elu, "alpha"),
    neurons.Exponential: (tf.exp,),
    neurons.GELU: (gelu, "approximate"),
    neurons.HardShrink: (hard_shrink, "threshold"),
    neurons.HardSigmoid: (hard_sigmoid,),
    neurons.HardSiLU: (lambda J: J * hard_sigmoid(J),),
    neurons.HardTanh: (lambda J: tf.clip_by_value(J, -1, 1),),
    neurons.LogSigmoid: (tf.math.log_sigmoid,),
    neurons.Mish: (lambda J: J * tf.tanh(tf.nn.softplus(J)),),
    neurons.ReLU: (relu, "max_value", "negative_slope", "threshold"),
    neurons.SELU: (tf.nn.selu,),
    neurons.SiLU: (tf.nn.silu,),
    neurons.SoftShrink: (soft_shrink, "threshold"),
    neurons.Softplus: (tf.nn.softplus,),
    neurons.Softsign: (tf.nn.softsign,),
    neurons.SparsePlus: (sparse_plus,),
    neurons.SparseSigmoid: (lambda J: tf.clip_by_value((J + 1) / 2, 0, 1),),
    neurons.Squareplus: (lambda J, b: (J + tf.sqrt(J**2 + b)) / 2, "b"),
    neurons.TanhShrink: (lambda J: J - tf.tanh(J),),
    neurons.Threshold: (
        lambda J, threshold, default_value: tf.where(J > threshold, J, default_value),
        "threshold",
        "default_value",
    ),
}


class ActivationBuilder(TFNeuronBuilder):
    r"""
    Build neurons by their function :math:`f` in ``ACTIVATIONS``.

    .. math:: \text{output} = \text{amplitude} \cdot f(J)

    Attributes
    ----------
    activation : callable
        The function, of the currents and of parameters.
    parameters : list of tf.Tensor
        The parameters.
    """

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Prepare the parameters."""
        super().build_pre(signals, config)
        # subclasses that inherit the step are built as their parent
        neuron_types = type(self.ops[0].neurons).__mro__
        self.activation, *names = next(
            ACTIVATIONS[cls] for cls in neuron_types if cls in ACTIVATIONS
        )
        self.parameters = [
            self.parameter(
                signals,
                name,
                tf.bool if name == "approximate" else signals.dtype,
                if_none=float("inf"),  # a limit
            )
            for name in names
        ]

    def step(self, J: tf.Tensor, dt: tf.Tensor) -> tf.Tensor:
        """Compute the output for input currents ``J``."""
        return self.scaled(self.activation(J, *self.parameters))
