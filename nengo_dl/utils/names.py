"""Names of functions, operators, and whatever TensorFlow has to accept as a name."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

from nengo.builder.neurons import SimNeurons
from nengo.builder.operator import Operator, SimPyFunc
from nengo.builder.processes import SimProcess


def sanitize_name(name: Any) -> str:
    """
    Turn a name into one that TensorFlow accepts.

    Parameters
    ----------
    name : object
        The name; made into a string if it is not one.

    Returns
    -------
    sanitized : str
        The name with ``_`` for spaces and colons, without any other character that is
        not a letter, digit, or one of ``_.-/``.
    """
    name = str(name).replace(" ", "_").replace(":", "_")
    return re.sub(r"[^A-Za-z0-9_./-]", "", name)


def readable_name(label: Any) -> str:
    """
    Turn a label into a name for users, in whatever alphabet it is written.

    Parameters
    ----------
    label : object
        The label; made into a string if it is not one.

    Returns
    -------
    name : str
        As `sanitize_name` returns it, and with letters, digits and symbols that are not
        ASCII as well. Other kinds of white space become ``_``.
    """
    return "".join(
        sanitize_name(c) if c.isascii() else "_" if c.isspace() else c
        for c in str(label)
        if c.isascii() or c.isspace() or c.isprintable()
    )


def keras_names(names: Collection[str]) -> list[str]:
    """
    Return unique names that Keras accepts, as much like other unique names as possible.

    Keras accepts what `sanitize_name` returns except for ``/``, and names of TensorFlow
    start with a letter, a digit, or a dot.

    Parameters
    ----------
    names : list of str
        Names, all different.
    """
    accepted: list[str] = []
    for name in names:
        stem = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
        if not re.match("[A-Za-z0-9.]", stem):
            stem = f"input{stem}"
        count = 0
        unique = stem
        while unique in accepted or (unique != name and unique in names):
            count += 1
            unique = f"{stem}_{count}"
        accepted.append(unique)
    return accepted


def function_name(func: Callable, sanitize: bool = True) -> str:
    """
    Return the name of a function.

    Parameters
    ----------
    func : callable
        A function, or an object that can be called.
    sanitize : bool
        If True, apply `sanitize_name`.

    Returns
    -------
    name : str
        The function's ``__name__``, or the name of the object's class.
    """
    name = getattr(func, "__name__", type(func).__name__)
    return sanitize_name(name) if sanitize else name


def describe_operator(op: Operator) -> str:
    """Return the name under which users know what an operator computes."""
    if isinstance(op, SimPyFunc):
        signal = op.x if op.output is None else op.output
        where = "" if signal is None else f" ({signal.name})"
        return f"the function `{function_name(op.fn, sanitize=False)}`{where}"
    if isinstance(op, SimNeurons):
        return f"the neurons {op.neurons} ({op.output.name})"
    if isinstance(op, SimProcess):
        return f"the process {op.process} ({op.output.name})"
    if op.tag:
        return str(op.tag)
    signals = op.sets + op.incs + op.updates + op.reads
    where = f" ({signals[0].name})" if signals else ""
    return f"the operator `{type(op).__name__}`{where}"


def listed(items: Iterable[str], limit: int = 5) -> str:
    """Return the first few items as one text."""
    items = list(items)
    more = len(items) - limit
    return ", ".join(items[:limit]) + (f", and {more} more" if more > 0 else "")
