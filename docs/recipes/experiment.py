"""One experiment of a sweep: a function of plain values that returns plain values."""

# ruff: noqa: E402 (threads are limited before what has threads is imported)
import os

for variable in (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
):
    os.environ.setdefault(variable, "1")

import csv

import nengo
import numpy as np

import nengo_dl

# processes would wait for each other, to read and write the cache
nengo.rc.set("decoder_cache", "enabled", "False")


def run(seed, n_neurons, learning_rate=3e-5, epochs=20):
    """Trains neurons to compute the square, and returns the error with spikes."""
    import tensorflow as tf  # not in the process that starts the others

    with nengo.Network(seed=seed) as net:
        stimulus = nengo.Node([0])
        ensemble = nengo.Ensemble(n_neurons, 1, neuron_type=nengo.LIF())
        output = nengo.Node(size_in=1)
        nengo.Connection(stimulus, ensemble, synapse=None)
        nengo.Connection(ensemble, output, synapse=None)
        trained = nengo.Probe(output)
        tested = nengo.Probe(output, synapse=0.02)

    x = np.random.RandomState(seed).uniform(-1, 1, size=(256, 1, 1))
    at_length = np.tile(np.linspace(-1, 1, 32)[:, None, None], (1, 100, 1))
    with nengo_dl.Simulator(
        net, minibatch_size=32, device="/cpu:0", progress_bar=False
    ) as sim:
        sim.compile(tf.optimizers.Adam(learning_rate), loss={trained: "mse"})
        sim.fit({stimulus: x}, {trained: x**2}, epochs=epochs, verbose=0)
        spikes = sim.predict({stimulus: at_length}, verbose=0)[tested]
    error = np.mean((spikes[:, -1] - at_length[:, -1] ** 2) ** 2)
    return {
        "seed": seed,
        "n_neurons": n_neurons,
        "learning_rate": learning_rate,
        "error": float(error),
    }


def write_table(path, results):
    """Writes results as comma-separated values."""
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, results[0])
        writer.writeheader()
        writer.writerows(results)
