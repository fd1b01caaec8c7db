"""
The device and the float type of a simulator, set for as long as it works.

In: the device, the float type, and the precision of a simulator. Out: context managers,
after which everything is as it was before, whatever happened inside.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import keras
import tensorflow as tf
from nengo.exceptions import SimulationError

from nengo_dl.utils import SETTINGS_LOCK, GlobalSetting

logger = logging.getLogger(__name__)

FLOAT_TYPE = GlobalSetting(keras.config.floatx, keras.config.set_floatx)
# Whether GPUs round the factors of products to TF32 (10 bits): XLA looks at it when it
# compiles, and everything else when it is executed.
TF32 = GlobalSetting(
    tf.config.experimental.tensor_float_32_execution_enabled,
    tf.config.experimental.enable_tensor_float_32_execution,
)


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
