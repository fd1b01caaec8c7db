"""
Many steps, as a part of the function that is being traced (stage 10 of the pipeline).

In: a `Step`, and what is fed into a number of steps. Out: the values after the last
one, and what the steps put out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import tensorflow as tf

from nengo_dl.execution.histories import Histories
from nengo_dl.execution.inline import inline_while_loop
from nengo_dl.execution.lengths import Lengths
from nengo_dl.execution.places import place_of
from nengo_dl.execution.recomputation import RecomputedStep
from nengo_dl.execution.rotation import Rotation
from nengo_dl.execution.step import Step


def run_steps(
    step: Step | RecomputedStep,
    carried: list[tf.Tensor],
    feeds: Sequence[tf.Tensor],
    n_steps: int | tf.Tensor,
    capacity: int | tf.Tensor,
    unroll: int = 1,
    called: tf.Tensor | None = None,
    inline: bool = False,
    lengths: Lengths | None = None,
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """
    Simulate up to ``capacity`` steps.

    Parameters
    ----------
    step : Step or RecomputedStep
        The step, after `Step.start`. Gradients of steps that are computed again for
        them need no list of every value that is computed in a step.
    carried : list of tf.Tensor
        Values of the carried base arrays.
    feeds : list of (minibatch_size, capacity, size) tf.Tensor
        What is fed in.
    n_steps : int or scalar tf.Tensor
        Number of steps to simulate. XLA needs an int to compile gradients.
    capacity : int or scalar tf.Tensor
        The largest possible ``n_steps``; a multiple of ``unroll``.
    unroll : int
        Number of steps per iteration of the loop.
    called : (n,) bool tensor, optional
        Which values come from functions that are called within the steps, and not from
        ``feeds``; see `Step`.
    inline : bool
        Whether the thread that runs the loop also runs the steps, which is faster if
        they call Python; see `inline_while_loop`.
    lengths : Lengths, optional
        How many of the steps count for each item; by default all of them.

    Returns
    -------
    carried : list of tf.Tensor
        Values after the last step (of each item, with ``lengths``).
    outputs : list of tf.Tensor
        For every output of the step, the values of all steps (``(capacity, ...)``,
        undefined from ``n_steps`` on), or of the last step (``(1, ...)``) if it keeps
        no history.
    """
    if lengths is None and isinstance(capacity, int) and capacity == unroll:
        return _unrolled(step, carried, feeds, capacity, called)
    keeps = [keep for _, keep in step.output_specs()]
    # of which every item has a last value
    are_last = [
        not keep and place_of(step.program, signal).minibatched
        for keep, signal in zip(keeps, step.program.probes.values())
    ]
    are_last += [False] * (len(keeps) - len(are_last))
    is_known = isinstance(n_steps, int)
    histories = Histories(step.output_specs(), capacity, is_full=is_known)
    buffers = histories.start()

    rotation = None
    is_plain = inline and unroll == 1 and lengths is None
    if is_plain and isinstance(step, Step) and Rotation.possible(step):
        rotation = Rotation(step, feeds, n_steps, called)

    def body(i: tf.Tensor, carried: list, buffers: list) -> tuple:
        if rotation is not None:
            carried, values = rotation(i, carried)
            return i + 1, carried, histories.write(buffers, i, values)
        for _ in range(unroll):
            inputs = [_at_step(feed, i, inline) for feed in feeds]
            before = carried
            carried, values = step(carried, inputs, called)
            if lengths is not None:
                carried = lengths.up_to_date(step.program, carried, before, i)
                values = [
                    lengths.choose(value, buffer, i) if is_last else value
                    for is_last, buffer, value in zip(are_last, buffers, values)
                ]
            buffers = histories.write(buffers, i, values)
            i = i + 1
        return i, carried, buffers

    if inline:
        if rotation is not None:
            carried = rotation.start(carried)
        carried, buffers = _inline_loop(body, n_steps, carried, buffers)
        if rotation is not None:
            carried = rotation.end(carried)
        outputs = histories.stacked(buffers)
        for output, (spec, keep) in zip(outputs, step.output_specs()):
            output.set_shape((capacity if keep else 1, *spec.shape))
        return carried, outputs
    loop_vars = (tf.constant(0), list(carried), buffers)
    # gradients need a number of iterations that is known, simulations do not
    n_iterations = capacity // unroll if is_known else None
    _, carried, buffers = tf.while_loop(
        lambda i, *_: i < n_steps,
        body,
        loop_vars,
        parallel_iterations=1,
        maximum_iterations=n_iterations,
    )
    return carried, histories.stacked(buffers)


def _at_step(
    feed: tf.Tensor, i: int | tf.Tensor, inline: bool = False
) -> Callable[[], tf.Tensor]:
    """Return a function that returns the values of one step."""
    if inline:
        # done by the segment that needs them; XLA would compile `feed[:, i]` again for
        # every number that is an argument of the segment
        return partial(tf.gather, feed, i, axis=1)
    values = tf.squeeze(feed, 1) if feed.shape[1] == 1 else feed[:, i]
    return lambda: values


def _inline_loop(
    body: Callable[..., tuple],
    n_steps: int | tf.Tensor,
    carried: Sequence[tf.Tensor],
    buffers: Sequence[Any],
) -> tuple[list[tf.Tensor], list[Any]]:
    """Return the last values of the variables of a loop; see `run_steps`."""
    n_carried = len(carried)

    def flat(values: Sequence[Any]) -> list[tf.Tensor]:
        return [v.flow if isinstance(v, tf.TensorArray) else v for v in values]

    def like_buffers(values: Sequence[tf.Tensor]) -> list[Any]:
        return [
            tf.TensorArray(old.dtype, flow=value)
            if isinstance(old, tf.TensorArray)
            else value
            for old, value in zip(buffers, values)
        ]

    def flat_body(i: tf.Tensor, n: tf.Tensor, *values: tf.Tensor) -> list[tf.Tensor]:
        old = list(values[:n_carried]), like_buffers(values[n_carried:])
        i, carried, buffers = body(i, *old)
        return [i, n, *carried, *flat(buffers)]

    loop_vars = [tf.constant(0), tf.convert_to_tensor(n_steps), *carried]
    values = inline_while_loop(
        lambda i, n, *_: i < n, flat_body, [*loop_vars, *flat(buffers)]
    )[2:]
    return values[:n_carried], like_buffers(values[n_carried:])


def _unrolled(
    step: Step | RecomputedStep,
    carried: list[tf.Tensor],
    feeds: Sequence[tf.Tensor],
    n_steps: int,
    called: tf.Tensor | None,
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Simulate exactly ``n_steps`` steps without a loop; see `run_steps`."""
    values = []
    for i in range(n_steps):
        inputs = [_at_step(feed, i) for feed in feeds]
        carried, outputs = step(carried, inputs, called)
        values.append(outputs)
    outputs = [
        tf.stack(history) if keep and n_steps > 1 else tf.expand_dims(history[-1], 0)
        for (_, keep), history in zip(step.output_specs(), zip(*values))
    ]
    return carried, outputs
