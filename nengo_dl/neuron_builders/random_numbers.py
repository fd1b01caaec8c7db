"""
Random numbers that are a function of a seed and the number of the step.

TensorFlow's own stateless generators are either slow when compiled by XLA for CPUs, or
not the same on all devices, or (for Poisson distributions) cannot be compiled. These
functions consist of elementary operations only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

# Two words of 32 bits.
Words = tuple[tf.Tensor, tf.Tensor]

# Rotations in the rounds of Threefry-2x32, and the constant of its key schedule.
ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
KEY_PARITY = 0x1BD11BDA
# With so many rounds, the generator passes the tests of the "BigCrush" battery.
N_ROUNDS = 13

# The Poisson distribution is sampled as a sum of distributions with this mean at most,
# for which exp(-mean) is a normal number even in half precision.
MAX_PART = 8.0
# What exceeds this mean is added without randomness.
MAX_POISSON_MEAN = 2048.0


def threefry(key: Words, counter: Words, n_rounds: int = N_ROUNDS) -> Words:
    """
    Compute random bits by the counter-based generator Threefry-2x32.

    Parameters
    ----------
    key, counter : (uint32 tf.Tensor, uint32 tf.Tensor)
        Two words each; all broadcast against each other.
    n_rounds : int
        Number of rounds.

    Returns
    -------
    bits : (uint32 tf.Tensor, uint32 tf.Tensor)
        Two words of random bits for each pair of counters.

    References
    ----------
    .. [1] Salmon, J. K., Moraes, M. A., Dror, R. O., & Shaw, D. E. (2011). Parallel
       random numbers: as easy as 1, 2, 3. Proceedings of the International Conference
       for High Performance Computing, Networking, Storage and Analysis.
    """
    keys = (*key, key[0] ^ key[1] ^ KEY_PARITY)
    x, y = counter[0] + keys[0], counter[1] + keys[1]
    for i in range(n_rounds):
        rotation = ROTATIONS[i % 8]
        x = x + y
        left = tf.bitwise.left_shift(y, np.uint32(rotation))
        right = tf.bitwise.right_shift(y, np.uint32(32 - rotation))
        y = (left | right) ^ x
        if i % 4 == 3:
            n = i // 4 + 1
            x = x + keys[n % 3]
            y = y + (keys[(n + 1) % 3] + np.uint32(n))
    return x, y


def uniform(
    shape: Sequence[int],
    dtype: tf.DType,
    seed: int | tf.Tensor,
    step_number: tf.Tensor,
    stream: int | tf.Tensor = 0,
) -> tf.Tensor:
    """
    Draw random numbers from the uniform distribution on [0, 1).

    Parameters
    ----------
    shape : tuple of int
        Shape of the result.
    dtype : tf.DType
        Type of the result, which holds as many random bits as it has digits.
    seed : int or scalar uint32 tf.Tensor
        Seed (less than ``2**32``).
    step_number : scalar int32 tf.Tensor
        The current step.
    stream : int or scalar int32 tf.Tensor
        Distinguishes the draws within a step.
    """
    key = (tf.convert_to_tensor(seed, tf.uint32), tf.cast(stream, tf.uint32))
    elements = tf.reshape(tf.range(math.prod(shape)), shape)
    counter = (tf.bitcast(elements, tf.uint32), tf.cast(step_number, tf.uint32))
    x, y = threefry(key, counter)
    n_digits = np.finfo(dtype.as_numpy_dtype).nmant + 1
    if n_digits <= 32:
        return _leading_bits(x, n_digits, dtype) * 2.0**-n_digits
    high, low = _leading_bits(x, 26, dtype), _leading_bits(y, 27, dtype)
    return (high * 2.0**27 + low) * 2.0**-53


def _leading_bits(bits: tf.Tensor, n: int, dtype: tf.DType) -> tf.Tensor:
    """Return the leading bits as a whole number."""
    bits = tf.bitwise.right_shift(bits, np.uint32(32 - n))
    # signed integers are the faster ones to turn into floating point numbers
    return tf.cast(tf.bitcast(bits, tf.int32), dtype)


def poisson(
    mean: tf.Tensor, seed: int | tf.Tensor, step_number: tf.Tensor
) -> tf.Tensor:
    r"""
    Draw random numbers from Poisson distributions.

    A distribution of mean :math:`\lambda` is the sum of distributions with parts of
    that mean, each of which is sampled by inversion: the result is the number of
    :math:`k \ge 0` for which a uniformly distributed :math:`U` is not less than the
    cumulative distribution :math:`\sum_{i \le k} e^{-\lambda} \lambda^i / i!`.

    Parameters
    ----------
    mean : tf.Tensor
        The means (not negative). The variance grows no more from `MAX_POISSON_MEAN` on.
    seed : int or scalar uint32 tf.Tensor
        Seed (less than ``2**32``).
    step_number : scalar int32 tf.Tensor
        The current step.

    Returns
    -------
    sample : tf.Tensor
        Whole numbers of the type of ``mean``. Their distribution is exact up to the
        resolution of :math:`U` and rounding, which cut off its tail at a probability
        of about :math:`10^{-7}` in single precision.
    """

    def add_part(
        i: tf.Tensor, remaining: tf.Tensor, total: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        part = tf.minimum(remaining, MAX_PART)
        u = uniform(mean.shape, mean.dtype, seed, step_number, stream=i)
        return i + 1, remaining - part, total + _invert_poisson(part, u)

    bounded = tf.minimum(mean, MAX_POISSON_MEAN)
    *_, total = tf.while_loop(
        lambda i, remaining, total: tf.reduce_any(remaining > 0),
        add_part,
        (tf.constant(0), bounded, tf.math.floor(mean - bounded)),
    )
    return total


def _invert_poisson(mean: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
    """Return how many values of the cumulative distribution are not above ``u``."""

    def search(
        k: tf.Tensor,
        probability: tf.Tensor,
        cumulative: tf.Tensor,
        searching: tf.Tensor,
        n: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        for _ in range(4):  # the loop itself takes longer than a few numbers
            k = k + 1
            probability = probability * (mean * (1 / k))
            larger = cumulative + probability
            # in the end, rounding keeps the distribution from growing, perhaps below u
            searching = searching & (u >= cumulative) & (larger > cumulative)
            n = n + tf.cast(searching, n.dtype)
            cumulative = larger
        return k, probability, cumulative, searching, n

    probability = tf.exp(-mean)
    state = (
        tf.zeros((), mean.dtype),
        probability,
        probability,
        tf.fill(mean.shape, True),
        tf.zeros_like(mean),
    )
    *_, n = tf.while_loop(
        lambda k, probability, cumulative, searching, n: tf.reduce_any(searching),
        search,
        state,
    )
    return n
