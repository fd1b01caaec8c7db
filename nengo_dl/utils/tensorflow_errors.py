"""
Exceptions of Python functions that users hand to TensorFlow themselves.

In: the error that TensorFlow makes of an exception in a `tf.py_function`, in a loss or
a TensorNode. Out: the exception, as far as its text tells. (TensorFlow keeps nothing
else of it. What NengoDL hands to TensorFlow itself is in an `ErrorBox`, which does.)
"""

from __future__ import annotations

import builtins
import os
import re

from nengo.exceptions import SimulationError

TRACEBACK = "\nTraceback (most recent call last):\n"


def exception_in_python(error: Exception) -> Exception | None:
    """
    Return the exception of a Python function that an error of TensorFlow is about.

    Parameters
    ----------
    error : Exception
        Any error.

    Returns
    -------
    exception : Exception or None
        An exception of the same type, if that is one of Python's own, else a
        `nengo.exceptions.SimulationError`; with a note of where it was raised. None if
        the error is about something else.
    """
    import tensorflow as tf

    if not isinstance(error, tf.errors.OpError):
        return None
    head, separator, trace = error.message.partition(TRACEBACK)
    name, colon, text = head.rpartition("\n\n")[2].partition(": ")
    name = name.split()[-1] if name.split() else ""
    if not (separator and colon and re.fullmatch(r"[A-Za-z_][\w.]*", name)):
        return None
    exception = _make(name, text)
    note = f"Raised by a Python function that TensorFlow called:\n{_own_lines(trace)}"
    if hasattr(exception, "add_note"):
        exception.add_note(note)
    return exception


def _make(name: str, text: str) -> Exception:
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(text)
        except TypeError:  # some need more than a text
            pass
    is_ours = name == SimulationError.__name__
    return SimulationError(text if is_ours else f"{name}: {text}")


def _own_lines(trace: str) -> str:
    """Return the lines of a traceback that are not TensorFlow's own."""
    frames = re.findall(r'  File "[^"]*", line .*?(?=\n\n|\Z)', trace, re.DOTALL)
    tensorflow = os.path.join("site-packages", "tensorflow")
    return "\n".join(frame for frame in frames if tensorflow not in frame)
