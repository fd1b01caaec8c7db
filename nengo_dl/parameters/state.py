"""
The state of a simulation between two steps, to be kept in a file.

In: a compiled network. Out: the arrays of its state, and a description by which a
network with the same state is recognised.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import nengo
import numpy as np
from nengo.builder.neurons import SimNeurons
from nengo.builder.operator import Operator
from nengo.builder.processes import SimProcess
from nengo.builder.signal import Signal
from nengo.exceptions import SimulationError

from nengo_dl.parameters.files import Array, SavedState
from nengo_dl.parameters.names import built_names, names_of_all
from nengo_dl.simulation.simulation import Simulation
from nengo_dl.tensor_graph import TensorGraph
from nengo_dl.tensor_node.layer_states import layer_states


def read_state(simulation: Simulation) -> SavedState:
    """Return the state of a simulation."""
    tensor_graph = simulation.tensor_graph
    description = describe_state(tensor_graph)
    return SavedState(
        simulation.n_steps,
        description,
        tensor_graph.values.get_arrays(description),
        python_arrays(simulation),
    )


def checked_state(simulation: Simulation, state: SavedState | None) -> SavedState:
    """
    Return a state, with all that has to be read, if it is one of such a network.

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
    expected = describe_state(simulation.tensor_graph)
    for key in {**state.description, **expected}:
        saved, own = state.description.get(key), expected.get(key)
        if saved != own:
            raise _other_state(key, saved, own)
    arrays = {
        key: _checked_array(key, state.arrays[key], facts["type"], facts["shape"])
        for key, facts in expected.items()
    }
    _check_steps(simulation.tensor_graph, state.n_steps, arrays)
    python = None
    if state.python is not None:
        own_arrays = python_arrays(simulation)
        for key in {**state.python, **own_arrays}:
            if key not in own_arrays or key not in state.python:
                raise _other_state(key, key in state.python, key in own_arrays)
        python = {
            key: _checked_array(key, state.python[key], own.dtype, own.shape)
            for key, own in own_arrays.items()
        }
        _check_random_state(python)
    return SavedState(state.n_steps, expected, arrays, python)


def _other_state(key: str, saved: object, own: object) -> SimulationError:
    return SimulationError(
        "The saved state is that of another network, minibatch size, or version: "
        f"`{key}` is {saved or 'nothing'} in the file and {own or 'nothing'} here. "
        "States can only be loaded into the same network with the same settings; to "
        "load the parameters alone, pass `include_state=False`."
    )


def _checked_array(
    key: str, value: Array, dtype: Any, shape: Sequence[int]
) -> np.ndarray:
    """Return an array of a file, which has to be of this type and shape."""
    dtype = np.dtype(dtype)
    saved, own = (value.dtype, *value.shape), (dtype, *shape)
    if saved != own:
        raise _other_state(key, saved, own)
    array = np.asarray(value)
    if dtype.kind == "f" and np.isnan(array).any():
        raise SimulationError(f"The saved state is damaged: `{key}` has NaN.")
    return array


def _check_steps(
    tensor_graph: TensorGraph, n_steps: int, arrays: Mapping[str, np.ndarray]
) -> None:
    """Check that the simulation counts as many steps as the file says."""
    place = tensor_graph.program.layout.places.get(tensor_graph.model.step)
    if place is not None and place[0] in arrays:
        counted = arrays[place[0]].reshape(-1)[place[1]]
        if counted != n_steps:
            raise SimulationError(
                f"The saved state is damaged: `n_steps` is {n_steps}, and the counter "
                f"of steps {counted}."
            )


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
    owners = {}
    for obj, name in built_names(model).items():
        owner = obj.neurons if isinstance(obj, nengo.Ensemble) else obj
        for attr, signal in model.sig[owner].items() if owner in model.sig else ():
            if signal is not None:
                owners[signal.base] = f"{name}.{attr}"
    return owners


def _check_random_state(arrays: Mapping[str, np.ndarray]) -> None:
    """Check that NumPy's generators can take a state (they do not look)."""
    for key, value in arrays.items():
        if key.startswith("random[") and key.endswith(".numbers"):
            position, has_gauss, _ = value
            n_keys = len(arrays[key.replace(".numbers", ".keys")])
            if position not in range(n_keys + 1) or has_gauss not in (0, 1):
                raise SimulationError(
                    f"The saved state is damaged: `{key}` is {value.tolist()}, which "
                    "no random number generator has."
                )


def set_state(simulation: Simulation, state: SavedState) -> None:
    """Set the state of the simulation, which has passed `checked_state`."""
    values = simulation.tensor_graph.values
    arrays = {key: np.asarray(array) for key, array in state.arrays.items()}
    values.set_arrays(arrays)
    simulation.n_steps = state.n_steps
    if state.python is None:
        warnings.warn(
            "The file was written by an early version, which did not save the state of "
            "processes and of random number generators: noise, for example, goes on "
            "differently than it would have."
        )
    else:
        set_python_arrays(simulation, state.python)


# -- processes and random numbers ------------------------------------------------------


def python_arrays(simulation: Simulation) -> dict[str, np.ndarray]:
    """Return the state of processes, and of all that is random, as arrays."""
    state, values = simulation.python_state(), simulation.tensor_graph.values
    arrays = {"seed": np.array(values.seed.numpy())}
    for i, value in enumerate(values.random_state()):
        arrays[f"training[{i}]"] = np.array(value)
    for i, variable in enumerate(values.layer_states()):
        arrays[f"layers[{i}]"] = variable.numpy()
    for i, rng in enumerate(_all_rngs(state)):
        keys, numbers = rng_to_arrays(rng)
        arrays[f"random[{i}].keys"] = keys
        arrays[f"random[{i}].numbers"] = numbers
    n_items = simulation.settings.minibatch_size
    for i, value in enumerate(state["feeds"]["constants"]):
        arrays[f"constants[{i}]"] = np.array(
            np.broadcast_to(value, (n_items, value.shape[-1]))
        )
    for i, items in enumerate(state["feeds"]["states"]):
        for j, item in enumerate(items):
            for name, value in item.items():
                arrays[f"processes[{i}][{j}].{name}"] = np.array(value)
    return arrays


def python_names(simulation: Simulation, keys: Iterable[str]) -> dict[str, str]:
    """
    Return names for the keys of `python_arrays` that say what an array belongs to.

    Parameters
    ----------
    simulation : Simulation
        The simulation.
    keys : iterable of str
        The keys.

    Returns
    -------
    names : dict of {str: str}
        By key, names that mean the same in other simulators of the network. Of what
        every item has for itself, the number of the item comes last.
    """
    graph = simulation.tensor_graph
    feeds, owners = graph.feeds, simulation.owners
    objects = names_of_all(simulation.model)

    def name_of(signal: Signal) -> str:
        owner = owners.get(signal.base)
        return objects.get(owner.obj if owner else None, signal.name)

    names = {key: key for key in keys}
    numbers = {id(v): i for i, v in enumerate(graph.values.layer_states())}
    for node, layer in graph.tensor_nodes.items():
        for variable in layer_states([layer]):
            if id(variable) in numbers:
                names[f"layers[{numbers[id(variable)]}]"] = f"{objects[node]}.state"
    places = ["rng"]
    for op in feeds.random:
        name = f"{name_of(op.output)}.{type(op.process).__name__}.rng"
        places += [f"{name}[{item}]" for item in range(feeds.minibatch_size)]
    places += [f"operators.rng[{item}]" for item in range(len(feeds.operators.rngs))]
    places += [f"neurons.rng [{i}]" for i in range(len(graph.rngs()))]
    for i, place in enumerate(places):
        for part in ("keys", "numbers"):
            names[f"random[{i}].{part}"] = f"{place}.{part}"
    for i, signal in enumerate(feeds.constants()):
        names[f"constants[{i}]"] = f"{name_of(signal)}.output"
    for i, source in enumerate(feeds.process_sources()):
        op = source.op
        name = f"{name_of(op.output)}.{type(op.process).__name__}"
        for item, state in enumerate(source.states):
            for attr in state:
                names[f"processes[{i}][{item}].{attr}"] = f"{name}.{attr}[{item}]"
    return unique_names(names)


def unique_names(names: Mapping[Any, str]) -> dict[Any, str]:
    """Tell equal names apart, by numbers."""
    taken: Counter[str] = Counter()
    unique = {}
    for key, name in names.items():
        unique[key] = f"{name} [{taken[name]}]" if taken[name] else name
        taken[name] += 1
    return unique


def rng_to_arrays(state: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the state of a random number generator as arrays."""
    _, keys, *numbers = state
    return np.array(keys), np.array(numbers, np.float64)


def rng_from_arrays(keys: Array, numbers: Array) -> tuple:
    """Return the state of a random number generator from arrays."""
    position, has_gauss, gauss = np.asarray(numbers).tolist()
    return "MT19937", np.asarray(keys), int(position), int(has_gauss), gauss


def set_python_arrays(simulation: Simulation, arrays: Mapping[str, Array]) -> None:
    """Return to a state that `python_arrays` has returned, of the same network."""
    values = simulation.tensor_graph.values
    seed = int(np.asarray(arrays["seed"]))
    if seed != int(values.seed.numpy()):
        # processes may have drawn random numbers when they were started
        values.seed.assign(seed)
        simulation.restart(seed)
    now = simulation.python_state()
    for i, variable in enumerate(values.layer_states()):
        variable.assign(np.asarray(arrays[f"layers[{i}]"]))
    n_states = len(values.random_state())
    values.set_random_state(
        [np.asarray(arrays[f"training[{i}]"]) for i in range(n_states)]
    )
    in_order = iter(
        [
            rng_from_arrays(arrays[f"random[{i}].keys"], arrays[f"random[{i}].numbers"])
            for i in range(len(_all_rngs(now)))
        ]
    )
    states = [
        [
            {name: np.asarray(arrays[f"processes[{i}][{j}].{name}"]) for name in item}
            for j, item in enumerate(items)
        ]
        for i, items in enumerate(now["feeds"]["states"])
    ]
    rng, feeds = next(in_order), now["feeds"]
    feeds = {
        "constants": [
            np.asarray(arrays[f"constants[{i}]"])
            for i in range(len(feeds["constants"]))
        ],
        "rngs": [[next(in_order) for _ in items] for items in feeds["rngs"]],
        "operator_rngs": [next(in_order) for _ in feeds["operator_rngs"]],
        "states": states,
    }
    # generators of training are not in files: a new simulator has none yet
    simulation.set_python_state(
        {**now, "rng": rng, "feeds": feeds, "rngs": list(in_order)}
    )


def _all_rngs(state: Mapping[str, Any]) -> list[tuple]:
    feeds = state["feeds"]
    of_processes = [rng for items in feeds["rngs"] for rng in items]
    return [state["rng"], *of_processes, *feeds["operator_rngs"], *state["rngs"]]
