"""
Run measurements, each in a process of its own, and take medians.

In: a list of `Run`. Out: one `Result` for each, from samples that were taken in
turns (A B A B ...), with the output of the first steps for comparison.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

WORKER = Path(__file__).with_name("worker.py")

PACKAGE_PARENT = Path(__file__).resolve().parents[2]
"""Where our own interpreter finds this package, installed or not."""


@dataclass(frozen=True)
class Run:
    """
    What one process is to measure.

    Parameters
    ----------
    competitor : str
        Who is measured: "nengo", "nengo_dl", "release", the last NengoDL release,
        "keras", "release_keras", the Keras that the last release needs, or another
        library (see `.libraries`).
    network : str
        Key in `.networks.NETWORKS`, or in `.models.MODELS` for training.
    measure : str
        Key in `.worker.MEASURES`, or "training".
    python : str
        Interpreter that runs the worker.
    minibatch : int or None
        Minibatch size; None for Nengo, which knows no minibatches.
    unroll : int
        Simulation steps in one iteration of the loop.
    inference_only : bool
        Whether the simulator is told that it will never train.
    device : str or None
        Device of the simulator.
    """

    competitor: str
    network: str
    measure: str
    python: str = sys.executable
    minibatch: int | None = None
    unroll: int = 1
    inference_only: bool = False
    device: str | None = None

    @property
    def backend(self) -> str:
        """Name of the package whose simulator runs, or whose model is trained."""
        return {"release": "nengo_dl", "release_keras": "keras"}.get(
            self.competitor, self.competitor
        )

    def arguments(self) -> list[str]:
        """Return the arguments of the worker."""
        arguments = [
            f"--backend={self.backend}",
            f"--network={self.network}",
            f"--measure={self.measure}",
            f"--unroll={self.unroll}",
        ]
        if self.minibatch is not None:
            arguments.append(f"--minibatch={self.minibatch}")
        if self.inference_only:
            arguments.append("--inference-only")
        if self.device is not None:
            arguments.append(f"--device={self.device}")
        return arguments


@dataclass
class Result:
    """
    The samples of one `Run`.

    Parameters
    ----------
    run : Run
        What was measured.
    samples : list of dict
        The figures of each process.
    output : (minibatch, n_steps, size) array or None
        Output of the first steps; None after training.
    error : str or None
        Last line of what the process printed when it failed.
    """

    run: Run
    samples: list[dict[str, Any]] = field(default_factory=list)
    output: np.ndarray | None = None
    error: str | None = None

    def median(self, figure: str) -> float:
        """Return the median of a figure over the samples, NaN without samples."""
        values = [s[figure] for s in self.samples if s.get(figure) is not None]
        return statistics.median(values) if values else math.nan

    def as_dict(self) -> dict[str, Any]:
        """Return what is written as JSON."""
        run = {k: v for k, v in vars(self.run).items() if k != "python"}
        return {**run, "samples": self.samples, "error": self.error}


def interleave(
    runs: Sequence[Run],
    repeats: int,
    options: Sequence[str] = (),
    timeout: float | None = None,
    notify: Callable[[Run], None] = lambda run: None,
) -> list[Result]:
    """
    Measure all runs in turns, ``repeats`` times.

    Parameters
    ----------
    runs : sequence of Run
        What is measured.
    repeats : int
        How many samples of each run are taken.
    options : sequence of str
        Further arguments of every worker.
    timeout : float or None
        Seconds after which a process is ended.
    notify : callable
        Called with each run before it starts.

    Returns
    -------
    results : list of Result
        One for each run. A run that failed is not tried again.
    """
    results = [Result(run) for run in runs]
    for _ in range(repeats):
        for result in results:
            if result.error is None:
                notify(result.run)
                take_sample(result, options, timeout)
    return results


def take_sample(
    result: Result, options: Iterable[str] = (), timeout: float | None = None
) -> None:
    """Run the worker once and add its figures, or its error, to ``result``."""
    with tempfile.TemporaryDirectory() as directory:
        figures = Path(directory, "figures.json")
        output = Path(directory, "output.npy")
        command = [result.run.python, str(WORKER), *result.run.arguments(), *options]
        command += [f"--result={figures}", f"--output={output}"]
        result.error = run_process(command, worker_environment(result.run), timeout)
        if result.error is None:
            result.samples.append(json.loads(figures.read_text()))
            if output.exists():
                result.output = np.load(output)


def run_process(
    command: Sequence[str], environment: dict[str, str], timeout: float | None
) -> str | None:
    """Run a command; return None, or the last line it printed if it failed."""
    try:
        subprocess.run(
            command,
            env=environment,
            timeout=timeout,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    except subprocess.TimeoutExpired:
        return f"took longer than {timeout:g} s"
    except subprocess.CalledProcessError as err:
        lines = err.stdout.strip().splitlines()
        return lines[-1] if lines else f"exit status {err.returncode}"
    return None


def worker_environment(run: Run) -> dict[str, str]:
    """Return a worker's environment: only our own interpreter finds this package."""
    environment = dict(os.environ)
    environment.pop("PYTHONPATH", None)
    if run.python == sys.executable:
        environment["PYTHONPATH"] = str(PACKAGE_PARENT)
    return environment
