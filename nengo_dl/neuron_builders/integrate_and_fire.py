"""
Neurons that integrate their input without a leak, and spike.

While a network is trained, their rate version takes their place.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from nengo_dl.builder import BuildConfig
from nengo_dl.neuron_builders.base import TFNeuronBuilder
from nengo_dl.neuron_builders.rates import RectifiedLinearBuilder, leaky_relu
from nengo_dl.neuron_builders.rounding import rounded
from nengo_dl.signals import SignalDict


class SpikingRectifiedLinearBuilder(RectifiedLinearBuilder):
    r"""
    Build `nengo.SpikingRectifiedLinear` and `.SpikingLeakyReLU` neurons.

    The voltage :math:`v` integrates the rectified input; its integer part is emitted:

    .. math::

       v \leftarrow v + dt \cdot \text{relu}(J), \qquad k = \text{trunc}(v), \qquad
       \text{output} = k \cdot \text{amplitude} / dt, \qquad v \leftarrow v - k

    In training, the output is that of the rate version.
    """

    spiking = True

    def step(
        self, J: tf.Tensor, dt: tf.Tensor, voltage: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """Compute the spikes for input currents ``J``, and the new voltage."""
        voltage = voltage + rounded(dt * leaky_relu(J, self.negative_slope))
        n_spikes = tf.math.floor(voltage)
        if self.negative_slope is not None:
            n_spikes = tf.where(voltage < 0, tf.math.ceil(voltage), n_spikes)
        return self.alpha * n_spikes, voltage - n_spikes

    def training_step(
        self, J: tf.Tensor, dt: tf.Tensor, **state: tf.Tensor
    ) -> tf.Tensor:
        """Compute the rates for input currents ``J``."""
        return self.scaled(leaky_relu(J, self.negative_slope))


class IntegrateAndFireBuilder(TFNeuronBuilder):
    r"""
    Build `.IntegrateAndFire` neurons.

    The voltage :math:`v` integrates the input of both signs; its integer part is
    emitted, as far as the limits allow:

    .. math::

       v \leftarrow v + dt \cdot J, \qquad
       n = \text{clip}(\lfloor v \rfloor, -\min(s, k), k), \qquad
       \text{output} = n \cdot \text{amplitude} / dt

    and then

    .. math::

       v \leftarrow \max(v - n, \text{min\_voltage}), \qquad s \leftarrow s + n

    for the number :math:`s` of spikes so far, and :math:`k` spikes in a step at most.
    The lower limit of :math:`n` is 0 for neurons that do not take spikes back.

    In training, the output is that of `nengo.RectifiedLinear`.

    Attributes
    ----------
    max_spikes, min_voltage : tf.Tensor
        The limits; infinite where the neurons have none.
    retract : boolean tf.Tensor
        Whether neurons take spikes back.
    """

    spiking = True

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Prepare the parameters."""
        super().build_pre(signals, config)
        self.max_spikes = self.parameter(signals, "max_spikes", if_none=np.inf)
        self.min_voltage = self.parameter(signals, "min_voltage", if_none=-np.inf)
        self.retract = self.parameter(signals, "retract", tf.bool)

    def step(
        self, J: tf.Tensor, dt: tf.Tensor, voltage: tf.Tensor, spike_count: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """Compute the spikes for input currents ``J``, and the new state."""
        voltage = voltage + rounded(dt * J)
        lowest = -tf.minimum(spike_count, self.max_spikes)
        lowest = tf.where(self.retract, lowest, tf.zeros_like(lowest))
        n_spikes = tf.maximum(tf.math.floor(voltage), lowest)
        n_spikes = tf.minimum(n_spikes, self.max_spikes)
        voltage = tf.maximum(voltage - n_spikes, self.min_voltage)
        return self.alpha * n_spikes, voltage, spike_count + n_spikes

    def training_step(
        self, J: tf.Tensor, dt: tf.Tensor, **state: tf.Tensor
    ) -> tf.Tensor:
        """Compute the rates for input currents ``J``."""
        return self.scaled(tf.nn.relu(J))
