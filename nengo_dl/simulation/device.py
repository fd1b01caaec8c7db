"""
The device and the float type of a simulator, set for as long as it works.

In: the device, the float type, and the precision of a simulator. Out: context managers,
after which everything is as it was before, whatever happened inside.
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import keras
import tensorflow as tf
from nengo.exceptions import SimulationError, ValidationError

from nengo_dl.utils import SETTINGS_LOCK, GlobalSetting

logger = logging.getLogger(__name__)

FLOAT_TYPE = GlobalSetting(keras.config.floatx, keras.config.set_floatx)
# Whether GPUs round the factors of products to TF32 (10 bits): XLA looks at it when it
# compiles, and everything else when it is executed.
TF32 = GlobalSetting(
    tf.config.experimental.tensor_float_32_execution_enabled,
    tf.config.experimental.enable_tensor_float_32_execution,
)

# The process that has had a simulator last, if there is one.
PROCESSES: list[int] = []


@contextmanager
def working_context(
    device: str | None, dtype: str, allow_tf32: bool = True, alone: bool = False
) -> Iterator[None]:
    """
    Work on a device, with a float type as Keras's default.

    Parameters
    ----------
    device : str or None
        A device of TensorFlow, such as ``"/cpu:0"``; None to let TensorFlow decide.
    dtype : str
        Name of the float type.
    allow_tf32 : bool
        Whether GPUs may round the factors of products, if TensorFlow is set to.
    alone : bool
        Whether other threads have to wait, so that they cannot set another float type.
        It is needed for whatever makes variables or traces functions, and must not be
        set while functions run that may call Python.

    Raises
    ------
    ValueError
        If there is something wrong with the name of the device.
    """
    # Keras makes up its default policy, one for each thread, at first use, from the
    # float type at that time
    with SETTINGS_LOCK, FLOAT_TYPE.shown(FLOAT_TYPE.outside()):
        keras.config.dtype_policy()
    with (
        FLOAT_TYPE.fixed(dtype) if alone else FLOAT_TYPE.shown(dtype),
        nullcontext() if device is None else _DeviceScope(device),
        nullcontext() if allow_tf32 else TF32.shown(False),
    ):
        yield


def warn_of_fork() -> None:
    """
    Warn if TensorFlow may hang, as it has been used before this process was forked.

    It has threads, of which there are none in the new process.
    """
    if PROCESSES not in ([], [os.getpid()]):
        warnings.warn(
            "This process was forked from one that had a Simulator. TensorFlow does "
            "not support that: simulations may hang, or crash. Start processes with "
            '`multiprocessing.get_context("spawn")`, or make the first Simulator after '
            "the fork."
        )
    PROCESSES[:] = [os.getpid()]


class _Scopes(threading.local):
    """The device scopes of a thread that have been entered, and not yet left."""

    def __init__(self) -> None:
        self.stack: list[_DeviceScope] = []


_SCOPES = _Scopes()


class _DeviceScope:
    """
    A context to work on a device, which may end before those within it do.

    Parameters
    ----------
    device : str
        The device.
    """

    def __init__(self, device: str):
        self._scope = tf.device(device)
        self._has_ended = False

    def __enter__(self) -> None:
        self._stack = _SCOPES.stack
        self._scope.__enter__()
        self._stack.append(self)

    def __exit__(self, *details: Any) -> None:
        # TensorFlow's own scopes have to be left in order
        self._has_ended = True
        while self._stack and self._stack[-1]._has_ended:
            self._stack.pop()._scope.__exit__(None, None, None)


def check_device(device: Any) -> None:
    """
    Check the name of a device, and whether there is such a device.

    Parameters
    ----------
    device : str or None
        The device that the user asked for.

    Raises
    ------
    nengo.exceptions.ValidationError
        If it is no name of a device.

    Warns
    -----
    UserWarning
        If there is none, so that TensorFlow is going to take another one.
    """
    if device is None:
        return
    rule = 'must be None, or the name of a device, such as "/cpu:0"'
    if not isinstance(device, str):
        raise ValidationError(f"{rule} (received {device!r})", "device")
    try:
        wanted = tf.DeviceSpec.from_string(device)
    except ValueError as err:
        raise ValidationError(f"{rule} (received {device!r})", "device") from err
    names = [d.name for d in tf.config.list_logical_devices()]
    if not any(_is_device(wanted, tf.DeviceSpec.from_string(name)) for name in names):
        warnings.warn(
            f"TensorFlow has no device {device!r} here, and takes another one. There "
            f"are: {', '.join(repr(n.removeprefix('/device:')) for n in names)}. Pass "
            "the name of one of them, or None to let TensorFlow decide."
        )


def _is_device(wanted: tf.DeviceSpec, there: tf.DeviceSpec) -> bool:
    """Return whether a device is one that is wanted, as far as that is specified."""
    same_type = wanted.device_type in (None, there.device_type)
    return same_type and wanted.device_index in (None, there.device_index)


def check_tensorflow(compiles: bool = False) -> None:
    """
    Check that TensorFlow and Keras are set to what simulations need.

    Parameters
    ----------
    compiles : bool
        Whether XLA is going to compile the simulation.

    Raises
    ------
    nengo.exceptions.SimulationError
        If they are not.
    """
    if keras.config.backend() != "tensorflow":
        raise SimulationError(
            "Keras has to run on TensorFlow (received the backend "
            f"'{keras.config.backend()}'); set the environment variable KERAS_BACKEND "
            "to 'tensorflow' before Keras is imported"
        )
    if not tf.compat.v1.executing_eagerly_outside_functions():
        raise SimulationError(
            "Simulators need eager execution, which has been disabled; leave out "
            "`disable_eager_execution` and `disable_v2_behavior`, and create "
            "simulators outside of any `tf.Graph`"
        )
    if compiles and _checks_numerics():
        raise SimulationError(
            "XLA cannot compile what `tf.debugging.enable_check_numerics` adds; use "
            "`nengo_dl.configure_settings(jit_compile=False)` along with it, or "
            "`tf.debugging.disable_check_numerics()`"
        )


def _checks_numerics() -> bool:
    try:
        tf.math.log(tf.constant(-1.0))
    except tf.errors.InvalidArgumentError:
        return True
    return False


def report_device(device: str | None) -> None:
    """
    Log where a simulation is going to run; warn if nobody asked for the CPU.

    Parameters
    ----------
    device : str or None
        The device that the user asked for.
    """
    if device is not None:
        name = "CPU" if "cpu" in device.lower() else "GPU"
    elif tf.config.list_physical_devices("GPU"):
        name = "CPU/GPU"
    else:
        name = "CPU"
        warnings.warn(
            "No GPU support detected: the simulation runs on the CPU. Pass "
            '`device="/cpu:0"` if this is intended, to silence this warning.'
        )
    logger.info("Running on %s", name)
