"""
The user's side: a drop-in replacement for `nengo.Simulator`.

In: a Nengo network, and the data of the user. Out: recorded data and parameters, by
Nengo object. All names, shapes and errors that a user meets are made here.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any

import keras
import nengo
import numpy as np
import tensorflow as tf
from nengo.exceptions import (
    NengoWarning,
    ReadonlyError,
    SimulationError,
    SimulatorClosed,
    ValidationError,
)
from nengo.utils.numpy import maxint

from nengo_dl.builder import NengoBuilder, NengoModel
from nengo_dl.config import get_setting
from nengo_dl.feeds import FeedGenerator
from nengo_dl.simulation_data import SimulationData
from nengo_dl.tensor_graph import TensorGraph, io_names
from nengo_dl.user_data import check_inputs, name_data
from nengo_dl.utils import progress_bar_for

logger = logging.getLogger(__name__)


class OpenSimulatorWarning(RuntimeWarning, ResourceWarning):
    """A simulator was deallocated without having been closed."""


def require_open(method):
    """Decorate a method that cannot be called on a closed simulator."""

    @wraps(method)
    def open_method(self, *args, **kwargs):
        if self.closed:
            raise SimulatorClosed(
                f"Cannot call {method.__name__}: the simulator is closed. Create a new "
                "Simulator, or do this inside of its `with` block."
            )
        return method(self, *args, **kwargs)

    return open_method


class Simulator:
    """
    Simulate a Nengo network with TensorFlow.

    Parameters
    ----------
    network : nengo.Network or None
        The network to simulate; may be None if ``model`` is given.
    dt : float
        Length of a simulation step in seconds.
    seed : int, optional
        Seed of everything random in the simulation. By default the network's seed
        plus one, or random if the network has none.
    model : nengo.builder.Model, optional
        A built model. The network, if there is one, is built into it.
    device : str, optional
        Where to simulate, such as ``"/cpu:0"`` or ``"/gpu:0"``. TensorFlow decides by
        default.
    unroll_simulation : int
        Number of steps per iteration of the simulation loop. The compiled loop is
        fastest with 1; larger numbers take longer to compile.
    minibatch_size : int, optional
        Number of items that are simulated at once. By default one, and recorded data
        have no minibatch axis.
    progress_bar : bool or nengo.utils.progress.ProgressBar
        Whether to show progress.
    optimize : bool
        If False, operators are neither simplified nor merged. This builds faster, runs
        much slower, and helps to find out what goes wrong in a custom operator.

    Attributes
    ----------
    model : nengo.builder.Model
        The built network.
    data : SimulationData
        Recorded data and parameters by Nengo object.
    closed : bool or None
        Whether the simulator is closed; None until it has been built.
    minibatch_size : int
        Number of items that are simulated at once.
    unroll : int
        Number of steps per iteration of the simulation loop.
    stateful : bool
        Whether state is kept between calls (see `nengo_dl.configure_settings`).
    """

    def __init__(
        self,
        network: nengo.Network | None,
        dt: float = 0.001,
        seed: int | None = None,
        model: nengo.builder.Model | None = None,
        device: str | None = None,
        unroll_simulation: int = 1,
        minibatch_size: int | None = None,
        progress_bar: Any = True,
        optimize: bool = True,
    ):
        self.closed: bool | None = None
        self._check_arguments(network, model, unroll_simulation, minibatch_size)
        self.device = device
        self.unroll = int(unroll_simulation)
        self.minibatch_size = 1 if minibatch_size is None else int(minibatch_size)
        self.progress_bar = progress_bar
        self.optimize = optimize
        if seed is None:
            has_seed = network is not None and network.seed is not None
            seed = network.seed + 1 if has_seed else np.random.randint(maxint)
        self._seed = seed
        _report_device(device)

        self.model = self._build_network(network, dt, model)
        self.stateful = get_setting(self.model, "stateful", default=True)
        self._names = self._name_objects()
        with self._context(), self._progress("Optimizing graph", "Optimization"):
            self._tensor_graph = TensorGraph(
                self.model,
                self.dt,
                self.unroll,
                self.minibatch_size,
                device,
                seed=seed,
                optimize=optimize,
            )
        with self._context(), self._progress("Constructing graph", "Construction"):
            self._tensor_graph.build()
        self.data = SimulationData(self, minibatch_size is not None)
        self._n_steps = 0
        self._restart_processes()
        self.clear_probes()
        self.closed = False

    @staticmethod
    def _check_arguments(network, model, unroll_simulation, minibatch_size) -> None:
        if network is None and model is None:
            raise ValidationError(
                "There is nothing to simulate: pass a network, or a built model",
                attr="network",
            )
        for name, value in (
            ("unroll_simulation", unroll_simulation),
            ("minibatch_size", minibatch_size),
        ):
            if value is None and name == "minibatch_size":
                continue
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise ValidationError(
                    f"`{name}` must be an integer of at least 1 (received {value!r})",
                    attr=name,
                )

    def _build_network(self, network, dt, model) -> nengo.builder.Model:
        if model is None:
            model = NengoModel(
                dt=float(dt),
                label=f"{network}, dt={dt:f}",
                builder=NengoBuilder(),
                fail_fast=False,
            )
        elif dt != model.dt:
            warnings.warn(
                f"The model was built with dt={model.dt:g}, which takes the place of "
                f"dt={dt:g}",
                NengoWarning,
            )
        if network is None:
            return model
        dtype = get_setting(network, "dtype", default="float32")
        with (
            _float_bits(dtype.removeprefix("float")),
            self._progress("Building network", "Build") as bar,
        ):
            # Nengo counts the objects of the network
            model.build(network, progress=bar)
        return model

    def _name_objects(self) -> dict:
        toplevel = self.model.toplevel
        nodes = [] if toplevel is None else toplevel.all_nodes
        nodes = [node for node in nodes if node.size_in == 0]
        return io_names([*nodes, *self.model.probes])

    def _progress(self, present: str, past: str, max_value: int | None = None):
        return progress_bar_for(self.progress_bar, present, past, max_value)

    # -- attributes -------------------------------------------------------------------

    @property
    def tensor_graph(self) -> TensorGraph:
        """The compiled network."""
        if self.closed:
            raise SimulatorClosed(
                "Cannot access Simulator.tensor_graph: the simulator is closed"
            )
        return self._tensor_graph

    @property
    def dt(self) -> float:
        """Length of a simulation step in seconds."""
        return self.model.dt

    @dt.setter
    def dt(self, value):
        raise ReadonlyError(attr="dt", obj=self)

    @property
    def seed(self) -> int:
        """Seed of everything random in the simulation."""
        return self._seed

    @property
    def n_steps(self) -> int:
        """Number of steps simulated so far."""
        return self._n_steps

    @property
    def time(self) -> float:
        """Simulated time in seconds."""
        return self._n_steps * self.dt

    @property
    def signals(self) -> Mapping:
        """Live values by Signal (those that are kept from step to step)."""
        if self.closed:
            return None
        return LiveSignals(self)

    @property
    def step_order(self) -> list:
        """The operators of the model in the order of execution."""
        return [op for group in self.tensor_graph.plan for op in group]

    def get_name(self, obj) -> str:
        """
        Return the name of a Node or Probe in dictionaries of data.

        Parameters
        ----------
        obj : nengo.Node or nengo.Probe
            A Node without input, or a Probe, of the simulated network.

        Raises
        ------
        nengo.exceptions.ValidationError
            If it is anything else.
        """
        if isinstance(obj, nengo.Node):
            rule = "is not an input Node (one without input) of this network"
        elif isinstance(obj, nengo.Probe):
            rule = "is from a different network"
        else:
            rule = f"is of unknown type `{type(obj).__name__}`; pass a Node or Probe"
        if obj not in self._names:
            raise ValidationError(f"{obj} {rule}", attr="obj", obj=self)
        return self._names[obj]

    # -- simulation -------------------------------------------------------------------

    def run(self, time_in_seconds: float, **kwargs) -> None:
        """
        Simulate for some time.

        Parameters
        ----------
        time_in_seconds : float
            How long, in seconds; rounded to a multiple of ``dt``.
        kwargs
            Passed on to `run_steps`.

        Raises
        ------
        nengo.exceptions.ValidationError
            If the time is negative.
        """
        if time_in_seconds < 0:
            raise ValidationError(
                f"Must be positive (got {time_in_seconds:g})", attr="time_in_seconds"
            )
        steps = int(np.round(float(time_in_seconds) / self.dt))
        if steps == 0:
            warnings.warn(
                f"{time_in_seconds:g} seconds are 0 timesteps of {self.dt:g} seconds: "
                f"nothing to run. The simulator is still at time {self.time:g}."
            )
            return
        logger.info(
            "Running %s for %f seconds, or %d steps",
            self.model.label,
            time_in_seconds,
            steps,
        )
        self.run_steps(steps, **kwargs)

    def step(self, **kwargs) -> None:
        """
        Simulate one step (``unroll_simulation`` steps, if that is more).

        Parameters
        ----------
        kwargs
            Passed on to `run_steps`.
        """
        kwargs.setdefault("progress_bar", False)
        self.run_steps(self.unroll, **kwargs)

    @require_open
    def run_steps(
        self,
        n_steps: int,
        data: Any = None,
        progress_bar: Any = None,
        stateful: bool = True,
    ) -> None:
        """
        Simulate some steps, and add what the Probes record to `data`.

        Parameters
        ----------
        n_steps : int
            Number of steps; rounded up to a multiple of ``unroll_simulation``.
        data : dict or list or array, optional
            Values of Nodes without input, which take the place of their own output: a
            dictionary by Node (or name), a list in the order of the Nodes, or the array
            of the first one. Arrays have the shape ``(minibatch_size, n_steps,
            size_out)``.
        progress_bar : bool or nengo.utils.progress.ProgressBar, optional
            Whether to show progress; by default as when the simulator was created.
        stateful : bool
            If False, the state at the end is dropped: the next call starts where this
            one did. (What learning rules have learned is kept.)

        Raises
        ------
        nengo.exceptions.ValidationError
            If there is something wrong with the data.
        nengo.exceptions.SimulationError
            If a Node function returns something that cannot be used.
        """
        n_steps = self._whole_iterations(n_steps)
        given = self._given_inputs(data, n_steps)
        if n_steps == 0:
            return
        if progress_bar is None:
            progress_bar = self.progress_bar
        keep_state = stateful and self.stateful
        restore = self._feeds.snapshot()
        chunks: dict = {probe: [] for probe in self.model.probes}
        state = self._tensor_graph.saved_state.packed()
        succeeded = False
        try:
            with (
                self._context(),
                progress_bar_for(
                    progress_bar, "Simulating", "Simulation", n_steps
                ) as bar,
            ):
                for start, n in self._blocks(n_steps):
                    state, outputs = self._run_block(state, start, n, given)
                    for probe, output in zip(self.model.probes, outputs):
                        self._record(chunks[probe], probe, output, start, n)
                    bar.step(n)
            succeeded = True
        finally:
            if not (succeeded and keep_state):
                restore()
        self._tensor_graph.commit(state, keep_state)
        for probe, values in chunks.items():
            if self._tensor_graph.program.keeps_history(probe):
                self.model.params[probe].extend(values)
            else:
                self.model.params[probe][:] = values
        if keep_state:
            self._n_steps += n_steps

    def _whole_iterations(self, n_steps) -> int:
        whole = int(np.ceil(n_steps / self.unroll)) * self.unroll
        if whole != n_steps:
            warnings.warn(
                f"Simulating {whole} steps instead of {n_steps}: the number of steps "
                f"must be a multiple of unroll_simulation={self.unroll}",
                RuntimeWarning,
            )
        if not self._tensor_graph.use_loop and whole not in (0, self.unroll):
            raise ValidationError(
                f"With use_loop=False exactly unroll_simulation={self.unroll} steps "
                f"can be simulated at a time (received {whole} steps)",
                attr="n_steps",
                obj=self,
            )
        return whole

    def _given_inputs(self, data, n_steps) -> dict:
        nodes = {
            node: self._names[node] for node in self._tensor_graph.program.nodes
        }
        named = name_data(data, nodes, "Nodes")
        if not isinstance(named, Mapping):
            raise SimulationError(
                f"Cannot automatically add n_steps to data of type "
                f"`{type(data).__name__}`; pass a dictionary, a list or an array of "
                "numbers"
            )
        named = {name: value for name, value in named.items() if name != "n_steps"}
        check_inputs(
            named,
            {name: node.size_out for node, name in nodes.items()},
            self.minibatch_size,
            n_steps=n_steps,
            batch_size=self.minibatch_size,
        )
        by_name = {name: node for node, name in nodes.items()}
        return {by_name[name]: np.asarray(value) for name, value in named.items()}

    def _blocks(self, n_steps: int) -> Iterator[tuple[int, int]]:
        size = self._tensor_graph.engine.block_steps
        for start in range(0, n_steps, size):
            yield start, min(size, n_steps - start)

    def _run_block(self, state, start, n, given):
        engine = self._tensor_graph.engine
        feeds = self._feeds.block(
            self._n_steps + start, n, engine.capacity(n), given, offset=start
        )
        return engine.run_block(state, feeds, n)

    def _record(self, chunks, probe, output, start, n) -> None:
        """Add the values of a block, shape ``(n, ...)``, to the chunks of a probe."""
        program = self._tensor_graph.program
        signal = program.probes[probe]
        if not program.keeps_history(probe):
            chunks.clear()
        elif probe.sample_every is not None:
            period = probe.sample_every / self.dt
            steps = self._n_steps + start + 1 + np.arange(n)
            output = output[steps % period < 1]
        if output.ndim == signal.ndim + 1:  # the same for all items
            output = np.broadcast_to(
                output[:, None], (len(output), self.minibatch_size, *output.shape[1:])
            )
        if len(output):
            # the buffer of the whole block may be much larger
            chunks.append(np.array(np.moveaxis(output, 1, 0)))

    # -- state ------------------------------------------------------------------------

    @require_open
    def reset(
        self,
        seed: int | None = None,
        include_trainable: bool = True,
        include_probes: bool = True,
        include_processes: bool = True,
    ) -> None:
        """
        Return to the state at the time of construction.

        Parameters
        ----------
        seed : int, optional
            New seed of processes. Random operations inside of TensorFlow keep theirs.
        include_trainable : bool
            Whether parameters return to their initial values, including those that
            learning rules have modified.
        include_probes : bool
            Whether recorded data are dropped.
        include_processes : bool
            Whether processes start again.
        """
        if seed is not None:
            warnings.warn(
                "Changing the seed does not affect TensorFlow operations created "
                "before; create a new Simulator to change all seeds"
            )
            self._seed = seed
        with self._context():
            self._tensor_graph.reset(include_trainable)
        self._n_steps = 0
        if include_probes:
            self.clear_probes()
        if include_processes:
            self._restart_processes()

    @require_open
    def soft_reset(
        self, include_trainable: bool = False, include_probes: bool = False
    ) -> None:
        """Deprecated; use `reset`."""
        warnings.warn(
            "Simulator.soft_reset is deprecated, use Simulator.reset",
            DeprecationWarning,
        )
        self.reset(
            include_trainable=include_trainable,
            include_probes=include_probes,
            include_processes=False,
        )

    def clear_probes(self) -> None:
        """Drop all recorded data."""
        for probe in self.model.probes:
            self.model.params[probe] = []

    def _restart_processes(self) -> None:
        program = self._tensor_graph.program
        self._feeds = FeedGenerator(program, self.minibatch_size, self._seed)
        self._tensor_graph.build_post(self._feeds.process_rngs)

    def trange(
        self, sample_every: float | None = None, dt: float | None = None
    ) -> np.ndarray:
        """
        Return the times of recorded data.

        Parameters
        ----------
        sample_every : float, optional
            Sampling period of the Probe in seconds; by default every step.
        dt : float, optional
            Deprecated; use ``sample_every``.

        Returns
        -------
        times : (n,) array
            In seconds; the first is that of the first step, ``dt``.
        """
        if dt is not None:
            if sample_every is not None:
                raise ValidationError(
                    "Cannot specify both `dt` and `sample_every`; use `sample_every`",
                    attr="dt",
                    obj=self,
                )
            warnings.warn(
                "`dt` is deprecated, use `sample_every`", DeprecationWarning
            )
            sample_every = dt
        period = 1 if sample_every is None else sample_every / self.dt
        steps = np.arange(1, self.n_steps + 1)
        return self.dt * steps[steps % period < 1]

    # -- life cycle -------------------------------------------------------------------

    def close(self) -> None:
        """Free the resources of the simulator; recorded data stay readable."""
        if self.closed is False:
            self.closed = True
            self._tensor_graph = None
            self._feeds = None

    @require_open
    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_value, traceback):
        self.close()

    def __del__(self):
        if self.closed is False:
            warnings.warn(
                f"Simulator with model={self.model} was deallocated while open. Close "
                "simulators (`sim.close()`, or a `with` block) to free their resources.",
                OpenSimulatorWarning,
            )
            self.close()

    def __getstate__(self) -> dict:
        state = {
            name: value
            for name, value in self.__dict__.items()
            if name not in ("_tensor_graph", "_feeds", "data")
        }
        state["minibatched"] = self.data.minibatched
        if not self.closed:
            state["arrays"] = self._tensor_graph.get_arrays()
        return state

    def __setstate__(self, state: dict) -> None:
        state = dict(state)
        arrays = state.pop("arrays", None)
        minibatched = state.pop("minibatched")
        self.__dict__.update(state)
        self.data = SimulationData(self, minibatched)
        if arrays is None:
            return
        self._tensor_graph = TensorGraph(
            self.model,
            self.dt,
            self.unroll,
            self.minibatch_size,
            self.device,
            seed=self._seed,
            optimize=self.optimize,
        )
        self._tensor_graph.build()
        self._tensor_graph.set_arrays(arrays)
        self._restart_processes()

    @contextmanager
    def _context(self) -> Iterator[None]:
        """Work on the simulator's device, with its type as Keras's default."""
        dtype = get_setting(self.model, "dtype", default="float32")
        before = keras.config.floatx()
        # Keras makes up its default policy at first use, from the type at that time
        keras.config.dtype_policy()
        keras.config.set_floatx(dtype)
        try:
            with tf.device(self.device):
                yield
        finally:
            keras.config.set_floatx(before)

    # -- of the past ------------------------------------------------------------------

    def train(self, *args, **kwargs):
        """Raise an error: the method of NengoDL 2 is called `fit`."""
        raise SimulationError(
            "Simulator.train has been deprecated, use Simulator.compile and "
            "Simulator.fit"
        )

    def loss(self, *args, **kwargs):
        """Raise an error: the method of NengoDL 2 is called `evaluate`."""
        raise SimulationError(
            "Simulator.loss has been deprecated, use Simulator.compile and "
            "Simulator.evaluate"
        )


class LiveSignals(Mapping):
    """
    Live values by Signal, for looking inside of a simulation.

    Signals that are computed afresh in every step are not kept, and not part of the
    mapping; record them with a Probe.

    Parameters
    ----------
    sim : Simulator
        The simulator.
    """

    def __init__(self, sim: Simulator):
        self._sim = sim

    def __getitem__(self, signal) -> np.ndarray:
        value = self._sim.tensor_graph.live_value(signal)
        if value is None:
            value = signal.initial_value
        if not self._sim.data.minibatched and value.ndim > signal.ndim:
            value = value[0]
        return np.asarray(value, dtype=signal.dtype)

    def __iter__(self) -> Iterator:
        return iter(self._sim.tensor_graph.kept_signals())

    def __len__(self) -> int:
        return len(self._sim.tensor_graph.kept_signals())


@contextmanager
def _float_bits(bits: str) -> Iterator[None]:
    """Let Nengo build with floats of so many bits."""
    before = nengo.rc.get("precision", "bits")
    nengo.rc.set("precision", "bits", bits)
    try:
        yield
    finally:
        nengo.rc.set("precision", "bits", before)


def _report_device(device: str | None) -> None:
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    if device is None:
        name = "CPU/GPU" if has_gpu else "CPU"
    else:
        name = "CPU" if "cpu" in device.lower() else "GPU"
    if device is None and not has_gpu:
        warnings.warn(
            "No GPU support detected: the simulation runs on the CPU. Pass "
            'device="/cpu:0" if this is intended, and to silence this warning.'
        )
    logger.info("Running on %s", name)
