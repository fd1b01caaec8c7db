"""
Run the step many times (stage 10 of the pipeline).

In: a `Step`. Out: `Engine`, the compiled functions that simulate blocks of steps.

A block has a capacity: the size of the buffers for what is fed in and what is probed.
How many steps of it are simulated is an argument of the function, so that one compiled
function serves any number of steps. A block is a function of values: what it started
from stays as it was, until the caller decides to keep the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import numpy as np
import tensorflow as tf

from nengo_dl.execution.inline import InlineFunction, resources_are_here
from nengo_dl.execution.loop import run_steps
from nengo_dl.execution.places import place_of
from nengo_dl.execution.sections import LayerwiseSteps
from nengo_dl.execution.step import Step
from nengo_dl.execution.variables import Variables
from nengo_dl.graph.section_choice import steps_at_once
from nengo_dl.utils import Stopwatch

# Buffers of one block take up to so many bytes ...
BLOCK_BYTES = 2**26
# ... and hold no more steps than this.
MAX_BLOCK_STEPS = 1024
# A few steps are simulated in a full-size block, which needs no compilation of its own,
# if the buffers of the block are not larger than this (in bytes).
SMALL_BLOCK_BYTES = 2**18
# A run of fewer steps is computed step by step, and not section by section.
MIN_LAYERWISE_STEPS = 16


class Engine:
    """
    Compiled functions of a step, and the loop over blocks.

    Parameters
    ----------
    step : Step
        The step in inference mode.
    variables : Variables
        Whose constants the functions use, and whose state they take and return.
    start : callable
        Starts whatever is outside of a step, of the steps that are made later.
    times : Stopwatch, optional
        Measures the stages ``trace`` and ``compile``, which is the first call of each
        compiled function.

    Attributes
    ----------
    block_steps : int
        Number of steps in a full-size block.
    layerwise : dict of {int: LayerwiseSteps}
        What runs blocks section by section, by the number of steps at once, if the
        program has sections.

    Notes
    -----
    Blocks that run step by step are multiples of ``unroll`` steps. That is also the
    number of steps per iteration of the loop, unless it is compiled: XLA takes long to
    compile large loop bodies, and they run slower than small ones. Without
    ``use_loop``, a block is ``unroll`` steps.
    """

    def __init__(
        self,
        step: Step,
        variables: Variables,
        start: Callable[[Step], None],
        times: Stopwatch | None = None,
    ):
        settings = step.program.settings
        self._start = start
        self._times = Stopwatch() if times is None else times
        self.step = step
        self._variables = variables
        self._jit_compile = step.compiles
        self._unroll = unroll = settings.unroll
        compiles_loop = step.compiles and settings.use_loop
        self._unroll_body = 1 if compiles_loop else unroll
        # without XLA between them, operations of a step may well run in parallel
        self._inlines_loop = (
            step.config.cpu_only and bool(step.jit_compile) and not step.pure
        )
        # by capacity, and whether functions of time are called in the steps
        self._functions: dict[tuple, tf.types.experimental.ConcreteFunction] = {}
        self._inline_functions: dict[tuple, InlineFunction | None] = {}
        self._ran: set[tuple] = set()
        self._arguments: dict[int | tuple[bool, ...], tf.Tensor] = {}
        self._constant_feeds: dict[int, tuple] = {}
        self._feed_sizes = [feed.signal.size for feed in step.program.feeds]
        self.block_steps = unroll
        if settings.use_loop:
            steps = min(MAX_BLOCK_STEPS, BLOCK_BYTES // max(1, self.bytes_per_step()))
            self.block_steps *= max(2, steps // unroll)
        self.layerwise: dict[int, LayerwiseSteps] = {}
        self._max_at_once = 0
        program = step.program
        if step.has_sections and self.block_steps >= MIN_LAYERWISE_STEPS:
            self._max_at_once = steps_at_once(program.sections, program.settings)
        full_bytes = self.block_steps * self.bytes_per_step()
        self._has_small_blocks = full_bytes <= SMALL_BLOCK_BYTES

    def bytes_per_step(self) -> int:
        """Return the size of what is fed in and probed in one step."""
        program = self.step.program
        n_floats = program.settings.minibatch_size * sum(self._feed_sizes)
        for probe, signal in program.probes.items():
            if program.keeps_history(probe):
                n_floats += math.prod(place_of(program, signal).full_shape)
        return n_floats * self.step.signals.dtype.size

    def capacity(self, n_steps: int) -> int:
        """
        Return the capacity of the block that simulates ``n_steps`` steps best.

        If the buffers of a full-size block are large, it is the next of few smaller
        sizes (every one of them has to be compiled). The sections of a program compute
        all steps of a block, whether they are needed or not: there, the next of more
        sizes.
        """
        is_short = self._max_at_once > 0 and n_steps < MIN_LAYERWISE_STEPS
        if MIN_LAYERWISE_STEPS <= n_steps <= self._max_at_once:
            unit = 2 ** ((n_steps - 1).bit_length() - 3)
            return min(unit * math.ceil(n_steps / unit), self.block_steps)
        if self._has_small_blocks and not is_short:
            # without XLA, a loop takes longer than the single step in it
            is_single = n_steps <= self._unroll and not self._jit_compile
            return self._unroll if is_single else self.block_steps
        iterations = max(1, math.ceil(n_steps / self._unroll))
        capacity = self._unroll * 2 ** math.ceil(math.log2(iterations))
        return min(capacity, self.block_steps)

    def run_block(
        self,
        state: list[tf.Tensor],
        feeds: Sequence[np.ndarray | tf.Tensor],
        n_steps: int,
        called: np.ndarray | None = None,
    ) -> tuple[list[tf.Tensor], list[np.ndarray]]:
        """
        Simulate one block.

        Parameters
        ----------
        state : list of tf.Tensor
            The state, as `Variables.packed_state` returns it.
        feeds : list of (minibatch_size, capacity(n_steps), size) array or tensor
            What is fed in. Arrays that are read-only are never changed.
        n_steps : int
            Number of steps, at most ``block_steps``.
        called : (n,) array of bool, optional
            Which values come from functions that are called in the steps, if any do.

        Returns
        -------
        state : list of tf.Tensor
            Values after the last step.
        outputs : list of array
            For every probe, ``(n_steps, ...)`` values, or ``(1, ...)`` if it keeps no
            history.
        """
        key = self.capacity(n_steps), called is not None
        is_first = key not in self._ran
        self._ran.add(key)
        feeds = [self._feed_tensor(i, feed) for i, feed in enumerate(feeds)]
        n = self._argument(n_steps)
        which = None if called is None else self._argument(tuple(called.tolist()))
        with self.step.errors.unwrap():
            inline = self._inline_function(*key)
            with self._times.measure("compile") if is_first else nullcontext():
                if inline is not None:
                    flat = [*state, *feeds, n, *([] if which is None else [which])]
                    values = inline(flat)
                    state, outputs = values[: len(state)], values[len(state) :]
                else:
                    state, outputs = self.function(*key)(state, feeds, n, which)
                # reading the values waits for the functions, and raises their errors
                n_probes = len(self.step.program.probes)
                outputs = [output.numpy() for output in outputs[:n_probes]]
        return state, [output[:n_steps] for output in outputs]

    def run(
        self,
        state: list[tf.Tensor],
        feeds: Sequence[tf.Tensor],
        n_steps: int | tf.Tensor,
        called: tf.Tensor | None = None,
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """
        Simulate any number of steps, as part of a function that is being traced.

        Parameters
        ----------
        state : list of tf.Tensor
            The state, packed.
        feeds : list of (minibatch_size, n_steps, size) tf.Tensor
            What is fed in.
        n_steps : int or scalar tf.Tensor
            Number of steps.
        called : (n,) bool tensor, optional
            Which values come from functions, if the program calls any in the step.

        Returns
        -------
        state : list of tf.Tensor
            Values after the last step.
        outputs : list of tf.Tensor
            For every output of the step, ``(n_steps, ...)`` values, or ``(1, ...)`` if
            it keeps no history.
        """
        is_short = isinstance(n_steps, int) and n_steps <= self.block_steps
        capacity = self.capacity(n_steps) if is_short else self.block_steps
        n_blocks = 1 if is_short else -(-n_steps // capacity)
        missing = n_blocks * capacity - n_steps
        feeds = [tf.pad(feed, [[0, 0], [0, missing], [0, 0]]) for feed in feeds]
        function = self.function(capacity, called is not None)
        if is_short:
            state, outputs = function(state, feeds, tf.constant(n_steps), called)
            return state, [output[:n_steps] for output in outputs]
        specs = function.structured_outputs[1]
        keeps = [keep for _, keep in self.step.output_specs()]

        def body(i: tf.Tensor, state: list, buffers: list) -> tuple:
            start = i * capacity
            parts = [feed[:, start : start + capacity] for feed in feeds]
            n = tf.minimum(capacity, n_steps - start)
            state, outputs = function(state, parts, n, called)
            buffers = [
                buffer.write(i, value) if keep else value
                for buffer, value, keep in zip(buffers, outputs, keeps)
            ]
            return i + 1, state, buffers

        buffers = [
            tf.TensorArray(spec.dtype, size=n_blocks, element_shape=spec.shape)
            if keep
            else tf.zeros(spec.shape, spec.dtype)
            for spec, keep in zip(specs, keeps)
        ]
        _, state, buffers = tf.while_loop(
            lambda i, *_: i < n_blocks, body, (tf.constant(0), state, buffers)
        )
        outputs = [
            buffer.concat()[:n_steps] if keep else buffer
            for buffer, keep in zip(buffers, keeps)
        ]
        return state, outputs

    def calls_within(self, capacity: int) -> bool:
        """
        Return whether functions of time are called in the steps of a block.

        They come first in a step: before a single one, they are called ahead of the
        block, which takes no operation of TensorFlow.

        Parameters
        ----------
        capacity : int
            The capacity of the block.
        """
        return self.step.program.calls_functions and capacity > 1

    def has_function(self, n_steps: int) -> bool:
        """Return whether the function that `run_block` needs has been traced."""
        return self._key(n_steps) in self._functions

    def compiles(self, n_steps: int) -> bool:
        """Return whether `run_block` is going to compile before it runs."""
        key = self._key(n_steps)
        is_new = bool(self._jit_compile) and key not in self._ran
        return is_new or key not in self._functions

    def function(
        self, capacity: int, calls: bool = False
    ) -> tf.types.experimental.ConcreteFunction:
        """
        Return the compiled function for blocks of a capacity.

        Parameters
        ----------
        capacity : int
            The capacity.
        calls : bool
            Whether functions of time are called in the steps.
        """
        key = capacity, calls
        if key not in self._functions:
            with self._times.measure("trace"):
                function = self._trace(*key)
                if self._inlines_loop and not resources_are_here(function):
                    # TensorFlow could not place the loop, which uses another device
                    self._inlines_loop = False
                    function = self._trace(*key)
            self._functions[key] = function
        return self._functions[key]

    def _key(self, n_steps: int) -> tuple[int, bool]:
        capacity = self.capacity(n_steps)
        return capacity, self.calls_within(capacity)

    def _argument(self, value: int | tuple[bool, ...]) -> tf.Tensor:
        """Return a tensor of a value that is likely to be needed again."""
        if value not in self._arguments:
            dtype = tf.bool if isinstance(value, tuple) else tf.int32
            self._arguments[value] = tf.constant(value, dtype)
        return self._arguments[value]

    def _feed_tensor(self, i: int, feed: np.ndarray | tf.Tensor) -> tf.Tensor:
        """Return a feed as a tensor; of what is constant, the one made before."""
        # (`tf.is_tensor` takes as long as all of the rest)
        if not isinstance(feed, np.ndarray) or feed.flags.writeable:
            return tf.constant(feed)
        known, tensor = self._constant_feeds.get(i, (None, None))
        if known is not feed:
            tensor = tf.constant(feed)
            self._constant_feeds[i] = feed, tensor
        return tensor

    def _inline_function(self, capacity: int, calls: bool) -> InlineFunction | None:
        """Return the function for blocks of a capacity, if it can run inline."""
        key = capacity, calls
        if key not in self._inline_functions:
            function = self.function(*key)
            # Keras layers may have their weights on another device
            can = self.step.config.cpu_only and resources_are_here(function)
            self._inline_functions[key] = InlineFunction(function) if can else None
        return self._inline_functions[key]

    def _layerwise_steps(self, capacity: int) -> LayerwiseSteps | None:
        """Return what runs blocks of a capacity section by section, if that is done."""
        n_at_once = min(capacity, self._max_at_once)
        if capacity < MIN_LAYERWISE_STEPS or n_at_once == 0:
            return None
        if n_at_once not in self.layerwise:
            self.layerwise[n_at_once] = layerwise = LayerwiseSteps(self.step, n_at_once)
            for part in layerwise.parts:
                self._start(part.step)
        return self.layerwise[n_at_once]

    def _trace(
        self, capacity: int, calls: bool
    ) -> tf.types.experimental.ConcreteFunction:
        step, packing = self.step, self._variables.packing
        layerwise = self._layerwise_steps(capacity)
        compiles = self._jit_compile if layerwise is None else layerwise.compiles

        def block(
            state: list[tf.Tensor],
            feeds: list[tf.Tensor],
            n_steps: tf.Tensor,
            called: tf.Tensor | None,
        ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
            constants, seed = self._variables.constants(), self._variables.seed
            if layerwise is not None:
                layerwise.start(constants, seed)
                carried, outputs = layerwise.run(
                    packing.unpack(state), feeds, n_steps, capacity
                )
                return packing.pack(carried), outputs
            step.start(constants, seed)
            carried, outputs = run_steps(
                step,
                packing.unpack(state),
                feeds,
                n_steps,
                capacity,
                self._unroll_body,
                called,
                inline=self._inlines_loop,
            )
            return packing.pack(carried), outputs

        state_specs = [
            tf.TensorSpec((size,), dtype)
            for size, dtype in zip(packing.sizes, packing.dtypes)
        ]
        batch = step.program.settings.minibatch_size
        feed_specs = [
            tf.TensorSpec((batch, capacity, size), step.signals.dtype)
            for size in self._feed_sizes
        ]
        program = step.program
        called_spec = tf.TensorSpec((len(program.function_feeds),), tf.bool)
        function = tf.function(block, jit_compile=compiles or None, autograph=False)
        if compiles and step.config.cpu_only:
            # a function that calls the compiled one starts faster than that itself
            compiled = function
            function = tf.function(lambda *args: compiled(*args), autograph=False)
        return function.get_concrete_function(
            state_specs,
            feed_specs,
            tf.TensorSpec((), tf.int32),
            called_spec if calls else None,
        )
