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
from nengo_dl.simulation.arrays import (
    Extent,
    as_array,
    check_fits,
    check_inputs_are_finite,
)
from nengo_dl.simulation.inputs import check_agreement, check_input_shape, name_data
from nengo_dl.simulation.steps import check_counts, check_n_steps
from nengo_dl.training.objectives import Objectives
from nengo_dl.training.targets import (
    check_labels,
    check_target_shape,
    one_target,
    used_targets,
)
from nengo_dl.training.weights import check_weights, weights_by_name


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
    """

    def __init__(
        self,
        node_names: Mapping[nengo.Node, str],
        probe_names: Mapping[nengo.Probe, str],
        batch_size: int,
        settings: Settings,
        objectives: Objectives | None = None,
        output_specs: Callable[[int | None], dict[str, tf.TensorSpec]] | None = None,
    ):
        self._nodes = list(node_names.values())
        self._inputs: dict[Any, str] = {**node_names, "n_steps": "n_steps"}
        self._sizes = {name: node.size_out for node, name in node_names.items()}
        self._probes = probe_names
        self._batch_size = batch_size
        self._settings = settings
        self._objectives = objectives
        self._output_specs = output_specs
        self._compared: set = set()

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
        parts = self.named(batch)
        named = tuple(
            {name: as_array(name, value) for name, value in part.items()}
            for part in parts
        )
        self.check(named)
        self.check_numbers([{n: Extent.of(a) for n, a in p.items()} for p in named])
        x, *others = named
        if "n_steps" not in x:
            shape = x[self._nodes[0]].shape
            x = {**x, "n_steps": np.full((shape[0], 1), shape[1], np.int32)}
        return (x, *others)

    def with_counts(self, parts: Sequence[Mapping[str, tf.Tensor]]) -> tuple:
        """Return a batch of tensors with numbers of steps."""
        x, *others = parts
        if "n_steps" not in x:
            n_steps = tf.shape(x[self._nodes[0]])[1]
            x = {**x, "n_steps": tf.fill([self._batch_size, 1], n_steps)}
        return (x, *others)

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
            if len(values) == len(self._nodes):
                x = dict(zip(self._nodes, values))
        # the data of any Node tell the number of steps
        needed = self._nodes or ["n_steps"]
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
        for name, size in self._sizes.items():
            with self._explained(name, x[name], [None, size]):
                check_input_shape(name, _shape(x[name]), size)
        for name, target in y.items():
            with self._explained(name, target, [None, None]):
                check_target_shape(name, _shape(target), self._batch_size)
        for name, weight in weights.items():
            check_weights(name, _shape(weight), self._batch_size)
        shapes = {name: _shape(x[name]) for name in self._sizes}
        known = {n: shape for n, shape in shapes.items() if None not in shape[:2]}
        check_agreement(known)
        n_steps = next((shape[1] for shape in known.values()), None)
        if "n_steps" in x:
            with self._explained("n_steps", x["n_steps"], [1]):
                n_steps = self._check_counts(x["n_steps"], n_steps)
        if n_steps is not None:
            check_n_steps(n_steps, self._settings)
        self._check_comparable(y, weights, n_steps)

    def check_numbers(self, parts: Sequence[Mapping[str, Extent]]) -> None:
        """Check the numbers of a batch; see `check`."""
        x, y, weights = (*parts, {}, {})[:3]
        dtype, n_items = self._settings.dtype, self._batch_size
        for name in self._nodes:
            check_inputs_are_finite(name, x[name], dtype)
        for name, extent in y.items():
            check_fits(name, extent, dtype)
        for name, extent in weights.items():
            check_weights(name, (n_items,), n_items, extent)
        if self._objectives is not None and self._output_specs is not None:
            outputs = self._output_specs(None)
            for name in self._objectives.of_labels & set(y):
                check_labels(name, y[name], outputs[name].shape[-1])

    def _check_counts(self, counts: Any, n_steps: int | None) -> int | None:
        """Check the numbers of steps, or their shape alone if no more is known."""
        if not isinstance(counts, tf.TensorSpec):
            return check_counts(counts, self._batch_size, n_steps)
        if not counts.shape.is_compatible_with([self._batch_size, 1]):
            raise ValidationError("this is the shape for numbers of steps", "n_steps")
        return n_steps

    def _check_comparable(
        self, y: Mapping[str, Any], weights: Mapping[str, Any], n_steps: int | None
    ) -> None:
        """Check that losses can compare targets, once for every shape."""
        minibatch_size = self._settings.minibatch_size

        def specs(values: Mapping[str, Any]) -> dict[str, tf.TensorSpec]:
            return {
                name: tf.TensorSpec((minibatch_size, *_shape(v)[1:]), v.dtype)
                for name, v in values.items()
                if None not in _shape(v)[1:]
            }

        targets, sample_weights = specs(y), specs(weights)
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
        batch_size = self._batch_size
        try:
            if _shape(value)[:1] not in ((), (None,), (batch_size,)):
                raise ValidationError(
                    f"Batches must have {batch_size} items; one had "
                    f"{_shape(value)[0]}. Use `.batch({batch_size}, "
                    "drop_remainder=True)` for data sets",
                    "data",
                )
            yield
        except ValidationError as err:
            expected = tf.TensorShape([batch_size, *axes])
            raise ValidationError(
                f"Batches of a generator or data set have data of shape "
                f"{tf.TensorShape(_shape(value))} for '{name}'; the shape must be "
                f"{expected}, where the first axis is the minibatch_size of the "
                f"Simulator (times the number of devices that train): {err}",
                err.attr,
            ) from err

    def set_shapes(self, parts: Sequence[Mapping[str, tf.Tensor]]) -> None:
        """Tell tensors of a batch that was checked which shapes they have."""
        for name, size in self._sizes.items():
            parts[0][name].set_shape([self._batch_size, None, size])
        if "n_steps" in parts[0]:
            parts[0]["n_steps"].set_shape([self._batch_size, 1])
        for tensor in tf.nest.flatten(parts[1:]):
            if tensor.shape.rank is not None:
                tensor.set_shape([self._batch_size, *tensor.shape[1:]])


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


def _shape(value: Any) -> tuple[int | None, ...]:
    return tuple(value.shape)
