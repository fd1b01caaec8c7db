"""
How well a network does: accuracy, or error.

In: outputs of a network, those of the Keras model, and what they should be. Out: a
number that is the better the larger it is.
"""

from __future__ import annotations

import numpy as np

from nengo_dl.converter.calibration.data import Data


def classes_of(values: np.ndarray) -> np.ndarray:
    """Return classes, for classes as integers or as one value for each class."""
    values = np.asarray(values)
    if values.ndim > 1 and values.shape[-1] > 1:
        return values.argmax(axis=-1)
    return values.reshape(len(values), -1)[:, 0]


def is_classification(output: np.ndarray, target: np.ndarray | None) -> bool:
    """
    Return whether an output says which class an item belongs to.

    That is so if targets are integers (or one-hot vectors); without targets, if the
    output is a vector.
    """
    if output.ndim != 2 or output.shape[1] < 2:
        return False
    if target is None:
        return True
    if target.shape == output.shape:
        return bool(np.isin(target, (0, 1)).all() and (target.sum(axis=1) == 1).all())
    return target.size == len(output) and bool((target == np.rint(target)).all())


def score(outputs: list[np.ndarray], data: Data, reference: list[np.ndarray]) -> float:
    """
    Rate the outputs of a network.

    Parameters
    ----------
    outputs : list of (n_items, ...) array
        Its outputs.
    data : Data
        With targets, if there are any.
    reference : list of (n_items, ...) array
        The outputs of the Keras model, which take the place of targets if there are
        none.

    Returns
    -------
    score : float
        Accuracy, the share of right classes; for outputs that are no classes, 1 minus
        the root of the mean squared error, relative to the standard deviation of the
        target. The mean over outputs.
    """
    wanted = [None] * len(outputs) if data.targets is None else data.targets
    return float(
        np.mean([_score(*values) for values in zip(outputs, wanted, reference)])
    )


def _score(output: np.ndarray, target: np.ndarray | None, other: np.ndarray) -> float:
    wanted = other if target is None else target
    if is_classification(output, target):
        return float(np.mean(classes_of(output) == classes_of(wanted)))
    wanted = wanted.reshape(output.shape)
    return 1 - rms(output - wanted) / (float(np.std(wanted)) or 1.0)


def agreement(outputs: list[np.ndarray], reference: list[np.ndarray]) -> float:
    """Return the share of items that are in the same class as in the Keras model."""
    return float(
        np.mean(
            [
                np.mean(classes_of(x) == classes_of(y))
                for x, y in zip(outputs, reference)
            ]
        )
    )


def rms(values: np.ndarray) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(values))))
