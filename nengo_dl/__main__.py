"""
What a bug report needs to say of the software and the machine: ``python -m nengo_dl``.

In: what is installed. Out: versions, devices, what XLA compiles for, and the known
problems of these versions, as text.
"""

from __future__ import annotations

import math
import os
import platform
import re
from collections.abc import Callable, Mapping
from importlib import metadata

from nengo_dl.utils import xla_compiles
from nengo_dl.version import version

# Named in the order in which they build upon each other, where they are installed.
PACKAGES = (
    "numpy",
    "scipy",
    "nengo",
    "tensorflow",
    "keras",
    "progressbar2",
    "nengo-loihi",
    "nengo-extras",
    "pytest",
    "setuptools",
)

# What changes results, speed, or devices.
VARIABLES = re.compile(
    "CUDA_VISIBLE_DEVICES|KERAS_BACKEND|OMP_NUM_THREADS|XLA_FLAGS|"
    "TF_(CUDNN|DETERMINISTIC|ENABLE|FORCE|GPU|NUM|USE|XLA)_"
)

OLDEST, NEWEST = (), (math.inf,)

#: Known problems: the packages that have one together (each with the first version
#: that does, and the next one that does not), and what it is.
PROBLEMS: tuple[tuple[Mapping[str, tuple], str], ...] = (
    (
        {"numpy": ((2, 4), NEWEST), "nengo": (OLDEST, (4, 2))},
        "`Synapse.filt` of Nengo fails on one-dimensional data with NumPy 2.4 and "
        "newer; use numpy<2.4 if you need it",
    ),
    (
        {"numpy": ((2,), NEWEST), "nengo-loihi": (OLDEST, (1, 1, 1))},
        "NengoLoihi was made for NumPy 1; use numpy<2, or call "
        "`nengo_dl.loihi.allow_numpy_2()` first",
    ),
    (
        {"pytest": ((9, 1), NEWEST), "nengo": (OLDEST, (4, 2))},
        "pytest 9.1 and newer cannot load the pytest plugin of Nengo; use pytest<9.1",
    ),
    (
        {"setuptools": ((82,), NEWEST), "nengo": (OLDEST, (4, 2))},
        "Nengo's own tests import `pkg_resources`, which setuptools 82 removed; use "
        "setuptools<82 for them",
    ),
    (
        {"keras": (OLDEST, (3, 10))},
        "training on several devices needs Keras 3.10 or newer (on one, all works)",
    ),
)


def report() -> str:
    """Return the whole text."""
    versions = installed()
    lines = [
        f"NengoDL {version}",
        f"{platform.python_implementation()} {platform.python_version()}",
        platform.platform(),
        "",
        *(f"{name:<12} {number}" for name, number in versions.items()),
    ]
    for title, part in (
        ("Devices", error_or(devices)),
        ("Environment", environment()),
        ("Known problems of these versions", known_problems(versions)),
    ):
        lines += ["", f"{title}:", *(f"  {line}" for line in part or ["none"])]
    return "\n".join(lines)


def installed() -> dict[str, str]:
    """Return the versions of those of the `PACKAGES` that are installed."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return versions


def error_or(lines: Callable[[], list[str]]) -> list[str]:
    """Return lines, or the error for which there are none: it belongs in a report."""
    try:
        return lines()
    except Exception as err:
        return [f"{type(err).__name__}: {err}"]


def devices() -> list[str]:
    """Return the devices of TensorFlow, and whether XLA compiles for each of them."""
    import tensorflow as tf

    lines = []
    for device in tf.config.list_logical_devices():
        if device.device_type not in ("CPU", "GPU"):
            continue
        function = tf.function(lambda x: x + 1, jit_compile=True)
        with tf.device(device.name):
            compiles = xla_compiles(function, [tf.TensorSpec((), tf.float32)])
        name = "/" + device.name.lower().partition("device:")[2]
        lines.append(f"{name}  XLA {'compiles' if compiles else 'does not compile'}")
    for gpu in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpu)
        lines.append(f"{gpu.name}  {details.get('device_name', 'unknown')}")
    build = tf.sysconfig.get_build_info()
    if build.get("is_cuda_build"):
        libraries = f"CUDA {build['cuda_version']}, cuDNN {build['cudnn_version']}"
        lines.append(f"TensorFlow was built for {libraries}")
    return lines


def environment() -> list[str]:
    """Return the environment variables that matter."""
    found = sorted(name for name in os.environ if VARIABLES.match(name))
    return [f"{name}={os.environ[name]}" for name in found]


def known_problems(versions: Mapping[str, str]) -> list[str]:
    """
    Return what is known not to work with some versions.

    Parameters
    ----------
    versions : dict of {str: str}
        Versions by the name of the package; see `installed`.
    """
    return [
        text
        for conditions, text in PROBLEMS
        if all(
            name in versions and first <= numbers(versions[name]) < end
            for name, (first, end) in conditions.items()
        )
    ]


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, without what marks it as a pre-release."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


if __name__ == "__main__":
    print(report())
