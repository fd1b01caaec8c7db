"""
Nengo and NengoDL side by side: the same network, the same numbers, another speed.

Run by ``make demo``. Writes a figure to ``demo/demo.png``.
"""

import time
from pathlib import Path

import nengo
import numpy as np
from matplotlib import pyplot as plt

import nengo_dl

DIMENSIONS = 16
SECONDS = 2.0
FIGURE = Path(__file__).with_suffix(".png")


def integrator():
    """Makes a network that integrates its input."""
    with nengo.Network(seed=0) as net:
        stimulus = nengo.Node(lambda t: [1.0 if t < 0.5 else 0.0] * DIMENSIONS)
        ensembles = nengo.networks.EnsembleArray(128, DIMENSIONS)
        nengo.Connection(stimulus, ensembles.input, transform=0.1, synapse=0.1)
        nengo.Connection(ensembles.output, ensembles.input, synapse=0.1)
        net.probe = nengo.Probe(ensembles.output, synapse=0.02)
    return net


def simulate(make_simulator, net):
    """Returns the recorded data, and the time per step in microseconds."""
    with make_simulator(net) as sim:
        sim.run(SECONDS)  # includes the compilation
        sim.reset()
        start = time.perf_counter()
        sim.run(SECONDS)
        elapsed = time.perf_counter() - start
        return sim.trange(), sim.data[net.probe], 1e6 * elapsed / sim.n_steps


def main():
    net = integrator()
    with net:
        nengo_dl.configure_settings(dtype="float64")

    def nengo_simulator(net):
        return nengo.Simulator(net, progress_bar=False)

    def nengo_dl_simulator(net):
        return nengo_dl.Simulator(net, progress_bar=False, device="/cpu:0")

    print(f"{net.n_neurons} spiking neurons, {SECONDS:g} s of simulated time")
    t, expected, nengo_time = simulate(nengo_simulator, net)
    print(f"nengo.Simulator     {nengo_time:6.1f} µs per step")
    _, actual, nengo_dl_time = simulate(nengo_dl_simulator, net)
    print(f"nengo_dl.Simulator  {nengo_dl_time:6.1f} µs per step")
    print(f"{nengo_time / nengo_dl_time:.1f} times as fast")
    print(f"largest difference  {np.max(np.abs(actual - expected)):.1e}")

    fig, axes = plt.subplots(figsize=(6, 3), layout="constrained")
    axes.plot(t, expected[:, 0], label="nengo.Simulator")
    axes.plot(t, actual[:, 0], "--", label="nengo_dl.Simulator")
    axes.set(xlabel="time (s)", ylabel="integral of the input")
    axes.legend()
    fig.savefig(FIGURE)
    print(f"figure              {FIGURE}")


if __name__ == "__main__":
    main()
