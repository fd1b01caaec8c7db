"""Neuron types that put out firing rates."""

from __future__ import annotations

from typing import Any

import numpy as np
from nengo.neurons import LIFRate, RectifiedLinear

from nengo_dl.utils import RealParam


class SoftLIFRate(LIFRate):
    r"""
    LIF rate neurons with a smoothed firing threshold.

    The firing rate of `nengo.LIFRate` has an infinite derivative at the threshold
    :math:`J = 1`. Here :math:`j = J - 1` passes through a softplus function,

    .. math::

       z = \sigma \log(1 + e^{j / \sigma}), \qquad
       r = \frac{\text{amplitude}}{\tau_{ref} + \tau_{rc} \log(1 + 1 / z)}

    which is differentiable everywhere and approaches `nengo.LIFRate` as
    :math:`\sigma \to 0`.

    Parameters
    ----------
    sigma : float
        Amount of smoothing (positive); larger values are smoother.
    tau_rc : float
        Membrane time constant, in seconds.
    tau_ref : float
        Absolute refractory period, in seconds.
    amplitude : float
        Scaling factor on the output.
    initial_state : {str: Distribution or array_like}, optional
        Initial values of state variables (these neurons have none).

    Raises
    ------
    nengo.exceptions.ValidationError
        If a parameter is not of the kind that is described.

    References
    ----------
    .. [1] Hunsberger, E., & Eliasmith, C. (2015). Spiking deep networks with LIF
       neurons. arXiv preprint arXiv:1510.08829.
    """

    sigma: Any = RealParam("sigma", low=0, low_open=True)

    def __init__(
        self,
        sigma: float = 1.0,
        tau_rc: float = 0.02,
        tau_ref: float = 0.002,
        amplitude: float = 1,
        initial_state: dict[str, Any] | None = None,
    ):
        super().__init__(
            tau_rc=tau_rc,
            tau_ref=tau_ref,
            amplitude=amplitude,
            initial_state=initial_state,
        )
        self.sigma = sigma

    def rates(self, x: Any, gain: Any, bias: Any) -> np.ndarray:
        """Compute firing rates in hertz; `nengo.LIFRate` would use its own formula."""
        J = self.current(x, gain, bias)
        output = np.zeros_like(J)
        self.step(dt=1, J=J, output=output)
        return output

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        """Write the firing rates for input currents ``J`` into ``output``."""
        j = np.asarray(J) - 1
        x = j / self.sigma

        # exp(x) would overflow far above the threshold, and z vanish far below it
        z = np.where(x > 30, j, self.sigma * np.log1p(np.exp(np.minimum(x, 30))))
        far_below = x <= -20
        q = np.where(
            far_below,
            -x - np.log(self.sigma),
            np.log1p(1 / np.where(far_below, 1, z)),
        )
        output[...] = self.amplitude / (self.tau_ref + self.tau_rc * q)


class LeakyReLU(RectifiedLinear):
    r"""
    Rectified linear neurons with a nonzero slope for negative input.

    .. math::

       r = \text{amplitude} \cdot
           \begin{cases} J & J \ge 0 \\ \text{negative\_slope} \cdot J & J < 0
           \end{cases}

    Parameters
    ----------
    negative_slope : float
        Slope for input currents below zero.
    amplitude : float
        Scaling factor on the output.
    initial_state : {str: Distribution or array_like}, optional
        Initial values of state variables (these neurons have none).

    Raises
    ------
    nengo.exceptions.ValidationError
        If a parameter is not of the kind that is described.
    """

    negative_slope: Any = RealParam("negative_slope")

    def __init__(
        self,
        negative_slope: float = 0.3,
        amplitude: float = 1,
        initial_state: dict[str, Any] | None = None,
    ):
        super().__init__(amplitude=amplitude, initial_state=initial_state)
        self.negative_slope = negative_slope

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        """Write the firing rates for input currents ``J`` into ``output``."""
        output[...] = self.amplitude * leaky_relu(J, self.negative_slope)


def leaky_relu(J: np.ndarray, negative_slope: float) -> np.ndarray:
    """Multiply input currents below zero with a slope."""
    return np.where(np.asarray(J) < 0, negative_slope * J, J)
