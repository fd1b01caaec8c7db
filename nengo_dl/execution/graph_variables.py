"""
The variables of a compiled network: parameters, and the simulation state.

In: a `Program`, and the placement of its signals. Out: `GraphVariables`, the part of
`TensorGraph` that creates, reads, saves and resets them.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from nengo_dl.execution.engine import Engine, constant_tensor
from nengo_dl.execution.live_state import LiveState
from nengo_dl.execution.step import Step
from nengo_dl.graph.program import Program


class GraphVariables(keras.layers.Layer):
    """
    Abstract base class of `TensorGraph`: what has a value between two runs.

    Subclasses have the attributes below before `_create_variables` is called, and
    ``saved_state`` and ``engine`` after it.

    Parameters
    ----------
    kwargs
        Passed on to `keras.layers.Layer`.
    """

    program: Program
    minibatch_size: int
    device: str | None
    step: Step
    engine: Engine
    saved_state: LiveState
    tensor_node_layers: list[keras.layers.Layer]
    _initial_weights: list[list[np.ndarray]]

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.base_params: dict = {}
        self.unused_values: dict = {}
        self._constants: dict = {}

    def _create_variables(self) -> dict:
        """Create parameters and constants; return variables of the state by key."""
        state = {}
        with tf.device(self.device):
            for key, array in self.program.layout.arrays.items():
                if array.kind != "state":
                    self.base_params[key] = self.add_weight(
                        name=key,
                        shape=array.full_shape(self.minibatch_size),
                        dtype=array.dtype,
                        initializer=lambda *_, key=key, **__: tf.constant(
                            self.initial_values(key)
                        ),
                        trainable=array.kind == "trainable",
                        autocast=False,
                    )
                elif key in self.program.constant:
                    value = self.initial_values(key)
                    self._constants[key] = constant_tensor(value, array)
            for key in self.program.carried:
                if key in self.base_params:
                    state[key] = self.base_params[key]
                else:
                    # every replica of a distributed model has a state of its own
                    state[key] = tf.Variable(
                        self.initial_values(key),
                        trainable=False,
                        name=key,
                        synchronization=tf.VariableSynchronization.ON_READ,
                        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
                    )
        return state

    def initial_values(self, key: str) -> np.ndarray:
        """Return the initial value of a base array, including the minibatch axis."""
        array = self.program.layout.arrays[key]
        value = self.program.layout.initial_values(key)
        return np.array(
            np.broadcast_to(value, array.full_shape(self.minibatch_size)), order="C"
        )

    def constants(self) -> dict[str, tf.Tensor]:
        """Return the values of all base arrays that no operator writes."""
        values = {
            key: tf.convert_to_tensor(variable)
            for key, variable in self.base_params.items()
            if key in self.program.constant
        }
        values.update((k, tf.convert_to_tensor(v)) for k, v in self._constants.items())
        return values

    def reset(self, include_trainable: bool = True) -> None:
        """
        Return to the state at the time of construction.

        Parameters
        ----------
        include_trainable : bool
            If True, parameters return to their initial values as well, also those that
            learning rules have modified.
        """
        self.saved_state.assign(
            {
                key: self.initial_values(key)
                for key in self.saved_state
                if include_trainable or key not in self.base_params
            }
        )
        if include_trainable:
            self.unused_values.clear()
            for key, variable in self.base_params.items():
                if key not in self.saved_state:
                    variable.assign(self.initial_values(key))
            for layer, weights in zip(self.tensor_node_layers, self._initial_weights):
                layer.set_weights(weights)

    def commit(self, state: list[tf.Tensor], stateful: bool) -> None:
        """
        Keep the result of a run.

        Parameters
        ----------
        state : list of tf.Tensor
            What the engine returned.
        stateful : bool
            If False, only what learning rules have modified is kept.
        """
        if stateful:
            self.saved_state.commit(state)
            return
        learned = {
            key: self.engine.packing.take(state, key)
            for key in self.saved_state
            if key in self.base_params
        }
        if learned:
            self.saved_state.assign(learned)

    def n_steps(self) -> int:
        """Return the number of steps that led to the current state."""
        return int(self.get_tensor(self.program.model.step).numpy().item())

    def get_arrays(self) -> dict[str, np.ndarray]:
        """Return the values of all variables by the key of their base array."""
        arrays = {key: self.saved_state.tensor(key) for key in self.saved_state}
        for key, variable in self.base_params.items():
            arrays.setdefault(key, tf.convert_to_tensor(variable))
        return {key: value.numpy() for key, value in arrays.items()}

    def set_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Set the values of all variables."""
        self.saved_state.assign(arrays)
        for key, variable in self.base_params.items():
            if key not in self.saved_state:
                variable.assign(arrays[key])

    def get_state(self) -> dict:
        """Return everything that a copy of the graph needs to be like this one."""
        return {
            "arrays": self.get_arrays(),
            "unused_values": dict(self.unused_values),
            "initial_weights": [list(weights) for weights in self._initial_weights],
        }

    def set_state(self, state: dict) -> None:
        """Become like the graph whose `get_state` is given."""
        self.set_arrays(state["arrays"])
        self.unused_values.update(state["unused_values"])
        self._initial_weights = state["initial_weights"]

    def kept_signals(self) -> list:
        """Return the signals whose values are kept from step to step."""
        kept = {*self.saved_state, *self.base_params, *self._constants}
        return [
            signal
            for signal, (key, _, _) in self.program.layout.places.items()
            if key in kept
        ]

    def live_value(self, signal) -> np.ndarray | None:
        """
        Return the live value of a signal; None for what was built and optimised away.

        Raises
        ------
        KeyError
            If the signal is computed afresh in every step.
        """
        if signal.base not in self.program.layout.places:
            return self.unused_values.get(signal)
        return self.get_tensor(signal).numpy()

    def get_tensor(self, signal) -> tf.Tensor:
        """
        Return the live value of a signal.

        Parameters
        ----------
        signal : nengo.builder.Signal
            A signal of the model that is a parameter, constant, or part of the
            simulation state.

        Returns
        -------
        value : ``([minibatch_size,] ...)`` tensor

        Raises
        ------
        KeyError
            If the signal was optimised away, or is computed afresh in every step.
        """
        place = self.step.place(signal)
        key = place.key
        if key in self.saved_state:
            base = self.saved_state.tensor(key)
        elif key in self.base_params:
            base = tf.convert_to_tensor(self.base_params[key])
        elif key in self._constants:
            base = tf.convert_to_tensor(self._constants[key])
        else:
            raise KeyError(
                f"{signal} is computed afresh in every step, and not kept; use a Probe"
            )
        signals = self.step.signals
        signals.bases = {key: base}
        value = signals.gather(place)
        signals.reset()
        return value
