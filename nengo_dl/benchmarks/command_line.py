"""
The command line of the benchmarks, ``python -m nengo_dl.benchmarks``.

In: arguments. Out: tables on the standard output, JSON in a file, or, for the commands
``build`` and ``profile``, a network and the time it takes.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from typing import Any

import nengo

from nengo_dl.benchmarks import layer_networks, networks
from nengo_dl.benchmarks.measure import Run
from nengo_dl.benchmarks.models import MODELS
from nengo_dl.benchmarks.plan import (
    Choice,
    NetworkResults,
    measure_network,
    plan_runs,
    plan_training,
)
from nengo_dl.benchmarks.profiler import run_profile
from nengo_dl.benchmarks.tables import NAMES, TABLES, TRAINED, Table, rst_table

DESCRIPTION = """\
Measure simulators against each other and compare their results.

Each measurement has a process of its own, and competitors take turns (A B A B ...);
the tables show medians. Output of the first 0.1 s is compared with nengo.Simulator's:
the largest difference is shown, and the first step at which it is more than rounding
in single precision (a spike that falls into a neighbouring step, after which spiking
networks go their own ways). Training is compared with the same models, written by hand
in Keras.

To profile a single network:
    %(prog)s build --help
    %(prog)s build --benchmark cconv --dimensions 16 profile --time-only
To see what a conversion to spikes costs:
    %(prog)s conversion --help

To convert networks of keras.applications:
    %(prog)s applications --help

To measure other libraries for spiking networks:
    %(prog)s libraries --help

To measure a spiking convolutional network against its products alone:
    %(prog)s convolutions --help

To measure a GPU, in ten minutes:
    %(prog)s gpu --help
"""

RELEASE_SETUP = """\
The last release, NengoDL 3.6, needs an environment of its own with Python 3.10:
    python3.10 -m venv ENV
    ENV/bin/pip install "tensorflow-cpu==2.11.*" nengo==3.2.0 "numpy<1.24" \\
        keras-spiking "progressbar2<4.3" jinja2 packaging "setuptools<70"
    ENV/bin/pip install --no-deps nengo-dl==3.6.0
Then add --competitor-python ENV/bin/python. It is measured with inference_only=True
and at its best of unroll_simulation 1 and 20.

A quick run:
    %(prog)s --networks channel --minibatch 1 --repeats 1 --seconds 0.2
"""

COMMANDS = ("build", "profile")

# The networks that can be built.
BUILDERS: dict[str, Callable[..., nengo.Network]] = {
    "cconv": networks.cconv,
    "integrator": networks.integrator,
    "pes": networks.pes,
    "basal_ganglia": networks.basal_ganglia,
    "random_network": networks.random_network,
    "mnist": layer_networks.mnist,
    "lmu": layer_networks.lmu,
    "spaun": layer_networks.spaun,
}

LABELS = {**NAMES, **TRAINED}
"""What the competitors are called."""

RELEASE = ("release", "release_keras")
"""The competitors in the environment of the last release."""


# Tables that have a module of their own, and the function that prints them.
PRINTERS = {
    "applications": ("applications", "print_applications"),
    "conversion": ("conversion", "print_table"),
    "convolutions": ("convolutions", "print_convolutions"),
    "gpu": ("gpu", "print_devices"),
    "libraries": ("libraries", "print_libraries"),
}


def main(args: Sequence[str] | None = None, obj: dict[str, Any] | None = None) -> None:
    """
    Run the command line.

    Parameters
    ----------
    args : sequence of str or None
        Arguments; those of the process by default.
    obj : dict or None
        Takes the network (``"net"``) of the command ``build`` and the time in seconds
        (``"time"``) of the command ``profile``.

    Raises
    ------
    SystemExit
        When all is done.
    ValueError
        If ``profile`` has no network to profile.
    """
    arguments = list(sys.argv[1:] if args is None else args)
    if arguments and arguments[0] in PRINTERS:
        # some import Keras, which takes seconds
        module, function = PRINTERS[arguments[0]]
        printer = getattr(import_module(f"nengo_dl.benchmarks.{module}"), function)
        printer(arguments[1:])
    elif arguments and arguments[0] in COMMANDS:
        run_commands(arguments, {} if obj is None else obj)
    else:
        print_tables(parse_arguments(arguments))
    sys.exit(0)


# ----------------------------------------------------------------------------- tables


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the parsed arguments of the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m nengo_dl.benchmarks",
        description=DESCRIPTION,
        epilog=RELEASE_SETUP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    group = parser.add_argument_group("tables (simulation and step by default)")
    for name, table in TABLES.items():
        group.add_argument(
            f"--{name}",
            dest="tables",
            action="append_const",
            const=name,
            help=table.title.replace("%", "%%"),
        )
    add = parser.add_argument
    known = [*networks.NETWORKS, *MODELS]
    add("--networks", nargs="+", choices=known, default=[])
    add("--minibatch", nargs="+", type=int, default=[1, 32], metavar="SIZE")
    add("--competitors", nargs="+", choices=LABELS, default=None)
    add("--competitor-python", metavar="PATH", help="interpreter with NengoDL 3.6")
    add("--unroll", nargs="+", type=int, default=[1, 20], help="for NengoDL 3.6")
    add("--device", default=None, help="device of our simulator, such as /gpu:0")
    add("--repeats", type=int, default=3, help="samples of each measurement")
    add("--seconds", type=float, default=1.5, help="length of a timed run")
    add("--long-steps", type=int, default=1_000_000, help="steps of --long")
    add("--timeout", type=float, default=1800, help="limit of a process in seconds")
    what = "times of a step are those of the processor, of all cores"
    add("--processor-time", action="store_true", help=what)
    add("--json", metavar="FILE", help="write all figures to this file")
    parsed = parser.parse_args(arguments)
    if parsed.competitors is None:
        others = RELEASE if parsed.competitor_python else ()
        parsed.competitors = ["nengo", "nengo_dl", "keras", *others]
    elif set(RELEASE) & set(parsed.competitors) and not parsed.competitor_python:
        parser.error("`release` needs an interpreter; give --competitor-python")
    return parsed


def print_tables(parsed: argparse.Namespace) -> None:
    """Measure, print the tables and write the JSON file."""
    choice = Choice(
        competitors=tuple(parsed.competitors),
        minibatches=tuple(parsed.minibatch),
        networks=tuple(parsed.networks),
        release_python=parsed.competitor_python,
        unrolls=tuple(parsed.unroll),
        device=parsed.device,
        repeats=parsed.repeats,
        seconds=parsed.seconds,
        long_steps=parsed.long_steps,
        timeout=parsed.timeout,
        processor_time=parsed.processor_time,
    )
    report: dict[str, Any] = {"machine": describe_machine(), "tables": {}}
    for name in dict.fromkeys(parsed.tables or ["simulation", "step"]):
        measured_networks = []
        records = report["tables"][name] = []
        for measured in measure_table(TABLES[name], choice):
            measured_networks.append(measured)
            records += measured.records()
            if parsed.json:
                Path(parsed.json).write_text(json.dumps(report, indent=1))
        print(format_table(TABLES[name], measured_networks, choice), flush=True)


def measure_table(table: Table, choice: Choice) -> Iterator[NetworkResults]:
    """Yield the results of each network of a table, as soon as they are there."""
    for network in choice.networks or table.networks:
        runs = runs_of_table(table, network, choice)
        if runs:
            yield measure_network(runs, choice, _announce)


def runs_of_table(table: Table, network: str, choice: Choice) -> list[Run]:
    """Return the runs of one network; none if it is not for this table."""
    if table.measure == "training":
        return plan_training(network, choice) if network in MODELS else []
    if network not in networks.NETWORKS:
        return []
    runs = plan_runs(network, table.measure, choice, table.batched, table.unrolled)
    return [run for run in runs if run.competitor in table.competitors]


def _announce(run: Run) -> None:
    """Tell the user on the standard error what is measured now."""
    what = f"{run.network} {run.measure} {run.competitor}"
    settings = f"minibatch={run.minibatch} unroll={run.unroll}"
    print(f"... {what} {settings}", file=sys.stderr, flush=True)


def format_table(
    table: Table, measured_networks: Sequence[NetworkResults], choice: Choice
) -> str:
    """Return the heading, the table, and a line for each run that failed."""
    rows = [
        row for measured in measured_networks for row in table.rows(measured, choice)
    ]
    text = f"\n{table.title}\n\n{rst_table(table.columns, rows)}\n"
    failed = [
        r
        for measured in measured_networks
        for r in measured.results
        if r.error is not None
    ]
    for result in failed:
        what = f"{result.run.network}, {LABELS[result.run.competitor]}"
        settings = f"minibatch {result.run.minibatch}, unroll {result.run.unroll}"
        text += f"\nFailed: {what}, {settings}: {result.error}"
    return text


def describe_machine() -> dict[str, Any]:
    """Return what the reader of the figures needs to know."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "platform": platform.platform(),
        "processor": platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


# -------------------------------------------------------------------------- commands


def run_commands(arguments: Sequence[str], obj: dict[str, Any]) -> None:
    """Run ``build`` and ``profile`` commands that follow each other."""
    starts = [i for i, word in enumerate(arguments) if word in COMMANDS]
    for start, end in zip(starts, [*starts[1:], len(arguments)], strict=True):
        command = build if arguments[start] == "build" else profile
        command(arguments[start + 1 : end], obj)


def build(arguments: Sequence[str], obj: dict[str, Any]) -> None:
    """Build one of the networks of any size and store it as ``obj["net"]``."""
    parser = argparse.ArgumentParser(prog="build", description=build.__doc__)
    add = parser.add_argument
    add("--benchmark", choices=BUILDERS, default="cconv")
    add("--dimensions", type=int, default=128)
    add("--neurons_per_d", "--neurons-per-d", type=int, default=64)
    add("--neuron_type", "--neuron-type", default="RectifiedLinear")
    add(
        "--kwarg",
        action="append",
        default=[],
        metavar="KEY=INT",
        help="further argument of the network, may be repeated",
    )
    parsed = parser.parse_args(arguments)
    builder = BUILDERS[parsed.benchmark]
    kwargs = {
        "dimensions": parsed.dimensions,
        "neurons_per_d": parsed.neurons_per_d,
        "neuron_type": find_neuron_type(parsed.neuron_type)(),
    }
    # the networks of layers have other arguments
    accepted = inspect.signature(builder).parameters
    kwargs = {key: value for key, value in kwargs.items() if key in accepted}
    for argument in parsed.kwarg:
        key, value = argument.split("=")
        kwargs[key] = int(value)
    obj["net"] = builder(**kwargs)


def find_neuron_type(name: str) -> type:
    """Return the neuron type of this name from Nengo or else from NengoDL."""
    if hasattr(nengo, name):
        return getattr(nengo, name)
    import nengo_dl

    return getattr(nengo_dl, name)


def profile(arguments: Sequence[str], obj: dict[str, Any]) -> None:
    """Profile the network in ``obj["net"]`` and store the time as ``obj["time"]``."""
    parser = argparse.ArgumentParser(prog="profile", description=profile.__doc__)
    add = parser.add_argument
    add("--train", action=argparse.BooleanOptionalAction, default=False)
    add("--n_steps", "--n-steps", type=int, default=150)
    add("--batch_size", "--batch-size", type=int, default=1)
    add("--device", default=None)
    add("--unroll", type=int, default=1)
    add("--time-only", action="store_true", help="write no TensorFlow profile")
    parsed = parser.parse_args(arguments)
    if "net" not in obj:
        raise ValueError(
            "`profile` needs a network and got none; put `build` before `profile`"
        )
    obj["time"] = run_profile(
        obj["net"],
        train=parsed.train,
        n_steps=parsed.n_steps,
        do_profile=not parsed.time_only,
        minibatch_size=parsed.batch_size,
        device=parsed.device,
        unroll_simulation=parsed.unroll,
    )
