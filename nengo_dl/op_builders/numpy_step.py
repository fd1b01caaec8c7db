"""Operators without a TensorFlow version: NumPy code, called in every step."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from functools import partial

import tensorflow as tf
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError

from nengo_dl.builder import BuildConfig, Builder, OpBuilder
from nengo_dl.op_builders.itemwise import ItemwiseCalls
from nengo_dl.signals import SignalDict
from nengo_dl.utils import describe_operator


@Builder.register(Operator)
class GenericOperatorBuilder(OpBuilder):
    """
    Run operators of any type by their NumPy step, item by item of the minibatch.

    For types of operators for which nothing else is registered. The arrays that the
    step knows get the values of all signals of the operator before every call,
    and what it writes is read from them afterwards. What a signal holds is therefore
    part of the state of the simulation; what a step keeps elsewhere is not.

    Raises
    ------
    nengo.exceptions.BuildError
        If an operator writes a sparse signal.
    """

    pure = False

    def __init__(self, ops: Sequence[Operator]):
        super().__init__(ops)
        for op in ops:
            for signal in _written(op):
                if signal.sparse:
                    raise BuildError(
                        f"Operators that only NumPy can run must not write sparse "
                        f"signals, but `{op}` writes {signal}; register an `OpBuilder` "
                        "for it, or let it write a dense signal"
                    )
        self.calls = ItemwiseCalls(
            ops,
            reads=lambda op: op.reads + _written(op),
            writes=_written,
            takes_time=False,
            name="Operators",
            origin=lambda op: f"the step of {describe_operator(op)}",
        )

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Find the signals."""
        super().build_pre(signals, config)
        self.calls.build_pre(signals)

    def build_step(self, signals: SignalDict) -> list[tf.Tensor]:
        """Call the steps."""
        return self.calls.build_step(signals)

    def build_post(self, signals: SignalDict) -> None:
        """Take the steps that belong to the simulation."""
        self.calls.start(partial(_step, signals), signals.minibatch_size)

    def restart(
        self, signals: SignalDict, ops: Container[Operator], items: Sequence[int]
    ) -> None:
        """Take steps that have been made again."""
        self.calls.restart(partial(_step, signals), ops, items)

    @staticmethod
    def mergeable(x: Operator, y: Operator) -> bool:
        """
        Merge operators of one type, unless they increment.

        What is incremented is read before it is written, so that two increments of one
        signal have to follow each other.
        """
        return type(x) is type(y) and not (x.incs or y.incs)


def _step(signals: SignalDict, op: Operator, item: int) -> Callable:
    return signals.operator_steps[op][item]


def _written(op: Operator) -> list[Signal]:
    return op.sets + op.incs + op.updates
