"""Python functions, which are called in every step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from nengo.builder.operator import SimPyFunc

from nengo_dl.builder import Builder
from nengo_dl.op_builders.base import OverwritingBuilder
from nengo_dl.utils import (
    align_func,
    fit_output,
    function_name,
    note_origin,
    numpy_function,
)


@Builder.register(SimPyFunc)
class SimPyFuncBuilder(OverwritingBuilder):
    """``output = fn([t], [x])`` for Python functions, item by item of the minibatch."""

    pure = False

    def build_pre(self, signals, config) -> None:
        """Prepare the function that TensorFlow calls."""
        super().build_pre(signals, config)
        self.time = self.ops[0].t
        has_input = [op for op in self.ops if op.x is not None]
        has_output = [op for op in self.ops if op.output is not None]
        self.x = signals.combine([op.x for op in has_input])
        self.output = signals.combine([op.output for op in has_output])
        self.func = merged_py_func(
            self.ops, signals.minibatch_size, signals.dtype, signals.dt_val
        )

    def build_step(self, signals) -> tf.Tensor:
        """Call the functions."""
        time = signals.zero if self.time is None else signals.gather(self.time)
        inputs = [time]
        if self.x:
            x = signals.gather(self.x)
            if not self.x.minibatched:
                x = tf.broadcast_to(x[None], (signals.minibatch_size, *x.shape))
            inputs.append(x)
        output = numpy_function(self.func, inputs, signals.dtype, errors=signals.errors)
        if not self.output:
            return output
        output.set_shape((signals.minibatch_size, *self.output.shape))
        signals.scatter(self.output, output)
        return output

    @staticmethod
    def mergeable(x, y) -> bool:
        """Merge functions that all read the time, or that all do not."""
        return x.t is y.t


def merged_py_func(ops, minibatch_size: int, dtype, dt: float) -> Callable:
    """
    Return one function of arrays that calls the functions of several operators.

    Parameters
    ----------
    ops : list of nengo.builder.operator.SimPyFunc
        The operators.
    minibatch_size : int
        Number of items for which each function is called.
    dtype : tf.DType
        Type of the output.
    dt : float
        Length of a step in seconds.

    Returns
    -------
    func : callable
        Maps the time and the ``(minibatch_size, sum of inputs)`` array to the
        ``(minibatch_size, sum of outputs)`` array.
    """
    np_dtype = dtype.as_numpy_dtype
    funcs = [op.fn if op.output is None else align_func(np_dtype)(op.fn) for op in ops]

    def call_all(time, x=None):
        # the time in double precision, as Nengo passes it
        args = [] if ops[0].t is None else [round(time.item() / dt) * dt]
        rows = []
        for item in range(minibatch_size):
            outputs = []
            start = 0
            for op, func in zip(ops, funcs):
                op_args = args
                if op.x is not None:
                    stop = start + op.x.size
                    op_args = [*args, x[item, start:stop].reshape(op.x.shape).copy()]
                    start = stop
                try:
                    value = func(*op_args)
                    if op.output is not None:
                        name = function_name(op.fn, sanitize=False)
                        outputs.append(fit_output(value, op.output.size, name))
                except Exception as err:
                    origin = op.x if op.output is None else op.output
                    note_origin(err, f"the function of {origin.name}")
                    raise
            rows.append(np.concatenate(outputs) if outputs else np.zeros(0, np_dtype))
        return np.stack(rows).astype(np_dtype)

    return call_all
