"""
Neurons that spike by the equation of a membrane.

While a network is trained, the rate version of the neurons takes their place, unless
a builder says that it is ``trained_by_step``.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from nengo.builder.neurons import SimNeurons

from nengo_dl.builder import BuildConfig
from nengo_dl.neuron_builders.base import TFNeuronBuilder
from nengo_dl.neuron_builders.rates import (
    LIFParameters,
    adapted,
    lif_rate,
    soft_lif_rate,
)
from nengo_dl.neuron_builders.rounding import rounded_in_double
from nengo_dl.signals import SignalDict

# Up to this ratio of the step to the membrane time constant, the series of `decay`
# and `log_overshoot` are exact to rounding: to 1e-14 in double precision, and to 1e-8,
# with fewer terms, in single precision. XLA divides the work of one step among several
# threads if it takes that for expensive, and for so short a time they are in the way.
MAX_SERIES_STEP = 0.1


def decay(x: tf.Tensor, use_series: bool) -> tuple[tf.Tensor, tf.Tensor]:
    r"""
    Return which part of the way to the input current a voltage goes, as a fraction.

    .. math:: 1 - e^{-x}

    Parameters
    ----------
    x : tf.Tensor
        The time, in units of the membrane time constant.
    use_series : bool
        If True, compute the exponential by a series, for ``x <= MAX_SERIES_STEP``:

        .. math::

           1 - e^{-x} = x / d, \qquad
           d = 1 + \frac{x}{2} + \frac{x^2}{12} - \frac{x^4}{720}
           + \frac{x^6}{30240} - \ldots

        with the last of these terms in double precision only. This takes less than
        half of the time in compiled simulations.

    Returns
    -------
    numerator, denominator : tf.Tensor
        The fraction; see `relaxed`.
    """
    if not use_series:
        return -tf.math.expm1(-x), tf.ones_like(x)
    x2 = x * x
    if x.dtype == tf.float64:
        d = 1 + x / 2 + x2 * (1 / 12 - x2 * (1 / 720 - x2 / 30240))
    else:
        d = 1 + x * (1 / 2 + x * (1 / 12 - x2 * (1 / 720)))
    return x, d


def relaxed(
    voltage: tf.Tensor, J: tf.Tensor, numerator: tf.Tensor, denominator: tf.Tensor
) -> tf.Tensor:
    r"""
    Let the membrane voltage approach the input current for some time.

    .. math:: v \leftarrow v + (J - v) (1 - e^{-x})

    That the division comes last matters: XLA computes divisions once but repeats cheap
    operations for each of their uses. Where the denominator is 1, the result is that of
    NumPy to the last digit, in double precision. A voltage does not overshoot ``J = 1``
    by a rounding error, which would be a spike.

    Parameters
    ----------
    voltage, J : tf.Tensor
        Membrane voltage and input current.
    numerator, denominator : tf.Tensor
        Which part of the way the voltage goes; see `decay`.
    """
    difference = rounded_in_double((J - voltage) * numerator)
    return (voltage * denominator + difference) / denominator


def log_overshoot(voltage: tf.Tensor, J: tf.Tensor, use_series: bool) -> tf.Tensor:
    r"""
    Return how long ago a voltage crossed the threshold, as a negative number.

    Parameters
    ----------
    voltage, J : tf.Tensor
        Membrane voltage above the threshold of 1, and input current.
    use_series : bool
        If True, compute the logarithm by a series, for voltages that have been above
        the threshold for no longer than ``MAX_SERIES_STEP``:

        .. math::

           \log\left(1 - \frac{v - 1}{J - 1}\right)
           = -2 \left(a + \frac{a^3}{3} + \frac{a^5}{5} + \ldots\right), \qquad
           a = \frac{v - 1}{2 (J - 1) - (v - 1)}

        up to :math:`a^9` in double, and :math:`a^5` in single precision.

    Returns
    -------
    time : tf.Tensor
        In units of the membrane time constant. Undefined below the threshold.
    """
    overshoot = voltage - 1
    if not use_series:
        return tf.math.log1p(-overshoot / (J - 1))
    a = overshoot / (2 * (J - 1) - overshoot)
    a2 = a * a
    if a.dtype != tf.float64:
        return a * (a2 * (a2 * (-2 / 5) - 2 / 3) - 2)
    return -2 * a * (1 + a2 * (1 / 3 + a2 * (1 / 5 + a2 * (1 / 7 + a2 / 9))))


class LIFBuilder(LIFParameters):
    r"""
    Build `nengo.LIF` neurons.

    The membrane follows :math:`\tau_{rc} \dot v = J - v` exactly for the part
    :math:`\delta` of the step that is not within the refractory time :math:`r`:

    .. math::

       r \leftarrow r - dt, \qquad \delta = \text{clip}(dt - r, 0, dt), \qquad
       v \leftarrow v + (v - J) (e^{-\delta / \tau_{rc}} - 1)

    A neuron spikes if :math:`v > 1`. The time of the spike within the step follows from
    the same equation, so that

    .. math::

       r \leftarrow \tau_{ref} + dt + \tau_{rc}
       \log\left(1 - \frac{v - 1}{J - 1}\right), \qquad v \leftarrow 0, \qquad
       \text{output} = \text{amplitude} / dt

    Neurons that do not spike keep :math:`r`, put out 0, and their :math:`v` is raised
    to ``min_voltage`` if it is below. In training, the output is that of
    `nengo.LIFRate`, or of `.SoftLIFRate` with the setting ``lif_smoothing``.

    Attributes
    ----------
    min_voltage : tf.Tensor
        Lowest possible voltage.
    sigma : tf.Tensor
        The setting ``lif_smoothing``; does not exist without it.
    """

    spiking = True

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Prepare the parameters."""
        super().build_pre(signals, config)
        self.min_voltage = self.parameter(signals, "min_voltage")
        self._use_series = all(_allows_series(op, signals.dt_val) for op in self.ops)
        if config.lif_smoothing is not None:
            self.sigma = tf.constant(config.lif_smoothing, signals.dtype)

    def step(
        self,
        J: tf.Tensor,
        dt: tf.Tensor,
        voltage: tf.Tensor,
        refractory_time: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        """Compute the spikes for input currents ``J``, and the new state."""
        refractory_time = refractory_time - dt
        voltage = self.membrane(J, dt, voltage, refractory_time)
        spiked = voltage > 1
        after_spike = self.refractory_time_after_spike(J, dt, voltage)
        return (
            self.spikes(voltage),
            tf.where(spiked, self.zero, tf.maximum(voltage, self.min_voltage)),
            tf.where(spiked, after_spike, refractory_time),
        )

    def membrane(
        self,
        J: tf.Tensor,
        dt: tf.Tensor,
        voltage: tf.Tensor,
        refractory_time: tf.Tensor,
    ) -> tf.Tensor:
        """
        Return the voltage at the end of the step, before spikes reset it.

        Parameters
        ----------
        J, dt, voltage
            As for `step`.
        refractory_time : (minibatch_size, n_neurons) tf.Tensor
            What is left of it at the start of the step.
        """
        delta = tf.clip_by_value(dt - refractory_time, self.zero, dt)
        numerator, denominator = decay(delta / self.tau_rc, self._use_series)
        tau_rc = tf.get_static_value(self.tau_rc)
        # (builders from outside may have time constants that TensorFlow computes)
        if tau_rc is not None and delta.dtype == tf.float64:
            # for whole steps, to the last digit what NumPy has
            whole = -np.expm1(-tf.get_static_value(dt) / tau_rc)
            is_partial = delta < dt
            numerator = tf.where(is_partial, numerator, whole)
            denominator = tf.where(is_partial, denominator, self.one)
        return relaxed(voltage, J, numerator, denominator)

    def spikes(self, voltage: tf.Tensor) -> tf.Tensor:
        """
        Return the output of neurons for the voltage at the end of the step.

        It has no gradient. Override this in builders that are ``trained_by_step``.

        Parameters
        ----------
        voltage : (minibatch_size, n_neurons) tensor
            The voltage, before it is reset; the threshold is 1.
        """
        return tf.where(voltage > 1, self.alpha, self.zero)

    def refractory_time_after_spike(
        self, J: tf.Tensor, dt: tf.Tensor, voltage: tf.Tensor
    ) -> tf.Tensor:
        """Return the new refractory time of neurons, for those that spike."""
        t_spike = self.tau_rc * log_overshoot(voltage, J, self._use_series)
        # without a gradient, as that of neurons that do not spike may be NaN
        return (self.tau_ref + dt) + tf.stop_gradient(t_spike)

    def training_step(
        self, J: tf.Tensor, dt: tf.Tensor, **state: tf.Tensor
    ) -> tf.Tensor:
        """Compute the rates for input currents ``J``."""
        if self.config.lif_smoothing is None:
            rate = lif_rate(J, self.tau_rc, self.tau_ref, self.epsilon)
        else:
            rate = soft_lif_rate(J, self.tau_rc, self.tau_ref, self.sigma)
        return self.scaled(rate)


def _allows_series(op: SimNeurons, dt: float) -> bool:
    """Return whether `relaxed` and `log_overshoot` may use their series."""
    # a voltage is above the threshold for longer than a step only if it starts there
    starts_below = all((sig.initial_value <= 1).all() for sig in op.state.values())
    return starts_below and dt <= MAX_SERIES_STEP * op.neurons.tau_rc


class AdaptiveLIFBuilder(LIFBuilder):
    r"""
    Build `nengo.AdaptiveLIF` neurons.

    These are LIF neurons with input :math:`J - n`, where the adaptation :math:`n`
    follows the spikes:

    .. math:: n \leftarrow n + \frac{dt}{\tau_n} (\text{inc}_n \cdot \text{output} - n)

    In training, the output is that of the rate version of LIF neurons with input
    :math:`J - n`. The adaptation stays as it is, like any state in training: it is that
    of the start of the simulation (none, by default), so that training does not see the
    neurons adapt. `nengo.AdaptiveLIFRate` neurons do adapt in training.
    """

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Prepare the parameters."""
        super().build_pre(signals, config)
        self.tau_n = self.parameter(signals, "tau_n")
        self.inc_n = self.parameter(signals, "inc_n")

    def step(
        self,
        J: tf.Tensor,
        dt: tf.Tensor,
        voltage: tf.Tensor,
        refractory_time: tf.Tensor,
        adaptation: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        """Compute the spikes for input currents ``J``, and the new state."""
        output, *lif_state = super().step(J - adaptation, dt, voltage, refractory_time)
        adaptation = adapted(adaptation, output, dt, self.tau_n, self.inc_n)
        return output, *lif_state, adaptation

    def training_step(
        self, J: tf.Tensor, dt: tf.Tensor, adaptation: tf.Tensor, **state: tf.Tensor
    ) -> tf.Tensor:
        """Compute the rates for input currents ``J``."""
        return super().training_step(J - adaptation, dt)


class IzhikevichBuilder(TFNeuronBuilder):
    r"""
    Build `nengo.Izhikevich` neurons.

    With voltage :math:`v` and recovery :math:`u` (in units of millivolts and
    milliseconds, hence the factors of 1000),

    .. math::

       v \leftarrow v + 1000 \, dt \, (0.04 v^2 + 5 v + 140 - u + \max(J, -30))

    A neuron spikes if :math:`v \ge 30`: it puts out :math:`1 / dt`, and
    :math:`v` becomes ``reset_voltage``. Then

    .. math::

       u \leftarrow u + 1000 \, dt \, \text{tau\_recovery}
       (\text{coupling} \cdot v - u)

    plus ``reset_recovery`` for neurons that spiked.

    There is no rate version in closed form, so that neurons spike in training too, and
    no gradient flows through them.
    """

    differentiable = False

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Prepare the parameters."""
        super().build_pre(signals, config)
        self.tau_recovery = self.parameter(signals, "tau_recovery")
        self.coupling = self.parameter(signals, "coupling")
        self.reset_voltage = self.parameter(signals, "reset_voltage")
        self.reset_recovery = self.parameter(signals, "reset_recovery")

    def step(
        self, J: tf.Tensor, dt: tf.Tensor, voltage: tf.Tensor, recovery: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """Compute the spikes for input currents ``J``, and the new state."""
        v, u = voltage, recovery
        J = tf.maximum(tf.stop_gradient(J), np.array(-30, J.dtype.as_numpy_dtype))
        keep = rounded_in_double
        dv = keep(0.04 * v**2) + keep(5 * v) + 140 - u + J
        v = v + keep(keep(dv * 1000) * dt)
        spiked = v >= 30
        v = tf.where(spiked, self.reset_voltage, v)
        du = keep(self.tau_recovery * (keep(self.coupling * v) - u))
        u = u + keep(keep(du * 1000) * dt)
        u = tf.where(spiked, u + self.reset_recovery, u)
        return tf.where(spiked, self.alpha, tf.zeros_like(v)), v, u
