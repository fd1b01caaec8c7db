"""
From the layout of a program to the `TensorSignal` of each signal.

In: the layout of a `Program`. Out: a `TensorSignal` for a signal or a view.
"""

from __future__ import annotations

import tensorflow as tf
from nengo.builder.signal import Signal

from nengo_dl.graph.layout import element_positions, row_slices
from nengo_dl.graph.program import Program
from nengo_dl.signals import TensorSignal


def place_of(program: Program, signal: Signal) -> TensorSignal:
    """Return where a signal (or a view) of a program is."""
    layout = program.layout
    key, start, stop = layout.places[signal.base]
    array = layout.arrays[key]
    shape = (stop - start,) if signal.sparse else signal.shape
    slices = None if signal.sparse else row_slices(signal, start)
    elements = None
    if slices is None and not signal.sparse:
        elements = element_positions(signal)
    return TensorSignal(
        slices or [(start, stop)],
        key,
        array.dtype,
        shape,
        program.settings.minibatch_size if array.minibatched else None,
        label=signal.name,
        elements=elements,
    )


def probe_specs(program: Program) -> list[tuple[tf.TensorSpec, bool]]:
    """Return what each Probe records in a step, and whether all steps are kept."""
    specs = []
    for probe, signal in program.probes.items():
        place = place_of(program, signal)
        spec = tf.TensorSpec(place.full_shape, place.dtype)
        specs.append((spec, program.keeps_history(probe)))
    return specs
