"""
Neurons that turn the rates of another neuron type into spikes.

Nengo makes two operators of them: the first runs the base type, the second (built
here) turns its output into spikes. ``J`` is therefore a rate here, not a current.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from nengo.builder.neurons import SimNeurons

from nengo_dl.builder import BuildConfig
from nengo_dl.neuron_builders.base import TFNeuronBuilder
from nengo_dl.neuron_builders.random_numbers import poisson, threefry, uniform
from nengo_dl.neuron_builders.rounding import rounded
from nengo_dl.signals import SignalDict


class RatesToSpikesBuilder(TFNeuronBuilder):
    """Base class; in training, rates are not turned into spikes but only scaled."""

    spiking = True

    def training_step(
        self, J: tf.Tensor, dt: tf.Tensor, **state: tf.Tensor
    ) -> tf.Tensor:
        """Scale the rates ``J``."""
        return self.scaled(J)


class RegularSpikingBuilder(RatesToSpikesBuilder):
    r"""
    Build `nengo.RegularSpiking` neurons.

    .. math::

       v \leftarrow v + dt \cdot J, \qquad k = \lfloor v \rfloor, \qquad
       \text{output} = k \cdot \text{amplitude} / dt, \qquad v \leftarrow v - k
    """

    def step(
        self, J: tf.Tensor, dt: tf.Tensor, voltage: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """Compute the spikes for rates ``J``, and the new voltage."""
        voltage = voltage + rounded(dt * J)
        n_spikes = tf.math.floor(voltage)
        return self.alpha * n_spikes, voltage - n_spikes


class RandomSpikingBuilder(RatesToSpikesBuilder):
    """
    Base class of builders of neurons that spike at random.

    Random numbers are functions of a seed and of the number of the step, so that a
    simulation that starts again gets the same. The seed follows from that of the
    simulation, and from (a copy of) the random number generator that Nengo made for the
    neurons, which depends on the seed of the ensemble. The numbers themselves are not
    those of Nengo.
    """

    def __init__(self, ops: Sequence[SimNeurons]):
        super().__init__(ops)
        rng = copy.deepcopy(ops[0].state_extra["rng"])
        self._ensemble_seed = int(rng.randint(2**31 - 1))

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Prepare the seed."""
        super().build_pre(signals, config)
        counter = tf.constant(self._ensemble_seed, tf.uint32), tf.zeros((), tf.uint32)
        self.seed, _ = threefry(signals.random_key, counter)

    def build_step(self, signals: SignalDict, **step_kwargs: Any) -> None:
        """Add the operations of one step."""
        super().build_step(signals, step_number=signals.step, **step_kwargs)

    def step(
        self, J: tf.Tensor, dt: tf.Tensor, step_number: tf.Tensor, **state: tf.Tensor
    ) -> tf.Tensor:
        """Compute the spikes for rates ``J``."""
        n_spikes = self.sample(dt * tf.abs(J), step_number)
        return self.alpha * tf.sign(J) * n_spikes

    def sample(self, mean: tf.Tensor, step_number: tf.Tensor) -> tf.Tensor:
        """Draw numbers of spikes in a step from their means."""
        raise NotImplementedError


class StochasticSpikingBuilder(RandomSpikingBuilder):
    r"""
    Build `nengo.StochasticSpiking` neurons.

    With :math:`e = dt |J|` and a random number :math:`U` from :math:`[0, 1)`,

    .. math::

       k = \lfloor e \rfloor + [U < e - \lfloor e \rfloor], \qquad
       \text{output} = \text{sign}(J) \cdot k \cdot \text{amplitude} / dt
    """

    def sample(self, mean: tf.Tensor, step_number: tf.Tensor) -> tf.Tensor:
        """Round the means at random, up or down."""
        floor = tf.math.floor(mean)
        u = uniform(mean.shape, mean.dtype, self.seed, step_number)
        return floor + tf.cast(u < mean - floor, mean.dtype)


class PoissonSpikingBuilder(RandomSpikingBuilder):
    r"""
    Build `nengo.PoissonSpiking` neurons.

    .. math::

       k \sim \text{Poisson}(dt |J|), \qquad
       \text{output} = \text{sign}(J) \cdot k \cdot \text{amplitude} / dt
    """

    def sample(self, mean: tf.Tensor, step_number: tf.Tensor) -> tf.Tensor:
        """Draw from Poisson distributions."""
        return poisson(mean, self.seed, step_number)
