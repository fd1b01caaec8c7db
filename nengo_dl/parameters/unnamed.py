"""
Files of NengoDL 3, which hold arrays without names.

In: the arrays of a file, and the parameters of a network. Out: a value for every
parameter of the network, or an error.

NengoDL 3 keeps parameters of one kind (the biases of all ensembles, say) side by side
in one array. What is in a file follows from shapes if these leave one possibility. If
not, it follows from the order: trained arrays come before others, and Nengo's before
those of Keras layers; Nengo's own are often in the order of ours, but not always. Of
60 random networks of several ensembles with trained biases, 20 had another order, so
that an order is only relied on if nothing speaks against it (see `.check_order`).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Container, Sequence

import numpy as np
from nengo.builder.signal import Signal
from nengo.exceptions import SimulationError

from nengo_dl.graph.layout import dense_values
from nengo_dl.graph.trainability import parameter_signals, trainable_setting
from nengo_dl.parameters.files import Array
from nengo_dl.parameters.live import Parameter, is_used
from nengo_dl.parameters.matching import read_numbers
from nengo_dl.parameters.unnamed_order import check_order
from nengo_dl.parameters.unnamed_pieces import Kind, Piece, Slot, kind_of
from nengo_dl.tensor_graph import TensorGraph
from nengo_dl.utils import listed


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
            check_order(uncertain, values, _layers_are_in_order(tensor_graph))
    except ValueError as err:
        raise SimulationError(
            "The file was written by NengoDL 3, and does not say which parameters it "
            f"holds; there are several possibilities, or none: {err}. Write a file "
            "that says it, in the environment that has NengoDL 3, with the script "
            "`nengo_dl/parameters/save_named_params.py` (see the documentation of "
            "parameters, 'Files of NengoDL 3')."
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
            place, initial = (i, 0), np.empty(0)
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
    numbers = {s.constant for s in slots if s.constant is not None}
    numbers |= {0.0} if numbers else set()  # kernels of pooling have zeros, too
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


def _layers_are_in_order(tensor_graph: TensorGraph) -> bool:
    """Return whether layers are used in the order in which they are in the network."""
    used = list(dict.fromkeys(map(id, tensor_graph.tensor_node_layers)))
    return used == list(dict.fromkeys(map(id, tensor_graph.tensor_nodes.values())))
