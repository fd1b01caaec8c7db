"""
What `Simulator.data` and `Simulator.signals` give: recorded data and live values.

In: the values of the simulator's variables. Out: the same objects that
`nengo.Simulator` gives, with the parameters as they are now.
"""

from __future__ import annotations

import warnings
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import nengo
import numpy as np
from nengo.builder.connection import BuiltConnection
from nengo.builder.ensemble import BuiltEnsemble
from nengo.builder.signal import Signal
from nengo.exceptions import ReadonlyError, ValidationError

from nengo_dl.graph.layout import dense_values, element_positions
from nengo_dl.simulation.recording import RecordedRows
from nengo_dl.simulation.simulation import Simulation
from nengo_dl.utils import SETTINGS_LOCK


class SimulationData(Mapping):
    """
    Simulation results and parameters by Nengo object.

    Parameters
    ----------
    sim : nengo_dl.Simulator
        The simulator.
    minibatched : bool
        If False, arrays are given without their minibatch axis.
    """

    def __init__(self, sim: Any, minibatched: bool):
        self.sim = sim
        self.minibatched = minibatched
        self.kept: KeptValues | None = None

    def keep(self) -> None:
        """Keep the values of parameters, for when the simulator is closed."""
        attributes = {
            nengo.Ensemble: ("encoders", "bias"),
            nengo.Connection: ("weights",),
        }
        signals = (
            self._signal(obj, attr)
            for obj in self
            for kind, attrs in attributes.items()
            if isinstance(obj, kind)
            for attr in attrs
        )
        graph = self.sim.tensor_graph
        places = {
            signal.base: graph.program.layout.places[signal.base]
            for signal in signals
            if signal is not None and signal.base in graph.program.layout.places
        }
        arrays = graph.values.get_arrays({key for key, _, _ in places.values()})
        self.kept = KeptValues(
            places,
            arrays,
            {key for key in arrays if graph.program.layout.arrays[key].minibatched},
            dict(graph.values.removed_parameters),
        )

    def __getitem__(self, obj: Any) -> Any:
        """
        Return the data of an object.

        Parameters
        ----------
        obj : Nengo object
            An object of the simulated network.

        Returns
        -------
        data : object
            The read-only ``([minibatch_size,] n_steps, size)`` array recorded by a
            Probe (an empty list if nothing has been simulated), the
            `~nengo.builder.ensemble.BuiltEnsemble` of an Ensemble, the
            `~nengo.builder.connection.BuiltConnection` of a Connection.

        Raises
        ------
        nengo.exceptions.ValidationError
            If the object is not part of the network.
        """
        built = self.built(obj)
        if isinstance(obj, nengo.Probe):
            return self._probe_data(obj)
        if isinstance(obj, nengo.Ensemble):
            return self._ensemble(obj, built)
        if isinstance(obj, nengo.Connection):
            return self._connection(obj, built)
        return built

    def built(self, obj: Any) -> Any:
        """
        Return what Nengo built for an object, with the initial parameters.

        Parameters
        ----------
        obj : object
            An object of the network.

        Raises
        ------
        nengo.exceptions.ValidationError
            If the object was not in the network when the simulator was made.
        """
        params = self.sim.model.params
        if obj not in params:
            raise ValidationError(
                f"{obj} is not part of the simulated network; data can only be looked "
                "up for objects that existed when the Simulator was built",
                attr="data",
                obj=self.sim,
            )
        return params[obj]

    @property
    def raw(self) -> RawData:
        """
        What Nengo built, by object, and lists of recorded rows, by Probe.

        As in `nengo.Simulator`, the lists can be read and emptied while the simulation
        goes on (``del sim.data.raw[probe][:]``). Rows are ``([minibatch_size,] size)``
        arrays.
        """
        return RawData(self.sim, self.minibatched)

    def reset(self) -> None:
        """Do nothing: there is no cache, which `nengo.Simulator` clears here."""

    def __contains__(self, obj: Any) -> bool:
        return obj in self.sim.model.params

    def __iter__(self) -> Iterator:
        return iter(self.sim.model.params)

    def __len__(self) -> int:
        return len(self.sim.model.params)

    def _probe_data(self, probe: nengo.Probe) -> np.ndarray | list:
        data = self.sim.recording.data(probe)
        if data is None and self.sim.recording.is_new:
            return []
        if data is None:
            # as of Nengo, for each item: without the shape of what a step records
            data = np.empty((self.sim.recording.minibatch_size, 0))
            data.setflags(write=False)
        return data if self.minibatched else data[0]

    def _ensemble(self, ens: nengo.Ensemble, built: BuiltEnsemble) -> BuiltEnsemble:
        scaled, bias = self.get_params((ens, "scaled_encoders"), (ens, "bias"))
        if scaled is built.scaled_encoders and bias is built.bias:
            return built
        if built.gain is None:  # Direct mode
            return built._replace(encoders=scaled, scaled_encoders=scaled)
        gain, encoders = built.gain, built.encoders
        if scaled is not built.scaled_encoders:
            gain, encoders = unscale(scaled, built.encoders, ens.radius)
        max_rates, intercepts = max_rates_intercepts(ens.neuron_type, gain, bias)
        return BuiltEnsemble(
            built.eval_points, encoders, intercepts, max_rates, scaled, gain, bias
        )

    def _connection(
        self, conn: nengo.Connection, built: BuiltConnection
    ) -> BuiltConnection:
        weights = self.get_params((conn, "weights"))[0]
        if weights is built.weights:
            return built
        return BuiltConnection(
            built.eval_points, built.solver_info, weights, built.transform
        )

    def get_params(self, *requests: tuple[Any, str]) -> list:
        """
        Return the live values of parameters.

        Parameters
        ----------
        requests : tuples of (Nengo object, str)
            Objects and the names of their parameters: ``"weights"`` of connections,
            ``"encoders"``, ``"scaled_encoders"`` or ``"bias"`` of ensembles.

        Returns
        -------
        values : list of array
            The built value itself (the same object) where it has not changed. Once the
            simulator is closed, values are those that it had then.
        """
        return [self._value(*request) for request in requests]

    def _value(self, obj: Any, attr: str) -> Any:
        built = getattr(self.sim.model.params[obj], attr)
        if built is None:
            return built
        signal = self._signal(obj, attr)
        values = self.sim.tensor_graph.values if self.kept is None else self.kept
        value = None if signal is None else values.live_value(signal)
        if value is None:  # optimised away
            return built
        initial = dense_values(signal)
        if not self.minibatched and value.ndim > initial.ndim:
            value = value[0]
        # Nengo builds kernels of convolutions with double precision, whatever is wanted
        is_kernel = attr == "weights" and value.dtype != initial.dtype
        if np.array_equal(value, initial.astype(value.dtype)) and (
            signal.sparse or not is_kernel
        ):
            return built
        if attr == "encoders":
            return unscale(value, built, obj.radius)[1]
        return value

    def _signal(self, obj: Any, attr: str) -> Any:
        sig = self.sim.model.sig
        if attr in ("encoders", "scaled_encoders"):
            return sig[obj].get("encoders")
        return sig[obj.neurons if attr == "bias" else obj].get(attr)


class RawData(Mapping):
    """
    What Nengo built, by object, and lists of recorded rows, by Probe.

    Parameters
    ----------
    sim : nengo_dl.Simulator
        The simulator.
    minibatched : bool
        Whether rows have a minibatch axis.
    """

    def __init__(self, sim: Any, minibatched: bool):
        self._sim = sim
        self._minibatched = minibatched

    def __getitem__(self, obj: Any) -> Any:
        built = self._sim.model.params[obj]
        if isinstance(obj, nengo.Probe):
            return RecordedRows(self._sim.recording, obj, self._minibatched)
        return built

    def __setitem__(self, obj: Any, rows: Any) -> None:
        if not isinstance(obj, nengo.Probe):
            raise ReadonlyError(attr="raw", obj=obj)
        self[obj][:] = rows

    def __iter__(self) -> Iterator:
        return iter(self._sim.model.params)

    def __len__(self) -> int:
        return len(self._sim.model.params)


@dataclass(frozen=True, eq=False)
class KeptValues:
    """
    Values of parameters without the simulation that they come from.

    Parameters
    ----------
    places : dict of {Signal: (str, int, int)}
        Base array, start and stop along its first axis, for the base of every signal.
    arrays : dict of {str: array}
        The base arrays that are kept.
    minibatched : set of str
        Those that have a minibatch axis.
    removed : dict of {Signal: array}
        See `.Variables`.
    """

    places: Mapping[Signal, tuple[str, int, int]]
    arrays: Mapping[str, np.ndarray]
    minibatched: Container[str]
    removed: Mapping[Signal, np.ndarray]

    def live_value(self, signal: Signal) -> np.ndarray | None:
        """Return the value of a signal; None if it is as it was built."""
        if signal.base not in self.places:
            return self.removed.get(signal)
        key, start, stop = self.places[signal.base]
        if key not in self.arrays:
            return None
        has_items = key in self.minibatched
        array = self.arrays[key] if has_items else self.arrays[key][None]
        rows = array[:, start:stop].reshape(len(array), -1)
        if signal.sparse:
            return rows[0]
        value = rows[:, element_positions(signal)].reshape(-1, *signal.shape)
        return value if has_items else value[0]


def unscale(
    scaled: np.ndarray, built_encoders: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """
    Take scaled encoders apart.

    Parameters
    ----------
    scaled : ([minibatch_size,] n_neurons, size_in) array
        The scaled encoders, ``encoders * gain / radius``.
    built_encoders : (n_neurons, size_in) array
        The encoders when they were built, of which the lengths are kept.
    radius : float
        Radius of the ensemble.

    Returns
    -------
    gain : ([minibatch_size,] n_neurons) array
    encoders : ([minibatch_size,] n_neurons, size_in) array
        The built ones where the gain is zero.
    """
    length = np.linalg.norm(built_encoders, axis=-1)
    gain = (radius * np.linalg.norm(scaled, axis=-1) / length).astype(scaled.dtype)
    encoders = np.broadcast_to(built_encoders, scaled.shape).astype(scaled.dtype)
    gains = gain[..., None]
    np.divide(radius * scaled, gains, out=encoders, where=gains != 0)
    return gain, encoders


def max_rates_intercepts(
    neuron_type: nengo.neurons.NeuronType, gain: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """
    Return maximum rates and intercepts of neurons.

    Parameters
    ----------
    neuron_type : nengo.neurons.NeuronType
        Type of the neurons.
    gain, bias : ([minibatch_size,] n_neurons) array
        Gains and biases; at most one of them without the minibatch axis.

    Returns
    -------
    max_rates, intercepts : ([minibatch_size,] n_neurons) array
        Not finite for neurons that are never active, or always; such neurons are not
        built by Nengo, but can come out of training.
    """
    # (the filters of warnings are those of all threads)
    with SETTINGS_LOCK, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if gain.ndim == bias.ndim == 1:
            return neuron_type.max_rates_intercepts(gain, bias)
        # neuron types need not know of minibatches
        items = [
            neuron_type.max_rates_intercepts(*item)
            for item in zip(*np.broadcast_arrays(gain, bias))
        ]
    max_rates, intercepts = (np.stack(values) for values in zip(*items))
    return max_rates, intercepts


class LiveSignals(Mapping):
    """
    Live values by Signal, for looking inside of a simulation, and for changing it.

    Values are read-only; ``sim.signals[signal] = value`` changes them, which works for
    views as well (such as a part of the weights). Signals that are computed afresh in
    every step are not kept, and not part of the mapping; record them with a Probe.

    Parameters
    ----------
    simulation : Simulation
        The simulation.
    minibatched : bool
        If False, values are given without their minibatch axis.
    """

    def __init__(self, simulation: Simulation, minibatched: bool):
        self._simulation = simulation
        self._minibatched = minibatched

    def __getitem__(self, signal: Signal) -> np.ndarray:
        value = self._full_value(signal)
        if value is None:
            return signal.initial_value
        value = np.array(self._as_seen(signal, value), dtype=signal.dtype)
        value.setflags(write=False)
        return value

    def __setitem__(self, signal: Signal, value: Any) -> None:
        """
        Change a value, from the next step on.

        Parameters
        ----------
        signal : nengo.builder.Signal
            A signal of the mapping, or a view.
        value : array
            The new value, which is broadcast to the shape of the signal: ``([
            minibatch_size,] ...)``.

        Raises
        ------
        KeyError
            If there is no such signal, or it is computed afresh in every step.
        nengo.exceptions.ValidationError
            If the value has another shape or is no number, or the signal is read-only.
        """
        full = self._full_value(signal)
        if full is None:
            full = dense_values(signal)
        new = np.empty(full.shape, full.dtype)
        seen = self._as_seen(signal, new)
        given = np.asarray(value)
        try:
            if given.dtype.kind not in "biuf":
                raise ValueError("not numbers")
            seen[...] = given
        except ValueError as err:
            raise ValidationError(
                f"{signal} needs numbers of shape {seen.shape} (received shape "
                f"{given.shape}, type `{given.dtype}`)",
                attr="signals",
            ) from err
        self._simulation.set_signal(signal, new)

    def update(self, values: Mapping[Signal, Any]) -> None:
        """Change several values, one after the other."""
        for signal, value in values.items():
            self[signal] = value

    def reset(self, signal: Signal) -> None:
        """Give a signal the value that Nengo built."""
        self[signal] = dense_values(signal)

    def _full_value(self, signal: Signal) -> np.ndarray | None:
        """Return a value with its minibatch axis; None if it was optimised away."""
        constants = self._simulation.tensor_graph.feeds.constants()
        if signal in constants:
            size, value = self._simulation.settings.minibatch_size, constants[signal]
            return np.broadcast_to(value, (size, *signal.shape))
        return self._simulation.tensor_graph.values.live_value(signal)

    def _as_seen(self, signal: Signal, value: np.ndarray) -> np.ndarray:
        """Return the part of a value that the user gets to see."""
        is_batched = value.ndim > dense_values(signal).ndim
        return value[0] if is_batched and not self._minibatched else value

    def __iter__(self) -> Iterator:
        graph = self._simulation.tensor_graph
        return iter([*graph.feeds.constants(), *graph.values.kept_signals()])

    def __len__(self) -> int:
        return len(list(iter(self)))
