"""
Neurons that turn the rates of another neuron type into spikes.

Nengo makes two operators of them: the first runs the base type, the second (built
here) turns its output into spikes. ``J`` is therefore a rate here, not a current.
"""

from __future__ import annotations

import copy

import tensorflow as tf

from nengo_dl.neuron_builders.base import TFNeuronBuilder

# The Poisson distribution is sampled as a sum of distributions of this mean at most.
# It is small enough for exp(-mean) to be a normal number in all types but float16.
MAX_CHUNK = 8.0
# Beyond this mean, what exceeds it is added without randomness.
MAX_POISSON_MEAN = 2048.0


class RatesToSpikesBuilder(TFNeuronBuilder):
    """Base class; in training, rates are not turned into spikes but only scaled."""

    spiking = True

    def training_step(self, J, dt, **state):
        """Scale the rates ``J``."""
        return self.scaled(J)


class RegularSpikingBuilder(RatesToSpikesBuilder):
    r"""
    Build `nengo.RegularSpiking` neurons.

    .. math::

       v \leftarrow v + dt \cdot J, \qquad k = \lfloor v \rfloor, \qquad
       \text{output} = k \cdot \text{amplitude} / dt, \qquad v \leftarrow v - k
    """

    def step(self, J, dt, voltage):
        """Compute the spikes for rates ``J``, and the new voltage."""
        voltage = voltage + dt * J
        n_spikes = tf.math.floor(voltage)
        return self.alpha * n_spikes, voltage - n_spikes


class RandomSpikingBuilder(RatesToSpikesBuilder):
    """
    Base class of builders of neurons that spike at random.

    Random numbers are functions of a seed and of the number of the step, so that a
    simulation that starts again gets the same. The seed is drawn from (a copy of) the
    random number generator that Nengo made for the neurons, which in turn depends on
    the seed of the ensemble. The numbers themselves are not those of Nengo.
    """

    def __init__(self, ops):
        super().__init__(ops)
        rng = copy.deepcopy(ops[0].state_extra["rng"])
        self.seed = int(rng.randint(2**31 - 1))

    def build_step(self, signals):
        """Add the operations of one step."""
        super().build_step(signals, step_number=signals.step)

    def step(self, J, dt, step_number, **state):
        """Compute the spikes for rates ``J``."""
        n_spikes = self.sample(dt * tf.abs(J), step_number)
        return self.alpha * tf.sign(J) * n_spikes

    def sample(self, mean, step_number) -> tf.Tensor:
        """Draw numbers of spikes in a step from their means."""
        raise NotImplementedError

    def uniform(self, shape, dtype, step_number, stream=0) -> tf.Tensor:
        """
        Draw uniformly distributed random numbers from [0, 1).

        Parameters
        ----------
        shape : tuple of int
            Shape of the result.
        dtype : tf.DType
            Type of the result.
        step_number : scalar int32 tf.Tensor
            The current step.
        stream : scalar int32 tf.Tensor
            Distinguishes the draws within a step.
        """
        seed = tf.stack([tf.constant(self.seed) + stream, step_number])
        return tf.random.stateless_uniform(shape, seed, dtype=dtype, alg="philox")


class StochasticSpikingBuilder(RandomSpikingBuilder):
    r"""
    Build `nengo.StochasticSpiking` neurons.

    With :math:`e = dt |J|` and a random number :math:`U` from :math:`[0, 1)`,

    .. math::

       k = \lfloor e \rfloor + [U < e - \lfloor e \rfloor], \qquad
       \text{output} = \text{sign}(J) \cdot k \cdot \text{amplitude} / dt
    """

    def sample(self, mean, step_number):
        """Round the means at random, up or down."""
        floor = tf.math.floor(mean)
        uniform = self.uniform(mean.shape, mean.dtype, step_number)
        return floor + tf.cast(uniform < mean - floor, mean.dtype)


class PoissonSpikingBuilder(RandomSpikingBuilder):
    r"""
    Build `nengo.PoissonSpiking` neurons.

    .. math::

       k \sim \text{Poisson}(dt |J|), \qquad
       \text{output} = \text{sign}(J) \cdot k \cdot \text{amplitude} / dt
    """

    def sample(self, mean, step_number):
        """Draw from Poisson distributions."""

        def uniform(stream):
            return self.uniform(mean.shape, mean.dtype, step_number, stream)

        return sample_poisson(mean, uniform)


def sample_poisson(mean: tf.Tensor, uniform) -> tf.Tensor:
    r"""
    Draw from Poisson distributions, in a way that XLA can compile.

    A distribution of mean :math:`\lambda` is the sum of distributions with parts of
    that mean, each of which is sampled by inversion: the result is the number of
    :math:`k` for which :math:`U` exceeds the cumulative distribution
    :math:`\sum_{i \le k} e^{-\lambda} \lambda^i / i!`.

    Parameters
    ----------
    mean : tf.Tensor
        The means. From `MAX_POISSON_MEAN` on, the variance grows no more.
    uniform : callable
        Maps an int32 scalar, the number of the draw, to random numbers from [0, 1)
        of the shape of ``mean``.

    Returns
    -------
    sample : tf.Tensor
        Whole numbers of the type of ``mean``. They are distributed as exactly as the
        random numbers are: those of 32 bits have a resolution of :math:`2^{-23}`.
    """

    def sample_part(i, remaining, total):
        part = tf.minimum(remaining, MAX_CHUNK)
        return i + 1, remaining - part, total + _invert_poisson(part, uniform(i))

    # the excess is NaN if the mean is infinite, and so is the result
    bounded = tf.minimum(mean, MAX_POISSON_MEAN)
    excess = tf.math.floor(mean - bounded)
    *_, total = tf.while_loop(
        lambda i, remaining, total: (i == 0) | tf.reduce_any(remaining > 0),
        sample_part,
        (tf.constant(0), bounded, excess),
    )
    return total


def _invert_poisson(mean, uniform) -> tf.Tensor:
    """Return the smallest whole number whose cumulative probability is ``uniform``."""

    def is_above(k, probability, cumulative, n):
        # rounding may keep the cumulative distribution from ever reaching 1
        return tf.reduce_any((uniform >= cumulative) & (probability > 0))

    def next_number(k, probability, cumulative, n):
        n = n + tf.cast(uniform >= cumulative, n.dtype)
        k = k + 1
        probability = probability * mean / k
        return k, probability, cumulative + probability, n

    probability = tf.exp(-mean)
    *_, n = tf.while_loop(
        is_above,
        next_number,
        (tf.zeros((), mean.dtype), probability, probability, tf.zeros_like(mean)),
    )
    return n
