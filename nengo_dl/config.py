"""
Settings of NengoDL, stored in the config system of a Nengo network.

In: keyword arguments of `configure_settings`. Out: Nengo config parameters on the
network, and `Settings`, the record of all that decides how a network is compiled. Only
parameter types of Nengo itself are stored, so that a configured network can be
unpickled without NengoDL.

A new setting of networks is a field of `Settings`, with a line in the docstring of
`configure_settings`; whoever has a `Settings` (an operator builder, say, as
``config.settings``) reads it from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

import numpy as np
from nengo import Connection, Ensemble, Network, Probe
from nengo.builder import Model
from nengo.config import Config
from nengo.ensemble import Neurons
from nengo.exceptions import ConfigError, NetworkContextError, ValidationError
from nengo.params import BoolParam, EnumParam, NdarrayParam, NumberParam, Parameter
from nengo.synapses import SynapseParam


def configure_settings(**settings: Any) -> None:
    """
    Change settings of NengoDL for the network of the current ``with`` block.

    Only the settings that are given change; a later call overrides an earlier one.
    ``trainable``, ``parameter_scale`` and ``training_synapse`` apply to the innermost
    network of the context, all other settings to the outermost one, that is, to the
    whole simulation.

    Parameters
    ----------
    trainable : bool or None
        Default for whether the parameters of the ensembles, neurons and connections
        of this network are optimized by ``sim.fit``. This adds a ``trainable``
        parameter to the network's config, so that single objects or types can be
        configured too, as in ``net.config[my_ensemble].trainable = False`` or
        ``net.config[nengo.Connection].trainable = False``. (Without it, Nengo raises
        "type object 'Ensemble' has no attribute 'trainable'".) With None, NengoDL
        decides: everything but the targets of learning rules is trainable.
    parameter_scale : None
        Adds a ``parameter_scale`` to the config of neurons and connections of this
        network, a number or array that can be set for single objects: the biases or
        weights in the network are larger by this factor than what is meant by them, and
        what files of parameters contain (see `.Simulator.save_params`). `.Converter`
        sets it for neurons with scaled firing rates.
    training_synapse : nengo.synapses.Synapse or float or None
        The synapse that all Connections and Probes of this network that have a synapse
        get in training instead of it. With None, all keep their own. This adds a
        ``training_synapse`` to the network's config, which can be set for single
        objects or types: ``net.config[my_probe].training_synapse = None`` is no synapse
        in training, and ``del net.config[my_probe].training_synapse`` takes the setting
        back.
    planner : callable
        Function from a list of operators to a list of tuples of operators that run
        as one; see `nengo_dl.graph_optimizer`. Defaults to ``tree_planner``.
    sorter : callable
        Function ``(plan, n_passes=10) -> (signals, plan)`` that puts signals and
        operators in order. Defaults to ``order_signals``.
    simplifications : list of callable
        Functions from a list of operators to an equivalent, shorter one, applied
        until nothing changes. Defaults to ``default_simplifications``.
    inference_only : bool
        True builds the network without support for training, which is faster and
        smaller. Defaults to False.
    lif_smoothing : float or None
        Smoothing factor ``sigma`` (positive) of the `.SoftLIFRate` neurons that stand
        for `nengo.LIF` in training. With None (default), `nengo.LIFRate` does.
    dtype : {"float32", "float64", "float16"}
        Floating point type of the simulation. Defaults to ``"float32"``.
    keep_history : bool
        Default for whether probes keep the values of all steps (True, the default) or
        only of the last one, whatever their ``sample_every``. A single probe can be
        configured with ``net.config[my_probe].keep_history = False``.
    stateful : bool
        False makes all simulator functions start from the initial state and discard
        the final one. Defaults to True.
    use_loop : bool
        False builds exactly ``unroll_simulation`` steps without a loop. Defaults to
        True.
    learning_phase : bool or None
        True or False has all simulator functions run the training or the inference
        version of the network. With None (default), that depends on the function.
    jit_compile : {"auto", True, False}
        Whether XLA compiles the simulation. ``"auto"`` (default) compiles where that
        is possible and known to be faster.
    layerwise : {"auto", True, False}
        Whether the parts of the network that have no state and are in no loop, such as
        the products of feedforward connections and most layers of Keras, are computed
        for many steps at once, layer by layer, instead of step by step. ``"auto"``
        (default) does so where it is known to be faster. Results agree up to rounding.
        Networks that call Python in the step run step by step in any case.
    allow_tf32 : bool
        True lets GPUs round the factors of float32 products to TF32 (10 bits of
        fraction), which is faster, and less exact by a factor of up to 10,000, as far
        as TensorFlow is set to do so. Defaults to False.

    Raises
    ------
    nengo.exceptions.NetworkContextError
        If called outside the ``with`` block of a network.
    nengo.exceptions.ConfigError
        If there is no setting of that name.
    nengo.exceptions.ValidationError
        If the value does not fit the setting.
    """
    if len(Network.context) == 0:
        raise NetworkContextError(
            "`configure_settings` must be called inside of a network: move the call "
            "into a `with network:` block"
        )
    for name, value in settings.items():
        if name == "trainable":
            config = Network.context[-1].config
            for nengo_type in (Ensemble, Connection, Neurons):
                _store(config, nengo_type, name, value)
        elif name == "parameter_scale":
            config = Network.context[-1].config
            for nengo_type in (Connection, Neurons):
                _store(config, nengo_type, name, value)
        elif name == "training_synapse":
            config = Network.context[-1].config
            for nengo_type in (Connection, Probe):
                _store(config, nengo_type, name, value)
                if value is None:
                    # a type for which None is set has no synapse in training
                    delattr(config[nengo_type], name)
        elif name == "keep_history":
            _store(Network.context[0].config, Probe, name, value)
        elif name in _DEFINITIONS:
            _store(Network.context[0].config, Network, name, value)
        else:
            raise ConfigError(
                f"`{name}` is not a setting of NengoDL; the settings are "
                f"{', '.join(sorted(_DEFINITIONS))}"
            )


def get_setting(
    model_or_network: Model | Network,
    setting: str,
    default: Any = None,
    obj: Any = None,
) -> Any:
    """
    Look up a setting.

    Parameters
    ----------
    model_or_network : nengo.builder.Model or nengo.Network
        The top-level network, or the model built from it.
    setting : str
        Name of the setting, see `.configure_settings`.
    default : object
        What to return if the setting has not been configured, is None, or if the
        model was not built from a network.
    obj : nengo.base.NengoObject, optional
        The object whose own setting is wanted (e.g. a probe, for ``keep_history``).

    Returns
    -------
    value : object
        The value of the setting, or ``default``.
    """
    if isinstance(model_or_network, Model):
        network = model_or_network.toplevel
    else:
        network = model_or_network
    if network is None:
        return default

    try:
        value = getattr(network.config[Network if obj is None else obj], setting)
    except (AttributeError, ConfigError):
        return default
    return default if value is None else value


def _unchanged(value: Any, name: str) -> Any:
    return value


def _function(value: Any, name: str) -> Any:
    if value is not None and not callable(value):
        raise ValidationError(f"must be a function (got {value!r})", attr=name)
    return value


def _functions(value: Any, name: str) -> Any:
    if value is None:
        return None
    try:
        return tuple(_function(function, name) for function in value)
    except TypeError as err:
        raise ValidationError(
            f"must be a list of functions (got {value!r})", attr=name
        ) from err


def _float_type_name(value: Any, name: str) -> Any:
    if isinstance(value, type):  # `np.float32`, `float`
        return np.dtype(value).name
    # `tf.float32` and `np.dtype("float32")` know the name that is stored
    return getattr(value, "name", value)


def _finite(value: Any, name: str) -> Any:
    # Nengo compares NaN with the limits of a parameter, and fails
    if isinstance(value, (float, np.floating)) and not np.isfinite(value):
        raise ValidationError(
            f"must be a finite number above 0, or None (received {value})", attr=name
        )
    return value


def _auto_or_bool(value: Any, name: str) -> Any:
    if value != "auto" and not isinstance(value, bool):
        raise ValidationError(
            f'must be "auto", True, or False (got {value!r})', attr=name
        )
    return value


@dataclass(frozen=True)
class _Definition:
    """
    How a setting is stored in the config of a network.

    Parameters
    ----------
    parameter : callable
        Makes the config parameter, given the name of the setting.
    check : callable
        Maps value and name of the setting to what is stored, for checks beyond those of
        the parameter.
    """

    parameter: Callable[[str], Parameter]
    check: Callable[[Any, str], Any] = _unchanged


def _setting(
    default: Any,
    parameter: Callable[..., Parameter],
    check: Callable[[Any, str], Any] = _unchanged,
    **limits: Any,
) -> Any:
    """
    Return a field of `Settings` that users configure.

    Parameters
    ----------
    default : object
        The default.
    parameter : type
        The type of Nengo's config parameter, called with the name of the setting, the
        default, and ``limits``.
    check : callable
        See `_Definition`.
    limits
        Further arguments of ``parameter``.
    """
    limits.setdefault("optional", default is None)
    definition = _Definition(partial(parameter, default=default, **limits), check)
    return field(default=default, metadata={"definition": definition})


@dataclass(frozen=True)
class Settings:
    """
    All that decides how a network is compiled, in one record.

    Parameters
    ----------
    planner, sorter, simplifications, inference_only, lif_smoothing, dtype, stateful
        Settings of the network; see `configure_settings`.
    use_loop, learning_phase, jit_compile, layerwise, allow_tf32
        The same.
    unroll : int
        Number of steps per iteration of the simulation loop.
    minibatch_size : int
        Number of items in a minibatch.
    device : str or None
        Where to simulate, such as ``"/cpu:0"``.
    seed : int
        Seed of everything random.
    optimize : bool
        If False, operators are neither simplified nor merged.
    """

    planner: Callable | None = _setting(None, Parameter, _function)
    sorter: Callable | None = _setting(None, Parameter, _function)
    simplifications: tuple[Callable, ...] | None = _setting(None, Parameter, _functions)
    inference_only: bool = _setting(False, BoolParam)
    lif_smoothing: float | None = _setting(
        None, NumberParam, _finite, low=0, low_open=True
    )
    dtype: str = _setting(
        "float32",
        EnumParam,
        _float_type_name,
        values=("float16", "float32", "float64"),
    )
    stateful: bool = _setting(True, BoolParam)
    use_loop: bool = _setting(True, BoolParam)
    learning_phase: bool | None = _setting(None, BoolParam)
    jit_compile: bool | str = _setting("auto", Parameter, _auto_or_bool)
    layerwise: bool | str = _setting("auto", Parameter, _auto_or_bool)
    allow_tf32: bool = _setting(False, BoolParam)

    unroll: int = 1
    minibatch_size: int = 1
    device: str | None = None
    seed: int = 0
    optimize: bool = True

    @classmethod
    def of(cls, network: Model | Network, **options: Any) -> Settings:
        """
        Return the settings configured on a network.

        Parameters
        ----------
        network : nengo.Network or nengo.builder.Model
            The network, or a model built from it.
        options
            The other fields.
        """
        configured = {
            f.name: get_setting(network, f.name, default=f.default)
            for f in fields(cls)
            if "definition" in f.metadata
        }
        return cls(**configured, **options)


_DEFINITIONS: dict[str, _Definition] = {
    "trainable": _Definition(partial(BoolParam, default=None, optional=True)),
    "parameter_scale": _Definition(
        partial(NdarrayParam, default=None, optional=True, shape=("...",))
    ),
    "training_synapse": _Definition(partial(SynapseParam, default=None)),
    "keep_history": _Definition(partial(BoolParam, default=True)),
    **{
        f.name: f.metadata["definition"]
        for f in fields(Settings)
        if "definition" in f.metadata
    },
}


def _store(config: Config, nengo_type: type, name: str, value: Any) -> None:
    """Set a parameter of a type in a config, adding it where it does not exist yet."""
    if nengo_type not in config.params:
        config.configures(nengo_type)
    params = config[nengo_type]
    definition = _DEFINITIONS[name]
    if name not in params.extra_params:
        params.set_param(name, definition.parameter(name))
    setattr(params, name, definition.check(value, name))
