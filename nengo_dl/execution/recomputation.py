"""
A step whose gradient computes it once more (stage 10 of the pipeline).

In: a `Step` of many groups. Out: the same step for a loop whose gradient is needed. By
itself, TensorFlow keeps whatever is computed within a step, for the gradient of every
step: each of these values is a list that grows with the steps, which takes most of the
time to trace and optimize a step of many small operations, and slows it down. This one
keeps only what a step begins with.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import tensorflow as tf

from nengo_dl.builder import is_from_outside
from nengo_dl.execution.step import Step
from nengo_dl.graph.program import Program
from nengo_dl.tensor_node import SimTensorNode

# TensorFlow knows gradients by name, for as long as the process lasts.
_NUMBERS = count()


class RecomputedStep:
    """
    A step that is computed again where its gradient is needed.

    Parameters
    ----------
    step : Step
        The step, for which `possible` holds.

    Attributes
    ----------
    program : Program
        The program of the step.
    """

    def __init__(self, step: Step):
        self.program: Program = step.program
        self._step = step
        self._constants: dict[str, tf.Tensor] = {}
        self._seeds: tuple[tf.Tensor, ...] = ()
        self._rng_state: Any = None
        self._gradient_name = f"NengoDLRecomputedStep{next(_NUMBERS)}"
        # (it stays registered, and must not keep the step of a closed simulator)
        this = weakref.ref(self)

        @tf.RegisterGradient(self._gradient_name)
        def gradient(op: tf.Operation, *upstream: tf.Tensor) -> list[tf.Tensor | None]:
            step = this()
            assert step is not None, "the step lives until its gradients are traced"
            return step.gradient(op, upstream)

    @staticmethod
    def possible(step: Step) -> bool:
        """
        Return whether the gradient of a step is that of what goes in and comes out.

        Python may be called once only. What comes from outside may have variables of
        its own, as layers do.
        """
        return step.pure and not any(
            is_from_outside(build.implementation) or isinstance(op, SimTensorNode)
            for build in step.builder.op_builds.values()
            for op in build.ops
        )

    def output_specs(self) -> list[tuple[tf.TensorSpec, bool]]:
        """Return what a step puts out; see `Step.output_specs`."""
        return self._step.output_specs()

    def start(
        self,
        constants: dict[str, tf.Tensor | np.ndarray],
        seed: int | tf.Tensor = 0,
        stream: int | tf.Tensor = 0,
    ) -> None:
        """
        Begin a trace; see `Step.start`.

        What builders prepare is made anew in every step, as a part of it: outside of a
        loop, each of these small constants would be one more variable of the loop.
        """
        self._constants = {k: tf.convert_to_tensor(v) for k, v in constants.items()}
        self._seeds = tf.cast(seed, tf.uint32), tf.cast(stream, tf.uint32)
        # builders draw the same numbers every time
        self._rng_state = self._step.config.rng.get_state()

    def __call__(
        self,
        carried: Sequence[tf.Tensor],
        feeds: Sequence[Callable[[], tf.Tensor]],
        called: tf.Tensor | None = None,
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Execute one step; see `Step`."""
        assert called is None, "Python is called once only"
        fed = [feed() for feed in feeds]
        inputs = [*carried, *fed, *self._constants.values()]
        after, values = self._compute(inputs)
        outputs = [*after, *values]
        graph = tf.compat.v1.get_default_graph()
        with graph.gradient_override_map({"IdentityN": self._gradient_name}):
            # (the gradient of a loop goes by the names of gradients)
            computed = tf.identity_n([*outputs, *inputs])
        # what a step leaves as it is remains the same tensor, which loops need not keep
        known = {id(value) for value in carried}
        after = [old if id(old) in known else new for old, new in zip(after, computed)]
        return after, computed[len(after) : len(outputs)]

    def _compute(
        self, inputs: Sequence[tf.Tensor]
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Execute one step, given state, feeds, and constants in a row."""
        step, n_carried = self._step, len(self.program.carried)
        end = n_carried + len(self.program.feeds)
        step.config.rng.set_state(self._rng_state)
        step.start(dict(zip(self._constants, inputs[end:])), *self._seeds)
        feeds = [partial(tf.identity, value) for value in inputs[n_carried:end]]
        return step(inputs[:n_carried], feeds)

    def gradient(
        self, op: tf.Operation, upstream: Sequence[tf.Tensor | None]
    ) -> list[tf.Tensor | None]:
        """
        Compute the gradient of one step.

        Parameters
        ----------
        op : tf.Operation
            The identity of outputs, and inputs, of the step.
        upstream : list of tf.Tensor or None
            The gradients with regard to what comes out of it.

        Returns
        -------
        gradients : list of tf.Tensor or None
            The gradients with regard to what goes into it: none for the outputs, as
            they are computed from the inputs.
        """
        program = self.program
        n_inputs = len(program.carried) + len(program.feeds) + len(self._constants)
        n_outputs = len(op.inputs) - n_inputs
        inputs = [tf.identity(value) for value in op.inputs[n_outputs:]]
        differentiable = [value for value in inputs if value.dtype.is_floating]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(differentiable)
            after, values = self._compute(inputs)
        known = [
            (output, gradient)
            for output, gradient in zip([*after, *values], upstream)
            if gradient is not None and output.dtype.is_floating
        ]
        outputs, gradients = zip(*known) if known else ((), ())
        found = tape.gradient(
            list(outputs), differentiable, output_gradients=list(gradients)
        )
        by_input = iter(found)
        return [None] * n_outputs + [
            next(by_input) if value.dtype.is_floating else None for value in inputs
        ]
