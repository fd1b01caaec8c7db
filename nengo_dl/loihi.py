"""
What NengoLoihi needs of us around it: noise for training, and a way onto NumPy 2.

NengoLoihi is the package `nengo_loihi`, a backend for Intel's Loihi chip and its
emulator. Nothing here imports it before it is asked for. How TensorFlow runs its
neurons is in `nengo_dl.neuron_builders`.
"""

from __future__ import annotations

import types
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from nengo.exceptions import ValidationError

__all__ = ["AlphaRCNoise", "LowpassRCNoise", "allow_numpy_2"]

# Modules of NengoLoihi that rely on what NumPy 2 has changed, in the version in which
# that is all that they rely on.
NUMPY_1_MODULES = ("block", "dvs", "neurons")
NENGO_LOIHI_VERSION = "1.1.0"


@dataclass(frozen=True)
class OutputNoise:
    """Base class of the noise models for ``LoihiLIF(nengo_dl_noise=...)``."""

    tau_s: float

    def __post_init__(self) -> None:
        if not self.tau_s > 0:
            raise ValidationError(
                f"must be a positive time constant, in seconds (received {self.tau_s})",
                attr="tau_s",
                obj=self,
            )


@dataclass(frozen=True)
class LowpassRCNoise(OutputNoise):
    r"""
    Noise in training: regular spikes through a lowpass synapse and a membrane.

    The output of a neuron in training is not its firing rate, but a sample, at a random
    time, of regular spikes of this rate, filtered by

    .. math:: H(s) = \frac{1}{(\tau_s s + 1) (\tau_{rc} s + 1)}

    with the :math:`\tau_{rc}` of the neuron. Its mean is the firing rate, and its
    gradient that of the firing rate.

    Parameters
    ----------
    tau_s : float
        Time constant of the synapse, in seconds.

    Notes
    -----
    A neuron type with noise can be unpickled only where NengoDL is installed. Before a
    trained network travels, set ``nengo_dl_noise`` to None: it is for training alone.
    """


@dataclass(frozen=True)
class AlphaRCNoise(OutputNoise):
    r"""
    Noise in training: regular spikes through an alpha synapse and a membrane.

    Like `LowpassRCNoise`, with

    .. math:: H(s) = \frac{1}{(\tau_s s + 1)^2 (\tau_{rc} s + 1)}

    Parameters
    ----------
    tau_s : float
        Time constant of the synapse, in seconds.
    """


class NumPy1(types.ModuleType):
    """NumPy, with the meaning that two of its functions had in NumPy 1."""

    def __init__(self) -> None:
        super().__init__("numpy")

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    @staticmethod
    def array(*args: Any, copy: bool = True, **kwargs: Any) -> np.ndarray:
        """Make an array; with ``copy=False``, copy only what has to be copied."""
        return np.array(*args, copy=copy or None, **kwargs)

    @staticmethod
    def fromstring(
        string: Any, dtype: Any = float, count: int = -1, *, sep: str = ""
    ) -> np.ndarray:
        """Read text, or without a separator, bytes."""
        if sep:
            return np.fromstring(string, dtype, count, sep=sep)
        return np.frombuffer(string, dtype, count).copy()


def allow_numpy_2() -> None:
    """
    Let NengoLoihi 1.1.0, which was made for NumPy 1, run on NumPy 2.

    Three modules of `nengo_loihi` get a NumPy of their own, in which
    ``array(copy=False)`` and ``fromstring`` of bytes mean what they meant in NumPy 1.
    NumPy itself stays as it is, and on NumPy 1 nothing is changed at all.

    Raises
    ------
    ImportError
        If NengoLoihi is not installed.
    RuntimeError
        If it is another version than 1.1.0.
    """
    try:
        nengo_loihi = import_module("nengo_loihi")
    except ModuleNotFoundError as err:
        raise ImportError(
            "`allow_numpy_2` is for NengoLoihi, which cannot be imported (received: "
            f"{err}); install it with `pip install nengo-loihi`"
        ) from err
    if nengo_loihi.__version__ != NENGO_LOIHI_VERSION:
        raise RuntimeError(
            f"`allow_numpy_2` knows NengoLoihi {NENGO_LOIHI_VERSION} only (received: "
            f"{nengo_loihi.__version__}); install that version, or use NumPy 1, as "
            "`pip install nengo-dl[loihi]` does"
        )
    if np.lib.NumpyVersion(np.__version__) < "2.0.0":
        return
    numpy_1 = NumPy1()
    for name in NUMPY_1_MODULES:
        module: Any = import_module(f"nengo_loihi.{name}")
        module.np = numpy_1
