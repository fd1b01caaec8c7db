"""
Networks of `keras.applications`, converted: time, memory, and errors.

In: names of networks, and the size of their images. Out: a table, with a process of its
own for every network (``python -m nengo_dl.benchmarks.applications``).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

import nengo_dl
from nengo_dl.benchmarks.measure import Run, run_process, worker_environment
from nengo_dl.benchmarks.tables import rst_table

APPLICATIONS = (
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "ResNet50",
    "ResNet50V2",
    "DenseNet121",
    "VGG16",
    "Xception",
    "ConvNeXtTiny",
)

SMALLEST = {"Xception": 71}
"""Sizes of images below which a network cannot be made."""

N_MEASURED = 32
"""Images of which the statistics are measured."""

N_COMPARED = 2
"""Images that both networks get."""

BIAS_DEVIATION = 0.1

TOLERANCE = 1e-4
"""Largest error for which a network counts as verified; see `largest_error`."""

COLUMNS = (
    "network",
    "size",
    "weights",
    "convert",
    "build",
    "first run",
    "next run",
    "memory",
    "largest error",
    "verified",
    "falls back",
)


def make_application(name: str, size: int, seed: int = 0, **kwargs: Any) -> Any:
    """
    Make a network whose output depends on its input, and images for it.

    The output of a newly made network is nearly the same for all images. Here, biases
    are random, and batch normalization uses the statistics of images.

    Parameters
    ----------
    name : str
        Name in `keras.applications`.
    size : int
        Height and width of the images.
    seed : int
        Seed of weights and images.
    kwargs
        Passed on to the function of `keras.applications`.

    Returns
    -------
    model : keras.Model
        The network.
    images : (N_COMPARED, size, size, 3) array
        Images, each of a colour and noise, with elements of 0 to 255.
    """
    keras.utils.set_random_seed(seed)
    rng = np.random.RandomState(seed)
    model = getattr(keras.applications, name)(
        weights=None,
        input_shape=(size, size, 3),
        classifier_activation=None,
        **kwargs,
    )
    for weight in model.trainable_weights:
        if weight.path.split("/")[-1] in ("bias", "beta"):
            weight.assign(rng.normal(0, BIAS_DEVIATION, weight.shape))
    # noise alone is nearly the same for a network that takes averages
    colours = rng.uniform(0, 255, (N_MEASURED, 1, 1, 3))
    noise = rng.uniform(0, 255, (N_MEASURED, size, size, 3))
    images = ((colours + noise) / 2).astype(np.float32)
    measure_statistics(model, images)
    return model, images[:N_COMPARED]


def measure_statistics(model: keras.Model, images: np.ndarray) -> None:
    """
    Set the statistics of all batch normalization to those of some images.

    Parameters
    ----------
    model : keras.Model
        A model, which is changed.
    images : (n_images, ...) array
        Its input.
    """
    layers = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    if layers:
        model(images, training=True)
    for layer, momentum in zip(layers, momenta):
        layer.momentum = momentum


def with_average_pooling(model: keras.Model) -> keras.Model:
    """
    Return a copy of a model with averages in place of maxima in pooling layers.

    Parameters
    ----------
    model : keras.Model
        A functional model.

    Returns
    -------
    model : keras.Model
        The same model if there is nothing to replace.
    """
    pooling = keras.layers.MaxPooling2D
    if not any(isinstance(layer, pooling) for layer in model.layers):
        return model

    def clone(layer: keras.Operation) -> keras.Operation:
        kind = keras.layers.AveragePooling2D if isinstance(layer, pooling) else None
        return (kind or type(layer)).from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=clone)
    copy.set_weights(model.get_weights())
    return copy


def largest_error(values: np.ndarray, expected: np.ndarray) -> float:
    """
    Return the largest difference, relative to that between the outputs for two images.

    Parameters
    ----------
    values, expected : (n_images, size) array
        Outputs of the network, and those of Keras.

    Returns
    -------
    error : float
        ``max |values - expected| / max |expected - mean(expected)|``, where the mean is
        over images.
    """
    return float(np.abs(values - expected).max() / spread_of(expected))


def spread_of(expected: np.ndarray) -> float:
    """Return how much outputs differ between images; see `largest_error`."""
    return float(np.abs(expected - expected.mean(axis=0)).max())


def convert(model: keras.Model) -> nengo_dl.Converter:
    """Convert a network, without warnings of what falls back."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*alling back to")
        return nengo_dl.Converter(model, inference_only=True, max_to_avg_pool=True)


def is_verified(converter: nengo_dl.Converter, images: np.ndarray, atol: float) -> bool:
    """
    Return whether `nengo_dl.Converter.verify` finds no difference.

    Parameters
    ----------
    converter : nengo_dl.Converter
        A converted network. If maxima have become averages, its model with averages is
        converted anew: ``verify`` compares with the model as it is.
    images : (n_images, ...) array
        Images to compare the outputs for.
    atol : float
        How much outputs may differ.
    """
    averages = with_average_pooling(converter.model)
    if averages is not converter.model:
        converter = convert(averages)
    try:
        return converter.verify(inputs=images, atol=atol, rtol=0)
    except ValueError:
        return False


def measure_application(name: str, size: int, **kwargs: Any) -> dict[str, Any]:
    """
    Convert a network, run it, and compare it with Keras.

    Parameters
    ----------
    name, size, kwargs
        See `make_application`.

    Returns
    -------
    figures : dict
        Seconds of the processor (``"convert"``, ``"build"``, ``"first_run"``,
        ``"next_run"``), ``"memory"`` of the process until then in MB, ``"error"`` (see
        `largest_error`), ``"verified"`` (see `is_verified`), ``"weights"`` (their
        number), and ``"fallbacks"``, what fell back and why.
    """
    model, images = make_application(name, size, **kwargs)
    expected = keras.ops.convert_to_numpy(
        with_average_pooling(model)(images, training=False)
    )
    times = [time.process_time()]
    converter = convert(model)
    times.append(time.process_time())
    with nengo_dl.Simulator(
        converter.net,
        minibatch_size=len(images),
        unroll_simulation=1,
        progress_bar=False,
    ) as sim:
        times.append(time.process_time())
        data = {converter.inputs[model.input]: images.reshape((len(images), 1, -1))}
        for _ in range(2):
            values = sim.predict(data)
            times.append(time.process_time())
    output = values[converter.outputs[model.output]]
    convert_time, build, first_run, next_run = np.diff(times)
    return {
        "weights": model.count_params(),
        "convert": convert_time,
        "build": build,
        "first_run": first_run,
        "next_run": next_run,
        "memory": peak_memory(),
        "error": largest_error(output.reshape((len(images), -1)), expected),
        "verified": is_verified(converter, images, TOLERANCE * spread_of(expected)),
        "fallbacks": fallbacks(converter),
    }


def fallbacks(converter: Any) -> list[str]:
    """
    Return what fell back, with a count and the reason, each kind of layer once.

    Parameters
    ----------
    converter : nengo_dl.Converter
        A converted network.
    """
    counts: dict[str, int] = {}
    for decision in converter.decisions.values():
        if decision.kind == "fallback" or decision.activation is not None:
            text = f"{type(decision.layer).__name__}: {decision.why}"
            counts[text] = counts.get(text, 0) + 1
    return [f"{count} {text}" for text, count in counts.items()]


def peak_memory() -> float:
    """Return the most memory that this process has had, in MB."""
    import resource  # there is none on Windows

    unit = 1 if sys.platform == "darwin" else 1024  # bytes, or kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def measure_in_process(name: str, size: int, timeout: float) -> dict[str, Any]:
    """
    Measure a network in a process of its own.

    Parameters
    ----------
    name, size
        See `make_application`.
    timeout : float
        Seconds after which the process is ended.

    Returns
    -------
    figures : dict
        See `measure_application`; or the last line of what went wrong as ``"failed"``.
    """
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "figures.json")
        command = [sys.executable, "-m", __spec__.name, name, str(size), str(path)]
        environment = worker_environment(Run("nengo_dl", name, "applications"))
        failed = run_process(command, environment, timeout)
        return {"failed": failed} if failed else json.loads(path.read_text())


def table_row(name: str, size: int, figures: dict[str, Any]) -> list[str]:
    """Return the cells of a network."""
    if "failed" in figures:
        return [name, str(size), *[""] * (len(COLUMNS) - 3), figures["failed"]]
    times = [
        f"{figures[key]:.1f} s" for key in ("convert", "build", "first_run", "next_run")
    ]
    return [
        name,
        str(size),
        f"{figures['weights'] / 1e6:.1f} M",
        *times,
        f"{figures['memory'] / 1e3:.1f} GB",
        f"{figures['error']:.1e}",
        "yes" if figures["verified"] else "no",
        ", ".join(text.split(":")[0] for text in figures["fallbacks"]) or "–",
    ]


def reasons_of(all_figures: Sequence[dict[str, Any]]) -> list[str]:
    """Return what fell back in any network, and why, each kind of layer once."""
    texts = (text for f in all_figures for text in f.get("fallbacks", ()))
    return list(dict.fromkeys(text.split(" ", maxsplit=1)[1] for text in texts))


def print_applications(arguments: Sequence[str]) -> None:
    """
    Measure networks and print a table.

    Parameters
    ----------
    arguments : sequence of str
        Those of the command line.
    """
    parser = argparse.ArgumentParser(
        prog="applications", description="Convert networks of keras.applications."
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help=f"default: {', '.join(APPLICATIONS)}")
    add("--size", type=int, default=64, help="height and width of the images")
    add("--timeout", type=float, default=1800, help="limit of a process in seconds")
    parsed = parser.parse_args(arguments)
    unknown = [name for name in parsed.names if name not in APPLICATIONS]
    if unknown:
        parser.error(f"unknown networks: {unknown}; choose from {APPLICATIONS}")
    rows, all_figures = [], []
    for name in parsed.names or APPLICATIONS:
        print(f"... {name}", file=sys.stderr, flush=True)
        size = max(parsed.size, SMALLEST.get(name, 0))
        figures = measure_in_process(name, size, parsed.timeout)
        all_figures.append(figures)
        rows.append(table_row(name, size, figures))
    print(rst_table(COLUMNS, rows), *reasons_of(all_figures), sep="\n")


if __name__ == "__main__":
    result = measure_application(sys.argv[1], int(sys.argv[2]))
    Path(sys.argv[3]).write_text(json.dumps(result))
