"""
Neurons that put out firing rates.

The maths is in functions, which the training versions of spiking neurons use as well.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from nengo_dl.builder import BuildConfig
from nengo_dl.neuron_builders.base import TFNeuronBuilder
from nengo_dl.neuron_builders.rounding import rounded_in_double
from nengo_dl.neurons import LeakyReLU, SpikingLeakyReLU
from nengo_dl.signals import SignalDict


def leaky_relu(J: tf.Tensor, negative_slope: tf.Tensor | None) -> tf.Tensor:
    r"""
    Rectify: :math:`\max(J, 0)`, or :math:`J < 0` times a slope where there is one.

    Parameters
    ----------
    J : tf.Tensor
        Input currents.
    negative_slope : tf.Tensor or None
        Slope for negative currents; None for 0.
    """
    if negative_slope is None:
        return tf.nn.relu(J)
    return tf.where(J < 0, negative_slope * J, J)


def lif_rate(
    J: tf.Tensor, tau_rc: tf.Tensor, tau_ref: tf.Tensor, epsilon: tf.Tensor
) -> tf.Tensor:
    r"""
    Compute the firing rates of LIF neurons for constant input.

    .. math::

       r = \begin{cases}
           \left(\tau_{ref} + \tau_{rc} \log(1 + 1 / j)\right)^{-1} & j > 0 \\
           0 & j \le 0
           \end{cases}
       \qquad \text{with } j = J - 1

    Parameters
    ----------
    J : tf.Tensor
        Input currents.
    tau_rc, tau_ref : tf.Tensor
        Membrane time constant and refractory period, in seconds.
    epsilon : tf.Tensor
        Smallest ``j`` for which the logarithm is computed.
    """
    dtype = J.dtype
    J, tau_rc, tau_ref, epsilon = _wide(J, tau_rc, tau_ref, epsilon)

    @tf.custom_gradient
    def rate(j: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        q = tf.math.log1p(1 / tf.maximum(j, epsilon))
        r = tf.where(j > 0, 1 / (tau_ref + tau_rc * q), tf.zeros_like(j))

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            # of nothing but currents and rates, which loops keep for it
            above = tf.maximum(j, epsilon)
            return upstream * tau_rc * r**2 / (above * (above + 1))

        return r, gradient

    return tf.cast(rate(J - 1), dtype)


def _wide(*values: tf.Tensor) -> list[tf.Tensor]:
    """Return values in a type in which squares of firing rates are finite."""
    if values[0].dtype != tf.float16:
        return list(values)
    return [tf.cast(value, tf.float32) for value in values]


def soft_lif_rate(
    J: tf.Tensor, tau_rc: tf.Tensor, tau_ref: tf.Tensor, sigma: tf.Tensor
) -> tf.Tensor:
    r"""
    Compute the firing rates of LIF neurons with a smoothed threshold.

    .. math::

       r = \left(\tau_{ref} + \tau_{rc} \log(1 + 1 / z)\right)^{-1}
       \qquad \text{with } z = \sigma \log(1 + e^{(J - 1) / \sigma})

    Parameters
    ----------
    J : tf.Tensor
        Input currents.
    tau_rc, tau_ref : tf.Tensor
        Membrane time constant and refractory period, in seconds.
    sigma : tf.Tensor
        Amount of smoothing.
    """
    dtype = J.dtype
    J, tau_rc, tau_ref, sigma = _wide(J, tau_rc, tau_ref, sigma)
    x = (J - 1) / sigma
    z = sigma * tf.nn.softplus(x)
    # far below the threshold z vanishes, and log(1 + 1 / z) approaches -log(z)
    far_below = x <= -20
    q = tf.where(
        far_below,
        -x - tf.math.log(sigma),
        tf.math.log1p(1 / tf.where(far_below, tf.ones_like(z), z)),
    )
    return tf.cast(1 / (tau_ref + tau_rc * q), dtype)


class RectifiedLinearBuilder(TFNeuronBuilder):
    r"""
    Build `nengo.RectifiedLinear` and `.LeakyReLU` neurons.

    .. math:: \text{output} = \text{amplitude} \cdot \text{relu}(J)

    Attributes
    ----------
    negative_slope : tf.Tensor or None
        Slope for negative currents; None for types without one.
    """

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Prepare the parameters."""
        super().build_pre(signals, config)
        self.negative_slope = None
        if isinstance(self.ops[0].neurons, (LeakyReLU, SpikingLeakyReLU)):
            self.negative_slope = self.parameter(signals, "negative_slope")

    def step(self, J: tf.Tensor, dt: tf.Tensor) -> tf.Tensor:
        """Compute the output for input currents ``J``."""
        return self.scaled(leaky_relu(J, self.negative_slope))


class SigmoidBuilder(TFNeuronBuilder):
    r"""
    Build `nengo.Sigmoid` neurons.

    .. math:: \text{output} = \frac{1}{\tau_{ref}} \frac{1}{1 + e^{-J}}
    """

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Prepare the parameters."""
        super().build_pre(signals, config)
        self.tau_ref = self.parameter(signals, "tau_ref")

    def step(self, J: tf.Tensor, dt: tf.Tensor) -> tf.Tensor:
        """Compute the output for input currents ``J``."""
        return tf.nn.sigmoid(J) / self.tau_ref


class TanhBuilder(TFNeuronBuilder):
    r"""
    Build `nengo.Tanh` neurons.

    .. math:: \text{output} = \frac{1}{\tau_{ref}} \tanh(J)
    """

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Prepare the parameters."""
        super().build_pre(signals, config)
        self.tau_ref = self.parameter(signals, "tau_ref")

    def step(self, J: tf.Tensor, dt: tf.Tensor) -> tf.Tensor:
        """Compute the output for input currents ``J``."""
        return tf.nn.tanh(J) / self.tau_ref


class LIFParameters(TFNeuronBuilder):
    """
    Base class of builders of neurons with the parameters of LIF neurons.

    Attributes
    ----------
    tau_rc, tau_ref : tf.Tensor
        Membrane time constant and refractory period, in seconds.
    zeros : (minibatch_size, n_neurons) tf.Tensor
        The number 0 for every neuron.
    zero, one, epsilon : tf.Tensor
        The numbers 0 and 1, and the smallest distance of ``J`` from the threshold for
        which rates are computed.
    """

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Prepare the parameters."""
        super().build_pre(signals, config)
        self.tau_rc = self.parameter(signals, "tau_rc")
        self.tau_ref = self.parameter(signals, "tau_ref")
        shape = (signals.minibatch_size, *self.J_data.shape)
        self.zeros = tf.zeros(shape, signals.dtype)
        self.zero, self.one = signals.zero, signals.one
        # the gradient of log(1 + 1 / epsilon) contains 1 / epsilon**2
        largest = float(np.finfo(signals.dtype.as_numpy_dtype).max)
        self.epsilon = tf.constant(max(1e-15, 2 / largest**0.5), signals.dtype)


class LIFRateBuilder(LIFParameters):
    """Build `nengo.LIFRate` neurons; the equation is that of ``lif_rate``."""

    def step(self, J: tf.Tensor, dt: tf.Tensor) -> tf.Tensor:
        """Compute the output for input currents ``J``."""
        return self.scaled(lif_rate(J, self.tau_rc, self.tau_ref, self.epsilon))


class SoftLIFRateBuilder(LIFParameters):
    """
    Build `.SoftLIFRate` neurons; the equation is that of ``soft_lif_rate``.

    Attributes
    ----------
    sigma : tf.Tensor
        Amount of smoothing.
    """

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Prepare the parameters."""
        super().build_pre(signals, config)
        self.sigma = self.parameter(signals, "sigma")

    def step(self, J: tf.Tensor, dt: tf.Tensor) -> tf.Tensor:
        """Compute the output for input currents ``J``."""
        return self.scaled(soft_lif_rate(J, self.tau_rc, self.tau_ref, self.sigma))


class AdaptiveLIFRateBuilder(LIFParameters):
    r"""
    Build `nengo.AdaptiveLIFRate` neurons.

    With the adaptation :math:`n` and the rate :math:`r` of a LIF neuron (see
    ``lif_rate``),

    .. math::

       \text{output} = \text{amplitude} \cdot r(J - n), \qquad
       n \leftarrow n + \frac{dt}{\tau_n} (\text{inc}_n \cdot \text{output} - n)

    This is differentiable, so training does not differ from inference.
    """

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Prepare the parameters."""
        super().build_pre(signals, config)
        self.tau_n = self.parameter(signals, "tau_n")
        self.inc_n = self.parameter(signals, "inc_n")

    def step(
        self, J: tf.Tensor, dt: tf.Tensor, adaptation: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """Compute the output for input currents ``J``, and the new adaptation."""
        rate = lif_rate(J - adaptation, self.tau_rc, self.tau_ref, self.epsilon)
        output = self.scaled(rate)
        return output, adapted(adaptation, output, dt, self.tau_n, self.inc_n)


def adapted(
    adaptation: tf.Tensor,
    output: tf.Tensor,
    dt: tf.Tensor,
    tau_n: tf.Tensor,
    inc_n: tf.Tensor,
) -> tf.Tensor:
    """Return the adaptation after a step in which neurons put out ``output``."""
    difference = rounded_in_double(inc_n * output) - adaptation
    return adaptation + rounded_in_double((dt / tau_n) * difference)
