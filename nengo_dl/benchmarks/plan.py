"""
What has to be run for a table, and what came of it.

In: the user's `Choice`. Out: the `Run` objects of one network, and, once they were
measured, a `NetworkResults` that answers who was how fast and whose output is right.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nengo_dl.benchmarks.compare import Comparison, compare
from nengo_dl.benchmarks.measure import Result, Run, interleave
from nengo_dl.benchmarks.models import MODELS


@dataclass(frozen=True)
class Choice:
    """
    What the user wants to see.

    Parameters
    ----------
    competitors : tuple of str
        Competitors, as in `.measure.Run`.
    minibatches : tuple of int
        Minibatch sizes of simulations.
    networks : tuple of str
        Networks and trained models; those of each table if there are none.
    release_python : str or None
        Interpreter that has the last release.
    unrolls : tuple of int
        Values of ``unroll_simulation`` to try with the last release.
    device : str or None
        Device of our simulator.
    repeats : int
        Samples of each run.
    seconds : float
        How long a timed run is to last.
    long_steps : int
        Steps of the long run.
    timeout : float or None
        Seconds after which a process is ended.
    processor_time : bool
        Whether steps of simulation are to be told in time of the processor.
    """

    competitors: tuple[str, ...]
    minibatches: tuple[int, ...] = (1,)
    networks: tuple[str, ...] = ()
    release_python: str | None = None
    unrolls: tuple[int, ...] = (1, 20)
    device: str | None = None
    repeats: int = 1
    seconds: float = 1.5
    long_steps: int = 1_000_000
    timeout: float | None = None
    processor_time: bool = False


def plan_runs(
    network: str, measure: str, choice: Choice, batched: bool, unrolled: bool
) -> list[Run]:
    """
    Return the runs of one network.

    Parameters
    ----------
    network : str
        Key in `.networks.NETWORKS`.
    measure : str
        Key in `.worker.MEASURES`.
    choice : Choice
        What the user wants to see.
    batched : bool
        Whether the minibatch sizes that were chosen apply; the size is 1 otherwise.
    unrolled : bool
        Whether the last release is also tried with several steps per iteration.

    Returns
    -------
    runs : list of Run
        Nengo's once, since it knows no minibatches.
    """
    runs = []
    if "nengo" in choice.competitors:
        runs.append(Run("nengo", network, measure))
    for minibatch in choice.minibatches if batched else (1,):
        ours = Run("nengo_dl", network, measure, minibatch=minibatch)
        if "nengo_dl" in choice.competitors:
            runs.append(replace(ours, device=choice.device))
        if "release" in choice.competitors:
            unrolls = choice.unrolls if unrolled else choice.unrolls[:1]
            runs += [_release_run(ours, choice, unroll) for unroll in unrolls]
    return runs


def _release_run(
    ours: Run, choice: Choice, unroll: int, inference_only: bool = True
) -> Run:
    """Return the run of the last release, at its best settings, against ``ours``."""
    return replace(
        ours,
        competitor="release",
        python=choice.release_python or sys.executable,
        unroll=unroll,
        inference_only=inference_only,
    )


def plan_training(network: str, choice: Choice) -> list[Run]:
    """
    Return the runs that train one model.

    Parameters
    ----------
    network : str
        Key in `.models.MODELS`.
    choice : Choice
        What the user wants to see.

    Returns
    -------
    runs : list of Run
        Those of Keras, if the model exists there, are next to those that are compared
        with them.
    """
    model = MODELS[network]
    ours = Run("nengo_dl", network, "training", minibatch=model.minibatch)
    here = replace(ours, device=choice.device)
    # The number of steps must be a multiple of those in one iteration.
    unrolls = [n for n in choice.unrolls if model.n_steps % n == 0]
    there = [_release_run(ours, choice, n, inference_only=False) for n in unrolls]
    runs = [here, replace(here, competitor="keras"), *there]
    runs += [replace(run, competitor="release_keras") for run in there[:1]]
    return [
        run
        for run in runs
        if run.competitor in choice.competitors
        and (run.backend != "keras" or model.by_hand is not None)
    ]


def reference_runs(runs: Sequence[Run]) -> list[Run]:
    """
    Return runs of Nengo for each interpreter in which none of ``runs`` runs Nengo.

    The output is compared with Nengo's from the same interpreter, since releases of
    Nengo and NumPy may draw other random numbers. Nothing is compared after training,
    except for losses.
    """
    have = {run.python for run in runs if run.competitor == "nengo"}
    missing = {
        run.python: run.network
        for run in runs
        if run.python not in have and run.measure != "training"
    }
    return [
        Run("nengo", network, "first", python=python)
        for python, network in missing.items()
    ]


@dataclass(frozen=True)
class NetworkResults:
    """
    Everything that was measured with one network, in turns.

    Parameters
    ----------
    network : str
        Key in `.networks.NETWORKS`.
    results : list of Result
        The competitors' results.
    references : dict
        Output of Nengo as (1, n_steps, size) array, by interpreter.
    """

    network: str
    results: list[Result]
    references: dict[str, np.ndarray]

    def best(
        self, competitor: str, figure: Callable[[Result], float], minibatch: int = 1
    ) -> Result | None:
        """
        Return a competitor's result at its best settings.

        Parameters
        ----------
        competitor : str
            As in `.measure.Run`.
        figure : callable
            What is to be small.
        minibatch : int
            Minibatch size; Nengo's result serves for all.

        Returns
        -------
        result : Result or None
            None if it was not run, or failed.
        """
        candidates = [
            result
            for result in self.results
            if result.run.competitor == competitor
            and result.run.minibatch in (None, minibatch)
            and result.samples
        ]
        return min(candidates, key=figure, default=None)

    def comparison(self, result: Result | None) -> Comparison | None:
        """Return how far the output of ``result`` is from Nengo's, None if unknown."""
        if result is None or result.output is None:
            return None
        reference = self.references.get(result.run.python)
        return None if reference is None else compare(result.output, reference)

    def records(self) -> list[dict[str, Any]]:
        """Return what is written as JSON."""
        records = []
        for result in self.results:
            comparison = self.comparison(result)
            record = result.as_dict()
            record["comparison"] = None if comparison is None else vars(comparison)
            records.append(record)
        return records


def measure_network(
    runs: Sequence[Run], choice: Choice, notify: Callable[[Run], None]
) -> NetworkResults:
    """
    Measure all runs of one network.

    Parameters
    ----------
    runs : sequence of Run
        At least one, all of the same network.
    choice : Choice
        Repeats, seconds and other options.
    notify : callable
        Called with each run before it starts.

    Returns
    -------
    measured : NetworkResults
        The results of ``runs``, and the references for their outputs.
    """
    options = [f"--seconds={choice.seconds}", f"--long-steps={choice.long_steps}"]
    results = interleave(runs, choice.repeats, options, choice.timeout, notify)
    extra = interleave(reference_runs(runs), 1, options, choice.timeout, notify)
    references = {
        result.run.python: result.output
        for result in [*results, *extra]
        if result.run.competitor == "nengo" and result.output is not None
    }
    return NetworkResults(runs[0].network, results, references)
