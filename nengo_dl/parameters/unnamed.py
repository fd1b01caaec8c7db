"""
Files of NengoDL 3, which hold arrays without names.

In: the arrays of a file, and the parameters of a network. Out: a value for every
parameter of the network, or an error.

NengoDL 3 keeps parameters of one kind (the biases of all ensembles, say) side by side
in one array. What is in a file follows from shapes if these leave one possibility. If
not, it follows from the order: trained arrays come before others, and Nengo's before
those of Keras layers; Nengo's own are often in the order of ours, but not always. Of
60 random networks of several ensembles with trained biases, 20 had another order, so
that an order is only relied on if nothing speaks against it (see `_check_order`).
"""

from __future__ import annotations

import math
import warnings
from collections import Counter, defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from nengo.builder.signal import Signal
from nengo.exceptions import SimulationError

from nengo_dl.graph.layout import dense_values
from nengo_dl.graph.trainability import parameter_signals, trainable_setting
from nengo_dl.parameters.files import Array
from nengo_dl.parameters.live import Parameter, is_used
from nengo_dl.parameters.matching import listed, read_numbers
from nengo_dl.tensor_graph import TensorGraph

Kind: TypeAlias = tuple[int, tuple[int, ...]]

# Values that are correlated like this are those of one parameter, before and after the
# training; fewer values may be by chance.
CORRELATION = 0.9
MIN_VALUES = 8
# So many numbers are searched for where a parameter might be.
MAX_SEARCHED = 10**7


@dataclass(frozen=True, eq=False)
class Slot:
    """
    A parameter of the network, as NengoDL 3 has it in an array.

    Parameters
    ----------
    parameter : Parameter
        The parameter.
    index : int
        Where it is among all parameters.
    shape : tuple of int
        Shape in the file.
    group : tuple of bool
        Whether it is not trained, belongs to a layer, and is sparse. Parameters in one
        array have this in common; the known order begins with it.
    place : tuple of int
        What the known order depends on within groups.
    initial : array or None
        The value that Nengo built, if it did.
    """

    parameter: Parameter
    index: int
    shape: tuple[int, ...]
    group: tuple[bool, bool, bool]
    place: tuple[int, int]
    initial: np.ndarray | None

    @property
    def axis(self) -> int:
        """The axis along which parameters are side by side."""
        return int(self.parameter.minibatched)

    @property
    def length(self) -> int:
        """Number of rows."""
        return self.shape[self.axis]

    @property
    def kind(self) -> Kind:
        """What an array has in common with the parameters in it."""
        return kind_of(self.shape, self.axis)

    @property
    def is_layer(self) -> bool:
        """Whether this is the weight of a Keras layer."""
        return self.group[1]

    @property
    def constant(self) -> float | None:
        """The number that an untrained parameter consists of, if it is only one."""
        is_fixed = self.group[0] and not self.is_layer
        if is_fixed and self.initial.size and np.ptp(self.initial) == 0:
            return float(self.initial.flat[0])
        return None


@dataclass(frozen=True, eq=False)
class Piece:
    """
    The part of an array that is a parameter.

    Parameters
    ----------
    slot : Slot
        The parameter.
    array : array or StoredArray
        The array.
    start : int
        Number of rows before it.
    is_certain : bool
        Whether shapes leave no other possibility.
    """

    slot: Slot
    array: Array
    start: int
    is_certain: bool

    def value(self) -> np.ndarray:
        """Return the value of the parameter."""
        slot = self.slot
        rows = range(self.start, self.start + slot.length)
        array = read_numbers(self.array, slot.parameter.dtype)
        if not slot.is_layer and np.isinf(array).any():
            raise ValueError("has infinite numbers in the file")
        return array.take(rows, slot.axis).reshape(slot.parameter.shape)


def kind_of(shape: Sequence[int], axis: int) -> Kind:
    """Return a shape without the axis along which parameters are side by side."""
    return axis, (*shape[:axis], *shape[axis + 1 :])


def match_unnamed(
    arrays: Sequence[Array], tensor_graph: TensorGraph, parameters: Sequence[Parameter]
) -> dict[Parameter, np.ndarray]:
    """
    Find the value of every parameter by its shape, or else by the known order.

    Parameters
    ----------
    arrays : list of array or StoredArray
        The contents of a file of NengoDL 3.
    tensor_graph : TensorGraph
        The compiled network.
    parameters : list of Parameter
        Its parameters.

    Returns
    -------
    values : dict of {Parameter: array}
        Values of the shapes of the parameters, as far as the file has them.

    Raises
    ------
    nengo.exceptions.SimulationError
        If there is more than one possibility, or none.

    Warns
    -----
    UserWarning
        If nothing but the order says which parameter is which.
    """
    slots = find_slots(tensor_graph, parameters, {kind_of(a.shape, 0) for a in arrays})
    try:
        pieces = assign(arrays, slots)
        values = {piece.slot.parameter: piece.value() for piece in pieces}
        uncertain = [piece for piece in pieces if not piece.is_certain]
        if uncertain:
            _check_order(uncertain, values, _layers_are_in_order(tensor_graph))
    except ValueError as err:
        raise SimulationError(
            "The file was written by NengoDL 3, and does not say which parameters it "
            f"holds; there are several possibilities, or none: {err}. Write a file "
            "that says it, in the environment that has NengoDL 3, with the script "
            "`nengo_dl/parameters/save_named_params.py` (see the documentation of "
            "training, 'Files of NengoDL 3')."
        ) from err
    return values


def find_slots(
    tensor_graph: TensorGraph,
    parameters: Sequence[Parameter],
    kinds: Container[Kind] = (),
) -> list[Slot]:
    """
    Return the parameters that NengoDL 3 has, which are those in use.

    Parameters
    ----------
    tensor_graph : TensorGraph
        The compiled network.
    parameters : list of Parameter
        Its parameters.
    kinds : container
        What kinds of parameters there are in the file.

    Returns
    -------
    slots : list of Slot
        In the known order.
    """
    layout = tensor_graph.program.layout
    keys = list(layout.arrays)
    # (whatever the setting `inference_only` is here, or was there)
    fixed = {
        signal
        for obj, signal, configs in parameter_signals(tensor_graph.model)
        if trainable_setting(configs, obj) is False
    }
    slots = []
    for i, parameter in enumerate(parameters):
        source = parameter.source
        if not is_used(tensor_graph, parameter):
            continue
        shape = parameter.shape or (1,)  # scalars were stored in vectors
        if isinstance(source, Signal):
            key, start, _ = layout.places[source.base]
            is_fixed = source in fixed or parameter.minibatched
            group = (is_fixed, False, source.sparse)
            place, initial = (keys.index(key), start), dense_values(source)
            # biases of converted convolutions had another form
            is_bias = len(shape) > 2 and math.prod(shape[:-1]) == 1
            if is_bias and not parameter.minibatched and kind_of(shape, 0) not in kinds:
                shape = (shape[-1], 1)
        else:
            group = (not source.trainable, True, False)
            place, initial = (i, 0), None
        slots.append(Slot(parameter, i, shape, group, place, initial))
    return sorted(slots, key=lambda slot: (slot.group[:2], slot.place))


def assign(arrays: Sequence[Array], slots: Sequence[Slot]) -> list[Piece]:
    """
    Find out what the arrays of a file consist of.

    Constants of a converted network may be missing in the file, or other ones than
    those of the network, as long as the numbers are the same.

    Parameters
    ----------
    arrays : list of array or StoredArray
        The arrays.
    slots : list of Slot
        The parameters, in the known order.

    Raises
    ------
    ValueError
        If parameters and arrays do not fit.
    """
    numbers = {0.0, *(s.constant for s in slots if s.constant is not None)}
    limit = sum(math.prod(slot.shape) for slot in slots)
    kinds = {slot.kind for slot in slots}
    arrays_by_kind: dict[Kind | None, list[Array]] = defaultdict(list)
    for array in arrays:
        possible = {kind_of(array.shape, axis) for axis in range(len(array.shape))[:2]}
        possible &= kinds
        if len(possible) > 1:
            raise ValueError(f"the array of shape {array.shape} can be several things")
        arrays_by_kind[possible.pop() if possible else None].append(array)

    def is_needed(array: Array) -> bool:
        is_large = math.prod(array.shape) > limit
        return is_large or not numbers.issuperset(read_numbers(array, "float64").flat)

    pieces: list[Piece] = []
    for kind in [*kinds, None]:
        here = [slot for slot in slots if slot.kind == kind]
        there = arrays_by_kind[kind]
        try:
            found = _assign_kind(there, here)
            _check_constants(found)
        except ValueError:
            there = [array for array in there if is_needed(array)]
            found = _assign_kind(there, [s for s in here if s.constant is None])
        pieces += found
    return pieces


def _assign_kind(arrays: Sequence[Array], slots: Sequence[Slot]) -> list[Piece]:
    """Assign arrays to parameters of one kind."""
    if len(arrays) > len(slots):
        names = listed(slot.parameter.name for slot in slots) or "no parameter"
        shapes = listed(str(array.shape) for array in arrays)
        raise ValueError(f"arrays of shape {shapes} can be {names}")
    if not arrays:
        if slots:
            names = listed(slot.parameter.name for slot in slots)
            raise ValueError(f"there is no array for {names}")
        return []
    rest = list(slots)
    lengths = Counter(slot.length for slot in slots)
    pieces = []
    for array in arrays:
        n_rows = array.shape[slots[0].axis]
        if len(arrays) == len(slots):
            part = [slot for slot in rest if slot.length == n_rows][:1]
        else:
            part = _first_rows(rest, n_rows)
        if sum(slot.length for slot in part) != n_rows:
            names = listed(slot.parameter.name for slot in rest) or "no parameter"
            raise ValueError(f"the array of shape {array.shape} can be {names}")
        is_certain = len(arrays) == len(slots) and lengths[n_rows] == 1
        start = 0
        for slot in part:
            rest.remove(slot)
            pieces.append(Piece(slot, array, start, is_certain))
            start += slot.length
    if rest:
        names = listed(slot.parameter.name for slot in rest)
        raise ValueError(f"there is no array for {names}")
    return pieces


def _first_rows(slots: Sequence[Slot], n_rows: int) -> list[Slot]:
    """Return the first parameters, of one array that has at most so many rows."""
    part: list[Slot] = []
    for slot in slots:
        n_left = n_rows - sum(s.length for s in part)
        is_other = part and (slot.is_layer or slot.group != part[0].group)
        if slot.length > n_left or is_other:
            break
        part.append(slot)
    return part


def _check_constants(pieces: Sequence[Piece]) -> None:
    """Check that what is constant is what it was."""
    for piece in pieces:
        constant = piece.slot.constant
        if constant is not None and (piece.value() != constant).any():
            raise ValueError(f"{piece.slot.parameter.name} is {constant} here")


# -- the order -------------------------------------------------------------------------


def _layers_are_in_order(tensor_graph: TensorGraph) -> bool:
    """Return whether layers are used in the order in which they are in the network."""
    used = list(dict.fromkeys(map(id, tensor_graph.tensor_node_layers)))
    return used == list(dict.fromkeys(map(id, tensor_graph.tensor_nodes.values())))


def _check_order(
    pieces: Sequence[Piece],
    values: Mapping[Parameter, np.ndarray],
    layers_are_in_order: bool,
) -> None:
    """
    Check whatever there is to check about parameters that are known by their order.

    If the network has the seed that it had, its parameters look like those of the file,
    as far as these have not been trained much; it is then known which is which. If not,
    we rely on the order if it is a plain one: longer parameters first, and those of one
    length in the order of their objects. (Arrays that have this order here had another
    one in NengoDL 3 in one of seven cases.)

    Parameters
    ----------
    pieces : list of Piece
        What is known by the order.
    values : dict of {Parameter: array}
        The values.
    layers_are_in_order : bool
        Whether those of layers are in the order that they have in the network.

    Raises
    ------
    ValueError
        If the order is another one, or may well be.
    """
    unclear = []
    for piece in pieces:
        slot = piece.slot
        if slot.is_layer:
            is_clear = layers_are_in_order
        else:
            value = values[slot.parameter].reshape(slot.initial.shape)
            is_clear = _correlation(value, slot.initial) >= CORRELATION
        if not is_clear:
            unclear.append(piece)
    telling = [piece for piece in unclear if _is_telling(piece.slot.initial)]
    elsewhere = [piece for piece in telling if _is_elsewhere(piece, pieces)]
    # (some look like others by chance)
    if len(elsewhere) > len(telling) / 2:
        names = listed(piece.slot.parameter.name for piece in elsewhere)
        raise ValueError(
            f"the values of {names} are not where they would be if NengoDL 3 had the "
            "order of parameters that it has most often"
        )
    for group in _interchangeable(unclear):
        plain = sorted(group, key=lambda p: (-p.slot.length, p.slot.index))
        if group != plain:
            names = listed(piece.slot.parameter.name for piece in group)
            raise ValueError(f"the order of {names} is not known")
    if unclear:
        names = listed(piece.slot.parameter.name for piece in unclear)
        warnings.warn(
            "The file was written by NengoDL 3, and does not say which parameters it "
            f"holds. These are known by nothing but their order: {names}. In some "
            "networks, NengoDL 3 has another one: make sure that the simulation does "
            "what it did, or write a file with names (see the documentation of "
            "training, 'Files of NengoDL 3')."
        )


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Return the correlation of values; zero if it says nothing."""
    if not (_is_telling(x) and _is_telling(y)):
        return 0.0
    return float(np.corrcoef(x.ravel(), y.ravel())[0, 1])


def _is_telling(values: np.ndarray | None) -> bool:
    return values is not None and values.size >= MIN_VALUES and np.ptp(values) > 0


def _is_elsewhere(piece: Piece, others: Sequence[Piece]) -> bool:
    """Return whether the values of a parameter seem to be somewhere else."""
    initial = piece.slot.initial
    if piece.slot.axis != 0:
        return False
    arrays = {id(p.array): p.array for p in others if p.slot.kind == piece.slot.kind}
    row_size = initial.size // piece.slot.length
    for array in arrays.values():
        if math.prod(array.shape) * initial.size > MAX_SEARCHED:
            continue
        flat = read_numbers(array, "float64").ravel()
        for start in range(0, len(flat) - initial.size + 1, row_size):
            part = flat[start : start + initial.size]
            if _correlation(part, initial) >= CORRELATION:
                return True
    return False


def _interchangeable(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Return the parts of every array, and those that are arrays of one shape."""
    groups: dict[Any, list[Piece]] = defaultdict(list)
    counts = Counter(id(piece.array) for piece in pieces)
    for piece in pieces:
        alone = counts[id(piece.array)] == 1
        groups[piece.slot.shape if alone else id(piece.array)].append(piece)
    return list(groups.values())
