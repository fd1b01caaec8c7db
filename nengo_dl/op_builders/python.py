"""Python functions, which are called in every step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from nengo.builder.operator import SimPyFunc

from nengo_dl.builder import BuildConfig, Builder
from nengo_dl.op_builders.base import OverwritingBuilder
from nengo_dl.op_builders.itemwise import ItemwiseCalls
from nengo_dl.signals import SignalDict
from nengo_dl.utils import align_func, fit_output, function_name


@Builder.register(SimPyFunc)
class SimPyFuncBuilder(OverwritingBuilder):
    """``output = fn([t], [x])`` for Python functions, item by item of the minibatch."""

    pure = False

    def __init__(self, ops: Sequence[SimPyFunc]):
        super().__init__(ops)
        self.calls = ItemwiseCalls(
            ops,
            reads=lambda op: [] if op.x is None else [op.x],
            writes=lambda op: [] if op.output is None else [op.output],
            takes_time=ops[0].t is not None,
            name="Functions",
            origin=_origin,
        )

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Prepare the functions."""
        super().build_pre(signals, config)
        self.calls.build_pre(signals)
        functions = [_function(op, signals.dtype) for op in self.ops]
        self.calls.functions = [functions] * signals.minibatch_size

    def build_step(self, signals: SignalDict) -> list[tf.Tensor]:
        """Call the functions."""
        return self.calls.build_step(signals)

    @staticmethod
    def mergeable(x: SimPyFunc, y: SimPyFunc) -> bool:
        """Merge functions that all read the time, or that all do not."""
        return x.t is y.t


def _origin(op: SimPyFunc) -> str:
    signal = op.x if op.output is None else op.output
    return f"the function of {signal.name}"


def _function(op: SimPyFunc, dtype: tf.DType) -> Callable[..., list[np.ndarray]]:
    """Return the function of an operator, with a list of arrays of a type as output."""
    has_time, has_output = op.t is not None, op.output is not None
    shape = op.output.shape if has_output else ()
    func = align_func(dtype)(op.fn) if has_output else op.fn
    name = function_name(op.fn, sanitize=False)

    def call(time: float, *x: np.ndarray) -> list[np.ndarray]:
        args = [array.copy() for array in x]
        value = func(time, *args) if has_time else func(*args)
        if not has_output:
            return []
        if value.shape == shape:
            return [value]
        return [fit_output(value, math.prod(shape), name).reshape(shape)]

    return call
