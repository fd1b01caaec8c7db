"""
Train a small convolutional network for Loihi, and run it in the emulator of NengoLoihi.

The same network, with the trained parameters frozen into it, runs in NengoDL, in Nengo,
and in the emulator. Needs ``pip install nengo-dl[loihi]``; run by ``make test-loihi``.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import matplotlib
import nengo
import nengo_loihi
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

import nengo_dl

matplotlib.use("Agg")

from matplotlib import pyplot as plt

FIGURE = Path(__file__).with_suffix(".png")
N_TRAIN = 1500
N_CLASSES = 10
MAX_RATE = 150  # spikes per second for an input of 1
SYNAPSE = 0.005  # of all connections, in seconds
N_STEPS = 100  # for which each image is shown


def load_images(n_test: int):
    """Return images and labels for training, and others for testing."""
    digits = load_digits()
    order = np.random.RandomState(0).permutation(len(digits.data))
    images, labels = digits.data[order] / 16, digits.target[order]
    test = slice(N_TRAIN, N_TRAIN + n_test)
    return (images[:N_TRAIN], labels[:N_TRAIN]), (images[test], labels[test])


def make_network() -> nengo.Network:
    """Make a network of two convolutional layers, for rates of one step at first."""
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(trainable=None)
        nengo_loihi.add_params(net)
        net.config[nengo.Ensemble].neuron_type = nengo_loihi.neurons.LoihiLIF(
            amplitude=1 / MAX_RATE
        )
        # neurons that a convolution leads to must have one and the same gain
        net.config[nengo.Ensemble].max_rates = nengo.dists.Choice([MAX_RATE])
        net.config[nengo.Ensemble].intercepts = nengo.dists.Choice([0])
        net.config[nengo.Connection].synapse = None

        net.eye = nengo.Node(np.zeros(64))
        # Convolutions on the chip need spikes; these neurons make them, off the chip.
        # With voltages at random, no spike depends on how a sum is rounded.
        voltages = np.random.RandomState(0).uniform(size=64)
        pixels = nengo.Ensemble(
            64,
            1,
            neuron_type=nengo.SpikingRectifiedLinear(
                amplitude=1 / MAX_RATE, initial_state={"voltage": voltages}
            ),
            gain=np.full(64, MAX_RATE),
            bias=np.zeros(64),
        )
        net.config[pixels].on_chip = False
        net.config[pixels].trainable = False
        sight = nengo.Connection(net.eye, pixels.neurons)
        net.config[sight].trainable = False

        first = nengo.Convolution(12, (8, 8, 1), kernel_size=(3, 3))
        second = nengo.Convolution(24, first.output_shape, strides=(2, 2))
        net.layers = []
        pre = pixels.neurons
        for convolution in (first, second):
            layer = nengo.Ensemble(convolution.size_out, 1).neurons
            nengo.Connection(pre, layer, transform=convolution)
            net.layers.append(layer)
            pre = layer
        answer = nengo.Node(size_in=N_CLASSES)
        nengo.Connection(pre, answer, transform=nengo_dl.dists.Glorot())
        net.answer = nengo.Probe(answer)
        net.average = nengo.Probe(answer, synapse=0.02)
        net.spikes = [nengo.Probe(layer) for layer in net.layers]
    return net


def train(net: nengo.Network, images, labels, epochs: int) -> None:
    """Train the network with one step for each image, and freeze its parameters."""
    inputs = {net.eye: images[:, None]}
    with nengo_dl.Simulator(
        net, minibatch_size=50, device="/cpu:0", seed=0, progress_bar=False
    ) as sim:
        sim.compile(
            tf.optimizers.Adam(0.003),
            loss={
                net.answer: tf.losses.SparseCategoricalCrossentropy(from_logits=True)
            },
        )
        targets = {net.answer: labels[:, None, None]}
        sim.fit(inputs, targets, epochs=epochs, verbose=0)
        sim.freeze_params(net)


def show(net: nengo.Network, images) -> None:
    """Let the network see one image after another, and give it synapses."""
    net.eye.output = nengo.processes.PresentInput(images, N_STEPS / 1000)
    for connection in net.all_connections[1:]:
        connection.synapse = SYNAPSE
    with net:
        # as in Nengo, so that a rounding error does not move a spike
        nengo_dl.configure_settings(dtype="float64")


def run(net: nengo.Network, name: str, n_images: int):
    """Return the data of a simulator."""
    simulators = {
        "NengoDL": lambda: nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False),
        "Nengo": lambda: nengo.Simulator(net, progress_bar=False),
        "emulator": lambda: nengo_loihi.Simulator(
            net, target="sim", progress_bar=False
        ),
    }
    with simulators[name]() as sim:
        sim.run_steps(n_images * N_STEPS)
        return {probe: np.array(sim.data[probe]) for probe in net.all_probes}


def percent_correct(outputs: np.ndarray, labels: np.ndarray) -> float:
    """Return how often the largest output is the right one at the end, in percent."""
    answers = outputs[N_STEPS - 1 :: N_STEPS].argmax(axis=1)
    return 100 * np.mean(answers == labels)


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(x.ravel(), y.ravel())[0, 1])


def firing_rates(data: np.ndarray) -> np.ndarray:
    """Return the average rates of all neurons, in spikes per second."""
    return (data > 0).mean(axis=0) * 1000


def plot(net: nengo.Network, results: dict, figure: Path) -> None:
    """Draw outputs and firing rates in NengoDL and in the emulator."""
    ours, emulated = results["NengoDL"], results["emulator"]
    fig, axes = plt.subplots(1, 3, figsize=(11, 3.5), layout="constrained")
    n_steps = min(5 * N_STEPS, len(ours[net.average]))
    for ax, name in zip(axes, ("NengoDL", "emulator")):
        ax.plot(1 + np.arange(n_steps), results[name][net.average][:n_steps], lw=1)
        ax.set(title=f"outputs in {name}", xlabel="time (ms)")
    axes[1].sharey(axes[0])
    for i, probe in enumerate(net.spikes, start=1):
        axes[2].plot(
            firing_rates(ours[probe]),
            firing_rates(emulated[probe]),
            ".",
            ms=3,
            label=f"layer {i}",
        )
    axes[2].set(title="firing rates (Hz)", xlabel="NengoDL", ylabel="emulator")
    axes[2].legend(loc="upper left")
    fig.savefig(figure, dpi=120)
    plt.close(fig)


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--images", type=int, default=100, help="number of images")
    parser.add_argument("--epochs", type=int, default=15, help="epochs of training")
    parser.add_argument("--figure", type=Path, default=FIGURE, help="where to draw")
    options = parser.parse_args(arguments)

    (images, labels), (test_images, test_labels) = load_images(options.images)
    net = make_network()
    start = time.perf_counter()
    train(net, images, labels, options.epochs)
    print(
        f"\nTrained with {len(labels)} images in {time.perf_counter() - start:.0f} s."
    )

    show(net, test_images)
    results = {}
    for name in ("NengoDL", "Nengo", "emulator"):
        start = time.perf_counter()
        data = results[name] = run(net, name, len(test_images))
        rates = [firing_rates(data[probe]).mean() for probe in net.spikes]
        print(
            f"{name:8s}  correct {percent_correct(data[net.average], test_labels):6.2f}"
            f" %  rates {rates[0]:5.1f} and {rates[1]:5.1f} Hz"
            f"  ({time.perf_counter() - start:.0f} s)"
        )
    ours = results["NengoDL"][net.average]
    difference = np.abs(results["Nengo"][net.average] - ours).max()
    print(f"Outputs in Nengo differ by {difference:.1e} at most.")
    similarity = correlation(results["emulator"][net.average], ours)
    print(f"Outputs in the emulator have a correlation of {similarity:.3f}.")
    plot(net, results, options.figure)
    print(f"The picture {options.figure} compares outputs and firing rates.")


if __name__ == "__main__":
    sys.exit(main())
