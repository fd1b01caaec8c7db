"""
Operators that Nengo's own build does not make.

Most are the setting counterparts of Nengo's incrementing operators: ``DotSet`` does
what ``Reset`` followed by ``DotInc`` does. They come from the passes in
`nengo_dl.graph.simplify`. `Feed` and `Constant` say where the values of
signals that no operator computes come from. All of them can make a NumPy step, so that
a list of operators can be run by Nengo's own means at any stage of the pipeline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from nengo.builder.operator import (
    DotInc,
    ElementwiseInc,
    Operator,
    Reset,
    SparseDotInc,
)
from nengo.builder.signal import Signal, SignalDict
from nengo.builder.transforms import ConvInc, ConvTransposeInc
from nengo.exceptions import ValidationError

from nengo_dl.graph.increments import (
    INCREMENTS,
    IncrementFacts,
    SettingOperator,
    is_all_ones,
    is_one,
    is_unit_matrix,
    stays,
)


def is_increment(op: Operator, signal: Signal) -> bool:
    """
    Return whether ``op`` adds to ``signal`` rather than overwriting it.

    A write is an increment exactly if the target is in ``op.incs``.
    """
    return any(signal is target for target in op.incs)


class ElementwiseSet(
    SettingOperator,
    increment=ElementwiseInc,
    is_product=True,
    units=(is_all_ones, is_all_ones),
):
    """
    Set signal ``Y`` to ``A * X`` (with broadcasting).

    Takes the parameters of `nengo.builder.operator.ElementwiseInc`.

    Notes
    -----
    1. sets ``[Y]``
    2. incs ``[]``
    3. reads ``[A, X]``
    4. updates ``[]``
    """


class DotSet(
    SettingOperator,
    increment=DotInc,
    is_product=True,
    units=(is_unit_matrix, is_one),
):
    """
    Set signal ``Y`` to ``dot(A, X)``.

    Takes the parameters of `nengo.builder.operator.DotInc`.

    Notes
    -----
    1. sets ``[Y]``
    2. incs ``[]``
    3. reads ``[A, X]``
    4. updates ``[]``
    """


class SparseDotSet(SettingOperator, increment=SparseDotInc, is_product=True):
    """
    Set signal ``Y`` to ``dot(A, X)``, where ``A`` is sparse.

    Takes the parameters of `nengo.builder.operator.SparseDotInc`.

    Notes
    -----
    1. sets ``[Y]``
    2. incs ``[]``
    3. reads ``[A, X]``
    4. updates ``[]``
    """


class ConvSet(SettingOperator, increment=ConvInc, is_product=True):
    """
    Set signal ``Y`` to the convolution of ``X`` with the kernel ``W``.

    Takes the parameters of `nengo.builder.transforms.ConvInc`.

    Notes
    -----
    1. sets ``[Y]``
    2. incs ``[]``
    3. reads ``[W, X]``
    4. updates ``[]``
    """


class ConvTransposeSet(SettingOperator, increment=ConvTransposeInc, is_product=True):
    """
    Set signal ``Y`` to the transposed convolution of ``X`` with the kernel ``W``.

    Takes the parameters of `nengo.builder.transforms.ConvTransposeInc`.

    Notes
    -----
    1. sets ``[Y]``
    2. incs ``[]``
    3. reads ``[W, X]``
    4. updates ``[]``
    """


class ResetInc(Operator):
    """
    Add a constant value to a signal.

    Parameters
    ----------
    dst : nengo.builder.Signal
        The signal to increment.
    value : float or ``dst.shape`` array
        The value to add.
    tag : str, optional
        A label for debugging.

    Notes
    -----
    1. sets ``[]``
    2. incs ``[dst]``
    3. reads ``[]``
    4. updates ``[]``
    """

    def __init__(self, dst: Signal, value: Any = 0, tag: str | None = None) -> None:
        super().__init__(tag=tag)
        self.value = value
        self.sets: list[Signal] = []
        self.incs = [dst]
        self.reads: list[Signal] = []
        self.updates: list[Signal] = []

    @property
    def dst(self) -> Signal:
        """The signal to increment."""
        return self.incs[0]

    @property
    def _descstr(self) -> str:
        return str(self.dst)

    def make_step(
        self, signals: SignalDict, dt: float, rng: np.random.RandomState
    ) -> Callable[[], None]:
        """Return a function that adds the value."""
        target = signals[self.dst]
        value = self.value

        def step_resetinc() -> None:
            target[...] += value

        return step_resetinc


def reset_to(dst: Signal, value: Any, tag: str | None = None) -> Reset:
    """
    Return a `nengo.builder.operator.Reset` whose value may be an array.

    Parameters
    ----------
    dst : nengo.builder.Signal
        The signal to set.
    value : float or ``dst.shape`` array
        The value to set it to.
    tag : str, optional
        A label for debugging.
    """
    op = Reset(dst, tag=tag)
    op.value = value  # the constructor accepts scalars only
    return op


INCREMENTS[ResetInc] = IncrementFacts(lambda op: reset_to(op.dst, op.value, op.tag))


class Constant(Operator):
    """
    State that a signal holds a value from the start, and that nothing changes it.

    No operation is built for it: the value becomes part of the initial state.

    Parameters
    ----------
    dst : nengo.builder.Signal
        The signal; may be a view, if only a part of a signal is constant.
    value : float or ``dst.shape`` array
        What it holds.
    tag : str, optional
        A label for debugging.

    Notes
    -----
    1. sets ``[dst]``
    2. incs ``[]``
    3. reads ``[]``
    4. updates ``[]``
    """

    def __init__(self, dst: Signal, value: Any, tag: str | None = None) -> None:
        super().__init__(tag=tag)
        self.value = value
        self.sets = [dst]
        self.incs: list[Signal] = []
        self.reads: list[Signal] = []
        self.updates: list[Signal] = []

    @property
    def dst(self) -> Signal:
        """The constant signal."""
        return self.sets[0]

    @property
    def _descstr(self) -> str:
        return str(self.dst)

    def make_step(
        self, signals: SignalDict, dt: float, rng: np.random.RandomState
    ) -> Callable[[], None]:
        """Write the value, and return a function that does nothing."""
        signals[self.dst][...] = self.value

        def step_constant() -> None:
            pass

        return step_constant


class Feed(Operator):
    """
    Take the value of a signal from outside of the simulation step.

    What depends on time alone needs no place in the step: the values of Nodes without
    input, given by the user or computed ahead, and of processes without input.

    Parameters
    ----------
    signal : nengo.builder.Signal
        The signal that receives the values.
    source : nengo.Node or nengo.builder.processes.SimProcess
        Where the values come from.
    mode : "set" or "inc"
        Whether the values replace the signal, or are added to it.
    tag : str, optional
        A label for debugging.

    Raises
    ------
    nengo.exceptions.ValidationError
        If ``mode`` is neither "set" nor "inc".

    Notes
    -----
    1. sets ``[signal] if mode == "set" else []``
    2. incs ``[signal] if mode == "inc" else []``
    3. reads ``[]``
    4. updates ``[]``
    """

    def __init__(
        self, signal: Signal, source: Any, mode: str = "set", tag: str | None = None
    ) -> None:
        super().__init__(tag=tag)
        if mode not in ("set", "inc"):
            raise ValidationError(
                f"Values are fed in mode 'set' or 'inc', not {mode!r}; a value that is "
                "seen from the next step on must go through an operator",
                attr="mode",
                obj=self,
            )
        self.source = source
        self.mode = mode
        self.sets = [signal] if mode == "set" else []
        self.incs = [signal] if mode == "inc" else []
        self.reads: list[Signal] = []
        self.updates: list[Signal] = []

    @property
    def signal(self) -> Signal:
        """The signal that receives the values."""
        return (self.sets or self.incs)[0]

    @property
    def _descstr(self) -> str:
        return f"{self.source} -> {self.signal}"

    def make_step(
        self, signals: SignalDict, dt: float, rng: np.random.RandomState
    ) -> Callable[[], None]:
        """Return a function that does nothing."""

        def step_feed() -> None:
            pass  # whoever runs the step has written the value

        return step_feed


INCREMENTS[Feed] = IncrementFacts(stays)  # data are fed in for this very operator


class SimPESFactors(Operator):
    """
    Keep the factors of the change that the PES rule makes to weights.

    Together with an `nengo.builder.operator.ElementwiseInc` of their product, it does
    what `nengo.builder.learning_rules.SimPES` does together with a copy.

    Parameters
    ----------
    pre_filtered : nengo.builder.Signal
        The activities ``a`` of the ``n`` presynaptic neurons.
    error : nengo.builder.Signal
        The error ``e``.
    rows : nengo.builder.Signal
        Becomes ``-κ dt / n · e``, as a column.
    columns : nengo.builder.Signal
        Becomes ``a``, as a row.
    learning_rate : float
        The learning rate ``κ``.
    tag : str, optional
        A label for debugging.

    Notes
    -----
    1. sets ``[]``
    2. incs ``[]``
    3. reads ``[pre_filtered, error]``
    4. updates ``[rows, columns]``
    """

    def __init__(
        self,
        pre_filtered: Signal,
        error: Signal,
        rows: Signal,
        columns: Signal,
        learning_rate: float,
        tag: str | None = None,
    ) -> None:
        super().__init__(tag=tag)
        self.learning_rate = learning_rate
        self.sets: list[Signal] = []
        self.incs: list[Signal] = []
        self.reads = [pre_filtered, error]
        self.updates = [rows, columns]

    @property
    def _descstr(self) -> str:
        return f"pre={self.reads[0]}, error={self.reads[1]} -> {self.updates}"

    def make_step(
        self, signals: SignalDict, dt: float, rng: np.random.RandomState
    ) -> Callable[[], None]:
        """Return a function that updates the factors."""
        pre_filtered, error = (signals[signal] for signal in self.reads)
        rows, columns = (signals[signal] for signal in self.updates)
        alpha = -self.learning_rate * dt / pre_filtered.shape[0]

        def step_simpesfactors() -> None:
            rows[...] = (alpha * error).reshape(rows.shape)
            columns[...] = pre_filtered

        return step_simpesfactors


def is_zero(value: Any) -> bool:
    """Return whether the value of a reset (a number or an array) is zero."""
    return not np.any(value)
