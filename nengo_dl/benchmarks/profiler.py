"""
Time, and profile with TensorFlow, a single network.

In: a network with the attributes that those of `networks` have. Out: seconds, and a
profile in the directory ``profile``, to be looked at with TensorBoard.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import nengo
import numpy as np

if TYPE_CHECKING:
    import nengo_dl


def run_profile(
    net: nengo.Network,
    train: bool = False,
    n_steps: int = 150,
    do_profile: bool = True,
    reps: int = 1,
    dtype: str = "float32",
    **sim_kwargs: Any,
) -> float:
    """
    Run a network and return how long that takes.

    Parameters
    ----------
    net : nengo.Network
        Network with an output probe ``p``; its inputs, if any, are ``inp``, or
        ``inp_a`` and ``inp_b``. Options of ``net`` are set.
    train : bool
        Time an epoch of one batch of `.Simulator.fit`, instead of
        `.Simulator.run_steps`.
    n_steps : int
        Number of simulation steps.
    do_profile : bool
        Whether to write a TensorFlow profile.
    reps : int
        How often to run.
    dtype : str
        Float type of the simulation.
    sim_kwargs : dict
        Further arguments of `.Simulator`.

    Returns
    -------
    seconds : float
        The shortest time of a repetition, after one run to warm up.
    """
    import nengo_dl

    with net:
        nengo_dl.configure_settings(inference_only=not train, dtype=dtype)
    with nengo_dl.Simulator(net, **sim_kwargs) as sim:
        run = _training(net, sim, n_steps) if train else _inference(sim, n_steps)
        print(f"Warmup time: {_seconds(run):.6g}")
        if do_profile:
            times = _with_profile(run, reps)
        else:
            times = [_seconds(run) for _ in range(reps)]
    print(f"Execution time: {min(times):.6g}")
    return min(times)


def _inference(sim: nengo_dl.Simulator, n_steps: int) -> Callable[[], Any]:
    """Return a function that runs the simulator."""
    return lambda: sim.run_steps(n_steps, progress_bar=False)


def _training(net: nengo.Network, sim: Any, n_steps: int) -> Callable[[], Any]:
    """Return a function that trains the simulator on one batch of random data."""
    rng = np.random.RandomState(0)
    nodes = [vars(net)[k] for k in ("inp", "inp_a", "inp_b") if k in vars(net)]
    inputs = {
        node: rng.randn(sim.minibatch_size, n_steps, node.size_out) for node in nodes
    }
    targets = {net.p: rng.randn(sim.minibatch_size, n_steps, net.p.size_in)}
    sim.compile(optimizer="sgd", loss="mse")
    # Without inputs, the number of steps is not to be seen in the data.
    data: dict[str, Any] = {"x": inputs} if inputs else {"n_steps": n_steps}
    return lambda: sim.fit(y=targets, epochs=1, verbose=0, **data)


def _seconds(run: Callable[[], Any]) -> float:
    """Return how many seconds a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _with_profile(run: Callable[[], Any], reps: int) -> list[float]:
    """Return the seconds of each call, and write a profile of them."""
    import tensorflow as tf

    with tf.profiler.experimental.Profile("profile"):
        return [_seconds(run) for _ in range(reps)]
