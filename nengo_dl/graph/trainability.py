"""
Which signals are parameters, which of those are trained, and which have a batch axis.

In: a built Nengo model. Out: every base signal of the model carries two marks, which
the later stages of the pipeline read through `is_trainable` and `is_minibatched`:

``trainable``
    True: a parameter that is trained. False: a parameter that is not. None: no
    parameter, but part of the simulation state (or a constant).
``minibatched``
    Whether every item of a minibatch has a value of its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import nengo
import numpy as np
from nengo.builder import Model
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal

#: What may have a ``trainable`` option.
Trainable: TypeAlias = nengo.Ensemble | nengo.ensemble.Neurons | nengo.Connection
Configs: TypeAlias = Sequence[nengo.Config]


def is_trainable(signal: Signal) -> bool | None:
    """
    Return the ``trainable`` mark of a signal (of its base, for a view).

    None also if there is no mark.
    """
    return getattr(signal.base, "trainable", None)


def is_parameter(signal: Signal) -> bool:
    """
    Return whether the value of a signal can change between runs.

    That is so for trained parameters, and also for those that are not trained: they
    can be loaded from a file.
    """
    return is_trainable(signal) is not None


def is_minibatched(signal: Signal) -> bool | None:
    """
    Return the ``minibatched`` mark of a signal (of its base, for a view).

    None if there is no mark.
    """
    return getattr(signal.base, "minibatched", None)


def mark_signals(
    model: Model, operators: Sequence[Operator], inference_only: bool = False
) -> None:
    """
    Mark all base signals of a model.

    Parameters
    ----------
    model : nengo.builder.Model
        The built model.
    operators : sequence of nengo.builder.Operator
        The operators that will be simulated.
    inference_only : bool
        If True, no parameter is trained.

    Notes
    -----
    - Encoders, biases and connection weights are parameters, trained by default; those
      modified by a learning rule, or any other operator, are not trained by default.
    - The config option ``trainable`` overrides that: settings of inner networks win
      over those of outer networks, settings of objects over those of classes, and
      `nengo.ensemble.Neurons` follow their ensemble unless they have a setting of
      their own.
    - Parameters are shared by the items of a minibatch unless something modifies
      them. Other signals have a minibatch axis unless nothing ever writes them.
    """
    written = {
        signal.base for op in operators for signal in op.sets + op.incs + op.updates
    }
    bases = {signal.base for op in operators for signal in op.all_signals}
    bases.update(
        s.base for sigs in model.sig.values() for s in sigs.values() if s is not None
    )
    bases.update((model.step, model.time))
    for signal in bases:
        signal.trainable = None
        signal.minibatched = signal in written and not signal.sparse
    for signal in (model.step, model.time):
        signal.minibatched = False

    if model.toplevel is None:
        warnings.warn(
            "No top-level network in the model: no parameter is trainable. Build the "
            "network into the model (`model.build(network)`) to train it."
        )
        return

    learned = set(_learned_signals(model))
    for obj, signal, configs in parameter_signals(model):
        setting = trainable_setting(configs, obj)
        is_learned = signal in learned or signal.base in written
        if is_learned and setting:
            warnings.warn(
                f"{obj} is modified by a learning rule (or another operator), and "
                "marked as trainable: it will be changed by both. Set its `trainable` "
                "option to False (or None) if this is not intended."
            )
        trainable = not is_learned if setting is None else setting
        signal.base.trainable = trainable and not inference_only
        signal.base.minibatched = is_learned


def parameter_signals(model: Model) -> Iterator[tuple[Trainable, Signal, Configs]]:
    """
    Yield the parameters of the top-level network of a model.

    These are the encoders of ensembles, the biases of their neurons, and the weights
    of connections.

    Yields
    ------
    obj : nengo.Ensemble or nengo.ensemble.Neurons or nengo.Connection
        The object that has the parameter.
    signal : nengo.builder.Signal
        The parameter.
    configs : tuple of nengo.Config
        The configs that apply to the object, that of the outermost network first.
    """

    def walk(
        network: nengo.Network, configs: tuple[nengo.Config, ...]
    ) -> Iterator[tuple[Trainable, str, Configs]]:
        configs = (*configs, network.config)
        for ensemble in network.ensembles:
            yield ensemble, "encoders", configs
            yield ensemble.neurons, "bias", configs
        for connection in network.connections:
            yield connection, "weights", configs
        for subnetwork in network.networks:
            yield from walk(subnetwork, configs)

    seen = set()  # a network may be listed twice (in nengo.spa)
    for obj, attr, configs in walk(model.toplevel, ()):
        if (obj, attr) in seen:
            continue
        seen.add((obj, attr))
        signal = model.sig[obj].get(attr) if obj in model.sig else None
        if signal is not None:
            yield obj, signal, configs


def _learned_signals(model: Model) -> Iterator[Signal]:
    """Yield the signals that learning rules modify."""
    for conn in model.toplevel.all_connections:
        rules = conn.learning_rule_type
        if rules is None:
            continue
        if isinstance(rules, dict):
            rules = rules.values()
        elif not isinstance(rules, (list, tuple)):
            rules = (rules,)
        for rule in rules:
            if rule.modifies == "encoders":
                yield model.sig[_ensemble(conn.post_obj)]["encoders"]
            else:
                yield model.sig[conn]["weights"]


def _ensemble(obj: nengo.Ensemble | nengo.ensemble.Neurons) -> nengo.Ensemble:
    """Return the ensemble that an object is, or belongs to."""
    return obj.ensemble if isinstance(obj, nengo.ensemble.Neurons) else obj


def trainable_setting(configs: Configs, obj: Trainable) -> bool | None:
    """
    Return the value of the ``trainable`` option for an object.

    Parameters
    ----------
    configs : sequence of nengo.Config
        The configs that apply to the object, that of the outermost network first.
    obj : nengo.Ensemble or nengo.ensemble.Neurons or nengo.Connection
        The object.

    Returns
    -------
    trainable : bool or None
        None if no setting applies.
    """
    keys = [obj, type(obj)]
    if isinstance(obj, nengo.ensemble.Neurons):
        keys += [obj.ensemble, nengo.Ensemble]
    return _first_setting(configs, keys, "trainable")


def scale_setting(configs: Configs, obj: Trainable) -> np.ndarray | None:
    """
    Return the value of the ``parameter_scale`` option for an object.

    Parameters
    ----------
    configs : sequence of nengo.Config
        The configs that apply to the object, that of the outermost network first.
    obj : nengo.Ensemble or nengo.ensemble.Neurons or nengo.Connection
        The object.

    Returns
    -------
    scale : array or None
        None if no setting applies.
    """
    return _first_setting(configs, [obj, type(obj)], "parameter_scale")


def _first_setting(configs: Configs, keys: Sequence[Any], name: str) -> Any:
    """Return a setting of the first of some objects and classes that have it."""
    for key in keys:
        for config in reversed(configs):
            value = _setting(config, key, name)
            if value is not None:
                return value
    return None


def _setting(config: nengo.Config, key: Any, name: str) -> Any:
    """Look up a setting for exactly this class or object in one config."""
    is_class = isinstance(key, type)
    cls = key if is_class else type(key)
    if cls not in config.params or key not in config.params:
        return None
    if name not in config.params[cls].extra_params:
        return None
    if not is_class and name not in config.params[key]:
        return None
    return getattr(config.params[key], name)
