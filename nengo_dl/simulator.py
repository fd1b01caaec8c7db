"""
The user's side: a drop-in replacement for `nengo.Simulator`.

In: a Nengo network, and the data of the user. Out: recorded data and parameters, by
Nengo object. What users pass in is checked by `nengo_dl.simulation.inputs`, and by
`nengo_dl.training` if it is for Keras.
"""

from __future__ import annotations

import logging
import warnings
from contextlib import ExitStack
from functools import partial
from typing import Any, NoReturn

import nengo
import numpy as np
from nengo.exceptions import (
    ReadonlyError,
    SimulationError,
    SimulatorClosed,
    ValidationError,
)
from nengo.utils.numpy import maxint
from nengo.utils.simulator import operator_dependency_graph

from nengo_dl.builder import build_model
from nengo_dl.config import Settings
from nengo_dl.graph.io_names import io_names
from nengo_dl.parameters import ParameterMethods
from nengo_dl.simulation.device import (
    check_device,
    check_tensorflow,
    report_device,
    working_context,
)
from nengo_dl.simulation.inputs import inputs_by_node
from nengo_dl.simulation.live_data import LiveSignals, SimulationData
from nengo_dl.simulation.partial_reset import reset_parts
from nengo_dl.simulation.recording import Recording
from nengo_dl.simulation.simulation import BUILD_STAGES, Simulation
from nengo_dl.simulation.steps import steps_of_time, whole_iterations
from nengo_dl.tensor_graph import TensorGraph
from nengo_dl.training.methods import KerasMethods
from nengo_dl.training.trainer import Trainer
from nengo_dl.utils import (
    NullProgressBar,
    Stopwatch,
    as_number,
    is_integer,
    progress_bar_for,
    require_open,
    shortens_tracebacks,
)
from nengo_dl.utils.removed import RemovedAttribute

logger = logging.getLogger(__name__)


class OpenSimulatorWarning(RuntimeWarning, ResourceWarning):
    """A simulator was deallocated without having been closed."""


class Simulator(KerasMethods, ParameterMethods):
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
        default, and, with a warning, where there is no such device.
    unroll_simulation : int
        Number of steps per iteration of the simulation loop, of which all runs are
        multiples. There is nothing to gain from it if XLA compiles the loop. Otherwise,
        the time and memory that it takes to build grow with it (minutes and gigabytes
        for hundreds of operators that are not merged, say).
    minibatch_size : int, optional
        Number of items that are simulated at once. By default one, and recorded data
        have no minibatch axis.
    progress_bar : bool or nengo.utils.progress.ProgressBar
        Whether to show progress on the standard output. (To keep it out of the output
        of a program, pass False, or set ``progress_bar = none`` in the section
        ``[progress]`` of Nengo's configuration file.)
    optimize : bool
        If False, operators are neither simplified nor merged. This builds and runs much
        slower, and helps to find out what goes wrong in a custom operator.

    Attributes
    ----------
    model : nengo.builder.Model
        The built network.
    data : SimulationData
        Recorded data and parameters by Nengo object.
    closed : bool or None
        Whether the simulator is closed; None until it has been built.

    Raises
    ------
    nengo.exceptions.ValidationError
        If an argument has a wrong type or an impossible value.

    Notes
    -----
    What functions of the network raise arrives as it is, with a traceback from the call
    of the simulator to the function. ``nengo.rc["exceptions"]["simplified"] = "False"``
    keeps what is in between.
    """

    # also where the construction has failed, or of a damaged pickle
    closed: bool | None = None

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
        self._check_arguments(network, model, unroll_simulation, minibatch_size)
        _check_dt(dt, model)
        if not isinstance(optimize, (bool, np.bool_)):
            raise ValidationError(
                f"must be True or False (received {optimize!r})", "optimize"
            )
        progress_bar_for(progress_bar)  # (checks it)
        self.progress_bar = progress_bar
        if seed is None:
            if network is not None and network.seed is not None:
                seed = network.seed + 1
            else:
                seed = np.random.randint(maxint)
        _check_seed(seed)
        check_device(device)
        report_device(device)
        check_tensorflow()

        times = Stopwatch(BUILD_STAGES)
        with times.measure("build"), self._progress("Building network", "Build") as bar:
            self.model = build_model(network, dt, model, progress=bar)
        settings = Settings.of(
            self.model,
            unroll=int(unroll_simulation),
            minibatch_size=1 if minibatch_size is None else int(minibatch_size),
            device=device,
            seed=seed,
            optimize=optimize,
        )
        self._simulation = Simulation(self.model, settings, self._progress, times)
        program = self._simulation.tensor_graph.program
        self._names = io_names([*program.nodes, *program.probes])
        self.recording = Recording(program)
        self.clear_probes()
        self._trainer = self._make_trainer()
        self.data = SimulationData(self, minibatched=minibatch_size is not None)
        self._with_block = ExitStack()
        self.closed = False

    @staticmethod
    def _check_arguments(
        network: Any, model: Any, unroll_simulation: Any, minibatch_size: Any
    ) -> None:
        if network is None and model is None:
            raise ValidationError(
                "There is nothing to simulate: pass a network, or a built model",
                attr="network",
            )
        for name, value, kind in (
            ("network", network, nengo.Network),
            ("model", model, nengo.builder.Model),
        ):
            if value is not None and not isinstance(value, kind):
                raise ValidationError(
                    f"must be a `nengo.{kind.__qualname__}` or None (received "
                    f"{value!r})",
                    attr=name,
                )
        for name, value in (
            ("unroll_simulation", unroll_simulation),
            ("minibatch_size", minibatch_size),
        ):
            if value is None and name == "minibatch_size":
                continue
            if not is_integer(value) or value < 1:
                raise ValidationError(
                    f"`{name}` must be an integer of at least 1 (received {value!r})",
                    attr=name,
                )

    def _progress(self, present: str, past: str) -> NullProgressBar:
        last = past == "Construction"
        return progress_bar_for(self.progress_bar, present, past, None, last)

    def _make_trainer(self) -> Trainer:
        texts = ("Compiling", "Compilation")
        make_bar = partial(progress_bar_for, self.progress_bar, *texts, max_value=None)
        return Trainer(self._simulation, self._names, make_bar)

    # -- attributes -------------------------------------------------------------------

    @property
    def tensor_graph(self) -> TensorGraph:
        """
        The compiled network.

        Raises
        ------
        nengo.exceptions.SimulatorClosed
            If the simulator is closed.
        """
        if self.closed:
            raise SimulatorClosed(
                "Cannot access Simulator.tensor_graph: the simulator is closed"
            )
        return self._simulation.tensor_graph

    @property
    def dt(self) -> float:
        """Length of a simulation step in seconds."""
        return self.model.dt

    @dt.setter
    def dt(self, value: Any) -> None:
        raise ReadonlyError(attr="dt", obj=self)

    @property
    def seed(self) -> int:
        """Seed of everything random in the simulation."""
        return self._simulation.seed

    @property
    def rng(self) -> np.random.RandomState:
        """
        The generator that has drawn the seeds of processes, as `nengo.Simulator` does.

        It starts again from `seed` in `reset`.

        Raises
        ------
        nengo.exceptions.SimulatorClosed
            If the simulator is closed.
        """
        if self.closed:
            raise SimulatorClosed(
                "Cannot access Simulator.rng: the simulator is closed"
            )
        return self.tensor_graph.feeds.rng

    @property
    def dg(self) -> dict:
        """The operators of the model that depend on each of them, as Nengo built it."""
        return operator_dependency_graph(self.model.operators)

    @property
    def minibatch_size(self) -> int:
        """Number of items that are simulated at once."""
        return self._simulation.settings.minibatch_size

    @property
    def unroll(self) -> int:
        """Number of steps per iteration of the simulation loop."""
        return self._simulation.settings.unroll

    @property
    def device(self) -> str | None:
        """Where to simulate; None if TensorFlow decides."""
        return self._simulation.settings.device

    @property
    def stateful(self) -> bool:
        """Whether state is kept between calls; see `nengo_dl.configure_settings`."""
        return self._simulation.settings.stateful

    @property
    def optimize(self) -> bool:
        """Whether operators are simplified and merged."""
        return self._simulation.settings.optimize

    @property
    def n_steps(self) -> int:
        """Number of steps simulated so far."""
        return self._simulation.n_steps

    @property
    def time(self) -> float:
        """Simulated time in seconds."""
        return float(self.n_steps * self.dt)

    @property
    def build_times(self) -> Stopwatch:
        """
        Seconds from the network to the first step, by stage; can be printed.

        ``build``
            Nengo's build: decoders are solved, encoders drawn.
        ``inputs``, ``marks``, ``simplify``, ``plan``, ``order``, ``layout``
            Optimization, stage by stage of the pipeline (``docs/architecture.rst``).
        ``step``
            What is prepared for traces: feeds, layers in TensorNodes, builders.
        ``variables``
            Parameters and state become variables of TensorFlow.
        ``trace``
            The step is traced, for a full-size block when the simulator is created, and
            again in the first run that needs another size.
        ``compile``
            The first call of what has been traced, in the first run. XLA compiles it in
            this call, which also simulates a block of steps.

        Keras compiles training, which is not among these. A simulator that was pickled
        has the times of its own construction, without a build.
        """
        return self._simulation.build_times

    @property
    def signals(self) -> LiveSignals | None:
        """
        Live values by Signal (those that are kept from step to step).

        As in `nengo.Simulator`, they can be changed: ``sim.signals[signal] = value``.
        """
        if self.closed:
            return None
        return LiveSignals(self._simulation, self.data.minibatched)

    @property
    def step_order(self) -> list:
        """The operators of the model in the order of execution."""
        return [op for group in self.tensor_graph.plan for op in group]

    def get_name(self, obj: nengo.Node | nengo.Probe) -> str:
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

    @shortens_tracebacks
    def run(self, time_in_seconds: float, **kwargs: Any) -> None:
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
            If the time is no number, negative, not finite, or too long.
        """
        steps = steps_of_time(time_in_seconds, self.dt)
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

    @shortens_tracebacks
    def step(self, **kwargs: Any) -> None:
        """
        Simulate one step (``unroll_simulation`` steps, if that is more).

        Parameters
        ----------
        kwargs
            Passed on to `run_steps`.
        """
        kwargs.setdefault("progress_bar", False)
        self.run_steps(self.unroll, **kwargs)

    @shortens_tracebacks
    @require_open
    def run_steps(
        self,
        n_steps: int,
        data: Any = None,
        progress_bar: Any = None,
        stateful: bool = True,
    ) -> None:
        """
        Simulate some steps, and add what the Probes record to ``data``.

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
        tensor_graph = self.tensor_graph
        n_steps = whole_iterations(n_steps, self.unroll, tensor_graph.use_loop)
        names = {node: self._names[node] for node in tensor_graph.program.nodes}
        given = inputs_by_node(data, names, self._simulation.settings, n_steps)
        if n_steps == 0:
            return
        if progress_bar is None:
            progress_bar = self.progress_bar
        self._trainer.check_one_step(n_steps, self.stateful)
        bar = progress_bar_for(progress_bar, "Simulating", "Simulation", n_steps)
        keep_state = stateful and self.stateful
        self.recording.extend(self._simulation.run(n_steps, given, keep_state, bar))

    # -- state ------------------------------------------------------------------------

    @require_open
    def reset(
        self,
        seed: int | None = None,
        include_trainable: bool = True,
        include_probes: bool | None = None,
        include_processes: bool = True,
        objects: Any = None,
        items: Any = None,
    ) -> None:
        """
        Return to the state at the time of construction, as a whole or in part.

        With ``objects`` or ``items``, a part of the state returns to its beginning in
        mid-run: time goes on, and recorded data are kept.

        Parameters
        ----------
        seed : int, optional
            New seed of everything random, except for operations of TensorFlow that
            draw random numbers in functions of TensorNodes. Not for a part.
        include_trainable : bool
            Whether parameters return to their initial values, including those that
            learning rules have modified.
        include_probes : bool, optional
            Whether recorded data are dropped: by default if all of the state returns,
            which is the only case in which they can be.
        include_processes : bool
            Whether processes, and all else that is random, start again.
        objects : object or list of object, optional
            Whose state returns to its beginning; by default that of all.

            - `nengo.Ensemble`, `nengo.ensemble.Neurons`: voltages and all other state
              of the neurons, and their noise. Parameters: the encoders (of Ensembles),
              and the biases.
            - `nengo.Connection`: the synapse, and what learning rules remember (also
              as `nengo.connection.LearningRule`). Parameters: the weights.
            - `nengo.Node`: its process, the value of a constant output that `signals`
              has changed, or the states of recurrent Keras layers with
              ``stateful=True``. Parameters: the weights of a Keras layer.
            - `nengo.Probe`: its synapse.
            - `nengo.Process`, or a synapse: all that it does in the network, wherever
              this very object is used.
            - `nengo.Network`: all that is in it.
        items : list of int, optional
            Items of the minibatch that return to their beginning; by default, all. What
            all items share stays as it is: parameters that no learning rule modifies,
            weights of Keras layers, and what Python functions remember.

        Raises
        ------
        nengo.exceptions.ValidationError
            If an object is not part of the network, there is no such item, or an item
            is there twice. Nothing has changed then.
        nengo.exceptions.SimulationError
            If a part is to be reset while a method of the simulator is running.

        Notes
        -----
        Processes that start again draw the numbers that they drew at first. Of a part,
        other random numbers go on: those of neurons follow from the seed and the number
        of the step (unless they run in Python), and operators of other packages have
        one generator for each item. What a function of a Node remembers does not
        change.
        """
        if objects is not None or items is not None:
            if seed is not None or include_probes:
                name = "include_probes" if seed is None else "seed"
                value = include_probes if seed is None else seed
                raise ValidationError(
                    "is for all of the state, not for some `objects` or `items` "
                    f"(received {value!r}); call `reset` without these, or without it",
                    attr=name,
                )
            reset_parts(
                self._simulation, objects, items, include_trainable, include_processes
            )
            return
        if seed is not None:
            _check_seed(seed)
            warnings.warn(
                "Changing the seed does not affect TensorFlow operations that draw "
                "random numbers in functions of TensorNodes; create a new Simulator to "
                "change all seeds"
            )
            self._simulation.seed = seed
        self._simulation.reset(include_trainable, include_processes)
        if include_probes is None or include_probes:
            self.clear_probes()

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
        self.recording.clear()
        self.model.params.update(self.recording.chunks)

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

        Raises
        ------
        nengo.exceptions.ValidationError
            If there are both, ``dt`` and ``sample_every``.
        """
        if dt is not None:
            if sample_every is not None:
                raise ValidationError(
                    "Cannot specify both `dt` and `sample_every`; use `sample_every`",
                    attr="dt",
                    obj=self,
                )
            warnings.warn("`dt` is deprecated, use `sample_every`", DeprecationWarning)
            sample_every = dt
        period = 1 if sample_every is None else sample_every / self.dt
        steps = np.arange(1, self.n_steps + 1)
        return self.dt * steps[steps % period < 1]

    # -- life cycle -------------------------------------------------------------------

    def close(self) -> None:
        """
        Free the resources of the simulator.

        Recorded data stay readable, and so do the parameters of ensembles and
        connections, as they are now.

        Raises
        ------
        nengo.exceptions.SimulationError
            If a method of the simulator is running, in a callback of which this is.
        """
        if self.closed is False:
            self._simulation.check_not_during("close the simulator")
            self.data.keep()
            self._free()

    def _free(self) -> None:
        self.closed = True
        self._trainer.close()
        self._simulation.close()

    @require_open
    def __enter__(self) -> Simulator:
        # TF32 is turned off for our own calls only
        dtype = self._simulation.settings.dtype
        self._with_block.enter_context(working_context(self.device, dtype))
        return self

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        try:
            self._with_block.close()
        finally:
            self.close()

    def __del__(self) -> None:
        if self.closed is False:
            self._free()
            warnings.warn(
                f"Simulator with model={self.model} was deallocated while open. Close "
                "it (with `sim.close()`, or a `with` block) to free its resources.",
                OpenSimulatorWarning,
            )

    def __getstate__(self) -> dict[str, Any]:
        state = {
            **self.__dict__,
            "minibatched": self.data.minibatched,
            "kept": self.data.kept,
        }
        # what belongs to Keras stays behind; the copy has to be compiled again
        for name in ("data", "_with_block", "_trainer"):
            del state[name]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        closed = state.pop("closed")
        self.data = SimulationData(self, state.pop("minibatched"))
        self.data.kept = state.pop("kept", None)
        self._with_block = ExitStack()
        self.__dict__.update(state)
        if not closed:
            self._trainer = self._make_trainer()
        self.closed = closed

    # -- of the past ------------------------------------------------------------------

    run_batch = RemovedAttribute("3; use `Simulator.predict_on_batch`")
    sess = RemovedAttribute(
        "3, as TensorFlow 2 has no sessions; values of parameters are in "
        "`Simulator.data`, and variables in `Simulator.keras_model.weights`"
    )
    training_step = RemovedAttribute(
        "3; the number of updates is `Simulator.keras_model.optimizer.iterations`"
    )

    def train(self, *args: Any, **kwargs: Any) -> NoReturn:
        """
        Raise an error: the method of NengoDL 2 is called `fit`.

        Parameters
        ----------
        *args, **kwargs
            Anything.

        Raises
        ------
        nengo.exceptions.SimulationError
            Always.
        """
        raise SimulationError(
            "Simulator.train has been deprecated, use Simulator.compile and "
            "Simulator.fit"
        )

    def loss(self, *args: Any, **kwargs: Any) -> NoReturn:
        """
        Raise an error: the method of NengoDL 2 is called `evaluate`.

        Parameters
        ----------
        *args, **kwargs
            Anything.

        Raises
        ------
        nengo.exceptions.SimulationError
            Always.
        """
        raise SimulationError(
            "Simulator.loss has been deprecated, use Simulator.compile and "
            "Simulator.evaluate"
        )


def _check_dt(dt: Any, model: nengo.builder.Model | None) -> None:
    """Check the length of a step, which is that of the model if there is one."""
    number = as_number(dt, "dt")
    # what is smaller or larger has no inverse in single precision; models that are made
    # by hand need no time
    limits = np.finfo("float32")
    low = float(limits.tiny) if model is None else 0.0
    used = number if model is None else model.dt
    if not low <= used <= float(limits.max):
        raise ValidationError(
            f"must be a positive, finite number of seconds, at least {limits.tiny:.2g} "
            f"(received {used!r})",
            "dt",
        )


def _check_seed(seed: Any) -> None:
    if not is_integer(seed) or not 0 <= seed < 2**32:
        raise ValidationError(
            f"must be an integer from 0 to 2**32 - 1 (received {seed!r})", "seed"
        )
