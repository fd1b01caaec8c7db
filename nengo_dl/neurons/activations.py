r"""
Neuron types that put out smooth activation functions of Keras.

With them, a network has the values of a Keras model. Names and parameters are those of
`keras.activations`; formulas leave out the factor ``amplitude``. What Nengo has already
is not repeated here: `nengo.RectifiedLinear`, `nengo.Sigmoid` and `nengo.Tanh` (with
``tau_ref=1``); and `.LeakyReLU`. For functions made of pieces, see `piecewise`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from nengo.exceptions import ValidationError
from nengo.neurons import NeuronType
from nengo.params import BoolParam

from nengo_dl.utils import RealParam

# From Klambauer et al. (2017); see `SELU`.
SELU_SCALE = 1.0507009873554804934193349852946
SELU_ALPHA = 1.6732632423543772848170429916717

# Largest input current that is tried to reach a maximum rate.
LARGEST_CURRENT = 1e9


class Activation(NeuronType):
    r"""
    Base class of neuron types that put out an activation function.

    These functions need not have a threshold or a maximum. The *intercept* of a neuron
    is where its input current is zero, and its maximum rate is what it puts out for
    ``x = 1``.

    Parameters
    ----------
    amplitude : float
        Scaling factor on the output.
    initial_state : {str: Distribution or array_like}, optional
        Initial values of state variables (these neurons have none).

    Raises
    ------
    nengo.exceptions.ValidationError
        If a parameter is not of the kind that is described.
    """

    amplitude: Any = RealParam("amplitude", low=0, low_open=True)

    def __init__(
        self, amplitude: float = 1, initial_state: dict[str, Any] | None = None
    ):
        super().__init__(initial_state)
        self.amplitude = amplitude

    def gain_bias(self, max_rates: Any, intercepts: Any) -> tuple[np.ndarray, ...]:
        """
        Compute gains and biases from maximum rates and intercepts.

        Parameters
        ----------
        max_rates : (n_neurons,) array_like
            Output for ``x = 1``. The currents for it are found by bisection.
        intercepts : (n_neurons,) array_like
            Where the input current is zero.

        Returns
        -------
        gain, bias : (n_neurons,) ndarray
            Such that ``J = gain * x + bias``.

        Raises
        ------
        ValidationError
            If neurons do not put out ``max_rates`` for any positive current.
        """
        max_rates, intercepts = np.broadcast_arrays(
            np.atleast_1d(np.asarray(max_rates, dtype=float)),
            np.atleast_1d(np.asarray(intercepts, dtype=float)),
        )
        low, high = np.zeros_like(max_rates), np.full_like(max_rates, LARGEST_CURRENT)
        with np.errstate(over="ignore"):
            lowest, highest = self.rates([0, LARGEST_CURRENT], 1, 0)[:, 0]
            if not np.all((lowest < max_rates) & (max_rates < highest)):
                raise ValidationError(
                    f"Rates of `{type(self).__name__}` neurons for positive currents "
                    f"are between {lowest:g} and {highest:g}; received `max_rates` "
                    f"between {max_rates.min():g} and {max_rates.max():g}. Give the "
                    "ensemble other `max_rates`, or its `gain` and `bias`.",
                    attr="max_rates",
                    obj=self,
                )
            for _ in range(100):
                middle = (low + high) / 2
                too_low = self.rates(middle, 1, 0)[:, 0] < max_rates
                low, high = np.where(too_low, [middle, high], [low, middle])
        gain = high / (1 - intercepts)
        return gain, -intercepts * gain

    def max_rates_intercepts(self, gain: Any, bias: Any) -> tuple[np.ndarray, ...]:
        """Compute the inverse of `gain_bias`."""
        gain, bias = (np.atleast_1d(np.asarray(v, dtype=float)) for v in (gain, bias))
        with np.errstate(all="ignore"):  # no intercept without gain
            return self.rates(1, gain, bias)[0], -bias / gain


class CELU(Activation):
    r"""
    Continuously differentiable exponential linear units.

    .. math:: \max(J, 0) + \alpha (e^{\min(J, 0) / \alpha} - 1)

    Parameters
    ----------
    alpha : float
        Output for very negative currents, with the opposite sign (positive).
    amplitude, initial_state
        See `Activation`.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a parameter is not of the kind that is described.
    """

    alpha: Any = RealParam("alpha", low=0, low_open=True)

    def __init__(
        self,
        alpha: float = 1.0,
        amplitude: float = 1,
        initial_state: dict[str, Any] | None = None,
    ):
        super().__init__(amplitude, initial_state)
        self.alpha = alpha

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        """Write the output for input currents ``J`` into ``output``."""
        below = self.alpha * np.expm1(np.minimum(J, 0) / self.alpha)
        output[...] = self.amplitude * (np.maximum(J, 0) + below)


class ELU(Activation):
    r"""
    Exponential linear units.

    .. math:: J \text{ where } J > 0, \text{ else } \alpha (e^J - 1)

    Parameters
    ----------
    alpha : float
        Output for very negative currents, with the opposite sign.
    amplitude, initial_state
        See `Activation`.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a parameter is not of the kind that is described.
    """

    alpha: Any = RealParam("alpha")

    def __init__(
        self,
        alpha: float = 1.0,
        amplitude: float = 1,
        initial_state: dict[str, Any] | None = None,
    ):
        super().__init__(amplitude, initial_state)
        self.alpha = alpha

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        """Write the output for input currents ``J`` into ``output``."""
        output[...] = self.amplitude * _elu(J, self.alpha)


class Exponential(Activation):
    """Neurons that put out :math:`e^J`."""

    negative = False

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        """Write the output for input currents ``J`` into ``output``."""
        output[...] = self.amplitude * np.exp(J)


class GELU(Activation):
    r"""
    Gaussian error linear units.

    .. math:: J \cdot \frac{1}{2} \left(1 + \text{erf}(J / \sqrt{2})\right)

    Parameters
    ----------
    approximate : bool
        If True, put out
        :math:`J \cdot \frac{1}{2} (1 + \tanh(\sqrt{2 / \pi} (J + 0.044715 J^3)))`.
    amplitude, initial_state
        See `Activation`.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a parameter is not of the kind that is described.
    """

    approximate = BoolParam("approximate")

    def __init__(
        self,
        approximate: bool = False,
        amplitude: float = 1,
        initial_state: dict[str, Any] | None = None,
    ):
        super().__init__(amplitude, initial_state)
        self.approximate = approximate

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        """Write the output for input currents ``J`` into ``output``."""
        if self.approximate:
            x = np.tanh(math.sqrt(2 / math.pi) * (J + 0.044715 * J**3))
        else:
            x = _erf(J / math.sqrt(2))
        output[...] = self.amplitude * J * (1 + x) / 2


class LogSigmoid(Activation):
    r"""Neurons that put out :math:`-\log(1 + e^{-J})`."""

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        """Write the output for input currents ``J`` into ``output``."""
        output[...] = self.amplitude * -np.logaddexp(0, -J)


class Mish(Activation):
    r"""Neurons that put out :math:`J \cdot \tanh(\log(1 + e^J))`."""

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        """Write the output for input currents ``J`` into ``output``."""
        output[...] = self.amplitude * J * np.tanh(np.logaddexp(0, J))


class SELU(Activation):
    r"""
    Scaled exponential linear units.

    .. math:: \lambda J \text{ where } J > 0, \text{ else } \lambda \alpha (e^J - 1)

    with :math:`\lambda = 1.0507...` and :math:`\alpha = 1.6732...` for which a mean of
    zero and a variance of one are kept from layer to layer [1]_.

    References
    ----------
    .. [1] Klambauer, G., Unterthiner, T., Mayr, A., & Hochreiter, S. (2017).
       Self-normalizing neural networks. arXiv preprint arXiv:1706.02515.
    """

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        """Write the output for input currents ``J`` into ``output``."""
        output[...] = self.amplitude * SELU_SCALE * _elu(J, SELU_ALPHA)


class SiLU(Activation):
    """Neurons (also called swish) that put out :math:`J / (1 + e^{-J})`."""

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        """Write the output for input currents ``J`` into ``output``."""
        output[...] = self.amplitude * J * np.exp(-np.logaddexp(0, -J))


class Softplus(Activation):
    r"""Neurons that put out :math:`\log(1 + e^J)`."""

    negative = False

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        """Write the output for input currents ``J`` into ``output``."""
        output[...] = self.amplitude * np.logaddexp(0, J)


class Softsign(Activation):
    """Neurons that put out :math:`J / (1 + |J|)`."""

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        """Write the output for input currents ``J`` into ``output``."""
        output[...] = self.amplitude * J / (1 + np.abs(J))


class Squareplus(Activation):
    r"""
    A smooth rectifier without exponential functions.

    .. math:: \frac{1}{2} \left(J + \sqrt{J^2 + b}\right)

    Parameters
    ----------
    b : float
        Amount of smoothing (positive).
    amplitude, initial_state
        See `Activation`.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a parameter is not of the kind that is described.
    """

    negative = False

    b: Any = RealParam("b", low=0, low_open=True)

    def __init__(
        self,
        b: float = 4,
        amplitude: float = 1,
        initial_state: dict[str, Any] | None = None,
    ):
        super().__init__(amplitude, initial_state)
        self.b = b

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        """Write the output for input currents ``J`` into ``output``."""
        output[...] = self.amplitude * (J + np.sqrt(J**2 + self.b)) / 2


class TanhShrink(Activation):
    r"""Neurons that put out :math:`J - \tanh(J)`."""

    def step(self, dt: float, J: np.ndarray, output: np.ndarray) -> None:
        """Write the output for input currents ``J`` into ``output``."""
        output[...] = self.amplitude * (J - np.tanh(J))


def _elu(J: np.ndarray, alpha: float) -> np.ndarray:
    return np.where(J > 0, J, alpha * np.expm1(np.minimum(J, 0)))


def _erf(x: np.ndarray) -> np.ndarray:
    # NumPy has none, and Nengo does not depend on SciPy
    return np.vectorize(math.erf, otypes=[float])(x)
