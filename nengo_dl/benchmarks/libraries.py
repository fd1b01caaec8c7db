"""
Other libraries for spiking networks beside ours: ``benchmarks libraries``.

In: interpreters that have them. Out: a table of simulations, with nengo-torch, and one
of training through spikes, with snnTorch and SpikingJelly. What is not installed is
listed as such.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nengo_dl.benchmarks.measure import Result, Run, run_process, worker_environment
from nengo_dl.benchmarks.networks import NETWORKS
from nengo_dl.benchmarks.plan import Choice, NetworkResults, measure_network
from nengo_dl.benchmarks.spiking_training import LIBRARIES, Task
from nengo_dl.benchmarks.tables import NOTHING, rst_table

TRAINER = Path(__file__).with_name("spiking_training.py")

DESCRIPTION = """\
Measure other libraries for spiking networks, each in a process of its own, in turns.

The first table has microseconds of a step of simulation, with one item, and the largest
difference of the outputs of nengo-torch and NengoDL from those of Nengo in the first
0.1 s. The second one has milliseconds to train with one batch through spikes, and the
mean losses of the first two epochs, which are the same until a voltage is within
rounding of the threshold. Times of the processor are in parentheses; where others use
the machine, these are the ones to compare.

The others need an environment of their own:
    python3 -m venv ENV
    ENV/bin/pip install torch nengo-torch snntorch spikingjelly "numpy<2.4"
Then add --torch-python ENV/bin/python; and --competitor-python for NengoDL 3.6, as for
the other tables. For one thread each, set OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1.
"""

SIMULATORS = {
    "nengo": "Nengo",
    "release": "last release",
    "nengo_torch": "nengo-torch",
    "nengo_dl": "NengoDL",
}

TRAINERS = {
    "snntorch": "snnTorch",
    "spikingjelly": "SpikingJelly",
    "nengo_dl": "NengoDL",
}

SIMULATION_COLUMNS = (
    "network",
    *SIMULATORS.values(),
    "their ratios to NengoDL",
    "largest differences",
)

TRAINING_COLUMNS = ("library", "ms per batch", "/NengoDL", "losses", "versions")


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the parsed arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m nengo_dl.benchmarks libraries",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    here = sys.executable
    add("--torch-python", metavar="PATH", default=here, help="has the other libraries")
    add("--competitor-python", metavar="PATH", help="interpreter with NengoDL 3.6")
    small = ["channel", "integrator", "pes"]
    add("--networks", nargs="*", choices=NETWORKS, default=small, help="simulated")
    add("--sizes", nargs="+", type=int, default=list(Task.sizes), help="of the layers")
    add("--steps", type=int, default=Task.n_steps, help="of training, in time")
    add("--minibatch", type=int, default=Task.minibatch, help="of training")
    add("--repeats", type=int, default=3, help="samples of each measurement")
    add("--seconds", type=float, default=1.5, help="length of a timed run")
    add("--timeout", type=float, default=1800, help="limit of a process in seconds")
    return parser.parse_args(arguments)


def print_libraries(arguments: Sequence[str]) -> None:
    """
    Measure, and print the tables.

    Parameters
    ----------
    arguments : sequence of str
        Those of the command line.
    """
    parsed = parse_arguments(arguments)
    failed: list[Result] = []
    rows = []
    for network in parsed.networks:
        measured = measure_simulators(network, parsed)
        failed += measured.results
        rows.append(simulation_row(measured))
    if rows:
        title = "Time of a simulation step in µs"
        print(f"\n{title}\n\n{rst_table(SIMULATION_COLUMNS, rows)}", flush=True)
    trained = measure_training(parsed)
    sizes = "-".join(map(str, parsed.sizes))
    title = f"Training {sizes}, {parsed.steps} steps, minibatch {parsed.minibatch}"
    table = rst_table(TRAINING_COLUMNS, training_rows(trained))
    print(f"\n{title}\n\n{table}", flush=True)
    for result in [*failed, *trained]:
        if result.error is not None and not is_missing(result):
            what = f"{result.run.network}, {result.run.competitor}"
            print(f"\nFailed: {what}: {result.error}")


def is_missing(result: Result) -> bool:
    """Return whether a library is not installed."""
    return "No module named" in (result.error or "")


def _pair(result: Result | None, figure: str) -> str:
    """Return a time, and that of the processor in parentheses."""
    if result is None or not result.samples:
        return NOTHING
    return f"{result.median(figure):,.1f} ({result.median(f'cpu_{figure}'):,.1f})"


def _ratios(result: Result | None, ours: Result, figure: str) -> str:
    """Return how many times as long as ours something takes, and the processor."""
    if result is None or not (result.samples and ours.samples):
        return NOTHING
    wall, cpu = (
        result.median(name) / ours.median(name) for name in (figure, f"cpu_{figure}")
    )
    return f"{wall:.3g}× ({cpu:.3g}×)"


def figure_of(result: Result | None, text: str) -> str:
    """Return a figure, or why there is none."""
    if result is None:
        return NOTHING
    if result.error is not None:
        return "not installed" if is_missing(result) else "failed"
    return text


# ------------------------------------------------------------------------- simulation


def measure_simulators(network: str, parsed: argparse.Namespace) -> NetworkResults:
    """Measure one network with all simulators."""
    ours = Run("nengo_dl", network, "speed", minibatch=1)
    runs = [Run("nengo", network, "speed"), ours]
    runs.append(Run("nengo_torch", network, "speed", python=parsed.torch_python))
    if parsed.competitor_python:
        runs.append(
            Run(
                "release",
                network,
                "speed",
                python=parsed.competitor_python,
                minibatch=1,
                unroll=20,
                inference_only=True,
            )
        )
    choice = Choice(
        tuple(SIMULATORS),
        repeats=parsed.repeats,
        seconds=parsed.seconds,
        timeout=parsed.timeout,
    )
    return measure_network(runs, choice, _announce)


def _announce(run: Run) -> None:
    """Tell the user on the standard error what is measured now."""
    print(f"... {run.network} {run.competitor}", file=sys.stderr, flush=True)


def simulation_row(measured: NetworkResults) -> list[str]:
    """Return the cells of one network."""
    results = {result.run.competitor: result for result in measured.results}
    cells, ratios = [], []
    for name in SIMULATORS:
        result, ours = results.get(name), results["nengo_dl"]
        cells.append(figure_of(result, _pair(result, "us_per_step")))
        if name != "nengo_dl":
            ratios.append(figure_of(result, _ratios(result, ours, "us_per_step")))
    differences = [
        str(measured.comparison(results[name]) or NOTHING)
        for name in ("nengo_torch", "nengo_dl")
    ]
    title = NETWORKS[measured.network][0]
    return [title, *cells, ", ".join(ratios), ", ".join(differences)]


# --------------------------------------------------------------------------- training


def measure_training(parsed: argparse.Namespace) -> list[Result]:
    """Train by all libraries, in turns."""
    results = []
    for library in LIBRARIES:
        here = library == "nengo_dl"
        python = sys.executable if here else parsed.torch_python
        results.append(Result(Run(library, "training", "training", python=python)))
    for _ in range(parsed.repeats):
        for result in results:
            if result.error is None:
                _announce(result.run)
                _take_sample(result, parsed)
    return results


def _take_sample(result: Result, parsed: argparse.Namespace) -> None:
    """Train once, and add figures or the error to ``result``."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "figures.json")
        options: dict[str, Any] = {
            "library": result.run.competitor,
            "steps": parsed.steps,
            "minibatch": parsed.minibatch,
            "seconds": parsed.seconds,
            "result": path,
        }
        command = [result.run.python, str(TRAINER)]
        command += [f"--{name}={value}" for name, value in options.items()]
        command += ["--sizes", *map(str, parsed.sizes)]
        environment = worker_environment(result.run)
        result.error = run_process(command, environment, parsed.timeout)
        if result.error is None:
            result.samples.append(json.loads(path.read_text()))


def training_rows(results: Sequence[Result]) -> list[list[str]]:
    """Return the cells of all libraries."""
    ours = next(r for r in results if r.run.competitor == "nengo_dl")
    rows = []
    for result in results:
        name = TRAINERS[result.run.competitor]
        if result.error is not None:
            rows.append([name, figure_of(result, ""), NOTHING, NOTHING, NOTHING])
            continue
        sample = result.samples[-1]
        rows.append(
            [
                name,
                _pair(result, "ms_per_batch"),
                _ratios(result, ours, "ms_per_batch"),
                ", ".join(f"{loss:.4f}" for loss in sample["losses"]),
                ", ".join(f"{k} {v}" for k, v in sample["versions"].items()),
            ]
        )
    return rows
