"""
Who trains: the Keras model of a simulation, and everything that its methods need.

In: the data of the user, and what the user compiled. Out: what Keras returns, by the
user's objects and names. Every method is a call of Keras in which the simulation either
goes on as it should, or stays as it was.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import nengo
import numpy as np
import tensorflow as tf
from nengo.exceptions import SimulationError, ValidationError

from nengo_dl.execution.places import place_of
from nengo_dl.simulation.simulation import Simulation
from nengo_dl.simulation.steps import warn_of_one_step
from nengo_dl.tensor_graph import MAX_COMPILED_GROUPS
from nengo_dl.training.compiling import check_optimizer, objectives_by_name
from nengo_dl.training.data import TrainingData, number_of_steps
from nengo_dl.training.gradients import broken_paths, compare_gradients, python_in_loops
from nengo_dl.training.keras_model import (
    SimulatorModel,
    TrainingFacts,
    simulator_model,
)
from nengo_dl.training.reuse import Compiled
from nengo_dl.training.shuffling import ordered_batches, shuffled_batches, split

KERAS_VERSION = tuple(int(number) for number in keras.__version__.split(".")[:2])


class Trainer:
    """
    Calls Keras for a simulation; see `KerasMethods` for the arguments of the methods.

    Parameters
    ----------
    simulation : Simulation
        The simulation; it must be open while methods are called.
    names : dict of {(nengo.Node or nengo.Probe): str}
        Names of inputs and outputs.
    """

    def __init__(self, simulation: Simulation, names: Mapping[Any, str]):
        self._simulation = simulation
        self._names = names
        graph = simulation.tensor_graph
        self._probe_names = {probe: names[probe] for probe in graph.program.probes}
        node_names = {node: names[node] for node in graph.program.nodes}
        self._data = TrainingData(node_names, self._probe_names, simulation)
        self._keras_model: SimulatorModel | None = None
        self._node_inputs: dict[nengo.Node, keras.KerasTensor] | None = None
        self._jit_compile: bool | str = "auto"
        self._compiled: Compiled | None = None
        # what training functions were made for, and by what they depend on
        self._made_for: tuple = ()
        self._train_functions: dict[tuple, tuple[TrainingFacts, Callable]] = {}

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
        if self._node_inputs is None:
            inputs = self.keras_model.inputs
            return dict(zip(self._simulation.tensor_graph.program.nodes, inputs))
        return self._node_inputs

    def close(self) -> None:
        """Free the Keras model."""
        self._keras_model = self._compiled = None
        self._made_for = ()
        self._train_functions = {}

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
        check_optimizer(optimizer)
        by_name = objectives_by_name(
            self._probe_names, loss, loss_weights, metrics, weighted_metrics
        )
        jit_compile = kwargs.pop("jit_compile", "auto")
        model, before = self.keras_model, self._compiled
        asked_for = (optimizer, by_name, kwargs)
        with self._simulation.context(alone=True):
            if before is None or not before.start_again(model, *asked_for):
                model.compile(optimizer=optimizer, **by_name, **kwargs)
                self._compiled = Compiled(model, *asked_for)
        self._jit_compile = jit_compile

    def fit(
        self, x: Any, y: Any, n_steps: int | None, stateful: bool, **kwargs: Any
    ) -> keras.callbacks.History:
        """Train the network."""
        self._check_trainable()
        self._check_compiled("fit", self.keras_model.objectives.losses)
        with self._keras_call("fit", stateful, kwargs) as keep_state:
            model, data = self.keras_model, self._data
            x, y, kwargs = data.prepare(x, y, n_steps, model.objectives, kwargs)
            target_specs = self._check_targets(x, y)
            if "validation_data" in kwargs:
                validation_data = data.validation_data(
                    kwargs["validation_data"],
                    n_steps,
                    model.objectives,
                    kwargs["batch_size"],
                )
                if isinstance(validation_data, tuple):
                    self._check_targets(*validation_data[:2])
                kwargs["validation_data"] = validation_data
            steps = number_of_steps(x)
            self.check_one_step(steps, stateful, training=True)
            given = data.given_nodes(x)
            with self._simulation.context(alone=True):
                self._prepare_training(steps, keep_state, target_specs, given)
            with self._restored_on_failure():
                with self._simulation.context(alone=True):
                    x, y = self._batches(x, y, kwargs)
                history = model.fit(x, y, **kwargs)
        for values in history.history.values():
            # Keras 3.3 leaves tensors there
            values[:] = [float(v) if tf.is_tensor(v) else v for v in values]
        _warn_of_nan(history.history)
        return history

    def evaluate(
        self, x: Any, y: Any, n_steps: int | None, stateful: bool, **kwargs: Any
    ) -> dict[str, float]:
        """Compute losses and metrics, without training."""
        kwargs.pop("return_dict", None)
        self._check_compiled("evaluate", self.keras_model.objectives.names)
        with self._keras_call("evaluate", stateful, kwargs):
            model = self.keras_model
            x, y, kwargs = self._data.prepare(x, y, n_steps, model.objectives, kwargs)
            self._check_targets(x, y)
            self.check_one_step(number_of_steps(x), stateful)
            with self._reading(x):
                results = model.evaluate(x, y, return_dict=True, **kwargs)
        _warn_of_nan(results)
        return {name: float(results[name]) for name in model.get_metrics_result()}

    def predict(
        self, x: Any, n_steps: int | None, stateful: bool, **kwargs: Any
    ) -> dict[nengo.Probe, np.ndarray]:
        """Simulate any number of items, minibatch by minibatch."""
        with self._keras_call("predict", stateful, kwargs):
            x, _ = self._data.inputs(x, n_steps)
            x = self._data.stream(x, kwargs["batch_size"])
            self.check_one_step(number_of_steps(x), stateful)
            with self._reading(x):
                outputs = self.keras_model.predict(x, **kwargs)
        return self._by_probe(outputs)

    def predict_on_batch(
        self, x: Any, n_steps: int | None, stateful: bool, **kwargs: Any
    ) -> dict[nengo.Probe, np.ndarray]:
        """Simulate exactly one minibatch."""
        with self._keras_call(None, stateful, kwargs):
            batch_size = self._simulation.settings.minibatch_size
            x, _ = self._data.inputs(x, n_steps, batch_size)
            if not isinstance(x, dict):
                raise ValidationError(
                    "predict_on_batch needs the arrays of one minibatch, received "
                    f"`{type(x).__name__}`; use `predict`",
                    "x",
                )
            self.check_one_step(number_of_steps(x), self._simulation.settings.stateful)
            x = {name: tf.convert_to_tensor(array) for name, array in x.items()}
            outputs = self.keras_model.predict_on_batch(x, **kwargs)
        return self._by_probe(outputs)

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
        outputs = list(self._probe_names) if outputs is None else outputs
        foreign = [output for output in outputs if output not in self._probe_names]
        if foreign:
            raise ValidationError(
                f"{foreign[0]} is not a Probe of this network; pass a list of its "
                "Probes, or None for all of them",
                "outputs",
            )
        if inputs is None:
            steps = graph.unroll * (1 if not graph.use_loop else 2)
            inputs = [
                np.zeros((graph.minibatch_size, steps, node.size_out))
                for node in graph.program.nodes
            ]
        with self._simulation.keras_call(False):
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

    @contextmanager
    def _keras_call(
        self, name: str | None, stateful: bool, kwargs: dict[str, Any]
    ) -> Iterator[bool]:
        """
        Return a context to call Keras in, after checks that all calls share.

        Yields
        ------
        keep_state : bool
            Whether the state at the end of a minibatch is kept.
        """
        settings = self._simulation.settings
        if "batch_size" in kwargs:
            warnings.warn(
                "Batch size is determined statically by `minibatch_size="
                f"{settings.minibatch_size}` of the Simulator; `batch_size="
                f"{kwargs.pop('batch_size')}` is ignored"
            )
        if name is not None:
            replicas = self.keras_model.distribute_strategy.num_replicas_in_sync
            kwargs["batch_size"] = settings.minibatch_size * replicas
            if stateful and not settings.stateful:
                warnings.warn(
                    "Ignoring stateful=True: the network is configured with "
                    "`stateful=False`"
                )
        keep_state = bool(stateful and settings.stateful)
        with self._simulation.keras_call(keep_state):
            yield keep_state

    def _batches(self, x: Any, y: Any, kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """Return batches in place of arrays; those for validation are in ``kwargs``."""
        batch_size = kwargs["batch_size"]
        if isinstance(x, dict):
            parts = (x, y, kwargs.pop("sample_weight", None))
            data = tuple(part for part in parts if part is not None)
            part = kwargs.pop("validation_split", 0)
            if part and kwargs.get("validation_data") is None:
                data, kwargs["validation_data"] = split(data, part)
            shuffle = kwargs.pop("shuffle", True)
            if shuffle:
                rng = self._simulation.training_rng
                x = shuffled_batches(data, batch_size, rng, within=shuffle == "batch")
            else:
                x = ordered_batches(data, batch_size)
            y = None
        # Keras would warn that it cannot shuffle streams
        kwargs.setdefault("shuffle", False)
        held_out = kwargs.get("validation_data")
        if isinstance(held_out, tuple) and isinstance(held_out[0], dict):
            data = tuple(part for part in held_out if part is not None)
            size = kwargs.get("validation_batch_size") or batch_size
            kwargs["validation_data"] = ordered_batches(data, size)
        return x, y

    @contextmanager
    def _reading(self, x: Any) -> Iterator[None]:
        """Return a context for a call of Keras, which casts arrays to a float type."""
        with ExitStack() as reading:
            if isinstance(x, dict):
                reading.enter_context(self._simulation.context(alone=True))
            self.keras_model.reading = reading
            yield

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

    def _check_targets(self, x: Any, y: Any) -> Any:
        """Check the shapes of prepared targets; return `TrainingData.target_specs`."""
        specs = self._data.target_specs(x, y)
        with self._simulation.context(alone=True):
            self.keras_model.check_targets(specs, number_of_steps(x))
        return specs

    def _by_probe(self, outputs: Mapping[str, Any]) -> dict[nengo.Probe, np.ndarray]:
        """Return outputs by Probe, with all items also of what they have in common."""
        program = self._simulation.tensor_graph.program
        by_probe = {}
        for probe, name in self._probe_names.items():
            value = np.asarray(outputs[name])
            if not place_of(program, program.probes[probe]).minibatched:
                value = np.repeat(value, program.settings.minibatch_size, axis=0)
            by_probe[probe] = value
        return by_probe

    def _prepare_training(
        self,
        steps: int | None,
        keep_state: bool,
        target_specs: Any,
        given: tuple[nengo.Node, ...],
    ) -> None:
        """Decide how batches are compiled, and warn of parameters without gradient."""
        model, graph = self.keras_model, self._simulation.tensor_graph
        names = model.objectives.losses
        probes = [probe for probe, name in self._probe_names.items() if name in names]
        is_local = model.distribute_strategy.num_replicas_in_sync == 1
        if not is_local and KERAS_VERSION < (3, 10):
            raise SimulationError(
                "Training on several devices needs Keras 3.10 or newer (received "
                f"{keras.__version__}), as older versions do not add up gradients and "
                "losses; update Keras, or train on one device"
            )
        if self._made_for != (model.objectives, model.optimizer):
            self._made_for = (model.objectives, model.optimizer)
            self._train_functions = {}
        key = (steps, keep_state, self._jit_compile, str(target_specs), given)
        if key in self._train_functions:
            model.facts, model.train_function = self._train_functions[key]
            return
        if steps is not None and steps != graph.unroll:
            in_loops = python_in_loops(graph, probes)
            if in_loops:
                raise SimulationError(
                    f"Cannot train through {', '.join(in_loops)}: TensorFlow knows the "
                    "gradient of a `tf.py_function` for a single call only. Use "
                    "TensorFlow functions instead, or one timestep"
                )
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        jit_compile = self._uses_xla(steps, target_specs, given)
        model.facts = TrainingFacts(steps, keep_state, jit_compile)
        model.make_train_function(force=True)
        self._train_functions[key] = model.facts, model.train_function
        broken = broken_paths(graph, probes)
        if broken:
            warnings.warn(
                f"No gradient flows through {', '.join(broken)}: NumPy code, and "
                "steps without a derivative, cannot be differentiated. Parameters that "
                "influence the loss through them alone stay as they are."
            )

    def _uses_xla(
        self, steps: int | None, target_specs: Any, given: tuple[nengo.Node, ...]
    ) -> bool:
        """Return whether XLA compiles whole batches; warn if it cannot as it should."""
        model, graph = self.keras_model, self._simulation.tensor_graph
        is_local = model.distribute_strategy.num_replicas_in_sync == 1
        if self._jit_compile == "auto":
            return (
                is_local
                and steps is not None
                and graph.compiles_training(steps, given)
                and model.layers_compile()
                and model.is_here()
                and model.objectives_compile(target_specs, steps)
            )
        if not self._jit_compile:
            return False
        if is_local and not model.is_here():
            warnings.warn(
                "Proceeding with `jit_compile=False`: XLA cannot reach variables "
                "of the optimizer, metrics, or layers that are on other devices "
                "than the simulator; create them within `with sim:`, or "
                f"`with tf.device(...)` (the device is {graph.device!r})"
            )
            return False
        n_groups = len(graph.training_plan)
        if n_groups > MAX_COMPILED_GROUPS:
            warnings.warn(
                f"XLA is about to compile {n_groups} groups of operators, "
                'which may take minutes; jit_compile="auto" does not'
            )
        return True

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


def _warn_of_nan(results: Mapping[str, Any]) -> None:
    names = [name for name, values in results.items() if np.isnan(values).any()]
    if names:
        warnings.warn(
            f"NaN: {', '.join(names)}. Lower the learning rate, or look for NaN in the "
            "targets (`nengo_dl.losses.nan_mse` ignores them)."
        )
