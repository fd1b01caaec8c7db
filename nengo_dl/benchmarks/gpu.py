"""
What a GPU does, in ten minutes: ``benchmarks gpu``.

In: the devices of this machine. Out: tables of simulations by the size of the
minibatch, with and without command buffers of XLA, of where the GPU overtakes the CPU,
and of training against Keras. Without a GPU, the devices that there are are measured.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nengo_dl.benchmarks.measure import PACKAGE_PARENT, Run, run_process
from nengo_dl.benchmarks.models import MODELS
from nengo_dl.benchmarks.networks import NETWORKS
from nengo_dl.benchmarks.plan import (
    Choice,
    NetworkResults,
    measure_network,
    plan_training,
)
from nengo_dl.benchmarks.tables import NOTHING, SMALL, TABLES, rst_table

SWEEP = (sys.executable, "-m", "nengo_dl.benchmarks.sweep")

COMMAND_BUFFERS = (
    "--xla_gpu_enable_command_buffer=FUSION,CUBLAS,CUSTOM_CALL,CUDNN,CONDITIONAL,"
    "WHILE,DYNAMIC_SLICE_FUSION,CUBLASLT --xla_gpu_graph_min_graph_size=1"
)
"""Flags with which XLA records loops as graphs of CUDA, and starts these as a whole."""

DESCRIPTION = """\
Measure simulations and training on the devices of this machine, in ten minutes.

The tables have microseconds of a simulation step by the size of the minibatch, on the
CPU, on the GPU, and on the GPU with command buffers (loops that run as CUDA graphs, by
XLA_FLAGS); the size from which on the GPU is faster; and milliseconds to train with one
batch, with the ratio to Keras on the same device. Output of the first 0.1 s is compared
with nengo.Simulator's. Every network has a process of its own on each device. Whoever
takes too long is cut off, so that there is something of everything.

Prepare the machine first (`python -m nengo_dl` says what TensorFlow sees), then:
    %(prog)s --json gpu.json
"""

SIZES = (1, 32, 512, 4096)

TRAINED = ("autoencoder", "convolutional", "layers", "recurrent")

# No process has less time than this, in seconds.
SHORTEST = 20


@dataclass(frozen=True)
class Variant:
    """A device, and flags of XLA; ``label`` is what the tables call it."""

    label: str
    device: str
    flags: str = ""

    def environment(self) -> dict[str, str]:
        """Return the environment of its processes."""
        environment = {**os.environ, "PYTHONPATH": str(PACKAGE_PARENT)}
        flags = f"{environment.get('XLA_FLAGS', '')} {self.flags}".strip()
        return {**environment, "XLA_FLAGS": flags} if flags else environment


@dataclass
class Sweep:
    """What one process has measured: figures by the size of the minibatch."""

    network: str
    variant: Variant
    figures: dict[int, dict[str, Any]] = field(default_factory=dict)
    error: str | None = None

    def us_per_step(self, size: int) -> float | None:
        """Return the time of a step in µs, if it was measured."""
        return self.figures.get(size, {}).get("us_per_step")


class Budget:
    """The time that is left, in equal shares for the processes that are left."""

    def __init__(self, seconds: float, n_processes: int):
        self._end = time.monotonic() + seconds
        self._n_left = n_processes

    def share(self, n_processes: int = 1) -> float:
        """Return the seconds of each of the next processes."""
        left = self._end - time.monotonic()
        # most need less than they may take
        share = max(SHORTEST, 1.5 * left / max(1, self._n_left))
        self._n_left -= n_processes
        return share


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the parsed arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m nengo_dl.benchmarks gpu",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--networks", nargs="*", choices=NETWORKS, default=SMALL, help="simulated")
    add("--models", nargs="*", choices=MODELS, default=TRAINED, help="trained")
    add("--minibatch", nargs="+", type=int, default=list(SIZES), metavar="SIZE")
    add("--devices", nargs="+", default=None, help="such as /gpu:0; one of each kind")
    add("--minutes", type=float, default=10, help="about how long all of it takes")
    add("--seconds", type=float, default=0.3, help="length of a timed run")
    add("--logical-cpus", type=int, default=1, help="to try this out without a GPU")
    add("--json", metavar="FILE", help="write all figures to this file")
    return parser.parse_args(arguments)


def print_devices(arguments: Sequence[str]) -> None:
    """
    Measure, and print the tables.

    Parameters
    ----------
    arguments : sequence of str
        Those of the command line.

    Raises
    ------
    SystemExit
        If TensorFlow cannot be started, or does not know a device.
    """
    parsed = parse_arguments(arguments)
    known = find_devices(parsed.logical_cpus)
    variants = choose_variants(known, parsed.devices)
    print("Devices: " + ", ".join(" ".join(d.values()).strip() for d in known))
    if not any("gpu" in device["name"] for device in known):
        print(
            "TensorFlow finds no GPU here (the documentation says what it needs"
            " for one). What follows is of the CPU.",
            flush=True,
        )
    devices = list(dict.fromkeys(variant.device for variant in variants))
    if parsed.logical_cpus > 1:
        devices = devices[:1]  # those that train do not split the CPU
    n_sweeps = len(parsed.networks) * len(variants)
    n_trained = sum(1 + (MODELS[m].by_hand is not None) for m in parsed.models)
    budget = Budget(60 * parsed.minutes, n_sweeps + n_trained * len(devices))
    report: dict[str, Any] = {"devices": known, "simulation": [], "training": []}

    sweeps: list[Sweep] = []
    for network in parsed.networks:
        group = [run_sweep(network, v, parsed, budget.share()) for v in variants]
        sweeps += group
        report["simulation"] += [as_record(sweep) for sweep in group]
        _write(parsed.json, report)
    if sweeps:
        print_simulations(sweeps, variants, parsed.minibatch)

    rows, failed = [], []
    for model in parsed.models:
        for device in devices:
            measured = train(model, device, parsed.seconds, budget)
            rows.append([device, *training_cells(measured)])
            report["training"] += measured.records()
            failed += [r for r in measured.results if r.error is not None]
            _write(parsed.json, report)
    if rows:
        title = "Time to train with one batch in ms (of the processor)"
        print(f"\n{title}\n\n{rst_table(TRAINING_COLUMNS, rows)}", flush=True)
    for result in failed:
        what = f"{result.run.network}, {result.run.competitor}, {result.run.device}"
        print(f"\nFailed: {what}: {result.error}")


def _write(path: str | None, report: dict[str, Any]) -> None:
    if path is not None:
        Path(path).write_text(json.dumps(report, indent=1))


# ---------------------------------------------------------------------------- devices


def find_devices(logical_cpus: int) -> list[dict[str, str]]:
    """Ask TensorFlow, in a process of its own, for the devices of this machine."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "devices.json")
        options = ["--devices", f"--logical-cpus={logical_cpus}", f"--result={path}"]
        error = run_process([*SWEEP, *options], Variant("", "").environment(), 120)
        if error is not None:
            raise SystemExit(f"TensorFlow could not be started: {error}")
        return json.loads(path.read_text())


def choose_variants(
    known: Sequence[dict[str, str]], chosen: Sequence[str] | None
) -> list[Variant]:
    """
    Return what is measured: one CPU and one GPU, if no devices were chosen.

    Raises
    ------
    SystemExit
        If a chosen device is not known.
    """
    names = [device["name"] for device in known]
    if chosen is None:
        chosen = [name for name in ("/cpu:0", "/gpu:0") if name in names]
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise SystemExit(f"--devices must be of {names}; received {unknown}")
    variants = [Variant(name, name) for name in chosen]
    for name in chosen:
        if "gpu" in name:
            variants.append(Variant(f"{name}, buffers", name, COMMAND_BUFFERS))
    return variants


# ------------------------------------------------------------------------- simulation


def run_sweep(
    network: str, variant: Variant, parsed: argparse.Namespace, seconds: float
) -> Sweep:
    """Measure a network with all sizes of minibatches, as far as time allows."""
    print(f"... {network} {variant.label}", file=sys.stderr, flush=True)
    sweep = Sweep(network, variant)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "figures.json")
        options = {
            "network": network,
            "device": variant.device,
            "seconds": parsed.seconds,
            "limit": seconds / 2,
            "logical-cpus": parsed.logical_cpus,
            "result": path,
        }
        command = [*SWEEP, "--minibatch", *map(str, parsed.minibatch)]
        command += [f"--{name}={value}" for name, value in options.items()]
        sweep.error = run_process(command, variant.environment(), seconds)
        if path.exists():
            points = json.loads(path.read_text())
            sweep.figures = {point["minibatch"]: point for point in points}
    for point in sweep.figures.values():
        sweep.error = sweep.error or point.get("error")
    return sweep


def as_record(sweep: Sweep) -> dict[str, Any]:
    """Return what is written as JSON."""
    record = {"network": sweep.network, **vars(sweep.variant), "error": sweep.error}
    return {**record, "figures": list(sweep.figures.values())}


def print_simulations(
    sweeps: Sequence[Sweep], variants: Sequence[Variant], sizes: Sequence[int]
) -> None:
    """Print the tables of simulations, and what failed."""
    labels = [variant.label for variant in variants]
    columns = ["network", "minibatch", *labels, "largest differences"]
    rows = [
        simulation_row([s for s in sweeps if s.network == network], size)
        for network in dict.fromkeys(sweep.network for sweep in sweeps)
        for size in sizes
    ]
    title = "Time of a simulation step in µs"
    print(f"\n{title}\n\n{rst_table(columns, rows)}", flush=True)
    rows = overtaking_rows(sweeps, sizes)
    if rows:
        title = "The size of the minibatch from which on a device is faster than"
        title += f" {labels[0]}"
        print(f"\n{title}\n\n{rst_table(['network', *labels[1:]], rows)}", flush=True)
    for sweep in sweeps:
        if sweep.error is not None:
            what = f"{sweep.network}, {sweep.variant.label}"
            print(f"\nNot complete: {what}: {sweep.error}", flush=True)


def simulation_row(sweeps: Sequence[Sweep], size: int) -> list[str]:
    """Return the cells of one network and size."""
    times = [sweep.us_per_step(size) for sweep in sweeps]
    cells = [NOTHING if time is None else f"{time:,.1f}" for time in times]
    differences = [s.figures.get(size, {}).get("difference", NOTHING) for s in sweeps]
    title = NETWORKS[sweeps[0].network][0]
    return [title, str(size), *cells, " / ".join(differences)]


def overtaking_rows(sweeps: Sequence[Sweep], sizes: Sequence[int]) -> list[list[str]]:
    """Return a row for each network, unless there is but one variant."""
    rows = []
    for network in dict.fromkeys(sweep.network for sweep in sweeps):
        first, *others = (s for s in sweeps if s.network == network)
        if others:
            cells = [_overtakes(other, first, sizes) for other in others]
            rows.append([NETWORKS[network][0], *cells])
    return rows


def _overtakes(other: Sweep, first: Sweep, sizes: Sequence[int]) -> str:
    """Return the smallest size with which ``other`` is faster."""
    compared = False
    for size in sorted(sizes):
        ours, theirs = other.us_per_step(size), first.us_per_step(size)
        if ours is not None and theirs is None and compared:
            return f"≤ {size}"  # the first one was cut off
        if ours is None or theirs is None:
            continue
        compared = True
        if ours < theirs:
            return str(size)
    return "never" if compared else NOTHING


# --------------------------------------------------------------------------- training

TRAINING_COLUMNS = (
    "device",
    "model",
    "minibatch",
    "Keras",
    "NengoDL",
    "NengoDL/Keras",
    "difference of losses",
)


def train(model: str, device: str, seconds: float, budget: Budget) -> NetworkResults:
    """Measure training with NengoDL and Keras on one device."""
    competitors = ("nengo_dl", "keras")
    runs = plan_training(model, Choice(competitors, device=device))
    choice = Choice(competitors, seconds=seconds, timeout=budget.share(len(runs)))
    return measure_network(runs, choice, _announce)


def _announce(run: Run) -> None:
    """Tell the user on the standard error what is measured now."""
    what = f"{run.network} {run.competitor} {run.device}"
    print(f"... training {what}", file=sys.stderr, flush=True)


def training_cells(measured: NetworkResults) -> list[str]:
    """Return the cells of one model, without the device."""
    table = TABLES["training"]
    (row,) = table.rows(measured, Choice(()))
    cells = dict(zip(table.columns, row, strict=True))
    return [cells[column] for column in TRAINING_COLUMNS[1:]]
