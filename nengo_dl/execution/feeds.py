"""
Generate what is fed into the simulation: the output of Nodes and processes.

In: a `Program`. Out: arrays of the values of every `Feed` operator for a block of
steps, made by NumPy, with the same random numbers as `nengo.Simulator`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import nengo
import numpy as np
from nengo.builder.operator import SimPyFunc
from nengo.builder.processes import SimProcess

from nengo_dl.execution.process_seeds import is_random, process_order, seed_processes
from nengo_dl.graph.operators import Feed
from nengo_dl.graph.program import Program
from nengo_dl.utils import align_func, fit_output, function_name, note_origin


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
    process_rngs : dict of {SimProcess: list of numpy.random.RandomState}
        Random number generators of all processes of the model, one for each item of
        the minibatch.
    """

    def __init__(self, program: Program):
        self.program = program
        self.minibatch_size = program.settings.minibatch_size
        self._order = process_order(program.model)
        self._dtype = np.dtype(program.settings.dtype)
        self._sources = [self._source(feed) for feed in program.feeds]
        self._silent = [_silent_source(op, program.nodes) for op in program.silent]
        self._constants: dict = {}
        self._given: Mapping = {}
        self._first_given = 1
        self.reset(program.settings.seed)

    def _source(self, feed: Feed) -> _Source:
        producer = self.program.producers.get(feed)
        if isinstance(producer, SimProcess):
            return _ProcessSource(producer)
        if isinstance(producer, SimPyFunc):
            return _FunctionSource(producer, feed.source, feed.signal.size, self._dtype)
        return _ConstantSource(feed.signal.initial_value)

    def reset(self, seed: int) -> None:
        """Restart all processes."""
        self.process_rngs = seed_processes(self._order, seed, self.minibatch_size)
        for source in self._process_sources():
            source.start(self.process_rngs[source.op], self.program.dt)

    def _process_sources(self) -> list[_ProcessSource]:
        return [s for s in self._sources if isinstance(s, _ProcessSource)]

    def get_state(self) -> dict[str, Any]:
        """Return the state of all processes, for `set_state`."""
        return {
            "rngs": [
                [rng.get_state() for rng in self.process_rngs[op]]
                for op in self._order
                if is_random(op.process)
            ],
            "states": copy.deepcopy([s.states for s in self._process_sources()]),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Bring all processes into a state that `get_state` returned."""
        random = [op for op in self._order if is_random(op.process)]
        for op, rng_states in zip(random, state["rngs"]):
            for rng, rng_state in zip(self.process_rngs[op], rng_states):
                rng.set_state(rng_state)
        for source, states in zip(self._process_sources(), state["states"]):
            source.set_states(states)

    def block(
        self, start: int, n_steps: int, capacity: int, data: Mapping, offset: int = 0
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

        Returns
        -------
        values : list of (minibatch_size, capacity, size) array
            Values of all feeds; zero from ``n_steps`` on. If the program is
            interactive, those of functions are left to `call_functions`.
        """
        self._given, self._first_given = data, start + 1 - offset
        times = (start + 1 + np.arange(n_steps)) * self.program.dt
        values: list[np.ndarray] = []
        functions = []
        for feed, source in zip(self.program.feeds, self._sources):
            given = data.get(feed.source)
            if given is None and isinstance(source, _ConstantSource):
                values.append(self._constant(feed, source, capacity))
                continue
            shape = (self.minibatch_size, capacity, feed.signal.size)
            values.append(np.zeros(shape, self._dtype))
            if given is not None:
                values[-1][:, :n_steps] = given[:, offset : offset + n_steps]
            elif isinstance(source, _ProcessSource):
                source.fill(values[-1], times)
            elif isinstance(source, _FunctionSource):
                functions.append((source, values[-1]))
        if not self.program.is_interactive:
            self._fill_functions(functions, times)
        return values

    def _fill_functions(
        self,
        functions: Sequence[tuple[_FunctionSource, np.ndarray]],
        times: np.ndarray,
    ) -> None:
        """Call functions step by step, as some may depend on what others do."""
        for i, t in enumerate(times):
            for source, array in functions:
                array[:, i] = source(t.item())
            self._call_silent(t.item())

    def _constant(
        self, feed: Feed, source: _ConstantSource, capacity: int
    ) -> np.ndarray:
        key = (feed, capacity)
        if key not in self._constants:
            shape = (self.minibatch_size, capacity, feed.signal.size)
            self._constants[key] = np.empty(shape, self._dtype)
            self._constants[key][...] = source.value
        return self._constants[key]

    def _call_silent(self, t: float) -> None:
        for source in self._silent:
            source(t)

    def generate(
        self, start: int, n_steps: int, n_items: int, given: Mapping
    ) -> dict[Any, np.ndarray]:
        """
        Generate the outputs of Nodes for any number of items.

        Parameters
        ----------
        start : int
            Number of steps simulated before.
        n_steps : int
            Number of steps.
        n_items : int
            Number of items, a multiple of ``minibatch_size``.
        given : dict of {nengo.Node: (n_items, n_steps, size_out) array}
            Nodes that need no values.

        Returns
        -------
        values : dict of {nengo.Node: (n_items, n_steps, size_out) array}
            Outputs of all other Nodes. Functions are called once per step for all
            items; every item has a realization of its own of unseeded processes.
        """
        times = (start + 1 + np.arange(n_steps)) * self.program.dt
        values = {
            node: np.zeros((n_items, n_steps, node.size_out), self._dtype)
            for node in self.program.nodes
            if node not in given
        }
        functions = []
        for feed, source in zip(self.program.feeds, self._sources):
            array = values.get(feed.source)
            if array is None:
                continue
            if isinstance(source, _ConstantSource):
                array[...] = source.value
            elif isinstance(source, _ProcessSource):
                for item in range(0, n_items, self.minibatch_size):
                    source.fill(array[item : item + self.minibatch_size], times)
            else:
                functions.append((source, array))
        self._fill_functions(functions, times)
        return values

    def noise(self, start: int, n_steps: int) -> list[np.ndarray]:
        """
        Generate the values of processes that are no outputs of Nodes.

        Parameters
        ----------
        start, n_steps : int
            Number of steps simulated before, and to generate now.

        Returns
        -------
        values : list of (minibatch_size, n_steps, size) array
            Values of those feeds, in the order of the program.
        """
        times = (start + 1 + np.arange(n_steps)) * self.program.dt
        values = []
        for feed, source in zip(self.program.feeds, self._sources):
            if isinstance(source, _ProcessSource) and feed.source is source.op:
                shape = (self.minibatch_size, n_steps, feed.signal.size)
                values.append(np.zeros(shape, self._dtype))
                source.fill(values[-1], times)
        return values

    def call_functions(self, step: int) -> np.ndarray:
        """
        Return the values of functions in one step of an interactive program.

        Parameters
        ----------
        step : int
            Number of the step, within the last `block`.

        Returns
        -------
        values : (minibatch_size, n) array
            Values of ``program.function_feeds`` side by side.
        """
        t = step * self.program.dt
        columns = [np.zeros((self.minibatch_size, 0), self._dtype)]
        for feed, source in zip(self.program.feeds, self._sources):
            if not isinstance(source, _FunctionSource):
                continue
            if feed.source in self._given:
                value = self._given[feed.source][:, step - self._first_given]
            else:
                value = source(t)
            shape = (self.minibatch_size, feed.signal.size)
            columns.append(np.broadcast_to(value, shape))
        self._call_silent(t)
        return np.concatenate(columns, axis=1).astype(self._dtype)


class _ConstantSource:
    def __init__(self, value: Any):
        self.value = np.ravel(value)


class _FunctionSource:
    """A function of time, called once per step for the whole minibatch."""

    def __init__(self, op: SimPyFunc, origin: Any, size: int, dtype: Any = "float64"):
        self._func = align_func(dtype)(op.fn) if size > 0 else op.fn
        self._name = function_name(op.fn, sanitize=False)
        self._origin = origin
        self._size = size
        self._takes_time = op.t is not None

    def __call__(self, t: float) -> np.ndarray | None:
        try:
            value = self._func(*([t] if self._takes_time else []))
            return fit_output(value, self._size, self._name) if self._size else None
        except Exception as err:
            note_origin(err, f"the output function of {self._origin}")
            raise


def _silent_source(op: SimPyFunc, nodes: Sequence[nengo.Node]) -> _FunctionSource:
    """Return a function without output, for errors by the name of its Node."""
    origins = [node for node in nodes if node.output is op.fn]
    return _FunctionSource(op, origins[0] if origins else op, size=0)


class _ProcessSource:
    """A process without input: one step function for each item of the minibatch."""

    def __init__(self, op: SimProcess):
        self.op = op

    def start(self, rngs: Sequence[np.random.RandomState | None], dt: float) -> None:
        process, shape = self.op.process, self.op.output.shape
        self.states = [
            process.make_state((0,), shape, dt, dtype=self.op.output.dtype)
            for _ in rngs
        ]
        self._steps = [
            process.make_step((0,), shape, dt, rng, state)
            for rng, state in zip(rngs, self.states)
        ]

    def set_states(self, states: Sequence[Mapping[str, np.ndarray]]) -> None:
        for own, new in zip(self.states, states):
            for name, value in new.items():
                own[name][...] = value

    def fill(self, values: np.ndarray, times: np.ndarray) -> None:
        # assigned as Nengo does, with the same errors for values that do not fit
        output = np.zeros(self.op.output.shape, self.op.output.dtype)
        try:
            for item, step in enumerate(self._steps):
                for i, t in enumerate(times):
                    output[...] = step(t.item())
                    values[item, i] = output.ravel()
        except Exception as err:
            note_origin(err, self.op.process)
            raise


_Source = _ConstantSource | _FunctionSource | _ProcessSource
