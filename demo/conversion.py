"""
Train a convolutional network in Keras, and convert it to one that spikes.

One call calibrates the converted network, so that it needs few steps and few spikes;
`nengo.Simulator` then runs it with the same result. Run by ``make demo``.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import keras
import matplotlib
import nengo
import numpy as np
from sklearn.datasets import load_digits

import nengo_dl

matplotlib.use("Agg")

from matplotlib import pyplot as plt

FIGURE = Path(__file__).with_suffix(".png")
N_TRAIN = 1400
N_CALIBRATION = 600  # images that the network is calibrated with
N_SHOWN_NEURONS = 100  # whose spikes are drawn
TIMES_LONGER = 4  # the picture goes on for a multiple of the number of steps


def load_images():
    """Return images and labels for training, and others for testing."""
    digits = load_digits()
    order = np.random.RandomState(0).permutation(len(digits.data))
    images, labels = digits.images[order, ..., None] / 16, digits.target[order]
    return (images[:N_TRAIN], labels[:N_TRAIN]), (images[N_TRAIN:], labels[N_TRAIN:])


def train(images: np.ndarray, labels: np.ndarray, epochs: int) -> keras.Model:
    """Train a network, in Keras alone."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(images.shape[1:]),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.003),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(images, labels, batch_size=50, epochs=epochs, verbose=0)
    return model


def run(converter: nengo_dl.Converter, probe, images: np.ndarray, n_steps: int):
    """Return outputs in NengoDL, and those and the spikes of a probe in Nengo."""
    node = converter.net.inputs[converter.model.input]
    output = converter.net.outputs[converter.model.output]
    flat = images.reshape(len(images), -1)
    held = np.repeat(flat[:, None], n_steps, axis=1)
    with nengo_dl.Simulator(
        converter.net, minibatch_size=len(images), device="/cpu:0", progress_bar=False
    ) as sim:
        ours = sim.predict({node: held}, verbose=0)
    outputs, spikes = [], []
    for node.output in flat:
        with nengo.Simulator(converter.net, progress_bar=False) as reference:
            reference.run_steps(n_steps)
        outputs.append(reference.data[output])
        spikes.append(np.sign(reference.data[probe]))
    return ours[output], np.array(outputs), np.concatenate(spikes)


def plot(report, longer, spikes: np.ndarray, figure: Path) -> None:
    """Draw the accuracy over time, the spikes, and the energy."""
    n_steps = report.calibration.chosen.n_steps
    fig, axes = plt.subplots(1, 3, figsize=(14, 4), layout="constrained")
    longer.plot_curve(axes[0])
    axes[0].axvline(n_steps, color="tab:orange", label="calibrated for")
    axes[0].legend(loc="lower right")
    for sign, color in ((1, "k"), (-1, "tab:red")):
        steps, neurons = np.nonzero(spikes == sign)
        axes[1].scatter(steps + 1, neurons, s=6, color=color)
    for start in range(0, len(spikes) + 1, n_steps):
        axes[1].axvline(start + 0.5, color="0.8", lw=1)
    axes[1].set(
        xlabel="steps (one image between two lines)",
        ylabel="neurons of the first layer",
        title="spikes; red: taken back",
    )
    report.plot_energy(axes[2])
    fig.savefig(figure, dpi=90)
    plt.close(fig)


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--images", type=int, default=6, help="images shown to Nengo")
    parser.add_argument("--epochs", type=int, default=20, help="epochs of training")
    parser.add_argument("--figure", type=Path, default=FIGURE, help="where to draw")
    options = parser.parse_args(arguments)

    (images, labels), (test_images, test_labels) = load_images()
    start = time.perf_counter()
    model = train(images, labels, options.epochs)
    print(f"\nTrained a network in Keras in {time.perf_counter() - start:.0f} s.")

    converter = nengo_dl.Converter(model)
    with converter.net:
        nengo_dl.configure_settings(dtype="float64")  # what Nengo computes with
    report = converter.calibrate(images[:N_CALIBRATION], labels[:N_CALIBRATION])
    chosen = report.calibration.chosen
    longer = converter.report(
        test_images, test_labels, n_steps=TIMES_LONGER * chosen.n_steps
    )

    first = next(iter(converter.neurons.values()))
    with converter.net:
        probe = nengo.Probe(first[:N_SHOWN_NEURONS])
    shown = test_images[: options.images]
    ours, theirs, spikes = run(converter, probe, shown, chosen.n_steps)

    print(f"Of {len(test_labels)} other images, it reads correctly")
    print(f"{'in Keras':32s} {100 * longer.keras_score:6.2f} %")
    for moment in (longer.curve[chosen.n_steps - 1], longer.curve[-1]):
        name = f"with spikes, after {moment.n_steps} steps"
        print(f"{name:32s} {100 * moment.score:6.2f} %")
    print(
        f"{chosen.n_steps} steps take {chosen.spikes_per_neuron:.2f} spikes of a "
        f"neuron. For {len(shown)} images, outputs differ\nfrom Nengo's by "
        f"{np.abs(ours - theirs).max():.0e} at most."
    )
    plot(report, longer, spikes, options.figure)
    print(f"The picture {options.figure} shows accuracy, spikes, and energy.")


if __name__ == "__main__":
    sys.exit(main())
