"""
Find out about a call of a layer or operation by computing it on random data.

In: a call in a Keras model. Out: whether items of a batch, or steps in time, can be
computed one by one, as Nengo does.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from nengo_dl.converter.keras_graph import Call, call_op
from nengo_dl.converter.vector_call import fill

# Positions of axes.
BATCH, TIME = 0, 1

# How many items or steps are computed, at once and one by one.
N_TRIED = 3

# Relative to the largest value. What mixes items differs by much more, on random data.
TOLERANCE = 1e-3


def why_not_separable(call: Call, axis: int) -> str | None:
    """
    Say why a call cannot be computed one item, or one step, at a time.

    Parameters
    ----------
    call : Call
        The call, whose tensors have shapes that are known but for batch and time.
    axis : {BATCH, TIME}
        The axis of items or of steps.

    Returns
    -------
    reason : str or None
        None if it can.
    """
    what = "items of a batch" if axis == BATCH else "steps in time"
    rng = np.random.RandomState(0)
    values = [_random(tensor, axis, rng) for tensor in call.inputs]
    try:
        whole = _compute(call, values)
        parts = [
            _compute(call, [np.take(x, [i], axis) for x in values])
            for i in range(N_TRIED)
        ]
    except Exception as err:  # the code of users may raise anything
        return (
            f"it cannot be computed for other numbers of {what} "
            f"({type(err).__name__}: {err})"
        )
    for value, *pieces in zip(whole, *parts):
        if any(x.ndim <= axis or x.shape[axis] != 1 for x in pieces):
            return f"its output does not have an axis of {what}"
        if not _are_close(value, np.concatenate(pieces, axis)):
            return f"it mixes {what}, which Nengo computes one by one"
    return None


def why_not_one_by_one(call: Call, temporal: bool) -> str | None:
    """
    Say why an operation cannot be computed for one item (and one step) at a time.

    Parameters
    ----------
    call : Call
        A call of an operation that is not a layer.
    temporal : bool
        Whether there is an axis of time.

    Returns
    -------
    reason : str or None
        None if it can.
    """
    reason = why_not_separable(call, BATCH)
    if temporal and reason is None:
        reason = why_not_separable(call, TIME)
    return reason


def _random(
    tensor: keras.KerasTensor, axis: int, rng: np.random.RandomState
) -> np.ndarray:
    """Return random values for a tensor, two along unknown axes."""
    shape = [size or 2 for size in tensor.shape]
    shape[axis] = N_TRIED
    if tf.as_dtype(tensor.dtype).is_floating:
        return rng.uniform(-1, 1, shape).astype(tensor.dtype)
    return rng.randint(2, size=shape).astype(tensor.dtype)


def _compute(call: Call, values: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Compute a call, which leaves the state of the layer as it is."""
    args, kwargs = fill(call, list(map(tf.constant, values)))
    with keras.StatelessScope():
        output = call_op(call.op, args, kwargs, training=False)
    flat = filter(tf.is_tensor, tf.nest.flatten(output))
    return list(map(keras.ops.convert_to_numpy, flat))


def _are_close(x: np.ndarray, y: np.ndarray) -> bool:
    if x.shape != y.shape:
        return False
    finite = np.abs(x[np.isfinite(x)])
    atol = TOLERANCE * (finite.max() if finite.size else 0)
    return np.allclose(x, y, rtol=0, atol=atol, equal_nan=True)
