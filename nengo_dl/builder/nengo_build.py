"""
The Nengo build, with our own extensions (stage 1 of the pipeline).

In: a `nengo.Network`. Out: a `nengo.builder.Model`.
"""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from typing import Any

import nengo
import numpy as np
from nengo.builder import Model
from nengo.builder.operator import Operator
from nengo.builder.signal import SignalDict
from nengo.cache import get_default_decoder_cache
from nengo.exceptions import NengoWarning

from nengo_dl.builder.registry import NengoBuilder
from nengo_dl.config import get_setting
from nengo_dl.utils import GlobalSetting


class NengoModel(Model):
    """
    A Nengo model whose operators need no Python step function.

    Parameters
    ----------
    *args, **kwargs
        Arguments of `nengo.builder.Model`.
    fail_fast : bool
        If True, `add_op` tries ``op.make_step`` at once, as Nengo does if its
        ``fail_fast`` setting is on.
    """

    def __init__(self, *args: Any, fail_fast: bool = True, **kwargs: Any):
        self.fail_fast = fail_fast
        super().__init__(*args, **kwargs)

    def add_op(self, op: Operator) -> None:
        """Add an operator to the model, and check that it can make its step."""
        self.operators.append(op)
        if self.fail_fast:
            signals = SignalDict()
            op.init_signals(signals)
            op.make_step(signals, self.dt, np.random)


def build_model(
    network: nengo.Network | None,
    dt: float,
    model: Model | None = None,
    progress: Any = None,
) -> Model:
    """
    Build a network as `nengo.Simulator` does, with our own extensions.

    Parameters
    ----------
    network : nengo.Network or None
        The network to build; None if ``model`` has been built already.
    dt : float
        Length of a simulation step in seconds.
    model : nengo.builder.Model, optional
        What to build the network into, by default a new `NengoModel`.
    progress : nengo.utils.progress.Progress or NullProgressBar, optional
        Told of every object that has been built.

    Returns
    -------
    model : nengo.builder.Model
        The built model.

    Warns
    -----
    nengo.exceptions.NengoWarning
        If the model has another ``dt``, which takes precedence.
    """
    if model is not None and dt != model.dt:
        warnings.warn(
            f"The model was built with dt={model.dt:g}, which takes the place of "
            f"dt={dt:g}",
            NengoWarning,
        )
    if network is not None:
        with nengo_precision(get_setting(network, "dtype", default="float32")):
            if model is None:
                model = NengoModel(
                    dt=float(dt),
                    label=f"{network}, dt={dt:f}",
                    decoder_cache=get_default_decoder_cache(),
                    builder=NengoBuilder(),
                    fail_fast=False,
                )
            model.build(network, progress=progress)
    return model


PRECISION = GlobalSetting(
    lambda: nengo.rc.get("precision", "bits"),
    lambda bits: nengo.rc.set("precision", "bits", bits),
)


def nengo_precision(dtype: str) -> AbstractContextManager[None]:
    """Let Nengo build signals and parameters with the precision of a float type."""
    return PRECISION.fixed(dtype.removeprefix("float"))
