"""
Bring inputs, targets and weights into the form in which Keras gets them.

In: whatever a user passes to `fit`, `evaluate` or `predict`. Out: dictionaries of
inputs, targets and weights by the name of the Node or Probe; or an error that says what
to change. The batches of generators and data sets are brought into the same form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import nengo
import numpy as np
import tensorflow as tf
from nengo.exceptions import SimulationError, ValidationError

from nengo_dl.execution.lengths import IS_ITEM, LENGTHS
from nengo_dl.simulation.arrays import Extent, as_array, check_fits
from nengo_dl.simulation.inputs import check_data, name_data
from nengo_dl.simulation.simulation import Simulation
from nengo_dl.training.batches import BatchCheck
from nengo_dl.training.objectives import Objectives
from nengo_dl.training.options import check_split
from nengo_dl.training.sequences import as_sequences, as_target
from nengo_dl.training.streams import checked_batches
from nengo_dl.training.targets import (
    check_labels,
    check_none_missing,
    check_target_shape,
    one_target,
    used_targets,
)
from nengo_dl.training.weights import (
    ClassWeights,
    check_weights,
    class_weights,
    weights_by_name,
)


class TrainingData:
    """
    The forms of data that one simulator accepts.

    Parameters
    ----------
    node_names, probe_names : dict of {object: str}
        Names of the Nodes that may have inputs, and of the Probes, in order.
    simulation : Simulation
        Generates the inputs that are not given.
    """

    def __init__(
        self,
        node_names: Mapping[nengo.Node, str],
        probe_names: Mapping[nengo.Probe, str],
        simulation: Simulation,
    ):
        self.node_names = node_names
        self.probe_names = probe_names
        self._simulation = simulation
        self._settings = simulation.settings
        self.minibatch_size = simulation.settings.minibatch_size

    def prepare(
        self,
        x: Any,
        y: Any,
        n_steps: Any,
        objectives: Objectives,
        kwargs: Mapping,
    ) -> tuple[Any, Any, dict[str, Any]]:
        """
        Return inputs, targets, and keyword arguments for Keras.

        Parameters
        ----------
        x, n_steps
            See `inputs`.
        y, objectives
            See `targets`.
        kwargs : dict
            Keyword arguments of `fit` or `evaluate`, maybe with weights (see
            `sample_weights`) and a split (see `check_split`).

        Returns
        -------
        x, y, kwargs
            In the form in which Keras gets them.

        Raises
        ------
        nengo.exceptions.ValidationError
            If there is something wrong with them.
        """
        x, n_items = self.inputs(x, n_steps)
        kwargs = dict(kwargs)
        classes = kwargs.pop("class_weight", None)
        if classes is not None:
            names = objectives.losses_with_targets
            sizes = {n: o.shape[-1] for n, o in self.output_specs(None).items()}
            classes = class_weights(classes, names, sizes)
        if not isinstance(x, dict):
            x = self.stream(x, kwargs["batch_size"], objectives, classes)
            return x, y, kwargs
        if kwargs.get("validation_split"):
            check_split(n_items, kwargs["validation_split"])
        lengths = x[LENGTHS][:, 0] if LENGTHS in x else None
        n_steps = number_of_steps(x)
        y = self.targets(y, objectives, n_items, n_steps, lengths)
        if lengths is not None and n_steps is not None:
            outputs = self.output_specs(n_steps)
            targets = self.target_specs(x, y or {})
            objectives.check_lengths(lengths, n_steps, targets, outputs)
        weights = kwargs.pop("sample_weight", None)
        weights = self.sample_weights(weights, y, objectives, n_items)
        if classes is not None and y is not None:
            weights = weights or {name: np.ones((n_items, 1)) for name in y}
            target = y[classes.name]
            weights[classes.name] = classes.times(target, weights[classes.name])
        if weights is not None:
            kwargs["sample_weight"] = weights
        return x, y, kwargs

    def validation_data(
        self,
        data: Any,
        n_steps: Any,
        objectives: Objectives,
        batch_size: int,
    ) -> Any:
        """Return data for validation in the form in which Keras gets them."""
        if not isinstance(data, (list, tuple)):
            return self.stream(data, batch_size, objectives)
        x, y, *weights = data
        kwargs = {"batch_size": batch_size}
        if weights:
            kwargs["sample_weight"] = weights[0]
        x, y, kwargs = self.prepare(x, y, n_steps, objectives, kwargs)
        if "sample_weight" in kwargs:
            return x, y, kwargs["sample_weight"]
        return x, y

    def given_nodes(self, x: Any) -> tuple[nengo.Node, ...]:
        """Return the Nodes of which prepared inputs have the outputs."""
        if not isinstance(x, dict):
            return tuple(self.node_names)
        return tuple(node for node, name in self.node_names.items() if name in x)

    def target_specs(self, x: Any, y: Any) -> Any:
        """
        Return the shapes of the targets of a minibatch.

        Parameters
        ----------
        x, y : object
            Inputs and targets, as `prepare` returns them.

        Returns
        -------
        specs : structure of tf.TensorSpec
            None if they are not known.
        """
        if isinstance(x, tf.data.Dataset):
            _, y, _ = keras.utils.unpack_x_y_sample_weight(x.element_spec)
        if y is None or not isinstance(x, (dict, tf.data.Dataset)):
            return None
        steps = number_of_steps(x)

        def spec(target: Any) -> tf.TensorSpec:
            shape = [steps if n is None else n for n in target.shape[1:]]
            return tf.TensorSpec((self.minibatch_size, *shape), target.dtype)

        return tf.nest.map_structure(spec, y)

    def inputs(
        self, x: Any, n_steps: Any = None, batch_size: int | None = None
    ) -> tuple[Any, int]:
        """
        Return the inputs of the Keras model.

        Parameters
        ----------
        x : object
            Inputs by Node or name, a list, one array, None, or a generator or data set.
        n_steps : int or (n_items,) array of int, optional
            Number of steps, or that of each item; by default that of the inputs.
        batch_size : int, optional
            The required number of items.

        Returns
        -------
        inputs : dict of {str: array}
            ``(n_items, n_steps, size_out)`` arrays by the name of the Node, and the
            ``"n_steps"``, ``(n_items, 1)``; along with lengths, if items have unequal
            ones (see `Lengths`). Nodes are missing whose outputs are not known before
            they are simulated. Generators and data sets are returned as they are.
        n_items : int
            The number of items.

        Raises
        ------
        nengo.exceptions.ValidationError
            If there is something wrong with the inputs.
        nengo.exceptions.SimulationError
            If ``n_steps`` is given along with a generator or data set.
        """
        named = name_data(x, self.node_names, "Nodes")
        if not isinstance(named, Mapping):
            if n_steps is not None:
                raise SimulationError(
                    "Cannot automatically add n_steps to data of type "
                    f"`{type(named).__name__}`; leave n_steps out, as every batch has "
                    "its number of steps (in the data of its Nodes or, in networks "
                    "without input, under the key 'n_steps')"
                )
            return named, 0
        sizes = {name: node.size_out for node, name in self.node_names.items()}
        sequences = as_sequences(named, n_steps, self._settings.unroll)
        arrays, n_items, n_steps = check_data(
            sequences.values, sizes, self._settings, sequences.n_steps, batch_size
        )
        given = {
            node: arrays[name]
            for node, name in self.node_names.items()
            if name in arrays
        }
        n_whole = -(-n_items // self.minibatch_size) * self.minibatch_size
        generated = self._simulation.generate_inputs(n_steps, n_whole, given)
        given.update((node, array[:n_items]) for node, array in generated.items())
        values = {
            name: given[node] for node, name in self.node_names.items() if node in given
        }
        values["n_steps"] = np.full((n_items, 1), n_steps, np.int32)
        if sequences.lengths is not None:
            values[LENGTHS] = sequences.lengths[:, None]
        return values, n_items

    def all_inputs(self, x: Any) -> list[np.ndarray]:
        """
        Return the inputs of one minibatch for all Nodes, in their order.

        Parameters
        ----------
        x : object
            Inputs by Node or name, a list, or one array; None for zeros.

        Raises
        ------
        nengo.exceptions.ValidationError
            If there is something wrong with them, or some are missing.
        """
        minibatch_size, settings = self.minibatch_size, self._settings
        sizes = {name: node.size_out for node, name in self.node_names.items()}
        if x is None:
            n_steps = settings.unroll * (2 if settings.use_loop else 1)
            shapes = [(minibatch_size, n_steps, size) for size in sizes.values()]
            return [np.zeros(shape) for shape in shapes]
        n_given = 1 if hasattr(x, "shape") else len(x) if hasattr(x, "__len__") else 0
        if n_given != len(sizes):
            expected = [f"({minibatch_size}, n_steps, {s})" for s in sizes.values()]
            raise ValidationError(
                "must be a list with an array for each of the Nodes "
                f"{list(sizes)}, of shape {', '.join(expected)} (received {n_given} "
                "arrays)",
                "inputs",
            )
        if not sizes:
            return []
        named = name_data(x, self.node_names, "Nodes")
        arrays, _, _ = check_data(named, sizes, settings, None, minibatch_size)
        return [arrays[name] for name in sizes]

    def stream(
        self,
        data: Any,
        batch_size: int,
        objectives: Objectives | None = None,
        classes: ClassWeights | None = None,
    ) -> Any:
        """
        Return data whose batches are checked; see `checked_batches`.

        Parameters
        ----------
        data
            See `checked_batches`.
        batch_size : int
            The required number of items in a batch.
        objectives : Objectives, optional
            Losses and metrics, if there are targets.
        classes : ClassWeights, optional
            Weights of classes.
        """
        names, settings = (self.node_names, self.probe_names), self._settings
        outputs = self.output_specs
        check = BatchCheck(*names, batch_size, settings, objectives, outputs, classes)
        return checked_batches(data, check, self._simulation.tensor_graph.errors)

    def output_specs(self, n_steps: int | None) -> dict[str, tf.TensorSpec]:
        """Return the outputs of a minibatch, for a number of steps if it is known."""
        outputs = self._simulation.tensor_graph.compute_output_spec(None)
        return {
            name: tf.TensorSpec([n_steps if n is None else n for n in o.shape], o.dtype)
            for name, o in zip(self.probe_names.values(), outputs)
        }

    def targets(
        self,
        y: Any,
        objectives: Objectives,
        batch_size: int,
        n_steps: int | None = None,
        lengths: np.ndarray | None = None,
    ) -> dict | None:
        """
        Return the targets of the Keras model.

        Parameters
        ----------
        y : object
            Targets by Probe or name, a list, or one array.
        objectives : Objectives
            Losses and metrics.
        batch_size : int
            The required number of items.
        n_steps : int, optional
            The number of steps of the inputs.
        lengths : (batch_size,) array of int, optional
            How many steps of each item count, by default all.

        Returns
        -------
        targets : dict of {str: (n_items, ...) array}
            Targets of those probes that have a loss or a metric; None if there are
            none.

        Raises
        ------
        nengo.exceptions.ValidationError
            If there is something wrong with the targets, or some are missing.
        """
        y = one_target(y, objectives.needing_targets(()))
        named = name_data(y, self.probe_names, "Probes")
        if not isinstance(named, Mapping):
            raise ValidationError(
                f"Targets must be an array, a list or a dictionary, received "
                f"`{type(y).__name__}`; generators and data sets have targets of their "
                "own, along with the inputs",
                "y",
            )
        arrays = {
            name: as_target(name, value, n_steps, lengths)
            for name, value in named.items()
        }
        for name, array in arrays.items():
            check_target_shape(name, array.shape, batch_size)
        used = used_targets(arrays, objectives.names)
        check_none_missing(objectives.needing_targets(arrays), arrays)
        outputs = self.output_specs(None)
        for name, array in used.items():
            extent = Extent.of(array)
            check_fits(name, extent, self._settings.dtype)
            if name in objectives.of_labels:
                check_labels(name, extent, outputs[name].shape[-1])
        return used or None

    def sample_weights(
        self,
        weights: Any,
        targets: Mapping | None,
        objectives: Objectives,
        batch_size: int,
    ) -> dict | None:
        """
        Return the weights of items by the name of the probe.

        Parameters
        ----------
        weights : object
            An array for all probes, a list in the order of the Probes, a dictionary by
            Probe or name, or None. Arrays are ``(n_items,)``, or have more axes of what
            the loss function returns, as ``(n_items, n_steps)``.
        targets : dict of {str: array} or None
            The targets: Keras insists on weights for each of them.
        objectives : Objectives
            Losses and metrics.
        batch_size : int
            The required number of items.

        Returns
        -------
        weights : dict of {str: array}
            None if there are none.

        Raises
        ------
        nengo.exceptions.ValidationError
            If there is something wrong with the weights.
        """
        if weights is None:
            return None
        targets = targets or {}
        used = [name for name in targets if name in objectives.weighted]
        arrays = {name: np.ones((batch_size, 1)) for name in targets}
        for name, value in weights_by_name(weights, self.probe_names, used).items():
            array = as_array(name, value)
            check_weights(name, array.shape, batch_size, Extent.of(array))
            # of one rank, or Keras loses track of it
            shape = array.shape if array.ndim > 1 else (len(array), 1)
            arrays[name] = np.reshape(array, shape)
        return arrays


def number_of_steps(x: Any) -> int | None:
    """Return the number of steps if it is the same for all batches, else None."""
    if isinstance(x, dict):
        return int(x["n_steps"][0, 0])
    if isinstance(x, tf.data.Dataset):
        inputs, _, _ = keras.utils.unpack_x_y_sample_weight(x.element_spec)
        lengths = [spec.shape[1] for n, spec in inputs.items() if n != "n_steps"]
        return lengths[0] if lengths else None
    return None


def counted_by(x: Any) -> str | None:
    """Return the name by which batches say what of them counts, if it is known."""
    if not isinstance(x, tf.data.Dataset):
        return None
    inputs, _, _ = keras.utils.unpack_x_y_sample_weight(x.element_spec)
    return next((name for name in (LENGTHS, IS_ITEM) if name in inputs), None)
