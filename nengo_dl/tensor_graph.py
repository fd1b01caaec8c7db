"""
The compiled network as a Keras layer (stage 11 of the pipeline).

In: a built Nengo model. Out: `TensorGraph`, which owns the variables (parameters and
simulation state) and the `Engine` that runs the step.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace

import keras
import nengo
import numpy as np
import tensorflow as tf

from nengo_dl import (  # noqa: F401  (they fill the registry)
    learning_rule_builders,
    neuron_builders,
    op_builders,
    process_builders,
    transform_builders,
)
from nengo_dl.builder import BuildConfig
from nengo_dl.engine import Engine, Packing, constant_tensor
from nengo_dl.graph_optimizer import noop_planner
from nengo_dl.program import Settings, compile_model
from nengo_dl.step import Step
from nengo_dl.utils import ErrorBox, sanitize_name

logger = logging.getLogger(__name__)

# What is not available as a name of a Node or Probe.
RESERVED_NAMES = ("n_steps", "steps_run", "TensorGraph")


class LiveState(Mapping):
    """
    The values that simulation steps change: tensors, with variables to look at.

    The engine works on tensors, because the result of a failed run can then simply be
    dropped. Keras and users work on variables. Newer tensors are written into the
    variables when somebody asks for one; from then on, the variables count.

    Parameters
    ----------
    variables : dict of {str: variable}
        The variables by the key of their base array.
    packing : Packing
        How the engine joins them.
    """

    def __init__(self, variables: dict, packing: Packing):
        self._variables = variables
        self._packing = packing
        self._newer: list[tf.Tensor] | None = None

    def __getitem__(self, key: str):
        if self._newer is not None:
            values = self._packing.unpack(self._newer)
            for variable, value in zip(self._variables.values(), values):
                variable.assign(value)
            self._newer = None
        return self._variables[key]

    def __contains__(self, key) -> bool:
        return key in self._variables

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)

    def tensor(self, key: str) -> tf.Tensor:
        """Return the current value of one variable."""
        if self._newer is not None:
            return self._packing.take(self._newer, key)
        return tf.convert_to_tensor(self._variables[key])

    def packed(self) -> list[tf.Tensor]:
        """Return the current values, as the engine takes them."""
        if self._newer is not None:
            return self._newer
        return self._packing.pack([self.tensor(key) for key in self])

    def commit(self, packed: list[tf.Tensor]) -> None:
        """Replace the current values by those that the engine has returned."""
        self._newer = packed

    def assign(self, values: Mapping) -> None:
        """Replace the current values of some variables."""
        self._newer = self._packing.pack(
            [
                tf.constant(values[key]) if key in values else self.tensor(key)
                for key in self
            ]
        )


class TensorGraph(keras.layers.Layer):
    """
    A Nengo model as a Keras layer.

    Parameters
    ----------
    model : nengo.builder.Model
        The built network.
    dt : float
        Length of a simulation step in seconds.
    unroll_simulation : int
        Number of steps per iteration of the simulation loop.
    minibatch_size : int
        Number of items in a minibatch.
    device : str or None
        Device for all variables and operations, such as ``"/cpu:0"``.
    progress : ProgressBar, optional
        Told of the stages of the construction.
    seed : int
        Seed of random operations.
    optimize : bool
        If False, operators are neither simplified nor merged.

    Attributes
    ----------
    program : Program
        The compiled network.
    base_params : dict of {str: keras.Variable}
        Parameters, by the key of their base array.
    saved_state : LiveState
        Everything that steps change, by the key of its base array.
    """

    built: bool

    def __init__(
        self,
        model,
        dt: float,
        unroll_simulation: int,
        minibatch_size: int,
        device: str | None,
        progress=None,
        seed: int = 0,
        optimize: bool = True,
    ):
        settings = Settings.of(model)
        if not optimize:
            settings = replace(settings, planner=noop_planner, simplifications=())
        super().__init__(name="TensorGraph", dtype=settings.dtype)
        if settings.inference_only and settings.learning_phase:
            raise nengo.exceptions.BuildError(
                "The network is configured with `inference_only=True`, but "
                "`learning_phase=True` asks for its training version; change one of "
                "the two settings"
            )
        self.model = model
        self.dt = dt
        self.unroll = unroll_simulation
        self.minibatch_size = minibatch_size
        self.device = device
        self.seed = seed
        self.use_loop = settings.use_loop
        self.inference_only = settings.inference_only
        self.errors = ErrorBox()
        self.program = compile_model(model, settings, progress)
        self.step = self._make_step(training=bool(settings.learning_phase))
        self.supports_jit = self.step.pure
        self._constants: dict = {}
        self.base_params: dict = {}
        self.saved_state: LiveState
        logger.debug("%s", self.program)

    @property
    def plan(self) -> tuple:
        """The groups of operators in the order of execution."""
        return self.program.plan

    @property
    def signals(self):
        """The places of the signals."""
        return self.step.signals

    @property
    def op_builder(self):
        """The builders of the groups (in inference mode)."""
        return self.step.builder

    @property
    def invariant_inputs(self) -> dict:
        """The Nodes without input, and their outputs."""
        return {node: node.output for node in self.program.nodes}

    def _make_step(self, training: bool) -> Step:
        settings = self.program.settings
        config = BuildConfig(
            inference_only=self.inference_only,
            lif_smoothing=settings.lif_smoothing,
            cpu_only=self._cpu_only(),
            rng=np.random.RandomState(self.seed),
            training=training,
        )
        return Step(
            self.program,
            self.minibatch_size,
            config,
            self.errors,
            jit_compile=settings.jit_compile,
        )

    def _cpu_only(self) -> bool:
        if self.device is not None:
            return "cpu" in self.device.lower()
        return not tf.config.list_physical_devices("GPU")

    def build(self, input_shape=None) -> None:
        """Create the variables, and the engine."""
        if self.built:
            return
        layout = self.program.layout
        state = {}
        with tf.device(self.device):
            for key, array in layout.arrays.items():
                if array.kind != "state":
                    self.base_params[key] = self.add_weight(
                        name=key,
                        shape=array.full_shape(self.minibatch_size),
                        dtype=array.dtype,
                        initializer=lambda *_, key=key, **__: tf.constant(
                            self.initial_values(key)
                        ),
                        trainable=array.kind == "trainable",
                        autocast=False,
                    )
                elif key in self.program.constant:
                    value = self.initial_values(key)
                    self._constants[key] = constant_tensor(value, array)
            for key in self.program.carried:
                if key in self.base_params:
                    state[key] = self.base_params[key]
                else:
                    state[key] = tf.Variable(
                        self.initial_values(key), trainable=False, name=key
                    )
        self.engine = Engine(
            self.step,
            self.constants,
            jit_compile=self.step.compiles,
            unroll=self.unroll,
            use_loop=self.use_loop,
        )
        self.saved_state = LiveState(state, self.engine.packing)
        # what is wrong with the step is to be reported now, and not in the first run
        self.engine.function(self.engine.block_steps)
        self.built = True

    def initial_values(self, key: str) -> np.ndarray:
        """Return the initial value of a base array, including the minibatch axis."""
        array = self.program.layout.arrays[key]
        value = self.program.layout.initial_values(key)
        return np.array(
            np.broadcast_to(value, array.full_shape(self.minibatch_size)), order="C"
        )

    def constants(self) -> dict[str, tf.Tensor]:
        """Return the values of all base arrays that no operator writes."""
        values = {
            key: tf.convert_to_tensor(variable)
            for key, variable in self.base_params.items()
            if key in self.program.constant
        }
        values.update((k, tf.convert_to_tensor(v)) for k, v in self._constants.items())
        return values

    def reset(self, include_trainable: bool = True) -> None:
        """
        Return to the state at the time of construction.

        Parameters
        ----------
        include_trainable : bool
            If True, parameters return to their initial values as well, also those that
            learning rules have modified.
        """
        self.saved_state.assign(
            {
                key: self.initial_values(key)
                for key in self.saved_state
                if include_trainable or key not in self.base_params
            }
        )
        if include_trainable:
            for key, variable in self.base_params.items():
                if key not in self.saved_state:
                    variable.assign(self.initial_values(key))

    def commit(self, state: list[tf.Tensor], stateful: bool) -> None:
        """
        Keep the result of a run.

        Parameters
        ----------
        state : list of tf.Tensor
            What the engine returned.
        stateful : bool
            If False, only what learning rules have modified is kept.
        """
        if stateful:
            self.saved_state.commit(state)
            return
        learned = {
            key: self.engine.packing.take(state, key)
            for key in self.saved_state
            if key in self.base_params
        }
        if learned:
            self.saved_state.assign(learned)

    def build_post(self, process_rngs: dict) -> None:
        """
        (Re)start whatever lives outside of the compiled step.

        Parameters
        ----------
        process_rngs : dict of {SimProcess: list of numpy.random.RandomState}
            Random number generators for every item of the minibatch.
        """
        self.step.signals.process_rngs = process_rngs
        self.step.builder.build_post(self.step.signals)

    def rngs(self) -> list[np.random.RandomState]:
        """Return the random number generators of Python functions in the step."""
        builds = self.step.builder.op_builds.values()
        return [rng for build in builds for rng in build.rngs()]

    def get_arrays(self) -> dict[str, np.ndarray]:
        """Return the values of all variables by the key of their base array."""
        arrays = {key: self.saved_state.tensor(key) for key in self.saved_state}
        for key, variable in self.base_params.items():
            arrays.setdefault(key, tf.convert_to_tensor(variable))
        return {key: value.numpy() for key, value in arrays.items()}

    def set_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Set the values of all variables."""
        self.saved_state.assign(arrays)
        for key, variable in self.base_params.items():
            if key not in self.saved_state:
                variable.assign(arrays[key])

    def kept_signals(self) -> list:
        """Return the signals whose values are kept from step to step."""
        kept = {*self.saved_state, *self.base_params, *self._constants}
        return [
            signal
            for signal, (key, _, _) in self.program.layout.places.items()
            if key in kept
        ]

    def live_value(self, signal) -> np.ndarray | None:
        """
        Return the live value of a signal as an array; None if it was optimised away.

        Raises
        ------
        KeyError
            If the signal is computed afresh in every step.
        """
        if signal.base not in self.program.layout.places:
            return None
        return self.get_tensor(signal).numpy()

    def get_tensor(self, signal) -> tf.Tensor:
        """
        Return the live value of a signal.

        Parameters
        ----------
        signal : nengo.builder.Signal
            A signal of the model that is a parameter, constant, or part of the
            simulation state.

        Returns
        -------
        value : ``([minibatch_size,] ...)`` tensor

        Raises
        ------
        KeyError
            If the signal was optimised away, or is computed afresh in every step.
        """
        place = self.step.place(signal)
        key = place.key
        if key in self.saved_state:
            base = self.saved_state.tensor(key)
        elif key in self.base_params:
            base = tf.convert_to_tensor(self.base_params[key])
        elif key in self._constants:
            base = tf.convert_to_tensor(self._constants[key])
        else:
            raise KeyError(
                f"{signal} is computed afresh in every step, and not kept; use a Probe"
            )
        signals = self.step.signals
        signals.bases = {key: base}
        value = signals.gather(place)
        signals.reset()
        return value

    def build_inputs(self) -> tuple[dict, keras.KerasTensor]:
        """
        Create Keras inputs for the layer.

        Returns
        -------
        node_inputs : dict of {nengo.Node: (minibatch_size, None, size_out) KerasTensor}
            The outputs of the Nodes over time.
        n_steps : (minibatch_size, 1) KerasTensor
            The number of steps.
        """
        batch = self.minibatch_size
        names = io_names(self.program.nodes)
        inputs = {
            node: keras.Input(
                batch_shape=(batch, None, node.size_out),
                dtype=self.program.settings.dtype,
                name=names[node].replace("/", "_"),
            )
            for node in self.program.nodes
        }
        return inputs, keras.Input(
            batch_shape=(batch, 1), dtype="int32", name="n_steps"
        )


def io_names(objects) -> dict:
    """
    Name the inputs and outputs of a network.

    Parameters
    ----------
    objects : iterable of (nengo.Node or nengo.Probe)
        The objects in order; names are unique (ignoring case) among them, and none of
        them is in `RESERVED_NAMES`.

    Returns
    -------
    names : dict of {object: str}
        The sanitised label, or else the class name in lower case, with ``_k`` appended
        at the ``k``-th repetition.
    """
    taken = {name.lower() for name in RESERVED_NAMES}
    counts: dict[str, int] = {}
    names = {}
    for obj in objects:
        base = sanitize_name(obj.label or "") or type(obj).__name__.lower()
        count = counts.get(base.lower(), 0)
        name = f"{base}_{count}" if count else base
        while name.lower() in taken:
            count += 1
            name = f"{base}_{count}"
        counts[base.lower()] = count
        taken.add(name.lower())
        names[obj] = name
    return names
