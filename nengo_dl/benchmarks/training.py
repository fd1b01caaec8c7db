"""
One measurement of training, for `worker`.

In: the arguments of the worker. Out: figures. Everybody trains with the same data in
the same order.

Like `worker`, this file imports nothing of ours, and is also executed in the
environment of the release that we are compared with.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

if __package__:
    from nengo_dl.benchmarks.models import MODELS, Model
else:  # run by path, like the worker
    from models import MODELS, Model  # type: ignore[import-not-found,no-redef]

N_BATCHES = 40
"""Batches in an epoch."""

Fit = Callable[[int], Any]
"""Trains for a number of epochs, and returns the history."""


def measure_training(args: argparse.Namespace) -> dict[str, Any]:
    """
    Measure the time that training takes for each batch.

    The first epoch, which includes compilation, and a second one, after which
    everything is warm, are not counted. As in `measure_speed` of the worker, the time
    that the cores were busy is measured too.

    Parameters
    ----------
    args : argparse.Namespace
        Arguments of the worker.

    Returns
    -------
    figures : dict
        Times, and the mean loss in the first epoch.
    """
    start = time.perf_counter()
    with trainer(args, MODELS[args.network]) as fit:
        build_s = time.perf_counter() - start
        start = time.perf_counter()
        loss = fit(1).history["loss"][0]
        first_s = time.perf_counter() - start

        start = time.perf_counter()
        fit(1)
        n_epochs = max(1, round(args.seconds / (time.perf_counter() - start)))
        start, cpu_start = time.perf_counter(), time.process_time()
        fit(n_epochs)
        seconds = time.perf_counter() - start
        cpu_seconds = time.process_time() - cpu_start
    n_batches = n_epochs * N_BATCHES
    return {
        "ms_per_batch": 1e3 * seconds / n_batches,
        "cpu_ms_per_batch": 1e3 * cpu_seconds / n_batches,
        "n_batches": n_batches,
        "build_s": build_s,
        "first_s": first_s,
        "loss": float(loss),
    }


@contextlib.contextmanager
def trainer(args: argparse.Namespace, model: Model) -> Iterator[Fit]:
    """Compile the model for the backend that the arguments ask for."""
    import tensorflow as tf

    optimizer = tf.optimizers.SGD(model.learning_rate)
    if args.backend == "keras":
        with tf.device(args.device):
            yield keras_trainer(model, optimizer)
        return

    import nengo_dl

    net = model.network()
    with nengo_dl.Simulator(
        net,
        minibatch_size=model.minibatch,
        unroll_simulation=args.unroll,
        device=args.device,
        progress_bar=False,
    ) as sim:
        sim.compile(optimizer, loss="mse")
        x, y = make_data(model, net.inp.size_out, net.p.size_in)
        data = {"x": {net.inp: x}, "y": {net.p: y}}
        yield lambda n: sim.fit(**data, epochs=n, shuffle=False, verbose=0)


def keras_trainer(model: Model, optimizer: Any) -> Fit:
    """Compile the model that is written in Keras."""
    if model.by_hand is None:
        raise ValueError(
            f"Only models of one step exist in Keras; '{model.title}' does not. "
            "Measure it with another backend"
        )
    by_hand = model.by_hand()
    by_hand.compile(optimizer, loss="mse")
    shape = by_hand.input_shape[1:]
    x, y = make_data(model, int(np.prod(shape)), by_hand.output_shape[-1])
    x, y = x.reshape((-1, *shape)), y[:, 0]
    options = {"batch_size": model.minibatch, "shuffle": False, "verbose": 0}
    return lambda n: by_hand.fit(x, y, epochs=n, **options)


def make_data(
    model: Model, size_in: int, size_out: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return random inputs and targets, arrays of shape (n_items, n_steps, size)."""
    rng = np.random.RandomState(0)
    shape = (N_BATCHES * model.minibatch, model.n_steps)
    x, y = rng.uniform(size=(*shape, size_in)), rng.uniform(size=(*shape, size_out))
    return x.astype("float32"), y.astype("float32")
