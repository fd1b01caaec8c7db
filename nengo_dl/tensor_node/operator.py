"""
The operator of TensorNodes.

In: a function or layer, and what is known about it. Out: an operator that runs in
`nengo_dl.Simulator` only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import numpy as np
from nengo.builder import Operator, Signal
from nengo.builder.signal import SignalDict as NengoSignalDict
from nengo.exceptions import SimulationError

from nengo_dl.builder import Work


@dataclass(frozen=True)
class Traits:
    """
    What is known about a function or layer.

    Parameters
    ----------
    compiles : bool
        Whether XLA can compile it, with the same results.
    work : Work
        How much it computes for one item.
    has_losses : bool
        Whether it is a layer that adds losses when it is called, maybe in training
        only.
    calls_python : bool
        Whether it contains a `tf.py_function`. Its gradient is known for one call in a
        batch only, not for every iteration of a loop.
    timeless : bool
        Whether it can compute many steps at once, as more items of a minibatch.
    """

    compiles: bool = False
    work: Work = Work()
    has_losses: bool = False
    calls_python: bool = False
    timeless: bool = False


class SimTensorNode(Operator):
    """
    Apply a function or layer to tensors.

    Parameters
    ----------
    func : callable or keras.layers.Layer
        What to apply.
    time : nengo.builder.Signal or None
        The time; None if it is not passed to ``func``.
    input : nengo.builder.Signal or None
        The input; None if there is none.
    output : nengo.builder.Signal
        The output.
    shape_in : tuple of int or None
        Shape in which ``func`` gets the input.
    tag : str, optional
        A label for the operator.

    Attributes
    ----------
    traits : Traits
        What is known about ``func``; nothing, before `.prepare_layers`.

    Notes
    -----
    1. sets ``[output]``
    2. incs ``[]``
    3. reads ``[time, input]``, without those that are None
    4. updates ``[]``
    """

    def __init__(
        self,
        func: Callable,
        time: Signal | None,
        input: Signal | None,
        output: Signal,
        shape_in: tuple[int, ...] | None,
        tag: str | None = None,
    ):
        super().__init__(tag=tag)
        self.func = func
        self.time = time
        self.input = input
        self.output = output
        self.shape_in = shape_in
        self.traits = Traits()
        self.sets = [output]
        self.incs: list[Signal] = []
        self.reads = [signal for signal in (time, input) if signal is not None]
        self.updates: list[Signal] = []

    def make_step(
        self,
        signals: NengoSignalDict,
        dt: float,
        rng: np.random.RandomState | None,
    ) -> Callable:
        """Return a function that raises an error: this takes `nengo_dl.Simulator`."""
        return partial(refuse_to_run, self.tag)


def refuse_to_run(name: str, *args: Any) -> NoReturn:
    """Raise an error in place of calling a TensorNode on NumPy arrays."""
    raise SimulationError(
        f"Cannot call TensorNode output: {name} works on tensors, and runs in "
        "`nengo_dl.Simulator` only (with a model that was built by it)"
    )
