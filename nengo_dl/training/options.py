"""
Arguments of `compile`, `fit`, `evaluate` and `predict` that are not data.

In: keyword arguments as the user gave them. Out: those for Keras, or errors where Keras
would not understand them, or understand something else.
"""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from nengo.exceptions import ValidationError


def check_jit_compile(jit_compile: Any) -> bool | str:
    """
    Check the argument of `compile`, and return it.

    Raises
    ------
    nengo.exceptions.ValidationError
        If it is not True, False, or "auto".
    """
    if isinstance(jit_compile, (bool, np.bool_)):
        return bool(jit_compile)
    if isinstance(jit_compile, str) and jit_compile == "auto":
        return jit_compile
    raise ValidationError(
        f"must be True, False, or 'auto' (received {jit_compile!r})", "jit_compile"
    )


def drop_batch_sizes(kwargs: dict[str, Any], minibatch_size: int) -> None:
    """Remove sizes of batches from keyword arguments, with a warning of them."""
    for name in ("batch_size", "validation_batch_size"):
        if kwargs.get(name) is not None:
            warnings.warn(
                "Batch size is determined statically by `minibatch_size="
                f"{minibatch_size}` of the Simulator; `{name}={kwargs[name]}` is "
                "ignored"
            )
        kwargs.pop(name, None)


def check_fit_options(kwargs: Mapping[str, Any]) -> None:
    """
    Check keyword arguments of `fit`.

    Raises
    ------
    nengo.exceptions.ValidationError
        If there is something wrong with one of them.
    """
    shuffle = kwargs.get("shuffle")
    if isinstance(shuffle, str) and shuffle not in ("batch", "length"):
        raise ValidationError(
            'must be True, False, "batch" (only within batches), or "length" (items of '
            f"similar lengths make up batches), received {shuffle!r}",
            "shuffle",
        )
    split = kwargs.get("validation_split", 0)
    is_number = isinstance(split, numbers.Real) and not isinstance(split, bool)
    if split is not None and not (is_number and 0 <= split < 1):
        raise ValidationError(
            "must be a number from 0 to less than 1, the fraction of the items that "
            f"are for validation (received {split!r})",
            "validation_split",
        )
    check_validation_data(kwargs.get("validation_data"))


def check_validation_data(data: Any) -> None:
    """
    Check the form of data for validation.

    Raises
    ------
    nengo.exceptions.ValidationError
        If they can be neither arrays for inputs and targets, nor batches.
    """
    rule = (
        "must be `(x, y)` or `(x, y, sample_weight)`, or a generator or data set of "
        "such batches"
    )
    if isinstance(data, (list, tuple)):
        if len(data) not in (2, 3):
            raise ValidationError(
                f"{rule} (received a {type(data).__name__} of length {len(data)})",
                "validation_data",
            )
    elif isinstance(data, (Mapping, str, numbers.Number)) or hasattr(data, "shape"):
        raise ValidationError(
            f"{rule} (received `{type(data).__name__}`)", "validation_data"
        )


def check_split(n_items: int, validation_split: float) -> None:
    """
    Check that there are items in both parts of data that are split.

    Raises
    ------
    nengo.exceptions.ValidationError
        If one of them is empty.
    """
    n_train = int(n_items * (1 - validation_split))
    for n, what in ((n_train, "training"), (n_items - n_train, "validation")):
        if n == 0:
            raise ValidationError(
                f"With validation_split={validation_split:g}, none of {n_items} items "
                f"is for {what}; choose another split, or pass validation_data",
                "validation_split",
            )
