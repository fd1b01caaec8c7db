import numpy as np
import pytest
from nengo.exceptions import ValidationError

from nengo_dl.dists import Glorot, He, TruncatedNormal, VarianceScaling

# variance of a standard normal distribution that is cut off at -2 and 2
TRUNCATED_VARIANCE = 0.7737

SHAPE = (1000, 2000)
FANS = {"fan_out": SHAPE[0], "fan_in": SHAPE[1], "fan_avg": sum(SHAPE) / 2}


def assert_moments(samples, distribution, variance):
    """Checks samples that should have the given variance."""
    if distribution == "uniform":
        assert np.allclose(np.max(np.abs(samples)), np.sqrt(3 * variance), rtol=1e-3)
    else:
        assert np.all(np.abs(samples) < 2 * np.sqrt(variance))
        variance *= TRUNCATED_VARIANCE
    assert samples.shape == SHAPE
    assert np.allclose(np.mean(samples), 0, atol=5e-4)
    assert np.allclose(np.var(samples), variance, rtol=5e-3)


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("scale", [1, 2])
def test_variance_scaling(scale, mode, distribution, rng):
    dist = VarianceScaling(scale, mode, distribution)
    assert_moments(dist.sample(*SHAPE, rng=rng), distribution, scale / FANS[mode])


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
@pytest.mark.parametrize("scale", [1, 2])
def test_glorot(scale, distribution, rng, seed):
    dist = Glorot(scale, distribution)
    samples = dist.sample(*SHAPE, rng=np.random.RandomState(seed))
    assert_moments(samples, distribution, scale / FANS["fan_avg"])

    same = VarianceScaling(scale, "fan_avg", distribution)
    assert np.array_equal(samples, same.sample(*SHAPE, np.random.RandomState(seed)))


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
@pytest.mark.parametrize("scale", [1, 2])
def test_he(scale, distribution, seed):
    dist = He(scale, distribution)
    samples = dist.sample(*SHAPE, rng=np.random.RandomState(seed))
    assert_moments(samples, distribution, scale**2 / FANS["fan_in"])

    same = VarianceScaling(scale**2, "fan_in", distribution)
    assert np.array_equal(samples, same.sample(*SHAPE, np.random.RandomState(seed)))


@pytest.mark.parametrize("limit", [None, 0.5])
@pytest.mark.parametrize("stddev", [1, 0.2])
@pytest.mark.parametrize("mean", [0, 3])
def test_truncated_normal(mean, stddev, limit, rng):
    scipy_stats = pytest.importorskip("scipy.stats")
    samples = TruncatedNormal(mean, stddev, limit).sample(*SHAPE, rng=rng)

    limit = 2 * stddev if limit is None else limit
    expected = scipy_stats.truncnorm(-limit / stddev, limit / stddev, scale=stddev)
    assert samples.shape == SHAPE
    assert np.all(np.abs(samples - mean) < limit)
    assert np.allclose(np.mean(samples), mean, atol=5e-3)
    assert np.allclose(np.var(samples), expected.var(), rtol=5e-3)


@pytest.mark.parametrize("limit", [0.09, 1e-3, 1e-12, 1e-320])
def test_small_limits(limit, rng):
    """They take no longer than others; within them, the density hardly changes."""
    samples = TruncatedNormal(limit=limit).sample(20000, rng=rng)
    assert np.all(np.abs(samples) <= limit)
    if limit > 1e-300:
        assert np.allclose(np.mean(samples) / limit, 0, atol=0.02)
        assert np.allclose(np.var(samples / limit), 1 / 3, rtol=0.02)
    assert np.all(TruncatedNormal(3, limit=limit).sample(10, 2) - 3 <= 2 * limit)


def test_no_limit(rng):
    samples = TruncatedNormal(limit=np.inf).sample(20000, rng=rng)
    assert np.allclose(np.var(samples), 1, rtol=0.05)
    assert np.abs(samples).max() > 2


@pytest.mark.parametrize(
    "dist",
    [TruncatedNormal(), VarianceScaling(), Glorot(), He(), TruncatedNormal(stddev=0)],
)
def test_seeding(dist, seed):
    samples = dist.sample(100, rng=np.random.RandomState(seed))
    assert samples.shape == (100,)
    assert np.array_equal(samples, dist.sample(100, rng=np.random.RandomState(seed)))

    np.random.seed(seed)
    assert np.array_equal(samples, dist.sample(100))


@pytest.mark.parametrize(
    "dist_type, arguments",
    [
        (TruncatedNormal, {"stddev": -1}),
        (TruncatedNormal, {"limit": 0}),
        (TruncatedNormal, {"limit": np.nan}),
        (TruncatedNormal, {"mean": np.nan}),
        (TruncatedNormal, {"mean": np.inf}),
        (TruncatedNormal, {"stddev": np.inf}),
        (TruncatedNormal, {"stddev": np.nan}),
        (VarianceScaling, {"scale": -1}),
        (VarianceScaling, {"scale": np.inf}),
        (Glorot, {"scale": np.nan}),
        (He, {"scale": np.nan}),
        (VarianceScaling, {"mode": "fan"}),
        (VarianceScaling, {"distribution": "poisson"}),
        (Glorot, {"scale": -1}),
        (He, {"distribution": "poisson"}),
    ],
)
def test_invalid_values(dist_type, arguments):
    with pytest.raises(ValidationError):
        dist_type(**arguments)


def test_equality_and_repr():
    assert He() == He()
    assert He() != He(2)
    assert repr(He(2)) == "He(scale=2)"
    assert repr(Glorot(distribution="normal")) == "Glorot(distribution='normal')"
    assert repr(TruncatedNormal()) == "TruncatedNormal()"
