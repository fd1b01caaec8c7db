"""
The variables of a compiled network: parameters, and the simulation state.

In: a `Program`, and what the engine returns. Out: current values, as variables or as
the tensors that the engine takes; and whatever saves, loads and resets them.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from nengo.builder.signal import Signal
from nengo.exceptions import ValidationError

from nengo_dl.execution.places import place_of
from nengo_dl.graph.layout import BaseArray
from nengo_dl.graph.program import Program
from nengo_dl.signals import SignalDict
from nengo_dl.signals.packing import Packing
from nengo_dl.tensor_node.layer_states import layer_states, reset_layer_states
from nengo_dl.tensor_node.seeds import LayerSeeds

# TensorFlow keeps variables of type int32 in the memory of the host, also those of a
# GPU, where XLA cannot reach them. They are stored in another type.
STORED_TYPES = {"int32": "int64"}
# Constants up to this size (in bytes) become part of the compiled program.
SMALL_CONSTANT_BYTES = 2**16


class Variables:
    """
    All that has a value between two runs; nobody else creates or changes it.

    The engine works on tensors, because the result of a failed run can then simply be
    dropped. Keras and users work on variables. Newer tensors are written into the
    variables when somebody asks for one; from then on, the variables count.

    Parameters
    ----------
    program : Program
        The compiled network.
    layers : list of keras.layers.Layer
        The layers in TensorNodes, which return to the weights that they have now when
        everything is reset.
    add_weight : callable
        The method of the Keras layer that parameters are to be weights of.

    Attributes
    ----------
    base_params : dict of {str: keras.Variable}
        Parameters, by the key of their base array.
    removed_parameters : dict of {nengo.builder.Signal: array}
        Parameters that were optimised away, as far as they are not as they were built.
    keep_state : tf.Variable
        Whether `update` changes the whole state, or only what was learned.
    seed : tf.Variable
        Seed of the random numbers of neurons.
    n_trained : tf.Variable
        Number of batches trained so far, each of which has random numbers of its own.
    packing : Packing
        How the engine joins the state.
    """

    def __init__(
        self,
        program: Program,
        layers: Sequence[keras.layers.Layer],
        add_weight: Callable[..., keras.Variable],
    ):
        self._program = program
        self._layers = layers
        self._initial_weights = [layer.get_weights() for layer in layers]
        self.base_params: dict[str, keras.Variable] = {}
        self.removed_parameters: dict[Signal, np.ndarray] = {}
        self._constants: dict[str, Any] = {}
        self._state: dict[str, Any] = {}
        self.packing = Packing.of(program)
        self._newer: list[tf.Tensor] | None = None
        self._writes_through = False
        with tf.device(program.settings.device):
            self._create(add_weight)
            self.keep_state = tf.Variable(False, trainable=False)
            # (integers of 32 bits would not be on the device)
            self.seed = tf.Variable(program.settings.seed, False, dtype=tf.int64)
            self.n_trained = tf.Variable(0, False, dtype=tf.int64)
        self._layer_seeds = LayerSeeds(layers, program.settings.seed)

    def _create(self, add_weight: Callable[..., keras.Variable]) -> None:
        program = self._program
        for key, array in program.layout.arrays.items():
            if array.trainable is not None:
                self.base_params[key] = add_weight(
                    name=key,
                    shape=array.full_shape(program.settings.minibatch_size),
                    dtype=STORED_TYPES.get(array.dtype, array.dtype),
                    initializer=lambda *_, key=key, dtype=None, **__: tf.constant(
                        self.initial_values(key), dtype
                    ),
                    trainable=array.trainable,
                    autocast=False,
                )
            elif key in program.unwritten:
                value = self.initial_values(key)
                self._constants[key] = constant_tensor(value)
        for key in program.carried:
            if key in self.base_params:
                self._state[key] = self.base_params[key]
            else:
                # every replica of a distributed model has a state of its own
                dtype = program.layout.arrays[key].dtype
                self._state[key] = tf.Variable(
                    self.initial_values(key),
                    trainable=False,
                    name=key,
                    dtype=STORED_TYPES.get(dtype, dtype),
                    synchronization=tf.VariableSynchronization.ON_READ,
                    aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
                )

    def initial_values(self, key: str) -> np.ndarray:
        """Return the initial value of a base array, including the minibatch axis."""
        layout = self._program.layout
        value = layout.initial_values(key)
        if not layout.arrays[key].minibatched:
            return value
        n_items = self._program.settings.minibatch_size
        return np.repeat(value[None], n_items, axis=0)

    def constants(self) -> dict[str, tf.Tensor | np.ndarray]:
        """
        Return the values of all base arrays that no operator writes.

        Those that never change, and are small, are arrays.
        """
        values: dict[str, tf.Tensor | np.ndarray] = {
            key: self._read(variable, key)
            for key, variable in self.base_params.items()
            if key in self._program.unwritten
        }
        values.update(self._constants)
        return values

    def _read(self, variable: Any, key: str) -> tf.Tensor:
        """Return the value of a variable, in the type of its base array."""
        dtype = self._program.layout.arrays[key].dtype
        return tf.cast(tf.convert_to_tensor(variable), dtype)

    # -- the state --------------------------------------------------------------------

    @property
    def state(self) -> dict[str, Any]:
        """
        Variables of all that steps change, by the key of their base array.

        Integers are stored in another type; `state_tensors` have the one of the step.
        """
        self._write()
        return self._state

    def _write(self) -> None:
        if self._newer is not None:
            values = self.packing.unpack(self._newer)
            for variable, value in zip(self._state.values(), values):
                variable.assign(tf.cast(value, variable.dtype))
            self._newer = None

    def write_through(self) -> None:
        """From now on, keep the variables up to date (for functions that read them)."""
        self._writes_through = True
        self._write()

    def state_tensor(self, key: str) -> tf.Tensor:
        """Return the current value of a part of the state."""
        if self._newer is not None:
            return self.packing.take(self._newer, key)
        return self._read(self._state[key], key)

    def state_tensors(self) -> list[tf.Tensor]:
        """Return the current state, in the order of ``program.carried``."""
        return [self.state_tensor(key) for key in self._state]

    def packed_state(self) -> list[tf.Tensor]:
        """Return the state as the engine takes it."""
        if self._newer is not None:
            return self._newer
        return self.packing.pack(self.state_tensors())

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
        if not stateful:
            learned = [key for key in self._state if key in self.base_params]
            self.assign({key: self.packing.take(state, key) for key in learned})
            return
        self._newer = state
        if self._writes_through:
            self._write()

    def assign(self, values: Mapping[str, Any]) -> None:
        """Replace parts of the state, by the key of their base array."""
        if values:
            tensors = [
                tf.constant(values[key]) if key in values else self.state_tensor(key)
                for key in self._state
            ]
            self.commit(self.packing.pack(tensors), stateful=True)

    def update(
        self, carried: Sequence[tf.Tensor], keep_state: bool | None = None
    ) -> int:
        """
        Change the state, as a part of a function that is being traced.

        What was learned is kept in any case.

        Parameters
        ----------
        carried : list of tf.Tensor
            The new values, in the order of ``program.carried``.
        keep_state : bool, optional
            Whether to keep the rest; by default the variable of this name decides.

        Returns
        -------
        n_updates : int
            Number of variables that may change.
        """
        keep: Any = self.keep_state if keep_state is None else keep_state
        n_updates = 0
        for (key, variable), value in zip(self.state.items(), carried):
            value = tf.cast(value, variable.dtype)
            if key in self.base_params:
                variable.assign(value)
            elif self._program.settings.stateful and keep is not False:
                variable.assign(tf.where(keep, value, variable))
            else:
                continue
            n_updates += 1
        return n_updates

    def n_steps(self) -> int:
        """Return the number of steps that led to the current state."""
        return int(self.get_tensor(self._program.model.step).numpy().item())

    # -- all of it --------------------------------------------------------------------

    def reset(self, include_trainable: bool = True) -> None:
        """
        Return to the state at the time of construction.

        Parameters
        ----------
        include_trainable : bool
            If True, parameters return to their initial values as well, also those that
            learning rules have modified.
        """
        self.assign(
            {
                key: self.initial_values(key)
                for key in self._state
                if include_trainable or key not in self.base_params
            }
        )
        if include_trainable:
            self.removed_parameters.clear()
            for key, variable in self.base_params.items():
                if key not in self._state:
                    variable.assign(self.initial_values(key))
            self.reset_layers(self._layers)
        reset_layer_states(self._layers)

    def reset_parts(
        self,
        signals: Container[Signal],
        items: Sequence[int] | None,
        include_trainable: bool,
    ) -> None:
        """
        Return some signals, of some items, to their initial values.

        Parameters
        ----------
        signals : container of nengo.builder.Signal
            The base signals.
        items : sequence of int or None
            The items of the minibatch. What these share stays as it is, unless this is
            None, for all items.
        include_trainable : bool
            Whether parameters are among what returns.
        """
        arrays = self._program.layout.arrays
        changed = {}
        for key in {**self._state, **self.base_params}:
            if key in self.base_params and not include_trainable:
                continue
            rows = self._rows(arrays[key], signals)
            is_shared = not arrays[key].minibatched
            if not rows or (is_shared and items is not None):
                continue
            where: Any = rows
            if not is_shared:
                every = range(self._program.settings.minibatch_size)
                where = np.ix_(every if items is None else items, rows)
            changed[key] = np.array(self._current(key))
            changed[key][where] = self.initial_values(key)[where]
        self.assign({key: changed[key] for key in self._state if key in changed})
        for key in changed:
            if key not in self._state:
                self.base_params[key].assign(changed[key])
        if include_trainable and items is None:
            for signal in list(self.removed_parameters):
                if signal.base in signals:
                    del self.removed_parameters[signal]

    def _rows(self, array: BaseArray, signals: Container[Signal]) -> list[int]:
        """Return the rows of a base array in which some signals are."""
        places = (self._program.layout.places[s] for s in array.signals if s in signals)
        return [row for _, start, stop in places for row in range(start, stop)]

    def reset_layers(self, layers: Sequence[Any]) -> None:
        """Give some layers, among other things, the weights that they had at first."""
        for layer, weights in zip(self._layers, self._initial_weights):
            if any(layer is chosen for chosen in layers):
                layer.set_weights(weights)

    def reseed(self, seed: int) -> None:
        """Start all random numbers again, from another seed or the same one."""
        self.seed.assign(seed)
        self.n_trained.assign(0)
        self._layer_seeds.reset(seed)

    def random_state(self) -> list[np.ndarray]:
        """Return what the random numbers of training follow from, besides the seed."""
        return [self.n_trained.numpy(), *self._layer_seeds.states()]

    def set_random_state(self, state: Sequence[np.ndarray]) -> None:
        """Go on from a state that `random_state` has returned."""
        self.n_trained.assign(state[0])
        self._layer_seeds.set_states(state[1:])

    def layer_states(self) -> list[keras.Variable]:
        """Return the states of recurrent layers that go from call to call."""
        return layer_states(self._layers)

    def get_arrays(self, keys: Container[str] | None = None) -> dict[str, np.ndarray]:
        """
        Return the values of variables by the key of their base array.

        Parameters
        ----------
        keys : container of str, optional
            Which variables; by default all.
        """
        known = {**self._state, **self.base_params}
        return {key: self._current(key) for key in known if keys is None or key in keys}

    def _current(self, key: str) -> np.ndarray:
        if key in self._state:
            return self.state_tensor(key).numpy()
        return self._read(self.base_params[key], key).numpy()

    def set_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Set the values of variables, by the key of their base array."""
        self.assign({key: arrays[key] for key in self._state if key in arrays})
        for key, variable in self.base_params.items():
            if key not in self._state and key in arrays:
                variable.assign(arrays[key])

    def get_copy(self) -> dict[str, Any]:
        """Return all values, for the variables of a copy of the network."""
        return {
            "arrays": self.get_arrays(),
            "removed_parameters": dict(self.removed_parameters),
            "initial_weights": [list(weights) for weights in self._initial_weights],
            "seed": int(self.seed.numpy()),
            "random_state": self.random_state(),
        }

    def set_copy(self, copy: Mapping[str, Any]) -> None:
        """Take the values that `get_copy` has returned."""
        self.set_arrays(copy["arrays"])
        self.removed_parameters.update(copy["removed_parameters"])
        self._initial_weights = copy["initial_weights"]
        self.reseed(copy["seed"])
        self.set_random_state(copy["random_state"])

    # -- by signal --------------------------------------------------------------------

    def kept_signals(self) -> list[Signal]:
        """Return the signals whose values are kept from step to step."""
        kept = {*self._state, *self.base_params, *self._constants}
        places = self._program.layout.places
        return [signal for signal, (key, _, _) in places.items() if key in kept]

    def live_value(self, signal: Signal) -> np.ndarray | None:
        """
        Return the live value of a signal; None for what was built and optimised away.

        Raises
        ------
        KeyError
            If the signal is computed afresh in every step.
        """
        if signal.base not in self._program.layout.places:
            return self.removed_parameters.get(signal)
        return self.get_tensor(signal).numpy()

    def set_value(self, signal: Signal, value: np.ndarray) -> None:
        """
        Change the live value of a signal.

        Parameters
        ----------
        signal : nengo.builder.Signal
            A signal of the model, or a view.
        value : ``([minibatch_size,] ...)`` array
            Of the shape that `live_value` has.

        Raises
        ------
        KeyError
            If there is no such signal.
        nengo.exceptions.ValidationError
            If nothing can change it, as it is compiled into the program.
        """
        if signal.base not in self._program.layout.places:
            raise KeyError(
                f"{signal} is not part of this network, or was optimised away "
                "(`Simulator(..., optimize=False)` keeps it)"
            )
        place = place_of(self._program, signal)
        if place.key not in self._state and place.key not in self.base_params:
            raise ValidationError(
                f"{signal} is a constant that has been compiled into the program: it "
                "is read-only, as in Nengo",
                attr="signals",
            )
        array = self._current(place.key)
        rows = (slice(None), place.positions) if place.minibatched else place.positions
        content = array[rows]
        flat = content.reshape((*place.full_shape[: place.minibatched], -1))
        elements = slice(None) if place.elements is None else place.elements
        flat[..., elements] = value.reshape((*flat.shape[:-1], -1))
        array[rows] = flat.reshape(content.shape)
        self.set_arrays({place.key: array})

    def get_tensor(self, signal: Signal) -> tf.Tensor:
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
        place = place_of(self._program, signal)
        key = place.key
        if key in self._state:
            value = self.state_tensor(key)
        elif key in self.base_params:
            value = self._read(self.base_params[key], key)
        elif key in self._constants:
            value = tf.convert_to_tensor(self._constants[key])
        else:
            raise KeyError(
                f"{signal} is computed afresh in every step, and not kept; use a Probe"
            )
        settings = self._program.settings
        signals = SignalDict(settings.dtype, settings.minibatch_size)
        signals.bases = {key: value}
        return signals.gather(place)


def constant_tensor(value: np.ndarray) -> np.ndarray | tf.Tensor:
    """
    Return the value of a constant base array in the form that suits its size.

    Small arrays are compiled into the program, where they can be folded into other
    constants; large ones are passed to it.
    """
    if value.nbytes <= SMALL_CONSTANT_BYTES:
        return value
    return tf.constant(value)
