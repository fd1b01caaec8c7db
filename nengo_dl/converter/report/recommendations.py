"""
What could be better about a converted network.

In: what was measured. Out: sentences.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nengo_dl.converter.calibration.procedure import Calibration
from nengo_dl.converter.conversion import Conversion
from nengo_dl.converter.report.record import Moment
from nengo_dl.converter.report.rows import LayerRow

DEFAULT_TOLERANCE = 0.01

# From these on, something is worth a sentence.
MUCH_LARGER = 3.0
MOSTLY_SILENT = 0.9


def recommended_steps(
    converter: Conversion, curve: Sequence[Moment], keras_score: float
) -> int | None:
    """Return the smallest number of steps that is enough, or None."""
    enough = keras_score - _tolerance(converter)
    # a calibrated network is right for its number of steps, and for more
    first = converter.calibration.chosen.n_steps if converter.calibration else 1
    good = [m.n_steps for m in curve if m.score >= enough and m.n_steps >= first]
    return min(good, default=None)


def _tolerance(converter: Conversion) -> float:
    calibration: Calibration | None = converter.calibration
    return DEFAULT_TOLERANCE if calibration is None else calibration.tolerance


def recommend(
    converter: Conversion,
    rows: Sequence[LayerRow],
    curve: Sequence[Moment],
    keras_score: float,
) -> Iterator[str]:
    """
    Say what could be better.

    Parameters
    ----------
    converter : Conversion
        The conversion.
    rows : list of LayerRow
        Its layers.
    curve : list of Moment
        How well the network does after every step.
    keras_score : float
        How well the Keras model does.

    Yields
    ------
    recommendation : str
    """
    steps = recommended_steps(converter, curve, keras_score)
    if steps is not None:
        yield f"run {steps} step{'s' if steps > 1 else ''}"
    else:
        yield (
            f"the score is more than {_tolerance(converter)} below that of the Keras "
            f"model after {len(curve)} steps; run more steps, or calibrate with a "
            "larger `n_steps`"
        )
    spiking = [row for row in rows if row.spikes is not None]
    rates = [row for row in rows if row.neurons and row.spikes is None]
    if spiking and converter.calibration is None:
        yield (
            "calibrate the network (`converter.calibrate(inputs)`): thresholds that "
            "fit the activations need fewer steps and spikes"
        )
    if rates and not spiking:
        yield (
            "the neurons do not spike; `converter.calibrate(inputs)` replaces "
            "rectified linear ones by neurons that do"
        )
    elif rates:
        yield f"neurons that do not spike remain in {_names(rates)}"
    amplified = [
        row
        for row in spiking
        if row.error
        and row.error_of_thresholds
        and row.error > MUCH_LARGER * row.error_of_thresholds
    ]
    if amplified:
        yield (
            f"errors are more than {MUCH_LARGER:g} times those of the thresholds in "
            f"{_names(amplified)}: neurons that fluctuating input drives to spike too "
            "much; `nengo_dl.IntegrateAndFire()` takes spikes back"
        )
    silent = [row for row in spiking if row.silent and row.silent > MOSTLY_SILENT]
    if silent:
        yield (
            f"more than {MOSTLY_SILENT:.0%} of the neurons are silent in "
            f"{_names(silent)}: they may be pruned, or need smaller thresholds"
        )
    fallbacks = [row for row in rows if row.reason]
    if fallbacks:
        yield (
            f"{_names(fallbacks)} run in NengoDL only, as TensorNodes; see the reasons "
            "in the table"
        )


def _names(rows: Sequence[LayerRow]) -> str:
    return ", ".join(row.layer for row in rows)
