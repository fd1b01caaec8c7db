"""
Data sets of batches.

In: a `tf.data.Dataset` of a user. Out: one of batches by name, with the number of items
that there have to be, and as many steps for all of them. What is wrong is said by
`BatchCheck`, which sees shapes and extremes, but not the data themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
import tensorflow as tf

from nengo_dl.execution.lengths import IS_ITEM, LENGTHS
from nengo_dl.simulation.arrays import Extent, as_array
from nengo_dl.training.batches import BatchCheck, as_tuple
from nengo_dl.training.sequences import (
    as_lengths,
    check_longest,
    check_same_lengths,
    dense_items,
)
from nengo_dl.utils import ErrorBox, numpy_function


def checked_dataset(
    data: tf.data.Dataset, check: BatchCheck, errors: ErrorBox
) -> tf.data.Dataset:
    """
    Return a data set with checks: of what is known now, and of every batch.

    Parameters
    ----------
    data : tf.data.Dataset
        The data set.
    check : BatchCheck
        What batches have to be.
    errors : ErrorBox
        Where exceptions of the check are left.
    """
    data, held = _find_held(data, check, errors)
    specs = _specs(check.named(as_tuple(data.element_spec)), held)
    for name, spec in ((n, s) for part in specs for n, s in part.items()):
        if not (spec.dtype.is_floating or spec.dtype.is_integer or spec.dtype.is_bool):
            as_array(name, np.empty(0, spec.dtype.as_numpy_dtype))
    if all(spec.shape.rank is not None for spec in tf.nest.flatten(specs)):
        check.check(specs)
    n_items = [spec.shape[:1] for spec in tf.nest.flatten(specs)]
    is_whole = all(shape == [check.batch_size] for shape in n_items)

    def checked(*batch: Any) -> tuple[dict[str, tf.Tensor], ...]:
        parts, lengths = _with_steps(check.named(batch), held, check)
        is_right = _check(parts, lengths, check, errors)
        with tf.control_dependencies([is_right]):
            parts = tf.nest.map_structure(tf.identity, parts)
        return _filled_up(parts, lengths, is_whole, check)

    return data.map(checked)


def _find_held(
    data: tf.data.Dataset, check: BatchCheck, errors: ErrorBox
) -> tuple[tf.data.Dataset, set[str]]:
    """
    Find the inputs that are to be held for the number of steps of their batch.

    Inputs of one step may be those of one step, which is computed without a loop, or
    may be held for more: the first batch tells.

    Returns
    -------
    data : tf.data.Dataset
        The same data set, from its beginning.
    held : set of str
        Names of the Nodes.
    """
    x, *_ = check.named(as_tuple(data.element_spec))
    if "n_steps" not in x:
        return data, set()
    shapes = {name: x[name].shape for name in check.nodes}
    held = {name for name, shape in shapes.items() if shape.rank == 2}
    are_one = {n for n, shape in shapes.items() if shape.rank == 3 and shape[1] == 1}
    if are_one:
        first, data = _first_batch(data, errors)
        counts = [check.named(as_tuple(batch))[0]["n_steps"] for batch in first]
        if any(np.any(count != 1) for count in counts):
            held |= are_one
    return data, held


def _first_batch(
    data: tf.data.Dataset, errors: ErrorBox
) -> tuple[list[Any], tf.data.Dataset]:
    """Return the first batch, if there is one, and a data set that begins with it."""
    # (a data set of a generator that has begun cannot begin again)
    iterator = iter(data)
    first = list(islice(iterator, 1))
    begun = [chain(first, iterator)]

    def rest() -> Iterator[Any]:
        yield from begun.pop()

    def number_of_begun(_: Any) -> np.ndarray:
        return np.array(-len(begun), np.int64)

    resumed = tf.data.Dataset.from_generator(rest, output_signature=data.element_spec)
    whole = tf.data.Dataset.from_tensors(0)
    whole = whole.map(
        lambda n: numpy_function(number_of_begun, [n], tf.int64, errors=errors)
    )
    # (take(-1) is all, take(0) nothing)
    whole = whole.flat_map(lambda n: resumed.take(n).concatenate(data.take(-1 - n)))
    n_batches = data.cardinality()
    if n_batches != tf.data.UNKNOWN_CARDINALITY:
        # (Keras shows it)
        whole = whole.apply(tf.data.experimental.assert_cardinality(n_batches))
    return first, whole


def _specs(
    parts: Sequence[Mapping[str, Any]], held: Collection[str]
) -> list[dict[str, tf.TensorSpec]]:
    """Return the specs of what `_with_steps` makes of batches."""
    x, *others = (dict(part) for part in parts)
    for name in held:
        shape = x[name].shape
        x[name] = tf.TensorSpec([shape[0], None, shape[-1]], x[name].dtype)
    return [
        x,
        *(
            {n: tf.TensorSpec(s.shape, s.dtype) for n, s in part.items()}
            for part in others
        ),
    ]


def _with_steps(
    parts: Sequence[Mapping[str, Any]], held: Collection[str], check: BatchCheck
) -> tuple[list[dict[str, tf.Tensor]], dict[str, tf.Tensor]]:
    """
    Return a batch with as many steps for all items.

    Parameters
    ----------
    parts : sequence of dict of {str: tf.Tensor or tf.RaggedTensor}
        Inputs, targets and weights by name.
    held : collection of str
        Which inputs are held; see `_find_held`.
    check : BatchCheck
        What batches have to be.

    Returns
    -------
    parts : list of dict of {str: tf.Tensor}
        The same, with inputs that are held, and without anything ragged.
    lengths : dict of {str: tf.Tensor}
        The lengths of items in all data that say so.
    """
    x, *others = (dict(part) for part in parts)
    lengths = {
        name: tf.cast(value.row_lengths(), tf.int32)
        for part in (x, *others[:1])
        for name, value in part.items()
        if isinstance(value, tf.RaggedTensor)
    }
    if "n_steps" in x and x["n_steps"].shape.rank == 2:
        lengths["n_steps"] = tf.cast(x["n_steps"][:, 0], tf.int32)
    n_steps = _number_of_steps(x, lengths, held, check)

    def dense(value: Any) -> tf.Tensor:
        is_ragged = isinstance(value, tf.RaggedTensor)
        return dense_items(value, n_steps) if is_ragged else value

    for name in held:
        one_step = x[name] if x[name].shape.rank == 3 else x[name][:, None]
        x[name] = tf.repeat(one_step, n_steps, axis=1)
    x, *others = ({n: dense(value) for n, value in p.items()} for p in (x, *others))
    first = x[check.nodes[0]] if check.nodes else x["n_steps"]
    x["n_steps"] = tf.fill([tf.shape(first)[0], 1], n_steps)
    return [x, *others], lengths


def _number_of_steps(
    x: Mapping[str, Any],
    lengths: Mapping[str, tf.Tensor],
    held: Collection[str],
    check: BatchCheck,
) -> tf.Tensor:
    """Return the number of steps of a batch."""
    for name in check.nodes:
        if isinstance(x[name], tf.Tensor) and name not in held:
            return tf.shape(x[name])[1]
    counts = next(iter(lengths.values())) if lengths else x["n_steps"]
    longest, unroll = tf.reduce_max(counts), check.settings.unroll
    whole = (longest + unroll - 1) // unroll * unroll
    # equal numbers have to be right themselves
    return tf.where(tf.reduce_all(counts == longest), longest, whole)


def _check(
    parts: Sequence[dict[str, tf.Tensor]],
    lengths: Mapping[str, tf.Tensor],
    check: BatchCheck,
    errors: ErrorBox,
) -> tf.Tensor:
    """Check a batch, and return a tensor that others can wait for."""
    dtypes = tf.nest.map_structure(lambda t: t.dtype.as_numpy_dtype, parts)
    names = list(lengths)

    def check_facts(rows: np.ndarray, n_steps: int, *facts: np.ndarray) -> bool:
        stand_ins = [
            np.broadcast_to(dtype(0), shape)
            for dtype, shape in zip(tf.nest.flatten(dtypes), facts[::2])
        ]
        x, *others = tf.nest.pack_sequence_as(dtypes, stand_ins)
        x = {**x, "n_steps": np.broadcast_to(n_steps, x["n_steps"].shape)}
        for name, row in zip(names, rows):
            check_same_lengths(names[0], as_lengths(rows[0]), name, row)
        if names:
            check_longest(rows[0], int(n_steps))
            check.check_lengths(rows[0], (x, *others))
        check.check((x, *others))
        extents = [Extent(low, high, nan > 0) for low, high, nan in facts[1::2]]
        check.check_numbers(tf.nest.pack_sequence_as(dtypes, extents))
        return True

    # the data themselves need not go through Python
    facts = [[tf.shape(t), _extent(t)] for t in tf.nest.flatten(parts)]
    rows = tf.zeros((0, 0), tf.int32)
    if lengths:
        rows = tf.ragged.stack(list(lengths.values())).to_tensor()
    n_steps = tf.reduce_max(parts[0]["n_steps"])
    arguments = [rows, n_steps, *tf.nest.flatten(facts)]
    return numpy_function(check_facts, arguments, tf.bool, errors=errors)


def _filled_up(
    parts: Sequence[dict[str, tf.Tensor]],
    lengths: Mapping[str, tf.Tensor],
    is_whole: bool,
    check: BatchCheck,
) -> tuple[dict[str, tf.Tensor], ...]:
    """Return a batch of all items that there have to be, and which of them count."""
    parts = check.weighted(parts)
    n = tf.shape(parts[0]["n_steps"])[0]
    places = tf.range(check.batch_size)
    if not is_whole:
        parts = tf.nest.map_structure(lambda v: tf.gather(v, places % n), parts)
    x, *others = parts
    # one step has no parts
    has_steps = not check.nodes or any(x[name].shape[1] != 1 for name in check.nodes)
    for name, size in check.sizes.items():
        x[name].set_shape([check.batch_size, None, size])
    is_item = (places < n)[:, None]
    if lengths and has_steps:
        counted = tf.gather(next(iter(lengths.values())), places % n)[:, None]
        x = {**x, LENGTHS: tf.where(is_item, counted, 0)}
    elif not is_whole:
        x = {**x, IS_ITEM: is_item}
    for tensor in tf.nest.flatten((x, *others)):
        if tensor.shape.rank is not None:
            tensor.set_shape([check.batch_size, *tensor.shape[1:]])
    return (x, *others)


def _extent(tensor: tf.Tensor) -> tf.Tensor:
    """Return the numbers of an `Extent`."""
    numbers, has_nan = tensor, tf.constant(False)
    if tensor.dtype.is_bool:
        numbers = tf.cast(tensor, tf.int32)
    if tensor.dtype.is_floating:
        is_nan = tf.math.is_nan(tensor)
        numbers = tf.where(is_nan, tf.zeros_like(tensor), tensor)
        has_nan = tf.reduce_any(is_nan)
    extent = [tf.reduce_min(numbers), tf.reduce_max(numbers), has_nan]
    extent = tf.stack([tf.cast(number, tf.float64) for number in extent])
    return tf.where(tf.equal(tf.size(tensor), 0), tf.zeros_like(extent), extent)
