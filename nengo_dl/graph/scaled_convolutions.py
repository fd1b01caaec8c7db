"""
Operators that add or set the convolution of a constant image, times a number.

They take the place of convolutions of the image times the number; see
`nengo_dl.graph.simplify.scale_convolutions`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal, SignalDict
from nengo.builder.transforms import ConvInc
from nengo.transforms import Convolution

from nengo_dl.graph.increments import SettingOperator


class ScaledConvInc(Operator):
    """
    Increment signal ``Y`` by the convolution of an image, times a number.

    ``Y += scale * conv(W, X)``

    Parameters
    ----------
    W : nengo.builder.Signal
        The kernel. No operator writes it.
    X : nengo.builder.Signal
        The image, with ``conv.input_shape.size`` elements. No operator writes it.
    scale : nengo.builder.Signal
        The number, a signal with one element.
    Y : nengo.builder.Signal
        The signal to increment.
    conv : nengo.Convolution
        The convolution.
    tag : str, optional
        A label for debugging.

    Notes
    -----
    1. sets ``[]``
    2. incs ``[Y]``
    3. reads ``[W, X, scale]``
    4. updates ``[]``
    """

    def __init__(
        self,
        W: Signal,
        X: Signal,
        scale: Signal,
        Y: Signal,
        conv: Convolution,
        tag: str | None = None,
    ) -> None:
        super().__init__(tag=tag)
        self.conv = conv
        self.sets: list[Signal] = []
        self.incs = [Y]
        self.reads = [W, X, scale]
        self.updates: list[Signal] = []

    @property
    def W(self) -> Signal:
        """The kernel."""
        return self.reads[0]

    @property
    def X(self) -> Signal:
        """The image."""
        return self.reads[1]

    @property
    def scale(self) -> Signal:
        """The number."""
        return self.reads[2]

    @property
    def Y(self) -> Signal:
        """The signal to increment."""
        return self.incs[0]

    @property
    def _descstr(self) -> str:
        return f"{self.scale} * conv({self.W}, {self.X}) -> {self.Y}"

    def make_step(
        self, signals: SignalDict, dt: float, rng: np.random.RandomState
    ) -> Callable[[], None]:
        """Return a function that convolves, multiplies, and adds."""
        scale, target = signals[self.scale], signals[self.Y]
        convolved = np.zeros_like(target)
        arrays = {self.W: signals[self.W], self.X: signals[self.X], self.Y: convolved}
        convolve = ConvInc(self.W, self.X, self.Y, self.conv).make_step(arrays, dt, rng)

        def step_scaledconvinc() -> None:
            convolved[...] = 0
            convolve()
            target[...] += scale.item() * convolved

        return step_scaledconvinc


class ScaledConvSet(SettingOperator, increment=ScaledConvInc, is_product=True):
    """
    Set signal ``Y`` to the convolution of an image, times a number.

    Takes the parameters of `ScaledConvInc`.

    Notes
    -----
    1. sets ``[Y]``
    2. incs ``[]``
    3. reads ``[W, X, scale]``
    4. updates ``[]``
    """
