"""
Compare the output of a benchmark with that of `nengo.Simulator`.

In: two arrays of probe data of the first 0.1 s. Out: a `Comparison`.

A network of spiking neurons is chaotic. In single precision the output follows the
reference to about 1e-7, until the first spike falls into a neighbouring step because
a voltage was within rounding of the threshold. From then on the difference is of the
size of that spike's effect (1e-3 to 1e-2 of the signal), and grows. Nengo itself, run
with 32 bits, departs from Nengo with 64 bits in the same way, usually within 100 to
300 steps. So the comparison is confined to the first 100 steps, and says at which
step the output departed, and how far it got.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROUNDING = 1e-5
"""Largest difference, relative to the largest output, that counts as rounding."""

SHIFTED_SPIKES = 5e-2
"""Largest relative difference that counts as the effect of shifted spikes."""

SHORTEST = 20
"""Steps in which no difference but rounding is accepted."""


@dataclass(frozen=True)
class Comparison:
    """
    How far an output is from the reference.

    Parameters
    ----------
    largest : float
        Largest absolute difference.
    relative : float
        The same divided by the largest absolute value of the reference.
    n_steps : int
        Number of steps that were compared.
    departs : int or None
        First step (from 1) with a difference beyond rounding; None if there is none.
    """

    largest: float
    relative: float
    n_steps: int
    departs: int | None

    @property
    def agrees(self) -> bool:
        """Whether the difference is explained by rounding and shifted spikes."""
        if self.departs is None:
            return True
        return self.departs > SHORTEST and self.relative <= SHIFTED_SPIKES

    def __str__(self) -> str:
        if self.departs is None:
            return f"{self.largest:.1e}"
        verdict = "spikes shift" if self.agrees else "DIFFERS"
        return f"{self.largest:.1e} ({verdict} from step {self.departs})"


def compare(output: np.ndarray, reference: np.ndarray) -> Comparison:
    """
    Compare probe data with the reference, every item of the minibatch alike.

    Parameters
    ----------
    output : (minibatch, n_steps, size) array
        Probe data to be judged.
    reference : (1, n_steps, size) array
        Probe data of `nengo.Simulator`.

    Returns
    -------
    comparison : Comparison
        Differences that are not finite count as infinite.
    """
    difference = np.abs(output.astype(np.float64) - reference).max(axis=(0, 2))
    difference = np.where(np.isfinite(difference), difference, np.inf)
    scale = max(np.abs(reference).max(), np.finfo(np.float64).tiny)
    beyond = np.flatnonzero(difference > ROUNDING * scale)
    return Comparison(
        largest=float(difference.max()),
        relative=float(difference.max() / scale),
        n_steps=len(difference),
        departs=int(beyond[0]) + 1 if beyond.size else None,
    )
