"""
When what has been compiled serves again.

In: the arguments of a call of `Simulator.compile`, and those of the call before. Out:
whether they ask for the same. TensorFlow keeps all that XLA has compiled until the
process ends, so that no function of training is compiled twice without need.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras

from nengo_dl.training.keras_model import SimulatorModel


class Compiled:
    """
    What a model was compiled with.

    Parameters
    ----------
    model : SimulatorModel
        The model, which has just been compiled.
    optimizer : str or dict or keras.optimizers.Optimizer
        The optimizer that was asked for.
    objectives : dict of {str: dict}
        What `objectives_by_name` returned.
    options : dict
        Further arguments of `keras.Model.compile`.
    """

    def __init__(
        self,
        model: SimulatorModel,
        optimizer: Any,
        objectives: Mapping[str, Any],
        options: Mapping[str, Any],
    ):
        self._asked_for = (optimizer, objectives, dict(options))
        self._objectives = model.objectives
        self._optimizer = _description(model.optimizer)
        self._trained = list(model.trainable_variables)

    def start_again(
        self,
        model: SimulatorModel,
        optimizer: Any,
        objectives: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> bool:
        """
        Bring the model into the state after compilation, if it has just to start again.

        Parameters
        ----------
        model, optimizer, objectives, options
            As above.

        Returns
        -------
        is_started : bool
            False if something else is to be compiled.
        """
        if (
            model.objectives is not self._objectives
            or (optimizer, objectives, dict(options)) != self._asked_for
            or not _is_unchangeable(objectives)
            or list(map(id, model.trainable_variables)) != list(map(id, self._trained))
        ):
            return False
        # an object may have been changed, and so may what was made from a name
        fresh = keras.optimizers.get(optimizer)
        for one in (fresh, model.optimizer):
            if _description(one) != self._optimizer:
                return False
        if fresh is not model.optimizer and model.optimizer.built:
            fresh.build(self._trained)
            for variable, new in zip(model.optimizer.variables, fresh.variables):
                variable.assign(new)
        model.reset_metrics()
        return True


def _description(optimizer: keras.optimizers.Optimizer) -> tuple[type, dict[str, Any]]:
    """Return what functions of training depend on, other than variables."""
    config = optimizer.get_config()
    if isinstance(config.get("learning_rate"), float):
        del config["learning_rate"]
    config.pop("name", None)
    return type(optimizer), config


def _is_unchangeable(objectives: Any) -> bool:
    """
    Return whether losses and metrics cannot mean anything else than before.

    Functions of the user may depend on something that has changed, and objects may have
    been changed themselves.
    """
    if isinstance(objectives, Mapping):
        return all(map(_is_unchangeable, objectives.values()))
    if isinstance(objectives, list):
        return all(map(_is_unchangeable, objectives))
    if inspect.isfunction(objectives):
        return objectives.__module__.partition(".")[0] in ("keras", "nengo_dl")
    return isinstance(objectives, (str, float))
