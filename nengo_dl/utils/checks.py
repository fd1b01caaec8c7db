"""Checks of several parts of the simulator: is it open, does XLA compile, and where."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from nengo.exceptions import SimulatorClosed


def require_open(method: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a method of the simulator that needs it to be open."""

    @functools.wraps(method)
    def open_method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.closed:
            raise SimulatorClosed(
                f"Cannot call {method.__name__}: the simulator is closed. Create a new "
                "Simulator, or do this inside of its `with` block."
            )
        return method(self, *args, **kwargs)

    return open_method


def xla_compiles(function: Any, specs: Iterable) -> bool:
    """
    Return whether XLA can compile a function for the current device.

    It cannot if the function uses a variable of another device.

    Parameters
    ----------
    function : callable
        A `tf.function` with ``jit_compile=True``; it is traced, and not executed.
    specs : iterable of tf.TensorSpec
        The shapes and types of its arguments.
    """
    import tensorflow as tf

    try:
        function.experimental_get_compiler_ir(*specs)(stage="hlo")
    except (ValueError, tf.errors.OpError):
        return False
    return True


def are_here(variables: Iterable[Any]) -> bool:
    """
    Return whether variables are on the current device, where XLA can reach them.

    Parameters
    ----------
    variables : iterable of keras.Variable
        The variables.
    """
    import tensorflow as tf

    here = tf.Variable(0.0, trainable=False).device
    return all(variable.value.device == here for variable in variables)
