"""
Distributions for initial weights, as they are common in deep learning.

All of them are `nengo.dists.Distribution`; they can be used wherever Nengo takes one,
for example as the ``init`` of a transform or as the encoders of an ensemble.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from nengo.dists import Distribution, Uniform
from nengo.params import EnumParam

from nengo_dl.utils import RealParam

# Below this ratio of limit and standard deviation, few normal samples are inside.
_SMALL_LIMIT = 0.1


class TruncatedNormal(Distribution):
    """
    Normal distribution without the values that are far from the mean.

    Samples outside of ``mean ± limit`` are drawn again.

    Parameters
    ----------
    mean : float
        Mean of the distribution.
    stddev : float
        Standard deviation of the normal distribution (not negative); that of the
        samples is smaller.
    limit : float, optional
        Largest distance from the mean (positive). Defaults to ``2 * stddev``.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a parameter is not of the kind that is described.
    """

    mean: Any = RealParam("mean")
    stddev: Any = RealParam("stddev", low=0)
    limit: Any = RealParam("limit", low=0, low_open=True, optional=True, finite=False)

    def __init__(self, mean: float = 0, stddev: float = 1, limit: float | None = None):
        super().__init__()
        self.mean = mean
        self.stddev = stddev
        self.limit = limit

    def sample(self, n: int, d: int | None = None, rng: Any = np.random) -> np.ndarray:
        """
        Draw samples.

        Parameters
        ----------
        n : int
            Number of samples.
        d : int, optional
            Dimensions of a sample.
        rng : numpy.random.RandomState
            Random number generator; by default, NumPy's global one.

        Returns
        -------
        samples : (n, d) or (n,) array
            The samples, one-dimensional if ``d`` is None.
        """
        limit = 2 * self.stddev if self.limit is None else self.limit
        if limit < _SMALL_LIMIT * self.stddev:
            draw = self._draw_from_uniform
        else:
            draw = self._draw_from_normal
        deviations = np.full(self._sample_shape(n, d), np.nan)
        missing = np.isnan(deviations)
        while np.any(missing):
            deviations[missing] = draw(missing.sum(), limit, rng)
            missing = np.isnan(deviations)
        return self.mean + deviations

    def _draw_from_normal(self, n: int, limit: float, rng: Any) -> np.ndarray:
        """Return distances from the mean, NaN in place of those beyond the limit."""
        deviations = rng.normal(0, self.stddev, size=n)
        deviations[np.abs(deviations) > limit] = np.nan
        return deviations

    def _draw_from_uniform(self, n: int, limit: float, rng: Any) -> np.ndarray:
        """Return the same from candidates that are all within the limit."""
        deviations = rng.uniform(-limit, limit, size=n)
        density = np.exp(-((deviations / self.stddev) ** 2) / 2)
        deviations[rng.uniform(size=n) > density] = np.nan
        return deviations


class VarianceScaling(Distribution):
    r"""
    Weights whose variance depends on the numbers of inputs and outputs.

    The variance is :math:`v = \text{scale} / \text{fan}`. Samples have the shape
    ``(n, d)``, that of the weights of a connection from ``d`` inputs (the fan in, 1 if
    ``d`` is None) to ``n`` outputs (the fan out).

    Parameters
    ----------
    scale : float
        Factor on the variance (not negative).
    mode : {"fan_avg", "fan_in", "fan_out"}
        What the variance depends on: inputs, outputs, or the mean of both.
    distribution : {"uniform", "normal"}
        Uniform on :math:`\pm \sqrt{3 v}`, or a `.TruncatedNormal` with standard
        deviation :math:`\sqrt v` and limit :math:`2 \sqrt v`.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a parameter is not of the kind that is described.
    """

    scale: Any = RealParam("scale", low=0)
    mode = EnumParam("mode", values=("fan_in", "fan_out", "fan_avg"))
    distribution = EnumParam("distribution", values=("uniform", "normal"))

    def __init__(
        self,
        scale: float = 1,
        mode: str = "fan_avg",
        distribution: str = "uniform",
    ):
        super().__init__()
        self.scale = scale
        self.mode = mode
        self.distribution = distribution

    def variance(self, n: int, d: int | None = None) -> float:
        """Return the variance of weights from ``d`` inputs to ``n`` outputs."""
        fan_in = 1 if d is None else d
        fan = {"fan_in": fan_in, "fan_out": n, "fan_avg": (fan_in + n) / 2}[self.mode]
        return self.scale / max(1, fan)

    def sample(self, n: int, d: int | None = None, rng: Any = np.random) -> np.ndarray:
        """
        Draw samples.

        Parameters
        ----------
        n : int
            Number of samples (fan out).
        d : int, optional
            Dimensions of a sample (fan in).
        rng : numpy.random.RandomState
            Random number generator; by default, NumPy's global one.

        Returns
        -------
        samples : (n, d) or (n,) array
            The samples, one-dimensional if ``d`` is None.
        """
        variance = self.variance(n, d)
        if self.distribution == "normal":
            return TruncatedNormal(stddev=np.sqrt(variance)).sample(n, d, rng=rng)
        limit = np.sqrt(3 * variance)
        return Uniform(-limit, limit).sample(n, d, rng=rng)


class Glorot(VarianceScaling):
    r"""
    Weights with variance :math:`2 s / (\text{fan}_{in} + \text{fan}_{out})`.

    This is `.VarianceScaling` with ``mode="fan_avg"`` and scale :math:`s` [1]_.

    Parameters
    ----------
    scale : float
        Factor on the variance (not negative).
    distribution : {"uniform", "normal"}
        As in `.VarianceScaling`.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a parameter is not of the kind that is described.

    References
    ----------
    .. [1] Glorot, X., & Bengio, Y. (2010). Understanding the difficulty of training
       deep feedforward neural networks. Proceedings of the Thirteenth International
       Conference on Artificial Intelligence and Statistics, 249-256.
    """

    def __init__(self, scale: float = 1, distribution: str = "uniform"):
        super().__init__(scale, "fan_avg", distribution)


class He(VarianceScaling):
    r"""
    Weights with variance :math:`s^2 / \text{fan}_{in}`.

    This is `.VarianceScaling` with ``mode="fan_in"`` and scale :math:`s^2` [1]_.

    Parameters
    ----------
    scale : float
        Factor on the standard deviation (not negative).
    distribution : {"normal", "uniform"}
        As in `.VarianceScaling`.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a parameter is not of the kind that is described.

    References
    ----------
    .. [1] He, K., Zhang, X., Ren, S., & Sun, J. (2015). Delving deep into rectifiers:
       Surpassing human-level performance on ImageNet classification. Proceedings of
       the IEEE International Conference on Computer Vision, 1026-1034.
    """

    def __init__(self, scale: float = 1, distribution: str = "normal"):
        super().__init__(scale, "fan_in", distribution)

    def variance(self, n: int, d: int | None = None) -> float:
        """Return the variance of weights from ``d`` inputs to ``n`` outputs."""
        return self.scale * super().variance(n, d)
