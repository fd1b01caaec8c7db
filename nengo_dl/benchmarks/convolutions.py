"""
A spiking convolutional network against its products: ``benchmarks convolutions``.

In: sizes. Out: a table of how long it takes to run and to train the network for some
steps, and how long its convolutions and products alone take for as many images, which
is the least that any implementation needs. Both are measured in turns in one process
for each size of the minibatch, ``python -m nengo_dl.benchmarks.convolutions``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nengo
import numpy as np

from nengo_dl.benchmarks.compare import compare
from nengo_dl.benchmarks.measure import Run, run_process, worker_environment
from nengo_dl.benchmarks.models import glorot
from nengo_dl.benchmarks.tables import NOTHING, rst_table

DESCRIPTION = """\
Measure a spiking convolutional network against its convolutions and products alone.

Two layers of spiking rectified linear neurons with convolutions (strides 1 and 2), and
a dense readout, on random images: to run all steps, and to train with one batch of
them. The products alone are computed by TensorFlow for (steps x minibatch) images at
once, with or without XLA, whichever is faster. The shortest of several turns counts;
times of the processor are in parentheses. The output of the first image is compared
with that of nengo.Simulator.
"""

COLUMNS = (
    "minibatch",
    "what",
    "NengoDL, ms",
    "products, ms",
    "ratio",
    "relative difference",
)

STRIDES = (1, 2)

MIN_IMAGES = 64
"""Of an epoch, which by itself takes tens of milliseconds in Keras."""

Times = dict[str, tuple[float, float]]
"""Seconds that passed, and of the processor, by what was measured."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what a process of its own is told, too."""
    add = parser.add_argument
    add("--steps", type=int, default=50, help="of simulation")
    add("--image", type=int, default=28, help="width and height in pixels")
    add("--filters", nargs=2, type=int, default=[32, 64], help="of the two layers")
    add("--turns", type=int, default=5, help="of which the shortest counts")
    add("--device", default=None, help="of all that is measured")


def print_convolutions(arguments: Sequence[str]) -> None:
    """
    Measure, and print the table.

    Parameters
    ----------
    arguments : sequence of str
        Those of the command line.
    """
    parser = argparse.ArgumentParser(
        prog="python -m nengo_dl.benchmarks convolutions",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    parser.add_argument("--minibatch", nargs="+", type=int, default=[1, 32])
    parser.add_argument("--timeout", type=float, default=1800, help="of a process")
    parser.add_argument("--json", metavar="FILE", help="write all figures to this file")
    parsed = parser.parse_args(arguments)
    rows, records = [], []
    for minibatch in parsed.minibatch:
        print(f"... minibatch {minibatch}", file=sys.stderr, flush=True)
        record = run_measurement(minibatch, parsed)
        records.append(record)
        rows += table_rows(record)
        if parsed.json:
            Path(parsed.json).write_text(json.dumps(records, indent=1))
    title = f"Spiking convolutional network, {parsed.steps} steps"
    print(f"\n{title}\n\n{rst_table(COLUMNS, rows)}", flush=True)
    for record in records:
        if "error" in record:
            print(f"\nFailed: minibatch {record['minibatch']}: {record['error']}")


def run_measurement(minibatch: int, parsed: argparse.Namespace) -> dict[str, Any]:
    """Measure one size of the minibatch, in a process of its own."""
    run = Run("nengo_dl", "convolutions", "convolutions", minibatch=minibatch)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "figures.json")
        command = [run.python, "-m", "nengo_dl.benchmarks.convolutions"]
        for name in ("steps", "image", "turns", "device"):
            value = getattr(parsed, name)
            command += [] if value is None else [f"--{name}={value}"]
        command += ["--filters", *map(str, parsed.filters)]
        command += [f"--minibatch={minibatch}", f"--result={path}"]
        error = run_process(command, worker_environment(run), parsed.timeout)
        if error is not None:
            return {"minibatch": minibatch, "error": error}
        return json.loads(path.read_text())


def table_rows(record: Mapping[str, Any]) -> list[list[str]]:
    """Return a row for running and one for training."""
    size = str(record["minibatch"])
    if "error" in record:
        return [[size, "failed", *[NOTHING] * 4]]
    rows = []
    difference = f"{record['relative_difference']:.1e}"
    if record["departs"] is not None:
        difference += f" (from step {record['departs']})"
    for name, judged in (("run", difference), ("train", NOTHING)):
        ours = record["times"][name]
        alone = min(
            (record["times"][f"{name} products{xla}"] for xla in ("", " XLA")),
            key=lambda times: times[0],
        )
        cells = [f"{1e3 * t[0]:,.1f} ({1e3 * t[1]:,.1f})" for t in (ours, alone)]
        wall, cpu = (a / b for a, b in zip(ours, alone))
        rows.append([size, name, *cells, f"{wall:.2f}× ({cpu:.2f}×)", judged])
    return rows


# ------------------------------------------------------------------- in its own process


class Task:
    """
    The network, and its products alone.

    Parameters
    ----------
    image : int
        Width and height in pixels.
    filters : sequence of int
        Those of the two layers.

    Attributes
    ----------
    kernels : list of (3, 3, n_in, n_out) array
        Those of the convolutions.
    readout : (n_in, 10) array
        The weights of the readout.
    net : nengo.Network
        The network, with ``inp`` and ``p``.
    """

    def __init__(self, image: int, filters: Sequence[int]):
        rng = np.random.RandomState(0)
        self.image = image
        channels = (1, *filters)
        self.kernels = [
            glorot(rng, 3, 3, *pair) for pair in zip(channels[:-1], channels[1:])
        ]
        with nengo.Network(label="convolutions", seed=0) as self.net:
            layer = self.net.inp = nengo.Node(np.zeros(image**2))
            shape: Any = (image, image, 1)
            for kernel, stride in zip(self.kernels, STRIDES):
                convolution = nengo.Convolution(
                    kernel.shape[-1], shape, strides=(stride, stride), init=kernel
                )
                shape = convolution.output_shape
                neurons = nengo.Ensemble(
                    shape.size,
                    1,
                    neuron_type=nengo.SpikingRectifiedLinear(),
                    gain=nengo.dists.Choice([100]),
                    bias=nengo.dists.Choice([0]),
                ).neurons
                nengo.Connection(layer, neurons, transform=convolution, synapse=None)
                layer = neurons
            self.readout = glorot(rng, shape.size, 10)
            output = nengo.Node(size_in=10)
            nengo.Connection(layer, output, transform=self.readout.T, synapse=None)
            self.net.p = nengo.Probe(output, synapse=0.01)

    def data(self, n_items: int, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Return random images and targets, (n_items, n_steps, size) arrays."""
        rng = np.random.RandomState(1)
        images = rng.uniform(size=(n_items, 1, self.image**2))
        targets = rng.uniform(size=(n_items, n_steps, 10))
        x = np.repeat(images, n_steps, axis=1)
        return x.astype("float32"), targets.astype("float32")

    def products(self, n_images: int, jit_compile: bool) -> Mapping[str, Callable]:
        """Return functions that compute the products, and those of their gradients."""
        import tensorflow as tf

        rng = np.random.RandomState(2)
        shape = (n_images, self.image, self.image, 1)
        x = tf.constant(rng.uniform(size=shape), "float32")
        weights = [tf.constant(w, "float32") for w in (*self.kernels, self.readout)]

        def forward(x: tf.Tensor, weights: Sequence[tf.Tensor]) -> tf.Tensor:
            for kernel, stride in zip(weights, STRIDES):
                x = tf.nn.conv2d(x, kernel, stride, "VALID")
            return tf.reshape(x, (n_images, -1)) @ weights[-1]

        def gradients(x: tf.Tensor, weights: Sequence[tf.Tensor]) -> list[tf.Tensor]:
            with tf.GradientTape() as tape:
                tape.watch(weights)
                y = forward(x, weights)
            return tape.gradient(y, weights, output_gradients=y)

        run = tf.function(forward, jit_compile=jit_compile)
        train = tf.function(gradients, jit_compile=jit_compile)
        return {
            "run": lambda: run(x, weights).numpy(),
            "train": lambda: train(x, weights)[0].numpy(),
        }


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Return the times of one size of the minibatch, and the difference from Nengo."""
    import tensorflow as tf

    import nengo_dl

    task = Task(args.image, args.filters)
    net, size, n_steps = task.net, args.minibatch, args.steps
    n_batches = max(4, MIN_IMAGES // size)
    x, y = task.data(n_batches * size, n_steps)
    with nengo_dl.Simulator(
        net,
        minibatch_size=size,
        unroll_simulation=1,
        device=args.device,
        progress_bar=False,
    ) as sim:

        def run() -> None:
            sim.run_steps(n_steps, data={net.inp: x[:size]}, progress_bar=False)

        run()
        difference = compare(sim.data[net.p][:1], reference(net, x[0]))
        with tf.device(args.device):
            plain = task.products(size * n_steps, jit_compile=False)
            compiled = task.products(size * n_steps, jit_compile=True)
        functions: dict[str, Callable[[], Any]] = {"run": run}
        for name in ("run", "train"):
            functions[f"{name} products"] = plain[name]
            functions[f"{name} products XLA"] = compiled[name]
        times = shortest(functions, args.turns)
        sim.compile(tf.optimizers.SGD(1e-6), loss="mse")
        data = {"x": {net.inp: x}, "y": {net.p: y}, "shuffle": False, "verbose": 0}
        wall, cpu = shortest({"fit": lambda: sim.fit(**data)}, args.turns)["fit"]
        times["train"] = (wall / n_batches, cpu / n_batches)
    return {
        "minibatch": size,
        "times": times,
        "relative_difference": difference.relative,
        "departs": difference.departs,
        "build_times": {k: float(v) for k, v in sim.build_times.items()},
    }


def reference(net: nengo.Network, x: np.ndarray) -> np.ndarray:
    """Return the output of Nengo for the images of one item, (1, n_steps, 10) array."""
    net.inp.output = x[0]  # the same in all steps
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run_steps(len(x))
        return sim.data[net.p][None]


def shortest(functions: Mapping[str, Callable[[], Any]], n_turns: int) -> Times:
    """Call functions in turns, once for nothing, and return their shortest times."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
    for turn in range(n_turns + 1):
        for name, function in functions.items():
            wall, cpu = time.perf_counter(), time.process_time()
            function()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            if turn > 0:
                times[name].append((wall, cpu))
    return {
        name: (min(wall for wall, _ in each), min(cpu for _, cpu in each))
        for name, each in times.items()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure in this process, and write a JSON file."""
    parser = argparse.ArgumentParser(description=measure.__doc__)
    add_options(parser)
    parser.add_argument("--minibatch", type=int, default=1)
    parser.add_argument("--result", required=True, help="JSON file")
    args = parser.parse_args(arguments)
    Path(args.result).write_text(json.dumps(measure(args)))


if __name__ == "__main__":
    main()
