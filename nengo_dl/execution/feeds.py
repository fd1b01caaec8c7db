"""
Generate what is fed into the simulation: the output of Nodes and processes.

In: a `Program`. Out: arrays of the values of every `Feed` operator for a block of
steps, made by NumPy, with the same random numbers as `nengo.Simulator`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from typing import Any

import nengo
import numpy as np
from nengo.builder.operator import Operator, SimPyFunc
from nengo.builder.processes import SimProcess
from nengo.builder.signal import Signal

from nengo_dl.execution.operator_steps import NumpyOperators
from nengo_dl.execution.process_seeds import is_random, process_order, seed_processes
from nengo_dl.graph.operators import Feed
from nengo_dl.graph.program import Program
from nengo_dl.utils import (
    align_func,
    calls_users_code,
    fit_output,
    function_name,
    note_origin,
)


class FeedGenerator:
    """
    Generates the values of the feeds of a program.

    Parameters
    ----------
    program : Program
        The program; Node outputs are those at the time when it was built. Processes
        that have no seed of their own get theirs from that of its settings.

    Attributes
    ----------
    rng : numpy.random.RandomState
        Has drawn the seeds of processes; at the disposal of users.
    process_rngs : dict of {SimProcess: list of numpy.random.RandomState}
        Random number generators of all processes of the model, one for each item of
        the minibatch.
    operators : NumpyOperators
        The operators that only NumPy can run.
    random : list of nengo.builder.processes.SimProcess
        The processes that draw random numbers.
    """

    def __init__(self, program: Program):
        self.program = program
        self.minibatch_size = program.settings.minibatch_size
        self._order = process_order(program.model)
        processes = [op for op in self._order if isinstance(op, SimProcess)]
        self.random = [op for op in processes if is_random(op.process)]
        operators = [op for op in self._order if not isinstance(op, SimProcess)]
        self.operators = NumpyOperators(operators, self.minibatch_size, program.dt)
        self._dtype = np.dtype(program.settings.dtype)
        self._sources = [self._source(feed) for feed in program.feeds]
        # the functions of time, and where their values are among those of all of them
        self._functions: list[tuple[_FunctionSource, slice]] = []
        self._n_values = 0
        for source in self._sources:
            if isinstance(source, _FunctionSource):
                start, self._n_values = self._n_values, self._n_values + source.size
                self._functions.append((source, slice(start, self._n_values)))
        with_output = {feed.source for feed in program.feeds}
        self._without_output = [n for n in program.nodes if n not in with_output]
        self._silent = [_silent_source(op, program.nodes) for op in program.silent]
        self._constants: dict = {}
        self.reset(program.settings.seed)

    def _source(self, feed: Feed) -> _Source:
        producer = self.program.producers.get(feed)
        if isinstance(producer, SimProcess):
            return ProcessSource(producer)
        if isinstance(producer, SimPyFunc):
            return _FunctionSource(producer, feed.source, feed.signal.size, self._dtype)
        return _ConstantSource(feed.signal.initial_value)

    def reset(self, seed: int) -> None:
        """Restart all processes, and operators that only NumPy can run."""
        self.operators.clear()
        self._seed = seed
        self.rng = np.random.RandomState(seed)
        self.process_rngs = seed_processes(
            self._order, self.rng, self.minibatch_size, self.operators.make_step
        )
        # (these can be made later, unless other operators draw numbers as well)
        first_rngs = self.process_rngs if self.operators.steps else {}
        self._first_rngs = {op: copy.deepcopy(r) for op, r in first_rngs.items()}
        for source in self.process_sources():
            source.start(self.process_rngs[source.op], self.program.dt)

    def restart(self, operators: Collection[Operator], items: Sequence[int]) -> None:
        """
        Restart some processes, and operators that only NumPy can run, for some items.

        Processes draw the numbers that they drew after `reset`. The generators that
        other operators draw from, which they share, go on.

        Parameters
        ----------
        operators : collection of nengo.builder.Operator
            The operators; others are passed over.
        items : sequence of int
            The items of the minibatch.
        """
        random = [op for op in self.random if op in operators]
        if random and not self._first_rngs:
            rng, size = np.random.RandomState(self._seed), self.minibatch_size
            self._first_rngs = seed_processes(self._order, rng, size)
        for op in random:
            for item in items:
                first_rng = self._first_rngs[op][item]
                self.process_rngs[op][item].set_state(first_rng.get_state())
        for source in self.process_sources():
            if source.op in operators:
                for item in items:
                    rng = self.process_rngs[source.op][item]
                    source.start_item(item, rng, self.program.dt)
        self.operators.restart(operators, items)

    def constants(self) -> dict[Signal, np.ndarray]:
        """Return the outputs of constant Nodes, ``([minibatch_size,] size)`` arrays."""
        return {
            feed.signal: source.value
            for feed, source in zip(self.program.feeds, self._sources)
            if isinstance(source, _ConstantSource)
        }

    def set_constants(self, values: Mapping[Signal, np.ndarray]) -> None:
        """Change what `constants` returns, from the next step on."""
        self._constants.clear()
        for feed, source in zip(self.program.feeds, self._sources):
            if isinstance(source, _ConstantSource) and feed.signal in values:
                source.value = values[feed.signal]

    def reset_constants(
        self,
        signals: Container[Signal] | None = None,
        items: Sequence[int] | None = None,
    ) -> None:
        """Give constant Nodes, by default all, their initial outputs back."""
        values = {}
        for signal, value in self.constants().items():
            if signals is None or signal.base in signals:
                initial = np.ravel(signal.initial_value)
                if items is None:
                    values[signal] = initial
                elif value.ndim > 1:  # not as it was built
                    values[signal] = value.copy()
                    values[signal][items] = initial
        self.set_constants(values)

    def process_sources(self) -> list[ProcessSource]:
        """Return the processes that run ahead of the step."""
        return [s for s in self._sources if isinstance(s, ProcessSource)]

    def get_state(self) -> dict[str, Any]:
        """Return the state of all that runs change, for `set_state`."""
        return {
            "constants": list(self.constants().values()),
            "rngs": [
                [rng.get_state() for rng in self.process_rngs[op]] for op in self.random
            ],
            "operator_rngs": [rng.get_state() for rng in self.operators.rngs],
            "states": [copy.deepcopy(s.states) for s in self.process_sources()],
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Bring all processes into a state that `get_state` returned."""
        self.set_constants(dict(zip(self.constants(), state["constants"])))
        for op, rng_states in zip(self.random, state["rngs"]):
            for rng, rng_state in zip(self.process_rngs[op], rng_states):
                rng.set_state(rng_state)
        for rng, rng_state in zip(self.operators.rngs, state["operator_rngs"]):
            rng.set_state(rng_state)
        for source, states in zip(self.process_sources(), state["states"]):
            source.set_states(states)

    def block(
        self,
        start: int,
        n_steps: int,
        capacity: int,
        data: Mapping,
        offset: int = 0,
        called: np.ndarray | None = None,
    ) -> list[np.ndarray]:
        """
        Generate the values of one block.

        Parameters
        ----------
        start : int
            Number of steps simulated before the block.
        n_steps : int
            Number of steps in the block.
        capacity : int
            Length of the time axis of the result.
        data : dict of {nengo.Node: (minibatch_size, n, size_out) array}
            Given values, which take the place of the Node's own.
        offset : int
            Where the block starts in ``data``.
        called : (n,) array of bool, optional
            Which functions are called now, for a single step of an interactive program.
            By default, they are left to `call_functions`.

        Returns
        -------
        values : list of (minibatch_size, capacity, size) array
            Values of all feeds; zero from ``n_steps`` on.
        """
        values: list[np.ndarray] = []
        pairs = []
        for feed, source in zip(self.program.feeds, self._sources):
            given = data.get(feed.source)
            if given is None and isinstance(source, _ConstantSource):
                values.append(self._constant(feed, source, capacity))
                continue
            shape = (self.minibatch_size, capacity, feed.signal.size)
            values.append(np.zeros(shape, self._dtype))
            if given is not None:
                values[-1][:, :n_steps] = given[:, offset : offset + n_steps]
            else:
                pairs.append((source, values[-1]))
        self._fill(pairs, start, n_steps)
        if called is not None:
            parts = dict(self._functions)
            outputs = self.call_functions(start + 1, called.tolist())
            for source, array in pairs:
                if source in parts:
                    array[:, 0] = outputs[:, parts[source]]
        return values

    def _fill(
        self,
        pairs: Sequence[tuple[_Source, np.ndarray]],
        start: int,
        n_steps: int,
        call_silent: bool = True,
    ) -> None:
        """Generate ``(n_items, n_steps, size)`` values of sources."""
        times = [(start + 1 + i) * self.program.dt for i in range(n_steps)]
        functions = []
        for source, array in pairs:
            if isinstance(source, _ConstantSource):
                source.fill(array)
            elif isinstance(source, _FunctionSource):
                functions.append((source, array))
            else:
                for item in range(0, len(array), self.minibatch_size):
                    source.fill(array[item : item + self.minibatch_size], times)
        if self.program.is_interactive:
            return
        # step by step, as some functions may depend on what others do
        for i, t in enumerate(times):
            for source, array in functions:
                array[:, i] = source(t)
            if call_silent:
                self._call_silent(t)

    def _constant(
        self, feed: Feed, source: _ConstantSource, capacity: int
    ) -> np.ndarray:
        key = (feed, capacity)
        if key not in self._constants:
            shape = (self.minibatch_size, capacity, feed.signal.size)
            self._constants[key] = np.empty(shape, self._dtype)
            source.fill(self._constants[key])
            self._constants[key].setflags(write=False)
        return self._constants[key]

    def _call_silent(self, t: float) -> None:
        for source in self._silent:
            source(t)

    def generate(
        self, start: int, n_steps: int, n_items: int, given: Container, stateful: bool
    ) -> dict[Any, np.ndarray]:
        """
        Generate outputs of Nodes for any number of items, ahead of the simulation.

        Parameters
        ----------
        start : int
            Number of steps simulated before.
        n_steps : int
            Number of steps.
        n_items : int
            Number of items, a multiple of ``minibatch_size``.
        given : container of nengo.Node
            Nodes that need no values.
        stateful : bool
            Whether every minibatch starts where the last one ends.

        Returns
        -------
        values : dict of {nengo.Node: (n_items, n_steps, size_out) array}
            Outputs of all other Nodes, but for those that are not known ahead:
            functions of interactive programs, and all that depends on time if every
            minibatch starts later than the last one (see `generate_now`). Functions
            are called once per step for all items; every item has a realization of its
            own of unseeded processes.
        """
        runs_ahead = not (stateful or self.program.is_interactive)
        values: dict[Any, np.ndarray] = {}
        pairs = []
        for feed, source in zip(self.program.feeds, self._sources):
            node = feed.source
            is_known = isinstance(source, _ConstantSource) or (
                not stateful if isinstance(source, ProcessSource) else runs_ahead
            )
            if is_known and node not in given and node in self.program.nodes:
                shape = (n_items, n_steps, feed.signal.size)
                values[node] = np.zeros(shape, self._dtype)
                pairs.append((source, values[node]))
        if runs_ahead:
            for node in self._without_output:
                if node not in given:
                    values[node] = np.zeros((n_items, n_steps, 0), self._dtype)
        self._fill(pairs, start, n_steps, call_silent=runs_ahead)
        return values

    def missing(self, given: Container) -> list[Feed]:
        """
        Return the feeds whose values `generate_now` has to generate.

        Parameters
        ----------
        given : container of nengo.Node
            Nodes whose values are known.
        """
        return [feed for feed in self.program.feeds if feed.source not in given]

    def generate_now(
        self, start: int, n_steps: int, given: Container
    ) -> list[np.ndarray]:
        """
        Generate the `missing` values of one minibatch, when it is simulated.

        Parameters
        ----------
        start, n_steps : int
            Number of steps simulated before, and to generate now.
        given : container of nengo.Node
            Nodes whose values are known.

        Returns
        -------
        values : list of (minibatch_size, n_steps, size) array
            If the program is interactive, those of functions are left to
            `call_functions`.
        """
        pairs = []
        for feed, source in zip(self.program.feeds, self._sources):
            if feed.source not in given:
                shape = (self.minibatch_size, n_steps, feed.signal.size)
                pairs.append((source, np.zeros(shape, self._dtype)))
        self._fill(pairs, start, n_steps, call_silent=self.calls_silent(given))
        return [array for _, array in pairs]

    def calls_silent(self, given: Container) -> bool:
        """Return whether `generate_now` calls the functions without output."""
        if self.program.is_interactive or not self.program.silent:
            return False
        return any(node not in given for node in self._without_output)

    def called(self, given: Container) -> np.ndarray | None:
        """
        Return which functions are called within the step.

        Parameters
        ----------
        given : container of nengo.Node
            Nodes whose values are known.

        Returns
        -------
        called : (n,) array of bool
            For all ``program.function_feeds``; None if no function is ever called
            within the step.
        """
        if not self.program.calls_functions:
            return None
        feeds = self.program.function_feeds
        return np.array([feed.source not in given for feed in feeds], bool)

    def call_functions(self, step: int, called: Sequence[int]) -> np.ndarray:
        """
        Return the values of functions in one step of an interactive program.

        Parameters
        ----------
        step : int
            Number of the step.
        called : list of int
            Which functions are called, as `called` returns it, as 0 or 1.

        Returns
        -------
        values : (minibatch_size, n) array
            Values of ``program.function_feeds`` side by side; zero for those that are
            not called.
        """
        t = step * self.program.dt
        values = np.zeros((self.minibatch_size, self._n_values), self._dtype)
        for (source, part), is_called in zip(self._functions, called):
            if is_called:
                values[:, part] = source(t)
        if self._silent:
            self._call_silent(t)
        return values


class _ConstantSource:
    """The same ``([minibatch_size,] size)`` value in every step."""

    def __init__(self, value: Any):
        self.value = np.ravel(value)

    def fill(self, array: np.ndarray) -> None:
        if self.value.ndim == 1:
            array[...] = self.value
            return
        n = len(self.value)
        for item in range(0, len(array), n):
            array[item : item + n] = self.value[:, None]


class _FunctionSource:
    """A function of time, called once per step for the whole minibatch."""

    def __init__(self, op: SimPyFunc, origin: Any, size: int, dtype: Any = "float64"):
        self._func = align_func(dtype)(op.fn) if size > 0 else op.fn
        self._name = function_name(op.fn, sanitize=False)
        self._origin = origin
        self.size = size
        self._takes_time = op.t is not None

    @calls_users_code
    def __call__(self, t: float) -> np.ndarray | None:
        try:
            value = self._func(t) if self._takes_time else self._func()
            return fit_output(value, self.size, self._name) if self.size else None
        except Exception as err:
            note_origin(err, f"the output function of {self._origin}")
            raise


def _silent_source(op: SimPyFunc, nodes: Sequence[nengo.Node]) -> _FunctionSource:
    """Return a function without output, for errors by the name of its Node."""
    origins = [node for node in nodes if node.output is op.fn]
    return _FunctionSource(op, origins[0] if origins else op, size=0)


class ProcessSource:
    """
    A process without input: one step function for each item of the minibatch.

    Attributes
    ----------
    op : nengo.builder.processes.SimProcess
        The operator.
    states : list of dict of {str: array}
        The state variables of each item.
    """

    def __init__(self, op: SimProcess):
        self.op = op

    def start(self, rngs: Sequence[np.random.RandomState | None], dt: float) -> None:
        """Start all items, with a random number generator for each."""
        self.states = [self._make_state(dt) for _ in rngs]
        self._steps = [
            self._make_step(dt, rng, state) for rng, state in zip(rngs, self.states)
        ]

    def start_item(
        self, item: int, rng: np.random.RandomState | None, dt: float
    ) -> None:
        """Start a single item."""
        self.states[item] = self._make_state(dt)
        self._steps[item] = self._make_step(dt, rng, self.states[item])

    def _make_state(self, dt: float) -> dict[str, np.ndarray]:
        output = self.op.output
        return self.op.process.make_state((0,), output.shape, dt, dtype=output.dtype)

    def _make_step(
        self, dt: float, rng: np.random.RandomState | None, state: dict[str, Any]
    ) -> Callable[[float], Any]:
        return self.op.process.make_step((0,), self.op.output.shape, dt, rng, state)

    def set_states(self, states: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Set the state variables of each item."""
        for own, new in zip(self.states, states):
            for name, value in new.items():
                own[name][...] = value

    @calls_users_code
    def fill(self, values: np.ndarray, times: Sequence[float]) -> None:
        """Run through some times, for as many items as there are ``values``."""
        # assigned as Nengo does, with the same errors for values that do not fit
        output = np.zeros(self.op.output.shape, self.op.output.dtype)
        try:
            for item, step in enumerate(self._steps):
                for i, t in enumerate(times):
                    output[...] = step(t)
                    values[item, i] = output.ravel()
        except Exception as err:
            note_origin(err, self.op.process)
            raise


_Source = _ConstantSource | _FunctionSource | ProcessSource
