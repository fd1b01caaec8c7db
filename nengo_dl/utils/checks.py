"""Checks that several parts of the simulator make: is it open, does XLA compile."""

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
    Return whether XLA can compile a function.

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
