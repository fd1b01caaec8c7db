"""
Random ways to simulate a network, and what Nengo's simulator says to them.

In: choices drawn by Hypothesis, and a network. Out: `Run`, a record of the choices,
which `nengo_data` and the simulators of both packages can follow.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass

import nengo
import numpy as np
from hypothesis import event
from hypothesis import strategies as st
from nengo.processes import BrownNoise, FilteredNoise, WhiteNoise, WhiteSignal

N_STEPS = 20

# processes that draw random numbers
NOISE = (WhiteNoise, FilteredNoise, BrownNoise, WhiteSignal)


@dataclass(frozen=True)
class Run:
    """
    How a network is simulated.

    Attributes
    ----------
    dt : float
        Length of a step, in seconds.
    pieces : tuple of int
        Numbers of steps of successive calls, `N_STEPS` together.
    minibatch_size : int or None
    given : tuple of int
        Positions of the Nodes, in ``net.all_nodes``, that get their outputs as data.
    copy : str
        The copy of the network that is simulated: "none", "copy" (``net.copy()``), or
        "pickle".
    jit_compile : str or bool
    inference_only : bool
    layerwise : str or bool
    resets : bool
        Whether everything is simulated once more, after ``sim.reset``.
    predicts : bool
        Whether everything is simulated by ``sim.predict``, too.
    """

    dt: float
    pieces: tuple[int, ...]
    minibatch_size: int | None
    given: tuple[int, ...]
    copy: str
    jit_compile: str | bool
    inference_only: bool
    layerwise: str | bool
    resets: bool
    predicts: bool

    def data(self, net) -> dict:
        """Return values of the given Nodes, other ones for each item and step."""
        shape = (self.minibatch_size or 1, N_STEPS)
        nodes = [net.all_nodes[i] for i in self.given]
        rng = np.random.RandomState(N_STEPS)
        return {node: rng.uniform(-1, 1, (*shape, node.size_out)) for node in nodes}


@st.composite
def runs(draw, net):
    """Draw a way to simulate a network."""
    may_be_given = [i for i, node in enumerate(net.all_nodes) if _is_function(node)]
    return Run(
        dt=draw(st.sampled_from([0.001, 0.001, 0.0005, 0.002])),
        pieces=draw(st.sampled_from([(13, 7), (13, 7), (20,), (1, 1, 18), (5,) * 4])),
        minibatch_size=draw(st.sampled_from([None, 3])),
        given=tuple(i for i in may_be_given if draw(st.integers(0, 3))),
        copy=draw(st.sampled_from(["none", "copy", "pickle"])),
        jit_compile=draw(st.sampled_from(["auto", False, False])),
        inference_only=draw(st.booleans()),
        layerwise=draw(st.sampled_from(["auto", True])),
        resets=draw(st.booleans()),
        predicts=draw(st.sampled_from([True, False, False])),
    )


def _is_function(node):
    """Say whether a Node's output is a function of time, and so can be replaced."""
    is_process = isinstance(node.output, nengo.base.Process)
    return node.size_in == 0 and callable(node.output) and not is_process


def copied(net, kind):
    """Return a copy of a network, or the network itself if it cannot be copied so."""
    if kind == "copy":
        return net.copy()
    if kind == "pickle":
        try:
            return pickle.loads(pickle.dumps(net))
        except AttributeError:  # functions within functions, some of Nengo's own
            event("cannot be pickled")
    return net


def nengo_data(net, run, item=0) -> list[np.ndarray]:
    """Return what the Probes record in `nengo.Simulator`, with the data of an item."""
    data = run.data(net)
    outputs = {node: node.output for node in data}
    for node, values in data.items():
        node.output = Replay(values[item], run.dt)
    try:
        # unseeded processes have the same numbers every time without optimizer
        with nengo.Simulator(net, dt=run.dt, progress_bar=False, optimize=False) as sim:
            sim.run_steps(N_STEPS)
    finally:
        for node, output in outputs.items():
            node.output = output
    return [sim.data[probe] for probe in net.all_probes]


def comparable_items(net, run) -> list[int]:
    """Return items of which Nengo has the numbers: the first, and perhaps the last."""
    outputs = [node.output for node in net.all_nodes]
    outputs += [ensemble.noise for ensemble in net.all_ensembles]
    # others have other noise
    is_alike = not any(isinstance(output, NOISE) for output in outputs)
    return [0, 2] if run.minibatch_size == 3 and run.given and is_alike else [0]


@dataclass(frozen=True)
class Replay:
    """The output of a Node: one row of an array in every step."""

    values: np.ndarray  # (n_steps, size_out)
    dt: float

    def __call__(self, t):
        # Nengo also calls it once, at time 0, to see what it puts out
        return self.values[max(round(t / self.dt) - 1, 0)]
