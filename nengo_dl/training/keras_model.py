"""
`SimulatorModel`: the Keras model from Nodes to Probes, with our own losses.

In: a `TensorGraph`, and losses and metrics by the name of the probe. Out: a
`keras.Model` from the outputs of Nodes to those of Probes, with Keras's training loop
around our own losses and metrics.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NoReturn

import keras
import tensorflow as tf
from nengo.exceptions import SimulationError, ValidationError

from nengo_dl.execution.lengths import IS_ITEM, Lengths
from nengo_dl.simulation.device import working_context
from nengo_dl.tensor_graph import NOT_WHOLE, TensorGraph
from nengo_dl.training.batches import by_name
from nengo_dl.training.counting import Counted
from nengo_dl.training.objectives import Objectives
from nengo_dl.utils import are_here, without_warnings, xla_compiles


@dataclass(frozen=True)
class TrainingFacts:
    """
    What is known about batches of training before the first of them is seen.

    Parameters
    ----------
    n_steps : int or None
        The number of steps, if all batches have the same.
    keep_state : bool or None
        Whether the state at the end of a batch is kept; None if a variable decides when
        batches are trained.
    jit_compile : bool
        Whether XLA compiles whole batches.
    """

    n_steps: int | None = None
    keep_state: bool | None = None
    jit_compile: bool = False


def outputs_type(names: Sequence[str]) -> type:
    """
    Return a class of tuples whose elements are found by name as well.

    It is a class of named tuples, as Keras and TensorFlow look into those (the model
    may be part of another one). Names of Probes need not be valid names of fields.

    Parameters
    ----------
    names : sequence of str
        Names of the elements.
    """
    fields = [f"output_{i}" for i in range(len(names))]

    class Outputs(namedtuple("Outputs", fields)):  # type: ignore[misc]
        """Outputs of all Probes, and the number of steps, in order and by name."""

        __slots__ = ()

        def __getitem__(self, key: Any) -> Any:
            if isinstance(key, str):
                if key not in names:
                    raise KeyError(f"There is no output '{key}', only {list(names)}")
                key = names.index(key)
            return super().__getitem__(key)

        def keys(self) -> list[str]:
            """Return the names."""
            return list(names)

        def items(self) -> list[tuple[str, Any]]:
            """Return names and outputs."""
            return list(zip(names, self))

    return Outputs


class SimulatorModel(keras.Model):
    """
    A `keras.Model` with losses and metrics for any of its outputs.

    Made by `simulator_model`. What it returns is found by position and by name.

    Attributes
    ----------
    input_names : list of str
        Names of the Nodes, and ``"n_steps"``.
    output_names : list of str
        Names of the Probes, and ``"steps_run"``.
    outputs_by_name : dict of {str: keras.KerasTensor}
        The outputs by name.
    outputs_type : type
        The class of what the model returns; see `outputs_type`.
    objectives : Objectives
        Losses and metrics; none before `compile`.
    facts : TrainingFacts
        What the next training function may rely on.
    keep_state : bool or None
        Whether the state at the end of a batch that is not for training is kept; None
        if a variable decides when batches are computed.
    """

    input_names: list[str]
    outputs_type: type
    objectives: Objectives
    facts = TrainingFacts()
    keep_state: bool | None = None

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Mapping[str, Any] | None = None,
        loss_weights: Mapping[str, float] | None = None,
        metrics: Mapping[str, list] | None = None,
        weighted_metrics: Mapping[str, list] | None = None,
        shared: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        """
        Choose how to train, and what to report.

        Parameters
        ----------
        optimizer : str or keras.optimizers.Optimizer
            The optimizer.
        loss, loss_weights, metrics, weighted_metrics, shared
            See `Objectives`.
        kwargs
            Passed on to `keras.Model.compile`.
        """
        objectives = Objectives(
            loss or {},
            metrics or {},
            loss_weights or {},
            weighted_metrics or {},
            shared,
        )
        kwargs.setdefault("jit_compile", False)
        super().compile(optimizer=optimizer, **kwargs)
        self.objectives = objectives

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """What Keras resets at the beginning of an epoch."""
        return self.objectives.keras_metrics()

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the results so far by name."""
        return self.objectives.results()

    def save(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise an error, before Keras overwrites the file that may be there."""
        raise SimulationError(NOT_WHOLE)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Train with one batch."""
        with self._float_type(), after(data):
            return self._train(data)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Evaluate one batch."""
        with self._float_type(), after(data):
            return self._test(data)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Simulate: inputs in order or by name, outputs in order and by name."""
        if isinstance(inputs, Mapping):
            inputs = [inputs[name] for name in self.input_names]
        return self.outputs_type(*super().__call__(inputs, *args, **kwargs))

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """Return the outputs of many batches, in order and by name."""
        return self.outputs_type(*super().predict(*args, **kwargs))

    def predict_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Return the outputs of one batch, in order and by name."""
        return self.outputs_type(*super().predict_on_batch(*args, **kwargs))

    def predict_step(self, data: Any) -> list[tf.Tensor]:
        """Return the outputs of one batch."""
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        with self._float_type(), after(data):
            *outputs, n_steps = self._network_outputs(x).values()
            lengths = Lengths.of(x)
            if lengths is not None:
                n_steps = n_steps if lengths.n_steps is None else lengths.n_steps
                n_steps = tf.where(lengths.is_item, n_steps, 0)
            return [*outputs, n_steps]

    def _float_type(self) -> AbstractContextManager:
        """Return a context with the float type of the simulation for a trace."""
        if tf.executing_eagerly() or tf.distribute.has_strategy():
            # Python functions may run, or replicas in other threads
            return nullcontext()
        dtype = self.get_layer("TensorGraph").settings.dtype
        return working_context(None, dtype, alone=True)

    def _train(self, data: Any) -> dict[str, Any]:
        x, y, sample_weight = self._parts(data)
        with tf.GradientTape() as tape:
            y_pred = self._network_outputs(x, self.facts)
            counted = self._counted(x, (y, y_pred, sample_weight))
            loss = self.objectives.total_loss(counted, self.losses)
            # replicas add up their gradients
            scaled = self.optimizer.scale_loss(self._part(loss, Lengths.of(x)))
        variables = self.trainable_variables
        gradients = tape.gradient(scaled, [v.value for v in variables])
        # parameters that have no influence on the loss stay as they are
        pairs = [(g, v) for g, v in zip(gradients, variables) if g is not None]
        if pairs:
            self.optimizer.apply_gradients(pairs)
        self.objectives.update_metrics(counted)
        return self._step_results(y)

    def _parts(self, data: Any) -> tuple[Any, dict, dict]:
        """Return inputs, targets and weights, the latter by name."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y = by_name(y, self.output_names)
        return x, y, self._weights_by_name(sample_weight)

    def _counted(self, x: Any, values: tuple[dict, dict, dict]) -> Counted:
        """
        Return targets, outputs and weights, without what does not count if possible.

        Items that fill up a batch are cut off, as some losses and metrics return one
        number for all items. XLA needs batches of one size; there, and where steps do
        not count, losses and metrics have to leave out the rest.
        """
        lengths = Lengths.of(x)
        if lengths is None:
            return Counted(*values)
        share = lengths.share(self.get_layer("TensorGraph").settings.dtype)
        if lengths.n_steps is None and not self.jit_compile:
            y, y_pred, weights = tf.nest.map_structure(lengths.only_items, values)
            return Counted(y, y_pred, weights, None, share)
        y, y_pred, weights = values
        # (what comes after the end need not be a number)
        y = {name: lengths.hold(target) for name, target in y.items()}
        return Counted(y, y_pred, weights, lengths, share)

    def _part(self, loss: tf.Tensor, lengths: Lengths | None) -> tf.Tensor:
        """Return what a replica adds to the loss of a batch."""
        n_replicas = self.distribute_strategy.num_replicas_in_sync
        if n_replicas == 1 or lengths is None:
            return loss if n_replicas == 1 else loss / n_replicas
        n_items = lengths.n_items(loss.dtype)
        context = tf.distribute.get_replica_context()
        n_all = context.all_reduce(tf.distribute.ReduceOp.SUM, n_items)
        return loss * tf.math.divide_no_nan(n_items, n_all)

    def _network_outputs(
        self, x: Any, facts: TrainingFacts | None = None
    ) -> dict[str, tf.Tensor]:
        """
        Call the network, which generates the outputs of Nodes that are not in a batch.

        Parameters
        ----------
        x : object
            The inputs of a batch.
        facts : TrainingFacts, optional
            What is known about all batches, if they are for training.
        """
        x = by_name(x, self.input_names)
        if "n_steps" not in x:
            raise ValidationError(
                "Inputs need the number of steps, an array of shape (batch size, 1), "
                f"last or as 'n_steps' (received {list(x)})",
                "x",
            )
        graph, lengths = self.get_layer("TensorGraph"), Lengths.of(x)
        inputs = [
            tf.cast(x[name], spec.dtype)
            for name, spec in zip(self.input_names, self.inputs)
            if name in x
        ]
        if lengths is not None:
            inputs = [*map(lengths.hold, inputs[:-1]), inputs[-1]]
        nodes = zip(self.input_names, graph.program.nodes)
        outputs = graph(
            inputs,
            training=facts is not None,
            n_steps=None if facts is None else facts.n_steps,
            keep_state=self.keep_state if facts is None else facts.keep_state,
            given=[node for name, node in nodes if name in x],
            # (Keras 3.3 takes no None among tensors)
            lengths=None if lengths is None else [v for v in lengths if v is not None],
        )
        return dict(zip(self.output_names, outputs))

    def _test(self, data: Any) -> dict[str, Any]:
        x, y, sample_weight = self._parts(data)
        y_pred = self._network_outputs(x)
        counted = self._counted(x, (y, y_pred, sample_weight))
        self.objectives.total_loss(counted, self.losses)
        self.objectives.update_metrics(counted)
        return self._step_results(y)

    def _step_results(self, y: Mapping) -> dict[str, tf.Tensor]:
        results = self.objectives.results(y)
        if self.distribute_strategy.num_replicas_in_sync > 1:
            # Keras takes means of what replicas return along their first axis
            return {name: tf.reshape(value, [1]) for name, value in results.items()}
        return results

    def _weights_by_name(self, weights: Any) -> dict[str, tf.Tensor]:
        if tf.is_tensor(weights):
            return dict.fromkeys(self.output_names, weights)
        return by_name(weights, self.output_names)

    def check_targets(
        self, y: Any, n_steps: int | None, weights: Mapping | None = None
    ) -> None:
        """
        Check that losses and metrics can compare targets with outputs.

        Parameters
        ----------
        y : object
            A `tf.TensorSpec` for every target, in any form that data sets have.
        n_steps : int or None
            Number of steps of the outputs, if it is known.
        weights : dict of {str: tf.TensorSpec}, optional
            Sample weights by the name of the probe.

        Raises
        ------
        nengo.exceptions.ValidationError
            If they cannot.
        """
        y, outputs = by_name(y, self.output_names), self._output_specs(n_steps)
        self.objectives.check_targets(y, outputs)
        self.objectives.check_weights(weights or {}, y, outputs)

    def layers_compile(self) -> bool:
        """Return whether Keras thinks that XLA can compile all layers."""
        # Keras says that it does without
        with without_warnings():
            self.jit_compile = True
        return self.jit_compile

    def is_here(self) -> bool:
        """Return whether XLA can reach all that training reads or changes."""
        variables = [*self.variables, *self.metrics_variables]
        return are_here([*variables, *self.optimizer.variables])

    def objectives_compile(
        self, y: Any, n_steps: int, counted_by: str | None = None
    ) -> bool:
        """
        Return whether XLA compiles the losses and metrics; see `check_targets`.

        Parameters
        ----------
        counted_by : str, optional
            The name by which batches say what of them counts, if not everything does.
        """
        batch_size = self.inputs[-1].shape[0]
        counts = {}
        if counted_by is not None:
            dtype = tf.bool if counted_by == IS_ITEM else tf.int32
            counts[counted_by] = tf.TensorSpec((batch_size, 1), dtype)
        specs = (by_name(y, self.output_names), self._output_specs(n_steps), counts)

        def compute(*tensors: tf.Tensor) -> tf.Tensor:
            y, y_pred, counts = tf.nest.pack_sequence_as(specs, tensors)
            counted = Counted(y, y_pred, {}, Lengths.of(counts))
            loss = self.objectives.total_loss(counted, [])
            self.objectives.update_metrics(counted)
            return loss

        function = tf.function(compute, autograph=False, jit_compile=True)
        return xla_compiles(function, tf.nest.flatten(specs))

    def _output_specs(self, n_steps: int | None) -> dict[str, tf.TensorSpec]:
        return {
            name: tf.TensorSpec([n_steps if n is None else n for n in o.shape], o.dtype)
            for name, o in self.outputs_by_name.items()
        }

    def make_train_function(self, force: bool = False) -> Callable:
        """Make the function that trains with one batch."""
        self.jit_compile = self.facts.jit_compile
        return super().make_train_function(force)

    def make_test_function(self, force: bool = False) -> Callable:
        """Make the function that evaluates one batch."""
        # the simulation within is a compiled function already
        self.jit_compile = False
        return super().make_test_function(force)

    def make_predict_function(self, force: bool = False) -> Callable:
        """Make the function that predicts one batch."""
        self.jit_compile = False
        return super().make_predict_function(force)


def after(data: Any) -> AbstractContextManager:
    """
    Return a context whose operations wait for the data of a batch.

    At the end of a data set of unknown length, Keras finds that there is no more data
    within the function that computes a batch. What does not depend on the data (that
    a batch is counted, say, or a step of the optimizer) would happen nevertheless.
    """
    tensors = [value for value in tf.nest.flatten(data) if tf.is_tensor(value)]
    return tf.control_dependencies(tensors)


def simulator_model(tensor_graph: TensorGraph, names: Mapping) -> SimulatorModel:
    """
    Return the Keras model around a `TensorGraph`.

    Parameters
    ----------
    tensor_graph : TensorGraph
        The compiled network.
    names : dict of {(nengo.Node or nengo.Probe): str}
        Names of inputs and outputs.
    """
    node_inputs, n_steps = tensor_graph.build_inputs()
    inputs = [*node_inputs.values(), n_steps]
    output_names = [names[p] for p in tensor_graph.program.probes] + ["steps_run"]
    outputs = list(tensor_graph(inputs))
    # Out of sight of any `tf.distribute` strategy (a graph has one of its own): Keras
    # would build the model once more, and fails to with several workers. The strategy
    # of the time when the model is called is the one that counts.
    with tf.Graph().as_default():
        model = SimulatorModel(
            inputs=inputs,
            outputs=outputs,
            name="keras_model",
            # True would make layers of the user trainable that are not
            trainable=False if tensor_graph.inference_only else None,
        )
    model.input_names = [names[n] for n in node_inputs] + ["n_steps"]
    model.output_names = output_names
    model.outputs_by_name = dict(zip(output_names, outputs))
    model.outputs_type = outputs_type(output_names)
    model.objectives = Objectives({}, {}, {}, {})
    return model
