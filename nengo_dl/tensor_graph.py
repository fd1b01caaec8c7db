"""
The compiled network as a Keras layer (stage 11 of the pipeline).

In: a built Nengo model. Out: `TensorGraph`, which has the variables of
`nengo_dl.execution.graph_variables`, and the `Engine` that runs the step.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from nengo_dl.config import get_setting
from nengo_dl.execution.engine import Engine, run_steps
from nengo_dl.execution.graph_variables import GraphVariables
from nengo_dl.execution.live_state import LiveState
from nengo_dl.execution.step import Step
from nengo_dl.graph.io_names import io_names
from nengo_dl.graph.program import Settings, compile_model
from nengo_dl.graph_optimizer import noop_planner
from nengo_dl.tensor_node import SimTensorNode, TensorNode, prepare_layers
from nengo_dl.utils import ErrorBox, describe_operator, numpy_function

logger = logging.getLogger(__name__)


class TensorGraph(GraphVariables):
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
    unused_values : dict of {nengo.builder.Signal: array}
        Parameters that were optimised away, as far as they are not as they were built.
    saved_state : LiveState
        Everything that steps change, by the key of its base array.
    tensor_node_layers : list of keras.layers.Layer
        The layers in TensorNodes, whose weights come after the parameters.
    keep_state : tf.Variable
        Whether the state at the end of a `call` is kept.
    make_noise : callable
        Maps a number of steps to the values of all processes without input, a list of
        ``(minibatch_size, n_steps, size)`` arrays; to be set before any `call`.
    """

    make_noise: Callable[[int], list[np.ndarray]]

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
        super().__init__(
            name="TensorGraph",
            dtype=settings.dtype,
            trainable=not settings.inference_only,
        )
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
        # a list attribute, so that Keras finds the weights
        self.tensor_node_layers = self._prepare_layers()
        self._initial_weights = [
            layer.get_weights() for layer in self.tensor_node_layers
        ]
        self.step = self._make_step(training=bool(settings.learning_phase))
        self._warn_of_python()
        # only steps that are trained are compiled along with a model around them
        self.supports_jit = self.step.pure and not self._noise_feeds()
        self.stateful = get_setting(model, "stateful", default=True)
        self._training_steps: int | None = None
        self._training_keeps_state: bool | None = None
        self._steps: dict[tuple[bool, bool], Step] = {}
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

    @property
    def tensor_nodes(self) -> dict:
        """The TensorNodes that hold Keras layers, and the layers."""
        network = self.model.toplevel
        return {
            node: node.tensor_func
            for node in (() if network is None else network.all_nodes)
            if isinstance(node, TensorNode)
            and isinstance(node.tensor_func, keras.layers.Layer)
        }

    @property
    def trainable(self) -> bool:
        """Whether anything is trained."""
        return super().trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        # `inference_only` is no reason to change the user's layers for good
        if not self.inference_only:
            keras.layers.Layer.trainable.fset(self, value)

    def _prepare_layers(self) -> list[keras.layers.Layer]:
        operators = [op for op in self.model.operators if isinstance(op, SimTensorNode)]
        with tf.device(self.device):
            return prepare_layers(operators, self.minibatch_size, self.compute_dtype)

    def _make_step(self, training: bool, is_plain: bool = False) -> Step:
        settings = self.program.settings
        jit_compile = settings.jit_compile
        if is_plain and jit_compile == "auto":
            # a single step, of a feed-forward network, trains faster without XLA;
            # replicas have variables where XLA cannot reach them
            jit_compile = False
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
            jit_compile=jit_compile,
        )

    def _warn_of_python(self) -> None:
        """Warn of all that calls Python, except TensorNodes, which do so on purpose."""
        names = [
            describe_operator(op)
            for ops, build in self.op_builder.op_builds.items()
            if not build.pure and not isinstance(ops[0], SimTensorNode)
            for op in ops
        ]
        if names:
            more = f", and {len(names) - 3} more" if len(names) > 3 else ""
            warnings.warn(
                "Python is called in every step, as there is no native TensorFlow "
                f"implementation of {', '.join(names[:3])}{more}. It runs slower, not "
                "on a GPU, and no gradient flows through it in training. To change "
                "that, write functions as TensorNodes, and add TFNeuronBuilders for "
                "neurons to `SimNeuronsBuilder.TF_NEURON_IMPL`."
            )

    def _cpu_only(self) -> bool:
        if self.device is not None:
            return "cpu" in self.device.lower()
        return not tf.config.list_physical_devices("GPU")

    def build(self, input_shape=None) -> None:
        """Create the variables, and the engine."""
        if self.built:
            return
        state = self._create_variables()
        with tf.device(self.device):
            self.keep_state = tf.Variable(False, trainable=False)
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

    def build_post(self, process_rngs: dict) -> None:
        """
        (Re)start whatever lives outside of the compiled step.

        Parameters
        ----------
        process_rngs : dict of {SimProcess: list of numpy.random.RandomState}
            Random number generators for every item of the minibatch.
        """
        for step in self._all_steps():
            step.signals.process_rngs = process_rngs
            step.builder.build_post(step.signals)

    def rngs(self) -> list[np.random.RandomState]:
        """Return the random number generators of Python functions in the step."""
        return [
            rng
            for step in self._all_steps()
            for build in step.builder.op_builds.values()
            for rng in build.rngs()
        ]

    def _all_steps(self) -> list[Step]:
        return [self.step, *self._steps.values()]

    # -- as a layer -------------------------------------------------------------------

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

    def compute_output_spec(self, inputs, training=None) -> list:
        """Return the shapes of what `call` returns, without a trace of the step."""
        specs = []
        for probe, signal in self.program.probes.items():
            place = self.step.place(signal)
            n_steps = None if self.program.keeps_history(probe) else 1
            batch = self.minibatch_size if place.minibatched else 1
            shape = place.full_shape[1:] if place.minibatched else place.full_shape
            specs.append(keras.KerasTensor((batch, n_steps, *shape), place.dtype))
        return [*specs, keras.KerasTensor((self.minibatch_size,), "int32")]

    def call(self, inputs, training=None) -> list[tf.Tensor]:
        """
        Simulate, from the current state on.

        Parameters
        ----------
        inputs : list of tensor
            The outputs of the `program`'s Nodes, ``(minibatch_size, n_steps,
            size_out)`` each, and last the number of steps, ``(minibatch_size, 1)``.
        training : bool, optional
            Whether to simulate the training version of the network, through which
            gradients flow. The configured ``learning_phase`` comes first.

        Returns
        -------
        outputs : list of tensor
            ``(minibatch_size or 1, n_steps, ...)`` values of every Probe, and last the
            number of steps, ``(minibatch_size,)``.

        Notes
        -----
        What learning rules learn is kept. The rest of the state at the end is kept if
        the variable `keep_state` is True at the time.
        """
        carried, outputs = self.simulate(inputs, training)
        keep = self._training_keeps_state if training else None
        self._update_state(carried, self.keep_state if keep is None else keep)
        return outputs

    def simulate(self, inputs, training: bool | None = None):
        """
        Simulate, as in `call`, without any change of the state.

        Returns
        -------
        carried : list of tensor
            The values of `saved_state` at the end.
        outputs : list of tensor
            What `call` returns.
        """
        *node_values, n_steps = inputs
        with tf.init_scope():
            self.saved_state.write_through()
        n_steps = self._number_of_steps(node_values, n_steps, bool(training))
        is_training = self.is_training(training)
        feeds = self._gather_feeds(node_values, n_steps)
        carried = [tf.convert_to_tensor(v) for v in self._state_list()]
        is_distributed = tf.distribute.get_strategy().num_replicas_in_sync > 1
        if training or is_training or is_distributed:
            # (XLA cannot differentiate the functions of the engine, which belong to the
            # first replica)
            is_single = isinstance(n_steps, int) and n_steps == 1
            step = self._uncompiled_step(is_training, is_single or is_distributed)
            step.start(self.constants())
            carried, outputs = run_steps(
                step, carried, feeds, n_steps, n_steps, self.unroll
            )
        else:
            packing = self.engine.packing
            state, outputs = self.engine.run(packing.pack(carried), feeds, n_steps)
            carried = packing.unpack(state)
        if self.step.adds_losses:
            *outputs, losses = outputs
            self.add_loss(tf.reduce_mean(losses))
        steps_run = tf.fill([self.minibatch_size], n_steps)
        return carried, [*self._with_batch_first(outputs), steps_run]

    def is_training(self, training: bool | None) -> bool:
        """Return whether a call simulates the training version of the network."""
        learning_phase = self.program.settings.learning_phase
        is_training = bool(training if learning_phase is None else learning_phase)
        if is_training and self.inference_only:
            raise nengo.exceptions.BuildError(
                "The network is configured with `inference_only=True`: it has no "
                "training version; call with `training=False`, or remove the setting"
            )
        return is_training

    @contextmanager
    def known_training(self, n_steps: int | None, keep_state: bool) -> Iterator[None]:
        """
        Return a context in which traces of training need not find out some facts.

        Parameters
        ----------
        n_steps : int or None
            The number of steps, if it is known. Only networks without input need to be
            told, as others have it in the shape of the input.
        keep_state : bool
            The value of the variable `keep_state`.
        """
        before = self._training_steps, self._training_keeps_state
        self._training_steps, self._training_keeps_state = n_steps, keep_state
        try:
            yield
        finally:
            self._training_steps, self._training_keeps_state = before

    def compiles_training(self, n_steps: int) -> bool:
        """
        Return whether it is worth it to compile whole batches of training with XLA.

        It is for many steps, where most of the time is spent on launching operations.
        """
        return self.supports_jit and self.step.compiles and n_steps > 1

    def _number_of_steps(self, node_values, n_steps, training: bool):
        """Return the number of steps: an int wherever shapes or settings tell."""
        if not self.use_loop:
            return self.unroll
        for value in node_values:
            return value.shape[1] or tf.shape(value)[1]
        if training and self._training_steps is not None:
            return self._training_steps
        return tf.cast(n_steps[0, 0], tf.int32)

    def _noise_feeds(self) -> list:
        """Return the feeds that are no inputs of the layer."""
        nodes = set(self.program.nodes)
        return [feed for feed in self.program.feeds if feed.source not in nodes]

    def _gather_feeds(self, node_values, n_steps) -> list[tf.Tensor]:
        """Return the values of all feeds: inputs of the layer, and processes."""
        dtype = self.step.signals.dtype
        values = dict(zip(self.program.nodes, node_values))
        noise_feeds = self._noise_feeds()
        if noise_feeds:
            noise = numpy_function(
                self.make_noise,
                [n_steps],
                [dtype] * len(noise_feeds),
                None,
                self.errors,
            )
            values.update((feed.source, v) for feed, v in zip(noise_feeds, noise))
        batch = self.minibatch_size
        return [
            tf.ensure_shape(
                tf.cast(values[feed.source], dtype), (batch, None, feed.signal.size)
            )
            for feed in self.program.feeds
        ]

    def _uncompiled_step(self, training: bool, is_plain: bool) -> Step:
        """Return a step for functions that Keras compiles, or nobody does."""
        key = (training, is_plain)
        if key not in self._steps:
            with warnings.catch_warnings():
                # the same warnings as for the inference step
                warnings.simplefilter("ignore")
                step = self._make_step(training, is_plain)
                step.signals.process_rngs = self.step.signals.process_rngs
                step.builder.build_post(step.signals)
                self._steps[key] = step
        return self._steps[key]

    def _state_list(self) -> list:
        return [self.saved_state[key] for key in self.saved_state]

    def _update_state(self, carried, keep) -> None:
        """Keep what was learned, and if ``keep`` is true the rest of the state."""
        updates = 0
        for key, value in zip(self.saved_state, carried):
            variable = self.saved_state[key]
            if key in self.base_params:
                variable.assign(value)
            elif self.stateful and keep is not False:
                variable.assign(tf.where(keep, value, variable))
            else:
                continue
            updates += 1
        logger.info("Number of state updates: %d", updates)

    def _with_batch_first(self, outputs) -> list[tf.Tensor]:
        """Bring the values of all probes into the shape ``(batch, n_steps, ...)``."""
        batch_first = []
        for signal, output in zip(self.program.probes.values(), outputs):
            if not self.step.place(signal).minibatched:
                batch_first.append(output[None])
            elif output.shape[0] == 1:
                # cheaper, above all its gradient
                batch_first.append(tf.reshape(output, (-1, 1, *output.shape[2:])))
            else:
                order = [1, 0, *range(2, output.shape.rank)]
                batch_first.append(tf.transpose(output, order))
        return batch_first
