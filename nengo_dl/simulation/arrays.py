"""
Data of users as arrays of numbers.

In: whatever a user passes as one array. Out: an array, or an error by its name. All
rules for the numbers in arrays are here, for those of data sets as well, of which the
smallest and the largest number are known.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from nengo.exceptions import ValidationError


def as_array(name: str, value: Any) -> np.ndarray:
    """
    Return data as an array of numbers.

    Raises
    ------
    nengo.exceptions.ValidationError
        If they are anything else, or a mask hides some of them.
    """
    parts = value if isinstance(value, (list, tuple)) else [value]
    if any(np.ma.is_masked(part) for part in parts):
        raise ValidationError(
            f"Data for '{name}' are a masked array, whose mask would be lost; put "
            "numbers where it hides some, with `array.filled(0)`, say (and leave "
            "targets out by `sample_weight`, or as NaN with `nengo_dl.losses.nan_mse`)",
            "data",
        )
    try:
        array = np.asarray(value)
    except ValueError as err:  # lists of different lengths
        raise ValidationError(
            f"Data for '{name}' cannot be made into an array of shape (batch size, "
            f"number of timesteps, size): {err}",
            "data",
        ) from err
    if array.dtype.kind not in "fiub":
        raise ValidationError(
            f"Data for '{name}' must be numbers, received dtype `{array.dtype}`", "data"
        )
    return array


class Extent(NamedTuple):
    """
    What has to be known of the numbers of an array.

    Parameters
    ----------
    lowest, highest : float
        The smallest and the largest number, leaving out NaN; zero if there is none.
    has_nan : bool
        Whether there is NaN.
    """

    lowest: float
    highest: float
    has_nan: bool

    @staticmethod
    def of(array: np.ndarray) -> Extent:
        """Return the extent of an array of numbers."""
        if array.size == 0:
            return Extent(0.0, 0.0, False)
        with np.errstate(invalid="ignore"):
            lowest, highest = array.min(), array.max()
            has_nan = bool(np.isnan(lowest))
            if has_nan:
                lowest = np.fmin.reduce(array, axis=None)
                highest = np.fmax.reduce(array, axis=None)
        if np.isnan(lowest):  # there is nothing else
            return Extent(0.0, 0.0, True)
        return Extent(float(lowest), float(highest), has_nan)


def check_inputs_are_finite(name: str, extent: Extent, dtype: str) -> None:
    """
    Check that inputs are numbers, in the float type of the simulation as well.

    Raises
    ------
    nengo.exceptions.ValidationError
        If some are NaN or infinite, or become infinite.
    """
    if extent.has_nan:
        raise ValidationError(
            f"Data for '{name}' contain NaN; inputs must be numbers (only targets "
            "may have missing values, with `nengo_dl.losses.nan_mse`)",
            "data",
        )
    if np.isinf([extent.lowest, extent.highest]).any():
        raise ValidationError(
            f"Data for '{name}' contain infinite values; inputs must be finite numbers",
            "data",
        )
    check_fits(name, extent, dtype)


def check_fits(name: str, extent: Extent, dtype: str) -> None:
    """
    Check that numbers do not become infinite in the float type of the simulation.

    Raises
    ------
    nengo.exceptions.ValidationError
        If some do.
    """
    limit = float(np.finfo(dtype).max)
    for value in (extent.lowest, extent.highest):
        if limit < abs(value) < np.inf:
            raise ValidationError(
                f"Data for '{name}' contain {value:g}, which would be infinite in "
                f"{dtype} (the largest number is {limit:.3g}); scale the data, or use "
                '`nengo_dl.configure_settings(dtype="float64")`',
                "data",
            )
