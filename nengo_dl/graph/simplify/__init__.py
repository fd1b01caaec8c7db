"""
Simplifications: fewer operators that do the same (stage 4 of the pipeline).

In: operators. Out: operators. Each pass is a function from a list of operators to a new
list, in a file of its own; it replaces operators by new ones, and never changes any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from nengo.builder.operator import Operator
from nengo.builder.signal import Signal

from nengo_dl.graph.signal_io import OperatorList
from nengo_dl.graph.simplify.join_columns import join_columns
from nengo_dl.graph.simplify.remove_constant_copies import (
    remove_constant_copies,
)
from nengo_dl.graph.simplify.remove_identity_muls import (
    remove_identity_muls,
)
from nengo_dl.graph.simplify.remove_pes_deltas import remove_pes_deltas
from nengo_dl.graph.simplify.remove_reset_incs import remove_reset_incs
from nengo_dl.graph.simplify.remove_unmodified_resets import (
    remove_unmodified_resets,
)
from nengo_dl.graph.simplify.remove_zero_incs import remove_zero_incs
from nengo_dl.graph.simplify.scale_convolutions import scale_convolutions
from nengo_dl.graph.verify import verify_simplified

__all__ = [
    "default_simplifications",
    "join_columns",
    "remove_constant_copies",
    "remove_identity_muls",
    "remove_pes_deltas",
    "remove_reset_incs",
    "remove_unmodified_resets",
    "remove_zero_incs",
    "scale_convolutions",
    "simplify",
]

Pass = Callable[[Sequence[Operator]], Sequence[Operator]]

default_simplifications: tuple[Pass, ...] = (
    remove_unmodified_resets,
    remove_zero_incs,
    remove_identity_muls,
    remove_constant_copies,
    remove_pes_deltas,
    join_columns,
    scale_convolutions,
    remove_reset_incs,
)


def simplify(
    operators: Sequence[Operator],
    passes: Sequence[Pass] = default_simplifications,
    signals: Iterable[Signal] = (),
) -> list[Operator]:
    """
    Apply passes, over and over, until none of them changes anything.

    Parameters
    ----------
    operators : sequence of nengo.builder.Operator
        The operators.
    passes : sequence of callable
        Functions from a list of operators to a list of operators, which are applied in
        the given order. They must return the same operators if there is nothing to do.
    signals : iterable of nengo.builder.Signal
        Signals that are needed, whatever the operators are.

    Returns
    -------
    operators : list of nengo.builder.Operator
        The operators after the last pass.

    Raises
    ------
    nengo.exceptions.BuildError
        If a pass that is not one of ours returns anything else, or none that accesses
        one of the signals.
    """
    operators = OperatorList(operators)
    n_idle = 0
    while n_idle < len(passes):
        for simplification in passes:
            if simplification in default_simplifications:
                simplified = simplification(operators)
            else:
                simplified = simplification(list(operators))
                verify_simplified(simplification, simplified, signals)
            n_idle += 1
            if list(simplified) != operators:
                operators = OperatorList(simplified)
                n_idle = 0
            if n_idle >= len(passes):
                break
    return list(operators)
