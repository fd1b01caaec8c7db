"""
Steps that call Python, with a single compiled program and a single call for each.

In: a `Step` that is compiled in segments, and what is fed into a number of steps. Out:
the values after the last one, and what the steps put out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from nengo_dl.builder import OpBuilder, is_from_outside
from nengo_dl.execution.step import Step
from nengo_dl.op_builders import ItemwiseCalls
from nengo_dl.signals.packing import Packing

# Key of the values of the functions of time, among those of arrays.
_FUNCTIONS = ("functions",)
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

    The turn also writes what the last call returned, and reads what the first one
    takes. In the first turn there is no tail, and in the last one no head: what they
    compute is dropped.

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
        self._head, self._segments, self._tail = _parts(step)
        self._following = None if called is None else step.following_functions()
        calls = [build for _, segment, _ in self._segments for build in segment]
        # the first and the last calls, unless they do more than that
        self._first, self._last = _only_calls(calls[0]), _only_calls(calls[-1])
        # ... alone, they use nothing but what the turn gives and takes
        self._is_alone = self._first is not None and len(calls) == 1
        self._choose_arrays(calls)
        self._turn = tf.function(self._traced_turn, jit_compile=True, autograph=False)

    def _choose_arrays(self, calls: list[OpBuilder]) -> None:
        """Choose which arrays go from where to where."""
        step, program = self._step, self._step.program
        by_calls = set() if self._is_alone else step.arrays_of(calls)
        n_before = len(calls) - (self._last is not None)
        before_last = step.arrays_of(calls[:n_before])
        by_head, at_end = step.arrays_of(self._head), step.probed_arrays()
        at_end |= step.arrays_of([*calls[n_before:], *self._tail])
        carried, shapes = set(program.carried), step.signals.base_shapes
        # keys of what goes from one turn to the calls, and from them to the next turn
        from_turn = carried | by_head & (by_calls | at_end)
        to_turn = carried | (by_head | before_last) & at_end
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
        passed = {key: shapes[key] for key in self._passed}
        dtypes = {key: program.layout.arrays[key].dtype for key in self._passed}
        if self._following is not None:
            passed[_FUNCTIONS] = self._following.shape
            dtypes[_FUNCTIONS] = self._following.dtype.name
        self._packing = Packing(passed, dtypes)

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
        values: dict[Any, tf.Tensor] = dict(zip(program.carried, carried))
        signals.bases = {**step.constants, **values}
        self._first_step = signals.gather(program.model.step)
        for key in [*self._passed, *self._to_turn]:
            if key not in values:
                dtype = program.layout.arrays[key].dtype
                values[key] = tf.zeros(signals.base_shapes[key], dtype)
        functions = None
        if self._following is not None:
            functions = step.function_values(self._first_step + 1, self._called)
            values[_FUNCTIONS] = functions
        returned = [] if functions is None else [functions]
        if self._last is not None:
            returned = self._last.returned(signals, self._following, functions)
        *variables, _ = self._turn(
            tf.constant(-1),
            self._packing.pack([values[k] for k in self._packing.keys]),
            [values[k] for k in self._to_turn],
            returned,
        )
        return tf.nest.flatten(variables)

    def end(self, variables: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Return the values of ``program.carried`` from the variables of the loop."""
        packed, from_turn, _ = self._variables(variables)
        values = dict(zip(self._packing.keys, self._packing.unpack(packed)))
        values.update(zip(self._from_turn, from_turn))
        return [values[key] for key in self._step.program.carried]

    def _variables(self, variables: Sequence[tf.Tensor]) -> tuple[list, list, list]:
        """Return what is packed, what is not, and what the first call takes."""
        n = len(self._packing.sizes)
        m = n + len(self._from_turn)
        return list(variables[:n]), list(variables[n:m]), list(variables[m:])

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
        packed, values, (numbers, *read) = self._variables(variables)
        signals.bases = {**step.constants, **dict(zip(self._from_turn, values))}
        if not self._is_alone:
            passed = dict(zip(self._packing.keys, self._packing.unpack(packed)))
            self._begin(i, passed.get(_FUNCTIONS))
        returned = self._call(numbers, read)
        *variables, outputs = self._turn(
            i, packed, [signals.bases[k] for k in self._to_turn], returned
        )
        return tf.nest.flatten(variables), outputs

    def _call(self, numbers: tf.Tensor, read: list[tf.Tensor]) -> list[tf.Tensor]:
        """Execute the calls, and return what the turn takes from the last of them."""
        step, signals = self._step, self._step.signals
        returned = []
        for is_compiled, segment, used_after in self._segments:
            if is_compiled:
                step.run_compiled(segment, used_after)
                continue
            for build in segment:
                calls = _only_calls(build)
                if calls is None or calls not in (self._first, self._last):
                    step.run([build])
                    continue
                args = read if calls is self._first else calls.read(signals)
                if calls is self._last:
                    returned = calls.call(signals, numbers, args, self._following)
                else:
                    calls.write(signals, calls.call(signals, numbers, args))
        if self._last is None and self._following is not None:
            returned = [self._following(numbers[1:], signals.errors)]
        return returned

    def _begin(self, i: tf.Tensor, functions: tf.Tensor | None) -> None:
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
        if functions is not None and self._called is not None:
            signals.feeds.update(step.choose_functions(functions, self._called))

    def _traced_turn(
        self,
        i: tf.Tensor,
        packed: list[tf.Tensor],
        values: list[tf.Tensor],
        returned: list[tf.Tensor],
    ) -> tuple[list[tf.Tensor], list[tf.Tensor], list[tf.Tensor], list[tf.Tensor]]:
        """Finish step ``i`` (counted from 0), and begin the next one."""
        step, signals = self._step, self._step.signals
        outside = signals.bases, signals.dt
        passed = dict(zip(self._packing.keys, self._packing.unpack(packed)))
        functions = passed.pop(_FUNCTIONS, None)
        step.begin_compiled(
            {**step.constants, **passed, **dict(zip(self._to_turn, values))},
            [*self._tail, *self._head],
        )
        before = dict(signals.bases)
        self._begin(i, functions)
        if self._last is not None:
            _, functions = self._last.write(signals, returned, self._following)
        elif returned:
            (functions,) = returned
        step.run(self._tail)
        outputs = step.probed()
        self._keep(i >= 0, before)
        before = dict(signals.bases)
        self._begin(i + 1, functions)
        step.run(self._head)
        self._keep(i + 1 < self._n_steps, before)
        numbers = [signals.step, tf.where(i + 2 < self._n_steps, signals.step + 1, -1)]
        if self._called is not None:
            numbers += tf.unstack(tf.cast(self._called, tf.int32))
        taken = [tf.stack(numbers)]
        if self._first is not None:
            taken += self._first.read(signals)
        passed = {**signals.bases, _FUNCTIONS: functions}
        packed = self._packing.pack([passed[key] for key in self._packing.keys])
        values = [signals.bases[key] for key in self._from_turn]
        signals.bases, signals.dt = outside
        return packed, values, taken, outputs

    def _keep(self, is_wanted: tf.Tensor, before: dict[str, tf.Tensor]) -> None:
        """Drop the new values of what is carried, unless they are wanted."""
        bases = self._step.signals.bases
        for key in self._step.program.carried:
            if bases[key] is not before[key]:
                bases[key] = tf.where(is_wanted, bases[key], before[key])


def _only_calls(build: OpBuilder) -> ItemwiseCalls | None:
    """Return the calls that a group consists of; None if it does anything else."""
    implementation = build.implementation
    return None if is_from_outside(implementation) else implementation.calls


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
