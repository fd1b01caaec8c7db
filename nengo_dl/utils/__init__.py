"""
Small helpers: names, functions that TensorFlow calls, progress bars.

Nothing here imports TensorFlow before it is needed.
"""

from __future__ import annotations

from typing import Any

from nengo_dl.utils.checks import are_here, require_open, xla_compiles
from nengo_dl.utils.global_settings import (
    GARBAGE_COLLECTION,
    SETTINGS_LOCK,
    GlobalSetting,
    without_warnings,
)
from nengo_dl.utils.names import (
    describe_operator,
    function_name,
    keras_names,
    listed,
    readable_name,
    sanitize_name,
)
from nengo_dl.utils.numbers import RealParam, as_number, is_integer
from nengo_dl.utils.progress import (
    MessageBar,
    NengoProgressBar,
    NullProgressBar,
    ProgressBar,
    SubProgressBar,
    progress_bar_for,
)
from nengo_dl.utils.python_calls import (
    ErrorBox,
    align_func,
    fit_output,
    note_origin,
    numpy_function,
)
from nengo_dl.utils.stopwatch import Stopwatch
from nengo_dl.utils.tracebacks import calls_users_code, shortens_tracebacks

__all__ = [
    "GARBAGE_COLLECTION",
    "SETTINGS_LOCK",
    "ErrorBox",
    "GlobalSetting",
    "MessageBar",
    "NengoProgressBar",
    "NullProgressBar",
    "ProgressBar",
    "RealParam",
    "Stopwatch",
    "SubProgressBar",
    "align_func",
    "are_here",
    "as_number",
    "calls_users_code",
    "describe_operator",
    "fit_output",
    "function_name",
    "is_integer",
    "keras_names",
    "listed",
    "note_origin",
    "numpy_function",
    "progress_bar_for",
    "readable_name",
    "require_open",
    "sanitize_name",
    "shortens_tracebacks",
    "without_warnings",
    "xla_compiles",
]


def __getattr__(name: str) -> Any:
    # `tf_gpu_installed` asks TensorFlow, but only when somebody wants to know
    if name == "tf_gpu_installed":
        import tensorflow as tf

        return len(tf.config.list_physical_devices("GPU")) > 0
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
