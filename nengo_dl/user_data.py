"""
Bring the data of users into one form, and check them before anything is computed.

In: whatever a user passes as inputs or targets. Out: a dictionary from names to arrays
of shape ``(batch, n_steps, size)``, or an error that says what to change.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import nengo
import numpy as np
from nengo.exceptions import ValidationError


def name_data(data: Any, names: Mapping, kind: str) -> Any:
    """
    Turn inputs or targets into a dictionary by name.

    Parameters
    ----------
    data : object
        None, a dictionary by object or name, a list of arrays in the order of
        ``names``, or a single array.
    names : dict of {(nengo.Node or nengo.Probe): str}
        The objects that may have data.
    kind : "Nodes" or "Probes"
        What the objects are.

    Returns
    -------
    named : dict of {str: array}
        Anything that is in no such form (a generator, say) is returned as it is.
    """
    if data is None:
        return {}
    if hasattr(data, "shape"):
        data = [data]
    if isinstance(data, (list, tuple)):
        if len(data) != len(names):
            warnings.warn(
                f"The number of arrays ({len(data)}) does not match number of {kind} "
                f"({len(names)}); the arrays are assigned to the first of "
                f"{list(names.values())}. Use a dictionary to be explicit."
            )
        return dict(zip(names.values(), data))
    if isinstance(data, Mapping):
        return {_name_of(key, names, kind): value for key, value in data.items()}
    return data


def _name_of(key, names, kind) -> str:
    noun = kind.lower()[:-1]
    if isinstance(key, str):
        if key not in names.values() and key != "n_steps":
            raise ValidationError(
                f"'{key}' is not a valid {noun} name; the names are "
                f"{list(names.values())}",
                "data",
            )
        return key
    if key in names:
        return names[key]
    if kind == "Nodes" and not isinstance(key, nengo.Node):
        raise ValidationError(
            f"{key} is not a valid input; use a Node, or its name", "data"
        )
    raise ValidationError(
        f"{key} is not a valid {noun} name, nor a {noun} without input of this "
        f"network; the names are {list(names.values())}",
        "data",
    )


def check_inputs(
    data: Mapping[str, Any],
    sizes: Mapping[str, int],
    minibatch_size: int,
    n_steps: int | None = None,
    batch_size: int | None = None,
) -> None:
    """
    Check input arrays.

    Parameters
    ----------
    data : dict of {str: (batch, n_steps, size) array}
        The inputs by name.
    sizes : dict of {str: int}
        ``size_out`` of the Nodes.
    minibatch_size : int
        Number of items in a minibatch of the simulator.
    n_steps : int, optional
        The required number of steps.
    batch_size : int, optional
        The required number of items.

    Raises
    ------
    nengo.exceptions.ValidationError
        If an array has the wrong shape or contains NaN.
    """
    first: tuple[str, Sequence[int]] | None = None
    for name, value in data.items():
        shape = tuple(np.shape(value))
        _check_shape(name, shape, minibatch_size, n_steps, batch_size)
        if shape[2] != sizes[name]:
            raise ValidationError(
                f"Data for '{name}' have {shape[2]} values per step (shape {shape}), "
                f"but the Node has size_out={sizes[name]}",
                "data",
            )
        if first is not None and shape[0] != first[1][0]:
            raise ValidationError(
                f"Data for '{name}' have a different batch size ({shape[0]}) from "
                f"data for '{first[0]}' ({first[1][0]})",
                "data",
            )
        if first is not None and shape[1] != first[1][1]:
            raise ValidationError(
                f"Data for '{name}' have a different number of timesteps ({shape[1]}) "
                f"from data for '{first[0]}' ({first[1][1]})",
                "data",
            )
        first = first or (name, shape)
        _check_values(name, value)


def _check_shape(name, shape, minibatch_size, n_steps, batch_size) -> None:
    if len(shape) != 3:
        raise ValidationError(
            f"Data for '{name}' should have rank 3 (batch size, number of timesteps, "
            f"size), received shape {shape}; add the missing axes, for example with "
            "`data[:, None, :]` for a single timestep",
            "data",
        )
    if batch_size is not None and shape[0] != batch_size:
        raise ValidationError(
            f"Batch size of data for '{name}' ({shape[0]}) does not match expected "
            f"size ({batch_size})",
            "data",
        )
    if shape[0] < minibatch_size:
        raise ValidationError(
            f"Batch size of data ({shape[0]}) for '{name}' is smaller than the "
            f"minibatch_size of the Simulator ({minibatch_size})",
            "data",
        )
    if n_steps is not None and shape[1] != n_steps:
        raise ValidationError(
            f"Number of timesteps of data for '{name}' ({shape[1]}) does not match "
            f"expected size ({n_steps})",
            "data",
        )


def _check_values(name, value) -> None:
    value = np.asarray(value)
    if value.dtype.kind not in "fiub":
        raise ValidationError(
            f"Data for '{name}' must be numbers, received dtype `{value.dtype}`", "data"
        )
    if value.dtype.kind == "f" and np.isnan(value).any():
        raise ValidationError(
            f"Data for '{name}' contain NaN; inputs must be numbers (only targets may "
            "have missing values, with `nengo_dl.losses.nan_mse`)",
            "data",
        )
