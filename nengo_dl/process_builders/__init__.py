"""
Builders of processes with input, such as the synapses of connections and probes.

In: groups of merged ``SimProcess`` operators. Out: TensorFlow operations of one step,
native ones for Nengo's synapses, calls of NumPy code for all other processes.

Processes without input never get here: what depends on time alone is fed in (see
`nengo_dl.graph.program.feed_inputs`).
"""

from nengo_dl.process_builders.base import ProcessBuilder
from nengo_dl.process_builders.dispatch import SimProcessBuilder
from nengo_dl.process_builders.python import GenericProcessBuilder
from nengo_dl.process_builders.synapses import (
    LinearFilterBuilder,
    LowpassBuilder,
    TriangleBuilder,
)

__all__ = [
    "GenericProcessBuilder",
    "LinearFilterBuilder",
    "LowpassBuilder",
    "ProcessBuilder",
    "SimProcessBuilder",
    "TriangleBuilder",
]
