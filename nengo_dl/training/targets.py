"""
Targets: all that is checked about them before anything is computed.

In: the shapes of targets, of arrays or of the batches of a generator or data set. Out:
nothing, or an error. Whether a loss can compare them with an output is found out by
`Objectives.check_targets`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

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
