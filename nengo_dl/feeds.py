"""
Generate what is fed into the simulation: the output of Nodes and processes.

In: a `Program`. Out: arrays of the values of every `Feed` operator for a block of
steps, made by NumPy, with the same random numbers as `nengo.Simulator`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import nengo
import numpy as np
from nengo.builder import Model
from nengo.builder.operator import SimPyFunc
from nengo.builder.optimizer import optimize
from nengo.builder.processes import SimProcess
from nengo.processes import Piecewise, PresentInput
from nengo.synapses import LinearFilter, Triangle
from nengo.utils.graphs import toposort
from nengo.utils.simulator import operator_dependency_graph

from nengo_dl.program import Program
from nengo_dl.utils import align_func

# Processes of these types make no use of random numbers.
DETERMINISTIC = (LinearFilter, Triangle, PresentInput, Piecewise)


class FeedGenerator:
    """
    Generates the values of the feeds of a program.

    Parameters
    ----------
    program : Program
        The program; Node outputs are those at the time when it was built.
    minibatch_size : int
        Number of items in a minibatch.
    seed : int
        Seed of processes that have none of their own.

    Attributes
    ----------
    process_rngs : dict of {SimProcess: list of numpy.random.RandomState}
        Random number generators of all processes of the model, one for each item of
        the minibatch.
    """

    def __init__(self, program: Program, minibatch_size: int, seed: int):
        self.program = program
        self.minibatch_size = minibatch_size
        self._order = process_order(program.model)
        self._dtype = np.dtype(program.settings.dtype)
        self._sources = [self._source(feed) for feed in program.feeds]
        self._constants: dict = {}
        self.reset(seed)

    def _source(self, feed) -> _Source:
        producer = self.program.producers.get(feed)
        if isinstance(producer, SimProcess):
            return _ProcessSource(producer)
        if isinstance(producer, SimPyFunc):
            return _FunctionSource(producer, feed.source, self._dtype)
        return _ConstantSource(feed.signal.initial_value)

    def reset(self, seed: int) -> None:
        """Restart all processes."""
        dt = self.program.dt
        self.process_rngs = seed_processes(self._order, seed, self.minibatch_size)
        for source in self._sources:
            if isinstance(source, _ProcessSource):
                source.start(self.process_rngs[source.op], dt)

    def snapshot(self) -> Callable[[], None]:
        """Return a function that brings all processes back to where they are now."""
        restores = [
            source.snapshot()
            for source in self._sources
            if isinstance(source, _ProcessSource)
        ]

        def restore():
            for function in restores:
                function()

        return restore

    def block(self, start: int, n_steps: int, capacity: int, data: Mapping, offset=0):
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
            Values of all feeds; zero from ``n_steps`` on.
        """
        times = (start + 1 + np.arange(n_steps)) * self.program.dt
        for op in self.program.silent:
            for t in times:
                op.fn(*([] if op.t is None else [t.item()]))
        return [
            self._values(feed, source, times, capacity, data, offset)
            for feed, source in zip(self.program.feeds, self._sources)
        ]

    def _values(self, feed, source, times, capacity, data, offset) -> np.ndarray:
        shape = (self.minibatch_size, capacity, feed.signal.size)
        is_given = feed.source in data
        if not is_given and isinstance(source, _ConstantSource):
            key = (feed, capacity)
            if key not in self._constants:
                self._constants[key] = np.empty(shape, self._dtype)
                self._constants[key][...] = source.value
            return self._constants[key]
        values = np.zeros(shape, self._dtype)
        n = len(times)
        if is_given:
            values[:, :n] = data[feed.source][:, offset : offset + n]
        else:
            source.fill(values[:, :n], times)
        return values


class _ConstantSource:
    def __init__(self, value):
        self.value = np.ravel(value)


class _FunctionSource:
    """A function of time, called once per step for the whole minibatch."""

    def __init__(self, op, node, dtype):
        self.func = align_func(dtype)(op.fn)
        self.node = node
        self.takes_time = op.t is not None

    def fill(self, values, times) -> None:
        for i, t in enumerate(times):
            try:
                values[:, i] = self.func(*([t.item()] if self.takes_time else []))
            except Exception as err:
                if hasattr(err, "add_note"):  # Python 3.11
                    err.add_note(f"Raised by the output function of {self.node}")
                raise


class _ProcessSource:
    """A process without input: one step function for each item of the minibatch."""

    def __init__(self, op: SimProcess):
        self.op = op

    def start(self, rngs, dt) -> None:
        process, shape = self.op.process, self.op.output.shape
        self._rngs = rngs
        self._states = [
            process.make_state((0,), shape, dt, dtype=self.op.output.dtype)
            for _ in rngs
        ]
        self._steps = [
            process.make_step((0,), shape, dt, rng, state)
            for rng, state in zip(rngs, self._states)
        ]

    def snapshot(self) -> Callable[[], None]:
        rng_states = [rng.get_state() for rng in self._rngs]
        states = copy.deepcopy(self._states)

        def restore():
            for rng, rng_state in zip(self._rngs, rng_states):
                rng.set_state(rng_state)
            for current, old in zip(self._states, states):
                for name, value in old.items():
                    current[name][...] = value

        return restore

    def fill(self, values, times) -> None:
        for item, step in enumerate(self._steps):
            for i, t in enumerate(times):
                values[item, i] = np.ravel(step(t.item()))


_Source = _ConstantSource | _FunctionSource | _ProcessSource


def seed_processes(order, seed: int, minibatch_size: int) -> dict:
    """
    Make the random number generators of all processes.

    The first item of the minibatch gets the numbers that `nengo.Simulator` draws. A
    process with a seed of its own has the same numbers in every item.

    Parameters
    ----------
    order : list of SimProcess
        All processes, in the order in which `nengo.Simulator` makes their steps.
    seed : int
        Seed of the simulation.
    minibatch_size : int
        Number of items.

    Returns
    -------
    rngs : dict of {SimProcess: list of numpy.random.RandomState}
        One generator for each item.
    """
    rng = np.random.RandomState(seed)
    rngs: dict[SimProcess, list] = {op: [] for op in order}
    for _ in range(minibatch_size):
        for op in order:
            rngs[op].append(op.process.get_rng(rng))
    return rngs


def process_order(model: Model) -> list[SimProcess]:
    """
    Return the processes of a model in the order in which `nengo.Simulator` seeds them.

    That order depends on how Nengo merges operators, so that its optimizer has to be
    run (on a copy). This is only done if the order makes a difference.
    """
    processes = [op for op in model.operators if isinstance(op, SimProcess)]
    random = [
        op
        for op in processes
        if op.process.seed is None and not isinstance(op.process, DETERMINISTIC)
    ]
    if not random or len(processes) == 1:
        return processes

    copies = {copy.copy(op): op for op in model.operators}
    duplicate = Model(dt=model.dt)
    duplicate.operators = list(copies)
    graph = operator_dependency_graph(duplicate.operators)
    optimize(duplicate, graph)
    return [copies[op] for op in toposort(graph) if isinstance(op, SimProcess)]
