"""
What `Simulator.data` gives: recorded probes, and the live parameters of built objects.

In: the values of the simulator's variables. Out: the same objects that
`nengo.Simulator.data` holds, with the parameters as they are now.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import nengo
import numpy as np
from nengo.builder.connection import BuiltConnection
from nengo.builder.ensemble import BuiltEnsemble
from nengo.exceptions import ValidationError

from nengo_dl.layout import dense_values


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

    def __init__(self, sim, minibatched: bool):
        self.sim = sim
        self.minibatched = minibatched

    def __getitem__(self, obj) -> Any:
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
            Probe, the `~nengo.builder.ensemble.BuiltEnsemble` of an Ensemble, the
            `~nengo.builder.connection.BuiltConnection` of a Connection.

        Raises
        ------
        nengo.exceptions.ValidationError
            If the object is not part of the network.
        """
        params = self.sim.model.params
        if obj not in params:
            raise ValidationError(
                f"{obj} is not part of the simulated network; data can only be looked "
                "up for objects that existed when the Simulator was built",
                attr="data",
                obj=self.sim,
            )
        if isinstance(obj, nengo.Probe):
            return self._probe_data(params[obj])
        if isinstance(obj, nengo.Ensemble):
            return self._ensemble(obj, params[obj])
        if isinstance(obj, nengo.Connection):
            return self._connection(obj, params[obj])
        return params[obj]

    def __iter__(self) -> Iterator:
        return iter(self.sim.model.params)

    def __len__(self) -> int:
        return len(self.sim.model.params)

    def _probe_data(self, chunks: list[np.ndarray]):
        if not chunks:
            return []
        if len(chunks) > 1:
            # joined once, and not again at the next look
            chunks[:] = [np.concatenate(chunks, axis=1)]
        data = chunks[0] if self.minibatched else chunks[0][0]
        data = data.view()
        data.setflags(write=False)
        return data

    def _ensemble(self, ens, built: BuiltEnsemble) -> BuiltEnsemble:
        scaled, bias = self.get_params((ens, "scaled_encoders"), (ens, "bias"))
        if scaled is built.scaled_encoders and bias is built.bias:
            return built
        if built.gain is None:  # Direct mode
            return built._replace(encoders=scaled, scaled_encoders=scaled)
        gain, encoders = built.gain, built.encoders
        if scaled is not built.scaled_encoders:
            norm = np.linalg.norm(built.encoders, axis=-1)
            gain = ens.radius * np.linalg.norm(scaled, axis=-1) / norm
            gain = gain.astype(scaled.dtype)
            encoders = ens.radius * scaled / gain[..., None]
        max_rates, intercepts = ens.neuron_type.max_rates_intercepts(gain, bias)
        return BuiltEnsemble(
            built.eval_points, encoders, intercepts, max_rates, scaled, gain, bias
        )

    def _connection(self, conn, built: BuiltConnection) -> BuiltConnection:
        weights = self.get_params((conn, "weights"))[0]
        return BuiltConnection(
            built.eval_points, built.solver_info, weights, built.transform
        )

    def get_params(self, *requests) -> list:
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
            The built value itself (the same object) where it has not changed.
        """
        sim = self.sim
        if sim.closed:
            warnings.warn(
                "The Simulator is closed: parameters have the values they had when it "
                "was built. Read them before closing it."
            )
        return [self._value(*request) for request in requests]

    def _value(self, obj, attr):
        built = self._built_value(obj, attr)
        if self.sim.closed or built is None:
            return built
        if attr in ("encoders", "scaled_encoders"):
            signal = self.sim.model.sig[obj].get("encoders")
        elif attr == "bias":
            signal = self.sim.model.sig[obj.neurons].get("bias")
        else:
            signal = self.sim.model.sig[obj].get("weights")
        if signal is None:
            return built
        value = self.sim.tensor_graph.live_value(signal)
        if value is None:  # optimised away
            return built
        if not self.minibatched and value.ndim > len(signal_shape(signal)):
            value = value[0]
        initial = dense_values(signal).astype(value.dtype)
        if value.shape == initial.shape and np.array_equal(value, initial):
            return built
        if attr == "encoders":
            return self[obj].encoders
        return value

    def _built_value(self, obj, attr):
        built = self.sim.model.params[obj]
        return getattr(built, attr)


def signal_shape(signal) -> tuple[int, ...]:
    """Return the shape in which the values of a signal are stored."""
    return dense_values(signal).shape
