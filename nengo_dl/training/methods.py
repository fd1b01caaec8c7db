"""
The part of the simulator that works like a Keras model.

In: the data of the user. Out: what Keras returns, by the user's objects and names.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import nengo
import numpy as np
import tensorflow as tf
from nengo.exceptions import SimulationError, SimulatorClosed, ValidationError

from nengo_dl.simulation.inputs import name_data
from nengo_dl.simulation.simulation import Simulation
from nengo_dl.training.data import TrainingData, number_of_steps
from nengo_dl.training.gradients import broken_paths, compare_gradients, python_in_loops
from nengo_dl.training.keras_model import SimulatorModel, simulator_model
from nengo_dl.utils import require_open

KERAS_VERSION = tuple(int(number) for number in keras.__version__.split(".")[:2])


class KerasMethods:
    """
    Abstract base class of the simulator: `compile`, `fit`, `evaluate`, `predict`.

    Subclasses have the attributes below, and call `_start_keras_methods` once the
    network has been compiled.
    """

    closed: bool | None
    minibatch_size: int
    unroll: int
    stateful: bool
    _simulation: Simulation
    _names: dict
    _training_data: TrainingData
    _keras_model: SimulatorModel | None = None
    _node_inputs: dict[nengo.Node, keras.KerasTensor]
    _jit_compile: bool | str = "auto"
    _trained_with: tuple | None = None

    def _start_keras_methods(self) -> None:
        program = self._simulation.tensor_graph.program
        self._probe_names = {p: self._names[p] for p in program.probes}
        self._training_data = TrainingData(
            {n: self._names[n] for n in program.nodes},
            self._probe_names,
            self.minibatch_size,
            self.unroll,
            program.settings.use_loop,
            lambda *args: self._simulation.generate_inputs(*args),
            self._simulation.tensor_graph.errors,
        )

    @property
    def keras_model(self) -> SimulatorModel:
        """The Keras model of the network, from Nodes to Probes."""
        if self.closed:
            raise SimulatorClosed(
                "Cannot access Simulator.keras_model: the simulator is closed"
            )
        if self._keras_model is None:
            with self._simulation.context():
                self._keras_model = simulator_model(
                    self._simulation.tensor_graph, self._names
                )
            self._node_inputs = self.node_inputs
        return self._keras_model

    @property
    def node_inputs(self) -> dict[nengo.Node, keras.KerasTensor]:
        """The inputs of `keras_model` by Node."""
        if self.closed:
            return self._node_inputs
        nodes = self._training_data.node_names
        return dict(zip(nodes, self.keras_model.inputs))

    @require_open
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **kwargs,
    ) -> None:
        """
        Choose how to train, and what to report.

        Parameters
        ----------
        optimizer : str or keras.optimizers.Optimizer
            The optimizer.
        loss : str or callable or keras.losses.Loss or list or dict
            One loss for all Probes, a list in the order of the Probes, or a dictionary
            by Probe (or name). The total loss is the weighted sum of the losses of
            those Probes that have one, and of the regularization losses of Keras
            layers.
        loss_weights : list or dict
            Weights of the losses, by default one.
        metrics : str or callable or keras.metrics.Metric or list or dict
            One metric for all Probes, a list in the order of the Probes, or a
            dictionary by Probe (or name). Instead of one metric, elements of lists and
            dictionaries may be lists of metrics.
        weighted_metrics : str or callable or keras.metrics.Metric or list or dict
            Metrics to which sample weights apply.
        kwargs
            Passed on to `keras.Model.compile`. With ``jit_compile=True`` or ``False``,
            XLA compiles whole batches of training or does not; by default it does so
            for more than one timestep, if it can compile the network, losses, and
            metrics.

        Raises
        ------
        nengo.exceptions.ValidationError
            If there is something wrong with any of them; the simulator stays compiled
            as it was.
        """
        self._check_optimizer(optimizer)
        by_name = {
            "loss": self._by_probe(loss, "loss"),
            "metrics": _lists(self._by_probe(metrics, "metrics")),
            "weighted_metrics": _lists(
                self._by_probe(weighted_metrics, "weighted_metrics")
            ),
            "loss_weights": self._loss_weights(loss_weights),
        }
        jit_compile = kwargs.pop("jit_compile", "auto")
        with self._simulation.context():
            self.keras_model.compile(optimizer=optimizer, **by_name, **kwargs)
        self._jit_compile = jit_compile
        self._trained_with = None

    @staticmethod
    def _check_optimizer(optimizer) -> None:
        if isinstance(optimizer, (str, Mapping, keras.optimizers.Optimizer)):
            return
        raise ValidationError(
            f"must be the name of an optimizer or a `keras.optimizers.Optimizer`, such "
            f"as `tf.optimizers.SGD(0.1)` (received {optimizer!r}; optimizers of "
            "`tf.compat.v1.train` cannot be used with Keras 3)",
            "optimizer",
        )

    def _by_probe(self, value: Any, what: str) -> dict[str, Any]:
        """Return losses or metrics by the name of the probe."""
        if value is None:
            return {}
        if not isinstance(value, (list, tuple, Mapping)):
            return dict.fromkeys(self._probe_names.values(), value)
        try:
            named = name_data(value, self._probe_names, "Probes")
        except ValidationError as err:
            raise ValidationError(f"`{what}`: {err}", what) from err
        return {name: v for name, v in named.items() if v is not None}

    def _loss_weights(self, weights: Any) -> dict[str, float]:
        if weights is not None and not isinstance(weights, (list, tuple, Mapping)):
            raise ValidationError(
                "must be a list in the order of the Probes, or a dictionary by Probe "
                f"(received {weights!r})",
                "loss_weights",
            )
        return {n: float(w) for n, w in self._by_probe(weights, "loss_weights").items()}

    @require_open
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        n_steps: int | None = None,
        stateful: bool = False,
        **kwargs,
    ) -> keras.callbacks.History:
        """
        Train the network.

        Parameters
        ----------
        x : dict or list or array, optional
            Outputs of Nodes without input, ``(n_items, n_steps, size_out)`` arrays: a
            dictionary by Node (or name), a list in the order of the Nodes, or the array
            of the first one; what is missing is generated from the Nodes. Or a
            generator or data set that yields ``(x, y)`` or ``(x, y, sample_weight)``,
            where ``x`` contains all inputs (and ``"n_steps"``) by name or in order.
        y : dict or list or array, optional
            Targets, in the same forms, by Probe.
        n_steps : int, optional
            Number of steps, by default that of ``x``.
        stateful : bool
            If True, every minibatch starts with the state at the end of the last one,
            and the state at the end of the last one is kept.
        kwargs
            Passed on to `keras.Model.fit`.

        Returns
        -------
        history : keras.callbacks.History
            ``history.history`` has a list of values, one for every epoch, by name:
            ``loss``, ``<probe>_loss``, ``<probe>_<metric>``; with ``val_`` in front for
            validation data.

        Raises
        ------
        nengo.exceptions.ValidationError
            If there is something wrong with the data.
        nengo.exceptions.SimulationError
            If the network cannot be trained, or has not been compiled with a loss.

        Notes
        -----
        Neurons that spike are trained through their rate versions. Learning rules are
        active, and what they learn is kept for every item of the minibatch.
        Parameters are what they were if an exception is raised.
        """
        self._check_trainable()
        self._check_compiled("fit", self.keras_model.objectives.losses)
        with self._keras_call("fit", stateful, kwargs):
            data, objectives = self._training_data, self.keras_model.objectives
            x, y, kwargs = data.prepare(x, y, n_steps, objectives, kwargs)
            if not isinstance(x, list):
                # Keras would warn that it cannot
                kwargs.setdefault("shuffle", False)
            self._check_targets(x, y)
            if "validation_data" in kwargs:
                validation_data = data.validation_data(
                    kwargs["validation_data"],
                    n_steps,
                    objectives,
                    kwargs["batch_size"],
                )
                if isinstance(validation_data, tuple):
                    self._check_targets(*validation_data[:2])
                kwargs["validation_data"] = validation_data
            steps, keep_state = number_of_steps(x), bool(stateful and self.stateful)
            self._check_one_step(steps, stateful)
            self._prepare_training(steps, keep_state, data.target_specs(x, y))
            graph = self._simulation.tensor_graph
            with self._restored_on_failure(), graph.known_training(steps, keep_state):
                history = self.keras_model.fit(x, y, **kwargs)
        for values in history.history.values():
            # Keras 3.3 leaves tensors there
            values[:] = [float(v) if tf.is_tensor(v) else v for v in values]
        _warn_of_nan(history.history)
        return history

    @require_open
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        n_steps: int | None = None,
        stateful: bool = False,
        **kwargs,
    ) -> dict[str, float]:
        """
        Compute losses and metrics, without training.

        Parameters
        ----------
        x, y, n_steps, stateful
            As in `fit`.
        kwargs
            Passed on to `keras.Model.evaluate`.

        Returns
        -------
        results : dict of {str: float}
            ``loss``, ``<probe>_loss``, ``<probe>_<metric>``.

        Raises
        ------
        nengo.exceptions.ValidationError
            If there is something wrong with the data.
        nengo.exceptions.SimulationError
            If the simulator has not been compiled with a loss or metric.
        """
        kwargs.pop("return_dict", None)
        self._check_compiled("evaluate", self.keras_model.objectives.names)
        with self._keras_call("evaluate", stateful, kwargs):
            objectives = self.keras_model.objectives
            x, y, kwargs = self._training_data.prepare(
                x, y, n_steps, objectives, kwargs
            )
            self._check_targets(x, y)
            self._check_one_step(number_of_steps(x), stateful)
            results = self.keras_model.evaluate(x, y, return_dict=True, **kwargs)
        _warn_of_nan(results)
        names = self.keras_model.get_metrics_result()
        return {name: float(results[name]) for name in names}

    @require_open
    def predict(
        self,
        x: Any = None,
        n_steps: int | None = None,
        stateful: bool = False,
        **kwargs,
    ) -> dict[nengo.Probe, np.ndarray]:
        """
        Simulate any number of items, minibatch by minibatch.

        Parameters
        ----------
        x, n_steps, stateful
            As in `fit`.
        kwargs
            Passed on to `keras.Model.predict`.

        Returns
        -------
        outputs : dict of {nengo.Probe: (n_items, n_steps, ...) array}
            Values of all Probes in all steps; nothing is added to ``sim.data``.

        Raises
        ------
        nengo.exceptions.ValidationError
            If there is something wrong with the data.
        """
        with self._keras_call("predict", stateful, kwargs):
            x, _ = self._training_data.inputs(x, n_steps)
            x = self._training_data.stream(x, kwargs["batch_size"])
            self._check_one_step(number_of_steps(x), stateful)
            outputs = self.keras_model.predict(x, **kwargs)
        return self._by_probe_object(outputs)

    @require_open
    def predict_on_batch(
        self,
        x: Any = None,
        n_steps: int | None = None,
        stateful: bool = False,
        **kwargs,
    ) -> dict[nengo.Probe, np.ndarray]:
        """
        Simulate exactly one minibatch; see `predict`.

        Raises
        ------
        nengo.exceptions.ValidationError
            If there is something wrong with the data, such as another number of items.
        """
        with self._keras_call(None, stateful, kwargs):
            x, _ = self._training_data.inputs(x, n_steps, self.minibatch_size)
            if not isinstance(x, list):
                raise ValidationError(
                    "predict_on_batch needs the arrays of one minibatch, received "
                    f"`{type(x).__name__}`; use `predict`",
                    "x",
                )
            self._check_one_step(number_of_steps(x), self.stateful)
            x = [tf.convert_to_tensor(array) for array in x]
            outputs = self.keras_model.predict_on_batch(x, **kwargs)
        return self._by_probe_object(outputs)

    @require_open
    def check_gradients(
        self,
        inputs: list | None = None,
        outputs: list | None = None,
        atol: float = 1e-5,
        rtol: float = 1e-3,
    ) -> dict[nengo.Probe, dict[str, list[np.ndarray]]]:
        """
        Compare gradients of outputs with finite differences.

        Parameters
        ----------
        inputs : list of (minibatch_size, n_steps, size_out) array, optional
            Outputs of the Nodes, where gradients are computed; by default zeros for
            ``2 * unroll_simulation`` steps.
        outputs : list of nengo.Probe, optional
            The outputs; by default all Probes.
        atol, rtol : float
            Absolute and relative tolerance.

        Returns
        -------
        gradients : dict of {nengo.Probe: dict}
            ``"analytic"`` and ``"numeric"`` Jacobians with regard to every Node.

        Raises
        ------
        nengo.exceptions.SimulationError
            If gradients differ, or are NaN.
        nengo.exceptions.ValidationError
            If an output is not a Probe of this network.
        """
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
            steps = self.unroll * (1 if not graph.use_loop else 2)
            inputs = [
                np.zeros((self.minibatch_size, steps, node.size_out))
                for node in graph.program.nodes
            ]
        with self._simulation.keras_call(False):
            saved = graph.get_arrays()
            graph.reset(include_trainable=False)
            try:
                return compare_gradients(graph, inputs, outputs, atol, rtol)
            finally:
                graph.set_arrays(saved)

    # -- of a call --------------------------------------------------------------------

    @contextmanager
    def _keras_call(self, name: str | None, stateful, kwargs) -> Iterator[None]:
        """Return a context to call Keras in, after checks that all calls share."""
        if "batch_size" in kwargs:
            warnings.warn(
                "Batch size is determined statically by `minibatch_size="
                f"{self.minibatch_size}` of the Simulator; `batch_size="
                f"{kwargs.pop('batch_size')}` is ignored"
            )
        if name is not None:
            model = self.keras_model
            replicas = model.distribute_strategy.num_replicas_in_sync
            kwargs["batch_size"] = self.minibatch_size * replicas
            if stateful and not self.stateful:
                warnings.warn(
                    "Ignoring stateful=True: the network is configured with "
                    "`stateful=False`"
                )
        with self._simulation.keras_call(bool(stateful and self.stateful)):
            yield

    def _check_trainable(self) -> None:
        if self._simulation.tensor_graph.inference_only:
            raise SimulationError(
                "Cannot train: the network is configured with `inference_only=True`; "
                "remove that setting and create a new Simulator"
            )

    def _check_compiled(self, method: str, has_objectives) -> None:
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

    def _check_targets(self, x, y) -> None:
        """Check the shapes of targets, as `TrainingData.prepare` returns them."""
        specs = self._training_data.target_specs(x, y)
        self.keras_model.check_targets(specs, number_of_steps(x))

    def _by_probe_object(self, outputs: Mapping) -> dict[nengo.Probe, np.ndarray]:
        """Return outputs by Probe, with all items also of what they have in common."""
        graph = self._simulation.tensor_graph
        by_probe = {}
        for probe, name in self._probe_names.items():
            value = np.asarray(outputs[name])
            if not graph.step.place(graph.program.probes[probe]).minibatched:
                value = np.repeat(value, self.minibatch_size, axis=0)
            by_probe[probe] = value
        return by_probe

    def _check_one_step(self, n_steps: int | None, stateful: bool) -> None:
        """Warn if synapses have no time to do anything."""
        if stateful or n_steps != 1:
            return
        model = self._simulation.model
        keras_model = self._keras_model
        compiled = () if keras_model is None else keras_model.objectives.names
        connections = [] if model.toplevel is None else model.toplevel.all_connections
        probes = [
            probe
            for probe, name in self._probe_names.items()
            if not compiled or name in compiled
        ]
        if any(obj.synapse is not None for obj in [*connections, *probes]):
            warnings.warn(
                "The data have one timestep, and the network contains synaptic "
                "filters: next to nothing of the input gets through them. Set "
                "`synapse=None` where no filter is needed, or repeat the data for "
                "several timesteps."
            )

    def _prepare_training(
        self, steps: int | None, keep_state: bool, target_specs: Any
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
        facts = (steps, keep_state, target_specs)
        if self._trained_with == facts:
            return
        if steps is not None and steps != self.unroll:
            in_loops = python_in_loops(graph, probes)
            if in_loops:
                raise SimulationError(
                    f"Cannot train through {', '.join(in_loops)}: TensorFlow knows the "
                    "gradient of a `tf.py_function` for a single call only. Use "
                    "TensorFlow functions instead, or one timestep"
                )
        if self._jit_compile == "auto":
            jit_compile = (
                is_local
                and steps is not None
                and graph.compiles_training(steps)
                and model.objectives_compile(target_specs, steps)
            )
        else:
            jit_compile = bool(self._jit_compile)
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        model.compiles_training = jit_compile
        model.make_train_function(force=True)
        self._trained_with = facts
        broken = broken_paths(graph, probes)
        if broken:
            warnings.warn(
                f"No gradient flows through {', '.join(broken)}: NumPy code, and "
                "steps without a derivative, cannot be differentiated. Parameters that "
                "influence the loss through them alone stay as they are."
            )

    @contextmanager
    def _restored_on_failure(self) -> Iterator[None]:
        """Give what is trained its values back if an exception leaves the context."""
        model = self.keras_model
        variables = [*model.variables, *model.optimizer.variables]
        saved = [(variable, variable.numpy()) for variable in variables]
        try:
            yield
        except Exception:
            for variable, value in saved:
                variable.assign(value)
            raise


def _lists(by_name: Mapping[str, Any]) -> dict[str, list]:
    return {
        n: list(v) if isinstance(v, (list, tuple)) else [v] for n, v in by_name.items()
    }


def _warn_of_nan(results: Mapping[str, Any]) -> None:
    names = [name for name, values in results.items() if np.isnan(values).any()]
    if names:
        warnings.warn(
            f"NaN: {', '.join(names)}. Lower the learning rate, or look for NaN in the "
            "targets (`nengo_dl.losses.nan_mse` ignores them)."
        )
