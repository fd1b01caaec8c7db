"""
What a batch of a generator or data set has to be.

In: a batch, of arrays, tensors, or their shapes. Out: the same by the names of Nodes
and Probes, or an error that says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import nengo
import numpy as np
import tensorflow as tf
from nengo.exceptions import ValidationError

from nengo_dl.config import Settings
from nengo_dl.execution.lengths import IS_ITEM, LENGTHS
from nengo_dl.simulation.arrays import (
    Extent,
    as_array,
    check_fits,
    check_inputs_are_finite,
)
from nengo_dl.simulation.inputs import (
    check_agreement,
    check_input_shape,
    held,
    name_data,
)
from nengo_dl.simulation.steps import check_counts, check_n_steps
from nengo_dl.training.objectives import Objectives
from nengo_dl.training.sequences import as_sequences, as_target, is_ragged
from nengo_dl.training.targets import (
    check_labels,
    check_target_shape,
    one_target,
    used_targets,
)
from nengo_dl.training.weights import ClassWeights, check_weights, weights_by_name


def as_tuple(batch: Any) -> tuple:
    """Return the parts of a batch, which may be its inputs alone."""
    return tuple(batch) if isinstance(batch, (list, tuple)) else (batch,)


def by_name(values: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return the inputs, targets, or weights of a batch by name, in whatever form."""
    if values is None:
        return {}
    if isinstance(values, Mapping):
        return dict(values)
    if not isinstance(values, (list, tuple)):
        values = [values]
    return dict(zip(names, values))


class BatchCheck:
    """
    The form of the batches that generators and data sets yield.

    Parameters
    ----------
    node_names, probe_names : dict of {object: str}
        Names of the Nodes that have inputs, and of the Probes.
    batch_size : int
        The number of items in a batch.
    settings : Settings
        Which numbers of steps can be simulated.
    objectives : Objectives, optional
        Losses and metrics; without, targets are left out.
    output_specs : callable, optional
        Maps a number of steps (None if it is not known) to a `tf.TensorSpec` for the
        output of every Probe, by name; needed along with ``objectives``.
    classes : ClassWeights, optional
        Weights of classes, with which sample weights are multiplied.

    Attributes
    ----------
    nodes : list of str
        Names of the Nodes.
    sizes : dict of {str: int}
        Their ``size_out``.
    """

    def __init__(
        self,
        node_names: Mapping[nengo.Node, str],
        probe_names: Mapping[nengo.Probe, str],
        batch_size: int,
        settings: Settings,
        objectives: Objectives | None = None,
        output_specs: Callable[[int | None], dict[str, tf.TensorSpec]] | None = None,
        classes: ClassWeights | None = None,
    ):
        self.nodes = list(node_names.values())
        self._inputs: dict[Any, str] = {**node_names, "n_steps": "n_steps"}
        self.sizes = {name: node.size_out for node, name in node_names.items()}
        self._probes = probe_names
        self.batch_size = batch_size
        self.settings = settings
        self._objectives = objectives
        self._output_specs = output_specs
        self._classes = classes
        self._compared: set = set()
        # whether batches say how many steps every item has; None before the first one
        self._has_lengths: bool | None = None

    def __call__(self, batch: Any) -> tuple[dict[str, Any], ...]:
        """
        Check a batch, and return it by name.

        Parameters
        ----------
        batch : array or tuple or dict
            ``x``, ``(x, y)`` or ``(x, y, sample_weight)``.

        Returns
        -------
        batch : tuple of dict of {str: array}
            Inputs, with the number of steps; and targets and weights, if there are any.

        Raises
        ------
        nengo.exceptions.ValidationError
            If inputs or targets are missing, or there is something wrong with them.
        """
        x, *others = self.named(batch)
        x, lengths = self._with_equal_steps(x)
        counts = np.ravel(x["n_steps"])
        n_steps = int(counts[0]) if counts.size else None
        if others:
            others[0] = {
                name: as_target(name, value, n_steps, lengths)
                for name, value in others[0].items()
            }
        named = tuple(
            {name: as_array(name, value) for name, value in part.items()}
            for part in (x, *others)
        )
        self.check(named)
        self.check_numbers([{n: Extent.of(a) for n, a in p.items()} for p in named])
        if lengths is not None:
            self.check_lengths(lengths, named)
        return self._filled_up(self.weighted(named), lengths)

    def check_lengths(
        self, lengths: np.ndarray, parts: Sequence[Mapping[str, Any]]
    ) -> None:
        """
        Check that losses and metrics are about steps that all items have.

        Parameters
        ----------
        lengths : (n_items,) array of int
            How many steps of each item count.
        parts : sequence of dict of {str: array}
            The batch.
        """
        if self._objectives is None or self._output_specs is None:
            return
        x, y, *_ = (*parts, {})
        n_steps = int(np.max(x["n_steps"]))
        targets = self._specs(y)
        facts = (str(targets), tuple(np.unique(lengths)), n_steps)
        if facts not in self._compared:
            outputs = self._output_specs(n_steps)
            self._objectives.check_lengths(lengths, n_steps, targets, outputs)
            self._compared.add(facts)

    def _specs(self, values: Mapping[str, Any]) -> dict[str, tf.TensorSpec]:
        """Return the shapes of values of a minibatch, as far as they are known."""
        minibatch_size = self.settings.minibatch_size
        return {
            name: tf.TensorSpec((minibatch_size, *_shape(v)[1:]), v.dtype)
            for name, v in values.items()
            if None not in _shape(v)[1:]
        }

    def weighted(self, parts: Sequence[dict[str, Any]]) -> list[dict]:
        """
        Return a batch of arrays or tensors with the weights of their classes.

        Weights of items become those of all of their steps, ``(n_items, 1)``: Keras
        loses track of weights that have other axes than before.
        """
        parts = self._with_class_weights(parts)
        if len(parts) > 2:
            parts[2] = {name: _with_steps(w) for name, w in parts[2].items()}
        return parts

    def _with_class_weights(self, parts: Sequence[dict[str, Any]]) -> list[dict]:
        """Return the parts in a new list, with weights of classes if there are any."""
        if self._classes is None or len(parts) < 2:
            return list(parts)
        x, y, weights = (*parts, {})[:3]
        # Keras insists on weights for each of the targets
        like = tf.ones_like if tf.is_tensor(next(iter(y.values()))) else np.ones_like
        ones = {n: like(v[:, 0, 0], "float32") for n, v in y.items()}
        name = self._classes.name
        own = self._classes.times(y[name], weights.get(name))
        return [x, y, {**ones, **weights, name: own}]

    def _with_equal_steps(
        self, x: Mapping[str, Any]
    ) -> tuple[dict[str, Any], np.ndarray | None]:
        """Return inputs with their number of steps, and the lengths of items."""
        are_sequences = any(map(is_ragged, x.values()))
        has_lengths = "n_steps" in x or are_sequences
        if self._has_lengths is None:
            self._has_lengths = has_lengths
        if has_lengths != self._has_lengths:
            raise ValidationError(
                "Some batches of a generator or data set have numbers of steps (or "
                "items of unequal lengths), and others have not; all batches have to "
                "be of one kind",
                "n_steps",
            )
        x, counts = dict(x), None
        if "n_steps" in x and np.shape(x["n_steps"])[1:] == (1,):
            # (batches may have more steps than items need)
            counts = x.pop("n_steps")
        values, n_steps, lengths = as_sequences(x, counts, self.settings.unroll)
        values = {name: as_array(name, value) for name, value in values.items()}
        if n_steps is not None:
            for name in self.nodes:
                values[name] = held(values[name], n_steps)
        if "n_steps" not in values:
            shape = values[self.nodes[0]].shape
            steps = shape[1] if len(shape) > 1 else 1
            values["n_steps"] = np.full((*shape[:1], 1), steps, np.int32)
        if has_lengths and lengths is None:
            lengths = np.ravel(values["n_steps"])
        return values, lengths

    def _filled_up(
        self, parts: Sequence[dict[str, np.ndarray]], lengths: np.ndarray | None
    ) -> tuple[dict[str, np.ndarray], ...]:
        """Return a batch of all items that there have to be, and which ones count."""
        n = len(parts[0]["n_steps"])
        rows = np.arange(self.batch_size) % n
        if n < self.batch_size:
            parts = [{name: a[rows] for name, a in part.items()} for part in parts]
        is_item = np.arange(self.batch_size) < n
        x, *others = parts
        if lengths is None:
            return ({**x, IS_ITEM: is_item[:, None]}, *others)
        counted = np.where(is_item, lengths[rows], 0).astype(np.int32)
        return ({**x, LENGTHS: counted[:, None]}, *others)

    def named(self, batch: Any) -> tuple[dict[str, Any], ...]:
        """Return the parts of a batch by name, of arrays, tensors, or specs."""
        x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
        x = self._named_inputs(x)
        if self._objectives is None:
            return (x,)
        y = one_target(y, self._objectives.needing_targets(()))
        needed = self._objectives.needing_targets(_given_names(y, self._probes))
        y = _named(y, self._probes, "Probes", "y", "targets", needed)
        y = used_targets(y, self._objectives.names)
        used = [name for name in y if name in self._objectives.weighted]
        weights = weights_by_name(weights, self._probes, used)
        return (x, y, weights) if weights else (x, y) if y else (x,)

    def _named_inputs(self, x: Any) -> dict[str, Any]:
        """Return inputs by name, maybe with numbers of steps, which may be last."""
        values = x if isinstance(x, (list, tuple)) else [x]
        if x is not None and not isinstance(x, Mapping):
            if len(values) == len(self.nodes):
                x = dict(zip(self.nodes, values))
        # the data of any Node tell the number of steps
        needed = self.nodes or ["n_steps"]
        return _named(x, self._inputs, "Nodes", "x", "inputs", needed)

    def check(self, parts: Sequence[Mapping[str, Any]]) -> None:
        """
        Check a batch, or what all batches have in common.

        Parameters
        ----------
        parts : sequence of dict of {str: array}
            What `named` returns, where arrays may be `tf.TensorSpec`.
        """
        x, y, weights = (*parts, {}, {})[:3]
        n_items = self._n_items(x)
        for name, size in self.sizes.items():
            with self._explained(name, x[name], [None, size]):
                check_input_shape(name, _shape(x[name]), size, n_items)
        for name, target in y.items():
            with self._explained(name, target, [None, None]):
                check_target_shape(name, _shape(target), n_items)
        for name, weight in weights.items():
            check_weights(name, _shape(weight), n_items)
        shapes = {name: _shape(x[name]) for name in self.sizes}
        known = {n: shape for n, shape in shapes.items() if None not in shape[:2]}
        check_agreement(known)
        n_steps = next((shape[1] for shape in known.values()), None)
        if "n_steps" in x:
            with self._explained("n_steps", x["n_steps"], [1]):
                n_steps = self._check_counts(x["n_steps"], n_items, n_steps)
        if n_steps is not None:
            check_n_steps(n_steps, self.settings)
        self._check_comparable(y, weights, n_steps)

    def _n_items(self, x: Mapping[str, Any]) -> int | None:
        """Return the number of items of a batch, if it is known, and possible."""
        first = self.nodes[0] if self.nodes else "n_steps"
        n_items = next(iter(_shape(x[first])), None)
        if n_items is not None and not 0 < n_items <= self.batch_size:
            raise ValidationError(
                f"Batches must have at most {self.batch_size} items, the "
                "minibatch_size of the Simulator (times the number of devices that "
                f"train), and at least one; one had {n_items}. Use "
                f"`.batch({self.batch_size})` for data sets",
                "data",
            )
        return n_items

    def check_numbers(self, parts: Sequence[Mapping[str, Extent]]) -> None:
        """Check the numbers of a batch; see `check`."""
        x, y, weights = (*parts, {}, {})[:3]
        dtype, n_items = self.settings.dtype, self.batch_size
        for name in self.nodes:
            check_inputs_are_finite(name, x[name], dtype)
        for name, extent in y.items():
            check_fits(name, extent, dtype)
        for name, extent in weights.items():
            check_weights(name, (n_items,), n_items, extent)
        if self._objectives is not None and self._output_specs is not None:
            outputs = self._output_specs(None)
            for name in self._objectives.of_labels & set(y):
                check_labels(name, y[name], outputs[name].shape[-1])

    def _check_counts(
        self, counts: Any, n_items: int | None, n_steps: int | None
    ) -> int | None:
        """Check the numbers of steps, or their shape alone if no more is known."""
        if not isinstance(counts, tf.TensorSpec):
            return check_counts(counts, n_items or len(counts), n_steps)
        if not counts.shape.is_compatible_with([n_items, 1]):
            raise ValidationError("this is the shape for numbers of steps", "n_steps")
        return n_steps

    def _check_comparable(
        self, y: Mapping[str, Any], weights: Mapping[str, Any], n_steps: int | None
    ) -> None:
        """Check that losses can compare targets, once for every shape."""
        targets, sample_weights = self._specs(y), self._specs(weights)
        facts = (tuple(targets.items()), tuple(sample_weights.items()), n_steps)
        if self._objectives is None or self._output_specs is None or not targets:
            return
        if facts not in self._compared:
            outputs = self._output_specs(n_steps)
            self._objectives.check_targets(targets, outputs)
            self._objectives.check_weights(sample_weights, targets, outputs)
            self._compared.add(facts)

    @contextmanager
    def _explained(
        self, name: str, value: Any, axes: Sequence[int | None]
    ) -> Iterator[None]:
        """Say of which batches an error is, and which shape they should have."""
        try:
            yield
        except ValidationError as err:
            expected = tf.TensorShape([self.batch_size, *axes])
            raise ValidationError(
                f"Batches of a generator or data set have data of shape "
                f"{tf.TensorShape(_shape(value))} for '{name}'; the shape must be "
                f"{expected}, where the first axis is the minibatch_size of the "
                "Simulator (times the number of devices that train), or less in all "
                f"data of a batch: {err}",
                err.attr,
            ) from err


def _named(
    values: Any,
    names: Mapping[Any, str],
    objects: str,
    what: str,
    kind: str,
    needed: Collection[str],
) -> dict[str, Any]:
    """Return a part of a batch by name; see `name_data`."""
    given = _given_names(values, names)
    missing = [name for name in needed if name not in given]
    if missing:
        shape = ", of shape (batch size, 1)," if "n_steps" in missing else ""
        raise ValidationError(
            f"Must specify {', '.join(map(repr, missing))}{shape} in every batch "
            f"of a generator or data set: all {kind} are needed, {sorted(needed)}, "
            f"as a dictionary by name or in order (received "
            f"{sorted(map(str, given))})",
            what,
        )
    return name_data(values, names, objects)


def _given_names(values: Any, names: Mapping[Any, str]) -> list[Any]:
    """Return the names of the values in a part of a batch."""
    given = by_name(values, list(names.values()))
    return [key if isinstance(key, str) else names.get(key, key) for key in given]


def _with_steps(weights: Any) -> Any:
    """Return weights of items as those of all of their steps."""
    rank = weights.shape.rank if tf.is_tensor(weights) else weights.ndim
    return weights[:, None] if rank == 1 else weights


def _shape(value: Any) -> tuple[int | None, ...]:
    return tuple(value.shape)
