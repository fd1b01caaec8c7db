"""
What a simulator changes around itself for as long as it works, and what it works on.

In: the device and the float type of a simulator. Out: context managers, after which
everything is as it was before, whatever happened inside.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import keras
import tensorflow as tf

from nengo_dl.utils import SETTINGS_LOCK, GlobalSetting

logger = logging.getLogger(__name__)

FLOAT_TYPE = GlobalSetting(keras.config.floatx, keras.config.set_floatx)


@contextmanager
def working_context(
    device: str | None, dtype: str, alone: bool = False
) -> Iterator[None]:
    """
    Work on a device, with a float type as Keras's default.

    Parameters
    ----------
    device : str or None
        A device of TensorFlow, such as ``"/cpu:0"``; None to let TensorFlow decide.
    dtype : str
        Name of the float type.
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
    ):
        yield


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
