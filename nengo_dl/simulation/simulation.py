"""
A simulation in progress: a compiled network, and all of its state.

In: a built Nengo model, and the values of its inputs. Out: what the probes record. A
run either succeeds or changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import cached_property
from typing import Any

import nengo
import numpy as np
from nengo.builder.signal import Signal
from nengo.exceptions import SimulationError

from nengo_dl.config import Settings
from nengo_dl.simulation.device import (
    check_tensorflow,
    warn_of_fork,
    working_context,
)
from nengo_dl.simulation.owners import Owner, signal_owners
from nengo_dl.simulation.recording import Recording
from nengo_dl.tensor_graph import TensorGraph
from nengo_dl.utils import NullProgressBar, Stopwatch

# What `Simulation.build_times` measures; "build" is Nengo's.
BUILD_STAGES = (
    "build",
    "inputs",
    "marks",
    "simplify",
    "plan",
    "order",
    "layout",
    "step",
    "variables",
    "trace",
    "compile",
)


class Simulation:
    """
    A compiled network, and all of its state.

    Parameters
    ----------
    model : nengo.builder.Model
        The built network.
    settings : Settings
        How to compile it.
    progress : callable, optional
        Maps what is being done, and what has been done after it, to a progress bar.
    build_times : Stopwatch, optional
        Measures `BUILD_STAGES`.

    Attributes
    ----------
    tensor_graph : TensorGraph or None
        The compiled network; None once the simulation is closed.
    n_steps : int
        Number of steps simulated so far.
    seed : int
        Seed of all that is random, which `reset` may start with another one.
    training_rng : numpy.random.RandomState
        Draws the orders in which items are trained.
    """

    # None after `close`, when nobody may ask for it
    tensor_graph: TensorGraph

    def __init__(
        self,
        model: nengo.builder.Model,
        settings: Settings,
        progress: Callable[[str, str], NullProgressBar] = NullProgressBar,
        build_times: Stopwatch | None = None,
    ):
        if build_times is None:
            build_times = Stopwatch(BUILD_STAGES)
        self.build_times = build_times
        self.model = model
        self.settings = settings
        self.seed = settings.seed
        self.training_rng = np.random.RandomState(self.seed)
        self.n_steps = 0
        # what is going on at the moment, in any thread
        self._calls: list[str] = []
        self._construct(progress)

    def _construct(self, progress: Callable[[str, str], NullProgressBar]) -> None:
        warn_of_fork()
        settings = self.settings
        check_tensorflow(compiles=settings.jit_compile is not False)
        with self.context(alone=True), progress("Optimizing graph", "Optimization"):
            self.tensor_graph = TensorGraph(
                self.model,
                self.model.dt,
                settings.unroll,
                settings.minibatch_size,
                settings.device,
                seed=settings.seed,
                optimize=settings.optimize,
                times=self.build_times,
            )
        with self.context(alone=True), progress("Constructing graph", "Construction"):
            self.tensor_graph.build()

    @property
    def is_closed(self) -> bool:
        """Whether all but the facts has been freed."""
        return self.tensor_graph is None

    @cached_property
    def owners(self) -> dict[Signal, Owner]:
        """The objects that the signals of the program belong to."""
        return signal_owners(self.tensor_graph.program)

    def context(self, alone: bool = False) -> AbstractContextManager:
        """
        Return a context to work in: device, float type, and precision.

        Parameters
        ----------
        alone : bool
            Whether other threads have to wait; see `working_context`.
        """
        settings = self.settings
        return working_context(
            settings.device, settings.dtype, settings.allow_tf32, alone
        )

    def run(
        self,
        n_steps: int,
        given: Mapping[nengo.Node, np.ndarray],
        keep_state: bool,
        bar: NullProgressBar,
    ) -> Recording:
        """
        Simulate some steps.

        Parameters
        ----------
        n_steps : int
            Number of steps, a multiple of ``unroll``.
        given : dict of {nengo.Node: (minibatch_size, n_steps, size_out) array}
            Values that take the place of the Nodes' own outputs.
        keep_state : bool
            If False, only what learning rules have learned is kept at the end.
        bar : NullProgressBar
            Told of every simulated step.

        Returns
        -------
        recorded : Recording
            What the probes recorded.
        """
        before = self.python_state(of_run=True)
        succeeded = False
        try:
            with self.during("run"), self.context(), bar:
                state, recorded = self._run_blocks(n_steps, given, bar)
            succeeded = True
        finally:
            if not (succeeded and keep_state):
                self.set_python_state(before)
        self.tensor_graph.values.commit(state, keep_state)
        if keep_state:
            self.n_steps += n_steps
        return recorded

    def _run_blocks(
        self,
        n_steps: int,
        given: Mapping[nengo.Node, np.ndarray],
        bar: NullProgressBar,
    ) -> tuple[list, Recording]:
        graph = self.tensor_graph
        engine = graph.engine
        state = graph.values.packed_state()
        recorded = Recording(graph.program)
        called = graph.feeds.called(given)
        for start in range(0, n_steps, engine.block_steps):
            n = min(engine.block_steps, n_steps - start)
            done, capacity = self.n_steps + start, engine.capacity(n)
            is_within = engine.calls_within(capacity)
            ahead, within = (None, called) if is_within else (called, None)
            feeds = graph.feeds.block(done, n, capacity, given, start, ahead)
            with bar.sub("compiling") if engine.compiles(n) else nullcontext():
                if not engine.has_function(n):
                    with self.context(alone=True):
                        engine.function(capacity, is_within)
                state, outputs = engine.run_block(state, feeds, n, within)
            recorded.add(outputs, done + 1, n)
            bar.step(n)
        return state, recorded

    def generate_inputs(
        self, n_steps: int, n_items: int, given: Mapping
    ) -> dict[nengo.Node, np.ndarray]:
        """
        Return the outputs of Nodes that are not given; see `FeedGenerator.generate`.

        To be called within `keras_call`, as it changes the state of processes, and
        depends on whether the call keeps the state.
        """
        graph = self.tensor_graph
        keeps_state = bool(graph.values.keep_state.numpy())
        return graph.feeds.generate(self.n_steps, n_steps, n_items, given, keeps_state)

    @contextmanager
    def during(self, name: str) -> Iterator[None]:
        """Return a context in which a method of the simulator is running."""
        self._calls.append(name)
        try:
            yield
        finally:
            self._calls.remove(name)

    def is_during(self, call: str) -> bool:
        """Return whether a method of the simulator is running."""
        return call in self._calls

    def check_not_during(self, action: str, *calls: str) -> None:
        """
        Check that nothing is going on that an action would break.

        Parameters
        ----------
        action : str
            What is to be done.
        *calls : str
            Methods of the simulator during which it must not be done; by default, any.

        Raises
        ------
        nengo.exceptions.SimulationError
            If one of them is going on, in a callback of which this is, say.
        """
        for call in self._calls:
            if not calls or call in calls:
                raise SimulationError(
                    f"Cannot {action} while `{call}` is running; wait until it has "
                    "returned"
                )

    def keras_call(self, keep_state: bool, name: str) -> AbstractContextManager[bool]:
        """
        Return a context in which Keras runs the network.

        The state is what it was before if an exception leaves the context, and if
        ``keep_state`` is False, except for what learning rules have learned; an
        exception takes that back, too, an interrupt does not.

        Parameters
        ----------
        keep_state : bool
            Whether the state at the end of every batch is where the next one starts.
            The context returns it.
        name : str
            The method of the simulator; see `check_not_during`.
        """
        return _KerasCall(self, keep_state, name)

    def set_signal(self, signal: Signal, value: np.ndarray) -> None:
        """
        Change the live value of a signal; see `Variables.set_value`.

        Parameters
        ----------
        signal : nengo.builder.Signal
            A signal that is kept from step to step, or the output of a constant Node.
        value : ``([minibatch_size,] ...)`` array
            The new value.
        """
        graph = self.tensor_graph
        if signal in graph.feeds.constants():
            graph.feeds.set_constants({signal: value})
            return
        with self.context():
            graph.values.set_value(signal, value)
        if signal.base is self.model.step:
            self.n_steps = graph.values.n_steps()

    def reset(self, include_trainable: bool, include_processes: bool) -> None:
        """
        Return to the state at the time of construction.

        Parameters
        ----------
        include_trainable : bool
            Whether parameters return to their initial values.
        include_processes : bool
            Whether processes start again, from the current seed.
        """
        with self.context():
            self.tensor_graph.values.reset(include_trainable)
        self.tensor_graph.feeds.reset_constants()
        self.n_steps = 0
        if include_processes:
            self.tensor_graph.values.reseed(self.seed)
            self.training_rng.seed(self.seed)
            self.restart(self.seed)

    def restart(self, seed: int) -> None:
        """Start all Python code again, with random numbers that follow from a seed."""
        self.tensor_graph.feeds.reset(seed)
        self.tensor_graph.build_post()

    def close(self) -> None:
        """Free everything but the facts (such as the number of steps)."""
        self.tensor_graph = None  # type: ignore[assignment]

    def python_state(self, of_run: bool = False) -> dict[str, Any]:
        """
        Return the part of the state that TensorFlow knows nothing about.

        Parameters
        ----------
        of_run : bool
            Whether to leave out what no run changes, which takes as long to read as a
            small step.
        """
        return {
            **({} if of_run else {"rng": self.tensor_graph.feeds.rng.get_state()}),
            "feeds": self.tensor_graph.feeds.get_state(),
            "rngs": [rng.get_state() for rng in self.tensor_graph.rngs()],
            "training_rngs": [
                rng.get_state() for rng in self.tensor_graph.rngs(training=True)
            ],
        }

    def set_python_state(self, state: Mapping[str, Any]) -> None:
        """Return to a state that `python_state` has returned."""
        self.tensor_graph.feeds.set_state(state["feeds"])
        if "rng" in state:
            self.tensor_graph.feeds.rng.set_state(state["rng"])
        for rng, rng_state in zip(self.tensor_graph.rngs(), state["rngs"]):
            rng.set_state(rng_state)
        training_rngs = self.tensor_graph.rngs(training=True)
        for rng, rng_state in zip(training_rngs, state["training_rngs"]):
            rng.set_state(rng_state)

    def __getstate__(self) -> dict[str, Any]:
        state = {**self.__dict__, "_calls": []}
        del state["tensor_graph"]
        state.pop("owners", None)
        if not self.is_closed:
            state["values"] = self.tensor_graph.values.get_copy()
            state["python_state"] = self.python_state()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        values = state.pop("values", None)
        python_state = state.pop("python_state", None)
        self.__dict__.update(state)
        self.close()
        if values is not None:
            self.build_times = Stopwatch(BUILD_STAGES)
            self._construct(NullProgressBar)
            self.tensor_graph.values.set_copy(values)
            if values["seed"] != self.settings.seed:
                self.restart(values["seed"])
            self.set_python_state(python_state)


class _KerasCall:
    """
    The context of `Simulation.keras_call`.

    It is no generator, as these cannot raise the `StopIteration` of a user's function.
    """

    def __init__(self, simulation: Simulation, keep_state: bool, name: str):
        self._simulation = simulation
        self._keep_state = keep_state
        self._name = name

    def __enter__(self) -> bool:
        simulation, graph = self._simulation, self._simulation.tensor_graph
        self._values = graph.values
        # Keras must not change what a call further out has set
        self._keeps_state = bool(graph.values.keep_state.numpy())
        self._python_state = simulation.python_state()
        self._state = graph.values.packed_state()
        self._inner = ExitStack()
        self._inner.enter_context(simulation.during(self._name))
        self._inner.enter_context(simulation.context())
        self._inner.enter_context(graph.errors.unwrap())
        graph.values.keep_state.assign(self._keep_state)
        return self._keep_state

    def __exit__(self, *details: Any) -> None:
        error = details[1]
        try:
            self._inner.__exit__(*details)
        except BaseException as own:
            error = own
            raise
        finally:
            self._end(error)

    def _end(self, error: BaseException | None) -> None:
        """Leave the state that there should be."""
        values, simulation = self._values, self._simulation
        if error is not None:
            reached = values.packed_state()
            values.commit(self._state, stateful=True)
            if not isinstance(error, Exception):
                values.commit(reached, stateful=False)
        values.keep_state.assign(self._keeps_state)
        if error is None and self._keep_state:
            simulation.n_steps = values.n_steps()
        else:
            simulation.set_python_state(self._python_state)
