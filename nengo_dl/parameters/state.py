"""
The state of a simulation between two steps, to be kept in a file.

In: a compiled network. Out: the arrays of its state, and a description by which a
network with the same state is recognised.
"""

from __future__ import annotations

import nengo
from nengo.builder.neurons import SimNeurons
from nengo.builder.operator import Operator
from nengo.builder.processes import SimProcess
from nengo.exceptions import SimulationError

from nengo_dl.parameters.files import SavedState
from nengo_dl.parameters.names import object_names
from nengo_dl.tensor_graph import TensorGraph


def read_state(tensor_graph: TensorGraph, n_steps: int) -> SavedState:
    """
    Return the state of a simulation.

    Parameters
    ----------
    tensor_graph : TensorGraph
        The compiled network.
    n_steps : int
        Number of steps simulated so far.
    """
    arrays = tensor_graph.values.get_arrays()
    description = describe_state(tensor_graph)
    return SavedState(n_steps, description, {key: arrays[key] for key in description})


def checked_state(tensor_graph: TensorGraph, state: SavedState | None) -> SavedState:
    """
    Return a state if it is one of a network like this one.

    Raises
    ------
    nengo.exceptions.SimulationError
        If it is not, or if there is none.
    """
    if state is None:
        raise SimulationError(
            "The file holds parameters, but no state of a simulation. Save it with "
            "`include_state=True`, or load it with `include_state=False`."
        )
    expected = describe_state(tensor_graph)
    for key in {**state.description, **expected}:
        saved, own = state.description.get(key), expected.get(key)
        if saved != own:
            raise SimulationError(
                "The saved state is that of another network, minibatch size, or "
                f"version: `{key}` is {saved or 'nothing'} in the file and "
                f"{own or 'nothing'} here. States can only be loaded into the same "
                "network with the same settings; to load the parameters alone, pass "
                "`include_state=False`."
            )
    return state


def describe_state(tensor_graph: TensorGraph) -> dict[str, dict]:
    """
    Describe all arrays of the state, except for those of parameters.

    Returns
    -------
    description : dict of {str: dict}
        By the key of the base array: its type, its shape, the operators that change it,
        and the objects that it belongs to, as far as they are known.
    """
    program = tensor_graph.program
    users: dict[str, dict] = {key: {} for key in program.carried}
    for group in (*program.plan, *program.version(training=True).plan):
        for signal in (signal for op in group for signal in op.all_signals):
            key = program.layout.places[signal.base][0]
            if key in users:
                users[key][_kind(group[0])] = None
    owners = _owners(program.model)
    arrays = program.layout.arrays
    return {
        key: {
            "type": arrays[key].dtype,
            "shape": list(arrays[key].full_shape(tensor_graph.minibatch_size)),
            "operators": list(users[key]),
            "signals": [owners.get(s, str(s.size)) for s in arrays[key].signals],
        }
        for key in program.carried
        if key not in tensor_graph.base_params
    }


def _kind(op: Operator) -> str:
    """Return the type of an operator, and of what it computes."""
    name = type(op).__name__
    if isinstance(op, SimNeurons):
        return f"{name}({type(op.neurons).__name__})"
    if isinstance(op, SimProcess):
        return f"{name}({type(op.process).__name__})"
    return name


def _owners(model: nengo.builder.Model) -> dict:
    """Return the names of the objects that signals belong to."""
    if model.toplevel is None:
        return {}
    owners = {}
    for obj, name in object_names(model.toplevel).items():
        owner = obj.neurons if isinstance(obj, nengo.Ensemble) else obj
        for attr, signal in model.sig[owner].items() if owner in model.sig else ():
            if signal is not None:
                owners[signal.base] = f"{name}.{attr}"
    return owners


def set_state(tensor_graph: TensorGraph, state: SavedState) -> None:
    """Set the state of the simulation, which has passed `checked_state`."""
    tensor_graph.values.set_arrays({**tensor_graph.values.get_arrays(), **state.arrays})
