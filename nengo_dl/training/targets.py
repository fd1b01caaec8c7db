"""
Targets: all that is checked about them before anything is computed.

In: the shapes of targets, of arrays or of the batches of a generator or data set. Out:
nothing, or an error. Whether a loss can compare them with an output is found out by
`Objectives.check_targets`.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import keras
from nengo.exceptions import ValidationError

from nengo_dl.simulation.arrays import Extent


def check_target_shape(
    name: str, shape: Sequence[int | None], n_items: int | None
) -> None:
    """
    Check the shape of targets.

    Parameters
    ----------
    name : str
        Name of the Probe.
    shape : sequence of (int or None)
        The shape; None where it is not known.
    n_items : int or None
        The required number of items, if it is known.

    Raises
    ------
    nengo.exceptions.ValidationError
        If there is no axis for items, steps, and elements each, or the number of items
        is another one.
    """
    if len(shape) < 3:
        raise ValidationError(
            f"Targets for '{name}' should have rank 3 (batch size, number of "
            f"timesteps, size), received shape {tuple(shape)}; add the missing axes, "
            "for example with `targets[:, None, :]` for a single timestep",
            "y",
        )
    if None not in (shape[0], n_items) and shape[0] != n_items:
        raise ValidationError(
            f"Batch size of data ({shape[0]}) for '{name}' does not match expected "
            f"size ({n_items}), the batch size of the inputs",
            "y",
        )


def one_target(y: Any, needed: Collection[str]) -> Any:
    """
    Return targets by name, if there is one array, and one Probe that needs targets.

    Parameters
    ----------
    y : object
        Targets as the user gave them; returned as they are in any other case.
    needed : collection of str
        The Probes that need targets.
    """
    if len(needed) != 1:
        return y
    (name,) = needed
    if hasattr(y, "shape"):
        return {name: y}
    return {name: y[0]} if isinstance(y, (list, tuple)) and len(y) == 1 else y


def takes_labels(loss: Any) -> bool:
    """Return whether targets of a loss are labels of classes, from 0 on."""
    if type(loss) is keras.losses.SparseCategoricalCrossentropy:
        return loss.get_config().get("ignore_class") is None
    return loss is keras.losses.sparse_categorical_crossentropy


def check_labels(name: str, labels: Extent, n_classes: int | None) -> None:
    """
    Check that there is an output for every label.

    Parameters
    ----------
    name : str
        Name of the Probe.
    labels : Extent
        What is known of the labels.
    n_classes : int or None
        Length of the last axis of the output; None if it is not known.

    Raises
    ------
    nengo.exceptions.ValidationError
        If there is not.
    """
    out_of_range = [
        label
        for label in (labels.lowest, labels.highest)
        if n_classes is not None and not -1 < label < n_classes
    ]
    if labels.has_nan or out_of_range:
        received = "NaN" if labels.has_nan else f"{out_of_range[0]:g}"
        raise ValidationError(
            f"Labels for '{name}' must be from 0 to {(n_classes or 0) - 1}, as the "
            f"output has {n_classes} elements, one for each class (received "
            f"{received})",
            "y",
        )


def used_targets(given: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """
    Return those targets whose Probes have a loss or a metric, and warn of others.

    Parameters
    ----------
    given : dict of {str: array}
        Targets by the name of the Probe.
    names : collection of str
        The Probes that have a loss or a metric.
    """
    unused = set(given) - set(names)
    if unused and names:
        warnings.warn(
            f"There are targets for {sorted(unused)}, which have neither a loss "
            "nor a metric: they are ignored. Compile with a loss for these probes, "
            "or leave their targets out."
        )
    return {name: target for name, target in given.items() if name in names}


def check_none_missing(needed: Collection[str], given: Collection[str]) -> None:
    """
    Check that there are targets for all Probes that need some.

    Raises
    ------
    nengo.exceptions.ValidationError
        If there are not.
    """
    missing = sorted(set(needed) - set(given))
    if missing:
        raise ValidationError(
            f"There are no targets for {missing}, which have a loss or a metric; pass "
            "them as `y`, for example as a dictionary by Probe",
            "y",
        )
