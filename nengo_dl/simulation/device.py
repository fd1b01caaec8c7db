"""
The device and the float type of a simulator, set for as long as it works.

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

logger = logging.getLogger(__name__)


@contextmanager
def working_context(device: str | None, dtype: str) -> Iterator[None]:
    """
    Work on a device, with a float type as Keras's default.

    Parameters
    ----------
    device : str or None
        A device of TensorFlow, such as ``"/cpu:0"``; None to let TensorFlow decide.
    dtype : str
        Name of the float type.

    Raises
    ------
    ValueError
        If there is something wrong with the name of the device.
    """
    before = keras.config.floatx()
    # Keras makes up its default policy at first use, from the float type at that time
    keras.config.dtype_policy()
    keras.config.set_floatx(dtype)
    try:
        with nullcontext() if device is None else tf.device(device):
            yield
    finally:
        keras.config.set_floatx(before)


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
