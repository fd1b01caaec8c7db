"""
Neurons of NengoLoihi, which spike as those of Intel's Loihi chip do.

A spike ends its step: the time between two spikes is a whole number of steps. In
training, the output is the resulting firing rate, with the gradient of the firing rate
that the neurons would have without this restriction.

NengoLoihi itself registers a placeholder or, where they are installed, the builders of
NengoExtras. These here take the place of the placeholder. NengoLoihi imports NengoDL,
so its neuron types are recognised by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from nengo.builder.neurons import SimNeurons
from nengo.exceptions import ValidationError

from nengo_dl.builder import BuildConfig, OpBuilder
from nengo_dl.loihi import AlphaRCNoise, LowpassRCNoise
from nengo_dl.neuron_builders.integrate_and_fire import SpikingRectifiedLinearBuilder
from nengo_dl.neuron_builders.random_numbers import threefry, uniform
from nengo_dl.neuron_builders.rounding import rounded
from nengo_dl.neuron_builders.spiking import LIFBuilder
from nengo_dl.signals import SignalDict

# Loihi's decay constants have 12 bits.
MAX_DECAY = 2**12 - 1
# Filters with time constants closer than this to each other are subject to rounding.
MIN_TAU_DIFFERENCE = 0.01


def loihi_builder(neuron_type: type) -> type[OpBuilder] | None:
    """
    Return our builder for a neuron type of NengoLoihi.

    Parameters
    ----------
    neuron_type : type
        Any neuron type.

    Returns
    -------
    builder : type or None
        None if the type is not one of NengoLoihi's.
    """
    if neuron_type.__module__ != "nengo_loihi.neurons":
        return None
    return BUILDERS.get(neuron_type.__name__)


def discretize_tau_rc(tau_rc: np.ndarray, dt: float) -> np.ndarray:
    r"""
    Return the membrane time constant that Loihi can represent.

    .. math::

       \tau_{rc} \leftarrow -\frac{dt}{\log(1 - d)}, \qquad
       d = \frac{\text{round}(4095 (1 - e^{-dt / \tau_{rc}}))}{4095}

    Parameters
    ----------
    tau_rc : array
        Time constant in seconds, in double precision.
    dt : float
        Length of a step in seconds.
    """
    decay = np.round(-np.expm1(-dt / tau_rc) * MAX_DECAY) / MAX_DECAY
    return -dt / np.log1p(-decay)


def straight_through(value: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
    """Return a value with the gradient of a differentiable rate."""
    # that `rate` may be much larger must not cost digits of `value`
    return tf.stop_gradient(value) + (rate - tf.stop_gradient(rate))


class LoihiSpikingRectifiedLinearBuilder(SpikingRectifiedLinearBuilder):
    r"""
    Build `nengo_loihi.neurons.LoihiSpikingRectifiedLinear` neurons.

    .. math:: v \leftarrow v + dt \cdot J

    A neuron spikes if :math:`v > 1`: it puts out :math:`\text{amplitude} / dt`, and
    :math:`v` becomes 0, as it does if it is negative. In training,

    .. math::

       \text{output} = \frac{\text{amplitude}}{dt \lceil 1 / (dt \cdot J) \rceil}
       \qquad \text{for } J > 0
    """

    def step(
        self, J: tf.Tensor, dt: tf.Tensor, voltage: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """Compute the spikes for input currents ``J``, and the new voltage."""
        voltage = voltage + rounded(dt * J)
        spiked = voltage > 1
        output = tf.where(spiked, self.alpha, tf.zeros_like(voltage))
        return output, tf.where(spiked, tf.zeros_like(voltage), tf.nn.relu(voltage))

    def training_step(
        self, J: tf.Tensor, dt: tf.Tensor, **state: tf.Tensor
    ) -> tf.Tensor:
        """Compute the rates for input currents ``J``."""
        n_steps = tf.math.ceil(1 / (dt * J))
        rate = tf.where(J > 0, self.alpha / n_steps, tf.zeros_like(J))
        return straight_through(rate, super().training_step(J, dt))


class LoihiLIFBuilder(LIFBuilder):
    r"""
    Build `nengo_loihi.neurons.LoihiLIF` neurons.

    These are LIF neurons with time constants that Loihi can represent,
    :math:`\tau_{rc}` as of ``discretize_tau_rc`` and :math:`\tau_{ref}` a whole number
    of steps, and a refractory time that starts at the end of the step of a spike:

    .. math:: r \leftarrow \tau_{ref} + dt, \qquad v \leftarrow 0

    In training,

    .. math::

       \text{output} = \frac{\text{amplitude}}{p}, \qquad
       p = \tau_{ref} + dt
       \left\lceil \frac{\tau_{rc}}{dt} \log(1 + 1 / (J - 1)) \right\rceil
       \qquad \text{for } J > 1

    or with ``nengo_dl_noise``, a sample of filtered spikes with the period :math:`p`.

    Attributes
    ----------
    noise : .LowpassRCNoise or .AlphaRCNoise or None
        Noise in training.

    Raises
    ------
    ValidationError
        If ``nengo_dl_noise`` is something else.
    """

    def __init__(self, ops: Sequence[SimNeurons]):
        super().__init__(ops)
        self.noise = ops[0].neurons.nengo_dl_noise
        self._seed: int | None = None
        if self.noise is not None and type(self.noise) not in FILTERED_SPIKES:
            raise ValidationError(
                "must be a `nengo_dl.loihi.LowpassRCNoise` or `AlphaRCNoise` where "
                "NengoExtras is not installed (received a "
                f"`{type(self.noise).__name__}`); choose one of these, or None",
                attr="nengo_dl_noise",
                obj=ops[0].neurons,
            )

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Prepare the parameters."""
        super().build_pre(signals, config)
        dt = signals.dt_val
        tau_rc = self.parameter(signals, "tau_rc", tf.float64)
        tau_ref = self.parameter(signals, "tau_ref", tf.float64)
        tau_rc = discretize_tau_rc(tf.get_static_value(tau_rc), dt)
        self.tau_rc = tf.constant(tau_rc, signals.dtype)
        self.tau_ref = tf.cast(dt * tf.round(tau_ref / dt), signals.dtype)
        if self.noise is not None:
            self._signals = signals
            if self._seed is None:
                self._seed = int(config.rng.randint(2**31 - 1))
            counter = tf.constant(self._seed, tf.uint32), tf.zeros((), tf.uint32)
            self.seed, _ = threefry(signals.random_key, counter)
            self.tau_s = tf.cast(
                distinct_tau(self.noise.tau_s, self.ops[0].neurons.tau_rc),
                signals.dtype,
            )

    def refractory_time_after_spike(
        self, J: tf.Tensor, dt: tf.Tensor, voltage: tf.Tensor
    ) -> tf.Tensor:
        """Return the new refractory time of neurons, for those that spike."""
        return self.tau_ref + dt

    def training_step(
        self, J: tf.Tensor, dt: tf.Tensor, **state: tf.Tensor
    ) -> tf.Tensor:
        """Compute the rates for input currents ``J``."""
        x = self.tau_rc * tf.math.log1p(1 / tf.maximum(J - 1, self.epsilon))
        # apart from each other, because rounding must not add a step to tau_ref
        period = self.tau_ref + dt * tf.math.ceil(x / dt)
        output = self.scaled(self._output(period))
        output = tf.where(J > 1, output, tf.zeros_like(output))
        return straight_through(output, super().training_step(J, dt))

    def _output(self, period: tf.Tensor) -> tf.Tensor:
        """Return the rates of neurons that spike once in a period, perhaps noisy."""
        if self.noise is None:
            return 1 / period
        fraction = uniform(period.shape, period.dtype, self.seed, self._signals.step)
        time = period * fraction
        filtered = FILTERED_SPIKES[type(self.noise)]
        return filtered(time, period, self.tau_rc, self.tau_s)


def distinct_tau(tau_s: float, tau_rc: float) -> float:
    """Return a time constant that is at least a bit different from another one."""
    if abs(tau_s / tau_rc - 1) < MIN_TAU_DIFFERENCE:
        return tau_rc * (1 + MIN_TAU_DIFFERENCE)
    return tau_s


def lowpass_spikes(
    time: tf.Tensor, period: tf.Tensor, tau_rc: tf.Tensor, tau_s: tf.Tensor
) -> tf.Tensor:
    r"""
    Return regular spikes, filtered as of `.LowpassRCNoise`.

    .. math::

       \frac{E(\tau_{rc}) - E(\tau_s)}{\tau_{rc} - \tau_s}, \qquad
       E(\tau) = \sum_{k \ge 0} e^{-(t + k p) / \tau}
       = \frac{e^{-t / \tau}}{1 - e^{-p / \tau}}

    Parameters
    ----------
    time, period : tf.Tensor
        Time :math:`t` since the last spike, and between two spikes, in seconds.
    tau_rc, tau_s : tf.Tensor
        Different time constants, in seconds.
    """
    difference = _decays(time, period, tau_rc) - _decays(time, period, tau_s)
    return difference / (tau_rc - tau_s)


def alpha_spikes(
    time: tf.Tensor, period: tf.Tensor, tau_rc: tf.Tensor, tau_s: tf.Tensor
) -> tf.Tensor:
    r"""
    Return regular spikes, filtered as of `.AlphaRCNoise`.

    With :math:`E` of `lowpass_spikes`,

    .. math::

       \tau_{rc} \frac{E(\tau_{rc}) - E(\tau_s)}{(\tau_{rc} - \tau_s)^2}
       - \frac{F(\tau_s)}{\tau_{rc} - \tau_s}, \qquad
       F(\tau) = \sum_{k \ge 0} \frac{t + k p}{\tau} e^{-(t + k p) / \tau}
       = E(\tau) \left( \frac{t}{\tau} + \frac{p / \tau}{e^{p / \tau} - 1} \right)

    Parameters
    ----------
    time, period, tau_rc, tau_s : tf.Tensor
        As for `lowpass_spikes`.
    """
    x = period / tau_s
    ramps = _decays(time, period, tau_s) * (time / tau_s + x / tf.math.expm1(x))
    lowpass = lowpass_spikes(time, period, tau_rc, tau_s)
    return (tau_rc * lowpass - ramps) / (tau_rc - tau_s)


def _decays(time: tf.Tensor, period: tf.Tensor, tau: tf.Tensor) -> tf.Tensor:
    """Return the sum over all past spikes of an exponential decay since then."""
    return tf.exp(-time / tau) / -tf.math.expm1(-period / tau)


FILTERED_SPIKES: dict[type, Callable[..., tf.Tensor]] = {
    LowpassRCNoise: lowpass_spikes,
    AlphaRCNoise: alpha_spikes,
}

BUILDERS: dict[str, type[OpBuilder]] = {
    "LoihiLIF": LoihiLIFBuilder,
    "LoihiSpikingRectifiedLinear": LoihiSpikingRectifiedLinearBuilder,
}
