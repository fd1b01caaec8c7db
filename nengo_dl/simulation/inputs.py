"""
Bring the data of users into one form, and check them before anything is computed.

In: whatever a user passes as inputs. Out: a dictionary from names to arrays of shape
``(batch, n_steps, size)``, or an error that says what to change.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import nengo
import numpy as np
from nengo.exceptions import SimulationError, ValidationError

from nengo_dl.config import Settings
from nengo_dl.simulation.arrays import Extent, as_array, check_inputs_are_finite
from nengo_dl.simulation.steps import check_counts, check_n_steps


def inputs_by_node(
    data: Any, names: Mapping[nengo.Node, str], settings: Settings, n_steps: int
) -> dict[nengo.Node, np.ndarray]:
    """
    Return the inputs of one run of one minibatch.

    Parameters
    ----------
    data : object
        What the user passed, see `name_data`.
    names : dict of {nengo.Node: str}
        The Nodes that may have inputs.
    settings : Settings
        The number of items in a minibatch, and the float type.
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
    if data is None:
        return {}
    named = name_data(data, names, "Nodes")
    if not isinstance(named, Mapping):
        raise SimulationError(
            f"Cannot automatically add n_steps to data of type "
            f"`{type(data).__name__}`; pass a dictionary, a list or an array of numbers"
        )
    named = dict(named)
    if "n_steps" in named:
        check_counts(named.pop("n_steps"), settings.minibatch_size, n_steps)
    arrays = check_inputs(
        named,
        {name: node.size_out for node, name in names.items()},
        settings,
        n_steps=n_steps,
        batch_size=settings.minibatch_size,
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


def _name_of(key: Any, names: Mapping, kind: str) -> str:
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


def check_data(
    named: Mapping[str, Any],
    sizes: Mapping[str, int],
    settings: Settings,
    n_steps: int | None = None,
    batch_size: int | None = None,
) -> tuple[dict[str, np.ndarray], int, int]:
    """
    Check inputs of any number of items, among which may be the number of steps.

    Parameters
    ----------
    named : dict of {str: array}
        The inputs by name, and maybe ``"n_steps"``, (n_items, 1).
    sizes : dict of {str: int}
        ``size_out`` of the Nodes.
    settings : Settings
        Which numbers of items and steps are possible.
    n_steps : int, optional
        The required number of steps.
    batch_size : int, optional
        The required number of items.

    Returns
    -------
    arrays : dict of {str: (n_items, n_steps, size) array}
        The inputs as NumPy arrays.
    n_items, n_steps : int
        The numbers of items and steps; without any that says how many items there
        are, there is one minibatch.

    Raises
    ------
    nengo.exceptions.ValidationError
        If there is something wrong with them.
    """
    arrays = dict(named)
    counts = arrays.pop("n_steps", None)
    if counts is not None and np.shape(counts)[1:] == (1,) and len(counts):
        arrays = {
            name: held(as_array(name, array), as_array("n_steps", counts)[0, 0])
            for name, array in arrays.items()
        }
    arrays = check_inputs(arrays, sizes, settings, n_steps, batch_size)
    n_items = settings.minibatch_size
    if counts is not None and np.ndim(counts) > 0:
        n_items = len(counts)
    for array in arrays.values():
        n_items, n_steps = array.shape[:2]
    if counts is not None:
        n_steps = check_counts(counts, n_items, n_steps)
    return arrays, n_items, check_n_steps(n_steps, settings)


def check_inputs(
    data: Mapping[str, Any],
    sizes: Mapping[str, int],
    settings: Settings,
    n_steps: int | None = None,
    batch_size: int | None = None,
) -> dict[str, np.ndarray]:
    """
    Check inputs, and turn them into arrays.

    Parameters
    ----------
    data : dict of {str: (batch, n_steps, size) array}
        The inputs by name; ``(batch, size)`` or, if there is a required number of
        steps, ``(batch, 1, size)`` if they are the same in all steps.
    sizes : dict of {str: int}
        ``size_out`` of the Nodes.
    settings : Settings
        The number of items in a minibatch of the simulator, and the float type.
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
        If something is no array of finite numbers, or has the wrong shape.
    """
    arrays = {name: as_array(name, value) for name, value in data.items()}
    steps = n_steps
    if steps is None:
        steps = next((a.shape[1] for a in arrays.values() if a.ndim == 3), None)
    for name, array in arrays.items():
        check_inputs_are_finite(name, Extent.of(array), settings.dtype)
        if steps is not None and (array.ndim == 2 or n_steps is not None):
            array = arrays[name] = held(array, steps)
        check_input_shape(name, array.shape, sizes[name], batch_size, n_steps)
        if not len(array):
            raise ValidationError(f"Data for '{name}' have no items", "data")
    check_agreement({name: array.shape for name, array in arrays.items()})
    return arrays


def held(array: np.ndarray, n_steps: int) -> np.ndarray:
    """
    Return inputs that are the same in all steps, which share the memory of one.

    Parameters
    ----------
    array : (batch, size) or (batch, 1, size) array
        The inputs; an array of any other shape is returned as it is.
    n_steps : int
        The number of steps.

    Returns
    -------
    array : (batch, n_steps, size) array
        A view.
    """
    if array.ndim == 2:
        array = array[:, None]
    if array.ndim != 3 or array.shape[1] != 1 or n_steps < 1:
        return array
    return np.broadcast_to(array, (len(array), int(n_steps), array.shape[2]))


def check_input_shape(
    name: str,
    shape: Sequence[int | None],
    size: int,
    n_items: int | None = None,
    n_steps: int | None = None,
) -> None:
    """
    Check the shape of an input.

    Parameters
    ----------
    name : str
        Name of the Node.
    shape : sequence of (int or None)
        The shape; None where it is not known.
    size : int
        ``size_out`` of the Node.
    n_items : int, optional
        The required number of items.
    n_steps : int, optional
        The required number of steps.

    Raises
    ------
    nengo.exceptions.ValidationError
        If the shape is not ``(n_items, n_steps, size)``.
    """
    if len(shape) != 3:
        raise ValidationError(
            f"Data for '{name}' should have rank 3 (batch size, number of timesteps, "
            f"size), received shape {tuple(shape)}; add the missing axes, for example "
            "with `data[:, None, :]` for a single timestep (or pass `n_steps`, for "
            "which inputs of shape (batch size, size) are held)",
            "data",
        )
    if not _agree(shape[0], n_items):
        raise ValidationError(
            f"Batch size of data ({shape[0]}) for '{name}' does not match expected "
            f"size ({n_items})",
            "data",
        )
    if not _agree(shape[1], n_steps):
        raise ValidationError(
            f"Number of timesteps of data ({shape[1]}) for '{name}' does not match "
            f"expected size ({n_steps})",
            "data",
        )
    if not _agree(shape[2], size):
        raise ValidationError(
            f"Data for '{name}' have {shape[2]} values per step (shape "
            f"{tuple(shape)}); the Node has size_out={size}, so the last axis must be "
            "that long",
            "data",
        )


def _agree(length: int | None, expected: int | None) -> bool:
    return length is None or expected is None or length == expected


def check_agreement(shapes: Mapping[str, Sequence[int | None]]) -> None:
    """
    Check that all inputs have the same numbers of items and steps.

    Parameters
    ----------
    shapes : dict of {str: tuple}
        The shapes of the inputs by name.

    Raises
    ------
    nengo.exceptions.ValidationError
        If they have not.
    """
    for axis, what in enumerate(("batch size", "number of timesteps")):
        lengths = {name: shape[axis] for name, shape in shapes.items()}
        if len(set(lengths.values())) > 1:
            raise ValidationError(
                f"Inputs have a different {what}; it must be the same for all of them "
                f"(received {lengths})",
                "data",
            )
