"""
How many steps are simulated: all that is checked about it.

In: a number of steps, in whatever form it comes. Out: the number, or an error that says
which numbers are possible.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any

import nengo
import numpy as np
from nengo.exceptions import ValidationError

from nengo_dl.config import Settings
from nengo_dl.graph.training_synapses import training_synapses
from nengo_dl.simulation.arrays import as_array
from nengo_dl.utils import as_number, is_integer

# Compiled loops count in 32 bits.
MAX_STEPS = 2**31 - 1


def steps_of_time(time_in_seconds: Any, dt: float) -> int:
    """
    Return how many steps a simulation takes.

    Parameters
    ----------
    time_in_seconds : float
        How long it is, in seconds.
    dt : float
        Length of a step in seconds.

    Raises
    ------
    nengo.exceptions.ValidationError
        If that is no number, negative, not finite, or too long.
    """
    seconds = as_number(time_in_seconds, "time_in_seconds")
    if not 0 <= seconds < math.inf:
        raise ValidationError(
            f"Must be positive and finite (got {seconds:g})", attr="time_in_seconds"
        )
    if seconds / dt > MAX_STEPS:
        raise ValidationError(
            f"{seconds:g} seconds are too many steps of {dt:g} seconds; at most "
            f"{MAX_STEPS} steps can be simulated at a time",
            attr="time_in_seconds",
        )
    return int(np.round(seconds / dt))


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
    number = as_number(n_steps, "n_steps")
    if not 0 <= number < math.inf:
        raise ValidationError(
            f"must be a number of at least 0 (received {n_steps!r})", attr="n_steps"
        )
    _check_limit(number)
    whole = math.ceil(number / unroll) * unroll
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


def _check_limit(n_steps: float) -> None:
    if n_steps > MAX_STEPS:
        raise ValidationError(
            f"That is too many steps: at most {MAX_STEPS} can be simulated at a time "
            f"(received {n_steps:g})",
            attr="n_steps",
        )


def check_n_steps(n_steps: int | None, settings: Settings) -> int:
    """
    Check a number of steps that Keras is to simulate at a time.

    Parameters
    ----------
    n_steps : int or None
        The number of steps; None if neither the user nor the data have named one.
    settings : Settings
        Which numbers are possible.

    Returns
    -------
    n_steps : int
        The same.

    Raises
    ------
    nengo.exceptions.ValidationError
        If there is none, or it cannot be simulated.
    """
    unroll = settings.unroll
    if n_steps is None:
        raise ValidationError(
            "Must specify either input data or n_steps: pass an array, or the "
            "number of steps to simulate",
            "n_steps",
        )
    if not is_integer(n_steps) or n_steps < 1:
        raise ValidationError(
            f"must be an integer of at least 1 (received {n_steps!r})", "n_steps"
        )
    _check_limit(n_steps)
    if not settings.use_loop and n_steps != unroll:
        raise ValidationError(
            f"With use_loop=False exactly unroll_simulation={unroll} steps "
            f"can be simulated at a time (received {n_steps} steps)",
            "n_steps",
        )
    if n_steps % unroll != 0:
        raise ValidationError(
            f"The number of timesteps ({n_steps}) must be evenly divisible by "
            f"unroll_simulation={unroll}",
            "n_steps",
        )
    return int(n_steps)


def check_counts(value: Any, batch_size: int, n_steps: int | None = None) -> int:
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


def warn_of_one_step(
    model: nengo.builder.Model, probes: Iterable[nengo.Probe], training: bool = False
) -> None:
    """
    Warn if a network is simulated for one step that has synapses.

    Parameters
    ----------
    model : nengo.builder.Model
        The built network.
    probes : iterable of nengo.Probe
        The Probes that matter.
    training : bool
        Whether it is the training version that is simulated.
    """
    network = model.toplevel
    connections = [] if network is None else network.all_connections
    is_other = network is not None and training
    others = dict(training_synapses(network)) if is_other else {}
    objects = [*connections, *probes]
    if any(others.get(obj, obj.synapse) is not None for obj in objects):
        warnings.warn(
            "The data have one timestep, and the network contains synaptic "
            "filters: next to nothing of the input gets through them. Set "
            "`synapse=None` where no filter is needed (`training_synapse` where none "
            "is needed in training), or repeat the data for several timesteps."
        )
