"""
Calibrate a converted network.

In: a conversion, and data. Out: a `Calibration`: what was decided about all neurons,
and how well each candidate did on data that it was not calibrated on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from nengo.neurons import NeuronType

from nengo_dl.converter.calibration.correction import correct
from nengo_dl.converter.calibration.data import Data
from nengo_dl.converter.calibration.scores import agreement, score
from nengo_dl.converter.calibration.sites import Site, forward
from nengo_dl.converter.calibration.spikes import Population, run_spiking
from nengo_dl.converter.calibration.thresholds import find_thresholds
from nengo_dl.converter.conversion import Conversion

# Numbers of steps that are tried.
N_STEPS = (1, 2, 4, 8, 16, 32, 64)

# Items that correct the biases, items that are computed at once by the Keras model, and
# by the converted one: rows (items times steps), and bytes in an activation of a layer.
# The correction takes four times as many.
N_CORRECTION_ITEMS = 128
BATCH_SIZE = 128
MAX_ROWS = 1024
MAX_BYTES = 2**27

# By how much a budget may be missed.
BUDGET_MARGIN = 0.02


@dataclass(frozen=True)
class Trial:
    """
    How a candidate did on data that it was not calibrated on.

    Parameters
    ----------
    n_steps : int
        Number of steps.
    factor : float
        On all thresholds.
    score : float
        Accuracy, or 1 minus the relative error; see ``scores.score``.
    agreement : float
        Share of items that are in the same class as in the Keras model.
    spikes_per_neuron : float
        Spikes of a neuron in an inference, those taken back included.
    most_spikes : int
        Largest number of spikes of a neuron in one step.
    """

    n_steps: int
    factor: float
    score: float
    agreement: float
    spikes_per_neuron: float
    most_spikes: int


@dataclass(frozen=True)
class Calibration:
    """
    The result of a calibration.

    Parameters
    ----------
    method : str
        How thresholds were chosen.
    sites, populations : tuple
        The neurons, and what was decided about them.
    chosen : Trial
        How the chosen candidate did.
    trials : tuple of Trial
        All that were tried.
    keras_score : float
        What the Keras model reaches on the same data.
    tolerance : float
        How much less was allowed.
    held_out : Data
        The data that it was not calibrated on.
    """

    method: str
    sites: tuple[Site, ...]
    populations: tuple[Population, ...]
    chosen: Trial
    trials: tuple[Trial, ...]
    keras_score: float
    tolerance: float
    held_out: Data

    @property
    def offsets(self) -> dict[tuple, np.ndarray]:
        """What was added to the biases of the neurons, by the path of their site."""
        return {
            site.path: population.biases
            for site, population in zip(self.sites, self.populations)
        }

    @property
    def within_tolerance(self) -> bool:
        """Whether the chosen candidate does as well as wanted."""
        return self.chosen.score >= self.keras_score - self.tolerance


class Procedure:
    """
    Calibrates a network, and tries how well it does.

    Parameters
    ----------
    converter : Conversion
        The conversion.
    sites : list of Site
        Its neurons.
    neuron_types : list of NeuronType
        Types of the calibrated neurons, one for each site.
    data : Data
        Two thirds are calibrated on, the last third is for trials.
    method, percentile
        See `.find_thresholds`.
    correction : str
        See `.correct`.
    """

    def __init__(
        self,
        converter: Conversion,
        sites: Sequence[Site],
        neuron_types: Sequence[NeuronType],
        data: Data,
        method: str,
        percentile: float,
        correction: str,
    ):
        self.converter = converter
        self.sites = sites
        self.neuron_types = neuron_types
        self.method = method
        self.percentile = percentile
        self.correction = correction
        n_calibration = max(1, data.n_items * 2 // 3)
        self.data = data.part(0, n_calibration)
        self.held_out = data.part(n_calibration, data.n_items)
        self.reference = keras_outputs(converter, self.held_out)
        self.keras_score = score(self.reference, self.held_out, self.reference)
        self._thresholds: dict[int | None, list[np.ndarray]] = {}

    def thresholds(self, n_steps: int) -> list[np.ndarray]:
        """Return a threshold for every channel of each site."""
        key = n_steps if self.method == "least_squares" else None
        if key not in self._thresholds:
            batches = [part.inputs for part in self.data.batches(BATCH_SIZE)]
            self._thresholds[key] = find_thresholds(
                self.converter,
                self.sites,
                batches,
                self.method,
                n_steps,
                self.percentile,
            )
        return self._thresholds[key]

    def _n_rows(self) -> int:
        """Return the number of rows that are computed at once."""
        largest = max(site.neurons.size_in for site in self.sites)
        return min(MAX_ROWS, MAX_BYTES // (4 * largest))

    def calibrate(self, n_steps: int, factor: float = 1.0) -> list[Population]:
        """
        Choose thresholds, biases and start voltages.

        Parameters
        ----------
        n_steps : int
            Number of steps for which the biases are right.
        factor : float
            On all thresholds.

        Returns
        -------
        populations : list of Population
        """
        populations = [
            Population.uncorrected(site, neuron_type, thresholds * factor)
            for site, neuron_type, thresholds in zip(
                self.sites, self.neuron_types, self.thresholds(n_steps)
            )
        ]
        # steps are rows, so that fewer items fit if there are many steps
        n_items = min(N_CORRECTION_ITEMS, max(16, 4 * self._n_rows() // n_steps))
        batch = self.data.part(0, n_items).inputs
        correct(
            self.converter, self.sites, populations, batch, n_steps, self.correction
        )
        return populations

    def trial(
        self, populations: Sequence[Population], n_steps: int, factor: float
    ) -> Trial:
        """Run the network on data that it was not calibrated on."""
        n_spikes, most = 0.0, 0.0

        def count(index: int, current: Any, spikes: Any) -> Any:
            nonlocal n_spikes, most
            n_spikes += float(tf.reduce_sum(tf.abs(spikes)))
            most = max(most, float(tf.reduce_max(tf.abs(spikes))))
            return spikes

        parts = [
            run_spiking(
                self.converter, self.sites, populations, part.inputs, n_steps, count
            )
            for part in self.held_out.batches(max(1, self._n_rows() // n_steps))
        ]
        outputs = [
            np.concatenate([values.mean(axis=0) for values in output])
            for output in zip(*parts)
        ]
        n_neurons = sum(site.neurons.size_in for site in self.sites)
        return Trial(
            n_steps,
            factor,
            score(outputs, self.held_out, self.reference),
            agreement(outputs, self.reference),
            n_spikes / n_neurons / self.held_out.n_items,
            int(most),
        )


def keras_outputs(converter: Conversion, data: Data) -> list[np.ndarray]:
    """Return the outputs of the Keras model."""
    parts = [
        forward(converter, [], part.inputs, lambda index, current: current)
        for part in data.batches(BATCH_SIZE)
    ]
    return [np.concatenate(values) for values in zip(*parts)]


def search(
    procedure: Procedure,
    n_steps: int | None,
    tolerance: float,
    spike_budget: float | None,
) -> Calibration:
    """
    Calibrate, and choose the number of steps and a factor on all thresholds.

    Parameters
    ----------
    procedure : Procedure
        What calibrates.
    n_steps : int or None
        Number of steps; None to choose it.
    tolerance : float
        How much worse than the Keras model the network may be.
    spike_budget : float or None
        Most spikes of a neuron in an inference.

    Returns
    -------
    calibration : Calibration
        Within the tolerance, the candidate with the fewest spikes; if none is, or with
        a budget, the best of those that keep to it.
    """
    trials: list[Trial] = []
    candidates: list[tuple[Trial, list[Population]]] = []
    enough = procedure.keras_score - tolerance
    for n in N_STEPS if n_steps is None else (n_steps,):
        factor = 1.0
        populations = procedure.calibrate(n)
        trial = procedure.trial(populations, n, factor)
        if spike_budget is not None:
            for _ in range(2):  # the second time, the number of spikes is known better
                factor *= trial.spikes_per_neuron / spike_budget
                populations = procedure.calibrate(n, factor)
                trial = procedure.trial(populations, n, factor)
        trials.append(trial)
        candidates.append((trial, populations))
        if spike_budget is None and trial.score >= enough:
            break
    kept = [
        candidate
        for candidate in candidates
        if spike_budget is None
        or candidate[0].spikes_per_neuron <= spike_budget * (1 + BUDGET_MARGIN)
    ]
    chosen, populations = max(
        kept or candidates, key=lambda c: (c[0].score, -c[0].spikes_per_neuron)
    )
    return Calibration(
        procedure.method,
        tuple(procedure.sites),
        tuple(populations),
        chosen,
        tuple(trials),
        procedure.keras_score,
        tolerance,
        procedure.held_out,
    )
