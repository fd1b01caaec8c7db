"""
Steps that call Python, with a single compiled program and a single call for each.

In: a `Step` that is compiled in segments, and what is fed into a number of steps. Out:
the values after the last one, and what the steps put out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import tensorflow as tf

from nengo_dl.builder import OpBuilder
from nengo_dl.execution.step import Step
from nengo_dl.signals.packing import Packing

# Arrays of no more elements than this are handed from turn to turn as one vector.
MAX_PACKED = 4096


class Rotation:
    """
    A loop over steps that call Python, cut at the calls and not between the steps.

    A step begins with the functions of time, then come what precedes the other calls
    (the *head*), these calls with what is between them, and the rest (the *tail*):

    .. code-block:: text

       functions, head, calls, tail | functions, head, calls, tail | ...

    No Python is called from the calls of a step to the functions of the next one, nor
    from its tail to the next head. So the functions are called along with the last of
    the calls, and tail and head are one program, the *turn* from step to step:

    .. code-block:: text

       functions, turn | calls and functions, turn | calls and functions, turn | ...

    In the first turn there is no tail, and in the last one no head: what they compute
    is dropped.

    Parameters
    ----------
    step : Step
        The step, after `Step.start`, of which `possible` is true.
    feeds : list of (minibatch_size, capacity, size) tf.Tensor
        What is fed in.
    n_steps : scalar tf.Tensor
        Number of steps to simulate.
    called : (n,) bool tensor or None
        Which values come from functions, and not from ``feeds``; see `Step`.
    """

    def __init__(
        self,
        step: Step,
        feeds: Sequence[tf.Tensor],
        n_steps: int | tf.Tensor,
        called: tf.Tensor | None,
    ):
        self._step, self._feeds, self._called = step, feeds, called
        self._n_steps = tf.convert_to_tensor(n_steps)
        program = step.program
        self._head, self._calls, self._tail = _parts(step)
        calls = [build for _, segment, _ in self._calls for build in segment]
        by_head, by_calls = step.arrays_of(self._head), step.arrays_of(calls)
        at_end = step.arrays_of(self._tail) | step.probed_arrays()
        carried, shapes = set(program.carried), step.signals.base_shapes
        # keys of what goes from one turn to the calls, and from them to the next turn
        from_turn = carried | by_head & (by_calls | at_end)
        to_turn = carried | (by_head | by_calls) & at_end
        # ... of what passes by the calls, as one vector, and of the rest
        variable = [key for key in shapes if key not in program.unwritten]
        self._passed = [
            key
            for key in variable
            if key in (from_turn & to_turn) - by_calls
            and math.prod(shapes[key]) <= MAX_PACKED
        ]
        rest = [key for key in variable if key not in self._passed]
        self._from_turn = [key for key in rest if key in from_turn]
        self._to_turn = [key for key in rest if key in to_turn]
        self._packing = Packing(
            {key: shapes[key] for key in self._passed},
            {key: program.layout.arrays[key].dtype for key in self._passed},
        )
        self._turn = tf.function(self._traced_turn, jit_compile=True, autograph=False)

    @staticmethod
    def possible(step: Step) -> bool:
        """Return whether there is anything to gain for a step."""
        head, calls, tail = _parts(step)
        has_functions = bool(step.program.calls_functions)
        is_plain = not (step.adds_losses or step.program.restored)
        return is_plain and bool(head and calls and (tail or has_functions))

    def start(self, carried: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """
        Return the first values of the variables of the loop.

        Parameters
        ----------
        carried : sequence of tf.Tensor
            Values of ``program.carried`` before the first step.
        """
        step, program = self._step, self._step.program
        signals = step.signals
        values: dict[str, tf.Tensor] = dict(zip(program.carried, carried))
        signals.bases = {**step.constants, **values}
        self._first_step = signals.gather(program.model.step)
        functions = []
        if self._called is not None:
            functions = [step.function_values(self._first_step + 1, self._called)]
        for key in [*self._passed, *self._to_turn]:
            if key not in values:
                dtype = program.layout.arrays[key].dtype
                values[key] = tf.zeros(signals.base_shapes[key], dtype)
        packed, new_values, _ = self._turn(
            tf.constant(0),
            functions,
            functions,
            self._packing.pack([values[k] for k in self._passed]),
            [values[k] for k in self._to_turn],
        )
        return [*packed, *new_values, *functions]

    def end(self, variables: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Return the values of ``program.carried`` from the variables of the loop."""
        n = len(self._packing.sizes)
        values = dict(zip(self._passed, self._packing.unpack(variables[:n])))
        values.update(zip(self._from_turn, variables[n:]))
        return [values[key] for key in self._step.program.carried]

    def __call__(
        self, i: tf.Tensor, variables: Sequence[tf.Tensor]
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """
        Execute the calls of one step, and what is around them.

        Parameters
        ----------
        i : scalar tf.Tensor
            Number of steps before this one.
        variables : list of tf.Tensor
            The variables of the loop.

        Returns
        -------
        variables : list of tf.Tensor
            Their next values.
        outputs : list of tf.Tensor
            Values of the probed signals.
        """
        step, signals = self._step, self._step.signals
        n_packed = len(self._packing.sizes)
        packed, variables = list(variables[:n_packed]), variables[n_packed:]
        n = len(self._from_turn)
        functions = list(variables[n:])
        signals.bases = {**step.constants, **dict(zip(self._from_turn, variables))}
        self._begin(i, functions)
        following = None
        if self._called is not None:
            number = tf.where(i + 1 < self._n_steps, signals.step + 1, -1)
            following = step.following_functions(number, self._called)
        for is_compiled, segment, used_after in self._calls:
            if is_compiled:
                step.run_compiled(segment, used_after)
            else:
                is_last = segment is self._calls[-1][1]
                step.run(segment, following if is_last else None)
        following_values = [] if following is None else [following.value()]
        packed, values, outputs = self._turn(
            i + 1,
            functions,
            following_values,
            packed,
            [signals.bases[k] for k in self._to_turn],
        )
        return [*packed, *values, *following_values], outputs

    def _begin(self, i: tf.Tensor, functions: Sequence[tf.Tensor]) -> None:
        """Set what a step takes from outside."""
        step, signals = self._step, self._step.signals
        signals.losses = []
        signals.step = self._first_step + i + 1
        last = tf.shape(self._feeds[0])[1] - 1 if self._feeds else 0
        at = tf.clip_by_value(i, 0, last)
        signals.feeds = {
            feed: _column(values, at)
            for feed, values in zip(step.program.feeds, self._feeds)
        }
        if self._called is not None:
            signals.feeds.update(step.choose_functions(functions[0], self._called))

    def _traced_turn(
        self,
        i: tf.Tensor,
        functions: list[tf.Tensor],
        following: list[tf.Tensor],
        packed: list[tf.Tensor],
        values: list[tf.Tensor],
    ) -> tuple[list[tf.Tensor], list[tf.Tensor], list[tf.Tensor]]:
        """Finish step ``i`` (counted from 1), and begin the next one."""
        step, signals = self._step, self._step.signals
        outside = signals.bases, signals.dt
        step.begin_compiled(
            {
                **step.constants,
                **dict(zip(self._passed, self._packing.unpack(packed))),
                **dict(zip(self._to_turn, values)),
            },
            [*self._tail, *self._head],
        )
        before = dict(signals.bases)
        self._begin(i - 1, functions)
        step.run(self._tail)
        outputs = step.probed()
        self._keep(i > 0, before)
        before = dict(signals.bases)
        self._begin(i, following)
        step.run(self._head)
        self._keep(i < self._n_steps, before)
        packed = self._packing.pack([signals.bases[k] for k in self._passed])
        values = [signals.bases[key] for key in self._from_turn]
        signals.bases, signals.dt = outside
        return packed, values, outputs

    def _keep(self, is_wanted: tf.Tensor, before: dict[str, tf.Tensor]) -> None:
        """Drop the new values of what is carried, unless they are wanted."""
        bases = self._step.signals.bases
        for key in self._step.program.carried:
            if bases[key] is not before[key]:
                bases[key] = tf.where(is_wanted, bases[key], before[key])


def _parts(step: Step) -> tuple[list[OpBuilder], list, list[OpBuilder]]:
    """Return the head of a step, the segments of its calls, and the tail."""
    segments = [
        (*segment, keys) for segment, keys in zip(step.segments, step.used_after)
    ]
    head: list[OpBuilder] = []
    tail: list[OpBuilder] = []
    if segments and all(map(step.is_compiled, segments[0][1])):
        head = segments.pop(0)[1]
    if segments and all(map(step.is_compiled, segments[-1][1])):
        tail = segments.pop()[1]
    return head, segments, tail


def _column(values: tf.Tensor, at: tf.Tensor) -> Callable[[], tf.Tensor]:
    return lambda: tf.gather(values, at, axis=1)
