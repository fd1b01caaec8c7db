"""
The device and the float type of a simulator, set for as long as it works.

In: the device, the float type, and the precision of a simulator. Out: context managers,
after which everything is as it was before, whatever happened inside.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import keras
import tensorflow as tf

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
        nullcontext() if device is None else tf.device(device),
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
