"""
The simulation step as a function of tensors (stage 9 of the pipeline).

In: a `Program` and the builders of its groups. Out: a function from the values of the
carried base arrays, and what is fed in, to their values one step later, and the values
of the probed signals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from itertools import groupby

import numpy as np
import tensorflow as tf
from nengo.builder.signal import Signal

from nengo_dl.builder import BuildConfig, Builder, OpBuilder, is_from_outside
from nengo_dl.execution.places import place_of, probe_specs
from nengo_dl.graph.program import Program
from nengo_dl.op_builders import FollowingCall
from nengo_dl.signals import SignalDict, TensorSignal
from nengo_dl.utils import ErrorBox, xla_compiles

# Segments of fewer groups are not worth compiling: a call of a compiled function takes
# about as long as the few operations of a group.
MIN_SEGMENT = 2


class Step:
    """
    One step of a program.

    Parameters
    ----------
    program : Program
        What is executed.
    config : BuildConfig
        Passed on to the builders.
    errors : ErrorBox
        Where Python functions leave their exceptions.
    functions : callable, optional
        Maps the number of a step (an int), and which of ``program.function_feeds`` are
        called (a list), to the values of all of them, a ``(minibatch_size, n)`` array.
    jit_compile : bool or "auto"
        Whether to compile the groups between those that cannot be compiled (because
        they call Python, or with "auto" because TensorFlow itself is faster), each run
        of them as a program of its own.

    Attributes
    ----------
    errors : ErrorBox
        Where Python functions leave their exceptions.
    python_builds : list of OpBuilder
        The groups that call Python.
    pure : bool
        Whether no group of the program calls Python.
    compiles : bool
        Whether the whole step is to be compiled.
    adds_losses : bool
        Whether groups add to the loss in training.
    segments : list of (bool, list of OpBuilder)
        The groups in their order: which of them are a program of their own.
    used_after : list of set of str
        Keys of the arrays that are needed after each segment.
    constants : dict of {str: tf.Tensor}
        Values of the arrays that no operator writes; after `start`.
    """

    def __init__(
        self,
        program: Program,
        config: BuildConfig,
        errors: ErrorBox,
        functions: Callable[[int, Sequence[int]], np.ndarray] | None = None,
        jit_compile: bool | str = False,
    ):
        self.program = program
        self.config = config
        self.errors = errors
        self._functions = functions
        self.builder = Builder(program.plan)
        self.jit_compile = jit_compile
        self.signals = self._place_signals()
        builds = list(self.builder.op_builds.values())
        self.python_builds = [build for build in builds if not build.pure]
        self.pure = not self.python_builds
        self._trials: dict[OpBuilder, bool] = {}
        self.adds_losses = any(build.adds_losses for build in builds)
        segments = [(c, list(g)) for c, g in groupby(builds, key=self.is_compiled)]
        self.compiles = all(is_compiled for is_compiled, _ in segments)
        self.segments = [
            (is_compiled and not self.compiles and len(segment) >= MIN_SEGMENT, segment)
            for is_compiled, segment in segments
        ]
        self.used_after = self._find_used_after()

    def is_compiled(self, build: OpBuilder) -> bool:
        """Return whether a group is to be compiled."""
        if not (self.jit_compile and build.pure):
            return False
        is_worth_it = self.jit_compile is True or build.runs_faster_in_xla(
            self.config.cpu_only, self.program.settings.minibatch_size
        )
        return is_worth_it and self._can_compile(build)

    @property
    def has_sections(self) -> bool:
        """
        Whether the program has sections that can run one after the other.

        Parts that call Python may depend on each other unseen; what adds to the loss
        does so in every step.
        """
        return bool(self.program.sections) and self.pure and not self.adds_losses

    @cached_property
    def can_compile(self) -> bool:
        """Whether XLA can compile all groups, and reach all that they use."""
        return self.pure and all(
            map(self._can_compile, self.builder.op_builds.values())
        )

    def _can_compile(self, build: OpBuilder) -> bool:
        """
        Return whether XLA can compile a group that does not call Python.

        What comes with the package was made for XLA. Others are tried out: there are
        operations of TensorFlow that XLA does not know, or not for all arguments.
        """
        if build not in self._trials:
            outside = is_from_outside(build.implementation)
            self._trials[build] = not outside or self._try_to_compile(build)
        return self._trials[build]

    def _try_to_compile(self, build: OpBuilder) -> bool:
        layout, signals = self.program.layout, self.signals
        used = [signal.base for op in build.ops for signal in op.all_signals]
        arrays = [layout.arrays[layout.places[base][0]] for base in used]
        arrays = list(dict.fromkeys(arrays))

        def group(*values: tf.Tensor) -> list[tf.Tensor]:
            signals.bases = {array.key: v for array, v in zip(arrays, values)}
            signals.step, signals.losses = tf.constant(1), []
            self._start_trace()
            build.build_constants(signals, self.config)
            self._prepare([build])
            self.run([build])
            return [signals.bases[array.key] for array in arrays]

        size = signals.minibatch_size
        specs = [tf.TensorSpec(a.full_shape(size), a.dtype) for a in arrays]
        # builders draw the same numbers, whether there are trials or not
        rng_state = self.config.rng.get_state()
        try:
            with tf.init_scope():
                function = tf.function(group, jit_compile=True, autograph=False)
                return xla_compiles(function, specs)
        finally:
            self.config.rng.set_state(rng_state)

    def _place_signals(self) -> SignalDict:
        settings, layout = self.program.settings, self.program.layout
        signals = SignalDict(settings.dtype, settings.minibatch_size)
        signals.errors = self.errors
        signals.dt_val = self.program.dt
        for key, array in layout.arrays.items():
            signals.base_shapes[key] = array.full_shape(settings.minibatch_size)
        placed = dict.fromkeys(layout.places)
        for group in self.program.plan:
            placed.update(dict.fromkeys(s for op in group for s in op.all_signals))
        for signal in placed:
            signals.sig_map[signal] = place_of(self.program, signal)
        return signals

    def output_specs(self) -> list[tuple[tf.TensorSpec, bool]]:
        """Return what a step puts out, and whether all steps of it are kept."""
        specs = probe_specs(self.program)
        if self.adds_losses:
            specs.append((tf.TensorSpec((), self.signals.dtype), True))
        return specs

    def _find_used_after(self) -> list[set[str]]:
        """Return which base arrays are needed after each segment."""
        needed = {*self.program.carried, *self.probed_arrays()}
        used_after = []
        for _, segment in reversed(self.segments):
            used_after.append(set(needed))
            needed |= self.arrays_of(segment)
        return used_after[::-1]

    def arrays_of(self, builds: Sequence[OpBuilder]) -> set[str]:
        """Return the keys of the base arrays that some groups use."""
        places = self.program.layout.places
        ops = [op for build in builds for op in build.ops]
        return {places[s.base][0] for op in ops for s in op.all_signals}

    def probed_arrays(self) -> set[str]:
        """Return the keys of the base arrays that are probed."""
        places = self.program.layout.places
        return {places[s.base][0] for s in self.program.probes.values()}

    def start(
        self,
        constants: dict[str, tf.Tensor | np.ndarray],
        seed: int | tf.Tensor = 0,
        stream: int | tf.Tensor = 0,
    ) -> None:
        """
        Begin a trace: create what all steps of the traced function share.

        Parameters
        ----------
        constants : dict of {str: tf.Tensor or array}
            Values of the base arrays that no operator writes; arrays become part of
            compiled programs.
        seed, stream : int or scalar integer tf.Tensor
            What random numbers follow from, besides the number of the step.
        """
        self._arrays = {k: v for k, v in constants.items() if isinstance(v, np.ndarray)}
        self.constants = {k: tf.convert_to_tensor(v) for k, v in constants.items()}
        self._start_trace(seed, stream)
        self.signals.bases = dict(self.constants)
        for build in self.builder.op_builds.values():
            build.build_constants(self.signals, self.config)
        for is_compiled, builds in self.segments:
            if not is_compiled:
                self._prepare(builds)

    def _start_trace(
        self, seed: int | tf.Tensor = 0, stream: int | tf.Tensor = 0
    ) -> None:
        self.signals.dt = tf.constant(self.program.dt, self.signals.dtype)
        self.signals.random_key = (tf.cast(seed, tf.uint32), tf.cast(stream, tf.uint32))

    def __call__(
        self,
        carried: Sequence[tf.Tensor],
        feeds: Sequence[Callable[[], tf.Tensor]],
        called: tf.Tensor | None = None,
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """
        Execute one step.

        Parameters
        ----------
        carried : sequence of tf.Tensor
            Values of ``program.carried`` after the previous step.
        feeds : sequence of callable
            Return what ``program.feeds`` feed in, ``(minibatch_size, size)`` tensors,
            as operations of the program that needs them.
        called : (n,) bool tensor, optional
            Which of ``program.function_feeds`` get their values from a call of their
            function, and not from ``feeds``. None if no function is to be called.

        Returns
        -------
        carried : list of tf.Tensor
            Values of ``program.carried`` after this step.
        outputs : list of tf.Tensor
            Values of the probed signals, in the order of ``program.probes``; and last,
            if the step ``adds_losses``, their sum.
        """
        signals, program = self.signals, self.program
        signals.bases = {**self.constants, **dict(zip(program.carried, carried))}
        signals.feeds = dict(zip(program.feeds, feeds))
        signals.losses = []
        signals.step = signals.gather(program.model.step) + 1
        if called is not None:
            values = self.function_values(signals.step, called)
            signals.feeds.update(self.choose_functions(values, called))
        for (is_compiled, segment), used_after in zip(self.segments, self.used_after):
            if is_compiled:
                self.run_compiled(segment, used_after)
            else:
                self.run(segment)
        outputs = self.probed()
        if self.adds_losses:
            outputs.append(sum(signals.losses, signals.zero))
        carried = [
            value if key in program.restored else signals.bases[key]
            for key, value in zip(program.carried, carried)
        ]
        return carried, outputs

    def function_values(self, number: tf.Tensor, called: tf.Tensor) -> tf.Tensor:
        """
        Call the functions of time.

        Parameters
        ----------
        number : scalar integer tf.Tensor
            Number of the step.
        called : (n,) bool tensor
            Which of ``program.function_feeds`` are called.

        Returns
        -------
        values : (minibatch_size, n) tf.Tensor
            Their values side by side.
        """
        numbers = tf.concat([[number], tf.cast(called, tf.int32)], axis=0)
        return self.following_functions()(numbers, self.errors)

    def following_functions(self) -> FollowingCall:
        """Return the call of `function_values`, for ``[number, *called]``."""
        assert self._functions is not None, "functions of time have to be passed"
        n = sum(feed.signal.size for feed in self.program.function_feeds)
        shape = (self.signals.minibatch_size, n)
        return FollowingCall(self._functions, shape, self.signals.dtype)

    def choose_functions(self, values: tf.Tensor, called: tf.Tensor) -> dict:
        """Return the feeds whose values may be those of functions."""
        feeds = self.program.function_feeds
        sizes = [feed.signal.size for feed in feeds]
        parts = tf.split(values, sizes, axis=1) if len(feeds) > 1 else [values]

        def choose(i: int, part: tf.Tensor, given: Callable) -> tf.Tensor:
            # what is given stays the tensor that it is, so that gradients flow to it
            return tf.where(called[i], part, given())

        return {
            feed: partial(choose, i, part, self.signals.feeds[feed])
            for i, (feed, part) in enumerate(zip(feeds, parts))
        }

    def probed(self) -> list[tf.Tensor]:
        """Return the values of the probed signals."""
        probed = self.program.probes.values()
        return [self.signals.gather(self._place_of_probe(s)) for s in probed]

    def _place_of_probe(self, signal: Signal) -> TensorSignal:
        known = self.signals.sig_map.get(signal)
        return place_of(self.program, signal) if known is None else known

    def _prepare(self, builds: Sequence[OpBuilder]) -> None:
        for build in builds:
            build.build_pre(self.signals, self.config)

    def run(self, builds: Sequence[OpBuilder]) -> None:
        """Run some groups."""
        for build in builds:
            with tf.name_scope(self.builder.name_scope(build.ops)):
                build.build_step(self.signals)

    def begin_compiled(
        self, values: dict[str, tf.Tensor], builds: Sequence[OpBuilder]
    ) -> None:
        """
        Begin the trace of an XLA program of some groups.

        Parameters
        ----------
        values : dict of {str: tf.Tensor}
            Values of the base arrays.
        builds : sequence of OpBuilder
            All groups in the program.
        """
        # constants belong to the program: every argument of it costs a microsecond
        constants = {k: tf.constant(v) for k, v in self._arrays.items()}
        self.signals.bases = {**values, **constants}
        self.signals.losses = []
        self.signals.dt = tf.constant(self.program.dt, self.signals.dtype)
        self._prepare(builds)

    def run_compiled(self, builds: Sequence[OpBuilder], used_after: set[str]) -> None:
        """Run some groups as one XLA program, which hands over what is needed later."""
        signals = self.signals
        outside, losses, dt = dict(signals.bases), signals.losses, signals.dt
        changed: list[str] = []

        def segment() -> tuple[list[tf.Tensor], list[tf.Tensor]]:
            self.begin_compiled(outside, builds)
            before = dict(signals.bases)
            self.run(builds)
            changed.extend(
                key
                for key, value in signals.bases.items()
                if value is not before.get(key) and key in used_after
            )
            return [signals.bases[key] for key in changed], signals.losses

        function = tf.function(segment, jit_compile=True, autograph=False)
        values, added_losses = function()
        signals.bases = {**outside, **dict(zip(changed, values))}
        signals.losses, signals.dt = losses + added_losses, dt
