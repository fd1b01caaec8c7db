"""
Make the pictures of the page about spiking accuracy: ``python docs/pictures.py``.

In: nothing. Out: ``docs/images/spikes_*.png``.
"""

from pathlib import Path

import matplotlib
import nengo
import numpy as np

import nengo_dl

matplotlib.use("Agg")
import matplotlib.pyplot as plt

IMAGES = Path(__file__).parent / "images"
SYNAPSES = {"none": None, "5 ms": 0.005, "20 ms": 0.02, "100 ms": 0.1}
COLORS = ("#bbbbbb", "#66a5d0", "#1f77b4", "#0b3c5d")


def make_network(max_rate, synapses, n_neurons=50):
    """Return an ensemble that represents a value, and Probes with synapses."""
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(inference_only=True)
        net.value = nengo.Node([0.0])
        ensemble = nengo.Ensemble(
            n_neurons, 1, max_rates=nengo.dists.Choice([max_rate]), seed=0
        )
        nengo.Connection(net.value, ensemble, synapse=None)
        net.outputs = [nengo.Probe(ensemble, synapse=s) for s in synapses]
    return net


def simulate(net, values, n_steps):
    """Return what the Probes record while each of the values is shown."""
    data = np.tile(np.reshape(values, (-1, 1, 1)), (1, n_steps, 1))
    with nengo_dl.Simulator(
        net, minibatch_size=len(values), device="/cpu:0", progress_bar=False
    ) as sim:
        sim.run_steps(n_steps, data={net.value: data})
    return [sim.data[probe][..., 0] for probe in net.outputs]


def save(figure, name):
    figure.tight_layout()
    figure.savefig(IMAGES / f"spikes_{name}.png", dpi=90)


def synapses():
    """What a synapse does to the output of an ensemble."""
    net = make_network(100, SYNAPSES.values())
    figure, axes = plt.subplots(1, 4, figsize=(9, 2.4), sharey=True)
    for axis, name, output in zip(axes, SYNAPSES, simulate(net, [0.5], 400)):
        axis.plot(output[0], linewidth=0.8)
        axis.axhline(0.5, color="black", linewidth=0.8, linestyle=":")
        axis.set(title=f"synapse: {name}", xlabel="step", ylim=(-0.5, 1.5))
    save(figure, "synapses")


def rates():
    """How the error falls with firing rates."""
    values, max_rates = np.linspace(-0.9, 0.9, 19), [10, 20, 50, 100, 200, 400]
    errors = []
    for max_rate in max_rates:
        outputs = simulate(make_network(max_rate, SYNAPSES.values()), values, 600)
        errors.append(
            [np.sqrt(np.mean((o[:, 300:] - values[:, None]) ** 2)) for o in outputs]
        )
    figure, axis = plt.subplots(figsize=(6, 3.2))
    for name, error, color in zip(SYNAPSES, np.transpose(errors), COLORS):
        axis.loglog(max_rates, error, "o-", label=f"synapse: {name}", color=color)
    axis.set(xlabel="maximal firing rate (Hz)", ylabel="error (root mean square)")
    axis.legend(fontsize=8)
    save(figure, "rates")


def steps():
    """How long it takes until the output is right."""
    values = np.linspace(-0.9, 0.9, 19)
    net = make_network(100, SYNAPSES.values())
    figure, axis = plt.subplots(figsize=(6, 3.2))
    for name, output, color in zip(SYNAPSES, simulate(net, values, 400), COLORS):
        error = np.sqrt(np.mean((output - values[:, None]) ** 2, axis=0))
        axis.semilogy(error, label=f"synapse: {name}", color=color, linewidth=0.8)
    net = make_network(100, [None])
    (output,) = simulate(net, values, 400)
    mean = np.cumsum(output, axis=1) / np.arange(1, 401)
    error = np.sqrt(np.mean((mean - values[:, None]) ** 2, axis=0))
    axis.semilogy(error, "r", label="mean of all steps so far")
    axis.set(xlabel="step", ylabel="error (root mean square)", ylim=(3e-3, 20))
    axis.legend(fontsize=8, loc="upper right", ncols=2)
    save(figure, "steps")


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    synapses()
    rates()
    steps()
