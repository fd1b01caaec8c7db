"""
The state of a simulator as an object, with a name for all that is in it.

In: a simulation. Out: a `SimulatorState`, from which the same simulation, or another
one of the same network, goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from nengo.builder.neurons import SimNeurons
from nengo.builder.operator import SimPyFunc
from nengo.builder.processes import SimProcess
from nengo.builder.signal import Signal
from nengo.exceptions import ValidationError

from nengo_dl.builder import Builder
from nengo_dl.graph.layout import dense_values
from nengo_dl.parameters.live import (
    Parameter,
    find_parameters,
    read_values,
    write_values,
)
from nengo_dl.parameters.names import names_of_all
from nengo_dl.parameters.state import (
    python_arrays,
    python_names,
    rng_from_arrays,
    rng_to_arrays,
    set_python_arrays,
    unique_names,
)
from nengo_dl.simulation.owners import all_operators
from nengo_dl.simulation.simulation import Simulation
from nengo_dl.utils import describe_operator, listed

# Parts of the state of a random number generator.
ORDER = ("keys", "numbers")

#: Parts of a state, and what they are called for users.
PARTS = {
    "variables": "State variables",
    "parameters": "Parameters",
    "python": "Processes and random numbers",
}


@dataclass(frozen=True, eq=False, repr=False)
class SimulatorState(Mapping):
    """
    The state of a simulator between two steps: read-only arrays by name.

    Names say object and attribute, such as ``ensembles['motor'].neurons.voltage``,
    where objects are called as in `nengo_dl.Simulator.save_params`. What a synapse or
    process keeps has the type in its name (``... -> ensembles[0].Alpha.X``). Arrays of
    what every item of a minibatch has for itself have an axis for the items in front,
    of length one without a ``minibatch_size``.

    States can be pickled. They hold neither network nor functions.

    Parameters
    ----------
    n_steps : int
        Number of steps simulated so far.
    dt : float
        Length of a step in seconds.
    minibatch_size : int
        Number of items.
    dtype : str
        Float type of the simulation.
    seed : int
        Seed of the simulation, which it was made or reset with.
    variables : dict of {str: array}
        What steps change, except for parameters.
    parameters : dict of {str: array} or None
        Encoders, biases, weights, and the weights of Keras layers, trained, learned or
        neither; None if they are not part of the state.
    python : dict of {str: array}
        The state of processes and random number generators of NumPy, outputs of
        constant Nodes, and what the random numbers of training follow from.
    types : dict of {str: str}
        By the name of a variable, the type of the neurons or the process that it
        belongs to.
    functions : tuple of str
        Python functions, and operators that only NumPy can run: what they remember, if
        they remember anything, is not in the state.
    """

    n_steps: int
    dt: float
    minibatch_size: int
    dtype: str
    seed: int
    variables: dict[str, np.ndarray]
    parameters: dict[str, np.ndarray] | None
    python: dict[str, np.ndarray]
    types: dict[str, str]
    functions: tuple[str, ...]

    @property
    def time(self) -> float:
        """Simulated time in seconds."""
        return float(self.n_steps * self.dt)

    def part(self, name: str) -> dict[str, np.ndarray]:
        """Return the arrays of a part, which may be missing."""
        return getattr(self, name) or {}

    def __getitem__(self, name: str) -> np.ndarray:
        for part in PARTS:
            if name in self.part(part):
                return self.part(part)[name]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for part in PARTS for name in self.part(part))

    def __len__(self) -> int:
        return sum(len(self.part(part)) for part in PARTS)

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        n_bytes = sum(array.nbytes for array in self.values())
        return (
            f"<SimulatorState after {self.n_steps} steps: {len(self)} arrays, "
            f"{self.minibatch_size} items, {n_bytes / 1e6:.3g} MB>"
        )

    def __str__(self) -> str:
        """Print what there is, with types and shapes."""
        lines = [
            f"State after {self.n_steps} steps of {self.dt:g} seconds, of "
            f"{self.minibatch_size} items, seed {self.seed}"
        ]
        for part, title in PARTS.items():
            arrays = self.part(part)
            lines += ["", f"{title}:"] if arrays else []
            lines += [f"    {k}: {v.dtype} {v.shape}" for k, v in arrays.items()]
        if self.functions:
            lines += ["", "Not in the state, if these remember anything:"]
            lines += [f"    {name}" for name in self.functions]
        return "\n".join(lines)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for array in self.values():  # (NumPy forgets it)
            array.setflags(write=False)


def take_state(simulation: Simulation, include_trainable: bool) -> SimulatorState:
    """
    Return the state of a simulation; see `nengo_dl.Simulator.get_state`.

    Parameters
    ----------
    simulation : Simulation
        The simulation.
    include_trainable : bool
        Whether the parameters are part of it.
    """
    simulation.check_not_during("take the state of the simulator")
    graph = simulation.tensor_graph
    names = variable_names(simulation)
    places = graph.program.layout.places
    arrays = graph.values.get_arrays({places[signal][0] for signal in names})
    variables = {}
    for signal, name in names.items():
        rows, has_items = _rows(simulation, arrays, signal)
        shape = dense_values(signal).shape
        variables[name] = rows.reshape((*rows.shape[:has_items], *shape))
    parameters = None
    if include_trainable:
        found = _named_parameters(simulation)
        values = read_values(graph, list(found.values()))
        parameters = _frozen(dict(zip(found, values)))
    return SimulatorState(
        n_steps=simulation.n_steps,
        dt=graph.model.dt,
        minibatch_size=graph.minibatch_size,
        dtype=graph.settings.dtype,
        seed=simulation.seed,
        variables=_frozen(variables),
        parameters=parameters,
        python=_frozen(_named_python(simulation)),
        types=_types(simulation, names),
        functions=_functions(simulation),
    )


def put_state(
    simulation: Simulation, state: SimulatorState, include_trainable: bool
) -> None:
    """
    Set the state of a simulation; see `nengo_dl.Simulator.set_state`.

    Parameters
    ----------
    simulation : Simulation
        The simulation.
    state : SimulatorState
        The state.
    include_trainable : bool
        Whether its parameters, if there are any, are set as well.

    Raises
    ------
    nengo.exceptions.ValidationError
        If it is no state, or that of another network.
    """
    simulation.check_not_during("set the state of the simulator")
    names = variable_names(simulation)
    _check(simulation, state, names, include_trainable)
    graph = simulation.tensor_graph
    with simulation.context():
        if include_trainable and state.parameters is not None:
            found = _named_parameters(simulation)
            write_values(graph, {found[k]: v for k, v in state.parameters.items()})
        keys = {graph.program.layout.places[signal][0] for signal in names}
        changed = graph.values.get_arrays(keys)
        for signal, name in names.items():
            rows, _ = _rows(simulation, changed, signal)
            rows[...] = state.variables[name].reshape(rows.shape)
        graph.values.assign(changed)
        python = dict(state.python)
        order = {part: python.pop(f"training.order.{part}") for part in ORDER}
        names_by_key = python_names(simulation, python_arrays(simulation))
        by_name = {name: key for key, name in names_by_key.items()}
        set_python_arrays(simulation, {by_name[k]: v for k, v in python.items()})
        simulation.training_rng.set_state(rng_from_arrays(*order.values()))
    simulation.seed = state.seed
    simulation.n_steps = state.n_steps


def _rows(
    simulation: Simulation, arrays: Mapping[str, np.ndarray], signal: Signal
) -> tuple[np.ndarray, bool]:
    """Return the view of a base signal in its array, and whether it is per item."""
    layout = simulation.tensor_graph.program.layout
    key, start, stop = layout.places[signal]
    has_items = layout.arrays[key].minibatched
    rows = arrays[key][:, start:stop] if has_items else arrays[key][start:stop]
    return rows, has_items


def _frozen(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return read-only copies."""
    copies = {name: np.array(array) for name, array in arrays.items()}
    for array in copies.values():
        array.setflags(write=False)
    return copies


def variable_names(simulation: Simulation) -> dict[Signal, str]:
    """
    Name all that steps change, except for parameters.

    Returns
    -------
    names : dict of {nengo.builder.Signal: str}
        Names of base signals: object and attribute, or else the position among those
        that belong to no object.
    """
    graph = simulation.tensor_graph
    layout, model = graph.program.layout, graph.model
    objects = names_of_all(model)
    # in the order in which Nengo built them, which does not depend on the plan
    used = (s.base for op in all_operators(graph.program) for s in op.all_signals)
    names: dict[Signal, str] = {}
    for signal in dict.fromkeys([*used, *layout.places]):
        key = layout.places.get(signal, ("",))[0]
        if key not in graph.program.carried or key in graph.base_params:
            continue
        owner = simulation.owners.get(signal)
        if owner is None or owner.obj not in objects:
            names[signal] = "step" if signal is model.step else "signals"
        else:
            names[signal] = f"{objects[owner.obj]}.{owner.attr}"
    return unique_names(names)


def _named_parameters(simulation: Simulation) -> dict[str, Parameter]:
    return {p.key or p.name: p for p in find_parameters(simulation.tensor_graph)}


def _named_python(simulation: Simulation) -> dict[str, np.ndarray]:
    arrays = python_arrays(simulation)
    names = python_names(simulation, arrays)
    named = {names[key]: value for key, value in arrays.items()}
    order = rng_to_arrays(simulation.training_rng.get_state())
    named.update((f"training.order.{part}", v) for part, v in zip(ORDER, order))
    return named


def _types(simulation: Simulation, names: Mapping[Signal, str]) -> dict[str, str]:
    types = {}
    for op in all_operators(simulation.tensor_graph.program):
        if isinstance(op, (SimNeurons, SimProcess)):
            computed = op.neurons if isinstance(op, SimNeurons) else op.process
            for signal in (*op.state.values(), *op.updates):
                if signal.base in names:
                    types[names[signal.base]] = type(computed).__name__
    return types


def _functions(simulation: Simulation) -> tuple[str, ...]:
    return tuple(
        describe_operator(op)
        for op in simulation.model.operators
        if isinstance(op, SimPyFunc) or Builder.runs_in_numpy(op)
    )


# -- checks ----------------------------------------------------------------------------


def _check(
    simulation: Simulation,
    state: Any,
    names: Mapping[Signal, str],
    include_trainable: bool,
) -> None:
    """Check that a state fits, before anything is changed."""
    if not isinstance(state, SimulatorState):
        raise ValidationError(
            "must be what `Simulator.get_state` has returned (received "
            f"`{type(state).__name__}`)",
            attr="state",
        )
    graph = simulation.tensor_graph
    for what, saved, own in (
        ("`dt`", state.dt, graph.model.dt),
        ("`minibatch_size`", state.minibatch_size, graph.minibatch_size),
        ("`dtype`", state.dtype, graph.settings.dtype),
    ):
        if saved != own:
            raise _other(what, saved, own)
    has_parameters = include_trainable and state.parameters is not None
    own_state = take_state(simulation, has_parameters)
    for part in PARTS:
        if part != "parameters" or has_parameters:
            _check_arrays(state.part(part), own_state.part(part))
    for name in names.values():
        types = [s.types.get(name) for s in (state, own_state)]
        if types[0] != types[1]:
            raise _other(f"the type of `{name}`", *types)


def _check_arrays(
    saved: Mapping[str, np.ndarray], own: Mapping[str, np.ndarray]
) -> None:
    for arrays, others, where in (
        (own, saved, "is missing in the state"),
        (saved, own, "is in the state, but not in this simulator"),
    ):
        missing = [f"`{name}`" for name in arrays if name not in others]
        if missing:
            raise ValidationError(
                f"is that of another network, or of another `optimize`: "
                f"{listed(missing)} {where}",
                attr="state",
            )
    for name in own:
        facts = [(a[name].dtype.name, a[name].shape) for a in (saved, own)]
        if facts[0] != facts[1]:
            raise _other(f"`{name}`", *(f"{t} {shape}" for t, shape in facts))


def _other(what: str, saved: object, own: object) -> ValidationError:
    return ValidationError(
        f"must be that of the same network: {what} is {saved} in the state, and {own} "
        "in this simulator",
        attr="state",
    )
