"""
Generators and data sets of batches.

In: what a user's generator, `tf.data.Dataset`, or `keras.utils.PyDataset` yields. Out:
the same, by the names of Nodes and Probes, or an error that says what is wrong with it.
All that is checked for arrays is checked for every batch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import nengo
import numpy as np
import tensorflow as tf
from nengo.exceptions import ValidationError

from nengo_dl.config import Settings
from nengo_dl.simulation.arrays import as_array
from nengo_dl.simulation.inputs import (
    check_agreement,
    check_input_shape,
    check_no_nan,
    name_data,
)
from nengo_dl.simulation.steps import check_counts, check_n_steps
from nengo_dl.training.objectives import Objectives
from nengo_dl.training.processes import BatchProcesses
from nengo_dl.training.targets import (
    check_target_shape,
    check_weight_shape,
    used_targets,
)
from nengo_dl.utils import ErrorBox, numpy_function


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
    compare : callable, optional
        Raises an error if losses and metrics cannot compare targets (a `tf.TensorSpec`
        of one minibatch by name) with the outputs of a number of steps.
    """

    def __init__(
        self,
        node_names: Mapping[nengo.Node, str],
        probe_names: Mapping[nengo.Probe, str],
        batch_size: int,
        settings: Settings,
        objectives: Objectives | None = None,
        compare: Callable[[Mapping[str, tf.TensorSpec], int | None], None]
        | None = None,
    ):
        self._inputs: dict[Any, str] = {**node_names, "n_steps": "n_steps"}
        self._sizes = {name: node.size_out for node, name in node_names.items()}
        self._probes = probe_names
        self._batch_size = batch_size
        self._settings = settings
        self._objectives = objectives
        self._compare = compare
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
            Inputs; and targets and weights, if there are any.

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
        return named

    def named(self, batch: Any) -> tuple[dict[str, Any], ...]:
        """Return the parts of a batch by name, of arrays, tensors, or specs."""
        x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
        x = _named(x, self._inputs, "Nodes", "x", "inputs", self._inputs.values())
        if self._objectives is None:
            return (x,)
        needed = self._objectives.needing_targets(_given_names(y, self._probes))
        y = _named(y, self._probes, "Probes", "y", "targets", needed)
        y = used_targets(y, self._objectives.names)
        if hasattr(weights, "shape"):
            weights = dict.fromkeys(y, weights)
        weights = name_data(weights, self._probes, "Probes")
        parts = (x, y, {name: w for name, w in weights.items() if name in y})
        return parts if parts[2] else parts[:2] if y else parts[:1]

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
            if isinstance(x[name], np.ndarray):
                check_no_nan(name, x[name])
        for name, target in y.items():
            with self._explained(name, target, [None, None]):
                check_target_shape(name, _shape(target), self._batch_size)
        for name, weight in weights.items():
            check_weight_shape(name, _shape(weight), self._batch_size)
        shapes = {name: _shape(x[name]) for name in self._sizes}
        known = {n: shape for n, shape in shapes.items() if None not in shape[:2]}
        check_agreement(known)
        n_steps = next((shape[1] for shape in known.values()), None)
        with self._explained("n_steps", x["n_steps"], [1]):
            n_steps = self._check_counts(x["n_steps"], n_steps)
        if n_steps is not None:
            check_n_steps(n_steps, self._settings)
        self._check_comparable(y, n_steps)

    def _check_counts(self, counts: Any, n_steps: int | None) -> int | None:
        """Check the numbers of steps, or their shape alone if no more is known."""
        if not isinstance(counts, tf.TensorSpec):
            return check_counts(counts, self._batch_size, n_steps)
        if not counts.shape.is_compatible_with([self._batch_size, 1]):
            raise ValidationError("this is the shape for numbers of steps", "n_steps")
        return n_steps

    def _check_comparable(self, y: Mapping[str, Any], n_steps: int | None) -> None:
        """Check that targets can be compared with outputs, once for every shape."""
        minibatch_size = self._settings.minibatch_size
        specs = {
            name: tf.TensorSpec((minibatch_size, *_shape(target)[1:]), target.dtype)
            for name, target in y.items()
            if None not in _shape(target)[1:]
        }
        facts = (tuple(specs.items()), n_steps)
        if self._compare is not None and specs and facts not in self._compared:
            self._compare(specs, n_steps)
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


def checked_batches(data: Any, check: BatchCheck, errors: ErrorBox) -> Any:
    """
    Return a generator or data set whose batches are checked.

    Parameters
    ----------
    data : object
        The generator or data set; anything else is returned as it is.
    check : BatchCheck
        Called with every batch.
    errors : ErrorBox
        Where exceptions of the generator, and of the check, are left.
    """
    if isinstance(data, tf.data.Dataset):
        return _checked_dataset(data, check, errors)
    if isinstance(data, keras.utils.PyDataset):
        return _CheckedPyDataset(data, check, errors)
    if not inspect.isgenerator(data):
        return data
    end = object()

    def next_batch() -> Any:
        batch = next(data, end)
        return batch if batch is end else check(_as_tuple(batch))

    return _generator(iter(errors.guard(next_batch, passing=True), end))


def _generator(batches: Iterable[tuple]) -> Iterator[tuple]:
    """Return a generator, as Keras accepts no other iterators."""
    yield from batches


def _as_tuple(batch: Any) -> tuple:
    return tuple(batch) if isinstance(batch, (list, tuple)) else (batch,)


class _CheckedPyDataset(keras.utils.PyDataset):
    """A data set of Keras whose batches are checked, in threads of this process."""

    def __init__(
        self, data: keras.utils.PyDataset, check: BatchCheck, errors: ErrorBox
    ):
        super().__init__(
            workers=data.workers,
            max_queue_size=data.max_queue_size,
        )
        self._data = data
        batches, close = data, lambda: None
        if data.use_multiprocessing and data.workers > 0:
            batches = BatchProcesses(data)
            close = batches.close
        # TensorFlow keeps this object, but `errors` frees the processes
        self._batch = errors.guard(lambda i: check(_as_tuple(batches[i])), passing=True)
        self._close_processes = errors.guard(close, passing=True)

    def __getitem__(self, index: int) -> tuple:
        return self._batch(index)

    def __len__(self) -> int:
        return len(self._data)

    @property
    def num_batches(self) -> int | None:
        """The number of batches; None if they never end."""
        return self._data.num_batches

    def on_epoch_begin(self) -> None:
        """Tell the user's data set."""
        self._data.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Tell the user's data set."""
        # those of the next epoch are to see what it changes
        self._close_processes()
        self._data.on_epoch_end()


def _checked_dataset(
    data: tf.data.Dataset, check: BatchCheck, errors: ErrorBox
) -> tf.data.Dataset:
    """Return a data set with checks: of what is known now, and of every batch."""
    parts = check.named(_as_tuple(data.element_spec))
    for name, spec in ((n, s) for part in parts for n, s in part.items()):
        if not (spec.dtype.is_floating or spec.dtype.is_integer or spec.dtype.is_bool):
            as_array(name, np.empty(0, spec.dtype.as_numpy_dtype))
    if all(spec.shape.rank is not None for spec in tf.nest.flatten(parts)):
        check.check(parts)
    dtypes = tf.nest.map_structure(lambda spec: spec.dtype.as_numpy_dtype, parts)

    def check_facts(counts: np.ndarray, *facts: np.ndarray) -> bool:
        stand_ins = [
            np.broadcast_to(dtype(np.nan if has_nan else 0), shape)
            for dtype, shape, has_nan in zip(
                tf.nest.flatten(dtypes), facts[::2], facts[1::2]
            )
        ]
        named = tf.nest.pack_sequence_as(dtypes, stand_ins)
        check.check(({**named[0], "n_steps": counts}, *named[1:]))
        return True

    def checked(*batch: Any) -> tuple[dict[str, tf.Tensor], ...]:
        named = check.named(batch)
        # the data themselves need not go through Python
        facts = [[tf.shape(t), _has_nan(t)] for t in tf.nest.flatten(named)]
        is_right = numpy_function(
            check_facts,
            tf.nest.flatten([named[0]["n_steps"], facts]),
            tf.bool,
            errors=errors,
        )
        with tf.control_dependencies([is_right]):
            named = tf.nest.map_structure(tf.identity, named)
        check.set_shapes(named)
        return named

    return data.map(checked)


def _has_nan(tensor: tf.Tensor) -> tf.Tensor:
    if not tensor.dtype.is_floating:
        return tf.constant(False)
    return tf.reduce_any(tf.math.is_nan(tensor))
