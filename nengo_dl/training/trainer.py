"""
Who trains: the Keras model of a simulation, and everything that its methods need.

In: the data of the user, and what the user compiled. Out: what Keras returns, by the
user's objects and names. Every method is a call of Keras in which the simulation either
goes on as it should, or stays as it was.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import keras
import nengo
import numpy as np
import tensorflow as tf
from nengo.exceptions import SimulationError, ValidationError

from nengo_dl.execution.places import place_of
from nengo_dl.simulation.simulation import Simulation
from nengo_dl.simulation.steps import warn_of_one_step
from nengo_dl.tensor_graph import NOT_WHOLE
from nengo_dl.training.advice import warn_of_nan, warn_of_spikes
from nengo_dl.training.batching import (
    batches_in_order,
    groups_lengths,
    training_batches,
)
from nengo_dl.training.compiling import check_optimizer, objectives_by_name
from nengo_dl.training.data import TrainingData, counted_by, number_of_steps
from nengo_dl.training.functions import (
    BatchFacts,
    EvaluationFunctions,
    TrainingFunctions,
)
from nengo_dl.training.gradients import checked_probes, compare_gradients
from nengo_dl.training.keras_model import SimulatorModel, simulator_model
from nengo_dl.training.options import (
    check_fit_options,
    check_jit_compile,
    drop_batch_sizes,
)
from nengo_dl.training.predictions import Predictions
from nengo_dl.training.progress import CompilationBar
from nengo_dl.training.reuse import Compiled
from nengo_dl.utils import NullProgressBar


class Trainer:
    """
    Calls Keras for a simulation; see `KerasMethods` for the arguments of the methods.

    Parameters
    ----------
    simulation : Simulation
        The simulation; it must be open while methods are called.
    names : dict of {(nengo.Node or nengo.Probe): str}
        Names of inputs and outputs.
    make_bar : callable
        Returns a progress bar that says that something is compiled.
    """

    def __init__(
        self,
        simulation: Simulation,
        names: Mapping[Any, str],
        make_bar: Callable[[], NullProgressBar] = NullProgressBar,
    ):
        self._simulation = simulation
        self._names = names
        self._make_bar = make_bar
        graph = simulation.tensor_graph
        self._probe_names = {probe: names[probe] for probe in graph.program.probes}
        node_names = {node: names[node] for node in graph.program.nodes}
        self._data = TrainingData(node_names, self._probe_names, simulation)
        self._keras_model: SimulatorModel | None = None
        self._node_inputs: dict[nengo.Node, keras.KerasTensor] | None = None
        batch = simulation.settings.minibatch_size
        self._input_shapes = {node: (batch, None, node.size_out) for node in node_names}
        self._jit_compile: bool | str = "auto"
        self._compiled: Compiled | None = None
        self._functions = TrainingFunctions(simulation, self._probe_names)
        # of which methods batches have been computed, and what they depended on
        self._computed: set[tuple] = set()
        self._evaluations = EvaluationFunctions()

    @property
    def keras_model(self) -> SimulatorModel:
        """The Keras model of the network, made when it is first asked for."""
        if self._keras_model is None:
            graph = self._simulation.tensor_graph
            with self._simulation.context(alone=True):
                self._keras_model = simulator_model(graph, self._names)
            self._node_inputs = dict(zip(graph.program.nodes, self._keras_model.inputs))
        return self._keras_model

    @property
    def node_inputs(self) -> dict[nengo.Node, keras.KerasTensor]:
        """The inputs of the Keras model by Node."""
        # they stay readable when the simulation is closed, and the model gone
        if self._node_inputs is None and self._simulation.is_closed:
            dtype = self._simulation.settings.dtype
            self._node_inputs = {
                node: keras.Input(batch_shape=shape, dtype=dtype)
                for node, shape in self._input_shapes.items()
            }
        elif self._node_inputs is None:
            inputs = self.keras_model.inputs
            return dict(zip(self._simulation.tensor_graph.program.nodes, inputs))
        return self._node_inputs

    def close(self) -> None:
        """Free the Keras model."""
        self._keras_model = self._compiled = None
        self._functions = TrainingFunctions(self._simulation, self._probe_names)
        self._computed = set()

    def compile(
        self,
        optimizer: Any,
        loss: Any,
        loss_weights: Any,
        metrics: Any,
        weighted_metrics: Any,
        **kwargs: Any,
    ) -> None:
        """Choose how to train, and what to report."""
        self._simulation.check_not_during("compile", "fit", "evaluate")
        check_optimizer(optimizer)
        by_name = objectives_by_name(
            self._probe_names, loss, loss_weights, metrics, weighted_metrics
        )
        jit_compile = check_jit_compile(kwargs.pop("jit_compile", "auto"))
        model, before = self.keras_model, self._compiled
        asked_for = (optimizer, by_name, kwargs)
        with self._simulation.context(alone=True):
            if before is None or not before.start_again(model, *asked_for):
                model.compile(optimizer=optimizer, **by_name, **kwargs)
                self._evaluations = EvaluationFunctions()
                self._compiled = Compiled(model, *asked_for)
        self._jit_compile = jit_compile

    def fit(
        self, x: Any, y: Any, n_steps: Any, stateful: bool, **kwargs: Any
    ) -> keras.callbacks.History:
        """Train the network."""
        self._simulation.check_not_during("train", "fit")
        self._check_trainable()
        self._check_compiled("fit", self.keras_model.objectives.losses)
        _check_checkpoints(kwargs.get("callbacks"))
        check_fit_options(kwargs)
        with self._keras_call("fit", stateful, kwargs) as keep_state:
            model, data = self.keras_model, self._data
            x, y, kwargs = data.prepare(x, y, n_steps, model.objectives, kwargs)
            target_specs = self._check_targets(x, y, kwargs.get("sample_weight"))
            if kwargs.get("validation_data") is not None:
                kwargs["validation_data"] = self._validation_data(n_steps, kwargs)
            steps = number_of_steps(x)
            self.check_one_step(steps, stateful, training=True)
            if groups_lengths(x, kwargs):
                # batches are as long as their items
                steps = None
            self._check_validation(steps, stateful, kwargs)
            given = data.given_nodes(x)
            # (what is split off has lengths if all data have)
            validation = kwargs.get("validation_data")
            if validation is None:
                validation = (x,)
            validation = validation[0] if isinstance(validation, tuple) else validation
            evaluation = self._evaluations.of(model, validation, keep_state)
            with self._simulation.context(alone=True):
                rng = self._simulation.training_rng
                unroll = self._simulation.settings.unroll
                x, y = training_batches(x, y, kwargs, rng, unroll)
                facts = BatchFacts(steps, target_specs, given, counted_by(x))
                self._functions.prepare(model, keep_state, facts, self._jit_compile)
            with self._restored_on_failure():
                seen = (keep_state, facts.key(), model.objectives)
                with self._progress("fit", seen, kwargs), evaluation:
                    history = model.fit(x, y, **kwargs)
        for values in history.history.values():
            # Keras 3.3 leaves tensors there
            values[:] = [float(v) if tf.is_tensor(v) else v for v in values]
        warn_of_nan(history.history)
        return history

    def _validation_data(self, n_steps: Any, kwargs: Mapping[str, Any]) -> Any:
        """Return data for validation in the form in which Keras gets them."""
        objectives, batch_size = self.keras_model.objectives, kwargs["batch_size"]
        if np.ndim(n_steps) > 0:
            # (lengths of items that are trained)
            n_steps = None
        data = self._data.validation_data(
            kwargs["validation_data"], n_steps, objectives, batch_size
        )
        if isinstance(data, tuple):
            self._check_targets(*data)
        return data

    def _check_validation(
        self, steps: int | None, stateful: bool, kwargs: Mapping[str, Any]
    ) -> None:
        """Warn if neurons have no time to spike in validation."""
        data = kwargs.get("validation_data")
        if isinstance(data, tuple):
            steps = number_of_steps(data[0])
        elif data is not None:
            steps = number_of_steps(data)
        elif not kwargs.get("validation_split"):
            return
        if steps == 1 and not stateful:
            warn_of_spikes(self._simulation.tensor_graph)

    def evaluate(
        self, x: Any, y: Any, n_steps: Any, stateful: bool, **kwargs: Any
    ) -> dict[str, float]:
        """Compute losses and metrics, without training."""
        kwargs.pop("return_dict", None)
        self._check_compiled("evaluate", self.keras_model.objectives.names)
        with self._keras_call("evaluate", stateful, kwargs) as keep_state:
            model = self.keras_model
            x, y, kwargs = self._data.prepare(x, y, n_steps, model.objectives, kwargs)
            self._check_targets(x, y, kwargs.get("sample_weight"))
            steps = number_of_steps(x)
            self.check_one_step(steps, stateful)
            facts = (steps, self._data.given_nodes(x), model.objectives)
            with (
                self._evaluations.of(model, x, keep_state),
                self._progress("evaluate", facts, kwargs),
            ):
                with self._simulation.context(alone=True):
                    x, y = batches_in_order(x, y, kwargs)
                with self._metrics_of_fit_kept():
                    results = model.evaluate(x, y, return_dict=True, **kwargs)
        warn_of_nan(results)
        names = [name for name in model.get_metrics_result() if name in results]
        return {name: float(results[name]) for name in names}

    def predict(
        self, x: Any, n_steps: Any, stateful: bool, **kwargs: Any
    ) -> Predictions:
        """Simulate any number of items, minibatch by minibatch."""
        with self._keras_call("predict", stateful, kwargs) as keep_state:
            x, _ = self._data.inputs(x, n_steps)
            x = self._data.stream(x, kwargs["batch_size"])
            steps = number_of_steps(x)
            self.check_one_step(steps, stateful)
            facts = (steps, self._data.given_nodes(x))
            with (
                self._evaluations.of(self.keras_model, x, keep_state),
                self._progress("predict", facts, kwargs),
            ):
                with self._simulation.context(alone=True):
                    x, _ = batches_in_order(x, None, kwargs)
                outputs = self.keras_model.predict(x, **kwargs)
        return self._predictions(outputs)

    def predict_on_batch(
        self, x: Any, n_steps: Any, stateful: bool, **kwargs: Any
    ) -> Predictions:
        """Simulate exactly one minibatch."""
        with self._keras_call("predict_on_batch", stateful, kwargs) as keep_state:
            batch_size = self._simulation.settings.minibatch_size
            x, _ = self._data.inputs(x, n_steps, batch_size)
            if not isinstance(x, dict):
                raise ValidationError(
                    "predict_on_batch needs the arrays of one minibatch, received "
                    f"`{type(x).__name__}`; use `predict`",
                    "x",
                )
            self.check_one_step(number_of_steps(x), self._simulation.settings.stateful)
            tensors = {name: tf.convert_to_tensor(array) for name, array in x.items()}
            with self._evaluations.of(self.keras_model, x, keep_state):
                outputs = self.keras_model.predict_on_batch(tensors, **kwargs)
        return self._predictions(outputs)

    def check_gradients(
        self,
        inputs: Sequence[np.ndarray] | None,
        outputs: Sequence[nengo.Probe] | None,
        atol: float,
        rtol: float,
    ) -> dict[nengo.Probe, dict[str, list[np.ndarray]]]:
        """Compare gradients of outputs with finite differences."""
        self._check_trainable()
        graph = self._simulation.tensor_graph
        outputs = checked_probes(outputs, list(self._probe_names))
        inputs = self._data.all_inputs(inputs)
        with self._simulation.keras_call(False, "check_gradients"):
            saved = graph.values.get_arrays()
            graph.values.reset(include_trainable=False)
            try:
                return compare_gradients(graph, inputs, outputs, atol, rtol)
            finally:
                graph.values.set_arrays(saved)

    def check_one_step(
        self, n_steps: int | None, stateful: bool, training: bool = False
    ) -> None:
        """Warn if synapses have no time to do anything."""
        if stateful or n_steps != 1:
            return
        model = self._keras_model
        compiled = set() if model is None else model.objectives.names
        probes = [
            probe
            for probe, name in self._probe_names.items()
            if not compiled or name in compiled
        ]
        training = self._simulation.tensor_graph.is_training(training)
        warn_of_one_step(self._simulation.model, probes, training)

    # -- of a call --------------------------------------------------------------------

    def _keras_call(
        self, name: str, stateful: bool, kwargs: dict[str, Any]
    ) -> AbstractContextManager[bool]:
        """
        Return a context to call Keras in, after checks that all calls share.

        The context returns whether the state at the end of a minibatch is kept.
        """
        settings = self._simulation.settings
        drop_batch_sizes(kwargs, settings.minibatch_size)
        if name != "predict_on_batch":
            replicas = self.keras_model.distribute_strategy.num_replicas_in_sync
            kwargs["batch_size"] = settings.minibatch_size * replicas
            if stateful and not settings.stateful:
                warnings.warn(
                    "Ignoring stateful=True: the network is configured with "
                    "`stateful=False`"
                )
        keep_state = bool(stateful and settings.stateful)
        return self._simulation.keras_call(keep_state, name)

    @contextmanager
    def _progress(
        self, method: str, facts: tuple, kwargs: dict[str, Any]
    ) -> Iterator[None]:
        """Show that the first batch of a kind is compiled, if Keras shows progress."""
        callbacks = kwargs.get("callbacks") or []
        is_shown = kwargs.get("verbose") != 0 and (method, facts) not in self._computed
        if not is_shown or isinstance(callbacks, keras.callbacks.CallbackList):
            yield
            return
        bar = CompilationBar(method, self._make_bar)
        kwargs["callbacks"] = [*tf.nest.flatten(callbacks), bar]
        try:
            yield
        finally:
            bar.finish()
        self._computed.add((method, facts))

    @contextmanager
    def _metrics_of_fit_kept(self) -> Iterator[None]:
        """Return a context in which `evaluate` may run in a callback of `fit`."""
        is_nested = self._simulation.is_during("fit")
        variables = self.keras_model.metrics_variables if is_nested else []
        saved = [(variable, variable.numpy()) for variable in variables]
        yield
        for variable, value in saved:
            variable.assign(value)

    def _check_trainable(self) -> None:
        if self._simulation.settings.inference_only:
            raise SimulationError(
                "Cannot train: the network is configured with `inference_only=True`; "
                "remove that setting and create a new Simulator"
            )

    def _check_compiled(self, method: str, has_objectives: Any) -> None:
        if not self._probe_names:
            raise SimulationError(
                f"Cannot {method}: the network has no Probes, which losses are "
                "computed from; add a Probe of what the network is to produce"
            )
        if not has_objectives:
            raise SimulationError(
                f"Cannot {method}: there is no loss; call `sim.compile` with one, for "
                "example `sim.compile(loss={probe: 'mse'})`"
            )

    def _check_targets(self, x: Any, y: Any, weights: Any = None) -> Any:
        """
        Check the shapes of prepared targets and weights.

        Returns
        -------
        specs
            See `TrainingData.target_specs`.
        """
        specs = self._data.target_specs(x, y)
        given = weights or {}
        weight_specs = {n: tf.TensorSpec(w.shape, w.dtype) for n, w in given.items()}
        with self._simulation.context(alone=True):
            self.keras_model.check_targets(specs, number_of_steps(x), weight_specs)
        return specs

    def _predictions(self, outputs: Mapping[str, Any]) -> Predictions:
        """Return outputs of all items, and no others, by Probe."""
        program = self._simulation.tensor_graph.program
        lengths = np.asarray(outputs["steps_run"])
        is_item = lengths > 0
        by_probe = Predictions(lengths[is_item])
        for probe, name in self._probe_names.items():
            value = np.asarray(outputs[name])
            if not place_of(program, program.probes[probe]).minibatched:
                value = np.repeat(value, program.settings.minibatch_size, axis=0)
            by_probe[probe] = by_probe.without_ends(value[is_item])
        return by_probe

    @contextmanager
    def _restored_on_failure(self) -> Iterator[None]:
        """Give what is trained its values back if an exception leaves the context."""
        model = self.keras_model
        variables = [*model.variables, *model.optimizer.variables]
        saved = [(variable, variable.numpy()) for variable in variables]
        rng = self._simulation.training_rng
        values = self._simulation.tensor_graph.values
        rng_state, random_state = rng.get_state(), values.random_state()
        try:
            yield
        except Exception:
            for variable, value in saved:
                variable.assign(value)
            rng.set_state(rng_state)
            values.set_random_state(random_state)
            raise


def _check_checkpoints(callbacks: Any) -> None:
    """Check that no callback will want to save what cannot be saved."""
    for callback in tf.nest.flatten(callbacks):
        if isinstance(callback, keras.callbacks.ModelCheckpoint):
            if not callback.save_weights_only:
                raise SimulationError(NOT_WHOLE)
