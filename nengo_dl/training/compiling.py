"""
What the user compiles, by the name of the probe.

In: the arguments of `Simulator.compile`. Out: dictionaries by name, or errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import nengo
from nengo.exceptions import ValidationError

from nengo_dl.simulation.inputs import name_data


def check_optimizer(optimizer: Any) -> None:
    """
    Check that Keras can make an optimizer of what the user passed.

    Raises
    ------
    nengo.exceptions.ValidationError
        If it cannot.
    """
    if isinstance(optimizer, (str, Mapping, keras.optimizers.Optimizer)):
        return
    raise ValidationError(
        f"must be the name of an optimizer or a `keras.optimizers.Optimizer`, such "
        f"as `tf.optimizers.SGD(0.1)` (received {optimizer!r}; optimizers of "
        "`tf.compat.v1.train` cannot be used with Keras 3)",
        "optimizer",
    )


def objectives_by_name(
    names: Mapping[nengo.Probe, str],
    loss: Any,
    loss_weights: Any,
    metrics: Any,
    weighted_metrics: Any,
) -> dict[str, dict[str, Any]]:
    """
    Return losses, metrics and weights by the names of the probes.

    Parameters
    ----------
    names : dict of {nengo.Probe: str}
        Names of the probes, in order.
    loss, loss_weights, metrics, weighted_metrics : object
        See `KerasMethods.compile`.

    Returns
    -------
    by_name : dict of {str: dict}
        The arguments of `SimulatorModel.compile`.

    Raises
    ------
    nengo.exceptions.ValidationError
        If there is something wrong with any of them.
    """
    weights = loss_weights
    if weights is not None and not isinstance(weights, (list, tuple, Mapping)):
        raise ValidationError(
            "must be a list in the order of the Probes, or a dictionary by Probe "
            f"(received {weights!r})",
            "loss_weights",
        )
    given_weights = _by_probe(weights, "loss_weights", names)
    return {
        "loss": _by_probe(loss, "loss", names),
        "metrics": _lists(_by_probe(metrics, "metrics", names)),
        "weighted_metrics": _lists(
            _by_probe(weighted_metrics, "weighted_metrics", names)
        ),
        "loss_weights": {name: float(w) for name, w in given_weights.items()},
    }


def _by_probe(
    value: Any, what: str, names: Mapping[nengo.Probe, str]
) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, (list, tuple, Mapping)):
        return dict.fromkeys(names.values(), value)
    try:
        named = name_data(value, names, "Probes")
    except ValidationError as err:
        raise ValidationError(f"`{what}`: {err}", what) from err
    return {name: v for name, v in named.items() if v is not None}


def _lists(by_name: Mapping[str, Any]) -> dict[str, list]:
    return {
        n: list(v) if isinstance(v, (list, tuple)) else [v] for n, v in by_name.items()
    }
