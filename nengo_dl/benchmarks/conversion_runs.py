"""
Convert a Keras model to spikes, and test the network.

In: a trained model, images, and a `Setting`, a way to convert. Out: an `Outcome`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import nengo
import numpy as np
import tensorflow as tf

import nengo_dl
from nengo_dl.benchmarks.image_models import Images
from nengo_dl.converter.calibration import calibrate
from nengo_dl.converter.calibration.correction import activations_of
from nengo_dl.converter.calibration.sites import Site, find_sites
from nengo_dl.converter.calibration.spikes import Population, run_spiking
from nengo_dl.converter.conversion import DT
from nengo_dl.converter.report.trials import predicted_errors

# Rows (images times steps) that are computed at once.
MAX_ROWS = 1024

NEURON_TYPES = {
    "±1 spike": nengo_dl.IntegrateAndFire(max_spikes=1),
    "one spike": nengo_dl.IntegrateAndFire(max_spikes=1, retract=False),
    "several": nengo_dl.IntegrateAndFire(),
    "Nengo's": nengo.SpikingRectifiedLinear(),
}


@dataclass(frozen=True)
class Setting:
    """
    A way to convert a network.

    Parameters
    ----------
    neurons : str
        Key in `NEURON_TYPES`.
    n_steps : int or None
        Number of steps; None to have it chosen.
    method : str
        How thresholds are chosen.
    percentile : float
        For the method of this name.
    spike_budget : float or None
        Most spikes of a neuron in an inference.
    scale : float or None
        What ``scale_firing_rates`` is, for a network that is not calibrated.
    correction : str
        What is corrected after the thresholds are chosen.
    """

    neurons: str
    n_steps: int | None
    method: str = "percentile"
    percentile: float = 99.5
    spike_budget: float | None = None
    scale: float | None = None
    correction: str = "voltage"

    @property
    def thresholds(self) -> str:
        """How thresholds are chosen, and what is corrected, if not the voltage."""
        if self.scale is not None:
            return f"scale {self.scale:g}"
        if self.spike_budget is not None:
            return f"budget {self.spike_budget:g}"
        percentile = f"{self.percentile:g} %"
        method = percentile if self.method == "percentile" else self.method
        correction = "" if self.correction == "voltage" else f", {self.correction}"
        return method + correction


SETTINGS = {
    "uncalibrated": [
        Setting("Nengo's", n, scale=scale)
        for scale in (100, 1000, 5000)
        for n in (4, 32)
    ],
    "methods": [
        Setting("±1 spike", 4, "percentile", 99.5),
        Setting("±1 spike", 4, "percentile", 99.9),
        *(Setting("±1 spike", 4, x) for x in ("max", "least_squares", "ltb")),
    ],
    "corrections": [
        Setting(neurons, 4, correction=correction)
        for neurons in ("±1 spike", "one spike")
        for correction in ("none", "bias", "voltage", "both")
    ],
    "neurons": [Setting(neurons, n) for neurons in NEURON_TYPES for n in (4, 8, 32)],
    "budgets": [
        *(Setting("several", 1, spike_budget=x) for x in (0.6, 0.9, 1.2)),
        Setting("several", None, spike_budget=0.9),
        Setting("±1 spike", 4, spike_budget=0.35),
        Setting("several", 4, spike_budget=0.35),
    ],
    "deep": [
        *(Setting("±1 spike", n) for n in (4, 8, 32)),
        Setting("±1 spike", 4, "least_squares"),
        *(Setting("one spike", n) for n in (16, 32)),
        Setting("one spike", 32, percentile=99.9),
        *(Setting("several", 1, spike_budget=x) for x in (0.6, 0.9, 1.2)),
    ],
}
"""Settings by group."""


@dataclass(frozen=True)
class Outcome:
    """
    What a converted network has done.

    Parameters
    ----------
    setting : Setting
        How it was converted.
    seed : int
        Which images it was calibrated on.
    n_steps : int
        Number of steps.
    loss : float
        Accuracy of the Keras model minus that of the network, in points (percent).
    agreement : float
        Share of images that are in the same class as in the Keras model.
    spikes : float
        Spikes of a neuron in an inference, those taken back included.
    most_spikes : int
        Largest number of spikes of a neuron in one step.
    error_ratios : tuple of float
        Error divided by what was predicted, for every layer of neurons; empty if
        nothing was.
    """

    setting: Setting
    seed: int
    n_steps: int
    loss: float
    agreement: float
    spikes: float
    most_spikes: int
    error_ratios: tuple[float, ...]


def measure(
    model: keras.Model, setting: Setting, seed: int, train: Images, test: Images, n: int
) -> Outcome:
    """
    Convert a model, and test the network.

    Parameters
    ----------
    model : keras.Model
        The model.
    setting : Setting
        How to convert it.
    seed : int
        Seed of the choice of images to calibrate with.
    train : Images
        What the model was trained with.
    test : Images
        Others.
    n : int
        Number of images to calibrate with.

    Returns
    -------
    outcome : Outcome
    """
    rng = np.random.RandomState(seed)
    if setting.scale is not None:
        return _uncalibrated(model, setting, seed, setting.scale, rng, test)
    chosen = rng.permutation(len(train.labels))[:n]
    converter = nengo_dl.Converter(model, inference_only=True)
    calibration = calibrate(
        converter,
        train.pixels[chosen],
        train.labels[chosen],
        method=setting.method,
        n_steps=setting.n_steps,
        tolerance=0.99,  # whatever comes out is of interest
        neuron_type=NEURON_TYPES[setting.neurons],
        spike_budget=setting.spike_budget,
        percentile=setting.percentile,
        correction=setting.correction,
    )
    n_steps = calibration.chosen.n_steps
    predicted = predicted_errors(converter, calibration.held_out, n_steps)
    found = _Run(converter, calibration.sites, calibration.populations, n_steps)
    found.add_all(test, skipped=0)
    errors = found.errors()
    ratios = tuple(
        error / predicted[site.path] for site, error in zip(found.sites, errors)
    )
    return found.outcome(setting, seed, test, ratios)


def _uncalibrated(
    model: keras.Model,
    setting: Setting,
    seed: int,
    scale: float,
    rng: np.random.RandomState,
    test: Images,
) -> Outcome:
    """Test a network with one threshold and random voltages, as Nengo has them."""
    assert setting.n_steps is not None
    neuron_type, n_steps = NEURON_TYPES[setting.neurons], setting.n_steps
    converter = nengo_dl.Converter(
        model,
        inference_only=True,
        swap_activations={"relu": neuron_type},
        scale_firing_rates=scale,
    )
    sites = find_sites(converter)
    populations = [
        Population(
            neuron_type,
            np.full(site.n_channels, 1 / (scale * DT)),
            np.zeros(site.n_channels),
            rng.uniform(size=site.shape),
        )
        for site in sites
    ]
    found = _Run(converter, sites, populations, n_steps)
    # the first half of the time is for spikes to arrive
    found.add_all(test, skipped=n_steps // 2)
    return found.outcome(setting, seed, test, ())


class _Run:
    """Runs a converted network over images, and adds up what it does."""

    def __init__(
        self,
        converter: nengo_dl.Converter,
        sites: Sequence[Site],
        populations: Sequence[Population],
        n_steps: int,
    ):
        self.converter, self.sites, self.populations = converter, sites, populations
        self.n_steps = n_steps
        self.n_images, self.n_spikes, self.most_spikes = 0, 0.0, 0.0
        self.squares = np.zeros(len(sites))
        self.classes: list[np.ndarray] = []

    def add_all(self, images: Images, skipped: int) -> None:
        """Run all images, and take the mean output after some steps as the answer."""
        size = max(1, MAX_ROWS // self.n_steps)
        for start in range(0, len(images.pixels), size):
            self._add(images.pixels[start : start + size], skipped)

    def _add(self, pixels: np.ndarray, skipped: int) -> None:
        activations = activations_of(self.converter, self.sites, [pixels])

        def note(index: int, current: Any, spikes: Any) -> Any:
            site = self.sites[index]
            unit = site.per_channel(self.populations[index].thresholds)
            error = unit * tf.reduce_mean(spikes, axis=0).numpy() - activations[index]
            self.squares[index] += np.mean(error**2) * len(pixels)
            self.n_spikes += float(tf.reduce_sum(tf.abs(spikes)))
            largest = float(tf.reduce_max(tf.abs(spikes)))
            self.most_spikes = max(self.most_spikes, largest)
            return spikes

        arguments = (self.converter, self.sites, self.populations, [pixels])
        (output,) = run_spiking(*arguments, self.n_steps, note)
        self.classes.append(output[skipped:].mean(axis=0).argmax(axis=-1))
        self.n_images += len(pixels)

    def errors(self) -> np.ndarray:
        """Return the root of the mean squared error of each site."""
        return np.sqrt(self.squares / self.n_images)

    def outcome(
        self, setting: Setting, seed: int, test: Images, ratios: tuple[float, ...]
    ) -> Outcome:
        """Return all figures."""
        model = self.converter.model
        reference = model.predict(test.pixels, verbose=0).argmax(axis=-1)
        classes = np.concatenate(self.classes)
        n_neurons = sum(site.neurons.size_in for site in self.sites)
        return Outcome(
            setting,
            seed,
            self.n_steps,
            100 * float(np.mean(reference == test.labels))
            - 100 * float(np.mean(classes == test.labels)),
            float(np.mean(classes == reference)),
            self.n_spikes / n_neurons / self.n_images,
            int(self.most_spikes),
            ratios,
        )
