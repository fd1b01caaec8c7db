"""Random numbers that are a function of a seed and the number of the step."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from nengo_dl.neuron_builders.random_numbers import poisson, threefry, uniform


def test_threefry():
    # from the known-answer tests of Random123, the implementation of the authors
    zero, ones = tf.constant(0, tf.uint32), tf.constant(0xFFFFFFFF, tf.uint32)
    for word, n_rounds, answer in [
        (zero, 13, (0x9D1C5EC6, 0x8BD50731)),
        (ones, 13, (0xFD36D048, 0x2D17272C)),
        (zero, 20, (0x6B200159, 0x99BA4EFE)),
        (ones, 20, (0x1CB996FC, 0xBB002BE7)),
    ]:
        bits = threefry((word, word), (word, word), n_rounds)
        assert tuple(int(b) for b in bits) == answer


@pytest.mark.parametrize("dtype", [tf.float16, tf.float32, tf.float64])
def test_uniform(dtype):
    def draw(step, seed=5, stream=0):
        return uniform((100, 1000), dtype, seed, tf.constant(step), stream)

    values = draw(7).numpy().astype(float)
    assert values.min() >= 0 and values.max() < 1
    counts, _ = np.histogram(values, bins=16, range=(0, 1))
    assert np.sum((counts - 6250) ** 2 / 6250) < 40  # chi-squared, p = 0.0005
    assert abs(np.corrcoef(values[:-1].ravel(), values[1:].ravel())[0, 1]) < 0.01
    for other in (draw(8), draw(7, seed=6), draw(7, stream=1)):
        other = other.numpy().astype(float)
        assert abs(np.corrcoef(values.ravel(), other.ravel())[0, 1]) < 0.01
    compiled = tf.function(draw, jit_compile=True)(7)
    np.testing.assert_array_equal(values, compiled)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mean", [0.01, 0.3, 4, 60])
def test_poisson(mean, dtype):
    n = 200000
    draw = tf.function(
        lambda x: poisson(x, seed=3, step_number=tf.constant(2)), jit_compile=True
    )
    sample = draw(tf.fill((n,), tf.constant(mean, dtype))).numpy()
    assert np.all(sample == np.floor(sample)) and np.all(sample >= 0)
    k = np.arange(int(mean + 12 * np.sqrt(mean)) + 10)
    log_factorial = np.concatenate([[0], np.cumsum(np.log(k[1:]))])
    expected = n * np.exp(k * np.log(mean) - mean - log_factorial)
    counts = np.bincount(sample.astype(int), minlength=len(k))
    assert len(counts) == len(k)  # nothing far out
    often = expected > 10
    chi2 = np.sum((counts - expected)[often] ** 2 / expected[often])
    dof = often.sum()
    assert chi2 < dof + 4 * np.sqrt(2 * dof)


def test_poisson_of_extreme_means():
    means = tf.constant([0, np.nan, 1e-30, 2048.0, 1e6, np.inf], tf.float32)
    draw = tf.function(poisson, jit_compile=True)
    sample = draw(means, 0, tf.constant(0)).numpy()
    assert sample[0] == 0 and np.isnan(sample[1]) and sample[2] == 0
    assert abs(sample[3] - 2048) < 300
    assert abs(sample[4] - 1e6) < 300
    assert not np.isfinite(sample[5])
