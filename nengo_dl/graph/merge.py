"""
Which operators can be built as one.

In: operators. Out: classes of operators that are alike, so that any of them that do not
depend on each other can be merged into one group. What is alike is decided partly
here, partly by the builder that is registered for the type of operator.

Operators of one group never set or update the same memory, because no two operators
ever do. Increments of the same memory may be merged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

from nengo.builder.operator import Operator
from nengo.builder.signal import Signal

from nengo_dl.builder import Builder, OpBuilder
from nengo_dl.graph.signal_io import ACCESSES
from nengo_dl.graph.trainability import is_minibatched, is_trainable


def mergeable(op: Operator, chosen_ops: Sequence[Operator]) -> bool:
    """
    Return whether an operator can be built together with others.

    They must have the same builder class, equal numbers of signals for each kind of
    access, and these must agree in pairs in type, sparsity, marks (``trainable`` and
    ``minibatched``) and, if dense, in the shapes of signal and base beyond the first
    axis. Signals that the builder does not use do not count. Then the builder class has
    its say.

    Dependencies are not looked at: that is what the planners do.

    Parameters
    ----------
    op : nengo.builder.Operator
        The operator.
    chosen_ops : sequence of nengo.builder.Operator
        The group it might join, which is taken to be mergeable.

    Raises
    ------
    nengo.exceptions.BuildError
        If no builder is registered for the type of an operator.
    """
    if len(chosen_ops) == 0:
        return True
    first = chosen_ops[0]
    return merge_key(op) == merge_key(first) and Builder.builder_of(op).mergeable(
        first, op
    )


def merge_key(op: Operator) -> Hashable:
    """
    Return a value that is equal for operators that pass the general checks.

    Raises
    ------
    nengo.exceptions.BuildError
        If no builder is registered for the type of the operator.
    """
    builder = Builder.builder_of(op)
    unused = set(builder.unused(op))
    signals = tuple(
        tuple(_signal_key(s) for s in getattr(op, access) if s not in unused)
        for access in ACCESSES
    )
    return builder, signals


def _signal_key(signal: Signal) -> Hashable:
    """Return what signals at the same position of merged operators have in common."""
    sparse = signal.sparse
    shapes = () if sparse else (signal.base.shape[1:], signal.shape[1:])
    marks = (is_trainable(signal), is_minibatched(signal))
    return signal.dtype, sparse, marks, shapes


def merge_classes(operators: Sequence[Operator]) -> list[int]:
    """
    Sort operators into classes, within which any two are `mergeable`.

    Equal to asking `mergeable` for all pairs, provided that a builder's ``mergeable``
    is an equivalence relation. Operators are compared with one representative of each
    class only, and not at all where the builder merges nothing.

    Parameters
    ----------
    operators : sequence of nengo.builder.Operator
        The operators.

    Returns
    -------
    classes : list of int
        Number of the class of each operator. Numbers count up in the order of first
        members.
    """
    representatives: dict[Hashable, list[tuple[int, Operator]]] = defaultdict(list)
    classes: list[int] = []
    n_classes = 0
    for op in operators:
        key = merge_key(op)
        builder = Builder.builder_of(op)
        like_op = (n for n, x in representatives[key] if builder.mergeable(x, op))
        number = next(like_op, n_classes)
        if number == n_classes:
            n_classes += 1
            if builder.mergeable is not OpBuilder.mergeable:
                representatives[key].append((number, op))
        classes.append(number)
    return classes
