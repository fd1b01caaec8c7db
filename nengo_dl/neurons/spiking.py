"""Neuron types that spike."""

from __future__ import annotations

from typing import Any

import numpy as np
from nengo.dists import Choice
from nengo.neurons import RectifiedLinear, SpikingRectifiedLinear
from nengo.params import BoolParam, IntParam

from nengo_dl.neurons.rates import leaky_relu
from nengo_dl.utils import RealParam


class SpikingLeakyReLU(SpikingRectifiedLinear):
    r"""
    Spiking version of `.LeakyReLU`, which can emit negative spikes.

    The voltage :math:`v` integrates the rectified current, and its integer part is
    emitted as spikes:

    .. math::

       v \leftarrow v + dt \cdot \text{leaky}(J), \qquad
       n = \text{trunc}(v), \qquad
       \text{output} = n \cdot \text{amplitude} / dt, \qquad
       v \leftarrow v - n

    Parameters
    ----------
    negative_slope : float
        Slope for input currents below zero.
    amplitude : float
        Scaling factor on the output.
    initial_state : {str: Distribution or array_like}, optional
        Initial values of state variables; the default for ``voltage`` is
        ``Uniform(0, 1)``.

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

    def rates(self, x: Any, gain: Any, bias: Any) -> np.ndarray:
        """Compute firing rates in hertz, which are those of `.LeakyReLU`."""
        J = self.current(x, gain, bias)
        return self.amplitude * leaky_relu(J, self.negative_slope)

    def step(
        self, dt: float, J: np.ndarray, output: np.ndarray, voltage: np.ndarray
    ) -> None:
        """Advance ``voltage`` by ``dt`` seconds and write spikes into ``output``."""
        voltage += dt * leaky_relu(J, self.negative_slope)
        n_spikes = np.trunc(voltage)
        output[...] = n_spikes * (self.amplitude / dt)
        voltage -= n_spikes


class IntegrateAndFire(RectifiedLinear):
    r"""
    Integrate-and-fire neurons that keep negative charge and can take spikes back.

    The voltage :math:`v` integrates the input current of both signs. With the number of
    spikes so far :math:`s`, and the largest number of spikes in a step :math:`k`, a
    step is

    .. math::

       v &\leftarrow v + dt \cdot J \\
       n &= \text{clip}(\lfloor v \rfloor, -\min(s, k), k) \\
       \text{output} &= n \cdot \text{amplitude} / dt \\
       v &\leftarrow \max(v - n, \text{min\_voltage}) \\
       s &\leftarrow s + n

    or :math:`n = \text{clip}(\lfloor v \rfloor, 0, k)` without ``retract``. A spike is
    worth one unit of charge, and subtracts just that: none is lost ("soft reset").

    Taking spikes back makes neurons exact. After :math:`T` steps, without limits on the
    spikes of a step and on the voltage,

    .. math::

       \sum_t n_t = \max\left(0,
       \left\lfloor v_0 + dt \sum_t J_t \right\rfloor\right)

    for any input, however it fluctuates: the rectified linear function of the mean
    input, in whole spikes. It is rounded without bias as the default of :math:`v_0` is
    one half. Neurons that cannot take spikes back put out the largest value that this
    sum has had so far, and `nengo.SpikingRectifiedLinear`, which does not integrate
    negative currents, the sum of the positive currents.

    Parameters
    ----------
    max_spikes : int, optional
        Largest number of spikes in one step, and of spikes taken back in one step.
        Charge for more spikes is kept for later steps. By default, there is no limit.
    retract : bool
        If True, spikes are taken back by negative spikes, as soon as there is negative
        charge. The sum of the spikes never becomes negative.
    min_voltage : float, optional
        Lowest voltage at the end of a step, zero at most; charge below it is lost. By
        default (and for ``-np.inf``), there is no limit.
    amplitude : float
        Scaling factor on the output.
    initial_state : {str: Distribution or array_like}, optional
        Initial values of state variables. The defaults are 0.5 for ``voltage``, and 0
        for ``spike_count``, the number of spikes so far, those taken back subtracted.

    Attributes
    ----------
    negative : bool
        Whether there can be negative spikes, which is what ``retract`` says.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a parameter is not of the kind that is described.

    Notes
    -----
    ``spike_count`` is a number of the type of the simulation: in single precision it
    stops growing at :math:`2^{24}`, after which neurons cannot take back more spikes
    than that.
    """

    state = {"voltage": Choice([0.5]), "spike_count": Choice([0])}
    negative = True
    spiking = True

    max_spikes = IntParam("max_spikes", low=1, optional=True)
    retract = BoolParam("retract")
    min_voltage: Any = RealParam("min_voltage", high=0, optional=True, finite=False)

    def __init__(
        self,
        max_spikes: int | None = None,
        retract: bool = True,
        min_voltage: float | None = None,
        amplitude: float = 1,
        initial_state: dict[str, Any] | None = None,
    ):
        super().__init__(amplitude=amplitude, initial_state=initial_state)
        self.max_spikes = max_spikes
        self.retract = retract
        self.min_voltage = min_voltage
        self.negative = retract

    def rates(self, x: Any, gain: Any, bias: Any) -> np.ndarray:
        """Compute firing rates in hertz, which are those of `nengo.RectifiedLinear`."""
        return self.amplitude * np.maximum(self.current(x, gain, bias), 0)

    def step(
        self,
        dt: float,
        J: np.ndarray,
        output: np.ndarray,
        voltage: np.ndarray,
        spike_count: np.ndarray,
    ) -> None:
        """Advance the state by ``dt`` seconds and write spikes into ``output``."""
        voltage += dt * J
        n_spikes = np.floor(voltage)
        if self.max_spikes is not None:
            n_spikes = np.clip(n_spikes, -self.max_spikes, self.max_spikes)
        n_spikes = np.maximum(n_spikes, -spike_count if self.retract else 0)
        output[...] = n_spikes * (self.amplitude / dt)
        voltage -= n_spikes
        spike_count += n_spikes
        if self.min_voltage is not None:
            np.maximum(voltage, self.min_voltage, out=voltage)
