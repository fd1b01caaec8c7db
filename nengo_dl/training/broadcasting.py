"""
Whether a loss or metric broadcasts targets.

In: a function of targets and outputs, and their shapes. Out: whether it repeats one of
them to fit the other, which it would do without a word to targets of a wrong shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from nengo_dl.utils import without_warnings

# lengths of the axes for items, steps, and more; none of them fits another by chance
LENGTHS = (5, 7, 11, 13, 17, 19)


def broadcasts(
    function: Callable, target: tf.TensorSpec, output: tf.TensorSpec
) -> bool:
    """
    Return whether a function broadcasts targets or outputs of some shapes.

    What broadcasts accepts length one along with any other length, on both sides, and
    no two other lengths. Functions for labels (``sparse_...``) accept targets of length
    one alone, and those that pick steps or elements accept any two lengths.

    Parameters
    ----------
    function : callable
        Function ``(y_true, y_pred)``.
    target, output : tf.TensorSpec
        Targets and outputs that the function accepts.
    """

    def accepts(target_shape: Sequence[int], output_shape: Sequence[int]) -> bool:
        specs = [
            tf.TensorSpec(target_shape, target.dtype),
            tf.TensorSpec(output_shape, output.dtype),
        ]
        # shapes that nobody has passed are no reason to warn
        with without_warnings():
            try:
                tf.function(function, autograph=False).get_concrete_function(*specs)
            except Exception:  # whatever it is, they are not accepted
                return False
        return True

    rank = target.shape.rank
    if rank != output.shape.rank:
        return _aligns_last_axes(accepts, rank, output.shape.rank)
    for axis in range(1, rank):
        lengths = (target.shape[axis], output.shape[axis])
        if lengths[0] == lengths[1] or 1 not in lengths or None in lengths:
            continue
        y_true, y_pred = _other_axes(target.shape, output.shape, axis)

        def accepts_lengths(
            n: int,
            m: int,
            axis: int = axis,
            y_true: list = y_true,
            y_pred: list = y_pred,
        ) -> bool:
            y_true[axis], y_pred[axis] = n, m
            return accepts(y_true, y_pred)

        if accepts_lengths(1, 3) and accepts_lengths(3, 1):
            if not accepts_lengths(2, 3):
                return True
    return False


def _other_axes(
    target: Sequence[int | None], output: Sequence[int | None], axis: int
) -> tuple[list, list]:
    """Return shapes that fit each other but for an axis."""
    y_true, y_pred = list(target), list(output)
    for other in range(len(y_true)):
        # steps are the same, if they are not what matters; labels may have any size
        if other == 0 or (other == 1 and axis != 1):
            y_true[other] = y_pred[other] = LENGTHS[other]
        elif axis != 1 and other != axis:
            y_true[other] = y_pred[other]
    return y_true, y_pred


def _aligns_last_axes(accepts: Callable, n_true: int, n_pred: int) -> bool:
    """Return whether arrays with fewer axes fit the last axes of others, only."""
    longer = LENGTHS[: max(n_true, n_pred)]

    def accepts_part(part: tuple[int, ...]) -> bool:
        return accepts(longer, part) if n_true > n_pred else accepts(part, longer)

    n = min(n_true, n_pred)
    return accepts_part(longer[-n:]) and not accepts_part(longer[:n])
