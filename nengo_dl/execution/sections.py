"""
Many steps, section by section (stage 10 of the pipeline).

In: a `Step` of a program with sections, and what is fed into a number of steps. Out:
the same as `run_steps` returns. Every section is a step of its own: of many items, if
all steps are computed at once, or else in a loop over the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from nengo_dl.execution.compiled_gradient import compiled_with_gradient
from nengo_dl.execution.histories import Histories
from nengo_dl.execution.parts import Part, make_parts
from nengo_dl.execution.places import place_of
from nengo_dl.execution.step import Step


class Given(NamedTuple):
    """
    What a section is computed from.

    Parameters
    ----------
    state : dict of {str: tf.Tensor}
        Carried arrays of the section before the first step.
    rows : dict of {str: (n_at_once, ...) tf.Tensor}
        Its inputs, over time.
    feeds : list of (minibatch_size, n_at_once, size) tf.Tensor
        What is fed in.
    n_steps : int or scalar tf.Tensor
        Number of steps.
    first : tf.Tensor
        The array that counts steps, before the first one.
    """

    state: dict[str, tf.Tensor]
    rows: dict[str, tf.Tensor]
    feeds: list[tf.Tensor]
    n_steps: int | tf.Tensor
    first: tf.Tensor


class Computed(NamedTuple):
    """
    What comes out of a section.

    Parameters
    ----------
    state : dict of {str: tf.Tensor}
        Its carried arrays after the last step.
    rows : dict of {str: (n_at_once, ...) tf.Tensor}
        What later sections read, over time.
    probed : list of tf.Tensor
        The values of its Probes, of all steps or of the last one.
    """

    state: dict[str, tf.Tensor]
    rows: dict[str, tf.Tensor]
    probed: list[tf.Tensor]


class LayerwiseSteps:
    """
    Many steps of a program, section by section.

    Parameters
    ----------
    step : Step
        One step of the program.
    n_at_once : int
        The number of steps that a section computes before the next one starts.
    is_differentiated : bool
        Whether gradients are needed.
    jit_compile : bool or "auto", optional
        What is compiled, see `Step`; by default, as the step says.

    Attributes
    ----------
    parts : list of Part
        The sections, whose steps have to be started like any other.
    compiles : bool
        Whether all sections are to be compiled as one program. Otherwise loops are
        compiled one by one, if they can be.
    """

    def __init__(
        self,
        step: Step,
        n_at_once: int,
        is_differentiated: bool = False,
        jit_compile: bool | str | None = None,
    ):
        self._step, self._n_at_once = step, n_at_once
        self._is_differentiated = is_differentiated
        self._program = step.program
        self._step_key = self._program.layout.places[self._program.model.step.base][0]
        self.parts = make_parts(step, n_at_once, is_differentiated, jit_compile)
        self.compiles = all(part.step.compiles for part in self.parts)
        self._constants: dict[str, Any] = {}
        self._seeds: tuple[tf.Tensor, ...] = ()
        self._rng_states: list[Any] = []

    def start(
        self,
        constants: dict[str, tf.Tensor | np.ndarray],
        seed: int | tf.Tensor = 0,
        stream: int | tf.Tensor = 0,
    ) -> None:
        """Begin a trace; see `Step.start`."""
        repeated = {key: self._repeated(key, c) for key, c in constants.items()}
        self._constants, self._rng_states = constants, []
        self._seeds = tf.cast(seed, tf.uint32), tf.cast(stream, tf.uint32)
        for part in self.parts:
            self._rng_states.append(part.step.config.rng.get_state())
            part.step.start(repeated if part.is_batch else constants, *self._seeds)

    def _repeated(self, key: str, value: Any) -> Any:
        """Return a constant for all items that sections have which are a batch."""
        if not self._program.layout.arrays[key].minibatched:
            return value
        repeats = (self._n_at_once, *(1,) * (len(value.shape) - 1))
        return (np.tile if isinstance(value, np.ndarray) else tf.tile)(value, repeats)

    def run(
        self,
        carried: Sequence[tf.Tensor],
        feeds: Sequence[tf.Tensor],
        n_steps: int | tf.Tensor,
        capacity: int,
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Simulate up to ``capacity`` steps; see `run_steps`."""
        program, length = self._program, self._n_at_once
        state = dict(zip(program.carried, carried))
        if capacity == length:
            state, values = self._run_block(state, feeds, n_steps)
            return [state[k] for k in program.carried], values
        n_blocks = -(-capacity // length)
        missing = n_blocks * length - capacity
        feeds = [tf.pad(feed, [[0, 0], [0, missing], [0, 0]]) for feed in feeds]
        specs = self._step.output_specs()
        buffers = [
            tf.TensorArray(
                spec.dtype, size=n_blocks, element_shape=(length, *spec.shape)
            )
            if keep
            else tf.zeros((1, *spec.shape), spec.dtype)
            for spec, keep in specs
        ]

        def body(j: tf.Tensor, carried: list, buffers: list) -> tuple:
            start = j * length
            parts = [
                tf.slice(feed, (0, start, 0), (feed.shape[0], length, feed.shape[2]))
                for feed in feeds
            ]
            state, values = self._run_block(
                dict(zip(program.carried, carried)),
                parts,
                tf.minimum(length, n_steps - start),
            )
            buffers = [
                buffer.write(j, value) if keep else value
                for buffer, value, (_, keep) in zip(buffers, values, specs)
            ]
            return j + 1, [state[k] for k in program.carried], buffers

        _, carried, buffers = tf.while_loop(
            lambda j, *_: j * length < n_steps,
            body,
            (tf.constant(0), list(carried), buffers),
            parallel_iterations=1,
        )
        outputs = [
            buffer.concat()[:capacity] if keep else buffer
            for buffer, (_, keep) in zip(buffers, specs)
        ]
        return list(carried), outputs

    def _run_block(
        self,
        state: dict[str, tf.Tensor],
        feeds: Sequence[tf.Tensor],
        n_steps: int | tf.Tensor,
    ) -> tuple[dict[str, tf.Tensor], list[tf.Tensor]]:
        """Run all sections, over as many steps as each computes at once."""
        state, first = dict(state), state[self._step_key]
        over_time: dict[str, tf.Tensor] = {}
        probed: dict = {}
        for part, rng_state in zip(self.parts, self._rng_states):
            given = Given(
                {key: state[key] for key in part.state},
                {key: over_time[key] for key in part.inputs},
                [feeds[j] for j in part.feeds],
                n_steps,
                first,
            )
            if part.is_batch:
                computed = self._run_batch(part, given)
            elif self.compiles or not part.step.compiles:
                computed = self._run_loop(part, given)
            else:
                computed = self._run_program(part, given, rng_state)
            state.update(computed.state)
            over_time.update(computed.rows)
            probed.update(zip(part.probes, computed.probed))
        return state, [probed[probe] for probe in self._program.probes]

    def _run_batch(self, part: Part, given: Given) -> Computed:
        """Compute all steps at once, as items of a larger minibatch."""
        length = self._n_at_once
        shapes = part.step.signals.base_shapes
        before = {k: tf.reshape(v, shapes[k]) for k, v in given.rows.items()}
        before[self._step_key] = given.first

        def as_items(feed: tf.Tensor) -> Callable[[], tf.Tensor]:
            shape = (part.step.signals.minibatch_size, feed.shape[2])
            return lambda: tf.reshape(tf.transpose(feed, (1, 0, 2)), shape)

        after, values = self._call(part, before, list(map(as_items, given.feeds)))
        rows = {
            key: tf.reshape(after[key], (length, -1, *shapes[key][1:]))
            for key in part.outputs
        }
        probed = []
        for (probe, keep), value in zip(part.probes.items(), values):
            place = place_of(self._program, self._program.probes[probe])
            if place.minibatched:
                value = tf.reshape(value, (length, *place.full_shape))
                probed.append(value if keep else value[given.n_steps - 1][None])
            else:  # a constant
                shape = (length if keep else 1, *place.full_shape)
                probed.append(tf.broadcast_to(value, shape))
        return Computed({}, rows, probed)

    def _run_loop(self, part: Part, given: Given) -> Computed:
        """Compute one step after the other."""
        length, n_steps = self._n_at_once, given.n_steps
        shapes = part.step.signals.base_shapes
        # (a gradient goes back to one row at a time, where slices had one to all rows)
        inputs = {key: _rows(value) for key, value in given.rows.items()}
        fed = [_rows(tf.transpose(feed, (1, 0, 2))) for feed in given.feeds]
        arrays = self._program.layout.arrays
        outputs = [
            (tf.TensorSpec(shapes[key], arrays[key].dtype), True)
            for key in part.outputs
        ]
        probed = [
            (spec, keep)
            for (spec, _), keep in zip(part.step.output_specs(), part.probes.values())
        ]
        histories = Histories(
            [*outputs, *probed], length, is_full=isinstance(n_steps, int)
        )

        def body(i: tf.Tensor, own: list, buffers: list) -> tuple:
            before = dict(zip(part.state, own))
            before.update((key, values.read(i)) for key, values in inputs.items())
            before[self._step_key] = given.first + i
            after, probed = self._call(
                part, before, [partial(values.read, i) for values in fed]
            )
            rows = [
                (after if at_end else before)[key]
                for key, at_end in part.outputs.items()
            ]
            buffers = histories.write(buffers, i, [*rows, *probed])
            return i + 1, [after[key] for key in part.state], buffers

        own = [given.state[key] for key in part.state]
        _, own, buffers = tf.while_loop(
            lambda i, *_: i < n_steps,
            body,
            (tf.constant(0), own, histories.start()),
            parallel_iterations=1,
            maximum_iterations=n_steps if isinstance(n_steps, int) else None,
        )
        values = histories.stacked(buffers)
        n_outputs = len(outputs)
        return Computed(
            dict(zip(part.state, own)),
            dict(zip(part.outputs, values[:n_outputs])),
            values[n_outputs:],
        )

    def _run_program(self, part: Part, given: Given, rng_state: Any) -> Computed:
        """Run a loop as an XLA program, through which gradients flow if needed."""
        if not self._is_differentiated:
            run = partial(self._run_loop, part)
            return tf.function(run, jit_compile=True, autograph=False)(given)
        used = part.step.arrays_of(list(part.step.builder.op_builds.values()))
        constants = {k: v for k, v in self._constants.items() if k in used}

        def loop(given: Given, constants: dict, seeds: tuple) -> Computed:
            rng = part.step.config.rng
            before = rng.get_state()
            rng.set_state(rng_state)  # builders draw the same numbers every time
            part.step.start(constants, *seeds)
            rng.set_state(before)
            return self._run_loop(part, given)

        return compiled_with_gradient(loop)(given, constants, self._seeds)

    def _call(
        self,
        part: Part,
        given: dict[str, tf.Tensor],
        feeds: Sequence[Callable[[], tf.Tensor]],
    ) -> tuple[dict[str, tf.Tensor], list[tf.Tensor]]:
        """Run the step of a section, on arrays by their keys."""
        keys, signals = part.step.program.carried, part.step.signals
        arrays = self._program.layout.arrays
        values = [
            given[key]
            if key in given
            else tf.zeros(signals.base_shapes[key], arrays[key].dtype)
            for key in keys
        ]
        new, outputs = part.step(values, feeds)
        return dict(zip(keys, new)), outputs


def _rows(values: tf.Tensor) -> tf.TensorArray:
    rows = tf.TensorArray(
        values.dtype, size=values.shape[0], element_shape=values.shape[1:]
    )
    return rows.unstack(values)
