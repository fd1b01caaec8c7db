"""
What the user compiles, by the name of the probe.

In: the arguments of `Simulator.compile`. Out: dictionaries by name, or errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
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
) -> dict[str, Any]:
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
    by_name : dict of {str: object}
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
    losses = _by_probe(loss, "loss", names)
    return {
        "loss": losses,
        "metrics": _lists(_by_probe(metrics, "metrics", names)),
        "weighted_metrics": _lists(
            _by_probe(weighted_metrics, "weighted_metrics", names)
        ),
        "loss_weights": _loss_weights(given_weights, losses),
        "shared": [
            what
            for what, value in (
                ("loss", loss),
                ("metrics", metrics),
                ("weighted_metrics", weighted_metrics),
            )
            if not isinstance(value, (list, tuple, Mapping))
        ],
    }


def _loss_weights(
    given: Mapping[str, Any], losses: Collection[str]
) -> dict[str, float]:
    without = [name for name in given if name not in losses]
    if without:
        raise ValidationError(
            f"There are weights for {without}, which have no loss; compile with a loss "
            "for these Probes, or leave their weights out",
            "loss_weights",
        )
    weights = {}
    for name, weight in given.items():
        try:
            weights[name] = float(weight)
        except (TypeError, ValueError):
            weights[name] = math.nan
        if not math.isfinite(weights[name]):
            raise ValidationError(
                f"must be finite numbers (received {weight!r} for '{name}')",
                "loss_weights",
            )
    return weights


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
        # without "data: ", which is not the argument that is wrong here
        raise ValidationError(Exception.__str__(err), what) from err
    return {name: v for name, v in named.items() if v is not None}


def _lists(by_name: Mapping[str, Any]) -> dict[str, list]:
    return {
        n: list(v) if isinstance(v, (list, tuple)) else [v] for n, v in by_name.items()
    }


def known(get: Callable, name: str, kind: str, probe: str) -> Any:
    """
    Return what Keras knows under a name.

    Raises
    ------
    nengo.exceptions.ValidationError
        If it knows nothing of that name.
    """
    try:
        return get(name)
    except ValueError as err:
        raise ValidationError(
            f"'{name}' (for probe '{probe}') is not the name of a {kind} that Keras "
            "knows; check its spelling, or pass a function `(y_true, y_pred)`",
            kind,
        ) from err


def instance(cls: type, base: type, kind: str, probe: str) -> Any:
    """
    Return an object of a class of losses or metrics, as Keras does.

    Raises
    ------
    nengo.exceptions.ValidationError
        If it is another class, or needs arguments.
    """
    if not issubclass(cls, base):
        raise unusable(cls, kind, probe)
    try:
        return cls()
    except TypeError as err:
        raise ValidationError(
            f"The {kind} for probe '{probe}' is a class, from which no object can be "
            f"made ({err}); pass an object, such as `{cls.__name__}(...)`",
            kind,
        ) from err


def unusable(value: Any, kind: str, probe: str) -> ValidationError:
    """Return the error for what is neither a loss nor a metric."""
    return ValidationError(
        f"The {kind} for probe '{probe}' must be a name, a function `(y_true, y_pred)` "
        f"or an object of Keras, received {value!r}",
        kind,
    )
