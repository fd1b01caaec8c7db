"""
The compiled network as a Keras layer (stage 11 of the pipeline).

In: a built Nengo model. Out: `TensorGraph`, which has its ``Variables``, and the
``Engine`` that runs the step.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NoReturn

import keras
import nengo
import numpy as np
import tensorflow as tf
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal

from nengo_dl.builder import BuildConfig, Builder
from nengo_dl.config import Settings
from nengo_dl.execution.engine import MIN_LAYERWISE_STEPS, Engine
from nengo_dl.execution.feeds import FeedGenerator
from nengo_dl.execution.lengths import Lengths
from nengo_dl.execution.loop import run_steps
from nengo_dl.execution.places import place_of
from nengo_dl.execution.recomputation import RecomputedStep
from nengo_dl.execution.sections import LayerwiseSteps
from nengo_dl.execution.step import Step
from nengo_dl.execution.variables import Variables
from nengo_dl.graph.io_names import io_names
from nengo_dl.graph.program import compile_model
from nengo_dl.graph.section_choice import loops_are_light
from nengo_dl.signals import SignalDict
from nengo_dl.tensor_node import SimTensorNode, TensorNode, prepare_layers
from nengo_dl.tensor_node.seeds import seeded_building
from nengo_dl.utils import (
    GARBAGE_COLLECTION,
    ErrorBox,
    Stopwatch,
    describe_operator,
    keras_names,
    listed,
    numpy_function,
    without_warnings,
)

logger = logging.getLogger(__name__)

# XLA compiles the gradients of programs of no more groups than this by itself. It takes
# longer by the square of their number (of unlike ensembles in a row: 3 seconds for 17
# groups, 11 for 47, 40 for 87), where TensorFlow needs 8 seconds for 87. Steps of more
# groups are computed once more for their gradients (see `RecomputedStep`).
MAX_COMPILED_GROUPS = 50

NOT_WHOLE = (
    "The Keras model of a Simulator cannot be saved, copied or described as a whole: "
    "Keras does not know the network. Save its weights (`Simulator.save_params`, or "
    "`save_weights_only=True` and a name that ends with '.weights.h5' for "
    "`ModelCheckpoint`), and load them into a Simulator of the same network."
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
        Told when the model is compiled, and when the step is.
    seed : int
        Seed of everything random.
    optimize : bool
        If False, operators are neither simplified nor merged.
    times : Stopwatch, optional
        Measures all stages, from ``inputs`` to ``compile``.

    Attributes
    ----------
    program : Program
        The compiled network.
    feeds : FeedGenerator
        What is fed into the step: outputs of Nodes, and noise.
    step : Step
        The step, in inference mode.
    engine : Engine
        Compiled loops over the step; after `build`.
    values : Variables
        Parameters and state; after `build`.
    tensor_node_layers : list of keras.layers.Layer
        The layers in TensorNodes, whose weights come after the parameters.

    Raises
    ------
    nengo.exceptions.BuildError
        If ``inference_only`` and ``learning_phase`` are both configured to be True.
    """

    built: bool
    values: Variables
    engine: Engine

    def __init__(
        self,
        model: nengo.builder.Model,
        dt: float,
        unroll_simulation: int,
        minibatch_size: int,
        device: str | None,
        progress: Any = None,
        seed: int = 0,
        optimize: bool = True,
        times: Stopwatch | None = None,
    ):
        settings = Settings.of(
            model,
            unroll=unroll_simulation,
            minibatch_size=minibatch_size,
            device=device,
            seed=seed,
            optimize=optimize,
        )
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
        self.errors = ErrorBox()
        self._times = Stopwatch() if times is None else times
        with self._times.measure("step"):
            # (a list attribute, so that Keras finds the weights) What is known of them
            # decides which operators compute many steps at once.
            self.tensor_node_layers = self._prepare_layers(settings)
        # hardly anything becomes garbage, which takes half of the time to find out
        with GARBAGE_COLLECTION.fixed(False):
            self.program = compile_model(model, settings, self._times)
        if progress is not None:
            progress.step()
        with self._times.measure("step"):
            self.feeds = FeedGenerator(self.program)
            self.step = self._make_step(training=bool(settings.learning_phase))
        if progress is not None:
            progress.step()
        self._warn_of_python()
        # only steps that are trained are compiled along with a model around them
        missing = self.feeds.missing(self.program.nodes)
        self.supports_jit = self.step.can_compile and not missing
        self._steps: dict[tuple[bool, bool], Step] = {}
        self._layerwise: dict[tuple[Step, int], LayerwiseSteps] = {}
        self._recomputed: dict[Step, RecomputedStep] = {}
        logger.debug("%s", self.program)

    @property
    def settings(self) -> Settings:
        """How the network was compiled."""
        return self.program.settings

    @property
    def unroll(self) -> int:
        """Number of steps per iteration of the simulation loop."""
        return self.settings.unroll

    @property
    def minibatch_size(self) -> int:
        """Number of items in a minibatch."""
        return self.settings.minibatch_size

    @property
    def device(self) -> str | None:
        """Device for all variables and operations."""
        return self.settings.device

    @property
    def seed(self) -> int:
        """Seed of everything random."""
        return self.settings.seed

    @property
    def use_loop(self) -> bool:
        """Whether steps are simulated in a loop."""
        return self.settings.use_loop

    @property
    def inference_only(self) -> bool:
        """Whether the network cannot be trained."""
        return self.settings.inference_only

    @property
    def base_params(self) -> dict[str, keras.Variable]:
        """Parameters, by the key of their base array."""
        return self.values.base_params

    @property
    def saved_state(self) -> dict[str, Any]:
        """Variables of everything that steps change, by the key of its base array."""
        return self.values.state

    def get_tensor(self, signal: Signal) -> tf.Tensor:
        """Return the live value of a signal; see ``Variables.get_tensor``."""
        return self.values.get_tensor(signal)

    @property
    def plan(self) -> tuple:
        """The groups of operators in the order of execution."""
        return self.program.plan

    @property
    def training_plan(self) -> tuple:
        """The groups of operators in training."""
        return self.program.version(training=True).plan

    @property
    def signals(self) -> SignalDict:
        """The places of the signals."""
        return self.step.signals

    @property
    def op_builder(self) -> Builder:
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

    def get_config(self) -> NoReturn:
        """Raise an error: Keras cannot make the layer again."""
        raise NotImplementedError(NOT_WHOLE)

    def _prepare_layers(self, settings: Settings) -> list[keras.layers.Layer]:
        operators = [op for op in self.model.operators if isinstance(op, SimTensorNode)]
        layers = [op.func for op in operators if isinstance(op.func, keras.Layer)]
        # whether layers are called as in inference, as in training, or both
        phases = (False,) if settings.inference_only else (False, True)
        if settings.learning_phase is not None:
            phases = (settings.learning_phase,)
        with tf.device(settings.device), seeded_building(layers, settings.seed):
            return prepare_layers(
                operators, settings.minibatch_size, self.compute_dtype, phases
            )

    def _make_step(self, training: bool, avoid_xla: bool = False) -> Step:
        settings = self.settings
        jit_compile = settings.jit_compile
        if avoid_xla and jit_compile == "auto":
            # a single step, of a feed-forward network, trains faster without XLA;
            # replicas have variables where XLA cannot reach them
            jit_compile = False
        config = BuildConfig(
            inference_only=settings.inference_only,
            lif_smoothing=settings.lif_smoothing,
            cpu_only=self._cpu_only(),
            rng=np.random.RandomState(settings.seed),
            training=training,
            settings=settings,
            compiles=bool(jit_compile),
        )
        program = self.program.version(training)
        return Step(
            program, config, self.errors, self.feeds.call_functions, jit_compile
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
            warnings.warn(
                "Python is called in every step, as there is no native TensorFlow "
                f"implementation of {listed(names, limit=3)}. It runs slower, not "
                "on a GPU, and no gradient flows through it in training. To change "
                "that, write functions as TensorNodes, add TFNeuronBuilders for "
                "neurons to `SimNeuronsBuilder.TF_NEURON_IMPL`, and register "
                "OpBuilders for operators with `nengo_dl.builder.Builder.register`."
            )

    def _cpu_only(self) -> bool:
        if self.device is not None:
            return "cpu" in self.device.lower()
        return not tf.config.list_physical_devices("GPU")

    def build(self, input_shape: Any = None) -> None:
        """Create the variables, and the engine."""
        if self.built:
            return
        with self._times.measure("variables"):
            self.values = Variables(
                self.program, self.tensor_node_layers, self.add_weight
            )
        self.engine = Engine(self.step, self.values, self._start, self._times)
        # what is wrong with the step is to be reported now, and not in the first run
        n_steps = self.engine.block_steps
        self.engine.function(n_steps, self.engine.calls_within(n_steps))
        self.build_post()
        self.built = True

    def build_post(self) -> None:
        """(Re)start whatever is outside of the compiled step."""
        for step in self._all_steps():
            self._start(step)

    def _start(self, step: Step) -> None:
        step.signals.process_rngs = self.feeds.process_rngs
        step.signals.operator_steps = self.feeds.operators.steps
        step.builder.build_post(step.signals)

    def restart(self, operators: Collection[Operator], items: Sequence[int]) -> None:
        """
        Restart whatever is outside of the compiled step, for some items.

        Parameters
        ----------
        operators : collection of nengo.builder.Operator
            The operators whose processes, neurons, or steps start again.
        items : sequence of int
            The items of the minibatch.
        """
        self.feeds.restart(operators, items)
        for step in self._all_steps():
            for build in step.builder.op_builds.values():
                build.implementation.restart(step.signals, operators, items)

    def rngs(self, training: bool = False) -> list[np.random.RandomState]:
        """
        Return the random number generators of Python functions in the step.

        Parameters
        ----------
        training : bool
            Whether those of the steps that train are meant, which there are once
            something has been trained.
        """
        return [
            rng
            for step in (self._steps.values() if training else [self.step])
            for build in step.python_builds
            for rng in build.rngs()
        ]

    def _all_steps(self) -> list[Step]:
        all_layerwise = [*self.engine.layerwise.values(), *self._layerwise.values()]
        parts = [part for steps in all_layerwise for part in steps.parts]
        return [self.step, *self._steps.values(), *(part.step for part in parts)]

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
        nodes = self.program.nodes
        *names, last = keras_names([*io_names(nodes).values(), "n_steps"])
        inputs = {
            node: keras.Input(
                batch_shape=(batch, None, node.size_out),
                dtype=self.program.settings.dtype,
                name=name,
            )
            for node, name in zip(nodes, names)
        }
        return inputs, keras.Input(batch_shape=(batch, 1), dtype="int32", name=last)

    def compute_output_spec(
        self,
        inputs: Any,
        training: bool | None = None,
        n_steps: int | None = None,
        keep_state: bool | None = None,
        given: Sequence[nengo.Node] | None = None,
        lengths: Sequence[tf.Tensor] | None = None,
    ) -> list[keras.KerasTensor]:
        """Return the shapes of what `call` returns, without a trace of the step."""
        specs = []
        for probe, signal in self.program.probes.items():
            place = place_of(self.program, signal)
            time = None if self.program.keeps_history(probe) else 1
            batch = self.minibatch_size if place.minibatched else 1
            shape = place.full_shape[1:] if place.minibatched else place.full_shape
            specs.append(keras.KerasTensor((batch, time, *shape), place.dtype))
        return [*specs, keras.KerasTensor((self.minibatch_size,), "int32")]

    def call(
        self,
        inputs: Sequence[tf.Tensor],
        training: bool | None = None,
        n_steps: int | None = None,
        keep_state: bool | None = None,
        given: Sequence[nengo.Node] | None = None,
        lengths: Sequence[tf.Tensor] | None = None,
    ) -> list[tf.Tensor]:
        """
        Simulate, from the current state on.

        Parameters
        ----------
        inputs : list of tensor
            The outputs of the ``given`` Nodes, ``(minibatch_size, n_steps, size_out)``
            each, and last the number of steps, ``(minibatch_size, 1)``.
        training : bool, optional
            Whether to simulate the training version of the network, through which
            gradients flow. The configured ``learning_phase`` comes first.
        n_steps : int, optional
            The number of steps, if it is known when the call is traced. Only networks
            without input need to be told, as others have it in the shape of the input;
            XLA cannot compile their gradients without.
        keep_state : bool, optional
            Whether the state at the end is kept; by default the variable
            ``values.keep_state`` decides. What learning rules learn is kept in any
            case.
        given : sequence of nengo.Node, optional
            Which of the ``program``'s Nodes ``inputs`` are for, by default all of them.
            The outputs of others are generated from the current time on, as in any
            run.
        lengths : list of tensor, optional
            How many of the steps count for each item, the elements of ``Lengths``; by
            default all of them. The state at the end is that of each item's own last
            step, and so are the values of Probes that keep no history. Time is that of
            the longest item.

        Returns
        -------
        outputs : list of tensor
            ``(minibatch_size or 1, n_steps, ...)`` values of every Probe, and last the
            number of steps, ``(minibatch_size,)``.
        """
        counted = None
        if lengths is not None and self._ends_matter(keep_state):
            counted = Lengths(*lengths)
        carried, outputs = self.simulate(inputs, training, n_steps, given, counted)
        n_updates = self.values.update(carried, keep_state)
        if training:
            self.values.n_trained.assign_add(1)
        logger.info("Number of state updates: %d", n_updates)
        return outputs

    def simulate(
        self,
        inputs: Sequence[tf.Tensor],
        training: bool | None = None,
        n_steps: int | None = None,
        given: Sequence[nengo.Node] | None = None,
        lengths: Lengths | None = None,
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """
        Simulate, as in `call`, without any change of the state.

        Parameters
        ----------
        inputs : list of tensor
            Values of the Nodes, ``(minibatch_size, n_steps, size_out)``, and the number
            of steps, ``(minibatch_size, 1)``.
        training, n_steps, given, lengths
            As in `call`.

        Returns
        -------
        carried : list of tensor
            The values of `saved_state` at the end.
        outputs : list of tensor
            What `call` returns.
        """
        *node_values, counts = inputs
        nodes = self.program.nodes if given is None else given
        with tf.init_scope():
            self.values.write_through()
        count = self._number_of_steps(node_values, counts, n_steps)
        is_training = self.is_training(training)
        carried = before = self.values.state_tensors()
        feeds = self._gather_feeds(dict(zip(nodes, node_values)), count)
        which = self.feeds.called(nodes)
        called = None if which is None else tf.constant(which)
        is_distributed = tf.distribute.get_strategy().num_replicas_in_sync > 1
        are_unequal = lengths is not None and lengths.n_steps is not None
        if training or is_training or is_distributed or are_unequal:
            # (XLA cannot differentiate the functions of the engine, which belong to the
            # first replica)
            is_single = isinstance(count, int) and count == 1
            step = self._uncompiled_step(is_training, is_single or is_distributed)
            values = self.values
            context = values.constants(), values.seed, values.n_trained
            layerwise = None
            if not (is_distributed or are_unequal):
                layerwise = self._layerwise_steps(step, count)
            if layerwise is not None:
                layerwise.start(*context)
                carried, outputs = layerwise.run(carried, feeds, count, count)
            else:
                differentiated = self._differentiated(step, count, called)
                differentiated.start(*context)
                carried, outputs = run_steps(
                    differentiated,
                    carried,
                    feeds,
                    count,
                    count,
                    self.unroll,
                    called,
                    lengths=lengths if are_unequal else None,
                )
        else:
            packing = self.values.packing
            state, outputs = self.engine.run(
                packing.pack(carried), feeds, count, called
            )
            carried = packing.unpack(state)
        if lengths is not None and not are_unequal:
            carried = lengths.up_to_date(self.program, carried, before)
        if self.step.adds_losses:
            *outputs, losses = outputs
            self.add_loss(tf.reduce_mean(losses))
        steps_run = tf.fill([self.minibatch_size], count)
        return carried, [*self._with_batch_first(outputs), steps_run]

    def _ends_matter(self, keep_state: bool | None) -> bool:
        """Return whether anything is left of the last steps of items; see `call`."""
        keeps_state = self.settings.stateful and keep_state is not False
        learns = any(key in self.values.base_params for key in self.program.carried)
        keeps = self.program.keeps_history
        return keeps_state or learns or not all(map(keeps, self.program.probes))

    def is_training(self, training: bool | None) -> bool:
        """
        Return whether a call simulates the training version of the network.

        Parameters
        ----------
        training : bool or None
            What the call asks for; the setting ``learning_phase`` overrides it.

        Raises
        ------
        nengo.exceptions.BuildError
            If it does, but there is none, as of ``inference_only``.
        """
        learning_phase = self.program.settings.learning_phase
        is_training = bool(training if learning_phase is None else learning_phase)
        if is_training and self.inference_only:
            raise nengo.exceptions.BuildError(
                "The network is configured with `inference_only=True`: it has no "
                "training version; call with `training=False`, or remove the setting"
            )
        return is_training

    def compiles_training(
        self,
        n_steps: int,
        given: Sequence[nengo.Node],
        are_unequal: bool = False,
    ) -> bool:
        """
        Return whether it is worth it to compile whole batches of training with XLA.

        It is for many steps, where most of the time is spent on launching operations,
        and on GPUs; unless there are so many different operations that compilation
        takes too long.

        Parameters
        ----------
        n_steps : int
            Number of steps of a batch.
        given : sequence of nengo.Node
            See `call`.
        are_unequal : bool
            Whether items may have numbers of steps of their own, as of ``lengths``.
        """
        pays = n_steps > 1 or not self._cpu_only()
        pays = pays and len(self.training_plan) <= MAX_COMPILED_GROUPS
        runs_python = self.feeds.missing(given) or self.feeds.calls_silent(given)
        compiles = self.supports_jit and self.step.compiles
        if not (compiles and pays) or runs_python:
            return False
        # training versions may be made of other operations
        step = self._uncompiled_step(self.is_training(True), n_steps == 1)
        layerwise = None if are_unequal else self._layerwise_steps(step, n_steps)
        return step.can_compile and (layerwise is None or layerwise.compiles)

    def _layerwise_steps(
        self, step: Step, n_steps: int | tf.Tensor
    ) -> LayerwiseSteps | None:
        """Return what runs a batch of training section by section, if that is done."""
        is_known = isinstance(n_steps, int) and n_steps >= MIN_LAYERWISE_STEPS
        if not (is_known and step.has_sections):
            return None
        # TensorFlow's own convolutions beside heavy loops gain nothing from many steps
        # at once: gradients are bound by memory
        jit_compile = step.jit_compile
        if jit_compile == "auto" and not loops_are_light(step.program.sections):
            if not (step.compiles or self.settings.layerwise is True):
                return None
            jit_compile = step.compiles or jit_compile
        if (step, n_steps) not in self._layerwise:
            layerwise = LayerwiseSteps(step, n_steps, True, jit_compile)
            self._layerwise[step, n_steps] = layerwise
            for part in layerwise.parts:
                self._start(part.step)
        return self._layerwise[step, n_steps]

    def _differentiated(
        self, step: Step, n_steps: int | tf.Tensor, called: tf.Tensor | None
    ) -> Step | RecomputedStep:
        """Return a step that gradients flow through, maybe in a loop."""
        is_loop = not isinstance(n_steps, int) or n_steps != self.unroll
        pays = is_loop and len(step.program.plan) > MAX_COMPILED_GROUPS
        if not (pays and called is None and RecomputedStep.possible(step)):
            return step
        if step not in self._recomputed:
            self._recomputed[step] = RecomputedStep(step)
        return self._recomputed[step]

    def _number_of_steps(
        self, node_values: Sequence[tf.Tensor], counts: tf.Tensor, known: int | None
    ) -> int | tf.Tensor:
        """Return the number of steps: an int wherever shapes or settings tell."""
        if not self.use_loop:
            return self.unroll
        for value in node_values:
            return value.shape[1] or tf.shape(value)[1]
        return tf.cast(counts[0, 0], tf.int32) if known is None else known

    def _gather_feeds(
        self, given: Mapping[nengo.Node, tf.Tensor], n_steps: int | tf.Tensor
    ) -> list[tf.Tensor]:
        """Return the values of all feeds: inputs of the layer, and what is missing."""
        dtype = self.step.signals.dtype
        values: dict[Any, tf.Tensor] = dict(given)
        nodes = tuple(given)
        missing = self.feeds.missing(nodes)
        if missing or self.feeds.calls_silent(nodes):
            generated = numpy_function(
                lambda start, n: self.feeds.generate_now(int(start), int(n), nodes),
                [self.get_tensor(self.model.step), n_steps],
                [dtype] * len(missing),
                errors=self.errors,
            )
            values.update((feed.source, v) for feed, v in zip(missing, generated))
        batch = self.minibatch_size
        return [
            tf.ensure_shape(
                tf.cast(values[feed.source], dtype), (batch, None, feed.signal.size)
            )
            for feed in self.program.feeds
        ]

    def _uncompiled_step(self, training: bool, avoid_xla: bool) -> Step:
        """Return a step for functions that Keras compiles, or nobody does."""
        key = (training, avoid_xla)
        if key not in self._steps:
            # the same warnings as for the inference step
            with without_warnings():
                step = self._make_step(training, avoid_xla)
                self._start(step)
                self._steps[key] = step
        return self._steps[key]

    def _with_batch_first(self, outputs: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Bring the values of all probes into the shape ``(batch, n_steps, ...)``."""
        batch_first = []
        for signal, output in zip(self.program.probes.values(), outputs):
            if not place_of(self.program, signal).minibatched:
                batch_first.append(output[None])
            elif output.shape[0] == 1:
                # cheaper, above all its gradient
                batch_first.append(tf.reshape(output, (-1, 1, *output.shape[2:])))
            else:
                order = [1, 0, *range(2, output.shape.rank)]
                batch_first.append(tf.transpose(output, order))
        return batch_first
