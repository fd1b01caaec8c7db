"""
Sample weights: all that is checked about them before anything is computed.

In: weights as the user gave them, or the shapes of those of the batches of a generator
or data set. Out: weights by the name of the Probe, or an error.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import nengo
import numpy as np
import tensorflow as tf
from nengo.exceptions import ValidationError

from nengo_dl.simulation.arrays import Extent
from nengo_dl.simulation.inputs import name_data
from nengo_dl.utils import as_number, is_integer


def weights_by_name(
    weights: Any, names: Mapping[nengo.Probe, str], used: Collection[str]
) -> dict[str, Any]:
    """
    Return sample weights by the name of the Probe.

    Parameters
    ----------
    weights : object
        An array for all Probes, a list in the order of the Probes, a dictionary by
        Probe or name, or None.
    names : dict of {nengo.Probe: str}
        Names of the Probes.
    used : collection of str
        The Probes for which weights make a difference.

    Raises
    ------
    nengo.exceptions.ValidationError
        If weights are anything else, or of no use.
    """
    if weights is None:
        return {}
    if hasattr(weights, "shape"):
        named = dict.fromkeys(used, weights)
    elif isinstance(weights, (list, tuple, Mapping)):
        given = name_data(weights, names, "Probes")
        named = {name: value for name, value in given.items() if value is not None}
    else:
        raise ValidationError(
            "must be an array, a dictionary by Probe, or a list of arrays in the order "
            f"of the Probes (received {weights!r})",
            "sample_weight",
        )
    unused = sorted(set(named) - set(used)) or ([] if used else list(names.values()))
    if unused:
        raise ValidationError(
            f"There are sample weights for {unused}, but no loss or weighted metric "
            "that compares targets with them; compile with one, or leave the weights "
            "out",
            "sample_weight",
        )
    return named


def check_weights(
    name: str,
    shape: Sequence[int | None],
    n_items: int | None,
    extent: Extent | None = None,
) -> None:
    """
    Check the number of sample weights, and that they are numbers.

    Parameters
    ----------
    name : str
        Name of the Probe.
    shape : sequence of (int or None)
        The shape; None where it is not known.
    n_items : int or None
        The required number of items, if it is known.
    extent : Extent, optional
        What is known of the weights themselves.

    Raises
    ------
    nengo.exceptions.ValidationError
        If their number is not that of the items, or if they are not finite.
    """
    if len(shape) == 0 or None not in (shape[0], n_items) and shape[0] != n_items:
        raise ValidationError(
            f"Sample weights for '{name}' have shape {tuple(shape)}; there must "
            f"be one (or one row) for each of the {n_items} items",
            "sample_weight",
        )
    if extent is not None and (extent.has_nan or np.isinf(extent[:2]).any()):
        raise ValidationError(
            f"Sample weights for '{name}' contain NaN or infinite values; use 0 for "
            "what does not count",
            "sample_weight",
        )


def check_weights_fit(
    name: str, shape: Sequence[int | None], values: Sequence[int | None]
) -> None:
    """
    Check that sample weights have the shape of what they are multiplied with.

    Parameters
    ----------
    name : str
        Name of the Probe.
    shape : sequence of (int or None)
        The shape of the weights, of which axes may be missing at the end.
    values : sequence of (int or None)
        The shape of what the loss returns.

    Raises
    ------
    nengo.exceptions.ValidationError
        If weights would be broadcast along an axis that they have, or have axes too
        many.
    """
    expected = [*values[1:], *[1] * len(shape)]
    for n, length in zip(shape[1:], expected):
        if None not in (n, length) and n not in (1, length):
            n_items = shape[0]
            more = f", or {(n_items, *values[1:])}" if len(values) > 1 else ""
            raise ValidationError(
                f"Sample weights for '{name}' have shape {tuple(shape)}; pass "
                f"{(n_items,)}, one for each item{more}, one for each value that the "
                "loss returns (of a step, as a rule)",
                "sample_weight",
            )


class ClassWeights(NamedTuple):
    """
    Weights of classes, for the targets of one Probe.

    Parameters
    ----------
    name : str
        Name of the Probe.
    weights : (n_classes,) array
        The weights.
    """

    name: str
    weights: np.ndarray

    def of_targets(self, targets: Any) -> Any:
        """
        Return the weights of targets.

        Parameters
        ----------
        targets : (n_items, n_steps, 1 or n_classes) array or tensor
            Labels, or ones at the places of classes.

        Returns
        -------
        weights : (n_items, n_steps) array or tensor
            The same as the targets are.
        """
        is_tensor = tf.is_tensor(targets)
        if targets.shape[-1] == 1:
            labels = targets[..., 0]
        else:
            labels = (tf.argmax if is_tensor else np.argmax)(targets, axis=-1)
        if is_tensor:
            return tf.gather(self.weights, tf.cast(labels, tf.int32))
        return self.weights[labels.astype(int)]

    def times(self, targets: Any, weights: Any) -> Any:
        """Return sample weights, ``(n_items, ...)`` or None, times those of targets."""
        own = self.of_targets(targets)
        if weights is None:
            return own
        for _ in range(2 - len(weights.shape)):
            weights = weights[..., None]
        return own * (tf.cast(weights, own.dtype) if tf.is_tensor(own) else weights)


def class_weights(
    given: Any, losses: Collection[str], sizes: Mapping[str, int | None]
) -> ClassWeights:
    """
    Check weights of classes.

    Parameters
    ----------
    given : dict of {int: float}
        Weights by the number of the class; others weigh one.
    losses : collection of str
        Names of the Probes that have a loss with targets.
    sizes : dict of {str: int}
        The number of classes, by the name of the Probe.

    Raises
    ------
    nengo.exceptions.ValidationError
        If they are anything else, or there is not one Probe that they can be for.
    """
    if not isinstance(given, Mapping):
        raise ValidationError(
            "must be a dictionary from the number of a class to its weight (received "
            f"`{type(given).__name__}`)",
            "class_weight",
        )
    if len(losses) != 1:
        raise ValidationError(
            "Classes can have weights if there is one Probe with a loss; there are "
            f"{sorted(losses)}. Pass `sample_weight` by Probe instead, with the weight "
            "of the class of every item (or of every step of every item)",
            "class_weight",
        )
    (name,) = losses
    n_classes = sizes[name] or 0
    if n_classes < 2:
        raise ValidationError(
            f"Classes can have weights if outputs have an element for each of them; "
            f"the output of '{name}' has {n_classes}. Pass `sample_weight` instead",
            "class_weight",
        )
    weights = np.ones(n_classes)
    for label, weight in given.items():
        if not is_integer(label) or not 0 <= label < n_classes:
            raise ValidationError(
                f"There is no class {label!r}: the output of '{name}' has {n_classes} "
                f"elements, so classes are from 0 to {n_classes - 1}",
                "class_weight",
            )
        number = as_number(weight, "class_weight")
        if not 0 <= number < np.inf:
            raise ValidationError(
                f"weights must be numbers of at least 0 (received {weight!r} for class "
                f"{label})",
                "class_weight",
            )
        weights[label] = number
    return ClassWeights(name, weights)
