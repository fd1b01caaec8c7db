"""
Python functions that are called by a compiled step.

In: a function of a user, or of Nengo. Out: an operation of TensorFlow that calls it,
checks what it returns, and carries its exceptions to the caller. TensorFlow is imported
where a function needs it.
"""

from __future__ import annotations

import functools
import itertools
import logging
import math
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np
from nengo.exceptions import SimulationError

from nengo_dl.utils.names import function_name
from nengo_dl.utils.tensorflow_errors import exception_in_python
from nengo_dl.utils.tracebacks import calls_users_code

logger = logging.getLogger(__name__)


def numpy_function(
    func: Callable,
    inp: Any,
    Tout: Any,
    name: str | None = None,
    errors: ErrorBox | None = None,
    copies: bool = True,
) -> Any:
    """
    Call a Python function in TensorFlow, on copies of the data.

    Like `tf.numpy_function`, but nothing that the function does to its arguments, or
    later to the arrays that it returned, changes a tensor.

    Parameters
    ----------
    func : callable
        Function of arrays that returns an array, or a list of arrays if ``Tout`` is a
        list.
    inp : list of tf.Tensor
        The arguments.
    Tout : tf.DType or list of tf.DType
        Type or types of the output.
    name : str, optional
        Name of the operation.
    errors : ErrorBox, optional
        Holds the function, and remembers an exception that it raises. Without, the
        function is never freed if this is called within the trace of another.
    copies : bool
        False if the function itself sees to it that nothing changes a tensor, and
        returns arrays of the types in ``Tout``.

    Returns
    -------
    output : tf.Tensor or list of tf.Tensor
        What the function returned.
    """
    import tensorflow as tf

    guarded_func = func if errors is None else errors.guard(func)
    dtypes = tf.nest.map_structure(tf.as_dtype, Tout)
    is_list = isinstance(dtypes, (list, tuple))

    def copying_func(*args: Any) -> Any:
        output = guarded_func(*(np.array(arg) for arg in args))
        # TensorFlow may use the memory of an array that is returned to it
        if is_list:
            return [np.array(y, d.as_numpy_dtype) for y, d in zip(output, dtypes)]
        return np.array(output, dtypes.as_numpy_dtype)

    called_func = copying_func if copies else guarded_func
    values = tf.numpy_function(called_func, inp, Tout, name=name)
    # in eager mode, TensorFlow makes no list of one value
    return tf.nest.flatten(values) if is_list else values


class ErrorBox:
    """
    Holds the Python functions that TensorFlow calls, and carries their exceptions.

    TensorFlow turns any exception of a function that it calls into an error of its own,
    with the original as text. The functions of one simulation are wrapped by `guard`
    (or built by `numpy_function` with ``errors=box``), and whoever runs the simulation
    does that inside of `unwrap`:

    .. code-block:: python

       box = ErrorBox()
       step = tf.function(
           lambda x: numpy_function(func, [x], tf.float32, errors=box)
       )
       with box.unwrap():
           step(x)  # raises the very exception that `func` raised

    What TensorFlow has been given once it keeps until the process ends. The wrapped
    functions are therefore small, and refer weakly to the box, which holds the
    functions themselves: they are freed along with it.
    """

    def __init__(self) -> None:
        self._error: BaseException | None = None
        self._functions: dict[int, Callable] = {}
        self._keys = itertools.count()
        self._passing: list[int] = []
        self._n_unwrapping = 0

    def guard(self, func: Callable, passing: bool = False) -> Callable:
        """
        Return a function that calls ``func``, with exceptions remembered.

        Parameters
        ----------
        func : callable
            The function.
        passing : bool
            Whether it is called in the present `unwrap` only, and freed at its end.
        """
        key = next(self._keys)
        self._functions[key] = func
        if passing:
            self._passing.append(key)
        box = weakref.ref(self)

        @calls_users_code
        def guarded_func(*args: Any) -> Any:
            holder = box()
            func = None if holder is None else holder._functions.get(key)
            if holder is None or func is None:
                raise SimulationError(
                    "A Python function of a simulator was called after the simulator "
                    "had been closed; keep it open for as long as its model is used"
                )
            try:
                return func(*args)
            except BaseException as err:
                # functions may run in parallel; the first exception is the cause
                if holder._error is None:
                    holder._error = err
                # TensorFlow logs what it gets with its traceback, and Keras takes a
                # `StopIteration` for the end of the data
                if holder._n_unwrapping > 0 or isinstance(err, StopIteration):
                    raise RuntimeError(f"{type(err).__name__}: {err}") from None
                raise

        return guarded_func

    def unwrap(self) -> _Unwrapping:
        """Return a context that raises the remembered exception, not TensorFlow's."""
        return _Unwrapping(self)


class _Unwrapping:
    """
    The context of `ErrorBox.unwrap`.

    It is no generator, as these cannot raise a `StopIteration`.
    """

    def __init__(self, box: ErrorBox):
        self._box = box

    def __enter__(self) -> None:
        self._box._error = None
        self._box._n_unwrapping += 1
        self._n_passing = len(self._box._passing)

    def __exit__(
        self, kind: Any, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        box, own = self._box, self._box._error
        # an exception keeps the frames of its traceback alive
        box._error = None
        box._n_unwrapping -= 1
        for key in box._passing[self._n_passing :]:
            del box._functions[key]
        del box._passing[self._n_passing :]
        if own is not None and isinstance(error, Exception):
            _raise_again(own)
        if error is not None and _is_interrupt(error):
            raise KeyboardInterrupt from None
        if isinstance(error, Exception):
            exception = exception_in_python(error)
            if exception is not None:
                raise exception from None


def _raise_again(error: BaseException) -> None:
    """Raise an exception of a function with the causes that it came with."""
    context = error.__context__
    try:
        raise error
    finally:
        error.__context__ = context


def _is_interrupt(error: BaseException) -> bool:
    """Return whether an error of TensorFlow is the text of an interrupt by the user."""
    import tensorflow as tf

    # one that struck in TensorFlow's own Python, around that of the function
    is_unknown = isinstance(error, tf.errors.UnknownError)
    return is_unknown and "KeyboardInterrupt: " in str(error)


def align_func(output_dtype: Any) -> Callable[[Callable], Callable]:
    """
    Return a decorator that makes a function return arrays of one type.

    Parameters
    ----------
    output_dtype : tf.DType or numpy dtype
        Type of the arrays.

    Returns
    -------
    decorator : callable
        Makes a function return its output as a new array of that type. The function
        raises `nengo.exceptions.SimulationError` if the output is None, not finite,
        or cannot be cast to the type.
    """
    dtype = np.dtype(getattr(output_dtype, "as_numpy_dtype", output_dtype))

    def decorator(func: Callable) -> Callable:
        name = function_name(func, sanitize=False)

        @functools.wraps(func)
        def aligned_func(*args: Any) -> np.ndarray:
            output = func(*args)
            if output is None:
                raise SimulationError(
                    f"Function `{name}` returned None; it must return a value"
                )
            try:
                # a copy, because the function may go on to change its array
                aligned = np.array(output, dtype=dtype)
            except (TypeError, ValueError, OverflowError) as err:
                raise SimulationError(
                    f"Function `{name}` returned a value of type "
                    f"`{type(output).__name__}` that cannot be cast to {dtype} "
                    f"(received: {output!r})"
                ) from err
            if not _is_finite(aligned):
                raise SimulationError(_what_is_wrong(name, output, aligned.dtype))
            return aligned

        return aligned_func

    return decorator


def _is_finite(array: np.ndarray) -> bool:
    # (for a single number, NumPy takes several times as long as the rest of the call)
    if array.size == 1:
        return math.isfinite(array.item())
    return bool(np.isfinite(array).all())


def _what_is_wrong(name: str, output: Any, dtype: np.dtype) -> str:
    """Return the text of an error about output that is not finite as a type."""
    received = f"(received: {output!r})"
    array = np.asarray(output)
    if any(item is None for item in array.ravel()):
        return (
            f"Function `{name}` returned objects, not numbers {received}; make sure "
            "that it returns numbers only"
        )
    if np.isfinite(array.astype("float64")).all():
        return (
            f"Function `{name}` returned numbers that are too large for {dtype} "
            f"{received}; configure the network with a larger type, such as "
            '`nengo_dl.configure_settings(dtype="float64")`'
        )
    return (
        f"Function `{name}` returned non-finite values {received}; make sure that it "
        "returns finite numbers only"
    )


def fit_output(value: np.ndarray, size: int, name: str) -> np.ndarray:
    """
    Bring what a function returned into the shape of its output.

    Parameters
    ----------
    value : array
        What the function returned.
    size : int
        Number of elements of the output.
    name : str
        Name of the function, for the error.

    Returns
    -------
    output : (size,) array
        The value; repeated, if it is a single number.

    Raises
    ------
    nengo.exceptions.SimulationError
        If the number of elements is another one.
    """
    if value.size == size:
        return value.ravel()
    if value.size != 1:
        raise SimulationError(
            f"Function `{name}` returned {value.size} values (shape {value.shape}); "
            f"it must return {size}"
        )
    return np.broadcast_to(value.ravel(), (size,))


def note_origin(error: BaseException, origin: Any) -> None:
    """
    Note on an exception where in the network it was raised.

    Parameters
    ----------
    error : Exception
        The exception, which is about to be raised again.
    origin : object
        The Nengo object (or a text that names it) whose code raised it.
    """
    note = f"{type(error).__name__} detected in {origin}"
    if hasattr(error, "add_note"):
        error.add_note(note)
    else:  # Python 3.10 has no notes, and does not print them
        error.__notes__ = [*getattr(error, "__notes__", []), note]
        logger.error(note)
