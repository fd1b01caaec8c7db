"""
Sample weights: all that is checked about them before anything is computed.

In: weights as the user gave them, or the shapes of those of the batches of a generator
or data set. Out: weights by the name of the Probe, or an error.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import nengo
import numpy as np
from nengo.exceptions import ValidationError

from nengo_dl.simulation.arrays import Extent
from nengo_dl.simulation.inputs import name_data


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
    name: str, shape: Sequence[int | None], n_items: int, extent: Extent | None = None
) -> None:
    """
    Check the number of sample weights, and that they are numbers.

    Parameters
    ----------
    name : str
        Name of the Probe.
    shape : sequence of (int or None)
        The shape; None where it is not known.
    n_items : int
        The required number of items.
    extent : Extent, optional
        What is known of the weights themselves.

    Raises
    ------
    nengo.exceptions.ValidationError
        If their number is not that of the items, or if they are not finite.
    """
    if len(shape) == 0 or shape[0] not in (None, n_items):
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
