"""
The part of the simulator that has to do with parameters, and with the state as a whole.

In: what a user wants to save, load, or freeze. Out: files, arrays, Nengo objects, and
states.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from typing import Any

import nengo
import numpy as np

from nengo_dl.parameters.export import export
from nengo_dl.parameters.freezing import freeze, nengo_arguments
from nengo_dl.parameters.saving import load, save
from nengo_dl.parameters.simulator_state import SimulatorState, put_state, take_state
from nengo_dl.simulation.live_data import SimulationData
from nengo_dl.simulation.simulation import Simulation
from nengo_dl.utils import require_open


class ParameterMethods:
    """
    Abstract base class of the simulator: everything about its parameters and state.

    Subclasses have the attributes below.
    """

    data: SimulationData
    _simulation: Simulation

    @require_open
    def save_params(
        self,
        path: str | os.PathLike,
        include_state: bool = False,
        include_non_trainable: bool | None = None,
    ) -> None:
        """
        Save the parameters to a file.

        Parameters are the encoders and biases of ensembles, the weights of connections,
        and the weights of Keras layers, whether they are trained or not, including what
        learning rules have learned. The decoders with which Probes decode an ensemble
        are none: they are solved for when the network is built.

        Parameters
        ----------
        path : str or path-like
            Name of the file, to which ``.npz`` is added. A file that is there (or that
            a link there points to) is replaced once everything has been written.
        include_state : bool
            Whether to save the state of the simulation as well: voltages, filtered
            signals, state of learning rules and processes, random numbers, number of
            steps. (What Python functions remember is not saved.)
        include_non_trainable : bool, optional
            Deprecated; use ``include_state``.

        Raises
        ------
        nengo.exceptions.ValidationError
            If the path is not the name of a file.
        OSError
            If the file cannot be written.

        Notes
        -----
        The file is a NumPy archive, in which every array is named after an object and
        an attribute, such as ``ensembles['motor'].encoders``. Objects are named by
        their labels if these are unique in their network, and else by their positions,
        in the order in which they were created; connections are named after what they
        connect. What has been added to the network since it was built is passed over.

        Values are divided by the ``parameter_scale`` of the object, if it has one (see
        `.configure_settings`), and multiplied with that when they are loaded: networks
        that `.Converter` has made of the same model can exchange files, whatever their
        ``scale_firing_rates``.
        """
        save(self._simulation, path, _include(include_state, include_non_trainable))

    @require_open
    def load_params(
        self,
        path: str | os.PathLike,
        include_state: bool = False,
        include_non_trainable: bool | None = None,
    ) -> None:
        """
        Load parameters that `save_params` has saved.

        The network needs the same ensembles and connections (by label, or else by
        position) as the one that was saved, with the same numbers of neurons and
        dimensions. Neuron types, synapses, and Probes may be others, and so may be the
        order of what has labels. If anything does not fit, nothing is loaded.

        Files of NengoDL 3 do not say which parameters they hold. They are loaded if
        shapes, or the order, leave one possibility; if not, use the script
        ``nengo_dl/parameters/save_named_params.py`` in the old environment (see the
        documentation of parameters, "Files of NengoDL 3").

        Parameters
        ----------
        path : str or path-like
            Name of the file, without ``.npz``.
        include_state : bool
            Whether to load the state of the simulation as well, which must be that of
            the same network with the same settings and ``minibatch_size``.
        include_non_trainable : bool, optional
            Deprecated; use ``include_state``.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        nengo.exceptions.SimulationError
            If the file cannot be read, or is not one of this network.

        Notes
        -----
        Parameters that a learning rule modifies have a value for every item of a
        minibatch. Where the simulator needs fewer or more of them than the file holds,
        they must all be the same, and are then used for all items.
        """
        load(self._simulation, path, _include(include_state, include_non_trainable))

    @require_open
    def get_state(self, include_trainable: bool = True) -> SimulatorState:
        """
        Return a copy of the state, from which `set_state` goes on.

        It has all that `nengo_dl.Simulator.reset` resets, except for recorded data:
        the number of steps, voltages, filtered signals, what learning rules and
        processes remember, random numbers, outputs of constant Nodes, and parameters.

        Parameters
        ----------
        include_trainable : bool
            Whether parameters are part of the state, including those that learning
            rules modify, and the weights of Keras layers.

        Returns
        -------
        state : SimulatorState
            Read-only arrays by names that say object and attribute. It can be printed,
            and pickled.

        Raises
        ------
        nengo.exceptions.SimulationError
            If another method of the simulator is running, in a callback of which this
            is called.

        Notes
        -----
        Not part of the state is what Python functions remember, or the step functions
        of processes and operators outside of the arrays that Nengo hands to them
        (``print(state)`` says where there are such functions); what has been recorded;
        and the state of training that Keras has (the optimizer).
        TensorFlow's own random operations (in functions of TensorNodes), and neurons
        that run in Python while they are trained, go on with their random numbers.
        """
        return take_state(self._simulation, include_trainable)

    @require_open
    def set_state(self, state: SimulatorState, include_trainable: bool = True) -> None:
        """
        Go on from a state that `get_state` has returned.

        Time, seed and random numbers are those of the state, too: what follows is what
        followed then, in this simulator or in another one of the same network, with the
        same ``dt``, ``minibatch_size`` and ``dtype``. What has been recorded stays;
        `nengo_dl.Simulator.clear_probes` drops it.

        Parameters
        ----------
        state : SimulatorState
            The state.
        include_trainable : bool
            Whether parameters are set as well, if the state has them.

        Raises
        ------
        nengo.exceptions.ValidationError
            If it is the state of another network, ``dt``, ``minibatch_size`` or
            ``dtype``: the error says what differs, and nothing has changed.
        nengo.exceptions.SimulationError
            If another method of the simulator is running, in a callback of which this
            is called.
        """
        put_state(self._simulation, state, include_trainable)

    def get_nengo_params(self, nengo_objs: Any, as_dict: bool = False) -> Any:
        """
        Return the parameters of objects as arguments for Nengo.

        Parameters
        ----------
        nengo_objs : Ensemble or Neurons or Connection, or list of them
            Objects of the simulated network (`nengo.ensemble.Neurons` stand for their
            ensemble).
        as_dict : bool
            Whether to return a dictionary by the labels of the objects.

        Returns
        -------
        arguments : dict, or list of dict, or dict of {str: dict}
            With ``nengo.Ensemble(n_neurons, dimensions, **arguments)`` or
            ``nengo.Connection(pre, post, **arguments)``, objects have the live
            parameters of the simulation.

        Raises
        ------
        ValueError
            If an object is neither, in Direct mode, or has different parameters for
            every item of a minibatch; if labels are not unique.
        NotImplementedError
            If the transform of a connection is of an unknown type.
        """
        is_list = isinstance(nengo_objs, (list, tuple))
        objects = [
            obj.ensemble if isinstance(obj, nengo.ensemble.Neurons) else obj
            for obj in (nengo_objs if is_list else [nengo_objs])
        ]
        arguments = [nengo_arguments(self.data, obj) for obj in objects]
        if as_dict:
            labels = Counter(obj.label for obj in objects)
            repeated = [label for label, count in labels.items() if count > 1]
            if repeated:
                raise ValueError(
                    "Labels must be unique for `as_dict=True` (received "
                    f"{repeated[0]!r} more than once); label the objects, or use a list"
                )
            return {obj.label: args for obj, args in zip(objects, arguments)}
        return arguments if is_list else arguments[0]

    @require_open
    def freeze_params(self, objs: Any) -> None:
        """
        Give objects the live parameters of the simulation, in place.

        Every other simulator (such as `nengo.Simulator`, or that of another backend)
        then has the parameters that this one has now.

        Parameters
        ----------
        objs : Network or Ensemble or Connection, or list of them
            Objects of the simulated network; a Network stands for all ensembles and
            connections in it that were there when the simulator was made.

        Raises
        ------
        ValueError
            If an object is not part of the network, or see `get_nengo_params`.
        TypeError
            If it is of another type.
        """
        freeze(self.data, objs if isinstance(objs, (list, tuple)) else [objs])

    @require_open
    def export_params(self) -> dict[str, dict[str, np.ndarray]]:
        r"""
        Return all parameters as plain arrays, to be used without Nengo.

        Returns
        -------
        params : dict of {str: dict of {str: array}}
            Copies of the live values by the names of the objects (see `save_params`).

            For every ensemble:

            - ``"scaled_encoders"``, (n_neurons, dimensions), and ``"bias"``,
              (n_neurons,): the input of neurons is ``scaled_encoders @ x + bias``
            - ``"encoders"``, ``"gain"``, ``"radius"``: the same in other terms,
              ``scaled_encoders = gain[:, None] * encoders / radius``

            Ensembles in Direct mode have no gain and bias.

            For every connection that has weights:

            - ``"weights"``: what the output of the connection's source is multiplied
              with. For a source of neurons, or an ensemble (of which these are
              decoders, transform included): (size_out, n_neurons), or (post_neurons,
              n_neurons) if the solver solves for weights. For other sources, the
              transform, (size_out, size_mid), or a vector for the diagonal of it, or a
              scalar. For convolutions the kernel, (\*kernel_size, in_channels,
              filters).
            - ``"indices"``, (n, 2), and ``"shape"``, for sparse transforms, of which
              ``"weights"`` are the nonzero elements

            For every node with a Keras layer, the weights of the layer by Keras's
            names, such as ``"kernel"``, or ``"dense_1/kernel"`` in a model.

            What learning rules modify has an axis in front for the items of the
            minibatch if the Simulator was created with a ``minibatch_size``.
        """
        return export(self.data)


def _include(include_state: bool, include_non_trainable: bool | None) -> bool:
    if include_non_trainable is None:
        return include_state
    warnings.warn(
        "include_non_trainable is deprecated, use include_state", DeprecationWarning
    )
    return include_non_trainable
