"""
Data of users as arrays of numbers.

In: whatever a user passes as one array. Out: an array, or an error by its name.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from nengo.exceptions import ValidationError


def as_array(name: str, value: Any) -> np.ndarray:
    """
    Return data as an array of numbers.

    Raises
    ------
    nengo.exceptions.ValidationError
        If they are anything else.
    """
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
