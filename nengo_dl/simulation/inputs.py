"""
Bring the data of users into one form, and check them before anything is computed.

In: whatever a user passes as inputs. Out: a dictionary from names to arrays of shape
``(batch, n_steps, size)``, or an error that says what to change.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import nengo
import numpy as np
from nengo.exceptions import SimulationError, ValidationError


def whole_iterations(n_steps: Any, unroll: int, use_loop: bool = True) -> int:
    """
    Round a number of steps up to whole iterations of the simulation loop.

    Parameters
    ----------
    n_steps : float
        The number of steps to simulate.
    unroll : int
        Number of steps per iteration.
    use_loop : bool
        If False, there is one iteration only.

    Returns
    -------
    n_steps : int
        A multiple of ``unroll``.

    Raises
    ------
    nengo.exceptions.ValidationError
        If it is no number, negative, or not possible without a loop.

    Warns
    -----
    RuntimeWarning
        If the number had to be changed.
    """
    number = np.asarray(n_steps)
    if number.ndim > 0 or number.dtype.kind not in "fiu" or not 0 <= number < math.inf:
        raise ValidationError(
            f"must be a number of at least 0 (received {n_steps!r})", attr="n_steps"
        )
    whole = math.ceil(n_steps / unroll) * unroll
    if not use_loop and whole not in (0, unroll):
        raise ValidationError(
            f"With use_loop=False exactly unroll_simulation={unroll} steps can be "
            f"simulated at a time (received {n_steps} steps)",
            attr="n_steps",
        )
    if whole != n_steps:
        warnings.warn(
            f"Simulating {whole} steps instead of {n_steps}: the number of steps must "
            f"be a multiple of unroll_simulation={unroll}",
            RuntimeWarning,
        )
    return whole


def inputs_by_node(
    data: Any, names: Mapping[nengo.Node, str], minibatch_size: int, n_steps: int
) -> dict[nengo.Node, np.ndarray]:
    """
    Return the inputs of one run of one minibatch.

    Parameters
    ----------
    data : object
        What the user passed, see `name_data`.
    names : dict of {nengo.Node: str}
        The Nodes that may have inputs.
    minibatch_size : int
        Number of items.
    n_steps : int
        Number of steps.

    Returns
    -------
    inputs : dict of {nengo.Node: (minibatch_size, n_steps, size_out) array}
        Inputs of those Nodes for which there are any.

    Raises
    ------
    nengo.exceptions.ValidationError
        If there is something wrong with the inputs.
    nengo.exceptions.SimulationError
        If they are in a form that only Keras understands.
    """
    named = name_data(data, names, "Nodes")
    if not isinstance(named, Mapping):
        raise SimulationError(
            f"Cannot automatically add n_steps to data of type "
            f"`{type(data).__name__}`; pass a dictionary, a list or an array of numbers"
        )
    named = dict(named)
    if "n_steps" in named:
        check_n_steps(named.pop("n_steps"), minibatch_size, n_steps)
    arrays = check_inputs(
        named,
        {name: node.size_out for node, name in names.items()},
        minibatch_size,
        n_steps=n_steps,
        batch_size=minibatch_size,
    )
    nodes = {name: node for node, name in names.items()}
    return {nodes[name]: array for name, array in arrays.items()}


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

    Raises
    ------
    nengo.exceptions.ValidationError
        If a key of a dictionary means none of the objects, or one that another key
        means already.
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
    if not isinstance(data, Mapping):
        return data
    named: dict[str, Any] = {}
    for key, value in data.items():
        name = _name_of(key, names, kind)
        if name in named:
            raise ValidationError(
                f"There are two arrays for '{name}': one by object and one by name; "
                "remove one of them",
                "data",
            )
        named[name] = value
    return named


def _name_of(key, names, kind) -> str:
    noun = kind.lower()[:-1]
    if isinstance(key, str):
        if key not in names.values() and (kind, key) != ("Nodes", "n_steps"):
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
            f"{key} is not a valid input; use a Node without input, or its name", "data"
        )
    raise ValidationError(
        f"{key} is not a valid {noun} name, nor a {noun} that can have data in this "
        f"network; the names are {list(names.values())}",
        "data",
    )


def check_inputs(
    data: Mapping[str, Any],
    sizes: Mapping[str, int],
    minibatch_size: int,
    n_steps: int | None = None,
    batch_size: int | None = None,
) -> dict[str, np.ndarray]:
    """
    Check inputs, and turn them into arrays.

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

    Returns
    -------
    arrays : dict of {str: (batch, n_steps, size) array}
        The inputs as NumPy arrays, of the type in which they came.

    Raises
    ------
    nengo.exceptions.ValidationError
        If something is no array of numbers, has the wrong shape, or contains NaN.
    """
    arrays = {name: as_array(name, value) for name, value in data.items()}
    for name, array in arrays.items():
        _check_shape(name, array.shape, minibatch_size, n_steps, batch_size)
        if array.shape[2] != sizes[name]:
            raise ValidationError(
                f"Data for '{name}' have {array.shape[2]} values per step (shape "
                f"{array.shape}); the Node has size_out={sizes[name]}, so the last "
                "axis must be that long",
                "data",
            )
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise ValidationError(
                f"Data for '{name}' contain NaN; inputs must be numbers (only targets "
                "may have missing values, with `nengo_dl.losses.nan_mse`)",
                "data",
            )
    _check_agreement({name: array.shape for name, array in arrays.items()})
    return arrays


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
            f"Batch size of data ({shape[0]}) for '{name}' does not match expected "
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
            f"Number of timesteps of data ({shape[1]}) for '{name}' does not match "
            f"expected size ({n_steps})",
            "data",
        )


def _check_agreement(shapes: Mapping[str, tuple[int, ...]]) -> None:
    for axis, what in enumerate(("batch size", "number of timesteps")):
        lengths = {name: shape[axis] for name, shape in shapes.items()}
        if len(set(lengths.values())) > 1:
            raise ValidationError(
                f"Inputs have a different {what}; it must be the same for all of them "
                f"(received {lengths})",
                "data",
            )


def check_n_steps(value: Any, batch_size: int, n_steps: int | None = None) -> int:
    """
    Check the number of steps as it is given along with inputs, as one of them.

    Parameters
    ----------
    value : (batch_size, 1) array of int
        The number of steps for every item.
    batch_size : int
        Number of items.
    n_steps : int, optional
        The required number of steps.

    Returns
    -------
    n_steps : int
        The number of steps.

    Raises
    ------
    nengo.exceptions.ValidationError
        If the array has the wrong shape, or its elements are not all the same number
        of steps.
    """
    array = as_array("n_steps", value)
    if array.shape != (batch_size, 1):
        raise ValidationError(
            f"'n_steps' has the wrong shape {array.shape}; it must be "
            f"(batch size, 1), here {(batch_size, 1)}",
            "n_steps",
        )
    if (array != array[0]).any():
        raise ValidationError(
            f"'n_steps' must have the same value for all items (received "
            f"{array[:, 0]})",
            "n_steps",
        )
    if n_steps is not None and array[0, 0] != n_steps:
        raise ValidationError(
            f"'n_steps' in the data ({array[0, 0]}) does not match the number of steps "
            f"to simulate ({n_steps})",
            "n_steps",
        )
    return int(array[0, 0])
