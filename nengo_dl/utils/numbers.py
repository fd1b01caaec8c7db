"""
Numbers that users pass: is it one at all, and is it possible.

In: whatever a user passed. Out: a number of Python, or an error by the name of the
argument.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from nengo.exceptions import ValidationError
from nengo.params import NumberParam


def as_number(value: Any, name: str) -> float:
    """
    Return a real number.

    Parameters
    ----------
    value : object
        What the user passed.
    name : str
        Name of the argument, for the error.

    Raises
    ------
    nengo.exceptions.ValidationError
        If it is anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value  # (NumPy has no type for large ones)
    number = np.asarray(value)
    if number.ndim > 0 or number.dtype.kind not in "fiu":
        raise ValidationError(f"must be a number (received {value!r})", name)
    return number.item()


def is_integer(value: Any) -> bool:
    """Return whether a value is an integer, of Python or NumPy."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


class RealParam(NumberParam):
    """
    A parameter that is a number: not NaN, and only infinite where that has a meaning.

    Parameters of Nengo compare NaN with their limits, and fail.

    Parameters
    ----------
    name : str
        The name of the parameter.
    *args, **kwargs
        Arguments of `nengo.params.NumberParam`.
    finite : bool
        Whether the number must not be infinite.
    """

    def __init__(self, name: str, *args: Any, finite: bool = True, **kwargs: Any):
        super().__init__(name, *args, **kwargs)
        self.finite = finite

    def coerce(self, instance: Any, num: Any) -> Any:
        """Check the number."""
        if num is not None and np.ndim(num) == 0 and np.asarray(num).dtype.kind == "f":
            if math.isnan(num) or (self.finite and math.isinf(num)):
                what = "a finite number" if self.finite else "a number"
                raise ValidationError(
                    f"must be {what} (received {num})", attr=self.name, obj=instance
                )
        return super().coerce(instance, num)
