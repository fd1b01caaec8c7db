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

from nengo.exceptions import ValidationError


def check_target_shape(name: str, shape: Sequence[int | None], n_items: int) -> None:
    """
    Check the shape of targets.

    Parameters
    ----------
    name : str
        Name of the Probe.
    shape : sequence of (int or None)
        The shape; None where it is not known.
    n_items : int
        The required number of items.

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
    if shape[0] not in (None, n_items):
        raise ValidationError(
            f"Batch size of data ({shape[0]}) for '{name}' does not match expected "
            f"size ({n_items}), the batch size of the inputs",
            "y",
        )


def check_weight_shape(name: str, shape: Sequence[int | None], n_items: int) -> None:
    """
    Check the shape of sample weights.

    Parameters
    ----------
    name : str
        Name of the Probe.
    shape : sequence of (int or None)
        The shape; None where it is not known.
    n_items : int
        The required number of items.

    Raises
    ------
    nengo.exceptions.ValidationError
        If their number is not that of the items.
    """
    if len(shape) == 0 or shape[0] not in (None, n_items):
        raise ValidationError(
            f"Sample weights for '{name}' have shape {tuple(shape)}; there must "
            f"be one (or one row) for each of the {n_items} items",
            "sample_weight",
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
