"""
Read handwritten digits with spiking neurons, in Nengo and in NengoDL.

One network, one set of numbers: `nengo.Simulator` shows the network one image after
another, `nengo_dl.Simulator` all of them at once. Run by ``make demo``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import matplotlib
import nengo
import numpy as np
from sklearn.datasets import load_digits

import nengo_dl

matplotlib.use("Agg")

from matplotlib import pyplot as plt

FIGURE = Path(__file__).with_suffix(".png")
IMAGE_SHAPE = (8, 8)
N_CLASSES = 10
N_TRAIN = 1500
PRESENTATION_TIME = 0.1  # seconds for which the network sees an image
N_SHOWN_NEURONS = 60  # whose spikes are recorded


class Images(NamedTuple):
    """Images as the network sees them, as people see them, and what they show."""

    inputs: np.ndarray
    pixels: np.ndarray
    labels: np.ndarray


class Result(NamedTuple):
    """What a simulator has recorded, and how long it took."""

    outputs: np.ndarray  # (n_images, n_steps, N_CLASSES)
    spikes: np.ndarray  # (n_images, n_steps, N_SHOWN_NEURONS)
    seconds_to_build: float
    seconds_to_run: float

    def answers(self):
        """Return the class with the largest output in the second half of the time."""
        n_steps = self.outputs.shape[1]
        return self.outputs[:, n_steps // 2 :].mean(axis=1).argmax(axis=1)


def load_images(n_test=None) -> tuple[Images, Images]:
    """Return images for training, and others for testing."""
    digits = load_digits()
    order = np.random.RandomState(0).permutation(len(digits.data))
    pixels, labels = digits.data[order] / 16, digits.target[order]
    inputs = pixels - pixels[:N_TRAIN].mean(axis=0)
    inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
    images = Images(inputs, pixels.reshape(-1, *IMAGE_SHAPE), labels)
    train = Images(*(values[:N_TRAIN] for values in images))
    test = Images(*(values[N_TRAIN:][:n_test] for values in images))
    return train, test


def gabor_patches(n: int, rng: np.random.RandomState) -> np.ndarray:
    """Return what neurons in the visual cortex respond to: small patches of waves."""
    y, x = np.mgrid[: IMAGE_SHAPE[0], : IMAGE_SHAPE[1]]

    def draw(low, high):
        return rng.uniform(low, high, size=(n, 1, 1))

    center_y, center_x, width = draw(1, 6), draw(1, 6), draw(1, 2.5)
    angle, frequency, phase = draw(0, np.pi), draw(0.08, 0.25), draw(0, 2 * np.pi)
    y, x = y - center_y, x - center_x
    distance = y * np.cos(angle) + x * np.sin(angle)
    waves = np.cos(2 * np.pi * frequency * distance + phase)
    patches = waves * np.exp(-(y**2 + x**2) / (2 * width**2))
    return patches.reshape(n, -1)


def make_network(train: Images, n_neurons: int) -> nengo.Network:
    """
    Make a network that tells digits from each other.

    Every neuron responds to a patch of an image. Nengo finds the weights with which
    the spikes of all neurons add up to the answer: one output per digit, 1 for what the
    image shows and 0 for all others, as nearly as possible for all training images.
    """
    with nengo.Network(seed=0) as net:
        # double precision, as in Nengo, to see that the numbers are the same
        nengo_dl.configure_settings(dtype="float64", inference_only=True)
        net.current_image = train.inputs[0]
        net.eye = nengo.Node(lambda t: net.current_image)
        neurons = nengo.Ensemble(
            n_neurons,
            dimensions=train.inputs.shape[1],
            neuron_type=nengo.LIF(),
            encoders=gabor_patches(n_neurons, np.random.RandomState(1)),
            intercepts=nengo.dists.Uniform(-0.1, 0.2),
            max_rates=nengo.dists.Uniform(100, 200),
            eval_points=train.inputs,
        )
        answer = nengo.Node(size_in=N_CLASSES)
        nengo.Connection(net.eye, neurons, synapse=None)
        nengo.Connection(
            neurons,
            answer,
            function=np.eye(N_CLASSES)[train.labels],
            eval_points=train.inputs,
            solver=nengo.solvers.LstsqL2(reg=0.05),
            synapse=0.02,
        )
        net.outputs = nengo.Probe(answer)
        net.spikes = nengo.Probe(neurons.neurons[:N_SHOWN_NEURONS])
    return net


def run_nengo(net: nengo.Network, images: Images) -> Result:
    """Show one image after another."""
    outputs, spikes = [], []
    start = time.perf_counter()
    with nengo.Simulator(net, progress_bar=False) as sim:
        built = time.perf_counter()
        for net.current_image in images.inputs:
            sim.reset()
            sim.run(PRESENTATION_TIME)
            outputs.append(sim.data[net.outputs])
            spikes.append(sim.data[net.spikes])
        done = time.perf_counter()
    return Result(np.array(outputs), np.array(spikes), built - start, done - built)


def run_nengo_dl(net: nengo.Network, images: Images) -> Result:
    """Show all images at once."""
    make_simulator = nengo_dl.Simulator  # this loads TensorFlow
    start = time.perf_counter()
    with make_simulator(
        net, minibatch_size=len(images.inputs), device="/cpu:0", progress_bar=False
    ) as sim:
        n_steps = round(PRESENTATION_TIME / sim.dt)
        data = {net.eye: np.repeat(images.inputs[:, None], n_steps, axis=1)}
        sim.run_steps(n_steps, data=data)  # the first run compiles the network
        sim.reset()
        built = time.perf_counter()
        sim.run_steps(n_steps, data=data)
        done = time.perf_counter()
        return Result(
            sim.data[net.outputs], sim.data[net.spikes], built - start, done - built
        )


def report(images: Images, reference: Result, result: Result) -> None:
    """Print what came out."""
    print()
    print(f"{'':22s} {'nengo.Simulator':>20s} {'nengo_dl.Simulator':>20s}")
    for what, unit, values in [
        (
            "images read correctly",
            "%",
            [100 * np.mean(r.answers() == images.labels) for r in (reference, result)],
        ),
        ("time to get ready", "s", [r.seconds_to_build for r in (reference, result)]),
        ("time for all images", "s", [r.seconds_to_run for r in (reference, result)]),
    ]:
        print(f"{what:22s}", *(f"{value:18.2f} {unit}" for value in values))
    difference = np.abs(result.outputs - reference.outputs).max()
    speed_up = reference.seconds_to_run / result.seconds_to_run
    print("(Getting ready means to build the network, and for NengoDL to compile it.)")
    print()
    print(f"NengoDL simulated the images {speed_up:.1f} times as fast as Nengo.")
    print(
        f"Over all images, time steps and outputs (which are about 0 or 1), the two "
        f"differ\nby {difference:.1e} at most."
    )


def choose_images(images: Images, result: Result) -> list[int]:
    """Return three images of different digits, and one that is read wrongly."""
    first_of_each = np.unique(images.labels, return_index=True)[1]
    wrong = np.flatnonzero(result.answers() != images.labels)
    return [*sorted(first_of_each)[:3], *wrong[:1]]


def plot(images: Images, result: Result, figure: Path) -> None:
    """Draw some images, the spikes that they cause, and the outputs."""
    shown = choose_images(images, result)
    milliseconds = 1 + np.arange(result.outputs.shape[1])
    fig, rows = plt.subplots(
        len(shown),
        3,
        figsize=(9, 1 + 1.75 * len(shown)),
        width_ratios=[1, 2.2, 2.2],
        layout="constrained",
        squeeze=False,
    )
    for i, (image, raster, output) in zip(shown, rows):
        label, answer = images.labels[i], result.answers()[i]
        image.imshow(images.pixels[i], cmap="gray_r")
        image.set(xticks=[], yticks=[], ylabel=f"shows {label}")

        times = [milliseconds[spikes > 0] for spikes in result.spikes[i].T]
        raster.eventplot(times, colors="0.2", linewidths=1.2, linelengths=1.6)
        raster.set(ylabel="neuron", ylim=(-1, N_SHOWN_NEURONS))

        for digit in range(N_CLASSES):
            if digit != answer:
                output.plot(milliseconds, result.outputs[i, :, digit], "0.75", lw=0.9)
        color = "tab:green" if answer == label else "tab:red"
        output.plot(milliseconds, result.outputs[i, :, answer], color, lw=2)
        output.text(
            1.02,
            result.outputs[i, -1, answer],
            f"{answer}",
            transform=output.get_yaxis_transform(),
            color=color,
            fontsize="x-large",
            fontweight="bold",
            va="center",
        )
        output.set(ylabel="output", ylim=(-0.45, 1.45))
        for axes in (raster, output):
            axes.spines[["top", "right"]].set_visible(False)
            axes.set(xlim=(0, milliseconds[-1] + 1))
            axes.tick_params(labelbottom=i == shown[-1])
    rows[0, 0].set_title("image")
    rows[0, 1].set_title(f"spikes of {N_SHOWN_NEURONS} of the neurons")
    rows[0, 2].set_title("decoded output for every digit")
    for axes in rows[-1, 1:]:
        axes.set_xlabel("time (ms)")
    fig.savefig(figure, dpi=120)
    plt.close(fig)


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--images", type=int, help="number of images; by default all")
    parser.add_argument("--neurons", type=int, default=1500, help="number of neurons")
    parser.add_argument("--figure", type=Path, default=FIGURE, help="where to draw")
    options = parser.parse_args(arguments)

    train, test = load_images(options.images)
    print(
        f"{options.neurons} spiking neurons look at {len(test.labels)} handwritten "
        f"digits, {1000 * PRESENTATION_TIME:g} ms at each.\n"
        f"Their output weights were computed from {N_TRAIN} other images."
    )
    net = make_network(train, options.neurons)
    reference = run_nengo(net, test)
    result = run_nengo_dl(net, test)
    report(test, reference, result)
    plot(test, result, options.figure)
    print(f"The picture {options.figure} shows images, spikes and outputs.")


if __name__ == "__main__":
    main()
