"""
Train a network on handwritten digits as a rate network, and run it with spikes.

Training goes through Keras; the trained parameters go back into the Nengo network,
which `nengo.Simulator` then runs with the same result. Run by ``make demo``.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import matplotlib
import nengo
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

import nengo_dl

matplotlib.use("Agg")

from matplotlib import pyplot as plt

FIGURE = Path(__file__).with_suffix(".png")
N_TRAIN = 1500
N_CLASSES = 10
STEPS = (1, 10, 30, 60)  # after which the spiking network is asked for its answer
MAX_RATE = 100  # about the number of spikes per second of a neuron that is active


def load_images(n_test=None):
    """Return images and labels for training, and others for testing."""
    digits = load_digits()
    order = np.random.RandomState(0).permutation(len(digits.data))
    images, labels = digits.data[order] / 16, digits.target[order]
    test = slice(N_TRAIN, None if n_test is None else N_TRAIN + n_test)
    return (images[:N_TRAIN], labels[:N_TRAIN]), (images[test], labels[test])


def make_network(n_neurons: int) -> nengo.Network:
    """Make a network with two layers of spiking neurons, connected at random."""
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(trainable=None)
        net.config[nengo.Ensemble].neuron_type = nengo.SpikingRectifiedLinear(
            amplitude=1 / MAX_RATE
        )
        net.config[nengo.Ensemble].gain = nengo.dists.Choice([MAX_RATE])
        net.config[nengo.Ensemble].bias = nengo.dists.Choice([0])
        net.config[nengo.Connection].synapse = None
        net.config[nengo.Connection].transform = nengo_dl.dists.Glorot()

        net.current_image = np.zeros(64)
        net.eye = nengo.Node(lambda t: net.current_image)
        first = nengo.Ensemble(n_neurons, 1).neurons
        second = nengo.Ensemble(n_neurons, 1).neurons
        answer = nengo.Node(size_in=N_CLASSES)
        nengo.Connection(net.eye, first)
        nengo.Connection(first, second)
        nengo.Connection(second, answer)
        net.answer = nengo.Probe(answer)
        # spikes are rare events, and have to be averaged over time
        net.average = nengo.Probe(answer, synapse=0.02)
    return net


def over_time(values: np.ndarray, n_steps: int) -> np.ndarray:
    """Repeat the values of all items for a number of steps."""
    return np.repeat(values[:, None], n_steps, axis=1)


def percent_correct(outputs: np.ndarray, labels: np.ndarray) -> float:
    """Return how often the largest output is the right one, in percent."""
    return 100 * np.mean(outputs.argmax(axis=-1) == labels)


def train(net: nengo.Network, images, labels, epochs: int) -> nengo_dl.Simulator:
    """Train the network with one step for each image, through firing rates."""
    tf.keras.utils.set_random_seed(0)  # the order of the images
    sim = nengo_dl.Simulator(
        net, minibatch_size=50, device="/cpu:0", seed=0, progress_bar=False
    )
    sim.compile(
        tf.optimizers.Adam(0.003),
        loss={net.answer: tf.losses.SparseCategoricalCrossentropy(from_logits=True)},
    )
    sim.fit(
        over_time(images, 1),
        {net.answer: over_time(labels[:, None], 1)},
        epochs=epochs,
        verbose=0,
    )
    return sim


def rate_outputs(sim, net, images) -> np.ndarray:
    """Return the output of the rate network, ``(n_images, N_CLASSES)``."""
    n_steps = tf.ones((len(images), 1), tf.int32)
    inputs = [tf.constant(over_time(images, 1), tf.float32), n_steps]
    outputs = []
    for start in range(0, len(images) - sim.minibatch_size + 1, sim.minibatch_size):
        batch = [value[start : start + sim.minibatch_size] for value in inputs]
        outputs.append(sim.keras_model(batch, training=True)[sim.get_name(net.answer)])
    return np.concatenate(outputs)[:, 0]


def spiking_outputs(sim, net, images) -> np.ndarray:
    """Return the average output over time, ``(n_images, n_steps, N_CLASSES)``."""
    return sim.predict(over_time(images, STEPS[-1]), verbose=0)[net.average]


def nengo_outputs(net, images) -> np.ndarray:
    """Return the same from Nengo's own simulator, one image after another."""
    outputs = []
    with nengo.Simulator(net, progress_bar=False) as sim:
        for net.current_image in images:
            sim.reset()
            sim.run_steps(STEPS[-1])
            outputs.append(sim.data[net.average])
    return np.array(outputs)


def plot(rate: float, spiking: np.ndarray, reference: np.ndarray, figure: Path) -> None:
    """Draw the accuracies over time."""
    fig, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    steps = 1 + np.arange(len(spiking))
    axes.axhline(rate, color="0.6", ls="--", label="rates, in training")
    axes.plot(steps, spiking, color="tab:blue", lw=4, label="spikes, in NengoDL")
    axes.plot(steps, reference, color="k", lw=1, label="spikes, frozen and in Nengo")
    axes.set(xlabel="time (ms)", ylabel="images read correctly (%)", ylim=(0, 102))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right")
    fig.savefig(figure, dpi=120)
    plt.close(fig)


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--images", type=int, help="number of images; by default all")
    parser.add_argument("--neurons", type=int, default=128, help="neurons of a layer")
    parser.add_argument("--epochs", type=int, default=40, help="epochs of training")
    parser.add_argument("--figure", type=Path, default=FIGURE, help="where to draw")
    options = parser.parse_args(arguments)

    (images, labels), (test_images, test_labels) = load_images(options.images)
    # whole minibatches
    n_test = len(test_labels) // 50 * 50
    test_images, test_labels = test_images[:n_test], test_labels[:n_test]
    net = make_network(options.neurons)
    start = time.perf_counter()
    with train(net, images, labels, options.epochs) as sim:
        print(
            f"\nTrained two layers of {options.neurons} neurons with {len(labels)} "
            f"images in {time.perf_counter() - start:.0f} s."
        )
        rate = percent_correct(rate_outputs(sim, net, test_images), test_labels)
        outputs = spiking_outputs(sim, net, test_images)
        sim.freeze_params(net)
    reference = nengo_outputs(net, test_images)

    spiking = [percent_correct(outputs[:, i], test_labels) for i in range(STEPS[-1])]
    frozen = [percent_correct(reference[:, i], test_labels) for i in range(STEPS[-1])]
    print(f"Of {n_test} other images, it reads correctly")
    print(f"{'with firing rates':32s} {rate:6.2f} %")
    for n in STEPS:
        name = f"with spikes, after {n:2d} ms"
        print(f"{name:32s} {spiking[n - 1]:6.2f} %")
    print(f"{'the same, frozen and in Nengo':32s} {frozen[-1]:6.2f} %")
    plot(rate, np.array(spiking), np.array(frozen), options.figure)
    print(f"The picture {options.figure} shows how the answers come about.")


if __name__ == "__main__":
    sys.exit(main())
