"""
Neuron types that put out activation functions of Keras that are made of pieces.

Formulas leave out the factor ``amplitude``; see `nengo_dl.neurons.activations`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nengo_dl.neurons.activations import Activation
from nengo_dl.utils import RealParam


class HardShrink(Activation):
    r"""
    Neurons that do not react to small currents.

    .. math:: J \text{ where } |J| > \text{threshold}, \text{ else } 0

    Parameters
    ----------
    threshold : float
        Largest current that is ignored.
    amplitude, initial_state
        See `Activation`.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a parameter is not of the kind that is described.
    """

    threshold: Any = RealParam("threshold", finite=False)

    def __init__(
        self,
        threshold: float = 0.5,
        amplitude: float = 1,
        initial_state: dict[str, Any] | None = None,
    ):
        super().__init__(amplitude, initial_state)
        self.threshold = threshold

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        """Write the output for input currents ``J`` into ``output``."""
        output[...] = self.amplitude * np.where(np.abs(J) > self.threshold, J, 0)


class HardSigmoid(Activation):
    r"""Neurons that put out :math:`\text{clip}(J / 6 + 1 / 2, 0, 1)`."""

    negative = False

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        """Write the output for input currents ``J`` into ``output``."""
        output[...] = self.amplitude * _hard_sigmoid(J)


class HardSiLU(Activation):
    r"""Neurons that put out :math:`J \cdot \text{clip}(J / 6 + 1 / 2, 0, 1)`."""

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        """Write the output for input currents ``J`` into ``output``."""
        output[...] = self.amplitude * J * _hard_sigmoid(J)


class HardTanh(Activation):
    r"""Neurons that put out :math:`\text{clip}(J, -1, 1)`."""

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        """Write the output for input currents ``J`` into ``output``."""
        output[...] = self.amplitude * np.clip(J, -1, 1)


class ReLU(Activation):
    r"""
    Rectified linear units with a largest value and a threshold.

    .. math::

       \begin{cases}
       \min(J, \text{max\_value}) & J > \text{threshold} \\
       \text{negative\_slope} \cdot (J - \text{threshold}) & \text{else}
       \end{cases}

    Parameters
    ----------
    max_value : float, optional
        Largest value of the function; by default, there is none.
    negative_slope : float
        Slope below the threshold.
    threshold : float
        Currents above it (zero or positive) are put out.
    amplitude, initial_state
        See `Activation`.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a parameter is not of the kind that is described.
    """

    max_value: Any = RealParam("max_value", low=0, optional=True, finite=False)
    negative_slope: Any = RealParam("negative_slope")
    threshold: Any = RealParam("threshold", low=0, finite=False)

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        amplitude: float = 1,
        initial_state: dict[str, Any] | None = None,
    ):
        super().__init__(amplitude, initial_state)
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold
        self.negative = negative_slope > 0

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        """Write the output for input currents ``J`` into ``output``."""
        above = J if self.max_value is None else np.minimum(J, self.max_value)
        below = self.negative_slope * (J - self.threshold)
        output[...] = self.amplitude * np.where(J > self.threshold, above, below)


class SoftShrink(Activation):
    r"""
    Neurons that shrink currents towards zero.

    .. math:: \text{sign}(J) \max(|J| - \text{threshold}, 0)

    Parameters
    ----------
    threshold : float
        By how much (zero or positive).
    amplitude, initial_state
        See `Activation`.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a parameter is not of the kind that is described.
    """

    threshold: Any = RealParam("threshold", low=0, finite=False)

    def __init__(
        self,
        threshold: float = 0.5,
        amplitude: float = 1,
        initial_state: dict[str, Any] | None = None,
    ):
        super().__init__(amplitude, initial_state)
        self.threshold = threshold

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        """Write the output for input currents ``J`` into ``output``."""
        shrunk = np.maximum(np.abs(J) - self.threshold, 0)
        output[...] = self.amplitude * np.sign(J) * shrunk


class SparsePlus(Activation):
    r"""
    A rectifier with a smooth threshold.

    .. math:: (J + 1)^2 / 4 \text{ where } |J| < 1, \text{ else } \max(J, 0)
    """

    negative = False

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        """Write the output for input currents ``J`` into ``output``."""
        output[...] = self.amplitude * np.where(J < 1, np.maximum(J + 1, 0) ** 2 / 4, J)


class SparseSigmoid(Activation):
    r"""Neurons that put out :math:`\text{clip}((J + 1) / 2, 0, 1)`."""

    negative = False

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        """Write the output for input currents ``J`` into ``output``."""
        output[...] = self.amplitude * np.clip((J + 1) / 2, 0, 1)


class Threshold(Activation):
    r"""
    Neurons that react to currents above a threshold.

    .. math:: J \text{ where } J > \text{threshold}, \text{ else default\_value}

    Parameters
    ----------
    threshold : float
        Largest current that is ignored.
    default_value : float
        What is put out up to the threshold.
    amplitude, initial_state
        See `Activation`.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a parameter is not of the kind that is described.
    """

    threshold: Any = RealParam("threshold", finite=False)
    default_value: Any = RealParam("default_value", finite=False)

    def __init__(
        self,
        threshold: float,
        default_value: float,
        amplitude: float = 1,
        initial_state: dict[str, Any] | None = None,
    ):
        super().__init__(amplitude, initial_state)
        self.threshold = threshold
        self.default_value = default_value

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        """Write the output for input currents ``J`` into ``output``."""
        output[...] = self.amplitude * np.where(
            J > self.threshold, J, self.default_value
        )


def _hard_sigmoid(J: np.ndarray) -> np.ndarray:
    return np.clip(J / 6 + 0.5, 0, 1)
