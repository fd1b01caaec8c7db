"""
Plots of a report.

In: numbers by name. Out: axes of matplotlib, which is imported when a plot is asked
for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np


def new_axes(ax: Any = None) -> Any:
    """
    Return axes to plot into.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, optional
        What the user has passed; by default, new axes.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    if ax is not None:
        return ax
    try:
        pyplot = import_module("matplotlib.pyplot")
    except ImportError as err:
        raise ImportError(
            f"Plots need matplotlib, which cannot be imported (received: {err}); "
            "install it with `pip install matplotlib`, or use `str(report)` or "
            "`report.to_dict()`"
        ) from err
    return pyplot.subplots(layout="constrained")[1]


def bars(values: Mapping[str, float], label: str, ax: Any, log: bool = False) -> Any:
    """
    Draw horizontal bars, the first one on top.

    Parameters
    ----------
    values : dict of {str: float}
        Lengths of the bars by their names.
    label : str
        Label of the axis of values.
    ax : matplotlib.axes.Axes
        Where to draw.
    log : bool
        Whether the axis is logarithmic.
    """
    ax.barh(list(values), list(values.values()), log=log)
    ax.invert_yaxis()
    ax.set_xlabel(label)
    return ax


def histogram(samples: Mapping[str, Sequence[float]], label: str, ax: Any) -> Any:
    """
    Draw the distributions of several samples, as shares of each of them.

    Parameters
    ----------
    samples : dict of {str: array}
        Samples by their names.
    label : str
        Label of the axis of values.
    ax : matplotlib.axes.Axes
        Where to draw.
    """
    largest = max((np.max(values) for values in samples.values()), default=0)
    edges = np.linspace(0, largest or 1, 31)
    for name, values in samples.items():
        weights = np.full(len(values), 1 / len(values))
        ax.hist(values, edges, weights=weights, histtype="step", label=name)
    ax.set_xlabel(label)
    ax.set_ylabel("share of neurons")
    if samples:
        ax.legend()
    return ax
