"""
What spikes cost: accuracy of converted networks against the spikes that they take.

In: a trained Keras model, and images. Out: a table with a row for every way to convert,
and a picture. Run by ``python -m nengo_dl.benchmarks conversion``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from nengo_dl.benchmarks.conversion_runs import (
    NEURON_TYPES,
    SETTINGS,
    Outcome,
    Setting,
    measure,
)
from nengo_dl.benchmarks.image_models import (
    NETWORKS,
    Images,
    load_images,
    load_or_train,
)
from nengo_dl.benchmarks.tables import NOTHING, rst_table

COLUMNS = (
    "neurons",
    "thresholds",
    "T",
    "lost (worst)",
    "same, %",
    "per step",
    "spikes",
    "most",
    "error ratio",
)

LEGEND = """\
lost: accuracy in Keras minus that with spikes, in points: mean of all calibrations, and
the worst one. same: images in the same class as in Keras. per step, spikes: spikes of a
neuron in a step, in an inference. most: in one step. error ratio: measured error of
each layer divided by the predicted one, smallest and largest."""


def by_setting(outcomes: Sequence[Outcome]) -> Iterator[list[Outcome]]:
    """Yield the outcomes of all seeds of each setting."""
    for setting in dict.fromkeys(outcome.setting for outcome in outcomes):
        yield [outcome for outcome in outcomes if outcome.setting == setting]


def row(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the row of a setting: means over seeds."""
    setting = outcomes[0].setting
    losses = [outcome.loss for outcome in outcomes]
    ratios = [ratio for outcome in outcomes for ratio in outcome.error_ratios]
    spikes = [outcome.spikes for outcome in outcomes]
    steps = [outcome.n_steps for outcome in outcomes]
    return [
        setting.neurons,
        setting.thresholds,
        ", ".join(map(str, sorted(set(steps)))),
        f"{np.mean(losses):.2f} ({max(losses):.2f})",
        f"{100 * np.mean([outcome.agreement for outcome in outcomes]):.2f}",
        f"{np.mean(np.divide(spikes, steps)):.3f}",
        f"{np.mean(spikes):.2f}",
        str(max(outcome.most_spikes for outcome in outcomes)),
        f"{min(ratios):.2f} … {max(ratios):.2f}" if ratios else NOTHING,
    ]


def table(outcomes: Sequence[Outcome]) -> str:
    """Return an RST table of all settings."""
    return rst_table(COLUMNS, [row(found) for found in by_setting(outcomes)])


def draw(outcomes: Sequence[Outcome], path: str) -> None:
    """Draw what is lost over spikes, a line for each neuron type, with steps."""
    pyplot: Any = import_module("matplotlib.pyplot")
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for neurons in NEURON_TYPES:
        points = sorted(
            (
                float(np.mean([outcome.spikes for outcome in found])),
                float(np.mean([outcome.loss for outcome in found])),
                found[0].n_steps,
            )
            for found in by_setting(outcomes)
            if found[0].setting.neurons == neurons
        )
        if points:
            spikes, losses, steps = zip(*points)
            axes.plot(spikes, losses, "o-", label=neurons, markersize=4)
            for x, y, n_steps in zip(spikes, losses, steps):
                axes.annotate(f" {n_steps}", (x, y), fontsize=8)
    axes.axhline(0, color="0.6", linestyle="--", linewidth=1)
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=1)
    axes.invert_yaxis()
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.set(xlabel="spikes of a neuron in an inference", ylabel="points lost")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


# ------------------------------------------------------------------- the command line


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the parsed arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m nengo_dl.benchmarks conversion", description=__doc__
    )
    add = parser.add_argument
    add("--data", metavar="NPZ", help="images and labels; by default small digits")
    add("--network", choices=NETWORKS, default="conv")
    add("--model", metavar="FILE", help="load the network, or train it and save it")
    add("--epochs", type=int, default=8, help="epochs of training")
    groups = [group for group in SETTINGS if group != "deep"]
    add("--settings", nargs="+", choices=SETTINGS, default=groups, help="groups")
    add("--steps", nargs="+", type=int, help="only settings with these steps")
    add("--calibration-images", type=int, default=768, metavar="N")
    add("--test-images", type=int, default=None, metavar="N")
    add("--seeds", type=int, default=3, help="sets of calibration images")
    add("--figure", metavar="FILE", help="draw the table")
    add("--json", metavar="FILE", help="write all figures to this file")
    known = "figures of earlier runs, which are not measured again"
    add("--known", nargs="+", default=[], metavar="FILE", help=known)
    return parser.parse_args(arguments)


def print_table(arguments: Sequence[str]) -> None:
    """Measure, print the table, and write the files."""
    parsed = parse_arguments(arguments)
    train, test = load_images(parsed.data)
    test = Images(*(values[: parsed.test_images] for values in test))
    model = load_or_train(parsed.model, parsed.network, train, parsed.epochs)
    outcomes = [outcome for path in parsed.known for outcome in read_outcomes(path)]
    known = {(outcome.setting, outcome.seed) for outcome in outcomes}
    for seed in range(parsed.seeds):
        for setting in chosen_settings(parsed.settings, parsed.steps):
            if (setting, seed) not in known:
                print(f"... {setting} {seed=}", file=sys.stderr, flush=True)
                n = parsed.calibration_images
                outcomes.append(measure(model, setting, seed, train, test, n))
                if parsed.json:
                    text = json.dumps([asdict(outcome) for outcome in outcomes])
                    Path(parsed.json).write_text(text)
    reference = model.predict(test.pixels, verbose=0).argmax(axis=-1)
    accuracy = np.mean(reference == test.labels)
    print(f"\n{len(test.labels)} images, accuracy in Keras {accuracy:.2%}\n")
    print(f"{table(outcomes)}\n\n{LEGEND}", flush=True)
    if parsed.figure:
        draw(outcomes, parsed.figure)


def chosen_settings(
    groups: Sequence[str], steps: Sequence[int] | None
) -> list[Setting]:
    """Return the settings of groups, each once, with certain numbers of steps."""
    found = dict.fromkeys(setting for group in groups for setting in SETTINGS[group])
    return [setting for setting in found if steps is None or setting.n_steps in steps]


def read_outcomes(path: str) -> list[Outcome]:
    """Read what an earlier run has written."""
    records = json.loads(Path(path).read_text())
    for record in records:
        record["setting"] = Setting(**record["setting"])
        record["error_ratios"] = tuple(record["error_ratios"])
    return [Outcome(**record) for record in records]
