"""
The tables of the benchmarks.

In: the `NetworkResults` of one network. Out: rows, and an RST table of them. A new
table is one more entry of `TABLES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nengo_dl.benchmarks.measure import Result
from nengo_dl.benchmarks.models import MODELS
from nengo_dl.benchmarks.networks import NETWORKS
from nengo_dl.benchmarks.plan import Choice, NetworkResults

NAMES = {"nengo": "Nengo", "release": "last release", "nengo_dl": "NengoDL"}

TRAINED = {
    "keras": "Keras",
    "nengo_dl": "NengoDL",
    "release_keras": "its Keras",
    "release": "last release",
}

SMALL = ("channel", "integrator", "cconv", "pes", "action_selection", "full_weights")

FIRST = ("channel", "action_selection", "spa", "chain")

FIRST_PARTS = ("import", "build", "first")
"""Until the first result is there, as the worker calls them."""

LARGE = ("large_10k", "large_100k", "large_1m")

NOTHING = "–"


@dataclass(frozen=True)
class Table:
    """
    One table.

    Parameters
    ----------
    title : str
        Heading.
    measure : str
        Key in `.worker.MEASURES`, or "training".
    networks : tuple of str
        Networks, or models for training, that are measured unless the user chooses
        some.
    columns : tuple of str
        Headings of the columns.
    rows : callable
        Turns the results of one network into rows.
    competitors : tuple of str
        Who can take part.
    batched : bool
        Whether the minibatch sizes that were chosen apply; the size is 1 otherwise.
    unrolled : bool
        Whether the last release is also tried with several steps per iteration.
    """

    title: str
    measure: str
    networks: tuple[str, ...]
    columns: tuple[str, ...]
    rows: Callable[[NetworkResults, Choice], list[list[str]]]
    competitors: tuple[str, ...] = tuple(NAMES)
    batched: bool = False
    unrolled: bool = True


def us_per_step(result: Result) -> float:
    """Return the median time of a step in µs."""
    return result.median("us_per_step")


def cpu_us_per_step(result: Result) -> float:
    """Return the median time of the processor in a step in µs, of all cores."""
    return result.median("cpu_us_per_step")


def ms_per_call(result: Result) -> float:
    """Return the median time of one ``sim.step()`` in ms."""
    return result.median("ms_per_call")


def ms_per_batch(result: Result) -> float:
    """Return the median time to train with one batch in ms."""
    return result.median("ms_per_batch")


def seconds_to_result(result: Result) -> float:
    """Return the median time of ``Simulator(net)`` and ``run(0.1)`` in s."""
    return result.median("build_s") + result.median("first_s")


def _ratio(other: float, ours: float) -> str:
    """Return how many times as long the other one takes."""
    if math.isnan(other) or math.isnan(ours):
        return NOTHING
    return f"{other / ours:.2f}×" if other < 10 * ours else f"{other / ours:.0f}×"


def _number(value: float, digits: int = 1) -> str:
    return NOTHING if math.isnan(value) else f"{value:,.{digits}f}"


def _compete(
    measured: NetworkResults, figure: Callable[[Result], float], minibatch: int = 1
) -> tuple[list[float], str]:
    """
    Return the best figure of each competitor, and what is to be said of our output.

    Nengo is charged for as many runs as the minibatch has items.
    """
    best = {name: measured.best(name, figure, minibatch) for name in NAMES}
    figures = [
        math.nan if result is None else figure(result) for result in best.values()
    ]
    figures[list(NAMES).index("nengo")] *= minibatch
    judged = best["nengo_dl"] or best["release"]
    return figures, str(measured.comparison(judged) or NOTHING)


def speed_rows(measured: NetworkResults, choice: Choice) -> list[list[str]]:
    """Return one row for each minibatch size; time of an item in brackets."""
    title, rows = NETWORKS[measured.network][0], []
    figure = cpu_us_per_step if choice.processor_time else us_per_step
    for size in choice.minibatches:
        (nengo, release, ours), difference = _compete(measured, figure, size)
        cells = [
            _number(v) if math.isnan(v) or size == 1 else f"{v:,.1f} ({v / size:,.1f})"
            for v in (nengo, release, ours)
        ]
        ratios = [_ratio(nengo, ours), _ratio(release, ours)]
        rows.append([title, str(size), *cells, *ratios, difference])
    return rows


def step_rows(measured: NetworkResults, _choice: Choice) -> list[list[str]]:
    """Return a row with the time of one call."""
    times, difference = _compete(measured, ms_per_call)
    nengo, release, ours = times
    ratios = [_ratio(ours, nengo), _ratio(release, ours)]
    cells = [_number(value, 3) for value in times]
    return [[NETWORKS[measured.network][0], *cells, *ratios, difference]]


def build_rows(measured: NetworkResults, _choice: Choice) -> list[list[str]]:
    """Return a row with the time to the first result, and of its two parts."""
    cells = []
    for name in NAMES:
        result = measured.best(name, seconds_to_result)
        if result is None:
            cells.append(NOTHING)
        else:
            parts = result.median("build_s"), result.median("first_s")
            cells.append(f"{parts[0] + parts[1]:.2f} ({parts[0]:.2f} + {parts[1]:.2f})")
    (nengo, release, ours), difference = _compete(measured, seconds_to_result)
    ratio = _ratio(release, ours)
    title = NETWORKS[measured.network][0]
    return [[title, *cells, _number(1.5 * nengo + 3, 2), ratio, difference]]


def processor_seconds(result: Result) -> float:
    """Return the median of the processor's time from the start to the result in s."""
    return sum(result.median(f"{part}_cpu_s") for part in FIRST_PARTS)


def first_rows(measured: NetworkResults, _choice: Choice) -> list[list[str]]:
    """Return a row with the time to the first result, and of its three parts."""
    cells = []
    for name in NAMES:
        result = measured.best(name, processor_seconds)
        if result is None:
            cells.append(NOTHING)
            continue
        parts = [result.median(f"{part}_cpu_s") for part in FIRST_PARTS]
        added = " + ".join(f"{part:.2f}" for part in parts)
        cells.append(f"{sum(parts):.2f} ({added})")
    (_, release, ours), difference = _compete(measured, processor_seconds)
    title = NETWORKS[measured.network][0]
    return [[title, *cells, _ratio(release, ours), difference]]


def first_fit_rows(measured: NetworkResults, _choice: Choice) -> list[list[str]]:
    """Return a row with the time until the first epoch is over, and of its parts."""
    model, cells = MODELS[measured.network], []
    for name in ("nengo_dl", "release"):
        result = measured.best(name, seconds_to_result, model.minibatch)
        if result is None:
            cells.append(NOTHING)
        else:
            parts = result.median("build_s"), result.median("first_s")
            cells.append(f"{sum(parts):.1f} ({parts[0]:.1f} + {parts[1]:.1f})")
    return [[model.title, str(model.minibatch), *cells]]


def size_rows(measured: NetworkResults, _choice: Choice) -> list[list[str]]:
    """Return a row for each competitor."""
    rows = []
    for name, label in NAMES.items():
        result = measured.best(name, us_per_step)
        if result is not None:
            figures = [result.median(k) for k in ("build_s", "first_s", "us_per_step")]
            cells = [_number(value) for value in figures]
            cells.append(_number(result.median("peak_mib"), 0))
            difference = "" if name == "nengo" else str(measured.comparison(result))
            title = NETWORKS[measured.network][0]
            rows.append([title, label, *cells, difference or NOTHING])
    return rows


def long_rows(measured: NetworkResults, _choice: Choice) -> list[list[str]]:
    """Return a row for each competitor, with its memory after parts of the run."""
    rows = []
    for name, label in NAMES.items():
        result = measured.best(name, us_per_step)
        if result is not None:
            sample = result.samples[-1]
            memory = [sample["resident_mib"][i] or math.nan for i in (0, 1, 5, 10)]
            cells = [f"{sample['n_steps']:,}", _number(us_per_step(result))]
            cells += [_number(value) for value in memory]
            rows.append([NETWORKS[measured.network][0], label, *cells])
    return rows


def training_rows(measured: NetworkResults, _choice: Choice) -> list[list[str]]:
    """Return a row with the times of a batch; those of the processor in brackets."""
    model = MODELS[measured.network]
    best = {
        name: measured.best(name, ms_per_batch, model.minibatch) for name in TRAINED
    }
    times = {name: _times(result) for name, result in best.items()}
    cells = [
        NOTHING if math.isnan(wall) else f"{wall:,.2f} ({cpu:,.2f})"
        for wall, cpu in times.values()
    ]
    for slow, fast in (
        ("nengo_dl", "keras"),
        ("release", "release_keras"),
        ("release", "nengo_dl"),
    ):
        wall, cpu = map(_ratio, times[slow], times[fast])
        cells.append(NOTHING if wall == NOTHING else f"{wall} ({cpu})")
    return [[model.title, str(model.minibatch), *cells, _difference_of_losses(best)]]


def _times(result: Result | None) -> tuple[float, float]:
    """Return the median times of a batch in ms: elapsed, and of the processor."""
    if result is None:
        return math.nan, math.nan
    return ms_per_batch(result), result.median("cpu_ms_per_batch")


def _difference_of_losses(best: dict[str, Result | None]) -> str:
    """Return the relative difference of our loss in the first epoch from Keras'."""
    ours, theirs = best["nengo_dl"], best["keras"]
    if ours is None or theirs is None:
        return NOTHING
    loss = theirs.median("loss")
    return f"{abs(ours.median('loss') - loss) / loss:.1e}"


_DIFFERENCE = "largest difference"

TABLES = {
    "simulation": Table(
        title="Time of a simulation step in µs (of an item of the minibatch)",
        measure="speed",
        networks=SMALL,
        columns=("network", "minibatch", *NAMES.values())
        + ("Nengo/NengoDL", "release/NengoDL", _DIFFERENCE),
        rows=speed_rows,
        batched=True,
    ),
    "step": Table(
        title="Time of one ``sim.step()`` in ms",
        measure="step",
        networks=("channel", "plots"),
        columns=("network", *NAMES.values())
        + ("NengoDL/Nengo", "release/NengoDL", _DIFFERENCE),
        rows=step_rows,
        unrolled=False,
    ),
    "functions": Table(
        title="Time of a step that calls Python in µs (of an item of the minibatch)",
        measure="speed",
        networks=("functions_1", "functions_5"),
        columns=("network", "minibatch", *NAMES.values())
        + ("Nengo/NengoDL", "release/NengoDL", _DIFFERENCE),
        rows=speed_rows,
        batched=True,
        unrolled=False,
    ),
    "build": Table(
        title="Time of ``Simulator(net)`` and ``sim.run(0.1)`` in s",
        measure="first",
        networks=SMALL,
        columns=("network", *NAMES.values())
        + ("1.5 Nengo + 3 s", "release/NengoDL", _DIFFERENCE),
        rows=build_rows,
    ),
    "first": Table(
        title="Processor time to the first result in s: imports, ``Simulator(net)``, "
        "and ``sim.run(0.1)``",
        measure="first",
        networks=FIRST,
        columns=("network", *NAMES.values(), "release/NengoDL", _DIFFERENCE),
        rows=first_rows,
        unrolled=False,
    ),
    "first-fit": Table(
        title="Time of ``Simulator(net)`` and the first epoch of ``sim.fit`` in s",
        measure="training",
        networks=("chain",),
        columns=("model", "minibatch", NAMES["nengo_dl"], NAMES["release"]),
        rows=first_fit_rows,
        competitors=("nengo_dl", "release"),
    ),
    "size": Table(
        title="Large networks",
        measure="speed",
        networks=LARGE,
        columns=("network", "simulator", "build, s", "first 0.1 s, s")
        + ("µs per step", "peak MiB", _DIFFERENCE),
        rows=size_rows,
        unrolled=False,
    ),
    "long": Table(
        title="A long run, keeping no history",
        measure="long",
        networks=("channel",),
        columns=("network", "simulator", "steps", "µs per step")
        + ("MiB at first", "after 10 %", "50 %", "100 %"),
        rows=long_rows,
        competitors=("nengo_dl", "release"),
        unrolled=False,
    ),
    "training": Table(
        title="Time to train with one batch in ms (of the processor)",
        measure="training",
        networks=("autoencoder", "convolutional", "layers", "recurrent"),
        columns=("model", "minibatch", *TRAINED.values())
        + ("NengoDL/Keras", "release/its Keras", "release/NengoDL")
        + ("difference of losses",),
        rows=training_rows,
        competitors=tuple(TRAINED),
    ),
}


def rst_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """
    Return a simple RST table.

    Parameters
    ----------
    columns : sequence of str
        Headings.
    rows : sequence of sequence of str
        Cells; the first one of a row must not be empty.

    Returns
    -------
    table : str
        Lines without a line break at the end.
    """
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    rule = " ".join("=" * width for width in widths)
    lines = [
        " ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in [columns, *rows]
    ]
    return "\n".join([rule, lines[0].rstrip(), rule, *map(str.rstrip, lines[1:]), rule])
